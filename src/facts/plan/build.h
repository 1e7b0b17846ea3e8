/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: making the messages of plan.proto piece by
 * piece. They are built as protobuf-c itself would unpack them, each string and
 * array from malloc(3), so that its free_unpacked() takes half-made ones away too.
 */
#pragma once

#include "facts/oci/oci.h"
#include "facts/plan/plan.h"
#include "plan.pb-c.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef Minka__Plan__V1__Container plan_container_message;
typedef Minka__Plan__V1__Process plan_process_message;
typedef Minka__Plan__V1__Mount plan_mount;
typedef Minka__Plan__V1__Device plan_device;
typedef Minka__Plan__V1__Cgroup plan_cgroup;

/* build.c */
int plan_out_of_memory(struct err *err);
int plan_set_string(char **field, const char *value, struct err *err);
int plan_add_string(char ***list, size_t *count, const char *value, struct err *err);
int plan_add_strings(char ***list, size_t *count, char *const *values, size_t n_values, struct err *err);
/* A new message of this kind, NULL when memory is out; plan_add_message() also appends it to a repeated field. */
void *plan_new_message(const ProtobufCMessageDescriptor *descriptor);
void *plan_add_message(void *list, size_t *count, const ProtobufCMessageDescriptor *descriptor);
int plan_pack_message(const ProtobufCMessage *message, struct buf *ret, struct err *err);

/* options.c: the option words of a mount */
struct mount_options {
    uint64_t flags;                          /* MS_* for mount(2), MS_BIND and MS_REC included */
    uint64_t propagation;                    /* MS_SHARED … [| MS_REC] */
    uint64_t recursive_set, recursive_clear; /* MOUNT_ATTR_* */
    bool copy_up;
    bool writable_given; /* "rw" was said, in the end */
    char *data;          /* what is left for the file system, comma-separated; never NULL */
};
int plan_mount_options_parse(const struct oci_mount *mount, struct mount_options *ret, struct err *err);
void plan_mount_options_done(struct mount_options *options);

/* sources.c: where the source of a bind mount is to be looked for */
enum source_kind {
    SOURCE_HOST,    /* a path of the host, comes through the share */
    SOURCE_GUEST,   /* below /dev, /proc or /sys: the guest's own */
    SOURCE_TYPE,    /* the same, but a fresh mount of that file system type is right */
    SOURCE_SHM,     /* shared memory: a tmpfs of the guest */
    SOURCE_DEVICE,  /* a standard device: the guest's own */
    SOURCE_NOTHING, /* another device of the host */
};
struct source {
    enum source_kind kind;
    char *path;                           /* absolute and plain; the owner frees it */
    const char *type;                     /* SOURCE_TYPE */
    const struct standard_device *device; /* SOURCE_DEVICE */
};
int plan_source_of(const struct oci_mount *mount, const char *bundle, struct source *ret, struct err *err);

/* devices.c */
struct standard_device {
    const char *path;
    uint32_t major, minor;
    uint32_t mode;
    const char *modules; /* group of the guest image that drives it, or NULL */
    bool always;         /* every container has it: config-linux.md, "Default Devices" */
};
const struct standard_device *plan_standard_device_by_path(const char *path);
/* The spec runs with --privileged: then devices of the host that a VM does not have are nobody's wish. */
bool plan_spec_is_privileged(const struct oci_spec *spec);
int plan_build_standard_device(const struct standard_device *device, const char *path,
                               plan_container_message *container, struct err *err);
/* Returns how many devices were left out. */
int plan_build_devices(const struct oci_spec *spec, plan_container_message *container, struct err *err);

/* rules.c, program.c: who may open what */
int plan_build_device_program(const struct oci_device_rule *rules, size_t count, ProtobufCBinaryData *ret,
                              struct err *err);
int plan_build_container_rules(const struct oci_spec *spec, const plan_container_message *container,
                               ProtobufCBinaryData *ret, struct err *err);
int plan_build_update_rules(const struct oci_resources *resources, ProtobufCBinaryData *ret, struct err *err);

/* mounts.c: adds mounts, and the devices that came as bind mounts. Returns how many devices were left out. */
int plan_build_mounts(const struct oci_spec *spec, const struct plan_host *host, plan_container_message *container,
                      struct err *err);

/* namespaces.c */
int plan_build_namespaces(const struct oci_spec *spec, const struct plan_host *host, plan_container_message *container,
                          struct err *err);

/* sysctl.c */
int plan_build_sysctls(const struct oci_spec *spec, plan_container_message *container, struct err *err);

/* cgroup.c: the settings, without the device program */
int plan_build_cgroup_settings(const struct oci_resources *resources, plan_cgroup *cgroup, struct err *err);

/* seccomp.c: the program for seccomp(2) and its SECCOMP_FILTER_FLAG_* */
int plan_build_seccomp(const struct oci_seccomp *seccomp, ProtobufCBinaryData *ret_program, uint32_t *ret_flags,
                       struct err *err);

/* evaluate.c: what a seccomp program answers: SECCOMP_RET_*; a malformed one kills */
struct seccomp_data;
uint32_t plan_evaluate_seccomp(const struct sock_filter *program, size_t count, const struct seccomp_data *data);

/* process.c */
int plan_build_process(const struct oci_spec *spec, const struct oci_process *process,
                       const struct plan_streams *streams, plan_process_message *ret, struct err *err);

/* print_*.c */
int plan_print_process(const plan_process_message *process, struct buf *out);
int plan_print_cgroup(const plan_cgroup *cgroup, struct buf *out);
int plan_print_mount(const plan_mount *mount, struct buf *out);
int plan_print_propagation(uint64_t propagation, struct buf *out);
int plan_print_device_program(const ProtobufCBinaryData *program, struct buf *out);
int plan_print_seccomp(const ProtobufCBinaryData *program, uint32_t flags, struct buf *out);
