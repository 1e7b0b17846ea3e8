/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler: OCI spec in, what the guest shall execute out (plan.proto).
 * Pure and golden-tested; the seccomp program is assembled here by libseccomp,
 * the device rules become a BPF program here, mount options become flags here.
 * Nothing of the host is looked at: facts about the host (is this bind source a
 * file? where in the share does it appear?) come in as struct plan_host.
 *
 * What cannot be in a VM is refused here with one sentence that names the
 * alternative.
 */
#pragma once

#include "facts/oci/oci.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/streams.h"

#include <stdbool.h>

/* The process's descriptors: enum stream_kind of 0, 1, 2 ... */
struct plan_streams {
    const uint8_t *kinds;
    size_t count;
};

/* One bind mount of the spec, as setup found it on the host. Parallel to spec->mounts. */
struct plan_host_mount {
    char *source;   /* absolute path on the host, to be put into the share; NULL: nothing of the host is needed */
    bool is_file;   /* filled in by setup, after looking */
    bool readonly;  /* the share's bind can be read-only on the host as well */
    bool recursive; /* rbind */
    char *size_of;  /* a tmpfs of the host in whose place the guest gets one of its own (/dev/shm); else NULL */
    uint64_t size;  /* filled in by setup: the size of size_of's file system in bytes, 0 unknown */
};

struct plan_host {
    const char *container_id;
    const char *bundle; /* absolute */
    /* root: a directory share, or a disk */
    const char *disk_serial, *disk_type; /* NULL: the root is GUEST_SHARE_PATH/ID/rootfs */
    struct plan_host_mount *mounts;      /* spec->n_mounts of them, from plan_host_mounts() and then setup */
    struct plan_streams streams;         /* of its own process */
    bool joins_sandbox;                  /* a further container of a pod: namespaces with a path are the sandbox's */
    bool no_new_keyring;                 /* create --no-new-keyring */
};

/*
 * First pass: which host paths the spec's mounts need (bind mounts of anything but the guest's own file systems).
 * Returns a new array of spec->n_mounts entries; free with plan_host_mounts_free().
 */
int plan_host_mounts(const struct oci_spec *spec, const char *bundle, struct plan_host_mount **ret, struct err *err);
void plan_host_mounts_free(struct plan_host_mount *mounts, size_t count);

/* The mount options that are understood, one by one, for `features`; NULL at the end. Static. */
const char *plan_mount_option(size_t index);

/* Where mount i of the container appears in the guest: GUEST_SHARE_PATH/ID/<i>. For setup and plan alike. */
char *plan_share_name(const char *container_id, size_t mount_index); /* "ID/3", relative to the share */

/*
 * Second pass: the packed minka.plan.v1.Container. Returns how many of the host's devices were left out because they
 * came with a privileged container: worth one warning, never an error.
 */
int plan_container(const struct oci_spec *spec, const struct plan_host *host, struct buf *ret, struct err *err);

/* The packed minka.agent.v1.ExecRequest. spec gives seccomp and the defaults of the container. */
int plan_exec(const struct oci_spec *spec, const struct oci_process *process, const struct plan_streams *streams,
              const char *container_id, const char *process_id, struct buf *ret, struct err *err);

/* The packed minka.agent.v1.UpdateRequest. */
int plan_update(const struct oci_resources *resources, const char *container_id, struct buf *ret, struct err *err);

/* A plan as text, one line per step, for golden files and --debug. message: "container", "exec" or "update". */
int plan_print(const char *message, const struct buf *packed, struct buf *ret, struct err *err);

/* Which module groups of the guest image (docs/guest-image.md) a disk of this type needs, NULL-terminated, static. */
const char *const *plan_disk_modules(const char *disk_type);
