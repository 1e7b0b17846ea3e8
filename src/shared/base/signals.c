/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KERNEL_SIGNALS = 64, KERNEL_MASK_SIZE = 8 };

/* The kernel's own structure: rt_sigaction(2), "C library/kernel differences". */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

int signals_reset(void) {
    const struct kernel_sigaction standard = {.handler = SIG_DFL};
    for (int s = 1; s <= KERNEL_SIGNALS; s++)
        if (s != SIGKILL && s != SIGSTOP && syscall(SYS_rt_sigaction, s, &standard, NULL, KERNEL_MASK_SIZE) < 0)
            return -errno;
    const uint64_t none = 0;
    return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_MASK_SIZE) < 0 ? -errno : 0;
}
