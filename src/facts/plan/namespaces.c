/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spec's namespaces in the guest. Where the spec wants the host's own, there
 * is a choice: harmless ones become the VM's own, which the container has for
 * itself anyway; those by which a container would see or touch the host are
 * refused, because they cannot be had.
 */
#include "facts/plan/build.h"

#define NONE    MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NONE
#define NEW     MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW
#define SANDBOX MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_SANDBOX

typedef Minka__Plan__V1__NamespaceMode mode;

static const char *const names[OCI_NS_COUNT] = {
    [OCI_NS_MOUNT] = "mount", [OCI_NS_PID] = "pid",   [OCI_NS_NETWORK] = "network", [OCI_NS_IPC] = "ipc",
    [OCI_NS_UTS] = "uts",     [OCI_NS_USER] = "user", [OCI_NS_CGROUP] = "cgroup",   [OCI_NS_TIME] = "time",
};

static int refuse_host(enum oci_namespace_type type, struct err *err) {
    if (type == OCI_NS_PID)
        return err_set(err, ENOTSUP,
                       "the container shares the host's processes (--pid host), but in a virtual machine it cannot see "
                       "them; give it a pid namespace of its own");
    return err_set(err, ENOTSUP,
                   "the container shares the host's network (--network host), but a virtual machine has its own; use "
                   "another network, or --network none, and publish ports with -p");
}

static int refuse_path(enum oci_namespace_type type, const char *path, struct err *err) {
    return err_set(
        err, ENOTSUP,
        "the container joins the %s namespace %s, but that is the host's or another virtual machine's; give it "
        "a namespace of its own, or put both containers into one pod",
        names[type], path);
}

/* Which mode a namespace gets that the spec leaves out, or that it wants new. */
static int choose(const struct oci_spec *spec, const struct plan_host *host, enum oci_namespace_type type, mode *ret,
                  struct err *err) {
    const struct oci_namespace *wanted = &spec->namespaces[type];
    if (!wanted->present) {
        if (type == OCI_NS_PID || type == OCI_NS_NETWORK)
            return refuse_host(type, err);
        /*
         * Mounts: the agent's own would have nothing to offer. cgroup: on hosts with version 1 engines ask for none and
         * get the container's own cgroup mounted instead; a namespace shows the same.
         */
        *ret = type == OCI_NS_MOUNT || type == OCI_NS_CGROUP ? NEW : NONE;
        return 0;
    }
    if (!wanted->path) {
        *ret = NEW;
        return 0;
    }
    if (host->joins_sandbox && type != OCI_NS_MOUNT) {
        *ret = SANDBOX;
        return 0;
    }
    /* The interfaces of a network namespace with a path are the host's side of the VM's network cards. */
    if (type != OCI_NS_NETWORK)
        return refuse_path(type, wanted->path, err);
    *ret = NEW;
    return 0;
}

static int add_mappings(Minka__Plan__V1__IdMapping ***list, size_t *count, const struct oci_id_mapping *mappings,
                        size_t n_mappings, struct err *err) {
    for (size_t i = 0; i < n_mappings; i++) {
        Minka__Plan__V1__IdMapping *mapping = plan_add_message(list, count, &minka__plan__v1__id_mapping__descriptor);
        if (!mapping)
            return plan_out_of_memory(err);
        mapping->container_id = mappings[i].container_id;
        mapping->host_id = mappings[i].host_id;
        mapping->size = mappings[i].size;
    }
    return 0;
}

/* The files of the share have the ids that the runtime sees on the host, so the mapping is the same in the guest. */
static int build_mappings(const struct oci_spec *spec, Minka__Plan__V1__Namespaces *ns, struct err *err) {
    if (ns->user != NEW)
        return 0;
    if (spec->n_uid_mappings == 0 || spec->n_gid_mappings == 0)
        return err_set(err, EINVAL,
                       "config.json asks for a user namespace without linux.uidMappings and linux.gidMappings");
    int r = add_mappings(&ns->uid_mappings, &ns->n_uid_mappings, spec->uid_mappings, spec->n_uid_mappings, err);
    return r < 0 ? r
                 : add_mappings(&ns->gid_mappings, &ns->n_gid_mappings, spec->gid_mappings, spec->n_gid_mappings, err);
}

int plan_build_namespaces(const struct oci_spec *spec, const struct plan_host *host, plan_container_message *container,
                          struct err *err) {
    Minka__Plan__V1__Namespaces *ns = plan_new_message(&minka__plan__v1__namespaces__descriptor);
    if (!ns)
        return plan_out_of_memory(err);
    container->namespaces = ns;
    if (spec->namespaces[OCI_NS_TIME].present)
        return err_set(err, ENOTSUP,
                       "config.json asks for a time namespace, which minka does not offer; take it out of "
                       "linux.namespaces");
    const struct {
        enum oci_namespace_type type;
        mode *mode;
    } wanted[] = {
        {OCI_NS_MOUNT, &ns->mount},     {OCI_NS_PID, &ns->pid},       {OCI_NS_IPC, &ns->ipc},   {OCI_NS_UTS, &ns->uts},
        {OCI_NS_NETWORK, &ns->network}, {OCI_NS_CGROUP, &ns->cgroup}, {OCI_NS_USER, &ns->user},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        int r = choose(spec, host, wanted[i].type, wanted[i].mode, err);
        if (r < 0)
            return r;
    }
    return build_mappings(spec, ns, err);
}
