/*
 * Tables are added to a job that follows, by the same command with a wider selection, while
 * sessions write to the old and to the new ones. What is compared is plain SQL.
 */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/same.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static struct pair pair;

/*
 * Old: parent and note. New: item, to which and from which foreign keys of old tables lead, with
 * a type and a sequence of its own; event, in partitions.
 */
static const char tables_sql[] =
    "CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);"
    "CREATE TABLE note (id bigserial PRIMARY KEY, item int, t text);"
    "CREATE TYPE colour AS ENUM ('red', 'green');"
    "CREATE TABLE item (id serial PRIMARY KEY, parent int NOT NULL REFERENCES parent,"
    " c colour NOT NULL DEFAULT 'red', pad text);"
    "CREATE INDEX item_parent ON item (parent);"
    "ALTER TABLE note ADD CONSTRAINT note_item FOREIGN KEY (item) REFERENCES item;"
    "CREATE TABLE event (id int, at int, t text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
    "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (50);"
    "CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (50) TO (1000);"
    "CREATE INDEX event_t ON event (t)";

/* What is built after the rows, of old and new tables alike. */
static const char triggers_sql[] =
    "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RETURN NEW; END $$;"
    "CREATE TRIGGER nothing BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION nothing();"
    "CREATE TRIGGER nothing BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION nothing()";

static const char rows_sql[] =
    "INSERT INTO parent SELECT g FROM generate_series(1, 500) g;"
    "INSERT INTO item (parent, pad) SELECT g % 500 + 1, repeat('x', 100)"
    " FROM generate_series(1, 3000) g;"
    "INSERT INTO event SELECT g, g % 100, 'e' || g FROM generate_series(1, 2000) g";

/* Every transaction touches old and new tables; parents come and go with their items. */
static const char write_sql[] =
    "\\set p random(1, 500)\n\\set q random(1000, 1000000000)\n\\set a random(0, 99)\n"
    "\\set e random(1, 2000)\n\\set i random(1, 3000)\nBEGIN;\n"
    "INSERT INTO parent VALUES (:q);\n"
    "INSERT INTO item (parent, c, pad) VALUES (:q, 'green', repeat('y', 300));\n"
    "UPDATE parent SET n = n + 1 WHERE id = :p;\n"
    "UPDATE item SET pad = pad || 'z' WHERE id = :i;\n"
    "INSERT INTO note (item, t) VALUES (:i, 'n');\n"
    "INSERT INTO event VALUES (:q, :a, 'new');\n"
    "UPDATE event SET at = :a, t = 'moved' WHERE id = :e;\n"
    "SAVEPOINT s;\nDELETE FROM item WHERE parent = :q;\nDELETE FROM parent WHERE id = :q;\n"
    "ROLLBACK TO s;\nCOMMIT;\n"
    "DELETE FROM item WHERE parent = :q AND :q % 2 = 0;\n"
    "DELETE FROM parent WHERE id = :q AND :q % 2 = 0;\n";

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\nmax_prepared_transactions = 5\n");
    scratch_write("write.sql", write_sql);
    return 0;
}

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, tables_sql);
    sql_exec(db.source, triggers_sql);
    sql_exec(db.source, rows_sql);
    return db;
}

/* Sessions that write, until end_writers. */
static struct run *
start_writers(const struct pair_db *db)
{
    const char *const argv[] = {"pgbench",
                                "-n",
                                "-c",
                                "3",
                                "-R",
                                "120",
                                "-T",
                                "600",
                                "-f",
                                scratch_printf("%s/write.sql", scratch_dir()),
                                pg_test_conninfo(pair.src, db->name),
                                NULL};

    return run_start_copy(NULL, argv);
}

static void
end_writers(const struct pair_db *db, struct run *writers)
{
    if (!run_alive(writers))
        fail_msg("the writers ended by themselves: %s", run_err(writers));
    run_kill(writers);
    sql_wait_true(pair.src, db->name,
                  "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name ="
                  " 'pgbench' AND datname = current_database())",
                  WAIT_MS);
}

