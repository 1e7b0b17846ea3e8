/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FD_SOCKET = 3, FD_TERMINAL };

int standin_spawn(const struct standin *standin, struct process *ret, struct err *err) {
    _cleanup_close_ int program = -EBADF, null = -EBADF;
    int r = open_program(standin->context, "minka-standin", &program, err);
    if (r >= 0)
        r = open_null(&null, err);
    if (r < 0)
        return r;
    struct confine_plan *plan = &ret->plan;
    confine_plan_init(plan, "stand-in", standin->uid, standin->uid);
    plan->pid_namespace = CONFINE_PID_JOIN;
    plan->pid_namespace_of = standin->monitor_pidfd;
    plan->net_namespace = standin->net_namespace >= 0 ? CONFINE_NET_JOIN : CONFINE_NET_NEW;
    plan->net_namespace_fd = standin->net_namespace;
    plan->session_leader = true;
    plan->filter = &filter_standin;
    plan->signals_blocked = true;
    plan->controlling_terminal = standin->terminal;
    plan->executable_fd = program;
    limit(plan, RLIMIT_NOFILE, 16);
    limit(plan, RLIMIT_FSIZE, 0);
    for (int i = 0; i <= STDERR_FILENO; i++)
        confine_plan_add_fd(plan, null, i);
    confine_plan_add_fd(plan, standin->socket, FD_SOCKET);
    if (standin->terminal >= 0)
        confine_plan_add_fd(plan, standin->terminal, FD_TERMINAL);
    may_hold_null(plan, 3);
    confine_plan_may_hold(plan, CONFINE_HOLDS_UNIX_SOCKET, NULL, 1, CONFINE_READ | CONFINE_WRITE);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "eventpoll", 1, CONFINE_READ | CONFINE_WRITE);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "signalfd", 1, CONFINE_READ | CONFINE_WRITE);
    if (standin->terminal >= 0)
        confine_plan_may_hold(plan, CONFINE_HOLDS_TERMINAL, NULL, 1, CONFINE_READ | CONFINE_WRITE);
    char name[] = "minka-standin", sock[] = "--socket=3", terminal[] = "--terminal=4";
    char *argv[] = {name, sock, standin->terminal >= 0 ? terminal : NULL, NULL};
    char *envp[] = {NULL};
    plan->argv = argv;
    plan->envp = envp;
    struct stat st;
    if (standin->net_namespace >= 0 && fstat(standin->net_namespace, &st) == 0) {
        plan->net_namespace_device = st.st_dev;
        plan->net_namespace_inode = st.st_ino;
    }
    r = spawn_in_cgroup(ret, standin->cgroup, err);
    plan->argv = plan->envp = NULL; /* of this frame, and used up */
    return r;
}

static void kill_standin(void *data) {
    struct sandbox *s = data;
    (void)end_process(s->standin.pidfd, -EBADF, "stand-in", NULL);
}

int spawn_standin(struct sandbox *s, struct err *err) {
    struct standin standin = {
        .context = s->context,
        .uid = s->state->uids[UID_STANDIN],
        .monitor_pidfd = s->monitor.pidfd,
        .socket = s->standin_socket,
        .terminal = streams_have_terminal(&s->streams) ? s->streams.fds[0] : -EBADF,
        .net_namespace = s->net_namespace,
        .cgroup = s->cgroup,
    };
    int r = standin_spawn(&standin, &s->standin, err);
    if (r < 0)
        return r;
    undo_push(&s->undo, kill_standin, s);
    close_fd(&s->standin_socket);
    if (state_process_of(s->standin.pid, &s->state->standin) < 0)
        return err_set(err, ESRCH, "the stand-in ended as soon as it was started");
    return state_save(s->dir, s->state, err);
}
