#include "job/copy.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/copy_parts.h"
#include "job/create.h"
#include "job/follow.h"
#include "job/follow_begin.h"
#include "job/join.h"
#include "job/phase_watch.h"
#include "job/retry.h"
#include "job/rows.h"

#define LAST_WORDS_MS 4000u
#define UNIQUE_VIOLATION "23505"

/* ---- the plan ---- */

static ph_code
save_plan(struct ph_job *job, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    ph_join_number_plan(job);
    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = ph_ledger_save_plan(conn, &job->ledger, &job->plan, err);
    PH_FAILPOINT(before_plan_commit);
    if (rc == PH_OK)
        rc = ph_ledger_set_phase(conn, &job->ledger, PH_PHASE_ROWS, err);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

static ph_code
plan_phase(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_join_make_plan(job, err));
    if (job->options->data_only)
        PH_TRY(ph_copy_prepare_target(job, err));
    return save_plan(job, err);
}

/* ---- rows ---- */

/* The snapshot is no good for a table any more: the next attempt takes a new one. */
static void
void_epoch(struct ph_job *job)
{
    (void)ph_ledger_lose_epochs(job->target_control, job->options->name, NULL);
    ph_job_release_epoch(job);
    job->epoch_voided = true;
}

/* The target still has a row where the source had it when changes were applied last. */
static bool
meets_moved_row(const struct ph_job *job, const struct ph_error *err)
{
    bool any_beside = false;

    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        any_beside |= job->plan.tables[i].is_beside;
    return any_beside && strcmp(err->sqlstate, UNIQUE_VIOLATION) == 0;
}

/* Rows of one snapshot may refer to rows that another one does not have. */
static void
explain_constraint(const struct ph_job *job, struct ph_error *err)
{
    bool is_mixed = false;

    if (meets_moved_row(job, err)) {
        ph_error_hint(err, "the source has moved a row of that key into a partition that is being "
                           "added, and the target still has it from before: start over with "
                           "--restart --yes into an empty target");
        return;
    }

    for (uint32_t i = 0; i < job->plan.n_chunks; i++)
        is_mixed |= job->chunk_states[i].done && job->chunk_states[i].epoch != job->epoch.number;
    if (is_mixed)
        ph_error_hint(err, "the first snapshot was lost and the source written to before the "
                           "unfinished tables were copied under another one: start over with "
                           "--restart --yes into an empty target; --hold DURATION keeps a "
                           "snapshot longer");
}

static bool
is_unfinished(const struct ph_job *job)
{
    for (uint32_t i = 0; i < job->plan.n_chunks; i++) {
        if (!job->chunk_states[i].done)
            return true;
    }
    return false;
}

/*
 * With enforced keys a table's parents must be of its own snapshot, and keys that were set aside
 * come back before the stream is applied: there one snapshot has to do for all.
 */
static void
keep_epoch_for_keys(struct ph_job *job)
{
    if (job->options->data_only)
        job->epoch_ends_ns = 0;
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].ordered_by_fk)
            job->epoch_ends_ns = 0;
    }
}

/* The rest is copied under a new snapshot, with all that was read under the old one read again. */
static ph_code
give_up_epoch(struct ph_job *job, struct ph_error *err)
{
    ph_log(PH_LOG_INFO, "snapshot.renewed",
           "the snapshot is older than --snapshot-age: tables that are not begun get a new one");
    PH_TRY(ph_ledger_lose_epochs(job->target_control, job->options->name, err));
    ph_job_release_epoch(job);
    return PH_OK;
}

/* Rows, and of what is built after them all, or what does not mind that tables are of several
 * moments. */
static ph_code
run_rows(struct ph_job *job, bool rows_apart, struct ph_error *err)
{
    struct ph_steps steps = {0};
    struct ph_step_workers *workers = NULL;
    ph_code rc = PH_OK;

    if (!job->options->data_only)
        rc = ph_copy_build_steps(job, rows_apart, &steps, err);
    if (rc == PH_OK && !job->options->data_only)
        rc = ph_step_workers_start(job, &steps, &workers, err);
    if (rc == PH_OK)
        rc = ph_rows_run(job, workers, err);
    if (rc == PH_E_TABLE_CHANGED)
        void_epoch(job);
    if (rc == PH_E_CONSTRAINT)
        explain_constraint(job, err);
    ph_step_workers_free(workers);
    ph_steps_reset(&steps);
    return rc;
}

