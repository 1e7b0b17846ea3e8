/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's console and the stderr of the VMM and of the file server said last: kept for the sentence that
 * explains a failed start, and drained so that nobody blocks on them. With --debug every line goes to the log.
 *
 * The bytes are the guest's: they are made printable before they go anywhere, and the log is bounded.
 */
#pragma once

#include "shared/base/err.h"
#include "shared/base/loop.h"

#include <stdarg.h>
#include <stddef.h>

enum { CONSOLE_KEEP = 8 << 10, CONSOLE_LINE_MAX = 512, LOG_MAX = 8 << 20 };

/* The --debug log: an append-only file, at most LOG_MAX bytes per sandbox. */
struct log {
    int fd; /* -EBADF: no log */
    size_t written;
};
void log_line(struct log *log, const char *who, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct console {
    const char *name; /* in the log: "guest", "vmm", "share" */
    struct log *log;
    struct loop_source *source;
    int fd;
    char kept[CONSOLE_KEEP]; /* the newest bytes, oldest first */
    size_t length;
    size_t logged; /* up to here in kept */
};

/* fd stays the caller's and is made non-blocking. fd < 0: an empty console. */
int console_open(struct console *console, struct loop *loop, int fd, const char *name, struct log *log,
                 struct err *err);
/* Read what is there now, e.g. after the writer has died. */
void console_drain(struct console *console);
void console_close(struct console *console);

/* The last line with something on it, printable; "" when nothing was said. */
void console_last_line(const struct console *console, char line[static CONSOLE_LINE_MAX]);
/* What follows words in the last line that has them; "" when none has. */
void console_after(const struct console *console, const char *words, char line[static CONSOLE_LINE_MAX]);
