/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real minka-monitor from LOAD to its end. The test plays its peers over real sockets: the command, QEMU's
 * control socket, the agent in the guest, a stand-in; a child of the monitor plays QEMU's process.
 */
#include "agent.pb-c.h"
#include "facts/control/control.h"
#include "minka-build.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/loop.h"
#include "shared/rpc/ttrpc.h"
#include "shared/rpc/version.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { PROCESSES = 700 };

struct world {
    struct loop *loop;
    char directory[64];
    int setup, qmp, agent_fd, console, vmm_stderr, vmm_order, vmm_pidfd;
    int standin, out;
    pid_t monitor, vmm;
    struct loop_source *qmp_source;
    struct ttrpc_server *server;
    struct control_reply reply;
    bool replied, setup_closed;
    /* how the peers behave */
    bool qmp_silent, agent_silent;
    const char *qmp_answer_to_cont;
    uint32_t protocol;
    const char *create_error;
    /* what they saw */
    bool hello, shared, shut_down;
    struct ttrpc_request *wait, *event, *read[3], *create;
    bool hold_create;
    int32_t signal;
    char deleted[64];
};

/* ---- the agent ---- */

static void answer(struct ttrpc_request *request, const ProtobufCMessage *message) {
    _cleanup_free_ uint8_t *packed = malloc(protobuf_c_message_get_packed_size(message) + 1);
    ttrpc_respond(request, packed, protobuf_c_message_pack(message, packed));
}

#define HANDLER(name) static void name(void *data, struct ttrpc_request *request, const uint8_t *payload, size_t length)

HANDLER(on_hello) {
    struct world *w = data;
    Minka__Agent__V1__HelloRequest *r = minka__agent__v1__hello_request__unpack(NULL, length, payload);
    assert_int_equal(r->protocol, AGENT_PROTOCOL);
    assert_true(r->entropy.len >= 64);
    assert_true(r->time_sec > 1700000000);
    minka__agent__v1__hello_request__free_unpacked(r, NULL);
    w->hello = true;
    char version[] = "0.0.9", kernel[] = "6.1.0-test";
    Minka__Agent__V1__HelloResponse response = MINKA__AGENT__V1__HELLO_RESPONSE__INIT;
    response.protocol = w->protocol;
    response.version = version;
    response.kernel = kernel;
    answer(request, &response.base);
}

HANDLER(on_setup_sandbox) {
    struct world *w = data;
    Minka__Plan__V1__Sandbox *s = minka__plan__v1__sandbox__unpack(NULL, length, payload);
    w->shared = s->n_shares == 1 && strcmp(s->shares[0]->tag, GUEST_SHARE_TAG) == 0;
    minka__plan__v1__sandbox__free_unpacked(s, NULL);
    ttrpc_respond(request, NULL, 0);
}

HANDLER(on_create) {
    struct world *w = data;
    assert_int_equal(length, 4);
    assert_memory_equal(payload, "plan", 4); /* as the command packed it */
    Minka__Agent__V1__CreateContainerResponse response = MINKA__AGENT__V1__CREATE_CONTAINER_RESPONSE__INIT;
    response.pid = 123;
    if (w->hold_create) {
        w->create = request;
        loop_quit(w->loop, 0);
    } else if (w->create_error) {
        ttrpc_fail(request, TTRPC_INVALID_ARGUMENT, w->create_error);
    } else {
        answer(request, &response.base);
    }
}

HANDLER(on_wait) {
    (void)payload;
    (void)length;
    struct world *w = data;
    w->wait = request;
}

HANDLER(on_event) {
    (void)payload;
    (void)length;
    struct world *w = data;
    w->event = request;
}

HANDLER(on_read) {
    struct world *w = data;
    Minka__Agent__V1__ReadRequest *r = minka__agent__v1__read_request__unpack(NULL, length, payload);
    w->read[r->stream] = request;
    minka__agent__v1__read_request__free_unpacked(r, NULL);
}

HANDLER(on_signal) {
    struct world *w = data;
    Minka__Agent__V1__SignalRequest *r = minka__agent__v1__signal_request__unpack(NULL, length, payload);
    w->signal = r->signal;
    minka__agent__v1__signal_request__free_unpacked(r, NULL);
    ttrpc_respond(request, NULL, 0);
}

