/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of a process, as host and guest tell each other of them: one byte per descriptor, in the order of their
 * numbers. A descriptor of the host cannot reach another kernel; what is said on it is relayed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stream_kind {
    STREAM_NONE,     /* 1 and 2 of a process with a terminal, which is on all three */
    STREAM_INPUT,    /* a pipe that the process reads */
    STREAM_OUTPUT,   /* a pipe that it writes */
    STREAM_SOCKET,   /* one of a pair of stream sockets */
    STREAM_TERMINAL, /* 0 only */
};

enum {
    STREAMS_STANDARD = 3,
    STREAMS_FURTHER_MAX = 32, /* --preserve-fds */
    STREAMS_MAX = STREAMS_STANDARD + STREAMS_FURTHER_MAX,
};

static inline bool stream_has_input(enum stream_kind kind) {
    return kind == STREAM_INPUT || kind == STREAM_SOCKET || kind == STREAM_TERMINAL;
}

static inline bool stream_has_output(enum stream_kind kind) {
    return kind == STREAM_OUTPUT || kind == STREAM_SOCKET || kind == STREAM_TERMINAL;
}

/*
 * Whether a process can have these: either a terminal or input, output, output, and then without a gap what else there
 * is.
 */
static inline bool streams_are_valid(const uint8_t *kinds, size_t count) {
    if (count < STREAMS_STANDARD || count > STREAMS_MAX)
        return false;
    bool terminal = kinds[0] == STREAM_TERMINAL && kinds[1] == STREAM_NONE && kinds[2] == STREAM_NONE;
    bool pipes = kinds[0] == STREAM_INPUT && kinds[1] == STREAM_OUTPUT && kinds[2] == STREAM_OUTPUT;
    for (size_t i = STREAMS_STANDARD; i < count; i++)
        if (kinds[i] != STREAM_INPUT && kinds[i] != STREAM_OUTPUT && kinds[i] != STREAM_SOCKET)
            return false;
    return terminal || pipes;
}

/* Those that every process has. */
static inline void streams_standard(uint8_t kinds[STREAMS_STANDARD], bool terminal) {
    kinds[0] = terminal ? STREAM_TERMINAL : STREAM_INPUT;
    kinds[1] = kinds[2] = terminal ? STREAM_NONE : STREAM_OUTPUT;
}
