/* The command line on real servers: exit codes, messages, no password anywhere, small commands. */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/option_table.h"
#include "pg/ledger.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct pg_test_cluster *dst;
static const char *target; /* conninfo as superuser */
static const char *env[] = {NULL, NULL, NULL};

static int
start(void **state)
{
    static const char hba[] = "local all postgres trust\n"
                              "local all all scram-sha-256\n";
    const struct pg_test_params params = {.hba = hba};

    (void)state;
    dst = pg_test_cluster_new(&params);
    target = pg_test_conninfo(dst, "postgres");
    env[0] = scratch_printf("XDG_STATE_HOME=%s", scratch_new_dir("state"));
    env[1] = "PGPASSWORD";
    PGconn *conn = sql_connect(dst, "postgres");
    sql_exec(conn, "CREATE ROLE locked LOGIN PASSWORD 's3cret'");
    PQfinish(conn);
    return 0;
}

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

/* Runs it, wants that exit code and both parts on stderr. */
#define EXPECT(exit_code, part, other, ...)                                                        \
    do {                                                                                           \
        struct run *expect_run = run_pghaul_env(env, __VA_ARGS__);                                 \
        run_expect(expect_run, exit_code);                                                         \
        has(run_err(expect_run), part);                                                            \
        has(run_err(expect_run), other);                                                           \
    } while (0)

/* ---- usage: exit code 2, and nothing was touched ---- */

static void
test_wrong_usage(void **state)
{
    const char *file = scratch_write("bad.yaml", "target: dbname=x\ncopy:\n  jbos: 4\n");

    (void)state;
    EXPECT(2, "PH-USAGE", "no command is given", NULL);
    EXPECT(2, "PH-USAGE statsu", "did you mean \"status\"?", "statsu");
    EXPECT(2, "PH-USAGE --targt", "did you mean --target?", "status", "--targt", "x");
    EXPECT(2, "PH-USAGE --log-format", "text or json", "status", "--log-format", "xml");
    EXPECT(2, "PH-USAGE --name", "1 to 40 of a-z, 0-9 and _", "status", "--target", target,
           "--name", "Ä");
    EXPECT(2, "PH-USAGE --target", "neither a libpq connection string nor a URI", "status",
           "--target", "host=a port", "--name", "j");
    EXPECT(2, "PH-USAGE rules", "one of: list, explain, test, build", "rules");
    EXPECT(2, "PH-USAGE rules", "one of: list, explain, test, build", "rules", "biuld");
    EXPECT(2, "PH-USAGE clean", "--yes", "clean", "--target", target, "--name", "j");
    EXPECT(2, "PH-JOBFILE", "bad.yaml:3:3: unknown key \"jbos\"", "status", file);
    EXPECT(2, "PH-JOBFILE /nowhere.yaml", "No such file", "status", "/nowhere.yaml");
}

/* One wrong value for every option that takes one; the message names option and expectation. */
static void
test_every_option_with_a_bad_value(void **state)
{
    char expected[200];

    (void)state;
    for (size_t i = 0; i < ph_option_count; i++) {
        const struct ph_option *option = &ph_option_table[i];
        bool is_free_text = option->kind == PH_OPTION_TEXT || option->kind == PH_OPTION_LIST ||
                            option->kind == PH_OPTION_CONNINFO;
        const char *command = (option->commands & PH_FOR(COPY)) != 0     ? "copy"
                              : (option->commands & PH_FOR(VERIFY)) != 0 ? "verify"
                              : (option->commands & PH_FOR(STOP)) != 0   ? "stop"
                              : (option->commands & PH_FOR(STATUS)) != 0 ? "status"
                              : (option->commands & PH_FOR(CLEAN)) != 0  ? "clean"
                                                                         : "rules";
        if (option->kind == PH_OPTION_INFO)
            continue;
        const char *word = option->kind == PH_OPTION_FLAG
                               ? scratch_printf("--%s=1", option->name)
                               : scratch_printf("--%s=%s", option->name, is_free_text ? "" : "-7x");
        struct run *run = strcmp(command, "rules") == 0 ? run_pghaul_env(env, command, "list", word)
                                                        : run_pghaul_env(env, command, word);
        run_expect(run, 2);
        has(run_err(run), scratch_printf("PH-USAGE --%s: ", option->name));
        ph_option_expected(option, expected, sizeof expected);
        has(run_err(run), option->kind == PH_OPTION_FLAG ? "takes no value" : expected);
    }
}

