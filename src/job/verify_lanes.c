/*
 * Reading both sides: workers take parts (a table of one side, or a range of its blocks) from one
 * list, largest table first, and add what they read to the sets of the part's group. Whoever
 * finishes a group's last part compares it and frees its sets, so that only groups under way cost
 * memory.
 *
 * A worker is a thread with a lane of its own (two threads more) and a connection to each server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "flow/copy_sink.h"
#include "flow/digest_program.h"
#include "flow/side_source.h"
#include "job/memory.h"
#include "job/plan_route.h"
#include "job/verify_parts.h"
#include "pg/snapshot.h"

#define COUNTED_PER_TRANSACTION 200u /* each keeps a lock until the transaction ends */
#define PART_RETRIES 3u
#define PART_PAUSE_MS 100u
#define TID_RANGE_SCAN 140000 /* the version from which ranges of ctid are not whole scans */

struct lanes;

struct worker {
    struct lanes *lanes;
    struct ph_lane lane;
    struct ph_side_source source;
    struct ph_digest_program program;
    pthread_t thread;
    bool started;
    pthread_mutex_t show_lock; /* guards the two below: the display reads them */
    struct ph_task *shown;
    const struct ph_verify_part *part;
};

struct lanes {
    struct ph_verify *verify;
    struct ph_verify_group *groups;
    uint32_t n_groups;
    struct ph_verify_part *parts;
    uint32_t n_parts;
    struct ph_budget budget;
    struct worker *workers;
    uint32_t n_workers;
    atomic_uint_fast64_t rows_done;
    atomic_uint_fast64_t bytes_done;
    atomic_uint_fast32_t groups_done;
    atomic_uint_fast32_t parts_done;
    uint64_t rows; /* estimates */
    uint64_t bytes;
    pthread_mutex_t lock; /* guards what follows, and the groups' sets */
    uint32_t next;
    ph_code rc;
    struct ph_error error;
};

/* ---- the list of parts ---- */

static uint32_t
count_parts(const struct ph_verify *verify, const struct ph_table_plan *view, enum ph_side side)
{
    const struct ph_rel *rel = view->source;
    uint64_t split = verify->options->split_bytes;

    if (verify->options->verify == PH_VERIFY_COUNT || rel->kind != PH_REL_TABLE ||
        view->where[PH_SOURCE] != NULL || view->join != NULL || split == 0 || rel->pages < 2 ||
        verify->catalogs[side].version_num < TID_RANGE_SCAN || rel->access_method == NULL ||
        strcmp(rel->access_method, "heap") != 0)
        return 1;
    uint64_t n = rel->bytes / split + 1;
    n = n > rel->pages ? rel->pages : n;
    return n > 10000 ? 10000 : (uint32_t)n;
}

static const char *
block_text(struct ph_verify *verify, uint64_t pages, uint32_t i, uint32_t n)
{
    return i == 0 || i == n
               ? NULL
               : ph_arena_printf(&verify->arena, "%llu", (unsigned long long)(pages * i / n));
}

/* With `parts` NULL they are only counted. */
static uint32_t
put_parts(struct ph_verify *verify, struct ph_verify_group *group, enum ph_side side,
          const struct ph_table_plan *view, struct ph_verify_part *parts)
{
    bool is_range = group->range.kind == PH_CHUNK_KEY;
    uint32_t n = is_range ? 1 : count_parts(verify, view, side);

    if (parts != NULL && is_range) {
        *parts = (struct ph_verify_part){
            .group = group, .side = side, .view = view, .chunk = group->range};
        return n;
    }
    for (uint32_t i = 0; parts != NULL && i < n; i++)
        parts[i] = (struct ph_verify_part){
            .group = group,
            .side = side,
            .view = view,
            .chunk = {.kind = n > 1 ? PH_CHUNK_CTID : PH_CHUNK_WHOLE,
                      .number = i,
                      .lo = n > 1 ? block_text(verify, view->source->pages, i, n) : NULL,
                      .hi = n > 1 ? block_text(verify, view->source->pages, i + 1, n) : NULL},
        };
    return n;
}

static uint32_t
put_group(struct ph_verify *verify, struct ph_verify_group *group, struct ph_verify_part *parts)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < group->n_tables; i++)
        n +=
            put_parts(verify, group, PH_SOURCE, group->tables[i], parts == NULL ? NULL : parts + n);
    n += put_parts(verify, group, PH_TARGET, &group->target_view, parts == NULL ? NULL : parts + n);
    return n;
}

