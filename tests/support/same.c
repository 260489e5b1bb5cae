/* Comparing databases without pghaul. */
#include "support/same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <stdio.h>
#include <string.h>

/* One SELECT per relation, as text, in an order of names that does not depend on the locale. */
static const char selects[] =
    "SELECT CASE c.relkind WHEN 'S' THEN format('SELECT %L || last_value || '' '' || is_called"
    " FROM %s', c.oid::regclass || ' ', c.oid::regclass) ELSE"
    " format('SELECT %L || count(*) || '' '' || coalesce(md5(string_agg(md5(t::text), '''' ORDER BY"
    " md5(t::text) COLLATE \"C\")), '''') FROM ONLY %s t', c.oid::regclass || ' ', c.oid::regclass)"
    " END FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname !~ '^pg_' AND"
    " n.nspname NOT IN ('pghaul', 'information_schema')"
    " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

static const char *
describe(const struct pg_test_cluster *cluster, const char *dbname)
{
    PGconn *conn = sql_connect(cluster, dbname);
    PGresult *list;
    const char *text = "";

    sql_exec(conn, "SET search_path = ''; SET extra_float_digits = 3; SET timezone = 'UTC'");
    list = PQexec(conn, selects);
    assert_int_equal(PQresultStatus(list), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(list); i++)
        text = scratch_printf("%s%s\n", text, sql_value(conn, PQgetvalue(list, i, 0)));
    PQclear(list);
    text = scratch_printf("%s%s", text,
                          sql_rows(conn, "SELECT 'large object', oid, md5(lo_get(oid)), lomowner,"
                                         " lomacl FROM pg_largeobject_metadata ORDER BY oid"));
    PQfinish(conn);
    return text;
}

/* The lines of `a` that `b` does not have. */
static const char *
lines_missing(const char *a, const char *b)
{
    const char *missing = "";

    while (*a != '\0') {
        size_t len = strcspn(a, "\n");
        const char *line = scratch_printf("%.*s\n", (int)len, a);
        if (strstr(b, line) == NULL)
            missing = scratch_printf("%s  %s", missing, line);
        a += len;
        a += *a == '\n';
    }
    return missing;
}

static void
expect_equal(const char *what, const char *a, const char *b)
{
    if (strcmp(a, b) != 0)
        fail_msg("%s differ\nonly in the source:\n%sonly in the target:\n%s", what,
                 lines_missing(a, b), lines_missing(b, a));
}

void
same_rows(const struct pg_test_cluster *src, const char *src_db, const struct pg_test_cluster *dst,
          const char *dst_db)
{
    const char *a = describe(src, src_db);
    const char *b = describe(dst, dst_db);

    assert_true(a[0] != '\0');
    expect_equal("rows", a, b);
}

static PGconn *
connect_plain(const struct pg_test_cluster *cluster, const char *dbname)
{
    PGconn *conn = sql_connect(cluster, dbname);

    sql_exec(conn, "SET search_path = ''; SET extra_float_digits = 3; SET timezone = 'UTC'");
    return conn;
}

/*
 * Columns by name, for the order of those of a partition is its own; of long values the digest, so
 * that what differs can be read.
 */
static const char *
select_rows(PGconn *conn, const char *table)
{
    const char *columns = sql_valuef(
        conn,
        "SELECT coalesce(string_agg(format('CASE WHEN length(t.%%1$I::text) > 90 THEN"
        " left(t.%%1$I::text, 9) || ''~'' || md5(t.%%1$I::text) ELSE t.%%1$I::text END', attname),"
        " ', ' ORDER BY attname COLLATE \"C\"), '') FROM pg_attribute WHERE"
        " attrelid = '%s'::regclass AND attnum > 0 AND NOT attisdropped",
        table);

    return scratch_printf("SELECT ROW(%s)::text COLLATE \"C\" FROM ONLY %s t ORDER BY 1", columns,
                          table);
}

static const char *
rows_differing(PGconn *source, PGconn *target, const char *table)
{
    const char *here = sql_rows(source, select_rows(source, table));
    const char *there = sql_rows(target, select_rows(target, table));

    if (strcmp(here, there) == 0)
        return "";
    return scratch_printf("%s\nonly in the source:\n%.3000s\nonly in the target:\n%.3000s\n", table,
                          lines_missing(here, there), lines_missing(there, here));
}

void
same_tables(const struct pg_test_cluster *src, const char *src_db,
            const struct pg_test_cluster *dst, const char *dst_db, const char *schemas)
{
    PGconn *source = connect_plain(src, src_db);
    PGconn *target = connect_plain(dst, dst_db);
    const char *differing = "";
    PGresult *list = PQexec(source, scratch_printf("SELECT c.oid::regclass FROM pg_class c JOIN"
                                                   " pg_namespace n ON n.oid = c.relnamespace"
                                                   " WHERE c.relkind = 'r' AND n.nspname ~ '%s'"
                                                   " ORDER BY 1",
                                                   schemas));

    assert_int_equal(PQresultStatus(list), PGRES_TUPLES_OK);
    assert_true(PQntuples(list) > 0);
    for (int i = 0; i < PQntuples(list); i++)
        differing = scratch_printf("%s%s", differing,
                                   rows_differing(source, target, PQgetvalue(list, i, 0)));
    PQclear(list);
    PQfinish(source);
    PQfinish(target);
    if (differing[0] != '\0')
        fail_msg("tables of %s and %s differ: %s", src_db, dst_db, differing);
}

const char *
same_digest(const struct pg_test_cluster *cluster, const char *dbname, const char *table)
{
    const char *sql = scratch_printf("SELECT count(*) || ' ' || md5(string_agg(md5(t::text), ''"
                                     " ORDER BY md5(t::text) COLLATE \"C\")) FROM ONLY %s t",
                                     table);

    return sql_once(cluster, dbname, sql);
}

static const char *
dump(const struct pg_test_cluster *cluster, const char *dbname)
{
    const char *const argv[] = {"pg_dump",
                                "--schema-only",
                                "--no-publications",
                                "--no-subscriptions",
                                "--restrict-key=x",
                                "-N",
                                "pghaul",
                                "-d",
                                NULL,
                                NULL};
    const char *const *end = argv;
    const char *args[sizeof argv / sizeof *argv];

    memcpy(args, argv, sizeof argv);
    while (*end != NULL)
        end++;
    args[end - argv] = pg_test_conninfo(cluster, dbname);
    struct run *run = run_start(NULL, args);
    run_expect(run, 0);
    return run_out(run);
}

void
same_schema(const struct pg_test_cluster *src, const char *src_db,
            const struct pg_test_cluster *dst, const char *dst_db)
{
    expect_equal("schemas", dump(src, src_db), dump(dst, dst_db));
}

static const char sessions[] =
    "SELECT pid, application_name, state, wait_event, backend_start, state_change, query"
    " FROM pg_stat_activity WHERE application_name LIKE 'pghaul%'";

static bool
has_no_sessions(void *arg)
{
    return sql_once(arg, "postgres", sessions)[0] == '\0';
}

void
same_no_sessions(const struct pg_test_cluster *cluster)
{
    struct pg_test_cluster copy = *cluster;

    if (!scratch_wait(has_no_sessions, &copy, 5000))
        fail_msg("sessions are left:\n%s", sql_once(cluster, "postgres", sessions));
}
