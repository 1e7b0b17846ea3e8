/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding args[0]. Engines look in the errors for "no such file or directory" (exit code 127) and
 * "permission denied" (126).
 */
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <string.h>
#include <sys/stat.h>

/* 0 or -errno. Only as good as root sees it; execve has the last word. */
static int check(const char *path) {
    struct stat st;
    if (access(path, X_OK) < 0 || stat(path, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? 0 : -EACCES /* as execve(2) of a directory */;
}

static const char *path_of(char *const *environment) {
    const char *path = NULL;
    for (; *environment; environment++)
        if (text_has_prefix(*environment, "PATH="))
            path = *environment + strlen("PATH=");
    return path;
}

static int search(const char *name, const char *path, char **ret) {
    int r = -ENOENT;
    while (path) {
        size_t length = strcspn(path, ":");
        /* An empty entry is the working directory: environ(7). */
        _cleanup_free_ char *candidate =
            length ? text_format("%.*s/%s", (int)length, path, name) : text_format("./%s", name);
        if (!candidate)
            return -ENOMEM;
        int found = check(candidate);
        if (found == 0) {
            *ret = take_ptr(candidate);
            return 0;
        }
        if (found == -EACCES)
            r = found;
        path = path[length] ? path + length + 1 : NULL;
    }
    return r;
}

int executable_find(const char *name, char *const *environment, char **ret, struct err *err) {
    int r = -ENOENT;
    if (!*name)
        return err_set(err, EINVAL, "process.args begins with an empty word, which cannot be executed");
    if (strchr(name, '/')) {
        r = check(name);
        if (r == 0 && !(*ret = strdup(name)))
            r = -ENOMEM;
    } else {
        const char *path = path_of(environment);
        r = path && *path ? search(name, path, ret) : -ENOENT;
    }
    if (r == 0)
        return 0;
    errno = -r;
    return r == -ENOENT ? err_errno(err, "executable file `%s` not found in $PATH", name)
                        : err_errno(err, "cannot execute `%s` in the container", name);
}
