/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stages of a launch share; see launch.h for the picture. Only launch*.c, stage*.c and the files of single
 * steps (mounts.c, devices.c, terminal.c …) include this. Everything here runs in a child of the agent and may block.
 */
#pragma once

#include "guest/agent/launch.h"
#include "plan.pb-c.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

typedef Minka__Plan__V1__Container plan_container;
typedef Minka__Plan__V1__Process plan_process;
typedef Minka__Plan__V1__Mount plan_mount;
typedef Minka__Plan__V1__Device plan_device;
typedef Minka__Plan__V1__IdMapping plan_mapping;

/*
 * The stages' working directory: a tmpfs that stage 1 mounts in a mount namespace of its own, so that it is gone
 * with that. Root becomes the container's root; nodes holds device nodes for containers that cannot make them.
 */
#define STAGE_DIRECTORY "/run/minka/launch"
#define STAGE_ROOT      STAGE_DIRECTORY "/root"
#define STAGE_NODES     STAGE_DIRECTORY "/nodes"

struct stage {
    const plan_container *container; /* NULL: an exec */
    const plan_process *process;
    const char *container_id;
    pid_t init_pid; /* of the container, for an exec */
    const struct launch_sandbox *sandbox;

    const int *streams;    /* the process's ends by number, -EBADF where it gets none; in place after stage 1 */
    int report;            /* to the agent */
    int sync;              /* stage 2: reads one byte when stage 1 has done its part for it */
    bool user_namespace;   /* the process lives in one */
    struct rlimit nofile;  /* the agent's, to be restored: the stages may need many descriptors */
    int *sources;          /* per mount of the plan: a detached tree to be put at its destination, or -EBADF */
    int *mounted;          /* per mount: what must be finished when everything is in place, or -EBADF */
    int terminal_master;   /* to be sent with READY */
    bool directory_denied; /* cwd could not be entered as root; the user may be able to */
    char **environment;
    char *executable;
};

/* Both stages. code 0 stands for success. */
_Noreturn void stage1_run(struct stage *stage);
_Noreturn void stage2_run(struct stage *stage);

/* 0 or -errno. */
int stage_report(int report, enum launch_report_kind kind, pid_t pid, int fd);
void stage_report_failure(int report, const struct err *err);

/* ---- root.c: the container's root file system ---- */
int root_prepare(const plan_container *container, struct err *err);         /* stage 1: mount it at STAGE_ROOT */
int root_open(struct err *err);                                             /* stage 2: O_PATH descriptor of it */
int root_enter(int root, const plan_container *container, struct err *err); /* pivot; afterwards it is "/" */

/* ---- mounts.c ---- */
int mounts_open_sources(struct stage *stage, struct err *err); /* stage 1 */
int mounts_make(struct stage *stage, int root, struct err *err);
int mounts_finish(struct stage *stage, struct err *err); /* what would be in the way before: read-only, attributes */
int mounts_restrict(int root, const plan_container *container, struct err *err); /* masked and read-only paths */

/* move_mount(2) of a detached tree onto what target refers to. 0 or -errno. */
int mount_attach(int tree, int target);
/* open_tree(2): a detached copy of the mount at fd. Descriptor or -errno. */
int mount_clone(int fd, bool recursive);
/* Change the flags of the mount at fd, keeping those that the kernel has locked. 0 or -errno. */
int mount_set_flags(int fd, unsigned long flags);

/* ---- devices.c ---- */
int devices_prepare(const plan_container *container, struct err *err); /* stage 1, user namespaces only */
int devices_make(const struct stage *stage, int root, struct err *err);

/* ---- terminal.c ---- */
/* A new pty of the container's devpts as controlling terminal on 0 to 2; bind_console: also as /dev/console. */
int terminal_open(int root, const plan_process *process, bool bind_console, int *ret_master, struct err *err);

/* ---- namespaces.c ---- */
int namespaces_clone_flags(const plan_container *container, uint64_t *ret, struct err *err);
int namespaces_join_sandbox(const plan_container *container, const struct launch_sandbox *sandbox, struct err *err);
int namespaces_join(pid_t init_pid, bool *ret_user, struct err *err);
int namespaces_write_mappings(pid_t pid, const plan_container *container, struct err *err);
int namespaces_loopback_up(struct err *err);
int namespaces_write_sysctls(const plan_container *container, struct err *err);
/* The id outside of the user namespace for one inside; UINT32_MAX when there is none. */
uint32_t mapping_outside(plan_mapping *const *mappings, size_t count, uint32_t inside);
/* The same from /proc/PID/uid_map or gid_map. */
uint32_t mapping_outside_of(pid_t pid, const char *file, uint32_t inside);

/* ---- cgroup.c ---- */
struct cgroup_place {
    int directory; /* for CLONE_INTO_CGROUP */
    int processes; /* cgroup.procs, opened for writing */
};
int cgroup_create(const char *container_id, const Minka__Plan__V1__Cgroup *cgroup, struct cgroup_place *ret,
                  struct err *err);
/* Where an exec belongs: the container's cgroup, or the one below it into which its init process has moved. */
int cgroup_find(const char *container_id, pid_t init_pid, struct cgroup_place *ret, struct err *err);
/* For tests: another cgroup2 mount than /sys/fs/cgroup. The string must stay. */
void cgroup_set_mount_point(const char *path);

/* ---- user.c, capabilities.c, seccomp.c, limits.c, hooks.c, executable.c ---- */
int user_environment(const plan_process *process, char ***ret, struct err *err); /* env, with HOME */
int user_become(const plan_process *process, struct err *err);                   /* groups, gid, uid; keeps permitted */
int capabilities_bound(const Minka__Plan__V1__Capabilities *wanted, struct err *err); /* before user_become */
int capabilities_apply(const Minka__Plan__V1__Capabilities *wanted, struct err *err); /* after it */
int seccomp_load(const plan_process *process, struct err *err);
int limits_reserve(const plan_process *process, struct rlimit *ret_nofile, struct err *err); /* stage 1 */
int limits_apply(const plan_process *process, const struct rlimit *nofile, struct err *err); /* stage 2 */
int hooks_run(const plan_container *container, struct err *err);
int executable_find(const char *name, char *const *environment, char **ret, struct err *err);
