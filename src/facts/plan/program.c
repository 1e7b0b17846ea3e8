/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules as a program for BPF_PROG_TYPE_CGROUP_DEVICE, which cgroup v2 has
 * in place of v1's devices.allow and devices.deny.
 *
 * The list means: for each of read, write and mknod the last rule that matches
 * decides; what no rule matches is denied. So the program goes through the rules
 * from the last to the first, with the kinds of access that are still undecided
 * in a register: an allowing rule takes its kinds out, and when none is left the
 * answer is yes; a denying rule that meets one that is left says no. (runc and
 * crun let a rule match only if it names all kinds that are asked for at once,
 * so that with them "deny w" does not stop an open for reading and writing.)
 *
 * Context: struct bpf_cgroup_dev_ctx, linux/bpf.h.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <limits.h>
#include <linux/bpf.h>
#include <string.h>

enum {
    ANSWER = BPF_REG_0,
    CONTEXT = BPF_REG_1,
    TYPE = BPF_REG_2,
    LEFT = BPF_REG_3, /* undecided BPF_DEVCG_ACC_* */
    MAJOR = BPF_REG_4,
    MINOR = BPF_REG_5,
};

enum {
    LOAD_WORD = BPF_LDX | BPF_MEM | BPF_W,
    MOVE = BPF_ALU | BPF_MOV | BPF_K,
    MOVE_REGISTER = BPF_ALU | BPF_MOV | BPF_X,
    AND = BPF_ALU | BPF_AND | BPF_K,
    SHIFT_RIGHT = BPF_ALU | BPF_RSH | BPF_K,
    JUMP_IF_NOT = BPF_JMP | BPF_JNE | BPF_K,
    JUMP_IF = BPF_JMP | BPF_JEQ | BPF_K,
    EXIT = BPF_JMP | BPF_EXIT,
};

enum { RULE_INSNS_MAX = 8, PROLOGUE_INSNS = 6, EPILOGUE_INSNS = 2, ALL_ACCESS = 7 };

struct program {
    struct bpf_insn *insns;
    size_t count;
};

static struct bpf_insn *emit(struct program *program, int code, int target, int source, int offset, uint32_t value) {
    struct bpf_insn *insn = &program->insns[program->count++];
    *insn = (struct bpf_insn){.code = (uint8_t)code,
                              .dst_reg = (uint8_t)(target & 0xf),
                              .src_reg = (uint8_t)(source & 0xf),
                              .off = (int16_t)offset,
                              .imm = (int32_t)value};
    return insn;
}

static void emit_prologue(struct program *program) {
    int access = offsetof(struct bpf_cgroup_dev_ctx, access_type);
    emit(program, LOAD_WORD, TYPE, CONTEXT, access, 0);
    emit(program, AND, TYPE, 0, 0, 0xffff);
    emit(program, LOAD_WORD, LEFT, CONTEXT, access, 0);
    emit(program, SHIFT_RIGHT, LEFT, 0, 0, 16);
    emit(program, LOAD_WORD, MAJOR, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    emit(program, LOAD_WORD, MINOR, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

static void emit_answer(struct program *program, bool allow) {
    emit(program, MOVE, ANSWER, 0, 0, allow);
    emit(program, EXIT, 0, 0, 0, 0);
}

static uint32_t access_of(const struct oci_device_rule *rule) {
    return (rule->mknod ? BPF_DEVCG_ACC_MKNOD : 0u) | (rule->read ? BPF_DEVCG_ACC_READ : 0u) |
           (rule->write ? BPF_DEVCG_ACC_WRITE : 0u);
}

static bool is_total(const struct oci_device_rule *rule) {
    return rule->type == 'a' && !rule->has_major && !rule->has_minor && access_of(rule) == ALL_ACCESS;
}

/* Numbers that no device has can be left out: MAJOR and MINOR are 12 and 20 bits, linux/kdev_t.h. */
static bool can_match(const struct oci_device_rule *rule) {
    return access_of(rule) != 0 && (!rule->has_major || (rule->major >= 0 && rule->major < 1 << 12)) &&
           (!rule->has_minor || (rule->minor >= 0 && rule->minor < 1 << 20));
}

static void emit_rule(struct program *program, const struct oci_device_rule *rule) {
    size_t conditions[4], n_conditions = 0;
    if (rule->type != 'a') {
        conditions[n_conditions++] = program->count;
        emit(program, JUMP_IF_NOT, TYPE, 0, 0, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    }
    if (rule->has_major) {
        conditions[n_conditions++] = program->count;
        emit(program, JUMP_IF_NOT, MAJOR, 0, 0, (uint32_t)rule->major);
    }
    if (rule->has_minor) {
        conditions[n_conditions++] = program->count;
        emit(program, JUMP_IF_NOT, MINOR, 0, 0, (uint32_t)rule->minor);
    }
    if (rule->allow) {
        emit(program, AND, LEFT, 0, 0, ~access_of(rule));
        conditions[n_conditions++] = program->count;
        emit(program, JUMP_IF_NOT, LEFT, 0, 0, 0);
    } else {
        emit(program, MOVE_REGISTER, ANSWER, LEFT, 0, 0);
        emit(program, AND, ANSWER, 0, 0, access_of(rule));
        conditions[n_conditions++] = program->count;
        emit(program, JUMP_IF, ANSWER, 0, 0, 0);
    }
    emit_answer(program, rule->allow);
    for (size_t i = 0; i < n_conditions; i++)
        program->insns[conditions[i]].off = (int16_t)(program->count - conditions[i] - 1);
}

/*
 * Where the rules that matter begin: what stands before one that is about everything says nothing more (and would be
 * dead code, which the verifier refuses). If that one allows and nothing is denied after it, none matters. Returns the
 * answer when no rule matches.
 */
static bool last_word(const struct oci_device_rule *rules, size_t count, size_t *ret_first) {
    bool denies = false;
    *ret_first = 0;
    for (size_t i = count; i > 0; i--) {
        const struct oci_device_rule *rule = &rules[i - 1];
        if (is_total(rule)) {
            *ret_first = rule->allow && !denies ? count : i;
            return rule->allow;
        }
        denies |= !rule->allow;
    }
    return false;
}

int plan_build_device_program(const struct oci_device_rule *rules, size_t count, ProtobufCBinaryData *ret,
                              struct err *err) {
    struct program program = {0};
    /* the agent takes 4096 instructions, which was also the kernel's limit for a long time */
    if (count > (BPF_MAXINSNS - PROLOGUE_INSNS - EPILOGUE_INSNS) / RULE_INSNS_MAX)
        return err_set(err, E2BIG, "the container has %zu device rules, %d are possible", count,
                       (BPF_MAXINSNS - PROLOGUE_INSNS - EPILOGUE_INSNS) / RULE_INSNS_MAX);
    program.insns = calloc(count * RULE_INSNS_MAX + PROLOGUE_INSNS + EPILOGUE_INSNS, sizeof(*program.insns));
    if (!program.insns)
        return plan_out_of_memory(err);
    size_t first = 0;
    bool allow_rest = last_word(rules, count, &first);
    emit_prologue(&program);
    for (size_t i = count; i > first; i--)
        if (can_match(&rules[i - 1]))
            emit_rule(&program, &rules[i - 1]);
    emit_answer(&program, allow_rest);
    ret->len = program.count * sizeof(*program.insns);
    ret->data = (uint8_t *)program.insns;
    return 0;
}
