/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls each long-lived process may make: one table per role, as
 * data, and the program for seccomp(2) that a table becomes.
 *
 * Pure: a table in, instructions out. confine loads them.
 *
 * There is an assembler of our own instead of libseccomp because the rows of a
 * system call are tried in order, so that "these requests, and ENOTTY for all
 * others" can be said, because where a call comes from can be a condition, and
 * because a start would pay some milliseconds for libseccomp's way of adding rules.
 */
#pragma once

#include "shared/base/buf.h"

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* Beside FILTER_ALLOW and FILTER_ERRNO(e): what no row says kills the process. */
enum filter_action { FILTER_ALLOW = 1, FILTER_AT_START /* only by the code that starts the process */, FILTER_REFUSE };

/* The argument's lower 32 bits, masked. The kernel looks at no more of those that are compared here. */
struct filter_condition {
    uint32_t mask; /* 0: no condition */
    uint32_t value;
    uint8_t argument;
};

enum { FILTER_CONDITIONS = 3 };

struct filter_row {
    const char *call; /* NULL ends a group */
    const char *why;
    int number;
    enum filter_action action;
    int error; /* of FILTER_REFUSE */
    struct filter_condition conditions[FILTER_CONDITIONS];
};

enum { FILTER_GROUPS = 12, FILTER_LENGTH_MAX = 2048 };

struct filter {
    const char *name;
    const struct filter_row *groups[FILTER_GROUPS]; /* the first row that fits decides */
};

extern const struct filter filter_monitor, filter_standin, filter_vmm_tcg, filter_vmm_kvm, filter_server_c,
    filter_server_rust;

/*
 * The program. start: where execve(2) may be called from, the address of the instruction after the system call's.
 * Returns its length; -E2BIG when it has no room, -EINVAL when a row makes no sense.
 */
int filter_assemble(const struct filter *filter, uint64_t start, struct sock_filter *ret, size_t room);

/* The rows as text, one per line. */
int filter_print(const struct filter *filter, struct buf *ret);
