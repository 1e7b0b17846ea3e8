/* SPDX-License-Identifier: Apache-2.0 */
/* Documents given with an option: a file, or "-" for standard input. */
#pragma once

#include "shared/base/err.h"

#include <stddef.h>

int read_input(const char *path, char **ret, size_t *ret_length, struct err *err);
