/*
 * `backup: SCHEMA`: the rows that a table of the target had are kept before --truncate empties it,
 * as a table of that schema, in the transaction that empties it. Its comment says whose it is: a
 * run that died after that transaction finds it and does not make it of what has come since.
 */
#include <stdio.h>
#include <string.h>

#include "job/copy_parts.h"

static const char *
backup_of(const struct ph_table_plan *table)
{
    return table->route == NULL ? NULL : table->route->backup;
}

/* Several routes may go into one table. */
static bool
is_first(const struct ph_plan *plan, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (plan->tables[i].target == plan->tables[index].target &&
            backup_of(&plan->tables[i]) != NULL)
            return false;
    }
    return backup_of(&plan->tables[index]) != NULL;
}

static ph_code
put_comment(const struct ph_job *job, const struct ph_rel *rel, struct ph_buf *out,
            struct ph_error *err)
{
    ph_buf_init(out, 4096);
    ph_buf_printf(out, "rows of %s.%s before pghaul's job %s", rel->schema, rel->name,
                  job->options->name);
    return ph_buf_ok(out) ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

enum found { NOTHING, OURS, ANOTHERS };

static ph_code
look(struct ph_job *job, const struct ph_table_plan *table, enum found *found, struct ph_error *err)
{
    static const char sql[] =
        "SELECT COALESCE(pg_catalog.obj_description(c.oid, 'pg_class'), '') OPERATOR(pg_catalog.=)"
        " $3 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR("
        "pg_catalog.=) c.relnamespace WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname"
        " OPERATOR(pg_catalog.=) $2";
    struct ph_buf comment;
    struct ph_result *r;

    PH_TRY(put_comment(job, table->target, &comment, err));
    const char *params[] = {backup_of(table), table->target->name, ph_buf_text(&comment)};
    ph_code rc = ph_conn_query(job->target_control, sql, 3, params, &r, err);
    ph_buf_free(&comment);
    PH_TRY(rc);
    *found = ph_result_rows(r) == 0                      ? NOTHING
             : strcmp(ph_result_text(r, 0, 0), "t") == 0 ? OURS
                                                         : ANOTHERS;
    ph_result_free(r);
    return PH_OK;
}

/* Whether another table would be kept under the same name. */
static bool
has_twin(const struct ph_plan *plan, uint32_t index)
{
    const struct ph_table_plan *table = &plan->tables[index];

    for (uint32_t i = 0; i < index; i++) {
        const struct ph_table_plan *other = &plan->tables[i];
        if (other->target != table->target && backup_of(other) != NULL &&
            strcmp(backup_of(other), backup_of(table)) == 0 &&
            strcmp(other->target->name, table->target->name) == 0)
            return true;
    }
    return false;
}

ph_code
ph_copy_check_backups(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    const struct ph_plan *plan = &job->plan;
    char object[300];
    struct ph_finding_params params = {PH_FINDING_ERROR, PH_E_NOT_READY, "backup", object,
                                       "rename it or drop it, or name another schema in `backup:`"};

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        enum found found;
        if (!is_first(plan, i))
            continue;
        PH_TRY(look(job, &plan->tables[i], &found, err));
        snprintf(object, sizeof object, "%s.%s", backup_of(&plan->tables[i]),
                 plan->tables[i].target->name);
        if (found != NOTHING)
            ph_finding_add(findings, &params, "the table that old rows are to be kept in is there");
        else if (has_twin(plan, i))
            ph_finding_add(findings, &params, "the old rows of two tables are to be kept in it");
    }
    return PH_OK;
}

/* The columns that rows are made of: PostgreSQL computes the others. */
static void
put_columns(struct ph_buf *sql, const struct ph_rel *rel)
{
    const char *separator = "";

    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (rel->columns[i].generated != '\0')
            continue;
        ph_buf_puts(sql, separator);
        ph_buf_put_ident(sql, rel->columns[i].name);
        separator = ", ";
    }
}

/* Nobody writes to the table between the copy of its rows and their end. */
static ph_code
put_backup(struct ph_job *job, const struct ph_table_plan *table, struct ph_buf *sql,
           struct ph_error *err)
{
    const struct ph_rel *rel = table->target;
    struct ph_buf comment;

    PH_TRY(put_comment(job, rel, &comment, err));
    ph_buf_puts(sql, "CREATE SCHEMA IF NOT EXISTS ");
    ph_buf_put_ident(sql, backup_of(table));
    ph_buf_puts(sql, "; LOCK TABLE ");
    ph_copy_put_target(sql, rel);
    ph_buf_puts(sql, " IN ACCESS EXCLUSIVE MODE; CREATE TABLE ");
    ph_buf_put_qualified(sql, backup_of(table), rel->name);
    ph_buf_puts(sql, " (LIKE ");
    ph_buf_put_qualified(sql, rel->schema, rel->name);
    ph_buf_puts(sql, " INCLUDING ALL); INSERT INTO ");
    ph_buf_put_qualified(sql, backup_of(table), rel->name);
    ph_buf_puts(sql, " (");
    put_columns(sql, rel);
    ph_buf_puts(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    put_columns(sql, rel);
    ph_buf_puts(sql, " FROM ");
    ph_copy_put_target(sql, rel);
    ph_buf_puts(sql, "; COMMENT ON TABLE ");
    ph_buf_put_qualified(sql, backup_of(table), rel->name);
    ph_buf_puts(sql, " IS ");
    ph_buf_put_literal(sql, ph_buf_text(&comment));
    ph_buf_puts(sql, "; ");
    ph_buf_free(&comment);
    return PH_OK;
}

ph_code
ph_copy_put_backups(struct ph_job *job, const struct ph_rel *rel, struct ph_buf *sql,
                    struct ph_error *err)
{
    const struct ph_plan *plan = &job->plan;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_rel *target = plan->tables[i].target;
        enum found found;
        if ((target != rel && target->root_oid != rel->oid) || !is_first(plan, i))
            continue;
        PH_TRY(look(job, &plan->tables[i], &found, err));
        if (found != OURS) /* another's: the statement fails, and nothing is emptied */
            PH_TRY(put_backup(job, &plan->tables[i], sql, err));
    }
    return PH_OK;
}
