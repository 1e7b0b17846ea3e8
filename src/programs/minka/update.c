/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "input.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

struct update_options {
    const char *resources;
    const char *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_idle, *cpuset_cpus, *cpuset_mems;
    const char *memory, *memory_reservation, *memory_swap, *pids_limit;
};

#define FIELD(name) offsetof(struct update_options, name)
static const struct option options[] = {
    {'r', "resources", "FILE", OPTION_TEXT, FIELD(resources), "linux.resources as JSON (- for standard input)"},
    {0, "blkio-weight", "N", OPTION_TEXT, FIELD(blkio_weight), "share of the block devices, 10 to 1000"},
    {0, "cpu-period", "USEC", OPTION_TEXT, FIELD(cpu_period), "CPU period"},
    {0, "cpu-quota", "USEC", OPTION_TEXT, FIELD(cpu_quota), "CPU time within a period; -1 for no limit"},
    {0, "cpu-burst", "USEC", OPTION_TEXT, FIELD(cpu_burst), "CPU time that may be saved up"},
    {0, "cpu-share", "N", OPTION_TEXT, FIELD(cpu_share), "CPU shares beside other containers"},
    {0, "cpu-idle", "N", OPTION_TEXT, FIELD(cpu_idle), "1: run only when the CPU is idle otherwise"},
    {0, "cpuset-cpus", "LIST", OPTION_TEXT, FIELD(cpuset_cpus), "CPUs of the virtual machine to use"},
    {0, "cpuset-mems", "LIST", OPTION_TEXT, FIELD(cpuset_mems), "memory nodes of the virtual machine to use"},
    {0, "memory", "BYTES", OPTION_TEXT, FIELD(memory), "memory limit; suffixes k, m, g; -1 for none"},
    {0, "memory-reservation", "BYTES", OPTION_TEXT, FIELD(memory_reservation), "memory that is not taken away"},
    {0, "memory-swap", "BYTES", OPTION_TEXT, FIELD(memory_swap), "limit of memory and swap together"},
    {0, "pids-limit", "N", OPTION_TEXT, FIELD(pids_limit), "number of processes; -1 for no limit"},
    {0, "cpu-rt-period", "USEC", OPTION_IGNORED, 0, "accepted and ignored"},
    {0, "cpu-rt-runtime", "USEC", OPTION_IGNORED, 0, "accepted and ignored"},
    {0, "kernel-memory", "BYTES", OPTION_IGNORED, 0, "accepted and ignored"},
    {0, "kernel-memory-tcp", "BYTES", OPTION_IGNORED, 0, "accepted and ignored"},
    {0, "l3-cache-schema", "TEXT", OPTION_IGNORED, 0, "accepted and ignored"},
    {0, "mem-bw-schema", "TEXT", OPTION_IGNORED, 0, "accepted and ignored"},
    OPTIONS_END,
};

static int number(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err) {
    int64_t value = 0;
    if (parse_i64(text, &value) < 0 || value < min || value > max)
        return err_set(err, EINVAL, "--%s takes a number from %lld to %lld, not \"%.32s\"", option, (long long)min,
                       (long long)max, text);
    *ret = value;
    return 1;
}

/* 1 and *ret when text is given. */
static int optional(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err) {
    return text ? number(option, text, min, max, ret, err) : 0;
}

/* "64m", "1.5" is not one: bytes, or a whole number of binary units. */
static int size(const char *option, const char *text, bool *ret_has, int64_t *ret, struct err *err) {
    if (!text)
        return 0;
    size_t digits = strspn(text, "-0123456789");
    _cleanup_free_ char *copy = strndup(text, digits);
    if (!copy)
        return err_set(err, ENOMEM, "out of memory");
    static const char units[] = "kmgt";
    const char *unit = text[digits] ? strchr(units, tolower((unsigned char)text[digits])) : NULL;
    const char *rest = text + digits + (text[digits] ? 1 : 0);
    int64_t value = 0;
    if (parse_i64(copy, &value) < 0 || value < -1 ||
        (text[digits] && !unit && tolower((unsigned char)text[digits]) != 'b') ||
        (*rest && strcasecmp(rest, "b") != 0 && strcasecmp(rest, "ib") != 0))
        return err_set(err, EINVAL, "--%s takes bytes, such as 67108864 or 64m, or -1, not \"%.32s\"", option, text);
    int shift = unit ? (int)(unit - units + 1) * 10 : 0;
    if (value > 0 && value > (INT64_MAX >> shift))
        return err_set(err, EINVAL, "--%s: %.32s is too much", option, text);
    *ret = value < 0 ? -1 : value << shift;
    *ret_has = true;
    return 0;
}

