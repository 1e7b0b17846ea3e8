/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of every long-lived process of minka: descriptors, one-shot
 * timers and signals, on epoll(7), timerfd and signalfd. One thread, no globals.
 * A callback may free any source, its own included.
 */
#pragma once

#include "shared/base/err.h"

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/types.h>

struct loop;
struct loop_source;

typedef void loop_fd_fn(void *data, uint32_t events); /* events: EPOLLIN … as of epoll_ctl(2) */
typedef void loop_timer_fn(void *data);
typedef void loop_signal_fn(void *data, const struct signalfd_siginfo *info);

int loop_new(struct loop **ret, struct err *err);
struct loop *loop_free(struct loop *loop); /* frees every source left; NULL is fine */

/*
 * Watch fd, which stays the caller's. events may be 0. A regular file, which epoll refuses, counts as always
 * ready for what was asked (inside loop_run, between other events). 0 or -errno.
 */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *data, struct loop_source **ret);
int loop_source_set_events(struct loop_source *source, uint32_t events);

/* Fire once, msec from now; rearm or disarm (msec < 0) with loop_timer_set(). */
int loop_add_timer(struct loop *loop, int64_t msec, loop_timer_fn *fn, void *data, struct loop_source **ret);
int loop_timer_set(struct loop_source *source, int64_t msec);

/* Blocks these signals in the process and delivers them here. signals ends with 0. */
int loop_add_signals(struct loop *loop, const int *signals, loop_signal_fn *fn, void *data, struct loop_source **ret);

/* Remove a source. Never closes the fd of loop_add_fd(). Returns NULL; NULL is fine. */
struct loop_source *loop_source_free(struct loop_source *source);

/* Run until loop_quit(); returns its code (>= 0), or a negative errno. */
int loop_run(struct loop *loop);
void loop_quit(struct loop *loop, int code);

/* CLOCK_MONOTONIC in milliseconds. */
int64_t monotonic_msec(void);
