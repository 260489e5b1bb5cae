/*
 * Rows reshaped while they follow: what arrives of the stream is what SQL makes of the source,
 * after changes of every kind, kills, and groups that the target refuses at first.
 */
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

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\nlogical_decoding_work_mem = 64kB\n");
    return 0;
}

struct shape { /* of the source, and as the target is to have it */
    const char *source;
    const char *target;
};

/* It is told to end, with that code, and all is as it should be. */
static void
end(struct pair_db *db, struct run *run, int code, const struct shape *shapes)
{
    pair_wait_following(db, run);
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, code, code == 0 ? "followed to" : "rows are in quarantine");
    for (uint32_t i = 0; shapes[i].source != NULL; i++)
        pair_same_as(db, shapes[i].source, shapes[i].target);
}

/* ---- all shapes at once ---- */

static const char all_job[] =
    "maps:\n"
    "  phase: {domain_generation: generation, dns_validation: dns_validation,\n"
    "          comprehensive: generation}\n"
    "tables:\n"
    "  campaigns:\n"
    "    columns:\n"
    "      current_phase: {map: phase, from: campaign_type}\n"
    "      note: {from: remark}\n"
    "      org: {set: 7}\n"
    "    drop: [campaign_type]\n"
    "  items:\n"
    "    where: \"state <> 'hidden' AND amount >= 10\"\n"
    "    columns: {price: {from: amount}}\n"
    "    drop: [state]\n"
    "  posts:\n"
    "    into:\n"
    "      - {table: core.posts, columns: {made: {from: at}}}\n"
    "      - {table: core.bodies, columns: {post_id: {from: id}, words: {from: body}},\n"
    "         drop: [at]}\n"
    "  metrics:\n"
    "    unpivot: {columns: [likes, shares], name: metric, value: n, nulls: keep}\n"
    "  cats:\n"
    "    into: pets\n"
    "    columns: {kind: {set: cat}}\n"
    "  dogs:\n"
    "    into: pets\n"
    "    columns: {kind: {set: dog}}\n"
    "  people:\n"
    "    columns: {id: {do: [{cast: text}]}}\n"
    "  orders:\n"
    "    columns: {person: {do: [{cast: text}]}}\n"
    "  marks:\n"
    "    columns: {mark: {map: phase}}\n"
    "    on_bad: quarantine\n"
    "  places:\n"
    "    columns: {name: {from: label}, org: {set: 7}}\n";

