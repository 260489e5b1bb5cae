/*
 * The ledger's job level: schema, lock, job, runs, epochs, steps, what was set aside. Tables and
 * chunks are in ledger_rows.c.
 */
#include "pg/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One literal a table, so that a reader sees the whole ledger at a glance. */
static const char *const create_statements[] = {
    "CREATE SCHEMA IF NOT EXISTS pghaul",
    "COMMENT ON SCHEMA pghaul IS 'ledger of pghaul; removed by: pghaul clean'",
    "CREATE TABLE IF NOT EXISTS pghaul.version (version int PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS pghaul.job ("
    " job text PRIMARY KEY, token text NOT NULL, signature text NOT NULL, source text NOT NULL,"
    " phase text NOT NULL DEFAULT 'new', schema_done int NOT NULL DEFAULT 0,"
    " schema_mark text NOT NULL DEFAULT '',"
    " selection text NOT NULL, patterns text NOT NULL, joining text NOT NULL DEFAULT '',"
    " joins int NOT NULL DEFAULT 0, join_epoch int NOT NULL DEFAULT 0,"
    " comes_again bool NOT NULL DEFAULT false,"
    " rules text NOT NULL DEFAULT '', rule_marks text NOT NULL DEFAULT '',"
    " run int NOT NULL DEFAULT 0, verdict text NOT NULL DEFAULT '',"
    " started timestamptz NOT NULL DEFAULT now(), finished timestamptz)",
    "CREATE TABLE IF NOT EXISTS pghaul.run ("
    " job text, run int, host text NOT NULL, pid int NOT NULL, app text NOT NULL,"
    " started timestamptz NOT NULL DEFAULT now(), ended timestamptz, outcome text,"
    " stop_asked timestamptz, PRIMARY KEY (job, run))",
    "CREATE TABLE IF NOT EXISTS pghaul.epoch ("
    " job text, epoch int, snapshot_id text NOT NULL, pg_snapshot text NOT NULL,"
    " holder_backend int NOT NULL, holder_start bigint NOT NULL, holder_pid int NOT NULL,"
    " lsn pg_lsn, lost bool NOT NULL DEFAULT false, lookups text NOT NULL DEFAULT '',"
    " taken timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (job, epoch))",
    "CREATE TABLE IF NOT EXISTS pghaul.follow ("
    " job text PRIMARY KEY, slot text NOT NULL, publication text NOT NULL,"
    " own_publication bool NOT NULL, via_root bool NOT NULL, system_id text NOT NULL,"
    " timeline bigint NOT NULL, plugin_options text NOT NULL, spool_id text NOT NULL,"
    " slot_lsn pg_lsn, s0 text, published xid8, sequences_at timestamptz,"
    " conflicts bigint NOT NULL DEFAULT 0, end_at text, meet pg_lsn,"
    " publishing text[] NOT NULL DEFAULT '{}')",
    /* written with every group: its versions stay within the page, and no index changes */
    "CREATE TABLE IF NOT EXISTS pghaul.position ("
    " job text, worker int, lsn pg_lsn NOT NULL, PRIMARY KEY (job, worker))"
    " WITH (fillfactor = 10)",
    "CREATE TABLE IF NOT EXISTS pghaul.team ("
    " job text, tbl int, worker int NOT NULL, PRIMARY KEY (job, tbl))",
    "CREATE TABLE IF NOT EXISTS pghaul.fence ("
    " job text PRIMARY KEY, id text NOT NULL, state text NOT NULL, snapshot text, cut pg_lsn,"
    " held_us bigint NOT NULL DEFAULT 0) WITH (fillfactor = 10)",
    "CREATE TABLE IF NOT EXISTS pghaul.tbl ("
    " job text, tbl int, source_oid oid NOT NULL, source_schema text NOT NULL,"
    " source_name text NOT NULL, target_schema text NOT NULL, target_name text NOT NULL,"
    " source_columns text[] NOT NULL, target_columns text[] NOT NULL,"
    " attributes text[] NOT NULL DEFAULT '{}', late_fill text[] NOT NULL DEFAULT '{}',"
    " late_until pg_lsn[] NOT NULL DEFAULT '{}', format text NOT NULL,"
    " format_reason text NOT NULL, key_fields int[] NOT NULL, buckets int NOT NULL,"
    " frozen bool NOT NULL, ordered bool NOT NULL, level int NOT NULL, grp int NOT NULL,"
    " condition text, route text, est_rows bigint NOT NULL, est_bytes bigint NOT NULL,"
    " verified bool NOT NULL DEFAULT false, digest text NOT NULL DEFAULT '',"
    " target_digest text NOT NULL DEFAULT '', verify_seconds real NOT NULL DEFAULT 0,"
    " joined int NOT NULL DEFAULT 0, unlogged bool NOT NULL DEFAULT false,"
    " filenode bigint NOT NULL,"
    " PRIMARY KEY (job, tbl))",
    "CREATE TABLE IF NOT EXISTS pghaul.chunk ("
    " job text, tbl int, chunk int, lot int NOT NULL, kind text NOT NULL, lo text, hi text,"
    " est_bytes bigint NOT NULL, state text NOT NULL DEFAULT 'todo', epoch int,"
    " rows bigint NOT NULL DEFAULT 0, bytes bigint NOT NULL DEFAULT 0, digest bytea,"
    " quarantined bigint NOT NULL DEFAULT 0, left_out bigint NOT NULL DEFAULT 0,"
    " seconds real NOT NULL DEFAULT 0, run int, PRIMARY KEY (job, tbl, chunk))"
    " WITH (fillfactor = 70)",
    "CREATE INDEX IF NOT EXISTS chunk_lot ON pghaul.chunk (job, lot)",
    "CREATE TABLE IF NOT EXISTS pghaul.quarantine ("
    " job text, n bigint GENERATED ALWAYS AS IDENTITY, tbl int NOT NULL, chunk int,"
    " route text NOT NULL, row_key text NOT NULL, column_name text NOT NULL, reason text NOT NULL,"
    " at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (job, n))",
    "CREATE TABLE IF NOT EXISTS pghaul.orphan ("
    " job text, tbl int, chunk int, column_name text, lookup text, value text,"
    " rows bigint NOT NULL, CONSTRAINT orphan_pkey"
    " PRIMARY KEY (job, tbl, chunk, column_name, lookup, value)) WITH (fillfactor = 70)",
    "CREATE TABLE IF NOT EXISTS pghaul.step ("
    " job text, step text, seconds real NOT NULL, done timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (job, step))",
    "CREATE TABLE IF NOT EXISTS pghaul.set_aside ("
    " job text, n bigint GENERATED ALWAYS AS IDENTITY, object text NOT NULL,"
    " restore_sql text NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (job, n))",
    /* the rows themselves are in a table each, named by kept_in; see ledger_preserved.c */
    "CREATE TABLE IF NOT EXISTS pghaul.preserved ("
    " job text, target_schema text, target_name text, kept_in text NOT NULL, made text NOT NULL,"
    " is_rest bool NOT NULL DEFAULT false, PRIMARY KEY (job, target_schema, target_name))",
    "CREATE TABLE IF NOT EXISTS pghaul.finding ("
    " job text, n bigint GENERATED ALWAYS AS IDENTITY, severity text NOT NULL, kind text NOT NULL,"
    " object text NOT NULL, finding text NOT NULL, PRIMARY KEY (job, n))",
    "CREATE TABLE IF NOT EXISTS pghaul.event ("
    " job text, n bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(),"
    " level text NOT NULL, message text NOT NULL, PRIMARY KEY (job, n))",
    /* emptied by a crash of the server, as all unlogged tables are: that is what it tells */
    "CREATE UNLOGGED TABLE IF NOT EXISTS pghaul.alive (job text PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS pghaul.progress ("
    " job text PRIMARY KEY, at timestamptz NOT NULL, state jsonb NOT NULL)"
    " WITH (fillfactor = 10)",
};

