/* Lookups: what their check refuses, what is made of them, and the tables in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_rules.h"
#include "flow/orphans.h"
#include "rules/lookup.h"

#include <unistd.h>

static struct fake_rules fake;

static int
begin(void **state)
{
    (void)state;
    fake_rules_begin(&fake);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    fake_rules_end(&fake);
    return 0;
}

static void
refused(const char *job, const char *message)
{
    ph_code rc = fake_make(&fake, job);

    if (rc != PH_E_RULES)
        fail_msg("not refused (%d %s):\n%s", (int)rc, fake.err.message, job);
    if (strstr(fake.err.message, message) == NULL)
        fail_msg("%s\ndoes not hold\n%s", fake.err.message, message);
}

static const struct ph_route *
route(uint32_t number)
{
    return ph_ruleset_route(fake.set, number);
}

static void
tables(const char *source, const char *target)
{
    fake_table(&fake.source, "public.users", source);
    fake_table(&fake.target, "public.users", target);
}

/* ---- rules ---- */

#define LOOKUP(more)                                                                               \
    "tables: {users: {columns: {plan: {lookup: {table: plans, key: id, value: name" more

static void
lookups_are_columns_of_the_select(void **state)
{
    (void)state;
    tables("id int4*, plan_id int4", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id int4*, name text, code int4");
    fake_must_make(&fake, LOOKUP("}, from: plan_id}}}}"));
    assert_string_equal(route(0)->inputs[1].sql, "\"plan_id\"");
    assert_null(route(0)->inputs[2].column);
    assert_string_equal(route(0)->inputs[2].sql,
                        "(SELECT looked.\"name\" FROM ONLY \"public\".\"plans\" AS looked WHERE "
                        "looked.\"id\" = \"public\".\"users\".\"plan_id\")");
    assert_string_equal(route(0)->inputs[3].sql,
                        "(SELECT true FROM ONLY \"public\".\"plans\" AS looked WHERE "
                        "looked.\"id\" = \"public\".\"users\".\"plan_id\")");
    assert_string_equal(route(0)->outputs[1].words,
                        "name of the row of public.plans whose id is plan_id");
    assert_string_equal(fake_run(&fake, 0, "1|7|gold|t"), "1|gold");
    refused(
        "tables: {users: {columns: {plan: {lookup: {table: plans, key: code, value: name}, from: "
        "plan_id}}}}",
        "public.plans.code is not unique: a lookup must find one row");
    fake.params.follows = true;
    refused(LOOKUP("}, from: plan_id}}}}"), "say `constant: true` of one that nobody changes");
}

/* A value that is never NULL tells by itself whether a row was found. */
static void
a_lookup_asks_once_where_it_can(void **state)
{
    (void)state;
    tables("id int4*, plan_id int8", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id int4*, name text!");
    fake_must_make(&fake, LOOKUP("}, from: plan_id}}}}"));
    assert_int_equal(route(0)->n_inputs, 3);
    assert_int_equal(route(0)->lookups[0].found, 2);
}

/* What the lane does: rows of tables that are read beforehand. */
static const char *
look_up(const struct ph_lookups *lookups, const char *key, uint32_t missing)
{
    struct ph_value in[FAKE_COLUMNS] = {{NULL, PH_VALUE_NULL}};

    in[0] = fake_value(&fake, 23, "1");
    in[1] = fake_value(&fake, route(0)->inputs[1].column->type_oid, key);
    assert_int_equal(ph_lookups_fill(lookups, NULL, route(0), in), missing);
    return fake_run_values(&fake, route(0), in);
}

static struct ph_lookups *
two_plans(void)
{
    struct ph_lookups *lookups = ph_lookups_new(fake.set, (size_t)1 << 20);

    assert_non_null(lookups);
    assert_int_equal(ph_lookups_add(lookups, 0, fake_value(&fake, 23, "1"),
                                    fake_value(&fake, 25, "gold"), &fake.err),
                     PH_OK);
    assert_int_equal(ph_lookups_add(lookups, 0, fake_value(&fake, 23, "2"),
                                    fake_value(&fake, 25, "-"), &fake.err),
                     PH_OK);
    return lookups;
}

static void
lookups_in_another_database(void **state)
{
    struct fake_tables other;
    const struct ph_rule_database database = {"service=other", &other.catalog};

    (void)state;
    fake_tables_init(&other);
    tables("id int4*, plan_id int8", "id int4*, plan text");
    fake_table(&other, "public.plans", "id int4*, name text, price numeric");
    fake.params.databases = &database;
    fake.params.n_databases = 1;
    fake_must_make(&fake, LOOKUP(", database: service=other}, from: plan_id}}}}"));
    assert_true(route(0)->inputs[2].is_looked_up);
    assert_int_equal(ph_ruleset_count_lookups(fake.set), 1);
    assert_string_equal(ph_ruleset_lookup(fake.set, 0)->sql,
                        "SELECT looked.\"id\", looked.\"name\" FROM ONLY \"public\".\"plans\" AS "
                        "looked WHERE looked.\"id\" IS NOT NULL");
    struct ph_lookups *lookups = two_plans();
    assert_string_equal(look_up(lookups, "1", 0), "1|gold");
    assert_string_equal(look_up(lookups, "2", 0), "1|-");
    assert_string_equal(look_up(lookups, "3", 1), "1|-");
    assert_string_equal(look_up(lookups, "-", 0), "1|-");
    assert_string_equal(look_up(lookups, "~", 0), "1|~");
    assert_int_equal(ph_lookups_add(lookups, 0, fake_value(&fake, 23, "2"),
                                    fake_value(&fake, 25, "x"), &fake.err),
                     PH_E_RULES);
    ph_lookups_free(lookups);
    refused(LOOKUP("s, database: service=other}, from: plan_id}}}}"),
            "public.plans has no column names; did you mean name?");
    refused("tables: {users: {columns: {plan: {lookup: {table: plan, key: id, value: name, "
            "database: service=other}, from: plan_id}}}}",
            "the lookup's database has no table public.plan");
    fake.params.follows = true;
    refused(LOOKUP(", database: service=other}, from: plan_id}}}}"),
            "--follow cannot be exact: a lookup reads another table");
    fake_must_make(&fake, LOOKUP(", database: service=other, constant: true}, from: plan_id}}}}"));
}

static void
what_a_lookup_does_not_find(void **state)
{
    static const struct {
        const char *otherwise;
        const char *result;
    } cases[] = {
        {"null", "1|-"},
        {"{value: none}", "1|none"},
        {"error", "BAD plan: public.plans.id does not have the value"},
        {"quarantine", "QUARANTINE plan: public.plans.id does not have the value"},
    };
    char job[300];

    (void)state;
    tables("id int4*, plan_id int4", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id int4*, name text");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(job, sizeof job, "%s, else: %s}}}}", LOOKUP(", constant: true}, from: plan_id"),
                 cases[i].otherwise);
        fake_must_make(&fake, job);
        struct ph_lookups *lookups = two_plans();
        assert_string_equal(look_up(lookups, "7", 1), cases[i].result);
        assert_string_equal(look_up(lookups, "1", 0), "1|gold");
        assert_string_equal(look_up(lookups, "2", 0), "1|-");
        ph_lookups_free(lookups);
    }
}

