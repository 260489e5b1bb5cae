/*
 * The source as a source of a stream. The tables are in preflight_stream.c.
 */
#include "job/preflight_follow.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/human.h"
#include "pg/slot.h"

#define LONG_TRANSACTION_S 5.0
#define LEAST_SPOOL_BYTES (UINT64_C(256) << 20)

#define FIND(severity_, code_, kind_, object_, cure_, ...)                                         \
    ph_finding_add(                                                                                \
        findings,                                                                                  \
        &(struct ph_finding_params){PH_FINDING_##severity_, (code_), (kind_), (object_), (cure_)}, \
        __VA_ARGS__)

void
ph_follow_name(const struct ph_job *job, char out[64])
{
    snprintf(out, 64, "pghaul_%.56s", job->options->name);
}

/* ---- settings, rights, room on the source ---- */

enum fact {
    IS_STANDBY,
    WAL_LEVEL,
    FREE_SLOTS,
    FREE_SENDERS,
    MAY_REPLICATE,
    MAY_CREATE,
    NO_FSYNC,
    WAL_KEEP,
    SLOT_TIMEOUT,
    PLUGINS
};

static const char facts_sql[] =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'),"
    " pg_catalog.current_setting('max_replication_slots')::int -"
    " (SELECT count(*) FROM pg_catalog.pg_replication_slots),"
    " pg_catalog.current_setting('max_wal_senders')::int -"
    " (SELECT count(*) FROM pg_catalog.pg_stat_replication),"
    " (SELECT r.rolsuper OR r.rolreplication FROM pg_catalog.pg_roles r"
    "  WHERE r.rolname = current_user) OR EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE"
    "  m.rolname IN ('rds_replication', 'azure_pg_admin', 'cloudsqlsuperuser')"
    "  AND pg_catalog.pg_has_role(m.oid, 'USAGE')),"
    " pg_catalog.has_database_privilege(current_database(), 'CREATE'),"
    " pg_catalog.current_setting('fsync') = 'off',"
    " pg_catalog.current_setting('max_slot_wal_keep_size', true),"
    " coalesce(pg_catalog.current_setting('idle_replication_slot_timeout', true), '0'),"
    /* not every role may read it; what then cannot be known shows at the slot */
    " coalesce((SELECT setting FROM pg_catalog.pg_settings WHERE"
    "  name = 'output_plugin_libraries'), 'pgoutput')";

static void
find_settings(const struct ph_result *r, const char *label, struct ph_findings *findings)
{
    if (ph_result_bool(r, 0, IS_STANDBY))
        FIND(ERROR, PH_E_NOT_READY, "server", label, "name the primary with --source",
             "the source is a standby: its snapshots do not list what runs, so changes could be "
             "lost or doubled; only a copy without --follow may read from it");
    if (strcmp(ph_result_text(r, 0, WAL_LEVEL), "logical") != 0)
        FIND(ERROR, PH_E_NOT_READY, "server", label,
             "ALTER SYSTEM SET wal_level = logical, then restart the source",
             "wal_level is %s, the stream needs logical", ph_result_text(r, 0, WAL_LEVEL));
    if (ph_result_i64(r, 0, FREE_SLOTS) < 1)
        FIND(ERROR, PH_E_NOT_READY, "server", label,
             "drop a slot that nobody needs (pg_replication_slots), or raise "
             "max_replication_slots and restart the source",
             "all replication slots are taken");
    if (ph_result_i64(r, 0, FREE_SENDERS) < 1)
        FIND(ERROR, PH_E_NOT_READY, "server", label, "raise max_wal_senders and restart the source",
             "all WAL senders are taken");
    if (!ph_slot_allows_pgoutput(ph_result_text(r, 0, PLUGINS)))
        FIND(ERROR, PH_E_NOT_READY, "server", label, "add pgoutput to output_plugin_libraries",
             "the source does not allow the output plugin pgoutput");
}

static void
find_risks(const struct ph_result *r, const char *label, struct ph_findings *findings)
{
    const char *keep = ph_result_text(r, 0, WAL_KEEP);
    const char *timeout = ph_result_text(r, 0, SLOT_TIMEOUT);

    if (ph_result_bool(r, 0, NO_FSYNC))
        FIND(WARNING, PH_E_NOT_READY, "server", label, "set fsync = on on the source",
             "fsync is off on the source: a crash of its machine may take back what was sent");
    if (strcmp(keep, "-1") != 0 && keep[0] != '\0')
        FIND(WARNING, PH_E_NOT_READY, "server", label,
             "raise max_slot_wal_keep_size, or do not let the job stand still for long",
             "max_slot_wal_keep_size is %s: a job that stands still while more WAL is written "
             "loses its slot",
             keep);
    if (strcmp(timeout, "0") != 0)
        FIND(WARNING, PH_E_NOT_READY, "server", label, "set idle_replication_slot_timeout = 0",
             "idle_replication_slot_timeout is %s: a job that is stopped for longer loses its slot",
             timeout);
}

static void
find_rights(const struct ph_job *job, const struct ph_result *r, struct ph_findings *findings)
{
    if (!ph_result_bool(r, 0, MAY_REPLICATE))
        FIND(ERROR, PH_E_RIGHTS, "server", job->source.label,
             "ALTER ROLE … REPLICATION, or use a role that has it",
             "the role may not start replication");
    if (job->options->publication == NULL && !ph_result_bool(r, 0, MAY_CREATE))
        FIND(ERROR, PH_E_RIGHTS, "server", job->source.label,
             "GRANT CREATE ON DATABASE … TO the role, or make a publication as the tables' owner "
             "and name it with --publication",
             "the role may not create a publication in the source database");
}

static void
find_old_minor(int version, const char *label, struct ph_findings *findings)
{
    int mended = ph_slot_mended_minor(version);

    if (mended != 0)
        FIND(WARNING, PH_E_VERSION, "server", label, "update the source's server first",
             "PostgreSQL %d.%d has known faults of logical decoding that lose changes; they "
             "are mended in %d.%d",
             version / 10000, version % 10000, version / 10000, mended);
}

static ph_code
find_slot(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    char name[64];
    char cure[200];
    struct ph_slot slot;
    bool found;

    ph_follow_name(job, name);
    PH_TRY(ph_slot_read(job->source_control, name, &slot, &found, err));
    if (!found)
        return PH_OK;
    snprintf(cure, sizeof cure, "use another --name, or SELECT pg_drop_replication_slot('%s')",
             name);
    FIND(ERROR, PH_E_NOT_READY, "slot", name, cure,
         "the source already has this slot%s, and this job is new",
         slot.is_active ? ", in use" : "");
    return PH_OK;
}

static ph_code
find_facts(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    const char *label = job->source.label;
    struct ph_result *r;

    PH_TRY(ph_conn_query(job->source_control, facts_sql, 0, NULL, &r, err));
    find_settings(r, label, findings);
    find_risks(r, label, findings);
    find_rights(job, r, findings);
    find_old_minor(ph_conn_version(job->source_control), label, findings);
    bool is_standby = ph_result_bool(r, 0, IS_STANDBY);
    ph_result_free(r);
    if (job->options->failover_slot && ph_conn_version(job->source_control) < 170000)
        FIND(ERROR, PH_E_VERSION, "server", label, "leave --failover-slot out",
             "slots that survive a failover come with PostgreSQL 17");
    return is_standby ? PH_OK : find_slot(job, findings, err);
}

/* ---- what a slot would wait for ---- */

static ph_code
find_prepared(struct ph_conn *source, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_result *r;
    char object[260];

    PH_TRY(ph_conn_query(source,
                         "SELECT gid, database, extract(epoch FROM now() - prepared)::bigint"
                         " FROM pg_catalog.pg_prepared_xacts ORDER BY prepared",
                         0, NULL, &r, err));
    for (int i = 0; i < ph_result_rows(r); i++) {
        snprintf(object, sizeof object, "%s", ph_result_text(r, i, 0));
        FIND(WARNING, PH_E_NOT_READY, "transaction", object,
             "COMMIT PREPARED or ROLLBACK PREPARED in its database",
             "a transaction of database %s, prepared %lld s ago, holds up the slot until it ends",
             ph_result_text(r, i, 1), (long long)ph_result_i64(r, i, 2));
    }
    ph_result_free(r);
    return PH_OK;
}

static ph_code
find_running(struct ph_conn *source, double older_than_s, struct ph_findings *findings,
             struct ph_error *err)
{
    struct ph_result *r;
    char seconds[32];
    char object[64];
    char cure[100];

    snprintf(seconds, sizeof seconds, "%.3f", older_than_s);
    const char *params[] = {seconds};
    PH_TRY(ph_conn_query(source,
                         "SELECT pid, datname, usename, state,"
                         " extract(epoch FROM now() - xact_start)::bigint"
                         " FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND"
                         " pid <> pg_catalog.pg_backend_pid() AND"
                         " extract(epoch FROM now() - xact_start) > $1::float8 ORDER BY xact_start",
                         1, params, &r, err));
    for (int i = 0; i < ph_result_rows(r); i++) {
        snprintf(object, sizeof object, "process %s", ph_result_text(r, i, 0));
        snprintf(cure, sizeof cure, "let it end, or SELECT pg_terminate_backend(%s)",
                 ph_result_text(r, i, 0));
        FIND(WARNING, PH_E_NOT_READY, "transaction", object, cure,
             "a transaction of %s in database %s (%s), %lld s old, holds up the slot until it ends",
             ph_result_text(r, i, 2), ph_result_text(r, i, 1), ph_result_text(r, i, 3),
             (long long)ph_result_i64(r, i, 4));
    }
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_follow_find_long_transactions(struct ph_conn *source, double older_than_s,
                                 struct ph_findings *findings, struct ph_error *err)
{
    PH_TRY(find_prepared(source, findings, err));
    return find_running(source, older_than_s, findings, err);
}

/* ---- the spool's disk ---- */

/* The directory, or the nearest above it that is there. */
static bool
free_bytes(const char *dir, uint64_t *out)
{
    char path[4096];
    struct statvfs info;

    snprintf(path, sizeof path, "%s", dir);
    while (access(path, F_OK) != 0) {
        if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
            return false;
        char *parent = dirname(path);
        memmove(path, parent, strlen(parent) + 1);
    }
    if (statvfs(path, &info) != 0)
        return false;
    *out = (uint64_t)info.f_bavail * info.f_frsize;
    return true;
}

static void
find_spool(const struct ph_job *job, struct ph_findings *findings)
{
    const char *dir = job->options->dir;
    uint64_t limit = job->options->spool_limit_bytes;
    uint64_t left;
    char room[PH_HUMAN_SIZE];
    char wanted[PH_HUMAN_SIZE];

    if (!free_bytes(dir, &left))
        return;
    ph_human_bytes(left, room);
    ph_human_bytes(limit, wanted);
    if (left < LEAST_SPOOL_BYTES)
        FIND(ERROR, PH_E_DISK, "directory", dir, "make room, or name another one with --dir",
             "only %s are free for the spool", room);
    else if (limit != 0 && left < limit)
        FIND(WARNING, PH_E_DISK, "directory", dir,
             "make room, name another one with --dir, or lower --spool-limit",
             "%s are free for the spool, --spool-limit is %s", room, wanted);
}

ph_code
ph_preflight_follow_servers(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    PH_TRY(find_facts(job, findings, err));
    PH_TRY(
        ph_follow_find_long_transactions(job->source_control, LONG_TRANSACTION_S, findings, err));
    find_spool(job, findings);
    return PH_OK;
}
