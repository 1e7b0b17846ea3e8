/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "facts/json/json.h"
#include "shared/base/buf.h"

#include <errno.h>

static const struct option options[] = {OPTIONS_END};

static int show_state(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)data;
    _cleanup_container_ struct container c = {.dir = -EBADF};
    int r = container_open(cli, operands->values[0], CONTAINER_LOOK, &c, err);
    if (r < 0)
        return r;
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out, .pretty = true};
    write_state(&w, &c);
    return print_json(&w, err);
}

const struct command command_state = {
    .name = "state",
    .arguments = "ID",
    .summary = "print the state of a container as JSON",
    .options = options,
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = show_state,
};
