/*
 * Columns that were added since the job was planned. One that both sides have by now is applied
 * from the first change on that brings it; changes from before it leave it at its default, as the
 * source did. Where the job's rules say which columns go where, nothing is added to them.
 */
#include <string.h>

#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "pg/ledger.h"

static bool
is_planned(const struct ph_table_plan *table, const char *name)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].source_name, name) == 0)
            return true;
    }
    return false;
}

/* Its place on the target, or NULL: not there, or computed by either side. */
static const struct ph_column *
place_of(const struct ph_table_plan *table, const struct ph_column *column)
{
    const struct ph_column *place = ph_rel_column_named(table->target, column->name);

    return place != NULL && place->generated == '\0' && column->generated == '\0' ? place : NULL;
}

static ph_code
widen(struct ph_job *job, struct ph_table_plan *table, uint32_t *n_added, struct ph_error *err)
{
    uint32_t all = table->n_columns + table->source->n_columns;
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(&job->plan_arena, struct ph_plan_column, (size_t)all + 1);
    uint32_t n = table->n_columns;

    if (columns == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    memcpy(columns, table->columns, n * sizeof *columns);
    for (uint32_t i = 0; i < table->source->n_columns; i++) {
        const struct ph_column *column = &table->source->columns[i];
        const struct ph_column *place = place_of(table, column);
        if (place == NULL || is_planned(table, column->name))
            continue;
        columns[n++] = (struct ph_plan_column){.source_name = column->name,
                                               .target_name = place->name,
                                               .source = column,
                                               .target = place,
                                               .is_late = true};
        ++*n_added;
        PH_TRY(ph_ledger_note_attribute(job->target_control, job->options->name, table->index,
                                        (uint32_t)column->attnum, column->name, err));
    }
    table->columns = columns;
    table->n_columns = n;
    return PH_OK;
}

ph_code
ph_follow_widen_plan(struct ph_job *job, uint32_t *n_added, struct ph_error *err)
{
    *n_added = 0;
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].route == NULL)
            PH_TRY(widen(job, &job->plan.tables[i], n_added, err));
    }
    return PH_OK;
}

ph_code
ph_follow_explain_change(const struct ph_job *job, struct ph_error *err)
{
    if (err->code != PH_E_TYPES)
        return err->code;
    err->code = PH_E_TABLE_CHANGED;
    ph_error_hint(err, "%s",
                  job->options->data_only || job->ledger.phase != PH_PHASE_FOLLOW
                      ? "add a column that is missing to the target, then give the same command "
                        "again; after any other change start over with --restart --yes"
                      : "add a column that is missing to the target, or after any other change "
                        "DROP TABLE (with CASCADE for keys and views) there, then give the same "
                        "command again: a table that is gone is copied anew");
    return PH_E_TABLE_CHANGED;
}
