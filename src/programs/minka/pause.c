/* SPDX-License-Identifier: Apache-2.0 */
/* pause and resume: two directions of one switch. */
#include "cli.h"

#include "facts/control/control.h"

#include <errno.h>

static const struct option options[] = {OPTIONS_END};

static int change(struct cli *cli, const char *id, enum state_status from, enum state_status to, int op,
                  struct err *err) {
    _cleanup_container_ struct container c = {.dir = -EBADF};
    struct control_reply reply;
    int r = container_open(cli, id, CONTAINER_CHANGE, &c, err);
    if (r >= 0)
        r = container_require_process(&c, err);
    if (r < 0)
        return r;
    if (c.state->status != from)
        return err_set(err, EINVAL, "cannot %s container %s, which is %s", op == CONTROL_PAUSE ? "pause" : "resume", id,
                       state_status_text(c.state->status));
    r = container_call(&c, op, 0, 0, &reply, err);
    if (r < 0)
        return r;
    c.state->status = to;
    return state_save(c.dir, c.state, err);
}

static int pause_container(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)data;
    return change(cli, operands->values[0], STATE_RUNNING, STATE_PAUSED, CONTROL_PAUSE, err);
}

static int resume_container(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)data;
    return change(cli, operands->values[0], STATE_PAUSED, STATE_RUNNING, CONTROL_RESUME, err);
}

const struct command command_pause = {
    .name = "pause",
    .arguments = "ID",
    .summary = "freeze all processes of a container",
    .options = options,
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = pause_container,
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "ID",
    .summary = "let the processes of a paused container go on",
    .options = options,
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = resume_container,
};
