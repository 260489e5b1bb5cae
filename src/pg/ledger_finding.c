#include "pg/ledger_finding.h"

#include <string.h>

#define ROWS_PER_INSERT 200u
#define SQL_LIMIT ((size_t)64 << 20)

static ph_code
insert_some(struct ph_conn *conn, const char *job, const struct ph_ledger_finding *findings,
            uint32_t n, struct ph_buf *sql, struct ph_error *err)
{
    ph_buf_clear(sql);
    ph_buf_puts(sql, "INSERT INTO pghaul.finding (job, severity, kind, object, finding) VALUES ");
    for (uint32_t i = 0; i < n; i++) {
        const char *texts[] = {job, ph_severity_name(findings[i].severity), findings[i].kind,
                               findings[i].object, findings[i].text};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            ph_buf_puts(sql, t > 0 ? "," : i > 0 ? ",(" : "(");
            ph_buf_put_literal(sql, texts[t]);
        }
        ph_buf_putc(sql, ')');
    }
    return ph_buf_ok(sql) ? ph_conn_exec(conn, ph_buf_text(sql), err)
                          : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

ph_code
ph_ledger_save_findings(struct ph_conn *conn, const char *job,
                        const struct ph_ledger_finding *findings, uint32_t n, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_buf sql;
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_run(conn, "DELETE FROM pghaul.finding WHERE job = $1", 1, params, err));
    ph_buf_init(&sql, SQL_LIMIT);
    for (uint32_t i = 0; rc == PH_OK && i < n; i += ROWS_PER_INSERT)
        rc = insert_some(conn, job, findings + i, n - i < ROWS_PER_INSERT ? n - i : ROWS_PER_INSERT,
                         &sql, err);
    ph_buf_free(&sql);
    return rc;
}

static enum ph_severity
severity_of(const char *name)
{
    return strcmp(name, ph_severity_name(PH_FINDING_ERROR)) == 0     ? PH_FINDING_ERROR
           : strcmp(name, ph_severity_name(PH_FINDING_WARNING)) == 0 ? PH_FINDING_WARNING
                                                                     : PH_FINDING_NOTE;
}

ph_code
ph_ledger_load_findings(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                        struct ph_ledger_finding **out, uint32_t *n, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;
    bool complete = true;

    PH_TRY(ph_conn_query(conn,
                         "SELECT severity, kind, object, finding FROM pghaul.finding"
                         " WHERE job = $1 ORDER BY n",
                         1, params, &r, err));
    *n = (uint32_t)ph_result_rows(r);
    *out = PH_ARENA_ARRAY(arena, struct ph_ledger_finding, (size_t)*n + 1);
    for (uint32_t i = 0; *out != NULL && i < *n; i++) {
        struct ph_ledger_finding *finding = &(*out)[i];
        finding->severity = severity_of(ph_result_text(r, (int)i, 0));
        finding->kind = ph_arena_strdup(arena, ph_result_text(r, (int)i, 1));
        finding->object = ph_arena_strdup(arena, ph_result_text(r, (int)i, 2));
        finding->text = ph_arena_strdup(arena, ph_result_text(r, (int)i, 3));
        complete &= finding->kind != NULL && finding->object != NULL && finding->text != NULL;
    }
    ph_result_free(r);
    return *out != NULL && complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}
