#include "flow/apply_target.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "model/lsn.h"
#include "pg/ledger_follow.h"

#define MAX_PREPARED 400
#define COPY_FROM_ROWS 5000
#define DURABLE_EVERY_S 1.0
#define MOST_PARAMS 3500 /* a row has at most 1,600 columns, old and new */

#define TAG_OTHER UINT64_MAX
#define TAG_COMMIT (UINT64_MAX - 1)
#define TAG_POSITION (UINT64_MAX - 2)

/*
 * What pins the plans: arrays of ten thousand keys must find their rows by the index, whatever the
 * statistics say (measured: a hash join over the whole table otherwise).
 */
static const char plan_sql[] =
    "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off;"
    " SET enable_mergejoin = off; SET enable_seqscan = off; SET enable_material = off;"
    " SET jit = off; SET max_parallel_workers_per_gather = 0";

static const char scan_on_sql[] = "SELECT pg_catalog.set_config('enable_hashjoin', 'on', true),"
                                  " pg_catalog.set_config('enable_seqscan', 'on', true)";
static const char scan_off_sql[] = "SELECT pg_catalog.set_config('enable_hashjoin', 'off', true),"
                                   " pg_catalog.set_config('enable_seqscan', 'off', true)";

/* Fails by itself unless the row was hit, so that the server skips all that stands behind. */
static const char advance_sql[] = "WITH hit AS (" PH_LEDGER_ADVANCE_SQL " RETURNING 1)"
                                  " SELECT 1 / pg_catalog.count(*) FROM hit";

bool
ph_apply_is_about_rows(const struct ph_error *why)
{
    static const char *const others[] = {"08", "0A", "25", "40", "42", "53",
                                         "55", "57", "58", "F0", "XX"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strncmp(why->sqlstate, others[i], 2) == 0)
            return false;
    }
    return why->code == PH_E_CONSTRAINT || why->code == PH_E_DATA || why->code == PH_E_SQL;
}

/* ---- opening ---- */

ph_code
ph_apply_target_open(struct ph_apply_target *target, const struct ph_apply_target_params *params,
                     struct ph_error *err)
{
    *target = (struct ph_apply_target){.endpoint = params->endpoint,
                                       .job = params->job,
                                       .worker = params->worker,
                                       .applied = params->position,
                                       .durable = params->position,
                                       .defers_checks = params->defers_checks,
                                       .made_durable_ns = ph_clock_ns()};
    target->statements =
        ph_apply_statements_new(&(struct ph_apply_limits){.copy_rows = COPY_FROM_ROWS});
    target->params = calloc(MOST_PARAMS, sizeof *target->params);
    if (target->statements == NULL || target->params == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_conn_open(params->endpoint, params->purpose, &target->conn, err));
    PH_TRY(ph_conn_exec(target->conn, params->session_sql, err));
    PH_TRY(ph_conn_exec(target->conn, plan_sql, err));
    return ph_pipeline_new(target->conn, MAX_PREPARED, &target->pipeline, err);
}

void
ph_apply_target_free(struct ph_apply_target *target)
{
    ph_pipeline_free(target->pipeline);
    ph_conn_free(target->conn);
    ph_apply_statements_free(target->statements);
    free(target->params);
    *target = (struct ph_apply_target){0};
}

/* ---- the position ---- */

static ph_code
queue_advance(struct ph_apply_target *target, ph_lsn old, ph_lsn new, struct ph_error *err)
{
    char texts[2][PH_LSN_TEXT];
    char worker[16];
    const char *values[] = {target->job, worker, ph_lsn_print(new, texts[0]),
                            ph_lsn_print(old, texts[1])};
    struct ph_param params[4];

    snprintf(worker, sizeof worker, "%u", target->worker);
    for (int i = 0; i < 4; i++)
        params[i] = (struct ph_param){.bytes = {(const uint8_t *)values[i], strlen(values[i])},
                                      .kind = PH_PARAM_TEXT};
    return ph_pipeline_queue(target->pipeline,
                             &(struct ph_statement){.sql = advance_sql,
                                                    .params = params,
                                                    .n_params = 4,
                                                    .use = PH_STATEMENT_PREPARED,
                                                    .expected_rows = 1,
                                                    .tag = TAG_POSITION},
                             err);
}

static ph_lsn
position_before(const struct ph_apply_target *target)
{
    return target->committing != 0 ? target->committing : target->applied;
}

