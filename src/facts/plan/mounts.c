/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <inttypes.h>
#include <string.h>

/* What engines give /dev/shm when nobody says otherwise: 64 MiB. */
static const uint64_t SHM_SIZE_DEFAULT = 64 << 20;

/* File systems that are the kernel's and need no storage: the guest has them as well as the host. */
static const char *const kernel_types[] = {
    "proc",    "sysfs",   "tmpfs",    "ramfs",   "devpts",     "devtmpfs",  "mqueue",      "cgroup2", "bpf",
    "debugfs", "tracefs", "configfs", "fusectl", "securityfs", "hugetlbfs", "binfmt_misc", "pstore",  "efivarfs",
};

static bool is_kernel_type(const char *type) {
    for (size_t i = 0; i < ARRAY_SIZE(kernel_types); i++)
        if (strcmp(type, kernel_types[i]) == 0)
            return true;
    return false;
}

static int set_options(plan_mount *mount, const struct mount_options *options, struct err *err) {
    mount->flags = options->flags;
    mount->propagation = options->propagation;
    mount->recursive_set = options->recursive_set;
    mount->recursive_clear = options->recursive_clear;
    /* A bind mount has no data: what no one knows is ignored, as mount(2) ignores it. */
    return options->flags & MS_BIND ? 0 : plan_set_string(&mount->data, options->data, err);
}

/* A mount of a file system type, in whatever way the spec spelt it. */
static int build_type(plan_mount *mount, const char *type, const char *source, const struct mount_options *options,
                      struct err *err) {
    struct mount_options plain = *options;
    char none[] = "";
    plain.flags &= ~(uint64_t)(MS_BIND | MS_REC);
    if (strcmp(type, "cgroup2") == 0)
        plain.data = none; /* options of version 1, which no one can mean here */
    if (strcmp(type, "tmpfs") == 0)
        mount->copy_up = options->copy_up;
    int r = plan_set_string(&mount->type, type, err);
    if (r >= 0)
        r = plan_set_string(&mount->source, *source ? source : type, err);
    return r < 0 ? r : set_options(mount, &plain, err);
}

/* Only version 2 is in the guest, whatever the host has. Read-only unless "rw" was said: then it is delegated. */
static int build_cgroup(plan_mount *mount, const struct mount_options *options, struct err *err) {
    struct mount_options plain = *options;
    if (!plain.writable_given)
        plain.flags |= MS_RDONLY;
    return build_type(mount, "cgroup2", "cgroup", &plain, err);
}

static int build_shm(plan_mount *mount, const struct plan_host_mount *host, const struct mount_options *options,
                     struct err *err) {
    struct mount_options plain = *options;
    uint64_t size = host->size > 0 ? host->size : SHM_SIZE_DEFAULT;
    _cleanup_free_ char *data = text_format("mode=1777,size=%" PRIu64, size);
    if (!data)
        return plan_out_of_memory(err);
    plain.data = data;
    return build_type(mount, "tmpfs", "shm", &plain, err);
}

static int build_bind(plan_mount *mount, const char *source, bool is_file, const struct mount_options *options,
                      struct err *err) {
    struct mount_options bind = *options;
    bind.flags |= MS_BIND;
    mount->source_is_file = is_file;
    int r = plan_set_string(&mount->source, source, err);
    return r < 0 ? r : set_options(mount, &bind, err);
}

static int build_share(plan_mount *mount, const struct plan_host *host, size_t index,
                       const struct mount_options *options, struct err *err) {
    _cleanup_free_ char *name = plan_share_name(host->container_id, index);
    _cleanup_free_ char *path = name ? text_format(GUEST_SHARE_PATH "/%s", name) : NULL;
    if (!path)
        return plan_out_of_memory(err);
    return build_bind(mount, path, host->mounts[index].is_file, options, err);
}

static int refuse_type(const struct oci_mount *mount, struct err *err) {
    if (!*mount->type)
        return err_set(err, EINVAL, "the mount on %s has neither a type nor the option 'bind'", mount->destination);
    return err_set(err, ENOTSUP,
                   "the mount on %s is of type '%s', which a container in a virtual machine cannot mount from the "
                   "host; mount it on the host and use a bind mount",
                   mount->destination, mount->type);
}

