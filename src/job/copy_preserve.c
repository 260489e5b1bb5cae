/*
 * `preserve: {columns: [...]}`: before a table is emptied the values that stay are set aside in the
 * ledger, in the transaction that empties it; rows get them on their way (flow/preserve_stage.h),
 * so the target never has others in their place and the read-back proves them. With the verdict
 * they are dropped. A run that dies anywhere in between finds them where they are and does not set
 * aside anew what is half loaded; neither does --restart.
 */
#include <stdio.h>
#include <string.h>

#include "job/copy_parts.h"
#include "pg/ledger_preserved.h"
#include "rules/ruleset.h"

/* Several routes may go into one table. */
static bool
is_first(const struct ph_plan *plan, uint32_t index)
{
    if (plan->tables[index].preserved == NULL)
        return false;
    for (uint32_t i = 0; i < index; i++) {
        if (plan->tables[i].target == plan->tables[index].target)
            return false;
    }
    return true;
}

static bool
is_preserved_column(const struct ph_table_plan *table, int16_t attnum)
{
    for (uint32_t i = 0; i < table->preserved->n_columns; i++) {
        if (table->columns[table->preserved->columns[i]].target->attnum == attnum)
            return true;
    }
    return false;
}

static void
label(const struct ph_rel *rel, char out[300])
{
    snprintf(out, 300, "%s.%s", rel->schema, rel->name);
}

/* ---- what cannot be exact ---- */

static bool
gets_rows(const struct ph_plan *plan, const struct ph_rel *rel)
{
    for (uint32_t i = 0; rel != NULL && i < plan->n_tables; i++) {
        if (plan->tables[i].target->root_oid == rel->root_oid)
            return true;
    }
    return false;
}

/* The first preserved column among them, its name; NULL: none is. */
static const char *
shared_column(const struct ph_table_plan *table, const int16_t *attnums, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t c = 0; c < table->n_columns; c++) {
            const struct ph_column *column = table->columns[c].target;
            if (column->attnum == attnums[i] && is_preserved_column(table, attnums[i]))
                return column->name;
        }
    }
    return NULL;
}

/* Whether rows that are new have NULL in a column of the index, which is like no other value. */
static bool
is_null_in_new_rows(const struct ph_job *job, const struct ph_table_plan *table,
                    const struct ph_index *index)
{
    for (uint32_t c = 0; c < table->n_columns; c++) {
        struct ph_value value;
        bool is_in = false;
        for (uint32_t k = 0; k < index->n_keys; k++)
            is_in |= index->key_attnums[k] == table->columns[c].target->attnum;
        if (is_in && !index->nulls_are_equal &&
            ph_ruleset_output_values(job->rules.set, table->route, c) == PH_VALUES_CERTAIN &&
            ph_ruleset_output_value(job->rules.set, table->route, c, 0, &value) && value.len < 0)
            return true;
    }
    return false;
}

/*
 * What such a column refers to is replaced by the copy, and what refers to it is of the source:
 * neither need have the other side's value.
 */
static void
check_foreign_keys(const struct ph_job *job, const struct ph_table_plan *table,
                   struct ph_findings *findings)
{
    const struct ph_catalog *target = &job->target_catalog;
    char object[300];
    struct ph_finding_params params = {PH_FINDING_ERROR, PH_E_NOT_READY, "preserve", object,
                                       "take the column from the source, or drop the foreign key"};

    label(table->target, object);
    for (uint32_t i = 0; i < target->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &target->foreign_keys[i];
        const struct ph_rel *to = ph_catalog_rel(target, key->ref_oid);
        const char *column = NULL;
        if (key->rel_oid == table->target->oid && gets_rows(&job->plan, to))
            column = shared_column(table, key->attnums, key->n_attnums);
        if (column != NULL)
            ph_finding_add(findings, &params,
                           "column %s cannot be preserved: it refers to %s.%s (%s), whose rows the "
                           "copy replaces",
                           column, to->schema, to->name, key->name);
        column = key->ref_oid == table->target->oid
                     ? shared_column(table, key->ref_attnums, key->n_attnums)
                     : NULL;
        if (column != NULL)
            ph_finding_add(findings, &params,
                           "column %s cannot be preserved: foreign key %s refers to it", column,
                           key->name);
    }
}

static void
warn_of_unique(const struct ph_job *job, const struct ph_table_plan *table,
               struct ph_findings *findings)
{
    char object[300];
    struct ph_finding_params params = {
        PH_FINDING_WARNING, PH_E_NOT_READY, "preserve", object,
        "give the column a rule for rows that are new, {set: null} for example"};

    label(table->target, object);
    for (uint32_t i = 0; i < table->target->n_indexes; i++) {
        const struct ph_index *index = &table->target->indexes[i];
        const char *column =
            index->is_unique ? shared_column(table, index->key_attnums, index->n_keys) : NULL;
        if (column != NULL && !is_null_in_new_rows(job, table, index))
            ph_finding_add(findings, &params,
                           "column %s is preserved and part of the unique index %s: a new row of "
                           "the source whose value an old row keeps ends the copy",
                           column, index->name);
    }
}

/* ---- what is aside already ---- */

static const struct ph_table_plan *
table_named(const struct ph_plan *plan, const struct ph_preserved_aside *aside)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_rel *target = plan->tables[i].target;
        if (strcmp(target->schema, aside->schema) == 0 && strcmp(target->name, aside->name) == 0)
            return &plan->tables[i];
    }
    return NULL;
}

