/* SPDX-License-Identifier: Apache-2.0 */
/* What commands ask of a running sandbox, one handler per request; the table at the end says what is allowed when. */
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "unprivileged/monitor/monitor.h"

#include <string.h>
#include <sys/stat.h>

enum {
    CREATE_DEADLINE_MSEC = 120000, /* mounts, tmpcopyup; and START runs hooks, which have timeouts of their own */
    QUICK_DEADLINE_MSEC = 10000,
    PLAN_MAX = TTRPC_MESSAGE_MAX - 4096, /* room for the envelope */
};

/* ---- helpers ---- */

static int read_plan(struct call *call, struct buf *ret, struct err *err) {
    _cleanup_close_ int fd = call_take_fd(call, CONTROL_FD_PLAN);
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, EBADRQC, "the request does not bring a plan");
    if (st.st_size > PLAN_MAX)
        return err_set(err, EMSGSIZE, "config.json leads to a plan above the limit of 4 MiB");
    size_t length = (size_t)st.st_size;
    if (buf_reserve(ret, length + 1) < 0)
        return err_set(err, ENOMEM, "out of memory");
    while (ret->length < length) {
        ssize_t n = pread(fd, ret->data + ret->length, length - ret->length, (off_t)ret->length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, EIO, "cannot read the plan");
        ret->length += (size_t)n;
    }
    return 0;
}

static struct container *find_alive(struct call *call, struct err *err) {
    struct container *c = container_find(call_data(call), call_request(call)->container);
    if (c && c->state != CONTAINER_ENDED && !c->deleted)
        return c;
    (void)err_set(err, ESRCH, "container not running");
    return NULL;
}

/* One message to the agent; reply gets the call as its data. Fails the call when it cannot be sent. */
static void forward(struct call *call, const char *method, const ProtobufCMessage *message,
                    const ProtobufCMessageDescriptor *response, int64_t deadline, agent_reply_fn *reply) {
    struct monitor *m = call_data(call);
    struct agent_request request = {
        .method = method, .response = response, .deadline_msec = deadline, .reply = reply, .data = call};
    struct err err = {0};
    if (agent_call(m->agent, &request, message, &err) < 0)
        call_fail(call, &err);
}

static void on_done(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)reply;
    if (why->code)
        call_fail(data, why);
    else
        call_succeed(data);
}

/* For the requests that only name a container. */
static void forward_container(struct call *call, const char *method, const ProtobufCMessageDescriptor *response,
                              int64_t deadline, agent_reply_fn *reply) {
    Minka__Agent__V1__ContainerRequest message = MINKA__AGENT__V1__CONTAINER_REQUEST__INIT;
    char id[CONTROL_ID_MAX];
    struct err err = {0};
    if (!find_alive(call, &err))
        return call_fail(call, &err);
    (void)snprintf(id, sizeof id, "%s", call_request(call)->container);
    message.container = id;
    forward(call, method, &message.base, response, deadline, reply);
}

/* ---- CREATE, START, EXEC ---- */

static void reply_pid(struct call *call, const ProtobufCMessage *reply) {
    struct control_reply r;
    call_reply_init(call, &r);
    r.value = ((const Minka__Agent__V1__CreateContainerResponse *)reply)->pid;
    call_reply(call, &r);
}

static void on_created(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct call *call = data;
    struct monitor *m = call_data(call);
    struct container *c = container_find(m, call_request(call)->container);
    struct err err = *why;
    if (err.code || process_watch(container_process(c, ""), &err) < 0) {
        container_free(c);
        call_fail(call, &err);
        return monitor_check_end(m);
    }
    c->state = CONTAINER_CREATED;
    m->created = true;
    reply_pid(call, reply);
}

