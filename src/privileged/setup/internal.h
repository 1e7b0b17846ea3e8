/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of setup share. */
#pragma once

#include "facts/plan/plan.h"
#include "facts/vmm/vmm.h"
#include "privileged/confine/confine.h"
#include "privileged/setup/setup.h"
#include "privileged/share/share.h"
#include "shared/base/buf.h"
#include "shared/base/undo.h"

#include <limits.h>
#include <poll.h>

enum { UID_MONITOR, UID_VMM, UID_FILE_SERVER, UID_STANDIN };

/* A confined process while its creator still holds on to it. */
struct process {
    pid_t pid;
    int pidfd;
    struct confine_plan plan; /* what it was started with, for the proof */
    char cgroup[PATH_MAX];    /* that the plan names */
};

/* The descriptors that the monitor gets for one process, by their numbers there, and what the caller keeps. */
struct streams {
    uint8_t kinds[STREAMS_MAX]; /* enum stream_kind */
    size_t count;
    int fds[STREAMS_MAX]; /* opened anew where possible, see streams.c; of STREAM_TERMINAL the pty's slave */
    int master;           /* of the pty */
};

/* Everything that `create` acquires. */
struct sandbox {
    const struct setup_context *context;
    const struct setup_request *request;
    const struct oci_spec *spec;

    struct setup_machine machine;
    struct vmm_size size;
    char *rootfs;          /* directory or image, resolved */
    const char *disk_type; /* NULL: a directory */
    bool disk_readonly;
    int disk;
    struct plan_host_mount *mounts; /* spec->n_mounts */
    bool uses_share;                /* the root is a directory, or a mount has a source on the host */
    int plan;                       /* sealed memfd for the guest */

    char *owner; /* of the leases: the state directory */
    int dir;
    struct state *state;
    bool hooks_began;
    bool keep_signals; /* it is created, and its creator wants them */
    char *cgroup;
    bool cgroup_made;

    int setup;       /* our end of the setup connection */
    bool load_asked; /* CONTROL_LOAD is sent: the monitor knows the processes */
    bool boot_asked; /* CONTROL_BOOT is sent and not yet answered */
    int monitor_setup, monitor_listen, monitor_qmp, monitor_agent, monitor_console, monitor_vmm_stderr,
        monitor_share_stderr;                                            /* the monitor's ends */
    int vmm_qmp, vmm_agent, vmm_console, vmm_stderr, vmm_share, vmm_kvm; /* the VMM's */
    int share_listen, share_stderr;                                      /* the file server's */
    int standin_socket, monitor_standin;
    int net_namespace; /* of the container, if the spec names one */
    struct streams streams;

    struct process monitor, vmm, file_server, standin;
    char **vmm_argv, **vmm_files, **server_files, **server_strings;
    enum share_server server_kind;

    struct undo undo;
};

/* ---- error.c ---- */

/* ---- fault.c ---- */
/* In a build with fault injection, fail the call whose number MINKA_FAIL_AT has; else nothing. */
int fault_point(const char *step, struct err *err);
/* In such a build, SIGKILL the process ROLE before step STEP if MINKA_KILL is "ROLE@STEP", and wait for its end. */
void fault_kill(const struct sandbox *s, const char *step);

/* ---- interrupt.c ---- */
/* From here on SIGHUP, SIGINT, SIGQUIT and SIGTERM are errors of the step that they meet, unless they are ignored. */
void interrupt_begin(void);
/* They wait until the end: what has been acquired is being given back. */
void interrupt_defer(void);
void interrupt_allow(void);
/* They wait, one that has come and was no error of a step among them. */
void interrupt_hand_on(void);
void interrupt_end(void);
/* -EINTR when one of them has come. */
int interrupt_check(struct err *err);
/* poll(2), which they end with EINTR. */
int interrupt_poll(struct pollfd *fds, nfds_t count, int msec);

/* ---- explain.c ---- */
/* A step of `create` has failed. If one of the sandbox's processes has died, err becomes that. */
void sandbox_explain(struct sandbox *s, struct err *err);

/* ---- prepare.c: everything that can be known before anything is made ---- */
int sandbox_prepare(struct sandbox *s, struct err *err);
void host_mounts_free(struct sandbox *s);

/* ---- machine.c ---- */
int machine_probe_dir(const struct setup_context *context, char **ret, struct err *err);
/* Size the machine for the spec's limits. */
int machine_size(const struct setup_context *context, const struct oci_spec *spec, bool kvm, struct vmm_size *ret,
                 struct err *err);
/* CPUs in a list such as "0-3,7"; 0 when it is none. */
unsigned cpu_list_count(const char *list);

