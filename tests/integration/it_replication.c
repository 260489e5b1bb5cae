/* labels: majors */
/* timeout: 900 */
/*
 * Sessions with walsenders, slots and publications on real servers of all majors that are there:
 * what was written comes out of the decoder, past libpq and through it, as text and binary.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "model/lsn.h"
#include "pg/publication.h"
#include "pg/replication.h"
#include "pg/slot.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"
#include "support/stream_model.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pg_test_cluster *clusters[20];
static struct ph_endpoint plain; /* of the 15 cluster: the socket itself */
static struct ph_endpoint tls;   /* of the 15 cluster: on libpq's TLS session */
static struct ph_endpoint libpq; /* of the 15 cluster: TLS, through libpq, as under GSS */

static void
must(ph_code rc, const struct ph_error *err)
{
    if (rc != PH_OK)
        fail_msg("%s %s: %s (%s)", ph_code_text(rc), err->sqlstate, err->message, err->notes);
}

static struct pg_test_cluster *
cluster_of(int major)
{
    if (clusters[major] == NULL)
        clusters[major] = pg_test_cluster_new(
            &(struct pg_test_params){.major = major,
                                     .listen = PG_TEST_SOCKET_AND_TCP,
                                     .conf = "logical_decoding_work_mem = 64kB\n"});
    return clusters[major];
}

/* A certificate for the server, so that libpq encrypts. */
static void
enable_tls(struct pg_test_cluster *cluster)
{
    const char *argv[] = {
        "sh", "-ec",
        scratch_printf("cd %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x"
                       " -keyout server.key -out server.crt && chown --reference . server.key"
                       " server.crt && chmod 600 server.key",
                       cluster->data),
        NULL};

    run_expect(run_start(NULL, argv), 0);
    pg_test_cluster_conf(cluster, "ssl = on\n");
    pg_test_cluster_restart(cluster);
}

static void
init_endpoint(struct ph_endpoint *endpoint, const char *conninfo)
{
    struct ph_error err = {0};

    must(ph_endpoint_init(endpoint, PH_SOURCE, conninfo, "t", &err), &err);
}

static int
setup(void **state)
{
    (void)state;
    struct pg_test_cluster *cluster = cluster_of(15);
    enable_tls(cluster);
    init_endpoint(&plain, pg_test_conninfo(cluster, "postgres"));
    const char *encrypted =
        scratch_printf("%s sslmode=require", pg_test_conninfo_tcp(cluster, "postgres"));
    init_endpoint(&tls, encrypted);
    init_endpoint(&libpq, encrypted);
    libpq.only_libpq = true;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    ph_endpoint_reset(&plain);
    ph_endpoint_reset(&tls);
    ph_endpoint_reset(&libpq);
    return 0;
}

static struct ph_conn *
open_conn(const struct ph_endpoint *endpoint)
{
    struct ph_conn *conn = NULL;
    struct ph_error err = {0};

    must(ph_conn_open(endpoint, "test", &conn, &err), &err);
    return conn;
}

static struct ph_replication *
open_session(const struct ph_endpoint *endpoint, int sender_timeout_ms)
{
    const struct ph_replication_params params = {"stream", sender_timeout_ms};
    struct ph_replication *session = NULL;
    struct ph_error err = {0};

    must(ph_replication_open(endpoint, &params, &session, &err), &err);
    return session;
}

/* ---- one stream of a test ---- */

static const char TABLES[] =
    "DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;"
    "CREATE TABLE app.t (id int PRIMARY KEY, v text, n bigint, big text);"
    "ALTER TABLE app.t ALTER big SET STORAGE EXTERNAL;"
    "CREATE TABLE app.full (id int, v text); ALTER TABLE app.full REPLICA IDENTITY FULL;"
    "CREATE TABLE app.\"Odd \"\"x'\\\" (id int PRIMARY KEY, v text);"
    "CREATE TABLE app.part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES FROM (0) TO (100);"
    "CREATE TABLE app.part_2 PARTITION OF app.part DEFAULT;"
    "CREATE TABLE app.marker (id int PRIMARY KEY, v text)";

static const char *const names[] = {"t", "full", "Odd \"x'\\", "part", "marker"};
#define N_TABLES (sizeof names / sizeof *names)

struct follow {
    PGconn *sql;
    struct ph_conn *conn;
    struct ph_replication *session;
    struct stream_model *model;
    const char *slot;
    struct ph_stream_params params;
    uint32_t markers;
};

static const char *const publication[] = {"Pub \"1\", o'dd\\"};

static void
make_publication(struct ph_conn *conn)
{
    struct ph_rel rels[N_TABLES] = {0};
    const struct ph_rel *list[N_TABLES];
    struct ph_error err = {0};

    for (size_t i = 0; i < N_TABLES; i++) {
        rels[i].schema = "app";
        rels[i].name = names[i];
        rels[i].kind = strcmp(names[i], "part") == 0 ? PH_REL_PARTITIONED : PH_REL_TABLE;
        list[i] = &rels[i];
    }
    const struct ph_publication_params params = {
        .name = publication[0], .partitions = PH_PUBLISH_AS_ROOT, .rels = list, .n_rels = N_TABLES};
    must(ph_publication_create(conn, &params, &err), &err);
}

