/* Readiness: each blocker is found by `check`, and stops `copy` before its first write. */
/* labels: short */
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

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static const char *env[2];
static const char *source;
static const char *target;

static int
start(void **state)
{
    const struct pg_test_params small = {.conf = "max_connections = 30"};

    (void)state;
    pg_test_pair_new(NULL, &small, &src, &dst);
    env[0] = scratch_printf("XDG_STATE_HOME=%s", scratch_new_dir("state"));
    PGconn *conn = sql_connect(src, "postgres");
    sql_exec(conn, "CREATE DATABASE shop");
    PQfinish(conn);
    conn = sql_connect(src, "shop");
    sql_exec(conn, "CREATE TABLE t (id int PRIMARY KEY, a text);"
                   "INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g;"
                   "CREATE TABLE keyless (a int);"
                   "CREATE ROLE reader LOGIN");
    PQfinish(conn);
    sql_once(dst, "postgres", "SELECT 1");
    source = pg_test_conninfo(src, "shop");
    conn = sql_connect(dst, "postgres");
    sql_exec(conn, "CREATE DATABASE next");
    PQfinish(conn);
    target = pg_test_conninfo(dst, "next");
    return 0;
}

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

static void
on_source(const char *sql)
{
    PGconn *conn = sql_connect(src, "shop");

    sql_exec(conn, sql);
    PQfinish(conn);
}

static void
nothing_was_written(void)
{
    assert_string_equal(sql_once(dst, "next",
                                 "SELECT count(*) FROM pg_class WHERE relnamespace NOT IN"
                                 " ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace,"
                                 " 'information_schema'::regnamespace)"),
                        "0\n");
}

/* check lists it, copy refuses with that exit code; both say both parts. Nothing was written. */
#define BLOCKED(exit_code, part, other, from, to, ...)                                             \
    do {                                                                                           \
        struct run *run_ =                                                                         \
            run_pghaul_env(env, "check", "--source", from, "--target", to __VA_ARGS__);            \
        run_expect(run_, 3);                                                                       \
        has(run_out(run_), "error    ");                                                           \
        has(run_out(run_), part);                                                                  \
        has(run_out(run_), other);                                                                 \
        has(run_out(run_), "cure: ");                                                              \
        run_ = run_pghaul_env(env, "copy", "--source", from, "--target", to __VA_ARGS__);          \
        run_expect(run_, exit_code);                                                               \
        has(run_err(run_), part);                                                                  \
        has(run_err(run_), "way out: ");                                                           \
        nothing_was_written();                                                                     \
    } while (0)

static size_t
count_of_kind(const json_t *root, const char *kind)
{
    const json_t *finding;
    size_t n = 0;
    size_t i;

    json_array_foreach(json_object_get(root, "findings"), i, finding) n +=
        strcmp(json_string_value(json_object_get(finding, "kind")), kind) == 0;
    return n;
}

static void
test_ready(void **state)
{
    struct run *run = run_pghaul_env(env, "check", "--source", source, "--target", target);

    (void)state;
    run_expect(run, 0);
    has(run_out(run), "ready: 2 tables");
    run = run_pghaul_env(env, "check", "--source", source, "--target", target, "--json");
    run_expect(run, 0);
    json_t *root = json_loads(run_out(run), 0, NULL);
    assert_true(json_is_true(json_object_get(root, "ready")));
    assert_true(json_is_array(json_object_get(root, "findings")));
    json_decref(root);
    nothing_was_written();
}

static void
test_both_servers_are_tried(void **state)
{
    struct run *run = run_pghaul_env(env, "check", "--source", "host=/nowhere dbname=a", "--target",
                                     pg_test_conninfo(dst, "none"), "--json");

    (void)state;
    run_expect(run, 3);
    json_t *root = json_loads(run_out(run), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "findings")), 2);
    json_decref(root);
}

static void
test_target_not_empty(void **state)
{
    PGconn *conn = sql_connect(dst, "postgres");

    (void)state;
    sql_exec(conn, "CREATE DATABASE full_one");
    PQfinish(conn);
    conn = sql_connect(dst, "full_one");
    sql_exec(conn, "CREATE TABLE there (a int)");
    PQfinish(conn);
    BLOCKED(3, "PH-TARGET-NOT-EMPTY", "public.there", source, pg_test_conninfo(dst, "full_one"), );
}

