/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "minka-build.h"

#include "facts/json/json.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <string.h>

struct env_options {
    bool json;
};

static const struct option options[] = {
    {0, "json", NULL, OPTION_FLAG, offsetof(struct env_options, json), "as JSON"},
    OPTIONS_END,
};

struct line {
    const char *section, *key, *value;
};

static void print_text(const struct line *lines) {
    const char *section = "";
    for (const struct line *l = lines; l->key; l++) {
        if (strcmp(l->key, "problem") == 0 && !l->value[0])
            continue;
        if (strcmp(section, l->section) != 0)
            (void)printf("%s[%s]\n", section[0] ? "\n" : "", l->section);
        section = l->section;
        (void)printf("  %s", l->key);
        if (l->value && l->value[0])
            (void)printf("%*s%s", (int)(15 - strlen(l->key)), "", l->value);
        (void)printf("\n");
    }
}

static int print_as_json(const struct line *lines, struct err *err) {
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out, .pretty = true};
    json_write_begin_object(&w, NULL);
    for (const struct line *l = lines; l->key; l++) {
        bool first = l == lines || strcmp(l[-1].section, l->section) != 0;
        bool last = !l[1].key || strcmp(l[1].section, l->section) != 0;
        if (first)
            json_write_begin_object(&w, l->section);
        json_write_string(&w, l->key, l->value ? l->value : "");
        if (last)
            json_write_end_object(&w);
    }
    json_write_end_object(&w);
    return print_json(&w, err);
}

/* What would end a start: in words of its own on standard error, and as the exit code. */
static int report(const struct setup_machine_problems *problems, struct err *err) {
    const struct err *all[] = {&problems->vmm, &problems->acceleration, &problems->guest, &problems->file_server};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (all[i]->code) {
            *err = *all[i];
            return fflush(stdout) == 0 ? -err->code : err_errno(err, "cannot write");
        }
    return 0;
}

static int env(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)operands;
    const struct env_options *o = data;
    struct setup_context context;
    int r = cli_context(cli, &context, err);
    if (r < 0)
        return r;
    _cleanup_setup_machine_ struct setup_machine machine = {0};
    struct setup_machine_problems problems;
    setup_machine_look(&context, &machine, &problems);
    char version[32] = "";
    if (machine.version_major > 0)
        (void)snprintf(version, sizeof version, "%u.%u", machine.version_major, machine.version_minor);
    const struct line lines[] = {
        {"minka", "version", MINKA_VERSION},
        {"minka", "root", cli->root},
        {"minka", "libexec", context.config->runtime.libexec_dir},
        {"hypervisor", "path", machine.vmm_path},
        {"hypervisor", "version", version},
        {"hypervisor", "firmware", machine.firmware},
        {"hypervisor", "problem", problems.vmm.text},
        {"hypervisor", "acceleration",
         problems.acceleration.code ? ""
         : machine.kvm              ? "kvm"
                                    : "tcg"},
        {"hypervisor", "reason", problems.acceleration.code ? problems.acceleration.text : machine.accel_reason},
        {"guest", "image", machine.image},
        {"guest", "kernel", machine.kernel},
        {"guest", "initrd", machine.initrd},
        {"guest", "release", machine.guest_kernel},
        {"guest", "problem", problems.guest.text},
        {"files", "server", machine.file_server},
        {"files", "problem", problems.file_server.text},
        {0},
    };
    if (o->json)
        r = print_as_json(lines, err);
    else
        print_text(lines);
    return r < 0 ? r : report(&problems, err);
}

const struct command command_env = {
    .name = "env",
    .arguments = "[OPTION...]",
    .summary = "show what a start would use on this host",
    .options = options,
    .options_size = sizeof(struct env_options),
    .max = 0,
    .stop_at = OPTIONS_ANYWHERE,
    .without_root = true,
    .run = env,
};
