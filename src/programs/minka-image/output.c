/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

static const char prefix[] = ".build-";

/* A stream over a directory itself, not over what a link of that name leads to. NULL and errno. */
static DIR *open_stream(int parent, const char *name) {
    _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir)
        (void)take_fd(&fd); /* the stream's now */
    return dir;
}

/* An image is a directory of plain files; nothing else is ever removed. */
static int remove_directory(int parent, const char *name) {
    _cleanup_closedir_ DIR *dir = open_stream(parent, name);
    if (!dir)
        return -errno;
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* What a build that was killed has left; no other is running, for we hold the lock. */
static void remove_leftovers(int image_dir) {
    _cleanup_closedir_ DIR *dir = open_stream(image_dir, ".");
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if (text_has_prefix(e->d_name, prefix))
            (void)remove_directory(image_dir, e->d_name);
}

static int open_image_dir(const char *path, struct err *err) {
    mode_t before = umask(022); /* the images are public; so are the directories above them, whatever the umask says */
    int r = mkdir_parents(AT_FDCWD, path, 0755);
    (void)umask(before);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot create the directory of guest images %s", path);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_errno(err, "cannot open the directory of guest images %s", path) : fd;
}

/* A file of our own, since everyone can open the directory, and whoever can open a thing can lock it: flock(2). */
static int take_lock(int image_dir, const char *path, struct err *err) {
    _cleanup_close_ int fd = openat(image_dir, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, "cannot lock the directory of guest images %s", path);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_errno(err, "cannot lock the directory of guest images %s", path);
    return take_fd(&fd);
}

int build_output_open(const char *image_dir, struct build_output *ret, struct err *err) {
    _cleanup_close_ int parent = open_image_dir(image_dir, err);
    if (parent < 0)
        return parent;
    _cleanup_close_ int lock = take_lock(parent, image_dir, err);
    if (lock < 0)
        return lock;
    remove_leftovers(parent);
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return err_errno(err, "cannot get a random number");
    struct build_output output = {.image_dir = -EBADF, .dir = -EBADF, .lock = -EBADF, .path = image_dir};
    (void)snprintf(output.name, sizeof output.name, "%s%08x", prefix, (unsigned)random);
    if (mkdirat(parent, output.name, 0700) < 0)
        return err_errno(err, "cannot create a directory in %s", image_dir);
    output.dir = openat(parent, output.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (output.dir < 0) {
        int r = err_errno(err, "cannot open %s/%s", image_dir, output.name);
        (void)unlinkat(parent, output.name, AT_REMOVEDIR);
        return r;
    }
    output.image_dir = take_fd(&parent);
    output.lock = take_fd(&lock);
    *ret = output;
    return 0;
}

void build_output_done(struct build_output *output) {
    if (output->name[0] != '\0' && output->image_dir >= 0)
        (void)remove_directory(output->image_dir, output->name);
    close_fd(&output->dir);
    close_fd(&output->image_dir);
    close_fd(&output->lock);
}

static int write_public(const struct build_output *output, const char *name, const struct buf *data, struct err *err) {
    _cleanup_close_ int fd = openat(output->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, "cannot create the image's %s in %s", name, output->path);
    int r = write_all(fd, data->data, data->length);
    if (r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0)) /* fchmod: whatever the umask is */
        r = -errno;
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot write the image's %s in %s", name, output->path);
    }
    return 0;
}

/* Put the new directory in the place of the old one, whose content then is under our temporary name. */
static int swap_in(struct build_output *output, const char *release) {
    if (renameat2(output->image_dir, output->name, output->image_dir, release, RENAME_NOREPLACE) == 0) {
        output->name[0] = '\0';
        return 0;
    }
    if (errno == EEXIST && renameat2(output->image_dir, output->name, output->image_dir, release, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* A file system without these flags (NFS): for an instant there is no image. */
    int r = remove_directory(output->image_dir, release);
    if (r < 0 && r != -ENOENT)
        return r;
    if (renameat(output->image_dir, output->name, output->image_dir, release) < 0)
        return -errno;
    output->name[0] = '\0';
    return 0;
}

int build_output_commit(struct build_output *output, const struct build_result *result, struct err *err) {
    int r = write_public(output, "vmlinux", &result->kernel.vmlinux, err);
    if (r == 0)
        r = write_public(output, "initrd", &result->initrd, err);
    if (r == 0)
        r = write_public(output, "manifest", &result->manifest, err);
    if (r < 0)
        return r;
    if (fchmod(output->dir, 0755) < 0 || fsync(output->dir) < 0)
        return err_errno(err, "cannot write the image in %s", output->path);
    r = swap_in(output, result->kernel.release);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot put the image into its place %s/%s", output->path, result->kernel.release);
    }
    return fsync(output->image_dir) < 0 ? err_errno(err, "cannot write the directory of guest images %s", output->path)
                                        : 0;
}

int build_remove(const char *image_dir, const char *release, struct err *err) {
    if (!image_release_is_valid(release))
        return err_set(err, EINVAL, "'%s' is not the release of a kernel", release);
    if (access(image_dir, F_OK) < 0)
        return err_set(err, ENOENT, "no guest image for kernel %s in %s", release, image_dir);
    _cleanup_build_output_ struct build_output output = {.image_dir = -EBADF, .dir = -EBADF, .lock = -EBADF};
    int r = build_output_open(image_dir, &output, err);
    if (r < 0)
        return r;
    /* Out of sight first, so that nobody finds half an image. */
    (void)unlinkat(output.image_dir, output.name, AT_REMOVEDIR);
    if (renameat(output.image_dir, release, output.image_dir, output.name) < 0)
        return errno == ENOENT ? err_set(err, ENOENT, "no guest image for kernel %s in %s", release, image_dir)
                               : err_errno(err, "cannot remove the guest image %s/%s", image_dir, release);
    return 0; /* the content goes with output */
}
