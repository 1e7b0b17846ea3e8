/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices a container may use: the rules of the spec in the guest's
 * numbers, with those that crun and runc always add.
 */
#include "facts/plan/build.h"
#include "shared/base/cleanup.h"

#include <sys/stat.h>

#define ALL_USES     .allow = true, .read = true, .write = true, .mknod = true
#define NODE(ma, mi) .type = 'c', .has_major = true, .major = ma, .has_minor = true, .minor = mi

/* Making nodes of any kind is harmless, opening them is not: so do crun (cgroup-resources.c) and runc (specconv). */
static const struct oci_device_rule always[] = {
    {.allow = true, .type = 'c', .mknod = true},
    {.allow = true, .type = 'b', .mknod = true},
    {ALL_USES, NODE(1, 3)},
    {ALL_USES, NODE(1, 5)},
    {ALL_USES, NODE(1, 7)},
    {ALL_USES, NODE(1, 8)},
    {ALL_USES, NODE(1, 9)},
    {ALL_USES, NODE(5, 0)},
    {ALL_USES, NODE(5, 1)},
    {ALL_USES, NODE(5, 2)},
    {ALL_USES, .type = 'c', .has_major = true, .major = 136}, /* pseudo-terminals */
};

static const struct oci_device_rule deny_all = {.type = 'a', .read = true, .write = true, .mknod = true};

/* Majors that mean the same in every kernel: mem, tty, misc with its fixed minors, pseudo-terminals; loop. */
static bool means_the_same(const struct oci_device_rule *rule) {
    if (rule->type == 'b')
        return rule->major == 7;
    return rule->type == 'c' && (rule->major == 1 || rule->major == 4 || rule->major == 5 || rule->major == 10 ||
                                 (rule->major >= 136 && rule->major <= 143));
}

/*
 * A number that was given out on the host (a disk, a USB device) would mean another device in the guest, perhaps one of
 * its own disks: what it allows is nothing that the VM has.
 */
static bool is_of_the_host_only(const struct oci_device_rule *rule) {
    return rule->allow && rule->has_major && !means_the_same(rule);
}

struct rules {
    struct oci_device_rule *list;
    size_t count, capacity;
};

static void add_rule(struct rules *rules, const struct oci_device_rule *rule) {
    if (rules->count < rules->capacity && !is_of_the_host_only(rule))
        rules->list[rules->count++] = *rule;
}

static int make_room(struct rules *rules, size_t more, struct err *err) {
    rules->capacity = more + 1 + ARRAY_SIZE(always);
    rules->list = calloc(rules->capacity, sizeof(*rules->list));
    return rules->list ? 0 : plan_out_of_memory(err);
}

static bool is_same(const struct oci_device_rule *a, const struct oci_device_rule *b) {
    return a->allow == b->allow && a->type == b->type && a->has_major == b->has_major && a->has_minor == b->has_minor &&
           (!a->has_major || a->major == b->major) && (!a->has_minor || a->minor == b->minor) && a->read == b->read &&
           a->write == b->write && a->mknod == b->mknod;
}

/* Engines list the standard devices themselves; with nothing denied since, there is no need to say it twice. */
static bool is_said_already(const struct rules *rules, const struct oci_device_rule *rule) {
    for (size_t i = rules->count; i > 0 && rules->list[i - 1].allow; i--)
        if (is_same(&rules->list[i - 1], rule))
            return true;
    return false;
}

static int finish(struct rules *rules, ProtobufCBinaryData *ret, struct err *err) {
    for (size_t i = 0; i < ARRAY_SIZE(always); i++)
        if (!is_said_already(rules, &always[i]))
            add_rule(rules, &always[i]);
    int r = plan_build_device_program(rules->list, rules->count, ret, err);
    free(rules->list);
    return r;
}

int plan_build_update_rules(const struct oci_resources *resources, ProtobufCBinaryData *ret, struct err *err) {
    struct rules rules = {0};
    if (resources->n_device_rules == 0)
        return 0;
    int r = make_room(&rules, resources->n_device_rules, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < resources->n_device_rules; i++)
        add_rule(&rules, &resources->device_rules[i]);
    return finish(&rules, ret, err);
}

static void allow_node(struct rules *rules, const plan_device *device) {
    struct oci_device_rule rule = {ALL_USES, NODE(device->major, device->minor)};
    if (S_ISCHR(device->mode) && !is_said_already(rules, &rule))
        add_rule(rules, &rule);
}

/*
 * Rootless engines give no rules, since there the kernel forbids devices by itself. In the guest the container would be
 * the VM's root; so it gets its nodes and no more.
 */
int plan_build_container_rules(const struct oci_spec *spec, const plan_container_message *container,
                               ProtobufCBinaryData *ret, struct err *err) {
    struct rules rules = {0};
    if (spec->resources.n_device_rules > 0)
        return plan_build_update_rules(&spec->resources, ret, err);
    int r = make_room(&rules, container->n_devices, err);
    if (r < 0)
        return r;
    struct oci_device_rule first = deny_all;
    first.allow = plan_spec_is_privileged(spec);
    add_rule(&rules, &first);
    for (size_t i = 0; i < container->n_devices; i++)
        allow_node(&rules, container->devices[i]);
    return finish(&rules, ret, err);
}
