/* SPDX-License-Identifier: Apache-2.0 */
/*
 * startContainer hooks: in the container, as its user, right before its process; runtime-spec, config.md,
 * "POSIX-platform Hooks". The state is on their stdin. What they print is kept back for the error, should they fail.
 */
#include "guest/agent/stage.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/signals.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

typedef Minka__Plan__V1__Hook plan_hook;

enum { OUTPUT_KEPT = 256 };

struct running_hook {
    pid_t pid;
    int input, output, process; /* our ends of its stdin and stdout, a pidfd */
    char text[OUTPUT_KEPT + 1]; /* the beginning of what it said */
    size_t length;
};

static void running_hook_done(struct running_hook *hook) {
    close_fd(&hook->input);
    close_fd(&hook->output);
    close_fd(&hook->process);
}

/* The state of the plan has no pid, since that is known here only. It is the one that the container itself sees. */
static int add_pid(const ProtobufCBinaryData *state, struct buf *ret) {
    size_t length = state->len;
    while (length > 0 && strchr(" \t\r\n", state->data[length - 1]))
        length--;
    if (length > 0 && state->data[length - 1] == '}')
        length--;
    int r = length > 0 ? buf_append(ret, state->data, length) : buf_append_string(ret, "{");
    bool empty = length <= 1;
    return r < 0 ? r : buf_append_format(ret, "%s\"pid\":%d}", empty ? "" : ",", getpid());
}

static char **strings(char *const *list, size_t count, const char *first) {
    char **copy = calloc(count + 2, sizeof *copy);
    size_t n = 0;
    if (copy && count == 0 && first)
        copy[n++] = (char *)(uintptr_t)first;
    for (size_t i = 0; copy && i < count; i++)
        copy[n++] = list[i];
    return copy;
}

static _Noreturn void become_hook(const plan_hook *plan, size_t n_streams, int input, int output) {
    (void)signals_reset();
    for (size_t i = STREAMS_STANDARD; i < n_streams; i++)
        (void)close((int)i); /* --preserve-fds is for the process only */
    char **args = strings(plan->args, plan->n_args, plan->path);
    char **env = strings(plan->env, plan->n_env, NULL);
    if (args && env && dup2(input, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2)
        (void)execve(plan->path, args, env);
    (void)dprintf(output, "%s", strerror(errno));
    _exit(127);
}

static int start(const plan_hook *plan, size_t n_streams, struct running_hook *hook) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_close_ int child_in = in[0];
    hook->input = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_close_ int child_out = out[1];
    hook->output = out[0];
    (void)fd_set_nonblock(hook->input, true);
    (void)fd_set_nonblock(hook->output, true);
    hook->pid = fork();
    if (hook->pid < 0)
        return -errno;
    if (hook->pid == 0)
        become_hook(plan, n_streams, child_in, child_out);
    hook->process = (int)syscall(SYS_pidfd_open, hook->pid, 0);
    return hook->process < 0 ? -errno : 0;
}

static int64_t now_msec(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void feed(struct running_hook *hook, struct buf *state) {
    ssize_t n = write(hook->input, state->data, state->length);
    if (n > 0)
        buf_consume(state, (size_t)n);
    /* EPIPE: it does not want to know. */
    if (state->length == 0 || (n < 0 && errno != EAGAIN))
        close_fd(&hook->input);
}

static void listen_to(struct running_hook *hook) {
    char piece[4096];
    ssize_t n = read(hook->output, piece, sizeof piece);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            close_fd(&hook->output);
        return;
    }
    size_t room = OUTPUT_KEPT - hook->length, kept = (size_t)n < room ? (size_t)n : room;
    memcpy(hook->text + hook->length, piece, kept);
    hook->length += kept;
}

/* Serve the hook until it ends. 0, or -ETIMEDOUT. */
static int serve(struct running_hook *hook, struct buf *state, int64_t deadline) {
    for (;;) {
        struct pollfd fds[] = {
            {.fd = hook->process, .events = POLLIN},
            {.fd = hook->output, .events = POLLIN},
            {.fd = hook->input, .events = POLLOUT},
        };
        int64_t left = deadline - now_msec();
        if (left <= 0)
            return -ETIMEDOUT;
        if (poll(fds, ARRAY_SIZE(fds), left > INT_MAX ? INT_MAX : (int)left) < 0 && errno != EINTR)
            return -errno;
        if (fds[2].revents)
            feed(hook, state);
        if (fds[1].revents)
            listen_to(hook);
        if (fds[0].revents) { /* processes of its own may keep the pipe open: do not wait for its end */
            if (hook->output >= 0)
                listen_to(hook);
            return 0;
        }
    }
}

static int judge(const plan_hook *plan, const struct running_hook *hook, int status, struct err *err) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    const char *colon = hook->length ? ": " : "";
    if (WIFSIGNALED(status))
        return err_set(err, ECANCELED, "the startContainer hook %s was ended by signal %d%s%s", plan->path,
                       WTERMSIG(status), colon, hook->text);
    return err_set(err, ECANCELED, "the startContainer hook %s failed with exit code %d%s%s", plan->path,
                   WEXITSTATUS(status), colon, hook->text);
}

static int run_one(const plan_container *container, const plan_hook *plan, struct err *err) {
    _cleanup_(running_hook_done) struct running_hook hook = {.input = -EBADF, .output = -EBADF, .process = -EBADF};
    _cleanup_buf_ struct buf state = {0};
    int r = add_pid(&container->hook_state, &state);
    if (r == 0)
        r = start(plan, container->process->streams.len, &hook);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot start the startContainer hook %s", plan->path);
    }
    int64_t deadline = plan->timeout_sec ? now_msec() + (int64_t)plan->timeout_sec * 1000 : INT64_MAX;
    r = serve(&hook, &state, deadline);
    if (r < 0)
        (void)kill(hook.pid, SIGKILL);
    int status = 0;
    while (waitpid(hook.pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r == -ETIMEDOUT)
        return err_set(err, ETIMEDOUT, "the startContainer hook %s took more than its timeout of %u s", plan->path,
                       plan->timeout_sec);
    return judge(plan, &hook, status, err);
}

int hooks_run(const plan_container *container, struct err *err) {
    if (container->n_start_container_hooks == 0)
        return 0;
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    int r = 0;
    for (size_t i = 0; r == 0 && i < container->n_start_container_hooks; i++)
        r = run_one(container, container->start_container_hooks[i], err);
    (void)signal(SIGPIPE, before);
    return r;
}
