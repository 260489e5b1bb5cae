/* labels: short */
/*
 * Statements in a pipeline on a real server, plain and over TLS: an error at every position, large
 * parameters and large answers at once, more statements than may stay prepared, connections that
 * end in the middle. After each the connection must be ready for ordinary statements, or known to
 * be dead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/resource.h>

#include "pg/conn_pipeline.h"
#include "support/pgcluster.h"
#include "support/proxy.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#define INSERT "INSERT INTO public.t(i, b) VALUES ($1, $2)"

static struct pg_test_cluster *cluster;
static struct ph_endpoint endpoints[2]; /* plain, encrypted */

static void
must(ph_code rc, const struct ph_error *err)
{
    if (rc != PH_OK)
        fail_msg("%s: %s", ph_code_text(rc), err->message);
}

static void
enable_tls(void)
{
    const char *key = scratch_printf("%s/server.key", cluster->data);
    const char *crt = scratch_printf("%s/server.crt", cluster->data);
    const char *argv[] = {"openssl", "req",   "-x509", "-newkey", "rsa:2048",
                          "-nodes",  "-days", "2",     "-subj",   "/CN=x",
                          "-keyout", key,     "-out",  crt,       NULL};
    run_expect(run_start(NULL, argv), 0);
    const char *own[] = {"chown", "--reference", cluster->data, key, crt, NULL};
    run_expect(run_start(NULL, own), 0);
    const char *mode[] = {"chmod", "600", key, NULL};
    run_expect(run_start(NULL, mode), 0);
    pg_test_cluster_conf(cluster, "ssl = on\n");
    pg_test_cluster_restart(cluster);
}

static int
setup(void **state)
{
    struct pg_test_params params = {.listen = PG_TEST_SOCKET_AND_TCP};
    struct ph_error err;

    (void)state;
    cluster = pg_test_cluster_new(&params);
    enable_tls();
    must(ph_endpoint_init(&endpoints[0], PH_TARGET, pg_test_conninfo(cluster, "postgres"), "t",
                          &err),
         &err);
    const char *tls =
        scratch_printf("%s sslmode=require", pg_test_conninfo_tcp(cluster, "postgres"));
    must(ph_endpoint_init(&endpoints[1], PH_TARGET, tls, "t", &err), &err);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    ph_endpoint_reset(&endpoints[0]);
    ph_endpoint_reset(&endpoints[1]);
    return 0;
}

struct session {
    struct ph_conn *conn;
    struct ph_pipeline *pipeline;
    struct ph_pipeline_outcome outcome;
    struct ph_error err;
};

static struct session *
open_to(const struct ph_endpoint *endpoint, uint32_t max_prepared)
{
    struct session *s = calloc(1, sizeof *s);

    must(ph_conn_open(endpoint, "apply", &s->conn, &s->err), &s->err);
    must(ph_pipeline_new(s->conn, max_prepared, &s->pipeline, &s->err), &s->err);
    return s;
}

/* With an empty table t (i, b). */
static struct session *
open_session(size_t way, uint32_t max_prepared)
{
    struct session *s = open_to(&endpoints[way], max_prepared);

    must(ph_conn_exec(s->conn,
                      "DROP TABLE IF EXISTS public.t; CREATE TABLE public.t"
                      " (i int CONSTRAINT one_only PRIMARY KEY, b bytea)",
                      &s->err),
         &s->err);
    return s;
}

static void
close_session(struct session *s)
{
    ph_pipeline_free(s->pipeline);
    ph_conn_free(s->conn);
    free(s);
}

static void
plain(struct session *s, const char *sql)
{
    must(ph_pipeline_queue_plain(s->pipeline, sql, PH_ROWS_ANY, 0, &s->err), &s->err);
}

static struct ph_param
text(const char *value)
{
    return (struct ph_param){{(const uint8_t *)value, strlen(value)}, PH_PARAM_TEXT};
}

