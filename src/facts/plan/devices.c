/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes. A device of the host is not in the VM; what can be had is the
 * guest kernel's own device of the same kind. Those below have fixed numbers
 * (Documentation/admin-guide/devices.txt), the same for host and guest.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

static const struct standard_device standard_devices[] = {
    {"/dev/null", 1, 3, 0666, NULL, true},
    {"/dev/zero", 1, 5, 0666, NULL, true},
    {"/dev/full", 1, 7, 0666, NULL, true},
    {"/dev/random", 1, 8, 0666, NULL, true},
    {"/dev/urandom", 1, 9, 0666, NULL, true},
    {"/dev/tty", 5, 0, 0666, NULL, true},
    {"/dev/kmsg", 1, 11, 0644, NULL, false},
    {"/dev/fuse", 10, 229, 0666, "fuse", false},
    {"/dev/net/tun", 10, 200, 0666, "tun", false},
    {"/dev/kvm", 10, 232, 0666, NULL, false},
    {"/dev/loop-control", 10, 237, 0660, "loop", false},
};

/* Made by the agent, of the container's own terminals: config-linux.md, "Default Devices". */
static const struct {
    const char *path;
    uint32_t major, minor;
} terminal_devices[] = {{"/dev/ptmx", 5, 2}, {"/dev/console", 5, 1}};