static ph_code
queue(struct ph_apply_target *target, const char *sql, uint64_t tag, struct ph_error *err)
{
    return ph_pipeline_queue_plain(target->pipeline, sql, PH_ROWS_ANY, tag, err);
}

/*
 * A statement of the source comes as several, or row by row, and its SET CONSTRAINTS not at all:
 * what it checked behind the last of them cannot be checked behind the first one here.
 */
static ph_code
queue_deferral(struct ph_apply_target *target, struct ph_error *err)
{
    return target->defers_checks ? queue(target, "SET CONSTRAINTS ALL DEFERRED", TAG_OTHER, err)
                                 : PH_OK;
}

ph_code
ph_apply_begin(struct ph_apply_target *target, ph_lsn from, ph_lsn end, struct ph_error *err)
{
    assert(!target->is_open);
    if (from != position_before(target))
        return PH_FAIL(err, PH_E_INTERNAL, "a group begins where the target does not stand");
    target->is_open = true;
    target->has_unchecked = true;
    target->group_end = end;
    target->group_durably =
        end == 0 || ph_clock_seconds_since(target->made_durable_ns) >= DURABLE_EVERY_S;
    PH_TRY(queue(target, "BEGIN", TAG_OTHER, err));
    PH_TRY(queue_advance(target, from, end != 0 ? end : from, err));
    if (target->group_durably)
        PH_TRY(queue(target, "SET LOCAL synchronous_commit = on", TAG_OTHER, err));
    PH_TRY(queue_deferral(target, err));
    return queue(target, "SAVEPOINT pghaul_group", TAG_OTHER, err);
}

ph_code
ph_apply_begin_beside(struct ph_apply_target *target, int lock_ms, struct ph_error *err)
{
    char sql[64];

    assert(!target->is_open);
    target->is_open = true;
    target->has_unchecked = true;
    target->group_end = 0;
    target->group_durably = true;
    snprintf(sql, sizeof sql, "SET LOCAL lock_timeout = %d", lock_ms);
    PH_TRY(queue(target, "BEGIN", TAG_OTHER, err));
    PH_TRY(queue(target, sql, TAG_OTHER, err));
    PH_TRY(queue_deferral(target, err));
    return queue(target, "SET LOCAL synchronous_commit = on", TAG_OTHER, err);
}

void
ph_apply_mind(struct ph_apply_target *target, int after_ms, void (*call)(void *arg), void *arg)
{
    ph_pipeline_set_impatience(target->pipeline, after_ms, call, arg);
    ph_apply_statements_copy_from(target->statements, call == NULL ? COPY_FROM_ROWS : 0);
}

ph_code
ph_apply_end(struct ph_apply_target *target, ph_lsn end, struct ph_error *err)
{
    assert(target->is_open && target->group_end == 0);
    target->group_end = end;
    target->has_unchecked = true;
    return queue_advance(target, position_before(target), end, err);
}

/* ---- statements ---- */

static ph_code
queue_statement(struct ph_apply_target *target, const struct ph_apply_statement *statement,
                uint64_t number, struct ph_error *err)
{
    if (statement->n_params > MOST_PARAMS)
        return PH_FAIL(err, PH_E_INTERNAL, "a statement of %u parameters", statement->n_params);
    for (uint32_t i = 0; i < statement->n_params; i++)
        target->params[i] =
            (struct ph_param){.bytes = statement->params[i], .kind = PH_PARAM_BINARY};
    if (statement->wants_scan)
        PH_TRY(queue(target, scan_on_sql, TAG_OTHER, err));
    PH_TRY(ph_pipeline_queue(
        target->pipeline,
        &(struct ph_statement){
            .sql = statement->sql,
            .params = target->params,
            .n_params = statement->n_params,
            .use = PH_STATEMENT_PREPARED,
            .expected_rows = statement->may_miss ? PH_ROWS_ANY : (int64_t)statement->expected_rows,
            .tag = number},
        err));
    return statement->wants_scan ? queue(target, scan_off_sql, TAG_OTHER, err) : PH_OK;
}

/* A durable commit makes all earlier ones durable as well. */
static void
note_commit(struct ph_apply_target *target)
{
    if (target->committing == 0)
        return;
    target->applied = target->committing;
    target->committing = 0;
    if (target->committing_durably) {
        target->durable = target->applied;
        target->made_durable_ns = ph_clock_ns();
    }
}

static ph_code
finish_stretch(struct ph_apply_target *target, bool *refused, struct ph_apply_refusal *refusal,
               struct ph_error *err)
{
    struct ph_pipeline_outcome outcome;

