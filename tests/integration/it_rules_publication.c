/*
 * Conditions of rules as row filters of the job's publication: which become one, that what arrives
 * is what SQL makes of the source whatever the server made of the changes, and that less is sent.
 */
/* labels: majors */
/* timeout: 300 */
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

static struct pair
make_pair(int major)
{
    const struct pg_test_params params = {.major = major, .conf = "autovacuum = off\n"};
    struct pair made;

    pg_test_pair_new(&params, &params, &made.src, &made.dst);
    return made;
}

static int
start(void **state)
{
    (void)state;
    pair = make_pair(0);
    return 0;
}

static const char filters_sql[] =
    "SELECT c.relname, pg_get_expr(r.prqual, r.prrelid) FROM pg_publication_rel r"
    " JOIN pg_class c ON c.oid = r.prrelid ORDER BY 1";

static void
end(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
}

/* ---- which of them ---- */

static const char kinds_source[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (value > 0);"
    "CREATE COLLATION mine FROM \"C\";"
    "CREATE TABLE by_key (id int PRIMARY KEY, v int);"
    "CREATE TABLE classes (id int PRIMARY KEY, i2 int2, i8 int8, n numeric, t text, v varchar(9),"
    " b bool, d date, ts timestamp, tz timestamptz, u uuid);"
    "CREATE TABLE two (id int PRIMARY KEY, v int); CREATE TABLE half (id int PRIMARY KEY, v int);"
    "CREATE TABLE sampled (id int PRIMARY KEY, v int);"
    "CREATE TABLE enums (id int PRIMARY KEY, m mood);"
    "CREATE TABLE domains (id int PRIMARY KEY, p positive);"
    "CREATE TABLE collated (id int PRIMARY KEY, t text COLLATE mine);"
    "CREATE TABLE plain (id int PRIMARY KEY, v int);"
    "CREATE TABLE parted (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);"
    "CREATE TABLE part_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);"
    "CREATE TABLE part_2 PARTITION OF parted FOR VALUES FROM (1000) TO (2000);"
    "ALTER TABLE classes REPLICA IDENTITY FULL; ALTER TABLE enums REPLICA IDENTITY FULL;"
    "ALTER TABLE domains REPLICA IDENTITY FULL; ALTER TABLE collated REPLICA IDENTITY FULL;"
    "ALTER TABLE sampled REPLICA IDENTITY FULL";

static const char kinds_target[] =
    "CREATE TABLE by_key (id int PRIMARY KEY, v int);"
    "CREATE TABLE classes (id int PRIMARY KEY, i2 int2, i8 int8, n numeric, t text, v varchar(9),"
    " b bool, d date, ts timestamp, tz timestamptz, u uuid);"
    "CREATE TABLE low (id int PRIMARY KEY, v int); CREATE TABLE high (id int PRIMARY KEY, v int);"
    "CREATE TABLE half (id int PRIMARY KEY, v int); CREATE TABLE whole (id int PRIMARY KEY, v int);"
    "CREATE TABLE sampled (id int PRIMARY KEY, v int);"
    "CREATE TABLE enums (id int PRIMARY KEY, m text);"
    "CREATE TABLE domains (id int PRIMARY KEY, p int);"
    "CREATE TABLE collated (id int PRIMARY KEY, t text);"
    "CREATE TABLE plain (id int PRIMARY KEY, v int);"
    "CREATE TABLE parted (id int PRIMARY KEY, v int)";

static const char kinds_job[] =
    "tables:\n"
    "  by_key: {where: \"id >= 100 AND id NOT IN (200, 300)\"}\n"
    "  classes:\n"
    "    where: \"i2 <> 3 AND i8 BETWEEN 1 AND 9 AND n < 1.5 AND t IN ('a', 'ü') AND v = 'b' AND "
    "b\n"
    "            AND (d > '2024-01-01' OR ts IS NULL) AND NOT tz = '2024-01-01 00:00:00+01' AND\n"
    "            u <> '00000000-0000-0000-0000-000000000001' AND id < i8\"\n"
    "  two:\n"
    "    into: [{table: low, where: \"id < 10\"}, {table: high, where: \"id > 20\"}]\n"
    "  half:\n"
    "    into: [{table: half, where: \"id < 10\"}, {table: whole}]\n"
    "  sampled: {where: \"v > 5\", sample: 50%}\n"
    "  enums: {where: \"m = 'ok'\"}\n"
    "  domains: {where: \"p > 7\"}\n"
    "  collated: {where: \"t = 'a'\"}\n"
    "  parted: {into: parted, where: \"id > 500\"}\n";

/* NULL: named, and without a filter. */
static const char kinds_filters[] =
    "by_key|((id >= 100) AND (NOT (id = ANY (ARRAY[200, 300]))))\n"
    "classes|((i2 <> 3) AND ((i8 >= 1) AND (i8 <= 9)) AND (n < 1.5) AND (t = ANY (ARRAY['a'::text, "
    "'ü'::text])) AND ((v)::text = 'b'::text) AND b AND ((d > '2024-01-01'::date) OR (ts IS NULL)) "
    "AND (NOT (tz = '2023-12-31 23:00:00+00'::timestamp with time zone)) AND (u <> "
    "'00000000-0000-0000-0000-000000000001'::uuid) AND (id < i8))\n"
    "collated|<null>\n"
    "domains|<null>\n"
    "enums|<null>\n"
    "half|<null>\n"
    "part_1|(id > 500)\n"
    "part_2|(id > 500)\n"
    "parted|<null>\n"
    "plain|<null>\n"
    "sampled|(v > 5)\n"
    "two|((id < 10) OR (id > 20))\n";

static void
test_which_conditions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "kinds");
    const char *job = pair_job_file(&db, kinds_job);

    (void)state;
    sql_exec(db.source, kinds_source);
    sql_exec(db.target, kinds_target);
    struct run *check = pair_run(&db, "check", job, "--data-only", "--follow");
    pair_expect(check, 0, "public.two: the source sends only changes of rows with (");
    assert_null(strstr(run_out(check), "public.enums: the source sends"));
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "SET timezone = 'UTC'");
    assert_string_equal(sql_rows(db.source, filters_sql), kinds_filters);
    sql_exec(db.source, "INSERT INTO two SELECT g, g FROM generate_series(1, 30) g;"
                        "UPDATE two SET id = id + 100 WHERE id < 6;"
                        "DELETE FROM two WHERE id = 15; UPDATE two SET id = 15 WHERE id = 30;"
                        "INSERT INTO parted SELECT g * 100, g FROM generate_series(1, 19) g;"
                        "UPDATE parted SET id = 1950 WHERE id = 100;"
                        "UPDATE parted SET id = 150 WHERE id = 1900;"
                        "INSERT INTO enums VALUES (1, 'ok'), (2, 'sad');"
                        "UPDATE enums SET m = 'ok' WHERE id = 2");
    end(&db, run);
    pair_same_as(&db, "SELECT * FROM two WHERE id < 10 ORDER BY 1", "SELECT * FROM low ORDER BY 1");
    pair_same_as(&db, "SELECT * FROM two WHERE id > 20 ORDER BY 1",
                 "SELECT * FROM high ORDER BY 1");
    pair_same_as(&db, "SELECT * FROM parted WHERE id > 500 ORDER BY 1",
                 "SELECT * FROM parted ORDER BY 1");
    pair_same_as(&db, "SELECT * FROM enums WHERE m = 'ok' ORDER BY 1",
                 "SELECT * FROM enums ORDER BY 1");
    assert_string_equal(sql_value(db.source, "SELECT count(*) FROM pg_publication"), "0");
    pair_db_end(&db);
}

