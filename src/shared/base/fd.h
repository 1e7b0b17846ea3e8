/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors and paths. All descriptors are opened close-on-exec.
 * Paths inside a tree that a container can write go through open_in_root() only.
 */
#pragma once

#include "shared/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: path cannot leave root_fd, by no symlink. fd or -errno. */
int open_in_root(int root_fd, const char *path, int flags, mode_t mode);

/* Read or write all n bytes, over short transfers and EINTR. 0 or -errno; read_all: -ENODATA at early end of file. */
int read_all(int fd, void *data, size_t n);
int write_all(int fd, const void *data, size_t n);

/*
 * Read a whole regular file of at most max bytes into a new NUL-terminated buffer.
 * err names the path. *ret_length may be NULL.
 */
int read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_length, struct err *err);

/* Write a file at once: create path.tmp, write, rename over path. No process ever sees half a file at path. */
int write_file_atomic(int dirfd, const char *path, const void *data, size_t length, mode_t mode, struct err *err);

/* Write a value into an existing kernel file (/proc, /sys, cgroup) in one write(2). 0 or -errno. */
int write_kernel_file(int dirfd, const char *path, const char *value);

/* 0 or -errno. */
int fd_set_nonblock(int fd, int on);
int fd_set_cloexec(int fd, int on);

/* mkdir -p below dirfd. 0 or -errno. */
int mkdir_parents(int dirfd, const char *path, mode_t mode);

/* A sealed memfd of exactly these bytes: a message too large for a socket, immutable for both sides. fd or -errno. */
int memfd_of(const char *name, const void *data, size_t length);

/* Send or receive one message with descriptors (SCM_RIGHTS). Received ones are close-on-exec, surplus ones closed. */
int send_with_fds(int sock, const void *data, size_t length, const int *fds, size_t n_fds);
ssize_t receive_with_fds(int sock, void *data, size_t length, int *fds, size_t max_fds, size_t *ret_n_fds);
