/* SPDX-License-Identifier: Apache-2.0 */
/* Starts real processes, so it needs root; without, every test is skipped. */
#include "leftovers.h"
#include "privileged/confine/confine.h"
#include "privileged/confine/internal.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { LEASED = 1879040000 };

/* A process of a test and all that must be given back with it. */
struct running {
    struct confine_plan plan;
    pid_t pid;
    int pidfd;
    int program;
};

static char *const no_environment[] = {NULL};

static void need_root(void) {
    if (geteuid() != 0) {
        print_message("skipped: needs root, to make namespaces and change uids\n");
        skip();
    }
}

static void make_static_plan(struct running *r, const char *role, char *const *argv) {
    confine_plan_init(&r->plan, role, LEASED, LEASED);
    r->pidfd = -EBADF;
    r->program = open(PAYLOAD_STATIC, O_RDONLY | O_CLOEXEC);
    assert_true(r->program >= 0);
    r->plan.executable_fd = r->program;
    r->plan.argv = argv;
    r->plan.envp = no_environment;
}

static void start(struct running *r) {
    struct err err = {0};
    if (confine_spawn(&r->plan, &r->pid, &r->pidfd, &err) < 0)
        fail_msg("%s", err.text);
}

static void prove(struct running *r, bool emptied) {
    struct err err = {0};
    if (confine_prove(&r->plan, r->pid, emptied, &err) < 0)
        fail_msg("%s", err.text);
}

static bool is_gone(int pidfd) {
    struct pollfd gone = {.fd = pidfd, .events = POLLIN};
    return poll(&gone, 1, 5000) == 1;
}

static void stop(struct running *r) {
    if (r->pidfd >= 0) {
        (void)pidfd_send_signal(r->pidfd, SIGKILL, NULL, 0);
        assert_true(is_gone(r->pidfd));
        (void)waitid(P_PIDFD, (id_t)r->pidfd, NULL, WEXITED | WNOHANG);
    }
    close_fd(&r->pidfd);
    close_fd(&r->program);
}

static char word_payload[] = "payload", word_pause[] = "pause", word_reap[] = "reap", word_report[] = "report",
            word_7[] = "7";
static char *pause_argv[] = {word_payload, word_pause, NULL};
static char *reap_argv[] = {word_payload, word_reap, NULL};

/* Read the report up to its last line. */
static void read_report(int fd, char *text, size_t size) {
    size_t length = 0;
    while (!strstr(text, "done 1\n")) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 5000), 1);
        ssize_t n = read(fd, text + length, size - 1 - length);
        assert_true(n > 0);
        length += (size_t)n;
        text[length] = '\0';
    }
}

static void run_and_report(struct running *r, char *text, size_t size) {
    int pipe_ends[2];
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    static char *argv[] = {word_payload, word_report, word_7, NULL};
    r->plan.argv = argv;
    confine_plan_add_fd(&r->plan, pipe_ends[1], 7);
    confine_plan_may_hold(&r->plan, CONFINE_HOLDS_PIPE, NULL, 1, CONFINE_WRITE);
    text[0] = '\0';
    start(r);
    (void)close(pipe_ends[1]);
    read_report(pipe_ends[0], text, size);
    (void)close(pipe_ends[0]);
}

#define assert_line(text, line)                                                                                        \
    do {                                                                                                               \
        if (!strstr((text), "\n" line "\n") && strncmp((text), line "\n", strlen(line "\n")) != 0)                     \
            fail_msg("no line \"%s\" in:\n%s", line, text);                                                            \
    } while (0)

static void test_empty_jail(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    char text[8192];
    /* Descriptors and limits that must not come through. */
    _cleanup_close_ int stray = open("/", O_RDONLY | O_DIRECTORY);
    assert_true(stray >= 0);
    make_static_plan(&r, "monitor", pause_argv);
    r.plan.rlimits[r.plan.n_rlimits].resource = RLIMIT_NOFILE;
    r.plan.rlimits[r.plan.n_rlimits++].limit = (struct rlimit){64, 64};
    run_and_report(&r, text, sizeof text);
    prove(&r, false);
    assert_line(text, "uid 1879040000 1879040000 1879040000");
    assert_line(text, "gid 1879040000 1879040000 1879040000");
    assert_line(text, "groups 0");
    assert_line(text, "nnp 1");
    assert_line(text, "dumpable 0");
    assert_line(text, "nofile 64");
    assert_line(text, "fd 7");
    assert_line(text, "write-root 30"); /* EROFS */
    assert_line(text, "mount 1");
    assert_line(text, "setuid 1");
    assert_line(text, "pid 1");
    assert_line(text, "sid 1");
    assert_line(text, "host minka");
    assert_null(strstr(text, "\nroot "));
    char *first = strstr(text, "fd ");
    assert_null(strstr(strchr(first, '\n'), "fd ")); /* one only */
    int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
               SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    char line[64];
    (void)snprintf(line, sizeof line, "securebits %d\n", bits);
    assert_non_null(strstr(text, line));
    stop(&r);
}

