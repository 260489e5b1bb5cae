/*
 * Which file each table of the source is in while it has no column beyond the plan. Whoever looks
 * at a late column takes another file for a sign that adding it may have rewritten the table; so
 * what TRUNCATE, VACUUM FULL and the like did before that is noted in time.
 */
#include <stdlib.h>

#include "job/follow_parts.h"
#include "pg/ledger.h"

#define SQL_LIMIT ((size_t)16 << 20)

/* $1: tables, $2: their files as noted. All columns of those in another file, as of one moment. */
static const char moved_sql[] =
    "SELECT u.n - 1, c.relfilenode, a.attname, a.attgenerated <> ''"
    " FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]),"
    " pg_catalog.unnest($2::pg_catalog.oid[])) WITH ORDINALITY u(oid, file, n)"
    " JOIN pg_catalog.pg_class c ON c.oid = u.oid AND c.relfilenode <> u.file"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY 1";

static ph_code
query_moved(struct ph_job *job, struct ph_result **out, struct ph_error *err)
{
    struct ph_buf oids;
    struct ph_buf files;

    ph_buf_init(&oids, SQL_LIMIT);
    ph_buf_init(&files, SQL_LIMIT);
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        ph_buf_printf(&oids, "%c%u", i == 0 ? '{' : ',', job->plan.tables[i].source->oid);
        ph_buf_printf(&files, "%c%u", i == 0 ? '{' : ',', job->plan.tables[i].filenode);
    }
    ph_buf_putc(&oids, '}');
    ph_buf_putc(&files, '}');
    const char *params[] = {ph_buf_text(&oids), ph_buf_text(&files)};
    ph_code rc = ph_buf_ok(&oids) && ph_buf_ok(&files)
                     ? ph_conn_query(job->source_control, moved_sql, 2, params, out, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&oids);
    ph_buf_free(&files);
    return rc;
}

/* Of the plan, or one that no default of the source's can come to matter for. */
static bool
is_settled(const struct ph_table_plan *table, const char *name, bool is_generated)
{
    const struct ph_column *place = ph_rel_column_named(table->target, name);

    return is_generated || ph_plan_reads(table, name) ||
           (place != NULL && place->generated != '\0');
}

/* One table's rows of the answer, from *row on. */
static ph_code
note(struct ph_job *job, const struct ph_result *r, int *row, struct ph_error *err)
{
    uint32_t index = ph_result_u32(r, *row, 0);
    struct ph_table_plan *table = &job->plan.tables[index];
    uint32_t file = ph_result_u32(r, *row, 1);
    bool is_whole = true;

    for (; *row < ph_result_rows(r) && ph_result_u32(r, *row, 0) == index; ++*row)
        is_whole &= is_settled(table, ph_result_text(r, *row, 2), ph_result_bool(r, *row, 3));
    if (!is_whole)
        return PH_OK;
    table->filenode = file;
    return ph_ledger_note_filenode(job->target_control, job->options->name, table->index, file,
                                   err);
}

ph_code
ph_follow_note_filenodes(struct ph_job *job, struct ph_error *err)
{
    struct ph_result *r;
    ph_code rc = PH_OK;
    int row = 0;

    if (job->plan.n_tables == 0)
        return PH_OK;
    PH_TRY(query_moved(job, &r, err));
    while (rc == PH_OK && row < ph_result_rows(r))
        rc = note(job, r, &row, err);
    ph_result_free(r);
    return rc;
}
