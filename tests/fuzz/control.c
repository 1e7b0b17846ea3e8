/* SPDX-License-Identifier: Apache-2.0 */
/* Control records: what passes the checks must be safe to use as text and as numbers. */
#include "facts/control/control.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_printable(const char *text, size_t size) {
    if (strnlen(text, size) == size)
        abort();
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct control_request request = {0};
    struct control_reply reply = {0};
    struct standin_message message = {0};
    memcpy(&request, data, size < sizeof request ? size : sizeof request);
    memcpy(&reply, data, size < sizeof reply ? size : sizeof reply);
    memcpy(&message, data, size < sizeof message ? size : sizeof message);
    if (control_request_check(&request, (ssize_t)size) == 0) {
        must_be_printable(request.container, sizeof request.container);
        must_be_printable(request.process, sizeof request.process);
        if (strchr(request.container, '/') || strchr(request.process, '/') || request.signal > 64)
            abort();
    }
    /* Whatever it says it answers. */
    if (control_reply_check(&reply, (ssize_t)size, (enum control_op)reply.op) == 0) {
        must_be_printable(reply.text, sizeof reply.text);
        must_be_printable(reply.process.terminal, sizeof reply.process.terminal);
    }
    if (standin_message_check(&message, (ssize_t)size) == 0 && message.op == STANDIN_EXITED && message.value > 255)
        abort();
    return 0;
}
