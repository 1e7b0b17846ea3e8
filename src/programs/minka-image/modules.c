/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/modules.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each group is asked for by the host: on the kernel's command line, or when a container's plan needs it. */
const struct module_group module_groups[] = {
    {"blk", false, {"virtio_blk"}},
    {"console", true, {"virtio_console"}},          /* the agent's channel */
    {"erofs", false, {"?crc32c_generic", "erofs"}}, /* checksums are found by algorithm and not by symbol */
    {"ext4", false, {"?crc32c_generic", "ext4"}},
    {"fuse", false, {"fuse"}},
    {"loop", false, {"loop"}},
    {"mmio", true, {"virtio_mmio"}}, /* the bus of microvm */
    {"net", true, {"virtio_net"}},
    {"overlay", false, {"overlay"}},
    {"pci", false, {"virtio_pci"}}, /* the bus of q35 */
    {"rng", false, {"virtio-rng"}},
    {"squashfs", false, {"squashfs"}},
    {"tun", false, {"tun"}},
    {"virtiofs", true, {"virtiofs"}}, /* the container's files */
};
const size_t n_module_groups = ARRAY_SIZE(module_groups);

void module_set_done(struct module_set *set) {
    for (size_t i = 0; i < set->count; i++)
        free(set->paths[i]);
    free(set->paths);
    buf_done(&set->list);
    buf_done(&set->groups);
    buf_done(&set->notes);
    *set = (struct module_set){0};
}

/* The length of the name in a path without directory and suffix, from *name on; 0 when it is no module's path. */
static size_t bare_name(const char *path, size_t length, const char **name) {
    const char *slash = memrchr(path, '/', length);
    const char *base = slash ? slash + 1 : path;
    const char *suffix = memmem(base, (size_t)(path + length - base), ".ko", 3);
    if (!suffix)
        return 0;
    *name = base;
    return (size_t)(suffix - base);
}

char *module_file_name(const char *path) {
    const char *name;
    size_t length = bare_name(path, strlen(path), &name);
    return length > 0 ? strndup(name, length + 3) : NULL;
}

/* In the names of modules - and _ are one: init_module(2) turns the one into the other. */
static bool same_name(const char *a, size_t length, const char *b) {
    if (strlen(b) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((a[i] == '-' ? '_' : a[i]) != (b[i] == '-' ? '_' : b[i]))
            return false;
    return true;
}

/* The line of a text whose first word is the path of this module; its length without the newline. */
static const char *find_line(const char *text, const char *module, size_t *ret_length) {
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n"), word = strcspn(line, ":\n");
        const char *name;
        size_t n = bare_name(line, word, &name);
        if (n > 0 && same_name(name, n, module)) {
            *ret_length = length;
            return line;
        }
        line += length + (line[length] == '\n');
    }
    return NULL;
}

struct resolver {
    const char *dep, *builtin;
    struct module_set *set;
    bool chosen[MODULES_MAX]; /* by index into set->paths: already in this group's line */
    struct buf line;
};

static int take_path(struct resolver *r, const char *path, size_t length, size_t *ret_index, struct err *err) {
    for (size_t i = 0; i < r->set->count; i++)
        if (strncmp(r->set->paths[i], path, length) == 0 && r->set->paths[i][length] == '\0') {
            *ret_index = i;
            return 0;
        }
    if (r->set->count == MODULES_MAX)
        return err_set(err, E2BIG, "the guest would need more than %d modules", MODULES_MAX);
    if (path[0] == '/' || memmem(path, length, "..", 2))
        return err_set(err, EBADMSG, "modules.dep has a path that leaves its directory: %.*s", (int)length, path);
    char **grown = reallocarray(r->set->paths, r->set->count + 1, sizeof *grown);
    if (!grown)
        return err_set(err, ENOMEM, "out of memory");
    r->set->paths = grown;
    grown[r->set->count] = strndup(path, length);
    if (!grown[r->set->count])
        return err_set(err, ENOMEM, "out of memory");
    *ret_index = r->set->count++;
    return 0;
}

