/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a confined process: a plan as data, one executor, a read-back proof.
 *
 * A struct confine_plan says everything about a long-lived process before any of
 * it is done: who it is, what it sees, what it holds. confine_spawn() carries a
 * plan out in the stages of docs/confinement.md (each one function that says what
 * it should and what it must not do) and confine_prove() reads the result back
 * from /proc and compares it with the same plan. If a stage fails, or the proof
 * does, no process is left.
 *
 * Depends on no configuration syntax, JSON or protobuf. Uses libcap-ng.
 */
#pragma once

#include "privileged/filter/filter.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum confine_pid_namespace {
    CONFINE_PID_NEW,        /* pid 1 of a new one; the child of the caller */
    CONFINE_PID_JOIN,       /* a member of pid_namespace_of's; the child of the caller */
    CONFINE_PID_NEW_INSIDE, /* pid 1 of a new one nested in pid_namespace_of's; child of that one's pid 1 */
};

enum confine_net_namespace { CONFINE_NET_NEW, CONFINE_NET_JOIN };

enum confine_mount_kind {
    CONFINE_MOUNT_BIND,    /* source: path or source_fd; a file or a directory, target is made to match */
    CONFINE_MOUNT_NODE,    /* a character device node, source_dev, owned by the plan's uid, mode 0600 */
    CONFINE_MOUNT_SYMLINK, /* source: the link's text */
    CONFINE_MOUNT_DIR,     /* an empty directory */
    CONFINE_MOUNT_TMPFS,   /* an empty tmpfs of its own, root-owned, 0755; mounts may come below it later */
    CONFINE_MOUNT_PROC,    /* proc of the process's own pid namespace */
};

struct confine_mount {
    enum confine_mount_kind kind;
    const char *source;
    int source_fd; /* BIND: a detached tree from open_tree(2) to attach instead of source; -EBADF: none */
    dev_t source_dev;
    const char *target; /* absolute, inside the jail */
    bool writable;      /* else read-only */
    bool executable;    /* else noexec; nosuid and nodev always */
    bool recursive;
    bool stays; /* confine_empty() leaves it, with all that is mounted below it */
};

struct confine_fd {
    int fd;     /* in the caller; stays open there */
    int number; /* in the process; 0..1023, all others are closed */
};

/*
 * What a process may hold while it serves: the census of confine_prove(). Anything that is on no line of this list
 * fails it: a directory, a named file, a device, a socket of another family, one more than there should be.
 */
enum confine_holding_kind {
    CONFINE_HOLDS_PIPE,
    CONFINE_HOLDS_UNIX_SOCKET,
    CONFINE_HOLDS_SOCKET,    /* of any other family */
    CONFINE_HOLDS_MEMORY,    /* memfd_create(2) */
    CONFINE_HOLDS_FILE,      /* regular: the one of device and inode, or any where inode is 0 */
    CONFINE_HOLDS_CHARACTER, /* a character device, of this number; 0: any */
    CONFINE_HOLDS_TERMINAL,  /* a pseudo-terminal, either side */
    CONFINE_HOLDS_BLOCK,     /* a block device, of this number */
    CONFINE_HOLDS_KERNEL,    /* a handle on something in the kernel, by name: "eventfd", "kvm-vcpu" */
    CONFINE_HOLDS_TREE,      /* whatever is in the mount whose target name is, or in one below it */
    CONFINE_HOLDS_OWN_PROC,  /* a place (O_PATH) in a proc of its own, which is mounted nowhere any more */
    CONFINE_HOLDS_DIRECTORY, /* never planned; what the census calls what else it finds */
    CONFINE_HOLDS_OTHER,
};

enum { CONFINE_READ = 1, CONFINE_WRITE = 2 };

struct confine_holding {
    enum confine_holding_kind kind;
    unsigned access;  /* at most; 0 is O_PATH */
    unsigned most;    /* how many; 0: as many as its limit of open files allows */
    const char *name; /* of KERNEL and TREE */
    dev_t device;
    ino_t inode;
};

struct confine_id_map {
    uint32_t inside, outside, count;
};

enum {
    CONFINE_MOUNTS_MAX = 160,
    CONFINE_FDS_MAX = 32,
    CONFINE_MAPS_MAX = 8,
    CONFINE_RLIMITS_MAX = 8,
    CONFINE_HOLDINGS_MAX = 32
};

struct confine_plan {
    const char *role; /* for messages: "VMM", "monitor", "file server", "stand-in" */
    uid_t uid;        /* seen from the caller's user namespace */
    gid_t gid;
    uint64_t keep_capabilities; /* in the process's own user namespace only; needs user_namespace */

