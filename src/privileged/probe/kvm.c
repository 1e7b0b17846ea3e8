/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does /dev/kvm run a Linux guest? That it opens, and makes a machine, says little: nested and paravirtual KVMs (such
 * as PVM, whose kernels carry out a guest's supervisor code by KVM's own instruction emulator) do both, and then run
 * no unmodified Linux. So a small guest (kvm_guest.S) does what Linux does first, in a child with a deadline.
 *
 * What was seen on such a host (Linux 6.18, Intel, no vmx in /proc/cpuinfo, /dev/kvm 0660, QEMU at 100 % system
 * time for ever): long mode, in and out, CPUID, EFER, CR3 and RDTSC work; a loop of 2 million instructions takes 556 ms
 * (280 ns each: emulated) where a processor takes one; the first SSE instruction ends in
 * KVM_EXIT_INTERNAL_ERROR/KVM_INTERNAL_ERROR_EMULATION within 2 ms; so does iretq, for the emulator has it in real
 * mode only. A processor runs all stages in a few milliseconds, and KVM nested in software emulation (TCG with SVM)
 * does so too.
 */
#include "privileged/probe/internal.h"
#include "privileged/probe/kvm_guest.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    DEADLINE_MSEC = 3000,
    KILL_MSEC = 1000,            /* for a child that is being killed and hangs in the kernel */
    RETRY_MSEC = 10 * 60 * 1000, /* a verdict that hung on time is found anew after this */
    CPUID_MAX = 256,
};

static const char device[] = "/dev/kvm";

extern const uint8_t probe_guest_start[], probe_guest_end[], probe_guest_breakpoint[], probe_guest_page_fault[],
    probe_guest_system_call[], probe_guest_timer[], probe_guest_unexpected[];

/* Shared with the child, so that it says how far it came even if it does not come back. */
struct progress {
    volatile uint32_t stage;  /* STAGE_… that the guest has begun, 0 none */
    volatile uint32_t exit;   /* KVM_EXIT_… that ended it */
    volatile uint32_t detail; /* of KVM_EXIT_INTERNAL_ERROR */
    volatile int32_t code;    /* errno of what failed before the guest ran, or of KVM_RUN */
    volatile uint32_t finished;
};

static const char *stage_text(uint32_t stage) {
    static const char *const texts[] = {
        [0] = "its first instruction",
        [STAGE_STARTED] = "its first instruction",
        [STAGE_CPU] = "CPUID, EFER and the TSC",
        [STAGE_EXCEPTION] = "returning from an exception",
        [STAGE_SSE] = "SSE instructions",
        [STAGE_PAGING] = "page faults",
        [STAGE_USER] = "entering ring 3",
        [STAGE_TIMER] = "waiting for a timer interrupt",
        [STAGE_LOOP] = "a loop of 8 million instructions",
    };
    return stage < ARRAY_SIZE(texts) ? texts[stage] : "checking a result";
}

/* ---- the guest's memory ---- */

static void put64(uint8_t *memory, size_t at, uint64_t value) {
    memcpy(memory + at, &value, sizeof value);
}

static void put_gate(uint8_t *memory, unsigned vector, const uint8_t *handler, unsigned privilege) {
    uint64_t at = GUEST_CODE + (uint64_t)(handler - probe_guest_start);
    /* Interrupt gate, present: Intel SDM volume 3, "64-Bit Mode IDT". */
    uint64_t low = (at & 0xffff) | (SELECTOR_CODE << 16) | (0x8eULL | privilege << 5) << 40 | (at >> 16 & 0xffff) << 48;
    put64(memory, GUEST_IDT + 16 * (size_t)vector, low);
    put64(memory, GUEST_IDT + 16 * (size_t)vector + 8, at >> 32);
}