/*
 * The stream brings tables together before this phase ends: beside ones that have been built whole,
 * of a job that followed before or by a run that was killed, whose triggers must not fire once
 * more.
 */
static bool
has_many_snapshots(const struct ph_job *job)
{
    return job->follows && job->epoch.number > 1;
}

/*
 * Under several snapshots a row may refer to one that its table's older snapshot does not have:
 * foreign keys wait until the stream has brought all tables to one moment.
 */
static ph_code
rows_of_many_snapshots(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_settle_changes(job, err));
    PH_TRY(run_rows(job, true, err));
    if (is_unfinished(job))
        return PH_OK;
    ph_code rc = ph_follow_to_consistency(job, err);
    if (rc == PH_E_TORN) {
        ph_log_failure(PH_LOG_WARN, err);
        ph_error_reset(err);
        return ph_job_restart_torn(job, job->torn, err);
    }
    PH_TRY(rc);
    PH_TRY(ph_job_load_plan(job, err));
    PH_TRY(ph_join_settle_states(job, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        job->table_states[i].has_changes = true;
    return run_rows(job, false, err);
}

/*
 * An epoch is a snapshot of the source and what tables hold that values are looked up in. When the
 * latter is not what it was, the epoch is over, as if the snapshot had been lost.
 */
static ph_code
settle_lookups(struct ph_job *job, struct ph_error *err)
{
    ph_code rc = ph_job_check_lookups(job, err);

    if (rc == PH_E_SNAPSHOT_LOST)
        void_epoch(job);
    return rc;
}

/*
 * What does not fit may be mended on the source by now, which an older snapshot does not see. As
 * long as nothing was copied under it, it is worth nothing.
 */
static ph_code
leave_old_epoch(struct ph_job *job, struct ph_error *err)
{
    char number[16];
    const char *params[] = {job->options->name, number};
    struct ph_result *r;

    if (!job->epoch_inherited)
        return PH_OK;
    snprintf(number, sizeof number, "%u", job->epoch.number);
    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT FROM pghaul.chunk WHERE job = $1 AND state = 'done' AND epoch ="
                         " $2::int LIMIT 1",
                         2, params, &r, err));
    bool is_used = ph_result_rows(r) > 0;
    ph_result_free(r);
    if (!is_used)
        void_epoch(job);
    return PH_OK;
}

static ph_code
prepare_rows(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_load_plan(job, err));
    PH_TRY(ph_join_settle_states(job, err));
    PH_TRY(settle_lookups(job, err));
    if (job->follows)
        PH_TRY(ph_follow_receive(job, err));
    if (job->options->data_only || has_many_snapshots(job))
        PH_TRY(ph_copy_set_aside_now(job, err));
    PH_TRY(ph_job_restart_unfinished(job, err));
    return ph_job_take_columns(job, err);
}

static ph_code
rows_phase(struct ph_job *job, struct ph_error *err)
{
    ph_code rc = prepare_rows(job, err);

    if (rc == PH_E_TABLE_CHANGED)
        (void)leave_old_epoch(job, NULL);
    PH_TRY(rc);
    PH_TRY(ph_job_plan_proof(job, err));
    keep_epoch_for_keys(job);
    if (has_many_snapshots(job))
        PH_TRY(rows_of_many_snapshots(job, err));
    else
        PH_TRY(run_rows(job, false, err));
    if (is_unfinished(job))
        return give_up_epoch(job, err);
    return ph_ledger_set_phase(job->target_control, &job->ledger, PH_PHASE_POST, err);
}

/* ---- the chain ---- */

static ph_code
read_source(struct ph_job *job, struct ph_error *err)
{
    ph_arena_reset(&job->arena);
    job->plan = (struct ph_plan){0};
    job->proof_plans = NULL;
    job->steps_done = NULL;
    job->n_steps_done = 0;
    job->sequences_set = false;
    PH_TRY(ph_job_read_source_catalog(job, err));
    PH_TRY(ph_select(&job->source_catalog, job->options, &job->arena, &job->selection, err));
    return ph_join_load(job, err);
}

static ph_code
read_target(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_read_target_catalog(job, err));
    snprintf(
        job->target_session_sql, sizeof job->target_session_sql, "SET synchronous_commit = off%s",
        job->target_catalog.can_set_replica_role ? "; SET session_replication_role = replica" : "");
    return PH_OK;
}

static ph_code
timed(struct ph_job *job, const char *name, ph_code (*phase)(struct ph_job *, struct ph_error *),
      struct ph_error *err)
{
    uint64_t start = ph_clock_ns();
    ph_code rc = phase(job, err);

