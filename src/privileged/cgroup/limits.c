/* SPDX-License-Identifier: Apache-2.0 */
/* The limits, in the words of each version: cgroups(7), Documentation/admin-guide/cgroup-v2.rst. */
#include "privileged/cgroup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <inttypes.h>
#include <string.h>

enum { PERIOD_DEFAULT = 100000 };

static int set(const struct hierarchy *h, int dir, const char *file, const char *value, struct err *err) {
    int r = write_kernel_file(dir, file, value);
    if (r == 0)
        return 0;
    return err_set(err, -r, "cannot set %s of the cgroup in %s to %s (%s)", file, h->mount, value, strerrorname_np(-r));
}

static int set_number(const struct hierarchy *h, int dir, const char *file, uint64_t value, struct err *err) {
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return set(h, dir, file, text, err);
}

static int limit_cpu_v1(const struct hierarchy *h, int dir, const struct cgroup_limits *l, struct err *err) {
    char quota[32], period[32];
    (void)snprintf(quota, sizeof quota, "%" PRId64, l->cpu_quota_usec < 0 ? -1 : l->cpu_quota_usec);
    (void)snprintf(period, sizeof period, "%" PRIu64, l->cpu_period_usec);
    int r = l->cpu_shares ? set_number(h, dir, "cpu.shares", l->cpu_shares, err) : 0;
    /* The pair that is set half must be valid too, beside the parent's; so in the other order when that fails. */
    if (r == 0 && l->cpu_quota_usec && l->cpu_period_usec) {
        if (write_kernel_file(dir, "cpu.cfs_period_us", period) == 0)
            return set(h, dir, "cpu.cfs_quota_us", quota, err);
        r = set(h, dir, "cpu.cfs_quota_us", quota, err);
        return r < 0 ? r : set(h, dir, "cpu.cfs_period_us", period, err);
    }
    if (r == 0 && l->cpu_period_usec)
        r = set(h, dir, "cpu.cfs_period_us", period, err);
    if (r == 0 && l->cpu_quota_usec)
        r = set(h, dir, "cpu.cfs_quota_us", quota, err);
    return r;
}

static int limit_cpu_v2(const struct hierarchy *h, int dir, const struct cgroup_limits *l, struct err *err) {
    if (l->cpu_shares) {
        /* 2..262144 to 1..10000, as every runtime does it: crun(1), "cgroup v2". */
        uint64_t shares = l->cpu_shares < 2 ? 2 : l->cpu_shares > 262144 ? 262144 : l->cpu_shares;
        int r = set_number(h, dir, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, err);
        if (r < 0)
            return r;
    }
    if (!l->cpu_quota_usec && !l->cpu_period_usec)
        return 0;
    uint64_t period = l->cpu_period_usec ? l->cpu_period_usec : PERIOD_DEFAULT;
    char text[64];
    if (l->cpu_quota_usec > 0)
        (void)snprintf(text, sizeof text, "%" PRId64 " %" PRIu64, l->cpu_quota_usec, period);
    else
        (void)snprintf(text, sizeof text, "max %" PRIu64, period);
    return set(h, dir, "cpu.max", text, err);
}

int cgroup_apply_limits(const struct hierarchy *h, int dir, const struct cgroup_limits *l, struct err *err) {
    int r = 0;
    if (l->memory_bytes && hierarchy_has(h, "memory"))
        r = set_number(h, dir, h->unified ? "memory.max" : "memory.limit_in_bytes", l->memory_bytes, err);
    if (r == 0 && l->pids && hierarchy_has(h, "pids"))
        r = set_number(h, dir, "pids.max", l->pids, err);
    if (r == 0 && hierarchy_has(h, "cpu"))
        r = h->unified ? limit_cpu_v2(h, dir, l, err) : limit_cpu_v1(h, dir, l, err);
    return r;
}
