/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the room only: what the files that read one part each of config.json share.
 *
 * Strings are not copied: they point into the JSON document, which lives as long as
 * the structure. Everything else comes from one arena, so that there is one free.
 */
#pragma once

#include "facts/json/json.h"
#include "facts/oci/oci.h"

struct arena {
    struct json *document;
    struct arena_item *items;
};

void arena_done(struct arena *arena);
/* Zeroed; NULL when memory is out. count 0 is fine. */
void *arena_zero(struct arena *arena, size_t count, size_t size);
int out_of_memory(struct err *err);

/*
 * An optional array of structures: count * size zeroed bytes, and fn for each element. fn gets its own structure.
 * -EINVAL when there are more than max. Absent or null: *ret_count = 0, *ret = NULL.
 */
typedef int element_fn(struct arena *arena, const struct json_value *element, void *structure, struct err *err);
int parse_array(struct arena *arena, const struct json_value *object, const char *key, size_t size, size_t max,
                element_fn *fn, void **ret, size_t *ret_count, struct err *err);
/* The same for an object whose members become structures. */
int parse_map(struct arena *arena, const struct json_value *object, const char *key, size_t size, element_fn *fn,
              void **ret, size_t *ret_count, struct err *err);

/* An element_fn for struct oci_pair: key and string value. */
int parse_pair(struct arena *arena, const struct json_value *member, void *structure, struct err *err);
/* An array of strings, always NULL-terminated, also when absent. */
int parse_strings(struct arena *arena, const struct json_value *object, const char *key, char ***ret, size_t *ret_count,
                  struct err *err);
/* *ret is left alone when the member is absent. */
int parse_string(const struct json_value *object, const char *key, char **ret, struct err *err);
/* The same, but an empty string counts as absent (Go's omitempty, read back). */
int parse_name(const struct json_value *object, const char *key, char **ret, struct err *err);
/* Must be there. */
int require(const struct json_value *object, const char *key, struct json_value *ret, struct err *err);
int require_string(const struct json_value *object, const char *key, char **ret, struct err *err);
int require_absolute(const struct json_value *object, const char *key, char **ret, struct err *err);

/* Optional, with a range of its own. 1 present, 0 absent. */
int parse_u32_to(const struct json_value *object, const char *key, uint32_t max, uint32_t *ret, struct err *err);
int parse_i64_from(const struct json_value *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                   struct err *err);

/* A member that asks for what minka cannot give: an error unless it is absent, empty, 0, false or null. */
int refuse_member(const struct json_value *object, const char *key, const char *reason, struct err *err);

/* A word out of a table. */
struct word {
    const char *name;
    uint64_t value;
};
int parse_word(const struct json_value *value, const struct word *words, size_t n_words, uint64_t *ret,
               struct err *err);

/* The parts. object is the process, linux, … member itself. */
int parse_process(struct arena *arena, const struct json_value *object, struct oci_process *process, struct err *err);
int parse_mounts(struct arena *arena, const struct json_value *top, struct oci_spec *spec, struct err *err);
int parse_hooks(struct arena *arena, const struct json_value *object, struct oci_spec *spec, struct err *err);
int parse_linux(struct arena *arena, const struct json_value *object, struct oci_spec *spec, struct err *err);
int parse_namespaces(const struct json_value *linux_object, struct oci_spec *spec, struct err *err);
int parse_id_mappings(struct arena *arena, const struct json_value *linux_object, struct oci_spec *spec,
                      struct err *err);
int parse_devices(struct arena *arena, const struct json_value *linux_object, struct oci_spec *spec, struct err *err);
int parse_device_rules(struct arena *arena, const struct json_value *object, struct oci_resources *resources,
                       struct err *err);
int parse_resources(struct arena *arena, const struct json_value *object, struct oci_resources *resources,
                    struct err *err);
int parse_seccomp(struct arena *arena, const struct json_value *object, struct oci_seccomp *seccomp, struct err *err);
