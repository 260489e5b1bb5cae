/*
 * --memory is kept: the largest resident size of each kind of job, at the smallest value and at the
 * default, on tables that are many times larger. Not under sanitizers, which take memory of their
 * own.
 */
/* timeout: 900 */
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
#define SMALLEST_KB (32L << 10)
#define DEFAULT_KB (64L << 10)
#define SMALLEST "--memory", "32MB"

static struct pair pair;
static const char *const secret[] = {"PGHAUL_SECRET=0123456789abcdef0123456789abcdef", NULL};

static int
start(void **state)
{
    static const struct pg_test_params source = {
        .conf = "autovacuum = off\nlogical_decoding_work_mem = 64kB\n"};
    static const struct pg_test_params target = {.conf = "autovacuum = off\n"};

    (void)state;
    pg_test_pair_new(&source, &target, &pair.src, &pair.dst);
    return 0;
}

static void
within(const struct run *run, long limit_kb, const char *what)
{
    print_message("  %s\n", what);
    run_expect_memory(run, limit_kb);
}

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    db.env = secret;
    pair_both(&db, "CREATE TABLE narrow (id int PRIMARY KEY, a int, b int);"
                   "CREATE TABLE wide (id int PRIMARY KEY, mail text, t text)");
    sql_exec(db.source, "INSERT INTO narrow SELECT g, g, g % 7 FROM generate_series(1, 300000) g;"
                        "INSERT INTO wide SELECT g, 'person' || g || '@corp.example',"
                        " repeat(md5(g::text), 60) FROM generate_series(1, 25000) g; ANALYZE");
    return db;
}

/* ---- a plain copy, and its proof by rows ---- */

static void
copies_and_proofs(void **state)
{
    static const struct {
        const char *jobs;
        const char *memory;
        long limit_kb;
    } runs[] = {{"2", "32MB", SMALLEST_KB}, {"8", "32MB", SMALLEST_KB}, {"8", "64MB", DEFAULT_KB}};
    struct pair_db db = new_db("plain");

    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct run *run =
            pair_copy(&db, "--data-only", "--jobs", runs[i].jobs, "--memory", runs[i].memory,
                      "--split", "1MB", "--restart", "--truncate", "--yes");
        pair_expect(run, 0, "proven");
        within(run, runs[i].limit_kb, scratch_printf("copy, %s jobs", runs[i].jobs));
    }
    sql_exec(db.target, "UPDATE narrow SET b = 8; DELETE FROM wide WHERE id % 50 = 0");
    struct run *run = pair_run(&db, "verify", "--data-only", SMALLEST, "--jobs", "2");
    pair_expect(run, 4, "differs in b");
    within(run, SMALLEST_KB, "verify, every row differs");
    run = pair_run(&db, "verify", "--data-only", "--table", "wide", SMALLEST, "--jobs", "2",
                   "--repair", "--yes");
    pair_expect(run, 0, NULL);
    within(run, SMALLEST_KB, "verify --repair");
    pair_db_end(&db);
}

/* ---- rules ---- */

/* Every row of 12 bytes becomes one of 2,000, of which several batches are full at once. */
static void
rules_that_make_much_of_few_rows(void **state)
{
    struct pair_db db = new_db("rules");
    const char *job = pair_job_file(
        &db,
        scratch_printf(
            "secret: {env: PGHAUL_SECRET}\ntables:\n  narrow:\n    columns: {b: {set: \"%0*d\"}}\n"
            "  wide:\n    columns: {mail: {mask: email}, t: {mask: text}}\n",
            2000, 0));

    (void)state;
    sql_exec(db.source, "DELETE FROM narrow WHERE id > 60000");
    sql_exec(db.target, "ALTER TABLE narrow ALTER b TYPE text");
    for (int i = 0; i < 2; i++) { /* few lanes wait for the target more than for themselves */
        struct run *run = pair_copy(&db, job, "--data-only", SMALLEST, "--jobs", i == 0 ? "2" : "8",
                                    "--split", "1MB", "--restart", "--truncate", "--yes");
        pair_expect(run, 0, "proven");
        within(run, SMALLEST_KB, "rules");
    }
    struct run *run = pair_run(&db, "verify", job, "--data-only", SMALLEST, "--leak-scan",
                               "--leak-values", "1000000");
    pair_expect(run, 0, "no leak was found");
    within(run, SMALLEST_KB, "verify --leak-scan");
    pair_db_end(&db);
}

