/* SPDX-License-Identifier: Apache-2.0 */
/* Beside the container's own process: exec, hooks, the cgroup with its device rules, the namespaces of a pod. */
#include "launch-fixture.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static struct fixture_plan plan;
static struct fixture_result container, result;

static char *text(const char *constant) {
    return (char *)(uintptr_t)constant;
}

static void start_sleeping(void) {
    fixture_create(&plan, &container);
    if (container.failed)
        fail_msg("%s", container.text);
    fixture_start(&container);
    assert_false(container.failed);
}

static void end_container(void) {
    assert_int_equal(kill(container.pid, SIGKILL), 0);
    fixture_wait(&container);
    assert_true(WIFSIGNALED(container.status));
    fixture_remove(&plan, &container);
}

static void exec_expect(const char *out) {
    fixture_exec(&plan, container.pid, &result);
    fixture_start(&result);
    fixture_wait(&result);
    if (result.failed)
        fail_msg("%s", result.text);
    assert_string_equal(result.error, "");
    assert_string_equal(result.out, out);
}

static const char same_namespaces[] = "for n in ipc uts net cgroup mnt pid user; do"
                                      " test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) || echo $n; done";
static const char identity[] =
    "cat /proc/1/comm; pwd; id -u; id -G; grep ^0: /proc/self/cgroup; ls /proc/self/fd | wc -l;"
    "umask; grep CapEff /proc/self/status; cat /proc/self/oom_score_adj";

static void test_exec(void **state) {
    (void)state;
    for (int user_namespace = 0; user_namespace < 2; user_namespace++) {
        fixture_plan(&plan, "exec sleep 1000");
        if (user_namespace)
            fixture_user_namespace(&plan);
        start_sleeping();
        fixture_script(&plan, same_namespaces);
        exec_expect("");
        uint32_t groups[] = {3};
        plan.process.uid = plan.process.gid = 12;
        plan.process.additional_gids = groups;
        plan.process.n_additional_gids = 1;
        plan.process.cwd = text("/tmp");
        fixture_script(&plan, identity);
        exec_expect("sleep\n/tmp\n12\n12 3\n0::/\n4\n0022\nCapEff:\t0000000000000000\n0\n");
        fixture_terminal(&plan, true);
        fixture_script(&plan, "tty; stat -c %u $(tty)");
        exec_expect("/dev/pts/0\r\n12\r\n");
        fixture_terminal(&plan, false);
        plan.args[0] = text("missing");
        fixture_exec(&plan, container.pid, &result);
        assert_string_equal(result.text, "executable file `missing` not found in $PATH: No such file or directory");
        fixture_wait(&result);
        fixture_script(&plan, "kill -TERM $$");
        fixture_exec(&plan, container.pid, &result);
        fixture_start(&result);
        fixture_wait(&result);
        assert_int_equal(WTERMSIG(result.status), SIGTERM);
        end_container();
    }
    fixture_exec(&plan, container.pid, &result);
    assert_true(result.failed);
    fixture_wait(&result);
}

static Minka__Plan__V1__Hook hook[2], *hooks[2] = {&hook[0], &hook[1]};
static char *hook_args[2][3], *hook_env[2];

static void set_hook(size_t i, const char *script) {
    minka__plan__v1__hook__init(&hook[i]);
    hook_args[i][0] = text("sh");
    hook_args[i][1] = text("-c");
    hook_args[i][2] = text(script);
    hook_env[0] = text("PATH=/bin");
    hook_env[1] = text("WORD=env");
    hook[i].path = text("/bin/sh");
    hook[i].args = hook_args[i];
    hook[i].n_args = 3;
    hook[i].env = hook_env;
    hook[i].n_env = 2;
    plan.container.start_container_hooks = hooks;
    plan.container.n_start_container_hooks = i + 1;
}

static void set_state(const char *json) {
    plan.container.hook_state = (ProtobufCBinaryData){.data = (uint8_t *)text(json), .len = strlen(json)};
}