/* The number goes as text that is not terminated, the bytes as they are. */
static ph_code
insert(struct session *s, int number, const void *data, size_t len)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%dx", number);
    struct ph_param params[] = {
        {{(const uint8_t *)digits, (size_t)n - 1}, PH_PARAM_TEXT},
        {{data, len}, data == NULL ? PH_PARAM_NULL : PH_PARAM_BINARY},
    };
    struct ph_statement statement = {.sql = INSERT,
                                     .params = params,
                                     .n_params = 2,
                                     .use = PH_STATEMENT_PREPARED,
                                     .expected_rows = 1,
                                     .tag = (uint64_t)number};

    return ph_pipeline_queue(s->pipeline, &statement, &s->err);
}

static ph_code
finish(struct session *s)
{
    must(ph_pipeline_sync(s->pipeline, &s->err), &s->err);
    return ph_pipeline_wait(s->pipeline, &s->outcome, &s->err);
}

static void
check_value(struct session *s, const char *sql, const char *expected)
{
    char value[128];

    assert_true(ph_pipeline_is_idle(s->pipeline));
    assert_true(ph_conn_is_alive(s->conn));
    must(ph_conn_value(s->conn, sql, value, sizeof value, &s->err), &s->err);
    assert_string_equal(value, expected);
}

/* The way of the apply: COMMIT only after the counts were seen, in front of the next group. */
static void
test_groups(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct session *s = open_session(way, 10);
        struct ph_error *err = &s->err;
        must(ph_conn_exec(s->conn,
                          "DROP TABLE IF EXISTS public.p; CREATE TABLE public.p (at int);"
                          " INSERT INTO public.p VALUES (0)",
                          err),
             err);
        for (int group = 0; group < 50; group++) {
            char sql[100];
            if (group > 0)
                plain(s, "COMMIT");
            plain(s, "BEGIN");
            snprintf(sql, sizeof sql, "UPDATE public.p SET at = %d WHERE at = %d", group + 1,
                     group);
            must(ph_pipeline_queue_plain(s->pipeline, sql, 1, 7, err), err);
            for (int i = 0; i < 20; i++)
                must(insert(s, group * 20 + i, "x", 1), err);
            must(finish(s), err);
            assert_int_equal(s->outcome.n_misses, 0);
            assert_int_equal(s->outcome.n_statements, group > 0 ? 23 : 22);
        }
        must(ph_conn_exec(s->conn, "COMMIT", err), err);
        check_value(s, "SELECT at || ' ' || (SELECT count(*) FROM public.t) FROM public.p",
                    "50 1000");
        check_value(s, "SELECT count(*) FROM pg_catalog.pg_prepared_statements", "1");
        close_session(s);
    }
}

static void
test_counts(void **state)
{
    struct session *s = open_session(0, 10);
    struct ph_error *err = &s->err;

    (void)state;
    must(ph_conn_exec(s->conn, "INSERT INTO public.t SELECT generate_series(1, 100)", err), err);
    plain(s, "BEGIN");
    for (int i = 0; i < 100; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "DELETE FROM public.t WHERE i BETWEEN %d AND %d", i * 2,
                 i * 2 + 1);
        must(ph_pipeline_queue_plain(s->pipeline, sql, 2, (uint64_t)i + 1000, err), err);
    }
    must(ph_pipeline_queue_plain(s->pipeline, "SELECT 1 WHERE false", 1, 5, err), err);
    plain(s, "UPDATE public.t SET b = NULL WHERE false");
    must(finish(s), err);
    /* 0 and 1 hit one row, so do 100 and 101, all behind them none */
    assert_int_equal(s->outcome.n_misses, 1 + 1 + 49 + 1);
    assert_int_equal(s->outcome.misses[0].index, 1);
    assert_int_equal(s->outcome.misses[0].tag, 1000);
    assert_int_equal(s->outcome.misses[0].expected_rows, 2);
    assert_int_equal(s->outcome.misses[0].rows, 1);
    assert_int_equal(s->outcome.misses[2].tag, 1051);
    assert_int_equal(s->outcome.misses[2].rows, 0);
    assert_int_equal(s->outcome.misses[51].tag, 5);
    const struct ph_pipeline_miss *misses = s->outcome.misses;
    /* what comes in for the next stretch leaves them alone */
    must(ph_pipeline_queue_plain(s->pipeline, "SELECT 1", 77, 0, err), err);
    must(ph_pipeline_sync(s->pipeline, err), err);
    assert_int_equal(misses[0].tag, 1000);
    must(ph_pipeline_wait(s->pipeline, &s->outcome, err), err);
    assert_int_equal(s->outcome.n_misses, 1);
    assert_int_equal(s->outcome.misses[0].expected_rows, 77);
    assert_int_equal(s->outcome.misses[0].index, 0);
    close_session(s);
}