static int
compare_sizes(const void *a, const void *b)
{
    const struct ph_verify_group *const *group_a = a;
    const struct ph_verify_group *const *group_b = b;

    if ((*group_a)->bytes != (*group_b)->bytes)
        return (*group_a)->bytes > (*group_b)->bytes ? -1 : 1;
    return strcmp((*group_a)->label, (*group_b)->label);
}

static ph_code
list_parts(struct lanes *lanes, struct ph_error *err)
{
    struct ph_verify *verify = lanes->verify;
    size_t n = (size_t)lanes->n_groups + 1;
    struct ph_verify_group **sorted = PH_ARENA_ARRAY(&verify->arena, struct ph_verify_group *, n);

    for (uint32_t i = 0; sorted != NULL && i < lanes->n_groups; i++) {
        struct ph_verify_group *group = &lanes->groups[i];
        sorted[i] = group;
        group->parts = group->parts_left = put_group(verify, group, NULL);
        lanes->n_parts += group->parts;
        lanes->bytes += group->bytes;
        for (uint32_t t = 0; t < group->n_tables; t++)
            lanes->rows += 2 * group->tables[t]->rows;
    }
    lanes->parts =
        PH_ARENA_ARRAY(&verify->arena, struct ph_verify_part, (size_t)lanes->n_parts + 1);
    if (sorted == NULL || lanes->parts == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the list of tables");
    qsort(sorted, lanes->n_groups, sizeof(struct ph_verify_group *), compare_sizes);
    struct ph_verify_part *at = lanes->parts;
    for (uint32_t i = 0; i < lanes->n_groups; i++)
        at += put_group(verify, sorted[i], at);
    return PH_OK;
}

static struct ph_verify_part *
next_part(struct lanes *lanes)
{
    struct ph_verify_part *part = NULL;

    pthread_mutex_lock(&lanes->lock);
    if (lanes->rc == PH_OK && lanes->next < lanes->n_parts)
        part = &lanes->parts[lanes->next++];
    if (part != NULL && part->group->started_ns == 0)
        part->group->started_ns = ph_clock_ns();
    pthread_mutex_unlock(&lanes->lock);
    return part;
}

static void
fail(struct lanes *lanes, ph_code rc, const struct ph_error *error)
{
    pthread_mutex_lock(&lanes->lock);
    if (lanes->rc == PH_OK) {
        lanes->rc = rc;
        lanes->error = *error;
    }
    pthread_mutex_unlock(&lanes->lock);
}

/* ---- one part ---- */

static bool
begin_group(struct ph_verify_group *group)
{
    if (group->has_sets)
        return true;
    group->has_sets = ph_digest_set_init(&group->sets[PH_SOURCE], group->target_view.n_buckets) &&
                      ph_digest_set_init(&group->sets[PH_TARGET], group->target_view.n_buckets);
    return group->has_sets;
}

static void
free_sets(struct ph_verify_group *group)
{
    ph_digest_set_free(&group->sets[PH_SOURCE]);
    ph_digest_set_free(&group->sets[PH_TARGET]);
    group->has_sets = false;
}

/* The last part is in. Counted rows have no sums, so these are equal when the counts are. */
static bool
compare_group(struct lanes *lanes, struct ph_verify_group *group)
{
    bool kept = true;

    group->totals[PH_SOURCE] = ph_digest_set_total(&group->sets[PH_SOURCE]);
    group->totals[PH_TARGET] = ph_digest_set_total(&group->sets[PH_TARGET]);
    if (lanes->verify->options->verify == PH_VERIFY_COUNT) {
        group->differs = group->sets[PH_SOURCE].rows != group->sets[PH_TARGET].rows;
    } else {
        kept = ph_bucket_mask_init(&group->mask, &group->sets[PH_SOURCE], &group->sets[PH_TARGET]);
        group->differs = kept && group->mask.n_unequal > 0;
        if (!group->differs)
            ph_bucket_mask_free(&group->mask);
    }
    group->compared = true;
    group->seconds = ph_clock_seconds_since(group->started_ns);
    free_sets(group);
    atomic_fetch_add(&lanes->groups_done, 1);
    return kept;
}

static ph_code
add_up(struct lanes *lanes, const struct ph_verify_part *part, const struct ph_digest_set *set,
       struct ph_error *err)
{
    struct ph_verify_group *group = part->group;
    bool ok;

    pthread_mutex_lock(&lanes->lock);
    ok = begin_group(group);
    if (ok)
        ph_digest_set_add(&group->sets[part->side], set);
    if (ok && --group->parts_left == 0)
        ok = compare_group(lanes, group);
    pthread_mutex_unlock(&lanes->lock);
    atomic_fetch_add(&lanes->parts_done, 1);
    return ok ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for the digests of a table");
}

static void
show(struct worker *worker, struct ph_task *task, const struct ph_verify_part *part)
{
    pthread_mutex_lock(&worker->show_lock);
    worker->shown = task;
    if (part != NULL)
        worker->part = part;
    pthread_mutex_unlock(&worker->show_lock);
}

static ph_code
hash_part(struct worker *worker, const struct ph_verify_part *part, struct ph_digest_set *set,
          struct ph_error *err)
{
    struct lanes *lanes = worker->lanes;
    struct ph_task task = {.table = part->view,
                           .chunk = &part->chunk,
                           .side = part->side,
                           .epoch = &lanes->verify->epochs[part->side],
                           .digest = set};
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)4 << 20);
    ph_plan_copy_out_sql(part->view, &part->chunk, &sql);
    if (!ph_buf_ok(&sql)) {
        ph_buf_free(&sql);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    task.read_sql = ph_buf_text(&sql);
    show(worker, &task, part);
    ph_code rc = ph_lane_run(&worker->lane, &task, &ph_null_sink_ops, NULL, err);
    show(worker, NULL, NULL);
    if (rc == PH_OK) {
        atomic_fetch_add(&lanes->rows_done, atomic_load(&task.rows));
        atomic_fetch_add(&lanes->bytes_done, atomic_load(&task.bytes));
    }
    ph_task_end(&task);
    ph_buf_free(&sql);
    return rc;
}

