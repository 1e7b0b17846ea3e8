/* SPDX-License-Identifier: Apache-2.0 */
/* The relay of one process's streams, signals and end, against an agent that the test plays over real sockets. */
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/rpc/version.h"
#include "unprivileged/monitor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include <cmocka.h>

enum { IN, OUT, ERROR, FURTHER, STREAMS };
enum { TERMINAL = 0 };

struct flow { /* one stream that the fake agent produces: byte i is (uint8_t)(i * 7 + i / 256) */
    uint64_t produced, total;
    bool drained_at_end; /* else eof */
    bool unending;       /* the last read is held */
    unsigned reads, pending_max;
    struct ttrpc_request *held;
};

struct world {
    struct loop *loop;
    int channel[2], standin;
    struct agent *agent;
    struct ttrpc_server *server;
    struct process *process;
    int host[STREAMS]; /* the host's ends: what the engine would hold */
    struct flow flow[STREAMS];
    bool oversize, refuse_input, hang_up;
    struct buf input[STREAMS];
    bool input_closed[STREAMS];
    unsigned output_closed[STREAMS];
    struct ttrpc_request *wait, *input_held;
    int32_t signal;
    bool signal_all;
    uint32_t rows, columns;
    uint64_t received[STREAMS];
    bool mismatch, gone, violated;
    unsigned waiting_max;
};

static uint8_t byte_at(uint64_t i) {
    return (uint8_t)(i * 7 + i / 256);
}

/* ---- the agent ---- */

static void answer(struct ttrpc_request *request, const ProtobufCMessage *message) {
    _cleanup_free_ uint8_t *packed = malloc(protobuf_c_message_get_packed_size(message) + 1);
    ttrpc_respond(request, packed, protobuf_c_message_pack(message, packed));
}

static void answer_empty(struct ttrpc_request *request) {
    ttrpc_respond(request, NULL, 0);
}

static void read_output(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    struct world *w = data;
    Minka__Agent__V1__ReadRequest *r = minka__agent__v1__read_request__unpack(NULL, length, payload);
    struct flow *f = &w->flow[r->stream];
    Minka__Agent__V1__ReadResponse response = MINKA__AGENT__V1__READ_RESPONSE__INIT;
    uint64_t n = f->total - f->produced < r->max ? f->total - f->produced : r->max;
    if (f->unending && n == 0)
        return minka__agent__v1__read_request__free_unpacked(r, NULL), (void)(f->held = request);
    if (w->oversize)
        n = r->max + 1;
    _cleanup_free_ uint8_t *bytes = malloc(n + 1);
    for (uint64_t i = 0; i < n; i++)
        bytes[i] = byte_at(f->produced + i);
    f->produced += n;
    f->reads++;
    response.data = (ProtobufCBinaryData){.data = bytes, .len = n};
    response.eof = n == 0 && !f->drained_at_end;
    response.hung_up = response.eof && w->hang_up;
    response.drained = n == 0 && f->drained_at_end;
    answer(request, &response.base);
    minka__agent__v1__read_request__free_unpacked(r, NULL);
}

static void write_input(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    struct world *w = data;
    Minka__Agent__V1__WriteRequest *r = minka__agent__v1__write_request__unpack(NULL, length, payload);
    assert_null(w->input_held); /* one at a time */
    assert_int_equal(buf_append(&w->input[r->stream], r->data.data, r->data.len), 0);
    minka__agent__v1__write_request__free_unpacked(r, NULL);
    if (w->refuse_input)
        return ttrpc_fail(request, TTRPC_FAILED_PRECONDITION, "nobody reads");
    answer_empty(request);
}

static void close_input(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    struct world *w = data;
    Minka__Agent__V1__StreamRequest *r = minka__agent__v1__stream_request__unpack(NULL, length, payload);
    w->input_closed[r->stream] = true;
    minka__agent__v1__stream_request__free_unpacked(r, NULL);
    answer_empty(request);
    loop_quit(w->loop, 0);
}

