/*
 * One worker thread a lane: it owns the sink and drives its lane task by task.
 */
#include "job/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "flow/copy_sink.h"
#include "flow/digest_program.h"
#include "job/memory.h"
#include "job/rows_internal.h"

/* ---- loading ---- */

static void
show_task(struct ph_rows_lane *lane, struct ph_task *task, enum ph_lane_state state)
{
    pthread_mutex_lock(&lane->show_lock);
    lane->shown = task;
    lane->shown_state = state;
    pthread_mutex_unlock(&lane->show_lock);
}

ph_code
ph_rows_run_task(struct ph_rows_lane *lane, struct ph_task *task, const struct ph_sink_ops *sink,
                 enum ph_lane_state state, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)4 << 20);
    if (task->side == PH_SOURCE)
        ph_plan_copy_out_sql(task->table, task->chunk, &sql);
    else
        ph_plan_read_back_sql(task->table, task->chunk, &sql);
    if (!ph_buf_ok(&sql)) {
        ph_buf_free(&sql);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    task->read_sql = ph_buf_text(&sql);
    show_task(lane, task, state);
    ph_code rc = ph_lane_run(&lane->lane, task, sink, &lane->sink, err);
    show_task(lane, NULL, PH_LANE_IDLE);
    ph_buf_free(&sql);
    return rc;
}

void
ph_rows_name_table(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                   struct ph_error *err)
{
    char label[160];

    ph_plan_table_label(table, label, sizeof label);
    if (chunk != NULL && table->n_chunks > 1)
        ph_error_note(err, "table %s, chunk %u of %u", label, chunk->number + 1, table->n_chunks);
    else
        ph_error_note(err, "table %s", label);
}

static ph_code
load_chunk(void *arg, const struct ph_chunk *chunk, struct ph_error *err)
{
    struct ph_rows_lane *lane = arg;
    struct ph_job *job = lane->rows->job;
    const struct ph_table_plan *table = &job->plan.tables[chunk->table];
    struct ph_digest_set digest;
    uint64_t start = ph_clock_ns();

    if (!ph_digest_set_init(&digest, table->n_buckets))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    struct ph_task task = {.table = table,
                           .chunk = chunk,
                           .side = PH_SOURCE,
                           .epoch = &job->epoch,
                           .digest = &digest,
                           .is_load = true};
    ph_code rc = ph_rows_run_task(lane, &task, &ph_copy_sink_ops, PH_LANE_COPY, err);
    if (rc == PH_OK) {
        /* read by the main thread after the lot is committed and this thread was joined */
        job->chunk_states[chunk - job->plan.chunks] = (struct ph_chunk_state){
            .done = false,
            .epoch = job->epoch.number,
            .rows = digest.rows,
            .bytes = digest.bytes,
            .quarantined = task.quarantined,
            .left_out = task.left_out,
            .seconds = ph_clock_seconds_since(start),
        };
    } else {
        ph_rows_name_table(table, chunk, err);
    }
    ph_task_end(&task);
    ph_digest_set_free(&digest);
    return rc;
}

static ph_code
mark_done(void *arg, const struct ph_chunk *chunk, struct ph_error *err)
{
    struct ph_rows_lane *lane = arg;
    struct ph_job *job = lane->rows->job;
    struct ph_chunk_state *state = &job->chunk_states[chunk - job->plan.chunks];

    (void)err;
    state->done = true;
    atomic_fetch_add(&lane->rows->rows_done, state->rows);
    atomic_fetch_add(&lane->rows->bytes_done, state->bytes);
    atomic_fetch_add(&lane->rows->chunks_done, 1);
    return PH_OK;
}

static ph_code
run_lot(struct ph_rows_lane *lane, uint32_t lot, struct ph_error *err)
{
    struct ph_schedule *schedule = &lane->rows->schedule;
    uint32_t n;

    /* waiting, not skipping: only a session of a dead run can hold the lock, about to end */
    PH_TRY(ph_copy_sink_begin_lot(&lane->sink, lot, PH_CLAIM_WAIT, &n, err));
    if (n == 0)
        return PH_FAIL(err, PH_E_CONNECT,
                       "lot %u was finished by a session that had been given up, or the target has "
                       "crashed: the ledger is read again",
                       lot);
    ph_code rc = ph_schedule_each_chunk(schedule, lot, load_chunk, lane, err);
    if (rc != PH_OK) {
        ph_copy_sink_rollback(&lane->sink);
        return rc;
    }
    PH_TRY(ph_copy_sink_commit(&lane->sink, err));
    PH_TRY(ph_schedule_each_chunk(schedule, lot, mark_done, lane, err));
    ph_schedule_lot_done(schedule, lot);
    return PH_OK;
}

/* ---- the worker ---- */

static ph_code
work(struct ph_rows_lane *lane, struct ph_error *err)
{
    for (;;) {
        PH_TRY(ph_stop_check(err));
        struct ph_work next = ph_schedule_next(&lane->rows->schedule);
        switch (next.kind) {
        case PH_WORK_NONE:
            return PH_OK;
        case PH_WORK_LOT:
            PH_TRY(run_lot(lane, next.index, err));
            break;
        case PH_WORK_READ_BACK:
            PH_TRY(ph_rows_read_back(lane, next.index, next.part, err));
            break;
        }
    }
}

static void *
run_worker(void *arg)
{
    struct ph_rows_lane *lane = arg;
    struct ph_error err;

    ph_error_reset(&err);
    ph_code rc = work(lane, &err);
    if (rc != PH_OK) {
        ph_schedule_fail(&lane->rows->schedule, rc, &err);
        if (lane->rows->steps != NULL)
            ph_step_workers_end(lane->rows->steps);
    }
    return NULL;
}

/* ---- all of them ---- */

