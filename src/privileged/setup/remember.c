/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ROOT/ID/confinement.json: the plans that the sandbox's processes were proved against at the start, as far as a proof
 * needs them, so that `minka audit` compares with just those and not with what this host or configuration would give
 * today. In the state directory, which no process of a sandbox can reach.
 */
#include "privileged/setup/internal.h"

#include "facts/json/json.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <string.h>

enum { FORMAT = 1, LENGTH_MAX = 1 << 20 };
static const char FILE_NAME[] = "confinement.json";

/* ---- writing ---- */

static void write_holding(struct json_writer *w, const struct confine_holding *h) {
    json_write_begin_object(w, NULL);
    json_write_uint(w, "kind", h->kind);
    json_write_uint(w, "access", h->access);
    json_write_uint(w, "most", h->most);
    json_write_string(w, "name", h->name ? h->name : "");
    json_write_uint(w, "device", h->device);
    json_write_uint(w, "inode", h->inode);
    json_write_end_object(w);
}

/* Of the mounts those that are there once the jail is empty. */
static void write_mounts(struct json_writer *w, const struct confine_plan *plan) {
    json_write_begin_array(w, "mounts");
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct confine_mount *m = &plan->mounts[i];
        if (!m->stays)
            continue;
        json_write_begin_object(w, NULL);
        json_write_uint(w, "kind", m->kind);
        json_write_string(w, "target", m->target);
        json_write_bool(w, "writable", m->writable);
        json_write_bool(w, "executable", m->executable);
        json_write_bool(w, "recursive", m->recursive);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}

static void write_lists(struct json_writer *w, const struct confine_plan *plan) {
    json_write_begin_array(w, "maps");
    for (size_t i = 0; i < plan->n_maps; i++) {
        json_write_begin_object(w, NULL);
        json_write_uint(w, "inside", plan->maps[i].inside);
        json_write_uint(w, "outside", plan->maps[i].outside);
        json_write_uint(w, "count", plan->maps[i].count);
        json_write_end_object(w);
    }
    json_write_end_array(w);
    write_mounts(w, plan);
    json_write_begin_array(w, "holdings");
    for (size_t i = 0; i < plan->n_holdings; i++)
        write_holding(w, &plan->holdings[i]);
    json_write_end_array(w);
    json_write_begin_array(w, "limits");
    for (size_t i = 0; i < plan->n_rlimits; i++) {
        json_write_begin_object(w, NULL);
        json_write_int(w, "resource", plan->rlimits[i].resource);
        json_write_uint(w, "soft", plan->rlimits[i].limit.rlim_cur);
        json_write_uint(w, "hard", plan->rlimits[i].limit.rlim_max);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}

static void write_plan(struct json_writer *w, const struct confine_plan *plan, bool emptied) {
    json_write_begin_object(w, NULL);
    json_write_string(w, "role", plan->role);
    json_write_uint(w, "uid", plan->uid);
    json_write_uint(w, "gid", plan->gid);
    json_write_uint(w, "capabilities", plan->keep_capabilities);
    json_write_uint(w, "pidNamespace", plan->pid_namespace);
    json_write_uint(w, "netNamespace", plan->net_namespace);
    json_write_uint(w, "netNamespaceDevice", plan->net_namespace_device);
    json_write_uint(w, "netNamespaceInode", plan->net_namespace_inode);
    json_write_bool(w, "userNamespace", plan->user_namespace);
    json_write_uint(w, "userNamespaceUid", plan->user_namespace_uid);
    json_write_string(w, "filter", plan->filter ? plan->filter->name : "");
    json_write_string(w, "cgroup", plan->cgroup ? plan->cgroup : "");
    json_write_bool(w, "emptied", emptied);
    write_lists(w, plan);
    json_write_end_object(w);
}

int sandbox_remember(const struct sandbox *s, struct err *err) {
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out, .pretty = true};
    json_write_begin_object(&w, NULL);
    json_write_uint(&w, "format", FORMAT);
    json_write_begin_array(&w, "plans");
    write_plan(&w, &s->monitor.plan, false);
    write_plan(&w, &s->vmm.plan, true);
    if (s->uses_share)
        write_plan(&w, &s->file_server.plan, true);
    write_plan(&w, &s->standin.plan, false);
    json_write_end_array(&w);
    json_write_end_object(&w);
    if (w.failed)
        return err_set(err, ENOMEM, "out of memory writing how container %s is confined", s->request->id);
    return write_file_atomic(s->dir, FILE_NAME, out.data, out.length, 0600, err);
}

/* ---- reading ---- */

