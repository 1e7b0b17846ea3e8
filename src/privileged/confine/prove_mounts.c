/* SPDX-License-Identifier: Apache-2.0 */
/* The proof's part about what a process sees: every mount is in the plan, and every one of the plan is there. */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>

static const struct confine_mount *expected_at(const struct confine_subject *s, const char *point,
                                               const char *unreadable) {
    const struct confine_mount *found = NULL;
    for (size_t i = 0; i < s->plan->n_mounts; i++) {
        const struct confine_mount *m = &s->plan->mounts[i];
        if (m->kind == CONFINE_MOUNT_SYMLINK || m->kind == CONFINE_MOUNT_DIR || (s->emptied && !m->stays))
            continue;
        bool below = (m->recursive || m->kind == CONFINE_MOUNT_TMPFS) && confine_is_below(point, m->target);
        if (strcmp(m->target, unreadable) != 0 && (below || strcmp(m->target, point) == 0))
            found = m;
    }
    return found;
}

static int prove_mount(const struct confine_subject *s, const struct confine_mounted *at, const char *unreadable,
                       struct err *err) {
    if (strcmp(at->point, "/") == 0) {
        bool sealed = !s->emptied || (at->nodev && at->noexec);
        return strcmp(at->type, "tmpfs") == 0 && at->readonly && at->nosuid && sealed
                   ? 0
                   : err_set(err, EPERM, "its root is not a sealed read-only tmpfs");
    }
    const struct confine_mount *m = expected_at(s, at->point, unreadable);
    if (!m)
        return err_set(err, EPERM, "%s is mounted in its jail and should not be", at->point);
    bool own_rules = m->kind == CONFINE_MOUNT_TMPFS && strcmp(at->point, m->target) != 0; /* attached later */
    if (!at->nosuid || (!at->nodev && m->kind != CONFINE_MOUNT_NODE))
        return err_set(err, EPERM, "%s is mounted without nosuid and nodev", at->point);
    if (!own_rules && !at->readonly && !m->writable)
        return err_set(err, EPERM, "%s is writable", at->point);
    if (!own_rules && !at->noexec && !m->executable)
        return err_set(err, EPERM, "%s is executable", at->point);
    return 0;
}

static int prove_mounts_in(const struct confine_subject *s, const struct confine_mounted *mounts, size_t count,
                           struct err *err) {
    char unreadable[PATH_MAX] = "";
    int r = s->emptied ? 0 : confine_unreadable_target(s->plan, unreadable, err);
    size_t roots = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = prove_mount(s, &mounts[i], unreadable, err);
        roots += strcmp(mounts[i].point, "/") == 0;
    }
    if (r == 0 && roots != 1) /* one that covers the other can be reached by "/.." */
        r = err_set(err, EPERM, "it has %zu roots", roots);
    for (size_t i = 0; r == 0 && i < s->plan->n_mounts; i++) {
        const struct confine_mount *m = &s->plan->mounts[i];
        bool is_mount =
            m->kind == CONFINE_MOUNT_BIND || m->kind == CONFINE_MOUNT_TMPFS || m->kind == CONFINE_MOUNT_PROC;
        if (!is_mount || strcmp(m->target, unreadable) == 0 || (s->emptied && !m->stays))
            continue;
        bool found = false;
        for (size_t j = 0; j < count; j++)
            found = found || strcmp(mounts[j].point, m->target) == 0;
        if (!found)
            r = err_set(err, EPERM, "%s is missing in its jail", m->target);
    }
    return r;
}

/*
 * Before execve(2) the process is in its namespace's root. Later it may have changed that, if it was let: the C file
 * server does.
 */
int confine_open_view(const struct confine_subject *s, int *ret_mountinfo, int *ret_root, struct err *err) {
    if (s->executed && (s->plan->keep_capabilities & (UINT64_C(1) << CAP_SYS_CHROOT)))
        return confine_view(s->pid, ret_mountinfo, ret_root, err);
    *ret_mountinfo = openat(s->proc, "mountinfo", O_RDONLY | O_CLOEXEC);
    *ret_root = openat(s->proc, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_mountinfo < 0 || *ret_root < 0 ? err_errno_name(err, "cannot look at its mounts") : 0;
}

int confine_prove_mounts(const struct confine_subject *s, struct err *err) {
    struct confine_mounted *mounts;
    size_t count;
    _cleanup_close_ int mountinfo = -EBADF, root = -EBADF;
    int r = confine_open_view(s, &mountinfo, &root, err);
    if (r == 0)
        r = confine_list_mounts(mountinfo, &mounts, &count, err);
    if (r < 0)
        return r;
    r = count > 0 ? prove_mounts_in(s, mounts, count, err) : err_set(err, EPERM, "it has no root");
    confine_free_mounts(mounts, count);
    return r;
}

/* After the load phase: no name in the root but those that lead to what stays. */
int confine_prove_emptied(const struct confine_subject *s, struct err *err) {
    if (!s->emptied)
        return 0;
    _cleanup_close_ int mountinfo = -EBADF, root = -EBADF;
    int r = confine_open_view(s, &mountinfo, &root, err);
    if (r < 0)
        return r;
    _cleanup_closedir_ DIR *entries = fdopendir(root);
    if (!entries)
        return err_errno_name(err, "cannot list its root");
    root = -EBADF; /* the directory's now */
    for (struct dirent *e; (e = readdir(entries));) {
        bool wanted = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        for (size_t i = 0; i < s->plan->n_mounts; i++) {
            const struct confine_mount *m = &s->plan->mounts[i];
            char first[NAME_MAX + 2];
            (void)snprintf(first, sizeof first, "/%s", e->d_name);
            wanted = wanted || (m->stays && confine_is_below(m->target, first));
        }
        if (!wanted)
            return err_set(err, EPERM, "/%s is left in its root", e->d_name);
    }
    return 0;
}
