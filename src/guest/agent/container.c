/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/container.h"

#include "agent.pb-c.h"
#include "guest/agent/freshen.h"
#include "guest/agent/modules.h"
#include "guest/agent/write_back.h"
#include "shared/base/cleanup.h"

#include <signal.h>
#include <string.h>

/* For a process that is stuck in the kernel, waiting for a disk or a share: its container must be able to end. */
enum { ENDING_MSEC = 10000 };

struct container *container_find(struct agent *agent, struct ttrpc_request *request, const char *id) {
    for (struct container *c = agent->containers; c; c = c->next)
        if (strcmp(c->id, id) == 0)
            return c;
    struct err err = {0};
    err_set(&err, ENOENT, "container %s does not exist in the sandbox", id);
    answer_error(request, &err);
    return NULL;
}

static struct container *container_new(struct agent *agent, const Minka__Plan__V1__Container *plan) {
    struct container *container = calloc(1, sizeof *container);
    char *id = strdup(plan->id);
    if (!container || !id) {
        free(container);
        free(id);
        return NULL;
    }
    *container = (struct container){.agent = agent, .id = id, .next = agent->containers};
    agent->containers = container;
    return container;
}

static void container_free(struct container *container) {
    for (struct container **c = &container->agent->containers; *c; c = &(*c)->next)
        if (*c == container) {
            *c = container->next;
            break;
        }
    while (container->processes)
        process_free(container->processes);
    container->watch = cgroup_watch_free(container->watch);
    container->ending_timer = loop_source_free(container->ending_timer);
    free_strv(&container->sources);
    free(container->id);
    free(container);
}

/* ---- the end, step by step ---- */

/* All is written back, or there was nothing to write. May free the container. */
static void finish(struct container *container) {
    container->state = CONTAINER_STOPPED;
    struct ttrpc_request *failed = NULL, *deleting = take_ptr(container->deleting);
    struct err failure = container->failure;
    if (container->own && failure.code != 0)
        failed = take_ptr(container->own->launching);
    else if (container->own)
        process_answer_waiters(container->own);
    if (!failed && !deleting)
        return;
    int r = container_cgroup_remove(container->id);
    if (r < 0 && r != -ENOENT && deleting) {
        struct err err = {0};
        err_set(&err, -r, "processes of container %s cannot be killed", container->id);
        answer_error(deleting, &err);
        return;
    }
    container_free(container);
    if (failed)
        answer_error(failed, &failure);
    if (deleting)
        answer_empty(deleting);
}

bool container_helper_reaped(struct container *container, pid_t pid) {
    if (container->freshen_pid == pid) {
        container->freshen_pid = 0;
        /* It may have been killed meanwhile. */
        if (container->own && container->own->state == PROCESS_READY && container->own->starting)
            process_go(container->own);
        return true;
    }
    if (container->sync_pid != pid)
        return false;
    container->sync_pid = 0;
    finish(container);
    return true;
}

/* Nothing of it runs any more. May free the container. */
static void emptied(struct container *container) {
    container->ending_timer = loop_source_free(container->ending_timer);
    cgroup_watch_look(container->watch);
    container->watch = cgroup_watch_free(container->watch);
    for (struct process *p = container->processes; p; p = p->next)
        process_end_streams(p);
    if (container->failure.code == 0 && write_back_needed()) {
        /* In a child, because it takes as long as the host's disk takes. */
        container->sync_pid = fork();
        if (container->sync_pid == 0) {
            write_back(container->agent->shares, container->agent->n_shares);
            _exit(0);
        }
        if (container->sync_pid > 0)
            return;
        container->sync_pid = 0;
        write_back(container->agent->shares, container->agent->n_shares);
    }
    finish(container);
}

static void ending_timeout(void *data) {
    emptied(data);
}

void container_cgroup_changed(struct container *container) {
    if (container->state == CONTAINER_ENDING && !cgroup_watch_populated(container->watch))
        emptied(container);
}

static void begin_ending(struct container *container) {
    container->state = CONTAINER_ENDING;
    if (!container->watch)
        container->watch = cgroup_watch_new(container->agent->loop, container);
    cgroup_watch_look(container->watch);
    if (cgroup_watch_populated(container->watch)) {
        (void)container_cgroup_kill(container->id);
        /* When it runs empty, container_cgroup_changed() comes. */
        if (loop_add_timer(container->agent->loop, ENDING_MSEC, ending_timeout, container, &container->ending_timer) >=
            0)
            return;
    }
    emptied(container);
}

/* For a deletion. The exit of its own process does the rest; while it is being set up there may be nothing to kill. */
static void kill_all(struct container *container) {
    if (container->own->pid > 0)
        (void)kill(container->own->pid, SIGKILL);
    (void)container_cgroup_kill(container->id);
}

/* ---- from the container's own process ---- */

