/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/modules.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIST_MAX = 1 << 20, FILES_MAX = 256 };

/* "virtio-rng.ko", nothing that leaves the directory. */
static bool file_name_is_valid(const char *name, size_t length) {
    return length > 3 && length < 256 && !memchr(name, '/', length) && name[0] != '.' &&
           memcmp(name + length - 3, ".ko", 3) == 0;
}

static int parse_files(const char *line, size_t length, char ***ret, struct err *err) {
    _cleanup_strv_ char **files = calloc(FILES_MAX + 1, sizeof *files);
    if (!files)
        return err_set(err, ENOMEM, "out of memory");
    size_t count = 0;
    for (const char *end = line + length; line < end;) {
        size_t word = strcspn(line, " \t\n");
        if (line + word > end)
            word = (size_t)(end - line);
        if (word > 0) {
            if (!file_name_is_valid(line, word) || count == FILES_MAX)
                return err_set(err, EINVAL, "the module list of the guest image is damaged at '%.*s'",
                               (int)(word < 64 ? word : 64), line);
            files[count] = strndup(line, word);
            if (!files[count++])
                return err_set(err, ENOMEM, "out of memory");
        }
        line += word + (line + word < end);
    }
    *ret = take_ptr(files);
    return 0;
}

int modules_parse(const char *list, const char *group, char ***ret, struct err *err) {
    size_t group_length = strlen(group);
    for (const char *line = list; *line;) {
        size_t length = strcspn(line, "\n");
        size_t word = strcspn(line, " \t\n");
        if (group_length > 0 && word == group_length && memcmp(line, group, word) == 0)
            return parse_files(line + word, length - word, ret, err);
        line += length + (line[length] == '\n');
    }
    return err_set(err, ENOENT, "the guest image has no kernel modules for '%s'; rebuild it with 'minka image build'",
                   group);
}

/* /sys/module/NAME is there for loaded modules, and for most that are built in. In names - counts as _. */
static bool is_loaded(const char *file) {
    char path[300] = "/sys/module/";
    size_t prefix = strlen(path), length = strlen(file) - 3;
    memcpy(path + prefix, file, length);
    path[prefix + length] = '\0';
    for (char *c = path + prefix; *c; c++)
        if (*c == '-')
            *c = '_';
    return access(path, F_OK) == 0;
}

static int load_file(int directory, const char *file, struct err *err) {
    if (is_loaded(file))
        return 0;
    _cleanup_close_ int fd = openat(directory, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "the guest image lacks the kernel module %s; rebuild it with 'minka image build'",
                       file);
    if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
        return err_errno(err, "the guest kernel refuses the module %s", file);
    return 0;
}

int modules_load(const char *group, struct err *err) {
    _cleanup_free_ char *list = NULL;
    int r = read_file(AT_FDCWD, MODULES_DIRECTORY ".list", LIST_MAX, &list, NULL, err);
    if (r < 0)
        return r;
    _cleanup_strv_ char **files = NULL;
    r = modules_parse(list, group, &files, err);
    if (r < 0)
        return r;
    _cleanup_close_ int directory = open(MODULES_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return err_set(err, errno, "the guest image has no directory " MODULES_DIRECTORY);
    for (char **file = files; *file; file++) {
        r = load_file(directory, *file, err);
        if (r < 0)
            return r;
    }
    return 0;
}
