/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/base/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- err ---- */

static void err_fills_wraps_and_stays_one_line(void **state) {
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set(&err, ENOENT, "no %s\nhere", "house"), -ENOENT);
    assert_string_equal(err.text, "no house here");
    assert_int_equal(err_wrap(&err, "cannot move in"), -ENOENT);
    assert_string_equal(err.text, "cannot move in: no house here");
    errno = EACCES;
    assert_int_equal(err_errno(&err, "cannot open x"), -EACCES);
    assert_string_equal(err.text, "cannot open x: Permission denied");
    assert_int_equal(err_set(NULL, EIO, "nobody listens"), -EIO);
}

static void err_cuts_what_is_too_long(void **state) {
    (void)state;
    struct err err = {0};
    char text[2 * ERR_TEXT_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_set(&err, EIO, "%s", text);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_int_equal(err_wrap(&err, "outer"), -EIO);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "outer: xxx", 10);
}

/* ---- buf, reader ---- */

static void buf_grows_and_consumes(void **state) {
    (void)state;
    _cleanup_buf_ struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_append_format(&b, "%03d", i), 0);
    assert_int_equal(b.length, 3000);
    assert_memory_equal(buf_string(&b), "000001002", 9);
    buf_consume(&b, 2997);
    assert_string_equal(buf_string(&b), "999");
    buf_consume(&b, 100);
    assert_int_equal(b.length, 0);
    assert_int_equal(buf_append_be32(&b, 0x01020304), 0);
    assert_memory_equal(b.data, "\1\2\3\4", 4);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
    assert_int_equal(b.length, 4);
}

static void reader_stops_at_the_end(void **state) {
    (void)state;
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct reader r = reader_of(bytes, sizeof bytes);
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64 = 7;
    const uint8_t *p;
    assert_int_equal(reader_u8(&r, &u8), 0);
    assert_int_equal(u8, 1);
    assert_int_equal(reader_be32(&r, &u32), 0);
    assert_int_equal(u32, 0x02030405);
    assert_int_equal(reader_le16(&r, &u16), 0);
    assert_int_equal(u16, 0x0706);
    assert_int_equal(reader_le32(&r, &u32), 0);
    assert_int_equal(u32, 0x0b0a0908);
    assert_int_equal(reader_le64(&r, &u64), -EBADMSG); /* four bytes are left */
    assert_int_equal(u64, 7);
    assert_int_equal(reader_skip(&r, 1), 0);
    assert_int_equal(reader_bytes(&r, 3, &p), 0);
    assert_ptr_equal(p, bytes + 12);
    assert_int_equal(reader_u8(&r, &u8), -EBADMSG);
    assert_int_equal(reader_bytes(&r, SIZE_MAX, &p), -EBADMSG);
}

/* ---- fd ---- */

static int directory(void **state) {
    char path[] = "/tmp/minka-base-test-XXXXXX";
    *state = mkdtemp(path) ? strdup(path) : NULL;
    return *state ? 0 : -1;
}

static int no_directory(void **state) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", (char *)*state);
    free(*state);
    return system(command);
}

static void open_in_root_stays_inside(void **state) {
    _cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdir_parents(dir, "tree/etc", 0755), 0);
    assert_int_equal(mkdir_parents(dir, "tree/etc", 0755), 0);
    _cleanup_close_ int tree = openat(dir, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(write_file_atomic(dir, "secret", "outside", 7, 0600, NULL), 0);
    assert_int_equal(write_file_atomic(tree, "secret", "inside", 6, 0600, NULL), 0);
    assert_int_equal(symlinkat("../../../../secret", tree, "etc/up"), 0);
    assert_int_equal(symlinkat("/secret", tree, "etc/absolute"), 0);
    assert_int_equal(symlinkat("/proc/self/root", tree, "etc/magic"), 0);
    const char *const paths[] = {"etc/up", "etc/absolute", "../secret", "/secret"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        char text[8] = {0};
        _cleanup_close_ int fd = open_in_root(tree, paths[i], O_RDONLY, 0);
        assert_true(fd >= 0);
        assert_int_equal(read_all(fd, text, 6), 0);
        assert_string_equal(text, "inside");
    }
    assert_int_equal(open_in_root(tree, "etc/magic/tmp", O_RDONLY, 0), -ENOENT);
    _cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(open_in_root(proc, "self/root", O_RDONLY, 0), -ELOOP);
}

