/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table shows the processes in the container, as its guest sees them. JSON is
 * for engines, which take the numbers for pids of the host: there a container's
 * processes are its stand-ins, one for itself and one for each exec.
 */
#include "cli.h"

#include "facts/control/control.h"
#include "facts/json/json.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

struct ps_options {
    const char *format;
};

static const struct option options[] = {
    {'f', "format", "FORMAT", OPTION_TEXT, offsetof(struct ps_options, format), "table or json (default: table)"},
    OPTIONS_END,
};

/* The stand-in's uid is leased for this sandbox alone, so it tells whose a process is. */
static bool is_standin(pid_t pid, uint32_t uid) {
    char path[40], line[128];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    _cleanup_fclose_ FILE *status = fopen(path, "re");
    bool lives = false;
    while (status && fgets(line, sizeof line, status)) {
        unsigned real;
        char state;
        if (sscanf(line, "State: %c", &state) == 1)
            lives = state != 'Z' && state != 'X';
        else if (sscanf(line, "Uid: %u", &real) == 1)
            return lives && real == uid;
    }
    return false;
}

static int print_standins(const struct state *state, struct err *err) {
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    if (!proc)
        return err_errno(err, "cannot read /proc");
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out};
    json_write_begin_array(&w, NULL);
    json_write_int(&w, NULL, state->standin.pid);
    for (struct dirent *entry; (entry = readdir(proc));) {
        uint64_t pid;
        if (parse_u64(entry->d_name, &pid) == 0 && (pid_t)pid != state->standin.pid &&
            is_standin((pid_t)pid, state->uids[3]))
            json_write_uint(&w, NULL, pid);
    }
    json_write_end_array(&w);
    return print_json(&w, err);
}

static void print_process(const struct control_reply *reply) {
    const struct control_process *p = &reply->process;
    char started[16] = "?";
    time_t start = (time_t)(p->start_time_msec / 1000);
    struct tm tm;
    if (localtime_r(&start, &tm))
        (void)strftime(started, sizeof started, "%H:%M", &tm);
    uint64_t seconds = p->cpu_msec / 1000;
    (void)printf("%-8u %7d %7d %5s %-8s %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " %s\n", p->uid, p->pid, p->ppid,
                 started, p->terminal[0] ? p->terminal : "?", seconds / 3600, seconds / 60 % 60, seconds % 60,
                 reply->text);
}

enum { PS_DEADLINE_SEC = 30 };

static int print_table(const struct container *c, struct err *err) {
    struct control_request request = {.op = CONTROL_PS};
    (void)snprintf(request.container, sizeof request.container, "%s", c->id);
    struct control_reply reply;
    _cleanup_close_ int sock = -EBADF;
    /* For all of it: each answer in time may still be one of a list without end. */
    int64_t end = monotonic_msec() + (int64_t)PS_DEADLINE_SEC * 1000;
    int r = setup_call(c->dir, &request, NULL, 0, PS_DEADLINE_SEC, &reply, &sock, err);
    (void)printf("%-8s %7s %7s %5s %-8s %8s %s\n", "UID", "PID", "PPID", "STIME", "TTY", "TIME", "CMD");
    while (r >= 0) {
        if (reply.process.pid > 0)
            print_process(&reply);
        if (!reply.more)
            return 0;
        int64_t left = end - monotonic_msec();
        if (left <= 0)
            return err_set(err, ETIMEDOUT,
                           "the sandbox's monitor has not come to the end of its list within %d seconds",
                           PS_DEADLINE_SEC);
        r = setup_receive(sock, CONTROL_PS, (unsigned)(left + 999) / 1000, &reply, err);
    }
    return r;
}

static int ps(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct ps_options *o = data;
    bool json = o->format && strcmp(o->format, "json") == 0;
    if (o->format && !json && strcmp(o->format, "table") != 0)
        return err_set(err, EINVAL, "unknown format \"%.32s\": it is table or json", o->format);
    _cleanup_container_ struct container c = {.dir = -EBADF};
    int r = container_open(cli, operands->values[0], CONTAINER_LOOK, &c, err);
    if (r >= 0)
        r = container_require_process(&c, err);
    if (r < 0)
        return r;
    return json ? print_standins(c.state, err) : print_table(&c, err);
}

const struct command command_ps = {
    .name = "ps",
    .arguments = "[OPTION...] ID",
    .summary = "list the processes of a container",
    .options = options,
    .options_size = sizeof(struct ps_options),
    .min = 1,
    .max = OPTIONS_ANYWHERE,
    .stop_at = 2,
    .run = ps,
};
