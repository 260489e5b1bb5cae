/*
 * Tables of the source that change, or go, while a job follows: what cannot go on stops, says what
 * to do, and goes on when that is done. (A column that is added: it_follow.)
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
    pair = pair_new("autovacuum = off\n");
    return 0;
}

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(
        db.source,
        "CREATE TABLE one (id serial PRIMARY KEY, a int, b text);"
        "INSERT INTO one (a, b) SELECT g, 'b' || g FROM generate_series(1, 100) g;"
        "CREATE TABLE two (id serial PRIMARY KEY, a int, one int REFERENCES one);"
        "CREATE VIEW both_of_them AS SELECT one.id, one.a, two.a AS n FROM one JOIN two USING (id);"
        "INSERT INTO two (a) SELECT g FROM generate_series(1, 100) g;"
        "CREATE TABLE three (id int PRIMARY KEY, day int);"
        "INSERT INTO three VALUES (1, 1)");
    return db;
}

/* It is dropped on the target, and comes again as it is on the source, while that is written to. */
static void
copied_anew(struct pair_db *db)
{
    sql_exec(db->target, "DROP TABLE one CASCADE");
    sql_exec(db->source, "UPDATE one SET a = a + 1 WHERE id < 50");
    struct run *run = pair_follow(db);
    run_wait_output(run, "public.one is not on the target any more: it is copied anew", 60000);
    pair_wait_following(db, run);
    sql_exec(db->source, "UPDATE one SET a = a + 1; INSERT INTO two (one) SELECT id FROM one");
    same_schema(pair.src, db->name, pair.dst, db->name);
    pair_end_equal(db, run);
}

static void
column_renamed(void **state)
{
    struct pair_db db = new_db("renamed");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE one SET a = 0 WHERE id = 1;"
                        "ALTER TABLE one RENAME COLUMN b TO c;"
                        "UPDATE two SET a = 0 WHERE id = 2; UPDATE one SET c = 'x' WHERE id = 3");
    pair_expect(run, 1, "public.one: column b is gone on the source since the copy began");
    pair_expect(run, 1, "DROP TABLE (with CASCADE");
    run = pair_follow(&db); /* not done yet */
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "DROP TABLE (with CASCADE");
    copied_anew(&db);
}

static void
column_dropped(void **state)
{
    struct pair_db db = new_db("dropped");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "ALTER TABLE one DROP COLUMN b; UPDATE one SET a = 7 WHERE id = 3");
    pair_expect(run, 1, "DROP TABLE (with CASCADE");
    /* between the ledger's note that it comes again and the copy */
    const char *const env[] = {"PGHAUL_FAILPOINT=after_table_left=kill", NULL};
    db.env = env;
    sql_exec(db.target, "DROP TABLE one CASCADE");
    run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    assert_int_equal(run->code, -SIGKILL);
    db.env = NULL;
    pair_end_equal(&db, pair_follow(&db));
}

static void
column_of_another_type(void **state)
{
    struct pair_db db = new_db("retyped");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "ALTER TABLE one ALTER COLUMN b TYPE bytea USING b::bytea;"
                        "UPDATE one SET b = 'x' WHERE id = 3");
    pair_expect(run, 1, "PH-TABLE-CHANGED");
    copied_anew(&db);
}

#define IS_ANOTHER(name) "column " name " of the source is not the one that was copied"

/* The last one: what the stream announces is what it was. The rows from before are not. */
static void
column_added_again(void **state)
{
    struct pair_db db = new_db("again");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "ALTER TABLE one DROP COLUMN b; ALTER TABLE one ADD COLUMN b text;"
                        "UPDATE one SET b = 'x' WHERE id = 3");
    run_wait(pair_stop(&db, "now"), RUN_DEADLINE_MS);
    pair_expect(run, 1, "PH-TABLE-CHANGED public.one: " IS_ANOTHER("b"));
    pair_expect(run, 1, "DROP TABLE (with CASCADE");
    run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, IS_ANOTHER("b"));
    sql_exec(db.target, "DROP TABLE one CASCADE");
    pair_expect(pair_follow(&db), 0, "followed to"); /* where it was told to */
    same_rows(pair.src, db.name, pair.dst, db.name);
    pair_db_end(&db);
}

