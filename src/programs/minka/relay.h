/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A foreground process: signals, terminal size and bytes go between the caller and
 * the container until its process has ended.
 *
 * The sandbox's long-lived processes never hold a terminal of the caller's: with it
 * they could read what is typed, or with TIOCSTI type themselves. With
 * terminal: true the container has a pty of its own; where one of 0, 1, 2 is a
 * terminal otherwise, a pipe stands in between. Everything else is handed through.
 */
#pragma once

#include "shared/base/err.h"

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct relay {
    bool terminal;        /* the container has a pty */
    int container[3];     /* its ends of the pipes, or the caller's descriptors themselves: for setup_* */
    int here[3];          /* our ends of the pipes; -EBADF: none */
    int master;           /* the pty's */
    bool raw;             /* the caller's terminal has been changed */
    struct termios saved; /* and was like this */
};

void relay_init(struct relay *relay);
/* Restores the caller's terminal and closes. */
void relay_done(struct relay *relay);
#define _cleanup_relay_ __attribute__((cleanup(relay_done)))

/* Before the process is made: the pipes. terminal: none are needed. */
int relay_prepare(struct relay *relay, bool terminal, struct err *err);

/* Until the process ends: its exit code, 128 + signal if one ended it. Takes over master. */
int relay_run(struct relay *relay, int master, pid_t pid, int pidfd, struct err *err);
