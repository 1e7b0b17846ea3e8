/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/state/state.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Fields 3 and 22 of /proc/PID/stat. The second field, the name, may hold spaces and brackets, so the rest is found
 * from the last ')' (proc(5)).
 */
static int read_stat(pid_t pid, char *ret_state, uint64_t *ret_start_ticks) {
    char path[40], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    char *p = strrchr(text, ')');
    if (!p || p[1] != ' ' || !p[2])
        return -EBADMSG;
    char state = p[2];
    unsigned field = 2;
    for (; *p && field < 22; p++)
        if (*p == ' ')
            field++;
    char *end = strchr(p, ' ');
    if (field != 22 || !end)
        return -EBADMSG;
    *end = '\0';
    uint64_t ticks;
    if (parse_u64(p, &ticks) < 0)
        return -EBADMSG;
    *ret_state = state;
    *ret_start_ticks = ticks;
    return 0;
}

int state_process_of(pid_t pid, struct state_process *ret) {
    char state;
    uint64_t ticks;
    int r = read_stat(pid, &state, &ticks);
    if (r < 0)
        return r;
    *ret = (struct state_process){.pid = pid, .start_ticks = ticks};
    return 0;
}

bool state_process_alive(const struct state_process *p) {
    char state;
    uint64_t ticks;
    if (p->pid <= 0 || read_stat(p->pid, &state, &ticks) < 0)
        return false;
    /* A zombie may stay for a while where PID 1 is slow to reap: it runs no more. */
    return ticks == p->start_ticks && state != 'Z' && state != 'X';
}

int state_process_open(const struct state_process *p) {
    if (p->pid <= 0)
        return -ESRCH;
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (fd < 0)
        return -errno;
    /* Compared after opening: from here on the number cannot be anybody else's. */
    if (!state_process_alive(p))
        return -ESRCH;
    return take_fd(&fd);
}
