/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/process.h"

#include "agent.pb-c.h"
#include "guest/agent/container.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void reports_ready(void *data, uint32_t events) {
    (void)events;
    process_read_reports(data);
}

/* A stream that goes both ways has two descriptors: epoll(7) takes each only once. */
static void open_stream(struct process *process, size_t number, enum stream_kind kind, int fd) {
    struct loop *loop = process->container->agent->loop;
    bool both = stream_has_input(kind) && stream_has_output(kind);
    struct stream *stream = &process->streams[number];
    stream->process = process;
    stream->kind = kind;
    input_open(&stream->input, loop, both ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : stream_has_input(kind) ? fd : -EBADF, kind);
    output_open(&stream->output, loop, stream_has_output(kind) ? fd : -EBADF);
}

struct process *process_new(struct container *container, const char *id, struct launch *launch,
                            struct ttrpc_request *launching) {
    struct process *process = calloc(1, sizeof *process);
    struct loop *loop = container->agent->loop;
    char *id_copy = strdup(id);
    if (!process || !id_copy || fd_set_nonblock(launch->report, 1) < 0 ||
        loop_add_fd(loop, launch->report, EPOLLIN, reports_ready, process, &process->report_source) < 0) {
        launch_done(launch); /* the stages end when nobody listens any more */
        free(process);
        free(id_copy);
        return NULL;
    }
    process->container = container;
    process->id = id_copy;
    process->report = take_fd(&launch->report);
    process->launching = launching;
    process->n_streams = launch->n_streams;
    for (size_t i = 0; i < launch->n_streams; i++)
        open_stream(process, i, launch->streams[i].kind, take_fd(&launch->streams[i].fd));
    process->next = container->processes;
    container->processes = process;
    return process;
}

static void close_report(struct process *process) {
    process->report_source = loop_source_free(process->report_source);
    close_fd(&process->report);
}

static void answer_gone(struct ttrpc_request *request) {
    struct err err = {0};
    err_set(&err, ESRCH, "the process has ended");
    answer_error(request, &err);
}

void process_free(struct process *process) {
    struct container *container = process->container;
    for (struct process **p = &container->processes; *p; p = &(*p)->next)
        if (*p == process) {
            *p = process->next;
            break;
        }
    if (container->own == process)
        container->own = NULL;
    close_report(process);
    for (size_t i = 0; i < process->n_streams; i++) {
        output_close(&process->streams[i].output);
        input_close(&process->streams[i].input);
    }
    if (process->launching)
        answer_gone(process->launching);
    if (process->starting)
        answer_gone(process->starting);
    for (struct waiter *w = process->waiters, *next; w; w = next) {
        next = w->next;
        answer_gone(w->request);
        free(w);
    }
    free(process->id);
    free(process);
}

/* ---- what the stages report ---- */

