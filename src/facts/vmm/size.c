/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a virtual machine is, from what its container may use.
 *
 * Measured with Debian 12's cloud kernel, microvm and q35 alike, 128 MiB to 8 GiB: the kernel keeps 34 MiB and 1/58 of
 * the memory for itself (text, page structures) before it counts MemTotal; when the agent is idle some 40 to 55 MiB of
 * MemTotal are in use; and the page allocator wants a few MiB free. So that a container can use all of its limit
 * before the guest as a whole is out of memory, it gets GUEST_BASE_MIB and 1/GUEST_SHARE_PART of its limit on top.
 */
#include "facts/vmm/vmm.h"

#include <errno.h>

enum {
    GUEST_BASE_MIB = 96,
    GUEST_SHARE_PART = 40,
    MEMORY_MIN_MIB = 128, /* less does not boot */

    /* The VMM's own pages, its libraries, kernel and firmware files, the file server, monitor and stand-ins. */
    HOST_KVM_MIB = 160,
    HOST_TCG_MIB = 320,         /* with the translated code, TCG_CACHE_MIB in qemu.c */
    HOST_VCPU_MIB = 8,          /* stacks and per-CPU structures */
    HOST_PAGE_TABLE_PART = 128, /* page tables for the guest's memory, in the VMM, in KVM and in the file server */

    VCPUS_MAX = 288,             /* of QEMU's microvm and q35 */
    CPU_PERIOD_DEFAULT = 100000, /* microseconds; cgroup-v2.rst, cpu.max */
};

/* What fits below the 40 physical address bits of QEMU's emulated CPUs, with room for the hole of the devices. */
static const uint64_t MEMORY_MAX_MIB = (1ull << 20) - (16ull << 10);

static unsigned count_vcpus(const struct vmm_size_request *request) {
    uint64_t vcpus = request->default_vcpus;
    if (request->cpu_quota > 0) {
        uint64_t period = request->cpu_period > 0 ? request->cpu_period : CPU_PERIOD_DEFAULT;
        uint64_t quota = (uint64_t)request->cpu_quota;
        vcpus = quota / period + (quota % period != 0);
    }
    /* a container bound to N CPUs cannot use more, whatever its quota; without a quota it may use them all */
    if (request->cpuset_count > 0 && (request->cpu_quota <= 0 || vcpus > request->cpuset_count))
        vcpus = request->cpuset_count;
    if (request->max_vcpus > 0 && vcpus > request->max_vcpus)
        vcpus = request->max_vcpus;
    if (vcpus > VCPUS_MAX)
        vcpus = VCPUS_MAX;
    return vcpus > 0 ? (unsigned)vcpus : 1;
}

static int size_memory(const struct vmm_size_request *request, uint64_t *ret, struct err *err) {
    if (!request->has_memory_limit || request->memory_limit >= VMM_MEMORY_UNLIMITED) {
        *ret = request->default_memory_mib > MEMORY_MIN_MIB ? request->default_memory_mib : MEMORY_MIN_MIB;
    } else {
        uint64_t limit = (request->memory_limit >> 20) + ((request->memory_limit & 0xfffff) != 0);
        *ret = GUEST_BASE_MIB + limit + (limit + GUEST_SHARE_PART - 1) / GUEST_SHARE_PART;
        if (*ret < MEMORY_MIN_MIB)
            *ret = MEMORY_MIN_MIB;
    }
    if (*ret > MEMORY_MAX_MIB)
        return err_set(err, ERANGE,
                       "a virtual machine can have at most %llu MiB of memory; lower the memory limit or leave it out",
                       (unsigned long long)MEMORY_MAX_MIB);
    return 0;
}

int vmm_size(const struct vmm_size_request *request, struct vmm_size *ret, struct err *err) {
    uint64_t memory_mib = 0;
    int r = size_memory(request, &memory_mib, err);
    if (r < 0)
        return r;
    unsigned vcpus = count_vcpus(request);
    uint64_t fixed = request->accel == VMM_KVM ? HOST_KVM_MIB : HOST_TCG_MIB;
    *ret = (struct vmm_size){
        .vcpus = vcpus,
        .memory_mib = memory_mib,
        .host_overhead_mib = fixed + (uint64_t)HOST_VCPU_MIB * vcpus + memory_mib / HOST_PAGE_TABLE_PART,
    };
    return 0;
}
