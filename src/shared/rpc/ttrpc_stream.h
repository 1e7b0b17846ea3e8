/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ttrpc's client and server have in common: one non-blocking byte stream cut
 * into frames, and a bounded queue of frames to be written. Private to this room.
 *
 * The stream may be freed from inside its own callbacks.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/rpc/ttrpc.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

enum { TTRPC_REQUEST = 1, TTRPC_RESPONSE = 2, TTRPC_DATA = 3 };
enum { TTRPC_REMOTE_CLOSED = 1, TTRPC_REMOTE_OPEN = 2 };

/* Return 0, or a negative errno with the sentence in err: the stream is then broken and on_end follows. */
typedef int ttrpc_frame_fn(void *data, const struct ttrpc_header *header, const uint8_t *payload, struct err *err);

struct ttrpc_stream {
    int fd;
    bool is_socket;
    struct loop_source *source;
    struct loop_source *wake; /* timer: report a write error soon */
    struct buf in;
    struct buf out;
    size_t written;  /* bytes of out that the kernel has taken */
    int write_error; /* errno; nothing more is queued, but what the peer still said is read first */
    bool ended;
    bool *freed; /* set while callbacks run */
    ttrpc_frame_fn *on_frame;
    ttrpc_closed_fn *on_end; /* once */
    void *data;
};

int ttrpc_stream_open(struct ttrpc_stream *stream, struct loop *loop, int fd, ttrpc_frame_fn *on_frame,
                      ttrpc_closed_fn *on_end, void *data, struct err *err);
void ttrpc_stream_close(struct ttrpc_stream *stream);

/* Queue one frame. 0, -EMSGSIZE, -ENOBUFS, -ENOMEM, -EPIPE. */
int ttrpc_stream_send(struct ttrpc_stream *stream, uint32_t stream_id, uint8_t type, uint8_t flags,
                      const ProtobufCMessage *message);

/* The queue cannot hold what must be sent: let the stream end with this error. */
void ttrpc_stream_abort(struct ttrpc_stream *stream, int code);

size_t ttrpc_stream_backlog(const struct ttrpc_stream *stream);
