/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage 2: becomes the container's process, in the order that each step needs of the one before:
 *
 *   the container's surroundings   (not for an exec) hostname, sysctls, mounts, devices, root
 *   terminal, limits, directory    still as root of the container
 *   the executable is looked up    so that a wrong command fails `create`
 *   seccomp                        here, if no_new_privs is off: then it takes CAP_SYS_ADMIN
 *   identity, capabilities         nothing of the agent's rights is left
 *   READY … GO
 *   seccomp                        or here, if no_new_privs is on: the fewest calls of ours are subject to it
 *   hooks, execve
 *
 * This is crun's order.
 */
#include "guest/agent/path.h"
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bool is_new(Minka__Plan__V1__NamespaceMode mode) {
    return mode == MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW;
}

/* Root of a new or joined user namespace, if that has a root: what is created now shall belong to it. */
static void become_root_of_namespace(const struct stage *stage) {
    if (!stage->user_namespace)
        return;
    (void)syscall(SYS_setgroups, 0, NULL);
    /* EINVAL: 0 is not mapped. The capabilities in the namespace are there without it. */
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return;
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int join_keyring(const struct stage *stage, struct err *err) {
    if (stage->container && stage->container->no_new_keyring)
        return 0;
    /* Named, so that an exec joins the container's. Kernels without keyrings have none to leak. */
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, stage->container_id) < 0 && errno != ENOSYS &&
        errno != EPERM && errno != EACCES)
        return err_errno(err, "cannot join a session keyring");
    return 0;
}

/* ---- the surroundings of a container ---- */

static int set_names(const plan_container *container, struct err *err) {
    if (*container->hostname && sethostname(container->hostname, strlen(container->hostname)) < 0)
        return err_errno(err, "cannot set the hostname '%s'", container->hostname);
    if (*container->domainname && setdomainname(container->domainname, strlen(container->domainname)) < 0)
        return err_errno(err, "cannot set the domainname '%s'", container->domainname);
    return 0;
}

static int set_up_namespaces(const plan_container *container, struct err *err) {
    const Minka__Plan__V1__Namespaces *ns = container->namespaces;
    /* Only now: its root is the cgroup in which the process is. */
    if (ns && is_new(ns->cgroup) && unshare(CLONE_NEWCGROUP) < 0)
        return err_errno(err, "cannot make a cgroup namespace");
    int r = ns && is_new(ns->network) ? namespaces_loopback_up(err) : 0;
    if (r == 0)
        r = set_names(container, err);
    return r < 0 ? r : namespaces_write_sysctls(container, err);
}

/* Everything in the container's tree while the agent's is still there to take it from; then the latter goes. */
static int set_up_root(struct stage *stage, struct err *err) {
    _cleanup_close_ int root = root_open(err);
    int r = root < 0 ? root : mounts_make(stage, root, err);
    if (r == 0)
        r = devices_make(stage, root, err);
    if (r == 0 && stage->process->terminal)
        r = terminal_open(root, stage->process, true, &stage->terminal_master, err);
    if (r < 0)
        return r;
    /* A working directory that is missing is made, by crun and runc alike; if that fails, chdir says it. */
    int directory = path_make_directory(root, stage->process->cwd, NULL);
    close_fd(&directory);
    r = mounts_finish(stage, err);
    if (r == 0)
        r = mounts_restrict(root, stage->container, err);
    return r < 0 ? r : root_enter(root, stage->container, err);
}

static int set_up_container(struct stage *stage, struct err *err) {
    const plan_container *container = stage->container;
    int r = set_up_namespaces(container, err);
    if (r == 0)
        r = set_up_root(stage, err);
    if (r == 0 && container->set_personality && personality((unsigned long)container->personality) < 0)
        return err_errno(err, "cannot set the personality");
    return r;
}

static int set_up_exec(struct stage *stage, struct err *err) {
    if (!stage->process->terminal)
        return 0;
    _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_errno(err, "cannot open the container's root directory");
    return terminal_open(root, stage->process, false, &stage->terminal_master, err);
}

/* ---- the process ---- */