/* The container's own process may have ended without having been reaped yet. */
static bool container_has_ended(const struct container *container) {
    siginfo_t info = {0};
    if (container->state != CONTAINER_CREATED && container->state != CONTAINER_RUNNING)
        return true;
    return waitid(P_PID, (id_t)container->own->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

static void failed(struct process *process, const struct err *err) {
    close_report(process);
    if (process->starting) {
        answer_error(take_ptr(process->starting), err);
    } else if (process_is_own(process)) {
        container_own_failed(process->container, err); /* may free both */
    } else {
        struct err ended = {0};
        if (container_has_ended(process->container)) { /* whatever it failed with, this is why */
            err_set(&ended, ESRCH, "container not running: its process has ended");
            err = &ended;
        }
        answer_error(take_ptr(process->launching), err);
        process_free(process); /* its child is a stranger from now on */
    }
}

static void ready(struct process *process, int *terminal_master) {
    if (process_has_terminal(process) && *terminal_master >= 0)
        open_stream(process, 0, STREAM_TERMINAL, take_fd(terminal_master));
    process->state = PROCESS_READY;
    if (process_is_own(process))
        container_own_ready(process->container);
    else
        process_go(process);
}

void process_answer_launched(struct process *process) {
    Minka__Agent__V1__CreateContainerResponse response = MINKA__AGENT__V1__CREATE_CONTAINER_RESPONSE__INIT;
    response.pid = process->pid;
    if (process->launching)
        answer(take_ptr(process->launching), &response.base);
}

/* The socket's other ends are all closed: execve has succeeded, or the stages are gone without a word. */
static void report_closed(struct process *process) {
    close_report(process);
    if (process->state == PROCESS_LAUNCHING) {
        struct err err = {0};
        err_set(&err, ECHILD, "the process was killed while it was being set up");
        failed(process, &err);
        return;
    }
    if (process->state == PROCESS_STARTING) {
        process->state = PROCESS_RUNNING;
        process_answer_launched(process);
        if (process->starting)
            answer_empty(take_ptr(process->starting));
        if (process_is_own(process))
            container_own_running(process->container);
    }
    if (process->reaped_early)
        process_exited(process, process->exit_status);
}

/* Stage 1 says whose parent the agent has become. The child may have been reaped before that was known. */
static void learn_pid(struct process *process, pid_t pid) {
    struct agent *agent = process->container->agent;
    process->pid = pid;
    for (size_t i = 0; i < agent->n_early_exits; i++)
        if (agent->early_exits[i].pid == pid) {
            process->exit_status = agent->early_exits[i].status;
            process->reaped_early = true; /* acted on when all reports are read */
            process->pid = 0;             /* the number may be another's by now */
            agent->early_exits[i] = agent->early_exits[--agent->n_early_exits];
            return;
        }
}

void process_read_reports(struct process *process) {
    while (process->report >= 0) {
        struct launch_report report = {0};
        _cleanup_close_ int fd = -EBADF;
        size_t n_fds = 0;
        ssize_t n = receive_with_fds(process->report, &report, sizeof report, &fd, 1, &n_fds);
        if (n == -EAGAIN)
            return;
        if (n != (ssize_t)sizeof report) {
            report_closed(process);
            return;
        }
        struct err err = {0};
        switch (report.kind) {
        case LAUNCH_PID:
            learn_pid(process, report.pid);
            break;
        case LAUNCH_READY:
            ready(process, &fd); /* never frees the process */
            break;
        case LAUNCH_FAILED:
            err_set(&err, report.code > 0 ? report.code : EIO, "%.*s", (int)sizeof report.text - 1, report.text);
            failed(process, &err);
            return;
        default:
            err_set(&err, EBADMSG, "the process that sets up the container sent something unknown");
            failed(process, &err);
            return;
        }
    }
}

void process_go(struct process *process) {
    process->state = PROCESS_STARTING;
    /* A failure means that stage 2 is dead; its end of the socket says so next. */
    (void)send(process->report, "G", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- the end ---- */

void process_answer_waiters(struct process *process) {
    Minka__Agent__V1__WaitResponse response = MINKA__AGENT__V1__WAIT_RESPONSE__INIT;
    if (WIFSIGNALED(process->exit_status))
        response.signal = WTERMSIG(process->exit_status);
    else
        response.exit_code = WEXITSTATUS(process->exit_status);
    response.oom = process->container->oom;
    for (struct waiter *w = process->waiters, *next; w; w = next) {
        next = w->next;
        answer(w->request, &response.base);
        free(w);
        process->waited = true;
    }
    process->waiters = NULL;
}

void process_end_streams(struct process *process) {
    for (size_t i = 0; i < process->n_streams; i++) {
        output_end(&process->streams[i].output);
        input_close(&process->streams[i].input);
    }
}

void process_exited(struct process *process, int exit_status) {
    process->exit_status = exit_status;
    process->pid = 0;
    process->reaped_early = false;
    /* Its last word was read before; stage 1 may still hold the other end. */
    if (process->state == PROCESS_LAUNCHING) {
        report_closed(process); /* may free it */
        return;
    }
    if (process->report >= 0)
        report_closed(process);
    process->state = PROCESS_EXITED;
    if (process_is_own(process)) {
        container_own_exited(process->container);
        return;
    }
    process_end_streams(process);
    process_answer_waiters(process);
}
