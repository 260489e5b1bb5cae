#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/same.h"
#include "support/scratch.h"

#include <signal.h>
#include <string.h>

#define MAX_ARGS 40
#define WAIT_MS 60000

static PGconn *
make_database(struct pg_test_cluster *cluster, const char *name)
{
    PGconn *admin = sql_connect(cluster, "postgres");

    sql_execf(admin, "CREATE DATABASE \"%s\" TEMPLATE template0", name);
    PQfinish(admin);
    PGconn *conn = sql_connect(cluster, name);
    sql_exec(conn, "SET timezone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = 'hex'");
    return conn;
}

struct pair
pair_new(const char *conf)
{
    const struct pg_test_params params = {.conf = conf};
    struct pair pair;

    pg_test_pair_new(&params, &params, &pair.src, &pair.dst);
    return pair;
}

struct pair_db
pair_db_new(const struct pair *pair, const char *name)
{
    return (struct pair_db){
        .pair = pair,
        .name = name,
        .dir = scratch_printf("%s/job-%s", scratch_dir(), name),
        .source = make_database(pair->src, name),
        .target = make_database(pair->dst, name),
    };
}

void
pair_db_end(struct pair_db *db)
{
    PQfinish(db->source);
    PQfinish(db->target);
}

const char *
pair_job_file(const struct pair_db *db, const char *text)
{
    return scratch_write(scratch_printf("%s.yaml", db->name), text);
}

void
pair_both(struct pair_db *db, const char *sql)
{
    sql_exec(db->source, sql);
    sql_exec(db->target, sql);
}

static const char *
conninfo(const struct pg_test_cluster *cluster, const char *name, const char *user,
         const char *extra)
{
    return scratch_printf("host=%s port=%d dbname='%s' user='%s' %s", cluster->dir, cluster->port,
                          name, user == NULL ? "postgres" : user, extra == NULL ? "" : extra);
}

struct run *
pair_start_args(struct pair_db *db, const char *command, const char *const *args)
{
    const char *argv[MAX_ARGS] = {
        "pghaul",   command,
        "--source", conninfo(db->pair->src, db->name, db->source_user, db->source_extra),
        "--target", conninfo(db->pair->dst, db->name, db->target_user, db->target_extra),
        "--dir",    db->dir,
    };
    size_t n = 8;

    for (; *args != NULL; args++) {
        assert_true(n + 1 < MAX_ARGS);
        argv[n++] = *args;
    }
    return run_start_copy(db->env, argv);
}

struct run *
pair_run_args(struct pair_db *db, const char *command, const char *const *args)
{
    struct run *run = pair_start_args(db, command, args);

    run_wait(run, RUN_DEADLINE_MS);
    return run;
}

void
pair_wait_following(const struct pair_db *db, const struct run *run)
{
    sql_wait_true(
        db->pair->dst, db->name,
        scratch_printf(
            "SELECT j.phase = 'follow' AND p.state->>'phase' = 'follow' AND p.at > r.started"
            " FROM pghaul.job j JOIN pghaul.progress p USING (job)"
            " JOIN pghaul.run r ON r.job = j.job AND r.run = j.run AND r.pid = %d",
            (int)run->pid),
        WAIT_MS);
}

void
pair_wait_written(const struct pair_db *db)
{
    sql_wait_true(db->pair->src, db->name,
                  scratch_printf("SELECT count(*) = 1 FROM pg_stat_replication WHERE write_lsn >="
                                 " '%s'",
                                 sql_value(db->source, "SELECT pg_current_wal_lsn()")),
                  WAIT_MS);
}

struct run *
pair_stop(const struct pair_db *db, const char *at)
{
    const char *target = pg_test_conninfo(db->pair->dst, db->name);

    return at == NULL ? run_pghaul("stop", "--target", target, "--name", db->name)
                      : run_pghaul("stop", "--target", target, "--name", db->name, "--at", at);
}

void
pair_interrupt(struct run *run)
{
    run_signal(run, SIGTERM);
    pair_expect(run, 5, "the same command goes on");
}

void
pair_end_equal(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    same_rows(db->pair->src, db->name, db->pair->dst, db->name);
    pair_db_end(db);
}

void
pair_same(struct pair_db *db, const char *sql)
{
    pair_same_as(db, sql, sql);
}

void
pair_same_as(struct pair_db *db, const char *source_sql, const char *target_sql)
{
    sql_same(db->source, source_sql, db->target, target_sql);
}

void
pair_same_table(struct pair_db *db, const char *table)
{
    pair_same(db, scratch_printf("SELECT t::text COLLATE \"C\" FROM ONLY %s t ORDER BY 1", table));
}

void
pair_expect(struct run *run, int code, const char *part)
{
    run_expect(run, code);
    if (part != NULL && strstr(run_err(run), part) == NULL && strstr(run_out(run), part) == NULL)
        fail_msg("lacks \"%s\":\n%s\n%s", part, run_out(run), run_err(run));
}
