/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/control/control.h"
#include "privileged/cgroup/cgroup.h"
#include "privileged/identity/identity.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    GRACE_SEC = 5, /* for the guest to write out its disks and power off */
    GRACE_MSEC = 1000 * GRACE_SEC,
};

/* Keep the first failure: the later ones often follow from it. */
static void keep_first(int r, const struct err *now, int *result, struct err *err) {
    if (r >= 0 || *result < 0)
        return;
    *result = r;
    if (err)
        *err = *now;
}

int setup_kill_sandbox(const struct state *state, struct err *err) {
    _cleanup_close_ int pidfd = state_process_open(&state->monitor);
    _cleanup_close_ int standin = open_member(&state->standin);
    /* Its end takes the whole pid namespace along, and is reported only after that (pid_namespaces(7)). */
    return pidfd == -ESRCH ? 0
           : pidfd < 0     ? err_set(err, -pidfd, "cannot find the monitor")
                           : end_process(pidfd, standin, "monitor", err);
}

/* Ask the monitor to end the sandbox in good order. Whatever comes of it, SIGKILL follows. */
static void ask_to_end(int dir, const struct state *state) {
    struct control_request request = {.op = CONTROL_DELETE};
    struct control_reply reply;
    (void)snprintf(request.container, sizeof request.container, "%s", state->id);
    _cleanup_close_ int pidfd = state_process_open(&state->monitor);
    _cleanup_close_ int standin = open_member(&state->standin);
    if (pidfd < 0)
        return;
    /* After the end of its process the monitor is closing the sandbox down already. */
    if (state->status == STATE_STOPPED || setup_call(dir, &request, NULL, 0, GRACE_SEC, &reply, NULL, NULL) >= 0)
        (void)await_process(pidfd, standin, GRACE_MSEC);
}

/* Those that died of something else than their monitor's end: it is pid 1 of all their namespaces, so this is rare. */
static int kill_rest(const struct state *state, struct err *err) {
    const struct {
        const struct state_process *process;
        const char *role;
    } rest[] = {{&state->vmm, "VMM"}, {&state->file_server, "file server"}, {&state->standin, "stand-in"}};
    int result = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rest); i++) {
        _cleanup_close_ int pidfd = state_process_open(rest[i].process);
        struct err now = {0};
        if (pidfd >= 0)
            keep_first(end_process(pidfd, -EBADF, rest[i].role, &now), &now, &result, err);
    }
    return result;
}

static int release(const struct setup_context *context, const struct state *state, struct err *err) {
    char ledger[PATH_MAX], owner[PATH_MAX], root[PATH_MAX];
    struct identity_range range;
    int r = lease_range(context, ledger, sizeof ledger, &range, err);
    if (r < 0)
        return r;
    if (!realpath(context->root, root) || snprintf(owner, sizeof owner, "%s/%s", root, state->id) >= (int)sizeof owner)
        return err_errno_name(err, "cannot use the state directory %s", context->root);
    return identity_release(&range, owner, err);
}

static void run_poststop(int dir, const struct state *state, struct err *ret_warning) {
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    if (state_load_spec(dir, &spec, ret_warning) >= 0)
        (void)setup_run_hooks(spec, OCI_HOOK_POSTSTOP, state, "stopped", 0, ret_warning);
}

int setup_delete(const struct setup_context *context, int dir, struct state *state, struct err *ret_warning,
                 struct err *err) {
    int result = 0;
    struct err now = {0};
    ret_warning->code = 0;
    ask_to_end(dir, state);
    keep_first(setup_kill_sandbox(state, &now), &now, &result, err);
    keep_first(kill_rest(state, &now), &now, &result, err);
    if (state->cgroup[0])
        keep_first(cgroup_remove(state->cgroup, &now), &now, &result, err);
    keep_first(release(context, state, &now), &now, &result, err);
    /* What could not be taken away is still remembered, for the next try. */
    if (result < 0)
        return result;
    run_poststop(dir, state, ret_warning);
    return state_remove(context->root, state->id, err);
}
