/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits, scheduling, I/O priority. */
#include "guest/agent/stage.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STAGE_NOFILE = 16384 };

static const char *resource_name(uint32_t resource) {
    static const char *const names[] = {"cpu",      "fsize",  "data",    "stack", "core",  "rss",
                                        "nproc",    "nofile", "memlock", "as",    "locks", "sigpending",
                                        "msgqueue", "nice",   "rtprio",  "rttime"};
    return resource < sizeof names / sizeof *names ? names[resource] : "?";
}

/*
 * The kernel lets nobody have more open files than fs.nr_open, and a guest starts with 2^20 there; systemd raises it on
 * hosts to 2^30, and engines pass that on. Nothing is reserved by it.
 */
static int allow_open_files(uint64_t wanted) {
    char value[24];
    (void)snprintf(value, sizeof value, "%llu", (unsigned long long)wanted);
    return write_kernel_file(AT_FDCWD, "/proc/sys/fs/nr_open", value);
}

static int raise_hard_limit(uint32_t resource, const struct rlimit *limit) {
    if (setrlimit(resource, limit) == 0)
        return 0;
    int r = -errno;
    if (resource != RLIMIT_NOFILE || allow_open_files(limit->rlim_max) < 0)
        return r;
    return setrlimit(resource, limit) < 0 ? -errno : 0;
}

/*
 * Stage 1 still has the rights to raise hard limits, stage 2 in a user namespace has not. But the limits themselves
 * would be in the stages' way, so that here only the hard ones are raised.
 */
int limits_reserve(const plan_process *process, struct rlimit *ret_nofile, struct err *err) {
    for (size_t i = 0; i < process->n_rlimits; i++) {
        const Minka__Plan__V1__Rlimit *wanted = process->rlimits[i];
        struct rlimit limit;
        if (getrlimit(wanted->resource, &limit) < 0)
            return err_errno(err, "the guest's kernel has no resource limit %u", wanted->resource);
        if (limit.rlim_max >= wanted->hard)
            continue;
        limit.rlim_max = wanted->hard;
        int r = raise_hard_limit(wanted->resource, &limit);
        errno = -r;
        if (r < 0)
            return err_errno(err, "cannot raise the hard limit of %s to %llu", resource_name(wanted->resource),
                             (unsigned long long)wanted->hard);
    }
    if (getrlimit(RLIMIT_NOFILE, ret_nofile) < 0)
        return err_errno(err, "cannot read the limit of open files");
    struct rlimit room = {.rlim_cur = STAGE_NOFILE, .rlim_max = STAGE_NOFILE};
    if (room.rlim_max < ret_nofile->rlim_max)
        room.rlim_max = ret_nofile->rlim_max;
    if (ret_nofile->rlim_cur < STAGE_NOFILE && setrlimit(RLIMIT_NOFILE, &room) < 0) {
        room.rlim_cur = room.rlim_max = ret_nofile->rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &room);
    }
    return 0;
}

static int apply_rlimits(const plan_process *process, const struct rlimit *nofile, struct err *err) {
    if (setrlimit(RLIMIT_NOFILE, nofile) < 0)
        return err_errno(err, "cannot restore the limit of open files");
    for (size_t i = 0; i < process->n_rlimits; i++) {
        const Minka__Plan__V1__Rlimit *wanted = process->rlimits[i];
        struct rlimit limit = {.rlim_cur = wanted->soft, .rlim_max = wanted->hard};
        if (setrlimit(wanted->resource, &limit) < 0)
            return err_errno(err, "cannot limit %s to %llu:%llu", resource_name(wanted->resource),
                             (unsigned long long)wanted->soft, (unsigned long long)wanted->hard);
    }
    return 0;
}

/* sched_setattr(2); glibc has a wrapper from 2.41 on only. */
struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

int limits_apply(const plan_process *process, const struct rlimit *nofile, struct err *err) {
    if (process->scheduler) {
        const Minka__Plan__V1__Scheduler *plan = process->scheduler;
        struct scheduling attributes = {
            .size = sizeof attributes,
            .policy = plan->policy,
            .flags = plan->flags,
            .nice = plan->nice,
            .priority = plan->priority,
            .runtime = plan->runtime,
            .deadline = plan->deadline,
            .period = plan->period,
        };
        if (syscall(SYS_sched_setattr, 0, &attributes, 0) < 0)
            return err_errno(err, "cannot set the scheduling policy of the process");
    }
    if (process->set_io_priority && syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, process->io_priority) < 0)
        return err_errno(err, "cannot set the I/O priority of the process");
    return apply_rlimits(process, nofile, err);
}
