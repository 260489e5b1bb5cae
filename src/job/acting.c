#include "job/acting.h"

/* $1: tables; $2: the states in which a trigger fires. PostgreSQL before 15 calls what a partition
 * has from its parent internal. */
static const char TRIGGERS_SQL[] =
    "SELECT format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', g.tgrelid::regclass, g.tgname),"
    " format('ALTER TABLE ONLY %s ENABLE %s TRIGGER %I', g.tgrelid::regclass,"
    " CASE g.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, g.tgname),"
    " format('trigger %I of %s', g.tgname, g.tgrelid::regclass), pg_has_role(c.relowner, 'USAGE')"
    " FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid"
    " WHERE (NOT g.tgisinternal OR g.tgconstraint = 0) AND strpos($2, g.tgenabled::text) > 0"
    " AND g.tgrelid IN (SELECT o FROM unnest($1::oid[]) o UNION SELECT p.relid::oid FROM"
    " unnest($1::oid[]) o, pg_catalog.pg_partition_tree(o::regclass) p)"
    " ORDER BY g.tgrelid, g.tgname";

/* Under replica role those that are ENABLE ALWAYS or REPLICA, otherwise those that are enabled. */
ph_code
ph_acting_list(struct ph_conn *target, const char *tables, bool is_replica, struct ph_result **out,
               struct ph_error *err)
{
    const char *params[] = {tables, is_replica ? "AR" : "OA"};

    return ph_conn_query(target, TRIGGERS_SQL, 2, params, out, err);
}
