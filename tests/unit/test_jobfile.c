#include "options_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
everything_is_read(void **context)
{
    (void)context;
    assert_int_equal(parse("# a job\n"
                           "source: service=prod\n"
                           "target: 'service=next'\n"
                           "name: move\n"
                           "select:\n"
                           "  schemas: [public, auth]\n"
                           "  exclude:\n"
                           "    - public.audit_*\n"
                           "copy: {jobs: 4, split: 1GB, memory: 128MB, verify: count,\n"
                           "       no_owner: true, no_acl: yes, max_rate: 5MB/s, hold: 1h}\n"
                           "report: out.json\n"),
                     PH_OK);
    assert_string_equal(options.source, "service=prod");
    assert_string_equal(options.target, "service=next");
    assert_string_equal(options.name, "move");
    assert_int_equal(options.schemas.n, 2);
    assert_string_equal(options.schemas.items[1], "auth");
    assert_string_equal(options.excludes.items[0], "public.audit_*");
    assert_int_equal(options.jobs, 4);
    assert_true(options.split_bytes == UINT64_C(1) << 30);
    assert_int_equal(options.verify, PH_VERIFY_COUNT);
    assert_true(options.no_owner && options.no_acl);
    assert_int_equal(options.hold_seconds, 3600);
    assert_string_equal(options.report, "out.json");
}

static void
empty_files_say_nothing(void **context)
{
    (void)context;
    assert_int_equal(parse(""), PH_OK);
    assert_int_equal(parse("# nothing\n"), PH_OK);
    assert_int_equal(parse("{}"), PH_OK);
    assert_int_equal(parse("copy: {}"), PH_OK);
}

static void
unknown_keys(void **context)
{
    (void)context;
    refused_at("source: a\nsuorce: b\n", "job.yaml:2:1",
               "unknown key \"suorce\" at the top of a job file; did you mean \"source\"?");
    refused_at("copy:\n  jbos: 4\n", "job.yaml:2:3", "under \"copy\"; did you mean \"jobs\"?");
    refused_at("selct: {}", "job.yaml:1:1", "did you mean \"select\"?");
    refused_at("copy: {zzzzzz: 1}", "job.yaml:1:8", "unknown key \"zzzzzz\" under \"copy\"");
    refused_at("mapz: {}", "job.yaml:1:1", "did you mean \"maps\"?");
    refused_at("select: {maps: {}}", "job.yaml:1:10", "unknown key \"maps\" under \"select\"");
    refused_at("copy.jobs: 4", "job.yaml:1:1", "unknown key \"copy.jobs\"");
    refused_at("jobs: 4", "job.yaml:1:1", "unknown key \"jobs\"");
    refused_at("\"co\\0py\": 1", "job.yaml:1:1", "unknown key");
}

static void
wrong_types(void **context)
{
    (void)context;
    refused_at("source: [a]", "job.yaml:1:9",
               "source: expected a libpq connection string or URI, "
               "found a list");
    refused_at("copy: 4", "job.yaml:1:7",
               "copy: expected a mapping of further keys, found a single "
               "value");
    refused_at("copy: [jobs]", "job.yaml:1:7", "found a list");
    refused_at("select: {schemas: public}", "job.yaml:1:19",
               "expected a list, e.g. [a, b], found a "
               "single value");
    refused_at("select: {schemas: [[a]]}", "job.yaml:1:20", "inside the list, found a list");
    refused_at("copy:\n  jobs: {a: 1}", "job.yaml:2:9", "from 1 to 64, found a mapping");
    refused_at("- a", "job.yaml:1:1", "expected a mapping");
    refused_at("text", "job.yaml:1:1", "expected a mapping");
    refused_at("? [a]\n: b", "job.yaml:1:3", "key: expected a word, found a list");
}