/* ---- what arrives ---- */

static const char moves_source[] =
    "CREATE TABLE t (id int PRIMARY KEY, n int, kind text, body text);"
    "ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE t ALTER body SET STORAGE EXTERNAL;"
    "ALTER TABLE t ALTER kind SET STORAGE EXTERNAL;"
    "CREATE TABLE k (id int PRIMARY KEY, body text); ALTER TABLE k ALTER body SET STORAGE EXTERNAL;"
    "ALTER TABLE k REPLICA IDENTITY FULL;"
    "CREATE TABLE p (id int, n int, PRIMARY KEY (id, n)) PARTITION BY RANGE (n);"
    "CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (50);"
    "CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (50) TO (1000);"
    "CREATE FUNCTION kind(i int) RETURNS text LANGUAGE sql AS"
    " $$ SELECT CASE i % 3 WHEN 0 THEN repeat('wanted', 600) WHEN 1 THEN repeat('x', i % 4000) END"
    " $$;"
    "INSERT INTO t SELECT g, g % 40, kind(g), repeat(g::text, 900) FROM generate_series(1, 300) g;"
    "INSERT INTO k SELECT g, repeat(g::text, 900) FROM generate_series(1, 200) g;"
    "INSERT INTO p SELECT g, g % 100 FROM generate_series(1, 300) g";

