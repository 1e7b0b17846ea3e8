/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process that the host knows: a container's own, or an exec. From the fork by
 * launch.h to the exit code; holds the calls that wait for it.
 */
#pragma once

#include "guest/agent/agent.h"
#include "guest/agent/streams.h"

#include <stdbool.h>
#include <sys/types.h>

enum process_state {
    PROCESS_LAUNCHING, /* being set up */
    PROCESS_READY,     /* waits for GO */
    PROCESS_STARTING,  /* has got GO, execve is to come */
    PROCESS_RUNNING,
    PROCESS_EXITED,
};

struct stream {
    struct process *process;
    enum stream_kind kind;
    struct output output; /* for a way that it does not have: at its end, or closed, from the beginning */
    struct input input;
    struct ttrpc_request *read, *write;
    bool told; /* the host knows the end of its output */
};

/* A WaitProcess that is not answered yet. */
struct waiter {
    struct waiter *next;
    struct ttrpc_request *request;
};

struct process {
    struct process *next; /* in its container */
    struct container *container;
    char *id;  /* "" for the container's own */
    pid_t pid; /* 0 until stage 1 has said it */
    enum process_state state;
    int report; /* of struct launch; -EBADF once execve has succeeded or all failed */
    struct loop_source *report_source;
    int exit_status;   /* of waitpid(2) */
    bool reaped_early; /* before its pid was known */
    bool waited;       /* the host has been told the exit */

    size_t n_streams;
    struct stream streams[STREAMS_MAX]; /* by the number of the descriptor in the process */

    struct ttrpc_request *launching; /* CreateContainer or ExecProcess */
    struct ttrpc_request *starting;  /* StartContainer */
    struct waiter *waiters;
};

static inline bool process_has_terminal(const struct process *process) {
    return process->streams[0].kind == STREAM_TERMINAL;
}

static inline bool process_is_own(const struct process *process) {
    return !process->id[0];
}

/* Take over what launch.h started. The process is put into its container's list. NULL: out of memory, all is closed. */
struct process *process_new(struct container *container, const char *id, struct launch *launch,
                            struct ttrpc_request *launching);

/* Out of its container's list. Pending calls are answered. */
void process_free(struct process *process);

/* Read what stage 1 and stage 2 have said so far. May free the process, and the container with it. */
void process_read_reports(struct process *process);

/* Answer CreateContainer or ExecProcess. */
void process_answer_launched(struct process *process);

/* Let it go on to its execve. */
void process_go(struct process *process);

/* It has been reaped. For an exec all is over with this; for the container's own process see container_own_exited(). */
void process_exited(struct process *process, int exit_status);

/* No process of the group is left: pending reads and writes have nothing more to wait for. */
void process_end_streams(struct process *process);

/* Tell those who wait. */
void process_answer_waiters(struct process *process);

/* Forget execs of which everything has been told, so that a container with a health check does not grow. */
void process_sweep(struct container *container);

agent_handler process_exec_run; /* these in process_calls.c */
agent_handler process_signal_run;
agent_handler process_wait_run;
agent_handler process_read_run;
agent_handler process_write_run;
agent_handler process_close_input_run;
agent_handler process_close_output_run;
agent_handler process_resize_run;
