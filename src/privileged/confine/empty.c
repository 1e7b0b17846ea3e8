/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work inside a running process's mount namespace, done by a short-lived child of
 * the command; and what it was made for: taking the load phase's mounts away.
 */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { HELPER_MSEC = 30000, DEPTH_MAX = 64 };

/*
 * The process's mount namespace. A file server may make user and mount namespaces of its own and enter them; the
 * kernel says who owns one: it must be this process's user namespace, as when it was made.
 */
static int open_mount_namespace(int pidfd, struct err *err) {
    pid_t pid = confine_pid_of(pidfd);
    if (pid < 0)
        return err_set(err, ESRCH, "the process has ended");
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    _cleanup_close_ int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || pidfd_send_signal(pidfd, 0, NULL, 0) < 0) /* it had that pid when the file was opened */
        return err_set(err, ESRCH, "the process has ended");
    _cleanup_close_ int owner = ioctl(ns, NS_GET_USERNS);
    struct stat theirs, ours;
    if (owner < 0 || fstat(owner, &theirs) < 0 || stat("/proc/self/ns/user", &ours) < 0)
        return err_errno_name(err, "cannot see who owns the process's mount namespace");
    if (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino)
        return err_set(err, EXDEV, "the process has left the mount namespace that it was started in");
    return take_fd(&ns);
}

struct job {
    int (*fn)(void *data, struct err *err);
    void *data;
    int *fds; /* that fn opened; sent back on success */
    size_t n_fds;
};

_Noreturn static void helper(int ns, int report, const struct job *job) {
    struct err err = {0};
    int r = setns(ns, CLONE_NEWNS); /* root and working directory too: setns(2) */
    if (r < 0)
        r = err_errno_name(&err, "cannot enter the process's mount namespace");
    else
        r = job->fn(job->data, &err);
    if (r >= 0)
        err.code = 0;
    else if (err.code == 0)
        (void)err_set(&err, -r, "work in the process's mount namespace failed");
    (void)send_with_fds(report, &err, sizeof err, job->fds, r < 0 ? 0 : job->n_fds);
    _exit(0);
}

static int receive_report(int report, const struct job *job, struct err *answer) {
    struct pollfd ready = {.fd = report, .events = POLLIN};
    int n;
    do
        n = poll(&ready, 1, HELPER_MSEC);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return -ETIMEDOUT;
    size_t n_fds = 0;
    if (receive_with_fds(report, answer, sizeof *answer, job->fds, job->n_fds, &n_fds) != (ssize_t)sizeof *answer)
        return -ECHILD;
    answer->text[ERR_TEXT_MAX - 1] = '\0';
    return answer->code == 0 && n_fds != job->n_fds ? -EPROTO : 0;
}

