/*
 * Columns that are added while a job lives, on both sides: what rows have in them that come by
 * changes from before, what the job cannot know, and what it says then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/same.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\nlogical_decoding_work_mem = '64kB'\n");
    return 0;
}

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, "CREATE TABLE one (id int PRIMARY KEY, a int);"
                        "INSERT INTO one SELECT g, g FROM generate_series(1, 100) g;"
                        "CREATE TABLE two (id int PRIMARY KEY, a int);"
                        "INSERT INTO two SELECT g, g FROM generate_series(1, 100) g");
    return db;
}

static struct run *
following(struct pair_db *db)
{
    struct run *run = pair_follow(db);

    pair_wait_following(db, run);
    return run;
}

static void
expect_refused(struct pair_db *db, const char *part)
{
    struct run *run = pair_follow(db);

    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, part);
}

#define ADD_AND_DROP_DEFAULT(table)                                                                \
    "ALTER TABLE " table " ADD c text NOT NULL DEFAULT 'it''s'; ALTER TABLE " table                \
    " ALTER c DROP DEFAULT, ADD d numeric(9,2) DEFAULT 7;"                                         \
    "ALTER TABLE " table " ALTER d SET DEFAULT 8;"

/* Rows of before that are still to come, whatever the target's default is by then. */
static void
default_dropped_before_rows_came(void **state)
{
    struct pair_db db = new_db("dropped");

    (void)state;
    sql_exec(db.source, "CREATE TABLE ids (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int);"
                        "INSERT INTO ids (a) SELECT g FROM generate_series(1, 9) g;"
                        "CREATE TABLE keyless (a int); ALTER TABLE keyless REPLICA IDENTITY FULL;"
                        "INSERT INTO keyless VALUES (1), (1)");
    pair_interrupt(following(&db));
    sql_exec(db.source, "INSERT INTO one VALUES (101, 1); UPDATE one SET id = 300 WHERE id = 3;"
                        "UPDATE one SET a = -1 WHERE id = 4;"
                        "INSERT INTO two SELECT g, g FROM generate_series(101, 9000) g;"
                        "UPDATE ids SET id = DEFAULT WHERE id = 4; INSERT INTO keyless VALUES (2);"
                        "UPDATE keyless SET a = 3 WHERE ctid = '(0,1)'");
    pair_both(&db, ADD_AND_DROP_DEFAULT("one") ADD_AND_DROP_DEFAULT("two")
                       ADD_AND_DROP_DEFAULT("ids") ADD_AND_DROP_DEFAULT("keyless"));
    sql_exec(db.source, "INSERT INTO one VALUES (102, 1, 'x', 9)");
    pair_end_equal(&db, pair_follow(&db));
}

/* The catalogs tell of what was filled in no more: what was found out once stays. */
static void
rewritten_before_rows_came(void **state)
{
    struct pair_db db = new_db("rewritten");
    const char *const env[] = {"PGHAUL_FAILPOINT=before_apply_commit=kill", NULL};

    (void)state;
    pair_interrupt(following(&db));
    sql_exec(db.source, "INSERT INTO one VALUES (101, 1)");
    pair_both(&db, "ALTER TABLE one ADD c int DEFAULT 7; ALTER TABLE one ALTER c DROP DEFAULT");
    db.env = env;
    struct run *run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    assert_int_equal(run->code, -SIGKILL);
    db.env = NULL;
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM one"), 100);
    sql_exec(db.source, "VACUUM FULL one");
    pair_end_equal(&db, pair_follow(&db));
}

