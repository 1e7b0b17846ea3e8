/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/device_program.h"

#include "shared/base/cleanup.h"

#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

enum { PROGRAMS_MAX = 64 }; /* BPF_CGROUP_MAX_PROGS */

static int bpf(enum bpf_cmd command, union bpf_attr *attributes) {
    int r = (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
    return r < 0 ? -errno : r;
}

static int load(const void *program, size_t length) {
    static const char license[] = "Apache-2.0";
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)program;
    attributes.insn_cnt = (uint32_t)(length / sizeof(struct bpf_insn));
    attributes.license = (uint64_t)(uintptr_t)license;
    return bpf(BPF_PROG_LOAD, &attributes);
}

/* The number of programs attached to this very cgroup. */
static int attached(int cgroup, uint32_t ids[PROGRAMS_MAX]) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = (uint32_t)cgroup;
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attributes.query.prog_cnt = PROGRAMS_MAX;
    int r = bpf(BPF_PROG_QUERY, &attributes);
    return r < 0 ? r : (int)attributes.query.prog_cnt;
}

static int attach(int cgroup, int program) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    return bpf(BPF_PROG_ATTACH, &attributes);
}

static int detach(int cgroup, uint32_t id) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = id;
    _cleanup_close_ int program = bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
    if (program < 0)
        return program;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    return bpf(BPF_PROG_DETACH, &attributes);
}

int device_program_attach(int cgroup, const void *program, size_t length, struct err *err) {
    if (length == 0 || length % sizeof(struct bpf_insn))
        return err_set(err, EINVAL, "the device program of the plan has an impossible length of %zu bytes", length);
    _cleanup_close_ int loaded = load(program, length);
    if (loaded < 0)
        return err_set(err, -loaded, "the guest's kernel refuses the container's device rules (error %d)", -loaded);
    uint32_t before[PROGRAMS_MAX];
    int n = attached(cgroup, before);
    int r = n < 0 ? n : attach(cgroup, loaded);
    /* For a moment old and new ones are in force, which can only be stricter. */
    for (int i = 0; r >= 0 && i < n; i++)
        r = detach(cgroup, before[i]);
    if (r < 0)
        return err_set(err, -r, "cannot put the container's device rules in force (error %d)", -r);
    return 0;
}
