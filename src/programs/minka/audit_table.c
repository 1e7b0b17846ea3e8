/* SPDX-License-Identifier: Apache-2.0 */
/* A table with a column for each process and a row for each fact, and below it what falls short, in sentences. */
#include "audit.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_WIDTH = 20, CELL_WIDTH = 22, CELL_SIZE = 96, COLUMNS = 4 };

typedef void cell_fn(const struct confine_facts *f, char *ret);

__attribute__((format(printf, 2, 3))) static void append(char *ret, const char *format, ...) {
    size_t length = strlen(ret);
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(ret + length, CELL_SIZE - length, format, ap);
    va_end(ap);
}

static void cell_program(const struct confine_facts *f, char *ret) {
    append(ret, "%s", f->name);
}

static bool is_one_id(const uint32_t ids[4]) {
    return ids[0] == ids[1] && ids[1] == ids[2] && ids[2] == ids[3];
}

static void cell_uid(const struct confine_facts *f, char *ret) {
    append(ret, is_one_id(f->uids) ? "%u" : "%u,%u,%u,%u", f->uids[0], f->uids[1], f->uids[2], f->uids[3]);
}

static void cell_gid(const struct confine_facts *f, char *ret) {
    append(ret, is_one_id(f->gids) ? "%u" : "%u,%u,%u,%u", f->gids[0], f->gids[1], f->gids[2], f->gids[3]);
}

static void cell_user(const struct confine_facts *f, char *ret) {
    audit_user(f->uids[0], ret, CELL_SIZE);
}

static void cell_groups(const struct confine_facts *f, char *ret) {
    append(ret, "%s", f->groups[0] ? f->groups : "none");
}

/* They are worth something in the user namespace that the process is in only. */
static void cell_capabilities(const struct confine_facts *f, char *ret) {
    uint64_t all = 0;
    for (size_t i = 0; i < CONFINE_CAPABILITY_SETS; i++)
        all |= f->capabilities[i];
    bool own = !f->shared[CONFINE_NAMESPACES - 1];
    if (all)
        append(ret, "%d, %s", __builtin_popcountll(all), own ? "in its own userns" : "OF THE HOST");
    else
        append(ret, "none");
}

static void cell_no_new_privs(const struct confine_facts *f, char *ret) {
    append(ret, "%s", f->no_new_privs ? "yes" : "NO");
}

static void cell_seccomp(const struct confine_facts *f, char *ret) {
    if (f->seccomp == 2)
        append(ret, "%u filter%s", f->seccomp_filters, f->seccomp_filters == 1 ? "" : "s");
    else
        append(ret, "%s", f->seccomp ? "strict" : "NONE");
}

static void cell_dumpable(const struct confine_facts *f, char *ret) {
    append(ret, "%s", f->dumpable ? "YES" : "no");
}

static void cell_namespaces(const struct confine_facts *f, char *ret) {
    unsigned own = 0;
    for (size_t i = 0; i < CONFINE_NAMESPACES; i++)
        own += f->namespaces[i] && !f->shared[i];
    append(ret, "%u own", own);
    for (size_t i = 0; i < CONFINE_NAMESPACES; i++)
        if (f->shared[i])
            append(ret, ", host's %s", confine_namespaces[i]);
}

static void cell_root(const struct confine_facts *f, char *ret) {
    for (size_t i = 0; i < f->n_mounts; i++)
        if (strcmp(f->mounts[i].point, "/") == 0) {
            append(ret, "%s, %s", f->mounts[i].type, f->mounts[i].readonly ? "read-only" : "WRITABLE");
            return;
        }
    append(ret, "?");
}

static void cell_mounts(const struct confine_facts *f, char *ret) {
    append(ret, "%zu", f->n_mounts);
}

static void cell_descriptors(const struct confine_facts *f, char *ret) {
    append(ret, "%zu", f->n_descriptors);
}