/* Of one type: by names alone nothing has changed. */
static void
columns_that_swap_names(void **state)
{
    struct pair_db db = new_db("swapped");

    (void)state;
    sql_exec(db.source, "ALTER TABLE one ADD COLUMN c text DEFAULT 'c'");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "ALTER TABLE one RENAME b TO d; ALTER TABLE one RENAME c TO b;"
                        "ALTER TABLE one RENAME d TO c; UPDATE one SET a = 0 WHERE id = 3");
    pair_expect(run, 1, "PH-TABLE-CHANGED public.one: " IS_ANOTHER("b"));
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM one WHERE a = 0"), 0);
    copied_anew(&db);
}

/* A column that is added on both sides, and filled on the source. */
static void
is_taken_up(struct pair_db *db, const char *column)
{
    const char *add = scratch_printf("ALTER TABLE one ADD COLUMN %s text", column);

    sql_exec(db->target, add);
    sql_execf(db->source, "%s; UPDATE one SET %s = 'l'", add, column);
    sql_wait_true(pair.dst, db->name, scratch_printf("SELECT count(%s) = 100 FROM one", column),
                  60000);
}

/* One that was added while the job follows is known by its number, too, until it goes. */
static void
late_column_added_again(void **state)
{
    static const char add[] = "ALTER TABLE one ADD COLUMN late text";
    static const char drop[] = "ALTER TABLE one DROP COLUMN late";
    struct pair_db db = new_db("late");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    is_taken_up(&db, "late");
    pair_interrupt(run);
    sql_execf(db.source, "%s; %s", drop, add);
    run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, IS_ANOTHER("late"));
    sql_exec(db.source, drop);
    sql_exec(db.target, drop);
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    pair_interrupt(run);
    sql_exec(db.target, add);
    sql_execf(db.source, "%s; UPDATE one SET late = 'l' WHERE id < 9", add);
    pair_end_equal(&db, pair_follow(&db));
}

/* It goes on the source alone, where other columns come meanwhile: the target has its values yet.
 */
static void
late_column_comes_again(void **state)
{
    static const char add[] = "ALTER TABLE one ADD COLUMN late text";
    struct pair_db db = new_db("late_again");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    is_taken_up(&db, "late");
    pair_interrupt(run);
    sql_exec(db.source, "ALTER TABLE one DROP COLUMN late");
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    is_taken_up(&db, "more");
    pair_interrupt(run);
    sql_exec(db.source, add);
    run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "PH-TABLE-CHANGED public.one: " IS_ANOTHER("late"));
    copied_anew(&db);
}

/* ---- what rows of before have in a column that is added ---- */

#define LATE "ALTER TABLE one ADD COLUMN late "

/* The same on both sides, whether as one default or since nothing was filled in. */
static void
late_defaults_alike(void **state)
{
    static const char add[] =
        LATE "int NOT NULL DEFAULT 7; ALTER TABLE one ADD c char(9) DEFAULT 'a',"
             "ADD f float8[] DEFAULT '{0.1,2}', ADD n uuid, ADD d date DEFAULT '2024-02-29';"
             "ALTER TABLE one ALTER n SET DEFAULT gen_random_uuid(), ALTER d DROP DEFAULT";
    struct pair_db db = new_db("alike");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    pair_both(&db, "ALTER TABLE three ADD never int DEFAULT 1");
    sql_exec(db.target, add);
    sql_execf(db.source,
              "%s; INSERT INTO one (a) VALUES (1); UPDATE one SET late = 8, n ="
              " gen_random_uuid() WHERE id < 9",
              add);
    sql_wait_true(pair.dst, db.name, "SELECT count(n) = 9 FROM one", 60000);
    pair_interrupt(run);
    pair_end_equal(&db, pair_follow(&db));
}

