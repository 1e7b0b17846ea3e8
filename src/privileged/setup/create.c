/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `create`: a sandbox from nothing. The steps are in the table at the end, in order; each pushes what it acquired on
 * the undo stack, and a fault test fails each in turn. docs/architecture.md has the picture.
 */
#include "privileged/setup/internal.h"

#include "facts/control/control.h"
#include "privileged/cgroup/cgroup.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Every descriptor of a sandbox but its directory, whose lock goes last, and its processes. */
static void for_each_descriptor(struct sandbox *s, void (*fn)(int *fd)) {
    int *const fds[] = {&s->disk,
                        &s->plan,
                        &s->setup,
                        &s->monitor_setup,
                        &s->monitor_listen,
                        &s->monitor_qmp,
                        &s->monitor_agent,
                        &s->monitor_console,
                        &s->vmm_qmp,
                        &s->vmm_agent,
                        &s->vmm_console,
                        &s->vmm_stderr,
                        &s->vmm_share,
                        &s->vmm_kvm,
                        &s->share_listen,
                        &s->share_stderr,
                        &s->standin_socket,
                        &s->monitor_standin,
                        &s->net_namespace,
                        &s->monitor_vmm_stderr,
                        &s->monitor_share_stderr};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fn(fds[i]);
}

static void for_each_process(struct sandbox *s, void (*fn)(int *fd)) {
    fn(&s->monitor.pidfd);
    fn(&s->vmm.pidfd);
    fn(&s->file_server.pidfd);
    fn(&s->standin.pidfd);
}

static void mark_closed(int *fd) {
    *fd = -EBADF;
}

static struct sandbox *sandbox_new(const struct setup_context *context, const struct setup_request *request) {
    struct sandbox *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->context = context;
    s->request = request;
    s->spec = request->bundle->spec;
    s->dir = -EBADF;
    for_each_descriptor(s, mark_closed);
    for_each_process(s, mark_closed);
    streams_init(&s->streams);
    return s;
}

static void sandbox_free(struct sandbox **sandbox) {
    struct sandbox *s = *sandbox;
    if (!s)
        return;
    /* Our end of the setup connection first: the monitor then ends by itself, before it is killed. */
    close_fd(&s->setup);
    /* Giving back needs descriptors, too, and that there were no more may be why it failed. */
    for_each_descriptor(s, close_fd);
    interrupt_defer();
    undo_all(&s->undo);
    for_each_process(s, close_fd);
    close_fd(&s->dir); /* the lock, last */
    if (!s->keep_signals)
        interrupt_end();
    setup_machine_done(&s->machine);
    streams_done(&s->streams);
    if (s->mounts)
        host_mounts_free(s);
    free(s->rootfs);
    free(s->owner);
    free(s->cgroup);
    s->state = state_free(s->state);
    free_strv(&s->vmm_argv);
    free_strv(&s->vmm_files);
    free_strv(&s->server_files);
    free_strv(&s->server_strings);
    free(s);
    *sandbox = NULL;
}

/* ---- the state ---- */

static void remove_state(void *data) {
    struct sandbox *s = data;
    (void)state_remove(s->context->root, s->request->id, NULL);
}

/* The specification's lifecycle, step 12: poststop hooks run for a create that failed in or after its hooks, too. */
static void run_poststop(void *data) {
    struct sandbox *s = data;
    if (s->hooks_began)
        (void)setup_run_hooks(s->spec, OCI_HOOK_POSTSTOP, s->state, "stopped", 0, NULL);
}

