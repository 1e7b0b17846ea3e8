/* SPDX-License-Identifier: Apache-2.0 */
/* Why a start failed, when it is not the step that failed which knows, but the monitor. */
#include "facts/control/control.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum { EXPLAIN_SEC = 5, NAMESPACE_MSEC = 500 };

static bool has_ended(const struct process *process) {
    struct pollfd p = {.fd = process->pidfd, .events = POLLIN};
    return process->pidfd >= 0 && poll(&p, 1, 0) > 0;
}

/*
 * In its last seconds the monitor answers every request with what has happened. A process that ended before the
 * monitor was told of it, with CONTROL_LOAD, is named by telling it now: only the monitor, its parent, learns how.
 */
static void ask_why(struct sandbox *s, struct err *err) {
    struct control_request request = {.op = s->load_asked ? CONTROL_BOOT : CONTROL_LOAD};
    struct control_reply reply = {0};
    struct err why = {0};
    const int fds[] = {s->vmm.pidfd, s->file_server.pidfd};
    size_t n_fds = s->load_asked ? 0 : s->file_server.pidfd >= 0 ? 2 : 1;
    (void)snprintf(request.container, sizeof request.container, "%s", s->request->id);
    if (!s->boot_asked && setup_send(s->setup, &request, fds, n_fds, NULL) < 0)
        return;
    /* Not any failure to get an answer, but the one that came. */
    if (setup_receive(s->setup, request.op, EXPLAIN_SEC, &reply, &why) < 0 && reply.magic == CONTROL_MAGIC &&
        reply.status < 0)
        *err = why;
}

void sandbox_explain(struct sandbox *s, struct err *err) {
    if (!err || s->setup < 0)
        return;
    /* Pid 1 of a namespace has ended when all others in it are reaped, and the stand-in is our child. */
    bool standin = has_ended(&s->standin);
    if (standin)
        (void)await_process(s->monitor.pidfd, s->standin.pidfd, NAMESPACE_MSEC);
    if (has_ended(&s->monitor))
        (void)err_set(err, ESRCH, "minka-monitor ended unexpectedly while the virtual machine was started");
    else if (has_ended(&s->vmm) || has_ended(&s->file_server))
        ask_why(s, err);
    else if (standin)
        (void)err_set(err, ESRCH, "minka-standin ended unexpectedly while the virtual machine was started");
}
