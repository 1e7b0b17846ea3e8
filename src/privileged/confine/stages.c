/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages that a confined process goes through between clone3(2) and
 * execve(2), in the order of the table at the end. docs/confinement.md gives the
 * reason for the order. Each function says what it Should do and what it Must not;
 * a stage that fails ends the process.
 */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/signals.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct child {
    const struct confine_plan *plan;
    int socket;
    int executable_fd;
};

/* Wait for the parent's word. A parent that died says none, and then this process shall not live either. */
static int await_parent(const struct child *c, struct err *err) {
    char word;
    ssize_t n;
    do
        n = recv(c->socket, &word, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : err_set(err, ESRCH, "the command that started it has ended");
}

static int tell_parent(const struct child *c, struct confine_message *message, struct err *err) {
    int r = send_with_fds(c->socket, message, sizeof *message, NULL, 0);
    return r < 0 ? err_set(err, -r, "the command that started it does not listen") : 0;
}

/*
 * Should: be in the sandbox's cgroup, from here on or since clone3(2).
 * Must not: use memory or time that is not accounted to the sandbox.
 */
static int stage_cgroup(struct child *c, struct err *err) {
    return c->plan->prepare ? c->plan->prepare(c->plan->prepare_data, err) : 0;
}

/*
 * Should: give the program default signal dispositions, an umask that shows nothing to others, and an empty mask, or a
 * full one if the plan says that the program takes its signals by signalfd(2): none may end it before it does.
 * Must not: hand on what the engine ignores or blocks; an ignored signal survives execve(2).
 */
static int stage_signals(struct child *c, struct err *err) {
    int r = signals_reset();
    if (r < 0)
        return err_set(err, -r, "cannot reset its signals (%s)", strerrorname_np(-r));
    sigset_t all;
    sigfillset(&all);
    if (c->plan->signals_blocked && sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return err_errno_name(err, "cannot block its signals");
    (void)umask(0077);
    return 0;
}

/*
 * Should: leave the caller's session, and take the terminal that the plan gives.
 * Must not: keep the engine's controlling terminal, into which TIOCSTI could type.
 */
static int stage_session(struct child *c, struct err *err) {
    if (setsid() < 0)
        return err_errno_name(err, "cannot make a session");
    if (c->plan->controlling_terminal >= 0 && ioctl(c->plan->controlling_terminal, TIOCSCTTY, 0) < 0)
        return err_errno_name(err, "cannot make the pty its controlling terminal");
    return 0;
}

/*
 * Should: enter new mount, ipc, uts and cgroup namespaces and the plan's network namespace, all of them owned by the
 *         caller's user namespace.
 * Must not: come after the user namespace: a process that owns its mount namespace could mount in it.
 */
static int stage_namespaces(struct child *c, struct err *err) {
    bool own_net = c->plan->net_namespace == CONFINE_NET_NEW;
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | (own_net ? CLONE_NEWNET : 0)) < 0)
        return err_errno_name(err, "cannot make namespaces");
    if (!own_net && setns(c->plan->net_namespace_fd, CLONE_NEWNET) < 0)
        return err_errno_name(err, "cannot join the network namespace");
    if (sethostname("minka", strlen("minka")) < 0 || setdomainname("", 0) < 0)
        return err_errno_name(err, "cannot set the host name of its uts namespace");
    return 0;
}

/*
 * Should: make a read-only tmpfs with just the plan's mounts the root.
 * Must not: leave a way back to the host's root.
 */
static int stage_jail(struct child *c, struct err *err) {
    return confine_enter_jail(c->plan, &c->executable_fd, err);
}

/* Close [first, last], if there is anything in between. */
static int close_between(int first, int last, struct err *err) {
    if (first > last)
        return 0;
    if (close_range((unsigned)first, (unsigned)last, 0) < 0)
        return err_errno_name(err, "cannot close descriptors %d to %d", first, last);
    return 0;
}

static bool is_wanted(const struct confine_plan *plan, int number) {
    for (size_t i = 0; i < plan->n_fds; i++)
        if (plan->fds[i].number == number)
            return true;
    return false;
}

/* Move *fd to or above base. The old one is closed with all the rest. */
static int move_above(int *fd, int base, struct err *err) {
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, base);
    if (moved < 0)
        return err_errno_name(err, "cannot move descriptor %d", *fd);
    *fd = moved;
    return 0;
}

