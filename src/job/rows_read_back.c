/*
 * Reading back: what arrived in the target is read once more and hashed, a large table in parts by
 * all lanes side by side; whoever finishes the last part compares. A set of digests lives from a
 * target's first part to its last, so only targets under way cost memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "job/rows_internal.h"

#define TID_RANGE_SCAN 140000 /* the version from which ranges of ctid are not whole scans */
#define SMALLEST_PART ((uint64_t)32 << 20)
#define PARTS_PER_LANE 4u
#define MOST_PARTS 10000u

static const struct ph_epoch no_epoch = {0};

static void
note_result(struct ph_job *job, uint32_t index, const struct ph_digest *source,
            const struct ph_digest *target, double seconds)
{
    struct ph_table_state *state = &job->table_states[index];

    state->source_digest = *source;
    state->target_digest = *target;
    state->verify_seconds = seconds;
    state->verified = ph_digest_equal(source, target);
    state->read_back = true;
}

/* What all tables that went into this target should have made of it. */
static ph_code
expect(struct ph_rows_lane *lane, uint32_t leader, struct ph_digest_set *expected,
       struct ph_error *err)
{
    struct ph_schedule *schedule = &lane->rows->schedule;
    const char *name = lane->rows->job->options->name;

    for (uint32_t t = leader; t < schedule->plan->n_tables; t++) {
        if (schedule->leader[t] == leader)
            PH_TRY(ph_ledger_add_digests(lane->sink.conn, name, t, expected, err));
    }
    return PH_OK;
}

/*
 * Tables with generated columns are read on both sides: the receipts know nothing of what the copy
 * left to the target. That needs the snapshot of the rows; without it they are compared as copied.
 */
static bool
is_read_again(const struct ph_rows_lane *lane, uint32_t leader)
{
    const struct ph_schedule *schedule = &lane->rows->schedule;
    const struct ph_job *job = lane->rows->job;

    for (uint32_t t = leader; t < schedule->plan->n_tables; t++) {
        const struct ph_table_plan *table = &job->plan.tables[t];
        if (schedule->leader[t] != leader)
            continue;
        if (job->proof_plans[t] == NULL ||
            job->proof_plans[t]->format != job->proof_plans[leader]->format)
            return false;
        for (uint32_t i = table->first_chunk; i < table->first_chunk + table->n_chunks; i++) {
            if (job->chunk_states[i].epoch != job->epoch.number)
                return false;
        }
    }
    return true;
}

static ph_code
read_source_again(struct ph_rows_lane *lane, uint32_t leader, struct ph_digest_set *expected,
                  struct ph_error *err)
{
    static const struct ph_chunk whole = {.kind = PH_CHUNK_WHOLE};
    struct ph_schedule *schedule = &lane->rows->schedule;
    struct ph_job *job = lane->rows->job;

    for (uint32_t t = leader; t < schedule->plan->n_tables; t++) {
        if (schedule->leader[t] != leader)
            continue;
        struct ph_task task = {.table = job->proof_plans[t],
                               .chunk = &whole,
                               .side = PH_SOURCE,
                               .epoch = &job->epoch,
                               .digest = expected};
        PH_TRY(ph_rows_run_task(lane, &task, &ph_null_sink_ops, PH_LANE_VERIFY, err));
    }
    return PH_OK;
}

static ph_code
compare(struct ph_rows_lane *lane, uint32_t leader, const struct ph_digest_set *expected,
        const struct ph_digest_set *found, double seconds, struct ph_error *err)
{
    struct ph_schedule *schedule = &lane->rows->schedule;
    struct ph_job *job = lane->rows->job;
    struct ph_digest source = ph_digest_set_total(expected);
    struct ph_digest target = ph_digest_set_total(found);

    if (job->options->verify == PH_VERIFY_COUNT)
        source.sum = (struct ph_hash128){0};

    for (uint32_t t = leader; t < schedule->plan->n_tables; t++) {
        if (schedule->leader[t] != leader)
            continue;
        note_result(job, t, &source, &target, seconds);
        PH_TRY(ph_ledger_set_verified(lane->sink.conn, job->options->name, t, &source, &target,
                                      seconds, err));
    }
    return PH_OK;
}

