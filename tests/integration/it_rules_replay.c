/*
 * One change of the source that goes along several routes, where it cannot go as part of a group's
 * net effect: in a group that goes change by change, or that is too large to be sent at once. What
 * comes of the change is one whole then, too.
 *
 * A group goes change by change because of one row that is not on the target. It is of the same
 * transaction, so that it is of the same group.
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
    pair = pair_new("autovacuum = off\n");
    return 0;
}

/* Rows are masked by condition: they go over to the other route when their kind changes. */
#define MASKED_JOB                                                                                 \
    "tables:\n"                                                                                    \
    "  t:\n"                                                                                       \
    "    into:\n"                                                                                  \
    "      - {table: t, where: \"kind = 'a'\", columns: {v: {set: masked}}}\n"                     \
    "      - {table: t, where: \"kind <> 'a'\"}\n"

#define T_SOURCE "SELECT id, kind, CASE kind WHEN 'a' THEN 'masked' ELSE v END, code FROM t"
#define T_TARGET "SELECT id, kind, v, code FROM t"

/* Sixty rows, those with odd numbers masked, and a table of which a row is missing on the target.
 */
static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, kind text NOT NULL, v text,"
                   " code text UNIQUE);"
                   "CREATE TABLE other (id int PRIMARY KEY, n int)");
    sql_exec(db.source, "ALTER TABLE t REPLICA IDENTITY FULL;"
                        "INSERT INTO t SELECT g, CASE g % 2 WHEN 1 THEN 'a' ELSE 'b' END, 'v' || g,"
                        " 'c' || g FROM generate_series(1, 60) g;"
                        "INSERT INTO other SELECT g, 0 FROM generate_series(1, 9) g");
    return db;
}

static struct run *
follow(struct pair_db *db, const char *job, const char *policy)
{
    struct run *run = pair_follow(db, job, "--data-only", "--no-owner", "--on-conflict", policy);

    pair_wait_following(db, run);
    sql_exec(db->target, "DELETE FROM other WHERE id = 1");
    return run;
}

/* The changes as one transaction, with the one that has nothing to hit. */
static void
change(struct pair_db *db, const char *sql)
{
    sql_execf(db->source, "BEGIN; %s; UPDATE other SET n = 1; COMMIT", sql);
}

static void
ends(struct pair_db *db, struct run *run, int conflicts)
{
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, 4,
                scratch_printf("%d change%s of the stream did not fit", conflicts,
                               conflicts == 1 ? "" : "s"));
}

/* ---- rows that go over ---- */

#define GO_OVER                                                                                    \
    "UPDATE t SET kind = CASE kind WHEN 'a' THEN 'b' ELSE 'a' END WHERE id <= 20;"                 \
    "UPDATE t SET kind = 'a', v = 'new' WHERE id BETWEEN 31 AND 40;"                               \
    "UPDATE t SET kind = 'a', id = id + 100, code = 'd' || id WHERE id IN (42, 44, 46);"           \
    "UPDATE t SET kind = 'b', id = id + 100 WHERE id IN (43, 45);"                                 \
    "DELETE FROM t WHERE id IN (1, 2); INSERT INTO t VALUES (1, 'b', 'again', 'c1')"

static void
go_over_beside_a_conflict(const char *name, const char *policy)
{
    struct pair_db db = new_db(name);
    const char *job = pair_job_file(&db, MASKED_JOB);
    struct run *run = follow(&db, job, policy);

    change(&db, GO_OVER);
    ends(&db, run, 1);
    pair_same_as(&db, T_SOURCE " ORDER BY 1", T_TARGET " ORDER BY 1");
    pair_db_end(&db);
}

static void
rows_go_over_beside_what_is_skipped(void **state)
{
    (void)state;
    go_over_beside_a_conflict("over_skip", "skip");
}

static void
rows_go_over_beside_what_is_overwritten(void **state)
{
    (void)state;
    go_over_beside_a_conflict("over_overwrite", "overwrite");
}

/*
 * A row that goes over is in conflict as a whole: it does not come back where it is missing, and is
 * not lost where its new form is refused. Another unique value passes on within one transaction.
 */
