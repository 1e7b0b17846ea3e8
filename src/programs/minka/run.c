/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "relay.h"

#include "facts/control/control.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"

#include <errno.h>
#include <signal.h>

enum { EXPLAIN_SEC = 5 };

struct run_options {
    struct launch_options launch;
    bool detach, keep;
};

static const struct option options[] = {
    LAUNCH_OPTIONS(struct run_options),
    {'d', "detach", NULL, OPTION_FLAG, offsetof(struct run_options, detach), "do not wait for the process"},
    {0, "keep", NULL, OPTION_FLAG, offsetof(struct run_options, keep), "do not delete the container at the end"},
    {0, "no-subreaper", NULL, OPTION_IGNORED, 0, "accepted and ignored"},
    OPTIONS_END,
};

/* A subscription, which hears why a sandbox is lost even when it is too late to ask. -EBADF: none. */
static int watch(const struct container *c) {
    struct control_request request = {.op = CONTROL_EVENTS};
    _cleanup_close_ int sock = -EBADF;
    (void)snprintf(request.container, sizeof request.container, "%s", c->id);
    if (setup_connect(c->dir, &sock, NULL) < 0 || setup_send(sock, &request, NULL, 0, NULL) < 0)
        return -EBADF;
    return take_fd(&sock);
}

/*
 * The stand-in was killed. That may be what somebody wanted, and then the monitor says at once that the container has
 * ended. Otherwise it has said before what happened, or its connection ends without a word.
 */
static void explain(struct cli *cli, int sock) {
    struct control_reply reply;
    struct err err = {0};
    int r;
    int64_t end = monotonic_msec() + (int64_t)EXPLAIN_SEC * 1000; /* of all of them */
    do {
        reply = (struct control_reply){0};
        r = setup_receive(sock, CONTROL_EVENTS, EXPLAIN_SEC, &reply, &err);
    } while (r >= 0 && reply.more && monotonic_msec() < end);
    if (r < 0 && reply.magic != CONTROL_MAGIC)
        (void)err_set(&err, ESRCH, "minka-monitor ended unexpectedly, and the container with it");
    if (r < 0)
        log_error(cli, err.text);
}

static int start(struct cli *cli, const char *id, int *ret_watch, struct err *err) {
    _cleanup_container_ struct container c = {.dir = -EBADF};
    struct setup_context context;
    struct err warning = {0};
    int r = container_open(cli, id, CONTAINER_CHANGE, &c, err);
    if (r >= 0)
        r = cli_context(cli, &context, err);
    if (r >= 0 && ret_watch)
        *ret_watch = watch(&c);
    if (r >= 0)
        r = setup_start(&context, c.dir, c.state, &warning, err);
    if (r >= 0 && warning.code)
        log_warning(cli, warning.text);
    return r;
}

static int run(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct run_options *o = data;
    const char *id = operands->values[0];
    _cleanup_relay_ struct relay relay;
    relay_init(&relay);
    struct setup_result result = {.standin_pidfd = -EBADF, .terminal_master = -EBADF};
    int r = launch_container(cli, id, &o->launch, !o->detach, &relay, &result, err);
    if (r < 0)
        return r;
    _cleanup_close_ int pidfd = result.standin_pidfd;
    _cleanup_close_ int events = -EBADF;
    r = start(cli, id, o->detach ? NULL : &events, err);
    if (r < 0) {
        close_fd(&result.terminal_master);
        struct err remove_err = {0};
        if (remove_container(cli, id, &remove_err) < 0)
            log_debug(cli, "%s", remove_err.text);
        return r;
    }
    if (o->detach)
        return 0;
    r = relay_run(&relay, result.terminal_master, result.standin, pidfd, err);
    relay_done(&relay); /* the caller's terminal shows lines again */
    if (r == 128 + SIGKILL && events >= 0)
        explain(cli, events);
    if (o->keep)
        return r;
    struct err remove_err = {0};
    /* The process's exit code is what the caller asked for, so this is a warning. */
    if (remove_container(cli, id, &remove_err) < 0 && remove_err.code != ENOENT)
        log_warning(cli, remove_err.text);
    return r;
}

const struct command command_run = {
    .name = "run",
    .arguments = "[OPTION...] ID",
    .summary = "create and start a container, wait for its process and delete it",
    .text = "The exit code is that of the container's process, or 128 and the number of the signal that ended it.",
    .options = options,
    .options_size = sizeof(struct run_options),
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = run,
};