static void
test_rows(void **state)
{
    struct session *s = open_session(0, 10);
    struct ph_result *rows[3];
    struct ph_param param = text("4");
    struct ph_statement statement = {.sql = "SELECT g, g * 2 FROM generate_series(1, $1) g",
                                     .params = &param,
                                     .n_params = 1,
                                     .types = (const ph_oid[]){23},
                                     .expected_rows = 4};

    (void)state;
    for (int i = 0; i < 3; i++) {
        statement.result = &rows[i];
        statement.use = i == 0 ? PH_STATEMENT_ONCE : PH_STATEMENT_PREPARED;
        if (i == 2)
            plain(s, "SELECT 1 / 0");
        must(ph_pipeline_queue(s->pipeline, &statement, &s->err), &s->err);
    }
    assert_int_equal(finish(s), PH_E_DATA);
    assert_int_equal(s->outcome.n_misses, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ph_result_rows(rows[i]), 4);
        assert_string_equal(ph_result_text(rows[i], 3, 1), "8");
        ph_result_free(rows[i]);
    }
    assert_null(rows[2]);
    close_session(s);
}

enum { N_STATEMENTS = 9 };

/* Fails at `at`; every other way of failing is one for each round. */
static void
queue_one(struct session *s, int at, int i, int round)
{
    static const char *const wrong[] = {
        NULL,    /* a second row of the same key */
        "SELEC", /* refused when it is parsed */
        "SELECT 1 / 0",
        "SAVEPOINT \"unfinished",
    };
    struct ph_statement statement = {.sql = wrong[round % 4],
                                     .tag = (uint64_t)i,
                                     .use = round < 4 ? PH_STATEMENT_PREPARED : PH_STATEMENT_ONCE,
                                     .expected_rows = 1};

    if (at != i)
        must(insert(s, i, "abc", 3), &s->err);
    else if (statement.sql == NULL)
        must(insert(s, 1000, "abc", 3), &s->err);
    else
        must(ph_pipeline_queue(s->pipeline, &statement, &s->err), &s->err);
}

static void
check_failure(struct session *s, int at, int round, ph_code rc)
{
    static const char *const states[] = {"23505", "42601", "22012", "42601"};
    const struct ph_pipeline_failure *failure = &s->outcome.failure;

    assert_int_not_equal(rc, PH_OK);
    assert_string_equal(s->err.sqlstate, states[round % 4]);
    assert_true(s->outcome.has_failure);
    assert_int_equal(failure->index, at + 2);
    assert_int_equal(s->outcome.n_statements, N_STATEMENTS + 3);
    assert_int_equal(s->outcome.n_misses, 0);
    if (round % 4 != 0)
        return;
    assert_int_equal(rc, PH_E_CONSTRAINT);
    assert_int_equal(failure->tag, 1000);
    assert_string_equal(failure->schema, "public");
    assert_string_equal(failure->table, "t");
    assert_string_equal(failure->constraint, "one_only");
    assert_string_equal(failure->detail, "Key (i)=(1000) already exists.");
}

static void
test_an_error_at_every_position(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct session *s = open_session(way, 2);
        struct ph_error *err = &s->err;
        for (int round = 0; round < 8; round++) {
            for (int at = 0; at < N_STATEMENTS; at++) {
                must(ph_conn_exec(s->conn, "TRUNCATE public.t; INSERT INTO public.t VALUES (1000)",
                                  err),
                     err);
                plain(s, "BEGIN");
                plain(s, "SAVEPOINT here");
                for (int i = 0; i < N_STATEMENTS; i++)
                    queue_one(s, at, i, round);
                plain(s, "COMMIT"); /* must not happen */
                check_failure(s, at, round, finish(s));
                must(ph_conn_exec(s->conn, "ROLLBACK TO SAVEPOINT here", err), err);
                for (int i = 0; i < N_STATEMENTS; i++)
                    queue_one(s, -1, i, round);
                plain(s, "COMMIT");
                must(finish(s), err);
                check_value(s, "SELECT count(*) || ' ' || sum(i) FROM public.t", "10 1036");
            }
        }
        check_value(s, "SELECT count(*) <= 2 FROM pg_catalog.pg_prepared_statements", "t");
        close_session(s);
    }
}

