/* The server composes each query itself, from its own catalog: names quoted, operators by schema.
 */
#include "pg/constraint_audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"

/*
 * Both sides are asked for the same columns, in the order of schema, table and name. Foreign keys
 * of partitions come with their parent's. The last column is used of the target only.
 */
#define ONLY_OF(c) "CASE " c ".relkind WHEN 'p' THEN '' ELSE 'ONLY ' END"

enum column { COL_SCHEMA, COL_TABLE, COL_NAME, COL_DEFINITION, COL_SQL };

/* %1$s: "AND k.conenforced" from 18 on; %2$s: AND NOT k.conperiod from 18 on */
static const char foreign_keys_sql[] =
    "SELECT n.nspname, c.relname, k.conname, pg_catalog.pg_get_constraintdef(k.oid),"
    " pg_catalog.format('SELECT pg_catalog.count(*) FROM %%s%%I.%%I c WHERE %%s AND NOT"
    " EXISTS (SELECT FROM %%s%%I.%%I p WHERE %%s)', " ONLY_OF(
        "c") ", n.nspname, c.relname,"
             " CASE k.confmatchtype WHEN 'f' THEN 'NOT (' || x.all_null || ')' ELSE x.no_null "
             "END, " ONLY_OF(
                 "p") ", pn.nspname, p.relname, x.equal)"
                      " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = "
                      "k.conrelid"
                      " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                      " JOIN pg_catalog.pg_class p ON p.oid = k.confrelid"
                      " JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace,"
                      " LATERAL (SELECT pg_catalog.string_agg(pg_catalog.format('c.%%I IS NOT "
                      "NULL', a.attname),"
                      "   ' AND ') no_null,"
                      "  pg_catalog.string_agg(pg_catalog.format('c.%%I IS NULL', a.attname), ' "
                      "AND ') all_null,"
                      "  pg_catalog.string_agg(pg_catalog.format('p.%%I OPERATOR(%%I.%%s) c.%%I', "
                      "b.attname,"
                      "   o.nspname, o.oprname, a.attname), ' AND ') equal"
                      "  FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey),"
                      "   pg_catalog.unnest(k.conpfeqop)) u (ours, theirs, op)"
                      "  JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = "
                      "u.ours"
                      "  JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = "
                      "u.theirs"
                      "  JOIN (SELECT q.oid, q.oprname, qn.nspname FROM pg_catalog.pg_operator q"
                      "   JOIN pg_catalog.pg_namespace qn ON qn.oid = q.oprnamespace) o ON o.oid = "
                      "u.op) x"
                      " WHERE k.contype = 'f' AND k.conparentid = 0 AND k.convalidated%s AND "
                      "n.nspname !~ '^pg_'"
                      " AND n.nspname NOT IN ('information_schema', 'pghaul')"
                      " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", k.conname "
                      "COLLATE \"C\"";

/* %s: i.indnullsnotdistinct from 15 on */
static const char unique_keys_sql[] =
    "SELECT n.nspname, c.relname, k.conname, pg_catalog.pg_get_constraintdef(k.oid),"
    " pg_catalog.format('SELECT pg_catalog.count(*) FROM (SELECT FROM %%s%%I.%%I c WHERE %%s"
    " GROUP BY %%s HAVING pg_catalog.count(*) > 1) d', " ONLY_OF(
        "c") ", n.nspname, c.relname,"
             " CASE WHEN %s THEN 'true' ELSE x.no_null END, x.names)"
             " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
             " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
             " JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid,"
             " LATERAL (SELECT pg_catalog.string_agg(pg_catalog.format('c.%%I IS NOT NULL', "
             "a.attname),"
             "   ' AND ') no_null,"
             "  pg_catalog.string_agg(pg_catalog.format('c.%%I', a.attname), ', ') AS names"
             "  FROM pg_catalog.unnest(k.conkey) u (ours)"
             "  JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.ours) x"
             " WHERE k.contype IN ('p', 'u') AND k.condeferrable AND k.conparentid = 0"
             " AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pghaul')"
             " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", k.conname COLLATE \"C\"";