    *refused = false;
    if (!target->is_sent)
        PH_TRY(ph_pipeline_sync(target->pipeline, err));
    ph_code rc = ph_pipeline_wait(target->pipeline, &outcome, err);
    target->has_unchecked = false;
    target->is_sent = false;
    if (rc != PH_OK && outcome.has_failure && outcome.failure.tag == TAG_COMMIT) {
        target->refused_end = target->committing; /* the server says that it has not happened */
        target->committing = 0;
    }
    if (rc != PH_OK && (!outcome.has_failure || outcome.failure.tag == TAG_COMMIT))
        return rc;
    note_commit(target);
    if (rc != PH_OK && outcome.failure.tag == TAG_POSITION)
        return PH_FAIL(err, PH_E_POSITION,
                       "the position in the ledger was moved by a commit that was under way");
    *refused = rc != PH_OK || outcome.n_misses > 0;
    if (rc != PH_OK)
        *refusal = (struct ph_apply_refusal){.statement = (uint32_t)outcome.failure.tag};
    else if (*refused)
        *refusal = (struct ph_apply_refusal){.is_miss = true,
                                             .statement = (uint32_t)outcome.misses[0].tag,
                                             .expected_rows = outcome.misses[0].expected_rows,
                                             .rows = outcome.misses[0].rows,
                                             .misses = outcome.misses,
                                             .n_misses = outcome.n_misses};
    return PH_OK;
}

/* COPY cannot be part of a pipeline: what stands before it is waited for. */
static ph_code
copy_piece(struct ph_apply_target *target, const struct ph_apply_statement *statement,
           uint64_t *expected, struct ph_error *err)
{
    uint64_t rows;

    if (statement->begins) {
        struct ph_apply_refusal refusal;
        bool refused;
        PH_TRY(finish_stretch(target, &refused, &refusal, err));
        target->has_unchecked = true;
        if (refused)
            return PH_FAIL(err, PH_E_DATA, "the target did not take a group of changes");
        *expected = 0;
        PH_TRY(ph_conn_copy_in_begin(target->conn, statement->sql, err));
    }
    *expected += statement->expected_rows;
    PH_TRY(ph_conn_copy_in_write(target->conn, statement->data.data, statement->data.len, err));
    if (!statement->ends)
        return PH_OK;
    PH_TRY(ph_conn_copy_in_end(target->conn, &rows, err));
    if (rows == *expected)
        return PH_OK;
    return PH_FAIL(err, PH_E_DATA, "COPY took %llu rows instead of %llu", (unsigned long long)rows,
                   (unsigned long long)*expected);
}

ph_code
ph_apply_send(struct ph_apply_target *target, struct ph_fold *fold, const uint64_t *left_out,
              struct ph_error *err)
{
    struct ph_apply_statement statement;
    uint64_t copied = 0;

    PH_TRY(ph_apply_statements_begin(target->statements, fold, err));
    for (uint64_t number = 0;; number++) {
        PH_TRY(ph_apply_statements_next(target->statements, &statement, err));
        if (statement.kind == PH_APPLY_NONE)
            return PH_OK;
        if (left_out != NULL && (left_out[number / 64] >> number % 64 & 1) != 0)
            continue;
        target->has_unchecked = true;
        if (statement.kind == PH_APPLY_COPY)
            PH_TRY(copy_piece(target, &statement, &copied, err));
        else
            PH_TRY(queue_statement(target, &statement, number, err));
    }
}

ph_code
ph_apply_find_statement(struct ph_apply_target *target, struct ph_fold *fold, uint32_t number,
                        struct ph_apply_statement *out, struct ph_error *err)
{
    PH_TRY(ph_apply_statements_begin(target->statements, fold, err));
    for (uint32_t i = 0;; i++) {
        PH_TRY(ph_apply_statements_next(target->statements, out, err));
        if (out->kind == PH_APPLY_NONE)
            return PH_FAIL(err, PH_E_INTERNAL, "statement %u of a fold is not there", number);
        if (i == number)
            return PH_OK;
    }
}

