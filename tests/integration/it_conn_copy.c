/* labels: short */
/* timeout: 600 */
/*
 * Both COPY directions on a real server, past libpq (unix socket, TLS) and through it: rows of
 * every size against batches of every size, and every way in which a COPY ends badly. After each
 * the connection must be ready for the next statement, or known to be dead.
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

#include "pg/conn.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *cluster;
enum { PLAIN, TLS, TLS_BY_LIBPQ, WAYS };

static struct ph_endpoint endpoints[WAYS];

/* A certificate for the server, so that libpq encrypts. */
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
    assert_int_equal(ph_endpoint_init(&endpoints[PLAIN], PH_SOURCE,
                                      pg_test_conninfo(cluster, "postgres"), "t", &err),
                     PH_OK);
    const char *tls =
        scratch_printf("%s sslmode=require", pg_test_conninfo_tcp(cluster, "postgres"));
    for (size_t way = TLS; way < WAYS; way++)
        assert_int_equal(ph_endpoint_init(&endpoints[way], PH_SOURCE, tls, "t", &err), PH_OK);
    endpoints[TLS_BY_LIBPQ].only_libpq = true;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++)
        ph_endpoint_reset(&endpoints[way]);
    return 0;
}

static struct ph_conn *
open_conn(size_t way)
{
    struct ph_conn *conn = NULL;
    struct ph_error err;

    if (ph_conn_open(&endpoints[way], "copy", &conn, &err) != PH_OK)
        fail_msg("%s", err.message);
    char encrypted[8];
    assert_int_equal(ph_conn_value(conn,
                                   "SELECT ssl FROM pg_catalog.pg_stat_ssl"
                                   " WHERE pid = pg_catalog.pg_backend_pid()",
                                   encrypted, sizeof encrypted, &err),
                     PH_OK);
    assert_string_equal(encrypted, way != PLAIN ? "t" : "f");
    return conn;
}

static void
must(ph_code rc, const struct ph_error *err)
{
    if (rc != PH_OK)
        fail_msg("%s: %s", ph_code_text(rc), err->message);
}

/* The connection answers: nothing of a COPY is left on it. */
static void
check_ready(struct ph_conn *conn)
{
    struct ph_error err;
    char value[8];

    assert_true(ph_conn_is_alive(conn));
    must(ph_conn_value(conn, "SELECT 40 + 2", value, sizeof value, &err), &err);
    assert_string_equal(value, "42");
}

/* All of a COPY in one piece of memory of the caller's; batches of `size`, larger for large rows.
 */
static uint8_t *
read_all(struct ph_conn *conn, const char *sql, size_t size, size_t *total)
{
    uint8_t *batch = malloc(size);
    uint8_t *all = NULL;
    struct ph_error err;
    size_t room = 0;
    size_t len;

    *total = 0;
    must(ph_conn_copy_out_begin(conn, sql, &err), &err);
    for (;;) {
        ph_code rc = ph_conn_copy_out_read(conn, batch, size, &len, &err);
        if (rc == PH_E_ROW_TOO_LARGE) {
            assert_true(len > size);
            size = len;
            batch = realloc(batch, size);
            continue;
        }
        must(rc, &err);
        if (len == 0)
            break;
        assert_true(len <= size);
        if (*total + len > room)
            all = realloc(all, room = (*total + len) * 2);
        memcpy(all + *total, batch, len);
        *total += len;
    }
    free(batch);
    return all;
}

