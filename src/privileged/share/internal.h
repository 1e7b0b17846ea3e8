/* SPDX-License-Identifier: Apache-2.0 */
/* Shared between this room's files and its tests. */
#pragma once

#include "privileged/share/share.h"

#include <linux/capability.h>

/* Where the share is in the server's root. */
#define SHARE_DIR "/share"

/*
 * What a file server needs to act for any user of the guest, valid only towards ids of its own user namespace: change
 * owners and modes, pass permission checks, switch ids per request, keep set-id bits and file capabilities; MKNOD and
 * SETPCAP because both servers refuse to start when they cannot arrange their own sets (MKNOD makes no device in a
 * user namespace: mknod(2)).
 */
#define SHARE_CAPABILITIES                                                                                             \
    (UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |                          \
     UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETPCAP |  \
     UINT64_C(1) << CAP_MKNOD | UINT64_C(1) << CAP_SETFCAP)
