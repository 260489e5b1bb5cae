/*
 * What the stream does not say by itself: tables that came into being on the source since the job
 * was planned (a new partition's rows belong to a table of ours, and it may be attached together
 * with its rows), ones that the target has lost the rows of, and a publication that leaves
 * something out, or may have: up to 17 the stream of one that is gone fails, 18 goes on without a
 * word. So the ledger has by what rows of the source's catalogs each table is published.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "job/publish.h"
#include "pg/catalog.h"
#include "pg/ledger_follow.h"
#include "pg/publication.h"

#define ARENA_LIMIT ((size_t)256 << 20)
#define LABEL_BYTES 160

/* $1: tables of the job. What lies beside them under the same roots, in a fixed order. */
static const char beside_sql[] =
    "SELECT coalesce(string_agg(t.relid::pg_catalog.oid::text, ',' ORDER BY t.relid), '') FROM"
    " (SELECT DISTINCT pg_catalog.pg_partition_root(o) AS root FROM"
    "  pg_catalog.unnest($1::pg_catalog.oid[]) o) r,"
    " pg_catalog.pg_partition_tree(r.root) t JOIN pg_catalog.pg_class c ON c.oid = t.relid"
    " WHERE r.root IS NOT NULL AND c.relkind = 'r' AND NOT EXISTS"
    " (SELECT FROM pg_catalog.unnest($1::pg_catalog.oid[]) o WHERE o = t.relid)";

static bool
is_planned(const struct ph_job *job, ph_oid oid)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].source->oid == oid)
            return true;
    }
    return false;
}

static void
put_parts(const struct ph_plan *plan, struct ph_buf *out)
{
    const char *separator = "";

    ph_buf_putc(out, '{');
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (!plan->tables[i].source->is_partition)
            continue;
        ph_buf_printf(out, "%s%u", separator, plan->tables[i].source->oid);
        separator = ",";
    }
    ph_buf_putc(out, '}');
}

static bool
is_beside_ours(const struct ph_job *job, const struct ph_rel *rel)
{
    for (uint32_t i = 0; rel->is_partition && i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].source->root_oid == rel->root_oid)
            return true;
    }
    return false;
}

/* The source as it is now, and what the job's patterns say about it. */
struct present {
    struct ph_catalog catalog;
    struct ph_arena arena;
    struct ph_selection selection; /* rels NULL: a pattern has lost its table, all may be in */
};

static ph_code
read_present(struct ph_job *job, struct present *present, struct ph_error *err)
{
    PH_TRY(ph_catalog_read_now(job->source_control, &present->catalog, err));
    ph_code rc =
        ph_select(&present->catalog, job->options, &present->arena, &present->selection, err);
    if (rc != PH_E_SELECTION)
        return rc;
    ph_error_reset(err);
    present->selection.rels = NULL;
    return PH_OK;
}

static ph_code
refuse_part(const struct ph_rel *rel, struct ph_error *err)
{
    PH_FAIL(err, PH_E_TABLE_CHANGED,
            "a partition that the source has now was not there, or not a partition, when the job "
            "was planned: its rows are not on the target");
    ph_error_object(err, "%s.%s", rel->schema, rel->name);
    ph_error_hint(err, "give the same command again: the partition is added to the job (with "
                       "--data-only make it on the target first); or detach it on the source");
    return PH_E_TABLE_CHANGED;
}

/* One that the job would copy if it were planned now. */
static ph_code
find_part(struct ph_job *job, struct ph_error *err)
{
    struct present present = {0};

    ph_arena_init(&present.arena, ARENA_LIMIT);
    ph_code rc = read_present(job, &present, err);
    for (uint32_t i = 0; rc == PH_OK && i < present.catalog.n_rels; i++) {
        const struct ph_rel *rel = &present.catalog.rels[i];
        if (rel->kind == PH_REL_TABLE && is_beside_ours(job, rel) && !is_planned(job, rel->oid) &&
            (present.selection.rels == NULL || present.selection.rels[i]))
            rc = refuse_part(rel, err);
    }
    ph_arena_reset(&present.arena);
    ph_catalog_reset(&present.catalog);
    return rc;
}

ph_code
ph_follow_query_beside(struct ph_conn *source, const char *oids, struct ph_result **out,
                       struct ph_error *err)
{
    const char *params[] = {oids};

    return ph_conn_query(source, beside_sql, 1, params, out, err);
}

