/*
 * What was set aside on the target, with the statement that restores it.
 */
#include <string.h>

#include "base/log.h"
#include "pg/ledger.h"

ph_code
ph_ledger_set_aside(struct ph_conn *conn, const char *job, const char *object,
                    const char *restore_sql, struct ph_error *err)
{
    const char *params[] = {job, object, restore_sql};

    return ph_conn_expect(conn,
                          "INSERT INTO pghaul.set_aside (job, object, restore_sql)"
                          " VALUES ($1, $2, $3)",
                          3, params, 1, err);
}

ph_code
ph_ledger_resting(struct ph_conn *conn, struct ph_buf *out, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON"
                         " n.oid = c.relnamespace WHERE n.nspname = 'pghaul' AND c.relname ="
                         " 'set_aside' AND has_schema_privilege(n.oid, 'USAGE') AND"
                         " has_table_privilege(c.oid, 'SELECT')",
                         0, NULL, &r, err));
    bool is_there = ph_result_rows(r) > 0;
    ph_result_free(r);
    if (!is_there) {
        ph_buf_puts(out, "{}");
        return PH_OK;
    }
    PH_TRY(ph_conn_query(conn,
                         "SELECT coalesce(array_agg(restore_sql), '{}') FROM"
                         " pghaul.set_aside",
                         0, NULL, &r, err));
    ph_buf_puts(out, ph_result_text(r, 0, 0));
    ph_result_free(r);
    return PH_OK;
}

/* Somebody has dropped it, or what it belonged to, or has put it back. */
static bool
is_past_restoring(const struct ph_error *why)
{
    static const char *const states[] = {"42P01", "42703", "42704", "42710", "3F000"};

    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(why->sqlstate, states[i]) == 0)
            return true;
    }
    return false;
}

/* In a transaction. *is_restored false: it is left as it is now. */
static ph_code
run_restoring(struct ph_conn *conn, const char *sql, const char *object, bool *is_restored,
              struct ph_error *err)
{
    struct ph_error why;

    ph_error_reset(&why);
    PH_TRY(ph_conn_exec(conn, "SAVEPOINT restoring", err));
    ph_code rc = ph_conn_exec(conn, sql, &why);
    *is_restored = rc == PH_OK;
    if (rc != PH_OK && is_past_restoring(&why)) {
        ph_log(PH_LOG_WARN, "restore.gone", "%s was set aside and is left as it is now: %s", object,
               why.message);
        return ph_conn_exec(conn, "ROLLBACK TO SAVEPOINT restoring", err);
    }
    if (rc != PH_OK && err != NULL)
        *err = why;
    return rc;
}

static ph_code
restore_one(struct ph_conn *conn, const char *job, const struct ph_result *r, int row, uint32_t *n,
            struct ph_error *err)
{
    const char *params[] = {job, ph_result_text(r, row, 0)};
    bool is_restored = false;

    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = run_restoring(conn, ph_result_text(r, row, 1), ph_result_text(r, row, 2),
                               &is_restored, err);
    if (rc == PH_OK)
        rc = ph_conn_expect(conn, "DELETE FROM pghaul.set_aside WHERE job = $1 AND n = $2::bigint",
                            2, params, 1, err);
    if (rc == PH_OK) {
        PH_TRY(ph_conn_exec(conn, "COMMIT", err));
        *n += is_restored;
        return PH_OK;
    }
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

/* Last set aside, first restored. */
ph_code
ph_ledger_restore_all(struct ph_conn *conn, const char *job, uint32_t *n, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job};
    ph_code rc = PH_OK;

    *n = 0;
    PH_TRY(ph_conn_query(conn,
                         "SELECT n, restore_sql, object FROM pghaul.set_aside WHERE job = $1"
                         " ORDER BY n DESC",
                         1, params, &r, err));
    for (int i = 0; i < ph_result_rows(r); i++) {
        ph_code one = restore_one(conn, job, r, i, n, rc == PH_OK ? err : NULL);
        if (one != PH_OK && rc == PH_OK)
            ph_error_note(err, "while restoring %s", ph_result_text(r, i, 2));
        rc = rc == PH_OK ? one : rc;
    }
    ph_result_free(r);
    return rc;
}
