/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>

struct spec_options {
    const char *bundle;
    bool rootless;
};

static const struct option options[] = {
    {'b', "bundle", "DIR", OPTION_TEXT, offsetof(struct spec_options, bundle),
     "where to write config.json (default: the current directory)"},
    {0, "rootless", NULL, OPTION_FLAG, offsetof(struct spec_options, rootless), "for a user who is not root"},
    OPTIONS_END,
};

static int spec(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)cli;
    (void)operands;
    const struct spec_options *o = data;
    const char *bundle = o->bundle ? o->bundle : ".";
    _cleanup_buf_ struct buf text = {0};
    if (oci_spec_template(&text, o->rootless) < 0)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_close_ int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_errno(err, "cannot open the directory %s", bundle);
    _cleanup_close_ int fd = openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? err_set(err, EEXIST, "config.json exists already in %s; remove it first", bundle)
                               : err_errno(err, "cannot create config.json in %s", bundle);
    int r = write_all(fd, text.data, text.length);
    return r < 0 ? err_set(err, -r, "cannot write config.json in %s", bundle) : 0;
}

const struct command command_spec = {
    .name = "spec",
    .arguments = "[OPTION...]",
    .summary = "write a config.json to begin with",
    .options = options,
    .options_size = sizeof(struct spec_options),
    .max = 0,
    .stop_at = OPTIONS_ANYWHERE,
    .without_root = true,
    .run = spec,
};
