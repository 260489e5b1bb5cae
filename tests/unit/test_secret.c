#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/secret.h"

#include <stdio.h>
#include <string.h>

/* Every one hides "s3cret" or a piece of it that would tell. */
static void
passwords_are_gone(void **context)
{
    static const char *const cases[] = {
        "postgresql://u:s3cret@h:5432/db",
        "postgres://u:s3cret@h/db?sslmode=require",
        "postgresql://u:s3@cret@h/db",
        "postgresql://u:s3cret?x@h/db",
        "postgresql://u:s3/cret@h/db",
        "postgresql://u@h/db?password=s3cret",
        "postgresql://u@h/db?sslmode=require&PASSWORD=s3cret&x=1",
        "postgresql://u@h/db?pass%77ord=s3cret",
        "postgresql://u@h/db?password=s3@cret",
        "postgresql://u:p@h/db?sslpassword=s3cret",
        "host=h password=s3cret dbname=d",
        "host=h password = s3cret",
        "password='s3cret with blanks s3cret' host=h",
        "password='it\\'s s3cret' host=h",
        "password=a\\ s3cret host=h",
        "host=h sslpassword=s3cret",
        "host=h password='s3cret",
        "--source=host=h password=s3cret",
        "--target=postgresql://u:s3cret@h/db",
        "dbname=postgresql://u:s3cret@h/d password=s3cret",
    };
    char text[200];

    (void)context;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, "%s", cases[i]);
        assert_true(ph_secret_mask(text));
        if (strstr(text, "s3") != NULL || strstr(text, "cret") != NULL)
            fail_msg("%s -> %s", cases[i], text);
        assert_int_equal(strlen(text), strlen(cases[i]));
    }
}

static void
the_rest_stays(void **context)
{
    char uri[] = "postgresql://user:s3cret@host:5432/db?sslmode=require";
    char pairs[] = "host=h user=u password='s3cret' dbname=d";
    static const char *const untouched[] = {
        "",
        "copy",
        "job.yaml",
        "--jobs",
        "host=h dbname=d user=u",
        "postgresql://u@h:5432/db",
        "postgresql:///db?host=/tmp",
        "a=",
        "=",
        "a= b =c",
    };
    char text[100];

    (void)context;
    assert_true(ph_secret_mask(uri));
    assert_string_equal(uri, "postgresql://user:xxxxxx@host:5432/db?sslmode=require");
    assert_true(ph_secret_mask(pairs));
    assert_string_equal(pairs, "host=h user=u password='xxxxxx' dbname=d");
    for (size_t i = 0; i < sizeof untouched / sizeof untouched[0]; i++) {
        snprintf(text, sizeof text, "%s", untouched[i]);
        assert_false(ph_secret_mask(text));
        assert_string_equal(text, untouched[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_gone),
        cmocka_unit_test(the_rest_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
