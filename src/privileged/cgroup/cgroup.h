/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a sandbox's cgroup: where the engine asked for it
 * (linux.cgroupsPath), on cgroup v1, v2 and hybrid layouts alike, with the file
 * system driver. All host processes of the sandbox live in it.
 */
#pragma once

#include "shared/base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Where sandboxes are that no engine has given a place. It is made with the first and removed with the last of them. */
#define CGROUP_DEFAULT_PARENT "/minka"

struct cgroup_limits { /* 0 = leave alone */
    uint64_t memory_bytes;
    uint64_t pids;
    int64_t cpu_quota_usec;
    uint64_t cpu_period_usec;
    uint64_t cpu_shares; /* v1 scale, 2..262144 */
};

/* Has the path the form slice:prefix:name? */
bool cgroup_path_is_systemd(const char *path);
/* "/a/b" as it is; "slice:prefix:name" as systemd places that scope. "a/b" is taken from the root. */
int cgroup_resolve(const char *path, char ret[PATH_MAX], struct err *err);

/*
 * Create path ("/libpod_parent/libpod-ID"; "slice:prefix:name" is taken apart as systemd would) in every hierarchy
 * and set the limits. An existing empty cgroup is used. Hierarchies that this user cannot write are left out; at
 * least one must work unless rootless. *ret_created: directories were made, cgroup_remove() is owed.
 */
int cgroup_create(const char *path, const struct cgroup_limits *limits, bool rootless, bool *ret_created,
                  struct err *err);
/* pid 0: this process, which has one thread only. Cheap, while moving another waits for an RCU grace period. */
int cgroup_add(const char *path, pid_t pid, struct err *err);
/* The cgroup in the unified hierarchy for CLONE_INTO_CGROUP, clone(2). -errno: there is none. */
int cgroup_open_unified(const char *path);
int cgroup_update(const char *path, const struct cgroup_limits *limits, struct err *err);

/* SIGKILL whatever is left in it and remove it from every hierarchy, with a deadline of 5 s. Not being there is fine.
 */
int cgroup_remove(const char *path, struct err *err);
/* Remove it where it has neither processes nor children, for which it waits a second. -EBUSY: it has. */
int cgroup_remove_unused(const char *path, struct err *err);
