/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound cleanup. A variable owns what it holds; ownership moves only
 * through take_fd() and take_ptr(). File descriptors start at -EBADF.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Closes *fd if it is open and sets it to -EBADF; errno survives. No retry on EINTR: close(2), NOTES. */
static inline void close_fd(int *fd) {
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
    }
    *fd = -EBADF;
}

static inline void free_ptr(void *p) {
    free(*(void **)p);
    *(void **)p = NULL;
}

static inline void free_strv(char ***strings) {
    if (*strings)
        for (char **s = *strings; *s; s++)
            free(*s);
    free(*strings);
    *strings = NULL;
}

static inline void close_file(FILE **f) {
    if (*f)
        (void)fclose(*f);
    *f = NULL;
}

static inline void close_dir(DIR **d) {
    if (*d)
        (void)closedir(*d);
    *d = NULL;
}

#define _cleanup_close_    _cleanup_(close_fd)
#define _cleanup_free_     _cleanup_(free_ptr)
#define _cleanup_strv_     _cleanup_(free_strv)
#define _cleanup_fclose_   _cleanup_(close_file)
#define _cleanup_closedir_ _cleanup_(close_dir)

static inline int take_fd(int *fd) {
    int taken = *fd;
    *fd = -EBADF;
    return taken;
}

#define take_ptr(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) taken_ = (p);                                                                                    \
        (p) = NULL;                                                                                                    \
        taken_;                                                                                                        \
    })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