HANDLER(on_list) {
    (void)data;
    (void)payload;
    (void)length;
    static Minka__Agent__V1__ProcessInfo info[PROCESSES];
    static Minka__Agent__V1__ProcessInfo *list[PROCESSES];
    char command[] = "sleep\n\033[2J", terminal[] = "pts/0";
    Minka__Agent__V1__ListResponse response = MINKA__AGENT__V1__LIST_RESPONSE__INIT;
    for (int i = 0; i < PROCESSES; i++) {
        info[i] = (Minka__Agent__V1__ProcessInfo)MINKA__AGENT__V1__PROCESS_INFO__INIT;
        info[i].pid = i + 1;
        info[i].command = command;
        info[i].terminal = terminal;
        list[i] = &info[i];
    }
    response.processes = list;
    response.n_processes = PROCESSES;
    answer(request, &response.base);
}

HANDLER(on_delete) {
    struct world *w = data;
    Minka__Agent__V1__ContainerRequest *r = minka__agent__v1__container_request__unpack(NULL, length, payload);
    (void)snprintf(w->deleted, sizeof w->deleted, "%s", r->container);
    minka__agent__v1__container_request__free_unpacked(r, NULL);
    ttrpc_respond(request, NULL, 0);
}

HANDLER(on_shutdown) {
    (void)payload;
    (void)length;
    struct world *w = data;
    w->shut_down = true;
    ttrpc_respond(request, NULL, 0);
}

HANDLER(on_nothing) {
    (void)data;
    (void)payload;
    (void)length;
    ttrpc_respond(request, NULL, 0);
}

static const struct ttrpc_method methods[] = {{"Hello", on_hello},
                                              {"SetupSandbox", on_setup_sandbox},
                                              {"CreateContainer", on_create},
                                              {"StartContainer", on_nothing},
                                              {"ExecProcess", on_nothing},
                                              {"WaitProcess", on_wait},
                                              {"NextEvent", on_event},
                                              {"ReadOutput", on_read},
                                              {"SignalProcess", on_signal},
                                              {"ListProcesses", on_list},
                                              {"DeleteContainer", on_delete},
                                              {"Shutdown", on_shutdown},
                                              {0}};

static void agent_closed(void *data, const struct err *why) {
    (void)data;
    (void)why;
}

/* ---- QEMU's control socket ---- */

static void qmp_say(struct world *w, const char *line) {
    (void)send(w->qmp, line, strlen(line), MSG_NOSIGNAL);
}

static void on_qmp(void *data, uint32_t events) {
    (void)events;
    struct world *w = data;
    char line[256] = {0};
    ssize_t n = recv(w->qmp, line, sizeof line - 1, MSG_DONTWAIT);
    if (n <= 0)
        w->qmp_source = loop_source_free(w->qmp_source);
    else if (strstr(line, "qmp_capabilities") && !w->qmp_silent)
        qmp_say(w, "{\"return\": {}, \"id\": 1}\r\n");
    else if (strstr(line, "cont"))
        qmp_say(w, w->qmp_answer_to_cont);
}

/* ---- start and end ---- */

/* What plays QEMU's process: says its last words and exits as ordered. */
static void be_vmm(int order, int error) {
    char command = 0;
    (void)signal(SIGSYS, SIG_DFL); /* cmocka catches it */
    /* It must not hold its parent's sockets open. */
    order = dup2(order, 0);
    error = dup2(error, 2);
    (void)close_range(3, ~0U, 0);
    if (read(order, &command, 1) == 1 && command == 'e')
        (void)dprintf(error, "starting\nqemu: cannot load /kernel: No such file or directory\n");
    _exit(command == 'e' ? 1 : 0);
}

static void be_monitor(const int fds[6], int order, int error, int pid_pipe) {
    pid_t vmm = fork();
    if (vmm == 0)
        be_vmm(order, error);
    (void)!write(pid_pipe, &vmm, sizeof vmm);
    int high[6];
    for (int i = 0; i < 6; i++)
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < 6; i++)
        (void)dup2(high[i], 3 + i);
    char owner[32];
    (void)snprintf(owner, sizeof owner, "--owner-uid=%u", getuid());
    (void)execl(MONITOR, "minka-monitor", "--setup=3", "--listen=4", "--qmp=5", "--agent=6", "--console=7",
                "--vmm-stderr=8", owner, "--dial-timeout=2", NULL);
    _exit(126);
}

