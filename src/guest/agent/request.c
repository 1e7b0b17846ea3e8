/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/request.h"

#include "agent.pb-c.h"
#include "guest/agent/plan_check.h"
#include "shared/base/streams.h"
#include "shared/base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>

enum { SIGNAL_MAX = 64 };

static int check_container_id(const char *id, struct err *err) {
    return id_is_valid(id) ? 0 : err_set(err, EINVAL, "'%.100s' is not a container id", id);
}

/* An empty process id means the container's own process. */
static int check_ids(const char *container, const char *process, struct err *err) {
    if (process[0] && !id_is_valid(process))
        return err_set(err, EINVAL, "'%.100s' is not a process id", process);
    return check_container_id(container, err);
}

static int check_hello(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__HelloRequest *request = (const void *)message;
    if (request->entropy.len < REQUEST_ENTROPY_MIN || request->entropy.len > REQUEST_ENTROPY_MAX)
        return err_set(err, EINVAL, "Hello needs %d to %d bytes of entropy, not %zu", REQUEST_ENTROPY_MIN,
                       REQUEST_ENTROPY_MAX, request->entropy.len);
    if (request->time_sec < 0 || request->time_nsec < 0 || request->time_nsec > 999999999)
        return err_set(err, EINVAL, "Hello carries an impossible time");
    return 0;
}

static int check_sandbox(const ProtobufCMessage *message, struct err *err) {
    return plan_check_sandbox((const void *)message, err);
}

static int check_create(const ProtobufCMessage *message, struct err *err) {
    const Minka__Plan__V1__Container *plan = (const void *)message;
    int r = check_container_id(plan->id, err);
    return r < 0 ? r : plan_check_container(plan, err);
}

static int check_container(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__ContainerRequest *request = (const void *)message;
    return check_container_id(request->container, err);
}

static int check_process(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__ProcessRequest *request = (const void *)message;
    return check_ids(request->container, request->process, err);
}

static int check_exec(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__ExecRequest *request = (const void *)message;
    if (!request->process[0])
        return err_set(err, EINVAL, "an exec needs a process id");
    int r = check_ids(request->container, request->process, err);
    return r < 0 ? r : plan_check_process(request->plan, err);
}

static int check_signal(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__SignalRequest *request = (const void *)message;
    if (request->signal < 0 || request->signal > SIGNAL_MAX)
        return err_set(err, EINVAL, "there is no signal %d", request->signal);
    return check_ids(request->container, request->process, err);
}

static int check_stream_number(uint32_t stream, struct err *err) {
    return stream < STREAMS_MAX ? 0 : err_set(err, EINVAL, "there is no stream %u", stream);
}

static int check_stream(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__StreamRequest *request = (const void *)message;
    int r = check_stream_number(request->stream, err);
    return r < 0 ? r : check_ids(request->container, request->process, err);
}

static int check_read(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__ReadRequest *request = (const void *)message;
    if (request->max == 0 || request->max > REQUEST_READ_MAX)
        return err_set(err, EINVAL, "a read is of 1 to %d bytes, not %u", REQUEST_READ_MAX, request->max);
    int r = check_stream_number(request->stream, err);
    return r < 0 ? r : check_ids(request->container, request->process, err);
}

static int check_write(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__WriteRequest *request = (const void *)message;
    int r = check_stream_number(request->stream, err);
    return r < 0 ? r : check_ids(request->container, request->process, err);
}

static int check_resize(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__ResizeRequest *request = (const void *)message;
    if (request->rows > USHRT_MAX || request->columns > USHRT_MAX)
        return err_set(err, EINVAL, "a terminal cannot have %u rows and %u columns", request->rows, request->columns);
    return check_ids(request->container, request->process, err);
}

static int check_update(const ProtobufCMessage *message, struct err *err) {
    const Minka__Agent__V1__UpdateRequest *request = (const void *)message;
    if (!request->cgroup)
        return err_set(err, EINVAL, "an update without settings");
    int r = check_container_id(request->container, err);
    return r < 0 ? r : plan_check_cgroup(request->cgroup, err);
}

static int check_nothing(const ProtobufCMessage *message, struct err *err) {
    (void)message;
    (void)err;
    return 0;
}

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    int (*check)(const ProtobufCMessage *message, struct err *err);
} kinds[REQUEST_KINDS] = {
    [REQUEST_HELLO] = {&minka__agent__v1__hello_request__descriptor, check_hello},
    [REQUEST_SETUP_SANDBOX] = {&minka__plan__v1__sandbox__descriptor, check_sandbox},
    [REQUEST_CREATE_CONTAINER] = {&minka__plan__v1__container__descriptor, check_create},
    [REQUEST_START_CONTAINER] = {&minka__agent__v1__container_request__descriptor, check_container},
    [REQUEST_EXEC_PROCESS] = {&minka__agent__v1__exec_request__descriptor, check_exec},
    [REQUEST_SIGNAL_PROCESS] = {&minka__agent__v1__signal_request__descriptor, check_signal},
    [REQUEST_WAIT_PROCESS] = {&minka__agent__v1__process_request__descriptor, check_process},
    [REQUEST_READ_OUTPUT] = {&minka__agent__v1__read_request__descriptor, check_read},
    [REQUEST_WRITE_INPUT] = {&minka__agent__v1__write_request__descriptor, check_write},
    [REQUEST_CLOSE_INPUT] = {&minka__agent__v1__stream_request__descriptor, check_stream},
    [REQUEST_RESIZE_TERMINAL] = {&minka__agent__v1__resize_request__descriptor, check_resize},
    [REQUEST_PAUSE_CONTAINER] = {&minka__agent__v1__container_request__descriptor, check_container},
    [REQUEST_RESUME_CONTAINER] = {&minka__agent__v1__container_request__descriptor, check_container},
    [REQUEST_UPDATE_CONTAINER] = {&minka__agent__v1__update_request__descriptor, check_update},
    [REQUEST_LIST_PROCESSES] = {&minka__agent__v1__container_request__descriptor, check_container},
    [REQUEST_CONTAINER_STATS] = {&minka__agent__v1__container_request__descriptor, check_container},
    [REQUEST_NEXT_EVENT] = {&minka__agent__v1__empty__descriptor, check_nothing},
    [REQUEST_DELETE_CONTAINER] = {&minka__agent__v1__container_request__descriptor, check_container},
    [REQUEST_SHUTDOWN] = {&minka__agent__v1__empty__descriptor, check_nothing},
    [REQUEST_CLOSE_OUTPUT] = {&minka__agent__v1__stream_request__descriptor, check_stream},
};

int request_read(enum request_kind kind, const uint8_t *payload, size_t length, ProtobufCMessage **ret,
                 struct err *err) {
    ProtobufCMessage *message = protobuf_c_message_unpack(kinds[kind].descriptor, NULL, length, payload);
    if (!message)
        return err_set(err, EBADMSG, "the payload is not a %s", kinds[kind].descriptor->name);
    int r = kinds[kind].check(message, err);
    if (r < 0) {
        protobuf_c_message_free_unpacked(message, NULL);
        return r;
    }
    *ret = message;
    return 0;
}
