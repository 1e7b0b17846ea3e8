/* SPDX-License-Identifier: Apache-2.0 */
/* What of the guest agent's core can be tried without a guest; the rest is in tests/cli. */
#include "agent.pb-c.h"
#include "guest/agent/boot.h"
#include "guest/agent/list.h"
#include "guest/agent/modules.h"
#include "guest/agent/oom.h"
#include "guest/agent/request.h"
#include "guest/agent/stats.h"
#include "guest/agent/streams.h"
#include "guest/agent/write_back.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- texts ---- */

static void test_modules_list(void **state) {
    static const char list[] = "mmio virtio_ring.ko virtio.ko\tvirtio_mmio.ko\n"
                               "ext4\n"
                               "mmio2 x.ko\n"
                               "rng virtio-rng.ko";
    struct err err = {0};
    char **files;
    (void)state;
    assert_int_equal(modules_parse(list, "mmio", &files, &err), 0);
    assert_string_equal(files[0], "virtio_ring.ko");
    assert_string_equal(files[2], "virtio_mmio.ko");
    assert_null(files[3]);
    free_strv(&files);
    assert_int_equal(modules_parse(list, "rng", &files, &err), 0);
    assert_string_equal(files[0], "virtio-rng.ko");
    assert_null(files[1]);
    free_strv(&files);
    assert_int_equal(modules_parse(list, "ext4", &files, &err), 0); /* built in: a group without files */
    assert_null(files[0]);
    free_strv(&files);
    assert_int_equal(modules_parse(list, "mm", &files, &err), -ENOENT);
    assert_non_null(strstr(err.text, "minka image build"));
    assert_int_equal(modules_parse(list, "", &files, &err), -ENOENT);
    assert_int_equal(modules_parse("", "mmio", &files, &err), -ENOENT);
    assert_int_equal(modules_parse("\n\nmmio a.ko", "mmio", &files, &err), 0);
    free_strv(&files);
}

static void test_modules_list_damaged(void **state) {
    static const char *const lists[] = {"a ../x.ko", "a /x.ko", "a x", "a .ko", "a .x.ko", "a x.ko\x01"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        struct err err = {0};
        char **files;
        assert_int_equal(modules_parse(lists[i], "a", &files, &err), -EINVAL);
    }
}

static void test_boot_parameter(void **state) {
    _cleanup_free_ char *a = boot_parameter("quiet a=1 minka.modules=mmio,console a=2\n", "a");
    _cleanup_free_ char *modules = boot_parameter("quiet a=1 minka.modules=mmio,console a=2\n", "minka.modules");
    _cleanup_free_ char *empty = boot_parameter("a=", "a");
    (void)state;
    assert_string_equal(a, "2");
    assert_string_equal(modules, "mmio,console");
    assert_string_equal(empty, "");
    assert_null(boot_parameter("aa=1 ba=2 a", "a"));
    assert_null(boot_parameter("", "a"));
}

static void test_flat_values(void **state) {
    static const char events[] = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n";
    (void)state;
    assert_int_equal(cgroup_flat_value(events, "oom_kill"), 3);
    assert_int_equal(cgroup_flat_value(events, "oom"), 2);
    assert_int_equal(cgroup_flat_value(events, "max"), 7);
    assert_int_equal(cgroup_flat_value(events, "oom_group"), 0);
    assert_int_equal(cgroup_flat_value("", "oom"), 0);
    assert_int_equal(cgroup_flat_value("populated 1", "populated"), 1);
}

static void test_write_back(void **state) {
    (void)state;
    assert_false(write_back_needed_by("MemTotal: 1 kB\nDirty:     0 kB\nWriteback:   0 kB\nWritebackTmp:  0 kB\n"));
    assert_true(write_back_needed_by("Dirty:     4 kB\nWriteback:   0 kB\n"));
    assert_true(write_back_needed_by("Dirty:     0 kB\nWriteback:   8 kB\n"));
    assert_true(write_back_needed_by("Dirty:     0 kB\nWriteback:   0 kB\nWritebackTmp: 12 kB\n"));
}