/* What the engine ignores or blocks does not come through; a program that wants all blocked has them so. */
static void test_signals(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    char text[8192];
    sigset_t set, before;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGRTMAX);
    for (int blocked = 0; blocked < 2; blocked++) {
        void (*hup)(int) = signal(SIGHUP, SIG_IGN), (*usr1)(int) = signal(SIGUSR1, SIG_IGN);
        mode_t mode = umask(0);
        (void)sigprocmask(SIG_BLOCK, &set, &before);
        make_static_plan(&r, "stand-in", pause_argv);
        r.plan.signals_blocked = blocked;
        run_and_report(&r, text, sizeof text);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        (void)umask(mode);
        (void)signal(SIGHUP, hup);
        (void)signal(SIGUSR1, usr1);
        assert_line(text, "ignored 0");
        assert_line(text, "umask 77");
        if (blocked)
            assert_null(strstr(text, "blocked 0\n"));
        else
            assert_line(text, "blocked 0");
        stop(&r);
    }
}

/* Not in a user namespace, whatever the capabilities there. */
static bool can_make_nodes(void) {
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/minka-node-%d", getpid());
    bool can = mknod(path, S_IFCHR | 0600, makedev(1, 3)) == 0;
    (void)unlink(path);
    return can;
}

/* A dynamic program with its files, a node, a symlink, a directory, and then nothing of it. */
static void add_program_files(struct confine_plan *plan) {
    static const char *const files[] = {PAYLOAD_DYNAMIC, "/lib64/ld-linux-x86-64.so.2",
                                        "/lib/x86_64-linux-gnu/libc.so.6"};
    static const char *const targets[] = {"/bin/payload", "/lib64/ld-linux-x86-64.so.2",
                                          "/lib/x86_64-linux-gnu/libc.so.6"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, files[i], targets[i])->executable = true;
}

static void make_dynamic_plan(struct running *r) {
    confine_plan_init(&r->plan, "VMM", LEASED, LEASED);
    r->pidfd = r->program = -EBADF;
    add_program_files(&r->plan);
    confine_plan_add_mount(&r->plan, CONFINE_MOUNT_NODE, NULL, "/dev/null")->source_dev = makedev(1, 3);
    confine_plan_add_mount(&r->plan, CONFINE_MOUNT_SYMLINK, "bin", "/sbin");
    confine_plan_add_mount(&r->plan, CONFINE_MOUNT_DIR, NULL, "/empty/directory");
    confine_plan_add_mount(&r->plan, CONFINE_MOUNT_BIND, "/usr/share", "/usr/share")->recursive = true;
    r->plan.executable = "/bin/payload";
    r->plan.argv = pause_argv;
    r->plan.envp = no_environment;
}

static void test_dynamic_program_then_empty(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    char text[8192];
    make_dynamic_plan(&r);
    run_and_report(&r, text, sizeof text);
    prove(&r, false);
    assert_line(text, "dumpable 0");
    assert_line(text, "root bin");
    assert_line(text, "root empty");
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/root/dev/null", r.pid);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    if (can_make_nodes()) /* else it is the host's */
        assert_true(st.st_uid == LEASED && (st.st_mode & 07777) == 0600);
    (void)snprintf(path, sizeof path, "/proc/%d/root/lib64/ld-linux-x86-64.so.2", r.pid);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0111);

    struct err err = {0};
    assert_true(confine_prove(&r.plan, r.pid, true, &err) < 0); /* not emptied yet */
    if (confine_empty(&r.plan, r.pidfd, r.pid, &err) < 0)
        fail_msg("%s", err.text);
    prove(&r, true);
    assert_true(confine_prove(&r.plan, r.pid, false, &err) < 0); /* and now it is */
    _cleanup_free_ char *mounts = NULL;
    (void)snprintf(path, sizeof path, "/proc/%d/mountinfo", r.pid);
    assert_int_equal(read_file(AT_FDCWD, path, 65536, &mounts, NULL, &err), 0);
    assert_ptr_equal(strchr(mounts, '\n'), strrchr(mounts, '\n')); /* one line */
    stop(&r);
}

