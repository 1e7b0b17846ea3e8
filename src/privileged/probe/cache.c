/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/probe/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { VALUE_MAX = 256 << 10 };

static bool is_ours(const struct stat *st) {
    return (st->st_uid == geteuid() || st->st_uid == 0) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int open_cache(const char *path) {
    struct stat st;
    _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return -errno;
    if (fstat(dir, &st) < 0)
        return -errno;
    return is_ours(&st) ? take_fd(&dir) : -EPERM;
}

int cache_load(const char *path, const char *name, const char *key, char **ret_value) {
    _cleanup_close_ int dir = path ? open_cache(path) : -ENOENT;
    if (dir < 0)
        return -ENOENT;
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_ours(&st) || st.st_size > VALUE_MAX)
        return -ENOENT;
    size_t size = (size_t)st.st_size, key_length = strlen(key);
    _cleanup_free_ char *text = malloc(size + 1);
    if (!text || read_all(fd, text, size) < 0)
        return -ENOENT;
    text[size] = '\0';
    if (size <= key_length || memcmp(text, key, key_length) != 0 || text[key_length] != '\n')
        return -ENOENT;
    *ret_value = strdup(text + key_length + 1);
    return *ret_value ? 0 : -ENOENT;
}

void cache_store(const char *path, const char *name, const char *key, const char *value) {
    if (!path || strchr(key, '\n'))
        return;
    (void)mkdir_parents(AT_FDCWD, path, 0700);
    _cleanup_close_ int dir = open_cache(path);
    if (dir < 0)
        return;
    /* A name of its own for each writer: two starts at once may both probe, and the last one's rename stays. */
    uint32_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return;
    _cleanup_free_ char *temporary = text_format(".%s.%08x", name, random);
    _cleanup_free_ char *text = text_format("%s\n%s", key, value);
    if (!temporary || !text)
        return;
    _cleanup_close_ int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (write_all(fd, text, strlen(text)) < 0 || renameat(dir, temporary, dir, name) < 0)
        (void)unlinkat(dir, temporary, 0);
}

int cache_key_add_file(struct buf *key, const char *path) {
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    return buf_append_format(key, " %s=%jx:%jx:%jx:%jx:%jd:%jd.%09ld:%jd.%09ld", path, (uintmax_t)st.st_dev,
                             (uintmax_t)st.st_ino, (uintmax_t)st.st_rdev, (uintmax_t)st.st_mode, (intmax_t)st.st_size,
                             (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
                             st.st_ctim.tv_nsec);
}

int cache_key_add_boot(struct buf *key) {
    _cleanup_free_ char *id = NULL;
    int r = read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128, &id, NULL, NULL);
    if (r < 0)
        return r;
    id[strcspn(id, "\n")] = '\0';
    return buf_append_format(key, " boot=%s", id);
}

void cache_name(const char *prefix, const char *path, char *ret, size_t size) {
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a: just a name, the key decides */
    for (const char *c = path; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 0x100000001b3;
    (void)snprintf(ret, size, "%s-%016" PRIx64, prefix, hash);
}
