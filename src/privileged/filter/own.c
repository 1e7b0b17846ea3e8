/* SPDX-License-Identifier: Apache-2.0 */
/* minka's own long-lived programs: static, one thread, nothing by path. */
#include "privileged/filter/rows.h"

#include <fcntl.h>
#include <linux/termios.h>
#include <sys/socket.h>

static const struct filter_row monitor[] = {
    ALLOW(accept4, "commands connect to the control socket"),
    ALLOW(recvmsg, "their requests come with descriptors"),
    ALLOW(getsockopt, "who has connected", IS(1, SOL_SOCKET), IS(2, SO_PEERCRED)),
    ALLOW(getsockopt, "is the agent's channel a socket", IS(1, SOL_SOCKET), IS(2, SO_TYPE)),
    ALLOW(shutdown, "the end of a connection, and of a container's output"),
    ALLOW(timerfd_create, "deadlines"),
    ALLOW(timerfd_settime, "deadlines"),
    ALLOW(waitid, "pid 1 of the sandbox reaps the VMM, the file server and orphans"),
    ALLOW(poll, "does a blocking descriptor have room"),
    ALLOW(fcntl, "was a descriptor named on the command line inherited", IS(1, F_GETFD)),
    ALLOW(fcntl, "non-blocking, where nobody else notices", IS(1, F_GETFL)),
    ALLOW(fcntl, "the same", IS(1, F_SETFL)),
    ALLOW(fcntl, "[read] close-on-exec", IS(1, F_SETFD)),
    ALLOW(fcntl, "a stream that two processes have", IS(1, F_DUPFD_CLOEXEC)),
    ALLOW(fstatfs, "is a stream a pipe"),
    ALLOW(pread64, "the plan, from a sealed memfd"),
    ALLOW(preadv2, "a container's streams, without blocking"),
    ALLOW(pwritev2, "the same"),
    ALLOW(ioctl, "a terminal becomes raw, since the guest's cooks", IS(1, TCGETS)),
    ALLOW(ioctl, "the same", IS(1, TCSETS)),
    ALLOW(ioctl, "[read] the same in newer C libraries", IS(1, TCGETS2)),
    ALLOW(ioctl, "[read] the same in newer C libraries", IS(1, TCSETS2)),
    END,
};

const struct filter filter_monitor = {"monitor", {filter_start, filter_no_code, filter_events, monitor}};

static const struct filter_row standin[] = {
    ALLOW(kill, "it ends as the container's process has ended: by a signal to itself"),
    ALLOW(ioctl, "the terminal's size", IS(1, TIOCGWINSZ)),
    END,
};

const struct filter filter_standin = {"stand-in", {filter_start, filter_no_code, filter_events, standin}};
