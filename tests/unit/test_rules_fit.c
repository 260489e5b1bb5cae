/* What is made of texts on the way into varchar(n) and character(n), in keys and encodings. */
#include "rules_case.h"

#include <unistd.h>

#define SECRET "secret: {env: S}\n"
#define JOB SECRET "tables: {t: {columns: {a: {mask: fpe}}}}"

/* Blanks that would be cut or added make values of a unique key equal: they are bad there. */
static void
blanks_stay_apart_in_keys(void **state)
{
    static const struct {
        const char *source;
        const char *target;
        const char *value;
        const char *wanted; /* of the column, or the end of it */
    } cases[] = {
        {"a text", "a varchar(3)", "---   ", "1|---"},
        {"a text", "a varchar(3)^", "---", "1|---"},
        {"a text", "a varchar(3)^", "-- ", "1|-- "},
        {"a text", "a varchar(3)^", "---   ",
         "BAD a: has blanks behind the column's length, which may not be cut in a unique key"},
        {"a text", "a varchar(3)^", "----", "BAD a: is longer than the column"},
        {"a text", "a bpchar(5)", "---  ", "1|---  "},
        {"a text", "a bpchar(5)^", "---", "1|---  "},
        {"a text", "a bpchar(5)^", "--- ",
         "BAD a: ends in blanks, which character(n) does not keep apart in a unique key"},
        {"a bpchar(4)", "a bpchar(5)^", "--- ", "1|---  "},
        {"a bpchar(4)", "a varchar(3)^", "--- ", "1|---"},
    };
    char source[64];
    char target[64];
    char row[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_again();
        snprintf(source, sizeof source, "id int4*, %s", cases[i].source);
        snprintf(target, sizeof target, "id int4*, %s", cases[i].target);
        table_on_both("public.t", source, target);
        fake_must_make(&fake, JOB);
        snprintf(row, sizeof row, "%s|1", cases[i].value);
        if (strcmp(route(0)->inputs[0].column->name, "id") == 0)
            snprintf(row, sizeof row, "1|%s", cases[i].value);
        assert_string_equal(fake_run(&fake, 0, row), cases[i].wanted);
    }
}

/* A key that comes with the source's indexes is one before they are there. */
static void
keys_that_come_later_too(void **state)
{
    (void)state;
    table_on_both("public.t", "id int4*, a text^", "id int4, a varchar(3)");
    fake.params.keys_come_later = true;
    fake_must_make(&fake, JOB);
    says(fake_run(&fake, 0, "1|---   "), "BAD a: has blanks behind");
}

static void
characters_are_counted_in_every_encoding(void **state)
{
    static const struct {
        const char *encoding;
        const char *fits; /* of two characters */
        const char *too_long;
    } cases[] = {
        {"UTF8", "\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac-"},
        {"LATIN1", "\xe9\xe8", "\xe9\xe8\xea"},
        {"SQL_ASCII", "\xe9-", "\xe9--"},
        {"EUC_JP", "\xa4\xa2\x8f\xb0\xa1", "\xa4\xa2\x8e\xb1-"},
        {"EUC_JIS_2004", "\x8e\xb1-", "\xa4\xa2\xa4\xa2\xa4\xa2"},
        {"EUC_KR", "\xb0\xa1\xb0\xa2", "\xb0\xa1\xb0\xa2-"},
        {"EUC_CN", "\xb0\xa1\xb0\xa2", "\xb0\xa1\xb0\xa2-"},
        {"EUC_TW", "\x8e\xa2\xa1\xa1\xa4\xa1", "\x8e\xa2\xa1\xa1--"},
        {"MULE_INTERNAL", "\x81\xe9\x92\xa4\xa2", "\x9c\xf4\xa1\xa1--"},
    };
    char row[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_again();
        table_on_both("public.t", "id int4*, a text", "id int4*, a varchar(2)");
        snprintf(fake.source.catalog.encoding, sizeof fake.source.catalog.encoding, "%s",
                 cases[i].encoding);
        snprintf(fake.target.catalog.encoding, sizeof fake.target.catalog.encoding, "%s",
                 cases[i].encoding);
        fake_must_make(&fake, "tables: {t: {columns: {a: {default: x}}}}");
        snprintf(row, sizeof row, "1|%s", cases[i].fits);
        assert_string_equal(fake_run(&fake, 0, row), row);
        snprintf(row, sizeof row, "1|%s", cases[i].too_long);
        assert_string_equal(fake_run(&fake, 0, row), "BAD a: is longer than the column");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(blanks_stay_apart_in_keys),
        rules_test(keys_that_come_later_too),
        rules_test(characters_are_counted_in_every_encoding),
    };

    return rules_run("test_rules_fit", tests);
}
