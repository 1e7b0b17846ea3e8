/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stats.h"

#include "guest/agent/container.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <string.h>

int stats_parse_value(const char *text, uint64_t *ret) {
    char value[32];
    size_t length = strcspn(text, "\n");
    if (length == 0 || length >= sizeof value)
        return -EBADMSG;
    memcpy(value, text, length);
    value[length] = '\0';
    if (strcmp(value, "max") == 0) {
        *ret = UINT64_MAX;
        return 0;
    }
    return parse_u64(value, ret) < 0 ? -EBADMSG : 0;
}

static char *read_text(int directory, const char *file) {
    char *text = NULL;
    return read_file(directory, file, 65536, &text, NULL, NULL) < 0 ? NULL : text;
}

static void read_value(int directory, const char *file, uint64_t *ret) {
    _cleanup_free_ char *text = read_text(directory, file);
    if (text)
        (void)stats_parse_value(text, ret);
}

void stats_read(int directory, Minka__Agent__V1__StatsResponse *ret) {
    Minka__Agent__V1__StatsResponse stats = MINKA__AGENT__V1__STATS_RESPONSE__INIT;
    stats.memory_limit = stats.pids_limit = UINT64_MAX;
    _cleanup_free_ char *cpu = read_text(directory, "cpu.stat");
    if (cpu) {
        stats.cpu_usage_usec = cgroup_flat_value(cpu, "usage_usec");
        stats.cpu_user_usec = cgroup_flat_value(cpu, "user_usec");
        stats.cpu_system_usec = cgroup_flat_value(cpu, "system_usec");
        stats.cpu_periods = cgroup_flat_value(cpu, "nr_periods");
        stats.cpu_throttled_periods = cgroup_flat_value(cpu, "nr_throttled");
        stats.cpu_throttled_usec = cgroup_flat_value(cpu, "throttled_usec");
    }
    read_value(directory, "memory.current", &stats.memory_usage);
    read_value(directory, "memory.peak", &stats.memory_peak);
    read_value(directory, "memory.max", &stats.memory_limit);
    read_value(directory, "memory.swap.current", &stats.memory_swap);
    _cleanup_free_ char *memory = read_text(directory, "memory.stat");
    if (memory) {
        stats.memory_cache = cgroup_flat_value(memory, "file");
        stats.memory_kernel = cgroup_flat_value(memory, "kernel");
    }
    _cleanup_free_ char *events = read_text(directory, "memory.events");
    if (events) {
        stats.memory_failures = cgroup_flat_value(events, "max"); /* what cgroup v1 counts as failcnt */
        stats.oom_kills = cgroup_flat_value(events, "oom_kill");
    }
    read_value(directory, "pids.current", &stats.pids_current);
    read_value(directory, "pids.max", &stats.pids_limit);
    *ret = stats;
}

void container_stats_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ContainerRequest *r = (const void *)message;
    struct container *container = container_find(agent, request, r->container);
    if (!container)
        return;
    struct err err = {0};
    _cleanup_close_ int directory = container_cgroup_open(container->id);
    if (directory < 0) {
        err_set(&err, -directory, "container %s has no cgroup", container->id);
        answer_error(request, &err);
        return;
    }
    Minka__Agent__V1__StatsResponse stats;
    stats_read(directory, &stats);
    answer(request, &stats.base);
}