    /* Namespaces: mount, ipc, uts and cgroup are always new. */
    enum confine_pid_namespace pid_namespace;
    int pid_namespace_of; /* pidfd, for JOIN and NEW_INSIDE */
    enum confine_net_namespace net_namespace;
    int net_namespace_fd;       /* for JOIN */
    dev_t net_namespace_device; /* the same, for a proof when it is closed: net_namespace_fd < 0 */
    ino_t net_namespace_inode;
    bool user_namespace;                          /* a new one with these maps */
    uid_t user_namespace_uid;                     /* who the process is inside it */
    struct confine_id_map maps[CONFINE_MAPS_MAX]; /* for uids and gids alike */
    size_t n_maps;
    unsigned long securebits; /* beside the usual, for the C file server; 0 else */
    bool ambient;             /* raise keep_capabilities as ambient too, so that they survive exec */

    struct confine_mount mounts[CONFINE_MOUNTS_MAX]; /* the jail: a read-only tmpfs with just these */
    size_t n_mounts;
    struct confine_fd fds[CONFINE_FDS_MAX];
    size_t n_fds;
    struct confine_holding holdings[CONFINE_HOLDINGS_MAX];
    size_t n_holdings;
    struct {
        int resource;
        struct rlimit limit;
    } rlimits[CONFINE_RLIMITS_MAX];
    size_t n_rlimits;
    bool session_leader;         /* setsid(2) */
    bool signals_blocked;        /* start it with all signals blocked: it will receive them by signalfd(2) */
    const struct filter *filter; /* the system calls it may make; NULL: all */
    int controlling_terminal;    /* pty slave that becomes the session's terminal, -EBADF none */

    /*
     * A path inside the jail, which must be the target of a mount of its own, as must be its ELF interpreter; or ...
     * (The process gets an unreadable copy of the interpreter, which is what keeps it not dumpable: execve(2).)
     */
    const char *executable;
    int executable_fd; /* ... a static program by fd (fexecve), so that nothing need be mounted; -EBADF */
    char *const *argv; /* NULL-terminated */
    char *const *envp;

    const char *cgroup; /* path in its hierarchies, for the proof; NULL: it is in none of its own */
    int cgroup_fd;      /* of a cgroup v2 to be made in, where the kernel allows that; -EBADF */
    /*
     * Called in the process, which has done nothing yet and still has the caller's rights: join cgroups here. Not in
     * the parent: to move another process the kernel waits for an RCU grace period, 10 ms and more, each time.
     */
    int (*prepare)(void *data, struct err *err);
    void *prepare_data;
};

/* Sets what is not zero by default (fds to -EBADF). */
void confine_plan_init(struct confine_plan *plan, const char *role, uid_t uid, gid_t gid);
/* Append; abort() when the table is full, whose size is fixed in the code. */
void confine_plan_add_fd(struct confine_plan *plan, int fd, int number);
struct confine_mount *confine_plan_add_mount(struct confine_plan *plan, enum confine_mount_kind kind,
                                             const char *source, const char *target);

/* The holding can be given a device and inode. Specific ones first: the first that fits takes a descriptor. */
struct confine_holding *confine_plan_may_hold(struct confine_plan *plan, enum confine_holding_kind kind,
                                              const char *name, unsigned most, unsigned access);

/*
 * Start the process. Returns when execve(2) has succeeded. *ret_pid is in the caller's pid namespace; *ret_pidfd is
 * close-on-exec. On failure the process is gone and err names the role, the stage and the cause.
 */
int confine_spawn(const struct confine_plan *plan, pid_t *ret_pid, int *ret_pidfd, struct err *err);

/*
 * The load phase is over: detach every mount of the plan, but for those that stay, from the process's mount namespace
 * and leave its root an empty read-only tmpfs.
 */
int confine_empty(const struct confine_plan *plan, int pidfd, pid_t pid, struct err *err);

/*
 * Read back what the kernel says of a started process and compare it with the plan, property by property
 * (docs/confinement.md, 3). emptied: confine_empty() has been called.
 */
int confine_prove(const struct confine_plan *plan, pid_t pid, bool emptied, struct err *err);

/* The same, for one who wants to know all: found() is told each property and what is wrong, code 0: it holds. */
typedef void confine_found_fn(void *data, const char *property, const struct err *wrong);
int confine_examine(const struct confine_plan *plan, pid_t pid, bool emptied, confine_found_fn *found, void *data,
                    struct err *err);

/*
 * Run fn in a short-lived child inside the mount namespace of the process, with its root as root and working
 * directory. Refused when the process has left the namespace that it was started in for one of its own making.
 */
int confine_in_mount_namespace(int pidfd, int (*fn)(void *data, struct err *err), void *data, struct err *err);

/* The pid of a pidfd in the caller's pid namespace; -ESRCH when the process is gone. */
pid_t confine_pid_of(int pidfd);

/* The plan as text, one line per item, for golden files and --debug. */
struct buf;
int confine_plan_print(const struct confine_plan *plan, struct buf *ret);
