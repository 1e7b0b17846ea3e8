/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/children.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <stdbool.h>
#include <sys/wait.h>

void children_init(struct children *c, struct loop *loop, void (*ended)(void *data, int which, const char *how),
                   void *data) {
    *c = (struct children){.loop = loop, .ended = ended, .data = data};
    for (int i = 0; i < CHILDREN; i++)
        c->child[i] = (struct child){.children = c, .which = i, .pidfd = -EBADF};
}

static void forget(struct child *child) {
    child->source = loop_source_free(child->source);
    close_fd(&child->pidfd);
}

void children_done(struct children *c) {
    for (int i = 0; i < CHILDREN; i++)
        forget(&c->child[i]);
}

/* readable: the pidfd says that the process has ended, which also holds for one that is not our child. */
static void reap_child(struct child *child, bool readable) {
    char how[128];
    siginfo_t info = {0};
    if (child->pidfd < 0)
        return;
    int r = waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
    if (r == 0 && info.si_pid == 0)
        return;
    if (r < 0 && !readable)
        return;
    if (r < 0)
        (void)snprintf(how, sizeof how, "ended");
    else if (info.si_code == CLD_EXITED && info.si_status == 0)
        (void)snprintf(how, sizeof how, "%s", CHILD_ENDED_WELL);
    else if (info.si_code == CLD_EXITED)
        (void)snprintf(how, sizeof how, "ended with status %d", info.si_status);
    else
        (void)snprintf(
            how, sizeof how, "was ended by %s%s", signal_to_text(info.si_status),
            info.si_status == SIGSYS ? ", for a system call it may not make (the host's kernel log says which)" : "");
    forget(child);
    child->children->ended(child->children->data, child->which, how);
}

static void on_pidfd(void *data, uint32_t events) {
    (void)events;
    reap_child(data, true);
}

int children_watch(struct children *c, int which, int pidfd, struct err *err) {
    struct child *child = &c->child[which];
    forget(child);
    child->pidfd = pidfd;
    int r = loop_add_fd(c->loop, pidfd, EPOLLIN, on_pidfd, child, &child->source);
    if (r < 0) {
        close_fd(&child->pidfd);
        return err_set(err, -r, "cannot watch a process by its pidfd");
    }
    return 0;
}

void children_reap(struct children *c) {
    siginfo_t info;
    if (c->child[CHILD_VMM].pidfd < 0 && c->child[CHILD_FILE_SERVER].pidfd < 0)
        return;
    for (;;) {
        /* Look before taking: what has died until this look and is ours to report is taken by its pidfd first. */
        info = (siginfo_t){0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        for (int i = 0; i < CHILDREN; i++)
            reap_child(&c->child[i], false);
        (void)waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
    }
}
