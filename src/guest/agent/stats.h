/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of a container from the files of its cgroup (Documentation/admin-guide/cgroup-v2.rst). */
#pragma once

#include "agent.pb-c.h"

#include <stdint.h>

/* A file that holds one number, or "max" for 2^64-1. 0 and *ret, or -EBADMSG. */
int stats_parse_value(const char *text, uint64_t *ret);

/* Files of an open cgroup; what is missing, because its controller is off or the kernel too old, stays 0 or no limit.
 */
void stats_read(int directory, Minka__Agent__V1__StatsResponse *ret);
