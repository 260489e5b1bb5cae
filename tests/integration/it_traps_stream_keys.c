/*
 * Foreign keys that the target enforces while changes are applied (traps 41, 42, 66, 92): what
 * their actions do there must be what they did on the source, in the order in which they did it.
 */
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

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    sql_once(pair.dst, "postgres", "CREATE ROLE mover LOGIN");
    return 0;
}

/* Tables on both sides, the target's owned by a role that may not set the replica role. */
static struct pair_db
new_db(const char *name, const char *tables_sql)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, tables_sql);
    sql_execf(db.target,
              "ALTER DATABASE \"%s\" OWNER TO mover; ALTER SCHEMA public OWNER TO mover;"
              "SET SESSION AUTHORIZATION mover; %s; RESET SESSION AUTHORIZATION",
              name, tables_sql);
    db.target_user = "mover";
    return db;
}

#define follow(db, ...)                                                                            \
    pair_start_args(db, "copy",                                                                    \
                    (const char *const[]){"--follow", "--data-only", "--name", (db)->name,         \
                                          ##__VA_ARGS__, NULL})

/* One transaction of the source, so that it is one group on the target, whatever the timing. */
static void
follow_one(const char *name, const char *tables_sql, const char *rows_sql, const char *changes_sql,
           const char *const *tables)
{
    struct pair_db db = new_db(name, tables_sql);

    sql_exec(db.source, rows_sql);
    struct run *run = follow(&db);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    sql_execf(db.source, "BEGIN; %s; COMMIT", changes_sql);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run_expect(follow(&db, "--until", "now"), 0);
    for (; *tables != NULL; tables++)
        pair_same_table(&db, *tables);
    pair_db_end(&db);
}

static const char *const family[] = {"parent", "child", NULL};

#define FAMILY(actions)                                                                            \
    "CREATE TABLE parent (id int PRIMARY KEY, v text);"                                            \
    "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent " actions ", v text)"
#define FAMILY_ROWS                                                                                \
    "INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 9) i;"                               \
    "INSERT INTO child SELECT i, i, 'c' FROM generate_series(1, 9) i"

/*
 * A row goes and comes again, with its children; between them a key changes, which parts the
 * parents' changes into what goes before and what goes after.
 */
static void
trap_92_cascade_of_a_row_that_comes_again(void **state)
{
    (void)state;
    follow_one("cascade", FAMILY("ON DELETE CASCADE"), FAMILY_ROWS,
               "DELETE FROM child WHERE id = 4; DELETE FROM parent WHERE id = 1;"
               "UPDATE parent SET id = 40 WHERE id = 4; INSERT INTO parent VALUES (1, 'again');"
               "INSERT INTO child VALUES (1, 1, 'again')",
               family);
}

static void
trap_92_set_null_of_a_row_that_comes_again(void **state)
{
    (void)state;
    follow_one("set_null", FAMILY("ON DELETE SET NULL"), FAMILY_ROWS,
               "DELETE FROM child WHERE id = 4; DELETE FROM parent WHERE id = 1;"
               "UPDATE parent SET id = 40 WHERE id = 4; INSERT INTO parent VALUES (1, 'again');"
               "UPDATE child SET parent = 1 WHERE id = 1",
               family);
}

/* A key moves away, taking a child along, and another one takes its place. */
static void
trap_92_key_that_another_takes(void **state)
{
    (void)state;
    follow_one("moves", FAMILY("ON UPDATE CASCADE"), FAMILY_ROWS,
               "UPDATE parent SET id = 40 WHERE id = 4; UPDATE parent SET id = 4 WHERE id = 6;"
               "UPDATE child SET parent = 4 WHERE id = 4",
               family);
}

/* To where changes are applied, and stopped. */
static void
is_copied(struct pair_db *db)
{
    struct run *run = follow(db);

    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
}

/* Parents without a key: one changes where it is; one that is missing comes anew. */
static void
trap_92_parents_without_a_key(void **state)
{
    struct pair_db db = new_db("keyless", "CREATE TABLE parent (id int UNIQUE, v text);"
                                          "ALTER TABLE parent REPLICA IDENTITY FULL;"
                                          "CREATE TABLE child (id int PRIMARY KEY, parent int"
                                          " REFERENCES parent (id) ON DELETE CASCADE)");

    (void)state;
    sql_exec(db.source, "INSERT INTO parent VALUES (1, 'p'), (2, 'p'), (NULL, 'p');"
                        "INSERT INTO child VALUES (1, 1)");
    is_copied(&db);
    sql_exec(db.target, "DELETE FROM parent WHERE id = 2"); /* somebody else's doing */
    sql_exec(db.source, "UPDATE parent SET v = 'x'; UPDATE parent SET v = 'y' WHERE id = 1");
    run_expect(follow(&db, "--until", "now", "--on-conflict", "overwrite"), 4);
    for (const char *const *table = family; *table != NULL; table++)
        pair_same_table(&db, *table);
    pair_db_end(&db);
}

/*
 * A parent that is overwritten is not deleted: it is updated, and comes anew where it is missing,
 * unless another unique key is in the way. Then it is told, and not left out.
 */
static void
trap_92_parents_that_are_overwritten(void **state)
{
    struct pair_db db = new_db("over", "CREATE TABLE parent (id int PRIMARY KEY, v text UNIQUE);"
                                       "CREATE TABLE child (id int PRIMARY KEY, parent int"
                                       " REFERENCES parent ON DELETE CASCADE)");

    (void)state;
    sql_exec(db.source, "INSERT INTO parent VALUES (1, 'a'), (2, 'b');"
                        "INSERT INTO child VALUES (1, 1)");
    is_copied(&db);
    sql_exec(db.target, "DELETE FROM parent WHERE id = 2; INSERT INTO parent VALUES (3, 'z'),"
                        " (99, 'taken')");
    sql_exec(db.source,
             "UPDATE parent SET id = 20 WHERE id = 2; INSERT INTO parent VALUES (3, 'c')");
    sql_exec(db.source, "INSERT INTO parent VALUES (4, 'taken')");
    pair_expect(follow(&db, "--on-conflict", "overwrite"), 1,
                "INSERT of (id=4) on the target: duplicate key value");
    sql_exec(db.target, "DELETE FROM parent WHERE id = 99");
    run_expect(follow(&db, "--until", "now", "--on-conflict", "overwrite"), 4);
    for (const char *const *table = family; *table != NULL; table++)
        pair_same_table(&db, *table);
    pair_db_end(&db);
}

/* The same where a large value did not come with the new row, but is in the old one. */
static void
trap_92_parents_that_are_overwritten_whole(void **state)
{
    struct pair_db db =
        new_db("over_whole", "CREATE TABLE parent (id int PRIMARY KEY, v text, large text);"
                             "ALTER TABLE parent REPLICA IDENTITY FULL;"
                             "ALTER TABLE parent ALTER large SET STORAGE EXTERNAL;"
                             "CREATE TABLE child (id int PRIMARY KEY, parent int"
                             " REFERENCES parent ON UPDATE CASCADE)");

    (void)state;
    sql_exec(db.source, "INSERT INTO parent SELECT g, 'a', repeat('x', 9000)"
                        " FROM generate_series(1, 3) g; INSERT INTO child VALUES (1, 1)");
    is_copied(&db);
    sql_exec(db.target, "DELETE FROM parent WHERE id > 1");
    sql_exec(db.source, "UPDATE parent SET id = 20 WHERE id = 2");
    sql_exec(db.source, "UPDATE parent SET v = 'b' WHERE id = 3");
    run_expect(follow(&db, "--until", "now", "--on-conflict", "overwrite"), 4);
    for (const char *const *table = family; *table != NULL; table++)
        pair_same_table(&db, *table);
    pair_db_end(&db);
}

/*
 * Children without a key that go with their parents: these DELETEs may find nothing. Nothing moves
 * them, so that an UPDATE which finds nothing is a conflict.
 */
static void
trap_92_children_without_a_key(void **state)
{
    struct pair_db db =
        new_db("keyless_child", "CREATE TABLE parent (id int PRIMARY KEY);"
                                "CREATE TABLE child (parent int REFERENCES parent ON DELETE"
                                " CASCADE, v text); ALTER TABLE child REPLICA IDENTITY FULL");

    (void)state;
    sql_exec(db.source, "INSERT INTO parent VALUES (1), (2);"
                        "INSERT INTO child VALUES (1, 'c'), (2, 'c')");
    is_copied(&db);
    sql_exec(db.target, "UPDATE child SET v = 'mine' WHERE parent = 1"); /* somebody else's doing */
    sql_exec(db.source, "DELETE FROM parent WHERE id = 2; UPDATE child SET v = 'x'");
    pair_expect(follow(&db, "--until", "now"), 1, "on the target: there is no such row");
    sql_exec(db.target, "UPDATE child SET v = 'c'");
    run_expect(follow(&db, "--until", "now"), 0);
    for (const char *const *table = family; *table != NULL; table++)
        pair_same_table(&db, *table);
    pair_db_end(&db);
}

static const char *const staff[] = {"staff", NULL};

/* The same within one table, by a unique column that is not the key. */
static void
trap_92_cascade_within_a_table(void **state)
{
    (void)state;
    follow_one("within",
               "CREATE TABLE staff (id int PRIMARY KEY, name text UNIQUE, boss text REFERENCES"
               " staff (name) ON UPDATE CASCADE)",
               "INSERT INTO staff VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'c', 'a')",
               "UPDATE staff SET name = 'x' WHERE id = 1; UPDATE staff SET name = 'a' WHERE id = 2;"
               "UPDATE staff SET boss = 'a' WHERE id = 3",
               staff);
}

static const char *const ring[] = {"one", "two", NULL};

/* And between two tables that refer to each other. */
static void
trap_42_cascade_within_a_ring(void **state)
{
    (void)state;
    follow_one("ring",
               "CREATE TABLE one (id int PRIMARY KEY, name text UNIQUE, two text);"
               "CREATE TABLE two (id int PRIMARY KEY, name text UNIQUE, one text REFERENCES"
               " one (name) ON UPDATE CASCADE DEFERRABLE);"
               "ALTER TABLE one ADD CONSTRAINT one_two FOREIGN KEY (two) REFERENCES two (name)"
               " ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED",
               "INSERT INTO one VALUES (1, 'a', NULL), (2, 'b', NULL);"
               "INSERT INTO two VALUES (1, 'a', 'a'), (2, 'b', 'b');"
               "UPDATE one SET two = 'a' WHERE id = 1",
               "UPDATE two SET name = 'x' WHERE id = 1; UPDATE two SET name = 'a' WHERE id = 2;"
               "UPDATE one SET two = 'a' WHERE id = 1; UPDATE one SET name = 'x' WHERE id = 1;"
               "UPDATE one SET name = 'a' WHERE id = 2; UPDATE two SET one = 'a' WHERE id = 1",
               ring);
}

/*
 * Many transactions lie in the slot and make up few groups: no table may be truncated while what
 * was done to it before is still to be checked.
 */
static void
trap_9_truncate_behind_deferred_keys(void **state)
{
    struct pair_db db =
        new_db("deferred", "CREATE TABLE parent (id int PRIMARY KEY);"
                           "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent"
                           " DEFERRABLE INITIALLY DEFERRED)");

    (void)state;
    is_copied(&db);
    for (int i = 1; i <= 60; i++) {
        sql_execf(db.source,
                  "BEGIN; INSERT INTO child VALUES (%d, %d);"
                  " INSERT INTO parent VALUES (%d); COMMIT",
                  i, i, i);
        if (i % 10 == 3)
            sql_execf(db.source,
                      "BEGIN; INSERT INTO parent VALUES (%d00); TRUNCATE child;"
                      " INSERT INTO child VALUES (%d, %d00); COMMIT",
                      i, i, i);
        if (i % 10 == 7)
            sql_exec(db.source, "TRUNCATE parent, child");
    }
    run_expect(follow(&db, "--until", "now"), 0);
    pair_same_table(&db, "parent");
    pair_same_table(&db, "child");
    pair_db_end(&db);
}

#define SWAP                                                                                       \
    "UPDATE swapped SET n = 3 WHERE id = 1; UPDATE swapped SET n = 1 WHERE id = 2;"                \
    "UPDATE swapped SET n = 2 WHERE id = 1"
#define SWAPPED "CREATE TABLE swapped (id int PRIMARY KEY, n int UNIQUE);"
#define SWAPPED_ROWS "INSERT INTO swapped VALUES (1, 1), (2, 2);"

/*
 * The source checks at the end of a statement, or where its transaction says. Many rows of a
 * statement come in several, and with a swap of unique values in the transaction one by one.
 */
static void
trap_42_checks_that_can_wait(void **state)
{
    static const char *const places[] = {"place", NULL};
    static const char tables[] =
        SWAPPED "CREATE TABLE place (id int PRIMARY KEY, n int UNIQUE DEFERRABLE)";

    (void)state;
    follow_one("wait_ring",
               "CREATE TABLE one (id int PRIMARY KEY, two int);"
               "CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one DEFERRABLE);"
               "ALTER TABLE one ADD FOREIGN KEY (two) REFERENCES two DEFERRABLE",
               "SELECT 1",
               "SET CONSTRAINTS ALL DEFERRED; INSERT INTO one VALUES (1, 1);"
               "INSERT INTO two VALUES (1, 1)",
               ring);
    follow_one("wait_many", tables,
               SWAPPED_ROWS "INSERT INTO place SELECT g, g FROM generate_series(1, 3000) g",
               "UPDATE place SET n = n + 1", places);
    follow_one("wait_rows", tables,
               SWAPPED_ROWS "INSERT INTO place SELECT g, g FROM generate_series(1, 9) g",
               "UPDATE place SET n = n + 1; " SWAP, places);
}

#define STAFF                                                                                      \
    SWAPPED "CREATE TABLE staff (id int PRIMARY KEY, boss int CONSTRAINT boss REFERENCES staff)"

/* A key that cannot wait, within a table: it is told what to do, and that it can be done then. */
static void
own_key(const char *name, const char *rows_sql, const char *sql)
{
    struct pair_db db = new_db(name, STAFF);

    sql_execf(db.source, SWAPPED_ROWS "%s", rows_sql);
    is_copied(&db);
    sql_exec(db.source, sql);
    struct run *run = follow(&db, "--until", "now");
    pair_expect(run, 1, "PH-CONFLICT");
    pair_expect(
        run, 1,
        "ALTER TABLE \"public\".\"staff\" ALTER CONSTRAINT \"boss\" DEFERRABLE on the target");
    sql_exec(db.target, "ALTER TABLE staff ALTER CONSTRAINT boss DEFERRABLE");
    run_expect(follow(&db, "--until", "now"), 0);
    pair_same(&db, "SELECT count(*), sum(boss) FROM staff");
    pair_db_end(&db);
}

static void
trap_42_keys_within_a_table(void **state)
{
    (void)state;
    own_key("own_many", "",
            "INSERT INTO staff SELECT g, CASE WHEN g < 3000 THEN g + 1 END FROM"
            " generate_series(1, 3000) g");
    own_key("own_gone",
            "INSERT INTO staff SELECT g, CASE WHEN g > 1 THEN g - 1 END FROM"
            " generate_series(1, 3000) g",
            "DELETE FROM staff");
    own_key("own_rows", "", "BEGIN; INSERT INTO staff VALUES (1, 2), (2, NULL); " SWAP "; COMMIT");
}

/*
 * Nor may it be truncated behind changes of the same transaction, for which more waits here than on
 * the source: rows without a key come again when they change, and all checks wait. Some must.
 */
static void
trap_9_truncate_behind_its_own_changes(void **state)
{
    static const char tables[] =
        SWAPPED "CREATE TABLE parent (id int PRIMARY KEY);"
                "CREATE TABLE child (id int, parent int REFERENCES parent DEFERRABLE INITIALLY"
                " DEFERRED); ALTER TABLE child REPLICA IDENTITY FULL";
    static const char rows[] = SWAPPED_ROWS "INSERT INTO parent SELECT generate_series(1, 9);"
                                            "INSERT INTO child SELECT i, i FROM"
                                            " generate_series(1, 9) i";
    static const struct {
        const char *name;
        const char *sql;
    } cases[] = {
        {"behind_keyless", "UPDATE child SET id = 10 WHERE id = 1; TRUNCATE child"},
        {"behind_checked", "INSERT INTO child VALUES (10, 1); SET CONSTRAINTS ALL IMMEDIATE;"
                           "TRUNCATE child; INSERT INTO child VALUES (11, 2)"},
        {"behind_missing", "DELETE FROM parent WHERE id < 5; UPDATE child SET id = 0 WHERE id = 1;"
                           "TRUNCATE child; INSERT INTO child VALUES (12, 7)"},
        {"behind_both", "UPDATE child SET id = 10 WHERE id = 1; TRUNCATE parent, child;"
                        "INSERT INTO child VALUES (13, 1); INSERT INTO parent VALUES (1)"},
        {"behind_swap", SWAP "; UPDATE child SET id = 10 WHERE id = 1; TRUNCATE child;"
                             "INSERT INTO child VALUES (14, 1)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        follow_one(cases[i].name, tables, rows,
                   scratch_printf(
                       "%s; INSERT INTO parent VALUES (100); INSERT INTO child VALUES (100, 100)",
                       cases[i].sql),
                   family);
}

/* ---- TRUNCATE of what others refer to ---- */

static void
truncates(const char *name, const char *tables_sql, const char *target_sql, const char *sql)
{
    struct pair_db db = pair_db_new(&pair, name);

    pair_both(&db, tables_sql);
    sql_exec(db.target, target_sql);
    sql_exec(db.source, "INSERT INTO parent SELECT generate_series(1, 15);"
                        "INSERT INTO child SELECT i, i FROM generate_series(1, 15) i");
    struct run *run = follow(&db);
    pair_wait_following(&db, run);
    sql_execf(db.source, "%s; INSERT INTO parent VALUES (3); INSERT INTO child VALUES (7, 3)", sql);
    sql_wait_true(pair.dst, name, "SELECT string_agg(id::text, ',') = '7' FROM child",
                  RUN_DEADLINE_MS);
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    run_expect(run, 0);
    pair_same(&db, "SELECT tableoid::regclass::text, * FROM parent ORDER BY id");
    pair_same(&db, "SELECT tableoid::regclass::text, * FROM child ORDER BY id");
    pair_db_end(&db);
}

#define PARTS(table)                                                                               \
    " PARTITION BY RANGE (id); CREATE TABLE " table "_1 PARTITION OF " table " FOR VALUES FROM"    \
    " (0) TO (10); CREATE TABLE " table "_2 PARTITION OF " table " FOR VALUES FROM (10) TO (20);"

/* The stream names partitions, the target's keys are their root's. */
static void
trap_9_truncate_of_what_a_partitioned_table_refers_to(void **state)
{
    (void)state;
    truncates("part_child",
              "CREATE TABLE parent (id int PRIMARY KEY);"
              "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent)" PARTS("child"),
              "", "TRUNCATE parent CASCADE");
    truncates("part_parent",
              "CREATE TABLE parent (id int PRIMARY KEY)" PARTS(
                  "parent") "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent)",
              "", "TRUNCATE parent CASCADE");
    truncates("part_both",
              "CREATE TABLE parent (id int PRIMARY KEY)" PARTS(
                  "parent") "CREATE TABLE child (id"
                            " int PRIMARY KEY, p int REFERENCES parent)" PARTS("child"),
              "", "TRUNCATE parent CASCADE");
}

/* A key that only the target has: from a table that the source did not empty. */
static void
trap_9_truncate_of_what_another_refers_to(void **state)
{
    (void)state;
    truncates("other_key",
              "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p"
              " int REFERENCES parent)",
              "CREATE TABLE own (id int REFERENCES parent)", "TRUNCATE parent CASCADE");
    truncates("other_part",
              "CREATE TABLE parent (id int PRIMARY KEY)" PARTS("parent") "CREATE TABLE child (id"
                                                                         " int PRIMARY KEY, p int)",
              "CREATE TABLE own (id int REFERENCES parent) PARTITION BY RANGE (id);"
              "CREATE TABLE own_1 PARTITION OF own FOR VALUES FROM (0) TO (10)",
              "TRUNCATE parent, child");
}

/* ---- a deferred key that is not met at the COMMIT ---- */

/*
 * A large transaction is refused at its COMMIT, which is under way together with what comes next:
 * that is not refused in its place, and nothing of it is there. So it ends whatever the policy, and
 * the same command goes on from there.
 */
static void
refused_commit(const char *name, const char *policy, const char *next_sql)
{
    struct pair_db db = new_db(
        name, FAMILY("ON DELETE CASCADE") ";CREATE TABLE late (id int PRIMARY KEY, parent int"
                                          " REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");

    sql_exec(db.source, FAMILY_ROWS);
    struct run *run = follow(&db, "--memory", "32MB", "--on-conflict", policy);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    sql_exec(db.target, "DELETE FROM parent WHERE id = 5; BEGIN; LOCK TABLE late IN SHARE MODE");
    sql_exec(db.source, "INSERT INTO late VALUES (0, 1)");
    sql_exec(db.source, "INSERT INTO late SELECT g, CASE g WHEN 5 THEN 5 ELSE 1 END FROM"
                        " generate_series(1, 30000) g");
    sql_exec(db.source, next_sql);
    pair_wait_written(&db);
    sql_exec(db.target, "COMMIT");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "late_parent_fkey");
    pair_expect(run, 1, "at the COMMIT of the source's transaction");
    assert_null(strstr(run_err(run), "PH-CONFLICT"));
    assert_string_equal(sql_rows(db.target, "SELECT id FROM late"), "0\n");
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM parent WHERE v = 'next'"), "0");
    sql_exec(db.target, "INSERT INTO parent VALUES (5, 'p'); INSERT INTO child VALUES (5, 5, 'c')");
    run_expect(follow(&db, "--memory", "32MB", "--until", "now"), 0);
    pair_same_table(&db, "parent");
    pair_same_table(&db, "child");
    pair_same_table(&db, "late");
    pair_db_end(&db);
}

static void
trap_42_refused_commit_before_a_large_transaction(void **state)
{
    static const char next[] = "INSERT INTO parent SELECT g, 'next' FROM"
                               " generate_series(100, 30000) g";

    (void)state;
    refused_commit("commit_large", "stop", next);
    refused_commit("commit_skip", "skip", next);
}

/* That is refused before any of it is sent. */
static void
trap_42_refused_commit_before_what_cannot_be_folded(void **state)
{
    (void)state;
    refused_commit("commit_fold", "overwrite",
                   "BEGIN; DELETE FROM child WHERE id = 4; DELETE FROM parent WHERE id = 3;"
                   "UPDATE parent SET id = 40 WHERE id = 4; INSERT INTO parent VALUES (3, 'next');"
                   "INSERT INTO child VALUES (3, 3, 'again'); COMMIT");
}

/* ---- tables of different epochs ---- */

/* The copy is killed, with its snapshot, when the parents are in and the children are not. */
static void
kill_between(struct pair_db *db, const char *slow)
{
    const char *const env[] = {"PGHAUL_FAILPOINT=before_commit=kill@2", NULL};

    db->env = env;
    struct run *run = follow(db, "--jobs", "1", "--hold", "0s", slow, "10MB/s");
    run_wait(run, RUN_DEADLINE_MS);
    if (run->code != -SIGKILL)
        run_expect(run, -SIGKILL);
    db->env = NULL;
    assert_string_equal(sql_value(db->target, "SELECT count(*) FROM parent"), "9");
    assert_string_equal(sql_value(db->target, "SELECT count(*) FROM child"), "0");
    sql_wait_true(pair.src, db->name,
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND"
                  " application_name LIKE '% holder'",
                  RUN_DEADLINE_MS);
}

/*
 * The children's snapshot sees what the parents' does not: applied to the parents alone, it would
 * act upon children that are as of later.
 */
static void
two_epochs(const char *name, const char *actions, const char *const *changes)
{
    struct pair_db db = new_db(name, scratch_printf("CREATE TABLE parent (id int PRIMARY KEY, v"
                                                    " text); CREATE TABLE child (id int PRIMARY"
                                                    " KEY, parent int REFERENCES parent %s, v"
                                                    " text)",
                                                    actions));

    sql_exec(db.source, FAMILY_ROWS);
    kill_between(&db, "--max-rate");
    for (; *changes != NULL; changes++)
        sql_exec(db.source, *changes);
    run_expect(follow(&db, "--until", "now"), 0);
    pair_same_table(&db, "parent");
    pair_same_table(&db, "child");
    pair_db_end(&db);
}

static void
trap_9_truncate_of_a_family_of_two_epochs(void **state)
{
    static const char *const changes[] = {
        "TRUNCATE parent, child", "INSERT INTO parent VALUES (1, 'new'), (12, 'new')",
        "INSERT INTO child VALUES (1, 1, 'new'), (2, 12, 'new')", NULL};

    (void)state;
    two_epochs("truncate_plain", "", changes);
    two_epochs("truncate_cascade", "ON DELETE CASCADE", changes);
    two_epochs("truncate_null", "ON DELETE SET NULL", changes);
}

static void
trap_41_parents_of_an_older_epoch(void **state)
{
    static const char *const changes[] = {"DELETE FROM child WHERE id = 1",
                                          "DELETE FROM parent WHERE id = 1",
                                          "UPDATE parent SET v = 'u' WHERE id = 2",
                                          "TRUNCATE child",
                                          "INSERT INTO parent VALUES (1, 'again')",
                                          "INSERT INTO child VALUES (1, 1, 'again'), (2, 2, 'x')",
                                          NULL};

    (void)state;
    two_epochs("older_plain", "", changes);
    two_epochs("older_cascade", "ON DELETE CASCADE", changes);
    two_epochs("older_null", "ON DELETE SET NULL", changes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_92_cascade_of_a_row_that_comes_again),
        cmocka_unit_test(trap_92_set_null_of_a_row_that_comes_again),
        cmocka_unit_test(trap_92_key_that_another_takes),
        cmocka_unit_test(trap_92_parents_without_a_key),
        cmocka_unit_test(trap_92_parents_that_are_overwritten),
        cmocka_unit_test(trap_92_parents_that_are_overwritten_whole),
        cmocka_unit_test(trap_92_children_without_a_key),
        cmocka_unit_test(trap_92_cascade_within_a_table),
        cmocka_unit_test(trap_42_cascade_within_a_ring),
        cmocka_unit_test(trap_9_truncate_behind_deferred_keys),
        cmocka_unit_test(trap_42_checks_that_can_wait),
        cmocka_unit_test(trap_42_keys_within_a_table),
        cmocka_unit_test(trap_9_truncate_behind_its_own_changes),
        cmocka_unit_test(trap_9_truncate_of_what_a_partitioned_table_refers_to),
        cmocka_unit_test(trap_9_truncate_of_what_another_refers_to),
        cmocka_unit_test(trap_42_refused_commit_before_a_large_transaction),
        cmocka_unit_test(trap_42_refused_commit_before_what_cannot_be_folded),
        cmocka_unit_test(trap_9_truncate_of_a_family_of_two_epochs),
        cmocka_unit_test(trap_41_parents_of_an_older_epoch),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
