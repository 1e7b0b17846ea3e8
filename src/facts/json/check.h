/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room only. */
#pragma once

#include "shared/base/err.h"

#include <stddef.h>

/*
 * Whether text is one JSON document by RFC 8259, without NUL in a key, with no integer
 * that 64 bits cannot hold. 0, or -EINVAL and "NAME: line L, column C: ...".
 */
int json_check_text(const char *text, size_t length, const char *name, struct err *err);
