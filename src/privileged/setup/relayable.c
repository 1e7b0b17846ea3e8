/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the caller's descriptors can be a stream of a process in the guest (--preserve-fds). No descriptor reaches
 * another kernel, only the bytes that go through it; what is more than a stream of bytes, or would be less after it was
 * relayed, is refused here, before anything is made.
 */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int refuse(int number, const char *what, const char *instead, struct err *err) {
    return err_set(err, EINVAL, "descriptor %d is %s, which cannot be passed into a virtual machine: %s", number, what,
                   instead);
}

static int look_at_socket(int fd, int number, enum stream_kind *ret, struct err *err) {
    static const char stream_only[] = "only a connected stream socket can be relayed";
    int type = 0, listening = 0;
    socklen_t length = sizeof type;
    struct sockaddr_storage peer;
    socklen_t peer_length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
        return err_errno_name(err, "cannot find out what descriptor %d is", number);
    if (type == SOCK_DGRAM)
        return refuse(number, "a datagram socket", stream_only, err);
    if (type != SOCK_STREAM)
        return refuse(number, type == SOCK_SEQPACKET ? "a seqpacket socket" : "a raw socket", stream_only, err);
    length = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening)
        return refuse(number, "a listening socket",
                      "pass the connection once it is accepted, as systemd does with Accept=yes", err);
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_length) < 0)
        return refuse(number, "a socket that is not connected", stream_only, err);
    *ret = STREAM_SOCKET;
    return 0;
}

/* By access mode. */
static int one_way(int number, int access, const char *what, const char *instead, enum stream_kind *ret,
                   struct err *err) {
    if (access != O_RDONLY && access != O_WRONLY)
        return refuse(number, what, instead, err);
    *ret = access == O_RDONLY ? STREAM_INPUT : STREAM_OUTPUT;
    return 0;
}

/* The memory devices that are streams: null, zero, full, random, urandom; mem(4), null(4), full(4), random(4). */
static int look_at_device(int fd, int number, int access, dev_t device, enum stream_kind *ret, struct err *err) {
    unsigned minor_number = minor(device);
    if (isatty(fd) || errno == EIO) /* EIO: it has hung up */
        return refuse(number, "a terminal", "process.terminal gives the container one of its own", err);
    if (major(device) != 1 ||
        (minor_number != 3 && minor_number != 5 && minor_number != 7 && minor_number != 8 && minor_number != 9))
        return refuse(number, "a device", "its driver is in the host's kernel; put a program and a pipe in between",
                      err);
    if (access == O_RDWR)
        *ret = STREAM_SOCKET; /* relayed both ways, as if it were one */
    return access == O_RDWR ? 0 : one_way(number, access, "a device", "open it for reading or writing", ret, err);
}

/* What has no name in a file system is a handle on something in the kernel: an eventfd, a namespace, a pidfd. */
static int look_at_name(int fd, int number, struct err *err) {
    char path[40], name[64] = "";
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, name, sizeof name - 1);
    if (length < 0)
        return err_errno_name(err, "cannot find out what descriptor %d is", number);
    if (name[0] == '/')
        return 0;
    char what[80];
    (void)snprintf(what, sizeof what, "a handle of the host's kernel (%s)", name);
    return refuse(number, what, "only pipes, connected stream sockets and files can be relayed", err);
}

int relayable(int fd, int number, enum stream_kind *ret, struct err *err) {
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &st) < 0)
        return err_set(err, EBADF, "descriptor %d is not open", number);
    int access = flags & O_ACCMODE;
    if (S_ISDIR(st.st_mode))
        return refuse(number, "a directory", "mount it as a volume", err);
    if (flags & O_PATH)
        return refuse(number, "opened with O_PATH", "nothing can be read from it or written to it", err);
    if (S_ISBLK(st.st_mode))
        return refuse(number, "a block device", "mount what is on it as a volume, or make it the root with --image",
                      err);
    if (S_ISSOCK(st.st_mode))
        return look_at_socket(fd, number, ret, err);
    if (S_ISFIFO(st.st_mode))
        return one_way(number, access, "a pipe open for reading and writing", "open it for one of the two", ret, err);
    if (S_ISCHR(st.st_mode))
        return look_at_device(fd, number, access, st.st_rdev, ret, err);
    int r = look_at_name(fd, number, err);
    return r < 0 ? r
                 : one_way(number, access, "a file open for reading and writing",
                           "mount it as a volume, or open it for one of the two", ret, err);
}
