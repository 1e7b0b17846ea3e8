/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>

static const struct option options[] = {OPTIONS_END};

static int start(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)data;
    _cleanup_container_ struct container c = {.dir = -EBADF};
    struct setup_context context;
    int r = container_open(cli, operands->values[0], CONTAINER_CHANGE, &c, err);
    if (r >= 0)
        r = cli_context(cli, &context, err);
    if (r < 0)
        return r;
    struct err warning = {0};
    r = setup_start(&context, c.dir, c.state, &warning, err);
    if (r >= 0 && warning.code)
        log_warning(cli, warning.text);
    return r;
}

const struct command command_start = {
    .name = "start",
    .arguments = "ID",
    .summary = "start the process of a created container",
    .options = options,
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = start,
};
