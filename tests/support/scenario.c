/* Cases of scenarios. Sources are loaded once and cloned. */
#include "support/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OWNER "scenario_owner"
#define WAIT_MS 120000
#define LEAVE_MS 20000

/* ---- files and services ---- */

static const char *
file_of(const struct scenario *scenario, const char *name, const char *ending)
{
    return scratch_printf("%s/scenarios/%s/%s%s", PH_TEST_DIR, scenario->folder, name, ending);
}

static bool
is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

static const char *
conninfo(const struct pg_test_cluster *cluster, const char *dbname, const char *user)
{
    return scratch_printf("host=%s port=%d user=%s dbname=%s", cluster->dir, cluster->port, user,
                          dbname);
}

static const char *
other_db(const struct scenario *scenario)
{
    return scratch_printf("%s_other", scenario->folder);
}

static const char *
service(const char *name, const struct pg_test_cluster *cluster, const char *dbname,
        const char *user)
{
    return scratch_printf("[scenario_%s]\nhost=%s\nport=%d\nuser=%s\ndbname=%s\n", name,
                          cluster->dir, cluster->port, user, dbname);
}

static const char *
target_user(const struct scenario *scenario)
{
    return scenario->by_owner ? OWNER : "postgres";
}

static const char *
service_file(const struct scenario_case *c)
{
    const struct scenario *scenario = c->scenario;
    const char *text =
        scratch_printf("%s%s%s", service("source", c->pair->src, c->name, "postgres"),
                       service("target", c->target, c->target_db, target_user(scenario)),
                       service("other", c->pair->src, other_db(scenario), "postgres"));

    return scratch_write(scratch_printf("%s.conf", c->name), text);
}

/* ---- databases ---- */

static void
make_database(const struct pg_test_cluster *cluster, const char *name, const char *template)
{
    PGconn *conn = sql_connect(cluster, "postgres");
    const char *scale = getenv("PH_TEST_SCENARIO_SCALE");
    const char *usual = scratch_is_long() ? "1" : "0.25";

    sql_execf(conn, "CREATE DATABASE %s TEMPLATE %s", name, template);
    sql_execf(conn, "ALTER DATABASE %s SET scenario.scale = '%s'", name, scale ? scale : usual);
    PQfinish(conn);
}

