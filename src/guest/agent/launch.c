/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's side of a launch: pipes, the report socket, fork. Nothing here can block. */
#include "guest/agent/launch.h"

#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>

void launch_done(struct launch *launch) {
    close_fd(&launch->report);
    for (size_t i = 0; i < launch->n_streams; i++)
        close_fd(&launch->streams[i].fd);
}

/* The child's ends of the streams. */
struct child_ends {
    int fds[STREAMS_MAX];
};

static void child_ends_init(struct child_ends *ends) {
    for (size_t i = 0; i < STREAMS_MAX; i++)
        ends->fds[i] = -EBADF;
}

static void child_ends_done(struct child_ends *ends) {
    for (size_t i = 0; i < STREAMS_MAX; i++)
        close_fd(&ends->fds[i]);
}

static int stream_open(enum stream_kind kind, int *ret_agent, int *ret_child) {
    int ends[2], child = kind == STREAM_INPUT ? 0 : 1;
    if (kind == STREAM_NONE || kind == STREAM_TERMINAL)
        return 0;
    if (kind == STREAM_SOCKET ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0
                              : pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ret_child = ends[child];
    *ret_agent = ends[1 - child];
    return fd_set_nonblock(*ret_agent, true);
}

static int streams_open(const plan_process *plan, struct launch *launch, struct child_ends *child) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < plan->streams.len; i++) {
        struct launch_stream *stream = &launch->streams[launch->n_streams++];
        *stream = (struct launch_stream){.kind = plan->streams.data[i], .fd = -EBADF};
        r = stream_open(stream->kind, &stream->fd, &child->fds[i]);
    }
    return r;
}

static int launch(const struct stage *plan, struct launch *ret, struct err *err) {
    _cleanup_(launch_done) struct launch made = {.report = -EBADF};
    _cleanup_(child_ends_done) struct child_ends child;
    child_ends_init(&child);
    int r = streams_open(plan->process, &made, &child);
    int ends[2] = {-EBADF, -EBADF};
    if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        r = -errno;
    made.report = ends[0];
    _cleanup_close_ int child_report = ends[1];
    if (r == 0)
        r = fd_set_nonblock(made.report, true);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot make pipes for a process in the guest");
    }
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, "cannot start a process in the guest");
    if (pid == 0) {
        struct stage stage = *plan;
        stage.report = child_report;
        stage.streams = child.fds;
        stage1_run(&stage);
    }
    made.stage1 = pid;
    *ret = made;
    made = (struct launch){.report = -EBADF}; /* all is the caller's now */
    return 0;
}

int launch_container(const plan_container *plan, const struct launch_sandbox *sandbox, struct launch *ret,
                     struct err *err) {
    if (!plan->process || plan->process->n_args == 0)
        return err_set(err, EINVAL, "the plan of the container has no process");
    struct stage stage = {
        .container = plan,
        .process = plan->process,
        .container_id = plan->id,
        .sandbox = sandbox,
        .terminal_master = -EBADF,
    };
    return launch(&stage, ret, err);
}

int launch_exec(const char *container_id, pid_t init_pid, const plan_process *plan, struct launch *ret,
                struct err *err) {
    if (plan->n_args == 0)
        return err_set(err, EINVAL, "the plan of the process has no arguments");
    struct stage stage = {
        .process = plan,
        .container_id = container_id,
        .init_pid = init_pid,
        .terminal_master = -EBADF,
    };
    return launch(&stage, ret, err);
}
