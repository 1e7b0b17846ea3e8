/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's descriptors on their way to the monitor.
 *
 * The monitor never blocks, and whether a descriptor blocks is told by the open file
 * description, which the caller (a shell, conmon) goes on using: pipes, FIFOs and
 * terminals are therefore opened anew. Regular files are not, since the offset is
 * shared on purpose ("(minka run a; echo) >file"), nor are sockets, which cannot be.
 */
#include "privileged/setup/internal.h"

#include "facts/control/control.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

void streams_init(struct streams *streams) {
    *streams = (struct streams){.master = -EBADF};
    for (size_t i = 0; i < STREAMS_MAX; i++)
        streams->fds[i] = -EBADF;
}

void streams_done(struct streams *streams) {
    for (size_t i = 0; i < STREAMS_MAX; i++)
        close_fd(&streams->fds[i]);
    close_fd(&streams->master);
    streams_init(streams);
}

int streams_look(struct streams *streams, bool terminal, const struct setup_streams *given, struct err *err) {
    streams_standard(streams->kinds, terminal);
    for (size_t i = STREAMS_STANDARD; i < given->count; i++) {
        enum stream_kind kind;
        int r = relayable(given->fds[i], (int)i, &kind, err);
        if (r < 0)
            return r;
        streams->kinds[i] = (uint8_t)kind;
    }
    streams->count = given->count;
    return 0;
}

static int open_anew(int fd, int access) {
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int duplicate(int fd, enum stream_kind kind, int *ret, struct err *err) {
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return open_null(ret, err);
    /* A terminal of the caller's is not for a process that outlives the command to read from. */
    if (kind == STREAM_INPUT && isatty(fd))
        return open_null(ret, err);
    _cleanup_close_ int copy = -EBADF;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        copy = open_anew(fd, kind == STREAM_INPUT ? O_RDONLY : kind == STREAM_OUTPUT ? O_WRONLY : O_RDWR);
        if (copy < 0 && S_ISCHR(st.st_mode) && errno == ENXIO) /* a terminal that has hung up */
            return open_null(ret, err);
    }
    /* EACCES: somebody else's pipe, as after su(1). Then the description is shared, and the monitor bears with it. */
    if (copy < 0)
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return err_errno_name(err, "cannot duplicate descriptor %d", fd);
    *ret = take_fd(&copy);
    return 0;
}

/*
 * A pty on the host whose slave the monitor reads and writes. The guest has the terminal that programs see, with its
 * line discipline; this one must hand everything through unchanged.
 */
static int make_pty(struct streams *streams, unsigned rows, unsigned columns, struct err *err) {
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
    streams->fds[0] = take_fd(&slave);
    streams->master = take_fd(&master);
    return 0;
}

int streams_open(struct streams *streams, const struct setup_streams *given, unsigned rows, unsigned columns,
                 struct err *err) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < streams->count; i++)
        if (streams->kinds[i] == STREAM_TERMINAL)
            r = make_pty(streams, rows, columns, err);
        else if (streams->kinds[i] != STREAM_NONE)
            r = duplicate(given->fds[i], streams->kinds[i], &streams->fds[i], err);
    return r;
}

bool streams_have_terminal(const struct streams *streams) {
    return streams->kinds[0] == STREAM_TERMINAL;
}

size_t streams_request(const struct streams *streams, struct control_request *request, int *fds) {
    size_t n = CONTROL_FD_STREAMS;
    request->n_streams = (uint32_t)streams->count;
    memcpy(request->streams, streams->kinds, streams->count);
    for (size_t i = 0; i < streams->count; i++)
        if (streams->kinds[i] != STREAM_NONE)
            fds[n++] = streams->fds[i];
    return n;
}

/* With the name of the slave, as runc sends it (libcontainer/utils, SendFd). */
int streams_send_master(const struct streams *streams, int console_socket, struct err *err) {
    char name[32] = "/dev/ptmx";
    unsigned number;
    if (ioctl(streams->master, TIOCGPTN, &number) == 0)
        (void)snprintf(name, sizeof name, "/dev/pts/%u", number);
    int r = send_with_fds(console_socket, name, strlen(name), &streams->master, 1);
    return r < 0 ? err_set(err, -r, "cannot send the terminal to the console socket: %s", strerror(-r)) : 0;
}