static const char all_source[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok');"
    "CREATE TABLE campaigns (id int PRIMARY KEY, campaign_type text NOT NULL, remark text,"
    " tags text[], moods mood[]);"
    "CREATE TABLE items (id int PRIMARY KEY, state text NOT NULL, amount int NOT NULL, body text);"
    "ALTER TABLE items REPLICA IDENTITY FULL; ALTER TABLE items ALTER body SET STORAGE EXTERNAL;"
    "CREATE TABLE posts (id bigint PRIMARY KEY, at timestamptz, body text);"
    "ALTER TABLE posts ALTER body SET STORAGE EXTERNAL;"
    "CREATE TABLE metrics (id int PRIMARY KEY, likes int, shares int);"
    "CREATE TABLE cats (id int PRIMARY KEY, name text);"
    "CREATE TABLE dogs (id int PRIMARY KEY, name text);"
    "CREATE TABLE people (id int PRIMARY KEY, name text);"
    "CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people ON UPDATE CASCADE);"
    "CREATE TABLE marks (id int PRIMARY KEY, mark text);"
    "ALTER TABLE marks REPLICA IDENTITY FULL;"
    "CREATE TABLE places (id int PRIMARY KEY, label text UNIQUE);"
    "CREATE TABLE plain (id int PRIMARY KEY, a text);"
    "INSERT INTO campaigns SELECT g, (ARRAY['domain_generation', 'dns_validation',"
    " 'comprehensive'])[1 + g % 3], 'r' || g, ARRAY['a', NULL, g::text], ARRAY['ok', 'sad']::mood[]"
    " FROM generate_series(1, 500) g;"
    "INSERT INTO items SELECT g, (ARRAY['hidden', 'new', 'old'])[1 + g % 3], g % 30,"
    " repeat('x' || g, 900) FROM generate_series(1, 300) g;"
    "INSERT INTO posts SELECT g, to_timestamp(g), repeat('y' || g, 900)"
    " FROM generate_series(1, 300) g;"
    "INSERT INTO metrics SELECT g, nullif(g % 5, 0), g FROM generate_series(1, 200) g;"
    "INSERT INTO cats SELECT g, 'cat ' || g FROM generate_series(1, 100) g;"
    "INSERT INTO dogs SELECT g, 'dog ' || g FROM generate_series(1, 100) g;"
    "INSERT INTO people SELECT g, 'p' || g FROM generate_series(1, 100) g;"
    "INSERT INTO orders SELECT g, 1 + g % 100 FROM generate_series(1, 200) g;"
    "INSERT INTO marks SELECT g, CASE g % 10 WHEN 0 THEN 'odd' ELSE 'dns_validation' END"
    " FROM generate_series(1, 100) g;"
    "INSERT INTO places SELECT g, 'place ' || g FROM generate_series(1, 100) g;"
    "INSERT INTO plain SELECT g, 'a' FROM generate_series(1, 10) g";

static const char all_target[] =
    "CREATE TYPE unused AS ENUM ('x'); CREATE TYPE mood AS ENUM ('sad', 'ok');"
    "CREATE TYPE phase AS ENUM ('generation', 'dns_validation');"
    "CREATE TABLE campaigns (id int PRIMARY KEY, current_phase phase NOT NULL, org int NOT NULL,"
    " note text, tags text[], moods mood[]);"
    "CREATE TABLE items (id int PRIMARY KEY, price bigint NOT NULL, body text);"
    "CREATE SCHEMA core;"
    "CREATE TABLE core.posts (id bigint PRIMARY KEY, made timestamptz);"
    "CREATE TABLE core.bodies (words text, post_id bigint PRIMARY KEY);"
    "CREATE TABLE metrics (id int, metric text, n int, PRIMARY KEY (metric, id));"
    "CREATE TABLE pets (kind text, id int, name text, PRIMARY KEY (kind, id));"
    "CREATE TABLE people (id text PRIMARY KEY, name text);"
    "CREATE TABLE orders (id int PRIMARY KEY, person text REFERENCES people);"
    "CREATE TABLE marks (id int PRIMARY KEY, mark text);"
    "CREATE TABLE places (id int PRIMARY KEY, org int, name text UNIQUE);"
    "CREATE TABLE plain (id int PRIMARY KEY, a text)";

static const struct shape all_shapes[] = {
    {"SELECT id, CASE campaign_type WHEN 'dns_validation' THEN 'dns_validation' ELSE 'generation'"
     " END, 7, remark, tags, moods FROM campaigns ORDER BY id",
     "SELECT id, current_phase, org, note, tags, moods FROM campaigns ORDER BY id"},
    {"SELECT id, amount, md5(body) FROM items WHERE state <> 'hidden' AND amount >= 10 ORDER BY id",
     "SELECT id, price, md5(body) FROM items ORDER BY id"},
    {"SELECT id, at FROM posts ORDER BY id", "SELECT * FROM core.posts ORDER BY id"},
    {"SELECT id, md5(body) FROM posts ORDER BY id",
     "SELECT post_id, md5(words) FROM core.bodies ORDER BY 1"},
    {"SELECT id, 'likes' AS m, likes FROM metrics UNION ALL SELECT id, 'shares', shares FROM"
     " metrics ORDER BY 1, 2",
     "SELECT id, metric, n FROM metrics ORDER BY 1, 2"},
    {"SELECT 'cat' AS k, * FROM cats UNION ALL SELECT 'dog', * FROM dogs ORDER BY 1, 2",
     "SELECT * FROM pets ORDER BY 1, 2"},
    {"SELECT id, name FROM people ORDER BY id", "SELECT * FROM people ORDER BY id::int"},
    {"SELECT * FROM orders ORDER BY id", "SELECT * FROM orders ORDER BY id"},
    {"SELECT id, CASE mark WHEN 'dns_validation' THEN 'dns_validation' ELSE 'generation' END"
     " FROM marks WHERE mark IN ('domain_generation', 'dns_validation', 'comprehensive')"
     " ORDER BY id",
     "SELECT * FROM marks ORDER BY id"},
    {"SELECT id, 7, label FROM places ORDER BY id", "SELECT * FROM places ORDER BY id"},
    {"SELECT * FROM plain ORDER BY id", "SELECT * FROM plain ORDER BY id"},
    {NULL, NULL},
};

/* Changes of every kind; `round` makes them others each time. */
static void
write_changes(struct pair_db *db, int round)
{
    int id = 1000 * (round + 1);

    sql_execf(db->source,
              "INSERT INTO campaigns SELECT g, 'dns_validation', NULL, NULL, '{ok}'"
              " FROM generate_series(%d, %d) g;"
              "UPDATE campaigns SET campaign_type = 'comprehensive' WHERE id %% 7 = %d;"
              "UPDATE campaigns SET remark = 'changed', moods = '{sad,NULL}' WHERE id %% 11 = %d;"
              "DELETE FROM campaigns WHERE id %% 13 = %d;"
              "UPDATE campaigns SET id = id + 50000 WHERE id %% 17 = %d AND id < 400;",
              id, id + 50, round, round, round, round);
    /* out of the condition and into it, whole although the body is not touched */
    sql_execf(db->source,
              "UPDATE items SET state = CASE state WHEN 'hidden' THEN 'new' ELSE 'hidden' END"
              " WHERE id %% 5 = %d;"
              "UPDATE items SET amount = amount + 7 WHERE id %% 3 = %d;"
              "UPDATE items SET amount = 0 WHERE id %% 19 = %d; DELETE FROM items WHERE id %% 23 ="
              " %d; INSERT INTO items VALUES (%d, 'new', 50, 'short'), (%d, 'hidden', 50, 'long');"
              "UPDATE items SET id = id + 50000 WHERE id %% 29 = %d AND id < 400",
              round, round % 3, round, round, id, id + 1, round);
    sql_execf(db->source,
              "UPDATE posts SET at = at + interval '1 day' WHERE id %% 3 = %d;"
              "UPDATE posts SET body = repeat('z', 4000) WHERE id %% 17 = %d;"
              "UPDATE posts SET id = id + 50000 WHERE id %% 31 = %d AND id < 400;"
              "DELETE FROM posts WHERE id %% 13 = %d; INSERT INTO posts VALUES (%d, now(), NULL)",
              round % 3, round, round, round, id);
    sql_execf(db->source,
              "UPDATE metrics SET likes = NULL WHERE id %% 5 = %d;"
              "UPDATE metrics SET shares = shares + 1 WHERE id %% 2 = %d;"
              "UPDATE metrics SET id = id + 50000 WHERE id %% 41 = %d AND id < 400;"
              "DELETE FROM metrics WHERE id %% 11 = %d; INSERT INTO metrics VALUES (%d, 5, NULL)",
              round, round % 2, round, round, id);
    sql_execf(db->source,
              "BEGIN; UPDATE cats SET name = name || '!' WHERE id %% 3 = %d;"
              "DELETE FROM dogs WHERE id %% 7 = %d; INSERT INTO dogs VALUES (%d, 'new dog');"
              "INSERT INTO cats VALUES (%d, 'new cat');"
              "UPDATE dogs SET id = id + 50000 WHERE id %% 9 = %d AND id < 400; COMMIT;"
              "UPDATE people SET id = id + 50000 WHERE id %% 6 = %d AND id < 400;"
              "INSERT INTO people VALUES (%d, 'new'); INSERT INTO orders VALUES (%d, %d);"
              "DELETE FROM orders WHERE id %% 10 = %d",
              round % 3, round, id, id, round, round, id, id, id, round);
    sql_execf(db->source,
              "UPDATE marks SET mark = 'odd' WHERE id %% 6 = %d;"
              "UPDATE marks SET mark = 'comprehensive' WHERE id %% 9 = %d;"
              "DELETE FROM marks WHERE id %% 21 = %d; INSERT INTO marks VALUES (%d, 'strange')",
              round, round, round, id);
    /* values that only one after the other can have */
    sql_execf(db->source,
              "BEGIN; UPDATE places SET label = 'aside' WHERE id = %d;"
              "UPDATE places SET label = 'place %d' WHERE id = %d;"
              "UPDATE places SET label = 'place %d' WHERE id = %d; COMMIT;"
              "UPDATE plain SET a = a || 'b'",
              2 * round + 1, 2 * round + 1, 2 * round + 2, 2 * round + 2, 2 * round + 1);
}

static void
test_all_shapes(void **state)
{
    struct pair_db db = pair_db_new(&pair, "shapes");
    const char *job = pair_job_file(&db, all_job);

    (void)state;
    sql_exec(db.source, all_source);
    sql_exec(db.target, all_target);
    pair_expect(pair_run(&db, "check", job, "--data-only", "--follow"), 0, "ready");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    for (int round = 0; round < 3; round++)
        write_changes(&db, round);
    sql_wait_true(pair.dst, db.name, "SELECT count(*) > 0 FROM campaigns WHERE id >= 3000", 30000);
    sql_wait_true(pair.dst, db.name,
                  "SELECT (state #>> '{follow,replays}')::int > 0 FROM pghaul.progress", 30000);
    run_kill(run);
    for (int round = 3; round < 5; round++)
        write_changes(&db, round);
    run = pair_follow(&db, job, "--data-only");
    sql_exec(db.source, "TRUNCATE campaigns; TRUNCATE posts; TRUNCATE cats, dogs;"
                        "INSERT INTO campaigns VALUES (1, 'comprehensive', 'again', NULL, NULL);"
                        "INSERT INTO posts VALUES (1, now(), 'again');"
                        "INSERT INTO cats VALUES (1, 'again'); INSERT INTO dogs VALUES (2, 'too')");
    write_changes(&db, 5);
    end(&db, run, 4, all_shapes);
    assert_true(sql_int(db.target, "SELECT count(*) FROM pghaul.quarantine WHERE chunk IS NULL AND"
                                   " column_name = 'mark' AND row_key LIKE '(id=%)'") > 0);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.quarantine WHERE"
                                        " row_key = '(id=3000)'"),
                     1);
    pair_db_end(&db);
}

