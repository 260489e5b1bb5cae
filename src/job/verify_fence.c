#include "job/verify_fence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/human.h"
#include "base/log.h"
#include "base/stop.h"
#include "pg/slot.h"
#include "pg/snapshot.h"

#define MOST_TRIES 25u
#define PAUSE_MS 20u
#define SHORT_LOOKS 100u /* so many at a millisecond's distance, then fewer */
#define LONGEST_PAUSE_MS 20u
#define GONE_AFTER_S 3.0   /* without a run: one that starts again takes its time */
#define PASSED_AFTER_S 3.0 /* apply is behind the message and did not stand */
#define RUN_EVERY_S 0.5
#define LOCKED_S 0.3 /* that a lock of ours may keep apply from the end of the fence */
#define TELL_AFTER_S 5.0

/*
 * When the first message is out, what was committed before it is on disk, and has waited for the
 * standbys that commits wait for here.
 */
static const char flush_sql[] = "SELECT pg_catalog.set_config('synchronous_commit', 'local', false)"
                                " WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

static const char not_available_state[] = "55P03";

static const char *
job_of(const struct ph_verify_fence *fence)
{
    return fence->verify->options->name;
}

/* ---- sessions ---- */

ph_code
ph_verify_fence_open(struct ph_verify_fence *fence, struct ph_verify *verify, struct ph_error *err)
{
    bool taken;

    *fence = (struct ph_verify_fence){.verify = verify};
    PH_TRY(ph_conn_open(&verify->endpoints[PH_TARGET], "fence", &fence->target, err));
    PH_TRY(ph_conn_open(&verify->endpoints[PH_SOURCE], "fence", &fence->marker, err));
    PH_TRY(ph_conn_exec(fence->target, "SET synchronous_commit = off", err));
    PH_TRY(ph_conn_exec(fence->marker, flush_sql, err));
    PH_TRY(ph_fence_lock_job(fence->target, job_of(fence), &taken, err));
    if (taken)
        return PH_OK;
    PH_FAIL(err, PH_E_NOT_READY, "another verification of this job is under way");
    ph_error_object(err, "job %s", job_of(fence));
    ph_error_hint(err, "%s", "wait for it, or end it");
    return PH_E_NOT_READY;
}

void
ph_verify_fence_close(struct ph_verify_fence *fence)
{
    ph_conn_free(fence->target);
    ph_conn_free(fence->marker);
    fence->target = fence->marker = NULL;
}

/* ---- waiting for the applier ---- */

struct wait {
    ph_lsn passed; /* behind it apply has nothing to come to any more; 0: not to be told */
    uint64_t start_ns;
    uint64_t asked_ns; /* whether a run is under way */
    uint64_t gone_ns;  /* since when none is; 0: one is */
    uint64_t passed_ns;
    bool told;
};

static ph_code
nobody_applies(const struct ph_verify_fence *fence, struct ph_error *err)
{
    PH_FAIL(err, PH_E_NOT_READY,
            "the run that applies the changes has ended while it was being verified");
    ph_error_object(err, "job %s", job_of(fence));
    ph_error_hint(err, "%s", "give the command of the copy again, then verify");
    return PH_E_NOT_READY;
}

static ph_code
look_for_run(struct ph_verify_fence *fence, struct wait *wait, struct ph_error *err)
{
    bool runs;

    if (wait->asked_ns != 0 && ph_clock_seconds_since(wait->asked_ns) < RUN_EVERY_S)
        return PH_OK;
    wait->asked_ns = ph_clock_ns();
    PH_TRY(ph_fence_job_runs(fence->target, job_of(fence), &runs, err));
    if (runs)
        wait->gone_ns = 0;
    else if (wait->gone_ns == 0)
        wait->gone_ns = wait->asked_ns;
    if (wait->gone_ns != 0 && ph_clock_seconds_since(wait->gone_ns) >= GONE_AFTER_S)
        return nobody_applies(fence, err);
    return PH_OK;
}

static void
tell_waiting(struct wait *wait, const struct ph_fence_look *look)
{
    char behind[PH_HUMAN_SIZE];

    if (wait->told || wait->passed == 0 || ph_clock_seconds_since(wait->start_ns) < TELL_AFTER_S)
        return;
    wait->told = true;
    ph_log(
        PH_LOG_INFO, "verify.waits", "waiting for apply, which is %s behind",
        ph_human_bytes(wait->passed > look->position ? wait->passed - look->position : 0, behind));
}

