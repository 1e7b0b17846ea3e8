/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.seccomp as a program for seccomp(2), assembled by libseccomp on the host,
 * so that the guest needs no such library. Where crun and runc differ, the one
 * under which more programs run is followed:
 *  - names that libseccomp does not know are skipped; rules that say what the default action says anyway, too;
 *  - several conditions on the same argument are alternatives (one rule each), since libseccomp takes one per argument;
 *  - system calls newer than all that the profile names fail with ENOSYS and not with the profile's errno, because
 *    programs fall back to an older call only then (runc, libcontainer/seccomp/patchbpf).
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { ERRNO_MAX = 4095, ARGUMENTS = 6 };
static const uint32_t X32_BIT = 0x40000000; /* __X32_SYSCALL_BIT */

static void free_filter(scmp_filter_ctx *filter) {
    if (*filter)
        seccomp_release(*filter);
}
#define _cleanup_filter_ _cleanup_(free_filter)

static int find_action(const char *name, bool has_errno, uint32_t errno_value, uint32_t *ret, struct err *err) {
    static const struct {
        const char *name;
        uint32_t action;
    } actions[] = {
        {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
        {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
        {"SCMP_ACT_LOG", SCMP_ACT_LOG},
        {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    };
    uint32_t value = has_errno ? errno_value : EPERM;
    if (value > ERRNO_MAX)
        return err_set(err, EINVAL, "linux.seccomp: errnoRet %u is no errno, the largest is %d", value, ERRNO_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (strcmp(name, actions[i].name) == 0) {
            *ret = actions[i].action;
            return 0;
        }
    if (strcmp(name, "SCMP_ACT_ERRNO") == 0) {
        *ret = SCMP_ACT_ERRNO(value);
        return 0;
    }
    if (strcmp(name, "SCMP_ACT_TRACE") == 0) {
        *ret = SCMP_ACT_TRACE(value);
        return 0;
    }
    if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
        return err_set(
            err, ENOTSUP,
            "linux.seccomp: SCMP_ACT_NOTIFY hands system calls to a program on the host, which cannot see the "
            "processes of a virtual machine; use a profile without it");
    return err_set(err, EINVAL, "linux.seccomp: '%s' is no action", name);
}

/* Only system calls of the guest's own kind can come; of the others a profile may speak, but they need no code. */
static int add_architectures(scmp_filter_ctx filter, const struct oci_seccomp *seccomp, struct err *err) {
    static const struct {
        const char *name;
        uint32_t arch; /* 0: of other machines */
    } known[] = {
        {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
        {"SCMP_ARCH_X86", SCMP_ARCH_X86},
        {"SCMP_ARCH_X32", SCMP_ARCH_X32},
        {"SCMP_ARCH_NATIVE", SCMP_ARCH_X86_64},
        {"SCMP_ARCH_ARM", 0},
        {"SCMP_ARCH_AARCH64", 0},
        {"SCMP_ARCH_MIPS", 0},
        {"SCMP_ARCH_MIPS64", 0},
        {"SCMP_ARCH_MIPS64N32", 0},
        {"SCMP_ARCH_MIPSEL", 0},
        {"SCMP_ARCH_MIPSEL64", 0},
        {"SCMP_ARCH_MIPSEL64N32", 0},
        {"SCMP_ARCH_PPC", 0},
        {"SCMP_ARCH_PPC64", 0},
        {"SCMP_ARCH_PPC64LE", 0},
        {"SCMP_ARCH_S390", 0},
        {"SCMP_ARCH_S390X", 0},
        {"SCMP_ARCH_PARISC", 0},
        {"SCMP_ARCH_PARISC64", 0},
        {"SCMP_ARCH_RISCV64", 0},
        {"SCMP_ARCH_LOONGARCH64", 0},
        {"SCMP_ARCH_M68K", 0},
        {"SCMP_ARCH_SH", 0},
        {"SCMP_ARCH_SHEB", 0},
    };
    for (size_t i = 0; i < seccomp->n_architectures; i++) {
        size_t k = 0;
        while (k < ARRAY_SIZE(known) && strcmp(seccomp->architectures[i], known[k].name) != 0)
            k++;
        if (k == ARRAY_SIZE(known))
            return err_set(err, EINVAL, "linux.seccomp: '%s' is no architecture", seccomp->architectures[i]);
        int r = known[k].arch ? seccomp_arch_add(filter, known[k].arch) : 0;
        if (r < 0 && r != -EEXIST)
            return err_set(err, -r, "linux.seccomp: libseccomp does not take the architecture %s", known[k].name);
    }
    return 0;
}

static int make_conditions(const struct oci_seccomp_rule *rule, struct scmp_arg_cmp *ret, struct err *err) {
    for (size_t i = 0; i < rule->n_args; i++) {
        const struct oci_seccomp_arg *arg = &rule->args[i];
        if (arg->index >= ARGUMENTS)
            return err_set(err, EINVAL, "linux.seccomp: a system call has arguments 0 to %d, not %u", ARGUMENTS - 1,
                           arg->index);
        ret[i] = (struct scmp_arg_cmp){
            .arg = arg->index,
            .op = (enum scmp_compare)arg->op,
            .datum_a = arg->value,
            .datum_b = arg->value_two,
        };
    }
    return 0;
}

static bool has_alternatives(const struct oci_seccomp_rule *rule) {
    uint32_t seen = 0;
    for (size_t i = 0; i < rule->n_args; i++) {
        if (seen & (1u << rule->args[i].index))
            return true;
        seen |= 1u << rule->args[i].index;
    }
    return false;
}

static int add_call(scmp_filter_ctx filter, const char *name, uint32_t action, const struct scmp_arg_cmp *conditions,
                    size_t count, struct err *err) {
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return 0;
    int r = seccomp_rule_add_array(filter, action, number, (unsigned)count, conditions);
    if (r < 0 && r != -EEXIST)
        return err_set(err, -r, "linux.seccomp: libseccomp does not take the rule for %s (error %d)", name, -r);
    return 0;
}

static int add_rule(scmp_filter_ctx filter, const struct oci_seccomp_rule *rule, uint32_t default_action,
                    struct err *err) {
    uint32_t action = 0;
    int r = find_action(rule->action, rule->has_errno, rule->errno_value, &action, err);
    if (r < 0 || action == default_action)
        return r;
    _cleanup_free_ struct scmp_arg_cmp *conditions = calloc(rule->n_args + 1, sizeof(*conditions));
    if (!conditions)
        return plan_out_of_memory(err);
    r = make_conditions(rule, conditions, err);
    if (r < 0)
        return r;
    bool alternatives = has_alternatives(rule);
    for (size_t n = 0; r >= 0 && n < rule->n_names; n++) {
        if (!alternatives)
            r = add_call(filter, rule->names[n], action, conditions, rule->n_args, err);
        for (size_t i = 0; r >= 0 && alternatives && i < rule->n_args; i++)
            r = add_call(filter, rule->names[n], action, &conditions[i], 1, err);
    }
    return r;
}

static int find_flags(const struct oci_seccomp *seccomp, uint32_t *ret, struct err *err) {
    static const struct {
        const char *name;
        uint32_t flag;
    } known[] = {
        {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
        {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
        {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
        {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0}, /* of SCMP_ACT_NOTIFY */
    };
    *ret = seccomp->n_flags == 0 ? (uint32_t)SECCOMP_FILTER_FLAG_SPEC_ALLOW : 0; /* as runc since 1.1.8 */
    for (size_t i = 0; i < seccomp->n_flags; i++) {
        size_t k = 0;
        while (k < ARRAY_SIZE(known) && strcmp(seccomp->flags[i], known[k].name) != 0)
            k++;
        if (k == ARRAY_SIZE(known))
            return err_set(err, EINVAL, "linux.seccomp: '%s' is no flag", seccomp->flags[i]);
        *ret |= known[k].flag;
    }
    return 0;
}

/* ---- the program ---- */

/* The largest number that the profile names for this kind of system call; UINT32_MAX when there are none of them. */
static uint32_t newest_named(const struct oci_seccomp *seccomp, scmp_filter_ctx filter, uint32_t arch) {
    uint32_t newest = 0;
    if (seccomp_arch_exist(filter, arch) < 0)
        return UINT32_MAX;
    for (size_t i = 0; i < seccomp->n_rules; i++)
        for (size_t n = 0; n < seccomp->rules[i].n_names; n++) {
            int number = seccomp_syscall_resolve_name_arch(arch, seccomp->rules[i].names[n]);
            if (number >= 0 && (uint32_t)number > newest)
                newest = (uint32_t)number;
        }
    return newest > 0 ? newest : UINT32_MAX;
}

enum { STUB_INSNS = 10 };

/* Put in front of libseccomp's program, which starts by loading what it needs by itself. */
static void make_stub(const struct oci_seccomp *seccomp, scmp_filter_ctx filter, struct sock_filter *ret) {
    uint32_t x86_64 = newest_named(seccomp, filter, SCMP_ARCH_X86_64);
    uint32_t x86 = newest_named(seccomp, filter, SCMP_ARCH_X86);
    uint32_t x32 = newest_named(seccomp, filter, SCMP_ARCH_X32);
    const struct sock_filter stub[STUB_INSNS] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, x32 == UINT32_MAX ? x32 : x32 | X32_BIT, 4, 5),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, x86_64, 3, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, x86, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    memcpy(ret, stub, sizeof(stub));
}

static bool needs_stub(const struct oci_seccomp *seccomp, uint32_t default_action) {
    if (default_action == SCMP_ACT_ALLOW || default_action == SCMP_ACT_LOG ||
        default_action == SCMP_ACT_ERRNO(ENOSYS) || (default_action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE)
        return false;
    return seccomp->n_rules > 0;
}

static int export(const struct oci_seccomp *seccomp, scmp_filter_ctx filter, uint32_t default_action,
                  ProtobufCBinaryData *ret, struct err *err) {
    size_t stub = needs_stub(seccomp, default_action) ? STUB_INSNS * sizeof(struct sock_filter) : 0;
    _cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
    struct stat st;
    int r = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
    if (r < 0 || fstat(fd, &st) < 0)
        return err_set(err, EINVAL, "linux.seccomp: libseccomp cannot assemble the program (error %d)", -r);
    size_t length = (size_t)st.st_size;
    if ((stub + length) / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return err_set(err, E2BIG, "linux.seccomp: the profile becomes a program of %zu instructions, %d are possible",
                       (stub + length) / sizeof(struct sock_filter), BPF_MAXINSNS);
    _cleanup_free_ uint8_t *program = malloc(stub + length);
    if (!program)
        return plan_out_of_memory(err);
    if (stub > 0)
        make_stub(seccomp, filter, (struct sock_filter *)(void *)program);
    if (lseek(fd, 0, SEEK_SET) < 0 || read_all(fd, program + stub, length) < 0)
        return err_set(err, EIO, "linux.seccomp: the assembled program cannot be read back");
    ret->len = stub + length;
    ret->data = take_ptr(program);
    return 0;
}

int plan_build_seccomp(const struct oci_seccomp *seccomp, ProtobufCBinaryData *ret_program, uint32_t *ret_flags,
                       struct err *err) {
    uint32_t default_action = 0, flags = 0;
    int r =
        find_action(seccomp->default_action, seccomp->has_default_errno, seccomp->default_errno, &default_action, err);
    if (r >= 0)
        r = find_flags(seccomp, &flags, err);
    if (r < 0)
        return r;
    _cleanup_filter_ scmp_filter_ctx filter = seccomp_init(default_action);
    if (!filter)
        return err_set(err, EINVAL, "linux.seccomp: libseccomp does not take the default action %s",
                       seccomp->default_action);
    /* A binary search instead of a walk through hundreds of comparisons at each system call that is not always allowed.
     */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    r = add_architectures(filter, seccomp, err);
    for (size_t i = 0; r >= 0 && i < seccomp->n_rules; i++)
        r = add_rule(filter, &seccomp->rules[i], default_action, err);
    if (r >= 0)
        r = export(seccomp, filter, default_action, ret_program, err);
    if (r >= 0)
        *ret_flags = flags;
    return r;
}
