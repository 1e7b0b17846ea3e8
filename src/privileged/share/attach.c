/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of the host come into the share as detached mounts: taken in the host's
 * mount namespace (open_tree(2)), restricted while nobody sees them, then attached
 * by a helper inside the server's (move_mount(2)). The share's own tmpfs is
 * mounted read-only; its directories and mount points are made through a writable
 * clone of that mount which only the helper has.
 */
#include "privileged/share/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct attachment {
    const struct share_export *exports;
    int *trees;
    size_t count;
};

static int fail(struct err *err, const char *what, const char *name) {
    return err_set(err, errno, "%s %s (%s)", what, name, strerrorname_np(errno));
}

/* A step by step walk within one file system: no symlink, no "..", no mount is crossed. */
static int open_within(int dir, const char *path, int flags) {
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    return fd < 0 ? -errno : fd;
}

/* "ID/rootfs": relative, without empty, "." and ".." components. */
static bool name_is_valid(const char *name) {
    if (!name || !*name || strlen(name) >= PATH_MAX)
        return false;
    for (const char *part = name;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 || length > NAME_MAX || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += length;
        if (!*part)
            return true;
    }
}

/* A tree of the host that is attached nowhere yet, with all that the guest must not have taken from it. */
static int take_tree(const struct share_export *export, struct err *err) {
    if (export->source[0] != '/' || !name_is_valid(export->name))
        return err_set(err, EINVAL, "%s cannot be shared as \"%s\"", export->source, export->name ? export->name : "");
    unsigned recursive = export->recursive ? AT_RECURSIVE : 0;
    _cleanup_close_ int tree =
        (int)syscall(SYS_open_tree, AT_FDCWD, export->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
    if (tree < 0 && errno == EINVAL && !recursive)
        return err_set(err, EINVAL,
                       "%s cannot be shared without the mounts below it, which this user namespace may not take off; "
                       "use the option rbind",
                       export->source);
    if (tree < 0)
        return fail(err, "cannot take the tree", export->source);
    struct stat st;
    if (fstat(tree, &st) < 0)
        return fail(err, "cannot stat", export->source);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode))
        return err_set(err, EINVAL, "%s is a device; list it among the container's devices instead", export->source);
    /* Slave: what the host mounts below later shows up, and nothing goes back. */
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (export->readonly ? MOUNT_ATTR_RDONLY : 0),
        .propagation = MS_SLAVE,
    };
    if (mount_setattr(tree, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes) < 0)
        return fail(err, "cannot restrict the tree", export->source);
    return take_fd(&tree);
}

/* The share's tmpfs, writable, and only here. */
static int open_writable(struct err *err) {
    _cleanup_close_ int share = (int)syscall(SYS_open_tree, AT_FDCWD, SHARE_DIR, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    if (share < 0 || mount_setattr(share, "", AT_EMPTY_PATH, &writable, sizeof writable) < 0)
        return fail(err, "cannot open the file server's", SHARE_DIR);
    return take_fd(&share);
}

static int make_parents(int share, const char *name, struct err *err) {
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", name);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(share, path, 0755) < 0 && errno != EEXIST)
            return fail(err, "cannot make the share's directory", path);
        *slash = '/';
    }
    return 0;
}

