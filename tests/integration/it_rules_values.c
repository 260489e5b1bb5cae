/*
 * What a column's type makes of values, beside PostgreSQL: the same expression on the source, and
 * the proof over what the target holds.
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

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

/* ---- character(n) ---- */

/* Each rule is what PostgreSQL's expression of the same name gives of the padded column. */
static void
test_padded(void **state)
{
    static const char *const rules[][3] = {
        /* rule, type of the target's column, SQL */
        {"{do: [{cast: text}]}", "text", "c::text"},
        {"{do: [{cast: varchar}]}", "varchar", "c::varchar"},
        {"{do: [{null_if: abc}]}", "text", "nullif(c, 'abc')::text"},
        {"{do: [{null_if: \"abc \"}]}", "text", "nullif(c, 'abc ')::text"},
        {"{do: [null_if_empty]}", "text", "nullif(c, '')::text"},
        {"{do: [coalesce], from: [c, t]}", "text", "coalesce(c, t)"},
        {"{do: [coalesce, length], from: [c, t]}", "int", "length(coalesce(c, t))"},
        {"{do: [{concat: \"-\"}], from: [c, t]}", "text", "concat_ws('-', c, t)"},
        {"{do: [{split: [b, 2]}]}", "text", "split_part(c, 'b', 2)"},
        {"{do: [{substring: [2, 9]}]}", "text", "substring(c, 2, 9)"},
        {"{do: [{left: -1}]}", "text", "left(c, -1)"},
        {"{do: [{right: 2}]}", "text", "right(c, 2)"},
        {"{do: [{lpad: [12, x]}]}", "text", "lpad(c, 12, 'x')"},
        {"{do: [{rpad: [12, x]}]}", "text", "rpad(c, 12, 'x')"},
        {"{do: [{trim: c}]}", "text", "btrim(c, 'c')"},
        {"{do: [{ltrim: a}]}", "text", "ltrim(c, 'a')"},
        {"{do: [{rtrim: c}]}", "text", "rtrim(c, 'c')"},
        {"{do: [{replace: [\" \", _]}]}", "text", "replace(c, ' ', '_')"},
        {"{do: [length]}", "int", "length(c)"},
        {"{do: [upper]}", "text", "upper(c)"},
        {"{do: [upper]}", "char(12)", "upper(c)"},
        {"{do: [{regexp_replace: [\".$\", X]}]}", "text", "regexp_replace(c, '.$', 'X')"},
        {"{do: [md5]}", "text", "md5(c)"},
        {"{do: [sha256]}", "text", "encode(sha256(convert_to(c, 'UTF8')), 'hex')"},
        {"{do: [{cast: bytea}]}", "bytea", "c::bytea"},
        {"{map: m, else: null}", "text", "CASE c WHEN 'abc' THEN 'OK' WHEN 'd' THEN 'D' END"},
        {"{map: m, else: keep}", "text",
         "CASE c WHEN 'abc' THEN 'OK' WHEN 'd' THEN 'D' ELSE c END"},
        {"{mask: {first: 2}}", "text",
         "CASE WHEN length(c) > 2 THEN rpad(left(c, 2), length(c), '*') ELSE repeat('*', "
         "length(c)) END"},
    };
    struct pair_db db = pair_db_new(&pair, "padded");
    const char *columns = "";
    const char *table = "id int";

    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        bool has_from = strstr(rules[i][0], "from:") != NULL;
        columns =
            scratch_printf("%s      c%zu: %.*s%s}\n", columns, i, (int)strlen(rules[i][0]) - 1,
                           rules[i][0], has_from ? "" : ", from: c");
        table = scratch_printf("%s, c%zu %s", table, i, rules[i][1]);
    }
    const char *job = pair_job_file(
        &db, scratch_printf("maps: {m: {abc: OK, \"d  \": D}}\ntables:\n  padded:\n    columns:\n"
                            "%s    drop: [t]\n",
                            columns));
    sql_exec(db.source, "CREATE TABLE padded (id int, c char(10), t text);"
                        "INSERT INTO padded SELECT row_number() OVER (), c, 't' FROM unnest("
                        "'{abc,d,\"\",NULL,\" a b c\",abcdefghij,ab,aabbcc,äöü}'::text[]) c");
    sql_execf(db.target, "CREATE TABLE padded (%s)", table);
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        pair_same_as(
            &db,
            scratch_printf("SELECT id, (%s)::%s FROM padded ORDER BY 1", rules[i][2], rules[i][1]),
            scratch_printf("SELECT id, c%zu FROM padded ORDER BY 1", i));
    pair_db_end(&db);
}

