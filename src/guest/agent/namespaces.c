/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stage.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

typedef Minka__Plan__V1__Namespaces plan_namespaces;

enum {
    MODE_NEW = MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW,
    MODE_SANDBOX = MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_SANDBOX,
};

static const struct {
    const char *name; /* in /proc/PID/ns */
    int flag;
} kinds[] = {
    {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},       {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS},   {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP},
};

/* ---- a new container ---- */

static int refuse_sandbox(const char *kind, struct err *err) {
    return err_set(err, EINVAL, "the containers of a pod can share the network, ipc and uts namespaces, not the %s one",
                   kind);
}

int namespaces_clone_flags(const plan_container *container, uint64_t *ret, struct err *err) {
    const plan_namespaces *ns = container->namespaces;
    uint64_t flags = 0;
    if (ns) {
        if ((int)ns->pid == MODE_SANDBOX)
            return refuse_sandbox("pid", err);
        if ((int)ns->user == MODE_SANDBOX)
            return refuse_sandbox("user", err);
        if ((int)ns->cgroup == MODE_SANDBOX)
            return refuse_sandbox("cgroup", err);
        flags |= (int)ns->pid == MODE_NEW ? CLONE_NEWPID : 0;
        flags |= (int)ns->ipc == MODE_NEW ? CLONE_NEWIPC : 0;
        flags |= (int)ns->uts == MODE_NEW ? CLONE_NEWUTS : 0;
        flags |= (int)ns->network == MODE_NEW ? CLONE_NEWNET : 0;
        /* Stage 1 has made a mount namespace already; the mounts of a user namespace must be in one it owns. */
        flags |= (int)ns->user == MODE_NEW ? CLONE_NEWUSER | CLONE_NEWNS : 0;
    }
    *ret = flags;
    return 0;
}

static int join_one(int mode, int fd, int flag, const char *kind, struct err *err) {
    if (mode != MODE_SANDBOX)
        return 0;
    if (fd < 0)
        return err_set(err, EINVAL, "the container shall share the pod's %s namespace, but the pod has none yet", kind);
    return setns(fd, flag) < 0 ? err_errno(err, "cannot join the pod's %s namespace", kind) : 0;
}

int namespaces_join_sandbox(const plan_container *container, const struct launch_sandbox *sandbox, struct err *err) {
    const plan_namespaces *ns = container->namespaces;
    if (!ns)
        return 0;
    int r = join_one((int)ns->ipc, sandbox->ipc, CLONE_NEWIPC, "ipc", err);
    if (r == 0)
        r = join_one((int)ns->uts, sandbox->uts, CLONE_NEWUTS, "uts", err);
    return r < 0 ? r : join_one((int)ns->network, sandbox->network, CLONE_NEWNET, "network", err);
}

int launch_sandbox_open(struct launch_sandbox *sandbox, pid_t init_pid, struct err *err) {
    char path[64];
    const struct {
        const char *name;
        int *fd;
    } wanted[] = {{"ipc", &sandbox->ipc}, {"uts", &sandbox->uts}, {"net", &sandbox->network}};
    int opened[ARRAY_SIZE(wanted)];
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", init_pid, wanted[i].name);
        opened[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (opened[i] < 0) {
            int r = err_errno(err, "cannot keep the %s namespace of the first container", wanted[i].name);
            while (i > 0)
                (void)close(opened[--i]);
            return r;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        close_fd(wanted[i].fd);
        *wanted[i].fd = opened[i];
    }
    return 0;
}

/* ---- user namespace mappings ---- */

uint32_t mapping_outside(plan_mapping *const *mappings, size_t count, uint32_t inside) {
    for (size_t i = 0; i < count; i++)
        if (inside >= mappings[i]->container_id && inside - mappings[i]->container_id < mappings[i]->size)
            return mappings[i]->host_id + (inside - mappings[i]->container_id);
    return UINT32_MAX;
}

uint32_t mapping_outside_of(pid_t pid, const char *file, uint32_t inside) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    _cleanup_free_ char *text = NULL;
    if (read_file(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0)
        return UINT32_MAX;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        unsigned first, outside, size;
        if (sscanf(line, "%u %u %u", &first, &outside, &size) == 3 && inside >= first && inside - first < size)
            return outside + (inside - first);
    }
    return UINT32_MAX;
}

