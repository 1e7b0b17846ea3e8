/* SPDX-License-Identifier: Apache-2.0 */
/* Which hypervisor, accelerator, firmware and guest image a start uses on this host, and how large the machine is. */
#include "facts/image/image.h"
#include "privileged/probe/probe.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void setup_machine_done(struct setup_machine *machine) {
    free(machine->vmm_path);
    free(machine->firmware);
    free(machine->kernel);
    free(machine->initrd);
    free(machine->image);
    free(machine->file_server);
    *machine = (struct setup_machine){0};
}

__attribute__((format(printf, 2, 3))) static void note(const struct setup_context *context, const char *format, ...) {
    if (!context->note)
        return;
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    context->note(context->note_data, text);
}

int machine_probe_dir(const struct setup_context *context, char **ret, struct err *err) {
    _cleanup_free_ char *dir = text_format("%s/probe", context->run_dir);
    if (!dir)
        return err_set(err, ENOMEM, "out of memory");
    int r = mkdir_parents(AT_FDCWD, context->run_dir, 0711);
    if (r >= 0)
        r = mkdir_parents(AT_FDCWD, dir, 0700);
    if (r < 0)
        return err_set(err, -r, "cannot create %s (%s)", dir, strerrorname_np(-r));
    *ret = take_ptr(dir);
    return 0;
}

static int copy(char **variable, const char *text, struct err *err) {
    *variable = strdup(text);
    return *variable ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int choose_accelerator(const struct setup_context *context, const char *probe_dir, struct setup_machine *m,
                              struct err *err) {
    enum config_accel wanted = context->config->qemu.accel;
    if (wanted == CONFIG_ACCEL_TCG)
        return 0;
    struct kvm_probe kvm;
    int r = probe_kvm(probe_dir, &kvm, err);
    if (r < 0)
        return r;
    m->kvm = kvm.verdict == KVM_WORKS;
    if (m->kvm)
        return 0;
    (void)snprintf(m->accel_reason, sizeof m->accel_reason, "%s", kvm.reason);
    if (wanted == CONFIG_ACCEL_KVM)
        return err_set(err, ENODEV, "configuration.toml asks for accel = \"kvm\", which this host cannot do: %s",
                       kvm.reason);
    note(context, "the virtual machine is emulated (TCG), which is slow: %s", kvm.reason);
    return 0;
}

static int check_readable(const char *what, const char *path, struct err *err) {
    if (access(path, R_OK) == 0)
        return 0;
    return err_errno_name(err, "cannot read the %s %s", what, path);
}

static int choose_guest(const struct setup_context *context, struct setup_machine *m, struct err *err) {
    const struct config *config = context->config;
    bool has_kernel = config->qemu.kernel[0], has_initrd = config->qemu.initrd[0];
    if (has_kernel != has_initrd)
        return err_set(err, EINVAL, "configuration.toml has hypervisor.qemu.%s, which needs the %s that belongs to it",
                       has_kernel ? "kernel" : "initrd", has_kernel ? "initrd" : "kernel");
    if (has_kernel) {
        int r = copy(&m->kernel, config->qemu.kernel, err);
        return r < 0 ? r : copy(&m->initrd, config->qemu.initrd, err);
    }
    _cleanup_image_ struct image image = {0};
    int r = image_find(config->runtime.image_dir, NULL, &image, err);
    if (r >= 0)
        r = image_check(&image, err);
    if (r < 0)
        return r;
    m->image = take_ptr(image.directory);
    m->kernel = take_ptr(image.vmlinux);
    m->initrd = take_ptr(image.initrd);
    (void)snprintf(m->guest_kernel, sizeof m->guest_kernel, "%s", image.manifest.kernel);
    return 0;
}

static int find_guest(const struct setup_context *context, struct setup_machine *m, struct err *err) {
    int r = choose_guest(context, m, err);
    if (r >= 0)
        r = check_readable("guest kernel", m->kernel, err);
    return r < 0 ? r : check_readable("guest initrd", m->initrd, err);
}

static int choose_firmware(const struct setup_context *context, struct setup_machine *m, struct err *err) {
    const struct config *config = context->config;
    if (config->qemu.firmware[0])
        return copy(&m->firmware, config->qemu.firmware, err);
    enum vmm_machine machine = config->qemu.machine_type == CONFIG_MACHINE_Q35 ? VMM_Q35 : VMM_MICROVM;
    return probe_firmware(config->qemu.path, machine, &m->firmware, err);
}

static int find_vmm(const struct setup_context *context, const char *probe_dir, struct setup_machine *m,
                    struct err *err) {
    const struct config *config = context->config;
    if (access(config->qemu.path, X_OK) < 0)
        return err_set(err, errno,
                       "QEMU is not at %s: install the package qemu-system-x86, or set hypervisor.qemu.path in "
                       "configuration.toml",
                       config->qemu.path);
    struct vmm_features features = {0};
    int r = probe_qemu(probe_dir, config->qemu.path, &features, err);
    if (r < 0)
        return r;
    m->version_major = features.version_major;
    m->version_minor = features.version_minor;
    m->kvm_by_fd = features.kvm_by_fd;
    r = copy(&m->vmm_path, config->qemu.path, err);
    if (r >= 0)
        r = choose_firmware(context, m, err);
    return r < 0 ? r : check_readable("firmware", m->firmware, err);
}

static int find_file_server(const struct setup_context *context, struct setup_machine *m, struct err *err) {
    enum share_server kind;
    int r = share_find_server(context->config->qemu.virtio_fs_daemon, &kind, &m->file_server, err);
    if (r >= 0)
        m->file_server_is_rust = kind == SHARE_SERVER_RUST;
    return r;
}

int setup_machine_find(const struct setup_context *context, struct setup_machine *ret, struct err *err) {
    _cleanup_free_ char *probe_dir = NULL;
    _cleanup_setup_machine_ struct setup_machine m = {0};
    int r = machine_probe_dir(context, &probe_dir, err);
    if (r >= 0)
        r = find_vmm(context, probe_dir, &m, err);
    if (r >= 0)
        r = choose_accelerator(context, probe_dir, &m, err);
    if (r >= 0)
        r = find_guest(context, &m, err);
    if (r < 0)
        return r;
    /* Without one a container with --image may still run: spawn_share() complains if it is needed. */
    (void)find_file_server(context, &m, NULL);
    *ret = m;
    m = (struct setup_machine){0};
    return 0;
}

void setup_machine_look(const struct setup_context *context, struct setup_machine *ret,
                        struct setup_machine_problems *problems) {
    _cleanup_free_ char *probe_dir = NULL;
    *ret = (struct setup_machine){0};
    *problems = (struct setup_machine_problems){0};
    if (context->run_dir) /* only to keep what is found out */
        (void)machine_probe_dir(context, &probe_dir, NULL);
    (void)find_vmm(context, probe_dir, ret, &problems->vmm);
    (void)choose_accelerator(context, probe_dir, ret, &problems->acceleration);
    (void)find_guest(context, ret, &problems->guest);
    (void)find_file_server(context, ret, &problems->file_server);
}

unsigned cpu_list_count(const char *list) {
    unsigned count = 0;
    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end == list)
            return 0;
        if (*end == '-') {
            list = end + 1;
            last = strtoul(list, &end, 10);
            if (end == list || last < first)
                return 0;
        }
        if (last > 65535)
            return 0;
        count += (unsigned)(last - first + 1);
        if (*end != ',' && *end != '\0' && *end != '\n')
            return 0;
        list = *end == ',' ? end + 1 : end + strlen(end);
    }
    return count;
}

