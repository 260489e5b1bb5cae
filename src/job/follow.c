#include "job/follow.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/human.h"
#include "base/log.h"
#include "base/stop.h"
#include "flow/applier.h"
#include "flow/receiver.h"
#include "flow/txn_reader.h"
#include "job/copy_parts.h"
#include "job/follow_begin.h"
#include "job/follow_parts.h"
#include "job/join.h"
#include "job/memory.h"
#include "job/phase_watch.h"
#include "pg/ledger_quarantine.h"
#include "pg/ledger_status.h"

#define WIND_UP_MS 10
#define STOP_GRACE_MS 5000u
#define SQL_LIMIT ((size_t)16 << 20)

/* ---- receiving ---- */

static ph_code
open_spool(struct ph_job *job, struct ph_error *err)
{
    const struct ph_options *options = job->options;
    struct ph_spool_positions positions;
    struct ph_spool_params params = {
        .dir = job->follow->spool_dir,
        .id = ph_spool_id_of(job->stream.spool_id),
        .packing = options->spool_compression == PH_SPOOL_ZSTD ? PH_PACK_ZSTD : PH_PACK_LZ4,
        .begin = job->stream.slot_lsn,
        .limit_bytes = options->spool_limit_bytes,
    };
    bool found;

    ph_follow_spool_dir(options, job->follow->spool_dir, sizeof job->follow->spool_dir);
    PH_TRY(ph_spool_inspect(params.dir, &params.id, &positions, &found, err));
    params.mode = found ? PH_SPOOL_OPEN : PH_SPOOL_CREATE;
    return ph_spool_open(&params, &job->follow->spool, err);
}

static bool
is_end(enum ph_txn_step step)
{
    return step == PH_TXN_COMMIT || step == PH_TXN_BLOCK_COMMIT;
}

/* Whether the spool has transactions behind the position; of those that have no end the next
 * connection makes nothing. */
static ph_code
find_waiting(const struct ph_follow *follow, bool *found, struct ph_error *err)
{
    struct ph_txn_event event = {.step = PH_TXN_NOTHING};
    struct ph_txn_reader *reader;
    ph_code rc;

    PH_TRY(ph_txn_reader_open(follow->spool, follow->position, &reader, err));
    do
        rc = ph_txn_reader_next(reader, 0, &event, err);
    while (rc == PH_OK && event.step != PH_TXN_NOTHING && !is_end(event.step));
    *found = rc == PH_OK && is_end(event.step);
    ph_txn_reader_close(reader);
    return rc;
}

/*
 * Values in text are taken by every table, in binary not: as long as changes wait in the spool
 * their form stays. `why`: what wants text now.
 */
static ph_code
keep_format(struct ph_job *job, const struct ph_error *why, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    struct ph_spool_session last;
    bool is_binary = follow->format == PH_FORMAT_BINARY;
    bool waits;

    if (!ph_spool_last_session(follow->spool, &last) ||
        ph_receiver_wrote_binary(&last) == is_binary)
        return PH_OK;
    PH_TRY(find_waiting(follow, &waits, err));
    if (is_binary && waits)
        follow->format = PH_FORMAT_TEXT;
    if (!waits) /* but what has no end, in the form that is not read any more */
        ph_spool_leave_sessions(follow->spool);
    if (is_binary || !waits)
        return PH_OK;
    PH_FAIL(err, PH_E_TYPES,
            "changes that wait in the spool came in binary, and now values have to come as "
            "text%s%.300s",
            why->message[0] != '\0' ? ": " : "", why->message);
    ph_error_hint(err, "go on with tables and types as they were until these changes are applied, "
                       "or start over with --restart --yes into an empty target");
    return PH_E_TYPES;
}