static const struct {
    const char *target, *path;
} links[] = {
    {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"}, {"/proc/kcore", "/dev/core"},      {"pts/ptmx", "/dev/ptmx"},
};

const struct standard_device *plan_standard_device_by_path(const char *path) {
    for (size_t i = 0; i < ARRAY_SIZE(standard_devices); i++)
        if (strcmp(standard_devices[i].path, path) == 0)
            return &standard_devices[i];
    return NULL;
}

static const struct standard_device *standard_device_by_number(const struct oci_device *device) {
    for (size_t i = 0; device->type == 'c' && i < ARRAY_SIZE(standard_devices); i++)
        if (device->major == standard_devices[i].major && device->minor == standard_devices[i].minor)
            return &standard_devices[i];
    return NULL;
}

static bool is_terminal_device(const struct oci_device *device) {
    for (size_t i = 0; i < ARRAY_SIZE(terminal_devices); i++)
        if (device->type == 'c' && strcmp(device->path, terminal_devices[i].path) == 0 &&
            device->major == terminal_devices[i].major && device->minor == terminal_devices[i].minor)
            return true;
    return false;
}

static bool allows_everything(const struct oci_device_rule *rule) {
    return rule->allow && rule->type == 'a' && !rule->has_major && !rule->has_minor && rule->read && rule->write &&
           rule->mknod;
}

/*
 * Engines say "privileged" in no single word. As root the device rules allow everything; rootless there are no rules,
 * but then nothing is masked or read-only either and the container may administer its machine.
 */
bool plan_spec_is_privileged(const struct oci_spec *spec) {
    static const uint64_t sys_admin = UINT64_C(1) << 21; /* CAP_SYS_ADMIN */
    const struct oci_resources *resources = &spec->resources;
    if (resources->n_device_rules > 0)
        return allows_everything(&resources->device_rules[resources->n_device_rules - 1]);
    return spec->n_masked_paths == 0 && spec->n_readonly_paths == 0 && spec->process.has_capabilities &&
           (spec->process.capabilities.bounding & sys_admin);
}

/* The node at this path, new if there is none yet: a later wish replaces an earlier one. */
static plan_device *node_at(plan_container_message *container, const char *path, struct err *err) {
    for (size_t i = 0; i < container->n_devices; i++)
        if (strcmp(container->devices[i]->path, path) == 0)
            return container->devices[i];
    plan_device *device =
        plan_add_message(&container->devices, &container->n_devices, &minka__plan__v1__device__descriptor);
    if (!device || plan_set_string(&device->path, path, err) < 0) {
        plan_out_of_memory(err);
        return NULL;
    }
    return device;
}

static int need_modules(plan_container_message *container, const char *group, struct err *err) {
    for (size_t i = 0; group && i < container->n_modules; i++)
        if (strcmp(container->modules[i], group) == 0)
            return 0;
    return group ? plan_add_string(&container->modules, &container->n_modules, group, err) : 0;
}

int plan_build_standard_device(const struct standard_device *device, const char *path,
                               plan_container_message *container, struct err *err) {
    plan_device *node = node_at(container, path, err);
    if (!node)
        return -ENOMEM;
    node->mode = S_IFCHR | device->mode;
    node->major = device->major;
    node->minor = device->minor;
    return need_modules(container, device->modules, err);
}

static int refuse(const struct oci_device *device, struct err *err) {
    if (device->type == 'b')
        return err_set(
            err, ENODEV,
            "the block device %s (%lld:%lld) of the host cannot be used by a container in a virtual machine; "
            "mount it on the host and use a volume, or run an image file with 'minka run --image'",
            device->path, (long long)device->major, (long long)device->minor);
    return err_set(
        err, ENODEV,
        "the device %s (%c %lld:%lld) of the host does not exist in the virtual machine, which has null, zero, "
        "full, random, urandom, tty, kmsg, fuse, net/tun, kvm and loop-control of its own; leave it out",
        device->path, device->type, (long long)device->major, (long long)device->minor);
}

static int build_asked(const struct oci_device *device, const struct standard_device *standard,
                       plan_container_message *container, struct err *err) {
    plan_device *node = node_at(container, device->path, err);
    if (!node)
        return -ENOMEM;
    /* crun and runc: 0666 when nothing is said */
    node->mode = (standard ? S_IFCHR : S_IFIFO) | (device->has_file_mode ? device->file_mode & 07777 : 0666u);
    node->major = standard ? standard->major : 0;
    node->minor = standard ? standard->minor : 0;
    node->uid = device->has_uid ? device->uid : 0;
    node->gid = device->has_gid ? device->gid : 0;
    return need_modules(container, standard ? standard->modules : NULL, err);
}

/* Returns 1 when it was left out. */
static int build_device(const struct oci_device *device, bool privileged, plan_container_message *container,
                        struct err *err) {
    const struct standard_device *standard = standard_device_by_number(device);
    if (is_terminal_device(device))
        return 0;
    if (standard || device->type == 'p')
        return build_asked(device, standard, container, err);
    return privileged ? 1 : refuse(device, err);
}

/* The whole of the guest's /dev was asked for: nothing is to be made in it. */
static bool has_bound_dev(const plan_container_message *container) {
    for (size_t i = 0; i < container->n_mounts; i++)
        if ((container->mounts[i]->flags & MS_BIND) && strcmp(container->mounts[i]->destination, "/dev") == 0)
            return true;
    return false;
}

static int build_defaults(plan_container_message *container, struct err *err) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(standard_devices); i++)
        if (standard_devices[i].always)
            r = plan_build_standard_device(&standard_devices[i], standard_devices[i].path, container, err);
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(links); i++) {
        Minka__Plan__V1__Symlink *link =
            plan_add_message(&container->symlinks, &container->n_symlinks, &minka__plan__v1__symlink__descriptor);
        if (!link)
            return plan_out_of_memory(err);
        r = plan_set_string(&link->target, links[i].target, err);
        if (r >= 0)
            r = plan_set_string(&link->path, links[i].path, err);
    }
    return r;
}

int plan_build_devices(const struct oci_spec *spec, plan_container_message *container, struct err *err) {
    bool privileged = plan_spec_is_privileged(spec);
    int left_out = 0;
    int r = has_bound_dev(container) ? 0 : build_defaults(container, err);
    for (size_t i = 0; r >= 0 && i < spec->n_devices; i++) {
        r = build_device(&spec->devices[i], privileged, container, err);
        left_out += r > 0;
    }
    return r < 0 ? r : left_out;
}
