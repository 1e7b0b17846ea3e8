/* SPDX-License-Identifier: Apache-2.0 */
/* Containers as a whole: what a process finds when it has been started. */
#include "launch-fixture.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct fixture_plan plan;
static struct fixture_result result;

static void test_surroundings(void **state) {
    (void)state;
    fixture_plan(
        &plan,
        "echo $$; hostname; pwd; id -u; id -g; id -G; umask; echo $HOME; echo $PATH; cat /proc/self/oom_score_adj;"
        "ip addr show lo | grep -c 'inet 127.0.0.1'; cat /proc/sys/net/ipv4/ip_forward; cat /proc/self/comm");
    plan.container.hostname = (char *)(uintptr_t)("house");
    Minka__Plan__V1__Sysctl sysctl = MINKA__PLAN__V1__SYSCTL__INIT, *sysctls[] = {&sysctl};
    sysctl.key = (char *)(uintptr_t)("net/ipv4/ip_forward");
    sysctl.value = (char *)(uintptr_t)("1");
    plan.container.sysctls = sysctls;
    plan.container.n_sysctls = 1;
    uint32_t groups[] = {7, 9};
    plan.process.uid = 1000;
    plan.process.gid = 1001;
    plan.process.additional_gids = groups;
    plan.process.n_additional_gids = 2;
    plan.process.set_umask = true;
    plan.process.umask = 027;
    plan.process.set_oom_score_adj = true;
    plan.process.oom_score_adj = 123;
    plan.process.cwd = (char *)(uintptr_t)("/made/here");
    fixture_expect(&plan, "1\nhouse\n/made/here\n1000\n1001\n1001 7 9\n0027\n/home/user\n/bin\n123\n1\n1\ncat\n");
}

static void test_environment(void **state) {
    (void)state;
    fixture_plan(&plan, "env | grep -v -e ^PWD -e ^SHLVL");
    plan.env[1] = (char *)(uintptr_t)("HOME=/elsewhere");
    plan.env[2] = (char *)(uintptr_t)("X=a b");
    plan.process.n_env = 3;
    fixture_expect(&plan, "HOME=/elsewhere\nX=a b\nPATH=/bin\n");
    plan.process.n_env = 1;
    plan.process.uid = 4711;
    fixture_expect(&plan, "HOME=/\nPATH=/bin\n");
    fixture_shell(&plan, "rm etc/passwd && mkfifo etc/passwd");
    fixture_expect(&plan, "HOME=/\nPATH=/bin\n");
}

static void test_exit(void **state) {
    (void)state;
    fixture_plan(&plan, "echo x; exit 42");
    fixture_run(&plan, &result);
    assert_string_equal(result.out, "x\n");
    assert_int_equal(WEXITSTATUS(result.status), 42);
    fixture_script(&plan, "trap '' INT; kill -9 $(echo $PPID); exec sleep 0");
    fixture_run(&plan, &result);
    assert_true(WIFEXITED(result.status)); /* PID 1 of its namespace does not die of that */
}

/* Nothing of the agent's may come along. */
static void test_clean(void **state) {
    (void)state;
    fixture_plan(&plan, "ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status; grep -v -e ' /proc ' -e ' /dev' "
                        "-e ' /sys' /proc/mounts | wc -l;"
                        "ls -d /run 2>/dev/null; grep ^0: /proc/self/cgroup; set -- /proc/[0-9]*; echo $#");
    (void)signal(SIGUSR1, SIG_IGN);
    /* 33 is one of the C library's own, which only the system call can ignore, and callers do: signal(7) */
    const struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } ignore = {.handler = SIG_IGN};
    assert_int_equal(syscall(SYS_rt_sigaction, 33, &ignore, NULL, sizeof ignore.mask), 0);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    fixture_run(&plan, &result);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)signal(SIGUSR1, SIG_DFL);
    assert_string_equal(result.out, "0\n1\n2\n3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n1\n0::/\n1\n");
}

