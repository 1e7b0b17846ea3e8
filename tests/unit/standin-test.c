/* SPDX-License-Identifier: Apache-2.0 */
/* The real minka-standin: does it forward what it is sent, and end as it is told? */
#include "facts/control/control.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

struct standin {
    pid_t pid;
    int socket, master;
};

static void start(struct standin *s, bool terminal) {
    int pair[2], slave = -EBADF;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    *s = (struct standin){.master = -EBADF};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    if (terminal) {
        assert_int_equal(openpty(&s->master, &slave, NULL, NULL, &size), 0);
        assert_int_equal(fd_set_cloexec(s->master, 1), 0); /* else the child would keep its own terminal open */
    }
    /* All signals blocked, as the launcher leaves them: none may be lost before the program receives them. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    s->pid = fork();
    if (s->pid == 0) {
        (void)setsid();
        (void)dup2(pair[1], 3);
        if (terminal) {
            (void)ioctl(slave, TIOCSCTTY, 0);
            (void)dup2(slave, 4);
        }
        (void)execl(STANDIN, "minka-standin", "--socket=3", terminal ? "--terminal=4" : NULL, NULL);
        _exit(126);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(s->pid > 0);
    (void)close(pair[1]);
    if (slave >= 0)
        (void)close(slave);
    s->socket = pair[0];
}

static void receive(struct standin *s, struct standin_message *m) {
    struct pollfd p = {.fd = s->socket, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(standin_message_check(m, recv(s->socket, m, sizeof *m, 0)), 0);
}

static int finish(struct standin *s) {
    int status;
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    close_fd(&s->socket);
    close_fd(&s->master);
    return status;
}

static int tell(struct standin *s, int value, int signal) {
    struct standin_message m = {.magic = CONTROL_MAGIC, .op = STANDIN_EXITED, .value = value, .signal = signal};
    assert_int_equal(send(s->socket, &m, sizeof m, MSG_NOSIGNAL), sizeof m);
    return finish(s);
}

static void ends_with_the_exit_code(void **state) {
    (void)state;
    static const int codes[] = {0, 1, 42, 137, 255};
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        struct standin s;
        start(&s, false);
        int status = tell(&s, codes[i], 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), codes[i]);
    }
}

static void ends_by_the_same_signal(void **state) {
    (void)state;
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGABRT, SIGBUS, SIGFPE, SIGKILL,
                                  SIGUSR1, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGSYS, 34,     64};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct standin s;
        start(&s, false);
        int status = tell(&s, 128 + signals[i], signals[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
        assert_false(WCOREDUMP(status));
    }
}

static void forwards_every_signal(void **state) {
    (void)state;
    struct standin s;
    start(&s, false);
    for (int n = 1; n <= 64; n++) {
        struct standin_message m;
        if (n == SIGKILL || n == SIGSTOP || n == 32 || n == 33) /* the C library keeps the last two */
            continue;
        assert_int_equal(kill(s.pid, n), 0);
        receive(&s, &m);
        assert_int_equal(m.op, STANDIN_SIGNAL);
        assert_int_equal(m.value, n);
    }
    assert_int_equal(WEXITSTATUS(tell(&s, 5, 0)), 5);
}

static void reports_sizes_of_its_terminal(void **state) {
    (void)state;
    struct standin s;
    struct standin_message m;
    struct winsize size = {.ws_row = 50, .ws_col = 132};
    start(&s, true);
    receive(&s, &m);
    assert_int_equal(m.op, STANDIN_RESIZE);
    assert_int_equal(m.rows, 24);
    assert_int_equal(m.columns, 80);
    assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
    receive(&s, &m);
    assert_int_equal(m.op, STANDIN_RESIZE);
    assert_int_equal(m.rows, 50);
    assert_int_equal(m.columns, 132);
    close_fd(&s.master);
    receive(&s, &m); /* the kernel hangs the session up */
    assert_int_equal(m.op, STANDIN_SIGNAL);
    assert_int_equal(m.value, SIGHUP);
    assert_int_equal(WTERMSIG(tell(&s, 129, SIGHUP)), SIGHUP);
}

static void a_lost_monitor_is_no_success(void **state) {
    (void)state;
    struct standin s;
    start(&s, false);
    close_fd(&s.socket);
    assert_int_equal(WTERMSIG(finish(&s)), SIGKILL);
    start(&s, false);
    assert_int_equal(send(s.socket, "rubbish", 7, 0), 7);
    assert_int_equal(WTERMSIG(finish(&s)), SIGKILL);
}

static void signals_survive_a_monitor_that_does_not_read(void **state) {
    (void)state;
    struct standin s;
    start(&s, false);
    struct standin_message m;
    for (int i = 0; i < 5000; i++)
        (void)kill(s.pid, SIGUSR1); /* fills the socket */
    (void)kill(s.pid, SIGTERM);
    do
        receive(&s, &m);
    while (m.value == SIGUSR1);
    assert_int_equal(m.value, SIGTERM);
    (void)tell(&s, 0, 0);
}

static void bad_arguments_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"--socket=x", "--socket=-1", "--nonsense", "--terminal=4"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
            (void)execl(STANDIN, "minka-standin", bad[i], NULL);
            _exit(126);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 125);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_with_the_exit_code),      cmocka_unit_test(ends_by_the_same_signal),
        cmocka_unit_test(forwards_every_signal),        cmocka_unit_test(reports_sizes_of_its_terminal),
        cmocka_unit_test(a_lost_monitor_is_no_success), cmocka_unit_test(signals_survive_a_monitor_that_does_not_read),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