static void
test_same_database(void **state)
{
    (void)state;
    BLOCKED(3, "PH-NOT-READY", "the same database", source, source, );
}

static void
test_other_encoding(void **state)
{
    PGconn *conn = sql_connect(dst, "postgres");

    (void)state;
    sql_exec(conn, "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
                   " TEMPLATE template0");
    PQfinish(conn);
    BLOCKED(3, "PH-NOT-READY", "encoding is UTF8, the target's is LATIN1", source,
            pg_test_conninfo(dst, "latin"), );
}

static void
test_selection(void **state)
{
    (void)state;
    BLOCKED(2, "PH-SELECTION", "nosuch", source, target, , "--table", "nosuch");
}

static void
test_too_few_sessions(void **state)
{
    struct run *run =
        run_pghaul_env(env, "check", "--source", source, "--target", target, "--jobs", "40");

    (void)state;
    run_expect(run, 0);
    has(run_out(run), "warning  connections target");
}

static void
test_missing_rights(void **state)
{
    const char *reader =
        scratch_printf("host=%s port=%d dbname=shop user=reader", src->dir, src->port);

    (void)state;
    BLOCKED(3, "PH-RIGHTS", "no right to read on the source", reader, target, );
    on_source("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;"
              "ALTER TABLE t ENABLE ROW LEVEL SECURITY");
    BLOCKED(3, "PH-RLS", "public.t", reader, target, , "--no-acl");
    on_source("ALTER TABLE t DISABLE ROW LEVEL SECURITY; DROP OWNED BY reader");
}

static void
test_target_may_not_create(void **state)
{
    PGconn *conn = sql_connect(dst, "postgres");

    (void)state;
    sql_exec(conn, "CREATE ROLE writer LOGIN");
    PQfinish(conn);
    BLOCKED(3, "PH-RIGHTS", "may not create schemas", source,
            scratch_printf("host=%s port=%d dbname=next user=writer", dst->dir, dst->port), );
}

static void
test_extension_of_another_version(void **state)
{
    (void)state;
    on_source("CREATE EXTENSION hstore; UPDATE pg_extension SET extversion = '99.1'"
              " WHERE extname = 'hstore'");
    BLOCKED(3, "version 99.1 is needed", "PH-NOT-READY extension hstore", source, target, );
    on_source("DROP EXTENSION hstore");
}

