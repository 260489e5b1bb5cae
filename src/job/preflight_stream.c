/*
 * The tables of a job as tables of a stream: replica identity, rights, what the stream cannot
 * bring, an existing publication; and giving tables an identity when that was asked for.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "job/preflight_follow.h"
#include "job/preflight_keys.h"
#include "job/preflight_routes.h"
#include "job/publish.h"
#include "model/identity.h"
#include "pg/ledger.h"
#include "pg/publication.h"

#define LABEL_BYTES 160
#define SQL_BYTES 1024u

#define FIND(severity_, code_, kind_, object_, cure_, ...)                                         \
    ph_finding_add(                                                                                \
        findings,                                                                                  \
        &(struct ph_finding_params){PH_FINDING_##severity_, (code_), (kind_), (object_), (cure_)}, \
        __VA_ARGS__)

/* ---- replica identity ---- */

/* Identities that are usable and tell too little for the rules are told with the routes. */
static ph_code
find_identity(struct ph_job *job, const struct ph_table_plan *table, struct ph_buf *sql,
              struct ph_findings *findings, struct ph_error *err)
{
    const struct ph_rel *rel = table->source;
    int version = job->source_catalog.version_num;
    enum ph_identity identity = ph_rel_identity(rel, version, NULL);
    enum ph_identity_need need;
    char label[LABEL_BYTES];

    if (ph_identity_is_usable(identity))
        return PH_OK;
    PH_TRY(ph_preflight_need(job, rel, &need, err));
    ph_plan_table_label(table, label, sizeof label);
    ph_buf_clear(sql);
    enum ph_identity_cure cure = ph_rel_identity_cure(rel, version, need, sql);
    if (cure == PH_CURE_NONE)
        FIND(ERROR, PH_E_IDENTITY, "replica identity", label,
             "add a primary key or a unique index on NOT NULL columns, or --exclude the table",
             "%s; FULL is not possible, for it has virtual generated columns",
             ph_identity_reason(identity));
    else if (!job->options->set_replica_identity)
        FIND(ERROR, PH_E_IDENTITY, "replica identity", label, ph_buf_text(sql),
             "%s: its updates and deletes cannot be streamed; --set-replica-identity runs the "
             "statement%s, --exclude leaves the table out",
             ph_identity_reason(identity),
             cure == PH_CURE_FULL ? " (FULL writes every old row to the WAL)" : "");
    else if (!rel->is_owned)
        FIND(ERROR, PH_E_RIGHTS, "replica identity", label, ph_buf_text(sql),
             "%s, and the role does not own the table", ph_identity_reason(identity));
    else
        FIND(NOTE, PH_OK, "replica identity", label, ph_buf_text(sql),
             "%s: the statement will be run on the source", ph_identity_reason(identity));
    return PH_OK;
}

/* ---- what the stream does not bring ---- */

static void
find_unstreamed(const struct ph_table_plan *table, struct ph_findings *findings)
{
    char label[LABEL_BYTES];

    ph_plan_table_label(table, label, sizeof label);
    if (table->source->persistence == 'u')
        FIND(WARNING, PH_E_NOT_READY, "not in the stream", label,
             "ALTER TABLE … SET LOGGED, or --exclude the table",
             "the table is unlogged: it is copied as it is now, its changes do not follow");
    else if (ph_plan_is_config(table))
        FIND(NOTE, PH_OK, "not in the stream", label, NULL,
             "configuration of an extension: it is copied as it is now, its changes do not follow");
    else
        FIND(WARNING, PH_E_NOT_READY, "not in the stream", label, "--exclude the table",
             "it is copied as it is now, its changes do not follow");
}

static void
find_large_objects(const struct ph_job *job, struct ph_findings *findings)
{
    if (job->selection.whole_database && job->source_catalog.large_objects > 0)
        FIND(NOTE, PH_OK, "not in the stream", "large objects", NULL,
             "%llu large objects: those that are new or have changed are brought over when the "
             "follow ends",
             (unsigned long long)job->source_catalog.large_objects);
}

/* ---- the publication ---- */

/* One that somebody else made; NULL: the job's own, which a job that follows already has. */
static const char *
given_publication(const struct ph_job *job)
{
    if (job->stream.made)
        return job->stream.own_publication ? NULL : job->stream.publication;
    return job->options->publication;
}

