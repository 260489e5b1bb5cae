/* TRUNCATE of the stream: one statement on the target, of the tables that count. */
#include <stdlib.h>

#include "flow/applier_parts.h"

/*
 * One partition of the source is not to be told from others in the target's root: TRUNCATE of that
 * only when all that has its rows there is truncated.
 */
static ph_code
check_parts(const struct ph_applier *applier, const struct ph_apply_table *const *tables,
            uint32_t n, struct ph_error *err)
{
    const struct ph_plan *plan = applier->params.tables.plan;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t planned = 0;
        uint32_t named = 0;
        for (uint32_t j = 0; tables[i]->is_part && j < plan->n_tables; j++)
            planned += plan->tables[j].target == tables[i]->target;
        for (uint32_t j = 0; tables[i]->is_part && j < n; j++)
            named += tables[j]->target == tables[i]->target;
        if (planned == named)
            continue;
        ph_error_set(err, PH_E_UNSUPPORTED,
                     "TRUNCATE of a single partition whose rows are among others on the target");
        ph_error_object(err, "%s.%s", tables[i]->plan->source->schema,
                        tables[i]->plan->source->name);
        ph_error_hint(err, "%s",
                      "delete its rows on the target, then leave it out or begin anew "
                      "with --restart");
        return PH_E_UNSUPPORTED;
    }
    return PH_OK;
}

/*
 * A part of what the source truncated at once: tables that foreign keys of the others refer to can
 * only be emptied row by row. One statement, for the pipeline.
 */
static void
put_deletes(const struct ph_apply_table *const *tables, uint32_t n, struct ph_buf *sql)
{
    for (uint32_t i = 0; i < n; i++)
        ph_buf_printf(sql, "%s d%u AS (DELETE FROM %s)", i == 0 ? "WITH" : ",", i,
                      tables[i]->target_sql);
    ph_buf_puts(sql, " SELECT 1");
}

ph_code
ph_applier_put_truncate(struct ph_applier *applier, const struct ph_txn_reader *reader,
                        const struct ph_txn_event *event, bool is_filtered, struct ph_buf *sql,
                        struct ph_error *err)
{
    const struct ph_change *change = &event->event->change;
    const struct ph_apply_table **tables = calloc(change->n_truncated + 1u, sizeof *tables);
    uint32_t n = 0;
    ph_code rc = PH_OK;

    if (tables == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; rc == PH_OK && i < change->n_truncated; i++) {
        const struct ph_apply_table *table;
        bool is_skipped;
        rc = ph_applier_table(applier, &event->txn, ph_txn_reader_rel(reader, change->truncated[i]),
                              is_filtered, &is_skipped, &table, err);
        if (rc == PH_OK && table != NULL)
            tables[n++] = table;
    }
    if (rc == PH_OK)
        rc = check_parts(applier, tables, n, err);
    if (rc == PH_OK && n > 0 && n == change->n_truncated)
        ph_apply_put_truncate(tables, n, change->restart_identity, sql);
    else if (rc == PH_OK && n > 0)
        put_deletes(tables, n, sql);
    free(tables);
    if (rc == PH_OK && !ph_buf_ok(sql))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return rc;
}