static ph_code
start_receiver(struct ph_job *job, ph_lsn seen, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    struct ph_error why;

    ph_error_reset(&why);
    follow->format =
        ph_apply_stream_format(&job->plan, &job->source_catalog, &job->target_catalog, &why);
    if (job->source_catalog.version_num < 140000)
        follow->format = PH_FORMAT_TEXT;
    PH_TRY(keep_format(job, &why, err));
    follow->publication = job->stream.publication;
    struct ph_receiver_params params = {
        .source = &job->source,
        .spool = follow->spool,
        .slot = job->stream.slot,
        .publications = &follow->publication,
        .n_publications = 1,
        .partitions = job->stream.via_root ? PH_PUBLISH_AS_ROOT : PH_PUBLISH_AS_LEAF,
        .values = follow->format == PH_FORMAT_BINARY ? PH_STREAM_BINARY : PH_STREAM_TEXT,
        .large = PH_STREAM_IN_BLOCKS,
        .origins = PH_STREAM_ANY_ORIGIN, /* replicated to the source, but there all the same */
        .system_id = job->stream.system_id,
        .timeline = job->stream.timeline,
        .ack = job->options->ack,
        .bulk_from_bytes = job->options->bulk_from_bytes,
        .applied = follow->position,
        .seen = seen,
    };
    return ph_receiver_start(&params, &follow->receiver, err);
}

/* Up to where snapshots of the copy have seen commits. */
static ph_code
find_seen(struct ph_job *job, ph_lsn *seen, struct ph_error *err)
{
    struct ph_ledger_mark *marks;
    struct ph_arena arena;
    uint32_t n = 0;

    *seen = 0;
    ph_arena_init(&arena, SQL_LIMIT);
    ph_code rc =
        ph_ledger_load_marks(job->target_control, job->options->name, &arena, &marks, &n, err);
    for (uint32_t i = 0; rc == PH_OK && i < n; i++)
        *seen = marks[i].lsn > *seen ? marks[i].lsn : *seen;
    ph_arena_reset(&arena);
    return rc;
}

ph_code
ph_follow_receive(struct ph_job *job, struct ph_error *err)
{
    struct ph_spool_positions positions;
    ph_lsn seen;

    PH_TRY(find_seen(job, &seen, err));
    if (job->follow != NULL) {
        ph_receiver_set_seen(job->follow->receiver, seen);
        return PH_OK;
    }
    job->follow = calloc(1, sizeof *job->follow);
    if (job->follow == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    pthread_mutex_init(&job->follow->lock, NULL);
    ph_epoch_filter_init(&job->follow->filter);
    job->follow->job = job;
    PH_TRY(ph_ledger_read_applied(job->target_control, job->options->name, &job->follow->position,
                                  err));
    PH_TRY(open_spool(job, err));
    ph_spool_get_positions(job->follow->spool, &positions);
    job->follow->received_from = positions.written;
    return start_receiver(job, seen, err);
}

void
ph_follow_release(struct ph_job *job)
{
    struct ph_follow *follow = job->follow;

    if (follow == NULL)
        return;
    job->follow = NULL;
    if (follow->applier != NULL) {
        ph_applier_ask_stop(follow->applier);
        (void)ph_applier_stop(follow->applier, NULL);
    }
    if (follow->receiver != NULL)
        ph_receiver_stop(follow->receiver);
    ph_stop_watch_set_grace(&job->stop_watch, 0);
    ph_receiver_free(follow->receiver);
    ph_spool_close(follow->spool);
    ph_follow_free_team(follow);
    ph_epoch_filter_reset(&follow->filter);
    pthread_mutex_destroy(&follow->lock);
    free(follow->beside);
    free(follow->publishing);
    free(follow);
}

/* ---- applying ---- */

void
ph_follow_has_moved(struct ph_follow *follow, ph_lsn applied, ph_lsn durable)
{
    bool is_new = durable > follow->pruned;
    struct ph_error err;

    ph_receiver_set_applied(follow->receiver, applied, durable);
    if (is_new)
        follow->pruned = durable;
    ph_error_reset(&err);
    /* Also where nothing is new: what is void takes up room that its next arrival may need. */
    if (ph_spool_prune(follow->spool, durable, &err) != PH_OK && is_new)
        ph_log_failure(PH_LOG_WARN, &err);
}

static void
has_moved(void *arg, ph_lsn applied, ph_lsn durable)
{
    ph_follow_has_moved(arg, applied, durable);
}

static int64_t
source_clock(void *arg)
{
    const struct ph_follow *follow = arg;

    return ph_receiver_source_clock(follow->receiver);
}

static ph_code
load_tables(struct ph_job *job, const struct ph_error *why, struct ph_error *err)
{
    PH_TRY(ph_job_load_plan(job, err));
    PH_TRY(ph_job_check_lookups(job, err));
    return ph_follow_widen_plan(job, why, err);
}

/* The catalog is read anew in any case: keys and foreign keys were made after it had been read. */
static ph_code
make_domains(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_code rc = ph_apply_domains(&job->plan, &job->source_catalog, &job->target_catalog,
                                  job->follow->format, &sql, err);
    if (rc == PH_OK && !ph_buf_ok(&sql))
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK && sql.len > 0)
        rc = ph_conn_exec(job->target_control, ph_buf_text(&sql), err);
    ph_buf_free(&sql);
    PH_TRY(rc);
    PH_TRY(ph_job_read_target_catalog(job, err));
    return load_tables(job, NULL, err);
}

