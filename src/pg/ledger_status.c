#include "pg/ledger_status.h"

#include <stdio.h>
#include <stdlib.h>

#include "pg/ledger.h"

#define TIME(column) "coalesce(to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '')"

static const char jobs_sql[] =
    "SELECT j.job, j.source, j.phase, j.verdict, " TIME("j.started") ", " TIME(
        "j.finished") ","
                      " " PH_LEDGER_IS_RUNNING
                      ", j.run, coalesce(r.host, ''), coalesce(r.pid, 0), " TIME(
                          "r.started") ","
                                       " " TIME(
                                           "r.ended") ", coalesce(r.outcome, ''), r.stop_asked IS "
                                                      "NOT NULL,"
                                                      " coalesce(t.tables, 0), "
                                                      "coalesce(c.tables_done, 0), "
                                                      "coalesce(t.verified, 0),"
                                                      " coalesce(c.chunks, 0), "
                                                      "coalesce(c.chunks_done, 0),"
                                                      " (SELECT count(*) FROM pghaul.step s WHERE "
                                                      "s.job = j.job),"
                                                      " (SELECT count(*) FROM pghaul.set_aside s "
                                                      "WHERE s.job = j.job),"
                                                      " (SELECT count(*) FROM pghaul.epoch e WHERE "
                                                      "e.job = j.job),"
                                                      " coalesce(c.rows, 0), coalesce(t.rows, 0), "
                                                      "coalesce(c.bytes_done, 0), "
                                                      "coalesce(t.bytes, 0),"
                                                      " coalesce((SELECT e.holder_pid FROM "
                                                      "pghaul.epoch e WHERE e.job = j.job AND NOT "
                                                      "e.lost"
                                                      "  ORDER BY e.epoch DESC LIMIT 1), 0),"
                                                      " f.job IS NOT NULL, coalesce(f.conflicts, "
                                                      "0), coalesce(f.end_at, ''),"
                                                      " coalesce((SELECT min(w.lsn) FROM "
                                                      "pghaul.position w"
                                                      " WHERE w.job = j.job)::text, ''), "
                                                      "coalesce(extract(epoch"
                                                      " FROM pg_catalog.clock_timestamp() - "
                                                      "f.sequences_at), -1)::float8,"
                                                      " CASE WHEN p.at >= r.started THEN "
                                                      "p.state::text END, extract(epoch FROM "
                                                      "pg_catalog.clock_timestamp() - "
                                                      "p.at)::float8,"
                                                      " coalesce(f.meet::text, ''),"
                                                      " (SELECT count(*) FROM pghaul.position w"
                                                      " WHERE w.job = j.job AND w.worker > 0)"
                                                      " FROM pghaul.job j"
                                                      " LEFT JOIN pghaul.run r ON r.job = j.job "
                                                      "AND r.run = j.run"
                                                      " LEFT JOIN pghaul.progress p ON p.job = "
                                                      "j.job"
                                                      " LEFT JOIN pghaul.follow f ON f.job = j.job"
                                                      " LEFT JOIN (SELECT job, count(*) AS tables, "
                                                      "count(*) FILTER (WHERE verified) AS "
                                                      "verified,"
                                                      "  sum(est_rows)::bigint AS rows, "
                                                      "sum(est_bytes)::bigint AS bytes FROM "
                                                      "pghaul.tbl GROUP BY job"
                                                      " ) t ON t.job = j.job"
                                                      " LEFT JOIN (SELECT job, count(*) FILTER "
                                                      "(WHERE chunks = done) AS tables_done,"
                                                      "  sum(chunks)::bigint AS chunks, "
                                                      "sum(done)::bigint AS chunks_done, "
                                                      "sum(rows)::bigint AS rows,"
                                                      "  sum(bytes_done)::bigint AS bytes_done FROM"
                                                      "  (SELECT job, tbl, count(*) AS chunks, "
                                                      "count(*) FILTER (WHERE state = 'done') AS "
                                                      "done,"
                                                      "   sum(rows) AS rows, sum(est_bytes) FILTER "
                                                      "(WHERE state = 'done') AS bytes_done"
                                                      "   FROM pghaul.chunk GROUP BY job, tbl) x "
                                                      "GROUP BY job) c ON c.job = j.job"
                                                      " WHERE $1::text IS NULL OR j.job = $1 ORDER "
                                                      "BY j.job";

static const char tables_sql[] =
    "SELECT t.source_schema || '.' || t.source_name, count(c.chunk),"
    " count(c.chunk) FILTER (WHERE c.state = 'done'), coalesce(sum(c.rows), 0)::bigint, t.est_rows,"
    " coalesce(sum(c.est_bytes) FILTER (WHERE c.state = 'done'), 0)::bigint, t.est_bytes,"
    " t.verified, coalesce(sum(c.seconds), 0)::float8,"
    " coalesce(sum(c.left_out), 0)::bigint"
    " FROM pghaul.tbl t LEFT JOIN pghaul.chunk c ON c.job = t.job AND c.tbl = t.tbl"
    " WHERE t.job = $1 GROUP BY t.job, t.tbl ORDER BY t.tbl";

static const char *
keep(struct ph_arena *arena, const struct ph_result *r, int row, int column)
{
    const char *copy = ph_arena_strdup(arena, ph_result_text(r, row, column));

    return copy != NULL ? copy : "";
}

static double
number(const struct ph_result *r, int row, int column)
{
    return strtod(ph_result_text(r, row, column), NULL);
}

