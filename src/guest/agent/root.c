/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's root file system: found and mounted by stage 1, entered by stage 2.
 *
 * The agent's own root is the kernel's rootfs with the initramfs in it. It cannot be left by pivot_root(2), which
 * answers EINVAL there, and root_enter() would move the container's root on top of "/" as switch_root does.
 * Therefore the agent calls root_leave_initramfs() when it boots: the machine then runs in a tmpfs, and pivot_root
 * works. What stays below is the agent's program and its modules, which are in use; a process with CAP_SYS_ADMIN over
 * the machine can get there (by unmounting its root and setns(2)), and find what it can have anyway.
 */
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>

typedef Minka__Plan__V1__Root plan_root;

#define STAGE_LOWER STAGE_DIRECTORY "/lower"
#define STAGE_UPPER STAGE_DIRECTORY "/upper"
#define STAGE_WORK  STAGE_DIRECTORY "/work"

/* ---- leaving the initramfs, once, at boot ---- */

/* What the agent still needs from the initramfs when it runs: its kernel modules. */
static const char kept[] = "/lib/minka";

/* By a bind mount: copying the modules would cost as much as loading them. Nor is anything removed: the program runs,
 * and what else there is has no size. */
static int keep(int new_root, const char *place, struct err *err) {
    _cleanup_free_ char *target = text_format("%s%s", place, kept);
    if (!target || mkdir_parents(new_root, kept + 1, 0755) < 0 || mount(kept, target, NULL, MS_BIND, NULL) < 0)
        return err_errno(err, "cannot keep %s of the initramfs", kept);
    return 0;
}

