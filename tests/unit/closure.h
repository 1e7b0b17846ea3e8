/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a dynamically linked program of this machine, or of a release unpacked at root, needs. */
#pragma once

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <string.h>

/* New, NULL-terminated (free_strv); NULL when the program cannot be listed. */
static inline char **closure(const char *root, const char *program) {
    enum { MAX = 140 };
    char **files = calloc(MAX, sizeof *files);
    size_t count = 0;
    _cleanup_free_ char *command = text_format("chroot '%s/' /lib64/ld-linux-x86-64.so.2 --list '%s'", root, program);
    FILE *list = files && command ? popen(command, "re") : NULL;
    if (!list) {
        free(files);
        return NULL;
    }
    files[count++] = strdup(program);
    files[count++] = strdup("/lib64/ld-linux-x86-64.so.2");
    char line[1024];
    while (fgets(line, sizeof line, list) && count < MAX - 1) {
        char *path = strstr(line, "=> /");
        if (!path)
            continue;
        path += strlen("=> ");
        path[strcspn(path, " \n")] = '\0';
        files[count++] = strdup(path);
    }
    if (pclose(list) != 0)
        free_strv(&files);
    return files;
}