static struct follow
follow_new(const struct ph_endpoint *endpoint, const char *slot, enum ph_stream_values values)
{
    struct follow f = {.slot = slot};
    struct ph_slot_made made;
    struct ph_error err = {0};

    f.sql = sql_connect_to(endpoint->conninfo);
    f.conn = open_conn(endpoint);
    f.model = stream_model_new();
    sql_exec(f.sql, TABLES);
    make_publication(f.conn);
    f.session = open_session(endpoint, 0);
    const struct ph_slot_params params = {.name = slot};
    must(ph_replication_create_slot(f.session, &params, &made, &err), &err);
    assert_true(made.consistent_point > 0);
    f.params = (struct ph_stream_params){.slot = slot,
                                         .publications = publication,
                                         .n_publications = 1,
                                         .start_lsn = made.consistent_point,
                                         .values = values,
                                         .large = PH_STREAM_IN_BLOCKS};
    must(ph_replication_start(f.session, &f.params, &err), &err);
    return f;
}

/* Ends the stream, and begins it again on a new session. */
static void
follow_again(struct follow *f)
{
    const struct ph_endpoint *endpoint = ph_conn_endpoint(f->conn);
    struct ph_replication_system system;
    struct ph_error err = {0};

    must(ph_replication_stop(f->session, 60000, &err), &err);
    must(ph_replication_identify(f->session, &system, &err), &err);
    assert_int_equal(ph_replication_start(f->session, &f->params, &err), PH_E_INTERNAL);
    ph_replication_free(f->session);
    f->session = open_session(endpoint, 0);
    stream_model_session(f->model);
    must(ph_replication_start(f->session, &f->params, &err), &err);
}

static void
follow_end(struct follow *f)
{
    struct ph_error err = {0};

    ph_replication_free(f->session);
    must(ph_slot_drop(f->conn, f->slot, 10000, &err), &err);
    must(ph_publication_drop(f->conn, publication[0], &err), &err);
    must(ph_publication_drop(f->conn, publication[0], &err), &err);
    ph_conn_free(f->conn);
    stream_model_free(f->model);
    PQfinish(f->sql);
}

/* One message; waits for it. */
static struct ph_walsender_message
take(struct follow *f)
{
    struct pollfd fd = {.fd = ph_replication_fd(f->session), .events = POLLIN};
    struct ph_walsender_message message;
    struct ph_error err = {0};
    bool got = false;

    for (;;) {
        must(ph_replication_read(f->session, &message, &got, &err), &err);
        if (got)
            return message;
        if (poll(&fd, 1, 60000) <= 0)
            fail_msg("no message in a minute");
    }
}

static void
feed(struct follow *f)
{
    struct ph_walsender_message message = take(f);

    assert_true(message.sent_us > INT64_C(1700000000000000));
    if (message.item == PH_WALSENDER_DATA)
        stream_model_feed(f->model, message.payload);
}

static void
catch_up(struct follow *f)
{
    sql_execf(f->sql, "INSERT INTO app.marker VALUES (%u, 'x')", ++f->markers);
    while (!stream_model_has(f->model, "marker", f->markers) || f->model->in_transaction)
        feed(f);
}

static void
assert_same(struct follow *f)
{
    static const char *const queries[] = {
        "SELECT * FROM app.t ORDER BY id", "SELECT * FROM app.full ORDER BY id",
        "SELECT * FROM app.\"Odd \"\"x'\\\" ORDER BY id", "SELECT * FROM app.part ORDER BY id",
        "SELECT * FROM app.marker ORDER BY id"};

    catch_up(f);
    for (size_t i = 0; i < N_TABLES; i++) {
        const char *wanted = sql_rows(f->sql, queries[i]);
        const char *got = stream_model_rows(f->model, names[i]);
        if (strcmp(wanted, got) != 0)
            fail_msg("%s differs:\n%.2000s\n--\n%.2000s", names[i], wanted, got);
    }
}

/* ---- what is written ---- */

static void
small_changes(struct follow *f)
{
    sql_exec(f->sql, "INSERT INTO app.t SELECT i, 'v' || i, i * 10000000000, CASE WHEN i % 10 = 0"
                     " THEN repeat('x', 5000) END FROM generate_series(1, 50) i");
    sql_exec(f->sql, "UPDATE app.t SET v = 'u', n = NULL WHERE id % 4 = 0");
    sql_exec(f->sql, "UPDATE app.t SET id = id + 20000 WHERE id % 7 = 0");
    sql_exec(f->sql, "UPDATE app.t SET id = id + 40000 WHERE id = 20");
    sql_exec(f->sql, "DELETE FROM app.t WHERE id % 5 = 1");
    sql_exec(f->sql, "INSERT INTO app.full SELECT i, 'f' || i FROM generate_series(1, 20) i");
    sql_exec(f->sql, "UPDATE app.full SET v = NULL WHERE id < 5; DELETE FROM app.full WHERE"
                     " id > 15 OR id = 2");
    sql_exec(f->sql, "INSERT INTO app.\"Odd \"\"x'\\\" VALUES (1, ''), (2, E'tab\\t\\\\ \\n')");
    sql_exec(f->sql, "INSERT INTO app.part SELECT i, 'p' FROM generate_series(90, 110) i");
    sql_exec(f->sql, "UPDATE app.part SET id = id + 50 WHERE id BETWEEN 95 AND 97");
}