/* A key that is text is told, unless a rule masks it. */
static void
a_masked_key_is_not_told(void **state)
{
    static const char job[] = "%stables: {users: {columns: {%splan: {lookup: {table: plans, key: "
                              "name, value: id, constant: true}, from: email, else: error}}}}";
    static const struct {
        const char *secret;
        const char *mask;
        const char *result;
    } cases[] = {
        {"", "", "BAD plan: public.plans.name does not have the value \"u1\""},
        {"secret: {env: PGHAUL_SECRET}\n", "email: {mask: email}, ",
         "BAD plan: public.plans.name does not have the value"},
    };
    struct ph_value in[FAKE_COLUMNS] = {{NULL, PH_VALUE_NULL}};
    char text[400];

    (void)state;
    tables("id int4*, email text", "id int4*, email text, plan int4");
    fake_table(&fake.source, "public.plans", "id int4!, name text*");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, job, cases[i].secret, cases[i].mask);
        fake_must_make(&fake, text);
        const struct ph_route_lookup *by = &route(0)->lookups[0];
        in[by->key] = fake_value(&fake, 25, "u1");
        in[by->value].len = PH_VALUE_MISSING;
        assert_string_equal(fake_run_values(&fake, route(0), in), cases[i].result);
    }
}

/* Where equal values have different bytes only the server finds all. */
static void
keys_of_lookups_are_exact(void **state)
{
    (void)state;
    tables("id int4*, plan_id float8", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id float8*, name text");
    refused(LOOKUP(", constant: true}, from: plan_id}}}}"),
            "equal ones may have different bytes: take a key of another type, or leave out "
            "`constant: true`");
    fake_must_make(&fake, LOOKUP("}, from: plan_id}}}}"));
}

static void
keys_of_lookups_are_of_one_type(void **state)
{
    (void)state;
    tables("id int4*, plan_id date", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id timestamp*, name text");
    refused(LOOKUP(", constant: true}, from: plan_id}}}}"), "is of another type than plan_id");
}

static void
lookups_are_bounded(void **state)
{
    struct ph_buf now;
    struct ph_buf then;
    char key[16];
    ph_code rc = PH_OK;

    (void)state;
    tables("id int4*, plan_id int4", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id int4*, name text");
    fake_must_make(&fake, LOOKUP(", constant: true}, from: plan_id}}}}"));
    struct ph_lookups *lookups = ph_lookups_new(fake.set, (size_t)1 << 20);
    for (int i = 0; rc == PH_OK && i < 100000; i++) {
        snprintf(key, sizeof key, "%d", i);
        rc = ph_lookups_add(lookups, 0, fake_value(&fake, 23, key), fake_value(&fake, 25, key),
                            &fake.err);
    }
    assert_int_equal(rc, PH_E_LOOKUP);
    assert_non_null(strstr(fake.err.message, "need more than 1 MB, a quarter of --memory"));
    assert_true(ph_lookups_rows(lookups, 0) > 10000);
    assert_string_equal(look_up(lookups, "9999", 0), "1|9999");
    assert_string_equal(look_up(lookups, "123456", 1), "1|-");
    ph_buf_init(&now, 1000);
    ph_buf_init(&then, 1000);
    ph_lookups_digest(lookups, &now);
    ph_lookups_free(lookups);
    lookups = two_plans();
    ph_lookups_digest(lookups, &then);
    ph_lookups_free(lookups);
    assert_false(ph_lookups_same(ph_buf_text(&then), ph_buf_text(&now), PH_LOOKUPS_CONSTANT));
    assert_true(ph_lookups_same(ph_buf_text(&then), ph_buf_text(&then), PH_LOOKUPS_CONSTANT));
    assert_true(ph_lookups_same("", ph_buf_text(&then), PH_LOOKUPS_CONSTANT));
    assert_true(ph_lookups_same(ph_buf_text(&then), "", PH_LOOKUPS_CONSTANT));
    ph_buf_free(&now);
    ph_buf_free(&then);
}

/* ---- a thread's own tables ---- */

static void
make_asked(struct ph_lookups **whole, struct ph_lookups **own)
{
    tables("id int4*, plan_id int4", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id int8*, name text");
    fake_must_make(&fake, LOOKUP(", constant: true}, from: plan_id}}}}"));
    assert_string_equal(ph_ruleset_lookup(fake.set, 0)->key_sql, "looked.\"id\"");
    assert_int_equal(ph_ruleset_lookup(fake.set, 0)->key, PH_BY_INTEGER);
    *whole = ph_lookups_new(fake.set, (size_t)1 << 20);
    *own = ph_lookups_new(fake.set, (size_t)1 << 20);
    assert_true(*whole != NULL && *own != NULL);
    ph_lookups_ask(*whole, 0, 7);
}

static void
asked_values_are_the_threads_own(void **state)
{
    struct ph_value in[FAKE_COLUMNS] = {{NULL, PH_VALUE_NULL}};
    const struct ph_value name = {(const uint8_t *)"gold", 4};
    struct ph_lookups *whole;
    struct ph_lookups *own;

    (void)state;
    make_asked(&whole, &own);
    const struct ph_route_lookup *by = &route(0)->lookups[0];
    in[0] = fake_value(&fake, 23, "1");
    in[1] = fake_value(&fake, 23, "-3");
    assert_true(ph_lookups_is_asked(whole, 0));
    assert_false(ph_lookups_knows(own, by, in[1]));
    assert_int_equal(ph_lookups_note(own, by, in[1], &fake.err), PH_OK);
    assert_true(ph_lookups_knows(own, by, in[1]));
    assert_int_equal(ph_lookups_fill(whole, own, route(0), in), 1);
    assert_int_equal(in[2].len, PH_VALUE_MISSING);
    assert_int_equal(ph_lookups_answer(own, 0, fake_value(&fake, 20, "-3"), name, &fake.err),
                     PH_OK);
    assert_int_equal(ph_lookups_rows(own, 0), 1);
    assert_int_equal(ph_lookups_fill(whole, own, route(0), in), 0);
    assert_string_equal(fake_run_values(&fake, route(0), in), "1|gold");
    ph_lookups_clear(own, 0);
    assert_false(ph_lookups_knows(own, by, in[1]));
    assert_int_equal(ph_lookups_bytes(own), 0);
    ph_lookups_free(whole);
    ph_lookups_free(own);
}

/* A constant table that was too large once, or is now, is not compared. */
static void
asked_tables_are_not_compared(void **state)
{
    struct ph_lookups *whole;
    struct ph_lookups *own;
    struct ph_buf asked;
    struct ph_buf read;

    (void)state;
    ph_buf_init(&asked, 1000);
    ph_buf_init(&read, 1000);
    make_asked(&whole, &own);
    ph_lookups_digest(whole, &asked);
    ph_lookups_digest(own, &read);
    assert_string_not_equal(ph_buf_text(&asked), ph_buf_text(&read));
    assert_true(ph_lookups_same(ph_buf_text(&asked), ph_buf_text(&read), PH_LOOKUPS_CONSTANT));
    assert_true(ph_lookups_same(ph_buf_text(&read), ph_buf_text(&asked), PH_LOOKUPS_CONSTANT));
    ph_lookups_free(whole);
    ph_lookups_free(own);
    ph_buf_free(&asked);
    ph_buf_free(&read);
}

static void
orphans_are_named_and_counted(void **state)
{
    struct ph_value in[FAKE_COLUMNS] = {{NULL, PH_VALUE_NULL}};
    struct ph_orphans *orphans = NULL;
    struct ph_table_plan plan = {.index = 3};
    char key[16];

    (void)state;
    tables("id int4*, plan_id int4", "id int4*, plan text");
    fake_table(&fake.source, "public.plans", "id int4*, name text");
    fake_must_make(&fake, LOOKUP(", constant: true}, from: plan_id}}}}"));
    plan.route = route(0);
    in[2].len = PH_VALUE_MISSING;
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "%d", i % 30);
        in[1] = fake_value(&fake, 23, ph_arena_strdup(&fake.arena, key));
        assert_true(ph_orphans_note(&orphans, &plan, in));
    }
    assert_int_equal(orphans->n, PH_ORPHANS_NAMED + 1);
    assert_int_equal(orphans->items[0].rows, 2);
    assert_int_equal(orphans->items[PH_ORPHANS_NAMED].rows, 20);
    assert_string_equal(orphans->items[PH_ORPHANS_NAMED].value, "");
    /* the next ones are counted by the same names */
    ph_orphans_clear(orphans);
    assert_true(ph_orphans_note(&orphans, &plan, in));
    assert_int_equal(orphans->n, PH_ORPHANS_NAMED + 1);
    assert_int_equal(orphans->items[0].rows, 0);
    assert_int_equal(orphans->items[PH_ORPHANS_NAMED].rows, 1);
    ph_orphans_free(orphans);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lookups_are_columns_of_the_select, begin, end),
        cmocka_unit_test_setup_teardown(a_lookup_asks_once_where_it_can, begin, end),
        cmocka_unit_test_setup_teardown(lookups_in_another_database, begin, end),
        cmocka_unit_test_setup_teardown(what_a_lookup_does_not_find, begin, end),
        cmocka_unit_test_setup_teardown(a_masked_key_is_not_told, begin, end),
        cmocka_unit_test_setup_teardown(keys_of_lookups_are_exact, begin, end),
        cmocka_unit_test_setup_teardown(keys_of_lookups_are_of_one_type, begin, end),
        cmocka_unit_test_setup_teardown(lookups_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(asked_values_are_the_threads_own, begin, end),
        cmocka_unit_test_setup_teardown(asked_tables_are_not_compared, begin, end),
        cmocka_unit_test_setup_teardown(orphans_are_named_and_counted, begin, end),
    };

    snprintf(fake.dir, sizeof fake.dir, "/tmp/test_rules_lookup.XXXXXX");
    if (mkdtemp(fake.dir) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
