#include "job/follow_begin.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/copy_parts.h"
#include "job/follow.h"
#include "job/preflight_follow.h"
#include "job/publish.h"
#include "pg/publication.h"
#include "pg/replication.h"
#include "pg/slot.h"

#define LOCK_WAIT_MS 30000
#define DROP_WAIT_MS 10000
#define FIRST_TRY_MS 5000
#define LATER_TRY_MS 60000
#define GIVE_UP_AFTER_S 600.0

void
ph_follow_spool_dir(const struct ph_options *options, char *out, size_t size)
{
    snprintf(out, size, "%s/spool", options->dir);
}

static void
put_plugin_options(const char *database, char *out, size_t size)
{
    snprintf(out, size, "pgoutput of %s", database);
}

ph_code
ph_follow_remove(struct ph_conn *source, const struct ph_ledger_follow *follow,
                 struct ph_error *err)
{
    PH_TRY(ph_slot_drop(source, follow->slot, DROP_WAIT_MS, err));
    return follow->own_publication ? ph_publication_drop(source, follow->publication, err) : PH_OK;
}

/* The slot knows its database, by its present name; once it is gone the ledger does. */
static ph_code
is_of_database(struct ph_conn *source, const struct ph_ledger_follow *follow, const char *database,
               bool *out, struct ph_error *err)
{
    struct ph_slot slot;
    bool found;
    char noted[sizeof follow->plugin_options];

    PH_TRY(ph_slot_read(source, follow->slot, &slot, &found, err));
    put_plugin_options(database, noted, sizeof noted);
    *out = strcmp(found ? slot.database : follow->plugin_options, found ? database : noted) == 0;
    return PH_OK;
}

ph_code
ph_follow_check_source(struct ph_conn *source, const struct ph_ledger_follow *follow,
                       const char *label, struct ph_error *err)
{
    char system_id[sizeof follow->system_id];
    char database[64];
    bool is_it;

    PH_TRY(ph_conn_value(source, "SELECT system_identifier FROM pg_catalog.pg_control_system()",
                         system_id, sizeof system_id, err));
    PH_TRY(ph_conn_value(source, "SELECT pg_catalog.current_database()", database, sizeof database,
                         err));
    bool is_server = strcmp(system_id, follow->system_id) == 0;
    if (is_server)
        PH_TRY(is_of_database(source, follow, database, &is_it, err));
    if (is_server && is_it)
        return PH_OK;
    PH_FAIL(err, PH_E_JOB_OTHER,
            "the job follows %s, another %s: its slot %s is there and keeps WAL", label,
            is_server ? "database" : "server", follow->slot);
    ph_error_object(err, "%s", ph_conn_endpoint(source)->label);
    ph_error_hint(err, "name the job's own source; when that does not exist any more, "
                       "`pghaul clean --source-gone --yes` forgets the job");
    return PH_E_JOB_OTHER;
}

/* ---- what is published ---- */

static ph_code
look_at_tables(struct ph_job *job, struct ph_publish_list *list, struct ph_error *err)
{
    PH_TRY(ph_job_read_catalogs_now(job, err));
    PH_TRY(ph_select(&job->source_catalog, job->options, &job->arena, &job->selection, err));
    PH_TRY(ph_copy_make_plan(job, err));
    return ph_publish_list_make(&job->source_catalog, &job->plan, &job->arena, list, err);
}

static ph_code
prepare_tables(struct ph_job *job, struct ph_publish_list *list, struct ph_error *err)
{
    uint32_t n = 0;

    PH_TRY(look_at_tables(job, list, err));
    if (job->options->set_replica_identity)
        PH_TRY(ph_follow_set_identities(job, LOCK_WAIT_MS, &n, err));
    return n > 0 ? look_at_tables(job, list, err) : PH_OK;
}

static ph_code
make_publication(struct ph_job *job, const struct ph_publish_list *list, struct ph_error *err)
{
    struct ph_publication_params params = {
        .name = job->stream.publication,
        .partitions = PH_PUBLISH_AS_LEAF,
        .rels = list->rels,
        .n_rels = list->n,
        .filters = list->filters,
        .with_generated = list->with_generated,
        .lock_wait_ms = LOCK_WAIT_MS,
    };

    if (!job->stream.own_publication)
        return PH_OK;
    return ph_publication_create(job->source_control, &params, err);
}

/* ---- the slot ---- */

static void
tell_who_holds_up(struct ph_job *job)
{
    struct ph_findings findings;

    ph_findings_init(&findings);
    if (ph_follow_find_long_transactions(job->source_control, FIRST_TRY_MS / 1000.0, &findings,
                                         NULL) == PH_OK) {
        for (uint32_t i = 0; i < findings.n; i++)
            ph_log(PH_LOG_WARN, "slot.waits", "%s: %s", findings.items[i].object,
                   findings.items[i].cause);
    }
    ph_findings_reset(&findings);
}

