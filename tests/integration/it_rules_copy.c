/* Rows reshaped on the way of a copy: what arrives is compared with what SQL makes of the source.
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
#include <sys/stat.h>
#include <unistd.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

/* ---- columns ---- */

static void
test_map_and_drop(void **state)
{
    struct pair_db db = pair_db_new(&pair, "map_and_drop");
    const char *job = pair_job_file(
        &db, "maps:\n"
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
    pair_same_as(
        &db,
        "SELECT id, CASE campaign_type WHEN 'dns_validation' THEN 'dns_validation' ELSE"
        " 'generation' END, CASE status WHEN 'pending' THEN 'not_started' WHEN 'running' THEN"
        " 'in_progress' WHEN 'archived' THEN 'completed' WHEN 'odd' THEN 'failed' END,"
        " 'it''s moved', NULL, small, at, tags FROM campaigns ORDER BY id",
        "SELECT id, current_phase, phase_status, note, gone, big, at, tags FROM campaigns"
        " ORDER BY id");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    sql_exec(db.target, "UPDATE campaigns SET phase_status = 'wrong' WHERE id = 77");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 4, "id=77");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--repair", "--yes"), 4,
                "rows that rules have made are not mended");
    assert_string_equal(sql_value(db.target, "SELECT phase_status FROM campaigns WHERE id = 77"),
                        "wrong");
    pair_db_end(&db);
}

