/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "shared/base/buf.h"

#include <string.h>

static int print_table(const struct option *options, FILE *out) {
    _cleanup_buf_ struct buf text = {0};
    if (options_help(options, &text) < 0)
        return -1;
    return text.length == 0 || fwrite(text.data, text.length, 1, out) == 1 ? 0 : -1;
}

int help_print(FILE *out) {
    (void)fprintf(out, "Usage: minka [OPTION...] COMMAND [ARGUMENT...]\n\n"
                       "Runs OCI containers, each in a virtual machine of its own.\n\nCommands:\n");
    for (const struct command *const *c = commands; *c; c++)
        (void)fprintf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
    (void)fprintf(out, "\nOptions (before the command):\n");
    if (print_table(global_options, out) < 0)
        return -1;
    return fprintf(out, "\n`minka COMMAND --help` tells more about a command; so does the manual page minka(1).\n") < 0
               ? -1
               : 0;
}

int help_print_command(const struct command *command, FILE *out) {
    (void)fprintf(out, "Usage: minka %s%s%s\n\n%s.\n", command->name, command->arguments[0] ? " " : "",
                  command->arguments, command->summary);
    if (command->text)
        (void)fprintf(out, "\n%s\n", command->text);
    if (command->options[0].name) {
        (void)fprintf(out, "\nOptions:\n");
        return print_table(command->options, out);
    }
    return 0;
}

static void print_list(const char *name, const struct option *options, FILE *out) {
    if (!options[0].name)
        (void)fprintf(out, "%s\n", name);
    for (const struct option *o = options; o->name; o++)
        (void)fprintf(out, "%s --%s%s%s\n", name, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
}

int help_print_options(FILE *out) {
    print_list("minka", global_options, out);
    for (const struct command *const *c = commands; *c; c++)
        print_list((*c)->name, (*c)->options, out);
    return ferror(out) ? -1 : 0;
}
