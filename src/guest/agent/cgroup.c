/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers' cgroups in the guest: version 2, MOUNT/ID (id_to_cgroup()). The agent stays in the root cgroup, which
 * may have processes beside controllers (cgroups(7), "no internal processes"). No level between, because each costs as
 * much as the container's own at its start.
 */
#include "guest/agent/device_program.h"
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static const char *mount_point = "/sys/fs/cgroup";

void cgroup_set_mount_point(const char *path) {
    mount_point = path;
}

static int open_root(void) {
    int fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int container_cgroup_open(const char *container_id) {
    if (!id_is_valid(container_id))
        return -EINVAL;
    _cleanup_close_ int root = open_root();
    if (root < 0)
        return root;
    char name[ID_CGROUP_SIZE];
    int fd = openat(root, id_to_cgroup(container_id, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* ---- at boot ---- */

/* All at once, since each write walks every cgroup; one by one if the kernel refuses that, so that a controller that
 * cannot be delegated does not keep the others away. */
static void enable_controllers(int dir) {
    _cleanup_free_ char *available = NULL;
    if (read_file(dir, "cgroup.controllers", 4096, &available, NULL, NULL) < 0)
        return;
    char all[4096] = "";
    size_t length = 0;
    for (const char *name = available; *(name += strspn(name, " \n")); name += strcspn(name, " \n")) {
        int n = snprintf(all + length, sizeof all - length, "+%.*s ", (int)strcspn(name, " \n"), name);
        if (n < 0 || (size_t)n >= sizeof all - length)
            break;
        length += (size_t)n;
    }
    if (write_kernel_file(dir, "cgroup.subtree_control", all) == 0)
        return;
    char *rest = all;
    for (char *command; (command = strsep(&rest, " "));)
        if (*command)
            (void)write_kernel_file(dir, "cgroup.subtree_control", command);
}

int container_cgroup_setup(struct err *err) {
    struct statfs fs;
    if (statfs(mount_point, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
        if (mount("cgroup2", mount_point, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
            return err_errno(err, "cannot mount the cgroup file system on %s", mount_point);
    }
    _cleanup_close_ int root = open_root();
    if (root < 0)
        return err_set(err, -root, "cannot open the cgroup file system on %s", mount_point);
    enable_controllers(root);
    return 0;
}

/* ---- settings ---- */

static int set_one(int dir, const Minka__Plan__V1__CgroupSetting *setting, struct err *err) {
    if (strchr(setting->file, '/') || text_has_prefix(setting->file, "cgroup.procs") ||
        text_has_prefix(setting->file, "cgroup.threads"))
        return err_set(err, EINVAL, "'%s' is not a cgroup setting", setting->file);
    /* O_NONBLOCK: newer kernels then leave it to others to reclaim memory above a new limit (memory.max). */
    _cleanup_close_ int fd = openat(dir, setting->file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        if (setting->optional || strcmp(setting->value, "max") == 0)
            return 0; /* without a controller nothing is limited */
        return err_set(err, EOPNOTSUPP, "the guest's kernel cannot limit %s: it has no such cgroup setting",
                       setting->file);
    }
    if (fd < 0 || write(fd, setting->value, strlen(setting->value)) < 0)
        return err_errno(err, "cannot set the cgroup's %s to '%s'", setting->file, setting->value);
    return 0;
}

static int apply(int dir, const Minka__Plan__V1__Cgroup *cgroup, struct err *err) {
    for (size_t i = 0; i < cgroup->n_settings; i++) {
        int r = set_one(dir, cgroup->settings[i], err);
        if (r < 0)
            return r;
    }
    return cgroup->device_program.len
               ? device_program_attach(dir, cgroup->device_program.data, cgroup->device_program.len, err)
               : 0;
}

int container_cgroup_apply(const char *container_id, const Minka__Plan__V1__Cgroup *cgroup, struct err *err) {
    if (!cgroup)
        return 0;
    _cleanup_close_ int dir = container_cgroup_open(container_id);
    if (dir < 0)
        return err_set(err, -dir, "the container %s has no cgroup in the guest", container_id);
    return apply(dir, cgroup, err);
}

/* ---- where a new process belongs ---- */

static int open_place(int dir, struct cgroup_place *ret, struct err *err) {
    int processes = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (processes < 0)
        return err_errno(err, "cannot open the container's cgroup");
    *ret = (struct cgroup_place){.directory = dir, .processes = processes};
    return 0;
}

int cgroup_create(const char *container_id, const Minka__Plan__V1__Cgroup *cgroup, struct cgroup_place *ret,
                  struct err *err) {
    char name[ID_CGROUP_SIZE];
    _cleanup_close_ int root = open_root();
    if (!id_is_valid(container_id))
        return err_set(err, EINVAL, "'%s' is not a container id", container_id);
    if (root < 0 || mkdirat(root, id_to_cgroup(container_id, name), 0755) < 0)
        return err_errno(err, "cannot create the container's cgroup");
    _cleanup_close_ int dir = container_cgroup_open(container_id);
    if (dir < 0)
        return err_set(err, -dir, "cannot open the container's cgroup (error %d)", -dir);
    int r = cgroup ? apply(dir, cgroup, err) : 0;
    if (r == 0)
        r = open_place(dir, ret, err);
    if (r == 0)
        (void)take_fd(&dir); /* it is in *ret */
    return r;
}

/* "0::/ID/below" -> "ID/below"; NULL when pid is not there. */
static char *cgroup_of(pid_t pid, const char *container_id) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    _cleanup_free_ char *text = NULL;
    if (read_file(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0)
        return NULL;
    char name[ID_CGROUP_SIZE];
    _cleanup_free_ char *prefix = text_format("/%s", id_to_cgroup(container_id, name));
    char *rest = text;
    for (char *line; prefix && (line = strsep(&rest, "\n"));) {
        if (!text_has_prefix(line, "0::") || !text_has_prefix(line + 3, prefix))
            continue;
        char next = line[3 + strlen(prefix)];
        return next == '\0' || next == '/' ? strdup(line + 3 + strlen("/")) : NULL;
    }
    return NULL;
}

/* A cgroup that hands controllers on to others below it takes no processes itself. */
static bool takes_processes(int dir) {
    _cleanup_free_ char *enabled = NULL;
    return read_file(dir, "cgroup.subtree_control", 4096, &enabled, NULL, NULL) < 0 || !*enabled ||
           strcmp(enabled, "\n") == 0;
}

int cgroup_find(const char *container_id, pid_t init_pid, struct cgroup_place *ret, struct err *err) {
    _cleanup_close_ int dir = container_cgroup_open(container_id);
    if (dir < 0)
        return err_set(err, -dir, "the container %s has no cgroup in the guest", container_id);
    if (!takes_processes(dir)) {
        _cleanup_free_ char *path = cgroup_of(init_pid, container_id);
        _cleanup_close_ int root = open_root();
        /* The cgroup tree has no links, and no names with dots in it are followed upwards. */
        int below = path && root >= 0 ? open_in_root(root, path, O_RDONLY | O_DIRECTORY, 0) : -ESRCH;
        if (below < 0)
            return err_set(err, ESRCH, "cannot find the cgroup of the container's process");
        close_fd(&dir);
        dir = below;
    }
    int r = open_place(dir, ret, err);
    if (r == 0)
        (void)take_fd(&dir);
    return r;
}

/* ---- freeze, kill, remove ---- */

int container_cgroup_freeze(const char *container_id, bool freeze, struct err *err) {
    _cleanup_close_ int dir = container_cgroup_open(container_id);
    if (dir < 0)
        return err_set(err, -dir, "the container %s has no cgroup in the guest", container_id);
    int r = write_kernel_file(dir, "cgroup.freeze", freeze ? "1" : "0");
    if (r < 0)
        return err_set(err, -r, "cannot %s the container %s (error %d)", freeze ? "pause" : "resume", container_id, -r);
    return 0;
}

typedef int cgroup_fn(int dir, unsigned depth);

/* fn for every cgroup below dir. */
static int each_child(int dir, unsigned depth, bool remove, cgroup_fn *fn) {
    _cleanup_close_ int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = again < 0 ? NULL : fdopendir(again);
    if (!entries || depth > 64)
        return -EBUSY;
    (void)take_fd(&again);
    int first = 0;
    for (const struct dirent *e; (e = readdir(entries));) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        _cleanup_close_ int child = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r = child < 0 ? -errno : fn(child, depth + 1);
        if (r == 0 && remove && unlinkat(dir, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            r = -errno;
        if (r < 0 && first == 0)
            first = r;
    }
    return first;
}

static int kill_processes(int dir, unsigned depth) {
    _cleanup_free_ char *list = NULL;
    int r = read_file(dir, "cgroup.procs", 1 << 20, &list, NULL, NULL);
    char *rest = list;
    for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
        uint64_t pid;
        if (parse_u64(line, &pid) == 0 && pid > 1 && pid < INT32_MAX)
            (void)kill((pid_t)pid, SIGKILL);
    }
    int below = each_child(dir, depth, false, kill_processes);
    return r < 0 ? r : below;
}

int container_cgroup_kill(const char *container_id) {
    _cleanup_close_ int dir = container_cgroup_open(container_id);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    int r = write_kernel_file(dir, "cgroup.kill", "1"); /* from Linux 5.14 */
    return r == -ENOENT ? kill_processes(dir, 0) : r;
}

static int remove_children(int dir, unsigned depth) {
    return each_child(dir, depth, true, remove_children);
}

int container_cgroup_remove(const char *container_id) {
    char name[ID_CGROUP_SIZE];
    _cleanup_close_ int dir = container_cgroup_open(container_id);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    _cleanup_close_ int root = open_root();
    int r = root < 0 ? root : remove_children(dir, 0);
    if (r == 0 && unlinkat(root, id_to_cgroup(container_id, name), AT_REMOVEDIR) < 0 && errno != ENOENT)
        r = -errno;
    return r;
}
