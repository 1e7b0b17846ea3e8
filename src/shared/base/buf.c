/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_done(struct buf *buf) {
    free(buf->data);
    *buf = (struct buf){0};
}

int buf_reserve(struct buf *buf, size_t more) {
    if (more > SIZE_MAX - buf->length)
        return -ENOMEM;
    size_t need = buf->length + more;
    if (need <= buf->capacity)
        return 0;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    uint8_t *data = realloc(buf->data, capacity);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

int buf_append(struct buf *buf, const void *data, size_t length) {
    if (length == 0)
        return 0;
    int r = buf_reserve(buf, length);
    if (r < 0)
        return r;
    memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    return 0;
}

int buf_append_string(struct buf *buf, const char *string) {
    return buf_append(buf, string, strlen(string));
}

int buf_append_format(struct buf *buf, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n < 0)
        return -EINVAL;
    int r = buf_reserve(buf, (size_t)n + 1);
    if (r < 0)
        return r;
    va_start(ap, format);
    (void)vsnprintf((char *)buf->data + buf->length, (size_t)n + 1, format, ap);
    va_end(ap);
    buf->length += (size_t)n;
    return 0;
}

int buf_append_be32(struct buf *buf, uint32_t value) {
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    return buf_append(buf, bytes, sizeof bytes);
}

void buf_consume(struct buf *buf, size_t n) {
    if (n >= buf->length) {
        buf->length = 0;
        return;
    }
    memmove(buf->data, buf->data + n, buf->length - n);
    buf->length -= n;
}

const char *buf_string(struct buf *buf) {
    if (buf_reserve(buf, 1) < 0)
        return NULL;
    buf->data[buf->length] = '\0';
    return (const char *)buf->data;
}

int reader_bytes(struct reader *r, size_t length, const uint8_t **ret) {
    if (length > r->length)
        return -EBADMSG;
    *ret = r->data;
    r->data += length;
    r->length -= length;
    return 0;
}

int reader_skip(struct reader *r, size_t length) {
    const uint8_t *ignored;
    return reader_bytes(r, length, &ignored);
}

int reader_u8(struct reader *r, uint8_t *ret) {
    const uint8_t *b;
    int rc = reader_bytes(r, 1, &b);
    if (rc == 0)
        *ret = b[0];
    return rc;
}

int reader_be32(struct reader *r, uint32_t *ret) {
    const uint8_t *b;
    int rc = reader_bytes(r, 4, &b);
    if (rc == 0)
        *ret = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return rc;
}

static uint64_t little_endian(const uint8_t *b, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)b[i] << (8 * i);
    return value;
}

int reader_le16(struct reader *r, uint16_t *ret) {
    const uint8_t *b;
    int rc = reader_bytes(r, 2, &b);
    if (rc == 0)
        *ret = (uint16_t)little_endian(b, 2);
    return rc;
}

int reader_le32(struct reader *r, uint32_t *ret) {
    const uint8_t *b;
    int rc = reader_bytes(r, 4, &b);
    if (rc == 0)
        *ret = (uint32_t)little_endian(b, 4);
    return rc;
}

int reader_le64(struct reader *r, uint64_t *ret) {
    const uint8_t *b;
    int rc = reader_bytes(r, 8, &b);
    if (rc == 0)
        *ret = little_endian(b, 8);
    return rc;
}
