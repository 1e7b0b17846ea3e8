/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room only: the one table of keys. */
#pragma once

#include "facts/config/config.h"

enum config_type {
    CONFIG_TEXT,          /* char * */
    CONFIG_PATH,          /* char *, absolute */
    CONFIG_OPTIONAL_PATH, /* char *, absolute or "" */
    CONFIG_WORD_TEXT,     /* char *, one of words */
    CONFIG_WORD,          /* enum, the position in words */
    CONFIG_BOOL,          /* bool */
    CONFIG_U32,           /* unsigned or uint32_t, from min to max */
    CONFIG_U64,           /* uint64_t, from min to max */
};

struct config_key {
    const char *section, *name;
    enum config_type type;
    size_t offset; /* in struct config */
    uint64_t min, max;
    const char *const *words;  /* NULL-terminated */
    const char *default_value; /* as TOML */
    const char *doc;           /* sentences for the sample file and the man page */
};

extern const struct config_key config_keys[];
extern const size_t n_config_keys;
