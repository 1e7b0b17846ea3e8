/* SPDX-License-Identifier: Apache-2.0 */
/*
 * minka-standin: what a container's process, or an exec, is on the host. Its pid is in the --pid-file; a signal
 * sent to it goes to the process in the guest, a new size of its terminal too, and it ends as that process ended.
 *
 *   minka-standin --socket=N [--terminal=N]
 *
 * Knows nothing but a socket to the monitor (facts/control, struct standin_message) and, with a terminal, the
 * slave of the pty, whose session it leads so that the kernel tells it of new sizes (tty_ioctl(4), SIGWINCH).
 */
#include "facts/control/control.h"
#include "shared/base/cleanup.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <getopt.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { SIGNAL_MAX = 64 };

struct standin {
    struct loop *loop;
    struct loop_source *socket_source;
    int socket, terminal;
    uint64_t waiting; /* bit n-1: signal n is to be forwarded. As in the kernel, more of the same are one. */
    bool resized;
    struct standin_message end; /* the monitor's last word */
};

/* The monitor has gone without a word: the container with it, and whoever waits must not see success. */
static const struct standin_message killed = {
    .magic = CONTROL_MAGIC, .op = STANDIN_EXITED, .value = 128 + SIGKILL, .signal = SIGKILL};

static bool send_message(struct standin *s, const struct standin_message *message) {
    return send(s->socket, message, sizeof *message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *message;
}

static bool send_size(struct standin *s) {
    struct winsize size;
    if (ioctl(s->terminal, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
        return true; /* nobody has set one yet */
    struct standin_message message = {
        .magic = CONTROL_MAGIC, .op = STANDIN_RESIZE, .rows = size.ws_row, .columns = size.ws_col};
    return send_message(s, &message);
}

/* Send what waits; what the socket does not take now goes when it is writable. */
static void forward(struct standin *s) {
    bool more = true;
    if (s->resized && (more = send_size(s)))
        s->resized = false;
    for (int n = 1; n <= SIGNAL_MAX && more && s->waiting; n++) {
        uint64_t bit = UINT64_C(1) << (n - 1);
        struct standin_message message = {.magic = CONTROL_MAGIC, .op = STANDIN_SIGNAL, .value = n};
        if ((s->waiting & bit) && (more = send_message(s, &message)))
            s->waiting &= ~bit;
    }
    (void)loop_source_set_events(s->socket_source, EPOLLIN | (more ? 0 : (uint32_t)EPOLLOUT));
}

static void on_signal(void *data, const struct signalfd_siginfo *info) {
    struct standin *s = data;
    if (info->ssi_signo == SIGWINCH && s->terminal >= 0)
        s->resized = true;
    else if (info->ssi_signo >= 1 && info->ssi_signo <= SIGNAL_MAX)
        s->waiting |= UINT64_C(1) << (info->ssi_signo - 1);
    forward(s);
}

static void on_socket(void *data, uint32_t events) {
    struct standin *s = data;
    struct standin_message message;
    if (events & EPOLLOUT)
        forward(s);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = recv(s->socket, &message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && standin_message_check(&message, n) == 0 && message.op == STANDIN_EXITED)
        s->end = message;
    loop_quit(s->loop, 0); /* anything else but the end means that the monitor is not itself any more */
}

/* End as the guest's process ended: by the same signal, without a core file of our own. */
static int end_like(const struct standin_message *end) {
    if (end->signal == 0)
        return end->value;
    struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, end->signal);
    (void)signal(end->signal, SIG_DFL);
    (void)kill(getpid(), end->signal);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + end->signal; /* a signal whose default is not to end a process */
}

static int descriptor(const char *text) {
    uint64_t number;
    return parse_u64(text, &number) == 0 && number <= 1023 ? (int)number : -EBADF;
}

static int run(struct standin *s, struct err *err) {
    int signals[SIGNAL_MAX + 1] = {0}, count = 0;
    for (int n = 1; n <= SIGNAL_MAX; n++)
        if (n != SIGKILL && n != SIGSTOP)
            signals[count++] = n;
    struct loop_source *source;
    int r = loop_new(&s->loop, err);
    if (r < 0)
        return r;
    r = loop_add_fd(s->loop, s->socket, EPOLLIN, on_socket, s, &s->socket_source);
    if (r < 0)
        return err_set(err, -r, "cannot watch the socket to the monitor");
    r = loop_add_signals(s->loop, signals, on_signal, s, &source);
    if (r < 0)
        return err_set(err, -r, "cannot receive signals");
    s->resized = s->terminal >= 0; /* the size it was started with */
    forward(s);
    return loop_run(s->loop);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"terminal", required_argument, NULL, 't'}, {0}};
    struct standin s = {.socket = -EBADF, .terminal = -EBADF, .end = killed};
    struct err err = {0};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int *fd = option == 's' ? &s.socket : option == 't' ? &s.terminal : NULL;
        if (!fd || (*fd = descriptor(optarg)) < 0) {
            fprintf(stderr, "minka-standin: usage: minka-standin --socket=N [--terminal=N]\n");
            return 125;
        }
    }
    if (s.socket < 0 || optind != argc) {
        fprintf(stderr, "minka-standin: --socket is missing; this program is started by minka\n");
        return 125;
    }
    int r = run(&s, &err);
    loop_free(s.loop);
    if (r < 0) {
        fprintf(stderr, "minka-standin: %s\n", err.text);
        return 125;
    }
    return end_like(&s.end);
}