static int refuse_device(const struct oci_mount *mount, const char *path, struct err *err) {
    return err_set(
        err, ENODEV,
        "%s of the host, asked for at %s, does not exist in the virtual machine, which has null, zero, full, "
        "random, urandom, tty, kmsg, fuse, net/tun, kvm and loop devices of its own; leave it out",
        path, mount->destination);
}

/* In /dev a device becomes a node, with the mode that everyone expects; elsewhere it covers a file of the image. */
static bool becomes_node(const struct oci_mount *mount) {
    return strncmp(mount->destination, "/dev/", 5) == 0;
}

static int build_bind_mount(const struct oci_mount *from, size_t index, const struct plan_host *host,
                            const struct source *source, const struct mount_options *options, plan_mount *mount,
                            struct err *err) {
    switch (source->kind) {
    case SOURCE_HOST:
        return build_share(mount, host, index, options, err);
    case SOURCE_TYPE:
        return build_type(mount, source->type, "", options, err);
    case SOURCE_SHM:
        return build_shm(mount, &host->mounts[index], options, err);
    case SOURCE_GUEST:
        return build_bind(mount, source->path, false, options, err);
    case SOURCE_DEVICE:
        return build_bind(mount, source->device->path, true, options, err);
    case SOURCE_NOTHING:
        break;
    }
    return refuse_device(from, source->path, err);
}

static plan_mount *new_mount(plan_container_message *container, const char *destination, struct err *err) {
    plan_mount *mount = plan_add_message(&container->mounts, &container->n_mounts, &minka__plan__v1__mount__descriptor);
    if (!mount) {
        plan_out_of_memory(err);
        return NULL;
    }
    return plan_set_string(&mount->destination, destination, err) < 0 ? NULL : mount;
}

/* Returns 1 when the mount was left out. */
static int build_from_source(const struct oci_spec *spec, size_t index, const struct plan_host *host,
                             const struct source *source, const struct mount_options *options,
                             plan_container_message *container, struct err *err) {
    const struct oci_mount *from = &spec->mounts[index];
    if (source->kind == SOURCE_NOTHING && plan_spec_is_privileged(spec))
        return 1;
    if (source->kind == SOURCE_DEVICE && becomes_node(from))
        return plan_build_standard_device(source->device, from->destination, container, err);
    plan_mount *mount = new_mount(container, from->destination, err);
    return mount ? build_bind_mount(from, index, host, source, options, mount, err) : -ENOMEM;
}

static int build_plain(const struct oci_mount *from, const struct mount_options *options,
                       plan_container_message *container, struct err *err) {
    bool cgroup = strcmp(from->type, "cgroup") == 0 || strcmp(from->type, "cgroup2") == 0;
    if (!cgroup && !is_kernel_type(from->type))
        return refuse_type(from, err);
    plan_mount *mount = new_mount(container, from->destination, err);
    if (!mount)
        return -ENOMEM;
    return cgroup ? build_cgroup(mount, options, err) : build_type(mount, from->type, from->source, options, err);
}

static int build_mount(const struct oci_spec *spec, size_t index, const struct plan_host *host,
                       plan_container_message *container, struct err *err) {
    const struct oci_mount *from = &spec->mounts[index];
    struct mount_options options = {0};
    struct source source = {0};
    int r = plan_mount_options_parse(from, &options, err);
    if (r < 0)
        return r;
    if (!from->is_bind) {
        r = build_plain(from, &options, container, err);
    } else {
        r = plan_source_of(from, host->bundle, &source, err);
        if (r >= 0)
            r = build_from_source(spec, index, host, &source, &options, container, err);
    }
    free(source.path);
    plan_mount_options_done(&options);
    return r;
}

int plan_build_mounts(const struct oci_spec *spec, const struct plan_host *host, plan_container_message *container,
                      struct err *err) {
    int left_out = 0;
    for (size_t i = 0; i < spec->n_mounts; i++) {
        int r = build_mount(spec, i, host, container, err);
        if (r < 0)
            return r;
        left_out += r;
    }
    return left_out;
}