static void stream_pair(int pair[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static int listen_in(const char *directory) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", directory);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    *state = w;
    int control[2], qmp[2], agent[2], console[2], error[2], order[2], pids[2];
    w->protocol = AGENT_PROTOCOL;
    w->qmp_answer_to_cont = "{\"return\": {}, \"id\": 2}\r\n{\"timestamp\": {\"seconds\": 1, \"microseconds\": 1}, "
                            "\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, \"id\": \"agent\"}}\r\n";
    w->standin = w->out = -EBADF;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(w->directory, sizeof w->directory, "/tmp/minka-monitor-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
    stream_pair(qmp);
    stream_pair(agent);
    stream_pair(console);
    assert_int_equal(pipe2(error, O_CLOEXEC), 0);
    assert_int_equal(pipe2(order, O_CLOEXEC), 0);
    assert_int_equal(pipe2(pids, O_CLOEXEC), 0);
    int listener = listen_in(w->directory);
    const int given[6] = {control[1], listener, qmp[1], agent[1], console[1], error[0]};
    w->monitor = fork();
    if (w->monitor == 0) {
        (void)close(order[1]);
        be_monitor(given, order[0], error[1], pids[1]);
    }
    assert_int_equal(read_all(pids[0], &w->vmm, sizeof w->vmm), 0);
    w->vmm_pidfd = (int)syscall(SYS_pidfd_open, w->vmm, 0);
    assert_true(w->vmm_pidfd >= 0);
    for (size_t i = 0; i < 6; i++)
        (void)close(given[i]);
    (void)close(error[1]);
    (void)close(order[0]);
    (void)close(pids[0]);
    (void)close(pids[1]);
    w->setup = control[0];
    w->qmp = qmp[0];
    w->agent_fd = agent[0];
    w->console = console[0];
    w->vmm_order = order[1];
    assert_int_equal(loop_add_fd(w->loop, w->qmp, EPOLLIN, on_qmp, w, &w->qmp_source), 0);
    qmp_say(w, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
    return 0;
}

static void start_agent(struct world *w) {
    assert_int_equal(ttrpc_server_new(w->loop, w->agent_fd, AGENT_SERVICE, methods, agent_closed, w, &w->server, NULL),
                     0);
}

static int teardown(void **state) {
    struct world *w = *state;
    char command[128];
    w->server = ttrpc_server_free(w->server);
    struct ttrpc_request *open_calls[] = {w->wait, w->event, w->read[1], w->read[2], w->create};
    for (size_t i = 0; i < ARRAY_SIZE(open_calls); i++)
        if (open_calls[i])
            ttrpc_respond(open_calls[i], NULL, 0);
    if (w->monitor > 0) {
        (void)kill(w->monitor, SIGKILL);
        (void)waitpid(w->monitor, NULL, 0);
    }
    int *fds[] = {&w->setup, &w->qmp, &w->agent_fd, &w->console, &w->vmm_order, &w->vmm_pidfd, &w->standin, &w->out};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close_fd(fds[i]); /* QEMU's process ends with vmm_order */
    loop_free(w->loop);
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", w->directory);
    free(w);
    return system(command);
}

/* ---- the command ---- */

struct asker {
    struct world *w;
    int fd;
    enum control_op op;
};

static void on_reply(void *data, uint32_t events) {
    (void)events;
    struct asker *a = data;
    ssize_t n = recv(a->fd, &a->w->reply, sizeof a->w->reply, MSG_DONTWAIT);
    if (n > 0)
        assert_int_equal(control_reply_check(&a->w->reply, n, a->op), 0);
    a->w->replied = n > 0;
    a->w->setup_closed = n <= 0;
    loop_quit(a->w->loop, 0);
}

static void timed_out(void *data) {
    (void)data;
    fail_msg("nothing happened for 20 s");
}

/* The next reply on fd; false when the connection was closed instead. */
static bool receive(struct world *w, int fd, enum control_op op) {
    struct asker a = {.w = w, .fd = fd, .op = op};
    struct loop_source *source, *timer;
    w->replied = w->setup_closed = false;
    assert_int_equal(loop_add_timer(w->loop, 20000, timed_out, NULL, &timer), 0);
    assert_int_equal(loop_add_fd(w->loop, fd, EPOLLIN, on_reply, &a, &source), 0);
    while (!w->replied && !w->setup_closed)
        assert_int_equal(loop_run(w->loop), 0);
    loop_source_free(source);
    loop_source_free(timer);
    return w->replied;
}

static void send_request(int fd, const struct control_request *request, const int *fds, size_t n) {
    assert_int_equal(send_with_fds(fd, request, sizeof *request, fds, n), 0);
}

static struct control_request request_of(enum control_op op) {
    struct control_request r = {.magic = CONTROL_MAGIC, .op = op};
    if (op > CONTROL_BOOT)
        strcpy(r.container, "box");
    return r;
}

static int32_t ask_on(struct world *w, int fd, enum control_op op, const int *fds, size_t n) {
    struct control_request r = request_of(op);
    if (op == CONTROL_SIGNAL)
        r.signal = SIGTERM;
    send_request(fd, &r, fds, n);
    assert_true(receive(w, fd, op));
    return w->reply.status;
}

static int connect_to(struct world *w) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", w->directory);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int32_t ask(struct world *w, enum control_op op) {
    _cleanup_close_ int fd = connect_to(w);
    return ask_on(w, fd, op, NULL, 0);
}

static void turn_quit(void *data) {
    loop_quit(data, 0);
}
static void turn(struct world *w, int msec) {
    struct loop_source *timer;
    assert_int_equal(loop_add_timer(w->loop, msec, turn_quit, w->loop, &timer), 0);
    assert_int_equal(loop_run(w->loop), 0);
    loop_source_free(timer);
}

static int monitor_status(struct world *w) {
    for (int i = 0; i < 400; i++) {
        int status;
        pid_t pid = waitpid(w->monitor, &status, WNOHANG);
        if (pid == w->monitor) {
            w->monitor = -1;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
        turn(w, 50);
    }
    fail_msg("the monitor does not end");
    return -1;
}

static void boot(struct world *w) {
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), 0);
    start_agent(w);
    assert_int_equal(ask_on(w, w->setup, CONTROL_BOOT, NULL, 0), 0);
}

static void send_create(struct world *w, enum control_op op) {
    struct control_request r = request_of(op);
    r.n_streams = STREAMS_STANDARD;
    streams_standard(r.streams, false);
    int standin[2], in[2], out[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, standin), 0);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    int plan = memfd_of("plan", "plan", 4);
    int fds[] = {plan, standin[1], in[0], out[1], out[1]};
    send_request(w->setup, &r, fds, ARRAY_SIZE(fds));
    int *ours[] = {&plan, &standin[1], &in[0], &in[1], &out[1]};
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        close_fd(ours[i]);
    w->standin = standin[0];
    w->out = out[0];
}

