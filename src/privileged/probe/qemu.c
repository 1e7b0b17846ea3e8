/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/probe/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { DEADLINE_MSEC = 10000 }; /* from a cold disk */

/* A number of at most four digits. */
static bool take_number(const char **text, unsigned *ret) {
    unsigned value = 0, digits = 0;
    for (; **text >= '0' && **text <= '9' && digits < 5; (*text)++, digits++)
        value = value * 10 + (unsigned)(**text - '0');
    *ret = value;
    return digits > 0 && digits < 5;
}

int qemu_parse_version(const char *output, struct vmm_features *ret) {
    static const char prefix[] = "QEMU emulator version ";
    struct vmm_features features = {0};
    if (!text_has_prefix(output, prefix))
        return -EBADMSG;
    const char *rest = output + sizeof prefix - 1;
    if (!take_number(&rest, &features.version_major) || *rest++ != '.' ||
        !take_number(&rest, &features.version_minor) || !strchr(". \n(", *rest))
        return -EBADMSG;
    /* `device` of -accel kvm came with 9.0 (qapi has no trace of it, so that it cannot be asked for). */
    features.kvm_by_fd = features.version_major >= 9;
    *ret = features;
    return 0;
}

int probe_qemu(const char *cache_dir, const char *path, struct vmm_features *ret, struct err *err) {
    const char *const argv[] = {path, "--version", NULL};
    _cleanup_buf_ struct buf key = {0};
    _cleanup_free_ char *output = NULL;
    char name[64];

    if (path[0] != '/')
        return err_set(err, EINVAL, "the path of QEMU must be absolute, not '%s'", path);
    if (buf_append_string(&key, "qemu") < 0)
        return err_set(err, ENOMEM, "out of memory");
    int r = cache_key_add_file(&key, path);
    if (r == -ENOENT || r == -ENOTDIR)
        return err_set(err, -r,
                       "QEMU is not installed at %s: run `apt install qemu-system-x86`, or set path in "
                       "[hypervisor.qemu]",
                       path);
    if (r < 0 || !buf_string(&key))
        return err_set(err, r < 0 ? -r : ENOMEM, "QEMU at %s cannot be examined (%s)", path,
                       strerrorname_np(r < 0 ? -r : ENOMEM));
    cache_name("qemu", path, name, sizeof name);
    if (cache_load(cache_dir, name, buf_string(&key), &output) == 0 && qemu_parse_version(output, ret) == 0)
        return 0;

    _cleanup_free_ char *answer = NULL;
    r = run_for_output(path, argv, DEADLINE_MSEC, &answer, err);
    if (r < 0)
        return r;
    answer[strcspn(answer, "\n")] = '\0';
    if (qemu_parse_version(answer, ret) < 0)
        return err_set(err, EBADMSG, "%s is not QEMU, it says '%.60s'", path, answer);
    cache_store(cache_dir, name, buf_string(&key), answer);
    return 0;
}

/* Beside the program first, so that a QEMU from /opt gets its own; then where Debian has it. */
static int find_firmware(const char *qemu_path, const char *file, char **ret) {
    const char *slash = strrchr(qemu_path, '/');
    int length = slash ? (int)(slash - qemu_path) : 0;
    _cleanup_free_ char *beside = text_format("%.*s/../share/qemu/%s", length, qemu_path, file);
    _cleanup_free_ char *debian = text_format("/usr/share/qemu/%s", file);
    if (!beside || !debian)
        return -ENOMEM;
    const char *const paths[] = {beside, debian};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        /* Without ".." and links: the path is used again in a jail where only the file itself is. */
        char *real = realpath(paths[i], NULL);
        struct stat st;
        if (real && stat(real, &st) == 0 && S_ISREG(st.st_mode)) {
            *ret = real;
            return 0;
        }
        free(real);
    }
    return -ENOENT;
}

int probe_firmware(const char *qemu_path, enum vmm_machine machine, char **ret, struct err *err) {
    /*
     * qboot for every machine: it starts a PVH kernel by itself, with nothing but its own file in the jail. SeaBIOS
     * (bios-microvm.bin, bios-256k.bin) needs the option ROM pvh.bin besides, and hangs without it. Tried with QEMU
     * 7.2, both machines, no ROMs, and the kernels of Debian 12 and 13.
     */
    static const char file[] = "qboot.rom";
    (void)machine;
    int r = find_firmware(qemu_path, file, ret);
    if (r == -ENOENT)
        return err_set(err, ENOENT, "QEMU's firmware %s is not installed: run `apt install qemu-system-data`", file);
    return r < 0 ? err_set(err, -r, "out of memory") : 0;
}
