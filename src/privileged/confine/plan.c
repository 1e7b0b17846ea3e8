/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: making, checking and printing it. Nothing here acts. */
#include "privileged/confine/confine.h"

#include "privileged/confine/internal.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <cap-ng.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>

void confine_plan_init(struct confine_plan *plan, const char *role, uid_t uid, gid_t gid) {
    *plan = (struct confine_plan){
        .role = role,
        .uid = uid,
        .gid = gid,
        .pid_namespace_of = -EBADF,
        .net_namespace_fd = -EBADF,
        .controlling_terminal = -EBADF,
        .executable_fd = -EBADF,
        .cgroup_fd = -EBADF,
    };
    for (size_t i = 0; i < CONFINE_MOUNTS_MAX; i++)
        plan->mounts[i].source_fd = -EBADF;
}

void confine_plan_add_fd(struct confine_plan *plan, int fd, int number) {
    if (plan->n_fds == CONFINE_FDS_MAX)
        abort();
    plan->fds[plan->n_fds++] = (struct confine_fd){.fd = fd, .number = number};
}

struct confine_mount *confine_plan_add_mount(struct confine_plan *plan, enum confine_mount_kind kind,
                                             const char *source, const char *target) {
    if (plan->n_mounts == CONFINE_MOUNTS_MAX)
        abort();
    struct confine_mount *m = &plan->mounts[plan->n_mounts++];
    *m = (struct confine_mount){.kind = kind, .source = source, .source_fd = -EBADF, .target = target};
    return m;
}

struct confine_holding *confine_plan_may_hold(struct confine_plan *plan, enum confine_holding_kind kind,
                                              const char *name, unsigned most, unsigned access) {
    if (plan->n_holdings == CONFINE_HOLDINGS_MAX)
        abort();
    struct confine_holding *h = &plan->holdings[plan->n_holdings++];
    *h = (struct confine_holding){.kind = kind, .access = access, .most = most, .name = name};
    return h;
}

bool confine_map_inside(const struct confine_plan *plan, uint32_t outside, uint32_t *ret_inside) {
    for (size_t i = 0; i < plan->n_maps; i++) {
        const struct confine_id_map *m = &plan->maps[i];
        if (outside - m->outside < m->count) {
            *ret_inside = m->inside + (outside - m->outside);
            return true;
        }
    }
    return false;
}

/* Whether both maps of this process's user namespace have the id. */
static bool is_mapped_here(uint32_t id) {
    static const char *const maps[] = {"/proc/self/uid_map", "/proc/self/gid_map"};
    for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
        _cleanup_free_ char *text = NULL;
        if (read_file(AT_FDCWD, maps[i], 65536, &text, NULL, NULL) < 0)
            return false;
        bool found = false;
        unsigned inside, outside, count;
        int used = 0;
        for (const char *at = text; sscanf(at, " %u %u %u%n", &inside, &outside, &count, &used) == 3; at += used)
            found = found || id - inside < count;
        if (!found)
            return false;
    }
    return true;
}

bool confine_stranger(const struct confine_plan *plan, uint32_t *ret_id) {
    uint32_t inside;
    *ret_id = 0;
    if (!plan->user_namespace)
        return true;
    for (size_t i = 0; i < plan->n_maps; i++) {
        uint32_t next = plan->maps[i].outside + plan->maps[i].count;
        if (!confine_map_inside(plan, next, &inside) && is_mapped_here(next)) {
            *ret_id = next;
            return true;
        }
    }
    return false;
}

bool confine_groups_denied(void) {
    _cleanup_free_ char *text = NULL;
    return read_file(AT_FDCWD, "/proc/self/setgroups", 64, &text, NULL, NULL) == 0 && strcmp(text, "deny\n") == 0;
}

/* Absolute, without "." and ".." components: targets are walked without following symlinks. */
static bool target_is_valid(const char *target) {
    if (!target || target[0] != '/' || !target[1] || strlen(target) >= PATH_MAX)
        return false;
    for (const char *part = target; *part;) {
        size_t length = strcspn(++part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += length;
    }
    return true;
}

static int check_mounts(const struct confine_plan *plan, struct err *err) {
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct confine_mount *m = &plan->mounts[i];
        if (!target_is_valid(m->target))
            return err_set(err, EINVAL, "\"%s\" is no absolute path without . and ..", m->target ? m->target : "");
        bool needs_source = m->kind == CONFINE_MOUNT_SYMLINK || (m->kind == CONFINE_MOUNT_BIND && m->source_fd < 0);
        if (needs_source && !m->source)
            return err_set(err, EINVAL, "the mount at %s has no source", m->target);
    }
    return 0;
}

