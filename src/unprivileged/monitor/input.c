/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/cleanup.h"
#include "unprivileged/monitor/process.h"

static void on_readable(void *data, uint32_t events);

void input_init(struct input *i, const struct stream_name *of, int fd) {
    *i = (struct input){.of = *of};
    host_fd_init(&i->host, fd);
}

void input_stop(struct input *i) {
    i->source = loop_source_free(i->source);
    close_fd(&i->host.fd);
}

void input_start(struct input *i) {
    if (i->host.fd < 0 || i->source)
        return;
    if (loop_add_fd(i->of.process->loop, i->host.fd, EPOLLIN, on_readable, i, &i->source) < 0)
        input_stop(i);
}

static void on_written(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)reply;
    struct input *i = data;
    if (why->code)
        input_stop(i); /* the process has closed its end, or has ended */
    else
        input_start(i);
}

static void on_closed(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)data;
    (void)why;
    (void)reply;
}

static void end_of_input(struct input *i) {
    struct process *p = i->of.process;
    input_stop(i);
    /* A terminal has no end of input; that its other side has gone arrives as SIGHUP through the stand-in. */
    if (i->of.kind == STREAM_TERMINAL)
        return;
    Minka__Agent__V1__StreamRequest message = MINKA__AGENT__V1__STREAM_REQUEST__INIT;
    message.container = p->container;
    message.process = p->id;
    message.stream = i->of.number;
    struct agent_request request = {
        .method = "CloseInput", .response = &minka__agent__v1__empty__descriptor, .owner = p, .reply = on_closed};
    struct err err = {0};
    (void)agent_call(p->agent, &request, &message.base, &err); /* fails only when the channel has */
}

static void on_readable(void *data, uint32_t events) {
    (void)events;
    struct input *i = data;
    struct process *p = i->of.process;
    uint8_t piece[INPUT_PIECE];
    ssize_t n = host_fd_read(&i->host, piece, sizeof piece);
    if (n == -EAGAIN)
        return;
    if (n <= 0) /* EIO: the terminal was hung up */
        return end_of_input(i);
    /* Not watched while this piece is in flight: a hung-up pipe would wake the loop without end. */
    i->source = loop_source_free(i->source);
    Minka__Agent__V1__WriteRequest message = MINKA__AGENT__V1__WRITE_REQUEST__INIT;
    message.container = p->container;
    message.process = p->id;
    message.stream = i->of.number;
    message.data = (ProtobufCBinaryData){.data = piece, .len = (size_t)n};
    struct agent_request request = {.method = "WriteInput",
                                    .response = &minka__agent__v1__empty__descriptor,
                                    .owner = p,
                                    .reply = on_written,
                                    .data = i};
    struct err err = {0};
    if (agent_call(p->agent, &request, &message.base, &err) < 0)
        input_stop(i);
}
