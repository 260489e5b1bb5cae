/*
 * The beginning and the end of a run: connections, the two locks, registration.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/job.h"
#include "job/selection_text.h"
#include "pg/database.h"
#include "pg/holder.h"

#define OLD_SESSIONS_WAIT_MS 10000u
#define LOCK_GRACE_S 2.0
#define LOCK_WAIT_S 30.0
#define ARENA_LIMIT ((size_t)1 << 30)

static void
choose_lanes(struct ph_job *job)
{
    const struct ph_options *options = job->options;
    uint32_t n = ph_options_processors();

    job->jobs = ph_options_lanes(options);
    job->index_jobs = options->index_jobs != 0 ? options->index_jobs : n;
    job->apply_jobs = (options->jobs != 0 ? options->jobs : n) / 2;
    if (options->apply_jobs != 0)
        job->apply_jobs = options->apply_jobs;
}

/*
 * The lock went with the session that had it, unless the server has not noticed its end yet: then
 * that session is ended, being our own. Another one is another run.
 */
static ph_code
take_lock_again(struct ph_job *job, struct ph_error *err)
{
    static const struct timespec moment = {.tv_nsec = 50000000};
    struct ph_conn *conn = job->target_control;
    uint64_t start = ph_clock_ns();
    bool taken = false;

    for (bool ended = false; !taken;) {
        PH_TRY(ph_ledger_lock(conn, job->options->name, &taken, err));
        double waited = ph_clock_seconds_since(start);
        if (!taken && waited > LOCK_WAIT_S)
            return PH_FAIL(err, PH_E_CONNECT, "another session holds the job's lock");
        if (!taken && !ended && waited * 1000 > OLD_SESSIONS_WAIT_MS) {
            PH_TRY(ph_conn_execf(conn, err,
                                 "SELECT pg_catalog.pg_terminate_backend(pid) FROM"
                                 " pg_catalog.pg_locks WHERE pid = %d AND locktype = 'advisory'"
                                 " AND classid = 5798 AND granted",
                                 job->lock_backend));
            ended = true;
        }
        if (!taken && ph_stop_wait_ms(100)) {
            if (waited > LOCK_GRACE_S)
                return ph_stop_check(err);
            nanosleep(&moment, NULL);
        }
    }
    job->lock_backend = ph_conn_backend_pid(conn);
    return PH_OK;
}

/* One whose server is gone without libpq knowing it fails here, and is opened again. */
static bool
is_usable(struct ph_conn *conn)
{
    return conn != NULL && ph_conn_is_alive(conn) && ph_conn_leave_transaction(conn, NULL) == PH_OK;
}

ph_code
ph_job_reconnect_target(struct ph_job *job, struct ph_error *err)
{
    if (!is_usable(job->target_control)) {
        ph_conn_free(job->target_control);
        job->target_control = NULL;
        PH_TRY(ph_conn_open(&job->target, "control", &job->target_control, err));
        PH_TRY(ph_ledger_commit_durably(job->target_control, err));
        if (job->lock_backend != 0)
            PH_TRY(take_lock_again(job, err));
    }
    return PH_OK;
}

ph_code
ph_job_reconnect_source(struct ph_job *job, struct ph_error *err)
{
    struct ph_conn *conn;

    if (is_usable(job->source_control))
        return PH_OK;
    PH_TRY(ph_conn_open(&job->source, "control", &conn, err));
    ph_conn_free(job->source_control);
    job->source_control = conn;
    return PH_OK;
}

ph_code
ph_job_reconnect(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_reconnect_source(job, err));
    return ph_job_reconnect_target(job, err);
}

ph_code
ph_job_prepare(struct ph_job *job, struct ph_run *run, struct ph_error *err)
{
    const struct ph_options *options = run->options;

    job->run = run;
    job->options = options;
    job->follows = options->follow;
    job->lock_fd = -1;
    job->started_ns = ph_clock_ns();
    ph_arena_init(&job->arena, ARENA_LIMIT);
    ph_arena_init(&job->plan_arena, ARENA_LIMIT);
    choose_lanes(job);
    PH_TRY(ph_endpoint_init(&job->source, PH_SOURCE, options->source, options->name, err));
    PH_TRY(ph_endpoint_init(&job->target, PH_TARGET, options->target, options->name, err));
    ph_stop_watch_begin(&job->stop_watch, &job->source, &job->target);
    return PH_OK;
}

ph_code
ph_job_connect(struct ph_job *job, struct ph_run *run, struct ph_error *err)
{
    PH_TRY(ph_job_prepare(job, run, err));
    return ph_job_reconnect(job, err);
}

/* ---- one run at a time ---- */