static void
drop_database(const struct pg_test_cluster *cluster, const char *name)
{
    PGconn *conn = sql_connect(cluster, "postgres");

    sql_execf(conn, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    PQfinish(conn);
}

/* Loaded once. */
static const char *
loaded(const struct pair *pair, const struct scenario *scenario, const char *what)
{
    const char *name = scratch_printf("%s_%s", scenario->folder, what);
    const char *sql = scratch_printf("SELECT count(*) FROM pg_database WHERE datname = '%s'", name);

    if (strcmp(sql_once(pair->src, "postgres", sql), "0\n") == 0) {
        make_database(pair->src, name, "template0");
        sql_file(pair->src, name, file_of(scenario, what, ".sql"));
    }
    return name;
}

static void
make_owner(const struct scenario_case *c)
{
    PGconn *conn = sql_connect(c->target, "postgres");

    if (strcmp(sql_value(conn, "SELECT count(*) FROM pg_roles WHERE rolname = '" OWNER "'"), "0") ==
        0)
        sql_exec(conn, "CREATE ROLE " OWNER " LOGIN");
    sql_execf(conn, "ALTER DATABASE %s OWNER TO " OWNER, c->target_db);
    PQfinish(conn);
}

static void
load_target(const struct scenario_case *c)
{
    const char *const argv[] = {"psql",
                                "-Xq",
                                "-v",
                                "ON_ERROR_STOP=1",
                                "-f",
                                file_of(c->scenario, c->scenario->target, ".sql"),
                                conninfo(c->target, c->target_db, target_user(c->scenario)),
                                NULL};

    run_expect(run_start(NULL, argv), 0);
}

struct scenario_case
scenario_case_begin(const struct pair *pair, const struct scenario *scenario, const char *name)
{
    struct scenario_case c = {
        .scenario = scenario,
        .pair = pair,
        .name = scratch_printf("%s", name),
        .target = scenario->one_database ? pair->src : pair->dst,
        .target_db = scratch_printf("%s", name),
        .dir = scratch_printf("%s/job-%s", scratch_dir(), name),
        .report = scratch_printf("%s/%s.json", scratch_dir(), name),
    };

    make_database(pair->src, name, loaded(pair, scenario, "source"));
    if (is_there(file_of(scenario, "other", ".sql")))
        (void)loaded(pair, scenario, "other");
    if (scenario->spoil != NULL)
        sql_file(pair->src, name, file_of(scenario, scenario->spoil, ".sql"));
    if (!scenario->one_database)
        make_database(c.target, c.target_db, "template0");
    if (scenario->by_owner)
        make_owner(&c);
    if (scenario->target != NULL)
        load_target(&c);
    const char **env = scratch_keep(calloc(6, sizeof *env));
    env[0] = scratch_printf("PGSERVICEFILE=%s", service_file(&c));
    env[1] = "PGHAUL_SECRET=the secret of the scenarios";
    env[2] = "SCENARIO_KEY=603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    env[3] = scratch_printf("SCENARIO_REPORT=%s", c.report);
    c.env = env;
    return c;
}

void
scenario_case_end(struct scenario_case *c)
{
    drop_database(c->pair->src, c->name);
    drop_database(c->target, c->target_db);
    scratch_remove(c->dir);
}

/* ---- looking ---- */

struct run *
scenario_words(const struct scenario_case *c, const char *const *words)
{
    const char *argv[10] = {"pghaul"};
    int n = 1;

    for (; *words != NULL; words++)
        argv[n++] = *words;
    argv[n++] = file_of(c->scenario, c->scenario->job, ".yaml");
    argv[n++] = "--dir";
    argv[n++] = c->dir;
    struct run *run = run_start_copy(c->env, argv);
    run_wait(run, RUN_DEADLINE_MS);
    return run;
}

/* Every table's rows that were ever written, and how many there are of what a job would make. */
static const char *
state_of(const struct pg_test_cluster *cluster, const char *dbname)
{
    return sql_once(cluster, dbname,
                    "SELECT string_agg(relid::regclass || ' ' || pg_relation_size(relid), ', '"
                    " ORDER BY relid), (SELECT count(*) FROM pg_class), (SELECT count(*) FROM"
                    " pg_namespace), (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM"
                    " pg_replication_slots WHERE database = current_database())"
                    " FROM pg_stat_user_tables");
}

void
scenario_look(const struct scenario_case *c)
{
    static const char *const commands[][3] = {{"check", NULL},
                                              {"check", "--json", NULL},
                                              {"plan", NULL},
                                              {"rules", "explain", NULL},
                                              {"rules", "test", NULL}};
    const char *source = state_of(c->pair->src, c->name);
    const char *target = state_of(c->target, c->target_db);

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (i >= 3 && run_pghaul("rules", "list")->code != 0)
            break;
        run_expect(scenario_words(c, commands[i]), 0);
    }
    assert_string_equal(state_of(c->pair->src, c->name), source);
    assert_string_equal(state_of(c->target, c->target_db), target);
}

void
scenario_cannot_follow(const struct scenario_case *c)
{
    static const char *const words[] = {"check", "--follow", NULL};
    struct run *run = scenario_words(c, words);

    for (size_t i = 0; c->scenario->no_stream[i] != NULL; i++)
        pair_expect(run, 3, c->scenario->no_stream[i]);
}

/* ---- running ---- */

struct run *
scenario_start(const struct scenario_case *c, const char *failpoint)
{
    const char *env[5] = {
        c->env[0], c->env[1], c->env[2],
        failpoint != NULL ? scratch_printf("PGHAUL_FAILPOINT=%s", failpoint) : NULL, NULL};
    const char *const argv[] = {"pghaul",
                                "copy",
                                file_of(c->scenario, c->scenario->job, ".yaml"),
                                "--name",
                                c->name,
                                "--dir",
                                c->dir,
                                "--report",
                                c->report,
                                "--split",
                                "1MB",
                                "--jobs",
                                "2",
                                c->scenario->consents ? "--yes" : NULL,
                                NULL};

    return run_start_copy(env, argv);
}

