/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language between minka's privileged commands and the sandbox's unprivileged
 * processes: fixed-size records over SOCK_SEQPACKET, descriptors by SCM_RIGHTS.
 * There is nothing to parse: a reader checks size, magic, op and that texts end.
 * docs/protocol-control.md.
 *
 *  command -> monitor   struct control_request on RUNDIR/ID/control.sock, or on the
 *                       socketpair that `create` starts the monitor with
 *  monitor -> command   struct control_reply; PS and EVENTS send several, the last
 *                       has more == 0
 *  stand-in <-> monitor struct standin_message on a socketpair of their own
 *
 * A request that comes from any uid but the sandbox's owner is dropped (SO_PEERCRED).
 */
#pragma once

#include "shared/base/streams.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_MAGIC 0x6d6e6b31u /* "mnk1" */

enum { CONTROL_ID_MAX = 256, CONTROL_TEXT_MAX = 1024, CONTROL_FDS_MAX = 2 + STREAMS_MAX };

enum control_op {
    CONTROL_LOAD = 1, /* answered when the VMM has loaded and answers QMP; the VM is still stopped */
    CONTROL_BOOT,     /* `cont`; answered when the agent has said hello and the share is mounted */
    CONTROL_CREATE,   /* container, streams; fds: plan, stand-in socket, the streams (see CONTROL_FD_*) */
    CONTROL_START,    /* container; answered when execve succeeded */
    CONTROL_EXEC,     /* container, process; else as CREATE; answered when execve succeeded */
    CONTROL_SIGNAL,   /* container, process (empty: its own), signal, flags & CONTROL_ALL */
    CONTROL_RESIZE,   /* container, process, rows, columns */
    CONTROL_PAUSE,    /* container */
    CONTROL_RESUME,   /* container */
    CONTROL_UPDATE,   /* container; fds: plan (minka.agent.v1.UpdateRequest) */
    CONTROL_PS,       /* container; one reply per process */
    CONTROL_STATS,    /* container; reply.stats */
    CONTROL_EVENTS,   /* container; a reply per event until the connection or the container ends */
    CONTROL_DELETE,   /* container: kill what is left and forget it; ends the sandbox with its last container */
};

/*
 * Positions of descriptors in CREATE and EXEC. From CONTROL_FD_STREAMS on there is one for each stream but STREAM_NONE,
 * in the order of their numbers; STREAM_TERMINAL's is the slave of the host's pty.
 */
enum { CONTROL_FD_PLAN, CONTROL_FD_STANDIN, CONTROL_FD_STREAMS };

enum { CONTROL_ALL = 1 << 0 };

struct control_request {
    uint32_t magic;
    uint32_t op;
    uint32_t flags;
    int32_t signal;
    uint32_t rows, columns;
    uint32_t n_streams;           /* CREATE, EXEC; else 0 */
    uint8_t streams[STREAMS_MAX]; /* enum stream_kind of the process's descriptors 0, 1, 2 ... */
    char container[CONTROL_ID_MAX];
    char process[CONTROL_ID_MAX];
};

struct control_stats { /* as minka.agent.v1.StatsResponse */
    uint64_t cpu_usage_usec, cpu_user_usec, cpu_system_usec;
    uint64_t cpu_periods, cpu_throttled_periods, cpu_throttled_usec;
    uint64_t memory_usage, memory_peak, memory_limit, memory_cache, memory_kernel, memory_swap, memory_failures;
    uint64_t pids_current, pids_limit, oom_kills;
};

struct control_process {
    int32_t pid, ppid;
    uint32_t uid;
    uint64_t start_time_msec, cpu_msec;
    char terminal[16];
};

struct control_reply {
    uint32_t magic;
    uint32_t op;    /* the request's */
    int32_t status; /* 0, or a negative errno with the sentence in text */
    uint32_t more;  /* further replies to this request follow */
    int32_t value;  /* CREATE, EXEC: pid in the guest */
    struct control_stats stats;
    struct control_process process;
    char text[CONTROL_TEXT_MAX]; /* an error's sentence; PS: the command line; EVENTS: the type ("oom") */
};

enum standin_op {
    STANDIN_SIGNAL = 1, /* stand-in -> monitor: value = signal number */
    STANDIN_RESIZE,     /* stand-in -> monitor: rows, columns */
    STANDIN_EXITED,     /* monitor -> stand-in: value = exit code, signal != 0 when a signal ended the process */
};

struct standin_message {
    uint32_t magic;
    uint32_t op;
    int32_t value;
    int32_t signal;
    uint32_t rows, columns;
};

/* The checks every reader makes: 0 or -EBADMSG. n is what recvmsg(2) returned. */
int control_request_check(const struct control_request *request, ssize_t n);
int control_reply_check(struct control_reply *reply, ssize_t n, enum control_op op); /* also makes text printable */
int standin_message_check(const struct standin_message *message, ssize_t n);
