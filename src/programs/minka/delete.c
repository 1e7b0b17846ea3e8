/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <unistd.h>

struct delete_options {
    bool force;
};

static const struct option options[] = {
    {'f', "force", NULL, OPTION_FLAG, offsetof(struct delete_options, force),
     "kill it first if it runs; a container that does not exist is no error"},
    OPTIONS_END,
};

/* What a `create` left that was killed before it had written a state, in a directory which nobody has locked. */
static void remove_remains(struct cli *cli, const char *id) {
    _cleanup_close_ int dir = -EBADF;
    if (state_open(cli->root, id, &dir, NULL) >= 0 && state_is_ours(dir, true))
        (void)state_remove(cli->root, id, NULL);
}

static int delete_unknown(struct cli *cli, const char *id, const struct err *why, struct err *err) {
    _cleanup_close_ int dir = -EBADF;
    struct setup_context context;
    struct err warning = {0};
    int r = state_open(cli->root, id, &dir, err);
    if (r == -ENOENT)
        return 0;
    if (r >= 0)
        r = cli_context(cli, &context, err);
    if (r >= 0)
        r = setup_delete_unknown(&context, dir, id, why, &warning, err);
    if (warning.code)
        log_warning(cli, warning.text);
    return r;
}

/* When it is the state that is the trouble. */
static int suggest_force(struct cli *cli, const char *id, struct err *err) {
    _cleanup_close_ int dir = -EBADF;
    const struct err why = *err;
    if (state_peek(cli->root, id, &dir, NULL) < 0)
        return -why.code;
    return err_set(err, why.code, "%s; `minka delete --force %s` does without it", why.text, id);
}

static int delete_container(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct delete_options *o = data;
    const char *id = operands->values[0];
    _cleanup_container_ struct container c = {.dir = -EBADF};
    struct setup_context context;
    int r = container_open(cli, id, CONTAINER_CHANGE, &c, err);
    if (r < 0 && o->force) {
        const struct err why = *err;
        return delete_unknown(cli, id, &why, err);
    }
    if (r == -ENOENT)
        remove_remains(cli, id);
    if (r < 0)
        return r == -ENOENT ? r : suggest_force(cli, id, err);
    if (!o->force && (c.state->status == STATE_RUNNING || c.state->status == STATE_PAUSED))
        return err_set(err, EBUSY, "cannot delete container %s, which is %s: stop it first, or use --force", id,
                       state_status_text(c.state->status));
    r = cli_context(cli, &context, err);
    if (r < 0)
        return r;
    struct err warning = {0};
    r = setup_delete(&context, c.dir, c.state, &warning, err);
    if (warning.code)
        log_warning(cli, warning.text);
    return r;
}

const struct command command_delete = {
    .name = "delete",
    .arguments = "[OPTION...] ID",
    .summary = "remove a container that has stopped, and everything that it held",
    .options = options,
    .options_size = sizeof(struct delete_options),
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = delete_container,
};
