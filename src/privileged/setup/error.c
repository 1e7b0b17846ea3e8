/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int setup_errno(struct err *err, const char *format, ...) {
    int code = errno;
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    const char *name = strerrorname_np(code);
    return err_set(err, code, "%s (%s)", text, name ? name : "unknown error");
}