/* Values take the form in which the target holds them, or the proof would see differences. */
static void
test_forms(void **state)
{
    struct pair_db db = pair_db_new(&pair, "forms");
    const char *job = pair_job_file(
        &db, "maps:\n  m: {a: '1.005', b: '2'}\n  t: {a: '10:00:00.55', b: '11:00'}\n"
             "tables:\n"
             "  forms:\n"
             "    columns:\n"
             "      c_set: {set: x}\n      c_do: {do: [upper], from: word}\n"
             "      c_int: {from: i}\n      v: {from: blank}\n      n_map: {map: m, from: "
             "word}\n      n_cast: {from: f}\n      n_int: {from: i}\n"
             "      n_default: {default: 7, from: n}\n      n_up: {from: n}\n"
             "      n_left: {from: big}\n"
             "      ts: {from: tz, do: [{cast: timestamp}]}\n      tz: keep\n"
             "      ti: {map: t, from: word}\n      iv: keep\n      iv_day: {from: iv}\n"
             "      iv_text: {set: '1 day 2:03:04.56789'}\n"
             "      j: {from: js}\n      f4: {from: f}\n      f8: {from: n}\n"
             "      vs: {from: words}\n      ns: {from: ns}\n      bits: {from: b}\n"
             "      nm: {from: word}\n      one: {do: [coalesce], from: [n, big]}\n"
             "  renamed: {columns: {n: {from: m}}}\n");

    (void)state;
    sql_exec(
        db.source,
        "CREATE TABLE forms (id int PRIMARY KEY, word text, i int, blank text, f float8,"
        " n numeric, big numeric, tz timestamptz, iv interval, js text, words text[],"
        " ns numeric[], b varbit);"
        "INSERT INTO forms SELECT g, (ARRAY['a', 'b', NULL])[1 + g % 3], g,"
        " 'abc' || repeat(' ', g % 9), g / 7.0, CASE WHEN g % 5 > 0 THEN (g - 900) / 3.0 END,"
        " g * 1234, '2024-01-01'::timestamptz + (g - 900) * interval '1.2345678 hours',"
        " (g - 900) * interval '31 days 1.2345678 hours',"
        " '{\"b\": 1.50, \"aa\":[' || g || ' ,2], \"b\": null}',"
        " ARRAY['x', NULL, 'yy  '], ARRAY[g / 3.0, NULL, g], g::bit(3)::varbit"
        " FROM generate_series(1, 2000) g;"
        "CREATE TABLE renamed (id int PRIMARY KEY, m numeric, c text);"
        "INSERT INTO renamed SELECT g, round((g - 450) * 10.0 ^ (g % 8 - 4) * 1.2345678, g % 5), g"
        " FROM generate_series(1, 900) g;"
        "INSERT INTO renamed SELECT 1000 + g, round(10.0 ^ (g % 12 - 4) - (g > 12)::int * 0.01,"
        " 2), NULL FROM generate_series(0, 23) g");
    sql_exec(db.target,
             "CREATE TABLE forms (id int PRIMARY KEY, c_set char(4), c_do char(3), c_int char(6),"
             " v varchar(5), n_map numeric(6,2), n_cast numeric(12,3), n_int numeric(8,2),"
             " n_default numeric(10,4), n_up numeric(30,25), n_left numeric(7,-2),"
             " ts timestamp(1), tz timestamptz(3), ti time(1), iv interval(2), iv_day interval day"
             " to hour, iv_text interval second(1), j jsonb, f4 float4, f8 float8,"
             " vs varchar(3)[], ns numeric(8,2)[], bits varbit(3), nm name, one numeric(15,1));"
             "CREATE TABLE renamed (id int PRIMARY KEY, n numeric(10,2), c char(5))");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_same_as(
        &db,
        "SELECT id, 'x'::char(4), upper(word)::char(3), i::text::char(6),"
        " CASE WHEN length(blank) > 5 THEN left(blank, 5) ELSE blank END,"
        " (CASE word WHEN 'a' THEN '1.005' WHEN 'b' THEN '2' END)::numeric(6,2),"
        " f::numeric(12,3), i::numeric(8,2), coalesce(n, 7)::numeric(10,4), n::numeric(30,25),"
        " big::numeric(7,-2), (tz AT TIME ZONE 'UTC')::timestamp(1), tz::timestamptz(3),"
        " (CASE word WHEN 'a' THEN '10:00:00.55' WHEN 'b' THEN '11:00' END)::time(1),"
        " iv::interval(2), iv::interval day to hour,"
        " interval '1 day 2:03:04.56789'::interval second(1), js::jsonb, f::float4, n::float8,"
        " ARRAY['x', NULL, 'yy '], ns::numeric(8,2)[], b, word::name,"
        " coalesce(n, big)::numeric(15,1) FROM forms ORDER BY id",
        "SELECT * FROM forms ORDER BY id");
    pair_same_as(&db, "SELECT id, m::numeric(10,2), c::char(5) FROM renamed ORDER BY 1",
                 "SELECT * FROM renamed ORDER BY 1");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    sql_exec(db.source, "UPDATE forms SET ns = ARRAY[1, 1234567.8] WHERE id = 9");
    sql_exec(db.target, "DROP SCHEMA pghaul CASCADE; TRUNCATE forms, renamed");
    pair_expect(pair_copy(&db, job, "--data-only"), 1, "more digits than the column");
    sql_exec(db.source, "DELETE FROM forms; UPDATE renamed SET m = 100000000.00 WHERE id = 9");
    sql_exec(db.target, "DROP SCHEMA pghaul CASCADE; TRUNCATE forms, renamed");
    pair_expect(pair_copy(&db, job, "--data-only"), 1, "more digits than the column");
    pair_db_end(&db);
}

/* Columns that no rule names pass in one piece, but for those that must be made to fit. */
static void
test_passed_columns(void **state)
{
    struct pair_db db = pair_db_new(&pair, "passed");
    const char *job =
        pair_job_file(&db, "tables:\n  t:\n    columns: {m: {set: x}}\n    drop: [gone]\n");
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
    pair_same_as(&db, wanted, "SELECT id, a, b, true, cost, c, d, e, m FROM t ORDER BY id");
    pair_db_end(&db);
}

