/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <stddef.h>
#include <string.h>

/* What the caller gets is the first member; the memory behind it follows. */
struct spec_document {
    struct oci_spec spec;
    struct arena arena;
};
struct process_document {
    struct oci_process process;
    struct arena arena;
};
struct resources_document {
    struct oci_resources resources;
    struct arena arena;
};

static bool is_supported_version(const char *version) {
    return version[0] == '1' && version[1] == '.' && version[2] >= '0' && version[2] <= '9';
}

static int parse_version(const struct json_value *top, struct oci_spec *spec, struct err *err) {
    int r = require_string(top, "ociVersion", &spec->version, err);
    if (r < 0)
        return r;
    if (!is_supported_version(spec->version)) {
        const struct json_value version = {.parent = top, .key = "ociVersion"};
        return json_refuse(&version, err, "is \"%s\"; minka reads version 1 of the specification", spec->version);
    }
    return 0;
}

static int parse_root(const struct json_value *top, struct oci_spec *spec, struct err *err) {
    struct json_value root;
    int r = require(top, "root", &root, err);
    if (r < 0)
        return r;
    r = require_string(&root, "path", &spec->root_path, err);
    if (r < 0)
        return r;
    r = json_get_bool(&root, "readonly", &spec->root_readonly, err);
    return r < 0 ? r : 0;
}

/* sethostname(2): at most HOST_NAME_MAX bytes. */
static int parse_host_name(const struct json_value *top, const char *key, char **name, struct err *err) {
    *name = (char *)"";
    int r = parse_string(top, key, name, err);
    if (r < 0)
        return r;
    if (strlen(*name) > 64) {
        const struct json_value member = {.parent = top, .key = key};
        return json_refuse(&member, err, "must not be longer than 64 bytes");
    }
    return 0;
}

static int parse_annotations(struct arena *arena, const struct json_value *top, struct oci_spec *spec,
                             struct err *err) {
    void *pairs = NULL;
    int r =
        parse_map(arena, top, "annotations", sizeof *spec->annotations, parse_pair, &pairs, &spec->n_annotations, err);
    spec->annotations = pairs;
    return r;
}

static int parse_top(struct arena *arena, const struct json_value *top, struct oci_spec *spec, struct err *err) {
    int r = parse_version(top, spec, err);
    if (r < 0)
        return r;
    if ((r = parse_root(top, spec, err)) < 0 || (r = parse_host_name(top, "hostname", &spec->hostname, err)) < 0 ||
        (r = parse_host_name(top, "domainname", &spec->domainname, err)) < 0 ||
        (r = parse_mounts(arena, top, spec, err)) < 0 || (r = parse_annotations(arena, top, spec, err)) < 0)
        return r;
    struct json_value part;
    r = json_get(top, "process", &part, err);
    if (r > 0) {
        spec->has_process = true;
        r = parse_process(arena, &part, &spec->process, err);
    }
    if (r >= 0 && (r = json_get(top, "hooks", &part, err)) > 0)
        r = parse_hooks(arena, &part, spec, err);
    if (r < 0)
        return r;
    r = json_get(top, "linux", &part, err);
    if (r < 0)
        return r;
    return parse_linux(arena, r > 0 ? &part : NULL, spec, err);
}

/* The common way in: the text, then its top, which must be an object. */
static int open_document(const char *json, size_t length, const char *name, struct arena *arena,
                         struct json_value *ret_top, struct err *err) {
    if (length > OCI_CONFIG_MAX)
        return err_set(err, EFBIG, "%s: is larger than %d MiB", name, OCI_CONFIG_MAX >> 20);
    int r = json_parse(json, length, name, &arena->document, err);
    if (r < 0)
        return r;
    *ret_top = json_top(arena->document);
    if (json_expect_object(ret_top, NULL) < 0)
        return err_set(err, EINVAL, "%s: must be a JSON object", name);
    return 0;
}

static struct oci_spec *new_spec(struct arena **ret_arena) {
    struct spec_document *document = calloc(1, sizeof *document);
    if (!document)
        return NULL;
    *ret_arena = &document->arena;
    return &document->spec;
}

static struct oci_process *new_process(struct arena **ret_arena) {
    struct process_document *document = calloc(1, sizeof *document);
    if (!document)
        return NULL;
    *ret_arena = &document->arena;
    return &document->process;
}

static struct oci_resources *new_resources(struct arena **ret_arena) {
    struct resources_document *document = calloc(1, sizeof *document);
    if (!document)
        return NULL;
    *ret_arena = &document->arena;
    return &document->resources;
}

int oci_spec_parse(const char *json, size_t length, struct oci_spec **ret, struct err *err) {
    struct arena *arena;
    _cleanup_oci_spec_ struct oci_spec *spec = new_spec(&arena);
    if (!spec)
        return out_of_memory(err);
    struct json_value top;
    int r = open_document(json, length, "config.json", arena, &top, err);
    if (r < 0)
        return r;
    r = parse_top(arena, &top, spec, err);
    if (r < 0)
        return err_wrap(err, "config.json");
    *ret = take_ptr(spec);
    return 0;
}

int oci_process_parse(const char *json, size_t length, struct oci_process **ret, struct err *err) {
    struct arena *arena;
    _cleanup_oci_process_ struct oci_process *process = new_process(&arena);
    if (!process)
        return out_of_memory(err);
    struct json_value top;
    int r = open_document(json, length, "process.json", arena, &top, err);
    if (r < 0)
        return r;
    r = parse_process(arena, &top, process, err);
    if (r < 0)
        return err_wrap(err, "process.json");
    *ret = take_ptr(process);
    return 0;
}

int oci_resources_parse(const char *json, size_t length, struct oci_resources **ret, struct err *err) {
    struct arena *arena;
    _cleanup_oci_resources_ struct oci_resources *resources = new_resources(&arena);
    if (!resources)
        return out_of_memory(err);
    struct json_value top;
    int r = open_document(json, length, "resources", arena, &top, err);
    if (r < 0)
        return r;
    r = parse_resources(arena, &top, resources, err);
    if (r < 0)
        return err_wrap(err, "resources");
    *ret = take_ptr(resources);
    return 0;
}

struct oci_spec *oci_spec_free(struct oci_spec *spec) {
    if (spec)
        arena_done(&((struct spec_document *)spec)->arena);
    free(spec);
    return NULL;
}

void oci_spec_freep(struct oci_spec **spec) {
    *spec = oci_spec_free(*spec);
}

struct oci_process *oci_process_free(struct oci_process *process) {
    if (process)
        arena_done(&((struct process_document *)process)->arena);
    free(process);
    return NULL;
}

void oci_process_freep(struct oci_process **process) {
    *process = oci_process_free(*process);
}

struct oci_resources *oci_resources_free(struct oci_resources *resources) {
    if (resources)
        arena_done(&((struct resources_document *)resources)->arena);
    free(resources);
    return NULL;
}

void oci_resources_freep(struct oci_resources **resources) {
    *resources = oci_resources_free(*resources);
}

const char *oci_annotation(const struct oci_spec *spec, const char *key) {
    for (size_t i = 0; i < spec->n_annotations; i++)
        if (strcmp(spec->annotations[i].key, key) == 0)
            return spec->annotations[i].value;
    return NULL;
}
