/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources as values for files of cgroup v2, as crun converts them
 * (crun.1, "CGROUP v2"). Left out:
 *  - cpuset: the numbers are of the host's CPUs and memory nodes. The VM gets as many CPUs as the list names
 * (vmm_size), so in the guest there is nothing left to restrict; the host's cgroup pins the VM.
 *  - swappiness: version 2 has none for a single cgroup, and the guest has no swap.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <inttypes.h>
#include <string.h>

static const uint64_t SHARES_MIN = 2, SHARES_MAX = 262144, WEIGHT_MAX = 10000;
static const uint64_t PERIOD_DEFAULT = 100000;
enum { BLKIO_WEIGHT_MIN = 10, BLKIO_WEIGHT_MAX = 1000 };

static int set(plan_cgroup *cgroup, bool optional, const char *file, const char *value, struct err *err) {
    Minka__Plan__V1__CgroupSetting *setting =
        plan_add_message(&cgroup->settings, &cgroup->n_settings, &minka__plan__v1__cgroup_setting__descriptor);
    if (!setting)
        return plan_out_of_memory(err);
    setting->optional = optional;
    int r = plan_set_string(&setting->file, file, err);
    return r < 0 ? r : plan_set_string(&setting->value, value, err);
}

static int set_number(plan_cgroup *cgroup, const char *file, uint64_t value, struct err *err) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return set(cgroup, false, file, text, err);
}

/* Negative: no limit. */
static int set_limit(plan_cgroup *cgroup, const char *file, int64_t value, struct err *err) {
    return value < 0 ? set(cgroup, false, file, "max", err) : set_number(cgroup, file, (uint64_t)value, err);
}

/* memory.swap of the spec counts memory and swap together; version 2 counts swap alone. 0 means: not given. */
static int build_swap(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    int64_t limit = resources->has_memory_limit ? resources->memory_limit : 0;
    int64_t both = resources->has_memory_swap ? resources->memory_swap : 0;
    if (both == 0)
        return limit < 0 ? set_limit(cgroup, "memory.swap.max", -1, err) : 0;
    if (both < 0)
        return set_limit(cgroup, "memory.swap.max", -1, err);
    if (limit <= 0)
        return err_set(err, EINVAL, "linux.resources.memory has a limit for swap, but none for memory");
    if (both < limit)
        return err_set(err, EINVAL,
                       "linux.resources.memory.swap (%" PRId64 ") is for memory and swap together and cannot be less "
                       "than the memory limit (%" PRId64 ")",
                       both, limit);
    return set_limit(cgroup, "memory.swap.max", both - limit, err);
}

static int build_memory(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    if (resources->disable_oom_killer)
        return err_set(err, ENOTSUP, "the OOM killer cannot be turned off with cgroup v2, which the guest uses");
    int r = 0;
    if (resources->has_memory_reservation && resources->memory_reservation != 0)
        r = set_limit(cgroup, "memory.low", resources->memory_reservation, err);
    if (r >= 0 && resources->has_memory_limit && resources->memory_limit != 0)
        r = set_limit(cgroup, "memory.max", resources->memory_limit, err);
    return r < 0 ? r : build_swap(resources, cgroup, err);
}

/* Values that an engine leaves at 0 are not given. */
static int build_cpu_weight(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    bool idle = resources->has_cpu_idle && resources->cpu_idle == 1;
    if (resources->has_cpu_idle) {
        if (resources->cpu_idle != 0 && resources->cpu_idle != 1)
            return err_set(err, EINVAL, "linux.resources.cpu.idle must be 0 or 1, not %" PRId64, resources->cpu_idle);
        int r = set_number(cgroup, "cpu.idle", (uint64_t)resources->cpu_idle, err);
        if (r < 0)
            return r;
    }
    /* An idle cgroup has no weight, the kernel answers EINVAL. */
    if (idle || !resources->has_cpu_shares || resources->cpu_shares == 0)
        return 0;
    uint64_t shares = resources->cpu_shares;
    shares = shares < SHARES_MIN ? SHARES_MIN : shares > SHARES_MAX ? SHARES_MAX : shares;
    return set_number(cgroup, "cpu.weight", 1 + (shares - SHARES_MIN) * (WEIGHT_MAX - 1) / (SHARES_MAX - SHARES_MIN),
                      err);
}

