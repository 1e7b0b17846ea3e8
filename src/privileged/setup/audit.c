/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/audit.h"

#include "privileged/identity/identity.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

enum { ENDING_MSEC = 3000, STARTING_MSEC = 300, TRIES = 3, UIDS_MAX = 16 };

static void process_done(struct audit_process *p) {
    if (p->looked)
        confine_facts_done(&p->facts);
    for (size_t i = 0; i < p->n_findings; i++)
        free(p->findings[i].wrong);
    free(p->findings);
    *p = (struct audit_process){0};
}

void audit_done(struct audit *audit) {
    for (size_t i = 0; i < audit->n_processes; i++)
        process_done(&audit->processes[i]);
    free(audit->processes);
    for (size_t i = 0; i < audit->n_findings; i++)
        free(audit->findings[i].wrong);
    free(audit->findings);
    if (audit->plans)
        remembered_done(audit->plans);
    free(audit->plans);
    *audit = (struct audit){0};
}

static bool all_hold(const struct audit_finding *findings, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (findings[i].wrong)
            return false;
    return true;
}

bool audit_process_holds(const struct audit_process *process) {
    return all_hold(process->findings, process->n_findings);
}

bool audit_holds(const struct audit *audit) {
    for (size_t i = 0; i < audit->n_processes; i++)
        if (!audit_process_holds(&audit->processes[i]))
            return false;
    return all_hold(audit->findings, audit->n_findings);
}

/* Out of memory, a finding would be lost and an audit look better than it is: the program ends. */
static void add(struct audit_finding **list, size_t *count, const char *property, const char *wrong) {
    struct audit_finding *more = realloc(*list, (*count + 1) * sizeof **list);
    char *text = wrong ? strdup(wrong) : NULL;
    if (!more || (wrong && !text))
        abort();
    if (text)
        text_make_printable(text);
    *list = more;
    more[(*count)++] = (struct audit_finding){.property = property, .wrong = text};
}

static void add_property(void *data, const char *property, const struct err *wrong) {
    struct audit_process *p = data;
    add(&p->findings, &p->n_findings, property, wrong->code ? wrong->text : NULL);
}

/* ---- one process ---- */

struct auditing {
    const struct state *state;
    struct audit *audit;
    uint32_t leased[UIDS_MAX];
    size_t n_leased;
    int monitor; /* pidfd */
};

static bool is_leased(const struct auditing *a, uid_t uid) {
    for (size_t i = 0; i < a->n_leased; i++)
        if (a->leased[i] == uid)
            return true;
    return false;
}

static void check_lease(const struct auditing *a, const struct confine_plan *plan, struct audit_process *p) {
    struct err wrong = {0};
    if (!is_leased(a, plan->uid))
        (void)err_set(&wrong, EPERM, "its uid %u is not leased for this sandbox", (unsigned)plan->uid);
    add_property(p, "lease", &wrong);
}

static void tell_gone(struct audit_process *p) {
    struct state_process now;
    struct err wrong = {0};
    if (p->process.pid <= 0)
        (void)err_set(&wrong, ESRCH, "it was never started");
    else if (state_process_of(p->process.pid, &now) >= 0 && now.start_ticks != p->process.start_ticks)
        (void)err_set(&wrong, ESRCH, "it has ended, and its pid %d is now another process's", (int)p->process.pid);
    else
        (void)err_set(&wrong, ESRCH, "it has ended (its pid was %d)", (int)p->process.pid);
    add_property(p, "alive", &wrong);
}

/* Looks, and then makes sure that it was this process all the time. */
static void examine(const struct auditing *a, const struct confine_plan *plan, bool emptied, struct audit_process *p) {
    struct confine_plan now = *plan;
    struct err why = {0};
    _cleanup_close_ int pidfd = state_process_open(&p->process);
    if (pidfd < 0) {
        tell_gone(p);
        return;
    }
    now.pid_namespace_of = a->monitor;
    p->looked = confine_look(&now, p->process.pid, &p->facts, &why) >= 0;
    if (!p->looked)
        add_property(p, "look", &why);
    if (confine_examine(&now, p->process.pid, emptied, add_property, p, &why) < 0)
        add_property(p, "look", &why);
    check_lease(a, plan, p);
    if (pidfd_send_signal(pidfd, 0, NULL, 0) < 0 || !state_process_alive(&p->process)) {
        const struct audit_process kept = {.role = p->role, .process = p->process};
        process_done(p);
        *p = kept;
        tell_gone(p);
    }
}

