/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences for a sandbox that could not start or live: what happened, when, and what was seen last. */
#include "shared/base/cleanup.h"
#include "unprivileged/monitor/monitor.h"

#include <string.h>

const char *failure_stage(const struct monitor *m) {
    if (m->phase == PHASE_NEW || (m->setup_call && call_request(m->setup_call)->op == CONTROL_LOAD))
        return "loading";
    return m->phase == PHASE_RUNNING ? "running" : "booting";
}

void failure_reword(char *text) {
    /* podman takes these for the command's own fault: libpod/oci_util.go, getOCIRuntimeError. Never longer. */
    static const struct {
        const char *phrase, *instead;
    } table[] = {{"no such file or directory", "it does not exist"},
                 {"permission denied", "access refused"},
                 {"operation not permitted", "it is not allowed"}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char *at;
        size_t from = strlen(table[i].phrase), to = strlen(table[i].instead);
        while ((at = strcasestr(text, table[i].phrase))) {
            memcpy(at, table[i].instead, to);
            memmove(at + to, at + from, strlen(at + from) + 1);
        }
    }
}

void failure_of_child(struct monitor *m, int which, const char *how, struct err *err) {
    struct console *console = which == CHILD_VMM ? &m->vmm : &m->share;
    char line[CONSOLE_LINE_MAX];
    console_drain(console); /* its last words may still be in the pipe */
    console_last_line(console, line);
    (void)err_set(err, EIO, "%s %s while %s%s%s", which == CHILD_VMM ? "QEMU" : "the file server", how,
                  failure_stage(m), line[0] ? ": " : "", line);
}

void failure_of_deadline(struct monitor *m, struct err *err) {
    char line[CONSOLE_LINE_MAX], said[CONSOLE_LINE_MAX + 64];
    bool loading = strcmp(failure_stage(m), "loading") == 0;
    console_drain(&m->vmm);
    console_drain(&m->guest);
    console_last_line(loading ? &m->vmm : &m->guest, line);
    const char *who = loading ? "QEMU" : "its console";
    if (line[0])
        (void)snprintf(said, sizeof said, "%s last said: %s", who, line);
    else
        (void)snprintf(said, sizeof said, "%s said nothing", who);
    (void)err_set(err, ETIMEDOUT, "%s did not get ready within %u s (dial_timeout); %s%s",
                  loading ? "QEMU" : "the guest", m->config.dial_timeout_sec, said,
                  loading || m->config.debug ? "" : " (--debug shows the guest's console)");
}