static void handle_create(void *data, struct call *call) {
    struct monitor *m = data;
    _cleanup_buf_ struct buf plan = {0};
    struct container *c = NULL;
    struct process *p;
    struct err err = {0};
    int r = container_new(m, call_request(call)->container, &c, &err);
    if (r == 0)
        r = container_add_process(c, call, &p, &err);
    if (r == 0)
        r = read_plan(call, &plan, &err);
    struct agent_request request = {.method = "CreateContainer",
                                    .response = &minka__agent__v1__create_container_response__descriptor,
                                    .deadline_msec = CREATE_DEADLINE_MSEC,
                                    .reply = on_created,
                                    .data = call};
    if (r == 0)
        r = agent_call_packed(m->agent, &request, plan.data, plan.length, &err);
    if (r == 0)
        return;
    if (c)
        container_free(c);
    call_fail(call, &err);
}

static void on_started(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct call *call = data;
    struct monitor *m = call_data(call);
    struct container *c = container_find(m, call_request(call)->container);
    struct process *p = c ? container_process(c, "") : NULL;
    if (c && c->state == CONTAINER_STARTING)
        c->state = why->code ? CONTAINER_CREATED : CONTAINER_RUNNING;
    if (p && !why->code)
        process_start_input(p);
    on_done(data, why, reply);
}

static void handle_start(void *data, struct call *call) {
    struct monitor *m = data;
    Minka__Agent__V1__ContainerRequest message = MINKA__AGENT__V1__CONTAINER_REQUEST__INIT;
    struct agent_request request = {.method = "StartContainer",
                                    .response = &minka__agent__v1__empty__descriptor,
                                    .deadline_msec = CREATE_DEADLINE_MSEC,
                                    .reply = on_started,
                                    .data = call};
    struct err err = {0};
    struct container *c = find_alive(call, &err);
    if (c && c->state != CONTAINER_CREATED)
        (void)err_set(&err, EINVAL, "container %s is not in the state created: it cannot be started", c->id);
    if (err.code)
        return call_fail(call, &err);
    message.container = c->id;
    if (agent_call(m->agent, &request, &message.base, &err) < 0)
        return call_fail(call, &err);
    c->state = CONTAINER_STARTING;
}

static void on_executed(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct call *call = data;
    struct monitor *m = call_data(call);
    struct container *c = container_find(m, call_request(call)->container);
    struct process *p = c ? container_process(c, call_request(call)->process) : NULL;
    struct err err = *why;
    if (!err.code && !p)
        (void)err_set(&err, ESRCH, "container not running");
    if (!err.code && process_watch(p, &err) == 0) {
        process_start_input(p);
        return reply_pid(call, reply);
    }
    if (p)
        container_drop_process(c, p);
    call_fail(call, &err);
    monitor_check_end(m);
}

static void handle_exec(void *data, struct call *call) {
    struct monitor *m = data;
    _cleanup_buf_ struct buf plan = {0};
    struct process *p = NULL;
    struct err err = {0};
    struct container *c = find_alive(call, &err);
    if (c && c->state == CONTAINER_CREATING)
        (void)err_set(&err, EBUSY, "container %s is being created", c->id);
    int r = err.code ? -err.code : container_add_process(c, call, &p, &err);
    if (r == 0)
        r = read_plan(call, &plan, &err);
    struct agent_request request = {.method = "ExecProcess",
                                    .response = &minka__agent__v1__create_container_response__descriptor,
                                    .deadline_msec = CREATE_DEADLINE_MSEC,
                                    .reply = on_executed,
                                    .data = call};
    if (r == 0)
        r = agent_call_packed(m->agent, &request, plan.data, plan.length, &err);
    if (r == 0)
        return;
    if (p)
        container_drop_process(c, p);
    call_fail(call, &err);
}

/* ---- SIGNAL, RESIZE ---- */

static struct process *find_process(struct call *call, struct err *err) {
    struct container *c = find_alive(call, err);
    struct process *p = c ? container_process(c, call_request(call)->process) : NULL;
    if (c && (!p || p->state >= PROCESS_DRAINING))
        (void)err_set(err, ESRCH, "container not running: no such process");
    return err->code ? NULL : p;
}

static void on_signalled(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct err err = *why;
    if (err.code == ESRCH) /* the words that engines look for */
        (void)err_set(&err, ESRCH, "container not running: no such process");
    on_done(data, &err, reply);
}

