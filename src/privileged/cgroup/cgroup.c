/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/cgroup/cgroup.h"

#include "privileged/cgroup/hierarchy.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

enum { REMOVE_DEADLINE_MSEC = 5000, REMOVE_RETRY_MSEC = 5, CREATE_TRIES = 8 };

/* ---- making directories ---- */

/* A new v1 cpuset takes no process before it has CPUs and memory nodes: those of its parent (cpusets(7)). */
static void inherit_cpuset(int parent, int child) {
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *own = NULL, *parents = NULL;
        if (read_file(child, files[i], 4096, &own, NULL, NULL) == 0 && own[strspn(own, " \n")] == '\0' &&
            read_file(parent, files[i], 4096, &parents, NULL, NULL) == 0)
            (void)write_kernel_file(child, files[i], parents);
    }
}

/* What is missing or may not be delegated is simply not there for the child; the limits say so if they need it. */
static void delegate(int parent) {
    static const char *const controllers[] = {"+memory", "+pids", "+cpu", "+cpuset"};
    for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
        (void)write_kernel_file(parent, "cgroup.subtree_control", controllers[i]);
}

/* Make every directory of path below the mount point. fd of the last one or -errno; *ret_made: it was not there. */
static int make_path(const struct hierarchy *h, const char *path, bool *ret_made) {
    _cleanup_close_ int at = open(h->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return -errno;
    _cleanup_free_ char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    bool made = false;
    char *rest = NULL;
    for (char *name = strtok_r(copy, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
        if (h->unified)
            delegate(at);
        made = mkdirat(at, name, 0755) == 0;
        if (!made && errno != EEXIST)
            return -errno;
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (next < 0)
            return -errno;
        if (hierarchy_has(h, "cpuset"))
            inherit_cpuset(at, next);
        close_fd(&at);
        at = next;
    }
    *ret_made = made;
    return take_fd(&at);
}

static int open_path(const struct hierarchy *h, const char *path) {
    _cleanup_free_ char *full = text_format("%s%s", h->mount_point, path);
    if (!full)
        return -ENOMEM;
    int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static bool is_populated(int dir) {
    _cleanup_free_ char *pids = NULL;
    return read_file(dir, "cgroup.procs", 1 << 20, &pids, NULL, NULL) == 0 && pids[0] != '\0';
}

/* ---- limits ---- */

static int set_limit(int dir, const char *file, uint64_t value, struct err *err) {
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    int r = write_kernel_file(dir, file, text);
    return r < 0 ? err_set(err, -r, "cannot set %s of the sandbox's cgroup to %s: %s", file, text, strerror(-r)) : 0;
}

static int apply_v1(const struct hierarchy *h, int dir, const struct cgroup_limits *l, struct err *err) {
    int r = 0;
    if (hierarchy_has(h, "memory") && l->memory_bytes > 0)
        r = set_limit(dir, "memory.limit_in_bytes", l->memory_bytes, err);
    if (r >= 0 && hierarchy_has(h, "pids") && l->pids > 0)
        r = set_limit(dir, "pids.max", l->pids, err);
    if (!hierarchy_has(h, "cpu"))
        return r;
    if (r >= 0 && l->cpu_shares > 0)
        r = set_limit(dir, "cpu.shares", l->cpu_shares, err);
    if (r >= 0 && l->cpu_period_usec > 0)
        r = set_limit(dir, "cpu.cfs_period_us", l->cpu_period_usec, err);
    if (r >= 0 && l->cpu_quota_usec > 0)
        r = set_limit(dir, "cpu.cfs_quota_us", (uint64_t)l->cpu_quota_usec, err);
    return r;
}

/* A controller that is not delegated to us has no files: only such a limit is left out. */
static int set_if_delegated(int dir, const char *file, uint64_t value, struct err *err) {
    if (value == 0 || faccessat(dir, file, F_OK, 0) < 0)
        return 0;
    return set_limit(dir, file, value, err);
}

static int apply_v2(int dir, const struct cgroup_limits *l, struct err *err) {
    int r = set_if_delegated(dir, "memory.max", l->memory_bytes, err);
    if (r >= 0)
        r = set_if_delegated(dir, "pids.max", l->pids, err);
    /* 2..262144 onto 1..10000, as runc and systemd do */
    if (r >= 0 && l->cpu_shares >= 2)
        r = set_if_delegated(dir, "cpu.weight", 1 + (l->cpu_shares - 2) * 9999 / 262142, err);
    if (r < 0 || l->cpu_quota_usec <= 0 || faccessat(dir, "cpu.max", F_OK, 0) < 0)
        return r;
    char text[64];
    (void)snprintf(text, sizeof text, "%" PRId64 " %" PRIu64, l->cpu_quota_usec,
                   l->cpu_period_usec ? l->cpu_period_usec : 100000);
    r = write_kernel_file(dir, "cpu.max", text);
    return r < 0 ? err_set(err, -r, "cannot set cpu.max of the sandbox's cgroup to %s: %s", text, strerror(-r)) : 0;
}

static int apply(const struct hierarchy *h, int dir, const struct cgroup_limits *limits, struct err *err) {
    return h->unified ? apply_v2(dir, limits, err) : apply_v1(h, dir, limits, err);
}

/* ---- the calls ---- */

static int prepare(const char *path, struct hierarchies *ret_hierarchies, char **ret_path, struct err *err) {
    int r = cgroup_resolve(path, ret_path, err);
    return r < 0 ? r : hierarchies_find(ret_hierarchies, err);
}

static bool is_lack_of_privilege(int r) {
    return r == -EACCES || r == -EPERM || r == -EROFS;
}

/* 1 when it is there now, 0 when this user may not have it. */
static int create_in(const struct hierarchy *h, const char *path, const struct cgroup_limits *limits, bool *ret_made,
                     struct err *err) {
    _cleanup_close_ int dir = -EBADF;
    /* ENOENT: somebody removed an empty parent between two of our steps. */
    for (int tries = 0; tries < CREATE_TRIES && (dir == -EBADF || dir == -ENOENT); tries++)
        dir = make_path(h, path, ret_made);
    if (is_lack_of_privilege(dir))
        return 0;
    if (dir < 0)
        return err_set(err, -dir, "cannot make the cgroup %s%s: %s", h->mount_point, path, strerror(-dir));
    if (!*ret_made && is_populated(dir))
        return err_set(err, EBUSY, "the cgroup %s%s is in use by other processes", h->mount_point, path);
    int r = apply(h, dir, limits, err);
    return r < 0 ? r : 1;
}

int cgroup_create(const char *path, const struct cgroup_limits *limits, bool rootless, bool *ret_created,
                  struct err *err) {
    _cleanup_free_ char *resolved = NULL;
    _cleanup_hierarchies_ struct hierarchies h = {0};
    int r = prepare(path, &h, &resolved, err);
    if (r < 0)
        return rootless && r == -ENOENT ? 0 : r;
    size_t usable = 0;
    bool created = false;
    for (size_t i = 0; i < h.count; i++) {
        bool made = false;
        r = create_in(&h.list[i], resolved, limits, &made, err);
        created |= made;
        if (r < 0) {
            if (created)
                (void)cgroup_remove(path, NULL);
            return r;
        }
        usable += (size_t)r;
    }
    if (usable == 0 && !rootless)
        return err_set(err, EROFS,
                       "the cgroup %s cannot be made in any hierarchy: is /sys/fs/cgroup mounted read-only?", resolved);
    *ret_created = created;
    return 0;
}

int cgroup_add(const char *path, pid_t pid, struct err *err) {
    _cleanup_free_ char *resolved = NULL;
    _cleanup_hierarchies_ struct hierarchies h = {0};
    int r = prepare(path, &h, &resolved, err);
    if (r < 0)
        return r;
    char text[16];
    (void)snprintf(text, sizeof text, "%d", (int)pid);
    for (size_t i = 0; i < h.count; i++) {
        _cleanup_close_ int dir = open_path(&h.list[i], resolved);
        if (dir < 0)
            continue; /* not made here: cgroup_create() says when that is no error */
        r = write_kernel_file(dir, "cgroup.procs", text);
        if (r < 0 && !is_lack_of_privilege(r))
            return err_set(err, -r, "cannot put a process into the cgroup %s%s: %s", h.list[i].mount_point, resolved,
                           strerror(-r));
    }
    return 0;
}

int cgroup_update(const char *path, const struct cgroup_limits *limits, struct err *err) {
    _cleanup_free_ char *resolved = NULL;
    _cleanup_hierarchies_ struct hierarchies h = {0};
    int r = prepare(path, &h, &resolved, err);
    for (size_t i = 0; r >= 0 && i < h.count; i++) {
        _cleanup_close_ int dir = open_path(&h.list[i], resolved);
        if (dir >= 0)
            r = apply(&h.list[i], dir, limits, err);
    }
    return r;
}

/* SIGKILL to all that is in it: cgroup.kill where the kernel has it (5.14), else one by one. */
static void kill_members(int dir) {
    if (write_kernel_file(dir, "cgroup.kill", "1") == 0)
        return;
    _cleanup_free_ char *pids = NULL;
    if (read_file(dir, "cgroup.procs", 1 << 20, &pids, NULL, NULL) < 0)
        return;
    char *rest = NULL;
    for (char *pid = strtok_r(pids, "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest)) {
        uint64_t number;
        if (parse_u64(pid, &number) == 0 && number > 1 && number <= INT32_MAX)
            (void)kill((pid_t)number, SIGKILL);
    }
}

/* A cgroup becomes removable a little after its last process has ended, and nothing tells when on v1: ask again. */
static int remove_in(const struct hierarchy *h, const char *path, int64_t deadline) {
    _cleanup_free_ char *full = text_format("%s%s", h->mount_point, path);
    if (!full)
        return -ENOMEM;
    while (rmdir(full) < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != EBUSY || monotonic_msec() > deadline)
            return -errno;
        _cleanup_close_ int dir = open_path(h, path);
        if (dir >= 0)
            kill_members(dir);
        (void)poll(NULL, 0, REMOVE_RETRY_MSEC);
    }
    return 0;
}

/* The default parent, /minka, is ours: it goes with its last child. Engines' own parents are theirs. */
static void remove_parent(const struct hierarchy *h, const char *path) {
    if (!text_has_prefix(path, "/minka/"))
        return;
    _cleanup_free_ char *parent = text_format("%s/minka", h->mount_point);
    if (parent)
        (void)rmdir(parent);
}

int cgroup_remove(const char *path, struct err *err) {
    _cleanup_free_ char *resolved = NULL;
    _cleanup_hierarchies_ struct hierarchies h = {0};
    int r = prepare(path, &h, &resolved, err);
    if (r < 0)
        return r;
    if (strcmp(resolved, "/") == 0)
        return err_set(err, EINVAL, "the root cgroup is nobody's to remove");
    int64_t deadline = monotonic_msec() + REMOVE_DEADLINE_MSEC;
    for (size_t i = 0; i < h.count; i++) {
        int one = remove_in(&h.list[i], resolved, deadline);
        if (one < 0)
            r = err_set(err, -one, "cannot remove the cgroup %s%s: %s", h.list[i].mount_point, resolved,
                        strerror(-one));
        else
            remove_parent(&h.list[i], resolved);
    }
    return r;
}