/*
 * Should: leave the plan's descriptors at the plan's numbers and nothing else, but for two that close at execve(2).
 * Must not: pass on any descriptor by accident: a directory of the host would be a way out of the jail.
 */
static int stage_descriptors(struct child *c, struct err *err) {
    const struct confine_plan *plan = c->plan;
    int base = 3, held[CONFINE_FDS_MAX];
    for (size_t i = 0; i < plan->n_fds; i++)
        if (plan->fds[i].number >= base)
            base = plan->fds[i].number + 1;
    struct rlimit before, roomy;
    if (getrlimit(RLIMIT_NOFILE, &before) < 0)
        return err_errno_name(err, "cannot read the limit of open files");
    roomy = (struct rlimit){.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &roomy) < 0)
        return err_errno_name(err, "cannot use the hard limit of open files");

    int r = move_above(&c->socket, base, err);
    if (r == 0 && c->executable_fd >= 0)
        r = move_above(&c->executable_fd, base, err);
    for (size_t i = 0; r == 0 && i < plan->n_fds; i++) {
        held[i] = plan->fds[i].fd;
        r = move_above(&held[i], base, err);
    }
    if (r < 0)
        return r;
    for (size_t i = 0; i < plan->n_fds; i++)
        if (dup2(held[i], plan->fds[i].number) < 0)
            return err_errno_name(err, "cannot make descriptor %d", plan->fds[i].number);

    for (int n = 0; r == 0 && n < base; n++)
        if (!is_wanted(plan, n))
            r = close_between(n, n, err);
    int low = c->socket;
    int high = low;
    if (c->executable_fd >= 0) {
        low = low < c->executable_fd ? low : c->executable_fd;
        high = high > c->executable_fd ? high : c->executable_fd;
    }
    if (r == 0)
        r = close_between(base, low - 1, err);
    if (r == 0)
        r = close_between(low + 1, high - 1, err);
    if (r == 0 && close_range((unsigned)high + 1, ~0U, 0) < 0)
        r = err_errno_name(err, "cannot close descriptors");
    if (r == 0 && setrlimit(RLIMIT_NOFILE, &before) < 0)
        r = err_errno_name(err, "cannot restore the limit of open files");
    return r;
}

/*
 * Should: set the plan's resource limits, and no core files.
 * Must not: come after the user namespace, in which nobody may raise a limit.
 */
static int stage_limits(struct child *c, struct err *err) {
    struct rlimit none = {0};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return err_errno_name(err, "cannot forbid core files");
    for (size_t i = 0; i < c->plan->n_rlimits; i++)
        if (setrlimit((__rlimit_resource_t)c->plan->rlimits[i].resource, &c->plan->rlimits[i].limit) < 0)
            return err_errno_name(err, "cannot set resource limit %d to %llu", c->plan->rlimits[i].resource,
                                  (unsigned long long)c->plan->rlimits[i].limit.rlim_max);
    return 0;
}

/*
 * Should: drop every supplementary group.
 * Must not: come after the user namespace, in which an unmapped group could no longer be seen.
 */
static int stage_groups(struct child *c, struct err *err) {
    (void)c;
    if (setgroups(0, NULL) < 0 && !(errno == EPERM && confine_groups_denied()))
        return err_errno_name(err, "cannot drop supplementary groups");
    return 0;
}

/*
 * Should: make the plan's user namespace; the parent, which has the right to, writes the maps.
 * Must not: own any other namespace of the process.
 */
static int stage_user_namespace(struct child *c, struct err *err) {
    if (!c->plan->user_namespace)
        return 0;
    if (unshare(CLONE_NEWUSER) < 0)
        return err_errno_name(err, "cannot make a user namespace");
    struct confine_message message = {.kind = CONFINE_SAYS_WANTS_MAPS};
    int r = tell_parent(c, &message, err);
    return r < 0 ? r : await_parent(c, err);
}

static int set_capabilities(uint64_t set, uint64_t inheritable, struct err *err) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int i = 0; i < 2; i++) {
        uint32_t word = (uint32_t)(set >> (32 * i));
        data[i] = (struct __user_cap_data_struct){
            .effective = word, .permitted = word, .inheritable = (uint32_t)(inheritable >> (32 * i))};
    }
    /* libcap-ng would look into /proc, which is not there any more. */
    if (syscall(SYS_capset, &header, data) < 0)
        return err_errno_name(err, "cannot set capabilities");
    return 0;
}

