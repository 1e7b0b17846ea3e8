/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's command line, for 7.2 up to 10.x. Everything that can go by descriptor
 * does; firmware, kernel and initrd are paths, which QEMU reads before it answers
 * on its control socket (-S), so that its root can be emptied before `cont`.
 *
 * Machine microvm, where nothing is plugged in later:
 *  acpi=on                  the distribution's kernels find virtio-mmio devices in ACPI only (they are built without
 *                           CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES)
 *  pic=off                  QEMU 10.0 with a PVH kernel delivers a timer interrupt before the guest is ready for it:
 *                           divide error. Needs tsc_early_khz under TCG, see kernel.c
 *  x-option-roms=off        its firmware starts the kernel by itself, no ROM file is needed
 *  virtio-mmio.force-legacy=false   virtiofsd speaks virtio 1 only
 * q35 has the same devices on PCI.
 */
#include "facts/vmm/vmm.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum {
    FDSET_KVM = 1,
    FDSET_DISK = 10,      /* disk n is in set FDSET_DISK + n */
    SERIAL_MAX = 20,      /* VIRTIO_BLK_ID_BYTES */
    MEMORY_MIN_MIB = 128, /* less does not boot */
    VCPUS_MAX = 288,      /* of microvm and q35 */
    TCG_CACHE_MIB = 128,  /* translated code; QEMU's own default of 1 GiB would be charged to the container */
};

struct arguments {
    char **list; /* NULL-terminated */
    size_t count;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *arguments, const char *format, ...) {
    va_list ap;
    char *text = NULL;
    if (arguments->failed)
        return;
    va_start(ap, format);
    int length = vasprintf(&text, format, ap);
    va_end(ap);
    char **list = length < 0 ? NULL : realloc(arguments->list, (arguments->count + 2) * sizeof(char *));
    if (!list) {
        if (length >= 0)
            free(text);
        arguments->failed = true;
        return;
    }
    list[arguments->count++] = text;
    list[arguments->count] = NULL;
    arguments->list = list;
}

static const char *bus(const struct vmm_config *config) {
    return config->machine == VMM_MICROVM ? "device" : "pci";
}

static void add_machine(struct arguments *a, const struct vmm_config *config) {
    const char *backend = config->fds.share >= 0 ? ",memory-backend=ram" : "";
    /* mem-merge: pages of different sandboxes must not be shared by content, a side channel (CVE-2015-2877). */
    const char *common = "mem-merge=off,dump-guest-core=off";
    add(a, "-machine");
    if (config->machine == VMM_MICROVM)
        add(a, "microvm,acpi=on,pic=off,x-option-roms=off,%s%s", common, backend);
    else
        add(a, "q35,usb=off,smbus=off,sata=off,vmport=off,hpet=off,graphics=off,i8042=off,%s%s", common, backend);
    if (config->machine == VMM_MICROVM) {
        add(a, "-global");
        add(a, "virtio-mmio.force-legacy=false");
    }
}

static void add_accelerator(struct arguments *a, const struct vmm_config *config) {
    if (config->accel == VMM_KVM && config->fds.kvm >= 0) {
        add(a, "-add-fd");
        add(a, "fd=%d,set=%d", config->fds.kvm, FDSET_KVM);
        add(a, "-accel");
        add(a, "kvm,device=/dev/fdset/%d", FDSET_KVM);
    } else if (config->accel == VMM_KVM) {
        add(a, "-accel");
        add(a, "kvm"); /* /dev/kvm is in the jail until the guest runs */
    } else {
        add(a, "-accel");
        add(a, "tcg,thread=multi,tb-size=%d", TCG_CACHE_MIB);
    }
    add(a, "-cpu");
    /*
     * KVM: no counters and no nested virtualization, which are host kernel code that a guest could attack.
     * TCG: all that QEMU emulates, since programs are compiled for x86-64-v2 and v3. But without "fast string
     * operations": emulated, `rep movsb` goes byte by byte, and kernel and libc use it where they find the flag
     * (measured: 12 % of the boot). And without a fifth level of page tables, which makes each walk longer.
     */
    add(a, "%s", config->accel == VMM_KVM ? "host,pmu=off,vmx=off,svm=off" : "max,erms=off,fsrm=off,la57=off");
    add(a, "-smp");
    add(a, "%u", config->vcpus);
}

static void add_memory(struct arguments *a, const struct vmm_config *config) {
    add(a, "-m");
    add(a, "%lluM", (unsigned long long)config->memory_mib);
    if (config->fds.share >= 0) { /* the file server reads and writes the guest's pages */
        add(a, "-object");
        add(a, "memory-backend-memfd,id=ram,size=%lluM,share=on", (unsigned long long)config->memory_mib);
    }
}

static void add_kernel(struct arguments *a, const struct vmm_config *config, const char *command_line) {
    add(a, "-bios");
    add(a, "%s", config->firmware);
    add(a, "-kernel");
    add(a, "%s", config->kernel);
    add(a, "-initrd");
    add(a, "%s", config->initrd);
    add(a, "-append");
    add(a, "%s", command_line);
}

static void add_channels(struct arguments *a, const struct vmm_config *config) {
    add(a, "-chardev");
    add(a, "socket,id=control,fd=%d", config->fds.control);
    add(a, "-mon");
    add(a, "chardev=control,mode=control");
    add(a, "-serial");
    if (config->fds.console >= 0) {
        add(a, "chardev:console");
        add(a, "-chardev");
        add(a, "socket,id=console,fd=%d", config->fds.console);
    } else {
        add(a, "none");
    }
    add(a, "-chardev");
    add(a, "socket,id=agent,fd=%d", config->fds.agent);
    add(a, "-device");
    add(a, "virtio-serial-%s,max_ports=2", bus(config));
    add(a, "-device");
    /* The id is what makes QEMU report VSERPORT_CHANGE, by which the monitor knows that the agent listens. */
    add(a, "virtserialport,id=agent,chardev=agent,name=" AGENT_PORT_NAME);
}

