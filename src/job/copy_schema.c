/*
 * The schema part of a copy: pre-data, and the steps after the rows. The archive file is named
 * after the job's token, so that no other job's is ever used.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "job/copy_parts.h"
#include "job/follow_begin.h"
#include "job/join.h"
#include "pg/archive.h"
#include "pg/archive_select.h"
#include "pg/database.h"
#include "pg/ddl.h"
#include "pg/holder.h"
#include "spool/spool.h"

/* What is not its source has no such slot, and its own would keep WAL for good. */
static ph_code
check_source(struct ph_job *job, const struct ph_ledger_follow *follow, struct ph_error *err)
{
    struct ph_ledger_job ledger = {.source_label = ""};
    bool found;

    PH_TRY(ph_ledger_load_job(job->target_control, job->options->name, &ledger, &found, err));
    return ph_follow_check_source(job->source_control, follow, ledger.source_label, err);
}

static ph_code
forget_stream(struct ph_job *job, const struct ph_ledger_follow *follow, struct ph_error *err)
{
    struct ph_spool_id id = ph_spool_id_of(follow->spool_id);
    char dir[4096];
    uint64_t removed;

    PH_TRY(ph_follow_remove(job->source_control, follow, err));
    ph_follow_spool_dir(job->options, dir, sizeof dir);
    return ph_spool_remove(dir, &id, &removed, err);
}

ph_code
ph_copy_forget(struct ph_job *job, struct ph_error *err)
{
    struct ph_ledger_follow follow;
    bool exists;
    bool has_stream;
    uint32_t restored;

    PH_TRY(ph_ledger_exists(job->target_control, &exists, err));
    if (!exists)
        return PH_OK;
    job->run->wrote = PH_HAS_WRITTEN;
    PH_TRY(
        ph_ledger_load_follow(job->target_control, job->options->name, &follow, &has_stream, err));
    if (has_stream)
        PH_TRY(check_source(job, &follow, err));
    /* what cannot be restored yet leaves the job as it is */
    ph_code rc = ph_ledger_restore_all(job->target_control, job->options->name, &restored, err);
    if (rc == PH_E_CONSTRAINT)
        ph_error_hint(err, "the former copy is not complete: TRUNCATE its tables on the target, "
                           "then give the same command again; or let it end first, by the command "
                           "without --restart");
    PH_TRY(rc);
    if (has_stream)
        PH_TRY(forget_stream(job, &follow, err));
    PH_TRY(ph_holder_stop(job->options->dir, err));
    return ph_ledger_forget(job->target_control, job->options->name, err);
}

/* ---- the archive ---- */

/* What is not selected and may not be read, not even locked by pg_dump. NULL: none. */
static const struct ph_rel *const *
hidden_rels(struct ph_job *job, uint32_t *n)
{
    const struct ph_catalog *catalog = &job->source_catalog;
    const struct ph_rel **hidden;

    *n = 0;
    if (job->selection.whole_database)
        return NULL;
    hidden = PH_ARENA_ARRAY(&job->arena, const struct ph_rel *, (size_t)catalog->n_rels + 1);
    for (uint32_t i = 0; hidden != NULL && i < catalog->n_rels; i++) {
        const struct ph_rel *rel = &catalog->rels[i];

        if ((rel->kind == PH_REL_TABLE || rel->kind == PH_REL_PARTITIONED) && !rel->can_read &&
            !ph_selection_has(&job->selection, catalog, rel))
            hidden[(*n)++] = rel;
    }
    return hidden;
}

static struct ph_archive_params
archive_params(struct ph_job *job)
{
    const struct ph_options *o = job->options;
    uint32_t n_hidden;
    const struct ph_rel *const *hidden = hidden_rels(job, &n_hidden);

    snprintf(job->archive_path, sizeof job->archive_path, "%s/schema-%s-%u.dump", o->dir,
             job->ledger.token, job->ledger.joins);
    return (struct ph_archive_params){
        .source = &job->source,
        .source_version = ph_conn_version(job->source_control),
        .target_version = ph_conn_version(job->target_control),
        .snapshot = job->epoch.snapshot_id,
        .path = job->archive_path,
        .leave_out = "pghaul",
        .hidden = hidden,
        .n_hidden = n_hidden,
        .no_owner = o->no_owner,
        .no_acl = o->no_acl,
        .no_comments = o->no_comments,
        .no_tablespaces = o->no_tablespaces,
        .publications = o->publications,
        .subscriptions = o->subscriptions,
    };
}

