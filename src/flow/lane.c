#include "flow/lane.h"

#include <assert.h>

#include "flow/row_key.h"
#include "pg/conn.h"
#include "rules/ruleset.h"

#define BATCH_BYTES ((size_t)256 << 10)
#define SMALLEST_BATCH ((size_t)32 << 10)

static struct ph_batch *
take_from(struct ph_ring *ring)
{
    struct ph_batch *batch = ph_ring_pop(ring);

    if (batch == NULL)
        return NULL;
    batch->len = 0;
    batch->rows = 0;
    batch->is_last = false;
    batch->has_more = false;
    return batch;
}

static struct ph_batch *
take_free(struct ph_lane *lane)
{
    return take_from(&lane->free);
}

/* Wait until this lane's own large batch has come back; the others are held meanwhile. */
static bool
await_large(struct ph_lane *lane)
{
    struct ph_batch *held[PH_LANE_BATCHES];
    size_t n_held = 0;

    while (atomic_load(&lane->large_out)) {
        struct ph_batch *batch = take_free(lane);
        if (batch == NULL)
            return false;
        held[n_held++] = batch;
    }
    while (n_held > 0)
        (void)ph_ring_push(&lane->free, &held[--n_held]);
    return true;
}

/* One large row at a time in all of pghaul. */
static ph_code
make_room(struct ph_lane *lane, const struct ph_task *task, struct ph_batch *batch, size_t need,
          struct ph_error *err)
{
    if (need > lane->params.max_row_bytes) {
        size_t shown =
            batch->capacity < PH_COPY_SHOWN_BYTES ? batch->capacity : PH_COPY_SHOWN_BYTES;
        char key[200];
        ph_row_key_text(task->table, (struct ph_span){batch->data, shown}, key, sizeof key);
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "the row %s of %zu bytes is larger than --max-row",
                       key, need);
    }
    if (!await_large(lane))
        return PH_FAIL(err, PH_E_STOPPED, "stopped");
    ph_budget_large_begin(lane->params.budget, lane);
    if (!ph_batch_grow(batch, need)) {
        ph_budget_large_end(lane->params.budget, lane);
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a row of %zu bytes", need);
    }
    batch->is_large = true;
    atomic_store(&lane->large_out, true);
    return PH_OK;
}

static ph_code
fill(struct ph_lane *lane, const struct ph_task *task, struct ph_batch *batch, struct ph_error *err)
{
    const struct ph_lane_params *p = &lane->params;

    ph_budget_gate(p->budget, lane);
    ph_code rc = p->source->read(p->source_state, batch->data, batch->capacity, &batch->len, err);
    if (rc == PH_E_ROW_TOO_LARGE) {
        size_t need = batch->len;
        batch->len = 0;
        if (need > batch->capacity)
            PH_TRY(make_room(lane, task, batch, need, err));
        rc = p->source->read(p->source_state, batch->data, batch->capacity, &batch->len, err);
    }
    if (rc != PH_OK)
        batch->len = 0;
    ph_budget_used(p->budget, batch->len);
    return rc;
}

/* Reads a task to its end. false: the lane is ending. */
static bool
read_task(struct ph_lane *lane, struct ph_task *task)
{
    const struct ph_lane_params *p = &lane->params;

    task->source_rc = p->source->open(p->source_state, task, &task->source_error);
    for (;;) {
        struct ph_batch *batch = take_free(lane);
        if (batch == NULL)
            return false;
        if (task->source_rc == PH_OK && !atomic_load(&task->cancelled))
            task->source_rc = fill(lane, task, batch, &task->source_error);
        bool is_last = batch->len == 0;
        batch->is_last = is_last;
        atomic_fetch_add(&task->bytes, batch->len);
        if (is_last && (task->source_rc != PH_OK || atomic_load(&task->cancelled)))
            p->source->abandon(p->source_state);
        if (!ph_ring_push(&lane->raw, &batch))
            return false;
        if (is_last)
            return true;
    }
}

static void *
run_source(void *arg)
{
    struct ph_lane *lane = arg;
    struct ph_task *task;

    while ((task = ph_ring_pop(&lane->todo)) != NULL) {
        if (!read_task(lane, task))
            break;
    }
    lane->params.source->abandon(lane->params.source_state);
    return NULL;
}

/* ---- program thread ---- */