/* Statements of every kind, by a seed; rows go over the filters' borders and back. */
static const char moves_sql[] =
    "DO $$ DECLARE i int; a int; BEGIN PERFORM setseed(%f);"
    " FOR i IN 1 .. 400 LOOP a := 1 + floor(random() * 400);"
    "  CASE floor(random() * 11)::int"
    "  WHEN 0 THEN INSERT INTO t VALUES (a, random() * 40, kind(a), repeat('b' || a, 900))"
    "   ON CONFLICT DO NOTHING;"
    "  WHEN 1 THEN UPDATE t SET n = nullif(floor(random() * 40)::int, 7) WHERE id = a;"
    "  WHEN 2 THEN UPDATE t SET kind = kind(a + i) WHERE id = a;"
    "  WHEN 3 THEN UPDATE t SET body = body || 'c' WHERE id = a;"
    "  WHEN 4 THEN DELETE FROM t WHERE id = a;"
    "  WHEN 5 THEN UPDATE t SET id = 1000 + %d * 1000 + i WHERE id = a;"
    "  WHEN 6 THEN UPDATE k SET id = 400 - id WHERE id = a AND"
    "   NOT EXISTS (SELECT FROM k WHERE id = 400 - a);"
    "  WHEN 7 THEN UPDATE k SET body = repeat('e' || a, 900) WHERE id = a;"
    "  WHEN 8 THEN DELETE FROM k WHERE id = a;"
    "   INSERT INTO k VALUES (a, repeat('f' || a, 900)) ON CONFLICT DO NOTHING;"
    "  WHEN 9 THEN UPDATE p SET n = floor(random() * 100) WHERE id = a;"
    "  ELSE DELETE FROM p WHERE id = a; INSERT INTO p VALUES (a, random() * 99);"
    "  END CASE;"
    "  IF random() < 0.2 THEN COMMIT; END IF;"
    " END LOOP; END $$";

static const char moves_job[] =
    "tables:\n"
    "  t: {where: \"n >= 30 AND kind = 'WANTED'\", columns: {note: {set: 1}}}\n"
    "  k: {where: \"id > 200\"}\n"
    "  p: {into: p, where: \"n BETWEEN 40 AND 60\"}\n";

static void
make_moves(const struct pair_db *db, int seed)
{
    sql_execf(db->source, moves_sql, seed / 10.0, seed);
}

static int64_t
bytes_sent(const struct pair_db *db, const char *publication)
{
    return sql_int(db->source,
                   scratch_printf("SELECT sum(length(data)) FROM"
                                  " pg_logical_slot_peek_binary_changes('peek', NULL, NULL,"
                                  " 'proto_version', '1', 'publication_names', '%s')",
                                  publication));
}