/* Everything that is not kept leaves the bounding set, so that no execve(2) can bring it back. */
static int drop_bounding_set(uint64_t keep, struct err *err) {
    for (int capability = 0; capability < 64; capability++) {
        if (keep & (UINT64_C(1) << capability))
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                break; /* past the last one that this kernel knows */
            return err_errno_name(err, "cannot drop capability %d from the bounding set", capability);
        }
    }
    return 0;
}

static int raise_ambient(const struct confine_plan *plan, struct err *err) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return err_errno_name(err, "cannot clear ambient capabilities");
    for (int capability = 0; plan->ambient && capability < 64; capability++)
        if ((plan->keep_capabilities & (UINT64_C(1) << capability)) &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
            return err_errno_name(err, "cannot keep capability %d", capability);
    return 0;
}

/* Locked, all of them: uid 0 means nothing at execve(2), and no bit can be changed by the program. */
static int lock_securebits(const struct confine_plan *plan, struct err *err) {
    unsigned long bits = plan->securebits | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                         SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED | SECBIT_NOROOT_LOCKED;
    if (!plan->keep_capabilities || plan->ambient)
        bits |= SECBIT_NOROOT;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
        return err_errno_name(err, "cannot lock the securebits");
    if (prctl(PR_GET_SECUREBITS) != (int)bits)
        return err_set(err, EPERM, "the securebits are not what was set");
    return 0;
}

/* openssh's uidswap.c does the same: a drop is a drop only when it cannot be undone. */
static int prove_identity_is_lost(const struct confine_plan *plan, uid_t uid, gid_t gid, struct err *err) {
    uid_t u[3];
    gid_t g[3], other = 0;
    if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0)
        return err_errno_name(err, "cannot read its own ids");
    for (int i = 0; i < 3; i++)
        if (u[i] != uid || g[i] != gid)
            return err_set(err, EPERM, "its ids are %u:%u instead of %u:%u", u[i], g[i], uid, gid);
    bool keeps_setuid = plan->keep_capabilities & (UINT64_C(1) << CAP_SETUID);
    bool keeps_setgid = plan->keep_capabilities & (UINT64_C(1) << CAP_SETGID);
    if (!keeps_setuid && uid != 0 && (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0))
        return err_set(err, EPERM, "it could become root again");
    if (!keeps_setgid && gid != 0 && (setgid(0) == 0 || setegid(0) == 0 || setresgid(0, 0, 0) == 0))
        return err_set(err, EPERM, "it could regain group 0");
    if (!keeps_setgid && setgroups(1, &other) == 0)
        return err_set(err, EPERM, "it could regain supplementary groups");
    return 0;
}

/*
 * Should: become the plan's uid and gid, with no capability in any of the five sets but the kept ones, securebits
 *         locked, and prove that the former identity is lost.
 * Must not: trust that setresuid(2) cleared anything.
 */
static int stage_identity(struct child *c, struct err *err) {
    const struct confine_plan *plan = c->plan;
    uid_t uid = plan->user_namespace ? plan->user_namespace_uid : plan->uid;
    gid_t gid = plan->gid;
    if (plan->user_namespace && !confine_map_inside(plan, plan->gid, &gid))
        return err_set(err, EINVAL, "gid %u is not mapped", plan->gid);
    uint64_t keep = plan->keep_capabilities;
    int r = drop_bounding_set(keep, err);
    if (r < 0)
        return r;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return err_errno_name(err, "cannot keep capabilities over the change of uid");
    if (setresgid(gid, gid, gid) < 0)
        return err_errno_name(err, "cannot become gid %u", gid);
    if (setresuid(uid, uid, uid) < 0)
        return err_errno_name(err, "cannot become uid %u", uid);
    r = set_capabilities(keep | UINT64_C(1) << CAP_SETPCAP, keep, err); /* SETPCAP: for the securebits only */
    if (r == 0)
        r = raise_ambient(plan, err);
    if (r == 0)
        r = lock_securebits(plan, err);
    if (r == 0)
        r = set_capabilities(keep, plan->ambient ? keep : 0, err);
    if (r == 0)
        r = prove_identity_is_lost(plan, uid, gid, err);
    return r;
}