#define NARROW "--table", "parent", "--table", "note"
#define WIDE NARROW, "--table", "item", "--table", "event"

/* The job follows the old tables, and stands still. */
static void
follow_old(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    pair_interrupt(run);
}

static void
end(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    assert_null(strstr(run_out(run), "which was lost")); /* the stream has made all of one moment */
    assert_null(strstr(run_err(run), "which was lost"));
    same_rows(pair.src, db->name, pair.dst, db->name);
    assert_string_equal(sql_valuef(db->source,
                                   "SELECT (SELECT count(*) FROM pg_replication_slots WHERE"
                                   " database = '%s') || ' ' || (SELECT count(*) FROM"
                                   " pg_publication WHERE pubname = 'pghaul_%s')",
                                   db->name, db->name),
                        "0 0");
    pair_db_end(db);
}

/* It stands where it stood. */
static void
refuse(struct pair_db *db, struct run *run, int code, const char *words)
{
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, code, words);
    assert_string_equal(sql_value(db->target, "SELECT phase || joining FROM pghaul.job"), "follow");
}

/* ---- what comes along ---- */

static void
tables_are_made(void **state)
{
    struct pair_db db = new_db("made");
    struct run *writers = start_writers(&db);

    (void)state;
    follow_old(&db, pair_follow(&db, NARROW));
    assert_string_equal(sql_value(db.target, "SELECT to_regclass('item') IS NULL AND"
                                             " to_regtype('colour') IS NULL"),
                        "t");
    /* on an old table: not the join's business */
    sql_exec(db.source, "CREATE INDEX later ON parent (n)");
    struct run *run = pair_follow(&db, WIDE);
    pair_wait_following(&db, run);
    assert_non_null(strstr(run_err(run), "3 tables are added"));
    sql_exec(db.source, "DROP INDEX later");
    end_writers(&db, writers);
    same_schema(pair.src, db.name, pair.dst, db.name); /* keys between old and new among it */
    end(&db, run);
}

static void
data_only(void **state)
{
    struct pair_db db = new_db("data_only");
    struct run *writers = start_writers(&db);

    (void)state;
    sql_exec(db.target, tables_sql);
    sql_exec(db.target, triggers_sql);
    /* what was not read back then is not read back now, with changes applied to it since */
    follow_old(&db, pair_follow(&db, NARROW, "--data-only", "--verify", "none"));
    struct run *run = pair_follow(&db, WIDE, "--data-only");
    pair_wait_following(&db, run);
    end_writers(&db, writers);
    same_schema(pair.src, db.name, pair.dst, db.name);
    end(&db, run);
}

/* The target's keys are enforced while rows go in: those between old and new stand aside. */
static void
keys_are_enforced(void **state)
{
    struct pair_db db = new_db("enforced");
    struct run *writers = start_writers(&db);

    (void)state;
    sql_exec(db.target, "CREATE ROLE enforced LOGIN; GRANT CREATE ON DATABASE enforced TO enforced;"
                        "GRANT CREATE ON SCHEMA public TO enforced; SET ROLE enforced");
    sql_exec(db.target, tables_sql);
    sql_exec(db.target, triggers_sql);
    sql_exec(db.target, "RESET ROLE");
    db.target_user = "enforced";
    follow_old(&db, pair_follow(&db, "--table", "parent", "--data-only"));
    struct run *run = pair_follow(&db, WIDE, "--data-only");
    pair_wait_following(&db, run);
    end_writers(&db, writers);
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM pg_constraint WHERE"
                                             " contype = 'f' AND convalidated"),
                        "2");
    end(&db, run);
}

