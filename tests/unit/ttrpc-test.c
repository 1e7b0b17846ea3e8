/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/rpc/ttrpc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* A client and a server on one loop and one socketpair. */
struct pair {
    struct loop *loop;
    int fds[2]; /* client's, server's; -EBADF when the test plays that side itself */
    struct ttrpc_client *client;
    struct ttrpc_server *server;
    struct ttrpc_request *held[TTRPC_CALLS_MAX];
    unsigned n_held, n_replies, n_wanted;
    enum ttrpc_code last_code;
    char last_message[64];
    bool mismatch, free_in_reply;
    struct err client_end, server_end;
    unsigned client_ends, server_ends;
};

static void client_closed(void *data, const struct err *why) {
    struct pair *p = data;
    p->client_end = *why;
    p->client_ends++;
    loop_quit(p->loop, 0);
}

static void server_closed(void *data, const struct err *why) {
    struct pair *p = data;
    p->server_end = *why;
    p->server_ends++;
    loop_quit(p->loop, 0);
}

static void echo(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)data;
    ttrpc_respond(request, payload, length);
}

static void hold(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)payload;
    (void)length;
    struct pair *p = data;
    p->held[p->n_held++] = request;
    if (p->n_held == p->n_wanted)
        loop_quit(p->loop, 0);
}

static void refuse(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)data;
    (void)payload;
    (void)length;
    ttrpc_fail(request, TTRPC_NOT_FOUND, "there is none");
}

static void oversize(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)data;
    (void)payload;
    (void)length;
    _cleanup_free_ uint8_t *big = calloc(1, TTRPC_MESSAGE_MAX + 1);
    ttrpc_respond(request, big, TTRPC_MESSAGE_MAX + 1);
}

static void leave(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)payload;
    (void)length;
    struct pair *p = data;
    p->server = ttrpc_server_free(p->server);
    ttrpc_respond(request, "", 0); /* goes nowhere, and frees the request */
    (void)shutdown(p->fds[1], SHUT_RDWR);
}

static const struct ttrpc_method methods[] = {{"Echo", echo},         {"Hold", hold},   {"Refuse", refuse},
                                              {"Oversize", oversize}, {"Leave", leave}, {0}};

static int open_pair(void **state) {
    struct pair *p = calloc(1, sizeof *p);
    *state = p;
    p->n_wanted = UINT32_MAX;
    return loop_new(&p->loop, NULL) < 0 ||
           socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p->fds) < 0;
}

static int close_pair(void **state) {
    struct pair *p = *state;
    p->client = ttrpc_client_free(p->client);
    p->server = ttrpc_server_free(p->server);
    close_fd(&p->fds[0]);
    close_fd(&p->fds[1]);
    loop_free(p->loop);
    free(p);
    return 0;
}

static void start_client(struct pair *p) {
    assert_int_equal(ttrpc_client_new(p->loop, p->fds[0], "test.Service", client_closed, p, &p->client, NULL), 0);
}
static void start_server(struct pair *p) {
    assert_int_equal(ttrpc_server_new(p->loop, p->fds[1], "test.Service", methods, server_closed, p, &p->server, NULL),
                     0);
}

static void on_reply(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload, size_t length) {
    (void)payload;
    (void)length;
    struct pair *p = data;
    p->last_code = code;
    (void)snprintf(p->last_message, sizeof p->last_message, "%s", message);
    if (p->free_in_reply)
        p->client = ttrpc_client_free(p->client);
    if (++p->n_replies == p->n_wanted)
        loop_quit(p->loop, 0);
}

static void call_and_wait(struct pair *p, const char *method) {
    p->n_replies = 0;
    p->n_wanted = 1;
    assert_int_equal(ttrpc_call(p->client, method, "x", 1, on_reply, p), 0);
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->n_replies, 1);
}

/* ---- both sides ours ---- */

struct expected {
    struct pair *pair;
    uint32_t number;
    uint8_t *data;
    size_t length;
};