static void files_are_read_whole_and_bounded(void **state) {
    _cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err err = {0};
    _cleanup_free_ char *text = NULL;
    size_t length;
    assert_int_equal(write_file_atomic(dir, "file", "0123456789", 10, 0640, &err), 0);
    assert_int_equal(read_file(dir, "file", 10, &text, &length, &err), 0);
    assert_int_equal(length, 10);
    assert_string_equal(text, "0123456789");
    char *untouched = NULL;
    assert_int_equal(read_file(dir, "file", 9, &untouched, NULL, &err), -EFBIG);
    assert_int_equal(read_file(dir, "none", 9, &untouched, NULL, &err), -ENOENT);
    assert_non_null(strstr(err.text, "none"));
    assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
    assert_int_equal(read_file(dir, "fifo", 9, &untouched, NULL, &err), -EINVAL);
    assert_int_equal(read_file(dir, ".", 9, &untouched, NULL, &err), -EINVAL);
    assert_null(untouched);
    /* A /proc file says that it has no size. */
    _cleanup_free_ char *status = NULL;
    assert_int_equal(read_file(AT_FDCWD, "/proc/self/status", 1 << 20, &status, NULL, &err), 0);
    assert_non_null(strstr(status, "Name:"));
}

static void a_failed_write_leaves_the_old_file(void **state) {
    _cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err err = {0};
    assert_int_equal(mkdirat(dir, "taken", 0700), 0);
    assert_true(write_file_atomic(dir, "taken", "x", 1, 0600, &err) < 0);
    assert_int_equal(faccessat(dir, "taken.tmp", F_OK, 0), -1);
    assert_true(write_file_atomic(dir, "missing/file", "x", 1, 0600, &err) < 0);
    assert_int_equal(write_kernel_file(dir, "missing", "1"), -ENOENT);
}

static void memfds_are_sealed(void **state) {
    (void)state;
    _cleanup_close_ int fd = memfd_of("test", "abc", 3);
    char text[4] = {0};
    assert_true(fd >= 0);
    assert_int_equal(read_all(fd, text, 3), 0);
    assert_string_equal(text, "abc");
    assert_int_equal(read_all(fd, text, 1), -ENODATA);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
}

