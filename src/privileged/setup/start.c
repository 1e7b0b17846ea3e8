/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include "facts/control/control.h"

#include <errno.h>
#include <stdio.h>

enum { START_DEADLINE_SEC = 120 }; /* startContainer hooks run in it */

static int require_created(const struct state *state, struct err *err) {
    switch (state->status) {
    case STATE_CREATED:
        return 0;
    case STATE_STOPPED:
        return err_set(err, EINVAL, "cannot start container %s, which has stopped", state->id);
    case STATE_CREATING:
    case STATE_RUNNING:
    case STATE_PAUSED:
    default:
        return err_set(err, EINVAL, "cannot start container %s, which is %s already", state->id,
                       state_status_text(state->status));
    }
}

static int start(int dir, struct state *state, struct err *ret_warning, struct err *err) {
    struct control_request request = {.op = CONTROL_START};
    struct control_reply reply;
    (void)snprintf(request.container, sizeof request.container, "%s", state->id);
    int r = setup_call(dir, &request, NULL, 0, START_DEADLINE_SEC, &reply, NULL, err);
    if (r < 0)
        return r;
    state->status = STATE_RUNNING;
    r = state_save(dir, state, err);
    if (r < 0)
        return r;
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    r = state_load_spec(dir, &spec, err);
    if (r < 0)
        return r;
    (void)setup_run_hooks(spec, OCI_HOOK_POSTSTART, state, "running", state->standin.pid, ret_warning);
    return 0;
}

int setup_start(const struct setup_context *context, int dir, struct state *state, struct err *ret_warning,
                struct err *err) {
    (void)context;
    ret_warning->code = 0;
    int r = require_created(state, err);
    if (r >= 0)
        r = fault_point("start", err);
    if (r < 0)
        return r;
    interrupt_allow();
    r = start(dir, state, ret_warning, err);
    interrupt_hand_on(); /* those that ended a poststart hook are the container's, too: it runs */
    return r;
}
