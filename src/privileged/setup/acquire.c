/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/cgroup/cgroup.h"
#include "privileged/identity/identity.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- leases: one ledger per host (or user), whatever --root is ---- */

int lease_range(const struct setup_context *context, char *ledger, size_t size, struct identity_range *ret,
                struct err *err) {
    int r = mkdir_parents(AT_FDCWD, context->run_dir, 0711);
    if (r < 0)
        return err_set(err, -r, "cannot create %s (%s)", context->run_dir, strerrorname_np(-r));
    if (snprintf(ledger, size, "%s/leases", context->run_dir) >= (int)size)
        return err_set(err, ENAMETOOLONG, "the path %s is too long", context->run_dir);
    *ret = (struct identity_range){
        .ledger = ledger,
        .start = context->config->runtime.id_range_start,
        .size = context->config->runtime.id_range_size,
    };
    return 0;
}

static void release_leases(void *data) {
    struct sandbox *s = data;
    char ledger[4096];
    struct identity_range range;
    if (lease_range(s->context, ledger, sizeof ledger, &range, NULL) >= 0)
        (void)identity_release(&range, s->owner, NULL);
}

int sandbox_lease(struct sandbox *s, struct err *err) {
    char ledger[4096];
    struct identity_range range;
    int r = lease_range(s->context, ledger, sizeof ledger, &range, err);
    if (r >= 0)
        r = identity_lease(&range, s->owner, ARRAY_SIZE(s->state->uids), s->state->uids, err);
    if (r < 0)
        return r;
    undo_push(&s->undo, release_leases, s);
    return state_save(s->dir, s->state, err);
}

/* ---- cgroup ---- */

enum {
    HOST_PIDS = 4096, /* QEMU's and the file server's threads, and a stand-in per exec */
    CPU_PERIOD = 100000,
    CPU_PERIOD_MIN = 1000, /* cgroup-v2.rst, cpu.max */
};

/*
 * The spec's CPU limit holds for the sandbox as a whole. Without one it may use as many CPUs as the machine has, and
 * one for the VMM's own threads and the file server: a VMM that spins takes no more.
 */
void cgroup_limits_of(const struct oci_resources *resources, const struct vmm_size *size, struct cgroup_limits *ret) {
    bool limited = resources->has_cpu_quota && resources->cpu_quota > 0;
    uint64_t period =
        resources->has_cpu_period && resources->cpu_period >= CPU_PERIOD_MIN ? resources->cpu_period : CPU_PERIOD;
    *ret = (struct cgroup_limits){
        .memory_bytes = (size->memory_mib + size->host_overhead_mib) << 20,
        .pids = HOST_PIDS,
        .cpu_quota_usec = limited ? resources->cpu_quota : (int64_t)(period * (size->vcpus + 1)),
        .cpu_period_usec = period,
        .cpu_shares = resources->has_cpu_shares ? resources->cpu_shares : 0,
    };
}

static void remove_cgroup(void *data) {
    struct sandbox *s = data;
    (void)cgroup_remove(s->cgroup, NULL);
}

static char *cgroup_path(const struct sandbox *s) {
    const char *path = s->spec->cgroups_path;
    char name[ID_CGROUP_SIZE];
    if (s->context->no_cgroup)
        return strdup("");
    if (path[0] == '\0')
        return s->context->systemd_cgroup
                   ? text_format("system.slice:minka:%s", s->request->id)
                   : text_format(CGROUP_DEFAULT_PARENT "/%s", id_to_cgroup(s->request->id, name));
    /* Without --systemd-cgroup colons are letters like others, as for runc. */
    return path[0] == '/' || s->context->systemd_cgroup ? strdup(path) : text_format("/%s", path);
}

