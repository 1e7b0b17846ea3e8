/* SPDX-License-Identifier: Apache-2.0 */
/* The device rules of a container, enforced by a BPF program of type BPF_PROG_TYPE_CGROUP_DEVICE. */
#pragma once

#include "shared/base/err.h"

/*
 * Put the program (struct bpf_insn[], length in bytes) in force for the cgroup, instead of the one that was. At no
 * time is there none. The container may add further ones in cgroups below; all of them must agree.
 */
int device_program_attach(int cgroup, const void *program, size_t length, struct err *err);