static void test_process_stat(void **state) {
    struct list_stat stat;
    (void)state;
    assert_int_equal(
        list_parse_stat("77 (evil) R 1 (x\n) S 12 77 77 34816 90 4194304 1 2 3 4 50 7 8 9 20 0 1 0 4711 5 6\n", &stat),
        0);
    assert_int_equal(stat.ppid, 12);
    assert_int_equal(stat.terminal, 34816);
    assert_int_equal(stat.cpu_ticks, 57);
    assert_int_equal(stat.start_ticks, 4711);
    assert_int_equal(list_parse_stat("77 (x) S 12", &stat), -EBADMSG);
    assert_int_equal(list_parse_stat("", &stat), -EBADMSG);

    char name[32];
    list_terminal_name(34816, name);
    assert_string_equal(name, "pts/0");
    list_terminal_name(136 << 8 | 0x12 | 0x3 << 20, name);
    assert_string_equal(name, "pts/786");
    list_terminal_name(4 << 8, name); /* tty0 */
    assert_string_equal(name, "");
}

static void test_process_command(void **state) {
    char command[LIST_COMMAND_MAX + 1], many[400];
    (void)state;
    list_command("sh\0-c\0a\tb\x1b[2J\0", sizeof "sh\0-c\0a\tb\x1b[2J\0" - 1, command);
    assert_string_equal(command, "sh -c a?b?[2J");
    memset(many, 'x', sizeof many);
    list_command(many, sizeof many, command);
    assert_int_equal(strlen(command), LIST_COMMAND_MAX);
    list_command("", 0, command);
    assert_string_equal(command, "");
}

static void test_stats(void **state) {
    uint64_t value = 5;
    (void)state;
    assert_int_equal(stats_parse_value("max\n", &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(stats_parse_value("18446744073709551615\n", &value), 0);
    assert_int_equal(stats_parse_value("12", &value), 0);
    assert_int_equal(value, 12);
    assert_int_equal(stats_parse_value("", &value), -EBADMSG);
    assert_int_equal(stats_parse_value("-1\n", &value), -EBADMSG);
    assert_int_equal(stats_parse_value("12 34\n", &value), -EBADMSG);
    assert_int_equal(value, 12);
}

static void put(int directory, const char *file, const char *text) {
    struct err err = {0};
    assert_int_equal(write_file_atomic(directory, file, text, strlen(text), 0600, &err), 0);
}

static void test_stats_of_cgroup(void **state) {
    char path[] = "/tmp/minka-agent-test-XXXXXX";
    Minka__Agent__V1__StatsResponse stats;
    (void)state;
    assert_non_null(mkdtemp(path));
    _cleanup_close_ int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    stats_read(directory, &stats); /* no controller at all */
    assert_true(stats.memory_limit == UINT64_MAX && stats.pids_limit == UINT64_MAX && stats.memory_usage == 0);
    put(directory, "cpu.stat", "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 4\nnr_throttled 1\n");
    put(directory, "memory.current", "4096\n");
    put(directory, "memory.max", "8192\n");
    put(directory, "memory.stat", "anon 1\nfile 2\nkernel 3\nfile_mapped 9\n");
    put(directory, "memory.events", "max 5\noom_kill 6\n");
    put(directory, "pids.max", "max\n");
    stats_read(directory, &stats);
    assert_int_equal(stats.cpu_usage_usec, 30);
    assert_int_equal(stats.cpu_throttled_periods, 1);
    assert_int_equal(stats.memory_usage, 4096);
    assert_int_equal(stats.memory_limit, 8192);
    assert_int_equal(stats.memory_cache, 2);
    assert_int_equal(stats.memory_kernel, 3);
    assert_int_equal(stats.memory_failures, 5);
    assert_int_equal(stats.oom_kills, 6);
    assert_true(stats.pids_limit == UINT64_MAX);
    static const char *const files[] = {"cpu.stat",    "memory.current", "memory.max",
                                        "memory.stat", "memory.events",  "pids.max"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        assert_int_equal(unlinkat(directory, files[i], 0), 0);
    assert_int_equal(rmdir(path), 0);
}

/* ---- streams, over real pipes and a real loop ---- */

struct answers {
    struct loop *loop;
    int count;
    size_t length;
    char bytes[64];
    bool eof, drained;
    int code;
};

static void on_output(void *data, const uint8_t *bytes, size_t length, bool eof, bool drained) {
    struct answers *answers = data;
    answers->count++;
    answers->length = length;
    memcpy(answers->bytes, bytes, length < sizeof answers->bytes ? length : sizeof answers->bytes);
    answers->eof = eof;
    answers->drained = drained;
    loop_quit(answers->loop, 0);
}

static void on_input(void *data, int code) {
    struct answers *answers = data;
    answers->count++;
    answers->code = code;
    loop_quit(answers->loop, 0);
}

static void on_timeout(void *data) {
    loop_quit(data, 0);
}

/* Let the loop run until something is answered, or for as long as tells that nothing is. */
static void turn(struct loop *loop, int64_t msec) {
    struct loop_source *timer;
    assert_int_equal(loop_add_timer(loop, msec, on_timeout, loop, &timer), 0);
    assert_int_equal(loop_run(loop), 0);
    loop_source_free(timer);
}

static struct answers new_answers(void) {
    struct answers answers = {0};
    assert_int_equal(loop_new(&answers.loop, NULL), 0);
    return answers;
}

static void test_output(void **state) {
    struct answers a = new_answers();
    struct output output;
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    output_open(&output, a.loop, ends[0]);
    assert_int_equal(output_read(&output, 4, on_output, &a), 0);
    assert_int_equal(output_read(&output, 4, on_output, &a), -EBUSY);
    turn(a.loop, 30);
    assert_int_equal(a.count, 0); /* nothing written, nothing said */
    assert_int_equal(write(ends[1], "abcdef", 6), 6);
    turn(a.loop, 1000);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.length, 4); /* at most what was asked for */
    assert_memory_equal(a.bytes, "abcd", 4);
    assert_false(a.eof || a.drained);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0); /* the rest is there at once */
    assert_int_equal(a.count, 2);
    assert_memory_equal(a.bytes, "ef", 2);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    (void)close(ends[1]);
    turn(a.loop, 1000);
    assert_int_equal(a.count, 3);
    assert_true(a.eof && a.length == 0);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0); /* and so for ever */
    assert_true(a.count == 4 && a.eof);
    output_close(&output);
    loop_free(a.loop);
}