/* The schema is made on the way: keys are not there yet when rules are checked. */
static void
test_schema_made_here(void **state)
{
    struct pair_db db = pair_db_new(&pair, "made_here");
    const char *blurs =
        pair_job_file(&db, "tables:\n  t:\n    columns: {code: {do: [lower], from: code}}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE t (gone int, id int PRIMARY KEY, code text UNIQUE, v text);"
             "ALTER TABLE t DROP gone;"
             "INSERT INTO t SELECT g, 'C' || g, 'v' || g % 3 FROM generate_series(1, 900) g");
    pair_expect(pair_copy(&db, blurs), 2, "may make different values equal");
    const char *job = pair_job_file(&db, "maps:\n  m: {v0: none, v1: one, v2: two}\n"
                                         "tables:\n  t:\n    columns: {v: {map: m}}\n");
    pair_expect(pair_copy(&db, job, "--follow", "--until", "now"), 0, "proven");
    pair_same_as(
        &db,
        "SELECT id, code, CASE v WHEN 'v0' THEN 'none' WHEN 'v1' THEN 'one' ELSE 'two' END FROM t"
        " ORDER BY id",
        "SELECT * FROM t ORDER BY id");
    pair_db_end(&db);
}

/* It is the source's: there is nowhere to go for what comes apart, is renamed or gets a column. */
static void
test_schema_made_here_is_the_source_s(void **state)
{
    struct pair_db db = pair_db_new(&pair, "sources_own");
    const char *split = pair_job_file(&db, "tables: {t: {into: [t, u]}}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text, w text);"
                        "INSERT INTO t SELECT g, 'v', 'w' FROM generate_series(1, 9) g");
    pair_expect(
        pair_copy(&db, split), 2,
        "the target has no table public.u (without --data-only it gets the source's tables");
    const char *renames = pair_job_file(&db, "tables: {t: {columns: {x: {from: v}}}}\n");
    pair_expect(pair_copy(&db, renames), 2,
                "the target has no column x (without --data-only it gets the source's tables");
    const char *drops = pair_job_file(&db, "tables: {t: {drop: [w]}}\n");
    pair_expect(pair_copy(&db, drops), 0, "proven");
    pair_same_as(&db, "SELECT id, v, NULL FROM t ORDER BY id", "SELECT * FROM t ORDER BY id");
    pair_db_end(&db);
}

/* What a rule cannot handle: the job stops with the row's key, or the row stays behind. */
static void
test_bad_values(void **state)
{
    struct pair_db db = pair_db_new(&pair, "bad_values");
    const char *stops = pair_job_file(&db, "maps:\n  m: {a: x}\n"
                                           "tables:\n  t:\n    columns: {v: {map: m}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    sql_exec(db.source, "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, 'odd')");
    pair_expect(pair_copy(&db, stops, "--data-only"), 1, "id=3");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 0);
    pair_expect(pair_run(&db, "clean", stops, "--yes"), 0, NULL);
    const char *keeps = pair_job_file(&db, "maps:\n  m: {a: x}\n"
                                           "tables:\n  t:\n    columns: {v: {map: m}}\n"
                                           "    on_bad: quarantine\n");
    pair_expect(pair_copy(&db, keeps, "--data-only"), 4, "quarantine");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM t ORDER BY 1"), "1|x\n2|<null>\n");
    assert_string_equal(sql_rows(db.target, "SELECT row_key, column_name FROM pghaul.quarantine"),
                        "(id=3)|v\n");
    pair_db_end(&db);
}

/* Rows are counted as rules make them. */
static void
test_made_rows_are_counted(void **state)
{
    struct pair_db db = pair_db_new(&pair, "counted");
    const char *job =
        pair_job_file(&db, "maps:\n  m: {a: x}\n"
                           "tables:\n"
                           "  bad: {columns: {v: {map: m, else: quarantine}}}\n"
                           "  few: {where: \"n > 1\", columns: {n: {do: [{add: 1}]}}}\n"
                           "  many: {each: {column: tags, value: tag, position: n}}\n"
                           "  wide: {unpivot: {columns: [a, b], name: k, value: v}}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE bad (id int PRIMARY KEY, v text); CREATE TABLE few (n int PRIMARY KEY);"
             "CREATE TABLE many (id int PRIMARY KEY, tags text[]);"
             "CREATE TABLE wide (id int PRIMARY KEY, a int, b int);"
             "INSERT INTO bad VALUES (1, 'a'), (2, 'odd'); INSERT INTO few VALUES (1), (2), (3);"
             "INSERT INTO many VALUES (1, '{a,b,c}'), (2, '{}');"
             "INSERT INTO wide VALUES (1, 1, NULL), (2, 3, 4)");
    sql_exec(db.target,
             "CREATE TABLE bad (id int PRIMARY KEY, v text); CREATE TABLE few (n int PRIMARY KEY);"
             "CREATE TABLE many (id int, tag text, n int, PRIMARY KEY (id, n));"
             "CREATE TABLE wide (id int, k text, v int, PRIMARY KEY (id, k))");
    pair_expect(pair_copy(&db, job, "--data-only"), 4, "quarantine");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--verify", "count"), 0, "agree");
    sql_exec(db.target, "DELETE FROM many WHERE n = 2");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--verify", "count"), 4,
                "3 rows on the source, 2 on the target");
    pair_db_end(&db);
}