static void
find_ownership(const struct ph_job *job, const struct ph_publish_list *list,
               struct ph_findings *findings)
{
    char label[LABEL_BYTES];

    if (given_publication(job) != NULL || job->source_catalog.is_superuser)
        return;
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->rels[i]->is_owned)
            continue;
        snprintf(label, sizeof label, "%s.%s", list->rels[i]->schema, list->rels[i]->name);
        FIND(ERROR, PH_E_RIGHTS, "publication", label,
             "use a role that owns the tables, or make a publication as their owner and name it "
             "with --publication",
             "the role does not own the table and so may not publish it");
    }
}

/* What a filter does to the source while it is there. */
static void
find_filters(const struct ph_job *job, const struct ph_publish_list *list,
             struct ph_findings *findings)
{
    char label[LABEL_BYTES];

    if (given_publication(job) != NULL)
        return;
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->filters[i] == NULL)
            continue;
        snprintf(label, sizeof label, "%s.%s", list->rels[i]->schema, list->rels[i]->name);
        FIND(NOTE, PH_OK, "publication", label, NULL,
             "the source sends only changes of rows with %s; until the job ends it does not let "
             "these columns be dropped, change their type, or leave the replica identity",
             list->filters[i]);
    }
}

static const struct ph_published_rel *
find_published(const struct ph_publication *publication, ph_oid oid)
{
    for (uint32_t i = 0; i < publication->n_rels; i++) {
        if (publication->rels[i].oid == oid)
            return &publication->rels[i];
    }
    return NULL;
}

static void
check_published(const struct ph_publication *publication, const char *name,
                const struct ph_table_plan *table, struct ph_findings *findings)
{
    const struct ph_published_rel *found = find_published(publication, table->source->oid);
    char label[LABEL_BYTES];
    char cure[LABEL_BYTES * 2];

    ph_plan_table_label(table, label, sizeof label);
    if (found == NULL) {
        snprintf(cure, sizeof cure, "ALTER PUBLICATION %s ADD TABLE %s, or --exclude the table",
                 name, label);
        FIND(ERROR, PH_E_NOT_READY, "publication", label, cure,
             "publication %s does not have the table", name);
    } else if (found->has_row_filter || found->has_column_list) {
        FIND(ERROR, PH_E_NOT_READY, "publication", label,
             "publish the table whole, or let the job make its own publication",
             "publication %s has %s for the table, the copy does not", name,
             found->has_row_filter ? "a row filter" : "a column list");
    }
}

static void
check_publication(const struct ph_job *job, const struct ph_publication *publication,
                  struct ph_findings *findings)
{
    const char *name = given_publication(job);
    bool by_root = publication->partitions == PH_PUBLISH_AS_ROOT;
    bool told = false;

    if (!publication->inserts || !publication->updates || !publication->deletes ||
        !publication->truncates)
        FIND(ERROR, PH_E_NOT_READY, "publication", name,
             "ALTER PUBLICATION … SET (publish = 'insert, update, delete, truncate')",
             "it does not publish all kinds of changes");
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (!ph_publish_can(table) || !ph_plan_is_first_of_source(&job->plan, i))
            continue;
        if (!by_root || !table->source->is_partition) {
            check_published(publication, name, table, findings);
        } else if (!told) {
            FIND(ERROR, PH_E_NOT_READY, "publication", name,
                 "ALTER PUBLICATION … SET (publish_via_partition_root = false)",
                 "it publishes partitions as their root: the copy is made part by part, and a "
                 "TRUNCATE of one part would be missed");
            told = true;
        }
    }
}

static ph_code
read_publication(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    const char *name = given_publication(job);
    struct ph_publication publication;
    struct ph_arena arena;
    bool found;

    ph_arena_init(&arena, (size_t)64 << 20);
    ph_code rc = ph_publication_read(job->source_control, name, &arena, &publication, &found, err);
    if (rc == PH_OK && !found)
        FIND(ERROR, PH_E_NOT_READY, "publication", name, "make it, or leave --publication out",
             "the source has no such publication");
    else if (rc == PH_OK)
        check_publication(job, &publication, findings);
    ph_arena_reset(&arena);
    return rc;
}

