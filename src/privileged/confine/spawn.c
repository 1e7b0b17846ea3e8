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

/* fork(2) with a pidfd, in the cgroup if there is one. 0 in the child. */
static pid_t clone_child(uint64_t flags, int cgroup, int *ret_pidfd) {
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD, /* then it is the same as the intermediate's: clone(2) */
    };
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)(unsigned)cgroup;
        pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
        if (pid >= 0)
            return pid;
        /* The caller may not, or the cgroup takes no processes: prepare() tries it its own way, and tells why not. */
        args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
        args.cgroup = 0;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* Why no process could be made in a pid namespace: mostly that its pid 1 has ended. */
static void tell_failure(const struct confine_plan *plan, int sock, const char *what) {
    struct confine_message message = {.kind = CONFINE_SAYS_FAILED, .stage = "pid namespace"};
    struct pollfd gone = {.fd = plan->pid_namespace_of, .events = POLLIN};
    int failed = errno;
    bool ended = plan->pid_namespace != CONFINE_PID_NEW && poll(&gone, 1, 0) == 1;
    errno = failed;
    if (ended || failed == ESRCH || failed == ENOMEM) /* ENOMEM: clone(2) */
        (void)err_set(&message.error, ESRCH, "the process whose pid namespace it shall be in has ended");
    else
        (void)err_errno_name(&message.error, "%s", what);
    (void)send_with_fds(sock, &message, sizeof message, NULL, 0);
}

/* In the new process: both speak on one socket, the maker first. */
static void await_maker(int told[2]) {
    char word;
    close_fd(&told[1]);
    if (read_all(told[0], &word, sizeof word) < 0)
        _exit(0); /* it was killed, and nobody knows of us */
    close_fd(&told[0]);
}

/* Make the process, and tell the command its pidfd. Returns in the maker only. */
static void make_and_tell(const struct confine_plan *plan, uint64_t flags, int sock) {
    int pidfd = -EBADF, told[2];
    if (pipe2(told, O_CLOEXEC) < 0)
        return tell_failure(plan, sock, "cannot make a pipe");
    pid_t pid = clone_child(flags, -EBADF, &pidfd);
    if (pid == 0) {
        await_maker(told);
        confine_child(plan, sock);
    }
    if (pid < 0)
        return tell_failure(plan, sock, "cannot make a process");
    struct confine_message message = {.kind = CONFINE_SAYS_PIDFD, .stage = "clone"};
    if (send_with_fds(sock, &message, sizeof message, &pidfd, 1) >= 0)
        (void)write_all(told[1], "", 1);
}

/*
 * The one who enters the sandbox's pid namespace, since the command could not return from there: in a user namespace
 * setns(2) to the pid namespace one is in is refused. The process becomes
 *   JOIN        the command's child all the same, by CLONE_PARENT;
 *   NEW_INSIDE  an orphan in the sandbox's pid namespace, whose pid 1 inherits it (pid_namespaces(7)).
 */
_Noreturn static void intermediate(const struct confine_plan *plan, int sock) {
    if (setns(plan->pid_namespace_of, CLONE_NEWPID) < 0) {
        tell_failure(plan, sock, "cannot enter the sandbox's pid namespace");
        _exit(0);
    }
    if (plan->pid_namespace == CONFINE_PID_JOIN) {
        make_and_tell(plan, CLONE_PARENT, sock);
        _exit(0);
    }
    pid_t inner = fork();
    if (inner == 0) {
        make_and_tell(plan, CLONE_NEWPID, sock);
        _exit(0);
    }
    if (inner < 0)
        tell_failure(plan, sock, "cannot make a process");
    /* Its end is what makes the process an orphan, which it shall be when the command goes on. */
    while (inner > 0 && waitpid(inner, NULL, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

/* The first child: the process itself, or the intermediate. */
static pid_t make_process(const struct confine_plan *plan, int sockets[2], int *ret_pidfd, struct err *err) {
    bool direct = plan->pid_namespace == CONFINE_PID_NEW;
    pid_t pid = clone_child(direct ? CLONE_NEWPID : 0, plan->cgroup_fd, ret_pidfd);
    if (pid < 0)
        return err_errno_name(err, "cannot make a process");
    if (pid > 0)
        return pid;
    close_fd(&sockets[0]); /* or it would not see the parent's end */
    if (!direct)
        intermediate(plan, sockets[1]);
    confine_child(plan, sockets[1]);
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
            return err_errno_name(err, "cannot write the %s of its user namespace", files[i]);
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
    int r = 0;
    if (plan->user_namespace) {
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

/* The intermediate hands over the pidfd and goes. */
static int await_intermediate(struct start *s, int *intermediate_pidfd, struct err *err) {
    struct confine_message message;
    int r = expect(s, CONFINE_SAYS_PIDFD, &message, &s->pidfd, err);
    siginfo_t info;
    if (r < 0)
        (void)pidfd_send_signal(*intermediate_pidfd, SIGKILL, NULL, 0);
    while (waitid(P_PIDFD, (id_t)*intermediate_pidfd, &info, WEXITED) < 0)
        if (errno != EINTR)
            return err_errno_name(err, "cannot wait for the process that started it");
    close_fd(intermediate_pidfd);
    if (r == 0 && s->pidfd < 0)
        r = err_set(err, EPROTO, "it has no pidfd");
    return r;
}

static int start_process(struct start *s, int sockets[2], struct err *err) {
    bool direct = s->plan->pid_namespace == CONFINE_PID_NEW;
    int first = -EBADF;
    pid_t pid = make_process(s->plan, sockets, &first, err);
    if (pid < 0)
        return pid;
    close_fd(&sockets[1]);
    s->is_child = s->plan->pid_namespace != CONFINE_PID_NEW_INSIDE;
    if (!direct) {
        int r = await_intermediate(s, &first, err);
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
        r = err_errno_name(&why, "cannot make a socket pair");
    struct timeval deadline = {.tv_sec = ANSWER_SECONDS};
    if (r == 0 && setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline) < 0)
        r = err_errno_name(&why, "cannot set a deadline");
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