/* Tables that hold rows of a job, in the order they are emptied. */
static const char *const job_tables[] = {
    "progress", "alive", "event", "set_aside", "step",   "quarantine", "orphan", "finding", "chunk",
    "tbl",      "fence", "team",  "position",  "follow", "epoch",      "run",    "job"};

static const char *const phase_names[] = {"new",  "schema", "plan",   "rows",
                                          "post", "verify", "follow", "done"};

const char *
ph_phase_name(enum ph_phase phase)
{
    return phase_names[phase];
}

static bool
phase_from_name(const char *name, enum ph_phase *out)
{
    for (size_t i = 0; i < sizeof phase_names / sizeof *phase_names; i++) {
        if (strcmp(name, phase_names[i]) == 0) {
            *out = (enum ph_phase)i;
            return true;
        }
    }
    return false;
}

static ph_code
check_version(struct ph_conn *conn, struct ph_error *err)
{
    char version[16];

    PH_TRY(ph_conn_value(conn, "SELECT max(version) FROM pghaul.version", version, sizeof version,
                         err));
    if (strtol(version, NULL, 10) == PH_LEDGER_VERSION)
        return PH_OK;
    PH_FAIL(err, PH_E_LEDGER, "the ledger has version %s, this pghaul writes version %d",
            version[0] != '\0' ? version : "(none)", PH_LEDGER_VERSION);
    ph_error_object(err, "schema pghaul of %s", ph_conn_endpoint(conn)->label);
    ph_error_hint(err, "%s",
                  "use the pghaul version that made it: its `clean` removes a job with all it "
                  "has set aside and its slot; when nothing of these is left to be brought back, "
                  "run on that database: DROP SCHEMA pghaul CASCADE");
    return PH_E_LEDGER;
}

