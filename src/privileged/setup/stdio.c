/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's standard descriptors on their way to the monitor.
 *
 * The monitor never blocks, and whether a descriptor blocks is told by the open file
 * description, which the caller (a shell, conmon) goes on using: pipes, FIFOs and
 * terminals are therefore opened anew. Regular files are not, since the offset is
 * shared on purpose ("(minka run a; echo) >file"), nor are sockets, which cannot be.
 */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

void stdio_init(struct stdio *stdio) {
    *stdio = (struct stdio){.fds = {-EBADF, -EBADF, -EBADF}, .master = -EBADF};
}

void stdio_done(struct stdio *stdio) {
    for (int i = 0; i < 3; i++)
        close_fd(&stdio->fds[i]);
    close_fd(&stdio->master);
    stdio_init(stdio);
}

static int open_anew(int fd, int access) {
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int duplicate(int fd, bool input, int *ret, struct err *err) {
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return open_null(ret, err);
    /* A terminal of the caller's is not for a process that outlives the command to read from. */
    if (input && isatty(fd))
        return open_null(ret, err);
    _cleanup_close_ int copy = -EBADF;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        copy = open_anew(fd, input ? O_RDONLY : O_WRONLY);
        if (copy < 0 && S_ISCHR(st.st_mode) && errno == ENXIO) /* a terminal that has hung up */
            return open_null(ret, err);
    }
    /* EACCES: somebody else's pipe, as after su(1). Then the description is shared, and the monitor bears with it. */
    if (copy < 0)
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return err_errno_name(err, "cannot duplicate a standard descriptor");
    *ret = take_fd(&copy);
    return 0;
}

/*
 * A pty on the host whose slave the monitor reads and writes. The guest has the terminal that programs see, with its
 * line discipline; this one must hand everything through unchanged.
 */
static int make_pty(struct stdio *stdio, unsigned rows, unsigned columns, struct err *err) {
    _cleanup_close_ int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        return err_errno_name(err, "cannot make a terminal (/dev/ptmx)");
    int unlock = 0;
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return err_errno_name(err, "cannot unlock the new terminal");
    _cleanup_close_ int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_errno_name(err, "cannot open the new terminal");
    struct termios raw;
    if (tcgetattr(slave, &raw) < 0)
        return err_errno_name(err, "cannot read the new terminal's settings");
    cfmakeraw(&raw);
    if (tcsetattr(slave, TCSANOW, &raw) < 0)
        return err_errno_name(err, "cannot change the new terminal's settings");
    if (rows > 0 && rows <= UINT16_MAX && columns > 0 && columns <= UINT16_MAX) {
        struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
        (void)ioctl(slave, TIOCSWINSZ, &size);
    }
    stdio->fds[0] = take_fd(&slave);
    stdio->master = take_fd(&master);
    return 0;
}

int stdio_prepare(struct stdio *stdio, bool terminal, const int fds[3], unsigned rows, unsigned columns,
                  struct err *err) {
    stdio->terminal = terminal;
    if (terminal)
        return make_pty(stdio, rows, columns, err);
    for (int i = 0; i < 3; i++) {
        int r = duplicate(fds[i], i == 0, &stdio->fds[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* With the name of the slave, as runc sends it (libcontainer/utils, SendFd). */
int stdio_send_master(const struct stdio *stdio, int console_socket, struct err *err) {
    char name[32] = "/dev/ptmx";
    unsigned number;
    if (ioctl(stdio->master, TIOCGPTN, &number) == 0)
        (void)snprintf(name, sizeof name, "/dev/pts/%u", number);
    int r = send_with_fds(console_socket, name, strlen(name), &stdio->master, 1);
    return r < 0 ? err_set(err, -r, "cannot send the terminal to the console socket: %s", strerror(-r)) : 0;
}
