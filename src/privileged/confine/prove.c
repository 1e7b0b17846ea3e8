/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof: what the kernel says of a process, compared with the plan. One
 * function per property, each fails with a sentence that names what is wrong.
 */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

int confine_read_proc(const struct confine_subject *s, const char *name, char **ret, struct err *err) {
    int r = read_file(s->proc, name, 1 << 20, ret, NULL, NULL);
    if (r == 0)
        return 0;
    errno = -r;
    return err_errno_name(err, "cannot read /proc/%d/%s", s->pid, name);
}

int confine_read_status(const struct confine_subject *s, const char *key, char **ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    int r = confine_read_proc(s, "status", &text, err);
    if (r < 0)
        return r;
    size_t length = strlen(key);
    for (char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, key, length) != 0 || line[length] != ':')
            continue;
        char *value = line + length + 1;
        value += strspn(value, "\t ");
        *ret = strndup(value, strcspn(value, "\n"));
        return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
    }
    return err_set(err, ENODATA, "the kernel does not tell %s", key);
}

static int prove_ids(const struct confine_subject *s, const char *key, unsigned expected, struct err *err) {
    _cleanup_free_ char *value = NULL;
    int r = confine_read_status(s, key, &value, err);
    if (r < 0)
        return r;
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "%u\t%u\t%u\t%u", expected, expected, expected, expected);
    if (strcmp(value, wanted) != 0)
        return err_set(err, EPERM, "its %s is \"%s\" and should be %u in all four places", key, value, expected);
    return 0;
}

static int prove_identity(const struct confine_subject *s, struct err *err) {
    int r = prove_ids(s, "Uid", s->plan->uid, err);
    return r < 0 ? r : prove_ids(s, "Gid", s->plan->gid, err);
}

static int prove_groups(const struct confine_subject *s, struct err *err) {
    _cleanup_free_ char *value = NULL;
    int r = confine_read_status(s, "Groups", &value, err);
    if (r < 0)
        return r;
    if (value[strspn(value, " ")] != '\0' && !confine_groups_denied())
        return err_set(err, EPERM, "it has supplementary groups: %s", value);
    return 0;
}

static int prove_capabilities(const struct confine_subject *s, struct err *err) {
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        _cleanup_free_ char *value = NULL;
        int r = confine_read_status(s, sets[i], &value, err);
        if (r < 0)
            return r;
        char *rest;
        uint64_t set = strtoull(value, &rest, 16);
        if (*rest || rest == value || (set & ~s->plan->keep_capabilities))
            return err_set(err, EPERM, "its %s is %s and may have no more than %016" PRIx64, sets[i], value,
                           s->plan->keep_capabilities);
    }
    return 0;
}

static int prove_no_new_privileges(const struct confine_subject *s, struct err *err) {
    _cleanup_free_ char *value = NULL;
    int r = confine_read_status(s, "NoNewPrivs", &value, err);
    if (r < 0)
        return r;
    return strcmp(value, "1") == 0 ? 0
                                   : err_set(err, EPERM, "it could gain privileges by execve: NoNewPrivs is %s", value);
}

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int stat_namespace(const struct confine_subject *s, const char *name, struct stat *theirs, struct stat *ours,
                          struct err *err) {
    char path[64], own[64];
    (void)snprintf(path, sizeof path, "ns/%s", name);
    (void)snprintf(own, sizeof own, "/proc/self/ns/%s", name);
    if (fstatat(s->proc, path, theirs, 0) < 0 || stat(own, ours) < 0)
        return err_errno_name(err, "cannot compare its %s namespace", name);
    return 0;
}

