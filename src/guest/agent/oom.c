/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/oom.h"

#include "agent.pb-c.h"
#include "guest/agent/container.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <string.h>

struct cgroup_watch {
    struct container *container;
    int memory_events, cgroup_events;
    struct loop_source *memory_source, *cgroup_source;
    uint64_t oom_kills;
};

uint64_t cgroup_flat_value(const char *text, const char *key) {
    size_t key_length = strlen(key);
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        if (length > key_length && memcmp(line, key, key_length) == 0 && line[key_length] == ' ')
            return strtoull(line + key_length + 1, NULL, 10);
        line += length + (line[length] == '\n');
    }
    return 0;
}

/* Reading from the start is also what makes the kernel report the next change. */
static uint64_t read_value(int fd, const char *key) {
    char text[1024];
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
    if (n < 0)
        return 0;
    text[n] = '\0';
    return cgroup_flat_value(text, key);
}

static void memory_changed(void *data, uint32_t events) {
    (void)events;
    cgroup_watch_look(data);
}

static void cgroup_changed(void *data, uint32_t events) {
    struct cgroup_watch *watch = data;
    (void)events;
    (void)cgroup_watch_populated(watch);
    container_cgroup_changed(watch->container); /* may free watch */
}

struct cgroup_watch *cgroup_watch_new(struct loop *loop, struct container *container) {
    _cleanup_close_ int directory = container_cgroup_open(container->id);
    struct cgroup_watch *watch = directory >= 0 ? calloc(1, sizeof *watch) : NULL;
    if (!watch)
        return NULL;
    watch->container = container;
    watch->memory_events = openat(directory, "memory.events", O_RDONLY | O_CLOEXEC);
    watch->cgroup_events = openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
    (void)read_value(watch->memory_events, "oom_kill");
    (void)read_value(watch->cgroup_events, "populated");
    if (watch->memory_events >= 0)
        (void)loop_add_fd(loop, watch->memory_events, EPOLLPRI, memory_changed, watch, &watch->memory_source);
    if (watch->cgroup_events >= 0)
        (void)loop_add_fd(loop, watch->cgroup_events, EPOLLPRI, cgroup_changed, watch, &watch->cgroup_source);
    return watch;
}

struct cgroup_watch *cgroup_watch_free(struct cgroup_watch *watch) {
    if (!watch)
        return NULL;
    watch->memory_source = loop_source_free(watch->memory_source);
    watch->cgroup_source = loop_source_free(watch->cgroup_source);
    close_fd(&watch->memory_events);
    close_fd(&watch->cgroup_events);
    free(watch);
    return NULL;
}

void cgroup_watch_look(struct cgroup_watch *watch) {
    uint64_t kills = watch ? read_value(watch->memory_events, "oom_kill") : 0;
    if (!watch || kills <= watch->oom_kills)
        return;
    watch->oom_kills = kills;
    container_oom_seen(watch->container);
}

bool cgroup_watch_populated(struct cgroup_watch *watch) {
    return watch && read_value(watch->cgroup_events, "populated") != 0;
}

/* ---- NextEvent: one flag per container, so that nothing piles up when nobody asks ---- */

static void answer_event(struct container *container) {
    char type[] = "oom";
    Minka__Agent__V1__Event event = MINKA__AGENT__V1__EVENT__INIT;
    event.container = container->id;
    event.type = type;
    container->oom_untold = false;
    answer(take_ptr(container->agent->next_event), &event.base);
}

void container_oom_seen(struct container *container) {
    container->oom = true;
    container->oom_untold = true;
    if (container->agent->next_event)
        answer_event(container);
}

void event_next_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    (void)message;
    struct err err = {0};
    if (agent->next_event) {
        err_set(&err, EBUSY, "another NextEvent is waiting");
        answer_error(request, &err);
        return;
    }
    agent->next_event = request;
    for (struct container *c = agent->containers; c; c = c->next)
        if (c->oom_untold) {
            answer_event(c);
            return;
        }
}
