/*
 * What can be known before the first write. `check` prints all of it, `copy` stops at blockers.
 *
 * Nothing is written and nothing is locked. A job that is in the ledger already was admitted once:
 * its own tables are no reason to refuse it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "job/copy_parts.h"
#include "job/create.h"
#include "job/preflight_follow.h"
#include "job/preflight_schema.h"
#include "job/rule_checks.h"
#include "pg/large_object.h"
#include "pg/tool.h"
#include "rules/job_text.h"

#define OLDEST_SERVER 130000

struct preflight {
    struct ph_job *job;
    struct ph_findings *findings;
    bool known; /* the job is in the ledger */
};

static void
blocker(struct preflight *p, ph_code code, const char *kind, const char *object, const char *cure,
        const char *cause)
{
    struct ph_finding_params params = {PH_FINDING_ERROR, code, kind, object, cure};

    ph_finding_add(p->findings, &params, "%s", cause);
}

static void
warning(struct preflight *p, const char *kind, const char *object, const char *cure,
        const char *cause)
{
    struct ph_finding_params params = {PH_FINDING_WARNING, PH_E_NOT_READY, kind, object, cure};

    ph_finding_add(p->findings, &params, "%s", cause);
}

static void
note(struct preflight *p, const char *kind, const char *object, const char *cause)
{
    struct ph_finding_params params = {PH_FINDING_NOTE, PH_OK, kind, object, NULL};

    ph_finding_add(p->findings, &params, "%s", cause);
}

/* An error that another module found; it is a finding unless the connection itself is the trouble.
 */
static ph_code
as_finding(struct preflight *p, const char *kind, ph_code rc, struct ph_error *err)
{
    if (rc == PH_OK || rc == PH_E_CONNECT || rc == PH_E_STOPPED || rc == PH_E_MEMORY)
        return rc;
    blocker(p, rc, kind, err->object, err->hint[0] != '\0' ? err->hint : ph_code_way_out(rc),
            err->message);
    return PH_OK;
}

/* ---- the servers ---- */

static void
check_version(struct preflight *p, struct ph_conn *conn)
{
    char cause[80];
    int version = ph_conn_version(conn);

    if (version >= OLDEST_SERVER)
        return;
    snprintf(cause, sizeof cause, "PostgreSQL %d is older than 13", version / 10000);
    blocker(p, PH_E_VERSION, "server", ph_conn_endpoint(conn)->label, "use PostgreSQL 13 or newer",
            cause);
}

static ph_code
check_target_state(struct preflight *p, struct ph_error *err)
{
    struct ph_job *job = p->job;
    struct ph_result *r;

    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT pg_catalog.pg_is_in_recovery(),"
                         " pg_catalog.current_setting('transaction_read_only') = 'on',"
                         " pg_catalog.has_database_privilege(current_database(), 'CREATE'),"
                         " pg_catalog.current_setting('fsync') = 'off'",
                         0, NULL, &r, err));
    if (ph_result_bool(r, 0, 0))
        blocker(p, PH_E_NOT_READY, "server", job->target.label, "name the primary with --target",
                "the target is a standby and cannot be written to");
    else if (ph_result_bool(r, 0, 1))
        blocker(p, PH_E_NOT_READY, "server", job->target.label,
                "ALTER DATABASE … RESET default_transaction_read_only",
                "the target database is read-only");
    if (!ph_result_bool(r, 0, 2))
        blocker(p, PH_E_RIGHTS, "server", job->target.label,
                "GRANT CREATE ON DATABASE … TO the role, for schema pghaul (the ledger)",
                "the role may not create schemas in the target database");
    if (ph_result_bool(r, 0, 3))
        warning(p, "server", job->target.label, "set fsync = on when the copy matters",
                "fsync is off on the target: a crash of its machine loses what was copied");
    ph_result_free(r);
    return PH_OK;
}

