/* SPDX-License-Identifier: Apache-2.0 */
#include "minka-build.h"
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

int fault_point(const char *step, struct err *err) {
#if MINKA_FAULT_INJECTION
    static uint64_t count;
    const char *text = getenv("MINKA_FAIL_AT");
    uint64_t at;
    if (text && parse_u64(text, &at) == 0 && ++count == at)
        return err_set(err, EIO, "step %s fails because MINKA_FAIL_AT says so", step);
#endif
    (void)step;
    (void)err;
    return 0;
}

#if MINKA_FAULT_INJECTION
static void kill_now(const struct process *process) {
    enum { WAIT_MSEC = 2000 };
    struct pollfd p = {.fd = process->pidfd, .events = POLLIN};
    if (process->pidfd >= 0 && pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0) == 0)
        (void)poll(&p, 1, WAIT_MSEC);
}
#endif

void fault_kill(const struct sandbox *s, const char *step) {
#if MINKA_FAULT_INJECTION
    const struct {
        const char *role;
        const struct process *process;
    } processes[] = {
        {"monitor", &s->monitor}, {"vmm", &s->vmm}, {"file server", &s->file_server}, {"stand-in", &s->standin}};
    const char *text = getenv("MINKA_KILL"), *at = text ? strchr(text, '@') : NULL;
    if (!at || strcmp(at + 1, step) != 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
        if (strncmp(processes[i].role, text, (size_t)(at - text)) == 0)
            kill_now(processes[i].process);
#endif
    (void)s;
    (void)step;
}
