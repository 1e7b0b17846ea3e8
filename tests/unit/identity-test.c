/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/identity/identity.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { START = 1878010000 };

static char directory[] = "/tmp/minka-identity-XXXXXX";
static char ledger[128];

static int set_up(void **state) {
    (void)state;
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(ledger, sizeof ledger, "%s/uids", directory);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char path[160];
    static const char *const suffixes[] = {"", ".lock", ".tmp"};
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        (void)snprintf(path, sizeof path, "%s%s", ledger, suffixes[i]);
        (void)unlink(path);
    }
    return rmdir(directory);
}

static void lease(const struct identity_range *range, const char *owner, size_t count, uint32_t *ids) {
    struct err err = {0};
    if (identity_lease(range, owner, count, ids, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_ids_come_in_turn(void **state) {
    (void)state;
    const struct identity_range range = {ledger, START, 10};
    struct err err = {0};
    uint32_t ids[10];
    assert_int_equal(identity_count(&range, NULL, &err), 0);
    lease(&range, "a", 4, ids);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ids[i], START + i);
    assert_int_equal(identity_release(&range, "a", &err), 0);
    assert_int_equal(identity_release(&range, "a", &err), 0); /* none is fine */
    lease(&range, "b", 4, ids);
    assert_int_equal(ids[0], START + 4); /* not the ones just given back */
    lease(&range, "c", 4, ids);
    assert_int_equal(ids[0], START + 8);
    assert_int_equal(ids[2], START + 0); /* round the end */
    assert_int_equal(identity_count(&range, NULL, &err), 8);
    assert_int_equal(identity_count(&range, "b", &err), 4);
    assert_int_equal(identity_lease(&range, "d", 3, ids, &err), -EDQUOT);
    assert_non_null(strstr(err.text, "are in use"));
    assert_int_equal(identity_count(&range, "d", &err), 0); /* all or nothing */
    lease(&range, "d", 2, ids);
}

static void test_bad_input(void **state) {
    (void)state;
    struct identity_range range = {ledger, START, 10};
    struct err err = {0};
    uint32_t ids[16];
    assert_int_equal(identity_lease(&range, "", 1, ids, &err), -EINVAL);
    assert_int_equal(identity_lease(&range, "a\nb", 1, ids, &err), -EINVAL);
    assert_int_equal(identity_lease(&range, "a", 11, ids, &err), -EINVAL);
    range.size = 0;
    assert_int_equal(identity_lease(&range, "a", 1, ids, &err), -EINVAL);
    range = (struct identity_range){ledger, UINT32_MAX - 5, 10};
    assert_int_equal(identity_lease(&range, "a", 1, ids, &err), -EINVAL);
    range = (struct identity_range){"/does/not/exist/uids", START, 10};
    assert_int_equal(identity_lease(&range, "a", 1, ids, &err), -ENOENT);
}

static void test_damaged_ledger_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "1878010000 a\n",
        "next x\n",
        "next 1878010000\n1878010000\n",
        "next 1878010000\n1878010000 a",
        "next 1878010000\n-1 a\n",
        "next 1878010000\n99999999999 a\n",
        "\n",
        "next 1878010000\n1878010000 \n",
    };
    const struct identity_range range = {ledger, START, 10};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err err = {0};
        uint32_t id;
        assert_int_equal(write_file_atomic(AT_FDCWD, ledger, bad[i], strlen(bad[i]), 0600, &err), 0);
        if (identity_lease(&range, "a", 1, &id, &err) != -EUCLEAN)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.text, ledger));
    }
    struct err err = {0};
    uint32_t id;
    static const char zeros[] = "next 1878010000\n\0\0\0\n";
    assert_int_equal(write_file_atomic(AT_FDCWD, ledger, zeros, sizeof zeros - 1, 0600, &err), 0);
    assert_int_equal(identity_lease(&range, "a", 1, &id, &err), -EUCLEAN);
}

