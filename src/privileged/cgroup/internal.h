/* SPDX-License-Identifier: Apache-2.0 */
/* Shared between this room's files and its tests. */
#pragma once

#include "privileged/cgroup/cgroup.h"

#include <limits.h>

/* A mounted hierarchy: one set of v1 controllers, or the unified one. */
struct hierarchy {
    char *mount;       /* where it is mounted */
    char *root;        /* which of its cgroups is seen there: "/" unless only a part is mounted */
    char *controllers; /* v1: "cpu,cpuacct" or "name=systemd"; unified: what it has at this root, "memory,pids" */
    bool unified;
};

enum { HIERARCHIES_MAX = 32 };
struct hierarchies {
    struct hierarchy at[HIERARCHIES_MAX];
    size_t count;
};

/* From the text of a mountinfo; the first mount of each hierarchy counts. controllers of unified ones stay NULL. */
int hierarchies_parse(const char *mountinfo, struct hierarchies *ret, struct err *err);
/* Of this process, with everything filled. */
int hierarchies_find(struct hierarchies *ret, struct err *err);
void hierarchies_done(struct hierarchies *hierarchies);
bool hierarchy_has(const struct hierarchy *hierarchy, const char *controller);

/* The directory's descriptor (O_PATH) for a resolved path, or -errno. */
int hierarchy_open(const struct hierarchy *hierarchy, const char *path);

int cgroup_apply_limits(const struct hierarchy *hierarchy, int dir, const struct cgroup_limits *limits,
                        struct err *err);