/* ---- with the whole old row ---- */

static void
test_whole_old_rows(void **state)
{
    static const struct shape shapes[] = {
        {"SELECT id, tag, n, upper(tag), n + 10 FROM t, unnest(tags) WITH ORDINALITY u (tag, n)"
         " ORDER BY 1, 3",
         "SELECT * FROM tags ORDER BY 1, 3"},
        {"SELECT id, m, n, note, m || ':' || note FROM t, LATERAL (VALUES ('a', a), ('b', b))"
         " v (m, n) WHERE n IS NOT NULL AND id > 3 ORDER BY 1, 2",
         "SELECT id, m, n, note, label FROM counts ORDER BY 1, 2"},
        {NULL, NULL},
    };
    struct pair_db db = pair_db_new(&pair, "whole");
    const char *job = pair_job_file(
        &db,
        "tables:\n"
        "  t:\n"
        "    into:\n"
        "      - {table: tags, each: {column: tags, value: tag, position: n},\n"
        "         drop: [a, b, note],\n"
        "         columns: {slug: {do: [upper], from: $value},\n"
        "                   rank: {do: [{add: 10}], from: $position}}}\n"
        "      - {table: counts, unpivot: {columns: [a, b], name: m, value: n}, drop: [tags],\n"
        "         where: \"id > 3\",\n"
        "         columns: {label: {do: [{concat: ':'}], from: [$name, note]}}}\n");

    (void)state;
    sql_exec(
        db.source,
        "CREATE TABLE t (id int PRIMARY KEY, tags text[], a int, b int, note text);"
        "ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE t ALTER note SET STORAGE EXTERNAL;"
        "INSERT INTO t SELECT g, ARRAY['x', NULL, g::text], nullif(g % 3, 0), nullif(g % 4, 0),"
        " repeat('n', 5000) FROM generate_series(1, 50) g");
    sql_exec(db.target,
             "CREATE TABLE tags (id int, tag text, n int, slug text, rank bigint, PRIMARY KEY"
             " (id, rank));"
             "CREATE TABLE counts (id int, m text, n bigint, note text, label text,"
             " PRIMARY KEY (id, m))");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source,
             "UPDATE t SET tags = tags || 'more'::text WHERE id % 5 = 0; UPDATE t SET tags = NULL"
             " WHERE id % 7 = 0; UPDATE t SET tags = '{}' WHERE id % 8 = 0;"
             "UPDATE t SET a = 9, b = NULL WHERE id % 6 = 0; UPDATE t SET id = id - 100 WHERE id %"
             " 10 = 1; UPDATE t SET id = id + 200 WHERE id < -80; UPDATE t SET id = 2000 - id"
             " WHERE id BETWEEN 1 AND 5; UPDATE t SET a = NULL, b = NULL WHERE id = 20;"
             "DELETE FROM t WHERE id % 9 = 0; INSERT INTO t VALUES (500, '{q}', 1, 2, 'new'),"
             " (501, NULL, NULL, NULL, NULL); UPDATE t SET tags = tags[2:3]");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 2 FROM counts WHERE id = 500", 30000);
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--name", db.name), 0, "agree");
    end(&db, run, 0, shapes);
    pair_db_end(&db);
}