static void
read_job(struct ph_arena *arena, const struct ph_result *r, int row, struct ph_job_status *out)
{
    *out = (struct ph_job_status){
        .name = keep(arena, r, row, 0),
        .source = keep(arena, r, row, 1),
        .phase = keep(arena, r, row, 2),
        .verdict = keep(arena, r, row, 3),
        .started = keep(arena, r, row, 4),
        .finished = keep(arena, r, row, 5),
        .is_running = ph_result_bool(r, row, 6),
        .run = ph_result_u32(r, row, 7),
        .host = keep(arena, r, row, 8),
        .pid = (int)ph_result_i64(r, row, 9),
        .run_started = keep(arena, r, row, 10),
        .run_ended = keep(arena, r, row, 11),
        .outcome = keep(arena, r, row, 12),
        .stop_asked = ph_result_bool(r, row, 13),
        .tables = ph_result_u32(r, row, 14),
        .tables_done = ph_result_u32(r, row, 15),
        .tables_verified = ph_result_u32(r, row, 16),
        .chunks = ph_result_u32(r, row, 17),
        .chunks_done = ph_result_u32(r, row, 18),
        .steps_done = ph_result_u32(r, row, 19),
        .set_aside = ph_result_u32(r, row, 20),
        .epochs = ph_result_u32(r, row, 21),
        .rows_done = (uint64_t)ph_result_i64(r, row, 22),
        .rows = (uint64_t)ph_result_i64(r, row, 23),
        .bytes_done = (uint64_t)ph_result_i64(r, row, 24),
        .bytes = (uint64_t)ph_result_i64(r, row, 25),
        .holder_pid = (int)ph_result_i64(r, row, 26),
        .follows = ph_result_bool(r, row, 27),
        .conflicts = (uint64_t)ph_result_i64(r, row, 28),
        .end_at = keep(arena, r, row, 29),
        .position = keep(arena, r, row, 30),
        .sequences_s = number(r, row, 31),
        .progress = ph_result_is_null(r, row, 32) ? NULL : keep(arena, r, row, 32),
        .progress_age_s = number(r, row, 33),
        .meet = keep(arena, r, row, 34),
        .workers = ph_result_u32(r, row, 35),
    };
}

ph_code
ph_ledger_jobs(struct ph_conn *conn, const char *name, struct ph_arena *arena,
               struct ph_job_status **jobs, uint32_t *n, struct ph_error *err)
{
    const char *params[] = {name};
    struct ph_result *r;
    bool exists;

    *jobs = NULL;
    *n = 0;
    PH_TRY(ph_ledger_exists(conn, &exists, err));
    if (!exists)
        return PH_OK;
    PH_TRY(ph_conn_query(conn, jobs_sql, 1, params, &r, err));
    int rows = ph_result_rows(r);
    *jobs = PH_ARENA_ARRAY(arena, struct ph_job_status, (size_t)rows + 1);
    if (*jobs == NULL) {
        ph_result_free(r);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    for (int row = 0; row < rows; row++)
        read_job(arena, r, row, &(*jobs)[row]);
    *n = (uint32_t)rows;
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_ledger_tables(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                 struct ph_table_status **tables, uint32_t *n, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    *n = 0;
    PH_TRY(ph_conn_query(conn, tables_sql, 1, params, &r, err));
    int rows = ph_result_rows(r);
    *tables = PH_ARENA_ARRAY(arena, struct ph_table_status, (size_t)rows + 1);
    if (*tables == NULL) {
        ph_result_free(r);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    for (int row = 0; row < rows; row++)
        (*tables)[row] = (struct ph_table_status){
            .table = keep(arena, r, row, 0),
            .chunks = ph_result_u32(r, row, 1),
            .chunks_done = ph_result_u32(r, row, 2),
            .rows_done = (uint64_t)ph_result_i64(r, row, 3),
            .rows = (uint64_t)ph_result_i64(r, row, 4),
            .bytes_done = (uint64_t)ph_result_i64(r, row, 5),
            .bytes = (uint64_t)ph_result_i64(r, row, 6),
            .verified = ph_result_bool(r, row, 7),
            .seconds = number(r, row, 8),
            .rows_left_out = (uint64_t)ph_result_i64(r, row, 9),
        };
    *n = (uint32_t)rows;
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_ledger_ask_stop(struct ph_conn *conn, const char *job, enum ph_heard_by *heard,
                   struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "UPDATE pghaul.run r SET stop_asked = coalesce(stop_asked, now())"
                         " FROM pghaul.job j WHERE j.job = $1 AND r.job = j.job AND r.run = j.run"
                         " AND r.ended IS NULL RETURNING " PH_LEDGER_HEARD_BY,
                         1, params, &r, err));
    *heard = ph_result_rows(r) == 1 ? (enum ph_heard_by)ph_result_u32(r, 0, 0) : PH_HEARD_BY_NONE;
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_ledger_stop_asked(struct ph_conn *conn, const char *job, uint32_t run, bool *asked,
                     struct ph_error *err)
{
    char number_text[16];
    struct ph_result *r;

    snprintf(number_text, sizeof number_text, "%u", run);
    const char *params[] = {job, number_text};
    PH_TRY(ph_conn_query(conn,
                         "SELECT 1 FROM pghaul.run WHERE job = $1 AND run = $2::int"
                         " AND stop_asked IS NOT NULL",
                         2, params, &r, err));
    *asked = ph_result_rows(r) > 0;
    ph_result_free(r);
    return PH_OK;
}
