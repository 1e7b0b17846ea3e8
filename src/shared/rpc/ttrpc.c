/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/rpc/ttrpc.h"

#include "shared/base/fd.h"
#include "shared/rpc/ttrpc_stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_CHUNK = 64 << 10,
    READ_PER_WAKEUP = 256 << 10, /* then other sources get their turn */
    KEEP_CAPACITY = 1 << 20,     /* an idle buffer larger than this is given back */
};

int ttrpc_header_parse(const uint8_t *data, size_t length, struct ttrpc_header *ret) {
    struct reader r = reader_of(data, length);
    struct ttrpc_header h;
    if (length < TTRPC_HEADER_SIZE)
        return 0;
    if (reader_be32(&r, &h.length) < 0 || reader_be32(&r, &h.stream_id) < 0 || reader_u8(&r, &h.type) < 0 ||
        reader_u8(&r, &h.flags) < 0)
        return -EBADMSG;
    if (h.length > TTRPC_MESSAGE_MAX)
        return -EMSGSIZE;
    if (h.type < TTRPC_REQUEST || h.type > TTRPC_DATA || h.stream_id == 0)
        return -EBADMSG;
    *ret = h;
    return 1;
}

size_t ttrpc_stream_backlog(const struct ttrpc_stream *s) {
    return s->out.length - s->written;
}

static void update_events(struct ttrpc_stream *s) {
    (void)loop_source_set_events(s->source, EPOLLIN | (ttrpc_stream_backlog(s) > 0 ? (uint32_t)EPOLLOUT : 0));
    /* A write error is reported from the loop, never from inside a send. */
    if (s->write_error)
        (void)loop_timer_set(s->wake, 0);
}

static void trim(struct buf *buf) {
    if (buf->length == 0 && buf->capacity > KEEP_CAPACITY)
        buf_done(buf);
}

static void flush(struct ttrpc_stream *s) {
    while (!s->write_error && ttrpc_stream_backlog(s) > 0) {
        const uint8_t *data = s->out.data + s->written;
        size_t left = ttrpc_stream_backlog(s);
        ssize_t n = s->is_socket ? send(s->fd, data, left, MSG_NOSIGNAL | MSG_DONTWAIT) : write(s->fd, data, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            s->write_error = errno;
            break;
        }
        s->written += (size_t)n;
    }
    if (s->write_error || s->written == s->out.length) {
        s->out.length = s->written = 0;
        trim(&s->out);
    } else if (s->written > KEEP_CAPACITY) {
        buf_consume(&s->out, s->written);
        s->written = 0;
    }
    update_events(s);
}

int ttrpc_stream_send(struct ttrpc_stream *s, uint32_t stream_id, uint8_t type, uint8_t flags,
                      const ProtobufCMessage *message) {
    size_t length = protobuf_c_message_get_packed_size(message);
    if (s->ended || s->write_error)
        return -EPIPE;
    if (length > TTRPC_MESSAGE_MAX)
        return -EMSGSIZE;
    if (ttrpc_stream_backlog(s) + TTRPC_HEADER_SIZE + length > TTRPC_QUEUE_MAX)
        return -ENOBUFS;
    if (buf_reserve(&s->out, TTRPC_HEADER_SIZE + length) < 0)
        return -ENOMEM;
    const uint8_t kind[2] = {type, flags};
    (void)buf_append_be32(&s->out, (uint32_t)length);
    (void)buf_append_be32(&s->out, stream_id);
    (void)buf_append(&s->out, kind, sizeof kind);
    (void)protobuf_c_message_pack(message, s->out.data + s->out.length);
    s->out.length += length;
    flush(s);
    return 0;
}

void ttrpc_stream_abort(struct ttrpc_stream *s, int code) {
    s->write_error = code;
    s->out.length = s->written = 0;
    update_events(s);
}

static void end(struct ttrpc_stream *s, const struct err *why) {
    s->ended = true;
    s->source = loop_source_free(s->source);
    s->wake = loop_source_free(s->wake);
    s->on_end(s->data, why); /* may free s */
}

enum fill { FILL_MORE, FILL_BLOCKED, FILL_END, FILL_FAILED };

