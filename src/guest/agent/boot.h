/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the kernel's exec of /init to an open agent channel. What is fatal here
 * ends the machine with one line on its console: see power.h.
 */
#pragma once

#include "shared/base/err.h"
#include "shared/base/loop.h"

#include <stdint.h>

/* /dev, /proc, /sys, /run, /dev/pts, standard descriptors, cgroups. */
int boot_mount(struct err *err);

/* Load the module groups that the kernel command line names in minka.modules=. */
int boot_load_modules(struct err *err);

/*
 * Open the virtio-serial port called name, non-blocking, and wait until the host's end is connected: until then
 * reads look like an end of file (drivers/char/virtio_console.c). The port has appear_msec to appear; the host may
 * take any time to connect, because a template is saved in this state. Returns a descriptor.
 */
int boot_open_port(const char *name, int64_t appear_msec, struct err *err);

/* The value of key in a kernel command line, a new string, or NULL when it is not there. The last one counts. */
char *boot_parameter(const char *command_line, const char *key);
