/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "facts/control/control.h"
#include "shared/base/text.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

struct kill_options {
    bool all;
};

static const struct option options[] = {
    {'a', "all", NULL, OPTION_FLAG, offsetof(struct kill_options, all), "signal every process of the container"},
    OPTIONS_END,
};

static int send_signal(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct kill_options *o = data;
    const char *name = operands->count > 1 ? operands->values[1] : "TERM";
    int signal = strcmp(name, "0") == 0 ? 0 : signal_from_text(name);
    if (signal < 0)
        return err_set(err, EINVAL, "unknown signal \"%.32s\"", name);
    _cleanup_container_ struct container c = {.dir = -EBADF};
    int r = container_open(cli, operands->values[0], CONTAINER_LOOK, &c, err);
    if (r >= 0)
        r = container_require_process(&c, err);
    if (r < 0 || signal == 0) /* which is never sent: it asks whether there is a process, kill(2) */
        return r;
    struct control_reply reply;
    r = container_call(&c, CONTROL_SIGNAL, signal, o->all ? CONTROL_ALL : 0, &reply, err);
    /* A sandbox that answers no more, or no sense, is ended from outside; that is what SIGKILL is for. */
    if ((r == -ETIMEDOUT || r == -EBADMSG) && signal == SIGKILL)
        return setup_kill_sandbox(c.state, err);
    return r;
}

const struct command command_kill = {
    .name = "kill",
    .arguments = "[OPTION...] ID [SIGNAL]",
    .summary = "send a signal, by name or number, to a container (default: TERM)",
    .options = options,
    .options_size = sizeof(struct kill_options),
    .min = 1,
    .max = 2,
    .stop_at = OPTIONS_ANYWHERE,
    .run = send_signal,
};
