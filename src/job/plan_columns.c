/*
 * Columns that the source has got since the plan was made, of tables that are still to be copied.
 * A later snapshot sees what was written into them, so the stream does not bring it again: they
 * have to come with the rows. Chunks of before are without them, and start again (job/epoch.c).
 */
#include <string.h>

#include "apply/carry.h"
#include "base/log.h"
#include "job/follow.h"
#include "job/job.h"
#include "job/publish.h"
#include "model/type_match.h"
#include "pg/ledger.h"
#include "wire/oid_remap.h"

/* In no plan: the target computes it, or the stream would not bring it. */
static bool
is_outside(const struct ph_table_plan *table, const struct ph_column *column)
{
    const struct ph_column *place = ph_rel_column_named(table->target, column->name);

    return table->route == NULL && !ph_plan_reads(table, column->name) &&
           (place != NULL ? place->generated == '\0' : column->generated == '\0');
}

const struct ph_column *
ph_job_next_lacking(const struct ph_table_plan *table, uint32_t *at)
{
    while (*at < table->source->n_columns) {
        const struct ph_column *column = &table->source->columns[(*at)++];
        if (is_outside(table, column))
            return column;
    }
    return NULL;
}

bool
ph_job_lacks_columns(const struct ph_table_plan *table)
{
    uint32_t at = 0;

    return ph_job_next_lacking(table, &at) != NULL;
}

static ph_code
refuse(const struct ph_table_plan *table, const struct ph_column *column, struct ph_error *err)
{
    bool is_generated = column->generated != '\0';

    PH_FAIL(err, PH_E_TABLE_CHANGED,
            is_generated ? "column %s was added on the source since the copy began, generated, and "
                           "is a plain one on the target: no change of the stream brings it"
                         : "column %s was added on the source since the copy began, and the target "
                           "has none of that name",
            column->name);
    ph_error_object(err, "%s.%s", table->source->schema, table->source->name);
    ph_error_hint(err, "%s",
                  is_generated
                      ? "make it the same on both sides, then give the same command again; "
                        "or start over with --restart --yes"
                      : "add it on the target, then give the same command again: the "
                        "table's rows are copied with it; or start over with --restart "
                        "--yes");
    return PH_E_TABLE_CHANGED;
}

/* The form that values come in stays what it was when the stream was begun. */
static ph_code
check_stream(const struct ph_job *job, const struct ph_table_plan *table,
             const struct ph_column *column, struct ph_error *err)
{
    const struct ph_carry_params params = {&job->source_catalog, &job->target_catalog,
                                           PH_FORMAT_BINARY};
    const struct ph_plan_column made = {.source_name = column->name,
                                        .target_name = column->name,
                                        .source = column,
                                        .target = ph_rel_column_named(table->target, column->name)};
    struct ph_error why;
    enum ph_carry how;

    if (!job->follows || !ph_publish_can(table) || ph_follow_format(job) != PH_FORMAT_BINARY)
        return PH_OK;
    ph_error_reset(&why);
    if (ph_carry_choose(&params, &made, &how, &why) == PH_OK)
        return PH_OK;
    PH_FAIL(err, PH_E_TABLE_CHANGED,
            "column %s was added on the source since the copy began, and the stream, which this "
            "job has begun in binary, cannot bring its values: %.300s",
            column->name, why.message);
    ph_error_object(err, "%s.%s", table->source->schema, table->source->name);
    ph_error_hint(err, "drop it on both sides and add it again when the job is over: the same "
                       "command goes on without it; or start over with --restart --yes");
    return PH_E_TABLE_CHANGED;
}

ph_code
ph_job_check_columns(const struct ph_job *job, const struct ph_table_plan *table,
                     struct ph_error *err)
{
    for (uint32_t i = 0; i < table->source->n_columns; i++) {
        const struct ph_column *column = &table->source->columns[i];
        if (!is_outside(table, column))
            continue;
        if (ph_rel_column_named(table->target, column->name) == NULL ||
            (job->follows && column->generated != '\0'))
            return refuse(table, column, err);
        PH_TRY(check_stream(job, table, column, err));
    }
    return PH_OK;
}

/* What the new columns need; tables that share a target have got the same ones. */
static ph_code
set_format(struct ph_job *job, struct ph_table_plan *table, struct ph_error *err)
{
    struct ph_table_match match = {0};

    PH_TRY(ph_type_match_table(table->columns, table->n_columns, &job->source_catalog,
                               &job->target_catalog, &match, err));
    table->may_change = match.may_change;
    table->remap = NULL;
    if (match.format == PH_FORMAT_TEXT && table->format == PH_FORMAT_BINARY) {
        table->format = PH_FORMAT_TEXT;
        table->format_reason = ph_arena_strdup(&job->plan_arena, match.reason);
    }
    return table->format == PH_FORMAT_TEXT
               ? PH_OK
               : ph_oid_remap_compile(table->columns, table->n_columns, &job->source_catalog,
                                      &job->target_catalog, &job->plan_arena, &table->remap, err);
}

/* Behind the others, whose places the key is told by. */
static ph_code
take(struct ph_job *job, struct ph_table_plan *table, struct ph_error *err)
{
    size_t all = (size_t)table->n_columns + table->target->n_columns;
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(&job->plan_arena, struct ph_plan_column, all + 1);
    uint32_t n = table->n_columns;

    PH_TRY(ph_job_check_columns(job, table, err));
    if (columns == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    memcpy(columns, table->columns, n * sizeof *columns);
    for (uint32_t i = 0; i < table->target->n_columns; i++) {
        const struct ph_column *place = &table->target->columns[i];
        const struct ph_column *column = ph_rel_column_named(table->source, place->name);
        if (column == NULL || !is_outside(table, column))
            continue;
        columns[n++] = (struct ph_plan_column){.source_name = column->name,
                                               .target_name = place->name,
                                               .source = column,
                                               .target = place};
        ph_log(PH_LOG_INFO, "table.column",
               "%s.%s: column %s was added since the copy began: the rows are copied with it",
               table->source->schema, table->source->name, column->name);
    }
    table->columns = columns;
    table->n_columns = n;
    PH_TRY(set_format(job, table, err));
    return ph_ledger_set_columns(job->target_control, job->options->name, table, err);
}

bool
ph_job_has_todo(const struct ph_job *job, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < table->n_chunks; i++) {
        if (!job->chunk_states[table->first_chunk + i].done)
            return true;
    }
    return false;
}

/* A column that comes later has nothing to do with what rewrote the table before that. */
static ph_code
note_filenode(struct ph_job *job, struct ph_table_plan *table, struct ph_error *err)
{
    if (table->filenode == table->source->filenode || ph_job_lacks_columns(table))
        return PH_OK;
    table->filenode = table->source->filenode;
    return ph_ledger_note_filenode(job->target_control, job->options->name, table->index,
                                   table->filenode, err);
}

ph_code
ph_job_take_columns(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        struct ph_table_plan *table = &job->plan.tables[i];
        if (ph_job_lacks_columns(table) && ph_job_has_todo(job, table))
            PH_TRY(take(job, table, err));
        PH_TRY(note_filenode(job, table, err));
    }
    return PH_OK;
}
