/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail: a tmpfs with just the plan's mounts, which becomes the root. Works on
 * mount descriptors (fsopen(2), open_tree(2), move_mount(2): Linux 5.12), so that
 * no directory of the host is needed as a mount point and no path below the jail
 * is ever looked up from the host's root.
 */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* A detached mount of a new file system. options: key, value, ..., NULL. */
static int new_mount(const char *type, const char *const *options, unsigned attributes, struct err *err) {
    _cleanup_close_ int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return err_errno_name(err, "cannot open the file system %s", type);
    for (const char *const *o = options; o && o[0]; o += 2)
        if (fsconfig(fs, FSCONFIG_SET_STRING, o[0], o[1], 0) < 0)
            return err_errno_name(err, "cannot set %s=%s of a %s", o[0], o[1], type);
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return err_errno_name(err, "cannot make a %s", type);
    int mount = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    return mount < 0 ? err_errno_name(err, "cannot mount a %s", type) : mount;
}

/* The directory that target is in, made as needed; never through a symlink. *ret_name points into target. */
static int open_parent(int jail, const char *target, const char **ret_name, struct err *err) {
    _cleanup_close_ int dir = fcntl(jail, F_DUPFD_CLOEXEC, 3);
    if (dir < 0)
        return err_errno_name(err, "cannot copy a descriptor");
    const char *part = target + 1;
    for (const char *slash; (slash = strchr(part, '/')); part = slash + 1) {
        char name[NAME_MAX + 1];
        if ((size_t)(slash - part) >= sizeof name)
            return err_set(err, ENAMETOOLONG, "a name in %s is too long", target);
        (void)snprintf(name, sizeof name, "%.*s", (int)(slash - part), part);
        if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
            return err_errno_name(err, "cannot make %s in the jail, for %s", name, target);
        int next = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return err_errno_name(err, "cannot enter %s in the jail, for %s", name, target);
        close_fd(&dir);
        dir = next;
    }
    *ret_name = part;
    return take_fd(&dir);
}

