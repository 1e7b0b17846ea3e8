/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/probe/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { NOBODY = 65534, OUTPUT_MAX = 256 << 10 };

/* What can go wrong between fork and exec, told through memory that both share. */
struct failure {
    int code;
    char step[32];
};

static int fail_at(struct failure *failure, const char *step) {
    failure->code = errno;
    (void)snprintf(failure->step, sizeof failure->step, "%s", step);
    return -1;
}

static int limit(__rlimit_resource_t resource, rlim_t value) {
    const struct rlimit limits = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(resource, &limits);
}

/*
 * Should: leave uid, gid, groups and every capability. Mustn't: go on as root of the host. In a user namespace that
 * has no 65534 (EINVAL) the process keeps its id, which is an ordinary user's outside, and loses what it has inside.
 */
static int become_nobody(struct failure *failure) {
    if (geteuid() == 0) {
        for (int capability = 0; capability < 64; capability++)
            if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL && errno != EPERM)
                return fail_at(failure, "drop capabilities");
        if (setgroups(0, NULL) < 0 && errno != EPERM) /* EPERM: user_namespaces(7), "deny" */
            return fail_at(failure, "drop groups");
        if (setresgid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL)
            return fail_at(failure, "change the gid");
        if (setresuid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL)
            return fail_at(failure, "change the uid");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail_at(failure, "set no_new_privs");
    return 0;
}

static int set_up(int output, bool own_namespaces, struct failure *failure) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return fail_at(failure, "set the death signal");
    if (own_namespaces && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return fail_at(failure, "make mounts private");
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(null, 2) < 0)
        return fail_at(failure, "set up descriptors");
    if (syscall(SYS_close_range, 3u, ~0u, 0u) < 0)
        return fail_at(failure, "close descriptors");
    null = -EBADF; /* closed with the others */
    if (chdir("/") < 0 || setsid() < 0)
        return fail_at(failure, "start a session");
    if (limit(RLIMIT_CORE, 0) < 0 || limit(RLIMIT_CPU, 10) < 0 || limit(RLIMIT_FSIZE, 0) < 0)
        return fail_at(failure, "set limits");
    int r = become_nobody(failure);
    /* The uid's change clears the death signal: prctl(2). */
    return r < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 ? r : fail_at(failure, "set the death signal");
}

static _Noreturn void child(const char *program, const char *const *argv, int output, bool own_namespaces,
                            struct failure *failure) {
    char *const envp[] = {NULL};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (set_up(output, own_namespaces, failure) == 0) {
        (void)execve(program, (char *const *)(uintptr_t)argv, envp);
        (void)fail_at(failure, "execute it");
    }
    _exit(127);
}

/* A child, in namespaces of its own if the kernel lets us. */
static pid_t spawn(const char *program, const char *const *argv, int output, struct failure *failure) {
    const unsigned long namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    bool own_namespaces = true;
    pid_t pid = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0 && (errno == EPERM || errno == EINVAL || errno == ENOSPC)) {
        own_namespaces = false;
        pid = fork();
    }
    if (pid == 0)
        child(program, argv, output, own_namespaces, failure);
    return pid;
}

/* All of its output until it ends it. -ETIMEDOUT, -EFBIG. */
static int collect(int fd, int64_t deadline, struct buf *output) {
    for (;;) {
        int64_t left = deadline - monotonic_msec();
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (left <= 0)
            return -ETIMEDOUT;
        int r = poll(&poll_fd, 1, (int)left);
        if (r <= 0) {
            if (r < 0 && errno != EINTR)
                return -errno;
            continue;
        }
        if (output->length >= OUTPUT_MAX)
            return -EFBIG;
        if (buf_reserve(output, 4096) < 0)
            return -ENOMEM;
        ssize_t n = read(fd, output->data + output->length, 4096);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        output->length += n > 0 ? (size_t)n : 0;
    }
}

/* It has closed its output; if it does not end by the deadline, it is ended. *ret_status as of waitpid(2). */
static int reap(pid_t pid, int64_t deadline, int *ret_status) {
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t left = deadline - monotonic_msec();
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    bool ended = pidfd >= 0 && left > 0 && poll(&poll_fd, 1, (int)left) > 0;
    if (!ended)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return ended ? 0 : -ETIMEDOUT;
}

static void unmap_failure(struct failure **failure) {
    (void)munmap(*failure, sizeof **failure);
}

int run_for_output(const char *program, const char *const *argv, unsigned deadline_msec, char **ret, struct err *err) {
    struct failure *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return err_errno(err, "cannot run %s", program);
    __attribute__((cleanup(unmap_failure))) struct failure *failure = shared;
    int64_t deadline = monotonic_msec() + deadline_msec;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(err, "cannot run %s", program);
    _cleanup_close_ int out = ends[0], in = ends[1];

    pid_t pid = spawn(program, argv, in, failure);
    if (pid < 0)
        return err_errno(err, "cannot run %s", program);
    close_fd(&in);
    _cleanup_buf_ struct buf output = {0};
    int status = 0, r = collect(out, deadline, &output);
    int ended = reap(pid, r < 0 ? 0 : deadline, &status);
    if (failure->code)
        return err_set(err, failure->code, "cannot run %s, it was not possible to %s (%s)", program, failure->step,
                       strerrorname_np(failure->code));
    if (r == -ETIMEDOUT || (r == 0 && ended < 0))
        return err_set(err, ETIMEDOUT, "%s did not answer within %u ms", program, deadline_msec);
    if (r < 0)
        return err_set(err, -r, "%s cannot be asked what it is (%s)", program, strerrorname_np(-r));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, EIO, "%s failed when it was asked what it is", program);
    const char *text = buf_string(&output);
    if (!text || strlen(text) != output.length)
        return err_set(err, EBADMSG, "%s does not answer in text", program);
    *ret = strdup(text);
    return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}
