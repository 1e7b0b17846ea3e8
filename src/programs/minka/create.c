/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "relay.h"

#include "shared/base/cleanup.h"

#include <errno.h>

struct create_options {
    struct launch_options launch;
};

static const struct option options[] = {LAUNCH_OPTIONS(struct create_options), OPTIONS_END};

static int create(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct create_options *o = data;
    struct setup_result result;
    int r = launch_container(cli, operands->values[0], &o->launch, false, NULL, &result, err);
    if (r < 0)
        return r;
    close_fd(&result.standin_pidfd);
    return 0;
}

const struct command command_create = {
    .name = "create",
    .arguments = "[OPTION...] ID",
    .summary = "create a container, whose process waits for `minka start`",
    .options = options,
    .options_size = sizeof(struct create_options),
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = create,
};
