/* What the check of rules promises, against servers: which rows are taken, what is refused before
 * anything is written.
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

#include <string.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

/* ---- merge ---- */

/* A key comes from the first table that gives a row of it; rows with a NULL in it all come. */
static void
test_merge_after_filtered(void **state)
{
    struct pair_db db = pair_db_new(&pair, "merge_filtered");
    const char *job = pair_job_file(
        &db,
        "tables:\n"
        "  old: {into: all_mail, where: \"state = 'done' and id > 0\", columns: {via: {set: old}}, "
        "drop: [state]}\n"
        "  new: {into: all_mail, columns: {via: {set: new}}, drop: [state], "
        "merge: {key: [k, part], after: [old]}}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE old (id int, k text, part int, state text);"
             "CREATE TABLE new (id int, k text, part int, state text);"
             "INSERT INTO old SELECT g, 'k' || g, g % 3, CASE WHEN g % 4 > 0 THEN 'done' END"
             " FROM generate_series(1, 1000) g;"
             "INSERT INTO new SELECT g, CASE WHEN g % 7 > 0 THEN 'k' || g END,"
             " CASE WHEN g % 5 > 0 THEN g % 3 END, 'left' FROM generate_series(500, 1500) g;"
             "INSERT INTO old VALUES (2000, NULL, 1, 'done'), (2001, 'k2001', NULL, 'done')");
    sql_exec(db.target, "CREATE TABLE all_mail (id int, k text, part int, via text)");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_same_as(&db,
                 "SELECT id, k, part, 'old' FROM old WHERE state = 'done' UNION ALL"
                 " SELECT id, k, part, 'new' FROM new n WHERE NOT EXISTS (SELECT 1 FROM old o"
                 " WHERE o.k = n.k AND o.part = n.part AND o.state = 'done') ORDER BY 1, 4",
                 "SELECT * FROM all_mail ORDER BY 1, 4");
    /* a key whose earlier row was left out is there */
    assert_string_equal(sql_rows(db.target, "SELECT via FROM all_mail WHERE k = 'k604'"), "new\n");
    pair_db_end(&db);
}

/* A condition may name its table: in the job's SELECT, and where other rows are looked at by it. */
static void
test_conditions_that_name_their_table(void **state)
{
    struct pair_db db = pair_db_new(&pair, "named");
    const char *job = pair_job_file(
        &db, "tables:\n"
             "  one: {where: \"one.active and EXISTS (SELECT 1 FROM public.plan p"
             " WHERE p.id = public.one.plan)\", dedup: {key: [k], prefer: [at desc]}}\n"
             "  bare: {where: \"bare.active\", dedup: {key: [k], prefer: [at desc]}}\n"
             "  old: {into: mail, where: \"old.active = true\"}\n"
             "  new: {into: mail, merge: {key: [k], after: [old]}}\n"
             "  plan: {where: \"false\"}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE plan (id int PRIMARY KEY); INSERT INTO plan VALUES (1);"
             "CREATE TABLE one (id int PRIMARY KEY, k text, active bool, at int, plan int);"
             "INSERT INTO one VALUES (1, 'h', false, 10, 1), (2, 'h', true, 5, 1),"
             " (3, 'g', true, 1, 1), (4, 'g', true, 9, 2);"
             "CREATE TABLE bare (id int, k text, active bool, at int);"
             "INSERT INTO bare SELECT id, k, active, CASE WHEN active THEN 7 ELSE 9 END FROM one;"
             "CREATE TABLE old (k text, active bool); CREATE TABLE new (k text, active bool);"
             "INSERT INTO old VALUES ('a', true), ('b', false);"
             "INSERT INTO new VALUES ('a', false), ('b', false)");
    sql_exec(db.target,
             "CREATE TABLE plan (id int PRIMARY KEY); CREATE TABLE mail (k text, active bool);"
             "CREATE TABLE one (id int PRIMARY KEY, k text, active bool, at int, plan int);"
             "CREATE TABLE bare (id int, k text, active bool, at int)");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_string_equal(sql_rows(db.target, "SELECT id FROM one ORDER BY 1"), "2\n3\n");
    assert_string_equal(sql_rows(db.target, "SELECT id FROM bare ORDER BY 1"), "2\n3\n");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM mail ORDER BY 1"), "a|t\nb|f\n");
    pair_db_end(&db);
}

/*
 * Partitions of the earlier table have entries of their own, one has none: a key comes from the
 * later table when no partition gives it to this one. A sample is by the key that partitions have.
 */
