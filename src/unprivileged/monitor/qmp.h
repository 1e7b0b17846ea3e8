/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of QEMU's machine protocol (docs/interop/qmp-spec of QEMU), as much as a running sandbox needs: the
 * greeting, three commands without arguments, and the events that say that the machine stops being one.
 *
 * QEMU's bytes are hostile (a guest that has taken QEMU over speaks here): lines are bounded, a message is read
 * into fixed fields, and nothing that QEMU says makes the monitor do more than end the sandbox.
 */
#pragma once

#include "shared/base/err.h"
#include "shared/base/loop.h"

#include <stdbool.h>
#include <stdint.h>

enum { QMP_LINE_MAX = 64 << 10, QMP_TEXT_MAX = 256 };

enum qmp_kind { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };
struct qmp_message {
    enum qmp_kind kind;
    uint64_t id;             /* RETURN, ERROR */
    char text[QMP_TEXT_MAX]; /* EVENT: its name; ERROR: the description; printable */
    char reason[64];         /* EVENT: data.reason or data.action, else "" */
    bool open;               /* EVENT: data.open */
};

/* One line without its end. 0, or -EBADMSG with what is wrong with it. Pure. */
int qmp_message_parse(const char *line, size_t length, struct qmp_message *ret, struct err *err);

struct qmp;
enum qmp_command { QMP_CAPABILITIES = 1, QMP_CONT, QMP_QUIT };

struct qmp_handlers {
    void (*loaded)(void *data); /* the machine is built and answers */
    void (*event)(void *data, const struct qmp_message *message);
    void (*failed)(void *data, enum qmp_command command, const char *why); /* a command was refused */
    void (*closed)(void *data, const struct err *why);                     /* once; code 0: QEMU closed it */
};

/* fd stays the caller's and is made non-blocking. */
int qmp_new(struct loop *loop, int fd, const struct qmp_handlers *handlers, void *data, struct qmp **ret,
            struct err *err);
struct qmp *qmp_free(struct qmp *qmp);

/* 0 or -errno; a refusal arrives at failed, a broken connection at closed. */
int qmp_execute(struct qmp *qmp, enum qmp_command command);
