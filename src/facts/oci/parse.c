/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"

#include "shared/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

struct arena_item {
    struct arena_item *next;
    max_align_t data[];
};

void *arena_zero(struct arena *arena, size_t count, size_t size) {
    size_t length;
    if (__builtin_mul_overflow(count, size, &length) ||
        __builtin_add_overflow(length, sizeof(struct arena_item), &length))
        return NULL;
    struct arena_item *item = calloc(1, length);
    if (!item)
        return NULL;
    item->next = arena->items;
    arena->items = item;
    return item->data;
}

void arena_done(struct arena *arena) {
    while (arena->items) {
        struct arena_item *next = arena->items->next;
        free(arena->items);
        arena->items = next;
    }
    arena->document = json_free(arena->document);
}

int out_of_memory(struct err *err) {
    return err_set(err, ENOMEM, "not enough memory");
}

/* ---- lists ---- */

struct fill {
    struct arena *arena;
    element_fn *fn;
    char *structures;
    size_t size;
};

static int fill_one(const struct json_value *item, void *data, struct err *err) {
    struct fill *fill = data;
    return fill->fn(fill->arena, item, fill->structures + item->index * fill->size, err);
}

static int prepare_fill(struct arena *arena, const struct json_value *list, size_t size, element_fn *fn,
                        struct fill *ret, struct err *err) {
    *ret = (struct fill){.arena = arena, .fn = fn, .size = size};
    ret->structures = arena_zero(arena, json_count(list), size);
    return ret->structures ? 0 : out_of_memory(err);
}

int parse_array(struct arena *arena, const struct json_value *object, const char *key, size_t size, size_t max,
                element_fn *fn, void **ret, size_t *ret_count, struct err *err) {
    struct json_value array;
    int r = json_get(object, key, &array, err);
    if (r <= 0)
        return r;
    size_t count = json_count(&array);
    if (count > max)
        return json_refuse(&array, err, "has %zu elements; at most %zu are possible", count, max);
    struct fill fill;
    r = prepare_fill(arena, &array, size, fn, &fill, err);
    if (r == 0)
        r = json_each_element(&array, fill_one, &fill, err);
    if (r < 0)
        return r;
    *ret = fill.structures;
    *ret_count = count;
    return 0;
}

int parse_map(struct arena *arena, const struct json_value *object, const char *key, size_t size, element_fn *fn,
              void **ret, size_t *ret_count, struct err *err) {
    struct json_value map;
    int r = json_get(object, key, &map, err);
    if (r <= 0)
        return r;
    struct fill fill;
    r = prepare_fill(arena, &map, size, fn, &fill, err);
    if (r == 0)
        r = json_each_member(&map, fill_one, &fill, err);
    if (r < 0)
        return r;
    *ret = fill.structures;
    *ret_count = json_count(&map);
    return 0;
}

int parse_pair(struct arena *arena, const struct json_value *member, void *structure, struct err *err) {
    (void)arena;
    struct oci_pair *pair = structure;
    const char *value;
    int r = json_string(member, &value, err);
    if (r < 0)
        return r;
    pair->key = (char *)member->key;
    pair->value = (char *)value;
    return 0;
}

static int parse_string_element(struct arena *arena, const struct json_value *element, void *structure,
                                struct err *err) {
    (void)arena;
    return json_string(element, structure, err);
}

int parse_strings(struct arena *arena, const struct json_value *object, const char *key, char ***ret, size_t *ret_count,
                  struct err *err) {
    struct json_value array;
    int r = json_get(object, key, &array, err);
    if (r < 0)
        return r;
    size_t count = r > 0 ? json_count(&array) : 0;
    struct fill fill = {.arena = arena, .fn = parse_string_element, .size = sizeof(char *)};
    fill.structures = arena_zero(arena, count + 1, sizeof(char *));
    if (!fill.structures)
        return out_of_memory(err);
    if (r > 0)
        r = json_each_element(&array, fill_one, &fill, err);
    if (r < 0)
        return r;
    *ret = (char **)(void *)fill.structures;
    *ret_count = count;
    return 0;
}

/* ---- single members ---- */

int parse_string(const struct json_value *object, const char *key, char **ret, struct err *err) {
    const char *text;
    int r = json_get_string(object, key, &text, err);
    if (r > 0)
        *ret = (char *)text;
    return r;
}

int parse_name(const struct json_value *object, const char *key, char **ret, struct err *err) {
    const char *text = "";
    int r = json_get_string(object, key, &text, err);
    if (r > 0 && *text)
        *ret = (char *)text;
    return r;
}

int require(const struct json_value *object, const char *key, struct json_value *ret, struct err *err) {
    int r = json_get(object, key, ret, err);
    if (r != 0)
        return r;
    const struct json_value missing = {.parent = object, .key = key};
    return json_refuse(&missing, err, "is missing");
}

int require_string(const struct json_value *object, const char *key, char **ret, struct err *err) {
    struct json_value member;
    int r = require(object, key, &member, err);
    if (r < 0)
        return r;
    const char *text;
    r = json_string(&member, &text, err);
    if (r < 0)
        return r;
    if (!*text)
        return json_refuse(&member, err, "must not be empty");
    *ret = (char *)text;
    return 0;
}

int require_absolute(const struct json_value *object, const char *key, char **ret, struct err *err) {
    char *path;
    int r = require_string(object, key, &path, err);
    if (r < 0)
        return r;
    if (path[0] != '/') {
        const struct json_value member = {.parent = object, .key = key};
        return json_refuse(&member, err, "must be an absolute path, not \"%s\"", path);
    }
    *ret = path;
    return 0;
}

int parse_u32_to(const struct json_value *object, const char *key, uint32_t max, uint32_t *ret, struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    uint64_t number;
    r = json_uint(&member, max, &number, err);
    if (r < 0)
        return r;
    *ret = (uint32_t)number;
    return 1;
}

int parse_i64_from(const struct json_value *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                   struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    r = json_int(&member, min, max, ret, err);
    return r < 0 ? r : 1;
}

int refuse_member(const struct json_value *object, const char *key, const char *reason, struct err *err) {
    struct json_value member;
    int r = json_get(object, key, &member, err);
    if (r <= 0)
        return r;
    int64_t number = 0;
    bool flag = false;
    /* Engines write out members that nobody set; those ask for nothing. */
    if (json_count(&member) == 0 && (json_expect_array(&member, NULL) == 0 || json_expect_object(&member, NULL) == 0))
        return 0;
    if ((json_int(&member, 0, 0, &number, NULL) == 0) || (json_bool(&member, &flag, NULL) == 0 && !flag))
        return 0;
    return json_refuse(&member, err, "is not supported: %s", reason);
}

int parse_word(const struct json_value *value, const struct word *words, size_t n_words, uint64_t *ret,
               struct err *err) {
    const char *text;
    int r = json_string(value, &text, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n_words; i++)
        if (strcmp(words[i].name, text) == 0) {
            *ret = words[i].value;
            return 0;
        }
    return json_refuse(value, err, "is \"%s\", which is none of the words that the specification knows", text);
}