static void handle_signal(void *data, struct call *call) {
    (void)data;
    Minka__Agent__V1__SignalRequest message = MINKA__AGENT__V1__SIGNAL_REQUEST__INIT;
    struct err err = {0};
    struct process *p = find_process(call, &err);
    if (!p)
        return call_fail(call, &err);
    message.container = p->container;
    message.process = p->id;
    message.signal = call_request(call)->signal;
    message.all = call_request(call)->flags & CONTROL_ALL;
    forward(call, "SignalProcess", &message.base, &minka__agent__v1__empty__descriptor, QUICK_DEADLINE_MSEC,
            on_signalled);
}

static void handle_resize(void *data, struct call *call) {
    (void)data;
    Minka__Agent__V1__ResizeRequest message = MINKA__AGENT__V1__RESIZE_REQUEST__INIT;
    struct err err = {0};
    struct process *p = find_process(call, &err);
    if (!p)
        return call_fail(call, &err);
    message.container = p->container;
    message.process = p->id;
    message.rows = call_request(call)->rows;
    message.columns = call_request(call)->columns;
    forward(call, "ResizeTerminal", &message.base, &minka__agent__v1__empty__descriptor, QUICK_DEADLINE_MSEC, on_done);
}

/* ---- PAUSE, RESUME, UPDATE ---- */

static void handle_pause(void *data, struct call *call) {
    (void)data;
    forward_container(call, "PauseContainer", &minka__agent__v1__empty__descriptor, QUICK_DEADLINE_MSEC, on_done);
}

static void handle_resume(void *data, struct call *call) {
    (void)data;
    forward_container(call, "ResumeContainer", &minka__agent__v1__empty__descriptor, QUICK_DEADLINE_MSEC, on_done);
}

static void handle_update(void *data, struct call *call) {
    struct monitor *m = data;
    _cleanup_buf_ struct buf plan = {0};
    struct err err = {0};
    struct agent_request request = {.method = "UpdateContainer",
                                    .response = &minka__agent__v1__empty__descriptor,
                                    .deadline_msec = QUICK_DEADLINE_MSEC,
                                    .reply = on_done,
                                    .data = call};
    if (!find_alive(call, &err) || read_plan(call, &plan, &err) < 0 ||
        agent_call_packed(m->agent, &request, plan.data, plan.length, &err) < 0)
        call_fail(call, &err);
}

/* ---- PS, STATS ---- */

static void fill_process(struct control_reply *r, const Minka__Agent__V1__ProcessInfo *info) {
    r->process = (struct control_process){.pid = info->pid,
                                          .ppid = info->ppid,
                                          .uid = info->uid,
                                          .start_time_msec = info->start_time_msec,
                                          .cpu_msec = info->cpu_msec};
    (void)snprintf(r->process.terminal, sizeof r->process.terminal, "%s", info->terminal);
    (void)snprintf(r->text, sizeof r->text, "%s", info->command);
    text_make_printable(r->process.terminal);
    text_make_printable(r->text);
}

static void on_listed(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct call *call = data;
    const Minka__Agent__V1__ListResponse *list = (const Minka__Agent__V1__ListResponse *)reply;
    struct control_reply r;
    if (why->code)
        return call_fail(call, why);
    for (size_t i = 0; i + 1 < list->n_processes; i++) {
        call_reply_init(call, &r);
        fill_process(&r, list->processes[i]);
        call_reply_more(call, &r);
    }
    /* The last one; of an empty list it has pid 0. */
    call_reply_init(call, &r);
    if (list->n_processes > 0)
        fill_process(&r, list->processes[list->n_processes - 1]);
    call_reply(call, &r);
}

static void handle_ps(void *data, struct call *call) {
    (void)data;
    forward_container(call, "ListProcesses", &minka__agent__v1__list_response__descriptor, QUICK_DEADLINE_MSEC,
                      on_listed);
}