static int check_fds(const struct confine_plan *plan, struct err *err) {
    for (size_t i = 0; i < plan->n_fds; i++) {
        if (plan->fds[i].fd < 0 || plan->fds[i].number < 0 || plan->fds[i].number > 1023)
            return err_set(err, EBADF, "descriptor %d cannot become number %d", plan->fds[i].fd, plan->fds[i].number);
        for (size_t j = 0; j < i; j++)
            if (plan->fds[j].number == plan->fds[i].number)
                return err_set(err, EINVAL, "two descriptors are to be number %d", plan->fds[i].number);
    }
    return 0;
}

static int check_identity(const struct confine_plan *plan, struct err *err) {
    uint32_t inside;
    if (plan->keep_capabilities && !plan->user_namespace)
        return err_set(err, EINVAL, "capabilities may be kept in an own user namespace only");
    if (!plan->user_namespace)
        return 0;
    if (plan->n_maps == 0 || plan->n_maps > CONFINE_MAPS_MAX)
        return err_set(err, EINVAL, "a user namespace needs 1 to %d maps", CONFINE_MAPS_MAX);
    if (!confine_map_inside(plan, plan->uid, &inside) || inside != plan->user_namespace_uid)
        return err_set(err, EINVAL, "uid %u is not %u in the user namespace", plan->uid, plan->user_namespace_uid);
    if (!confine_map_inside(plan, plan->gid, &inside))
        return err_set(err, EINVAL, "gid %u is not mapped in the user namespace", plan->gid);
    return 0;
}

int confine_plan_check(const struct confine_plan *plan, struct err *err) {
    int r = check_identity(plan, err);
    if (r == 0)
        r = check_mounts(plan, err);
    if (r == 0)
        r = check_fds(plan, err);
    if (r < 0)
        return r;
    if (plan->pid_namespace != CONFINE_PID_NEW && plan->pid_namespace_of < 0)
        return err_set(err, EINVAL, "no process whose pid namespace it shall be in");
    if (plan->net_namespace == CONFINE_NET_JOIN && plan->net_namespace_fd < 0)
        return err_set(err, EINVAL, "no network namespace to join");
    if (!plan->executable == (plan->executable_fd < 0) || !plan->argv || !plan->argv[0] || !plan->envp)
        return err_set(err, EINVAL, "there must be one executable, its arguments and its environment");
    if (plan->controlling_terminal >= 0 && !plan->session_leader)
        return err_set(err, EINVAL, "only a session leader can have a controlling terminal");
    return 0;
}

/* The text of PT_INTERP: elf(5). "" when there is none. */
static int read_interpreter(int fd, char ret[PATH_MAX]) {
    Elf64_Ehdr header;
    if (pread(fd, &header, sizeof header, 0) != sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr))
        return -ENOEXEC;
    ret[0] = '\0';
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        if (pread(fd, &segment, sizeof segment, (off_t)(header.e_phoff + i * sizeof segment)) != sizeof segment)
            return -ENOEXEC;
        if (segment.p_type != PT_INTERP)
            continue;
        size_t length = segment.p_filesz;
        if (length < 2 || length > PATH_MAX || pread(fd, ret, length, (off_t)segment.p_offset) != (ssize_t)length ||
            ret[length - 1] != '\0' || !target_is_valid(ret))
            return -ENOEXEC;
        return 0;
    }
    return 0;
}

static const struct confine_mount *find_mount(const struct confine_plan *plan, const char *target) {
    for (size_t i = 0; i < plan->n_mounts; i++)
        if (plan->mounts[i].kind == CONFINE_MOUNT_BIND && strcmp(plan->mounts[i].target, target) == 0)
            return &plan->mounts[i];
    return NULL;
}

