/* SPDX-License-Identifier: Apache-2.0 */
#include "launch-fixture.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { TIMEOUT_MSEC = 20000 };

#define BUSYBOX "/run/busybox"

/* ---- the surroundings ---- */

static const char *const busybox_paths[] = {"/bin/busybox", "/usr/bin/busybox"};

static const char *find_busybox(void) {
    for (size_t i = 0; i < ARRAY_SIZE(busybox_paths); i++)
        if (access(busybox_paths[i], X_OK) == 0)
            return busybox_paths[i];
    return NULL;
}

static void die(const char *what) {
    perror(what);
    _exit(99);
}

/* A cgroup of the test's own as root of a cgroup namespace; the name is known to the parent, which removes it. */
static void enter_cgroup(const char *name) {
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") < 0)
        die("mount namespace");
    if (mkdir("/run/cgroup", 0755) < 0 || mount("cgroup2", "/run/cgroup", "cgroup2", 0, NULL) < 0)
        die("mount cgroup2");
    _cleanup_close_ int root = open("/run/cgroup", O_PATH | O_CLOEXEC);
    _cleanup_free_ char *processes = text_format("%s/cgroup.procs", name);
    if (mkdirat(root, name, 0755) < 0 || write_kernel_file(root, processes, "0") < 0)
        die("enter cgroup");
    if (unshare(CLONE_NEWCGROUP) < 0 || umount2("/run/cgroup", MNT_DETACH) < 0 ||
        mount("cgroup2", "/run/cgroup", "cgroup2", 0, NULL) < 0)
        die("cgroup namespace");
    cgroup_set_mount_point("/run/cgroup");
}

static void remove_cgroup(const char *name) {
    char place[] = "/tmp/launch-cgroup.XXXXXX";
    if (!mkdtemp(place))
        return;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("cgroup2", place, "cgroup2", 0, NULL) < 0)
        die("mount cgroup2");
    /* What a failed test has left goes too. The kernel needs a moment to end processes. */
    _cleanup_free_ char *command = text_format(
        "cd %s/%s && echo 1 >cgroup.kill; for i in 1 2 3 4 5 6 7 8 9; do"
        " find . -depth -mindepth 1 -type d -exec rmdir {} + 2>/dev/null; cd ..; rmdir %s 2>/dev/null && break;"
        " sleep 0.1; cd %s; done",
        place, name, name, name);
    (void)!system(command);
    (void)umount2(place, MNT_DETACH);
    (void)rmdir(place);
}

