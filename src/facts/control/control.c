/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/control/control.h"

#include "shared/base/text.h"

#include <errno.h>
#include <string.h>

enum { SIGNAL_MAX = 64, TERMINAL_SIZE_MAX = UINT16_MAX /* struct winsize, ioctl_tty(2) */ };

static bool text_ends(const char *text, size_t size) {
    return memchr(text, '\0', size) != NULL;
}

static bool id_or_empty(const char *id) {
    return text_ends(id, CONTROL_ID_MAX) && (id[0] == '\0' || id_is_valid(id));
}

int control_request_check(const struct control_request *request, ssize_t n) {
    if (n != (ssize_t)sizeof *request || request->magic != CONTROL_MAGIC)
        return -EBADMSG;
    if (request->op < CONTROL_LOAD || request->op > CONTROL_DELETE)
        return -EBADMSG;
    if (request->flags & ~(uint32_t)CONTROL_ALL)
        return -EBADMSG;
    if (request->signal < 0 || request->signal > SIGNAL_MAX)
        return -EBADMSG;
    if (request->rows > TERMINAL_SIZE_MAX || request->columns > TERMINAL_SIZE_MAX)
        return -EBADMSG;
    if (!id_or_empty(request->container) || !id_or_empty(request->process))
        return -EBADMSG;
    /* Everything but the sandbox's own start is about a container. */
    if (request->op > CONTROL_BOOT && request->container[0] == '\0')
        return -EBADMSG;
    if (request->op == CONTROL_EXEC && request->process[0] == '\0')
        return -EBADMSG;
    bool has_streams = request->op == CONTROL_CREATE || request->op == CONTROL_EXEC;
    if (has_streams ? !streams_are_valid(request->streams, request->n_streams) : request->n_streams != 0)
        return -EBADMSG;
    return 0;
}

int control_reply_check(struct control_reply *reply, ssize_t n, enum control_op op) {
    if (n != (ssize_t)sizeof *reply || reply->magic != CONTROL_MAGIC || reply->op != (uint32_t)op)
        return -EBADMSG;
    /* As far as the kernel's own error numbers go; err_set() negates them. */
    if (reply->status > 0 || reply->status < -4095 || reply->more > 1)
        return -EBADMSG;
    if (!text_ends(reply->text, sizeof reply->text) ||
        !text_ends(reply->process.terminal, sizeof reply->process.terminal))
        return -EBADMSG;
    text_make_printable(reply->text);
    text_make_printable(reply->process.terminal);
    return 0;
}

int standin_message_check(const struct standin_message *message, ssize_t n) {
    if (n != (ssize_t)sizeof *message || message->magic != CONTROL_MAGIC)
        return -EBADMSG;
    switch (message->op) {
    case STANDIN_SIGNAL:
        return message->value >= 1 && message->value <= SIGNAL_MAX ? 0 : -EBADMSG;
    case STANDIN_RESIZE:
        return message->rows <= TERMINAL_SIZE_MAX && message->columns <= TERMINAL_SIZE_MAX ? 0 : -EBADMSG;
    case STANDIN_EXITED:
        if (message->signal < 0 || message->signal > SIGNAL_MAX)
            return -EBADMSG;
        return message->value >= 0 && message->value <= 255 ? 0 : -EBADMSG;
    default:
        return -EBADMSG;
    }
}