/* Many rows of 100 bytes in one statement, so that the transaction is streamed. */
static void
many(PGconn *conn, int from, int to, const char *text)
{
    sql_execf(conn,
              "INSERT INTO app.t SELECT i, '%s' || repeat('m', 100), i FROM"
              " generate_series(%d, %d) i",
              text, from, to);
}

static void
large_changes(struct follow *f)
{
    PGconn *other = sql_connect_to(f->conn != NULL ? ph_conn_endpoint(f->conn)->conninfo : "");

    sql_exec(f->sql, "BEGIN; SAVEPOINT a");
    many(f->sql, 1000, 2999, "a");
    sql_exec(f->sql, "ROLLBACK TO a");
    many(f->sql, 2000, 3499, "b");
    sql_exec(other, "BEGIN");
    many(other, 5000, 6999, "o");
    sql_exec(f->sql, "SAVEPOINT b; SAVEPOINT c");
    many(f->sql, 3500, 4999, "c");
    sql_exec(f->sql, "UPDATE app.full SET v = 'in c'; RELEASE c; ROLLBACK TO b; SAVEPOINT d");
    sql_exec(f->sql, "UPDATE app.t SET v = 'd' WHERE id BETWEEN 2000 AND 3499; RELEASE d");
    sql_exec(f->sql, "INSERT INTO app.part SELECT i, 's' FROM generate_series(300, 900) i");
    sql_exec(other, "DELETE FROM app.t WHERE id BETWEEN 5000 AND 5499");
    many(other, 7000, 8999, "p");
    sql_exec(f->sql, "INSERT INTO app.marker VALUES (60000, 'large'); COMMIT");
    sql_exec(other, "COMMIT; BEGIN");
    many(other, 10000, 12999, "gone");
    sql_exec(other, "SAVEPOINT s");
    many(other, 13000, 14999, "gone");
    sql_exec(other, "ROLLBACK");
    sql_exec(other, "BEGIN; SAVEPOINT s");
    many(other, 10000, 11999, "gone");
    sql_exec(other, "ROLLBACK TO s; INSERT INTO app.t VALUES (10000, 'stayed'); COMMIT");
    PQfinish(other);
}

static void
huge_rows(struct follow *f)
{
    sql_exec(f->sql, "INSERT INTO app.t SELECT 15000 + i, 'huge', i, repeat(i::text, 400000 * i)"
                     " FROM generate_series(1, 4) i");
    sql_exec(f->sql, "UPDATE app.t SET v = 'still huge' WHERE id = 15002");
    sql_exec(f->sql, "INSERT INTO app.t SELECT 16000 + i, repeat('k', 1000 * i) FROM"
                     " generate_series(1, 150, 7) i");
}

static void
truncates(struct follow *f)
{
    sql_exec(f->sql, "BEGIN; INSERT INTO app.t VALUES (19000, 'x'); TRUNCATE app.t, app.full;"
                     " INSERT INTO app.t VALUES (19001, 'y'); COMMIT");
    sql_exec(f->sql, "TRUNCATE app.part CASCADE");
}

static void
all_changes(struct follow *f, int major)
{
    small_changes(f);
    assert_same(f);
    assert_int_equal(f->model->streamed, 0);
    huge_rows(f);
    assert_same(f);
    large_changes(f);
    assert_same(f);
    assert_true(f->model->unchanged_fields > 0);
    assert_int_equal(f->model->streamed > 1, major >= 14);
    assert_int_equal(f->model->aborted > 2, major >= 14);
    assert_int_equal(f->model->binary_fields > 0,
                     major >= 14 && f->params.values == PH_STREAM_BINARY);
    truncates(f);
    assert_same(f);
}

/* TRAPS 16: subtransactions of streamed transactions that are rolled back, among all else. */
static void
trap_16_every_change_arrives(void **state)
{
    const struct ph_endpoint *ways[] = {&plain, &tls, &libpq};

    (void)state;
    for (size_t way = 0; way < 3; way++) {
        for (int binary = 0; binary < 2; binary++) {
            struct follow f =
                follow_new(ways[way], "s1", binary == 0 ? PH_STREAM_TEXT : PH_STREAM_BINARY);
            all_changes(&f, 15);
            follow_end(&f);
        }
    }
}

