/* SPDX-License-Identifier: Apache-2.0 */
/* Device nodes and the links in /dev. The device program of the cgroup is in force by now: it allows mknod as crun's.
 */
#include "guest/agent/path.h"
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { NODE_NAME_MAX = sizeof STAGE_NODES + 21 };

static void node_name(char name[NODE_NAME_MAX], size_t index) {
    (void)snprintf(name, NODE_NAME_MAX, STAGE_NODES "/%zu", index);
}

static int make_node(int dir, const char *name, const plan_device *device, uid_t uid, gid_t gid) {
    if (mknodat(dir, name, device->mode, makedev(device->major, device->minor)) < 0)
        return -errno;
    /* mknod has applied no umask (it is 0 in a stage), but an inherited ACL may have changed the mode. */
    if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(dir, name, device->mode & 07777u, 0) < 0)
        return -errno;
    return 0;
}

/* Where the container cannot make nodes (user namespaces, a share without), it gets one of the guest's by a bind. */
static int prepare_one(const plan_container *container, size_t i, struct err *err) {
    const plan_device *device = container->devices[i];
    const Minka__Plan__V1__Namespaces *ns = container->namespaces;
    uint32_t uid = device->uid, gid = device->gid;
    if (ns && ns->n_uid_mappings) {
        uid = mapping_outside(ns->uid_mappings, ns->n_uid_mappings, device->uid);
        gid = mapping_outside(ns->gid_mappings, ns->n_gid_mappings, device->gid);
    }
    if (uid == UINT32_MAX || gid == UINT32_MAX)
        return err_set(err, EINVAL, "the owner %u:%u of the device %s is not mapped in the user namespace", device->uid,
                       device->gid, device->path);
    char name[NODE_NAME_MAX];
    node_name(name, i);
    int r = make_node(AT_FDCWD, name, device, uid, gid);
    if (r < 0 && r != -EEXIST) {
        errno = -r;
        return err_errno(err, "cannot prepare the device %s", device->path);
    }
    return 0;
}

int devices_prepare(const plan_container *container, struct err *err) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < container->n_devices; i++)
        r = prepare_one(container, i, err);
    return r;
}

static int bind_node(int root, const char *node, const plan_device *device, struct err *err) {
    _cleanup_close_ int target = path_make_file(root, device->path, err);
    if (target < 0)
        return target;
    _cleanup_close_ int source = open(node, O_PATH | O_CLOEXEC);
    _cleanup_close_ int tree = source < 0 ? -errno : mount_clone(source, false);
    int r = tree < 0 ? tree : mount_attach(tree, target);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot bind the device %s", device->path);
    }
    return 0;
}

/* A node that the image has already: taken, with the owner and mode that were asked for, if it is the right one. */
static int adopt(int parent, const char *name, const plan_device *device, struct err *err) {
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, "cannot look at the device %s", device->path);
    bool same = (st.st_mode & S_IFMT) == (device->mode & S_IFMT) &&
                (S_ISFIFO(st.st_mode) || st.st_rdev == makedev(device->major, device->minor));
    if (!same)
        return 0; /* as crun and runc: what the image or a volume put there stays */
    if (fchownat(parent, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent, name, device->mode & 07777u, 0) < 0)
        return err_errno(err, "cannot set the owner of the device %s", device->path);
    return 0;
}

static int make_device(const struct stage *stage, int root, size_t i, struct err *err) {
    const plan_device *device = stage->container->devices[i];
    char node[NODE_NAME_MAX];
    node_name(node, i);
    if (stage->user_namespace && !S_ISFIFO(device->mode))
        return bind_node(root, node, device, err);
    const char *name;
    _cleanup_close_ int parent = path_make_parent(root, device->path, &name, err);
    if (parent < 0)
        return parent;
    int r = make_node(parent, name, device, device->uid, device->gid);
    if (r == -EEXIST)
        return adopt(parent, name, device, err);
    if (r == -EPERM && !stage->user_namespace) {
        r = prepare_one(stage->container, i, err);
        return r < 0 ? r : bind_node(root, node, device, err);
    }
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot create the device %s", device->path);
    }
    return 0;
}

static int make_link(int root, const Minka__Plan__V1__Symlink *link, struct err *err) {
    const char *name;
    _cleanup_close_ int parent = path_make_parent(root, link->path, &name, err);
    if (parent < 0)
        return parent;
    if (symlinkat(link->target, parent, name) == 0)
        return 0;
    /* An image's own /dev/ptmx would be the guest's terminals, not the container's. */
    if (errno == EEXIST && strcmp(link->path, "/dev/ptmx") == 0 && unlinkat(parent, name, 0) == 0 &&
        symlinkat(link->target, parent, name) == 0)
        return 0;
    return errno == EEXIST ? 0 : err_errno(err, "cannot create the link %s", link->path);
}

int devices_make(const struct stage *stage, int root, struct err *err) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < stage->container->n_devices; i++)
        r = make_device(stage, root, i, err);
    for (size_t i = 0; r == 0 && i < stage->container->n_symlinks; i++)
        r = make_link(root, stage->container->symlinks[i], err);
    return r;
}
