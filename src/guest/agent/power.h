/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the machine. */
#pragma once

#include "shared/base/err.h"

/* Write everything back and end the machine. */
_Noreturn void power_off(void);

/* Say `minka-agent: <text>` on the machine's console, where the monitor reads it, and end the machine. */
_Noreturn void power_off_failed(const struct err *err);