static void test_hooks(void **state) {
    (void)state;
    fixture_plan(&plan, "cat /first /second");
    set_hook(0, "cat >/first; echo >>/first; id -u >>/first; echo noise; echo $WORD $0 >>/first");
    set_hook(1, "echo second >/second");
    set_state("{\"ociVersion\":\"1.0\",\"status\":\"created\"} \n");
    fixture_expect(&plan, "{\"ociVersion\":\"1.0\",\"status\":\"created\",\"pid\":1}\n0\nenv sh\nsecond\n");
    set_state("{\"id\":\"x\"");
    fixture_expect(&plan, "{\"id\":\"x\",\"pid\":1}\n0\nenv sh\nsecond\n");
    /* A state that the hook does not read, larger than a pipe. */
    static char large[200000];
    memset(large, ' ', sizeof large - 1);
    large[0] = '{';
    large[sizeof large - 2] = '}';
    set_state(large);
    set_hook(0, "exit 0");
    fixture_script(&plan, "echo done");
    fixture_expect(&plan, "done\n");
    set_hook(0, "cat >/large; wc -c </large >/size");
    fixture_expect(&plan, "done\n");
    assert_string_equal(fixture_file(&plan, "size"), "200007");
    set_state("{}");
    set_hook(0, "echo reason >&2; exit 3");
    fixture_expect_failure(&plan, "the startContainer hook /bin/sh failed with exit code 3: reason ");
    set_hook(0, "kill -9 $$");
    fixture_expect_failure(&plan, "the startContainer hook /bin/sh was ended by signal 9");
    set_hook(0, "sleep 100");
    hook[0].timeout_sec = 1;
    fixture_expect_failure(&plan, "the startContainer hook /bin/sh took more than its timeout of 1 s");
    hook[0].path = text("/no/hook");
    fixture_expect_failure(&plan,
                           "the startContainer hook /no/hook failed with exit code 127: No such file or directory");
}

