/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic BPF as the kernel runs it for seccomp(2), for printing and testing
 * programs: what it answers says more than its instructions, which differ from
 * one libseccomp to the next.
 */
#include "facts/plan/build.h"

#include <linux/seccomp.h>
#include <string.h>

struct machine {
    uint32_t accumulator, index;
    uint32_t memory[BPF_MEMWORDS];
};

static uint32_t operand(const struct sock_filter *insn, const struct machine *machine) {
    return BPF_SRC(insn->code) == BPF_X ? machine->index : insn->k;
}

static bool arithmetic(const struct sock_filter *insn, struct machine *machine) {
    uint32_t value = operand(insn, machine);
    switch (BPF_OP(insn->code)) {
    case BPF_ADD:
        machine->accumulator += value;
        return true;
    case BPF_SUB:
        machine->accumulator -= value;
        return true;
    case BPF_AND:
        machine->accumulator &= value;
        return true;
    case BPF_OR:
        machine->accumulator |= value;
        return true;
    case BPF_XOR:
        machine->accumulator ^= value;
        return true;
    case BPF_LSH:
        machine->accumulator = value < 32 ? machine->accumulator << value : 0;
        return true;
    case BPF_RSH:
        machine->accumulator = value < 32 ? machine->accumulator >> value : 0;
        return true;
    case BPF_NEG:
        machine->accumulator = -machine->accumulator;
        return true;
    default:
        return false; /* seccomp programs do not multiply and divide */
    }
}

static bool is_true(const struct sock_filter *insn, const struct machine *machine) {
    uint32_t value = operand(insn, machine);
    switch (BPF_OP(insn->code)) {
    case BPF_JEQ:
        return machine->accumulator == value;
    case BPF_JGT:
        return machine->accumulator > value;
    case BPF_JGE:
        return machine->accumulator >= value;
    default:
        return (machine->accumulator & value) != 0; /* BPF_JSET */
    }
}

static bool load(const struct sock_filter *insn, struct machine *machine, const struct seccomp_data *data) {
    uint32_t *target = BPF_CLASS(insn->code) == BPF_LD ? &machine->accumulator : &machine->index;
    switch (BPF_MODE(insn->code)) {
    case BPF_ABS:
        if (insn->k > sizeof(*data) - sizeof(uint32_t) || insn->k % sizeof(uint32_t) != 0)
            return false;
        memcpy(target, (const uint8_t *)data + insn->k, sizeof(*target));
        return true;
    case BPF_IMM:
        *target = insn->k;
        return true;
    case BPF_MEM:
        if (insn->k >= BPF_MEMWORDS)
            return false;
        *target = machine->memory[insn->k];
        return true;
    default:
        return false;
    }
}

static bool store(const struct sock_filter *insn, struct machine *machine) {
    if (insn->k >= BPF_MEMWORDS)
        return false;
    machine->memory[insn->k] = BPF_CLASS(insn->code) == BPF_ST ? machine->accumulator : machine->index;
    return true;
}

static void transfer(const struct sock_filter *insn, struct machine *machine) {
    if (BPF_MISCOP(insn->code) == BPF_TAX)
        machine->index = machine->accumulator;
    else
        machine->accumulator = machine->index;
}

uint32_t plan_evaluate_seccomp(const struct sock_filter *program, size_t count, const struct seccomp_data *data) {
    struct machine machine = {0};
    bool good = true;
    /* Jumps only lead forward, so this ends. */
    for (size_t pc = 0; good && pc < count; pc++) {
        const struct sock_filter *insn = &program[pc];
        switch (BPF_CLASS(insn->code)) {
        case BPF_RET:
            return BPF_RVAL(insn->code) == BPF_A ? machine.accumulator : insn->k;
        case BPF_JMP:
            if (BPF_OP(insn->code) == BPF_JA)
                pc += insn->k;
            else
                pc += is_true(insn, &machine) ? insn->jt : insn->jf;
            break;
        case BPF_ALU:
            good = arithmetic(insn, &machine);
            break;
        case BPF_LD:
        case BPF_LDX:
            good = load(insn, &machine, data);
            break;
        case BPF_ST:
        case BPF_STX:
            good = store(insn, &machine);
            break;
        default:
            transfer(insn, &machine);
            break;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}
