/* Rows reshaped on the way of a copy: what arrives is compared with what SQL makes of the source.
 */
/* labels: short */
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

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &pair.src, &pair.dst);
    return 0;
}

static const char *
job_file(const struct pair_db *db, const char *text)
{
    return scratch_write(scratch_printf("%s.yaml", db->name), text);
}

/* Fails, showing both, unless the two queries give the same rows. */
static void
same(struct pair_db *db, const char *source_sql, const char *target_sql)
{
    const char *expected = sql_rows(db->source, source_sql);

    assert_true(strlen(expected) > 0);
    assert_string_equal(sql_rows(db->target, target_sql), expected);
}

/* ---- columns ---- */

static void
test_map_and_drop(void **state)
{
    struct pair_db db = pair_db_new(&pair, "map_and_drop");
    const char *job =
        job_file(&db, "maps:\n"
                      "  phase: {domain_generation: generation, dns_validation: dns_validation,\n"
                      "          comprehensive: generation}\n"
                      "  state: {pending: not_started, running: in_progress, archived: completed}\n"
                      "tables:\n"
                      "  public.campaigns:\n"
                      "    columns:\n"
                      "      current_phase: {map: phase, from: campaign_type}\n"
                      "      phase_status: {map: state, from: status, else: {value: failed}}\n"
                      "      note: {set: \"it's moved\"}\n"
                      "      gone: {set: null}\n"
                      "      big: {from: small}\n"
                      "    drop: [campaign_type, status]\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE campaigns (id int PRIMARY KEY, campaign_type text NOT NULL, status text,"
             " small int, tags text[], at timestamptz);"
             "INSERT INTO campaigns SELECT g, (ARRAY['domain_generation', 'dns_validation',"
             " 'comprehensive'])[1 + g % 3], (ARRAY['pending', 'running', 'archived', 'odd',"
             " NULL])[1 + g % 5], nullif(g, 7), ARRAY['a', NULL, g::text], to_timestamp(g)"
             " FROM generate_series(1, 20000) g");
    sql_exec(db.target, "CREATE TYPE phase AS ENUM ('generation', 'dns_validation', 'analysis');"
                        "CREATE TABLE campaigns (id int PRIMARY KEY, current_phase phase NOT NULL,"
                        " phase_status varchar(20), note text, gone text DEFAULT 'x', big bigint,"
                        " at timestamptz, tags text[])");
    pair_expect(pair_copy(&db, job, "--data-only", "--split", "1MB"), 0, "proven");
    same(&db,
         "SELECT id, CASE campaign_type WHEN 'dns_validation' THEN 'dns_validation' ELSE"
         " 'generation' END, CASE status WHEN 'pending' THEN 'not_started' WHEN 'running' THEN"
         " 'in_progress' WHEN 'archived' THEN 'completed' WHEN 'odd' THEN 'failed' END,"
         " 'it''s moved', NULL, small, at, tags FROM campaigns ORDER BY id",
         "SELECT id, current_phase, phase_status, note, gone, big, at, tags FROM campaigns"
         " ORDER BY id");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    sql_exec(db.target, "UPDATE campaigns SET phase_status = 'wrong' WHERE id = 77");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 4, "id=77");
    pair_db_end(&db);
}

/* Columns that no rule names pass in one piece, but for those that must be made to fit. */
static void
test_passed_columns(void **state)
{
    struct pair_db db = pair_db_new(&pair, "passed");
    const char *job =
        job_file(&db, "tables:\n  t:\n    columns: {m: {set: x}}\n    drop: [gone]\n");
    const char *wanted =
        "SELECT id, a, b, gone IS NULL, round(cost, 1), c, d, e, 'x' FROM t ORDER BY id";

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE t (id int PRIMARY KEY, a text, b int[], gone text, cost numeric,"
             " c text, d bytea, m text, e text);"
             "INSERT INTO t SELECT g, CASE WHEN g % 3 > 0 THEN repeat('a', g % 50) END,"
             " CASE WHEN g % 5 > 0 THEN ARRAY[g, NULL] END, NULL, g / 7.0,"
             " nullif(g % 4, 0), sha256(g::text::bytea), 'm', CASE WHEN g % 2 > 0 THEN ''"
             " END FROM generate_series(1, 5000) g");
    /* columns in another order; one of two neighbours is between others there */
    sql_exec(db.target,
             "CREATE TABLE t (e text, c text, d bytea, cost numeric(8, 1), id int PRIMARY KEY,"
             " a text, b int[], m text)");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    same(&db, wanted, "SELECT id, a, b, true, cost, c, d, e, m FROM t ORDER BY id");
    pair_db_end(&db);
}

