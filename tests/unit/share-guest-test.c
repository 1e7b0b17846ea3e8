/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine whose file server is not root, on a root-owned tree: ownership
 * both ways, what a user may and may not, trees that come and go. VMM and file
 * server are confined as in a sandbox, and their jails are emptied before the
 * guest runs. Needs root, QEMU, a Debian kernel with its modules, and a virtiofsd;
 * what is missing is named. MINKA_TEST_SERVER_ROOT: as for share-test.
 */
#include "closure.h"
#include "leftovers.h"
#include "privileged/share/share.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cmocka.h>

enum { LEASED = 1876030000, ANSWER_MSEC = 60000 };

static const char qemu[] = "/usr/bin/qemu-system-x86_64";
static char *no_environment[] = {NULL};
static char kernel[256], modules[256];

/* ---- the guest: a kernel of this machine, and one program with five modules ---- */

static bool find_kernel(void) {
    glob_t found;
    if (glob("/boot/vmlinuz-*", 0, NULL, &found) != 0)
        return false;
    bool ok = false;
    for (size_t i = 0; i < found.gl_pathc && !ok; i++) {
        const char *release = found.gl_pathv[i] + strlen("/boot/vmlinuz-");
        char index[512];
        (void)snprintf(kernel, sizeof kernel, "%s", found.gl_pathv[i]);
        (void)snprintf(modules, sizeof modules, "/lib/modules/%s/kernel", release);
        (void)snprintf(index, sizeof index, "%s/../modules.dep", modules);
        ok = access(index, R_OK) == 0;
    }
    globfree(&found);
    return ok;
}

/* One entry of a "newc" archive: Documentation/driver-api/early-userspace/buffer-format.rst. */
static void add_entry(struct buf *out, const char *name, mode_t mode, const char *content, size_t length) {
    static const char zeros[4];
    assert_int_equal(buf_append_format(out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s", 0, mode, 0,
                                       0, 1, 0, (unsigned)length, 0, 0, 0, 0, (unsigned)strlen(name) + 1, 0, name),
                     0);
    assert_int_equal(buf_append(out, zeros, 1), 0);
    assert_int_equal(buf_append(out, zeros, (4 - out->length % 4) % 4), 0);
    assert_int_equal(buf_append(out, content, length), 0);
    assert_int_equal(buf_append(out, zeros, (4 - out->length % 4) % 4), 0);
}

static void add_file(struct buf *out, const char *name, const char *path, mode_t mode) {
    _cleanup_free_ char *content = NULL;
    size_t length;
    struct err err = {0};
    if (read_file(AT_FDCWD, path, 64 << 20, &content, &length, &err) < 0)
        fail_msg("%s", err.text);
    add_entry(out, name, S_IFREG | mode, content, length);
}

/* As it is, or compressed (Debian 13); with neither it is built in, or the guest says what it lacks. */
static void add_module(struct buf *out, const char *file) {
    _cleanup_free_ char *plain = text_format("%s/%s.ko", modules, file);
    _cleanup_free_ char *compressed = text_format("%s.xz", plain);
    _cleanup_free_ char *to = text_format("m%s.ko", strrchr(file, '/'));
    if (access(plain, R_OK) == 0)
        return add_file(out, to, plain, 0644);
    if (access(compressed, R_OK) < 0)
        return;
    char place[] = "/tmp/minka-module.XXXXXX";
    int fd = mkstemp(place);
    assert_true(fd >= 0);
    (void)close(fd);
    _cleanup_free_ char *unpack = text_format("xz -dc '%s' >%s", compressed, place);
    assert_int_equal(system(unpack), 0); /* both names are ours */
    add_file(out, to, place, 0644);
    (void)unlink(place);
}

static void make_initrd(const char *path) {
    static const char *const files[] = {"drivers/virtio/virtio", "drivers/virtio/virtio_ring",
                                        "drivers/virtio/virtio_mmio", "fs/fuse/fuse", "fs/fuse/virtiofs"};
    _cleanup_buf_ struct buf out = {0};
    add_entry(&out, "m", S_IFDIR | 0755, "", 0);
    add_entry(&out, "dev", S_IFDIR | 0755, "", 0);
    add_file(&out, "init", SHARE_GUEST_INIT, 0755);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        add_module(&out, files[i]);
    add_entry(&out, "TRAILER!!!", 0, "", 0);
    struct err err = {0};
    if (write_file_atomic(AT_FDCWD, path, out.data, out.length, 0644, &err) < 0)
        fail_msg("%s", err.text);
}

