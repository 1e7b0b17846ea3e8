/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/plan/build.h"

#include <inttypes.h>

/* Strings come from the user: what is not printable would make two lines of one. */
static int print_text(const char *name, const char *text, struct buf *out) {
    int r = buf_append_format(out, "%s: ", name);
    for (const char *c = text; r >= 0 && *c; c++)
        r = (unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\' ? buf_append_format(out, "\\x%02x", (unsigned char)*c)
                                                                 : buf_append(out, c, 1);
    return r < 0 ? r : buf_append_string(out, "\n");
}

static int print_identity(const plan_process_message *process, struct buf *out) {
    int r = buf_append_format(out, "user: %u:%u", process->uid, process->gid);
    for (size_t i = 0; r >= 0 && i < process->n_additional_gids; i++)
        r = buf_append_format(out, "%s%u", i == 0 ? ", also in groups " : " ", process->additional_gids[i]);
    if (r >= 0)
        r = buf_append_string(out, "\n");
    if (r >= 0 && process->set_umask)
        r = buf_append_format(out, "umask: %04o\n", process->umask);
    const Minka__Plan__V1__Capabilities *c = process->capabilities;
    if (r >= 0 && c)
        r = buf_append_format(out,
                              "capabilities: bounding %" PRIx64 ", effective %" PRIx64 ", inheritable %" PRIx64
                              ", permitted %" PRIx64 ", ambient %" PRIx64 "\n",
                              c->bounding, c->effective, c->inheritable, c->permitted, c->ambient);
    if (r >= 0 && !c)
        r = buf_append_string(out, "capabilities: none\n");
    if (r >= 0 && process->no_new_privileges)
        r = buf_append_string(out, "no new privileges\n");
    return r;
}

static int print_limits(const plan_process_message *process, struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < process->n_rlimits; i++)
        r = buf_append_format(out, "rlimit: %u soft %" PRIu64 " hard %" PRIu64 "\n", process->rlimits[i]->resource,
                              process->rlimits[i]->soft, process->rlimits[i]->hard);
    if (r >= 0 && process->set_oom_score_adj)
        r = buf_append_format(out, "oom score: %d\n", process->oom_score_adj);
    const Minka__Plan__V1__Scheduler *s = process->scheduler;
    if (r >= 0 && s)
        r = buf_append_format(out,
                              "scheduler: policy %u flags 0x%" PRIx64 " nice %d priority %u runtime %" PRIu64
                              " deadline %" PRIu64 " period %" PRIu64 "\n",
                              s->policy, s->flags, s->nice, s->priority, s->runtime, s->deadline, s->period);
    if (r >= 0 && process->set_io_priority)
        r = buf_append_format(out, "io priority: 0x%x\n", (unsigned)process->io_priority);
    return r;
}

int plan_print_process(const plan_process_message *process, struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < process->n_args; i++)
        r = print_text("argument", process->args[i], out);
    for (size_t i = 0; r >= 0 && i < process->n_env; i++)
        r = print_text("environment", process->env[i], out);
    if (r >= 0)
        r = print_text("directory", process->cwd, out);
    for (size_t i = STREAMS_STANDARD; r >= 0 && i < process->streams.len; i++)
        r = buf_append_format(out, "descriptor %zu: %s\n", i,
                              process->streams.data[i] == STREAM_INPUT    ? "input"
                              : process->streams.data[i] == STREAM_OUTPUT ? "output"
                                                                          : "socket");
    if (r >= 0 && process->terminal)
        r = buf_append_format(out, "terminal: %u rows, %u columns\n", process->rows, process->columns);
    if (r >= 0)
        r = print_identity(process, out);
    if (r >= 0)
        r = print_limits(process, out);
    return r < 0 || process->seccomp.len == 0 ? r : plan_print_seccomp(&process->seccomp, process->seccomp_flags, out);
}

int plan_print_cgroup(const plan_cgroup *cgroup, struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < cgroup->n_settings; i++)
        r = buf_append_format(out, "cgroup: %s = %s%s\n", cgroup->settings[i]->file, cgroup->settings[i]->value,
                              cgroup->settings[i]->optional ? " (where there is one)" : "");
    return r < 0 || cgroup->device_program.len == 0 ? r : plan_print_device_program(&cgroup->device_program, out);
}
