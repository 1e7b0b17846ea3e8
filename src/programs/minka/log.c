/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "facts/json/json.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is_json(const struct cli *cli) {
    return cli->log_format && strcmp(cli->log_format, "json") == 0;
}

static void now_text(char *ret, size_t size) {
    struct timespec now;
    struct tm tm;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* One line, in the words of logrus: podman and containerd parse it (level, msg, time). */
static int format_line(const struct cli *cli, const char *level, const char *sentence, struct buf *out) {
    char time[40];
    now_text(time, sizeof time);
    if (!is_json(cli)) {
        /* The sentence as a JSON string is what logrus quotes with, too. */
        struct json_writer w = {.out = out};
        int r = buf_append_format(out, "time=\"%s\" level=%s msg=", time, level);
        if (r < 0)
            return r;
        json_write_string(&w, NULL, sentence);
        return w.failed ? -ENOMEM : buf_append_string(out, "\n");
    }
    struct json_writer w = {.out = out};
    json_write_begin_object(&w, NULL);
    json_write_string(&w, "level", level);
    json_write_string(&w, "msg", sentence);
    json_write_string(&w, "time", time);
    json_write_end_object(&w);
    return w.failed ? -ENOMEM : buf_append_string(out, "\n");
}

static int open_log(const struct cli *cli) {
    /* O_NONBLOCK: the log may be a FIFO that nobody reads. */
    return open(cli->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
}

int log_open(struct cli *cli, struct err *err) {
    if (cli->log_format && strcmp(cli->log_format, "text") != 0 && strcmp(cli->log_format, "json") != 0)
        return err_set(err, EINVAL, "unknown log format \"%.32s\": it is text or json", cli->log_format);
    if (!cli->log)
        return 0;
    _cleanup_close_ int fd = open_log(cli);
    /* A FIFO without reader gives ENXIO; each message tries again. */
    if (fd < 0 && errno != ENXIO)
        return err_errno(err, "cannot open the log %s", cli->log);
    return 0;
}

static void write_line(const struct cli *cli, const char *level, const char *sentence, int fallback) {
    _cleanup_buf_ struct buf line = {0};
    if (format_line(cli, level, sentence, &line) < 0)
        return;
    _cleanup_close_ int fd = cli->log ? open_log(cli) : -EBADF;
    int to = cli->log ? fd : fallback;
    if (to >= 0)
        (void)write_all(to, line.data, line.length);
}

static void write_plain(const char *sentence) {
    (void)dprintf(STDERR_FILENO, "minka: %s\n", sentence);
}

void log_error(const struct cli *cli, const char *sentence) {
    /* Without a log file, JSON on standard error is all that a reader there expects. */
    if (cli->log || is_json(cli))
        write_line(cli, "error", sentence, STDERR_FILENO);
    if (cli->log || !is_json(cli))
        write_plain(sentence);
}

/*
 * Not into a JSON log: podman reads that file as one object, which is the error if there is one
 * (podman libpod/oci_conmon_common.go, getOCIRuntimeError).
 */
void log_warning(const struct cli *cli, const char *sentence) {
    if (is_json(cli) && !cli->debug)
        (void)dprintf(STDERR_FILENO, "minka: warning: %s\n", sentence);
    else
        write_line(cli, "warning", sentence, STDERR_FILENO);
}

void log_debug(const struct cli *cli, const char *format, ...) {
    if (!cli->debug)
        return;
    char sentence[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(sentence, sizeof sentence, format, ap);
    va_end(ap);
    write_line(cli, "debug", sentence, STDERR_FILENO);
}

void log_note(void *cli, const char *sentence) {
    log_debug(cli, "%s", sentence);
}

void log_warn(void *cli, const char *sentence) {
    log_warning(cli, sentence);
}
