/*
 * Statements one behind the other without waiting for the answers, on a connection that is
 * otherwise an ordinary one.
 *
 *     queue, queue, …, sync        a stretch; it may be of any length
 *     wait                         what became of it: the first failure, counts that are not as
 *                                  expected. Whatever happened, the stretch is drained.
 *
 * When nothing is queued or under way (after new, after the wait for the last stretch) the
 * connection is ready for everything in conn.h: COPY, ROLLBACK TO SAVEPOINT by ph_conn_exec, …; the
 * next queue turns it into a pipeline again, without a round trip.
 *
 * Inside a stretch the server skips everything behind a failed statement, so COMMIT may stand in
 * the stretch of what it commits as far as failures go. Counts it does not look at. Two ways to
 * make COMMIT depend on them:
 * - sync, wait, look at the misses; then COMMIT is the first statement of the next stretch, in
 *   front of the BEGIN and the statements of the next group. Should COMMIT fail (deferred
 *   constraints), the server skips these.
 * - a statement that fails by itself: WITH hit AS (UPDATE … RETURNING 1) SELECT 1 / count(*) FROM
 *   hit; fails with 22012 unless a row was hit, and COMMIT behind it is skipped. Fits the ledger's
 *   compare-and-set; RETURNING costs too much for many rows.
 * A COMMIT that the server answers with ROLLBACK, since the transaction had failed in an earlier
 * stretch, counts as failed; what is queued behind it was not skipped.
 *
 * Statements for which `use` is PH_STATEMENT_PREPARED are prepared once and found again by their
 * full text and types; of too many the least recently used are deallocated, next to a preparation.
 * Transaction commands go PH_STATEMENT_ONCE (the others are refused in a failed transaction).
 *
 * Memory: what is queued is sent at once when it is more than 64 kB, so libpq holds one statement
 * and a little (its buffer grows to at most twice the largest statement and stays). Answers are
 * read while statements go out, so neither side waits for the other; behind an unread sync point
 * they stay in libpq, some 60 bytes a statement: wait before you queue very much more.
 *
 * Works with ph_endpoint_cancel_all: everything then fails with PH_E_STOPPED. The connection's
 * thread only.
 */
#ifndef PH_PG_CONN_PIPELINE_H
#define PH_PG_CONN_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "model/catalog.h"
#include "pg/conn.h"

struct ph_pipeline;

enum ph_param_kind { PH_PARAM_NULL, PH_PARAM_TEXT, PH_PARAM_BINARY };

struct ph_param {
    struct ph_span bytes; /* need not be terminated; a text holds no 0 byte */
    enum ph_param_kind kind;
};

enum ph_statement_use { PH_STATEMENT_ONCE, PH_STATEMENT_PREPARED };

#define PH_ROWS_ANY INT64_C(-1)

/* One statement. Nothing of it needs to live longer than the call, but for *result. */
struct ph_statement {
    const char *sql;
    const struct ph_param *params;
    const ph_oid *types; /* of the parameters, 0: the server infers it; NULL: all of them */
    uint32_t n_params;
    enum ph_statement_use use;
    int64_t expected_rows;     /* that it hits or returns, or PH_ROWS_ANY */
    uint64_t tag;              /* the caller's own; comes back in reports */
    struct ph_result **result; /* not NULL: its rows as text, the caller's; NULL when it failed */
};

struct ph_pipeline_miss {
    uint64_t tag;
    uint32_t index; /* in its stretch, from 0 */
    int64_t expected_rows;
    int64_t rows;
};

/* The statement that failed. Texts are "" where the server said nothing. */
struct ph_pipeline_failure {
    uint64_t tag;
    uint32_t index;
    char schema[128];
    char table[128];
    char column[128];
    char type[128];
    char constraint[128];
    char detail[1024]; /* holds row values: not for logs */
};

struct ph_pipeline_outcome {
    uint32_t n_statements; /* of the stretch */
    bool has_failure;      /* `failure` is filled: the server refused a statement */
    struct ph_pipeline_failure failure;
    /* Statements that came through with another count, in order. The pipeline's, until the next
     * wait or free. */
    const struct ph_pipeline_miss *misses;
    uint32_t n_misses;
};

/*
 * `max_prepared` statements at most stay prepared, but for those of an unfinished stretch. The
 * connection is borrowed; free the pipeline first. A connection that is left in the middle of a
 * stretch is not alive any more.
 */
ph_code ph_pipeline_new(struct ph_conn *conn, uint32_t max_prepared, struct ph_pipeline **out,
                        struct ph_error *err);
void ph_pipeline_free(struct ph_pipeline *pipeline); /* NULL is fine */

/*
 * Fails with PH_E_ROW_TOO_LARGE (over the protocol's 1 GB; nothing was queued and all goes on),
 * PH_E_MEMORY, and PH_E_CONNECT or PH_E_STOPPED when the connection is gone. What the server says
 * to earlier statements comes from wait.
 */
ph_code ph_pipeline_queue(struct ph_pipeline *pipeline, const struct ph_statement *statement,
                          struct ph_error *err);
/* A statement without parameters, not prepared. */
ph_code ph_pipeline_queue_plain(struct ph_pipeline *pipeline, const char *sql,
                                int64_t expected_rows, uint64_t tag, struct ph_error *err);
/* End the stretch and send all of it. Does not wait for answers. */
ph_code ph_pipeline_sync(struct ph_pipeline *pipeline, struct ph_error *err);
/*
 * Read on to the end of the oldest stretch that has not been waited for. Returns the first failure
 * of its statements as the functions of conn.h do, with outcome->failure, and the connection goes
 * on; or PH_E_CONNECT, PH_E_STOPPED, PH_E_PROTOCOL when it does not. Misses alone are PH_OK.
 */
ph_code ph_pipeline_wait(struct ph_pipeline *pipeline, struct ph_pipeline_outcome *outcome,
                         struct ph_error *err);

/*
 * Whenever a call has waited so long and nothing came, `call` is called, which must leave this
 * connection alone. NULL: no more.
 */
void ph_pipeline_set_impatience(struct ph_pipeline *pipeline, int after_ms, void (*call)(void *arg),
                                void *arg);

/* Nothing queued, nothing to wait for: the functions of conn.h may be used. */
bool ph_pipeline_is_idle(const struct ph_pipeline *pipeline);
/* Prepare everything afresh from here on: tables or settings of the session have changed. */
void ph_pipeline_forget(struct ph_pipeline *pipeline);
bool ph_pipeline_is_prepared(struct ph_pipeline *pipeline, const struct ph_statement *statement);

/*
 * Prepare the statement, if it is not yet, and look at its plan: *scans is true when it reads a
 * table from end to end, and `table` names the first such ("schema.table"; "" otherwise). The plan
 * shown is the generic one if the session has plan_cache_mode = force_generic_plan. Only while
 * idle; a failure ends a transaction under way, so look before BEGIN.
 */
ph_code ph_pipeline_explain(struct ph_pipeline *pipeline, const struct ph_statement *statement,
                            bool *scans, char *table, size_t table_size, struct ph_error *err);

#endif
