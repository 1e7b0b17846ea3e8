/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of the sandbox.
 *
 *   CREATING -> CREATED -> RUNNING -> ENDING -> STOPPED -> (deleted)
 *
 * ENDING begins when the container's own process has ended, or could not be made: the rest of its cgroup is killed,
 * the cgroup runs empty, and what the processes wrote, dirty pages of shared mappings included, is written back to the
 * host. Only then is the end told, so that whoever reads the volume afterwards sees everything.
 */
#pragma once

#include "guest/agent/agent.h"
#include "guest/agent/oom.h"
#include "guest/agent/process.h"

#include <stdbool.h>

enum container_state {
    CONTAINER_CREATING,
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_ENDING,
    CONTAINER_STOPPED,
};

struct container {
    struct container *next; /* in agent->containers */
    struct agent *agent;
    char *id;
    enum container_state state;
    bool paused;
    struct process *processes; /* the container's own is one of them, until it is freed */
    struct process *own;
    struct cgroup_watch *watch; /* memory.events and cgroup.events, from CREATED on */
    bool oom;                   /* the OOM killer has struck */
    bool oom_untold;            /* no NextEvent has carried that yet */
    struct loop_source *ending_timer;
    pid_t sync_pid;     /* child that writes back; 0: none */
    pid_t freshen_pid;  /* child that looks at the mounts again before the process may go; 0: none */
    char **sources;     /* what it looks at; NULL: nothing */
    struct err failure; /* why creating it failed, told when ENDING is over */
    struct ttrpc_request *deleting;
};

/* Look up, or answer the request with NOT_FOUND and return NULL. */
struct container *container_find(struct agent *agent, struct ttrpc_request *request, const char *id);
struct process *process_find(struct agent *agent, struct ttrpc_request *request, const char *container,
                             const char *process);

/* From process.c: the container's own process is ready / runs / could not be made / has been reaped. */
void container_own_ready(struct container *container);
void container_own_running(struct container *container);
void container_own_failed(struct container *container, const struct err *err);
void container_own_exited(struct container *container);

/* From oom.c. */
void container_oom_seen(struct container *container);
void container_cgroup_changed(struct container *container);

/* From reap.c: true when the child was one of this container's helpers, and has been dealt with. */
bool container_helper_reaped(struct container *container, pid_t pid);

agent_handler container_create_run;
agent_handler container_start_run;
agent_handler container_pause_run;
agent_handler container_resume_run;
agent_handler container_update_run;
agent_handler container_delete_run;
agent_handler container_stats_run; /* stats.c */
agent_handler container_list_run;  /* list.c */
agent_handler event_next_run;      /* oom.c */
