/* SPDX-License-Identifier: Apache-2.0 */
/* The linux section: its small members here, the large ones in files of their own. */
#include "facts/oci/parse.h"
#include "shared/base/cleanup.h"

#include <sys/mount.h>
#include <sys/personality.h>

static const struct word propagation_words[] = {
    {"", 0},
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE | MS_REC},
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE | MS_REC},
};
static const struct word personality_words[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};

static int parse_propagation(const struct json_value *object, struct oci_spec *spec, struct err *err) {
    struct json_value word;
    int r = json_get(object, "rootfsPropagation", &word, err);
    return r <= 0 ? r
                  : parse_word(&word, propagation_words, ARRAY_SIZE(propagation_words), &spec->rootfs_propagation, err);
}

static int parse_personality(const struct json_value *object, struct oci_spec *spec, struct err *err) {
    struct json_value member, domain;
    int r = json_get(object, "personality", &member, err);
    if (r <= 0)
        return r;
    r = require(&member, "domain", &domain, err);
    if (r < 0)
        return r;
    r = parse_word(&domain, personality_words, ARRAY_SIZE(personality_words), &spec->personality, err);
    if (r < 0)
        return r;
    spec->has_personality = true;
    return refuse_member(&member, "flags", "the specification defines none", err);
}

static int parse_sysctls(struct arena *arena, const struct json_value *object, struct oci_spec *spec, struct err *err) {
    void *sysctls = NULL;
    int r = parse_map(arena, object, "sysctl", sizeof *spec->sysctls, parse_pair, &sysctls, &spec->n_sysctls, err);
    spec->sysctls = sysctls;
    return r;
}

static int parse_parts(struct arena *arena, const struct json_value *object, struct oci_spec *spec, struct err *err) {
    struct json_value part;
    int r = json_get(object, "resources", &part, err);
    if (r > 0)
        r = parse_resources(arena, &part, &spec->resources, err);
    if (r < 0)
        return r;
    r = json_get(object, "seccomp", &part, err);
    if (r <= 0)
        return r;
    spec->has_seccomp = true;
    return parse_seccomp(arena, &part, &spec->seccomp, err);
}

/* object NULL: there is no linux section; the arrays that are never NULL are made all the same. */
int parse_linux(struct arena *arena, const struct json_value *object, struct oci_spec *spec, struct err *err) {
    spec->cgroups_path = (char *)"";
    if (!object) {
        spec->masked_paths = arena_zero(arena, 1, sizeof(char *));
        spec->readonly_paths = arena_zero(arena, 1, sizeof(char *));
        return spec->masked_paths && spec->readonly_paths ? 0 : out_of_memory(err);
    }
    int r = parse_namespaces(object, spec, err);
    if (r < 0)
        return r;
    if ((r = parse_id_mappings(arena, object, spec, err)) < 0 || (r = parse_devices(arena, object, spec, err)) < 0 ||
        (r = parse_string(object, "cgroupsPath", &spec->cgroups_path, err)) < 0 ||
        (r = parse_propagation(object, spec, err)) < 0 || (r = parse_personality(object, spec, err)) < 0 ||
        (r = parse_sysctls(arena, object, spec, err)) < 0 ||
        (r = parse_strings(arena, object, "maskedPaths", &spec->masked_paths, &spec->n_masked_paths, err)) < 0 ||
        (r = parse_strings(arena, object, "readonlyPaths", &spec->readonly_paths, &spec->n_readonly_paths, err)) < 0 ||
        (r = parse_name(object, "mountLabel", &spec->mount_label, err)) < 0 ||
        (r = refuse_member(object, "timeOffsets", "the guest's clocks are set by minka", err)) < 0 ||
        (r = refuse_member(object, "netDevices", "a device of the host cannot be moved into the VM", err)) < 0)
        return r;
    return parse_parts(arena, object, spec, err);
}
