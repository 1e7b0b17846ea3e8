/* SPDX-License-Identifier: Apache-2.0 */
/* Making, joining, changing and removing the sandbox's cgroup in every hierarchy. */
#include "privileged/cgroup/cgroup.h"

#include "privileged/cgroup/internal.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

enum { REMOVE_MSEC = 5000, UNUSED_MSEC = 1000, RETRY_MSEC = 5, MAKE_TRIES = 100, PROCS_MAX = 1 << 20, DEPTH_MAX = 32 };

#define _cleanup_hierarchies_ __attribute__((cleanup(hierarchies_done)))

static bool is_refusal(int r) {
    return r == -EACCES || r == -EPERM || r == -EROFS;
}

/* A new v1 cpuset has no CPU and no memory node, and takes no process: cpuset(7). */
static int fill_cpuset(int parent, int dir) {
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *own = NULL, *inherited = NULL;
        int r = read_file(dir, files[i], 65536, &own, NULL, NULL);
        if (r == 0)
            r = read_file(parent, files[i], 65536, &inherited, NULL, NULL);
        if (r == 0 && !own[strspn(own, "\n")])
            r = write_kernel_file(dir, files[i], inherited);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Let the children of dir have what the limits need. What cannot be had is missed when a limit is set, if it is. */
static void enable_controllers(int dir) {
    static const char *const wanted[] = {"+memory", "+pids", "+cpu"};
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        (void)write_kernel_file(dir, "cgroup.subtree_control", wanted[i]);
}

/* mkdir -p, with what each level needs. Returns the leaf's descriptor; *made when the leaf did not exist. */
static int make_directories(const struct hierarchy *h, const char *path, bool *made) {
    size_t root = strlen(h->root);
    if (root > 1 && strncmp(path, h->root, root) == 0 && path[root] == '/')
        path += root;
    _cleanup_close_ int dir = open(h->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    while (*(path += strspn(path, "/"))) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(path, "/");
        (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
        path += n;
        if (h->unified)
            enable_controllers(dir);
        *made = mkdirat(dir, name, 0755) == 0;
        if (!*made && errno != EEXIST)
            return -errno;
        int next = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (next < 0)
            return -errno;
        int r = !h->unified && hierarchy_has(h, "cpuset") ? fill_cpuset(dir, next) : 0;
        close_fd(&dir);
        dir = next;
        if (r < 0)
            return r;
    }
    return take_fd(&dir);
}

/* Another command may remove the default parent, which was empty, between two steps of ours: then from the start. */
static int make_directories_again(const struct hierarchy *h, const char *path, bool *made) {
    int dir = make_directories(h, path, made);
    for (int tries = 1; (dir == -ENOENT || dir == -ENODEV) && tries < MAKE_TRIES; tries++)
        dir = make_directories(h, path, made);
    return dir;
}

static bool has_processes(int dir) {
    _cleanup_free_ char *text = NULL;
    return read_file(dir, "cgroup.procs", PROCS_MAX, &text, NULL, NULL) == 0 && text[0];
}

/* A controller of the unified hierarchy may not reach this cgroup, when an ancestor has processes of its own. */
static int look_closer(const struct hierarchy *h, int dir, struct hierarchy *ret, char **ret_text, struct err *err) {
    *ret = *h;
    if (!h->unified)
        return 0;
    int r = read_file(dir, "cgroup.controllers", 4096, ret_text, NULL, NULL);
    if (r < 0)
        return err_set(err, -r, "cannot read which controllers a cgroup in %s has (%s)", h->mount, strerrorname_np(-r));
    ret->controllers = *ret_text;
    (*ret_text)[strcspn(*ret_text, "\n")] = '\0';
    for (char *c = *ret_text; *c; c++)
        if (*c == ' ')
            *c = ',';
    return 0;
}

static int create_one(const struct hierarchy *h, const char *path, const struct cgroup_limits *limits, bool *ret_made,
                      struct err *err) {
    bool made = false;
    _cleanup_close_ int dir = make_directories_again(h, path, &made);
    if (dir < 0)
        return err_set(err, -dir, "cannot make the cgroup %s in %s (%s)", path, h->mount, strerrorname_np(-dir));
    *ret_made = *ret_made || made;
    if (!made && has_processes(dir))
        return err_set(err, EBUSY, "the cgroup %s in %s has processes already; choose another cgroupsPath", path,
                       h->mount);
    struct hierarchy here;
    _cleanup_free_ char *available = NULL;
    int r = look_closer(h, dir, &here, &available, err);
    if (r < 0)
        return r;
    bool lacks = (limits->memory_bytes && hierarchy_has(h, "memory") && !hierarchy_has(&here, "memory")) ||
                 (limits->pids && hierarchy_has(h, "pids") && !hierarchy_has(&here, "pids"));
    if (lacks)
        return err_set(err, EACCES, "the cgroup %s in %s cannot have the memory and pids controllers", path, h->mount);
    return cgroup_apply_limits(&here, dir, limits, err);
}

int cgroup_create(const char *path, const struct cgroup_limits *limits, bool rootless, bool *ret_created,
                  struct err *err) {
    char resolved[PATH_MAX];
    _cleanup_hierarchies_ struct hierarchies all = {0};
    int r = cgroup_resolve(path, resolved, err);
    if (r == 0)
        r = hierarchies_find(&all, err);
    if (r < 0)
        return r;
    bool made = false;
    size_t worked = 0;
    struct err why = {.text = "no cgroup hierarchy is mounted"};
    for (size_t i = 0; i < all.count; i++) {
        r = create_one(&all.at[i], resolved, limits, &made, &why);
        if (r == 0)
            worked++;
        else if (!is_refusal(r)) {
            if (made)
                (void)cgroup_remove(path, NULL);
            return err_set(err, -r, "%s", why.text);
        }
    }
    if (worked == 0 && !rootless)
        return err_set(err, EACCES, "no cgroup hierarchy can be used: %s", why.text);
    *ret_created = made;
    return 0;
}

/* This process in the unified hierarchy: the line "0::PATH" of proc_pid_cgroup(5), relative to its cgroup namespace. */
static bool is_in_unified(const char *path) {
    _cleanup_free_ char *text = NULL;
    if (read_file(AT_FDCWD, "/proc/self/cgroup", PROCS_MAX, &text, NULL, NULL) < 0)
        return false;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "0::", 3) == 0)
            return strcmp(line + 3, path) == 0;
    return false;
}

