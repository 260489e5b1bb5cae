/*
 * Columns that were added since the job was planned. One that both sides have by now is applied
 * from the first change on that brings it; changes from before it leave it at its default, as the
 * source did, which is looked into before it is taken up. Where the job's rules say which columns
 * go where, nothing is added to them.
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

/* What was found out of it stays in the ledger. */
static ph_code
may_take(struct ph_job *job, const struct ph_table_plan *table, const struct ph_column *column,
         enum ph_late_columns late, bool *may, struct ph_error *err)
{
    *may = true;
    if (table->taken_up != NULL && table->taken_up[column - table->source->columns])
        return PH_OK;
    if (late == PH_LATE_ALL)
        PH_TRY(ph_late_check(job, table, column, err));
    else
        PH_TRY(ph_late_is_plain(job, table, column, may, err));
    return *may ? ph_ledger_note_attribute(job->target_control, job->options->name, table->index,
                                           (uint32_t)column->attnum, column->name, err)
                : PH_OK;
}

static ph_code
widen(struct ph_job *job, struct ph_table_plan *table, enum ph_late_columns late,
      struct ph_error *err)
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
        bool may;
        if (place == NULL || is_planned(table, column->name))
            continue;
        PH_TRY(may_take(job, table, column, late, &may, err));
        if (!may)
            continue;
        columns[n++] = (struct ph_plan_column){.source_name = column->name,
                                               .target_name = place->name,
                                               .source = column,
                                               .target = place,
                                               .is_late = true};
    }
    table->columns = columns;
    table->n_columns = n;
    return PH_OK;
}

ph_code
ph_follow_widen_plan(struct ph_job *job, enum ph_late_columns late, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].route == NULL)
            PH_TRY(widen(job, &job->plan.tables[i], late, err));
    }
    return PH_OK;
}

ph_code
ph_follow_check_late(struct ph_job *job, const struct ph_table_plan *table,
                     const struct ph_rel *now, struct ph_error *err)
{
    for (uint32_t i = 0; i < now->n_columns; i++) {
        if (!ph_plan_reads(table, now->columns[i].name))
            PH_TRY(ph_late_check(job, table, &now->columns[i], err));
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