static const char *
with_wanted(const char *text)
{
    static const char word[] = "WANTED";
    const char *at = strstr(text, word);
    const char *wanted = "";

    for (int i = 0; i < 600; i++)
        wanted = scratch_printf("%swanted", wanted);
    return scratch_printf("%.*s%s%s", (int)(at - text), text, wanted, at + strlen(word));
}

static void
compare_moves(struct pair_db *db)
{
    pair_same_as(
        db,
        "SELECT id, n, md5(kind), md5(body), 1 FROM t WHERE n >= 30 AND kind = kind(0) ORDER BY 1",
        "SELECT id, n, md5(kind), md5(body), note FROM t ORDER BY 1");
    pair_same_as(db, "SELECT * FROM k WHERE id > 200 ORDER BY 1", "SELECT * FROM k ORDER BY 1");
    pair_same_as(db, "SELECT * FROM p WHERE n BETWEEN 40 AND 60 ORDER BY 1, 2",
                 "SELECT * FROM p ORDER BY 1, 2");
}

static void
make_moves_tables(struct pair_db *db)
{
    sql_exec(db->source, moves_source);
    sql_exec(db->target,
             "CREATE TABLE t (id int PRIMARY KEY, n int, kind text, body text, note int);"
             "CREATE TABLE k (id int PRIMARY KEY, body text);"
             "CREATE TABLE p (id int, n int, PRIMARY KEY (id, n))");
}

static void
follow_moves(struct pair_db *db)
{
    const char *job = pair_job_file(db, with_wanted(moves_job));

    make_moves_tables(db);
    sql_exec(db->source, "CREATE PUBLICATION whole FOR TABLE t, k, p");
    struct run *run = pair_follow(db, job, "--data-only");
    pair_wait_following(db, run);
    sql_exec(db->source, "SELECT pg_create_logical_replication_slot('peek', 'pgoutput')");
    for (int seed = 1; seed <= 3; seed++)
        make_moves(db, seed);
    run_kill(run);
    for (int seed = 4; seed <= 6; seed++)
        make_moves(db, seed);
    run = pair_follow(db, job, "--data-only");
    pair_wait_following(db, run);
    make_moves(db, 7);
    int64_t sent = bytes_sent(db, scratch_printf("pghaul_%s", db->name));
    int64_t whole = bytes_sent(db, "whole");
    sql_exec(db->source, "SELECT pg_drop_replication_slot('peek')");
    print_message("  %lld of %lld bytes are sent\n", (long long)sent, (long long)whole);
    if (PQserverVersion(db->source) >= 150000)
        assert_true(sent < whole / 2);
    pair_expect(pair_run(db, "verify", job, "--data-only", "--name", db->name), 0, "equal");
    sql_exec(db->source, "TRUNCATE k; INSERT INTO k VALUES (1, 'a'), (201, 'b');"
                         "UPDATE k SET id = 202, body = 'c' WHERE id = 1");
    end(db, run);
    compare_moves(db);
}

static void
test_rows_enter_and_leave(void **state)
{
    struct pair_db db = pair_db_new(&pair, "moves");

    (void)state;
    follow_moves(&db);
    pair_db_end(&db);
}

/* 14 has no row filters. */
static void
test_each_major(void **state)
{
    (void)state;
    for (int major = 14; major <= 18; major++) {
        if (major == 15 || !pg_test_major_present(major)) {
            if (major != 15)
                print_message("  SKIPPED %d: not installed (scripts/install-majors)\n", major);
            continue;
        }
        struct pair servers = make_pair(major);
        struct pair_db db = pair_db_new(&servers, scratch_printf("from_%d", major));
        follow_moves(&db);
        pair_db_end(&db);
        pg_test_cluster_stop(servers.src);
        pg_test_cluster_stop(servers.dst);
    }
}

/* ---- tables that join a job ---- */

