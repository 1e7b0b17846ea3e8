/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/plan_check.h"

#include "guest/agent/agent.h"
#include "shared/base/streams.h"
#include "shared/base/text.h"

#include <errno.h>
#include <limits.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/stat.h>

enum { DEVICE_PROGRAM_MAX = 8 * 4096, SETTING_MAX = 4096, HOST_NAME_LENGTH_MAX = 64 };

static int check_path(const char *what, const char *path, struct err *err) {
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return err_set(err, EINVAL, "the plan's %s '%.100s' is not an absolute path", what, path);
    return 0;
}

static int check_paths(const char *what, char *const *paths, size_t count, struct err *err) {
    for (size_t i = 0; i < count; i++)
        if (check_path(what, paths[i], err) < 0)
            return -EINVAL;
    return 0;
}

int plan_check_process(const Minka__Plan__V1__Process *plan, struct err *err) {
    if (!plan)
        return err_set(err, EINVAL, "the plan has no process");
    if (plan->n_args == 0)
        return err_set(err, EINVAL, "the plan's process has no arguments");
    if (plan->seccomp.len % sizeof(struct sock_filter) != 0 ||
        plan->seccomp.len > BPF_MAXINSNS * sizeof(struct sock_filter))
        return err_set(err, EINVAL, "the plan's seccomp program is malformed");
    if (!streams_are_valid(plan->streams.data, plan->streams.len) ||
        plan->terminal != (plan->streams.data[0] == STREAM_TERMINAL))
        return err_set(err, EINVAL, "the plan's process cannot have such streams");
    if (plan->rows > USHRT_MAX || plan->columns > USHRT_MAX)
        return err_set(err, EINVAL, "the plan's terminal size is out of range");
    return check_path("working directory", plan->cwd, err);
}

int plan_check_cgroup(const Minka__Plan__V1__Cgroup *plan, struct err *err) {
    if (!plan)
        return 0;
    for (size_t i = 0; i < plan->n_settings; i++) {
        const Minka__Plan__V1__CgroupSetting *setting = plan->settings[i];
        if (!setting->file[0] || setting->file[0] == '.' || strchr(setting->file, '/') ||
            strlen(setting->file) > NAME_MAX || strlen(setting->value) > SETTING_MAX)
            return err_set(err, EINVAL, "the plan's cgroup setting '%.100s' is malformed", setting->file);
    }
    /* Instructions of eBPF are 8 bytes like those of classic BPF. */
    if (plan->device_program.len % sizeof(struct sock_filter) != 0 || plan->device_program.len > DEVICE_PROGRAM_MAX)
        return err_set(err, EINVAL, "the plan's device program is malformed");
    return 0;
}

static bool mode_is_valid(Minka__Plan__V1__NamespaceMode mode) {
    return mode == MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NONE ||
           mode == MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW ||
           mode == MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_SANDBOX;
}

static int check_namespaces(const Minka__Plan__V1__Namespaces *plan, struct err *err) {
    if (!plan)
        return err_set(err, EINVAL, "the plan names no namespaces");
    const Minka__Plan__V1__NamespaceMode modes[] = {plan->mount,   plan->pid,    plan->ipc, plan->uts,
                                                    plan->network, plan->cgroup, plan->user};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (!mode_is_valid(modes[i]))
            return err_set(err, EINVAL, "the plan asks for an unknown kind of namespace");
    return 0;
}

static int check_root(const Minka__Plan__V1__Root *plan, struct err *err) {
    if (!plan)
        return err_set(err, EINVAL, "the plan has no root file system");
    if (plan->disk_serial[0])
        return plan->disk_type[0] ? 0 : err_set(err, EINVAL, "the plan's disk has no file system type");
    return check_path("root", plan->path, err);
}

static int check_devices(const Minka__Plan__V1__Container *plan, struct err *err) {
    for (size_t i = 0; i < plan->n_devices; i++) {
        const Minka__Plan__V1__Device *device = plan->devices[i];
        if (check_path("device", device->path, err) < 0)
            return -EINVAL;
        if (!S_ISCHR(device->mode) && !S_ISBLK(device->mode) && !S_ISFIFO(device->mode))
            return err_set(err, EINVAL, "the plan's device %s is of an unknown kind", device->path);
    }
    return 0;
}

static int check_texts(const Minka__Plan__V1__Container *plan, struct err *err) {
    if (strlen(plan->hostname) > HOST_NAME_LENGTH_MAX || strlen(plan->domainname) > HOST_NAME_LENGTH_MAX)
        return err_set(err, EINVAL, "the plan's host name is longer than %d characters", HOST_NAME_LENGTH_MAX);
    for (size_t i = 0; i < plan->n_sysctls; i++)
        if (!plan->sysctls[i]->key[0] || plan->sysctls[i]->key[0] == '/' || strstr(plan->sysctls[i]->key, ".."))
            return err_set(err, EINVAL, "the plan's sysctl '%.100s' is malformed", plan->sysctls[i]->key);
    for (size_t i = 0; i < plan->n_modules; i++)
        if (!id_is_valid(plan->modules[i]))
            return err_set(err, EINVAL, "the plan's module group '%.100s' is malformed", plan->modules[i]);
    return 0;
}

int plan_check_container(const Minka__Plan__V1__Container *plan, struct err *err) {
    int r = check_namespaces(plan->namespaces, err);
    if (r == 0)
        r = check_root(plan->root, err);
    for (size_t i = 0; r == 0 && i < plan->n_mounts; i++)
        r = check_path("mount point", plan->mounts[i]->destination, err);
    if (r == 0)
        r = check_devices(plan, err);
    for (size_t i = 0; r == 0 && i < plan->n_symlinks; i++)
        r = check_path("symbolic link", plan->symlinks[i]->path, err);
    if (r == 0)
        r = check_paths("masked path", plan->masked_paths, plan->n_masked_paths, err);
    if (r == 0)
        r = check_paths("read-only path", plan->readonly_paths, plan->n_readonly_paths, err);
    for (size_t i = 0; r == 0 && i < plan->n_start_container_hooks; i++)
        r = check_path("hook", plan->start_container_hooks[i]->path, err);
    if (r == 0)
        r = check_texts(plan, err);
    if (r == 0)
        r = plan_check_cgroup(plan->cgroup, err);
    return r < 0 ? r : plan_check_process(plan->process, err);
}

int plan_check_sandbox(const Minka__Plan__V1__Sandbox *plan, struct err *err) {
    if (plan->n_shares > AGENT_SHARES_MAX)
        return err_set(err, EINVAL, "the plan has more than %d shares", AGENT_SHARES_MAX);
    for (size_t i = 0; i < plan->n_shares; i++) {
        if (!plan->shares[i]->tag[0])
            return err_set(err, EINVAL, "the plan has a share without a tag");
        if (check_path("share", plan->shares[i]->path, err) < 0)
            return -EINVAL;
    }
    if (strlen(plan->hostname) > HOST_NAME_LENGTH_MAX)
        return err_set(err, EINVAL, "the plan's host name is longer than %d characters", HOST_NAME_LENGTH_MAX);
    return 0;
}
