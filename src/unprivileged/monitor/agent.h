/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to the agent in the guest (src/shared/rpc/agent.proto) with deadlines, and replies that are safe to use:
 * unpacked within a memory budget, sentences bounded and printable. docs/protocol-agent.md.
 *
 * When the channel breaks, open calls are kept until agent_break() says why, because the reason (QEMU died of …) is
 * usually known a moment later and from somewhere else.
 */
#pragma once

#include "agent.pb-c.h"
#include "shared/base/err.h"
#include "shared/base/loop.h"
#include "shared/rpc/ttrpc.h"

#include <stddef.h>
#include <stdint.h>

struct agent;

/* why->code 0: reply is the message asked for, valid during this call only. Else reply is NULL. */
typedef void agent_reply_fn(void *data, const struct err *why, const ProtobufCMessage *reply);

struct agent_request {
    const char *method; /* static */
    const ProtobufCMessageDescriptor *response;
    int64_t deadline_msec; /* 0: none, for the calls that are pending by nature */
    const void *owner;     /* for agent_forget() */
    agent_reply_fn *reply;
    void *data;
};

/* closed: the channel broke, once; nothing else happens until agent_break(). fd stays the caller's. */
int agent_new(struct loop *loop, int fd, ttrpc_closed_fn *closed, void *data, struct agent **ret, struct err *err);
struct agent *agent_free(struct agent *agent); /* open calls are dropped */

/* End the channel: every open call fails with this error now, every later one at once. */
void agent_break(struct agent *agent, const struct err *why);

/* On failure reply is never called. */
int agent_call(struct agent *agent, const struct agent_request *request, const ProtobufCMessage *message,
               struct err *err);
int agent_call_packed(struct agent *agent, const struct agent_request *request, const void *message, size_t length,
                      struct err *err);

/* Drop every open call of this owner: reply is not called any more. */
void agent_forget(struct agent *agent, const void *owner);