static void close_output(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    struct world *w = data;
    Minka__Agent__V1__StreamRequest *r = minka__agent__v1__stream_request__unpack(NULL, length, payload);
    w->output_closed[r->stream]++;
    minka__agent__v1__stream_request__free_unpacked(r, NULL);
    answer_empty(request);
    loop_quit(w->loop, 0);
}

static void wait_process(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    (void)payload;
    (void)length;
    struct world *w = data;
    w->wait = request;
    loop_quit(w->loop, 0);
}

static void signal_process(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    struct world *w = data;
    Minka__Agent__V1__SignalRequest *r = minka__agent__v1__signal_request__unpack(NULL, length, payload);
    w->signal = r->signal;
    w->signal_all = r->all;
    minka__agent__v1__signal_request__free_unpacked(r, NULL);
    answer_empty(request);
    loop_quit(w->loop, 0);
}

static void resize(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length) {
    struct world *w = data;
    Minka__Agent__V1__ResizeRequest *r = minka__agent__v1__resize_request__unpack(NULL, length, payload);
    w->rows = r->rows;
    w->columns = r->columns;
    minka__agent__v1__resize_request__free_unpacked(r, NULL);
    answer_empty(request);
    loop_quit(w->loop, 0);
}

static const struct ttrpc_method methods[] = {{"ReadOutput", read_output},   {"WriteInput", write_input},
                                              {"CloseInput", close_input},   {"CloseOutput", close_output},
                                              {"WaitProcess", wait_process}, {"SignalProcess", signal_process},
                                              {"ResizeTerminal", resize},    {0}};

/* ---- the world ---- */

static void closed(void *data, const struct err *why) {
    (void)data;
    (void)why;
}

static void on_gone(void *data, struct process *process) {
    struct world *w = data;
    assert_ptr_equal(process, w->process);
    w->process = process_free(process);
    w->gone = true;
    loop_quit(w->loop, 0);
}

static void on_violated(void *data, const struct err *why) {
    struct world *w = data;
    assert_int_equal(why->code, EBADMSG);
    w->violated = true;
    loop_quit(w->loop, 0);
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    *state = w;
    (void)signal(SIGPIPE, SIG_IGN);
    w->standin = -EBADF;
    for (size_t i = 0; i < STREAMS; i++)
        w->host[i] = -EBADF;
    if (loop_new(&w->loop, NULL) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->channel) < 0 ||
        agent_new(w->loop, w->channel[0], closed, w, &w->agent, NULL) < 0)
        return -1;
    return ttrpc_server_new(w->loop, w->channel[1], AGENT_SERVICE, methods, closed, w, &w->server, NULL);
}

static int teardown(void **state) {
    struct world *w = *state;
    w->process = process_free(w->process);
    w->server = ttrpc_server_free(w->server);
    if (w->wait)
        answer_empty(w->wait); /* frees it */
    (void)agent_free(w->agent);
    close_fd(&w->channel[0]);
    close_fd(&w->channel[1]);
    close_fd(&w->standin);
    for (size_t i = 0; i < STREAMS; i++) {
        close_fd(&w->host[i]);
        buf_done(&w->input[i]);
        if (w->flow[i].held)
            answer_empty(w->flow[i].held);
    }
    loop_free(w->loop);
    free(w);
    return 0;
}

static void timed_out(void *data) {
    (void)data;
    fail_msg("nothing happened for 30 s");
}

/* Until a callback says that the awaited has come. */
static void run(struct world *w) {
    struct loop_source *timer;
    assert_int_equal(loop_add_timer(w->loop, 30000, timed_out, NULL, &timer), 0);
    assert_int_equal(loop_run(w->loop), 0);
    loop_source_free(timer);
}

static void quit(void *data) {
    loop_quit(data, 0);
}

static void run_for(struct world *w, int msec) {
    struct loop_source *timer;
    assert_int_equal(loop_add_timer(w->loop, msec, quit, w->loop, &timer), 0);
    assert_int_equal(loop_run(w->loop), 0);
    loop_source_free(timer);
}