static void
renew_filter(struct ph_follow *follow)
{
    ph_epoch_filter_reset(&follow->filter);
    ph_epoch_filter_init(&follow->filter);
}

/* Tables, filter and position as the ledger has them now; whoever applied has ended. */
static ph_code
prepare(struct ph_job *job, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;

    PH_TRY(make_domains(job, err));
    renew_filter(follow);
    PH_TRY(ph_job_fill_filter(job, &follow->filter, err));
    PH_TRY(ph_ledger_read_applied(job->target_control, job->options->name, &follow->position, err));
    follow->pruned = follow->position;
    follow->consistent = ph_epoch_filter_consistent_point(&follow->filter);
    (void)ph_epoch_filter_retire(&follow->filter, follow->position);
    return PH_OK;
}

void
ph_follow_describe_applier(struct ph_job *job, struct ph_applier_params *out)
{
    struct ph_follow *follow = job->follow;

    *out = (struct ph_applier_params){
        .target = &job->target,
        .job = job->options->name,
        .session_sql = job->target_session_sql,
        .spool = follow->spool,
        .filter = &follow->filter,
        .tables = {.plan = &job->plan,
                   .source = &job->source_catalog,
                   .target = &job->target_catalog,
                   .stream = follow->format,
                   .enforces_keys = !job->target_catalog.can_set_replica_role},
        .count_from = follow->received_from,
        .group_bytes = ph_memory_of_group(job->options),
        .on_conflict = job->options->on_conflict,
    };
}

/* After prepare. */
static ph_code
start_applier(struct ph_job *job, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    struct ph_applier_params params;

    ph_follow_describe_applier(job, &params);
    params.moved = has_moved;
    params.source_clock = source_clock;
    params.arg = follow;
    PH_TRY(
        ph_ledger_read_position(job->target_control, job->options->name, 0, &params.position, err));
    PH_TRY(ph_follow_begin_end(job, &follow->until, err));
    params.end = follow->mark;
    follow->may_divide = PH_DIVIDE_UNKNOWN;
    return ph_applier_start(&params, &follow->applier, err);
}

/* A team, when one is recorded or it is time for one; otherwise the applier. */
static ph_code
begin_next(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(prepare(job, err));
    PH_TRY(ph_follow_take_team(job, err));
    return job->follow->team != NULL ? PH_OK : start_applier(job, err);
}

/* ---- watching ---- */

ph_code
ph_follow_check(const struct ph_job *job, struct ph_error *err)
{
    struct ph_receiver_look look;

    ph_receiver_look(job->follow->receiver, &look);
    if (look.state != PH_RECEIVER_FAILED)
        return PH_OK;
    *err = look.trouble;
    return look.trouble.code;
}

static ph_code
look_at_applier(struct ph_job *job, bool *has_ended, struct ph_error *err)
{
    struct ph_applier_look look;

    ph_applier_get(job->follow->applier, &look);
    *has_ended = look.has_ended;
    return look.has_ended ? PH_OK : ph_follow_consider_team(job, &look, err);
}

/* One applier, until it ends. */
static ph_code
apply_once(struct ph_job *job, bool *at_end, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    struct ph_applier_look look;
    struct ph_error why;

    ph_error_reset(&why);
    ph_code rc = ph_follow_watch_until(job, look_at_applier, err);
    if (rc != PH_OK || ph_stop_requested())
        ph_applier_ask_stop(follow->applier);
    ph_applier_get(follow->applier, &look);
    while (!look.has_ended) { /* also when everything is to stop: the counts are its last words */
        (void)poll(NULL, 0, WIND_UP_MS);
        ph_applier_get(follow->applier, &look);
    }
    *at_end = look.at_end;
    ph_follow_add_up(follow, &look);
    ph_code applied = ph_applier_stop(follow->applier, &why);
    follow->applier = NULL;
    if (applied != PH_OK) {
        *err = why;
        return applied;
    }
    PH_TRY(rc);
    return ph_stop_check(err);
}

