/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources. Where 0 cannot be meant (a limit of no memory, a period of nothing), it counts as unset, as in
 * runc: Go's programs write out what nobody set. A limit that minka would not enforce is refused: a container that
 * runs unlimited where a limit was asked for is worse than one that does not run.
 */
#include "facts/oci/parse.h"
#include "shared/base/cleanup.h"

#include <string.h>

enum { HUGEPAGE_SIZES_MAX = 64 };

struct i64_member {
    const char *key;
    int64_t *value;
    bool *has;
};

/* Limits in bytes: -1 is unlimited, 0 unset. */
static int parse_limits(const struct json_value *object, const struct i64_member *members, size_t n_members,
                        struct err *err) {
    for (size_t i = 0; i < n_members; i++) {
        int r = parse_i64_from(object, members[i].key, -1, INT64_MAX, members[i].value, err);
        if (r < 0)
            return r;
        *members[i].has = *members[i].value != 0;
    }
    return 0;
}

static int parse_memory(const struct json_value *object, struct oci_resources *r, struct err *err) {
    struct json_value memory;
    int result = json_get(object, "memory", &memory, err);
    if (result <= 0)
        return result;
    const struct i64_member limits[] = {
        {"limit", &r->memory_limit, &r->has_memory_limit},
        {"reservation", &r->memory_reservation, &r->has_memory_reservation},
        {"swap", &r->memory_swap, &r->has_memory_swap},
    };
    result = parse_limits(&memory, limits, ARRAY_SIZE(limits), err);
    if (result < 0)
        return result;
    result = json_get_u64(&memory, "swappiness", &r->memory_swappiness, err);
    if (result < 0)
        return result;
    r->has_memory_swappiness = result > 0;
    /* kernel and kernelTCP are ignored: no kernel since 5.4 keeps them, and the specification says not to use them. */
    result = json_get_bool(&memory, "disableOOMKiller", &r->disable_oom_killer, err);
    return result < 0 ? result : 0;
}

static const char no_realtime[] = "the guest's kernel has no real-time groups";

static int parse_cpu(const struct json_value *object, struct oci_resources *r, struct err *err) {
    struct json_value cpu;
    int result = json_get(object, "cpu", &cpu, err);
    if (result <= 0)
        return result;
    if ((result = json_get_u64(&cpu, "shares", &r->cpu_shares, err)) < 0 ||
        (result = json_get_u64(&cpu, "period", &r->cpu_period, err)) < 0 ||
        (result = parse_i64_from(&cpu, "quota", INT64_MIN, INT64_MAX, &r->cpu_quota, err)) < 0 ||
        (result = parse_name(&cpu, "cpus", &r->cpuset_cpus, err)) < 0 ||
        (result = parse_name(&cpu, "mems", &r->cpuset_mems, err)) < 0 ||
        (result = refuse_member(&cpu, "realtimeRuntime", no_realtime, err)) < 0)
        return result;
    r->has_cpu_shares = r->cpu_shares != 0;
    r->has_cpu_period = r->cpu_period != 0;
    r->has_cpu_quota = r->cpu_quota != 0;
    result = json_get_u64(&cpu, "burst", &r->cpu_burst, err);
    if (result < 0)
        return result;
    r->has_cpu_burst = result > 0;
    result = parse_i64_from(&cpu, "idle", 0, 1, &r->cpu_idle, err);
    if (result < 0)
        return result;
    r->has_cpu_idle = result > 0;
    return 0;
}

static const char no_block_limits[] =
    "the container's files do not come from a block device of the host, so there is nothing to limit";