static void
rows_in_conflict_go_over(void **state)
{
    struct pair_db db = new_db("over_conflict");
    struct run *run = follow(&db, pair_job_file(&db, MASKED_JOB), "skip");

    (void)state;
    sql_exec(db.target, "DELETE FROM t WHERE id = 10; INSERT INTO t VALUES"
                        " (98, 'x', 'x', 'gone'), (99, 'x', 'x', 'taken')");
    change(&db, "UPDATE t SET kind = 'a' WHERE id IN (8, 10);"
                "UPDATE t SET kind = 'a', code = 'taken' WHERE id = 12;"
                "UPDATE t SET kind = 'b', code = 'free' WHERE id = 13;"
                "UPDATE t SET kind = 'a', code = 'c13' WHERE id = 14;"
                "UPDATE t SET kind = 'b', id = 113, code = 'gone' WHERE id = 15");
    ends(&db, run, 4);
    pair_same_as(&db, T_SOURCE " WHERE id NOT IN (10, 12, 113) ORDER BY 1",
                 T_TARGET " WHERE id NOT IN (12, 15, 98, 99) ORDER BY 1");
    assert_string_equal(sql_rows(db.target, T_TARGET " WHERE id IN (10, 12, 15, 113) ORDER BY 1"),
                        "12|b|v12|c12\n15|a|masked|c15\n");
    pair_db_end(&db);
}

static struct run *
follow_many(struct pair_db *db)
{
    sql_exec(db->source, "INSERT INTO t SELECT g, 'b', repeat('p', 150 + g % 50), NULL"
                         " FROM generate_series(1001, 41000) g");
    struct run *run = pair_follow(db, pair_job_file(db, MASKED_JOB), "--data-only", "--memory",
                                  "32MB", "--on-conflict", "skip");
    pair_wait_following(db, run);
    return run;
}

/*
 * The group is full again and again, whichever route a change is at, and has no conflict: then
 * nothing has to go change by change.
 */
static void
large_groups_are_not_parted_within_a_change(void **state)
{
    struct pair_db db = new_db("parted");
    struct run *run = follow_many(&db);

    (void)state;
    sql_exec(db.source, "UPDATE t SET kind = 'a' WHERE id > 1000");
    sql_exec(db.source, "BEGIN; UPDATE t SET v = v || 'x' WHERE id > 40000;"
                        "UPDATE t SET kind = 'b' WHERE id BETWEEN 1001 AND 39000; COMMIT");
    sql_wait_true(pair.dst, db.name,
                  "SELECT (state #>> '{follow,transactions}')::int = 2 FROM pghaul.progress",
                  WAIT_MS);
    assert_string_equal(
        sql_value(db.target, "SELECT state #>> '{follow,replays}' FROM pghaul.progress"), "0");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    pair_same_as(&db, T_SOURCE " ORDER BY 1", T_TARGET " ORDER BY 1");
    pair_db_end(&db);
}

static void
large_groups_go_change_by_change(void **state)
{
    struct pair_db db = new_db("parted_skip");
    struct run *run = follow_many(&db);

    (void)state;
    sql_exec(db.target, "DELETE FROM other WHERE id = 1");
    change(&db, "UPDATE t SET kind = 'a' WHERE id BETWEEN 1001 AND 31000");
    ends(&db, run, 1);
    pair_same_as(&db, T_SOURCE " ORDER BY 1", T_TARGET " ORDER BY 1");
    pair_db_end(&db);
}

/* ---- keys that the target enforces ---- */

static void
let_enforce(struct pair_db *db)
{
    static bool is_made;

    if (!is_made)
        sql_once(pair.dst, "postgres", "CREATE ROLE mover LOGIN");
    is_made = true;
    sql_execf(db->target,
              "ALTER DATABASE \"%s\" OWNER TO mover; ALTER SCHEMA public OWNER TO mover", db->name);
    db->target_user = "mover";
}

static void
own_tables(struct pair_db *db, const char *tables)
{
    for (const char *name = tables; *name != '\0'; name += strlen(name) + 1)
        sql_execf(db->target, "ALTER TABLE %s OWNER TO mover", name);
}

