/* labels: majors */
/* timeout: 900 */
/*
 * Sessions with walsenders, slots and publications on real servers of all majors that are there:
 * what was written comes out of the decoder, past libpq and through it (TLS), as text and binary.
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
static struct ph_endpoint tls;   /* of the 15 cluster: through libpq */

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

/* A certificate for the server, so that libpq encrypts and the stream has to go through it. */
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
    init_endpoint(&tls,
                  scratch_printf("%s sslmode=require", pg_test_conninfo_tcp(cluster, "postgres")));
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    ph_endpoint_reset(&plain);
    ph_endpoint_reset(&tls);
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
    while (!stream_model_has(f->model, "marker", f->markers))
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

static void
every_change_arrives(void **state)
{
    const struct ph_endpoint *ways[] = {&plain, &tls};

    (void)state;
    for (size_t way = 0; way < 2; way++) {
        for (int binary = 0; binary < 2; binary++) {
            struct follow f =
                follow_new(ways[way], "s1", binary == 0 ? PH_STREAM_TEXT : PH_STREAM_BINARY);
            all_changes(&f, 15);
            follow_end(&f);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_arrives),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
