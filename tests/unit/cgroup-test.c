/* SPDX-License-Identifier: Apache-2.0 */
/* Names and texts for every layout; and real cgroups, in whatever layout this machine has, when root. */
#include "privileged/cgroup/cgroup.h"
#include "privileged/cgroup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static void expect_path(const char *from, const char *to) {
    char path[PATH_MAX] = "";
    struct err err = {0};
    int r = cgroup_resolve(from, path, &err);
    if (!to) {
        if (r >= 0)
            fail_msg("\"%s\" became %s", from, path);
        assert_non_null(strstr(err.text, "slice:prefix:name"));
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal(path, to);
}

static void test_paths(void **state) {
    (void)state;
    expect_path("/libpod_parent/libpod-1", "/libpod_parent/libpod-1");
    expect_path("a/b", "/a/b");
    expect_path("machine.slice:libpod:1f", "/machine.slice/libpod-1f.scope");
    expect_path("user-1000-x.slice:docker:2", "/user.slice/user-1000.slice/user-1000-x.slice/docker-2.scope");
    expect_path(":cri:3", "/system.slice/cri-3.scope");
    expect_path("-.slice:cri:3", "/cri-3.scope");
    expect_path("a.slice::b.slice", "/a.slice/b.slice");
    expect_path("a.slice::b", "/a.slice/b.scope");
    assert_true(cgroup_path_is_systemd("machine.slice:libpod:1f"));
    assert_false(cgroup_path_is_systemd("/machine.slice:libpod:1f"));
    assert_false(cgroup_path_is_systemd("machine.slice"));
    assert_false(cgroup_path_is_systemd("machine.slice:1f"));
    static const char *const bad[] = {"",
                                      "/",
                                      "//",
                                      "/..",
                                      "/a/../b",
                                      "a/./b",
                                      "x:y:z",
                                      "a.slice:b",
                                      "a.slice:b:c:d",
                                      "a.slice:b:",
                                      ".slice:b:c",
                                      "a--b.slice:b:c",
                                      "-a.slice:b:c",
                                      "a/b.slice:c:d"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_path(bad[i], NULL);
}

static void test_layouts(void **state) {
    (void)state;
    static const char hybrid[] = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                                 "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
                                 "33 31 0:29 / /mnt/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
                                 "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd\n"
                                 "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                 "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    struct hierarchies all;
    struct err err = {0};
    assert_int_equal(hierarchies_parse(hybrid, &all, &err), 0);
    assert_int_equal(all.count, 4); /* each once */
    assert_string_equal(all.at[0].mount, "/sys/fs/cgroup/cpu");
    assert_true(hierarchy_has(&all.at[0], "cpu") && hierarchy_has(&all.at[0], "cpuacct"));
    assert_false(hierarchy_has(&all.at[0], "cpua") || hierarchy_has(&all.at[0], "rw"));
    assert_string_equal(all.at[1].controllers, "name=systemd");
    assert_string_equal(all.at[2].root, "/docker/1");
    assert_true(all.at[3].unified);
    hierarchies_done(&all);

    assert_int_equal(
        hierarchies_parse("26 20 0:24 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", &all, &err), 0);
    assert_int_equal(all.count, 1);
    hierarchies_done(&all);
    assert_int_equal(hierarchies_parse("nonsense\n", &all, &err), -EBADMSG);
    assert_int_equal(hierarchies_parse("", &all, &err), 0);
    assert_int_equal(all.count, 0);
}

/* A directory with the files of a cgroup, to see what is written. */
static char fake[] = "/tmp/minka-cgroup-XXXXXX";

static void fake_file(const char *name) {
    _cleanup_free_ char *path = text_format("%s/%s", fake, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void expect_content(const char *name, const char *text) {
    _cleanup_free_ char *path = text_format("%s/%s", fake, name), *content = NULL;
    assert_int_equal(read_file(AT_FDCWD, path, 4096, &content, NULL, NULL), 0);
    assert_string_equal(content, text);
    (void)unlink(path);
}

static void test_words_of_each_version(void **state) {
    (void)state;
    assert_non_null(mkdtemp(fake));
    _cleanup_close_ int dir = open(fake, O_PATH | O_DIRECTORY | O_CLOEXEC);
    static const char *const v1[] = {"memory.limit_in_bytes", "pids.max", "cpu.shares", "cpu.cfs_quota_us",
                                     "cpu.cfs_period_us"};
    static const char *const v2[] = {"memory.max", "pids.max", "cpu.weight", "cpu.max"};
    char mount[] = "/x", root[] = "/", controllers[] = "memory,pids,cpu";
    struct hierarchy h = {.mount = mount, .root = root, .controllers = controllers};
    struct cgroup_limits limits = {
        .memory_bytes = 1 << 28, .pids = 100, .cpu_quota_usec = 150000, .cpu_period_usec = 100000, .cpu_shares = 1024};
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_SIZE(v1); i++)
        fake_file(v1[i]);
    assert_int_equal(cgroup_apply_limits(&h, dir, &limits, &err), 0);
    expect_content("memory.limit_in_bytes", "268435456");
    expect_content("pids.max", "100");
    expect_content("cpu.shares", "1024");
    expect_content("cpu.cfs_quota_us", "150000");
    expect_content("cpu.cfs_period_us", "100000");

    h.unified = true;
    for (size_t i = 0; i < ARRAY_SIZE(v2); i++)
        fake_file(v2[i]);
    assert_int_equal(cgroup_apply_limits(&h, dir, &limits, &err), 0);
    expect_content("memory.max", "268435456");
    expect_content("pids.max", "100");
    expect_content("cpu.weight", "39");
    expect_content("cpu.max", "150000 100000");
    fake_file("cpu.max");
    assert_int_equal(cgroup_apply_limits(&h, dir, &(struct cgroup_limits){.cpu_quota_usec = -1}, &err), 0);
    expect_content("cpu.max", "max 100000");
    assert_int_equal(cgroup_apply_limits(&h, dir, &(struct cgroup_limits){0}, &err), 0); /* leaves all alone */
    assert_true(cgroup_apply_limits(&h, dir, &limits, &err) < 0); /* a file that is not there is an error */
    assert_non_null(strstr(err.text, "memory.max"));
    assert_int_equal(rmdir(fake), 0);
}

static void need_cgroups(void) {
    struct hierarchies all;
    struct err err = {0};
    bool any = hierarchies_find(&all, &err) == 0 && all.count > 0;
    hierarchies_done(&all);
    if (geteuid() != 0 || !any) {
        print_message("skipped: needs root and a mounted cgroup hierarchy\n");
        skip();
    }
}

static char path[128];

static bool is_anywhere(const char *name) {
    struct hierarchies all;
    struct err err = {0};
    bool found = false;
    assert_int_equal(hierarchies_find(&all, &err), 0);
    for (size_t i = 0; i < all.count; i++) {
        int fd = hierarchy_open(&all.at[i], name);
        found = found || fd >= 0;
        if (fd >= 0)
            (void)close(fd);
    }
    hierarchies_done(&all);
    return found;
}

static pid_t start_in(const char *cgroup, bool stubborn) {
    struct err err = {0};
    int go[2];
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        (void)close(go[1]);
        (void)!read(go[0], &c, 1); /* until it is in its cgroup: a child made earlier would not be */
        if (stubborn) {
            (void)signal(SIGTERM, SIG_IGN);
            (void)fork();
            (void)fork();
        }
        for (;;)
            (void)pause();
    }
    if (cgroup_add(cgroup, pid, &err) < 0)
        fail_msg("%s", err.text);
    (void)close(go[0]);
    (void)close(go[1]);
    return pid;
}

static void test_life(void **state) {
    (void)state;
    need_cgroups();
    struct err err = {0};
    (void)snprintf(path, sizeof path, "/minka-test-%d/box", getpid());
    bool created = false;
    const struct cgroup_limits limits = {
        .memory_bytes = 64 << 20, .pids = 20, .cpu_shares = 512, .cpu_quota_usec = 50000, .cpu_period_usec = 100000};
    if (cgroup_create(path, &limits, false, &created, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(created);
    bool again = true;
    if (cgroup_create(path, &limits, false, &again, &err) < 0) /* empty, so it is used */
        fail_msg("%s", err.text);
    assert_false(again);

    pid_t pid = start_in(path, false);
    _cleanup_free_ char *file = text_format("/proc/%d/cgroup", pid), *text = NULL;
    assert_int_equal(read_file(AT_FDCWD, file, 65536, &text, NULL, &err), 0);
    size_t lines = 0, inside = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++)
        inside += strstr(line, path) != NULL;
    assert_true(lines > 0);
    assert_int_equal(inside, lines); /* in every hierarchy */
    assert_int_equal(cgroup_create(path, &limits, false, &again, &err), -EBUSY);

    const struct cgroup_limits fewer = {.pids = 10, .cpu_quota_usec = 20000, .cpu_period_usec = 50000};
    if (cgroup_update(path, &fewer, &err) < 0)
        fail_msg("%s", err.text);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    if (cgroup_remove(path, &err) < 0)
        fail_msg("%s", err.text);
    assert_false(is_anywhere(path));
    assert_int_equal(cgroup_remove(path, &err), 0); /* not there: fine */
}

static void test_remove_kills(void **state) {
    (void)state;
    need_cgroups();
    struct err err = {0};
    bool created;
    _cleanup_free_ char *nested = text_format("%s/nested/deeper", path);
    const struct cgroup_limits limits = {.pids = 20};
    if (cgroup_create(path, &limits, false, &created, &err) < 0 ||
        cgroup_create(nested, &(struct cgroup_limits){0}, false, &created, &err) < 0)
        fail_msg("%s", err.text);
    pid_t pid = start_in(nested, true);
    if (cgroup_remove(path, &err) < 0)
        fail_msg("%s", err.text);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(is_anywhere(path));
}

static void test_suicide_is_refused(void **state) {
    (void)state;
    need_cgroups();
    struct err err = {0};
    bool created;
    const struct cgroup_limits none = {0};
    if (cgroup_create(path, &none, false, &created, &err) < 0)
        fail_msg("%s", err.text);
    pid_t pid = fork();
    if (pid == 0) {
        int r = cgroup_add(path, 0, &err);
        _exit(r == 0 && cgroup_remove(path, &err) == -EDEADLK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(cgroup_remove(path, &err), 0);
    path[strlen(path) - strlen("/box")] = '\0';
    assert_int_equal(cgroup_remove(path, &err), 0);
    assert_false(is_anywhere(path));
}

/* Each child makes and removes sandboxes below the default parent, which comes and goes meanwhile. */
static int come_and_go(int child) {
    char own[64];
    struct err err = {0};
    for (int i = 0; i < 40; i++) {
        bool created = false;
        (void)snprintf(own, sizeof own, CGROUP_DEFAULT_PARENT "/test-%d-%d", getpid(), child);
        if (cgroup_create(own, &(struct cgroup_limits){.pids = 20}, false, &created, &err) < 0 || !created ||
            !is_anywhere(own) || cgroup_remove(own, &err) < 0 || is_anywhere(own)) {
            print_message("%s\n", err.text);
            return 1;
        }
    }
    return 0;
}

static void test_default_parent(void **state) {
    (void)state;
    need_cgroups();
    pid_t children[4];
    bool others = is_anywhere(CGROUP_DEFAULT_PARENT); /* sandboxes of somebody else, who may end meanwhile */
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(come_and_go((int)i));
    }
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    if (!others)
        assert_false(is_anywhere(CGROUP_DEFAULT_PARENT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_words_of_each_version),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_remove_kills),
        cmocka_unit_test(test_suicide_is_refused),
        cmocka_unit_test(test_default_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
