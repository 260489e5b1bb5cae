/* The plain path of a copy: everything arrives, proven by plain SQL and by pg_dump. */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/mixed.h"
#include "support/run.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <string.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

static int
start(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    mixed_new(src, "mixed");
    return 0;
}

static void
make_target(const char *dbname)
{
    PGconn *conn = sql_connect(dst, "postgres");

    sql_execf(conn, "CREATE DATABASE %s TEMPLATE template0", dbname);
    PQfinish(conn);
}

#define COPY(dbname, dir, ...)                                                                     \
    run_pghaul("copy", "--source", pg_test_conninfo(src, "mixed"), "--target",                     \
               pg_test_conninfo(dst, dbname), "--dir", dir, "--split", MIXED_SPLIT, ##__VA_ARGS__)

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

static void
test_whole_database(void **state)
{
    const char *dir = scratch_new_dir("whole");

    (void)state;
    make_target("whole");
    struct run *run = COPY("whole", dir);
    run_expect(run, 0);
    has(run_out(run), "proven");
    same_rows(src, "mixed", dst, "whole");
    same_schema(src, "mixed", dst, "whole");
    assert_string_equal(sql_once(dst, "whole",
                                 "SELECT count(*) FROM pghaul.chunk c JOIN pghaul.tbl"
                                 " t USING (tbl) WHERE target_name = 'big'"),
                        "3\n");
    same_no_sessions(src);
    same_no_sessions(dst);
}

/* The ledger knows that all is done: nothing is repeated. */
static void
test_second_run_says_finished(void **state)
{
    const char *dir = scratch_new_dir("again");
    const char *sql = "SELECT (SELECT max(done) FROM pghaul.step), (SELECT sum(xmin::text::int8)"
                      " FROM pghaul.chunk)";

    (void)state;
    make_target("again");
    run_expect(COPY("again", dir), 0);
    const char *before = sql_once(dst, "again", sql);
    struct run *run = COPY("again", dir);
    run_expect(run, 0);
    assert_string_equal(sql_once(dst, "again", sql), before);
    same_rows(src, "mixed", dst, "again");
    same_no_sessions(src);
}

/* The cluster's or a role's timeouts are for applications; they do not cut a longer copy short. */
static void
test_trap_28_timeouts_of_the_servers(void **state)
{
    static const char *const settings[] = {"statement_timeout", "lock_timeout",
                                           "idle_in_transaction_session_timeout",
                                           "idle_session_timeout"};
    struct pg_test_cluster *sides[] = {src, dst};
    const char *dbs[] = {"mixed", "timeouts"};

    (void)state;
    make_target("timeouts");
    for (int side = 0; side < 2; side++) {
        PGconn *conn = sql_connect(sides[side], "postgres");
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
            sql_execf(conn, "ALTER ROLE postgres IN DATABASE %s SET %s = '400ms'", dbs[side],
                      settings[i]);
        PQfinish(conn);
    }
    struct run *run = COPY("timeouts", scratch_new_dir("timeouts"), "--max-rate", "5MB/s");
    for (int side = 0; side < 2; side++) {
        PGconn *conn = sql_connect(sides[side], "postgres");
        sql_execf(conn, "ALTER ROLE postgres IN DATABASE %s RESET ALL", dbs[side]);
        PQfinish(conn);
    }
    run_expect(run, 0);
    same_rows(src, "mixed", dst, "timeouts");
}

static void
test_into_existing_schema(void **state)
{
    const char *dir = scratch_new_dir("existing");

    (void)state;
    mixed_new_empty(dst, "existing", "postgres");
    sql_once(dst, "existing",
             "INSERT INTO public.big SELECT 1, 'old' FROM generate_series(1, 10) RETURNING 1");
    struct run *run = COPY("existing", dir, "--data-only");
    run_expect(run, 3);
    has(run_err(run), "PH-TARGET-NOT-EMPTY");
    run_expect(COPY("existing", dir, "--data-only", "--restart", "--truncate", "--yes"), 0);
    assert_string_equal(same_digest(dst, "existing", "public.big"),
                        same_digest(src, "mixed", "public.big"));
    assert_string_equal(same_digest(dst, "existing", "public.lines"),
                        same_digest(src, "mixed", "public.lines"));
    same_no_sessions(src);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_database),
        cmocka_unit_test(test_second_run_says_finished),
        cmocka_unit_test(test_trap_28_timeouts_of_the_servers),
        cmocka_unit_test(test_into_existing_schema),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
