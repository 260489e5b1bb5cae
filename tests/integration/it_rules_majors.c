/*
 * Rules from and to each major version: rows of a copy, and of a stream that is killed on the way.
 * What arrives is compared with what SQL makes of the source.
 */
/* labels: majors */
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

static const char *const secret[] = {"PGHAUL_TEST_SECRET=nobody knows it", NULL};

static const char job_text[] =
    "secret: {env: PGHAUL_TEST_SECRET}\n"
    "maps:\n"
    "  phase: {domain_generation: generation, dns_validation: dns_validation,\n"
    "          comprehensive: generation}\n"
    "tables:\n"
    "  campaigns:\n"
    "    columns:\n"
    "      phase: {map: phase, from: kind}\n"
    "      title: {do: [trim, upper], from: name}\n"
    "      amount: {from: cents, do: [{cast: numeric}, {multiply: '0.01'}]}\n"
    "      state: {default: new}\n"
    "      org: {set: 7}\n"
    "    drop: [gone]\n"
    "  posts:\n"
    "    where: \"id <> 5\"\n"
    "    into:\n"
    "      - {table: core.posts, columns: {made: {do: [{cast: [timestamptz, UTC]}], from: at}},\n"
    "         drop: [body]}\n"
    "      - {table: core.bodies, columns: {post: {from: id}, words: {from: body}}, drop: [at]}\n"
    "  metrics:\n"
    "    unpivot: {columns: [likes, shares], name: metric, value: n, nulls: keep}\n"
    "  people:\n"
    "    columns:\n"
    "      id: {mask: uuid}\n"
    "      email: {mask: email}\n"
    "      phone: {mask: phone}\n"
    "      note: {do: [encrypt]}\n"
    "  visits: {keep: all}\n";

static const char source_schema[] =
    "CREATE TYPE kind AS ENUM ('domain_generation', 'dns_validation', 'comprehensive');"
    "CREATE TABLE campaigns (id int PRIMARY KEY, kind kind NOT NULL, name text, cents bigint,"
    " state varchar(10), gone jsonb, tags text[]);"
    "CREATE TABLE posts (id int PRIMARY KEY, at timestamp, body text);"
    "ALTER TABLE posts REPLICA IDENTITY FULL;"
    "CREATE TABLE metrics (id int PRIMARY KEY, likes int, shares int);"
    "CREATE TABLE people (id uuid PRIMARY KEY, no int, email text UNIQUE, phone text, note text);"
    "ALTER TABLE people REPLICA IDENTITY FULL;"
    "CREATE TABLE visits (id int PRIMARY KEY, person uuid REFERENCES people ON UPDATE CASCADE)";

static const char source_rows[] =
    "INSERT INTO campaigns SELECT g, (enum_range(NULL::kind))[1 + g % 3], ' name ' || g || ' ', g,"
    " nullif('s' || g % 4, 's0'), '{}', ARRAY['a', NULL, g::text] FROM generate_series(1, 2000) g;"
    "INSERT INTO posts SELECT g, '2024-03-31 02:30:00'::timestamp + g * interval '1 hour',"
    " repeat('y' || g, 900) FROM generate_series(1, 300) g;"
    "INSERT INTO metrics SELECT g, nullif(g % 5, 0), g FROM generate_series(1, 200) g;"
    "INSERT INTO people SELECT md5(g::text)::uuid, g, 'p' || g || '@example.org', '0' || g,"
    " 'note ' || g FROM generate_series(1, 200) g;"
    "INSERT INTO visits SELECT g, md5((1 + g % 200)::text)::uuid FROM generate_series(1, 400) g";