static void
test_merge_after_partitions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "merge_partitions");
    const char *job = pair_job_file(
        &db, "tables:\n"
             "  a1: {into: m, where: \"a1.id <= 5\", drop: [y]}\n"
             "  a2: {into: [{table: m, where: \"id > 15\", drop: [y]}, {table: other}]}\n"
             "  b: {into: m, merge: {key: [k], after: [a]}}\n"
             "  s: {into: n, sample: 50%, drop: [y]}\n"
             "  c: {into: n, merge: {key: [id], after: [s]}}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE a (id int, k text, y int, via text) PARTITION BY LIST (y);"
             "CREATE TABLE a1 (y int, via text, k text, id int);"
             "ALTER TABLE a ATTACH PARTITION a1 FOR VALUES IN (1);"
             "CREATE TABLE a2 PARTITION OF a FOR VALUES IN (2);"
             "CREATE TABLE a3 PARTITION OF a FOR VALUES IN (3);"
             "INSERT INTO a SELECT g, 'k' || g, (g + 9) / 10, 'a' FROM generate_series(1, 30) g;"
             "CREATE TABLE b (id int, k text, via text);"
             "INSERT INTO b SELECT g, 'k' || g, 'b' FROM generate_series(1, 40) g;"
             "CREATE TABLE s (id int, y int) PARTITION BY LIST (y);"
             "CREATE TABLE s1 PARTITION OF s (PRIMARY KEY (id)) FOR VALUES IN (1);"
             "INSERT INTO s SELECT g, 1 FROM generate_series(1, 100) g;"
             "CREATE TABLE c (id int); INSERT INTO c SELECT id FROM s");
    sql_exec(db.target, "CREATE TABLE m (id int, k text, via text); CREATE TABLE n (id int);"
                        "CREATE TABLE a (id int, k text, y int, via text);"
                        "CREATE TABLE other (id int, k text, y int, via text)");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_string_equal(sql_rows(db.target, "SELECT via, min(id), max(id), count(*) FROM (SELECT *,"
                                            " id - row_number() OVER (PARTITION BY via ORDER BY"
                                            " id) run FROM m) runs GROUP BY via, run ORDER BY 2"),
                        "a|1|5|5\nb|6|15|10\na|16|20|5\nb|21|40|20\n");
    assert_string_equal(sql_rows(db.target, "SELECT count(*), count(DISTINCT id) FROM n"),
                        "100|100\n");
    pair_db_end(&db);
}

/* An entry of a partition chooses among its rows, one of the whole table among all of them. */
static void
test_dedup_of_partitions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "dedup_partitions");
    const char *job = pair_job_file(
        &db, "tables:\n"
             "  p1: {into: p, where: \"at < 5\", dedup: {key: [name], prefer: [at desc]}}\n"
             "  p2: {into: p, where: \"at >= 5\", dedup: {key: [name], prefer: [at desc]}}\n"
             "  q: {where: \"at < 9\", dedup: {key: [name], prefer: [at desc]}}\n");
    static const char table[] =
        "CREATE TABLE %s (name text, at int, y int) PARTITION BY LIST (y);"
        "CREATE TABLE %s1 PARTITION OF %s FOR VALUES IN (1);"
        "CREATE TABLE %s2 PARTITION OF %s FOR VALUES IN (2);"
        "INSERT INTO %s VALUES ('ann', 1, 1), ('ann', 2, 2), ('bob', 1, 1), ('bob', 3, 1),"
        " ('bob', 6, 2), ('bob', 7, 2), ('cid', 9, 1), ('cid', 8, 2)";

    (void)state;
    sql_exec(db.source, scratch_printf(table, "p", "p", "p", "p", "p", "p"));
    sql_exec(db.source, scratch_printf(table, "q", "q", "q", "q", "q", "q"));
    sql_exec(db.target, "CREATE TABLE p (name text, at int, y int);"
                        "CREATE TABLE q (name text, at int, y int)");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM p ORDER BY 1, 2"),
                        "ann|1|1\nbob|3|1\nbob|7|2\ncid|8|2\n");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM q ORDER BY 1, 2"),
                        "ann|2|2\nbob|7|2\ncid|8|2\n");
    pair_db_end(&db);
}