static void
wrong_values(void **context)
{
    (void)context;
    refused_at("copy:\n  jobs: four\n", "job.yaml:2:9",
               "copy.jobs: \"four\" is wrong; expected a whole number from 1 to 64");
    refused_at("copy: {no_owner: maybe}", "job.yaml:1:18", "expected true or false");
    refused_at("name:\n", "job.yaml:1:6", "name: the value is empty");
    refused_at("name: \"a\\0b\"", "job.yaml:1:7", "zero byte");
    refused_at("name: a\nname: b", "job.yaml:2:7", "name: given twice");
    refused_at("select: {schemas: ['']}", "job.yaml:1:20", "is empty");
}

static void
dangerous_yaml(void **context)
{
    char *deep = malloc(20001);

    (void)context;
    refused_at("name: &a x\ndir: *a", "job.yaml:2:6", "aliases");
    refused_at("name: !!str x", "job.yaml:1:7", "tags");
    refused_at("name: a\n---\nname: b", "job.yaml:2:1", "second document");
    refused_at("name: 'a", "job.yaml:1:9", "not valid YAML");
    refused_at("a: b: c", "job.yaml:1:1", "unknown key");
    refused_at("name: a\n\tdir: b", "job.yaml:2:1", "not valid YAML");
    memset(deep, '[', 20000);
    deep[20000] = '\0';
    memcpy(deep, "select: {tables: ", 17);
    assert_int_equal(parse(deep), PH_E_JOBFILE);
    free(deep);
    char *large = calloc(1, PH_JOBFILE_MAX_BYTES + 1);
    memset(large, '#', PH_JOBFILE_MAX_BYTES + 1);
    assert_int_equal(
        ph_jobfile_parse("l", (uint8_t *)large, PH_JOBFILE_MAX_BYTES + 1, &marks, &options, &err),
        PH_E_JOBFILE);
    assert_string_equal(err.message, "larger than 4096 kB");
    assert_int_equal(
        ph_jobfile_parse("l", (uint8_t *)large, PH_JOBFILE_MAX_BYTES, &marks, &options, &err),
        PH_OK);
    free(large);
}

static void
command_line_wins(void **context)
{
    (void)context;
    assert_int_equal(ph_option_set(ph_option_find("jobs"), "7", &options, &err), PH_OK);
    assert_int_equal(ph_option_set(ph_option_find("table"), "mine", &options, &err), PH_OK);
    marks.given[ph_option_find("jobs") - ph_option_table] = true;
    marks.given[ph_option_find("table") - ph_option_table] = true;
    assert_int_equal(parse("copy: {jobs: 4, index_jobs: 3}\nselect: {tables: [theirs]}"), PH_OK);
    assert_int_equal(options.jobs, 7);
    assert_int_equal(options.index_jobs, 3);
    assert_int_equal(options.tables.n, 1);
    assert_string_equal(options.tables.items[0], "mine");
    refused_at("copy: {jobs: 99}", "job.yaml:1:14", "from 1 to 64");
}

static void
files_that_cannot_be_read(void **context)
{
    char path[] = "/tmp/pghaul-job-XXXXXX";
    int fd = mkstemp(path);

    (void)context;
    assert_int_equal(write(fd, "copy: {jobs: 4}", 15), 15);
    close(fd);
    assert_int_equal(ph_jobfile_load(path, &marks, &options, &err), PH_OK);
    assert_int_equal(options.jobs, 4);
    unlink(path);
    assert_int_equal(ph_jobfile_load(path, &marks, &options, &err), PH_E_JOBFILE);
    assert_string_equal(err.object, path);
    assert_int_equal(ph_jobfile_load("/tmp", &marks, &options, &err), PH_E_JOBFILE);
}

#define TEST(name) options_test(name)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_read), TEST(empty_files_say_nothing),
        TEST(unknown_keys),       TEST(wrong_types),
        TEST(wrong_values),       TEST(dangerous_yaml),
        TEST(command_line_wins),  TEST(files_that_cannot_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
