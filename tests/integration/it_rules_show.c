/*
 * What `rules explain` and `rules test` print: every table, rows of the source, rows of a file in
 * their place, and files that are none.
 */
/* labels: short */
/* timeout: 120 */
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

/* ---- explain ---- */

/* Tables without rules too, partitions with their root, and none that is not selected. */
static void
test_every_table_is_explained(void **state)
{
    struct pair_db db = pair_db_new(&pair, "explained");
    const char *job = pair_job_file(&db, "select: {exclude: [public.left_out]}\n"
                                         "tables: {t: {columns: {v: {do: [upper]}}}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                   "CREATE TABLE other (id int PRIMARY KEY, v text);"
                   "CREATE TABLE left_out (id int);"
                   "CREATE TABLE parts (id int) PARTITION BY RANGE (id);"
                   "CREATE TABLE parts_1 PARTITION OF parts DEFAULT;"
                   "CREATE VIEW v AS SELECT 1 AS one");
    struct run *run = pair_run(&db, "rules", "explain", job, "--data-only");
    pair_expect(run, 0, "  v                        from v, through upper\n");
    pair_expect(run, 0,
                "\nwithout an entry in the job file, every column as it is:\n"
                "  public.other\n  public.parts\n");
    assert_null(strstr(run_out(run), "left_out"));
    assert_null(strstr(run_out(run), "parts_1"));
    pair_db_end(&db);
}

/* ---- rows of a file ---- */

#define FILE_JOB                                                                                   \
    "maps:\n  m: {new: fresh, old: stale}\n"                                                       \
    "tables:\n"                                                                                    \
    "  t:\n"                                                                                       \
    "    where: \"id <> 3\"\n"                                                                     \
    "    columns: {state: {map: m, else: {value: odd}}, title: {do: [upper]}, n: {from: n},\n"     \
    "              author: {lookup: {table: people, key: id, value: name}, from: author}}\n"       \
    "  people: {columns: {name: {do: [upper]}}}\n"

static const char schema[] = "CREATE TYPE mood AS ENUM ('sad', 'ok');"
                             "CREATE TABLE people (id int PRIMARY KEY, name text);";

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    pair_both(&db, schema);
    sql_exec(
        db.source,
        "CREATE TABLE t (gone int, id int PRIMARY KEY, state text, title text, tags text[],"
        " feeling mood, doc jsonb, n numeric, author int, made int GENERATED ALWAYS AS (id * 2)"
        " STORED); ALTER TABLE t DROP gone;"
        "INSERT INTO people VALUES (7, 'Ada');"
        "INSERT INTO t (id, state) VALUES (1, 'of the source')");
    sql_exec(
        db.target,
        "CREATE TABLE t (id int PRIMARY KEY, state text, title text, tags text[], feeling mood,"
        " doc jsonb, n numeric(8,2), author text, made int GENERATED ALWAYS AS (id * 2)"
        " STORED)");
    return db;
}

static struct run *
show(struct pair_db *db, const char *job, const char *rows)
{
    const char *path = scratch_write("rows.txt", rows);

    return pair_run(db, "rules", "test", job, "--data-only", "--rows-file",
                    scratch_printf("public.t=%s", path));
}

static void
wrote_nothing(struct pair_db *db)
{
    assert_string_equal(sql_rows(db->source, "SELECT id, state FROM t"), "1|of the source\n");
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM t"), 0);
}

static void
test_rows_of_a_file(void **state)
{
    struct pair_db db = new_db("of_a_file");
    const char *job = pair_job_file(&db, FILE_JOB);

    (void)state;
    struct run *run = show(&db, job,
                           "title\tid\tstate\ttags\tfeeling\tdoc\tn\tauthor\n"
                           "a \"b\", (c) \\\\d\\te\t5\tnew\t{x,NULL,\"y z\"}\tok\t{\"k\": \"v\"}\t"
                           "1.005\t7\n"
                           "not taken\t3\tnew\t\\N\t\\N\t\\N\t\\N\t\\N\n"
                           "\t6\tstrange\t\\N\t\\N\tnull\t-0.5\t8"); /* no newline at its end */
    pair_expect(run, 0, "  3 rows of ");
    pair_expect(run, 0, "  1 of them do not meet what the rules say of rows\n");
    pair_expect(run, 0, "    title                    A \"B\", (C) \\D\tE\n");
    pair_expect(run, 0, "    state                    fresh\n");
    pair_expect(run, 0, "    state                    odd\n");
    pair_expect(run, 0, "    tags                     {x,NULL,\"y z\"}\n");
    pair_expect(run, 0, "    feeling                  ok\n");
    pair_expect(run, 0, "    doc                      {\"k\": \"v\"}\n");
    pair_expect(run, 0, "    n                        1.01\n");
    pair_expect(run, 0, "    author                   Ada\n");
    assert_null(strstr(run_out(run), "of the source"));
    assert_null(strstr(run_out(run), "public.people"));
    wrote_nothing(&db);
    pair_db_end(&db);
}

