/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of the OCI runtime specification (1.0 to 1.2) as an immutable,
 * typed, checked structure. Pure: bytes in, struct out. Only what minka honours
 * or must refuse is kept. https://github.com/opencontainers/runtime-spec
 *
 * Strings are never NULL unless the comment says so. Arrays come with a count.
 * "unset" is told by a has_ flag. Unknown members are ignored, as the
 * specification demands; a member of the wrong type is an error with its path.
 * A member that asks for a limit or a mapping that minka would not enforce is
 * refused, since a container that quietly lacks it is worse than none.
 *
 * All that a structure points to belongs to it: the oci_*_free() functions take
 * only what the parser of the same name returned, and a copy of the structure
 * (to run another command, say) is valid as long as the original.
 */
#pragma once

#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OCI_CONFIG_MAX = 32 << 20, OCI_MOUNTS_MAX = 4096, OCI_DEVICES_MAX = 8192 };

struct oci_capabilities { /* bit n = capability n; unknown names were dropped with a warning by the specification's rule
                           */
    uint64_t bounding, effective, inheritable, permitted, ambient;
};

struct oci_rlimit {
    uint32_t resource; /* RLIMIT_* */
    uint64_t soft, hard;
};

struct oci_process {
    bool terminal;
    uint32_t console_rows, console_columns; /* 0 = unset */
    char **args;                            /* NULL-terminated, at least one */
    size_t n_args;
    char **env;
    size_t n_env;
    char *cwd; /* absolute */
    uint32_t uid, gid;
    bool has_umask;
    uint32_t umask; /* at most 0777 */
    uint32_t *additional_gids;
    size_t n_additional_gids;
    bool has_capabilities;
    struct oci_capabilities capabilities;
    struct oci_rlimit *rlimits;
    size_t n_rlimits;
    bool no_new_privileges;
    bool has_oom_score_adj;
    int32_t oom_score_adj;
    bool has_scheduler;
    struct oci_scheduler {
        uint32_t policy; /* SCHED_* */
        uint64_t flags;  /* SCHED_FLAG_* */
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } scheduler;
    bool has_io_priority;
    uint32_t io_class, io_priority; /* IOPRIO_CLASS_*, level */
    char *apparmor_profile;         /* NULL: none */
    char *selinux_label;            /* NULL: none */
};

struct oci_mount {
    char *destination; /* absolute */
    char *type;        /* "" when absent */
    char *source;      /* "" when absent; a relative bind source is relative to the bundle */
    char **options;    /* NULL-terminated, may be empty */
    size_t n_options;
    bool is_bind; /* type "bind", or option bind/rbind */
};

enum oci_namespace_type {
    OCI_NS_MOUNT,
    OCI_NS_PID,
    OCI_NS_NETWORK,
    OCI_NS_IPC,
    OCI_NS_UTS,
    OCI_NS_USER,
    OCI_NS_CGROUP,
    OCI_NS_TIME,
    OCI_NS_COUNT
};
struct oci_namespace {
    bool present;
    char *path; /* NULL: a new one */
};

struct oci_id_mapping {
    uint32_t container_id, host_id, size;
};

struct oci_device {
    char *path; /* absolute */
    char type;  /* 'c', 'b', 'p' ('u' was turned into 'c') */
    int64_t major, minor;
    bool has_file_mode, has_uid, has_gid;
    uint32_t file_mode, uid, gid; /* file_mode without type bits */
};

struct oci_device_rule {
    bool allow;
    char type; /* 'a', 'b', 'c' */
    bool has_major, has_minor;
    int64_t major, minor;
    bool read, write, mknod;
};

struct oci_hugepage_limit {
    char *page_size;
    uint64_t limit;
};

struct oci_unified { /* a cgroup v2 file and what to write, verbatim */
    char *file, *value;
};

struct oci_resources {
    struct oci_device_rule *device_rules; /* in order */
    size_t n_device_rules;
    /* memory: bytes; -1 = unlimited; 0 was unset, as are cpu shares, quota, period and blkio weight of 0 */
    bool has_memory_limit, has_memory_reservation, has_memory_swap, has_memory_swappiness;
    int64_t memory_limit, memory_reservation, memory_swap;
    uint64_t memory_swappiness;
    bool disable_oom_killer;
    bool has_cpu_shares, has_cpu_quota, has_cpu_period, has_cpu_burst, has_cpu_idle;
    uint64_t cpu_shares, cpu_period, cpu_burst;
    int64_t cpu_quota, cpu_idle;
    char *cpuset_cpus, *cpuset_mems; /* NULL: unset */
    bool has_pids_limit;
    int64_t pids_limit; /* <= 0: unlimited */
    bool has_blkio_weight;
    uint32_t blkio_weight;
    struct oci_hugepage_limit *hugepage_limits;
    size_t n_hugepage_limits;
    struct oci_unified *unified;
    size_t n_unified;
};

