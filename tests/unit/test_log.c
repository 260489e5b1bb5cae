#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* What was logged since capture_begin, in a temporary file. */
static FILE *captured;

static void
capture_begin(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    ph_log_set_fd(fileno(captured));
}

static char *
capture_end(void)
{
    long len = lseek(fileno(captured), 0, SEEK_END);
    char *text = calloc(1, (size_t)len + 1);

    assert_int_equal(pread(fileno(captured), text, (size_t)len, 0), len);
    fclose(captured);
    ph_log_set_fd(2);
    ph_log_set_display(NULL, NULL);
    return text;
}

static void
text_is_one_line(void **context)
{
    (void)context;
    ph_log_init(PH_LOG_TEXT, PH_LOG_INFO);
    capture_begin();
    ph_log(PH_LOG_INFO, "table.copied", "table %s\nsecond", "public.t");
    ph_log(PH_LOG_DEBUG, "unseen", "unseen");
    char *text = capture_end();
    assert_non_null(strstr(text, " info  table public.t second\n"));
    assert_null(strstr(text, "unseen"));
    assert_int_equal(text[4], '-');
    free(text);
}

static void
json_survives_any_bytes(void **context)
{
    const char nasty[] = "a\"b\\c\n\t\x01\x7f\xff\xc3\xa4\xed\xa0\x80\xf0\x9f\x90\x98 end";

    (void)context;
    ph_log_init(PH_LOG_JSON, PH_LOG_INFO);
    capture_begin();
    ph_log(PH_LOG_WARN, "x.y", "%s", nasty);
    char *text = capture_end();
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "x.y");
    assert_string_equal(
        json_string_value(json_object_get(line, "message")),
        "a\"b\\c\n\t\x01\x7f\xEF\xBF\xBD\xc3\xa4\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
        "\xf0\x9f\x90\x98 end");
    assert_int_equal(strlen(json_string_value(json_object_get(line, "time"))), 24);
    json_decref(line);
    free(text);
}

static void
data_is_for_machines(void **context)
{
    (void)context;
    ph_log_init(PH_LOG_JSON, PH_LOG_INFO);
    capture_begin();
    ph_log_data(PH_LOG_INFO, "x", "{\"a\":[1,2]}", "m");
    ph_log_init(PH_LOG_TEXT, PH_LOG_INFO);
    ph_log_data(PH_LOG_INFO, "x", "{}", "only this");
    char *text = capture_end();
    json_t *line = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    assert_int_equal(json_array_size(json_object_get(json_object_get(line, "data"), "a")), 2);
    json_decref(line);
    assert_non_null(strstr(text, " info  only this\n"));
    free(text);
}

static void
failure_in_both_formats(void **context)
{
    struct ph_error err;

    (void)context;
    ph_error_set(&err, PH_E_SQL, "refused");
    ph_error_object(&err, "public.t");
    memcpy(err.sqlstate, "42P01", 6);
    ph_log_init(PH_LOG_TEXT, PH_LOG_INFO);
    capture_begin();
    ph_log_failure(PH_LOG_ERROR, &err);
    ph_log_init(PH_LOG_JSON, PH_LOG_INFO);
    ph_log_failure(PH_LOG_WARN, &err);
    char *text = capture_end();
    assert_non_null(strstr(text, "pghaul: PH-SQL (SQLSTATE 42P01) public.t: refused\n  way out: "));
    char *second = strstr(text, "\n{");
    assert_non_null(second);
    json_t *line = json_loads(second, 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "code")), "PH-SQL");
    assert_string_equal(json_string_value(json_object_get(line, "sqlstate")), "42P01");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "warning");
    assert_string_equal(json_string_value(json_object_get(line, "way_out")),
                        ph_code_way_out(PH_E_SQL));
    json_decref(line);
    free(text);
}

static void *
log_many(void *context)
{
    for (int i = 0; i < 500; i++)
        ph_log(PH_LOG_INFO, "n", "thread %s line %d of some length", (const char *)context, i);
    return NULL;
}

static void
threads_do_not_mix(void **context)
{
    pthread_t threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    int lines = 0;

    (void)context;
    ph_log_init(PH_LOG_JSON, PH_LOG_INFO);
    capture_begin();
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_many, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    char *text = capture_end();
    for (char *at = text; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        json_t *line = json_loadb(at, len, 0, NULL);
        assert_non_null(line);
        json_decref(line);
        at += len + 1;
        lines++;
    }
    assert_int_equal(lines, 2000);
    free(text);
}

static void
count_clear(void *context)
{
    ++*(int *)context;
}

static void
display_is_cleared_before_each_line(void **context)
{
    int cleared = 0;

    (void)context;
    ph_log_init(PH_LOG_TEXT, PH_LOG_INFO);
    capture_begin();
    ph_log_set_display(count_clear, &cleared);
    ph_log(PH_LOG_INFO, "a", "a");
    ph_log(PH_LOG_DEBUG, "b", "b");
    ph_log(PH_LOG_INFO, "c", "c");
    free(capture_end());
    assert_int_equal(cleared, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_one_line),
        cmocka_unit_test(json_survives_any_bytes),
        cmocka_unit_test(data_is_for_machines),
        cmocka_unit_test(failure_in_both_formats),
        cmocka_unit_test(threads_do_not_mix),
        cmocka_unit_test(display_is_cleared_before_each_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
