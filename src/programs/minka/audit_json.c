/* SPDX-License-Identifier: Apache-2.0 */
/* The raw facts, and each property with its verdict. */
#include "audit.h"

#include "facts/json/json.h"
#include "shared/base/cleanup.h"

#include <string.h>

enum { DESCRIPTORS_MAX = 1000 }; /* a file server has one for each file that its guest knows */

static void write_findings(struct json_writer *w, const struct audit_finding *findings, size_t count) {
    json_write_begin_array(w, "properties");
    for (size_t i = 0; i < count; i++) {
        json_write_begin_object(w, NULL);
        json_write_string(w, "name", findings[i].property);
        json_write_bool(w, "holds", !findings[i].wrong);
        if (findings[i].wrong)
            json_write_string(w, "wrong", findings[i].wrong);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}

static void write_ids(struct json_writer *w, const char *key, const uint32_t ids[4]) {
    json_write_begin_array(w, key);
    for (size_t i = 0; i < 4; i++)
        json_write_uint(w, NULL, ids[i]);
    json_write_end_array(w);
}

static void write_identity(struct json_writer *w, const struct confine_facts *f) {
    char user[OWNER_SIZE];
    audit_user(f->uids[0], user, sizeof user);
    json_write_string(w, "program", f->name);
    write_ids(w, "uids", f->uids);
    write_ids(w, "gids", f->gids);
    json_write_string(w, "user", user);
    json_write_string(w, "groups", f->groups);
    json_write_begin_object(w, "capabilities");
    for (size_t i = 0; i < CONFINE_CAPABILITY_SETS; i++)
        json_write_uint(w, confine_capability_sets[i], f->capabilities[i]);
    json_write_end_object(w);
    json_write_bool(w, "noNewPrivs", f->no_new_privs);
    json_write_bool(w, "dumpable", f->dumpable);
    json_write_uint(w, "seccomp", f->seccomp);
    json_write_uint(w, "seccompFilters", f->seccomp_filters);
    json_write_uint(w, "threads", f->threads);
}

static void write_surroundings(struct json_writer *w, const struct confine_facts *f) {
    json_write_begin_object(w, "namespaces");
    for (size_t i = 0; i < CONFINE_NAMESPACES; i++) {
        json_write_begin_object(w, confine_namespaces[i]);
        json_write_uint(w, "inode", f->namespaces[i]);
        json_write_bool(w, "host", f->shared[i]);
        json_write_end_object(w);
    }
    json_write_end_object(w);
    json_write_begin_object(w, "limits");
    for (size_t i = 0; i < CONFINE_LIMITS; i++) {
        json_write_begin_object(w, confine_limits[i].name);
        json_write_uint(w, "soft", f->limits[i].rlim_cur);
        json_write_uint(w, "hard", f->limits[i].rlim_max);
        json_write_end_object(w);
    }
    json_write_end_object(w);
    json_write_string(w, "cgroup", f->cgroup);
    json_write_begin_array(w, "mounts");
    for (size_t i = 0; i < f->n_mounts; i++) {
        json_write_begin_object(w, NULL);
        json_write_string(w, "point", f->mounts[i].point);
        json_write_string(w, "type", f->mounts[i].type);
        json_write_bool(w, "readonly", f->mounts[i].readonly);
        json_write_bool(w, "nosuid", f->mounts[i].nosuid);
        json_write_bool(w, "nodev", f->mounts[i].nodev);
        json_write_bool(w, "noexec", f->mounts[i].noexec);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}

static void write_descriptors(struct json_writer *w, const struct confine_facts *f) {
    json_write_uint(w, "descriptorCount", f->n_descriptors);
    json_write_begin_array(w, "descriptors");
    for (size_t i = 0; i < f->n_descriptors && i < DESCRIPTORS_MAX; i++) {
        const struct confine_descriptor *d = &f->descriptors[i];
        json_write_begin_object(w, NULL);
        json_write_int(w, "number", d->number);
        json_write_string(w, "kind", confine_holding_text(d->kind));
        json_write_bool(w, "read", d->access & CONFINE_READ);
        json_write_bool(w, "write", d->access & CONFINE_WRITE);
        json_write_string(w, "name", d->name);
        json_write_uint(w, "device", d->device);
        json_write_uint(w, "inode", d->inode);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}

static void write_process(struct json_writer *w, const struct audit_process *p) {
    json_write_begin_object(w, NULL);
    json_write_string(w, "role", p->role);
    json_write_int(w, "pid", p->process.pid);
    json_write_uint(w, "startTicks", p->process.start_ticks);
    json_write_bool(w, "holds", audit_process_holds(p));
    write_findings(w, p->findings, p->n_findings);
    if (p->looked) {
        write_identity(w, &p->facts);
        write_surroundings(w, &p->facts);
        write_descriptors(w, &p->facts);
    }
    json_write_end_object(w);
}

void audit_write_json(struct json_writer *w, const struct audited *audited) {
    json_write_begin_object(w, NULL);
    json_write_string(w, "id", audited->state->id);
    json_write_string(w, "status", state_status_text(audited->state->status));
    json_write_bool(w, "holds", audited_holds(audited));
    if (audited->problem)
        json_write_string(w, "problem", audited->problem);
    write_findings(w, audited->audit->findings, audited->audit->n_findings);
    json_write_begin_array(w, "processes");
    for (size_t i = 0; i < audited->audit->n_processes; i++)
        write_process(w, &audited->audit->processes[i]);
    json_write_end_array(w);
    json_write_end_object(w);
}

void audit_write_host(struct json_writer *w, const struct audit_lack *lacks, size_t count) {
    json_write_begin_array(w, "hostLacks");
    for (size_t i = 0; i < count; i++) {
        json_write_begin_object(w, NULL);
        json_write_string(w, "what", lacks[i].what);
        json_write_string(w, "wouldHelp", lacks[i].remedy);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}
