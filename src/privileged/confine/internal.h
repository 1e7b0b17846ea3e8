/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share with each other and with its tests, and with
 * nobody else.
 */
#pragma once

#include "privileged/confine/confine.h"
#include "privileged/confine/facts.h"

#include <limits.h>

/* Whether a plan makes sense. -EINVAL with a sentence. */
int confine_plan_check(const struct confine_plan *plan, struct err *err);

/* The id inside the plan's user namespace that is `outside` outside. false: not mapped. */
bool confine_map_inside(const struct confine_plan *plan, uint32_t outside, uint32_t *ret_inside);

/*
 * Who shall own the file that the process must not be able to read: root, or, when the process keeps capabilities in a
 * user namespace of its own, somebody over whom they have no power, because he is not mapped there. false: all are.
 */
bool confine_stranger(const struct confine_plan *plan, uint32_t *ret_id);

/* Whether this user namespace forbids setgroups(2), so that nobody can drop supplementary groups. */
bool confine_groups_denied(void);

/*
 * Which mount target the process must not be able to read, so that the kernel makes it not dumpable at execve(2):
 * the executable's ELF interpreter, or the executable itself when it is static. "" when it is executed by fd.
 */
int confine_unreadable_target(const struct confine_plan *plan, char ret[PATH_MAX], struct err *err);

/* The names that mounts get in messages and listings. */
const char *confine_mount_kind_text(enum confine_mount_kind kind);

/* Parent and child talk over a SOCK_SEQPACKET pair, one of these per message; the parent answers with one byte. */
enum confine_message_kind {
    CONFINE_SAYS_PIDFD = 1,  /* with the descriptor */
    CONFINE_SAYS_WANTS_MAPS, /* the user namespace exists */
    CONFINE_SAYS_READY,      /* everything is done but execve */
    CONFINE_SAYS_FAILED,     /* stage and error */
};
struct confine_message {
    uint32_t kind;
    int32_t socket; /* READY: numbers of the two descriptors that close at execve, -EBADF none */
    int32_t executable;
    char stage[32];
    struct err error;
};

/* The child's life until execve. */
_Noreturn void confine_child(const struct confine_plan *plan, int sock);

/* Build the jail in the current, private mount namespace and enter it. *executable_fd may be replaced by a copy. */
int confine_enter_jail(const struct confine_plan *plan, int *executable_fd, struct err *err);

/* The single properties of confine_prove(), so that tests can break one at a time. */
struct confine_subject {
    const struct confine_plan *plan;
    pid_t pid;
    int proc; /* directory fd of /proc/PID */
    bool emptied;
    bool executed;
    const struct confine_message *ready; /* before execve: which descriptors there are beside the plan's */
};
struct confine_property {
    const char *name;
    int (*prove)(const struct confine_subject *subject, struct err *err);
};
extern const struct confine_property confine_properties[]; /* ends with name NULL */
int confine_prove_mounts(const struct confine_subject *subject, struct err *err);
int confine_prove_filter(const struct confine_subject *subject, struct err *err);
int confine_prove_emptied(const struct confine_subject *subject, struct err *err);
int confine_prove_holdings(const struct confine_subject *subject, struct err *err);
int confine_prove_limits(const struct confine_subject *subject, struct err *err);
int confine_prove_cgroup(const struct confine_subject *subject, struct err *err);
int confine_prove_threads(const struct confine_subject *subject, struct err *err);
/* Properties that each thread has for itself, by the names in confine_properties. */
bool confine_is_of_thread(const struct confine_plan *plan, const char *property);

/* Files of the process in /proc. */
int confine_read_proc(const struct confine_subject *subject, const char *name, char **ret, struct err *err);
/* The value of "key:" in its status, a new string without the leading tab. */
int confine_read_status(const struct confine_subject *subject, const char *key, char **ret, struct err *err);
int confine_read_limit(const struct confine_subject *subject, int resource, struct rlimit *ret, struct err *err);
/* Its mountinfo and root directory, seen from where it was put. */
int confine_open_view(const struct confine_subject *subject, int *ret_mountinfo, int *ret_root, struct err *err);
/* What it holds, sorted by number; free(). */
int confine_list_descriptors(const struct confine_subject *subject, struct confine_descriptor **ret, size_t *ret_count,
                             struct err *err);

/* Files of the process in /proc. */
int confine_read_proc(const struct confine_subject *subject, const char *name, char **ret, struct err *err);
/* The value of "key:" in its status, a new string without the leading tab. */
int confine_read_status(const struct confine_subject *subject, const char *key, char **ret, struct err *err);

/* All that holds before execve already, the list of descriptors included. */
int confine_prove_ready(const struct confine_plan *plan, pid_t pid, const struct confine_message *ready,
                        struct err *err);

/*
 * Descriptors of the mountinfo and the root directory of the process's mount namespace, as one sees them who is in the
 * namespace's root; the process itself may have called chroot(2).
 */
int confine_view(pid_t pid, int *ret_mountinfo, int *ret_root, struct err *err);

/* Mounts, from an open mountinfo. */
int confine_list_mounts(int mountinfo, struct confine_mounted **ret, size_t *ret_count, struct err *err);
void confine_free_mounts(struct confine_mounted *mounts, size_t count);

/* path is below (or is) directory. */
bool confine_is_below(const char *path, const char *directory);
