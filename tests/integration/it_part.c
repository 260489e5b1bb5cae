/* A part of a database: what needs something outside of it is left out, and is no difference. */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <jansson.h>
#include <string.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static const char *env[2];
static const char *source;

static int
start(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    env[0] = scratch_printf("XDG_STATE_HOME=%s", scratch_new_dir("state"));
    PGconn *conn = sql_connect(src, "postgres");
    sql_exec(conn, "CREATE TABLE parent (id int PRIMARY KEY);"
                   "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent,"
                   " friend int CONSTRAINT friend_fk REFERENCES child);"
                   "INSERT INTO parent VALUES (1), (2);"
                   "INSERT INTO child VALUES (1, 1, NULL), (2, 2, 1);"
                   "CREATE VIEW of_parent AS SELECT * FROM parent;"
                   "CREATE VIEW of_view AS SELECT count(*) FROM of_parent;"
                   "CREATE VIEW of_child AS SELECT * FROM child;"
                   "CREATE INDEX child_parent ON child (parent)");
    PQfinish(conn);
    source = pg_test_conninfo(src, "postgres");
    return 0;
}

static const char *
new_target(const char *name)
{
    sql_once(dst, "postgres", scratch_printf("CREATE DATABASE %s", name));
    return pg_test_conninfo(dst, name);
}

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

static void
test_exclude(void **state)
{
    const char *target = new_target("without_parent");
    struct run *run =
        run_pghaul_env(env, "copy", "--source", source, "--target", target, "--exclude", "parent");

    (void)state;
    run_expect(run, 0);
    has(run_out(run), "VIEW public.of_view: left out: it depends on TABLE public.parent");
    has(run_out(run), "child_parent_fkey: left out");
    assert_string_equal(sql_once(dst, "without_parent",
                                 "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class"
                                 " WHERE relnamespace = 'public'::regnamespace"),
                        "child child_parent child_pkey of_child\n");
    assert_string_equal(sql_once(dst, "without_parent",
                                 "SELECT conname FROM pg_constraint"
                                 " WHERE contype = 'f'"),
                        "friend_fk\n");
    run = run_pghaul_env(env, "verify", "--source", source, "--target", target, "--exclude",
                         "parent");
    run_expect(run, 0);
}

static void
test_one_table(void **state)
{
    const char *target = new_target("one_table");
    struct run *run =
        run_pghaul_env(env, "copy", "--source", source, "--target", target, "--table", "child");

    (void)state;
    run_expect(run, 0);
    /* what is there and missing within the part is a difference all the same */
    sql_once(dst, "one_table",
             "DROP INDEX child_parent; ALTER TABLE child DROP CONSTRAINT friend_fk");
    run = run_pghaul_env(env, "verify", "--source", source, "--target", target, "--table", "child");
    run_expect(run, 4);
    has(run_out(run), "index public.child_parent: missing on the target");
    has(run_out(run), "constraint public.child.friend_fk: missing on the target");
}

static void
test_plan(void **state)
{
    const char *target = new_target("planned");
    struct run *run =
        run_pghaul_env(env, "plan", "--source", source, "--target", target, "--exclude", "parent");

    (void)state;
    run_expect(run, 0);
    has(run_out(run), "1 table");
    has(run_out(run), "public.child");
    run = run_pghaul_env(env, "plan", "--source", source, "--target", target, "--json");
    run_expect(run, 0);
    json_t *root = json_loads(run_out(run), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "tables")), 2);
    json_decref(root);
    run = run_pghaul_env(env, "plan", "--source", source, "--target", target, "--table", "nosuch");
    run_expect(run, 2);
    has(run_err(run), "PH-SELECTION");
    assert_string_equal(sql_once(dst, "planned",
                                 "SELECT count(*) FROM pg_namespace"
                                 " WHERE nspname = 'pghaul'"),
                        "0\n");
}

/* The same by a job file alone; every line of the log is JSON, the report is as promised. */
static void
test_job_file(void **state)
{
    const char *target = new_target("by_file");
    const char *report = scratch_printf("%s/report.json", scratch_dir());
    const char *job = scratch_write(
        "job.yaml", scratch_printf("source: \"%s\"\n"
                                   "target: \"%s\"\n"
                                   "name: from_file\n"
                                   "dir: %s\n"
                                   "select: {tables: [parent, child], exclude: [child]}\n"
                                   "copy: {jobs: 1, verify: count, no_owner: true}\n"
                                   "report: %s\n"
                                   "log_format: json\n",
                                   source, target, scratch_new_dir("job"), report));
    struct run *run = run_pghaul_env(env, "copy", job);
    unsigned lines = 0;

    (void)state;
    run_expect(run, 0);
    for (const char *at = run_err(run); *at != '\0'; at += strcspn(at, "\n") + 1) {
        json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
        assert_non_null(json_string_value(json_object_get(line, "event")));
        json_decref(line);
        lines++;
    }
    assert_true(lines > 0);
    json_t *root = json_load_file(report, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "job")), "from_file");
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "not proven");
    assert_int_equal(json_array_size(json_object_get(root, "tables")), 1);
    json_decref(root);
    assert_string_equal(sql_once(dst, "by_file", "SELECT count(*) FROM parent"), "2\n");
    /* the option wins: another target, the same file */
    run = run_pghaul_env(env, "copy", job, "--target", new_target("by_option"), "--name", "other",
                         "--dir", scratch_new_dir("other"), "--verify", "digest", "--log-format",
                         "text");
    run_expect(run, 0);
    has(run_out(run), "proven: ");
    has(run_err(run), " info  job other: ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exclude),
        cmocka_unit_test(test_one_table),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_job_file),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
