/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of `minka` share: the table of commands, the global options, the
 * log, and opening a container. One verb is one file. A verb returns its exit
 * code, or a negative errno with the one sentence that main() reports.
 */
#pragma once

#include "facts/config/config.h"
#include "options.h"
#include "privileged/setup/setup.h"
#include "privileged/state/state.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct cli {
    /* global options */
    const char *root_option, *log, *log_format, *cgroup_manager, *rootless_option, *config_path;
    bool debug, systemd_cgroup, show_version, show_help;

    uint64_t inherited; /* descriptors that the caller left open, descriptors.h */
    char *root;         /* state directory in effect; both are NULL when there is none, for verbs that do without */
    char *run_dir;      /* of the host or the user: leases, what was probed */
    bool rootless;
    struct config *config; /* read when first asked for */
};

struct command {
    const char *name;
    const char *arguments; /* for the help: "[OPTION...] ID" */
    const char *summary;   /* one line without full stop */
    const char *text;      /* more, or NULL */
    const struct option *options;
    size_t options_size; /* of the struct that they fill */
    size_t min, max;     /* operands */
    size_t stop_at;      /* options_parse() */
    bool without_root;   /* cli->root may be NULL: it has nothing to do with containers */
    int (*run)(struct cli *cli, void *options, const struct operands *operands, struct err *err);
};

/* ends with a NULL name */
extern const struct command *const commands[];
extern const struct command command_create, command_start, command_state, command_kill, command_delete, command_run,
    command_exec, command_ps, command_list, command_pause, command_resume, command_update, command_events,
    command_features, command_spec, command_image, command_env, command_audit;
extern const struct option global_options[];

/* help.c */
int help_print(FILE *out);
int help_print_command(const struct command *command, FILE *out);
int help_print_options(FILE *out); /* "VERB --name ARGUMENT" per line, for tests */

/* log.c: to --log if given; errors to standard error as well. */
int log_open(struct cli *cli, struct err *err);
void log_error(const struct cli *cli, const char *sentence);
void log_warning(const struct cli *cli, const char *sentence);
void log_debug(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_note(void *cli, const char *sentence); /* log_debug() for setup_context.note */
void log_warn(void *cli, const char *sentence); /* log_warning() for setup_context.warn */

/* container.c */
int cli_config(struct cli *cli, const struct config **ret, struct err *err);
int cli_check(struct cli *cli, struct err *err); /* the global options */
int cli_find_root(struct cli *cli, struct err *err);
int cli_context(struct cli *cli, struct setup_context *ret, struct err *err);

struct container {
    const char *id;
    int dir;
    struct state *state; /* refreshed */
};
void container_done(struct container *container);
#define _cleanup_container_ __attribute__((cleanup(container_done)))
enum container_access { CONTAINER_LOOK, CONTAINER_CHANGE };
int container_open(struct cli *cli, const char *id, enum container_access access, struct container *ret,
                   struct err *err);
/* -ESRCH "container not running" unless its process runs, is paused or waits to be started. */
int container_require_process(const struct container *container, struct err *err);

/* A call to the container's monitor that answers once. */
struct control_reply;
int container_call(const struct container *container, int op, int signal, uint32_t flags, struct control_reply *reply,
                   struct err *err);

/* Print a JSON document that was built in out. */
struct json_writer;
int print_json(struct json_writer *w, struct err *err);
/* The state document of `state` and `list`; annotations come from the container's config.json. */
enum { OWNER_SIZE = 256 };
void owner_name(uid_t uid, char *ret, size_t size);
void write_state(struct json_writer *w, const struct container *container);

int write_pid_file(const char *path, pid_t pid, struct err *err);
int connect_console_socket(const char *path, int *ret, struct err *err);
int absolute_bundle(const char *option, char **ret, struct err *err);

/* launch.c: what create and run have in common */
struct launch_options {
    const char *bundle, *pid_file, *console_socket, *image;
    uint32_t preserve_fds;
};
#define LAUNCH_OPTIONS(type)                                                                                           \
    OPTION('b', "bundle", "DIR", OPTION_TEXT, offsetof(type, launch.bundle),                                           \
           "the bundle (default: the current directory)"),                                                             \
        OPTION(0, "pid-file", "FILE", OPTION_TEXT, offsetof(type, launch.pid_file),                                    \
               "write the pid of the container's stand-in to FILE"),                                                   \
        OPTION(0, "console-socket", "SOCKET", OPTION_TEXT, offsetof(type, launch.console_socket),                      \
               "send the terminal's master to this unix socket"),                                                      \
        OPTION(0, "preserve-fds", "N", OPTION_NUMBER, offsetof(type, launch.preserve_fds),                             \
               "relay descriptors 3 to N+2 to the container's process"),                                               \
        OPTION(0, "image", "FILE", OPTION_TEXT, offsetof(type, launch.image),                                          \
               "use this ext4, squashfs or erofs image as the root file system"),                                      \
        OPTION(0, "no-pivot", NULL, OPTION_IGNORED, 0, "accepted and ignored"),                                        \
        OPTION(0, "no-new-keyring", NULL, OPTION_IGNORED, 0, "accepted and ignored")

/*
 * Create container id. A terminal goes to the console socket, or with foreground to this process, which also relays
 * what is a terminal of the caller's; with a relay, which starts it next, signals are kept. The pid file is written.
 */
struct relay;
int launch_container(struct cli *cli, const char *id, const struct launch_options *options, bool foreground,
                     struct relay *relay, struct setup_result *ret, struct err *err);
/* Remove a container whose start failed, or that has ended. */
int remove_container(struct cli *cli, const char *id, struct err *err);
