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

int await_process(int pidfd, int msec) {
    int64_t end = monotonic_msec() + msec;
    for (;;) {
        int64_t left = end - monotonic_msec();
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0)
            break;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
    /* ECHILD: somebody else's child, who reaps it. */
    siginfo_t info;
    (void)waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    return 0;
}

int end_process(int pidfd, const char *role, struct err *err) {
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0U) < 0 && errno != ESRCH)
        return setup_errno(err, "cannot kill the %s", role);
    int r = await_process(pidfd, END_DEADLINE_MSEC);
    if (r < 0)
        return err_set(err, -r, "the %s does not end within 10 seconds of SIGKILL", role);
    return 0;
}