/* The session that holds the job's lock, 0 when nobody does. */
static ph_code
lock_holder(struct ph_job *job, int *pid, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job->options->name};

    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND"
                         " classid = 5798 AND objid = (hashtext($1)::bigint & 4294967295)::oid AND"
                         " granted AND database = (SELECT oid FROM pg_catalog.pg_database WHERE"
                         " datname = current_database())",
                         1, params, &r, err));
    *pid = ph_result_rows(r) > 0 ? (int)ph_result_i64(r, 0, 0) : 0;
    ph_result_free(r);
    return PH_OK;
}

struct last_run {
    bool found;
    bool is_dead; /* its process was on this host and is gone */
    char host[128];
    int pid;
    char app_prefix[80]; /* of its sessions */
};

static ph_code
load_last_run(struct ph_job *job, struct last_run *out, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job->options->name};
    char here[128] = "";
    bool exists;

    *out = (struct last_run){0};
    PH_TRY(ph_ledger_exists(job->target_control, &exists, err));
    if (!exists)
        return PH_OK;
    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT host, pid, app FROM pghaul.run WHERE job = $1 ORDER BY run DESC"
                         " LIMIT 1",
                         1, params, &r, err));
    if (ph_result_rows(r) == 1) {
        out->found = true;
        snprintf(out->host, sizeof out->host, "%s", ph_result_text(r, 0, 0));
        out->pid = (int)ph_result_i64(r, 0, 1);
        snprintf(out->app_prefix, sizeof out->app_prefix, "%s", ph_result_text(r, 0, 2));
        gethostname(here, sizeof here - 1);
        /* our own pid: a container that was started again */
        out->is_dead = strcmp(here, out->host) == 0 &&
                       (out->pid == (int)getpid() || (kill(out->pid, 0) != 0 && errno == ESRCH));
    }
    ph_result_free(r);
    return PH_OK;
}

static ph_code
running_elsewhere(struct ph_job *job, const struct last_run *run, int backend, struct ph_error *err)
{
    PH_FAIL(err, PH_E_JOB_RUNNING,
            "job %s runs on host %s as process %d (session %d on the target)", job->options->name,
            run->found ? run->host : "(unknown)", run->pid, backend);
    ph_error_hint(err,
                  "wait for it or stop it with `pghaul stop`; when that process is gone, end the "
                  "session on the target: SELECT pg_terminate_backend(%d)",
                  backend);
    return PH_E_JOB_RUNNING;
}

/*
 * Sessions of this job's runs but `conn` itself; the snapshot's holder has another name. Both
 * databases may be on one server.
 */
#define OLD_SESSIONS                                                                               \
    " FROM pg_catalog.pg_stat_activity WHERE left(application_name, length($1) + 1) = $1 || ' '"   \
    " AND datname = current_database() AND pid <> pg_catalog.pg_backend_pid()"

static ph_code
count_old_sessions(struct ph_conn *conn, const char *app_prefix, int *n, char *pids, size_t size,
                   struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {app_prefix};

    PH_TRY(ph_conn_query(conn,
                         "SELECT count(*), coalesce(string_agg(pid::text, ', '), '')" OLD_SESSIONS,
                         1, params, &r, err));
    *n = (int)ph_result_i64(r, 0, 0);
    snprintf(pids, size, "%s", ph_result_text(r, 0, 1));
    ph_result_free(r);
    return PH_OK;
}

static ph_code
terminate_old_sessions(struct ph_conn *conn, const char *app_prefix, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {app_prefix};

    PH_TRY(ph_conn_query(conn, "SELECT pg_catalog.pg_terminate_backend(pid)" OLD_SESSIONS, 1,
                         params, &r, err));
    ph_result_free(r);
    return PH_OK;
}

static ph_code
wait_for_old_sessions(struct ph_conn *conn, const char *app_prefix, unsigned wait_ms, int *left,
                      char *pids, size_t size, struct ph_error *err)
{
    uint64_t start = ph_clock_ns();

    for (;;) {
        PH_TRY(count_old_sessions(conn, app_prefix, left, pids, size, err));
        if (*left == 0 || ph_clock_seconds_since(start) * 1000 >= (double)wait_ms)
            return PH_OK;
        if (ph_stop_wait_ms(100))
            return ph_stop_check(err);
    }
}

/*
 * A run that died, or a connection that broke, leaves sessions that the servers have not noticed
 * yet; one of them may be in the middle of its COMMIT. They are given ten seconds, then ended.
 */
