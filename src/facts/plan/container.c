/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.pb-c.h"
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <string.h>

static const struct {
    const char *type;
    const char *const modules[3];
} disk_types[] = {
    {"ext4", {"blk", "ext4", NULL}},
    {"squashfs", {"blk", "squashfs", NULL}},
    {"erofs", {"blk", "erofs", NULL}},
};

const char *const *plan_disk_modules(const char *disk_type) {
    for (size_t i = 0; i < ARRAY_SIZE(disk_types); i++)
        if (strcmp(disk_types[i].type, disk_type) == 0)
            return disk_types[i].modules;
    return NULL;
}

/* An image is never written to: what the container changes goes to memory and is gone with it. */
static int build_disk(const struct plan_host *host, plan_container_message *container, struct err *err) {
    const char *const *modules = host->disk_type ? plan_disk_modules(host->disk_type) : NULL;
    Minka__Plan__V1__Root *root = container->root;
    if (!modules)
        return err_set(err, ENOTSUP,
                       "an image of type '%s' cannot be mounted in the guest; it knows ext4, squashfs and erofs",
                       host->disk_type ? host->disk_type : "");
    root->disk_readonly = true;
    root->overlay_tmpfs = true;
    int r = plan_set_string(&root->disk_serial, host->disk_serial, err);
    if (r >= 0)
        r = plan_set_string(&root->disk_type, host->disk_type, err);
    for (; r >= 0 && *modules; modules++)
        r = plan_add_string(&container->modules, &container->n_modules, *modules, err);
    return r < 0 ? r : plan_add_string(&container->modules, &container->n_modules, "overlay", err);
}

static int build_root(const struct oci_spec *spec, const struct plan_host *host, plan_container_message *container,
                      struct err *err) {
    container->root = plan_new_message(&minka__plan__v1__root__descriptor);
    if (!container->root)
        return plan_out_of_memory(err);
    container->root->readonly = spec->root_readonly;
    container->root->propagation = spec->rootfs_propagation;
    if (host->disk_serial)
        return build_disk(host, container, err);
    _cleanup_free_ char *path = text_format(GUEST_SHARE_PATH "/%s/rootfs", host->container_id);
    return path ? plan_set_string(&container->root->path, path, err) : plan_out_of_memory(err);
}

static int build_names(const struct oci_spec *spec, plan_container_message *container, struct err *err) {
    int r = plan_set_string(&container->hostname, spec->hostname, err);
    if (r >= 0)
        r = plan_set_string(&container->domainname, spec->domainname, err);
    if (r >= 0)
        r = plan_add_strings(&container->masked_paths, &container->n_masked_paths, spec->masked_paths,
                             spec->n_masked_paths, err);
    return r < 0 ? r
                 : plan_add_strings(&container->readonly_paths, &container->n_readonly_paths, spec->readonly_paths,
                                    spec->n_readonly_paths, err);
}

static int build_hook(const struct oci_hook *hook, plan_container_message *container, struct err *err) {
    Minka__Plan__V1__Hook *message = plan_add_message(
        &container->start_container_hooks, &container->n_start_container_hooks, &minka__plan__v1__hook__descriptor);
    if (!message)
        return plan_out_of_memory(err);
    message->timeout_sec = hook->has_timeout ? hook->timeout_sec : 0;
    int r = plan_set_string(&message->path, hook->path, err);
    if (r >= 0)
        r = plan_add_strings(&message->args, &message->n_args, hook->args, hook->n_args, err);
    return r < 0 ? r : plan_add_strings(&message->env, &message->n_env, hook->env, hook->n_env, err);
}

/* The state without a pid: the agent adds the one that the process has in the container. */
static int build_hook_state(const struct oci_spec *spec, const struct plan_host *host,
                            plan_container_message *container, struct err *err) {
    _cleanup_buf_ struct buf state = {0};
    if (oci_state_json(&state, spec->version, host->container_id, "created", 0, host->bundle, spec->annotations,
                       spec->n_annotations) < 0)
        return plan_out_of_memory(err);
    container->hook_state.len = state.length;
    container->hook_state.data = take_ptr(state.data);
    return 0;
}

