/* SPDX-License-Identifier: Apache-2.0 */
/* Where cgroups are on this host: found in /proc/self/mountinfo and /proc/self/cgroup, nothing is assumed. */
#pragma once

#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { HIERARCHIES_MAX = 24 };

struct hierarchy {
    char *mount_point;
    bool unified;      /* cgroup v2 */
    char *controllers; /* v1: ",memory," with a comma on both sides; v2: "" */
};

struct hierarchies {
    struct hierarchy list[HIERARCHIES_MAX];
    size_t count;
};

/* -ENOENT, with a sentence, when there is none. */
int hierarchies_find(struct hierarchies *ret, struct err *err);
/* The same from the text of a mountinfo file; for tests. */
int hierarchies_parse(const char *mountinfo, struct hierarchies *ret, struct err *err);
void hierarchies_done(struct hierarchies *hierarchies);
#define _cleanup_hierarchies_ __attribute__((cleanup(hierarchies_done)))

bool hierarchy_has(const struct hierarchy *hierarchy, const char *controller);

/*
 * The path of a cgroup below a hierarchy's mount point, with a leading slash: "/a/b" as it is, "slice:prefix:name" as
 * systemd names it ("/machine.slice/libpod-ID.scope"; "a-b.slice" lies in "a.slice"). New string; -EINVAL with a
 * sentence for anything that could leave the hierarchy.
 */
int cgroup_resolve(const char *path, char **ret, struct err *err);
