/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtual machine consists of, and how a hypervisor is told: pure code,
 * configuration in, command line out (golden files in tests/golden/vmm).
 *
 * The other halves live where their privilege is: what this host's QEMU and KVM
 * can do is found out by src/privileged/probe, the control socket is spoken by
 * src/unprivileged/monitor.
 */
#pragma once

#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vmm_machine { VMM_MICROVM, VMM_Q35 };
enum vmm_accel { VMM_KVM, VMM_TCG };

/* What the hypervisor at hand can do; filled by probe. */
struct vmm_features {
    unsigned version_major, version_minor;
    bool kvm_by_fd; /* -accel kvm,device=/dev/fdset/N (QEMU 9.0) */
};

/* Descriptor numbers that the VMM's process finds open; the launcher puts them there. -1: not there. */
struct vmm_fds {
    int control; /* QMP: connected unix socket */
    int console; /* guest's serial port: connected unix socket */
    int agent;   /* agent channel: connected unix socket */
    int share;   /* vhost-user: socket connected to the file server */
    int kvm;     /* /dev/kvm, where it can go by fd */
};

enum { VMM_DISKS_MAX = 8 };
struct vmm_disk {
    int fd;
    bool readonly;
    const char *serial; /* at most 20 characters: virtio-blk */
};

struct vmm_config {
    enum vmm_machine machine;
    enum vmm_accel accel;
    const char *path;     /* of the hypervisor, inside its jail */
    const char *firmware; /* inside the jail */
    const char *kernel;   /* PVH vmlinux, inside the jail */
    const char *initrd;
    const char *kernel_params; /* the user's, appended; "" for none */
    bool debug;                /* guest kernel messages on the console */
    unsigned vcpus;
    uint64_t memory_mib;
    uint64_t tsc_khz; /* host TSC, for TCG: see reference in qemu.c; 0 unknown */
    bool sandbox;     /* QEMU's own -sandbox */
    struct vmm_features features;
    struct vmm_fds fds;
    struct vmm_disk disks[VMM_DISKS_MAX];
    size_t n_disks;
};

/* The complete argument vector, NULL-terminated, in a new string vector (free_strv). */
int qemu_command_line(const struct vmm_config *config, char ***ret, struct err *err);

/* The kernel command line alone, in a new string. */
int vmm_kernel_command_line(const struct vmm_config *config, char **ret, struct err *err);

/*
 * Sizes. A container's limit is what its processes may use; the VM gets that plus what the guest kernel and agent
 * take (guest_overhead_mib), so that the guest shows the limit; the host's cgroup gets the VM plus what the VMM takes.
 */
struct vmm_size {
    unsigned vcpus;
    uint64_t memory_mib;        /* of the VM */
    uint64_t host_overhead_mib; /* VMM, monitor, file server, above memory_mib */
};
/* cgroup v1 says "no limit" as LONG_MAX rounded down to a page; engines hand that number on. */
#define VMM_MEMORY_UNLIMITED (1ull << 60)
struct vmm_size_request {
    bool has_memory_limit;
    uint64_t memory_limit; /* bytes */
    int64_t cpu_quota;     /* microseconds per period, <= 0 none */
    uint64_t cpu_period;
    unsigned cpuset_count; /* 0 none */
    unsigned default_vcpus, max_vcpus;
    uint64_t default_memory_mib;
    enum vmm_accel accel;
};
int vmm_size(const struct vmm_size_request *request, struct vmm_size *ret, struct err *err);
