/* SPDX-License-Identifier: Apache-2.0 */
/* A test that fails half-way leaves its processes; this group teardown ends them. */
#pragma once

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

static inline int kill_leftovers(void **state) {
    (void)state;
    char path[64];
    _cleanup_free_ char *text = NULL;
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    if (read_file(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0)
        return 0;
    char *at = text, *end;
    for (long pid; (pid = strtol(at, &end, 10)) > 0 && end != at; at = end)
        (void)kill((pid_t)pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    return 0;
}
