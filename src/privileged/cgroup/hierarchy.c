/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the hierarchies are: from /proc/self/mountinfo (proc_pid_mountinfo(5),
 * cgroups(7)), never from a known path. And how a cgroupsPath names a cgroup in
 * them.
 */
#include "privileged/cgroup/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

enum { MOUNTINFO_MAX = 16 << 20 };

/* Super block options of a v1 mount that are no controllers: kernel/cgroup/cgroup-v1.c. */
static bool is_plain_option(const char *option) {
    static const char *const plain[] = {
        "rw", "ro", "none", "noprefix", "clone_children", "xattr", "cpuset_v2_mode", "favordynmods"};
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (strcmp(option, plain[i]) == 0)
            return true;
    return text_has_prefix(option, "release_agent=") || text_has_prefix(option, "seclabel");
}

void hierarchies_done(struct hierarchies *hierarchies) {
    for (size_t i = 0; i < hierarchies->count; i++) {
        free(hierarchies->at[i].mount);
        free(hierarchies->at[i].root);
        free(hierarchies->at[i].controllers);
    }
    *hierarchies = (struct hierarchies){0};
}

static char *controllers_of(char *options) {
    _cleanup_free_ char *list = calloc(strlen(options) + 2, 1);
    if (!list)
        return NULL;
    char *rest = NULL;
    for (char *o = strtok_r(options, ",", &rest); o; o = strtok_r(NULL, ",", &rest))
        if (!is_plain_option(o)) {
            strcat(list, list[0] ? "," : "");
            strcat(list, o);
        }
    return take_ptr(list);
}

static bool is_known(const struct hierarchies *all, const struct hierarchy *h) {
    for (size_t i = 0; i < all->count; i++)
        if (h->unified ? all->at[i].unified
                       : !all->at[i].unified && strcmp(all->at[i].controllers, h->controllers) == 0)
            return true;
    return false;
}

/* "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu" */
static int parse_line(char *line, struct hierarchies *all) {
    char *field[6] = {NULL}, *rest = NULL, *token = strtok_r(line, " ", &rest);
    for (int i = 0; token && strcmp(token, "-") != 0; i++, token = strtok_r(NULL, " ", &rest))
        if (i < 6)
            field[i] = token;
    char *type = token ? strtok_r(NULL, " ", &rest) : NULL;
    char *source = type ? strtok_r(NULL, " ", &rest) : NULL;
    char *options = source ? strtok_r(NULL, " ", &rest) : NULL;
    if (!options || !field[5])
        return -EBADMSG;
    bool unified = strcmp(type, "cgroup2") == 0;
    if (!unified && strcmp(type, "cgroup") != 0)
        return 0;
    if (strchr(field[4], '\\')) /* an escaped character: nobody mounts cgroups at such a place */
        return 0;
    struct hierarchy h = {.mount = strdup(field[4]),
                          .root = strdup(field[3]),
                          .controllers = unified ? NULL : controllers_of(options),
                          .unified = unified};
    int r = !h.mount || !h.root || (!unified && !h.controllers) ? -ENOMEM : 0;
    if (r == 0 && !is_known(all, &h)) {
        if (all->count < HIERARCHIES_MAX) {
            all->at[all->count++] = h;
            return 0;
        }
        r = -E2BIG;
    }
    free(h.mount);
    free(h.root);
    free(h.controllers);
    return r;
}

int hierarchies_parse(const char *mountinfo, struct hierarchies *ret, struct err *err) {
    _cleanup_free_ char *text = strdup(mountinfo);
    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    struct hierarchies all = {0};
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int r = parse_line(line, &all);
        if (r < 0) {
            hierarchies_done(&all);
            return err_set(err, -r, "cannot make sense of the mounted cgroup hierarchies");
        }
    }
    *ret = all;
    return 0;
}

