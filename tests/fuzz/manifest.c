/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct image_manifest manifest;
    struct err err = {0};
    if (image_manifest_parse((const char *)data, size, "input", &manifest, &err) == 0) {
        if (!image_release_is_valid(manifest.kernel) || manifest.protocol == 0)
            __builtin_trap();
        (void)image_has_group(&manifest, "blk");
    }
    return 0;
}
