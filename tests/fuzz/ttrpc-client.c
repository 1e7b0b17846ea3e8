/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc client with four open calls that is answered with these bytes: exactly one reply per call, whatever comes. */
#include "shared/base/cleanup.h"
#include "shared/rpc/ttrpc.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS = 4 };

static void on_closed(void *data, const struct err *why) {
    (void)why;
    loop_quit(data, 0);
}

static void on_reply(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload, size_t length) {
    unsigned *replies = data;
    volatile uint8_t sum = (uint8_t)message[0];
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + payload[i]);
    (void)code;
    (*replies)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct loop *loop;
    struct ttrpc_client *client;
    unsigned replies[CALLS] = {0};
    int fds[2];
    if (size > 64 << 10 || loop_new(&loop, NULL) < 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        ttrpc_client_new(loop, fds[0], "s", on_closed, loop, &client, NULL) < 0)
        abort();
    for (size_t i = 0; i < CALLS; i++)
        if (ttrpc_call(client, "M", "x", 1, on_reply, &replies[i]) < 0)
            abort();
    (void)send(fds[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fds[1], SHUT_RDWR);
    (void)loop_run(loop);
    for (size_t i = 0; i < CALLS; i++)
        if (replies[i] != 1)
            abort();
    (void)ttrpc_client_free(client);
    (void)loop_free(loop);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}
