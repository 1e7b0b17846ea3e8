/* SPDX-License-Identifier: Apache-2.0 */
/*
 * minka: the command that engines and people call. One run is one verb; nothing of
 * it stays behind but the unprivileged processes of a sandbox.
 */
#include "cli.h"
#include "descriptors.h"
#include "minka-build.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const struct option global_options[] = {
    {0, "root", "DIR", OPTION_TEXT, offsetof(struct cli, root_option),
     "where containers are remembered (default: /run/minka, or minka in $XDG_RUNTIME_DIR)"},
    {0, "log", "FILE", OPTION_TEXT, offsetof(struct cli, log), "write messages to FILE"},
    {0, "log-format", "FORMAT", OPTION_TEXT, offsetof(struct cli, log_format), "text or json (default: text)"},
    {0, "debug", NULL, OPTION_FLAG, offsetof(struct cli, debug), "tell what is decided and why"},
    {0, "systemd-cgroup", NULL, OPTION_FLAG, offsetof(struct cli, systemd_cgroup),
     "the cgroup path has the form slice:prefix:name"},
    {0, "cgroup-manager", "MANAGER", OPTION_TEXT, offsetof(struct cli, cgroup_manager),
     "cgroupfs, systemd or disabled"},
    {0, "rootless", "WHETHER", OPTION_TEXT, offsetof(struct cli, rootless_option), "true, false or auto"},
    {0, "config", "FILE", OPTION_TEXT, offsetof(struct cli, config_path), "configuration.toml to read"},
    {0, "criu", "PATH", OPTION_IGNORED, 0, "accepted and ignored"},
    {'v', "version", NULL, OPTION_FLAG, offsetof(struct cli, show_version), "print the version"},
    {'h', "help", NULL, OPTION_FLAG, offsetof(struct cli, show_help), "print this text"},
    OPTIONS_END,
};

const struct command *const commands[] = {
    &command_create, &command_start,  &command_state,    &command_kill,  &command_delete,
    &command_run,    &command_exec,   &command_ps,       &command_list,  &command_pause,
    &command_resume, &command_update, &command_events,   &command_image, &command_spec,
    &command_env,    &command_audit,  &command_features, NULL,
};

static const struct command *find_command(const char *name) {
    for (const struct command *const *c = commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

static int print_version(void) {
    return printf("minka version %s\nspec: 1.2.0\n", MINKA_VERSION) < 0 ? 1 : 0;
}

static int check_operands(const struct command *command, const struct operands *operands, struct err *err) {
    if (operands->count < command->min || operands->count > command->max)
        return err_set(err, EINVAL, "%s arguments: usage: minka %s %s",
                       operands->count < command->min ? "too few" : "too many", command->name, command->arguments);
    return 0;
}

static bool asks_for_help(const struct command *command, int argc, char **argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        /* Behind the container's id of an exec it is the command's own. */
        if (command->stop_at != OPTIONS_ANYWHERE && argv[i][0] != '-')
            return false;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static int find_root(struct cli *cli, const struct command *command, struct err *err) {
    int r = cli_find_root(cli, command->without_root ? NULL : err);
    return command->without_root ? 0 : r;
}

static int run_command(struct cli *cli, const struct command *command, int argc, char **argv, struct err *err) {
    if (asks_for_help(command, argc, argv))
        return help_print_command(command, stdout) < 0 ? err_errno(err, "cannot write") : 0;
    _cleanup_free_ void *options = calloc(1, command->options_size + 1);
    if (!options)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_operands_ struct operands operands = {0};
    int r = options_parse(command->options, argc, argv, command->stop_at, options, &operands, err);
    if (r >= 0)
        r = check_operands(command, &operands, err);
    if (r >= 0)
        r = cli_check(cli, err);
    if (r >= 0)
        r = find_root(cli, command, err);
    const struct config *config;
    if (r >= 0 && cli->config_path) /* a mistake in it is one for verbs that do not need it, too */
        r = cli_config(cli, &config, err);
    if (r >= 0)
        r = command->run(cli, options, &operands, err);
    options_free(command->options, options);
    return r;
}

static int help(const struct operands *words, struct err *err) {
    const char *topic = words->count > 1 ? words->values[1] : NULL;
    if (!topic)
        return help_print(stdout) < 0 ? err_errno(err, "cannot write") : 0;
    const struct command *command = find_command(topic);
    if (!command)
        return err_set(err, EINVAL, "unknown command \"%.64s\"; `minka --help` lists them", topic);
    return help_print_command(command, stdout) < 0 ? err_errno(err, "cannot write") : 0;
}

static int dispatch(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_operands_ struct operands words = {0};
    int r = options_parse(global_options, argc - 1, argv + 1, 1, cli, &words, err);
    if (r < 0)
        return r;
    if (cli->show_version)
        return print_version();
    if (cli->show_help)
        return help_print(stdout) < 0 ? err_errno(err, "cannot write") : 0;
    if (words.count == 0)
        return err_set(err, EINVAL, "no command given; `minka --help` lists them");
    const char *name = words.values[0];
    if (strcmp(name, "help") == 0) {
        if (words.count > 1 && strcmp(words.values[1], "--options") == 0)
            return help_print_options(stdout) < 0 ? err_errno(err, "cannot write") : 0;
        return help(&words, err);
    }
    const struct command *command = find_command(name);
    if (!command)
        return err_set(err, EINVAL, "unknown command \"%.64s\"; `minka --help` lists them", name);
    r = log_open(cli, err);
    if (r < 0)
        return r;
    return run_command(cli, command, (int)words.count - 1, words.values + 1, err);
}

int main(int argc, char **argv) {
    const uint64_t inherited = descriptors_inherited();
    /* Every mode is given explicitly; the caller's mask must not make a pid file unreadable. */
    (void)umask(022);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE: the write fails, and what was begun is undone */

    struct cli cli = {.inherited = inherited};
    struct err err = {0};
    int r = dispatch(&cli, argc, argv, &err);
    if (r >= 0 && fflush(stdout) != 0)
        r = err_errno(&err, "cannot write to standard output");
    if (r < 0)
        log_error(&cli, err.text);
    cli.config = config_free(cli.config);
    free(cli.root);
    free(cli.run_dir);
    return r < 0 ? 1 : r;
}
