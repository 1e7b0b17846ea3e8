/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The privileged half of a sandbox's life: acquires what a container needs, hands
 * it to the unprivileged processes as descriptors, and returns, so that its caller
 * can exit. Reads nothing that a guest, the VMM or the file server says: those
 * bytes are the monitor's, which answers here in fixed-size records
 * (facts/control).
 *
 * Every acquisition goes on an undo stack. MINKA_FAIL_AT=N in a build with
 * -Dfault_injection=true makes step N fail; tests/fault tries every N.
 */
#pragma once

#include "facts/config/config.h"
#include "privileged/state/state.h"
#include "shared/base/err.h"

#include <stdbool.h>

struct setup_request {
    const char *root;          /* state directory */
    const char *id;
    const char *bundle;        /* absolute */
    const char *image;         /* --image: a file used as the root file system, NULL none */
    int console_socket;        /* connected socket that gets the pty's master, -EBADF none */
    bool foreground_terminal;  /* run -t: the caller relays; *ret_master is the pty's master */
    int preserve_fds;
    int stdio[3];              /* the container's; -EBADF: /dev/null */
    const struct config *config;
};

struct setup_result {
    pid_t standin;             /* child of the caller */
    int standin_pidfd;
    int terminal_master;       /* for foreground_terminal, else -EBADF */
};

/* create: afterwards the container is created and its state saved, or nothing is left. */
int setup_create(const struct setup_request *request, struct setup_result *ret, struct err *err);

/* exec: a further process; *ret as above. process_json is the whole process object. */
struct setup_exec {
    const char *root, *id;
    const struct oci_process *process;
    const char *process_id;
    int console_socket;
    bool foreground_terminal;
    int stdio[3];
    const struct config *config;
};
int setup_exec(const struct setup_exec *request, struct setup_result *ret, struct err *err);

/* delete: end what runs, give back everything, run poststop hooks. dir is locked (state_open). Never stops half-way. */
int setup_delete(const char *root, const char *id, int dir, struct state *state, const struct config *config,
                 struct err *err);

/* One request to the monitor of a container and its first reply. fds may be NULL. Deadline in seconds, 0 = none. */
struct control_request;
struct control_reply;
int setup_call(int dir, struct control_request *request, const int *fds, size_t n_fds, unsigned deadline_sec,
               struct control_reply *reply, int *ret_socket, struct err *err);

/* Run the hooks of one kind on the host, state on stdin. The first failure ends it unless kind is poststart/poststop. */
int setup_run_hooks(const struct oci_spec *spec, enum oci_hook_kind kind, const struct state *state,
                    const char *status, int pid, struct err *err);