static void begin_streams(struct world *w, const char *id, const uint8_t *kinds, const int *fds, size_t count) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    w->standin = pair[1];
    struct process_config config = {.loop = w->loop,
                                    .agent = w->agent,
                                    .container = "box",
                                    .id = id,
                                    .standin = pair[0],
                                    .kinds = kinds,
                                    .fds = fds,
                                    .n_streams = count,
                                    .gone = on_gone,
                                    .violated = on_violated,
                                    .data = w};
    struct err err = {0};
    assert_int_equal(process_new(&config, &w->process, &err), 0);
    assert_int_equal(process_watch(w->process, &err), 0);
    process_start_input(w->process);
    while (!w->wait)
        run(w);
}

static void begin_with(struct world *w, const char *id, bool terminal, const int stdio[3]) {
    uint8_t kinds[STREAMS_STANDARD];
    streams_standard(kinds, terminal);
    begin_streams(w, id, kinds, stdio, STREAMS_STANDARD);
}

static void make_pipes(struct world *w, int stdio[3], int flags) {
    int in[2], out[2], error[2];
    assert_int_equal(pipe2(in, O_CLOEXEC | flags), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC | flags), 0);
    assert_int_equal(pipe2(error, O_CLOEXEC | flags), 0);
    w->host[IN] = in[1];
    w->host[OUT] = out[0];
    w->host[ERROR] = error[0];
    stdio[0] = in[0];
    stdio[1] = out[1];
    stdio[2] = error[1];
}

static void begin(struct world *w, const char *id, int flags) {
    int stdio[3];
    make_pipes(w, stdio, flags);
    begin_with(w, id, false, stdio);
}

static void end(struct world *w, int code, int signal) {
    Minka__Agent__V1__WaitResponse response = MINKA__AGENT__V1__WAIT_RESPONSE__INIT;
    response.exit_code = code;
    response.signal = signal;
    answer(w->wait, &response.base);
    w->wait = NULL;
}

static void expect_told(struct world *w, int code, int signal) {
    struct standin_message m;
    ssize_t n = recv(w->standin, &m, sizeof m, MSG_DONTWAIT);
    assert_int_equal(standin_message_check(&m, n), 0);
    assert_int_equal(m.op, STANDIN_EXITED);
    assert_int_equal(m.value, code);
    assert_int_equal(m.signal, signal);
}

/* A reader of the host, on the same loop. */
struct reader_of_stream {
    struct world *w;
    int stream;
    struct loop_source *source;
};

static void on_host_readable(void *data, uint32_t events) {
    (void)events;
    struct reader_of_stream *r = data;
    struct world *w = r->w;
    static uint8_t bytes[128 << 10];
    ssize_t n = read(w->host[r->stream], bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] != byte_at(w->received[r->stream] + (uint64_t)i))
            w->mismatch = true;
    if (n > 0)
        w->received[r->stream] += (uint64_t)n;
    if (w->process && w->process->streams[r->stream].output.n_waiting > w->waiting_max)
        w->waiting_max = w->process->streams[r->stream].output.n_waiting;
    if (n <= 0) {
        r->source = loop_source_free(r->source);
        close_fd(&w->standin); /* as the stand-in, told by now, would */
    }
}

static struct reader_of_stream *read_stream(struct world *w, int stream) {
    static struct reader_of_stream readers[STREAMS];
    struct reader_of_stream *r = &readers[stream];
    *r = (struct reader_of_stream){.w = w, .stream = stream};
    assert_int_equal(loop_add_fd(w->loop, w->host[stream], EPOLLIN, on_host_readable, r, &r->source), 0);
    return r;
}

/* ---- output ---- */

static void bulk(struct world *w, int flags) {
    w->flow[OUT].total = 64 << 20;
    begin(w, "", flags);
    (void)read_stream(w, OUT);
    end(w, 42, 0);
    while (!w->gone)
        run(w);
    assert_int_equal(w->received[OUT], w->flow[OUT].total);
    assert_false(w->mismatch);
    assert_true(w->waiting_max <= OUTPUT_AHEAD);
}

