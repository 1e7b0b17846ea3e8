/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With the real file servers of this machine: they start, are what they should be,
 * and trees come and go in their share. MINKA_TEST_SERVER_ROOT names a directory
 * with another distribution release, whose server is tried too.
 */
#include "closure.h"
#include "leftovers.h"
#include "privileged/confine/internal.h"
#include "privileged/share/internal.h"
#include "privileged/share/share.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { LEASED = 1877020000 };

static void need_root(void) {
    if (geteuid() != 0) {
        print_message("skipped: needs root, to make namespaces and change uids\n");
        skip();
    }
}

struct fixture {
    struct confine_plan monitor_plan, plan;
    int monitor, server; /* pidfds */
    pid_t monitor_pid, server_pid;
    int listen_fd, connected_fd, program, stderr_fd;
    int root; /* of its mount namespace: the C server itself goes on into the share */
    char **strings, **files, **sources;
    char scratch[64];
};

static char word_payload[] = "payload", word_reap[] = "reap";
static char *reap_argv[] = {word_payload, word_reap, NULL};
static char *no_environment[] = {NULL};

/* From another release: the files are taken from below root, and are at their usual places in the jail. */
static void take_files_below(struct fixture *f, const char *root) {
    f->sources = calloc(CONFINE_MOUNTS_MAX + 1, sizeof *f->sources);
    assert_non_null(f->sources);
    size_t count = 0;
    for (size_t i = 0; i < f->plan.n_mounts; i++)
        if (f->plan.mounts[i].kind == CONFINE_MOUNT_BIND && f->plan.mounts[i].executable) {
            f->sources[count] = text_format("%s%s", root, f->plan.mounts[i].source);
            f->plan.mounts[i].source = f->sources[count++];
        }
}

static void start_server(struct fixture *f, const char *root, const char *configured) {
    struct err err = {0};
    *f = (struct fixture){.scratch = "/tmp/minka-share-XXXXXX"};
    assert_non_null(mkdtemp(f->scratch));
    confine_plan_init(&f->monitor_plan, "monitor", LEASED, LEASED);
    f->program = open(PAYLOAD_STATIC, O_RDONLY | O_CLOEXEC);
    f->monitor_plan.executable_fd = f->program;
    f->monitor_plan.argv = reap_argv;
    f->monitor_plan.envp = no_environment;
    if (confine_spawn(&f->monitor_plan, &f->monitor_pid, &f->monitor, &err) < 0 ||
        share_sockets(f->scratch, &f->listen_fd, &f->connected_fd, &err) < 0)
        fail_msg("%s", err.text);
    struct share share = {
        .cache = "auto", .uid = LEASED + 1, .listen_fd = f->listen_fd, .pid_namespace_of = f->monitor};
    f->stderr_fd = share.stderr_fd = fcntl(2, F_DUPFD_CLOEXEC, 3);
    _cleanup_free_ char *path = NULL, *real = text_format("%s%s", root, configured);
    if (share_find_server(real, &share.kind, &path, &err) < 0)
        fail_msg("%s", err.text);
    share.server_path = configured;
    f->files = closure(root, configured);
    assert_non_null(f->files);
    share.server_files = f->files;
    if (share_plan(&share, &f->plan, &f->strings, &err) < 0)
        fail_msg("%s", err.text);
    take_files_below(f, root);
    if (confine_spawn(&f->plan, &f->server_pid, &f->server, &err) < 0)
        fail_msg("%s", err.text);
    int mountinfo = -EBADF;
    if (confine_prove(&f->plan, f->server_pid, false, &err) < 0 ||
        confine_view(f->server_pid, &mountinfo, &f->root, &err) < 0)
        fail_msg("%s", err.text);
    (void)close(mountinfo);
}

static void stop_server(struct fixture *f) {
    struct pollfd gone = {.fd = f->server, .events = POLLIN};
    (void)pidfd_send_signal(f->monitor, SIGKILL, NULL, 0);
    (void)waitid(P_PIDFD, (id_t)f->monitor, NULL, WEXITED);
    assert_int_equal(poll(&gone, 1, 5000), 1);
    close_fd(&f->monitor);
    close_fd(&f->server);
    close_fd(&f->listen_fd);
    close_fd(&f->connected_fd);
    close_fd(&f->program);
    close_fd(&f->stderr_fd);
    close_fd(&f->root);
    free_strv(&f->strings);
    free_strv(&f->files);
    free_strv(&f->sources);
    assert_int_equal(rmdir(f->scratch), 0); /* no socket's path is left */
}

static char *in_server(const struct fixture *f, const char *path) {
    static char text[512];
    (void)snprintf(text, sizeof text, "/proc/self/fd/%d%s", f->root, path);
    return text;
}

static void write_text(const char *path, const char *text, mode_t mode) {
    struct err err = {0};
    if (write_file_atomic(AT_FDCWD, path, text, strlen(text), mode, &err) < 0)
        fail_msg("%s", err.text);
}

