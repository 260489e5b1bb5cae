/* Monotonic time for durations, wall time for what a user reads. Any thread. */
#ifndef PH_BASE_CLOCK_H
#define PH_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
ph_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline double
ph_clock_seconds_since(uint64_t start_ns)
{
    return (double)(ph_clock_ns() - start_ns) / 1e9;
}

#endif