/*
 * Apply came by the message and did not say so: it went on from behind it, was held up too long, or
 * was begun anew in between.
 */
static bool
has_passed(struct wait *wait, const struct ph_fence_look *look, enum ph_fence_state wanted)
{
    if (wait->passed == 0 || look->position < wait->passed || look->state >= wanted)
        return false;
    if (wait->passed_ns == 0)
        wait->passed_ns = ph_clock_ns();
    return ph_clock_seconds_since(wait->passed_ns) >= PASSED_AFTER_S;
}

/* look->state: the one that was waited for, or VOID. `limit_s` 0: as long as there is a run. */
static ph_code
wait_for(struct ph_verify_fence *fence, enum ph_fence_state wanted, ph_lsn passed, double limit_s,
         struct ph_fence_look *look, struct ph_error *err)
{
    struct wait wait = {.passed = passed, .start_ns = ph_clock_ns()};

    for (unsigned n = 0;; n++) {
        PH_TRY(ph_fence_look(fence->target, job_of(fence), fence->id, look, err));
        if (look->is_replaced || has_passed(&wait, look, wanted) ||
            (limit_s > 0 && look->state < wanted &&
             ph_clock_seconds_since(wait.start_ns) > limit_s))
            look->state = PH_FENCE_VOID;
        if (look->state >= wanted)
            return PH_OK;
        PH_TRY(look_for_run(fence, &wait, err));
        tell_waiting(&wait, look);
        unsigned pause = n < SHORT_LOOKS ? 1 : n - SHORT_LOOKS + 1;
        if (ph_stop_wait_ms(pause < LONGEST_PAUSE_MS ? pause : LONGEST_PAUSE_MS))
            return ph_stop_check(err);
    }
}

/* ---- one try ---- */

static ph_code
unlock(struct ph_verify_fence *fence, enum ph_fence_lock lock, struct ph_error *err)
{
    if (!fence->has_lock[lock])
        return PH_OK;
    fence->has_lock[lock] = false;
    return ph_fence_unlock(fence->target, job_of(fence), lock, err);
}

static ph_code
send_mark(struct ph_verify_fence *fence, const char *word, ph_lsn *lsn, struct ph_error *err)
{
    char content[PH_FENCE_ID_SIZE + 8];
    int len = snprintf(content, sizeof content, "%s %s", word, fence->id);

    return ph_message_emit(fence->marker, PH_MESSAGE_AT_COMMIT, PH_FENCE_PREFIX,
                           (struct ph_span){(const uint8_t *)content, (size_t)len}, lsn, err);
}

static ph_code
ask(struct ph_verify_fence *fence, ph_lsn *lsn, struct ph_error *err)
{
    snprintf(fence->id, sizeof fence->id, "%d-%" PRIx64 "-%u", ph_conn_backend_pid(fence->target),
             ph_clock_ns(), ++fence->number);
    PH_TRY(ph_fence_ask(fence->target, job_of(fence), fence->id, err));
    fence->has_lock[PH_FENCE_FIRST] = fence->has_lock[PH_FENCE_SECOND] = true;
    return send_mark(fence, "begin", lsn, err);
}

static ph_code
take_source(struct ph_verify_fence *fence, bool *taken, struct ph_error *err)
{
    struct ph_verify *verify = fence->verify;
    struct ph_conn *conn = verify->conns[PH_SOURCE];
    struct ph_result *r;

    verify->epochs[PH_SOURCE].number++;
    PH_TRY(ph_snapshot_export(conn, verify->epochs[PH_SOURCE].snapshot_id, err));
    PH_TRY(ph_conn_query(conn, "SELECT pg_catalog.pg_current_snapshot()", 0, NULL, &r, err));
    ph_code rc = ph_fence_give_snapshot(fence->target, job_of(fence), fence->id,
                                        ph_result_text(r, 0, 0), taken, err);
    ph_result_free(r);
    return rc;
}

static ph_code
open_target(void *arg, struct ph_conn **conn, struct ph_error *err)
{
    struct ph_verify *verify = arg;

    verify->epochs[PH_TARGET].number++;
    *conn = verify->conns[PH_TARGET];
    return ph_snapshot_export(*conn, verify->epochs[PH_TARGET].snapshot_id, err);
}

