/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/build.h"
#include "programs/minka-image/decompress.h"
#include "programs/minka-image/digest.h"
#include "programs/minka-image/modules.h"
#include "programs/minka-image/strip.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MODULE_MAX = 64 << 20, DEP_MAX = 16 << 20, AGENT_MAX = 64 << 20 };

/* What the agent and the kernel expect to be there before anything is mounted. */
static const struct {
    const char *name;
    mode_t mode;
    unsigned major, minor;
} fixed_entries[] = {
    {"dev", S_IFDIR | 0755, 0, 0},
    /* The kernel opens it for PID 1, from the initrd, before devtmpfs is mounted: init/main.c, console_on_rootfs(). */
    {"dev/console", S_IFCHR | 0600, 5, 1},
    {"proc", S_IFDIR | 0755, 0, 0},
    {"run", S_IFDIR | 0755, 0, 0},
    {"sys", S_IFDIR | 0755, 0, 0},
    {"tmp", S_IFDIR | S_ISVTX | 0777, 0, 0},
    {"lib", S_IFDIR | 0755, 0, 0},
    {"lib/minka", S_IFDIR | 0755, 0, 0},
    {"lib/minka/modules", S_IFDIR | 0755, 0, 0},
};

static int note_input(struct buf *inputs, const char *name, const void *data, size_t length, struct err *err) {
    char digest[IMAGE_DIGEST_SIZE];
    digest_of(data, length, digest);
    return buf_append_format(inputs, "%s %s\n", digest, name) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* A program that can be PID 1 where there are no libraries: x86-64, without an interpreter. */
static int check_agent(const char *path, const uint8_t *data, size_t length, struct err *err) {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    bool is_elf = length >= sizeof header && memcmp(data, ELFMAG, SELFMAG) == 0 && data[EI_CLASS] == ELFCLASS64;
    if (is_elf)
        memcpy(&header, data, sizeof header);
    if (!is_elf || header.e_machine != EM_X86_64 || header.e_phentsize != sizeof segment || header.e_phoff > length ||
        header.e_phnum > (length - header.e_phoff) / sizeof segment)
        return err_set(err, EINVAL, "%s is no program for x86-64, it cannot be the agent", path);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        memcpy(&segment, data + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_INTERP)
            return err_set(err, EINVAL, "%s is not linked statically, it cannot be the agent", path);
    }
    return 0;
}

static int add_agent(struct cpio *cpio, const char *objcopy, int scratch, const char *path, struct buf *inputs,
                     char ret_digest[IMAGE_DIGEST_SIZE], struct err *err) {
    _cleanup_free_ char *data = NULL;
    size_t length;
    int r = read_file(AT_FDCWD, path, AGENT_MAX, &data, &length, err);
    if (r < 0)
        return err_set(err, -r, "cannot read the agent %s: %s", path, strerror(-r));
    r = check_agent(path, (const uint8_t *)data, length, err);
    if (r < 0)
        return r;
    digest_of(data, length, ret_digest);
    r = note_input(inputs, "init", data, length, err);
    if (r < 0)
        return r;
    _cleanup_buf_ struct buf content = {.data = (uint8_t *)take_ptr(data), .length = length, .capacity = length};
    r = objcopy ? strip_object(objcopy, scratch, &content, path, err) : 0;
    return r < 0 ? r : cpio_add(cpio, "init", S_IFREG | 0755, 0, &content, err);
}

static int add_module(struct cpio *cpio, const char *objcopy, int modules_dir, int scratch, const char *path,
                      struct buf *inputs, struct err *err) {
    _cleanup_free_ char *data = NULL, *file = module_file_name(path);
    _cleanup_buf_ struct buf module = {0};
    size_t length;
    if (!file)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_free_ char *name = text_format("lib/minka/modules/%s", file);
    if (!name)
        return err_set(err, ENOMEM, "out of memory");
    int r = read_file(modules_dir, path, MODULE_MAX, &data, &length, err);
    if (r == 0)
        r = note_input(inputs, path, data, length, err);
    if (r == 0)
        r = decompress((const uint8_t *)data, length, MODULE_MAX, path, &module, err);
    if (r < 0)
        return r;
    if (module.length < SELFMAG || memcmp(module.data, ELFMAG, SELFMAG) != 0)
        return err_set(err, EBADMSG, "%s is no kernel module", path);
    if (objcopy) {
        r = strip_object(objcopy, scratch, &module, path, err);
        if (r < 0)
            return r;
    }
    return cpio_add(cpio, name, S_IFREG | 0644, 0, &module, err);
}