static int open_descriptors(void) {
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void descriptors_travel_and_surplus_is_closed(void **state) {
    (void)state;
    int pair[2], sent[3] = {0, 1, 2}, got[2];
    size_t n_got;
    char text[8] = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    int before = open_descriptors();
    assert_int_equal(send_with_fds(pair[0], "hi", 3, sent, 3), 0);
    assert_int_equal(receive_with_fds(pair[1], text, sizeof text, got, 2, &n_got), 3);
    assert_string_equal(text, "hi");
    assert_int_equal(n_got, 2);
    assert_int_equal(open_descriptors(), before + 2);
    assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    (void)close(got[0]);
    (void)close(got[1]);
    /* Cut off: nothing of it is used, and nothing leaks. */
    assert_int_equal(send_with_fds(pair[0], "0123456789", 10, sent, 2), 0);
    assert_int_equal(receive_with_fds(pair[1], text, 4, got, 2, &n_got), -EMSGSIZE);
    assert_int_equal(n_got, 0);
    assert_int_equal(open_descriptors(), before);
    (void)close(pair[0]);
    assert_int_equal(receive_with_fds(pair[1], text, 4, got, 2, &n_got), 0);
    (void)close(pair[1]);
}

/* ---- loop ---- */

struct trace {
    struct loop *loop;
    struct loop_source *source[3];
    char text[32];
    int fd, count;
};

static void note(struct trace *t, char c) {
    size_t n = strlen(t->text);
    if (n + 1 < sizeof t->text)
        t->text[n] = c;
}
static void timer_a(void *data) {
    note(data, 'a');
}
static void timer_b(void *data) {
    struct trace *t = data;
    note(t, 'b');
    t->source[0] = loop_source_free(t->source[0]);
    (void)loop_timer_set(t->source[2], 5);
}
static void timer_quit(void *data) {
    struct trace *t = data;
    note(t, 'q');
    loop_quit(t->loop, 7);
}

static void timers_fire_in_order_once(void **state) {
    (void)state;
    struct trace t = {0};
    assert_int_equal(loop_new(&t.loop, NULL), 0);
    assert_int_equal(loop_add_timer(t.loop, 30, timer_a, &t, &t.source[0]), 0);
    assert_int_equal(loop_add_timer(t.loop, 0, timer_b, &t, &t.source[1]), 0);
    assert_int_equal(loop_add_timer(t.loop, -1, timer_quit, &t, &t.source[2]), 0);
    int64_t begin = monotonic_msec();
    assert_int_equal(loop_run(t.loop), 7);
    assert_in_range(monotonic_msec() - begin, 5, 5000);
    assert_string_equal(t.text, "bq"); /* a was freed by b */
    loop_free(t.loop);
}

static void read_one(void *data, uint32_t events) {
    struct trace *t = data;
    char c;
    if ((events & EPOLLIN) && read(t->fd, &c, 1) == 1)
        return note(t, c);
    t->source[0] = loop_source_free(t->source[0]);
    loop_quit(t->loop, 0);
}

static void pipes_and_regular_files_are_watched(void **state) {
    struct trace t = {0};
    int pipe_fds[2];
    assert_int_equal(loop_new(&t.loop, NULL), 0);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(write(pipe_fds[1], "xyz", 3), 3);
    (void)close(pipe_fds[1]);
    t.fd = pipe_fds[0];
    assert_int_equal(loop_add_fd(t.loop, t.fd, EPOLLIN, read_one, &t, &t.source[0]), 0);
    assert_int_equal(loop_run(t.loop), 0);
    assert_string_equal(t.text, "xyz");
    (void)close(t.fd);

    _cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(write_file_atomic(dir, "data", "123", 3, 0600, NULL), 0);
    t.fd = openat(dir, "data", O_RDONLY | O_CLOEXEC);
    assert_int_equal(loop_add_fd(t.loop, t.fd, EPOLLIN, read_one, &t, &t.source[0]), 0);
    assert_int_equal(loop_run(t.loop), 0);
    assert_string_equal(t.text, "xyz123");
    (void)close(t.fd);
    loop_free(t.loop);
}

static void on_signal(void *data, const struct signalfd_siginfo *info) {
    struct trace *t = data;
    if (++t->count == 2)
        loop_quit(t->loop, (int)info->ssi_signo);
}

static void signals_arrive_in_the_loop(void **state) {
    (void)state;
    struct trace t = {0};
    static const int signals[] = {SIGUSR1, SIGUSR2, 0};
    assert_int_equal(loop_new(&t.loop, NULL), 0);
    assert_int_equal(loop_add_signals(t.loop, signals, on_signal, &t, &t.source[0]), 0);
    (void)raise(SIGUSR1);
    (void)raise(SIGUSR2);
    assert_int_equal(loop_run(t.loop), SIGUSR2);
    loop_free(t.loop);
}

static void a_source_may_free_the_others_of_its_round(void *data, uint32_t events) {
    (void)events;
    struct trace *t = data;
    t->count++;
    for (size_t i = 0; i < ARRAY_SIZE(t->source); i++)
        t->source[i] = loop_source_free(t->source[i]);
    loop_quit(t->loop, 0);
}

static void freed_sources_are_not_called(void **state) {
    (void)state;
    struct trace t = {0};
    int pipes[3][2];
    assert_int_equal(loop_new(&t.loop, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
        assert_int_equal(write(pipes[i][1], "x", 1), 1);
        assert_int_equal(
            loop_add_fd(t.loop, pipes[i][0], EPOLLIN, a_source_may_free_the_others_of_its_round, &t, &t.source[i]), 0);
    }
    assert_int_equal(loop_run(t.loop), 0);
    assert_int_equal(t.count, 1);
    loop_free(t.loop);
    for (size_t i = 0; i < 3; i++) {
        (void)close(pipes[i][0]);
        (void)close(pipes[i][1]);
    }
}

/* ---- text ---- */

static void numbers_are_strict(void **state) {
    (void)state;
    uint64_t u = 1;
    int64_t i = 1;
    const char *const bad[] = {"", " 1", "1 ", "+1", "0x10", "1a", "-"};
    for (size_t n = 0; n < ARRAY_SIZE(bad); n++) {
        assert_int_equal(parse_u64(bad[n], &u), -EINVAL);
        assert_int_equal(parse_i64(bad[n], &i), -EINVAL);
    }
    assert_int_equal(parse_u64("-1", &u), -EINVAL);
    assert_int_equal(parse_u64("18446744073709551615", &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(parse_u64("18446744073709551616", &u), -ERANGE);
    assert_int_equal(parse_i64("-9223372036854775808", &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(parse_i64("9223372036854775808", &i), -ERANGE);
}

static void signals_have_names(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int number;
    } table[] = {{"KILL", 9},         {"SIGKILL", 9},       {"sigterm", 15},       {"9", 9},
                 {"64", 64},          {"RTMIN", 34},        {"RTMIN+3", 37},       {"RTMAX-1", 63},
                 {"SIGRTMAX", 64},    {"0", -EINVAL},       {"65", -EINVAL},       {"", -EINVAL},
                 {"KIL", -EINVAL},    {"RTMIN-1", -EINVAL}, {"RTMIN+31", -EINVAL}, {"-9", -EINVAL},
                 {"RTMAX+0", -EINVAL}};
    for (size_t n = 0; n < ARRAY_SIZE(table); n++)
        assert_int_equal(signal_from_text(table[n].text), table[n].number);
    for (int n = 1; n <= 64; n++)
        if (n != 32 && n != 33)
            assert_int_equal(signal_from_text(signal_to_text(n)), n);
    assert_string_equal(signal_to_text(11), "SIGSEGV");
}

static void ids_are_checked(void **state) {
    (void)state;
    char long_id[257];
    memset(long_id, 'a', sizeof long_id);
    long_id[256] = '\0';
    assert_false(id_is_valid(long_id));
    long_id[255] = '\0';
    assert_true(id_is_valid(long_id));
    assert_true(id_is_valid("a_B+1.-"));
    const char *const bad[] = {"", ".", "..", "a/b", "a b", "\xc3\xa4", "a\n"};
    for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
        assert_false(id_is_valid(bad[n]));
    char name[ID_CGROUP_SIZE];
    const char *const own[] = {"box", "web-1.example", "1.2", "a.", ".b", "Tasks", long_id};
    for (size_t n = 0; n < ARRAY_SIZE(own); n++)
        assert_string_equal(id_to_cgroup(own[n], name), own[n]);
    const char *const files[] = {"tasks",      "release_agent",   "notify_on_release",
                                 "memory.max", "hugetlb.2MB.max", "net_cls.classid"};
    for (size_t n = 0; n < ARRAY_SIZE(files); n++) {
        assert_memory_equal(id_to_cgroup(files[n], name), files[n], strlen(files[n]));
        assert_string_equal(name + strlen(files[n]), ":");
    }
}

static void foreign_text_is_made_printable(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } table[] = {{"plain", "plain"},
                 {"tab\tline\nreturn\r", "tab line return "},
                 {"\033[31mred", "?[31mred"},
                 {"\x7f", "?"},
                 {"K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x98\x80", "K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x98\x80"},
                 {"c1 \xc2\x9b", "c1 ??"},
                 {"cut \xe2\x82", "cut ??"},
                 {"overlong \xc0\xaf", "overlong ??"},
                 {"surrogate \xed\xa0\x80", "surrogate ???"},
                 {"", ""}};
    for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s", table[n].in);
        text_make_printable(text);
        assert_string_equal(text, table[n].out);
    }
    _cleanup_free_ char *text = text_format("%s-%d", "a", 1);
    assert_string_equal(text, "a-1");
    assert_true(text_has_prefix("prefix", "pre"));
    assert_false(text_has_prefix("pre", "prefix"));
}

/* ---- undo ---- */

static char undone[8];
static void undo_letter(void *data) {
    undone[strlen(undone)] = *(char *)data;
}

static void undo_runs_backwards_unless_kept(void **state) {
    (void)state;
    static char a = 'a', b = 'b', c = 'c';
    {
        _cleanup_undo_ struct undo undo = {0};
        undo_push(&undo, undo_letter, &a);
        undo_push(&undo, undo_letter, &b);
        undo_push(&undo, undo_letter, &c);
    }
    assert_string_equal(undone, "cba");
    {
        _cleanup_undo_ struct undo undo = {0};
        undo_push(&undo, undo_letter, &a);
        undo_keep(&undo);
    }
    assert_string_equal(undone, "cba");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_fills_wraps_and_stays_one_line),
        cmocka_unit_test(err_cuts_what_is_too_long),
        cmocka_unit_test(buf_grows_and_consumes),
        cmocka_unit_test(reader_stops_at_the_end),
        cmocka_unit_test_setup_teardown(open_in_root_stays_inside, directory, no_directory),
        cmocka_unit_test_setup_teardown(files_are_read_whole_and_bounded, directory, no_directory),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, directory, no_directory),
        cmocka_unit_test(memfds_are_sealed),
        cmocka_unit_test(descriptors_travel_and_surplus_is_closed),
        cmocka_unit_test(timers_fire_in_order_once),
        cmocka_unit_test_setup_teardown(pipes_and_regular_files_are_watched, directory, no_directory),
        cmocka_unit_test(signals_arrive_in_the_loop),
        cmocka_unit_test(freed_sources_are_not_called),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(signals_have_names),
        cmocka_unit_test(ids_are_checked),
        cmocka_unit_test(foreign_text_is_made_printable),
        cmocka_unit_test(undo_runs_backwards_unless_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
