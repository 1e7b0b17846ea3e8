/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"
#include "shared/base/cleanup.h"

#include <string.h>

/* mknod(2) by the kernel's dev_t: 12 bits of major, 20 of minor */
enum { MAJOR_MAX = 0xfff, MINOR_MAX = 0xfffff };

static int parse_device_number(const struct json_value *element, const char *key, int64_t max, int64_t *ret,
                               struct err *err) {
    struct json_value number;
    int r = require(element, key, &number, err);
    return r < 0 ? r : json_int(&number, 0, max, ret, err);
}

static int parse_device_owner(const struct json_value *element, struct oci_device *device, struct err *err) {
    int r = json_get_u32(element, "fileMode", &device->file_mode, err);
    if (r < 0)
        return r;
    device->has_file_mode = r > 0;
    device->file_mode &= 07777; /* engines copy st_mode whole */
    r = parse_u32_to(element, "uid", UINT32_MAX - 1, &device->uid, err);
    if (r < 0)
        return r;
    device->has_uid = r > 0;
    r = parse_u32_to(element, "gid", UINT32_MAX - 1, &device->gid, err);
    if (r < 0)
        return r;
    device->has_gid = r > 0;
    return 0;
}

static int parse_device(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    (void)arena;
    static const struct word types[] = {{"c", 'c'}, {"u", 'c'}, {"b", 'b'}, {"p", 'p'}};
    struct oci_device *device = structure;
    int r = require_absolute(element, "path", &device->path, err);
    if (r < 0)
        return r;
    struct json_value member;
    uint64_t type;
    r = require(element, "type", &member, err);
    if (r < 0)
        return r;
    r = parse_word(&member, types, ARRAY_SIZE(types), &type, err);
    if (r < 0)
        return r;
    device->type = (char)type;
    if (type != 'p' && ((r = parse_device_number(element, "major", MAJOR_MAX, &device->major, err)) < 0 ||
                        (r = parse_device_number(element, "minor", MINOR_MAX, &device->minor, err)) < 0))
        return r;
    return parse_device_owner(element, device, err);
}

int parse_devices(struct arena *arena, const struct json_value *linux_object, struct oci_spec *spec, struct err *err) {
    void *devices = NULL;
    int r = parse_array(arena, linux_object, "devices", sizeof *spec->devices, OCI_DEVICES_MAX, parse_device, &devices,
                        &spec->n_devices, err);
    spec->devices = devices;
    return r;
}

/* Absent or empty: every access, as crun and runc have it. */
static int parse_access(const struct json_value *element, struct oci_device_rule *rule, struct err *err) {
    char *access = (char *)"rwm";
    int r = parse_name(element, "access", &access, err);
    if (r < 0)
        return r;
    if (access[strspn(access, "rwm")] != '\0') {
        const struct json_value member = {.parent = element, .key = "access"};
        return json_refuse(&member, err, "must be made of the letters r, w and m, not \"%s\"", access);
    }
    rule->read = strchr(access, 'r');
    rule->write = strchr(access, 'w');
    rule->mknod = strchr(access, 'm');
    return 0;
}

/* -1 stands for all, as the cgroup v1 file's "*". */
static int parse_rule_number(const struct json_value *element, const char *key, bool *has, int64_t *number,
                             struct err *err) {
    int64_t value = -1;
    int r = parse_i64_from(element, key, -1, UINT32_MAX, &value, err);
    if (r < 0)
        return r;
    *has = value >= 0;
    *number = value >= 0 ? value : 0;
    return 0;
}

static int parse_rule(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    (void)arena;
    static const struct word types[] = {{"a", 'a'}, {"b", 'b'}, {"c", 'c'}, {"u", 'c'}, {"", 'a'}};
    struct oci_device_rule *rule = structure;
    struct json_value allow, type;
    int r = require(element, "allow", &allow, err);
    if (r < 0)
        return r;
    if ((r = json_bool(&allow, &rule->allow, err)) < 0 || (r = json_get(element, "type", &type, err)) < 0)
        return r;
    uint64_t letter = 'a';
    if (r > 0 && (r = parse_word(&type, types, ARRAY_SIZE(types), &letter, err)) < 0)
        return r;
    rule->type = (char)letter;
    if ((r = parse_rule_number(element, "major", &rule->has_major, &rule->major, err)) < 0 ||
        (r = parse_rule_number(element, "minor", &rule->has_minor, &rule->minor, err)) < 0)
        return r;
    return parse_access(element, rule, err);
}

int parse_device_rules(struct arena *arena, const struct json_value *object, struct oci_resources *resources,
                       struct err *err) {
    void *rules = NULL;
    int r = parse_array(arena, object, "devices", sizeof *resources->device_rules, OCI_DEVICES_MAX, parse_rule, &rules,
                        &resources->n_device_rules, err);
    resources->device_rules = rules;
    return r;
}
