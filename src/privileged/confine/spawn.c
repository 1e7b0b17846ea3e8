/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's side of starting a confined process: making it in the right pid
 * namespace, writing its id maps, reading back what it has become before it
 * executes anything, and taking it away again when something fails.
 */
#include "privileged/confine/internal.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ANSWER_SECONDS = 30, /* for one stage; a bind source on a dead network file system would hang forever */
    END_MSEC = 5000,
};

struct start {
    const struct confine_plan *plan;
    int socket; /* ours */
    int pidfd;
    pid_t pid;
    bool is_child; /* of this process, so that it must be waited for */
};

pid_t confine_pid_of(int pidfd) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    _cleanup_free_ char *text = NULL;
    int r = read_file(AT_FDCWD, path, 4096, &text, NULL, NULL);
    if (r < 0)
        return r;
    char *line = strstr(text, "\nPid:\t");
    int64_t pid;
    if (!line)
        return -EBADF;
    line += strlen("\nPid:\t");
    line[strcspn(line, "\n")] = '\0';
    if (parse_i64(line, &pid) < 0 || pid <= 0) /* -1: gone; 0: in no namespace below ours */
        return -ESRCH;
    return (pid_t)pid;
}

/* fork with a pidfd. 0 in the child, where everything else belongs to the caller. */
static pid_t clone_child(uint64_t flags, int *ret_pidfd) {
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
    };
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/*
 * A member of the target's pid namespace that makes the process there and ends. The orphan goes to pid 1 of the
 * namespace its parent was in (pid_namespaces(7)), which waits for it from then on.
 */
_Noreturn static void intermediate(const struct confine_plan *plan, int sock) {
    int pidfd = -EBADF;
    pid_t pid = clone_child(CLONE_NEWPID, &pidfd);
    if (pid == 0)
        confine_child(plan, sock);
    struct confine_message message = {.kind = CONFINE_SAYS_PIDFD, .stage = "clone"};
    if (pid < 0) {
        message.kind = CONFINE_SAYS_FAILED;
        (void)confine_errno(&message.error, "cannot make a process");
    }
    (void)send_with_fds(sock, &message, sizeof message, &pidfd, pid < 0 ? 0 : 1);
    _exit(0);
}

/* Make the first child, with this process's own future children unaffected. */
static pid_t make_process(const struct confine_plan *plan, int sockets[2], int *ret_pidfd, struct err *err) {
    bool inside = plan->pid_namespace != CONFINE_PID_NEW;
    _cleanup_close_ int own = -EBADF;
    if (inside) {
        own = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
        if (own < 0)
            return confine_errno(err, "cannot open its own pid namespace");
        if (setns(plan->pid_namespace_of, CLONE_NEWPID) < 0)
            return errno == ESRCH ? err_set(err, ESRCH, "the process whose pid namespace it shall be in has ended")
                                  : confine_errno(err, "cannot enter the sandbox's pid namespace");
    }
    pid_t pid = clone_child(plan->pid_namespace == CONFINE_PID_NEW ? CLONE_NEWPID : 0, ret_pidfd);
    int failed = errno;
    if (pid == 0) {
        close_fd(&sockets[0]); /* or it would not see the parent's end */
        if (plan->pid_namespace == CONFINE_PID_NEW_INSIDE)
            intermediate(plan, sockets[1]);
        confine_child(plan, sockets[1]);
    }
    if (inside && setns(own, CLONE_NEWPID) < 0) {
        int r = confine_errno(err, "cannot return to its own pid namespace");
        if (pid > 0) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            close_fd(ret_pidfd);
        }
        return r;
    }
    errno = failed;
    if (pid < 0 && inside && errno == ENOMEM) /* clone(2): pid 1 of the namespace has ended */
        return err_set(err, ESRCH, "the process whose pid namespace it shall be in has ended");
    return pid < 0 ? confine_errno(err, "cannot make a process") : pid;
}

static int receive(struct start *s, struct confine_message *message, int *ret_fd, struct err *err) {
    size_t n_fds = 0;
    int fd = -EBADF;
    ssize_t n = receive_with_fds(s->socket, message, sizeof *message, &fd, ret_fd ? 1 : 0, &n_fds);
    if (ret_fd && n_fds)
        *ret_fd = fd;
    if (n == 0)
        return 0;
    if (n == -EAGAIN)
        return err_set(err, ETIMEDOUT, "no progress for %d s", ANSWER_SECONDS);
    if (n != (ssize_t)sizeof *message)
        return err_set(err, EPROTO, "its start cannot be followed");
    if (message->kind != CONFINE_SAYS_FAILED)
        return 1;
    message->stage[sizeof message->stage - 1] = message->error.text[ERR_TEXT_MAX - 1] = '\0';
    return err_set(err, message->error.code > 0 ? message->error.code : EPROTO, "%s [%s]", message->error.text,
                   message->stage);
}

static int expect(struct start *s, enum confine_message_kind kind, struct confine_message *message, int *ret_fd,
                  struct err *err) {
    int r = receive(s, message, ret_fd, err);
    if (r == 0)
        return err_set(err, ECHILD, "it was killed before it had started");
    if (r < 0)
        return r;
    return message->kind == (uint32_t)kind ? 0 : err_set(err, EPROTO, "its start went out of order");
}

