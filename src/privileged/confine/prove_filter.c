/* SPDX-License-Identifier: Apache-2.0 */
/* The proof that the plan's list of system calls is in force. */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* How many filters a process has. */
static int count_filters(const struct confine_subject *s, uint64_t *ret, struct err *err) {
    _cleanup_free_ char *mode = NULL, *filters = NULL;
    int r = confine_read_status(s, "Seccomp", &mode, err);
    if (r >= 0)
        r = confine_read_status(s, "Seccomp_filters", &filters, err);
    if (r < 0)
        return r;
    if (parse_u64(filters, ret) < 0)
        return err_set(err, EBADMSG, "the kernel says that it has \"%s\" filters", filters);
    if (strcmp(mode, "2") != 0) /* SECCOMP_MODE_FILTER */
        *ret = 0;
    return 0;
}

/*
 * The command may be under a filter itself, which is handed on, so that one more counts. That it is the plan's cannot
 * be read back without tracing the process, but nothing of the program has run yet that could have loaded another.
 * Later there may be more: QEMU and the file servers have their own.
 */
int confine_prove_filter(const struct confine_subject *s, struct err *err) {
    if (!s->plan->filter)
        return 0;
    _cleanup_close_ int self = open("/proc/thread-self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self < 0)
        return err_errno_name(err, "cannot look at its own filters");
    struct confine_subject own = {.plan = s->plan, .proc = self};
    uint64_t theirs = 0, ours = 0;
    int r = count_filters(s, &theirs, err);
    if (r >= 0)
        r = count_filters(&own, &ours, err);
    if (r < 0)
        return r;
    if (s->executed ? theirs > ours : theirs == ours + 1)
        return 0;
    return err_set(err, EPERM,
                   "it has %" PRIu64 " filters of system calls, and with the one for a %s it should be %" PRIu64,
                   theirs, s->plan->filter->name, ours + 1);
}
