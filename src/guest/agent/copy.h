/* SPDX-License-Identifier: Apache-2.0 */
/* Copying a directory's content: what a new tmpfs is filled with. */
#pragma once

#include "shared/base/err.h"

/*
 * Copy everything in the directory from into the directory to: files, links, special files, with their owners, modes,
 * times and extended attributes. Mount points below from are copied as they appear.
 * from must be readable; to may be O_PATH. Never follows a link.
 */
int copy_tree(int from, int to, struct err *err);
