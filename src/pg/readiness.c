#include "pg/readiness.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define SQL_LIMIT ((size_t)64 << 20)

/*
 * pg_shdepend knows owners, grantees and roles of policies of every object of the database, but for
 * the bootstrap superuser, whose objects are looked up. Extension members bring neither owner nor
 * grants. $1: relations or NULL, $2: owners count, $3: grants count.
 */
static const char roles_sql[] =
    "WITH db AS (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),"
    " need AS ("
    "  SELECT d.refobjid AS oid FROM pg_catalog.pg_shdepend d, db"
    "   WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass"
    "   AND ((d.dbid = db.oid AND d.classid <> 'pg_catalog.pg_extension'::regclass)"
    "    OR ($1::oid[] IS NULL AND d.dbid = 0 AND d.objid = db.oid"
    "     AND d.classid = 'pg_catalog.pg_database'::regclass))"
    "   AND ((d.deptype = 'o' AND $2::bool) OR (d.deptype = 'a' AND $3::bool) OR d.deptype = 'r')"
    "   AND ($1 IS NULL OR (d.classid IN ('pg_catalog.pg_class'::regclass) AND d.objid = ANY($1)))"
    "   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classid"
    "    AND e.objid = d.objid AND e.deptype = 'e')"
    "  UNION SELECT c.relowner FROM pg_catalog.pg_class c WHERE $2::bool AND c.oid >= 16384"
    "   AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND ($1 IS NULL OR c.oid = ANY($1))"
    "   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.objid = c.oid"
    "    AND e.classid = 'pg_catalog.pg_class'::regclass AND e.deptype = 'e')"
    "  UNION SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE $2::bool AND $1 IS NULL"
    "   AND n.oid >= 16384 AND n.nspname !~ '^pg_' AND n.nspname <> 'pghaul'"
    "  UNION SELECT s.setrole FROM pg_catalog.pg_db_role_setting s, db"
    "   WHERE $1 IS NULL AND s.setdatabase = db.oid AND s.setrole <> 0"
    "  UNION SELECT u.umuser FROM pg_catalog.pg_user_mappings u"
    "   WHERE $1 IS NULL AND u.umuser <> 0)"
    " SELECT r.rolname, pg_catalog.format('CREATE ROLE %I%s%s%s%s%s%s%s%s', r.rolname,"
    "  CASE WHEN r.rolsuper THEN ' SUPERUSER' ELSE '' END,"
    "  CASE WHEN r.rolcreatedb THEN ' CREATEDB' ELSE '' END,"
    "  CASE WHEN r.rolcreaterole THEN ' CREATEROLE' ELSE '' END,"
    "  CASE WHEN r.rolinherit THEN '' ELSE ' NOINHERIT' END,"
    "  CASE WHEN r.rolcanlogin THEN ' LOGIN' ELSE '' END,"
    "  CASE WHEN r.rolreplication THEN ' REPLICATION' ELSE '' END,"
    "  CASE WHEN r.rolbypassrls THEN ' BYPASSRLS' ELSE '' END,"
    "  CASE WHEN r.rolconnlimit >= 0 THEN ' CONNECTION LIMIT ' || r.rolconnlimit ELSE '' END),"
    "  coalesce((SELECT pg_catalog.string_agg(pg_catalog.format('GRANT %I TO %I', g.rolname,"
    "    r.rolname), '; ' ORDER BY g.rolname) FROM pg_catalog.pg_auth_members m"
    "   JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN need ON need.oid = g.oid"
    "   WHERE m.member = r.oid), '')"
    " FROM need JOIN pg_catalog.pg_roles r USING (oid) WHERE r.rolname !~ '^pg_' ORDER BY 1";

static const char tablespaces_sql[] =
    "SELECT DISTINCT t.spcname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_tablespace t"
    " ON t.oid = c.reltablespace WHERE c.oid >= 16384 AND t.spcname !~ '^pg_'"
    " AND ($1::oid[] IS NULL OR c.oid = ANY($1) OR c.oid IN (SELECT i.indexrelid"
    "  FROM pg_catalog.pg_index i WHERE i.indrelid = ANY($1))) ORDER BY 1";

static const char extensions_sql[] =
    "SELECT extname, extversion FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1";

/* Versions are text of any shape; compared as lists of their numbers, which fits all that matter.
 */
static const char has_extension_sql[] =
    "SELECT coalesce((SELECT default_version FROM pg_catalog.pg_available_extensions"
    "  WHERE name = $1), ''),"
    " EXISTS (SELECT FROM pg_catalog.pg_available_extension_versions WHERE name = $1 AND"
    "  (version = $2 OR (version ~ '^[0-9.]+$' AND $2 ~ '^[0-9.]+$' AND"
    "   pg_catalog.string_to_array(pg_catalog.btrim(version, '.'), '.')::int[] >="
    "   pg_catalog.string_to_array(pg_catalog.btrim($2, '.'), '.')::int[])))";

