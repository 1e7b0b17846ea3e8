/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/state/state.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct place {
    char top[64];
    char root[96];
};

static int make_place(void **data) {
    struct place *p = calloc(1, sizeof *p);
    (void)snprintf(p->top, sizeof p->top, "/tmp/minka-state-test.XXXXXX");
    assert_non_null(mkdtemp(p->top));
    /* Not there yet, two levels deep: state_create() makes it. */
    (void)snprintf(p->root, sizeof p->root, "%s/a/root", p->top);
    *data = p;
    return 0;
}

static int remove_place(void **data) {
    struct place *p = *data;
    (void)rmdir(p->root);
    char parent[80];
    (void)snprintf(parent, sizeof parent, "%s/a", p->top);
    (void)rmdir(parent);
    int r = rmdir(p->top); /* fails when a test left something */
    free(p);
    return r;
}

static struct state *example(void) {
    struct state *s = state_new("box");
    assert_non_null(s);
    free(s->bundle);
    s->bundle = strdup("/bundles/\"quoted\"\n\xc3\xa9");
    free(s->cgroup);
    s->cgroup = strdup("/minka/box");
    s->status = STATE_PAUSED;
    (void)snprintf(s->created, sizeof s->created, "2024-05-06T07:08:09.123456789Z");
    s->owner = 1000;
    s->monitor = (struct state_process){4194303, UINT64_MAX};
    s->standin = (struct state_process){12, 34};
    for (uint32_t i = 0; i < 4; i++)
        s->uids[i] = UINT32_MAX - i;
    s->memory_mib = 2048;
    s->host_overhead_mib = 77;
    s->vcpus = 3;
    s->terminal = true;
    return s;
}

