/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden files: what a pure function makes of an input, kept as text and compared.
 * `PROGRAM --update` (or tests/golden/update) rewrites them; the difference is then reviewed like code.
 */
#pragma once

#include "shared/base/buf.h"

#include <stdbool.h>

struct golden {
    const char *directory; /* where the files are */
    bool update;
    unsigned compared, different;
};

/* Arguments: [--update] DIRECTORY [further, left in *ret_rest]. Exits when they are wrong. */
void golden_start(struct golden *golden, int argc, char **argv, char ***ret_rest);

/* Compare text with DIRECTORY/NAME, or write it there. A difference is shown on stderr. */
void golden_check(struct golden *golden, const char *name, struct buf *text);

/* A file in DIRECTORY that no check has asked for would be dead weight: complain. Returns the exit status. */
int golden_finish(struct golden *golden);