static void
session_is_pinned(void **state)
{
    struct ph_replication_system system;
    struct ph_error err = {0};

    (void)state;
    PGconn *sql = sql_connect_to(plain.conninfo);
    sql_exec(sql, "ALTER ROLE postgres SET datestyle = 'SQL, DMY';"
                  "ALTER ROLE postgres SET extra_float_digits = -10;"
                  "ALTER ROLE postgres SET timezone = 'Asia/Tokyo';"
                  "ALTER ROLE postgres SET intervalstyle = 'iso_8601';"
                  "ALTER ROLE postgres SET bytea_output = 'escape';"
                  "CREATE TABLE styles (id int PRIMARY KEY, d timestamptz, f float8, i interval,"
                  " b bytea); CREATE PUBLICATION styles FOR TABLE styles");
    struct ph_replication *session = open_session(&plain, 123456);
    must(ph_replication_identify(session, &system, &err), &err);
    assert_string_equal(system.system_id,
                        sql_value(sql, "SELECT system_identifier FROM pg_control_system()"));
    assert_int_equal(system.timeline, 1);
    assert_string_equal(system.database, "postgres");
    assert_true(system.flush_lsn > 0);
    assert_int_equal(ph_replication_version(session) / 10000, 15);
    struct ph_slot_made made;
    const struct ph_slot_params slot = {.name = "styles"};
    must(ph_replication_create_slot(session, &slot, &made, &err), &err);
    sql_exec(sql, "INSERT INTO styles VALUES (1, '2024-02-03 04:05:06.7+00', 0.1::float8 + 0.2,"
                  " '1 day 2 hours', '\\x00ff')");
    const char *const names_list[] = {"styles"};
    const struct ph_stream_params params = {
        .slot = "styles", .publications = names_list, .n_publications = 1};
    must(ph_replication_start(session, &params, &err), &err);
    struct follow f = {.session = session};
    struct ph_walsender_message message;
    do {
        message = take(&f);
    } while (message.item != PH_WALSENDER_DATA || message.payload.data[0] != 'I');
    struct ph_buf text;
    ph_buf_init(&text, 4096);
    for (size_t i = 0; i < message.payload.len; i++)
        ph_buf_putc(&text, message.payload.data[i] < 32 ? ' ' : (char)message.payload.data[i]);
    assert_non_null(strstr(ph_buf_text(&text), "2024-02-03 04:05:06.7+00"));
    assert_non_null(strstr(ph_buf_text(&text), "0.30000000000000004"));
    assert_non_null(strstr(ph_buf_text(&text), "1 day 02:00:00"));
    assert_non_null(strstr(ph_buf_text(&text), "\\x00ff"));
    ph_buf_free(&text);
    must(ph_replication_stop(session, 10000, &err), &err);
    must(ph_replication_stop(session, 10000, &err), &err);
    ph_replication_free(session);
    sql_exec(sql, "ALTER ROLE postgres RESET ALL; SELECT pg_drop_replication_slot('styles');"
                  "DROP PUBLICATION styles; DROP TABLE styles");
    PQfinish(sql);
}

static void
slot_exports_its_snapshot(void **state)
{
    struct ph_slot_made made;
    struct ph_slot slot;
    struct ph_error err = {0};
    bool found;

    (void)state;
    PGconn *sql = sql_connect_to(plain.conninfo);
    struct ph_conn *conn = open_conn(&plain);
    sql_exec(sql, "CREATE TABLE seen (id int); INSERT INTO seen VALUES (1)");
    struct ph_replication *session = open_session(&plain, 0);
    const struct ph_slot_params params = {.name = "snap", .wait_ms = 60000};
    must(ph_replication_create_slot(session, &params, &made, &err), &err);
    sql_exec(sql, "INSERT INTO seen VALUES (2)");
    sql_execf(sql, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '%s'",
              made.snapshot);
    assert_int_equal(sql_int(sql, "SELECT count(*) FROM seen"), 1);
    sql_exec(sql, "COMMIT");

    assert_int_equal(ph_replication_create_slot(session, &params, &made, &err), PH_E_SQL);
    assert_string_equal(err.sqlstate, "42710");
    assert_non_null(strstr(err.notes, "creating slot snap"));
    must(ph_slot_read(conn, "snap", &slot, &found, &err), &err);
    assert_true(found && slot.is_logical && !slot.is_temporary && !slot.is_active);
    assert_string_equal(slot.plugin, "pgoutput");
    assert_string_equal(slot.database, "postgres");
    assert_string_equal(slot.wal_status, "reserved");
    assert_true(slot.restart_lsn > 0 && slot.restart_lsn <= slot.confirmed_flush);
    assert_true(slot.kept_wal_bytes > 0 && slot.kept_wal_bytes < INT64_C(1) << 40);
    assert_int_equal(slot.safe_wal_bytes, -1);
    assert_int_equal(slot.xmin_age, -1);
    assert_true(slot.catalog_xmin_age >= 0);
    must(ph_slot_drop(conn, "snap", 1000, &err), &err);
    must(ph_slot_drop(conn, "snap", 1000, &err), &err);
    must(ph_slot_read(conn, "snap", &slot, &found, &err), &err);
    assert_false(found);

    const struct ph_slot_params failover = {.name = "snap", .failover = PH_SLOT_FAILOVER};
    assert_int_equal(ph_replication_create_slot(session, &failover, &made, &err), PH_E_UNSUPPORTED);
    const struct ph_slot_params odd = {.name = "Snap x"};
    assert_int_equal(ph_replication_create_slot(session, &odd, &made, &err), PH_E_SQL);
    assert_string_equal(err.sqlstate, "42602");
    ph_replication_free(session);
    sql_exec(sql, "DROP TABLE seen");
    PQfinish(sql);
    ph_conn_free(conn);
}

/* A transaction that runs when the slot's creation begins delays it (trap 54). */
static void
trap_54_slot_waits_for_transactions(void **state)
{
    struct ph_slot_made made;
    struct ph_slot slot;
    struct ph_error err = {0};
    bool found;

    (void)state;
    PGconn *sql = sql_connect_to(plain.conninfo);
    struct ph_conn *conn = open_conn(&plain);
    sql_exec(sql, "BEGIN; CREATE TABLE open_one (id int)");
    struct ph_replication *session = open_session(&plain, 0);
    const struct ph_slot_params params = {.name = "late", .wait_ms = 300};
    assert_int_equal(ph_replication_create_slot(session, &params, &made, &err), PH_E_NOT_READY);
    assert_non_null(strstr(err.hint, "pg_stat_activity"));
    must(ph_slot_read(conn, "late", &slot, &found, &err), &err);
    assert_false(found);
    sql_exec(sql, "ROLLBACK");
    must(ph_replication_create_slot(session, &params, &made, &err), &err);
    ph_replication_free(session);
    must(ph_slot_drop(conn, "late", 1000, &err), &err);
    ph_conn_free(conn);
    PQfinish(sql);
}

