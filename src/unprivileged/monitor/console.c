/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/console.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <string.h>

enum { READS_PER_WAKEUP = 16 };

void log_line(struct log *log, const char *who, const char *format, ...) {
    char line[CONSOLE_LINE_MAX * 2];
    if (log->fd < 0 || log->written >= LOG_MAX)
        return;
    int n = snprintf(line, sizeof line, "%s: ", who);
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(line + n, sizeof line - (size_t)n - 1, format, ap);
    va_end(ap);
    text_make_printable(line);
    size_t length = strlen(line);
    line[length++] = '\n';
    log->written += length;
    if (log->written >= LOG_MAX)
        length = (size_t)snprintf(line, sizeof line, "minka: the log is full, what follows is not recorded\n");
    (void)write_all(log->fd, line, length);
}

/* Copy from start up to the line's end, printable and without what terminals use to colour it. */
static void copy_line(char *line, const char *start, size_t length) {
    size_t n = 0;
    for (size_t i = 0; i < length && n < CONSOLE_LINE_MAX - 1; i++) {
        if (start[i] == '\033' && i + 1 < length && start[i + 1] == '[') {
            for (i += 2; i < length && (start[i] < '@' || start[i] > '~'); i++)
                ;
            continue;
        }
        if (start[i] != '\0' && start[i] != '\r')
            line[n++] = start[i];
    }
    while (n > 0 && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    text_make_printable(line);
}

static void log_whole_lines(struct console *c) {
    char *newline;
    while (c->logged < c->length && (newline = memchr(c->kept + c->logged, '\n', c->length - c->logged))) {
        char line[CONSOLE_LINE_MAX];
        copy_line(line, c->kept + c->logged, (size_t)(newline - c->kept) - c->logged);
        log_line(c->log, c->name, "%s", line);
        c->logged = (size_t)(newline - c->kept) + 1;
    }
}

static void keep(struct console *c, const char *data, size_t length) {
    size_t room = CONSOLE_KEEP - c->length;
    if (length > room) {
        size_t drop = length - room;
        memmove(c->kept, c->kept + drop, c->length - drop);
        c->length -= drop;
        c->logged = c->logged > drop ? c->logged - drop : 0;
    }
    memcpy(c->kept + c->length, data, length);
    c->length += length;
    log_whole_lines(c);
}

void console_drain(struct console *c) {
    /* Bounded, so that a guest that prints without end leaves time for everything else. */
    for (int i = 0; i < READS_PER_WAKEUP && c->fd >= 0; i++) {
        char data[CONSOLE_KEEP / 2];
        ssize_t n = read(c->fd, data, sizeof data);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0)
            return console_close(c);
        keep(c, data, (size_t)n);
    }
}

static void on_readable(void *data, uint32_t events) {
    (void)events;
    console_drain(data);
}

int console_open(struct console *c, struct loop *loop, int fd, const char *name, struct log *log, struct err *err) {
    *c = (struct console){.name = name, .log = log, .fd = fd};
    if (fd < 0)
        return 0;
    int r = fd_set_nonblock(fd, 1);
    if (r == 0)
        r = loop_add_fd(loop, fd, EPOLLIN, on_readable, c, &c->source);
    return r < 0 ? err_set(err, -r, "cannot watch the %s's output on descriptor %d", name, fd) : 0;
}

void console_close(struct console *c) {
    c->source = loop_source_free(c->source);
    c->fd = -EBADF;
}

/* The last line for which is_it() holds. */
static bool find_line(const struct console *c, bool is_it(const char *line, const char *words), const char *words,
                      char line[static CONSOLE_LINE_MAX]) {
    size_t end = c->length;
    while (end > 0) {
        size_t start = end;
        while (start > 0 && c->kept[start - 1] != '\n')
            start--;
        copy_line(line, c->kept + start, end - start);
        if (is_it(line, words))
            return true;
        end = start > 0 ? start - 1 : 0;
    }
    line[0] = '\0';
    return false;
}

static bool says_something(const char *line, const char *words) {
    (void)words;
    return line[strspn(line, " ?")] != '\0';
}

static bool has_words(const char *line, const char *words) {
    return strstr(line, words) != NULL;
}

void console_last_line(const struct console *c, char line[static CONSOLE_LINE_MAX]) {
    (void)find_line(c, says_something, NULL, line);
}

void console_after(const struct console *c, const char *words, char line[static CONSOLE_LINE_MAX]) {
    if (!find_line(c, has_words, words, line))
        return;
    const char *rest = strstr(line, words) + strlen(words);
    memmove(line, rest, strlen(rest) + 1);
}