/* Each try waits for what runs at its beginning. */
static ph_code
make_slot(struct ph_job *job, struct ph_replication *session, struct ph_slot_made *made,
          struct ph_error *err)
{
    struct ph_slot_params params = {
        .name = job->stream.slot,
        .failover = job->options->failover_slot ? PH_SLOT_FAILOVER : PH_SLOT_NO_FAILOVER,
        .wait_ms = FIRST_TRY_MS,
    };
    uint64_t start = ph_clock_ns();

    for (;;) {
        ph_code rc = ph_replication_create_slot(session, &params, made, err);
        if (rc != PH_E_NOT_READY || ph_clock_seconds_since(start) > GIVE_UP_AFTER_S)
            return rc;
        PH_TRY(ph_stop_check(err));
        tell_who_holds_up(job);
        params.wait_ms = LATER_TRY_MS;
    }
}

static ph_code
is_taken(const char *what, const char *name, struct ph_error *err)
{
    PH_FAIL(err, PH_E_NOT_READY, "the source already has a %s of this name", what);
    ph_error_object(err, "%s", name);
    ph_error_hint(err, "use another --name, or drop it when nobody needs it");
    return PH_E_NOT_READY;
}

/* From the ledger's note on, what has these names is taken for ours and may be removed. */
static ph_code
see_that_names_are_free(struct ph_job *job, struct ph_error *err)
{
    struct ph_publication publication;
    struct ph_slot slot;
    bool found;

    PH_TRY(ph_slot_read(job->source_control, job->stream.slot, &slot, &found, err));
    if (found)
        return is_taken("slot", job->stream.slot, err);
    PH_TRY(ph_publication_read(job->source_control, job->stream.publication, &job->arena,
                               &publication, &found, err));
    return found && job->stream.own_publication
               ? is_taken("publication", job->stream.publication, err)
               : PH_OK;
}

static ph_code
identify(struct ph_job *job, struct ph_replication *session, struct ph_error *err)
{
    struct ph_replication_system system;

    PH_TRY(ph_replication_identify(session, &system, err));
    snprintf(job->stream.system_id, sizeof job->stream.system_id, "%s", system.system_id);
    job->stream.timeline = system.timeline;
    put_plugin_options(system.database, job->stream.plugin_options,
                       sizeof job->stream.plugin_options);
    return PH_OK;
}

static ph_code
make_stream(struct ph_job *job, struct ph_replication *session, bool *in_doubt,
            struct ph_error *err)
{
    struct ph_publish_list list;
    struct ph_slot_made made;

    *in_doubt = false;
    PH_TRY(see_that_names_are_free(job, err));
    PH_TRY(identify(job, session, err));
    PH_TRY(prepare_tables(job, &list, err));
    PH_TRY(ph_ledger_begin_follow(job->target_control, job->options->name, &job->stream, err));
    PH_FAILPOINT(after_follow_noted);
    ph_code rc = make_publication(job, &list, err);
    PH_FAILPOINT(after_publication);
    if (rc == PH_OK)
        rc = ph_follow_note_publication(job, err);
    if (rc == PH_OK)
        rc = make_slot(job, session, &made, err);
    PH_FAILPOINT(after_slot);
    if (rc == PH_OK)
        rc = ph_job_first_epoch(job, made.snapshot, made.consistent_point, in_doubt, err);
    if (rc != PH_OK)
        return rc;
    job->stream.made = true;
    job->stream.slot_lsn = made.consistent_point;
    return PH_OK;
}

static void
name_stream(struct ph_job *job)
{
    const char *given = job->options->publication;

    job->stream = (struct ph_ledger_follow){.own_publication = given == NULL};
    ph_follow_name(job, job->stream.slot);
    snprintf(job->stream.publication, sizeof job->stream.publication, "%s",
             given != NULL ? given : job->stream.slot);
}

/*
 * Nothing of a start that failed stays on the source; what cannot be removed now is at the next.
 * Not where nobody knows whether it has failed: the next run finds in the ledger what it is.
 */
static void
take_back(struct ph_job *job)
{
    struct ph_error err;

    ph_error_reset(&err);
    ph_job_release_epoch(job);
    if (ph_conn_leave_transaction(job->source_control, NULL) == PH_OK &&
        ph_follow_remove(job->source_control, &job->stream, &err) != PH_OK)
        ph_log_failure(PH_LOG_WARN, &err);
}

ph_code
ph_follow_begin(struct ph_job *job, struct ph_error *err)
{
    struct ph_replication_params params = {.purpose = "slot"};
    struct ph_replication *session = NULL;
    bool in_doubt;
    bool found;

    PH_TRY(
        ph_ledger_load_follow(job->target_control, job->options->name, &job->stream, &found, err));
    if (found && job->stream.made)
        return PH_OK;
    if (found)
        PH_TRY(ph_follow_remove(job->source_control, &job->stream, err));
    name_stream(job);
    PH_TRY(ph_replication_open(&job->source, &params, &session, err));
    ph_code rc = make_stream(job, session, &in_doubt, err);
    ph_replication_free(session);
    if (rc != PH_OK && !in_doubt && job->stream.spool_id[0] != '\0')
        take_back(job);
    return rc;
}