/* Once more; then a partition and a table that were made meanwhile, each by its own way. */
static void
again_and_again(void **state)
{
    struct pair_db db = new_db("again");
    struct run *writers = start_writers(&db);

    (void)state;
    follow_old(&db, pair_follow(&db, NARROW));
    follow_old(&db, pair_follow(&db, NARROW, "--table", "item"));
    follow_old(&db, pair_follow(&db, WIDE));
    sql_exec(db.source,
             "CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (1000) TO (2000);"
             "INSERT INTO event SELECT g, 1000 + g % 9 FROM generate_series(3001, 3099) g;"
             "CREATE TABLE extra (id serial PRIMARY KEY, t text);"
             "INSERT INTO extra (t) SELECT 't' FROM generate_series(1, 99)");
    struct run *run = pair_follow(&db, WIDE);
    run_wait_output(run, "1 table is added", WAIT_MS); /* the partition, without a word */
    follow_old(&db, run);
    run = pair_follow(&db, "--schema", "public");
    run_wait_output(run, "1 table is added", WAIT_MS);
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO event VALUES (5000, 1999); UPDATE extra SET t = 'u'");
    end_writers(&db, writers);
    same_schema(pair.src, db.name, pair.dst, db.name);
    end(&db, run);
}

/* One that somebody else made is his to alter. */
static void
publication_of_others(void **state)
{
    struct pair_db db = new_db("others");
    struct run *writers = start_writers(&db);

    (void)state;
    sql_exec(db.source, "CREATE PUBLICATION others FOR TABLE parent, note");
    follow_old(&db, pair_follow(&db, NARROW, "--publication", "others"));
    refuse(&db, pair_follow(&db, WIDE, "--publication", "others"), 3,
           "ALTER PUBLICATION others ADD TABLE public.item");
    sql_exec(db.source, "ALTER PUBLICATION others ADD TABLE item, event");
    struct run *run = pair_follow(&db, WIDE, "--publication", "others");
    pair_wait_following(&db, run);
    end_writers(&db, writers);
    end(&db, run);
}

/* Changes are applied while tables are added, and what fired on the source must not fire again. */
static void
trigger_does_not_fire(struct pair_db *db)
{
    const char *name = db->name;

    sql_exec(db->source,
             "CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS"
             " $$ BEGIN NEW.t = NEW.t || '!'; RETURN NEW; END $$;"
             "CREATE TRIGGER mark BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION mark();"
             "ALTER TABLE note ENABLE ALWAYS TRIGGER mark; INSERT INTO note (t) VALUES ('n')");
    follow_old(db, pair_follow(db, NARROW, "--no-owner", "--no-acl"));
    sql_exec(db->source, "UPDATE note SET t = 'once'");
    const char *const env[] = {"PGHAUL_FAILPOINT=before_verdict_commit=kill", NULL};
    db->env = env;
    pair_expect(pair_follow(db, WIDE, "--no-owner", "--no-acl"), -SIGKILL, "until they meet");
    db->env = NULL;
    assert_string_equal(sql_value(db->target, "SELECT t FROM note"), "once!");
    end(db, pair_follow(db, WIDE, "--no-owner", "--no-acl"));
    assert_string_equal(
        sql_once(pair.dst, name, "SELECT tgenabled FROM pg_trigger WHERE tgname = 'mark'"), "A\n");
}

static void
triggers_do_not_fire(void **state)
{
    struct pair_db db = new_db("fires");

    (void)state;
    trigger_does_not_fire(&db);
    db = new_db("fires_of_role"); /* one that cannot silence any trigger by a setting */
    sql_exec(db.target, "CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE fires_of_role TO plain;"
                        "ALTER SCHEMA public OWNER TO plain");
    db.target_user = "plain";
    trigger_does_not_fire(&db);
}

/* ---- the traps ---- */

static PGconn *
open_writer(struct pair_db *db)
{
    PGconn *conn = sql_connect(pair.src, db->name);

    sql_exec(conn, "BEGIN; INSERT INTO item (parent, pad) VALUES (1, 'before')");
    return conn;
}

/* What it wrote is in no stream, and the copy must not begin before it can be seen. */
static void
trap_79_an_open_writer(void **state)
{
    struct pair_db db = new_db("trap_79");

    (void)state;
    follow_old(&db, pair_follow(&db, NARROW));
    PGconn *writer = open_writer(&db);
    int pid = (int)sql_int(writer, "SELECT pg_backend_pid()");
    struct run *run = pair_follow(&db, WIDE);
    run_wait_output(run, scratch_printf("(process %d,", pid), WAIT_MS);
    assert_non_null(strstr(run_err(run), "their copy waits for its end"));
    pair_interrupt(run); /* while it waits; the same command goes on */
    run = pair_follow(&db, WIDE);
    run_wait_output(run, scratch_printf("(process %d,", pid), WAIT_MS);
    sql_exec(writer, "INSERT INTO item (parent, pad) VALUES (1, 'after'); COMMIT");
    PQfinish(writer);
    end(&db, run);
}

