/*
 * The end of a follow: what of the source the stream did not bring, for the report. Schema changes
 * are not followed; what has become of the tables is seen by comparing the source of now with the
 * plan and the target.
 */
#include <stdio.h>

#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "job/publish.h"
#include "pg/catalog.h"

#define ARENA_LIMIT ((size_t)64 << 20)
#define LABEL_BYTES 160

static void
tell(struct ph_job *job, const char *kind, const char *label, const char *text)
{
    ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, kind, label, "%s", text);
}

/* ---- tables that a stream cannot bring ---- */

static void
tell_unstreamed(struct ph_job *job)
{
    char label[LABEL_BYTES];

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (ph_publish_can(table) || !ph_plan_is_first_of_source(&job->plan, i))
            continue;
        ph_plan_table_label(table, label, sizeof label);
        tell(job, "not in the stream", label,
             "its rows are those of the copy: changes of such a table do not follow");
    }
}

/* ---- tables that were made, dropped or altered ---- */

static bool
is_planned(const struct ph_plan *plan, ph_oid oid)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (plan->tables[i].source->oid == oid)
            return true;
    }
    return false;
}

static void
tell_made(struct ph_job *job, const struct ph_catalog *now, const struct ph_selection *selection)
{
    char label[LABEL_BYTES];

    for (uint32_t i = 0; i < now->n_rels; i++) {
        const struct ph_rel *rel = &now->rels[i];
        if (rel->kind != PH_REL_TABLE || rel->extension != NULL || !selection->rels[i] ||
            is_planned(&job->plan, rel->oid))
            continue;
        snprintf(label, sizeof label, "%s.%s", rel->schema, rel->name);
        tell(job, "table", label, "was made on the source since: neither copied nor followed");
    }
}

static bool
has_all_columns(const struct ph_rel *rel, const struct ph_rel *of)
{
    for (uint32_t i = 0; i < of->n_columns; i++) {
        if (ph_rel_column_named(rel, of->columns[i].name) == NULL)
            return false;
    }
    return true;
}

/* Where rules say what goes where, the source's table is what they were made for. */
static bool
has_its_columns(const struct ph_job *job, const struct ph_table_plan *table,
                const struct ph_rel *now)
{
    const struct ph_rel *planned = table->route != NULL ? table->source : table->target;
    bool both_ways = table->route != NULL || !job->options->data_only;

    return has_all_columns(planned, now) && (!both_ways || has_all_columns(now, planned));
}

static ph_code
compare_columns(struct ph_job *job, const struct ph_table_plan *table, const struct ph_rel *now,
                struct ph_error *err)
{
    if (!ph_publish_can(table)) /* it has the rows of the copy, and that is told */
        return PH_OK;
    PH_TRY(ph_job_compare_attributes(job, table, now, err));
    return ph_follow_check_late(job, table, now, err);
}

/* What went to the target by such a column's name is not what the source has. */
static ph_code
tell_altered(struct ph_job *job, const struct ph_catalog *now, struct ph_error *err)
{
    char label[LABEL_BYTES];

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        const struct ph_rel *rel = ph_catalog_rel(now, table->source->oid);
        if (!ph_plan_is_first_of_source(&job->plan, i))
            continue;
        ph_plan_table_label(table, label, sizeof label);
        if (rel != NULL)
            PH_TRY(compare_columns(job, table, rel, err));
        if (rel == NULL)
            tell(job, "table", label, "was dropped on the source since: it is still on the target");
        else if (!has_its_columns(job, table, rel))
            tell(job, "table", label,
                 table->route != NULL
                     ? "its columns on the source are not those that the rules were made for"
                     : "its columns on the source are not those of the target any more");
    }
    return PH_OK;
}

ph_code
ph_follow_tell_drift(struct ph_job *job, struct ph_error *err)
{
    struct ph_selection selection;
    struct ph_catalog now;
    struct ph_arena arena;

    tell_unstreamed(job);
    ph_arena_init(&arena, ARENA_LIMIT);
    ph_code rc = ph_catalog_read_now(job->source_control, &now, err);
    if (rc == PH_OK)
        rc = tell_altered(job, &now, err);
    if (rc == PH_OK) {
        /* a pattern that matches nothing any more was told by what was dropped */
        if (ph_select(&now, job->options, &arena, &selection, NULL) == PH_OK)
            tell_made(job, &now, &selection);
    }
    ph_catalog_reset(&now);
    ph_arena_reset(&arena);
    return rc;
}