static ph_code
list_foreign_keys(struct ph_conn *conn, struct ph_result **out, struct ph_error *err)
{
    char sql[sizeof foreign_keys_sql + 80];

    snprintf(sql, sizeof sql, foreign_keys_sql,
             ph_conn_version(conn) >= 180000 ? " AND k.conenforced AND NOT k.conperiod" : "");
    return ph_conn_query(conn, sql, 0, NULL, out, err);
}

static ph_code
list_unique_keys(struct ph_conn *conn, struct ph_result **out, struct ph_error *err)
{
    char sql[sizeof unique_keys_sql + 80];

    snprintf(sql, sizeof sql, unique_keys_sql,
             ph_conn_version(conn) >= 150000 ? "i.indnullsnotdistinct" : "false");
    return ph_conn_query(conn, sql, 0, NULL, out, err);
}

/* By schema, table, name. */
static int
compare_rows(const struct ph_result *a, int row_a, const struct ph_result *b, int row_b)
{
    int order = 0;

    for (int column = COL_SCHEMA; order == 0 && column <= COL_NAME; column++)
        order = strcmp(ph_result_text(a, row_a, column), ph_result_text(b, row_b, column));
    return order;
}

static ph_code
ask(const struct ph_constraint_audit *audit, const struct ph_result *keys, int row,
    const char *what, struct ph_findings *findings, struct ph_error *err)
{
    char object[300];
    char count[32];

    PH_TRY(ph_stop_check(err));
    ph_code rc =
        ph_conn_value(audit->target, ph_result_text(keys, row, COL_SQL), count, sizeof count, err);
    snprintf(object, sizeof object, "%s.%s %s", ph_result_text(keys, row, COL_SCHEMA),
             ph_result_text(keys, row, COL_TABLE), ph_result_text(keys, row, COL_NAME));
    if (rc != PH_OK)
        ph_error_note(err, "auditing constraint %s", object);
    else if (strcmp(count, "0") != 0)
        ph_finding_add(findings,
                       &(struct ph_finding_params){
                           .severity = PH_FINDING_ERROR,
                           .code = PH_E_CONSTRAINT,
                           .kind = "constraint",
                           .object = object,
                           .cure = "mend the rows, or drop the constraint",
                       },
                       "violated on the target: %s: %s", what, count);
    return rc;
}

typedef ph_code list_keys(struct ph_conn *conn, struct ph_result **out, struct ph_error *err);

/* The target's list against the source's, both in order. */
static ph_code
audit_kind(const struct ph_constraint_audit *audit, list_keys *list, const char *what,
           struct ph_findings *findings, uint32_t *n, struct ph_error *err)
{
    struct ph_result *ours = NULL;
    struct ph_result *theirs = NULL;
    int at = 0;
    ph_code rc = list(audit->source, &ours, err);

    if (rc == PH_OK)
        rc = list(audit->target, &theirs, err);
    for (int row = 0; rc == PH_OK && row < ph_result_rows(theirs); row++) {
        if (!audit->is_compared(audit->arg, ph_result_text(theirs, row, COL_SCHEMA),
                                ph_result_text(theirs, row, COL_TABLE)))
            continue;
        while (at < ph_result_rows(ours) && compare_rows(ours, at, theirs, row) < 0)
            at++;
        if (at < ph_result_rows(ours) && compare_rows(ours, at, theirs, row) == 0 &&
            strcmp(ph_result_text(ours, at, COL_DEFINITION),
                   ph_result_text(theirs, row, COL_DEFINITION)) == 0 &&
            audit->is_the_same(audit->arg, ph_result_text(theirs, row, COL_SCHEMA),
                               ph_result_text(theirs, row, COL_TABLE),
                               ph_result_text(theirs, row, COL_NAME)))
            continue;
        rc = ask(audit, theirs, row, what, findings, err);
        ++*n;
    }
    ph_result_free(ours);
    ph_result_free(theirs);
    return rc;
}

ph_code
ph_constraint_audit(const struct ph_constraint_audit *audit, struct ph_findings *findings,
                    uint32_t *n, struct ph_error *err)
{
    *n = 0;
    PH_TRY(audit_kind(audit, list_foreign_keys, "rows that refer to none", findings, n, err));
    return audit_kind(audit, list_unique_keys, "keys that are there more than once", findings, n,
                      err);
}