int fixture_main(int (*tests)(void)) {
    if (geteuid() != 0 || !find_busybox()) {
        (void)fprintf(stderr, "skipped: %s\n", geteuid() ? "needs root" : "needs busybox-static");
        return 77;
    }
    _cleanup_free_ char *cgroup = text_format("launch-test-%d", getpid());
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        enter_cgroup(cgroup);
        struct err err;
        if (container_cgroup_setup(&err) < 0) {
            (void)fprintf(stderr, "%s\n", err.text);
            _exit(99);
        }
        _cleanup_free_ char *copy = text_format("cp %s " BUSYBOX, find_busybox());
        if (system(copy) != 0)
            die("cp busybox");
        int failed = tests();
        (void)fflush(NULL);
        _exit(failed ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return 99;
    remove_cgroup(cgroup);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

/* ---- plans ---- */

static void make_root(struct fixture_plan *plan) {
    strcpy(plan->root_path, "/run/root.XXXXXX");
    assert_non_null(mkdtemp(plan->root_path));
    assert_int_equal(chmod(plan->root_path, 0755), 0);
    fixture_shell(plan, "mkdir bin etc proc sys dev tmp home && chmod 1777 tmp && cp " BUSYBOX " bin/busybox &&"
                        "for a in $(bin/busybox --list | grep -v ^busybox); do ln -s busybox bin/$a; done;"
                        "printf 'root:x:0:0::/root:/bin/sh\\nuser:x:1000:1000::/home/user:/bin/sh\\n' >etc/passwd");
}

void fixture_script(struct fixture_plan *plan, const char *script) {
    plan->args[0] = (char *)(uintptr_t)("sh");
    plan->args[1] = (char *)(uintptr_t)("-c");
    plan->args[2] = (char *)(uintptr_t)script;
    plan->process.args = plan->args;
    plan->process.n_args = 3;
}

Minka__Plan__V1__Mount *fixture_mount(struct fixture_plan *plan, const char *type, const char *source,
                                      const char *destination, uint64_t flags, const char *data) {
    size_t i = plan->container.n_mounts++;
    assert_true(i < FIXTURE_LIST_MAX);
    Minka__Plan__V1__Mount *mount = plan->mounts[i] = &plan->mount[i];
    minka__plan__v1__mount__init(mount);
    mount->type = (char *)(uintptr_t)type;
    mount->source = (char *)(uintptr_t)source;
    mount->destination = (char *)(uintptr_t)destination;
    mount->flags = flags;
    mount->data = (char *)(uintptr_t)data;
    plan->container.mounts = plan->mounts;
    return mount;
}

void fixture_device(struct fixture_plan *plan, const char *path, uint32_t mode, uint32_t major, uint32_t minor) {
    size_t i = plan->container.n_devices++;
    assert_true(i < FIXTURE_LIST_MAX);
    plan->devices[i] = &plan->device[i];
    minka__plan__v1__device__init(&plan->device[i]);
    plan->device[i].path = (char *)(uintptr_t)path;
    plan->device[i].mode = mode;
    plan->device[i].major = major;
    plan->device[i].minor = minor;
    plan->container.devices = plan->devices;
}

static void add_symlink(struct fixture_plan *plan, const char *path, const char *target) {
    size_t i = plan->container.n_symlinks++;
    plan->symlinks[i] = &plan->symlink[i];
    minka__plan__v1__symlink__init(&plan->symlink[i]);
    plan->symlink[i].path = (char *)(uintptr_t)path;
    plan->symlink[i].target = (char *)(uintptr_t)target;
    plan->container.symlinks = plan->symlinks;
}

static const uint64_t default_capabilities = 0xa80425fb; /* Docker's and Podman's usual fourteen */

void fixture_plan(struct fixture_plan *plan, const char *script) {
    memset(plan, 0, sizeof *plan);
    minka__plan__v1__container__init(&plan->container);
    minka__plan__v1__namespaces__init(&plan->namespaces);
    minka__plan__v1__root__init(&plan->root);
    minka__plan__v1__process__init(&plan->process);
    minka__plan__v1__capabilities__init(&plan->capabilities);
    minka__plan__v1__cgroup__init(&plan->cgroup);
    make_root(plan);
    static unsigned number;
    (void)snprintf(plan->id, sizeof plan->id, "test-%u", ++number); /* one that failed does not spoil the next */
    plan->container.id = plan->id;
    plan->container.namespaces = &plan->namespaces;
    plan->container.root = &plan->root;
    plan->container.process = &plan->process;
    plan->container.cgroup = &plan->cgroup;
    plan->root.path = plan->root_path;
    const Minka__Plan__V1__NamespaceMode new = MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW;
    plan->namespaces.mount = plan->namespaces.pid = plan->namespaces.ipc = plan->namespaces.uts = new;
    plan->namespaces.network = plan->namespaces.cgroup = new;
    fixture_mount(plan, "proc", "proc", "/proc", 0, "");
    fixture_mount(plan, "tmpfs", "tmpfs", "/dev", MS_NOSUID, "mode=755");
    fixture_mount(plan, "devpts", "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
                  "newinstance,ptmxmode=0666,mode=0620,gid=5");
    fixture_mount(plan, "mqueue", "mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    fixture_mount(plan, "sysfs", "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "");
    fixture_mount(plan, "cgroup2", "cgroup", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "");
    fixture_device(plan, "/dev/null", S_IFCHR | 0666, 1, 3);
    fixture_device(plan, "/dev/zero", S_IFCHR | 0666, 1, 5);
    fixture_device(plan, "/dev/tty", S_IFCHR | 0666, 5, 0);
    add_symlink(plan, "/dev/ptmx", "pts/ptmx");
    add_symlink(plan, "/dev/fd", "/proc/self/fd");
    fixture_script(plan, script);
    plan->env[0] = (char *)(uintptr_t)("PATH=/bin");
    plan->process.env = plan->env;
    plan->process.n_env = 1;
    plan->process.cwd = (char *)(uintptr_t)("/");
    fixture_terminal(plan, false);
    plan->process.no_new_privileges = true;
    plan->process.capabilities = &plan->capabilities;
    plan->capabilities.bounding = plan->capabilities.effective = plan->capabilities.permitted = default_capabilities;
}

void fixture_terminal(struct fixture_plan *plan, bool terminal) {
    plan->process.terminal = terminal;
    streams_standard(plan->streams, terminal);
    plan->process.streams = (ProtobufCBinaryData){.data = plan->streams, .len = STREAMS_STANDARD};
}

size_t fixture_stream(struct fixture_plan *plan, enum stream_kind kind) {
    assert_true(plan->process.streams.len < STREAMS_MAX);
    plan->streams[plan->process.streams.len] = (uint8_t)kind;
    return plan->process.streams.len++;
}

void fixture_user_namespace(struct fixture_plan *plan) {
    plan->namespaces.user = MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW;
    for (size_t i = 0; i < 2; i++) {
        minka__plan__v1__id_mapping__init(&plan->mapping[i]);
        plan->mapping[i].host_id = 100000;
        plan->mapping[i].size = 65536;
    }
    plan->uids[0] = &plan->mapping[0];
    plan->gids[0] = &plan->mapping[1];
    plan->namespaces.uid_mappings = plan->uids;
    plan->namespaces.gid_mappings = plan->gids;
    plan->namespaces.n_uid_mappings = plan->namespaces.n_gid_mappings = 1;
    fixture_shell(plan, "chown -R -h 100000:100000 .");
}

void fixture_shell(const struct fixture_plan *plan, const char *command) {
    _cleanup_free_ char *line = text_format("cd %s && { %s\n}", plan->root_path, command);
    assert_non_null(line);
    assert_int_equal(system(line), 0);
}

const char *fixture_file(const struct fixture_plan *plan, const char *path) {
    static char content[4096];
    _cleanup_free_ char *full = text_format("%s/%s", plan->root_path, path);
    _cleanup_free_ char *text = NULL;
    if (read_file(AT_FDCWD, full, sizeof content - 1, &text, NULL, NULL) < 0)
        return "";
    text[strcspn(text, "\n")] = '\0';
    return strcpy(content, text);
}

/* ---- running them ---- */

static bool readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, TIMEOUT_MSEC) == 1;
}

