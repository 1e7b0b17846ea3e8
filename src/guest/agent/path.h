/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making mount points, nodes and links inside a container's root. The tree is the container's (or an image's): every
 * name in it may be a symbolic link to anywhere. No step ever leaves root_fd: links are followed as if root_fd were
 * the root directory, and nothing is created through a link that was not checked. All descriptors are O_PATH.
 */
#pragma once

#include "shared/base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* The directory at path, made with its parents if missing. A descriptor or negative errno. */
int path_make_directory(int root_fd, const char *path, struct err *err);

/* What is at path; an empty regular file, parents included, if nothing is there. A descriptor or negative errno. */
int path_make_file(int root_fd, const char *path, struct err *err);

/* The directory that holds path's last component, made if missing. *ret_name points into path. */
int path_make_parent(int root_fd, const char *path, const char **ret_name, struct err *err);

/* What is at path, provided that no component is a symbolic link: a descriptor, -ELOOP, -ENOENT … */
int path_open_plain(int root_fd, const char *path);