static bool
is_selected(void *arg, ph_oid oid)
{
    const struct ph_job *job = arg;

    return ph_selection_has_oid(&job->selection, &job->source_catalog, oid);
}

static bool
is_schema_selected(void *arg, const char *schema)
{
    const struct ph_job *job = arg;

    return ph_selection_has_schema(&job->selection, &job->source_catalog, schema);
}

/* What the job had before tables were added to it. */
static bool
was_selected(void *arg, ph_oid oid)
{
    const struct ph_job *job = arg;
    const struct ph_rel *rel = ph_catalog_rel(&job->source_catalog, oid);

    return is_selected(arg, oid) && !ph_join_is_new(job, rel);
}

static bool
was_schema_selected(void *arg, const char *schema)
{
    const struct ph_job *job = arg;

    return ph_selection_has_schema(&job->join.before, &job->source_catalog, schema);
}

static void
note_left_out(void *arg, const struct ph_archive_entry *entry,
              const struct ph_archive_entry *because)
{
    struct ph_job *job = arg;
    char what[256];
    char why[256];

    ph_archive_label(entry, what, sizeof what);
    if (because != NULL)
        ph_archive_label(because, why, sizeof why);
    else
        snprintf(why, sizeof why, "a table the source's role may not read");
    ph_report_add_finding(&job->run->report, PH_FINDING_NOTE, "schema", what,
                          "left out: it depends on %s, which is not selected", why);
}

static ph_code
select_wanted(struct ph_job *job, struct ph_error *err)
{
    struct ph_archive_selection selection = {
        .arg = job,
        .has_rel = is_selected,
        .has_schema = is_schema_selected,
        /* without patterns of what is in, all is but what is excluded */
        .globals = job->options->schemas.n + job->options->tables.n == 0,
        .on_left_out = note_left_out,
    };

    selection.hidden = hidden_rels(job, &selection.n_hidden);

    return job->selection.whole_database ? PH_OK
                                         : ph_archive_select(&job->archive, &selection, err);
}

/* Whether it attaches an index to one that is on the target already; deselects what it attaches. */
static bool
is_attached_to_old(struct ph_archive *archive, struct ph_archive_entry *attach)
{
    struct ph_archive_entry *indexes[2] = {NULL, NULL};
    uint32_t n = 0;

    for (uint32_t k = 0; k < attach->n_deps && n < 2; k++) {
        const struct ph_archive_entry *dep = ph_archive_find(archive, attach->deps[k]);
        if (dep != NULL &&
            (strcmp(dep->desc, "INDEX") == 0 || strcmp(dep->desc, "CONSTRAINT") == 0))
            indexes[n++] = &archive->entries[dep - archive->entries];
    }
    if (n < 2 || (indexes[0]->selected && indexes[1]->selected))
        return false;
    indexes[0]->selected = indexes[1]->selected = attach->selected = false;
    return true;
}

/*
 * A new partition of an old table gets the indexes that the table has when it is attached, before
 * its rows; so do partitions under it.
 */
static void
leave_out_indexes_of_parents(struct ph_archive *archive)
{
    bool more = true;

    while (more) {
        more = false;
        for (uint32_t i = 0; i < archive->n_entries; i++) {
            struct ph_archive_entry *entry = &archive->entries[i];
            if (entry->selected && strcmp(entry->desc, "INDEX ATTACH") == 0)
                more |= is_attached_to_old(archive, entry);
        }
    }
}

/*
 * Of what is wanted that which would not have been selected without the new tables: so come their
 * types and functions that are not there yet, and a foreign key of an old table to a new one.
 */