static void
check_round_trip(size_t way, const char *select, size_t batch, size_t slice)
{
    struct ph_conn *conn = open_conn(way);
    struct ph_error err;
    char value[64];
    uint64_t rows;
    size_t len;

    must(ph_conn_execf(conn, &err,
                       "DROP TABLE IF EXISTS public.a, public.b; CREATE TABLE public.a AS %s;"
                       " CREATE TABLE public.b AS TABLE public.a WITH NO DATA",
                       select),
         &err);
    uint8_t *all = read_all(conn, "COPY public.a TO STDOUT (FORMAT binary)", batch, &len);
    check_ready(conn);
    must(ph_conn_exec(conn, "BEGIN", &err), &err);
    must(ph_conn_copy_in_begin(conn, "COPY public.b FROM STDIN (FORMAT binary)", &err), &err);
    for (size_t at = 0; at < len; at += slice)
        must(ph_conn_copy_in_write(conn, all + at, len - at < slice ? len - at : slice, &err),
             &err);
    must(ph_conn_copy_in_end(conn, &rows, &err), &err);
    must(ph_conn_exec(conn, "COMMIT", &err), &err);
    must(ph_conn_value(
             conn,
             "SELECT (SELECT count(*) || ' ' || coalesce(md5(string_agg(a::text, ',' ORDER BY i)),"
             "'') FROM public.a) = (SELECT count(*) || ' ' ||"
             " coalesce(md5(string_agg(b::text, ',' ORDER BY i)), '') FROM public.b)",
             value, sizeof value, &err),
         &err);
    assert_string_equal(value, "t");
    must(ph_conn_value(conn, "SELECT count(*) FROM public.a", value, sizeof value, &err), &err);
    assert_int_equal(rows, strtoull(value, NULL, 10));
    free(all);
    ph_conn_free(conn);
}

static void
test_round_trips(void **state)
{
    static const char *const selects[] = {
        "SELECT i FROM generate_series(1, 0) i",
        "SELECT i, i::text AS t FROM generate_series(1, 50000) i",
        "SELECT i, repeat('x', i * 37 % 3000) AS t FROM generate_series(1, 3000) i",
        /* around the size of the buffer, and far over it */
        "SELECT i, repeat('y', 131050 + i) AS t FROM generate_series(1, 40) i",
        "SELECT i, repeat('z', i * 1000003) AS t FROM generate_series(0, 3) i",
    };
    static const size_t batches[] = {100, 4096, 262144};

    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof selects / sizeof *selects; i++) {
            for (size_t j = 0; j < sizeof batches / sizeof *batches; j++)
                check_round_trip(way, selects[i], batches[j], batches[2 - j]);
        }
    }
}

static void
test_source_fails_in_the_middle(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct ph_conn *conn = open_conn(way);
        static uint8_t batch[8192];
        struct ph_error err;
        size_t len = 0;
        ph_code rc;
        must(ph_conn_exec(conn, "BEGIN", &err), &err);
        must(ph_conn_copy_out_begin(
                 conn, "COPY (SELECT 1 / (20000 - i) FROM generate_series(1, 30000) i) TO STDOUT",
                 &err),
             &err);
        do
            rc = ph_conn_copy_out_read(conn, batch, sizeof batch, &len, &err);
        while (rc == PH_OK && len > 0);
        assert_int_equal(rc, PH_E_DATA);
        assert_string_equal(err.sqlstate, "22012");
        assert_true(ph_conn_is_alive(conn));
        assert_int_equal(ph_conn_exec(conn, "SELECT 1", &err), PH_E_SQL);
        assert_string_equal(err.sqlstate, "25P02");
        must(ph_conn_exec(conn, "ROLLBACK", &err), &err);
        check_ready(conn);
        ph_conn_free(conn);
    }
}

static void
test_statement_is_refused(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct ph_conn *conn = open_conn(way);
        struct ph_error err;
        assert_int_equal(ph_conn_copy_out_begin(conn, "COPY nosuch TO STDOUT", &err), PH_E_SQL);
        assert_string_equal(err.sqlstate, "42P01");
        check_ready(conn);
        assert_int_equal(ph_conn_copy_in_begin(conn, "COPY nosuch FROM STDIN", &err), PH_E_SQL);
        check_ready(conn);
        assert_int_not_equal(ph_conn_copy_out_begin(conn, "SELECT 1", &err), PH_OK);
        check_ready(conn);
        ph_conn_free(conn);
    }
}

