/* SPDX-License-Identifier: Apache-2.0 */
/* From CONTROL_LOAD to a guest that takes containers: QMP, cont, hello, the share. */
#include "minka-build.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"
#include "unprivileged/monitor/monitor.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    ENTROPY_BYTES = 64,
    /* The hello carries the time, so it goes when the guest has opened its port, which QEMU reports. A VMM that does
     * not report it gets the hello this long after the start; it waits in the socket until the guest reads it. */
    HELLO_UNASKED_MSEC = 3000,
};

static void succeed(struct monitor *m, enum server_phase phase) {
    (void)loop_timer_set(m->deadline, -1);
    monitor_set_phase(m, phase);
    struct call *call = take_ptr(m->setup_call);
    if (call)
        call_succeed(call);
}

static void wait_for(struct monitor *m, struct call *call) {
    m->setup_call = call;
    monitor_set_phase(m, PHASE_BUSY);
    (void)loop_timer_set(m->deadline, (int64_t)m->config.dial_timeout_sec * 1000);
}

void boot_load(void *data, struct call *call) {
    struct monitor *m = data;
    struct err err = {0};
    int vmm = call_take_fd(call, 0), file_server = call_take_fd(call, 1);
    m->has_share = file_server >= 0;
    wait_for(m, call);
    int r = m->has_share ? children_watch(&m->children, CHILD_FILE_SERVER, file_server, &err) : 0;
    if (r == 0)
        r = children_watch(&m->children, CHILD_VMM, vmm, &err);
    else
        close_fd(&vmm);
    if (r < 0)
        return monitor_fail(m, &err);
    children_reap(&m->children); /* they may have died before they were known */
    monitor_await_reason(m);
    if (m->phase == PHASE_BUSY && m->vmm_answers)
        succeed(m, PHASE_LOADED);
}

/* ---- the guest ---- */

static void on_sandbox(void *data, const struct err *why, const ProtobufCMessage *reply) {
    (void)reply;
    struct monitor *m = data;
    struct err err = *why;
    if (why->code) {
        (void)err_wrap(&err, "the guest cannot set up the sandbox");
        return monitor_fail(m, &err);
    }
    log_line(&m->log, "monitor", "the sandbox is ready");
    events_begin(m);
    succeed(m, PHASE_RUNNING);
}

static int setup_sandbox(struct monitor *m, struct err *err) {
    char tag[] = GUEST_SHARE_TAG, path[] = GUEST_SHARE_PATH;
    Minka__Plan__V1__Share share = MINKA__PLAN__V1__SHARE__INIT;
    Minka__Plan__V1__Sandbox sandbox = MINKA__PLAN__V1__SANDBOX__INIT;
    Minka__Plan__V1__Share *shares[] = {&share};
    share.tag = tag;
    share.path = path;
    sandbox.shares = shares;
    sandbox.n_shares = m->has_share ? 1 : 0;
    struct agent_request request = {
        .method = "SetupSandbox", .response = &minka__agent__v1__empty__descriptor, .reply = on_sandbox, .data = m};
    return agent_call(m->agent, &request, &sandbox.base, err);
}

static void on_hello(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct monitor *m = data;
    const Minka__Agent__V1__HelloResponse *hello = (const Minka__Agent__V1__HelloResponse *)reply;
    struct err err = *why;
    if (why->code) /* an agent of another protocol says so itself */
        return monitor_fail(m, &err);
    if (hello->protocol != AGENT_PROTOCOL) {
        char version[64];
        (void)snprintf(version, sizeof version, "%s", hello->version);
        text_make_printable(version);
        (void)err_set(&err, EPROTO,
                      "the guest image was built for minka %s (protocol %u), this is minka %s (protocol %d): "
                      "run `minka image build`",
                      version, hello->protocol, MINKA_VERSION, AGENT_PROTOCOL);
        return monitor_fail(m, &err);
    }
    log_line(&m->log, "monitor", "the guest runs Linux %s and was up after %llu us", hello->kernel,
             (unsigned long long)hello->boot_usec);
    if (setup_sandbox(m, &err) < 0)
        monitor_fail(m, &err);
}