static void cell_threads(const struct confine_facts *f, char *ret) {
    append(ret, "%u", f->threads);
}

/* Of the unified hierarchy, and where it is at the top of that, of any other. */
static void cell_cgroup(const struct confine_facts *f, char *ret) {
    const char *best = "/";
    size_t length = 1;
    for (const char *line = f->cgroup; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *path = strchr(line, ':');
        path = path ? strchr(path + 1, ':') : NULL;
        size_t n = path ? strcspn(path + 1, "\n") : 0;
        if (n > 1) {
            best = path + 1;
            length = n;
        }
    }
    append(ret, "%.*s", (int)length, best);
}

static void put_limit(const struct confine_facts *f, const char *name, char *ret) {
    for (size_t i = 0; i < CONFINE_LIMITS; i++)
        if (strcmp(confine_limits[i].name, name) == 0 && f->limits[i].rlim_max == RLIM_INFINITY)
            append(ret, "unlimited");
        else if (strcmp(confine_limits[i].name, name) == 0)
            append(ret, "%" PRIu64, (uint64_t)f->limits[i].rlim_max);
}

static void cell_core(const struct confine_facts *f, char *ret) {
    put_limit(f, "core", ret);
}

static void cell_files(const struct confine_facts *f, char *ret) {
    put_limit(f, "nofile", ret);
}

static void cell_processes(const struct confine_facts *f, char *ret) {
    put_limit(f, "nproc", ret);
}

static const struct row {
    const char *label;
    cell_fn *cell;
} rows[] = {
    {"program", cell_program},
    {"uid", cell_uid},
    {"gid", cell_gid},
    {"user", cell_user},
    {"groups", cell_groups},
    {"capabilities", cell_capabilities},
    {"no_new_privs", cell_no_new_privs},
    {"seccomp", cell_seccomp},
    {"dumpable", cell_dumpable},
    {"namespaces", cell_namespaces},
    {"root", cell_root},
    {"mounts", cell_mounts},
    {"cgroup", cell_cgroup},
    {"threads", cell_threads},
    {"core size at most", cell_core},
    {"files at most", cell_files},
    {"threads at most", cell_processes},
    {"descriptors", cell_descriptors},
};

struct columns {
    const struct audit_process *first;
    size_t count;
};

static void print_row(const struct columns *columns, const char *label,
                      void (*cell)(const struct audit_process *, const void *, char *), const void *data) {
    char line[LABEL_WIDTH + COLUMNS * (CELL_SIZE + 2) + 1];
    int length = snprintf(line, sizeof line, "%-*s", LABEL_WIDTH, label);
    for (size_t i = 0; i < columns->count; i++) {
        char text[CELL_SIZE] = "";
        cell(&columns->first[i], data, text);
        length += snprintf(line + length, sizeof line - (size_t)length, "%-*s  ", CELL_WIDTH, text);
    }
    while (length > 0 && line[length - 1] == ' ')
        line[--length] = '\0';
    (void)printf("%s\n", line);
}

static void put_role(const struct audit_process *p, const void *data, char *ret) {
    (void)data;
    append(ret, "%s", p->role);
}

static void put_pid(const struct audit_process *p, const void *data, char *ret) {
    (void)data;
    append(ret, "%d", (int)p->process.pid);
}

static void put_fact(const struct audit_process *p, const void *data, char *ret) {
    const struct row *row = data;
    if (p->looked)
        row->cell(&p->facts, ret);
    else
        append(ret, "-");
}

static unsigned count_kind(const struct audit_process *p, enum confine_holding_kind kind) {
    unsigned count = 0;
    for (size_t i = 0; p->looked && i < p->facts.n_descriptors; i++)
        count += p->facts.descriptors[i].kind == kind;
    return count;
}

static void put_kind(const struct audit_process *p, const void *data, char *ret) {
    unsigned count = count_kind(p, *(const enum confine_holding_kind *)data);
    if (count)
        append(ret, "%u", count);
}

