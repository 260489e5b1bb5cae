/*
 * Which columns of the source the rows were copied from: by their numbers, which never come again.
 * A name that has another number now is another column, dropped and added again, or one that others
 * have passed their names to. Neither its values nor their absence came with the stream.
 */
#include "job/job.h"
#include "pg/ledger.h"

#define TABLES_AT_ONCE 500u

static ph_code
refuse(const struct ph_job *job, const struct ph_table_plan *table, const char *name,
       struct ph_error *err)
{
    PH_FAIL(err, PH_E_TABLE_CHANGED,
            "column %s of the source is not the one that was copied: it was dropped and added "
            "again, or got the name of another",
            name);
    ph_error_object(err, "%s.%s", table->source->schema, table->source->name);
    if (job->ledger.phase == PH_PHASE_FOLLOW && table->route == NULL)
        ph_job_hint_copy_anew(job, err);
    else
        ph_error_hint(err, "undo the change, if no row of it was written since, and give the same "
                           "command again; or start over with --restart --yes");
    return PH_E_TABLE_CHANGED;
}

/* It is not the plan's, but known: late ones are looked at once (job/follow_columns.c). */
static ph_code
note_late(struct ph_job *job, struct ph_table_plan *table, const struct ph_column *column,
          const char *fill, const char *until, struct ph_error *err)
{
    uint32_t n = table->source->n_columns;
    struct ph_late *all = PH_ARENA_ARRAY(&job->plan_arena, struct ph_late, n);
    const char *kept = ph_arena_strdup(&job->plan_arena, fill);

    if (all == NULL || kept == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < n; i++)
        all[i] = table->late != NULL ? table->late[i] : (struct ph_late){.is_taken = false};
    all[column - table->source->columns] = ph_ledger_parse_late(kept, until);
    table->late = all;
    return PH_OK;
}

/*
 * That it is gone is said elsewhere, where it matters; late columns may go, and come again. Not as
 * long as the target has it: with the values that it had, which no other column has.
 */
static ph_code
check_noted(struct ph_job *job, struct ph_table_plan *table, const struct ph_result *r, int row,
            struct ph_error *err)
{
    uint32_t attnum = ph_result_u32(r, row, 1);
    const char *name = ph_result_text(r, row, 2);
    const struct ph_column *column = ph_rel_column_named(table->source, name);

    if (column == NULL && table->route == NULL && ph_rel_column_named(table->target, name) != NULL)
        return PH_OK;
    if (column == NULL)
        return ph_ledger_note_attribute(job->target_control, job->options->name, table->index,
                                        attnum, NULL, err);
    if ((uint32_t)column->attnum != attnum)
        return refuse(job, table, name, err);
    return ph_plan_reads(table, name) ? PH_OK
                                      : note_late(job, table, column, ph_result_text(r, row, 3),
                                                  ph_result_text(r, row, 4), err);
}

static ph_code
check_some(struct ph_job *job, uint32_t first, uint32_t n, struct ph_error *err)
{
    struct ph_result *r;
    ph_code rc = PH_OK;

    PH_TRY(ph_ledger_query_tables(job->target_control, job->options->name,
                                  "SELECT t.tbl, n, t.attributes[n], t.late_fill[n],"
                                  " t.late_until[n] FROM pghaul.tbl t,"
                                  " generate_subscripts(t.attributes, 1) n WHERE t.job = $1"
                                  " AND t.tbl BETWEEN $2::int AND $3::int"
                                  " AND t.attributes[n] IS NOT NULL ORDER BY t.tbl, n",
                                  first, n, &r, err));
    for (int row = 0; rc == PH_OK && row < ph_result_rows(r); row++) {
        uint32_t table = ph_result_u32(r, row, 0);
        rc = table < job->plan.n_tables
                 ? check_noted(job, &job->plan.tables[table], r, row, err)
                 : PH_FAIL(err, PH_E_LEDGER, "the ledger's tables are not numbered through");
    }
    ph_result_free(r);
    return rc;
}

ph_code
ph_job_check_attributes(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i += TABLES_AT_ONCE)
        PH_TRY(check_some(job, i, TABLES_AT_ONCE, err));
    return PH_OK;
}

ph_code
ph_job_compare_attributes(const struct ph_job *job, const struct ph_table_plan *table,
                          const struct ph_rel *now, struct ph_error *err)
{
    for (uint32_t i = 0; i < table->source->n_columns; i++) {
        const struct ph_column *column = &table->source->columns[i];
        const struct ph_column *same = ph_rel_column_named(now, column->name);
        if (same != NULL && same->attnum != column->attnum && ph_plan_reads(table, column->name))
            return refuse(job, table, column->name, err);
    }
    return PH_OK;
}
