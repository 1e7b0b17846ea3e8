/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/service.h"

#include "agent.pb-c.h"
#include "guest/agent/container.h"
#include "guest/agent/power.h"
#include "guest/agent/request.h"
#include "guest/agent/write_back.h"
#include "shared/base/cleanup.h"
#include "shared/rpc/version.h"

static agent_handler shutdown_run;

/* ---- answers ---- */

void answer(struct ttrpc_request *request, const ProtobufCMessage *message) {
    size_t length = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *packed = malloc(length ? length : 1);
    if (!packed) {
        ttrpc_fail(request, TTRPC_UNAVAILABLE, "the VM is out of memory");
        return;
    }
    (void)protobuf_c_message_pack(message, packed);
    ttrpc_respond(request, packed, length);
}

void answer_empty(struct ttrpc_request *request) {
    ttrpc_respond(request, NULL, 0);
}

static enum ttrpc_code code_of(int error) {
    switch (error) {
    case ENOENT:
    case ESRCH:
        return TTRPC_NOT_FOUND;
    case EEXIST:
        return TTRPC_ALREADY_EXISTS;
    case EINVAL:
    case EBADMSG:
    case ENOTDIR:
    case ELOOP:
    case E2BIG:
    case ENAMETOOLONG:
        return TTRPC_INVALID_ARGUMENT;
    case ENOSYS:
    case EOPNOTSUPP:
        return TTRPC_UNIMPLEMENTED;
    case ENOMEM:
    case EAGAIN:
    case ENOSPC:
        return TTRPC_UNAVAILABLE;
    case EBUSY:
    case EPIPE:
    case EPERM:
    case EACCES:
    case EPROTO:
    case ENOTTY:
    case ENOEXEC:
        return TTRPC_FAILED_PRECONDITION;
    default:
        return TTRPC_UNKNOWN;
    }
}

void answer_error(struct ttrpc_request *request, const struct err *err) {
    ttrpc_fail(request, code_of(err->code), err->text);
}

/* ---- calls ---- */

/* Hello first and once, then SetupSandbox once, then the rest. */
static int check_order(const struct agent *agent, enum request_kind kind, struct err *err) {
    if (kind == REQUEST_SHUTDOWN)
        return 0;
    if (agent->greeted == (kind == REQUEST_HELLO))
        return err_set(err, EPROTO, agent->greeted ? "Hello has been said already" : "the first call must be Hello");
    if (kind != REQUEST_HELLO && agent->set_up == (kind == REQUEST_SETUP_SANDBOX))
        return err_set(err, EPROTO,
                       agent->set_up ? "the sandbox has been set up already" : "the second call must be SetupSandbox");
    return 0;
}

static void serve(struct agent *agent, struct ttrpc_request *request, enum request_kind kind, agent_handler *run,
                  const uint8_t *payload, size_t length) {
    struct err err = {0};
    ProtobufCMessage *message = NULL;
    if (check_order(agent, kind, &err) < 0 || request_read(kind, payload, length, &message, &err) < 0) {
        answer_error(request, &err);
        return;
    }
    run(agent, request, message);
    protobuf_c_message_free_unpacked(message, NULL);
}

#define SERVICE_METHODS(METHOD)                                                                                        \
    METHOD(REQUEST_HELLO, Hello, hello_run)                                                                            \
    METHOD(REQUEST_SETUP_SANDBOX, SetupSandbox, sandbox_run)                                                           \
    METHOD(REQUEST_CREATE_CONTAINER, CreateContainer, container_create_run)                                            \
    METHOD(REQUEST_START_CONTAINER, StartContainer, container_start_run)                                               \
    METHOD(REQUEST_EXEC_PROCESS, ExecProcess, process_exec_run)                                                        \
    METHOD(REQUEST_SIGNAL_PROCESS, SignalProcess, process_signal_run)                                                  \
    METHOD(REQUEST_WAIT_PROCESS, WaitProcess, process_wait_run)                                                        \
    METHOD(REQUEST_READ_OUTPUT, ReadOutput, process_read_run)                                                          \
    METHOD(REQUEST_WRITE_INPUT, WriteInput, process_write_run)                                                         \
    METHOD(REQUEST_CLOSE_INPUT, CloseInput, process_close_input_run)                                                   \
    METHOD(REQUEST_CLOSE_OUTPUT, CloseOutput, process_close_output_run)                                                \
    METHOD(REQUEST_RESIZE_TERMINAL, ResizeTerminal, process_resize_run)                                                \
    METHOD(REQUEST_PAUSE_CONTAINER, PauseContainer, container_pause_run)                                               \
    METHOD(REQUEST_RESUME_CONTAINER, ResumeContainer, container_resume_run)                                            \
    METHOD(REQUEST_UPDATE_CONTAINER, UpdateContainer, container_update_run)                                            \
    METHOD(REQUEST_LIST_PROCESSES, ListProcesses, container_list_run)                                                  \
    METHOD(REQUEST_CONTAINER_STATS, ContainerStats, container_stats_run)                                               \
    METHOD(REQUEST_NEXT_EVENT, NextEvent, event_next_run)                                                              \
    METHOD(REQUEST_DELETE_CONTAINER, DeleteContainer, container_delete_run)                                            \
    METHOD(REQUEST_SHUTDOWN, Shutdown, shutdown_run)

#define SERVICE_FUNCTION(kind, name, run)                                                                              \
    static void serve_##name(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {       \
        serve(data, request, kind, run, payload, length);                                                              \
    }
SERVICE_METHODS(SERVICE_FUNCTION)

#define SERVICE_ENTRY(kind, name, run) {#name, serve_##name},
static const struct ttrpc_method methods[] = {SERVICE_METHODS(SERVICE_ENTRY){NULL, NULL}};

/* ---- the end ---- */

/* A container that has ended has nothing left to write but pages; one that has not may have a mounted disk. */
static void write_back_at_end(const struct agent *agent) {
    bool needed = false;
    for (const struct container *c = agent->containers; c; c = c->next)
        needed |= c->state != CONTAINER_STOPPED;
    if (needed || write_back_needed())
        write_back(agent->shares, agent->n_shares);
}

static void answered_shutdown(void *data) {
    (void)data;
    power_off();
}

static void shutdown_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    (void)message;
    struct loop_source *timer;
    write_back_at_end(agent);
    answer_empty(request);
    /* Usually the answer has left with this. If not, the loop gets a little time to send it. */
    int64_t patience = ttrpc_server_backlog(agent->server) > 0 ? 100 : 0;
    if (loop_add_timer(agent->loop, patience, answered_shutdown, agent, &timer) < 0)
        power_off();
}

static void host_gone(void *data, const struct err *why) {
    write_back_at_end(data);
    if (why->code != 0)
        power_off_failed(why);
    power_off();
}

int service_start(struct agent *agent, int channel, struct err *err) {
    return ttrpc_server_new(agent->loop, channel, AGENT_SERVICE, methods, host_gone, agent, &agent->server, err);
}