/* ---- what is left behind ---- */

/* Only a copy has a directory; what others compile is gone with them. */
static void
test_nothing_is_left(void **state)
{
    struct pair_db db = pair_db_new(&pair, "nothing_left");
    const char *work = scratch_printf("%s/nothing-left", scratch_dir());
    const char *env[] = {scratch_printf("TMPDIR=%s", work), NULL};
    const char *job = pair_job_file(&db, "tables:\n  t:\n    columns: {v: {do: [upper]}}\n");
    const char *object = scratch_printf("%s/made.so", scratch_dir());

    (void)state;
    assert_int_equal(mkdir(work, 0700), 0);
    db.env = env;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    sql_exec(db.source, "INSERT INTO t VALUES (1, 'a')");
    pair_expect(pair_run(&db, "check", job, "--data-only"), 0, "ready");
    pair_expect(pair_run(&db, "plan", job, "--data-only"), 0, "public.t");
    pair_expect(pair_run(&db, "rules", "explain", job, "--data-only"), 0, "through upper");
    pair_expect(pair_run(&db, "rules", "test", job, "--data-only"), 0, "A");
    pair_expect(pair_run(&db, "rules", "build", job, "--data-only", "--output", object), 0,
                "rules");
    assert_int_equal(access(object, X_OK), 0);
    assert_int_not_equal(access(db.dir, F_OK), 0);
    pair_expect(pair_copy(&db, job, "--data-only", "--rules-object", object), 0, "proven");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    pair_expect(pair_run(&db, "clean", job, "--yes"), 0, NULL);
    assert_int_not_equal(access(db.dir, F_OK), 0);
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    assert_int_not_equal(access(db.dir, F_OK), 0);
    assert_int_equal(rmdir(work), 0); /* and nothing in it */
    pair_db_end(&db);
}

/* ---- checks ---- */

/* Of the source: told before anything is written, and what is said to fail the job stops it. */
static void
test_source_checks(void **state)
{
    struct pair_db db = pair_db_new(&pair, "source_checks");
#define CHECKS(fail)                                                                               \
    "tables: {}\nchecks:\n"                                                                        \
    "  - {orphans: {table: posts, columns: [author], references: authors, key: [id]},"             \
    " on: source" fail "}\n"                                                                       \
    "  - unique: {table: posts, columns: [slug], on: source}\n"                                    \
    "  - matrix: {table: posts, columns: [slug], on: source}\n"                                    \
    "  - unique: {table: posts, columns: [id], on: target}\n"
    const char *tells = pair_job_file(&db, CHECKS(""));

    (void)state;
    pair_both(&db, "CREATE TABLE authors (id int PRIMARY KEY);"
                   "CREATE TABLE posts (id int PRIMARY KEY, author int, slug text)");
    sql_exec(db.source, "INSERT INTO authors VALUES (1);"
                        "INSERT INTO posts VALUES (1, 1, 'a'), (2, 7, 'a'), (3, 7, 'b')");
    pair_expect(pair_run(&db, "check", tells, "--data-only"), 0, "(author=7) 2 times");
    pair_expect(pair_run(&db, "check", tells, "--data-only"), 0, "(slug=a) 2 times");
    pair_expect(pair_run(&db, "check", tells, "--data-only"), 0, "slug=b: 1 rows");
    pair_expect(pair_run(&db, "check", tells, "--data-only", "--json"), 0, "(author=7) 2 times");
    const char *fails = scratch_write("source_checks_fail.yaml", CHECKS(", fail: true"));
    pair_expect(pair_run(&db, "check", fails, "--data-only"), 3, "(author=7) 2 times");
    pair_expect(pair_copy(&db, fails, "--data-only"), 3, "are orphans in 2 rows");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM posts"), 0);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_namespace WHERE nspname ="
                                        " 'pghaul'"),
                     0);
    pair_expect(pair_copy(&db, tells, "--data-only"), 0, "no value occurs twice");
    pair_db_end(&db);
}