int confine_unreadable_target(const struct confine_plan *plan, char ret[PATH_MAX], struct err *err) {
    ret[0] = '\0';
    if (!plan->executable)
        return 0;
    const struct confine_mount *m = find_mount(plan, plan->executable);
    if (!m || !m->source)
        return err_set(err, EINVAL, "%s is not among the files of its jail", plan->executable);
    _cleanup_close_ int fd = open(m->source, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_errno_name(err, "cannot open %s", m->source);
    char interpreter[PATH_MAX];
    int r = read_interpreter(fd, interpreter);
    if (r < 0)
        return err_set(err, -r, "%s is not a 64-bit ELF program", m->source);
    if (interpreter[0] && !find_mount(plan, interpreter))
        return err_set(err, EINVAL, "%s, the interpreter of %s, is not among the files of its jail", interpreter,
                       m->source);
    (void)snprintf(ret, PATH_MAX, "%s", interpreter[0] ? interpreter : plan->executable);
    return 0;
}

const char *confine_mount_kind_text(enum confine_mount_kind kind) {
    static const char *const names[] = {
        [CONFINE_MOUNT_BIND] = "bind", [CONFINE_MOUNT_NODE] = "node",   [CONFINE_MOUNT_SYMLINK] = "symlink",
        [CONFINE_MOUNT_DIR] = "dir",   [CONFINE_MOUNT_TMPFS] = "tmpfs", [CONFINE_MOUNT_PROC] = "proc",
    };
    return names[kind];
}

static int print_identity(const struct confine_plan *plan, struct buf *ret) {
    int r = buf_append_format(ret, "role %s\nuid %u\ngid %u\n", plan->role, plan->uid, plan->gid);
    for (unsigned c = 0; r == 0 && c < 64; c++) {
        const char *name = plan->keep_capabilities & (UINT64_C(1) << c) ? capng_capability_to_name(c) : NULL;
        if (name)
            r = buf_append_format(ret, "capability %s%s\n", name, plan->ambient ? " ambient" : "");
    }
    if (r == 0 && plan->securebits)
        r = buf_append_format(ret, "securebits 0x%lx\n", plan->securebits);
    return r;
}

static int print_namespaces(const struct confine_plan *plan, struct buf *ret) {
    static const char *const pid[] = {
        [CONFINE_PID_NEW] = "new", [CONFINE_PID_JOIN] = "join", [CONFINE_PID_NEW_INSIDE] = "new inside"};
    int r = buf_append_format(ret,
                              "namespace mount new\nnamespace ipc new\nnamespace uts new\nnamespace cgroup new\n"
                              "namespace pid %s\nnamespace net %s\n",
                              pid[plan->pid_namespace], plan->net_namespace == CONFINE_NET_NEW ? "new" : "join");
    if (r < 0 || !plan->user_namespace)
        return r;
    r = buf_append_format(ret, "namespace user new, as %u\n", plan->user_namespace_uid);
    for (size_t i = 0; r == 0 && i < plan->n_maps; i++)
        r = buf_append_format(ret, "map %u %u %u\n", plan->maps[i].inside, plan->maps[i].outside, plan->maps[i].count);
    return r;
}

static int print_mount(const struct confine_mount *m, struct buf *ret) {
    int r = buf_append_format(ret, "mount %s %s", confine_mount_kind_text(m->kind), m->target);
    if (r == 0 && m->kind == CONFINE_MOUNT_BIND && m->source_fd >= 0)
        r = buf_append_string(ret, " from a tree");
    else if (r == 0 && m->source)
        r = buf_append_format(ret, " from %s", m->source);
    if (r < 0)
        return r;
    return buf_append_format(ret, "%s%s%s%s\n", m->writable ? " writable" : "", m->executable ? " executable" : "",
                             m->recursive ? " recursive" : "", m->stays ? " stays" : "");
}

static int print_holding(const struct confine_holding *h, struct buf *ret) {
    int r = buf_append_format(ret, "may hold ");
    if (r == 0)
        r = h->most ? buf_append_format(ret, "%u ", h->most) : buf_append_string(ret, "any number of ");
    return r < 0 ? r
                 : buf_append_format(ret, "%s%s%s for %s\n", confine_holding_text(h->kind), h->name ? " " : "",
                                     h->name ? h->name : "", confine_access_text(h->access));
}

static int print_resources(const struct confine_plan *plan, struct buf *ret) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < plan->n_fds; i++)
        r = buf_append_format(ret, "fd %d\n", plan->fds[i].number);
    for (size_t i = 0; r == 0 && i < plan->n_holdings; i++)
        r = print_holding(&plan->holdings[i], ret);
    for (size_t i = 0; r == 0 && i < plan->n_rlimits; i++)
        r = buf_append_format(ret, "rlimit %d %llu %llu\n", plan->rlimits[i].resource,
                              (unsigned long long)plan->rlimits[i].limit.rlim_cur,
                              (unsigned long long)plan->rlimits[i].limit.rlim_max);
    if (r == 0 && plan->session_leader)
        r = buf_append_format(ret, "session leader%s\n", plan->controlling_terminal >= 0 ? " with a terminal" : "");
    if (r == 0 && plan->signals_blocked)
        r = buf_append_format(ret, "signals blocked\n");
    if (r == 0 && plan->filter)
        r = buf_append_format(ret, "filter %s\n", plan->filter->name);
    return r;
}

int confine_plan_print(const struct confine_plan *plan, struct buf *ret) {
    int r = print_identity(plan, ret);
    if (r == 0)
        r = print_namespaces(plan, ret);
    for (size_t i = 0; r == 0 && i < plan->n_mounts; i++)
        r = print_mount(&plan->mounts[i], ret);
    if (r == 0)
        r = print_resources(plan, ret);
    if (r == 0)
        r = buf_append_format(ret, "execute %s\n",
                              plan->executable ? plan->executable : "a static program by descriptor");
    for (char *const *a = plan->argv; r == 0 && a && *a; a++)
        r = buf_append_format(ret, "argument %s\n", *a);
    for (char *const *e = plan->envp; r == 0 && e && *e; e++)
        r = buf_append_format(ret, "environment %s\n", *e);
    return r;
}
