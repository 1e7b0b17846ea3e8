/* SPDX-License-Identifier: Apache-2.0 */
/* The calls about a process, see process.h. */
#include "agent.pb-c.h"
#include "guest/agent/container.h"
#include "guest/agent/list.h"
#include "shared/base/cleanup.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

/* Finished execs that nobody has asked to the end are kept, but not without limit. */
enum { EXITED_MAX = 64 };

static void refuse(struct ttrpc_request *request, int code, const char *why) {
    struct err err = {0};
    err_set(&err, code, "%s", why);
    answer_error(request, &err);
}

static struct process *find(struct container *container, const char *id) {
    for (struct process *p = container->processes; p; p = p->next)
        if (strcmp(p->id, id) == 0)
            return p;
    return NULL;
}

struct process *process_find(struct agent *agent, struct ttrpc_request *request, const char *container_id,
                             const char *process_id) {
    struct container *container = container_find(agent, request, container_id);
    struct process *process = container ? find(container, process_id) : NULL;
    if (container && !process) {
        struct err err = {0};
        err_set(&err, ENOENT, "process %s does not exist in container %s", process_id, container_id);
        answer_error(request, &err);
    }
    return process;
}

/* Whether the host has been told the end of all its output. */
static bool is_told(const struct process *process) {
    bool told = true;
    for (size_t i = 0; i < process->n_streams; i++)
        told = told && (process->streams[i].told || !stream_has_output(process->streams[i].kind));
    return told;
}

void process_sweep(struct container *container) {
    size_t kept = 0;
    for (struct process *p = container->processes, *next; p; p = next) { /* the newest first */
        next = p->next;
        if (process_is_own(p) || p->state != PROCESS_EXITED || !p->waited)
            continue;
        if (is_told(p) || ++kept > EXITED_MAX)
            process_free(p);
    }
}

void process_exec_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ExecRequest *r = (const void *)message;
    struct container *container = container_find(agent, request, r->container);
    struct err err = {0};
    if (!container)
        return;
    process_sweep(container);
    struct process *old = find(container, r->process);
    if (container->state != CONTAINER_RUNNING && container->state != CONTAINER_CREATED) {
        refuse(request, ESRCH, "container not running: its process has ended");
        return;
    }
    if (container->paused) {
        refuse(request, EBUSY, "cannot exec in a paused container");
        return;
    }
    if (old && !(old->state == PROCESS_EXITED && old->waited)) {
        refuse(request, EEXIST, "a process with this id exists already in the container");
        return;
    }
    if (old)
        process_free(old);
    struct launch launch;
    if (launch_exec(container->id, container->own->pid, r->plan, &launch, &err) < 0)
        answer_error(request, &err);
    else if (!process_new(container, r->process, &launch, request))
        refuse(request, ENOMEM, "the VM is out of memory");
}

void process_signal_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__SignalRequest *r = (const void *)message;
    struct process *process = process_find(agent, request, r->container, r->process);
    if (!process)
        return;
    struct container *container = process->container;
    int rc = 0;
    if (r->all && (container->state == CONTAINER_RUNNING || container->state == CONTAINER_CREATED))
        rc = r->signal == SIGKILL ? container_cgroup_kill(container->id) : list_signal_all(container->id, r->signal);
    else if (process->pid <= 0)
        rc = -ESRCH;
    else if (kill(process->pid, r->signal) < 0) /* not reaped yet, so the number is still its own */
        rc = -errno;
    if (rc < 0)
        refuse(request, -rc, rc == -ESRCH ? "the process is not running" : "the process cannot be signalled");
    else
        answer_empty(request);
}

void process_wait_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ProcessRequest *r = (const void *)message;
    struct process *process = process_find(agent, request, r->container, r->process);
    if (!process)
        return;
    struct waiter *waiter = calloc(1, sizeof *waiter);
    if (!waiter) {
        refuse(request, ENOMEM, "the VM is out of memory");
        return;
    }
    *waiter = (struct waiter){.next = process->waiters, .request = request};
    process->waiters = waiter;
    /* The container's own end counts only when all is written back. */
    if (process->state == PROCESS_EXITED &&
        (!process_is_own(process) || process->container->state == CONTAINER_STOPPED))
        process_answer_waiters(process);
}

/* ---- streams ---- */

static struct stream *stream_find(struct agent *agent, struct ttrpc_request *request, const char *container,
                                  const char *process_id, uint32_t number, bool (*has)(enum stream_kind kind)) {
    struct process *process = process_find(agent, request, container, process_id);
    if (process && (number >= process->n_streams || !has(process->streams[number].kind))) {
        refuse(request, EINVAL, "the process has no such stream");
        return NULL;
    }
    return process ? &process->streams[number] : NULL;
}

static void output_taken(void *data, const uint8_t *bytes, size_t length, bool eof, bool drained) {
    struct stream *stream = data;
    Minka__Agent__V1__ReadResponse response = MINKA__AGENT__V1__READ_RESPONSE__INIT;
    response.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)bytes, .len = length};
    response.eof = eof;
    response.drained = drained;
    response.hung_up = stream->output.hung_up;
    stream->told |= eof || drained;
    answer(take_ptr(stream->read), &response.base);
}

void process_read_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ReadRequest *r = (const void *)message;
    struct stream *stream = stream_find(agent, request, r->container, r->process, r->stream, stream_has_output);
    if (!stream)
        return;
    if (stream->read) {
        refuse(request, EBUSY, "another read of this stream is waiting");
        return;
    }
    stream->read = request;
    (void)output_read(&stream->output, r->max, output_taken, stream);
}

static void input_taken(void *data, int code) {
    struct stream *stream = data;
    struct ttrpc_request *request = take_ptr(stream->write);
    if (code == 0)
        answer_empty(request);
    else
        refuse(request, code, "nobody reads this stream of the process any more");
}

void process_write_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__WriteRequest *r = (const void *)message;
    struct stream *stream = stream_find(agent, request, r->container, r->process, r->stream, stream_has_input);
    if (!stream)
        return;
    if (stream->write) {
        refuse(request, EBUSY, "another write to this stream is waiting");
        return;
    }
    stream->write = request;
    int rc = input_write(&stream->input, r->data.data, r->data.len, input_taken, stream);
    if (rc < 0)
        input_taken(stream, -rc);
}

void process_close_input_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__StreamRequest *r = (const void *)message;
    struct stream *stream = stream_find(agent, request, r->container, r->process, r->stream, stream_has_input);
    if (!stream)
        return;
    input_finish(&stream->input);
    answer_empty(request);
}

/* From now on the process gets SIGPIPE when it writes there, as with a pipe whose reader has gone. */
void process_close_output_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__StreamRequest *r = (const void *)message;
    struct stream *stream = stream_find(agent, request, r->container, r->process, r->stream, stream_has_output);
    if (!stream)
        return;
    stream->told = true; /* it does not want to know any more */
    output_refuse(&stream->output);
    answer_empty(request);
}

void process_resize_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ResizeRequest *r = (const void *)message;
    struct process *process = process_find(agent, request, r->container, r->process);
    if (!process)
        return;
    struct winsize size = {.ws_row = (unsigned short)r->rows, .ws_col = (unsigned short)r->columns};
    const struct output *terminal = &process->streams[0].output;
    if (!process_has_terminal(process))
        refuse(request, ENOTTY, "the process has no terminal");
    else if (terminal->fd < 0 || ioctl(terminal->fd, TIOCSWINSZ, &size) < 0)
        refuse(request, ESRCH, "the process's terminal is closed");
    else
        answer_empty(request);
}