/* The transaction failed in a stretch before: the server says ROLLBACK and calls it success. */
static void
test_commit_of_a_failed_transaction(void **state)
{
    struct session *s = open_session(0, 2);

    (void)state;
    plain(s, "BEGIN");
    plain(s, "SELECT 1 / 0");
    assert_int_equal(finish(s), PH_E_DATA);
    plain(s, "COMMIT");
    plain(s, "SELECT 1");
    assert_int_equal(finish(s), PH_E_SQL);
    assert_true(s->outcome.has_failure);
    assert_int_equal(s->outcome.failure.index, 0);
    plain(s, "BEGIN");
    plain(s, "COMMIT");
    must(finish(s), &s->err);
    close_session(s);
}

/* The compare-and-set that fails by itself: COMMIT behind it does not happen. */
static void
test_guarded_commit(void **state)
{
    static const char guard[] = "WITH hit AS (UPDATE public.t SET i = i + 1 WHERE i = %d"
                                " RETURNING 1) SELECT 1 / count(*) FROM hit";
    struct session *s = open_session(0, 2);
    char sql[200];

    (void)state;
    must(ph_conn_exec(s->conn, "INSERT INTO public.t VALUES (1)", &s->err), &s->err);
    for (int i = 1; i <= 3; i++) {
        plain(s, "BEGIN");
        snprintf(sql, sizeof sql, guard, i < 3 ? i : 1);
        plain(s, sql);
        plain(s, "COMMIT");
        ph_code rc = finish(s);
        assert_int_equal(rc, i < 3 ? PH_OK : PH_E_DATA);
    }
    assert_int_equal(s->outcome.failure.index, 1);
    must(ph_conn_leave_transaction(s->conn, &s->err), &s->err);
    check_value(s, "SELECT i FROM public.t", "3");
    close_session(s);
}

/* Stretches one behind the other without waiting; what the first prepares may have come to nothing.
 */
static void
test_stretches_in_flight(void **state)
{
    (void)state;
    for (int failing = 0; failing < 2; failing++) {
        struct session *s = open_session(0, 1);
        struct ph_error *err = &s->err;
        for (int i = 0; i < 3; i++) {
            if (i == 0 && failing)
                plain(s, "SELECT 1 / 0");
            must(insert(s, i, NULL, 0), err);
            must(ph_pipeline_sync(s->pipeline, err), err);
        }
        ph_code rc = ph_pipeline_wait(s->pipeline, &s->outcome, err);
        assert_int_equal(rc, failing ? PH_E_DATA : PH_OK);
        must(ph_pipeline_wait(s->pipeline, &s->outcome, err), err);
        must(ph_pipeline_wait(s->pipeline, &s->outcome, err), err);
        assert_int_equal(ph_pipeline_wait(s->pipeline, &s->outcome, err), PH_E_INTERNAL);
        check_value(s, "SELECT string_agg(i::text, ' ' ORDER BY i) FROM public.t",
                    failing ? "1 2" : "0 1 2");
        /* the doubles go with the next preparation */
        for (int i = 0; i < 4; i++) {
            char sql[40];
            snprintf(sql, sizeof sql, "SELECT %d", i);
            struct ph_statement other = {
                .sql = sql, .use = PH_STATEMENT_PREPARED, .expected_rows = 1};
            must(ph_pipeline_queue(s->pipeline, &other, err), err);
            must(finish(s), err);
        }
        check_value(s, "SELECT count(*) FROM pg_catalog.pg_prepared_statements", "1");
        close_session(s);
    }
}

