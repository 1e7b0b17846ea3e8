/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/probe/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEADLINE_MSEC = 10000, FILES_MAX = 256, SEGMENTS_MAX = 128 };

static int add_path(char ***strings, const char *path, size_t length) {
    size_t count = 0;
    for (; *strings && (*strings)[count]; count++)
        if (strncmp((*strings)[count], path, length) == 0 && (*strings)[count][length] == '\0')
            return 0;
    if (count == FILES_MAX)
        return -E2BIG;
    char **grown = reallocarray(*strings, count + 2, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    *strings = grown;
    grown[count] = strndup(path, length);
    grown[count + 1] = NULL;
    return grown[count] ? 0 : -ENOMEM;
}

static int pread_all(int fd, void *data, size_t n, uint64_t offset) {
    return offset <= INT64_MAX && pread(fd, data, n, (off_t)offset) == (ssize_t)n ? 0 : -EBADMSG;
}

/* The text of PT_INTERP. 1 and *ret, 0 when there is none, -EBADMSG. */
static int read_interpreter(int fd, char **ret) {
    Elf64_Ehdr header;
    if (pread_all(fd, &header, sizeof header, 0) < 0 || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        (header.e_type != ET_EXEC && header.e_type != ET_DYN) || header.e_phentsize != sizeof(Elf64_Phdr) ||
        header.e_phnum > SEGMENTS_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        char path[PATH_MAX];
        if (header.e_phoff > INT64_MAX ||
            pread_all(fd, &segment, sizeof segment, header.e_phoff + i * sizeof segment) < 0)
            return -EBADMSG;
        if (segment.p_type != PT_INTERP)
            continue;
        if (segment.p_filesz < 2 || segment.p_filesz > sizeof path ||
            pread_all(fd, path, (size_t)segment.p_filesz, segment.p_offset) < 0)
            return -EBADMSG;
        if (path[0] != '/' || strnlen(path, (size_t)segment.p_filesz) != (size_t)segment.p_filesz - 1)
            return -EBADMSG;
        *ret = strdup(path);
        return *ret ? 1 : -ENOMEM;
    }
    return 0;
}

int closure_interpreter(const char *program, char **ret, struct err *err) {
    _cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set(err, errno, "the program %s cannot be opened (%s)", program, strerrorname_np(errno));
    char *path = NULL;
    int r = read_interpreter(fd, &path);
    if (r < 0)
        return err_set(err, -r, "%s is no program that this machine can execute (scripts cannot be confined)", program);
    *ret = path;
    return 0;
}

/*
 * Lines as of ld.so(8):
 *      linux-vdso.so.1 (0x00007ffd…)
 *      libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)
 *      /lib64/ld-linux-x86-64.so.2 (0x…)
 *      libx.so.1 => not found
 */
int closure_parse_list(const char *output, const char *program, char ***strings, struct err *err) {
    for (const char *line = output; *line;) {
        size_t length = strcspn(line, "\n");
        const char *end = line + length, *path = line + strspn(line, " \t");
        const char *arrow = memmem(line, length, " => ", 4);
        if (arrow)
            path = arrow + 4;
        const char *address = memmem(path, (size_t)(end - path), " (0x", 4);
        if (arrow && text_has_prefix(path, "not found"))
            return err_set(err, ENOENT, "%s needs a library that is not installed: %.*s", program,
                           (int)(arrow - line - (ptrdiff_t)strspn(line, " \t")), line + strspn(line, " \t"));
        if (path < end && *path == '/') {
            int r = address ? add_path(strings, path, (size_t)(address - path)) : -EBADMSG;
            if (r < 0)
                return err_set(err, -r, "the list of libraries of %s is not understood: %.*s", program, (int)length,
                               line);
        }
        line = *end ? end + 1 : end;
    }
    return 0;
}

/* The object, what it loads and its loader, for a program or a module (which has no loader: the program's). */
static int add_object(const char *interpreter, const char *object, char ***strings, struct err *err) {
    if (add_path(strings, object, strlen(object)) < 0)
        return err_set(err, ENOMEM, "out of memory");
    if (!interpreter)
        return 0;
    if (add_path(strings, interpreter, strlen(interpreter)) < 0)
        return err_set(err, ENOMEM, "out of memory");
    const char *const argv[] = {interpreter, "--list", object, NULL};
    _cleanup_free_ char *output = NULL;
    int r = run_for_output(interpreter, argv, DEADLINE_MSEC, &output, err);
    if (r < 0)
        return err_wrap(err, "the libraries of %s cannot be found", object);
    return closure_parse_list(output, object, strings, err);
}

/* Where this QEMU loads its accelerator from, if it is not built in: module_load() of util/module.c. */
static int add_qemu_modules(const char *interpreter, const char *program, char ***strings, struct err *err) {
    static const char *const dirs[] = {"../lib/x86_64-linux-gnu/qemu", "../lib64/qemu", "../lib/qemu"};
    const char *name = strrchr(program, '/') + 1;
    if (!text_has_prefix(name, "qemu-system-"))
        return 0;
    _cleanup_free_ char *bin = strndup(program, (size_t)(name - program - 1));
    for (size_t i = 0; bin && i < ARRAY_SIZE(dirs); i++) {
        _cleanup_free_ char *path = text_format("%s/%s/accel-tcg-x86_64.so", bin, dirs[i]);
        _cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;
        if (!path)
            break;
        if (real)
            return add_object(interpreter, real, strings, err);
    }
    return bin ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int find_closure(const char *program, char ***ret, struct err *err) {
    _cleanup_strv_ char **strings = NULL;
    _cleanup_free_ char *interpreter = NULL;
    int r = closure_interpreter(program, &interpreter, err);
    if (r == 0)
        r = add_object(interpreter, program, &strings, err);
    if (r == 0 && interpreter)
        r = add_qemu_modules(interpreter, program, &strings, err);
    if (r < 0)
        return r;
    *ret = take_ptr(strings);
    return 0;
}

/* The cached value: one path per line. -ENOENT when one of them is gone. */
static int split_value(const char *value, char ***ret) {
    _cleanup_strv_ char **strings = NULL;
    for (const char *line = value; *line;) {
        size_t length = strcspn(line, "\n");
        int r = line[0] == '/' ? add_path(&strings, line, length) : -EBADMSG;
        if (r < 0)
            return r;
        line += length + (line[length] == '\n');
    }
    for (char **s = strings; s && *s; s++)
        if (access(*s, F_OK) < 0)
            return -ENOENT;
    *ret = take_ptr(strings);
    return *ret ? 0 : -ENOENT;
}

int probe_closure(const char *cache_dir, const char *program, char ***ret, struct err *err) {
    _cleanup_buf_ struct buf key = {0}, value = {0};
    _cleanup_free_ char *cached = NULL;
    char name[64];

    if (program[0] != '/')
        return err_set(err, EINVAL, "the path of a program must be absolute, not '%s'", program);
    if (buf_append_string(&key, "closure") < 0)
        return err_set(err, ENOMEM, "out of memory");
    int r = cache_key_add_file(&key, program);
    if (r < 0)
        return err_set(err, -r, "the program %s is not there (%s)", program, strerrorname_np(-r));
    /* ldconfig rewrites it whenever a library comes or goes. */
    (void)cache_key_add_file(&key, "/etc/ld.so.cache");
    if (!buf_string(&key))
        return err_set(err, ENOMEM, "out of memory");
    cache_name("closure", program, name, sizeof name);
    if (cache_load(cache_dir, name, buf_string(&key), &cached) == 0 && split_value(cached, ret) == 0)
        return 0;

    _cleanup_strv_ char **strings = NULL;
    r = find_closure(program, &strings, err);
    if (r < 0)
        return r;
    for (char **s = strings; *s; s++)
        if (buf_append_format(&value, "%s\n", *s) < 0)
            return err_set(err, ENOMEM, "out of memory");
    if (buf_string(&value))
        cache_store(cache_dir, name, buf_string(&key), buf_string(&value));
    *ret = take_ptr(strings);
    return 0;
}