static uint64_t host_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
}

static int check_default_memory(const struct config *config, uint64_t host, struct err *err) {
    uint64_t host_mib = host >> 20;
    if (config->qemu.default_memory <= host_mib)
        return 0;
    return err_set(err, ERANGE, "default_memory in configuration.toml is %llu MiB, but this host has only %llu MiB",
                   (unsigned long long)config->qemu.default_memory, (unsigned long long)host_mib);
}

int machine_size(const struct setup_context *context, const struct oci_spec *spec, bool kvm, struct vmm_size *ret,
                 struct err *err) {
    const struct config *config = context->config;
    const struct oci_resources *r = &spec->resources;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned host = online > 0 ? (unsigned)online : 1;
    unsigned most = config->qemu.default_maxvcpus;
    /* A limit above what the host has is none (runc takes it, too), and a larger machine would only boot longer. */
    uint64_t memory = host_memory(), limit = r->memory_limit > 0 ? (uint64_t)r->memory_limit : 0;
    bool limited = r->has_memory_limit && limit > 0 && limit < VMM_MEMORY_UNLIMITED;
    int result = limited ? 0 : check_default_memory(config, memory, err);
    if (result < 0)
        return result;
    struct vmm_size_request request = {
        .has_memory_limit = limited,
        .memory_limit = limit < memory ? limit : memory,
        .cpu_quota = r->has_cpu_quota ? r->cpu_quota : 0,
        .cpu_period = r->has_cpu_period ? r->cpu_period : 0,
        .cpuset_count = r->cpuset_cpus ? cpu_list_count(r->cpuset_cpus) : 0,
        .default_vcpus = config->qemu.default_vcpus,
        .max_vcpus = most > 0 && most < host ? most : host,
        .default_memory_mib = config->qemu.default_memory,
        .accel = kvm ? VMM_KVM : VMM_TCG,
    };
    return vmm_size(&request, ret, err);
}
