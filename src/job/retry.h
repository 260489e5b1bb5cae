/*
 * Trying again what failed because something was away for a while: eight times, with pauses that
 * double from 0.2 to 15 seconds. An attempt that went on for a minute has got somewhere, so the
 * count begins anew. Each failure that is not the last is logged as a warning.
 */
#ifndef PH_JOB_RETRY_H
#define PH_JOB_RETRY_H

#include <stdbool.h>

#include "base/error.h"

enum ph_try { PH_TRY_FIRST, PH_TRY_AGAIN };

struct ph_retry {
    ph_code (*attempt)(void *arg, enum ph_try which, struct ph_error *err);
    /* Whether trying again may help; `err` holds the failure of the last attempt. */
    bool (*may_help)(const void *arg, const struct ph_error *err);
    void *arg;
};

/* The last attempt's outcome; a stop ends it at once, with PH_E_STOPPED while it pauses. */
ph_code ph_retry_run(const struct ph_retry *retry, struct ph_error *err);

#endif