static ph_code
begin_counting(struct worker *worker, enum ph_side side, struct ph_error *err)
{
    struct ph_copy_source *source = &worker->source.sides[side];
    const char *snapshot_id = worker->lanes->verify->epochs[side].snapshot_id;

    if (source->conn != NULL && source->tables++ < COUNTED_PER_TRANSACTION)
        return PH_OK;
    if (source->conn == NULL)
        PH_TRY(ph_conn_open(source->endpoint, source->purpose, &source->conn, err));
    else
        PH_TRY(ph_conn_exec(source->conn, "COMMIT", err));
    source->tables = 0;
    return ph_snapshot_import(source->conn, snapshot_id, err);
}

/* Rows are only counted: in a connection of this thread, no lane is needed. */
static ph_code
count_part(struct worker *worker, const struct ph_verify_part *part, struct ph_digest_set *set,
           struct ph_error *err)
{
    struct ph_copy_source *source = &worker->source.sides[part->side];
    struct ph_buf sql;
    char n[32] = "0";
    ph_code rc = PH_OK;

    rc = begin_counting(worker, part->side, err);
    if (rc == PH_OK)
        rc = ph_snapshot_lock(source->conn, part->view->source, err);
    ph_buf_init(&sql, (size_t)1 << 20);
    ph_buf_puts(&sql, "SELECT pg_catalog.count(*) FROM ");
    ph_row_scan_put_from(part->view, PH_SOURCE, &sql);
    if (part->view->where[PH_SOURCE] != NULL)
        ph_buf_printf(&sql, " %s", part->view->where[PH_SOURCE]);
    if (rc == PH_OK)
        rc = ph_conn_value(source->conn, ph_buf_text(&sql), n, sizeof n, err);
    set->rows = set->buckets[0].rows = strtoull(n, NULL, 10);
    ph_buf_free(&sql);
    if (rc != PH_OK)
        ph_copy_source_free(source); /* it may be given up in the middle of something */
    atomic_fetch_add(&worker->lanes->rows_done, set->rows);
    return rc;
}

static ph_code
run_part(struct worker *worker, const struct ph_verify_part *part, struct ph_error *err)
{
    struct ph_digest_set set;
    ph_code rc;

    PH_TRY(ph_stop_check(err));
    if (!ph_digest_set_init(&set, part->group->target_view.n_buckets))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the digests of a table");
    if (worker->lanes->verify->options->verify == PH_VERIFY_COUNT &&
        ph_plan_rows_can_be_counted(part->view))
        rc = count_part(worker, part, &set, err);
    else
        rc = hash_part(worker, part, &set, err);
    if (rc == PH_OK)
        rc = add_up(worker->lanes, part, &set, err);
    else
        ph_error_note(err, "reading %s.%s on the %s", part->view->source->schema,
                      part->view->source->name, ph_side_name(part->side));
    ph_digest_set_free(&set);
    return rc;
}