/* Attach tree at parent/name, where an empty file or directory is made to match. */
static int attach(int tree, int parent, const char *name, const char *target, struct err *err) {
    struct stat st;
    if (fstat(tree, &st) < 0)
        return err_errno_name(err, "cannot stat what is to be mounted at %s", target);
    int r = S_ISDIR(st.st_mode) ? mkdirat(parent, name, 0755) : mknodat(parent, name, S_IFREG | 0444, 0);
    if (r < 0 && errno != EEXIST)
        return err_errno_name(err, "cannot make the mount point %s", target);
    if (move_mount(tree, "", parent, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_errno_name(err, "cannot mount at %s", target);
    return 0;
}

/* A private clone of what is at path (or at tree, when that is an open one) with the safe attributes. */
static int clone_tree(const struct confine_mount *m, const char *path, bool device, struct err *err) {
    unsigned recursive = m->recursive ? AT_RECURSIVE : 0;
    _cleanup_close_ int tree =
        m->source_fd >= 0 && !device
            ? fcntl(m->source_fd, F_DUPFD_CLOEXEC, 3)
            : (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
    if (tree < 0)
        return err_errno_name(err, "cannot take %s for %s", path ? path : "a tree", m->target);
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NOSUID | (device ? 0 : MOUNT_ATTR_NODEV) | (m->writable ? 0 : MOUNT_ATTR_RDONLY) |
                    (m->executable ? 0 : MOUNT_ATTR_NOEXEC),
        .propagation = MS_PRIVATE,
    };
    if (mount_setattr(tree, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes) < 0)
        return err_errno_name(err, "cannot restrict %s", m->target);
    return take_fd(&tree);
}

static int place_bind(const struct confine_mount *m, int parent, const char *name, struct err *err) {
    _cleanup_close_ int tree = clone_tree(m, m->source, false, err);
    return tree < 0 ? tree : attach(tree, parent, name, m->target, err);
}

/*
 * A device node of the process's own. In a user namespace nobody can make one (mknod(2): EPERM), so there the host's
 * node is bound, and its mode decides.
 */
static int place_node(const struct confine_plan *plan, const struct confine_mount *m, int parent, const char *name,
                      struct err *err) {
    if (mknodat(parent, name, S_IFCHR | 0600, m->source_dev) == 0) {
        if (fchownat(parent, name, plan->uid, plan->gid, AT_SYMLINK_NOFOLLOW) < 0)
            return err_errno_name(err, "cannot give %s to its user", m->target);
        if (fchmodat(parent, name, 0600, 0) < 0)
            return err_errno_name(err, "cannot set the mode of %s", m->target);
        return 0;
    }
    if (errno != EPERM)
        return err_errno_name(err, "cannot make the device node %s", m->target);
    const char *host = m->source ? m->source : m->target;
    _cleanup_close_ int tree = clone_tree(m, host, true, err);
    if (tree < 0)
        return tree;
    struct stat st;
    if (fstat(tree, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != m->source_dev)
        return err_set(err, ENODEV, "%s is not character device %u:%u", host, major(m->source_dev),
                       minor(m->source_dev));
    return attach(tree, parent, name, m->target, err);
}

static int place_file_system(const struct confine_mount *m, int parent, const char *name, struct err *err) {
    static const char *const tmpfs[] = {"mode", "0755", "size", "4m", "nr_inodes", "4096", NULL};
    static const char *const proc[] = {"subset", "pid", NULL};
    bool is_proc = m->kind == CONFINE_MOUNT_PROC;
    unsigned attributes = SAFE | MOUNT_ATTR_NOEXEC | (m->writable ? 0 : MOUNT_ATTR_RDONLY);
    _cleanup_close_ int tree = new_mount(is_proc ? "proc" : "tmpfs", is_proc ? proc : tmpfs, attributes, err);
    return tree < 0 ? tree : attach(tree, parent, name, m->target, err);
}

/* The content of file as a new one at parent/name, which the process cannot read: 0111, and a stranger's. */
static int place_copy(const struct confine_plan *plan, int file, int parent, const char *name, struct err *err) {
    struct stat st;
    _cleanup_close_ int copy = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0700);
    if (copy < 0 || fstat(file, &st) < 0)
        return err_errno_name(err, "cannot copy %s", name);
    for (off_t at = 0; at < st.st_size;) {
        ssize_t n = sendfile(copy, file, &at, (size_t)(st.st_size - at));
        if (n < 0)
            return err_errno_name(err, "cannot copy %s", name);
        if (n == 0)
            return err_set(err, EIO, "%s became shorter while it was copied", name);
    }
    uint32_t owner;
    if (confine_stranger(plan, &owner) && fchown(copy, owner, owner) < 0)
        return err_errno_name(err, "cannot set the owner of the copy of %s", name);
    if (fchmod(copy, 0111) < 0)
        return err_errno_name(err, "cannot set the mode of the copy of %s", name);
    return 0;
}

static int place(const struct confine_plan *plan, const struct confine_mount *m, int jail, const char *unreadable,
                 struct err *err) {
    const char *name = NULL;
    _cleanup_close_ int parent = open_parent(jail, m->target, &name, err);
    if (parent < 0)
        return parent;
    switch (m->kind) {
    case CONFINE_MOUNT_BIND:
        if (strcmp(m->target, unreadable) == 0 && m->source) {
            _cleanup_close_ int file = open(m->source, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
            if (file < 0)
                return err_errno_name(err, "cannot open %s", m->source);
            return place_copy(plan, file, parent, name, err);
        }
        return place_bind(m, parent, name, err);
    case CONFINE_MOUNT_NODE:
        return place_node(plan, m, parent, name, err);
    case CONFINE_MOUNT_SYMLINK:
        return symlinkat(m->source, parent, name) < 0 ? err_errno_name(err, "cannot make the symlink %s", m->target)
                                                      : 0;
    case CONFINE_MOUNT_DIR:
        return mkdirat(parent, name, 0755) < 0 && errno != EEXIST
                   ? err_errno_name(err, "cannot make the directory %s", m->target)
                   : 0;
    case CONFINE_MOUNT_TMPFS:
    case CONFINE_MOUNT_PROC:
        return place_file_system(m, parent, name, err);
    }
    return err_set(err, EINVAL, "unknown kind of mount at %s", m->target);
}

/*
 * A program executed by descriptor is copied too, unless the process cannot read it anyway (installed as 0711). The
 * copy is gone from the jail when that is entered, but the name it had is the one that ps(1) shows: proc_pid_comm(5).
 */
static int hide_executable(const struct confine_plan *plan, int jail, int *executable_fd, struct err *err) {
    const char *slash = strrchr(plan->argv[0], '/'), *name = slash ? slash + 1 : plan->argv[0];
    struct stat st;
    if (*executable_fd < 0)
        return 0;
    if (fstat(*executable_fd, &st) < 0)
        return err_errno_name(err, "cannot stat its program");
    if (st.st_uid != plan->uid && st.st_gid != plan->gid && !(st.st_mode & S_IROTH))
        return 0;
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "/proc/self/fd/%d", *executable_fd) < 0)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_close_ int file = open(path, O_RDONLY | O_CLOEXEC); /* may have been O_PATH */
    if (file < 0)
        return err_errno_name(err, "cannot read its program");
    int r = place_copy(plan, file, jail, name, err);
    if (r < 0)
        return r;
    int copy = openat(jail, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (copy < 0 || unlinkat(jail, name, 0) < 0)
        return err_errno_name(err, "cannot open the copy of its program");
    *executable_fd = copy;
    return 0;
}

/* nodev is for later (confine_empty) when there are nodes; noexec too, as the interpreter's copy lies in the tmpfs. */
static int new_jail(const struct confine_plan *plan, struct err *err) {
    static const char *const options[] = {"mode", "0755", "size", "32m", "nr_inodes", "4096", NULL};
    unsigned attributes = SAFE;
    for (size_t i = 0; i < plan->n_mounts; i++)
        if (plan->mounts[i].kind == CONFINE_MOUNT_NODE)
            attributes &= ~(unsigned)MOUNT_ATTR_NODEV;
    return new_mount("tmpfs", options, attributes, err);
}

int confine_enter_jail(const struct confine_plan *plan, int *executable_fd, struct err *err) {
    char unreadable[PATH_MAX];
    int r = confine_unreadable_target(plan, unreadable, err);
    if (r < 0)
        return r;
    /* Nothing may travel back to the host: mount_namespaces(7), and pivot_root(2) refuses shared parents. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_errno_name(err, "cannot make its mounts private");
    _cleanup_close_ int jail = new_jail(plan, err);
    if (jail < 0)
        return jail;
    /* On top of the root directory, which every mount namespace has; this process still sees what lies below. */
    if (move_mount(jail, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_errno_name(err, "cannot mount its root");
    mode_t mask = umask(0);
    for (size_t i = 0; r == 0 && i < plan->n_mounts; i++)
        r = place(plan, &plan->mounts[i], jail, unreadable, err);
    if (r == 0)
        r = hide_executable(plan, jail, executable_fd, err);
    (void)umask(mask);
    if (r < 0)
        return r;
    struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(jail, "", AT_EMPTY_PATH, &readonly, sizeof readonly) < 0)
        return err_errno_name(err, "cannot make its root read-only");
    /* pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one and is taken off. */
    if (fchdir(jail) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return err_errno_name(err, "cannot enter its root");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return err_errno_name(err, "cannot leave the host's root");
    return 0;
}
