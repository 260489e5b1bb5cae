#include "pg/roles.h"

#include <string.h>

#include "base/buf.h"

#define SQL_LIMIT_BYTES ((size_t)16 << 20)

/*
 * pg_shdepend knows who is owner ('o'), grantee ('a', 'i') or named in a policy ('r') of anything
 * in this database, except for the role that initdb made, which is asked for by its objects. $1:
 * owners count, $2: grants count.
 */
static const char needed_sql[] =
    "WITH RECURSIVE needed(oid) AS ("
    " SELECT s.refobjid FROM pg_catalog.pg_shdepend s, pg_catalog.pg_database b"
    "  WHERE b.datname = current_database() AND s.refclassid = 'pg_catalog.pg_authid'::regclass"
    "  AND (s.dbid = b.oid OR (s.dbid = 0 AND s.objid = b.oid"
    "   AND s.classid = 'pg_catalog.pg_database'::regclass))"
    "  AND (s.deptype NOT IN ('o', 'a', 'i') OR (s.deptype = 'o' AND $1::bool)"
    "   OR (s.deptype IN ('a', 'i') AND $2::bool))"
    " UNION SELECT d.setrole FROM pg_catalog.pg_db_role_setting d, pg_catalog.pg_database b"
    "  WHERE b.datname = current_database() AND d.setdatabase = b.oid AND d.setrole <> 0"
    " UNION SELECT u.umuser FROM pg_catalog.pg_user_mappings u WHERE u.umuser <> 0"
    " UNION SELECT 10 WHERE $1::bool AND (EXISTS (SELECT FROM pg_catalog.pg_class c"
    "   WHERE c.relowner = 10 AND c.oid >= 16384)"
    "  OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proowner = 10 AND p.oid >= 16384)"
    "  OR EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspowner = 10 AND n.oid >= 16384))"
    "), closure(oid) AS ("
    " SELECT oid FROM needed UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m"
    "  JOIN closure ON closure.oid = m.member)"
    "SELECT r.rolname, format('CREATE ROLE %I%s%s%s%s%s%s%s%s%s;', r.rolname,"
    "  CASE WHEN r.rolsuper THEN ' SUPERUSER' END, CASE WHEN NOT r.rolinherit THEN ' NOINHERIT' "
    "END,"
    "  CASE WHEN r.rolcreaterole THEN ' CREATEROLE' END,"
    "  CASE WHEN r.rolcreatedb THEN ' CREATEDB' END, CASE WHEN r.rolcanlogin THEN ' LOGIN' END,"
    "  CASE WHEN r.rolreplication THEN ' REPLICATION' END,"
    "  CASE WHEN r.rolbypassrls THEN ' BYPASSRLS' END,"
    "  CASE WHEN r.rolconnlimit >= 0 THEN ' CONNECTION LIMIT ' || r.rolconnlimit END,"
    "  CASE WHEN r.rolvaliduntil IS NOT NULL THEN ' VALID UNTIL '"
    "   || quote_literal(r.rolvaliduntil::text) END)"
    " || coalesce((SELECT string_agg(format(' ALTER ROLE %I SET %s TO %s;', r.rolname,"
    "   split_part(c, '=', 1), CASE WHEN split_part(c, '=', 1) IN ('search_path',"
    "   'temp_tablespaces', 'session_preload_libraries', 'shared_preload_libraries',"
    "   'local_preload_libraries', 'DateStyle') THEN substr(c, position('=' IN c) + 1)"
    "   ELSE quote_literal(substr(c, position('=' IN c) + 1)) END), '')"
    "  FROM unnest(r.rolconfig) c), ''),"
    " coalesce((SELECT string_agg(format('GRANT %I TO %I%s; ', g.rolname, r.rolname,"
    "   CASE WHEN m.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END), '' ORDER BY g.rolname)"
    "  FROM (SELECT DISTINCT roleid, member, admin_option FROM pg_catalog.pg_auth_members) m"
    "  JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), '')"
    " FROM closure JOIN pg_catalog.pg_roles r ON r.oid = closure.oid"
    " WHERE r.rolname !~ '^pg_' ORDER BY 1";

