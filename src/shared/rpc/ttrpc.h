/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc on one byte stream: framing, a client (monitor) and a server (agent; the
 * shim's worker later). Specified in containerd/ttrpc's PROTOCOL.md; unary calls only.
 * Single-threaded, on the event loop, non-blocking, bounded: a frame is at most
 * TTRPC_MESSAGE_MAX bytes, and a server has at most TTRPC_CALLS_MAX calls open.
 *
 * Owns neither the loop nor the fd. Does not log; a broken stream is reported
 * once, through the closed callback, after which only *_free() may be called.
 */
#pragma once

#include "shared/base/err.h"
#include "shared/base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TTRPC_HEADER_SIZE = 10,
    TTRPC_MESSAGE_MAX = 4 << 20,
    TTRPC_CALLS_MAX = 8192,
    TTRPC_QUEUE_MAX = 16 << 20, /* bytes waiting to be written; more is -ENOBUFS */
};

/* google.rpc.Code, as far as minka uses it. */
enum ttrpc_code {
    TTRPC_OK = 0,
    TTRPC_CANCELED = 1,
    TTRPC_UNKNOWN = 2,
    TTRPC_INVALID_ARGUMENT = 3,
    TTRPC_NOT_FOUND = 5,
    TTRPC_ALREADY_EXISTS = 6,
    TTRPC_FAILED_PRECONDITION = 9,
    TTRPC_UNIMPLEMENTED = 12,
    TTRPC_UNAVAILABLE = 14,
};

typedef void ttrpc_closed_fn(void *data, const struct err *why); /* why->code 0: clean end of stream */

/* ---- client ---- */
struct ttrpc_client;

/* code TTRPC_OK: payload is the response message. Otherwise message is the server's sentence. Called exactly once
 * per accepted call, unless the client is freed first; when the stream breaks, TTRPC_UNAVAILABLE and then closed. */
typedef void ttrpc_reply_fn(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload,
                            size_t length);

int ttrpc_client_new(struct loop *loop, int fd, const char *service, ttrpc_closed_fn *closed, void *data,
                     struct ttrpc_client **ret, struct err *err);
struct ttrpc_client *ttrpc_client_free(struct ttrpc_client *client); /* open calls are dropped without reply */

/* The stream has ended: an UNAVAILABLE reply that comes now is the connection's, not the server's. */
bool ttrpc_client_has_ended(const struct ttrpc_client *client);

/* payload is copied. 0, -EMSGSIZE, -ENOBUFS, -ENOMEM or -EPIPE after the stream broke. */
int ttrpc_call(struct ttrpc_client *client, const char *method, const void *payload, size_t length,
               ttrpc_reply_fn *reply, void *data);

/* ---- server ---- */
struct ttrpc_server;
struct ttrpc_request; /* an open call; answer it exactly once, now or later */

struct ttrpc_method {
    const char *name;
    void (*handler)(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length);
};

/* methods ends with a NULL name; anything not in it is answered UNIMPLEMENTED. */
int ttrpc_server_new(struct loop *loop, int fd, const char *service, const struct ttrpc_method *methods,
                     ttrpc_closed_fn *closed, void *data, struct ttrpc_server **ret, struct err *err);
/* Requests that are still open stay valid: answering one later only frees it. */
struct ttrpc_server *ttrpc_server_free(struct ttrpc_server *server);

/* Both free the request. The calls never fail from the caller's view: a broken stream arrives at closed. */
void ttrpc_respond(struct ttrpc_request *request, const void *payload, size_t length);
void ttrpc_fail(struct ttrpc_request *request, enum ttrpc_code code, const char *message);

/* Bytes queued but not yet taken by the peer: a server that pushes bulk data uses it for back-pressure. */
size_t ttrpc_server_backlog(const struct ttrpc_server *server);

/* ---- framing, also for fuzzers ---- */
struct ttrpc_header {
    uint32_t length;
    uint32_t stream_id;
    uint8_t type; /* 1 request, 2 response, 3 data */
    uint8_t flags;
};
/* 1 and *ret when a whole header was there, 0 when more bytes are needed, -EBADMSG / -EMSGSIZE. */
int ttrpc_header_parse(const uint8_t *data, size_t length, struct ttrpc_header *ret);
