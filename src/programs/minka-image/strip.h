/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agent and modules without debug and type information: half the size, and modules
 * load in half the time. Done by objcopy(1) of binutils, run by absolute path with an
 * empty environment.
 */
#pragma once

#include "shared/base/buf.h"
#include "shared/base/err.h"

/* The path of objcopy, or NULL when this host has none; from a fixed list of places, not $PATH. */
const char *strip_program(void);

/* Replace an object by its stripped form; temporary files are made in dir, which is the caller's alone. */
int strip_object(const char *program, int dir, struct buf *object, const char *name, struct err *err);