/* `has_rows`: of the batch itself, or left of the one before. */
static void
run_batch(struct ph_lane *lane, struct ph_task *task, struct ph_batch *batch, bool has_rows)
{
    const struct ph_lane_params *p = &lane->params;

    if (!lane->opened_at_program) {
        task->program_rc = p->program->open(p->program_state, task, &task->program_error);
        lane->opened_at_program = true;
    }
    if (task->program_rc == PH_OK && !atomic_load(&task->cancelled) && has_rows)
        task->program_rc = p->program->run(p->program_state, task, batch, &task->program_error);
    if (batch->is_last && task->program_rc == PH_OK && task->source_rc == PH_OK &&
        !atomic_load(&task->cancelled))
        task->program_rc = p->program->end(p->program_state, task, &task->program_error);
    if (task->program_rc != PH_OK) {
        atomic_store(&task->cancelled, true);
        batch->rows = 0;
        batch->has_more = false;
    }
    atomic_fetch_add(&task->rows, batch->rows);
}

/* One batch of the source, and what more it takes to hold what is made of it. false: ending. */
static bool
run_whole(struct ph_lane *lane, struct ph_batch *batch)
{
    struct ph_task *task = lane->task_at_program;

    run_batch(lane, task, batch, batch->len > 0);
    for (;;) {
        bool has_more = batch->has_more;
        if (!ph_ring_push(&lane->ready, &batch))
            return false;
        if (!has_more)
            return true;
        batch = take_from(&lane->more);
        if (batch == NULL)
            return false;
        run_batch(lane, task, batch, true);
    }
}

static void *
run_program(void *arg)
{
    struct ph_lane *lane = arg;
    struct ph_batch *batch;

    while ((batch = ph_ring_pop(&lane->raw)) != NULL) {
        if (!run_whole(lane, batch))
            break;
    }
    return NULL;
}

/* ---- owner ---- */

/*
 * A batch that was grown for one row goes back to its usual size, and the token with it: at once,
 * since the source may have nothing to read for long, and the other lanes wait for the token. A
 * batch that stays large for want of memory keeps it no longer either.
 */
static void
end_large(struct ph_lane *lane, struct ph_batch *batch)
{
    if (batch->capacity <= lane->params.batch_bytes && !batch->is_large)
        return;
    bool is_large = batch->is_large;
    (void)ph_batch_grow(batch, lane->params.batch_bytes);
    batch->is_large = false;
    if (!is_large) /* rules have made much of few rows */
        return;
    atomic_store(&lane->large_out, false);
    ph_budget_large_end(lane->params.budget, lane);
}

static void
give_back(struct ph_lane *lane, struct ph_batch *batch)
{
    end_large(lane, batch);
    bool pushed = ph_ring_push(batch->is_more ? &lane->more : &lane->free, &batch);

    assert(pushed); /* the rings hold their whole pools and are closed only by ph_lane_stop */
    (void)pushed;
}

static ph_code
write_batches(struct ph_lane *lane, struct ph_task *task, const struct ph_sink_ops *sink,
              void *sink_state, ph_code rc, struct ph_error *err)
{
    for (bool is_last = false; !is_last;) {
        struct ph_batch *batch = ph_ring_pop(&lane->ready);
        if (batch == NULL)
            return PH_FAIL(err, PH_E_INTERNAL, "the lane ended before its task");
        is_last = batch->is_last;
        if (rc == PH_OK && batch->len > 0 && !atomic_load(&task->cancelled))
            rc = sink->write(sink_state, batch, err);
        if (rc != PH_OK)
            atomic_store(&task->cancelled, true);
        give_back(lane, batch);
    }
    return rc;
}

ph_code
ph_lane_run(struct ph_lane *lane, struct ph_task *task, const struct ph_sink_ops *sink,
            void *sink_state, struct ph_error *err)
{
    ph_code rc;
    struct ph_task *handed = task;

    /* no batch is in flight between two tasks, so the program thread is not looking */
    lane->task_at_program = task;
    lane->opened_at_program = false;
    if (!ph_ring_push(&lane->todo, &handed))
        return PH_FAIL(err, PH_E_INTERNAL, "the lane has ended");
    rc = sink->begin(sink_state, task, err);
    if (rc != PH_OK)
        atomic_store(&task->cancelled, true);
    rc = write_batches(lane, task, sink, sink_state, rc, err);
    if (task->source_rc != PH_OK) {
        rc = task->source_rc;
        *err = task->source_error;
    } else if (task->program_rc != PH_OK) {
        rc = task->program_rc;
        *err = task->program_error;
    }
    if (rc == PH_OK)
        rc = sink->end(sink_state, task, atomic_load(&task->rows), err);
    else
        sink->abandon(sink_state, task);
    return rc;
}

