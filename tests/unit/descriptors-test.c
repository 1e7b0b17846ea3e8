/* SPDX-License-Identifier: Apache-2.0 */
#include "descriptors.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void activation_is_for_the_process_it_names(void **state) {
    (void)state;
    char pid[16];
    uint32_t count;
    struct err err = {0};
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(descriptors_activated(NULL, NULL, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(descriptors_activated("2", NULL, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(descriptors_activated("2", "1", &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(descriptors_activated("2", pid, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(descriptors_activated("many", "1", &count, &err), 0);
    assert_int_equal(descriptors_activated("many", pid, &count, &err), -EINVAL);
    assert_string_equal(err.text, "LISTEN_FDS in the environment is not a number: \"many\"");
}

static void activation_is_told_to_the_process(void **state) {
    (void)state;
    char *env[] = {(char *)(uintptr_t)("LISTEN_FDS=7"), (char *)(uintptr_t)("A=b"),
                   (char *)(uintptr_t)("LISTEN_PIDS=x")};
    struct oci_process process = {.env = env, .n_env = ARRAY_SIZE(env)};
    struct announcement none, some;
    assert_int_equal(descriptors_announce(0, &process, &none, NULL), 0);
    assert_ptr_equal(process.env, env);
    assert_int_equal(descriptors_announce(2, &process, &some, NULL), 0);
    assert_int_equal(process.n_env, 4);
    assert_string_equal(process.env[0], "A=b");
    assert_string_equal(process.env[1], "LISTEN_PIDS=x");
    assert_string_equal(process.env[2], "LISTEN_FDS=2");
    assert_string_equal(process.env[3], "LISTEN_PID=1");
    assert_null(process.env[4]);
    announcement_done(&none);
    announcement_done(&some);
}

static void only_what_the_caller_left_open_is_passed_on(void **state) {
    (void)state;
    struct setup_streams streams = {.fds = {0, 1, 2}, .count = STREAMS_STANDARD};
    struct err err = {0};
    assert_int_equal(descriptors_add(0, 0, 0, &streams, &err), 0);
    assert_int_equal(streams.count, 3);
    assert_int_equal(descriptors_add(7, 1, 2, &streams, &err), 0);
    assert_int_equal(streams.count, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(streams.fds[i], i);
    streams.count = STREAMS_STANDARD;
    assert_int_equal(descriptors_add(5, 0, 3, &streams, &err), -EBADF);
    assert_string_equal(err.text, "descriptor 4 is not open, but --preserve-fds 3 asks for it");
    streams.count = STREAMS_STANDARD;
    assert_int_equal(descriptors_add(1, 2, 1, &streams, &err), -EBADF);
    assert_string_equal(err.text, "descriptor 4 is not open, but LISTEN_FDS = 2 asks for it");
    streams.count = STREAMS_STANDARD;
    assert_int_equal(descriptors_add(UINT64_MAX, 0, STREAMS_FURTHER_MAX, &streams, &err), 0);
    assert_int_equal(streams.count, STREAMS_MAX);
    streams.count = STREAMS_STANDARD;
    assert_int_equal(descriptors_add(UINT64_MAX, 1, UINT32_MAX, &streams, &err), -EINVAL);
    assert_string_equal(err.text, "a process in a virtual machine can be given 32 descriptors, not 4294967296 "
                                  "(LISTEN_FDS and --preserve-fds)");
}

static void inherited_ones_are_known_and_closed_on_exec(void **state) {
    (void)state;
    _cleanup_close_ int fd = open("/dev/null", O_RDONLY);
    assert_in_range(fd, 3, STREAMS_MAX - 1);
    uint64_t inherited = descriptors_inherited();
    assert_true(inherited & UINT64_C(1) << (fd - STREAMS_STANDARD));
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    int number = fd;
    close_fd(&fd);
    assert_false(descriptors_inherited() & UINT64_C(1) << (number - STREAMS_STANDARD));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activation_is_for_the_process_it_names),
        cmocka_unit_test(activation_is_told_to_the_process),
        cmocka_unit_test(only_what_the_caller_left_open_is_passed_on),
        cmocka_unit_test(inherited_ones_are_known_and_closed_on_exec),
    };
    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
