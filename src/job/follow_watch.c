/* What the job's thread does while others apply changes. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "pg/ledger_status.h"

#define LOOK_EVERY_MS 50u
#define WRITE_EVERY_S 2.0
#define SEQUENCES_EVERY_S 60.0
#define PARTS_EVERY_S 10.0
#define LOCK_WAIT_MS 1000

static const char not_available_state[] = "55P03";

/* A session that was lost is made anew when the stream says that the source is there again. */
static bool
reach_source(struct ph_job *job)
{
    struct ph_follow *follow = job->follow;
    struct ph_receiver_look look;
    struct ph_error err;

    ph_error_reset(&err);
    ph_receiver_look(follow->receiver, &look);
    if (look.state != PH_RECEIVER_STREAMING && look.state != PH_RECEIVER_PAUSED)
        return false;
    bool is_there = ph_job_reconnect_source(job, &err) == PH_OK;
    if (!is_there && !follow->is_refused)
        ph_log_failure(PH_LOG_WARN, &err);
    follow->is_refused = !is_there;
    return is_there;
}

/*
 * Functions of the catalogs open tables: somebody's lock on one must not hold up this thread, which
 * is who hears of a stop. What could not be looked at is looked at the next time.
 */
static ph_code
ask_briefly(struct ph_job *job, ph_code (*ask)(struct ph_job *, struct ph_error *),
            struct ph_error *err)
{
    PH_TRY(ph_conn_execf(job->source_control, err, "SET lock_timeout = %d", LOCK_WAIT_MS));
    ph_code rc = ask(job, err);
    if (rc != PH_OK && strcmp(err->sqlstate, not_available_state) == 0) {
        ph_error_reset(err);
        rc = PH_OK;
    }
    ph_code back =
        ph_conn_exec(job->source_control, "SET lock_timeout = 0", rc == PH_OK ? err : NULL);
    return rc == PH_OK ? back : rc;
}

/* What is asked of the source beside the stream has time until it is there, as the stream has. */
static ph_code
ask_source(struct ph_job *job, ph_code (*ask)(struct ph_job *, struct ph_error *),
           struct ph_error *err)
{
    if (!reach_source(job))
        return PH_OK;
    ph_code rc = ask_briefly(job, ask, err);
    if (rc == PH_OK || ph_conn_is_alive(job->source_control))
        return rc;
    ph_error_reset(err);
    return PH_OK;
}

static ph_code
heed_end(struct ph_job *job, struct ph_error *err)
{
    struct ph_until until;

    PH_TRY(ph_follow_read_end(job, job->target_control, job->source_control, &until, err));
    bool is_at_it = job->ledger.phase == PH_PHASE_FOLLOW; /* or still brings tables together */
    if (is_at_it &&
        (until.kind != job->follow->asked.kind || until.lsn != job->follow->asked.lsn)) {
        PH_TRY(ph_follow_begin_end(job, &until, err));
        job->follow->asked = until;
    }
    return PH_OK;
}

static ph_code
look_at_ledger(struct ph_job *job, struct ph_error *err)
{
    bool asked;

    PH_TRY(ph_ledger_stop_asked(job->target_control, job->options->name, job->ledger.run, &asked,
                                err));
    if (asked)
        ph_stop_request();
    PH_TRY(ask_source(job, heed_end, err));
    return ph_follow_write_progress(job, err);
}

ph_code
ph_follow_carry_sequences(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_copy_set_sequences(job, err));
    return ph_ledger_sequences_carried(job->target_control, job->options->name, err);
}

ph_code
ph_follow_watch_until(struct ph_job *job, ph_follow_look_fn *look, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    uint64_t wrote_ns = 0;
    uint64_t carried_ns = ph_clock_ns();
    uint64_t parts_ns = 0;

    for (;;) {
        bool has_ended;
        PH_TRY(look(job, &has_ended, err));
        if (has_ended || ph_stop_wait_ms(LOOK_EVERY_MS))
            return PH_OK;
        ph_follow_take_picture(follow);
        PH_TRY(ph_follow_check(job, err));
        if (ph_clock_seconds_since(wrote_ns) >= WRITE_EVERY_S) {
            PH_TRY(look_at_ledger(job, err));
            wrote_ns = ph_clock_ns();
        }
        if (ph_clock_seconds_since(parts_ns) >= PARTS_EVERY_S) {
            if (job->ledger.phase == PH_PHASE_FOLLOW) /* before it none can be added to the job */
                PH_TRY(ask_source(job, ph_follow_check_parts, err));
            PH_TRY(ask_source(job, ph_follow_check_publication, err));
            PH_TRY(ask_source(job, ph_follow_note_filenodes, err));
            /* this session has seen no crash: which tables one would empty by now */
            PH_TRY(ph_ledger_set_alive(job->target_control, job->options->name, err));
            parts_ns = ph_clock_ns();
        }
        if (ph_clock_seconds_since(carried_ns) >= SEQUENCES_EVERY_S) {
            PH_TRY(ask_source(job, ph_follow_carry_sequences, err));
            carried_ns = ph_clock_ns();
        }
    }
}
