/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"

#include <string.h>

static const char no_idmap[] = "minka cannot map the ids of one mount; map those of the container (linux.uidMappings)";

/* A relative one counts from the root: runc makes it so, with a warning that the specification wants it absolute. */
static int parse_destination(struct arena *arena, const struct json_value *element, struct oci_mount *mount,
                             struct err *err) {
    char *destination;
    int r = require_string(element, "destination", &destination, err);
    if (r < 0)
        return r;
    if (destination[0] != '/') {
        size_t length = strlen(destination);
        char *absolute = arena_zero(arena, length + 2, 1);
        if (!absolute)
            return out_of_memory(err);
        absolute[0] = '/';
        memcpy(absolute + 1, destination, length);
        destination = absolute;
    }
    mount->destination = destination;
    return 0;
}

static bool asks_for_bind(const struct oci_mount *mount) {
    if (strcmp(mount->type, "bind") == 0)
        return true;
    for (size_t i = 0; i < mount->n_options; i++)
        if (strcmp(mount->options[i], "bind") == 0 || strcmp(mount->options[i], "rbind") == 0)
            return true;
    return false;
}

static int parse_mount(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    struct oci_mount *mount = structure;
    mount->type = mount->source = (char *)"";
    int r = parse_destination(arena, element, mount, err);
    if (r < 0)
        return r;
    if ((r = parse_string(element, "type", &mount->type, err)) < 0 ||
        (r = parse_string(element, "source", &mount->source, err)) < 0 ||
        (r = parse_strings(arena, element, "options", &mount->options, &mount->n_options, err)) < 0 ||
        (r = refuse_member(element, "uidMappings", no_idmap, err)) < 0 ||
        (r = refuse_member(element, "gidMappings", no_idmap, err)) < 0)
        return r;
    mount->is_bind = asks_for_bind(mount);
    if (mount->is_bind && !*mount->source)
        return json_refuse(element, err, "is a bind mount without a source");
    return 0;
}

int parse_mounts(struct arena *arena, const struct json_value *top, struct oci_spec *spec, struct err *err) {
    void *mounts = NULL;
    int r = parse_array(arena, top, "mounts", sizeof *spec->mounts, OCI_MOUNTS_MAX, parse_mount, &mounts,
                        &spec->n_mounts, err);
    spec->mounts = mounts;
    return r;
}
