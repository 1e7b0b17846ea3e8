/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/json/check.h"
#include "facts/json/json.h"
#include "shared/base/cleanup.h"

/* json-c has a type of this name, and we a function. */
#define json_bool json_c_bool
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <json-c/linkhash.h>
#undef json_bool

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

struct json {
    struct json_object *top;
    char *name;
};

static int tokenize(const char *text, size_t length, const char *name, struct json_object **ret, struct err *err) {
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
    if (!tokener)
        return err_set(err, ENOMEM, "%s: not enough memory", name);
    /* Not JSON_TOKENER_STRICT: json_check_text() is stricter, and in 0.18 it takes every byte above 127 for a control
     * character (it compares a signed char). */
    struct json_object *top = json_tokener_parse_ex(tokener, text, (int)length);
    /* A number at the top could go on with the next byte; the terminator says that it does not. */
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        top = json_tokener_parse_ex(tokener, "", 1);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    if (error != json_tokener_success)
        return err_set(err, EINVAL, "%s: %s", name, json_tokener_error_desc(error));
    *ret = top;
    return 0;
}

int json_parse(const char *text, size_t length, const char *name, struct json **ret, struct err *err) {
    if (length > INT_MAX) /* json_tokener_parse_ex() counts in int */
        return err_set(err, EFBIG, "%s: the document is too large", name);
    int r = json_check_text(text, length, name, err);
    if (r < 0)
        return r;
    _cleanup_json_ struct json *json = calloc(1, sizeof *json);
    if (!json || !(json->name = strdup(name)))
        return err_set(err, ENOMEM, "%s: not enough memory", name);
    r = tokenize(text, length, name, &json->top, err);
    if (r < 0)
        return r;
    *ret = take_ptr(json);
    return 0;
}

struct json *json_free(struct json *json) {
    if (json) {
        json_object_put(json->top);
        free(json->name);
        free(json);
    }
    return NULL;
}

void json_freep(struct json **json) {
    *json = json_free(*json);
}

struct json_value json_top(const struct json *json) {
    return (struct json_value){.object = json->top, .key = json->name};
}

/* json-c's getters take no const. */
static struct json_object *object_of(const struct json_value *value) {
    return (struct json_object *)value->object;
}

static enum json_type type_of(const struct json_value *value) {
    return json_object_get_type(object_of(value));
}

/* ---- the sentence for the user ---- */

enum { PATH_MAX_TEXT = 512, KEY_MAX_TEXT = 128 };

static bool is_plain_key(const char *key) {
    size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && key[n] == '\0';
}

/* "process.user.uid", "mounts[3].destination", "annotations[\"a.b\"]"; the name of the document for its top. */
static void path_text(const struct json_value *value, char *path, size_t size) {
    if (!value->parent) {
        (void)snprintf(path, size, "%s", value->key);
        return;
    }
    path[0] = '\0';
    if (value->parent->parent || !value->key)
        path_text(value->parent, path, size);
    size_t used = strlen(path);
    if (!value->key)
        (void)snprintf(path + used, size - used, "[%zu]", value->index);
    else if (is_plain_key(value->key))
        (void)snprintf(path + used, size - used, "%s%.*s", used ? "." : "", KEY_MAX_TEXT, value->key);
    else
        (void)snprintf(path + used, size - used, "[\"%.*s\"]", KEY_MAX_TEXT, value->key);
}

/* Keys and strings come from a file: no escape sequence of theirs may reach a terminal. */
static void without_controls(char *text) {
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

int json_refuse(const struct json_value *value, struct err *err, const char *format, ...) {
    char path[PATH_MAX_TEXT], what[ERR_TEXT_MAX];
    path_text(value, path, sizeof path);
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    without_controls(path);
    without_controls(what);
    return err_set(err, EINVAL, "%s %s", path, what);
}

static const char *type_text(const struct json_value *value) {
    switch (type_of(value)) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return "a boolean";
    case json_type_double:
        return "a number with a fraction or an exponent";
    case json_type_int:
        return "a number";
    case json_type_object:
        return "an object";
    case json_type_array:
        return "an array";
    case json_type_string:
        return "a string";
    }
    return "something else";
}

static int wrong_type(const struct json_value *value, const char *wanted, struct err *err) {
    return json_refuse(value, err, "must be %s, not %s", wanted, type_text(value));
}

/* ---- typed values ---- */

int json_expect_object(const struct json_value *value, struct err *err) {
    return type_of(value) == json_type_object ? 0 : wrong_type(value, "an object", err);
}

int json_expect_array(const struct json_value *value, struct err *err) {
    return type_of(value) == json_type_array ? 0 : wrong_type(value, "an array", err);
}

int json_string(const struct json_value *value, const char **ret, struct err *err) {
    if (type_of(value) != json_type_string)
        return wrong_type(value, "a string", err);
    const char *text = json_object_get_string(object_of(value));
    if (strlen(text) != (size_t)json_object_get_string_len(object_of(value)))
        return json_refuse(value, err, "must not contain NUL");
    *ret = text;
    return 0;
}

