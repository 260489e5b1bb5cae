/*
 * Handing out and running steps (see ddl_step.h).
 *
 * A step counts what it still waits for; when a table's rows arrive or a step ends, those that
 * waited count down. So 5,000 tables cost a few passes over small arrays, not a search each.
 */
#include "pg/ddl_step.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "pg/ddl.h"

#define SCRIPT_LIMIT_BYTES ((size_t)1 << 30)

static bool
locks_conflict(enum ph_step_lock a, enum ph_step_lock b)
{
    enum ph_step_lock weak = a < b ? a : b;
    enum ph_step_lock strong = a < b ? b : a;

    switch (weak) {
    case PH_LOCK_NONE:
        return false;
    case PH_LOCK_ROW_SHARE:
        return strong == PH_LOCK_EXCLUSIVE;
    case PH_LOCK_SHARE_UPDATE:
        return true;
    case PH_LOCK_SHARE:
        return strong == PH_LOCK_SHARE_ROW || strong == PH_LOCK_EXCLUSIVE;
    case PH_LOCK_SHARE_ROW:
    case PH_LOCK_ATTACH:
    case PH_LOCK_EXCLUSIVE:
        return true;
    }
    return true;
}

static bool
tables_conflict(const struct ph_step_table *a, const struct ph_step_table *b)
{
    bool overlap = a->oid == b->oid || (a->root == b->root && (a->whole_tree || b->whole_tree));

    if (a->lock == PH_LOCK_ATTACH || b->lock == PH_LOCK_ATTACH) {
        const struct ph_step_table *other = a->lock == PH_LOCK_ATTACH ? b : a;

        return a->root == b->root &&
               (other->lock == PH_LOCK_ATTACH || other->is_parent || other->whole_tree);
    }
    return overlap && locks_conflict(a->lock, b->lock);
}

static bool
steps_conflict(const struct ph_step *a, const struct ph_step *b)
{
    for (uint32_t i = 0; i < a->n_tables; i++) {
        for (uint32_t k = 0; k < b->n_tables; k++) {
            if (tables_conflict(&a->tables[i], &b->tables[k]))
                return true;
        }
    }
    return false;
}

static bool
may_run(const struct ph_steps *steps, const struct ph_step *step)
{
    for (uint32_t i = 0; i < steps->n_running; i++) {
        if (steps_conflict(step, &steps->steps[steps->running[i]]))
            return false;
    }
    return true;
}

/* Short ones that let others start come first, then the longest. */
static bool
goes_before(const struct ph_step *a, const struct ph_step *b)
{
    bool a_short = a->kind == PH_STEP_FK || a->kind == PH_STEP_ATTACH;
    bool b_short = b->kind == PH_STEP_FK || b->kind == PH_STEP_ATTACH;

    if (a_short != b_short)
        return a_short;
    return a->bytes > b->bytes;
}

static void
unblock(struct ph_steps *steps, uint32_t index)
{
    struct ph_step *step = &steps->steps[index];

    assert(step->n_blockers > 0);
    step->n_blockers--;
    if (step->n_blockers == 0 && step->state == PH_STEP_WAITING) {
        step->state = PH_STEP_READY;
        steps->ready[steps->n_ready++] = index;
    }
}

void
ph_steps_table_done(struct ph_steps *steps, ph_oid oid)
{
    uint32_t lo = 0;
    uint32_t hi = steps->n_waits;

    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;

        if (steps->waits[middle].oid < oid)
            lo = middle + 1;
        else
            hi = middle;
    }
    for (; lo < steps->n_waits && steps->waits[lo].oid == oid; lo++) {
        uint32_t step = steps->waits[lo].step;

        if (step != UINT32_MAX) {
            steps->waits[lo].step = UINT32_MAX; /* said twice counts once */
            unblock(steps, step);
        }
    }
}

struct ph_step *
ph_steps_take(struct ph_steps *steps)
{
    uint32_t best = UINT32_MAX;
    struct ph_step *step;

    for (uint32_t i = 0; i < steps->n_ready; i++) {
        struct ph_step *candidate = &steps->steps[steps->ready[i]];

        if (best != UINT32_MAX && !goes_before(candidate, &steps->steps[steps->ready[best]]))
            continue;
        if (may_run(steps, candidate))
            best = i;
    }
    if (best == UINT32_MAX)
        return NULL;
    step = &steps->steps[steps->ready[best]];
    steps->running[steps->n_running++] = steps->ready[best];
    steps->ready[best] = steps->ready[--steps->n_ready];
    step->state = PH_STEP_RUNNING;
    return step;
}