static enum fill fill(struct ttrpc_stream *s, struct err *err) {
    for (size_t total = 0; total < READ_PER_WAKEUP;) {
        size_t want = s->is_socket ? READ_PER_WAKEUP : READ_CHUNK;
        if (buf_reserve(&s->in, want) < 0) {
            err_set(err, ENOMEM, "out of memory reading from the connection");
            return FILL_FAILED;
        }
        ssize_t n = read(s->fd, s->in.data + s->in.length, want);
        if (n == 0)
            return FILL_END;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return total > 0 ? FILL_MORE : FILL_BLOCKED;
        if (n < 0) {
            /* ECONNRESET, and ENODEV of an unplugged virtio port: the peer is gone, all the same. */
            err_errno(err, "the connection broke");
            return FILL_FAILED;
        }
        s->in.length += (size_t)n;
        total += (size_t)n;
        /* A socket hands over all it has at once; a virtio port one buffer at a time. */
        if (s->is_socket)
            break;
    }
    return FILL_MORE;
}

/* Hand out every whole frame. 1: s is gone; 0; or a negative errno. */
static int parse(struct ttrpc_stream *s, const bool *freed, struct err *err) {
    size_t done = 0;
    int r = 0;
    for (;;) {
        struct ttrpc_header header;
        r = ttrpc_header_parse(s->in.data + done, s->in.length - done, &header);
        if (r < 0)
            return err_set(err, -r,
                           r == -EMSGSIZE ? "the peer sent a message above the limit of 4 MiB"
                                          : "the peer sent a malformed frame");
        if (r == 0 || s->in.length - done - TTRPC_HEADER_SIZE < header.length)
            break;
        r = s->on_frame(s->data, &header, s->in.data + done + TTRPC_HEADER_SIZE, err);
        if (*freed)
            return 1;
        if (r < 0)
            return r;
        done += TTRPC_HEADER_SIZE + header.length;
    }
    buf_consume(&s->in, done);
    trim(&s->in);
    return 0;
}

static void on_ready(void *data, uint32_t events) {
    struct ttrpc_stream *s = data;
    bool freed = false;
    struct err err = {0};
    s->freed = &freed;
    if (events & EPOLLOUT)
        flush(s);
    enum fill got = fill(s, &err);
    int r = s->in.length > 0 ? parse(s, &freed, &err) : 0;
    if (r == 1)
        return;
    s->freed = NULL;
    if (r < 0)
        return end(s, &err);
    if (got == FILL_END && s->in.length > 0) {
        err_set(&err, EBADMSG, "the connection ended in the middle of a message");
        return end(s, &err);
    }
    if (got == FILL_END || got == FILL_FAILED)
        return end(s, &err);
    if (got == FILL_BLOCKED && s->write_error) {
        errno = s->write_error;
        err_errno(&err, "the connection broke");
        return end(s, &err);
    }
    if (got == FILL_BLOCKED && (events & EPOLLHUP))
        return end(s, &err); /* a virtio port whose host side has gone */
    if (s->write_error)      /* what the peer still says comes first */
        (void)loop_timer_set(s->wake, 0);
}

static void on_wake(void *data) {
    on_ready(data, 0);
}

int ttrpc_stream_open(struct ttrpc_stream *s, struct loop *loop, int fd, ttrpc_frame_fn *on_frame,
                      ttrpc_closed_fn *on_end, void *data, struct err *err) {
    int type;
    socklen_t length = sizeof type;
    *s = (struct ttrpc_stream){.fd = fd, .on_frame = on_frame, .on_end = on_end, .data = data};
    s->is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
    int r = fd_set_nonblock(fd, 1);
    if (r == 0)
        r = loop_add_timer(loop, -1, on_wake, s, &s->wake);
    if (r == 0)
        r = loop_add_fd(loop, fd, EPOLLIN, on_ready, s, &s->source);
    if (r < 0)
        return err_set(err, -r, "cannot watch the connection on descriptor %d", fd);
    return 0;
}

void ttrpc_stream_close(struct ttrpc_stream *s) {
    if (s->freed)
        *s->freed = true;
    s->source = loop_source_free(s->source);
    s->wake = loop_source_free(s->wake);
    buf_done(&s->in);
    buf_done(&s->out);
}
