/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/streams.h"

#include "guest/agent/request.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIPE_SIZE = 1 << 20,
    /*
     * A process that writes in bulk writes a page or so at a time, and each write wakes the agent, whose answer costs a
     * round trip to the host. So in the middle of a stream of data (the last answer is at most BULK_MSEC ago) a read
     * waits GATHER_MSEC for more, unless it has GATHER_ENOUGH. What is less than GATHER_LEAST may be a person's echo
     * and is answered at once.
     */
    GATHER_LEAST = 4096,
    GATHER_ENOUGH = 128 << 10,
    GATHER_MSEC = 2,
    BULK_MSEC = 20,
};

/* Read buffer of every output: used up before a callback can start the next read. */
static uint8_t scratch[REQUEST_READ_MAX];

void output_open(struct output *output, struct loop *loop, int fd) {
    *output = (struct output){.loop = loop, .fd = fd};
    if (fd < 0)
        return;
    (void)fd_set_nonblock(fd, 1);
    /* Fewer switches between guest and host for bulk output. Fails for others than pipes, and beyond pipe-max-size. */
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

/* Of a socket whose other end is shut down for writing only, poll(2) does not say this. */
static bool has_hung_up(int fd) {
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

static void output_reply(struct output *output, size_t length, bool eof, bool drained) {
    output_fn *fn = output->fn;
    output->fn = NULL;
    output->source = loop_source_free(output->source);
    output->gathering = loop_source_free(output->gathering);
    if (length > 0)
        output->answered_msec = monotonic_msec();
    if (eof) {
        output->hung_up = output->fd >= 0 && has_hung_up(output->fd);
        close_fd(&output->fd);
    }
    fn(output->data, scratch, length, eof, drained); /* may free output */
}

static void output_ready(void *data, uint32_t events);

/* Answer the pending read if there is anything to say, else wait. */
static void output_try(struct output *output) {
    size_t length = 0;
    bool eof = output->fd < 0, drained = false;
    while (!eof && !drained && length < output->max) {
        ssize_t n = read(output->fd, scratch + length, output->max - length);
        if (n > 0) {
            length += (size_t)n;
            if (!output->ended)
                break; /* more may be there, but waiting for its end would only delay this */
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            drained = output->ended;
            break;
        } else {
            eof = true; /* 0; or EIO, by which a terminal says that its other end is closed */
        }
    }
    if (length > 0 || eof || drained)
        output_reply(output, length, eof, drained);
    else if (!output->source &&
             loop_add_fd(output->loop, output->fd, EPOLLIN, output_ready, output, &output->source) < 0)
        output_reply(output, 0, true, false); /* out of memory: nothing can be read any more */
}

static void output_gathered(void *data) {
    output_try(data);
}

/* Whether to wait for more; the timer then calls. */
static bool output_gather(struct output *output) {
    int available = 0;
    if (output->ended || output->fd < 0 || monotonic_msec() - output->answered_msec > BULK_MSEC ||
        ioctl(output->fd, FIONREAD, &available) < 0 || available < GATHER_LEAST || available >= GATHER_ENOUGH)
        return false;
    if (loop_add_timer(output->loop, GATHER_MSEC, output_gathered, output, &output->gathering) < 0)
        return false;
    output->source = loop_source_free(output->source);
    return true;
}

static void output_ready(void *data, uint32_t events) {
    (void)events;
    if (!output_gather(data))
        output_try(data);
}

int output_read(struct output *output, size_t max, output_fn *fn, void *data) {
    if (output->fn)
        return -EBUSY;
    output->max = max < sizeof scratch ? max : sizeof scratch;
    output->fn = fn;
    output->data = data;
    if (!output_gather(output))
        output_try(output);
    return 0;
}

void output_end(struct output *output) {
    output->ended = true;
    if (output->fn)
        output_try(output);
}

void output_close(struct output *output) {
    /* First: a socket stays open by input's descriptor, and epoll would go on watching it for a source that is freed.
     */
    output->source = loop_source_free(output->source);
    close_fd(&output->fd);
    if (output->fn)
        output_reply(output, 0, true, false);
}

void output_refuse(struct output *output) {
    if (output->fd >= 0)
        (void)shutdown(output->fd, SHUT_RD); /* ENOTSOCK for a pipe */
    output_close(output);
}

void input_open(struct input *input, struct loop *loop, int fd, enum stream_kind kind) {
    *input = (struct input){.loop = loop, .fd = fd, .kind = kind};
    if (fd < 0)
        return;
    (void)fd_set_nonblock(fd, 1);
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

/* A socket stays open for the other way, by output's descriptor: closing this one would not be an end. */
static void input_end(struct input *input) {
    if (input->fd >= 0 && input->kind == STREAM_SOCKET)
        (void)shutdown(input->fd, SHUT_WR);
    close_fd(&input->fd);
}

static void input_reply(struct input *input, int code) {
    input_fn *fn = input->fn;
    input->fn = NULL;
    input->source = loop_source_free(input->source);
    buf_done(&input->waiting);
    if (code != 0)
        close_fd(&input->fd);
    else if (input->close_after)
        input_end(input);
    fn(input->data, code); /* may free input */
}

static void input_ready(void *data, uint32_t events);

static void input_try(struct input *input) {
    while (input->written < input->waiting.length) {
        /* A pipe without readers: EPIPE, and a SIGPIPE that the kernel does not deliver to PID 1 by default. */
        ssize_t n = write(input->fd, input->waiting.data + input->written, input->waiting.length - input->written);
        if (n > 0) {
            input->written += (size_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            if (!input->source && loop_add_fd(input->loop, input->fd, EPOLLOUT, input_ready, input, &input->source) < 0)
                input_reply(input, ENOMEM);
            return;
        } else {
            input_reply(input, EPIPE);
            return;
        }
    }
    input_reply(input, 0);
}

static void input_ready(void *data, uint32_t events) {
    (void)events;
    input_try(data);
}

int input_write(struct input *input, const void *bytes, size_t length, input_fn *fn, void *data) {
    if (input->fn)
        return -EBUSY;
    if (input->fd < 0 || input->close_after)
        return -EPIPE;
    if (buf_append(&input->waiting, bytes, length) < 0)
        return -ENOMEM;
    input->written = 0;
    input->fn = fn;
    input->data = data;
    input_try(input);
    return 0;
}

void input_finish(struct input *input) {
    if (input->kind == STREAM_TERMINAL)
        return;
    input->close_after = true;
    if (!input->fn)
        input_end(input);
}

void input_close(struct input *input) {
    input->close_after = true;
    if (input->fn)
        input_reply(input, EPIPE);
    close_fd(&input->fd);
}