static ph_code
leave_out_what_was_there(struct ph_job *job, struct ph_error *err)
{
    struct ph_archive_selection selection = {
        .arg = job,
        .has_rel = was_selected,
        .has_schema = was_schema_selected,
        .globals = job->join.before.whole_database,
    };
    uint32_t n = job->archive.n_entries;
    bool *wanted = PH_ARENA_ARRAY(&job->arena, bool, (size_t)n + 1);

    if (wanted == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < n; i++)
        wanted[i] = job->archive.entries[i].selected;
    selection.hidden = hidden_rels(job, &selection.n_hidden);
    PH_TRY(ph_archive_select(&job->archive, &selection, err));
    for (uint32_t i = 0; i < n; i++)
        job->archive.entries[i].selected = wanted[i] && !job->archive.entries[i].selected;
    leave_out_indexes_of_parents(&job->archive);
    return PH_OK;
}

static ph_code
select_entries(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(select_wanted(job, err));
    return job->join.is_under_way ? leave_out_what_was_there(job, err) : PH_OK;
}

/* pg_dump says little: was it the source, or the snapshot, that went away under it? */
static ph_code
dump_archive(struct ph_job *job, const struct ph_archive_params *params, struct ph_error *err)
{
    ph_code rc = ph_archive_dump(params, err);
    struct ph_error cause;

    if (rc != PH_E_TOOL)
        return rc;
    ph_error_reset(&cause);
    ph_code now = ph_job_check_epoch(job, &cause);
    if (now != PH_OK) {
        *err = cause;
        return now;
    }
    if (strstr(err->message, strerror(ENOSPC)) != NULL) {
        ph_error_object(err, "%s", job->options->dir);
        err->code = PH_E_DISK;
        return PH_E_DISK;
    }
    if (strstr(err->message, "terminating connection") == NULL &&
        strstr(err->message, "server closed the connection") == NULL &&
        strstr(err->message, "connection to server") == NULL)
        return rc;
    err->code = PH_E_CONNECT;
    return PH_E_CONNECT;
}

/*
 * How many entries are in says which ones only as long as the list is the same: an archive that was
 * lost with its directory and dumped again may be of another schema.
 */
static ph_code
check_archive(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf list;
    char mark[sizeof job->ledger.schema_mark];

    ph_buf_init(&list, (size_t)256 << 20);
    for (uint32_t i = 0; i < job->archive.n_entries; i++) {
        const struct ph_archive_entry *entry = &job->archive.entries[i];
        if (entry->part == PH_PART_PRE_DATA)
            ph_buf_printf(&list, "%s %s %s %d\n", entry->desc, entry->schema, entry->tag,
                          entry->selected);
    }
    struct ph_hash128 hash = ph_digest_row((struct ph_span){list.data, list.len});
    bool complete = ph_buf_ok(&list);
    ph_buf_free(&list);
    if (!complete)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    snprintf(mark, sizeof mark, "%016llx%016llx", (unsigned long long)hash.hi,
             (unsigned long long)hash.lo);
    if (job->ledger.phase <= PH_PHASE_SCHEMA && job->ledger.schema_done > 0 &&
        strcmp(job->ledger.schema_mark, mark) != 0) {
        PH_FAIL(err, PH_E_TABLE_CHANGED,
                "the archive of the schema is gone and the source's schema has changed since");
        ph_error_object(err, "%s", job->archive_path);
        ph_error_hint(err, "empty the target and start over with --restart --yes");
        return PH_E_TABLE_CHANGED;
    }
    snprintf(job->ledger.schema_mark, sizeof job->ledger.schema_mark, "%s", mark);
    return PH_OK;
}

static ph_code
open_archive(struct ph_job *job, struct ph_error *err)
{
    struct ph_archive_params params = archive_params(job);

    if (job->has_archive)
        return PH_OK;
    if (access(params.path, R_OK) != 0)
        PH_TRY(dump_archive(job, &params, err));
    PH_FAILPOINT(after_schema_dump);
    ph_code rc = ph_archive_open(&params, &job->archive, err);
    if (rc == PH_OK)
        rc = select_entries(job, err);
    if (rc == PH_OK)
        rc = check_archive(job, err);
    if (rc != PH_OK)
        ph_archive_reset(&job->archive);
    job->has_archive = rc == PH_OK;
    return rc;
}

/* ---- pre-data ---- */

static ph_code
note_batch(void *arg, struct ph_conn *conn, uint32_t entries_done, struct ph_error *err)
{
    struct ph_job *job = arg;

    PH_FAILPOINT(before_schema_note);
    return ph_ledger_set_schema_done(conn, &job->ledger, entries_done, err);
}