/* Rows travel in the databases' own encoding: nothing is converted, every byte arrives. */
static ph_code
check_encoding(struct preflight *p, struct ph_error *err)
{
    static const char sql[] = "SELECT pg_catalog.pg_encoding_to_char(encoding) FROM"
                              " pg_catalog.pg_database WHERE datname = current_database()";
    char source[64];
    char target[64];
    char cause[200];
    char cure[200];

    PH_TRY(ph_conn_value(p->job->source_control, sql, source, sizeof source, err));
    PH_TRY(ph_conn_value(p->job->target_control, sql, target, sizeof target, err));
    if (strcmp(source, target) != 0) {
        snprintf(cause, sizeof cause, "the source's encoding is %s, the target's is %s", source,
                 target);
        snprintf(cure, sizeof cure,
                 "create the target database with ENCODING '%s' TEMPLATE"
                 " template0",
                 source);
        blocker(p, PH_E_NOT_READY, "encoding", p->job->target.label, cure, cause);
        return PH_OK;
    }
    free(p->job->source.encoding);
    free(p->job->target.encoding);
    p->job->source.encoding = strdup(source);
    p->job->target.encoding = strdup(target);
    return p->job->source.encoding != NULL && p->job->target.encoding != NULL
               ? PH_OK
               : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* What the job opens at most, beside what is open already. */
static ph_code
check_connections(struct preflight *p, struct ph_conn *conn, uint32_t needed, struct ph_error *err)
{
    char left[32];
    char cause[160];

    PH_TRY(ph_conn_value(conn,
                         "SELECT pg_catalog.current_setting('max_connections')::int -"
                         " pg_catalog.current_setting('superuser_reserved_connections')::int -"
                         " (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE"
                         " backend_type = 'client backend')",
                         left, sizeof left, err));
    if (strtol(left, NULL, 10) >= (long)needed)
        return PH_OK;
    snprintf(cause, sizeof cause, "%s connections are free, the job needs up to %u", left, needed);
    warning(p, "connections", ph_conn_endpoint(conn)->label,
            "raise max_connections, or lower --jobs and --index-jobs", cause);
    return PH_OK;
}

/* ---- the job ---- */

static ph_code
look_into_ledger(struct preflight *p, struct ph_error *err)
{
    struct ph_ledger_job found;
    struct ph_job *job = p->job;
    char text[160];

    PH_TRY(ph_ledger_exists(job->target_control, &p->known, err));
    if (!p->known)
        return PH_OK;
    PH_TRY(ph_ledger_load_job(job->target_control, job->options->name, &found, &p->known, err));
    if (!p->known)
        return PH_OK;
    snprintf(text, sizeof text, "the ledger has this job in phase %s; copy goes on there",
             ph_phase_name(found.phase));
    note(p, "job", job->options->name, text);
    return PH_OK;
}

/* A new job makes its objects: none may be in the way. */
static ph_code
check_target_empty(struct preflight *p, struct ph_error *err)
{
    struct ph_result *r;
    char cause[300];

    PH_TRY(ph_conn_query(
        p->job->target_control,
        "SELECT count(*) OVER (), quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname NOT IN ('pghaul',"
        " 'pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp_' AND NOT"
        " EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND"
        " d.deptype = 'e') ORDER BY 2 LIMIT 1",
        0, NULL, &r, err));
    if (ph_result_rows(r) > 0) {
        snprintf(cause, sizeof cause,
                 "the target already has %s tables, views or sequences, %s among them",
                 ph_result_text(r, 0, 0), ph_result_text(r, 0, 1));
        blocker(p, PH_E_TARGET_NOT_EMPTY, "target", p->job->target.label,
                ph_code_way_out(PH_E_TARGET_NOT_EMPTY), cause);
    }
    ph_result_free(r);
    return PH_OK;
}

static ph_code
check_tools(struct preflight *p, struct ph_error *err)
{
    struct ph_tool dump = {0};
    struct ph_tool restore = {0};
    int source_major = ph_conn_version(p->job->source_control) / 10000;
    int target_major = ph_conn_version(p->job->target_control) / 10000;
    ph_code rc = ph_tool_find("pg_dump", source_major, target_major, &dump, err);

    if (rc == PH_OK)
        rc = ph_tool_sibling(&dump, "pg_restore", &restore, err);
    return as_finding(p, "tool", rc, err);
}

/* They keep their oids, so the target must have none of its own. A source that is followed may get
 * some. */
static ph_code
check_large_objects(struct preflight *p, struct ph_error *err)
{
    struct ph_job *job = p->job;
    uint64_t n;

    if (!job->selection.whole_database || (job->source_catalog.large_objects == 0 && !job->follows))
        return PH_OK;
    PH_TRY(ph_large_objects_count(job->target_control, &n, err));
    if (n > 0)
        blocker(p, PH_E_TARGET_NOT_EMPTY, "target", job->target.label,
                "remove them (vacuumlo, lo_unlink), or select the tables with --schema or --table: "
                "large objects are then left out",
                "the target already has large objects");
    return PH_OK;
}

static ph_code
check_schema(struct preflight *p, struct ph_error *err)
{
    const struct ph_options *o = p->job->options;
    struct ph_preflight_schema preflight = {
        .source = p->job->source_control,
        .target = p->job->target_control,
        .options = o,
        .whole_database = o->schemas.n + o->tables.n + o->exclude_schemas.n + o->excludes.n == 0,
    };

    return as_finding(p, "schema", ph_preflight_schema_check(&preflight, p->findings, err), err);
}

/* Rows may be reshaped into other tables of their database; onto themselves they cannot go. */
static void
check_one_database(struct preflight *p)
{
    const struct ph_job *job = p->job;
    char label[160];

    if (!job->is_one_database)
        return;
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (table->source->oid != table->target->oid)
            continue;
        ph_plan_table_label(table, label, sizeof label);
        blocker(p, PH_E_NOT_READY, "table", label,
                "name another table with `into:` in the job file, or leave it out with --exclude",
                "source and target are the same database, and the table would go into itself");
    }
}