/* A lock that others have is no reason to give up. *position 0: there is no such snapshot. */
static ph_code
take_target(struct ph_verify_fence *fence, ph_verify_fence_open_target *open, void *arg,
            struct ph_conn **conn, ph_lsn *position, struct ph_error *err)
{
    struct ph_error why;

    *position = 0;
    ph_error_reset(&why);
    ph_code rc = open != NULL ? open(arg, conn, &why) : open_target(fence->verify, conn, &why);
    if (rc == PH_OK)
        rc = ph_fence_position(*conn, job_of(fence), position, &why);
    else if (strcmp(why.sqlstate, not_available_state) == 0)
        return PH_OK;
    if (rc != PH_OK && err != NULL)
        *err = why;
    return rc;
}

/*
 * The applier stands at the cut. Who locks something there keeps it from what it has read since:
 * it says whether the cut is good before it applies that, as a rule, and is not waited for longer.
 */
static ph_code
take_cut(struct ph_verify_fence *fence, ph_verify_fence_open_target *open, void *arg, ph_lsn cut,
         ph_lsn ended, bool *good, struct ph_error *err)
{
    struct ph_fence_look look = {.state = PH_FENCE_VOID};
    struct ph_conn *conn = NULL;
    ph_lsn position;

    PH_TRY(take_target(fence, open, arg, &conn, &position, err));
    PH_TRY(unlock(fence, PH_FENCE_SECOND, err));
    if (position == cut)
        PH_TRY(wait_for(fence, PH_FENCE_GOOD, ended, open != NULL ? LOCKED_S : 0, &look, err));
    fence->longest_us = look.held_us > fence->longest_us ? look.held_us : fence->longest_us;
    *good = look.state == PH_FENCE_GOOD;
    return *good ? PH_OK : ph_conn_leave_transaction(conn, err);
}

static ph_code
try_once(struct ph_verify_fence *fence, ph_verify_fence_open_target *open, void *arg, bool *good,
         struct ph_error *err)
{
    struct ph_fence_look look;
    ph_lsn asked;
    ph_lsn ended;
    bool taken;

    *good = false;
    PH_TRY(ask(fence, &asked, err));
    PH_TRY(wait_for(fence, PH_FENCE_STANDS, asked, 0, &look, err));
    PH_FAILPOINT(fence_stands);
    if (look.state == PH_FENCE_VOID)
        return PH_OK;
    PH_TRY(take_source(fence, &taken, err));
    PH_TRY(unlock(fence, PH_FENCE_FIRST, err));
    if (!taken)
        return PH_OK;
    PH_TRY(send_mark(fence, "end", &ended, err));
    PH_TRY(wait_for(fence, PH_FENCE_CUT, ended, 0, &look, err));
    PH_FAILPOINT(fence_cut);
    return look.state == PH_FENCE_VOID ? PH_OK
                                       : take_cut(fence, open, arg, look.cut, ended, good, err);
}

ph_code
ph_verify_fence_leave(struct ph_verify_fence *fence, struct ph_error *err)
{
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++)
        PH_TRY(ph_conn_leave_transaction(fence->verify->conns[side], err));
    return PH_OK;
}

ph_code
ph_verify_fence_take(struct ph_verify_fence *fence, ph_verify_fence_open_target *open, void *arg,
                     struct ph_error *err)
{
    bool good;

    for (unsigned n = 0; n < MOST_TRIES; n++) {
        PH_TRY(ph_verify_fence_leave(fence, err));
        ph_code rc = try_once(fence, open, arg, &good, err);
        for (enum ph_fence_lock lock = PH_FENCE_FIRST; rc == PH_OK && lock <= PH_FENCE_SECOND;
             lock++)
            rc = unlock(fence, lock, err);
        PH_TRY(rc);
        if (good) {
            fence->good++;
            return PH_OK;
        }
        if (ph_stop_wait_ms(PAUSE_MS * (n + 1)))
            return ph_stop_check(err);
    }
    PH_FAIL(err, PH_E_NOT_READY,
            "no moment was found at which both sides are the same state: commits of the source "
            "become visible too late, or apply has not come to a state of the source yet");
    ph_error_object(err, "job %s", job_of(fence));
    ph_error_hint(err, "%s", "try again later; `pghaul status` shows how far apply is");
    return PH_E_NOT_READY;
}
