/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of uids (the gid of the same number goes with each): a ledger file under
 * flock(2), rewritten atomically, one line "UID OWNER" per lease. Ids are handed
 * out in turn over the whole range, so that a released one comes back as late as
 * possible, and never while a process with it is alive.
 */
#pragma once

#include "shared/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct identity_range {
    const char *ledger; /* path of the ledger file; its directory exists */
    uint32_t start, size;
};

/* Lease count ids for owner (a unique text without newline: the sandbox's state directory). */
int identity_lease(const struct identity_range *range, const char *owner, size_t count, uint32_t *ret_ids,
                   struct err *err);

/* Give back all leases of owner; none is fine. */
int identity_release(const struct identity_range *range, const char *owner, struct err *err);

/* The ids that owner has, at most size of them; how many there are. */
int identity_owned(const struct identity_range *range, const char *owner, uint32_t *ret_ids, size_t size,
                   struct err *err);

/* How many leases owner has (NULL: all together), or a negative errno. */
int identity_count(const struct identity_range *range, const char *owner, struct err *err);