static void bulk_through_a_nonblocking_pipe(void **state) {
    bulk(*state, O_NONBLOCK);
}

static void bulk_through_a_blocking_pipe(void **state) {
    bulk(*state, 0);
}

static void bulk_through_a_socket(void **state) {
    struct world *w = *state;
    int out[2], stdio[3];
    make_pipes(w, stdio, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out), 0);
    close_fd(&stdio[1]);
    close_fd(&w->host[OUT]);
    stdio[1] = out[0];
    w->host[OUT] = out[1];
    w->flow[OUT].total = 16 << 20;
    begin_with(w, "", false, stdio);
    (void)read_stream(w, OUT);
    end(w, 0, 0);
    while (!w->gone)
        run(w);
    assert_int_equal(w->received[OUT], w->flow[OUT].total);
    assert_false(w->mismatch);
}

static void output_to_a_file_is_whole(void **state) {
    struct world *w = *state;
    int stdio[3];
    make_pipes(w, stdio, 0);
    char path[] = "/tmp/minka-process-test-XXXXXX";
    _cleanup_close_ int file = mkostemp(path, O_CLOEXEC);
    (void)unlink(path);
    close_fd(&stdio[1]);
    stdio[1] = fcntl(file, F_DUPFD_CLOEXEC, 0);
    w->flow[OUT].total = 3 << 20;
    begin_with(w, "", false, stdio);
    end(w, 7, 0);
    while (w->process && w->process->state != PROCESS_TOLD)
        run_for(w, 20);
    expect_told(w, 7, 0);
    assert_int_equal(lseek(file, 0, SEEK_END), w->flow[OUT].total);
    for (off_t i = 0; i < 3 << 20; i += 65536 - 1) {
        uint8_t byte;
        assert_int_equal(pread(file, &byte, 1, i), 1);
        assert_int_equal(byte, byte_at((uint64_t)i));
    }
}

static void a_slow_reader_holds_up_only_its_own_stream(void **state) {
    struct world *w = *state;
    w->flow[OUT].total = 64 << 20; /* nobody reads it */
    w->flow[ERROR].total = 8 << 20;
    begin(w, "", 0);
    struct reader_of_stream *r = read_stream(w, ERROR);
    int standin = take_fd(&w->standin); /* so that the end of stderr is not taken for the end of the stand-in */
    for (int i = 0; i < 100 && w->received[ERROR] < w->flow[ERROR].total; i++)
        run_for(w, 50);
    assert_int_equal(w->received[ERROR], w->flow[ERROR].total);
    assert_false(w->mismatch);
    /* What was taken from the guest is what the pipe holds and the pieces that wait: no more, however long it takes. */
    assert_true(w->flow[OUT].produced <= (OUTPUT_AHEAD + 1) * OUTPUT_PIECE);
    assert_true(w->flow[OUT].reads <= OUTPUT_AHEAD + 1);
    loop_source_free(r->source);
    w->standin = standin;
}

static void that_the_reader_has_gone_is_passed_on(void **state) {
    struct world *w = *state;
    w->flow[OUT].total = 8 << 20;
    begin(w, "", 0);
    close_fd(&w->host[OUT]);
    while (!w->output_closed[OUT])
        run(w);
    assert_int_equal(w->output_closed[ERROR], 0);
    assert_true(w->flow[OUT].produced < w->flow[OUT].total); /* the rest stays where it is */
    assert_int_equal(w->process->state, PROCESS_WATCHED);
    end(w, 3, 0);
    while (w->process->state != PROCESS_TOLD)
        run_for(w, 20);
    expect_told(w, 3, 0);
}

static void an_end_is_passed_on_at_once(void **state) {
    struct world *w = *state;
    w->flow[OUT].total = 1000;
    w->flow[ERROR].unending = true;
    begin(w, "", 0);
    run_for(w, 50);
    char bytes[2000];
    assert_int_equal(read(w->host[OUT], bytes, sizeof bytes), 1000);
    assert_int_equal(read(w->host[OUT], bytes, sizeof bytes), 0); /* and the process runs */
    assert_int_equal(w->process->state, PROCESS_WATCHED);
    assert_true(w->process->streams[ERROR].output.host.fd >= 0);
}