/* A row in quarantine was taken all the same: its key does not come from elsewhere. */
static void
test_merge_after_quarantine(void **state)
{
    struct pair_db db = pair_db_new(&pair, "merge_quarantine");
    const char *job =
        pair_job_file(&db, "maps:\n  m: {a: x}\n"
                           "tables:\n"
                           "  old: {into: t, columns: {v: {map: m}}, on_bad: quarantine}\n"
                           "  new: {into: t, merge: {key: [id], after: [old]}}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE old (id int PRIMARY KEY, v text);"
                        "CREATE TABLE new (id int PRIMARY KEY, v text);"
                        "INSERT INTO old VALUES (1, 'a'), (2, 'odd');"
                        "INSERT INTO new VALUES (1, 'n1'), (2, 'n2'), (3, 'n3')");
    sql_exec(db.target, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    pair_expect(pair_copy(&db, job, "--data-only"), 4, "quarantine");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM t ORDER BY 1"), "1|x\n3|n3\n");
    assert_string_equal(sql_rows(db.target, "SELECT row_key FROM pghaul.quarantine"), "(id=2)\n");
    pair_db_end(&db);
}

/* ---- shapes ---- */

/* One column for two things: values would go nowhere, and the proof know nothing of it. */
static void
test_two_in_one_column(void **state)
{
    struct pair_db db = pair_db_new(&pair, "two_in_one");
    const char *job = pair_job_file(
        &db, "tables:\n"
             "  wide: {into: t, unpivot: {columns: [likes, shares], name: v, value: v}}\n"
             "  list: {into: u, each: {column: tags, value: v, position: v}}\n");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE wide (id int, likes text, shares text);"
             "INSERT INTO wide VALUES (1, '5', '6');"
             "CREATE TABLE list (id int, tags int[]); INSERT INTO list VALUES (1, '{7}')");
    sql_exec(db.target, "CREATE TABLE t (id int, v text); CREATE TABLE u (id int, v int)");
    struct run *run = pair_copy(&db, job, "--data-only");
    pair_expect(run, 2, "`name` and `value` of `unpivot` are both column v");
    pair_expect(run, 2, "`value` and `position` of `each` are both column v");
    pair_db_end(&db);
}

/* ---- what the target allows ---- */

/* Constants that a CHECK or a domain of the target refuses are known before anything is written. */
static void
test_constants_and_constraints(void **state)
{
    struct pair_db db = pair_db_new(&pair, "constraints");
    static const char *const refused[][2] = {
        {"columns: {state: {set: gone}}",
         "the rule of state gives gone, which public.t does not allow: constraint t_state"},
        {"columns: {n: {set: 11}}", "gives 11, which public.t does not allow: constraint small"},
        {"columns: {b: {set: 7}}", "does not allow: division by zero"},
        {"columns: {d: {set: -1}}", "not a value of public.positive"},
        {"columns: {d: {set: null}}", "column d is NOT NULL on the target and set to null"},
    };

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, state text, n int, b int, d int);"
                        "INSERT INTO t VALUES (1, 'new', 1, 1, 1), (2, NULL, 2, 2, 2)");
    sql_exec(db.target,
             "CREATE DOMAIN positive AS int NOT NULL CHECK (VALUE > 0);"
             "CREATE TABLE t (id int PRIMARY KEY, state text CHECK (state IN ('new', 'done')),"
             " n int CONSTRAINT small CHECK (n BETWEEN 1 AND 10), b int CHECK (1 / (b - 7) < 9),"
             " d positive, CHECK (n < 100 OR b < 100));"
             "ALTER TABLE t RENAME CONSTRAINT t_state_check TO t_state");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *job = pair_job_file(&db, scratch_printf("tables:\n  t: {%s}\n", refused[i][0]));
        pair_expect(pair_run(&db, "check", job, "--data-only"), 3, refused[i][1]);
        pair_expect(pair_copy(&db, job, "--data-only"), i < 3 ? 3 : 2, refused[i][1]);
    }
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 0);
    const char *mapped = pair_job_file(
        &db, "maps: {m: {new: done, old: gone}}\n"
             "tables:\n  t: {columns: {state: {do: [{map: m}, {default: none}]}, n: {set: 10}}}\n");
    struct run *run = pair_run(&db, "check", mapped, "--data-only");
    pair_expect(run, 0,
                "the rule of state gives gone, which public.t does not allow: constraint "
                "t_state; a row that becomes it ends the copy");
    pair_expect(run, 0, "the rule of state gives none, which");
    assert_null(strstr(run_out(run), "gives done"));
    const char *fine =
        pair_job_file(&db, "tables:\n  t: {columns: {state: {default: done}, n: {set: "
                           "10}, d: {default: 3}}}\n");
    pair_expect(pair_copy(&db, fine, "--data-only"), 0, "proven");
    pair_db_end(&db);
}