static void add_share(struct arguments *a, const struct vmm_config *config) {
    if (config->fds.share < 0)
        return;
    add(a, "-chardev");
    add(a, "socket,id=share,fd=%d", config->fds.share);
    add(a, "-device");
    add(a, "vhost-user-fs-%s,chardev=share,tag=" GUEST_SHARE_TAG, bus(config));
}

static void add_disk(struct arguments *a, const struct vmm_config *config, size_t n) {
    const struct vmm_disk *disk = &config->disks[n];
    size_t set = FDSET_DISK + n;
    add(a, "-add-fd");
    add(a, "fd=%d,set=%zu", disk->fd, set);
    add(a, "-blockdev");
    /* driver=raw: a format that QEMU guesses from what the guest wrote is a way to read files of the host. */
    add(a, "driver=raw,node-name=disk%zu,read-only=%s,file.driver=file,file.filename=/dev/fdset/%zu,file.locking=off",
        n, disk->readonly ? "on" : "off", set);
    add(a, "-device");
    /* werror=report: a full file system of the host is an error for the guest, not a VM that stops. */
    add(a, "virtio-blk-%s,drive=disk%zu,serial=%s,rerror=report,werror=report", bus(config), n, disk->serial);
}

static bool serial_is_valid(const char *serial) {
    size_t length = serial ? strlen(serial) : 0;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)serial[i]) && !strchr("_.-", serial[i]))
            return false; /* a comma would begin another property */
    return length > 0 && length <= SERIAL_MAX;
}

static int check_fd(int fd, const char *what, bool required, struct err *err) {
    if (fd < 0 && !required)
        return 0;
    /* -add-fd refuses the standard streams */
    return fd > 2 ? 0 : err_set(err, EINVAL, "the hypervisor's descriptor for %s must be above 2, not %d", what, fd);
}

static int check_descriptors(const struct vmm_config *config, struct err *err) {
    int r = check_fd(config->fds.control, "its control socket", true, err);
    if (r >= 0)
        r = check_fd(config->fds.agent, "the agent channel", true, err);
    if (r >= 0)
        r = check_fd(config->fds.console, "the console", false, err);
    if (r >= 0)
        r = check_fd(config->fds.share, "the file server", false, err);
    if (r >= 0)
        r = check_fd(config->fds.kvm, "/dev/kvm", false, err);
    for (size_t i = 0; r >= 0 && i < config->n_disks; i++)
        r = check_fd(config->disks[i].fd, "a disk", true, err);
    return r;
}

static int check(const struct vmm_config *config, struct err *err) {
    const char *const paths[] = {config->path, config->firmware, config->kernel, config->initrd};
    static const char *const names[] = {"program", "firmware", "kernel", "initrd"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (!paths[i] || paths[i][0] != '/')
            return err_set(err, EINVAL, "the hypervisor's %s must be an absolute path, not '%s'", names[i],
                           paths[i] ? paths[i] : "");
    if (config->vcpus < 1 || config->vcpus > VCPUS_MAX)
        return err_set(err, EINVAL, "a virtual machine can have 1 to %d CPUs, not %u", VCPUS_MAX, config->vcpus);
    if (config->memory_mib < MEMORY_MIN_MIB)
        return err_set(err, EINVAL, "a virtual machine needs at least %d MiB of memory, not %llu", MEMORY_MIN_MIB,
                       (unsigned long long)config->memory_mib);
    if (config->accel == VMM_KVM && config->fds.kvm >= 0 && !config->features.kvm_by_fd)
        return err_set(err, EINVAL, "QEMU %u.%u cannot be given /dev/kvm as a descriptor, only 9.0 and later can",
                       config->features.version_major, config->features.version_minor);
    if (config->n_disks > VMM_DISKS_MAX)
        return err_set(err, EINVAL, "a virtual machine can have %d disks, not %zu", VMM_DISKS_MAX, config->n_disks);
    for (size_t i = 0; i < config->n_disks; i++)
        if (!serial_is_valid(config->disks[i].serial))
            return err_set(err, EINVAL,
                           "the serial number '%s' of disk %zu must be 1 to %d letters, digits, '_', '.' or '-'",
                           config->disks[i].serial ? config->disks[i].serial : "", i, SERIAL_MAX);
    return check_descriptors(config, err);
}

int qemu_command_line(const struct vmm_config *config, char ***ret, struct err *err) {
    _cleanup_free_ char *command_line = NULL;
    struct arguments a = {0};

    int r = check(config, err);
    if (r < 0)
        return r;
    r = vmm_kernel_command_line(config, &command_line, err);
    if (r < 0)
        return r;

    add(&a, "%s", config->path);
    add(&a, "-nodefaults");
    add(&a, "-no-user-config");
    add(&a, "-display");
    add(&a, "none");
    add(&a, "-no-reboot"); /* a guest that resets has ended */
    add(&a, "-S");         /* nothing of the guest runs before `cont` */
    add_machine(&a, config);
    add_accelerator(&a, config);
    add_memory(&a, config);
    add_kernel(&a, config, command_line);
    add_channels(&a, config);
    add_share(&a, config);
    for (size_t i = 0; i < config->n_disks; i++)
        add_disk(&a, config, i);
    if (config->sandbox) {
        add(&a, "-sandbox");
        add(&a, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    }
    if (a.failed) {
        free_strv(&a.list);
        return err_set(err, ENOMEM, "out of memory for the hypervisor's command line");
    }
    *ret = a.list;
    return 0;
}
