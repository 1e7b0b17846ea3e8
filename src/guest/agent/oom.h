/* SPDX-License-Identifier: Apache-2.0 */
/* Watches a container's cgroup: memory.events for kills, cgroup.events for running empty. Both files raise EPOLLPRI
 * when they change (Documentation/admin-guide/cgroup-v2.rst). */
#pragma once

#include "shared/base/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct container;
struct cgroup_watch;

/* NULL when there is no cgroup. */
struct cgroup_watch *cgroup_watch_new(struct loop *loop, struct container *container);
struct cgroup_watch *cgroup_watch_free(struct cgroup_watch *watch);

/* Look now, not only when the kernel says so; calls container_oom_seen(). */
void cgroup_watch_look(struct cgroup_watch *watch);

/* Whether a process lives in it. Without a cgroup: no. */
bool cgroup_watch_populated(struct cgroup_watch *watch);

/* The value of key in a flat-keyed file's text ("oom_kill 3\n"), 0 when it is not there. */
uint64_t cgroup_flat_value(const char *text, const char *key);
