/* SPDX-License-Identifier: Apache-2.0 */
#include "minka-build.h"
#include "privileged/setup/internal.h"

#include "shared/base/text.h"

#include <errno.h>
#include <stdlib.h>

int fault_point(const char *step, struct err *err) {
#if MINKA_FAULT_INJECTION
    static uint64_t count;
    const char *text = getenv("MINKA_FAIL_AT");
    uint64_t at;
    if (text && parse_u64(text, &at) == 0 && ++count == at)
        return err_set(err, EIO, "step %s fails because MINKA_FAIL_AT says so", step);
#endif
    (void)step;
    (void)err;
    return 0;
}
