/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/cleanup.h"
#include "unprivileged/monitor/monitor.h"

#include <string.h>

enum {
    PROCESSES_MAX = 512,
    /* Of all of them. Two open calls and two descriptors each at most: TTRPC_CALLS_MAX and MONITOR_FILES have room. */
    CONTAINER_STREAMS_MAX = 3072,
};

struct container *container_find(struct monitor *m, const char *id) {
    for (struct container *c = m->containers; c; c = c->next)
        if (strcmp(c->id, id) == 0)
            return c;
    return NULL;
}

struct process *container_process(struct container *c, const char *id) {
    for (struct process *p = c->processes; p; p = p->next)
        if (strcmp(p->id, id) == 0)
            return p;
    return NULL;
}

int container_new(struct monitor *m, const char *id, struct container **ret, struct err *err) {
    if (container_find(m, id))
        return err_set(err, EEXIST, "the sandbox already has a container %s", id);
    struct container *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, ENOMEM, "out of memory");
    *c = (struct container){.next = m->containers, .monitor = m, .state = CONTAINER_CREATING};
    (void)snprintf(c->id, sizeof c->id, "%s", id);
    m->containers = c;
    *ret = c;
    return 0;
}

void container_free(struct container *c) {
    for (struct container **p = &c->monitor->containers; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    while (c->processes)
        container_drop_process(c, c->processes);
    free(c);
}

void container_drop_process(struct container *c, struct process *process) {
    for (struct process **p = &c->processes; *p; p = &(*p)->next)
        if (*p == process) {
            *p = process->next;
            break;
        }
    (void)process_free(process);
}

static void on_gone(void *data, struct process *p) {
    struct container *c = data;
    struct monitor *m = c->monitor;
    bool is_own = p->id[0] == '\0';
    log_line(&m->log, "monitor", "process '%s' of container %s ended with status %d", p->id, c->id, p->end.value);
    container_drop_process(c, p);
    if (is_own) {
        c->state = CONTAINER_ENDED;
        events_end(m, c->id);
        /* With a pid namespace of its own all have died with it; without one they are ended here. */
        for (struct process *other = c->processes; other; other = other->next)
            process_kill(other);
    }
    if (c->deleted && !c->processes)
        container_free(c);
    monitor_check_end(m);
}

static void on_violated(void *data, const struct err *why) {
    struct container *c = data;
    monitor_fail(c->monitor, why);
}

/* What a request brought, by number. */
struct received {
    int standin;
    int fds[STREAMS_MAX];
};

static void received_done(struct received *received) {
    close_fd(&received->standin);
    for (size_t i = 0; i < STREAMS_MAX; i++)
        close_fd(&received->fds[i]);
}

static bool take_descriptors(struct call *call, struct received *ret) {
    const struct control_request *request = call_request(call);
    ret->standin = call_take_fd(call, CONTROL_FD_STANDIN);
    bool complete = ret->standin >= 0;
    size_t position = CONTROL_FD_STREAMS;
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        bool expected = i < request->n_streams && request->streams[i] != STREAM_NONE;
        ret->fds[i] = expected ? call_take_fd(call, position++) : -EBADF;
        complete = complete && (ret->fds[i] >= 0 || !expected);
    }
    return complete;
}

static int check_room(const struct container *c, const char *id, size_t more, struct err *err) {
    size_t processes = 0, streams = more;
    for (const struct process *p = c->processes; p; p = p->next) {
        if (strcmp(p->id, id) == 0)
            return err_set(err, EEXIST, "container %s already has a process %s", c->id, id);
        processes++;
        streams += p->n_streams;
    }
    if (processes >= PROCESSES_MAX)
        return err_set(err, EAGAIN, "container %s already has %d processes started by exec", c->id, PROCESSES_MAX);
    if (streams > CONTAINER_STREAMS_MAX)
        return err_set(err, EAGAIN, "the processes started by exec in container %s have %d descriptors already", c->id,
                       CONTAINER_STREAMS_MAX);
    return 0;
}

int container_add_process(struct container *c, struct call *call, struct process **ret, struct err *err) {
    const struct control_request *request = call_request(call);
    const char *id = request->op == CONTROL_EXEC ? request->process : "";
    _cleanup_(received_done) struct received received;
    bool complete = take_descriptors(call, &received);
    int r = check_room(c, id, request->n_streams, err);
    if (r < 0)
        return r;
    if (!complete)
        return err_set(err, EBADRQC, "the request does not bring the descriptors that it needs");
    struct process_config config = {.loop = c->monitor->loop,
                                    .agent = c->monitor->agent,
                                    .container = c->id,
                                    .id = id,
                                    .standin = received.standin,
                                    .kinds = request->streams,
                                    .fds = received.fds,
                                    .n_streams = request->n_streams,
                                    .gone = on_gone,
                                    .violated = on_violated,
                                    .data = c};
    struct process *p;
    r = process_new(&config, &p, err);
    if (r < 0)
        return r;
    (void)take_fd(&received.standin); /* all are p's now */
    for (size_t i = 0; i < STREAMS_MAX; i++)
        (void)take_fd(&received.fds[i]);
    p->next = c->processes;
    c->processes = p;
    *ret = p;
    return 0;
}