static void test_what_stays(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    char text[8192];
    make_dynamic_plan(&r);
    confine_plan_add_mount(&r.plan, CONFINE_MOUNT_TMPFS, NULL, "/srv/share")->stays = true;
    confine_plan_add_mount(&r.plan, CONFINE_MOUNT_PROC, NULL, "/proc");
    run_and_report(&r, text, sizeof text); /* it has loaded its libraries now */
    prove(&r, false);
    struct err err = {0};
    if (confine_empty(&r.plan, r.pidfd, r.pid, &err) < 0)
        fail_msg("%s", err.text);
    prove(&r, true);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/root/srv/share", r.pid);
    assert_int_equal(access(path, F_OK), 0);
    (void)snprintf(path, sizeof path, "/proc/%d/root/bin", r.pid);
    assert_int_equal(access(path, F_OK), -1);
    stop(&r);
}

/* As an engine makes one for a container. */
static int new_network_namespace(void) {
    int ready[2];
    char path[64], word;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNET) == 0)
            (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &word, 1), 1);
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return fd;
}

static void test_nested_namespaces_end_with_pid_1(void **state) {
    (void)state;
    need_root();
    struct running monitor = {0}, vmm = {0}, standin = {0};
    make_static_plan(&monitor, "monitor", reap_argv);
    start(&monitor);
    make_static_plan(&vmm, "VMM", pause_argv);
    vmm.plan.uid = vmm.plan.gid = LEASED + 1;
    vmm.plan.pid_namespace = CONFINE_PID_NEW_INSIDE;
    vmm.plan.pid_namespace_of = monitor.pidfd;
    start(&vmm);
    prove(&vmm, false);

    _cleanup_close_ int net = new_network_namespace();
    make_static_plan(&standin, "stand-in", pause_argv);
    standin.plan.uid = standin.plan.gid = LEASED + 2;
    standin.plan.pid_namespace = CONFINE_PID_JOIN;
    standin.plan.pid_namespace_of = monitor.pidfd;
    standin.plan.net_namespace = CONFINE_NET_JOIN;
    standin.plan.net_namespace_fd = net;
    start(&standin);
    prove(&standin, false);

    /* The caller's own children are born where they were before. */
    pid_t pid = fork();
    if (pid == 0)
        _exit(getpid() == 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    /* The nested one is the monitor's child, and pid 1 of its own namespace; the stand-in is ours. */
    char path[64], wanted[64];
    _cleanup_free_ char *text = NULL;
    struct err err = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/status", vmm.pid);
    assert_int_equal(read_file(AT_FDCWD, path, 65536, &text, NULL, &err), 0);
    (void)snprintf(wanted, sizeof wanted, "\nPPid:\t%d\n", monitor.pid);
    assert_non_null(strstr(text, wanted));
    assert_int_equal(waitpid(standin.pid, &status, WNOHANG), 0);
    assert_int_equal(waitpid(vmm.pid, &status, WNOHANG), -1);

    /* Its death is seen and reaped by the monitor. */
    assert_int_equal(pidfd_send_signal(vmm.pidfd, SIGKILL, NULL, 0), 0);
    assert_true(is_gone(vmm.pidfd));
    stop(&vmm);
    make_static_plan(&vmm, "VMM", pause_argv);
    vmm.plan.pid_namespace = CONFINE_PID_NEW_INSIDE;
    vmm.plan.pid_namespace_of = monitor.pidfd;
    start(&vmm);

    assert_int_equal(kill(monitor.pid, SIGKILL), 0);
    /* pid 1 is not gone before every process of its namespace is reaped, this one by us: pid_namespaces(7). */
    stop(&standin);
    assert_true(is_gone(monitor.pidfd));
    assert_true(is_gone(vmm.pidfd));

    /* Nothing can be started there any more, and the sentence says why. */
    struct running late = {0};
    make_static_plan(&late, "VMM", pause_argv);
    late.plan.pid_namespace = CONFINE_PID_NEW_INSIDE;
    late.plan.pid_namespace_of = monitor.pidfd;
    assert_true(confine_spawn(&late.plan, &late.pid, &late.pidfd, &err) < 0);
    assert_non_null(strstr(err.text, "has ended"));
    stop(&late);
    stop(&vmm);
    stop(&monitor);
}

static void make_user_namespace_plan(struct running *r) {
    make_static_plan(r, "file server", pause_argv);
    r->plan.user_namespace = true;
    r->plan.user_namespace_uid = 0;
    r->plan.maps[0] = (struct confine_id_map){0, LEASED, 1};
    r->plan.maps[1] = (struct confine_id_map){1, 1, 65535};
    r->plan.maps[2] = (struct confine_id_map){65536, 0, 1};
    r->plan.n_maps = 3;
    r->plan.keep_capabilities = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_SETUID | 1 << CAP_SETGID;
    r->plan.ambient = true;
}

static void test_user_namespace(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    char text[8192];
    make_user_namespace_plan(&r);
    run_and_report(&r, text, sizeof text);
    prove(&r, false);
    assert_line(text, "uid 0 0 0");
    assert_line(text, "mount 1");
    char path[64];
    _cleanup_free_ char *status = NULL;
    struct err err = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/status", r.pid);
    assert_int_equal(read_file(AT_FDCWD, path, 65536, &status, NULL, &err), 0);
    assert_non_null(strstr(status, "\nCapEff:\t00000000000000c3\n"));
    assert_non_null(strstr(status, "\nCapBnd:\t00000000000000c3\n"));
    stop(&r);
}

/* Each plan that differs from what was started is found out, by the property that it should be. */
static void expect_disproof(const struct confine_plan *plan, pid_t pid, bool emptied, const char *property) {
    struct err err = {0};
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "[%s]", property);
    assert_true(confine_prove(plan, pid, emptied, &err) < 0);
    if (!strstr(err.text, wanted))
        fail_msg("expected %s, got: %s", wanted, err.text);
}

