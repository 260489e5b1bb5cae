#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ph_args args;
static struct ph_error err;

static ph_code
parse_all(const char *const *words)
{
    char program[] = "pghaul";
    char *argv[32] = {program};
    int argc = 1;

    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    ph_args_free(&args);
    ph_error_reset(&err);
    return ph_args_parse(&args, argc, argv, &err);
}

#define PARSE(...) parse_all((const char *const[]){__VA_ARGS__, NULL})

static void
is_refused(const char *object, const char *message)
{
    assert_string_equal(err.object, object);
    if (strstr(err.message, message) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, message);
}

#define REFUSED(object, message, ...)                                                              \
    do {                                                                                           \
        assert_int_equal(PARSE(__VA_ARGS__), PH_E_USAGE);                                          \
        is_refused(object, message);                                                               \
    } while (0)

static int
end(void **context)
{
    (void)context;
    ph_args_free(&args);
    return 0;
}

static void
help_and_version(void **context)
{
    (void)context;
    assert_int_equal(PARSE("--help"), PH_OK);
    assert_int_equal(args.ask, PH_ASK_HELP);
    assert_null(args.command);
    assert_int_equal(PARSE("status", "--help", "--target", "x"), PH_OK);
    assert_int_equal(args.ask, PH_ASK_HELP);
    assert_string_equal(args.command->name, "status");
    assert_int_equal(PARSE("--help=man"), PH_OK);
    assert_string_equal(args.topic, "man");
    assert_int_equal(PARSE("--version"), PH_OK);
    assert_int_equal(args.ask, PH_ASK_VERSION);
    REFUSED("--version", "takes no value", "--version=1");
}

static void
both_spellings_of_a_value(void **context)
{
    (void)context;
    assert_int_equal(PARSE("status", "--target", "dbname=a", "--name=b"), PH_OK);
    assert_string_equal(args.options.target, "dbname=a");
    assert_string_equal(args.options.name, "b");
    assert_int_equal(PARSE("status", "--target=dbname=a=b", "--watch"), PH_OK);
    assert_string_equal(args.options.target, "dbname=a=b");
    assert_true(args.options.watch);
    assert_int_equal(PARSE("status", "--target", "a", "--target", "dbname=b"), PH_OK);
    assert_string_equal(args.options.target, "dbname=b");
}

static void
what_is_refused(void **context)
{
    (void)context;
    REFUSED("", "no command is given", NULL);
    REFUSED("statsu", "did you mean \"status\"?", "statsu");
    REFUSED("zzzzzzzz", "no such command", "zzzzzzzz");
    REFUSED("--target", "comes before the command", "--target", "x", "status");
    REFUSED("--targt", "did you mean --target?", "status", "--targt", "x");
    REFUSED("--fallow", "no such option", "status", "--fallow");
    REFUSED("--watch", "goes with status, not with stop", "stop", "--watch");
    REFUSED("-t", "options have two dashes", "status", "-t");
    REFUSED("--target", "the value is missing; expected a libpq connection string", "status",
            "--target");
    REFUSED("--target", "the value is missing", "status", "--target", "--json");
    REFUSED("--target", "the value is empty", "status", "--target", "");
    REFUSED("--json", "takes no value", "status", "--json=true");
    REFUSED("--log-format", "\"xml\" is wrong; expected text or json", "status", "--log-format",
            "xml");
    REFUSED("--target", "is missing, on the command line and in the job file", "status");
    REFUSED("status", "a second one is given", "status", "a.yaml", "b.yaml");
    REFUSED("status", "goes behind --source or --target", "status", "postgresql://u:s3cret@h/d");
    assert_null(strstr(err.message, "s3cret"));
    REFUSED("clean", "say --yes", "clean", "--target", "dbname=x", "--name", "j");
}

static void
job_file_and_command_line(void **context)
{
    char path[] = "/tmp/pghaul-args-XXXXXX";
    int fd = mkstemp(path);
    const char text[] = "target: dbname=file\nname: from_file\ncopy: {jobs: 4}\n";

    (void)context;
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_int_equal(PARSE("status", path, "--name", "mine"), PH_OK);
    assert_string_equal(args.options.target, "dbname=file");
    assert_string_equal(args.options.name, "mine");
    assert_int_equal(PARSE("status", "--", path), PH_OK);
    assert_string_equal(args.options.name, "from_file");
    unlink(path);
    assert_int_equal(PARSE("status", path), PH_E_JOBFILE);
    assert_string_equal(err.object, path);
}

static void
passwords_leave_the_title(void **context)
{
    char a[] = "pghaul";
    char b[] = "--source";
    char c[] = "postgresql://u:s3cret@h/d";
    char d[] = "--target=host=h password=s3cret";
    char *argv[] = {a, b, c, d, NULL};

    (void)context;
    char **copy = ph_args_take(4, argv);
    assert_string_equal(copy[2], "postgresql://u:s3cret@h/d");
    assert_string_equal(copy[3], "--target=host=h password=s3cret");
    assert_null(copy[4]);
    assert_string_equal(argv[2], "postgresql://u:xxxxxx@h/d");
    assert_string_equal(argv[3], "--target=host=h password=xxxxxx");
    ph_args_free_copy(copy);
}

static void
log_format_is_known_early(void **context)
{
    char a[] = "pghaul";
    char b[] = "--log-format";
    char c[] = "json";
    char d[] = "--log-format=json";
    char *two[] = {a, b, c, NULL};
    char *one[] = {a, d, NULL};

    (void)context;
    assert_int_equal(ph_args_log_format(3, two), PH_LOG_JSON);
    assert_int_equal(ph_args_log_format(2, two), PH_LOG_TEXT);
    assert_int_equal(ph_args_log_format(2, one), PH_LOG_JSON);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version),          cmocka_unit_test(both_spellings_of_a_value),
        cmocka_unit_test(what_is_refused),           cmocka_unit_test(job_file_and_command_line),
        cmocka_unit_test(passwords_leave_the_title), cmocka_unit_test(log_format_is_known_early),
    };

    setenv("HOME", "/home/u", 1);
    return cmocka_run_group_tests(tests, NULL, end);
}