/* Of one row 8,000 are made, each with a mask of its 10 kB text on the way. */
static void
rules_that_make_many_rows_of_one(void **state)
{
    struct pair_db db = pair_db_new(&pair, "each");
    const char *job = pair_job_file(&db, "secret: {env: PGHAUL_SECRET}\ntables:\n  t:\n"
                                         "    each: {column: tags, value: tag, position: n}\n"
                                         "    columns: {body: {do: [{mask: text}, {left: 20}]}}\n");

    (void)state;
    db.env = secret;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, body text, tags int[]);"
                        "ALTER TABLE t REPLICA IDENTITY FULL;"
                        "INSERT INTO t SELECT 1, repeat('words ', 1700),"
                        " ARRAY(SELECT generate_series(1, 8000))");
    sql_exec(db.target, "CREATE TABLE t (id int, body text, tag int, n int, PRIMARY KEY (id, n))");
    struct run *run = pair_follow(&db, job, "--data-only", SMALLEST);
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO t SELECT id + 1, body, tags FROM t");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 16000 FROM t", WAIT_MS);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    within(run, SMALLEST_KB, "many rows of one, copied and in the stream");
    pair_db_end(&db);
}

/* What the target keeps is more than what comes. */
static void
values_that_are_preserved(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserved");
    const char *job = pair_job_file(&db, "tables:\n  t: {preserve: {columns: [logo]}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v int, logo text);"
                   "ALTER TABLE t ALTER logo SET STORAGE EXTERNAL");
    sql_exec(db.source, "INSERT INTO t SELECT g, g, 'new' FROM generate_series(1, 3000) g");
    sql_exec(db.target, "INSERT INTO t SELECT g, 0, repeat('x', 1000000)"
                        " FROM generate_series(1, 200) g");
    struct run *run = pair_copy(&db, job, "--data-only", "--truncate", "--yes");
    pair_expect(run, 0, "proven");
    within(run, DEFAULT_KB, "copy with preserved columns");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t WHERE v = id AND"
                                        " length(logo) = CASE WHEN id <= 200 THEN 1000000 ELSE 3"
                                        " END"),
                     3000);
    run = pair_run(&db, "verify", job, "--data-only");
    pair_expect(run, 0, "agree");
    within(run, DEFAULT_KB, "verify with preserved columns");
    pair_db_end(&db);
}

/* ---- the stream ---- */

static const char change[] =
    "UPDATE narrow SET a = a + 1; UPDATE wide SET t = t || 'x'; UPDATE narrow SET b = b + 1";

/* A transaction that is applied while it arrives, one that waits whole, and a backlog for a team.
 */
static void
changes_that_follow(void **state)
{
    struct pair_db db = new_db("stream");

    sql_exec(db.source, "DELETE FROM narrow WHERE id > 60000; DELETE FROM wide WHERE id > 8000");
    struct run *run = pair_follow(&db, "--data-only", SMALLEST);
    struct run *late;

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, change);
    sql_exec(db.source, "BEGIN");
    sql_exec(db.source, change);
    sql_exec(db.source, "COMMIT");
    sql_wait_true(pair.dst, db.name, "SELECT min(a) = 3 FROM narrow WHERE id = 1", WAIT_MS);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    within(run, SMALLEST_KB, "follow, large transactions");
    for (int i = 0; i < 40; i++)
        sql_execf(db.source,
                  "UPDATE narrow SET a = a + 1 WHERE id %% 40 = %d;"
                  "UPDATE wide SET t = t || 'y' WHERE id %% 40 = %d",
                  i, i);
    late = pair_copy(&db, "--follow", "--name", db.name, "--data-only", SMALLEST, "--bulk-from",
                     "64kB", "--apply-jobs", "2", "--until", "now");
    pair_expect(late, 0, "followed to");
    within(late, SMALLEST_KB, "follow, a backlog");
    pair_same(&db, "SELECT count(*), sum(a), sum(b) FROM narrow");
    pair_same(&db, "SELECT count(*), sum(length(t)) FROM wide");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_and_proofs),
        cmocka_unit_test(rules_that_make_much_of_few_rows),
        cmocka_unit_test(rules_that_make_many_rows_of_one),
        cmocka_unit_test(values_that_are_preserved),
        cmocka_unit_test(changes_that_follow),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
