/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct buf: a growable byte buffer for output. struct reader: a bounded cursor
 * for input, the only way in which minka reads binary data that it did not write
 * itself; every getter fails with -EBADMSG rather than read past the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t length;
    size_t capacity;
};

void buf_done(struct buf *buf);
#define _cleanup_buf_ __attribute__((cleanup(buf_done)))

/* All return 0 or -ENOMEM and leave buf as it was on failure. */
int buf_reserve(struct buf *buf, size_t more);
int buf_append(struct buf *buf, const void *data, size_t length);
int buf_append_string(struct buf *buf, const char *string);
int buf_append_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_append_be32(struct buf *buf, uint32_t value);

/* Drop n bytes (at most length) from the front. */
void buf_consume(struct buf *buf, size_t n);

/* The content as a NUL-terminated string owned by buf; NULL when memory is out. */
const char *buf_string(struct buf *buf);

struct reader {
    const uint8_t *data;
    size_t length;
};

static inline struct reader reader_of(const void *data, size_t length) {
    return (struct reader){.data = data, .length = length};
}
/* Return 0 or -EBADMSG. */
int reader_u8(struct reader *r, uint8_t *ret);
int reader_be32(struct reader *r, uint32_t *ret);
int reader_le16(struct reader *r, uint16_t *ret);
int reader_le32(struct reader *r, uint32_t *ret);
int reader_le64(struct reader *r, uint64_t *ret);
int reader_bytes(struct reader *r, size_t length, const uint8_t **ret); /* *ret points into the input */
int reader_skip(struct reader *r, size_t length);