/* Keepalives are answered and the session lives; unanswered ones end it (trap 18). */
static void
trap_18_keepalives(void **state)
{
    const struct ph_walsender_status status = {0};
    struct ph_walsender_message message;
    struct ph_error err = {0};
    uint32_t asked = 0;
    bool got = false;

    (void)state;
    struct follow f = follow_new(&plain, "alive", PH_STREAM_TEXT);
    must(ph_replication_stop(f.session, 10000, &err), &err);
    ph_replication_free(f.session);
    f.session = open_session(&plain, 1000);
    must(ph_replication_start(f.session, &f.params, &err), &err);
    uint64_t began = ph_clock_ns();
    while (ph_clock_seconds_since(began) < 3.0) {
        message = take(&f);
        if (message.item != PH_WALSENDER_KEEPALIVE || !message.reply_wanted)
            continue;
        asked++;
        must(ph_replication_status(f.session, &status, &err), &err);
    }
    assert_true(asked >= 3);
    ph_code rc = PH_OK;
    while (rc == PH_OK && ph_clock_seconds_since(began) < 60.0) {
        struct pollfd fd = {.fd = ph_replication_fd(f.session), .events = POLLIN};
        rc = ph_replication_read(f.session, &message, &got, &err);
        if (rc == PH_OK && !got)
            (void)poll(&fd, 1, 1000);
    }
    assert_int_equal(rc, PH_E_CONNECT);
    assert_int_equal(ph_replication_read(f.session, &message, &got, &err), PH_E_INTERNAL);
    assert_int_equal(ph_replication_status(f.session, &status, &err), PH_E_INTERNAL);
    follow_end(&f);
}

static ph_lsn
confirmed(struct follow *f)
{
    struct ph_slot slot;
    struct ph_error err = {0};
    bool found;

    must(ph_slot_read(f->conn, f->slot, &slot, &found, &err), &err);
    assert_true(found);
    return slot.confirmed_flush;
}

/* What is acknowledged does not come again; what is not does, from the transaction's first row. */
static void
acknowledge(const struct ph_endpoint *endpoint)
{
    struct ph_error err = {0};
    struct follow f = follow_new(endpoint, "acks", PH_STREAM_TEXT);
    ph_lsn before = confirmed(&f);
    small_changes(&f);
    catch_up(&f);
    assert_int_equal(confirmed(&f), before);
    const struct ph_walsender_status status = {f.model->end_lsn, f.model->end_lsn, 0};
    must(ph_replication_status(f.session, &status, &err), &err);
    for (int i = 0; i < 2000 && confirmed(&f) < f.model->end_lsn; i++) {
        struct pollfd nothing = {.fd = -1};
        (void)poll(&nothing, 1, 5);
    }
    assert_int_equal(confirmed(&f), f.model->end_lsn);
    catch_up(&f);

    struct stream_model *again = stream_model_new();
    struct stream_model *first = f.model;
    f.model = again;
    follow_again(&f);
    f.markers = 100;
    catch_up(&f);
    assert_true(stream_model_has(again, "marker", 2));
    assert_false(stream_model_has(again, "marker", 1));
    assert_false(stream_model_has(again, "t", 2));
    stream_model_free(first);
    follow_end(&f);
}

/* TRAPS 19: to where was acknowledged, and not beyond. */
static void
trap_19_acknowledgement_moves_the_slot(void **state)
{
    (void)state;
    acknowledge(&plain);
    acknowledge(&tls);
    acknowledge(&libpq);
}

static void
logical_messages_arrive(void **state)
{
    struct ph_error err = {0};
    ph_lsn at;

    (void)state;
    struct follow f = follow_new(&plain, "words", PH_STREAM_TEXT);
    must(ph_message_emit(f.conn, PH_MESSAGE_AT_ONCE, "pghaul",
                         (struct ph_span){(const uint8_t *)"now \\ ' \xff", 9}, &at, &err),
         &err);
    assert_true(at > 0);
    catch_up(&f);
    assert_string_equal(f.model->message, "pghaul now \\ ' \xff");
    uint32_t transactions = f.model->transactions;
    must(ph_message_emit(f.conn, PH_MESSAGE_AT_COMMIT, "p", (struct ph_span){NULL, 0}, &at, &err),
         &err);
    while (f.model->transactions == transactions)
        feed(&f);
    assert_string_equal(f.model->message, "p ");
    follow_end(&f);
}

/* In the middle of a large transaction. */
static void
stop_and_start_again(void **state)
{
    const struct ph_endpoint *ways[] = {&plain, &tls, &libpq};

    (void)state;
    for (size_t way = 0; way < 3; way++) {
        struct follow f = follow_new(ways[way], "again", PH_STREAM_BINARY);
        many(f.sql, 1, 14000, "x");
        huge_rows(&f);
        feed(&f);
        for (int i = 0; i < 100; i++)
            feed(&f);
        follow_again(&f);
        assert_same(&f);
        follow_end(&f);
    }
}