/* What storing would refuse a cast would cut, which nothing tells: the proof knows the cut one. */
static void
test_constants_are_not_cut(void **state)
{
    struct pair_db db = pair_db_new(&pair, "cut");
    static const char *const refused[][2] = {
        {"a: {set: abcd}", "value too long for type character varying(3)"},
        {"d: {set: abcd}", "not a value of public.word: value too long"},
        {"d: {default: abcd, from: k}", "not a value of public.word: value too long"},
        {"d: {map: m, from: k}", "not a value of public.word: value too long"},
        {"d: {map: n, from: k, else: {value: abcd}}", "not a value of public.word: value too long"},
        {"d: {lookup: {table: l, key: k, value: v}, from: k, else: {value: abcd}}",
         "not a value of public.word: value too long"},
        {"c: {set: abcd}", "value too long for type character(3)"},
        {"b: {set: '10101'}", "bit string length 5 does not match type bit(3)"},
        {"b: {set: '1'}", "bit string length 1 does not match type bit(3)"},
        {"e: {set: '{abc, abcd}'}", "value too long for type character varying(3)"},
        {"f: {set: '{{abc}, {abcd}}'}", "not a value of public.word[]: value too long"},
    };

    (void)state;
    pair_both(&db, "CREATE DOMAIN short AS varchar(3); CREATE DOMAIN word AS short;"
                   "CREATE TABLE l (k text PRIMARY KEY, v text);"
                   "CREATE TABLE t (id int PRIMARY KEY, k text, a varchar(3), d word, c char(3),"
                   " b bit(3), e varchar(3)[], f word[])");
    sql_exec(db.source, "INSERT INTO t VALUES (1, 'x', 'a', 'd', 'c', '110', '{e}', '{f}'),"
                        " (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL)");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *job = pair_job_file(&db, scratch_printf("maps: {m: {x: abcd}, n: {x: abc}}\n"
                                                            "tables:\n  t: {columns: {%s}}\n",
                                                            refused[i][0]));
        pair_expect(pair_run(&db, "check", job, "--data-only"), 3, refused[i][1]);
    }
    const char *fine = pair_job_file(
        &db, "maps: {m: {x: öäü}, n: {x: '011'}}\n"
             "tables:\n  t: {columns: {d: {map: m, from: k}, c: {set: 'a'}, b: {map: n, from: k},\n"
             "    e: {set: '[0:1]={abc, NULL}'}, f: {default: '{{a}, {b}}'}}, drop: [d, b]}\n");
    pair_expect(pair_copy(&db, fine, "--data-only"), 0, "proven");
    assert_string_equal(sql_rows(db.target, "SELECT d, c, b, e, f FROM t ORDER BY id"),
                        "öäü|a  |011|[0:1]={abc,NULL}|{f}\n"
                        "<null>|a  |<null>|[0:1]={abc,NULL}|{{a},{b}}\n");
    pair_db_end(&db);
}

/* A row without a value for such a domain is a bad one, with a name, as NOT NULL makes it. */
static void
test_domains_that_are_not_null(void **state)
{
    struct pair_db db = pair_db_new(&pair, "domain_null");
    const char *job =
        pair_job_file(&db, "tables:\n  t: {columns: {a: {do: [upper]}}, on_bad: quarantine}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, a text);"
                        "INSERT INTO t VALUES (1, 'x'), (2, NULL)");
    sql_exec(db.target, "CREATE DOMAIN said AS text NOT NULL; CREATE DOMAIN word AS said;"
                        "CREATE TABLE t (id int PRIMARY KEY, a word)");
    pair_expect(pair_copy(&db, job, "--data-only"), 4, "quarantine");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM t"), "1|X\n");
    pair_db_end(&db);
}

/* ---- what is told of bad rows ---- */

#define SECRET "it is not told"

/* The first digits of what `hmac` makes of it. */
static const char *
hidden(struct pair_db *db, const char *text)
{
    return sql_value(db->source, scratch_printf("SELECT 'hmac:' || left(encode(hmac(%s::text, "
                                                "'" SECRET "', 'sha256'), 'hex'), 16)",
                                                text));
}