/* A row of q is taken by its v, whatever its partition; r joins as it is. */
static const char join_source[] =
    "CREATE TABLE q (id int, n int, v int, body text, PRIMARY KEY (id, n)) PARTITION BY RANGE (n);"
    "CREATE TABLE q_1 PARTITION OF q FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE q_2 PARTITION OF q FOR VALUES FROM (10) TO (20);"
    "ALTER TABLE q_1 REPLICA IDENTITY FULL; ALTER TABLE q_2 REPLICA IDENTITY FULL;"
    "CREATE TABLE r (id int PRIMARY KEY, v int, body text); ALTER TABLE r REPLICA IDENTITY FULL;"
    "INSERT INTO q SELECT g, g % 10, g % 100, repeat(md5(g::text), 90) FROM"
    " generate_series(1, 500) g;"
    "INSERT INTO r SELECT g, g % 100, repeat(md5(g::text), 90) FROM generate_series(1, 500) g;"
    "ALTER TABLE q ALTER body SET STORAGE EXTERNAL; ALTER TABLE r ALTER body SET STORAGE EXTERNAL";

static const char join_target[] =
    "CREATE TABLE q (id int, n int, v int, body text, PRIMARY KEY (id, n));"
    "CREATE TABLE r (id int PRIMARY KEY, v int, body text)";

static const char join_job[] = "tables:\n"
                               "  q: {into: q, where: \"v BETWEEN 40 AND 60\"}\n";

/* Rows enter and leave the filter, and the partition. */
static const char join_moves[] =
    "\\set a random(1, 500)\n\\set v random(0, 99)\n\\set n random(0, 19)\n"
    "\\set id random(10000, 1000000000)\nBEGIN;\n"
    "UPDATE q SET v = :v WHERE id = :a;\nUPDATE q SET n = :n WHERE id = :a + 1;\n"
    "UPDATE q SET n = :n, v = :v WHERE id = :a + 2;\nUPDATE r SET v = :v WHERE id = :a;\n"
    "UPDATE r SET id = :id WHERE id = :a + 1;\nUPDATE r SET body = body || 'x' WHERE id = :a + 2;\n"
    "COMMIT;\n"
    "INSERT INTO q VALUES (:id, :n, :v, 'new');\nINSERT INTO r VALUES (:a + 1, :v, 'new') ON"
    " CONFLICT DO NOTHING;\nDELETE FROM q WHERE id = :a + 3;\nDELETE FROM r WHERE id = :a + 3;\n";

static struct run *
start_moving(const struct pair_db *db)
{
    const char *const argv[] = {"pgbench",
                                "-n",
                                "-c",
                                "1",
                                "-R",
                                "200",
                                "-T",
                                "600",
                                "-f",
                                scratch_printf("%s/join.sql", scratch_dir()),
                                pg_test_conninfo(pair.src, db->name),
                                NULL};

    scratch_write("join.sql", join_moves);
    return run_start_copy(NULL, argv);
}

static void
end_moving(const struct pair_db *db, struct run *moving)
{
    if (!run_alive(moving))
        fail_msg("the moves ended by themselves: %s", run_err(moving));
    run_kill(moving);
    sql_wait_true(pair.src, db->name,
                  "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name ="
                  " 'pgbench' AND datname = current_database())",
                  60000);
}

#define NARROW "--data-only", "--table", "q"
#define WIDE NARROW, "--table", "r"

static struct pair_db
stopped_join(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, join_source);
    sql_exec(db.target, join_target);
    struct run *run = pair_follow(&db, pair_job_file(&db, join_job), NARROW);
    pair_wait_following(&db, run);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    return db;
}

/*
 * Beside filters that are in use, while rows enter and leave them: by many transactions, and by one
 * that has written before the table is published and goes on after it.
 */