/* ---- rows ---- */

static void
test_filter_rename_and_split(void **state)
{
    struct pair_db db = pair_db_new(&pair, "split");
    const char *job = pair_job_file(
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
    pair_same_as(
        &db, "SELECT 7, id, at FROM posts WHERE kind <> 'draft' AND at >= '2024-01-01' ORDER BY id",
        "SELECT * FROM core.posts ORDER BY id");
    pair_same_as(
        &db, "SELECT id, body FROM posts WHERE kind <> 'draft' AND at >= '2024-01-01' ORDER BY id",
        "SELECT * FROM core.bodies ORDER BY 1");
    pair_same_as(&db,
                 "SELECT count(*), sum(length(body)) FROM posts WHERE kind <> 'draft' AND at >="
                 " '2024-01-01'",
                 "SELECT * FROM core.sums");
    pair_db_end(&db);
}

/* Elements become what the target's column holds, through the rule for it. */
static void
test_elements(void **state)
{
    struct pair_db db = pair_db_new(&pair, "elements");
    const char *job =
        pair_job_file(&db, "tables:\n"
                           "  posts:\n"
                           "    drop: [words]\n"
                           "    each: {column: items, value: item, position: n}\n"
                           "    into: [{table: items}]\n"
                           "  tagged:\n"
                           "    into: tags\n"
                           "    columns:\n"
                           "      tag: {from: $value, do: [trim, lower]}\n"
                           "      label: {do: [{concat: \":\"}], from: [of, $value]}\n"
                           "      slug: {do: [trim, upper], from: $value}\n"
                           "    each: {column: words, value: tag, position: n}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE posts (id int PRIMARY KEY, items json, words text);"
             "CREATE TABLE tagged (id int PRIMARY KEY, of text, words text[]);"
             "INSERT INTO posts SELECT g, ('[{\"b\": 1.50, \"aa\" :' || g || ', \"b\": 1e2}, "
             "[ 1 ,2], null]')::json FROM generate_series(1, 300) g;"
             "INSERT INTO tagged SELECT g, 'of' || g, ARRAY[' A' || g, NULL, 'b '] FROM"
             " generate_series(1, 300) g");
    sql_exec(db.target,
             "CREATE TABLE items (id int, n int, item jsonb, PRIMARY KEY (id, n));"
             "CREATE TABLE tags (id int, n int, tag char(6), label text, slug varchar(9),"
             " PRIMARY KEY (id, n))");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_same_as(
        &db,
        "SELECT id, n, item::jsonb FROM posts, json_array_elements(items) WITH ORDINALITY e(item,"
        " n) ORDER BY 1, 2",
        "SELECT * FROM items ORDER BY 1, 2");
    pair_same_as(
        &db,
        "SELECT id, n, lower(trim(w))::char(6), concat_ws(':', of, w), upper(trim(w)) FROM tagged,"
        " unnest(words) WITH ORDINALITY e(w, n) ORDER BY 1, 2",
        "SELECT * FROM tags ORDER BY 1, 2");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    pair_db_end(&db);
}

/* Numbers are row_number()'s, in the copy of a table that would else be split, and in the proof. */
static void
test_numbers(void **state)
{
    struct pair_db db = pair_db_new(&pair, "numbers");
    const char *job =
        pair_job_file(&db, "tables:\n"
                           "  posts:\n"
                           "    where: \"kind <> 'draft'\"\n"
                           "    sample: 50%\n"
                           "    columns:\n"
                           "      n: {number: {within: [author_id], order: [at desc]}}\n"
                           "      id: {number: {}}\n"
                           "    drop: [kind]\n");
    const char *expected =
        "SELECT row_number() OVER (ORDER BY id), author_id, row_number() OVER (PARTITION BY"
        " author_id ORDER BY at DESC NULLS LAST, id), at, body FROM posts WHERE kind <> 'draft' AND"
        " ('x' || substr(md5(id::text), 1, 8))::bit(32)::int8 < 2147483648 ORDER BY 1";

    (void)state;
    sql_exec(
        db.source,
        "CREATE TABLE posts (id int PRIMARY KEY, author_id int, at date, kind text, body text);"
        "INSERT INTO posts SELECT g, nullif(g % 17, 0), CASE WHEN g % 5 > 0 THEN"
        " '2024-01-01'::date + g % 40 END, CASE WHEN g % 7 = 0 THEN 'draft' ELSE 'post' END,"
        " repeat('b', 600) FROM generate_series(1, 8000) g; ANALYZE posts");
    sql_exec(db.target, "CREATE TABLE posts (id bigint PRIMARY KEY, author_id int, n int, at date,"
                        " body text, UNIQUE (author_id, n))");
    pair_expect(pair_run(&db, "check", job, "--data-only", "--follow"), 3, "`number`");
    pair_expect(pair_copy(&db, job, "--data-only", "--split", "1MB"), 0, "proven");
    pair_same_as(&db, expected, "SELECT * FROM posts ORDER BY 1");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    sql_exec(db.target, "UPDATE posts SET n = n + 1000 WHERE id = 77");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 4, "differs in n");
    pair_db_end(&db);
}