/* The target's of the moment at which it was added there; and none at all. */
static void
late_defaults_that_differ(void **state)
{
    struct pair_db db = new_db("differ");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.target, LATE "char(3); ALTER TABLE one ADD at timestamptz DEFAULT now()");
    sql_exec(db.source, LATE "char(3) DEFAULT 'x'; ALTER TABLE one ADD at timestamptz DEFAULT "
                             "now(); UPDATE one SET a = 0 WHERE id = 3");
    pair_expect(run, 1, "PH-TABLE-CHANGED public.one: column late was added since the copy began");
    pair_expect(run, 1, "rows of before have 'x  ' in it on the source, but not on the target");
    sql_exec(db.target, "UPDATE one SET late = 'x'"); /* does as well as what is said */
    run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "drop the column and add it again with DEFAULT '20");
    sql_execf(db.target, "ALTER TABLE one DROP at, ADD at timestamptz DEFAULT '%s'",
              sql_value(db.source, "SELECT at FROM one LIMIT 1"));
    pair_end_equal(&db, pair_follow(&db));
}

/* Of every row its own. */
static void
late_values_of_rows(void **state)
{
    static const char add[] = LATE "bigserial";
    struct pair_db db = new_db("of_rows");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    pair_both(&db, "ALTER TABLE three ADD at timestamptz DEFAULT now()");
    sql_exec(db.target, add);
    sql_execf(db.source, "%s; UPDATE one SET a = 0 WHERE id = 3", add);
    pair_expect(run, 1, "column late was added since the copy began and the table was rewritten");
    sql_exec(db.target, "DROP TABLE three");
    copied_anew(&db);
}

/* No change tells of it: the end does. */
static void
late_column_without_changes(void **state)
{
    struct pair_db db = new_db("unchanged");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    pair_both(&db, LATE "timestamptz DEFAULT clock_timestamp()");
    run_wait(pair_stop(&db, "now"), RUN_DEADLINE_MS);
    pair_expect(run, 1, "PH-TABLE-CHANGED public.one: column late was added");
    pair_expect(run, 1, "DROP TABLE (with CASCADE");
    sql_exec(db.target, "DROP TABLE one CASCADE");
    pair_expect(pair_follow(&db), 0, "followed to");
    same_rows(pair.src, db.name, pair.dst, db.name);
    pair_db_end(&db);
}

/*
 * A type whose values are fit for text only makes the whole stream text; what waits in the spool
 * came in binary, and can not be applied by that any more.
 */
static void
column_for_text_only(void **state)
{
    static const char more[] = "ALTER TABLE one ADD COLUMN r regclass";
    struct pair_db db = new_db("textonly");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.target, "BEGIN; LOCK TABLE one IN EXCLUSIVE MODE");
    sql_exec(db.source, "UPDATE one SET a = 8 WHERE id = 3");
    sql_wait_true(pair.src, db.name,
                  "SELECT confirmed_flush_lsn >= pg_current_wal_lsn() FROM pg_replication_slots"
                  " WHERE database = current_database()",
                  60000);
    run_kill(run);
    sql_exec(db.source, more);
    sql_exec(db.target, more);
    sql_exec(db.target, "COMMIT");
    run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 3, "changes that wait in the spool came in binary");
    pair_expect(run, 3, "go on with tables and types as they were");
    sql_exec(db.source, "ALTER TABLE one DROP COLUMN r");
    sql_exec(db.target, "ALTER TABLE one DROP COLUMN r");
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_wait_true(pair.dst, db.name, "SELECT a = 8 FROM one WHERE id = 3", 60000);
    pair_interrupt(run);
    /* nothing waits any more */
    sql_exec(db.source, more);
    sql_exec(db.target, more);
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE one SET a = 9, r = 'pg_class' WHERE id = 4");
    pair_end_equal(&db, run);
}