/* ---- masks ---- */

/* A key and what refers to it, and values that hang on the row's key: as a copy would make them. */
static void
test_masks(void **state)
{
    static const char *const env[] = {"PGHAUL_TEST_SECRET=nobody knows it", NULL};
    static const struct shape shapes[] = {
        {"SELECT count(*), count(DISTINCT email), count(note) FROM people",
         "SELECT count(*), count(DISTINCT email), count(note) FROM people"},
        {"SELECT o.order_no, amount FROM orders o JOIN people p ON p.id = person ORDER BY 1",
         "SELECT o.order_no, amount FROM orders o JOIN people p ON p.id = person ORDER BY 1"},
        {NULL, NULL},
    };
    struct pair_db db = pair_db_new(&pair, "masks");
    const char *job = pair_job_file(&db, "secret: {env: PGHAUL_TEST_SECRET}\n"
                                         "tables:\n"
                                         "  people:\n"
                                         "    columns:\n"
                                         "      id: {mask: uuid}\n"
                                         "      email: {mask: email}\n"
                                         "      note: {do: [encrypt]}\n");

    (void)state;
    db.env = env;
    pair_both(&db, "CREATE TABLE people (id uuid PRIMARY KEY, email text, note text);"
                   "CREATE TABLE orders (order_no int PRIMARY KEY, person uuid REFERENCES people ON"
                   " UPDATE CASCADE, amount int)");
    sql_exec(db.source, "ALTER TABLE people REPLICA IDENTITY FULL;"
                        "ALTER TABLE people ALTER note SET STORAGE EXTERNAL;"
                        "INSERT INTO people SELECT md5(g::text)::uuid, 'p' || g || '@example.org',"
                        " repeat('note ' || g, 1000)"
                        " FROM generate_series(1, 200) g;"
                        "INSERT INTO orders SELECT g, md5((1 + g % 200)::text)::uuid, g"
                        " FROM generate_series(1, 400) g");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(
        db.source,
        "UPDATE people SET email = 'new' || email WHERE id::text < '4';"
        "UPDATE people SET id = gen_random_uuid() WHERE id::text > 'c';"
        "UPDATE people SET note = NULL WHERE id::text < '1';"
        "DELETE FROM orders WHERE order_no % 7 = 0; UPDATE orders SET amount = 0 WHERE order_no"
        " < 20; INSERT INTO people VALUES (gen_random_uuid(), 'late@example.org', 'late');"
        "INSERT INTO orders SELECT 1000, id, 5 FROM people WHERE email = 'late@example.org'");
    end(&db, run, 0, shapes);
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--name", "as_they_are"), 0, "agree");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM people WHERE note LIKE '%note %' OR"
                                        " email LIKE 'p%@example.org' AND email ~ '^p[0-9]+@'"),
                     0);
    pair_db_end(&db);
}

