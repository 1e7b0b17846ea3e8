/* SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

enum { INPUT_MAX = 4 << 20 };

int read_input(const char *path, char **ret, size_t *ret_length, struct err *err) {
    bool standard = strcmp(path, "-") == 0;
    /* Not /dev/stdin, which cannot be opened where standard input is a socket. */
    _cleanup_close_ int fd =
        standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, "cannot open %s", standard ? "standard input" : path);
    _cleanup_free_ char *text = malloc(INPUT_MAX + 1);
    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    size_t length = 0;
    for (;;) {
        ssize_t n = read(fd, text + length, INPUT_MAX + 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "cannot read %s", standard ? "standard input" : path);
        if (n == 0)
            break;
        length += (size_t)n;
        if (length > INPUT_MAX)
            return err_set(err, EFBIG, "%s is larger than 4 MiB", standard ? "standard input" : path);
    }
    text[length] = '\0';
    *ret = take_ptr(text);
    *ret_length = length;
    return 0;
}
