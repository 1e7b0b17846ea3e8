/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/digest.h"

#include <nettle/sha2.h>
#include <stdint.h>

void digest_of(const void *data, size_t length, char ret[IMAGE_DIGEST_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_init(&context);
    sha256_update(&context, length, data);
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        ret[2 * i] = digits[digest[i] >> 4];
        ret[2 * i + 1] = digits[digest[i] & 15];
    }
    ret[IMAGE_DIGEST_SIZE - 1] = '\0';
}
