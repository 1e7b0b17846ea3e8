/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a kernel's modules a guest needs, in load order: groups of modules by
 * name (the table in modules.c), resolved through the kernel's own modules.dep and
 * modules.builtin (depmod(8)). Pure.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { MODULES_MAX = 256 }; /* that one image can hold */

struct module_group {
    const char *name;
    bool required;
    const char *modules[6]; /* names; a leading '?' marks one that may be missing */
};
extern const struct module_group module_groups[];
extern const size_t n_module_groups;

/* The result: files to put into the image, and the text of modules.list. */
struct module_set {
    char **paths; /* as in modules.dep, relative to the modules directory, "kernel/fs/fuse/fuse.ko.xz" */
    size_t count;
    struct buf list;   /* lines "GROUP FILE FILE ...", FILE without directory and compression: "fuse.ko" */
    struct buf groups; /* "blk,console,...", sorted */
    struct buf notes;  /* a sentence per line about what this kernel does not have */
};
void module_set_done(struct module_set *set);
#define _cleanup_module_set_ __attribute__((cleanup(module_set_done)))

/*
 * dep and builtin are the texts of modules.dep and modules.builtin; release is for messages. A required group whose
 * modules are missing is an error that names the module; any other such group is left out, with a note.
 */
int modules_resolve(const char *dep, const char *builtin, const char *release, const struct module_group *groups,
                    size_t n_groups, struct module_set *ret, struct err *err);

/* "kernel/fs/fuse/fuse.ko.xz" -> "fuse.ko" in a new string; NULL when memory is out or it is no module's name. */
char *module_file_name(const char *path);
