/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of system calls: what their programs answer, compared with the tables by another reading of them, and what
 * a hostile program gets that is started in the place of each role.
 */
#include "facts/plan/build.h"
#include "privileged/confine/confine.h"
#include "privileged/filter/rows.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { LEASED = 1879040000, NEWEST = 467 };
static const uint64_t START = 0x555512345678;

static const struct filter *const filters[] = {&filter_monitor, &filter_standin,  &filter_vmm_tcg,
                                               &filter_vmm_kvm, &filter_server_c, &filter_server_rust};
enum { ROLES = ARRAY_SIZE(filters) };

struct assembled {
    struct sock_filter code[FILTER_LENGTH_MAX];
    size_t length;
};

static void assemble(const struct filter *filter, struct assembled *ret) {
    int length = filter_assemble(filter, START, ret->code, ARRAY_SIZE(ret->code));
    assert_true(length > 0);
    ret->length = (size_t)length;
}

static uint32_t ask_data(const struct assembled *a, const struct seccomp_data *data) {
    return plan_evaluate_seccomp(a->code, a->length, data);
}

static uint32_t ask(const struct assembled *a, long number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3) {
    struct seccomp_data data = {.nr = (int)number, .arch = AUDIT_ARCH_X86_64, .args = {a0, a1, a2, a3}};
    return ask_data(a, &data);
}

/* The same from the table, without a program. */
static uint32_t expected(const struct filter *filter, const struct seccomp_data *data) {
    for (size_t g = 0; g < FILTER_GROUPS && filter->groups[g]; g++)
        for (const struct filter_row *row = filter->groups[g]; row->call; row++) {
            bool fits =
                row->number == data->nr && (row->action != FILTER_AT_START || data->instruction_pointer == START);
            for (size_t i = 0; i < FILTER_CONDITIONS; i++) {
                const struct filter_condition *c = &row->conditions[i];
                fits = fits && ((uint32_t)data->args[c->argument] & c->mask) == c->value;
            }
            if (fits)
                return row->action == FILTER_REFUSE ? SECCOMP_RET_ERRNO | (uint32_t)row->error : SECCOMP_RET_ALLOW;
        }
    return data->nr > NEWEST ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_KILL_PROCESS;
}

/* Arguments at which a row could decide: the values of the table, and those with a bit more or less. */
static uint64_t interesting(const struct filter *filter, unsigned *seed) {
    size_t wanted = (size_t)rand_r(seed) % 200, at = 0;
    for (size_t g = 0; g < FILTER_GROUPS && filter->groups[g]; g++)
        for (const struct filter_row *row = filter->groups[g]; row->call; row++)
            for (size_t i = 0; i < FILTER_CONDITIONS; i++)
                if (row->conditions[i].mask && at++ == wanted)
                    return row->conditions[i].value ^ (rand_r(seed) % 2 ? 0 : UINT64_C(1) << (rand_r(seed) % 40));
    return (uint64_t)rand_r(seed) % 64;
}

static void test_program_says_what_the_table_says(void **state) {
    (void)state;
    unsigned seed = 1;
    for (size_t f = 0; f < ROLES; f++) {
        struct assembled a;
        assemble(filters[f], &a);
        for (int number = 0; number <= NEWEST + 20; number++)
            for (int round = 0; round < 300; round++) {
                struct seccomp_data data = {
                    .nr = number, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = round % 2 ? START : START + 1};
                for (size_t i = 0; i < ARRAY_SIZE(data.args); i++)
                    data.args[i] = interesting(filters[f], &seed);
                uint32_t answer = ask_data(&a, &data), wanted = expected(filters[f], &data);
                if (answer != wanted)
                    fail_msg("%s: call %d (%llx, %llx, %llx): %x, but the table says %x", filters[f]->name, number,
                             data.args[0], data.args[1], data.args[2], answer, wanted);
            }
    }
}