/* The schema is made on the way: keys are not there yet when rules are checked. */
static void
test_schema_made_here(void **state)
{
    struct pair_db db = pair_db_new(&pair, "made_here");
    const char *blurs =
        job_file(&db, "tables:\n  t:\n    columns: {code: {do: [lower], from: code}}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE t (gone int, id int PRIMARY KEY, code text UNIQUE, v text);"
             "ALTER TABLE t DROP gone;"
             "INSERT INTO t SELECT g, 'C' || g, 'v' || g % 3 FROM generate_series(1, 900) g");
    pair_expect(pair_copy(&db, blurs), 1, "may make different values equal");
    pair_expect(pair_run(&db, "clean", blurs, "--yes"), 0, NULL);
    sql_exec(db.target, "DROP TABLE IF EXISTS t");
    const char *job = job_file(&db, "maps:\n  m: {v0: none, v1: one, v2: two}\n"
                                    "tables:\n  t:\n    columns: {v: {map: m}}\n");
    pair_expect(pair_copy(&db, job, "--follow", "--until", "now"), 0, "proven");
    same(&db,
         "SELECT id, code, CASE v WHEN 'v0' THEN 'none' WHEN 'v1' THEN 'one' ELSE 'two' END FROM t"
         " ORDER BY id",
         "SELECT * FROM t ORDER BY id");
    pair_db_end(&db);
}

/* What a rule cannot handle: the job stops with the row's key, or the row stays behind. */
static void
test_bad_values(void **state)
{
    struct pair_db db = pair_db_new(&pair, "bad_values");
    const char *stops = job_file(&db, "maps:\n  m: {a: x}\n"
                                      "tables:\n  t:\n    columns: {v: {map: m}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    sql_exec(db.source, "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, 'odd')");
    pair_expect(pair_copy(&db, stops, "--data-only"), 1, "id=3");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 0);
    pair_expect(pair_run(&db, "clean", stops, "--yes"), 0, NULL);
    const char *keeps = job_file(&db, "maps:\n  m: {a: x}\n"
                                      "tables:\n  t:\n    columns: {v: {map: m}}\n"
                                      "    on_bad: quarantine\n");
    pair_expect(pair_copy(&db, keeps, "--data-only"), 4, "quarantine");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM t ORDER BY 1"), "1|x\n2|<null>\n");
    assert_string_equal(sql_rows(db.target, "SELECT row_key, column_name FROM pghaul.quarantine"),
                        "(id=3)|v\n");
    pair_db_end(&db);
}

/* ---- rows ---- */

static void
test_filter_rename_and_split(void **state)
{
    struct pair_db db = pair_db_new(&pair, "split");
    const char *job = job_file(
        &db, "tables:\n"
             "  posts:\n"
             "    where: \"kind <> 'draft' AND at >= '2024-01-01'\"\n"
             "    drop: [kind]\n"
             "    into:\n"
             "      - {table: core.posts, columns: {org: {set: 7}, created: {from: at}}}\n"
             "      - {table: core.bodies, columns: {post_id: {from: id}, text: {from: body}}}\n"
             "checks:\n"
             "  - same_count: {table: others, as: [others]}\n"
             "  - unique: {table: core.posts, columns: [org]}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE posts (id uuid PRIMARY KEY, kind varchar(10), at timestamptz,"
                        " body text); CREATE TABLE others (a int);"
                        "INSERT INTO others SELECT generate_series(1, 100);"
                        "INSERT INTO posts SELECT gen_random_uuid(), (ARRAY['draft', 'post',"
                        " 'reel'])[1 + g % 3], '2023-12-30'::timestamptz + g * interval '1 minute',"
                        " repeat('x', g % 300) FROM generate_series(1, 9000) g");
    sql_exec(db.target, "CREATE SCHEMA core; CREATE TABLE core.posts (org int NOT NULL, id uuid"
                        " PRIMARY KEY, created timestamptz);"
                        "CREATE TABLE core.bodies (post_id uuid PRIMARY KEY REFERENCES core.posts,"
                        " text text); CREATE TABLE others (a int);"
                        "CREATE MATERIALIZED VIEW core.sums AS SELECT count(*), sum(length(text))"
                        " FROM core.bodies WITH NO DATA");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    same(&db,
         "SELECT 7, id, at FROM posts WHERE kind <> 'draft' AND at >= '2024-01-01' ORDER BY id",
         "SELECT * FROM core.posts ORDER BY id");
    same(&db, "SELECT id, body FROM posts WHERE kind <> 'draft' AND at >= '2024-01-01' ORDER BY id",
         "SELECT * FROM core.bodies ORDER BY 1");
    same(&db,
         "SELECT count(*), sum(length(body)) FROM posts WHERE kind <> 'draft' AND at >="
         " '2024-01-01'",
         "SELECT * FROM core.sums");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_and_drop),
        cmocka_unit_test(test_passed_columns),
        cmocka_unit_test(test_schema_made_here),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_filter_rename_and_split),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