static ph_code
start_lane(struct ph_rows *rows, uint32_t number, struct ph_error *err)
{
    struct ph_rows_lane *lane = &rows->lanes[number];
    struct ph_job *job = rows->job;
    char purpose[32];
    char back_purpose[32];

    *lane = (struct ph_rows_lane){.rows = rows};
    pthread_mutex_init(&lane->show_lock, NULL);
    snprintf(purpose, sizeof purpose, "read %u", number + 1);
    snprintf(back_purpose, sizeof back_purpose, "read back %u", number + 1);
    ph_side_source_init(&lane->source, &job->source, purpose, &job->target, back_purpose);
    snprintf(purpose, sizeof purpose, "load %u", number + 1);
    ph_copy_sink_init(&lane->sink, &job->target, purpose, job->options->name,
                      job->target_session_sql);
    size_t batch_bytes = ph_memory_of_batch(job->options, job->jobs);
    ph_digest_program_init(&lane->program, batch_bytes, job->options->max_row_bytes);
    struct ph_lane_params params = {
        .source = &ph_side_source_ops,
        .source_state = &lane->source,
        .program = &ph_digest_program_ops,
        .program_state = &lane->program,
        .budget = &rows->budget,
        .batch_bytes = batch_bytes,
        .max_row_bytes = job->options->max_row_bytes,
    };
    PH_TRY(ph_lane_start(&lane->lane, &params, err));
    if (pthread_create(&lane->thread, NULL, run_worker, lane) != 0)
        return PH_FAIL(err, PH_E_MEMORY, "cannot start a thread");
    lane->started = true;
    return PH_OK;
}

static void
free_lane(struct ph_rows_lane *lane)
{
    ph_lane_stop(&lane->lane);
    ph_digest_program_free(&lane->program);
    ph_side_source_free(&lane->source);
    ph_copy_sink_free(&lane->sink);
    pthread_mutex_destroy(&lane->show_lock);
}

static void
count_what_is_done(struct ph_rows *rows)
{
    const struct ph_job *job = rows->job;

    for (uint32_t i = 0; i < job->plan.n_chunks; i++) {
        if (!job->chunk_states[i].done)
            continue;
        atomic_fetch_add(&rows->rows_done, job->chunk_states[i].rows);
        atomic_fetch_add(&rows->bytes_done, job->chunk_states[i].bytes);
        atomic_fetch_add(&rows->chunks_done, 1);
    }
    rows->rows_before = atomic_load(&rows->rows_done);
    rows->bytes_before = atomic_load(&rows->bytes_done);
}

static void
table_loaded(void *arg, uint32_t table)
{
    struct ph_rows *rows = arg;

    if (rows->steps != NULL)
        ph_step_workers_table_loaded(rows->steps, rows->job->plan.tables[table].source->oid);
}

static ph_code
start_all(struct ph_rows *rows, struct ph_error *err)
{
    for (uint32_t i = 0; i < rows->job->jobs; i++) {
        rows->n_lanes++;
        PH_TRY(start_lane(rows, i, err));
    }
    return PH_OK;
}

/* The display and the watcher look at lanes and workers until watch_end. */
static ph_code
run(struct ph_rows *rows, struct ph_error *err)
{
    ph_code steps_rc = PH_OK;
    ph_code rc = start_all(rows, err);

    if (rc != PH_OK)
        ph_schedule_fail(&rows->schedule, rc, err);
    if (rows->steps != NULL)
        ph_step_workers_set_schedule(rows->steps, &rows->schedule);
    ph_rows_watch_begin(rows);
    for (uint32_t i = 0; i < rows->n_lanes; i++) {
        if (rows->lanes[i].started)
            pthread_join(rows->lanes[i].thread, NULL);
    }
    if (rows->steps != NULL) {
        if (ph_schedule_ended(&rows->schedule))
            ph_step_workers_end(rows->steps);
        if (!rows->schedule.closed || ph_schedule_ended(&rows->schedule))
            steps_rc = ph_step_workers_wait(rows->steps, err);
        ph_step_workers_set_schedule(rows->steps, NULL);
    }
    ph_rows_watch_end(rows);
    for (uint32_t i = 0; i < rows->n_lanes; i++)
        free_lane(&rows->lanes[i]);
    if (rows->schedule.rc != PH_OK) {
        *err = rows->schedule.error;
        return rows->schedule.rc;
    }
    return steps_rc;
}

ph_code
ph_rows_run(struct ph_job *job, struct ph_step_workers *steps, struct ph_error *err)
{
    struct ph_rows *rows = calloc(1, sizeof *rows);
    ph_code rc;

    if (rows == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    rows->job = job;
    rows->steps = steps;
    rc = ph_rows_read_backs_init(rows, err);
    if (rc == PH_OK)
        rc = ph_schedule_init(&rows->schedule, &job->plan, job->chunk_states, job->table_states,
                              job->options->verify == PH_VERIFY_NONE ? NULL : rows->parts, err);
    if (rc != PH_OK) {
        ph_rows_read_backs_free(rows);
        free(rows);
        return rc;
    }
    ph_budget_init(&rows->budget, job->options->max_rate_bytes);
    count_what_is_done(rows);
    rows->schedule.close_at_ns = job->epoch_ends_ns;
    rows->schedule.on_loaded = table_loaded;
    rows->schedule.on_loaded_arg = rows;
    rows->lanes = calloc(job->jobs, sizeof *rows->lanes);
    rc = rows->lanes == NULL ? PH_FAIL(err, PH_E_MEMORY, "out of memory") : run(rows, err);
    free(rows->lanes);
    ph_budget_destroy(&rows->budget);
    ph_schedule_destroy(&rows->schedule);
    ph_rows_read_backs_free(rows);
    free(rows);
    return rc;
}
