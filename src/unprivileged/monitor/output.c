/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/cleanup.h"
#include "unprivileged/monitor/process.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>

static void set_writable_wakeup(struct output *o, bool wanted);
static void pull(struct output *o, unsigned reserved);

void output_init(struct output *o, const struct stream_name *of, int fd) {
    struct statfs fs;
    *o = (struct output){.of = *of, .ended = fd < 0};
    host_fd_init(&o->host, fd);
    o->is_pipe = fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
}

static void drop_waiting(struct output *o) {
    for (unsigned i = 0; i < o->n_waiting; i++)
        free(o->waiting[i].data);
    o->n_waiting = 0;
}

void output_stop(struct output *o) {
    o->ended = true;
    drop_waiting(o);
    o->source = loop_source_free(o->source);
    close_fd(&o->host.fd);
}

bool output_is_done(const struct output *o) {
    return o->ended && o->n_waiting == 0;
}

/*
 * All is handed over: whoever reads on the host shall see the end now, not when the process ends. A socket that the
 * process has only shut down goes on the other way; of one that it has closed just our descriptor is closed, since
 * other processes on the host may have it, too. Nothing is left to do where our descriptor is closed already: then it
 * was the host's reader that has gone, who may still write.
 */
static void finish(struct output *o) {
    if (!output_is_done(o) || o->of.kind == STREAM_TERMINAL || o->host.fd < 0)
        return;
    if (o->shut_down)
        (void)shutdown(o->host.fd, SHUT_WR);
    else if (o->of.kind == STREAM_SOCKET)
        input_stop(&o->of.process->streams[o->of.number].input);
    output_stop(o);
}

static void on_closed(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)data;
    (void)why;
    (void)reply;
}

/*
 * In the guest, too, the reader goes: the process gets SIGPIPE or EPIPE with its next write. But a terminal stays, with
 * nobody at it: that its other side has gone arrives as SIGHUP through the stand-in.
 */
static void reader_gone(struct output *o) {
    struct process *p = o->of.process;
    if (o->of.kind == STREAM_TERMINAL) {
        drop_waiting(o);
        o->discard = true;
        o->source = loop_source_free(o->source);
        return;
    }
    output_stop(o);
    Minka__Agent__V1__StreamRequest message = MINKA__AGENT__V1__STREAM_REQUEST__INIT;
    message.container = p->container;
    message.process = p->id;
    message.stream = o->of.number;
    struct agent_request request = {
        .method = "CloseOutput", .response = &minka__agent__v1__empty__descriptor, .owner = p, .reply = on_closed};
    struct err err = {0};
    (void)agent_call(p->agent, &request, &message.base, &err); /* fails only when the channel has */
}

static bool is_open(const struct output *o) {
    return o->host.fd >= 0 && !o->discard;
}

/* Hand over as much as the host takes. Bytes taken; on an error that is no -EAGAIN everything counts as taken. */
static size_t hand_over(struct output *o, const uint8_t *data, size_t length) {
    size_t done = 0;
    while (done < length && is_open(o)) {
        ssize_t n = host_fd_write(&o->host, data + done, length - done);
        if (n == -EAGAIN)
            break;
        if (n < 0)
            reader_gone(o);
        else
            done += (size_t)n;
    }
    return is_open(o) ? done : length;
}

static void on_writable(void *data, uint32_t events) {
    struct output *o = data;
    struct output_piece *first = &o->waiting[0];
    if (o->n_waiting > 0) {
        size_t taken = hand_over(o, first->data + first->done, first->length - first->done);
        if (o->n_waiting > 0) { /* else the reader has gone, and all with it */
            first->done += taken;
            if (taken == 0 && (events & (EPOLLERR | EPOLLHUP)))
                reader_gone(o);
        }
    } else if (events & EPOLLERR) {
        reader_gone(o);
    }
    if (o->n_waiting > 0 && first->done == first->length) {
        free(first->data);
        o->n_waiting--;
        memmove(o->waiting, o->waiting + 1, o->n_waiting * sizeof *first);
    }
    set_writable_wakeup(o, o->n_waiting > 0);
    output_pull(o);
    finish(o);
    process_progress(o->of.process); /* last: it may end the process */
}

/* A pipe is watched all the time: EPOLLERR, which comes unasked, says that its last reader has gone. */
static void set_writable_wakeup(struct output *o, bool wanted) {
    if (o->source && o->is_pipe)
        (void)loop_source_set_events(o->source, wanted ? EPOLLOUT : 0);
    else if (!wanted)
        o->source = loop_source_free(o->source);
    else if (!o->source && loop_add_fd(o->of.process->loop, o->host.fd, EPOLLOUT, on_writable, o, &o->source) < 0)
        reader_gone(o); /* cannot be waited for: out of memory or descriptors */
}

static void accept_data(struct output *o, const uint8_t *data, size_t length) {
    size_t taken = o->n_waiting == 0 ? hand_over(o, data, length) : 0;
    if (taken == length)
        return;
    uint8_t *copy = malloc(length - taken);
    if (!copy)
        return reader_gone(o);
    memcpy(copy, data + taken, length - taken);
    o->waiting[o->n_waiting++] = (struct output_piece){.data = copy, .length = length - taken};
    set_writable_wakeup(o, true);
}

static void on_output(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct output *o = data;
    struct process *p = o->of.process;
    o->asked--;
    if (why->code) {
        o->ended = true; /* what waits is still handed over */
        finish(o);
        return process_progress(p);
    }
    const Minka__Agent__V1__ReadResponse *response = (const Minka__Agent__V1__ReadResponse *)reply;
    if (response->data.len > OUTPUT_PIECE) {
        struct err err = {0};
        (void)err_set(&err, EBADMSG, "the guest sent more output than it was asked for");
        return p->violated(p->data, &err);
    }
    if (response->eof || response->drained)
        o->ended = true;
    o->shut_down = o->of.kind == STREAM_SOCKET && response->eof && !response->hung_up;
    /* The guest reads the next piece while this one is handed over, if both can be held. */
    pull(o, 1);
    if (is_open(o) && response->data.len > 0)
        accept_data(o, response->data.data, response->data.len);
    output_pull(o);
    finish(o);
    process_progress(p);
}

void output_start(struct output *o) {
    if (o->is_pipe && !o->ended)
        (void)loop_add_fd(o->of.process->loop, o->host.fd, 0, on_writable, o, &o->source);
    pull(o, 0);
}

void output_pull(struct output *o) {
    pull(o, 0);
}

static void pull(struct output *o, unsigned reserved) {
    struct process *p = o->of.process;
    /* One at a time, as the agent has it: a pipe has one reader. */
    if (!o->ended && o->asked == 0 && o->n_waiting + reserved < OUTPUT_AHEAD) {
        Minka__Agent__V1__ReadRequest message = MINKA__AGENT__V1__READ_REQUEST__INIT;
        message.container = p->container;
        message.process = p->id;
        message.stream = o->of.number;
        message.max = OUTPUT_PIECE;
        struct agent_request request = {.method = "ReadOutput",
                                        .response = &minka__agent__v1__read_response__descriptor,
                                        .owner = p,
                                        .reply = on_output,
                                        .data = o};
        struct err err = {0};
        if (agent_call(p->agent, &request, &message.base, &err) < 0)
            o->ended = true;
        else
            o->asked++;
    }
}