/* A uid whose process lives is not handed out, lease or no lease. */
static void test_living_uid_is_not_reused(void **state) {
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: needs root, to become another uid\n");
        skip();
    }
    const struct identity_range range = {ledger, START + 500, 3};
    struct err err = {0};
    uint32_t ids[3];
    lease(&range, "a", 2, ids);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setresuid(ids[1], ids[1], ids[1]) == 0)
            (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    char word;
    assert_int_equal(read(ready[0], &word, 1), 1);
    assert_int_equal(identity_release(&range, "a", &err), 0);
    lease(&range, "b", 2, ids);
    assert_int_equal(ids[0], START + 502);
    assert_int_equal(ids[1], START + 500);
    assert_int_equal(identity_lease(&range, "c", 1, ids, &err), -EDQUOT);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    lease(&range, "c", 1, ids);
    assert_int_equal(ids[0], START + 501);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* The state directory went, the lease stayed: it comes back when it is needed, and not before. */
static void test_orphans_are_taken_back(void **state) {
    (void)state;
    const struct identity_range range = {ledger, START, 4};
    struct err err = {0};
    uint32_t ids[4];
    lease(&range, "/nowhere/at/all", 2, ids);
    lease(&range, directory, 1, ids);
    assert_int_equal(identity_count(&range, NULL, &err), 3);
    lease(&range, "x", 3, ids);
    assert_int_equal(identity_count(&range, "/nowhere/at/all", &err), 0);
    assert_int_equal(identity_count(&range, directory, &err), 1);
}

enum { WORKERS = 20, ROUNDS = 50 };

/* Every id that a worker holds is marked in a table all share; nobody may find his marked by another. */
static int work(const struct identity_range *range, int table, int number) {
    char owner[32];
    (void)snprintf(owner, sizeof owner, "worker %d", number);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t ids[4];
        uint8_t mark = 0;
        struct err err = {0};
        if (identity_lease(range, owner, 4, ids, &err) < 0)
            return 1;
        for (int i = 0; i < 4; i++) {
            off_t at = (off_t)(ids[i] - range->start);
            if (pread(table, &mark, 1, at) == 1 && mark != 0)
                return 2;
            mark = (uint8_t)(number + 1);
            if (pwrite(table, &mark, 1, at) != 1)
                return 3;
        }
        for (int i = 0; i < 4; i++) {
            off_t at = (off_t)(ids[i] - range->start);
            if (pread(table, &mark, 1, at) != 1 || mark != number + 1)
                return 4;
            mark = 0;
            if (pwrite(table, &mark, 1, at) != 1)
                return 5;
        }
        if (identity_release(range, owner, &err) < 0)
            return 6;
    }
    return 0;
}

static void test_thousand_leases_at_once(void **state) {
    (void)state;
    const struct identity_range range = {ledger, START, 100};
    _cleanup_close_ int table = memfd_create("table", MFD_CLOEXEC);
    assert_true(table >= 0 && ftruncate(table, 100) == 0);
    pid_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (workers[i] == 0)
            _exit(work(&range, table, i));
    }
    for (int i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
        assert_int_equal(status, 0);
    }
    struct err err = {0};
    assert_int_equal(identity_count(&range, NULL, &err), 0);
}

/* Killed anywhere, even between two system calls of a lease: the ledger stays whole and nobody waits for the lock. */
static void test_crashes_leave_a_whole_ledger(void **state) {
    (void)state;
    const struct identity_range range = {ledger, START, 100};
    struct err err = {0};
    for (int i = 0; i < 60; i++) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;) {
                uint32_t ids[4];
                (void)identity_lease(&range, "/nowhere", 4, ids, NULL);
                (void)identity_release(&range, "/nowhere", NULL);
            }
        (void)usleep((useconds_t)(200 + 37 * i));
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        int count = identity_count(&range, "/nowhere", &err);
        if (count < 0)
            fail_msg("%s", err.text);
        assert_true(count % 4 == 0);
        assert_int_equal(identity_release(&range, "/nowhere", &err), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ids_come_in_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_ledger_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_living_uid_is_not_reused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_orphans_are_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_thousand_leases_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_crashes_leave_a_whole_ledger, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