/* A server that is busy sending does not see at once that nobody wants it. */
static void
stop_does_not_wait_long(void **state)
{
    const struct ph_endpoint *ways[] = {&plain, &tls, &libpq};
    struct ph_error err = {0};

    (void)state;
    for (size_t way = 0; way < 3; way++) {
        struct follow f = follow_new(ways[way], "hasty", PH_STREAM_TEXT);
        sql_exec(f.sql, "INSERT INTO app.t SELECT i, repeat('z', 500) FROM"
                        " generate_series(1, 60000) i");
        for (int i = 0; i < 100; i++)
            feed(&f);
        ph_code rc = ph_replication_stop(f.session, 1, &err);
        if (rc != PH_OK)
            assert_int_equal(rc, PH_E_CONNECT);
        follow_end(&f);
    }
}

/* ---- ends ---- */

struct canceller {
    const struct ph_endpoint *endpoint;
    int after_ms;
};

static void *
cancel_later(void *arg)
{
    const struct canceller *canceller = arg;

    (void)poll(NULL, 0, canceller->after_ms);
    ph_endpoint_cancel_all(canceller->endpoint);
    return NULL;
}

static ph_code
read_to_the_end(struct ph_replication *session, struct ph_error *err)
{
    struct pollfd fd = {.fd = ph_replication_fd(session), .events = POLLIN};
    struct ph_walsender_message message;
    bool got;

    for (;;) {
        ph_code rc = ph_replication_read(session, &message, &got, err);
        if (rc != PH_OK)
            return rc;
        if (!got && poll(&fd, 1, 60000) <= 0)
            fail_msg("nothing happened in a minute");
    }
}

static void
cancel_makes_calls_return(void **state)
{
    const struct ph_endpoint *ways[] = {&plain, &tls, &libpq};
    struct ph_error err = {0};
    struct ph_slot_made made;
    pthread_t thread;

    (void)state;
    for (size_t way = 0; way < 3; way++) {
        struct follow f = follow_new(ways[way], "stopped", PH_STREAM_TEXT);
        struct canceller canceller = {ways[way], 200};
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &canceller), 0);
        assert_int_equal(read_to_the_end(f.session, &err), PH_E_STOPPED);
        pthread_join(thread, NULL);
        ph_replication_free(f.session);
        ph_conn_free(f.conn);
        ph_endpoint_reopen(ways[way]);

        f.session = open_session(ways[way], 0);
        sql_exec(f.sql, "BEGIN; INSERT INTO app.marker VALUES (50000, 'open')");
        const struct ph_slot_params params = {.name = "never", .wait_ms = way == 0 ? 0 : 60000};
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &canceller), 0);
        assert_int_equal(ph_replication_create_slot(f.session, &params, &made, &err), PH_E_STOPPED);
        pthread_join(thread, NULL);
        ph_replication_free(f.session);
        sql_exec(f.sql, "ROLLBACK");
        ph_endpoint_reopen(ways[way]);
        f.session = NULL;
        f.conn = open_conn(ways[way]);
        follow_end(&f);
    }
}

static void
the_server_ends_it(void **state)
{
    const struct ph_endpoint *ways[] = {&plain, &tls, &libpq};
    struct ph_error err = {0};

    (void)state;
    for (size_t way = 0; way < 3; way++) {
        struct follow f = follow_new(ways[way], "ended", PH_STREAM_TEXT);
        sql_execf(f.sql, "SELECT pg_terminate_backend(%d)", ph_replication_backend_pid(f.session));
        assert_int_equal(read_to_the_end(f.session, &err), PH_E_CONNECT);
        assert_string_equal(err.sqlstate, "57P01");
        assert_true(ph_error_is_retryable(&err));
        ph_replication_free(f.session);
        f.session = open_session(ways[way], 0);
        f.params.publications = (const char *const[]){"there is none"};
        must(ph_replication_start(f.session, &f.params, &err), &err);
        sql_exec(f.sql, "INSERT INTO app.marker VALUES (1, 'x')");
        assert_int_equal(read_to_the_end(f.session, &err), PH_E_SQL);
        assert_string_equal(err.sqlstate, "42704");
        ph_replication_free(f.session);
        /* a server that stops waits for an answer, which nobody gives here */
        f.session = open_session(ways[way], 1500);
        f.params.slot = "there_is_none";
        assert_int_equal(ph_replication_start(f.session, &f.params, &err), PH_E_SQL);
        assert_string_equal(err.sqlstate, "42704");
        f.params.slot = f.slot;
        f.params.publications = publication;
        must(ph_replication_start(f.session, &f.params, &err), &err);
        pg_test_cluster_stop(cluster_of(15));
        assert_int_equal(read_to_the_end(f.session, &err), PH_E_CONNECT);
        pg_test_cluster_start(cluster_of(15));
        ph_conn_free(f.conn);
        PQfinish(f.sql);
        f.sql = sql_connect_to(ways[way]->conninfo);
        f.conn = open_conn(ways[way]);
        follow_end(&f);
    }
}

