/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp becomes a program: asked here what it answers, and installed in a child to see that it does. */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NAMES(...)                                                                                                     \
    (char *[]) {                                                                                                       \
        __VA_ARGS__, NULL                                                                                              \
    }
#define ERRNO(e) (SECCOMP_RET_ERRNO | (e))

static struct oci_seccomp_rule call(const char *action, const char *name) {
    static char *names[64][2];
    static size_t used;
    char **pair = names[used++ % 64];
    pair[0] = (char *)(uintptr_t)name;
    return (struct oci_seccomp_rule){.names = pair, .n_names = 1, .action = (char *)(uintptr_t)action};
}

struct program {
    ProtobufCBinaryData code;
    uint32_t flags;
};

static void program_done(struct program *program) {
    free(program->code.data);
}
#define _cleanup_program_ _cleanup_(program_done)

static int try(const struct oci_seccomp *seccomp, struct program *program, struct err *err) {
    return plan_build_seccomp(seccomp, &program->code, &program->flags, err);
}

static void build(const struct oci_seccomp *seccomp, struct program *program) {
    struct err err = {0};
    if (try(seccomp, program, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(program->code.len > 0 && program->code.len % sizeof(struct sock_filter) == 0);
}

static uint32_t ask(const struct program *program, uint32_t arch, long nr, const uint64_t args[6]) {
    struct seccomp_data data = {.nr = (int)nr, .arch = arch};
    if (args)
        memcpy(data.args, args, sizeof data.args);
    return plan_evaluate_seccomp((const void *)program->code.data, program->code.len / sizeof(struct sock_filter),
                                 &data);
}

static uint32_t ask_native(const struct program *program, long nr, uint64_t first) {
    return ask(program, AUDIT_ARCH_X86_64, nr, (uint64_t[6]){first});
}

static void test_defaults_and_errnos(void **state) {
    (void)state;
    struct oci_seccomp_rule rules[] = {call("SCMP_ACT_ALLOW", "read"), call("SCMP_ACT_ERRNO", "mkdir"),
                                       call("SCMP_ACT_ERRNO", "chroot"), call("SCMP_ACT_KILL_PROCESS", "reboot"),
                                       call("SCMP_ACT_ALLOW", "no_such_call_anywhere")};
    rules[2].has_errno = true;
    rules[2].errno_value = ENOTTY;
    struct oci_seccomp seccomp = {.default_action = (char *)(uintptr_t)("SCMP_ACT_ERRNO"),
                                  .has_default_errno = true,
                                  .default_errno = ENOLINK,
                                  .rules = rules,
                                  .n_rules = ARRAY_SIZE(rules)};
    _cleanup_program_ struct program program = {0};
    build(&seccomp, &program);
    assert_int_equal(ask_native(&program, SYS_read, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask_native(&program, SYS_write, 0), ERRNO(ENOLINK));
    assert_int_equal(ask_native(&program, SYS_mkdir, 0), ERRNO(EPERM));
    assert_int_equal(ask_native(&program, SYS_chroot, 0), ERRNO(ENOTTY));
    assert_int_equal(ask_native(&program, SYS_reboot, 0), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(program.flags, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    /* only the native architecture was named: others are killed, as libseccomp does */
    assert_int_equal(ask(&program, AUDIT_ARCH_I386, 3, NULL) & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_KILL_THREAD);
}

static void test_newer_calls_are_unknown(void **state) {
    (void)state;
    struct oci_seccomp_rule rules[] = {call("SCMP_ACT_ALLOW", "read"), call("SCMP_ACT_ALLOW", "openat2")};
    struct oci_seccomp seccomp = {
        .default_action = (char *)(uintptr_t)("SCMP_ACT_ERRNO"),
        .architectures = NAMES((char *)(uintptr_t)("SCMP_ARCH_X86_64"), (char *)(uintptr_t)("SCMP_ARCH_X86"),
                               (char *)(uintptr_t)("SCMP_ARCH_X32"), (char *)(uintptr_t)("SCMP_ARCH_AARCH64")),
        .n_architectures = 4,
        .rules = rules,
        .n_rules = ARRAY_SIZE(rules)};
    _cleanup_program_ struct program program = {0};
    build(&seccomp, &program);
    assert_int_equal(ask_native(&program, SYS_openat2, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask_native(&program, SYS_openat2 - 1, 0), ERRNO(EPERM));
    assert_int_equal(ask_native(&program, SYS_openat2 + 1, 0), ERRNO(ENOSYS));
    assert_int_equal(ask(&program, AUDIT_ARCH_I386, 3, NULL), SECCOMP_RET_ALLOW); /* read */
    assert_int_equal(ask(&program, AUDIT_ARCH_I386, 4, NULL), ERRNO(EPERM));
    assert_int_equal(ask(&program, AUDIT_ARCH_I386, 440, NULL), ERRNO(ENOSYS));
    assert_int_equal(ask(&program, AUDIT_ARCH_X86_64, 0x40000000 | SYS_read, NULL), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(&program, AUDIT_ARCH_X86_64, 0x40000000 | SYS_write, NULL), ERRNO(EPERM));
    assert_int_equal(ask(&program, AUDIT_ARCH_X86_64, 0x40000000 | 460, NULL), ERRNO(ENOSYS));
    /* a list of what is forbidden says nothing about newer calls */
    seccomp.default_action = (char *)(uintptr_t)("SCMP_ACT_ALLOW");
    rules[0].action = rules[1].action = (char *)(uintptr_t)("SCMP_ACT_ERRNO");
    _cleanup_program_ struct program open_list = {0};
    build(&seccomp, &open_list);
    assert_int_equal(ask_native(&open_list, SYS_openat2 + 1, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask_native(&open_list, SYS_read, 0), ERRNO(EPERM));
}

static void test_arguments(void **state) {
    (void)state;
    /* personality(0) or personality(0x20008): two conditions on one argument are alternatives */
    struct oci_seccomp_arg either[] = {{.index = 0, .value = 0, .op = OCI_CMP_EQ},
                                       {.index = 0, .value = 0x20008, .op = OCI_CMP_EQ}};
    /* on different arguments all must hold */
    struct oci_seccomp_arg both[] = {{.index = 0, .value = 2, .op = OCI_CMP_EQ},
                                     {.index = 2, .value = UINT64_C(0x100000000), .op = OCI_CMP_GE}};
    struct oci_seccomp_arg masked[] = {{.index = 0, .value = 0x7e020000, .value_two = 0, .op = OCI_CMP_MASKED_EQ}};
    struct oci_seccomp_rule rules[] = {call("SCMP_ACT_ALLOW", "personality"), call("SCMP_ACT_ALLOW", "socket"),
                                       call("SCMP_ACT_ALLOW", "clone")};
    rules[0].args = either, rules[0].n_args = 2;
    rules[1].args = both, rules[1].n_args = 2;
    rules[2].args = masked, rules[2].n_args = 1;
    struct oci_seccomp seccomp = {
        .default_action = (char *)(uintptr_t)("SCMP_ACT_ERRNO"), .rules = rules, .n_rules = ARRAY_SIZE(rules)};
    _cleanup_program_ struct program program = {0};
    build(&seccomp, &program);
    assert_int_equal(ask_native(&program, SYS_personality, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask_native(&program, SYS_personality, 0x20008), SECCOMP_RET_ALLOW);
    assert_int_equal(ask_native(&program, SYS_personality, 8), ERRNO(EPERM));
    const struct {
        uint64_t args[6];
        uint32_t expected;
    } sockets[] = {
        {{2, 0, UINT64_C(0x100000000)}, SECCOMP_RET_ALLOW},
        {{2, 0, UINT64_C(0xffffffff)}, ERRNO(EPERM)},
        {{1, 0, UINT64_C(0x100000000)}, ERRNO(EPERM)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
        assert_int_equal(ask(&program, AUDIT_ARCH_X86_64, SYS_socket, sockets[i].args), sockets[i].expected);
    assert_int_equal(ask_native(&program, SYS_clone, 17), SECCOMP_RET_ALLOW);
    assert_int_equal(ask_native(&program, SYS_clone, 0x10000000), ERRNO(EPERM)); /* CLONE_NEWUSER */
}

static void refused(struct oci_seccomp *seccomp, const char *word) {
    _cleanup_program_ struct program program = {0};
    struct err err = {0};
    assert_true(try(seccomp, &program, &err) < 0);
    if (!strstr(err.text, word))
        fail_msg("'%s' does not speak of %s", err.text, word);
}

static void test_refusals(void **state) {
    (void)state;
    struct oci_seccomp_arg far = {.index = 6, .op = OCI_CMP_EQ};
    struct oci_seccomp_rule rules[] = {call("SCMP_ACT_NOTIFY", "mount")};
    struct oci_seccomp seccomp = {
        .default_action = (char *)(uintptr_t)("SCMP_ACT_ALLOW"), .rules = rules, .n_rules = 1};
    refused(&seccomp, "SCMP_ACT_NOTIFY");
    rules[0].action = (char *)(uintptr_t)("SCMP_ACT_WHATEVER");
    refused(&seccomp, "SCMP_ACT_WHATEVER");
    rules[0].action = (char *)(uintptr_t)("SCMP_ACT_ERRNO");
    rules[0].has_errno = true;
    rules[0].errno_value = 5000;
    refused(&seccomp, "5000");
    rules[0].errno_value = 1;
    rules[0].args = &far, rules[0].n_args = 1;
    refused(&seccomp, "not 6");
    rules[0].n_args = 0;
    seccomp.flags = NAMES((char *)(uintptr_t)("SECCOMP_FILTER_FLAG_ODD")), seccomp.n_flags = 1;
    refused(&seccomp, "SECCOMP_FILTER_FLAG_ODD");
    seccomp.n_flags = 0;
    seccomp.architectures = NAMES((char *)(uintptr_t)("SCMP_ARCH_Z80")), seccomp.n_architectures = 1;
    refused(&seccomp, "SCMP_ARCH_Z80");
}

static void test_flags(void **state) {
    (void)state;
    struct oci_seccomp seccomp = {.default_action = (char *)(uintptr_t)("SCMP_ACT_ALLOW"),
                                  .flags = NAMES((char *)(uintptr_t)("SECCOMP_FILTER_FLAG_LOG"),
                                                 (char *)(uintptr_t)("SECCOMP_FILTER_FLAG_TSYNC")),
                                  .n_flags = 2};
    _cleanup_program_ struct program program = {0};
    build(&seccomp, &program);
    assert_int_equal(program.flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_TSYNC);
}

/* The kernel takes it and does as it says. */
static void test_in_the_kernel(void **state) {
    (void)state;
    struct oci_seccomp_rule rules[] = {call("SCMP_ACT_ERRNO", "getppid")};
    rules[0].has_errno = true;
    rules[0].errno_value = ENOTNAM;
    struct oci_seccomp seccomp = {
        .default_action = (char *)(uintptr_t)("SCMP_ACT_ALLOW"), .rules = rules, .n_rules = 1};
    _cleanup_program_ struct program program = {0};
    build(&seccomp, &program);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sock_fprog filter = {.len = (unsigned short)(program.code.len / sizeof(struct sock_filter)),
                                    .filter = (void *)program.code.data};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.flags, &filter) < 0)
            _exit(1);
        _exit(syscall(SYS_getppid) == -1 && errno == ENOTNAM ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_errnos),
        cmocka_unit_test(test_newer_calls_are_unknown),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_in_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