/*
 * Should: have a session keyring of its own, be undumpable until execve(2), and gain nothing by execve(2) ever.
 * Must not: possess a key of the engine's session.
 */
static int stage_no_new_privileges(struct child *c, struct err *err) {
    (void)c;
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS)
        return err_errno_name(err, "cannot leave the caller's session keyring");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return err_errno_name(err, "cannot forbid dumps");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return err_errno_name(err, "cannot set no_new_privs");
    return 0;
}

/*
 * execve(2) from one known place: the filter lets it through there only. The arguments are execveat(2)'s, five of them,
 * of which execve(2) ignores the last two.
 */
long confine_call_at_start(long number, ...);
extern const char confine_start[]; /* the instruction after the system call's, which is what the filter sees */
__asm__(".text\n"
        ".type confine_call_at_start, @function\n"
        "confine_call_at_start:\n"
        ".cfi_startproc\n"
        "mov %rdi, %rax\n"
        "mov %rsi, %rdi\n"
        "mov %rdx, %rsi\n"
        "mov %rcx, %rdx\n"
        "mov %r8, %r10\n"
        "mov %r9, %r8\n"
        "syscall\n"
        "confine_start:\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size confine_call_at_start, . - confine_call_at_start\n");

/*
 * Should: load the plan's list of system calls, under which this process does what is left: the proof and execve(2).
 * Must not: come before no_new_privs, without which it would need a capability.
 */
static int stage_filter(struct child *c, struct err *err) {
    struct sock_filter code[FILTER_LENGTH_MAX];
    if (!c->plan->filter)
        return 0;
    int length = filter_assemble(c->plan->filter, (uint64_t)(uintptr_t)confine_start, code, ARRAY_SIZE(code));
    if (length < 0)
        return err_set(err, -length, "cannot make the filter \"%s\"", c->plan->filter->name);
    struct sock_fprog program = {.len = (unsigned short)length, .filter = code};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return err_errno_name(err, "cannot load the filter \"%s\"", c->plan->filter->name);
    return 0;
}

/*
 * Should: let the parent read everything back while nothing of the program has run yet.
 * Must not: go on without its word.
 */
static int stage_proof(struct child *c, struct err *err) {
    struct confine_message message = {.kind = CONFINE_SAYS_READY, .socket = c->socket, .executable = c->executable_fd};
    int r = tell_parent(c, &message, err);
    return r < 0 ? r : await_parent(c, err);
}

/*
 * Should: become the program.
 * Must not: return.
 */
static int stage_execute(struct child *c, struct err *err) {
    const struct confine_plan *plan = c->plan;
    long r = plan->executable ? confine_call_at_start(SYS_execve, plan->executable, plan->argv, plan->envp, 0, 0)
                              : confine_call_at_start(SYS_execveat, (long)c->executable_fd, "", plan->argv, plan->envp,
                                                      (long)AT_EMPTY_PATH);
    errno = (int)-r;
    return err_errno_name(err, "cannot execute %s", plan->executable ? plan->executable : plan->argv[0]);
}

static const struct {
    const char *name;
    int (*run)(struct child *c, struct err *err);
} stages[] = {
    {"cgroup", stage_cgroup},
    {"signals", stage_signals},
    {"session", stage_session},
    {"namespaces", stage_namespaces},
    {"groups", stage_groups},
    {"jail", stage_jail},
    {"descriptors", stage_descriptors},
    {"limits", stage_limits},
    {"user namespace", stage_user_namespace},
    {"identity", stage_identity},
    {"no new privileges", stage_no_new_privileges},
    {"filter", stage_filter},
    {"proof", stage_proof},
    {"execute", stage_execute},
};

_Noreturn void confine_child(const struct confine_plan *plan, int sock) {
    struct child c = {.plan = plan, .socket = sock, .executable_fd = plan->executable_fd};
    struct confine_message message = {.kind = CONFINE_SAYS_FAILED, .socket = -EBADF, .executable = -EBADF};
    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        (void)snprintf(message.stage, sizeof message.stage, "%s", stages[i].name);
        if (stages[i].run(&c, &message.error) < 0)
            break;
    }
    (void)send_with_fds(c.socket, &message, sizeof message, NULL, 0);
    _exit(127);
}
