/*
 * See preflight_schema.h; what the target's server must offer (roles, extensions, tablespaces) is
 * in create.c.
 */
#include "job/preflight_schema.h"

#include <stdio.h>
#include <string.h>

struct look {
    const struct ph_preflight_schema *preflight;
    struct ph_findings *findings;
    bool is_superuser; /* on the target */
};

static ph_code
ask_target(const struct look *look, const char *sql, const char *param, struct ph_result **out,
           struct ph_error *err)
{
    const char *params[] = {param};

    return ph_conn_query(look->preflight->target, sql, param != NULL ? 1 : 0, params, out, err);
}

static void
add(const struct look *look, enum ph_severity severity, ph_code code, const char *kind,
    const char *object, const char *cure, const char *cause)
{
    struct ph_finding_params params = {severity, code, kind, object, cure};

    ph_finding_add(look->findings, &params, "%s", cause);
}

/* ---- owners ---- */

/* Only a member may give an object to a role. */
static ph_code
check_owners(struct look *look, struct ph_error *err)
{
    struct ph_result *owners;
    ph_code rc = PH_OK;

    if (look->is_superuser || look->preflight->options->no_owner)
        return PH_OK;
    PH_TRY(ph_conn_query(look->preflight->source,
                         "SELECT DISTINCT pg_catalog.pg_get_userbyid(c.relowner)"
                         " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
                         " ON n.oid = c.relnamespace WHERE c.oid >= 16384"
                         " AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"
                         " AND n.nspname !~ '^pg_' ORDER BY 1",
                         0, NULL, &owners, err));
    for (int row = 0; row < ph_result_rows(owners) && rc == PH_OK; row++) {
        const char *owner = ph_result_text(owners, row, 0);
        struct ph_result *answer = NULL;

        rc = ask_target(look,
                        "SELECT pg_catalog.pg_has_role(r.oid, 'MEMBER'), format('GRANT %I TO %I;',"
                        " r.rolname, current_user) FROM pg_catalog.pg_roles r"
                        " WHERE r.rolname = $1",
                        owner, &answer, err);
        if (rc == PH_OK && ph_result_rows(answer) == 1 && !ph_result_bool(answer, 0, 0))
            add(look, PH_FINDING_ERROR, PH_E_RIGHTS, "owner", owner, ph_result_text(answer, 0, 1),
                "the target's role is no member and cannot give objects to it (or --no-owner)");
        ph_result_free(answer);
    }
    ph_result_free(owners);
    return rc;
}

/* ---- extensions ---- */

static ph_code
check_extension(const struct look *look, const char *name, const char *version,
                struct ph_error *err)
{
    struct ph_result *answer;
    char text[300];

    PH_TRY(ask_target(look,
                      "SELECT coalesce(a.installed_version, a.default_version),"
                      " a.installed_version IS NOT NULL OR coalesce((SELECT bool_or(v.trusted"
                      " OR NOT v.superuser) FROM pg_catalog.pg_available_extension_versions v"
                      " WHERE v.name = a.name AND v.version = a.default_version), false)"
                      " FROM pg_catalog.pg_available_extensions a WHERE a.name = $1",
                      name, &answer, err));
    if (ph_result_rows(answer) > 0) {
        const char *there = ph_result_text(answer, 0, 0);

        snprintf(text, sizeof text, "version %s on the source becomes %s on the target", version,
                 there);
        if (strcmp(there, version) != 0)
            add(look, PH_FINDING_NOTE, PH_OK, "extension", name, "", text);
        snprintf(text, sizeof text, "CREATE EXTENSION %s; as superuser in the target database",
                 name);
        if (!ph_result_bool(answer, 0, 1) && !look->is_superuser && look->preflight->whole_database)
            add(look, PH_FINDING_ERROR, PH_E_RIGHTS, "extension", name, text,
                "only a superuser can create it on the target");
    }
    ph_result_free(answer);
    return PH_OK;
}

static ph_code
check_extensions(struct look *look, struct ph_error *err)
{
    struct ph_result *used;
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(look->preflight->source,
                         "SELECT extname, extversion FROM pg_catalog.pg_extension"
                         " WHERE extname <> 'plpgsql' ORDER BY 1",
                         0, NULL, &used, err));
    for (int row = 0; row < ph_result_rows(used) && rc == PH_OK; row++)
        rc = check_extension(look, ph_result_text(used, row, 0), ph_result_text(used, row, 1), err);
    ph_result_free(used);
    return rc;
}

/* ---- locale ---- */

static ph_code
check_locale(struct look *look, struct ph_error *err)
{
    /* read through to_jsonb: provider and version came with 15, the ICU locale changed its name */
    static const char sql[] =
        "SELECT datcollate, datctype, coalesce(to_jsonb(d)->>'datlocprovider', 'c'),"
        " coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale', ''),"
        " coalesce(to_jsonb(d)->>'datcollversion', '')"
        " FROM pg_catalog.pg_database d WHERE datname = current_database()";
    static const char *const names[] = {"collation", "character classification", "locale provider",
                                        "ICU locale", "version of the collation library"};
    struct ph_result *source = NULL;
    struct ph_result *target = NULL;
    ph_code rc = ph_conn_query(look->preflight->source, sql, 0, NULL, &source, err);

    if (rc == PH_OK)
        rc = ask_target(look, sql, NULL, &target, err);
    for (int i = 0; rc == PH_OK && i < 5; i++) {
        const char *a = ph_result_text(source, 0, i);
        const char *b = ph_result_text(target, 0, i);
        char cause[300];

        if (strcmp(a, b) == 0 || (i == 4 && (a[0] == '\0' || b[0] == '\0')))
            continue;
        snprintf(cause, sizeof cause,
                 "the %s is \"%s\" on the source, \"%s\" on the target: text"
                 " may sort differently there",
                 names[i], a, b);
        add(look, PH_FINDING_WARNING, PH_E_NOT_READY, "locale", "",
            i == 4 ? "" : "create the target database with the source's locale (--create does)",
            cause);
    }
    ph_result_free(source);
    ph_result_free(target);
    return rc;
}

