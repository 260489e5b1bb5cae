/* Another name in the statements about a database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "pg/conninfo.h"
#include "pg/database.h"

static void
expect_renamed(const char *sql, const char *from, const char *to, const char *expected)
{
    struct ph_buf out;

    ph_buf_init(&out, 4096);
    ph_database_put_renamed(&out, sql, from, to);
    assert_string_equal(ph_buf_text(&out), expected);
    ph_buf_free(&out);
}

static void
test_only_the_name_changes(void **state)
{
    (void)state;
    expect_renamed("CREATE DATABASE app WITH TEMPLATE = template0;", "app", "the app",
                   "CREATE DATABASE \"the app\" WITH TEMPLATE = template0;");
    expect_renamed("ALTER DATABASE \"a \"\"b\"\"\" OWNER TO app;", "a \"b\"", "x",
                   "ALTER DATABASE \"x\" OWNER TO app;");
    expect_renamed("ALTER ROLE app IN DATABASE app SET x TO 'DATABASE app';", "app", "n",
                   "ALTER ROLE app IN DATABASE \"n\" SET x TO 'DATABASE app';");
    expect_renamed("COMMENT ON DATABASE app IS 'it''s DATABASE app';", "app", "n",
                   "COMMENT ON DATABASE \"n\" IS 'it''s DATABASE app';");
    expect_renamed("GRANT ALL ON DATABASE app2 TO \"DATABASE app\";", "app", "n",
                   "GRANT ALL ON DATABASE app2 TO \"DATABASE app\";");
    expect_renamed("DATABASE ", "app", "n", "DATABASE ");
    expect_renamed("x 'never closed", "app", "n", "x 'never closed");
    expect_renamed("DATABASE \"never closed", "never closed", "n", "DATABASE \"never closed");
}

static void
test_conninfo_with_database(void **state)
{
    char name[100];
    char *out;

    (void)state;
    assert_int_equal(
        ph_conninfo_with_database("postgresql://me:it%27s%5C@host:5433/app?sslmode=require",
                                  "o'ther", &out, NULL),
        PH_OK);
    assert_non_null(strstr(out, "password='it\\'s\\\\'"));
    assert_non_null(strstr(out, "port='5433'"));
    assert_non_null(strstr(out, "sslmode='require'"));
    assert_int_equal(ph_conninfo_database(out, name, sizeof name, NULL), PH_OK);
    assert_string_equal(name, "o'ther");
    free(out);
    assert_int_equal(ph_conninfo_with_database("no such=thing=", "x", &out, NULL), PH_E_USAGE);
    assert_null(out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_name_changes),
        cmocka_unit_test(test_conninfo_with_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
