/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of a confined process, as it is: for the proof, which compares it with a plan, and for
 * `minka audit`, which shows it. The process is not trusted: every text that it could have chosen is made printable.
 */
#pragma once

#include "privileged/confine/confine.h"

struct confine_mounted {
    uint64_t id;
    char *point; /* unescaped */
    char *type;
    bool readonly; /* the mount, not the file system */
    bool nosuid, nodev, noexec;
};

struct confine_descriptor {
    int number;
    enum confine_holding_kind kind; /* TREE and OWN_PROC are for plans; in a list they are what they are */
    unsigned access;                /* CONFINE_READ | CONFINE_WRITE; 0: O_PATH */
    char name[128];                 /* printable, cut */
    dev_t device;                   /* of a device its number, else where it is */
    ino_t inode;
    uint64_t mount;
    bool in_own_proc; /* a directory of a proc that is not the one of here */
};

/* "unix socket", "reading and writing": for sentences and tables. */
const char *confine_holding_text(enum confine_holding_kind kind);
const char *confine_access_text(unsigned access);

enum { CONFINE_CAPABILITY_SETS = 5, CONFINE_NAMESPACES = 7, CONFINE_LIMITS = 5 };
extern const char *const confine_capability_sets[CONFINE_CAPABILITY_SETS]; /* as in /proc/PID/status: "CapInh" */
extern const char *const confine_namespaces[CONFINE_NAMESPACES];           /* as in /proc/PID/ns: "mnt" */
extern const struct confine_limit_name {
    const char *name;
    int resource;
} confine_limits[CONFINE_LIMITS];

struct confine_facts {
    char name[32]; /* comm, printable */
    uint32_t uids[4], gids[4];
    char *groups; /* as in status; "" none */
    uint64_t capabilities[CONFINE_CAPABILITY_SETS];
    bool no_new_privs, dumpable;
    unsigned seccomp, seccomp_filters, threads;
    uint64_t namespaces[CONFINE_NAMESPACES]; /* inode numbers; 0: could not be seen */
    bool shared[CONFINE_NAMESPACES];         /* with this process */
    struct rlimit limits[CONFINE_LIMITS];
    char *cgroup; /* proc_pid_cgroup(5), printable line by line */
    struct confine_mounted *mounts;
    size_t n_mounts;
    struct confine_descriptor *descriptors;
    size_t n_descriptors;
};

/* plan says only from where its mounts are to be seen. -ESRCH when it has ended. */
int confine_look(const struct confine_plan *plan, pid_t pid, struct confine_facts *ret, struct err *err);
void confine_facts_done(struct confine_facts *facts);
#define _cleanup_confine_facts_ __attribute__((cleanup(confine_facts_done)))