static void test_other_kinds_of_calls(void **state) {
    (void)state;
    for (size_t f = 0; f < ROLES; f++) {
        struct assembled a;
        assemble(filters[f], &a);
        struct seccomp_data i386 = {.nr = 3 /* read */, .arch = AUDIT_ARCH_I386};
        assert_int_equal(ask_data(&a, &i386), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(ask(&a, 0x40000000L | SYS_read, 0, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(ask(&a, SYS_read, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
        assert_int_equal(ask(&a, NEWEST, 0, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(ask(&a, NEWEST + 1, 0, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
        assert_int_equal(ask(&a, 0x3fffffff, 0, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
        assert_int_equal(ask(&a, -1, 0, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
    }
}

/* execve(2) is where the stage makes it, and nowhere else. */
static void test_execve_only_at_the_start(void **state) {
    (void)state;
    static const long calls[] = {SYS_execve, SYS_execveat};
    static const uint64_t others[] = {0, 1, 0x5555, 0x12345678, 0x555512345679, 0x555612345678, UINT64_MAX};
    for (size_t f = 0; f < ROLES; f++) {
        struct assembled a;
        assemble(filters[f], &a);
        for (size_t c = 0; c < ARRAY_SIZE(calls); c++) {
            struct seccomp_data data = {.nr = (int)calls[c], .arch = AUDIT_ARCH_X86_64, .instruction_pointer = START};
            assert_int_equal(ask_data(&a, &data), SECCOMP_RET_ALLOW);
            for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                data.instruction_pointer = others[i];
                assert_int_equal(ask_data(&a, &data), SECCOMP_RET_KILL_PROCESS);
            }
        }
    }
}

/* A table so large that jumps become long, and one that is too large. */
static void test_limits_of_the_assembler(void **state) {
    (void)state;
    enum { MANY = 250, TOO_MANY = 400 };
    static struct filter_row many[TOO_MANY + 2];
    for (size_t i = 0; i < MANY; i++)
        many[i] = (struct filter_row){.call = "x",
                                      .why = "y",
                                      .number = (int)(MANY - i),
                                      .action = FILTER_REFUSE,
                                      .error = (int)(i + 1),
                                      .conditions = {IS(0, 1), IS(1, i), BITS(5, 1, 1)}};
    struct filter filter = {"many", {many}};
    static struct sock_filter code[BPF_MAXINSNS];
    int length = filter_assemble(&filter, START, code, ARRAY_SIZE(code));
    assert_true(length > FILTER_LENGTH_MAX);
    for (int i = 0; i < MANY; i++) {
        struct seccomp_data data = {.nr = MANY - i, .arch = AUDIT_ARCH_X86_64, .args = {1, (unsigned)i, 0, 0, 0, 3}};
        assert_int_equal(plan_evaluate_seccomp(code, (size_t)length, &data), SECCOMP_RET_ERRNO | (uint32_t)(i + 1));
        data.args[1]++;
        assert_int_equal(plan_evaluate_seccomp(code, (size_t)length, &data), SECCOMP_RET_KILL_PROCESS);
    }
    assert_int_equal(filter_assemble(&filter, START, code, (size_t)length - 1), -E2BIG);
    for (size_t i = MANY; i <= TOO_MANY; i++)
        many[i] = many[0];
    assert_int_equal(filter_assemble(&filter, START, code, ARRAY_SIZE(code)), -E2BIG);

    struct filter_row good = REFUSE(read, EPERM, "x"), rows[2] = {good, END};
    struct filter one = {"one", {rows}};
    assert_true(filter_assemble(&one, START, code, ARRAY_SIZE(code)) > 0);
#define WRONG(field, value)                                                                                            \
    do {                                                                                                               \
        rows[0] = good;                                                                                                \
        rows[0].field = (value);                                                                                       \
        assert_int_equal(filter_assemble(&one, START, code, ARRAY_SIZE(code)), -EINVAL);                               \
    } while (0)
    WRONG(error, 0);
    WRONG(error, 4096);
    WRONG(number, -1);
    WRONG(number, NEWEST + 1);
    WRONG(why, NULL);
    WRONG(action, FILTER_ALLOW); /* with an errno */
    WRONG(action, 0);
    WRONG(conditions[0].value, 1); /* outside of its mask: never true */
    WRONG(conditions[1].argument, 6);
    rows[0] = (struct filter_row)END;
    assert_int_equal(filter_assemble(&one, START, code, ARRAY_SIZE(code)), -EINVAL);
}

/* What the reasons say, in numbers. */
static void test_arguments(void **state) {
    (void)state;
    const uint32_t allow = SECCOMP_RET_ALLOW, die = SECCOMP_RET_KILL_PROCESS;
    struct assembled monitor, tcg, kvm, server;
    assemble(&filter_monitor, &monitor);
    assemble(&filter_vmm_tcg, &tcg);
    assemble(&filter_vmm_kvm, &kvm);
    assemble(&filter_server_c, &server);
    const uint64_t rwx = PROT_READ | PROT_WRITE | PROT_EXEC, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    assert_int_equal(ask(&tcg, SYS_mprotect, 0, 0, rwx, 0), allow);
    assert_int_equal(ask(&tcg, SYS_mmap, 0, 0, rwx, anonymous), die);
    assert_int_equal(ask(&kvm, SYS_mprotect, 0, 0, rwx, 0), die);
    assert_int_equal(ask(&kvm, SYS_mmap, 0, 0, PROT_READ | PROT_EXEC, MAP_PRIVATE), allow);
    assert_int_equal(ask(&kvm, SYS_mmap, 0, 0, PROT_READ | PROT_EXEC, MAP_SHARED), die);
    assert_int_equal(ask(&server, SYS_mprotect, 0, 0, PROT_EXEC, 0), die);
    assert_int_equal(ask(&monitor, SYS_mmap, 0, 0, PROT_READ | PROT_EXEC, MAP_PRIVATE), die);
    assert_int_equal(ask(&monitor, SYS_mmap, 0, 0, PROT_READ | PROT_WRITE, anonymous), allow);
    assert_int_equal(ask(&kvm, SYS_ioctl, 0, KVM_RUN, 0, 0), allow);
    assert_int_equal(ask(&tcg, SYS_ioctl, 0, KVM_RUN, 0, 0), SECCOMP_RET_ERRNO | ENOTTY);
    assert_int_equal(ask(&kvm, SYS_ioctl, 0, 0x5412 /* TIOCSTI */, 0, 0), SECCOMP_RET_ERRNO | ENOTTY);
    assert_int_equal(ask(&monitor, SYS_ioctl, 0, 0x5412, 0, 0), die);
    const uint64_t thread = 0x3d0f00; /* pthread_create()'s */
    assert_int_equal(ask(&server, SYS_clone, thread, 0, 0, 0), allow);
    assert_int_equal(ask(&server, SYS_clone, thread | CLONE_NEWUSER, 0, 0, 0), die);
    assert_int_equal(ask(&server, SYS_clone, thread & ~(uint64_t)CLONE_THREAD, 0, 0, 0), die);
    assert_int_equal(ask(&monitor, SYS_clone, thread, 0, 0, 0), die);
    assert_int_equal(ask(&server, SYS_unshare, CLONE_FS, 0, 0, 0), allow);
    assert_int_equal(ask(&server, SYS_unshare, CLONE_FS | CLONE_NEWNS, 0, 0, 0), die);
    assert_int_equal(ask(&kvm, SYS_unshare, CLONE_FS, 0, 0, 0), die);
    assert_int_equal(ask(&tcg, SYS_socketpair, AF_UNIX, 0, 0, 0), allow);
    assert_int_equal(ask(&tcg, SYS_socketpair, AF_INET, 0, 0, 0), die);
    assert_int_equal(ask(&tcg, SYS_tgkill, 1, 5, SIGUSR1, 0), allow);
    assert_int_equal(ask(&tcg, SYS_tgkill, 2, 5, SIGUSR1, 0), die);
}

/* ---- a hostile program in the place of each ---- */

static void need_root(void) {
    if (geteuid() != 0) {
        print_message("skipped: needs root, to make namespaces and change uids\n");
        skip();
    }
}

static char *const no_environment[] = {NULL};

struct hostile {
    struct confine_plan plan;
    pid_t pid;
    int pidfd, program;
};

static void start(struct hostile *h, const struct filter *filter, char *const *argv) {
    struct err err = {0};
    confine_plan_init(&h->plan, "test", LEASED, LEASED);
    h->program = open(FILTER_PAYLOAD, O_RDONLY | O_CLOEXEC);
    assert_true(h->program >= 0);
    h->plan.executable_fd = h->program;
    h->plan.filter = filter;
    h->plan.argv = argv;
    h->plan.envp = no_environment;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        confine_plan_add_fd(&h->plan, null, i);
    confine_plan_may_hold(&h->plan, CONFINE_HOLDS_CHARACTER, NULL, 3, CONFINE_READ | CONFINE_WRITE);
    if (confine_spawn(&h->plan, &h->pid, &h->pidfd, &err) < 0)
        fail_msg("%s: %s: %s", filter ? filter->name : "no filter", argv[1], err.text);
    (void)close(null);
}

static siginfo_t wait_for(struct hostile *h) {
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PIDFD, (id_t)h->pidfd, &info, WEXITED), 0);
    close_fd(&h->pidfd);
    close_fd(&h->program);
    return info;
}

enum { KILLED = -1, ALLOWED = 0, ANY_ERROR = 1000 };

/* What becomes of an attempt by our own programs, by a VMM and by a file server. */
static const struct {
    const char *name;
    int own, vmm, server;
} attempts[] = {
#define DEADLY(name)                                                                                                   \
    { (name), KILLED, KILLED, KILLED }
    {"nothing", ALLOWED, ALLOWED, ALLOWED},
    DEADLY("ptrace"),
    DEADLY("process_vm_readv"),
    DEADLY("process_vm_writev"),
    DEADLY("kcmp"),
    DEADLY("pidfd_open"),
    DEADLY("pidfd_getfd"),
    DEADLY("pidfd_send_signal"),
    DEADLY("process_madvise"),
    DEADLY("tgkill-others"),
    DEADLY("tkill"),
    DEADLY("mount"),
    DEADLY("umount2"),
    DEADLY("pivot_root"),
    DEADLY("fsopen"),
    DEADLY("fsconfig"),
    DEADLY("fsmount"),
    DEADLY("fspick"),
    DEADLY("open_tree"),
    DEADLY("move_mount"),
    DEADLY("mount_setattr"),
    DEADLY("unshare-user"),
    DEADLY("unshare-mount"),
    DEADLY("setns"),
    DEADLY("clone-user"),
    DEADLY("clone-thread-user"),
    {"clone3-user", KILLED, ENOSYS, ENOSYS},
    DEADLY("fork"),
    DEADLY("vfork"),
    DEADLY("execve"),
    DEADLY("execveat-memfd"),
    DEADLY("socket-unix"),
    DEADLY("socket-inet"),
    DEADLY("socket-inet6"),
    DEADLY("socket-netlink"),
    DEADLY("socket-packet"),
    DEADLY("socket-vsock"),
    DEADLY("socket-alg"),
    DEADLY("connect"),
    DEADLY("bind"),
    DEADLY("listen"),
    DEADLY("bpf"),
    DEADLY("keyctl"),
    DEADLY("add_key"),
    DEADLY("request_key"),
    {"io_uring_setup", KILLED, ENOSYS, ENOSYS},
    DEADLY("io_uring_enter"),
    {"userfaultfd", KILLED, ENOSYS, ENOSYS},
    DEADLY("perf_event_open"),
    DEADLY("open_by_handle_at"),
    {"name_to_handle_at", KILLED, KILLED, EOPNOTSUPP},
    DEADLY("fanotify_init"),
    DEADLY("inotify_init1"),
    DEADLY("kexec_load"),
    DEADLY("kexec_file_load"),
    DEADLY("init_module"),
    DEADLY("finit_module"),
    DEADLY("delete_module"),
    DEADLY("reboot"),
    DEADLY("swapon"),
    DEADLY("acct"),
    DEADLY("quotactl"),
    DEADLY("syslog"),
    DEADLY("iopl"),
    DEADLY("ioperm"),
    DEADLY("modify_ldt"),
    DEADLY("personality"),
    DEADLY("settimeofday"),
    DEADLY("clock_settime"),
    DEADLY("adjtimex"),
    DEADLY("sethostname"),
    DEADLY("setuid"),
    DEADLY("setfsuid"),
    {"setsid", KILLED, EPERM, KILLED},
    DEADLY("mknod"),
    DEADLY("memfd_secret"),
    DEADLY("landlock"),
    DEADLY("shmget"),
    DEADLY("semget"),
    DEADLY("msgget"),
    DEADLY("mq_open"),
    DEADLY("splice"),
    DEADLY("vmsplice"),
    DEADLY("move_pages"),
    DEADLY("remap_file_pages"),
    DEADLY("pkey_alloc"),
    {"prctl-dumpable", KILLED, EINVAL, EINVAL},
    {"prctl-ptracer", KILLED, EINVAL, EINVAL},
    {"prctl-speculation", KILLED, EINVAL, EINVAL},
    {"seccomp-listener", KILLED, EINVAL, EINVAL},
    {"seccomp-strict", KILLED, EINVAL, EINVAL},
    {"tiocsti", KILLED, ENOTTY, ENOTTY},
    DEADLY("code-writable"),
    DEADLY("code-anonymous"),
    DEADLY("code-mprotect"),
    DEADLY("i386"),
    DEADLY("x32"),
    {"newer", ENOSYS, ENOSYS, ENOSYS},
};

static void expect(const struct filter *filter, const char *name, int wanted) {
    static char payload[] = "payload";
    char attempt[64];
    (void)snprintf(attempt, sizeof attempt, "%s", name);
    struct hostile h = {0};
    start(&h, filter, (char *[]){payload, attempt, NULL});
    siginfo_t info = wait_for(&h);
    bool killed = info.si_code == CLD_KILLED && info.si_status == SIGSYS;
    bool good = wanted == KILLED      ? killed
                : wanted == ANY_ERROR ? info.si_code == CLD_EXITED && info.si_status != 0
                                      : info.si_code == CLD_EXITED && info.si_status == wanted;
    if (!good)
        fail_msg("%s: %s: %s %d, expected %d", filter->name, name,
                 info.si_code == CLD_EXITED ? "ended with" : "killed by", info.si_status, wanted);
}

static void test_hostile_monitor_and_standin(void **state) {
    (void)state;
    need_root();
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        expect(&filter_monitor, attempts[i].name, attempts[i].own);
        expect(&filter_standin, attempts[i].name, attempts[i].own);
    }
    expect(&filter_monitor, "kill-others", KILLED);
    expect(&filter_standin, "kill-others", ANY_ERROR); /* there are none; a signal of its own ends it */
    expect(&filter_monitor, "chroot", KILLED);
    expect(&filter_standin, "chroot", KILLED);
    expect(&filter_monitor, "kvm-ioctl", KILLED);
}

static void test_hostile_vmm(void **state) {
    (void)state;
    need_root();
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        expect(&filter_vmm_tcg, attempts[i].name, attempts[i].vmm);
        expect(&filter_vmm_kvm, attempts[i].name, attempts[i].vmm);
    }
    expect(&filter_vmm_tcg, "kill-others", KILLED);
    expect(&filter_vmm_tcg, "chroot", KILLED);
    expect(&filter_vmm_kvm, "chroot", KILLED);
    expect(&filter_vmm_kvm, "code-mprotect-writable", KILLED);
    expect(&filter_vmm_tcg, "code-mprotect-writable", ALLOWED); /* it translates */
}

static void test_hostile_file_server(void **state) {
    (void)state;
    need_root();
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        expect(&filter_server_c, attempts[i].name, attempts[i].server);
        expect(&filter_server_rust, attempts[i].name, attempts[i].server);
    }
    expect(&filter_server_rust, "kill-others", KILLED);
    expect(&filter_server_rust, "chroot", KILLED);
    expect(&filter_server_c, "chroot", EPERM); /* it needs it, and has the capability in its own user namespace only */
    expect(&filter_server_c, "code-mprotect-writable", KILLED);
}

/* Without a filter the payload does succeed: its attempts are good ones. */
static void test_attempts_can_succeed(void **state) {
    (void)state;
    need_root();
    static char payload[] = "payload";
    static const char *const harmless[] = {
        "ptrace",        "process_vm_readv", "kcmp",         "pidfd_open",     "clone-user",
        "fork",          "socket-unix",      "socket-inet",  "socket-netlink", "keyctl",
        "add_key",       "inotify_init1",    "shmget",       "modify_ldt",     "prctl-dumpable",
        "code-writable", "code-anonymous",   "unshare-user", "clone3-user",    "personality"};
    size_t succeeded = 0;
    for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
        char attempt[64];
        (void)snprintf(attempt, sizeof attempt, "%s", harmless[i]);
        struct hostile h = {0};
        start(&h, NULL, (char *[]){payload, attempt, NULL});
        siginfo_t info = wait_for(&h);
        if (info.si_code == CLD_EXITED && info.si_status == 0)
            succeeded++;
        else
            print_message("%s does not succeed here: %d\n", harmless[i], info.si_status);
    }
    assert_true(succeeded > ARRAY_SIZE(harmless) / 2); /* the kernel decides about the rest */
}

/* The proof notices a filter that is missing. */
static void test_proof(void **state) {
    (void)state;
    need_root();
    static char payload[] = "payload", word[] = "pause";
    static char *argv[] = {payload, word, NULL};
    struct hostile h = {0};
    struct err err = {0};
    start(&h, NULL, argv);
    assert_int_equal(confine_prove(&h.plan, h.pid, false, &err), 0);
    h.plan.filter = &filter_monitor;
    assert_true(confine_prove(&h.plan, h.pid, false, &err) < 0);
    assert_non_null(strstr(err.text, "it has 0 filters of system calls"));
    assert_non_null(strstr(err.text, "[filter]"));
    assert_int_equal(pidfd_send_signal(h.pidfd, SIGKILL, NULL, 0), 0);
    (void)wait_for(&h);

    start(&h, &filter_monitor, argv);
    if (confine_prove(&h.plan, h.pid, false, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pidfd_send_signal(h.pidfd, SIGKILL, NULL, 0), 0);
    (void)wait_for(&h);
}

/* A caller that is under a filter itself: one more is asked for. */
static void test_proof_under_a_filter(void **state) {
    (void)state;
    need_root();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static char payload[] = "payload", word[] = "pause";
        static char *argv[] = {payload, word, NULL};
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = {.len = 1, .filter = &allow};
        struct hostile h = {0};
        struct err err = {0};
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
            _exit(1);
        start(&h, NULL, argv);
        h.plan.filter = &filter_monitor;
        bool refused = confine_prove(&h.plan, h.pid, false, &err) < 0; /* it has one, but not its own */
        (void)pidfd_send_signal(h.pidfd, SIGKILL, NULL, 0);
        (void)wait_for(&h);
        start(&h, &filter_monitor, argv);
        bool proved = confine_prove(&h.plan, h.pid, false, &err) == 0;
        (void)pidfd_send_signal(h.pidfd, SIGKILL, NULL, 0);
        (void)wait_for(&h);
        _exit(refused ? proved ? 0 : 3 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program_says_what_the_table_says),
        cmocka_unit_test(test_other_kinds_of_calls),
        cmocka_unit_test(test_execve_only_at_the_start),
        cmocka_unit_test(test_limits_of_the_assembler),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_hostile_monitor_and_standin),
        cmocka_unit_test(test_hostile_vmm),
        cmocka_unit_test(test_hostile_file_server),
        cmocka_unit_test(test_attempts_can_succeed),
        cmocka_unit_test(test_proof),
        cmocka_unit_test(test_proof_under_a_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
