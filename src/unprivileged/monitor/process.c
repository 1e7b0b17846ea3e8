/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/process.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>

enum { SIGNAL_DEADLINE_MSEC = 10000 };

/* ---- the end ---- */

static void on_gone(void *data) {
    struct process *p = data;
    p->gone(p->data, p);
}

static void gone_soon(struct process *p) {
    /* From the loop, so that nobody above on the stack still uses p. */
    if (!p->gone_timer)
        (void)loop_add_timer(p->loop, 0, on_gone, p, &p->gone_timer);
}

static void stop_streams(struct process *p) {
    for (size_t i = 0; i < p->n_streams; i++) {
        input_stop(&p->streams[i].input);
        output_stop(&p->streams[i].output);
    }
}

static void tell_standin(struct process *p) {
    p->state = PROCESS_TOLD;
    agent_forget(p->agent, p);
    /* Closed before the stand-in ends: whoever waits for its end then reads to the end of file. */
    stop_streams(p);
    if (p->standin >= 0 &&
        send(p->standin, &p->end, sizeof p->end, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof p->end)
        (void)loop_timer_set(p->timer, STANDIN_MSEC);
    else
        gone_soon(p);
}

static void on_timer(void *data) {
    struct process *p = data;
    if (p->state == PROCESS_DRAINING)
        tell_standin(p);
    else if (p->state == PROCESS_TOLD)
        gone_soon(p);
}

static void check_end(struct process *p) {
    bool done = p->state == PROCESS_DRAINING;
    for (size_t i = 0; i < p->n_streams; i++)
        done = done && output_is_done(&p->streams[i].output);
    if (done)
        tell_standin(p);
}

void process_progress(struct process *p) {
    if (p->state != PROCESS_DRAINING)
        return;
    (void)loop_timer_set(p->timer, DRAIN_MSEC);
    check_end(p);
}

static void ended(struct process *p, int code, int signal, bool oom) {
    if (p->state >= PROCESS_DRAINING)
        return;
    p->state = PROCESS_DRAINING;
    p->oom = oom;
    p->end = (struct standin_message){.magic = CONTROL_MAGIC, .op = STANDIN_EXITED, .value = code, .signal = signal};
    for (size_t i = 0; i < p->n_streams; i++)
        input_stop(&p->streams[i].input);
    process_progress(p);
}

void process_lost(struct process *p) {
    for (size_t i = 0; i < p->n_streams; i++)
        p->streams[i].output.ended = true;
    ended(p, 128 + SIGKILL, SIGKILL, false);
    check_end(p);
}

static void on_wait(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct process *p = data;
    const Minka__Agent__V1__WaitResponse *response = (const Minka__Agent__V1__WaitResponse *)reply;
    if (why->code)
        return process_lost(p);
    /* An exit that the kernel could not have reported is not passed on as success. */
    if (response->signal < 0 || response->signal > 64 || response->exit_code < 0 || response->exit_code > 255)
        return ended(p, 128 + SIGKILL, SIGKILL, response->oom);
    ended(p, response->signal ? 128 + response->signal : response->exit_code, response->signal, response->oom);
}

/* ---- the stand-in ---- */

static void on_signal_answered(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)why; /* a signal to a process that has just ended: nobody to tell */
    (void)reply;
    struct process *p = data;
    p->signals_in_flight--;
    if (p->standin_source)
        (void)loop_source_set_events(p->standin_source, EPOLLIN);
}

static void call_about(struct process *p, const char *method, const ProtobufCMessage *message) {
    struct agent_request request = {.method = method,
                                    .response = &minka__agent__v1__empty__descriptor,
                                    .deadline_msec = SIGNAL_DEADLINE_MSEC,
                                    .owner = p,
                                    .reply = on_signal_answered,
                                    .data = p};
    struct err err = {0};
    if (agent_call(p->agent, &request, message, &err) == 0)
        p->signals_in_flight++;
}

static void send_signal(struct process *p, int signal, bool all) {
    Minka__Agent__V1__SignalRequest message = MINKA__AGENT__V1__SIGNAL_REQUEST__INIT;
    message.container = p->container;
    message.process = p->id;
    message.signal = signal;
    message.all = all;
    call_about(p, "SignalProcess", &message.base);
}

static void send_size(struct process *p, const struct standin_message *m) {
    Minka__Agent__V1__ResizeRequest message = MINKA__AGENT__V1__RESIZE_REQUEST__INIT;
    message.container = p->container;
    message.process = p->id;
    message.rows = m->rows;
    message.columns = m->columns;
    call_about(p, "ResizeTerminal", &message.base);
}

void process_kill(struct process *p) {
    if (p->state == PROCESS_WATCHED)
        send_signal(p, SIGKILL, p->id[0] == '\0');
}

static void standin_gone(struct process *p) {
    p->standin_source = loop_source_free(p->standin_source);
    close_fd(&p->standin);
    if (p->state == PROCESS_TOLD)
        gone_soon(p);
    else
        process_kill(p); /* who kills the pid that stands for a container means it */
}

static void on_standin(void *data, uint32_t events) {
    struct process *p = data;
    struct standin_message m;
    if (!(events & EPOLLIN))
        return standin_gone(p);
    ssize_t n = recv(p->standin, &m, sizeof m, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || standin_message_check(&m, n) < 0)
        return standin_gone(p);
    if (p->state != PROCESS_WATCHED)
        return; /* it has ended already */
    if (m.op == STANDIN_SIGNAL)
        send_signal(p, m.value, false);
    else if (m.op == STANDIN_RESIZE && p->n_streams > 0 && p->streams[0].output.of.kind == STREAM_TERMINAL)
        send_size(p, &m);
    if (p->signals_in_flight >= SIGNALS_AHEAD)
        (void)loop_source_set_events(p->standin_source, 0);
}

