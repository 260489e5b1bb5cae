#include "job/preflight_keys.h"

#include <stdio.h>
#include <string.h>

#include "apply/table.h"
#include "job/preflight_routes.h"
#include "job/publish.h"
#include "model/identity.h"
#include "pg/catalog.h"

#define LABEL_BYTES 160
#define SQL_BYTES 1024u

#define FIND(severity_, code_, kind_, object_, cure_, ...)                                         \
    ph_finding_add(                                                                                \
        findings,                                                                                  \
        &(struct ph_finding_params){PH_FINDING_##severity_, (code_), (kind_), (object_), (cure_)}, \
        __VA_ARGS__)

/* Otherwise its schema is still to be made of the source's. */
static bool
has_target(const struct ph_job *job, const struct ph_table_plan *table)
{
    return job->target_catalog.version_num != 0 && table->target != NULL;
}

/* ---- unique keys under replica role ---- */

static void
find_deferrable(const struct ph_job *job, const struct ph_table_plan *table,
                struct ph_findings *findings)
{
    const struct ph_rel *rel = has_target(job, table) ? table->target : table->source;
    char label[LABEL_BYTES];

    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        if (!rel->indexes[i].is_unique || rel->indexes[i].is_immediate)
            continue;
        snprintf(label, sizeof label, "%s.%s", rel->schema, rel->name);
        FIND(WARNING, PH_E_NOT_READY, "deferrable key", label,
             "keep other writers from the target; the proof looks for doubles",
             "%s is DEFERRABLE: the target does not enforce it while changes are applied",
             rel->indexes[i].name);
    }
}

/* ---- foreign keys that are enforced while changes are applied ---- */

/* Where foreign keys are looked for: on the target, or while it has no schema on the source. */
struct enforced {
    const struct ph_job *job;
    const struct ph_catalog *catalog;
    bool of_target;
    bool *seen; /* by foreign key */
};

/* By what rows of a table are found. */
struct found_by {
    const struct ph_index *index; /* NULL: by all that they are */
    const struct ph_rel *rel;     /* that the index is of */
};

/* Whether the key writes to rows of the table by itself. */
static bool
writes_rows(const struct ph_catalog *catalog, const struct ph_foreign_key *key, ph_oid table)
{
    return key->enforced &&
           (key->on_update == 'c' || key->on_update == 'n' || key->on_update == 'd' ||
            key->on_delete == 'n' || key->on_delete == 'd') &&
           ph_catalog_is_within(catalog, table, key->rel_oid);
}

static bool
has_column(const struct found_by *by, const char *name)
{
    for (uint32_t i = 0; i < by->index->n_keys; i++) {
        const struct ph_column *column = ph_rel_column_at(by->rel, by->index->key_attnums[i]);
        if (column != NULL && strcmp(column->name, name) == 0)
            return true;
    }
    return false;
}

/*
 * The target's foreign key has written to such rows before their own changes come: these do not
 * find them any more, nor what else they bring, and where one statement gives the key of one parent
 * to another they find rows of the other.
 */
static bool
moves_rows(const struct ph_catalog *catalog, const struct ph_foreign_key *key, ph_oid table,
           const struct found_by *by)
{
    const struct ph_rel *rel = ph_catalog_rel(catalog, key->rel_oid);

    if (!writes_rows(catalog, key, table) || by->index == NULL)
        return writes_rows(catalog, key, table);
    for (uint32_t i = 0; rel != NULL && i < key->n_attnums; i++) {
        const struct ph_column *column = ph_rel_column_at(rel, key->attnums[i]);
        if (column != NULL && has_column(by, column->name))
            return true;
    }
    return false;
}

/* The stream changes rows of the relation, of a partition of it, or of what it is a partition of.
 * Where a route leads is known by the target alone. */
static bool
is_followed(const struct enforced *e, const struct ph_plan *plan, ph_oid oid)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_table_plan *table = &plan->tables[i];
        const struct ph_rel *rel = e->of_target ? table->target : table->source;
        if (!ph_publish_can(table) || rel == NULL)
            continue;
        if ((!e->of_target && table->route != NULL) ||
            ph_catalog_is_within(e->catalog, rel->oid, oid) ||
            ph_catalog_is_within(e->catalog, oid, rel->oid))
            return true;
    }
    return false;
}

/* By the stream, or as what is changed by it is referred to. What is not the job's is not made on a
 * target without a schema, and then moves nothing. */
static bool
may_change(struct enforced *e, ph_oid oid)
{
    if (is_followed(e, &e->job->plan, oid) || is_followed(e, &e->job->join.plan_had, oid))
        return true;
    for (uint32_t i = 0; e->of_target && i < e->catalog->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &e->catalog->foreign_keys[i];
        if (e->seen[i] || !writes_rows(e->catalog, key, oid))
            continue;
        e->seen[i] = true;
        if (may_change(e, key->ref_oid))
            return true;
    }
    return false;
}

/* By its identity of now, or the one that it has to get before it can be followed. */
static ph_code
find_rows_by(struct ph_job *job, const struct ph_table_plan *table, struct ph_buf *sql,
             struct found_by *out, struct ph_error *err)
{
    const struct ph_rel *rel = table->source;
    int version = job->source_catalog.version_num;
    enum ph_identity identity = ph_rel_identity(rel, version, &out->index);
    bool of_target = false;
    bool is_full = identity == PH_IDENTITY_FULL;
    enum ph_identity_need need;

