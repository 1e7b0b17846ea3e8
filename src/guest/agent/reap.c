/* SPDX-License-Identifier: Apache-2.0 */
/* PID 1 is the parent of every process that has lost its own: all are reaped, those that the host knows are told. */
#include "guest/agent/container.h"

#include <signal.h>
#include <sys/wait.h>

static struct process *find_pid(struct agent *agent, pid_t pid) {
    for (struct container *c = agent->containers; c; c = c->next)
        for (struct process *p = c->processes; p; p = p->next)
            if (p->pid == pid)
                return p;
    return NULL;
}

/* The first process that is being set up and has reports to read, after skip others. */
static struct process *find_launching(struct agent *agent, size_t skip) {
    for (struct container *c = agent->containers; c; c = c->next)
        for (struct process *p = c->processes; p; p = p->next)
            if (p->report >= 0 && skip-- == 0)
                return p;
    return NULL;
}

/* Reports may free the process that they are about, so the tables are walked anew each time. */
static void read_all_reports(struct agent *agent) {
    for (size_t done = 0;;) {
        struct process *p = find_launching(agent, done);
        if (!p)
            return;
        int report = p->report;
        process_read_reports(p);
        p = find_launching(agent, done);
        if (p && p->report == report)
            done++; /* it has more to say, later */
    }
}

static bool anyone_without_pid(struct agent *agent) {
    for (struct container *c = agent->containers; c; c = c->next)
        for (struct process *p = c->processes; p; p = p->next)
            if (p->state == PROCESS_LAUNCHING && p->pid == 0)
                return true;
    return false;
}

static void remember(struct agent *agent, pid_t pid, int status) {
    if (!anyone_without_pid(agent)) {
        agent->n_early_exits = 0;
        return;
    }
    if (agent->n_early_exits == AGENT_EARLY_EXITS_MAX) { /* the oldest are strangers, most likely */
        for (size_t i = 1; i < AGENT_EARLY_EXITS_MAX; i++)
            agent->early_exits[i - 1] = agent->early_exits[i];
        agent->n_early_exits--;
    }
    agent->early_exits[agent->n_early_exits++] = (struct early_exit){.pid = pid, .status = status};
}

static bool reaped_helper(struct agent *agent, pid_t pid) {
    for (struct container *c = agent->containers; c; c = c->next)
        if (container_helper_reaped(c, pid))
            return true;
    return false;
}

static void reaped(struct agent *agent, pid_t pid, int status) {
    if (reaped_helper(agent, pid))
        return;
    if (!find_pid(agent, pid))
        read_all_reports(agent); /* stage 1 may just have said that this is the container's process */
    struct process *process = find_pid(agent, pid);
    if (process && process->report >= 0) {
        process_read_reports(process); /* its last words; they may free it */
        process = find_pid(agent, pid);
    }
    if (process)
        process_exited(process, status);
    else
        remember(agent, pid, status);
}

static void children_changed(void *data, const struct signalfd_siginfo *info) {
    (void)info; /* one signal can stand for many children: signal(7) */
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        reaped(data, pid, status);
}

int reap_start(struct agent *agent, struct err *err) {
    static const int signals[] = {SIGCHLD, 0};
    struct loop_source *source; /* lives as long as the loop */
    int r = loop_add_signals(agent->loop, signals, children_changed, agent, &source);
    return r < 0 ? err_set(err, -r, "cannot watch child processes") : 0;
}
