/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "descriptors.h"
#include "relay.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Names below the default root that are minka's own. */
static int check_reserved(const struct cli *cli, const char *id, struct err *err) {
    if (strcmp(cli->root, cli->run_dir) == 0 && (strcmp(id, "leases") == 0 || strcmp(id, "probe") == 0))
        return err_set(err, EINVAL, "the id %s is minka's own in %s: use another one, or --root", id, cli->root);
    return 0;
}

static int check_terminal(bool terminal, bool foreground, const char *console_socket, struct err *err) {
    if (terminal && !foreground && !console_socket)
        return err_set(err, EINVAL,
                       "config.json asks for a terminal, which needs --console-socket when minka does not stay");
    if (!terminal && console_socket)
        return err_set(err, EINVAL, "--console-socket is given, but process.terminal is not true in config.json");
    return 0;
}

/* Those of systemd's socket activation come first, as with runc and crun. */
static int add_descriptors(const struct cli *cli, const struct launch_options *options, struct setup_bundle *bundle,
                           struct announcement *announcement, struct setup_streams *streams, struct err *err) {
    uint32_t activated;
    int r = descriptors_activated(getenv("LISTEN_FDS"), getenv("LISTEN_PID"), &activated, err);
    if (r >= 0 && bundle->spec->has_process)
        r = descriptors_announce(activated, &bundle->spec->process, announcement, err);
    return r < 0 ? r : descriptors_add(cli->inherited, activated, options->preserve_fds, streams, err);
}

int launch_container(struct cli *cli, const char *id, const struct launch_options *options, bool foreground,
                     struct relay *relay, struct setup_result *ret, struct err *err) {
    struct setup_context context;
    int r = cli_context(cli, &context, err);
    if (r >= 0)
        r = check_reserved(cli, id, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = NULL;
    _cleanup_setup_bundle_ struct setup_bundle bundle = {0};
    _cleanup_(announcement_done) struct announcement announcement = {0};
    r = absolute_bundle(options->bundle, &path, err);
    if (r >= 0)
        r = setup_bundle_load(path, &bundle, err);
    if (r < 0)
        return r;
    bool terminal = bundle.spec->has_process && bundle.spec->process.terminal;
    r = check_terminal(terminal, foreground, options->console_socket, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *image = options->image ? realpath(options->image, NULL) : NULL;
    if (options->image && !image)
        return err_errno(err, "cannot use the image %s", options->image);
    _cleanup_close_ int console = -EBADF;
    if (options->console_socket)
        r = connect_console_socket(options->console_socket, &console, err);
    if (r >= 0 && foreground)
        r = relay_prepare(relay, terminal, err);
    if (r < 0)
        return r;
    struct setup_request request = {
        .id = id,
        .bundle = &bundle,
        .image = image,
        .console_socket = console,
        .foreground_terminal = foreground && terminal && !options->console_socket,
        .streams = {{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}, STREAMS_STANDARD},
        .keep_signals = relay,
    };
    if (foreground)
        memcpy(request.streams.fds, relay->container, sizeof relay->container);
    r = add_descriptors(cli, options, &bundle, &announcement, &request.streams, err);
    if (r >= 0)
        r = setup_create(&context, &request, ret, err);
    if (r >= 0)
        descriptors_close(&request.streams);
    if (r < 0 || !options->pid_file)
        return r;
    r = write_pid_file(options->pid_file, ret->standin, err);
    if (r < 0)
        (void)remove_container(cli, id, NULL);
    return r;
}

int remove_container(struct cli *cli, const char *id, struct err *err) {
    _cleanup_container_ struct container c = {.dir = -EBADF};
    struct setup_context context;
    struct err warning = {0};
    int r = container_open(cli, id, CONTAINER_CHANGE, &c, err);
    if (r >= 0)
        r = cli_context(cli, &context, err);
    if (r >= 0)
        r = setup_delete(&context, c.dir, c.state, &warning, err);
    if (warning.code)
        log_warning(cli, warning.text);
    return r;
}