/* --verify count: numbers of rows only, in digests whose sums stay zero. */
static ph_code
count_back(struct ph_rows_lane *lane, const struct ph_table_plan *table,
           struct ph_digest_set *found, struct ph_error *err)
{
    struct ph_buf sql;
    char rows[32];

    ph_buf_init(&sql, (size_t)1 << 20);
    ph_plan_count_sql(table, &sql);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_value(lane->sink.conn, ph_buf_text(&sql), rows, sizeof rows, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    if (rc == PH_OK)
        found->rows = strtoull(rows, NULL, 10);
    return rc;
}

/* ---- parts ---- */

/* Only heaps can be read by ranges of blocks, and only what one COPY reads on one side. */
static uint32_t
count_parts(const struct ph_job *job, uint32_t leader)
{
    const struct ph_table_plan *table = &job->plan.tables[leader];
    const struct ph_rel *target = table->target;

    if (job->table_states[leader].has_changes || job->options->verify != PH_VERIFY_DIGEST ||
        target->kind != PH_REL_TABLE || table->where[PH_TARGET] != NULL ||
        job->proof_plans[leader] != NULL || job->target_catalog.version_num < TID_RANGE_SCAN ||
        target->access_method == NULL || strcmp(target->access_method, "heap") != 0)
        return 1;
    uint64_t most = (uint64_t)job->jobs * PARTS_PER_LANE;
    uint64_t split = job->options->split_bytes;
    if (split != 0 && table->bytes / split > most)
        most = table->bytes / split;
    uint64_t n = table->bytes / (split != 0 && split < SMALLEST_PART ? split : SMALLEST_PART);
    n = n > most ? most : n;
    return n > MOST_PARTS ? MOST_PARTS : n < 1 ? 1 : (uint32_t)n;
}

ph_code
ph_rows_read_backs_init(struct ph_rows *rows, struct ph_error *err)
{
    uint32_t n = rows->job->plan.n_tables;

    rows->read_backs = calloc((size_t)n + 1, sizeof *rows->read_backs);
    rows->parts = calloc((size_t)n + 1, sizeof *rows->parts);
    if (rows->read_backs == NULL || rows->parts == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t t = 0; t < n; t++) {
        rows->parts[t] = count_parts(rows->job, t);
        rows->read_backs[t].parts_left = rows->parts[t];
    }
    pthread_mutex_init(&rows->read_back_lock, NULL);
    return PH_OK;
}

void
ph_rows_read_backs_free(struct ph_rows *rows)
{
    if (rows->parts != NULL && rows->read_backs != NULL) {
        for (uint32_t t = 0; t < rows->job->plan.n_tables; t++)
            ph_digest_set_free(&rows->read_backs[t].found);
        pthread_mutex_destroy(&rows->read_back_lock);
    }
    free(rows->read_backs);
    free(rows->parts);
}

/* The size is asked for once, so that the parts neither leave blocks out nor share any. */
static ph_code
begin(struct ph_rows_lane *lane, uint32_t leader, struct ph_error *err)
{
    struct ph_read_back *state = &lane->rows->read_backs[leader];
    const struct ph_table_plan *table = &lane->rows->job->plan.tables[leader];
    char sql[128];
    char blocks[32];

    if (state->begun)
        return PH_OK;
    state->started_ns = ph_clock_ns();
    if (!ph_digest_set_init(&state->found, table->n_buckets))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    state->begun = true;
    if (lane->rows->parts[leader] == 1)
        return PH_OK;
    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.pg_relation_size(%u) / "
             "pg_catalog.current_setting('block_size')::bigint",
             table->target->oid);
    ph_code rc = ph_conn_value(lane->sink.conn, sql, blocks, sizeof blocks, err);
    state->blocks = rc == PH_OK ? strtoull(blocks, NULL, 10) : 0;
    state->begun = rc == PH_OK;
    if (rc != PH_OK)
        ph_digest_set_free(&state->found);
    return rc;
}

