/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel parameters: those that belong to a namespace, as runc allows them
 * (libcontainer/configs/validate). In a VM others would do no harm to the host,
 * but a container that needs them would not run anywhere else.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <string.h>

static const char *const allowed[] = {
    "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni",          "kernel/sem",        "kernel/shmall",
    "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced", "kernel/domainname",
};
static const char *const allowed_below[] = {"net/", "fs/mqueue/"};

/* sysctl(8): whichever of "." and "/" comes first separates; the other one stands for itself in an interface's name. */
static void to_path(char *key) {
    char *first = strpbrk(key, "./");
    if (!first || *first == '/')
        return;
    for (char *c = key; *c; c++)
        *c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
}

static bool is_allowed(const char *path) {
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        if (strcmp(path, allowed[i]) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(allowed_below); i++)
        if (text_has_prefix(path, allowed_below[i]))
            return true;
    return false;
}

/* No empty component, no "." and no ".." */
static bool is_plain(const char *path) {
    for (const char *c = path;; c++) {
        size_t span = strcspn(c, "/");
        if (span == 0 || (span == 1 && c[0] == '.') || (span == 2 && c[0] == '.' && c[1] == '.'))
            return false;
        c += span;
        if (!*c)
            return true;
    }
}

static int build_sysctl(const struct oci_pair *pair, plan_container_message *container, struct err *err) {
    _cleanup_free_ char *path = strdup(pair->key);
    if (!path)
        return plan_out_of_memory(err);
    to_path(path);
    if (strcmp(path, "kernel/hostname") == 0)
        return err_set(err, EINVAL, "sysctl %s: set the host name with 'hostname' of config.json", pair->key);
    if (!is_plain(path) || !is_allowed(path))
        return err_set(err, EINVAL,
                       "sysctl %s belongs to no namespace of the container; only net.*, fs.mqueue.* and the kernel.* "
                       "parameters of System V IPC can be set",
                       pair->key);
    Minka__Plan__V1__Sysctl *sysctl =
        plan_add_message(&container->sysctls, &container->n_sysctls, &minka__plan__v1__sysctl__descriptor);
    if (!sysctl)
        return plan_out_of_memory(err);
    int r = plan_set_string(&sysctl->key, path, err);
    return r < 0 ? r : plan_set_string(&sysctl->value, pair->value, err);
}

int plan_build_sysctls(const struct oci_spec *spec, plan_container_message *container, struct err *err) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < spec->n_sysctls; i++)
        r = build_sysctl(&spec->sysctls[i], container, err);
    return r;
}
