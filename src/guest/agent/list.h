/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a container: those in its cgroup and in the cgroups that it made below. */
#pragma once

#include "agent.pb-c.h"

/* Send a signal to all. 0, -ENOENT without cgroup, or -ESRCH when there is none. */
int list_signal_all(const char *container_id, int signal);

/* Fields of /proc/PID/stat as the kernel counts them, proc(5). */
struct list_stat {
    int ppid;
    unsigned terminal;              /* device number, 0: none */
    unsigned long long cpu_ticks;   /* user and system */
    unsigned long long start_ticks; /* since boot */
};

/* 0 or -EBADMSG. The command in parentheses may contain anything, parentheses and newlines included. */
int list_parse_stat(const char *text, struct list_stat *ret);

/* Arguments joined by spaces, at most LIST_COMMAND_MAX printable characters. text: /proc/PID/cmdline. */
enum { LIST_COMMAND_MAX = 255 };
void list_command(const char *text, size_t length, char ret[LIST_COMMAND_MAX + 1]);

/* "pts/0", or empty when the number is not a pseudo-terminal's. */
void list_terminal_name(unsigned device, char ret[32]);