static int required(int r, const char *key, struct err *err) {
    return r == 0 ? err_set(err, EBADMSG, "%s lacks \"%s\"", FILE_NAME, key) : r;
}

static int get_u64(const struct json_value *object, const char *key, uint64_t *ret, struct err *err) {
    return required(json_get_u64(object, key, ret, err), key, err);
}

static int get_u32(const struct json_value *object, const char *key, uint32_t *ret, struct err *err) {
    return required(json_get_u32(object, key, ret, err), key, err);
}

static int get_bool(const struct json_value *object, const char *key, bool *ret, struct err *err) {
    return required(json_get_bool(object, key, ret, err), key, err);
}

static int get_text(const struct json_value *object, const char *key, const char **ret, struct err *err) {
    return required(json_get_string(object, key, ret, err), key, err);
}

/* A number that is one of an enum's, up to the last. */
static int get_choice(const struct json_value *object, const char *key, unsigned last, unsigned *ret, struct err *err) {
    uint32_t number = 0;
    int r = get_u32(object, key, &number, err);
    if (r < 0)
        return r;
    *ret = number;
    return number <= last ? 0 : err_set(err, EBADMSG, "%s: \"%s\" is out of range", FILE_NAME, key);
}

static int too_many(const char *what, struct err *err) {
    return err_set(err, EBADMSG, "%s lists too many %s", FILE_NAME, what);
}

static int read_map(const struct json_value *item, void *data, struct err *err) {
    struct confine_plan *plan = data;
    if (plan->n_maps == CONFINE_MAPS_MAX)
        return too_many("maps", err);
    struct confine_id_map *m = &plan->maps[plan->n_maps++];
    int r = get_u32(item, "inside", &m->inside, err);
    if (r >= 0)
        r = get_u32(item, "outside", &m->outside, err);
    if (r >= 0)
        r = get_u32(item, "count", &m->count, err);
    return r < 0 ? r : 0;
}

static int read_mount(const struct json_value *item, void *data, struct err *err) {
    struct confine_plan *plan = data;
    unsigned kind = 0;
    const char *target = "";
    if (plan->n_mounts == CONFINE_MOUNTS_MAX)
        return too_many("mounts", err);
    int r = get_choice(item, "kind", CONFINE_MOUNT_PROC, &kind, err);
    if (r >= 0)
        r = get_text(item, "target", &target, err);
    if (r < 0)
        return r;
    struct confine_mount *m = confine_plan_add_mount(plan, (enum confine_mount_kind)kind, NULL, target);
    m->stays = true;
    r = get_bool(item, "writable", &m->writable, err);
    if (r >= 0)
        r = get_bool(item, "executable", &m->executable, err);
    if (r >= 0)
        r = get_bool(item, "recursive", &m->recursive, err);
    return r < 0 ? r : 0;
}

static int read_holding(const struct json_value *item, void *data, struct err *err) {
    struct confine_plan *plan = data;
    unsigned kind = 0, access = 0;
    uint32_t most = 0;
    uint64_t device = 0, inode = 0;
    const char *name = "";
    if (plan->n_holdings == CONFINE_HOLDINGS_MAX)
        return too_many("holdings", err);
    int r = get_choice(item, "kind", CONFINE_HOLDS_OTHER, &kind, err);
    if (r >= 0)
        r = get_choice(item, "access", CONFINE_READ | CONFINE_WRITE, &access, err);
    if (r >= 0)
        r = get_u32(item, "most", &most, err);
    if (r >= 0)
        r = get_text(item, "name", &name, err);
    if (r >= 0)
        r = get_u64(item, "device", &device, err);
    if (r >= 0)
        r = get_u64(item, "inode", &inode, err);
    if (r < 0)
        return r;
    struct confine_holding *h =
        confine_plan_may_hold(plan, (enum confine_holding_kind)kind, name[0] ? name : NULL, most, access);
    h->device = device;
    h->inode = inode;
    return h->kind == CONFINE_HOLDS_TREE && !h->name ? err_set(err, EBADMSG, "%s: a tree has no name", FILE_NAME) : 0;
}

static int read_limit(const struct json_value *item, void *data, struct err *err) {
    struct confine_plan *plan = data;
    unsigned resource = 0;
    uint64_t soft = 0, hard = 0;
    if (plan->n_rlimits == CONFINE_RLIMITS_MAX)
        return too_many("limits", err);
    int r = get_choice(item, "resource", RLIM_NLIMITS - 1, &resource, err);
    if (r >= 0)
        r = get_u64(item, "soft", &soft, err);
    if (r >= 0)
        r = get_u64(item, "hard", &hard, err);
    if (r < 0)
        return r;
    plan->rlimits[plan->n_rlimits].resource = (int)resource;
    plan->rlimits[plan->n_rlimits++].limit = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
    return 0;
}

