/* SPDX-License-Identifier: Apache-2.0 */
/* Device rules become BPF programs: run here by a small interpreter, and given to the kernel's verifier. */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

enum { MKNOD = BPF_DEVCG_ACC_MKNOD, READ = BPF_DEVCG_ACC_READ, WRITE = BPF_DEVCG_ACC_WRITE };

struct request {
    char type;
    uint32_t access, major, minor;
};

static int answer(const ProtobufCBinaryData *program, const struct request *request) {
    const struct bpf_insn *insns = (const void *)program->data;
    size_t count = program->len / sizeof(*insns);
    uint64_t r[11] = {0};
    uint32_t context[3] = {request->access << 16 |
                               (request->type == 'b' ? (uint32_t)BPF_DEVCG_DEV_BLOCK : (uint32_t)BPF_DEVCG_DEV_CHAR),
                           request->major, request->minor};
    for (size_t pc = 0; pc < count; pc++) {
        const struct bpf_insn *i = &insns[pc];
        uint64_t value = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;
        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            assert_int_equal(i->src_reg, BPF_REG_1);
            r[i->dst_reg] = context[i->off / 4];
            break;
        case BPF_ALU | BPF_MOV | BPF_K:
        case BPF_ALU | BPF_MOV | BPF_X:
            r[i->dst_reg] = (uint32_t)value;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            r[i->dst_reg] = (uint32_t)(r[i->dst_reg] & value);
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            r[i->dst_reg] = (uint32_t)r[i->dst_reg] >> value;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            pc += r[i->dst_reg] != value ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += r[i->dst_reg] == value ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return (int)r[0];
        default:
            fail_msg("instruction %zu has the unexpected code 0x%x", pc, i->code);
        }
    }
    fail_msg("the program does not end");
    return -1;
}

/* The meaning, said in the plainest way: for each kind of access the last rule about it decides. */
static bool should_allow(const struct oci_device_rule *rules, size_t count, const struct request *request) {
    for (uint32_t access = 1; access <= 4; access <<= 1) {
        bool allowed = false;
        if (!(request->access & access))
            continue;
        for (size_t i = 0; i < count; i++) {
            const struct oci_device_rule *rule = &rules[i];
            bool about = access == MKNOD ? rule->mknod : access == READ ? rule->read : rule->write;
            if (about && (rule->type == 'a' || rule->type == request->type) &&
                (!rule->has_major || rule->major == request->major) &&
                (!rule->has_minor || rule->minor == request->minor))
                allowed = rule->allow;
        }
        if (!allowed)
            return false;
    }
    return true;
}

/* -EPERM: this user may not; then nothing is known. */
static int load(const ProtobufCBinaryData *program, char *log, size_t log_size) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insn_cnt = (uint32_t)(program->len / sizeof(struct bpf_insn));
    attr.insns = (uint64_t)(uintptr_t)program->data;
    attr.license = (uint64_t)(uintptr_t)("Apache-2.0");
    attr.log_buf = (uint64_t)(uintptr_t)log;
    attr.log_size = (uint32_t)log_size;
    attr.log_level = 1;
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
    if (fd < 0)
        return -errno;
    close_fd(&fd);
    return 0;
}

static void must_load(const ProtobufCBinaryData *program) {
    static char log[1 << 20];
    int r = load(program, log, sizeof log);
    if (r < 0 && r != -EPERM && r != -ENOSYS)
        fail_msg("the kernel refuses the program (error %d): %s", -r, log);
}

static struct oci_device_rule rule(bool allow, char type, int64_t major, int64_t minor, const char *access) {
    return (struct oci_device_rule){.allow = allow,
                                    .type = type,
                                    .has_major = major >= 0,
                                    .major = major,
                                    .has_minor = minor >= 0,
                                    .minor = minor,
                                    .read = strchr(access, 'r') != NULL,
                                    .write = strchr(access, 'w') != NULL,
                                    .mknod = strchr(access, 'm') != NULL};
}

static void build(const struct oci_device_rule *rules, size_t count, ProtobufCBinaryData *ret) {
    struct err err = {0};
    assert_int_equal(plan_build_device_program(rules, count, ret, &err), 0);
}

static void says(const ProtobufCBinaryData *program, bool expected, char type, uint32_t major, uint32_t minor,
                 uint32_t access) {
    struct request request = {.type = type, .access = access, .major = major, .minor = minor};
    if (answer(program, &request) != expected)
        fail_msg("%c %u:%u access %u: expected %d", type, major, minor, access, expected);
}

static void test_last_rule_decides(void **state) {
    (void)state;
    const struct oci_device_rule rules[] = {
        rule(true, 'c', 1, 3, "rwm"),
        rule(false, 'a', -1, -1, "rwm"),
        rule(true, 'c', 5, -1, "rw"),
        rule(false, 'c', 5, 1, "w"),
    };
    _cleanup_free_ uint8_t *data = NULL;
    ProtobufCBinaryData program = {0};
    build(rules, ARRAY_SIZE(rules), &program);
    data = program.data;
    must_load(&program);
    says(&program, false, 'c', 1, 3, READ); /* denied by the rule about everything */
    says(&program, true, 'c', 5, 0, READ | WRITE);
    says(&program, false, 'c', 5, 0, MKNOD);
    says(&program, true, 'c', 5, 1, READ);
    says(&program, false, 'c', 5, 1, READ | WRITE); /* crun and runc would say yes here */
    says(&program, false, 'b', 5, 0, READ);
}

