#include "job/create.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pg/conninfo.h"
#include "pg/readiness.h"

/* ---- the database ---- */

/* CREATE DATABASE of the source's kind, but for the name; made by the source itself. */
static ph_code
definition(struct ph_conn *source, int target_version, char *out, size_t size, struct ph_error *err)
{
    int version = ph_conn_version(source);
    const char *locale = version >= 170000   ? "d.datlocale"
                         : version >= 150000 ? "d.daticulocale"
                                             : "NULL::text";
    const char *provider = version >= 150000 ? "d.datlocprovider" : "'c'";
    char sql[1024];

    /* a target before 15 knows libc only, and says so itself when the source is another */
    snprintf(
        sql, sizeof sql,
        "SELECT pg_catalog.format('TEMPLATE template0 ENCODING %%L LC_COLLATE %%L LC_CTYPE %%L',"
        " pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)"
        " || CASE %s WHEN 'i' THEN pg_catalog.format(' LOCALE_PROVIDER icu ICU_LOCALE %%L', %s)"
        " WHEN 'b' THEN pg_catalog.format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %%L', %s)"
        " ELSE '%s' END FROM pg_catalog.pg_database d WHERE d.datname = current_database()",
        provider, locale, locale, target_version >= 150000 ? " LOCALE_PROVIDER libc" : "");
    return ph_conn_value(source, sql, out, size, err);
}

static ph_code
create_if_missing(struct ph_conn *source, struct ph_conn *maintenance, const char *database,
                  struct ph_run *run, struct ph_error *err)
{
    const char *params[] = {database};
    char kind[512];
    struct ph_result *r;
    struct ph_buf sql;

    PH_TRY(ph_conn_query(maintenance, "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", 1,
                         params, &r, err));
    bool exists = ph_result_rows(r) > 0;
    ph_result_free(r);
    if (exists)
        return PH_OK;
    PH_TRY(definition(source, ph_conn_version(maintenance), kind, sizeof kind, err));
    ph_buf_init(&sql, 4096);
    ph_buf_puts(&sql, "CREATE DATABASE ");
    ph_buf_put_ident(&sql, database);
    ph_buf_printf(&sql, " %s", kind);
    ph_code rc = ph_conn_exec(maintenance, ph_buf_text(&sql), err);
    ph_buf_free(&sql);
    if (rc != PH_OK) {
        ph_error_note(err, "while making database %s", database);
        return rc;
    }
    run->wrote = PH_HAS_WRITTEN;
    ph_log(PH_LOG_INFO, "database.created", "database %s: made on the target", database);
    return PH_OK;
}

ph_code
ph_create_database(struct ph_run *run, struct ph_error *err)
{
    const struct ph_options *o = run->options;
    struct ph_endpoint ends[2] = {{0}, {0}};
    struct ph_conn *conns[2] = {NULL, NULL};
    char database[256];
    char *elsewhere = NULL;

    if (!ph_conninfo_names_database(o->target)) {
        PH_FAIL(err, PH_E_USAGE, "needs dbname in --target, to know the name to make");
        ph_error_object(err, "--create");
        return PH_E_USAGE;
    }
    ph_code rc = ph_conninfo_database(o->target, database, sizeof database, err);
    if (rc == PH_OK)
        rc = ph_conninfo_with_database(o->target, "postgres", &elsewhere, err);
    if (rc == PH_OK)
        rc = ph_endpoint_init(&ends[0], PH_SOURCE, o->source, o->name, err);
    if (rc == PH_OK)
        rc = ph_endpoint_init(&ends[1], PH_TARGET, elsewhere, o->name, err);
    if (rc == PH_OK)
        rc = ph_conn_open(&ends[0], "create", &conns[0], err);
    if (rc == PH_OK)
        rc = ph_conn_open(&ends[1], "create", &conns[1], err);
    if (rc == PH_OK)
        rc = create_if_missing(conns[0], conns[1], database, run, err);
    for (int i = 0; i < 2; i++) {
        ph_conn_free(conns[i]);
        ph_endpoint_reset(&ends[i]);
    }
    if (elsewhere != NULL)
        explicit_bzero(elsewhere, strlen(elsewhere));
    free(elsewhere);
    return rc;
}

/* ---- what the server must have ---- */

static struct ph_needs_params
needs_of(struct ph_job *job)
{
    struct ph_needs_params params = {
        .source = job->source_control,
        .target = job->target_control,
        .arena = &job->arena,
        .no_owner = job->options->no_owner,
        .no_acl = job->options->no_acl,
        .no_tablespaces = job->options->no_tablespaces,
    };

    if (job->selection.rels != NULL && !job->selection.whole_database) {
        ph_oid *rels = PH_ARENA_ARRAY(&job->arena, ph_oid, (size_t)job->source_catalog.n_rels + 1);
        for (uint32_t i = 0; rels != NULL && i < job->source_catalog.n_rels; i++) {
            if (job->selection.rels[i])
                rels[params.n_rels++] = job->source_catalog.rels[i].oid;
        }
        params.rels = rels;
    }
    return params;
}

static void
find_roles(const struct ph_need_list *roles, struct ph_findings *findings)
{
    for (uint32_t i = 0; i < roles->n; i++) {
        const struct ph_need *role = &roles->items[i];
        bool is_role = role->why[0] == '\0';
        char cure[600];

        snprintf(cure, sizeof cure, "%s%s", role->sql,
                 is_role ? "; or --roles, or --no-owner --no-acl" : "");
        struct ph_finding_params params = {is_role ? PH_FINDING_ERROR : PH_FINDING_NOTE,
                                           is_role ? PH_E_NOT_READY : PH_OK, "role", role->name,
                                           cure};
        ph_finding_add(findings, &params, "%s",
                       is_role ? "owns or may use something on the source, and the target lacks it"
                               : "has memberships on the source");
    }
}

static void
find_others(const struct ph_need_list *needs, const char *kind, const char *cause, const char *cure,
            struct ph_findings *findings)
{
    for (uint32_t i = 0; i < needs->n; i++) {
        const struct ph_need *need = &needs->items[i];
        struct ph_finding_params params = {PH_FINDING_ERROR, PH_E_NOT_READY, kind, need->name,
                                           cure};
        ph_finding_add(findings, &params, "%s", need->why[0] != '\0' ? need->why : cause);
    }
}

ph_code
ph_create_find_needs(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_needs_params params = needs_of(job);
    struct ph_need_list needs;

    PH_TRY(ph_needs_extensions(&params, &needs, err));
    find_others(&needs, "extension", "the target's server does not have it",
                "install its package on the target's server", findings);
    PH_TRY(ph_needs_tablespaces(&params, &needs, err));
    find_others(&needs, "tablespace", "the target does not have it",
                "make it on the target, or --no-tablespaces", findings);
    if (job->options->roles)
        return PH_OK;
    PH_TRY(ph_needs_roles(&params, &needs, err));
    find_roles(&needs, findings);
    return PH_OK;
}

ph_code
ph_create_roles(struct ph_job *job, struct ph_error *err)
{
    struct ph_needs_params params = needs_of(job);
    uint32_t n;

    job->run->wrote = PH_HAS_WRITTEN;
    PH_TRY(ph_roles_create(&params, &n, err));
    if (n > 0)
        ph_log(PH_LOG_INFO, "roles.created", "%u statements made the missing roles", n);
    return PH_OK;
}