static void test_each_property_can_fail(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    make_dynamic_plan(&r);
    start(&r);
    prove(&r, false);
    struct confine_plan wrong = r.plan;
    wrong.uid++;
    expect_disproof(&wrong, r.pid, false, "identity");
    wrong = r.plan;
    wrong.gid++;
    expect_disproof(&wrong, r.pid, false, "identity");
    wrong = r.plan;
    wrong.user_namespace = true;
    expect_disproof(&wrong, r.pid, false, "user namespace");
    wrong = r.plan;
    _cleanup_close_ int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    wrong.net_namespace = CONFINE_NET_JOIN;
    wrong.net_namespace_fd = net;
    expect_disproof(&wrong, r.pid, false, "network namespace");
    wrong = r.plan;
    wrong.pid_namespace = CONFINE_PID_NEW_INSIDE;
    wrong.pid_namespace_of = r.pidfd;
    expect_disproof(&wrong, r.pid, false, "pid namespace");
    wrong = r.plan;
    wrong.n_mounts--;
    expect_disproof(&wrong, r.pid, false, "mounts");
    wrong = r.plan;
    confine_plan_add_mount(&wrong, CONFINE_MOUNT_BIND, "/etc", "/etc");
    expect_disproof(&wrong, r.pid, false, "mounts");
    wrong = r.plan;
    wrong.mounts[0].executable = false;
    expect_disproof(&wrong, r.pid, false, "mounts");
    expect_disproof(&r.plan, r.pid, true, "mounts");
    stop(&r);

    make_user_namespace_plan(&r);
    start(&r);
    wrong = r.plan;
    wrong.keep_capabilities &= ~(uint64_t)(1 << CAP_SETUID);
    expect_disproof(&wrong, r.pid, false, "capabilities");
    wrong = r.plan;
    wrong.maps[1].count--;
    expect_disproof(&wrong, r.pid, false, "user namespace");
    stop(&r);
}

/* ---- the census ---- */

enum { HELD_NUMBER = 9 };

/* A process that holds just this at HELD_NUMBER. */
static void start_holder(struct running *r, int fd) {
    make_static_plan(r, "VMM", pause_argv);
    confine_plan_add_fd(&r->plan, fd, HELD_NUMBER);
    start(r);
}

static void add_holding(struct confine_plan *plan, const struct confine_holding *holding) {
    *confine_plan_may_hold(plan, holding->kind, holding->name, holding->most, holding->access) = *holding;
}

/* What fd is, that it is refused where it is not on the list, by these words, and let through where it is. */
static void expect_census(int fd, const char *words, const struct confine_holding *holding) {
    struct running r = {0};
    struct err err = {0};
    start_holder(&r, fd);
    assert_true(confine_prove(&r.plan, r.pid, false, &err) < 0);
    if (!strstr(err.text, words) || !strstr(err.text, "is not on its list [descriptors]"))
        fail_msg("expected \"%s\" in: %s", words, err.text);
    add_holding(&r.plan, holding);
    prove(&r, false);
    /* The same for less than it is open for. */
    if (holding->access == (CONFINE_READ | CONFINE_WRITE) && holding->kind != CONFINE_HOLDS_TREE) {
        r.plan.holdings[0].access = CONFINE_READ;
        expect_disproof(&r.plan, r.pid, false, "descriptors");
    }
    stop(&r);
    (void)close(fd);
}

