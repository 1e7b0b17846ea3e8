/* SPDX-License-Identifier: Apache-2.0 */
/*
 * minka-monitor: the unprivileged process that a sandbox lives under. It speaks to the VMM (QMP), to the agent in the
 * guest, to minka's commands and to the stand-ins; it opens nothing and holds nothing but the descriptors it was
 * given. What it reads from VMM and guest is hostile.
 *
 *   NEW --LOAD--> (QEMU answers QMP) LOADED --BOOT--> (cont, hello, share mounted) RUNNING
 *     --the last container's process has ended and everyone was told--> ENDING --guest shut down--> exit 0
 *   any state --QEMU, file server or guest lost, or a broken protocol--> ENDING --stand-ins told--> exit 1
 *
 * As pid 1 of the sandbox's pid namespace its end is the end of everything in it: pid_namespaces(7).
 */
#pragma once

#include "unprivileged/monitor/agent.h"
#include "unprivileged/monitor/children.h"
#include "unprivileged/monitor/console.h"
#include "unprivileged/monitor/process.h"
#include "unprivileged/monitor/qmp.h"
#include "unprivileged/monitor/server.h"

#include <stdbool.h>

struct monitor_config {
    int setup, listen, qmp, agent, console, vmm_stderr, share_stderr, log; /* the last two may be -EBADF */
    uid_t owner;
    unsigned dial_timeout_sec;
    bool debug;
};

enum container_state { CONTAINER_CREATING, CONTAINER_CREATED, CONTAINER_STARTING, CONTAINER_RUNNING, CONTAINER_ENDED };

struct container {
    struct container *next;
    struct monitor *monitor;
    char id[CONTROL_ID_MAX];
    enum container_state state;
    bool deleted;              /* the struct goes with its last process */
    struct process *processes; /* its own (id "") and execs; empty once all have gone */
};

struct subscription { /* a CONTROL_EVENTS that waits */
    struct subscription *next;
    struct call *call;
};

struct monitor {
    struct monitor_config config;
    struct loop *loop;
    struct log log;
    struct console guest, vmm, share;
    struct children children;
    struct qmp *qmp; /* NULL once closed */
    struct agent *agent;
    struct server *server;
    struct loop_source *signals, *deadline, *hello_timer, *suspicion_timer, *end_timer;

    enum server_phase phase;
    bool vmm_answers; /* QMP is ready */
    bool greeting;    /* Hello has been sent */
    bool has_share;
    bool created;            /* a container was: the setup connection may go */
    bool shutting_down;      /* the guest has been asked to end */
    struct call *setup_call; /* the LOAD or BOOT that is waited for */
    struct container *containers;
    struct subscription *subscriptions;
    struct err suspicion; /* a channel closed; the reason is given a moment to show */
    struct err failure;
    int exit_code;
};

/* Runs until the sandbox has ended. 0, 1 after a failure of the sandbox (which was reported), or a negative errno. */
int monitor_run(const struct monitor_config *config, struct err *err);

/* ---- monitor.c: the life cycle, for the other files ---- */
void monitor_set_phase(struct monitor *monitor, enum server_phase phase);
void monitor_fail(struct monitor *monitor, const struct err *why);    /* the sandbox is lost */
void monitor_suspect(struct monitor *monitor, const struct err *why); /* lost, but why may be said by another source */
void monitor_await_reason(struct monitor *monitor);                   /* from now on, if something is suspected */
void monitor_check_end(struct monitor *monitor);                      /* a process or container has gone */

/* ---- failure.c: sentences ---- */
/* What the sandbox was doing: "loading", "booting", "running". */
const char *failure_stage(const struct monitor *monitor);
void failure_of_child(struct monitor *monitor, int which, const char *how, struct err *err);
void failure_of_guest(struct monitor *monitor, const char *how, struct err *err);
void failure_of_deadline(struct monitor *monitor, struct err *err);
/* Engines take a few phrases for a fault of the container's command: say them otherwise. In place. */
void failure_reword(char *text);

/* ---- boot.c: from LOAD to RUNNING ---- */
void boot_load(void *data, struct call *call);
void boot_start(void *data, struct call *call);
void boot_say_hello(void *data); /* once, while the BOOT is waited for */
extern const struct qmp_handlers boot_qmp_handlers;

/* ---- containers.c ---- */
struct container *container_find(struct monitor *monitor, const char *id);
struct process *container_process(struct container *container, const char *id);
int container_new(struct monitor *monitor, const char *id, struct container **ret, struct err *err);
void container_free(struct container *container); /* unlinks it */
/* A process from the descriptors of a CREATE or EXEC. */
int container_add_process(struct container *container, struct call *call, struct process **ret, struct err *err);
void container_drop_process(struct container *container, struct process *process);

/* ---- events.c ---- */
void events_begin(struct monitor *monitor);
void events_subscribe(void *data, struct call *call);
void events_end(struct monitor *monitor, const char *container);  /* NULL: of every container */
void events_fail(struct monitor *monitor, const struct err *why); /* the sandbox is lost */

/* ---- requests.c ---- */
extern const struct server_entry request_table[];
extern const size_t request_table_size;
