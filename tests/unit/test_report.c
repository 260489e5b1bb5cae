#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ph_report report;

static int
begin(void **context)
{
    struct ph_report_table *table;

    (void)context;
    ph_report_init(&report, "copy");
    ph_report_set_job(&report, "a_to_b", "source a@h:1", "target b@h:2");
    table = ph_report_add_table(&report, "public.orders");
    table->rows_source = table->rows_target = 1234567;
    table->bytes = 100u << 20;
    table->seconds = 2;
    table->verdict = PH_TABLE_EQUAL;
    table->has_source_digest = table->has_target_digest = true;
    table->source_digest.sum = table->target_digest.sum = (struct ph_hash128){1, 0xABCD};
    table = ph_report_add_table(&report, "public.bad\x1b[31m");
    table->rows_source = 3;
    table->rows_target = 2;
    table->verdict = PH_TABLE_DIFFERENT;
    table->note = "of a second snapshot";
    ph_report_add_phase(&report, "rows", 1.5);
    ph_report_add_phase(&report, "verify", 0.5);
    ph_report_add_phase(&report, "rows", 1.0);
    ph_report_add_finding(&report, PH_FINDING_ERROR, "rows", "public.bad", "key (%d) is missing",
                          7);
    ph_report_end(&report, PH_VERDICT_DIFFERENT, "different: 1 of %d tables", 2);
    report.seconds = 4; /* whatever it took */
    return 0;
}

static int
end(void **context)
{
    (void)context;
    ph_report_free(&report);
    return 0;
}

static char *
printed(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    ph_report_print(&report, out);
    fclose(out);
    return text;
}

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

static void
print_shows_all(void **context)
{
    char *text = printed();

    (void)context;
    has(text, "public.orders");
    has(text, "      1,234,567    100 MB     2.00 s   50.0 MB/s  00000000  equal\n");
    has(text, "public.bad?[31m");
    has(text, "different (target: 2 rows), of a second snapshot\n");
    has(text, "2 tables, 1,234,570 rows, 100 MB\n");
    has(text, "rows 2.50 s, verify 0.50 s\n");
    has(text, "error: rows public.bad: key (7) is missing\n");
    has(text, "\ndifferent: 1 of 2 tables (4.00 s)\n");
    free(text);
}

static void
print_hides_many_good_tables(void **context)
{
    char name[40];

    (void)context;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "public.t%d", i);
        ph_report_add_table(&report, name)->verdict =
            i == 4000 ? PH_TABLE_DIFFERENT : PH_TABLE_EQUAL;
    }
    char *text = printed();
    has(text, "public.t4000");
    has(text, "… and 4941 more, none of them different");
    has(text, "5002 tables, ");
    assert_null(strstr(text, "public.t3999"));
    free(text);
}

static json_t *
written(const struct ph_error *failure)
{
    char dir[] = "/tmp/pghaul-report-XXXXXX";
    char path[64];
    struct stat st;
    struct ph_error err;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/r.json", dir);
    assert_int_equal(ph_report_write(&report, failure, path, &err), PH_OK);
    assert_int_equal(ph_report_write(&report, failure, path, &err), PH_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* and nothing beside it */
    return root;
}

static void
text_is(json_t *object, const char *key, const char *expected)
{
    assert_non_null(json_string_value(json_object_get(object, key)));
    assert_string_equal(json_string_value(json_object_get(object, key)), expected);
}

static void
json_has_the_promised_keys(void **context)
{
    struct ph_error failure;

    (void)context;
    ph_error_set(&failure, PH_E_DIFFERENT, "1 of 2 tables differs");
    json_t *root = written(&failure);
    text_is(root, "pghaul", PH_VERSION);
    text_is(root, "command", "copy");
    text_is(root, "job", "a_to_b");
    text_is(root, "source", "source a@h:1");
    text_is(root, "verdict", "different");
    text_is(root, "verdict_line", "different: 1 of 2 tables");
    assert_int_equal(json_integer_value(json_object_get(root, "rows")), 1234570);
    json_t *table = json_array_get(json_object_get(root, "tables"), 0);
    text_is(table, "table", "public.orders");
    text_is(table, "digest_source", "000000000000abcd0000000000000001");
    text_is(table, "verdict", "equal");
    assert_int_equal(json_integer_value(json_object_get(table, "rows_per_second")), 617283);
    table = json_array_get(json_object_get(root, "tables"), 1);
    assert_true(json_is_null(json_object_get(table, "digest_target")));
    assert_true(json_is_null(json_object_get(table, "rows_per_second")));
    json_t *phase = json_array_get(json_object_get(root, "phases"), 0);
    text_is(phase, "phase", "rows");
    assert_true(json_real_value(json_object_get(phase, "seconds")) == 2.5);
    json_t *finding = json_array_get(json_object_get(root, "findings"), 0);
    text_is(finding, "severity", "error");
    text_is(finding, "text", "key (7) is missing");
    text_is(json_object_get(root, "error"), "code", "PH-DIFFERENT");
    text_is(json_object_get(root, "error"), "way_out", ph_code_way_out(PH_E_DIFFERENT));
    json_decref(root);
}

static void
json_survives_bad_utf8_and_bounds_findings(void **context)
{
    (void)context;
    for (unsigned i = 0; i < PH_REPORT_FINDINGS + 5; i++)
        ph_report_add_finding(&report, PH_FINDING_NOTE, "k", "caf\xe9", "x");
    json_t *root = written(NULL);
    assert_true(json_is_null(json_object_get(root, "error")));
    assert_int_equal(json_integer_value(json_object_get(root, "findings_left_out")), 6);
    text_is(json_array_get(json_object_get(root, "findings"), 1), "object", "caf\xEF\xBF\xBD");
    json_decref(root);
}

static void
unwritable_report_is_an_error(void **context)
{
    struct ph_error err;

    (void)context;
    assert_int_equal(ph_report_write(&report, NULL, "/nowhere/r.json", &err), PH_E_DISK);
    assert_string_equal(err.object, "/nowhere/r.json");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void
starting_over_keeps_what_lasts(void **context)
{
    struct ph_report one;

    (void)context;
    ph_report_init(&one, "verify");
    ph_report_add_table(&one, "public.a");
    ph_report_add_finding(&one, PH_FINDING_NOTE, "repair", "public.a", "mended");
    ph_report_add_finding(&one, PH_FINDING_ERROR, "rows", "public.b", "1 row missing");
    ph_report_start_over(&one, "repair");
    assert_int_equal(one.n_tables, 0);
    assert_int_equal(one.n_findings, 1);
    assert_string_equal(one.findings[0].text, "mended");
    ph_report_start_over(&one, NULL);
    assert_int_equal(one.n_findings, 0);
    ph_report_free(&one);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(print_shows_all),
        TEST(print_hides_many_good_tables),
        TEST(json_has_the_promised_keys),
        TEST(json_survives_bad_utf8_and_bounds_findings),
        TEST(unwritable_report_is_an_error),
        TEST(starting_over_keeps_what_lasts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