static void
test_table_joins(void **state)
{
    struct pair_db db = stopped_join("joins");
    const char *job = pair_job_file(&db, join_job);
    PGconn *writer = sql_connect(pair.src, db.name);
    struct run *moving = start_moving(&db);

    (void)state;
    sql_exec(writer,
             "BEGIN; INSERT INTO q VALUES (5001, 15, 50, 'leaves'), (5002, 15, 1, 'enters'),"
             " (5003, 15, 50, 'stays'), (5004, 5, 50, 'goes'), (5005, 5, 1, 'comes');"
             "INSERT INTO r VALUES (5001, 50, 'before')");
    struct run *run = pair_follow(&db, job, WIDE);
    run_wait_output(run, "their copy waits for its end", 60000);
    sql_exec(writer, "UPDATE q SET v = 1 WHERE id = 5001; UPDATE q SET v = 50 WHERE id = 5002;"
                     "UPDATE q SET body = 'stayed' WHERE id = 5003;"
                     "UPDATE q SET v = 1, n = 15 WHERE id = 5004;"
                     "UPDATE q SET v = 50, n = 15 WHERE id = 5005;"
                     "UPDATE r SET v = 1 WHERE id = 5001; INSERT INTO r VALUES (5002, 1, 'after');"
                     "COMMIT");
    PQfinish(writer);
    pair_wait_following(&db, run);
    assert_string_equal(
        sql_rows(db.source, filters_sql),
        "q|<null>\nq_1|((v >= 40) AND (v <= 60))\nq_2|((v >= 40) AND (v <= 60))\nr|<null>\n");
    sql_wait_true(pair.src, db.name, "SELECT count(*) > 300 FROM q WHERE id >= 10000", 60000);
    end_moving(&db, moving);
    pair_expect(pair_run(&db, "verify", job, WIDE, "--name", db.name), 0, "equal");
    end(&db, run);
    pair_same_as(&db, "SELECT * FROM q WHERE v BETWEEN 40 AND 60 ORDER BY 1",
                 "SELECT * FROM q ORDER BY 1");
    pair_same_table(&db, "r");
    pair_db_end(&db);
}

/* It stands where it stood, and nothing was added to its publication. */
static void
refuse_to_join(struct pair_db *db, struct run *run, int code, const char *why)
{
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, code, why);
    assert_string_equal(sql_value(db->target, "SELECT phase || joining FROM pghaul.job"), "follow");
    assert_string_equal(sql_value(db->source, "SELECT count(*) FROM pg_publication_rel"), "3");
}

/*
 * The rules of a job are one thing, which rows were copied by: a table that is to join brings none
 * of its own, nor does a new partition come under them.
 */
static void
test_conditions_do_not_join(void **state)
{
    struct pair_db db = stopped_join("refused");
    const char *wider = scratch_printf("%s  r: {where: \"v > 10\"}\n", join_job);

    (void)state;
    refuse_to_join(&db, pair_follow(&db, pair_job_file(&db, wider), WIDE), 3, "PH-JOB-OTHER");
    refuse_to_join(&db, pair_follow(&db, pair_job_file(&db, wider), NARROW), 2,
                   "public.r has rules and is not selected");
    sql_exec(db.source, "CREATE TABLE q_3 PARTITION OF q FOR VALUES FROM (20) TO (30);"
                        "ALTER TABLE q_3 REPLICA IDENTITY FULL");
    refuse_to_join(&db, pair_follow(&db, pair_job_file(&db, join_job), NARROW), 3, "PH-JOB-OTHER");
    sql_exec(db.source, "DROP TABLE q_3; UPDATE q SET v = 99 - v WHERE id < 100");
    struct run *run = pair_follow(&db, pair_job_file(&db, join_job), NARROW);
    end(&db, run);
    pair_same_as(&db, "SELECT * FROM q WHERE v BETWEEN 40 AND 60 ORDER BY 1",
                 "SELECT * FROM q ORDER BY 1");
    pair_db_end(&db);
}

/* ---- publications that change ---- */

