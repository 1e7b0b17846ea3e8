/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process object of `exec`: a document, or the container's own process with
 * what the options change. Environment variables replace those of the same name;
 * capabilities are added, as runc does, to the bounding, permitted and effective sets.
 */
#pragma once

#include "facts/oci/oci.h"
#include "options.h"

struct process_options {
    const char *file, *user, *cwd, *label, *apparmor;
    bool tty, no_new_privs;
    struct option_list env, additional_gids, caps;
};

struct process {
    const struct oci_process *result;
    struct oci_process changed; /* points into the others */
    struct oci_process *document;
    struct oci_spec *spec;
    char **env; /* the array only */
    uint32_t *gids;
};
void process_done(struct process *process);
#define _cleanup_process_ __attribute__((cleanup(process_done)))

/* args is NULL-terminated; dir is the container's, whose config.json is the base. */
int process_make(const struct process_options *options, char **args, int dir, struct process *ret, struct err *err);

/*
 * What a document does not say at all is the container's: the environment, as for crun, and the capabilities, as for
 * runc and crun. It shares the strings of container.
 */
void process_inherit(const struct oci_process *container, struct oci_process *process);

/* The same on a given base, pure. ret->spec is left alone. */
int process_change(const struct process_options *options, char **args, const struct oci_process *base,
                   struct process *ret, struct err *err);