static ph_code
clear_old_sessions(struct ph_conn *conn, const char *app_prefix, struct ph_error *err)
{
    char pids[512];
    int left;

    PH_TRY(wait_for_old_sessions(conn, app_prefix, OLD_SESSIONS_WAIT_MS, &left, pids, sizeof pids,
                                 err));
    if (left == 0)
        return PH_OK;
    ph_log(PH_LOG_WARN, "session.ended", "%s: sessions of a former run are ended: %s",
           ph_conn_endpoint(conn)->label, pids);
    ph_code rc = terminate_old_sessions(conn, app_prefix, err);
    if (rc == PH_OK)
        rc = wait_for_old_sessions(conn, app_prefix, OLD_SESSIONS_WAIT_MS, &left, pids, sizeof pids,
                                   err);
    if (rc == PH_E_RIGHTS || (rc == PH_OK && left > 0)) {
        PH_FAIL(err, PH_E_JOB_RUNNING, "sessions of a former run are still on the %s: %s",
                ph_conn_endpoint(conn)->label, pids);
        ph_error_hint(err, "end them as a role that may: SELECT pg_terminate_backend(pid) for %s",
                      pids);
        return PH_E_JOB_RUNNING;
    }
    return rc;
}

ph_code
ph_job_clear_sessions(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(clear_old_sessions(job->target_control, job->target.app_prefix, err));
    return clear_old_sessions(job->source_control, job->source.app_prefix, err);
}

/* The one session that has the lock: the last run's, whose process is known to be gone. */
static ph_code
terminate_lock_holder(struct ph_job *job, int backend, struct ph_error *err)
{
    ph_log(PH_LOG_WARN, "session.ended", "%s: session %d of a run that is gone is ended",
           job->target.label, backend);
    return ph_conn_execf(job->target_control, err, "SELECT pg_catalog.pg_terminate_backend(%d)",
                         backend);
}

/*
 * A killed process is seen by its servers at once, or never when the network went with it. So a
 * lock is given a moment whoever has it, and ten seconds when its process is known to be gone.
 */
static ph_code
take_lock(struct ph_job *job, const struct last_run *run, struct ph_error *err)
{
    uint64_t start = ph_clock_ns();
    bool taken;

    for (bool ended = false;;) {
        int backend;
        PH_TRY(ph_ledger_lock(job->target_control, job->options->name, &taken, err));
        if (taken) {
            job->lock_backend = ph_conn_backend_pid(job->target_control);
            return PH_OK;
        }
        double waited = ph_clock_seconds_since(start);
        PH_TRY(lock_holder(job, &backend, err));
        if (backend != 0 && waited > (run->is_dead ? LOCK_WAIT_S : LOCK_GRACE_S))
            return running_elsewhere(job, run, backend, err);
        if (run->is_dead && backend != 0 && waited * 1000 > OLD_SESSIONS_WAIT_MS && !ended) {
            PH_TRY(terminate_lock_holder(job, backend, err));
            ended = true;
        }
        if (ph_stop_wait_ms(100))
            return ph_stop_check(err);
    }
}

ph_code
ph_job_lock(struct ph_job *job, struct ph_error *err)
{
    struct last_run run;

    PH_TRY(ph_options_make_dir(job->options, err));
    PH_TRY(ph_mover_lock(job->options->dir, &job->lock_fd, err));
    PH_TRY(load_last_run(job, &run, err));
    PH_TRY(take_lock(job, &run, err));
    PH_TRY(load_last_run(job, &run, err)); /* one may have ended while this one waited */
    if (!run.found)
        return PH_OK;
    PH_TRY(clear_old_sessions(job->target_control, run.app_prefix, err));
    return clear_old_sessions(job->source_control, run.app_prefix, err);
}

ph_code
ph_job_look_whether_one(struct ph_job *job, struct ph_error *err)
{
    return ph_database_is_one(job->source_control, job->target_control, &job->is_one_database, err);
}

/* ---- registration ---- */

