/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/cgroup/hierarchy.h"

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <string.h>

void hierarchies_done(struct hierarchies *hierarchies) {
    for (size_t i = 0; i < hierarchies->count; i++) {
        free(hierarchies->list[i].mount_point);
        free(hierarchies->list[i].controllers);
    }
    hierarchies->count = 0;
}

bool hierarchy_has(const struct hierarchy *hierarchy, const char *controller) {
    _cleanup_free_ char *word = text_format(",%s,", controller);
    return word && strstr(hierarchy->controllers, word);
}

/* mountinfo writes space, tab, newline and backslash as \ooo: proc_pid_mountinfo(5). */
static void unescape(char *text) {
    char *out = text;
    for (const char *in = text; *in;) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] && in[3]) {
            *out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
            in += 4;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

/* The n-th word of a line (from 0), its spaces turned into ends of string as it is taken apart. */
static size_t split(char *line, char **words, size_t max) {
    size_t n = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word && n < max; word = strtok_r(NULL, " ", &rest))
        words[n++] = word;
    return n;
}

static bool known(const struct hierarchies *h, const char *mount_point, const char *controllers, bool unified) {
    for (size_t i = 0; i < h->count; i++)
        if (strcmp(h->list[i].mount_point, mount_point) == 0 ||
            (h->list[i].unified == unified && strcmp(h->list[i].controllers, controllers) == 0))
            return true;
    return false;
}

/* One mountinfo line: id parent major:minor root mount-point options [fields...] - type source super-options */
static int add_line(char *line, struct hierarchies *h, struct err *err) {
    char *words[64];
    size_t n = split(line, words, ARRAY_SIZE(words));
    size_t dash = 6;
    while (dash < n && strcmp(words[dash], "-") != 0)
        dash++;
    if (n < 6 || dash + 3 >= n)
        return 0;
    const char *type = words[dash + 1];
    bool unified = strcmp(type, "cgroup2") == 0;
    /* A mount of a part of a hierarchy only would put our paths elsewhere than the engine means. */
    if ((!unified && strcmp(type, "cgroup") != 0) || strcmp(words[3], "/") != 0 || h->count == HIERARCHIES_MAX)
        return 0;
    unescape(words[4]);
    _cleanup_free_ char *controllers = unified ? strdup("") : text_format(",%s,", words[dash + 3]);
    if (controllers && known(h, words[4], controllers, unified))
        return 0;
    _cleanup_free_ char *mount_point = strdup(words[4]);
    if (!controllers || !mount_point)
        return err_set(err, ENOMEM, "out of memory");
    h->list[h->count++] = (struct hierarchy){
        .mount_point = take_ptr(mount_point), .unified = unified, .controllers = take_ptr(controllers)};
    return 0;
}

int hierarchies_parse(const char *mountinfo, struct hierarchies *ret, struct err *err) {
    _cleanup_free_ char *text = strdup(mountinfo);
    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_hierarchies_ struct hierarchies found = {0};
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int r = add_line(line, &found, err);
        if (r < 0)
            return r;
    }
    if (found.count == 0)
        return err_set(err, ENOENT, "no cgroup hierarchy is mounted on this host: mount cgroup2 on /sys/fs/cgroup");
    *ret = found;
    found.count = 0; /* moved */
    return 0;
}

int hierarchies_find(struct hierarchies *ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    int r = read_file(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, &text, NULL, err);
    return r < 0 ? r : hierarchies_parse(text, ret, err);
}

/* "a-b.slice" lies in "/a.slice/a-b.slice": systemd.slice(5). "-.slice" is the root. */
static int append_slice(struct buf *out, const char *slice) {
    if (strcmp(slice, "-.slice") == 0)
        return 0;
    for (const char *dash = strchr(slice, '-'); dash; dash = strchr(dash + 1, '-')) {
        int r = buf_append_format(out, "/%.*s.slice", (int)(dash - slice), slice);
        if (r < 0)
            return r;
    }
    return buf_append_format(out, "/%s", slice);
}

static bool leaves(const char *path) {
    for (const char *p = strstr(path, ".."); p; p = strstr(p + 2, ".."))
        if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
            return true;
    return false;
}

int cgroup_resolve(const char *path, char **ret, struct err *err) {
    if (leaves(path) || strchr(path, '\n'))
        return err_set(err, EINVAL, "linux.cgroupsPath %s leaves its hierarchy", path);
    const char *first = strchr(path, ':');
    const char *second = first ? strchr(first + 1, ':') : NULL;
    if (path[0] == '/' || !second) {
        *ret = text_format("%s%s", path[0] == '/' ? "" : "/", path);
        return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
    }
    _cleanup_free_ char *slice = first == path ? strdup("system.slice") : strndup(path, (size_t)(first - path));
    _cleanup_buf_ struct buf out = {0};
    if (!slice || append_slice(&out, slice) < 0)
        return err_set(err, ENOMEM, "out of memory");
    int prefix = (int)(second - first - 1);
    if (buf_append_format(&out, "/%.*s%s%s.scope", prefix, first + 1, prefix > 0 ? "-" : "", second + 1) < 0)
        return err_set(err, ENOMEM, "out of memory");
    const char *text = buf_string(&out);
    *ret = text ? strdup(text) : NULL;
    return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}
