/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/oci/parse.h"
#include "shared/base/cleanup.h"

enum { RULES_MAX = 8192, ARGS_MAX = 6 * 2, ERRNO_MAX = UINT16_MAX };

static const struct word action_words[] = {
    {"SCMP_ACT_KILL", 0},  {"SCMP_ACT_KILL_PROCESS", 0}, {"SCMP_ACT_KILL_THREAD", 0},
    {"SCMP_ACT_TRAP", 0},  {"SCMP_ACT_ERRNO", 0},        {"SCMP_ACT_TRACE", 0},
    {"SCMP_ACT_ALLOW", 0}, {"SCMP_ACT_LOG", 0},          {"SCMP_ACT_NOTIFY", 0},
};
static const struct word architecture_words[] = {
    {"SCMP_ARCH_NATIVE", 0},      {"SCMP_ARCH_X86", 0},     {"SCMP_ARCH_X86_64", 0},   {"SCMP_ARCH_X32", 0},
    {"SCMP_ARCH_ARM", 0},         {"SCMP_ARCH_AARCH64", 0}, {"SCMP_ARCH_MIPS", 0},     {"SCMP_ARCH_MIPS64", 0},
    {"SCMP_ARCH_MIPS64N32", 0},   {"SCMP_ARCH_MIPSEL", 0},  {"SCMP_ARCH_MIPSEL64", 0}, {"SCMP_ARCH_MIPSEL64N32", 0},
    {"SCMP_ARCH_PPC", 0},         {"SCMP_ARCH_PPC64", 0},   {"SCMP_ARCH_PPC64LE", 0},  {"SCMP_ARCH_S390", 0},
    {"SCMP_ARCH_S390X", 0},       {"SCMP_ARCH_PARISC", 0},  {"SCMP_ARCH_PARISC64", 0}, {"SCMP_ARCH_RISCV64", 0},
    {"SCMP_ARCH_LOONGARCH64", 0}, {"SCMP_ARCH_M68K", 0},    {"SCMP_ARCH_SH", 0},       {"SCMP_ARCH_SHEB", 0},
};
static const struct word flag_words[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0},
    {"SECCOMP_FILTER_FLAG_LOG", 0},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", 0},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0},
};
static const struct word op_words[] = {
    {"SCMP_CMP_NE", OCI_CMP_NE},
    {"SCMP_CMP_LT", OCI_CMP_LT},
    {"SCMP_CMP_LE", OCI_CMP_LE},
    {"SCMP_CMP_EQ", OCI_CMP_EQ},
    {"SCMP_CMP_GE", OCI_CMP_GE},
    {"SCMP_CMP_GT", OCI_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", OCI_CMP_MASKED_EQ},
};

static int check_architecture(const struct json_value *item, void *data, struct err *err) {
    (void)data;
    uint64_t unused;
    return parse_word(item, architecture_words, ARRAY_SIZE(architecture_words), &unused, err);
}

static int check_flag(const struct json_value *item, void *data, struct err *err) {
    (void)data;
    uint64_t unused;
    return parse_word(item, flag_words, ARRAY_SIZE(flag_words), &unused, err);
}

static int parse_words(struct arena *arena, const struct json_value *object, const char *key, json_each_fn *check,
                       char ***ret, size_t *ret_count, struct err *err) {
    struct json_value list;
    int r = json_get(object, key, &list, err);
    if (r > 0)
        r = json_each_element(&list, check, NULL, err);
    return r < 0 ? r : parse_strings(arena, object, key, ret, ret_count, err);
}

static int parse_action(const struct json_value *object, const char *key, char **ret, struct err *err) {
    struct json_value action;
    uint64_t unused;
    int r = require(object, key, &action, err);
    if (r < 0)
        return r;
    r = parse_word(&action, action_words, ARRAY_SIZE(action_words), &unused, err);
    return r < 0 ? r : require_string(object, key, ret, err);
}

static int parse_arg(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    (void)arena;
    struct oci_seccomp_arg *arg = structure;
    struct json_value member;
    uint64_t number;
    int r = require(element, "index", &member, err);
    if (r < 0)
        return r;
    r = json_uint(&member, 5, &number, err);
    if (r < 0)
        return r;
    arg->index = (uint32_t)number;
    r = require(element, "op", &member, err);
    if (r < 0)
        return r;
    r = parse_word(&member, op_words, ARRAY_SIZE(op_words), &number, err);
    if (r < 0)
        return r;
    arg->op = (enum oci_seccomp_op)number;
    if ((r = json_get_u64(element, "value", &arg->value, err)) < 0)
        return r;
    r = json_get_u64(element, "valueTwo", &arg->value_two, err);
    return r < 0 ? r : 0;
}

static int parse_rule(struct arena *arena, const struct json_value *element, void *structure, struct err *err) {
    struct oci_seccomp_rule *rule = structure;
    struct json_value names;
    int r = require(element, "names", &names, err);
    if (r < 0)
        return r;
    if ((r = parse_strings(arena, element, "names", &rule->names, &rule->n_names, err)) < 0 ||
        (r = parse_action(element, "action", &rule->action, err)) < 0 ||
        (r = parse_u32_to(element, "errnoRet", ERRNO_MAX, &rule->errno_value, err)) < 0)
        return r;
    rule->has_errno = r > 0;
    if (rule->n_names == 0)
        return json_refuse(&names, err, "must name a system call");
    void *args = NULL;
    r = parse_array(arena, element, "args", sizeof *rule->args, ARGS_MAX, parse_arg, &args, &rule->n_args, err);
    rule->args = args;
    return r;
}

int parse_seccomp(struct arena *arena, const struct json_value *object, struct oci_seccomp *seccomp, struct err *err) {
    int r = parse_action(object, "defaultAction", &seccomp->default_action, err);
    if (r < 0)
        return r;
    if ((r = parse_words(arena, object, "architectures", check_architecture, &seccomp->architectures,
                         &seccomp->n_architectures, err)) < 0 ||
        (r = parse_words(arena, object, "flags", check_flag, &seccomp->flags, &seccomp->n_flags, err)) < 0 ||
        (r = parse_name(object, "listenerPath", &seccomp->listener_path, err)) < 0 ||
        (r = parse_u32_to(object, "defaultErrnoRet", ERRNO_MAX, &seccomp->default_errno, err)) < 0)
        return r;
    seccomp->has_default_errno = r > 0;
    void *rules = NULL;
    r = parse_array(arena, object, "syscalls", sizeof *seccomp->rules, RULES_MAX, parse_rule, &rules, &seccomp->n_rules,
                    err);
    seccomp->rules = rules;
    return r;
}
