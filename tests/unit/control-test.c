/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/control/control.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct control_request request_of(enum control_op op) {
    struct control_request r = {.magic = CONTROL_MAGIC, .op = op};
    strcpy(r.container, "box");
    return r;
}

static void good_requests_pass(void **state) {
    (void)state;
    for (enum control_op op = CONTROL_LOAD; op <= CONTROL_DELETE; op++) {
        struct control_request r = request_of(op);
        strcpy(r.process, "p1");
        r.flags = CONTROL_ALL;
        r.signal = 64;
        if (op == CONTROL_CREATE || op == CONTROL_EXEC) {
            r.n_streams = STREAMS_MAX;
            memset(r.streams, STREAM_SOCKET, sizeof r.streams);
            streams_standard(r.streams, op == CONTROL_EXEC);
        }
        r.rows = r.columns = 65535;
        assert_int_equal(control_request_check(&r, sizeof r), 0);
    }
    struct control_request load = {.magic = CONTROL_MAGIC, .op = CONTROL_LOAD};
    assert_int_equal(control_request_check(&load, sizeof load), 0);
}

#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        struct control_request r = request_of(CONTROL_SIGNAL);                                                         \
        assert_int_equal(control_request_check(&r, sizeof r), 0);                                                      \
        change;                                                                                                        \
        assert_int_equal(control_request_check(&r, sizeof r), -EBADMSG);                                               \
    } while (0)

static void bad_requests_are_refused(void **state) {
    (void)state;
    struct control_request whole = request_of(CONTROL_SIGNAL);
    assert_int_equal(control_request_check(&whole, sizeof whole - 1), -EBADMSG);
    assert_int_equal(control_request_check(&whole, -1), -EBADMSG);
    REFUSED(r.magic ^= 1);
    REFUSED(r.op = 0);
    REFUSED(r.op = CONTROL_DELETE + 1);
    REFUSED(r.flags = 2);
    REFUSED(r.n_streams = 3); /* a signal has none */
    REFUSED(r.signal = -1);
    REFUSED(r.signal = 65);
    REFUSED(r.rows = 65536);
    REFUSED(r.columns = UINT32_MAX);
    REFUSED(memset(r.container, 'a', sizeof r.container));
    REFUSED(memset(r.process, 'a', sizeof r.process));
    REFUSED(r.container[0] = '\0');
    REFUSED(strcpy(r.container, "../x"));
    REFUSED(strcpy(r.process, "a/b"));
    REFUSED(r.op = CONTROL_EXEC); /* without a process id */
}

static void streams_must_be_possible(void **state) {
    (void)state;
    static const struct {
        uint32_t count;
        uint8_t kinds[STREAMS_MAX];
        bool possible;
    } table[] = {
        {3, {STREAM_INPUT, STREAM_OUTPUT, STREAM_OUTPUT}, true},
        {3, {STREAM_TERMINAL, STREAM_NONE, STREAM_NONE}, true},
        {5, {STREAM_TERMINAL, STREAM_NONE, STREAM_NONE, STREAM_INPUT, STREAM_SOCKET}, true},
        {0, {0}, false},
        {2, {STREAM_INPUT, STREAM_OUTPUT}, false},
        {STREAMS_MAX + 1, {STREAM_INPUT, STREAM_OUTPUT, STREAM_OUTPUT}, false},
        {3, {STREAM_OUTPUT, STREAM_OUTPUT, STREAM_OUTPUT}, false},
        {3, {STREAM_TERMINAL, STREAM_OUTPUT, STREAM_OUTPUT}, false},
        {4, {STREAM_INPUT, STREAM_OUTPUT, STREAM_OUTPUT, STREAM_NONE}, false},
        {4, {STREAM_INPUT, STREAM_OUTPUT, STREAM_OUTPUT, STREAM_TERMINAL}, false},
        {4, {STREAM_INPUT, STREAM_OUTPUT, STREAM_OUTPUT, STREAM_TERMINAL + 1}, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct control_request r = request_of(CONTROL_CREATE);
        r.n_streams = table[i].count;
        memcpy(r.streams, table[i].kinds, sizeof r.streams);
        assert_int_equal(control_request_check(&r, sizeof r), table[i].possible ? 0 : -EBADMSG);
    }
}

static void replies_are_checked_and_made_printable(void **state) {
    (void)state;
    struct control_reply r = {.magic = CONTROL_MAGIC, .op = CONTROL_PS, .more = 1};
    strcpy(r.text, "sh\033]0;x\a");
    strcpy(r.process.terminal, "pts/\n");
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_PS), 0);
    assert_string_equal(r.text, "sh?]0;x?");
    assert_string_equal(r.process.terminal, "pts/ ");
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_STATS), -EBADMSG);
    assert_int_equal(control_reply_check(&r, sizeof r - 1, CONTROL_PS), -EBADMSG);
    r.status = 1;
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_PS), -EBADMSG);
    r.status = INT32_MIN;
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_PS), -EBADMSG);
    r.status = -ESRCH;
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_PS), 0);
    r.more = 2;
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_PS), -EBADMSG);
    r.more = 0;
    memset(r.text, 'x', sizeof r.text);
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_PS), -EBADMSG);
    r.text[0] = '\0';
    memset(r.process.terminal, 'x', sizeof r.process.terminal);
    assert_int_equal(control_reply_check(&r, sizeof r, CONTROL_PS), -EBADMSG);
}

static void standin_messages_are_checked(void **state) {
    (void)state;
    static const struct {
        struct standin_message m;
        int result;
    } table[] = {
        {{.op = STANDIN_SIGNAL, .value = 1}, 0},
        {{.op = STANDIN_SIGNAL, .value = 64}, 0},
        {{.op = STANDIN_SIGNAL, .value = 0}, -EBADMSG},
        {{.op = STANDIN_SIGNAL, .value = 65}, -EBADMSG},
        {{.op = STANDIN_RESIZE, .rows = 24, .columns = 80}, 0},
        {{.op = STANDIN_RESIZE, .rows = 65536, .columns = 80}, -EBADMSG},
        {{.op = STANDIN_EXITED, .value = 255}, 0},
        {{.op = STANDIN_EXITED, .value = 137, .signal = 9}, 0},
        {{.op = STANDIN_EXITED, .value = 256}, -EBADMSG},
        {{.op = STANDIN_EXITED, .value = -1}, -EBADMSG},
        {{.op = STANDIN_EXITED, .signal = 65}, -EBADMSG},
        {{.op = 0}, -EBADMSG},
        {{.op = 4}, -EBADMSG},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct standin_message m = table[i].m;
        assert_int_equal(standin_message_check(&m, sizeof m), -EBADMSG); /* no magic yet */
        m.magic = CONTROL_MAGIC;
        assert_int_equal(standin_message_check(&m, sizeof m), table[i].result);
        assert_int_equal(standin_message_check(&m, sizeof m + 1), -EBADMSG);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_pass),           cmocka_unit_test(streams_must_be_possible),
        cmocka_unit_test(bad_requests_are_refused),     cmocka_unit_test(replies_are_checked_and_made_printable),
        cmocka_unit_test(standin_messages_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