/* ---- domains ---- */

/* Their lengths and precisions count as a column's own do, for rules and for columns that pass. */
static void
test_domains(void **state)
{
    struct pair_db db = pair_db_new(&pair, "domains");
    (void)state;
    sql_exec(db.source, "CREATE DOMAIN exact AS numeric(10,4);"
                        "CREATE TABLE t (id int, n numeric, at timestamp, t text, same exact,"
                        " passed exact, ns exact[]);"
                        "INSERT INTO t SELECT g, g + 0.005, '2024-01-01'::timestamp + g * interval"
                        " '0.7 s', 'Ab   x', g + 0.125, g + 0.125, ARRAY[g + 0.125, NULL]"
                        " FROM generate_series(1, 50) g");
    sql_exec(db.target, "CREATE DOMAIN exact AS numeric(10,4); CREATE DOMAIN money2 AS"
                        " numeric(10,2); CREATE DOMAIN cash AS money2 CHECK (VALUE > 0);"
                        "CREATE DOMAIN code AS char(10); CREATE DOMAIN seconds AS timestamp(0);"
                        "CREATE DOMAIN short AS varchar(4); CREATE DOMAIN list AS money2[];"
                        "CREATE TABLE t (id int, n money2, c code, at seconds, v short, deep cash,"
                        " same exact, passed cash, ns list)");
    const char *job =
        pair_job_file(&db, "tables:\n  t:\n    columns:\n"
                           "      n: {do: [{multiply: 1}]}\n      c: {do: [lower], from: t}\n"
                           "      at: {do: [{shift: 1 day}]}\n"
                           "      v: {do: [{left: 5}], from: t}\n"
                           "      deep: {do: [{multiply: 1}], from: n}\n"
                           "    drop: [t]\n");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_same_as(&db,
                 "SELECT id, n::numeric(10,2), lower(t)::char(10), (at + interval '1 day')"
                 "::timestamp(0), left(t, 4)::varchar(4), n::numeric(10,2), same,"
                 " passed::numeric(10,2), ns::numeric(10,2)[] FROM t ORDER BY 1",
                 "SELECT * FROM t ORDER BY 1");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    pair_db_end(&db);
}

/* ---- enums ---- */

/* Elements of arrays are looked at as single values are: a bad one has a name and a way out. */
static void
test_labels_of_elements(void **state)
{
    struct pair_db db = pair_db_new(&pair, "labels");
    const char *job =
        pair_job_file(&db, "tables:\n  t: {on_bad: quarantine, columns: {a: {from: src}}}\n"
                           "  u: {on_bad: quarantine}\n");

    (void)state;
    pair_both(&db, "CREATE DOMAIN list AS text[]");
    sql_exec(db.source, "CREATE TYPE m AS ENUM ('ok', 'sad', 'bad');"
                        "CREATE TABLE t (id int PRIMARY KEY, src text[], m text);"
                        "CREATE TABLE u (id int PRIMARY KEY, ms m[]);"
                        "INSERT INTO t VALUES (1, '{ok,sad}'), (2, '{ok,bad}'), (3, NULL),"
                        " (4, '{{ok,NULL},{sad,sad}}'), (5, '{}'), (6, '{o}'), (7, '{\"\"}');"
                        "INSERT INTO u VALUES (1, '{ok}'), (2, '{sad,bad}')");
    sql_exec(db.source, "ALTER TABLE t DROP m");
    sql_exec(db.target, "CREATE TYPE m AS ENUM ('ok', 'sad');"
                        "CREATE TABLE t (id int PRIMARY KEY, a m[]);"
                        "CREATE TABLE u (id int PRIMARY KEY, ms m[])");
    pair_expect(pair_copy(&db, job, "--data-only"), 4, "rows are in quarantine");
    assert_string_equal(sql_rows(db.target, "SELECT id, a FROM t ORDER BY 1"),
                        "1|{ok,sad}\n3|<null>\n4|{{ok,NULL},{sad,sad}}\n5|{}\n");
    assert_string_equal(sql_rows(db.target, "SELECT id, ms FROM u ORDER BY 1"), "1|{ok}\n");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.quarantine WHERE reason ~"
                                        " 'has an element that is no value of the column''s enum'"),
                     4);
    pair_db_end(&db);
}

