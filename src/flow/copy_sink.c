#include "flow/copy_sink.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "pg/ledger_preserved.h"
#include "pg/ledger_quarantine.h"
#include "rules/ruleset.h"

void
ph_copy_sink_init(struct ph_copy_sink *sink, const struct ph_endpoint *endpoint,
                  const char *purpose, const char *job, const char *session_sql)
{
    *sink = (struct ph_copy_sink){.endpoint = endpoint, .job = job, .session_sql = session_sql};
    snprintf(sink->purpose, sizeof sink->purpose, "%s", purpose);
}

void
ph_copy_sink_free(struct ph_copy_sink *sink)
{
    ph_conn_free(sink->conn);
    sink->conn = NULL;
}

ph_code
ph_copy_sink_connect(struct ph_copy_sink *sink, struct ph_error *err)
{
    if (sink->conn != NULL && ph_conn_is_alive(sink->conn))
        return PH_OK;
    ph_copy_sink_free(sink);
    PH_TRY(ph_conn_open(sink->endpoint, sink->purpose, &sink->conn, err));
    ph_code rc = ph_conn_exec(sink->conn, sink->session_sql, err);
    if (rc != PH_OK)
        ph_copy_sink_free(sink);
    return rc;
}

ph_code
ph_copy_sink_begin_lot(struct ph_copy_sink *sink, uint32_t lot, enum ph_claim wait, uint32_t *n,
                       struct ph_error *err)
{
    *n = 0;
    PH_TRY(ph_copy_sink_connect(sink, err));
    PH_TRY(ph_conn_exec(sink->conn, "BEGIN", err));
    ph_code rc = ph_ledger_claim_lot(sink->conn, sink->job, lot, wait, n, err);
    if (rc != PH_OK || *n == 0)
        ph_copy_sink_rollback(sink);
    PH_FAILPOINT(after_claim);
    return rc;
}

ph_code
ph_copy_sink_commit(struct ph_copy_sink *sink, struct ph_error *err)
{
    PH_FAILPOINT(before_commit);
    ph_code rc = ph_conn_exec(sink->conn, "COMMIT", err);
    if (rc != PH_OK)
        ph_copy_sink_rollback(sink);
    PH_FAILPOINT(after_commit);
    return rc;
}

void
ph_copy_sink_rollback(struct ph_copy_sink *sink)
{
    if (sink->conn == NULL)
        return;
    if (sink->copying)
        ph_conn_copy_in_abort(sink->conn, "pghaul gave up");
    sink->copying = false;
    if (!ph_conn_is_alive(sink->conn) || ph_conn_exec(sink->conn, "ROLLBACK", NULL) != PH_OK)
        ph_copy_sink_free(sink);
}

static ph_code
begin_chunk(void *state, const struct ph_task *task, struct ph_error *err)
{
    struct ph_copy_sink *sink = state;
    struct ph_buf sql;

    sink->chunk_started_ns = ph_clock_ns();
    ph_buf_init(&sql, (size_t)1 << 20);
    if (task->table->freeze) {
        ph_buf_puts(&sql, "TRUNCATE ONLY ");
        ph_buf_put_qualified(&sql, task->table->target->schema, task->table->target->name);
    }
    ph_code rc = task->table->freeze ? ph_conn_exec(sink->conn, ph_buf_text(&sql), err) : PH_OK;
    if (rc == PH_OK && task->table->ordered_by_fk) /* rings whose keys can wait are in one lot */
        rc = ph_conn_exec(sink->conn, "SET CONSTRAINTS ALL DEFERRED", err);
    ph_buf_clear(&sql);
    ph_plan_copy_in_sql(task->table, task->chunk, &sql);
    if (rc == PH_OK)
        rc = ph_buf_ok(&sql) ? ph_conn_copy_in_begin(sink->conn, ph_buf_text(&sql), err)
                             : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    sink->copying = rc == PH_OK;
    ph_buf_free(&sql);
    return rc;
}

static ph_code
write_chunk(void *state, const struct ph_batch *batch, struct ph_error *err)
{
    struct ph_copy_sink *sink = state;

    PH_FAILPOINT(before_write);
    return ph_conn_copy_in_write(sink->conn, batch->data, batch->len, err);
}

static ph_code
put_orphans(struct ph_copy_sink *sink, const struct ph_task *task, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)1 << 20);
    ph_orphans_put(task->orphans, sink->job, (int32_t)task->chunk->number, &sql);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_exec(sink->conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

static ph_code
end_chunk(void *state, const struct ph_task *task, uint64_t rows, struct ph_error *err)
{
    struct ph_copy_sink *sink = state;
    uint64_t taken;

    sink->copying = false;
    PH_TRY(ph_conn_copy_in_end(sink->conn, &taken, err));
    PH_FAILPOINT(after_copy_before_receipt);
    if (taken != rows)
        return PH_FAIL(err, PH_E_INTERNAL, "%llu rows were sent but the target took %llu",
                       (unsigned long long)rows, (unsigned long long)taken);
    PH_TRY(ph_ledger_receipt(sink->conn, sink->job, task->chunk, task->epoch->number, task->digest,
                             ph_clock_seconds_since(sink->chunk_started_ns), err));
    PH_TRY(ph_ledger_quarantine(sink->conn, sink->job, task->table, task->chunk, &task->quarantine,
                                task->quarantined, err));
    PH_TRY(ph_preserved_left_out(sink->conn, sink->job, task->chunk, task->left_out, err));
    return task->orphans == NULL ? PH_OK : put_orphans(sink, task, err);
}

static void
abandon_chunk(void *state, const struct ph_task *task)
{
    (void)task;
    ph_copy_sink_rollback(state);
}

const struct ph_sink_ops ph_copy_sink_ops = {begin_chunk, write_chunk, end_chunk, abandon_chunk};

static ph_code
null_begin(void *state, const struct ph_task *task, struct ph_error *err)
{
    (void)state;
    (void)task;
    (void)err;
    return PH_OK;
}

static ph_code
null_write(void *state, const struct ph_batch *batch, struct ph_error *err)
{
    (void)state;
    (void)batch;
    (void)err;
    return PH_OK;
}

static ph_code
null_end(void *state, const struct ph_task *task, uint64_t rows, struct ph_error *err)
{
    (void)rows;
    return null_begin(state, task, err);
}

static void
null_abandon(void *state, const struct ph_task *task)
{
    (void)state;
    (void)task;
}

const struct ph_sink_ops ph_null_sink_ops = {null_begin, null_write, null_end, null_abandon};