/* Rows that came before the job knew of the column, by a default that the source did not have. */
static void
rows_that_came_by_another_default(void **state)
{
    struct pair_db db = new_db("came");
    struct run *run = following(&db);

    (void)state;
    sql_exec(db.target,
             "ALTER TABLE one ADD c int DEFAULT 7; ALTER TABLE one ALTER c DROP DEFAULT");
    sql_exec(db.source, "INSERT INTO one VALUES (101, 1)");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM one WHERE id = 101", 60000);
    sql_exec(db.source, "ALTER TABLE one ADD c int DEFAULT 7; ALTER TABLE one ALTER c DROP DEFAULT;"
                        "INSERT INTO one VALUES (102, 1, 8)");
    pair_expect(run, 1,
                "PH-TABLE-CHANGED public.one: column c was added since the copy began, and"
                " rows of before have '7' in it on the source, but not on the target");
    expect_refused(&db, "drop the column and add it again with DEFAULT '7'");
    sql_exec(db.target, "ALTER TABLE one DROP c; ALTER TABLE one ADD c int DEFAULT 7");
    pair_end_equal(&db, pair_follow(&db));
}

/* The target cannot take them before the source has the column. */
static void
not_null_without_a_default(void **state)
{
    static const char add[] =
        "ALTER TABLE one ADD c int NOT NULL DEFAULT 7; ALTER TABLE one ALTER c DROP DEFAULT";
    struct pair_db db = new_db("not_null");
    struct run *run = following(&db);

    (void)state;
    sql_exec(db.target, add);
    sql_exec(db.source, "INSERT INTO one VALUES (101, 1)");
    pair_expect(run, 1, "PH-CONFLICT");
    pair_expect(run, 1, "a column that the source has not yet");
    sql_exec(db.source, add);
    sql_exec(db.source, "INSERT INTO one VALUES (102, 1, 8)");
    pair_end_equal(&db, pair_follow(&db));
}

#define NULLABLE "ALTER TABLE %s ADD c int; ALTER TABLE %s ALTER c SET DEFAULT 7"

/* A change of the one has both looked at, while rows from before the other's still wait. */
static void
columns_of_two_tables(void **state)
{
    struct pair_db db = new_db("two_tables");
    struct run *run = following(&db);

    (void)state;
    sql_execf(db.target, NULLABLE, "one", "one");
    sql_execf(db.target, NULLABLE, "two", "two");
    run_signal(run, SIGSTOP);
    sql_execf(db.source, NULLABLE, "one", "one");
    sql_exec(db.source, "INSERT INTO one (id, a) VALUES (101, 1)");
    sql_exec(db.source, "INSERT INTO two (id, a) VALUES (101, 1)");
    sql_execf(db.source, NULLABLE, "two", "two");
    sql_exec(db.source, "INSERT INTO two (id, a) VALUES (102, 1)");
    run_signal(run, SIGCONT);
    pair_end_equal(&db, run);
}

/* The other's rows of before have each their own value, and none is on the target yet. */
static void
values_of_rows_that_are_still_to_come(void **state)
{
    struct pair_db db = new_db("to_come");

    (void)state;
    sql_exec(db.source, "TRUNCATE two");
    struct run *run = following(&db);
    sql_exec(db.target, "ALTER TABLE one ADD c int; ALTER TABLE two ADD c serial");
    run_signal(run, SIGSTOP);
    sql_exec(db.source, "ALTER TABLE one ADD c int; INSERT INTO one VALUES (101, 1, 1)");
    sql_exec(db.source, "INSERT INTO two VALUES (101, 1), (102, 1)");
    sql_exec(db.source, "DELETE FROM two WHERE id = 101");
    sql_exec(db.source, "ALTER TABLE two ADD c serial");
    sql_exec(db.source, "INSERT INTO two VALUES (103, 1)");
    run_signal(run, SIGCONT);
    pair_expect(run, 1,
                "PH-TABLE-CHANGED public.two: column c was added since the copy began and "
                "the table was rewritten on the source");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM one WHERE c = 1"), 1);
    sql_exec(db.target, "DROP TABLE two");
    pair_end_equal(&db, pair_follow(&db));
}

