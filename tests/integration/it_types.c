/*
 * Every type PostgreSQL has and user types of every kind (tests/data/types.sql) through the binary,
 * into databases where the user types have other OIDs, and across major versions. What arrived is
 * compared by the servers' own text, not by pghaul's digest.
 */
/* labels: majors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* OIDs are counted per cluster: this sets one apart from another. */
static const char SHIFT[] = "DO $$ BEGIN FOR i IN 1 .. 700 LOOP"
                            " CREATE TYPE pg_temp.shifted AS ENUM (); DROP TYPE pg_temp.shifted;"
                            " END LOOP; END $$";

static struct pg_test_cluster *clusters[20];

static struct pg_test_cluster *
cluster_of(int major)
{
    if (clusters[major] == NULL)
        clusters[major] = pg_test_cluster_new(&(struct pg_test_params){.major = major});
    return clusters[major];
}

/* Types and rows as of `major`, which may be older than the server. */
static PGconn *
make_types(struct pg_test_cluster *cluster, const char *database, int major)
{
    PGconn *admin = sql_connect(cluster, "postgres");

    sql_execf(admin, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", database);
    sql_execf(admin, "ALTER DATABASE %s SET types.version = %d", database, major);
    PQfinish(admin);
    sql_file(cluster, database, PH_TEST_DIR "/data/types.sql");
    return sql_connect(cluster, database);
}

static const char TABLES[] = "SELECT schemaname || '.\"' || tablename || '\"' FROM pg_tables"
                             " WHERE schemaname IN ('types', 'kinds') ORDER BY 1";

static void
assert_equal_by_text(PGconn *source, PGconn *target)
{
    PGresult *tables = PQexec(source, TABLES);
    int n = PQntuples(tables);

    assert_true(n > 80);
    assert_string_equal(sql_rows(source, TABLES), sql_rows(target, TABLES));
    for (int i = 0; i < n; i++) {
        const char *sql = scratch_printf("SELECT t::text COLLATE \"C\" FROM %s t ORDER BY 1",
                                         PQgetvalue(tables, i, 0));
        const char *here = sql_rows(source, sql);
        const char *there = sql_rows(target, sql);
        if (strcmp(here, there) != 0)
            fail_msg("%s differs:\n%.2000s\nbut on the target\n%.2000s", PQgetvalue(tables, i, 0),
                     here, there);
        assert_true(here[0] != '\0');
    }
    PQclear(tables);
}

static void
pin(PGconn *conn)
{
    sql_exec(conn, "SET search_path = ''; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD';"
                   "SET intervalstyle = 'postgres'; SET extra_float_digits = 3;"
                   "SET bytea_output = 'hex'");
}

/* A type that a new major brings must get a line in types.sql. */
static void
no_type_is_missing(void **context)
{
    (void)context;
    for (int major = 13; major <= 18; major++) {
        if (!pg_test_major_present(major))
            continue;
        PGconn *conn = make_types(cluster_of(major), "complete", major);
        /* Values of these cannot be stored: their input functions refuse all. */
        assert_string_equal(
            sql_rows(conn, "SELECT t.typname FROM pg_catalog.pg_type t"
                           " WHERE t.typnamespace = 'pg_catalog'::regnamespace"
                           " AND t.typtype IN ('b', 'r', 'm') AND t.typname NOT LIKE '\\_%'"
                           " AND t.typname NOT IN ('pg_node_tree', 'pg_ndistinct', 'pg_mcv_list',"
                           " 'pg_dependencies', 'gtsvector', 'pg_brin_bloom_summary',"
                           " 'pg_brin_minmax_multi_summary') AND NOT EXISTS (SELECT FROM pg_tables"
                           " WHERE schemaname = 'types' AND tablename = t.typname)"),
            "");
        PQfinish(conn);
    }
}

/* Tables of the plan for which `key` is `value`, each behind a blank. */
static const char *
planned(const json_t *plan, const char *key, const char *value)
{
    const char *list = "";
    size_t i;
    const json_t *table;

    json_array_foreach(json_object_get(plan, "tables"), i, table)
    {
        const json_t *found = json_object_get(table, key);
        const char *text = json_is_true(found) ? "true" : json_string_value(found);
        if (text != NULL && strcmp(text, value) == 0)
            list =
                scratch_printf("%s %s", list, json_string_value(json_object_get(table, "table")));
    }
    return list;
}

/* Text is for types that need it and no others; what embeds OIDs goes binary, with them rewritten.
 */
static void
assert_formats(const char *source, const char *target)
{
    struct run *run = run_pghaul("plan", "--json", "--data-only", "--dir", scratch_new_dir("plan"),
                                 "--source", source, "--target", target);
    json_error_t error;

    run_expect(run, 0);
    json_t *plan = json_loads(run_out(run), 0, &error);
    assert_non_null(plan);
    const char *texts = planned(plan, "format", "text");
    const char *rewritten = planned(plan, "rewrites_values", "true");
    static const char *const text_types[] = {
        "int2vector", "oidvector",     "tsquery",      "aclitem",     "regclass", "regtype",
        "regproc",    "regprocedure",  "regoper",      "regoperator", "regrole",  "regnamespace",
        "regconfig",  "regdictionary", "regcollation", "regpair"};
    static const char *const rewritten_types[] = {"mood",       "pair",      "lost",  "goodpair",
                                                  "pairset",    "nest",      "nests", "moodset",
                                                  "rowtype_of", "pairrange", "posint"};
    size_t len = 0;
    for (size_t i = 0; i < sizeof text_types / sizeof text_types[0]; i++) {
        assert_non_null(
            strstr(scratch_printf("%s ", texts), scratch_printf(" types.%s ", text_types[i])));
        len += strlen(" types.") + strlen(text_types[i]);
    }
    assert_int_equal(strlen(texts), len); /* and no others */
    for (size_t i = 0; i < sizeof rewritten_types / sizeof rewritten_types[0]; i++)
        assert_non_null(strstr(scratch_printf("%s ", rewritten),
                               scratch_printf(" types.%s ", rewritten_types[i])));
    json_decref(plan);
}

static const char *
oids_of_user_types(PGconn *conn)
{
    return sql_rows(conn, "SELECT typname, oid FROM pg_type WHERE typtype IN ('e', 'c')"
                          " AND typnamespace = 'kinds'::regnamespace ORDER BY 1");
}

static void
types_arrive_with_the_schema(void **context)
{
    struct pg_test_cluster *src = cluster_of(PG_TEST_MAJOR);
    struct pg_test_cluster *dst = pg_test_cluster_new(NULL);
    PGconn *source = make_types(src, "types_src", PG_TEST_MAJOR);
    PGconn *target = sql_connect(dst, "postgres");

    (void)context;
    sql_exec(target, SHIFT);
    run_expect(run_pghaul("copy", "--source", pg_test_conninfo(src, "types_src"), "--target",
                          pg_test_conninfo(dst, "postgres"), "--dir", scratch_new_dir("schema")),
               0);
    pin(source);
    pin(target);
    assert_equal_by_text(source, target);
    assert_string_not_equal(oids_of_user_types(source), oids_of_user_types(target));
    PQfinish(source);
    PQfinish(target);
}

/* Rows alone, into types that were made there, as the older of both majors knows them. */
static void
copy_across(int from, int to)
{
    if (!pg_test_major_present(from) || !pg_test_major_present(to)) {
        print_message("SKIPPED: major %d or %d is not installed\n", from, to);
        return;
    }
    const char *source_name = scratch_printf("m%d_to_%d_src", from, to);
    const char *target_name = scratch_printf("m%d_to_%d_dst", from, to);
    int major = from < to ? from : to;
    PGconn *admin = sql_connect(cluster_of(to), "postgres");
    sql_exec(admin, SHIFT);
    PQfinish(admin);
    PGconn *source = make_types(cluster_of(from), source_name, major);
    PGconn *target = make_types(cluster_of(to), target_name, major);
    sql_exec(target, "UPDATE types.int4 SET v = 5"); /* what was there does not stay */
    assert_formats(pg_test_conninfo(cluster_of(from), source_name),
                   pg_test_conninfo(cluster_of(to), target_name));
    run_expect(run_pghaul("copy", "--source", pg_test_conninfo(cluster_of(from), source_name),
                          "--target", pg_test_conninfo(cluster_of(to), target_name), "--dir",
                          scratch_new_dir(source_name), "--data-only", "--truncate", "--yes"),
               0);
    pin(source);
    pin(target);
    assert_equal_by_text(source, target);
    assert_string_not_equal(oids_of_user_types(source), oids_of_user_types(target));
    PQfinish(source);
    PQfinish(target);
}

static void
types_arrive_on_newer_majors(void **context)
{
    (void)context;
    copy_across(13, 15);
    copy_across(13, 18);
    copy_across(14, 16);
    copy_across(16, 17);
}

static void
types_arrive_on_the_same_and_on_older_majors(void **context)
{
    (void)context;
    copy_across(18, 18);
    copy_across(18, 13);
    copy_across(17, 14);
    copy_across(16, 15);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_type_is_missing),
        cmocka_unit_test(types_arrive_with_the_schema),
        cmocka_unit_test(types_arrive_on_newer_majors),
        cmocka_unit_test(types_arrive_on_the_same_and_on_older_majors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
