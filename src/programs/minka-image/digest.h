/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 in hexadecimal, by nettle: small and without further libraries, unlike libcrypto; linked statically. */
#pragma once

#include "facts/image/image.h"

#include <stddef.h>

void digest_of(const void *data, size_t length, char ret[IMAGE_DIGEST_SIZE]);
