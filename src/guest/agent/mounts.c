/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of a plan, in its order, below the container's root, which is not yet anybody's "/". */
#include "guest/agent/copy.h"
#include "guest/agent/path.h"
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

/* <sys/mount.h> and <linux/mount.h> exclude one another in Debian 12's glibc. */
extern int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);

/* What a bind remount can change: mount(2), "Changing the per-mount-point flags". */
static const unsigned long settable_flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
                                            MS_RELATIME | MS_STRICTATIME | MS_NOSYMFOLLOW;

int mount_attach(int tree, int target) {
    if (syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

int mount_clone(int fd, bool recursive) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u);
    int tree = (int)syscall(SYS_open_tree, fd, "", flags);
    return tree < 0 ? -errno : tree;
}

struct fd_path {
    char text[32];
};

/* mount(2) takes no descriptors; the agent's /proc is still there while mounts are made. */
static struct fd_path fd_path(int fd) {
    struct fd_path path;
    (void)snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

static unsigned long flags_in_force(int fd) {
    static const struct {
        long statfs_flag;
        unsigned long flag;
    } names[] = {
        {1 /* ST_RDONLY */, MS_RDONLY},        {2 /* ST_NOSUID */, MS_NOSUID},
        {4 /* ST_NODEV */, MS_NODEV},          {8 /* ST_NOEXEC */, MS_NOEXEC},
        {1024 /* ST_NOATIME */, MS_NOATIME},   {2048 /* ST_NODIRATIME */, MS_NODIRATIME},
        {4096 /* ST_RELATIME */, MS_RELATIME},
    };
    struct statfs st;
    unsigned long flags = 0;
    if (fstatfs(fd, &st) == 0)
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            if (st.f_flags & names[i].statfs_flag)
                flags |= names[i].flag;
    return flags;
}

int mount_set_flags(int fd, unsigned long flags) {
    struct fd_path path = fd_path(fd);
    flags = (flags & settable_flags) | MS_REMOUNT | MS_BIND;
    if (mount("none", path.text, NULL, flags, NULL) == 0)
        return 0;
    if (errno != EPERM)
        return -errno;
    /* In a user namespace the flags of what was inherited are locked: mount_namespaces(7). */
    unsigned long locked = flags_in_force(fd);
    if (locked & (MS_NOATIME | MS_RELATIME))
        flags &= ~(unsigned long)(MS_NOATIME | MS_RELATIME | MS_STRICTATIME);
    return mount("none", path.text, NULL, flags | locked, NULL) < 0 ? -errno : 0;
}

/* ---- sources ---- */

/* In the share, which is one more foreign tree, links are not followed out of it. */
static int open_source(const char *source) {
    size_t length = strlen(GUEST_SHARE_PATH);
    if (strncmp(source, GUEST_SHARE_PATH "/", length + 1) != 0) {
        int fd = open(source, O_PATH | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    _cleanup_close_ int share = open(GUEST_SHARE_PATH, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return share < 0 ? -errno : open_in_root(share, source + length, O_PATH, 0);
}

static int open_source_of(const plan_mount *plan, struct err *err) {
    _cleanup_close_ int source = open_source(plan->source);
    int tree = source < 0 ? source : mount_clone(source, plan->flags & MS_REC);
    /* Own words: the engines take the text of ENOENT for a missing command. */
    if (tree < 0)
        return err_set(err, -tree, "the source of the mount on %s, %s, cannot be reached in the guest (error %d)",
                       plan->destination, plan->source, -tree);
    return tree;
}

int mounts_open_sources(struct stage *stage, struct err *err) {
    const plan_container *container = stage->container;
    stage->sources = calloc(container->n_mounts + 1, sizeof *stage->sources);
    stage->mounted = calloc(container->n_mounts + 1, sizeof *stage->mounted);
    if (!stage->sources || !stage->mounted)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < container->n_mounts; i++)
        stage->sources[i] = stage->mounted[i] = -EBADF;
    for (size_t i = 0; i < container->n_mounts; i++) {
        const plan_mount *plan = container->mounts[i];
        if (!(plan->flags & MS_BIND))
            continue;
        stage->sources[i] = open_source_of(plan, err);
        if (stage->sources[i] < 0 && !plan->optional)
            return stage->sources[i];
    }
    return 0;
}

/* ---- one mount ---- */

static bool is_type(const plan_mount *plan, const char *type) {
    return strcmp(plan->type, type) == 0;
}

/* Over a link, /proc would land where processes do not look for it, and writes to it would go to files of the image. */
static int refuse_link(int root, const plan_mount *plan, struct err *err) {
    _cleanup_close_ int fd = path_open_plain(root, plan->destination);
    struct stat st;
    if (fd == -ELOOP)
        return err_set(err, ELOOP, "%s must be mounted on an ordinary directory, but %s leads through a symbolic link",
                       plan->type, plan->destination);
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(err, ENOTDIR, "%s must be mounted on an ordinary directory, but %s is none", plan->type,
                       plan->destination);
    return 0;
}

static int open_target(int root, const plan_mount *plan, struct err *err) {
    if (is_type(plan, "proc") || is_type(plan, "sysfs")) {
        int r = refuse_link(root, plan, err);
        if (r < 0)
            return r;
    }
    if ((plan->flags & MS_BIND) && plan->source_is_file)
        return path_make_file(root, plan->destination, err);
    return path_make_directory(root, plan->destination, err);
}

/* A tmpfs without mode= takes the mode of the directory it covers, as with crun and runc. */
static char *mount_data(const plan_mount *plan, int target) {
    struct stat st;
    if (!is_type(plan, "tmpfs") || strncmp(plan->data, "mode=", 5) == 0 || strstr(plan->data, ",mode=") ||
        fstat(target, &st) < 0)
        return strdup(plan->data);
    return text_format("%s%smode=%o", plan->data, *plan->data ? "," : "", st.st_mode & 07777u);
}

/* data without its gid= option. */
static char *without_gid(const char *data) {
    char *copy = strdup(data);
    for (char *p = copy; p && *p;) {
        char *end = p + strcspn(p, ",");
        if (strncmp(p, "gid=", 4) == 0)
            memmove(p, *end ? end + 1 : end, strlen(*end ? end + 1 : end) + 1);
        else
            p = *end ? end + 1 : end;
    }
    return copy;
}

/*
 * In a user namespace the kernel mounts some file systems only for the owner of the matching namespace. Then the
 * agent's own instance is bound, which is what crun does with the host's.
 */
static int mount_inherited(const char *type, int target) {
    static const struct {
        const char *type, *path;
    } inherited[] = {{"sysfs", "/sys"}, {"proc", "/proc"}, {"cgroup2", "/sys/fs/cgroup"}, {"mqueue", "/dev/mqueue"}};
    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++)
        if (strcmp(type, inherited[i].type) == 0)
            return mount(inherited[i].path, fd_path(target).text, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
    return -EPERM;
}

static int mount_type(const plan_mount *plan, int target, bool user_namespace) {
    static const char *const kernel_types[] = {"proc",   "sysfs", "tmpfs",   "devpts",  "mqueue", "cgroup2",
                                               "cgroup", "ramfs", "debugfs", "tracefs", "bpf",    "securityfs"};
    const char *type = is_type(plan, "cgroup") ? "cgroup2" : plan->type; /* the guest has version 2 only */
    unsigned long flags = plan->flags & ~(unsigned long)MS_REC;
    /* Read-only comes last (mounts_finish), because of mount points in it; but a read-only disk is so from the start.
     */
    for (size_t i = 0; i < ARRAY_SIZE(kernel_types); i++)
        if (is_type(plan, kernel_types[i]))
            flags &= ~(unsigned long)MS_RDONLY;
    _cleanup_free_ char *data = mount_data(plan, target);
    if (!data)
        return -ENOMEM;
    const char *source = *plan->source ? plan->source : type;
    if (mount(source, fd_path(target).text, type, flags, data) == 0)
        return 0;
    int r = -errno;
    if (r == -EINVAL && user_namespace && strcmp(type, "devpts") == 0) {
        /* gid=5 is usual, and it may have no mapping. */
        _cleanup_free_ char *reduced = without_gid(data);
        if (!reduced)
            return -ENOMEM;
        return mount(source, fd_path(target).text, type, flags, reduced) < 0 ? -errno : 0;
    }
    return r == -EPERM && user_namespace ? mount_inherited(type, target) : r;
}

/* Make the mount and return a descriptor of its root. */
static int make_mount(struct stage *stage, int root, size_t i, struct err *err) {
    const plan_mount *plan = stage->container->mounts[i];
    _cleanup_close_ int target = open_target(root, plan, err);
    if (target < 0)
        return err_wrap(err, "the mount on %s", plan->destination);
    _cleanup_close_ int below = -EBADF;
    if (plan->copy_up)
        below = open_in_root(root, plan->destination, O_RDONLY | O_DIRECTORY, 0);
    int r;
    if (plan->flags & MS_BIND) {
        r = mount_attach(stage->sources[i], target);
        close_fd(&stage->sources[i]);
    } else {
        r = mount_type(plan, target, stage->user_namespace);
    }
    if (r < 0) {
        errno = -r;
        return err_errno(err, "mount `%s` to `%s`", *plan->source ? plan->source : plan->type, plan->destination);
    }
    /* target still means the directory that is now covered. */
    int made = open_in_root(root, plan->destination, O_PATH, 0);
    if (made < 0)
        return err_set(err, -made, "the mount on %s is not where it was put", plan->destination);
    if (below >= 0) {
        r = copy_tree(below, made, err);
        if (r < 0) {
            close_fd(&made);
            return err_wrap(err, "filling the tmpfs on %s", plan->destination);
        }
    }
    return made;
}

static int set_propagation(int fd, const plan_mount *plan, struct err *err) {
    if (plan->propagation && mount(NULL, fd_path(fd).text, NULL, plan->propagation, NULL) < 0)
        return err_errno(err, "cannot set the propagation of the mount on %s", plan->destination);
    return 0;
}

static int mount_one(struct stage *stage, int root, size_t i, struct err *err) {
    const plan_mount *plan = stage->container->mounts[i];
    if ((plan->flags & MS_BIND) && stage->sources[i] < 0)
        return 0; /* optional, and its source is not there */
    _cleanup_close_ int made = make_mount(stage, root, i, err);
    if (made < 0)
        return made;
    unsigned long flags = plan->flags & settable_flags;
    if ((plan->flags & MS_BIND) && (flags & ~(unsigned long)MS_RDONLY)) {
        int r = mount_set_flags(made, flags & ~(unsigned long)MS_RDONLY);
        if (r < 0) {
            errno = -r;
            return err_errno(err, "cannot set the options of the mount on %s", plan->destination);
        }
    }
    int r = set_propagation(made, plan, err);
    if (r == 0 && ((flags & MS_RDONLY) || plan->recursive_set || plan->recursive_clear))
        stage->mounted[i] = take_fd(&made);
    return r;
}

int mounts_make(struct stage *stage, int root, struct err *err) {
    for (size_t i = 0; i < stage->container->n_mounts; i++) {
        int r = mount_one(stage, root, i, err);
        if (r < 0 && !stage->container->mounts[i]->optional)
            return r;
    }
    return 0;
}

/* ---- when all is in place ---- */

static int finish_one(int fd, const plan_mount *plan, struct err *err) {
    if (plan->flags & MS_RDONLY) {
        int r = mount_set_flags(fd, plan->flags);
        if (r < 0) {
            errno = -r;
            return err_errno(err, "cannot make the mount on %s read-only", plan->destination);
        }
    }
    struct mount_attr attributes = {.attr_set = plan->recursive_set, .attr_clr = plan->recursive_clear};
    /* Access time settings are one field: to set one of them, mount_setattr(2) wants all cleared. */
    if ((attributes.attr_set & MOUNT_ATTR__ATIME) || (attributes.attr_clr & MOUNT_ATTR__ATIME))
        attributes.attr_clr |= MOUNT_ATTR__ATIME;
    if ((attributes.attr_set || attributes.attr_clr) &&
        syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
        return err_errno(err, "cannot set the recursive options of the mount on %s", plan->destination);
    return 0;
}

int mounts_finish(struct stage *stage, struct err *err) {
    for (size_t i = 0; i < stage->container->n_mounts; i++) {
        if (stage->mounted[i] < 0)
            continue;
        int r = finish_one(stage->mounted[i], stage->container->mounts[i], err);
        close_fd(&stage->mounted[i]);
        if (r < 0 && !stage->container->mounts[i]->optional)
            return r;
    }
    return 0;
}

/* ---- masked and read-only paths ---- */

/* Missing, or out of reach even for root: there is nothing to hide. */
static int open_restricted(int root, const char *path, struct err *err) {
    int fd = open_in_root(root, path, O_PATH, 0);
    if (fd >= 0 || fd == -ENOENT || fd == -ENOTDIR || fd == -EACCES || fd == -ELOOP)
        return fd;
    errno = -fd;
    return err_errno(err, "cannot open %s", path);
}

static int mask(int root, const char *path, struct err *err) {
    _cleanup_close_ int fd = open_restricted(root, path, err);
    if (fd < 0)
        return err->code ? fd : 0;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(err, "cannot look at %s", path);
    int r = S_ISDIR(st.st_mode) ? mount("tmpfs", fd_path(fd).text, "tmpfs", MS_RDONLY, "size=0k,nr_inodes=1")
                                : mount("/dev/null", fd_path(fd).text, NULL, MS_BIND, NULL);
    return r < 0 ? err_errno(err, "cannot mask %s", path) : 0;
}

static int make_readonly(int root, const char *path, struct err *err) {
    _cleanup_close_ int fd = open_restricted(root, path, err);
    if (fd < 0)
        return err->code ? fd : 0;
    _cleanup_close_ int tree = mount_clone(fd, true);
    int r = tree < 0 ? tree : mount_attach(tree, fd);
    if (r == 0)
        r = mount_set_flags(tree, flags_in_force(tree) | MS_RDONLY);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot make %s read-only", path);
    }
    return 0;
}

int mounts_restrict(int root, const plan_container *container, struct err *err) {
    err->code = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < container->n_readonly_paths; i++)
        r = make_readonly(root, container->readonly_paths[i], err);
    for (size_t i = 0; r == 0 && i < container->n_masked_paths; i++)
        r = mask(root, container->masked_paths[i], err);
    return r;
}