static struct audit_process *new_process(struct audit *audit, const char *role, const struct state_process *process) {
    struct audit_process *more = realloc(audit->processes, (audit->n_processes + 1) * sizeof *more);
    if (!more)
        abort();
    audit->processes = more;
    more[audit->n_processes] = (struct audit_process){.role = role, .process = *process};
    return &more[audit->n_processes++];
}

static const struct state_process *process_of(const struct state *state, const char *role) {
    if (strcmp(role, "monitor") == 0)
        return &state->monitor;
    if (strcmp(role, "VMM") == 0)
        return &state->vmm;
    if (strcmp(role, "file server") == 0)
        return &state->file_server;
    return strcmp(role, "stand-in") == 0 ? &state->standin : NULL;
}

/* They are put in the same ones, whichever hierarchies there are. */
static void compare_cgroups(struct auditing *a) {
    const struct audit_process *first = NULL;
    struct audit *audit = a->audit;
    for (size_t i = 0; i < audit->n_processes; i++) {
        const struct audit_process *p = &audit->processes[i];
        struct err wrong;
        if (!p->looked)
            continue;
        if (!first)
            first = p;
        if (strcmp(first->facts.cgroup, p->facts.cgroup) == 0)
            continue;
        (void)err_set(&wrong, EPERM, "the %s (pid %d) is in other cgroups than the %s", p->role, (int)p->process.pid,
                      first->role);
        add(&audit->findings, &audit->n_findings, "cgroups", wrong.text);
    }
}

static int examine_known(struct auditing *a, struct err *err) {
    const struct remembered *plans = a->audit->plans;
    for (size_t i = 0; i < plans->count; i++) {
        const struct state_process *process = process_of(a->state, plans->plans[i].role);
        if (!process)
            return err_set(err, EBADMSG, "the role \"%.32s\" is not known", plans->plans[i].role);
        examine(a, &plans->plans[i], plans->emptied[i], new_process(a->audit, plans->plans[i].role, process));
    }
    return 0;
}

/* ---- processes that the state does not name ---- */

static bool is_known(const struct state *state, pid_t pid) {
    return pid == state->monitor.pid || pid == state->vmm.pid || pid == state->file_server.pid ||
           pid == state->standin.pid;
}

static const struct confine_plan *standin_plan(const struct remembered *plans) {
    for (size_t i = 0; i < plans->count; i++)
        if (strcmp(plans->plans[i].role, "stand-in") == 0)
            return &plans->plans[i];
    return NULL;
}

/* The stand-in of an exec, which may have a terminal of its own, and may just have been started, or be ending. */
static void examine_exec(struct auditing *a, const struct confine_plan *plan, pid_t pid) {
    struct confine_plan one = *plan;
    struct state_process process;
    if (one.n_holdings < CONFINE_HOLDINGS_MAX)
        confine_plan_may_hold(&one, CONFINE_HOLDS_TERMINAL, NULL, 1, CONFINE_READ | CONFINE_WRITE);
    for (int i = 0; i < TRIES; i++) {
        if (state_process_of(pid, &process) < 0 || !state_process_alive(&process))
            return;
        struct audit_process *p = new_process(a->audit, plan->role, &process);
        examine(a, &one, false, p);
        bool gone = !p->looked;
        if (!gone && (audit_process_holds(p) || i == TRIES - 1))
            return;
        process_done(p);
        a->audit->n_processes--;
        if (gone)
            return;
        (void)poll(NULL, 0, STARTING_MSEC);
    }
}

