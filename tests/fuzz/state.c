/* SPDX-License-Identifier: Apache-2.0 */
/* state.json: what was read can be written, and is read again as the same. */
#include "privileged/state/state.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/minka-fuzz-state.XXXXXX";
static int directory_fd = -EBADF;

static void remove_directory(void) {
    (void)unlinkat(directory_fd, "state.json", 0);
    (void)rmdir(directory);
}

static void make_directory(void) {
    if (!mkdtemp(directory) || (directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        abort();
    (void)atexit(remove_directory);
}

static void must_be_same(const struct state *a, const struct state *b) {
    if (strcmp(a->id, b->id) != 0 || strcmp(a->bundle, b->bundle) != 0 || strcmp(a->rootfs, b->rootfs) != 0 ||
        strcmp(a->cgroup, b->cgroup) != 0 || strcmp(a->created, b->created) != 0 || a->status != b->status ||
        a->owner != b->owner || memcmp(a->uids, b->uids, sizeof a->uids) != 0 || a->standin.pid != b->standin.pid ||
        a->standin.start_ticks != b->standin.start_ticks || a->memory_mib != b->memory_mib || a->vcpus != b->vcpus)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_state_ struct state *state = NULL, *again = NULL;
    struct err err = {0};
    if (directory_fd < 0)
        make_directory();
    int fd = openat(directory_fd, "state.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, data, size) < 0)
        abort();
    (void)close(fd);
    int r = state_load(directory_fd, &state, &err);
    if ((r < 0) != (err.text[0] != '\0') || (r < 0) != (state == NULL))
        abort();
    if (r < 0)
        return 0;
    if (state_save(directory_fd, state, &err) < 0 || state_load(directory_fd, &again, &err) < 0)
        abort();
    must_be_same(state, again);
    return 0;
}
