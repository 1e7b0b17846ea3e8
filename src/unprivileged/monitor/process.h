/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process in the guest, as the host sees it: its streams are relayed, its stand-in's signals and terminal sizes are
 * passed on, and its end is told to the stand-in when everything it said has been handed over.
 *
 *   process_new -> process_watch (the process exists in the guest) -> process_start_input (it runs)
 *     guest says it has ended -> outputs are drained; DRAIN_MSEC without progress gives up
 *       -> host descriptors closed -> stand-in told -> its socket closes, or STANDIN_MSEC -> gone
 *
 * A stream that goes both ways, a socket or a terminal, is an input and an output with a descriptor each.
 *
 * Output is pulled, one piece of at most OUTPUT_PIECE bytes at a time, and at most OUTPUT_AHEAD pieces per stream are
 * asked for or waiting for the host's reader, so that a slow reader holds up its own stream only and memory stays flat.
 * Input goes one piece at a time. The guest is not trusted: what it sends beyond what was asked for is an error.
 */
#pragma once

#include "facts/control/control.h"
#include "shared/base/loop.h"
#include "shared/base/streams.h"
#include "unprivileged/monitor/agent.h"
#include "unprivileged/monitor/hostfd.h"

#include <stdbool.h>

enum {
    OUTPUT_PIECE = 256 << 10,
    OUTPUT_AHEAD = 2,
    INPUT_PIECE = 64 << 10,
    DRAIN_MSEC = 10000,
    STANDIN_MSEC = 2000,
    SIGNALS_AHEAD = 64, /* forwarded but not yet answered */
};

struct process;

/* Which stream of which process. */
struct stream_name {
    struct process *process;
    uint32_t number;
    enum stream_kind kind;
};

/* output.c: guest to host */
struct output_piece {
    uint8_t *data;
    size_t length, done;
};
struct output {
    struct stream_name of;
    struct host_fd host;
    struct loop_source *source; /* only while something waits, but for a pipe always */
    bool is_pipe;               /* and not a FIFO with a name, which may get another reader */
    struct output_piece waiting[OUTPUT_AHEAD];
    unsigned n_waiting;
    unsigned asked; /* ReadOutput calls in flight, 0 or 1 */
    bool ended;     /* nothing more will come */
    bool shut_down; /* and then: the guest's end is open for input still */
    bool discard;   /* the host's side of a terminal has gone: the guest is still drained */
};
void output_init(struct output *output, const struct stream_name *of, int fd); /* fd -EBADF: there is no output */
void output_start(struct output *output);                                      /* the guest has the process */
void output_pull(struct output *output);
void output_stop(struct output *output); /* give up: drop what waits, close the host's descriptor */
bool output_is_done(const struct output *output);

/* input.c: host to guest */
struct input {
    struct stream_name of;
    struct host_fd host;
    struct loop_source *source; /* not while a piece is in flight */
};
void input_init(struct input *input, const struct stream_name *of, int fd);
void input_start(struct input *input);
void input_stop(struct input *input);

struct stream {
    struct input input;
    struct output output;
};

enum process_state { PROCESS_NEW, PROCESS_WATCHED, PROCESS_DRAINING, PROCESS_TOLD };

struct process {
    struct process *next; /* for the owner */
    struct loop *loop;
    struct agent *agent;
    char container[CONTROL_ID_MAX];
    char id[CONTROL_ID_MAX]; /* "": the container's own */
    enum process_state state;
    int standin; /* -EBADF once it has gone */
    struct loop_source *standin_source;
    unsigned signals_in_flight;
    struct loop_source *timer;
    struct standin_message end;
    bool oom;
    struct loop_source *gone_timer;                      /* gone is called from the loop, never from within */
    void (*gone)(void *data, struct process *process);   /* free it now */
    void (*violated)(void *data, const struct err *why); /* the guest broke the protocol */
    void *data;
    size_t n_streams;
    struct stream streams[]; /* by the number of the descriptor in the guest */
};

struct process_config {
    struct loop *loop;
    struct agent *agent; /* outlives the process */
    const char *container, *id;
    int standin; /* this and fds are taken over on success */
    const uint8_t *kinds;
    const int *fds; /* by number; -EBADF for STREAM_NONE, the pty's slave for STREAM_TERMINAL */
    size_t n_streams;
    void (*gone)(void *data, struct process *process);
    void (*violated)(void *data, const struct err *why);
    void *data;
};

int process_new(const struct process_config *config, struct process **ret, struct err *err);
struct process *process_free(struct process *process); /* closes everything; a stand-in that was not told ends itself */

/* The guest has the process: wait for its end, relay its output. */
int process_watch(struct process *process, struct err *err);
void process_start_input(struct process *process);

/* SIGKILL to it, and for a container's own process to everything in the container. */
void process_kill(struct process *process);

/* The guest cannot say any more how it ended: killed, as far as the host is concerned. What has been read is still
 * handed over. */
void process_lost(struct process *process);

/* Something was handed over or came in (output.c, input.c). */
void process_progress(struct process *process);