/* ---- what only a superuser can make ---- */

#define NO_MEMBER(catalog)                                                                         \
    " NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog." catalog       \
    "'::regclass AND e.objid = o.oid AND e.deptype = 'e') AND o.oid >= 16384"

static const struct {
    const char *kind;
    const char *sql;
} superuser_only[] = {
    {"event trigger", "SELECT o.evtname FROM pg_catalog.pg_event_trigger o"
                      " WHERE" NO_MEMBER("pg_event_trigger")},
    {"function", "SELECT o.oid::regprocedure::text FROM pg_catalog.pg_proc o"
                 " JOIN pg_catalog.pg_language l ON l.oid = o.prolang"
                 " WHERE (NOT l.lanpltrusted AND l.lanname <> 'internal' OR o.proleakproof)"
                 " AND" NO_MEMBER("pg_proc")},
    {"base type", "SELECT o.oid::regtype::text FROM pg_catalog.pg_type o"
                  " WHERE o.typtype = 'b' AND o.typelem = 0 AND" NO_MEMBER("pg_type")},
    {"foreign data wrapper", "SELECT o.fdwname FROM pg_catalog.pg_foreign_data_wrapper o"
                             " WHERE" NO_MEMBER("pg_foreign_data_wrapper")},
    {"operator class", "SELECT o.opcname FROM pg_catalog.pg_opclass o"
                       " WHERE" NO_MEMBER("pg_opclass")},
    {"text search parser", "SELECT o.prsname FROM pg_catalog.pg_ts_parser o"
                           " WHERE" NO_MEMBER("pg_ts_parser")},
    {"access method", "SELECT o.amname FROM pg_catalog.pg_am o WHERE" NO_MEMBER("pg_am")},
};

static ph_code
check_superuser_only(struct look *look, struct ph_error *err)
{
    if (look->is_superuser || !look->preflight->whole_database)
        return PH_OK;
    for (size_t i = 0; i < sizeof superuser_only / sizeof *superuser_only; i++) {
        struct ph_result *found;

        PH_TRY(ph_conn_query(look->preflight->source, superuser_only[i].sql, 0, NULL, &found, err));
        for (int row = 0; row < ph_result_rows(found); row++)
            add(look, PH_FINDING_ERROR, PH_E_RIGHTS, superuser_only[i].kind,
                ph_result_text(found, row, 0), "use a superuser of the target, or a selection",
                "only a superuser can create it on the target");
        ph_result_free(found);
    }
    return PH_OK;
}

/* ---- the rest ---- */

static ph_code
check_left_out(struct look *look, struct ph_error *err)
{
    const struct ph_options *options = look->preflight->options;
    struct ph_result *counts;
    char cause[200];

    PH_TRY(ph_conn_query(look->preflight->source,
                         "SELECT (SELECT count(*) FROM pg_catalog.pg_publication"
                         "  WHERE pubname !~ '^pghaul'),"
                         " (SELECT count(*) FROM pg_catalog.pg_subscription s"
                         "  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid"
                         "  WHERE d.datname = current_database())",
                         0, NULL, &counts, err));
    if (!options->publications && ph_result_i64(counts, 0, 0) > 0) {
        snprintf(cause, sizeof cause, "%s publications are left out", ph_result_text(counts, 0, 0));
        add(look, PH_FINDING_NOTE, PH_OK, "publication", "", "--publications copies them", cause);
    }
    if (!options->subscriptions && ph_result_i64(counts, 0, 1) > 0) {
        snprintf(cause, sizeof cause, "%s subscriptions are left out",
                 ph_result_text(counts, 0, 1));
        add(look, PH_FINDING_NOTE, PH_OK, "subscription", "", "--subscriptions copies them", cause);
    }
    ph_result_free(counts);
    return PH_OK;
}

static ph_code
look_at_all(struct look *look, struct ph_error *err)
{
    char answer[16];

    PH_TRY(ph_conn_value(look->preflight->target,
                         "SELECT pg_catalog.current_setting('is_superuser')", answer, sizeof answer,
                         err));
    look->is_superuser = strcmp(answer, "on") == 0;
    PH_TRY(check_locale(look, err));
    PH_TRY(check_owners(look, err));
    PH_TRY(check_extensions(look, err));
    PH_TRY(check_superuser_only(look, err));
    return check_left_out(look, err);
}

ph_code
ph_preflight_schema_check(const struct ph_preflight_schema *preflight, struct ph_findings *findings,
                          struct ph_error *err)
{
    struct look look = {.preflight = preflight, .findings = findings};

    return look_at_all(&look, err);
}