static int32_t create(struct world *w) {
    send_create(w, CONTROL_CREATE);
    assert_true(receive(w, w->setup, CONTROL_CREATE));
    return w->reply.status;
}

static void run_container(struct world *w) {
    boot(w);
    assert_int_equal(create(w), 0);
    assert_int_equal(w->reply.value, 123);
    close_fd(&w->setup); /* the command exits */
    assert_int_equal(ask(w, CONTROL_START), 0);
}

static void end_container(struct world *w, int code) {
    Minka__Agent__V1__WaitResponse wait = MINKA__AGENT__V1__WAIT_RESPONSE__INIT;
    Minka__Agent__V1__ReadResponse end = MINKA__AGENT__V1__READ_RESPONSE__INIT;
    uint8_t last[] = "last words";
    wait.exit_code = code;
    answer(take_ptr(w->wait), &wait.base);
    end.eof = true;
    answer(take_ptr(w->read[2]), &end.base);
    end.data = (ProtobufCBinaryData){.data = last, .len = sizeof last - 1};
    answer(take_ptr(w->read[1]), &end.base);
}

static void expect_told(struct world *w, int value, int signal) {
    struct standin_message m;
    ssize_t n = -1;
    for (int i = 0; i < 200 && (n = recv(w->standin, &m, sizeof m, MSG_DONTWAIT)) < 0; i++)
        turn(w, 50);
    assert_int_equal(standin_message_check(&m, n), 0);
    assert_int_equal(m.value, value);
    assert_int_equal(m.signal, signal);
    close_fd(&w->standin);
}

