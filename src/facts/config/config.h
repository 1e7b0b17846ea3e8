/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configuration.toml: a strict reader for the part of TOML 1.0 that a
 * configuration needs, and one table {section, key, type, range, default, doc}
 * from which come the parser, the commented sample file and the man page.
 * Section and key names are Kata Containers' where the meaning is the same.
 *
 * Pure, but for config_load(), which reads the files.
 */
#pragma once

#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_accel { CONFIG_ACCEL_AUTO, CONFIG_ACCEL_KVM, CONFIG_ACCEL_TCG };
enum config_machine { CONFIG_MACHINE_MICROVM, CONFIG_MACHINE_Q35 };

struct config {
    struct {
        char *path;            /* of the QEMU binary */
        char *kernel, *initrd; /* "" = the newest image that `minka image` built */
        char *kernel_params;
        char *firmware; /* "" = found beside QEMU */
        enum config_machine machine_type;
        enum config_accel accel;
        unsigned default_vcpus, default_maxvcpus; /* max 0 = the host's */
        uint64_t default_memory;                  /* MiB */
        bool seccompsandbox;                      /* QEMU's own -sandbox, all denied */
        char *virtio_fs_daemon;                   /* "" = found */
        char *virtio_fs_cache;                    /* auto, always, metadata, never/none */
        bool enable_debug;
    } qemu;
    struct {
        unsigned dial_timeout; /* seconds until the guest must have answered */
    } agent;
    struct {
        char *image_dir;                        /* where `minka image` keeps guest images */
        char *libexec_dir;                      /* minka-monitor, minka-standin, minka-agent, minka-image */
        uint32_t id_range_start, id_range_size; /* uids and gids to lease */
        bool enable_debug;
    } runtime;
};

/* Defaults only; never fails but for memory. */
int config_default(struct config **ret, struct err *err);
struct config *config_free(struct config *config);
void config_freep(struct config **config);
#define _cleanup_config_ __attribute__((cleanup(config_freep)))

/* Apply one TOML document on top. name is used in messages: "NAME:12: unknown key \"x\" in [runtime]". */
int config_apply(struct config *config, const char *text, size_t length, const char *name, struct err *err);

/*
 * Load: path if not NULL (must exist), else the first of $XDG_CONFIG_HOME/minka/configuration.toml,
 * SYSCONFDIR/minka/configuration.toml, DATADIR/minka/configuration.toml (where the sample is installed) that exists
 * (none is fine);
 * then, beside the file, configuration.toml.d/ *.toml in the byte order of their names (in general: FILE.d/).
 * A drop-in directory without its file counts as a place, too. config_home may be NULL.
 */
int config_load(const char *path, const char *config_home, struct config **ret, struct err *err);

/* The commented sample, and the man page's list of keys in scdoc. */
int config_write_sample(FILE *out);
int config_write_scdoc(FILE *out);

/* All keys with the values in force, as a file that could be read back. 0 or -EIO. */
int config_write(const struct config *config, FILE *out);
