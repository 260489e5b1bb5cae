/*
 * See join.h. The ledger says at any moment how far it is: `joining` from the first write to the
 * verdict, `published` once the publication has the tables. All that is between can be done twice.
 */
#include "job/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/table.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "job/copy_parts.h"
#include "job/follow.h"
#include "job/preflight_follow.h"
#include "job/publish.h"
#include "pg/publication.h"

#define LOCK_WAIT_MS 30000

/* ---- what is new ---- */

static int
compare_oids(const void *left, const void *right)
{
    ph_oid a = *(const ph_oid *)left;
    ph_oid b = *(const ph_oid *)right;

    return a < b ? -1 : a > b;
}

static bool
was_had(const struct ph_job *job, ph_oid oid)
{
    const struct ph_ledger_tables *had = &job->join.had;

    return bsearch(&oid, had->oids, had->n, sizeof oid, compare_oids) != NULL;
}

/* How many tables it holds. *n_had: how many of them the job has. */
static uint32_t
count_tables(const struct ph_job *job, const struct ph_rel *top, uint32_t *n_had)
{
    const struct ph_rel *rel;
    uint32_t n = 0;

    *n_had = 0;
    for (uint32_t at = 0; (rel = ph_catalog_tree_next(&job->source_catalog, top, &at)) != NULL;) {
        n += rel->kind == PH_REL_TABLE;
        *n_had += rel->kind == PH_REL_TABLE && was_had(job, rel->oid);
    }
    return n;
}

static const struct ph_rel *
owner_of(const struct ph_catalog *catalog, const struct ph_rel *sequence)
{
    for (uint32_t i = 0; i < catalog->n_sequences; i++) {
        if (catalog->sequences[i].oid == sequence->oid && catalog->sequences[i].owned_by != 0)
            return ph_catalog_rel(catalog, catalog->sequences[i].owned_by);
    }
    return NULL;
}

/*
 * Tables, and what belongs to them, by what the ledger has: one may be younger than the patterns
 * that select it, or have got another name.
 */
bool
ph_join_is_new(const struct ph_job *job, const struct ph_rel *rel)
{
    const struct ph_catalog *catalog = &job->source_catalog;
    uint32_t n_had;

    if (!job->join.is_under_way || !ph_selection_has(&job->selection, catalog, rel))
        return false;
    if ((rel->kind == PH_REL_TABLE || rel->kind == PH_REL_PARTITIONED) &&
        count_tables(job, rel, &n_had) > 0)
        return n_had == 0;
    const struct ph_rel *owner = rel->kind == PH_REL_SEQUENCE ? owner_of(catalog, rel) : NULL;
    return owner != NULL ? ph_join_is_new(job, owner)
                         : !ph_selection_has(&job->join.before, catalog, rel);
}

ph_code
ph_join_select_new(struct ph_job *job, struct ph_selection *out, struct ph_error *err)
{
    const struct ph_catalog *catalog = &job->source_catalog;

    *out = (struct ph_selection){
        .schemas = PH_ARENA_ARRAY(&job->arena, bool, (size_t)catalog->n_schemas + 1),
        .rels = PH_ARENA_ARRAY(&job->arena, bool, (size_t)catalog->n_rels + 1),
    };
    if (out->schemas == NULL || out->rels == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        out->rels[i] = ph_join_is_new(job, &catalog->rels[i]);
        out->n_rels += out->rels[i];
        out->n_tables += out->rels[i] && catalog->rels[i].kind == PH_REL_TABLE;
    }
    return PH_OK;
}

static ph_code
load(struct ph_job *job, uint32_t joins, struct ph_error *err)
{
    struct ph_options narrower;
    const char *patterns;

    job->join.is_under_way = true;
    PH_TRY(ph_ledger_load_tables_before(job->target_control, job->options->name, joins, &job->arena,
                                        &job->join.had, err));
    PH_TRY(ph_ledger_load_patterns(job->target_control, job->options->name, &job->arena, &patterns,
                                   err));
    PH_TRY(ph_selection_read(patterns, &job->arena, &narrower, err));
    return ph_select_again(&job->source_catalog, &narrower, &job->arena, &job->join.before, err);
}

ph_code
ph_join_load(struct ph_job *job, struct ph_error *err)
{
    job->join.is_under_way = false;
    return job->ledger.joining[0] != '\0' ? load(job, job->ledger.joins, err) : PH_OK;
}

/* ---- the plan ---- */