static void pass_notes(const struct build_request *request, struct buf *notes) {
    char *rest = notes->length > 0 ? (char *)(uintptr_t)buf_string(notes) : NULL;
    for (char *line; request->note && rest && (line = strsep(&rest, "\n"));)
        if (*line)
            request->note(line);
}

/* modules.dep is made by depmod on the machine; modules.builtin comes with the kernel. */
static int read_lists(const char *path, int dir, const char *release, char **ret_dep, char **ret_builtin,
                      struct err *err) {
    if (faccessat(dir, "modules.dep", R_OK, 0) < 0)
        return err_set(err, ENOENT, "%s has no modules.dep: run `depmod %s`", path, release);
    int r = read_file(dir, "modules.dep", DEP_MAX, ret_dep, NULL, err);
    if (r == 0)
        r = read_file(dir, "modules.builtin", DEP_MAX, ret_builtin, NULL, err);
    return r < 0 ? err_wrap(err, "%s", path) : 0;
}

static int add_modules(struct cpio *cpio, const char *objcopy, const struct build_request *request, const char *release,
                       int scratch, struct buf *inputs, struct buf *ret_groups, struct err *err) {
    _cleanup_free_ char *path = NULL, *dep = NULL, *builtin = NULL;
    _cleanup_module_set_ struct module_set set = {0};

    path = request->modules ? strdup(request->modules) : text_format("/lib/modules/%s", release);
    if (!path)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_errno(err, "cannot open the modules of kernel %s in %s", release, path);
    int r = read_lists(path, dir, release, &dep, &builtin, err);
    if (r == 0)
        r = modules_resolve(dep, builtin, release, module_groups, n_module_groups, &set, err);
    if (r < 0)
        return r;
    pass_notes(request, &set.notes);

    for (size_t i = 0; i < set.count; i++) {
        r = add_module(cpio, objcopy, dir, scratch, set.paths[i], inputs, err);
        if (r < 0)
            return err_wrap(err, "%s", path);
    }
    *ret_groups = set.groups;
    set.groups = (struct buf){0};
    r = note_input(inputs, objcopy ? "stripped" : "unstripped", "", 0, err);
    return r < 0 ? r : cpio_add(cpio, "lib/minka/modules.list", S_IFREG | 0644, 0, &set.list, err);
}

int build_initrd(const struct build_request *request, const char *release, int scratch, struct buf *inputs,
                 struct buf *ret_initrd, struct buf *ret_groups, char ret_agent_digest[IMAGE_DIGEST_SIZE],
                 struct err *err) {
    _cleanup_cpio_ struct cpio cpio = {0};
    _cleanup_buf_ struct buf groups = {0}, initrd = {0};
    const char *objcopy = strip_program();
    int r = 0;

    if (!objcopy && request->note)
        request->note(
            "objcopy is not installed (package binutils): agent and modules keep their debug information, and "
            "guests need more memory");

    for (size_t i = 0; i < ARRAY_SIZE(fixed_entries) && r == 0; i++)
        r = cpio_add(&cpio, fixed_entries[i].name, fixed_entries[i].mode,
                     makedev(fixed_entries[i].major, fixed_entries[i].minor), NULL, err);
    if (r == 0)
        r = add_agent(&cpio, objcopy, scratch, request->agent, inputs, ret_agent_digest, err);
    if (r == 0)
        r = add_modules(&cpio, objcopy, request, release, scratch, inputs, &groups, err);
    if (r == 0)
        r = cpio_write(&cpio, request->mtime, &initrd, err);
    if (r < 0)
        return r;
    *ret_initrd = initrd;
    *ret_groups = groups;
    initrd = groups = (struct buf){0};
    return 0;
}