int root_leave_initramfs(struct err *err) {
    static const char place[] = "/new-root";
    struct statfs fs;
    if (statfs("/", &fs) < 0)
        return err_errno(err, "cannot look at the root file system");
    if (fs.f_type != RAMFS_MAGIC && fs.f_type != TMPFS_MAGIC)
        return 0; /* booted from something that has been pivoted to already */
    if ((mkdir(place, 0755) < 0 && errno != EEXIST) || mount("root", place, "tmpfs", MS_NOSUID, "mode=0755") < 0)
        return err_errno(err, "cannot mount a new root file system");
    _cleanup_close_ int new_root = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (new_root < 0)
        return err_errno(err, "cannot open the new root file system");
    int r = keep(new_root, place, err);
    if (r < 0)
        return r;
    if (fchdir(new_root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return err_errno(err, "cannot change to the new root file system");
    return 0;
}

/* ---- stage 1 ---- */

static bool has_serial(const char *disk, const char *serial) {
    char path[128];
    (void)snprintf(path, sizeof path, "/sys/block/%.64s/serial", disk);
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    if (read_file(AT_FDCWD, path, 256, &text, &length, NULL) < 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    /* virtio-blk has 20 bytes for it and cuts off what is longer. */
    return *text && strncmp(text, serial, 20) == 0;
}

static char *find_disk(const char *serial) {
    _cleanup_closedir_ DIR *disks = opendir("/sys/block");
    if (!disks)
        return NULL;
    for (const struct dirent *e; (e = readdir(disks));)
        if (strncmp(e->d_name, "vd", 2) == 0 && has_serial(e->d_name, serial))
            return text_format("/dev/%s", e->d_name);
    return NULL;
}

/* The driver may still be looking at the disk when its module has been loaded. */
static char *wait_for_disk(const char *serial) {
    for (int tries = 0; tries < 100; tries++) {
        char *found = find_disk(serial);
        if (found && access(found, F_OK) == 0)
            return found;
        free(found);
        (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    return NULL;
}

static int mount_disk(const plan_root *root, const char *place, struct err *err) {
    _cleanup_free_ char *disk = wait_for_disk(root->disk_serial);
    if (!disk)
        return err_set(err, ENODEV, "the virtual machine has no disk with the serial number '%s'", root->disk_serial);
    unsigned long flags = root->disk_readonly ? MS_RDONLY : 0;
    if (mount(disk, place, root->disk_type, flags, NULL) == 0)
        return 0;
    /* A journal that was not closed cannot be replayed on a read-only disk; what is there is then used as it is. */
    if (root->disk_readonly && strcmp(root->disk_type, "ext4") == 0 &&
        mount(disk, place, root->disk_type, flags, "noload") == 0)
        return 0;
    return err_errno(err, "cannot mount the image as %s: is it one, and whole?", root->disk_type);
}

static int mount_directory(const plan_root *root, const char *place, struct err *err) {
    /* Recursive: below may be volumes that the host has put there. */
    if (mount(root->path, place, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_set(err, errno, "the container's root file system %s cannot be reached in the guest (error %d)",
                       root->path, errno);
    return 0;
}

/* The merged root shows upper's mode and owner, so they are those of the image's root. */
static int mount_overlay(struct err *err) {
    struct stat st;
    if (stat(STAGE_LOWER, &st) < 0 || mkdir(STAGE_UPPER, 0755) < 0 || mkdir(STAGE_WORK, 0755) < 0 ||
        chown(STAGE_UPPER, st.st_uid, st.st_gid) < 0 || chmod(STAGE_UPPER, st.st_mode & 07777) < 0)
        return err_errno(err, "cannot prepare the writable layer");
    if (mount("overlay", STAGE_ROOT, "overlay", 0,
              "lowerdir=" STAGE_LOWER ",upperdir=" STAGE_UPPER ",workdir=" STAGE_WORK) < 0)
        return err_errno(err, "cannot put a writable layer over the container's image");
    return 0;
}

int root_prepare(const plan_container *container, struct err *err) {
    const plan_root *root = container->root;
    if (!root || (!*root->path && !*root->disk_serial))
        return err_set(err, EINVAL, "the plan of the container names no root file system");
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_errno(err, "cannot make a mount namespace for the container");
    if (mkdir_parents(AT_FDCWD, STAGE_DIRECTORY, 0755) < 0 ||
        mount("launch", STAGE_DIRECTORY, "tmpfs", MS_NOSUID, "mode=0755") < 0 || mkdir(STAGE_ROOT, 0755) < 0 ||
        mkdir(STAGE_LOWER, 0755) < 0 || mkdir(STAGE_NODES, 0755) < 0)
        return err_errno(err, "cannot prepare %s in the guest", STAGE_DIRECTORY);
    const char *place = root->overlay_tmpfs ? STAGE_LOWER : STAGE_ROOT;
    int r = *root->disk_serial ? mount_disk(root, place, err) : mount_directory(root, place, err);
    return r == 0 && root->overlay_tmpfs ? mount_overlay(err) : r;
}

/* ---- stage 2 ---- */

int root_open(struct err *err) {
    /* Once more on itself: in a user namespace, what was copied with the mount namespace is locked in its place. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(STAGE_ROOT, STAGE_ROOT, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_errno(err, "cannot bind the container's root file system");
    int fd = open(STAGE_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_errno(err, "cannot open the container's root file system") : fd;
}

/*
 * pivot_root(".", "."): the old root ends up on top of the new one and is taken away from there; pivot_root(2), NOTES.
 * The old tree is private since root_open(), so that this does not reach the agent; and "." now names the new root to
 * every call but umount2(2): its mounts keep the propagation they were given.
 */
static int change_root(struct err *err) {
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        if (umount2(".", MNT_DETACH) < 0)
            return err_errno(err, "cannot take the guest's file system away");
        return 0;
    }
    if (errno != EINVAL)
        return err_errno(err, "cannot make the container's root file system its / (pivot_root)");
    if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
        return err_errno(err, "cannot move the container's root file system to /");
    return 0;
}

int root_enter(int root, const plan_container *container, struct err *err) {
    if (container->root->readonly) {
        int r = mount_set_flags(root, MS_RDONLY);
        if (r < 0) {
            errno = -r;
            return err_errno(err, "cannot make the root file system read-only");
        }
    }
    if (fchdir(root) < 0)
        return err_errno(err, "cannot enter the container's root file system");
    int r = change_root(err);
    if (r < 0)
        return r;
    if (chdir("/") < 0)
        return err_errno(err, "cannot enter the container's root file system");
    unsigned long propagation = container->root->propagation;
    if (propagation && mount(NULL, "/", NULL, propagation, NULL) < 0)
        return err_errno(err, "cannot set the propagation of the root file system");
    return 0;
}