ph_code
ph_follow_check_parts(struct ph_job *job, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    struct ph_result *r;
    struct ph_buf list;

    ph_buf_init(&list, (size_t)16 << 20);
    put_parts(&job->plan, &list);
    if (list.len == 2) { /* it has none */
        ph_buf_free(&list);
        return PH_OK;
    }
    ph_code rc = ph_buf_ok(&list)
                     ? ph_follow_query_beside(job->source_control, ph_buf_text(&list), &r, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&list);
    PH_TRY(rc);
    const char *beside = ph_result_text(r, 0, 0);
    bool is_known =
        follow->beside != NULL ? strcmp(beside, follow->beside) == 0 : beside[0] == '\0';
    if (!is_known)
        rc = find_part(job, err);
    if (rc == PH_OK && !is_known) {
        free(follow->beside);
        follow->beside = strdup(beside);
    }
    ph_result_free(r);
    return rc;
}

/* ---- what a crash of the target has emptied ---- */

/* The table, or where it is partitioned one that its rows may have gone to. */
static bool
is_unlogged(const struct ph_catalog *catalog, const struct ph_rel *rel)
{
    if (rel->kind != PH_REL_PARTITIONED)
        return rel->persistence == 'u';
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        if (catalog->rels[i].root_oid == rel->root_oid && catalog->rels[i].persistence == 'u')
            return true;
    }
    return false;
}

bool
ph_job_may_lose_rows(const struct ph_job *job, const struct ph_table_plan *table)
{
    return job->table_states[table->index].unlogged ||
           is_unlogged(&job->target_catalog, table->target);
}

static ph_code
refuse_emptied(const struct ph_job *job, const struct ph_table_plan *table, struct ph_error *err)
{
    bool can_be_made = !job->options->data_only && table->route == NULL;

    PH_FAIL(err, PH_E_TABLE_CHANGED,
            "the target has crashed, which emptied the table: it was unlogged there, and the "
            "stream brings only what changes");
    ph_error_object(err, "%s.%s", table->target->schema, table->target->name);
    ph_error_hint(
        err, "%s",
        can_be_made ? "DROP TABLE (with CASCADE for keys and views) on the target, then give the "
                      "same command again: the table is made and copied anew as it is on the source"
                    : "start over with --restart --yes into an empty target; ALTER TABLE … SET "
                      "LOGGED before that keeps the new rows over the next crash, but does not "
                      "bring these back");
    return PH_E_TABLE_CHANGED;
}

ph_code
ph_follow_check_unlogged(struct ph_job *job, struct ph_error *err)
{
    bool alive;

    PH_TRY(ph_ledger_is_alive(job->target_control, job->options->name, &alive, err));
    for (uint32_t i = 0; !alive && i < job->plan.n_tables; i++) {
        if (ph_job_may_lose_rows(job, &job->plan.tables[i]))
            return refuse_emptied(job, &job->plan.tables[i], err);
    }
    return ph_ledger_set_alive(job->target_control, job->options->name, err);
}

/* ---- the publication ---- */

static int
compare_published(const void *left, const void *right)
{
    const struct ph_published_rel *a = left;
    const struct ph_published_rel *b = right;

    return a->oid < b->oid ? -1 : a->oid > b->oid;
}

/* But for the rows that the job itself has it leave out. */
static bool
is_published_whole(const struct ph_job *job, const struct ph_publication *publication, ph_oid oid)
{
    const struct ph_published_rel key = {.oid = oid};
    const struct ph_published_rel *found = bsearch(&key, publication->rels, publication->n_rels,
                                                   sizeof *publication->rels, compare_published);

    return found != NULL && !found->has_column_list &&
           (!found->has_row_filter || (job->stream.own_publication && found->is_noted));
}

/* A table that was dropped is in no publication, and misses nothing. */
static ph_code
is_there(struct ph_job *job, ph_oid oid, bool *out, struct ph_error *err)
{
    char sql[100];
    char value[8];

    snprintf(sql, sizeof sql, "SELECT 1 FROM pg_catalog.pg_class WHERE oid = %u", oid);
    PH_TRY(ph_conn_value(job->source_control, sql, value, sizeof value, err));
    *out = value[0] != '\0';
    return PH_OK;
}

static ph_code
misses(const struct ph_job *job, const char *what, const char *object, struct ph_error *err)
{
    PH_FAIL(err, PH_E_GAP, "publication %s was altered: %s", job->stream.publication, what);
    ph_error_object(err, "%s", object);
    ph_error_hint(err, "changes may be missing from the stream since then, and cannot be had any "
                       "more: start over with --restart --yes");
    return PH_E_GAP;
}