static void
trap_79_a_prepared_writer(void **state)
{
    struct pair_db db = new_db("prepared");

    (void)state;
    follow_old(&db, pair_follow(&db, NARROW));
    PGconn *writer = open_writer(&db);
    sql_exec(writer, "PREPARE TRANSACTION 'slow'");
    struct run *run = pair_follow(&db, WIDE);
    run_wait_output(run, "(prepared as slow, in database prepared)", WAIT_MS);
    sql_exec(writer, "COMMIT PREPARED 'slow'");
    PQfinish(writer);
    end(&db, run);
}

/*
 * One that begins while ALTER PUBLICATION is under way has a higher id than that, and writes before
 * it is committed: above the xmax of a snapshot taken after it.
 */
static void
trap_79_a_writer_during_alter(void **state)
{
    struct pair_db db = new_db("during");
    PGconn *gate = sql_connect(pair.src, db.name);

    (void)state;
    follow_old(&db, pair_follow(&db, NARROW));
    sql_exec(db.source,
             "CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS"
             " $$ BEGIN PERFORM pg_advisory_xact_lock(79); END $$;"
             "CREATE EVENT TRIGGER hold ON ddl_command_end WHEN TAG IN ('ALTER PUBLICATION')"
             " EXECUTE FUNCTION hold()");
    sql_exec(gate, "SELECT pg_advisory_lock(79)");
    struct run *run = pair_follow(&db, WIDE);
    sql_wait_true(pair.src, db.name,
                  "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 79"
                  " AND NOT granted)",
                  WAIT_MS);
    PGconn *writer = open_writer(&db);
    sql_exec(gate, "SELECT pg_advisory_unlock(79)");
    run_wait_output(run, "their copy waits for its end", WAIT_MS);
    sql_exec(writer, "INSERT INTO item (parent, pad) VALUES (1, 'after'); COMMIT");
    PQfinish(writer);
    PQfinish(gate);
    pair_wait_following(&db, run);
    sql_exec(db.source, "DROP EVENT TRIGGER hold; DROP FUNCTION hold()");
    end(&db, run);
}

/* ---- kills ---- */

static void
is_not_called_consistent(struct pair_db *db)
{
    struct run *status = run_pghaul("status", "--target", pg_test_conninfo(pair.dst, db->name),
                                    "--name", db->name, "--json");

    run_expect(status, 0);
    assert_string_equal(sql_valuef(db->target,
                                   "SELECT coalesce($j$%s$j$::jsonb #>>"
                                   " '{jobs,0,progress,follow,consistent}', 'false')",
                                   run_out(status)),
                        "false");
}

static void
killed_in_between(void **state)
{
    static const char *const failpoints[] = {
        "after_join_noted",  "after_join_published", "after_join_xid",     "after_holder_start",
        "after_schema_dump", "before_schema_note",   "before_plan_commit", "before_receipt",
        "step_after_commit", "before_verdict_commit"};
    struct pair_db db = new_db("killed");
    struct run *writers = start_writers(&db);

    (void)state;
    follow_old(&db, pair_follow(&db, NARROW));
    for (size_t i = 0; i < sizeof failpoints / sizeof *failpoints; i++) {
        const char *const env[] = {scratch_printf("PGHAUL_FAILPOINT=%s=kill", failpoints[i]), NULL};
        db.env = env;
        struct run *run = pair_follow(&db, WIDE);
        run_wait(run, RUN_DEADLINE_MS);
        if (run->code != -SIGKILL)
            fail_msg("at %s: exit code %d\n%s", failpoints[i], run->code, run_err(run));
        is_not_called_consistent(&db);
        db.env = NULL;
        /* the tables that the job had are not gone on with alone */
        run = pair_follow(&db, NARROW);
        run_wait(run, RUN_DEADLINE_MS);
        pair_expect(run, 3, "tables are being added to it");
    }
    struct run *run = pair_follow(&db, WIDE);
    pair_wait_following(&db, run);
    end_writers(&db, writers);
    same_schema(pair.src, db.name, pair.dst, db.name);
    end(&db, run);
}

