/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include "facts/control/control.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { EXEC_DEADLINE_SEC = 60 };

/* What one exec acquires. */
struct attempt {
    const struct setup_context *context;
    const struct setup_exec *request;
    const struct state *state;
    int dir;
    int plan, monitor_pidfd, net_namespace, standin_socket, monitor_standin;
    struct streams streams;
    struct process standin;
    bool keep_signals; /* it runs, and its creator wants them */
    struct undo undo;
};

static void attempt_done(struct attempt *a) {
    interrupt_defer();
    undo_all(&a->undo);
    if (!a->keep_signals)
        interrupt_end();
    close_fd(&a->plan);
    close_fd(&a->monitor_pidfd);
    close_fd(&a->net_namespace);
    close_fd(&a->standin_socket);
    close_fd(&a->monitor_standin);
    close_fd(&a->standin.pidfd);
    streams_done(&a->streams);
}

static int make_plan(struct attempt *a, struct err *err) {
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    _cleanup_buf_ struct buf plan = {0};
    int r = streams_look(&a->streams, a->request->process->terminal, &a->request->streams, err);
    const struct plan_streams streams = {a->streams.kinds, a->streams.count};
    if (r >= 0)
        r = state_load_spec(a->dir, &spec, err);
    if (r >= 0)
        r = plan_exec(spec, a->request->process, &streams, a->state->id, a->request->process_id, &plan, err);
    if (r < 0)
        return r;
    a->plan = memfd_of("minka-plan", plan.data, plan.length);
    return a->plan < 0 ? err_set(err, -a->plan, "cannot make the plan's memory file (%s)", strerrorname_np(-a->plan))
                       : 0;
}

/* The namespaces of the container on the host are its stand-in's; its identity is checked after opening. */
static int find_sandbox(struct attempt *a, struct err *err) {
    a->monitor_pidfd = state_process_open(&a->state->monitor);
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)a->state->standin.pid);
    a->net_namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (a->monitor_pidfd < 0 || a->net_namespace < 0 || !state_process_alive(&a->state->standin))
        return err_set(err, ESRCH, "container not running: %s has stopped", a->state->id);
    return 0;
}

static int open_streams(struct attempt *a, struct err *err) {
    const struct oci_process *process = a->request->process;
    int r = streams_open(&a->streams, &a->request->streams, process->console_rows, process->console_columns, err);
    if (r >= 0 && process->terminal && a->request->console_socket >= 0)
        r = streams_send_master(&a->streams, a->request->console_socket, err);
    return r;
}

static void kill_standin(void *data) {
    struct attempt *a = data;
    (void)end_process(a->standin.pidfd, -EBADF, "stand-in", NULL);
}

static int spawn(struct attempt *a, struct err *err) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno_name(err, "cannot make a pair of sockets");
    a->standin_socket = pair[0];
    a->monitor_standin = pair[1];
    struct standin standin = {
        .context = a->context,
        .uid = a->state->uids[UID_STANDIN],
        .monitor_pidfd = a->monitor_pidfd,
        .socket = a->standin_socket,
        .terminal = streams_have_terminal(&a->streams) ? a->streams.fds[0] : -EBADF,
        .net_namespace = a->net_namespace,
        .cgroup = a->state->cgroup,
    };
    int r = standin_spawn(&standin, &a->standin, err);
    if (r < 0)
        return r;
    undo_push(&a->undo, kill_standin, a);
    close_fd(&a->standin_socket);
    return confine_prove(&a->standin.plan, a->standin.pid, false, err);
}

/* What fails while the sandbox ends has that reason, whichever it looks like; engines look for these words. */
static int explain(const struct attempt *a, int r, struct err *err) {
    bool ended =
        !state_process_alive(&a->state->monitor) || (a->monitor_pidfd >= 0 && process_runs_no_more(a->monitor_pidfd));
    return ended ? err_set(err, ESRCH, "container not running: %s has stopped", a->state->id) : r;
}

static int execute(struct attempt *a, struct err *err) {
    struct control_request request = {.op = CONTROL_EXEC};
    struct control_reply reply;
    (void)snprintf(request.container, sizeof request.container, "%s", a->state->id);
    (void)snprintf(request.process, sizeof request.process, "%s", a->request->process_id);
    int fds[CONTROL_FDS_MAX] = {[CONTROL_FD_PLAN] = a->plan, [CONTROL_FD_STANDIN] = a->monitor_standin};
    size_t n_fds = streams_request(&a->streams, &request, fds);
    return setup_call(a->dir, &request, fds, n_fds, EXEC_DEADLINE_SEC, &reply, NULL, err);
}

static const struct step {
    const char *name;
    int (*run)(struct attempt *a, struct err *err);
} steps[] = {
    {"plan", make_plan}, {"find sandbox", find_sandbox}, {"streams", open_streams},
    {"stand-in", spawn}, {"execute", execute},
};

int setup_exec(const struct setup_context *context, int dir, const struct state *state,
               const struct setup_exec *request, struct setup_result *ret, struct err *err) {
    _cleanup_(attempt_done) struct attempt a = {
        .context = context,
        .request = request,
        .state = state,
        .dir = dir,
        .plan = -EBADF,
        .monitor_pidfd = -EBADF,
        .net_namespace = -EBADF,
        .standin_socket = -EBADF,
        .monitor_standin = -EBADF,
        .standin = {.pidfd = -EBADF},
    };
    streams_init(&a.streams);
    if (request->keep_signals)
        interrupt_begin();
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int r = fault_point(steps[i].name, err);
        if (r >= 0)
            r = steps[i].run(&a, err);
        if (r >= 0 && i + 1 < ARRAY_SIZE(steps)) /* after the last one the process runs, and they are its own */
            r = interrupt_check(err);
        if (r < 0)
            return r == -EINTR ? r : explain(&a, r, err);
    }
    undo_keep(&a.undo);
    a.keep_signals = request->keep_signals;
    *ret = (struct setup_result){
        .standin = a.standin.pid,
        .standin_pidfd = take_fd(&a.standin.pidfd),
        .terminal_master = request->foreground_terminal ? take_fd(&a.streams.master) : -EBADF,
    };
    return 0;
}
