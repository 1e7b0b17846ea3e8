/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: connections, the owner check, and a table of requests that says when each is allowed and how
 * many descriptors it brings. What is not in the table is refused. docs/protocol-control.md.
 *
 * One request at a time per connection; it is answered now or later. A connection that closes early is forgotten:
 * its request runs on and its answer goes nowhere.
 */
#pragma once

#include "facts/control/control.h"
#include "shared/base/err.h"
#include "shared/base/loop.h"

#include <stddef.h>

struct server;
struct call; /* a request that is being worked on */

enum server_phase { /* bits, so that a table entry can name several */
                    PHASE_NEW = 1 << 0,
                    PHASE_LOADED = 1 << 1,
                    PHASE_RUNNING = 1 << 2,
                    PHASE_ENDING = 1 << 3,
                    PHASE_BUSY = 1 << 4, /* between two of the first three */
};

struct server_entry {
    enum control_op op;
    unsigned phases;
    bool setup_only;
    unsigned char min_fds, max_fds;
    void (*handler)(void *data, struct call *call);
};

struct server_config {
    struct loop *loop;
    int listen, setup; /* stay the caller's; setup -EBADF: none */
    uid_t owner;
    const struct server_entry *table;
    size_t n_table;
    void (*setup_closed)(void *data);
    void *data;
};

int server_new(const struct server_config *config, struct server **ret, struct err *err);
struct server *server_free(struct server *server); /* open calls are answered by nobody */
void server_set_phase(struct server *server, enum server_phase phase);
/* In PHASE_ENDING the setup connection is told this instead of "container not running". */
void server_refuse_setup(struct server *server, const struct err *why);

/*
 * It is answered at the end of the container only: its connection is not one of those that others wait for. -EAGAIN:
 * there are too many of these.
 */
int call_stay(struct call *call, struct err *err);

const struct control_request *call_request(const struct call *call);
void *call_data(const struct call *call);             /* the server's data */
int call_take_fd(struct call *call, size_t position); /* -EBADF when there is none */

/* An empty reply to fill in. */
void call_reply_init(const struct call *call, struct control_reply *reply);
/* A further reply follows this one. */
void call_reply_more(struct call *call, struct control_reply *reply);
/* These end the call and free it. */
void call_reply(struct call *call, struct control_reply *reply);
void call_succeed(struct call *call);
void call_fail(struct call *call, const struct err *err);

/* For a call that waits for long: called when its connection closes, after which only call_fail() may be called. */
void call_on_close(struct call *call, void (*closed)(void *data, struct call *call));
