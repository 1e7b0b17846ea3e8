/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/power.h"

#include "guest/agent/boot.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

_Noreturn void power_off(void) {
    /* A restart, since every VMM is told not to restart. RB_POWER_OFF turns into a halt that never ends where the
     * machine has no ACPI power switch (kernel/reboot.c). */
    (void)reboot(RB_AUTOBOOT);
    _exit(1); /* PID 1 ends: a kernel panic, and panic=-1 restarts */
}

/* Without console= the kernel's console may be a dummy, and the serial port is the one that the host listens to. */
static int open_console(void) {
    _cleanup_free_ char *command_line = NULL;
    _cleanup_free_ char *console = NULL;
    if (read_file(AT_FDCWD, "/proc/cmdline", 65536, &command_line, NULL, NULL) >= 0)
        console = boot_parameter(command_line, "console");
    int fd = open(console ? "/dev/console" : "/dev/ttyS0", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    return fd;
}

_Noreturn void power_off_failed(const struct err *err) {
    _cleanup_close_ int console = open_console();
    if (console >= 0) {
        (void)dprintf(console, "minka-agent: %s\n", err->text);
        (void)tcdrain(console); /* a restart drops what the serial port has not sent */
    }
    power_off();
}