/* ---- what is refused ---- */

static void
refusals(void **state)
{
    struct pair_db db = new_db("refused");

    (void)state;
    struct run *run = pair_follow(&db, NARROW);
    pair_wait_following(&db, run);
    pair_expect(pair_run(&db, "copy", "--follow", "--name", db.name, WIDE), 3, "PH-JOB-RUNNING");
    pair_interrupt(run);
    refuse(&db, pair_follow(&db, "--table", "parent", "--table", "item"), 3,
           "public.note: the job follows the table, and the selection leaves it out");
    sql_exec(db.target, "CREATE TABLE item (id int)");
    refuse(&db, pair_follow(&db, WIDE), 3, "PH-TARGET-NOT-EMPTY");
    sql_exec(db.target, "DROP TABLE item");
    sql_exec(db.source, "CREATE TABLE keyless (a int)");
    refuse(&db, pair_follow(&db, WIDE, "--table", "keyless"), 3, "PH-IDENTITY");
    sql_exec(db.source, "CREATE TABLE odd (id int PRIMARY KEY, c regclass)");
    refuse(&db, pair_follow(&db, WIDE, "--table", "odd"), 3, "need a stream in text");
    sql_exec(db.source, "DROP TABLE odd");
    /* the same tables by other words are the same job */
    run = pair_follow(&db, NARROW, "--table", "parent");
    run_wait_output(run, "selects the same tables", WAIT_MS);
    follow_old(&db, run);
    end(&db, pair_follow(&db, WIDE, "--table", "keyless", "--set-replica-identity"));
}

/* The rows of a table that it follows would be moved by the keys of one that is added. */
static void
keys_that_move_rows(void **state)
{
    static const char sql[] = "CREATE TABLE top (id int PRIMARY KEY);"
                              "CREATE TABLE under (id int REFERENCES top ON UPDATE CASCADE);"
                              "ALTER TABLE under REPLICA IDENTITY FULL";
    struct pair_db db = new_db("moving");

    (void)state;
    sql_exec(db.source, sql);
    sql_exec(db.target, "CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE moving TO mover;"
                        "GRANT CREATE ON SCHEMA public TO mover; SET ROLE mover");
    db.target_user = "mover";
    follow_old(&db, pair_follow(&db, "--table", "under", "--no-owner"));
    refuse(&db, pair_follow(&db, "--table", "under", "--table", "top", "--no-owner"), 3,
           "public.under: under_id_fkey changes rows on the target by itself");
    pair_expect(pair_run(&db, "clean", "--name", db.name, "--yes", "--source",
                         pg_test_conninfo(pair.src, db.name)),
                0, NULL);
    sql_exec(db.target, "DROP TABLE under");
    sql_exec(db.target, sql);
    follow_old(&db, pair_follow(&db, "--table", "under", "--data-only"));
    refuse(&db, pair_follow(&db, "--table", "under", "--table", "top", "--data-only"), 3,
           "public.under: under_id_fkey changes rows on the target by itself");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_made),
        cmocka_unit_test(data_only),
        cmocka_unit_test(keys_are_enforced),
        cmocka_unit_test(again_and_again),
        cmocka_unit_test(publication_of_others),
        cmocka_unit_test(triggers_do_not_fire),
        cmocka_unit_test(trap_79_an_open_writer),
        cmocka_unit_test(trap_79_a_prepared_writer),
        cmocka_unit_test(trap_79_a_writer_during_alter),
        cmocka_unit_test(killed_in_between),
        cmocka_unit_test(refusals),
        cmocka_unit_test(keys_that_move_rows),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
