/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/cleanup.h"
#include "shared/rpc/bounded.h"
#include "shared/rpc/ttrpc.h"
#include "shared/rpc/ttrpc_stream.h"
#include "ttrpc.pb-c.h"

#include <string.h>

struct open_call {
    struct open_call *next;
    uint32_t stream_id;
    ttrpc_reply_fn *reply;
    void *data;
};

struct ttrpc_client {
    struct ttrpc_stream stream;
    char *service;
    ttrpc_closed_fn *closed;
    void *data;
    struct open_call *calls;
    unsigned n_calls;
    uint32_t last_id; /* odd, PROTOCOL.md */
    bool *freed;
};

static struct open_call *take_call(struct ttrpc_client *c, uint32_t stream_id) {
    for (struct open_call **p = &c->calls; *p; p = &(*p)->next) {
        struct open_call *call = *p;
        if (call->stream_id != stream_id)
            continue;
        *p = call->next;
        c->n_calls--;
        return call;
    }
    return NULL;
}

static int on_response(void *data, const struct ttrpc_header *header, const uint8_t *payload, struct err *err) {
    struct ttrpc_client *c = data;
    if (header->type != TTRPC_RESPONSE)
        return err_set(err, EBADMSG, "the peer sent something that is not a response");
    _cleanup_free_ struct open_call *call = take_call(c, header->stream_id);
    if (!call)
        return err_set(err, EBADMSG, "the peer answered a call that was never made");
    struct proto_budget budget;
    Minka__Ttrpc__Response *response =
        (Minka__Ttrpc__Response *)proto_unpack(&budget, &minka__ttrpc__response__descriptor, payload, header->length);
    if (!response) {
        /* Exactly one reply per call, this one included, before the stream ends. */
        call->reply(call->data, TTRPC_UNAVAILABLE, "the peer sent a malformed response", NULL, 0);
        return err_set(err, EBADMSG, "the peer sent a malformed response");
    }
    if (response->status && response->status->code != TTRPC_OK)
        call->reply(call->data, (enum ttrpc_code)response->status->code, response->status->message, NULL, 0);
    else
        call->reply(call->data, TTRPC_OK, "", response->payload.data, response->payload.len);
    proto_free(&budget, &response->base);
    return 0;
}

static void on_end(void *data, const struct err *why) {
    struct ttrpc_client *c = data;
    bool freed = false;
    c->freed = &freed;
    while (c->calls) {
        _cleanup_free_ struct open_call *call = take_call(c, c->calls->stream_id);
        call->reply(call->data, TTRPC_UNAVAILABLE, why->code ? why->text : "the connection was closed", NULL, 0);
        if (freed)
            return;
    }
    c->freed = NULL;
    c->closed(c->data, why);
}

int ttrpc_client_new(struct loop *loop, int fd, const char *service, ttrpc_closed_fn *closed, void *data,
                     struct ttrpc_client **ret, struct err *err) {
    struct ttrpc_client *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, ENOMEM, "out of memory");
    c->closed = closed;
    c->data = data;
    c->service = strdup(service);
    int r = c->service ? ttrpc_stream_open(&c->stream, loop, fd, on_response, on_end, c, err)
                       : err_set(err, ENOMEM, "out of memory");
    if (r < 0) {
        (void)ttrpc_client_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

struct ttrpc_client *ttrpc_client_free(struct ttrpc_client *c) {
    if (!c)
        return NULL;
    if (c->freed)
        *c->freed = true;
    ttrpc_stream_close(&c->stream);
    while (c->calls)
        free(take_call(c, c->calls->stream_id));
    free(c->service);
    free(c);
    return NULL;
}

bool ttrpc_client_has_ended(const struct ttrpc_client *c) {
    return c->stream.ended;
}

static uint32_t next_id(struct ttrpc_client *c) {
    for (;;) {
        c->last_id = c->last_id == 0 || c->last_id >= UINT32_MAX - 2 ? 1 : c->last_id + 2;
        bool used = false;
        for (struct open_call *call = c->calls; call; call = call->next)
            used = used || call->stream_id == c->last_id;
        if (!used)
            return c->last_id;
    }
}

int ttrpc_call(struct ttrpc_client *c, const char *method, const void *payload, size_t length, ttrpc_reply_fn *reply,
               void *data) {
    if (c->n_calls >= TTRPC_CALLS_MAX)
        return -ENOBUFS;
    _cleanup_free_ struct open_call *call = malloc(sizeof *call);
    if (!call)
        return -ENOMEM;
    Minka__Ttrpc__Request request = MINKA__TTRPC__REQUEST__INIT;
    request.service = c->service;
    request.method = (char *)(uintptr_t)method; /* only read */
    request.payload = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)payload, .len = length};
    *call = (struct open_call){.next = c->calls, .stream_id = next_id(c), .reply = reply, .data = data};
    int r = ttrpc_stream_send(&c->stream, call->stream_id, TTRPC_REQUEST, TTRPC_REMOTE_CLOSED, &request.base);
    if (r < 0)
        return r;
    c->calls = take_ptr(call);
    c->n_calls++;
    return 0;
}
