/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that a sandbox cannot live without (VMM and file server, watched by pidfd), and the orphans that fall
 * to the monitor as pid 1 of its namespace. No /proc is needed.
 */
#pragma once

#include "shared/base/err.h"
#include "shared/base/loop.h"

enum { CHILD_VMM, CHILD_FILE_SERVER, CHILDREN };
#define CHILD_ENDED_WELL "ended with status 0"

struct children;
struct child {
    struct children *children;
    int which;
    int pidfd; /* owned; -EBADF: not there (yet), or ended */
    struct loop_source *source;
};

struct children {
    struct loop *loop;
    struct child child[CHILDREN];
    /* how: "ended with status 1", "was ended by SIGSEGV" or, for a process that is no child, "ended". */
    void (*ended)(void *data, int which, const char *how);
    void *data;
};

void children_init(struct children *children, struct loop *loop, void (*ended)(void *data, int which, const char *how),
                   void *data);
void children_done(struct children *children);

/* Takes pidfd over, also on failure. */
int children_watch(struct children *children, int which, int pidfd, struct err *err);

/* On SIGCHLD. Until the VMM is watched nothing is reaped: its status would be lost. */
void children_reap(struct children *children);