static void
free_parts(struct ph_lane *lane)
{
    struct ph_ring *rings[] = {&lane->todo, &lane->raw, &lane->ready, &lane->free, &lane->more};

    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++) {
        if (rings[i]->slots == NULL)
            continue;
        while (ph_ring_drain(rings[i]) != NULL)
            continue;
        ph_ring_destroy(rings[i]);
    }
    for (size_t i = 0; i < PH_LANE_BATCHES; i++)
        ph_batch_free(&lane->batches[i]);
    for (size_t i = 0; i < PH_LANE_MORE; i++)
        ph_batch_free(&lane->more_batches[i]);
}

static bool
init_parts(struct ph_lane *lane)
{
    if (!ph_ring_init(&lane->todo, 1) || !ph_ring_init(&lane->raw, PH_LANE_BATCHES) ||
        !ph_ring_init(&lane->ready, PH_LANE_BATCHES + PH_LANE_MORE) ||
        !ph_ring_init(&lane->free, PH_LANE_BATCHES) || !ph_ring_init(&lane->more, PH_LANE_MORE))
        return false;
    for (size_t i = 0; i < PH_LANE_BATCHES; i++) {
        struct ph_batch *batch = &lane->batches[i];
        if (!ph_batch_init(batch, lane->params.batch_bytes) || !ph_ring_push(&lane->free, &batch))
            return false;
    }
    for (size_t i = 0; i < PH_LANE_MORE; i++) {
        struct ph_batch *batch = &lane->more_batches[i];
        *batch = (struct ph_batch){.is_more = true};
        if (!ph_ring_push(&lane->more, &batch))
            return false;
    }
    return true;
}

size_t
ph_lane_batch_bytes(size_t room)
{
    return room > BATCH_BYTES ? BATCH_BYTES : room < SMALLEST_BATCH ? SMALLEST_BATCH : room;
}

ph_code
ph_lane_start(struct ph_lane *lane, const struct ph_lane_params *params, struct ph_error *err)
{
    *lane = (struct ph_lane){.params = *params};
    if (!init_parts(lane)) {
        free_parts(lane);
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a lane of %d batches of %zu bytes",
                       PH_LANE_BATCHES, params->batch_bytes);
    }
    if (pthread_create(&lane->source_thread, NULL, run_source, lane) != 0) {
        free_parts(lane);
        return PH_FAIL(err, PH_E_MEMORY, "cannot start a thread");
    }
    if (pthread_create(&lane->program_thread, NULL, run_program, lane) != 0) {
        ph_ring_abort(&lane->todo);
        pthread_join(lane->source_thread, NULL);
        free_parts(lane);
        return PH_FAIL(err, PH_E_MEMORY, "cannot start a thread");
    }
    lane->started = true;
    return PH_OK;
}

void
ph_lane_stop(struct ph_lane *lane)
{
    if (!lane->started)
        return;
    ph_ring_abort(&lane->todo);
    ph_ring_abort(&lane->free);
    ph_ring_abort(&lane->more);
    ph_ring_abort(&lane->raw);
    ph_ring_abort(&lane->ready);
    pthread_join(lane->source_thread, NULL);
    pthread_join(lane->program_thread, NULL);
    ph_budget_large_end(lane->params.budget, lane);
    free_parts(lane);
    lane->started = false;
}

enum ph_lane_wait
ph_lane_waits_for(struct ph_lane *lane)
{
    size_t raw = ph_ring_get_waits(&lane->raw).count;
    size_t ready = ph_ring_get_waits(&lane->ready).count;

    /* all batches lie in front of the slow stage */
    if (ready >= PH_LANE_BATCHES / 2)
        return PH_LANE_WAIT_SINK;
    if (raw >= PH_LANE_BATCHES / 2)
        return PH_LANE_WAIT_PROGRAM;
    return PH_LANE_WAIT_SOURCE;
}
