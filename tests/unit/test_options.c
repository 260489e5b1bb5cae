#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ph_options options;
static struct ph_error err;

static int
begin(void **context)
{
    (void)context;
    unsetenv("PGDATABASE");
    setenv("XDG_STATE_HOME", "/state", 1);
    ph_error_reset(&err);
    if (ph_options_init(&options, &err) != PH_OK)
        return -1;
    options.source = strdup("host=a dbname=Shop-1");
    options.target = strdup("postgresql://u:pw@b/next");
    return 0;
}

static int
end(void **context)
{
    (void)context;
    ph_options_free(&options);
    return 0;
}

static void
refused(enum ph_command_id command, const char *object)
{
    assert_int_equal(ph_options_complete(&options, command, &err), PH_E_USAGE);
    assert_string_equal(err.object, object);
}

static void
name_and_dir_are_derived(void **context)
{
    (void)context;
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_COPY, &err), PH_OK);
    assert_string_equal(options.name, "shop_1_to_next");
    assert_string_equal(options.dir, "/state/pghaul/shop_1_to_next");
}

static void
name_from_service_environment_and_user(void **context)
{
    (void)context;
    free(options.source);
    options.source = strdup("service=prod");
    free(options.target);
    options.target = strdup("host=b user=me");
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_COPY, &err), PH_OK);
    assert_string_equal(options.name, "prod_to_me");
    free(options.name);
    options.name = NULL;
    setenv("PGDATABASE", "env", 1);
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_COPY, &err), PH_OK);
    assert_string_equal(options.name, "prod_to_env");
}

static void
long_names_stay_in_bounds(void **context)
{
    (void)context;
    free(options.source);
    options.source = strdup("dbname=a234567890123456789012345678901234567890");
    free(options.target);
    options.target = strdup("dbname='b2345678901234567890 \xc3\xa4 z'");
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_COPY, &err), PH_OK);
    assert_string_equal(options.name, "a23456789012345678_to_b23456789012345678");
}

static void
home_when_there_is_no_state_home(void **context)
{
    (void)context;
    setenv("XDG_STATE_HOME", "relative", 1);
    setenv("HOME", "/home/u", 1);
    options.name = strdup("job_1");
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_COPY, &err), PH_OK);
    assert_string_equal(options.dir, "/home/u/.local/state/pghaul/job_1");
    free(options.dir);
    options.dir = NULL;
    unsetenv("HOME");
    refused(PH_COMMAND_COPY, "--dir");
}

static void
missing_servers(void **context)
{
    (void)context;
    free(options.source);
    options.source = NULL;
    refused(PH_COMMAND_COPY, "--source");
    refused(PH_COMMAND_VERIFY, "--source");
    refused(PH_COMMAND_STOP, "--name");
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_STATUS, &err), PH_OK);
    assert_null(options.name);
    free(options.target);
    options.target = NULL;
    refused(PH_COMMAND_STATUS, "--target");
}

static void
unreadable_conninfo_is_not_quoted(void **context)
{
    (void)context;
    free(options.source);
    options.source = strdup("host=a password=s3cret port");
    refused(PH_COMMAND_COPY, "--source");
    assert_null(strstr(err.message, "s3cret"));
}

static void
names_are_checked(void **context)
{
    static const char *const bad[] = {"", "Upper", "a-b", "a b",
                                      "a2345678901234567890123456789012345678901"};

    (void)context;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        free(options.name);
        options.name = strdup(bad[i]);
        refused(PH_COMMAND_COPY, "--name");
    }
}

static void
consent_is_needed(void **context)
{
    (void)context;
    refused(PH_COMMAND_CLEAN, "clean");
    options.data_only = options.truncate = true;
    refused(PH_COMMAND_COPY, "--truncate");
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_PLAN, &err), PH_OK);
    options.truncate = false;
    options.restart = true;
    refused(PH_COMMAND_COPY, "--restart");
    options.repair = true;
    refused(PH_COMMAND_VERIFY, "--repair");
    options.dry_run = true;
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_VERIFY, &err), PH_OK);
    options.dry_run = false;
    options.yes = true;
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_VERIFY, &err), PH_OK);
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_CLEAN, &err), PH_OK);
}

static void
combinations_that_cannot_be_meant(void **context)
{
    (void)context;
    options.schema_only = options.data_only = true;
    refused(PH_COMMAND_COPY, "--schema-only");
    options.data_only = options.schema_only = false;
    options.truncate = true;
    refused(PH_COMMAND_COPY, "--truncate");
    options.truncate = false;
    options.create = options.data_only = true;
    refused(PH_COMMAND_COPY, "--create");
    options.create = options.data_only = false;
    options.dry_run = true;
    refused(PH_COMMAND_VERIFY, "--dry-run");
    options.dry_run = false;
    options.until.kind = PH_UNTIL_NOW;
    refused(PH_COMMAND_COPY, "--until");
    options.follow = options.schema_only = true;
    refused(PH_COMMAND_COPY, "--follow");
    options.follow = options.schema_only = false;
    options.until.kind = PH_UNTIL_STOPPED;
    options.verify = PH_VERIFY_NONE;
    refused(PH_COMMAND_VERIFY, "--verify");
    assert_int_equal(ph_options_complete(&options, PH_COMMAND_COPY, &err), PH_OK);
}

static void
directory_is_private(void **context)
{
    char base[] = "/tmp/pghaul-test-XXXXXX";
    char path[100];
    struct stat st;

    (void)context;
    assert_non_null(mkdtemp(base));
    snprintf(path, sizeof path, "%s/a/b", base);
    options.dir = strdup(path);
    assert_int_equal(ph_options_make_dir(&options, &err), PH_OK);
    assert_int_equal(ph_options_make_dir(&options, &err), PH_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    rmdir(path);
    fclose(fopen(path, "w"));
    assert_int_equal(ph_options_make_dir(&options, &err), PH_E_DISK);
    unlink(path);
    snprintf(path, sizeof path, "%s/a", base);
    rmdir(path);
    rmdir(base);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(name_and_dir_are_derived),
        TEST(name_from_service_environment_and_user),
        TEST(long_names_stay_in_bounds),
        TEST(home_when_there_is_no_state_home),
        TEST(missing_servers),
        TEST(unreadable_conninfo_is_not_quoted),
        TEST(names_are_checked),
        TEST(consent_is_needed),
        TEST(combinations_that_cannot_be_meant),
        TEST(directory_is_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
