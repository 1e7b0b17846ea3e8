/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs in plans. The device program is our own, so each instruction is shown.
 * A seccomp program is shown by its answers: libseccomp's instructions differ
 * from version to version, what they say must not.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <inttypes.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <string.h>

/* ---- devices ---- */

static int print_jump(const struct bpf_insn *insn, size_t at, struct buf *out) {
    return buf_append_format(out, "if r%d %s %d goto %zu", insn->dst_reg,
                             BPF_OP(insn->code) == BPF_JEQ ? "==" : "!=", insn->imm, at + 1 + (size_t)insn->off);
}

static int print_instruction(const struct bpf_insn *insn, size_t at, struct buf *out) {
    if (insn->code == (BPF_JMP | BPF_EXIT))
        return buf_append_string(out, "exit");
    if (BPF_CLASS(insn->code) == BPF_JMP)
        return print_jump(insn, at, out);
    if (BPF_CLASS(insn->code) == BPF_LDX)
        return buf_append_format(out, "r%d = context[%d]", insn->dst_reg, insn->off);
    if (insn->code == (BPF_ALU | BPF_MOV | BPF_X))
        return buf_append_format(out, "r%d = r%d", insn->dst_reg, insn->src_reg);
    const char *operation = BPF_OP(insn->code) == BPF_MOV ? "=" : BPF_OP(insn->code) == BPF_AND ? "&=" : ">>=";
    return buf_append_format(out, "r%d %s %d", insn->dst_reg, operation, insn->imm);
}

int plan_print_device_program(const ProtobufCBinaryData *program, struct buf *out) {
    size_t count = program->len / sizeof(struct bpf_insn);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < count; i++) {
        struct bpf_insn insn;
        memcpy(&insn, program->data + i * sizeof(insn), sizeof(insn));
        r = buf_append_format(out, "device program %zu: ", i);
        if (r >= 0)
            r = print_instruction(&insn, i, out);
        if (r >= 0)
            r = buf_append_string(out, "\n");
    }
    return r;
}

/* ---- seccomp ---- */

/* What every libseccomp that minka is built with knows: up to Linux 5.16. */
enum { NUMBERS = 450, RUNS_MAX = 2 * NUMBERS };

static int print_answer(uint32_t answer, struct buf *out) {
    uint32_t data = answer & SECCOMP_RET_DATA;
    switch (answer & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
        return buf_append_string(out, "allow");
    case SECCOMP_RET_LOG:
        return buf_append_string(out, "log");
    case SECCOMP_RET_ERRNO:
        return buf_append_format(out, "errno %u", data);
    case SECCOMP_RET_TRACE:
        return buf_append_format(out, "trace %u", data);
    case SECCOMP_RET_TRAP:
        return buf_append_string(out, "trap");
    case SECCOMP_RET_KILL_THREAD:
        return buf_append_string(out, "kill the thread");
    default:
        return buf_append_string(out, "kill the process");
    }
}

/* The answers for arguments that are all 0, as runs of numbers with the same one. */
static int print_arch(const char *name, uint32_t arch, const struct sock_filter *program, size_t count,
                      struct buf *out) {
    int r = 0;
    for (int first = 0, next = 0; r >= 0 && first < NUMBERS; first = next) {
        struct seccomp_data data = {.arch = arch, .nr = first};
        uint32_t answer = plan_evaluate_seccomp(program, count, &data);
        for (next = first; next < NUMBERS; next++) {
            data.nr = next;
            if (plan_evaluate_seccomp(program, count, &data) != answer)
                break;
        }
        r = buf_append_format(out, "seccomp: %s %d-%d ", name, first, next - 1);
        if (r >= 0)
            r = print_answer(answer, out);
        if (r >= 0)
            r = buf_append_string(out, "\n");
    }
    return r;
}

int plan_print_seccomp(const ProtobufCBinaryData *program, uint32_t flags, struct buf *out) {
    size_t count = program->len / sizeof(struct sock_filter);
    _cleanup_free_ struct sock_filter *insns = calloc(count + 1, sizeof(*insns));
    if (!insns)
        return -ENOMEM;
    memcpy(insns, program->data, count * sizeof(*insns));
    int r = buf_append_format(out, "seccomp flags: 0x%x\n", flags);
    if (r >= 0)
        r = print_arch("x86-64", AUDIT_ARCH_X86_64, insns, count, out);
    return r < 0 ? r : print_arch("x86", AUDIT_ARCH_I386, insns, count, out);
}