/* ---- the sandbox ---- */

struct sandbox {
    char scratch[64], initrd[96], tree[96], file[96], late[96];
    struct confine_plan monitor_plan, server_plan, vmm_plan;
    int monitor, server, vmm; /* pidfds */
    pid_t monitor_pid, server_pid, vmm_pid;
    int console, qmp;
    char **server_files, **server_strings, **sources, **vmm_files;
};

static char word_payload[] = "payload", word_reap[] = "reap";
static char *reap_argv[] = {word_payload, word_reap, NULL};

static void start_monitor(struct sandbox *s) {
    struct err err = {0};
    _cleanup_close_ int program = open(PAYLOAD_STATIC, O_RDONLY | O_CLOEXEC);
    confine_plan_init(&s->monitor_plan, "monitor", LEASED, LEASED);
    s->monitor_plan.executable_fd = program;
    s->monitor_plan.argv = reap_argv;
    s->monitor_plan.envp = no_environment;
    if (confine_spawn(&s->monitor_plan, &s->monitor_pid, &s->monitor, &err) < 0)
        fail_msg("%s", err.text);
}

static void start_server(struct sandbox *s, const char *root, const char *path, int listen_fd) {
    struct err err = {0};
    _cleanup_close_ int messages = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct share share = {.cache = "auto",
                          .server_path = path,
                          .uid = LEASED + 1,
                          .listen_fd = listen_fd,
                          .stderr_fd = getenv("MINKA_TEST_VERBOSE") ? 2 : messages,
                          .pid_namespace_of = s->monitor};
    _cleanup_free_ char *real = text_format("%s%s", root, path), *found = NULL;
    s->server_files = closure(root, path);
    share.server_files = s->server_files;
    s->sources = calloc(CONFINE_MOUNTS_MAX + 1, sizeof *s->sources);
    assert_true(s->server_files && s->sources);
    if (share_find_server(real, &share.kind, &found, &err) < 0 ||
        share_plan(&share, &s->server_plan, &s->server_strings, &err) < 0)
        fail_msg("%s", err.text);
    /* Here not a pipe. */
    confine_plan_may_hold(&s->server_plan, CONFINE_HOLDS_CHARACTER, NULL, 3, CONFINE_WRITE)->device = makedev(1, 3);
    size_t count = 0;
    for (size_t i = 0; i < s->server_plan.n_mounts; i++)
        if (s->server_plan.mounts[i].executable) {
            s->sources[count] = text_format("%s%s", root, s->server_plan.mounts[i].source);
            s->server_plan.mounts[i].source = s->sources[count++];
        }
    if (confine_spawn(&s->server_plan, &s->server_pid, &s->server, &err) < 0 ||
        confine_prove(&s->server_plan, s->server_pid, false, &err) < 0)
        fail_msg("%s", err.text);
}