/* Rows of the target that meet a condition stay and are not compared. */
static void
test_preserved_rows(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserved");
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  hosts:\n"
                                         "    preserve: {rows: \"env = 'own'\"}\n"
                                         "    columns: {name: {do: [upper]}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE hosts (id int PRIMARY KEY, env text, name text)");
    sql_exec(db.source, "INSERT INTO hosts SELECT g, nullif('theirs', CASE g % 2 WHEN 0 THEN"
                        " 'theirs' END), 'h' || g FROM generate_series(1, 500) g");
    sql_exec(db.target, "INSERT INTO hosts VALUES (1001, 'own', 'keep'), (2, 'old', 'goes'),"
                        " (1002, NULL, 'goes')");
    pair_expect(pair_copy(&db, job, "--data-only"), 3, "already has rows");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    pair_same_as(
        &db,
        "SELECT id, env, upper(name) FROM hosts UNION ALL SELECT 1001, 'own', 'keep' ORDER BY 1",
        "SELECT * FROM hosts ORDER BY 1");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    sql_exec(db.target, "UPDATE hosts SET name = 'other' WHERE id = 1001");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    sql_exec(db.target, "INSERT INTO hosts VALUES (1003, NULL, 'extra')");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 4, "id=1003");
    pair_db_end(&db);
}

/* What --truncate empties is kept first, whatever happens in between. */
static void
test_backup(void **state)
{
    struct pair_db db = pair_db_new(&pair, "backup");
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  users: {backup: before}\n"
                                         "  Odd: {backup: before, preserve: id > 100}\n");
    const char *old = "SELECT * FROM before.users UNION ALL SELECT id, v, NULL FROM before.\"Odd\""
                      " ORDER BY 1";
    const char *expected = "1|old|3\n2|it's|4\n50|gone|<null>\n101|stays|<null>\n";

    (void)state;
    pair_both(&db, "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text,"
                   " len int GENERATED ALWAYS AS (length(name)) STORED);"
                   "CREATE TABLE \"Odd\" (id int PRIMARY KEY, v text)");
    sql_exec(db.source, "INSERT INTO users (name) SELECT 'new' || g FROM generate_series(1, 9) g;"
                        "INSERT INTO \"Odd\" VALUES (1, 'new')");
    sql_exec(db.target, "INSERT INTO users (name) VALUES ('old'), ('it''s');"
                        "INSERT INTO \"Odd\" VALUES (50, 'gone'), (101, 'stays');"
                        "CREATE SCHEMA before; CREATE TABLE before.users ()");
    pair_expect(pair_run(&db, "check", job, "--data-only", "--truncate", "--yes"), 3,
                "before.users: the table that old rows are to be kept in is there");
    sql_exec(db.target, "DROP SCHEMA before CASCADE");
    const char *env[] = {"PGHAUL_FAILPOINT=before_plan_commit=kill", NULL};
    db.env = env; /* killed when the tables have been emptied, before the ledger says so */
    (void)pair_copy(&db, job, "--data-only", "--truncate", "--yes");
    db.env = NULL;
    assert_string_equal(sql_rows(db.target, old), expected);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM users"), 0);
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    assert_string_equal(sql_rows(db.target, old), expected);
    pair_same_table(&db, "users");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM \"Odd\" ORDER BY 1"),
                        "1|new\n101|stays\n");
    pair_db_end(&db);
}