static void test_output_drained(void **state) {
    struct answers a = new_answers();
    struct output output;
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    output_open(&output, a.loop, ends[0]);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    output_end(&output); /* the process has gone, somebody else holds the pipe */
    assert_true(a.count == 1 && a.drained && !a.eof && a.length == 0);
    assert_int_equal(write(ends[1], "late", 4), 4);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    assert_true(a.count == 2 && a.drained && a.length == 4); /* the data and the end in one */
    (void)close(ends[1]);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    assert_true(a.count == 3 && a.eof);
    output_close(&output);
    loop_free(a.loop);
}

static void test_output_closed_while_waiting(void **state) {
    struct answers a = new_answers();
    struct output output;
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    output_open(&output, a.loop, ends[0]);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    output_close(&output);
    assert_true(a.count == 1 && a.eof);
    (void)close(ends[1]);
    output_open(&output, a.loop, -EBADF); /* the stderr of a process with a terminal */
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    assert_true(a.count == 2 && a.eof);
    loop_free(a.loop);
}

static void test_output_terminal(void **state) {
    struct answers a = new_answers();
    struct output output;
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        skip(); /* a sandbox without devpts */
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    output_open(&output, a.loop, master);
    assert_int_equal(write(slave, "x", 1), 1);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    assert_true(a.count == 1 && a.length == 1 && !a.eof);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    (void)close(slave); /* EIO from now on */
    turn(a.loop, 1000);
    assert_true(a.count == 2 && a.eof);
    loop_free(a.loop);
}

static void test_input(void **state) {
    struct answers a = new_answers();
    struct input input;
    int ends[2];
    static char bytes[4 << 20], got[4 << 20];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + i / 4096);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    input_open(&input, a.loop, ends[1], STREAM_INPUT);
    assert_int_equal(input_write(&input, bytes, 10, on_input, &a), 0);
    assert_true(a.count == 1 && a.code == 0); /* room enough: taken at once */
    assert_int_equal(read_all(ends[0], got, 10), 0);
    /* More than any pipe holds: answered when the reader has made room, all of it arrives, and then the end. */
    assert_int_equal(input_write(&input, bytes, sizeof bytes, on_input, &a), 0);
    assert_int_equal(input_write(&input, bytes, 1, on_input, &a), -EBUSY);
    input_finish(&input);
    turn(a.loop, 30);
    assert_int_equal(a.count, 1);
    size_t done = 0;
    while (a.count == 1) {
        ssize_t n = read(ends[0], got + done, 65536);
        assert_true(n > 0);
        done += (size_t)n;
        turn(a.loop, 1);
    }
    assert_int_equal(a.code, 0);
    for (ssize_t n; (n = read(ends[0], got + done, sizeof got - done)) > 0;)
        done += (size_t)n;
    assert_int_equal(done, sizeof bytes);
    assert_memory_equal(got, bytes, sizeof bytes);
    assert_int_equal(input_write(&input, bytes, 1, on_input, &a), -EPIPE);
    (void)close(ends[0]);
    loop_free(a.loop);
}

