/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/agent.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "shared/rpc/bounded.h"
#include "shared/rpc/version.h"

#include <stdbool.h>
#include <string.h>

struct agent_call {
    struct agent_call *next;
    struct agent *agent;
    struct agent_request request; /* reply NULL: forgotten */
    struct loop_source *timer;
};

struct agent {
    struct loop *loop;
    struct ttrpc_client *client; /* NULL after agent_break() */
    struct err broken;
    struct agent_call *calls;
};

int agent_new(struct loop *loop, int fd, ttrpc_closed_fn *closed, void *data, struct agent **ret, struct err *err) {
    struct agent *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(err, ENOMEM, "out of memory");
    a->loop = loop;
    int r = ttrpc_client_new(loop, fd, AGENT_SERVICE, closed, data, &a->client, err);
    if (r < 0) {
        free(a);
        return r;
    }
    *ret = a;
    return 0;
}

static void unlink_call(struct agent_call *call) {
    for (struct agent_call **p = &call->agent->calls; *p; p = &(*p)->next)
        if (*p == call) {
            *p = call->next;
            return;
        }
}

static void free_call(struct agent_call *call) {
    unlink_call(call);
    (void)loop_source_free(call->timer);
    free(call);
}

struct agent *agent_free(struct agent *a) {
    if (!a)
        return NULL;
    (void)ttrpc_client_free(a->client);
    while (a->calls)
        free_call(a->calls);
    free(a);
    return NULL;
}

void agent_break(struct agent *a, const struct err *why) {
    a->client = ttrpc_client_free(a->client);
    a->broken = *why;
    while (a->calls) {
        struct agent_request request = a->calls->request;
        free_call(a->calls);
        if (request.reply)
            request.reply(request.data, why, NULL);
    }
}

void agent_forget(struct agent *a, const void *owner) {
    for (struct agent_call *call = a->calls; call; call = call->next)
        if (call->request.owner == owner)
            call->request.reply = NULL;
}

static int code_to_errno(enum ttrpc_code code) {
    switch (code) {
    case TTRPC_INVALID_ARGUMENT:
        return EINVAL;
    case TTRPC_NOT_FOUND:
        return ESRCH;
    case TTRPC_ALREADY_EXISTS:
        return EEXIST;
    case TTRPC_FAILED_PRECONDITION:
        return EBUSY;
    case TTRPC_UNIMPLEMENTED:
        return EOPNOTSUPP;
    case TTRPC_UNAVAILABLE:
        return EAGAIN;
    default:
        return EIO;
    }
}

static void guest_error(struct err *err, const char *method, enum ttrpc_code code, const char *message) {
    char text[ERR_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s", message);
    text_make_printable(text);
    (void)err_set(err, code_to_errno(code), "%s%s", text[0] ? text : "the guest refused ", text[0] ? "" : method);
}

/* Hand the outcome to the caller, who may free or break the agent. */
static void finish(struct agent_call *call, const struct err *why, const ProtobufCMessage *reply) {
    struct agent_request request = call->request;
    free_call(call);
    if (request.reply)
        request.reply(request.data, why, reply);
}

static void on_reply(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload, size_t length) {
    struct agent_call *call = data;
    struct err err = {0};
    struct proto_budget budget;
    if (code == TTRPC_UNAVAILABLE && ttrpc_client_has_ended(call->agent->client))
        return; /* until agent_break() */
    if (code != TTRPC_OK) {
        guest_error(&err, call->request.method, code, message);
        return finish(call, &err, NULL);
    }
    ProtobufCMessage *reply = proto_unpack(&budget, call->request.response, payload, length);
    if (!reply)
        (void)err_set(&err, EBADMSG, "the guest's answer to %s is malformed", call->request.method);
    finish(call, &err, reply);
    proto_free(&budget, reply);
}

static void on_deadline(void *data) {
    struct agent_call *call = data;
    struct agent_request request = call->request;
    struct err err = {0};
    call->request.reply = NULL; /* a late answer is dropped; the call goes with it or with the channel */
    (void)err_set(&err, ETIMEDOUT, "the guest did not answer %s within %lld s", request.method,
                  (long long)(request.deadline_msec / 1000));
    if (request.reply)
        request.reply(request.data, &err, NULL);
}

int agent_call_packed(struct agent *a, const struct agent_request *request, const void *message, size_t length,
                      struct err *err) {
    if (!a->client) {
        *err = a->broken;
        return -err->code;
    }
    struct agent_call *call = calloc(1, sizeof *call);
    if (!call)
        return err_set(err, ENOMEM, "out of memory");
    *call = (struct agent_call){.next = a->calls, .agent = a, .request = *request};
    a->calls = call;
    int r = 0;
    if (request->deadline_msec > 0)
        r = loop_add_timer(a->loop, request->deadline_msec, on_deadline, call, &call->timer);
    if (r == 0)
        r = ttrpc_call(a->client, request->method, message, length, on_reply, call);
    if (r < 0) {
        free_call(call);
        return err_set(err, -r, "cannot send %s to the guest: %s", request->method,
                       r == -EMSGSIZE  ? "the message is above the limit of 4 MiB"
                       : r == -ENOBUFS ? "too much is waiting to be sent"
                       : r == -EPIPE   ? "the connection has ended"
                                       : strerror(-r));
    }
    return 0;
}

int agent_call(struct agent *a, const struct agent_request *request, const ProtobufCMessage *message, struct err *err) {
    size_t length = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *packed = malloc(length + 1);
    if (!packed)
        return err_set(err, ENOMEM, "out of memory");
    (void)protobuf_c_message_pack(message, packed);
    return agent_call_packed(a, request, packed, length, err);
}
