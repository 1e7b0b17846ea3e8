/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the machine. */
#pragma once

#include "shared/base/err.h"

/* End the machine, at once: what must be written back has been. */
_Noreturn void power_off(void);

/* Say `minka-agent: <text>` on the machine's console, where the monitor reads it, and end the machine. */
_Noreturn void power_off_failed(const struct err *err);
