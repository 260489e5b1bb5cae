/* Rules from the check to compiled code and rows: what they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rules/ruleset.h"

#include <stdlib.h>
#include <unistd.h>

#include "fake_tables.h"

static struct fake_tables source;
static struct fake_tables target;
static struct ph_ruleset *set;
static struct ph_rule_machine *machine;
static struct ph_error err;
static char dir[64];

static int
begin(void **state)
{
    (void)state;
    fake_tables_init(&source);
    fake_tables_init(&target);
    ph_error_reset(&err);
    set = NULL;
    machine = NULL;
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ph_rule_machine_free(machine);
    ph_ruleset_free(set);
    return 0;
}

static ph_code
make(const struct ph_job_rules *rules)
{
    const struct ph_ruleset_params params = {.rules = rules,
                                             .source = &source.catalog,
                                             .target = &target.catalog,
                                             .dir = dir,
                                             .constant = fake_constant};

    return ph_ruleset_make(&params, &set, &err);
}

static struct ph_value
text(const char *words)
{
    return (struct ph_value){(const uint8_t *)words, (int32_t)strlen(words)};
}

static void
assert_value(struct ph_value value, const char *expected)
{
    assert_int_equal(value.len, strlen(expected));
    assert_memory_equal(value.data, expected, strlen(expected));
}

static void
maps_sets_and_passes(void **state)
{
    static const struct ph_rule_pair pairs[] = {
        {{"domain_generation", {0, 0}}, {"generation", {0, 0}}},
        {{"dns_validation", {0, 0}}, {"dns", {0, 0}}},
        {{"http_validation", {0, 0}}, {"http", {0, 0}}},
    };
    static const struct ph_rule_map map = {.name = "phase", .pairs = pairs, .n_pairs = 3};
    const struct ph_rule_step step = {.op = "map", .map = &map};
    struct ph_rule_word from = {.text = "campaign_type"};
    struct ph_rule_word gone = {.text = "launch_sequence"};
    struct ph_rule_column columns[] = {
        {.target = {.text = "phase"},
         .kind = PH_RULE_TAKE,
         .from = {&from, 1},
         .steps = &step,
         .n_steps = 1},
        {.target = {.text = "note"}, .kind = PH_RULE_SET, .constant = {.text = "x*/y"}},
    };
    struct ph_rule_route route = {.into = {"app", "campaigns", {0, 0}},
                                  .columns = columns,
                                  .n_columns = 2,
                                  .drop = {&gone, 1}};
    struct ph_rule_table table = {.source = {"public", "campaigns", {3, 1}}, &route, 1};
    const struct ph_job_rules rules = {.file = "job.yaml", .tables = &table, .n_tables = 1};
    struct ph_rule_outcome outcome;
    struct ph_value out[3];
    uint32_t n;

    (void)state;
    fake_table(&source, "public.campaigns",
               "id int4*, campaign_type text, launch_sequence bool, note text");
    fake_table(&target, "app.campaigns", "id int4*, phase phase!, note text");
    columns[1].from = (struct ph_rule_words){NULL, 0};
    if (make(&rules) != PH_OK)
        assert_string_equal(err.message,
                            "job.yaml:3:1: public.campaigns: column note goes nowhere: give it a "
                            "rule, or list it under `drop:`");
    struct ph_rule_word both[] = {gone, {.text = "note"}};
    route.drop = (struct ph_rule_words){both, 2};
    if (make(&rules) != PH_OK)
        fail_msg("%s", err.message);
    const struct ph_route *made = ph_ruleset_of(set, source.rels[0].oid, &n);
    assert_int_equal(n, 1);
    assert_true(made->has_program);
    assert_int_equal(made->n_outputs, 3);
    assert_int_equal(ph_rule_machine_new(set, NULL, 0, &machine, &err), PH_OK);
    struct ph_value in[] = {{(const uint8_t *)"\0\0\0\7", 4}, text("dns_validation")};
    assert_int_equal(ph_rule_begin_row(machine, made, in, &outcome, &err), PH_OK);
    assert_int_equal(ph_rule_take_row(machine, 0, out, &outcome, &err), PH_OK);
    assert_int_equal(outcome.verdict, PH_ROW_TAKEN);
    assert_ptr_equal(out[0].data, in[0].data);
    assert_value(out[1], "dns");
    assert_value(out[2], "x*/y");
    in[1] = text("dns_validatiom");
    assert_int_equal(ph_rule_take_row(machine, 0, out, &outcome, &err), PH_OK);
    assert_int_equal(outcome.verdict, PH_ROW_BAD);
    assert_int_equal(outcome.output, 1);
    assert_string_equal(outcome.message,
                        "the map phase does not have the value \"dns_validatiom\"");
    in[1].len = PH_VALUE_NULL;
    assert_int_equal(ph_rule_take_row(machine, 0, out, &outcome, &err), PH_OK);
    assert_string_equal(outcome.message, "is NULL, and the column is NOT NULL");
    in[1].len = PH_VALUE_UNCHANGED;
    assert_int_equal(ph_rule_take_row(machine, 0, out, &outcome, &err), PH_OK);
    assert_int_equal(outcome.verdict, PH_ROW_TAKEN);
    assert_int_equal(out[1].len, PH_VALUE_UNCHANGED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(maps_sets_and_passes, begin, end),
    };

    snprintf(dir, sizeof dir, "/tmp/test_ruleset.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
