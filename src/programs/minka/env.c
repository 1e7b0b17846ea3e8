/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "minka-build.h"

#include "facts/json/json.h"
#include "shared/base/buf.h"

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
        if (strcmp(section, l->section) != 0)
            (void)printf("%s[%s]\n", section[0] ? "\n" : "", l->section);
        section = l->section;
        (void)printf("  %-14s %s\n", l->key, l->value ? l->value : "");
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

static int env(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)operands;
    const struct env_options *o = data;
    struct setup_context context;
    int r = cli_context(cli, &context, err);
    if (r < 0)
        return r;
    _cleanup_setup_machine_ struct setup_machine machine = {0};
    r = setup_machine_find(&context, &machine, err);
    if (r < 0)
        return r;
    char version[32];
    (void)snprintf(version, sizeof version, "%u.%u", machine.version_major, machine.version_minor);
    const struct line lines[] = {
        {"minka", "version", MINKA_VERSION},
        {"minka", "root", cli->root},
        {"minka", "libexec", context.config->runtime.libexec_dir},
        {"hypervisor", "path", machine.vmm_path},
        {"hypervisor", "version", version},
        {"hypervisor", "firmware", machine.firmware},
        {"hypervisor", "acceleration", machine.kvm ? "kvm" : "tcg"},
        {"hypervisor", "reason", machine.accel_reason},
        {"guest", "image", machine.image},
        {"guest", "kernel", machine.kernel},
        {"guest", "initrd", machine.initrd},
        {"guest", "release", machine.guest_kernel},
        {"files", "server", machine.file_server},
        {0},
    };
    if (o->json)
        return print_as_json(lines, err);
    print_text(lines);
    return 0;
}

const struct command command_env = {
    .name = "env",
    .arguments = "[OPTION...]",
    .summary = "show what a start would use on this host",
    .options = options,
    .options_size = sizeof(struct env_options),
    .max = 0,
    .stop_at = OPTIONS_ANYWHERE,
    .run = env,
};