static void start_vmm(struct sandbox *s, int vhost_user) {
    static char arguments[][256] = {
        "qemu",
        "-machine",
        "microvm,acpi=on,memory-backend=mem,accel=tcg",
        "-object",
        "memory-backend-memfd,id=mem,size=192M,share=on",
        "-cpu",
        "max",
        "-m",
        "192",
        "-kernel",
        "/kernel",
        "-bios",
        "/usr/share/qemu/qboot.rom",
        "-initrd",
        "/initrd",
        "-append",
        ("quiet loglevel=1 console=ttyS0 panic=-1 reboot=t rdinit=/init mitigations=off cryptomgr.notests tsc=reliable "
         "tsc_early_khz=2500000 no_timer_check"),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-S",
        "-chardev",
        "socket,id=qmp,fd=4",
        "-mon",
        "chardev=qmp,mode=control",
        "-chardev",
        "socket,id=console,fd=5",
        "-serial",
        "chardev:console",
        "-global",
        "virtio-mmio.force-legacy=false",
        "-chardev",
        "socket,id=vfs,fd=6",
        "-device",
        "vhost-user-fs-device,chardev=vfs,tag=share"};
    static char *argv[ARRAY_SIZE(arguments) + 1];
    static const char *const data[] = {"/usr/share/qemu/qboot.rom", "/usr/share/qemu/linuxboot_dma.bin",
                                       "/usr/share/qemu/pvh.bin", "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so"};
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_SIZE(arguments); i++)
        argv[i] = arguments[i];
    confine_plan_init(&s->vmm_plan, "VMM", LEASED + 2, LEASED + 2);
    s->vmm_files = closure("", qemu);
    assert_non_null(s->vmm_files);
    for (char **f = s->vmm_files; *f; f++)
        confine_plan_add_mount(&s->vmm_plan, CONFINE_MOUNT_BIND, *f, *f)->executable = true;
    for (size_t i = 0; i < ARRAY_SIZE(data); i++)
        if (access(data[i], R_OK) == 0)
            confine_plan_add_mount(&s->vmm_plan, CONFINE_MOUNT_BIND, data[i], data[i])->executable = true;
    confine_plan_add_mount(&s->vmm_plan, CONFINE_MOUNT_BIND, kernel, "/kernel");
    confine_plan_add_mount(&s->vmm_plan, CONFINE_MOUNT_BIND, s->initrd, "/initrd");
    int qmp[2], console[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console), 0);
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int number = 0; number < 3; number++)
        confine_plan_add_fd(&s->vmm_plan, number == 2 && getenv("MINKA_TEST_VERBOSE") ? 2 : null, number);
    confine_plan_add_fd(&s->vmm_plan, qmp[1], 4);
    confine_plan_add_fd(&s->vmm_plan, console[1], 5);
    confine_plan_add_fd(&s->vmm_plan, vhost_user, 6);
    const unsigned both = CONFINE_READ | CONFINE_WRITE;
    confine_plan_may_hold(&s->vmm_plan, CONFINE_HOLDS_CHARACTER, NULL, 3, both)->device = makedev(1, 3);
    confine_plan_may_hold(&s->vmm_plan, CONFINE_HOLDS_UNIX_SOCKET, NULL, 4, both);
    confine_plan_may_hold(&s->vmm_plan, CONFINE_HOLDS_MEMORY, NULL, 1, both);
    static const char *const objects[] = {"eventfd", "eventpoll", "signalfd"};
    for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
        confine_plan_may_hold(&s->vmm_plan, CONFINE_HOLDS_KERNEL, objects[i], 0, both);
    s->vmm_plan.pid_namespace = CONFINE_PID_NEW_INSIDE;
    s->vmm_plan.pid_namespace_of = s->monitor;
    s->vmm_plan.executable = qemu;
    s->vmm_plan.argv = argv;
    s->vmm_plan.envp = no_environment;
    if (confine_spawn(&s->vmm_plan, &s->vmm_pid, &s->vmm, &err) < 0 ||
        confine_prove(&s->vmm_plan, s->vmm_pid, false, &err) < 0)
        fail_msg("%s", err.text);
    (void)close(qmp[1]);
    (void)close(console[1]);
    s->qmp = qmp[0];
    s->console = console[0];
}

/* Read until words appear; the whole text so far. */
static void await(int fd, char *text, size_t size, const char *words) {
    size_t length = strlen(text);
    while (!strstr(text, words)) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t n =
            poll(&ready, 1, ANSWER_MSEC) == 1 && length + 1 < size ? read(fd, text + length, size - 1 - length) : -1;
        if (n <= 0)
            fail_msg("no \"%s\" in: %s", words, text);
        length += (size_t)n;
        text[length] = '\0';
    }
}

static void command(struct sandbox *s, const char *name) {
    char text[65536] = "";
    assert_true(dprintf(s->qmp, "{\"execute\":\"%s\"}\n", name) > 0);
    await(s->qmp, text, sizeof text, "\"return\"");
}

static void empty_jails(struct sandbox *s) {
    char text[65536] = "";
    struct err err = {0};
    await(s->qmp, text, sizeof text, "\"QMP\"");
    command(s, "qmp_capabilities");
    if (confine_empty(&s->vmm_plan, s->vmm, s->vmm_pid, &err) < 0 ||
        share_empty(&s->server_plan, s->server, &err) < 0 || confine_prove(&s->vmm_plan, s->vmm_pid, true, &err) < 0 ||
        confine_prove(&s->server_plan, s->server_pid, true, &err) < 0)
        fail_msg("%s", err.text);
}

