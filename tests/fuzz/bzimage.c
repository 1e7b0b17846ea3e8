/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_kernel_ struct kernel kernel = {0};
    struct err err = {0};
    if (kernel_extract(data, size, "input", &kernel, &err) == 0 && !image_release_is_valid(kernel.release))
        __builtin_trap();
    (void)vmlinux_check(data, size, "input", &err);
    return 0;
}