static int build_cpu_max(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    bool quota = resources->has_cpu_quota && resources->cpu_quota != 0;
    bool period = resources->has_cpu_period && resources->cpu_period != 0;
    char value[48];
    int r = 0;
    if (quota || period) {
        uint64_t length = period ? resources->cpu_period : PERIOD_DEFAULT;
        if (quota && resources->cpu_quota > 0)
            (void)snprintf(value, sizeof(value), "%" PRId64 " %" PRIu64, resources->cpu_quota, length);
        else
            (void)snprintf(value, sizeof(value), "max %" PRIu64, length);
        r = set(cgroup, false, "cpu.max", value, err);
    }
    if (r >= 0 && resources->has_cpu_burst)
        r = set_number(cgroup, "cpu.max.burst", resources->cpu_burst, err);
    return r;
}

/* blkio.weight 10..1000 to io.weight 1..10000, as runc does. The guest's kernel may have no such controller. */
static int build_io(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    uint32_t weight = resources->has_blkio_weight ? resources->blkio_weight : 0;
    char value[24];
    if (weight == 0)
        return 0;
    if (weight < BLKIO_WEIGHT_MIN || weight > BLKIO_WEIGHT_MAX)
        return err_set(err, EINVAL, "linux.resources.blockIO.weight must be %d to %d, not %u", BLKIO_WEIGHT_MIN,
                       BLKIO_WEIGHT_MAX, weight);
    (void)snprintf(value, sizeof(value), "%" PRIu64,
                   1 + (uint64_t)(weight - BLKIO_WEIGHT_MIN) * (WEIGHT_MAX - 1) /
                           (BLKIO_WEIGHT_MAX - BLKIO_WEIGHT_MIN));
    return set(cgroup, true, "io.weight", value, err);
}

static bool is_file_name(const char *name) {
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 256;
}

/* Kubernetes limits every size that its node has; a size that the guest has not is limited well enough. */
static int build_hugepages(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < resources->n_hugepage_limits; i++) {
        const struct oci_hugepage_limit *limit = &resources->hugepage_limits[i];
        char value[24];
        _cleanup_free_ char *file = text_format("hugetlb.%s.max", limit->page_size);
        if (!file)
            return plan_out_of_memory(err);
        if (!is_file_name(limit->page_size) || !is_file_name(file))
            return err_set(err, EINVAL, "linux.resources.hugepageLimits: '%s' is no size of pages", limit->page_size);
        (void)snprintf(value, sizeof(value), "%" PRIu64, limit->limit);
        r = set(cgroup, true, file, value, err);
    }
    return r;
}

static int build_unified(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < resources->n_unified; i++) {
        const struct oci_unified *unified = &resources->unified[i];
        if (!is_file_name(unified->file) || !strchr(unified->file, '.'))
            return err_set(err, EINVAL, "linux.resources.unified: '%s' is not the name of a cgroup file",
                           unified->file);
        r = set(cgroup, false, unified->file, unified->value, err);
    }
    return r;
}

int plan_build_cgroup_settings(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err) {
    int r = build_memory(resources, cgroup, err);
    if (r >= 0)
        r = build_cpu_weight(resources, cgroup, err);
    if (r >= 0)
        r = build_cpu_max(resources, cgroup, err);
    if (r >= 0 && resources->has_pids_limit)
        r = set_limit(cgroup, "pids.max", resources->pids_limit > 0 ? resources->pids_limit : -1, err);
    if (r >= 0)
        r = build_io(resources, cgroup, err);
    if (r >= 0)
        r = build_hugepages(resources, cgroup, err);
    return r < 0 ? r : build_unified(resources, cgroup, err);
}
