/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/hostfd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    /* A pipe that polls writable takes this much without blocking: pipe(7), PIPE_BUF. */
    POLLED_CHUNK = PIPE_BUF,
    FILE_CHUNK = 256 << 10,
};

void host_fd_init(struct host_fd *h, int fd) {
    struct stat st;
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    *h = (struct host_fd){.fd = fd, .kind = HOST_NOWAIT};
    if (flags < 0 || fstat(fd, &st) < 0)
        return;
    if (S_ISSOCK(st.st_mode))
        h->kind = HOST_SOCKET;
    else if (flags & O_NONBLOCK)
        h->kind = HOST_NONBLOCK;
    else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
        h->kind = HOST_FILE;
}

static bool is_ready(const struct host_fd *h, short events) {
    struct pollfd p = {.fd = h->fd, .events = events};
    return poll(&p, 1, 0) == 1;
}

static ssize_t read_once(struct host_fd *h, void *data, size_t length) {
    struct iovec iov = {.iov_base = data, .iov_len = length};
    switch (h->kind) {
    case HOST_SOCKET:
        return recv(h->fd, data, length, MSG_DONTWAIT);
    case HOST_NOWAIT:
        return preadv2(h->fd, &iov, 1, -1, RWF_NOWAIT);
    case HOST_POLL:
        if (!is_ready(h, POLLIN)) {
            errno = EAGAIN;
            return -1;
        }
        break;
    default:
        break;
    }
    return read(h->fd, data, length);
}

static ssize_t write_once(struct host_fd *h, const void *data, size_t length) {
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
    switch (h->kind) {
    case HOST_SOCKET:
        return send(h->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    case HOST_NOWAIT:
        return pwritev2(h->fd, &iov, 1, -1, RWF_NOWAIT);
    case HOST_POLL:
        if (!is_ready(h, POLLOUT)) {
            errno = EAGAIN;
            return -1;
        }
        return write(h->fd, data, length < POLLED_CHUNK ? length : POLLED_CHUNK);
    case HOST_FILE:
        return write(h->fd, data, length < FILE_CHUNK ? length : FILE_CHUNK);
    default:
        return write(h->fd, data, length);
    }
}

/* Pipes know RWF_NOWAIT from Linux 6.4 on, terminals do not: then only what poll(2) promises is done. */
static bool fall_back(struct host_fd *h) {
    bool refused = h->kind == HOST_NOWAIT && (errno == EOPNOTSUPP || errno == EINVAL || errno == ESPIPE);
    if (refused)
        h->kind = HOST_POLL;
    return refused;
}

ssize_t host_fd_read(struct host_fd *h, void *data, size_t length) {
    for (;;) {
        ssize_t n = read_once(h, data, length);
        if (n >= 0)
            return n;
        if (errno != EINTR && !fall_back(h))
            return -errno;
    }
}

ssize_t host_fd_write(struct host_fd *h, const void *data, size_t length) {
    for (;;) {
        ssize_t n = write_once(h, data, length);
        if (n >= 0)
            return n;
        if (errno != EINTR && !fall_back(h))
            return -errno;
    }
}
