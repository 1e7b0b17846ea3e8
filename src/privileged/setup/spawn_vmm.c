/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/probe/probe.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Descriptors of the VMM's process. */
enum { FD_CONTROL = 3, FD_CONSOLE, FD_AGENT, FD_SHARE, FD_KVM, FD_DISK };

/* Names in the jail. */
static const char FIRMWARE[] = "/firmware", KERNEL[] = "/kernel", INITRD[] = "/initrd";

enum { VMM_FILES = 256, VMM_THREADS = 64 /* and one per vCPU */ };

static int open_kvm(struct sandbox *s, struct err *err) {
    if (!s->machine.kvm || !s->machine.kvm_by_fd)
        return 0;
    s->vmm_kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    return s->vmm_kvm < 0 ? err_errno_name(err, "cannot open /dev/kvm") : 0;
}

static int make_command_line(struct sandbox *s, const char *probe_dir, struct err *err) {
    const struct config *config = s->context->config;
    struct vmm_config vmm = {
        .machine = config->qemu.machine_type == CONFIG_MACHINE_Q35 ? VMM_Q35 : VMM_MICROVM,
        .accel = s->machine.kvm ? VMM_KVM : VMM_TCG,
        .path = s->machine.vmm_path,
        .firmware = FIRMWARE,
        .kernel = KERNEL,
        .initrd = INITRD,
        .kernel_params = config->qemu.kernel_params,
        .debug = config->qemu.enable_debug,
        .vcpus = s->size.vcpus,
        .memory_mib = s->size.memory_mib,
        .tsc_khz = s->machine.kvm ? 0 : probe_tsc_khz(probe_dir),
        .sandbox = config->qemu.seccompsandbox,
        .features = {.version_major = s->machine.version_major,
                     .version_minor = s->machine.version_minor,
                     .kvm_by_fd = s->machine.kvm_by_fd},
        .fds = {.control = FD_CONTROL,
                .console = FD_CONSOLE,
                .agent = FD_AGENT,
                .share = s->vmm_share >= 0 ? FD_SHARE : -1,
                .kvm = s->vmm_kvm >= 0 ? FD_KVM : -1},
    };
    if (s->disk_type)
        vmm.disks[vmm.n_disks++] = (struct vmm_disk){.fd = FD_DISK, .readonly = true, .serial = "rootfs"};
    return qemu_command_line(&vmm, &s->vmm_argv, err);
}

static void add_fds(const struct sandbox *s, struct confine_plan *plan, int null) {
    confine_plan_add_fd(plan, null, STDIN_FILENO);
    confine_plan_add_fd(plan, s->vmm_stderr, STDOUT_FILENO);
    confine_plan_add_fd(plan, s->vmm_stderr, STDERR_FILENO);
    confine_plan_add_fd(plan, s->vmm_qmp, FD_CONTROL);
    confine_plan_add_fd(plan, s->vmm_console, FD_CONSOLE);
    confine_plan_add_fd(plan, s->vmm_agent, FD_AGENT);
    if (s->vmm_share >= 0)
        confine_plan_add_fd(plan, s->vmm_share, FD_SHARE);
    if (s->vmm_kvm >= 0)
        confine_plan_add_fd(plan, s->vmm_kvm, FD_KVM);
    if (s->disk >= 0)
        confine_plan_add_fd(plan, s->disk, FD_DISK);
}

enum {
    VMM_SOCKETS = 3,
    VMM_SHARE_SOCKETS = 2 /* and the channel back */,
    VMM_EVENTS = 128,
    VMM_POLLS = 8,
    VMM_DISK_COPIES = 4
};

/* Once it has loaded. */
static int may_hold(const struct sandbox *s, struct confine_plan *plan, struct err *err) {
    const unsigned both = CONFINE_READ | CONFINE_WRITE;
    struct stat st;
    may_hold_null(plan, 1);
    confine_plan_may_hold(plan, CONFINE_HOLDS_PIPE, NULL, 2, CONFINE_WRITE);
    confine_plan_may_hold(plan, CONFINE_HOLDS_UNIX_SOCKET, NULL,
                          VMM_SOCKETS + (s->vmm_share >= 0 ? VMM_SHARE_SOCKETS : 0), both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_MEMORY, NULL, 1, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "eventfd", VMM_EVENTS, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "eventpoll", VMM_POLLS, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "signalfd", 1, both);
    if (s->machine.kvm) {
        if (stat("/dev/kvm", &st) < 0)
            return err_errno_name(err, "cannot use /dev/kvm");
        /* The one it is given, and its copy of that. */
        confine_plan_may_hold(plan, CONFINE_HOLDS_CHARACTER, NULL, 2, both)->device = st.st_rdev;
        confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "kvm-vm", 1, both);
        confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "kvm-vcpu", s->size.vcpus, both);
        confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "kvm-vcpu-stats", s->size.vcpus, both);
    }
    if (s->disk < 0)
        return 0;
    if (fstat(s->disk, &st) < 0)
        return err_errno_name(err, "cannot look at the image %s", s->rootfs);
    struct confine_holding *disk = confine_plan_may_hold(plan, CONFINE_HOLDS_FILE, NULL, VMM_DISK_COPIES, CONFINE_READ);
    disk->device = st.st_dev;
    disk->inode = st.st_ino;
    return 0;
}

