/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as text: for golden files and --debug. One line per step, in the agent's order. */
#include "agent.pb-c.h"
#include "facts/plan/build.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const char *mode_name(Minka__Plan__V1__NamespaceMode mode) {
    switch (mode) {
    case MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW:
        return "new";
    case MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_SANDBOX:
        return "of the sandbox";
    default:
        return "none";
    }
}

static int print_mappings(const char *name, Minka__Plan__V1__IdMapping *const *mappings, size_t count,
                          struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = buf_append_format(out, "%s container %u = %u, %u of them\n", name, mappings[i]->container_id,
                              mappings[i]->host_id, mappings[i]->size);
    return r;
}

static int print_namespaces(const Minka__Plan__V1__Namespaces *ns, struct buf *out) {
    if (!ns)
        return 0;
    int r = buf_append_format(out, "namespaces: mount %s, pid %s, ipc %s, uts %s, network %s, cgroup %s, user %s\n",
                              mode_name(ns->mount), mode_name(ns->pid), mode_name(ns->ipc), mode_name(ns->uts),
                              mode_name(ns->network), mode_name(ns->cgroup), mode_name(ns->user));
    if (r >= 0)
        r = print_mappings("uid map:", ns->uid_mappings, ns->n_uid_mappings, out);
    return r < 0 ? r : print_mappings("gid map:", ns->gid_mappings, ns->n_gid_mappings, out);
}

static int print_root(const Minka__Plan__V1__Root *root, struct buf *out) {
    if (!root)
        return 0;
    int r = *root->disk_serial ? buf_append_format(out, "root: disk %s, %s%s", root->disk_serial, root->disk_type,
                                                   root->disk_readonly ? ", opened read-only" : "")
                               : buf_append_format(out, "root: %s", root->path);
    if (r >= 0 && root->overlay_tmpfs)
        r = buf_append_string(out, ", writable layer in memory");
    if (r >= 0 && root->readonly)
        r = buf_append_string(out, ", read-only");
    if (r >= 0 && root->propagation)
        r = buf_append_string(out, ", ");
    if (r >= 0)
        r = plan_print_propagation(root->propagation, out);
    return r < 0 ? r : buf_append_string(out, "\n");
}

static int print_devices(const plan_container_message *container, struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < container->n_devices; i++) {
        const plan_device *device = container->devices[i];
        char type = S_ISCHR(device->mode) ? 'c' : S_ISBLK(device->mode) ? 'b' : 'p';
        r = buf_append_format(out, "device: %s %c %u:%u, mode %04o, owner %u:%u\n", device->path, type, device->major,
                              device->minor, device->mode & 07777, device->uid, device->gid);
    }
    for (size_t i = 0; r >= 0 && i < container->n_symlinks; i++)
        r = buf_append_format(out, "link: %s -> %s\n", container->symlinks[i]->path, container->symlinks[i]->target);
    return r;
}

static int print_strings(const char *name, char *const *strings, size_t count, struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = buf_append_format(out, "%s: %s\n", name, strings[i]);
    return r;
}

static int print_hooks(const plan_container_message *container, struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < container->n_start_container_hooks; i++) {
        const Minka__Plan__V1__Hook *hook = container->start_container_hooks[i];
        r = buf_append_format(out, "hook: %s, timeout %u s\n", hook->path, hook->timeout_sec);
        if (r >= 0)
            r = print_strings("hook argument", hook->args, hook->n_args, out);
        if (r >= 0)
            r = print_strings("hook environment", hook->env, hook->n_env, out);
    }
    if (r >= 0 && container->hook_state.len > 0)
        r = buf_append_format(out, "hook state: %.*s\n", (int)container->hook_state.len,
                              (const char *)container->hook_state.data);
    return r;
}

static int print_settings(const plan_container_message *container, struct buf *out) {
    int r = 0;
    if (*container->hostname)
        r = buf_append_format(out, "hostname: %s\n", container->hostname);
    if (r >= 0 && *container->domainname)
        r = buf_append_format(out, "domainname: %s\n", container->domainname);
    for (size_t i = 0; r >= 0 && i < container->n_sysctls; i++)
        r = buf_append_format(out, "sysctl: %s = %s\n", container->sysctls[i]->key, container->sysctls[i]->value);
    if (r >= 0 && container->set_personality)
        r = buf_append_format(out, "personality: 0x%" PRIx64 "\n", container->personality);
    if (r >= 0 && container->no_new_keyring)
        r = buf_append_string(out, "keyring: the one that is there\n");
    return r;
}

static int print_container(const plan_container_message *container, struct buf *out) {
    int r = buf_append_format(out, "container: %s\n", container->id);
    if (r >= 0)
        r = print_strings("modules", container->modules, container->n_modules, out);
    if (r >= 0)
        r = print_namespaces(container->namespaces, out);
    if (r >= 0)
        r = print_root(container->root, out);
    for (size_t i = 0; r >= 0 && i < container->n_mounts; i++)
        r = plan_print_mount(container->mounts[i], out);
    if (r >= 0)
        r = print_devices(container, out);
    if (r >= 0)
        r = print_strings("masked", container->masked_paths, container->n_masked_paths, out);
    if (r >= 0)
        r = print_strings("read-only", container->readonly_paths, container->n_readonly_paths, out);
    if (r >= 0)
        r = print_settings(container, out);
    if (r >= 0 && container->cgroup)
        r = plan_print_cgroup(container->cgroup, out);
    if (r >= 0 && container->process)
        r = plan_print_process(container->process, out);
    return r < 0 ? r : print_hooks(container, out);
}

static int print_exec(const Minka__Agent__V1__ExecRequest *request, struct buf *out) {
    int r = buf_append_format(out, "container: %s\nprocess: %s\n", request->container, request->process);
    return r < 0 || !request->plan ? r : plan_print_process(request->plan, out);
}

static int print_update(const Minka__Agent__V1__UpdateRequest *request, struct buf *out) {
    int r = buf_append_format(out, "container: %s\n", request->container);
    return r < 0 || !request->cgroup ? r : plan_print_cgroup(request->cgroup, out);
}

int plan_print(const char *message, const struct buf *packed, struct buf *ret, struct err *err) {
    static const struct {
        const char *name;
        const ProtobufCMessageDescriptor *descriptor;
    } messages[] = {
        {"container", &minka__plan__v1__container__descriptor},
        {"exec", &minka__agent__v1__exec_request__descriptor},
        {"update", &minka__agent__v1__update_request__descriptor},
    };
    for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
        if (strcmp(message, messages[i].name) != 0)
            continue;
        ProtobufCMessage *plan = protobuf_c_message_unpack(messages[i].descriptor, NULL, packed->length, packed->data);
        if (!plan)
            return err_set(err, EBADMSG, "the plan is damaged");
        int r = i == 0   ? print_container((const void *)plan, ret)
                : i == 1 ? print_exec((const void *)plan, ret)
                         : print_update((const void *)plan, ret);
        protobuf_c_message_free_unpacked(plan, NULL);
        return r < 0 ? plan_out_of_memory(err) : 0;
    }
    return err_set(err, EINVAL, "there is no plan of the kind '%s'", message);
}
