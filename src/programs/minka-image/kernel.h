/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's kernel out of the distribution's: a bzImage (Documentation/arch/x86/
 * boot.rst) holds a compressed ELF, which a hypervisor can start directly, without
 * the guest spending a fifth of its boot on decompressing it, if it has the Xen PVH
 * entry note (CONFIG_PVH). Pure; every byte of the input is distrusted.
 */
#pragma once

#include "facts/image/image.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { VMLINUX_MAX = 512 << 20 };

struct kernel {
    char release[IMAGE_NAME_MAX]; /* what uname -r will say */
    struct buf vmlinux;
};
void kernel_done(struct kernel *kernel);
#define _cleanup_kernel_ __attribute__((cleanup(kernel_done)))

/* data: a whole bzImage, or an uncompressed ELF vmlinux. name is used in messages. */
int kernel_extract(const uint8_t *data, size_t length, const char *name, struct kernel *ret, struct err *err);

/* The place of the compressed kernel in a bzImage, without the four bytes of its unpacked size, which come after it. */
struct bzimage {
    const uint8_t *payload;
    size_t payload_length;
    uint32_t unpacked_length;
    char release[IMAGE_NAME_MAX];
};
int bzimage_parse(const uint8_t *data, size_t length, const char *name, struct bzimage *ret, struct err *err);

/* 0 when it is an x86-64 ELF with the note XEN_ELFNOTE_PHYS32_ENTRY; else one sentence. */
int vmlinux_check(const uint8_t *data, size_t length, const char *name, struct err *err);