/* What QEMU reads by path before it answers; all of it is gone again when the guest runs. */
static int add_mounts(const struct sandbox *s, struct confine_plan *plan, struct err *err) {
    size_t files = 0;
    while (s->vmm_files[files])
        files++;
    if (files + 8 > CONFINE_MOUNTS_MAX)
        return err_set(err, E2BIG, "QEMU (%s) needs %zu files, more than a jail can hold", s->machine.vmm_path, files);
    for (size_t i = 0; i < files; i++)
        confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, s->vmm_files[i], s->vmm_files[i])->executable = true;
    confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, s->machine.firmware, FIRMWARE);
    confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, s->machine.kernel, KERNEL);
    confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, s->machine.initrd, INITRD);
    /* q35's firmware starts the kernel with ROMs that QEMU looks up by name. */
    static const char *const roms[] = {"/usr/share/qemu/pvh.bin", "/usr/share/qemu/linuxboot_dma.bin",
                                       "/usr/share/qemu/kvmvapic.bin"};
    for (size_t i = 0; s->context->config->qemu.machine_type == CONFIG_MACHINE_Q35 && i < ARRAY_SIZE(roms); i++)
        if (access(roms[i], R_OK) == 0)
            confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, roms[i], roms[i]);
    /* QEMU before 9.0 opens /dev/kvm itself. */
    struct stat kvm;
    if (s->machine.kvm && s->vmm_kvm < 0) {
        if (stat("/dev/kvm", &kvm) < 0)
            return err_errno_name(err, "cannot use /dev/kvm");
        confine_plan_add_mount(plan, CONFINE_MOUNT_NODE, NULL, "/dev/kvm")->source_dev = kvm.st_rdev;
    }
    return 0;
}

static void close_handed_over(struct sandbox *s) {
    close_fd(&s->vmm_qmp);
    close_fd(&s->vmm_console);
    close_fd(&s->vmm_agent);
    close_fd(&s->vmm_stderr);
    close_fd(&s->vmm_share);
    close_fd(&s->vmm_kvm);
    close_fd(&s->disk);
}

int spawn_vmm(struct sandbox *s, struct err *err) {
    _cleanup_close_ int null = -EBADF;
    char *probe_dir = NULL;
    int r = machine_probe_dir(s->context, &probe_dir, err);
    if (r >= 0)
        r = open_null(&null, err);
    if (r >= 0)
        r = open_kvm(s, err);
    if (r >= 0)
        r = probe_closure(probe_dir, s->machine.vmm_path, &s->vmm_files, err);
    if (r >= 0)
        r = make_command_line(s, probe_dir, err);
    free(probe_dir);
    if (r < 0)
        return r;
    struct confine_plan *plan = &s->vmm.plan;
    uid_t uid = s->state->uids[UID_VMM];
    confine_plan_init(plan, "VMM", uid, uid);
    plan->pid_namespace = CONFINE_PID_NEW_INSIDE;
    plan->pid_namespace_of = s->monitor.pidfd;
    plan->net_namespace = CONFINE_NET_NEW;
    plan->session_leader = true;
    plan->filter = s->machine.kvm ? &filter_vmm_kvm : &filter_vmm_tcg;
    plan->executable = s->machine.vmm_path;
    plan->argv = s->vmm_argv;
    static char *const no_environment[] = {NULL};
    plan->envp = no_environment;
    limit(plan, RLIMIT_NOFILE, VMM_FILES);
    limit(plan, RLIMIT_NPROC, VMM_THREADS + s->size.vcpus);
    add_fds(s, plan, null);
    r = add_mounts(s, plan, err);
    if (r >= 0)
        r = may_hold(s, plan, err);
    if (r >= 0)
        r = spawn_in_cgroup(&s->vmm, s->cgroup, err);
    if (r < 0)
        return r;
    close_handed_over(s);
    if (state_process_of(s->vmm.pid, &s->state->vmm) < 0)
        return err_set(err, ESRCH, "QEMU (%s) ended as soon as it was started", s->machine.vmm_path);
    return state_save(s->dir, s->state, err);
}
