/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that the caller left open: to nobody's use but, if asked for, the container's. */
#pragma once

#include "facts/oci/oci.h"
#include "privileged/setup/setup.h"
#include "shared/base/err.h"

#include <stdint.h>

/*
 * Once, before anything is opened: which of those that could be asked for are open (bit 0 is descriptor 3). Engines
 * leave descriptors of their own to us (conmon's sync pipes): none may reach a hook or a sandbox, where an open end
 * would keep the engine waiting. And 0, 1 and 2 must be something, or a file opened later gets their place.
 */
uint64_t descriptors_inherited(void);

/*
 * How many sockets the caller's service manager passes, from 3 on: LISTEN_FDS, if LISTEN_PID says that it is meant for
 * us, sd_listen_fds(3). Numbers: environment variables, NULL if there are none.
 */
int descriptors_activated(const char *listen_fds, const char *listen_pid, uint32_t *ret, struct err *err);

/* LISTEN_FDS and LISTEN_PID, for which a container's process looks; as runc sets them. ret must outlive process. */
struct announcement {
    char **env;
    char fds[24];
};
int descriptors_announce(uint32_t activated, struct oci_process *process, struct announcement *ret, struct err *err);
void announcement_done(struct announcement *announcement);

/* Add activated and then preserved ones, from 3 on, to the standard ones in streams. */
int descriptors_add(uint64_t inherited, uint32_t activated, uint32_t preserved, struct setup_streams *streams,
                    struct err *err);

/* They are the sandbox's now: kept open here, they would hide an end of file. */
void descriptors_close(const struct setup_streams *streams);
