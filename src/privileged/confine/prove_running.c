/* SPDX-License-Identifier: Apache-2.0 */
/* The proof's part about what a process shares with others, or splits among its threads: limits, cgroup, threads. */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* proc_pid_limits(5). prlimit(2) would ask for CAP_SYS_RESOURCE only to look. */
int confine_read_limit(const struct confine_subject *s, int resource, struct rlimit *ret, struct err *err) {
    static const char *const names[RLIM_NLIMITS] = {
        [RLIMIT_CPU] = "cpu time",
        [RLIMIT_FSIZE] = "file size",
        [RLIMIT_DATA] = "data size",
        [RLIMIT_STACK] = "stack size",
        [RLIMIT_CORE] = "core file size",
        [RLIMIT_RSS] = "resident set",
        [RLIMIT_NPROC] = "processes",
        [RLIMIT_NOFILE] = "open files",
        [RLIMIT_MEMLOCK] = "locked memory",
        [RLIMIT_AS] = "address space",
        [RLIMIT_LOCKS] = "file locks",
        [RLIMIT_SIGPENDING] = "pending signals",
        [RLIMIT_MSGQUEUE] = "msgqueue size",
        [RLIMIT_NICE] = "nice priority",
        [RLIMIT_RTPRIO] = "realtime priority",
        [RLIMIT_RTTIME] = "realtime timeout",
    };
    _cleanup_free_ char *text = NULL;
    int r = confine_read_proc(s, "limits", &text, err);
    if (r < 0)
        return r;
    char key[64];
    const char *name = resource >= 0 && resource < RLIM_NLIMITS ? names[resource] : NULL;
    (void)snprintf(key, sizeof key, "\nMax %s ", name ? name : "");
    const char *line = strstr(text, key);
    char values[2][24];
    if (!line || sscanf(line + strlen(key), "%23s %23s", values[0], values[1]) != 2)
        return err_set(err, EBADMSG, "the kernel does not tell its limit of %s", name ? name : "this");
    uint64_t numbers[2];
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (strcmp(values[i], "unlimited") == 0)
            numbers[i] = RLIM_INFINITY;
        else if (parse_u64(values[i], &numbers[i]) < 0)
            return err_set(err, EBADMSG, "its limit of %s is no number", name);
    *ret = (struct rlimit){.rlim_cur = numbers[0], .rlim_max = numbers[1]};
    return 0;
}

/* A program may lower its limits. */
int confine_prove_limits(const struct confine_subject *s, struct err *err) {
    for (size_t i = 0; i < s->plan->n_rlimits; i++) {
        struct rlimit now;
        const struct rlimit *planned = &s->plan->rlimits[i].limit;
        int r = confine_read_limit(s, s->plan->rlimits[i].resource, &now, err);
        if (r < 0)
            return r;
        if (now.rlim_max > planned->rlim_max || now.rlim_cur > planned->rlim_max)
            return err_set(err, EPERM,
                           "its limit number %d (setrlimit(2)) is %" PRIu64 " and should be at most %" PRIu64,
                           s->plan->rlimits[i].resource, (uint64_t)now.rlim_max, (uint64_t)planned->rlim_max);
    }
    return 0;
}

/* "0::/minka/box", in one hierarchy at least; from inside a cgroup namespace the beginning is another. */
int confine_prove_cgroup(const struct confine_subject *s, struct err *err) {
    const char *wanted = s->plan->cgroup;
    if (!wanted || !wanted[0])
        return 0;
    _cleanup_free_ char *text = NULL;
    int r = confine_read_proc(s, "cgroup", &text, err);
    if (r < 0)
        return r;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        size_t length = strlen(line), end = strlen(wanted);
        if (length > end && strcmp(line + length - end, wanted) == 0)
            return 0;
    }
    return err_set(err, EPERM, "it is not in the cgroup %s", wanted);
}

static bool has_ended(const struct confine_subject *s, const char *task) {
    return faccessat(s->proc, task, F_OK, 0) < 0;
}

static int prove_same_namespaces(const struct confine_subject *s, int thread, int tid, struct err *err) {
    for (size_t i = 0; i < CONFINE_NAMESPACES; i++) {
        char path[64];
        struct stat leader, theirs;
        (void)snprintf(path, sizeof path, "ns/%s", confine_namespaces[i]);
        if (fstatat(s->proc, path, &leader, 0) < 0 || fstatat(thread, path, &theirs, 0) < 0)
            return err_errno_name(err, "cannot compare the namespaces of its thread %d", tid);
        if (leader.st_dev != theirs.st_dev || leader.st_ino != theirs.st_ino)
            return err_set(err, EPERM, "its thread %d has a %s namespace of its own", tid, confine_namespaces[i]);
    }
    return 0;
}

static int prove_thread(const struct confine_subject *s, int thread, int tid, struct err *err) {
    struct confine_subject one = *s;
    one.proc = thread;
    for (const struct confine_property *p = confine_properties; p->name; p++) {
        struct err why = {0};
        if (!confine_is_of_thread(s->plan, p->name))
            continue;
        int r = p->prove(&one, &why);
        if (r < 0)
            return err_set(err, -r, "of its thread %d: %s [%s]", tid, why.text, p->name);
    }
    /* Threads may have descriptors of their own: unshare(2), CLONE_FILES. */
    if (s->executed && syscall(SYS_kcmp, s->pid, tid, KCMP_FILES, 0, 0) != 0) {
        int r = confine_prove_holdings(&one, err);
        if (r < 0)
            return r;
    }
    return prove_same_namespaces(s, thread, tid, err);
}

int confine_prove_threads(const struct confine_subject *s, struct err *err) {
    int tasks = openat(s->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = tasks < 0 ? NULL : fdopendir(tasks);
    if (!entries)
        return err_errno_name(err, "cannot list its threads");
    for (struct dirent *e; (e = readdir(entries));) {
        uint64_t tid;
        char task[64];
        if (parse_u64(e->d_name, &tid) < 0 || (pid_t)tid == s->pid)
            continue;
        (void)snprintf(task, sizeof task, "task/%d", (int)tid);
        _cleanup_close_ int thread = openat(s->proc, task, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct err why = {0};
        int r = thread < 0 ? err_errno_name(&why, "cannot look at its thread %d", (int)tid)
                           : prove_thread(s, thread, (int)tid, &why);
        if (r < 0 && !has_ended(s, task)) {
            *err = why;
            return r;
        }
    }
    return 0;
}