static void
slot_in_use_is_dropped(void **state)
{
    struct ph_error err = {0};
    struct ph_slot slot;
    bool found;

    (void)state;
    struct follow f = follow_new(&plain, "used", PH_STREAM_TEXT);
    must(ph_slot_read(f.conn, "used", &slot, &found, &err), &err);
    assert_true(slot.is_active);
    assert_int_equal(slot.active_pid, ph_replication_backend_pid(f.session));

    /* a role that may drop slots, but not end a superuser's session */
    sql_exec(f.sql, "CREATE ROLE dropper LOGIN REPLICATION");
    struct ph_endpoint weak;
    init_endpoint(&weak, scratch_printf("%s user=dropper", plain.conninfo));
    struct ph_conn *conn = open_conn(&weak);
    assert_int_equal(ph_slot_drop(conn, "used", 200, &err), PH_E_NOT_READY);
    assert_non_null(strstr(err.message, scratch_printf("process %d", slot.active_pid)));
    ph_conn_free(conn);
    ph_endpoint_reset(&weak);
    sql_exec(f.sql, "ALTER ROLE dropper NOREPLICATION");
    init_endpoint(&weak, scratch_printf("%s user=dropper", plain.conninfo));
    conn = open_conn(&weak);
    sql_exec(f.sql, "SELECT pg_create_logical_replication_slot('idle', 'pgoutput')");
    assert_int_equal(ph_slot_drop(conn, "idle", 20000, &err), PH_E_RIGHTS);
    must(ph_slot_drop(f.conn, "idle", 0, &err), &err);
    must(ph_slot_drop(f.conn, "used", 20000, &err), &err);
    assert_int_equal(read_to_the_end(f.session, &err), PH_E_CONNECT);
    must(ph_slot_drop(conn, "used", 0, &err), &err);

    struct ph_replication *session = NULL;
    const struct ph_replication_params params = {"stream", 0};
    ph_code rc = ph_replication_open(&weak, &params, &session, &err);
    assert_true(rc != PH_OK && session == NULL);
    ph_conn_free(conn);
    ph_endpoint_reset(&weak);
    sql_exec(f.sql, "DROP ROLE dropper");
    follow_end(&f);
}

/* ---- publications ---- */

static void
publications(void **state)
{
    enum { N = 1100 };
    static struct ph_rel rels[N];
    static const struct ph_rel *list[N];
    struct ph_publication read;
    struct ph_arena arena;
    struct ph_error err = {0};
    bool found;

    (void)state;
    PGconn *sql = sql_connect_to(plain.conninfo);
    struct ph_conn *conn = open_conn(&plain);
    ph_arena_init(&arena, 1 << 20);
    sql_exec(sql, "CREATE SCHEMA \"Many \"\"m\"; SET search_path = \"Many \"\"m\"");
    for (int i = 0; i < N; i++) {
        rels[i] = (struct ph_rel){.schema = "Many \"m",
                                  .name = scratch_printf("T'\\ %d\"\xc3\xa4", i),
                                  .kind = PH_REL_TABLE};
        list[i] = &rels[i];
        sql_execf(sql, "CREATE TABLE \"T'\\ %d\"\"\xc3\xa4\" (id int PRIMARY KEY)", i);
    }
    sql_exec(sql, "CREATE TABLE heir () INHERITS (\"T'\\ 0\"\"\xc3\xa4\")");
    struct ph_publication_params params = {
        .name = "all \"of them", .rels = list, .n_rels = N - 1, .lock_wait_ms = 200};
    must(ph_publication_create(conn, &params, &err), &err);
    must(ph_publication_read(conn, params.name, &arena, &read, &found, &err), &err);
    assert_true(found && read.inserts && read.updates && read.deletes && read.truncates);
    assert_false(read.for_all_tables || read.for_schemas);
    assert_int_equal(read.partitions, PH_PUBLISH_AS_LEAF);
    assert_int_equal(read.n_rels, N - 1); /* the heir is not among them */
    for (uint32_t i = 1; i < read.n_rels; i++)
        assert_true(read.rels[i - 1].oid < read.rels[i].oid);
    params.rels = list + N - 1;
    params.n_rels = 1;
    must(ph_publication_add(conn, &params, &err), &err);
    params.rels = list;
    params.n_rels = 3;
    must(ph_publication_remove(conn, &params, &err), &err);
    must(ph_publication_read(conn, params.name, &arena, &read, &found, &err), &err);
    assert_int_equal(read.n_rels, N - 3);

    sql_exec(sql, "BEGIN; LOCK TABLE \"T'\\ 1\"\"\xc3\xa4\"");
    assert_int_equal(ph_publication_add(conn, &params, &err), PH_E_SQL);
    assert_string_equal(err.sqlstate, "55P03");
    assert_non_null(strstr(err.notes, "publication all"));
    sql_exec(sql, "ROLLBACK");
    must(ph_publication_read(conn, params.name, &arena, &read, &found, &err), &err);
    assert_int_equal(read.n_rels, N - 3);
    assert_int_equal(ph_publication_create(conn, &params, &err), PH_E_SQL);
    assert_string_equal(err.sqlstate, "42710");
    must(ph_publication_drop(conn, params.name, &err), &err);
    must(ph_publication_read(conn, params.name, &arena, &read, &found, &err), &err);
    assert_false(found);

    sql_exec(sql, "CREATE PUBLICATION every FOR ALL TABLES");
    must(ph_publication_read(conn, "every", &arena, &read, &found, &err), &err);
    assert_true(found && read.for_all_tables && read.n_rels > N);
    sql_exec(sql, "DROP PUBLICATION every");
    sql_exec(sql, "CREATE PUBLICATION odd FOR TABLE \"T'\\ 5\"\"\xc3\xa4\" WHERE (id > 3),"
                  " \"T'\\ 6\"\"\xc3\xa4\" (id)"
                  " WITH (publish = 'insert', publish_via_partition_root = true);"
                  "CREATE PUBLICATION schemas FOR TABLES IN SCHEMA public");
    must(ph_publication_read(conn, "odd", &arena, &read, &found, &err), &err);
    assert_true(read.inserts && !read.updates && !read.deletes && !read.truncates);
    assert_int_equal(read.partitions, PH_PUBLISH_AS_ROOT);
    assert_int_equal(read.n_rels, 2);
    assert_true(read.rels[0].has_row_filter && !read.rels[0].has_column_list);
    assert_true(!read.rels[1].has_row_filter && read.rels[1].has_column_list);
    must(ph_publication_read(conn, "schemas", &arena, &read, &found, &err), &err);
    assert_true(found && read.for_schemas && !read.for_all_tables);
    sql_exec(sql, "DROP PUBLICATION odd, schemas");
    ph_arena_reset(&arena);
    ph_conn_free(conn);
    PQfinish(sql);
}