static const char target_schema[] =
    "CREATE TYPE unused AS ENUM ('x'); CREATE TYPE phase AS ENUM ('generation', 'dns_validation');"
    "CREATE TABLE campaigns (id int PRIMARY KEY, phase phase NOT NULL, title text,"
    " amount numeric(12,2), state text NOT NULL, org int NOT NULL, tags text[]);"
    "CREATE SCHEMA core; CREATE TABLE core.posts (id int PRIMARY KEY, made timestamptz);"
    "CREATE TABLE core.bodies (words text, post int PRIMARY KEY);"
    "CREATE TABLE metrics (id int, metric text, n int, PRIMARY KEY (metric, id));"
    "CREATE TABLE people (id uuid PRIMARY KEY, no int, email text UNIQUE, phone text, note text);"
    "CREATE TABLE visits (id int PRIMARY KEY, person uuid REFERENCES people)";

static const char *const same[][2] = {
    {"SELECT id, CASE kind::text WHEN 'dns_validation' THEN 'dns_validation' ELSE 'generation' END,"
     " upper(btrim(name)), (cents * 0.01)::numeric(12,2), coalesce(state, 'new'), 7, tags"
     " FROM campaigns ORDER BY id",
     "SELECT id, phase, title, amount, state, org, tags FROM campaigns ORDER BY id"},
    {"SELECT id, at AT TIME ZONE 'UTC' FROM posts WHERE id <> 5 ORDER BY id",
     "SELECT * FROM core.posts ORDER BY id"},
    {"SELECT id, md5(body) FROM posts WHERE id <> 5 ORDER BY id",
     "SELECT post, md5(words) FROM core.bodies ORDER BY 1"},
    {"SELECT id, 'likes' AS m, likes FROM metrics UNION ALL SELECT id, 'shares', shares FROM"
     " metrics ORDER BY 1, 2",
     "SELECT id, metric, n FROM metrics ORDER BY 1, 2"},
    {"SELECT no, v.id FROM people p JOIN visits v ON person = p.id ORDER BY 1, 2",
     "SELECT no, v.id FROM people p JOIN visits v ON person = p.id ORDER BY 1, 2"},
    {"SELECT count(DISTINCT email), count(phone), count(note) FROM people",
     "SELECT count(DISTINCT email), count(phone), count(note) FROM people"},
};

static void
check_rows(struct pair_db *db)
{
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        pair_same_as(db, same[i][0], same[i][1]);
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM people WHERE note LIKE '%note%' OR"
                                         " email ~ '^p[0-9]+@'"),
                     0);
}

static void
change(PGconn *conn, int round)
{
    sql_execf(
        conn,
        "UPDATE campaigns SET kind = 'comprehensive', name = NULL WHERE id %% 7 = %d;"
        "UPDATE campaigns SET id = id + 10000, state = NULL WHERE id %% 11 = %d AND id < 9000;"
        "DELETE FROM campaigns WHERE id %% 13 = %d;"
        "INSERT INTO campaigns VALUES (%d, 'dns_validation', 'later', 5)",
        round, round, round, 50000 + round);
    sql_execf(
        conn,
        "UPDATE posts SET at = at + interval '1 day' WHERE id %% 5 = %d;"
        "UPDATE posts SET body = 'short' WHERE id %% 17 = %d; DELETE FROM posts WHERE id %% 19"
        " = %d; UPDATE posts SET id = 1000 + id WHERE id %% 23 = %d AND id < 400;"
        "UPDATE metrics SET likes = NULL WHERE id %% 3 = %d; UPDATE metrics SET id = 1000 + id"
        " WHERE id %% 9 = %d AND id < 400; DELETE FROM metrics WHERE id %% 10 = %d",
        round, round, round, round, round, round, round);
    sql_execf(conn,
              "UPDATE people SET email = 'new' || email, note = NULL WHERE no %% 8 = %d;"
              "UPDATE people SET id = md5('again' || no)::uuid WHERE no %% 6 = %d;"
              "DELETE FROM visits WHERE id %% 12 = %d",
              round, round, round);
}

static void
follows(struct pair_db *db, const char *job)
{
    struct run *run = pair_follow(db, job, "--data-only");

    pair_wait_following(db, run);
    change(db->source, 1);
    pair_expect(pair_run(db, "verify", job, "--data-only", "--name", db->name), 0, "agree");
    run_kill(run);
    change(db->source, 2);
    run = pair_follow(db, job, "--data-only");
    pair_wait_following(db, run);
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
}