/* ---- the good way ---- */

static void a_container_from_load_to_its_end(void **state) {
    struct world *w = *state;
    run_container(w);
    assert_true(w->hello);
    assert_false(w->shared); /* there is no file server here */
    assert_int_equal(ask(w, CONTROL_SIGNAL), 0);
    assert_int_equal(w->signal, SIGTERM);
    end_container(w, 42);
    expect_told(w, 42, 0);
    char text[32] = {0};
    assert_int_equal(read(w->out, text, sizeof text), 10);
    assert_string_equal(text, "last words");
    assert_int_equal(monitor_status(w), 0);
    assert_true(w->shut_down);
}

static void many_processes_are_listed(void **state) {
    struct world *w = *state;
    run_container(w);
    _cleanup_close_ int fd = connect_to(w);
    struct control_request r = request_of(CONTROL_PS);
    send_request(fd, &r, NULL, 0);
    turn(w, 200); /* the socket fills up */
    for (int i = 1; i <= PROCESSES; i++) {
        assert_true(receive(w, fd, CONTROL_PS));
        assert_int_equal(w->reply.process.pid, i);
        assert_int_equal(w->reply.more, i < PROCESSES);
        assert_string_equal(w->reply.text, "sleep ?[2J");
    }
}

static void events_reach_those_who_asked(void **state) {
    struct world *w = *state;
    run_container(w);
    _cleanup_close_ int fd = connect_to(w);
    { /* one that loses interest */
        _cleanup_close_ int other = connect_to(w);
        struct control_request r = request_of(CONTROL_EVENTS);
        send_request(other, &r, NULL, 0);
        turn(w, 50);
    }
    struct control_request r = request_of(CONTROL_EVENTS);
    send_request(fd, &r, NULL, 0);
    turn(w, 50);
    char box[] = "box", type[] = "oom";
    Minka__Agent__V1__Event event = MINKA__AGENT__V1__EVENT__INIT;
    event.container = box;
    event.type = type;
    for (int i = 0; i < 2; i++) {
        while (!w->event)
            turn(w, 20);
        answer(take_ptr(w->event), &event.base);
        assert_true(receive(w, fd, CONTROL_EVENTS));
        assert_string_equal(w->reply.text, "oom");
        assert_int_equal(w->reply.more, 1);
    }
    end_container(w, 0);
    expect_told(w, 0, 0);
    assert_true(receive(w, fd, CONTROL_EVENTS));
    assert_int_equal(w->reply.more, 0);
    assert_string_equal(w->reply.text, "");
}

static void deleting_the_last_container_ends_the_sandbox(void **state) {
    struct world *w = *state;
    run_container(w);
    assert_int_equal(ask(w, CONTROL_DELETE), 0);
    assert_string_equal(w->deleted, "box");
    expect_told(w, 137, SIGKILL);
    assert_int_equal(monitor_status(w), 0);
}

static void sigterm_ends_it_in_order(void **state) {
    struct world *w = *state;
    run_container(w);
    assert_int_equal(kill(w->monitor, SIGTERM), 0);
    while (w->signal != SIGKILL)
        turn(w, 20);
    end_container(w, 0);
    expect_told(w, 0, 0);
    assert_int_equal(monitor_status(w), 0);
    assert_true(w->shut_down);
}

/* ---- refusals ---- */

static void requests_at_the_wrong_time_or_place_are_refused(void **state) {
    struct world *w = *state;
    assert_int_equal(ask(w, CONTROL_LOAD), -EBADRQC); /* only for the setup connection */
    assert_int_equal(ask(w, CONTROL_START), -EBUSY);
    assert_int_equal(ask_on(w, w->setup, CONTROL_BOOT, NULL, 0), -EBUSY);
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, NULL, 0), -EBADRQC); /* without a pidfd */
    boot(w);
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), -EBUSY);
    assert_int_equal(ask(w, CONTROL_START), -ESRCH);
    assert_string_equal(w->reply.text, "container not running");
    assert_int_equal(create(w), 0);
    close_fd(&w->standin);
    assert_int_equal(create(w), -EEXIST);
    _cleanup_close_ int rubbish = connect_to(w);
    assert_int_equal(send(rubbish, "rubbish", 7, 0), 7);
    assert_false(receive(w, rubbish, CONTROL_PS));
}

