/* Which pg_dump is taken: the wanted major, else the newest, never Debian's wrapper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "pg/tool.h"

static char dir[] = "/tmp/pghaul-tool-XXXXXX";

static void
put_script(const char *folder, const char *name, int major)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, folder);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/%s", dir, folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho 'pg_dump (PostgreSQL) %d.4'\n", major);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

static int
setup(void **state)
{
    char path[1024];

    (void)state;
    assert_non_null(mkdtemp(dir));
    put_script("a", "pg_dump", 90);
    put_script("b", "pg_dump", 92);
    put_script("c", "pg_dump", 91);
    put_script("postgresql-common", "pg_wrapper", 95);
    snprintf(path, sizeof path, "%s/w", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/w/pg_dump", dir);
    assert_int_equal(symlink("../postgresql-common/pg_wrapper", path), 0);
    snprintf(path, sizeof path, "%s/w:%s/a:relative:%s/b:%s/c:%s/nosuch:%s", dir, dir, dir, dir,
             dir, getenv("PATH"));
    return setenv("PATH", path, 1);
}

static int
teardown(void **state)
{
    const char *argv[] = {"/bin/rm", "-rf", dir, NULL};
    struct ph_error err;

    (void)state;
    return ph_tool_run(&(struct ph_tool_run){.argv = argv}, &err) == PH_OK ? 0 : -1;
}

static void
check_found(int min_major, int wanted_major, int major, const char *folder)
{
    struct ph_tool tool;
    struct ph_error err;
    char path[256];

    assert_int_equal(ph_tool_find("pg_dump", min_major, wanted_major, &tool, &err), PH_OK);
    assert_int_equal(tool.major, major);
    snprintf(path, sizeof path, "%s/%s/pg_dump", dir, folder);
    assert_string_equal(tool.path, path);
}

static void
test_wanted_else_newest(void **state)
{
    (void)state;
    check_found(80, 91, 91, "c");
    check_found(80, 90, 90, "a");
    check_found(80, 99, 92, "b");
    check_found(91, 90, 92, "b");
}

static void
test_wrapper_is_passed_by(void **state)
{
    struct ph_tool tool;
    struct ph_error err;

    (void)state;
    assert_int_equal(ph_tool_find("pg_dump", 95, 95, &tool, &err), PH_E_VERSION);
}

/* A failed query of pg_dump's stands behind the error with its whole text. */
static void
the_error_outlives_a_long_query(void **state)
{
    const char *argv[] = {"/bin/sh", "-c",
                          "{ for i in $(seq 100); do echo \"pg_dump: warning $i\"; done;"
                          " echo 'pg_dump: error: query failed: FATAL:  terminating connection';"
                          " printf 'pg_dump: detail: Query was: '; seq 2000; } >&2; exit 1",
                          NULL};
    struct ph_error err;

    (void)state;
    ph_error_reset(&err);
    assert_int_equal(ph_tool_run(&(struct ph_tool_run){.argv = argv}, &err), PH_E_TOOL);
    assert_non_null(strstr(err.message, "failed: error: query failed: FATAL:  terminating conn"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted_else_newest),
        cmocka_unit_test(test_wrapper_is_passed_by),
        cmocka_unit_test(the_error_outlives_a_long_query),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