static void the_guest_is_told_that_the_reader_has_gone(void **state) {
    struct world *w = *state;
    w->flow[OUT].total = UINT64_MAX;
    begin(w, "", 0);
    close_fd(&w->host[OUT]);
    while (!w->output_closed[OUT])
        run_for(w, 20);
    end(w, 0, SIGPIPE);
    while (w->process->state != PROCESS_TOLD)
        run_for(w, 20);
    expect_told(w, 128 + SIGPIPE, SIGPIPE);
    assert_int_equal(w->output_closed[OUT], 1);
}

static void a_fifo_with_a_name_is_closed_by_a_write_only(void **state) {
    struct world *w = *state;
    char dir[] = "/tmp/minka-process-XXXXXX", path[64];
    int stdio[3];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    make_pipes(w, stdio, 0);
    close_fd(&w->host[ERROR]);
    close_fd(&stdio[2]);
    w->host[ERROR] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    stdio[2] = open(path, O_WRONLY | O_CLOEXEC);
    w->flow[OUT].total = 100;
    w->flow[ERROR].unending = true;
    begin_with(w, "", false, stdio);
    close_fd(&w->host[ERROR]);
    run_for(w, 100);
    assert_int_equal(w->output_closed[ERROR], 0); /* another reader may come */
    (void)unlink(path);
    (void)rmdir(dir);
}

static void drained_is_an_end_too(void **state) {
    struct world *w = *state;
    w->flow[OUT] = w->flow[ERROR] = (struct flow){.total = 1000, .drained_at_end = true};
    begin(w, "exec1", 0);
    end(w, 0, SIGSEGV);
    while (w->process->state != PROCESS_TOLD)
        run_for(w, 20);
    expect_told(w, 128 + SIGSEGV, SIGSEGV);
    char bytes[2000];
    assert_int_equal(read(w->host[OUT], bytes, sizeof bytes), 1000);
    assert_int_equal(read(w->host[OUT], bytes, sizeof bytes), 0); /* closed before the stand-in is told */
}

static void a_reader_that_never_reads_is_given_up(void **state) {
    struct world *w = *state;
    w->flow[OUT].total = 1 << 20;
    begin(w, "", O_NONBLOCK);
    int64_t began = monotonic_msec();
    end(w, 0, 0);
    while (w->process->state != PROCESS_TOLD)
        run_for(w, 100);
    assert_in_range(monotonic_msec() - began, DRAIN_MSEC, DRAIN_MSEC + 5000);
    expect_told(w, 0, 0);
    while (!w->gone) /* a stand-in that does not end is not waited for without end either */
        run(w);
    assert_in_range(monotonic_msec() - began, DRAIN_MSEC + STANDIN_MSEC, DRAIN_MSEC + STANDIN_MSEC + 5000);
}

static void more_than_asked_for_is_a_violation(void **state) {
    struct world *w = *state;
    w->oversize = true;
    begin(w, "", 0);
    while (!w->violated)
        run(w);
}

static void an_impossible_exit_is_no_success(void **state) {
    struct world *w = *state;
    begin(w, "", 0);
    end(w, 256, 0);
    while (w->process->state != PROCESS_TOLD)
        run_for(w, 20);
    expect_told(w, 137, SIGKILL);
}

/* ---- input ---- */

static void input_arrives_whole_and_ends(void **state) {
    struct world *w = *state;
    begin(w, "", 0);
    _cleanup_buf_ struct buf sent = {0};
    for (int i = 0; i < 100; i++) {
        char line[5000];
        memset(line, 'a' + i % 26, sizeof line);
        assert_int_equal(buf_append(&sent, line, sizeof line), 0);
        assert_int_equal(write_all(w->host[IN], line, sizeof line), 0);
        run_for(w, 1);
    }
    close_fd(&w->host[IN]);
    while (!w->input_closed[IN])
        run(w);
    assert_int_equal(w->input[IN].length, sent.length);
    assert_memory_equal(w->input[IN].data, sent.data, sent.length);
    assert_int_equal(w->process->streams[IN].input.host.fd, -EBADF);
}