void boot_say_hello(void *data) {
    struct monitor *m = data;
    uint8_t entropy[ENTROPY_BYTES];
    char version[] = MINKA_VERSION;
    struct timespec now;
    struct err err = {0};
    if (m->greeting || !m->setup_call || call_request(m->setup_call)->op != CONTROL_BOOT)
        return;
    m->greeting = true;
    (void)loop_timer_set(m->hello_timer, -1);
    if (getrandom(entropy, sizeof entropy, 0) != (ssize_t)sizeof entropy) {
        (void)err_set(&err, EIO, "the kernel gives no random bytes");
        return monitor_fail(m, &err);
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    Minka__Agent__V1__HelloRequest message = MINKA__AGENT__V1__HELLO_REQUEST__INIT;
    message.protocol = AGENT_PROTOCOL;
    message.version = version;
    message.time_sec = now.tv_sec;
    message.time_nsec = now.tv_nsec;
    message.entropy = (ProtobufCBinaryData){.data = entropy, .len = sizeof entropy};
    struct agent_request request = {
        .method = "Hello", .response = &minka__agent__v1__hello_response__descriptor, .reply = on_hello, .data = m};
    if (agent_call(m->agent, &request, &message.base, &err) < 0)
        monitor_fail(m, &err);
}

void boot_start(void *data, struct call *call) {
    struct monitor *m = data;
    struct err err = {0};
    wait_for(m, call);
    (void)loop_timer_set(m->hello_timer, HELLO_UNASKED_MSEC);
    int r = qmp_execute(m->qmp, QMP_CONT);
    if (r < 0) {
        (void)err_set(&err, -r, "QEMU does not read its control socket");
        monitor_suspect(m, &err);
    }
}

/* ---- QMP ---- */

static void on_loaded(void *data) {
    struct monitor *m = data;
    m->vmm_answers = true;
    log_line(&m->log, "monitor", "QEMU has loaded the machine");
    if (m->phase == PHASE_BUSY && m->setup_call && call_request(m->setup_call)->op == CONTROL_LOAD)
        succeed(m, PHASE_LOADED);
}

static void on_event(void *data, const struct qmp_message *message) {
    struct monitor *m = data;
    struct err err = {0};
    log_line(&m->log, "monitor", "QEMU reports %s %s", message->text, message->reason);
    if (strcmp(message->text, "VSERPORT_CHANGE") == 0 && message->open)
        return boot_say_hello(m);
    if (m->phase == PHASE_ENDING)
        return;
    if (strcmp(message->text, "SHUTDOWN") == 0 || strcmp(message->text, "RESET") == 0)
        failure_of_guest(
            m, strcmp(message->reason, "guest-reset") == 0 || message->text[0] == 'R' ? "was reset" : "was powered off",
            &err);
    else if (strcmp(message->text, "GUEST_PANICKED") == 0)
        failure_of_guest(m, "panicked", &err);
    else
        return;
    monitor_fail(m, &err);
}

static void on_refused(void *data, enum qmp_command command, const char *why) {
    struct monitor *m = data;
    struct err err = {0};
    if (m->phase == PHASE_ENDING)
        return;
    (void)err_set(&err, EIO, "QEMU does not %s: %s", command == QMP_CONT ? "start the machine" : "speak QMP", why);
    monitor_fail(m, &err);
}

static void on_qmp_closed(void *data, const struct err *why) {
    struct monitor *m = data;
    struct err err = *why;
    if (!why->code)
        (void)err_set(&err, EIO, "QEMU closed its control socket");
    monitor_suspect(m, &err);
}

const struct qmp_handlers boot_qmp_handlers = {
    .loaded = on_loaded, .event = on_event, .failed = on_refused, .closed = on_qmp_closed};
