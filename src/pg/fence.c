#include "pg/fence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "pg/ledger.h"

#define LOCK_JOB 5799 /* the first of a pair; the second is the hash of the job's name */
#define LOCK_FIRST 5800
#define LOCK_SECOND 5801

static const char not_available_state[] = "55P03";

static const char *const state_names[] = {"asked", "stands", "taken", "cut", "good", "void"};

static int
lock_number(enum ph_fence_lock lock)
{
    return lock == PH_FENCE_FIRST ? LOCK_FIRST : LOCK_SECOND;
}

static ph_code
run(struct ph_conn *conn, const char *sql, int n, const char *const *params, int *hit,
    struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, sql, n, params, &r, err));
    if (hit != NULL)
        *hit = ph_result_affected(r);
    ph_result_free(r);
    return PH_OK;
}

static ph_code
ask_bool(struct ph_conn *conn, const char *sql, const char *job, bool *out, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, sql, 1, &job, &r, err));
    *out = ph_result_rows(r) == 1 && ph_result_bool(r, 0, 0);
    ph_result_free(r);
    return PH_OK;
}

/* ---- verify's ---- */

ph_code
ph_fence_lock_job(struct ph_conn *conn, const char *job, bool *taken, struct ph_error *err)
{
    char sql[96];

    snprintf(sql, sizeof sql, "SELECT pg_catalog.pg_try_advisory_lock(%d, hashtext($1))", LOCK_JOB);
    return ask_bool(conn, sql, job, taken, err);
}

ph_code
ph_fence_is_verified(struct ph_conn *conn, const char *job, bool *is, struct ph_error *err)
{
    char sql[400];

    snprintf(sql, sizeof sql,
             "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND"
             " l.classid = %d AND l.objid = (hashtext($1)::bigint & 4294967295)::oid AND l.granted"
             " AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"
             " WHERE d.datname = pg_catalog.current_database()))",
             LOCK_JOB);
    return ask_bool(conn, sql, job, is, err);
}

ph_code
ph_fence_ask(struct ph_conn *conn, const char *job, const char *id, struct ph_error *err)
{
    const char *params[] = {job, id};
    char sql[160];

    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.pg_advisory_lock(%d, hashtext($1)),"
             " pg_catalog.pg_advisory_lock(%d, hashtext($1))",
             LOCK_FIRST, LOCK_SECOND);
    PH_TRY(run(conn, sql, 1, params, NULL, err));
    return run(conn,
               "INSERT INTO pghaul.fence (job, id, state) VALUES ($1, $2, 'asked')"
               " ON CONFLICT (job) DO UPDATE SET id = excluded.id, state = 'asked',"
               " snapshot = NULL, cut = NULL, held_us = 0",
               2, params, NULL, err);
}

static enum ph_fence_state
state_of(const char *name)
{
    size_t i = 0;

    while (i < PH_FENCE_VOID && strcmp(name, state_names[i]) != 0)
        i++;
    return (enum ph_fence_state)i;
}

static ph_lsn
lsn_of(const struct ph_result *r, int column)
{
    ph_lsn lsn = 0;

    return ph_lsn_parse(ph_result_text(r, 0, column), &lsn) ? lsn : 0;
}

ph_code
ph_fence_look(struct ph_conn *conn, const char *job, const char *id, struct ph_fence_look *out,
              struct ph_error *err)
{
    const char *params[] = {job, id};
    struct ph_result *r;

    *out = (struct ph_fence_look){.is_replaced = true};
    PH_TRY(ph_conn_query(conn,
                         "SELECT f.state, f.cut, f.held_us, (SELECT min(p.lsn)"
                         " FROM pghaul.position p WHERE p.job = f.job) FROM pghaul.fence f"
                         " WHERE f.job = $1 AND f.id = $2",
                         2, params, &r, err));
    if (ph_result_rows(r) == 1)
        *out = (struct ph_fence_look){
            .state = state_of(ph_result_text(r, 0, 0)),
            .cut = lsn_of(r, 1),
            .held_us = ph_result_i64(r, 0, 2),
            .position = lsn_of(r, 3),
        };
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_fence_give_snapshot(struct ph_conn *conn, const char *job, const char *id, const char *snapshot,
                       bool *taken, struct ph_error *err)
{
    const char *params[] = {job, id, snapshot};
    int hit;

    PH_TRY(run(conn,
               "UPDATE pghaul.fence SET state = 'taken', snapshot = $3"
               " WHERE job = $1 AND id = $2 AND state = 'stands'",
               3, params, &hit, err));
    *taken = hit == 1;
    return PH_OK;
}

ph_code
ph_fence_unlock(struct ph_conn *conn, const char *job, enum ph_fence_lock lock,
                struct ph_error *err)
{
    char sql[96];