static int attach_one(int share, const struct share_export *export, int tree, struct err *err) {
    int r = make_parents(share, export->name, err);
    if (r < 0)
        return r;
    struct stat st;
    if (fstat(tree, &st) < 0)
        return fail(err, "cannot stat", export->source);
    r = S_ISDIR(st.st_mode) ? mkdirat(share, export->name, 0755) : mknodat(share, export->name, S_IFREG | 0444, 0);
    if (r < 0)
        return errno == EEXIST ? err_set(err, EEXIST, "the share has a %s already", export->name)
                               : fail(err, "cannot make the share's mount point", export->name);
    /* The same place again, now in the mount that the server sees. */
    _cleanup_close_ int visible = open(SHARE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_close_ int point = visible < 0 ? -EBADF : open_within(visible, export->name, O_PATH);
    if (point < 0)
        return err_set(err, ELOOP, "the share's mount point %s cannot be found again", export->name);
    if (move_mount(tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return fail(err, "cannot attach the tree", export->source);
    return 0;
}

static void detach_one(int share, const char *name) {
    char path[PATH_MAX + sizeof SHARE_DIR];
    (void)snprintf(path, sizeof path, SHARE_DIR "/%s", name);
    while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
    if (unlinkat(share, name, 0) < 0)
        (void)unlinkat(share, name, AT_REMOVEDIR);
}

static int attach_inside(void *data, struct err *err) {
    struct attachment *a = data;
    mode_t mask = umask(0);
    (void)mask; /* this is a helper process that ends after this */
    _cleanup_close_ int share = open_writable(err);
    if (share < 0)
        return share;
    for (size_t i = 0; i < a->count; i++) {
        int r = attach_one(share, &a->exports[i], a->trees[i], err);
        if (r < 0) {
            while (i-- > 0)
                detach_one(share, a->exports[i].name);
            return r;
        }
    }
    return 0;
}

int share_attach(int server_pidfd, const struct share_export *exports, size_t count, struct err *err) {
    if (count == 0)
        return 0;
    struct attachment a = {.exports = exports, .count = count};
    a.trees = malloc(count * sizeof *a.trees);
    if (!a.trees)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        a.trees[i] = -EBADF;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = a.trees[i] = take_tree(&exports[i], err);
    if (r >= 0)
        r = confine_in_mount_namespace(server_pidfd, attach_inside, &a, err);
    for (size_t i = 0; i < count; i++)
        close_fd(&a.trees[i]);
    free(a.trees);
    return r < 0 ? r : 0;
}

/*
 * Everything below path: what is attached goes, then its mount point. Only names in the share's own tmpfs are walked,
 * which nobody but the helper writes; the trees attached there are not entered.
 */
static int detach_below(int share, const char *path, unsigned depth, struct err *err) {
    if (depth > 16)
        return err_set(err, ELOOP, "the share's %s is too deep", path);
    int dir = open_within(share, path, O_RDONLY | O_DIRECTORY);
    _cleanup_closedir_ DIR *entries = dir < 0 ? NULL : fdopendir(dir);
    if (!entries)
        return err_set(err, EIO, "cannot list the share's %s", path);
    for (struct dirent *e; (e = readdir(entries));) {
        char below[PATH_MAX];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below ||
            fstatat(dirfd(entries), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_set(err, EIO, "cannot look at the share's %s", path);
        char point[PATH_MAX + sizeof SHARE_DIR];
        (void)snprintf(point, sizeof point, SHARE_DIR "/%s", below);
        while (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            ;
        if (errno != EINVAL) /* not a mount point: umount2(2) */
            return fail(err, "cannot detach the share's", below);
        int r = S_ISDIR(st.st_mode) ? detach_below(share, below, depth + 1, err) : 0;
        if (r < 0)
            return r;
        if (unlinkat(share, below, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
            return fail(err, "cannot remove the share's", below);
    }
    return 0;
}

static int detach_inside(void *data, struct err *err) {
    const char *id = data;
    _cleanup_close_ int share = open_writable(err);
    if (share < 0)
        return share;
    if (faccessat(share, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    int r = detach_below(share, id, 0, err);
    if (r == 0 && unlinkat(share, id, AT_REMOVEDIR) < 0)
        r = fail(err, "cannot remove the share's directory", id);
    return r;
}

int share_detach(int server_pidfd, const char *container_id, struct err *err) {
    if (!id_is_valid(container_id))
        return err_set(err, EINVAL, "\"%s\" is no container's id", container_id);
    return confine_in_mount_namespace(server_pidfd, detach_inside, (void *)(uintptr_t)container_id, err);
}

int share_empty(const struct confine_plan *plan, int server_pidfd, struct err *err) {
    pid_t pid = confine_pid_of(server_pidfd);
    if (pid < 0)
        return err_set(err, ESRCH, "the file server has ended");
    return confine_empty(plan, server_pidfd, pid, err);
}