static void on_echo(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload, size_t length) {
    struct expected *e = data;
    if (length != e->length || (length && memcmp(payload, e->data, length) != 0))
        e->pair->mismatch = true;
    free(e->data);
    on_reply(e->pair, code, message, payload, length);
}

static void many_calls_of_all_sizes_come_back_unharmed(void **state) {
    struct pair *p = *state;
    enum { CALLS = 200 };
    static struct expected expected[CALLS];
    start_client(p);
    start_server(p);
    p->n_wanted = 0;
    size_t total = 0;
    for (uint32_t i = 0; i < CALLS; i++) {
        struct expected *e = &expected[i];
        *e = (struct expected){.pair = p, .number = i, .length = i % 7 == 0 ? i * 1000 : i};
        e->data = malloc(e->length + 1);
        for (size_t k = 0; k < e->length; k++)
            e->data[k] = (uint8_t)(k * 31 + i);
        assert_int_equal(ttrpc_call(p->client, "Echo", e->data, e->length, on_echo, e), 0);
        p->n_wanted++;
        total += e->length;
    }
    assert_true(total > 1 << 20); /* more than the socket holds: some of it was queued */
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->n_replies, CALLS);
    assert_false(p->mismatch);
}

static void payloads_up_to_the_limit_pass(void **state) {
    struct pair *p = *state;
    start_client(p);
    start_server(p);
    p->n_wanted = 1;
    struct expected e = {.pair = p, .length = TTRPC_MESSAGE_MAX - 100};
    e.data = malloc(e.length);
    memset(e.data, 0x5a, e.length);
    assert_int_equal(ttrpc_call(p->client, "Echo", e.data, e.length, on_echo, &e), 0);
    _cleanup_free_ uint8_t *big = calloc(1, TTRPC_MESSAGE_MAX);
    assert_int_equal(ttrpc_call(p->client, "Echo", big, TTRPC_MESSAGE_MAX, on_echo, &e), -EMSGSIZE);
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->n_replies, 1);
    assert_false(p->mismatch);
}

static void answers_come_in_any_order(void **state) {
    struct pair *p = *state;
    start_client(p);
    start_server(p);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ttrpc_call(p->client, "Hold", NULL, 0, on_reply, p), 0);
    p->n_wanted = 3;
    assert_int_equal(loop_run(p->loop), 0); /* until three are held */
    assert_int_equal(p->n_replies, 0);
    call_and_wait(p, "Echo"); /* overtakes them */
    p->n_replies = 0;
    p->n_wanted = 3;
    ttrpc_respond(p->held[1], NULL, 0);
    ttrpc_respond(p->held[2], NULL, 0);
    ttrpc_fail(p->held[0], TTRPC_CANCELED, "no more");
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->last_code, TTRPC_CANCELED);
}

static void refusals_carry_code_and_sentence(void **state) {
    struct pair *p = *state;
    start_client(p);
    start_server(p);
    call_and_wait(p, "Refuse");
    assert_int_equal(p->last_code, TTRPC_NOT_FOUND);
    assert_string_equal(p->last_message, "there is none");
    call_and_wait(p, "Nonsense");
    assert_int_equal(p->last_code, TTRPC_UNIMPLEMENTED);
    call_and_wait(p, "Oversize");
    assert_int_equal(p->last_code, TTRPC_UNKNOWN);
    call_and_wait(p, "Echo");
    assert_int_equal(p->last_code, TTRPC_OK);
}

static void open_calls_are_bounded(void **state) {
    struct pair *p = *state;
    start_client(p);
    start_server(p);
    for (int i = 0; i < TTRPC_CALLS_MAX; i++)
        assert_int_equal(ttrpc_call(p->client, "Hold", NULL, 0, on_reply, p), 0);
    assert_int_equal(ttrpc_call(p->client, "Hold", NULL, 0, on_reply, p), -ENOBUFS);
    p->n_wanted = TTRPC_CALLS_MAX;
    assert_int_equal(loop_run(p->loop), 0);
    for (unsigned i = 0; i < p->n_held; i++)
        ttrpc_respond(p->held[i], NULL, 0);
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->n_replies, TTRPC_CALLS_MAX);
}

