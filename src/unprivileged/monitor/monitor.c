/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/monitor.h"

#include "shared/base/cleanup.h"

#include <signal.h>
#include <string.h>

enum {
    SUSPICION_MSEC = 500, /* between a closed channel and the news of the process that closed it */
    SHUTDOWN_MSEC = 2000, /* for the guest to sync and power off */
    STOP_MSEC = 5000,     /* after SIGTERM, for the containers to end */
    /* After a failure, for what was read to be handed over and stand-ins to be told. */
    FAILURE_MSEC = DRAIN_MSEC + STANDIN_MSEC + 1000,
};

void monitor_set_phase(struct monitor *m, enum server_phase phase) {
    m->phase = phase;
    server_set_phase(m->server, phase);
}

/* ---- the orderly end ---- */

static void on_shutdown(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)why; /* in time or not: what follows is the same */
    (void)reply;
    struct monitor *m = data;
    loop_quit(m->loop, m->exit_code);
}

static void shut_down(struct monitor *m) {
    Minka__Agent__V1__Empty message = MINKA__AGENT__V1__EMPTY__INIT;
    struct agent_request request = {.method = "Shutdown",
                                    .response = &minka__agent__v1__empty__descriptor,
                                    .deadline_msec = SHUTDOWN_MSEC,
                                    .reply = on_shutdown,
                                    .data = m};
    struct err err = {0};
    if (m->shutting_down)
        return;
    m->shutting_down = true;
    log_line(&m->log, "monitor", "the sandbox ends");
    monitor_set_phase(m, PHASE_ENDING);
    events_end(m, NULL);
    if (agent_call(m->agent, &request, &message.base, &err) < 0)
        loop_quit(m->loop, m->exit_code);
}

static bool any_process(const struct monitor *m) {
    for (const struct container *c = m->containers; c; c = c->next)
        if (c->processes)
            return true;
    return false;
}

static bool any_alive(const struct monitor *m) {
    for (const struct container *c = m->containers; c; c = c->next)
        if (c->state != CONTAINER_ENDED)
            return true;
    return false;
}

void monitor_check_end(struct monitor *m) {
    /* Before the first container the sandbox belongs to the setup connection, whose end ends it. */
    if (!m->created || m->shutting_down || any_process(m))
        return;
    if (m->failure.code)
        loop_quit(m->loop, m->exit_code);
    else if (!any_alive(m))
        shut_down(m);
}

/* ---- the other end ---- */

static void end_by_then(struct monitor *m, int64_t msec) {
    (void)loop_timer_set(m->end_timer, msec);
}

void monitor_fail(struct monitor *m, const struct err *why) {
    if (m->failure.code)
        return;
    if (m->shutting_down)
        return loop_quit(m->loop, m->exit_code);
    m->failure = *why;
    failure_reword(m->failure.text);
    m->exit_code = 1;
    log_line(&m->log, "monitor", "%s", m->failure.text);
    monitor_set_phase(m, PHASE_ENDING);
    server_refuse_setup(m->server, &m->failure);
    (void)loop_timer_set(m->deadline, -1);
    (void)loop_timer_set(m->suspicion_timer, -1);
    end_by_then(m, FAILURE_MSEC);
    struct call *call = take_ptr(m->setup_call);
    if (call)
        call_fail(call, &m->failure);
    events_fail(m, &m->failure); /* before any stand-in ends: who waits for one may ask here why */
    agent_break(m->agent, &m->failure);
    for (struct container *c = m->containers; c; c = c->next)
        for (struct process *p = c->processes; p; p = p->next)
            process_lost(p);
    monitor_check_end(m);
}

static void on_suspicion_timer(void *data) {
    struct monitor *m = data;
    monitor_fail(m, &m->suspicion);
}

void monitor_suspect(struct monitor *m, const struct err *why) {
    if (m->shutting_down)
        return loop_quit(m->loop, m->exit_code);
    if (m->suspicion.code)
        return;
    m->suspicion = *why;
    if (m->phase != PHASE_NEW) /* else when LOAD has brought the pidfds, which may know better */
        monitor_await_reason(m);
}

void monitor_await_reason(struct monitor *m) {
    if (m->suspicion.code && !m->failure.code)
        (void)loop_timer_set(m->suspicion_timer, SUSPICION_MSEC);
}

static void on_agent_closed(void *data, const struct err *why) {
    struct monitor *m = data;
    struct err err = *why;
    if (!why->code)
        (void)err_set(&err, EIO, "the channel to the guest was closed while the virtual machine was %s",
                      failure_stage(m));
    else
        (void)err_wrap(&err, "the channel to the guest broke while the virtual machine was %s", failure_stage(m));
    /* Rubbish on the channel has no further reason to wait for. */
    if (why->code == EBADMSG || why->code == EMSGSIZE)
        monitor_fail(m, &err);
    else
        monitor_suspect(m, &err);
}