static int build_hooks(const struct oci_spec *spec, const struct plan_host *host, plan_container_message *container,
                       struct err *err) {
    const struct oci_hook_list *list = &spec->hooks[OCI_HOOK_START_CONTAINER];
    int r = 0;
    for (size_t i = 0; r >= 0 && i < list->count; i++)
        r = build_hook(&list->hooks[i], container, err);
    return r < 0 || list->count == 0 ? r : build_hook_state(spec, host, container, err);
}

static int build_cgroup(const struct oci_spec *spec, plan_container_message *container, struct err *err) {
    container->cgroup = plan_new_message(&minka__plan__v1__cgroup__descriptor);
    if (!container->cgroup)
        return plan_out_of_memory(err);
    int r = plan_build_cgroup_settings(&spec->resources, container->cgroup, err);
    return r < 0 ? r : plan_build_container_rules(spec, container, &container->cgroup->device_program, err);
}

static int build_own_process(const struct oci_spec *spec, const struct plan_host *host,
                             plan_container_message *container, struct err *err) {
    if (!spec->has_process)
        return err_set(err, EINVAL, "config.json has no process: there is nothing to run");
    container->process = plan_new_message(&minka__plan__v1__process__descriptor);
    return container->process ? plan_build_process(spec, &spec->process, &host->streams, container->process, err)
                              : plan_out_of_memory(err);
}

/* The order matters in two places: mounts may add devices, and devices are what the rules of last resort allow. */
static int build_container(const struct oci_spec *spec, const struct plan_host *host, plan_container_message *container,
                           struct err *err) {
    int mounts_left_out = 0, devices_left_out = 0;
    int r = plan_set_string(&container->id, host->container_id, err);
    if (r >= 0)
        r = plan_build_namespaces(spec, host, container, err);
    if (r >= 0)
        r = build_root(spec, host, container, err);
    if (r >= 0)
        r = mounts_left_out = plan_build_mounts(spec, host, container, err);
    if (r >= 0)
        r = devices_left_out = plan_build_devices(spec, container, err);
    if (r >= 0)
        r = build_names(spec, container, err);
    if (r >= 0)
        r = plan_build_sysctls(spec, container, err);
    if (r >= 0)
        r = build_cgroup(spec, container, err);
    if (r >= 0)
        r = build_own_process(spec, host, container, err);
    if (r >= 0)
        r = build_hooks(spec, host, container, err);
    container->no_new_keyring = host->no_new_keyring;
    container->set_personality = spec->has_personality;
    container->personality = spec->has_personality ? spec->personality : 0;
    return r < 0 ? r : mounts_left_out + devices_left_out;
}

int plan_container(const struct oci_spec *spec, const struct plan_host *host, struct buf *ret, struct err *err) {
    plan_container_message *container = plan_new_message(&minka__plan__v1__container__descriptor);
    if (!container)
        return plan_out_of_memory(err);
    int left_out = build_container(spec, host, container, err);
    int r = left_out < 0 ? left_out : plan_pack_message(&container->base, ret, err);
    minka__plan__v1__container__free_unpacked(container, NULL);
    return r < 0 ? r : left_out;
}

int plan_update(const struct oci_resources *resources, const char *container_id, struct buf *ret, struct err *err) {
    Minka__Agent__V1__UpdateRequest *request = plan_new_message(&minka__agent__v1__update_request__descriptor);
    if (!request)
        return plan_out_of_memory(err);
    request->cgroup = plan_new_message(&minka__plan__v1__cgroup__descriptor);
    int r = request->cgroup ? plan_set_string(&request->container, container_id, err) : plan_out_of_memory(err);
    if (r >= 0)
        r = plan_build_cgroup_settings(resources, request->cgroup, err);
    if (r >= 0)
        r = plan_build_update_rules(resources, &request->cgroup->device_program, err);
    if (r >= 0)
        r = plan_pack_message(&request->base, ret, err);
    minka__agent__v1__update_request__free_unpacked(request, NULL);
    return r < 0 ? r : 0;
}