/* TRAPS 68: a bounded number of prepared statements. */
static void
test_trap_68_eviction(void **state)
{
    struct session *s = open_session(0, 5);
    struct ph_error *err = &s->err;
    unsigned seed = 1;

    (void)state;
    must(ph_conn_exec(s->conn, "INSERT INTO public.t VALUES (1)", err), err);
    for (int stretch = 0; stretch < 200; stretch++) {
        bool fails = stretch % 3 == 2;
        plain(s, "BEGIN");
        for (int i = 0; i < 12; i++) {
            char sql[60];
            seed = seed * 1103515245 + 12345;
            if (fails && i == (int)(seed >> 8) % 12)
                plain(s, "SELECT 1 / 0");
            snprintf(sql, sizeof sql, "SELECT $1::int + %u FROM public.t", (seed >> 16) % 9);
            struct ph_param param = text("3");
            struct ph_statement statement = {.sql = sql,
                                             .params = &param,
                                             .n_params = 1,
                                             .use = PH_STATEMENT_PREPARED,
                                             .expected_rows = 1};
            must(ph_pipeline_queue(s->pipeline, &statement, err), err);
        }
        ph_code rc = finish(s);
        assert_true(rc == PH_OK || (fails && rc == PH_E_DATA));
        assert_int_equal(s->outcome.n_misses, 0);
        must(ph_conn_exec(s->conn, "ROLLBACK", err), err);
    }
    check_value(s, "SELECT count(*) <= 15 FROM pg_catalog.pg_prepared_statements", "t");
    ph_pipeline_forget(s->pipeline);
    for (int i = 0; i < 40; i++) {
        struct ph_statement statement = {
            .sql = "SELECT 1", .use = PH_STATEMENT_PREPARED, .expected_rows = 1};
        ph_pipeline_forget(s->pipeline);
        must(ph_pipeline_queue(s->pipeline, &statement, err), err);
        must(finish(s), err);
    }
    check_value(s, "SELECT count(*) < 10 FROM pg_catalog.pg_prepared_statements", "t");
    close_session(s);
}

static uint8_t *
large_value(size_t len)
{
    uint8_t *value = malloc(len);
    uint32_t x = 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        value[i] = (uint8_t)(x >> 24);
    }
    return value;
}

static long
peak_kb(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_OURS 0
#else
#define MEMORY_IS_OURS 1
#endif

/* 100 MB in statements of 1 MB must not wait in memory; then values of 40 MB. */
static void
test_large_parameters(void **state)
{
    enum { LARGE = 40 << 20 };
    uint8_t *value = large_value(LARGE);

    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct session *s = open_session(way, 2);
        long before = peak_kb();
        plain(s, "BEGIN");
        for (int i = 0; i < 100; i++)
            must(insert(s, i, value + i, 1 << 20), &s->err);
        must(finish(s), &s->err);
        if (MEMORY_IS_OURS && way == 0)
            assert_true(peak_kb() - before < 8 * 1024);
        for (int i = 0; i < 3; i++)
            must(insert(s, 1000 + i, value, LARGE - (size_t)i), &s->err);
        plain(s, "COMMIT");
        must(finish(s), &s->err);
        if (MEMORY_IS_OURS)
            assert_true(peak_kb() - before < 90 * 1024);
        check_value(s, "SELECT count(*) || ' ' || sum(length(b)) FROM public.t", "103 230686717");
        close_session(s);
    }
    free(value);
}

static void
test_too_large_parameter(void **state)
{
    struct session *s = open_session(0, 2);
    static const uint8_t byte;
    struct ph_param params[] = {text("1"), {{&byte, (size_t)1 << 30}, PH_PARAM_BINARY}};
    struct ph_statement statement = {
        .sql = INSERT, .params = params, .n_params = 2, .expected_rows = 1};

    (void)state;
    plain(s, "BEGIN");
    assert_int_equal(ph_pipeline_queue(s->pipeline, &statement, &s->err), PH_E_ROW_TOO_LARGE);
    must(insert(s, 1, NULL, 0), &s->err);
    plain(s, "COMMIT");
    must(finish(s), &s->err);
    check_value(s, "SELECT count(*) FROM public.t", "1");
    close_session(s);
}