static void saved_is_loaded(void **data) {
    struct place *p = *data;
    struct err err = {0};
    _cleanup_close_ int dir = -EBADF;
    assert_int_equal(state_create(p->root, "box", &dir, &err), 0);
    _cleanup_state_ struct state *a = example(), *b = NULL;
    assert_int_equal(state_save(dir, a, &err), 0);
    assert_int_equal(state_load(dir, &b, &err), 0);
    assert_string_equal(b->id, a->id);
    assert_string_equal(b->bundle, a->bundle);
    assert_string_equal(b->cgroup, a->cgroup);
    assert_string_equal(b->created, a->created);
    assert_int_equal(b->status, STATE_PAUSED);
    assert_int_equal(b->owner, 1000);
    assert_int_equal(b->monitor.pid, a->monitor.pid);
    assert_true(b->monitor.start_ticks == UINT64_MAX);
    assert_int_equal(b->standin.start_ticks, 34);
    assert_int_equal(b->vmm.pid, 0);
    assert_memory_equal(b->uids, a->uids, sizeof a->uids);
    assert_int_equal(b->memory_mib, 2048);
    assert_int_equal(b->host_overhead_mib, 77);
    assert_int_equal(b->vcpus, 3);
    assert_true(b->terminal);
    struct stat st;
    assert_int_equal(fstatat(dir, "state.json", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(state_remove(p->root, "box", &err), 0);
}

static void an_id_is_taken_once(void **data) {
    struct place *p = *data;
    struct err err = {0};
    _cleanup_close_ int dir = -EBADF, other = -EBADF;
    assert_int_equal(state_create(p->root, "box", &dir, &err), 0);
    assert_int_equal(state_create(p->root, "box", &other, &err), -EEXIST);
    assert_non_null(strstr(err.text, "box exists already"));
    close_fd(&dir);
    /* A creator that died before it had written anything: its place is taken over. */
    assert_int_equal(state_create(p->root, "box", &dir, &err), 0);
    _cleanup_state_ struct state *state = example();
    assert_int_equal(state_save(dir, state, &err), 0);
    close_fd(&dir);
    assert_int_equal(state_create(p->root, "box", &other, &err), -EEXIST);
    assert_int_equal(state_remove(p->root, "box", &err), 0);
}

static void unknown_and_bad_ids(void **data) {
    struct place *p = *data;
    struct err err = {0};
    int dir = -EBADF;
    assert_int_equal(state_open(p->root, "box", &dir, &err), -ENOENT);
    assert_string_equal(err.text, "container box does not exist");
    static const char *const bad[] = {"", ".", "..", "a/b", "../x", "a b", "\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(state_create(p->root, bad[i], &dir, &err), -EINVAL);
        assert_int_equal(state_open(p->root, bad[i], &dir, &err), -EINVAL);
        assert_int_equal(state_remove(p->root, bad[i], &err), -EINVAL);
    }
    assert_int_equal(dir, -EBADF);
}

static void opening_locks_and_peeking_does_not(void **data) {
    struct place *p = *data;
    struct err err = {0};
    _cleanup_close_ int dir = -EBADF, look = -EBADF;
    assert_int_equal(state_create(p->root, "box", &dir, &err), 0);
    assert_int_equal(state_peek(p->root, "box", &look, &err), 0);
    assert_int_equal(flock(look, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close_fd(&dir);
    assert_int_equal(flock(look, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(state_remove(p->root, "box", &err), 0);
}

static void damaged_documents_are_refused(void **data) {
    struct place *p = *data;
    struct err err = {0};
    _cleanup_close_ int dir = -EBADF;
    assert_int_equal(state_create(p->root, "box", &dir, &err), 0);
    _cleanup_state_ struct state *state = example(), *loaded = NULL;
    assert_int_equal(state_save(dir, state, &err), 0);
    _cleanup_free_ char *text = NULL;
    size_t length;
    assert_int_equal(read_file(dir, "state.json", 1 << 20, &text, &length, &err), 0);
    for (size_t cut = 0; cut < length - 2; cut += 7) {
        assert_int_equal(write_file_atomic(dir, "state.json", text, cut, 0600, &err), 0);
        err = (struct err){0};
        assert_true(state_load(dir, &loaded, &err) < 0);
        assert_true(err.text[0] != '\0');
    }
    static const char *const bad[] = {"{}", "[]", "{\"format\": 99}", "{\"format\": \"1\"}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(write_file_atomic(dir, "state.json", bad[i], strlen(bad[i]), 0600, &err), 0);
        assert_true(state_load(dir, &loaded, &err) < 0);
    }
    assert_null(loaded);
    assert_int_equal(unlinkat(dir, "state.json", 0), 0);
    assert_int_equal(state_load(dir, &loaded, &err), -ENOENT);
    assert_int_equal(state_remove(p->root, "box", &err), 0);
}

static void lists_only_containers(void **data) {
    struct place *p = *data;
    struct err err = {0};
    _cleanup_strv_ char **none = NULL, **ids = NULL;
    assert_int_equal(state_list(p->root, &none, &err), 0);
    assert_null(none[0]);
    static const char *const names[] = {"b", "a", "unfinished"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_close_ int dir = -EBADF;
        assert_int_equal(state_create(p->root, names[i], &dir, &err), 0);
        _cleanup_state_ struct state *state = example();
        if (i < 2)
            assert_int_equal(state_save(dir, state, &err), 0);
    }
    char file[128];
    (void)snprintf(file, sizeof file, "%s/leases", p->root);
    assert_int_equal(write_file_atomic(AT_FDCWD, file, "", 0, 0600, &err), 0);
    assert_int_equal(state_list(p->root, &ids, &err), 0);
    assert_string_equal(ids[0], "a");
    assert_string_equal(ids[1], "b");
    assert_null(ids[2]);
    assert_int_equal(unlink(file), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(state_remove(p->root, names[i], &err), 0);
}

static void a_zombie_and_a_stranger_are_dead(void **data) {
    (void)data;
    struct state_process self, child;
    assert_int_equal(state_process_of(getpid(), &self), 0);
    assert_true(state_process_alive(&self));
    _cleanup_close_ int fd = state_process_open(&self);
    assert_true(fd >= 0);
    struct state_process stranger = {self.pid, self.start_ticks + 1};
    assert_false(state_process_alive(&stranger));
    assert_int_equal(state_process_open(&stranger), -ESRCH);
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    assert_int_equal(state_process_of(pid, &child), 0);
    assert_true(state_process_alive(&child));
    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(state_process_alive(&child)); /* Z */
    assert_int_equal(state_process_open(&child), -ESRCH);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(state_process_alive(&child));
    assert_int_equal(state_process_of(pid, &child), -ESRCH);
    assert_false(state_process_alive(&(struct state_process){0}));
}

static void refresh_tells_the_truth(void **data) {
    (void)data;
    _cleanup_state_ struct state *s = state_new("box");
    struct state_process self, gone = {1 << 22, 1};
    assert_int_equal(state_process_of(getpid(), &self), 0);
    static const struct {
        enum state_status before;
        bool creator, monitor, standin;
        enum state_status after;
    } cases[] = {
        {STATE_CREATING, true, false, false, STATE_CREATING}, {STATE_CREATING, false, true, true, STATE_STOPPED},
        {STATE_CREATED, false, true, true, STATE_CREATED},    {STATE_RUNNING, false, true, true, STATE_RUNNING},
        {STATE_RUNNING, true, false, true, STATE_STOPPED},    {STATE_PAUSED, true, true, false, STATE_STOPPED},
        {STATE_STOPPED, true, true, true, STATE_STOPPED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        s->status = cases[i].before;
        s->creator = cases[i].creator ? self : gone;
        s->monitor = cases[i].monitor ? self : gone;
        s->standin = cases[i].standin ? self : gone;
        state_refresh(s);
        assert_int_equal(s->status, cases[i].after);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(saved_is_loaded, make_place, remove_place),
        cmocka_unit_test_setup_teardown(an_id_is_taken_once, make_place, remove_place),
        cmocka_unit_test_setup_teardown(unknown_and_bad_ids, make_place, remove_place),
        cmocka_unit_test_setup_teardown(opening_locks_and_peeking_does_not, make_place, remove_place),
        cmocka_unit_test_setup_teardown(damaged_documents_are_refused, make_place, remove_place),
        cmocka_unit_test_setup_teardown(lists_only_containers, make_place, remove_place),
        cmocka_unit_test(a_zombie_and_a_stranger_are_dead),
        cmocka_unit_test(refresh_tells_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
