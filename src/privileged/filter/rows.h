/* SPDX-License-Identifier: Apache-2.0 */
/* How the tables are written. */
#pragma once

#include "privileged/filter/filter.h"

#include <errno.h>
#include <sys/syscall.h>

/* ALLOW(call, why), or with up to three conditions that must all hold. */
#define ALLOW(name, reason, ...)                                                                                       \
    {                                                                                                                  \
        .call = #name, .why = (reason), .number = SYS_##name, .action = FILTER_ALLOW, .conditions = { __VA_ARGS__ }    \
    }
#define REFUSE(name, code, reason, ...)                                                                                \
    {                                                                                                                  \
        .call = #name, .why = (reason), .number = SYS_##name, .action = FILTER_REFUSE, .error = (code),                \
        .conditions = {                                                                                                \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
/* The argument is this, or its bits of the mask are. */
#define IS(n, v)                                                                                                       \
    { .mask = UINT32_MAX, .value = (uint32_t)(v), .argument = (n) }
#define BITS(n, m, v)                                                                                                  \
    { .mask = (uint32_t)(m), .value = (uint32_t)(v), .argument = (n) }
#define END                                                                                                            \
    { 0 }

/* What several roles have in common. */
extern const struct filter_row filter_start[];    /* from the filter's loading to the program's main() */
extern const struct filter_row filter_no_code[];  /* memory, none of which can be executed */
extern const struct filter_row filter_library[];  /* memory, executable only as a file's private, read-only mapping */
extern const struct filter_row filter_compiler[]; /* before filter_library: memory both writable and executable */
extern const struct filter_row filter_events[];   /* an event loop of our own */
extern const struct filter_row filter_foreign[];  /* what any program of somebody else may ask or do to itself */
extern const struct filter_row filter_threads[];  /* threads, and no other processes */
extern const struct filter_row filter_own[];      /* a filter of the program's own on top */
