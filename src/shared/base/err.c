/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A newline inside the text would break the one-line contract of logs and of --log json. */
static void flatten(char *text) {
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ' ';
}

int err_set(struct err *err, int code, const char *format, ...) {
    if (!err)
        return -code;
    va_list ap;
    va_start(ap, format);
    err->code = code;
    (void)vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    flatten(err->text);
    return -code;
}

int err_errno(struct err *err, const char *format, ...) {
    int code = errno ? errno : EIO;
    if (!err)
        return -code;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    err->code = code;
    if (n >= 0 && (size_t)n < sizeof err->text)
        (void)snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", strerror(code));
    flatten(err->text);
    return -code;
}

int err_errno_name(struct err *err, const char *format, ...) {
    int code = errno ? errno : EIO;
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    const char *name = strerrorname_np(code);
    return err_set(err, code, "%s (%s)", text, name ? name : "unknown error");
}

int err_wrap(struct err *err, const char *format, ...) {
    if (!err)
        return -EIO;
    char inner[ERR_TEXT_MAX];
    memcpy(inner, err->text, sizeof inner);
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text)
        (void)snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", inner);
    flatten(err->text);
    return err->code ? -err->code : -EIO;
}
