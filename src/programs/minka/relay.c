/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { PUMP_SIZE = 64 << 10, EOF_FIRST_MSEC = 100, EOF_LAST_MSEC = 3200 };

/*
 * The end of the caller's input, where the container has a terminal: an end-of-file character, as script(1) has it. But
 * a terminal's input is thrown away or read as a plain byte when a program changes its mode, as every shell with line
 * editing does at its start. An end of file lasts, so whenever something was said after it, it is said again, ever more
 * slowly.
 */
struct end_of_input {
    int master;
    bool reached, armed;
    int64_t delay_msec;
    struct loop_source *timer;
};

/* One direction: reads when its buffer is empty, writes when it is not. */
struct pump {
    struct loop *loop;
    struct loop_source *source; /* for reading or writing, whichever is next */
    int from, to;
    bool close_to;                /* an end of input is passed on by closing (pipes) */
    struct end_of_input *repeat;  /* output of a terminal whose input may be at its end */
    struct end_of_input *send_to; /* input of such a terminal */
    int writer;                   /* output: pidfd of who gets SIGPIPE when nobody takes it any more */
    bool drop;                    /* and has got it */
    bool done;
    size_t start, end;
    char buffer[PUMP_SIZE];
};

struct session {
    struct relay *relay;
    struct loop *loop;
    int pidfd;
    struct pump input, output, errors;
    struct end_of_input end_of_input;
};

void relay_init(struct relay *relay) {
    *relay = (struct relay){.container = {-EBADF, -EBADF, -EBADF}, .here = {-EBADF, -EBADF, -EBADF}, .master = -EBADF};
}

void relay_done(struct relay *relay) {
    if (relay->raw)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &relay->saved);
    for (int i = 0; i < 3; i++) {
        if (relay->container[i] > STDERR_FILENO)
            close_fd(&relay->container[i]);
        close_fd(&relay->here[i]);
    }
    close_fd(&relay->master);
    relay_init(relay);
}

/* Job control of the caller's shell (TSTP, TTIN, TTOU, CONT) stays with this process; faults are its own. */
static const int forwarded[] = {SIGHUP,   SIGINT, SIGQUIT, SIGTERM,   SIGUSR1, SIGUSR2, SIGALRM,
                                SIGWINCH, SIGIO,  SIGPWR,  SIGVTALRM, SIGPROF, 0};

/* The four that interrupt a command are kept by setup (setup_request.keep_signals); the others wait from now on. */
static void hold_signals(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    for (const int *s = forwarded; *s; s++)
        if (*s != SIGHUP && *s != SIGINT && *s != SIGQUIT && *s != SIGTERM)
            (void)sigaddset(&set, *s);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

int relay_prepare(struct relay *relay, bool terminal, struct err *err) {
    relay->terminal = terminal;
    hold_signals();
    for (int i = 0; i < 3; i++) {
        relay->container[i] = i;
        if (terminal || !isatty(i))
            continue;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return err_errno(err, "cannot make a pipe");
        relay->container[i] = ends[i == STDIN_FILENO ? 0 : 1];
        relay->here[i] = ends[i == STDIN_FILENO ? 1 : 0];
        (void)fd_set_nonblock(relay->here[i], 1);
    }
    return 0;
}

static void pump_ready(void *data, uint32_t events);

static int pump_watch(struct pump *pump) {
    pump->source = loop_source_free(pump->source);
    bool empty = pump->start == pump->end;
    return loop_add_fd(pump->loop, empty ? pump->from : pump->to, empty ? EPOLLIN : EPOLLOUT, pump_ready, pump,
                       &pump->source);
}

static void send_eof(void *data) {
    struct end_of_input *end = data;
    static const char eof = 'D' - '@'; /* VEOF of a new terminal, termios(3) */
    (void)!write(end->master, &eof, 1);
    end->reached = true;
    end->armed = false;
}

static void repeat_eof(struct end_of_input *end) {
    if (!end->reached || end->armed)
        return;
    end->armed = loop_timer_set(end->timer, end->delay_msec) == 0;
    end->delay_msec = end->delay_msec < EOF_LAST_MSEC ? end->delay_msec * 2 : EOF_LAST_MSEC;
}

static void pump_end(struct pump *pump) {
    pump->source = loop_source_free(pump->source);
    pump->done = true;
    if (pump->send_to)
        send_eof(pump->send_to);
    if (pump->close_to) {
        (void)close(pump->to);
        pump->to = -EBADF;
    }
}

/*
 * The writer gets the signal that the kernel would have sent it; if it ignores it, it must not wait for ever either.
 * true: its output is dropped from now on.
 */
static bool drop_output(struct pump *pump) {
    if (pump->writer < 0)
        return false;
    (void)syscall(SYS_pidfd_send_signal, pump->writer, SIGPIPE, NULL, 0U);
    pump->drop = true;
    pump->start = pump->end;
    return true;
}

/* false: the direction is at its end. A pty's master reads EIO when the last slave is closed. */
static bool pump_step(struct pump *pump) {
    ssize_t n;
    if (pump->start == pump->end) {
        n = read(pump->from, pump->buffer, sizeof pump->buffer);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        pump->start = pump->drop ? (size_t)n : 0;
        pump->end = (size_t)n;
        return true;
    }
    n = write(pump->to, pump->buffer + pump->start, pump->end - pump->start);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR || drop_output(pump);
    pump->start += (size_t)n;
    return true;
}

static void pump_ready(void *data, uint32_t events) {
    (void)events;
    struct pump *pump = data;
    bool was_empty = pump->start == pump->end;
    if (!pump_step(pump)) {
        pump_end(pump);
        return;
    }
    if (was_empty && pump->repeat)
        repeat_eof(pump->repeat);
    if (was_empty != (pump->start == pump->end) && pump_watch(pump) < 0)
        pump_end(pump);
}

static int pump_begin(struct pump *pump, struct loop *loop, int from, int to, bool close_to, struct err *err) {
    pump->loop = loop;
    pump->from = from;
    pump->to = to;
    pump->close_to = close_to;
    int r = pump_watch(pump);
    return r < 0 ? err_set(err, -r, "cannot watch a descriptor: %s", strerror(-r)) : 0;
}

static void wait_for(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    (void)poll(&p, 1, -1);
}

/* The process has ended, so all its output is in the pipe already: read until it is empty. */
static void pump_drain(struct pump *pump) {
    if (!pump->loop || pump->done)
        return;
    (void)fd_set_nonblock(pump->from, 1);
    for (;;) {
        bool reading = pump->start == pump->end;
        errno = 0;
        if (!pump_step(pump))
            break;
        if (errno == EAGAIN && reading)
            break;
        if (errno == EAGAIN)
            wait_for(pump->to, POLLOUT);
    }
    pump->source = loop_source_free(pump->source);
    pump->done = true;
}

static void copy_size(int master) {
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        (void)ioctl(master, TIOCSWINSZ, &size);
}

static void got_signal(void *data, const struct signalfd_siginfo *info) {
    struct session *s = data;
    if (info->ssi_signo == SIGWINCH) {
        if (s->relay->terminal)
            copy_size(s->relay->master);
        return;
    }
    (void)syscall(SYS_pidfd_send_signal, s->pidfd, (int)info->ssi_signo, NULL, 0U);
}

static void process_ended(void *data, uint32_t events) {
    (void)events;
    struct session *s = data;
    loop_quit(s->loop, 0);
}

static int raw_terminal(struct relay *relay) {
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &relay->saved) < 0)
        return 0;
    struct termios raw = relay->saved;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        return -errno;
    relay->raw = true;
    return 0;
}