/*
 * cgroup_procs_write_start() in the kernel: one's own single thread is moved without the lock that costs an RCU grace
 * period. A v2 cgroup takes whole processes only, hence clone3(2) into it, and nothing to do here.
 */
static int add_to(const struct hierarchy *h, int dir, const char *path, const char *pid) {
    bool self = strcmp(pid, "0") == 0;
    if (self && !h->unified)
        return write_kernel_file(dir, "tasks", pid);
    if (self && is_in_unified(path))
        return 0;
    return write_kernel_file(dir, "cgroup.procs", pid);
}

int cgroup_add(const char *path, pid_t pid, struct err *err) {
    char resolved[PATH_MAX], text[32];
    _cleanup_hierarchies_ struct hierarchies all = {0};
    int r = cgroup_resolve(path, resolved, err);
    if (r == 0)
        r = hierarchies_find(&all, err);
    if (r < 0)
        return r;
    (void)snprintf(text, sizeof text, "%d", pid);
    size_t exist = 0, worked = 0;
    int refusal = 0;
    for (size_t i = 0; i < all.count; i++) {
        _cleanup_close_ int dir = hierarchy_open(&all.at[i], resolved);
        if (dir < 0)
            continue; /* left out by cgroup_create() */
        exist++;
        r = add_to(&all.at[i], dir, resolved, text);
        if (r == 0)
            worked++;
        else if (is_refusal(r))
            refusal = r;
        else
            return err_set(err, -r, "cannot put a process into the cgroup %s in %s (%s)", resolved, all.at[i].mount,
                           strerrorname_np(-r));
    }
    if (exist > 0 && worked == 0)
        return err_set(err, -refusal, "no process may be put into the cgroup %s", resolved);
    return 0;
}

int cgroup_open_unified(const char *path) {
    char resolved[PATH_MAX];
    _cleanup_hierarchies_ struct hierarchies all = {0};
    int r = cgroup_resolve(path, resolved, NULL);
    if (r == 0)
        r = hierarchies_find(&all, NULL);
    for (size_t i = 0; r == 0 && i < all.count; i++)
        if (all.at[i].unified)
            return hierarchy_open(&all.at[i], resolved);
    return r < 0 ? r : -ENOENT;
}

int cgroup_update(const char *path, const struct cgroup_limits *limits, struct err *err) {
    char resolved[PATH_MAX];
    _cleanup_hierarchies_ struct hierarchies all = {0};
    int r = cgroup_resolve(path, resolved, err);
    if (r == 0)
        r = hierarchies_find(&all, err);
    for (size_t i = 0; r == 0 && i < all.count; i++) {
        _cleanup_close_ int dir = hierarchy_open(&all.at[i], resolved);
        struct hierarchy here;
        _cleanup_free_ char *available = NULL;
        if (dir < 0)
            continue; /* left out by cgroup_create() */
        r = look_closer(&all.at[i], dir, &here, &available, err);
        if (r == 0)
            r = cgroup_apply_limits(&here, dir, limits, err);
        if (is_refusal(r))
            r = 0;
    }
    return r;
}

/* Wait at most until the deadline for pid to end. */
static void await_end(int pidfd, int64_t deadline) {
    int64_t left = deadline - monotonic_msec();
    struct pollfd gone = {.fd = pidfd, .events = POLLIN};
    if (left > 0)
        (void)poll(&gone, 1, (int)left);
}