/* Write the same wrong line over and over: the error comes back while data still goes out. */
static ph_code
write_wrong(struct ph_conn *conn, struct ph_error *err)
{
    static char lines[200000];
    uint64_t rows;
    ph_code rc = PH_OK;

    for (size_t i = 0; i + 8 <= sizeof lines; i += 8)
        memcpy(lines + i, "1\twrong\n", 8);
    must(ph_conn_copy_in_begin(conn, "COPY public.c FROM STDIN", err), err);
    for (int i = 0; i < 40 && rc == PH_OK; i++)
        rc = ph_conn_copy_in_write(conn, (const uint8_t *)lines, sizeof lines, err);
    return rc == PH_OK ? ph_conn_copy_in_end(conn, &rows, err) : rc;
}

static void
test_target_refuses_rows(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct ph_conn *conn = open_conn(way);
        struct ph_error err;
        must(ph_conn_exec(conn,
                          "DROP TABLE IF EXISTS public.c; CREATE TABLE public.c (i int,"
                          " t text CONSTRAINT short CHECK (length(t) < 4))",
                          &err),
             &err);
        must(ph_conn_exec(conn, "BEGIN", &err), &err);
        assert_int_equal(write_wrong(conn, &err), PH_E_CONSTRAINT);
        assert_string_equal(err.sqlstate, "23514");
        assert_string_equal(err.object, "public.c");
        ph_conn_copy_in_abort(conn, "given up");
        must(ph_conn_exec(conn, "ROLLBACK", &err), &err);
        check_ready(conn);
        ph_conn_free(conn);
    }
}

/* The server answers COMMIT with ROLLBACK, and calls that success. */
static void
test_commit_of_a_failed_transaction(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct ph_conn *conn = open_conn(way);
        struct ph_error err;
        must(ph_conn_exec(conn,
                          "DROP TABLE IF EXISTS public.c; CREATE TABLE public.c (i int,"
                          " t text CONSTRAINT short CHECK (length(t) < 4))",
                          &err),
             &err);
        must(ph_conn_exec(conn, "BEGIN", &err), &err);
        assert_int_equal(write_wrong(conn, &err), PH_E_CONSTRAINT);
        assert_int_equal(ph_conn_exec(conn, "COMMIT", &err), PH_E_SQL);
        must(ph_conn_exec(conn, "BEGIN", &err), &err);
        must(ph_conn_exec(conn, "COMMIT", &err), &err);
        ph_conn_free(conn);
    }
}

/* Values of rows do not belong in logs. */
static void
test_values_are_hidden(void **state)
{
    static const char *const statements[][2] = {
        {"SELECT '99999999999'::int", "value \"..\" is out of range for type integer"},
        {"SELECT '1e999'::float8", "\"..\" is out of range for type double precision"},
        {"SELECT 'secret'::int", "invalid input syntax for type integer"},
    };
    struct ph_conn *conn = open_conn(0);

    (void)state;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        struct ph_error err;
        assert_int_equal(ph_conn_exec(conn, statements[i][0], &err), PH_E_DATA);
        assert_string_equal(err.message, statements[i][1]);
    }
    ph_conn_free(conn);
}

static void
test_abort_leaves_nothing(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct ph_conn *conn = open_conn(way);
        struct ph_error err;
        char count[16];
        must(ph_conn_exec(conn, "DROP TABLE IF EXISTS public.d; CREATE TABLE public.d (i int)",
                          &err),
             &err);
        must(ph_conn_copy_in_begin(conn, "COPY public.d FROM STDIN", &err), &err);
        must(ph_conn_copy_in_write(conn, (const uint8_t *)"1\n2\n", 4, &err), &err);
        ph_conn_copy_in_abort(conn, "given up");
        check_ready(conn);
        must(ph_conn_value(conn, "SELECT count(*) FROM public.d", count, sizeof count, &err), &err);
        assert_string_equal(count, "0");
        ph_conn_free(conn);
    }
}

static void
end_backend(const struct ph_conn *conn)
{
    sql_once(cluster, "postgres",
             scratch_printf("SELECT pg_terminate_backend(%d, 5000)", ph_conn_backend_pid(conn)));
}