static void tell_stranger(struct auditing *a, pid_t pid, uid_t uid) {
    struct err wrong;
    (void)err_set(&wrong, EPERM, "the process %d has the uid %u of this sandbox and is none of its own", (int)pid,
                  (unsigned)uid);
    add(&a->audit->findings, &a->audit->n_findings, "strangers", wrong.text);
}

/* /proc/PID belongs to the process's effective uid, dumpable or not: proc(5). */
static int examine_others(struct auditing *a, struct err *err) {
    const struct confine_plan *standin = standin_plan(a->audit->plans);
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    if (!proc)
        return err_errno_name(err, "cannot list /proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        uint64_t pid;
        struct stat st;
        struct state_process process;
        if (parse_u64(entry->d_name, &pid) < 0 || fstatat(dirfd(proc), entry->d_name, &st, 0) < 0 ||
            !is_leased(a, st.st_uid) || is_known(a->state, (pid_t)pid))
            continue;
        if (standin && st.st_uid == standin->uid)
            examine_exec(a, standin, (pid_t)pid);
        else if (state_process_of((pid_t)pid, &process) >= 0 && state_process_alive(&process))
            tell_stranger(a, (pid_t)pid, st.st_uid);
    }
    return 0;
}

/* ---- a sandbox ---- */

static int find_leases(const struct setup_context *context, struct auditing *a, struct err *err) {
    char ledger[PATH_MAX], root[PATH_MAX];
    struct identity_range range;
    int r = lease_range(context, ledger, sizeof ledger, &range, err);
    if (r < 0)
        return r;
    if (!realpath(context->root, root))
        return err_errno_name(err, "cannot use the state directory %s", context->root);
    _cleanup_free_ char *owner = text_format("%s/%s", root, a->state->id);
    if (!owner)
        return err_set(err, ENOMEM, "out of memory");
    r = identity_owned(&range, owner, a->leased, UIDS_MAX, err);
    if (r >= 0)
        a->n_leased = r < UIDS_MAX ? (size_t)r : UIDS_MAX;
    return r;
}

/* After a container has ended its sandbox does, in a moment. Then nothing of it may run. */
static void examine_stopped(struct auditing *a) {
    const struct state *state = a->state;
    static const char *const roles[] = {"monitor", "VMM", "file server", "stand-in"};
    _cleanup_close_ int monitor = state_process_open(&state->monitor);
    if (monitor >= 0)
        (void)await_process(monitor, -EBADF, ENDING_MSEC);
    bool runs = false;
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        const struct state_process *process = process_of(state, roles[i]);
        struct err wrong;
        if (!state_process_alive(process))
            continue;
        runs = true;
        (void)err_set(&wrong, EBUSY, "the container has stopped, and its %s (pid %d) still runs", roles[i],
                      (int)process->pid);
        add(&a->audit->findings, &a->audit->n_findings, "ended", wrong.text);
    }
    if (!runs)
        add(&a->audit->findings, &a->audit->n_findings, "ended", NULL);
}

int setup_audit(const struct setup_context *context, int dir, const struct state *state, struct audit *ret,
                struct err *err) {
    _cleanup_audit_ struct audit audit = {0};
    struct auditing a = {.state = state, .audit = &audit, .monitor = -EBADF};
    int r = 0;
    if (state->status == STATE_STOPPED) {
        examine_stopped(&a);
    } else if (state->status != STATE_CREATING) { /* its proof is the creator's */
        audit.plans = calloc(1, sizeof *audit.plans);
        if (!audit.plans)
            return err_set(err, ENOMEM, "out of memory");
        r = remembered_load(dir, audit.plans, err);
        if (r >= 0)
            r = find_leases(context, &a, err);
        _cleanup_close_ int monitor = state_process_open(&state->monitor);
        a.monitor = monitor;
        if (r >= 0)
            r = examine_known(&a, err);
        if (r >= 0)
            r = examine_others(&a, err);
        if (r >= 0)
            compare_cgroups(&a);
        a.monitor = -EBADF;
    }
    if (r < 0)
        return r;
    *ret = audit;
    audit = (struct audit){0};
    return 0;
}