static void input_that_nobody_reads_is_left_alone(void **state) {
    struct world *w = *state;
    w->refuse_input = true;
    begin(w, "", 0);
    assert_int_equal(write_all(w->host[IN], "x", 1), 0);
    run_for(w, 50);
    assert_int_equal(w->input[IN].length, 1);
    assert_int_equal(write(w->host[IN], "y", 1), -1); /* as with a pipe whose reader has gone */
    assert_int_equal(errno, EPIPE);
}

static void flags_of_shared_descriptions_stay(void **state) {
    struct world *w = *state;
    int stdio[3];
    make_pipes(w, stdio, 0);
    _cleanup_close_ int in = fcntl(stdio[0], F_DUPFD_CLOEXEC, 0), out = fcntl(stdio[1], F_DUPFD_CLOEXEC, 0);
    int in_flags = fcntl(in, F_GETFL), out_flags = fcntl(out, F_GETFL);
    begin_with(w, "", false, stdio);
    run_for(w, 20);
    assert_int_equal(fcntl(in, F_GETFL), in_flags);
    assert_int_equal(fcntl(out, F_GETFL), out_flags);
    (void)close(out);
}

static void a_terminal_passes_bytes_through(void **state) {
    struct world *w = *state;
    int slave;
    assert_int_equal(openpty(&w->host[IN], &slave, NULL, NULL, NULL), 0);
    const int stdio[3] = {slave, -EBADF, -EBADF};
    w->flow[TERMINAL].total = 1000;
    w->flow[TERMINAL].drained_at_end = true;
    begin_with(w, "", true, stdio);
    assert_int_equal(write_all(w->host[IN], "\003abc\r", 5), 0);
    for (int i = 0; i < 50 && w->input[TERMINAL].length < 5; i++)
        run_for(w, 20);
    assert_int_equal(w->input[TERMINAL].length, 5); /* no signal made of it, no line waited for, CR stays CR */
    assert_memory_equal(w->input[TERMINAL].data, "\003abc\r", 5);
    uint8_t bytes[1000];
    assert_int_equal(read_all(w->host[IN], bytes, sizeof bytes), 0); /* no echo among them */
    for (uint64_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], byte_at(i));
}

/* ---- further streams ---- */

static void begin_further(struct world *w, enum stream_kind kind, int fd) {
    int fds[STREAMS];
    uint8_t kinds[STREAMS];
    make_pipes(w, fds, 0);
    streams_standard(kinds, false);
    kinds[FURTHER] = (uint8_t)kind;
    fds[FURTHER] = fd;
    w->flow[OUT].unending = w->flow[ERROR].unending = true;
    begin_streams(w, "", kinds, fds, STREAMS);
}

static void begin_socket(struct world *w) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    w->host[FURTHER] = pair[1];
    begin_further(w, STREAM_SOCKET, pair[0]);
}

static void a_socket_goes_both_ways_and_each_ends_alone(void **state) {
    struct world *w = *state;
    char bytes[2000];
    w->flow[FURTHER].total = 1000;
    w->flow[FURTHER].unending = true;
    begin_socket(w);
    assert_int_equal(write_all(w->host[FURTHER], "question", 8), 0);
    assert_int_equal(shutdown(w->host[FURTHER], SHUT_WR), 0);
    while (!w->input_closed[FURTHER])
        run(w);
    assert_int_equal(w->input[FURTHER].length, 8);
    assert_int_equal(w->input[IN].length, 0);
    assert_int_equal(read(w->host[FURTHER], bytes, sizeof bytes), 1000);
    assert_int_equal(recv(w->host[FURTHER], bytes, sizeof bytes, MSG_DONTWAIT), -1); /* no end yet */
    assert_int_equal(errno, EAGAIN);
}

