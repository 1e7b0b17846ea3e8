/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/cleanup.h"
#include "shared/rpc/bounded.h"
#include "shared/rpc/ttrpc.h"
#include "shared/rpc/ttrpc_stream.h"
#include "ttrpc.pb-c.h"

#include <string.h>

struct ttrpc_request {
    struct ttrpc_request *next;
    struct ttrpc_server *server; /* NULL once the server was freed: the answer has nowhere to go */
    uint32_t stream_id;
};

struct ttrpc_server {
    struct ttrpc_stream stream;
    char *service;
    const struct ttrpc_method *methods;
    ttrpc_closed_fn *closed;
    void *data;
    struct ttrpc_request *requests;
    unsigned n_requests;
};

static void forget(struct ttrpc_request *request) {
    struct ttrpc_server *s = request->server;
    for (struct ttrpc_request **p = s ? &s->requests : NULL; p && *p; p = &(*p)->next)
        if (*p == request) {
            *p = request->next;
            s->n_requests--;
            break;
        }
    free(request);
}

static void send_status(struct ttrpc_server *s, uint32_t stream_id, enum ttrpc_code code, const char *message) {
    Minka__Ttrpc__Status status = MINKA__TTRPC__STATUS__INIT;
    Minka__Ttrpc__Response response = MINKA__TTRPC__RESPONSE__INIT;
    char text[ERR_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s", message);
    status.code = (int32_t)code;
    status.message = text;
    response.status = &status;
    int r = ttrpc_stream_send(&s->stream, stream_id, TTRPC_RESPONSE, 0, &response.base);
    if (r < 0 && r != -EPIPE)
        ttrpc_stream_abort(&s->stream, -r);
}

void ttrpc_respond(struct ttrpc_request *request, const void *payload, size_t length) {
    struct ttrpc_server *s = request->server;
    Minka__Ttrpc__Response response = MINKA__TTRPC__RESPONSE__INIT;
    response.payload = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)payload, .len = length};
    int r = s ? ttrpc_stream_send(&s->stream, request->stream_id, TTRPC_RESPONSE, 0, &response.base) : 0;
    if (r == -EMSGSIZE)
        send_status(s, request->stream_id, TTRPC_UNKNOWN, "the answer is above the limit of 4 MiB");
    else if (r < 0 && r != -EPIPE)
        ttrpc_stream_abort(&s->stream, -r);
    forget(request);
}

void ttrpc_fail(struct ttrpc_request *request, enum ttrpc_code code, const char *message) {
    if (request->server)
        send_status(request->server, request->stream_id, code, message);
    forget(request);
}

size_t ttrpc_server_backlog(const struct ttrpc_server *server) {
    return ttrpc_stream_backlog(&server->stream);
}

static void dispatch(struct ttrpc_server *s, uint32_t stream_id, const Minka__Ttrpc__Request *message) {
    if (strcmp(message->service, s->service) != 0)
        return send_status(s, stream_id, TTRPC_UNIMPLEMENTED, "no such service");
    const struct ttrpc_method *method = s->methods;
    while (method->name && strcmp(method->name, message->method) != 0)
        method++;
    if (!method->name)
        return send_status(s, stream_id, TTRPC_UNIMPLEMENTED, "no such method");
    if (s->n_requests >= TTRPC_CALLS_MAX)
        return send_status(s, stream_id, TTRPC_UNAVAILABLE, "too many calls are open");
    struct ttrpc_request *request = malloc(sizeof *request);
    if (!request)
        return send_status(s, stream_id, TTRPC_UNAVAILABLE, "out of memory");
    *request = (struct ttrpc_request){.next = s->requests, .server = s, .stream_id = stream_id};
    s->requests = request;
    s->n_requests++;
    method->handler(s->data, request, message->payload.data, message->payload.len);
}

static int on_request(void *data, const struct ttrpc_header *header, const uint8_t *payload, struct err *err) {
    struct ttrpc_server *s = data;
    if (header->type != TTRPC_REQUEST || header->stream_id % 2 == 0)
        return err_set(err, EBADMSG, "the peer sent something that is not a request");
    for (struct ttrpc_request *r = s->requests; r; r = r->next)
        if (r->stream_id == header->stream_id)
            return err_set(err, EBADMSG, "the peer used the number of an open call again");
    if (header->flags & TTRPC_REMOTE_OPEN) {
        send_status(s, header->stream_id, TTRPC_UNIMPLEMENTED, "streams are not supported");
        return 0;
    }
    struct proto_budget budget;
    Minka__Ttrpc__Request *message =
        (Minka__Ttrpc__Request *)proto_unpack(&budget, &minka__ttrpc__request__descriptor, payload, header->length);
    if (message)
        dispatch(s, header->stream_id, message); /* may free s */
    else
        send_status(s, header->stream_id, TTRPC_INVALID_ARGUMENT, "malformed request");
    proto_free(&budget, message ? &message->base : NULL);
    return 0;
}

static void on_end(void *data, const struct err *why) {
    struct ttrpc_server *s = data;
    s->closed(s->data, why);
}

int ttrpc_server_new(struct loop *loop, int fd, const char *service, const struct ttrpc_method *methods,
                     ttrpc_closed_fn *closed, void *data, struct ttrpc_server **ret, struct err *err) {
    struct ttrpc_server *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    s->methods = methods;
    s->closed = closed;
    s->data = data;
    s->service = strdup(service);
    int r = s->service ? ttrpc_stream_open(&s->stream, loop, fd, on_request, on_end, s, err)
                       : err_set(err, ENOMEM, "out of memory");
    if (r < 0) {
        (void)ttrpc_server_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct ttrpc_server *ttrpc_server_free(struct ttrpc_server *s) {
    if (!s)
        return NULL;
    ttrpc_stream_close(&s->stream);
    for (struct ttrpc_request *r = s->requests; r; r = r->next)
        r->server = NULL; /* whoever holds it still answers, and frees it so */
    free(s->service);
    free(s);
    return NULL;
}