/* ---- while it arrives ---- */

static void
wait_counts(const struct pair_db *db, int early, int left)
{
    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT (state #>> '{follow,early}')::int = %d AND"
                                 " (state #>> '{follow,early_left}')::int = %d FROM"
                                 " pghaul.progress",
                                 early, left),
                  60000);
}

static void
wait_early(const struct pair_db *db)
{
    sql_wait_true(
        pair.dst, db->name,
        scratch_printf("SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = '%s' AND"
                       " application_name LIKE '%%apply early' AND backend_xid IS NOT"
                       " NULL AND state = 'idle in transaction'",
                       db->name),
        60000);
}

/* Both routes go back to a savepoint together; a row for the quarantine waits for the commit. */
static void
test_large_transactions(void **state)
{
    static const struct shape shapes[] = {
        {"SELECT id, 1 FROM t WHERE v IN ('a', 'b') ORDER BY id",
         "SELECT id, org FROM u ORDER BY id"},
        {"SELECT id, CASE v WHEN 'a' THEN 'x' ELSE 'y' END FROM t WHERE v IN ('a', 'b') ORDER BY "
         "id",
         "SELECT * FROM t ORDER BY id"},
        {NULL, NULL},
    };
    struct pair_db db = pair_db_new(&pair, "large");
    const char *job = pair_job_file(&db, "maps:\n  m: {a: x, b: y}\n"
                                         "tables:\n"
                                         "  t:\n"
                                         "    where: \"v <> 'out'\"\n"
                                         "    columns: {v: {map: m}}\n"
                                         "    into: [t, {table: u, columns: {org: {set: 1}}}]\n"
                                         "    on_bad: quarantine\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                        "ALTER TABLE t REPLICA IDENTITY FULL;"
                        "INSERT INTO t SELECT g, 'a' FROM generate_series(1, 100) g");
    sql_exec(db.target, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                        "CREATE TABLE u (id int PRIMARY KEY, v text, org int)");
    struct run *run = pair_follow(&db, job, "--data-only");
    PGconn *large = sql_connect(pair.src, db.name);
    pair_wait_following(&db, run);
    sql_exec(large, "BEGIN; INSERT INTO t SELECT g, 'b' FROM generate_series(1001, 9000) g;"
                    "SAVEPOINT s; UPDATE t SET v = 'out' WHERE id % 3 = 0 AND id > 1000;"
                    "INSERT INTO t SELECT g, 'a' FROM generate_series(20001, 29000) g");
    wait_early(&db);
    sql_exec(large, "ROLLBACK TO s; UPDATE t SET id = id + 100000 WHERE id % 4 = 0 AND id > 1000;"
                    "INSERT INTO t SELECT g, 'a' FROM generate_series(20001, 24000) g");
    sql_exec(db.source, "UPDATE t SET v = 'b' WHERE id < 50");
    sql_exec(large, "COMMIT");
    wait_counts(&db, 1, 0);
    sql_exec(large, "BEGIN; INSERT INTO t SELECT g, 'b' FROM generate_series(30001, 38000) g");
    wait_early(&db);
    sql_exec(large, "INSERT INTO t SELECT g, 'strange' FROM generate_series(40001, 40003) g;"
                    "INSERT INTO t SELECT g, 'b' FROM generate_series(50001, 58000) g; COMMIT");
    wait_counts(&db, 1, 1);
    PQfinish(large);
    end(&db, run, 4, shapes);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.quarantine"), 6);
    pair_db_end(&db);
}