static void a_socket_that_the_guest_has_shut_down_takes_input_still(void **state) {
    struct world *w = *state;
    char bytes[2000];
    w->flow[FURTHER].total = 1000;
    begin_socket(w);
    run_for(w, 50);
    assert_int_equal(read(w->host[FURTHER], bytes, sizeof bytes), 1000);
    assert_int_equal(read(w->host[FURTHER], bytes, sizeof bytes), 0);
    assert_int_equal(write_all(w->host[FURTHER], "more", 4), 0);
    run_for(w, 50);
    assert_int_equal(w->input[FURTHER].length, 4);
}

static void a_socket_that_the_guest_has_closed_is_closed_but_not_shut_down(void **state) {
    struct world *w = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    w->host[FURTHER] = pair[1];
    _cleanup_close_ int another = fcntl(pair[0], F_DUPFD_CLOEXEC, 0); /* as the caller may have it */
    w->hang_up = true;
    begin_further(w, STREAM_SOCKET, pair[0]);
    run_for(w, 50);
    assert_int_equal(w->process->streams[FURTHER].input.host.fd, -EBADF);
    assert_int_equal(w->process->streams[FURTHER].output.host.fd, -EBADF);
    assert_int_equal(write_all(another, "x", 1), 0);
    assert_int_equal(write_all(w->host[FURTHER], "y", 1), 0);
    close_fd(&another);
    char byte;
    assert_int_equal(read(w->host[FURTHER], &byte, 1), 1);
    assert_int_equal(recv(w->host[FURTHER], &byte, 1, 0), -1); /* it is the other one that is gone now, unread */
    assert_int_equal(errno, ECONNRESET);
}

static void a_socket_whose_reader_has_gone(void **state) {
    struct world *w = *state;
    w->flow[FURTHER].total = 8 << 20;
    begin_socket(w);
    close_fd(&w->host[FURTHER]);
    while (!w->output_closed[FURTHER] || !w->input_closed[FURTHER])
        run(w);
    assert_true(w->flow[FURTHER].produced < w->flow[FURTHER].total);
}

static void a_socket_whose_peer_reads_no_more_still_takes_input(void **state) {
    struct world *w = *state;
    w->flow[FURTHER].total = 8 << 20;
    begin_socket(w);
    assert_int_equal(shutdown(w->host[FURTHER], SHUT_RD), 0);
    while (!w->output_closed[FURTHER])
        run(w);
    run_for(w, 50);
    assert_int_equal(write_all(w->host[FURTHER], "more", 4), 0);
    run_for(w, 50);
    assert_int_equal(w->input[FURTHER].length, 4);
    close_fd(&w->host[FURTHER]);
    while (!w->input_closed[FURTHER])
        run(w);
}

static void further_input_has_its_own_number(void **state) {
    struct world *w = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    w->host[FURTHER] = ends[1];
    begin_further(w, STREAM_INPUT, ends[0]);
    assert_int_equal(write_all(w->host[FURTHER], "three", 5), 0);
    close_fd(&w->host[FURTHER]);
    while (!w->input_closed[FURTHER])
        run(w);
    assert_int_equal(w->input[FURTHER].length, 5);
    assert_int_equal(w->input[IN].length, 0);
    assert_false(w->input_closed[IN]);
}

static void further_output_is_delivered_before_the_end_is_told(void **state) {
    struct world *w = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    w->host[FURTHER] = ends[0];
    w->flow[FURTHER].total = 8 << 20;
    w->flow[FURTHER].drained_at_end = true;
    begin_further(w, STREAM_OUTPUT, ends[1]);
    end(w, 5, 0);
    for (size_t i = OUT; i <= ERROR; i++) { /* the process has ended: its other outputs have, too */
        Minka__Agent__V1__ReadResponse response = MINKA__AGENT__V1__READ_RESPONSE__INIT;
        response.eof = true;
        while (!w->flow[i].held)
            run_for(w, 5);
        answer(take_ptr(w->flow[i].held), &response.base);
    }
    run_for(w, 100);
    assert_int_equal(w->process->state, PROCESS_DRAINING);
    (void)read_stream(w, FURTHER);
    while (!w->gone)
        run(w);
    assert_int_equal(w->received[FURTHER], w->flow[FURTHER].total);
    assert_false(w->mismatch);
}