static uint32_t
stop_running(struct ph_steps *steps, const struct ph_step *step)
{
    uint32_t index = (uint32_t)(step - steps->steps);

    assert(step->state == PH_STEP_RUNNING);
    for (uint32_t i = 0; i < steps->n_running; i++) {
        if (steps->running[i] == index) {
            steps->running[i] = steps->running[--steps->n_running];
            break;
        }
    }
    return index;
}

void
ph_steps_finish(struct ph_steps *steps, struct ph_step *step)
{
    (void)stop_running(steps, step);
    step->state = PH_STEP_DONE;
    steps->n_done++;
    for (uint32_t i = 0; i < step->n_dependents; i++)
        unblock(steps, step->dependents[i]);
}

void
ph_steps_put_back(struct ph_steps *steps, struct ph_step *step)
{
    uint32_t index = stop_running(steps, step);

    step->state = PH_STEP_READY;
    steps->ready[steps->n_ready++] = index;
}

bool
ph_steps_all_done(const struct ph_steps *steps)
{
    return steps->n_done == steps->n_steps;
}

void
ph_steps_reset(struct ph_steps *steps)
{
    ph_arena_reset(&steps->arena);
    *steps = (struct ph_steps){0};
}

static void
put_items(struct ph_buf *script, const struct ph_step_sql *items, uint32_t n)
{
    const char *settings = "";

    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(settings, items[i].settings) != 0)
            ph_ddl_put_settings(script, items[i].settings);
        settings = items[i].settings;
        ph_buf_puts(script, items[i].sql);
        ph_buf_puts(script, ";\n");
    }
}

/* Begins the transaction and runs items in it, all in one query. */
static ph_code
run_items(struct ph_conn *conn, const struct ph_step_sql *items, uint32_t n, struct ph_error *err)
{
    struct ph_buf script;
    ph_code rc;

    ph_buf_init(&script, SCRIPT_LIMIT_BYTES);
    ph_buf_puts(&script, PH_DDL_BEGIN);
    put_items(&script, items, n);
    rc = ph_buf_ok(&script) ? ph_conn_exec(conn, ph_buf_text(&script), err)
                            : PH_FAIL(err, PH_E_MEMORY, "a batch of entries is too large");
    ph_buf_free(&script);
    if (rc != PH_OK && n == 1 && items[0].entry != NULL) {
        ph_ddl_name_error(items[0].entry, err);
        return err != NULL ? err->code : rc;
    }
    return rc;
}

/* Many entries that failed at once: one by one until the culprit is found, or all went well. */
static ph_code
run_items_singly(struct ph_conn *conn, const struct ph_step *step, struct ph_error *err)
{
    ph_error_reset(err);
    PH_TRY(ph_conn_exec(conn, "ROLLBACK", err));
    PH_TRY(run_items(conn, &step->sql[0], 1, err));
    for (uint32_t i = 1; i < step->n_sql; i++) {
        struct ph_archive_entry entry = {.desc = "", .schema = "", .tag = "", .owner = ""};

        if (step->sql[i].entry != NULL)
            entry = *step->sql[i].entry;
        entry.settings = step->sql[i].settings;
        entry.sql = step->sql[i].sql;
        PH_TRY(ph_ddl_run_entry(conn, &entry, err));
    }
    return PH_OK;
}

ph_code
ph_ddl_run_step(struct ph_conn *conn, const struct ph_step *step,
                ph_code (*on_done)(void *arg, struct ph_conn *conn, const struct ph_step *step,
                                   struct ph_error *err),
                void *arg, struct ph_error *err)
{
    ph_code rc = run_items(conn, step->sql, step->n_sql, err);

    if (rc != PH_OK && rc != PH_E_STOPPED && step->n_sql > 1 && ph_conn_is_alive(conn))
        rc = run_items_singly(conn, step, err);
    if (rc == PH_OK && on_done != NULL)
        rc = on_done(arg, conn, step, err);
    PH_FAILPOINT(step_before_commit);
    if (rc == PH_OK)
        rc = ph_conn_exec(conn, "COMMIT", err);
    else if (ph_conn_is_alive(conn))
        (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    PH_FAILPOINT(step_after_commit);
    if (rc != PH_OK)
        ph_error_note(err, "step %s", step->key);
    return rc;
}