static void attach_and_detach(struct fixture *f) {
    struct err err = {0};
    char tree[128], file[128], inner[160], secret[160];
    (void)snprintf(tree, sizeof tree, "%s/tree", f->scratch);
    (void)snprintf(file, sizeof file, "%s/file", f->scratch);
    (void)snprintf(inner, sizeof inner, "%s/inner", tree);
    (void)snprintf(secret, sizeof secret, "%s/secret", tree);
    assert_int_equal(mkdir(tree, 0755), 0);
    assert_int_equal(mkdir(inner, 0755), 0);
    write_text(file, "of a file\n", 0644);
    write_text(secret, "secret\n", 0600);
    assert_int_equal(mount("t", inner, "tmpfs", 0, NULL), 0);

    const struct share_export first[] = {{.source = tree, .name = "box/rootfs", .recursive = true},
                                         {.source = file, .name = "box/3", .readonly = true},
                                         {.source = tree, .name = "other/rootfs"}};
    if (share_attach(f->server, first, ARRAY_SIZE(first), &err) < 0)
        fail_msg("%s", err.text);
    struct stat st;
    assert_int_equal(stat(in_server(f, "/share/box/rootfs/secret"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(in_server(f, "/share/box/3"), &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 10);
    assert_int_equal(stat(in_server(f, "/share/box"), &st), 0);
    assert_true((st.st_mode & 07777) == 0755 && st.st_uid == 0);
    assert_int_equal(open(in_server(f, "/share/box/3"), O_WRONLY | O_CLOEXEC), -1);
    assert_int_equal(errno, EROFS);
    assert_int_equal(mkdir(in_server(f, "/share/new"), 0755), -1);
    assert_int_equal(errno, EROFS); /* the share itself is nobody's to write */
    assert_int_equal(mkdir(in_server(f, "/share/box/rootfs/new"), 0755), 0);
    assert_int_equal(rmdir(in_server(f, "/share/box/rootfs/new")), 0);
    assert_int_equal(confine_prove(&f->plan, f->server_pid, false, &err), 0); /* nosuid, nodev everywhere */

    /* What fails leaves nothing: the second is taken already. */
    const struct share_export again[] = {{.source = tree, .name = "third/rootfs"},
                                         {.source = tree, .name = "box/rootfs"}};
    assert_int_equal(share_attach(f->server, again, 2, &err), -EEXIST);
    assert_int_equal(access(in_server(f, "/share/third/rootfs"), F_OK), -1);
    const struct share_export bad[] = {
        {.source = tree, .name = "box/../x"},     {.source = tree, .name = "/x"},
        {.source = "tree", .name = "x"},          {.source = tree, .name = "box/rootfs/inside"},
        {.source = "/dev/null", .name = "box/4"}, {.source = "/does/not/exist", .name = "box/4"}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (share_attach(f->server, &bad[i], 1, &err) >= 0)
            fail_msg("%s was shared as %s", bad[i].source, bad[i].name);
        assert_true(err.text[0] != '\0');
    }

    /* What the host mounts below later is seen; what is detached is gone, and the host's mounts are not. */
    if (share_detach(f->server, "box", &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(access(in_server(f, "/share/box"), F_OK), -1);
    assert_int_equal(access(in_server(f, "/share/other/rootfs/secret"), F_OK), 0);
    assert_int_equal(share_detach(f->server, "box", &err), 0);
    assert_true(share_detach(f->server, "../x", &err) < 0);
    assert_int_equal(access(secret, F_OK), 0);
    assert_int_equal(umount2(inner, 0), 0);
    assert_int_equal(unlink(secret), 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(inner), 0);
    assert_int_equal(share_detach(f->server, "other", &err), 0);
    assert_int_equal(rmdir(tree), 0);
}

static void run_server(const char *root, const char *path) {
    struct fixture f;
    start_server(&f, root, path);
    attach_and_detach(&f);
    struct pollfd gone = {.fd = f.server, .events = POLLIN};
    assert_int_equal(poll(&gone, 1, 300), 0); /* still there, waiting for the VMM */
    stop_server(&f);
}

static bool exists(const char *root, const char *path) {
    _cleanup_free_ char *full = text_format("%s%s", root, path);
    struct stat st; /* on Debian 13 the old server's path is a link to the new one */
    return lstat(full, &st) == 0 && S_ISREG(st.st_mode);
}

static void test_c_server(void **state) {
    (void)state;
    need_root();
    if (!exists("", "/usr/lib/qemu/virtiofsd")) {
        print_message("skipped: no /usr/lib/qemu/virtiofsd (Debian 12, qemu-system-common)\n");
        skip();
    }
    run_server("", "/usr/lib/qemu/virtiofsd");
}

static void test_rust_server(void **state) {
    (void)state;
    need_root();
    const char *root = getenv("MINKA_TEST_SERVER_ROOT");
    if (!exists(root ? root : "", "/usr/libexec/virtiofsd")) {
        print_message("skipped: no /usr/libexec/virtiofsd (Debian 13, virtiofsd; or set MINKA_TEST_SERVER_ROOT)\n");
        skip();
    }
    run_server(root ? root : "", "/usr/libexec/virtiofsd");
}

static void test_wrong_server_is_refused(void **state) {
    (void)state;
    struct err err = {0};
    enum share_server kind;
    char *path = NULL;
    assert_int_equal(share_find_server("/bin/true", &kind, &path, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "virtio_fs_daemon"));
    assert_int_equal(share_find_server("/does/not/exist", &kind, &path, &err), -ENOENT);
    assert_int_equal(share_find_server("/etc", &kind, &path, &err), -ENOEXEC);
    assert_null(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_c_server),
        cmocka_unit_test(test_rust_server),
        cmocka_unit_test(test_wrong_server_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, kill_leftovers);
}