/* Values of an earlier run are the ones that come back; nobody else may take the table before. */
static ph_code
check_aside(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_preserved_aside *aside;
    char object[300];
    char cure[400];
    uint32_t n;
    struct ph_finding_params params = {PH_FINDING_ERROR, PH_E_NOT_READY, "preserve", object, cure};

    PH_TRY(ph_preserved_list(job->target_control, &job->arena, &aside, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        const struct ph_table_plan *table = table_named(&job->plan, &aside[i]);
        bool is_ours = strcmp(aside[i].job, job->options->name) == 0;
        snprintf(object, sizeof object, "%s.%s", aside[i].schema, aside[i].name);
        snprintf(cure, sizeof cure,
                 "%s; or take what you need out of table pghaul.%s on the target and drop it",
                 is_ours ? "give the job file the `preserve:` that it had"
                         : "give that job's command again and let it end",
                 aside[i].kept_in);
        if (is_ours && (table == NULL || table->preserved == NULL))
            ph_finding_add(findings, &params,
                           "an earlier run has set values of it aside, and the rules preserve none "
                           "now");
        else if (!is_ours && table != NULL)
            ph_finding_add(findings, &params,
                           "job %s has set values of it aside and has not brought all of them back",
                           aside[i].job);
    }
    return PH_OK;
}

/* An earlier run of this job has set the same columns aside, or none did. */
static ph_code
check_same(struct ph_job *job, const struct ph_table_plan *table, struct ph_findings *findings,
           struct ph_error *err)
{
    struct ph_error why;
    enum ph_preserved_found found;

    ph_error_reset(&why);
    ph_code rc = ph_preserved_find(job->target_control, job->options->name, table, &found, &why);
    if (rc == PH_E_JOB_OTHER) {
        struct ph_finding_params params = {PH_FINDING_ERROR, rc, "preserve", why.object, why.hint};
        ph_finding_add(findings, &params, "%s", why.message);
        return PH_OK;
    }
    if (rc != PH_OK)
        *err = why;
    return rc;
}

ph_code
ph_copy_check_preserved(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    PH_TRY(check_aside(job, findings, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (!is_first(&job->plan, i))
            continue;
        check_foreign_keys(job, table, findings);
        warn_of_unique(job, table, findings);
        PH_TRY(check_same(job, table, findings, err));
    }
    return PH_OK;
}

/* ---- setting aside ---- */

ph_code
ph_copy_put_preserved(struct ph_job *job, const struct ph_rel *rel, struct ph_buf *sql,
                      struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        enum ph_preserved_found found;
        if (!is_first(&job->plan, i) ||
            (rel != NULL && table->target != rel && table->target->root_oid != rel->oid))
            continue;
        PH_TRY(ph_preserved_find(job->target_control, job->options->name, table, &found, err));
        if (found != PH_PRESERVED_ASIDE)
            ph_preserved_put_aside(job->options->name, table, found, sql);
    }
    return PH_OK;
}

/* ---- the end ---- */

/* Rows of the source, of all routes into the table. */
static uint64_t
left_out(const struct ph_job *job, const struct ph_rel *target)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        for (uint32_t c = 0; table->target == target && c < table->n_chunks; c++)
            n += job->chunk_states[table->first_chunk + c].left_out;
    }
    return n;
}

static void
put_counts(const struct ph_table_plan *table, const struct ph_preserved_counts *counts,
           uint64_t n_left_out, struct ph_buf *out)
{
    ph_buf_printf(out, "%llu rows of the target keep", (unsigned long long)counts->rows);
    for (uint32_t i = 0; i < table->preserved->n_columns; i++)
        ph_buf_printf(out, "%s %s", i > 0 ? "," : "",
                      table->columns[table->preserved->columns[i]].target_name);
    ph_buf_puts(out, " as far as the source has them");
    if (table->preserved->rows != NULL)
        ph_buf_printf(out,
                      "; %llu stay whole, and %llu rows of the source with their keys were left "
                      "out",
                      (unsigned long long)counts->whole, (unsigned long long)n_left_out);
}

ph_code
ph_copy_tell_preserved(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        struct ph_preserved_counts counts;
        struct ph_buf text;
        char object[300];
        if (!is_first(&job->plan, i))
            continue;
        PH_TRY(ph_preserved_count(job->target_control, job->options->name, table->target, &counts,
                                  err));
        ph_buf_init(&text, (size_t)1 << 20);
        put_counts(table, &counts, left_out(job, table->target), &text);
        label(table->target, object);
        ph_report_add_finding(&job->run->report, PH_FINDING_NOTE, "preserve", object, "%s",
                              ph_buf_text(&text));
        ph_buf_free(&text);
    }
    return PH_OK;
}

/*
 * Whether a row may not have come back: the table was compared and is not as it should be, or rows
 * are in quarantine. What the target had of them is kept for the copy that brings them.
 */
static bool
is_lacking(const struct ph_job *job, const struct ph_rel *target)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (table->target != target)
            continue;
        if (job->table_states[i].read_back && !job->table_states[i].verified)
            return true;
        for (uint32_t c = 0; c < table->n_chunks; c++) {
            if (job->chunk_states[table->first_chunk + c].quarantined > 0)
                return true;
        }
    }
    return false;
}

ph_code
ph_copy_drop_preserved(struct ph_job *job, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (!is_first(&job->plan, i))
            continue;
        if (is_lacking(job, table->target))
            PH_TRY(ph_preserved_leave_rest(conn, job->options->name, table, err));
        else
            PH_TRY(ph_preserved_drop(conn, job->options->name, table->target, err));
    }
    return PH_OK;
}
