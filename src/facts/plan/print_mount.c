/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <inttypes.h>

struct flag_name {
    uint64_t flag;
    const char *name;
};

static const struct flag_name mount_flags[] = {
    {MS_BIND | MS_REC, "rbind"},
    {MS_BIND, "bind"},
    {MS_RDONLY, "ro"},
    {MS_NOSUID, "nosuid"},
    {MS_NODEV, "nodev"},
    {MS_NOEXEC, "noexec"},
    {MS_SYNCHRONOUS, "sync"},
    {MS_DIRSYNC, "dirsync"},
    {MS_REMOUNT, "remount"},
    {MS_MANDLOCK, "mand"},
    {MS_NOATIME, "noatime"},
    {MS_NODIRATIME, "nodiratime"},
    {MS_RELATIME, "relatime"},
    {MS_STRICTATIME, "strictatime"},
    {MS_LAZYTIME, "lazytime"},
    {MS_I_VERSION, "iversion"},
    {MS_POSIXACL, "acl"},
    {MS_SILENT, "silent"},
    {MS_NOSYMFOLLOW, "nosymfollow"},
};

static const struct flag_name propagations[] = {
    {MS_SHARED | MS_REC, "rshared"},         {MS_SHARED, "shared"},
    {MS_SLAVE | MS_REC, "rslave"},           {MS_SLAVE, "slave"},
    {MS_PRIVATE | MS_REC, "rprivate"},       {MS_PRIVATE, "private"},
    {MS_UNBINDABLE | MS_REC, "runbindable"}, {MS_UNBINDABLE, "unbindable"},
};

static int print_flags(uint64_t flags, const struct flag_name *names, size_t count, struct buf *out) {
    const char *comma = "";
    int r = 0;
    for (size_t i = 0; r >= 0 && i < count; i++)
        if ((flags & names[i].flag) == names[i].flag) {
            r = buf_append_format(out, "%s%s", comma, names[i].name);
            flags &= ~names[i].flag;
            comma = ",";
        }
    /* nothing may get lost in a golden file */
    return r < 0 || flags == 0 ? r : buf_append_format(out, "%s0x%" PRIx64, comma, flags);
}

int plan_print_propagation(uint64_t propagation, struct buf *out) {
    return print_flags(propagation, propagations, ARRAY_SIZE(propagations), out);
}

int plan_print_mount(const plan_mount *mount, struct buf *out) {
    int r = buf_append_format(out, "mount: %s", mount->destination);
    if (r >= 0 && *mount->type)
        r = buf_append_format(out, " type %s", mount->type);
    if (r >= 0)
        r = buf_append_format(out, " from %s%s", mount->source, mount->source_is_file ? " (file)" : "");
    if (r >= 0 && mount->flags)
        r = buf_append_string(out, " flags ");
    if (r >= 0)
        r = print_flags(mount->flags, mount_flags, ARRAY_SIZE(mount_flags), out);
    if (r >= 0 && *mount->data)
        r = buf_append_format(out, " data %s", mount->data);
    if (r >= 0 && mount->propagation)
        r = buf_append_string(out, " ");
    if (r >= 0)
        r = plan_print_propagation(mount->propagation, out);
    if (r >= 0 && mount->copy_up)
        r = buf_append_string(out, " copy-up");
    if (r >= 0 && (mount->recursive_set || mount->recursive_clear))
        r = buf_append_format(out, " recursively set 0x%" PRIx64 " clear 0x%" PRIx64, mount->recursive_set,
                              mount->recursive_clear);
    if (r >= 0 && mount->optional)
        r = buf_append_string(out, " optional");
    return r < 0 ? r : buf_append_string(out, "\n");
}