static void test_input_without_reader(void **state) {
    struct answers a = new_answers();
    struct input input;
    int ends[2];
    static char bytes[4 << 20];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    input_open(&input, a.loop, ends[1], STREAM_INPUT);
    assert_int_equal(input_write(&input, bytes, sizeof bytes, on_input, &a), 0);
    assert_int_equal(a.count, 0);
    (void)close(ends[0]); /* while it waits */
    turn(a.loop, 1000);
    assert_true(a.count == 1 && a.code == EPIPE);

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    input_open(&input, a.loop, ends[1], STREAM_INPUT);
    assert_int_equal(input_write(&input, bytes, sizeof bytes, on_input, &a), 0);
    input_close(&input); /* the process has ended, its child still holds the pipe */
    assert_true(a.count == 2 && a.code == EPIPE);
    (void)close(ends[0]);
    loop_free(a.loop);
}

static void test_input_of_terminal_stays(void **state) {
    struct answers a = new_answers();
    struct input input;
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    input_open(&input, a.loop, ends[1], STREAM_TERMINAL);
    input_finish(&input);
    assert_int_equal(input_write(&input, "x", 1, on_input, &a), 0);
    assert_true(a.count == 1 && a.code == 0);
    input_close(&input);
    (void)close(ends[0]);
    loop_free(a.loop);
}

static void socket_pair(struct answers *a, int ends[2], struct output *output, struct input *input) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    input_open(input, a->loop, fcntl(ends[0], F_DUPFD_CLOEXEC, 3), STREAM_SOCKET);
    output_open(output, a->loop, ends[0]);
}

/* The process's end is ends[1]; each way ends without the other. */
static void test_socket(void **state) {
    struct answers a = new_answers();
    struct output output;
    struct input input;
    int ends[2];
    char bytes[8];
    (void)state;
    socket_pair(&a, ends, &output, &input);
    assert_int_equal(input_write(&input, "in", 2, on_input, &a), 0);
    input_finish(&input);
    assert_int_equal(read(ends[1], bytes, sizeof bytes), 2);
    assert_int_equal(read(ends[1], bytes, sizeof bytes), 0); /* shut down, not closed: */
    assert_int_equal(write(ends[1], "out", 3), 3);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    assert_true(a.count == 2 && a.length == 3 && !a.eof);
    output_close(&output);
    (void)close(ends[1]);

    socket_pair(&a, ends, &output, &input);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    assert_true(a.count == 3 && a.eof && !output.hung_up);
    assert_int_equal(input_write(&input, "still", 5, on_input, &a), 0);
    assert_int_equal(read(ends[1], bytes, sizeof bytes), 5);
    input_close(&input);
    (void)close(ends[1]);

    socket_pair(&a, ends, &output, &input);
    (void)close(ends[1]);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    assert_true(a.eof && output.hung_up);
    input_close(&input);

    socket_pair(&a, ends, &output, &input); /* nobody on the host reads: */
    output_refuse(&output);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(input_write(&input, "still", 5, on_input, &a), 0);
    assert_int_equal(read(ends[1], bytes, sizeof bytes), 5);
    input_close(&input);
    (void)close(ends[1]);
    loop_free(a.loop);
}

static void test_output_refused(void **state) {
    struct answers a = new_answers();
    struct output output;
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    output_open(&output, a.loop, ends[0]);
    assert_int_equal(output_read(&output, 64, on_output, &a), 0);
    output_refuse(&output);
    assert_true(a.count == 1 && a.eof);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    (void)close(ends[1]);
    loop_free(a.loop);
}

/* ---- requests ---- */

