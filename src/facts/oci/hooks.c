/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"

enum { HOOKS_MAX = 1024 };

static const char *const hook_keys[OCI_HOOK_COUNT] = {
    [OCI_HOOK_PRESTART] = "prestart",
    [OCI_HOOK_CREATE_RUNTIME] = "createRuntime",
    [OCI_HOOK_CREATE_CONTAINER] = "createContainer",
    [OCI_HOOK_START_CONTAINER] = "startContainer",
    [OCI_HOOK_POSTSTART] = "poststart",
    [OCI_HOOK_POSTSTOP] = "poststop",
};

const char *oci_hook_name(size_t kind) {
    return kind < OCI_HOOK_COUNT ? hook_keys[kind] : NULL;
}

static int parse_hook(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    struct oci_hook *hook = structure;
    int r = require_absolute(element, "path", &hook->path, err);
    if (r < 0)
        return r;
    int64_t timeout;
    if ((r = parse_strings(arena, element, "args", &hook->args, &hook->n_args, err)) < 0 ||
        (r = parse_strings(arena, element, "env", &hook->env, &hook->n_env, err)) < 0 ||
        (r = parse_i64_from(element, "timeout", 1, UINT32_MAX, &timeout, err)) < 0)
        return r;
    if (r > 0) {
        hook->has_timeout = true;
        hook->timeout_sec = (uint32_t)timeout;
    }
    return 0;
}

int parse_hooks(struct arena *arena, const struct json_value *object, struct oci_spec *spec, struct err *err) {
    for (size_t i = 0; i < OCI_HOOK_COUNT; i++) {
        void *hooks = NULL;
        int r = parse_array(arena, object, hook_keys[i], sizeof(struct oci_hook), HOOKS_MAX, parse_hook, &hooks,
                            &spec->hooks[i].count, err);
        if (r < 0)
            return r;
        spec->hooks[i].hooks = hooks;
    }
    return 0;
}