static void fill_memory(uint8_t *memory) {
    enum { PRESENT = 1, WRITABLE = 2, USER = 4, UNCACHED = 0x10, LARGE = 0x80 };
    put64(memory, GUEST_PML4, GUEST_PDPT | PRESENT | WRITABLE | USER);
    put64(memory, GUEST_PDPT, GUEST_PD_LOW | PRESENT | WRITABLE | USER);
    put64(memory, GUEST_PDPT + 8 * (GUEST_APIC >> 30), GUEST_PD_APIC | PRESENT | WRITABLE);
    put64(memory, GUEST_PD_LOW, 0 | PRESENT | WRITABLE | USER | LARGE);
    put64(memory, GUEST_PD_LOW + 8 * (GUEST_PAGES_BASE >> 21), GUEST_PAGE_TABLE | PRESENT | WRITABLE);
    put64(memory, GUEST_PD_APIC + 8 * (GUEST_APIC >> 21 & 511), GUEST_APIC | PRESENT | WRITABLE | UNCACHED | LARGE);

    put64(memory, GUEST_GDT + SELECTOR_CODE, 0x00af9b000000ffff);
    put64(memory, GUEST_GDT + SELECTOR_DATA, 0x00cf93000000ffff);
    put64(memory, GUEST_GDT + (SELECTOR_USER_CODE & ~3), 0x00affb000000ffff);
    put64(memory, GUEST_GDT + (SELECTOR_USER_DATA & ~3), 0x00cff3000000ffff);
    put64(memory, GUEST_GDT + SELECTOR_TSS, 0x67 | (uint64_t)GUEST_TSS << 16 | 0x8bULL << 40);
    put64(memory, GUEST_TSS + 4, GUEST_TRAP_STACK); /* rsp0 */

    for (unsigned vector = 0; vector < 256; vector++)
        put_gate(memory, vector, probe_guest_unexpected, 0);
    put_gate(memory, 3, probe_guest_breakpoint, 0);
    put_gate(memory, 14, probe_guest_page_fault, 0);
    put_gate(memory, VECTOR_TIMER, probe_guest_timer, 0);
    put_gate(memory, VECTOR_SYSTEM_CALL, probe_guest_system_call, 3);
    memcpy(memory + GUEST_CODE, probe_guest_start, (size_t)(probe_guest_end - probe_guest_start));
}

/* ---- the machine; 0 or -errno ---- */

