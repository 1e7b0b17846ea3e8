/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls at random on a few containers and processes, many open at once: created while being deleted, killed while
 * being started, read after the end. What each answers does not matter, but that each is answered, and that all
 * containers can be deleted afterwards.
 */
#include "agent-client.h"
#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <string.h>

enum { CONTAINERS = 4, PROCESSES = 5, PATIENCE_MSEC = 20000 };

static char container_ids[CONTAINERS][3] = {"c0", "c1", "c2", "c3"};
static char process_ids[PROCESSES][3] = {"", "e0", "e1", "e2", "e3"}; /* the first: the container's own */
static char *programs[][2] = {
    {(char[]){"/bin/true"}, NULL}, {(char[]){"/bin/yes"}, NULL}, {(char[]){"/bin/cat"}, NULL}};

struct calls {
    unsigned open, succeeded, failed;
};
static struct calls calls;

/* rand() would do; this one is the same everywhere for the same seed. */
static unsigned random_state;
static unsigned random_below(unsigned limit) {
    random_state = random_state * 1103515245 + 12345;
    return (random_state >> 16) % limit;
}

static void answered(void *data, enum ttrpc_code code, const char *message, const uint8_t *payload, size_t length) {
    (void)data;
    (void)message;
    (void)payload;
    (void)length;
    calls.open--;
    if (code == TTRPC_OK)
        calls.succeeded++;
    else
        calls.failed++;
    if (calls.open == 0)
        loop_quit(loop, 0);
}

static void fire(const char *method, const ProtobufCMessage *request) {
    calls.open++;
    send_call(method, request, answered, NULL);
}

static void on_container(const char *method, char *id) {
    Minka__Agent__V1__ContainerRequest request = MINKA__AGENT__V1__CONTAINER_REQUEST__INIT;
    request.container = id;
    fire(method, &request.base);
}

static void on_process(const char *method, char *id, char *process) {
    Minka__Agent__V1__ProcessRequest request = MINKA__AGENT__V1__PROCESS_REQUEST__INIT;
    request.container = id;
    request.process = process;
    fire(method, &request.base);
}

static void fire_create(char *id, char *root_path) {
    size_t length;
    _cleanup_free_ uint8_t *packed = plain_container(id, root_path, programs[random_below(3)], &length);
    Minka__Plan__V1__Container *plan = minka__plan__v1__container__unpack(NULL, length, packed);
    fire("CreateContainer", &plan->base);
    minka__plan__v1__container__free_unpacked(plan, NULL);
}

static void fire_exec(char *id) {
    Minka__Plan__V1__Process plan = plain_process(programs[random_below(3)]);
    Minka__Agent__V1__ExecRequest request = MINKA__AGENT__V1__EXEC_REQUEST__INIT;
    request.container = id;
    request.process = process_ids[1 + random_below(PROCESSES - 1)];
    request.plan = &plan;
    fire("ExecProcess", &request.base);
}

static void fire_kill(char *id, char *process) {
    Minka__Agent__V1__SignalRequest request = MINKA__AGENT__V1__SIGNAL_REQUEST__INIT;
    request.container = id;
    request.process = process;
    request.signal = 9;
    request.all = random_below(3) == 0;
    fire("SignalProcess", &request.base);
}

static void fire_read(char *id, char *process) {
    Minka__Agent__V1__ReadRequest request = MINKA__AGENT__V1__READ_REQUEST__INIT;
    request.container = id;
    request.process = process;
    request.stream = random_below(4);
    request.max = 65536;
    fire("ReadOutput", &request.base);
}

static void fire_write(char *id, char *process) {
    static uint8_t bytes[100000];
    Minka__Agent__V1__WriteRequest request = MINKA__AGENT__V1__WRITE_REQUEST__INIT;
    request.container = id;
    request.process = process;
    request.data = (ProtobufCBinaryData){.data = bytes, .len = sizeof bytes};
    fire("WriteInput", &request.base);
}

static void fire_close(char *id, char *process) {
    Minka__Agent__V1__StreamRequest request = MINKA__AGENT__V1__STREAM_REQUEST__INIT;
    request.container = id;
    request.process = process;
    request.stream = random_below(4);
    fire(random_below(2) ? "CloseInput" : "CloseOutput", &request.base);
}

static void fire_one(char *root_path) {
    static const char *const simple[] = {"StartContainer", "ListProcesses", "ContainerStats", "ResumeContainer"};
    char *id = container_ids[random_below(CONTAINERS)], *process = process_ids[random_below(PROCESSES)];
    switch (random_below(16)) {
    case 0:
    case 1:
        fire_create(id, root_path);
        break;
    case 2:
    case 3:
        fire_exec(id);
        break;
    case 4:
        fire_kill(id, process);
        break;
    case 5:
        fire_read(id, process);
        break;
    case 6:
        fire_write(id, process);
        break;
    case 7:
        on_process("WaitProcess", id, process);
        break;
    case 8:
        fire_close(id, process);
        break;
    case 9:
        on_container("DeleteContainer", id);
        break;
    case 10:
        if (random_below(3) == 0) /* little else happens to a paused one */
            on_container("PauseContainer", id);
        break;
    default:
        on_container(simple[random_below(ARRAY_SIZE(simple))], id);
        break;
    }
}

static void stop(void *data) {
    loop_quit(data, 0);
}

/* Until all is answered, or this time is over. */
static void run_for(int64_t msec) {
    struct loop_source *timer;
    if (loop_add_timer(loop, msec, stop, loop, &timer) < 0 || loop_run(loop) < 0)
        fail("the event loop failed");
    loop_source_free(timer);
}

void storm(char *root_path, unsigned count, unsigned seed) {
    random_state = seed;
    for (unsigned i = 0; i < count; i++) {
        fire_one(root_path);
        if (random_below(3) == 0)
            run_for(random_below(25));
    }
    for (size_t i = 0; i < CONTAINERS; i++)
        on_container("DeleteContainer", container_ids[i]);
    if (calls.open > 0)
        run_for(PATIENCE_MSEC);
    printf("%u succeeded, %u failed\n", calls.succeeded, calls.failed);
    if (calls.open > 0)
        fail("%u calls have not been answered", calls.open);
    if (calls.succeeded == 0)
        fail("no call succeeded: this was no storm");
}
