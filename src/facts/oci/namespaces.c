/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"
#include "shared/base/cleanup.h"

enum { MAPPINGS_MAX = 340 /* user_namespaces(7) */ };

static const struct word namespace_words[] = {
    {"mount", OCI_NS_MOUNT}, {"pid", OCI_NS_PID},   {"network", OCI_NS_NETWORK}, {"ipc", OCI_NS_IPC},
    {"uts", OCI_NS_UTS},     {"user", OCI_NS_USER}, {"cgroup", OCI_NS_CGROUP},   {"time", OCI_NS_TIME},
};

static int parse_namespace(const struct json_value *item, void *data, struct err *err) {
    struct oci_namespace *namespaces = data;
    struct json_value type;
    uint64_t kind;
    int r = require(item, "type", &type, err);
    if (r < 0)
        return r;
    r = parse_word(&type, namespace_words, ARRAY_SIZE(namespace_words), &kind, err);
    if (r < 0)
        return r;
    if (namespaces[kind].present)
        return json_refuse(item, err, "names the %s namespace a second time", namespace_words[kind].name);
    char *path = NULL;
    r = parse_name(item, "path", &path, err);
    if (r < 0)
        return r;
    if (path && path[0] != '/') {
        const struct json_value member = {.parent = item, .key = "path"};
        return json_refuse(&member, err, "must be an absolute path, not \"%s\"", path);
    }
    namespaces[kind] = (struct oci_namespace){.present = true, .path = path};
    return 0;
}

int parse_namespaces(const struct json_value *linux_object, struct oci_spec *spec, struct err *err) {
    struct json_value list;
    int r = json_get(linux_object, "namespaces", &list, err);
    return r <= 0 ? r : json_each_element(&list, parse_namespace, spec->namespaces, err);
}

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size) {
    return (uint64_t)a < (uint64_t)b + b_size && (uint64_t)b < (uint64_t)a + a_size;
}

static int parse_mapping(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    (void)arena;
    struct oci_id_mapping *mapping = structure;
    struct json_value size;
    int r = require(element, "size", &size, err);
    if (r < 0)
        return r;
    if ((r = json_get_u32(element, "containerID", &mapping->container_id, err)) < 0 ||
        (r = json_get_u32(element, "hostID", &mapping->host_id, err)) < 0 ||
        (r = json_get_u32(element, "size", &mapping->size, err)) < 0)
        return r;
    if (mapping->size == 0)
        return json_refuse(&size, err, "must be at least 1");
    /* (uid_t)-1 is no id: the last one that can be mapped is UINT32_MAX - 1 */
    if ((uint64_t)mapping->container_id + mapping->size > UINT32_MAX ||
        (uint64_t)mapping->host_id + mapping->size > UINT32_MAX)
        return json_refuse(element, err, "goes beyond the last id, 4294967294");
    for (size_t i = 1; i <= element->index; i++) {
        const struct oci_id_mapping *other = mapping - i;
        if (overlap(mapping->container_id, mapping->size, other->container_id, other->size) ||
            overlap(mapping->host_id, mapping->size, other->host_id, other->size))
            return json_refuse(element, err, "overlaps element %zu", element->index - i);
    }
    return 0;
}

int parse_id_mappings(struct arena *arena, const struct json_value *linux_object, struct oci_spec *spec,
                      struct err *err) {
    void *uids = NULL, *gids = NULL;
    int r = parse_array(arena, linux_object, "uidMappings", sizeof *spec->uid_mappings, MAPPINGS_MAX, parse_mapping,
                        &uids, &spec->n_uid_mappings, err);
    if (r < 0)
        return r;
    r = parse_array(arena, linux_object, "gidMappings", sizeof *spec->gid_mappings, MAPPINGS_MAX, parse_mapping, &gids,
                    &spec->n_gid_mappings, err);
    if (r < 0)
        return r;
    spec->uid_mappings = uids;
    spec->gid_mappings = gids;
    if (!spec->namespaces[OCI_NS_USER].present && (spec->n_uid_mappings > 0 || spec->n_gid_mappings > 0)) {
        const struct json_value list = {.parent = linux_object, .key = "namespaces"};
        return json_refuse(&list, err, "must have the type \"user\", since there are id mappings");
    }
    return 0;
}
