/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp program was assembled on the host; here it is only handed to the kernel. */
#include "guest/agent/stage.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

int seccomp_load(const plan_process *process, struct err *err) {
    size_t length = process->seccomp.len;
    if (length == 0)
        return 0;
    if (length % sizeof(struct sock_filter) || length / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return err_set(err, EINVAL, "the seccomp program of the plan has an impossible length of %zu bytes", length);
    /* protobuf-c gets the bytes from malloc(3): aligned for any type. */
    struct sock_fprog program = {
        .len = (unsigned short)(length / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(void *)process->seccomp.data,
    };
    if (process->seccomp_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        return err_set(err, EINVAL, "a seccomp listener cannot be served in the guest");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, process->seccomp_flags, &program) < 0)
        return err_errno(err, "cannot load the seccomp program");
    return 0;
}