static void
test_help_and_version(void **state)
{
    struct run *run = run_pghaul("--help");

    (void)state;
    run_expect(run, 0);
    has(run_out(run), "usage: pghaul COMMAND");
    run = run_pghaul("status", "--help");
    run_expect(run, 0);
    has(run_out(run), "--watch");
    run = run_pghaul("--version");
    run_expect(run, 0);
    has(run_out(run), "pghaul " PH_VERSION "\n");
}

static void
test_errors_as_json(void **state)
{
    struct run *run = run_pghaul_env(env, "status", "--nope", "--log-format", "json");

    (void)state;
    run_expect(run, 2);
    json_t *line = json_loads(run_err(run), 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "code")), "PH-USAGE");
    assert_string_equal(json_string_value(json_object_get(line, "object")), "--nope");
    json_decref(line);
}

/* ---- not ready: exit code 3 ---- */

static void
test_unreachable_and_refused(void **state)
{
    const char *locked =
        scratch_printf("host=%s port=%d dbname=postgres user=locked", dst->dir, dst->port);

    (void)state;
    EXPECT(3, "PH-CONNECT", "No such file or directory", "status", "--target",
           "host=/nowhere dbname=x");
    EXPECT(3, "PH-AUTH", "way out: check user, password", "status", "--target",
           scratch_printf("%s password=wr0ng", locked));
    EXPECT(3, "PH-AUTH", "target", "status", "--target", locked);
    EXPECT(3, "PH-CONNECT", "does not exist", "status", "--target",
           pg_test_conninfo(dst, "nowhere"));
}

static void
test_password_is_nowhere(void **state)
{
    const char *uri = scratch_printf("postgresql://locked:wr0ng-pw@/postgres?host=%s&port=%d",
                                     dst->dir, dst->port);
    struct run *run = run_pghaul_env(env, "status", "--target", uri);

    (void)state;
    run_expect(run, 3);
    assert_null(strstr(run_err(run), "wr0ng"));
    assert_null(strstr(run_out(run), "wr0ng"));
}

/* A server that never answers keeps the process alive long enough to look at its title. */
static void
test_password_leaves_the_process_title(void **state)
{
    char title[512] = "";
    const char *dir = scratch_new_dir("silent");
    const char *argv[] = {"python3", "-c",
                          "import socket,sys,time\n"
                          "s=socket.socket(socket.AF_UNIX)\n"
                          "s.bind(sys.argv[1]+'/.s.PGSQL.5432')\n"
                          "s.listen()\n"
                          "print('ready',flush=True)\n"
                          "c=s.accept()\n"
                          "print('asked',flush=True)\n"
                          "time.sleep(60)\n",
                          dir, NULL};
    struct run *silent = run_start(NULL, argv);

    (void)state;
    run_wait_output(silent, "ready", 20000);
    struct run *run =
        start_pghaul(env, "status", "--target",
                     scratch_printf("postgresql://u:wr0ng-pw@/d?host=%s&connect_timeout=30", dir));
    run_wait_output(silent, "asked", 20000);
    assert_true(run_alive(run));
    FILE *file = fopen(scratch_printf("/proc/%d/cmdline", (int)run->pid), "r");
    size_t len = fread(title, 1, sizeof title - 1, file);
    fclose(file);
    for (size_t i = 0; i + 1 < len; i++)
        title[i] = title[i] == '\0' ? ' ' : title[i];
    run_kill(run);
    run_kill(silent);
    has(title, "postgresql://u:xxxxxxxx@/d?host=");
    assert_null(strstr(title, "wr0ng"));
}

/* ---- status, stop, clean over a ledger ---- */

