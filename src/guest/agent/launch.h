/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting processes in the guest: carries out a minka.plan.v1.Container or
 * .Process in children of PID 1, step by step, without interpretation.
 *
 *   agent (PID 1) -- fork --> stage 1: in the agent's own namespaces; makes the cgroup, clones stage 2 with
 *                                     CLONE_PARENT, writes its id maps, says its pid, exits
 *                             stage 2: becomes the container's process: namespaces, mounts, devices, identity,
 *                                     capabilities, seccomp; says READY; waits for GO; hooks; execve
 *
 * Both stages talk to the agent over one SOCK_SEQPACKET pair of fixed-size records, so that nothing here blocks
 * PID 1. Everything inside a container's tree is reached by openat2(RESOLVE_IN_ROOT). After execve the socket,
 * which is close-on-exec, reads end-of-file: that is how success is told.
 */
#pragma once

#include "plan.pb-c.h"
#include "shared/base/err.h"
#include "shared/base/streams.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum launch_report_kind {
    LAUNCH_PID = 1, /* pid is the container process, as the agent sees it: it is the agent's child */
    LAUNCH_READY,   /* all is set up, waiting for GO; carries the pty's master as SCM_RIGHTS if terminal */
    LAUNCH_FAILED,  /* code and text; the process is about to exit */
};
struct launch_report {
    uint32_t kind;
    int32_t pid;
    int32_t code; /* positive errno */
    char text[ERR_TEXT_MAX];
};

/* Namespaces that a pod's containers share, opened from its first container; -EBADF each until then. */
struct launch_sandbox {
    int ipc, uts, network;
};

struct launch {
    pid_t stage1; /* a child; just reap it */
    int report;   /* SOCK_SEQPACKET, receive struct launch_report; send one byte for GO */
    size_t n_streams;
    struct launch_stream {
        enum stream_kind kind;
        int fd; /* the agent's end, non-blocking; -EBADF with STREAM_NONE and STREAM_TERMINAL, which comes with READY */
    } streams[STREAMS_MAX];
};

/* Closes what is left in it. */
void launch_done(struct launch *launch);

/* Begin to create a container. Only fork and pipes fail here; the rest arrives as a report. */
int launch_container(const Minka__Plan__V1__Container *plan, const struct launch_sandbox *sandbox, struct launch *ret,
                     struct err *err);

/* Begin an exec into the container whose process is init_pid. GO is needed here too. */
int launch_exec(const char *container_id, pid_t init_pid, const Minka__Plan__V1__Process *plan, struct launch *ret,
                struct err *err);

/* Remember the first container's namespaces. */
int launch_sandbox_open(struct launch_sandbox *sandbox, pid_t init_pid, struct err *err);

/*
 * Once, first of all, at boot: leave the initramfs for a tmpfs that holds just the kernel modules, and empty it. See
 * root.c: without it, pivot_root(2) does not work and a container with CAP_SYS_ADMIN could reach the initramfs.
 */
int root_leave_initramfs(struct err *err);

/* ---- what lives as long as a container and is not a process: its cgroup and its mounts ---- */

/* /sys/fs/cgroup/ID; created by stage 1. Returns a directory fd. */
int container_cgroup_open(const char *container_id);
int container_cgroup_apply(const char *container_id, const Minka__Plan__V1__Cgroup *cgroup, struct err *err);
int container_cgroup_freeze(const char *container_id, bool freeze, struct err *err);
int container_cgroup_kill(const char *container_id);   /* SIGKILL to all, cgroup.kill or one by one */
int container_cgroup_remove(const char *container_id); /* -EBUSY: processes are still ending; try again later */

/* Prepare /sys/fs/cgroup (v2, controllers delegated) once at boot. */
int container_cgroup_setup(struct err *err);
