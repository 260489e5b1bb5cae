/*
 * Removing a job: what was set aside is restored first, since the ledger is the only place that
 * knows it; then the holder, the ledger's rows, the local files. What was copied stays.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/stop.h"
#include "job/follow_begin.h"
#include "job/status.h"
#include "pg/holder.h"
#include "pg/ledger.h"
#include "pg/ledger_follow.h"
#include "pg/ledger_preserved.h"
#include "pg/slot.h"
#include "rules/ruleset.h"
#include "spool/spool.h"

#define HOLDER_WAIT_MS 5000u

/* Files that runs leave in the directory, as fnmatch patterns; others are somebody else's and stay.
 */
static const char *const own_files[] = {"mover.lock", "holder.stop", "schema-*.dump",
                                        "schema-*.dump.*"};

static ph_code
lock_job(const struct ph_options *options, struct ph_conn *conn, struct ph_error *err)
{
    bool taken;

    PH_TRY(ph_ledger_lock(conn, options->name, &taken, err));
    if (taken)
        return PH_OK;
    PH_FAIL(err, PH_E_JOB_RUNNING, "the job is running; stop it first");
    ph_error_object(err, "%s", options->name);
    return PH_E_JOB_RUNNING;
}

static bool
is_on_this_host(const struct ph_job_status *job)
{
    char here[128] = "";

    gethostname(here, sizeof here - 1);
    return strcmp(here, job->host) == 0;
}

/* Waits a little for the holder's process, so that its files can go. */
static void
end_holder(const struct ph_options *options, const struct ph_job_status *job,
           struct ph_cleaned *out)
{
    if (job->holder_pid <= 0 || !is_on_this_host(job) || kill(job->holder_pid, 0) != 0)
        return;
    if (ph_holder_stop(options->dir, NULL) != PH_OK)
        return;
    for (unsigned waited = 0; waited < HOLDER_WAIT_MS; waited += 100) {
        if (kill(job->holder_pid, 0) != 0 && errno == ESRCH) {
            out->holder = true;
            return;
        }
        ph_stop_wait_ms(100);
    }
}

/* What the job has on its source, by the ledger, and a session there. */
struct stream {
    bool found;
    struct ph_ledger_follow follow;
    struct ph_endpoint source;
    struct ph_conn *conn; /* NULL: there is none, or the source is gone */
};

static ph_code
open_source(const struct ph_options *options, const char *label, struct stream *stream,
            struct ph_error *err)
{
    if (options->source == NULL) {
        PH_FAIL(err, PH_E_USAGE, "is missing: the job has slot %s there, which keeps WAL",
                stream->follow.slot);
        ph_error_object(err, "--source");
        ph_error_hint(err, "give it; when %s does not exist any more, --source-gone", label);
        return PH_E_USAGE;
    }
    PH_TRY(ph_endpoint_init(&stream->source, PH_SOURCE, options->source, "ledger", err));
    PH_TRY(ph_conn_open(&stream->source, "clean", &stream->conn, err));
    return ph_follow_check_source(stream->conn, &stream->follow, label, err);
}

/* What may refuse comes before anything is touched. */
static ph_code
find_stream(const struct ph_options *options, struct ph_conn *conn, const char *label,
            struct stream *stream, struct ph_error *err)
{
    PH_TRY(ph_ledger_load_follow(conn, options->name, &stream->follow, &stream->found, err));
    return stream->found && !options->source_gone ? open_source(options, label, stream, err)
                                                  : PH_OK;
}

/* Before the ledger forgets their names. */
static ph_code
remove_stream(const struct stream *stream, struct ph_cleaned *out, struct ph_error *err)
{
    struct ph_slot slot;
    bool found;

    if (!stream->found)
        return PH_OK;
    snprintf(out->slot_name, sizeof out->slot_name, "%s", stream->follow.slot);
    if (stream->conn == NULL) {
        out->slot = PH_SLOT_FORGOTTEN;
        return PH_OK;
    }
    PH_TRY(ph_slot_read(stream->conn, stream->follow.slot, &slot, &found, err));
    PH_TRY(ph_follow_remove(stream->conn, &stream->follow, err));
    out->slot = found ? PH_SLOT_REMOVED : PH_SLOT_MISSING;
    out->publication = stream->follow.own_publication;
    return PH_OK;
}

static void
free_stream(struct stream *stream)
{
    ph_conn_free(stream->conn);
    if (stream->source.conninfo != NULL)
        ph_endpoint_reset(&stream->source);
}

/* A job that was begun anew and refused is gone, and what it had set aside is not. */
static ph_code
clean_lingering(const struct ph_options *options, struct ph_conn *conn, struct ph_error *err)
{
    bool exists;

    PH_TRY(ph_ledger_exists(conn, &exists, err));
    if (!exists)
        return PH_OK;
    PH_TRY(lock_job(options, conn, err));
    PH_TRY(ph_preserved_forget(conn, options->name, err));
    return ph_ledger_forget(conn, options->name, err);
}