static int run_job(int pidfd, const struct job *job, struct err *err) {
    _cleanup_close_ int ns = open_mount_namespace(pidfd, err);
    if (ns < 0)
        return ns;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno_name(err, "cannot make a socket pair");
    _cleanup_close_ int in = pair[0], out = pair[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_errno_name(err, "cannot make a helper process");
    if (pid == 0)
        helper(ns, out, job);
    close_fd(&out);
    struct err answer = {0};
    int r = receive_report(in, job, &answer);
    if (r < 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (r < 0)
        return err_set(err, -r, "the helper in the process's mount namespace gave no answer");
    return answer.code == 0 ? 0 : err_set(err, answer.code, "%s", answer.text);
}

int confine_in_mount_namespace(int pidfd, int (*fn)(void *data, struct err *err), void *data, struct err *err) {
    return run_job(pidfd, &(struct job){.fn = fn, .data = data}, err);
}

struct view {
    int proc;
    int fds[2]; /* mountinfo, root */
};

/* A task's mountinfo shows the namespace that the task is in when the file is opened, from its root. */
static int open_view(void *data, struct err *err) {
    struct view *v = data;
    v->fds[0] = openat(v->proc, "thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
    v->fds[1] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return v->fds[0] < 0 || v->fds[1] < 0 ? err_errno_name(err, "cannot look at the process's mounts") : 0;
}

int confine_view(pid_t pid, int *ret_mountinfo, int *ret_root, struct err *err) {
    _cleanup_close_ int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return err_set(err, ESRCH, "the process has ended");
    _cleanup_close_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return err_errno_name(err, "cannot open /proc");
    struct view v = {.proc = proc, .fds = {-EBADF, -EBADF}};
    int r = run_job(pidfd, &(struct job){.fn = open_view, .data = &v, .fds = v.fds, .n_fds = 2}, err);
    if (r < 0) {
        close_fd(&v.fds[0]);
        close_fd(&v.fds[1]);
        return r;
    }
    *ret_mountinfo = v.fds[0];
    *ret_root = v.fds[1];
    return 0;
}

struct emptying {
    const struct confine_plan *plan;
    struct confine_mounted *mounts;
    size_t count;
};

bool confine_is_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    if (length == 1)
        return true;
    return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* path is, or is in, a mount that stays. */
static bool stays(const struct confine_plan *plan, const char *path) {
    for (size_t i = 0; i < plan->n_mounts; i++)
        if (plan->mounts[i].stays && confine_is_below(path, plan->mounts[i].target))
            return true;
    return false;
}

/* path is a directory that leads to a mount that stays. */
static bool leads_to_one_that_stays(const struct confine_plan *plan, const char *path) {
    for (size_t i = 0; i < plan->n_mounts; i++)
        if (plan->mounts[i].stays && confine_is_below(plan->mounts[i].target, path))
            return true;
    return false;
}

/* Remove everything in dir, whose path in the jail is path, that does not lead to a mount that stays. */
static int remove_names(const struct confine_plan *plan, int dir, const char *path, unsigned depth, struct err *err) {
    if (depth > DEPTH_MAX)
        return err_set(err, ELOOP, "%s is too deep", path);
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (!entries)
        return err_errno_name(err, "cannot list %s/", path);
    for (struct dirent *e; (e = readdir(entries));) {
        char below[PATH_MAX];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below)
            return err_set(err, ENAMETOOLONG, "a path below %s/ is too long", path);
        if (stays(plan, below))
            continue;
        _cleanup_close_ int sub = openat(dir, e->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0) {
            int r = remove_names(plan, sub, below, depth + 1, err);
            if (r < 0)
                return r;
            if (leads_to_one_that_stays(plan, below))
                continue;
        }
        if (unlinkat(dir, e->d_name, sub >= 0 ? AT_REMOVEDIR : 0) < 0)
            return err_errno_name(err, "cannot remove %s from the jail", below);
    }
    return 0;
}

/*
 * The names go through a writable clone of the root that is attached nowhere, so that the process's own root is
 * read-only all the time.
 */
static int empty_root(const struct confine_plan *plan, struct err *err) {
    _cleanup_close_ int root = (int)syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (root < 0)
        return err_errno_name(err, "cannot take the jail's root");
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    if (mount_setattr(root, "", AT_EMPTY_PATH, &writable, sizeof writable) < 0)
        return err_errno_name(err, "cannot write into the jail's root");
    int r = remove_names(plan, root, "", 0, err);
    if (r < 0)
        return r;
    struct mount_attr sealed = {.attr_set =
                                    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    if (mount_setattr(AT_FDCWD, "/", 0, &sealed, sizeof sealed) < 0)
        return err_errno_name(err, "cannot seal the jail's root");
    return 0;
}

static int empty_inside(void *data, struct err *err) {
    struct emptying *e = data;
    for (size_t i = 0; i < e->count; i++) {
        const char *point = e->mounts[i].point;
        if (strcmp(point, "/") == 0 || stays(e->plan, point))
            continue;
        if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return err_errno_name(err, "cannot detach %s", point);
    }
    return empty_root(e->plan, err);
}

/* Deepest first: a longer path can only be below a shorter one. */
static int compare_depth(const void *a, const void *b) {
    const struct confine_mounted *left = a, *right = b;
    size_t l = strlen(left->point), r = strlen(right->point);
    return l < r ? 1 : l > r ? -1 : 0;
}

int confine_empty(const struct confine_plan *plan, int pidfd, pid_t pid, struct err *err) {
    struct err why = {0};
    _cleanup_close_ int mountinfo = -EBADF, root = -EBADF;
    struct emptying e = {.plan = plan};
    int r = confine_view(pid, &mountinfo, &root, &why);
    if (r == 0)
        r = confine_list_mounts(mountinfo, &e.mounts, &e.count, &why);
    if (r == 0) {
        if (e.count > 1)
            qsort(e.mounts, e.count, sizeof *e.mounts, compare_depth);
        r = confine_in_mount_namespace(pidfd, empty_inside, &e, &why);
        confine_free_mounts(e.mounts, e.count);
    }
    return r < 0 ? err_set(err, -r, "cannot empty the jail of the %s: %s", plan->role, why.text) : 0;
}