/* What ioctl_ns(2) says is the parent or the owning user namespace of the process's. */
static int stat_related(const struct confine_subject *s, const char *name, unsigned long which, struct stat *ret,
                        struct err *err) {
    char path[64];
    (void)snprintf(path, sizeof path, "ns/%s", name);
    _cleanup_close_ int ns = openat(s->proc, path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int related = ns < 0 ? -EBADF : ioctl(ns, which);
    if (related < 0 || fstat(related, ret) < 0)
        return err_errno_name(err, "cannot see what its %s namespace belongs to", name);
    return 0;
}

static int prove_new_namespace(const struct confine_subject *s, const char *name, struct err *err) {
    struct stat theirs, ours, owner, our_user;
    int r = stat_namespace(s, name, &theirs, &ours, err);
    if (r == 0 && is_same(&theirs, &ours))
        return err_set(err, EPERM, "it is in the host's %s namespace", name);
    if (r == 0)
        r = stat_related(s, name, NS_GET_USERNS, &owner, err);
    if (r < 0)
        return r;
    if (stat("/proc/self/ns/user", &our_user) < 0)
        return err_errno_name(err, "cannot see its own user namespace");
    return is_same(&owner, &our_user) ? 0 : err_set(err, EPERM, "it owns its %s namespace", name);
}

static int prove_namespaces(const struct confine_subject *s, struct err *err) {
    static const char *const names[] = {"mnt", "ipc", "uts", "cgroup"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        int r = prove_new_namespace(s, names[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int prove_network(const struct confine_subject *s, struct err *err) {
    if (s->plan->net_namespace == CONFINE_NET_NEW)
        return prove_new_namespace(s, "net", err);
    struct stat theirs, ours, wanted;
    int r = stat_namespace(s, "net", &theirs, &ours, err);
    if (r < 0)
        return r;
    wanted.st_dev = s->plan->net_namespace_device;
    wanted.st_ino = s->plan->net_namespace_inode;
    if (s->plan->net_namespace_fd >= 0 && fstat(s->plan->net_namespace_fd, &wanted) < 0)
        return err_errno_name(err, "cannot stat the network namespace to join");
    return is_same(&theirs, &wanted) ? 0 : err_set(err, EPERM, "it is in another network namespace than planned");
}

static int prove_pid_namespace(const struct confine_subject *s, struct err *err) {
    struct stat related, theirs, ours, wanted;
    int r = stat_namespace(s, "pid", &theirs, &ours, err);
    if (r < 0)
        return r;
    wanted = ours;
    if (s->plan->pid_namespace != CONFINE_PID_NEW) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%d/ns/pid", confine_pid_of(s->plan->pid_namespace_of));
        if (stat(path, &wanted) < 0)
            return err_set(err, ESRCH, "the process whose pid namespace it should be in has ended");
    }
    if (s->plan->pid_namespace == CONFINE_PID_JOIN)
        return is_same(&theirs, &wanted) ? 0 : err_set(err, EPERM, "it is not in the sandbox's pid namespace");
    r = stat_related(s, "pid", NS_GET_PARENT, &related, err);
    if (r < 0)
        return r;
    if (!is_same(&related, &wanted))
        return err_set(err, EPERM, "its pid namespace is not nested in the planned one");
    _cleanup_free_ char *pids = NULL;
    r = confine_read_status(s, "NSpid", &pids, err);
    if (r < 0)
        return r;
    const char *last = strrchr(pids, '\t');
    return last && strcmp(last, "\t1") == 0 ? 0 : err_set(err, EPERM, "it is not pid 1 of its pid namespace");
}

static int prove_map(const struct confine_subject *s, const char *name, struct err *err) {
    _cleanup_free_ char *text = NULL;
    int r = confine_read_proc(s, name, &text, err);
    if (r < 0)
        return r;
    const char *at = text;
    for (size_t i = 0; i < s->plan->n_maps; i++) {
        unsigned inside, outside, count;
        int used = 0;
        const struct confine_id_map *m = &s->plan->maps[i];
        if (sscanf(at, " %u %u %u%n", &inside, &outside, &count, &used) != 3 || inside != m->inside ||
            outside != m->outside || count != m->count)
            return err_set(err, EPERM, "its %s is not the planned one", name);
        at += used;
    }
    return at[strspn(at, " \n")] == '\0' ? 0 : err_set(err, EPERM, "its %s has more than planned", name);
}

static int prove_user_namespace(const struct confine_subject *s, struct err *err) {
    struct stat theirs, ours, parent;
    int r = stat_namespace(s, "user", &theirs, &ours, err);
    if (r < 0)
        return r;
    if (!s->plan->user_namespace)
        return is_same(&theirs, &ours) ? 0 : err_set(err, EPERM, "it is in an unplanned user namespace");
    if (is_same(&theirs, &ours))
        return err_set(err, EPERM, "it is in the host's user namespace");
    r = stat_related(s, "user", NS_GET_PARENT, &parent, err);
    if (r == 0 && !is_same(&parent, &ours))
        return err_set(err, EPERM, "its user namespace is not nested in the command's");
    if (r == 0)
        r = prove_map(s, "uid_map", err);
    return r < 0 ? r : prove_map(s, "gid_map", err);
}

/* Only root, and no process of the same uid, may look into an undumpable process: its files are root's (proc(5)). */
static int prove_undumpable(const struct confine_subject *s, struct err *err) {
    struct stat st;
    uint32_t stranger;
    /* Where every id is mapped, the executable was readable; but then nobody else is in that user namespace. */
    if (s->plan->uid == 0 || !confine_stranger(s->plan, &stranger))
        return 0;
    if (fstatat(s->proc, "environ", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno_name(err, "cannot see whether it is dumpable");
    return st.st_uid == 0 ? 0 : err_set(err, EPERM, "it is dumpable");
}

static int prove_no_core(const struct confine_subject *s, struct err *err) {
    static const char key[] = "Max core file size";
    _cleanup_free_ char *text = NULL;
    int r = confine_read_proc(s, "limits", &text, err);
    if (r < 0)
        return r;
    const char *line = strstr(text, key);
    unsigned long soft, hard;
    if (!line || sscanf(line + strlen(key), "%lu %lu", &soft, &hard) != 2 || soft || hard)
        return err_set(err, EPERM, "it may write core files");
    return 0;
}

static int prove_descriptor(const struct confine_subject *s, int number, struct err *err) {
    if (number == s->ready->socket || number == s->ready->executable)
        return 0;
    for (size_t i = 0; i < s->plan->n_fds; i++) {
        struct stat theirs, ours;
        char path[64];
        if (s->plan->fds[i].number != number)
            continue;
        (void)snprintf(path, sizeof path, "fd/%d", number);
        if (fstatat(s->proc, path, &theirs, 0) < 0 || fstat(s->plan->fds[i].fd, &ours) < 0)
            return err_errno_name(err, "cannot compare its descriptor %d", number);
        return is_same(&theirs, &ours) ? 0 : err_set(err, EPERM, "its descriptor %d is another than planned", number);
    }
    return err_set(err, EPERM, "its descriptor %d is not in the plan", number);
}

/* Before execve(2) exactly the planned ones; from then on the program opens and closes its own, of planned kinds. */
static int prove_descriptors(const struct confine_subject *s, struct err *err) {
    if (s->executed)
        return confine_prove_holdings(s, err);
    int fds = openat(s->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = fds < 0 ? NULL : fdopendir(fds);
    if (!entries)
        return err_errno_name(err, "cannot list its descriptors");
    size_t planned = 0;
    for (struct dirent *e; (e = readdir(entries));) {
        uint64_t number;
        if (parse_u64(e->d_name, &number) < 0)
            continue;
        int r = prove_descriptor(s, (int)number, err);
        if (r < 0)
            return r;
        planned += (int)number != s->ready->socket && (int)number != s->ready->executable;
    }
    return planned == s->plan->n_fds ? 0 : err_set(err, EPERM, "it lacks descriptors of the plan");
}

const struct confine_property confine_properties[] = {
    {"identity", prove_identity},
    {"groups", prove_groups},
    {"capabilities", prove_capabilities},
    {"no_new_privs", prove_no_new_privileges},
    {"filter", confine_prove_filter},
    {"namespaces", prove_namespaces},
    {"network namespace", prove_network},
    {"pid namespace", prove_pid_namespace},
    {"user namespace", prove_user_namespace},
    {"dumpable", prove_undumpable},
    {"core", prove_no_core},
    {"mounts", confine_prove_mounts},
    {"emptied", confine_prove_emptied},
    {"descriptors", prove_descriptors},
    {"limits", confine_prove_limits},
    {"cgroup", confine_prove_cgroup},
    {"threads", confine_prove_threads},
    {NULL, NULL},
};

bool confine_is_of_thread(const struct confine_plan *plan, const char *property) {
    /* A server that may change its uid does so in its threads, for the length of a request. */
    if (strcmp(property, "identity") == 0 || strcmp(property, "groups") == 0)
        return !(plan->keep_capabilities & (UINT64_C(1) << CAP_SETUID));
    static const char *const names[] = {"capabilities", "no_new_privs", "filter"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(property, names[i]) == 0)
            return true;
    return false;
}

static int open_subject(struct confine_subject *subject, struct err *err) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d", subject->pid);
    subject->proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return subject->proc < 0 ? err_set(err, ESRCH, "the %s has ended", subject->plan->role) : 0;
}

static int prove(struct confine_subject *subject, struct err *err) {
    int r = open_subject(subject, err);
    for (const struct confine_property *p = confine_properties; r >= 0 && p->name; p++) {
        struct err why = {0};
        r = p->prove(subject, &why);
        if (r < 0)
            (void)err_set(err, -r, "the %s is not confined as planned: %s [%s]", subject->plan->role, why.text,
                          p->name);
    }
    close_fd(&subject->proc);
    return r;
}

int confine_prove_ready(const struct confine_plan *plan, pid_t pid, const struct confine_message *ready,
                        struct err *err) {
    struct confine_subject subject = {.plan = plan, .pid = pid, .ready = ready};
    return prove(&subject, err);
}

int confine_prove(const struct confine_plan *plan, pid_t pid, bool emptied, struct err *err) {
    struct confine_subject subject = {.plan = plan, .pid = pid, .emptied = emptied, .executed = true};
    return prove(&subject, err);
}

int confine_examine(const struct confine_plan *plan, pid_t pid, bool emptied, confine_found_fn *found, void *data,
                    struct err *err) {
    struct confine_subject subject = {.plan = plan, .pid = pid, .emptied = emptied, .executed = true};
    int r = open_subject(&subject, err);
    if (r < 0)
        return r;
    for (const struct confine_property *p = confine_properties; p->name; p++) {
        struct err why = {0};
        if (p->prove(&subject, &why) >= 0)
            why.code = 0;
        found(data, p->name, &why);
    }
    close_fd(&subject.proc);
    return 0;
}