static void test_capabilities(void **state) {
    (void)state;
    fixture_plan(&plan, "grep -E '^(Cap|NoNew)' /proc/self/status");
    fixture_expect(&plan, "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
                          "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
    plan.process.uid = 1000;
    plan.process.no_new_privileges = false;
    fixture_expect(&plan, "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
                          "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n");
    /* NET_BIND_SERVICE and KILL, for a user: only the ambient set brings them over execve. KILL is not permitted. */
    plan.capabilities = (Minka__Plan__V1__Capabilities)MINKA__PLAN__V1__CAPABILITIES__INIT;
    plan.capabilities.bounding = plan.capabilities.inheritable = 1u << 10 | 1u << 5;
    plan.capabilities.permitted = plan.capabilities.effective = 1u << 10;
    plan.capabilities.ambient = 1u << 10 | 1u << 5;
    fixture_expect(&plan, "CapInh:\t0000000000000420\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\n"
                          "CapBnd:\t0000000000000420\nCapAmb:\t0000000000000400\nNoNewPrivs:\t0\n");
    plan.process.capabilities = NULL;
    plan.process.uid = 0;
    fixture_expect(&plan, "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
                          "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n");
}

static void test_seccomp(void **state) {
    (void)state;
    fixture_plan(&plan, "grep ^Seccomp: /proc/self/status; mkdir /x; echo $?");
    static struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 95),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    plan.process.seccomp = (ProtobufCBinaryData){.data = (uint8_t *)program, .len = sizeof program};
    for (int i = 0; i < 2; i++) {
        plan.process.no_new_privileges = i;
        plan.process.uid = 1000;
        fixture_run(&plan, &result);
        assert_string_equal(result.out, "Seccomp:\t2\n1\n");
        assert_string_equal(result.error, "mkdir: can't create directory '/x': Operation not supported\n");
    }
    plan.process.seccomp.len = 7;
    fixture_expect_failure(&plan, "the seccomp program of the plan has an impossible length of 7 bytes");
}

static void test_limits(void **state) {
    (void)state;
    fixture_plan(&plan, "ulimit -n; ulimit -H -n; ulimit -c; ls /proc/self/fd | wc -l");
    Minka__Plan__V1__Rlimit limit[2] = {MINKA__PLAN__V1__RLIMIT__INIT, MINKA__PLAN__V1__RLIMIT__INIT};
    Minka__Plan__V1__Rlimit *limits[] = {&limit[0], &limit[1]};
    limit[0].resource = RLIMIT_NOFILE;
    limit[0].soft = 17;
    limit[0].hard = 23;
    limit[1].resource = RLIMIT_CORE;
    plan.process.rlimits = limits;
    plan.process.n_rlimits = 2;
    fixture_expect(&plan, "17\n23\n0\n4\n");
}

static void test_scheduling(void **state) {
    (void)state;
    fixture_plan(&plan, "cut -d' ' -f19 /proc/self/stat; ionice -p $$; uname -m; cat /proc/sys/kernel/domainname");
    Minka__Plan__V1__Scheduler scheduler = MINKA__PLAN__V1__SCHEDULER__INIT;
    scheduler.nice = 7; /* SCHED_OTHER */
    plan.process.scheduler = &scheduler;
    plan.process.set_io_priority = true;
    plan.process.io_priority = 2 << 13 | 3;
    plan.container.set_personality = true;
    plan.container.personality = 8; /* PER_LINUX32 */
    plan.container.domainname = (char *)(uintptr_t)("example.net");
    fixture_expect(&plan, "7\nbest-effort: prio 3\ni686\nexample.net\n");
    scheduler.policy = 99;
    fixture_expect_failure(&plan, "cannot set the scheduling policy of the process: Invalid argument");
}

static void test_commands(void **state) {
    (void)state;
    fixture_plan(&plan, "");
    fixture_shell(&plan, "echo text >bin/plain; printf '\\0garbage' >bin/garbage; chmod 755 bin/garbage; cp "
                         "bin/busybox bin/private; chmod 700 bin/private");
    plan.process.n_args = 1;
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"foo", "executable file `foo` not found in $PATH: No such file or directory"},
        {"/nonexistent", "executable file `/nonexistent` not found in $PATH: No such file or directory"},
        {"/bin/plain", "cannot execute `/bin/plain` in the container: Permission denied"},
        {"plain", "cannot execute `plain` in the container: Permission denied"},
        {"/bin", "cannot execute `/bin` in the container: Permission denied"},
        {"", "process.args begins with an empty word, which cannot be executed"},
        {"/bin/garbage", "cannot execute `/bin/garbage` in the container: Exec format error"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        plan.args[0] = (char *)(uintptr_t)cases[i].name;
        fixture_expect_failure(&plan, cases[i].text);
    }
    plan.args[0] = (char *)(uintptr_t)("private");
    plan.process.uid = 1000;
    plan.process.capabilities = NULL; /* or CAP_DAC_OVERRIDE lets it pass */
    fixture_create(&plan, &result);
    assert_false(result.ready); /* `create` fails already */
    assert_string_equal(result.text, "cannot execute `private` in the container: Permission denied");
    fixture_start(&result);
    fixture_wait(&result);
    fixture_remove(&plan, &result);
    plan.args[0] = (char *)(uintptr_t)("true");
    plan.process.cwd = (char *)(uintptr_t)("/bin/plain");
    fixture_expect_failure(&plan, "cannot change to the working directory /bin/plain: Not a directory");
    plan.process.cwd = (char *)(uintptr_t)("/");
    plan.process.n_env = 0;
    fixture_expect_failure(&plan, "executable file `true` not found in $PATH: No such file or directory");
}