/* What the server writes with a header is what is read. */
static void
test_rows_as_copy_writes_them(void **state)
{
    struct pair_db db = new_db("as_copy");
    const char *job = pair_job_file(&db, FILE_JOB);
    const char *path = scratch_printf("%s/of-copy.txt", pair.src->dir);

    (void)state;
    sql_execf(db.source,
              "INSERT INTO t (id, state, title, tags, doc) VALUES (9, 'new', E'tab\\there\\nline"
              " \"q\" \\\\ \\b', '{}', '\"text\"'), (10, NULL, '', ARRAY['\\N', ''], 'null')");
    sql_execf(db.source, "COPY (SELECT * FROM t ORDER BY id) TO '%s' (HEADER)", path);
    struct run *file = pair_run(&db, "rules", "test", job, "--data-only", "--rows-file",
                                scratch_printf("t=%s", path));
    struct run *table = pair_run(&db, "rules", "test", job, "--data-only", "--rows", "10");
    pair_expect(file, 0, "  3 rows of ");
    pair_expect(table, 0, "public.people");
    const char *from_file = strstr(run_out(file), "  before\n");
    const char *from_table = strstr(strstr(run_out(table), "public.t\n"), "  before\n");
    assert_non_null(from_file);
    if (strncmp(from_table, from_file, strlen(from_file)) != 0)
        fail_msg("of the file:\n%s\nof the table:\n%s", from_file, from_table);
    pair_db_end(&db);
}

static void
test_files_that_are_none(void **state)
{
    static const struct {
        const char *text;
        const char *says;
        int code;
    } cases[] = {
        {"", "rows.txt:1", 2},
        {"id\tstate\n", "it has no rows", 2},
        {"id\tstatte\n1\tx\n", "no column \"statte\"; did you mean \"state\"?", 2},
        {"id\tid\n1\t2\n", "a column is named twice", 2},
        {"id\tstate\n1\tx\n2\n", "rows.txt:3", 2},
        {"id\tstate\n1\tx\ty\n", "not as many fields as the first one, 2", 2},
        {"id\tstate\r\n1\tx\r\n", "lines end with a newline alone", 2},
        {"id\tstate\n1\tx\r\n", "lines end with a newline alone", 2},
        {"id\tstate\n1\t\\x41\n", "characters by number", 2},
        {"id\tstate\n1x\tnew\n", "invalid input syntax for type integer", 1},
        {"id\tfeeling\n1\thappy\n", "invalid input value for enum", 1},
        {"id\tstate\n1\t\xff\n", "invalid byte sequence", 1},
    };
    struct pair_db db = new_db("no_files");
    const char *job = pair_job_file(&db, FILE_JOB);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run *run = show(&db, job, cases[i].text);
        print_message("  %s\n", cases[i].says);
        if (strstr(run_err(run), cases[i].says) == NULL || run->code != cases[i].code)
            fail_msg("code %d, lacks \"%s\":\n%s", run->code, cases[i].says, run_err(run));
    }
    pair_expect(pair_run(&db, "rules", "test", job, "--data-only", "--rows-file", "t=/no/such"), 2,
                "No such file");
    pair_expect(pair_run(&db, "rules", "test", job, "--data-only", "--rows-file", "tt=/no/such"), 2,
                "expected TABLE=FILE with a source table that has rules");
    pair_expect(pair_run(&db, "rules", "test", job, "--data-only", "--rows-file", "/no/such"), 2,
                "expected TABLE=FILE");
    wrote_nothing(&db);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_table_is_explained),
        cmocka_unit_test(test_rows_of_a_file),
        cmocka_unit_test(test_rows_as_copy_writes_them),
        cmocka_unit_test(test_files_that_are_none),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