static ph_code
clean_job(const struct ph_options *options, struct ph_conn *conn, const struct ph_job_status *job,
          struct ph_cleaned *out, struct ph_error *err)
{
    struct stream stream = {.found = false};
    ph_code rc = lock_job(options, conn, err);

    if (rc == PH_OK)
        rc = find_stream(options, conn, job->source, &stream, err);
    if (rc == PH_OK)
        rc = ph_preserved_forget(conn, options->name, err);
    if (rc == PH_OK)
        rc = ph_ledger_restore_all(conn, options->name, &out->restored, err);
    if (rc == PH_E_CONSTRAINT)
        ph_error_hint(err, "the copy is not complete: let it end first, or empty its tables on "
                           "the target, then clean again");
    if (rc == PH_OK) {
        end_holder(options, job, out);
        rc = remove_stream(&stream, out, err);
    }
    if (rc == PH_OK)
        rc = ph_ledger_forget(conn, options->name, err);
    out->ledger = rc == PH_OK;
    free_stream(&stream);
    return rc;
}

static ph_code
clean_ledger(const struct ph_options *options, struct ph_conn *conn, struct ph_cleaned *out,
             struct ph_error *err)
{
    struct ph_arena arena;
    struct ph_job_status *jobs;
    uint32_t n = 0;

    ph_arena_init(&arena, (size_t)64 << 20);
    ph_code rc = ph_ledger_jobs(conn, options->name, &arena, &jobs, &n, err);
    if (rc == PH_OK)
        rc = n == 1 ? clean_job(options, conn, &jobs[0], out, err)
                    : clean_lingering(options, conn, err);
    ph_arena_reset(&arena);
    return rc;
}

static bool
is_own_file(const char *name)
{
    for (size_t i = 0; i < sizeof own_files / sizeof own_files[0]; i++) {
        if (fnmatch(own_files[i], name, 0) == 0)
            return true;
    }
    return false;
}

static ph_code
remove_own_files(const char *dir, struct ph_error *err)
{
    DIR *open_dir = opendir(dir);
    struct dirent *entry;

    if (open_dir == NULL) {
        PH_FAIL(err, PH_E_DISK, "cannot read the directory: %s", strerror(errno));
        ph_error_object(err, "%s", dir);
        return PH_E_DISK;
    }
    while ((entry = readdir(open_dir)) != NULL) {
        if (is_own_file(entry->d_name))
            unlinkat(dirfd(open_dir), entry->d_name, 0);
    }
    closedir(open_dir);
    return PH_OK;
}

static ph_code
clean_dir(const struct ph_options *options, struct ph_cleaned *out, struct ph_error *err)
{
    char spool[4096];
    uint64_t removed;
    int lock_fd = -1;

    if (access(options->dir, F_OK) != 0)
        return PH_OK;
    PH_TRY(ph_mover_lock(options->dir, &lock_fd, err));
    ph_follow_spool_dir(options, spool, sizeof spool);
    ph_code rc = access(spool, F_OK) == 0 ? ph_spool_remove(spool, NULL, &removed, err) : PH_OK;
    if (rc == PH_OK)
        rc = remove_own_files(options->dir, err);
    if (rc == PH_OK)
        ph_rules_clear_folder(options->dir);
    close(lock_fd);
    out->dir = rc == PH_OK && rmdir(options->dir) == 0;
    out->dir_kept = !out->dir;
    return rc;
}

ph_code
ph_job_clean(const struct ph_options *options, struct ph_cleaned *out, struct ph_error *err)
{
    struct ph_endpoint endpoint = {0};
    struct ph_conn *conn = NULL;

    *out = (struct ph_cleaned){0};
    /* "ledger", not the job: see job/status.c */
    PH_TRY(ph_endpoint_init(&endpoint, PH_TARGET, options->target, "ledger", err));
    ph_code rc = ph_conn_open(&endpoint, "clean", &conn, err);
    if (rc == PH_OK)
        rc = ph_ledger_commit_durably(conn, err);
    if (rc == PH_OK)
        rc = clean_ledger(options, conn, out, err);
    if (rc == PH_OK)
        rc = clean_dir(options, out, err);
    if (rc == PH_OK && !out->ledger && !out->dir && !out->dir_kept) {
        rc = PH_FAIL(err, PH_E_NO_JOB, "neither the %s nor %s has anything of this job",
                     endpoint.label, options->dir);
        ph_error_object(err, "%s", options->name);
    }
    ph_conn_free(conn);
    ph_endpoint_reset(&endpoint);
    return rc;
}
