/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int open_program(const struct setup_context *context, const char *name, int *ret, struct err *err) {
    _cleanup_free_ char *path = text_format("%s/%s", context->config->runtime.libexec_dir, name);
    if (!path)
        return err_set(err, ENOMEM, "out of memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        return err_set(err, EACCES, "cannot open %s (EACCES): containers can be started by root only", path);
    if (fd < 0)
        return err_set(err, errno, "cannot open %s, a part of minka (%s): is it installed whole?", path,
                       strerrorname_np(errno));
    *ret = fd;
    return 0;
}

int open_null(int *ret, struct err *err) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_errno_name(err, "cannot open /dev/null");
    *ret = fd;
    return 0;
}

/* Never above the caller's hard limit, which only root with CAP_SYS_RESOURCE could raise. */
void limit(struct confine_plan *plan, int resource, rlim_t value) {
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) == 0 && now.rlim_max < value)
        value = now.rlim_max;
    plan->rlimits[plan->n_rlimits].resource = resource;
    plan->rlimits[plan->n_rlimits++].limit = (struct rlimit){.rlim_cur = value, .rlim_max = value};
}

void may_hold_null(struct confine_plan *plan, unsigned most) {
    confine_plan_may_hold(plan, CONFINE_HOLDS_CHARACTER, NULL, most, CONFINE_READ | CONFINE_WRITE)->device =
        makedev(1, 3);
}

enum {
    FD_SETUP = 3,
    FD_LISTEN,
    FD_QMP,
    FD_AGENT,
    FD_CONSOLE,
    FD_VMM_STDERR,
    FD_SHARE_STDERR,
    FD_LOG,
    MONITOR_FILES = 8192, /* CONTAINER_STREAMS_MAX twice, a socket for every exec, and what connects */
    ARGUMENT_SIZE = 32,
};

struct arguments {
    char *list[16];
    char texts[16][ARGUMENT_SIZE];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(a->texts[a->count], ARGUMENT_SIZE, format, ap);
    va_end(ap);
    a->list[a->count] = a->texts[a->count];
    a->count++;
}

static void add_fd(struct confine_plan *plan, struct arguments *a, const char *option, int fd, int number) {
    confine_plan_add_fd(plan, fd, number);
    add(a, "--%s=%d", option, number);
}

static int open_log(struct sandbox *s, int *ret, struct err *err) {
    if (!s->context->debug && !s->context->config->runtime.enable_debug)
        return 0;
    *ret = openat(s->dir, "monitor.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return *ret < 0 ? err_errno_name(err, "cannot create the monitor's log") : 0;
}

enum {
    MONITOR_SOCKETS = 5, /* setup, listen, qmp, agent, console */
    MONITOR_TIMERS = 16,
};

/* While the machine loads. */
static int may_hold(const struct sandbox *s, struct confine_plan *plan, int log, struct err *err) {
    const unsigned both = CONFINE_READ | CONFINE_WRITE;
    struct stat st;
    may_hold_null(plan, 3);
    confine_plan_may_hold(plan, CONFINE_HOLDS_UNIX_SOCKET, NULL, MONITOR_SOCKETS, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_PIPE, NULL, s->uses_share ? 2 : 1, CONFINE_READ);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "eventpoll", 1, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "signalfd", 1, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "timerfd", MONITOR_TIMERS, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "pidfd", s->uses_share ? 2 : 1, both);
    if (log < 0)
        return 0;
    if (fstat(log, &st) < 0)
        return err_errno_name(err, "cannot look at the monitor's log");
    struct confine_holding *file = confine_plan_may_hold(plan, CONFINE_HOLDS_FILE, NULL, 1, CONFINE_WRITE);
    file->device = st.st_dev;
    file->inode = st.st_ino;
    return 0;
}

