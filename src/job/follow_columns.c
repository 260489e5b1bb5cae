/*
 * Columns that were added since the job was planned. One that both sides have by now is applied
 * from the first change on that brings it; rows that come by changes from before it have in it what
 * the source gave them then, which is looked into before it is taken up. Where the job's rules say
 * which columns go where, nothing is added to them.
 */
#include <stdio.h>
#include <string.h>

#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "job/publish.h"
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

/* *out is NULL: not yet. What was found out of it stays in the ledger. */
static ph_code
take(struct ph_job *job, const struct ph_table_plan *table, const struct ph_column *column,
     enum ph_late_when when, const struct ph_late **out, struct ph_error *err)
{
    uint32_t at = (uint32_t)(column - table->source->columns);
    struct ph_late *late;

    *out = table->late != NULL && table->late[at].is_taken ? &table->late[at] : NULL;
    if (*out != NULL)
        return PH_OK;
    late = PH_ARENA_ARRAY(&job->plan_arena, struct ph_late, 1);
    if (late == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_late_take(job, table, column, when, late, err));
    if (!late->is_taken)
        return PH_OK;
    *out = late;
    return ph_ledger_note_late(job->target_control, job->options->name, table->index, column, late,
                               err);
}

static ph_code
widen(struct ph_job *job, struct ph_table_plan *table, enum ph_late_when when, struct ph_error *err)
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
        const struct ph_late *late;
        if (place == NULL || is_planned(table, column->name))
            continue;
        PH_TRY(take(job, table, column, when, &late, err));
        if (late == NULL)
            continue;
        columns[n++] = (struct ph_plan_column){.source_name = column->name,
                                               .target_name = place->name,
                                               .source = column,
                                               .target = place,
                                               .late = late};
    }
    table->columns = columns;
    table->n_columns = n;
    return PH_OK;
}

/* The relation that an error is about, or 0. */
static ph_oid
oid_of(const struct ph_catalog *catalog, const char *object)
{
    char label[sizeof((struct ph_error *)NULL)->object];

    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        snprintf(label, sizeof label, "%s.%s", catalog->rels[i].schema, catalog->rels[i].name);
        if (strcmp(label, object) == 0)
            return catalog->rels[i].oid;
    }
    return 0;
}

/* Its changes may be announced as those of a partitioned table above. */
static bool
is_of(const struct ph_job *job, const struct ph_table_plan *table, ph_oid oid)
{
    return oid == 0 || ph_catalog_is_within(&job->source_catalog, table->source->oid, oid);
}

/* With that table those whose rows are among its own on the target: with its next change these have
 * values in them, and cannot be asked any more. A table by another name now: it may be any. */
static bool
is_due(const struct ph_job *job, const struct ph_table_plan *table, ph_oid oid)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *other = &job->plan.tables[i];
        if (other->target == table->target && is_of(job, other, oid))
            return true;
    }
    return false;
}

ph_code
ph_follow_widen_plan(struct ph_job *job, const struct ph_error *why, struct ph_error *err)
{
    ph_oid oid = why != NULL ? oid_of(&job->source_catalog, why->object) : 0;

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        struct ph_table_plan *table = &job->plan.tables[i];
        if (table->route == NULL && ph_publish_can(table))
            PH_TRY(widen(job, table,
                         why != NULL && is_due(job, table, oid) ? PH_LATE_DUE : PH_LATE_AHEAD,
                         err));
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