/* ---- what cannot be ---- */

static void
test_truncate_of_one_of_several(void **state)
{
    struct pair_db db = pair_db_new(&pair, "one_of_several");
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  cats: {into: pets, columns: {kind: {set: cat}}}\n"
                                         "  dogs: {into: pets, columns: {kind: {set: dog}}}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE cats (id int PRIMARY KEY, name text);"
                        "CREATE TABLE dogs (id int PRIMARY KEY, name text);"
                        "INSERT INTO cats VALUES (1, 'a'); INSERT INTO dogs VALUES (1, 'b')");
    sql_exec(db.target, "CREATE TABLE pets (kind text, id int, name text, PRIMARY KEY (kind, id))");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "TRUNCATE cats");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 3, "TRUNCATE of a table whose rows are among those of others");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pets"), 2);
    pair_db_end(&db);
}

/* Rows of the target that are its own outlive a TRUNCATE, and what refers to the others goes with
 * them. */
static void
test_truncate_beside_own_rows(void **state)
{
    static const struct shape shapes[] = {
        {"SELECT id, 'staging', v FROM keys UNION ALL SELECT 1000, 'production', 'own' ORDER BY 1",
         "SELECT id, env, v FROM keys ORDER BY 1"},
        {NULL, NULL},
    };
    struct pair_db db = pair_db_new(&pair, "own_rows");
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  keys:\n"
                                         "    columns: {env: {set: staging}}\n"
                                         "    preserve: \"env = 'production'\"\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE keys (id int PRIMARY KEY, v text);"
                        "INSERT INTO keys SELECT g, 'v' FROM generate_series(1, 10) g");
    sql_exec(db.target, "CREATE TABLE keys (id int PRIMARY KEY, env text NOT NULL, v text);"
                        "INSERT INTO keys VALUES (1000, 'production', 'own')");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "DELETE FROM keys WHERE id = 3; TRUNCATE keys;"
                        "INSERT INTO keys VALUES (5, 'again'), (6, 'more')");
    end(&db, run, 0, shapes);
    pair_db_end(&db);
}

/* A column that the rules do not know goes nowhere: that is for people to say. */
static void
test_column_is_added(void **state)
{
    struct pair_db db = pair_db_new(&pair, "added");
    const char *job = pair_job_file(&db, "tables:\n  t:\n    columns: {org: {set: 7}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    sql_exec(db.target, "ALTER TABLE t ADD org int");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO t VALUES (1, 'a')");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM t", 30000);
    sql_exec(db.source, "ALTER TABLE t ADD secret text; INSERT INTO t VALUES (2, 'b', 'c')");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 2, "column secret goes nowhere");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM t"), "1|a|7\n");
    pair_db_end(&db);
}

