#include "job/acting.h"

#include "pg/ledger.h"

#define GIVE_BACK PH_ENABLE_SQL("a.rel", "a.kind", "a.name", "a.state")

/*
 * $1: tables; $2: the states in which a trigger or rule acts. PostgreSQL before 15 calls what a
 * partition has from its parent internal. A rule for reading is what makes a view.
 */
static const char ACTING_SQL[] =
    "WITH rels AS (SELECT o AS oid FROM unnest($1::oid[]) o UNION SELECT p.relid::oid FROM"
    " unnest($1::oid[]) o, pg_catalog.pg_partition_tree(o::regclass) p),"
    " acting AS (SELECT tgrelid AS rel, 'TRIGGER' AS kind, tgname AS name, tgenabled AS state"
    " FROM pg_catalog.pg_trigger WHERE NOT tgisinternal OR tgconstraint = 0"
    " UNION ALL SELECT ev_class, 'RULE', rulename, ev_enabled"
    " FROM pg_catalog.pg_rewrite WHERE ev_type <> '1')"
    " SELECT format('ALTER TABLE ONLY %s DISABLE %s %I', a.rel::regclass, a.kind, a.name),"
    " " GIVE_BACK ", format('%s %I of %s', lower(a.kind), a.name, a.rel::regclass),"
    " pg_has_role(c.relowner, 'USAGE')"
    " FROM acting a JOIN rels ON rels.oid = a.rel JOIN pg_catalog.pg_class c ON c.oid = a.rel"
    " WHERE strpos($2, a.state::text) > 0 ORDER BY a.rel, a.kind, a.name";

/* Under replica role those that are ENABLE ALWAYS or REPLICA, otherwise those that are enabled. */
ph_code
ph_acting_list(struct ph_conn *target, const char *tables, bool is_replica, struct ph_result **out,
               struct ph_error *err)
{
    const char *params[] = {tables, is_replica ? "AR" : "OA"};

    return ph_conn_query(target, ACTING_SQL, 2, params, out, err);
}
