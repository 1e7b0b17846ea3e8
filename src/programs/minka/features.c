/* SPDX-License-Identifier: Apache-2.0 */
/* The document of the specification's features.md; docker, CRI-O and containerd read it. */
#include "cli.h"
#include "minka-build.h"

#include "facts/json/json.h"
#include "facts/plan/plan.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"

static const struct option options[] = {OPTIONS_END};

static const char *const hooks[] = {"prestart",       "createRuntime", "createContainer",
                                    "startContainer", "poststart",     "poststop"};
static const char *const namespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"};
static const char *const capabilities[] = {"CAP_CHOWN",
                                           "CAP_DAC_OVERRIDE",
                                           "CAP_DAC_READ_SEARCH",
                                           "CAP_FOWNER",
                                           "CAP_FSETID",
                                           "CAP_KILL",
                                           "CAP_SETGID",
                                           "CAP_SETUID",
                                           "CAP_SETPCAP",
                                           "CAP_LINUX_IMMUTABLE",
                                           "CAP_NET_BIND_SERVICE",
                                           "CAP_NET_BROADCAST",
                                           "CAP_NET_ADMIN",
                                           "CAP_NET_RAW",
                                           "CAP_IPC_LOCK",
                                           "CAP_IPC_OWNER",
                                           "CAP_SYS_MODULE",
                                           "CAP_SYS_RAWIO",
                                           "CAP_SYS_CHROOT",
                                           "CAP_SYS_PTRACE",
                                           "CAP_SYS_PACCT",
                                           "CAP_SYS_ADMIN",
                                           "CAP_SYS_BOOT",
                                           "CAP_SYS_NICE",
                                           "CAP_SYS_RESOURCE",
                                           "CAP_SYS_TIME",
                                           "CAP_SYS_TTY_CONFIG",
                                           "CAP_MKNOD",
                                           "CAP_LEASE",
                                           "CAP_AUDIT_WRITE",
                                           "CAP_AUDIT_CONTROL",
                                           "CAP_SETFCAP",
                                           "CAP_MAC_OVERRIDE",
                                           "CAP_MAC_ADMIN",
                                           "CAP_SYSLOG",
                                           "CAP_WAKE_ALARM",
                                           "CAP_BLOCK_SUSPEND",
                                           "CAP_AUDIT_READ",
                                           "CAP_PERFMON",
                                           "CAP_BPF",
                                           "CAP_CHECKPOINT_RESTORE"};
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

static void write_mount_options(struct json_writer *w) {
    json_write_begin_array(w, "mountOptions");
    for (size_t i = 0; plan_mount_option(i); i++)
        json_write_string(w, NULL, plan_mount_option(i));
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
    WRITE_LIST(w, "capabilities", capabilities);
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
    WRITE_LIST(&w, "hooks", hooks);
    write_mount_options(&w);
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
    .run = features,
};