static struct confine_holding holds(enum confine_holding_kind kind, const char *name, unsigned access) {
    return (struct confine_holding){.kind = kind, .name = name, .access = access};
}

static void test_census_of_each_kind(void **state) {
    (void)state;
    need_root();
    const unsigned both = CONFINE_READ | CONFINE_WRITE;
    int pair[2];
    struct stat st;
    struct confine_holding h = holds(CONFINE_HOLDS_PIPE, NULL, CONFINE_READ);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    expect_census(pair[0], "descriptor 9, a pipe open for reading (pipe:[", &h);
    (void)close(pair[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    h = holds(CONFINE_HOLDS_UNIX_SOCKET, NULL, both);
    expect_census(pair[0], "a unix socket open for reading and writing (socket:[", &h);
    (void)close(pair[1]);
    static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        int sock = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
        h = holds(CONFINE_HOLDS_SOCKET, NULL, both);
        if (sock >= 0) /* the kernel may be without IPv6 */
            expect_census(sock, "a socket that is no unix socket", &h);
    }
    h = holds(CONFINE_HOLDS_MEMORY, NULL, both);
    expect_census(memfd_create("guest", MFD_CLOEXEC), "a memory file open for reading and writing", &h);
    h = holds(CONFINE_HOLDS_KERNEL, "eventfd", both);
    expect_census(eventfd(0, EFD_CLOEXEC), "a kernel object open for reading and writing (eventfd)", &h);
    h = holds(CONFINE_HOLDS_KERNEL, "eventpoll", both);
    expect_census(epoll_create1(EPOLL_CLOEXEC), "(eventpoll)", &h);
    h = holds(CONFINE_HOLDS_CHARACTER, NULL, both);
    h.device = makedev(1, 3);
    expect_census(open("/dev/null", O_RDWR | O_CLOEXEC), "a character device", &h);
    h = holds(CONFINE_HOLDS_TERMINAL, NULL, both);
    expect_census(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), "a terminal", &h);
    int file = open(PAYLOAD_STATIC, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(file, &st), 0);
    h = holds(CONFINE_HOLDS_FILE, NULL, CONFINE_READ);
    h.device = st.st_dev;
    h.inode = st.st_ino;
    expect_census(file, "a file open for reading (/", &h);
}

/* What no list can allow. */
static void test_census_refuses(void **state) {
    (void)state;
    need_root();
    char name[] = "/tmp/minka-census-XXXXXX";
    int fds[] = {open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), open("/etc", O_PATH | O_CLOEXEC),
                 open("/etc/passwd", O_PATH | O_CLOEXEC), mkstemp(name)};
    static const char *const words[] = {"a directory open for reading (/etc)",
                                        "a directory open for nothing but its place (/etc)",
                                        "a file open for nothing but its place (/etc/passwd)",
                                        "a file open for reading and writing (/tmp/minka-census-"};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        struct running r = {0};
        struct err err = {0};
        assert_true(fds[i] >= 0);
        start_holder(&r, fds[i]);
        for (int kind = 0; kind <= CONFINE_HOLDS_OTHER; kind++) {
            struct confine_holding h = holds((enum confine_holding_kind)kind, "/elsewhere",
                                             i == 3 ? CONFINE_READ : CONFINE_READ | CONFINE_WRITE);
            add_holding(&r.plan, &h);
        }
        assert_true(confine_prove(&r.plan, r.pid, false, &err) < 0);
        if (!strstr(err.text, words[i]))
            fail_msg("expected \"%s\" in: %s", words[i], err.text);
        stop(&r);
        (void)close(fds[i]);
    }
    (void)unlink(name);
    /* Another file than the planned one, and another device. */
    struct running r = {0};
    start_holder(&r, open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    struct confine_holding other = holds(CONFINE_HOLDS_FILE, NULL, CONFINE_READ);
    other.inode = 1;
    add_holding(&r.plan, &other);
    expect_disproof(&r.plan, r.pid, false, "descriptors");
    stop(&r);
    (void)close(r.plan.fds[0].fd);
    start_holder(&r, open("/dev/zero", O_RDONLY | O_CLOEXEC));
    other = holds(CONFINE_HOLDS_CHARACTER, NULL, CONFINE_READ);
    other.device = makedev(1, 3);
    add_holding(&r.plan, &other);
    expect_disproof(&r.plan, r.pid, false, "descriptors");
    stop(&r);
    (void)close(r.plan.fds[0].fd);
}