/* "{1,2}" or NULL for the whole database; in the arena. */
static ph_code
oid_array(const struct ph_needs_params *params, const char **out, struct ph_error *err)
{
    struct ph_buf text;

    *out = NULL;
    if (params->rels == NULL)
        return PH_OK;
    ph_buf_init(&text, SQL_LIMIT);
    ph_buf_putc(&text, '{');
    for (uint32_t i = 0; i < params->n_rels; i++)
        ph_buf_printf(&text, "%s%u", i > 0 ? "," : "", params->rels[i]);
    ph_buf_putc(&text, '}');
    if (ph_buf_ok(&text))
        *out = ph_arena_strdup(params->arena, ph_buf_text(&text));
    ph_buf_free(&text);
    return *out != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
list_init(const struct ph_needs_params *params, uint32_t most, struct ph_need_list *out,
          struct ph_error *err)
{
    out->n = 0;
    out->items = PH_ARENA_ARRAY(params->arena, struct ph_need, (size_t)most + 1);
    return out->items != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
target_has(const struct ph_needs_params *params, const char *sql, const char *name, bool *has,
           struct ph_error *err)
{
    const char *values[] = {name};
    struct ph_result *r;

    PH_TRY(ph_conn_query(params->target, sql, 1, values, &r, err));
    *has = ph_result_rows(r) > 0;
    ph_result_free(r);
    return PH_OK;
}

static void
add(const struct ph_needs_params *params, struct ph_need_list *list, const char *name,
    const char *sql, const char *why)
{
    list->items[list->n++] = (struct ph_need){
        .name = ph_arena_strdup(params->arena, name),
        .sql = ph_arena_strdup(params->arena, sql),
        .why = ph_arena_strdup(params->arena, why),
    };
}

/* The missing ones of the source's roles; memberships once all are there. */
static ph_code
collect_roles(const struct ph_needs_params *params, const struct ph_result *r,
              struct ph_need_list *out, struct ph_error *err)
{
    static const char sql[] = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1";
    int rows = ph_result_rows(r);

    PH_TRY(list_init(params, (uint32_t)rows * 2, out, err));
    for (int row = 0; row < rows; row++) {
        bool has;
        PH_TRY(target_has(params, sql, ph_result_text(r, row, 0), &has, err));
        if (!has)
            add(params, out, ph_result_text(r, row, 0), ph_result_text(r, row, 1), "");
    }
    uint32_t missing = out->n;
    for (int row = 0; row < rows; row++) {
        for (uint32_t i = 0; i < missing; i++) {
            if (ph_result_text(r, row, 2)[0] != '\0' &&
                strcmp(out->items[i].name, ph_result_text(r, row, 0)) == 0)
                add(params, out, ph_result_text(r, row, 0), ph_result_text(r, row, 2),
                    "membership");
        }
    }
    return PH_OK;
}

ph_code
ph_needs_roles(const struct ph_needs_params *params, struct ph_need_list *out, struct ph_error *err)
{
    const char *rels;
    struct ph_result *r;

    *out = (struct ph_need_list){0};
    PH_TRY(oid_array(params, &rels, err));
    const char *values[] = {rels, params->no_owner ? "f" : "t", params->no_acl ? "f" : "t"};
    PH_TRY(ph_conn_query(params->source, roles_sql, 3, values, &r, err));
    ph_code rc = collect_roles(params, r, out, err);
    ph_result_free(r);
    return rc;
}

static ph_code
check_extension(const struct ph_needs_params *params, const char *name, const char *version,
                struct ph_need_list *out, struct ph_error *err)
{
    const char *values[] = {name, version};
    struct ph_result *r;
    char why[200];

    PH_TRY(ph_conn_query(params->target, has_extension_sql, 2, values, &r, err));
    const char *offered = ph_result_text(r, 0, 0);
    if (offered[0] == '\0')
        snprintf(why, sizeof why, "version %s is needed, the target's server has none", version);
    else
        snprintf(why, sizeof why, "version %s is needed, the target's server has %s", version,
                 offered);
    if (!ph_result_bool(r, 0, 1))
        add(params, out, name, NULL, why);
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_needs_extensions(const struct ph_needs_params *params, struct ph_need_list *out,
                    struct ph_error *err)
{
    struct ph_result *r;

    *out = (struct ph_need_list){0};
    PH_TRY(ph_conn_query(params->source, extensions_sql, 0, NULL, &r, err));
    ph_code rc = list_init(params, (uint32_t)ph_result_rows(r), out, err);
    for (int row = 0; rc == PH_OK && row < ph_result_rows(r); row++)
        rc =
            check_extension(params, ph_result_text(r, row, 0), ph_result_text(r, row, 1), out, err);
    ph_result_free(r);
    return rc;
}

ph_code
ph_needs_tablespaces(const struct ph_needs_params *params, struct ph_need_list *out,
                     struct ph_error *err)
{
    static const char sql[] = "SELECT 1 FROM pg_catalog.pg_tablespace WHERE spcname = $1";
    const char *rels;
    struct ph_result *r;

    *out = (struct ph_need_list){0};
    if (params->no_tablespaces)
        return PH_OK;
    PH_TRY(oid_array(params, &rels, err));
    const char *values[] = {rels};
    PH_TRY(ph_conn_query(params->source, tablespaces_sql, 1, values, &r, err));
    ph_code rc = list_init(params, (uint32_t)ph_result_rows(r), out, err);
    for (int row = 0; rc == PH_OK && row < ph_result_rows(r); row++) {
        bool has = false;
        rc = target_has(params, sql, ph_result_text(r, row, 0), &has, err);
        if (rc == PH_OK && !has)
            add(params, out, ph_result_text(r, row, 0), NULL, "");
    }
    ph_result_free(r);
    return rc;
}

ph_code
ph_roles_create(const struct ph_needs_params *params, uint32_t *n, struct ph_error *err)
{
    struct ph_need_list roles;

    *n = 0;
    PH_TRY(ph_needs_roles(params, &roles, err));
    for (uint32_t i = 0; i < roles.n; i++) {
        ph_code rc = ph_conn_exec(params->target, roles.items[i].sql, err);
        if (rc != PH_OK) {
            ph_error_note(err, "while making role %s", roles.items[i].name);
            return rc;
        }
        ++*n;
    }
    return PH_OK;
}
