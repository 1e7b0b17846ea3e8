/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "descriptors.h"
#include "process.h"
#include "relay.h"

#include "shared/base/cleanup.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct exec_options {
    struct process_options process;
    const char *console_socket, *pid_file;
    uint32_t preserve_fds;
    bool detach, ignore_paused;
};

#define FIELD(name) offsetof(struct exec_options, name)
static const struct option options[] = {
    {'p', "process", "FILE", OPTION_TEXT, FIELD(process.file), "the process object, as JSON (- for standard input)"},
    {'t', "tty", NULL, OPTION_FLAG, FIELD(process.tty), "give the process a terminal"},
    {'e', "env", "KEY=VALUE", OPTION_LIST, FIELD(process.env), "add a variable to the environment"},
    {'u', "user", "UID[:GID]", OPTION_TEXT, FIELD(process.user), "run as this user"},
    {'g', "additional-gids", "GID", OPTION_LIST, FIELD(process.additional_gids), "add a supplementary group"},
    {0, "cwd", "DIR", OPTION_TEXT, FIELD(process.cwd), "working directory in the container"},
    {'c', "cap", "CAPABILITY", OPTION_LIST, FIELD(process.caps), "add a capability"},
    {0, "no-new-privs", NULL, OPTION_FLAG, FIELD(process.no_new_privs), "no program may gain privileges"},
    {0, "process-label", "LABEL", OPTION_TEXT, FIELD(process.label), "SELinux label of the process"},
    {0, "apparmor", "PROFILE", OPTION_TEXT, FIELD(process.apparmor), "AppArmor profile of the process"},
    {'d', "detach", NULL, OPTION_FLAG, FIELD(detach), "do not wait for the process"},
    {0, "pid-file", "FILE", OPTION_TEXT, FIELD(pid_file), "write the pid of the process's stand-in to FILE"},
    {0, "console-socket", "SOCKET", OPTION_TEXT, FIELD(console_socket),
     "send the terminal's master to this unix socket"},
    {0, "preserve-fds", "N", OPTION_NUMBER, FIELD(preserve_fds), "relay descriptors 3 to N+2 to the process"},
    {0, "ignore-paused", NULL, OPTION_FLAG, FIELD(ignore_paused), "do so even in a paused container"},
    {0, "no-subreaper", NULL, OPTION_IGNORED, 0, "accepted and ignored"},
    {0, "cgroup", "PATH", OPTION_IGNORED, 0, "accepted and ignored"},
    OPTIONS_END,
};

static int check_container(const struct container *c, const struct exec_options *o, struct err *err) {
    int r = container_require_process(c, err);
    if (r < 0)
        return r;
    if (c->state->status == STATE_PAUSED && !o->ignore_paused)
        return err_set(err, EBUSY, "cannot exec in container %s, which is paused: resume it, or use --ignore-paused",
                       c->id);
    return 0;
}

static int check_options(const struct exec_options *o, const struct operands *operands, struct err *err) {
    if (o->process.file && operands->count > 1)
        return err_set(err, EINVAL, "--process already says what to execute; leave out \"%.64s\"", operands->values[1]);
    if (!o->process.file && operands->count < 2)
        return err_set(err, EINVAL, "no command to execute in container %s is given", operands->values[0]);
    return 0;
}

static int check_terminal(bool terminal, const struct exec_options *o, struct err *err) {
    if (terminal && o->detach && !o->console_socket)
        return err_set(err, EINVAL, "a terminal needs --console-socket when minka does not stay (--detach)");
    if (!terminal && o->console_socket)
        return err_set(err, EINVAL, "--console-socket is given, but the process has no terminal");
    return 0;
}

/* Unique among the processes of a container: a pid, which may come again, and the time. */
static void make_process_id(char *ret, size_t size) {
    (void)snprintf(ret, size, "exec-%d-%llx", (int)getpid(), (unsigned long long)monotonic_msec());
}

static int execute(struct cli *cli, const struct container *c, const struct exec_options *o,
                   const struct oci_process *process, struct relay *relay, struct setup_result *ret, struct err *err) {
    struct setup_context context;
    int r = cli_context(cli, &context, err);
    if (r < 0)
        return r;
    char process_id[64];
    make_process_id(process_id, sizeof process_id);
    _cleanup_close_ int console = -EBADF;
    if (o->console_socket)
        r = connect_console_socket(o->console_socket, &console, err);
    if (r >= 0 && !o->detach)
        r = relay_prepare(relay, process->terminal, err);
    if (r < 0)
        return r;
    struct setup_exec request = {
        .process = process,
        .process_id = process_id,
        .console_socket = console,
        .foreground_terminal = process->terminal && !o->console_socket,
        .streams = {{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}, STREAMS_STANDARD},
        .keep_signals = !o->detach,
    };
    if (!o->detach)
        memcpy(request.streams.fds, relay->container, sizeof relay->container);
    r = descriptors_add(cli->inherited, 0, o->preserve_fds, &request.streams, err);
    if (r >= 0)
        r = setup_exec(&context, c->dir, c->state, &request, ret, err);
    if (r >= 0)
        descriptors_close(&request.streams);
    return r;
}

static int exec(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct exec_options *o = data;
    _cleanup_container_ struct container c = {.dir = -EBADF};
    int r = check_options(o, operands, err);
    if (r >= 0)
        r = container_open(cli, operands->values[0], CONTAINER_LOOK, &c, err);
    if (r >= 0)
        r = check_container(&c, o, err);
    if (r < 0)
        return r;
    _cleanup_process_ struct process process = {0};
    r = process_make(&o->process, operands->values + 1, c.dir, &process, err);
    if (r >= 0)
        r = check_terminal(process.result->terminal, o, err);
    if (r < 0)
        return r;
    _cleanup_relay_ struct relay relay;
    relay_init(&relay);
    struct setup_result result = {.standin_pidfd = -EBADF, .terminal_master = -EBADF};
    r = execute(cli, &c, o, process.result, &relay, &result, err);
    if (r < 0)
        return r;
    _cleanup_close_ int pidfd = result.standin_pidfd;
    if (o->pid_file)
        r = write_pid_file(o->pid_file, result.standin, err);
    if (r < 0 || o->detach) {
        close_fd(&result.terminal_master);
        return r;
    }
    return relay_run(&relay, result.terminal_master, result.standin, pidfd, err);
}

const struct command command_exec = {
    .name = "exec",
    .arguments = "[OPTION...] ID COMMAND [ARGUMENT...]",
    .summary = "execute a further process in a container",
    .text = "The exit code is that of the process, or 128 and the number of the signal that ended it.",
    .options = options,
    .options_size = sizeof(struct exec_options),
    .min = 1,
    .max = OPTIONS_ANYWHERE,
    .stop_at = 2,
    .run = exec,
};
