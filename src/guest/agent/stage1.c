/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage 1: what needs the agent's rights and its view of the machine. Ends when stage 2 has all it needs from here.
 */
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/signals.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int stage_report(int report, enum launch_report_kind kind, pid_t pid, int fd) {
    struct launch_report message = {.kind = kind, .pid = pid};
    if (fd >= 0)
        return send_with_fds(report, &message, sizeof message, &fd, 1);
    /* write and not sendmsg: what the container's seccomp program may be in force already allows it more likely. */
    ssize_t n;
    do
        n = write(report, &message, sizeof message);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

void stage_report_failure(int report, const struct err *err) {
    struct launch_report message = {.kind = LAUNCH_FAILED, .code = err->code ? err->code : EIO};
    (void)snprintf(message.text, sizeof message.text, "%s", err->text);
    while (write(report, &message, sizeof message) < 0 && errno == EINTR)
        ;
}

/*
 * Each stream under its number, the report behind them, nothing else: a descriptor of the agent's that stayed open here
 * would keep somebody's pipe from ending. All go above the numbers first, where none is in another's place.
 */
static int arrange_descriptors(struct stage *stage, struct err *err) {
    int count = (int)stage->process->streams.len;
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int moved[STREAMS_MAX];
    for (int i = 0; i < count; i++) {
        moved[i] = fcntl(stage->streams[i] >= 0 ? stage->streams[i] : null, F_DUPFD_CLOEXEC, count + 1);
        if (moved[i] < 0)
            return err_errno(err, "cannot arrange the streams");
    }
    int report = fcntl(stage->report, F_DUPFD_CLOEXEC, count + 1);
    if (report < 0 || dup3(report, count, O_CLOEXEC) < 0)
        return err_errno(err, "cannot arrange descriptors");
    stage->report = count;
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], i) < 0)
            return err_errno(err, "cannot arrange the streams");
    (void)take_fd(&null); /* its number is another's now, or closed next */
    if (syscall(SYS_close_range, count + 1, ~0u, 0) < 0)
        return err_errno(err, "cannot close the agent's descriptors");
    return 0;
}

/* So that the user can open them anew through /proc/self/fd, as /dev/stdout in the container does. */
static int own_streams(const plan_process *process, uint32_t uid, struct err *err) {
    for (size_t i = process->terminal ? STREAMS_STANDARD : 0; uid && i < process->streams.len; i++)
        if (uid == UINT32_MAX || fchown((int)i, uid, (gid_t)-1) < 0)
            return err_set(err, EINVAL, "cannot give the standard streams to user %u", process->uid);
    return 0;
}

/* Both kinds of stage 1. */
static int prepare(struct stage *stage, struct err *err) {
    int r = limits_reserve(stage->process, &stage->nofile, err);
    if (r < 0)
        return r;
    /* Here, since lowering it takes rights in the first user namespace. Otherwise not the agent's -1000, but 0. */
    char score[16];
    (void)snprintf(score, sizeof score, "%d", stage->process->set_oom_score_adj ? stage->process->oom_score_adj : 0);
    r = write_kernel_file(AT_FDCWD, "/proc/self/oom_score_adj", score);
    if (r < 0 && stage->process->set_oom_score_adj) {
        errno = -r;
        return err_errno(err, "cannot set oomScoreAdj to %s", score);
    }
    return 0;
}

/* clone3(2), as the agent's child, in the cgroup. Returns the pid, 0 in stage 2, or negative errno. */
static int clone_stage2(uint64_t flags, const struct cgroup_place *cgroup) {
    struct clone_args args = {
        .flags = flags | CLONE_PARENT | CLONE_INTO_CGROUP,
        .cgroup = (uint64_t)(unsigned)cgroup->directory,
    };
    int pid = (int)syscall(SYS_clone3, &args, sizeof args);
    if (pid >= 0 || (errno != EACCES && errno != EBUSY && errno != ENOENT && errno != EOPNOTSUPP))
        return pid < 0 ? -errno : pid;
    /* In the container's user namespace we may no more; by the descriptor that was opened before, we still may. */
    args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
    args.cgroup = 0;
    pid = (int)syscall(SYS_clone3, &args, sizeof args);
    if (pid <= 0)
        return pid < 0 ? -errno : 0;
    char text[16];
    int length = snprintf(text, sizeof text, "%d", pid);
    if (write(cgroup->processes, text, (size_t)length) < 0) {
        int r = -errno;
        (void)kill(pid, SIGKILL);
        return r;
    }
    return pid;
}

