/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "facts/control/control.h"
#include "facts/json/json.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char RUN_DIR[] = "/run/minka";

int cli_config(struct cli *cli, const struct config **ret, struct err *err) {
    if (!cli->config) {
        int r = config_load(cli->config_path, getenv("XDG_CONFIG_HOME"), &cli->config, err);
        if (r < 0)
            return r;
    }
    *ret = cli->config;
    return 0;
}

/* Root of the machine: uid 0 in a user namespace that maps all uids to themselves (user_namespaces(7)). */
static bool is_host_root(void) {
    if (geteuid() != 0)
        return false;
    _cleanup_fclose_ FILE *map = fopen("/proc/self/uid_map", "re");
    unsigned inside, outside, count;
    return !map || (fscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
                    count == UINT32_MAX);
}

static int find_rootless(struct cli *cli, struct err *err) {
    const char *option = cli->rootless_option;
    if (!option || strcmp(option, "auto") == 0)
        cli->rootless = !is_host_root();
    else if (strcmp(option, "true") == 0 || strcmp(option, "false") == 0)
        cli->rootless = strcmp(option, "true") == 0;
    else
        return err_set(err, EINVAL, "--rootless is true, false or auto, not \"%.32s\"", option);
    return 0;
}

static int run_dir(const struct cli *cli, char **ret, struct err *err) {
    const char *user_dir = cli->rootless ? getenv("XDG_RUNTIME_DIR") : NULL;
    if (cli->rootless && (!user_dir || user_dir[0] != '/'))
        return err_set(err, EINVAL, "XDG_RUNTIME_DIR is not set: log in as this user, or give --root");
    *ret = cli->rootless ? text_format("%s/minka", user_dir) : strdup(RUN_DIR);
    return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

int cli_find_root(struct cli *cli, struct err *err) {
    int r = run_dir(cli, &cli->run_dir, err);
    if (r < 0 && !cli->root_option)
        return r;
    if (!cli->run_dir) /* only --root is there: it is also this user's own place */
        cli->run_dir = strdup(cli->root_option);
    cli->root = strdup(cli->root_option ? cli->root_option : cli->run_dir);
    return cli->root && cli->run_dir ? 0 : err_set(err, ENOMEM, "out of memory");
}

static bool is_manager(const struct cli *cli, const char *name) {
    return cli->cgroup_manager && strcmp(cli->cgroup_manager, name) == 0;
}

int cli_check(struct cli *cli, struct err *err) {
    if (cli->cgroup_manager && !is_manager(cli, "cgroupfs") && !is_manager(cli, "systemd") &&
        !is_manager(cli, "disabled"))
        return err_set(err, EINVAL, "unknown cgroup manager \"%.32s\": it is cgroupfs, systemd or disabled",
                       cli->cgroup_manager);
    if (cli->systemd_cgroup && is_manager(cli, "cgroupfs"))
        return err_set(err, EINVAL, "--systemd-cgroup and --cgroup-manager cgroupfs contradict each other");
    if (cli->root_option && cli->root_option[0] == '\0')
        return err_set(err, EINVAL, "--root needs a directory");
    return find_rootless(cli, err);
}

int cli_context(struct cli *cli, struct setup_context *ret, struct err *err) {
    const struct config *config;
    int r = cli_config(cli, &config, err);
    if (r < 0)
        return r;
    *ret = (struct setup_context){
        .root = cli->root,
        .run_dir = cli->run_dir,
        .rootless = cli->rootless,
        .no_cgroup = is_manager(cli, "disabled"),
        .systemd_cgroup = cli->systemd_cgroup || is_manager(cli, "systemd"),
        .debug = cli->debug,
        .config = config,
        .note = log_note,
        .note_data = cli,
        .warn = log_warn,
        .warn_data = cli,
    };
    return 0;
}

void container_done(struct container *container) {
    close_fd(&container->dir);
    container->state = state_free(container->state);
}

int container_open(struct cli *cli, const char *id, enum container_access access, struct container *ret,
                   struct err *err) {
    _cleanup_container_ struct container c = {.id = id, .dir = -EBADF};
    int r =
        access == CONTAINER_CHANGE ? state_open(cli->root, id, &c.dir, err) : state_peek(cli->root, id, &c.dir, err);
    if (r < 0)
        return r;
    r = state_load(c.dir, &c.state, err);
    if (r == -ENOENT)
        return err_set(err, ENOENT, "container %s does not exist", id);
    if (r < 0)
        return err_wrap(err, "container %s", id);
    state_refresh(c.state);
    *ret = c;
    c = (struct container){.dir = -EBADF};
    return 0;
}

int container_require_process(const struct container *container, struct err *err) {
    switch (container->state->status) {
    case STATE_CREATED:
    case STATE_RUNNING:
    case STATE_PAUSED:
        return 0;
    case STATE_CREATING:
    case STATE_STOPPED:
    default:
        /* The words are containerd's and CRI-O's way to tell this from a failure. */
        return err_set(err, ESRCH, "container not running: %s is %s", container->id,
                       state_status_text(container->state->status));
    }
}

enum { CALL_DEADLINE_SEC = 30 };

int container_call(const struct container *container, int op, int signal, uint32_t flags, struct control_reply *reply,
                   struct err *err) {
    struct control_request request = {.op = (uint32_t)op, .signal = signal, .flags = flags};
    (void)snprintf(request.container, sizeof request.container, "%s", container->id);
    return setup_call(container->dir, &request, NULL, 0, CALL_DEADLINE_SEC, reply, NULL, err);
}

int print_json(struct json_writer *w, struct err *err) {
    if (w->failed || buf_append(w->out, "\n", 1) < 0)
        return err_set(err, ENOMEM, "out of memory");
    return fwrite(w->out->data, w->out->length, 1, stdout) == 1 ? 0 : err_errno(err, "cannot write");
}

static void write_annotations(struct json_writer *w, int dir) {
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    if (state_load_spec(dir, &spec, NULL) < 0 || spec->n_annotations == 0)
        return;
    json_write_begin_object(w, "annotations");
    for (size_t i = 0; i < spec->n_annotations; i++)
        json_write_string(w, spec->annotations[i].key, spec->annotations[i].value);
    json_write_end_object(w);
}

void owner_name(uid_t uid, char *ret, size_t size) {
    const struct passwd *user = getpwuid(uid);
    if (user)
        (void)snprintf(ret, size, "%s", user->pw_name);
    else
        (void)snprintf(ret, size, "#%u", uid); /* as runc has it */
}

void write_state(struct json_writer *w, const struct container *container) {
    const struct state *state = container->state;
    char owner[OWNER_SIZE];
    bool stopped = state->status == STATE_STOPPED;
    json_write_begin_object(w, NULL);
    json_write_string(w, "ociVersion", state->oci_version);
    json_write_string(w, "id", state->id);
    json_write_int(w, "pid", stopped ? 0 : state->standin.pid);
    json_write_string(w, "status", state_status_text(state->status));
    json_write_string(w, "bundle", state->bundle);
    json_write_string(w, "rootfs", state->rootfs);
    json_write_string(w, "created", state->created);
    write_annotations(w, container->dir);
    owner_name(state->owner, owner, sizeof owner);
    json_write_string(w, "owner", owner);
    json_write_end_object(w);
}

int write_pid_file(const char *path, pid_t pid, struct err *err) {
    char text[16];
    int n = snprintf(text, sizeof text, "%d", (int)pid);
    return write_file_atomic(AT_FDCWD, path, text, (size_t)n, 0644, err);
}

int connect_console_socket(const char *path, int *ret, struct err *err) {
    _cleanup_close_ int file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0)
        return err_errno(err, "cannot open the console socket %s", path);
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return err_errno(err, "cannot make a socket");
    /* Through the descriptor: sun_path holds 107 bytes, and engines have longer paths. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", file);
    if (connect(sock, (struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(err, "cannot connect to the console socket %s", path);
    *ret = take_fd(&sock);
    return 0;
}

int absolute_bundle(const char *option, char **ret, struct err *err) {
    char *path = realpath(option ? option : ".", NULL);
    if (!path)
        return errno == ENOENT ? err_set(err, ENOENT, "the bundle directory %s does not exist", option ? option : ".")
                               : err_errno(err, "cannot use the bundle directory %s", option ? option : ".");
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        int r = err_set(err, ENOTDIR, "the bundle %s is not a directory", path);
        free(path);
        return r;
    }
    *ret = path;
    return 0;
}
