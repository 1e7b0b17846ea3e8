/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a call to a checked message. Pure: nothing is looked up and nothing is executed. */
#pragma once

#include "shared/base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

enum request_kind {
    REQUEST_HELLO,
    REQUEST_SETUP_SANDBOX,
    REQUEST_CREATE_CONTAINER,
    REQUEST_START_CONTAINER,
    REQUEST_EXEC_PROCESS,
    REQUEST_SIGNAL_PROCESS,
    REQUEST_WAIT_PROCESS,
    REQUEST_READ_OUTPUT,
    REQUEST_WRITE_INPUT,
    REQUEST_CLOSE_INPUT,
    REQUEST_RESIZE_TERMINAL,
    REQUEST_PAUSE_CONTAINER,
    REQUEST_RESUME_CONTAINER,
    REQUEST_UPDATE_CONTAINER,
    REQUEST_LIST_PROCESSES,
    REQUEST_CONTAINER_STATS,
    REQUEST_NEXT_EVENT,
    REQUEST_DELETE_CONTAINER,
    REQUEST_SHUTDOWN,
    REQUEST_CLOSE_OUTPUT,
    REQUEST_KINDS,
};

enum { REQUEST_ENTROPY_MIN = 64, REQUEST_ENTROPY_MAX = 4096, REQUEST_READ_MAX = 1 << 20 };

/*
 * The message of a call: 0 and a message to be freed with protobuf_c_message_free_unpacked(), -EBADMSG when the bytes
 * are not such a message, -EINVAL when a field's value can never be right.
 */
int request_read(enum request_kind kind, const uint8_t *payload, size_t length, ProtobufCMessage **ret,
                 struct err *err);
