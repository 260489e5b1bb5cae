/*
 * Tables that are added to a job and whose rows go where rows of its other tables are: a partition
 * of the source may lie in a table that the target has for several, or that has it in turn as a
 * partition. The rows that are there have been brought on by the stream, and no copy brings them
 * again. So such a target is neither asked whether it is empty nor emptied.
 *
 * Which rows were brought there by the tables that are added is told by their receipts, since these
 * were written by the same transactions: both have the same xmin until a change is applied. By that
 * they are proven, and they alone are deleted where such tables start again. One transaction may
 * bring rows of several tables, so those of one target are taken together.
 */
#include "job/join.h"

static bool
share(const struct ph_catalog *target, const struct ph_rel *a, const struct ph_rel *b)
{
    if (a == b || a->root_oid != b->root_oid)
        return a == b;
    return (a->kind == PH_REL_PARTITIONED && ph_catalog_is_within(target, b->oid, a->oid)) ||
           (b->kind == PH_REL_PARTITIONED && ph_catalog_is_within(target, a->oid, b->oid));
}

bool
ph_job_share_target(const struct ph_job *job, const struct ph_table_plan *a,
                    const struct ph_table_plan *b)
{
    return share(&job->target_catalog, a->target, b->target);
}

void
ph_join_mark_beside(struct ph_job *job)
{
    const struct ph_ledger_tables *had = &job->join.had;

    /* otherwise the tables are made, and hold nothing before */
    for (uint32_t i = 0; job->options->data_only && i < had->n; i++) {
        const struct ph_rel *rel = ph_catalog_rel_named(
            &job->target_catalog, had->targets[i].schema, had->targets[i].name);
        for (uint32_t t = 0; rel != NULL && t < job->plan.n_tables; t++)
            job->plan.tables[t].is_beside |=
                share(&job->target_catalog, rel, job->plan.tables[t].target);
    }
}

/* Tables of one target that are copied by this join are read back as one. */
static bool
has_others_beside(const struct ph_job *job, uint32_t at)
{
    const struct ph_table_plan *table = &job->plan.tables[at];

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *other = &job->plan.tables[i];
        if (i != at && (job->table_states[i].is_past || other->target != table->target) &&
            ph_job_share_target(job, table, other))
            return true;
    }
    return false;
}

static void
put_tables_of(const struct ph_job *job, const struct ph_rel *target, struct ph_buf *sql)
{
    const char *separator = "";

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].target != target || job->table_states[i].is_past)
            continue;
        ph_buf_printf(sql, "%s%u", separator, i);
        separator = ", ";
    }
}

/* A route's condition is one that others can be added to. */
static const char *
own_rows(struct ph_job *job, const struct ph_table_plan *table)
{
    const char *where = table->where[PH_TARGET];
    const char *out = NULL;
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)1 << 20);
    ph_buf_printf(&sql, "%s%s xmin IN (SELECT c.xmin FROM pghaul.chunk c WHERE c.job = ",
                  where != NULL ? where : "WHERE", where != NULL ? " AND" : "");
    ph_buf_put_literal(&sql, job->options->name);
    ph_buf_puts(&sql, " AND c.tbl IN (");
    put_tables_of(job, table->target, &sql);
    ph_buf_puts(&sql, ") AND c.state = 'done')");
    if (ph_buf_ok(&sql))
        out = ph_arena_strdup(&job->plan_arena, ph_buf_text(&sql));
    ph_buf_free(&sql);
    return out;
}

ph_code
ph_join_settle_beside(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        struct ph_table_plan *table = &job->plan.tables[i];
        if (job->table_states[i].is_past || ph_plan_is_config(table) || !has_others_beside(job, i))
            continue;
        table->is_beside = true;
        table->where[PH_TARGET] = own_rows(job, table);
        if (table->where[PH_TARGET] == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    return PH_OK;
}
