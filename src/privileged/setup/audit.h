/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes of a sandbox are now, and whether that is what they were proved to be at the start: the same
 * properties (confine_examine()) of the same plans (ROOT/ID/confinement.json), at any time.
 *
 * Nothing that the sandbox says is asked for: processes are found by the state and by the uids leased for the sandbox,
 * and looked at in /proc.
 */
#pragma once

#include "privileged/confine/facts.h"
#include "privileged/setup/setup.h"

struct audit_finding {
    const char *property;
    char *wrong; /* NULL: it holds */
};

struct audit_process {
    const char *role;
    struct state_process process;
    bool looked; /* there are facts */
    struct confine_facts facts;
    struct audit_finding *findings;
    size_t n_findings;
};

struct audit {
    struct audit_process *processes;
    size_t n_processes;
    struct audit_finding *findings; /* about the sandbox as a whole */
    size_t n_findings;
    struct remembered *plans;
};

/* What is wrong is in *ret. An error means that it cannot be told. */
int setup_audit(const struct setup_context *context, int dir, const struct state *state, struct audit *ret,
                struct err *err);
void audit_done(struct audit *audit);
#define _cleanup_audit_ __attribute__((cleanup(audit_done)))
bool audit_process_holds(const struct audit_process *process);
bool audit_holds(const struct audit *audit);

/* What confinement lacks because this host cannot give it, and what would. */
struct audit_lack {
    char what[512], remedy[256];
};
enum { AUDIT_LACKS_MAX = 8 };
size_t setup_audit_host(const struct setup_context *context, struct audit_lack ret[AUDIT_LACKS_MAX]);
