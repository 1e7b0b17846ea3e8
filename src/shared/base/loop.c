/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/loop.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum kind { KIND_FD, KIND_ALWAYS_READY, KIND_TIMER, KIND_SIGNAL };

struct loop_source {
    struct loop *loop;
    struct loop_source *next; /* in loop->sources, or in loop->dead */
    enum kind kind;
    int fd;
    uint32_t events;
    bool dead;
    union {
        loop_fd_fn *on_fd;
        loop_timer_fn *on_timer;
        loop_signal_fn *on_signal;
    };
    void *data;
};

struct loop {
    int epoll_fd;
    struct loop_source *sources;
    bool has_dead;
    bool quit;
    int code;
};

int64_t monotonic_msec(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int loop_new(struct loop **ret, struct err *err) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return err_set(err, ENOMEM, "out of memory");
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        int r = err_errno(err, "cannot create an epoll instance");
        free(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

static int source_new(struct loop *loop, enum kind kind, int fd, uint32_t events, void *data,
                      struct loop_source **ret) {
    struct loop_source *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct loop_source){.loop = loop, .kind = kind, .fd = fd, .events = events, .data = data};
    struct epoll_event ev = {.events = events, .data.ptr = s};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        if (errno != EPERM || kind != KIND_FD) {
            int r = -errno;
            free(s);
            return r;
        }
        s->kind = KIND_ALWAYS_READY; /* regular file: epoll_ctl(2), EPERM */
    }
    s->next = loop->sources;
    loop->sources = s;
    *ret = s;
    return 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *data, struct loop_source **ret) {
    int r = source_new(loop, KIND_FD, fd, events, data, ret);
    if (r == 0)
        (*ret)->on_fd = fn;
    return r;
}

int loop_source_set_events(struct loop_source *source, uint32_t events) {
    if (source->events == events)
        return 0;
    source->events = events;
    if (source->kind == KIND_ALWAYS_READY)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = source};
    return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &ev) < 0 ? -errno : 0;
}

int loop_add_timer(struct loop *loop, int64_t msec, loop_timer_fn *fn, void *data, struct loop_source **ret) {
    _cleanup_close_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct loop_source *s;
    int r = source_new(loop, KIND_TIMER, fd, EPOLLIN, data, &s);
    if (r < 0)
        return r;
    (void)take_fd(&fd); /* now the source's */
    s->on_timer = fn;
    r = loop_timer_set(s, msec);
    if (r < 0) {
        loop_source_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

int loop_timer_set(struct loop_source *source, int64_t msec) {
    struct itimerspec when = {0};
    if (msec == 0)
        when.it_value.tv_nsec = 1; /* 0 would disarm: timerfd_settime(2) */
    else if (msec > 0)
        when.it_value = (struct timespec){.tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000};
    return timerfd_settime(source->fd, 0, &when, NULL) < 0 ? -errno : 0;
}

int loop_add_signals(struct loop *loop, const int *signals, loop_signal_fn *fn, void *data, struct loop_source **ret) {
    sigset_t set;
    sigemptyset(&set);
    for (const int *s = signals; *s; s++)
        sigaddset(&set, *s);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    _cleanup_close_ int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct loop_source *s;
    int r = source_new(loop, KIND_SIGNAL, fd, EPOLLIN, data, &s);
    if (r < 0)
        return r;
    (void)take_fd(&fd); /* now the source's */
    s->on_signal = fn;
    *ret = s;
    return 0;
}

struct loop_source *loop_source_free(struct loop_source *source) {
    if (!source || source->dead)
        return NULL;
    if (source->kind != KIND_ALWAYS_READY)
        (void)epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    if (source->kind == KIND_TIMER || source->kind == KIND_SIGNAL)
        (void)close(source->fd);
    /* epoll_wait() may already have returned this source: the memory goes only after the round. */
    source->dead = true;
    source->loop->has_dead = true;
    return NULL;
}

static void sweep(struct loop *loop) {
    if (!loop->has_dead)
        return;
    for (struct loop_source **p = &loop->sources; *p;) {
        struct loop_source *s = *p;
        if (s->dead) {
            *p = s->next;
            free(s);
        } else {
            p = &s->next;
        }
    }
    loop->has_dead = false;
}

struct loop *loop_free(struct loop *loop) {
    if (!loop)
        return NULL;
    for (struct loop_source *s = loop->sources; s; s = s->next)
        loop_source_free(s);
    sweep(loop);
    (void)close(loop->epoll_fd);
    free(loop);
    return NULL;
}

static void dispatch(struct loop_source *s, uint32_t events) {
    if (s->dead)
        return;
    switch (s->kind) {
    case KIND_FD:
    case KIND_ALWAYS_READY:
        s->on_fd(s->data, events);
        return;
    case KIND_TIMER: {
        uint64_t expirations;
        if (read(s->fd, &expirations, sizeof expirations) == sizeof expirations)
            s->on_timer(s->data);
        return;
    }
    case KIND_SIGNAL: {
        struct signalfd_siginfo info;
        while (!s->dead && read(s->fd, &info, sizeof info) == sizeof info)
            s->on_signal(s->data, &info);
        return;
    }
    }
}

static bool run_always_ready(struct loop *loop, bool only_look) {
    bool any = false;
    for (struct loop_source *s = loop->sources; s; s = s->next) {
        uint32_t ready = s->events & (EPOLLIN | EPOLLOUT);
        if (s->kind != KIND_ALWAYS_READY || s->dead || !ready)
            continue;
        any = true;
        if (!only_look)
            dispatch(s, ready);
    }
    return any;
}

int loop_run(struct loop *loop) {
    loop->quit = false;
    while (!loop->quit) {
        struct epoll_event events[32];
        int n = epoll_wait(loop->epoll_fd, events, (int)ARRAY_SIZE(events), run_always_ready(loop, true) ? 0 : -1);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        for (int i = 0; i < n; i++)
            dispatch(events[i].data.ptr, events[i].events);
        (void)run_always_ready(loop, false);
        sweep(loop);
    }
    return loop->code;
}

void loop_quit(struct loop *loop, int code) {
    loop->quit = true;
    loop->code = code;
}