/* Before 14 a stream has values as text only. */
static void
is_refused(struct pair_db *db, const char *job)
{
    pair_expect(pair_run(db, "check", job, "--data-only", "--follow"), 3,
                "which the stream of PostgreSQL 13 does not bring");
    pair_expect(pair_copy(db, job, "--data-only", "--follow"), 3,
                "which the stream of PostgreSQL 13 does not bring");
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM campaigns"), 0);
}

static void
rules_between(struct pg_test_cluster *src, struct pg_test_cluster *dst)
{
    struct pair pair = {src, dst};
    struct pair_db db =
        pair_db_new(&pair, scratch_printf("r_%d_%d", src->params.major, dst->params.major));
    const char *job = pair_job_file(&db, job_text);

    print_message("  from %d to %d\n", src->params.major, dst->params.major);
    db.env = secret;
    sql_exec(db.source, source_schema);
    sql_exec(db.source, source_rows);
    sql_exec(db.target, target_schema);
    if (src->params.major >= 14) {
        follows(&db, job);
    } else {
        is_refused(&db, job);
        pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    }
    check_rows(&db);
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--name", "at_rest"), 0, "agree");
    pair_db_end(&db);
}

static struct pg_test_cluster *
make_server(int major)
{
    return pg_test_cluster_new(&(struct pg_test_params){
        .major = major, .conf = "autovacuum = off\nwal_level = logical\n"});
}

static void
from_and_to_each_major(void **state)
{
    struct pg_test_cluster *usual = make_server(PG_TEST_MAJOR);

    (void)state;
    for (int major = 13; major <= 18; major++) {
        if (major == PG_TEST_MAJOR)
            continue;
        if (!pg_test_major_present(major)) {
            print_message("  SKIPPED %d: not installed (scripts/install-majors)\n", major);
            continue;
        }
        struct pg_test_cluster *server = make_server(major);
        rules_between(server, usual);
        rules_between(usual, server);
        pg_test_cluster_stop(server);
    }
}

/* ---- what 18 brings ---- */

/* Computed when it is read: a copy has it, the stream does not. Without a rule on it, it is as if
 * it were not there. */
static void
virtual_columns(void **state)
{
    (void)state;
    if (!pg_test_major_present(18))
        skip();
    struct pair pair = {make_server(18), make_server(18)};
    struct pair_db db = pair_db_new(&pair, "virtual");
    const char *job =
        pair_job_file(&db, "tables: {t: {columns: {a: {do: [{add: 1}]}, total: {from: twice}}}}\n");

    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS"
                        " (a * 2) VIRTUAL);"
                        "INSERT INTO t SELECT g, g FROM generate_series(1, 5) g");
    sql_exec(db.target, "CREATE TABLE t (id int PRIMARY KEY, a int, total int, half int GENERATED"
                        " ALWAYS AS (a / 2) VIRTUAL)");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_same_as(&db, "SELECT id, a + 1, twice, (a + 1) / 2 FROM t ORDER BY id",
                 "SELECT id, a, total, half FROM t ORDER BY id");
    pair_expect(pair_run(&db, "check", job, "--data-only", "--follow", "--name", "other"), 3,
                "a rule reads column twice, which is generated: the stream lacks it");
    sql_exec(db.target,
             "DROP SCHEMA pghaul CASCADE; DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY,"
             " a int, half int GENERATED ALWAYS AS (a / 2) VIRTUAL)");
    job = pair_job_file(&db, "tables: {t: {columns: {a: {do: [{add: 1}]}}}}\n");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "UPDATE t SET a = 70 WHERE id = 2; INSERT INTO t VALUES (6, 6);"
                        "UPDATE t SET id = 9 WHERE id = 3; DELETE FROM t WHERE id = 4");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    pair_same_as(&db, "SELECT id, a + 1, (a + 1) / 2 FROM t ORDER BY id",
                 "SELECT id, a, half FROM t ORDER BY id");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_and_to_each_major),
        cmocka_unit_test(virtual_columns),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
