/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option words of a mount, as crun and runc understand them: config.md
 * "Linux mount options", mount(8). Words that are none of these belong to the
 * file system.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <string.h>

enum kind { SET, CLEAR, PROPAGATION, RECURSIVE_SET, RECURSIVE_CLEAR, COPY_UP, NOTHING, ID_MAP };

static const struct word {
    const char *text;
    enum kind kind;
    uint64_t value;
} words[] = {
    {"defaults", NOTHING, 0},
    {"bind", SET, MS_BIND},
    {"rbind", SET, MS_BIND | MS_REC},
    {"ro", SET, MS_RDONLY},
    {"rw", CLEAR, MS_RDONLY},
    {"nosuid", SET, MS_NOSUID},
    {"suid", CLEAR, MS_NOSUID},
    {"nodev", SET, MS_NODEV},
    {"dev", CLEAR, MS_NODEV},
    {"noexec", SET, MS_NOEXEC},
    {"exec", CLEAR, MS_NOEXEC},
    {"sync", SET, MS_SYNCHRONOUS},
    {"async", CLEAR, MS_SYNCHRONOUS},
    {"dirsync", SET, MS_DIRSYNC},
    {"remount", SET, MS_REMOUNT},
    {"mand", SET, MS_MANDLOCK},
    {"nomand", CLEAR, MS_MANDLOCK},
    {"noatime", SET, MS_NOATIME},
    {"atime", CLEAR, MS_NOATIME},
    {"nodiratime", SET, MS_NODIRATIME},
    {"diratime", CLEAR, MS_NODIRATIME},
    {"relatime", SET, MS_RELATIME},
    {"norelatime", CLEAR, MS_RELATIME},
    {"strictatime", SET, MS_STRICTATIME},
    {"nostrictatime", CLEAR, MS_STRICTATIME},
    {"lazytime", SET, MS_LAZYTIME},
    {"nolazytime", CLEAR, MS_LAZYTIME},
    {"iversion", SET, MS_I_VERSION},
    {"noiversion", CLEAR, MS_I_VERSION},
    {"acl", SET, MS_POSIXACL},
    {"noacl", CLEAR, MS_POSIXACL},
    {"silent", SET, MS_SILENT},
    {"loud", CLEAR, MS_SILENT},
    {"nosymfollow", SET, MS_NOSYMFOLLOW},
    {"symfollow", CLEAR, MS_NOSYMFOLLOW},
    {"shared", PROPAGATION, MS_SHARED},
    {"rshared", PROPAGATION, MS_SHARED | MS_REC},
    {"slave", PROPAGATION, MS_SLAVE},
    {"rslave", PROPAGATION, MS_SLAVE | MS_REC},
    {"private", PROPAGATION, MS_PRIVATE},
    {"rprivate", PROPAGATION, MS_PRIVATE | MS_REC},
    {"unbindable", PROPAGATION, MS_UNBINDABLE},
    {"runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC},
    {"rro", RECURSIVE_SET, MOUNT_ATTR_RDONLY},
    {"rrw", RECURSIVE_CLEAR, MOUNT_ATTR_RDONLY},
    {"rnosuid", RECURSIVE_SET, MOUNT_ATTR_NOSUID},
    {"rsuid", RECURSIVE_CLEAR, MOUNT_ATTR_NOSUID},
    {"rnodev", RECURSIVE_SET, MOUNT_ATTR_NODEV},
    {"rdev", RECURSIVE_CLEAR, MOUNT_ATTR_NODEV},
    {"rnoexec", RECURSIVE_SET, MOUNT_ATTR_NOEXEC},
    {"rexec", RECURSIVE_CLEAR, MOUNT_ATTR_NOEXEC},
    {"rnodiratime", RECURSIVE_SET, MOUNT_ATTR_NODIRATIME},
    {"rdiratime", RECURSIVE_CLEAR, MOUNT_ATTR_NODIRATIME},
    {"rnosymfollow", RECURSIVE_SET, MOUNT_ATTR_NOSYMFOLLOW},
    {"rsymfollow", RECURSIVE_CLEAR, MOUNT_ATTR_NOSYMFOLLOW},
    {"rnoatime", RECURSIVE_SET, MOUNT_ATTR_NOATIME},
    {"ratime", RECURSIVE_CLEAR, MOUNT_ATTR_NOATIME},
    {"rstrictatime", RECURSIVE_SET, MOUNT_ATTR_STRICTATIME},
    {"rnostrictatime", RECURSIVE_CLEAR, MOUNT_ATTR_STRICTATIME},
    {"rrelatime", RECURSIVE_CLEAR, MOUNT_ATTR__ATIME}, /* MOUNT_ATTR_RELATIME is 0 */
    {"rnorelatime", RECURSIVE_CLEAR, MOUNT_ATTR__ATIME},
    {"tmpcopyup", COPY_UP, 0},
    {"idmap", ID_MAP, 0},
    {"ridmap", ID_MAP, 0},
};

const char *plan_mount_option(size_t index) {
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].kind != ID_MAP && index-- == 0) /* a mapped mount is refused */
            return words[i].text;
    return NULL;
}

static const struct word *find(const char *text) {
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(words[i].text, text) == 0)
            return &words[i];
    return NULL;
}

/* The three atime modes are one field of several bits: to set one, all of it must be cleared, mount_setattr(2). */
static void set_recursive(struct mount_options *options, uint64_t value, bool set) {
    bool atime = (value & MOUNT_ATTR__ATIME) != 0;
    uint64_t touched = atime ? MOUNT_ATTR__ATIME : value;
    options->recursive_set &= ~touched;
    options->recursive_clear &= ~touched;
    if (set)
        options->recursive_set |= value;
    if (!set || atime)
        options->recursive_clear |= touched;
}

static void apply(struct mount_options *options, const struct word *word) {
    switch (word->kind) {
    case SET:
        options->flags |= word->value;
        break;
    case CLEAR:
        options->flags &= ~word->value;
        break;
    case PROPAGATION:
        options->propagation = word->value;
        break;
    case RECURSIVE_SET:
    case RECURSIVE_CLEAR:
        set_recursive(options, word->value, word->kind == RECURSIVE_SET);
        break;
    case COPY_UP:
        options->copy_up = true;
        break;
    case NOTHING:
    case ID_MAP:
        break;
    }
    if (word->value == MS_RDONLY && (word->kind == SET || word->kind == CLEAR))
        options->writable_given = word->kind == CLEAR;
}

int plan_mount_options_parse(const struct oci_mount *mount, struct mount_options *ret, struct err *err) {
    _cleanup_buf_ struct buf data = {0};
    struct mount_options options = {0};
    for (size_t i = 0; i < mount->n_options; i++) {
        const struct word *word = find(mount->options[i]);
        if (word && word->kind == ID_MAP)
            return err_set(err, ENOTSUP,
                           "the mount on %s asks for '%s', but minka cannot map the ids of one mount; map those of the "
                           "container (linux.uidMappings)",
                           mount->destination, word->text);
        if (word) {
            apply(&options, word);
        } else if (*mount->options[i] && ((data.length > 0 && buf_append(&data, ",", 1) < 0) ||
                                          buf_append_string(&data, mount->options[i]) < 0)) {
            return plan_out_of_memory(err);
        }
    }
    const char *text = buf_string(&data);
    options.data = text ? strdup(text) : NULL;
    if (!options.data)
        return plan_out_of_memory(err);
    *ret = options;
    return 0;
}

void plan_mount_options_done(struct mount_options *options) {
    free(options->data);
    options->data = NULL;
}
