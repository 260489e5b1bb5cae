/*
 * A run that ends at a change of the stream ends right before that: what was committed on the
 * source before it is on the target, although it was gathered into one group with the change.
 *
 * That they come as one group is no matter of chance: the applier waits for a lock on the target
 * until all of them are in the spool.
 */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\nlogical_decoding_work_mem = 64kB\n");
    return 0;
}

/* Follows with these rules, and is held: what the source commits now comes in one group. */
struct scene {
    struct pair_db db;
    const char *job; /* file */
    struct run *run;
    PGconn *gate;
};

static const char rules[] = "maps:\n  m: {a: x, b: y}\n"
                            "tables:\n"
                            "  t: {columns: {v: {map: m}}}\n"
                            "  cats: {into: pets, columns: {kind: {set: cat}}}\n"
                            "  dogs: {into: pets, columns: {kind: {set: dog}}}\n";

static struct run *
follow(struct scene *scene)
{
    return pair_follow(&scene->db, scene->job, "--data-only", "--memory", "32MB");
}

static struct scene
begin(const char *name)
{
    struct scene scene = {.db = pair_db_new(&pair, name)};
    struct pair_db *db = &scene.db;

    sql_exec(db->source,
             "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a');"
             "CREATE TABLE plain (id int PRIMARY KEY, n int DEFAULT 0);"
             "INSERT INTO plain SELECT generate_series(1, 9);"
             "CREATE TABLE gate (id int PRIMARY KEY); CREATE TABLE cats (id int PRIMARY KEY);"
             "CREATE TABLE dogs (id int PRIMARY KEY);"
             "CREATE TABLE ev_1 (id int, d int NOT NULL, PRIMARY KEY (id, d));"
             "CREATE TABLE ev_2 (id int, d int NOT NULL, PRIMARY KEY (id, d))");
    sql_exec(db->target,
             "CREATE TABLE t (id int PRIMARY KEY, v text);"
             "CREATE TABLE plain (id int PRIMARY KEY, n int); CREATE TABLE gate (id int PRIMARY "
             "KEY); CREATE TABLE pets (kind text, id int, PRIMARY KEY (kind, id));"
             "CREATE TABLE ev (id int, d int NOT NULL, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);"
             "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10);"
             "CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM (10) TO (20)");
    scene.job = pair_job_file(db, rules);
    scene.run = follow(&scene);
    pair_wait_following(db, scene.run);
    scene.gate = sql_connect(pair.dst, name);
    sql_exec(scene.gate, "BEGIN; LOCK TABLE gate IN SHARE MODE");
    sql_exec(db->source, "INSERT INTO gate VALUES (1)");
    sql_wait_true(pair.dst, name,
                  "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND"
                  " relation = 'gate'::regclass",
                  WAIT_MS);
    return scene;
}

/* All that the source has committed is in the spool; then the applier goes on, to its end. */
static void
release(struct scene *scene, int code, const char *why)
{
    struct pair_db *db = &scene->db;

    pair_wait_written(db);
    PQfinish(scene->gate);
    run_wait(scene->run, RUN_DEADLINE_MS);
    pair_expect(scene->run, code, why);
}

/* The same when the command is given again; the rows of `sql` are those before the change. */
static void
ends_before(struct scene *scene, int code, const char *why, const char *sql, const char *rows)
{
    release(scene, code, why);
    assert_string_equal(sql_rows(scene->db.target, sql), rows);
    scene->run = follow(scene);
    run_wait(scene->run, RUN_DEADLINE_MS);
    pair_expect(scene->run, code, why);
    assert_string_equal(sql_rows(scene->db.target, sql), rows);
    pair_db_end(&scene->db);
}

#define T_AND_PLAIN                                                                                \
    "SELECT 't', id, v FROM t UNION ALL SELECT 'p', id, n::text FROM plain"                        \
    " WHERE n <> 0 ORDER BY 1, 2"

/* ---- read, and not to be applied ---- */

static void
test_bad_value(void **state)
{
    struct scene scene = begin("bad_value");

    (void)state;
    sql_exec(scene.db.source, "INSERT INTO t VALUES (2, 'b')");
    sql_exec(scene.db.source, "UPDATE plain SET n = 1 WHERE id = 1");
    sql_exec(scene.db.source, "BEGIN; UPDATE plain SET n = 2 WHERE id = 2;"
                              "INSERT INTO t VALUES (3, 'odd'); COMMIT");
    sql_exec(scene.db.source, "UPDATE plain SET n = 3 WHERE id = 3");
    ends_before(&scene, 1, "id=3", T_AND_PLAIN, "p|1|1\nt|1|x\nt|2|y\n");
}

