/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/probe/probe.h"
#include "privileged/setup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct exports {
    struct share_export *list;
    size_t count;
};

static void exports_done(struct exports *e) {
    for (size_t i = 0; i < e->count; i++)
        free((char *)(uintptr_t)e->list[i].name);
    free(e->list);
}

static int add_export(struct exports *e, const char *source, char *name, bool readonly, bool recursive,
                      struct err *err) {
    if (!name)
        return err_set(err, ENOMEM, "out of memory");
    e->list[e->count++] =
        (struct share_export){.source = source, .name = name, .readonly = readonly, .recursive = recursive};
    return 0;
}

/* The root file system and the sources of bind mounts. */
static int list_exports(const struct sandbox *s, struct exports *e, struct err *err) {
    e->list = calloc(s->spec->n_mounts + 1, sizeof *e->list);
    if (!e->list)
        return err_set(err, ENOMEM, "out of memory");
    int r = 0;
    if (!s->disk_type) /* writable even if root.readonly: the guest makes mount points before it turns it read-only */
        r = add_export(e, s->rootfs, text_format("%s/rootfs", s->request->id), false, true, err);
    for (size_t i = 0; r >= 0 && i < s->spec->n_mounts; i++)
        if (s->mounts[i].source)
            r = add_export(e, s->mounts[i].source, plan_share_name(s->request->id, i), s->mounts[i].readonly,
                           s->mounts[i].recursive, err);
    return r;
}

static int require_server(struct sandbox *s, struct err *err) {
    enum share_server kind;
    return s->machine.file_server
               ? 0
               : share_find_server(s->context->config->qemu.virtio_fs_daemon, &kind, &s->machine.file_server, err);
}

/*
 * Which ids files of the container may have beside the ordinary ones, which the server must know: those that its user
 * namespace is mapped to; without one, its process's own, which may be anywhere.
 */
static int mapped_ids(const struct oci_spec *spec, struct share_id_range **ret, size_t *ret_count, struct err *err) {
    size_t count = spec->n_uid_mappings + spec->n_gid_mappings;
    *ret = calloc(count + 2, sizeof **ret);
    if (!*ret)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const struct oci_id_mapping *m =
            i < spec->n_uid_mappings ? &spec->uid_mappings[i] : &spec->gid_mappings[i - spec->n_uid_mappings];
        (*ret)[i] = (struct share_id_range){.start = m->host_id, .count = m->size};
    }
    if (count == 0 && spec->has_process) {
        (*ret)[0] = (struct share_id_range){.start = spec->process.uid, .count = 1};
        (*ret)[1] = (struct share_id_range){.start = spec->process.gid, .count = 1};
        count = 2;
    }
    *ret_count = count;
    return 0;
}

static int start_server(struct sandbox *s, const char *probe_dir, struct err *err) {
    static const char *const caches[] = {"auto", "always", "metadata", "never"};
    const char *cache = caches[0];
    for (size_t i = 0; i < ARRAY_SIZE(caches); i++)
        if (strcmp(s->context->config->qemu.virtio_fs_cache, caches[i]) == 0)
            cache = caches[i];
    if (strcmp(s->context->config->qemu.virtio_fs_cache, "none") == 0)
        cache = "never";
    _cleanup_free_ struct share_id_range *more_ids = NULL;
    size_t n_more_ids = 0;
    int r = mapped_ids(s->spec, &more_ids, &n_more_ids, err);
    if (r >= 0)
        r = probe_closure(probe_dir, s->machine.file_server, &s->server_files, err);
    if (r < 0)
        return r;
    struct share share = {
        .kind = s->machine.file_server_is_rust ? SHARE_SERVER_RUST : SHARE_SERVER_C,
        .server_path = s->machine.file_server,
        .server_files = s->server_files,
        .cache = cache,
        .uid = s->state->uids[UID_FILE_SERVER],
        .listen_fd = s->share_listen,
        .stderr_fd = s->share_stderr,
        .pid_namespace_of = s->monitor.pidfd,
        .more_ids = more_ids,
        .n_more_ids = n_more_ids,
    };
    struct confine_plan *plan = &s->file_server.plan;
    r = share_plan(&share, plan, &s->server_strings, err);
    return r < 0 ? r : spawn_in_cgroup(&s->file_server, s->cgroup, err);
}

int make_share_sockets(struct sandbox *s, struct err *err) {
    int r = s->uses_share ? require_server(s, err) : 0;
    return r >= 0 && s->uses_share ? share_sockets(s->owner, &s->share_listen, &s->vmm_share, err) : r;
}

int spawn_share(struct sandbox *s, struct err *err) {
    _cleanup_free_ char *probe_dir = NULL;
    if (!s->uses_share)
        return 0;
    int r = machine_probe_dir(s->context, &probe_dir, err);
    if (r >= 0)
        r = start_server(s, probe_dir, err);
    if (r < 0)
        return r;
    close_fd(&s->share_listen);
    close_fd(&s->share_stderr);
    if (state_process_of(s->file_server.pid, &s->state->file_server) < 0)
        return err_set(err, ESRCH, "the file server ended as soon as it was started");
    return state_save(s->dir, s->state, err);
}

int share_trees(struct sandbox *s, struct err *err) {
    _cleanup_(exports_done) struct exports exports = {0};
    if (!s->uses_share)
        return 0;
    int r = list_exports(s, &exports, err);
    return r < 0 ? r : share_attach(s->file_server.pidfd, exports.list, exports.count, err);
}
