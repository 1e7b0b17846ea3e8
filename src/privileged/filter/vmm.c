/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU 7.2 to 10.0 as facts/vmm starts it, from its start in a jail with its files to a root without any. Its own
 * -sandbox, a list of what is forbidden, is loaded above this one and takes away more: execve(2) for instance.
 */
#include "privileged/filter/rows.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static const struct filter_row vmm[] = {
    ALLOW(memfd_create, "the guest's memory, which the file server shares"),
    ALLOW(ftruncate, "its size"),
    ALLOW(fallocate, "[read] memory that the guest gives back; discarded blocks of a disk"),
    ALLOW(socketpair, "the two ends of the channel to the file server", IS(0, AF_UNIX)),
    ALLOW(setsockopt, "sockets try to do without copying", IS(1, SOL_SOCKET)),
    ALLOW(recvfrom, "the agent's channel and the console"),
    ALLOW(sendto, "[read] the same"),
    ALLOW(preadv, "a disk"),
    ALLOW(pwritev, "[read] a disk"),
    ALLOW(pwrite64, "[read] a disk"),
    ALLOW(fdatasync, "[read] a disk"),
    ALLOW(fsync, "[read] a disk"),
    ALLOW(signalfd4, "signals come as events"),
    ALLOW(rt_sigpending, "[read] was a virtual CPU interrupted"),
    ALLOW(rt_sigtimedwait, "[read] the same"),
    ALLOW(timerfd_create, "[read] timers"),
    ALLOW(timerfd_settime, "[read] timers"),
    ALLOW(timer_create, "[read] timers"),
    ALLOW(timer_settime, "[read] timers"),
    ALLOW(timer_delete, "[read] timers"),
    ALLOW(getdents64, "[read] which NUMA nodes has the host, and where are QEMU's modules"),
    ALLOW(getcwd, "[read] where is it"),
    ALLOW(readlinkat, "[read] where is its binary"),
    ALLOW(prctl, "memory errors of the host come as signals", IS(0, PR_MCE_KILL)),
    ALLOW(prctl, "timers on time", IS(0, PR_SET_TIMERSLACK)),
    REFUSE(unlink, EACCES, "[read] there is nothing to remove"),
    REFUSE(chdir, EACCES, "[read] there is nowhere to go"),
    REFUSE(setsid, EPERM, "[read] it leads its session"),
    REFUSE(mlockall, EPERM, "[read] memory is the cgroup's"),
    REFUSE(mlock, EPERM, "[read] memory is the cgroup's"),
    REFUSE(mbind, ENOSYS, "[read] memory is the cgroup's"),
    END,
};

static const struct filter_row kvm[] = {
    ALLOW(ioctl, "[read] KVM's requests, all of which have this number in their second byte",
          BITS(1, 0xff00, KVMIO << 8)),
    /* Not in headers of Linux 6.1: ARCH_GET_XCOMP_SUPP, ARCH_REQ_XCOMP_GUEST_PERM. */
    ALLOW(arch_prctl, "[read] which large CPU states are there", IS(0, 0x1021)),
    ALLOW(arch_prctl, "[read] the guest may use them", IS(0, 0x1025)),
    END,
};

static const struct filter_row no_requests[] = {
    REFUSE(ioctl, ENOTTY, "QEMU and libraries ask of descriptors what they may be: terminals, disks"),
    END,
};

const struct filter filter_vmm_tcg = {
    "VMM with TCG",
    {filter_start, filter_compiler, filter_library, filter_threads, filter_own, vmm, no_requests, filter_foreign}};
const struct filter filter_vmm_kvm = {
    "VMM with KVM", {filter_start, filter_library, filter_threads, filter_own, vmm, kvm, no_requests, filter_foreign}};