static int set_cpuid(int kvm, int vcpu) {
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    if (!cpuid)
        return -ENOMEM;
    cpuid->nent = CPUID_MAX;
    int r = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 || ioctl(vcpu, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;
    free(cpuid);
    return r;
}

static int set_registers(int vcpu) {
    struct kvm_sregs s;
    struct kvm_regs regs = {.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2};
    const struct kvm_segment code = {
        .selector = SELECTOR_CODE, .limit = ~0u, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    const struct kvm_segment data = {
        .selector = SELECTOR_DATA, .limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
        return -errno;
    s.cs = code;
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.tr = (struct kvm_segment){.base = GUEST_TSS, .limit = 0x67, .selector = SELECTOR_TSS, .type = 11, .present = 1};
    s.gdt = (struct kvm_dtable){.base = GUEST_GDT, .limit = SELECTOR_TSS + 15};
    s.idt = (struct kvm_dtable){.base = GUEST_IDT, .limit = 256 * 16 - 1};
    s.cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
    s.cr3 = GUEST_PML4;
    s.cr4 = 1 << 5 | 1 << 9 | 1 << 10; /* PAE OSFXSR OSXMMEXCPT */
    s.efer = 1 << 8 | 1 << 10;         /* LME LMA */
    if (ioctl(vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
        return -errno;
    return 0;
}

/* The machine of one processor with its memory and interrupt controllers in the kernel, as QEMU makes it. */
static int make_machine(int kvm, uint8_t *memory, int *ret_vm, int *ret_vcpu) {
    struct kvm_userspace_memory_region region = {.memory_size = GUEST_MEMORY, .userspace_addr = (uintptr_t)memory};
    int vm;
    do
        vm = ioctl(kvm, KVM_CREATE_VM, 0);
    while (vm < 0 && errno == EINTR);
    if (vm < 0)
        return -errno;
    *ret_vm = vm;
    /* Where the kernel may put what Intel processors need for real mode: KVM's api.rst. */
    if (ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000UL) < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0 ||
        ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return -errno;
    *ret_vcpu = ioctl(vm, KVM_CREATE_VCPU, 0UL);
    if (*ret_vcpu < 0)
        return -errno;
    int r = set_cpuid(kvm, *ret_vcpu);
    return r < 0 ? r : set_registers(*ret_vcpu);
}

static int run_machine(int vcpu, struct kvm_run *run, struct progress *progress) {
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return -errno;
        }
        progress->exit = run->exit_reason;
        if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
            progress->detail = run->internal.suberror;
        if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT || run->io.port != GUEST_PORT)
            return 0;
        uint8_t stage = ((uint8_t *)run)[run->io.data_offset];
        if (stage == STAGE_DONE)
            progress->finished = 1;
        if (stage == STAGE_DONE || stage == STAGE_WRONG)
            return 0;
        progress->stage = stage;
    }
}

static int run_guest(int kvm, struct progress *progress) {
    uint8_t *memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int vm = -EBADF, vcpu = -EBADF; /* the process ends soon: nothing is released here */
    if (memory == MAP_FAILED)
        return -errno;
    fill_memory(memory);
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return -EPROTO;
    int r = make_machine(kvm, memory, &vm, &vcpu);
    if (r < 0)
        return r;
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *run =
        size < (int)sizeof *run ? MAP_FAILED : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    return run == MAP_FAILED ? -EIO : run_machine(vcpu, run, progress);
}

/* ---- the child and its deadline ---- */

/* 0 when the child has ended, -ETIMEDOUT when it had to be killed. */
static int wait_until(pid_t pid, int64_t msec) {
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    int64_t deadline = monotonic_msec() + msec;
    int r = 0;
    while (pidfd >= 0 && r <= 0 && monotonic_msec() < deadline)
        r = poll(&poll_fd, 1, (int)(deadline - monotonic_msec()));
    if (r <= 0) {
        (void)kill(pid, SIGKILL);
        /* A child that KVM does not let go of is left to whoever reaps our orphans. */
        if (pidfd >= 0 && poll(&poll_fd, 1, KILL_MSEC) <= 0)
            return -ETIMEDOUT;
    }
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return r > 0 ? 0 : -ETIMEDOUT;
}

static int run_child(int kvm, struct progress *progress) {
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent)
            progress->code = -run_guest(kvm, progress);
        _exit(0);
    }
    return wait_until(pid, DEADLINE_MSEC);
}

static const char *exit_text(const struct progress *progress) {
    if (progress->exit == KVM_EXIT_INTERNAL_ERROR && progress->detail == KVM_INTERNAL_ERROR_EMULATION)
        return "KVM cannot emulate the instruction";
    if (progress->exit == KVM_EXIT_SHUTDOWN)
        return "triple fault";
    if (progress->exit == KVM_EXIT_FAIL_ENTRY)
        return "the processor refuses to enter the guest";
    return "it stopped there";
}

static void set_reason(struct kvm_probe *probe, enum kvm_verdict verdict, const char *reason) {
    probe->verdict = verdict;
    (void)snprintf(probe->reason, sizeof probe->reason, "%s", reason);
}

static void judge(const struct progress *progress, int ended, struct kvm_probe *ret) {
    static const char remedy[] = "enable (nested) hardware virtualization for this host";
    ret->verdict = KVM_UNUSABLE;
    if (ended == 0 && progress->finished)
        set_reason(ret, KVM_WORKS, "KVM runs guests");
    else if (ended < 0)
        (void)snprintf(ret->reason, sizeof ret->reason,
                       "/dev/kvm opens, but a test guest is not through with %s after %d s: %s",
                       stage_text(progress->stage), DEADLINE_MSEC / 1000, remedy);
    else if (progress->code)
        (void)snprintf(ret->reason, sizeof ret->reason, "/dev/kvm opens, but no machine can be made or run (%s): %s",
                       strerrorname_np(progress->code), remedy);
    else
        (void)snprintf(ret->reason, sizeof ret->reason, "/dev/kvm opens, but a test guest fails at %s (%s): %s",
                       stage_text(progress->stage), exit_text(progress), remedy);
}