static void write_text(const char *directory, const char *name, const char *text, mode_t mode) {
    _cleanup_free_ char *path = text_format("%s/%s", directory, name);
    struct err err = {0};
    if (write_file_atomic(AT_FDCWD, path, text, strlen(text), mode, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(chmod(path, mode), 0);
}

static void make_tree(struct sandbox *s) {
    _cleanup_free_ char *user = text_format("%s/u1000", s->tree), *tmp = text_format("%s/tmp", s->tree);
    assert_true(mkdir(s->tree, 0755) == 0 && mkdir(s->late, 0755) == 0);
    write_text(s->tree, "secret", "secret\n", 0600);
    write_text(s->scratch, "file", "of a file\n", 0644);
    write_text(s->late, "hello", "hello\n", 0644);
    assert_true(mkdir(user, 0755) == 0 && chown(user, 1000, 1000) == 0);
    assert_true(mkdir(tmp, 0755) == 0 && chmod(tmp, 01777) == 0);
    write_text(tmp, "ofroot", "x", 0644);
}

static struct stat look(const struct sandbox *s, const char *name) {
    struct stat st;
    _cleanup_free_ char *path = text_format("%s/%s", s->tree, name);
    if (lstat(path, &st) < 0)
        fail_msg("the host does not see %s", name);
    return st;
}

static void expect(const struct sandbox *s, const char *name, uid_t uid, gid_t gid, mode_t mode) {
    struct stat st = look(s, name);
    if (st.st_uid != uid || st.st_gid != gid || st.st_mode != mode)
        fail_msg("%s is %u:%u %o on the host and should be %u:%u %o", name, st.st_uid, st.st_gid, st.st_mode, uid, gid,
                 mode);
}

static void check_console(const char *text) {
    static const struct {
        const char *name;
        int value;
    } expected[] = {
        {"mount", 0},
        {"secret", 0},
        {"new", 0},
        {"chown", 0},
        {"chown-back", 0},
        {"mkdir", 0},
        {"inherit", 0},
        {"inherited", 0},
        {"fifo", 0},
        {"symlink", 0},
        {"link", 0},
        {"rename", 0},
        {"unlink", 0},
        {"setxattr", 0},
        {"getxattr", 0},
        {"setuid", 0},
        {"device", EPERM},
        {"whiteout", 0},
        {"setcap", 0},
        {"getcap", 0},
        {"file", 0},
        {"file-write", EROFS},
        {"share-write", EROFS},
        {"truncate", 0},
        {"user-secret", EACCES},
        {"user-new", 0},
        {"user-chown", EPERM},
        {"user-unlink", EPERM},
        {"late", 0},
        {"late-gone", ENOENT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "\n%s %d\r\n", expected[i].name, expected[i].value);
        if (!strstr(text, line))
            fail_msg("the guest should say \"%s %d\":\n%s", expected[i].name, expected[i].value, text);
    }
}

static void check_host(const struct sandbox *s) {
    expect(s, "byroot", 0, 0, S_IFREG | 0644);
    expect(s, "owned", 1234, 4321, S_IFREG | 0600);
    expect(s, "u1000", 0, 0, S_IFDIR | 0755);
    expect(s, "d", 0, 50, S_IFDIR | 02775);
    expect(s, "d/f", 0, 50, S_IFREG | 0644);
    expect(s, "fifo", 0, 0, S_IFIFO | 0640);
    expect(s, "symlink", 0, 0, S_IFLNK | 0777);
    expect(s, "setuid", 0, 0, S_IFREG | 04755);
    expect(s, "tmp/byuser", 1000, 1000, S_IFREG | 0644);
    assert_int_equal(look(s, "byroot").st_ino, look(s, "hardlink").st_ino);
    assert_int_equal(look(s, "large").st_size, 1 << 20);
    _cleanup_free_ char *path = text_format("%s/byroot", s->tree), *device = text_format("%s/device", s->tree);
    char value[16] = "";
    assert_int_equal(getxattr(path, "user.key", value, sizeof value), 5);
    assert_int_equal(access(device, F_OK), -1);
}

static void check_server(const struct sandbox *s) {
    char path[64], line[64];
    _cleanup_free_ char *status = NULL;
    (void)snprintf(path, sizeof path, "/proc/%d/status", s->server_pid);
    assert_int_equal(read_file(AT_FDCWD, path, 65536, &status, NULL, NULL), 0);
    (void)snprintf(line, sizeof line, "\nUid:\t%u\t%u\t%u\t%u\n", LEASED + 1, LEASED + 1, LEASED + 1, LEASED + 1);
    assert_non_null(strstr(status, line));
    assert_non_null(strstr(status, "\nGroups:\t \n"));
    assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
}

static void end(struct sandbox *s) {
    struct pollfd gone[] = {{.fd = s->server, .events = POLLIN}, {.fd = s->vmm, .events = POLLIN}};
    (void)pidfd_send_signal(s->monitor, SIGKILL, NULL, 0);
    (void)waitid(P_PIDFD, (id_t)s->monitor, NULL, WEXITED);
    assert_int_equal(poll(&gone[0], 1, 5000), 1);
    assert_int_equal(poll(&gone[1], 1, 5000), 1);
    close_fd(&s->monitor);
    close_fd(&s->server);
    close_fd(&s->vmm);
    close_fd(&s->qmp);
    close_fd(&s->console);
    free_strv(&s->server_files);
    free_strv(&s->server_strings);
    free_strv(&s->sources);
    free_strv(&s->vmm_files);
    _cleanup_free_ char *remove = text_format("rm -r '%s'", s->scratch);
    assert_int_equal(system(remove), 0);
}

static void run_guest(const char *root, const char *server) {
    struct err err = {0};
    struct sandbox s = {.scratch = "/var/tmp/minka-share-XXXXXX"}; /* no tmpfs: user.* attributes */
    assert_non_null(mkdtemp(s.scratch));
    assert_int_equal(chmod(s.scratch, 0755), 0);
    (void)snprintf(s.initrd, sizeof s.initrd, "%s/initrd", s.scratch);
    (void)snprintf(s.tree, sizeof s.tree, "%s/tree", s.scratch);
    (void)snprintf(s.file, sizeof s.file, "%s/file", s.scratch);
    (void)snprintf(s.late, sizeof s.late, "%s/late", s.scratch);
    make_initrd(s.initrd);
    make_tree(&s);
    start_monitor(&s);
    int listen_fd, connected_fd;
    if (share_sockets(s.scratch, &listen_fd, &connected_fd, &err) < 0)
        fail_msg("%s", err.text);
    start_server(&s, root, server, listen_fd);
    start_vmm(&s, connected_fd);
    (void)close(listen_fd);
    (void)close(connected_fd);
    empty_jails(&s);
    const struct share_export exports[] = {{.source = s.tree, .name = "box/rootfs"},
                                           {.source = s.file, .name = "box/3", .readonly = true}};
    if (share_attach(s.server, exports, 2, &err) < 0)
        fail_msg("%s", err.text);
    command(&s, "cont");

    char text[65536] = "\n";
    await(s.console, text, sizeof text, "waiting 0");
    check_server(&s);
    /* Now, while the guest waits: later the server may still hold what was taken away, or has ended with its client. */
    if (confine_prove(&s.server_plan, s.server_pid, true, &err) < 0)
        fail_msg("%s", err.text);
    const struct share_export later = {.source = s.late, .name = "late/rootfs"};
    if (share_attach(s.server, &later, 1, &err) < 0)
        fail_msg("%s", err.text);
    await(s.console, text, sizeof text, "\nlate ");
    if (share_detach(s.server, "late", &err) < 0)
        fail_msg("%s", err.text);
    await(s.console, text, sizeof text, "done 0");
    check_console(text);
    check_host(&s);
    end(&s);
}

/* On Debian 13 the old server's path is a link to the new one. */
static bool is_server(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static void need(const char *root, const char *server) {
    char path[PATH_MAX]; /* skip() never returns, so nothing here may want to be freed */
    (void)snprintf(path, sizeof path, "%s%s", root, server);
    const char *lacks = geteuid() != 0           ? "root, to make namespaces and change uids"
                        : access(qemu, X_OK) < 0 ? "/usr/bin/qemu-system-x86_64"
                        : !is_server(path)       ? path
                        : !find_kernel()         ? "a kernel in /boot with its modules"
                                                 : NULL;
    if (lacks) {
        print_message("skipped: needs %s\n", lacks);
        skip();
    }
}

static void test_c_server(void **state) {
    (void)state;
    need("", "/usr/lib/qemu/virtiofsd");
    run_guest("", "/usr/lib/qemu/virtiofsd");
}

static void test_rust_server(void **state) {
    (void)state;
    const char *root = getenv("MINKA_TEST_SERVER_ROOT");
    need(root ? root : "", "/usr/libexec/virtiofsd");
    run_guest(root ? root : "", "/usr/libexec/virtiofsd");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_c_server), cmocka_unit_test(test_rust_server)};
    return cmocka_run_group_tests(tests, NULL, kill_leftovers);
}
