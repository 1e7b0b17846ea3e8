/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"
#include "shared/base/cleanup.h"

#include <linux/ioprio.h>
#include <linux/sched.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

enum { ID_MAX = UINT32_MAX - 1 /* (uid_t)-1 means "leave it" to setresuid(2) */, GROUPS_MAX = 65536 };

/* capabilities(7); the position is the number */
static const char *const capability_names[] = {
    "CAP_CHOWN",
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
    "CAP_CHECKPOINT_RESTORE",
};

int oci_capability_number(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
        if (strcasecmp(capability_names[i], name) == 0)
            return (int)i;
    return -EINVAL;
}

const char *oci_capability_name(size_t number) {
    return number < ARRAY_SIZE(capability_names) ? capability_names[number] : NULL;
}

static int add_capability(const struct json_value *item, void *data, struct err *err) {
    uint64_t *set = data;
    const char *name;
    int r = json_string(item, &name, err);
    if (r < 0)
        return r;
    /* runtime-spec, config.md: a capability that the kernel does not know must not fail the container. */
    int number = oci_capability_number(name);
    if (number >= 0)
        *set |= UINT64_C(1) << number;
    return 0;
}

static int parse_capabilities(const struct json_value *object, struct oci_process *process, struct err *err) {
    struct json_value capabilities;
    int r = json_get(object, "capabilities", &capabilities, err);
    if (r <= 0)
        return r;
    process->has_capabilities = true;
    const struct {
        const char *key;
        uint64_t *set;
    } sets[] = {
        {"bounding", &process->capabilities.bounding},       {"effective", &process->capabilities.effective},
        {"inheritable", &process->capabilities.inheritable}, {"permitted", &process->capabilities.permitted},
        {"ambient", &process->capabilities.ambient},
    };
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        struct json_value names;
        r = json_get(&capabilities, sets[i].key, &names, err);
        if (r > 0)
            r = json_each_element(&names, add_capability, sets[i].set, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_group(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    (void)arena;
    uint64_t gid;
    int r = json_uint(element, ID_MAX, &gid, err);
    if (r < 0)
        return r;
    *(uint32_t *)structure = (uint32_t)gid;
    return 0;
}

static int parse_user(struct arena *arena, const struct json_value *object, struct oci_process *process,
                      struct err *err) {
    struct json_value user;
    int r = json_get(object, "user", &user, err);
    if (r <= 0)
        return r;
    if ((r = parse_u32_to(&user, "uid", ID_MAX, &process->uid, err)) < 0 ||
        (r = parse_u32_to(&user, "gid", ID_MAX, &process->gid, err)) < 0 ||
        (r = json_get_u32(&user, "umask", &process->umask, err)) < 0)
        return r;
    process->has_umask = r > 0;
    process->umask &= 0777; /* umask(2) uses no more */
    void *groups = NULL;
    r = parse_array(arena, &user, "additionalGids", sizeof *process->additional_gids, GROUPS_MAX, parse_group, &groups,
                    &process->n_additional_gids, err);
    process->additional_gids = groups;
    return r;
}

static const struct word rlimit_words[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},       {"RLIMIT_FSIZE", RLIMIT_FSIZE},       {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},   {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

static int require_u64(const struct json_value *object, const char *key, uint64_t *ret, struct err *err) {
    struct json_value member;
    int r = require(object, key, &member, err);
    return r < 0 ? r : json_uint(&member, UINT64_MAX, ret, err);
}

static int parse_rlimit(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    (void)arena;
    struct oci_rlimit *limit = structure;
    struct json_value type;
    uint64_t resource;
    int r = require(element, "type", &type, err);
    if (r < 0)
        return r;
    if ((r = parse_word(&type, rlimit_words, ARRAY_SIZE(rlimit_words), &resource, err)) < 0 ||
        (r = require_u64(element, "soft", &limit->soft, err)) < 0 ||
        (r = require_u64(element, "hard", &limit->hard, err)) < 0)
        return r;
    limit->resource = (uint32_t)resource;
    if (limit->soft > limit->hard)
        return json_refuse(element, err, "has a soft limit above the hard one");
    /* The array's earlier elements lie before this one. */
    for (size_t i = 1; i <= element->index; i++)
        if (limit[-(ptrdiff_t)i].resource == limit->resource)
            return json_refuse(&type, err, "stands for a limit that an earlier element sets");
    return 0;
}

static const struct word policy_words[] = {
    {"SCHED_OTHER", SCHED_NORMAL},      {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},       {"SCHED_ISO", 4},           {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
};
static const struct word scheduler_flag_words[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},   {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},         {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},       {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

static int add_scheduler_flag(const struct json_value *item, void *data, struct err *err) {
    uint64_t flag;
    int r = parse_word(item, scheduler_flag_words, ARRAY_SIZE(scheduler_flag_words), &flag, err);
    if (r == 0)
        *(uint64_t *)data |= flag;
    return r;
}

/* Which members go with which policy: sched(7), and runc's validator. */
static int check_scheduler(const struct json_value *object, const struct oci_scheduler *s, struct err *err) {
    bool realtime = s->policy == SCHED_FIFO || s->policy == SCHED_RR;
    if (s->priority != 0 && !realtime)
        return json_refuse(object, err, "has a priority, which only SCHED_FIFO and SCHED_RR use");
    if (realtime && (s->priority < 1 || s->priority > 99))
        return json_refuse(object, err, "needs a priority from 1 to 99 with SCHED_FIFO and SCHED_RR");
    if (s->policy != SCHED_DEADLINE && (s->runtime || s->deadline || s->period))
        return json_refuse(object, err, "has a runtime, deadline or period, which only SCHED_DEADLINE uses");
    return 0;
}

static int parse_scheduler(const struct json_value *object, struct oci_process *process, struct err *err) {
    struct json_value scheduler, member;
    struct oci_scheduler *s = &process->scheduler;
    int r = json_get(object, "scheduler", &scheduler, err);
    if (r <= 0)
        return r;
    process->has_scheduler = true;
    uint64_t policy;
    int64_t nice = 0;
    r = require(&scheduler, "policy", &member, err);
    if (r < 0)
        return r;
    if ((r = parse_word(&member, policy_words, ARRAY_SIZE(policy_words), &policy, err)) < 0 ||
        (r = parse_i64_from(&scheduler, "nice", -20, 19, &nice, err)) < 0 ||
        (r = json_get_u32(&scheduler, "priority", &s->priority, err)) < 0 ||
        (r = json_get_u64(&scheduler, "runtime", &s->runtime, err)) < 0 ||
        (r = json_get_u64(&scheduler, "deadline", &s->deadline, err)) < 0 ||
        (r = json_get_u64(&scheduler, "period", &s->period, err)) < 0 ||
        (r = json_get(&scheduler, "flags", &member, err)) < 0)
        return r;
    s->policy = (uint32_t)policy;
    s->nice = (int32_t)nice;
    if (r > 0 && (r = json_each_element(&member, add_scheduler_flag, &s->flags, err)) < 0)
        return r;
    return check_scheduler(&scheduler, s, err);
}

static const struct word io_class_words[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};

static int parse_io_priority(const struct json_value *object, struct oci_process *process, struct err *err) {
    struct json_value priority, class_member;
    int r = json_get(object, "ioPriority", &priority, err);
    if (r <= 0)
        return r;
    process->has_io_priority = true;
    uint64_t io_class;
    r = require(&priority, "class", &class_member, err);
    if (r < 0)
        return r;
    if ((r = parse_word(&class_member, io_class_words, ARRAY_SIZE(io_class_words), &io_class, err)) < 0 ||
        (r = parse_u32_to(&priority, "priority", 7, &process->io_priority, err)) < 0)
        return r;
    process->io_class = (uint32_t)io_class;
    return 0;
}

static int parse_console_size(const struct json_value *object, struct oci_process *process, struct err *err) {
    struct json_value size;
    int r = json_get(object, "consoleSize", &size, err);
    if (r <= 0)
        return r;
    /* struct winsize counts in 16 bits */
    r = parse_u32_to(&size, "height", UINT16_MAX, &process->console_rows, err);
    return r < 0 ? r : parse_u32_to(&size, "width", UINT16_MAX, &process->console_columns, err);
}

static int parse_command(struct arena *arena, const struct json_value *object, struct oci_process *process,
                         struct err *err) {
    struct json_value args;
    int r = require(object, "args", &args, err);
    if (r < 0)
        return r;
    if ((r = parse_strings(arena, object, "args", &process->args, &process->n_args, err)) < 0 ||
        (r = parse_strings(arena, object, "env", &process->env, &process->n_env, err)) < 0)
        return r;
    if (process->n_args == 0)
        return json_refuse(&args, err, "must name a command");
    return require_absolute(object, "cwd", &process->cwd, err);
}

int parse_process(struct arena *arena, const struct json_value *object, struct oci_process *process, struct err *err) {
    int r = parse_command(arena, object, process, err);
    if (r < 0)
        return r;
    int64_t oom_score_adj = 0;
    void *rlimits = NULL;
    if ((r = json_get_bool(object, "terminal", &process->terminal, err)) < 0 ||
        (r = json_get_bool(object, "noNewPrivileges", &process->no_new_privileges, err)) < 0 ||
        (r = parse_console_size(object, process, err)) < 0 || (r = parse_user(arena, object, process, err)) < 0 ||
        (r = parse_capabilities(object, process, err)) < 0 || (r = parse_scheduler(object, process, err)) < 0 ||
        (r = parse_io_priority(object, process, err)) < 0 ||
        (r = parse_name(object, "apparmorProfile", &process->apparmor_profile, err)) < 0 ||
        (r = parse_name(object, "selinuxLabel", &process->selinux_label, err)) < 0 ||
        (r = parse_array(arena, object, "rlimits", sizeof *process->rlimits, RLIM_NLIMITS, parse_rlimit, &rlimits,
                         &process->n_rlimits, err)) < 0 ||
        (r = parse_i64_from(object, "oomScoreAdj", -1000, 1000, &oom_score_adj, err)) < 0)
        return r;
    process->rlimits = rlimits;
    process->has_oom_score_adj = r > 0;
    process->oom_score_adj = (int32_t)oom_score_adj;
    return 0;
}