/* Large answers while large parameters go out: whoever only writes waits for ever. */
static void
test_both_directions_full(void **state)
{
    enum { LEN = 1 << 20 };
    uint8_t *value = large_value(LEN);
    struct ph_param param = {{value, LEN}, PH_PARAM_BINARY};
    struct ph_statement statement = {.sql = "SELECT $1::bytea FROM generate_series(1, 3)",
                                     .params = &param,
                                     .n_params = 1,
                                     .use = PH_STATEMENT_PREPARED,
                                     .expected_rows = 3};

    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct session *s = open_session(way, 2);
        for (int i = 0; i < 30; i++)
            must(ph_pipeline_queue(s->pipeline, &statement, &s->err), &s->err);
        must(finish(s), &s->err);
        assert_int_equal(s->outcome.n_misses, 0);
        close_session(s);
    }
    free(value);
}

static void
test_copy_between(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct session *s = open_session(way, 2);
        struct ph_error *err = &s->err;
        uint64_t rows;
        plain(s, "BEGIN");
        for (int i = 0; i < 5; i++) {
            must(insert(s, i, NULL, 0), err);
            must(finish(s), err);
            must(ph_conn_copy_in_begin(s->conn, "COPY public.t (i) FROM STDIN", err), err);
            char line[20];
            snprintf(line, sizeof line, "%d\n", 100 + i);
            must(ph_conn_copy_in_write(s->conn, (const uint8_t *)line, strlen(line), err), err);
            must(ph_conn_copy_in_end(s->conn, &rows, err), err);
            assert_int_equal(rows, 1);
        }
        plain(s, "COMMIT");
        must(finish(s), err);
        check_value(s, "SELECT count(*) || ' ' || sum(i) FROM public.t", "10 520");
        close_session(s);
    }
}

static void
check_dead(struct session *s, ph_code code)
{
    assert_false(ph_conn_is_alive(s->conn));
    assert_int_equal(ph_pipeline_queue_plain(s->pipeline, "SELECT 1", 1, 0, &s->err), code);
    assert_int_equal(ph_pipeline_sync(s->pipeline, &s->err), code);
    assert_int_equal(ph_pipeline_wait(s->pipeline, &s->outcome, &s->err), code);
    close_session(s);
}

/* The backend is ended by its own statement at each position, and in the middle of much data. */
static void
test_backend_ends(void **state)
{
    uint8_t *value = large_value(1 << 20);

    (void)state;
    for (size_t way = 0; way < 2; way++) {
        for (int at = 0; at < 6; at++) {
            struct session *s = open_session(way, 2);
            ph_code rc = PH_OK;
            for (int i = 0; i < 6 && rc == PH_OK; i++) {
                if (i == at)
                    plain(s, "SELECT pg_terminate_backend(pg_backend_pid())");
                rc = insert(s, i, value, (size_t)(at % 2) << 20);
            }
            if (rc == PH_OK)
                rc = ph_pipeline_sync(s->pipeline, &s->err);
            if (rc == PH_OK)
                rc = ph_pipeline_wait(s->pipeline, &s->outcome, &s->err);
            assert_int_equal(rc, PH_E_CONNECT);
            assert_true(ph_error_is_retryable(&s->err));
            check_dead(s, PH_E_CONNECT);
        }
    }
    free(value);
}

/* Nobody says a word: the line is cut. */
static void
test_line_is_cut(void **state)
{
    struct proxy *proxy = proxy_new(cluster);
    struct ph_endpoint endpoint;
    struct ph_error err;

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        const char *conninfo = scratch_printf("%s%s", proxy_conninfo(proxy, "postgres"),
                                              tls ? " sslmode=require" : " sslmode=disable");
        must(ph_endpoint_init(&endpoint, PH_TARGET, conninfo, "t", &err), &err);
        struct session *s = open_to(&endpoint, 2);
        plain(s, "SELECT pg_sleep(100)");
        must(ph_pipeline_sync(s->pipeline, &s->err), &s->err);
        proxy_set(proxy, PROXY_CUT);
        assert_int_equal(ph_pipeline_wait(s->pipeline, &s->outcome, &s->err), PH_E_CONNECT);
        assert_false(s->outcome.has_failure);
        check_dead(s, PH_E_CONNECT);
        proxy_set(proxy, PROXY_FORWARD);
        ph_endpoint_reset(&endpoint);
    }
}

static void *
cancel_when_stuck(void *arg)
{
    sql_wait_sleeper(cluster);
    ph_endpoint_cancel_all(arg);
    return NULL;
}

/*
 * While waiting for an answer; while the server does not take what is sent. Nothing else ends it.
 */
