/* SPDX-License-Identifier: Apache-2.0 */
/* Handing to the host what the guest's page cache still holds for it, so that nothing that a container wrote is lost
 * or comes late when its end is told. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether any page of the machine is dirty or on its way. A few file reads; does not wait for anything. */
bool write_back_needed(void);

/* Write back all, and wait for it. shares: directories on FUSE file systems. Blocks as long as the host's disks need.
 */
void write_back(const int *shares, size_t n_shares);

/* The same question about the text of /proc/meminfo. */
bool write_back_needed_by(const char *meminfo);
