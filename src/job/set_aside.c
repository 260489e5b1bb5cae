/*
 * What has to be out of the way while rows go into an existing schema, and comes back afterwards.
 *
 * Triggers and rewrite rules that would act: see acting.h. Keys: foreign keys that no order of
 * loading satisfies, since their tables refer to each other and are not loaded by one transaction
 * (or the key cannot wait for its end).
 *
 * This is committed DDL, so the statement that restores an object is in the ledger by the same
 * transaction. Doing it again finds only what is there again.
 */
#include <stdio.h>

#include "base/failpoint.h"
#include "job/acting.h"
#include "job/copy_parts.h"
#include "job/join.h"

/* ---- which ---- */

/* $1: the keys */
static const char KEYS_SQL[] =
    "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname),"
    " format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname,"
    " pg_get_constraintdef(k.oid)) || CASE WHEN obj_description(k.oid, 'pg_constraint') IS NULL"
    " THEN '' ELSE format('; COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname,"
    " k.conrelid::regclass, obj_description(k.oid, 'pg_constraint')) END,"
    " format('foreign key %I of %s', k.conname, k.conrelid::regclass),"
    " pg_has_role(c.relowner, 'USAGE')"
    " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
    " WHERE k.oid = ANY ($1::oid[]) ORDER BY k.oid";

static void
put_targets(const struct ph_plan *plan, struct ph_buf *out)
{
    ph_buf_putc(out, '{');
    for (uint32_t i = 0; i < plan->n_tables; i++)
        ph_buf_printf(out, "%s%u", i > 0 ? "," : "", plan->tables[i].target->oid);
    ph_buf_putc(out, '}');
}

/* What of the plan goes into one table of the target, partitions counted in. */
struct family {
    uint32_t n_tables;
    uint32_t n_chunks;
    uint32_t group;
    bool is_new; /* being added to a job that follows */
    bool is_had; /* by the job before; both are where what is added goes into one with the others */
};

static struct family
family_of(const struct ph_job *job, ph_oid oid)
{
    const struct ph_rel *rel = ph_catalog_rel(&job->target_catalog, oid);
    struct family family = {0};

    for (uint32_t i = 0; rel != NULL && i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (table->target->root_oid != rel->root_oid)
            continue;
        family.n_tables++;
        family.n_chunks += table->n_chunks;
        family.group = table->group;
        bool is_new = ph_join_is_new(job, table->source);
        family.is_new |= is_new;
        family.is_had |= !is_new;
    }
    return family;
}

static bool
is_one_lot(const struct ph_plan *plan, uint32_t group)
{
    const struct ph_chunk *first = NULL;

    for (uint32_t i = 0; i < plan->n_chunks; i++) {
        const struct ph_chunk *chunk = &plan->chunks[i];
        if (plan->tables[chunk->table].group != group)
            continue;
        if (first != NULL && chunk->lot != first->lot)
            return false;
        first = chunk;
    }
    return true;
}

static bool
stands_in_the_way(const struct ph_job *job, const struct ph_foreign_key *key)
{
    struct family from = family_of(job, key->rel_oid);
    struct family to = family_of(job, key->ref_oid);

    if (!key->enforced || from.n_tables == 0 || to.n_tables == 0)
        return false;
    /* of different moments, until the stream has brought both on */
    if ((from.is_new && to.is_had) || (from.is_had && to.is_new))
        return true;
    if (from.group != to.group)
        return false;
    /* a statement that brings the whole table is checked at its end */
    if (key->rel_oid == key->ref_oid && from.n_chunks == 1)
        return false;
    return !(key->deferrable && is_one_lot(&job->plan, from.group));
}

static void
put_keys(const struct ph_job *job, struct ph_buf *out)
{
    const struct ph_catalog *target = &job->target_catalog;
    const char *separator = "";

    ph_buf_putc(out, '{');
    for (uint32_t i = 0; i < target->n_foreign_keys; i++) {
        if (!stands_in_the_way(job, &target->foreign_keys[i]))
            continue;
        ph_buf_printf(out, "%s%u", separator, target->foreign_keys[i].oid);
        separator = ",";
    }
    ph_buf_putc(out, '}');
}

enum aside { ACTING, FOREIGN_KEYS };

static ph_code
list_of(struct ph_job *job, enum aside aside, struct ph_result **out, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;
    struct ph_buf list;
    ph_code rc;

    ph_buf_init(&list, (size_t)16 << 20);
    if (aside == FOREIGN_KEYS)
        put_keys(job, &list);
    else
        put_targets(&job->plan, &list);
    const char *oids = ph_buf_text(&list);
    if (!ph_buf_ok(&list))
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    else if (aside == FOREIGN_KEYS)
        rc = ph_conn_query(conn, KEYS_SQL, 1, &oids, out, err);
    else
        rc = ph_acting_list(conn, oids, job->target_catalog.can_set_replica_role, out, err);
    ph_buf_free(&list);
    return rc;
}

/* Rows as ph_acting_list gives them. */
static ph_code
each(struct ph_job *job, enum aside aside,
     ph_code (*visit)(void *, const struct ph_result *, int, struct ph_error *), void *arg,
     struct ph_error *err)
{
    struct ph_result *r;
    ph_code rc = PH_OK;

    PH_TRY(list_of(job, aside, &r, err));
    for (int i = 0; rc == PH_OK && i < ph_result_rows(r); i++)
        rc = visit(arg, r, i, err);
    ph_result_free(r);
    return rc;
}

/* ---- doing it ---- */

static ph_code
set_aside(void *arg, const struct ph_result *r, int row, struct ph_error *err)
{
    struct ph_job *job = arg;

    PH_TRY(ph_ledger_set_aside(job->target_control, job->options->name,
                               ph_result_text(r, row, PH_ACTING_OBJECT),
                               ph_result_text(r, row, PH_ACTING_RESTORE), err));
    PH_FAILPOINT(after_set_aside);
    return ph_conn_exec(job->target_control, ph_result_text(r, row, PH_ACTING_SUSPEND), err);
}

ph_code
ph_copy_set_aside(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(each(job, ACTING, set_aside, job, err));
    return job->target_catalog.can_set_replica_role ? PH_OK
                                                    : each(job, FOREIGN_KEYS, set_aside, job, err);
}

/* ---- may it be done? ---- */

static ph_code
check_owner(void *arg, const struct ph_result *r, int row, struct ph_error *err)
{
    struct ph_finding_params params = {PH_FINDING_ERROR, PH_E_RIGHTS, "target",
                                       ph_result_text(r, row, PH_ACTING_OBJECT),
                                       "use the owner of the table, or a role that may set"
                                       " session_replication_role"};

    (void)err;
    if (!ph_result_bool(r, row, PH_ACTING_IS_OURS))
        ph_finding_add(arg, &params,
                       "it has to be set aside for the time of the copy, which only the table's"
                       " owner may do");
    return PH_OK;
}

ph_code
ph_copy_check_set_aside(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    PH_TRY(each(job, ACTING, check_owner, findings, err));
    return job->target_catalog.can_set_replica_role
               ? PH_OK
               : each(job, FOREIGN_KEYS, check_owner, findings, err);
}

ph_code
ph_copy_set_aside_now(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_conn_exec(job->target_control, "BEGIN", err));
    ph_code rc = ph_copy_set_aside(job, err);
    if (rc == PH_OK)
        return ph_conn_exec(job->target_control, "COMMIT", err);
    (void)ph_conn_exec(job->target_control, "ROLLBACK", NULL);
    return rc;
}
