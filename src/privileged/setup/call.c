/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/control/control.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { CONNECT_DEADLINE_SEC = 10 };

static int not_running(struct err *err) {
    return err_set(err, ESRCH, "container not running: its sandbox has ended");
}

int setup_connect(int dir, int *ret_socket, struct err *err) {
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return err_errno_name(err, "cannot make a socket");
    /* A monitor that has stopped accepting must not hold us: connect(2) to a full backlog waits this long, unix(7). */
    const struct timeval deadline = {.tv_sec = CONNECT_DEADLINE_SEC};
    if (setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline) < 0)
        return err_errno_name(err, "cannot set a deadline for the sandbox's monitor");
    /* Through the directory's descriptor: sun_path has room for 107 bytes only. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock", dir);
    if (connect(sock, (struct sockaddr *)&address, sizeof address) < 0)
        return errno == ENOENT || errno == ECONNREFUSED ? not_running(err)
               : errno == EAGAIN ? err_set(err, ETIMEDOUT, "the sandbox's monitor has not answered within %d seconds",
                                           CONNECT_DEADLINE_SEC)
                                 : err_errno_name(err, "cannot connect to the sandbox's monitor");
    *ret_socket = take_fd(&sock);
    return 0;
}

int setup_send(int sock, struct control_request *request, const int *fds, size_t n_fds, struct err *err) {
    request->magic = CONTROL_MAGIC;
    int r = send_with_fds(sock, request, sizeof *request, fds, n_fds);
    if (r == -EPIPE || r == -ECONNRESET)
        return not_running(err);
    if (r == -EAGAIN) /* SO_SNDTIMEO */
        return err_set(err, ETIMEDOUT, "the sandbox's monitor has not taken a request within %d seconds",
                       CONNECT_DEADLINE_SEC);
    return r < 0 ? err_set(err, -r, "cannot send to the sandbox's monitor: %s", strerror(-r)) : 0;
}

static int await_readable(int sock, unsigned deadline_sec, struct err *err) {
    int64_t end = monotonic_msec() + (int64_t)deadline_sec * 1000;
    for (;;) {
        int64_t left = end - monotonic_msec();
        struct pollfd p = {.fd = sock, .events = POLLIN};
        int n = interrupt_poll(&p, 1, deadline_sec == 0 ? -1 : left > 0 ? (int)left : 0);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_errno_name(err, "cannot wait for the sandbox's monitor");
        int r = n < 0 ? interrupt_check(err) : 0;
        if (r < 0)
            return r;
        if (n == 0)
            return err_set(err, ETIMEDOUT, "the sandbox's monitor has not answered within %u seconds", deadline_sec);
    }
}

int setup_receive(int sock, unsigned op, unsigned deadline_sec, struct control_reply *reply, struct err *err) {
    int r = await_readable(sock, deadline_sec, err);
    if (r < 0)
        return r;
    ssize_t n;
    do
        n = recv(sock, reply, sizeof *reply, MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return not_running(err);
    if (n < 0)
        return err_errno_name(err, "cannot receive from the sandbox's monitor");
    if (control_reply_check(reply, n, op) < 0)
        return err_set(err, EBADMSG, "the sandbox's monitor gave a malformed answer");
    if (reply->status < 0)
        return err_set(err, -reply->status, "%s", reply->text);
    return 0;
}

int setup_call(int dir, struct control_request *request, const int *fds, size_t n_fds, unsigned deadline_sec,
               struct control_reply *reply, int *ret_socket, struct err *err) {
    _cleanup_close_ int sock = -EBADF;
    int r = setup_connect(dir, &sock, err);
    if (r >= 0)
        r = setup_send(sock, request, fds, n_fds, err);
    if (r >= 0)
        r = setup_receive(sock, request->op, deadline_sec, reply, err);
    if (r >= 0 && ret_socket)
        *ret_socket = take_fd(&sock);
    return r;
}