static void on_stats(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct call *call = data;
    const Minka__Agent__V1__StatsResponse *s = (const Minka__Agent__V1__StatsResponse *)reply;
    struct control_reply r;
    if (why->code)
        return call_fail(call, why);
    call_reply_init(call, &r);
    r.stats = (struct control_stats){.cpu_usage_usec = s->cpu_usage_usec,
                                     .cpu_user_usec = s->cpu_user_usec,
                                     .cpu_system_usec = s->cpu_system_usec,
                                     .cpu_periods = s->cpu_periods,
                                     .cpu_throttled_periods = s->cpu_throttled_periods,
                                     .cpu_throttled_usec = s->cpu_throttled_usec,
                                     .memory_usage = s->memory_usage,
                                     .memory_peak = s->memory_peak,
                                     .memory_limit = s->memory_limit,
                                     .memory_cache = s->memory_cache,
                                     .memory_kernel = s->memory_kernel,
                                     .memory_swap = s->memory_swap,
                                     .memory_failures = s->memory_failures,
                                     .pids_current = s->pids_current,
                                     .pids_limit = s->pids_limit,
                                     .oom_kills = s->oom_kills};
    call_reply(call, &r);
}

static void handle_stats(void *data, struct call *call) {
    (void)data;
    forward_container(call, "ContainerStats", &minka__agent__v1__stats_response__descriptor, QUICK_DEADLINE_MSEC,
                      on_stats);
}

/* ---- DELETE ---- */

static void on_deleted(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)reply;
    struct call *call = data;
    struct monitor *m = call_data(call);
    struct container *c = container_find(m, call_request(call)->container);
    if (why->code && why->code != ESRCH)
        return call_fail(call, why);
    if (c) {
        c->state = CONTAINER_ENDED;
        c->deleted = true;
        for (struct process *p = c->processes; p; p = p->next)
            process_lost(p);
        events_end(m, c->id);
        if (!c->processes)
            container_free(c);
    }
    call_succeed(call);
    monitor_check_end(m);
}

static void handle_delete(void *data, struct call *call) {
    struct monitor *m = data;
    struct container *c = container_find(m, call_request(call)->container);
    Minka__Agent__V1__ContainerRequest message = MINKA__AGENT__V1__CONTAINER_REQUEST__INIT;
    struct err err = {0};
    if (!c || c->deleted)
        (void)err_set(&err, ESRCH, "container not running");
    else if (c->state == CONTAINER_CREATING)
        (void)err_set(&err, EBUSY, "container %s is being created", c->id);
    if (err.code)
        return call_fail(call, &err);
    message.container = c->id;
    forward(call, "DeleteContainer", &message.base, &minka__agent__v1__empty__descriptor, CREATE_DEADLINE_MSEC,
            on_deleted);
}

const struct server_entry request_table[] = {
    /* request, allowed in, only by the command that set the sandbox up, descriptors from and to, handler */
    {CONTROL_LOAD, PHASE_NEW, true, 1, 2, boot_load},
    {CONTROL_BOOT, PHASE_LOADED, true, 0, 0, boot_start},
    {CONTROL_CREATE, PHASE_RUNNING, false, 3, CONTROL_FDS_MAX, handle_create},
    {CONTROL_START, PHASE_RUNNING, false, 0, 0, handle_start},
    {CONTROL_EXEC, PHASE_RUNNING, false, 3, CONTROL_FDS_MAX, handle_exec},
    {CONTROL_SIGNAL, PHASE_RUNNING, false, 0, 0, handle_signal},
    {CONTROL_RESIZE, PHASE_RUNNING, false, 0, 0, handle_resize},
    {CONTROL_PAUSE, PHASE_RUNNING, false, 0, 0, handle_pause},
    {CONTROL_RESUME, PHASE_RUNNING, false, 0, 0, handle_resume},
    {CONTROL_UPDATE, PHASE_RUNNING, false, 1, 1, handle_update},
    {CONTROL_PS, PHASE_RUNNING, false, 0, 0, handle_ps},
    {CONTROL_STATS, PHASE_RUNNING, false, 0, 0, handle_stats},
    {CONTROL_EVENTS, PHASE_RUNNING, false, 0, 0, events_subscribe},
    {CONTROL_DELETE, PHASE_RUNNING, false, 0, 0, handle_delete},
};
const size_t request_table_size = sizeof request_table / sizeof request_table[0];
