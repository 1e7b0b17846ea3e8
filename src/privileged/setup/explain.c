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

/* In its last seconds the monitor answers every request with what has happened. */
static void ask_why(struct sandbox *s, struct err *err) {
    struct control_request request = {.op = CONTROL_BOOT};
    struct control_reply reply = {0};
    struct err why = {0};
    (void)snprintf(request.container, sizeof request.container, "%s", s->request->id);
    if (!s->boot_asked && setup_send(s->setup, &request, NULL, 0, NULL) < 0)
        return;
    /* Not any failure to get an answer, but the one that came. */
    if (setup_receive(s->setup, CONTROL_BOOT, EXPLAIN_SEC, &reply, &why) < 0 && reply.magic == CONTROL_MAGIC &&
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
