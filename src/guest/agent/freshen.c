/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/freshen.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

char **freshen_sources(const Minka__Plan__V1__Container *plan) {
    _cleanup_strv_ char **sources = calloc(plan->n_mounts + 1, sizeof *sources);
    size_t count = 0;
    for (size_t i = 0; sources && i < plan->n_mounts; i++) {
        if (!text_has_prefix(plan->mounts[i]->source, GUEST_SHARE_PATH "/"))
            continue;
        sources[count] = strdup(plan->mounts[i]->source);
        if (!sources[count++])
            return NULL;
    }
    return count > 0 ? take_ptr(sources) : NULL;
}

void freshen(char *const *sources) {
    struct statx ignored; /* what it says is in the kernel now, for every mount of the file */
    for (size_t i = 0; sources[i]; i++)
        (void)statx(AT_FDCWD, sources[i], AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &ignored);
}