/* Blocks [lo, hi) of the target; the last part has no end, so nothing can lie behind it. */
static ph_code
read_part(struct ph_rows_lane *lane, uint32_t leader, uint32_t part, struct ph_digest_set *found,
          struct ph_error *err)
{
    struct ph_rows *rows = lane->rows;
    uint32_t n = rows->parts[leader];
    uint64_t blocks = rows->read_backs[leader].blocks;
    char lo[24];
    char hi[24];
    struct ph_chunk chunk = {.kind = n > 1 ? PH_CHUNK_CTID : PH_CHUNK_WHOLE, .number = part};
    struct ph_task task = {.table = is_read_again(lane, leader) ? rows->job->proof_plans[leader]
                                                                : &rows->job->plan.tables[leader],
                           .chunk = &chunk,
                           .side = PH_TARGET,
                           .epoch = &no_epoch,
                           .digest = found};

    snprintf(lo, sizeof lo, "%llu", (unsigned long long)(blocks * part / n));
    snprintf(hi, sizeof hi, "%llu", (unsigned long long)(blocks * (part + 1) / n));
    chunk.lo = part == 0 ? NULL : lo;
    chunk.hi = part + 1 == n ? NULL : hi;
    if (rows->job->options->verify == PH_VERIFY_COUNT)
        return count_back(lane, &rows->job->plan.tables[leader], found, err);
    return ph_rows_run_task(lane, &task, &ph_null_sink_ops, PH_LANE_VERIFY, err);
}

/* The last part is in. */
static ph_code
finish(struct ph_rows_lane *lane, uint32_t leader, struct ph_error *err)
{
    struct ph_read_back *state = &lane->rows->read_backs[leader];
    struct ph_digest_set expected = {0};
    ph_code rc;

    if (!ph_digest_set_init(&expected, lane->rows->job->plan.tables[leader].n_buckets))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    rc = is_read_again(lane, leader) ? read_source_again(lane, leader, &expected, err)
                                     : expect(lane, leader, &expected, err);
    if (rc == PH_OK)
        rc = compare(lane, leader, &expected, &state->found,
                     ph_clock_seconds_since(state->started_ns), err);
    ph_digest_set_free(&expected);
    ph_digest_set_free(&state->found);
    if (rc == PH_OK)
        ph_schedule_read_back_done(&lane->rows->schedule, leader);
    return rc;
}

/* Adds a part to its target; *is_last: all are in. */
static ph_code
add_part(struct ph_rows_lane *lane, uint32_t leader, uint32_t part, bool *is_last,
         struct ph_error *err)
{
    struct ph_rows *rows = lane->rows;
    struct ph_read_back *state = &rows->read_backs[leader];
    struct ph_digest_set found = {0};
    ph_code rc;

    if (!ph_digest_set_init(&found, rows->job->plan.tables[leader].n_buckets))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    rc = read_part(lane, leader, part, &found, err);
    if (rc == PH_OK) {
        pthread_mutex_lock(&rows->read_back_lock);
        ph_digest_set_add(&state->found, &found);
        *is_last = --state->parts_left == 0;
        pthread_mutex_unlock(&rows->read_back_lock);
    }
    ph_digest_set_free(&found);
    return rc;
}

ph_code
ph_rows_read_back(struct ph_rows_lane *lane, uint32_t leader, uint32_t part, struct ph_error *err)
{
    bool is_last = false;
    ph_code rc = ph_copy_sink_connect(&lane->sink, err);

    if (rc == PH_OK) {
        pthread_mutex_lock(&lane->rows->read_back_lock);
        rc = begin(lane, leader, err);
        pthread_mutex_unlock(&lane->rows->read_back_lock);
    }
    if (rc == PH_OK)
        rc = add_part(lane, leader, part, &is_last, err);
    if (rc == PH_OK && is_last)
        rc = finish(lane, leader, err);
    if (rc != PH_OK)
        ph_rows_name_table(&lane->rows->job->plan.tables[leader], NULL, err);
    return rc;
}