/* Such rows arrive, but the proof compares what both servers write. */
static void
warn_of_other_forms(struct preflight *p)
{
    const struct ph_plan *plan = &p->job->plan;
    char label[160];

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (!plan->tables[i].may_change)
            continue;
        ph_plan_table_label(&plan->tables[i], label, sizeof label);
        warning(p, "columns", label, "give the target's column the source's type",
                "column types differ so that the target may write a value in another form: the "
                "proof calls such rows different");
    }
}

/* What the job file asks of the source's rows. */
static ph_code
check_source_rows(struct preflight *p, struct ph_error *err)
{
    struct ph_job *job = p->job;
    struct ph_rule_checks_params params = {
        .options = job->options,
        .side = PH_SOURCE,
        .source = job->source_control,
        .catalog = &job->source_catalog,
        .rules = &job->rules.in_use,
        .findings = p->findings,
    };
    uint32_t n_failed;

    if (job->options->rules == NULL || job->options->schema_only)
        return PH_OK;
    PH_TRY(
        ph_conn_exec(job->source_control, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err));
    ph_code rc = ph_rule_checks_run(&params, &n_failed, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    return as_finding(p, "check", rc, err);
}

/* Of the table on both sides, or a column of it; NULL: all are fine. */
static const char *
unreadable_name(const struct ph_catalog *catalog, const struct ph_table_plan *table)
{
    const struct ph_rel *rels[] = {table->source, table->target};

    for (int side = 0; side < 2; side++) {
        const struct ph_rel *rel = rels[side];
        if (rel == NULL)
            continue;
        if (!ph_job_text_is_readable(rel->schema, catalog))
            return rel->schema;
        if (!ph_job_text_is_readable(rel->name, catalog))
            return rel->name;
        for (uint32_t i = 0; i < rel->n_columns; i++) {
            if (!ph_job_text_is_readable(rel->columns[i].name, catalog))
                return rel->columns[i].name;
        }
    }
    return NULL;
}

/* Names are UTF-8 here, and sessions that carry rows have the databases' encoding. */
static void
check_names(struct preflight *p)
{
    const struct ph_catalog *source = &p->job->source_catalog;
    const struct ph_plan *plan = &p->job->plan;
    char label[160];
    char cause[300];

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_table_plan *table = &plan->tables[i];
        const char *name = unreadable_name(source, table);
        if (name == NULL)
            continue;
        ph_plan_table_label(table, label, sizeof label);
        snprintf(cause, sizeof cause,
                 "the name %.100s is not ASCII, and the databases are in %s: pghaul carries such "
                 "names in UTF8 only",
                 name, source->encoding);
        blocker(p, PH_E_UNSUPPORTED, "encoding", label,
                "rename it for the time of the copy, or leave the table out with --exclude", cause);
    }
}

/* The plan says what of the selection cannot go, and why. */
static ph_code
check_plan(struct preflight *p, struct ph_error *err)
{
    struct ph_job *job = p->job;

    PH_TRY(ph_job_read_catalogs_now(job, err));
    ph_code rc = ph_select(&job->source_catalog, job->options, &job->arena, &job->selection, err);
    if (rc == PH_OK)
        rc = ph_copy_make_plan(job, err);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_omitted; i++)
        note(p, "not copied", job->plan.omitted[i].object, job->plan.omitted[i].reason);
    if (rc == PH_OK && job->options->data_only && !job->target_catalog.can_set_replica_role)
        note(p, "triggers", job->target.label,
             "session_replication_role is not permitted: user triggers and rewrite rules are "
             "disabled for the time of the copy, foreign keys stay enforced");
    if (rc == PH_OK)
        warn_of_other_forms(p);
    if (rc == PH_OK)
        check_one_database(p);
    if (rc == PH_OK)
        check_names(p);
    PH_TRY(as_finding(p, "plan", rc, err));
    if (rc == PH_OK && job->options->data_only)
        PH_TRY(ph_copy_check_target(job, p->findings, err));
    if (rc == PH_OK && job->options->follow)
        PH_TRY(ph_preflight_follow_tables(job, p->findings, err));
    if (rc == PH_OK)
        PH_TRY(check_source_rows(p, err));
    return rc == PH_OK ? check_large_objects(p, err) : PH_OK;
}