/* A row becomes a parent and its child: none of both is refused for the order they come in. */
static void
parents_and_children_of_one_row(void **state)
{
    struct pair_db db = new_db("split");
    const char *job = pair_job_file(
        &db, "tables:\n"
             "  posts:\n"
             "    into:\n"
             "      - {table: posts, drop: [body]}\n"
             "      - {table: bodies, columns: {post_id: {from: id}, words: {from: body}}, "
             "drop: [title]}\n");

    (void)state;
    let_enforce(&db);
    sql_exec(db.source, "CREATE TABLE posts (id int PRIMARY KEY, title text, body text);"
                        "INSERT INTO posts SELECT g, 't' || g, 'b' || g"
                        " FROM generate_series(1, 50) g");
    sql_exec(db.target, "CREATE TABLE posts (id int PRIMARY KEY, title text);"
                        "CREATE TABLE bodies (post_id int PRIMARY KEY REFERENCES posts,"
                        " words text)");
    own_tables(&db, "t\0other\0posts\0bodies\0");
    struct run *run = follow(&db, job, "skip");
    change(&db, "DELETE FROM posts WHERE id <= 3; UPDATE posts SET id = id + 100 WHERE id > 45;"
                "UPDATE posts SET title = 'x', body = 'y' WHERE id = 10;"
                "INSERT INTO posts VALUES (60, 'new', 'new'), (1, 'again', 'again')");
    ends(&db, run, 1);
    pair_same_as(&db, "SELECT id, title, id, body FROM posts ORDER BY 1",
                 "SELECT id, title, post_id, words FROM posts FULL JOIN bodies ON id = post_id"
                 " ORDER BY 1");
    pair_db_end(&db);
}

/* Rows of t from 11 on are referred to by a key that acts, the first nine by one that does not. */
static struct pair_db
new_referred(const char *name)
{
    struct pair_db db = new_db(name);

    let_enforce(&db);
    pair_both(&db, "CREATE TABLE stays (id int PRIMARY KEY, t int REFERENCES t);"
                   "CREATE TABLE goes (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE"
                   " ON UPDATE CASCADE)");
    sql_exec(db.source, "INSERT INTO stays SELECT g, g FROM generate_series(1, 9) g;"
                        "INSERT INTO goes SELECT g, g FROM generate_series(11, 60) g");
    own_tables(&db, "t\0other\0stays\0goes\0");
    return db;
}

/* A row that others refer to goes over to another route without being gone in between. */
static void
rows_that_are_referred_to_go_over(void **state)
{
    struct pair_db db = new_referred("referred");
    struct run *run = pair_follow(&db, pair_job_file(&db, MASKED_JOB), "--data-only", "--no-owner");

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE t SET kind = CASE kind WHEN 'a' THEN 'b' ELSE 'a' END;"
                        "UPDATE t SET id = id + 100, kind = 'a' WHERE id BETWEEN 11 AND 20;"
                        "DELETE FROM t WHERE id BETWEEN 30 AND 35");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    pair_same_as(&db, T_SOURCE " ORDER BY 1", T_TARGET " ORDER BY 1");
    pair_same_table(&db, "stays");
    pair_same_table(&db, "goes");
    pair_db_end(&db);
}

/* Nothing of the target would refuse to delete it: what refers to it would silently be gone, too.
 */
static void
keys_do_not_act_upon_rows_that_go_over(void **state)
{
    struct pair_db db = new_referred("acting");
    struct run *run = pair_follow(&db, pair_job_file(&db, MASKED_JOB), "--data-only", "--no-owner");

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source,
             "UPDATE t SET kind = CASE kind WHEN 'a' THEN 'b' ELSE 'a' END WHERE id > 10");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    pair_same_as(&db, T_SOURCE " ORDER BY 1", T_TARGET " ORDER BY 1");
    pair_same_table(&db, "goes");
    pair_db_end(&db);
}

/* What the target has in a column of its own is the row's, whichever route it takes. */
static void
own_columns_go_over(void **state)
{
    struct pair_db db = new_db("own");

    (void)state;
    sql_exec(db.target, "ALTER TABLE t ADD extra text");
    struct run *run = pair_follow(&db, pair_job_file(&db, MASKED_JOB), "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.target, "UPDATE t SET extra = 'of ' || code");
    sql_exec(db.source, "UPDATE t SET kind = CASE kind WHEN 'a' THEN 'b' ELSE 'a' END");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    pair_same_as(&db, T_SOURCE " ORDER BY 1", T_TARGET " ORDER BY 1");
    assert_int_equal(
        sql_int(db.target, "SELECT count(*) FROM t WHERE extra IS DISTINCT FROM 'of ' || code"), 0);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_over_beside_what_is_skipped),
        cmocka_unit_test(rows_go_over_beside_what_is_overwritten),
        cmocka_unit_test(rows_in_conflict_go_over),
        cmocka_unit_test(large_groups_are_not_parted_within_a_change),
        cmocka_unit_test(large_groups_go_change_by_change),
        cmocka_unit_test(parents_and_children_of_one_row),
        cmocka_unit_test(rows_that_are_referred_to_go_over),
        cmocka_unit_test(keys_do_not_act_upon_rows_that_go_over),
        cmocka_unit_test(own_columns_go_over),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
