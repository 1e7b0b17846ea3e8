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
#include "shared/base/streams.h"

#include <stdbool.h>

/* What every command of one caller has in common. */
struct setup_context {
    const char *root;    /* state directory: ROOT/ID per container */
    const char *run_dir; /* of the host: the ledger of leases, what probes found out */
    bool rootless;
    bool no_cgroup;      /* leave host cgroups alone */
    bool systemd_cgroup; /* cgroupsPath is slice:prefix:name */
    bool debug;          /* the monitor keeps a log in ROOT/ID */
    const struct config *config;
    void (*note)(void *data, const char *sentence); /* for --debug: what was decided; NULL none */
    void *note_data;
    void (*warn)(void *data, const char *sentence); /* what the user should know though it works; NULL none */
    void *warn_data;
};

/*
 * The caller's descriptors that become a process's, by their numbers there: standard input, output, error, -EBADF for
 * /dev/null, and then those of --preserve-fds. They stay the caller's.
 */
struct setup_streams {
    int fds[STREAMS_MAX];
    size_t count; /* at least 3 */
};

/* A bundle, read and checked once. */
struct setup_bundle {
    char *path; /* absolute */
    char *json; /* config.json as it is */
    size_t length;
    struct oci_spec *spec;
};
int setup_bundle_load(const char *path, struct setup_bundle *ret, struct err *err);
void setup_bundle_done(struct setup_bundle *bundle);
#define _cleanup_setup_bundle_ __attribute__((cleanup(setup_bundle_done)))

struct setup_request {
    const char *id;
    const struct setup_bundle *bundle;
    const char *image;        /* --image: a file used as the root file system, NULL none */
    int console_socket;       /* connected socket that gets the pty's master, -EBADF none */
    bool foreground_terminal; /* run -t: the caller relays; *ret_master is the pty's master */
    struct setup_streams streams;
    /*
     * On success SIGHUP, SIGINT, SIGQUIT and SIGTERM stay blocked, unless they were ignored, so that there is no moment
     * in which they end the caller alone and leave the container. While setup_start() waits they make it fail.
     */
    bool keep_signals;
};

struct setup_result {
    pid_t standin; /* child of the caller */
    int standin_pidfd;
    int terminal_master; /* for foreground_terminal, else -EBADF */
};

/* create: afterwards the container is created and its state saved, or nothing is left. */
int setup_create(const struct setup_context *context, const struct setup_request *request, struct setup_result *ret,
                 struct err *err);

/*
 * start: the process runs (its execve succeeded), the state is saved, poststart hooks have run. A hook that fails
 * there is a warning in *ret_warning, which has code 0 if none did.
 */
int setup_start(const struct setup_context *context, int dir, struct state *state, struct err *ret_warning,
                struct err *err);

/* exec: a further process; *ret as above. */
struct setup_exec {
    const struct oci_process *process;
    const char *process_id;
    int console_socket;
    bool foreground_terminal;
    struct setup_streams streams;
    bool keep_signals; /* as for create; without it they are left alone */
};
int setup_exec(const struct setup_context *context, int dir, const struct state *state,
               const struct setup_exec *request, struct setup_result *ret, struct err *err);

/* kill -9 without the monitor's help: ends the whole sandbox. */
int setup_kill_sandbox(const struct state *state, struct err *err);

/*
 * delete: end what runs, give back everything, run poststop hooks (a failure of theirs is a warning). dir is locked
 * (state_open). Goes on after a failure, so that a second try has less to do; returns the first one.
 */
int setup_delete(const struct setup_context *context, int dir, struct state *state, struct err *ret_warning,
                 struct err *err);

/*
 * delete --force of a container whose state cannot be read (why): what its leases lead to, its processes and through
 * them its cgroup, is ended and given back. dir is locked. What could not be found out is in *ret_warning.
 */
int setup_delete_unknown(const struct setup_context *context, int dir, const char *id, const struct err *why,
                         struct err *ret_warning, struct err *err);

/* update: the container's limits in the guest, and what the host's cgroup follows. */
int setup_update(const struct setup_context *context, int dir, const struct state *state,
                 const struct oci_resources *resources, struct err *err);

/*
 * One request to the monitor of a container and its first reply. fds may be NULL. Deadline in seconds, 0 = none.
 * A refusal is an error with the monitor's sentence. ret_socket (may be NULL) is for the replies that follow.
 * -ESRCH and "container not running" when there is no monitor any more.
 */
struct control_request;
struct control_reply;
int setup_call(int dir, struct control_request *request, const int *fds, size_t n_fds, unsigned deadline_sec,
               struct control_reply *reply, int *ret_socket, struct err *err);
/* The same in steps. */
int setup_connect(int dir, int *ret_socket, struct err *err);
int setup_send(int socket, struct control_request *request, const int *fds, size_t n_fds, struct err *err);
int setup_receive(int socket, unsigned op, unsigned deadline_sec, struct control_reply *reply, struct err *err);

/*
 * Run the hooks of one kind on the host, state on stdin; createContainer ones in the stand-in's network namespace.
 * The first failure ends it, but poststart and poststop hooks all run and the first failure is returned then.
 */
int setup_run_hooks(const struct oci_spec *spec, enum oci_hook_kind kind, const struct state *state, const char *status,
                    int pid, struct err *err);

/* What a start would use on this host, for `minka env`. Strings are new; free with setup_machine_done(). */
struct setup_machine {
    char *vmm_path, *firmware, *kernel, *initrd, *image; /* image: directory of the guest image, NULL if configured */
    char guest_kernel[128];
    unsigned version_major, version_minor;
    bool kvm, kvm_by_fd;
    char accel_reason[256]; /* why not KVM; empty when it is, or was not asked for */
    char *file_server;
    bool file_server_is_rust;
};
int setup_machine_find(const struct setup_context *context, struct setup_machine *ret, struct err *err);
/* The same for a person who looks: everything that can be found, and for each part what is wrong with it (code 0:
 * nothing). context->run_dir may be NULL. */
struct setup_machine_problems {
    struct err vmm, acceleration, guest, file_server;
};
void setup_machine_look(const struct setup_context *context, struct setup_machine *ret,
                        struct setup_machine_problems *problems);
void setup_machine_done(struct setup_machine *machine);
#define _cleanup_setup_machine_ __attribute__((cleanup(setup_machine_done)))
