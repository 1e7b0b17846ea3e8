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
    /* What the configuration says comes first, so that options of the caller win. */
    _cleanup_free_ char *program = text_format("%s/minka-image", config->runtime.libexec_dir);
    _cleanup_free_ char *agent = text_format("--agent=%s/minka-agent", config->runtime.libexec_dir);
    _cleanup_free_ char *image_dir = text_format("--image-dir=%s", config->runtime.image_dir);
    char *const first[] = {program, agent, image_dir};
    _cleanup_free_ char **argv = calloc(ARRAY_SIZE(first) + operands->count + 1, sizeof *argv);
    if (!program || !agent || !image_dir || !argv)
        return err_set(err, ENOMEM, "out of memory");
    memcpy(argv, first, sizeof first);
    memcpy(argv + ARRAY_SIZE(first), operands->values, operands->count * sizeof *argv);
    (void)execv(program, argv);
    return err_set(err, errno, "cannot execute %s, a part of minka (%s): is it installed whole?", program,
                   strerrorname_np(errno));
}

const struct command command_image = {
    .name = "image",
    .arguments = "build|list|remove [OPTION...]",
    .summary = "build, list or remove guest images (`minka image build --help`)",
    .options = options,
    .min = 1,
    .max = OPTIONS_ANYWHERE,
    .stop_at = 1,
    .without_root = true,
    .run = image,
};