    snprintf(sql, sizeof sql, "SELECT pg_catalog.pg_advisory_unlock(%d, hashtext($1))",
             lock_number(lock));
    return run(conn, sql, 1, &job, NULL, err);
}

ph_code
ph_fence_position(struct ph_conn *conn, const char *job, ph_lsn *out, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, "SELECT lsn FROM pghaul.position WHERE job = $1 AND worker = 0", 1,
                         &job, &r, err));
    *out = ph_result_rows(r) == 1 ? lsn_of(r, 0) : 0;
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_fence_job_runs(struct ph_conn *conn, const char *job, bool *runs, struct ph_error *err)
{
    return ask_bool(conn,
                    "SELECT " PH_LEDGER_IS_RUNNING " FROM pghaul.job j WHERE j.job = $1"
                    " AND j.phase = 'follow'",
                    job, runs, err);
}

/* ---- the applier's ---- */

ph_code
ph_fence_stand(struct ph_conn *conn, const char *job, const char *id, bool *stands,
               struct ph_error *err)
{
    const char *params[] = {job, id};
    int hit;

    PH_TRY(run(conn,
               "UPDATE pghaul.fence SET state = 'stands' WHERE job = $1 AND id = $2"
               " AND state = 'asked'",
               2, params, &hit, err));
    *stands = hit == 1;
    return PH_OK;
}

ph_code
ph_fence_wait(struct ph_conn *conn, const char *job, enum ph_fence_lock lock, uint32_t wait_ms,
              bool *let_go, struct ph_error *err)
{
    struct ph_error why;
    struct ph_buf sql;

    ph_error_reset(&why);
    *let_go = false;
    ph_buf_init(&sql, 4096);
    ph_buf_printf(&sql,
                  "BEGIN; SET LOCAL lock_timeout = %" PRIu32
                  "; SELECT pg_catalog.pg_advisory_xact_lock_shared(%d, hashtext(",
                  wait_ms, lock_number(lock));
    ph_buf_put_literal(&sql, job);
    ph_buf_puts(&sql, ")); COMMIT");
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), &why)
                                 : PH_FAIL(&why, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    *let_go = rc == PH_OK;
    if (rc != PH_OK && strcmp(why.sqlstate, not_available_state) == 0)
        return ph_conn_leave_transaction(conn, err);
    if (rc != PH_OK && err != NULL)
        *err = why;
    return rc;
}

ph_code
ph_fence_snapshot(struct ph_conn *conn, const char *job, const char *id, struct ph_arena *arena,
                  const char **out, struct ph_error *err)
{
    const char *params[] = {job, id};
    struct ph_result *r;
    ph_code rc = PH_OK;

    *out = NULL;
    PH_TRY(ph_conn_query(conn,
                         "SELECT snapshot FROM pghaul.fence WHERE job = $1 AND id = $2"
                         " AND state = 'taken'",
                         2, params, &r, err));
    if (ph_result_rows(r) == 1) {
        *out = ph_arena_strdup(arena, ph_result_text(r, 0, 0));
        if (*out == NULL)
            rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    ph_result_free(r);
    return rc;
}

ph_code
ph_fence_tell(struct ph_conn *conn, const char *job, const char *id,
              const struct ph_fence_news *news, bool *told, struct ph_error *err)
{
    int hit;
    char lsn[PH_LSN_TEXT];
    char held[24];

    snprintf(held, sizeof held, "%" PRIu64, news->held_us);
    const char *params[] = {job, id, state_names[news->state],
                            news->state == PH_FENCE_CUT ? ph_lsn_print(news->position, lsn) : NULL,
                            held};
    PH_TRY(run(conn,
               "UPDATE pghaul.fence SET state = $3, cut = coalesce($4::pg_catalog.pg_lsn, cut),"
               " held_us = $5::int8 WHERE job = $1 AND id = $2",
               5, params, &hit, err));
    *told = hit == 1;
    return PH_OK;
}