void container_own_ready(struct container *container) {
    struct agent *agent = container->agent;
    container->state = CONTAINER_CREATED;
    process_answer_launched(container->own);
    if (container->deleting)
        kill_all(container);
    /* While the host digests the answer. */
    container->watch = cgroup_watch_new(agent->loop, container);
    /* Without these a later container that shares them fails, and says so. */
    if (!agent->has_sandbox_namespaces && container->own->pid > 0)
        agent->has_sandbox_namespaces = launch_sandbox_open(&agent->sandbox, container->own->pid, NULL) >= 0;
}

void container_own_running(struct container *container) {
    container->state = CONTAINER_RUNNING;
}

void container_own_failed(struct container *container, const struct err *err) {
    if (container->state != CONTAINER_CREATING)
        return; /* it is ending already */
    container->failure = *err;
    begin_ending(container);
}

void container_own_exited(struct container *container) {
    begin_ending(container);
}

/* ---- calls ---- */

static void refuse(struct ttrpc_request *request, int code, const char *id, const char *why) {
    struct err err = {0};
    err_set(&err, code, "container %s %s", id, why);
    answer_error(request, &err);
}

static int load_modules(const Minka__Plan__V1__Container *plan, struct err *err) {
    for (size_t i = 0; i < plan->n_modules; i++) {
        int r = modules_load(plan->modules[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

void container_create_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Plan__V1__Container *plan = (const void *)message;
    struct err err = {0};
    for (struct container *c = agent->containers; c; c = c->next)
        if (strcmp(c->id, plan->id) == 0) {
            refuse(request, EEXIST, plan->id, "exists already in the sandbox");
            return;
        }
    struct launch launch;
    if (load_modules(plan, &err) < 0 || launch_container(plan, &agent->sandbox, &launch, &err) < 0) {
        answer_error(request, &err);
        return;
    }
    struct container *container = container_new(agent, plan);
    struct process *own = container ? process_new(container, "", &launch, request) : NULL;
    if (!own) {
        if (container)
            container_free(container);
        else
            launch_done(&launch);
        refuse(request, ENOMEM, plan->id, "cannot be created: the VM is out of memory");
        return;
    }
    container->own = own;
    container->sources = freshen_sources(plan);
}

/* In a child, because it takes as long as the file server takes. */
static void begin_freshening(struct container *container) {
    container->freshen_pid = fork();
    if (container->freshen_pid == 0) {
        freshen(container->sources);
        _exit(0);
    }
    if (container->freshen_pid < 0) {
        container->freshen_pid = 0;
        process_go(container->own);
    }
}

void container_start_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ContainerRequest *r = (const void *)message;
    struct container *container = container_find(agent, request, r->container);
    if (!container)
        return;
    if (container->state != CONTAINER_CREATED || container->own->state != PROCESS_READY || container->own->starting) {
        refuse(request, EBUSY, container->id,
               container->state == CONTAINER_CREATING ? "is still being created"
               : container->state == CONTAINER_RUNNING || container->state == CONTAINER_CREATED
                   ? "has been started already"
                   : "has ended");
        return;
    }
    if (container->paused) {
        refuse(request, EBUSY, container->id, "is paused");
        return;
    }
    container->own->starting = request;
    if (container->sources)
        begin_freshening(container);
    else
        process_go(container->own);
}

static void set_paused(struct agent *agent, struct ttrpc_request *request, const char *id, bool paused) {
    struct container *container = container_find(agent, request, id);
    struct err err = {0};
    if (!container)
        return;
    if (container->state != CONTAINER_RUNNING && container->state != CONTAINER_CREATED) {
        refuse(request, EBUSY, id, "is not running");
        return;
    }
    if (container_cgroup_freeze(id, paused, &err) < 0) {
        answer_error(request, &err);
        return;
    }
    container->paused = paused;
    answer_empty(request);
}

void container_pause_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    set_paused(agent, request, ((const Minka__Agent__V1__ContainerRequest *)(const void *)message)->container, true);
}

void container_resume_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    set_paused(agent, request, ((const Minka__Agent__V1__ContainerRequest *)(const void *)message)->container, false);
}

void container_update_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__UpdateRequest *r = (const void *)message;
    struct container *container = container_find(agent, request, r->container);
    struct err err = {0};
    if (!container)
        return;
    if (container->state != CONTAINER_RUNNING && container->state != CONTAINER_CREATED)
        refuse(request, EBUSY, container->id, "is not running");
    else if (container_cgroup_apply(container->id, r->cgroup, &err) < 0)
        answer_error(request, &err);
    else
        answer_empty(request);
}

void container_delete_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ContainerRequest *r = (const void *)message;
    struct container *container = container_find(agent, request, r->container);
    if (!container)
        return;
    if (container->deleting) {
        refuse(request, EBUSY, container->id, "is being deleted already");
        return;
    }
    container->deleting = request;
    if (container->state == CONTAINER_STOPPED) {
        finish(container);
        return;
    }
    if (container->state == CONTAINER_ENDING)
        return;
    kill_all(container);
}
