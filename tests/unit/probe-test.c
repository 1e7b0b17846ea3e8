/* SPDX-License-Identifier: Apache-2.0 */
/* What the host has: the parsers, the cache, running a program, and this very host's answers. */
#include "privileged/probe/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* after the above */
#include <cmocka.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_directory(void **state) {
    *state = mkdtemp(strdup("/tmp/minka-probe-test-XXXXXX"));
    return *state ? 0 : -1;
}

static int remove_directory(void **state) {
    int r = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return r;
}

static void versions_are_strict(void **state) {
    (void)state;
    struct vmm_features f = {0};
    assert_int_equal(qemu_parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright", &f), 0);
    assert_int_equal(f.version_major, 7);
    assert_int_equal(f.version_minor, 2);
    assert_false(f.kvm_by_fd);
    assert_int_equal(qemu_parse_version("QEMU emulator version 10.0", &f), 0);
    assert_int_equal(f.version_major, 10);
    assert_true(f.kvm_by_fd);
    static const char *const bad[] = {"",
                                      "QEMU emulator version ",
                                      "QEMU emulator version 7",
                                      "bash 5.2",
                                      "QEMU emulator version 7.x",
                                      "QEMU emulator version 99999.1",
                                      "QEMU emulator version 7.2x",
                                      " QEMU emulator version 7.2"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(qemu_parse_version(bad[i], &f), -EBADMSG);
}

static void library_lists_are_read(void **state) {
    (void)state;
    struct err err = {0};
    _cleanup_strv_ char **strings = NULL, **none = NULL;
    assert_int_equal(closure_parse_list("\tlinux-vdso.so.1 (0x00007ffd)\n"
                                        "\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n"
                                        "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n"
                                        "\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n"
                                        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n",
                                        "p", &strings, &err),
                     0);
    assert_string_equal(strings[0], "/lib/x86_64-linux-gnu/libz.so.1");
    assert_string_equal(strings[1], "/lib/x86_64-linux-gnu/libc.so.6");
    assert_string_equal(strings[2], "/lib64/ld-linux-x86-64.so.2");
    assert_null(strings[3]);
    assert_int_equal(closure_parse_list("\tlibx.so.1 => not found\n", "p", &none, &err), -ENOENT);
    assert_non_null(strstr(err.text, "libx.so.1"));
    assert_int_equal(closure_parse_list("\tlibx.so.1 => /lib/x\n", "p", &none, &err), -EBADMSG);
}

static void closures_are_complete(void **state) {
    const char *cache = *state;
    struct err err = {0};
    _cleanup_strv_ char **first = NULL, **second = NULL;
    if (probe_closure(cache, "/bin/sh", &first, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(first[0], "/bin/sh");
    bool has_libc = false;
    size_t count = 0;
    for (; first[count]; count++) {
        has_libc |= strstr(first[count], "/libc.so.6") != NULL;
        assert_int_equal(access(first[count], R_OK), 0);
    }
    assert_true(has_libc);
    assert_true(count >= 3);
    assert_int_equal(probe_closure(cache, "/bin/sh", &second, &err), 0);
    for (size_t i = 0; i <= count; i++)
        if (first[i])
            assert_string_equal(first[i], second[i]);
        else
            assert_null(second[i]);
}

static void odd_programs(void **state) {
    const char *dir = *state;
    struct err err = {0};
    _cleanup_strv_ char **files = NULL, **none = NULL;
    /* A static program is its own closure; this is the smallest that is one. */
    static const uint8_t elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 2, [18] = 62, [20] = 1, [54] = 56};
    _cleanup_free_ char *path = text_format("%s/static", dir), *script = text_format("%s/script", dir);
    assert_int_equal(write_file_atomic(AT_FDCWD, path, elf, sizeof elf, 0755, &err), 0);
    assert_int_equal(probe_closure(NULL, path, &files, &err), 0);
    assert_string_equal(files[0], path);
    assert_null(files[1]);
    assert_int_equal(write_file_atomic(AT_FDCWD, script, "#!/bin/sh\n", 10, 0755, &err), 0);
    assert_int_equal(probe_closure(NULL, script, &none, &err), -EBADMSG);
    assert_int_equal(probe_closure(NULL, "/nowhere/x", &none, &err), -ENOENT);
    assert_null(strstr(err.text, "No such file"));
    assert_int_equal(probe_closure(NULL, "sh", &none, &err), -EINVAL);
}

static void programs_run_as_nobody(void **state) {
    (void)state;
    struct err err = {0};
    _cleanup_free_ char *output = NULL, *none = NULL;
    const char *const show[] = {
        "sh", "-c", "grep -E '^(Uid|Groups|CapEff|CapBnd|NoNewPrivs):' /proc/self/status; env; ls /proc/self/fd", NULL};
    _cleanup_close_ int secret = open("/dev/null", O_RDONLY); /* not close-on-exec */
    if (run_for_output("/bin/sh", show, 10000, &output, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(strstr(output, "NoNewPrivs:\t1"));
    assert_non_null(strstr(output, "CapEff:\t0000000000000000"));
    if (geteuid() == 0) {
        assert_non_null(strstr(output, "Uid:\t65534\t65534\t65534\t65534"));
        assert_non_null(strstr(output, "CapBnd:\t0000000000000000"));
        assert_non_null(strstr(output, "Groups:\t \n"));
    }
    char leaked[16];
    (void)snprintf(leaked, sizeof leaked, "\n%d\n", secret);
    assert_true(secret < 4 || !strstr(output, leaked));
    assert_null(strstr(output, "HOME="));

    const char *const sleep[] = {"sleep", "60", NULL}, *const fail[] = {"false", NULL};
    int64_t begin = monotonic_msec();
    assert_int_equal(run_for_output("/bin/sleep", sleep, 200, &none, &err), -ETIMEDOUT);
    assert_true(monotonic_msec() - begin < 5000);
    assert_int_equal(run_for_output("/bin/false", fail, 10000, &none, &err), -EIO);
    assert_int_equal(run_for_output("/nowhere/x", fail, 10000, &none, &err), -ENOENT);
    assert_null(strstr(err.text, "No such file"));
    const char *const forever[] = {"sh", "-c", "while :; do echo 0123456789012345678901234567890123456789; done", NULL};
    assert_int_equal(run_for_output("/bin/sh", forever, 10000, &none, &err), -EFBIG);
}

static void caches_are_guarded(void **state) {
    _cleanup_free_ char *dir = text_format("%s/a/b", (const char *)*state), *value = NULL;
    assert_int_equal(cache_load(dir, "x", "key", &value), -ENOENT);
    cache_store(dir, "x", "key", "one\ntwo");
    assert_int_equal(cache_load(dir, "x", "key", &value), 0);
    assert_string_equal(value, "one\ntwo");
    assert_int_equal(cache_load(dir, "x", "ke", &value), -ENOENT);
    assert_int_equal(cache_load(dir, "x", "key2", &value), -ENOENT);
    assert_int_equal(cache_load(NULL, "x", "key", &value), -ENOENT);
    _cleanup_free_ char *file = text_format("%s/x", dir), *link = text_format("%s/link", dir);
    assert_int_equal(symlink("x", link), 0);
    assert_int_equal(cache_load(dir, "link", "key", &value), -ENOENT);
    assert_int_equal(chmod(file, 0666), 0);
    assert_int_equal(cache_load(dir, "x", "key", &value), -ENOENT);
    assert_int_equal(chmod(file, 0600), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    free_ptr(&value);
    assert_int_equal(cache_load(dir, "x", "key", &value), -ENOENT);
    cache_store(dir, "y", "key", "value");
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(cache_load(dir, "y", "key", &value), -ENOENT);
    assert_int_equal(cache_load(dir, "x", "key", &value), 0);
}

static void kvm_has_a_verdict(void **state) {
    struct kvm_probe first = {0}, second = {0};
    struct err err = {0};
    assert_int_equal(probe_kvm(*state, &first, &err), 0);
    assert_true(first.reason[0] != '\0');
    assert_true(first.msec < 5000);
    if (access("/dev/kvm", F_OK) < 0)
        assert_int_equal(first.verdict, KVM_ABSENT);
    assert_int_equal(probe_kvm(*state, &second, &err), 0);
    assert_int_equal(first.verdict, second.verdict);
    assert_string_equal(first.reason, second.reason);
    assert_int_equal(second.msec, 0);
    print_message("KVM: %s (%u ms)\n", first.reason, first.msec);
}

static void tsc_is_steady(void **state) {
    uint64_t first = probe_tsc_khz(NULL), second = probe_tsc_khz(NULL), kept = probe_tsc_khz(*state);
    if (first == 0)
        skip();
    /* Measured twice within 100 ppm, which is far above the noise and far below what a wrong clock would do. */
    assert_true(first > 100000 && first < 20000000);
    assert_true(llabs((long long)first - (long long)second) * 10000 < (long long)first);
    assert_int_equal(probe_tsc_khz(*state), kept);
}

static void qemu_is_known(void **state) {
    static const char path[] = "/usr/bin/qemu-system-x86_64";
    struct vmm_features first = {0}, second = {0};
    struct err err = {0};
    assert_int_equal(probe_qemu(NULL, "/bin/echo", &first, &err), -EBADMSG);
    assert_int_equal(probe_qemu(NULL, "/nowhere/qemu", &first, &err), -ENOENT);
    assert_non_null(strstr(err.text, "apt install"));
    if (access(path, X_OK) < 0)
        skip();
    if (probe_qemu(*state, path, &first, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(first.version_major >= 7);
    assert_int_equal(probe_qemu(*state, path, &second, &err), 0);
    assert_int_equal(first.version_major, second.version_major);
    _cleanup_free_ char *firmware = NULL;
    assert_int_equal(probe_firmware(path, VMM_MICROVM, &firmware, &err), 0);
    assert_true(firmware[0] == '/');
    _cleanup_strv_ char **files = NULL;
    if (probe_closure(NULL, path, &files, &err) < 0)
        fail_msg("%s", err.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_strict),
        cmocka_unit_test(library_lists_are_read),
        cmocka_unit_test_setup_teardown(closures_are_complete, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(odd_programs, make_directory, remove_directory),
        cmocka_unit_test(programs_run_as_nobody),
        cmocka_unit_test_setup_teardown(caches_are_guarded, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(kvm_has_a_verdict, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(tsc_is_steady, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(qemu_is_known, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