ph_code
ph_join_make_plan(struct ph_job *job, struct ph_error *err)
{
    struct ph_selection all = job->selection;
    struct ph_selection fresh;

    if (!job->join.is_under_way)
        return ph_copy_make_plan(job, err);
    PH_TRY(ph_join_select_new(job, &fresh, err));
    job->selection = fresh;
    job->join.all = &all;
    ph_code rc = ph_copy_make_plan(job, err);
    job->join.all = NULL;
    job->selection = all;
    if (rc == PH_OK)
        ph_join_mark_beside(job);
    return rc;
}

void
ph_join_number_plan(struct ph_job *job)
{
    const struct ph_ledger_tables *had = &job->join.had;

    for (uint32_t i = 0; job->join.is_under_way && i < job->plan.n_tables; i++) {
        job->plan.tables[i].index += had->n;
        job->plan.tables[i].group += had->n_groups;
    }
    for (uint32_t i = 0; job->join.is_under_way && i < job->plan.n_chunks; i++) {
        job->plan.chunks[i].table += had->n;
        job->plan.chunks[i].lot += had->n_lots;
    }
}

/* Not so one that a crash of the target has emptied, say: it is copied again beside what is new. */
static bool
is_of_before(const struct ph_job *job, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < table->n_chunks; i++) {
        const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk + i];
        if (!state->done || state->epoch > job->ledger.join_epoch)
            return false;
    }
    return true;
}

ph_code
ph_join_settle_states(struct ph_job *job, struct ph_error *err)
{
    if (!job->join.is_under_way)
        return PH_OK;
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        job->table_states[i].is_past = was_had(job, job->plan.tables[i].source->oid) &&
                                       is_of_before(job, &job->plan.tables[i]);
    return ph_join_settle_beside(job, err);
}

/* ---- going over to it ---- */

static ph_code
read_all(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_read_catalogs_now(job, err));
    return ph_select(&job->source_catalog, job->options, &job->arena, &job->selection, err);
}

static ph_code
refuse_narrower(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->join.had.n; i++) {
        const struct ph_rel *rel = ph_catalog_rel(&job->source_catalog, job->join.had.oids[i]);
        if (rel == NULL || ph_selection_has(&job->selection, &job->source_catalog, rel))
            continue;
        PH_FAIL(err, PH_E_JOB_OTHER, "the job follows the table, and the selection leaves it out");
        ph_error_object(err, "%s.%s", rel->schema, rel->name);
        ph_error_hint(err, "select it as well: tables can only be added to a job that follows; to "
                           "do without it, start over with --restart --yes");
        return PH_E_JOB_OTHER;
    }
    if (!job->join.before.whole_database || job->selection.whole_database ||
        job->source_catalog.large_objects == 0)
        return PH_OK;
    PH_FAIL(err, PH_E_JOB_OTHER,
            "the job is of the whole database, with large objects, which patterns leave out");
    ph_error_object(err, "job %s", job->options->name);
    ph_error_hint(err, "give the command without patterns; copy the new tables by a job of their "
                       "own, with another --name");
    return PH_E_JOB_OTHER;
}

/* Without --data-only the tables are made. */
static ph_code
refuse_existing(struct ph_job *job, struct ph_error *err)
{
    const struct ph_catalog *catalog = &job->source_catalog;

    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        const struct ph_rel *rel = &catalog->rels[i];
        if (!ph_join_is_new(job, rel) ||
            ph_catalog_rel_named(&job->target_catalog, rel->schema, rel->name) == NULL)
            continue;
        PH_FAIL(err, PH_E_TARGET_NOT_EMPTY, "it would be added to the job, and is on the target");
        ph_error_object(err, "%s.%s", rel->schema, rel->name);
        ph_error_hint(err, "drop it on the target: it is made as on the source; or leave it out");
        return PH_E_TARGET_NOT_EMPTY;
    }
    return PH_OK;
}

static enum ph_format
format_of_stream(const struct ph_job *job, const struct ph_catalog *target)
{
    return job->source_catalog.version_num < 140000
               ? PH_FORMAT_TEXT
               : ph_apply_stream_format(&job->plan, &job->source_catalog, target, NULL);
}

/* What is in the spool was sent in the one form or the other. */
static ph_code
refuse_text(struct ph_job *job, enum ph_format before, struct ph_error *err)
{
    bool has_target = job->options->data_only;
    struct ph_error why;

    ph_error_reset(&why);
    if (before == PH_FORMAT_TEXT ||
        ph_apply_stream_format(&job->plan, &job->source_catalog,
                               has_target ? &job->target_catalog : &job->source_catalog,
                               &why) == PH_FORMAT_BINARY)
        return PH_OK;
    PH_FAIL(err, PH_E_TYPES, "its values need a stream in text (%s), and this job's is binary",
            why.message);
    ph_error_object(err, "%s", why.object);
    ph_error_hint(err, "follow it by a job of its own, with another --name and --data-only");
    return PH_E_TYPES;
}

