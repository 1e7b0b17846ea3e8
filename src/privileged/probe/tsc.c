/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/probe/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

enum {
    WINDOW_NSEC = 20 * 1000 * 1000, /* with reads good to 100 ns at both ends: 10 ppm */
    TRIES = 16,
};

/* Constant rate in all power states: CPUID 80000007H, EDX bit 8. */
static bool is_invariant(void) {
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

struct sample {
    uint64_t tsc;
    int64_t nsec;
};

/* Both clocks at one instant: of several tries the one that was interrupted least. */
static struct sample read_clocks(void) {
    struct sample best = {0};
    uint64_t narrowest = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        struct timespec t;
        unsigned cpu;
        uint64_t before = __rdtscp(&cpu);
        if (clock_gettime(CLOCK_MONOTONIC_RAW, &t) < 0)
            break;
        uint64_t after = __rdtscp(&cpu);
        if (after - before < narrowest) {
            narrowest = after - before;
            best = (struct sample){before + (after - before) / 2, (int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
        }
    }
    return best;
}

static uint64_t measure(void) {
    const struct timespec window = {.tv_nsec = WINDOW_NSEC};
    struct sample begin = read_clocks();
    (void)nanosleep(&window, NULL);
    struct sample end = read_clocks();
    int64_t nsec = end.nsec - begin.nsec;
    if (nsec <= 0 || end.tsc <= begin.tsc)
        return 0;
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)(end.tsc - begin.tsc) * 1000000 / (uint64_t)nsec);
}

uint64_t probe_tsc_khz(const char *cache_dir) {
    _cleanup_buf_ struct buf key = {0};
    _cleanup_free_ char *cached = NULL;
    char value[32];
    uint64_t khz;

    if (!is_invariant())
        return 0;
    if (buf_append_string(&key, "tsc") < 0 || cache_key_add_boot(&key) < 0 || !buf_string(&key))
        return measure();
    if (cache_load(cache_dir, "tsc", buf_string(&key), &cached) == 0 && parse_u64(cached, &khz) == 0)
        return khz;
    khz = measure();
    (void)snprintf(value, sizeof value, "%" PRIu64, khz);
    if (khz > 0)
        cache_store(cache_dir, "tsc", buf_string(&key), value);
    return khz;
}
