/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of a process, as its mountinfo tells them: proc_pid_mountinfo(5). */
#include "privileged/confine/internal.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <string.h>

enum { MOUNTINFO_MAX = 16 << 20 };

void confine_free_mounts(struct confine_mounted *mounts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(mounts[i].point);
        free(mounts[i].type);
    }
    free(mounts);
}

/* Space, tab, line break and backslash are written as \ooo. In place. */
static void unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from;) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
            from[3] <= '7') {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

static bool has_option(const char *options, const char *name) {
    size_t length = strlen(name);
    for (const char *at = options; *at;) {
        size_t n = strcspn(at, ",");
        if (n == length && strncmp(at, name, n) == 0)
            return true;
        at += n + (at[n] == ',');
    }
    return false;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
static int parse_line(char *line, struct confine_mounted *ret) {
    char *rest = NULL, *field = strtok_r(line, " ", &rest);
    char *point = NULL, *options = NULL;
    uint64_t id = 0;
    if (!field || parse_u64(field, &id) < 0)
        return -EBADMSG;
    for (int i = 0; field && strcmp(field, "-") != 0; i++, field = strtok_r(NULL, " ", &rest)) {
        if (i == 4)
            point = field;
        if (i == 5)
            options = field;
    }
    char *type = field ? strtok_r(NULL, " ", &rest) : NULL;
    if (!options || !type)
        return -EBADMSG;
    unescape(point);
    *ret = (struct confine_mounted){
        .id = id,
        .point = strdup(point),
        .type = strdup(type),
        .readonly = has_option(options, "ro"),
        .nosuid = has_option(options, "nosuid"),
        .nodev = has_option(options, "nodev"),
        .noexec = has_option(options, "noexec"),
    };
    if (ret->point && ret->type)
        return 0;
    free(ret->point);
    free(ret->type);
    return -ENOMEM;
}

int confine_list_mounts(int mountinfo, struct confine_mounted **ret, size_t *ret_count, struct err *err) {
    _cleanup_buf_ struct buf content = {0};
    for (;;) {
        if (content.length > MOUNTINFO_MAX || buf_reserve(&content, 65536) < 0)
            return err_set(err, ENOMEM, "the process has too many mounts");
        ssize_t n = read(mountinfo, content.data + content.length, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno_name(err, "cannot read the mounts of the process");
        if (n == 0)
            break;
        content.length += (size_t)n;
    }
    int r = 0;
    if (!buf_string(&content))
        return err_set(err, ENOMEM, "out of memory");
    char *text = (char *)content.data;
    size_t lines = 0, count = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    struct confine_mounted *mounts = calloc(lines + 1, sizeof *mounts);
    if (!mounts)
        return err_set(err, ENOMEM, "out of memory");
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line && count < lines; line = strtok_r(NULL, "\n", &rest)) {
        r = parse_line(line, &mounts[count]);
        if (r < 0) {
            confine_free_mounts(mounts, count);
            return err_set(err, -r, "cannot make sense of the mounts of the process");
        }
        count++;
    }
    *ret = mounts;
    *ret_count = count;
    return 0;
}