static void the_queue_is_bounded(void **state) {
    struct pair *p = *state;
    enum { PIECE = 1 << 20 };
    start_client(p); /* and nobody reads */
    _cleanup_free_ uint8_t *data = calloc(1, PIECE);
    int r = 0, calls = 0;
    while ((r = ttrpc_call(p->client, "Echo", data, PIECE, on_reply, p)) == 0)
        calls++;
    assert_int_equal(r, -ENOBUFS);
    assert_in_range(calls, TTRPC_QUEUE_MAX / PIECE - 1, TTRPC_QUEUE_MAX / PIECE + 1);
}

static void a_server_without_reader_ends_and_does_not_grow(void **state) {
    struct pair *p = *state;
    enum { PIECE = 2 << 20 };
    start_client(p);
    start_server(p);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ttrpc_call(p->client, "Hold", NULL, 0, on_reply, p), 0);
    p->n_wanted = 20;
    assert_int_equal(loop_run(p->loop), 0);
    _cleanup_free_ uint8_t *data = calloc(1, PIECE);
    assert_int_equal(ttrpc_server_backlog(p->server), 0);
    p->client = ttrpc_client_free(p->client); /* the socket stays open: nobody reads */
    for (int i = 0; i < 20; i++)
        ttrpc_respond(p->held[i], data, PIECE);
    assert_true(ttrpc_server_backlog(p->server) <= TTRPC_QUEUE_MAX);
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->server_ends, 1);
    assert_int_equal(p->server_end.code, ENOBUFS);
}

static void the_end_of_the_peer_answers_what_is_open(void **state) {
    struct pair *p = *state;
    start_client(p);
    start_server(p);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ttrpc_call(p->client, "Hold", NULL, 0, on_reply, p), 0);
    p->n_wanted = 3;
    assert_int_equal(loop_run(p->loop), 0);
    p->server = ttrpc_server_free(p->server);
    (void)shutdown(p->fds[1], SHUT_RDWR);
    p->n_wanted = UINT32_MAX;
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->n_replies, 3);
    assert_int_equal(p->last_code, TTRPC_UNAVAILABLE);
    assert_int_equal(p->client_ends, 1);
    assert_int_equal(p->client_end.code, 0);
    assert_true(ttrpc_client_has_ended(p->client));
    assert_int_equal(ttrpc_call(p->client, "Echo", NULL, 0, on_reply, p), -EPIPE);
    for (int i = 0; i < 3; i++)
        ttrpc_respond(p->held[i], NULL, 0); /* frees them */
}

static void both_may_be_freed_from_their_callbacks(void **state) {
    struct pair *p = *state;
    start_client(p);
    start_server(p);
    p->free_in_reply = true;
    call_and_wait(p, "Echo");
    assert_null(p->client);
    p->free_in_reply = false;
    start_client(p);
    call_and_wait(p, "Leave");
    assert_int_equal(p->last_code, TTRPC_UNAVAILABLE);
    assert_null(p->server);
}

/* ---- the test plays the peer ---- */

static void quit(void *data) {
    loop_quit(data, 0);
}

/* Let the loop do what it can now. */
static void turn(struct pair *p) {
    struct loop_source *timer;
    assert_int_equal(loop_add_timer(p->loop, 1, quit, p->loop, &timer), 0);
    assert_int_equal(loop_run(p->loop), 0);
    loop_source_free(timer);
}

