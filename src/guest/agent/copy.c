/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/copy.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { DEPTH_MAX = 128 }; /* of directories: each level holds two descriptors and one stack frame */

static int copy_content(int from, int to, unsigned depth, struct err *err);

/* The content of a directory may be copied before its owner; so a mode without w for root does not matter here. */
static int copy_attributes(int from, int to, const struct stat *st) {
    if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
        return -errno;
    char names[4096], value[65536];
    ssize_t length = flistxattr(from, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, sizeof value);
        if (size >= 0)
            (void)fsetxattr(to, name, value, (size_t)size, 0); /* a tmpfs has not every kind */
    }
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    (void)futimens(to, times);
    return 0;
}

static int copy_file(int from, int to, off_t size) {
    while (size > 0) {
        ssize_t n = sendfile(to, from, NULL, (size_t)size);
        if (n < 0)
            return -errno;
        if (n == 0) /* it shrank meanwhile */
            return 0;
        size -= n;
    }
    return 0;
}

static int copy_link(int from, int to, const char *name, const struct stat *st) {
    char target[PATH_MAX];
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length < 0)
        return -errno;
    target[length] = '\0';
    if (symlinkat(target, to, name) < 0 || fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int copy_special(int to, const char *name, const struct stat *st) {
    if (mknodat(to, name, st->st_mode, st->st_rdev) < 0 ||
        fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int copy_entry(int from, int to, const char *name, unsigned depth, struct err *err) {
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, "cannot look at %s", name);
    int r = 0;
    if (S_ISLNK(st.st_mode)) {
        r = copy_link(from, to, name, &st);
    } else if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        r = copy_special(to, name, &st);
    } else {
        int kind = S_ISDIR(st.st_mode) ? O_DIRECTORY : O_NONBLOCK;
        _cleanup_close_ int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind);
        if (source < 0)
            return err_errno(err, "cannot open %s", name);
        if (S_ISDIR(st.st_mode) && mkdirat(to, name, 0700) < 0 && errno != EEXIST)
            return err_errno(err, "cannot create %s", name);
        int flags = S_ISDIR(st.st_mode) ? O_RDONLY | O_DIRECTORY : O_WRONLY | O_CREAT | O_EXCL;
        _cleanup_close_ int copy = openat(to, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (copy < 0)
            return err_errno(err, "cannot create %s", name);
        r = S_ISDIR(st.st_mode) ? copy_content(source, copy, depth + 1, err) : copy_file(source, copy, st.st_size);
        if (r < 0 && S_ISDIR(st.st_mode))
            return r;
        if (r == 0)
            r = copy_attributes(source, copy, &st);
    }
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot copy %s", name);
    }
    return 0;
}

static int copy_content(int from, int to, unsigned depth, struct err *err) {
    if (depth > DEPTH_MAX)
        return err_set(err, ELOOP, "the directories are nested more than %d levels deep", DEPTH_MAX);
    _cleanup_close_ int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *directory = again < 0 ? NULL : fdopendir(again);
    if (!directory)
        return err_errno(err, "cannot read a directory");
    (void)take_fd(&again);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry)
            return errno ? err_errno(err, "cannot read a directory") : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int r = copy_entry(from, to, entry->d_name, depth, err);
        if (r < 0)
            return r;
    }
}

int copy_tree(int from, int to, struct err *err) {
    _cleanup_close_ int target = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target < 0)
        return err_errno(err, "cannot open the directory to be filled");
    return copy_content(from, target, 0, err);
}
