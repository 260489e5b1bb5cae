/*
 * Entries of a job file that are about single partitions, and others about the table above them:
 * what one says counts for its own partitions, whatever is said of the rest.
 */
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

static const char *
job_of(const struct pair_db *db, const char *tables)
{
    return pair_job_file(db, scratch_printf("tables:\n%s", tables));
}

/* ---- what an entry says of its own partitions ---- */

#define CLASSIFIED                                                                                 \
    "{columns: {email: {mask: email}, ssn: {mask: fpe}}, keep: [id, region]}" /* of a partition */

/* One partition with an entry does not let the others along, whichever comes first. */
static void
test_classify(void **state)
{
    static const char *const env[] = {"PGHAUL_TEST_SECRET=nobody knows it", NULL};
    static const char *const refused[][2] = {
        {"people_eu: " CLASSIFIED,
         "neither kept nor dropped: public.people_us.id, public.people_us.region, "
         "public.people_us.email, public.people_us.ssn"},
        {"people_us: " CLASSIFIED, "neither kept nor dropped: public.people_eu.id"},
        {"people_eu: " CLASSIFIED
         "\n  people_us: {columns: {email: {mask: email}}, keep: [id, region]}",
         "neither kept nor dropped: public.people_us.ssn"},
        {"people_us: " CLASSIFIED
         "\n  people_eu: {columns: {email: {mask: email}}, keep: [id, region]}",
         "neither kept nor dropped: public.people_eu.ssn"},
    };
    struct pair_db db = pair_db_new(&pair, "classified");
    const char *policy = "secret: {env: PGHAUL_TEST_SECRET}\npolicy: classify\ntables:\n  ";

    (void)state;
    db.env = env;
    pair_both(&db, "CREATE TABLE people (id int, region text, email text, ssn text,"
                   " PRIMARY KEY (id, region)) PARTITION BY LIST (region);"
                   "CREATE TABLE people_eu PARTITION OF people FOR VALUES IN ('eu');"
                   "CREATE TABLE people_us PARTITION OF people FOR VALUES IN ('us')");
    sql_exec(db.source, "INSERT INTO people SELECT g, CASE WHEN g > 10 THEN 'us' ELSE 'eu' END,"
                        " 'p' || g || '@example.org', '078-05-' || 1000 + g"
                        " FROM generate_series(1, 20) g");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *job = pair_job_file(&db, scratch_printf("%s%s\n", policy, refused[i][0]));
        pair_expect(pair_run(&db, "check", job, "--data-only"), 3, refused[i][1]);
    }
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM people"), 0);
    const char *job = pair_job_file(
        &db, scratch_printf("%speople_eu: " CLASSIFIED "\n  people_us: " CLASSIFIED "\n", policy));
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM people WHERE email !~ '^p[0-9]+@' AND"
                                        " ssn !~ '^078-05-10'"),
                     20);
    pair_db_end(&db);
}

/* The constants of each entry are tried, not those of the first one alone. */
static void
test_constants(void **state)
{
    struct pair_db db = pair_db_new(&pair, "constants");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int, r text, s text) PARTITION BY LIST (r);"
                        "CREATE TABLE t_eu PARTITION OF t FOR VALUES IN ('eu');"
                        "CREATE TABLE t_us PARTITION OF t FOR VALUES IN ('us');"
                        "INSERT INTO t VALUES (1, 'eu', 'a'), (2, 'us', 'b')");
    sql_exec(db.target, "CREATE TABLE t (id int, r text, s text CONSTRAINT known CHECK"
                        " (s IN ('new', 'done')));"
                        "CREATE TABLE u (id int, r text, s text) PARTITION BY LIST (r);"
                        "CREATE TABLE u_1 PARTITION OF u FOR VALUES IN ('one', 'two')");
    const char *job = job_of(&db, "  t_eu: {into: t, columns: {s: {set: new}}}\n"
                                  "  t_us: {into: t, columns: {s: {set: gone}}}\n");
    pair_expect(pair_run(&db, "check", job, "--data-only"), 3,
                "the rule of s gives gone, which public.t does not allow: constraint known");
    job = job_of(&db, "  t_eu: {into: u, columns: {r: {set: one}}}\n"
                      "  t_us: {into: u, columns: {r: {set: three}}}\n");
    pair_expect(pair_run(&db, "check", job, "--data-only"), 3, "three");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify),
        cmocka_unit_test(test_constants),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