static ph_code
refuse_generated(struct ph_job *job, struct ph_error *err)
{
    struct ph_publish_list list;

    PH_TRY(ph_publish_list_make(&job->source_catalog, &job->plan, &job->arena, &list, err));
    if (!list.with_generated || !job->stream.own_publication)
        return PH_OK;
    PH_FAIL(err, PH_E_IDENTITY,
            "a replica identity of the new tables holds generated columns, which this job's "
            "publication does not bring");
    ph_error_object(err, "publication %s", job->stream.publication);
    ph_error_hint(err, "give the table another replica identity, or start over with --restart");
    return PH_E_IDENTITY;
}

static ph_code
check_new_tables(struct ph_job *job, struct ph_error *err)
{
    struct ph_findings findings;

    PH_TRY(refuse_generated(job, err));
    ph_findings_init(&findings);
    ph_code rc = ph_preflight_follow_tables(job, &findings, err);
    if (rc == PH_OK && job->options->data_only)
        rc = ph_copy_check_target(job, &findings, err);
    if (rc == PH_OK)
        rc = ph_copy_refuse(job, &findings, err);
    ph_findings_reset(&findings);
    return rc;
}

/* The target's catalog is forgotten where tables are made from the source's. */
static void
keep_plan(struct ph_job *job)
{
    job->join.plan_had = job->plan;
    for (uint32_t i = 0; !job->options->data_only && i < job->plan.n_tables; i++)
        job->plan.tables[i].target = NULL;
}

/* Everything that can be known before the first write. Ends with the plan of what is new. */
static ph_code
check(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(read_all(job, err));
    PH_TRY(load(job, job->ledger.joins + 1, err));
    PH_TRY(refuse_narrower(job, err));
    if (!job->options->data_only)
        PH_TRY(ph_job_read_target_catalog(job, err));
    PH_TRY(ph_job_load_plan(job, err));
    enum ph_format before = format_of_stream(job, &job->target_catalog);
    keep_plan(job);
    if (!job->options->data_only) {
        PH_TRY(refuse_existing(job, err));
        ph_job_forget_receipts(job);
        ph_catalog_reset(&job->target_catalog);
    }
    PH_TRY(ph_join_make_plan(job, err));
    PH_TRY(refuse_text(job, before, err));
    ph_code rc = check_new_tables(job, err);
    job->join.plan_had = (struct ph_plan){.n_tables = 0};
    return rc;
}

static ph_code
go_over(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(check(job, err));
    uint32_t n = job->plan.n_tables;
    if (n == 0) {
        if (strcmp(job->ledger.selection, job->selection_id) != 0)
            ph_log(PH_LOG_INFO, "join.nothing",
                   "job %s: the selection was changed, and selects the same tables",
                   job->options->name);
        return ph_join_end(job, err);
    }
    PH_TRY(ph_ledger_begin_join(job->target_control, &job->ledger, job->selection_id, err));
    job->stream.published = 0;
    PH_FAILPOINT(after_join_noted);
    ph_log(PH_LOG_INFO, "join.started",
           "job %s: %u table%s added; changes of the others are kept on disk until %s copied",
           job->options->name, n, n == 1 ? " is" : "s are", n == 1 ? "it is" : "these are");
    return PH_OK;
}

/* ---- publishing ---- */

static ph_code
look_at_tables(struct ph_job *job, struct ph_publish_list *list, struct ph_error *err)
{
    PH_TRY(read_all(job, err));
    PH_TRY(ph_join_load(job, err));
    PH_TRY(ph_join_make_plan(job, err));
    return ph_publish_list_make(&job->source_catalog, &job->plan, &job->arena, list, err);
}

static bool
is_published(const struct ph_job *job, const struct ph_publication *publication,
             const struct ph_rel *top)
{
    const struct ph_rel *rel;

    for (uint32_t at = 0; (rel = ph_catalog_tree_next(&job->source_catalog, top, &at)) != NULL;) {
        bool is_there = rel->kind != PH_REL_TABLE;
        for (uint32_t i = 0; !is_there && i < publication->n_rels; i++)
            is_there = publication->rels[i].oid == rel->oid;
        if (!is_there)
            return false;
    }
    return true;
}