static bool
has_failed(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    bool failed = lanes->rc != PH_OK;
    pthread_mutex_unlock(&lanes->lock);
    return failed;
}

/*
 * A part whose connection was lost is read again over a new one, under the same snapshot: the rest
 * is not lost with it. A server that is away for longer, or a snapshot that is gone, is for those
 * who began all this.
 */
static ph_code
try_part(struct worker *worker, const struct ph_verify_part *part, struct ph_error *err)
{
    for (unsigned n = 0;; n++) {
        ph_error_reset(err);
        ph_code rc = run_part(worker, part, err);
        if (rc == PH_OK || n == PART_RETRIES || !ph_error_is_retryable(err) ||
            has_failed(worker->lanes) || ph_stop_requested())
            return rc;
        ph_log_failure(PH_LOG_WARN, err);
        ph_log(PH_LOG_WARN, "retry", "this part is read again");
        (void)ph_stop_wait_ms(PART_PAUSE_MS << n);
    }
}

static void *
run_worker(void *arg)
{
    struct worker *worker = arg;
    struct ph_verify_part *part;
    struct ph_error err;

    ph_error_reset(&err);
    while ((part = next_part(worker->lanes)) != NULL) {
        ph_code rc = try_part(worker, part, &err);
        if (rc != PH_OK)
            fail(worker->lanes, rc, &err);
    }
    return NULL;
}

/* ---- watching ---- */

static void
read_worker(struct worker *worker, struct ph_lane_progress *out)
{
    pthread_mutex_lock(&worker->show_lock);
    if (worker->shown != NULL) {
        bool is_source = worker->part->side == PH_SOURCE;
        snprintf(out->label, sizeof out->label, "%s on the %s", worker->part->group->label,
                 ph_side_name(worker->part->side));
        out->state = PH_LANE_VERIFY;
        out->rows = atomic_load(&worker->shown->rows);
        out->bytes = atomic_load(&worker->shown->bytes);
        out->waiting_for = ph_lane_waits_for(&worker->lane) != PH_LANE_WAIT_SOURCE
                               ? PH_WAIT_PGHAUL
                               : (is_source ? PH_WAIT_SOURCE : PH_WAIT_TARGET);
    }
    pthread_mutex_unlock(&worker->show_lock);
}

void
ph_verify_lanes_progress(void *arg, struct ph_progress *out)
{
    struct lanes *lanes = arg;

    out->rows_done += atomic_load(&lanes->rows_done);
    out->bytes_done += atomic_load(&lanes->bytes_done);
    for (uint32_t i = 0; i < lanes->n_workers && i < PH_PROGRESS_LANES; i++) {
        struct ph_lane_progress *lane = &out->lanes[out->n_lanes++];
        read_worker(&lanes->workers[i], lane);
        out->rows_done += lane->rows;
        out->bytes_done += lane->bytes;
    }
}

static void
read_progress(void *arg, struct ph_progress *out)
{
    struct lanes *lanes = arg;

    snprintf(out->phase, sizeof out->phase, "verify");
    out->tables = out->verify_tables = lanes->n_groups;
    out->tables_done = out->verify_tables_done = (uint32_t)atomic_load(&lanes->groups_done);
    out->chunks = lanes->n_parts;
    out->chunks_done = (uint32_t)atomic_load(&lanes->parts_done);
    out->rows = lanes->rows;
    out->bytes = lanes->bytes;
    out->elapsed_s = ph_clock_seconds_since(lanes->verify->started_ns);
    ph_verify_lanes_progress(lanes, out);
}

/* A live verification shows all of its windows as one. */
static const struct ph_observer *
observer_of(const struct lanes *lanes)
{
    static const struct ph_observer none = {0};

    return lanes->verify->live != NULL ? &none : &lanes->verify->run->observer;
}

static void
watch_begin(struct lanes *lanes)
{
    const struct ph_observer *observer = observer_of(lanes);

    pthread_mutex_lock(&lanes->verify->watch_lock);
    lanes->verify->budget = &lanes->budget;
    lanes->verify->lanes = lanes;
    pthread_mutex_unlock(&lanes->verify->watch_lock);
    if (observer->started != NULL)
        observer->started(observer->context, read_progress, lanes);
}