static ph_code
load_tables_of_now(struct ph_job *job, const struct ph_error *why, struct ph_error *err)
{
    PH_TRY(ph_job_read_catalogs_now(job, err));
    PH_TRY(ph_select(&job->source_catalog, job->options, &job->arena, &job->selection, err));
    PH_TRY(ph_job_read_target_catalog(job, err));
    return load_tables(job, why, err);
}

/* Nobody applies meanwhile, and nobody looks: reading may wait for somebody's lock. */
static ph_code
load_tables_watched(struct ph_job *job, const struct ph_error *why, struct ph_error *err)
{
    struct ph_phase_watch watch;
    ph_code rc = ph_phase_watch_begin(&watch, job, "follow", PH_PHASE_NEEDS_STREAM, err);

    if (rc == PH_OK)
        rc = load_tables_of_now(job, why, err);
    return ph_phase_watch_end(&watch, rc, err);
}

/* A column that the catalogs did not have when they were read may be on both sides by now. */
static ph_code
look_at_tables_again(struct ph_job *job, struct ph_error *err)
{
    struct ph_error why = *err;
    uint32_t had = 0;
    uint32_t has = 0;

    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        had += job->plan.tables[i].n_columns;
    ph_error_reset(err);
    PH_TRY(load_tables_watched(job, &why, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        has += job->plan.tables[i].n_columns;
    if (has > had)
        return PH_OK;
    *err = why;
    return ph_follow_explain_change(job, err);
}

static ph_code
apply_to_the_end(struct ph_job *job, struct ph_error *err)
{
    for (;;) {
        bool at_end = false;
        ph_code rc = job->follow->team != NULL ? ph_follow_run_team(job, err)
                                               : apply_once(job, &at_end, err);
        if (rc == PH_E_TYPES)
            PH_TRY(look_at_tables_again(job, err));
        else
            PH_TRY(rc);
        if (rc == PH_OK && at_end && ph_follow_is_over(job->follow))
            return PH_OK;
        PH_TRY(begin_next(job, err));
    }
}

enum ph_format
ph_follow_format(const struct ph_job *job)
{
    return job->follow != NULL ? job->follow->format : PH_FORMAT_TEXT;
}

ph_code
ph_follow_to_consistency(struct ph_job *job, struct ph_error *err)
{
    bool at_end;

    PH_TRY(load_tables(job, NULL, err)); /* with the receipts of all tables */
    job->follow->until = (struct ph_until){.kind = PH_UNTIL_NOW};
    PH_TRY(begin_next(job, err));
    while (job->follow->team != NULL) { /* that the run before the tables came has left behind */
        PH_TRY(ph_follow_run_team(job, err));
        PH_TRY(begin_next(job, err));
    }
    ph_log(PH_LOG_INFO, "follow.meets",
           "tables were copied under several snapshots: changes are applied until they meet");
    ph_code rc;
    while ((rc = apply_once(job, &at_end, err)) == PH_E_TYPES) { /* younger than the snapshot */
        PH_TRY(look_at_tables_again(job, err));
        PH_TRY(ph_join_load(job, err));
        PH_TRY(begin_next(job, err));
    }
    if (rc == PH_E_TORN)
        job->torn = job->follow->filter.torn - 1;
    renew_filter(job->follow);
    return rc;
}

/* ---- the end ---- */

ph_code
ph_follow_remove_stream(struct ph_job *job, struct ph_error *err)
{
    char dir[sizeof job->follow->spool_dir];
    struct ph_spool_id id;
    uint64_t removed;
    bool found;

    ph_follow_release(job);
    PH_TRY(
        ph_ledger_load_follow(job->target_control, job->options->name, &job->stream, &found, err));
    if (!found)
        return PH_OK;
    PH_TRY(ph_follow_remove(job->source_control, &job->stream, err));
    PH_FAILPOINT(after_follow_removed);
    id = ph_spool_id_of(job->stream.spool_id);
    ph_follow_spool_dir(job->options, dir, sizeof dir);
    PH_TRY(ph_spool_remove(dir, &id, &removed, err));
    return ph_ledger_end_follow(job->target_control, job->options->name, err);
}

static ph_code
tell_conflicts(struct ph_job *job, struct ph_error *err)
{
    uint64_t *n = &job->followed.conflicts;
    char count[PH_HUMAN_SIZE];

    PH_TRY(ph_ledger_conflicts(job->target_control, job->options->name, n, err));
    if (*n > 0)
        ph_report_add_finding(
            &job->run->report, PH_FINDING_WARNING, "conflicts", "",
            "%s change%s of the stream did not fit the rows of the target and "
            "%s %s, as --on-conflict says",
            ph_human_count(*n, count), *n == 1 ? "" : "s", *n == 1 ? "was" : "were",
            job->options->on_conflict == PH_CONFLICT_OVERWRITE ? "put over them" : "left out");
    return PH_OK;
}

/* What the stream does not bring, and what the target was without meanwhile. */
static ph_code
bring_the_rest(struct ph_job *job, struct ph_error *err)
{
    uint32_t restored;

    PH_TRY(ph_job_reconnect_source(job, err));
    PH_TRY(ph_follow_check_parts(job, err));
    PH_TRY(ph_follow_check_publication(job, err));
    PH_TRY(ph_ledger_restore_all(job->target_control, job->options->name, &restored, err));
    PH_TRY(ph_follow_carry_sequences(job, err));
    PH_TRY(ph_follow_carry_rest(job, err));
    return ph_follow_tell_drift(job, err);
}

/* The ledger first: a slot that is gone is one that nobody needs. */
static ph_code
finish(struct ph_job *job, struct ph_error *err)
{
    struct ph_phase_watch watch;
    char verdict[sizeof job->ledger.verdict];
    uint64_t quarantined;
    uint32_t n_different;

    ph_code rc = ph_phase_watch_begin(&watch, job, "follow", PH_PHASE_HAS_ALL, err);
    if (rc == PH_OK)
        rc = bring_the_rest(job, err);
    PH_TRY(ph_phase_watch_end(&watch, rc, err));
    PH_TRY(tell_conflicts(job, err));
    PH_TRY(ph_copy_tell_orphans(job, PH_ORPHANS_OF_STREAM, err));
    PH_TRY(ph_copy_end_checks(job, &n_different, err));
    job->followed.transactions = job->follow->past.transactions;
    job->followed.applied = job->follow->past.applied;
    PH_TRY(ph_ledger_quarantined(job->target_control, job->options->name, &quarantined, err));
    snprintf(verdict, sizeof verdict, "%s",
             job->followed.conflicts > 0 || n_different > 0 ? "different"
             : quarantined > 0                              ? "quarantined"
                                                            : job->ledger.verdict);
    PH_TRY(ph_ledger_set_verdict(job->target_control, &job->ledger, verdict, PH_PHASE_DONE, err));
    PH_FAILPOINT(before_follow_removed);
    return ph_follow_remove_stream(job, err);
}

/* What `stop --at` asked for, maybe of a run before this one, or else the command. */
static ph_code
set_until(struct ph_job *job, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;

    PH_TRY(ph_follow_read_end(job, job->target_control, job->source_control, &follow->asked, err));
    follow->until = follow->asked.kind != PH_UNTIL_STOPPED ? follow->asked : job->until;
    return PH_OK;
}

ph_code
ph_follow_phase(struct ph_job *job, struct ph_error *err)
{
    ph_job_release_epoch(job);
    PH_TRY(load_tables(job, NULL, err));
    PH_TRY(ph_follow_check_unlogged(job, err));
    ph_join_name_others(job);
    PH_TRY(ph_follow_check_publication(job, err));
    PH_TRY(ph_follow_receive(job, err));
    PH_TRY(ph_copy_set_aside_now(job, err)); /* triggers that would fire once more here */
    PH_TRY(set_until(job, err));
    PH_TRY(begin_next(job, err));
    /* a stop lets the group at hand be finished and the source be told */
    ph_stop_watch_set_grace(&job->stop_watch, STOP_GRACE_MS);
    ph_log(PH_LOG_INFO, "follow.started", "job %s: applying changes", job->options->name);
    ph_follow_show_begin(job->follow);
    ph_code rc = apply_to_the_end(job, err);
    ph_follow_show_end(job->follow);
    PH_TRY(rc);
    return finish(job, err);
}