static int set_memory(const struct update_options *o, struct oci_resources *r, struct err *err) {
    int result = size("memory", o->memory, &r->has_memory_limit, &r->memory_limit, err);
    if (result >= 0)
        result =
            size("memory-reservation", o->memory_reservation, &r->has_memory_reservation, &r->memory_reservation, err);
    if (result >= 0)
        result = size("memory-swap", o->memory_swap, &r->has_memory_swap, &r->memory_swap, err);
    return result;
}

static int set_cpu(const struct update_options *o, struct oci_resources *r, struct err *err) {
    const struct {
        const char *name, *text;
        int64_t min;
        bool *has;
        uint64_t *value; /* or */
        int64_t *signed_value;
    } table[] = {
        {"cpu-period", o->cpu_period, 0, &r->has_cpu_period, &r->cpu_period, NULL},
        {"cpu-quota", o->cpu_quota, -1, &r->has_cpu_quota, NULL, &r->cpu_quota},
        {"cpu-burst", o->cpu_burst, 0, &r->has_cpu_burst, &r->cpu_burst, NULL},
        {"cpu-share", o->cpu_share, 0, &r->has_cpu_shares, &r->cpu_shares, NULL},
        {"cpu-idle", o->cpu_idle, 0, &r->has_cpu_idle, NULL, &r->cpu_idle},
        {"pids-limit", o->pids_limit, -1, &r->has_pids_limit, NULL, &r->pids_limit},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        int64_t value = 0;
        int given = optional(table[i].name, table[i].text, table[i].min, INT64_MAX, &value, err);
        if (given < 0)
            return given;
        if (given == 0)
            continue;
        *table[i].has = true;
        if (table[i].value)
            *table[i].value = (uint64_t)value;
        else
            *table[i].signed_value = value;
    }
    int64_t weight = 0;
    int given = optional("blkio-weight", o->blkio_weight, 10, 1000, &weight, err);
    if (given > 0) {
        r->has_blkio_weight = true;
        r->blkio_weight = (uint32_t)weight;
    }
    return given < 0 ? given : 0;
}

static int set_text(char **variable, const char *text, struct err *err) {
    if (!text)
        return 0;
    free(*variable);
    *variable = strdup(text);
    return *variable ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int make_resources(const struct update_options *o, struct oci_resources **ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = o->resources ? read_input(o->resources, &text, &length, err) : 0;
    if (r < 0)
        return r;
    _cleanup_oci_resources_ struct oci_resources *resources = NULL;
    r = text ? oci_resources_parse(text, length, &resources, err) : oci_resources_parse("{}", 2, &resources, err);
    if (r >= 0)
        r = set_memory(o, resources, err);
    if (r >= 0)
        r = set_cpu(o, resources, err);
    if (r >= 0)
        r = set_text(&resources->cpuset_cpus, o->cpuset_cpus, err);
    if (r >= 0)
        r = set_text(&resources->cpuset_mems, o->cpuset_mems, err);
    if (r < 0)
        return r;
    *ret = take_ptr(resources);
    return 0;
}

static int update(struct cli *cli, void *data, const struct operands *operands, struct err *err) {
    _cleanup_oci_resources_ struct oci_resources *resources = NULL;
    _cleanup_container_ struct container c = {.dir = -EBADF};
    struct setup_context context;
    int r = make_resources(data, &resources, err);
    if (r >= 0)
        r = container_open(cli, operands->values[0], CONTAINER_CHANGE, &c, err);
    if (r >= 0)
        r = container_require_process(&c, err);
    if (r >= 0)
        r = cli_context(cli, &context, err);
    if (r < 0)
        return r;
    return setup_update(&context, c.dir, c.state, resources, err);
}

const struct command command_update = {
    .name = "update",
    .arguments = "[OPTION...] ID",
    .summary = "change the resource limits of a container",
    .options = options,
    .options_size = sizeof(struct update_options),
    .min = 1,
    .max = 1,
    .stop_at = OPTIONS_ANYWHERE,
    .run = update,
};