static ph_code
read_needed(const struct ph_roles_params *params, struct ph_result **out, struct ph_error *err)
{
    const char *values[] = {params->no_owner ? "f" : "t",
                            params->no_acl || params->no_owner ? "f" : "t"};

    return ph_conn_query(params->source, needed_sql, 2, values, out, err);
}

/* Whether each row's role is on the target, in the same order. */
static ph_code
read_present(const struct ph_roles_params *params, const struct ph_result *needed,
             struct ph_result **out, struct ph_error *err)
{
    struct ph_buf sql;
    ph_code rc;

    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    ph_buf_puts(&sql, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = v.n)"
                      " FROM (VALUES (0, '')");
    for (int row = 0; row < ph_result_rows(needed); row++) {
        ph_buf_printf(&sql, ", (%d, ", row + 1);
        ph_buf_put_literal(&sql, ph_result_text(needed, row, 0));
        ph_buf_puts(&sql, ")");
    }
    ph_buf_puts(&sql, ") v(i, n) WHERE i > 0 ORDER BY i");
    rc = ph_buf_ok(&sql) ? ph_conn_query(params->target, ph_buf_text(&sql), 0, NULL, out, err)
                         : PH_FAIL(err, PH_E_MEMORY, "no memory for a list of roles");
    ph_buf_free(&sql);
    return rc;
}

static ph_code
collect(const struct ph_result *needed, const struct ph_result *present, struct ph_arena *arena,
        struct ph_roles *out, struct ph_error *err)
{
    int n = ph_result_rows(needed);
    struct ph_buf memberships;
    bool complete;

    ph_buf_init(&memberships, SQL_LIMIT_BYTES);
    out->roles = PH_ARENA_ARRAY(arena, struct ph_role, (size_t)n + 1);
    complete = out->roles != NULL;
    for (int row = 0; complete && row < n; row++) {
        struct ph_role *role = &out->roles[out->n];

        if (ph_result_bool(present, row, 0))
            continue;
        role->name = ph_arena_strdup(arena, ph_result_text(needed, row, 0));
        role->create_sql = ph_arena_strdup(arena, ph_result_text(needed, row, 1));
        ph_buf_puts(&memberships, ph_result_text(needed, row, 2));
        complete = role->name != NULL && role->create_sql != NULL;
        out->n++;
    }
    out->memberships_sql = ph_arena_strdup(arena, ph_buf_text(&memberships));
    complete = complete && ph_buf_ok(&memberships) && out->memberships_sql != NULL;
    ph_buf_free(&memberships);
    return complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for a list of roles");
}

ph_code
ph_roles_missing(const struct ph_roles_params *params, struct ph_arena *arena, struct ph_roles *out,
                 struct ph_error *err)
{
    struct ph_result *needed = NULL;
    struct ph_result *present = NULL;
    ph_code rc;

    *out = (struct ph_roles){.memberships_sql = ""};
    rc = read_needed(params, &needed, err);
    if (rc == PH_OK)
        rc = read_present(params, needed, &present, err);
    if (rc == PH_OK)
        rc = collect(needed, present, arena, out, err);
    ph_result_free(needed);
    ph_result_free(present);
    if (rc != PH_OK)
        ph_error_note(err, "looking for roles");
    return rc;
}

static ph_code
create_all(struct ph_conn *target, const struct ph_roles *roles, struct ph_error *err)
{
    for (uint32_t i = 0; i < roles->n; i++) {
        ph_code rc = ph_conn_exec(target, roles->roles[i].create_sql, err);

        if (rc != PH_OK) {
            ph_error_object(err, "role %s", roles->roles[i].name);
            return rc;
        }
    }
    if (roles->memberships_sql[0] != '\0')
        PH_TRY(ph_conn_exec(target, roles->memberships_sql, err));
    return ph_conn_exec(target, "COMMIT", err);
}

ph_code
ph_roles_create(struct ph_conn *target, const struct ph_roles *roles, struct ph_error *err)
{
    ph_code rc;

    if (roles->n == 0)
        return PH_OK;
    PH_TRY(ph_conn_exec(target, "BEGIN", err));
    rc = create_all(target, roles, err);
    if (rc != PH_OK && ph_conn_is_alive(target))
        (void)ph_conn_exec(target, "ROLLBACK", NULL);
    return rc;
}