void
scenario_expect(const struct scenario_case *c, struct run *run)
{
    pair_expect(run, c->scenario->code, c->scenario->says);
}

void
scenario_begin_writing(struct scenario_case *c)
{
    const char *const argv[] = {"pgbench",
                                "-n",
                                "-c",
                                "3",
                                "-R",
                                "150",
                                "-T",
                                "600",
                                "--max-tries=100",
                                "-f",
                                file_of(c->scenario, "writes", ".sql"),
                                conninfo(c->pair->src, c->name, "postgres"),
                                NULL};

    c->writers = run_start_copy(NULL, argv);
}

void
scenario_end_writing(struct scenario_case *c)
{
    if (!run_alive(c->writers))
        fail_msg("the application ended early:\n%s", run_err(c->writers));
    if (strstr(run_err(c->writers), "aborted") != NULL)
        fail_msg("the application failed:\n%s", run_err(c->writers));
    run_kill(c->writers);
    c->writers = NULL;
    sql_wait_true(c->pair->src, c->name,
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'"
                  " AND datname = current_database()",
                  WAIT_MS);
}

static bool
follows(const struct scenario_case *c, const struct run *run)
{
    const char *there = sql_once(c->target, c->target_db, "SELECT to_regclass('pghaul.progress')");

    if (strcmp(there, "<null>\n") == 0)
        return false;
    return strcmp(sql_once(c->target, c->target_db,
                           scratch_printf("SELECT count(*) FROM pghaul.job j JOIN pghaul.progress p"
                                          " USING (job) JOIN pghaul.run r ON r.job = j.job AND"
                                          " r.run = j.run AND r.pid = %d WHERE j.phase = 'follow'"
                                          " AND p.state ? 'follow' AND p.at > r.started",
                                          (int)run->pid)),
                  "1\n") == 0;
}

bool
scenario_wait_following(const struct scenario_case *c, struct run *run)
{
    const struct timespec moment = {0, 50000000};

    for (int i = 0; i < WAIT_MS / 50; i++) {
        if (!run_alive(run))
            return false;
        if (follows(c, run))
            return true;
        nanosleep(&moment, NULL);
    }
    fail_msg("does not follow:\n%s", run_err(run));
    return false;
}

void
scenario_stop(const struct scenario_case *c)
{
    pair_expect(run_pghaul("stop", "--target", conninfo(c->target, c->target_db, "postgres"),
                           "--name", c->name, "--at", "now"),
                0, "told to end at: now");
}

/* ---- checking ---- */

static void
run_checks(const struct scenario_case *c, const char *file)
{
    const char *const argv[] = {
        "psql",
        "-Xq",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        scratch_printf("job=%s", c->scenario->job),
        "-v",
        scratch_printf("source=%s", conninfo(c->pair->src, c->name, "postgres")),
        "-v",
        scratch_printf("other=%s", conninfo(c->pair->src, other_db(c->scenario), "postgres")),
        "-f",
        file,
        conninfo(c->target, c->target_db, "postgres"),
        NULL};
    struct run *run = run_start_copy(c->env, argv);

    run_expect(run, 0);
    if (run_out(run)[0] != '\0')
        fail_msg("%s, job %s:\n%.6000s", c->scenario->folder, c->scenario->job, run_out(run));
}

static const char nothing_left[] =
    "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()) = 0"
    " AND (SELECT count(*) FROM pg_publication) = 0 AND (SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'pghaul%') = 0";

void
scenario_check(const struct scenario_case *c)
{
    const char *own = file_of(c->scenario, c->scenario->job, "_checks.sql");

    run_checks(c, file_of(c->scenario, "checks", ".sql"));
    if (is_there(own))
        run_checks(c, own);
    sql_wait_true(c->pair->src, c->name, nothing_left, LEAVE_MS);
    sql_wait_true(c->target, c->target_db, nothing_left, LEAVE_MS);
}
