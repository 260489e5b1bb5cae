/* Verify and repair between a source of 15 and a target of every other major that is here. */
/* labels: majors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;

static const char SCHEMA[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok');"
    "CREATE TABLE item (id int PRIMARY KEY, m mood[], j jsonb, n numeric, at timestamptz,"
    " twice numeric GENERATED ALWAYS AS (n * 2) STORED, u int UNIQUE DEFERRABLE);"
    "CREATE TABLE child (id int PRIMARY KEY, item int REFERENCES item, v text);"
    "CREATE TABLE loose (a int, t text);"
    "INSERT INTO item (id, m, j, n, at, u) SELECT i, ARRAY['ok', 'sad']::mood[], "
    "jsonb_build_object('a', i), i / 7.0,"
    " '2020-01-01'::timestamptz + i * interval '1 hour', i FROM generate_series(1, 500) i;"
    "INSERT INTO child SELECT i, i, 'v' || i FROM generate_series(1, 500) i;"
    "INSERT INTO loose SELECT i % 10, 'x' FROM generate_series(1, 100) i;"
    "SELECT lo_from_bytea(77, 'abc'); CREATE SEQUENCE counter; SELECT setval('counter', 9)";

static const char DAMAGE[] =
    "UPDATE item SET m = '{ok}', n = 5 WHERE id = 7; DELETE FROM child WHERE id > 490;"
    "INSERT INTO loose VALUES (1, 'x')";

static int
setup(void **state)
{
    (void)state;
    src = pg_test_cluster_new(NULL);
    sql_once(src, "postgres", SCHEMA);
    return 0;
}

static void
verify_major(int major)
{
    struct pg_test_params params = {.major = major};
    struct pg_test_cluster *dst;
    struct run *run;

    if (!pg_test_major_present(major)) {
        print_message("PostgreSQL %d is not here: skipped\n", major);
        skip();
    }
    dst = pg_test_cluster_new(&params);
    sql_once(dst, "postgres", "CREATE TYPE shift AS (a int)");
    sql_once(dst, "postgres", SCHEMA);
    sql_once(dst, "postgres", "DROP TYPE shift");
    run = run_pghaul("verify", "--source", pg_test_conninfo(src, "postgres"), "--target",
                     pg_test_conninfo(dst, "postgres"), "--dir", scratch_dir());
    run_expect(run, 0);
    sql_once(dst, "postgres", DAMAGE);
    run = run_pghaul("verify", "--source", pg_test_conninfo(src, "postgres"), "--target",
                     pg_test_conninfo(dst, "postgres"), "--dir", scratch_dir());
    assert_int_equal(run->code, 4);
    assert_non_null(strstr(run_out(run), "(id=7) differs in m, n, twice"));
    assert_non_null(strstr(run_out(run), "10 rows missing on the target"));
    assert_non_null(strstr(run_out(run), "1 row only on the target"));
    run =
        run_pghaul("verify", "--source", pg_test_conninfo(src, "postgres"), "--target",
                   pg_test_conninfo(dst, "postgres"), "--dir", scratch_dir(), "--repair", "--yes");
    run_expect(run, 0);
    pg_test_cluster_stop(dst);
}

static void
to_13(void **state)
{
    (void)state;
    verify_major(13);
}

static void
to_14(void **state)
{
    (void)state;
    verify_major(14);
}

static void
to_16(void **state)
{
    (void)state;
    verify_major(16);
}

static void
to_17(void **state)
{
    (void)state;
    verify_major(17);
}

static void
to_18(void **state)
{
    (void)state;
    verify_major(18);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_13), cmocka_unit_test(to_14), cmocka_unit_test(to_16),
        cmocka_unit_test(to_17), cmocka_unit_test(to_18),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
