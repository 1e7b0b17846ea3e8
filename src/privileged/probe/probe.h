/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host has: does /dev/kvm run a guest, which QEMU is it, which files
 * does a program need to be executed, how fast is the TSC. Each answer is found
 * by trying, and kept in RUNDIR/probe/ (root-owned, gone with the boot) under a
 * key made of the probed file's identity, so that a start pays for it once.
 */
#pragma once

#include "facts/vmm/vmm.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum kvm_verdict {
    KVM_WORKS,
    KVM_ABSENT,    /* no /dev/kvm */
    KVM_FORBIDDEN, /* cannot be opened by this user */
    KVM_UNUSABLE,  /* opens, but a tiny guest does not run within the deadline */
};
struct kvm_probe {
    enum kvm_verdict verdict;
    char reason[256]; /* one sentence: what was seen, and what would mend it */
    unsigned msec;    /* how long the probe took; 0 when it came from the cache */
};

/* Runs a few instructions of a long-mode guest in a child with a deadline. cache_dir NULL: no cache. */
int probe_kvm(const char *cache_dir, struct kvm_probe *ret, struct err *err);

/* Version and abilities of a QEMU binary; it is run once, with --version, as an unprivileged user in empty namespaces.
 */
int probe_qemu(const char *cache_dir, const char *path, struct vmm_features *ret, struct err *err);

/*
 * The program itself, its ELF interpreter and every shared library it loads (and, for QEMU, its accelerator modules):
 * absolute paths, NULL-terminated, in a new vector. Found with the dynamic loader's own --list.
 */
int probe_closure(const char *cache_dir, const char *program, char ***ret, struct err *err);

/* First firmware file that exists for this machine type, or -ENOENT. New string. */
int probe_firmware(const char *qemu_path, enum vmm_machine machine, char **ret, struct err *err);

/* kHz of the host's TSC against CLOCK_MONOTONIC_RAW, to about 10 ppm; 0 when there is no invariant TSC. */
uint64_t probe_tsc_khz(const char *cache_dir);
