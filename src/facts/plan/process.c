/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process: what it is, and with which rights. apparmorProfile and
 * selinuxLabel name policies of the host's kernel; in the guest no such policy is
 * loaded, and nothing is confined by it.
 */
#include "agent.pb-c.h"
#include "facts/plan/build.h"

#include <stdlib.h>
#include <string.h>

/* ioprio_set(2): IOPRIO_PRIO_VALUE(class, level) */
enum { IO_CLASS_SHIFT = 13 };

static int build_capabilities(const struct oci_process *process, plan_process_message *ret, struct err *err) {
    if (!process->has_capabilities)
        return 0;
    ret->capabilities = plan_new_message(&minka__plan__v1__capabilities__descriptor);
    if (!ret->capabilities)
        return plan_out_of_memory(err);
    ret->capabilities->bounding = process->capabilities.bounding;
    ret->capabilities->effective = process->capabilities.effective;
    ret->capabilities->inheritable = process->capabilities.inheritable;
    ret->capabilities->permitted = process->capabilities.permitted;
    ret->capabilities->ambient = process->capabilities.ambient;
    return 0;
}

static int build_rlimits(const struct oci_process *process, plan_process_message *ret, struct err *err) {
    for (size_t i = 0; i < process->n_rlimits; i++) {
        Minka__Plan__V1__Rlimit *limit =
            plan_add_message(&ret->rlimits, &ret->n_rlimits, &minka__plan__v1__rlimit__descriptor);
        if (!limit)
            return plan_out_of_memory(err);
        limit->resource = process->rlimits[i].resource;
        limit->soft = process->rlimits[i].soft;
        limit->hard = process->rlimits[i].hard;
    }
    return 0;
}

static int build_identity(const struct oci_process *process, plan_process_message *ret, struct err *err) {
    ret->uid = process->uid;
    ret->gid = process->gid;
    ret->set_umask = process->has_umask;
    ret->umask = process->has_umask ? process->umask : 0;
    if (process->n_additional_gids == 0)
        return 0;
    ret->additional_gids = calloc(process->n_additional_gids, sizeof(*ret->additional_gids));
    if (!ret->additional_gids)
        return plan_out_of_memory(err);
    memcpy(ret->additional_gids, process->additional_gids, process->n_additional_gids * sizeof(*ret->additional_gids));
    ret->n_additional_gids = process->n_additional_gids;
    return 0;
}

static int build_scheduling(const struct oci_process *process, plan_process_message *ret, struct err *err) {
    ret->set_oom_score_adj = process->has_oom_score_adj;
    ret->oom_score_adj = process->has_oom_score_adj ? process->oom_score_adj : 0;
    ret->set_io_priority = process->has_io_priority;
    if (process->has_io_priority)
        ret->io_priority = (int32_t)((process->io_class << IO_CLASS_SHIFT) | process->io_priority);
    if (!process->has_scheduler)
        return 0;
    ret->scheduler = plan_new_message(&minka__plan__v1__scheduler__descriptor);
    if (!ret->scheduler)
        return plan_out_of_memory(err);
    ret->scheduler->policy = process->scheduler.policy;
    ret->scheduler->flags = process->scheduler.flags;
    ret->scheduler->nice = process->scheduler.nice;
    ret->scheduler->priority = process->scheduler.priority;
    ret->scheduler->runtime = process->scheduler.runtime;
    ret->scheduler->deadline = process->scheduler.deadline;
    ret->scheduler->period = process->scheduler.period;
    return 0;
}

static int build_streams(const struct plan_streams *streams, plan_process_message *ret, struct err *err) {
    ret->streams.data = malloc(streams->count + 1);
    if (!ret->streams.data)
        return plan_out_of_memory(err);
    if (streams->count > 0)
        memcpy(ret->streams.data, streams->kinds, streams->count);
    ret->streams.len = streams->count;
    return 0;
}

int plan_build_process(const struct oci_spec *spec, const struct oci_process *process,
                       const struct plan_streams *streams, plan_process_message *ret, struct err *err) {
    if (process->n_args == 0)
        return err_set(err, EINVAL, "process.args is empty: there is nothing to run");
    int r = plan_add_strings(&ret->args, &ret->n_args, process->args, process->n_args, err);
    if (r >= 0)
        r = plan_add_strings(&ret->env, &ret->n_env, process->env, process->n_env, err);
    if (r >= 0)
        r = plan_set_string(&ret->cwd, process->cwd, err);
    if (r >= 0)
        r = build_identity(process, ret, err);
    if (r >= 0)
        r = build_capabilities(process, ret, err);
    if (r >= 0)
        r = build_rlimits(process, ret, err);
    if (r >= 0)
        r = build_scheduling(process, ret, err);
    if (r >= 0)
        r = build_streams(streams, ret, err);
    if (r < 0)
        return r;
    ret->no_new_privileges = process->no_new_privileges;
    ret->terminal = process->terminal;
    ret->rows = process->console_rows;
    ret->columns = process->console_columns;
    return spec->has_seccomp ? plan_build_seccomp(&spec->seccomp, &ret->seccomp, &ret->seccomp_flags, err) : 0;
}

int plan_exec(const struct oci_spec *spec, const struct oci_process *process, const struct plan_streams *streams,
              const char *container_id, const char *process_id, struct buf *ret, struct err *err) {
    Minka__Agent__V1__ExecRequest *request = plan_new_message(&minka__agent__v1__exec_request__descriptor);
    if (!request)
        return plan_out_of_memory(err);
    request->plan = plan_new_message(&minka__plan__v1__process__descriptor);
    int r = request->plan ? plan_set_string(&request->container, container_id, err) : plan_out_of_memory(err);
    if (r >= 0)
        r = plan_set_string(&request->process, process_id, err);
    if (r >= 0)
        r = plan_build_process(spec, process, streams, request->plan, err);
    if (r >= 0)
        r = plan_pack_message(&request->base, ret, err);
    minka__agent__v1__exec_request__free_unpacked(request, NULL);
    return r < 0 ? r : 0;
}