/* The same within the transaction that has added the column. */
static void
values_of_rows_of_one_transaction(void **state)
{
    struct pair_db db = new_db("one_txn");

    (void)state;
    sql_exec(db.source, "TRUNCATE two");
    pair_interrupt(following(&db));
    sql_exec(db.target, "ALTER TABLE two ADD c serial");
    sql_exec(db.source, "BEGIN; INSERT INTO two VALUES (101, 1); ALTER TABLE two ADD c serial;"
                        "INSERT INTO two VALUES (102, 1); COMMIT");
    expect_refused(&db, "which one the source gave this row, no stream brings");
    sql_exec(db.target, "DROP TABLE two");
    pair_end_equal(&db, pair_follow(&db));
}

/* Rows from after it has gone do not lack it: it is the target's alone. */
static void
column_that_goes_again(void **state)
{
    struct pair_db db = new_db("goes");
    struct run *run = following(&db);

    (void)state;
    pair_both(&db, "ALTER TABLE one ADD c int");
    sql_exec(db.source, "UPDATE one SET c = id");
    sql_wait_true(pair.dst, db.name, "SELECT count(c) = 100 FROM one", 60000);
    pair_both(&db, "ALTER TABLE one ALTER c SET NOT NULL; ALTER TABLE one ALTER c SET DEFAULT 7");
    sql_exec(db.source, "ALTER TABLE one DROP c; INSERT INTO one VALUES (101, 1)");
    sql_wait_true(pair.dst, db.name, "SELECT c = 7 FROM one WHERE id = 101", 60000);
    sql_exec(db.target, "ALTER TABLE one DROP c");
    sql_exec(db.source, "INSERT INTO one VALUES (102, 1)");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM one WHERE id = 102", 60000);
    pair_end_equal(&db, run);
}

/* The ledger has of the table the file that it is in. */
static void
wait_for_file(struct pair_db *db, const char *table)
{
    const char *file = sql_value(
        db->source,
        scratch_printf("SELECT relfilenode FROM pg_class WHERE oid = '%s'::regclass", table));

    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT filenode = %s FROM pghaul.tbl WHERE source_name = '%s'",
                                 file, table),
                  60000);
}

/* What rewrote a table before a column came to it did not fill that in. */
static void
tables_rewritten_before(void **state)
{
    struct pair_db db = new_db("before");
    struct run *run = following(&db);

    (void)state;
    sql_exec(db.source, "TRUNCATE one");
    sql_exec(db.source, "VACUUM FULL two");
    sql_exec(db.source, "INSERT INTO one VALUES (1, 1)");
    wait_for_file(&db, "one");
    wait_for_file(&db, "two");
    sql_execf(db.target, NULLABLE "; " NULLABLE, "one", "one", "two", "two");
    sql_execf(db.source, NULLABLE "; " NULLABLE, "one", "one", "two", "two");
    sql_exec(db.source, "INSERT INTO one (id, a) VALUES (2, 2)");
    sql_exec(db.source, "UPDATE two SET c = 1 WHERE id = 1");
    sql_wait_true(pair.dst, db.name, "SELECT c = 1 FROM two WHERE id = 1", 60000);
    /* a column beyond the plan, which rewrites it */
    pair_interrupt(run);
    sql_exec(db.source, "ALTER TABLE two ADD d bigserial");
    run = following(&db);
    sql_exec(db.source, "INSERT INTO one (id, a) VALUES (3, 3)");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM one WHERE id = 3", 60000);
    sql_exec(db.target, "ALTER TABLE two ADD d bigserial");
    run_wait(pair_stop(&db, "now"), RUN_DEADLINE_MS);
    pair_expect(run, 1,
                "PH-TABLE-CHANGED public.two: column d was added since the copy began and "
                "the table was rewritten");
    sql_exec(db.target, "DROP TABLE two");
    run = pair_follow(&db);
    pair_expect(run, 0, "followed to");
    same_rows(pair.src, db.name, pair.dst, db.name);
    pair_db_end(&db);
}