static void
test_cancellation(void **state)
{
    enum { LEN = 30 << 20 };
    uint8_t *value = large_value(LEN);

    (void)state;
    for (size_t way = 0; way < 2; way++) {
        for (int sending = 0; sending < 2; sending++) {
            struct session *s = open_session(way, 2);
            struct ph_endpoint *endpoint = &endpoints[way];
            pthread_t thread;
            plain(s, "SELECT pg_sleep(100000)");
            if (!sending)
                must(ph_pipeline_sync(s->pipeline, &s->err), &s->err);
            assert_int_equal(pthread_create(&thread, NULL, cancel_when_stuck, endpoint), 0);
            ph_code rc = sending ? insert(s, 1, value, LEN)
                                 : ph_pipeline_wait(s->pipeline, &s->outcome, &s->err);
            assert_int_equal(rc, PH_E_STOPPED);
            pthread_join(thread, NULL);
            check_dead(s, PH_E_STOPPED);
            sql_end_sleepers(cluster);
            ph_endpoint_reopen(endpoint);
        }
    }
    free(value);
}

static void
test_explain(void **state)
{
    struct session *s = open_session(0, 5);
    struct ph_error *err = &s->err;
    struct ph_param params[2] = {{.kind = PH_PARAM_NULL}, {.kind = PH_PARAM_NULL}};
    struct ph_statement by_key = {
        .sql = "UPDATE ONLY public.t SET b = u.c FROM (SELECT pg_catalog.unnest($1::int[]) k,"
               " pg_catalog.unnest($2::bytea[]) c) u WHERE i = u.k",
        .params = params,
        .n_params = 2,
        .use = PH_STATEMENT_PREPARED,
        .expected_rows = 0};
    struct ph_statement by_value = {.sql = "DELETE FROM ONLY public.t WHERE b = ANY($1::bytea[])",
                                    .params = params,
                                    .n_params = 1,
                                    .use = PH_STATEMENT_PREPARED,
                                    .expected_rows = 0};
    bool scans;
    char table[200];

    (void)state;
    must(ph_conn_exec(s->conn,
                      "SET plan_cache_mode=force_generic_plan; SET enable_seqscan=off;"
                      " SET enable_hashjoin=off; SET enable_mergejoin=off;"
                      " SET enable_material=off",
                      err),
         err);
    assert_false(ph_pipeline_is_prepared(s->pipeline, &by_key));
    must(ph_pipeline_explain(s->pipeline, &by_key, &scans, table, sizeof table, err), err);
    assert_false(scans);
    assert_string_equal(table, "");
    assert_true(ph_pipeline_is_prepared(s->pipeline, &by_key));
    must(ph_pipeline_explain(s->pipeline, &by_value, &scans, table, sizeof table, err), err);
    assert_true(scans);
    assert_string_equal(table, "public.t");
    plain(s, "BEGIN");
    must(ph_pipeline_queue(s->pipeline, &by_key, err), err);
    must(ph_pipeline_queue(s->pipeline, &by_value, err), err);
    plain(s, "COMMIT");
    must(finish(s), err);
    assert_int_equal(s->outcome.n_misses, 0);
    check_value(s, "SELECT count(*) FROM pg_catalog.pg_prepared_statements", "2");
    by_value.sql = "DELETE FROM nosuch";
    by_value.n_params = 0;
    assert_int_equal(ph_pipeline_explain(s->pipeline, &by_value, &scans, table, sizeof table, err),
                     PH_E_SQL);
    check_value(s, "SELECT 1", "1");
    close_session(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_an_error_at_every_position),
        cmocka_unit_test(test_commit_of_a_failed_transaction),
        cmocka_unit_test(test_guarded_commit),
        cmocka_unit_test(test_stretches_in_flight),
        cmocka_unit_test(test_trap_68_eviction),
        cmocka_unit_test(test_large_parameters),
        cmocka_unit_test(test_too_large_parameter),
        cmocka_unit_test(test_both_directions_full),
        cmocka_unit_test(test_copy_between),
        cmocka_unit_test(test_backend_ends),
        cmocka_unit_test(test_line_is_cut),
        cmocka_unit_test(test_cancellation),
        cmocka_unit_test(test_explain),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