/* ---- stand-in ---- */

static void signals_and_sizes_are_forwarded(void **state) {
    struct world *w = *state;
    int slave;
    assert_int_equal(openpty(&w->host[IN], &slave, NULL, NULL, NULL), 0);
    const int stdio[3] = {slave, -EBADF, -EBADF};
    begin_with(w, "exec1", true, stdio);
    struct standin_message m = {.magic = CONTROL_MAGIC, .op = STANDIN_SIGNAL, .value = SIGTERM};
    assert_int_equal(send(w->standin, &m, sizeof m, 0), sizeof m);
    while (!w->signal)
        run(w);
    assert_int_equal(w->signal, SIGTERM);
    assert_false(w->signal_all);
    m = (struct standin_message){.magic = CONTROL_MAGIC, .op = STANDIN_RESIZE, .rows = 50, .columns = 132};
    assert_int_equal(send(w->standin, &m, sizeof m, 0), sizeof m);
    while (!w->rows)
        run(w);
    assert_int_equal(w->rows, 50);
    assert_int_equal(w->columns, 132);
}

static void who_kills_the_stand_in_kills_the_container(void **state) {
    struct world *w = *state;
    begin(w, "", 0);
    close_fd(&w->standin);
    while (!w->signal)
        run(w);
    assert_int_equal(w->signal, SIGKILL);
    assert_true(w->signal_all);
    end(w, 0, SIGKILL);
    while (!w->gone)
        run(w);
}

static void a_lost_guest_is_a_killed_process(void **state) {
    struct world *w = *state;
    struct err why = {.code = EIO, .text = "QEMU was ended by SIGKILL while running"};
    begin(w, "", 0);
    agent_break(w->agent, &why);
    while (w->process->state != PROCESS_TOLD)
        run_for(w, 20);
    expect_told(w, 137, SIGKILL);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_WORLD(bulk_through_a_nonblocking_pipe),
        WITH_WORLD(bulk_through_a_blocking_pipe),
        WITH_WORLD(bulk_through_a_socket),
        WITH_WORLD(output_to_a_file_is_whole),
        WITH_WORLD(a_slow_reader_holds_up_only_its_own_stream),
        WITH_WORLD(that_the_reader_has_gone_is_passed_on),
        WITH_WORLD(the_guest_is_told_that_the_reader_has_gone),
        WITH_WORLD(a_fifo_with_a_name_is_closed_by_a_write_only),
        WITH_WORLD(an_end_is_passed_on_at_once),
        WITH_WORLD(drained_is_an_end_too),
        WITH_WORLD(a_reader_that_never_reads_is_given_up),
        WITH_WORLD(more_than_asked_for_is_a_violation),
        WITH_WORLD(an_impossible_exit_is_no_success),
        WITH_WORLD(input_arrives_whole_and_ends),
        WITH_WORLD(input_that_nobody_reads_is_left_alone),
        WITH_WORLD(flags_of_shared_descriptions_stay),
        WITH_WORLD(a_terminal_passes_bytes_through),
        WITH_WORLD(a_socket_goes_both_ways_and_each_ends_alone),
        WITH_WORLD(a_socket_that_the_guest_has_shut_down_takes_input_still),
        WITH_WORLD(a_socket_that_the_guest_has_closed_is_closed_but_not_shut_down),
        WITH_WORLD(a_socket_whose_reader_has_gone),
        WITH_WORLD(a_socket_whose_peer_reads_no_more_still_takes_input),
        WITH_WORLD(further_input_has_its_own_number),
        WITH_WORLD(further_output_is_delivered_before_the_end_is_told),
        WITH_WORLD(signals_and_sizes_are_forwarded),
        WITH_WORLD(who_kills_the_stand_in_kills_the_container),
        WITH_WORLD(a_lost_guest_is_a_killed_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
