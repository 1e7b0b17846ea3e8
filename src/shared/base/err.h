/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: one fixed-size value that travels up by pointer.
 *
 * Every fallible function of minka ends in `struct err *err`, returns 0 or more
 * on success and a negative errno on failure, and fills err at the call that
 * failed. Callers add context with err_wrap() where an error crosses from one
 * module into another, and nowhere else. Library code never prints or exits.
 *
 * The text is one sentence for the user: it names the thing and, where there is
 * one, the remedy. No allocation, so it also works when memory is out.
 */
#pragma once

#include <stddef.h>

enum { ERR_TEXT_MAX = 1024 };

struct err {
    int code;                /* positive errno, 0 when nothing failed */
    char text[ERR_TEXT_MAX]; /* NUL-terminated, no newline */
};

/* Fill err and return -code. The text is taken as it is, strerror() is not added. err may be NULL. */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

/* Like err_set() with code errno, and ": <strerror(errno)>" after the text. Read errno before anything else. */
int err_errno(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/*
 * Like err_errno(), but with errno's name in brackets, "(EACCES)", in place of its words: podman takes the words of
 * some for a failure of the container's own command. For everything that is about the machinery.
 */
int err_errno_name(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* Put "<context>: " in front of the text. Returns -err->code, so that `return err_wrap(...)` reads well. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3), cold));