/* What makes two commands the same job but for the selection: where from, and how it is made. */
static ph_code
make_signature(struct ph_job *job, char *out, size_t size, struct ph_error *err)
{
    const struct ph_options *o = job->options;
    struct ph_buf text;
    char identity[512];

    PH_TRY(ph_conn_value(job->source_control,
                         "SELECT s.system_identifier || '/' || d.oid FROM"
                         " pg_catalog.pg_control_system() s, pg_catalog.pg_database d"
                         " WHERE d.datname = current_database()",
                         identity, sizeof identity, err));
    ph_buf_init(&text, (size_t)16 << 20);
    ph_buf_printf(&text, "%s\n", identity);
    ph_buf_printf(&text, "%d%d%d%d%d%d%d%d", o->schema_only, o->data_only, o->no_owner, o->no_acl,
                  o->no_comments, o->no_tablespaces, o->publications, o->subscriptions);
    if (o->follow) /* its epochs are of the slot's stream; a copy alone has none */
        ph_buf_puts(&text, "follow");
    struct ph_hash128 hash = ph_digest_row((struct ph_span){text.data, text.len});
    bool complete = ph_buf_ok(&text);
    ph_buf_free(&text);
    snprintf(out, size, "%016llx%016llx", (unsigned long long)hash.hi, (unsigned long long)hash.lo);
    return complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* A job that follows takes tables on: ph_join_begin looks whether that is what was asked for. */
static ph_code
check_selection(struct ph_job *job, struct ph_error *err)
{
    const struct ph_ledger_job *ledger = &job->ledger;
    bool is_joining = ledger->joining[0] != '\0';

    if (strcmp(is_joining ? ledger->joining : ledger->selection, job->selection_id) == 0 ||
        (!is_joining && job->follows && ledger->phase == PH_PHASE_FOLLOW))
        return PH_OK;
    PH_FAIL(err, PH_E_JOB_OTHER, "the ledger has this job with another selection");
    ph_error_object(err, "job %s", job->options->name);
    if (is_joining)
        ph_error_hint(err, "tables are being added to it: give the command that adds them until it "
                           "follows, then widen the selection again");
    else if (job->follows && ledger->phase != PH_PHASE_DONE)
        ph_error_hint(err, "a selection can be widened once the job follows: give the former "
                           "command until then");
    return PH_E_JOB_OTHER;
}

static ph_code
check_same_job(struct ph_job *job, const char *signature, struct ph_error *err)
{
    if (strcmp(job->ledger.signature, signature) == 0)
        return check_selection(job, err);
    PH_FAIL(err, PH_E_JOB_OTHER,
            "the ledger has a job of this name from %s with another source or mode",
            job->ledger.source_label);
    ph_error_object(err, "job %s", job->options->name);
    return PH_E_JOB_OTHER;
}

static ph_code
name_session(struct ph_job *job, struct ph_endpoint *endpoint, struct ph_conn *conn,
             struct ph_error *err)
{
    PH_TRY(ph_endpoint_set_token(endpoint, job->options->name, job->ledger.token, err));
    return ph_conn_execf(conn, err, "SET application_name = '%s control'", endpoint->app_prefix);
}

static ph_code
name_sessions(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(name_session(job, &job->source, job->source_control, err));
    return name_session(job, &job->target, job->target_control, err);
}

static ph_code
make_job(struct ph_job *job, const char *signature, const char *patterns, struct ph_error *err)
{
    struct ph_ledger_job *ledger = &job->ledger;

    PH_TRY(ph_ledger_create(job->target_control, err));
    snprintf(ledger->name, sizeof ledger->name, "%s", job->options->name);
    snprintf(ledger->signature, sizeof ledger->signature, "%s", signature);
    snprintf(ledger->selection, sizeof ledger->selection, "%s", job->selection_id);
    snprintf(ledger->source_label, sizeof ledger->source_label, "%s", job->source.label);
    PH_TRY(ph_ledger_new_job(job->target_control, ledger, patterns, err));
    job->is_new = true;
    return PH_OK;
}

static ph_code
find_or_make_job(struct ph_job *job, const char *patterns, struct ph_error *err)
{
    char signature[sizeof job->ledger.signature];
    bool exists;
    bool found = false;

    PH_TRY(make_signature(job, signature, sizeof signature, err));
    PH_TRY(ph_ledger_exists(job->target_control, &exists, err));
    if (exists)
        PH_TRY(
            ph_ledger_load_job(job->target_control, job->options->name, &job->ledger, &found, err));
    job->run->wrote = PH_HAS_WRITTEN;
    return found ? check_same_job(job, signature, err) : make_job(job, signature, patterns, err);
}

ph_code
ph_job_register(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf patterns;

    ph_buf_init(&patterns, (size_t)16 << 20);
    ph_selection_write(job->options, &patterns);
    ph_selection_id(&patterns, job->selection_id);
    ph_code rc = ph_buf_ok(&patterns) ? find_or_make_job(job, ph_buf_text(&patterns), err)
                                      : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&patterns);
    PH_TRY(rc);
    PH_TRY(ph_job_look_whether_one(job, err));
    PH_TRY(name_sessions(job, err));
    return ph_ledger_begin_run(job->target_control, &job->ledger, job->target.app_prefix, err);
}

void
ph_job_close(struct ph_job *job)
{
    if (job->stop_watch.endpoints[0] != NULL)
        ph_stop_watch_end(&job->stop_watch);
    ph_conn_free(job->source_control);
    ph_conn_free(job->target_control);
    if (job->source.conninfo != NULL)
        ph_endpoint_reset(&job->source);
    if (job->target.conninfo != NULL)
        ph_endpoint_reset(&job->target);
    if (job->has_archive)
        ph_archive_reset(&job->archive);
    free(job->chunk_states);
    free(job->table_states);
    ph_rules_free(&job->rules);
    ph_catalog_reset(&job->source_catalog);
    ph_catalog_reset(&job->target_catalog);
    ph_arena_reset(&job->plan_arena);
    ph_arena_reset(&job->arena);
    if (job->lock_fd >= 0)
        close(job->lock_fd);
    job->lock_fd = -1;
}