/* ---- other majors ---- */

static void
failover_slot(const struct ph_endpoint *endpoint)
{
    const struct ph_slot_params params = {.name = "fail_over", .failover = PH_SLOT_FAILOVER};
    struct ph_replication *session = open_session(endpoint, 0);
    struct ph_conn *conn = open_conn(endpoint);
    struct ph_slot_made made;
    struct ph_slot slot;
    struct ph_error err = {0};
    bool found;

    must(ph_replication_create_slot(session, &params, &made, &err), &err);
    assert_true(made.snapshot[0] != '\0' && made.consistent_point > 0);
    must(ph_slot_read(conn, "fail_over", &slot, &found, &err), &err);
    assert_true(found && slot.has_failover && !slot.is_synced && !slot.is_conflicting);
    assert_string_equal(slot.invalidation, "");
    ph_replication_free(session);
    must(ph_slot_drop(conn, "fail_over", 1000, &err), &err);
    ph_conn_free(conn);
}

static void
other_origins_are_left_out(struct follow *f)
{
    f->params.origins = PH_STREAM_OWN_ORIGIN;
    f->params.start_lsn = f->model->end_lsn;
    follow_again(f);
    sql_exec(f->sql, "SELECT pg_replication_origin_create('there');"
                     "SELECT pg_replication_origin_session_setup('there')");
    sql_exec(f->sql, "INSERT INTO app.marker VALUES (40000, 'not ours')");
    sql_exec(f->sql, "SELECT pg_replication_origin_session_reset();"
                     "SELECT pg_replication_origin_drop('there')");
    catch_up(f);
    assert_false(stream_model_has(f->model, "marker", 40000));
}

static void
on_major(int major)
{
    struct ph_endpoint endpoint;
    struct ph_error err = {0};

    if (!pg_test_major_present(major)) {
        print_message("SKIPPED %d: not installed\n", major);
        return;
    }
    init_endpoint(&endpoint, pg_test_conninfo(cluster_of(major), "postgres"));
    for (int binary = 0; binary < 2; binary++) {
        struct follow f =
            follow_new(&endpoint, "s1", binary == 0 ? PH_STREAM_TEXT : PH_STREAM_BINARY);
        all_changes(&f, major);
        if (major >= 16 && binary == 1) {
            other_origins_are_left_out(&f);
        } else if (major < 16) {
            ph_replication_free(f.session);
            f.session = open_session(&endpoint, 0);
            f.params.origins = PH_STREAM_OWN_ORIGIN;
            assert_int_equal(ph_replication_start(f.session, &f.params, &err), PH_E_UNSUPPORTED);
        }
        follow_end(&f);
    }
    if (major >= 17)
        failover_slot(&endpoint);
    struct ph_publication read;
    struct ph_arena arena;
    bool found;
    struct ph_conn *conn = open_conn(&endpoint);
    ph_arena_init(&arena, 1 << 20);
    make_publication(conn);
    must(ph_publication_read(conn, publication[0], &arena, &read, &found, &err), &err);
    assert_true(found && read.n_rels == N_TABLES && !read.rels[0].has_column_list);
    must(ph_publication_drop(conn, publication[0], &err), &err);
    ph_arena_reset(&arena);
    ph_conn_free(conn);
    ph_endpoint_reset(&endpoint);
    pg_test_cluster_stop(cluster_of(major));
}

static void
every_major(void **state)
{
    static const int majors[] = {13, 14, 16, 17, 18};

    (void)state;
    for (size_t i = 0; i < sizeof majors / sizeof *majors; i++)
        on_major(majors[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_16_every_change_arrives),
        cmocka_unit_test(session_is_pinned),
        cmocka_unit_test(slot_exports_its_snapshot),
        cmocka_unit_test(trap_54_slot_waits_for_transactions),
        cmocka_unit_test(trap_18_keepalives),
        cmocka_unit_test(trap_19_acknowledgement_moves_the_slot),
        cmocka_unit_test(logical_messages_arrive),
        cmocka_unit_test(stop_and_start_again),
        cmocka_unit_test(stop_does_not_wait_long),
        cmocka_unit_test(cancel_makes_calls_return),
        cmocka_unit_test(the_server_ends_it),
        cmocka_unit_test(slot_in_use_is_dropped),
        cmocka_unit_test(publications),
        cmocka_unit_test(every_major),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