/* ---- encodings ---- */

static PGconn *
make_latin(struct pg_test_cluster *cluster)
{
    PGconn *admin = sql_connect(cluster, "postgres");

    sql_exec(admin, "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
                    " TEMPLATE template0");
    PQfinish(admin);
    PGconn *conn = sql_connect(cluster, "latin");
    sql_exec(conn, "SET client_encoding = 'UTF8'");
    sql_exec(conn, "CREATE TABLE t (id int, a text, b text);"
                   "CREATE TYPE size AS ENUM ('klein', 'groß');"
                   "CREATE TABLE sizes (id int, s size, ss size[], up text)");
    return conn;
}

/* What the job file has in UTF-8 is not written into a database of other bytes. */
static void
test_latin(void **state)
{
    struct pair_db db = pair_db_new(&pair, "latin_job");
    PGconn *source = make_latin(pair.src);
    PGconn *target = make_latin(pair.dst);
    const char *job = pair_job_file(&db, "maps: {m: {x: \"Gü\"}}\ntables:\n  t:\n    columns:\n"
                                         "      a: {set: \"Kü\"}\n      b: {map: m, else: keep}\n");

    (void)state;
    db.source_extra = "dbname=latin";
    db.target_extra = "dbname=latin";
    sql_exec(source, "INSERT INTO t VALUES (1, 'x', chr(252)), (2, 'y', 'x')");
    struct run *run = pair_run(&db, "check", job, "--data-only");
    pair_expect(run, 3, "'Kü' is not ASCII, so this file has it in UTF-8, and the database is in");
    job = pair_job_file(&db, "maps: {m: {x: G}}\ntables:\n  t:\n    columns:\n"
                             "      a: {set: K}\n      b: {map: m, else: keep}\n");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_string_equal(sql_value(target, "SELECT string_agg(a || b, ',' ORDER BY id) = 'K' ||"
                                          " chr(252) || ',KG' FROM t"),
                        "t");

    /* labels are read as UTF-8 and rows as the database has them */
    job = pair_job_file(&db, "tables:\n  sizes: {on_bad: quarantine, columns: {s: {do: [{null_if:"
                             " x}]}, ss: {from: a},\n    up: {do: [upper]}}, drop: [a]}\n");
    sql_exec(source, "ALTER TABLE sizes ALTER s TYPE text; ALTER TABLE sizes DROP ss; ALTER TABLE"
                     " sizes ADD a text[]; INSERT INTO sizes VALUES (1, 'groß', 'ab',"
                     " '{klein,groß}'), (2, 'klein', 'klein', NULL), (3, 'gro', 'x', NULL)");
    pair_expect(pair_run(&db, "rules", "test", job, "--data-only", "--table", "sizes"), 0,
                "    ss                       {klein,groß}\n"
                "    up                       AB\n");
    pair_expect(pair_copy(&db, job, "--data-only", "--name", "sizes", "--table", "sizes"), 4,
                "1 rows stayed behind");
    assert_string_equal(sql_rows(target, "SELECT * FROM sizes ORDER BY id"),
                        "1|groß|{klein,groß}|AB\n2|klein|<null>|KLEIN\n");

    /* what is shown is what the copy does */
    job = pair_job_file(&db, "tables: {upper: {columns: {up: {do: [upper]}}}}\n");
    sql_exec(source, "CREATE TABLE upper (id int, up text); INSERT INTO upper VALUES (1, 'ä')");
    sql_exec(target, "CREATE TABLE upper (id int, up text)");
    pair_expect(pair_copy(&db, job, "--data-only", "--name", "upper", "--table", "upper"), 1,
                "not valid UTF-8");
    pair_expect(pair_run(&db, "rules", "test", job, "--data-only", "--table", "upper"), 1,
                "not valid UTF-8");

    sql_exec(source, "CREATE TABLE named (id int, größe int)");
    sql_exec(target, "CREATE TABLE named (id int, größe int)");
    const char *plain = pair_job_file(&db, "{}\n");
    pair_expect(pair_run(&db, "check", plain, "--data-only", "--name", "n", "--table", "named"), 3,
                "the name größe is not ASCII, and the databases are in LATIN1");
    PQfinish(source);
    PQfinish(target);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padded),
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_labels_of_elements),
        cmocka_unit_test(test_latin),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