static void
watch_end(struct lanes *lanes)
{
    const struct ph_observer *observer = observer_of(lanes);

    if (observer->ended != NULL)
        observer->ended(observer->context);
    pthread_mutex_lock(&lanes->verify->watch_lock);
    lanes->verify->budget = NULL;
    lanes->verify->lanes = NULL;
    lanes->verify->past.rows += atomic_load(&lanes->rows_done);
    lanes->verify->past.bytes += atomic_load(&lanes->bytes_done);
    pthread_mutex_unlock(&lanes->verify->watch_lock);
}

/* ---- all of them ---- */

static ph_code
start_worker(struct lanes *lanes, uint32_t number, struct ph_error *err)
{
    struct worker *worker = &lanes->workers[number];
    struct ph_verify *verify = lanes->verify;
    char purpose[32];

    *worker = (struct worker){.lanes = lanes};
    pthread_mutex_init(&worker->show_lock, NULL);
    snprintf(purpose, sizeof purpose, "verify %u", number + 1);
    ph_side_source_init(&worker->source, &verify->endpoints[PH_SOURCE], purpose,
                        &verify->endpoints[PH_TARGET], purpose);
    size_t batch_bytes = ph_memory_of_batch(verify->options, verify->jobs);
    ph_digest_program_init(&worker->program, batch_bytes, verify->options->max_row_bytes);
    struct ph_lane_params params = {
        .source = &ph_side_source_ops,
        .source_state = &worker->source,
        .program = &ph_digest_program_ops,
        .program_state = &worker->program,
        .budget = &lanes->budget,
        .batch_bytes = batch_bytes,
        .max_row_bytes = verify->options->max_row_bytes,
    };
    PH_TRY(ph_lane_start(&worker->lane, &params, err));
    if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
        return PH_FAIL(err, PH_E_MEMORY, "cannot start a thread");
    worker->started = true;
    return PH_OK;
}

static void
free_worker(struct worker *worker)
{
    ph_lane_stop(&worker->lane);
    ph_digest_program_free(&worker->program);
    ph_side_source_free(&worker->source);
    pthread_mutex_destroy(&worker->show_lock);
}

static void
run_workers(struct lanes *lanes, uint32_t wanted)
{
    struct ph_error err;
    ph_code rc = PH_OK;

    ph_error_reset(&err);
    while (rc == PH_OK && lanes->n_workers < wanted) {
        rc = start_worker(lanes, lanes->n_workers, &err);
        lanes->n_workers++;
    }
    if (rc != PH_OK)
        fail(lanes, rc, &err);
    watch_begin(lanes);
    for (uint32_t i = 0; i < lanes->n_workers; i++) {
        if (lanes->workers[i].started)
            pthread_join(lanes->workers[i].thread, NULL);
    }
    watch_end(lanes); /* the display looks at the lanes until here */
    for (uint32_t i = 0; i < lanes->n_workers; i++)
        free_worker(&lanes->workers[i]);
}

ph_code
ph_verify_read(struct ph_verify *verify, struct ph_verify_group *groups, uint32_t n_groups,
               struct ph_error *err)
{
    struct lanes *lanes = calloc(1, sizeof *lanes);
    ph_code rc;

    if (lanes == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    *lanes = (struct lanes){.verify = verify, .groups = groups, .n_groups = n_groups};
    pthread_mutex_init(&lanes->lock, NULL);
    ph_budget_init(&lanes->budget, verify->options->max_rate_bytes);
    rc = list_parts(lanes, err);
    uint32_t wanted = verify->jobs < lanes->n_parts ? verify->jobs : lanes->n_parts;
    lanes->workers = calloc((size_t)wanted + 1, sizeof *lanes->workers);
    if (rc == PH_OK && lanes->workers == NULL)
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK) {
        run_workers(lanes, wanted);
        rc = lanes->rc;
        if (rc != PH_OK)
            *err = lanes->error;
    }
    for (uint32_t i = 0; i < n_groups; i++)
        free_sets(&groups[i]);
    ph_budget_destroy(&lanes->budget);
    pthread_mutex_destroy(&lanes->lock);
    free(lanes->workers);
    free(lanes);
    return rc;
}