/* A table without rules comes to a job that has some. */
static void
test_table_joins(void **state)
{
    static const struct shape shapes[] = {
        {"SELECT id, v, 7 FROM t ORDER BY 1", "SELECT * FROM t ORDER BY 1"},
        {"SELECT id, v, 8 FROM t ORDER BY 1", "SELECT * FROM more ORDER BY 1"},
        {"SELECT * FROM plain ORDER BY 1", "SELECT * FROM plain ORDER BY 1"},
        {NULL, NULL},
    };
    struct pair_db db = pair_db_new(&pair, "joins");
    const char *job = pair_job_file(&db, "tables:\n  t:\n    into:\n"
                                         "      - {table: t, columns: {org: {set: 7}}}\n"
                                         "      - {table: more, columns: {org: {set: 8}}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                   "CREATE TABLE plain (id int PRIMARY KEY, v text)");
    sql_exec(db.target, "ALTER TABLE t ADD org int; CREATE TABLE more (LIKE t INCLUDING ALL)");
    sql_exec(db.source, "INSERT INTO t VALUES (1, 'a'); INSERT INTO plain VALUES (1, 'b')");
    struct run *run = pair_follow(&db, job, "--data-only", "--table", "public.t");
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO t VALUES (2, 'a'); INSERT INTO plain VALUES (2, 'b')");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run = pair_follow(&db, job, "--data-only", "--table", "public.t", "--table", "public.plain");
    run_wait_output(run, "applying changes", 60000);
    sql_exec(db.source, "INSERT INTO t VALUES (3, 'a'); INSERT INTO plain VALUES (3, 'b')");
    end(&db, run, 0, shapes);
    pair_db_end(&db);
}

/* ---- values that rules do not have ---- */

static const char *
bad_value_job(const struct pair_db *db, const char *columns)
{
    return pair_job_file(db, scratch_printf("maps:\n  m: {a: x}\n"
                                            "tables:\n  t: {columns: {v: %s}}\n",
                                            columns));
}

static void
make_bad_value(struct pair_db *db)
{
    sql_exec(db->source, "CREATE TABLE t (id int PRIMARY KEY, v text, w text DEFAULT 'a');"
                         "INSERT INTO t VALUES (1, 'a')");
    sql_exec(db->target, "CREATE TABLE t (id int PRIMARY KEY, v text, w text)");
}

/* What was followed until now does not go on with these. */
static void
other_rules(struct pair_db *db, const char *columns, const char *why)
{
    struct run *run = pair_follow(db, bad_value_job(db, columns), "--data-only");

    run_wait(run, RUN_DEADLINE_MS);
    if (run->code == 0 || run->code == 4)
        fail_msg("it went on with %s", columns);
    pair_expect(run, run->code, why);
}

/*
 * A value that a rule does not know stops the job, with the row's key. It goes on when the rules
 * say what becomes of it and nothing else has changed in them.
 */
static void
test_bad_value(void **state)
{
    struct pair_db db = pair_db_new(&pair, "bad_value");
    const char *job = bad_value_job(&db, "{map: m}, w: {map: m, else: keep}");

    (void)state;
    make_bad_value(&db);
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO t VALUES (2, 'a'); INSERT INTO t VALUES (3, 'odd')");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "id=3");
    /* what the stream has is not mended by anything that is done on the source */
    sql_exec(db.source, "UPDATE t SET v = 'a' WHERE id = 3; INSERT INTO t VALUES (4, 'else')");
    run = pair_follow(&db, job, "--data-only");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "`else: null`, `keep` or");
    other_rules(&db, "{map: m, else: quarantine}, w: {map: m, else: keep}",
                "REPLICA IDENTITY FULL");
    other_rules(&db, "{do: [upper]}, w: {map: m, else: keep}", "PH-JOB-OTHER");
    other_rules(&db, "{map: m, else: keep}, w: {map: m}", "PH-JOB-OTHER");
    run = pair_follow(&db, bad_value_job(&db, "{map: m, else: keep}, w: {map: m, else: keep}"),
                      "--data-only");
    end(&db, run, 0,
        (const struct shape[]){{"SELECT id, CASE v WHEN 'a' THEN 'x' ELSE v END, 'x' FROM t ORDER "
                                "BY 1",
                                "SELECT * FROM t ORDER BY 1"},
                               {NULL, NULL}});
    pair_db_end(&db);
}

/* The same in the copy, where rows may go to quarantine as well. */
static void
test_bad_value_in_the_copy(void **state)
{
    struct pair_db db = pair_db_new(&pair, "bad_copy");

    (void)state;
    make_bad_value(&db);
    sql_exec(db.source, "INSERT INTO t SELECT g, 'a' FROM generate_series(2, 100) g;"
                        "INSERT INTO t VALUES (101, 'odd')");
    pair_expect(
        pair_copy(&db, bad_value_job(&db, "{map: m}, w: {map: m, else: keep}"), "--data-only"), 1,
        "say in the job file what becomes of it");
    const char *lax = bad_value_job(&db, "{map: m, else: quarantine}, w: {map: m, else: keep}");
    pair_expect(pair_copy(&db, lax, "--data-only"), 4, "rows are in quarantine");
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM t WHERE v = 'x'"), "100");
    pair_db_end(&db);
}

static void
refused(struct pair_db *db, const char *text, int code, const char *why)
{
    const char *job = pair_job_file(db, text);

    pair_expect(pair_run(db, "check", job, "--data-only", "--follow"), 3, why);
    pair_expect(pair_run(db, "copy", job, "--data-only", "--follow"), code, why);
    assert_int_equal(sql_int(db->source, "SELECT count(*) FROM pg_replication_slots WHERE"
                                         " database = current_database()"),
                     0);
}

static void
test_refusals(void **state)
{
    struct pair_db db = pair_db_new(&pair, "refusals");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text, n int)");
    sql_exec(db.target, "ALTER TABLE t ADD m text");
    refused(&db, "tables:\n  t:\n    where: \"n > 5\"\n", 2, "REPLICA IDENTITY FULL");
    refused(&db, "tables:\n  t:\n    where: \"length(v) > 5\"\n", 2, "cannot");
    refused(&db,
            "maps:\n  m: {a: x}\n"
            "tables:\n  t:\n    on_bad: quarantine\n    columns: {v: {map: m}}\n",
            2, "REPLICA IDENTITY FULL");
    sql_exec(db.source, "ALTER TABLE t ADD g int GENERATED ALWAYS AS (n + 1) STORED");
    refused(&db, "tables:\n  t:\n    columns: {m: {from: g}}\n", 2,
            "a rule reads column g, which is generated: the stream lacks it");
    sql_exec(db.source, "ALTER TABLE t DROP g");
    sql_exec(db.source, "CREATE TABLE r (id int PRIMARY KEY, c regclass)");
    sql_exec(db.target, "CREATE TABLE r (id int PRIMARY KEY, c regclass)");
    refused(&db, "tables:\n  t:\n    columns: {m: {set: x}}\n", 3, "rules need a stream in binary");
    pair_db_end(&db);
}

