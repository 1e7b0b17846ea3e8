/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host remembers of a container: ROOT/ID/state.json, written before a
 * resource is acquired and after each change, atomically. Whatever dies, `delete`
 * finds in it all there is to take away.
 *
 *  ROOT/ID/            0700, owned by the caller
 *    state.json        this structure
 *    config.json       the spec as it was at create
 *    confinement.json  the plans of its processes, for the audit (setup/remember.c)
 *    control.sock      the monitor listens here
 *
 * The directory itself is the lock (flock(2)): one command at a time changes a
 * container. Commands that only look do not take it, since the file changes atomically.
 */
#pragma once

#include "facts/oci/oci.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum state_status { STATE_CREATING, STATE_CREATED, STATE_RUNNING, STATE_PAUSED, STATE_STOPPED };
const char *state_status_text(enum state_status status);

struct state_process { /* a pid with the start time that tells it from a later owner of the same number; pid 0: none */
    pid_t pid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat */
};

struct state {
    char *id;
    char *bundle;
    char *rootfs; /* host path or image file */
    char *oci_version;
    enum state_status status; /* as recorded; state_refresh() makes it true */
    char created[40];         /* RFC 3339 with nanoseconds, UTC */
    uid_t owner;              /* real uid of the caller at create */
    struct state_process creator, monitor, vmm, file_server, standin;
    uint32_t uids[4];           /* leases in the order monitor, VMM, file server, stand-in; 0: none */
    char *cgroup;               /* path to remove, "" none */
    uint64_t memory_mib;        /* of the VM */
    uint64_t host_overhead_mib; /* what its host processes may take beside that */
    uint32_t vcpus;
    bool terminal;
};

struct state *state_free(struct state *state);
void state_freep(struct state **state);
#define _cleanup_state_ __attribute__((cleanup(state_freep)))

/* A new, empty one (fds and pids none, uids 0); NULL when memory is out. */
struct state *state_new(const char *id);

/* Make ROOT/ID (and ROOT) and take its lock, which lasts until the descriptor is closed. -EEXIST: "a container with the
 * id X exists". *ret_dir is its directory fd. */
int state_create(const char *root, const char *id, int *ret_dir, struct err *err);
/* Open and lock. -ENOENT: "container X does not exist" (engines look for these words). */
int state_open(const char *root, const char *id, int *ret_dir, struct err *err);

/* Open without lock, to look at it or to talk to its monitor. Errors as state_open(). */
int state_peek(const char *root, const char *id, int *ret_dir, struct err *err);

/*
 * Whether a directory without state is one of a container: nobody else can enter it, and it holds nothing but what
 * minka puts there; unfinished: what `create` puts there before the first state. So a wrong --root costs nobody any
 * files.
 */
bool state_is_ours(int dir, bool unfinished);

int state_load(int dir, struct state **ret, struct err *err);
int state_save(int dir, const struct state *state, struct err *err);
int state_save_spec(int dir, const char *json, size_t length, struct err *err); /* ROOT/ID/config.json */
int state_load_spec(int dir, struct oci_spec **ret, struct err *err);

/* Status from the live facts: a stand-in or monitor that is gone (or a zombie) means stopped. */
void state_refresh(struct state *state);
/* Does this process still run (a zombie does not)? */
bool state_process_alive(const struct state_process *p);
/* Fill p with pid and its start time now; -ESRCH when it is gone. */
int state_process_of(pid_t pid, struct state_process *ret);
/* A pidfd for it, or -ESRCH when it is gone, a zombie, or another process has its pid. */
int state_process_open(const struct state_process *p);

/* Remove the directory and all in it. */
int state_remove(const char *root, const char *id, struct err *err);

/* Ids under root, sorted, NULL-terminated (free_strv); a missing root gives an empty list. */
int state_list(const char *root, char ***ret, struct err *err);
