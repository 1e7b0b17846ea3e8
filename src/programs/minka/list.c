/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "facts/json/json.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <string.h>

struct list_options {
    bool quiet;
    const char *format;
};

static const struct option options[] = {
    {'q', "quiet", NULL, OPTION_FLAG, offsetof(struct list_options, quiet), "only the ids"},
    {'f', "format", "FORMAT", OPTION_TEXT, offsetof(struct list_options, format), "table or json (default: table)"},
    OPTIONS_END,
};

static void print_row(const struct state *state) {
    int pid = state->status == STATE_STOPPED ? 0 : (int)state->standin.pid;
    char owner[OWNER_SIZE];
    owner_name(state->owner, owner, sizeof owner);
    (void)printf("%-24s %-8d %-9s %-32s %-31s %s\n", state->id, pid, state_status_text(state->status), state->bundle,
                 state->created, owner);
}

static int list(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)operands;
    const struct list_options *o = data;
    bool json = o->format && strcmp(o->format, "json") == 0;
    if (o->format && !json && strcmp(o->format, "table") != 0)
        return err_set(err, EINVAL, "unknown format \"%.32s\": it is table or json", o->format);
    _cleanup_strv_ char **ids = NULL;
    int r = state_list(cli->root, &ids, err);
    if (r < 0)
        return r;
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out};
    if (json && !o->quiet && ids[0])
        json_write_begin_array(&w, NULL);
    else if (json && !o->quiet)
        json_write_null(&w, NULL); /* as runc has it */
    else if (!o->quiet)
        (void)printf("%-24s %-8s %-9s %-32s %-31s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
    for (char **id = ids; *id; id++) {
        _cleanup_container_ struct container c = {.dir = -EBADF};
        /* It may be deleted while we look. */
        if (container_open(cli, *id, CONTAINER_LOOK, &c, err) < 0)
            continue;
        if (o->quiet)
            (void)puts(*id);
        else if (json)
            write_state(&w, &c);
        else
            print_row(c.state);
    }
    if (!json || o->quiet)
        return 0;
    if (ids[0])
        json_write_end_array(&w);
    return print_json(&w, err);
}

const struct command command_list = {
    .name = "list",
    .arguments = "[OPTION...]",
    .summary = "list the containers",
    .options = options,
    .options_size = sizeof(struct list_options),
    .max = 0,
    .stop_at = OPTIONS_ANYWHERE,
    .run = list,
};