static ph_code
check_published(struct ph_job *job, const struct ph_publication *publication, struct ph_error *err)
{
    bool as_root = publication->partitions == PH_PUBLISH_AS_ROOT;
    char label[LABEL_BYTES];
    bool there;

    if (!publication->inserts || !publication->updates || !publication->deletes ||
        !publication->truncates)
        return misses(job, "it does not publish all kinds of changes", job->source.label, err);
    if (as_root != job->stream.via_root)
        return misses(job, "publish_via_partition_root is not what it was", job->source.label, err);
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (!ph_publish_can(table) || is_published_whole(job, publication, table->source->oid))
            continue;
        PH_TRY(is_there(job, table->source->oid, &there, err));
        ph_plan_table_label(table, label, sizeof label);
        if (there)
            return misses(job, "it does not publish a table of the job whole", label, err);
    }
    return PH_OK;
}

static ph_code
read_rows(struct ph_job *job, struct ph_result **out, struct ph_error *err)
{
    struct ph_buf list;

    ph_buf_init(&list, (size_t)16 << 20);
    ph_buf_putc(&list, '{');
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (ph_publish_can(&job->plan.tables[i]))
            ph_buf_printf(&list, "%s%u", list.len > 1 ? "," : "", job->plan.tables[i].source->oid);
    }
    ph_buf_putc(&list, '}');
    ph_code rc = ph_buf_ok(&list)
                     ? ph_publication_read_rows(job->source_control, job->stream.publication,
                                                ph_buf_text(&list), out, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&list);
    return rc;
}

ph_code
ph_follow_note_publication(struct ph_job *job, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(read_rows(job, &r, err));
    ph_code rc = ph_result_text(r, 0, 0)[0] != '\0'
                     ? ph_ledger_note_publishing(job->target_control, job->options->name,
                                                 ph_result_text(r, 0, 0), err)
                     : PH_OK; /* refused by who begins the stream */
    ph_result_free(r);
    return rc;
}

static ph_code
was_republished(const struct ph_job *job, const char *oid, struct ph_error *err)
{
    char label[LABEL_BYTES] = "";

    if (strcmp(oid, "0") == 0)
        return misses(job, "it was dropped and made again", job->source.label, err);
    for (uint32_t i = 0; i < job->plan.n_tables && label[0] == '\0'; i++) {
        if (job->plan.tables[i].source->oid == strtoul(oid, NULL, 10))
            ph_plan_table_label(&job->plan.tables[i], label, sizeof label);
    }
    return misses(job, "a table of the job was taken out of it and added again", label, err);
}

/* In between it may have left out what no later look can tell. */
static ph_code
check_rows(struct ph_job *job, const char *now, struct ph_error *err)
{
    struct ph_follow *follow = job->follow; /* NULL: nothing is received yet */
    const char *name = job->options->name;
    char oid[16];

    if (now[0] == '\0' ||
        (follow != NULL && follow->publishing != NULL && strcmp(follow->publishing, now) == 0))
        return PH_OK;
    PH_TRY(ph_ledger_find_republished(job->target_control, name, now, oid, sizeof oid, err));
    if (oid[0] != '\0')
        return was_republished(job, oid, err);
    PH_TRY(ph_ledger_note_publishing(job->target_control, name, now, err));
    if (follow == NULL)
        return PH_OK;
    free(follow->publishing);
    follow->publishing = strdup(now);
    return PH_OK;
}

static ph_code
check_publishing(struct ph_job *job, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(read_rows(job, &r, err));
    ph_code rc = check_rows(job, ph_result_text(r, 0, 0), err);
    ph_result_free(r);
    return rc;
}

ph_code
ph_follow_check_publication(struct ph_job *job, struct ph_error *err)
{
    struct ph_publication publication;
    struct ph_arena arena;
    bool found;

    ph_arena_init(&arena, ARENA_LIMIT);
    ph_code rc = ph_publication_read(job->source_control, job->stream.publication, &arena,
                                     &publication, &found, err);
    if (rc == PH_OK && !found)
        rc = misses(job, "it is not there", job->source.label, err);
    else if (rc == PH_OK)
        rc = check_published(job, &publication, err);
    ph_arena_reset(&arena);
    return rc == PH_OK ? check_publishing(job, err) : rc;
}