    ph_report_add_phase(&job->run->report, name, ph_clock_seconds_since(start));
    return rc;
}

/* The copy is over, and so is its snapshot: both sides as they are now. */
static ph_code
follow(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_read_catalogs_now(job, err));
    PH_TRY(ph_select(&job->source_catalog, job->options, &job->arena, &job->selection, err));
    PH_TRY(read_target(job, err));
    return timed(job, "follow", ph_follow_phase, err);
}

/* A phase in which somebody else has to look after the stream. */
static ph_code
watched(struct ph_job *job, const char *name, ph_code (*phase)(struct ph_job *, struct ph_error *),
        struct ph_error *err)
{
    struct ph_phase_watch watch;
    ph_code rc = ph_phase_watch_begin(&watch, job, name, PH_PHASE_NEEDS_STREAM, err);

    if (rc == PH_OK)
        rc = timed(job, name, phase, err);
    return ph_phase_watch_end(&watch, rc, err);
}

static ph_code
run_phases(struct ph_job *job, struct ph_error *err)
{
    if (job->ledger.phase == PH_PHASE_FOLLOW)
        return follow(job, err);
    PH_TRY(ph_job_ensure_epoch(job, err));
    PH_TRY(read_source(job, err));
    if (job->ledger.phase == PH_PHASE_NEW)
        PH_TRY(ph_ledger_set_phase(job->target_control, &job->ledger, PH_PHASE_SCHEMA, err));
    if (job->ledger.phase <= PH_PHASE_SCHEMA)
        PH_TRY(timed(job, "schema", ph_copy_schema_phase, err));
    PH_TRY(read_target(job, err));
    if (job->ledger.phase == PH_PHASE_PLAN)
        PH_TRY(timed(job, "plan", plan_phase, err));
    if (job->ledger.phase == PH_PHASE_ROWS)
        PH_TRY(timed(job, "rows", rows_phase, err));
    if (job->ledger.phase == PH_PHASE_POST)
        PH_TRY(watched(job, "rest", ph_copy_post_phase, err));
    if (job->ledger.phase == PH_PHASE_VERIFY)
        PH_TRY(watched(job, "proof", ph_copy_proof_phase, err));
    if (job->ledger.phase == PH_PHASE_FOLLOW)
        return follow(job, err);
    return PH_OK;
}

/*
 * A proof of this run, or what was told before a connection was lost, is in the report already.
 */
static ph_code
tell_kept_once(struct ph_job *job, struct ph_error *err)
{
    if (job->ledger.phase >= PH_PHASE_FOLLOW && !job->has_told_kept)
        PH_TRY(ph_copy_tell_kept(job, err));
    job->has_told_kept = true;
    return PH_OK;
}

/* One go at the whole chain, from whatever the ledger says. */
static ph_code
attempt(struct ph_job *job, struct ph_error *err)
{
    bool found;

    job->epoch_voided = false;
    PH_TRY(ph_job_reconnect(job, err));
    PH_TRY(ph_ledger_load_job(job->target_control, job->options->name, &job->ledger, &found, err));
    if (!found)
        return PH_FAIL(err, PH_E_LEDGER, "the job vanished from the ledger");
    job->was_done = job->ledger.phase == PH_PHASE_DONE;
    if (job->was_done) {
        PH_TRY(tell_kept_once(job, err));
        ph_job_release_epoch(job); /* its run may have been killed before it did so */
        return job->follows ? ph_follow_remove_stream(job, err) : PH_OK;
    }
    if (job->follows) {
        PH_TRY(ph_follow_begin(job, err));
        PH_TRY(ph_join_begin(job, err)); /* goes back to before the proof, which will tell */
    }
    PH_TRY(tell_kept_once(job, err));
    ph_code rc;
    do {
        rc = run_phases(job, err);
    } while (rc == PH_OK && job->ledger.phase == PH_PHASE_ROWS); /* the snapshot was renewed */
    ph_follow_release(job);
    return rc;
}

/* Sessions of the failed attempt may still hold what the next one needs. */
static ph_code
attempt_again(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_reconnect(job, err));
    PH_TRY(ph_job_clear_sessions(job, err));
    return attempt(job, err);
}

static ph_code
attempt_once(void *arg, enum ph_try which, struct ph_error *err)
{
    return which == PH_TRY_FIRST ? attempt(arg, err) : attempt_again(arg, err);
}

