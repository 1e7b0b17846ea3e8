/* SPDX-License-Identifier: Apache-2.0 */
#include "descriptors.h"

#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

uint64_t descriptors_inherited(void) {
    uint64_t open_ones = 0;
    for (int i = 0; i < STREAMS_FURTHER_MAX; i++)
        if (fcntl(STREAMS_STANDARD + i, F_GETFD) >= 0)
            open_ones |= UINT64_C(1) << i;
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
    (void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    return open_ones;
}

int descriptors_activated(const char *listen_fds, const char *listen_pid, uint32_t *ret, struct err *err) {
    uint64_t count, pid;
    *ret = 0;
    if (!listen_fds || !listen_pid || parse_u64(listen_pid, &pid) < 0 || pid != (uint64_t)getpid())
        return 0;
    if (parse_u64(listen_fds, &count) < 0 || count > UINT32_MAX)
        return err_set(err, EINVAL, "LISTEN_FDS in the environment is not a number: \"%.32s\"", listen_fds);
    *ret = (uint32_t)count;
    return 0;
}

int descriptors_announce(uint32_t activated, struct oci_process *process, struct announcement *ret, struct err *err) {
    static char pid[] = "LISTEN_PID=1";
    *ret = (struct announcement){0};
    if (activated == 0)
        return 0;
    ret->env = calloc(process->n_env + 3, sizeof *ret->env);
    if (!ret->env)
        return err_set(err, ENOMEM, "out of memory");
    size_t count = 0;
    for (size_t i = 0; i < process->n_env; i++)
        if (strncmp(process->env[i], "LISTEN_FDS=", 11) != 0 && strncmp(process->env[i], "LISTEN_PID=", 11) != 0)
            ret->env[count++] = process->env[i];
    (void)snprintf(ret->fds, sizeof ret->fds, "LISTEN_FDS=%u", activated);
    ret->env[count++] = ret->fds;
    ret->env[count++] = pid;
    process->env = ret->env;
    process->n_env = count;
    return 0;
}

void announcement_done(struct announcement *announcement) {
    free(announcement->env);
}

int descriptors_add(uint64_t inherited, uint32_t activated, uint32_t preserved, struct setup_streams *streams,
                    struct err *err) {
    if (activated > STREAMS_FURTHER_MAX || preserved > STREAMS_FURTHER_MAX - activated)
        return err_set(err, EINVAL, "a process in a virtual machine can be given %d descriptors, not %llu%s",
                       STREAMS_FURTHER_MAX, (unsigned long long)activated + preserved,
                       activated > 0 ? " (LISTEN_FDS and --preserve-fds)" : "");
    for (uint32_t i = 0; i < activated + preserved; i++) {
        int fd = STREAMS_STANDARD + (int)i;
        if (!(inherited & UINT64_C(1) << i))
            return err_set(err, EBADF, "descriptor %d is not open, but %s %u asks for it", fd,
                           i < activated ? "LISTEN_FDS =" : "--preserve-fds", i < activated ? activated : preserved);
        streams->fds[streams->count++] = fd;
    }
    return 0;
}

void descriptors_close(const struct setup_streams *streams) {
    for (size_t i = STREAMS_STANDARD; i < streams->count; i++)
        (void)close(streams->fds[i]);
}
