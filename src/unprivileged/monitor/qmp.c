/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/qmp.h"

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <string.h>
#include <sys/socket.h>

enum { READ_CHUNK = 16 << 10 };

static const char *const command_names[] = {
    [QMP_CAPABILITIES] = "qmp_capabilities", [QMP_CONT] = "cont", [QMP_QUIT] = "quit"};

struct qmp {
    int fd;
    struct loop_source *source;
    struct qmp_handlers handlers;
    void *data;
    struct buf in;
    bool greeted, loaded;
    bool *freed;
};

int qmp_execute(struct qmp *q, enum qmp_command command) {
    char line[128];
    /* The command's number is its id: none is sent twice. */
    int n = snprintf(line, sizeof line, "{\"execute\":\"%s\",\"id\":%d}\r\n", command_names[command], (int)command);
    ssize_t sent = send(q->fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == n)
        return 0;
    /* A socket that has room for nothing belongs to a QEMU that does not read; short lines go whole or not at all. */
    return sent < 0 ? -errno : -EPIPE;
}

static int on_reply(struct qmp *q, const struct qmp_message *m, struct err *err) {
    if (m->id < QMP_CAPABILITIES || m->id > QMP_QUIT)
        return err_set(err, EBADMSG, "it answered a command that was never sent");
    enum qmp_command command = (enum qmp_command)m->id;
    if (m->kind == QMP_ERROR)
        q->handlers.failed(q->data, command, m->text);
    else if (command == QMP_CAPABILITIES && !q->loaded) {
        /* Commands run in QEMU's main loop, which starts when the machine is complete: this answer says so. */
        q->loaded = true;
        q->handlers.loaded(q->data);
    }
    return 0;
}

static int on_message(struct qmp *q, const struct qmp_message *m, struct err *err) {
    switch (m->kind) {
    case QMP_GREETING:
        if (q->greeted)
            return err_set(err, EBADMSG, "it sent a second greeting");
        q->greeted = true;
        return qmp_execute(q, QMP_CAPABILITIES) < 0 ? err_set(err, EPIPE, "QEMU does not read its control socket") : 0;
    case QMP_RETURN:
    case QMP_ERROR:
        return on_reply(q, m, err);
    case QMP_EVENT:
        q->handlers.event(q->data, m);
        return 0;
    }
    return 0;
}

/* Every whole line. 1: q is gone. */
static int take_lines(struct qmp *q, const bool *freed, struct err *err) {
    size_t done = 0;
    uint8_t *newline;
    while ((newline = memchr(q->in.data + done, '\n', q->in.length - done))) {
        const char *line = (const char *)q->in.data + done;
        size_t length = (size_t)(newline - q->in.data) - done;
        done += length + 1;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        if (length == 0)
            continue;
        struct qmp_message message;
        int r = qmp_message_parse(line, length, &message, err);
        if (r == 0)
            r = on_message(q, &message, err);
        if (*freed)
            return 1;
        if (r < 0)
            return r;
    }
    buf_consume(&q->in, done);
    if (q->in.length > QMP_LINE_MAX)
        return err_set(err, EBADMSG, "the line is longer than %d bytes", QMP_LINE_MAX);
    return 0;
}

static void end(struct qmp *q, const struct err *why) {
    q->source = loop_source_free(q->source);
    q->handlers.closed(q->data, why);
}

static void on_readable(void *data, uint32_t events) {
    (void)events;
    struct qmp *q = data;
    struct err err = {0};
    if (buf_reserve(&q->in, READ_CHUNK) < 0) {
        err_set(&err, ENOMEM, "out of memory reading QEMU's control socket");
        return end(q, &err);
    }
    ssize_t n = read(q->fd, q->in.data + q->in.length, READ_CHUNK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) /* an unread command of ours makes the kernel say ECONNRESET instead of end of file */
        return end(q, &err);
    q->in.length += (size_t)n;
    bool freed = false;
    q->freed = &freed;
    int r = take_lines(q, &freed, &err);
    if (r == 1)
        return;
    q->freed = NULL;
    if (r < 0) {
        if (r == -EBADMSG)
            (void)err_wrap(&err, "QEMU's control socket sent something that is not QMP");
        end(q, &err);
    }
}

int qmp_new(struct loop *loop, int fd, const struct qmp_handlers *handlers, void *data, struct qmp **ret,
            struct err *err) {
    struct qmp *q = calloc(1, sizeof *q);
    if (!q)
        return err_set(err, ENOMEM, "out of memory");
    *q = (struct qmp){.fd = fd, .handlers = *handlers, .data = data};
    int r = fd_set_nonblock(fd, 1);
    if (r == 0)
        r = loop_add_fd(loop, fd, EPOLLIN, on_readable, q, &q->source);
    if (r < 0) {
        free(q);
        return err_set(err, -r, "cannot watch QEMU's control socket on descriptor %d", fd);
    }
    *ret = q;
    return 0;
}

struct qmp *qmp_free(struct qmp *q) {
    if (!q)
        return NULL;
    if (q->freed)
        *q->freed = true;
    (void)loop_source_free(q->source);
    buf_done(&q->in);
    free(q);
    return NULL;
}