/* A name is chosen by who makes the file: it is what it is all the same. */
static void test_census_is_not_told_by_names(void **state) {
    (void)state;
    need_root();
    char directory[] = "/tmp/minka-census-XXXXXX", path[128];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/memfd:guest", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && unlink(path) == 0);
    struct running r = {0};
    start_holder(&r, fd);
    struct confine_holding memory = holds(CONFINE_HOLDS_MEMORY, NULL, CONFINE_READ | CONFINE_WRITE);
    add_holding(&r.plan, &memory);
    expect_disproof(&r.plan, r.pid, false, "descriptors");
    stop(&r);
    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/pipe:[1]", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    start_holder(&r, fd);
    struct confine_holding named = holds(CONFINE_HOLDS_PIPE, NULL, CONFINE_READ | CONFINE_WRITE);
    add_holding(&r.plan, &named);
    expect_disproof(&r.plan, r.pid, false, "descriptors");
    stop(&r);
    (void)close(fd);
    (void)unlink(path);
    (void)rmdir(directory);
}

static void test_census_counts(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    struct err err = {0};
    int fd = eventfd(0, EFD_CLOEXEC);
    make_static_plan(&r, "VMM", pause_argv);
    for (int i = 0; i < 3; i++)
        confine_plan_add_fd(&r.plan, fd, 20 + i);
    confine_plan_may_hold(&r.plan, CONFINE_HOLDS_KERNEL, "eventfd", 3, CONFINE_READ | CONFINE_WRITE);
    start(&r);
    prove(&r, false);
    r.plan.holdings[0].most = 2;
    assert_true(confine_prove(&r.plan, r.pid, false, &err) < 0);
    assert_non_null(strstr(err.text, "descriptor 22, a kernel object open for reading and writing (eventfd), one more "
                                     "than the 2 that it may have [descriptors]"));
    r.plan.holdings[0].most = 0;
    prove(&r, false);
    stop(&r);
    (void)close(fd);
}

/* Limits that somebody raised, a cgroup that somebody took it out of. */
static void test_limits_and_cgroup(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    make_static_plan(&r, "VMM", pause_argv);
    r.plan.rlimits[r.plan.n_rlimits].resource = RLIMIT_NOFILE;
    r.plan.rlimits[r.plan.n_rlimits++].limit = (struct rlimit){64, 64};
    start(&r);
    prove(&r, false);
    /* It may have lowered them. */
    r.plan.rlimits[0].limit = (struct rlimit){65, 65};
    prove(&r, false);
    r.plan.rlimits[0].limit = (struct rlimit){63, 63};
    expect_disproof(&r.plan, r.pid, false, "limits");
    r.plan.rlimits[0].limit = (struct rlimit){64, 64};
    if (prlimit(r.pid, RLIMIT_NOFILE, &(struct rlimit){64, 65}, NULL) == 0) /* CAP_SYS_RESOURCE */
        expect_disproof(&r.plan, r.pid, false, "limits");
    r.plan.n_rlimits = 0;
    r.plan.cgroup = "/minka/elsewhere";
    expect_disproof(&r.plan, r.pid, false, "cgroup");
    stop(&r);
}

/* Of a process that goes wrong in a thread only. */
static void test_threads(void **state) {
    (void)state;
    need_root();
    static char word_thread[] = "thread";
    static char word_files[] = "files", word_mounts[] = "mounts", word_nothing[] = "nothing";
    char *const kinds[] = {word_nothing, word_files, word_mounts};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct running r = {0};
        int ends[2];
        char ready;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        char *argv[] = {word_payload, word_thread, kinds[i], NULL};
        make_static_plan(&r, "VMM", argv);
        confine_plan_add_fd(&r.plan, ends[1], 7);
        confine_plan_may_hold(&r.plan, CONFINE_HOLDS_PIPE, NULL, 2, CONFINE_WRITE);
        if (i == 2) { /* a capability is what it takes */
            r.plan.user_namespace = true;
            r.plan.maps[0] = (struct confine_id_map){0, LEASED, 1};
            r.plan.n_maps = 1;
            r.plan.keep_capabilities = UINT64_C(1) << CAP_SYS_ADMIN;
            r.plan.ambient = true;
        }
        start(&r);
        (void)close(ends[1]);
        assert_int_equal(read(ends[0], &ready, 1), 1);
        if (i == 0)
            prove(&r, false);
        else
            expect_disproof(&r.plan, r.pid, false, "threads");
        (void)close(ends[0]);
        stop(&r);
    }
}