static void a_client_that_leaves_early_is_forgotten(void **state) {
    struct world *w = *state;
    run_container(w);
    for (int i = 0; i < 100; i++) {
        _cleanup_close_ int fd = connect_to(w);
        struct control_request r = request_of(CONTROL_PS);
        send_request(fd, &r, NULL, 0);
        if (i % 10 == 0)
            turn(w, 5);
    }
    assert_int_equal(ask(w, CONTROL_SIGNAL), 0);
}

static void a_failed_create_says_why_and_the_sandbox_ends_with_the_command(void **state) {
    struct world *w = *state;
    w->create_error = "exec: \"nonsense\": executable file not found in $PATH";
    boot(w);
    assert_int_equal(create(w), -EINVAL);
    assert_string_equal(w->reply.text, w->create_error);
    close_fd(&w->setup);
    assert_int_equal(monitor_status(w), 1);
}

static void a_command_that_dies_takes_the_sandbox_with_it(void **state) {
    struct world *w = *state;
    w->hold_create = true;
    boot(w);
    send_create(w, CONTROL_CREATE);
    while (!w->create)
        assert_int_equal(loop_run(w->loop), 0);
    close_fd(&w->setup);
    assert_int_equal(monitor_status(w), 1);
}

/* ---- everything that can break ---- */

static void qemu_dies_while_loading(void **state) {
    struct world *w = *state;
    w->qmp_silent = true;
    assert_int_equal(write(w->vmm_order, "e", 1), 1);
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), -EIO);
    /* And not the words by which podman would blame the container's command. */
    assert_string_equal(w->reply.text, "QEMU ended with status 1 while the virtual machine was loading; it said: qemu: "
                                       "cannot load /kernel: it does not exist");
    close_fd(&w->setup);
    assert_int_equal(monitor_status(w), 1);
}

static void qemu_died_before_it_was_known(void **state) {
    struct world *w = *state;
    assert_int_equal(write(w->vmm_order, "e", 1), 1);
    (void)shutdown(w->qmp, SHUT_RDWR);
    turn(w, 900); /* longer than a suspicion takes */
    struct control_request r = request_of(CONTROL_LOAD);
    send_request(w->setup, &r, &w->vmm_pidfd, 1);
    assert_true(receive(w, w->setup, CONTROL_LOAD));
    assert_string_equal(w->reply.text, "QEMU ended with status 1 while the virtual machine was loading; it said: qemu: "
                                       "cannot load /kernel: it does not exist");
}

static void qemu_is_killed_while_booting(void **state) {
    struct world *w = *state;
    w->qmp_answer_to_cont = "";
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), 0);
    struct control_request r = request_of(CONTROL_BOOT);
    send_request(w->setup, &r, NULL, 0);
    turn(w, 50);
    assert_int_equal(kill(w->vmm, SIGKILL), 0);
    assert_true(receive(w, w->setup, CONTROL_BOOT));
    assert_string_equal(w->reply.text, "QEMU was ended by SIGKILL while the virtual machine was booting");
}

static void qemu_makes_a_forbidden_system_call(void **state) {
    struct world *w = *state;
    w->qmp_answer_to_cont = "";
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), 0);
    struct control_request r = request_of(CONTROL_BOOT);
    send_request(w->setup, &r, NULL, 0);
    turn(w, 50);
    assert_int_equal(kill(w->vmm, SIGSYS), 0);
    assert_true(receive(w, w->setup, CONTROL_BOOT));
    assert_string_equal(w->reply.text, "QEMU was ended by SIGSYS, for a system call it may not make (the host's kernel "
                                       "log says which) while the virtual machine was booting");
}