ph_code
ph_ledger_exists(struct ph_conn *conn, bool *exists, struct ph_error *err)
{
    char found[8];

    PH_TRY(ph_conn_value(conn, "SELECT pg_catalog.to_regclass('pghaul.job') IS NOT NULL", found,
                         sizeof found, err));
    *exists = found[0] == 't';
    return *exists ? check_version(conn, err) : PH_OK;
}

/* One transaction: a killed creation leaves nothing. The lock keeps two first runs apart. */
ph_code
ph_ledger_create(struct ph_conn *conn, struct ph_error *err)
{
    bool exists;

    PH_TRY(ph_ledger_exists(conn, &exists, err));
    if (exists)
        return PH_OK;
    PH_TRY(ph_conn_exec(conn, "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(5797, 1)", err));
    ph_code rc = PH_OK;
    for (size_t i = 0; rc == PH_OK && i < sizeof create_statements / sizeof *create_statements; i++)
        rc = ph_conn_exec(conn, create_statements[i], err);
    if (rc == PH_OK)
        rc = ph_conn_execf(conn, err,
                           "INSERT INTO pghaul.version VALUES (%d) ON CONFLICT DO NOTHING; COMMIT",
                           PH_LEDGER_VERSION);
    if (rc != PH_OK) {
        (void)ph_conn_exec(conn, "ROLLBACK", NULL);
        ph_error_note(err, "while creating the ledger (schema pghaul)");
        return rc;
    }
    return check_version(conn, err);
}

ph_code
ph_ledger_lock(struct ph_conn *conn, const char *job, bool *taken, struct ph_error *err)
{
    struct ph_result *result;
    const char *params[] = {job};

    PH_TRY(ph_conn_query(conn, "SELECT pg_catalog.pg_try_advisory_lock(5798, hashtext($1))", 1,
                         params, &result, err));
    *taken = ph_result_bool(result, 0, 0);
    ph_result_free(result);
    return PH_OK;
}

static void
copy_text(char *out, size_t size, const struct ph_result *result, int column)
{
    snprintf(out, size, "%s", ph_result_text(result, 0, column));
}