static void put_verdict(const struct audit_process *p, const void *data, char *ret) {
    (void)data;
    append(ret, "%s", audit_process_holds(p) ? "holds" : "FALLS SHORT");
}

static void print_kinds(const struct columns *columns) {
    for (int kind = 0; kind <= CONFINE_HOLDS_OTHER; kind++) {
        const enum confine_holding_kind one = (enum confine_holding_kind)kind;
        unsigned count = 0;
        for (size_t i = 0; i < columns->count; i++)
            count += count_kind(&columns->first[i], one);
        char label[48];
        (void)snprintf(label, sizeof label, "  %s", confine_holding_text(one));
        if (count)
            print_row(columns, label, put_kind, &one);
    }
}

static void print_columns(const struct columns *columns) {
    print_row(columns, "", put_role, NULL);
    print_row(columns, "pid", put_pid, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        print_row(columns, rows[i].label, put_fact, &rows[i]);
    print_kinds(columns);
    print_row(columns, "verdict", put_verdict, NULL);
    (void)printf("\n");
}

/* What only the eye can judge: the files that the caller gave to the container as streams, and the log of --debug. */
static void print_files(const struct audit_process *p) {
    for (size_t i = 0; p->looked && strcmp(p->role, "monitor") == 0 && i < p->facts.n_descriptors; i++) {
        const struct confine_descriptor *d = &p->facts.descriptors[i];
        if (d->kind == CONFINE_HOLDS_FILE)
            (void)printf("  to be judged: the monitor's descriptor %d, a file open for %s: %s\n", d->number,
                         confine_access_text(d->access), d->name);
    }
}

static void print_findings(const char *who, int pid, const struct audit_finding *findings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!findings[i].wrong)
            continue;
        if (pid > 0)
            (void)printf("  FALLS SHORT: %s (pid %d): %s [%s]\n", who, pid, findings[i].wrong, findings[i].property);
        else
            (void)printf("  FALLS SHORT: %s: %s [%s]\n", who, findings[i].wrong, findings[i].property);
    }
}

static const char *verdict(const struct audited *audited) {
    if (audited->problem)
        return "it cannot be told how it is confined";
    if (!audit_holds(audited->audit))
        return "FALLS SHORT of what it was proved to be";
    if (audited->state->status == STATE_CREATING)
        return "being made; whoever makes it proves it";
    return audited->audit->n_processes ? "confined as proved at the start" : "nothing of it runs";
}

void audit_print_table(const struct audited *audited) {
    const struct audit *audit = audited->audit;
    (void)printf("%s (%s): %s\n", audited->state->id, state_status_text(audited->state->status), verdict(audited));
    if (audited->problem)
        (void)printf("  %s\n", audited->problem);
    (void)printf("\n");
    for (size_t i = 0; i < audit->n_processes; i += COLUMNS) {
        size_t left = audit->n_processes - i;
        print_columns(&(struct columns){&audit->processes[i], left < COLUMNS ? left : COLUMNS});
    }
    bool files = false;
    for (size_t i = 0; i < audit->n_processes; i++) {
        const struct audit_process *p = &audit->processes[i];
        print_findings(p->role, p->process.pid, p->findings, p->n_findings);
        print_files(p);
        files =
            files || !audit_process_holds(p) || (strcmp(p->role, "monitor") == 0 && count_kind(p, CONFINE_HOLDS_FILE));
    }
    print_findings("the sandbox", 0, audit->findings, audit->n_findings);
    if (files || !audit_holds(audit))
        (void)printf("\n");
}

void audit_print_host(const struct audit_lack *lacks, size_t count) {
    if (count == 0)
        return;
    (void)printf("What this host cannot give:\n");
    for (size_t i = 0; i < count; i++)
        (void)printf("  %s\n    would help: %s\n", lacks[i].what, lacks[i].remedy);
}