static struct ph_conn *
ledger_connection(struct ph_endpoint *endpoint)
{
    struct ph_conn *conn = NULL;

    assert_int_equal(ph_endpoint_init(endpoint, PH_TARGET, target, "j1", NULL), PH_OK);
    assert_int_equal(ph_conn_open(endpoint, "test", &conn, NULL), PH_OK);
    return conn;
}

static void
test_no_jobs(void **state)
{
    struct run *run = run_pghaul_env(env, "status", "--target", target);

    (void)state;
    run_expect(run, 0);
    has(run_out(run), "holds no jobs");
    EXPECT(3, "PH-NO-JOB j1", "holds no job of this name", "status", "--target", target, "--name",
           "j1");
    EXPECT(3, "PH-NO-JOB j1", "way out", "stop", "--target", target, "--name", "j1");
    EXPECT(3, "PH-NO-JOB j1", "has anything of this job", "clean", "--target", target, "--name",
           "j1", "--yes");
}

static void
test_life_of_a_job(void **state)
{
    struct ph_endpoint endpoint;
    struct ph_conn *conn = ledger_connection(&endpoint);
    struct ph_ledger_job job = {.name = "j1", .signature = "s", .source_label = "source a@h:1"};
    struct ph_error err;
    bool taken = false;

    (void)state;
    ph_error_reset(&err);
    if (ph_ledger_create(conn, &err) != PH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(ph_ledger_new_job(conn, &job, "", &err), PH_OK);
    assert_int_equal(ph_ledger_lock(conn, "j1", &taken, &err), PH_OK);
    assert_true(taken);
    assert_int_equal(ph_ledger_begin_run(conn, &job, "pghaul j1", &err), PH_OK);
    assert_int_equal(ph_ledger_set_phase(conn, &job, PH_PHASE_ROWS, &err), PH_OK);
    sql_once(dst, "postgres",
             "INSERT INTO pghaul.tbl (job, tbl, source_oid, source_schema, source_name,"
             " target_schema, target_name, source_columns, target_columns, format, format_reason,"
             " key_fields, buckets, frozen, ordered, level, grp, est_rows, est_bytes, filenode)"
             " VALUES ('j1', 0, 1, 'public', 't', 'public', 't', '{}', '{}', 'binary', '', '{}',"
             " 1024, false, false, 0, 0, 1000, 2048, 1);"
             "INSERT INTO pghaul.chunk (job, tbl, chunk, lot, kind, est_bytes, state, rows)"
             " VALUES ('j1', 0, 0, 0, 'ctid', 1024, 'done', 400),"
             " ('j1', 0, 1, 1, 'ctid', 1024, 'todo', 0);"
             "INSERT INTO pghaul.progress VALUES ('j1', now(), '{\"elapsed_s\": 10,"
             " \"rows_done\": 400, \"bytes_done\": 1024, \"bytes\": 2048,"
             " \"waiting_for\": \"target\"}')");

    struct run *run = run_pghaul_env(env, "status", "--target", target, "--name", "j1");
    run_expect(run, 0);
    has(run_out(run), "job j1: running, phase rows");
    has(run_out(run), "0 of 1 tables, 1 of 2 chunks, 400 of about 1,000 rows, 1.0 kB of about "
                      "2.0 kB");
    has(run_out(run), "40 rows/s, 102 B/s, ETA 10.0 s, waits for target");
    has(run_out(run), "public.t");

    /* what a run before this one said holds no more; and of silence it is told */
    sql_once(dst, "postgres",
             "UPDATE pghaul.progress SET at = (SELECT started FROM pghaul.run) - interval '1 ms'");
    run = run_pghaul_env(env, "status", "--target", target, "--name", "j1");
    run_expect(run, 0);
    assert_null(strstr(run_out(run), "rows/s"));
    sql_once(dst, "postgres",
             "UPDATE pghaul.run SET started = now() - interval '90 s';"
             "UPDATE pghaul.progress SET at = now() - interval '80 s'");
    run = run_pghaul_env(env, "status", "--target", target, "--name", "j1");
    run_expect(run, 0);
    has(run_out(run), "the run has told nothing for 1:2");
    assert_null(strstr(run_out(run), "rows/s"));

    EXPECT(3, "PH-JOB-RUNNING j1", "stop it first", "clean", "--target", target, "--name", "j1",
           "--yes");

    run = start_pghaul(env, "status", "--target", target, "--name", "j1", "--watch", "--json");
    run_wait_output(run, "\"state\":\"running\"", 20000);
    struct run *stop = run_pghaul_env(env, "stop", "--target", target, "--name", "j1");
    run_expect(stop, 0);
    has(run_out(stop), "was told to stop");
    sql_wait_true(dst, "postgres", "SELECT stop_asked IS NOT NULL FROM pghaul.run", 5000);
    run_wait_output(run, "\"state\":\"stopping\"", 20000);
    assert_int_equal(ph_ledger_end_run(conn, &job, "stopped", &err), PH_OK);
    ph_conn_free(conn);
    ph_endpoint_reset(&endpoint);
    run_expect(run, 0); /* the watch ends with the run */

    run = run_pghaul_env(env, "status", "--target", target, "--json");
    run_expect(run, 0);
    json_t *root = json_loads(run_out(run), 0, NULL);
    json_t *value = json_array_get(json_object_get(root, "jobs"), 0);
    assert_string_equal(json_string_value(json_object_get(value, "state")), "stopped");
    assert_int_equal(json_integer_value(json_object_get(value, "chunks_done")), 1);
    json_decref(root);

    run = run_pghaul_env(env, "stop", "--target", target, "--name", "j1");
    run_expect(run, 0);
    has(run_out(run), "is not running");
}

static void
test_clean_removes_all(void **state)
{
    const char *dir = scratch_new_dir("job-dir");
    PGconn *conn = sql_connect(dst, "postgres");

    (void)state;
    sql_exec(conn, "CREATE TABLE t (a int);"
                   "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';"
                   "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
                   "ALTER TABLE t DISABLE TRIGGER g;"
                   "INSERT INTO pghaul.set_aside (job, object, restore_sql) VALUES"
                   " ('j1', 'trigger g on t', 'ALTER TABLE public.t ENABLE TRIGGER g')");
    scratch_write(scratch_printf("%s/mover.lock", dir), "");
    struct run *run =
        run_pghaul_env(env, "clean", "--target", target, "--name", "j1", "--dir", dir, "--yes");
    run_expect(run, 0);
    has(run_out(run), "restored: 1 triggers");
    has(run_out(run), "removed: job j1 from the target's ledger");
    has(run_out(run), scratch_printf("removed: directory %s", dir));
    assert_string_equal(sql_value(conn, "SELECT tgenabled FROM pg_trigger WHERE tgname = 'g'"),
                        "O");
    assert_string_equal(sql_value(conn, "SELECT count(*) FROM pg_namespace"
                                        " WHERE nspname = 'pghaul'"),
                        "0");
    assert_int_equal(access(dir, F_OK), -1);
    PQfinish(conn);
    EXPECT(3, "PH-NO-JOB", "j1", "clean", "--target", target, "--name", "j1", "--dir", dir,
           "--yes");
}

static void
test_clean_keeps_other_files(void **state)
{
    const char *dir = scratch_new_dir("mixed-dir");

    (void)state;
    scratch_write(scratch_printf("%s/mover.lock", dir), "");
    scratch_write(scratch_printf("%s/thesis.txt", dir), "mine");
    struct run *run =
        run_pghaul_env(env, "clean", "--target", target, "--name", "j1", "--dir", dir, "--yes");
    run_expect(run, 0);
    has(run_out(run), "it holds other files");
    assert_int_equal(access(scratch_printf("%s/thesis.txt", dir), F_OK), 0);
    assert_int_equal(access(scratch_printf("%s/mover.lock", dir), F_OK), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_every_option_with_a_bad_value),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_errors_as_json),
        cmocka_unit_test(test_unreachable_and_refused),
        cmocka_unit_test(test_password_is_nowhere),
        cmocka_unit_test(test_password_leaves_the_process_title),
        cmocka_unit_test(test_no_jobs),
        cmocka_unit_test(test_life_of_a_job),
        cmocka_unit_test(test_clean_removes_all),
        cmocka_unit_test(test_clean_keeps_other_files),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
