/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line options from tables. The table of a verb is the only place where
 * its options are told: the parser, --help and the list that tests compare with
 * the man pages and completions (`minka help --options`) come from it.
 *
 * Not getopt_long(3): that accepts abbreviations ("--pid" for --pid-file), which
 * a later option could change the meaning of, and keeps its place in globals.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,    /* bool; "--flag=false" is understood */
    OPTION_TEXT,    /* const char *; the last one wins */
    OPTION_LIST,    /* struct option_list; may be repeated */
    OPTION_NUMBER,  /* uint32_t */
    OPTION_IGNORED, /* accepted for compatibility; takes an argument if `argument` is set */
};

struct option_list {
    const char **values; /* free() */
    size_t count;
};

struct option {
    char letter; /* 0: none */
    const char *name;
    const char *argument; /* as shown in the help; NULL for flags */
    enum option_kind kind;
    size_t offset; /* of the variable in the target */
    const char *help;
};
/* A row in a macro, and the last row. (The releases of clang-format do not agree on braces in macros.) */
// clang-format off
#define OPTION(...) {__VA_ARGS__}
#define OPTIONS_END {0, NULL, NULL, OPTION_IGNORED, 0, NULL}
// clang-format on

/* What is no option, in order; points into argv. */
struct operands {
    char **values; /* NULL-terminated; free() */
    size_t count;
};
void operands_done(struct operands *operands);
#define _cleanup_operands_ __attribute__((cleanup(operands_done)))

enum { OPTIONS_ANYWHERE = SIZE_MAX };

/*
 * Read argv[0..argc) into *target. Options may stand before and behind operands, until "--", or until the operand
 * number stop_at (counted from 1) is there: it and all that follows belong to somebody else (a command to execute).
 * Lists in *target are the caller's to free, on errors too (options_free()).
 */
int options_parse(const struct option *table, int argc, char **argv, size_t stop_at, void *target, struct operands *ret,
                  struct err *err);
void options_free(const struct option *table, void *target);

/* One line per option, aligned. */
int options_help(const struct option *table, struct buf *out);
