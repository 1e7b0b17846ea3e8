/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speaks to a guest agent without monitor and VMM code: for tests of the agent alone, and to measure it.
 *
 *   agent-client SOCKET COMMAND [ARGUMENT …] [+ COMMAND [ARGUMENT …]] …
 *
 * SOCKET is the unix socket of the agent's virtio-serial port. Each command is one call, or a few; what it answered
 * goes to stdout, how long it took to stderr. The first call that fails ends the program with 1.
 *
 *   hello                      sandbox [TAG=PATH …]
 *   create FILE                a packed minka.plan.v1.Container
 *   container ID ROOT ARG …    the same from a plain plan: new namespaces, /proc, /dev, /sys, root's capabilities
 *   start ID                   exec ID PROCESS ARG …
 *   output ID PROCESS          copies stdout and stderr to their end, then waits: `exit 0` or `signal 9`, and `oom`
 *   feed ID PROCESS            copies this program's stdin, then closes the process's
 *   signal ID PROCESS NUMBER   signal-all ID NUMBER
 *   resize ID PROCESS ROWS COLUMNS
 *   storm ROOT COUNT SEED      random calls, see agent-storm.c
 *   sleep SECONDS              nothing is read meanwhile
 *   list ID    stats ID    pause ID    resume ID    delete ID    event    shutdown
 * In the environment: TERMINAL=1 asks for a terminal, MEMORY_MAX=BYTES limits `container`, SHARE_PID=1 leaves it in the
 * VM's pid namespace, where it sees the agent. PROCESS is - for the container's own.
 */
#include "agent-client.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { CHUNK = 512 << 10, TIMEOUT_MSEC = 120000 };

struct loop *loop;
static struct ttrpc_client *client;

