/* Copies under test. */
#include "support/copy_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/mixed.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_SOURCE = 3, AT_TARGET = 5 };

void
copy_case_arg(struct copy_case *c, const char *arg)
{
    assert(c->argc + 1 < COPY_CASE_ARGS);
    c->argv[c->argc++] = arg;
    c->argv[c->argc] = NULL;
}

void
copy_case_init(struct copy_case *c, const struct pg_test_cluster *src, const char *src_db,
               const struct pg_test_cluster *dst, const char *dst_db)
{
    PGconn *conn = sql_connect(dst, "postgres");

    *c = (struct copy_case){
        .src = src,
        .src_db = src_db,
        .dst = dst,
        .dst_db = scratch_printf("%s", dst_db),
        .dir = scratch_new_dir(dst_db),
    };
    if (strcmp(sql_valuef(conn, "SELECT count(*) FROM pg_database WHERE datname = '%s'", dst_db),
               "0") == 0)
        sql_execf(conn, "CREATE DATABASE \"%s\" TEMPLATE template0", dst_db);
    PQfinish(conn);
    const char *args[] = {"pghaul",   "copy",
                          "--source", pg_test_conninfo(src, src_db),
                          "--target", pg_test_conninfo(dst, dst_db),
                          "--dir",    c->dir,
                          "--split",  MIXED_SPLIT,
                          "--jobs",   "2",
                          "--name",   "job"};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++)
        copy_case_arg(c, args[i]);
}

void
copy_case_source(struct copy_case *c, const char *conninfo)
{
    c->argv[AT_SOURCE] = conninfo;
}

void
copy_case_target(struct copy_case *c, const char *conninfo)
{
    c->argv[AT_TARGET] = conninfo;
}

struct run *
copy_case_start(const struct copy_case *c, const char *failpoint)
{
    const char *const env[] = {
        failpoint != NULL ? scratch_printf("PGHAUL_FAILPOINT=%s", failpoint) : NULL, NULL};

    return copy_case_start_env(c, env);
}

struct run *
copy_case_start_env(const struct copy_case *c, const char *const *env)
{
    return run_start_copy(env, c->argv);
}

bool
copy_case_killed_at(const struct copy_case *c, const char *failpoint, int passage)
{
    struct run *run = copy_case_start(c, scratch_printf("%s=kill@%d", failpoint, passage));
    int code = run_wait(run, RUN_DEADLINE_MS);

    if (code != 0 && code != -SIGKILL)
        run_expect(run, -SIGKILL);
    return code != 0;
}

struct run *
copy_case_verb(const struct copy_case *c, const char *verb, const char *option)
{
    const char *argv[] = {"pghaul", verb,   "--target", c->argv[AT_TARGET],
                          "--dir",  c->dir, "--name",   "job",
                          option,   NULL};

    return run_pghaul_args(NULL, argv);
}

struct run *
copy_case_finish(const struct copy_case *c, int tries)
{
    for (int i = 1;; i++) {
        struct run *run = copy_case_start(c, NULL);
        int code = run_wait(run, RUN_DEADLINE_MS);
        bool away = code == 3 && strstr(run_err(run), "PH-CONNECT") != NULL;
        if (code == 0)
            return run;
        if (i == tries || (code != 5 && !away))
            run_expect(run, 0); /* fails with all it said */
    }
}

void
copy_case_check(const struct copy_case *c)
{
    same_rows(c->src, c->src_db, c->dst, c->dst_db);
    same_schema(c->src, c->src_db, c->dst, c->dst_db);
    same_no_sessions(c->src);
    same_no_sessions(c->dst);
}

const char *
copy_case_done(const struct copy_case *c)
{
    if (strcmp(sql_once(c->dst, c->dst_db, "SELECT to_regclass('pghaul.chunk') IS NULL"), "t\n") ==
        0)
        return "";
    return sql_once(c->dst, c->dst_db,
                    "SELECT format('chunk %s.%s %s', tbl, chunk, xmin) FROM pghaul.chunk"
                    " WHERE state = 'done' UNION ALL SELECT format('step %s %s', step, done)"
                    " FROM pghaul.step");
}

void
copy_case_not_repeated(const struct copy_case *c, const char *done_before)
{
    const char *after = scratch_printf("\n%s", copy_case_done(c));

    while (*done_before != '\0') {
        size_t len = strcspn(done_before, "\n");
        const char *line = scratch_printf("\n%.*s\n", (int)len, done_before);
        if (strstr(after, line) == NULL)
            fail_msg("done again, or undone:%snow:%s", line, after);
        done_before += len;
        done_before += *done_before == '\n';
    }
}

static bool
is_gone(void *arg)
{
    return scratch_gone(*(pid_t *)arg);
}

void
copy_case_kill_holder(const struct copy_case *c)
{
    if (strcmp(sql_once(c->dst, c->dst_db, "SELECT to_regclass('pghaul.epoch') IS NULL"), "t\n") ==
        0)
        return;
    pid_t pid =
        (pid_t)strtol(sql_once(c->dst, c->dst_db,
                               "SELECT holder_pid FROM pghaul.epoch ORDER BY epoch DESC LIMIT 1"),
                      NULL, 10);

    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    assert_true(scratch_wait(is_gone, &pid, 10000));
    sql_wait_true(c->src, "postgres",
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE"
                  " 'pghaul% holder'",
                  10000);
}

void
copy_case_drop(struct copy_case *c)
{
    PGconn *conn = sql_connect(c->dst, "postgres");

    sql_execf(conn, "DROP DATABASE \"%s\" WITH (FORCE)", c->dst_db);
    PQfinish(conn);
    scratch_remove(c->dir);
}
