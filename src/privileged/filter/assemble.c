/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a table to a program: a binary search for the system call's number, then
 * its rows in order. All jumps go forward and are made after what they jump over,
 * by writing the program from its end to its beginning.
 */
#include "privileged/filter/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

enum {
    ROWS_MAX = 400,
    /*
     * Linux 6.15's last. Of newer calls no list can know what they do; C libraries try them and take ENOSYS for
     * what it says, so they are no reason to kill.
     */
    NEWEST_REVIEWED = 467,
    X32_BIT = 0x40000000,
};

/* Instructions from the end of the array towards its beginning. */
struct program {
    struct sock_filter *code;
    size_t room, length;
};

static void put(struct program *p, struct sock_filter insn) {
    if (p->length < p->room)
        p->code[p->room - 1 - p->length] = insn;
    p->length++;
}

static void put_return(struct program *p, uint32_t value) {
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

static void put_load(struct program *p, size_t offset) {
    put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Go on when it is equal, else skip what has been put since `length` was `since`. */
static void put_unless_equal_skip(struct program *p, uint32_t value, size_t since) {
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)(p->length - since)));
}

static void put_condition(struct program *p, size_t offset, uint32_t mask, uint32_t value, size_t since) {
    put_unless_equal_skip(p, value, since);
    if (mask != UINT32_MAX)
        put(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
    put_load(p, offset);
}

static void put_row(struct program *p, const struct filter_row *row, uint64_t start) {
    size_t since = p->length;
    put_return(p, row->action == FILTER_REFUSE ? SECCOMP_RET_ERRNO | (uint32_t)row->error : SECCOMP_RET_ALLOW);
    if (row->action == FILTER_AT_START) {
        /* x86-64 is little-endian: the lower half is the first. */
        size_t at = offsetof(struct seccomp_data, instruction_pointer);
        put_condition(p, at + sizeof(uint32_t), UINT32_MAX, (uint32_t)(start >> 32), since);
        put_condition(p, at, UINT32_MAX, (uint32_t)start, since);
    }
    for (size_t i = FILTER_CONDITIONS; i-- > 0;) {
        const struct filter_condition *c = &row->conditions[i];
        if (c->mask)
            put_condition(p, offsetof(struct seccomp_data, args) + c->argument * sizeof(uint64_t), c->mask, c->value,
                          since);
    }
}

/* rows[0..count) are of one system call. */
static void put_call(struct program *p, const struct filter_row *const *rows, size_t count, uint64_t start) {
    put_return(p, SECCOMP_RET_KILL_PROCESS);
    for (size_t i = count; i-- > 0;)
        put_row(p, rows[i], start);
    put_return(p, SECCOMP_RET_KILL_PROCESS); /* it is not this call */
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rows[0]->number, 1, 0));
}

/* first[i]..first[i + 1] are the rows of call i. */
static void put_tree(struct program *p, const struct filter_row *const *rows, const size_t *first, size_t calls,
                     uint64_t start) {
    if (calls == 1)
        return put_call(p, rows + first[0], first[1] - first[0], start);
    size_t half = calls / 2;
    put_tree(p, rows, first + half, calls - half, start);
    size_t since = p->length;
    put_tree(p, rows, first, half, start);
    /* A conditional jump reaches 255 instructions only. */
    put(p, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(p->length - since)));
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)rows[first[half]]->number, 0, 1));
}

static bool is_valid(const struct filter_row *row) {
    for (size_t i = 0; i < FILTER_CONDITIONS; i++)
        if (row->conditions[i].argument > 5 || (row->conditions[i].value & ~row->conditions[i].mask))
            return false;
    return row->number >= 0 && row->number <= NEWEST_REVIEWED && row->why && row->action &&
           (row->action == FILTER_REFUSE) == (row->error > 0 && row->error < 4096);
}

/* Stable: rows of a call keep their order, also across groups. */
static void insert(const struct filter_row **rows, size_t count, const struct filter_row *row) {
    size_t at = count;
    for (; at > 0 && rows[at - 1]->number > row->number; at--)
        rows[at] = rows[at - 1];
    rows[at] = row;
}

int filter_assemble(const struct filter *filter, uint64_t start, struct sock_filter *ret, size_t room) {
    const struct filter_row *rows[ROWS_MAX];
    size_t count = 0, calls = 0, first[ROWS_MAX + 1];
    for (size_t g = 0; g < FILTER_GROUPS && filter->groups[g]; g++)
        for (const struct filter_row *row = filter->groups[g]; row->call; row++) {
            if (count == ROWS_MAX)
                return -E2BIG;
            if (!is_valid(row))
                return -EINVAL;
            insert(rows, count++, row);
        }
    if (count == 0)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || rows[i]->number != rows[i - 1]->number)
            first[calls++] = i;
    first[calls] = count;

    struct program p = {.code = ret, .room = room};
    put_tree(&p, rows, first, calls, start);
    put_return(&p, SECCOMP_RET_ERRNO | ENOSYS);
    put(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NEWEST_REVIEWED, 0, 1));
    put_return(&p, SECCOMP_RET_KILL_PROCESS); /* another kind of system call altogether: i386 or x32 */
    put(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    put_load(&p, offsetof(struct seccomp_data, nr));
    put(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 2));
    put_load(&p, offsetof(struct seccomp_data, arch));
    if (p.length > room || p.length > BPF_MAXINSNS)
        return -E2BIG;
    memmove(ret, ret + room - p.length, p.length * sizeof *ret);
    return (int)p.length;
}