int json_bool(const struct json_value *value, bool *ret, struct err *err) {
    if (type_of(value) != json_type_boolean)
        return wrong_type(value, "true or false", err);
    *ret = json_object_get_boolean(object_of(value));
    return 0;
}

int json_uint(const struct json_value *value, uint64_t max, uint64_t *ret, struct err *err) {
    char wanted[80];
    (void)snprintf(wanted, sizeof wanted, "a whole number from 0 to %" PRIu64, max);
    if (type_of(value) != json_type_int)
        return wrong_type(value, wanted, err);
    /* get_uint64 of a negative number is 0, get_int64 of a large one is INT64_MAX */
    uint64_t number = json_object_get_uint64(object_of(value));
    if (json_object_get_int64(object_of(value)) < 0 || number > max)
        return json_refuse(value, err, "must be %s", wanted);
    *ret = number;
    return 0;
}

int json_int(const struct json_value *value, int64_t min, int64_t max, int64_t *ret, struct err *err) {
    char wanted[80];
    (void)snprintf(wanted, sizeof wanted, "a whole number from %" PRId64 " to %" PRId64, min, max);
    if (type_of(value) != json_type_int)
        return wrong_type(value, wanted, err);
    int64_t number = json_object_get_int64(object_of(value));
    if (number < min || number > max || json_object_get_uint64(object_of(value)) > INT64_MAX)
        return json_refuse(value, err, "must be %s", wanted);
    *ret = number;
    return 0;
}

/* ---- members ---- */

int json_get(const struct json_value *object, const char *key, struct json_value *ret, struct err *err) {
    int r = json_expect_object(object, err);
    if (r < 0)
        return r;
    struct json_object *member;
    if (!json_object_object_get_ex(object_of(object), key, &member) || !member)
        return 0;
    *ret = (struct json_value){.object = member, .parent = object, .key = key};
    return 1;
}

int json_get_string(const struct json_value *object, const char *key, const char **ret, struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    r = json_string(&member, ret, err);
    return r < 0 ? r : 1;
}

int json_get_bool(const struct json_value *object, const char *key, bool *ret, struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    r = json_bool(&member, ret, err);
    return r < 0 ? r : 1;
}

int json_get_u64(const struct json_value *object, const char *key, uint64_t *ret, struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    r = json_uint(&member, UINT64_MAX, ret, err);
    return r < 0 ? r : 1;
}

int json_get_u32(const struct json_value *object, const char *key, uint32_t *ret, struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    uint64_t number;
    r = json_uint(&member, UINT32_MAX, &number, err);
    if (r < 0)
        return r;
    *ret = (uint32_t)number;
    return 1;
}

int json_get_i64(const struct json_value *object, const char *key, int64_t *ret, struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    r = json_int(&member, INT64_MIN, INT64_MAX, ret, err);
    return r < 0 ? r : 1;
}

/* ---- lists ---- */

size_t json_count(const struct json_value *value) {
    switch (type_of(value)) {
    case json_type_array:
        return json_object_array_length(object_of(value));
    case json_type_object:
        return (size_t)json_object_object_length(object_of(value));
    default:
        return 0;
    }
}

int json_each_element(const struct json_value *array, json_each_fn *fn, void *data, struct err *err) {
    int r = json_expect_array(array, err);
    for (size_t i = 0; r == 0 && i < json_count(array); i++) {
        struct json_value item = {
            .object = json_object_array_get_idx(object_of(array), i), .parent = array, .index = i};
        r = fn(&item, data, err);
    }
    return r;
}

int json_each_member(const struct json_value *object, json_each_fn *fn, void *data, struct err *err) {
    int r = json_expect_object(object, err);
    if (r < 0)
        return r;
    size_t index = 0;
    json_object_object_foreach(object_of(object), key, member) {
        struct json_value item = {.object = member, .parent = object, .key = key, .index = index};
        index++;
        r = fn(&item, data, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int copy_string(const struct json_value *item, void *data, struct err *err) {
    char **strings = data;
    const char *text;
    int r = json_string(item, &text, err);
    if (r < 0)
        return r;
    strings[item->index] = strdup(text);
    return strings[item->index] ? 0 : err_set(err, ENOMEM, "not enough memory");
}

int json_get_strv(const struct json_value *object, const char *key, char ***ret, struct err *err) {
    struct json_value array;
    int r = json_get(object, key, &array, err);
    if (r < 0)
        return r;
    if (r == 0) {
        *ret = NULL;
        return 0;
    }
    size_t count = json_count(&array);
    _cleanup_strv_ char **strings = calloc(count + 1, sizeof *strings);
    if (!strings)
        return err_set(err, ENOMEM, "not enough memory");
    r = json_each_element(&array, copy_string, strings, err);
    if (r < 0)
        return r;
    *ret = take_ptr(strings);
    return (int)count;
}
