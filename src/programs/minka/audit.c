/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include "facts/json/json.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

struct audit_options {
    bool json;
};

static const struct option options[] = {
    {0, "json", NULL, OPTION_FLAG, offsetof(struct audit_options, json), "the raw facts, as JSON"},
    OPTIONS_END,
};

bool audited_holds(const struct audited *audited) {
    return !audited->problem && audit_holds(audited->audit);
}

void audit_user(uid_t uid, char *ret, size_t size) {
    const struct passwd *user = getpwuid(uid);
    (void)snprintf(ret, size, "%s", user ? user->pw_name : "-");
}

struct report {
    bool json;
    bool short_of; /* something is not as it should be */
    struct json_writer w;
};

static void show(struct report *report, const struct audited *audited) {
    report->short_of = report->short_of || !audited_holds(audited);
    if (report->json)
        audit_write_json(&report->w, audited);
    else
        audit_print_table(audited);
}

/* One that is deleted while it is looked at is none any more, unless it was asked for. */
static int audit_one(struct cli *cli, const struct setup_context *context, const char *id, bool asked_for,
                     struct report *report, struct err *err) {
    _cleanup_container_ struct container c = {.dir = -EBADF};
    _cleanup_audit_ struct audit audit = {0};
    int r = container_open(cli, id, CONTAINER_LOOK, &c, err);
    if (r == -ENOENT && !asked_for)
        return 0;
    if (r >= 0 && (r = setup_audit(context, c.dir, c.state, &audit, err)) >= 0) {
        show(report, &(struct audited){.state = c.state, .audit = &audit});
        return 0;
    }
    if (asked_for)
        return r;
    struct state unknown = {.id = (char *)(uintptr_t)id, .status = STATE_STOPPED};
    show(report, &(struct audited){.state = c.state ? c.state : &unknown, .audit = &audit, .problem = err->text});
    return 0;
}

static int audit_all(struct cli *cli, const struct setup_context *context, struct report *report, struct err *err) {
    _cleanup_strv_ char **ids = NULL;
    int r = state_list(cli->root, &ids, err);
    if (r >= 0 && !ids[0] && !report->json)
        (void)printf("There is no container.\n\n");
    for (char **id = ids; r >= 0 && *id; id++)
        r = audit_one(cli, context, *id, false, report, err);
    return r;
}

static int audit(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    const struct audit_options *o = data;
    _cleanup_buf_ struct buf out = {0};
    struct report report = {.json = o->json, .w = {.out = &out, .pretty = true}};
    struct setup_context context;
    struct audit_lack lacks[AUDIT_LACKS_MAX];
    int r = cli_context(cli, &context, err);
    if (r < 0)
        return r;
    json_write_begin_object(&report.w, NULL);
    json_write_begin_array(&report.w, "sandboxes");
    r = operands->count > 0 ? audit_one(cli, &context, operands->values[0], true, &report, err)
                            : audit_all(cli, &context, &report, err);
    if (r < 0)
        return r;
    size_t n_lacks = setup_audit_host(&context, lacks);
    json_write_end_array(&report.w);
    audit_write_host(&report.w, lacks, n_lacks);
    json_write_bool(&report.w, "holds", !report.short_of);
    json_write_end_object(&report.w);
    if (report.json)
        r = print_json(&report.w, err);
    else
        audit_print_host(lacks, n_lacks);
    return r < 0 ? r : report.short_of;
}

const struct command command_audit = {
    .name = "audit",
    .arguments = "[OPTION...] [ID]",
    .summary = "show how the processes of a container are confined, and prove it again",
    .text = "Of each process of the container's sandbox, or of all containers', what the kernel says it is, compared "
            "with what it was proved to be at the start. Exits with 1 when something falls short.",
    .options = options,
    .options_size = sizeof(struct audit_options),
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = audit,
};
