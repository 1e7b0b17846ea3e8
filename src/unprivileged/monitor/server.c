/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/server.h"

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <string.h>
#include <sys/socket.h>

enum {
    CONNECTIONS_MAX = 64, /* and as many with a call that stays */
    QUEUE_MAX = 8 << 20,  /* replies that the peer has not read yet */
};

struct connection {
    struct connection *next;
    struct server *server;
    int fd;
    bool is_setup, stays;
    struct loop_source *source;
    struct call *call; /* the one that is being worked on */
    struct buf queue;  /* whole struct control_reply */
};

struct call {
    struct connection *connection; /* NULL once it has closed */
    struct server *server;
    struct control_request request;
    int fds[CONTROL_FDS_MAX];
    void (*closed)(void *data, struct call *call);
};

struct server {
    struct server_config config;
    enum server_phase phase;
    struct err setup_refusal;
    struct loop_source *listen_source;
    struct connection *connections;
    unsigned n_connections; /* those that stay not counted */
    unsigned n_stay;
};

static void update_events(struct connection *c) {
    uint32_t events = (c->call ? 0 : (uint32_t)EPOLLIN) | (c->queue.length > 0 ? (uint32_t)EPOLLOUT : 0);
    (void)loop_source_set_events(c->source, events);
}

/* The next one waits in the backlog: dropped, it would take the container for ended. */
static void listen_if_room(struct server *s) {
    (void)loop_source_set_events(s->listen_source, s->n_connections < CONNECTIONS_MAX ? EPOLLIN : 0);
}

