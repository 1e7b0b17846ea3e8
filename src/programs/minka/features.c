/* SPDX-License-Identifier: Apache-2.0 */
/* The document of the specification's features.md; docker, CRI-O and containerd read it. */
#include "cli.h"
#include "minka-build.h"

#include "facts/json/json.h"
#include "facts/plan/plan.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"

static const struct option options[] = {OPTIONS_END};

static const char *const namespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"};
static const char *const actions[] = {"SCMP_ACT_ALLOW",        "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
                                      "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                      "SCMP_ACT_TRACE",        "SCMP_ACT_TRAP"};
static const char *const operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",       "SCMP_CMP_LE",
                                        "SCMP_CMP_LT", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"};
static const char *const architectures[] = {"SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"};

static void write_list(struct json_writer *w, const char *key, const char *const *values, size_t count) {
    json_write_begin_array(w, key);
    for (size_t i = 0; i < count; i++)
        json_write_string(w, NULL, values[i]);
    json_write_end_array(w);
}
#define WRITE_LIST(w, key, values) write_list(w, key, values, ARRAY_SIZE(values))

/* A list that another room numbers from 0 and ends with NULL. */
static void write_names(struct json_writer *w, const char *key, const char *(*name)(size_t number)) {
    json_write_begin_array(w, key);
    for (size_t i = 0; name(i); i++)
        json_write_string(w, NULL, name(i));
    json_write_end_array(w);
}

static void write_enabled(struct json_writer *w, const char *key, bool enabled) {
    json_write_begin_object(w, key);
    json_write_bool(w, "enabled", enabled);
    json_write_end_object(w);
}

static void write_linux(struct json_writer *w) {
    json_write_begin_object(w, "linux");
    WRITE_LIST(w, "namespaces", namespaces);
    write_names(w, "capabilities", oci_capability_name);
    json_write_begin_object(w, "cgroup");
    json_write_bool(w, "v1", true);
    json_write_bool(w, "v2", true);
    json_write_bool(w, "systemd", false);
    json_write_bool(w, "systemdUser", false);
    json_write_bool(w, "rdma", false);
    json_write_end_object(w);
    json_write_begin_object(w, "seccomp");
    json_write_bool(w, "enabled", true);
    WRITE_LIST(w, "actions", actions);
    WRITE_LIST(w, "operators", operators);
    WRITE_LIST(w, "archs", architectures);
    json_write_end_object(w);
    /* These two are of the host's kernel, and the container's processes run under another one. */
    write_enabled(w, "apparmor", false);
    write_enabled(w, "selinux", false);
    write_enabled(w, "intelRdt", false);
    json_write_begin_object(w, "mountExtensions");
    write_enabled(w, "idmap", false);
    json_write_end_object(w);
    json_write_end_object(w);
}

static int features(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    (void)cli;
    (void)data;
    (void)operands;
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out, .pretty = true};
    json_write_begin_object(&w, NULL);
    json_write_string(&w, "ociVersionMin", "1.0.0");
    json_write_string(&w, "ociVersionMax", "1.2.0");
    write_names(&w, "hooks", oci_hook_name);
    write_names(&w, "mountOptions", plan_mount_option);
    write_linux(&w);
    json_write_begin_object(&w, "annotations");
    json_write_string(&w, "org.opencontainers.runc.checkpoint.enabled", "false");
    json_write_string(&w, "io.minka.version", MINKA_VERSION);
    json_write_end_object(&w);
    json_write_end_object(&w);
    return print_json(&w, err);
}

const struct command command_features = {
    .name = "features",
    .arguments = "",
    .summary = "print what this runtime supports, as JSON",
    .options = options,
    .max = 0,
    .stop_at = OPTIONS_ANYWHERE,
    .without_root = true,
    .run = features,
};