/* One report; false at end of file. */
static bool next_report(struct fixture_result *result) {
    struct launch_report report;
    size_t n_fds = 0;
    int fd = -EBADF;
    assert_true(readable(result->launch.report));
    ssize_t n = receive_with_fds(result->launch.report, &report, sizeof report, &fd, 1, &n_fds);
    if (n == 0)
        return false;
    assert_int_equal(n, sizeof report);
    if (report.kind == LAUNCH_PID) {
        result->pid = report.pid;
    } else if (report.kind == LAUNCH_READY) {
        result->ready = true;
        result->master = n_fds ? fd : -EBADF;
    } else {
        assert_int_equal(report.kind, LAUNCH_FAILED);
        assert_false(result->failed); /* one sentence, not several */
        result->failed = true;
        result->code = report.code;
        strcpy(result->text, report.text);
    }
    return true;
}

void fixture_continue(struct fixture_result *result) {
    result->master = -EBADF;
    while (!result->ready && next_report(result))
        ;
    int status;
    assert_int_equal(waitpid(result->launch.stage1, &status, 0), result->launch.stage1);
    assert_true(WIFEXITED(status));
}

void fixture_create(const struct fixture_plan *plan, struct fixture_result *result) {
    static const struct launch_sandbox sandbox = {-EBADF, -EBADF, -EBADF};
    struct err err = {0};
    memset(result, 0, sizeof *result);
    result->master = -EBADF;
    assert_int_equal(launch_container(&plan->container, &sandbox, &result->launch, &err), 0);
    fixture_continue(result);
}