ph_code
ph_ledger_load_job(struct ph_conn *conn, const char *name, struct ph_ledger_job *out, bool *found,
                   struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {name};

    PH_TRY(ph_conn_query(conn,
                         "SELECT job, token, signature, source, phase, schema_done, run, verdict,"
                         " schema_mark, selection, joining, joins, comes_again,"
                         " rules, rule_marks, join_epoch FROM pghaul.job WHERE job = $1",
                         1, params, &r, err));
    *found = ph_result_rows(r) == 1;
    ph_code rc = PH_OK;
    if (*found) {
        copy_text(out->name, sizeof out->name, r, 0);
        copy_text(out->token, sizeof out->token, r, 1);
        copy_text(out->signature, sizeof out->signature, r, 2);
        copy_text(out->source_label, sizeof out->source_label, r, 3);
        out->schema_done = ph_result_u32(r, 0, 5);
        copy_text(out->schema_mark, sizeof out->schema_mark, r, 8);
        copy_text(out->selection, sizeof out->selection, r, 9);
        copy_text(out->joining, sizeof out->joining, r, 10);
        out->joins = ph_result_u32(r, 0, 11);
        out->join_epoch = ph_result_u32(r, 0, 15);
        out->comes_again = ph_result_bool(r, 0, 12);
        copy_text(out->rules, sizeof out->rules, r, 13);
        copy_text(out->rule_marks, sizeof out->rule_marks, r, 14);
        out->run = ph_result_u32(r, 0, 6);
        copy_text(out->verdict, sizeof out->verdict, r, 7);
        if (!phase_from_name(ph_result_text(r, 0, 4), &out->phase))
            rc = PH_FAIL(err, PH_E_LEDGER, "the ledger holds the unknown phase %s",
                         ph_result_text(r, 0, 4));
    }
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_new_job(struct ph_conn *conn, struct ph_ledger_job *job, const char *patterns,
                  struct ph_error *err)
{
    const char *params[] = {job->name, job->signature, job->source_label, job->selection, patterns};
    bool found;

    PH_TRY(ph_conn_expect(conn,
                          "INSERT INTO pghaul.job (job, token, signature, source, selection,"
                          " patterns) VALUES ($1, gen_random_uuid()::text, $2, $3, $4, $5)",
                          5, params, 1, err));
    return ph_ledger_load_job(conn, job->name, job, &found, err);
}

static ph_code
forget_rows(struct ph_conn *conn, const char *name, struct ph_error *err)
{
    const char *params[] = {name};
    char sql[128];

    for (size_t i = 0; i < sizeof job_tables / sizeof *job_tables; i++) {
        snprintf(sql, sizeof sql, "DELETE FROM pghaul.%s WHERE job = $1", job_tables[i]);
        PH_TRY(ph_conn_run(conn, sql, 1, params, err));
    }
    return PH_OK;
}

/* Rows of the target that are nowhere else; a ledger of an earlier version has none. */
static ph_code
count_preserved(struct ph_conn *conn, char *out, size_t size, struct ph_error *err)
{
    PH_TRY(ph_conn_value(conn,
                         "SELECT CASE WHEN pg_catalog.to_regclass('pghaul.preserved') IS NULL THEN"
                         " 0 ELSE 1 END",
                         out, size, err));
    return strcmp(out, "0") == 0
               ? PH_OK
               : ph_conn_value(conn, "SELECT count(*) FROM pghaul.preserved", out, size, err);
}

ph_code
ph_ledger_forget(struct ph_conn *conn, const char *name, struct ph_error *err)
{
    char left[16];

    PH_TRY(ph_conn_exec(conn, "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(5797, 1)", err));
    ph_code rc = forget_rows(conn, name, err);
    if (rc == PH_OK)
        rc = ph_conn_value(conn, "SELECT count(*) FROM pghaul.job", left, sizeof left, err);
    if (rc == PH_OK && strcmp(left, "0") == 0)
        rc = count_preserved(conn, left, sizeof left, err);
    if (rc == PH_OK && strcmp(left, "0") == 0)
        rc = ph_conn_exec(conn, "DROP SCHEMA pghaul CASCADE", err);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

ph_code
ph_ledger_begin_run(struct ph_conn *conn, struct ph_ledger_job *job, const char *app_prefix,
                    struct ph_error *err)
{
    char host[128] = "";
    char pid[16];
    char run[16];

    gethostname(host, sizeof host - 1);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(run, sizeof run, "%u", job->run + 1);
    const char *params[] = {job->name, run, host, pid, app_prefix};
    PH_TRY(ph_conn_expect(conn,
                          "WITH j AS (UPDATE pghaul.job SET run = $2::int WHERE job = $1"
                          " AND run = $2::int - 1 RETURNING job)"
                          " INSERT INTO pghaul.run (job, run, host, pid, app)"
                          " SELECT job, $2::int, $3, $4::int, $5 FROM j",
                          5, params, 1, err));
    job->run++;
    return PH_OK;
}

ph_code
ph_ledger_end_run(struct ph_conn *conn, const struct ph_ledger_job *job, const char *outcome,
                  struct ph_error *err)
{
    char run[16];

    snprintf(run, sizeof run, "%u", job->run);
    const char *params[] = {job->name, run, outcome};
    return ph_conn_expect(conn,
                          "UPDATE pghaul.run SET ended = now(), outcome = $3"
                          " WHERE job = $1 AND run = $2::int",
                          3, params, 1, err);
}

ph_code
ph_ledger_set_phase(struct ph_conn *conn, struct ph_ledger_job *job, enum ph_phase phase,
                    struct ph_error *err)
{
    const char *params[] = {job->name, ph_phase_name(phase)};

    PH_TRY(
        ph_conn_expect(conn, "UPDATE pghaul.job SET phase = $2 WHERE job = $1", 2, params, 1, err));
    job->phase = phase;
    return PH_OK;
}

ph_code
ph_ledger_set_schema_done(struct ph_conn *conn, struct ph_ledger_job *job, uint32_t entries,
                          struct ph_error *err)
{
    char done[16];

    snprintf(done, sizeof done, "%u", entries);
    const char *params[] = {job->name, done, job->schema_mark};
    PH_TRY(ph_conn_expect(conn,
                          "UPDATE pghaul.job SET schema_done = $2::int, schema_mark = $3"
                          " WHERE job = $1",
                          3, params, 1, err));
    job->schema_done = entries;
    return PH_OK;
}

ph_code
ph_ledger_set_verdict(struct ph_conn *conn, struct ph_ledger_job *job, const char *verdict,
                      enum ph_phase next, struct ph_error *err)
{
    const char *params[] = {job->name, verdict, ph_phase_name(next)};

    PH_TRY(ph_conn_expect(conn,
                          "UPDATE pghaul.job SET verdict = $2, phase = $3,"
                          " finished = CASE $3 WHEN 'done' THEN now() END WHERE job = $1",
                          3, params, 1, err));
    snprintf(job->verdict, sizeof job->verdict, "%s", verdict);
    job->phase = next;
    return PH_OK;
}

ph_code
ph_ledger_add_epoch(struct ph_conn *conn, const char *job, const struct ph_ledger_epoch *epoch,
                    struct ph_error *err)
{
    char number[16];
    char backend[16];
    char start[32];
    char pid[16];
    char lsn[PH_LSN_TEXT];

    snprintf(number, sizeof number, "%u", epoch->number);
    snprintf(backend, sizeof backend, "%d", epoch->mark.backend_pid);
    snprintf(start, sizeof start, "%lld", (long long)epoch->mark.backend_start);
    snprintf(pid, sizeof pid, "%d", epoch->holder_pid);
    const char *params[] = {job,
                            number,
                            epoch->snapshot_id,
                            epoch->snapshot != NULL ? epoch->snapshot : epoch->mark.visible,
                            backend,
                            start,
                            pid,
                            epoch->lsn != 0 ? ph_lsn_print(epoch->lsn, lsn) : NULL};
    return ph_conn_expect(conn,
                          "INSERT INTO pghaul.epoch (job, epoch, snapshot_id, pg_snapshot,"
                          " holder_backend, holder_start, holder_pid, lsn) VALUES ($1, $2::int, $3,"
                          " $4, $5::int, $6::bigint, $7::int, $8::pg_lsn)",
                          8, params, 1, err);
}

ph_code
ph_ledger_last_epoch(struct ph_conn *conn, const char *job, struct ph_ledger_epoch *out,
                     bool *found, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job};
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(
        conn,
        "SELECT epoch, snapshot_id, pg_catalog.left(pg_snapshot, 255), holder_backend,"
        " holder_start, holder_pid, lost, lsn,"
        " extract(epoch FROM pg_catalog.clock_timestamp() - taken)::float8 FROM pghaul.epoch WHERE "
        "job = $1 ORDER BY epoch DESC "
        "LIMIT 1",
        1, params, &r, err));
    *found = ph_result_rows(r) == 1;
    if (*found) {
        *out = (struct ph_ledger_epoch){.number = ph_result_u32(r, 0, 0)};
        copy_text(out->snapshot_id, sizeof out->snapshot_id, r, 1);
        copy_text(out->mark.visible, sizeof out->mark.visible, r, 2);
        out->mark.backend_pid = (int)ph_result_i64(r, 0, 3);
        out->mark.backend_start = ph_result_i64(r, 0, 4);
        out->holder_pid = (int)ph_result_i64(r, 0, 5);
        out->lost = ph_result_bool(r, 0, 6);
        out->age_s = strtod(ph_result_text(r, 0, 8), NULL);
        if (!ph_result_is_null(r, 0, 7) && !ph_lsn_parse(ph_result_text(r, 0, 7), &out->lsn))
            rc = PH_FAIL(err, PH_E_LEDGER, "the ledger holds a position that is none");
    }
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_lose_epochs(struct ph_conn *conn, const char *job, struct ph_error *err)
{
    const char *params[] = {job};

    return ph_conn_run(conn, "UPDATE pghaul.epoch SET lost = true WHERE job = $1", 1, params, err);
}

ph_code
ph_ledger_step_done(struct ph_conn *conn, const char *job, const char *step, double seconds,
                    struct ph_error *err)
{
    char text[32];

    snprintf(text, sizeof text, "%.3f", seconds);
    const char *params[] = {job, step, text};
    return ph_conn_expect(conn,
                          "INSERT INTO pghaul.step (job, step, seconds) VALUES ($1, $2, $3::real)",
                          3, params, 1, err);
}

ph_code
ph_ledger_load_steps(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                     const char *const **steps, uint32_t *n, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job};

    PH_TRY(ph_conn_query(conn,
                         "SELECT step FROM pghaul.step WHERE job = $1 ORDER BY step COLLATE \"C\"",
                         1, params, &r, err));
    *n = (uint32_t)ph_result_rows(r);
    const char **names = PH_ARENA_ARRAY(arena, const char *, *n + 1u);
    bool complete = names != NULL;
    for (uint32_t i = 0; complete && i < *n; i++) {
        names[i] = ph_arena_strdup(arena, ph_result_text(r, (int)i, 0));
        complete = names[i] != NULL;
    }
    ph_result_free(r);
    *steps = names;
    return complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* Others of its values are somebody's choice of what durable is. */
ph_code
ph_ledger_commit_durably(struct ph_conn *conn, struct ph_error *err)
{
    return ph_conn_exec(conn,
                        "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)"
                        " WHERE pg_catalog.current_setting('synchronous_commit') = 'off'",
                        err);
}

ph_code
ph_ledger_is_alive(struct ph_conn *conn, const char *job, bool *alive, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job};

    PH_TRY(ph_conn_query(conn, "SELECT FROM pghaul.alive WHERE job = $1", 1, params, &r, err));
    *alive = ph_result_rows(r) == 1;
    ph_result_free(r);
    return PH_OK;
}