static int put_module(struct resolver *r, const char *path, size_t length, struct err *err) {
    size_t index = 0;
    int error = take_path(r, path, length, &index, err);
    if (error < 0 || r->chosen[index])
        return error;
    _cleanup_free_ char *file = module_file_name(r->set->paths[index]);
    if (!file || buf_append_format(&r->line, " %s", file) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r->chosen[index] = true;
    return 0;
}

/*
 * A line of modules.dep, "M: A B C", names all that M needs, directly or not, so that C must come before B, B before
 * A and A before M: modprobe walks it backwards, and so do we. (Thus virtio_ring comes before virtio.)
 */
static int put_line(struct resolver *r, const char *line, size_t length, struct err *err) {
    size_t module = strcspn(line, ":\n");
    for (size_t end = length; end > module + 1;) {
        size_t begin = end;
        while (begin > module + 1 && line[begin - 1] != ' ')
            begin--;
        const char *name;
        if (end > begin && bare_name(line + begin, end - begin, &name) == 0)
            return err_set(err, EBADMSG, "modules.dep needs %.*s, which is no module", (int)(end - begin),
                           line + begin);
        int error = end > begin ? put_module(r, line + begin, end - begin, err) : 0;
        if (error < 0)
            return error;
        end = begin > module + 1 ? begin - 1 : module + 1;
    }
    return put_module(r, line, module, err);
}

/* 0, -ENOENT when the kernel does not have it, or another error. */
static int put_name(struct resolver *r, const char *module, struct err *err) {
    size_t length;
    if (find_line(r->builtin, module, &length))
        return 0;
    const char *line = find_line(r->dep, module, &length);
    return line ? put_line(r, line, length, err) : -ENOENT;
}

/* 1 when the group is complete, 0 when it had to be left out. */
static int put_group(struct resolver *r, const struct module_group *group, const char *release, struct err *err) {
    size_t before = r->set->count;
    memset(r->chosen, 0, sizeof r->chosen);
    buf_consume(&r->line, r->line.length);
    for (size_t i = 0; i < ARRAY_SIZE(group->modules) && group->modules[i]; i++) {
        bool optional = group->modules[i][0] == '?';
        const char *module = group->modules[i] + optional;
        int error = put_name(r, module, err);
        if (error == 0 || (error == -ENOENT && optional))
            continue;
        if (error != -ENOENT)
            return error;
        if (group->required)
            return err_set(err, ENOENT, "kernel %s cannot run in a guest: it has no module %s (group %s)", release,
                           module, group->name);
        while (r->set->count > before)
            free(r->set->paths[--r->set->count]);
        if (buf_append_format(&r->set->notes, "kernel %s has no module %s: guests will be without %s\n", release,
                              module, group->name) < 0)
            return err_set(err, ENOMEM, "out of memory");
        return 0;
    }
    return 1;
}

int modules_resolve(const char *dep, const char *builtin, const char *release, const struct module_group *groups,
                    size_t n_groups, struct module_set *ret, struct err *err) {
    _cleanup_module_set_ struct module_set set = {0};
    struct resolver resolver = {.dep = dep, .builtin = builtin, .set = &set};
    int r = 0;

    for (size_t i = 0; i < n_groups && r >= 0; i++) {
        r = put_group(&resolver, &groups[i], release, err);
        if (r <= 0)
            continue;
        if (buf_append_string(&set.list, groups[i].name) < 0 ||
            (resolver.line.length && buf_append(&set.list, resolver.line.data, resolver.line.length) < 0) ||
            buf_append_string(&set.list, "\n") < 0 ||
            buf_append_format(&set.groups, "%s%s", set.groups.length ? "," : "", groups[i].name) < 0)
            r = err_set(err, ENOMEM, "out of memory");
    }
    buf_done(&resolver.line);
    if (r < 0)
        return r;
    *ret = set;
    set = (struct module_set){0};
    return 0;
}
