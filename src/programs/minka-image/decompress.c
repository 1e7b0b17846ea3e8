/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/decompress.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum {
    STEP = 1 << 20,              /* output grows by this */
    LZ4_BLOCK_MAX = 8 << 20,     /* of the legacy frame, lz4_Frame_format.md */
    LZMA_MEMORY_MAX = 256 << 20, /* kernels are packed with a dictionary of 32 to 128 MiB */
};

enum packing packing_of(const uint8_t *data, size_t length) {
    static const struct {
        enum packing packing;
        size_t length;
        uint8_t magic[6];
    } magics[] = {
        {PACKING_GZIP, 3, {0x1f, 0x8b, 8}},
        {PACKING_XZ, 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
        {PACKING_ZSTD, 4, {0x28, 0xb5, 0x2f, 0xfd}},
        {PACKING_LZ4, 4, {0x02, 0x21, 0x4c, 0x18}},
        {PACKING_LZMA, 3, {0x5d, 0, 0}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
        if (length >= magics[i].length && memcmp(data, magics[i].magic, magics[i].length) == 0)
            return magics[i].packing;
    return PACKING_NONE;
}

static int damaged(struct err *err, const char *name, const char *format) {
    return err_set(err, EBADMSG, "%s is damaged: its %s data cannot be unpacked", name, format);
}

/* Room for the next step. -EFBIG when the output has reached its bound: a whole step more is only granted below it. */
static int more(struct buf *out, size_t start, size_t max, size_t *ret_room, const char *name, struct err *err) {
    size_t used = out->length - start;
    if (used >= max)
        return err_set(err, EFBIG, "%s unpacks to more than %zu bytes", name, max);
    size_t room = max - used < STEP ? max - used : STEP;
    if (buf_reserve(out, room) < 0)
        return err_set(err, ENOMEM, "out of memory unpacking %s", name);
    *ret_room = room;
    return 0;
}

static void end_inflate(z_stream *stream) {
    (void)inflateEnd(stream);
}

static int unpack_gzip(const uint8_t *data, size_t length, size_t max, const char *name, struct buf *ret,
                       struct err *err) {
    __attribute__((cleanup(end_inflate))) z_stream stream = {0};
    size_t start = ret->length;
    if (length > UINT32_MAX)
        return damaged(err, name, "gzip");
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) /* 16: a gzip header, zlib.h */
        return err_set(err, ENOMEM, "out of memory unpacking %s", name);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)length;
    for (;;) {
        size_t room = 0;
        int r = more(ret, start, max, &room, name, err);
        if (r < 0)
            return r;
        stream.next_out = ret->data + ret->length;
        stream.avail_out = (uInt)room;
        int z = inflate(&stream, Z_NO_FLUSH);
        ret->length += room - stream.avail_out;
        if (z == Z_STREAM_END)
            return 0;
        if (z != Z_OK || (stream.avail_in == 0 && stream.avail_out > 0))
            return damaged(err, name, "gzip");
    }
}

static int unpack_lzma(const uint8_t *data, size_t length, bool alone, size_t max, const char *name, struct buf *ret,
                       struct err *err) {
    __attribute__((cleanup(lzma_end))) lzma_stream stream = LZMA_STREAM_INIT;
    size_t start = ret->length;
    lzma_ret z =
        alone ? lzma_alone_decoder(&stream, LZMA_MEMORY_MAX) : lzma_stream_decoder(&stream, LZMA_MEMORY_MAX, 0);
    if (z != LZMA_OK)
        return err_set(err, ENOMEM, "out of memory unpacking %s", name);
    stream.next_in = data;
    stream.avail_in = length;
    for (;;) {
        size_t room = 0;
        int r = more(ret, start, max, &room, name, err);
        if (r < 0)
            return r;
        stream.next_out = ret->data + ret->length;
        stream.avail_out = room;
        z = lzma_code(&stream, LZMA_RUN);
        ret->length += room - stream.avail_out;
        if (z == LZMA_STREAM_END)
            return 0;
        if (z != LZMA_OK || (stream.avail_in == 0 && stream.avail_out > 0))
            return damaged(err, name, alone ? "lzma" : "xz");
    }
}

static void free_zstd(ZSTD_DCtx **context) {
    (void)ZSTD_freeDCtx(*context);
}

static int unpack_zstd(const uint8_t *data, size_t length, size_t max, const char *name, struct buf *ret,
                       struct err *err) {
    __attribute__((cleanup(free_zstd))) ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = {.src = data, .size = length};
    size_t start = ret->length;
    if (!context)
        return err_set(err, ENOMEM, "out of memory unpacking %s", name);
    for (;;) {
        size_t room = 0;
        int r = more(ret, start, max, &room, name, err);
        if (r < 0)
            return r;
        ZSTD_outBuffer out = {.dst = ret->data + ret->length, .size = room};
        size_t z = ZSTD_decompressStream(context, &out, &in);
        ret->length += out.pos;
        if (ZSTD_isError(z))
            return damaged(err, name, "zstd");
        if (z == 0)
            return 0; /* the frame is complete */
        if (in.pos == in.size && out.pos < out.size)
            return damaged(err, name, "zstd");
    }
}

/*
 * The legacy frame has no end mark: blocks follow each other until the data ends, a second magic number may stand
 * before any of them, and what does not look like a block any more is trailing data (lz4_Frame_format.md).
 */
static int unpack_lz4(const uint8_t *data, size_t length, size_t max, const char *name, struct buf *ret,
                      struct err *err) {
    struct reader in = reader_of(data, length);
    size_t start = ret->length;
    uint32_t size;
    (void)reader_le32(&in, &size); /* the magic number */
    while (reader_le32(&in, &size) == 0) {
        const uint8_t *block;
        if (size == 0x184c2102)
            continue;
        if (size == 0 || size > (uint32_t)LZ4_COMPRESSBOUND(LZ4_BLOCK_MAX) || reader_bytes(&in, size, &block) < 0)
            return damaged(err, name, "lz4");
        size_t left = max - (ret->length - start);
        size_t room = left < LZ4_BLOCK_MAX ? left : LZ4_BLOCK_MAX;
        if (buf_reserve(ret, room + 1) < 0)
            return err_set(err, ENOMEM, "out of memory unpacking %s", name);
        int n = LZ4_decompress_safe((const char *)block, (char *)ret->data + ret->length, (int)size, (int)room);
        if (n <= 0)
            return damaged(err, name, "lz4");
        ret->length += (size_t)n;
    }
    return 0;
}

int decompress(const uint8_t *data, size_t length, size_t max, const char *name, struct buf *ret, struct err *err) {
    switch (packing_of(data, length)) {
    case PACKING_GZIP:
        return unpack_gzip(data, length, max, name, ret, err);
    case PACKING_XZ:
        return unpack_lzma(data, length, false, max, name, ret, err);
    case PACKING_LZMA:
        return unpack_lzma(data, length, true, max, name, ret, err);
    case PACKING_ZSTD:
        return unpack_zstd(data, length, max, name, ret, err);
    case PACKING_LZ4:
        return unpack_lz4(data, length, max, name, ret, err);
    case PACKING_NONE:
        break;
    }
    if (length > max)
        return err_set(err, EFBIG, "%s is larger than %zu bytes", name, max);
    if (buf_append(ret, data, length) < 0)
        return err_set(err, ENOMEM, "out of memory unpacking %s", name);
    return 0;
}
