/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host wrote between `create` and `start` into the files that are mounted. The kernel looked at them when it
 * mounted them, and believes what it saw for as long as the file server says, a second. Podman 5 fills /etc/hosts and
 * /etc/resolv.conf just then: without this the container would find them empty.
 */
#pragma once

#include "plan.pb-c.h"

/* The sources of the plan's mounts that are in a share, as a new vector; NULL when there are none or no memory. */
char **freshen_sources(const Minka__Plan__V1__Container *plan);

/* Ask the file server about each again. Blocks as long as the server does. What fails is left as it is. */
void freshen(char *const *sources);
