/*
 * What commands say of the migrations of tests/scenarios: which value is unknown and where, in a
 * copy and in the stream, and whether a database is ready, as JSON.
 */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scenario.h"
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

/* ---- values that a map does not have ---- */

/* What is said of campaign number `i`, whose column's source has such a value. */
static const char *
named(int i, const char *column, const char *map)
{
    const char *id = sql_once(pair.src, "postgres", scratch_printf("SELECT md5('c%d')::uuid", i));

    return scratch_printf("PH-RULE-VALUE public.campaigns: row (id=%.36s), column %s: the map %s"
                          " does not have the value \"unheard-of\"",
                          id, column, map);
}

static bool
says(const struct run *run, const char *part)
{
    return strstr(run_err(run), part) != NULL;
}

static void
test_unknown_value_is_named(void **state)
{
    static const struct scenario scenario = {
        .folder = "campaign_phases", .job = "offline", .target = "target", .spoil = "unknown"};
    struct scenario_case c = scenario_case_begin(&pair, &scenario, "unknown");

    (void)state;
    struct run *run = scenario_start(&c, NULL);
    run_expect(run, 1);
    /* whichever comes first */
    if (!says(run, named(100, "current_phase", "phase")) &&
        !says(run, named(101, "phase_status", "phase_status")))
        fail_msg("names neither:\n%s", run_err(run));
    assert_string_equal(sql_once(pair.dst, c.target_db, "SELECT count(*) FROM campaigns"), "0\n");
    scenario_case_end(&c);
}

/* The job ends before the change, each time, with all that was committed before it. */
static void
test_unknown_value_in_the_stream(void **state)
{
    static const struct scenario scenario = {
        .folder = "campaign_phases", .job = "follow", .target = "target", .follows = true};
    struct scenario_case c = scenario_case_begin(&pair, &scenario, "unknown_later");
    const char *row = "SELECT name, current_phase FROM campaigns WHERE id = md5('c100')::uuid";

    (void)state;
    struct run *run = scenario_start(&c, NULL);
    assert_true(scenario_wait_following(&c, run));
    const char *before = sql_once(pair.dst, c.target_db, row);
    PGconn *conn = sql_connect(pair.src, c.name);
    sql_exec(conn, "UPDATE campaigns SET name = 'known' WHERE id = md5('c99')::uuid");
    sql_exec(conn, "UPDATE campaigns SET name = 'unknown', campaign_type = 'unheard-of'"
                   " WHERE id = md5('c100')::uuid");
    for (int again = 0; again < 2; again++) {
        pair_expect(run, 1, named(100, "current_phase", "phase"));
        pair_expect(run, 1, "the change comes again as it was");
        assert_string_equal(sql_once(pair.dst, c.target_db, row), before);
        assert_string_equal(
            sql_once(pair.dst, c.target_db, "SELECT count(*) FROM campaigns WHERE name = 'known'"),
            "1\n");
        run = scenario_start(&c, NULL);
    }
    run_expect(run, 1);
    PQfinish(conn);
    run_expect(run_pghaul("clean", "--source", pg_test_conninfo(pair.src, c.name), "--target",
                          pg_test_conninfo(pair.dst, c.target_db), "--name", c.name, "--dir", c.dir,
                          "--yes"),
               0);
    scenario_case_end(&c);
}

/* ---- readiness ---- */

#define FINDINGS                                                                                   \
    "SELECT f->>'severity', f->>'code', f->>'object', f->>'cause'"                                 \
    " FROM jsonb_array_elements((j::jsonb)->'findings') f WHERE f->>'kind' = 'check' ORDER BY 3, " \
    "4"

/* Columns of the JSON that `check --json` prints, as rows of SQL. */
static const char *
answer(const struct run *run, const char *select)
{
    return sql_once(
        pair.src, "postgres",
        scratch_printf("WITH answer (j) AS (SELECT $json$%s$json$) %s", run_out(run), select));
}

static struct run *
ask(const char *spoil, int code, struct scenario_case *c, struct scenario *scenario)
{
    static const char *const words[] = {"check", "--json", NULL};

    *scenario = (struct scenario){.folder = "domainflow_consolidation",
                                  .job = "offline",
                                  .target = "target",
                                  .spoil = spoil,
                                  .one_database = true};
    *c = scenario_case_begin(&pair, scenario, spoil == NULL ? "ready" : "not_ready");
    struct run *run = scenario_words(c, words);
    run_expect(run, code);
    return run;
}

static const char *
matrix(const struct scenario_case *c)
{
    return sql_once(pair.src, c->name,
                    "SELECT 'note', '', 'matrix public.campaigns (status)', format('status=%s: %s"
                    " rows', status, count(*)) FROM campaigns GROUP BY status ORDER BY 4");
}

static void
test_ready_as_json(void **state)
{
    struct scenario scenario;
    struct scenario_case c;
    struct run *run = ask(NULL, 0, &c, &scenario);

    (void)state;
    assert_string_equal(answer(run, "SELECT (j::jsonb)->'ready' FROM answer"), "true\n");
    assert_string_equal(answer(run, "SELECT f FROM answer, jsonb_array_elements((j::jsonb)"
                                    "->'findings') f WHERE f->>'severity' = 'error'"),
                        "");
    assert_string_equal(
        answer(run, "SELECT x.* FROM answer, LATERAL (" FINDINGS ") x"),
        scratch_printf(
            "%s"
            "note||orphans public.campaigns (user_id)|no orphans\n"
            "note||orphans public.generated_domains (domain_generation_campaign_id)|no orphans\n",
            matrix(&c)));
    scenario_case_end(&c);
}

static void
test_not_ready_as_json(void **state)
{
    struct scenario scenario;
    struct scenario_case c;
    struct run *run = ask("orphans", 3, &c, &scenario);

    (void)state;
    const char *orphans = sql_once(
        pair.src, c.name,
        "SELECT format('%s values are orphans in %s rows: (domain_generation_campaign_id=',"
        " count(DISTINCT domain_generation_campaign_id), count(*)) FROM generated_domains d WHERE"
        " NOT EXISTS (SELECT FROM campaigns c WHERE c.id = domain_generation_campaign_id)");
    assert_string_equal(answer(run, "SELECT (j::jsonb)->'ready' FROM answer"), "false\n");
    const char *found = answer(run, "SELECT x.* FROM answer, LATERAL (" FINDINGS ") x");
    const char *wanted = scratch_printf(
        "%snote||orphans public.campaigns (user_id)|no orphans\n"
        "error|PH-NOT-READY|orphans public.generated_domains (domain_generation_campaign_id)|%.*s",
        matrix(&c), (int)strcspn(orphans, "\n"), orphans);
    if (strncmp(found, wanted, strlen(wanted)) != 0)
        fail_msg("%s\ninstead of\n%s", found, wanted);
    assert_string_not_equal(answer(run, "SELECT f->>'cure' FROM answer, jsonb_array_elements("
                                        "(j::jsonb)->'findings') f WHERE f->>'severity' = 'error'"),
                            "\n");
    scenario_case_end(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_value_is_named),
        cmocka_unit_test(test_unknown_value_in_the_stream),
        cmocka_unit_test(test_ready_as_json),
        cmocka_unit_test(test_not_ready_as_json),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
