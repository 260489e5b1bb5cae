/* Help and manual; and that docs/options.md and docs/errors.md are what the program prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_buf out;

static int
begin(void **context)
{
    (void)context;
    ph_buf_init(&out, 1 << 20);
    return 0;
}

static int
end(void **context)
{
    (void)context;
    ph_buf_free(&out);
    return 0;
}

static void
fits_the_terminal(void)
{
    for (const char *at = ph_buf_text(&out); *at != '\0';) {
        size_t len = strcspn(at, "\n");
        if (len > 96)
            fail_msg("%zu columns: %.*s", len, (int)len, at);
        at += len + 1;
    }
}

static void
help_names_every_option_of_a_command(void **context)
{
    char name[80];

    (void)context;
    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++) {
        ph_buf_clear(&out);
        ph_help_put(&out, c);
        fits_the_terminal();
        for (size_t i = 0; i < ph_option_count; i++) {
            const struct ph_option *option = &ph_option_table[i];
            snprintf(name, sizeof name, "\n  --%s%s", option->name,
                     option->placeholder != NULL ? " " : "");
            assert_true((strstr(ph_buf_text(&out), name) != NULL) ==
                        ((option->commands & (1u << c->id)) != 0));
        }
    }
}

static void
general_help_lists_commands(void **context)
{
    char name[40];

    (void)context;
    ph_help_put(&out, NULL);
    fits_the_terminal();
    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++) {
        snprintf(name, sizeof name, "\n  %s ", c->name);
        assert_non_null(strstr(ph_buf_text(&out), name));
        assert_non_null(c->summary);
        assert_non_null(c->description);
        assert_non_null(c->run);
        assert_true(ph_command_find(c->name) == c);
    }
}

static void
man_page_has_no_stray_requests(void **context)
{
    static const char *const known[] = {".TH", ".SH", ".SS", ".TP", ".B ", ".I ", ".\\\""};

    (void)context;
    assert_int_equal(ph_help_put_topic(&out, "man", NULL), PH_OK);
    for (const char *at = ph_buf_text(&out); *at != '\0'; at += strcspn(at, "\n") + 1) {
        bool fine = *at != '.' && *at != '\'';
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            fine = fine || strncmp(at, known[i], 3) == 0;
        if (!fine)
            fail_msg("%.60s", at);
    }
}

static void
topics(void **context)
{
    struct ph_error err;

    (void)context;
    assert_int_equal(ph_help_put_topic(&out, "optoins", &err), PH_E_USAGE);
    assert_non_null(strstr(err.message, "did you mean options?"));
}

static void
is_current(const char *file, const char *topic)
{
    char path[300];
    char *text = calloc(1, 1 << 20);

    snprintf(path, sizeof path, "%s/../docs/%s", PH_TEST_DIR, file);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t len = fread(text, 1, (1 << 20) - 1, in);
    fclose(in);
    assert_int_equal(ph_help_put_topic(&out, topic, NULL), PH_OK);
    if (len != out.len || strcmp(text, ph_buf_text(&out)) != 0)
        fail_msg("docs/%s is not what the program says: run scripts/docs", file);
    free(text);
}

static void
options_page_is_current(void **context)
{
    (void)context;
    is_current("options.md", "options");
}

static void
errors_page_is_current(void **context)
{
    (void)context;
    is_current("errors.md", "errors");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(help_names_every_option_of_a_command),
        TEST(general_help_lists_commands),
        TEST(man_page_has_no_stray_requests),
        TEST(topics),
        TEST(options_page_is_current),
        TEST(errors_page_is_current),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
