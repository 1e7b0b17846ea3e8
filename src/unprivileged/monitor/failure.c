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
    (void)err_set(err, EIO, "%s %s while the virtual machine was %s%s%s",
                  which == CHILD_VMM ? "QEMU" : "the file server", how, failure_stage(m), line[0] ? "; it said: " : "",
                  line);
}

/* What the guest's kernel and the agent say on the console when they give up: kernel/panic.c, guest/agent/power.c. */
void failure_of_guest(struct monitor *m, const char *how, struct err *err) {
    static const char agent[] = "minka-agent: ", panic[] = "Kernel panic - not syncing: ", panic_end[] = " ]---";
    char line[CONSOLE_LINE_MAX];
    bool running = m->phase == PHASE_RUNNING;
    const char *remedy = running ? "" : " (`minka image build` replaces a damaged guest image)";
    console_drain(&m->guest);
    console_after(&m->guest, agent, line);
    if (line[0]) {
        (void)err_set(err, EIO, "the guest gave up while it was %s: %s", failure_stage(m), line);
        return;
    }
    console_after(&m->guest, panic, line);
    char *end = strstr(line, panic_end);
    if (end)
        *end = '\0';
    if (line[0]) {
        (void)err_set(err, EIO, "the guest's kernel panicked while it was %s: %s%s", failure_stage(m), line, remedy);
        return;
    }
    console_last_line(&m->guest, line);
    (void)err_set(err, EIO, "the guest %s by itself while it was %s; its console %s%s%s", how, failure_stage(m),
                  line[0] ? "last said: " : "said nothing", line, remedy);
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
                  loading || m->config.debug ? "" : " (`enable_debug = true` makes it say more)");
}