/* The directory is made only later; now its parents say whether it can be. */
static void
check_directory(struct preflight *p)
{
    const char *dir = p->job->options->dir;
    struct stat info;

    if (stat(dir, &info) != 0)
        return;
    if (!S_ISDIR(info.st_mode) || access(dir, W_OK | X_OK) != 0)
        blocker(p, PH_E_DISK, "directory", dir, "name another one with --dir",
                "the job's directory cannot be written to");
    else if ((info.st_mode & 077) != 0)
        warning(p, "directory", dir, "chmod 700", "others may read the job's directory");
}

/* Then every lane asks the target for what it had. */
static bool
preserves_columns(const struct ph_job *job)
{
    const struct ph_job_rules *rules = job->options->rules;

    for (uint32_t i = 0; rules != NULL && i < rules->n_tables; i++) {
        for (uint32_t r = 0; r < rules->tables[i].n_routes; r++) {
            if (rules->tables[i].routes[r].preserve_columns.n > 0)
                return true;
        }
    }
    return false;
}

ph_code
ph_preflight(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    struct preflight p = {.job = job, .findings = findings};
    uint32_t lanes = job->jobs * (preserves_columns(job) ? 3 : 2) + job->index_jobs + 3;

    check_version(&p, job->source_control);
    check_version(&p, job->target_control);
    if (findings->n_errors > 0)
        return PH_OK;
    PH_TRY(ph_job_look_whether_one(job, err));
    if (job->is_one_database && !job->options->data_only)
        blocker(&p, PH_E_NOT_READY, "server", job->target.label,
                "name another database with --target; or, for rules that lead into other tables of "
                "the same one, give --data-only",
                "source and target are the same database");
    PH_TRY(check_target_state(&p, err));
    PH_TRY(check_encoding(&p, err));
    PH_TRY(check_connections(&p, job->source_control, job->jobs + 3, err));
    PH_TRY(check_connections(&p, job->target_control, lanes, err));
    check_directory(&p);
    PH_TRY(as_finding(&p, "ledger", look_into_ledger(&p, err), err));
    if (p.known)
        return PH_OK;
    if (job->options->follow)
        PH_TRY(ph_preflight_follow_servers(job, findings, err));
    if (!job->options->data_only) {
        PH_TRY(check_tools(&p, err));
        PH_TRY(check_target_empty(&p, err));
        PH_TRY(check_schema(&p, err));
    }
    PH_TRY(check_plan(&p, err));
    return job->options->data_only || job->selection.rels == NULL
               ? PH_OK
               : ph_create_find_needs(job, findings, err);
}

ph_code
ph_copy_refuse(struct ph_job *job, const struct ph_findings *findings, struct ph_error *err)
{
    const struct ph_finding *first = NULL;

    for (uint32_t i = 0; i < findings->n; i++) {
        const struct ph_finding *finding = &findings->items[i];
        if (first == NULL && finding->severity == PH_FINDING_ERROR)
            first = finding;
        ph_report_add_finding(&job->run->report, finding->severity, finding->kind, finding->object,
                              "%s", finding->cause);
    }
    if (first == NULL)
        return PH_OK;
    PH_FAIL(err, first->code, "%s", first->cause);
    ph_error_object(err, "%s", first->object);
    ph_error_hint(err, "%s", first->cure);
    if (findings->n_errors > 1)
        ph_error_note(err, "and %u more blockers: pghaul check lists all", findings->n_errors - 1);
    return first->code;
}

ph_code
ph_copy_preflight(struct ph_job *job, struct ph_error *err)
{
    struct ph_findings findings;

    ph_findings_init(&findings);
    ph_code rc = ph_preflight(job, &findings, err);
    ph_code refused = ph_copy_refuse(job, &findings, rc == PH_OK ? err : NULL);
    rc = rc != PH_OK ? rc : refused;
    ph_findings_reset(&findings);
    return rc;
}