static void put(struct pair *p, int side, const void *data, size_t length) {
    assert_int_equal(send(p->fds[side], data, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void split_frames_are_put_together(void **state) {
    struct pair *p = *state;
    start_server(p);
    /* Request{service "test.Service", method "Hold"} on stream 1, byte by byte. */
    static const uint8_t frame[] = "\0\0\0\x14\0\0\0\1\1\0"
                                   "\x0a\x0ctest.Service\x12\x04Hold";
    p->n_wanted = 1;
    for (size_t i = 0; i + 1 < sizeof frame; i++) {
        assert_int_equal(p->n_held, 0);
        put(p, 0, frame + i, 1);
        turn(p);
    }
    assert_int_equal(p->n_held, 1);
    ttrpc_respond(p->held[0], "hi", 2);
    uint8_t answer[64];
    assert_int_equal(recv(p->fds[0], answer, sizeof answer, 0), 14);
    assert_memory_equal(answer, "\0\0\0\x04\0\0\0\1\2\0\x12\2hi", 14);
}

#define SERVER_ENDS(bytes, wanted)                                                                                     \
    do {                                                                                                               \
        void *fresh = NULL;                                                                                            \
        assert_int_equal(open_pair(&fresh), 0);                                                                        \
        struct pair *q = fresh;                                                                                        \
        start_server(q);                                                                                               \
        put(q, 0, bytes, sizeof bytes - 1);                                                                            \
        (void)shutdown(q->fds[0], SHUT_WR);                                                                            \
        assert_int_equal(loop_run(q->loop), 0);                                                                        \
        assert_int_equal(q->server_ends, 1);                                                                           \
        assert_int_equal(q->server_end.code, wanted);                                                                  \
        close_pair(&fresh);                                                                                            \
    } while (0)

static void bad_frames_end_the_server(void **state) {
    (void)state;
    SERVER_ENDS("", 0);
    SERVER_ENDS("\0\0\0", EBADMSG);                  /* cut in the header */
    SERVER_ENDS("\0\0\0\4\0\0\0\1\1\0ab", EBADMSG);  /* cut in the message */
    SERVER_ENDS("\0\x40\0\1\0\0\0\1\1\0", EMSGSIZE); /* 4 MiB and one byte */
    SERVER_ENDS("\xff\xff\xff\xff\0\0\0\1\1\0", EMSGSIZE);
    SERVER_ENDS("\0\0\0\0\0\0\0\1\0\0", EBADMSG);   /* type 0 */
    SERVER_ENDS("\0\0\0\0\0\0\0\1\4\0", EBADMSG);   /* type 4 */
    SERVER_ENDS("\0\0\0\0\0\0\0\1\2\0", EBADMSG);   /* a response */
    SERVER_ENDS("\0\0\0\0\0\0\0\1\3\0", EBADMSG);   /* data of a stream */
    SERVER_ENDS("\0\0\0\0\0\0\0\0\1\0", EBADMSG);   /* stream 0 */
    SERVER_ENDS("\0\0\0\0\0\0\0\2\1\0", EBADMSG);   /* an even stream */
    SERVER_ENDS("\0\0\0\2\0\0\0\1\1\0\x0a\x7f", 0); /* malformed: answered, not ended */
}

static void a_stream_number_is_used_once_at_a_time(void **state) {
    struct pair *p = *state;
    static const uint8_t frame[] = "\0\0\0\x14\0\0\0\1\1\0"
                                   "\x0a\x0ctest.Service\x12\x04Hold";
    start_server(p);
    put(p, 0, frame, sizeof frame - 1);
    put(p, 0, frame, sizeof frame - 1);
    assert_int_equal(loop_run(p->loop), 0);
    assert_int_equal(p->server_end.code, EBADMSG);
    assert_int_equal(p->n_held, 1);
    ttrpc_respond(p->held[0], NULL, 0);
}

#define CLIENT_ENDS(bytes, wanted)                                                                                     \
    do {                                                                                                               \
        void *fresh = NULL;                                                                                            \
        assert_int_equal(open_pair(&fresh), 0);                                                                        \
        struct pair *q = fresh;                                                                                        \
        start_client(q);                                                                                               \
        assert_int_equal(ttrpc_call(q->client, "Echo", NULL, 0, on_reply, q), 0);                                      \
        put(q, 1, bytes, sizeof bytes - 1);                                                                            \
        assert_int_equal(loop_run(q->loop), 0);                                                                        \
        assert_int_equal(q->client_ends, 1);                                                                           \
        assert_int_equal(q->client_end.code, wanted);                                                                  \
        assert_int_equal(q->n_replies, 1); /* the open call is not forgotten */                                        \
        assert_int_equal(q->last_code, TTRPC_UNAVAILABLE);                                                             \
        close_pair(&fresh);                                                                                            \
    } while (0)

static void bad_frames_end_the_client(void **state) {
    (void)state;
    CLIENT_ENDS("\0\0\0\0\0\0\0\3\2\0", EBADMSG);         /* an answer to no call */
    CLIENT_ENDS("\0\0\0\0\0\0\0\1\1\0", EBADMSG);         /* a request */
    CLIENT_ENDS("\0\0\0\2\0\0\0\1\2\0\x0a\x7f", EBADMSG); /* malformed */
    CLIENT_ENDS("\0\x50\0\0\0\0\0\1\2\0", EMSGSIZE);
}

static void a_message_cannot_ask_for_much_memory(void **state) {
    struct pair *p = *state;
    enum { LENGTH = 3 << 20 };
    start_client(p);
    assert_int_equal(ttrpc_call(p->client, "Echo", NULL, 0, on_reply, p), 0);
    /* A million and a half unknown fields of two bytes each: protobuf-c would take a hundred bytes for every one. */
    _cleanup_free_ uint8_t *frame = malloc(10 + LENGTH);
    memcpy(frame, "\0\x30\0\0\0\0\0\1\2\0", 10);
    for (size_t i = 0; i < LENGTH; i += 2)
        memcpy(frame + 10 + i, "\x78\1", 2);
    for (size_t sent = 0; sent < 10 + LENGTH;) {
        ssize_t n = send(p->fds[1], frame + sent, 10 + LENGTH - sent, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        turn(p);
    }
    assert_int_equal(p->client_end.code, EBADMSG);
    assert_int_equal(p->n_replies, 1);
}

static void headers_are_parsed(void **state) {
    (void)state;
    struct ttrpc_header h;
    const uint8_t bytes[] = {0, 0x40, 0, 0, 1, 2, 3, 4, 2, 5};
    assert_int_equal(ttrpc_header_parse(bytes, 9, &h), 0);
    assert_int_equal(ttrpc_header_parse(bytes, 10, &h), 1);
    assert_int_equal(h.length, TTRPC_MESSAGE_MAX);
    assert_int_equal(h.stream_id, 0x01020304);
    assert_int_equal(h.type, 2);
    assert_int_equal(h.flags, 5);
}

#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_PAIR(many_calls_of_all_sizes_come_back_unharmed),
        WITH_PAIR(payloads_up_to_the_limit_pass),
        WITH_PAIR(answers_come_in_any_order),
        WITH_PAIR(refusals_carry_code_and_sentence),
        WITH_PAIR(open_calls_are_bounded),
        WITH_PAIR(the_queue_is_bounded),
        WITH_PAIR(a_server_without_reader_ends_and_does_not_grow),
        WITH_PAIR(the_end_of_the_peer_answers_what_is_open),
        WITH_PAIR(both_may_be_freed_from_their_callbacks),
        WITH_PAIR(split_frames_are_put_together),
        cmocka_unit_test(bad_frames_end_the_server),
        WITH_PAIR(a_stream_number_is_used_once_at_a_time),
        cmocka_unit_test(bad_frames_end_the_client),
        WITH_PAIR(a_message_cannot_ask_for_much_memory),
        cmocka_unit_test(headers_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