/* No change of it comes in any case. */
static void
column_of_an_unlogged_table(void **state)
{
    struct pair_db db = new_db("unlogged");

    (void)state;
    sql_exec(db.source, "CREATE UNLOGGED TABLE cache (id int PRIMARY KEY, a int);"
                        "INSERT INTO cache VALUES (1, 1), (2, 2)");
    struct run *run = following(&db);
    pair_both(&db, "ALTER TABLE cache ADD n bigserial; ALTER TABLE cache DROP a;"
                   "ALTER TABLE cache ADD a int");
    sql_exec(db.source, "INSERT INTO one VALUES (101, 1)");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 0, "its rows are those of the copy");
    pair_same_table(&db, "one");
    pair_db_end(&db);
}

/* ---- while rows are copied ---- */

/* A copy of which a part is there, under a snapshot that is lost. */
static struct pair_db
half_copied(const char *name)
{
    const char *const env[] = {"PGHAUL_FAILPOINT=after_commit=kill", NULL};
    struct pair_db db = new_db(name);

    sql_exec(
        db.source,
        "CREATE TABLE big (id int PRIMARY KEY, v text);"
        "INSERT INTO big SELECT g, repeat('x', 500) FROM generate_series(1, 24000) g; ANALYZE");
    db.env = env;
    struct run *run = pair_follow(&db, "--jobs", "1", "--split", "1MB");
    run_wait(run, RUN_DEADLINE_MS);
    assert_int_equal(run->code, -SIGKILL);
    db.env = NULL;
    assert_string_equal(sql_value(db.target,
                                  "SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM"
                                  " pghaul.chunk JOIN pghaul.tbl USING (job, tbl) WHERE"
                                  " source_name = 'big'"),
                        "done todo");
    sql_exec(db.source, "UPDATE one SET a = a + 1");
    sql_value(db.source, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE"
                         " application_name LIKE '% holder' AND datname = current_database()");
    return db;
}

/* The stream was begun in binary, in which its values cannot come. */
static void
column_that_the_stream_cannot_bring(void **state)
{
    struct pair_db db = half_copied("cannot");

    (void)state;
    pair_both(&db, "ALTER TABLE big ADD r regclass");
    sql_exec(db.source, "UPDATE big SET r = 'one' WHERE id < 10");
    for (int i = 0; i < 2; i++)
        expect_refused(&db, "PH-TABLE-CHANGED public.big: column r was added on the source since "
                            "the copy began, and the stream, which this job has begun in binary");
    pair_both(&db, "ALTER TABLE big DROP r");
    pair_end_equal(&db, pair_follow(&db));
}

/* Nothing was copied with it yet. */
static void
column_that_goes_before_rows_come(void **state)
{
    const char *const env[] = {"PGHAUL_FAILPOINT=after_claim=kill", NULL};
    struct pair_db db = half_copied("leaves");

    (void)state;
    pair_both(&db, "ALTER TABLE big ADD c int");
    db.env = env;
    struct run *run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    assert_int_equal(run->code, -SIGKILL);
    db.env = NULL;
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.tbl WHERE 'c' = ANY"
                                        " (source_columns) AND source_name = 'big'"),
                     1);
    pair_both(&db, "ALTER TABLE big DROP c");
    pair_end_equal(&db, pair_follow(&db));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_dropped_before_rows_came),
        cmocka_unit_test(rewritten_before_rows_came),
        cmocka_unit_test(rows_that_came_by_another_default),
        cmocka_unit_test(not_null_without_a_default),
        cmocka_unit_test(columns_of_two_tables),
        cmocka_unit_test(values_of_rows_that_are_still_to_come),
        cmocka_unit_test(values_of_rows_of_one_transaction),
        cmocka_unit_test(column_that_goes_again),
        cmocka_unit_test(tables_rewritten_before),
        cmocka_unit_test(column_of_an_unlogged_table),
        cmocka_unit_test(column_that_the_stream_cannot_bring),
        cmocka_unit_test(column_that_goes_before_rows_come),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
