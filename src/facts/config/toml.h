/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the room only: TOML 1.0 (https://toml.io/en/v1.0.0) for a configuration.
 *
 * Read: comments, tables, dotted and quoted keys, strings of all four kinds, integers of all four bases, booleans,
 * arrays of strings. Seen, and passed on so that the sentence can say what is wrong: floats. Refused with a sentence
 * of their own: dates and times, inline tables, arrays of tables, arrays of anything but strings.
 * All rules about duplicates hold.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum toml_type { TOML_TABLE, TOML_STRING, TOML_INTEGER, TOML_FLOAT, TOML_BOOL, TOML_ARRAY };

struct toml_item {
    const char *table; /* "hypervisor.qemu"; "" at the top */
    const char *key;   /* NULL for a table's header */
    unsigned line;
    enum toml_type type;
    const char *string;
    int64_t integer;
    bool boolean;
    char *const *strings; /* NULL-terminated */
};

/* Called in the order of the text; negative ends the reading. What the item points to lives as long as the call. */
typedef int toml_item_fn(const struct toml_item *item, void *data, struct err *err);

/* name is for messages: "NAME:12: …". */
int toml_parse(const char *text, size_t length, const char *name, toml_item_fn *fn, void *data, struct err *err);

/* ---- between toml.c and toml_value.c ---- */
struct toml_reader {
    const char *at, *end;
    unsigned line;
    const char *name;
    struct err *err;
};

struct toml_value {
    enum toml_type type;
    struct buf text; /* a string's; or all strings of an array, one after the other, each with its NUL */
    size_t n_strings;
    int64_t integer;
    bool boolean;
};

int toml_fail(struct toml_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3), cold));
/* The byte at offset, or -1 beyond the end. */
int toml_peek(const struct toml_reader *r, size_t offset);
void toml_skip_blanks(struct toml_reader *r);
bool toml_skip_newline(struct toml_reader *r);
void toml_skip_comment(struct toml_reader *r);
bool toml_is_bare(int c);
/* Reads one string, appends it and a NUL. multi_line: whether the kind with three quotes may stand here. */
int toml_read_string(struct toml_reader *r, bool multi_line, struct buf *out);
int toml_read_value(struct toml_reader *r, struct toml_value *value);
