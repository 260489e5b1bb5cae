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
    pair_interrupt(run);
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

/*
 * New rows refer to old ones that are not applied yet: a key between two tables that both have old
 * and new rows stands aside until the stream has brought all to one moment.
 */
static void
keys_between_old_and_new_wait(void **state)
{
    struct pair_db db = pair_db_new(&pair, "keys");

    (void)state;
    sql_exec(db.source, "CREATE TABLE q (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                        "CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (1000);"
                        "CREATE TABLE r (id int PRIMARY KEY, q int REFERENCES q)"
                        " PARTITION BY RANGE (id);"
                        "CREATE TABLE p1 PARTITION OF r FOR VALUES FROM (0) TO (1000);"
                        "INSERT INTO q VALUES (1); INSERT INTO r VALUES (1, 1)");
    sql_exec(db.target, "CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE keys TO plain;"
                        "GRANT CREATE ON SCHEMA public TO plain; SET ROLE plain;"
                        "CREATE TABLE q (id int PRIMARY KEY);"
                        "CREATE TABLE r (id int PRIMARY KEY, q int REFERENCES q); RESET ROLE");
    db.target_user = "plain";
    struct run *run = pair_follow(&db, "--data-only");
    pair_wait_following(&db, run);
    pair_interrupt(run);
    sql_exec(db.source, "CREATE TABLE q2 PARTITION OF q FOR VALUES FROM (1000) TO (2000);"
                        "CREATE TABLE p2 PARTITION OF r FOR VALUES FROM (1000) TO (2000);"
                        "INSERT INTO q VALUES (5), (1001); INSERT INTO r VALUES (1001, 5)");
    pair_expect(pair_follow(&db, "--data-only", "--until", "now"), 0, "proven");
    pair_same(&db, ALL);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
                     1);
    pair_db_end(&db);
}

/* The target's key is narrower than the source's, and a row has moved while the job stood still. */
static struct pair_db
move_row(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, "CREATE TABLE r (id int, at int, PRIMARY KEY (id, at))"
                        " PARTITION BY RANGE (at);"
                        "CREATE TABLE p1 PARTITION OF r FOR VALUES FROM (0) TO (1000);"
                        "INSERT INTO r SELECT g, g FROM generate_series(1, 9) g");
    sql_exec(db.target, "CREATE TABLE r (id int PRIMARY KEY, at int)");
    struct run *run = pair_follow(&db, "--data-only");
    pair_wait_following(&db, run);
    pair_interrupt(run);
    sql_exec(db.source, "CREATE TABLE p2 PARTITION OF r FOR VALUES FROM (1000) TO (2000);"
                        "UPDATE r SET at = 1005 WHERE id = 5");
    return db;
}

static void
row_that_moved_is_told(void **state)
{
    struct pair_db db = move_row("moved");

    (void)state;
    struct run *run = pair_follow(&db, "--data-only");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "PH-CONSTRAINT");
    pair_expect(run, 1, "the target still has it from before");
    pair_db_end(&db);
}

static void
row_that_moved_is_applied_first(void **state)
{
    struct pair_db db = move_row("first");

    (void)state;
    struct run *run = pair_follow(&db, "--data-only", "--exclude", "p2");
    pair_wait_following(&db, run);
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 0 FROM r WHERE id = 5", WAIT_MS);
    pair_interrupt(run);
    run = pair_follow(&db, "--data-only", "--until", "now");
    pair_expect(run, 0, "proven: every row of 2 tables was compared and is equal");
    pair_same(&db, ALL);
    pair_db_end(&db);
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
        cmocka_unit_test(keys_between_old_and_new_wait),
        cmocka_unit_test(row_that_moved_is_told),
        cmocka_unit_test(row_that_moved_is_applied_first),
        cmocka_unit_test(only_what_is_new_starts_again),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