static void qemu_is_killed_while_running(void **state) {
    struct world *w = *state;
    run_container(w);
    /* As when it dies: the channels go first, the reason comes after them, and a request in between gets the reason. */
    _cleanup_close_ int fd = connect_to(w);
    struct control_request r = request_of(CONTROL_PAUSE);
    w->server = ttrpc_server_free(w->server);
    send_request(fd, &r, NULL, 0);
    turn(w, 50);
    (void)shutdown(w->agent_fd, SHUT_RDWR);
    (void)shutdown(w->qmp, SHUT_RDWR);
    turn(w, 50);
    assert_int_equal(kill(w->vmm, SIGKILL), 0);
    assert_true(receive(w, fd, CONTROL_PAUSE));
    assert_string_equal(w->reply.text, "QEMU was ended by SIGKILL while the virtual machine was running");
    expect_told(w, 137, SIGKILL);
    assert_int_equal(monitor_status(w), 1);
}

static void a_guest_that_never_answers_meets_the_deadline(void **state) {
    struct world *w = *state;
    static const char said[] = "[    0.5] Linux\r\n\033[1mKernel panic: no init\033[0m\r\n";
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), 0);
    assert_int_equal(write(w->console, said, sizeof said - 1), sizeof said - 1);
    assert_int_equal(ask_on(w, w->setup, CONTROL_BOOT, NULL, 0), -ETIMEDOUT);
    assert_string_equal(w->reply.text, "the guest did not get ready within 2 s (dial_timeout); its console last said: "
                                       "Kernel panic: no init (`enable_debug = true` makes it say more)");
}

static void a_qemu_that_never_answers_meets_the_deadline(void **state) {
    struct world *w = *state;
    w->qmp_silent = true;
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), -ETIMEDOUT);
    assert_string_equal(w->reply.text, "QEMU did not get ready within 2 s (dial_timeout); QEMU said nothing");
}

static void a_guest_image_of_another_version_is_told(void **state) {
    struct world *w = *state;
    w->protocol = AGENT_PROTOCOL + 7;
    assert_int_equal(ask_on(w, w->setup, CONTROL_LOAD, &w->vmm_pidfd, 1), 0);
    start_agent(w);
    assert_int_equal(ask_on(w, w->setup, CONTROL_BOOT, NULL, 0), -EPROTO);
    assert_string_equal(w->reply.text,
                        "the guest image was built for minka 0.0.9 (protocol 9), this is minka " MINKA_VERSION
                        " (protocol 2): run `minka image build`");
}

static void a_reset_guest_is_a_lost_one(void **state) {
    struct world *w = *state;
    run_container(w);
    qmp_say(w, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 1}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": "
               "true, \"reason\": \"guest-reset\"}}\r\n");
    expect_told(w, 137, SIGKILL);
    assert_int_equal(monitor_status(w), 1);
}

static void rubbish_from_the_guest_ends_the_sandbox(void **state) {
    struct world *w = *state;
    run_container(w);
    assert_int_equal(send(w->agent_fd, "\0\0\0\0\0\0\0\5\1\0", 10, 0), 10);
    expect_told(w, 137, SIGKILL);
    assert_int_equal(monitor_status(w), 1);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_container_from_load_to_its_end),
        WITH_WORLD(many_processes_are_listed),
        WITH_WORLD(events_reach_those_who_asked),
        WITH_WORLD(deleting_the_last_container_ends_the_sandbox),
        WITH_WORLD(sigterm_ends_it_in_order),
        WITH_WORLD(requests_at_the_wrong_time_or_place_are_refused),
        WITH_WORLD(a_client_that_leaves_early_is_forgotten),
        WITH_WORLD(a_failed_create_says_why_and_the_sandbox_ends_with_the_command),
        WITH_WORLD(a_command_that_dies_takes_the_sandbox_with_it),
        WITH_WORLD(qemu_dies_while_loading),
        WITH_WORLD(qemu_died_before_it_was_known),
        WITH_WORLD(qemu_is_killed_while_booting),
        WITH_WORLD(qemu_makes_a_forbidden_system_call),
        WITH_WORLD(qemu_is_killed_while_running),
        WITH_WORLD(a_guest_that_never_answers_meets_the_deadline),
        WITH_WORLD(a_qemu_that_never_answers_meets_the_deadline),
        WITH_WORLD(a_guest_image_of_another_version_is_told),
        WITH_WORLD(a_reset_guest_is_a_lost_one),
        WITH_WORLD(rubbish_from_the_guest_ends_the_sandbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
