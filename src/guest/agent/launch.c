/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's side of a launch: pipes, the report socket, fork. Nothing here can block. */
#include "guest/agent/launch.h"

#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>

/* One of the process's standard streams: the child's end and the agent's. */
struct stream {
    int child, agent;
};

static void stream_done(struct stream *stream) {
    close_fd(&stream->child);
    close_fd(&stream->agent);
}
#define _cleanup_stream_ _cleanup_(stream_done)
#define STREAM_INIT                                                                                                    \
    { .child = -EBADF, .agent = -EBADF }

static int stream_open(struct stream *stream, bool input) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *stream = input ? (struct stream){.child = ends[0], .agent = ends[1]}
                    : (struct stream){.child = ends[1], .agent = ends[0]};
    return fd_set_nonblock(stream->agent, true);
}

static int launch(const struct stage *plan, struct launch *ret, struct err *err) {
    _cleanup_stream_ struct stream in = STREAM_INIT, out = STREAM_INIT, error = STREAM_INIT;
    int r = 0;
    if (!plan->process->terminal) {
        r = stream_open(&in, true);
        if (r == 0)
            r = stream_open(&out, false);
        if (r == 0)
            r = stream_open(&error, false);
    }
    int ends[2] = {-EBADF, -EBADF};
    if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        r = -errno;
    _cleanup_close_ int report = ends[0];
    _cleanup_close_ int child_report = ends[1];
    if (r == 0)
        r = fd_set_nonblock(report, true);
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
        stage1_run(&stage, in.child, out.child, error.child);
    }
    *ret = (struct launch){
        .stage1 = pid,
        .report = take_fd(&report),
        .stdin_write = take_fd(&in.agent),
        .stdout_read = take_fd(&out.agent),
        .stderr_read = take_fd(&error.agent),
    };
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