/* ---- identities that are set ---- */

static const char whole_rows_job[] = "maps:\n"
                                     "  m: {a: x}\n"
                                     "tables:\n"
                                     "  filtered: {where: \"n > 5\"}\n"
                                     "  made: {unpivot: {columns: [a, b], name: k, value: v}}\n"
                                     "  keyless: {columns: {v: {map: m, else: quarantine}}}\n"
                                     "  renamed: {columns: {w: {from: v}}}\n";

static const char whole_rows_sql[] =
    "CREATE TABLE filtered (id int PRIMARY KEY, n int); CREATE TABLE made (id int PRIMARY KEY, a"
    " int, b int); CREATE TABLE keyless (id int NOT NULL UNIQUE, v text); CREATE TABLE renamed (id"
    " int PRIMARY KEY, v text); CREATE TABLE plain (id int PRIMARY KEY)";

/* Where rules need whole old rows, and nowhere else, they come; they stay when the job is over. */
static void
test_identities_are_set(void **state)
{
    struct pair_db db = pair_db_new(&pair, "identities");
    const char *job = pair_job_file(&db, whole_rows_job);

    (void)state;
    sql_exec(db.source, whole_rows_sql);
    sql_exec(db.source, "INSERT INTO filtered SELECT g, g FROM generate_series(1, 10) g;"
                        "INSERT INTO made VALUES (1, 1, 2), (2, NULL, 3);"
                        "INSERT INTO keyless VALUES (1, 'a'), (2, 'a');"
                        "INSERT INTO renamed VALUES (1, 'r')");
    sql_exec(db.target, whole_rows_sql);
    sql_exec(db.target,
             "DROP TABLE made; CREATE TABLE made (id int, k text, v int, PRIMARY KEY (id,"
             " k)); ALTER TABLE renamed RENAME v TO w; ALTER TABLE keyless ADD PRIMARY"
             " KEY (id)");
    pair_expect(pair_run(&db, "check", job, "--data-only", "--follow"), 3,
                "REPLICA IDENTITY FULL, or --set-replica-identity, which runs it");
    struct run *run =
        pair_run(&db, "check", job, "--data-only", "--follow", "--set-replica-identity");
    pair_expect(run, 0, "ALTER TABLE ONLY \"public\".\"filtered\" REPLICA IDENTITY FULL");
    pair_expect(run, 0, "ALTER TABLE ONLY \"public\".\"keyless\" REPLICA IDENTITY FULL");
    assert_null(strstr(run_out(run), "\"plain\" REPLICA"));
    assert_string_equal(sql_value(db.source, "SELECT count(*) FROM pg_class WHERE relreplident ="
                                             " 'f'"),
                        "0");
    run = pair_follow(&db, job, "--data-only", "--set-replica-identity");
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE filtered SET n = 10 - n; UPDATE made SET a = NULL, b = 1 WHERE id ="
                        " 1; UPDATE made SET a = 4 WHERE id = 2; DELETE FROM keyless WHERE id = 1;"
                        "UPDATE keyless SET v = 'odd'; UPDATE keyless SET v = 'a'");
    end(&db, run, 4,
        (const struct shape[]){
            {"SELECT * FROM filtered WHERE n > 5 ORDER BY 1", "SELECT * FROM filtered ORDER BY 1"},
            {"SELECT id, k, v FROM made, LATERAL (VALUES ('a', a), ('b', b)) s (k, v)"
             " WHERE v IS NOT NULL ORDER BY 1, 2",
             "SELECT * FROM made ORDER BY 1, 2"},
            {"SELECT id, 'x' FROM keyless", "SELECT * FROM keyless"},
            {NULL, NULL}});
    pair_expect(pair_run(&db, "clean", job, "--yes"), 0, NULL);
    assert_string_equal(sql_value(db.source, "SELECT string_agg(relname, ' ' ORDER BY relname) FROM"
                                             " pg_class WHERE relreplident = 'f'"),
                        "filtered keyless made");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_shapes),
        cmocka_unit_test(test_whole_old_rows),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_large_transactions),
        cmocka_unit_test(test_truncate_of_one_of_several),
        cmocka_unit_test(test_truncate_beside_own_rows),
        cmocka_unit_test(test_column_is_added),
        cmocka_unit_test(test_table_joins),
        cmocka_unit_test(test_bad_value),
        cmocka_unit_test(test_bad_value_in_the_copy),
        cmocka_unit_test(test_identities_are_set),
        cmocka_unit_test(test_refusals),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