/* Source and target are one database: the rows that are replaced are kept beside both. */
static void
test_backup_in_one_database(void **state)
{
    struct pair_db db = pair_db_new(&pair, "backup_here");
    const char *job = pair_job_file(&db, "select: {schemas: [public]}\n"
                                         "tables:\n"
                                         "  users: {into: shadow.users, backup: before,\n"
                                         "          columns: {name: {do: [upper]}}}\n");

    (void)state;
    db.target_extra = scratch_printf("host=%s port=%d", pair.src->dir, pair.src->port);
    sql_exec(db.source,
             "CREATE TABLE users (id int PRIMARY KEY, name text);"
             "INSERT INTO users SELECT g, 'new' || g FROM generate_series(1, 9) g;"
             "CREATE SCHEMA shadow; CREATE TABLE shadow.users (id int PRIMARY KEY, name text);"
             "INSERT INTO shadow.users VALUES (1, 'of last night'), (77, 'gone')");
    pair_expect(pair_run(&db, "check", job, "--data-only"), 3, "rows");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    assert_string_equal(sql_rows(db.source, "SELECT * FROM before.users ORDER BY id"),
                        "1|of last night\n77|gone\n");
    assert_string_equal(sql_rows(db.source, "SELECT count(*), min(name) FROM users"), "9|new1\n");
    assert_string_equal(sql_rows(db.source, "SELECT count(*), min(name) FROM shadow.users"),
                        "9|NEW1\n");
    sql_exec(db.source, "DROP SCHEMA pghaul CASCADE");
    pair_expect(pair_run(&db, "check", job, "--data-only", "--truncate", "--yes"), 3,
                "before.users: the table that old rows are to be kept in is there");
    pair_db_end(&db);
}

/* Of a foreign key over columns that rules leave alone nothing is to be asked; of another one it
 * is. */
static void
test_foreign_keys(void **state)
{
    static const char tables[] =
        "CREATE TABLE p (id int PRIMARY KEY, name text);"
        "CREATE TABLE c (id int PRIMARY KEY, p_id int CONSTRAINT c_p REFERENCES p, note text)";
    static const char maps[] = "maps: {known: {x: y}, moved: {'3': '9'}}\ntables:\n  ";
    static const char missing[] = "constraint public.c c_p: violated on the target: rows that refer"
                                  " to none: 1";
    static const struct {
        const char *rules;
        int code;
        const char *words;
    } cases[] = {
        {"p: {columns: {name: {do: [upper]}}}\n  c: {columns: {note: {do: [upper]}}}", 0, "agree"},
        {"p: {where: id < 3}", 4, missing},
        {"p: {columns: {name: {map: known, else: quarantine}}}", 4, missing},
        {"c: {columns: {p_id: {map: moved, else: keep}}}", 4, missing},
        {"c: {preserve: id > 100}", 4, missing},
    };
    struct pair_db db = pair_db_new(&pair, "foreign_keys");

    (void)state;
    sql_exec(db.source, tables);
    sql_exec(db.source, "INSERT INTO p VALUES (1, 'x'), (2, 'x'), (3, 'y');"
                        "INSERT INTO c VALUES (1, 1, 'a'), (2, NULL, 'b'), (3, 3, 'c')");
    sql_exec(db.target, tables);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *job = pair_job_file(&db, scratch_printf("%s%s\n", maps, cases[i].rules));
        sql_exec(db.target, "TRUNCATE p, c");
        if (i + 1 == sizeof cases / sizeof cases[0])
            sql_exec(db.target, "SET session_replication_role = replica;"
                                "INSERT INTO c VALUES (101, 7, 'own')");
        const char *name = scratch_printf("keys_%zu", i);
        pair_expect(pair_copy(&db, job, "--name", name, "--data-only"), cases[i].code,
                    cases[i].code == 0 ? "proven" : cases[i].words);
        pair_expect(pair_run(&db, "verify", job, "--data-only"), cases[i].code, cases[i].words);
    }
    pair_db_end(&db);
}

