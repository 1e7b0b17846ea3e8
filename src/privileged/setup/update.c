/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/control/control.h"
#include "privileged/cgroup/cgroup.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { UPDATE_DEADLINE_SEC = 30 };

static int check_memory(const struct state *state, const struct oci_resources *resources, struct err *err) {
    if (!resources->has_memory_limit || resources->memory_limit <= 0)
        return 0;
    uint64_t wanted = (uint64_t)resources->memory_limit;
    if (wanted <= state->memory_mib << 20)
        return 0;
    return err_set(err, ERANGE,
                   "container %s cannot have %llu MiB: its virtual machine was created with %llu MiB; create it anew "
                   "with the higher limit",
                   state->id, (unsigned long long)(wanted >> 20), (unsigned long long)state->memory_mib);
}

static int update_guest(int dir, const struct state *state, const struct oci_resources *resources, struct err *err) {
    _cleanup_buf_ struct buf plan = {0};
    int r = plan_update(resources, state->id, &plan, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = memfd_of("minka-plan", plan.data, plan.length);
    if (fd < 0)
        return err_set(err, -fd, "cannot make the plan's memory file (%s)", strerrorname_np(-fd));
    struct control_request request = {.op = CONTROL_UPDATE};
    struct control_reply reply;
    (void)snprintf(request.container, sizeof request.container, "%s", state->id);
    return setup_call(dir, &request, &fd, 1, UPDATE_DEADLINE_SEC, &reply, NULL, err);
}

int setup_update(const struct setup_context *context, int dir, const struct state *state,
                 const struct oci_resources *resources, struct err *err) {
    (void)context;
    int r = check_memory(state, resources, err);
    if (r >= 0)
        r = update_guest(dir, state, resources, err);
    bool cpu = resources->has_cpu_quota || resources->has_cpu_period || resources->has_cpu_shares;
    if (r < 0 || !cpu || state->cgroup[0] == '\0')
        return r;
    /* The host follows with the CPU; the machine's memory is what it is. */
    struct cgroup_limits limits;
    struct vmm_size size = {.vcpus = state->vcpus};
    cgroup_limits_of(resources, &size, &limits);
    limits.memory_bytes = 0;
    limits.pids = 0;
    if (!resources->has_cpu_quota) {
        limits.cpu_quota_usec = 0;
        limits.cpu_period_usec = 0;
    }
    return cgroup_update(state->cgroup, &limits, err);
}