/* seccomp: names and numbers as in the specification; assembled by plan */
enum oci_seccomp_op { OCI_CMP_NE = 1, OCI_CMP_LT, OCI_CMP_LE, OCI_CMP_EQ, OCI_CMP_GE, OCI_CMP_GT, OCI_CMP_MASKED_EQ };
struct oci_seccomp_arg {
    uint32_t index;
    uint64_t value, value_two;
    enum oci_seccomp_op op;
};
struct oci_seccomp_rule {
    char **names;
    size_t n_names;
    char *action; /* SCMP_ACT_… */
    bool has_errno;
    uint32_t errno_value;
    struct oci_seccomp_arg *args;
    size_t n_args;
};
struct oci_seccomp {
    char *default_action;
    bool has_default_errno;
    uint32_t default_errno;
    char **architectures;
    size_t n_architectures;
    char **flags;
    size_t n_flags;
    char *listener_path; /* NULL: none */
    struct oci_seccomp_rule *rules;
    size_t n_rules;
};

enum oci_hook_kind {
    OCI_HOOK_PRESTART,
    OCI_HOOK_CREATE_RUNTIME,
    OCI_HOOK_CREATE_CONTAINER,
    OCI_HOOK_START_CONTAINER,
    OCI_HOOK_POSTSTART,
    OCI_HOOK_POSTSTOP,
    OCI_HOOK_COUNT
};
struct oci_hook {
    char *path; /* absolute */
    char **args;
    size_t n_args;
    char **env;
    size_t n_env;
    bool has_timeout;
    uint32_t timeout_sec;
};
struct oci_hook_list {
    struct oci_hook *hooks;
    size_t count;
};

struct oci_pair {
    char *key, *value;
};

struct oci_spec {
    char *version;
    bool has_process;
    struct oci_process process;
    char *root_path; /* as written; relative to the bundle */
    bool root_readonly;
    char *hostname, *domainname; /* "" when absent */
    struct oci_mount *mounts;
    size_t n_mounts;
    struct oci_hook_list hooks[OCI_HOOK_COUNT];
    struct oci_pair *annotations;
    size_t n_annotations;

    struct oci_namespace namespaces[OCI_NS_COUNT];
    struct oci_id_mapping *uid_mappings, *gid_mappings;
    size_t n_uid_mappings, n_gid_mappings;
    struct oci_device *devices;
    size_t n_devices;
    char *cgroups_path; /* "" when absent */
    struct oci_resources resources;
    uint64_t rootfs_propagation; /* MS_*, 0 = unset */
    bool has_seccomp;
    struct oci_seccomp seccomp;
    struct oci_pair *sysctls;
    size_t n_sysctls;
    char **masked_paths, **readonly_paths;
    size_t n_masked_paths, n_readonly_paths;
    char *mount_label; /* NULL: none */
    bool has_personality;
    uint64_t personality;
};

/* Parse and check. The sentence in err starts with "config.json: ". */
int oci_spec_parse(const char *json, size_t length, struct oci_spec **ret, struct err *err);
struct oci_spec *oci_spec_free(struct oci_spec *spec);
void oci_spec_freep(struct oci_spec **spec);
#define _cleanup_oci_spec_ __attribute__((cleanup(oci_spec_freep)))

/* process.json of exec, and the resources document of update. */
int oci_process_parse(const char *json, size_t length, struct oci_process **ret, struct err *err);
struct oci_process *oci_process_free(struct oci_process *process);
void oci_process_freep(struct oci_process **process);
#define _cleanup_oci_process_ __attribute__((cleanup(oci_process_freep)))
int oci_resources_parse(const char *json, size_t length, struct oci_resources **ret, struct err *err);
struct oci_resources *oci_resources_free(struct oci_resources *resources);
void oci_resources_freep(struct oci_resources **resources);
#define _cleanup_oci_resources_ __attribute__((cleanup(oci_resources_freep)))

/* NULL when there is none. */
const char *oci_annotation(const struct oci_spec *spec, const char *key);

/* The "CAP_…" names: number 0..63, or -EINVAL. */
int oci_capability_number(const char *name);
/* The other way; NULL from the first number that has no name on. */
const char *oci_capability_name(size_t number);

/* The key of a kind of hooks: "prestart"; NULL from OCI_HOOK_COUNT on. */
const char *oci_hook_name(size_t kind);

/*
 * The state document that `state` prints and hooks get on stdin
 * (runtime-spec, runtime.md, "State"). pid 0 leaves the member out.
 */
struct buf;
int oci_state_json(struct buf *out, const char *version, const char *id, const char *status, int pid,
                   const char *bundle, const struct oci_pair *annotations, size_t n_annotations);

/* The template that `minka spec` writes. rootless: maps the caller's effective uid and gid to 0. */
int oci_spec_template(struct buf *out, bool rootless);
