/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The initrd: a "newc" cpio archive (Documentation/driver-api/early-userspace/
 * buffer-format.rst), written so that equal content gives equal bytes: entries sorted by
 * name, owned by root, all with one time, numbered in order. Pure.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cpio_entry {
    char *name;      /* without leading slash, "dev/console" */
    mode_t mode;     /* type and permissions */
    dev_t device;    /* of a device node */
    struct buf data; /* of a regular file */
};
struct cpio {
    struct cpio_entry *entries;
    size_t count;
};
void cpio_done(struct cpio *cpio);
#define _cleanup_cpio_ __attribute__((cleanup(cpio_done)))

/* The directories above a name are added by themselves (0755). data is taken over on success; NULL: none. */
int cpio_add(struct cpio *cpio, const char *name, mode_t mode, dev_t device, struct buf *data, struct err *err);

/* Append the archive to ret. mtime in seconds. Sorts the entries. A name that is there twice is an error. */
int cpio_write(struct cpio *cpio, uint32_t mtime, struct buf *ret, struct err *err);