static int parse_block_io(const struct json_value *object, struct oci_resources *r, struct err *err) {
    static const char *const per_device[] = {"weightDevice", "throttleReadBpsDevice", "throttleWriteBpsDevice",
                                             "throttleReadIOPSDevice", "throttleWriteIOPSDevice"};
    struct json_value block_io;
    int result = json_get(object, "blockIO", &block_io, err);
    if (result <= 0)
        return result;
    for (size_t i = 0; i < ARRAY_SIZE(per_device); i++) {
        result = refuse_member(&block_io, per_device[i], no_block_limits, err);
        if (result < 0)
            return result;
    }
    result = parse_u32_to(&block_io, "weight", UINT16_MAX, &r->blkio_weight, err);
    r->has_blkio_weight = r->blkio_weight != 0;
    return result < 0 ? result : 0;
}

static int parse_pids(const struct json_value *object, struct oci_resources *r, struct err *err) {
    struct json_value pids;
    int result = json_get(object, "pids", &pids, err);
    if (result <= 0)
        return result;
    result = json_get_i64(&pids, "limit", &r->pids_limit, err);
    r->has_pids_limit = result > 0;
    return result < 0 ? result : 0;
}

static int parse_network(const struct json_value *object, struct err *err) {
    static const char reason[] = "the container's packets are not the host's processes'";
    struct json_value network;
    int result = json_get(object, "network", &network, err);
    if (result <= 0)
        return result;
    result = refuse_member(&network, "classID", reason, err);
    return result < 0 ? result : refuse_member(&network, "priorities", reason, err);
}

/* "2MB", "1GB": what the kernel puts into the name of the cgroup file. */
static bool is_page_size(const char *text) {
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;
    return digits > 0 && digits <= 10 &&
           (strcmp(unit, "KB") == 0 || strcmp(unit, "MB") == 0 || strcmp(unit, "GB") == 0);
}

static int parse_hugepage(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    (void)arena;
    struct oci_hugepage_limit *limit = structure;
    int r = require_string(element, "pageSize", &limit->page_size, err);
    if (r < 0)
        return r;
    if (!is_page_size(limit->page_size)) {
        const struct json_value size = {.parent = element, .key = "pageSize"};
        return json_refuse(&size, err, "must be a number followed by KB, MB or GB, not \"%s\"", limit->page_size);
    }
    struct json_value bytes;
    r = require(element, "limit", &bytes, err);
    return r < 0 ? r : json_uint(&bytes, UINT64_MAX, &limit->limit, err);
}

/* The key becomes a file name in the container's cgroup: it must stay in there. */
static int parse_unified(struct arena *arena, const struct json_value *member, void *structure, struct err *err) {
    struct oci_pair pair;
    struct oci_unified *unified = structure;
    int r = parse_pair(arena, member, &pair, err);
    if (r < 0)
        return r;
    if (!*pair.key || pair.key[0] == '.' || strchr(pair.key, '/'))
        return json_refuse(member, err, "must be named after a file of the cgroup, such as \"memory.high\"");
    *unified = (struct oci_unified){.file = pair.key, .value = pair.value};
    return 0;
}

int parse_resources(struct arena *arena, const struct json_value *object, struct oci_resources *resources,
                    struct err *err) {
    void *hugepages = NULL, *unified = NULL;
    int r = parse_device_rules(arena, object, resources, err);
    if (r < 0)
        return r;
    if ((r = parse_memory(object, resources, err)) < 0 || (r = parse_cpu(object, resources, err)) < 0 ||
        (r = parse_block_io(object, resources, err)) < 0 || (r = parse_pids(object, resources, err)) < 0 ||
        (r = parse_network(object, err)) < 0 ||
        (r = refuse_member(object, "rdma", "the guest has no RDMA devices", err)) < 0 ||
        (r = parse_array(arena, object, "hugepageLimits", sizeof *resources->hugepage_limits, HUGEPAGE_SIZES_MAX,
                         parse_hugepage, &hugepages, &resources->n_hugepage_limits, err)) < 0 ||
        (r = parse_map(arena, object, "unified", sizeof *resources->unified, parse_unified, &unified,
                       &resources->n_unified, err)) < 0)
        return r;
    resources->hugepage_limits = hugepages;
    resources->unified = unified;
    return 0;
}
