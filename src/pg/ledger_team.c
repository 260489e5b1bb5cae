#include "pg/ledger_team.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "pg/ledger_follow.h"

#define SQL_LIMIT ((size_t)16 << 20)

/* Lost, it would be begun or ended while workers have been durably at work, or not any more. */
static const char begin_sql[] = "BEGIN; SET LOCAL synchronous_commit = on";

static ph_code
end_transaction(struct ph_conn *conn, ph_code rc, struct ph_error *err)
{
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    (void)ph_conn_leave_transaction(conn, NULL);
    return rc;
}

/* ---- the beginning ---- */

/* One row a table that somebody applies. */
static ph_code
put_tables(struct ph_conn *conn, const char *job, const struct ph_ledger_team *team,
           uint32_t n_tables, struct ph_error *err)
{
    const char *separator = " (";
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "INSERT INTO pghaul.team (job, tbl, worker) VALUES");
    for (uint32_t i = 0; i < n_tables; i++) {
        if (team->worker_of[i] == PH_NO_WORKER)
            continue;
        ph_buf_puts(&sql, separator);
        ph_buf_put_literal(&sql, job);
        ph_buf_printf(&sql, ",%u,%u)", i, team->worker_of[i]);
        separator = ",(";
    }
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

static ph_code
begin_team(struct ph_conn *conn, const char *job, const struct ph_ledger_team *team,
           uint32_t n_tables, ph_lsn position, struct ph_error *err)
{
    char from[PH_LSN_TEXT];
    char meet[PH_LSN_TEXT];
    char workers[16];
    const char *single[] = {job, ph_lsn_print(position, from)};
    const char *many[] = {job, from, workers};
    const char *where[] = {job, ph_lsn_print(team->meet, meet)};

    snprintf(workers, sizeof workers, "%u", team->n_workers);
    ph_code rc = ph_conn_expect(conn,
                                "DELETE FROM pghaul.position WHERE job = $1 AND worker = 0"
                                " AND lsn = $2::pg_lsn",
                                2, single, 1, err);
    if (rc == PH_E_LEDGER)
        return ph_ledger_fail_position(from, err);
    PH_TRY(rc);
    PH_TRY(ph_conn_expect(conn,
                          "INSERT INTO pghaul.position (job, worker, lsn) SELECT $1, w, $2::pg_lsn"
                          " FROM pg_catalog.generate_series(1, $3::int) w",
                          3, many, (int)team->n_workers, err));
    PH_TRY(ph_conn_expect(conn,
                          "UPDATE pghaul.follow SET meet = $2::pg_lsn WHERE job = $1 AND meet IS"
                          " NULL",
                          2, where, 1, err));
    return put_tables(conn, job, team, n_tables, err);
}

ph_code
ph_ledger_begin_team(struct ph_conn *conn, const char *job, const struct ph_ledger_team *team,
                     uint32_t n_tables, ph_lsn position, struct ph_error *err)
{
    PH_TRY(ph_conn_exec(conn, begin_sql, err));
    return end_transaction(conn, begin_team(conn, job, team, n_tables, position, err), err);
}

/* ---- what there is ---- */

ph_code
ph_ledger_has_team(struct ph_conn *conn, const char *job, bool *has, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, "SELECT FROM pghaul.follow WHERE job = $1 AND meet IS NOT NULL", 1,
                         params, &r, err));
    *has = ph_result_rows(r) == 1;
    ph_result_free(r);
    return PH_OK;
}

static ph_code
no_team(const char *what, struct ph_error *err)
{
    return PH_FAIL(err, PH_E_LEDGER, "the ledger's team of workers does not hold together: %s",
                   what);
}

static ph_code
take_positions(const struct ph_result *r, struct ph_arena *arena, struct ph_ledger_team *out,
               struct ph_error *err)
{
    uint32_t n = (uint32_t)ph_result_rows(r);