/* Allow everything but the major number 1, minor 5; or everything but 1:8. */
static void set_device_program(struct bpf_insn program[6], int minor) {
    const struct bpf_insn denying[6] = {
        {.code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1, .off = 8}, /* minor */
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
        {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_2, .off = 1, .imm = minor},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    memcpy(program, denying, sizeof denying);
    plan.cgroup.device_program = (ProtobufCBinaryData){.data = (uint8_t *)program, .len = 5 * sizeof *program};
}

static void test_device_rules(void **state) {
    (void)state;
    static struct bpf_insn program[6];
    struct err err;
    fixture_plan(&plan, "exec sleep 1000");
    fixture_device(&plan, "/dev/random", S_IFCHR | 0666, 1, 8);
    /* Of no use to mknod: 1:5 is made by stage 2 inside, so that the rule has to come later. */
    start_sleeping();
    fixture_script(&plan, "for d in zero random; do head -c 1 /dev/$d >/dev/null 2>&1 && echo $d; done; true");
    exec_expect("zero\nrandom\n");
    set_device_program(program, 5);
    assert_int_equal(container_cgroup_apply(plan.container.id, &plan.cgroup, &err), 0);
    exec_expect("random\n");
    set_device_program(program, 8);
    assert_int_equal(container_cgroup_apply(plan.container.id, &plan.cgroup, &err), 0);
    exec_expect("zero\n");
    plan.cgroup.device_program.len = 3;
    assert_int_equal(container_cgroup_apply(plan.container.id, &plan.cgroup, &err), -EINVAL);
    plan.cgroup.device_program.len = sizeof program[0]; /* does not end: the verifier refuses */
    assert_true(container_cgroup_apply(plan.container.id, &plan.cgroup, &err) < 0);
    exec_expect("zero\n");
    end_container();
}

static void test_cgroup(void **state) {
    (void)state;
    struct err err;
    fixture_plan(&plan, "while :; do echo x; sleep 0.01; done");
    Minka__Plan__V1__CgroupSetting setting = MINKA__PLAN__V1__CGROUP_SETTING__INIT, *settings[] = {&setting};
    setting.file = text("memory.max");
    setting.value = text("max");
    plan.cgroup.settings = settings;
    plan.cgroup.n_settings = 1;
    start_sleeping();
    assert_int_equal(container_cgroup_freeze(plan.container.id, true, &err), 0);
    struct pollfd out = {.fd = container.launch.streams[1].fd, .events = POLLIN};
    char drop[4096];
    int quiet = 0;
    for (int i = 0; i < 100 && !quiet; i++) {
        while (read(out.fd, drop, sizeof drop) > 0)
            ;
        quiet = poll(&out, 1, 200) == 0;
    }
    assert_true(quiet);
    assert_int_equal(container_cgroup_freeze(plan.container.id, false, &err), 0);
    assert_int_equal(poll(&out, 1, 5000), 1);
    assert_int_equal(container_cgroup_remove(plan.container.id), -EBUSY);
    assert_int_equal(container_cgroup_freeze(plan.container.id, true, &err), 0);
    assert_int_equal(container_cgroup_kill(plan.container.id), 0); /* the frozen, too */
    fixture_wait(&container);
    assert_int_equal(WTERMSIG(container.status), SIGKILL);
    fixture_remove(&plan, &container);
    assert_int_equal(container_cgroup_remove(plan.container.id), 0); /* it is gone already */
    assert_int_equal(container_cgroup_freeze("../minka", true, &err), -EINVAL);
    setting.value = text("1234567");
    fixture_run(&plan, &result);
    assert_string_equal(result.text, "the guest's kernel cannot limit memory.max: it has no such cgroup setting");
    setting.file = text("cgroup.procs");
    fixture_expect_failure(&plan, "'cgroup.procs' is not a cgroup setting");
}

static const char namespaces_by_name[] = "for n in net uts ipc pid; do readlink /proc/self/ns/$n; done";

static void test_pod(void **state) {
    (void)state;
    struct launch_sandbox sandbox = {-EBADF, -EBADF, -EBADF};
    struct err err;
    fixture_plan(&plan, "exec sleep 1000");
    start_sleeping();
    assert_int_equal(launch_sandbox_open(&sandbox, container.pid, &err), 0);
    static struct fixture_plan member;
    fixture_plan(&member, namespaces_by_name);
    const Minka__Plan__V1__NamespaceMode shared = MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_SANDBOX;
    member.namespaces.network = member.namespaces.uts = member.namespaces.ipc = shared;
    fixture_run(&member, &result); /* the fixture's pod has none yet */
    assert_string_equal(result.text, "the container shall share the pod's ipc namespace, but the pod has none yet");
    memset(&result, 0, sizeof result);
    assert_int_equal(launch_container(&member.container, &sandbox, &result.launch, &err), 0);
    fixture_continue(&result);
    fixture_start(&result);
    fixture_wait(&result);
    fixture_remove(&member, &result);
    static char expected[FIXTURE_OUTPUT_MAX];
    strcpy(expected, result.out);
    fixture_script(&plan, namespaces_by_name);
    fixture_exec(&plan, container.pid, &result);
    fixture_start(&result);
    fixture_wait(&result);
    char *ours = strstr(result.out, "pid:"), *theirs = strstr(expected, "pid:");
    assert_non_null(ours);
    assert_non_null(theirs);
    assert_string_not_equal(ours, theirs);
    *ours = *theirs = '\0';
    assert_string_equal(result.out, expected);
    member.namespaces.pid = shared;
    fixture_expect_failure(&member,
                           "the containers of a pod can share the network, ipc and uts namespaces, not the pid one");
    end_container();
}

static int tests(void) {
    const struct CMUnitTest list[] = {
        cmocka_unit_test(test_exec),   cmocka_unit_test(test_hooks), cmocka_unit_test(test_device_rules),
        cmocka_unit_test(test_cgroup), cmocka_unit_test(test_pod),
    };
    return cmocka_run_group_tests_name("launch-exec", list, NULL, NULL);
}

int main(void) {
    return fixture_main(tests);
}
