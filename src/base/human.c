#include "base/human.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

const char *
ph_human_bytes(uint64_t bytes, char out[PH_HUMAN_SIZE])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(out, PH_HUMAN_SIZE, "%" PRIu64 " B", bytes);
        return out;
    }
    for (value /= 1024; value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1024;
    snprintf(out, PH_HUMAN_SIZE, value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

const char *
ph_human_count(uint64_t count, char out[PH_HUMAN_SIZE])
{
    char plain[PH_HUMAN_SIZE];
    int len = snprintf(plain, sizeof plain, "%" PRIu64, count);
    size_t to = 0;

    for (int i = 0; i < len && to + 2 < PH_HUMAN_SIZE; i++) {
        if (i > 0 && (len - i) % 3 == 0 && len <= 16)
            out[to++] = ',';
        out[to++] = plain[i];
    }
    out[to] = '\0';
    return out;
}

const char *
ph_human_short(double number, char out[PH_HUMAN_SIZE])
{
    static const char units[] = {'k', 'M', 'G', 'T'};
    size_t unit = 0;

    if (number < 0)
        number = 0;
    if (number < 999.5) {
        snprintf(out, PH_HUMAN_SIZE, "%.0f", number);
        return out;
    }
    for (number /= 1000; number >= 999.95 && unit + 1 < sizeof units; unit++)
        number /= 1000;
    snprintf(out, PH_HUMAN_SIZE, number < 99.95 ? "%.1f%c" : "%.0f%c", number, units[unit]);
    return out;
}

const char *
ph_human_seconds(double seconds, char out[PH_HUMAN_SIZE])
{
    if (seconds < 0)
        seconds = 0;
    if (seconds > 3e9)
        seconds = 3e9;
    unsigned long whole = (unsigned long)(seconds + 0.5);
    if (seconds < 9.995)
        snprintf(out, PH_HUMAN_SIZE, "%.2f s", seconds);
    else if (seconds < 59.95)
        snprintf(out, PH_HUMAN_SIZE, "%.1f s", seconds);
    else if (whole < 3600)
        snprintf(out, PH_HUMAN_SIZE, "%lu:%02lu min", whole / 60, whole % 60);
    else
        snprintf(out, PH_HUMAN_SIZE, "%lu:%02lu:%02lu h", whole / 3600, whole / 60 % 60,
                 whole % 60);
    return out;
}
