/*
 * Partitions that the source gets while a job follows their table, where the target has that table
 * in other partitions, or in none: their rows go in beside rows that are there and stay there.
 */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000
#define ALL "SELECT * FROM r ORDER BY id"

static struct pair pair;

static const char source_sql[] =
    "CREATE TABLE r (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);"
    "CREATE TABLE p1 PARTITION OF r FOR VALUES FROM (0) TO (100000);"
    "INSERT INTO r SELECT g, 'old' FROM generate_series(1, 500) g";

/* The first is too large for one transaction. */
static const char parts_sql[] =
    "CREATE TABLE p2 PARTITION OF r FOR VALUES FROM (100000) TO (200000);"
    "CREATE TABLE p3 PARTITION OF r FOR VALUES FROM (200000) TO (300000);"
    "INSERT INTO r SELECT 100000 + g, repeat('x', 1000) FROM generate_series(1, 12000) g;"
    "INSERT INTO r SELECT 200000 + g, 'new' FROM generate_series(1, 300) g";

static const char changes_sql[] =
    "UPDATE r SET t = 'changed' WHERE id < 100; DELETE FROM r WHERE id BETWEEN 200 AND 250;"
    "INSERT INTO r SELECT g, 'more' FROM generate_series(1001, 1100) g";

/* Of the target. */
static const char hash_sql[] = "CREATE TABLE r (id int PRIMARY KEY, t text) PARTITION BY HASH (id);"
                               "CREATE TABLE h0 PARTITION OF r FOR VALUES WITH (MODULUS 2,"
                               " REMAINDER 0);"
                               "CREATE TABLE h1 PARTITION OF r FOR VALUES WITH (MODULUS 2,"
                               " REMAINDER 1)";
static const char plain_sql[] = "CREATE TABLE r (id int PRIMARY KEY, t text)";
/* The old partition as on the source; the new ones' rows go where the root says. */
static const char rest_sql[] =
    "CREATE TABLE r (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);"
    "CREATE TABLE p1 PARTITION OF r FOR VALUES FROM (0) TO (100000);"
    "CREATE TABLE rest PARTITION OF r DEFAULT";

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

#define FOLLOW "--data-only", "--split", "1MB", "--jobs", "1"

static void
stop(struct run *run)
{
    run_signal(run, SIGTERM);
    pair_expect(run, 5, "the same command goes on");
}

/* The job follows r as it is first, has applied changes, and stands still; r has more by now. */
static struct pair_db
new_db(const char *name, const char *target_sql)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, source_sql);
    sql_exec(db.target, target_sql);
    struct run *run = pair_follow(&db, FOLLOW);
    pair_wait_following(&db, run);
    sql_exec(db.source, changes_sql);
    sql_wait_true(pair.dst, name, "SELECT count(*) = 100 FROM r WHERE t = 'more'", WAIT_MS);
    stop(run);
    sql_exec(db.source, parts_sql);
    sql_exec(db.source, "UPDATE r SET t = 'not applied yet' WHERE id < 10");
    return db;
}

/* It follows all of r; nothing of it was put off, and all was compared. */
static void
end(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    sql_exec(db->source, "UPDATE r SET t = t || '!' WHERE id % 7 = 0");
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, 0, "proven: every row of 3 tables was compared and is equal");
    pair_same(db, ALL);
    pair_db_end(db);
}

/* ---- what is there stays ---- */

static void
go_beside(const char *name, const char *target_sql)
{
    struct pair_db db = new_db(name, target_sql);
    struct run *run = pair_follow(&db, FOLLOW);

    run_wait_output(run, "2 tables are added", WAIT_MS);
    end(&db, run);
}

static void
parts_go_beside(void **state)
{
    (void)state;
    go_beside("hash", hash_sql);
    go_beside("plain", plain_sql);
    go_beside("rest", rest_sql);
}

static void
go_beside_truncating(const char *name, const char *target_sql)
{
    struct pair_db db = new_db(name, target_sql);
    struct run *run = pair_follow(&db, FOLLOW, "--truncate", "--yes");

    run_wait_output(run, "2 tables are added", WAIT_MS);
    end(&db, run);
}

/* The same command again must not empty what nothing copies again. */
static void
truncate_leaves_what_is_followed(void **state)
{
    (void)state;
    go_beside_truncating("hash_t", hash_sql);
    go_beside_truncating("plain_t", plain_sql);
    go_beside_truncating("rest_t", rest_sql);
}

/* ---- what starts again ---- */

static void
lose_snapshot(struct pair_db *db)
{
    sql_exec(db->source, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                         " application_name LIKE 'pghaul% holder'");
    sql_wait_true(pair.src, db->name,
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE"
                  " 'pghaul% holder'",
                  WAIT_MS);
}

/* Two snapshots must not mix in the new partitions; the old one is not copied a second time. */
static void
start_again(const char *name, const char *target_sql)
{
    static const char *const env[] = {"PGHAUL_FAILPOINT=before_commit=kill@2", NULL};
    struct pair_db db = new_db(name, target_sql);

    db.env = env;
    pair_expect(pair_follow(&db, FOLLOW), -SIGKILL, "2 tables are added");
    db.env = NULL;
    lose_snapshot(&db);
    sql_exec(db.source, "UPDATE r SET id = id + 50000 WHERE id BETWEEN 100001 AND 106000;"
                        "DELETE FROM r WHERE id BETWEEN 200100 AND 200110");
    struct run *run = pair_follow(&db, FOLLOW);
    run_wait_output(run, "table public.p2 starts again", WAIT_MS);
    end(&db, run);
    assert_null(strstr(run_err(run), "table public.p1 starts again"));
}

static void
only_what_is_new_starts_again(void **state)
{
    (void)state;
    start_again("hash_a", hash_sql);
    start_again("rest_a", rest_sql);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_go_beside),
        cmocka_unit_test(truncate_leaves_what_is_followed),
        cmocka_unit_test(only_what_is_new_starts_again),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
