/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a container whose state.json is damaged, or of another version. The ledger of leases knows which uids
 * are its own; nobody else has a process with them.
 */
#include "privileged/cgroup/cgroup.h"
#include "privileged/identity/identity.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 8, UIDS_MAX = 16, CGROUP_FILE_MAX = 64 << 10 };

struct remains {
    struct identity_range range;
    char ledger[PATH_MAX], owner[PATH_MAX];
    uint32_t uids[UIDS_MAX];
    size_t n_uids;
    char cgroup[PATH_MAX]; /* of one of the processes; "" not known */
};

static int find_leases(const struct setup_context *context, const char *id, struct remains *ret, struct err *err) {
    char root[PATH_MAX];
    int r = lease_range(context, ret->ledger, sizeof ret->ledger, &ret->range, err);
    if (r < 0)
        return r;
    if (!realpath(context->root, root) || snprintf(ret->owner, sizeof ret->owner, "%s/%s", root, id) >= PATH_MAX)
        return err_errno_name(err, "cannot use the state directory %s", context->root);
    r = identity_owned(&ret->range, ret->owner, ret->uids, UIDS_MAX, err);
    if (r < 0)
        return r;
    ret->n_uids = r < UIDS_MAX ? (size_t)r : UIDS_MAX;
    return 0;
}

/* /proc/PID belongs to the process's effective uid, dumpable or not: proc(5). */
static bool has_lease(const struct remains *remains, pid_t pid) {
    char path[40];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (stat(path, &st) < 0)
        return false;
    for (size_t i = 0; i < remains->n_uids; i++)
        if (st.st_uid == remains->uids[i])
            return true;
    return false;
}

/* The first hierarchy in which it is not at the top: proc_pid_cgroup(5), "4:memory:/minka/box" and "0::/minka/box". */
static void note_cgroup(struct remains *remains, pid_t pid) {
    char path[40];
    _cleanup_free_ char *text = NULL;
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    if (remains->cgroup[0] || read_file(AT_FDCWD, path, CGROUP_FILE_MAX, &text, NULL, NULL) < 0)
        return;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *at = strchr(line, ':');
        at = at ? strchr(at + 1, ':') : NULL;
        if (at && at[1] == '/' && at[2] && strlen(at + 1) < sizeof remains->cgroup) {
            (void)strcpy(remains->cgroup, at + 1);
            return;
        }
    }
}

/* 1: it was there and has been ended. */
static int end_one(struct remains *remains, pid_t pid, struct err *err) {
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct state_process process;
    /* Looked at once more through the number, which cannot be anybody else's as long as the process is not reaped. */
    if (pidfd < 0 || state_process_of(pid, &process) < 0 || !state_process_alive(&process) ||
        process_runs_no_more(pidfd) || !has_lease(remains, pid))
        return 0;
    note_cgroup(remains, pid);
    int r = end_process(pidfd, -EBADF, "process of the sandbox", err);
    return r < 0 ? r : 1;
}

static int end_round(struct remains *remains, struct err *err) {
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    if (!proc)
        return err_errno_name(err, "cannot list /proc");
    int ended = 0;
    for (struct dirent *entry; (entry = readdir(proc));) {
        uint64_t pid;
        if (parse_u64(entry->d_name, &pid) < 0 || pid > INT_MAX || !has_lease(remains, (pid_t)pid))
            continue;
        int r = end_one(remains, (pid_t)pid, err);
        if (r < 0)
            return r;
        ended += r;
    }
    return ended;
}

/* One may have started another before it was ended: until a round finds none. */
static int end_processes(struct remains *remains, struct err *err) {
    for (int i = 0; i < ROUNDS && remains->n_uids > 0; i++) {
        int r = end_round(remains, err);
        if (r <= 0)
            return r;
    }
    return 0;
}

/* Without a process that tells, the places where `create` may have made it; only what nobody uses is removed. */
static int remove_cgroups(const struct setup_context *context, const struct remains *remains,
                          const struct oci_spec *spec, const char *id, struct err *err) {
    if (remains->cgroup[0])
        return cgroup_remove_unused(remains->cgroup, err);
    if (context->no_cgroup || !spec)
        return 0;
    const char *path = spec->cgroups_path;
    char name[ID_CGROUP_SIZE];
    _cleanup_free_ char *plain = path[0] ? text_format("%s%s", path[0] == '/' ? "" : "/", path)
                                         : text_format(CGROUP_DEFAULT_PARENT "/%s", id_to_cgroup(id, name));
    _cleanup_free_ char *scope = path[0] ? strdup(path) : text_format("system.slice:minka:%s", id);
    if (!plain || !scope)
        return err_set(err, ENOMEM, "out of memory");
    int r = cgroup_remove_unused(plain, err);
    return r >= 0 && cgroup_path_is_systemd(scope) ? cgroup_remove_unused(scope, err) : r;
}

static void tell(const struct remains *remains, const struct oci_spec *spec, const char *id, const struct err *why,
                 struct err *ret_warning) {
    bool hooks = !spec || spec->hooks[OCI_HOOK_POSTSTOP].count > 0;
    bool cgroup = !spec && !remains->cgroup[0];
    (void)err_set(ret_warning, EUCLEAN, "container %s was removed by what its leased uids lead to: %s%s%s", id,
                  why->text, hooks ? "; its poststop hooks were not run" : "",
                  cgroup ? "; its cgroup is not known, and may be left" : "");
}

int setup_delete_unknown(const struct setup_context *context, int dir, const char *id, const struct err *why,
                         struct err *ret_warning, struct err *err) {
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    struct remains remains = {0};
    ret_warning->code = 0;
    (void)state_load_spec(dir, &spec, NULL);
    int r = find_leases(context, id, &remains, err);
    if (r >= 0 && remains.n_uids == 0 && !state_is_ours(dir, false))
        return err_set(err, ENOTEMPTY, "%s/%s is no container's directory; remove it yourself, or look at --root",
                       context->root, id);
    if (r >= 0)
        r = end_processes(&remains, err);
    if (r >= 0)
        r = remove_cgroups(context, &remains, spec, id, err);
    if (r >= 0)
        r = identity_release(&remains.range, remains.owner, err);
    if (r >= 0)
        r = state_remove(context->root, id, err);
    /* An empty directory is all that a `create` leaves that was killed at its first step. */
    if (r >= 0 && (remains.n_uids > 0 || why->code != ENOENT))
        tell(&remains, spec, id, why, ret_warning);
    return r;
}