void fixture_exec(const struct fixture_plan *plan, pid_t init_pid, struct fixture_result *result) {
    struct err err = {0};
    memset(result, 0, sizeof *result);
    result->master = -EBADF;
    assert_int_equal(launch_exec(plan->container.id, init_pid, &plan->process, &result->launch, &err), 0);
    fixture_continue(result);
}

void fixture_start(struct fixture_result *result) {
    if (result->ready)
        assert_int_equal(write(result->launch.report, "", 1), 1);
    while (next_report(result))
        ;
}

/* What is there to be read goes behind what is in text; closes the descriptor at its end. */
static void collect(int *fd, char text[FIXTURE_OUTPUT_MAX]) {
    size_t length = strlen(text);
    ssize_t n = read(*fd, text + length, FIXTURE_OUTPUT_MAX - 1 - length);
    if (n > 0)
        text[length + (size_t)n] = '\0';
    else if (n == 0 || errno != EAGAIN)
        close_fd(fd);
}

void fixture_wait(struct fixture_result *result) {
    close_fd(&result->launch.streams[0].fd);
    int *out = result->master >= 0 ? &result->master : &result->launch.streams[1].fd;
    int *error = &result->launch.streams[2].fd;
    while (*out >= 0 || *error >= 0) {
        struct pollfd fds[] = {{.fd = *out, .events = POLLIN}, {.fd = *error, .events = POLLIN}};
        assert_true(poll(fds, 2, TIMEOUT_MSEC) > 0);
        if (fds[0].revents)
            collect(out, result->out);
        if (fds[1].revents)
            collect(error, result->error);
    }
    if (result->pid)
        assert_int_equal(waitpid(result->pid, &result->status, 0), result->pid);
    close_fd(&result->launch.report);
}

void fixture_remove(const struct fixture_plan *plan, struct fixture_result *result) {
    (void)result;
    assert_int_equal(container_cgroup_kill(plan->container.id), 0);
    int r = -EBUSY;
    for (int i = 0; i < 200 && r == -EBUSY; i++) {
        r = container_cgroup_remove(plan->container.id);
        (void)waitpid(-1, NULL, WNOHANG);
        if (r == -EBUSY)
            (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    assert_int_equal(r, 0);
}

void fixture_run(const struct fixture_plan *plan, struct fixture_result *result) {
    fixture_create(plan, result);
    fixture_start(result);
    fixture_wait(result);
    fixture_remove(plan, result);
}

void fixture_expect(const struct fixture_plan *plan, const char *out) {
    static struct fixture_result result;
    fixture_run(plan, &result);
    if (result.failed)
        fail_msg("the launch failed: %s", result.text);
    assert_string_equal(result.error, "");
    assert_string_equal(result.out, out);
    assert_true(WIFEXITED(result.status));
    assert_int_equal(WEXITSTATUS(result.status), 0);
}

void fixture_expect_failure(const struct fixture_plan *plan, const char *text) {
    static struct fixture_result result;
    fixture_run(plan, &result);
    assert_true(result.failed);
    assert_string_equal(result.text, text);
    assert_true(result.code > 0);
}
