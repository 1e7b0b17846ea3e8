/* SPDX-License-Identifier: Apache-2.0 */
/* The documents are runc's (types/events.go), which containerd's shim reads. */
#include "cli.h"

#include "facts/control/control.h"
#include "facts/json/json.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

struct events_options {
    bool stats;
    const char *interval;
};

static const struct option options[] = {
    {0, "stats", NULL, OPTION_FLAG, offsetof(struct events_options, stats), "print the statistics once"},
    {0, "interval", "TIME", OPTION_TEXT, offsetof(struct events_options, interval),
     "time between statistics, such as 5s or 1m (default: 5s)"},
    OPTIONS_END,
};

static void write_cpu(struct json_writer *w, const struct control_stats *s) {
    json_write_begin_object(w, "cpu");
    json_write_begin_object(w, "usage");
    json_write_uint(w, "total", s->cpu_usage_usec * 1000);
    json_write_uint(w, "kernel", s->cpu_system_usec * 1000);
    json_write_uint(w, "user", s->cpu_user_usec * 1000);
    json_write_end_object(w);
    json_write_begin_object(w, "throttling");
    json_write_uint(w, "periods", s->cpu_periods);
    json_write_uint(w, "throttledPeriods", s->cpu_throttled_periods);
    json_write_uint(w, "throttledTime", s->cpu_throttled_usec * 1000);
    json_write_end_object(w);
    json_write_end_object(w);
}

static void write_amount(struct json_writer *w, const char *key, uint64_t limit, uint64_t usage, uint64_t max,
                         uint64_t failures) {
    json_write_begin_object(w, key);
    json_write_uint(w, "limit", limit);
    json_write_uint(w, "usage", usage);
    json_write_uint(w, "max", max);
    json_write_uint(w, "failcnt", failures);
    json_write_end_object(w);
}

static void write_memory(struct json_writer *w, const struct control_stats *s) {
    json_write_begin_object(w, "memory");
    json_write_uint(w, "cache", s->memory_cache);
    write_amount(w, "usage", s->memory_limit, s->memory_usage, s->memory_peak, s->memory_failures);
    write_amount(w, "swap", 0, s->memory_swap, 0, 0);
    write_amount(w, "kernel", 0, s->memory_kernel, 0, 0);
    write_amount(w, "kernelTCP", 0, 0, 0, 0);
    json_write_begin_object(w, "raw");
    json_write_uint(w, "oom_kill", s->oom_kills);
    json_write_end_object(w);
    json_write_end_object(w);
}

static int print_event(const char *id, const char *type, const struct control_stats *stats, struct err *err) {
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out};
    json_write_begin_object(&w, NULL);
    json_write_string(&w, "type", type);
    json_write_string(&w, "id", id);
    if (stats) {
        json_write_begin_object(&w, "data");
        write_cpu(&w, stats);
        write_memory(&w, stats);
        json_write_begin_object(&w, "pids");
        json_write_uint(&w, "current", stats->pids_current);
        /* runc says 0 for no limit. */
        json_write_uint(&w, "limit", stats->pids_limit == UINT64_MAX ? 0 : stats->pids_limit);
        json_write_end_object(&w);
        json_write_begin_object(&w, "blkio");
        json_write_end_object(&w);
        json_write_begin_object(&w, "hugetlb");
        json_write_end_object(&w);
        json_write_end_object(&w);
    }
    json_write_end_object(&w);
    int r = print_json(&w, err);
    return r < 0 || fflush(stdout) == 0 ? r : err_errno(err, "cannot write");
}

static int print_stats(const struct container *c, struct err *err) {
    struct control_reply reply;
    int r = container_call(c, CONTROL_STATS, 0, 0, &reply, err);
    return r < 0 ? r : print_event(c->id, "stats", &reply.stats, err);
}

/* "5s", "500ms", "2m", "1h", as Go's durations without fractions. */
static int parse_interval(const char *text, int64_t *ret_msec, struct err *err) {
    char *end;
    errno = 0;
    long long value = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : 0;
    static const struct {
        const char *name;
        int64_t msec;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; value > 0 && value <= 1000000 && i < ARRAY_SIZE(units); i++)
        if (strcmp(end, units[i].name) == 0) {
            *ret_msec = value * units[i].msec;
            return 0;
        }
    return err_set(err, EINVAL, "--interval takes a time such as 5s, 500ms or 1m, not \"%.32s\"", text);
}

/* Statistics every interval, and events as they come, until the container ends. */
static int follow(const struct container *c, int64_t interval, struct err *err) {
    struct control_request request = {.op = CONTROL_EVENTS};
    (void)snprintf(request.container, sizeof request.container, "%s", c->id);
    request.magic = CONTROL_MAGIC;
    _cleanup_close_ int sock = -EBADF;
    int r = setup_connect(c->dir, &sock, err);
    if (r >= 0)
        r = setup_send(sock, &request, NULL, 0, err);
    int64_t next = monotonic_msec() + interval;
    while (r >= 0) {
        int64_t left = next - monotonic_msec();
        struct pollfd p = {.fd = sock, .events = POLLIN};
        int ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno != EINTR)
            return err_errno(err, "cannot wait for events");
        if (ready > 0) {
            struct control_reply reply;
            r = setup_receive(sock, CONTROL_EVENTS, 1, &reply, err);
            if (r == -ESRCH || (r >= 0 && !reply.more && !reply.text[0]))
                return 0; /* the container has ended */
            if (r >= 0 && reply.text[0])
                r = print_event(c->id, reply.text, NULL, err);
        } else if (monotonic_msec() >= next) {
            next += interval;
            r = print_stats(c, err);
            if (r == -ESRCH)
                return 0;
        }
    }
    return r;
}

static int events(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct events_options *o = data;
    _cleanup_container_ struct container c = {.dir = -EBADF};
    int64_t interval = 0;
    int r = parse_interval(o->interval ? o->interval : "5s", &interval, err);
    if (r >= 0)
        r = container_open(cli, operands->values[0], CONTAINER_LOOK, &c, err);
    if (r >= 0)
        r = container_require_process(&c, err);
    if (r < 0)
        return r;
    return o->stats ? print_stats(&c, err) : follow(&c, interval, err);
}

const struct command command_events = {
    .name = "events",
    .arguments = "[OPTION...] ID",
    .summary = "print what a container uses, and that it ran out of memory, as JSON",
    .options = options,
    .options_size = sizeof(struct events_options),
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = events,
};