ph_code
ph_apply_leave_out(struct ph_apply_target *target, struct ph_fold *fold, uint32_t number,
                   uint64_t *left_out, size_t n_words, uint32_t *n, struct ph_error *err)
{
    struct ph_apply_statement refused;
    struct ph_apply_statement other;

    *n = 0;
    PH_TRY(ph_apply_find_statement(target, fold, number, &refused, err));
    PH_TRY(ph_apply_statements_begin(target->statements, fold, err));
    for (uint32_t i = 0;; i++) {
        PH_TRY(ph_apply_statements_next(target->statements, &other, err));
        if (other.kind == PH_APPLY_NONE)
            return PH_OK;
        if (other.change != refused.change)
            continue;
        if (i / 64 >= n_words)
            return PH_FAIL(err, PH_E_INTERNAL, "statement %u of a fold has no place", i);
        left_out[i / 64] |= UINT64_C(1) << i % 64;
        ++*n;
    }
}

ph_code
ph_apply_send_plain(struct ph_apply_target *target, const char *sql, struct ph_error *err)
{
    target->has_unchecked = true;
    return queue(target, sql, TAG_OTHER, err);
}

ph_code
ph_apply_go(struct ph_apply_target *target, struct ph_error *err)
{
    target->is_sent = true;
    return ph_pipeline_sync(target->pipeline, err);
}

ph_code
ph_apply_check(struct ph_apply_target *target, bool *refused, struct ph_apply_refusal *refusal,
               struct ph_error *err)
{
    *refused = false;
    return target->has_unchecked ? finish_stretch(target, refused, refusal, err) : PH_OK;
}

ph_code
ph_apply_expect(struct ph_apply_target *target, struct ph_error *err)
{
    struct ph_apply_refusal refusal;
    bool refused;

    PH_TRY(ph_apply_check(target, &refused, &refusal, err));
    if (!refused)
        return PH_OK;
    return refusal.is_miss ? PH_FAIL(err, PH_E_CONFLICT, "rows that are changed are not there")
                           : err->code;
}

/* ---- ends ---- */

ph_code
ph_apply_commit(struct ph_apply_target *target, struct ph_error *err)
{
    assert(target->is_open && !target->has_unchecked && target->group_end != 0);
    PH_FAILPOINT(before_apply_commit);
    target->is_open = false;
    target->committing = target->group_end;
    target->committing_durably = target->group_durably;
    target->group_end = 0;
    return queue(target, "COMMIT", TAG_COMMIT, err);
}

ph_code
ph_apply_settle(struct ph_apply_target *target, struct ph_error *err)
{
    struct ph_apply_refusal refusal;
    bool refused;

    if (target->committing == 0)
        return PH_OK;
    return finish_stretch(target, &refused, &refusal, err);
}

/*
 * What is queued or under way is waited for, whatever comes of it: a pipeline has to end. What
 * comes of the COMMIT that is among it is not the open group's affair, and never passed over.
 */
ph_code
ph_apply_rollback(struct ph_apply_target *target, struct ph_error *err)
{
    struct ph_apply_refusal refusal;
    struct ph_error why;
    bool refused;
    ph_lsn committing = target->committing;

    ph_error_reset(&why);
    if (target->has_unchecked)
        (void)finish_stretch(target, &refused, &refusal, &why);
    PH_TRY(ph_apply_settle(target, err));
    target->is_open = false;
    target->has_unchecked = false;
    target->group_end = 0;
    PH_TRY(ph_conn_leave_transaction(target->conn, err));
    if (committing == 0 || target->refused_end != committing)
        return PH_OK;
    if (err != NULL)
        *err = why;
    return why.code;
}

ph_code
ph_apply_back_to_savepoint(struct ph_apply_target *target, struct ph_error *err)
{
    target->has_unchecked = false;
    return ph_conn_exec(target->conn, "ROLLBACK TO SAVEPOINT pghaul_group", err);
}

ph_code
ph_apply_advance(struct ph_apply_target *target, ph_lsn lsn, struct ph_error *err)
{
    assert(!target->is_open);
    PH_TRY(ph_apply_settle(target, err));
    PH_TRY(ph_ledger_advance(target->conn, target->job, target->worker, target->applied, lsn, err));
    target->applied = lsn;
    return PH_OK;
}

ph_code
ph_apply_make_durable(struct ph_apply_target *target, struct ph_error *err)
{
    assert(!target->is_open);
    PH_TRY(ph_apply_settle(target, err));
    if (target->durable == target->applied)
        return PH_OK;
    PH_TRY(ph_conn_exec(target->conn, "SET synchronous_commit = on", err));
    PH_TRY(ph_apply_advance(target, target->applied, err));
    PH_TRY(ph_conn_exec(target->conn, "SET synchronous_commit = off", err));
    target->durable = target->applied;
    target->made_durable_ns = ph_clock_ns();
    return PH_OK;
}