static void
warn(void *arg, const struct ph_error *warning)
{
    struct ph_job *job = arg;

    ph_log_failure(PH_LOG_WARN, warning);
    ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "schema", warning->object, "%s",
                          warning->message);
}

ph_code
ph_copy_schema_phase(struct ph_job *job, struct ph_error *err)
{
    struct ph_ddl_hooks hooks = {.arg = job, .on_batch = note_batch, .on_warning = warn};

    if (!job->options->data_only) {
        PH_TRY(open_archive(job, err));
        PH_TRY(ph_ddl_pre_data(job->target_control, &job->archive, job->ledger.schema_done, &hooks,
                               err));
    }
    return ph_ledger_set_phase(job->target_control, &job->ledger, PH_PHASE_PLAN, err);
}

/* ---- the database itself ---- */

static int
compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static ph_code
note_database(void *arg, struct ph_conn *conn, uint32_t entries_done, struct ph_error *err)
{
    struct ph_job *job = arg;

    (void)entries_done;
    return ph_ledger_step_done(conn, job->options->name, "database", 0, err);
}

ph_code
ph_copy_apply_database(struct ph_job *job, struct ph_error *err)
{
    struct ph_ddl_hooks hooks = {.arg = job, .on_batch = note_database, .on_warning = warn};
    const char *key = "database";

    if (job->options->data_only || !job->selection.whole_database)
        return PH_OK;
    /* a run that starts in this phase has not loaded them */
    PH_TRY(ph_ledger_load_steps(job->target_control, job->options->name, &job->arena,
                                &job->steps_done, &job->n_steps_done, err));
    if (bsearch(&key, job->steps_done, job->n_steps_done, sizeof key, compare_names) != NULL)
        return PH_OK;
    PH_TRY(open_archive(job, err));
    return ph_database_apply(job->target_control, &job->archive, &hooks, err);
}

/* ---- steps ---- */

static int
compare_oids(const void *left, const void *right)
{
    ph_oid a = *(const ph_oid *)left;
    ph_oid b = *(const ph_oid *)right;

    return a < b ? -1 : a > b;
}

struct pending { /* the plan's tables, sorted */
    struct ph_job *job;
    ph_oid *oids;
    uint32_t n;
};

static bool
has_rows(void *arg, ph_oid oid)
{
    const struct pending *pending = arg;

    return bsearch(&oid, pending->oids, pending->n, sizeof oid, compare_oids) != NULL;
}

static bool
is_done(void *arg, const char *key)
{
    const struct pending *pending = arg;

    return bsearch(&key, pending->job->steps_done, pending->job->n_steps_done, sizeof key,
                   compare_names) != NULL;
}

static bool
is_loaded(const struct ph_job *job, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < table->n_chunks; i++) {
        if (!job->chunk_states[table->first_chunk + i].done)
            return false;
    }
    return true;
}

ph_code
ph_copy_build_steps(struct ph_job *job, bool rows_apart, struct ph_steps *steps,
                    struct ph_error *err)
{
    struct pending pending = {.job = job};

    PH_TRY(open_archive(job, err));
    pending.oids = PH_ARENA_ARRAY(&job->arena, ph_oid, job->plan.n_tables + 1u);
    if (pending.oids == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        pending.oids[pending.n++] = job->plan.tables[i].source->oid;
    qsort(pending.oids, pending.n, sizeof *pending.oids, compare_oids);
    struct ph_steps_params params = {
        .archive = &job->archive,
        .source = job->source_control,
        .split_key_bytes = PH_SPLIT_KEY_BYTES,
        .split_fk_bytes = PH_SPLIT_FK_BYTES,
        .analyze = !job->options->schema_only,
        .refresh = !job->options->schema_only,
        .rows_apart = rows_apart,
        .arg = &pending,
        .has_rows = has_rows,
        .is_done = is_done,
    };
    PH_TRY(ph_steps_build(&params, steps, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (is_loaded(job, &job->plan.tables[i]))
            ph_steps_table_done(steps, job->plan.tables[i].source->oid);
    }
    return PH_OK;
}
