/* Patterns for names: folding, quotes, wildcards, sets, UTF-8, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/pattern.h"

#include <string.h>

static bool
matches(const char *pattern, const char *schema, const char *name)
{
    struct ph_arena arena;
    struct ph_pattern parsed;
    struct ph_error err = {.code = PH_OK};

    ph_arena_init(&arena, 1 << 20);
    if (ph_pattern_parse_table(&arena, pattern, &parsed, &err) != PH_OK)
        fail_msg("%s: %s", pattern, err.message);
    bool answer = ph_pattern_matches(parsed.name, name) &&
                  (parsed.schema == NULL || ph_pattern_matches(parsed.schema, schema));
    ph_arena_reset(&arena);
    return answer;
}

static void
test_plain_and_folded(void **state)
{
    (void)state;
    assert_true(matches("users", "public", "users"));
    assert_true(matches("USERS", "public", "users"));
    assert_false(matches("Users", "public", "Users"));
    assert_true(matches("\"Users\"", "public", "Users"));
    assert_false(matches("users", "public", "users2"));
    assert_false(matches("users", "public", "user"));
    assert_true(matches("public.users", "public", "users"));
    assert_false(matches("public.users", "auth", "users"));
    assert_true(matches("Auth.\"Users\"", "auth", "Users"));
    assert_true(matches("pub\"LIC\".u$1", "pubLIC", "u$1"));
    assert_true(matches("größe", "public", "größe"));
}

static void
test_wildcards(void **state)
{
    (void)state;
    assert_true(matches("*", "public", "anything"));
    assert_true(matches("audit_*", "public", "audit_"));
    assert_true(matches("*_log", "public", "a_log_b_log"));
    assert_false(matches("*_log", "public", "a_log_b"));
    assert_true(matches("a*b*c", "public", "aXbXbXc"));
    assert_true(matches("t?", "public", "tü"));
    assert_false(matches("t?", "public", "t"));
    assert_true(matches("*.t??", "any", "tüß"));
    assert_true(matches("a*.*z", "auth", "fizz"));
    assert_false(matches("\"a*\"", "public", "ab"));
    assert_true(matches("\"a*\"", "public", "a*"));
    assert_true(matches("\"a.b\"", "public", "a.b"));
    assert_true(matches("\"Mixed \"\"Case\"\"\".\"Tab.le\"", "Mixed \"Case\"", "Tab.le"));
}

static void
test_sets(void **state)
{
    (void)state;
    assert_true(matches("p_202[0-3]", "public", "p_2023"));
    assert_false(matches("p_202[0-3]", "public", "p_2024"));
    assert_true(matches("[^a-c]x", "public", "dx"));
    assert_true(matches("[^a-c]x", "public", "üx"));
    assert_false(matches("[^a-c]x", "public", "bx"));
    assert_true(matches("[A-C]x", "public", "bx"));
    assert_true(matches("[a-]x", "public", "-x"));
    assert_true(matches("[]]x", "public", "]x"));
}

static void
refuses(const char *pattern)
{
    struct ph_arena arena;
    struct ph_pattern parsed;
    struct ph_error err = {.code = PH_OK};

    ph_arena_init(&arena, 1 << 20);
    assert_int_equal(ph_pattern_parse_table(&arena, pattern, &parsed, &err), PH_E_SELECTION);
    assert_non_null(strstr(err.message, pattern));
    ph_arena_reset(&arena);
}

static void
test_refused(void **state)
{
    struct ph_arena arena;
    struct ph_pattern parsed;

    (void)state;
    refuses("");
    refuses("a.b.c");
    refuses("a.");
    refuses(".a");
    refuses("\"open");
    refuses("a|b");
    refuses("(a)");
    refuses("[ab");
    refuses("a\\d");
    ph_arena_init(&arena, 1 << 20);
    assert_int_equal(ph_pattern_parse_schema(&arena, "a.b", &parsed, NULL), PH_E_SELECTION);
    assert_int_equal(ph_pattern_parse_schema(&arena, "\"a.b\"", &parsed, NULL), PH_OK);
    assert_true(ph_pattern_matches(parsed.name, "a.b"));
    ph_arena_reset(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_folded),
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
