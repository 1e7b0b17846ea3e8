/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formats in which kernels and modules are packed: gzip, xz, lzma, zstd and
 * the legacy frame of lz4, told apart by their first bytes. Uses zlib, liblzma,
 * libzstd and liblz4; the only file that does.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_XZ, PACKING_LZMA, PACKING_ZSTD, PACKING_LZ4 };

enum packing packing_of(const uint8_t *data, size_t length);

/* Unpack to at most max bytes, appended to ret. What comes after the end of the stream is ignored. */
int decompress(const uint8_t *data, size_t length, size_t max, const char *name, struct buf *ret, struct err *err);