/* ---- the beginning ---- */

/*
 * The line discipline that the process sees is the guest's. This one passes bytes through, both ways: else every
 * Ctrl-C would act here and every line be echoed twice. Its open file description is minka's own.
 */
static int make_raw(int fd, struct err *err) {
    struct termios t;
    if (tcgetattr(fd, &t) < 0)
        return err_set(err, ENOTTY, "the container's terminal is not a terminal");
    cfmakeraw(&t);
    if (tcsetattr(fd, TCSANOW, &t) < 0)
        return err_set(err, errno, "cannot set the container's terminal to raw mode");
    return 0;
}

/* A stream that goes both ways gets a second number for the same descriptor: epoll takes each once. */
static int duplicate(const struct process_config *config, int *ret, struct err *err) {
    for (size_t i = 0; i < config->n_streams; i++) {
        enum stream_kind kind = config->kinds[i];
        if (!stream_has_input(kind) || !stream_has_output(kind))
            continue;
        ret[i] = fcntl(config->fds[i], F_DUPFD_CLOEXEC, 3);
        if (ret[i] < 0)
            return err_set(err, errno, "cannot duplicate the container's stream %zu", i);
    }
    return 0;
}

static void add_streams(struct process *p, const struct process_config *config, int *duplicates) {
    p->n_streams = config->n_streams;
    for (size_t i = 0; i < config->n_streams; i++) {
        struct stream_name of = {.process = p, .number = (uint32_t)i, .kind = config->kinds[i]};
        int out = duplicates[i] >= 0 ? take_fd(&duplicates[i]) : config->fds[i];
        input_init(&p->streams[i].input, &of, stream_has_input(of.kind) ? config->fds[i] : -EBADF);
        output_init(&p->streams[i].output, &of, stream_has_output(of.kind) ? out : -EBADF);
    }
}

static int watch_standin(struct process *p, int standin, struct err *err) {
    int r = loop_add_timer(p->loop, -1, on_timer, p, &p->timer);
    if (r == 0)
        /* What it says waits in the socket until there is a process to say it to (process_watch()): a size that was set
         * before the container existed must not be lost. That it is gone (EPOLLHUP) is heard at once. */
        r = loop_add_fd(p->loop, standin, 0, on_standin, p, &p->standin_source);
    if (r < 0)
        return err_set(err, -r, "cannot watch the stand-in's socket");
    p->standin = standin;
    return 0;
}

int process_new(const struct process_config *config, struct process **ret, struct err *err) {
    int duplicates[STREAMS_MAX];
    for (size_t i = 0; i < STREAMS_MAX; i++)
        duplicates[i] = -EBADF;
    struct process *p = calloc(1, sizeof *p + config->n_streams * sizeof p->streams[0]);
    if (!p)
        return err_set(err, ENOMEM, "out of memory");
    *p = (struct process){.loop = config->loop,
                          .agent = config->agent,
                          .standin = -EBADF,
                          .gone = config->gone,
                          .violated = config->violated,
                          .data = config->data};
    (void)snprintf(p->container, sizeof p->container, "%s", config->container);
    (void)snprintf(p->id, sizeof p->id, "%s", config->id);
    int r = config->kinds[0] == STREAM_TERMINAL ? make_raw(config->fds[0], err) : 0;
    if (r == 0)
        r = duplicate(config, duplicates, err);
    if (r == 0)
        r = watch_standin(p, config->standin, err);
    if (r < 0) {
        for (size_t i = 0; i < STREAMS_MAX; i++)
            close_fd(&duplicates[i]);
        (void)process_free(p);
        return r;
    }
    add_streams(p, config, duplicates);
    *ret = p;
    return 0;
}

struct process *process_free(struct process *p) {
    if (!p)
        return NULL;
    agent_forget(p->agent, p);
    stop_streams(p);
    (void)loop_source_free(p->standin_source);
    (void)loop_source_free(p->timer);
    (void)loop_source_free(p->gone_timer);
    close_fd(&p->standin);
    free(p);
    return NULL;
}

int process_watch(struct process *p, struct err *err) {
    Minka__Agent__V1__ProcessRequest message = MINKA__AGENT__V1__PROCESS_REQUEST__INIT;
    message.container = p->container;
    message.process = p->id;
    struct agent_request request = {.method = "WaitProcess",
                                    .response = &minka__agent__v1__wait_response__descriptor,
                                    .owner = p,
                                    .reply = on_wait,
                                    .data = p};
    int r = agent_call(p->agent, &request, &message.base, err);
    if (r < 0)
        return r;
    p->state = PROCESS_WATCHED;
    for (size_t i = 0; i < p->n_streams; i++)
        output_start(&p->streams[i].output);
    if (p->standin_source)
        (void)loop_source_set_events(p->standin_source, EPOLLIN);
    else
        process_kill(p); /* its stand-in did not live to see it */
    return 0;
}

void process_start_input(struct process *p) {
    for (size_t i = 0; p->state == PROCESS_WATCHED && i < p->n_streams; i++)
        input_start(&p->streams[i].input);
}
