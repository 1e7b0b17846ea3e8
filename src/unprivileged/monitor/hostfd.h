/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor of the host that a stream is relayed to, whose open file description other processes share: O_NONBLOCK
 * is never changed on it (a shell that had it as its terminal would see it), and still no read or write may block the
 * monitor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct host_fd {
    int fd; /* owned; -EBADF: none */
    enum { HOST_NONBLOCK, HOST_SOCKET, HOST_FILE, HOST_NOWAIT, HOST_POLL } kind;
};

void host_fd_init(struct host_fd *host, int fd);

/* Bytes, 0 at end of file, -EAGAIN when it would block, or a negative errno. */
ssize_t host_fd_read(struct host_fd *host, void *data, size_t length);
/* Bytes taken (some may be left), -EAGAIN, or a negative errno. SIGPIPE must be ignored. */
ssize_t host_fd_write(struct host_fd *host, const void *data, size_t length);
