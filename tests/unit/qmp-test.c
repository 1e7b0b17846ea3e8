/* SPDX-License-Identifier: Apache-2.0 */
/* Lines recorded from QEMU 7.2, and lines that no QEMU would send. */
#include "shared/base/cleanup.h"
#include "unprivileged/monitor/console.h"
#include "unprivileged/monitor/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static const char greeting[] = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "
                               "\"package\": \"Debian 1:7.2+dfsg-7+deb12u18\"}, \"capabilities\": [\"oob\"]}}";
static const char returned[] = "{\"return\": {}, \"id\": 1}";

static int parse(const char *line, struct qmp_message *m) {
    struct err err = {0};
    int r = qmp_message_parse(line, strlen(line), m, &err);
    if (r < 0)
        assert_true(err.text[0] != '\0');
    return r;
}

static void recorded_lines_are_understood(void **state) {
    (void)state;
    struct qmp_message m;
    assert_int_equal(parse(greeting, &m), 0);
    assert_int_equal(m.kind, QMP_GREETING);
    assert_int_equal(parse(returned, &m), 0);
    assert_int_equal(m.kind, QMP_RETURN);
    assert_int_equal(m.id, 1);
    assert_int_equal(parse("{\"id\": 2, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command x has not "
                           "been found\"}}",
                           &m),
                     0);
    assert_int_equal(m.kind, QMP_ERROR);
    assert_string_equal(m.text, "The command x has not been found");
    assert_int_equal(parse("{\"timestamp\": {\"seconds\": 1732258742, \"microseconds\": 98}, \"event\": \"SHUTDOWN\", "
                           "\"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}",
                           &m),
                     0);
    assert_int_equal(m.kind, QMP_EVENT);
    assert_string_equal(m.text, "SHUTDOWN");
    assert_string_equal(m.reason, "guest-reset");
    assert_int_equal(parse("{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"VSERPORT_CHANGE\", "
                           "\"data\": {\"open\": true, \"id\": \"agent\"}}",
                           &m),
                     0);
    assert_true(m.open);
    assert_int_equal(parse("{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESUME\"}", &m), 0);
    assert_string_equal(m.text, "RESUME");
    assert_string_equal(m.reason, "");
}

static void hostile_lines_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "1",
        "null",
        "{\"return\"",
        "{\"event\": 7}",
        "{\"event\": \"SHUTDOWN\", \"data\": []}",
        "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": {}}}",
        "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": \"yes\"}}",
        "{\"id\": -1, \"return\": {}}",
        "{\"id\": \"1\", \"return\": {}}",
        "{\"error\": \"x\"}",
        "{\"return\": {}} trailing",
    };
    struct qmp_message m = {.id = 77};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(parse(bad[i], &m), -EBADMSG);
    assert_int_equal(m.id, 77); /* untouched */
    assert_int_equal(qmp_message_parse(returned, QMP_LINE_MAX + 1, &m, NULL), -EBADMSG);

    char deep[2 * 1000 + 1];
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    deep[2000] = '\0';
    assert_int_equal(parse(deep, &m), -EBADMSG);

    char longname[2048] = "{\"event\": \"";
    memset(longname + strlen(longname), 'E', 1500);
    strcat(longname, "\"}");
    assert_int_equal(parse(longname, &m), 0);
    assert_int_equal(strlen(m.text), QMP_TEXT_MAX - 1);
    assert_int_equal(parse("{\"event\": \"A\\u001b[2J\"}", &m), 0);
    assert_string_equal(m.text, "A?[2J");
}

/* ---- the client ---- */

struct world {
    struct loop *loop;
    int fds[2];
    struct qmp *qmp;
    char trace[64];
    struct err end;
    bool free_on_event;
};

static void note(struct world *w, char c) {
    size_t n = strlen(w->trace);
    if (n + 1 < sizeof w->trace)
        w->trace[n] = c;
}
static void loaded(void *data) {
    note(data, 'L');
}
static void event(void *data, const struct qmp_message *m) {
    struct world *w = data;
    note(w, m->text[0]);
    if (w->free_on_event) {
        w->qmp = qmp_free(w->qmp);
        loop_quit(w->loop, 0);
    }
}
static void failed(void *data, enum qmp_command command, const char *why) {
    (void)why;
    note(data, command == QMP_CONT ? 'f' : 'F');
}
static void ended(void *data, const struct err *why) {
    struct world *w = data;
    note(w, 'X');
    w->end = *why;
    loop_quit(w->loop, 0);
}

static int setup(void **state) {
    static const struct qmp_handlers handlers = {.loaded = loaded, .event = event, .failed = failed, .closed = ended};
    struct world *w = calloc(1, sizeof *w);
    *state = w;
    if (loop_new(&w->loop, NULL) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->fds) < 0)
        return -1;
    return qmp_new(w->loop, w->fds[0], &handlers, w, &w->qmp, NULL);
}

static int teardown(void **state) {
    struct world *w = *state;
    (void)qmp_free(w->qmp);
    close_fd(&w->fds[0]);
    close_fd(&w->fds[1]);
    loop_free(w->loop);
    free(w);
    return 0;
}