int sandbox_check_cgroup(const struct sandbox *s, struct err *err) {
    const char *path = s->spec->cgroups_path;
    if (s->context->no_cgroup || !s->context->systemd_cgroup)
        return 0;
    if (path[0] && !cgroup_path_is_systemd(path))
        return err_set(err, EINVAL,
                       "with --systemd-cgroup linux.cgroupsPath has the form slice:prefix:name, not \"%.200s\"", path);
    /* sd_booted(3) */
    if (faccessat(AT_FDCWD, "/run/systemd/system", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, EOPNOTSUPP,
                       "--systemd-cgroup is given, but systemd does not run on this host: leave it out, or have the "
                       "engine use cgroupfs");
    return 0;
}

int sandbox_make_cgroup(struct sandbox *s, struct err *err) {
    s->cgroup = cgroup_path(s);
    if (!s->cgroup)
        return err_set(err, ENOMEM, "out of memory");
    if (s->cgroup[0] == '\0')
        return 0;
    /* The CPU limit comes when the guest has booted, which it would only delay: cgroup_update() in create.c. */
    struct cgroup_limits limits;
    cgroup_limits_of(&s->spec->resources, &s->size, &limits);
    limits.cpu_quota_usec = 0;
    limits.cpu_period_usec = 0;
    int r = cgroup_create(s->cgroup, &limits, s->context->rootless, &s->cgroup_made, err);
    if (r < 0 || !s->cgroup_made)
        return r;
    undo_push(&s->undo, remove_cgroup, s);
    free(s->state->cgroup);
    s->state->cgroup = strdup(s->cgroup);
    return s->state->cgroup ? state_save(s->dir, s->state, err) : err_set(err, ENOMEM, "out of memory");
}

static int join_cgroup(void *cgroup, struct err *err) {
    return cgroup_add(cgroup, 0, err);
}

int spawn_in_cgroup(struct process *process, const char *cgroup, struct err *err) {
    struct confine_plan *plan = &process->plan;
    _cleanup_close_ int unified = cgroup[0] ? cgroup_open_unified(cgroup) : -EBADF;
    if (cgroup[0]) {
        int resolved = cgroup_resolve(cgroup, process->cgroup, err);
        if (resolved < 0)
            return resolved;
        plan->cgroup = process->cgroup;
        plan->cgroup_fd = unified;
        plan->prepare = join_cgroup;
        plan->prepare_data = (void *)(uintptr_t)cgroup;
    }
    int r = confine_spawn(plan, &process->pid, &process->pidfd, err);
    plan->cgroup_fd = -EBADF; /* closed here; the plan is kept for the proof */
    return r;
}

/* ---- sockets and pipes between the sandbox's processes ---- */

static int make_listener(int dir, int *ret, struct err *err) {
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock < 0)
        return err_errno_name(err, "cannot make a socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock", dir);
    if (bind(sock, (struct sockaddr *)&address, sizeof address) < 0 || listen(sock, 64) < 0)
        return err_errno_name(err, "cannot listen on the container's control socket");
    *ret = take_fd(&sock);
    return 0;
}

static int make_pair(int type, int *ret_a, int *ret_b, struct err *err) {
    int pair[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno_name(err, "cannot make a pair of sockets");
    *ret_a = pair[0];
    *ret_b = pair[1];
    return 0;
}

static int make_pipe(int *ret_read, int *ret_write, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno_name(err, "cannot make a pipe");
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

int sandbox_make_sockets(struct sandbox *s, struct err *err) {
    int r = make_listener(s->dir, &s->monitor_listen, err);
    if (r >= 0)
        r = make_pair(SOCK_SEQPACKET, &s->setup, &s->monitor_setup, err);
    if (r >= 0)
        r = make_pair(SOCK_STREAM, &s->vmm_qmp, &s->monitor_qmp, err);
    if (r >= 0)
        r = make_pair(SOCK_STREAM, &s->vmm_agent, &s->monitor_agent, err);
    if (r >= 0)
        r = make_pair(SOCK_STREAM, &s->vmm_console, &s->monitor_console, err);
    if (r >= 0)
        r = make_pair(SOCK_SEQPACKET, &s->standin_socket, &s->monitor_standin, err);
    if (r >= 0)
        r = make_pipe(&s->monitor_vmm_stderr, &s->vmm_stderr, err);
    if (r >= 0)
        r = make_pipe(&s->monitor_share_stderr, &s->share_stderr, err);
    return r;
}
