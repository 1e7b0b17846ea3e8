/* SPDX-License-Identifier: Apache-2.0 */
#include "golden.h"

#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

enum { NAMES_MAX = 512, FILE_MAX = 4 << 20 };
static char *names[NAMES_MAX];
static unsigned n_names;

static void fail(const char *what, const char *name) {
    fprintf(stderr, "golden: %s %s: %s\n", what, name, strerror(errno));
    exit(2);
}

void golden_start(struct golden *golden, int argc, char **argv, char ***ret_rest) {
    int at = 1;
    *golden = (struct golden){0};
    if (at < argc && strcmp(argv[at], "--update") == 0) {
        golden->update = true;
        at++;
    }
    if (at >= argc) {
        fprintf(stderr, "usage: %s [--update] DIRECTORY [INPUT...]\n", argv[0]);
        exit(2);
    }
    golden->directory = argv[at++];
    *ret_rest = argv + at;
}

static void show_difference(const char *path, const char *text) {
    char actual[] = "/tmp/golden-XXXXXX";
    _cleanup_close_ int fd = mkostemp(actual, O_CLOEXEC);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
        fail("cannot write", actual);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        execlp("diff", "diff", "-u", path, actual, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    (void)unlink(actual);
}

void golden_check(struct golden *golden, const char *name, struct buf *text) {
    _cleanup_free_ char *path = text_format("%s/%s", golden->directory, name);
    _cleanup_free_ char *expected = NULL;
    const char *actual = buf_string(text);
    struct err err = {0};
    if (n_names < NAMES_MAX)
        names[n_names++] = strdup(name);
    golden->compared++;
    if (golden->update) {
        if (write_file_atomic(AT_FDCWD, path, actual, strlen(actual), 0644, &err) < 0)
            fail(err.text, name);
        return;
    }
    if (read_file(AT_FDCWD, path, FILE_MAX, &expected, NULL, &err) >= 0 && strcmp(expected, actual) == 0) {
        printf("ok %u - %s\n", golden->compared, name);
        return;
    }
    golden->different++;
    printf("not ok %u - %s\n", golden->compared, name);
    fflush(stdout);
    fprintf(stderr, "golden: %s is not what comes out now; if that is right: --update\n", path);
    if (expected)
        show_difference(path, actual);
}

static bool is_known(const char *name) {
    for (unsigned i = 0; i < n_names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

int golden_finish(struct golden *golden) {
    _cleanup_closedir_ DIR *directory = opendir(golden->directory);
    if (!directory)
        fail("cannot open", golden->directory);
    for (const struct dirent *e; (e = readdir(directory));)
        if (e->d_name[0] != '.' && !is_known(e->d_name)) {
            golden->different++;
            printf("not ok %u - %s/%s has no input any more; remove it\n", ++golden->compared, golden->directory,
                   e->d_name);
        }
    printf("1..%u\n# %u different\n", golden->compared, golden->different);
    for (unsigned i = 0; i < n_names; i++)
        free(names[i]);
    return golden->different > 0 || golden->compared == 0;
}