static ph_code
find_own_publication(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    char name[64];
    char cure[200];
    char found[8];
    char sql[200];

    ph_follow_name(job, name);
    snprintf(sql, sizeof sql, "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = '%s'", name);
    PH_TRY(ph_conn_value(job->source_control, sql, found, sizeof found, err));
    if (found[0] == '\0')
        return PH_OK;
    snprintf(cure, sizeof cure, "use another --name, or DROP PUBLICATION %s", name);
    FIND(ERROR, PH_E_NOT_READY, "publication", name, cure,
         "the source already has a publication of this name, and this job is new");
    return PH_OK;
}

ph_code
ph_preflight_follow_tables(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_publish_list list;
    struct ph_buf sql;
    ph_code rc = PH_OK;

    PH_TRY(ph_publish_list_make(&job->source_catalog, &job->plan, &job->arena, &list, err));
    ph_buf_init(&sql, SQL_BYTES);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (!ph_plan_is_first_of_source(&job->plan, i))
            continue;
        if (ph_publish_can(table))
            rc = find_identity(job, table, &sql, findings, err);
        else
            find_unstreamed(table, findings);
    }
    ph_buf_free(&sql);
    PH_TRY(rc);
    PH_TRY(ph_preflight_keys(job, findings, err));
    PH_TRY(ph_preflight_routes(job, findings, err));
    ph_preflight_own_columns(job, findings);
    find_large_objects(job, findings);
    find_ownership(job, &list, findings);
    find_filters(job, &list, findings);
    if (given_publication(job) != NULL)
        return read_publication(job, findings, err);
    return job->stream.made ? PH_OK : find_own_publication(job, findings, err);
}

/* ---- --set-replica-identity ---- */

static ph_code
set_identity(struct ph_job *job, const char *sql, const char *label, int lock_wait_ms,
             struct ph_error *err)
{
    char text[SQL_BYTES + 32];

    PH_TRY(ph_conn_execf(job->source_control, err, "BEGIN; SET LOCAL lock_timeout = %d",
                         lock_wait_ms));
    ph_code rc = ph_conn_exec(job->source_control, sql, err);
    if (rc == PH_OK)
        rc = ph_conn_exec(job->source_control, "COMMIT", err);
    if (rc != PH_OK) {
        (void)ph_conn_leave_transaction(job->source_control, NULL);
        ph_error_object(err, "%s", label);
        ph_error_hint(err, "run on the source, when the table can be locked: %s", sql);
        return rc;
    }
    snprintf(text, sizeof text, "on the source: %s", sql);
    ph_log(PH_LOG_INFO, "identity.set", "%s", text);
    return ph_ledger_event(job->target_control, job->options->name, "info", text, err);
}

static ph_code
set_identity_if_needed(struct ph_job *job, const struct ph_table_plan *table, struct ph_buf *sql,
                       int lock_wait_ms, bool *is_set, struct ph_error *err)
{
    int version = job->source_catalog.version_num;
    enum ph_identity_need need;
    char label[LABEL_BYTES];

    PH_TRY(ph_preflight_need(job, table->source, &need, err));
    if (need == PH_NEED_KEY && ph_identity_is_usable(ph_rel_identity(table->source, version, NULL)))
        return PH_OK;
    ph_buf_clear(sql);
    if (ph_rel_identity_cure(table->source, version, need, sql) == PH_CURE_NONE)
        return PH_OK; /* refused by preflight */
    ph_plan_table_label(table, label, sizeof label);
    PH_TRY(set_identity(job, ph_buf_text(sql), label, lock_wait_ms, err));
    *is_set = true;
    return PH_OK;
}

ph_code
ph_follow_set_identities(struct ph_job *job, int lock_wait_ms, uint32_t *n, struct ph_error *err)
{
    struct ph_buf sql;
    ph_code rc = PH_OK;

    *n = 0;
    ph_buf_init(&sql, SQL_BYTES);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        bool is_set = false;
        if (ph_publish_can(table) && ph_plan_is_first_of_source(&job->plan, i))
            rc = set_identity_if_needed(job, table, &sql, lock_wait_ms, &is_set, err);
        *n += is_set;
    }
    ph_buf_free(&sql);
    return rc;
}