/* The transaction is larger than a group, and came in blocks: parts of it are there already. */
static void
test_bad_value_in_a_large_transaction(void **state)
{
    struct scene scene = begin("bad_large");

    (void)state;
    sql_exec(scene.db.source, "INSERT INTO t VALUES (2, 'b')");
    sql_exec(scene.db.source, "BEGIN; INSERT INTO plain SELECT g, 7 FROM"
                              " generate_series(100, 100000) g;"
                              "INSERT INTO t VALUES (3, 'odd'); COMMIT");
    ends_before(&scene, 1, "id=3", T_AND_PLAIN, "t|1|x\nt|2|y\n");
}

static void
test_truncate_of_one_of_several(void **state)
{
    struct scene scene = begin("truncate");

    (void)state;
    sql_exec(scene.db.source, "INSERT INTO cats VALUES (1)");
    sql_exec(scene.db.source, "INSERT INTO dogs VALUES (1)");
    sql_exec(scene.db.source, "TRUNCATE cats");
    sql_exec(scene.db.source, "INSERT INTO dogs VALUES (2)");
    ends_before(&scene, 3, "TRUNCATE of a table whose rows are among those of others",
                "SELECT * FROM pets ORDER BY 1", "cat|1\ndog|1\n");
}

/* Tables of the source that are partitions on the target: their rows are those of its root. */
static void
test_truncate_of_one_of_a_root(void **state)
{
    struct scene scene = begin("truncate_root");

    (void)state;
    sql_exec(scene.db.source, "INSERT INTO ev_1 VALUES (1, 1)");
    sql_exec(scene.db.source, "TRUNCATE ev_1, ev_2");
    sql_exec(scene.db.source, "INSERT INTO ev_1 VALUES (2, 1)");
    sql_exec(scene.db.source, "INSERT INTO ev_2 VALUES (3, 11)");
    sql_exec(scene.db.source, "TRUNCATE ev_1");
    sql_exec(scene.db.source, "INSERT INTO ev_2 VALUES (4, 11)");
    ends_before(&scene, 3, "TRUNCATE of a table whose rows are among those of others",
                "SELECT * FROM ev ORDER BY 1", "2|1\n3|11\n");
}

static void
test_column_that_is_not_there(void **state)
{
    struct scene scene = begin("columns");

    (void)state;
    sql_exec(scene.db.source, "UPDATE plain SET n = 1 WHERE id = 1");
    sql_exec(scene.db.source, "ALTER TABLE plain ADD late text");
    sql_exec(scene.db.source, "UPDATE plain SET n = 2 WHERE id = 2");
    release(&scene, 1, "PH-TABLE-CHANGED public.plain: column late");
    assert_string_equal(sql_rows(scene.db.target, T_AND_PLAIN), "p|1|1\nt|1|x\n");
    pair_db_end(&scene.db);
}

/* ---- refused by the target ---- */

static void
test_conflict(void **state)
{
    struct scene scene = begin("conflict");

    (void)state;
    sql_exec(scene.db.target, "DELETE FROM plain WHERE id = 3");
    sql_exec(scene.db.source, "INSERT INTO t VALUES (2, 'b')");
    sql_exec(scene.db.source, "UPDATE plain SET n = 1 WHERE id = 1");
    sql_exec(scene.db.source, "BEGIN; UPDATE plain SET n = 2 WHERE id IN (1, 2);"
                              "UPDATE plain SET n = 2 WHERE id = 3; COMMIT");
    sql_exec(scene.db.source, "UPDATE plain SET n = 4 WHERE id = 4");
    ends_before(&scene, 1, "PH-CONFLICT", T_AND_PLAIN, "p|1|1\nt|1|x\nt|2|y\n");
}

/* What the source had first is told, though the other is met first. */
static void
test_conflict_before_a_bad_value(void **state)
{
    struct scene scene = begin("both");

    (void)state;
    sql_exec(scene.db.target, "DELETE FROM plain WHERE id = 3");
    sql_exec(scene.db.source, "UPDATE plain SET n = 1 WHERE id = 1");
    sql_exec(scene.db.source, "UPDATE plain SET n = 2 WHERE id = 3");
    sql_exec(scene.db.source, "UPDATE plain SET n = 3 WHERE id = 2");
    sql_exec(scene.db.source, "INSERT INTO t VALUES (3, 'odd')");
    ends_before(&scene, 1, "PH-CONFLICT", T_AND_PLAIN, "p|1|1\nt|1|x\n");
}

