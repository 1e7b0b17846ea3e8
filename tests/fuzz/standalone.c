/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files and directories of inputs, for compilers without libFuzzer and for valgrind. */
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(int dir, const char *name) {
    _cleanup_free_ char *data = NULL;
    size_t length;
    struct err err = {0};
    if (read_file(dir, name, 64 << 20, &data, &length, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, length);
    return 1;
}

int main(int argc, char **argv) {
    int inputs = 0;
    for (int i = 1; i < argc; i++) {
        _cleanup_closedir_ DIR *dir = opendir(argv[i]);
        if (!dir) {
            int r = run_file(AT_FDCWD, argv[i]);
            if (r < 0)
                return 1;
            inputs += r;
            continue;
        }
        for (struct dirent *e; (e = readdir(dir));) {
            if (e->d_name[0] == '.')
                continue;
            int r = run_file(dirfd(dir), e->d_name);
            if (r < 0)
                return 1;
            inputs += r;
        }
    }
    printf("%d inputs\n", inputs);
    return inputs > 0 ? 0 : 1; /* an empty corpus is a mistake, not a success */
}
