/* Large objects: contents of all sizes, owners, grants and comments; resumed, compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "pg/large_object.h"
#include "support/pgcluster.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

#define CHECK(expr) assert_int_equal((expr), PH_OK)

static const char objects_sql[] =
    "SELECT lo_from_bytea(1000 + g, substr(decode(repeat(md5(g::text), 4000), 'hex'), 1, g * 41))"
    " FROM generate_series(0, 450) g;"
    "SELECT lo_from_bytea(5000, decode(repeat(md5('x'), 65536 * 3 + 7), 'hex'));"
    "SELECT lo_from_bytea(5001, decode(repeat(md5('y'), 512), 'hex'));"
    "SELECT lo_from_bytea(5002, decode(repeat(md5('y'), 512 + 16384), 'hex'));"
    "SELECT lo_create(4294967295);"
    "ALTER LARGE OBJECT 5000 OWNER TO lo_owner;"
    "GRANT SELECT ON LARGE OBJECT 5000 TO \"lo Reader\" WITH GRANT OPTION;"
    "GRANT SELECT, UPDATE ON LARGE OBJECT 5001 TO PUBLIC;"
    "REVOKE UPDATE ON LARGE OBJECT 5002 FROM postgres;"
    "COMMENT ON LARGE OBJECT 5000 IS 'it''s large'";

static int
setup(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    sql_once(src, "postgres", "CREATE ROLE lo_owner");
    sql_once(src, "postgres", "CREATE ROLE \"lo Reader\"");
    sql_once(dst, "postgres", "CREATE ROLE lo_owner");
    sql_once(dst, "postgres", "CREATE ROLE \"lo Reader\"");
    PGconn *conn = sql_connect(src, "postgres");
    sql_exec(conn, objects_sql);
    PQfinish(conn);
    return 0;
}

struct pair {
    struct ph_endpoint endpoints[2];
    struct ph_large_objects objects;
};

static void
pair_begin(struct pair *pair)
{
    struct ph_error err = {0};

    *pair = (struct pair){.objects = {.no_owner = false}};
    CHECK(ph_endpoint_init(&pair->endpoints[0], PH_SOURCE, pg_test_conninfo(src, "postgres"), "t",
                           &err));
    CHECK(ph_endpoint_init(&pair->endpoints[1], PH_TARGET, pg_test_conninfo(dst, "postgres"), "t",
                           &err));
    CHECK(ph_conn_open(&pair->endpoints[0], "a", &pair->objects.source, &err));
    CHECK(ph_conn_open(&pair->endpoints[1], "b", &pair->objects.target, &err));
}

static void
pair_end(struct pair *pair)
{
    ph_conn_free(pair->objects.source);
    ph_conn_free(pair->objects.target);
    ph_endpoint_reset(&pair->endpoints[0]);
    ph_endpoint_reset(&pair->endpoints[1]);
}

static const char *
compare(struct pair *pair)
{
    struct ph_findings findings;
    struct ph_error err = {0};
    const char *text = "";

    ph_findings_init(&findings);
    CHECK(ph_large_objects_compare(&pair->objects, &findings, &err));
    for (uint32_t i = 0; i < findings.n; i++)
        text = scratch_printf("%s%s %s: %s\n", text, ph_severity_name(findings.items[i].severity),
                              findings.items[i].object, findings.items[i].cause);
    ph_findings_reset(&findings);
    return text;
}

static const char contents_sql[] =
    "SELECT count(*), sum(hashtext(encode(lo_get(oid), 'hex'))::bigint * (oid::bigint % 997 + 1)),"
    " sum(length(lo_get(oid))) FROM pg_largeobject_metadata";
static const char properties_sql[] =
    "SELECT oid, pg_get_userbyid(lomowner), lomacl, obj_description(oid, 'pg_largeobject')"
    " FROM pg_largeobject_metadata ORDER BY oid";

static void
test_copy_resumed(void **state)
{
    struct ph_error err = {0};
    struct pair pair;
    uint64_t n;
    uint64_t bytes;

    (void)state;
    pair_begin(&pair);
    CHECK(ph_large_objects_copy(&pair.objects, &n, &bytes, &err));
    assert_int_equal(n, 455);
    CHECK(ph_large_objects_count(pair.objects.target, &n, &err));
    assert_int_equal(n, 455);
    assert_string_equal(compare(&pair), "");
    assert_string_equal(sql_once(src, "postgres", contents_sql),
                        sql_once(dst, "postgres", contents_sql));
    assert_string_equal(sql_once(src, "postgres", properties_sql),
                        sql_once(dst, "postgres", properties_sql));
    sql_once(dst, "postgres",
             "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid::bigint % 3 = 0");
    CHECK(ph_large_objects_copy(&pair.objects, &n, &bytes, &err));
    assert_in_range(n, 140, 160);
    assert_string_equal(sql_once(src, "postgres", contents_sql),
                        sql_once(dst, "postgres", contents_sql));
    pair_end(&pair);
}

static void
test_differences(void **state)
{
    struct pair pair;

    (void)state;
    pair_begin(&pair);
    sql_once(dst, "postgres", "SELECT lo_unlink(1000)");
    sql_once(dst, "postgres", "SELECT lo_put(1001, 3, '\\x00')");
    sql_once(dst, "postgres", "SELECT lo_put(5000, 2500000, '\\x00')");
    sql_once(dst, "postgres", "SELECT lo_create(77)");
    sql_once(dst, "postgres", "ALTER LARGE OBJECT 1002 OWNER TO lo_owner");
    sql_once(dst, "postgres", "GRANT SELECT ON LARGE OBJECT 1003 TO PUBLIC");
    sql_once(dst, "postgres", "COMMENT ON LARGE OBJECT 5000 IS NULL");
    assert_string_equal(compare(&pair),
                        "warning 77: only on the target\n"
                        "error 1000: missing on the target\n"
                        "error 1001: contents differ\n"
                        "error 1002: owners differ\n"
                        "error 1002: grants differ\n"
                        "error 1003: grants differ\n"
                        "error 5000: comments differ\n"
                        "error 5000: contents differ from byte 2097152 on or later\n");
    pair_end(&pair);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_resumed),
        cmocka_unit_test(test_differences),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