    out->n_workers = n;
    out->positions = PH_ARENA_ARRAY(arena, ph_lsn, (size_t)n + 1);
    if (out->positions == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (n == 0 || !ph_lsn_parse(ph_result_text(r, 0, 2), &out->meet))
        return no_team("it has no workers", err);
    for (uint32_t i = 0; i < n; i++) {
        if (ph_result_u32(r, (int)i, 0) != i + 1 ||
            !ph_lsn_parse(ph_result_text(r, (int)i, 1), &out->positions[i]) ||
            out->positions[i] > out->meet)
            return no_team("a worker's position is none", err);
    }
    return PH_OK;
}

static ph_code
take_tables(const struct ph_result *r, uint32_t n_tables, struct ph_arena *arena,
            struct ph_ledger_team *out, struct ph_error *err)
{
    out->worker_of = PH_ARENA_ARRAY(arena, uint32_t, (size_t)n_tables + 1);
    if (out->worker_of == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < n_tables; i++)
        out->worker_of[i] = PH_NO_WORKER;
    for (int row = 0; row < ph_result_rows(r); row++) {
        uint32_t table = ph_result_u32(r, row, 0);
        uint32_t worker = ph_result_u32(r, row, 1);
        if (table >= n_tables || worker < 1 || worker > out->n_workers)
            return no_team("a table of it is not the job's", err);
        out->worker_of[table] = worker;
    }
    return PH_OK;
}

ph_code
ph_ledger_load_team(struct ph_conn *conn, const char *job, uint32_t n_tables,
                    struct ph_arena *arena, struct ph_ledger_team *out, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;
    bool has;

    *out = (struct ph_ledger_team){0};
    PH_TRY(ph_ledger_has_team(conn, job, &has, err));
    if (!has)
        return PH_OK;
    PH_TRY(ph_conn_query(conn,
                         "SELECT p.worker, p.lsn, f.meet FROM pghaul.position p JOIN pghaul.follow"
                         " f USING (job) WHERE p.job = $1 ORDER BY p.worker FOR UPDATE OF p",
                         1, params, &r, err));
    ph_code rc = take_positions(r, arena, out, err);
    ph_result_free(r);
    PH_TRY(rc);
    PH_TRY(ph_conn_query(conn, "SELECT tbl, worker FROM pghaul.team WHERE job = $1", 1, params, &r,
                         err));
    rc = take_tables(r, n_tables, arena, out, err);
    ph_result_free(r);
    return rc;
}

/* ---- the end ---- */

static ph_code
end_team(struct ph_conn *conn, const char *job, const struct ph_ledger_team *team,
         struct ph_error *err)
{
    char meet[PH_LSN_TEXT];
    const char *params[] = {job, ph_lsn_print(team->meet, meet)};
    struct ph_result *r;

    PH_TRY(ph_conn_expect(conn,
                          "DELETE FROM pghaul.position WHERE job = $1 AND worker > 0"
                          " AND lsn = $2::pg_lsn",
                          2, params, (int)team->n_workers, err));
    PH_TRY(ph_conn_expect(conn,
                          "INSERT INTO pghaul.position (job, worker, lsn)"
                          " SELECT $1, 0, $2::pg_lsn WHERE NOT EXISTS"
                          " (SELECT FROM pghaul.position WHERE job = $1)",
                          2, params, 1, err));
    PH_TRY(ph_conn_expect(conn,
                          "UPDATE pghaul.follow SET meet = NULL WHERE job = $1"
                          " AND meet = $2::pg_lsn",
                          2, params, 1, err));
    PH_TRY(ph_conn_query(conn, "DELETE FROM pghaul.team WHERE job = $1", 1, params, &r, err));
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_ledger_end_team(struct ph_conn *conn, const char *job, const struct ph_ledger_team *team,
                   struct ph_error *err)
{
    PH_TRY(ph_conn_exec(conn, begin_sql, err));
    return end_transaction(conn, end_team(conn, job, team, err), err);
}