/* A filter that somebody else made may have left out what the rules take. */
static void
test_filter_of_somebody_else(void **state)
{
    struct pair_db db = pair_db_new(&pair, "other");
    const char *job = pair_job_file(&db, "tables:\n  t: {where: \"id > 10\"}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v int);"
                   "CREATE TABLE gone (id int PRIMARY KEY, v int)");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    sql_exec(db.source, "ALTER PUBLICATION pghaul_other SET TABLE gone, t WHERE (id > 11)");
    pair_expect(pair_copy(&db, job, "--data-only", "--follow", "--name", "other"), 1,
                "PH-GAP public.t: publication pghaul_other was altered");
    sql_exec(db.source, "ALTER PUBLICATION pghaul_other SET TABLE gone, t");
    pair_expect(pair_copy(&db, job, "--data-only", "--follow", "--name", "other"), 1,
                "a table of the job was taken out of it and added again");
    pair_db_end(&db);
}

static void
follow_until_gap(struct pair_db *db, const char *sql, const char *part)
{
    pair_both(db, "CREATE TABLE t (id int PRIMARY KEY)");
    struct run *run = pair_follow(db, "--data-only");

    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    sql_exec(db->source, sql);
    pair_expect(run, 1, part);
}

/* Of 13 the catalogs are others; 18 goes on without a publication, as if nothing had happened. */
static void
test_made_again_on_other_majors(void **state)
{
    (void)state;
    for (int major = 13; major <= 18; major += 5) {
        if (!pg_test_major_present(major)) {
            print_message("  SKIPPED %d: not installed (scripts/install-majors)\n", major);
            continue;
        }
        struct pair servers = make_pair(major);
        struct pair_db again = pair_db_new(&servers, scratch_printf("again_%d", major));
        struct pair_db gone = pair_db_new(&servers, scratch_printf("gone_%d", major));
        follow_until_gap(&again,
                         scratch_printf("ALTER PUBLICATION pghaul_again_%d DROP TABLE t;"
                                        "INSERT INTO t VALUES (1);"
                                        "ALTER PUBLICATION pghaul_again_%d ADD TABLE t",
                                        major, major),
                         "a table of the job was taken out of it and added again");
        if (major >= 18)
            follow_until_gap(&gone, "DROP PUBLICATION pghaul_gone_18; INSERT INTO t VALUES (1)",
                             "publication pghaul_gone_18 was altered: it is not there");
        pair_db_end(&again);
        pair_db_end(&gone);
        pg_test_cluster_stop(servers.src);
        pg_test_cluster_stop(servers.dst);
    }
}

/* As DROP COLUMN … CASCADE does, whose filter goes with the table. */
static void
test_column_is_dropped_with_all_on_it(void **state)
{
    struct pair_db db = pair_db_new(&pair, "cascade");
    const char *job = pair_job_file(&db, "tables:\n  t: {where: \"n > 10\"}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, n int)");
    sql_exec(db.source, "ALTER TABLE t REPLICA IDENTITY FULL");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "ALTER TABLE t DROP COLUMN n CASCADE; INSERT INTO t VALUES (1)");
    pair_expect(run, 1, "PH-GAP public.t: publication pghaul_cascade was altered");
    pair_db_end(&db);
}

/* Also of a job that was killed. */
static void
test_clean_removes_it(void **state)
{
    struct pair_db db = pair_db_new(&pair, "cleaned");
    const char *job = pair_job_file(&db, "tables:\n  t: {where: \"id > 10\"}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v int)");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    run_kill(run);
    pair_expect(pair_run(&db, "clean", "--yes", "--name", "cleaned"), 0, "the publication");
    assert_string_equal(sql_value(db.source, "SELECT count(*) FROM pg_publication"), "0");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_conditions),
        cmocka_unit_test(test_rows_enter_and_leave),
        cmocka_unit_test(test_table_joins),
        cmocka_unit_test(test_conditions_do_not_join),
        cmocka_unit_test(test_filter_of_somebody_else),
        cmocka_unit_test(test_column_is_dropped_with_all_on_it),
        cmocka_unit_test(test_made_again_on_other_majors),
        cmocka_unit_test(test_clean_removes_it),
        cmocka_unit_test(test_each_major),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