/* Start stage 2, tell its pid, and do for it what only the parent can. */
static int start_stage2(struct stage *stage, uint64_t flags, struct cgroup_place *cgroup, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(err, "cannot make a pipe");
    _cleanup_close_ int stage2_end = ends[0];
    _cleanup_close_ int our_end = ends[1];
    int pid = clone_stage2(flags, cgroup);
    if (pid < 0) {
        errno = -pid;
        return err_errno(err, "cannot start the process in its namespaces");
    }
    if (pid == 0) {
        close_fd(&our_end);
        close_fd(&cgroup->directory);
        close_fd(&cgroup->processes);
        stage->sync = take_fd(&stage2_end);
        stage2_run(stage);
    }
    int r = stage_report(stage->report, LAUNCH_PID, pid, -EBADF);
    if (r < 0)
        r = err_set(err, -r, "the agent does not listen");
    else if (flags & CLONE_NEWUSER)
        r = namespaces_write_mappings(pid, stage->container, err);
    if (r == 0 && write(our_end, "", 1) != 1)
        r = err_set(err, EPIPE, "the process ended before it was set up");
    if (r < 0)
        (void)kill(pid, SIGKILL);
    return r;
}

static int run_container(struct stage *stage, struct err *err) {
    const plan_container *container = stage->container;
    uint64_t flags;
    int r = namespaces_clone_flags(container, &flags, err);
    if (r == 0)
        r = namespaces_join_sandbox(container, stage->sandbox, err);
    if (r == 0)
        r = arrange_descriptors(stage, err);
    if (r == 0)
        r = prepare(stage, err);
    if (r < 0)
        return r;
    stage->user_namespace = flags & CLONE_NEWUSER;
    uint32_t uid = stage->process->uid;
    if (stage->user_namespace)
        uid = mapping_outside(container->namespaces->uid_mappings, container->namespaces->n_uid_mappings, uid);
    struct cgroup_place cgroup;
    r = own_streams(stage->process, uid, err);
    if (r == 0)
        r = root_prepare(container, err);
    if (r == 0)
        r = mounts_open_sources(stage, err);
    if (r == 0 && stage->user_namespace)
        r = devices_prepare(container, err);
    if (r == 0)
        r = cgroup_create(container->id, container->cgroup, &cgroup, err);
    return r < 0 ? r : start_stage2(stage, flags, &cgroup, err);
}

static int run_exec(struct stage *stage, struct err *err) {
    int r = arrange_descriptors(stage, err);
    if (r == 0)
        r = prepare(stage, err);
    if (r < 0)
        return r;
    uint32_t uid = mapping_outside_of(stage->init_pid, "uid_map", stage->process->uid);
    r = own_streams(stage->process, uid, err);
    struct cgroup_place cgroup;
    if (r == 0)
        r = cgroup_find(stage->container_id, stage->init_pid, &cgroup, err);
    if (r == 0)
        r = namespaces_join(stage->init_pid, &stage->user_namespace, err);
    return r < 0 ? r : start_stage2(stage, 0, &cgroup, err);
}

void stage1_run(struct stage *stage) {
    struct err err = {0};
    (void)signals_reset(); /* the agent blocks signals and ignores some; the process starts with none of that */
    (void)umask(0);
    /* Nobody in a container shall look into a copy of the agent, nor reach its program by /proc/PID/exe; execve
     * ends that. proc_pid(5), PR_SET_DUMPABLE(2const). */
    int r = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_errno(&err, "cannot become undumpable") : 0;
    if (r == 0)
        r = stage->container ? run_container(stage, &err) : run_exec(stage, &err);
    if (r < 0)
        stage_report_failure(stage->report, &err);
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
