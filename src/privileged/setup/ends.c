/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"
#include "shared/base/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { END_DEADLINE_MSEC = 10000 };

/* Not in Debian 12's headers under this name: waitid(2), P_PIDFD since Linux 5.4. */
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* ECHILD: somebody else's child, who reaps it. */
static void reap(int pidfd) {
    siginfo_t info;
    (void)waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
}

int await_process(int pidfd, int member, int msec) {
    int64_t end = monotonic_msec() + msec;
    for (;;) {
        int64_t left = end - monotonic_msec();
        struct pollfd p[] = {{.fd = pidfd, .events = POLLIN}, {.fd = member, .events = POLLIN}};
        int n = poll(p, ARRAY_SIZE(p), left > 0 ? (int)left : 0);
        if (n == 0)
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
