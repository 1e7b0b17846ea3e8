/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc server that is sent these bytes, in pieces whose sizes the first byte decides. */
#include "shared/base/cleanup.h"
#include "shared/rpc/ttrpc.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    struct loop *loop;
    struct ttrpc_request *held[TTRPC_CALLS_MAX];
    size_t n_held;
};

static void echo(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)data;
    ttrpc_respond(request, payload, length);
}

static void hold(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)payload;
    (void)length;
    struct target *t = data;
    t->held[t->n_held++] = request;
}

static const struct ttrpc_method methods[] = {{"Echo", echo}, {"Hold", hold}, {0}};

static void on_closed(void *data, const struct err *why) {
    (void)why;
    struct target *t = data;
    loop_quit(t->loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct target t = {0};
    struct ttrpc_server *server;
    int fds[2];
    /* What one socket holds at once, so that a single thread can write first and read then. */
    if (size < 1 || size > 64 << 10 || loop_new(&t.loop, NULL) < 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        ttrpc_server_new(t.loop, fds[1], "s", methods, on_closed, &t, &server, NULL) < 0)
        abort();
    size_t piece = (size_t)data[0] * 16 + 1;
    for (size_t done = 1; done < size; done += piece)
        (void)send(fds[0], data + done, size - done < piece ? size - done : piece, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fds[0], SHUT_WR);
    (void)loop_run(t.loop);
    (void)ttrpc_server_free(server);
    for (size_t i = 0; i < t.n_held; i++)
        ttrpc_respond(t.held[i], NULL, 0);
    (void)loop_free(t.loop);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}
