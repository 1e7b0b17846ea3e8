/* SPDX-License-Identifier: Apache-2.0 */
/* What `spec` writes: the configuration that runc's `spec` writes, so that tutorials hold. */
#include "facts/json/json.h"
#include "facts/oci/oci.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"

enum { OPTIONS_MAX = 7 };

struct template_mount {
    const char *destination, *type, *source;
    const char *options[OPTIONS_MAX];
};

static const struct template_mount mounts[] = {
    {"/proc", "proc", "proc", {NULL}},
    {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
    {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
    {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
    {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
    {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
    {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}},
};

/* Without host root there is no group 5 to map, and sysfs cannot be mounted in a network namespace of others. */
static const struct template_mount rootless_mounts[] = {
    {"/proc", "proc", "proc", {NULL}},
    {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
    {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
    {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
    {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
    {"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}},
    {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}},
};

static void write_strings(struct json_writer *w, const char *key, const char *const *strings, size_t count) {
    json_write_begin_array(w, key);
    for (size_t i = 0; i < count && strings[i]; i++)
        json_write_string(w, NULL, strings[i]);
    json_write_end_array(w);
}

static void write_process(struct json_writer *w) {
    static const char *const args[] = {"sh"};
    static const char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                      "TERM=xterm"};
    static const char *const capabilities[] = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
    static const char *const sets[] = {"bounding", "effective", "permitted", "ambient"};
    json_write_begin_object(w, "process");
    json_write_bool(w, "terminal", true);
    json_write_begin_object(w, "user");
    json_write_uint(w, "uid", 0);
    json_write_uint(w, "gid", 0);
    json_write_end_object(w);
    write_strings(w, "args", args, ARRAY_SIZE(args));
    write_strings(w, "env", env, ARRAY_SIZE(env));
    json_write_string(w, "cwd", "/");
    json_write_begin_object(w, "capabilities");
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        write_strings(w, sets[i], capabilities, ARRAY_SIZE(capabilities));
    json_write_end_object(w);
    json_write_begin_array(w, "rlimits");
    json_write_begin_object(w, NULL);
    json_write_string(w, "type", "RLIMIT_NOFILE");
    json_write_uint(w, "hard", 1024);
    json_write_uint(w, "soft", 1024);
    json_write_end_object(w);
    json_write_end_array(w);
    json_write_bool(w, "noNewPrivileges", true);
    json_write_end_object(w);
}

static void write_mounts(struct json_writer *w, const struct template_mount *list, size_t count) {
    json_write_begin_array(w, "mounts");
    for (size_t i = 0; i < count; i++) {
        json_write_begin_object(w, NULL);
        json_write_string(w, "destination", list[i].destination);
        json_write_string(w, "type", list[i].type);
        json_write_string(w, "source", list[i].source);
        if (list[i].options[0])
            write_strings(w, "options", list[i].options, OPTIONS_MAX);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}

static void write_mapping(struct json_writer *w, const char *key, uint32_t host_id) {
    json_write_begin_array(w, key);
    json_write_begin_object(w, NULL);
    json_write_uint(w, "containerID", 0);
    json_write_uint(w, "hostID", host_id);
    json_write_uint(w, "size", 1);
    json_write_end_object(w);
    json_write_end_array(w);
}

/* Nothing but the defaults of the engines' rule: no device beyond those that the runtime always makes. */
static void write_resources(struct json_writer *w) {
    json_write_begin_object(w, "resources");
    json_write_begin_array(w, "devices");
    json_write_begin_object(w, NULL);
    json_write_bool(w, "allow", false);
    json_write_string(w, "access", "rwm");
    json_write_end_object(w);
    json_write_end_array(w);
    json_write_end_object(w);
}

static void write_namespaces(struct json_writer *w, bool rootless) {
    static const char *const types[] = {"pid", "network", "ipc", "uts", "mount"};
    static const char *const rootless_types[] = {"pid", "ipc", "uts", "mount", "user"};
    json_write_begin_array(w, "namespaces");
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        json_write_begin_object(w, NULL);
        json_write_string(w, "type", rootless ? rootless_types[i] : types[i]);
        json_write_end_object(w);
    }
    json_write_end_array(w);
}

static void write_linux(struct json_writer *w, bool rootless) {
    static const char *const masked[] = {
        "/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};
    static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    json_write_begin_object(w, "linux");
    if (rootless) {
        write_mapping(w, "uidMappings", geteuid());
        write_mapping(w, "gidMappings", getegid());
    } else
        write_resources(w);
    write_namespaces(w, rootless);
    write_strings(w, "maskedPaths", masked, ARRAY_SIZE(masked));
    write_strings(w, "readonlyPaths", readonly, ARRAY_SIZE(readonly));
    json_write_end_object(w);
}

int oci_spec_template(struct buf *out, bool rootless) {
    struct json_writer w = {.out = out, .pretty = true};
    json_write_begin_object(&w, NULL);
    json_write_string(&w, "ociVersion", "1.0.2");
    write_process(&w);
    json_write_begin_object(&w, "root");
    json_write_string(&w, "path", "rootfs");
    json_write_bool(&w, "readonly", true);
    json_write_end_object(&w);
    json_write_string(&w, "hostname", "minka");
    if (rootless)
        write_mounts(&w, rootless_mounts, ARRAY_SIZE(rootless_mounts));
    else
        write_mounts(&w, mounts, ARRAY_SIZE(mounts));
    write_linux(&w, rootless);
    json_write_end_object(&w);
    return w.failed ? -ENOMEM : 0;
}