static void say(struct world *w, const char *line) {
    assert_int_equal(send(w->fds[1], line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    assert_int_equal(send(w->fds[1], "\r\n", 2, MSG_NOSIGNAL), 2);
}

static void quit(void *data) {
    loop_quit(data, 0);
}

static void turn(struct world *w) {
    struct loop_source *timer;
    assert_int_equal(loop_add_timer(w->loop, 20, quit, w->loop, &timer), 0);
    assert_int_equal(loop_run(w->loop), 0);
    loop_source_free(timer);
}

static void expect_command(struct world *w, const char *command) {
    char line[256] = {0};
    assert_true(recv(w->fds[1], line, sizeof line - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(line, command));
}

static void the_dialogue_of_a_start(void **state) {
    struct world *w = *state;
    say(w, greeting);
    turn(w);
    expect_command(w, "{\"execute\":\"qmp_capabilities\",\"id\":1}");
    assert_string_equal(w->trace, ""); /* the greeting alone does not mean that the machine is there */
    say(w, returned);
    turn(w);
    assert_string_equal(w->trace, "L");
    assert_int_equal(qmp_execute(w->qmp, QMP_CONT), 0);
    expect_command(w, "\"cont\"");
    say(w, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESUME\"}");
    say(w, "{\"return\": {}, \"id\": 2}");
    turn(w);
    assert_string_equal(w->trace, "LR");
    (void)shutdown(w->fds[1], SHUT_RDWR);
    assert_int_equal(loop_run(w->loop), 0);
    assert_string_equal(w->trace, "LRX");
    assert_int_equal(w->end.code, 0);
}

static void refused_commands_are_told(void **state) {
    struct world *w = *state;
    say(w, greeting);
    say(w, "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}");
    say(w, "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}");
    turn(w);
    assert_string_equal(w->trace, "Ff");
}

static void lines_may_come_in_pieces(void **state) {
    struct world *w = *state;
    for (const char *c = greeting; *c; c++) {
        assert_int_equal(send(w->fds[1], c, 1, 0), 1);
        if ((c - greeting) % 50 == 0)
            turn(w);
    }
    say(w, "");
    turn(w);
    expect_command(w, "qmp_capabilities");
}

static void rubbish_ends_it(struct world *w, const char *bytes, size_t length) {
    assert_int_equal(send(w->fds[1], bytes, length, MSG_NOSIGNAL), (ssize_t)length);
    assert_int_equal(loop_run(w->loop), 0);
    assert_string_equal(w->trace, "X");
    assert_int_equal(w->end.code, EBADMSG);
}

static void a_line_without_end_ends_it(void **state) {
    static char bytes[QMP_LINE_MAX + (16 << 10) + 1];
    memset(bytes, 'x', sizeof bytes);
    rubbish_ends_it(*state, bytes, sizeof bytes);
}

static void what_is_not_json_ends_it(void **state) {
    rubbish_ends_it(*state, "hello\n", 6);
}

static void an_answer_to_nothing_ends_it(void **state) {
    rubbish_ends_it(*state, "{\"return\":{},\"id\":9}\n", 21);
}

static void it_may_be_freed_by_a_handler(void **state) {
    struct world *w = *state;
    w->free_on_event = true;
    say(w, "{\"event\": \"STOP\"}\n{\"event\": \"RESUME\"}");
    assert_int_equal(loop_run(w->loop), 0);
    assert_string_equal(w->trace, "S");
}

/* ---- what the VMM and the guest said last ---- */

static void the_last_line_is_kept_printable(void **state) {
    (void)state;
    struct loop *loop;
    int fds[2], file[2];
    char line[CONSOLE_LINE_MAX], log_text[512] = {0};
    struct console c;
    assert_int_equal(loop_new(&loop, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(pipe2(file, O_CLOEXEC), 0);
    struct log log = {.fd = file[1]};
    assert_int_equal(console_open(&c, loop, fds[0], "QEMU", &log, NULL), 0);
    console_last_line(&c, line);
    assert_string_equal(line, "");
    static const char said[] = "first\n\033[31mred\033[0m \007line\r\n  \n";
    assert_int_equal(write(fds[1], said, sizeof said - 1), sizeof said - 1);
    console_drain(&c);
    console_last_line(&c, line);
    assert_string_equal(line, "red ?line");
    assert_true(read(file[0], log_text, sizeof log_text - 1) > 0);
    assert_string_equal(log_text, "QEMU: first\nQEMU: red ?line\nQEMU: \n");
    char flood[4096];
    memset(flood, 'z', sizeof flood);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(write(fds[1], flood, sizeof flood), sizeof flood);
        console_drain(&c);
    }
    console_last_line(&c, line);
    assert_int_equal(strlen(line), CONSOLE_LINE_MAX - 1);
    assert_int_equal(c.length, CONSOLE_KEEP);
    (void)close(fds[1]);
    console_drain(&c);
    assert_int_equal(c.fd, -EBADF);
    console_close(&c);
    (void)close(fds[0]);
    (void)close(file[0]);
    (void)close(file[1]);
    loop_free(loop);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_lines_are_understood),
        cmocka_unit_test(hostile_lines_are_refused),
        WITH_WORLD(the_dialogue_of_a_start),
        WITH_WORLD(refused_commands_are_told),
        WITH_WORLD(lines_may_come_in_pieces),
        WITH_WORLD(a_line_without_end_ends_it),
        WITH_WORLD(what_is_not_json_ends_it),
        WITH_WORLD(an_answer_to_nothing_ends_it),
        WITH_WORLD(it_may_be_freed_by_a_handler),
        cmocka_unit_test(the_last_line_is_kept_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