static void on_child_ended(void *data, int which, const char *how) {
    struct monitor *m = data;
    struct err err = {0};
    if (m->shutting_down)
        return loop_quit(m->loop, m->exit_code);
    failure_of_child(m, which, how, &err);
    /* A file server that ends in good order has lost its QEMU, whose end is then about to be reported. */
    if (which == CHILD_FILE_SERVER && strcmp(how, CHILD_ENDED_WELL) == 0)
        return monitor_suspect(m, &err);
    monitor_fail(m, &err);
}

static void on_deadline(void *data) {
    struct monitor *m = data;
    struct err err = {0};
    failure_of_deadline(m, &err);
    monitor_fail(m, &err);
}

static void on_end_timer(void *data) {
    struct monitor *m = data;
    if (m->failure.code)
        loop_quit(m->loop, m->exit_code);
    else
        shut_down(m);
}

static void on_setup_closed(void *data) {
    struct monitor *m = data;
    /* The command has died, or has given up: nothing may stay. Our end is the kernel's order to end all the rest. */
    if (!m->created)
        loop_quit(m->loop, 1);
}

static void stop(struct monitor *m) {
    struct err err = {0};
    if (!m->created) {
        (void)err_set(&err, EINTR, "the sandbox was told to end while the virtual machine was %s", failure_stage(m));
        return monitor_fail(m, &err);
    }
    for (struct container *c = m->containers; c; c = c->next)
        for (struct process *p = c->processes; p; p = p->next)
            process_kill(p);
    end_by_then(m, STOP_MSEC);
    monitor_check_end(m);
}

static void on_signal(void *data, const struct signalfd_siginfo *info) {
    struct monitor *m = data;
    if (info->ssi_signo == SIGCHLD)
        children_reap(&m->children);
    else if (!m->failure.code && !m->shutting_down)
        stop(m);
}

/* ---- beginning ---- */

static int add_timers(struct monitor *m, struct err *err) {
    struct {
        struct loop_source **source;
        loop_timer_fn *fn;
    } timers[] = {{&m->deadline, on_deadline},
                  {&m->suspicion_timer, on_suspicion_timer},
                  {&m->end_timer, on_end_timer},
                  {&m->hello_timer, boot_say_hello}};
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        int r = loop_add_timer(m->loop, -1, timers[i].fn, m, timers[i].source);
        if (r < 0)
            return err_set(err, -r, "cannot make a timer");
    }
    return 0;
}

static int open_all(struct monitor *m, struct err *err) {
    static const int signals[] = {SIGCHLD, SIGTERM, 0};
    const struct monitor_config *config = &m->config;
    struct server_config server = {.loop = m->loop,
                                   .listen = config->listen,
                                   .setup = config->setup,
                                   .owner = config->owner,
                                   .table = request_table,
                                   .n_table = request_table_size,
                                   .setup_closed = on_setup_closed,
                                   .data = m};
    int r = loop_add_signals(m->loop, signals, on_signal, m, &m->signals);
    if (r < 0)
        return err_set(err, -r, "cannot receive signals");
    children_init(&m->children, m->loop, on_child_ended, m);
    r = add_timers(m, err);
    if (r == 0)
        r = console_open(&m->guest, m->loop, config->console, "guest", &m->log, err);
    if (r == 0)
        r = console_open(&m->vmm, m->loop, config->vmm_stderr, "QEMU", &m->log, err);
    if (r == 0)
        r = console_open(&m->share, m->loop, config->share_stderr, "file server", &m->log, err);
    if (r == 0)
        r = server_new(&server, &m->server, err);
    if (r == 0)
        r = agent_new(m->loop, config->agent, on_agent_closed, m, &m->agent, err);
    if (r == 0)
        r = qmp_new(m->loop, config->qmp, &boot_qmp_handlers, m, &m->qmp, err);
    return r;
}

static void free_all(struct monitor *m) {
    static const struct err end = {.code = ESRCH, .text = "container not running"};
    events_end(m, NULL);
    if (m->agent)
        agent_break(m->agent, &end); /* whoever still waits for an answer gets one */
    if (m->setup_call)
        call_fail(take_ptr(m->setup_call), &end);
    while (m->containers)
        container_free(m->containers);
    (void)agent_free(m->agent);
    (void)qmp_free(m->qmp);
    (void)server_free(m->server);
    children_done(&m->children);
    (void)loop_free(m->loop);
}

int monitor_run(const struct monitor_config *config, struct err *err) {
    struct monitor m = {.config = *config, .log = {.fd = config->log}, .phase = PHASE_NEW};
    /* Pipes of stdio break; writes say so. Terminal signals are not meant for this process. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int r = loop_new(&m.loop, err);
    if (r < 0)
        return r;
    r = open_all(&m, err);
    if (r == 0) {
        r = loop_run(m.loop);
        if (r < 0)
            (void)err_set(err, -r, "the event loop broke");
    }
    m.shutting_down = true; /* nothing that ends now is news */
    free_all(&m);
    return r;
}
