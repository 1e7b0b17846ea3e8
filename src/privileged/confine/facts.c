/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of a process. Read by the same functions as what is proved of it; nothing here judges. */
#include "privileged/confine/facts.h"

#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

const char *const confine_capability_sets[CONFINE_CAPABILITY_SETS] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
const char *const confine_namespaces[CONFINE_NAMESPACES] = {"mnt", "net", "pid", "ipc", "uts", "cgroup", "user"};
const struct confine_limit_name confine_limits[CONFINE_LIMITS] = {{"core", RLIMIT_CORE},
                                                                  {"nofile", RLIMIT_NOFILE},
                                                                  {"nproc", RLIMIT_NPROC},
                                                                  {"fsize", RLIMIT_FSIZE},
                                                                  {"memlock", RLIMIT_MEMLOCK}};

void confine_facts_done(struct confine_facts *facts) {
    free(facts->groups);
    free(facts->cgroup);
    confine_free_mounts(facts->mounts, facts->n_mounts);
    free(facts->descriptors);
    *facts = (struct confine_facts){0};
}

static int read_number(const struct confine_subject *s, const char *key, int base, uint64_t *ret, struct err *err) {
    _cleanup_free_ char *value = NULL;
    int r = confine_read_status(s, key, &value, err);
    if (r < 0)
        return r;
    *ret = strtoull(value, NULL, base);
    return 0;
}

static int read_ids(const struct confine_subject *s, const char *key, uint32_t ret[4], struct err *err) {
    _cleanup_free_ char *value = NULL;
    int r = confine_read_status(s, key, &value, err);
    if (r < 0)
        return r;
    if (sscanf(value, "%u %u %u %u", &ret[0], &ret[1], &ret[2], &ret[3]) != 4)
        return err_set(err, EBADMSG, "cannot make sense of its %s", key);
    return 0;
}

static int look_at_status(const struct confine_subject *s, struct confine_facts *f, struct err *err) {
    _cleanup_free_ char *name = NULL;
    uint64_t no_new_privs, seccomp, filters = 0, threads;
    int r = confine_read_status(s, "Name", &name, err);
    if (r >= 0)
        r = read_ids(s, "Uid", f->uids, err);
    if (r >= 0)
        r = read_ids(s, "Gid", f->gids, err);
    if (r >= 0)
        r = confine_read_status(s, "Groups", &f->groups, err);
    for (size_t i = 0; r >= 0 && i < CONFINE_CAPABILITY_SETS; i++)
        r = read_number(s, confine_capability_sets[i], 16, &f->capabilities[i], err);
    if (r >= 0)
        r = read_number(s, "NoNewPrivs", 10, &no_new_privs, err);
    if (r >= 0)
        r = read_number(s, "Seccomp", 10, &seccomp, err);
    if (r >= 0)
        r = read_number(s, "Threads", 10, &threads, err);
    if (r < 0)
        return r;
    (void)read_number(s, "Seccomp_filters", 10, &filters, NULL); /* since Linux 5.9 */
    text_make_printable(name);
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    f->groups[strcspn(f->groups, "\n")] = '\0';
    for (size_t n = strlen(f->groups); n > 0 && f->groups[n - 1] == ' ';)
        f->groups[--n] = '\0';
    f->no_new_privs = no_new_privs == 1;
    f->seccomp = (unsigned)seccomp;
    f->seccomp_filters = (unsigned)filters;
    f->threads = (unsigned)threads;
    return 0;
}

static void look_at_namespaces(const struct confine_subject *s, struct confine_facts *f) {
    for (size_t i = 0; i < CONFINE_NAMESPACES; i++) {
        char path[64], own[64];
        struct stat theirs, ours;
        (void)snprintf(path, sizeof path, "ns/%s", confine_namespaces[i]);
        (void)snprintf(own, sizeof own, "/proc/self/ns/%s", confine_namespaces[i]);
        if (fstatat(s->proc, path, &theirs, 0) < 0 || stat(own, &ours) < 0)
            continue;
        f->namespaces[i] = theirs.st_ino;
        f->shared[i] = theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
    }
}

static int look_at_cgroup(const struct confine_subject *s, struct confine_facts *f, struct err *err) {
    int r = confine_read_proc(s, "cgroup", &f->cgroup, err);
    if (r < 0)
        return r;
    size_t length = strlen(f->cgroup);
    for (char *line = f->cgroup; *line;) {
        char *end = line + strcspn(line, "\n");
        bool more = *end == '\n';
        *end = '\0';
        text_make_printable(line);
        if (more)
            *end = '\n';
        line = end + more;
    }
    if (length > 0 && f->cgroup[length - 1] == '\n')
        f->cgroup[length - 1] = '\0';
    return 0;
}

static int look_at_mounts(const struct confine_subject *s, struct confine_facts *f, struct err *err) {
    _cleanup_close_ int mountinfo = -EBADF, root = -EBADF;
    int r = confine_open_view(s, &mountinfo, &root, err);
    if (r >= 0)
        r = confine_list_mounts(mountinfo, &f->mounts, &f->n_mounts, err);
    for (size_t i = 0; r >= 0 && i < f->n_mounts; i++) {
        text_make_printable(f->mounts[i].point);
        text_make_printable(f->mounts[i].type);
    }
    return r;
}

static int look(const struct confine_subject *s, struct confine_facts *f, struct err *err) {
    struct stat st;
    int r = look_at_status(s, f, err);
    if (r >= 0)
        r = look_at_cgroup(s, f, err);
    if (r >= 0)
        r = look_at_mounts(s, f, err);
    if (r >= 0)
        r = confine_list_descriptors(s, &f->descriptors, &f->n_descriptors, err);
    for (size_t i = 0; r >= 0 && i < CONFINE_LIMITS; i++)
        r = confine_read_limit(s, confine_limits[i].resource, &f->limits[i], err);
    if (r < 0)
        return r;
    look_at_namespaces(s, f);
    f->dumpable = fstatat(s->proc, "environ", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != 0;
    return 0;
}

int confine_look(const struct confine_plan *plan, pid_t pid, struct confine_facts *ret, struct err *err) {
    char path[64];
    _cleanup_confine_facts_ struct confine_facts facts = {0};
    (void)snprintf(path, sizeof path, "/proc/%d", pid);
    _cleanup_close_ int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return err_set(err, ESRCH, "the process has ended");
    const struct confine_subject subject = {.plan = plan, .pid = pid, .proc = proc, .executed = true};
    int r = look(&subject, &facts, err);
    if (r < 0)
        return r;
    *ret = facts;
    facts = (struct confine_facts){0};
    return 0;
}