/* One statement, so that a crash never finds the mark without the note. */
ph_code
ph_ledger_set_alive(struct ph_conn *conn, const char *job, struct ph_error *err)
{
    static const char sql[] =
        "WITH mark AS (INSERT INTO pghaul.alive VALUES ($1) ON CONFLICT DO NOTHING)"
        " UPDATE pghaul.tbl t SET unlogged = NOT t.unlogged FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE t.job = $1"
        " AND n.nspname = t.target_schema AND c.relname = t.target_name AND t.unlogged <>"
        " (CASE c.relkind WHEN 'p' THEN EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p"
        " JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE l.relpersistence = 'u')"
        " ELSE c.relpersistence = 'u' END)";
    const char *params[] = {job};

    return ph_conn_run(conn, sql, 1, params, err);
}

ph_code
ph_ledger_event(struct ph_conn *conn, const char *job, const char *level, const char *text,
                struct ph_error *err)
{
    const char *params[] = {job, level, text};

    return ph_conn_expect(conn,
                          "INSERT INTO pghaul.event (job, level, message) VALUES ($1, $2, $3)", 3,
                          params, 1, err);
}

ph_code
ph_ledger_progress(struct ph_conn *conn, const char *job, const char *json, struct ph_error *err)
{
    const char *params[] = {job, json};

    return ph_conn_expect(conn,
                          "INSERT INTO pghaul.progress (job, at, state) VALUES ($1, now(), $2)"
                          " ON CONFLICT (job) DO UPDATE SET at = now(), state = excluded.state",
                          2, params, 1, err);
}
