/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C and its kind during `create`. They come between two steps or while one waits, and are an error of that step:
 * so what has been acquired is given back. While it is given back they wait. A caller that stays with the container
 * has them kept beyond the end (setup_request.keep_signals): they can meet the wait for the start, and from then on
 * they wait for the caller, which passes them on.
 */
#include "privileged/setup/internal.h"

#include <errno.h>
#include <signal.h>

enum { CAUGHT = 4 };
static const int caught[CAUGHT] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

static struct {
    bool active, deferred;
    sigset_t outside; /* the mask of before, in force while a step waits */
    struct sigaction before[CAUGHT];
} interrupt;
static volatile sig_atomic_t noted;

static void note(int signal) {
    noted = signal;
}

void interrupt_begin(void) {
    struct sigaction action = {.sa_handler = note}; /* no SA_RESTART: a wait shall end */
    sigset_t set;
    noted = 0;
    interrupt.deferred = false;
    if (interrupt.active)
        return;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < CAUGHT; i++) {
        (void)sigaction(caught[i], NULL, &interrupt.before[i]);
        /* Who has it ignored (nohup(1)) means it. */
        if (interrupt.before[i].sa_handler == SIG_IGN)
            continue;
        (void)sigaddset(&set, caught[i]);
        (void)sigaction(caught[i], &action, NULL);
    }
    (void)sigprocmask(SIG_BLOCK, &set, &interrupt.outside);
    interrupt.active = true;
}

void interrupt_defer(void) {
    interrupt.deferred = true;
}

void interrupt_allow(void) {
    interrupt.deferred = false;
}

void interrupt_hand_on(void) {
    interrupt_defer();
    if (interrupt.active && noted)
        (void)raise(noted); /* it is blocked: it waits again */
    noted = 0;
}

void interrupt_end(void) {
    if (!interrupt.active)
        return;
    for (size_t i = 0; i < CAUGHT; i++)
        (void)sigaction(caught[i], &interrupt.before[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &interrupt.outside, NULL);
    interrupt.active = false;
}

static bool is_open(void) {
    return interrupt.active && !interrupt.deferred;
}

int interrupt_poll(struct pollfd *fds, nfds_t count, int msec) {
    const struct timespec time = {.tv_sec = msec / 1000, .tv_nsec = (long)(msec % 1000) * 1000000};
    return ppoll(fds, count, msec < 0 ? NULL : &time, is_open() ? &interrupt.outside : NULL);
}

int interrupt_check(struct err *err) {
    /* One that has come since the last wait is let in by this, which does not wait. */
    if (is_open() && !noted)
        (void)interrupt_poll(NULL, 0, 0);
    return is_open() && noted ? err_set(err, EINTR, "interrupted by signal %d", (int)noted) : 0;
}