/* The unified hierarchy says what it has in a file; blank separated there, commas here. */
static char *unified_controllers(const char *mount) {
    _cleanup_free_ char *path = text_format("%s/cgroup.controllers", mount), *text = NULL;
    if (!path || read_file(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
        return strdup("");
    text[strcspn(text, "\n")] = '\0';
    for (char *c = text; *c; c++)
        if (*c == ' ')
            *c = ',';
    return take_ptr(text);
}

int hierarchies_find(struct hierarchies *ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    int r = read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL, NULL);
    if (r < 0)
        return err_set(err, -r, "cannot read /proc/self/mountinfo (%s)", strerrorname_np(-r));
    struct hierarchies all = {0};
    r = hierarchies_parse(text, &all, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < all.count; i++)
        if (all.at[i].unified && !(all.at[i].controllers = unified_controllers(all.at[i].mount)))
            r = -ENOMEM;
    if (r < 0) {
        hierarchies_done(&all);
        return err_set(err, ENOMEM, "out of memory");
    }
    *ret = all;
    return 0;
}

bool hierarchy_has(const struct hierarchy *hierarchy, const char *controller) {
    size_t length = strlen(controller);
    for (const char *at = hierarchy->controllers; *at;) {
        size_t n = strcspn(at, ",");
        if (n == length && strncmp(at, controller, n) == 0)
            return true;
        at += n + (at[n] == ',');
    }
    return false;
}

static int append(char path[PATH_MAX], size_t *length, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int append(char path[PATH_MAX], size_t *length, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(path + *length, PATH_MAX - *length, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= PATH_MAX - *length)
        return -ENAMETOOLONG;
    *length += (size_t)n;
    return 0;
}

/* "a-b.slice" is /a.slice/a-b.slice: systemd.slice(5). "-.slice" is the root. */
static int append_slice(char path[PATH_MAX], size_t *length, const char *slice) {
    size_t stem = strlen(slice) - strlen(".slice");
    if (stem == 1 && slice[0] == '-')
        return 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i <= stem; i++) {
        if (i < stem && slice[i] != '-')
            continue;
        if (i == 0 || slice[i - 1] == '-')
            return -EINVAL;
        r = append(path, length, "/%.*s.slice", (int)i, slice);
    }
    return r;
}

static bool has_suffix(const char *text, const char *suffix) {
    size_t t = strlen(text), s = strlen(suffix);
    return t > s && strcmp(text + t - s, suffix) == 0;
}

static int resolve_systemd(const char *path, char ret[PATH_MAX]) {
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return -ENAMETOOLONG;
    char *prefix = strchr(copy, ':'), *name = prefix ? strchr(prefix + 1, ':') : NULL;
    if (!name || strchr(name + 1, ':') || strchr(copy, '/'))
        return -EINVAL;
    *prefix++ = '\0';
    *name++ = '\0';
    const char *slice = copy[0] ? copy : "system.slice";
    if (!*name || !has_suffix(slice, ".slice"))
        return -EINVAL;
    size_t length = 0;
    int r = append_slice(ret, &length, slice);
    if (r < 0)
        return r;
    if (has_suffix(name, ".slice"))
        return append_slice(ret, &length, name);
    return *prefix ? append(ret, &length, "/%s-%s.scope", prefix, name) : append(ret, &length, "/%s.scope", name);
}

/* Must name a cgroup below the root: nobody's processes are killed because of a path that is too short. */
static bool is_proper(const char *path) {
    bool any = false;
    for (const char *part = path; *part;) {
        size_t n = strcspn(part, "/");
        if ((n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.') || n > NAME_MAX)
            return false;
        any = any || n > 0;
        part += n + (part[n] == '/');
    }
    return any;
}

int cgroup_resolve(const char *path, char ret[PATH_MAX], struct err *err) {
    char resolved[PATH_MAX] = "";
    int r;
    if (path[0] != '/' && strchr(path, ':'))
        r = resolve_systemd(path, resolved);
    else
        r = snprintf(resolved, sizeof resolved, "%s%s", path[0] == '/' ? "" : "/", path) >= (int)sizeof resolved
                ? -ENAMETOOLONG
                : 0;
    if (r < 0 || !is_proper(resolved))
        return err_set(err, EINVAL, "the cgroup path \"%s\" is neither a path below the root nor slice:prefix:name",
                       path);
    (void)snprintf(ret, PATH_MAX, "%s", resolved);
    return 0;
}

bool cgroup_path_is_systemd(const char *path) {
    char resolved[PATH_MAX];
    return path[0] != '/' && strchr(path, ':') && cgroup_resolve(path, resolved, NULL) == 0;
}

int hierarchy_open(const struct hierarchy *hierarchy, const char *path) {
    char full[2 * PATH_MAX];
    /* Only a part is mounted: a path that starts with that part's name means the same cgroup. */
    size_t root = strlen(hierarchy->root);
    if (root > 1 && strncmp(path, hierarchy->root, root) == 0 && (path[root] == '/' || path[root] == '\0'))
        path += root;
    if (snprintf(full, sizeof full, "%s%s", hierarchy->mount, path) >= (int)sizeof full)
        return -ENAMETOOLONG;
    int fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}