/* Kill what is directly in dir, this process excepted, and wait for each. */
static void kill_members(int dir, int64_t deadline) {
    (void)write_kernel_file(dir, "freezer.state", "THAWED"); /* v1: a frozen process does not die */
    if (write_kernel_file(dir, "cgroup.kill", "1") < 0)
        errno = 0; /* not v2, or before Linux 5.14: one by one, below */
    _cleanup_free_ char *text = NULL;
    if (read_file(dir, "cgroup.procs", PROCS_MAX, &text, NULL, NULL) < 0)
        return;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int64_t pid;
        if (parse_i64(line, &pid) < 0 || pid <= 1 || pid == getpid())
            continue;
        _cleanup_close_ int pidfd = pidfd_open((pid_t)pid, 0);
        if (pidfd < 0)
            continue;
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        await_end(pidfd, deadline);
    }
}

/* dir/name with all below it. -EBUSY while something is left. */
static int remove_tree(int parent, const char *name, int64_t deadline, unsigned depth) {
    if (depth > DEPTH_MAX)
        return -ELOOP;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return errno == ENOENT ? 0 : -errno;
    kill_members(dirfd(dir), deadline);
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(dir));)
        if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = remove_tree(dirfd(dir), e->d_name, deadline, depth + 1);
    if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        r = -errno;
    return r;
}

/* Whether this process is in the cgroup or below: then cgroup.kill would be suicide. proc_pid_cgroup(5). */
static bool is_inside(const char *path) {
    _cleanup_free_ char *text = NULL;
    size_t length = strlen(path);
    if (read_file(AT_FDCWD, "/proc/self/cgroup", PROCS_MAX, &text, NULL, NULL) < 0)
        return true;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *own = strchr(line, ':');
        own = own ? strchr(own + 1, ':') : NULL;
        if (own && strncmp(own + 1, path, length) == 0 && (own[1 + length] == '/' || own[1 + length] == '\0'))
            return true;
    }
    return false;
}

/* A process that has ended may keep its cgroup busy for an instant longer; nothing tells when it no longer does. */
static int remove_until(const struct hierarchy *h, const char *path, int64_t deadline) {
    _cleanup_close_ int root = hierarchy_open(h, "");
    if (root < 0)
        return root;
    size_t length = strlen(h->root);
    if (length > 1 && strncmp(path, h->root, length) == 0 && path[length] == '/')
        path += length;
    for (;;) {
        int r = remove_tree(root, path + strspn(path, "/"), deadline, 0);
        if (r != -EBUSY || monotonic_msec() >= deadline)
            return r;
        (void)poll(NULL, 0, RETRY_MSEC);
    }
}

/* The parent of the last sandbox in it; one with children or processes stays (EBUSY). Never an error. */
static void remove_default_parent(const struct hierarchy *h, const char *path) {
    static const char parent[] = CGROUP_DEFAULT_PARENT;
    if (strncmp(path, parent, sizeof parent - 1) != 0 || path[sizeof parent - 1] != '/')
        return;
    _cleanup_close_ int root = hierarchy_open(h, "");
    if (root >= 0)
        (void)unlinkat(root, parent + 1, AT_REMOVEDIR);
}

static int remove_unused_until(const struct hierarchy *h, const char *path, int64_t deadline) {
    char full[2 * PATH_MAX];
    size_t length = strlen(h->root);
    if (length > 1 && strncmp(path, h->root, length) == 0 && path[length] == '/')
        path += length;
    if (snprintf(full, sizeof full, "%s%s", h->mount, path) >= (int)sizeof full)
        return -ENAMETOOLONG;
    while (rmdir(full) < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != EBUSY || monotonic_msec() >= deadline)
            return -errno;
        (void)poll(NULL, 0, RETRY_MSEC);
    }
    return 0;
}

typedef int remove_fn(const struct hierarchy *h, const char *path, int64_t deadline);

/* In all hierarchies, whatever happens in one. */
static int remove_everywhere(const char *path, remove_fn *remove, int64_t deadline, struct err *err) {
    char resolved[PATH_MAX];
    _cleanup_hierarchies_ struct hierarchies all = {0};
    int r = cgroup_resolve(path, resolved, err);
    if (r == 0)
        r = hierarchies_find(&all, err);
    if (r < 0)
        return r;
    if (is_inside(resolved))
        return err_set(err, EDEADLK, "the cgroup %s cannot be removed by a process in it", resolved);
    int failed = 0;
    for (size_t i = 0; i < all.count; i++) {
        r = remove(&all.at[i], resolved, deadline);
        if (r == 0)
            remove_default_parent(&all.at[i], resolved);
        if (r < 0 && !is_refusal(r))
            failed = err_set(err, -r, "cannot remove the cgroup %s in %s (%s)", resolved, all.at[i].mount,
                             strerrorname_np(-r));
    }
    return failed;
}

int cgroup_remove(const char *path, struct err *err) {
    return remove_everywhere(path, remove_until, monotonic_msec() + REMOVE_MSEC, err);
}

int cgroup_remove_unused(const char *path, struct err *err) {
    return remove_everywhere(path, remove_unused_until, monotonic_msec() + UNUSED_MSEC, err);
}