static void test_everything_and_nothing(void **state) {
    (void)state;
    const struct oci_device_rule all = rule(true, 'a', -1, -1, "rwm");
    ProtobufCBinaryData program = {0};
    build(&all, 1, &program);
    must_load(&program);
    says(&program, true, 'b', 8, 0, READ | WRITE | MKNOD);
    free(program.data);
    build(NULL, 0, &program);
    must_load(&program);
    says(&program, false, 'c', 1, 3, READ);
    free(program.data);
}

static struct oci_device_rule random_rule(unsigned *seed) {
    static const char types[] = {'a', 'b', 'c', 'c'};
    static const int64_t numbers[] = {-1, -1, 0, 1, 3, 5, 4095, 4096, (int64_t)1 << 40};
    unsigned bits = (unsigned)rand_r(seed);
    return (struct oci_device_rule){.allow = bits & 1,
                                    .read = bits & 2,
                                    .write = bits & 4,
                                    .mknod = bits & 8,
                                    .type = types[bits >> 4 & 3],
                                    .has_major = numbers[(bits >> 8) % 9] >= 0,
                                    .major = numbers[(bits >> 8) % 9],
                                    .has_minor = numbers[(bits >> 16) % 9] >= 0,
                                    .minor = numbers[(bits >> 16) % 9]};
}

static void ask_everything(const struct oci_device_rule *rules, size_t count, const ProtobufCBinaryData *program) {
    static const uint32_t numbers[] = {0, 1, 2, 3, 5, 4095};
    for (uint32_t access = 1; access < 8; access++)
        for (size_t major = 0; major < ARRAY_SIZE(numbers); major++)
            for (size_t minor = 0; minor < ARRAY_SIZE(numbers); minor++)
                for (int block = 0; block < 2; block++) {
                    struct request request = {block ? 'b' : 'c', access, numbers[major], numbers[minor]};
                    assert_int_equal(answer(program, &request), should_allow(rules, count, &request));
                }
}

static void test_random_lists(void **state) {
    (void)state;
    unsigned seed = 20;
    for (int round = 0; round < 300; round++) {
        struct oci_device_rule rules[24];
        size_t count = (size_t)rand_r(&seed) % ARRAY_SIZE(rules);
        for (size_t i = 0; i < count; i++)
            rules[i] = random_rule(&seed);
        ProtobufCBinaryData program = {0};
        build(rules, count, &program);
        must_load(&program);
        ask_everything(rules, count, &program);
        free(program.data);
    }
}

static void test_longest(void **state) {
    (void)state;
    enum { COUNT = 511 };
    static struct oci_device_rule rules[COUNT + 1];
    for (size_t i = 0; i < COUNT + 1; i++)
        rules[i] = rule(false, 'c', (int64_t)i, 1, "rw");
    ProtobufCBinaryData program = {0};
    struct err err = {0};
    build(rules, COUNT, &program);
    assert_true(program.len <= 4096 * sizeof(struct bpf_insn));
    must_load(&program);
    free(program.data);
    assert_int_equal(plan_build_device_program(rules, COUNT + 1, &program, &err), -E2BIG);
}

static void test_standard_rules(void **state) {
    (void)state;
    /* what podman writes, with a disk of the host that is none of the guest's, and a loop device that both have */
    struct oci_device_rule list[] = {rule(false, 'a', -1, -1, "rwm"), rule(true, 'b', 254, 0, "rwm"),
                                     rule(true, 'b', 7, -1, "rw")};
    struct oci_resources resources = {.device_rules = list, .n_device_rules = ARRAY_SIZE(list)};
    ProtobufCBinaryData program = {0};
    struct err err = {0};
    assert_int_equal(plan_build_update_rules(&resources, &program, &err), 0);
    must_load(&program);
    says(&program, true, 'c', 1, 3, READ | WRITE);
    says(&program, true, 'c', 136, 17, READ | WRITE);
    says(&program, false, 'c', 10, 229, READ);
    says(&program, false, 'b', 254, 0, READ);
    says(&program, true, 'b', 254, 0, MKNOD); /* making a node is no harm */
    says(&program, true, 'b', 7, 3, READ | WRITE);
    free(program.data);
}

static void test_rootless_gets_its_nodes(void **state) {
    (void)state;
    struct oci_spec spec = {.n_masked_paths = 1};
    plan_container_message *container = plan_new_message(&minka__plan__v1__container__descriptor);
    ProtobufCBinaryData program = {0};
    struct err err = {0};
    assert_non_null(container);
    const struct standard_device *fuse = plan_standard_device_by_path("/dev/fuse");
    assert_int_equal(plan_build_standard_device(fuse, "/dev/fuse", container, &err), 0);
    assert_int_equal(plan_build_container_rules(&spec, container, &program, &err), 0);
    must_load(&program);
    says(&program, true, 'c', 10, 229, READ | WRITE);
    says(&program, false, 'c', 10, 200, READ);
    says(&program, false, 'b', 254, 0, READ);
    free(program.data);
    minka__plan__v1__container__free_unpacked(container, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_rule_decides), cmocka_unit_test(test_everything_and_nothing),
        cmocka_unit_test(test_random_lists),      cmocka_unit_test(test_longest),
        cmocka_unit_test(test_standard_rules),    cmocka_unit_test(test_rootless_gets_its_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
