/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/write_back.h"

#include "guest/agent/oom.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"

#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { IN_FLIGHT_MSEC = 30000 };

/*
 * FUSE writes the dirty pages of a mapping when it is unmapped (fuse_vma_close), but up to Linux 6.15 it copies them
 * into temporary pages, and nobody waits for the requests; those are counted as WritebackTmp. When the server
 * does not know FUSE_SYNCFS, as QEMU's virtiofsd, syncfs(2) does not wait either (fuse_sync_fs).
 */
static bool any_in_flight(const char *meminfo) {
    return cgroup_flat_value(meminfo, "Writeback:") != 0 || cgroup_flat_value(meminfo, "WritebackTmp:") != 0;
}

bool write_back_needed_by(const char *meminfo) {
    return cgroup_flat_value(meminfo, "Dirty:") != 0 || any_in_flight(meminfo);
}

/* The counters are kept per CPU and added up with delay, unless one asks: vm.stat_refresh. NULL: not known. */
static char *read_meminfo(void) {
    char *text = NULL;
    if (write_kernel_file(AT_FDCWD, "/proc/sys/vm/stat_refresh", "1") < 0 ||
        read_file(AT_FDCWD, "/proc/meminfo", 1 << 20, &text, NULL, NULL) < 0)
        return NULL;
    return text;
}

bool write_back_needed(void) {
    _cleanup_free_ char *meminfo = read_meminfo();
    return !meminfo || write_back_needed_by(meminfo);
}

void write_back(const int *shares, size_t n_shares) {
    sync();
    /* What is in flight is seen to arrive; each look costs a round trip to the servers, so that this does not spin. */
    for (int64_t deadline = monotonic_msec() + IN_FLIGHT_MSEC; monotonic_msec() < deadline;) {
        _cleanup_free_ char *meminfo = read_meminfo();
        if (n_shares == 0 || !meminfo || !any_in_flight(meminfo))
            return;
        struct statfs ignored;
        for (size_t i = 0; i < n_shares; i++)
            (void)fstatfs(shares[i], &ignored);
    }
}