static void
test_backend_ends(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        static uint8_t batch[8192];
        struct ph_conn *conn = open_conn(way);
        struct ph_error err;
        size_t len = 1;
        ph_code rc = PH_OK;
        must(ph_conn_copy_out_begin(
                 conn, "COPY (SELECT i FROM generate_series(1, 3000000) i) TO STDOUT", &err),
             &err);
        must(ph_conn_copy_out_read(conn, batch, sizeof batch, &len, &err), &err);
        end_backend(conn);
        while (rc == PH_OK && len > 0)
            rc = ph_conn_copy_out_read(conn, batch, sizeof batch, &len, &err);
        assert_int_equal(rc, PH_E_CONNECT);
        assert_true(ph_error_is_retryable(&err));
        assert_false(ph_conn_is_alive(conn) && ph_conn_exec(conn, "SELECT 1", &err) == PH_OK);
        ph_conn_free(conn);

        conn = open_conn(way);
        must(ph_conn_exec(conn, "DROP TABLE IF EXISTS public.e; CREATE TABLE public.e (i int)",
                          &err),
             &err);
        must(ph_conn_copy_in_begin(conn, "COPY public.e FROM STDIN", &err), &err);
        end_backend(conn);
        rc = PH_OK;
        for (int i = 0; i < 1000 && rc == PH_OK; i++)
            rc = ph_conn_copy_in_write(conn, (const uint8_t *)"1\n2\n", 4, &err);
        uint64_t rows;
        if (rc == PH_OK)
            rc = ph_conn_copy_in_end(conn, &rows, &err);
        assert_int_equal(rc, PH_E_CONNECT);
        ph_conn_free(conn);
    }
}

static void *
cancel_when_stuck(void *arg)
{
    sql_wait_sleeper(cluster);
    ph_endpoint_cancel_all(arg);
    return NULL;
}

/* Reads rows that do not come, or writes more than a server takes that waits for a lock. */
static ph_code
get_stuck(struct ph_conn *conn, bool writes, struct ph_error *err)
{
    static uint8_t batch[65536];
    uint64_t rows;
    size_t len = 1;
    ph_code rc;

    rc = writes
             ? ph_conn_copy_in_begin(conn, "COPY public.s FROM STDIN", err)
             : ph_conn_copy_out_begin(
                   conn, "COPY (SELECT pg_sleep(i) FROM generate_series(0, 60) i) TO STDOUT", err);
    memset(batch, '\n', sizeof batch);
    for (int i = 0; i < 2000 && rc == PH_OK && len > 0; i++)
        rc = writes ? ph_conn_copy_in_write(conn, batch, sizeof batch, err)
                    : ph_conn_copy_out_read(conn, batch, 1024, &len, err);
    return rc == PH_OK && writes ? ph_conn_copy_in_end(conn, &rows, err) : rc;
}

static void
test_cancelled(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        for (int writes = 0; writes < 2; writes++) {
            struct ph_conn *conn = open_conn(way);
            PGconn *other = sql_connect(cluster, "postgres");
            struct ph_error err;
            pthread_t thread;
            sql_exec(other, "DROP TABLE IF EXISTS public.s; CREATE TABLE public.s (t text);"
                            " CREATE OR REPLACE FUNCTION public.halt() RETURNS trigger LANGUAGE"
                            " plpgsql AS 'BEGIN PERFORM pg_sleep(100); RETURN NEW; END';"
                            " CREATE TRIGGER halt BEFORE INSERT ON public.s FOR EACH ROW EXECUTE"
                            " FUNCTION public.halt()");
            assert_int_equal(pthread_create(&thread, NULL, cancel_when_stuck, &endpoints[way]), 0);
            assert_int_equal(get_stuck(conn, writes != 0, &err), PH_E_STOPPED);
            assert_false(ph_conn_is_alive(conn));
            pthread_join(thread, NULL);
            sql_end_sleepers(cluster);
            ph_conn_free(conn);
            ph_endpoint_reopen(&endpoints[way]);
            PQfinish(other);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_source_fails_in_the_middle),
        cmocka_unit_test(test_statement_is_refused),
        cmocka_unit_test(test_target_refuses_rows),
        cmocka_unit_test(test_commit_of_a_failed_transaction),
        cmocka_unit_test(test_values_are_hidden),
        cmocka_unit_test(test_abort_leaves_nothing),
        cmocka_unit_test(test_backend_ends),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
