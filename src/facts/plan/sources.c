/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bind mounts: which come from the host, and which mean something that the VM
 * has of its own. What lies below /dev, /proc and /sys describes the machine; in
 * a container in a VM the machine is the VM.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <string.h>

/* Absolute, without empty and "." components and without a closing slash. ".." stays: only a lookup can resolve it. */
static char *plain_path(const char *bundle, const char *path) {
    _cleanup_free_ char *whole = *path == '/' ? strdup(path) : text_format("%s/%s", bundle, path);
    char *plain = whole ? malloc(strlen(whole) + 2) : NULL;
    if (!plain)
        return NULL;
    size_t length = 0;
    for (const char *c = whole; *c;) {
        size_t span = strcspn(c, "/");
        if (span > 0 && !(span == 1 && *c == '.')) {
            plain[length++] = '/';
            memcpy(plain + length, c, span);
            length += span;
        }
        c += span + (c[span] == '/');
    }
    if (length == 0)
        plain[length++] = '/';
    plain[length] = '\0';
    return plain;
}

static bool is_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool has_dots(const char *path) {
    size_t length = strlen(path);
    return strstr(path, "/../") || (length >= 3 && strcmp(path + length - 3, "/..") == 0);
}

/*
 * The engines' shared memory: a tmpfs of the host made for this container, called "shm" by all of them (podman:
 * userdata/shm, docker: mounts/shm, containerd and CRI-O: …/shm). Memory shared through it must be the guest's.
 */
static bool is_shared_memory(const char *path, const char *destination) {
    const char *name = strrchr(path, '/');
    return is_below(path, "/dev/shm") || (strcmp(destination, "/dev/shm") == 0 && strcmp(name + 1, "shm") == 0);
}

static void classify_device(struct source *source) {
    source->device = plan_standard_device_by_path(source->path);
    if (source->device)
        source->kind = SOURCE_DEVICE;
    else if (strcmp(source->path, "/dev") == 0)
        source->kind = SOURCE_GUEST;
    else
        source->kind = SOURCE_NOTHING;
}

static void classify(struct source *source, const char *destination) {
    /* A fresh mount shows the container's own namespaces and cgroup, where a bind would show the agent's. */
    static const struct {
        const char *path, *destination, *type;
    } fresh[] = {
        {"/proc", "/proc", "proc"},
        {"/sys", "/sys", "sysfs"},
        {"/sys/fs/cgroup", "/sys/fs/cgroup", "cgroup2"},
        {"/dev/mqueue", "/dev/mqueue", "mqueue"},
    };
    if (has_dots(source->path)) {
        source->kind = SOURCE_HOST;
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(fresh); i++)
        if (strcmp(source->path, fresh[i].path) == 0 && strcmp(destination, fresh[i].destination) == 0) {
            source->kind = SOURCE_TYPE;
            source->type = fresh[i].type;
            return;
        }
    if (is_shared_memory(source->path, destination))
        source->kind = SOURCE_SHM;
    else if (is_below(source->path, "/dev"))
        classify_device(source);
    else if (is_below(source->path, "/proc") || is_below(source->path, "/sys"))
        source->kind = SOURCE_GUEST;
    else
        source->kind = SOURCE_HOST;
}

int plan_source_of(const struct oci_mount *mount, const char *bundle, struct source *ret, struct err *err) {
    _cleanup_free_ char *destination = plain_path("/", mount->destination);
    struct source source = {.path = plain_path(bundle, mount->source)};
    if (!source.path || !destination) {
        free(source.path);
        return plan_out_of_memory(err);
    }
    classify(&source, destination);
    *ret = source;
    return 0;
}

static int host_mount(const struct oci_mount *mount, const char *bundle, struct plan_host_mount *ret, struct err *err) {
    struct mount_options options = {0};
    struct source source = {0};
    int r = plan_mount_options_parse(mount, &options, err);
    if (r < 0)
        return r;
    r = plan_source_of(mount, bundle, &source, err);
    if (r >= 0 && source.kind == SOURCE_HOST) {
        ret->source = take_ptr(source.path);
        /* On the host's side a read-only volume is so with all that is mounted below it; stricter is harmless. */
        ret->readonly = (options.flags & MS_RDONLY) || (options.recursive_set & MOUNT_ATTR_RDONLY);
        ret->recursive = (options.flags & MS_REC) != 0;
    } else if (r >= 0 && source.kind == SOURCE_SHM) {
        ret->size_of = take_ptr(source.path);
    }
    free(source.path);
    plan_mount_options_done(&options);
    return r;
}

int plan_host_mounts(const struct oci_spec *spec, const char *bundle, struct plan_host_mount **ret, struct err *err) {
    struct plan_host_mount *mounts = calloc(spec->n_mounts + 1, sizeof(*mounts));
    if (!mounts)
        return plan_out_of_memory(err);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < spec->n_mounts; i++)
        if (spec->mounts[i].is_bind)
            r = host_mount(&spec->mounts[i], bundle, &mounts[i], err);
    if (r < 0) {
        plan_host_mounts_free(mounts, spec->n_mounts);
        return r;
    }
    *ret = mounts;
    return 0;
}

void plan_host_mounts_free(struct plan_host_mount *mounts, size_t count) {
    for (size_t i = 0; mounts && i < count; i++) {
        free(mounts[i].source);
        free(mounts[i].size_of);
    }
    free(mounts);
}

char *plan_share_name(const char *container_id, size_t mount_index) {
    return text_format("%s/%zu", container_id, mount_index);
}
