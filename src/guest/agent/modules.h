/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules of the guest image, in groups: MODULES_DIRECTORY.list has lines "GROUP FILE FILE …" in load order. */
#pragma once

#include "shared/base/err.h"

#define MODULES_DIRECTORY "/lib/minka/modules"

/* The files of one group in a list's text, in order, as a new string vector; -ENOENT when it has no such group. */
int modules_parse(const char *list, const char *group, char ***ret, struct err *err);

/* Load a group; what is loaded already, or built into the kernel, is skipped. */
int modules_load(const char *group, struct err *err);