static void close_connection(struct connection *c) {
    struct server *s = c->server;
    struct call *call = c->call;
    bool is_setup = c->is_setup;
    for (struct connection **p = &s->connections; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    if (c->stays)
        s->n_stay--;
    else
        s->n_connections--;
    listen_if_room(s);
    (void)loop_source_free(c->source);
    if (!is_setup)
        close_fd(&c->fd);
    buf_done(&c->queue);
    free(c);
    if (call) {
        call->connection = NULL;
        if (call->closed)
            call->closed(s->config.data, call);
    }
    if (is_setup)
        s->config.setup_closed(s->config.data);
}

/* ---- replies ---- */

static bool send_queue(struct connection *c) {
    size_t sent = 0;
    while (sent < c->queue.length) {
        ssize_t n = send(c->fd, c->queue.data + sent, sizeof(struct control_reply), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        sent += sizeof(struct control_reply);
    }
    buf_consume(&c->queue, sent);
    if (c->queue.length == 0)
        buf_done(&c->queue);
    return true;
}

static void queue_reply(struct call *call, struct control_reply *reply) {
    struct connection *c = call->connection;
    if (!c)
        return;
    reply->magic = CONTROL_MAGIC;
    reply->op = call->request.op;
    bool fits = c->queue.length + sizeof *reply <= QUEUE_MAX && buf_append(&c->queue, reply, sizeof *reply) == 0;
    /* A peer that does not read loses its connection, not the monitor its memory. */
    if (!fits || !send_queue(c)) {
        buf_done(&c->queue);
        (void)shutdown(c->fd, SHUT_RDWR); /* the loop then sees it closed */
    }
    update_events(c);
}

static void free_call(struct call *call) {
    struct connection *c = call->connection;
    for (size_t i = 0; i < CONTROL_FDS_MAX; i++)
        close_fd(&call->fds[i]);
    free(call);
    if (!c)
        return;
    c->call = NULL;
    update_events(c);
    if (c->stays) {
        c->stays = false;
        c->server->n_stay--;
        c->server->n_connections++;
        listen_if_room(c->server);
    }
}

void call_reply_init(const struct call *call, struct control_reply *reply) {
    memset(reply, 0, sizeof *reply); /* padding too: it goes over a socket */
    reply->op = call->request.op;
}

void call_reply_more(struct call *call, struct control_reply *reply) {
    reply->more = 1;
    queue_reply(call, reply);
}

void call_reply(struct call *call, struct control_reply *reply) {
    reply->more = 0;
    queue_reply(call, reply);
    free_call(call);
}

void call_succeed(struct call *call) {
    struct control_reply reply;
    call_reply_init(call, &reply);
    call_reply(call, &reply);
}

void call_fail(struct call *call, const struct err *err) {
    struct control_reply reply;
    call_reply_init(call, &reply);
    reply.status = err->code > 0 && err->code < 4096 ? -err->code : -EIO;
    (void)snprintf(reply.text, sizeof reply.text, "%s", err->text);
    call_reply(call, &reply);
}

void call_on_close(struct call *call, void (*closed)(void *data, struct call *call)) {
    call->closed = closed;
}

int call_stay(struct call *call, struct err *err) {
    struct connection *c = call->connection;
    struct server *s = call->server;
    if (!c || c->stays)
        return 0;
    if (s->n_stay >= CONNECTIONS_MAX)
        return err_set(err, EAGAIN, "there are %d waiting for this already", CONNECTIONS_MAX);
    c->stays = true;
    s->n_stay++;
    s->n_connections--;
    listen_if_room(s);
    return 0;
}

const struct control_request *call_request(const struct call *call) {
    return &call->request;
}

void *call_data(const struct call *call) {
    return call->server->config.data;
}

int call_take_fd(struct call *call, size_t position) {
    return position < CONTROL_FDS_MAX ? take_fd(&call->fds[position]) : -EBADF;
}

/* ---- requests ---- */

static int check_allowed(const struct connection *c, const struct server_entry *entry, size_t n_fds, struct err *err) {
    enum server_phase phase = c->server->phase;
    if (!entry || (entry->setup_only && !c->is_setup))
        return err_set(err, EBADRQC, "the monitor does not take this request here");
    if (!(entry->phases & phase) && phase == PHASE_ENDING && c->is_setup && c->server->setup_refusal.code) {
        *err = c->server->setup_refusal;
        return -err->code;
    }
    if (!(entry->phases & phase) && phase == PHASE_ENDING)
        return err_set(err, ESRCH, "container not running");
    if (!(entry->phases & phase))
        return err_set(err, EBUSY, "the sandbox is still starting");
    if (n_fds < entry->min_fds || n_fds > entry->max_fds)
        return err_set(err, EBADRQC, "the request brings %zu descriptors, not %u to %u", n_fds,
                       (unsigned)entry->min_fds, (unsigned)entry->max_fds);
    return 0;
}

static void dispatch(struct connection *c, struct call *call, size_t n_fds) {
    struct server *s = c->server;
    const struct server_entry *entry = NULL;
    struct err err = {0};
    for (size_t i = 0; i < s->config.n_table; i++)
        if ((uint32_t)s->config.table[i].op == call->request.op)
            entry = &s->config.table[i];
    c->call = call;
    update_events(c);
    if (check_allowed(c, entry, n_fds, &err) < 0)
        call_fail(call, &err);
    else
        entry->handler(s->config.data, call);
}

static void receive_request(struct connection *c) {
    size_t n_fds = 0;
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return close_connection(c);
    *call = (struct call){.connection = c, .server = c->server};
    for (size_t i = 0; i < CONTROL_FDS_MAX; i++)
        call->fds[i] = -EBADF;
    ssize_t n = receive_with_fds(c->fd, &call->request, sizeof call->request, call->fds, CONTROL_FDS_MAX, &n_fds);
    if (n > 0 && control_request_check(&call->request, n) == 0)
        return dispatch(c, call, n_fds);
    call->connection = NULL;
    free_call(call);
    if (n != -EAGAIN)
        close_connection(c);
}

static void on_connection(void *data, uint32_t events) {
    struct connection *c = data;
    if ((events & EPOLLOUT) && !send_queue(c))
        return close_connection(c);
    /* What was sent before the peer closed still counts. */
    if ((events & EPOLLIN) && !c->call)
        return receive_request(c);
    if (events & (EPOLLHUP | EPOLLERR))
        return close_connection(c);
    update_events(c);
}

static int add_connection(struct server *s, int fd, bool is_setup) {
    struct connection *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    *c = (struct connection){.server = s, .fd = fd, .is_setup = is_setup};
    int r = loop_add_fd(s->config.loop, fd, EPOLLIN, on_connection, c, &c->source);
    if (r < 0) {
        free(c);
        return r;
    }
    c->next = s->connections;
    s->connections = c;
    s->n_connections++;
    return 0;
}

static void on_listen(void *data, uint32_t events) {
    (void)events;
    struct server *s = data;
    struct ucred peer;
    socklen_t length = sizeof peer;
    _cleanup_close_ int fd = accept4(s->config.listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.uid != s->config.owner)
        return;
    if (add_connection(s, fd, false) == 0)
        (void)take_fd(&fd);
    listen_if_room(s);
}

int server_new(const struct server_config *config, struct server **ret, struct err *err) {
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    *s = (struct server){.config = *config, .phase = PHASE_NEW};
    int r = fd_set_nonblock(config->listen, 1);
    if (r == 0)
        r = loop_add_fd(config->loop, config->listen, EPOLLIN, on_listen, s, &s->listen_source);
    if (r == 0 && config->setup >= 0)
        r = fd_set_nonblock(config->setup, 1);
    if (r == 0 && config->setup >= 0)
        r = add_connection(s, config->setup, true);
    if (r < 0) {
        (void)server_free(s);
        return err_set(err, -r, "cannot watch the control sockets");
    }
    *ret = s;
    return 0;
}

struct server *server_free(struct server *s) {
    if (!s)
        return NULL;
    (void)loop_source_free(s->listen_source);
    while (s->connections) {
        struct connection *c = s->connections;
        struct call *call = c->call;
        s->connections = c->next;
        (void)loop_source_free(c->source);
        if (!c->is_setup)
            close_fd(&c->fd);
        buf_done(&c->queue);
        free(c);
        if (call) {
            call->connection = NULL;
            free_call(call);
        }
    }
    free(s);
    return NULL;
}

void server_set_phase(struct server *s, enum server_phase phase) {
    s->phase = phase;
}

void server_refuse_setup(struct server *s, const struct err *why) {
    s->setup_refusal = *why;
}