static int check(enum request_kind kind, const ProtobufCMessage *message, struct err *err) {
    uint8_t packed[4096];
    assert_true(protobuf_c_message_get_packed_size(message) <= sizeof packed);
    size_t length = protobuf_c_message_pack(message, packed);
    ProtobufCMessage *unpacked = NULL;
    *err = (struct err){0};
    int r = request_read(kind, packed, length, &unpacked, err);
    if (r == 0)
        protobuf_c_message_free_unpacked(unpacked, NULL);
    return r;
}

static void test_requests(void **state) {
    struct err err;
    char id[] = "c1", bad[] = "../c1", process[] = "e1", root[] = "/", relative[] = "tmp", argument[] = "true";
    char *args[] = {argument};
    (void)state;
    Minka__Agent__V1__ReadRequest read_request = MINKA__AGENT__V1__READ_REQUEST__INIT;
    read_request.container = id;
    read_request.stream = 1;
    read_request.max = 4096;
    assert_int_equal(check(REQUEST_READ_OUTPUT, &read_request.base, &err), 0);
    read_request.stream = STREAMS_MAX;
    assert_int_equal(check(REQUEST_READ_OUTPUT, &read_request.base, &err), -EINVAL);
    read_request.stream = 2;
    read_request.max = 0;
    assert_int_equal(check(REQUEST_READ_OUTPUT, &read_request.base, &err), -EINVAL);
    read_request.max = REQUEST_READ_MAX + 1;
    assert_int_equal(check(REQUEST_READ_OUTPUT, &read_request.base, &err), -EINVAL);
    read_request.max = REQUEST_READ_MAX;
    read_request.container = bad;
    assert_int_equal(check(REQUEST_READ_OUTPUT, &read_request.base, &err), -EINVAL);

    Minka__Plan__V1__Process plan = MINKA__PLAN__V1__PROCESS__INIT;
    Minka__Agent__V1__ExecRequest exec = MINKA__AGENT__V1__EXEC_REQUEST__INIT;
    exec.container = id;
    exec.process = process;
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL); /* no plan */
    exec.plan = &plan;
    plan.cwd = root;
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL); /* no arguments */
    plan.args = args;
    plan.n_args = 1;
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL); /* no streams */
    uint8_t kinds[STREAMS_MAX + 1] = {STREAM_INPUT, STREAM_OUTPUT, STREAM_OUTPUT, STREAM_SOCKET, STREAM_NONE};
    plan.streams = (ProtobufCBinaryData){.data = kinds, .len = 4};
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), 0);
    plan.terminal = true; /* and yet pipes */
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL);
    plan.terminal = false;
    plan.streams.len = 5; /* a gap */
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL);
    memset(kinds + 3, STREAM_INPUT, sizeof kinds - 3);
    plan.streams.len = sizeof kinds; /* one more than there may be */
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL);
    plan.streams.len = 3;
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), 0);
    plan.cwd = relative;
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL);
    plan.cwd = root;
    plan.seccomp = (ProtobufCBinaryData){.data = (uint8_t *)argument, .len = 4};
    assert_int_equal(check(REQUEST_EXEC_PROCESS, &exec.base, &err), -EINVAL); /* half an instruction */

    Minka__Plan__V1__Container container = MINKA__PLAN__V1__CONTAINER__INIT;
    container.id = id;
    assert_int_equal(check(REQUEST_CREATE_CONTAINER, &container.base, &err), -EINVAL); /* nothing in it */

    ProtobufCMessage *message;
    assert_int_equal(request_read(REQUEST_HELLO, (const uint8_t *)"\xff\xff\xff", 3, &message, &err), -EBADMSG);
    assert_int_equal(request_read(REQUEST_HELLO, NULL, 0, &message, &err), -EINVAL); /* no entropy */
    assert_int_equal(request_read(REQUEST_SHUTDOWN, NULL, 0, &message, &err), 0);
    protobuf_c_message_free_unpacked(message, NULL);
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN); /* as for PID 1 */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modules_list),
        cmocka_unit_test(test_modules_list_damaged),
        cmocka_unit_test(test_boot_parameter),
        cmocka_unit_test(test_flat_values),
        cmocka_unit_test(test_write_back),
        cmocka_unit_test(test_process_stat),
        cmocka_unit_test(test_process_command),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_stats_of_cgroup),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_output_drained),
        cmocka_unit_test(test_output_closed_while_waiting),
        cmocka_unit_test(test_output_terminal),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_input_without_reader),
        cmocka_unit_test(test_input_of_terminal_stays),
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_output_refused),
        cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