static void
test_roles(void **state)
{
    PGconn *conn = sql_connect(dst, "postgres");

    (void)state;
    on_source("CREATE ROLE \"App Owner\" LOGIN PASSWORD 's3cret' CONNECTION LIMIT 7;"
              "CREATE ROLE team CREATEDB; GRANT team TO \"App Owner\";"
              "CREATE ROLE stranger;"
              "ALTER TABLE t OWNER TO \"App Owner\"; GRANT SELECT ON keyless TO team");
    BLOCKED(3, "CREATE ROLE \"App Owner\" LOGIN CONNECTION LIMIT 7", "GRANT team TO \"App Owner\"",
            source, target, );
    BLOCKED(3, "CREATE ROLE team CREATEDB; or --roles", "PH-NOT-READY role team", source, target, ,
            "--table", "keyless");
    struct run *run = run_pghaul_env(env, "check", "--source", source, "--target", target,
                                     "--no-owner", "--no-acl");
    run_expect(run, 0);

    /* --create is there for the checks that need a database: what a refused run leaves is said */
    run = run_pghaul_env(env, "copy", "--source", source, "--target",
                         pg_test_conninfo(dst, "refused"), "--create");
    has(run_err(run), "PH-NOT-READY App Owner");
    has(run_err(run), "the database that --create made stays on the target, empty");
    assert_string_equal(
        sql_once(dst, "refused", "SELECT count(*) FROM pg_class WHERE oid >= 16384"), "0\n");
    run = run_pghaul_env(env, "copy", "--source", source, "--target",
                         pg_test_conninfo(dst, "refused"), "--create");
    has(run_err(run), "PH-NOT-READY App Owner");
    assert_null(strstr(run_err(run), "that --create made"));

    /* --create and --roles together make what is missing, and no more */
    const char *fresh = pg_test_conninfo(dst, "'Fresh db'");
    run = run_pghaul_env(env, "copy", "--source", source, "--target", fresh, "--create", "--roles");
    run_expect(run, 0);
    assert_string_equal(sql_value(conn, "SELECT rolcanlogin::text || rolconnlimit ||"
                                        " (rolpassword IS NULL) FROM pg_authid"
                                        " WHERE rolname = 'App Owner'"),
                        "true7true");
    assert_string_equal(sql_value(conn, "SELECT pg_has_role('App Owner', 'team', 'MEMBER')"), "t");
    assert_string_equal(sql_value(conn, "SELECT count(*) FROM pg_roles WHERE rolname = 'stranger'"),
                        "0");
    assert_string_equal(sql_value(conn, "SELECT count(DISTINCT (encoding, datcollate, datctype))"
                                        " FROM pg_database WHERE datname IN ('Fresh db', 'next')"),
                        "1");
    assert_string_equal(sql_once(dst, "'Fresh db'",
                                 "SELECT tableowner FROM pg_tables"
                                 " WHERE tablename = 't'"),
                        "App Owner\n");
    run = run_pghaul_env(env, "copy", "--source", source, "--target", fresh, "--create", "--roles");
    run_expect(run, 0); /* again: nothing to make, nothing to do */
    PQfinish(conn);
}

/* Of partitions that are in the same case the table is named, once; JSON has each. */
static void
test_notes_about_partitions(void **state)
{
    PGconn *conn = sql_connect(src, "postgres");

    (void)state;
    sql_exec(conn, "CREATE DATABASE parts");
    PQfinish(conn);
    conn = sql_connect(src, "parts");
    sql_exec(conn, "CREATE TABLE \"ev.ents\" (a int) PARTITION BY LIST (a);"
                   "DO $$ BEGIN FOR i IN 1..12 LOOP EXECUTE format('CREATE TABLE e_%s PARTITION OF"
                   " \"ev.ents\" FOR VALUES IN (%s)', i, i); END LOOP; END $$;"
                   "CREATE TABLE alone (a int)");
    PQfinish(conn);
    for (int json = 0; json < 2; json++) {
        struct run *run = run_pghaul_env(env, "check", "--source", pg_test_conninfo(src, "parts"),
                                         "--target", target, "--follow", "--set-replica-identity",
                                         json ? "--json" : "--no-acl");
        run_expect(run, 0);
        has(run_out(run), "public.alone");
        if (json) {
            json_t *root = json_loads(run_out(run), 0, NULL);
            assert_int_equal(count_of_kind(root, "replica identity"), 13);
            json_decref(root);
            continue;
        }
        has(run_out(run), "note     replica identity public.ev.ents (12 partitions): ");
        has(run_out(run), "cure: ALTER TABLE ONLY … REPLICA IDENTITY FULL");
        has(run_out(run), "cure: ALTER TABLE ONLY \"public\".\"alone\" REPLICA IDENTITY FULL");
        assert_null(strstr(run_out(run), "e_1"));
    }
    nothing_was_written();
}

static void
test_create_needs_a_name(void **state)
{
    struct run *run = run_pghaul_env(env, "copy", "--source", source, "--target",
                                     scratch_printf("host=%s", dst->dir), "--create");

    (void)state;
    run_expect(run, 2);
    has(run_err(run), "PH-USAGE --create: needs dbname in --target");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_both_servers_are_tried),
        cmocka_unit_test(test_target_not_empty),
        cmocka_unit_test(test_same_database),
        cmocka_unit_test(test_other_encoding),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_too_few_sessions),
        cmocka_unit_test(test_missing_rights),
        cmocka_unit_test(test_target_may_not_create),
        cmocka_unit_test(test_extension_of_another_version),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_notes_about_partitions),
        cmocka_unit_test(test_create_needs_a_name),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