/* ---- the verdict, and keeping it ---- */

/* 1 and the descriptor, or 0 with a verdict. */
static int open_device(int *ret_fd, struct kvm_probe *ret) {
    int fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        *ret_fd = fd;
        return 1;
    }
    if (errno == EACCES || errno == EPERM)
        (void)snprintf(ret->reason, sizeof ret->reason,
                       "/dev/kvm is not open to uid %u: add the user to its group with `usermod -aG kvm USER`",
                       (unsigned)geteuid());
    else
        (void)snprintf(
            ret->reason, sizeof ret->reason,
            "there is no usable /dev/kvm (%s): enable virtualization in the firmware or hypervisor, and load "
            "kvm_intel or kvm_amd",
            strerrorname_np(errno));
    ret->verdict = errno == EACCES || errno == EPERM ? KVM_FORBIDDEN : KVM_ABSENT;
    return 0;
}

/* "VERDICT MSEC-SINCE-BOOT-WHEN-IT-ENDS REASON": 0 for a verdict that stays. */
static int load_verdict(const char *cache_dir, const char *key, struct kvm_probe *ret) {
    _cleanup_free_ char *value = NULL;
    int r = cache_load(cache_dir, "kvm", key, &value);
    if (r < 0)
        return r;
    char *rest = value;
    const char *verdict = strsep(&rest, " "), *ends = rest ? strsep(&rest, " ") : NULL;
    uint64_t number, until;
    if (!rest || parse_u64(verdict, &number) < 0 || parse_u64(ends, &until) < 0 ||
        (number != KVM_WORKS && number != KVM_UNUSABLE))
        return -ENOENT;
    if (until != 0 && until < (uint64_t)monotonic_msec())
        return -ENOENT;
    set_reason(ret, (enum kvm_verdict)number, rest);
    return 0;
}

static void store_verdict(const char *cache_dir, const char *key, bool timed_out, const struct kvm_probe *probe) {
    _cleanup_free_ char *value = text_format("%d %lld %s", (int)probe->verdict,
                                             timed_out ? (long long)monotonic_msec() + RETRY_MSEC : 0LL, probe->reason);
    if (value)
        cache_store(cache_dir, "kvm", key, value);
}

static void unmap_progress(struct progress **progress) {
    (void)munmap(*progress, sizeof **progress);
}

int probe_kvm(const char *cache_dir, struct kvm_probe *ret, struct err *err) {
    struct kvm_probe probe = {0};
    _cleanup_close_ int kvm = -EBADF;
    _cleanup_buf_ struct buf key = {0};
    int64_t begin = monotonic_msec();

    if (open_device(&kvm, &probe) == 0) {
        *ret = probe; /* costs nothing to find out again, and may change at any time */
        return 0;
    }
    bool can_cache = buf_append_string(&key, "kvm") == 0 && cache_key_add_boot(&key) == 0 &&
                     cache_key_add_file(&key, device) == 0 && buf_string(&key);
    if (can_cache && load_verdict(cache_dir, buf_string(&key), ret) == 0) {
        ret->msec = 0;
        return 0;
    }
    struct progress *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return err_errno(err, "KVM cannot be tried");
    __attribute__((cleanup(unmap_progress))) struct progress *progress = shared;
    int ended = run_child(kvm, progress);
    if (ended < 0 && ended != -ETIMEDOUT)
        return err_set(err, -ended, "KVM cannot be tried, there is no process for it (%s)", strerrorname_np(-ended));
    judge(progress, ended, &probe);
    probe.msec = (unsigned)(monotonic_msec() - begin);
    if (can_cache)
        store_verdict(cache_dir, buf_string(&key), ended < 0, &probe);
    *ret = probe;
    return 0;
}