/* A snapshot that is no good any more is replaced by the next attempt. */
static bool
may_help(const void *arg, const struct ph_error *err)
{
    const struct ph_job *job = arg;

    return err->code == PH_E_SNAPSHOT_LOST || err->code == PH_E_POSITION ||
           (err->code == PH_E_TABLE_CHANGED && job->epoch_voided) || ph_error_is_retryable(err);
}

static const char *
outcome_of(ph_code rc)
{
    switch (ph_code_class(rc)) {
    case PH_CLASS_OK:
        return "finished";
    case PH_CLASS_DIFF:
        return "different";
    case PH_CLASS_STOPPED:
    case PH_CLASS_AWAY:
        return "stopped";
    case PH_CLASS_FAILED:
    case PH_CLASS_USAGE:
    case PH_CLASS_READY:
    case PH_CLASS_AUTH:
        return "failed";
    }
    return "failed";
}

/*
 * The application must not find its triggers off while the job stands still. A foreign key of
 * tables that are half full cannot come back yet; the ledger keeps it.
 */
static void
restore(struct ph_job *job)
{
    struct ph_error err;
    uint32_t n;

    ph_error_reset(&err);
    if (ph_ledger_restore_all(job->target_control, job->options->name, &n, &err) != PH_OK) {
        ph_error_hint(&err, "the same command goes on and restores it at its end");
        ph_log_failure(PH_LOG_WARN, &err);
    }
}

/*
 * Best effort: the ledger's rows and receipts do not depend on it, and what stays set aside because
 * the target is away is restored by the run that goes on, or by `clean`.
 */
static void
end_run(struct ph_job *job, ph_code rc)
{
    ph_stop_watch_last_words(&job->stop_watch, LAST_WORDS_MS);
    if (ph_job_reconnect_target(job, NULL) != PH_OK)
        return;
    if (rc != PH_OK)
        restore(job);
    (void)ph_ledger_end_run(job->target_control, &job->ledger, outcome_of(rc), NULL);
}

static void
log_start(const struct ph_job *job)
{
    if (job->ledger.phase == PH_PHASE_DONE)
        return; /* said elsewhere */
    if (job->ledger.phase == PH_PHASE_NEW)
        ph_log(PH_LOG_INFO, "job.started", "job %s: %s to %s", job->options->name,
               job->source.label, job->target.label);
    else
        ph_log(PH_LOG_INFO, "job.resumed", "job %s: %s to %s, run %u goes on in phase %s",
               job->options->name, job->source.label, job->target.label, job->ledger.run,
               ph_phase_name(job->ledger.phase));
}

/* All that may refuse the job before its first write. */
static ph_code
look_first(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_reconnect(job, err));
    PH_TRY(ph_follow_take_until(job, err));
    PH_TRY(ph_job_lock(job, err));
    if (job->options->restart)
        PH_TRY(ph_copy_forget(job, err));
    return ph_copy_preflight(job, err);
}

static ph_code
run_job(struct ph_job *job, struct ph_run *run, struct ph_error *err)
{
    PH_TRY(ph_job_prepare(job, run, err));
    ph_report_set_job(&run->report, run->options->name, job->source.label, job->target.label);
    if (run->options->create)
        PH_TRY(ph_create_database(run, err));
    bool created = run->wrote == PH_HAS_WRITTEN;
    ph_code rc = look_first(job, err);
    if (rc != PH_OK && created)
        ph_error_note(err, "the database that --create made stays on the target, empty");
    PH_TRY(rc);
    PH_TRY(ph_job_register(job, err));
    log_start(job);
    if (run->options->roles && !run->options->data_only)
        PH_TRY(ph_create_roles(job, err));
    struct ph_retry retry = {.attempt = attempt_once, .may_help = may_help, .arg = job};
    return ph_retry_run(&retry, err);
}

ph_code
ph_job_copy(struct ph_run *run, struct ph_error *err)
{
    struct ph_job job = {.lock_fd = -1};
    ph_code rc = run_job(&job, run, err);

    /* whatever broke broke because of it: a connection that was shut down, a program that was ended
     */
    if (rc != PH_OK && ph_stop_requested())
        rc = ph_stop_check(err);
    if (rc == PH_OK)
        rc = ph_copy_verdict(&job, err);
    if (job.ledger.run != 0)
        end_run(&job, rc);
    ph_copy_fill_report(&job, rc, err);
    ph_job_close(&job);
    return rc;
}
