/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict, typed JSON on json-c, the only place that includes it.
 *
 * Reading: a document is checked against RFC 8259 to the byte before json-c sees
 * it (UTF-8, nothing after it, at most JSON_DEPTH_MAX levels, integers that 64
 * bits hold), so that every json-c version reads the same. Of duplicate keys the
 * last wins, as in Go's encoding/json. Every getter names the full path of
 * the offending value in err ("process.user.uid must be a whole number from 0 to
 * 4294967295, not a string"). json-c's silent coercions never happen.
 *
 * Writing: a flat emitter with escaping.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH_MAX = 64 };

struct json; /* a parsed document; values point into it */

/* A value with the path that leads to it. Cheap to copy; lives as long as its document. */
struct json_value {
    const void *object;              /* json-c's, private */
    const struct json_value *parent; /* for the path; must outlive this */
    const char *key;                 /* NULL in an array */
    size_t index;
};

/* name is used in messages in place of the path of the top ("config.json"). Copies it. */
int json_parse(const char *text, size_t length, const char *name, struct json **ret, struct err *err);
struct json *json_free(struct json *json);
struct json_value json_top(const struct json *json);
#define _cleanup_json_ __attribute__((cleanup(json_freep)))
void json_freep(struct json **json);

/* 1 and *ret when the key is there and not null, 0 when not, -EINVAL when object is no object. */
int json_get(const struct json_value *object, const char *key, struct json_value *ret, struct err *err);

/* Typed values. -EINVAL with the path and the range. Strings point into the document; NUL inside one is an error. */
int json_string(const struct json_value *value, const char **ret, struct err *err);
int json_bool(const struct json_value *value, bool *ret, struct err *err);
/* -EINVAL when it is none. */
int json_expect_object(const struct json_value *value, struct err *err);
int json_expect_array(const struct json_value *value, struct err *err);
int json_uint(const struct json_value *value, uint64_t max, uint64_t *ret, struct err *err);
int json_int(const struct json_value *value, int64_t min, int64_t max, int64_t *ret, struct err *err);

/* Fill err with "PATH <format>", for what a reader finds wrong with a value of the right type. Returns -EINVAL. */
int json_refuse(const struct json_value *value, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* The same for an optional member: *ret is left alone when it is absent or null. 1 present, 0 absent, < 0 error. */
int json_get_string(const struct json_value *object, const char *key, const char **ret, struct err *err);
int json_get_bool(const struct json_value *object, const char *key, bool *ret, struct err *err);
int json_get_u32(const struct json_value *object, const char *key, uint32_t *ret, struct err *err);
int json_get_u64(const struct json_value *object, const char *key, uint64_t *ret, struct err *err);
int json_get_i64(const struct json_value *object, const char *key, int64_t *ret, struct err *err);

/* A string array, copied, NULL-terminated (free_strv); absent: *ret = NULL. Returns the count. */
int json_get_strv(const struct json_value *object, const char *key, char ***ret, struct err *err);

/* Iterate. fn returns 0 to go on. For arrays item.key is NULL; for objects key is set. Returns fn's non-zero or 0. */
typedef int json_each_fn(const struct json_value *item, void *data, struct err *err);
int json_each_element(const struct json_value *array, json_each_fn *fn, void *data, struct err *err);
int json_each_member(const struct json_value *object, json_each_fn *fn, void *data, struct err *err);
size_t json_count(const struct json_value *array_or_object);

/* ---- writing: append to buf; errors (memory) are sticky in w->failed ---- */
struct json_writer {
    struct buf *out;
    bool failed;
    bool pretty;
    unsigned depth;
    bool need_comma;
};
void json_write_begin_object(struct json_writer *w, const char *key); /* key NULL in arrays and at the top */
void json_write_end_object(struct json_writer *w);
void json_write_begin_array(struct json_writer *w, const char *key);
void json_write_end_array(struct json_writer *w);
void json_write_string(struct json_writer *w, const char *key, const char *value); /* invalid UTF-8 becomes U+FFFD */
void json_write_uint(struct json_writer *w, const char *key, uint64_t value);
void json_write_int(struct json_writer *w, const char *key, int64_t value);
void json_write_bool(struct json_writer *w, const char *key, bool value);
void json_write_null(struct json_writer *w, const char *key);