static int read_lists(const struct json_value *item, struct confine_plan *plan, struct err *err) {
    static const struct {
        const char *key;
        json_each_fn *read;
    } lists[] = {{"maps", read_map}, {"mounts", read_mount}, {"holdings", read_holding}, {"limits", read_limit}};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        struct json_value list;
        int r = required(json_get(item, lists[i].key, &list, err), lists[i].key, err);
        if (r >= 0)
            r = json_each_element(&list, lists[i].read, plan, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_namespaces(const struct json_value *item, struct confine_plan *plan, struct err *err) {
    unsigned pid = 0, net = 0;
    uint64_t device = 0, inode = 0;
    int r = get_choice(item, "pidNamespace", CONFINE_PID_NEW_INSIDE, &pid, err);
    if (r >= 0)
        r = get_choice(item, "netNamespace", CONFINE_NET_JOIN, &net, err);
    if (r >= 0)
        r = get_u64(item, "netNamespaceDevice", &device, err);
    if (r >= 0)
        r = get_u64(item, "netNamespaceInode", &inode, err);
    if (r >= 0)
        r = get_bool(item, "userNamespace", &plan->user_namespace, err);
    if (r >= 0)
        r = get_u32(item, "userNamespaceUid", &plan->user_namespace_uid, err);
    plan->pid_namespace = (enum confine_pid_namespace)pid;
    plan->net_namespace = (enum confine_net_namespace)net;
    plan->net_namespace_device = device;
    plan->net_namespace_inode = inode;
    return r;
}

/* "": there was none. */
static int find_filter(const char *name, const struct filter **ret, struct err *err) {
    static const struct filter *const all[] = {&filter_monitor, &filter_standin,  &filter_vmm_tcg,
                                               &filter_vmm_kvm, &filter_server_c, &filter_server_rust};
    *ret = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            *ret = all[i];
    return *ret || !name[0] ? 0 : err_set(err, EBADMSG, "%s names the unknown filter \"%.32s\"", FILE_NAME, name);
}

static int read_plan(const struct json_value *item, void *data, struct err *err) {
    struct remembered *all = data;
    const char *role = "", *cgroup = "", *filter = "";
    uint32_t uid = 0, gid = 0;
    if (all->count == ARRAY_SIZE(all->plans))
        return too_many("plans", err);
    int r = get_text(item, "role", &role, err);
    if (r >= 0)
        r = get_u32(item, "uid", &uid, err);
    if (r >= 0)
        r = get_u32(item, "gid", &gid, err);
    if (r >= 0)
        r = get_text(item, "cgroup", &cgroup, err);
    if (r >= 0)
        r = get_text(item, "filter", &filter, err);
    if (r < 0)
        return r;
    struct confine_plan *plan = &all->plans[all->count];
    confine_plan_init(plan, role, uid, gid);
    plan->cgroup = cgroup;
    r = find_filter(filter, &plan->filter, err);
    if (r >= 0)
        r = get_u64(item, "capabilities", &plan->keep_capabilities, err);
    if (r >= 0)
        r = get_bool(item, "emptied", &all->emptied[all->count], err);
    if (r >= 0)
        r = read_namespaces(item, plan, err);
    if (r >= 0)
        r = read_lists(item, plan, err);
    if (r < 0)
        return r;
    all->count++;
    return 0;
}

void remembered_done(struct remembered *remembered) {
    remembered->json = json_free(remembered->json);
}

int remembered_load(int dir, struct remembered *ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = read_file(dir, FILE_NAME, LENGTH_MAX, &text, &length, err);
    if (r == -ENOENT)
        return err_set(err, ENOENT, "it is not known how the container was confined: another version made it");
    if (r < 0)
        return r;
    *ret = (struct remembered){0};
    r = json_parse(text, length, FILE_NAME, &ret->json, err);
    if (r < 0)
        return r;
    struct json_value top = json_top(ret->json), plans;
    uint64_t format = 0;
    r = get_u64(&top, "format", &format, err);
    if (r >= 0 && format != FORMAT)
        r = err_set(err, EBADMSG, "%s was written by another version of minka", FILE_NAME);
    if (r >= 0)
        r = required(json_get(&top, "plans", &plans, err), "plans", err);
    if (r >= 0)
        r = json_each_element(&plans, read_plan, ret, err);
    if (r < 0)
        remembered_done(ret);
    return r < 0 ? r : 0;
}