/* What was open when the run was killed waits for nothing: it comes again, in the other form. */
static void
column_for_text_while_one_is_open(void **state)
{
    static const char more[] = "ALTER TABLE two ADD COLUMN r regclass";
    struct pair_db db = new_db("textopen");

    (void)state;
    sql_exec(db.source, "ALTER DATABASE textopen SET logical_decoding_work_mem = '64kB'");
    struct run *run = pair_follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE one SET a = 8 WHERE id = 3");
    sql_wait_true(pair.dst, db.name, "SELECT a = 8 FROM one WHERE id = 3", 60000);
    sql_exec(large,
             "BEGIN; INSERT INTO one SELECT g, g, md5(g::text) FROM generate_series(101, 9000) g");
    sql_wait_true(pair.src, db.name,
                  "SELECT stream_count > 0 FROM pg_stat_replication_slots JOIN"
                  " pg_replication_slots USING (slot_name) WHERE database = current_database()",
                  60000);
    sql_wait_true(pair.dst, db.name,
                  "SELECT (state #>> '{follow,spool_bytes}')::bigint > 100000 FROM pghaul.progress",
                  60000);
    run_kill(run);
    pair_both(&db, more);
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(large, "UPDATE one SET a = 9 WHERE id < 10; COMMIT");
    PQfinish(large);
    sql_exec(db.source, "UPDATE two SET r = 'pg_class'");
    pair_end_equal(&db, run);
}

/* There is nothing to make the table of. */
static void
data_only(void **state)
{
    struct pair_db db = new_db("data_only");

    (void)state;
    sql_exec(db.target, "CREATE TABLE three (id int PRIMARY KEY, day int)");
    struct run *run = pair_follow(&db, "--data-only", "--table", "three");
    pair_wait_following(&db, run);
    sql_exec(db.source, "ALTER TABLE three DROP COLUMN day; INSERT INTO three VALUES (2)");
    pair_expect(run, 1, "start over with --restart --yes");
    pair_db_end(&db);
}

/* The stream calls it by its OID. */
static void
table_renamed(void **state)
{
    struct pair_db db = new_db("table_renamed");
    struct run *run = pair_follow(&db, "--table", "one", "--table", "two");

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "ALTER TABLE one RENAME TO uno; UPDATE uno SET a = -1;"
                        "DROP TABLE three"); /* of which nobody has heard */
    sql_wait_true(pair.dst, db.name, "SELECT bool_and(a = -1) FROM one", 60000);
    pair_interrupt(run);
    pair_expect(
        pair_run(&db, "copy", "--follow", "--name", db.name, "--table", "one", "--table", "two"), 2,
        "--table one matches nothing on the source");
    run = pair_follow(&db, "--table", "uno", "--table", "two");
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE uno SET a = -2; ALTER TABLE uno RENAME TO one");
    pair_interrupt(run);
    pair_end_equal(&db, pair_follow(&db, "--table", "one", "--table", "two"));
}

static void
table_dropped(void **state)
{
    struct pair_db db = new_db("table_dropped");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    /* the one in the middle of the ledger's, with changes that nobody wants any more */
    sql_exec(db.source, "UPDATE two SET a = -1; DROP TABLE two CASCADE; UPDATE one SET a = -1");
    sql_wait_true(pair.dst, db.name, "SELECT bool_and(a = -1) FROM one", 60000);
    pair_interrupt(run);
    run = pair_follow(&db);
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "drop it on the target as well");
    sql_exec(db.target, "DROP TABLE two CASCADE");
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE three SET day = 2; UPDATE one SET a = -2");
    pair_interrupt(run);
    pair_end_equal(&db, pair_follow(&db));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(column_renamed),
        cmocka_unit_test(column_dropped),
        cmocka_unit_test(column_of_another_type),
        cmocka_unit_test(column_added_again),
        cmocka_unit_test(columns_that_swap_names),
        cmocka_unit_test(late_column_added_again),
        cmocka_unit_test(late_column_comes_again),
        cmocka_unit_test(late_defaults_alike),
        cmocka_unit_test(late_defaults_that_differ),
        cmocka_unit_test(late_values_of_rows),
        cmocka_unit_test(late_column_without_changes),
        cmocka_unit_test(column_for_text_only),
        cmocka_unit_test(column_for_text_while_one_is_open),
        cmocka_unit_test(data_only),
        cmocka_unit_test(table_renamed),
        cmocka_unit_test(table_dropped),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
