#include "job/retry.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"

#define RETRIES 8
#define FIRST_PAUSE_MS 200u
#define LONGEST_PAUSE_MS 15000u
#define GOOD_WHILE_S 60.0

ph_code
ph_retry_run(const struct ph_retry *retry, struct ph_error *err)
{
    unsigned pause_ms = FIRST_PAUSE_MS;
    enum ph_try which = PH_TRY_FIRST;

    for (unsigned n = 0;; n++) {
        uint64_t start = ph_clock_ns();
        ph_code rc = retry->attempt(retry->arg, which, err);
        if (rc == PH_OK || n == RETRIES || ph_stop_requested() || !retry->may_help(retry->arg, err))
            return rc;
        which = PH_TRY_AGAIN;
        if (ph_clock_seconds_since(start) > GOOD_WHILE_S) {
            n = 0; /* it got somewhere: another trouble */
            pause_ms = FIRST_PAUSE_MS;
        }
        ph_log_failure(PH_LOG_WARN, err);
        ph_log(PH_LOG_WARN, "retry", "trying again in %.1f s", pause_ms / 1000.0);
        if (ph_stop_wait_ms(pause_ms))
            return ph_stop_check(err);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
}
