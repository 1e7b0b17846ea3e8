/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/fd.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int open_in_root(int root_fd, const char *path, int flags, mode_t mode) {
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    /* EAGAIN: a rename or mount raced with the walk; openat2(2) asks for another try. */
    for (int tries = 0; tries < 32; tries++) {
        int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
        if (fd >= 0)
            return fd;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return -EAGAIN;
}

int read_all(int fd, void *data, size_t n) {
    for (char *p = data; n > 0;) {
        ssize_t got = read(fd, p, n);
        if (got == 0)
            return -ENODATA;
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

int write_all(int fd, const void *data, size_t n) {
    for (const char *p = data; n > 0;) {
        ssize_t put = write(fd, p, n);
        if (put < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

int read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_length, struct err *err) {
    /* O_NONBLOCK: opening a FIFO that somebody put at this path must not hang. */
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, "cannot open %s", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(err, "cannot stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "%s is not a regular file", path);

    size_t capacity = 4096, length = 0;
    if (st.st_size > 0 && (uintmax_t)st.st_size <= max)
        capacity = (size_t)st.st_size + 1;
    _cleanup_free_ char *data = malloc(capacity + 1);
    if (!data)
        return err_set(err, ENOMEM, "out of memory reading %s", path);
    for (;;) {
        ssize_t got = read(fd, data + length, capacity - length);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return err_errno(err, "cannot read %s", path);
        }
        if (got == 0)
            break;
        length += (size_t)got;
        if (length > max)
            return err_set(err, EFBIG, "%s is larger than %zu bytes", path, max);
        if (length == capacity) {
            capacity = capacity * 2;
            char *grown = realloc(data, capacity + 1);
            if (!grown)
                return err_set(err, ENOMEM, "out of memory reading %s", path);
            data = grown;
        }
    }
    data[length] = '\0';
    *ret = take_ptr(data);
    if (ret_length)
        *ret_length = length;
    return 0;
}

int write_file_atomic(int dirfd, const char *path, const void *data, size_t length, mode_t mode, struct err *err) {
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary)
        return err_set(err, ENAMETOOLONG, "the path %s is too long", path);
    _cleanup_close_ int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_errno(err, "cannot create %s", temporary);
    /* Without fsync(2), which takes 5 to 10 ms on a disk: what is kept so is about processes, and none of them outlives
     * a crash of the machine. A full disk is told by write(2). */
    int r = write_all(fd, data, length);
    if (r == 0 && renameat(dirfd, temporary, dirfd, path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlinkat(dirfd, temporary, 0);
        errno = -r;
        return err_errno(err, "cannot write %s", path);
    }
    return 0;
}

int write_kernel_file(int dirfd, const char *path, const char *value) {
    _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, value, strlen(value));
    if (n < 0)
        return -errno;
    return (size_t)n == strlen(value) ? 0 : -EIO;
}

int fd_set_nonblock(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return wanted != flags && fcntl(fd, F_SETFL, wanted) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, int on) {
    return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

int mkdir_parents(int dirfd, const char *path, mode_t mode) {
    _cleanup_free_ char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *p = copy + 1; *copy; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char saved = *p;
        *p = '\0';
        if (mkdirat(dirfd, copy, mode) < 0 && errno != EEXIST)
            return -errno;
        if (saved == '\0')
            break;
        *p = saved;
    }
    return 0;
}

int memfd_of(const char *name, const void *data, size_t length) {
    _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, data, length);
    if (r < 0)
        return r;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    return take_fd(&fd);
}

enum { MAX_FDS_PER_MESSAGE = 64 };

int send_with_fds(int sock, const void *data, size_t length, const int *fds, size_t n_fds) {
    if (n_fds > MAX_FDS_PER_MESSAGE)
        return -EINVAL;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS_PER_MESSAGE)];
    } control = {0};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == length ? 0 : -EIO;
}

ssize_t receive_with_fds(int sock, void *data, size_t length, int *fds, size_t max_fds, size_t *ret_n_fds) {
    struct iovec iov = {.iov_base = data, .iov_len = length};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS_PER_MESSAGE)];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *ret_n_fds = 0;
    ssize_t n;
    do
        n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (*ret_n_fds < max_fds)
                fds[(*ret_n_fds)++] = fd;
            else
                (void)close(fd);
        }
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (size_t i = 0; i < *ret_n_fds; i++)
            (void)close(fds[i]);
        *ret_n_fds = 0;
        return -EMSGSIZE;
    }
    return n;
}
