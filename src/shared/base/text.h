/* SPDX-License-Identifier: Apache-2.0 */
/* Strings, numbers and names that several modules read from users. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* printf into a new string; NULL when memory is out. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool text_has_prefix(const char *text, const char *prefix);

/* Decimal without sign, space or rest. 0, -EINVAL or -ERANGE. */
int parse_u64(const char *text, uint64_t *ret);
int parse_i64(const char *text, int64_t *ret);

/* "KILL", "SIGKILL", "9", "RTMIN+3"; 1..64 or -EINVAL. */
int signal_from_text(const char *text);
/* "SIGKILL"; "SIGRTMIN+n" for real-time ones; never NULL. Not thread-safe for real-time signals. */
const char *signal_to_text(int signal);

/* Container and exec ids: 1 to 255 characters of [A-Za-z0-9_+.-], not "." or "..", as in runc (factory_linux.go). */
bool id_is_valid(const char *id);

enum { ID_CGROUP_SIZE = 257 };
/*
 * The name of a container's cgroup: its id. But the kernel's files are in the same directory, "tasks" and
 * "memory.max", so an id that looks like one gets a colon at its end, which no id and no such file has.
 */
const char *id_to_cgroup(const char *id, char ret[static ID_CGROUP_SIZE]);

/*
 * Length (1 to 4) of the well-formed UTF-8 sequence (RFC 3629) at text, of which length bytes may be read;
 * 0 when there is none.
 */
size_t text_utf8_sequence(const char *text, size_t length);

/* Make text from outside fit for a terminal or a log: control characters, C1 ones included, and bytes that are not
 * UTF-8 become '?', tabs and line ends become spaces. In place. */
void text_make_printable(char *text);