#define PARTITIONED(org)                                                                           \
    "maps: {m: {x: a, y: z, w: null}}\n"                                                           \
    "tables:\n"                                                                                    \
    "  listed: {columns: {kind: {map: m}}}\n"                                                      \
    "  always: {columns: {org: {set: " org "}}}\n"                                                 \
    "  made: {columns: {id: {do: [{add: [1]}]}}}\n"                                                \
    "  caught: {columns: {org: {set: 77}}}\n"

/* Values that rules give, and the partitions that there are for them. */
static void
test_partitions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "partitions");
    const char *job = pair_job_file(&db, PARTITIONED("12"));

    (void)state;
    sql_exec(db.source, "CREATE TABLE listed (id int, kind text);"
                        "CREATE TABLE always (id int); CREATE TABLE made (id int);"
                        "CREATE TABLE caught (id int); INSERT INTO listed VALUES (1, 'x');"
                        "INSERT INTO always VALUES (1); INSERT INTO made VALUES (1);"
                        "INSERT INTO caught VALUES (1)");
    sql_exec(db.target,
             "CREATE TYPE kind AS ENUM ('a', 'b', 'z');"
             "CREATE TABLE listed (id int, kind kind) PARTITION BY LIST (kind);"
             "CREATE TABLE listed_a PARTITION OF listed FOR VALUES IN ('a', 'b');"
             "CREATE TABLE always (id int, org int) PARTITION BY RANGE (org);"
             "CREATE TABLE always_1 PARTITION OF always FOR VALUES FROM (0) TO (10);"
             "CREATE TABLE always_2 PARTITION OF always FOR VALUES FROM (10) TO (12);"
             "CREATE TABLE made (id int) PARTITION BY HASH (id);"
             "CREATE TABLE made_0 PARTITION OF made FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
             "CREATE TABLE caught (id int, org int) PARTITION BY LIST (org);"
             "CREATE TABLE caught_d PARTITION OF caught DEFAULT");
    struct run *run = pair_run(&db, "check", job, "--data-only");
    pair_expect(run, 3, "the rule of org gives 12, for which public.always has no partition");
    pair_expect(run, 3,
                "the rule of kind gives z, for which public.listed has no partition: a row");
    pair_expect(run, 3, "the rule of kind gives NULL, for which");
    pair_expect(run, 3, "column id is part of the partition key of public.made");
    assert_null(strstr(run_out(run), "gives a,"));
    assert_null(strstr(run_out(run), "caught"));
    pair_expect(pair_copy(&db, job, "--data-only"), 3, "public.always has no partition");
    job = pair_job_file(&db, PARTITIONED("11"));
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM always_2 WHERE org = 11"), 1);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_and_drop),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_passed_columns),
        cmocka_unit_test(test_schema_made_here),
        cmocka_unit_test(test_schema_made_here_is_the_source_s),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_made_rows_are_counted),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_source_checks),
        cmocka_unit_test(test_filter_rename_and_split),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_preserved_rows),
        cmocka_unit_test(test_backup),
        cmocka_unit_test(test_backup_in_one_database),
        cmocka_unit_test(test_foreign_keys),
        cmocka_unit_test(test_partitions),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
