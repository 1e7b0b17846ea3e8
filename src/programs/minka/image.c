/* SPDX-License-Identifier: Apache-2.0 */
/* Guest images are made by a program of their own: its libraries are no matter of what engines run all day. */
#include "cli.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {OPTIONS_END};

static int image(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)data;
    const struct config *config;
    int r = cli_config(cli, &config, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *program = text_format("%s/minka-image", config->runtime.libexec_dir);
    _cleanup_free_ char **argv = calloc(operands->count + 2, sizeof *argv);
    if (!program || !argv)
        return err_set(err, ENOMEM, "out of memory");
    argv[0] = program;
    memcpy(argv + 1, operands->values, operands->count * sizeof *argv);
    (void)execv(program, argv);
    return err_errno(err, "cannot execute %s", program);
}

const struct command command_image = {
    .name = "image",
    .arguments = "build|list [OPTION...]",
    .summary = "build or list guest images (`minka image build --help`)",
    .options = options,
    .min = 1,
    .max = OPTIONS_ANYWHERE,
    .stop_at = 1,
    .run = image,
};