    PH_TRY(ph_preflight_need(job, rel, &need, err));
    ph_buf_clear(sql);
    if (need == PH_NEED_WHOLE_ROW || !ph_identity_is_usable(identity)) {
        is_full = ph_rel_identity_cure(rel, version, need, sql) == PH_CURE_FULL;
        out->index = ph_rel_identity_candidate(rel, version);
    }
    if (is_full)
        out->index = ph_apply_full_key(table, &of_target);
    out->rel = of_target ? table->target : rel;
    return PH_OK;
}

static ph_code
find_moved(struct ph_job *job, const struct ph_table_plan *table, struct ph_buf *sql,
           struct ph_findings *findings, struct ph_error *err)
{
    struct enforced e = {.job = job, .of_target = has_target(job, table)};
    ph_oid oid = e.of_target ? table->target->oid : table->source->oid;
    char label[LABEL_BYTES];
    struct found_by by;

    if (table->route != NULL)
        return PH_OK;
    PH_TRY(find_rows_by(job, table, sql, &by, err));
    e.catalog = e.of_target ? &job->target_catalog : &job->source_catalog;
    e.seen = PH_ARENA_ARRAY(&job->arena, bool, (size_t)e.catalog->n_foreign_keys + 1);
    if (e.seen == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_plan_table_label(table, label, sizeof label);
    for (uint32_t i = 0; i < e.catalog->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &e.catalog->foreign_keys[i];
        memset(e.seen, 0, e.catalog->n_foreign_keys * sizeof *e.seen);
        if (moves_rows(e.catalog, key, oid, &by) && may_change(&e, key->ref_oid))
            FIND(ERROR, PH_E_UNSUPPORTED, "foreign key", label,
                 by.index == NULL ? "give the table a primary key, or the target's role SET on "
                                    "session_replication_role"
                                  : "give the target's role SET on session_replication_role",
                 "%s changes rows on the target by itself, and with them %s", key->name,
                 by.index == NULL ? "what they are found by: they have no key"
                                  : "the key that they are found by");
    }
    return PH_OK;
}

/* Of those that the job has already, too: a table that is added may be what their rows refer to. */
static ph_code
find_moved_of(struct ph_job *job, const struct ph_plan *plan, struct ph_buf *sql,
              struct ph_findings *findings, struct ph_error *err)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (ph_publish_can(&plan->tables[i]) && ph_plan_is_first_of_source(plan, i))
            PH_TRY(find_moved(job, &plan->tables[i], sql, findings, err));
    }
    return PH_OK;
}

/* A table of the plan has the key, there or as it will be made there; it is asked of every side. */
static bool
is_of_plan(const struct ph_job *job, const struct ph_catalog *catalog,
           const struct ph_foreign_key *key)
{
    bool of_target = catalog == &job->target_catalog;

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        const struct ph_rel *rel = of_target ? table->target : table->source;
        if (has_target(job, table) == of_target && ph_publish_can(table) &&
            ph_catalog_is_within(catalog, rel->oid, key->rel_oid))
            return true;
    }
    return false;
}

/*
 * The source checks a key behind each of its statements. Of these the target gets pieces, or single
 * rows, where rows of the same table that belong together need not be in the same one.
 */
static void
find_own_keys(const struct ph_job *job, const struct ph_catalog *catalog,
              struct ph_findings *findings)
{
    char label[LABEL_BYTES];
    char cure[LABEL_BYTES * 3];

    for (uint32_t i = 0; i < catalog->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &catalog->foreign_keys[i];
        if (key->deferrable || !ph_catalog_is_own_key(catalog, key) ||
            !is_of_plan(job, catalog, key))
            continue;
        const struct ph_rel *rel = ph_catalog_rel(catalog, key->rel_oid);
        snprintf(label, sizeof label, "%s.%s", rel->schema, rel->name);
        snprintf(cure, sizeof cure,
                 "on the target, also when the run has stopped: ALTER TABLE %s ALTER CONSTRAINT %s "
                 "DEFERRABLE; or give the target's role SET on session_replication_role",
                 label, key->name);
        FIND(WARNING, PH_E_NOT_READY, "foreign key", label, cure,
             "%s refers to its own table and is enforced row by row on the target: where the "
             "source changes many rows that refer to each other in one statement, the run may "
             "stop with PH-CONFLICT",
             key->name);
    }
}

/* ---- both ---- */

static void
find_all_deferrable(const struct ph_job *job, struct ph_findings *findings)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (ph_plan_is_first_of_source(&job->plan, i))
            find_deferrable(job, &job->plan.tables[i], findings);
    }
}

ph_code
ph_preflight_keys(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_buf sql;
    bool is_replica = true;

    if (job->target_control != NULL)
        PH_TRY(ph_catalog_can_set_replica_role(job->target_control, &is_replica, err));
    if (is_replica) {
        find_all_deferrable(job, findings);
        return PH_OK;
    }
    ph_buf_init(&sql, SQL_BYTES);
    ph_code rc = find_moved_of(job, &job->plan, &sql, findings, err);
    if (rc == PH_OK)
        rc = find_moved_of(job, &job->join.plan_had, &sql, findings, err);
    ph_buf_free(&sql);
    find_own_keys(job, &job->source_catalog, findings);
    find_own_keys(job, &job->target_catalog, findings);
    return rc;
}