/* What audit shows is what is. */
static void test_facts(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    struct err err = {0};
    int fd = eventfd(0, EFD_CLOEXEC);
    start_holder(&r, fd);
    struct confine_facts facts;
    if (confine_look(&r.plan, r.pid, &facts, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < 4; i++)
        assert_true(facts.uids[i] == LEASED && facts.gids[i] == LEASED);
    assert_string_equal(facts.groups, "");
    for (int i = 0; i < CONFINE_CAPABILITY_SETS; i++)
        assert_int_equal(facts.capabilities[i], 0);
    assert_true(facts.no_new_privs && !facts.dumpable);
    assert_int_equal(facts.threads, 1);
    for (int i = 0; i < CONFINE_NAMESPACES; i++) {
        assert_true(facts.namespaces[i] != 0);
        assert_int_equal(facts.shared[i], strcmp(confine_namespaces[i], "user") == 0);
    }
    assert_int_equal(facts.n_mounts, 1);
    assert_string_equal(facts.mounts[0].type, "tmpfs");
    assert_int_equal(facts.n_descriptors, 1);
    assert_int_equal(facts.descriptors[0].number, HELD_NUMBER);
    assert_int_equal(facts.descriptors[0].kind, CONFINE_HOLDS_KERNEL);
    assert_string_equal(facts.descriptors[0].name, "eventfd");
    assert_int_equal(facts.limits[0].rlim_max, 0);
    confine_facts_done(&facts);
    stop(&r);
    assert_int_equal(confine_look(&r.plan, r.pid, &facts, &err), -ESRCH);
    (void)close(fd);
}

/* All properties are told, not just the first that does not hold. */
static void count_wrong(void *data, const char *property, const struct err *wrong) {
    size_t *counts = data;
    counts[0]++;
    if (wrong->code != 0) {
        counts[1]++;
        assert_true(strcmp(property, "identity") == 0 || strcmp(property, "descriptors") == 0);
    }
}

static void test_examine(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    struct err err = {0};
    int fd = eventfd(0, EFD_CLOEXEC);
    start_holder(&r, fd);
    struct confine_plan wrong = r.plan;
    wrong.uid++;
    size_t counts[2] = {0};
    assert_int_equal(confine_examine(&wrong, r.pid, false, count_wrong, counts, &err), 0);
    size_t all = 0;
    while (confine_properties[all].name)
        all++;
    assert_int_equal(counts[0], all);
    assert_int_equal(counts[1], 2);
    stop(&r);
    assert_int_equal(confine_examine(&wrong, r.pid, false, count_wrong, counts, &err), -ESRCH);
    (void)close(fd);
}

/* Of a process that nobody confined, no property holds. */
static void test_unconfined_process_has_no_property(void **state) {
    (void)state;
    need_root();
    static const char *const expected[] = {
        "identity",      "groups",   "capabilities", "no_new_privs", "namespaces", "network namespace",
        "pid namespace", "dumpable", "core",         "mounts",       "emptied",    "descriptors"};
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        gid_t group = 27;
        struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY};
        (void)setrlimit(RLIMIT_CORE, &core);
        if (syscall(SYS_setgroups, 1, &group) == 0 && syscall(SYS_setresuid, 4711, 4711, 0) == 0 &&
            prctl(PR_SET_DUMPABLE, 1) == 0)
            (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    char word;
    assert_int_equal(read(ready[0], &word, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d", pid);
    _cleanup_close_ int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct confine_plan plan;
    confine_plan_init(&plan, "test", 4711, 4711);
    struct confine_message message = {.socket = -EBADF, .executable = -EBADF};
    struct confine_subject subject = {.plan = &plan, .pid = pid, .proc = proc, .ready = &message};
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        const struct confine_property *p = confine_properties;
        while (p->name && strcmp(p->name, expected[i]) != 0)
            p++;
        assert_non_null(p->name);
        struct err err = {0};
        subject.emptied = strcmp(p->name, "emptied") == 0;
        if (p->prove(&subject, &err) >= 0)
            fail_msg("%s was proved of an unconfined process", p->name);
        assert_true(err.code > 0 && err.text[0]);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void expect_failure(struct running *r, const char *words) {
    struct err err = {0};
    assert_true(confine_spawn(&r->plan, &r->pid, &r->pidfd, &err) < 0);
    if (!strstr(err.text, words))
        fail_msg("expected \"%s\" in: %s", words, err.text);
    assert_null(strstr(err.text, "ermission denied"));
    assert_null(strstr(err.text, "o such file"));
    /* No process is left. */
    errno = 0;
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    stop(r);
}

/* In the process itself, whose number here is only in the /proc of here. */
static int refuse(void *data, struct err *err) {
    char number[32] = "";
    (void)!readlink("/proc/self", number, sizeof number - 1);
    *(volatile pid_t *)data = (pid_t)strtol(number, NULL, 10);
    return err_set(err, EDQUOT, "the cgroup is full");
}

static void test_failures_leave_nothing(void **state) {
    (void)state;
    need_root();
    struct running r = {0};
    make_static_plan(&r, "VMM", pause_argv);
    confine_plan_add_mount(&r.plan, CONFINE_MOUNT_BIND, "/does/not/exist", "/x");
    expect_failure(&r, "cannot start the VMM: cannot take /does/not/exist for /x (ENOENT) [jail]");
    make_static_plan(&r, "VMM", pause_argv);
    confine_plan_add_mount(&r.plan, CONFINE_MOUNT_BIND, "/etc", "/x/../y");
    expect_failure(&r, "no absolute path without");
    make_static_plan(&r, "VMM", pause_argv);
    r.plan.keep_capabilities = 1;
    expect_failure(&r, "own user namespace only");
    make_static_plan(&r, "VMM", pause_argv);
    confine_plan_add_fd(&r.plan, r.program, 5);
    confine_plan_add_fd(&r.plan, r.program, 5);
    expect_failure(&r, "two descriptors");
    make_static_plan(&r, "VMM", pause_argv);
    r.plan.net_namespace = CONFINE_NET_JOIN;
    r.plan.net_namespace_fd = r.program;
    expect_failure(&r, "[namespaces]");
    make_dynamic_plan(&r);
    r.plan.mounts[1].target = "/lib64/other";
    expect_failure(&r, "is not among the files of its jail");
    make_dynamic_plan(&r);
    confine_plan_add_mount(&r.plan, CONFINE_MOUNT_BIND, "/etc", "/sbin/etc"); /* through a symlink */
    expect_failure(&r, "cannot enter sbin");
    volatile pid_t *seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(seen != MAP_FAILED);
    make_static_plan(&r, "VMM", pause_argv);
    r.plan.prepare = refuse;
    r.plan.prepare_data = (void *)(uintptr_t)seen;
    expect_failure(&r, "the cgroup is full [cgroup]");
    assert_true(*seen > 0 && kill(*seen, 0) < 0 && errno == ESRCH);
    int text = memfd_of("text", "#!/bin/sh\n", 10);
    make_static_plan(&r, "VMM", pause_argv);
    r.plan.executable_fd = text;
    expect_failure(&r, "[execute]");
    (void)close(text);
}

static int write_marker(void *data, struct err *err) {
    (void)data;
    int fd = open("/marker", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    return fd < 0 ? err_errno_name(err, "no marker") : 0;
}

/* A process that went into a mount namespace of its own must not lead the privileged helper there. */
static void test_foreign_mount_namespace_is_refused(void **state) {
    (void)state;
    need_root();
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
            (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    char word;
    assert_int_equal(read(ready[0], &word, 1), 1);
    _cleanup_close_ int pidfd = pidfd_open(pid, 0);
    struct err err = {0};
    assert_int_equal(confine_in_mount_namespace(pidfd, write_marker, NULL, &err), -EXDEV);
    assert_non_null(strstr(err.text, "has left the mount namespace"));
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    assert_int_equal(confine_in_mount_namespace(pidfd, write_marker, NULL, &err), -ESRCH);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static void test_print(void **state) {
    (void)state;
    struct running r = {0};
    make_dynamic_plan(&r);
    confine_plan_add_fd(&r.plan, 0, 3);
    _cleanup_buf_ struct buf text = {0};
    assert_int_equal(confine_plan_print(&r.plan, &text), 0);
    const char *printed = buf_string(&text);
    assert_non_null(strstr(printed, "role VMM\nuid 1879040000\n"));
    assert_non_null(strstr(printed, "mount bind /usr/share from /usr/share recursive\n"));
    assert_non_null(strstr(printed, "fd 3\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_jail),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_dynamic_program_then_empty),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_nested_namespaces_end_with_pid_1),
        cmocka_unit_test(test_user_namespace),
        cmocka_unit_test(test_each_property_can_fail),
        cmocka_unit_test(test_census_of_each_kind),
        cmocka_unit_test(test_census_refuses),
        cmocka_unit_test(test_census_is_not_told_by_names),
        cmocka_unit_test(test_census_counts),
        cmocka_unit_test(test_limits_and_cgroup),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_examine),
        cmocka_unit_test(test_unconfined_process_has_no_property),
        cmocka_unit_test(test_failures_leave_nothing),
        cmocka_unit_test(test_foreign_mount_namespace_is_refused),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, kill_leftovers);
}