static int write_mapping(pid_t pid, const char *file, plan_mapping *const *mappings, size_t count, struct err *err) {
    if (count == 0)
        return err_set(err, EINVAL, "a user namespace needs %s mappings in linux.%sMappings",
                       file[0] == 'u' ? "uid" : "gid", file[0] == 'u' ? "uid" : "gid");
    _cleanup_buf_ struct buf text = {0};
    for (size_t i = 0; i < count; i++) {
        int r =
            buf_append_format(&text, "%u %u %u\n", mappings[i]->container_id, mappings[i]->host_id, mappings[i]->size);
        if (r < 0)
            return err_set(err, ENOMEM, "out of memory");
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    const char *value = buf_string(&text);
    int r = value ? write_kernel_file(AT_FDCWD, path, value) : -ENOMEM;
    if (r < 0) {
        errno = -r;
        return err_errno(err, "the kernel refuses the %cid mappings of the user namespace", file[0]);
    }
    return 0;
}

int namespaces_write_mappings(pid_t pid, const plan_container *container, struct err *err) {
    const plan_namespaces *ns = container->namespaces;
    int r = write_mapping(pid, "uid_map", ns->uid_mappings, ns->n_uid_mappings, err);
    return r < 0 ? r : write_mapping(pid, "gid_map", ns->gid_mappings, ns->n_gid_mappings, err);
}

/* ---- an exec ---- */

static bool is_shared(pid_t pid, const char *name, struct err *err, int *ret_error) {
    char theirs[64], ours[64];
    (void)snprintf(theirs, sizeof theirs, "/proc/%d/ns/%s", pid, name);
    (void)snprintf(ours, sizeof ours, "/proc/self/ns/%s", name);
    struct stat a, b;
    *ret_error = 0;
    if (stat(theirs, &a) < 0 || stat(ours, &b) < 0) {
        *ret_error = err_set(err, ESRCH, "the container's process has ended");
        return false;
    }
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int namespaces_join(pid_t init_pid, bool *ret_user, struct err *err) {
    _cleanup_close_ int process = (int)syscall(SYS_pidfd_open, init_pid, 0);
    if (process < 0)
        return err_set(err, ESRCH, "the container's process has ended");
    /* Only those that differ: setns(2) refuses to enter one's own user namespace. All at once, so that the rights in
     * the outer namespaces are still there for each of them. */
    int flags = 0, r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        bool shared = is_shared(init_pid, kinds[i].name, err, &r);
        if (r < 0)
            return r;
        flags |= shared ? 0 : kinds[i].flag;
    }
    if (flags && setns(process, flags) < 0)
        return err_errno(err, "cannot join the namespaces of the container");
    *ret_user = flags & CLONE_NEWUSER;
    return 0;
}

/* ---- inside ---- */

int namespaces_loopback_up(struct err *err) {
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo"};
    if (sock < 0 || ioctl(sock, SIOCGIFFLAGS, &request) < 0)
        return err_errno(err, "cannot look at the loopback interface");
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
    if (ioctl(sock, SIOCSIFFLAGS, &request) < 0)
        return err_errno(err, "cannot bring the loopback interface up");
    return 0;
}

/* Through the agent's /proc, which is not read-only; which namespace is meant goes by who writes. */
int namespaces_write_sysctls(const plan_container *container, struct err *err) {
    if (container->n_sysctls == 0)
        return 0;
    _cleanup_close_ int sysctls = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sysctls < 0)
        return err_errno(err, "cannot open /proc/sys");
    for (size_t i = 0; i < container->n_sysctls; i++) {
        const Minka__Plan__V1__Sysctl *sysctl = container->sysctls[i];
        _cleanup_close_ int fd = open_in_root(sysctls, sysctl->key, O_WRONLY, 0);
        if (fd == -ENOENT || fd == -EISDIR)
            return err_set(err, EINVAL, "the guest's kernel has no sysctl %s", sysctl->key);
        errno = -fd;
        if (fd < 0 || write(fd, sysctl->value, strlen(sysctl->value)) < 0)
            return err_errno(err, "cannot set the sysctl %s to '%s'", sysctl->key, sysctl->value);
    }
    return 0;
}