void let_monitor_serve(struct confine_plan *plan) {
    const unsigned both = CONFINE_READ | CONFINE_WRITE;
    static const unsigned streams[] = {3, 5, 7, 8, 9}; /* as relayable.c lets them through */
    confine_plan_may_hold(plan, CONFINE_HOLDS_UNIX_SOCKET, NULL, 0, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_PIPE, NULL, 0, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "timerfd", 0, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_MEMORY, NULL, 0, both); /* plans of processes */
    confine_plan_may_hold(plan, CONFINE_HOLDS_TERMINAL, NULL, 0, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_FILE, NULL, 0, CONFINE_READ);
    confine_plan_may_hold(plan, CONFINE_HOLDS_FILE, NULL, 0, CONFINE_WRITE);
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
        confine_plan_may_hold(plan, CONFINE_HOLDS_CHARACTER, NULL, 0, both)->device = makedev(1, streams[i]);
}

static void kill_monitor(void *data) {
    struct sandbox *s = data;
    /* pid 1 of the sandbox's pid namespace: when its end can be waited for, all the others are gone. */
    (void)end_process(s->monitor.pidfd, s->standin.pidfd, "monitor", NULL);
}

int spawn_monitor(struct sandbox *s, struct err *err) {
    _cleanup_close_ int program = -EBADF, null = -EBADF, log = -EBADF;
    int r = open_program(s->context, "minka-monitor", &program, err);
    if (r >= 0)
        r = open_null(&null, err);
    if (r >= 0)
        r = open_log(s, &log, err);
    if (r < 0)
        return r;
    struct confine_plan *plan = &s->monitor.plan;
    uid_t uid = s->state->uids[UID_MONITOR];
    confine_plan_init(plan, "monitor", uid, uid);
    plan->pid_namespace = CONFINE_PID_NEW;
    plan->net_namespace = CONFINE_NET_NEW;
    plan->session_leader = true;
    plan->filter = &filter_monitor;
    plan->executable_fd = program;
    limit(plan, RLIMIT_NOFILE, MONITOR_FILES);
    limit(plan, RLIMIT_NPROC, 1); /* no threads, no children */
    for (int i = 0; i <= STDERR_FILENO; i++)
        confine_plan_add_fd(plan, null, i);

    struct arguments a = {0};
    add(&a, "minka-monitor");
    add_fd(plan, &a, "setup", s->monitor_setup, FD_SETUP);
    add_fd(plan, &a, "listen", s->monitor_listen, FD_LISTEN);
    add_fd(plan, &a, "qmp", s->monitor_qmp, FD_QMP);
    add_fd(plan, &a, "agent", s->monitor_agent, FD_AGENT);
    add_fd(plan, &a, "console", s->monitor_console, FD_CONSOLE);
    add_fd(plan, &a, "vmm-stderr", s->monitor_vmm_stderr, FD_VMM_STDERR);
    if (s->uses_share)
        add_fd(plan, &a, "share-stderr", s->monitor_share_stderr, FD_SHARE_STDERR);
    add(&a, "--owner-uid=%u", (unsigned)geteuid());
    add(&a, "--dial-timeout=%u", s->context->config->agent.dial_timeout);
    if (log >= 0) {
        add(&a, "--debug");
        add_fd(plan, &a, "log", log, FD_LOG);
    }
    r = may_hold(s, plan, log, err);
    if (r < 0)
        return r;
    plan->argv = a.list;
    plan->envp = (char *[]){NULL};
    r = spawn_in_cgroup(&s->monitor, s->cgroup, err);
    if (r < 0)
        return r;
    undo_push(&s->undo, kill_monitor, s);
    /* The pointers into this frame are for execve(2) only, which is over. */
    plan->argv = plan->envp = NULL;
    if (state_process_of(s->monitor.pid, &s->state->monitor) < 0)
        return err_set(err, ESRCH, "the monitor ended as soon as it was started");
    close_fd(&s->monitor_setup);
    close_fd(&s->monitor_listen);
    close_fd(&s->monitor_qmp);
    close_fd(&s->monitor_agent);
    close_fd(&s->monitor_console);
    close_fd(&s->monitor_vmm_stderr);
    close_fd(&s->monitor_share_stderr);
    return state_save(s->dir, s->state, err);
}
