#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

#include "rules/mask_lists.h"

static const char *const names[] = {"mask_name",  "mask_first_name", "mask_last_name",
                                    "mask_email", "mask_address",    "mask_street",
                                    "mask_city"};
#define N_NAMES (sizeof names / sizeof names[0])

/* These are what every masked database is made of: a change here is a change of all of them. */
static void
values_are_for_ever(void **context)
{
    static const char *const expected[N_NAMES] = {
        "Johan Curtis",
        "Lewis",
        "Ramirez",
        "laura.fky6pmtmkqbf7mwe@example.com",
        "50 Cherry Lane, 43665 Deerfield",
        "152 Clover Place",
        "Oldbury",
    };
    struct mask mask;

    (void)context;
    for (size_t i = 0; i < N_NAMES; i++) {
        assert_true(mask_try(&mask, names[i], "text -> text", NULL, 0, MASK_SECRET));
        assert_string_equal(mask_text(&mask, "Jane Roe"), expected[i]);
        mask_end(&mask);
    }
}

static void
same_and_other(void **context)
{
    struct mask mask;
    struct mask other;

    (void)context;
    for (size_t i = 0; i < N_NAMES; i++) {
        assert_true(mask_try(&mask, names[i], "text -> text", NULL, 0, MASK_SECRET));
        assert_true(mask_try(&other, names[i], "text -> text", NULL, 0, "another secret"));
        size_t n_same = 0;
        for (char c = 'a'; c <= 'z'; c++) {
            const char in[] = {c, '\0'};
            char first[512];
            snprintf(first, sizeof first, "%s", mask_text(&mask, in));
            assert_string_equal(mask_text(&mask, in), first);
            n_same += strcmp(mask_text(&other, in), first) == 0;
        }
        assert_in_range(n_same, 0, 4);
        assert_string_equal(mask_text(&mask, ""), "");
        assert_int_equal(mask_values(&mask, &(struct ph_value){NULL, PH_VALUE_NULL}), PH_RULE_OK);
        assert_int_equal(mask.out.len, PH_VALUE_NULL);
        mask_end(&mask);
        mask_end(&other);
    }
}

static void
emails_stay_different(void **context)
{
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_email", "text -> text", NULL, 0, MASK_SECRET));
    assert_int_equal(mask_repeats_of(&mask, "person%u@site.net", MASK_MANY), 0);
    const char *got = mask_text(&mask, "somebody@somewhere.org");
    assert_non_null(strstr(got, "@example.com"));
    assert_int_equal(strcspn(got, "@") - strcspn(got, "."), 17);
    mask_end(&mask);
}

static void
email_domain(void **context)
{
    const char *const good[] = {"staging.example.org"};
    const char *const bad[] = {"", "a b", "Example.com", ".com", "com.", "a@b"};
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_email", "text -> text", good, 1, MASK_SECRET));
    assert_non_null(strstr(mask_text(&mask, "somebody@somewhere.org"), "@staging.example.org"));
    mask_end(&mask);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(mask_try(&mask, "mask_email", "text -> text", &bad[i], 1, MASK_SECRET));
        mask_end(&mask);
    }
}

/* The sum says that nothing has changed; order and letters that results keep their room. */
static void
lists(void **context)
{
    const struct ph_mask_list *const all[] = {&ph_mask_first_names, &ph_mask_last_names,
                                              &ph_mask_streets, &ph_mask_street_kinds,
                                              &ph_mask_cities};

    (void)context;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (uint32_t w = 0; w < all[i]->n; w++) {
            const char *word = all[i]->words[w];
            assert_in_range(strlen(word), 2, 15);
            for (const char *c = word; *c != '\0'; c++)
                assert_true((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z');
            if (w > 0)
                assert_true(strcmp(all[i]->words[w - 1], word) < 0);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_for_ever),
        cmocka_unit_test(same_and_other),
        cmocka_unit_test(emails_stay_different),
        cmocka_unit_test(email_domain),
        cmocka_unit_test(lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
