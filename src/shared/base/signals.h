/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that is about to execute a program hands on of its signals: an ignored one stays ignored (execve(2)).
 */
#pragma once

/*
 * Default dispositions for every signal and an empty mask. By system call, because the C library refuses to touch the
 * two real-time signals that it keeps for itself (signal(7)), and callers exist that ignore them. 0 or -errno.
 */
int signals_reset(void);