/* ---- acquire.c: leases, cgroup, sockets ---- */
struct identity_range;
int lease_range(const struct setup_context *context, char *ledger, size_t size, struct identity_range *ret,
                struct err *err);
int sandbox_lease(struct sandbox *s, struct err *err);
int sandbox_check_cgroup(const struct sandbox *s, struct err *err); /* before anything is made */
int sandbox_make_cgroup(struct sandbox *s, struct err *err);
int sandbox_make_sockets(struct sandbox *s, struct err *err);
/* What the whole sandbox may take from the host. */
struct cgroup_limits;
void cgroup_limits_of(const struct oci_resources *resources, const struct vmm_size *size, struct cgroup_limits *ret);
/* confine_spawn() by the process's plan, in this cgroup; "" for none. */
int spawn_in_cgroup(struct process *process, const char *cgroup, struct err *err);

/* ---- spawn_*.c ---- */
int spawn_monitor(struct sandbox *s, struct err *err);
int make_share_sockets(struct sandbox *s, struct err *err); /* spawn_vmm() takes one end, spawn_share() the other */
int spawn_share(struct sandbox *s, struct err *err);
int share_trees(struct sandbox *s, struct err *err); /* what of the host the container sees, into the server's share */
int spawn_vmm(struct sandbox *s, struct err *err);
int spawn_standin(struct sandbox *s, struct err *err);
/* A stand-in's plan; fds and names must outlive the spawning. */
struct standin {
    const struct setup_context *context;
    uid_t uid;
    int monitor_pidfd;
    int socket;
    int terminal;      /* pty slave, -EBADF none */
    int net_namespace; /* -EBADF: a new one */
    const char *cgroup;
};
int standin_spawn(const struct standin *standin, struct process *ret, struct err *err);
int open_program(const struct setup_context *context, const char *name, int *ret, struct err *err);
int open_null(int *ret, struct err *err);
void limit(struct confine_plan *plan, int resource, rlim_t value);
/* /dev/null as often as it is given. */
void may_hold_null(struct confine_plan *plan, unsigned most);
/* From now on the monitor may hold the streams of processes, and has a connection for each of them. */
void let_monitor_serve(struct confine_plan *plan);

/* ---- remember.c: the plans that a sandbox's processes were proved against, for the audit ---- */
int sandbox_remember(const struct sandbox *s, struct err *err);
struct json;
struct remembered {
    struct json *json; /* which the plans' texts are in */
    size_t count;
    struct confine_plan plans[4];
    bool emptied[4];
};
int remembered_load(int dir, struct remembered *ret, struct err *err);
void remembered_done(struct remembered *remembered);

/* ---- streams.c ---- */
struct control_request;
void streams_init(struct streams *streams);
void streams_done(struct streams *streams);
/* What kinds they are, before anything is made; refuses what cannot be relayed. */
int streams_look(struct streams *streams, bool terminal, const struct setup_streams *given, struct err *err);
/* rows, columns: 0 unknown. */
int streams_open(struct streams *streams, const struct setup_streams *given, unsigned rows, unsigned columns,
                 struct err *err);
bool streams_have_terminal(const struct streams *streams);
/* Into a CREATE or EXEC; fds has room for CONTROL_FDS_MAX, and the number in use is returned. */
size_t streams_request(const struct streams *streams, struct control_request *request, int *fds);
int streams_send_master(const struct streams *streams, int console_socket, struct err *err);

/* ---- relayable.c ---- */
/* What kind of stream the caller's descriptor becomes; number is for the sentence that refuses it. */
int relayable(int fd, int number, enum stream_kind *ret, struct err *err);

/* ---- ends.c: ending processes ---- */
/*
 * SIGKILL and wait until it is gone, at most 10 s; it is reaped if it is our child. pidfd stays open. member: pidfd of
 * a process in the pid namespace whose pid 1 this is, -EBADF none. If that is our child it must be reaped first: the
 * kernel lets a pid 1 end only when its namespace is empty, and a zombie is in it (kernel/pid_namespace.c,
 * zap_pid_ns_processes()).
 */
int end_process(int pidfd, int member, const char *role, struct err *err);
/* Wait only. 0, or -ETIMEDOUT. */
int await_process(int pidfd, int member, int msec);
/*
 * It has given back all that it had, and waits in that function for a member that somebody else must reap and does not:
 * a `minka run` or `exec` that is suspended, or waits for our lock. For both functions above this is an end.
 */
bool process_runs_no_more(int pidfd);
/* A pidfd for either, zombie or not; -EBADF. */
int open_member(const struct state_process *process);