static int answer(struct start *s, struct err *err) {
    return send_with_fds(s->socket, "", 1, NULL, 0) < 0 ? err_set(err, ECHILD, "it was killed before it had started")
                                                        : 0;
}

static int write_maps(const struct confine_plan *plan, pid_t pid, struct err *err) {
    static const char *const files[] = {"uid_map", "gid_map"};
    _cleanup_buf_ struct buf text = {0};
    for (size_t i = 0; i < plan->n_maps; i++)
        if (buf_append_format(&text, "%u %u %u\n", plan->maps[i].inside, plan->maps[i].outside, plan->maps[i].count) <
            0)
            return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        const char *map = buf_string(&text);
        int r = map ? write_kernel_file(AT_FDCWD, path, map) : -ENOMEM;
        if (r < 0) {
            errno = -r;
            return confine_errno(err, "cannot write the %s of its user namespace", files[i]);
        }
    }
    return 0;
}

/* Take the process away and wait until it is gone. */
static void end(struct start *s) {
    if (s->pidfd < 0)
        return;
    (void)pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
    struct pollfd gone = {.fd = s->pidfd, .events = POLLIN};
    (void)poll(&gone, 1, END_MSEC);
    if (s->is_child)
        (void)waitid(P_PIDFD, (id_t)s->pidfd, NULL, WEXITED | WNOHANG);
    close_fd(&s->pidfd);
}

/* From the process's existence to its execve(2). */
static int accompany(struct start *s, struct err *err) {
    const struct confine_plan *plan = s->plan;
    struct confine_message message;
    if (plan->prepare) {
        int r = plan->prepare(s->pid, plan->prepare_data, err);
        if (r < 0)
            return r;
    }
    int r = answer(s, err);
    if (r == 0 && plan->user_namespace) {
        r = expect(s, CONFINE_SAYS_WANTS_MAPS, &message, NULL, err);
        if (r == 0)
            r = write_maps(plan, s->pid, err);
        if (r == 0)
            r = answer(s, err);
    }
    if (r == 0)
        r = expect(s, CONFINE_SAYS_READY, &message, NULL, err);
    if (r == 0)
        r = confine_prove_ready(plan, s->pid, &message, err);
    if (r == 0)
        r = answer(s, err);
    if (r < 0)
        return r;
    /* Close-on-exec: the end of the file is the success of execve(2). */
    r = receive(s, &message, NULL, err);
    return r > 0 ? err_set(err, EPROTO, "its start went out of order") : r;
}

/* The intermediate child hands over the pidfd and goes. */
static int await_grandchild(struct start *s, int *intermediate_pidfd, struct err *err) {
    struct confine_message message;
    int r = expect(s, CONFINE_SAYS_PIDFD, &message, &s->pidfd, err);
    siginfo_t info;
    if (r < 0)
        (void)pidfd_send_signal(*intermediate_pidfd, SIGKILL, NULL, 0);
    while (waitid(P_PIDFD, (id_t)*intermediate_pidfd, &info, WEXITED) < 0)
        if (errno != EINTR)
            return confine_errno(err, "cannot wait for the process that started it");
    close_fd(intermediate_pidfd);
    if (r == 0 && s->pidfd < 0)
        r = err_set(err, EPROTO, "it has no pidfd");
    return r;
}

static int start_process(struct start *s, int sockets[2], struct err *err) {
    bool nested = s->plan->pid_namespace == CONFINE_PID_NEW_INSIDE;
    int first = -EBADF;
    pid_t pid = make_process(s->plan, sockets, &first, err);
    if (pid < 0)
        return pid;
    close_fd(&sockets[1]);
    s->is_child = !nested;
    if (nested) {
        int r = await_grandchild(s, &first, err);
        if (r < 0)
            return r;
    } else {
        s->pidfd = first;
    }
    s->pid = confine_pid_of(s->pidfd);
    return s->pid < 0 ? err_set(err, ECHILD, "it was killed before it had started") : accompany(s, err);
}

static void close_pair(int (*pair)[2]) {
    close_fd(&(*pair)[0]);
    close_fd(&(*pair)[1]);
}

int confine_spawn(const struct confine_plan *plan, pid_t *ret_pid, int *ret_pidfd, struct err *err) {
    struct err why = {0};
    __attribute__((cleanup(close_pair))) int sockets[2] = {-EBADF, -EBADF};
    struct start s = {.plan = plan, .pidfd = -EBADF};
    int r = confine_plan_check(plan, &why);
    if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        r = confine_errno(&why, "cannot make a socket pair");
    struct timeval deadline = {.tv_sec = ANSWER_SECONDS};
    if (r == 0 && setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline) < 0)
        r = confine_errno(&why, "cannot set a deadline");
    if (r == 0) {
        s.socket = sockets[0];
        r = start_process(&s, sockets, &why);
    }
    if (r < 0) {
        end(&s);
        return err_set(err, -r, "cannot start the %s: %s", plan->role, why.text);
    }
    *ret_pid = s.pid;
    *ret_pidfd = take_fd(&s.pidfd);
    return 0;
}