/* A killed run may have done it, and a partition is published with its root. */
static ph_code
add_to_publication(struct ph_job *job, struct ph_publish_list *list, struct ph_error *err)
{
    struct ph_publication publication;
    struct ph_publication_params params = {.name = job->stream.publication,
                                           .rels = list->rels,
                                           .filters = list->filters,
                                           .lock_wait_ms = LOCK_WAIT_MS};
    bool found;

    PH_TRY(ph_publication_read(job->source_control, params.name, &job->arena, &publication, &found,
                               err));
    if (!found)
        return PH_FAIL(err, PH_E_NOT_READY, "publication %s is gone from the source", params.name);
    for (uint32_t i = 0; i < list->n; i++) {
        if (is_published(job, &publication, list->rels[i]))
            continue;
        list->filters[params.n_rels] = list->filters[i];
        list->rels[params.n_rels++] = list->rels[i];
    }
    return params.n_rels > 0 ? ph_publication_add(job->source_control, &params, err) : PH_OK;
}

static ph_code
publish(struct ph_job *job, struct ph_error *err)
{
    struct ph_publish_list list;
    uint32_t n = 0;
    uint64_t xid;

    PH_TRY(look_at_tables(job, &list, err));
    if (job->options->set_replica_identity)
        PH_TRY(ph_follow_set_identities(job, LOCK_WAIT_MS, &n, err));
    if (n > 0)
        PH_TRY(look_at_tables(job, &list, err));
    if (job->stream.own_publication)
        PH_TRY(add_to_publication(job, &list, err));
    PH_TRY(ph_follow_note_publication(job, err));
    PH_FAILPOINT(after_join_published);
    PH_TRY(ph_job_take_xid(job, &xid, err));
    PH_TRY(ph_ledger_published(job->target_control, job->options->name, xid, err));
    job->stream.published = xid;
    PH_FAILPOINT(after_join_xid);
    return PH_OK;
}

/* Whether there are partitions under the job's tables that it has not: excluded, or new. */
static ph_code
has_parts_beside(struct ph_job *job, bool *has, struct ph_error *err)
{
    const char *params[] = {job->options->name};
    struct ph_result *had;
    struct ph_result *beside = NULL;

    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT coalesce(pg_catalog.array_agg(source_oid), '{}') FROM pghaul.tbl"
                         " WHERE job = $1",
                         1, params, &had, err));
    ph_code rc =
        ph_follow_query_beside(job->source_control, ph_result_text(had, 0, 0), &beside, err);
    *has = rc == PH_OK && ph_result_text(beside, 0, 0)[0] != '\0';
    ph_result_free(beside);
    ph_result_free(had);
    return rc;
}

/* More patterns, a table that comes again, a new partition: there may be tables to add. */
static ph_code
may_be_wider(struct ph_job *job, bool *is, struct ph_error *err)
{
    *is = job->ledger.comes_again || strcmp(job->ledger.selection, job->selection_id) != 0;
    return *is ? PH_OK : has_parts_beside(job, is, err);
}

ph_code
ph_join_begin(struct ph_job *job, struct ph_error *err)
{
    const struct ph_ledger_job *ledger = &job->ledger;
    bool is_wider = false;

    if (ledger->joining[0] == '\0' && ledger->phase == PH_PHASE_FOLLOW) {
        PH_TRY(ph_follow_leave_dropped(job, err));
        PH_TRY(may_be_wider(job, &is_wider, err));
    }
    if (is_wider)
        PH_TRY(go_over(job, err));
    return ledger->joining[0] != '\0' && job->stream.published == 0 ? publish(job, err) : PH_OK;
}

ph_code
ph_join_end(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf patterns;

    ph_buf_init(&patterns, (size_t)16 << 20);
    ph_selection_write(job->options, &patterns);
    ph_code rc = ph_buf_ok(&patterns)
                     ? ph_ledger_end_join(job->target_control, &job->ledger, job->selection_id,
                                          ph_buf_text(&patterns), err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&patterns);
    job->join.is_under_way = false;
    return rc;
}

/* ---- while following ---- */

static bool
is_planned(const struct ph_job *job, ph_oid oid)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].source->oid == oid)
            return true;
    }
    return false;
}

void
ph_join_name_others(struct ph_job *job)
{
    const struct ph_catalog *catalog = &job->source_catalog;

    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        const struct ph_rel *rel = &catalog->rels[i];
        if (rel->kind != PH_REL_TABLE || rel->persistence != 'p' ||
            !ph_selection_has(&job->selection, catalog, rel) || is_planned(job, rel->oid))
            continue;
        ph_log(PH_LOG_WARN, "table.not_followed",
               "%s.%s was made after the job had begun and is not followed; to add it, stop the "
               "job and give the command with one more pattern that names it (--table)",
               rel->schema, rel->name);
    }
}