static int enter_directory(const char *path, struct err *err) {
    if (chdir(path) < 0)
        return err_errno(err, "cannot change to the working directory %s", path);
    /* CVE-2024-21626: a path through a descriptor of ours could lead to a directory outside of the container's root,
     * which the kernel names "(unreachable)…". */
    char current[8192];
    if (syscall(SYS_getcwd, current, sizeof current) < 0 || current[0] != '/')
        return err_set(err, ENOENT, "the working directory %s is not inside the container", path);
    return 0;
}

/* As root; if that is refused (a network file system, a user namespace) once more as the user. */
static int try_directory(struct stage *stage, struct err *err) {
    int r = enter_directory(stage->process->cwd, err);
    stage->directory_denied = r == -EACCES || r == -EPERM;
    return stage->directory_denied ? 0 : r;
}

/* As far as it can be known before: execve as the user has the last word. */
static int check_executable_as_user(const struct stage *stage, struct err *err) {
    if (faccessat(AT_FDCWD, stage->executable, X_OK, AT_EACCESS) < 0 && errno == EACCES)
        return err_errno(err, "cannot execute `%s` in the container", stage->process->args[0]);
    return 0;
}

static int become_user(struct stage *stage, struct err *err) {
    const plan_process *process = stage->process;
    int r = 0;
    if (process->no_new_privileges) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
            return err_errno(err, "cannot set no_new_privs");
    } else {
        r = seccomp_load(process, err);
    }
    if (r == 0)
        r = capabilities_bound(process->capabilities, err);
    if (r == 0)
        r = user_become(process, err);
    if (r == 0)
        r = capabilities_apply(process->capabilities, err);
    if (r == 0 && stage->directory_denied)
        r = enter_directory(process->cwd, err);
    return r < 0 ? r : check_executable_as_user(stage, err);
}

static int set_up_process(struct stage *stage, struct err *err) {
    const plan_process *process = stage->process;
    int r = try_directory(stage, err);
    if (r == 0)
        r = user_environment(process, &stage->environment, err);
    if (r == 0)
        r = executable_find(process->args[0], stage->environment, &stage->executable, err);
    if (r == 0)
        r = limits_apply(process, &stage->nofile, err);
    if (r < 0)
        return r;
    (void)umask(process->set_umask ? process->umask & 0777 : 0022);
    return become_user(stage, err);
}

static int set_up(struct stage *stage, struct err *err) {
    become_root_of_namespace(stage);
    if (setsid() < 0)
        return err_errno(err, "cannot start a session");
    int r = join_keyring(stage, err);
    if (r == 0)
        r = stage->container ? set_up_container(stage, err) : set_up_exec(stage, err);
    return r < 0 ? r : set_up_process(stage, err);
}

/* 0 when GO came, else the agent has gone or does not want the process any more. */
static int wait_for_go(int report) {
    char byte;
    ssize_t n;
    do
        n = read(report, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : -ECANCELED;
}

static char **arguments(const plan_process *process) {
    char **args = calloc(process->n_args + 1, sizeof *args);
    for (size_t i = 0; args && i < process->n_args; i++)
        args[i] = process->args[i];
    return args;
}

/* From GO on. Returns only if it failed. */
static int execute(struct stage *stage, struct err *err) {
    char **args = arguments(stage->process);
    if (!args)
        return err_set(err, ENOMEM, "out of memory");
    /* Everything but the streams is close-on-exec already; a second lock on the door, which also costs nothing. */
    if (syscall(SYS_close_range, stage->process->streams.len, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return err_errno(err, "cannot mark descriptors");
    int r = stage->process->no_new_privileges ? seccomp_load(stage->process, err) : 0;
    if (r == 0 && stage->container)
        r = hooks_run(stage->container, err);
    if (r < 0)
        return r;
    (void)execve(stage->executable, args, stage->environment);
    return err_errno(err, "cannot execute `%s` in the container", stage->executable);
}

void stage2_run(struct stage *stage) {
    struct err err = {0};
    char byte;
    /* The end of file: stage 1 has failed, and says why itself. */
    if (read(stage->sync, &byte, 1) != 1)
        _exit(1);
    close_fd(&stage->sync);
    int r = set_up(stage, &err);
    if (r == 0) {
        r = stage_report(stage->report, LAUNCH_READY, 0, stage->terminal_master);
        close_fd(&stage->terminal_master);
        if (r < 0 || wait_for_go(stage->report) < 0)
            _exit(1);
        r = execute(stage, &err);
    }
    stage_report_failure(stage->report, &err);
    _exit(1);
}
