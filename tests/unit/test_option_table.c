#include "job/option_table.h"
#include "options_case.h"

#include <string.h>

static ph_code
set(const char *name, const char *text)
{
    const struct ph_option *option = ph_option_find(name);

    assert_non_null(option);
    return ph_option_set(option, text, &options, &err);
}

static void
refused(const char *name, const char *text, const char *part)
{
    assert_int_equal(set(name, text), PH_E_USAGE);
    if (strstr(err.message, part) == NULL)
        fail_msg("--%s %s: \"%s\" lacks \"%s\"", name, text, err.message, part);
}

static void
defaults(void **context)
{
    (void)context;
    assert_int_equal(options.memory_bytes, 64u << 20);
    assert_int_equal(options.max_row_bytes, 1u << 30);
    assert_int_equal(options.hold_seconds, 900);
    assert_int_equal(options.verify, PH_VERIFY_DIGEST);
    assert_int_equal(options.log_format, PH_LOG_TEXT);
    assert_int_equal(options.jobs, 0);
    assert_int_equal(options.max_rate_bytes, 0);
    assert_null(options.name);
    assert_false(options.yes);
}

static void
good_values(void **context)
{
    (void)context;
    assert_int_equal(set("split", "2GB"), PH_OK);
    assert_true(options.split_bytes == UINT64_C(2) << 30);
    assert_int_equal(set("memory", "65536kb"), PH_OK);
    assert_int_equal(options.memory_bytes, 64u << 20);
    assert_int_equal(set("max-rate", "20MB/s"), PH_OK);
    assert_int_equal(options.max_rate_bytes, 20u << 20);
    assert_int_equal(set("hold", "2h"), PH_OK);
    assert_int_equal(options.hold_seconds, 7200);
    assert_int_equal(set("hold", "0s"), PH_OK);
    assert_int_equal(options.hold_seconds, 0);
    assert_int_equal(set("jobs", "64"), PH_OK);
    assert_int_equal(options.jobs, 64);
    assert_int_equal(set("verify", "count"), PH_OK);
    assert_int_equal(options.verify, PH_VERIFY_COUNT);
    assert_int_equal(set("yes", "true"), PH_OK);
    assert_true(options.yes);
    assert_int_equal(set("table", "a.*"), PH_OK);
    assert_int_equal(set("table", "b.*"), PH_OK);
    assert_int_equal(options.tables.n, 2);
    assert_string_equal(options.tables.items[1], "b.*");
    assert_int_equal(set("report", "a"), PH_OK);
    assert_int_equal(set("report", "b"), PH_OK);
    assert_string_equal(options.report, "b");
}

static void
bad_values(void **context)
{
    (void)context;
    refused("split", "12",
            "\"12\" is wrong; expected a whole number with kB, MB, GB or TB, from "
            "1MB to 1TB");
    refused("split", "0MB", "from 1MB");
    refused("split", "-1MB", "from 1MB");
    refused("split", "1.5GB", "whole number");
    refused("split", "12MBx", "expected");
    refused("split", " 12MB", "expected");
    refused("split", "99999999999999999999GB", "expected");
    refused("split", "18446744073709551615GB", "expected");
    refused("split", "", "is empty");
    refused("max-row", "2GB", "to 1GB");
    refused("max-rate", "20MB", "MB/s");
    refused("hold", "15", "s, min, h or d");
    refused("hold", "8d", "to 7d");
    refused("jobs", "0", "from 1 to 64");
    refused("jobs", "65", "from 1 to 64");
    refused("jobs", "four", "\"four\" is wrong");
    refused("verify", "all", "none, count or digest");
    refused("log-format", "xml", "text or json");
    refused("yes", "maybe", "true or false");
    refused("source", "", "is empty");
    refused("table", "", "is empty");
    refused("jobs", "4\n\x1b[31m", "\"4\\n\\u001b[31m\"");
}

/* What the table promises to the rest of the program. */
static void
table_is_sound(void **context)
{
    char expected[200];

    (void)context;
    for (size_t i = 0; i < ph_option_count; i++) {
        const struct ph_option *option = &ph_option_table[i];

        assert_true(ph_option_find(option->name) == option);
        assert_non_null(option->group);
        assert_non_null(option->help);
        assert_true(option->commands != 0);
        assert_true(option->help[strlen(option->help) - 1] != '.');
        assert_true((option->kind == PH_OPTION_FLAG || option->kind == PH_OPTION_INFO) ==
                    (option->placeholder == NULL));
        assert_true((option->kind == PH_OPTION_WORD) == (option->words != NULL));
        ph_option_expected(option, expected, sizeof expected);
        assert_true(expected[0] != '\0');
        if (option->kind == PH_OPTION_NUMBER)
            assert_true(option->max <= UINT32_MAX);
    }
    assert_null(ph_option_find("no-such-option"));
}

static void
clear_empties(void **context)
{
    (void)context;
    assert_int_equal(set("table", "a"), PH_OK);
    for (size_t i = 0; i < ph_option_count; i++)
        ph_option_clear(&ph_option_table[i], &options);
    assert_int_equal(options.tables.n, 0);
    assert_int_equal(options.memory_bytes, 0);
    assert_int_equal(ph_option_set(ph_option_find("help"), "x", &options, &err), PH_E_INTERNAL);
}

static void
until_is_a_word_or_a_position(void **context)
{
    static const struct ph_option option = {
        .name = "until", .kind = PH_OPTION_UNTIL, .offset = offsetof(struct ph_options, until)};
    char expected[100];

    (void)context;
    assert_int_equal(ph_option_set(&option, "16/B374D848", &options, &err), PH_OK);
    assert_true(options.until.kind == PH_UNTIL_LSN && options.until.lsn == 0x16B374D848);
    assert_int_equal(ph_option_set(&option, "soon", &options, &err), PH_E_USAGE);
    ph_option_expected(&option, expected, sizeof expected);
    assert_non_null(strstr(err.message, expected));
    assert_int_equal(ph_option_set(&option, "", &options, &err), PH_E_USAGE);
    assert_int_equal(ph_option_set(&option, "caught-up", &options, &err), PH_OK);
    assert_int_equal(options.until.kind, PH_UNTIL_CAUGHT_UP);
    ph_option_clear(&option, &options);
    assert_int_equal(options.until.kind, PH_UNTIL_STOPPED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        options_test(until_is_a_word_or_a_position),
        options_test(defaults),
        options_test(good_values),
        options_test(bad_values),
        options_test(table_is_sound),
        options_test(clear_empties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