/* Messages, the quarantine and the report name rows, but no value that a rule masks or drops. */
static void
test_masked_keys_are_not_told(void **state)
{
    static const char *const env[] = {"PGHAUL_TEST_SECRET=" SECRET, NULL};
    struct pair_db db = pair_db_new(&pair, "not_told");
    static const char job[] =
        "secret: {env: PGHAUL_TEST_SECRET}\nmaps: {m: {a: b}}\n"
        "tables:\n  t:\n    drop: [nr, u]\n%s    columns:\n      email: {mask: email}\n"
        "      word: {do: [{map: m}]}\n      alias: {do: [lower, {map: m}, {mask_first: 1}]}\n";

    (void)state;
    db.env = env;
    sql_exec(db.source,
             "CREATE EXTENSION pgcrypto;"
             "CREATE TABLE t (email text, nr int, u uuid, id int, word text, alias text,"
             " PRIMARY KEY (email, nr, u, id));"
             "INSERT INTO t SELECT 'ann' || g || '@x.org', 7000 + g,"
             " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', g, CASE WHEN g = 1 THEN 'odd word' ELSE 'a'"
             " END, CASE WHEN g = 2 THEN 'Odd Alias' ELSE 'a' END FROM generate_series(1, 3) g");
    sql_exec(db.target, "CREATE TABLE t (email text, id int PRIMARY KEY, word text, alias text)");
    struct run *run = pair_copy(&db, pair_job_file(&db, scratch_printf(job, "")), "--data-only");
    pair_expect(run, 1,
                scratch_printf("(email=%s, nr=%s, u=%s, id=", hidden(&db, "'ann1@x.org'"),
                               hidden(&db, "7001"),
                               hidden(&db, "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'")));
    assert_null(strstr(run_out(run), "x.org"));
    assert_null(strstr(run_err(run), "x.org"));
    pair_expect(pair_run(&db, "clean", pair_job_file(&db, scratch_printf(job, "")), "--yes"), 0,
                NULL);
    const char *keeps = pair_job_file(&db, scratch_printf(job, "    on_bad: quarantine\n"));
    pair_expect(pair_copy(&db, keeps, "--data-only"), 4, "quarantine");
    assert_string_equal(
        sql_rows(db.target, "SELECT row_key ~ '^[(]email=hmac:[0-9a-f]{16}, nr=hmac:[0-9a-f]{16}, "
                            "u=hmac:[0-9a-f]{16}, id=[12][)]$', column_name, reason FROM"
                            " pghaul.quarantine ORDER BY row_key ~ 'id=2'"),
        "t|word|the map m does not have the value \"odd word\"\n"
        "t|alias|the map m does not have the value\n");
    pair_db_end(&db);
}

/* Nor what a lookup does not find. */
static void
test_masked_lookups_are_not_told(void **state)
{
    static const char *const env[] = {"PGHAUL_TEST_SECRET=" SECRET, NULL};
    struct pair_db db = pair_db_new(&pair, "lookups_not_told");
    const char *job = pair_job_file(
        &db, "secret: {env: PGHAUL_TEST_SECRET}\n"
             "tables:\n  t:\n    columns:\n      email: {mask: email}\n"
             "      owner: {lookup: {table: known, key: email, value: id}, from: email}\n");

    (void)state;
    db.env = env;
    sql_exec(db.source,
             "CREATE EXTENSION pgcrypto; CREATE TABLE t (id int PRIMARY KEY, email text);"
             "CREATE TABLE known (email text PRIMARY KEY, id int);"
             "INSERT INTO t VALUES (1, 'ann@x.org'), (2, 'bob@x.org');"
             "INSERT INTO known VALUES ('ann@x.org', 7)");
    sql_exec(db.target, "CREATE TABLE t (id int PRIMARY KEY, email text, owner int)");
    struct run *run = pair_copy(&db, job, "--data-only", "--table", "public.t");
    pair_expect(run, 0, hidden(&db, "'bob@x.org'"));
    assert_null(strstr(run_out(run), "bob@x.org"));
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge_after_filtered),
        cmocka_unit_test(test_conditions_that_name_their_table),
        cmocka_unit_test(test_merge_after_partitions),
        cmocka_unit_test(test_dedup_of_partitions),
        cmocka_unit_test(test_merge_after_quarantine),
        cmocka_unit_test(test_two_in_one_column),
        cmocka_unit_test(test_constants_and_constraints),
        cmocka_unit_test(test_constants_are_not_cut),
        cmocka_unit_test(test_domains_that_are_not_null),
        cmocka_unit_test(test_masked_keys_are_not_told),
        cmocka_unit_test(test_masked_lookups_are_not_told),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
