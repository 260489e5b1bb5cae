#include "pg/ledger_join.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

ph_code
ph_ledger_load_patterns(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                        const char **patterns, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    PH_TRY(
        ph_conn_query(conn, "SELECT patterns FROM pghaul.job WHERE job = $1", 1, params, &r, err));
    *patterns = ph_result_rows(r) == 1 ? ph_arena_strdup(arena, ph_result_text(r, 0, 0)) : NULL;
    ph_result_free(r);
    return *patterns != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
take_tables(const struct ph_result *r, struct ph_arena *arena, struct ph_ledger_tables *out,
            struct ph_error *err)
{
    uint32_t n = (uint32_t)ph_result_rows(r);
    ph_oid *oids = PH_ARENA_ARRAY(arena, ph_oid, n + (size_t)1);
    struct ph_ledger_place *targets = PH_ARENA_ARRAY(arena, struct ph_ledger_place, n + (size_t)1);
    bool ok = oids != NULL && targets != NULL;

    for (uint32_t i = 0; ok && i < n; i++) {
        oids[i] = ph_result_u32(r, (int)i, 0);
        targets[i].schema = ph_arena_strdup(arena, ph_result_text(r, (int)i, 1));
        targets[i].name = ph_arena_strdup(arena, ph_result_text(r, (int)i, 2));
        ok = targets[i].schema != NULL && targets[i].name != NULL;
    }
    *out = (struct ph_ledger_tables){.oids = oids, .targets = targets, .n = n};
    return ok ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
load_tables(struct ph_conn *conn, const char *const *params, struct ph_arena *arena,
            struct ph_ledger_tables *out, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "SELECT source_oid, target_schema, target_name FROM pghaul.tbl"
                         " WHERE job = $1 AND joined < $2::int ORDER BY 1",
                         2, params, &r, err));
    ph_code rc = take_tables(r, arena, out, err);
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_load_tables_before(struct ph_conn *conn, const char *job, uint32_t joins,
                             struct ph_arena *arena, struct ph_ledger_tables *out,
                             struct ph_error *err)
{
    char number[16];
    struct ph_result *r;

    snprintf(number, sizeof number, "%u", joins);
    const char *params[] = {job, number};
    PH_TRY(load_tables(conn, params, arena, out, err));
    PH_TRY(ph_conn_query(conn,
                         "SELECT coalesce(max(c.lot) + 1, 0), coalesce(max(t.grp) + 1, 0)"
                         " FROM pghaul.tbl t LEFT JOIN pghaul.chunk c USING (job, tbl)"
                         " WHERE t.job = $1 AND t.joined < $2::int",
                         2, params, &r, err));
    out->n_lots = ph_result_u32(r, 0, 0);
    out->n_groups = ph_result_u32(r, 0, 1);
    ph_result_free(r);
    return PH_OK;
}

/*
 * What was shown of the follow goes as well: it is not consistent again before the tables have met.
 * Settings of the database are applied once.
 */
static const char *const begin_statements[] = {
    "UPDATE pghaul.epoch SET lost = true WHERE job = $1",
    "UPDATE pghaul.follow SET published = NULL WHERE job = $1",
    "DELETE FROM pghaul.step WHERE job = $1 AND step <> 'database'",
    "DELETE FROM pghaul.progress WHERE job = $1",
};

/* *epoch: the last one of before. */
static ph_code
note_join(struct ph_conn *conn, const char *const *params, uint32_t *epoch, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "UPDATE pghaul.job SET joining = $2, joins = joins + 1, phase = $3,"
                         " join_epoch = (SELECT coalesce(max(epoch), 0) FROM pghaul.epoch WHERE"
                         " job = $1), comes_again = false,"
                         " schema_done = 0, schema_mark = '' WHERE job = $1 AND joining = ''"
                         " RETURNING join_epoch",
                         3, params, &r, err));
    bool is_noted = ph_result_rows(r) == 1;
    *epoch = is_noted ? ph_result_u32(r, 0, 0) : 0;
    ph_result_free(r);
    return is_noted ? PH_OK
                    : PH_FAIL(err, PH_E_LEDGER, "tables are being added to the job already");
}

static ph_code
begin_join(struct ph_conn *conn, const struct ph_ledger_job *job, const char *selection,
           uint32_t *epoch, struct ph_error *err)
{
    const char *params[] = {job->name, selection, ph_phase_name(PH_PHASE_SCHEMA)};

    PH_TRY(note_join(conn, params, epoch, err));
    for (size_t i = 0; i < sizeof begin_statements / sizeof *begin_statements; i++) {
        PH_TRY(ph_conn_run(conn, begin_statements[i], 1, params, err));
    }
    return ph_conn_exec(conn, "COMMIT", err);
}

ph_code
ph_ledger_begin_join(struct ph_conn *conn, struct ph_ledger_job *job, const char *selection,
                     struct ph_error *err)
{
    uint32_t epoch;

    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = begin_join(conn, job, selection, &epoch, err);
    if (rc != PH_OK) {
        (void)ph_conn_leave_transaction(conn, NULL);
        return rc;
    }
    snprintf(job->joining, sizeof job->joining, "%s", selection);
    job->joins++;
    job->join_epoch = epoch;
    job->comes_again = false;
    job->phase = PH_PHASE_SCHEMA;
    job->schema_done = 0;
    job->schema_mark[0] = '\0';
    return PH_OK;
}

ph_code
ph_ledger_published(struct ph_conn *conn, const char *job, uint64_t xid, struct ph_error *err)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, xid);
    const char *params[] = {job, text};
    return ph_conn_expect(conn, "UPDATE pghaul.follow SET published = $2::xid8 WHERE job = $1", 2,
                          params, 1, err);
}

ph_code
ph_ledger_end_join(struct ph_conn *conn, struct ph_ledger_job *job, const char *selection,
                   const char *patterns, struct ph_error *err)
{
    const char *params[] = {job->name, selection, patterns};

    PH_TRY(ph_conn_expect(conn,
                          "UPDATE pghaul.job SET selection = $2, patterns = $3, joining = '',"
                          " comes_again = false"
                          " WHERE job = $1",
                          3, params, 1, err));
    snprintf(job->selection, sizeof job->selection, "%s", selection);
    job->joining[0] = '\0';
    job->comes_again = false;
    return PH_OK;
}
