/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's ends of a process's streams: non-blocking pipes, sockets of a pair, or the
 * master of its pseudo-terminal. The host pulls output and pushes input one call at a
 * time, so that a slow reader on the host fills the pipe and blocks only its own
 * process, and nothing is buffered here.
 *
 * A descriptor is on the event loop only while a call waits for it: a hung-up
 * pipe reports EPOLLHUP whatever one asks for (epoll_ctl(2)), and would spin.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/loop.h"
#include "shared/base/streams.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* eof: every writer has gone. drained: the process has ended and nothing is left for now. Both can come with data,
 * which is then the last. */
typedef void output_fn(void *data, const uint8_t *bytes, size_t length, bool eof, bool drained);

struct output {
    struct loop *loop;
    int fd; /* -EBADF once at end of file */
    bool ended;
    bool hung_up; /* at the end of file: a socket whose other end is closed for both ways */
    size_t max;
    output_fn *fn; /* not NULL while a read is pending */
    void *data;
    struct loop_source *source;
    struct loop_source *gathering; /* a timer, while a pending read waits for more to come */
    int64_t answered_msec;         /* when the last read was answered with data */
};

/* Takes fd, which may be -EBADF: a stream that is at its end from the beginning. Pipes are made as large as they may
 * be. */
void output_open(struct output *output, struct loop *loop, int fd);

/* Call fn once, now or when there is something to say. -EBUSY while a read is pending, -ENOMEM. */
int output_read(struct output *output, size_t max, output_fn *fn, void *data);

/* The process has ended: whoever still holds the other end cannot keep a read waiting. */
void output_end(struct output *output);

/* Answers a pending read with eof, closes. Who writes to a pipe then gets EPIPE. */
void output_close(struct output *output);

/* Nobody on the host reads any more: the same, also for who writes to a socket that is open for the other way. */
void output_refuse(struct output *output);

/* code: 0, or a positive errno (EPIPE: nobody reads any more). */
typedef void input_fn(void *data, int code);

struct input {
    struct loop *loop;
    int fd; /* -EBADF once closed */
    enum stream_kind kind;
    bool close_after; /* CloseInput came while bytes were waiting */
    struct buf waiting;
    size_t written;
    input_fn *fn; /* not NULL while a write is pending */
    void *data;
    struct loop_source *source;
};

void input_open(struct input *input, struct loop *loop, int fd, enum stream_kind kind);

/* Bytes are copied. fn is called once, when all of them have been taken. -EBUSY while a write is pending, -ENOMEM. */
int input_write(struct input *input, const void *bytes, size_t length, input_fn *fn, void *data);

/*
 * No more input: the process reads end-of-file after what was written. For a terminal nothing happens, as with runc
 * and crun: its master stays open for the output, and a VEOF character would be data to a process in raw mode.
 */
void input_finish(struct input *input);

/* The process has ended: a pending write fails with EPIPE. Closes. */
void input_close(struct input *input);