static void test_create_then_start(void **state) {
    (void)state;
    fixture_plan(&plan, "echo started");
    fixture_create(&plan, &result);
    assert_true(result.ready);
    struct pollfd fds = {.fd = result.launch.streams[1].fd, .events = POLLIN};
    assert_int_equal(poll(&fds, 1, 100), 0); /* it waits for GO */
    /* Nobody may look into the copy of the agent that waits. */
    struct stat st;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", result.pid);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 0);
    fixture_start(&result);
    fixture_wait(&result);
    assert_string_equal(result.out, "started\n");
    fixture_remove(&plan, &result);
    /* The agent changes its mind: the process goes without a word. */
    fixture_create(&plan, &result);
    close_fd(&result.launch.report);
    fixture_wait(&result);
    assert_int_equal(WEXITSTATUS(result.status), 1);
    assert_string_equal(result.out, "");
    fixture_remove(&plan, &result);
}

static void test_terminal(void **state) {
    (void)state;
    fixture_plan(&plan, "tty; stty size; stat -c '%u %a' /dev/pts/0; echo hello >/dev/console; test -c /dev/console && "
                        "echo console; ls -1 /proc/self/fd");
    fixture_terminal(&plan, true);
    plan.process.rows = 33;
    plan.process.columns = 101;
    plan.process.uid = 1000;
    fixture_run(&plan, &result);
    if (result.failed)
        fail_msg("%s", result.text);
    assert_string_equal(result.out, "/dev/pts/0\r\n33 101\r\n1000 620\r\nhello\r\nconsole\r\n0\r\n1\r\n2\r\n3\r\n");
    plan.container.n_mounts = 2; /* no devpts */
    fixture_run(&plan, &result);
    assert_string_equal(result.text, "cannot open /dev/ptmx in the container: No such file or directory");
}

static void test_streams(void **state) {
    (void)state;
    fixture_plan(&plan, "cat <&3 >&4; cat <&5 >&5; ls -1 /proc/self/fd");
    size_t in = fixture_stream(&plan, STREAM_INPUT), out = fixture_stream(&plan, STREAM_OUTPUT),
           both = fixture_stream(&plan, STREAM_SOCKET);
    fixture_create(&plan, &result);
    struct launch_stream *streams = result.launch.streams;
    char bytes[32] = "";
    assert_int_equal(result.launch.n_streams, 6);
    assert_int_equal(write_all(streams[in].fd, "three", 5), 0);
    close_fd(&streams[in].fd);
    assert_int_equal(write_all(streams[both].fd, "five", 4), 0);
    assert_int_equal(shutdown(streams[both].fd, SHUT_WR), 0);
    fixture_start(&result);
    fixture_wait(&result);
    assert_string_equal(result.error, "");
    assert_string_equal(result.out, "0\n1\n2\n3\n4\n5\n6\n"); /* 6: the directory that ls reads */
    assert_int_equal(read(streams[out].fd, bytes, sizeof bytes), 5);
    assert_string_equal(bytes, "three");
    assert_int_equal(read(streams[out].fd, bytes, sizeof bytes), 0);
    assert_int_equal(read(streams[both].fd, bytes, sizeof bytes), 4);
    assert_memory_equal(bytes, "five", 4);
    launch_done(&result.launch);
    fixture_remove(&plan, &result);
}

static int tests(void) {
    const struct CMUnitTest list[] = {
        cmocka_unit_test(test_surroundings), cmocka_unit_test(test_environment),
        cmocka_unit_test(test_exit),         cmocka_unit_test(test_clean),
        cmocka_unit_test(test_capabilities), cmocka_unit_test(test_seccomp),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_scheduling),
        cmocka_unit_test(test_commands),     cmocka_unit_test(test_create_then_start),
        cmocka_unit_test(test_terminal),     cmocka_unit_test(test_streams),
    };
    return cmocka_run_group_tests_name("launch", list, NULL, NULL);
}

int main(void) {
    return fixture_main(tests);
}