_Noreturn void fail(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    (void)vfprintf(stderr, format, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    exit(1);
}

/* ---- one call, waited for ---- */

struct call {
    const ProtobufCMessageDescriptor *descriptor;
    ProtobufCMessage *response;
    const char *method;
};

static void replied(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload, size_t length) {
    struct call *call = data;
    if (code != TTRPC_OK)
        fail("%s: code %d: %s", call->method, (int)code, message);
    call->response = protobuf_c_message_unpack(call->descriptor, NULL, length, payload);
    if (!call->response)
        fail("%s: the answer is not a %s", call->method, call->descriptor->name);
    loop_quit(loop, 0);
}

void send_call(const char *method, const ProtobufCMessage *request, ttrpc_reply_fn *reply, void *data) {
    size_t length = protobuf_c_message_get_packed_size(request);
    _cleanup_free_ uint8_t *packed = malloc(length + 1);
    (void)protobuf_c_message_pack(request, packed);
    int r = ttrpc_call(client, method, packed, length, reply, data);
    if (r < 0)
        fail("%s: %s", method, strerror(-r));
}

static void *call(const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *descriptor) {
    struct call call = {.descriptor = descriptor, .method = method};
    send_call(method, request, replied, &call);
    while (!call.response)
        if (loop_run(loop) < 0)
            fail("%s: the event loop failed", method);
    return call.response;
}

static void call_empty(const char *method, const ProtobufCMessage *request) {
    protobuf_c_message_free_unpacked(call(method, request, &minka__agent__v1__empty__descriptor), NULL);
}

static void closed(void *data, const struct err *why) {
    (void)data;
    fail("the agent's channel is closed: %s", why->code ? why->text : "end of stream");
}

/* ---- the calls ---- */

static char *process_of(char *argument) {
    return strcmp(argument, "-") == 0 ? argument + 1 : argument;
}

static void hello(void) {
    uint8_t entropy[64];
    struct timespec now;
    char version[] = "test";
    if (getrandom(entropy, sizeof entropy, 0) != sizeof entropy)
        fail("no randomness");
    (void)clock_gettime(CLOCK_REALTIME, &now);
    Minka__Agent__V1__HelloRequest request = MINKA__AGENT__V1__HELLO_REQUEST__INIT;
    request.protocol = AGENT_PROTOCOL;
    request.version = version;
    request.time_sec = now.tv_sec;
    request.time_nsec = now.tv_nsec;
    request.entropy = (ProtobufCBinaryData){.data = entropy, .len = sizeof entropy};
    Minka__Agent__V1__HelloResponse *response =
        call("Hello", &request.base, &minka__agent__v1__hello_response__descriptor);
    printf("protocol %u version %s kernel %s boot %" PRIu64 " us\n", response->protocol, response->version,
           response->kernel, response->boot_usec);
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void sandbox(char **arguments) {
    Minka__Plan__V1__Share shares[16], *pointers[16];
    Minka__Plan__V1__Sandbox request = MINKA__PLAN__V1__SANDBOX__INIT;
    request.shares = pointers;
    for (; *arguments && request.n_shares < 16; arguments++, request.n_shares++) {
        Minka__Plan__V1__Share *share = pointers[request.n_shares] = &shares[request.n_shares];
        *share = (Minka__Plan__V1__Share)MINKA__PLAN__V1__SHARE__INIT;
        share->path = *arguments;
        share->tag = strsep(&share->path, "=");
        if (!share->path)
            fail("sandbox: TAG=PATH is missing its path");
    }
    call_empty("SetupSandbox", &request.base);
}

static void create(const uint8_t *packed, size_t length) {
    Minka__Plan__V1__Container *plan = minka__plan__v1__container__unpack(NULL, length, packed);
    if (!plan)
        fail("this is not a container plan");
    Minka__Agent__V1__CreateContainerResponse *response =
        call("CreateContainer", &plan->base, &minka__agent__v1__create_container_response__descriptor);
    printf("pid %d\n", response->pid);
    protobuf_c_message_free_unpacked(&response->base, NULL);
    minka__plan__v1__container__free_unpacked(plan, NULL);
}

static void create_from_file(const char *path) {
    char *packed;
    size_t length;
    struct err err = {0};
    if (read_file(AT_FDCWD, path, TTRPC_MESSAGE_MAX, &packed, &length, &err) < 0)
        fail("%s", err.text);
    create((const uint8_t *)packed, length);
    free(packed);
}

static void create_plain(char *id, char *root_path, char **arguments) {
    size_t length;
    uint8_t *packed = plain_container(id, root_path, arguments, &length);
    create(packed, length);
    free(packed);
}

static void exec(char *id, char *name, char **arguments) {
    Minka__Plan__V1__Process process = plain_process(arguments);
    Minka__Agent__V1__ExecRequest request = MINKA__AGENT__V1__EXEC_REQUEST__INIT;
    request.container = id;
    request.process = name;
    request.plan = &process;
    Minka__Agent__V1__CreateContainerResponse *response =
        call("ExecProcess", &request.base, &minka__agent__v1__create_container_response__descriptor);
    printf("pid %d\n", response->pid);
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

/* ---- output: both streams at once, each with one read in flight ---- */

struct copy {
    const char *id, *process;
    unsigned stream;
    uint64_t bytes;
    bool done;
};
static int copies_left;

static void read_next(struct copy *copy);

static void read_replied(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload, size_t length) {
    struct copy *copy = data;
    if (code != TTRPC_OK)
        fail("ReadOutput: code %d: %s", (int)code, message);
    Minka__Agent__V1__ReadResponse *response = minka__agent__v1__read_response__unpack(NULL, length, payload);
    if (!response || write_all(copy->stream == 2 ? 2 : 1, response->data.data, response->data.len) < 0)
        fail("ReadOutput: cannot copy");
    copy->bytes += response->data.len;
    bool end = response->eof || response->drained;
    minka__agent__v1__read_response__free_unpacked(response, NULL);
    if (!end)
        read_next(copy);
    else if (--copies_left == 0)
        loop_quit(loop, 0);
}

static void read_next(struct copy *copy) {
    Minka__Agent__V1__ReadRequest request = MINKA__AGENT__V1__READ_REQUEST__INIT;
    request.container = (char *)(uintptr_t)copy->id;
    request.process = (char *)(uintptr_t)copy->process;
    request.stream = copy->stream;
    request.max = CHUNK;
    send_call("ReadOutput", &request.base, read_replied, copy);
}

static void output(char *id, char *process) {
    /* With a terminal, as TERMINAL in the environment asks for, there is one that goes both ways. */
    bool terminal = getenv("TERMINAL") != NULL;
    struct copy copies[] = {{.id = id, .process = process, .stream = terminal ? 0 : 1},
                            {.id = id, .process = process, .stream = 2}};
    copies_left = terminal ? 1 : 2;
    (void)fflush(stdout);
    for (int i = 0, n = copies_left; i < n; i++)
        read_next(&copies[i]);
    while (copies_left > 0)
        (void)loop_run(loop);
    Minka__Agent__V1__ProcessRequest request = MINKA__AGENT__V1__PROCESS_REQUEST__INIT;
    request.container = id;
    request.process = process;
    Minka__Agent__V1__WaitResponse *response =
        call("WaitProcess", &request.base, &minka__agent__v1__wait_response__descriptor);
    fprintf(stderr, "%s %d%s\n", response->signal ? "signal" : "exit",
            response->signal ? response->signal : response->exit_code, response->oom ? " oom" : "");
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void feed(char *id, char *process) {
    static uint8_t bytes[CHUNK];
    Minka__Agent__V1__WriteRequest request = MINKA__AGENT__V1__WRITE_REQUEST__INIT;
    request.container = id;
    request.process = process;
    for (ssize_t n; (n = read(0, bytes, sizeof bytes)) > 0;) {
        request.data = (ProtobufCBinaryData){.data = bytes, .len = (size_t)n};
        call_empty("WriteInput", &request.base);
    }
    Minka__Agent__V1__StreamRequest end = MINKA__AGENT__V1__STREAM_REQUEST__INIT;
    end.container = id;
    end.process = process;
    call_empty("CloseInput", &end.base);
}

static void signal_process(char *id, char *process, const char *number, bool all) {
    Minka__Agent__V1__SignalRequest request = MINKA__AGENT__V1__SIGNAL_REQUEST__INIT;
    request.container = id;
    request.process = process;
    request.signal = signal_from_text(number);
    request.all = all;
    call_empty("SignalProcess", &request.base);
}

static void resize(char *id, char *process, const char *rows, const char *columns) {
    Minka__Agent__V1__ResizeRequest request = MINKA__AGENT__V1__RESIZE_REQUEST__INIT;
    request.container = id;
    request.process = process;
    request.rows = (uint32_t)strtoul(rows, NULL, 10);
    request.columns = (uint32_t)strtoul(columns, NULL, 10);
    call_empty("ResizeTerminal", &request.base);
}

static void list(const ProtobufCMessage *request) {
    Minka__Agent__V1__ListResponse *response =
        call("ListProcesses", request, &minka__agent__v1__list_response__descriptor);
    for (size_t i = 0; i < response->n_processes; i++) {
        const Minka__Agent__V1__ProcessInfo *p = response->processes[i];
        printf("%d %d uid %u %s cpu %" PRIu64 " ms start %" PRIu64 " %s\n", p->pid, p->ppid, p->uid,
               p->terminal[0] ? p->terminal : "-", p->cpu_msec, p->start_time_msec, p->command);
    }
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

/* Every field of a message of numbers, by its name. */
static void stats(const ProtobufCMessage *request) {
    const ProtobufCMessageDescriptor *descriptor = &minka__agent__v1__stats_response__descriptor;
    ProtobufCMessage *response = call("ContainerStats", request, descriptor);
    for (unsigned i = 0; i < descriptor->n_fields; i++)
        printf("%s %" PRIu64 "\n", descriptor->fields[i].name,
               *(const uint64_t *)(const void *)((const char *)response + descriptor->fields[i].offset));
    protobuf_c_message_free_unpacked(response, NULL);
}

static void next_event(void) {
    Minka__Agent__V1__Empty request = MINKA__AGENT__V1__EMPTY__INIT;
    Minka__Agent__V1__Event *event = call("NextEvent", &request.base, &minka__agent__v1__event__descriptor);
    printf("event %s %s\n", event->container, event->type);
    protobuf_c_message_free_unpacked(&event->base, NULL);
}

/* ---- command line ---- */

static const struct {
    const char *command, *method;
} container_calls[] = {{"start", "StartContainer"},
                       {"pause", "PauseContainer"},
                       {"resume", "ResumeContainer"},
                       {"delete", "DeleteContainer"}};

static bool run_container_call(const char *command, char *id) {
    Minka__Agent__V1__ContainerRequest request = MINKA__AGENT__V1__CONTAINER_REQUEST__INIT;
    request.container = id;
    if (strcmp(command, "list") == 0) {
        list(&request.base);
        return true;
    }
    if (strcmp(command, "stats") == 0) {
        stats(&request.base);
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(container_calls); i++)
        if (strcmp(command, container_calls[i].command) == 0) {
            call_empty(container_calls[i].method, &request.base);
            return true;
        }
    return false;
}

static void run_command(const char *command, char **arguments, size_t count) {
    Minka__Agent__V1__Empty empty = MINKA__AGENT__V1__EMPTY__INIT;
    if (strcmp(command, "hello") == 0)
        hello();
    else if (strcmp(command, "sandbox") == 0)
        sandbox(arguments);
    else if (strcmp(command, "create") == 0 && count == 1)
        create_from_file(arguments[0]);
    else if (strcmp(command, "container") == 0 && count >= 3)
        create_plain(arguments[0], arguments[1], arguments + 2);
    else if (strcmp(command, "exec") == 0 && count >= 3)
        exec(arguments[0], arguments[1], arguments + 2);
    else if (strcmp(command, "output") == 0 && count == 2)
        output(arguments[0], process_of(arguments[1]));
    else if (strcmp(command, "feed") == 0 && count == 2)
        feed(arguments[0], process_of(arguments[1]));
    else if (strcmp(command, "signal") == 0 && count == 3)
        signal_process(arguments[0], process_of(arguments[1]), arguments[2], false);
    else if (strcmp(command, "signal-all") == 0 && count == 2)
        signal_process(arguments[0], arguments[0] + strlen(arguments[0]), arguments[1], true);
    else if (strcmp(command, "resize") == 0 && count == 4)
        resize(arguments[0], process_of(arguments[1]), arguments[2], arguments[3]);
    else if (strcmp(command, "storm") == 0 && count == 3)
        storm(arguments[0], (unsigned)strtoul(arguments[1], NULL, 10), (unsigned)strtoul(arguments[2], NULL, 10));
    else if (strcmp(command, "sleep") == 0 && count == 1)
        (void)sleep((unsigned)strtoul(arguments[0], NULL, 10));
    else if (strcmp(command, "event") == 0)
        next_event();
    else if (strcmp(command, "shutdown") == 0)
        call_empty("Shutdown", &empty.base);
    else if (count != 1 || !run_container_call(command, arguments[0]))
        fail("unknown command '%s', or the wrong number of arguments; see the top of agent-client.c", command);
}

/* The socket appears when QEMU is up. */
static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= (int)sizeof address.sun_path)
        fail("%s is too long for a socket", path);
    for (int64_t deadline = monotonic_msec() + TIMEOUT_MSEC; monotonic_msec() < deadline; usleep(1000)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        (void)close(fd);
    }
    fail("nobody listens on %s", path);
}

static void too_late(void *data) {
    fail("%s has not answered in time", (const char *)data);
}

int main(int argc, char **argv) {
    struct err err = {0};
    struct loop_source *timer;
    if (argc < 3)
        fail("usage: agent-client SOCKET COMMAND [ARGUMENT …] [+ COMMAND …]");
    int fd = connect_to(argv[1]);
    if (loop_new(&loop, &err) < 0 || ttrpc_client_new(loop, fd, AGENT_SERVICE, closed, NULL, &client, &err) < 0)
        fail("%s", err.text);
    if (loop_add_timer(loop, TIMEOUT_MSEC, too_late, argv[1], &timer) < 0)
        fail("no timer");
    for (char **word = argv + 2; *word;) {
        char **arguments = word + 1;
        size_t count = 0;
        while (arguments[count] && strcmp(arguments[count], "+") != 0)
            count++;
        char **next = arguments[count] ? arguments + count + 1 : arguments + count;
        arguments[count] = NULL;
        struct timespec before, after;
        (void)clock_gettime(CLOCK_MONOTONIC, &before);
        run_command(*word, arguments, count);
        (void)clock_gettime(CLOCK_MONOTONIC, &after);
        (void)fflush(stdout);
        fprintf(stderr, "%s %.2f ms\n", *word,
                (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6);
        word = next;
    }
    return 0;
}
