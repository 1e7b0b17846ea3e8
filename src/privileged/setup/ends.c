/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { END_DEADLINE_MSEC = 10000, LOOK_AFTER_MSEC = 500, STAT_FLAGS = 9, STAT_VSIZE = 23, EXITING = 0x4 };

/* Not in Debian 12's headers under this name: waitid(2), P_PIDFD since Linux 5.4. */
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* ECHILD: somebody else's child, who reaps it. */
static void reap(int pidfd) {
    siginfo_t info;
    (void)waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
}

/* The number after "Pid:" in the descriptor's fdinfo, which is -1 once it is reaped: pidfd_open(2). */
static pid_t pid_of(int pidfd) {
    char path[48];
    _cleanup_free_ char *text = NULL;
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    if (read_file(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
        return -1;
    const char *at = strstr(text, "\nPid:\t");
    int pid = -1;
    return at && sscanf(at, "\nPid:\t%d", &pid) == 1 ? pid : -1;
}

bool process_runs_no_more(int pidfd) {
    char path[40];
    _cleanup_free_ char *text = NULL;
    pid_t pid = pid_of(pidfd);
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (pid <= 0 || read_file(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
        return false;
    uint64_t flags = 0, memory = 1;
    char *rest = strrchr(text, ')'); /* the second field, a name that may have spaces */
    unsigned field = 2;
    for (char *word; rest && field < STAT_VSIZE && (word = strsep(&rest, " ")); field++)
        if (field == STAT_FLAGS && parse_u64(word, &flags) < 0)
            return false;
    char *word = rest ? strsep(&rest, " ") : NULL;
    return word && parse_u64(word, &memory) == 0 && memory == 0 && (flags & EXITING);
}

int await_process(int pidfd, int member, int msec) {
    int64_t begin = monotonic_msec(), end = begin + msec;
    for (;;) {
        int64_t now = monotonic_msec(), look = begin + LOOK_AFTER_MSEC, left = end - now;
        if (now >= look && process_runs_no_more(pidfd))
            return 0;
        struct pollfd p[] = {{.fd = pidfd, .events = POLLIN}, {.fd = member, .events = POLLIN}};
        int64_t next = now >= look ? LOOK_AFTER_MSEC : look - now;
        int n = poll(p, ARRAY_SIZE(p), (int)(left <= 0 ? 0 : left < next ? left : next));
        if (n == 0 && monotonic_msec() >= end)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && p[1].revents) {
            reap(member);
            member = -EBADF; /* poll(2) passes over it */
        }
        if (n > 0 && p[0].revents) {
            reap(pidfd);
            return 0;
        }
    }
}

int end_process(int pidfd, int member, const char *role, struct err *err) {
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0U) < 0 && errno != ESRCH)
        return err_errno_name(err, "cannot kill the %s", role);
    int r = await_process(pidfd, member, END_DEADLINE_MSEC);
    if (r < 0)
        return err_set(err, -r, "the %s does not end within 10 seconds of SIGKILL", role);
    return 0;
}

int open_member(const struct state_process *process) {
    struct state_process now;
    if (process->pid <= 0)
        return -EBADF;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (pidfd < 0 || state_process_of(process->pid, &now) < 0 || now.start_ticks != process->start_ticks)
        return -EBADF;
    return take_fd(&pidfd);
}