static void time_now(char *ret, size_t size) {
    struct timespec now;
    struct tm tm;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    size_t length = strftime(ret, size, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(ret + length, size - length, ".%09uZ", (unsigned)now.tv_nsec);
}

static int fill_state(struct sandbox *s) {
    struct state *state = s->state = state_new(s->request->id);
    if (!state)
        return -ENOMEM;
    free(state->bundle);
    free(state->rootfs);
    free(state->oci_version);
    state->bundle = strdup(s->request->bundle->path);
    state->rootfs = strdup(s->rootfs);
    state->oci_version = strdup(s->spec->version);
    if (!state->bundle || !state->rootfs || !state->oci_version)
        return -ENOMEM;
    state->status = STATE_CREATING;
    state->owner = getuid();
    state->memory_mib = s->size.memory_mib;
    state->host_overhead_mib = s->size.host_overhead_mib;
    state->vcpus = s->size.vcpus;
    state->terminal = s->spec->process.terminal;
    time_now(state->created, sizeof state->created);
    return state_process_of(getpid(), &state->creator);
}

static int make_state(struct sandbox *s, struct err *err) {
    int r = fill_state(s);
    if (r < 0)
        return err_set(err, -r, "cannot describe container %s (%s)", s->request->id, strerrorname_np(-r));
    interrupt_begin();
    r = state_create(s->context->root, s->request->id, &s->dir, err);
    if (r < 0)
        return r;
    undo_push(&s->undo, remove_state, s);
    undo_push(&s->undo, run_poststop, s);
    char root[PATH_MAX];
    if (!realpath(s->context->root, root))
        return err_errno_name(err, "cannot use the state directory %s", s->context->root);
    s->owner = text_format("%s/%s", root, s->request->id);
    if (!s->owner)
        return err_set(err, ENOMEM, "out of memory");
    r = state_save_spec(s->dir, s->request->bundle->json, s->request->bundle->length, err);
    if (r >= 0)
        r = state_save(s->dir, s->state, err);
    return r < 0 ? err_wrap(err, "%s", s->owner) : 0;
}

/* ---- the machine ---- */

/* The monitor has deadlines of its own; this one is for a monitor that hangs. */
static unsigned monitor_deadline(const struct sandbox *s) {
    return s->context->config->agent.dial_timeout + 30;
}

static int ask_monitor(struct sandbox *s, enum control_op op, const int *fds, size_t n_fds, struct err *err) {
    struct control_request request = {.op = op};
    (void)snprintf(request.container, sizeof request.container, "%s", s->request->id);
    return setup_send(s->setup, &request, fds, n_fds, err);
}

static int hear_monitor(struct sandbox *s, enum control_op op, struct err *err) {
    struct control_reply reply = {0};
    int r = setup_receive(s->setup, op, monitor_deadline(s), &reply, err);
    if (r == -ESRCH && reply.magic != CONTROL_MAGIC) /* no answer at all; one may have this status, too */
        return err_set(err, ESRCH, "minka-monitor ended unexpectedly while the virtual machine was started");
    return r;
}

static int load(struct sandbox *s, struct err *err) {
    int fds[] = {s->vmm.pidfd, s->file_server.pidfd};
    int r = ask_monitor(s, CONTROL_LOAD, fds, s->uses_share ? 2 : 1, err);
    s->load_asked = r >= 0;
    return r < 0 ? r : hear_monitor(s, CONTROL_LOAD, err);
}

/* QEMU answers, so both have loaded all that they need, the file server too: QEMU has negotiated with it. */
static int empty(struct sandbox *s, struct err *err) {
    int r = confine_empty(&s->vmm.plan, s->vmm.pidfd, s->vmm.pid, err);
    return r >= 0 && s->uses_share ? share_empty(&s->file_server.plan, s->file_server.pidfd, err) : r;
}

static int prove(struct sandbox *s, struct err *err) {
    int r = confine_prove(&s->monitor.plan, s->monitor.pid, false, err);
    if (r >= 0 && s->uses_share)
        r = confine_prove(&s->file_server.plan, s->file_server.pid, true, err);
    return r < 0 ? r : confine_prove(&s->vmm.plan, s->vmm.pid, true, err);
}

/* The guest boots while the stand-in is started and the hooks run; wait_for_guest() hears how it went. */
static int boot(struct sandbox *s, struct err *err) {
    int r = ask_monitor(s, CONTROL_BOOT, NULL, 0, err);
    s->boot_asked = r >= 0;
    return r;
}

static int wait_for_guest(struct sandbox *s, struct err *err) {
    s->boot_asked = false;
    return hear_monitor(s, CONTROL_BOOT, err);
}

/* ---- the container ---- */

static int open_streams(struct sandbox *s, struct err *err) {
    const struct oci_process *process = &s->spec->process;
    int r = streams_open(&s->streams, &s->request->streams, process->console_rows, process->console_columns, err);
    if (r >= 0 && process->terminal && s->request->console_socket >= 0)
        r = streams_send_master(&s->streams, s->request->console_socket, err);
    return r;
}

static int prove_standin(struct sandbox *s, struct err *err) {
    return confine_prove(&s->standin.plan, s->standin.pid, false, err);
}

static int run_hooks(struct sandbox *s, struct err *err) {
    static const enum oci_hook_kind kinds[] = {OCI_HOOK_PRESTART, OCI_HOOK_CREATE_RUNTIME, OCI_HOOK_CREATE_CONTAINER};
    s->hooks_began = true;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        int r = setup_run_hooks(s->spec, kinds[i], s->state, "creating", s->standin.pid, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_container(struct sandbox *s, struct err *err) {
    struct control_request request = {.op = CONTROL_CREATE};
    int fds[CONTROL_FDS_MAX] = {[CONTROL_FD_PLAN] = s->plan, [CONTROL_FD_STANDIN] = s->monitor_standin};
    (void)snprintf(request.container, sizeof request.container, "%s", s->request->id);
    size_t n_fds = streams_request(&s->streams, &request, fds);
    int r = setup_send(s->setup, &request, fds, n_fds, err);
    return r < 0 ? r : hear_monitor(s, CONTROL_CREATE, err);
}

static int limit_cpu(struct sandbox *s, struct err *err) {
    if (s->cgroup[0] == '\0')
        return 0;
    struct cgroup_limits limits;
    cgroup_limits_of(&s->spec->resources, &s->size, &limits);
    limits.memory_bytes = 0;
    limits.pids = 0;
    return cgroup_update(s->cgroup, &limits, err);
}

static int remember(struct sandbox *s, struct err *err) {
    let_monitor_serve(&s->monitor.plan);
    return sandbox_remember(s, err);
}

static int save_created(struct sandbox *s, struct err *err) {
    s->state->status = STATE_CREATED;
    return state_save(s->dir, s->state, err);
}

static const struct step {
    const char *name;
    int (*run)(struct sandbox *s, struct err *err);
} steps[] = {
    {"prepare", sandbox_prepare},
    {"state", make_state},
    {"leases", sandbox_lease},
    {"cgroup", sandbox_make_cgroup},
    {"sockets", sandbox_make_sockets},
    {"monitor", spawn_monitor},
    {"share sockets", make_share_sockets},
    {"VMM", spawn_vmm}, /* loads the guest while the file server is set up, and then waits for it */
    {"file server", spawn_share},
    {"trees", share_trees},
    {"load", load},
    {"empty", empty},
    {"prove", prove},
    {"boot", boot},
    {"streams", open_streams},
    {"stand-in", spawn_standin},
    {"prove stand-in", prove_standin},
    {"hooks", run_hooks},
    {"guest", wait_for_guest},
    {"container", make_container},
    {"limit CPU", limit_cpu},
    {"remember", remember},
    {"save", save_created},
};

int setup_create(const struct setup_context *context, const struct setup_request *request, struct setup_result *ret,
                 struct err *err) {
    _cleanup_(sandbox_free) struct sandbox *s = sandbox_new(context, request);
    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        fault_kill(s, steps[i].name);
        int r = fault_point(steps[i].name, err);
        if (r >= 0)
            r = steps[i].run(s, err);
        if (r < 0 && r != -EINTR)
            sandbox_explain(s, err);
        if (r >= 0)
            r = interrupt_check(err);
        if (r < 0)
            return r;
    }
    fault_kill(s, "end");
    int r = fault_point("end", err);
    if (r < 0)
        return r;
    undo_keep(&s->undo);
    s->keep_signals = request->keep_signals;
    *ret = (struct setup_result){
        .standin = s->standin.pid,
        .standin_pidfd = take_fd(&s->standin.pidfd),
        .terminal_master = request->foreground_terminal ? take_fd(&s->streams.master) : -EBADF,
    };
    return 0;
}