static int begin_terminal(struct session *s, struct err *err) {
    struct relay *relay = s->relay;
    copy_size(relay->master);
    int r = raw_terminal(relay);
    if (r < 0)
        return err_set(err, -r, "cannot set the terminal to raw mode: %s", strerror(-r));
    (void)fd_set_nonblock(relay->master, 1);
    relay->here[0] = fcntl(relay->master, F_DUPFD_CLOEXEC, 3);
    if (relay->here[0] < 0)
        return err_errno(err, "cannot duplicate a descriptor");
    if (!isatty(STDIN_FILENO)) {
        s->end_of_input = (struct end_of_input){.master = relay->here[0], .delay_msec = EOF_FIRST_MSEC};
        r = loop_add_timer(s->loop, -1, send_eof, &s->end_of_input, &s->end_of_input.timer);
        if (r < 0)
            return err_set(err, -r, "cannot make a timer (%s)", strerrorname_np(-r));
        s->input.send_to = s->output.repeat = &s->end_of_input;
    }
    r = pump_begin(&s->input, s->loop, STDIN_FILENO, relay->here[0], false, err);
    if (r >= 0)
        r = pump_begin(&s->output, s->loop, relay->master, STDOUT_FILENO, false, err);
    return r;
}

static int begin_pipes(struct session *s, struct err *err) {
    struct relay *relay = s->relay;
    int r = 0;
    /* The container's own ends live in the sandbox from now on; kept here they would hide an end of file. */
    for (int i = 0; i < 3; i++)
        if (relay->container[i] > STDERR_FILENO)
            close_fd(&relay->container[i]);
    if (relay->here[0] >= 0) {
        r = pump_begin(&s->input, s->loop, STDIN_FILENO, relay->here[0], true, err);
        relay->here[0] = -EBADF; /* the pump's */
    }
    if (r >= 0 && relay->here[1] >= 0)
        r = pump_begin(&s->output, s->loop, relay->here[1], STDOUT_FILENO, false, err);
    if (r >= 0 && relay->here[2] >= 0)
        r = pump_begin(&s->errors, s->loop, relay->here[2], STDERR_FILENO, false, err);
    return r;
}

static int exit_code(pid_t pid, struct err *err) {
    int status;
    pid_t r;
    do
        r = waitpid(pid, &status, 0);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_errno(err, "cannot wait for the container's stand-in");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_loop(struct session *s, struct err *err) {
    struct loop_source *signals, *process;
    int r = loop_add_signals(s->loop, forwarded, got_signal, s, &signals);
    if (r >= 0)
        r = loop_add_fd(s->loop, s->pidfd, EPOLLIN, process_ended, s, &process);
    if (r < 0)
        return err_set(err, -r, "cannot watch the container's stand-in: %s", strerror(-r));
    r = s->relay->terminal ? begin_terminal(s, err) : begin_pipes(s, err);
    if (r < 0)
        return r;
    r = loop_run(s->loop);
    return r < 0 ? err_set(err, -r, "cannot wait for the container's stand-in: %s", strerror(-r)) : 0;
}

int relay_run(struct relay *relay, int master, pid_t pid, int pidfd, struct err *err) {
    relay->master = master;
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    s->relay = relay;
    s->pidfd = pidfd;
    s->input.to = s->input.writer = -EBADF;
    s->output.writer = s->errors.writer = pidfd;
    int r = loop_new(&s->loop, err);
    if (r >= 0)
        r = run_loop(s, err);
    if (r >= 0)
        r = exit_code(pid, err);
    if (r >= 0) {
        pump_drain(&s->output);
        pump_drain(&s->errors);
    }
    if (s->input.close_to && s->input.to >= 0)
        (void)close(s->input.to);
    s->loop = loop_free(s->loop);
    free(s);
    return r;
}
