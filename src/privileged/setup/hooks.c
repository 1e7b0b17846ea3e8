/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks on the host: runtime-spec, config.md, "POSIX-platform Hooks". */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_MAX = 400 }; /* what of a failed hook's output goes into the error */

struct hook_run {
    const struct oci_hook *hook;
    const char *bundle;
    int net_namespace; /* to be entered, -EBADF none */
    int input;         /* the state document */
    int output;        /* write end of a pipe */
};

/* Between fork and exec. The hook is the administrator's own program, so it keeps this command's rights. */
_Noreturn static void execute(const struct hook_run *run) {
    (void)signals_reset();
    if (dup2(run->input, STDIN_FILENO) < 0 || dup2(run->output, STDOUT_FILENO) < 0 ||
        dup2(run->output, STDERR_FILENO) < 0)
        _exit(127);
    if (run->net_namespace >= 0 && setns(run->net_namespace, CLONE_NEWNET) < 0) {
        (void)dprintf(STDERR_FILENO, "cannot enter the container's network namespace: %s", strerror(errno));
        _exit(127);
    }
    if (run->bundle[0] && chdir(run->bundle) < 0) {
        (void)dprintf(STDERR_FILENO, "cannot enter the bundle: %s", strerror(errno));
        _exit(127);
    }
    char *path_only[] = {run->hook->path, NULL};
    /* Without an environment of its own it gets the caller's, as with runc and crun. */
    (void)execve(run->hook->path, run->hook->n_args > 0 ? run->hook->args : path_only,
                 run->hook->n_env > 0 ? run->hook->env : environ);
    (void)dprintf(STDERR_FILENO, "cannot execute it: %s", strerror(errno));
    _exit(127);
}

/* Takes what the hook writes, keeping the beginning, so that it never blocks on a full pipe. */
static void take_output(int fd, char *text, size_t *length) {
    char rest[4096];
    for (;;) {
        bool room = *length < MESSAGE_MAX;
        ssize_t n = read(fd, room ? text + *length : rest, room ? MESSAGE_MAX - *length : sizeof rest);
        if (n <= 0)
            return;
        if (room)
            *length += (size_t)n;
    }
}

/* 0 when it has ended, -ETIMEDOUT. A grandchild that holds on to the pipe does not count. */
static int await_hook(int pidfd, int output, int64_t deadline, char *text, size_t *length) {
    bool open = true;
    for (;;) {
        struct pollfd p[] = {{.fd = pidfd, .events = POLLIN}, {.fd = open ? output : -1, .events = POLLIN}};
        int64_t left = deadline - monotonic_msec();
        int n = interrupt_poll(p, 2, deadline == 0 ? -1 : left > 0 ? (int)left : 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0 && interrupt_check(NULL) < 0)
            return -EINTR;
        take_output(output, text, length);
        if (n > 0 && p[0].revents)
            return 0;
        if (n > 0 && (p[1].revents & POLLHUP))
            open = false;
    }
}

static void one_line(char *text) {
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
}

static int judge(const struct oci_hook *hook, const char *kind, int waited, int status, char *output, struct err *err) {
    one_line(output);
    const char *colon = output[0] ? ": " : "";
    if (waited == -ETIMEDOUT)
        return err_set(err, ETIMEDOUT, "the %s hook %s took longer than its timeout of %u seconds%s%s", kind,
                       hook->path, hook->timeout_sec, colon, output);
    if (waited == -EINTR)
        return err_set(err, EINTR, "interrupted during the %s hook %s", kind, hook->path);
    if (waited < 0)
        return err_set(err, -waited, "cannot wait for the %s hook %s", kind, hook->path);
    if (WIFSIGNALED(status))
        return err_set(err, EIO, "the %s hook %s was ended by signal %d%s%s", kind, hook->path, WTERMSIG(status), colon,
                       output);
    if (WEXITSTATUS(status) != 0)
        return err_set(err, EIO, "the %s hook %s failed with exit code %d%s%s", kind, hook->path, WEXITSTATUS(status),
                       colon, output);
    return 0;
}

static int run_hook(const struct hook_run *run, int output, const char *kind, struct err *err) {
    pid_t pid = fork();
    if (pid < 0)
        return err_errno_name(err, "cannot start the %s hook %s", kind, run->hook->path);
    if (pid == 0)
        execute(run);
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    char text[MESSAGE_MAX + 1] = "";
    size_t length = 0;
    int64_t deadline = run->hook->has_timeout && run->hook->timeout_sec > 0
                           ? monotonic_msec() + (int64_t)run->hook->timeout_sec * 1000
                           : 0;
    int waited = pidfd < 0 ? -errno : await_hook(pidfd, output, deadline, text, &length);
    if (waited < 0)
        (void)kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    take_output(output, text, &length);
    text[length] = '\0';
    return judge(run->hook, kind, waited, status, text, err);
}

static int start_hook(const struct oci_hook *hook, const char *kind, const struct state *state,
                      const struct buf *document, int net_namespace, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno_name(err, "cannot make a pipe");
    _cleanup_close_ int output = ends[0], output_write = ends[1];
    (void)fd_set_nonblock(output, 1);
    /* A memory file, not a pipe: a hook that does not read its input must not make us wait. */
    _cleanup_close_ int input = memfd_of("minka-state", document->data, document->length);
    if (input < 0)
        return err_set(err, -input, "cannot make the state document (%s)", strerrorname_np(-input));
    struct hook_run run = {
        .hook = hook,
        .bundle = state->bundle,
        .net_namespace = net_namespace,
        .input = input,
        .output = output_write,
    };
    return run_hook(&run, output, kind, err);
}

static int open_namespace(enum oci_hook_kind kind, int pid, int *ret, struct err *err) {
    if (kind != OCI_HOOK_CREATE_CONTAINER || pid <= 0)
        return 0;
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    *ret = open(path, O_RDONLY | O_CLOEXEC);
    return *ret < 0 ? err_errno_name(err, "cannot open the container's network namespace") : 0;
}

int setup_run_hooks(const struct oci_spec *spec, enum oci_hook_kind kind, const struct state *state, const char *status,
                    int pid, struct err *err) {
    const struct oci_hook_list *list = &spec->hooks[kind];
    if (list->count == 0)
        return 0;
    _cleanup_buf_ struct buf document = {0};
    _cleanup_close_ int net_namespace = -EBADF;
    if (oci_state_json(&document, state->oci_version, state->id, status, pid, state->bundle, spec->annotations,
                       spec->n_annotations) < 0)
        return err_set(err, ENOMEM, "out of memory");
    int r = open_namespace(kind, pid, &net_namespace, err);
    if (r < 0)
        return r;
    bool all = kind == OCI_HOOK_POSTSTART || kind == OCI_HOOK_POSTSTOP;
    int result = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct err now = {0};
        r = start_hook(&list->hooks[i], oci_hook_name(kind), state, &document, net_namespace, &now);
        if (r >= 0 || result < 0)
            continue;
        result = r;
        if (err)
            *err = now;
        if (!all)
            break;
    }
    return result;
}