/* One of the group is refused at its COMMIT only, which is before what was read. */
static void
test_what_was_before_does_not_go_through(void **state)
{
    struct scene scene = begin("not_before");

    (void)state;
    sql_exec(scene.db.target,
             "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
             " $$BEGIN RAISE EXCEPTION 'not here'; END$$;"
             "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON plain DEFERRABLE INITIALLY DEFERRED"
             " FOR EACH ROW EXECUTE FUNCTION no(); ALTER TABLE plain ENABLE ALWAYS TRIGGER late");
    sql_exec(scene.db.source, "INSERT INTO t VALUES (2, 'b')");
    sql_exec(scene.db.source, "UPDATE plain SET n = 1 WHERE id = 1");
    sql_exec(scene.db.source, "INSERT INTO t VALUES (3, 'odd')");
    release(&scene, 1, "not here");
    pair_expect(scene.run, 1, "at the COMMIT of the source's transaction");
    assert_string_equal(sql_rows(scene.db.target, T_AND_PLAIN), "t|1|x\nt|2|y\n");
    sql_exec(scene.db.target, "DROP TRIGGER late ON plain");
    scene.run = follow(&scene);
    run_wait(scene.run, RUN_DEADLINE_MS);
    pair_expect(scene.run, 1, "id=3");
    assert_string_equal(sql_rows(scene.db.target, T_AND_PLAIN), "p|1|1\nt|1|x\nt|2|y\n");
    pair_db_end(&scene.db);
}

/* ---- the target's trouble, not the rows' ---- */

/* A target where an INSERT into t fails so for a while: twice, or as long as there is trouble. */
static struct run *
follow_into_trouble(struct pair_db *db, const char *condition, const char *state)
{
    sql_exec(db->source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                         "CREATE TABLE u (id int PRIMARY KEY, v text)");
    struct run *run = pair_follow(db, "--on-conflict", "skip");
    pair_wait_following(db, run);
    sql_execf(db->target,
              "CREATE TABLE trouble (); INSERT INTO trouble DEFAULT VALUES; CREATE SEQUENCE n;"
              "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF %s THEN"
              " RAISE EXCEPTION SQLSTATE '%s' USING MESSAGE = 'as it happens'; END IF;"
              " RETURN NEW; END $$; CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE"
              " FUNCTION no(); ALTER TABLE t ENABLE ALWAYS TRIGGER no",
              condition, state);
    sql_exec(db->source, "BEGIN; INSERT INTO u VALUES (1, 'u'); INSERT INTO t VALUES (1, 't');"
                         " COMMIT; INSERT INTO u VALUES (2, 'u')");
    return run;
}

static void
loses_nothing(struct pair_db *db, struct run *run)
{
    run_expect(run, 0);
    pair_same_table(db, "t");
    pair_same_table(db, "u");
    pair_db_end(db);
}

static void
test_trouble_ends_the_run(void **state)
{
    /* a disk that is full; a table that is not as it was */
    static const struct {
        const char *state;
        int code;
    } cases[] = {{"53100", 5}, {"42703", 1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair_db db = pair_db_new(&pair, scratch_printf("trouble_%s", cases[i].state));
        struct run *run =
            follow_into_trouble(&db, "EXISTS (SELECT FROM public.trouble)", cases[i].state);
        pair_expect(run, cases[i].code, "as it happens");
        assert_null(strstr(run_err(run), "PH-CONFLICT"));
        assert_string_equal(sql_value(db.target, "SELECT count(*) FROM t"), "0");
        sql_exec(db.target, "DELETE FROM trouble");
        loses_nothing(&db, pair_follow(&db, "--on-conflict", "skip", "--until", "now"));
    }
}

static void
test_trouble_that_passes(void **state)
{
    /* a deadlock; somebody who cancels */
    static const char *const states[] = {"40P01", "57014"};

    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct pair_db db = pair_db_new(&pair, scratch_printf("passes_%zu", i));
        struct run *run = follow_into_trouble(&db, "nextval('public.n') <= 2", states[i]);
        sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM t", WAIT_MS);
        pair_expect(pair_stop(&db, "now"), 0, NULL);
        loses_nothing(&db, run);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_value),
        cmocka_unit_test(test_bad_value_in_a_large_transaction),
        cmocka_unit_test(test_truncate_of_one_of_several),
        cmocka_unit_test(test_truncate_of_one_of_a_root),
        cmocka_unit_test(test_column_that_is_not_there),
        cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_conflict_before_a_bad_value),
        cmocka_unit_test(test_what_was_before_does_not_go_through),
        cmocka_unit_test(test_trouble_ends_the_run),
        cmocka_unit_test(test_trouble_that_passes),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
