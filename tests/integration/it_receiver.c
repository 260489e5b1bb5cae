/* labels: majors */
/* timeout: 900 */
/*
 * The receiver against a real server: what was committed is in the spool, once, whatever happens to
 * the connection, the server or the receiver in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "flow/receiver.h"
#include "model/lsn.h"
#include "pg/slot.h"
#include "spool/reader.h"
#include "support/proxy.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"
#include "support/stream_model.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static struct pg_test_cluster *usual;  /* runs all the time */
static struct pg_test_cluster *source; /* of the test at hand */
static struct ph_endpoint endpoint;

static void
must(ph_code rc, const struct ph_error *err)
{
    if (rc != PH_OK)
        fail_msg("%s %s: %s (%s)", ph_code_text(rc), err->sqlstate, err->message, err->notes);
}

static void
use_source(struct pg_test_cluster *cluster)
{
    struct ph_error err = {0};

    source = cluster;
    ph_endpoint_reset(&endpoint);
    must(ph_endpoint_init(&endpoint, PH_SOURCE, pg_test_conninfo(source, "postgres"), "t", &err),
         &err);
}

static int
with_usual(void **state)
{
    (void)state;
    use_source(usual);
    return 0;
}

static int
setup(void **state)
{
    (void)state;
    usual = pg_test_cluster_new(&(struct pg_test_params){
        .listen = PG_TEST_SOCKET,
        .conf = "logical_decoding_work_mem = 64kB\nmax_replication_slots = 20\n"
                "max_wal_senders = 20\n"});
    use_source(usual);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    ph_endpoint_reset(&endpoint);
    return 0;
}

/* ---- one stream of a test ---- */

static const char TABLES[] =
    "DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;"
    "CREATE TABLE app.log (id int PRIMARY KEY, v text); CREATE SEQUENCE app.ids;"
    "CREATE TABLE app.acct (id int PRIMARY KEY, n bigint);"
    "CREATE TABLE app.big (id int PRIMARY KEY, v text);"
    "CREATE TABLE app.marker (id int PRIMARY KEY, v text);"
    "CREATE TABLE app.unpublished (v text);"
    "DROP PUBLICATION IF EXISTS p; CREATE PUBLICATION p FOR TABLE app.log, app.acct, app.big,"
    " app.marker";

static const char *const publications[] = {"p"};

/* A message of a transaction that has not committed yet: it may be annulled. */
struct held {
    struct held *next;
    size_t len;
    uint8_t bytes[];
};

struct follow {
    PGconn *sql;
    struct ph_receiver_params params;
    struct ph_spool_params spool_params;
    struct ph_spool *spool;
    struct ph_receiver *receiver;
    struct ph_spool_reader *reader;
    struct stream_model *model;
    struct held *first;
    struct held **last;
    ph_lsn made;
    uint32_t markers;
    uint32_t sessions;
};

static void
start_receiver(struct follow *f)
{
    struct ph_error err = {0};

    must(ph_receiver_start(&f->params, &f->receiver, &err), &err);
}

static void
open_spool(struct follow *f)
{
    struct ph_error err = {0};

    must(ph_spool_open(&f->spool_params, &f->spool, &err), &err);
    f->spool_params.mode = PH_SPOOL_OPEN;
    f->params.spool = f->spool;
}

/* Tables, slot, spool; not started. */
static struct follow
follow_new(const char *slot)
{
    struct follow f = {.sql = sql_connect(source, "postgres"), .model = stream_model_new()};

    sql_exec(f.sql, TABLES);
    sql_execf(f.sql, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", slot);
    const char *at = sql_valuef(f.sql,
                                "SELECT confirmed_flush_lsn FROM pg_replication_slots"
                                " WHERE slot_name = '%s'",
                                slot);
    assert_true(ph_lsn_parse(at, &f.made));
    f.spool_params = (struct ph_spool_params){.dir = scratch_new_dir("spool"),
                                              .id = ph_spool_id_of("t"),
                                              .mode = PH_SPOOL_CREATE,
                                              .packing = PH_PACK_LZ4,
                                              .begin = f.made};
    f.params = (struct ph_receiver_params){
        .source = &endpoint,
        .slot = slot,
        .publications = publications,
        .n_publications = 1,
        .values = PH_STREAM_BINARY,
        .large = PH_STREAM_IN_BLOCKS,
        .system_id = sql_value(f.sql, "SELECT system_identifier FROM pg_control_system()"),
        .timeline = 1,
        .applied = f.made};
    return f;
}

static void
open_reader(struct follow *f, ph_lsn from)
{
    struct ph_error err = {0};

    must(ph_spool_reader_open(f->spool, from, &f->reader, &err), &err);
}

static struct follow
follow_start(const char *slot)
{
    struct follow f = follow_new(slot);

    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    return f;
}

static void
drop_held(struct follow *f)
{
    while (f->first != NULL) {
        struct held *next = f->first->next;
        free(f->first);
        f->first = next;
    }
    f->last = &f->first;
}

static void
stop_receiver(struct follow *f)
{
    if (f->receiver == NULL)
        return;
    ph_receiver_stop(f->receiver);
    ph_receiver_free(f->receiver);
    f->receiver = NULL;
}

static void
follow_end(struct follow *f)
{
    stop_receiver(f);
    ph_spool_reader_close(f->reader);
    ph_spool_close(f->spool);
    drop_held(f);
    stream_model_free(f->model);
    sql_execf(f->sql,
              "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
              " WHERE slot_name = '%s'",
              f->params.slot);
    PQfinish(f->sql);
}

static struct ph_receiver_look
look(struct follow *f)
{
    struct ph_receiver_look seen;

    ph_receiver_look(f->receiver, &seen);
    return seen;
}

/* ---- reading the spool ---- */

static void
hold(struct follow *f, struct ph_span message)
{
    struct held *held = malloc(sizeof *held + message.len);

    assert_non_null(held);
    held->next = NULL;
    held->len = message.len;
    memcpy(held->bytes, message.data, message.len);
    if (f->first == NULL)
        f->last = &f->first;
    *f->last = held;
    f->last = &held->next;
}

static void
feed_held(struct follow *f)
{
    for (const struct held *at = f->first; at != NULL; at = at->next)
        stream_model_feed(f->model, (struct ph_span){at->bytes, at->len});
    drop_held(f);
}

/* The spool keeps it without the xid that it has inside of blocks. */
static void
feed_definition(struct follow *f, uint32_t xid, struct ph_span plain)
{
    uint8_t *bytes = malloc(plain.len + 4);

    assert_non_null(bytes);
    bytes[0] = plain.data[0];
    ph_store_u32(bytes + 1, xid);
    memcpy(bytes + 5, plain.data + 1, plain.len - 1);
    stream_model_feed(f->model, (struct ph_span){bytes, plain.len + 4});
    free(bytes);
}

static void
take_item(struct follow *f, const struct ph_spool_step *step, const struct ph_spool_item *item)
{
    /* what a streamed transaction had defined: the model has seen it inside its blocks */
    if (item->kind == PH_SPOOL_SCHEMA && step->what == PH_READ_STREAM_COMMIT)
        return;
    if (item->kind == PH_SPOOL_SCHEMA && step->what == PH_READ_STREAM) {
        feed_definition(f, step->xid, item->bytes);
        return;
    }
    if (step->what != PH_READ_CHANGES) {
        stream_model_feed(f->model, item->bytes);
        return;
    }
    hold(f, item->bytes);
    if (item->kind == PH_SPOOL_COMMIT)
        feed_held(f);
}

/* One step; false: there is none within wait_ms. */
static bool
read_step(struct follow *f, uint32_t wait_ms)
{
    struct ph_spool_step step;
    struct ph_spool_item item;
    struct ph_error err = {0};
    bool more = true;

    must(ph_spool_reader_next(f->reader, wait_ms, &step, &err), &err);
    if (step.what == PH_READ_NOTHING)
        return false;
    if (step.what == PH_READ_SESSION) {
        f->sessions++;
        drop_held(f);
        stream_model_session(f->model);
    }
    for (;;) {
        must(ph_spool_reader_message(f->reader, &item, &more, &err), &err);
        if (!more)
            return true;
        take_item(f, &step, &item);
    }
}

static void
catch_up(struct follow *f)
{
    uint64_t began = ph_clock_ns();

    sql_execf(f->sql, "INSERT INTO app.marker VALUES (%u, 'x')", ++f->markers);
    while (!stream_model_has(f->model, "marker", f->markers)) {
        struct ph_receiver_look seen = look(f);
        if (seen.state == PH_RECEIVER_FAILED)
            fail_msg("given up: %s (%s)", seen.trouble.message, seen.trouble.notes);
        if (!read_step(f, 100) && ph_clock_seconds_since(began) > 120)
            fail_msg("not caught up: state %d, %s", (int)seen.state, seen.trouble.message);
    }
}

static void
assert_same(struct follow *f)
{
    static const char *const names[] = {"log", "acct", "big", "marker"};

    catch_up(f);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *wanted =
            sql_rows(f->sql, scratch_printf("SELECT * FROM app.%s ORDER BY id", names[i]));
        const char *got = stream_model_rows(f->model, names[i]);
        if (strcmp(wanted, got) != 0)
            fail_msg("%s differs: %zu and %zu bytes\n%.300s\n--\n%.300s", names[i], strlen(wanted),
                     strlen(got), wanted, got);
    }
}

/* ---- writers ---- */

/* Many small transactions, of one row in the log each, as long as it is told. */
struct writer {
    pthread_t thread;
    const char *conninfo;
    atomic_bool over;
    atomic_uint committed; /* at least */
    unsigned seed;
};

static bool
try(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    bool good =
        PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;

    PQclear(result);
    return good;
}

static void *
write_on(void *arg)
{
    struct writer *w = arg;
    PGconn *conn = NULL;

    while (!atomic_load(&w->over)) {
        char sql[400];
        if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
            PQfinish(conn);
            conn = PQconnectdb(w->conninfo);
            (void)poll(NULL, 0, 20);
            continue;
        }
        unsigned n = atomic_load(&w->committed);
        snprintf(sql, sizeof sql,
                 "BEGIN; INSERT INTO app.log VALUES (nextval('app.ids'), repeat('l', %u));"
                 " INSERT INTO app.acct VALUES (%u, 1) ON CONFLICT (id) DO UPDATE SET n ="
                 " acct.n + 1; %s",
                 n % 97, (w->seed + n * 7) % 50, n % 11 == 3 ? "ROLLBACK" : "COMMIT");
        if (try(conn, sql))
            atomic_fetch_add(&w->committed, 1);
        else
            (void)try(conn, "ROLLBACK");
        (void)poll(NULL, 0, 1);
    }
    PQfinish(conn);
    return NULL;
}

static void
writer_begin(struct writer *w, unsigned seed)
{
    *w = (struct writer){.conninfo = pg_test_conninfo(source, "postgres"), .seed = seed};
    assert_int_equal(pthread_create(&w->thread, NULL, write_on, w), 0);
}

static void
writer_end(struct writer *w)
{
    atomic_store(&w->over, true);
    pthread_join(w->thread, NULL);
}

/* Every transaction has one row in the log, or is a marker, or of the large ones. */
static void
assert_transactions(struct follow *f, int64_t others)
{
    int64_t wanted = sql_int(f->sql, "SELECT count(*) FROM app.log") + (int64_t)f->markers + others;

    assert_int_equal(f->model->transactions, wanted);
}

static void
read_for(struct follow *f, double seconds)
{
    uint64_t began = ph_clock_ns();

    while (ph_clock_seconds_since(began) < seconds)
        (void)read_step(f, 20);
}

static void
many(PGconn *conn, int from, int to, const char *text)
{
    sql_execf(conn,
              "INSERT INTO app.big SELECT i, '%s' || repeat('m', 100) FROM"
              " generate_series(%d, %d) i",
              text, from, to);
}

static void
end_walsenders(PGconn *conn)
{
    sql_exec(conn,
             "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
}

static ph_lsn
lsn_of(const char *text)
{
    ph_lsn lsn = 0;

    assert_true(ph_lsn_parse(text, &lsn));
    return lsn;
}

static ph_lsn
confirmed(struct follow *f)
{
    return lsn_of(sql_valuef(f->sql,
                             "SELECT confirmed_flush_lsn FROM pg_replication_slots"
                             " WHERE slot_name = '%s'",
                             f->params.slot));
}

struct wanted_lsn {
    struct follow *follow;
    ph_lsn at_least;
};

static bool
is_confirmed(void *arg)
{
    struct wanted_lsn *wanted = arg;

    return confirmed(wanted->follow) >= wanted->at_least;
}

static void
wait_confirmed(struct follow *f, ph_lsn at_least, int deadline_ms)
{
    struct wanted_lsn wanted = {f, at_least};

    if (!scratch_wait(is_confirmed, &wanted, deadline_ms))
        fail_msg("confirmed_flush stays at %" PRIx64 ", wanted %" PRIx64, confirmed(f), at_least);
}

struct wanted_state {
    struct follow *follow;
    enum ph_receiver_state state;
};

static bool
is_in_state(void *arg)
{
    struct wanted_state *wanted = arg;

    return look(wanted->follow).state == wanted->state;
}

static void
wait_state(struct follow *f, enum ph_receiver_state state, int deadline_ms)
{
    struct wanted_state wanted = {f, state};

    if (!scratch_wait(is_in_state, &wanted, deadline_ms)) {
        struct ph_receiver_look seen = look(f);
        fail_msg("state is %d, not %d: %s", (int)seen.state, (int)state, seen.trouble.message);
    }
}

/* ---- what arrives ---- */

/* Large ones among them, with parts rolled back, and one that is rolled back whole. */
static void
write_large(struct follow *f)
{
    PGconn *other = sql_connect(source, "postgres");

    sql_exec(f->sql, "BEGIN; SAVEPOINT a");
    many(f->sql, 1, 3000, "a");
    sql_exec(f->sql, "ROLLBACK TO a");
    many(f->sql, 2000, 4000, "b");
    sql_exec(other, "BEGIN");
    many(other, 5000, 7000, "o");
    sql_exec(f->sql, "SAVEPOINT c");
    many(f->sql, 1000, 1500, "c");
    sql_exec(f->sql, "COMMIT");
    many(other, 7001, 9000, "p");
    sql_exec(other, "COMMIT; BEGIN");
    many(other, 10000, 12000, "gone");
    sql_exec(other, "ROLLBACK");
    sql_exec(other, "INSERT INTO app.big VALUES (20000, repeat('h', 3000000))");
    sql_exec(other, "SELECT pg_logical_emit_message(false, 'p', 'aside')");
    PQfinish(other);
}

static void
all_of_it(const char *slot)
{
    bool in_blocks = source->params.major == 0 || source->params.major >= 14;
    struct writer writers[2];

    struct follow f = follow_start(slot);
    writer_begin(&writers[0], 1);
    writer_begin(&writers[1], 2);
    write_large(&f);
    read_for(&f, 1.0);
    writer_end(&writers[0]);
    writer_end(&writers[1]);
    assert_same(&f);
    assert_transactions(&f, 3);
    assert_int_equal(f.model->streamed, in_blocks ? 2 : 0);
    /* 18 does not begin to send what it knows to be rolled back */
    assert_true(f.model->aborted >= 2 || !in_blocks || source->params.major >= 18);
    assert_int_equal(f.sessions, 1);

    wait_confirmed(&f, f.model->end_lsn, 10000);
    struct ph_receiver_look seen = look(&f);
    assert_int_equal(seen.state, PH_RECEIVER_STREAMING);
    assert_int_equal(seen.sessions, 1);
    assert_int_equal(seen.repeated, 0);
    assert_int_equal(seen.transactions, f.model->transactions);
    assert_true(seen.messages > seen.transactions && seen.bytes > 3000000);
    assert_true(seen.source_end >= f.model->end_lsn);
    assert_true(seen.last_sent_us > INT64_C(1700000000000000) && seen.last_input_ns > 0);
    assert_string_equal(seen.trouble.message, "");
    follow_end(&f);
}

static void
all_of_it_arrives_once(void **state)
{
    (void)state;
    all_of_it("all");
    endpoint.only_libpq = true;
    all_of_it("libpq");
    endpoint.only_libpq = false;
}

static void
on_every_major(void **state)
{
    static const int majors[] = {13, 14, 16, 17, 18};

    (void)state;
    for (size_t i = 0; i < sizeof majors / sizeof *majors; i++) {
        if (!pg_test_major_present(majors[i])) {
            print_message("SKIPPED %d: not installed\n", majors[i]);
            continue;
        }
        use_source(pg_test_cluster_new(&(struct pg_test_params){
            .major = majors[i], .conf = "logical_decoding_work_mem = 64kB\n"}));
        all_of_it("all");
        pg_test_cluster_stop(source);
    }
}

/* Walsenders ended again and again, then the whole server killed, all under load. */
static void
lost_connections_lose_nothing(void **state)
{
    struct writer writer;

    (void)state;
    struct follow f = follow_start("lost");
    writer_begin(&writer, 3);
    for (int i = 0; i < 6; i++) {
        read_for(&f, 0.3);
        end_walsenders(f.sql);
    }
    read_for(&f, 0.5);
    PQfinish(f.sql);
    pg_test_cluster_kill(source);
    read_for(&f, 0.5);
    pg_test_cluster_start(source);
    f.sql = sql_connect(source, "postgres");
    read_for(&f, 1.0);
    writer_end(&writer);
    assert_same(&f);
    assert_transactions(&f, 0);
    assert_true(f.sessions >= 5);
    assert_int_equal(look(&f).sessions, f.sessions);
    wait_confirmed(&f, f.model->end_lsn, 10000);
    follow_end(&f);
}

/* Large transactions under way when the connection is lost come again whole, and count once. */
static void
large_transactions_come_again(void **state)
{
    struct ph_spool_positions positions;

    (void)state;
    struct follow f = follow_start("large");
    PGconn *large = sql_connect(source, "postgres");
    PGconn *small = sql_connect(source, "postgres");
    for (int round = 0; round < 2; round++) {
        sql_exec(large, "BEGIN");
        for (int i = 0; i < 4; i++) {
            many(large, round * 10000 + i * 2000, round * 10000 + i * 2000 + 1999, "l");
            sql_execf(large, "SAVEPOINT s%d", i);
            sql_execf(small, "INSERT INTO app.log VALUES (nextval('app.ids'), 'between')");
            catch_up(&f);
            ph_spool_get_positions(f.spool, &positions);
            assert_int_equal(positions.open_streams, 1);
            /* when the last part was interrupted, too, it comes whole, for no more is written */
            if (i < 3 || round == 1)
                end_walsenders(f.sql);
        }
        sql_exec(large, "ROLLBACK TO s2; COMMIT");
        assert_same(&f);
        assert_transactions(&f, round + 1);
        assert_int_equal(f.model->streamed, 1);
        ph_spool_get_positions(f.spool, &positions);
        assert_int_equal(positions.open_streams, 0);
    }
    PQfinish(large);
    PQfinish(small);
    follow_end(&f);
}

/* Nothing of ours is written, yet the slot moves, and the spool hardly grows (trap 22). */
static void
trap_22_idle_tables(void **state)
{
    struct ph_spool_positions before;
    struct ph_spool_positions after;

    (void)state;
    struct follow f = follow_start("idle");
    catch_up(&f);
    ph_spool_get_positions(f.spool, &before);
    for (int i = 0; i < 3; i++) {
        sql_exec(f.sql, "INSERT INTO app.unpublished SELECT repeat('u', 1000) FROM"
                        " generate_series(1, 2000)");
        wait_confirmed(&f, lsn_of(sql_value(f.sql, "SELECT pg_current_wal_flush_lsn()")), 10000);
    }
    ph_spool_get_positions(f.spool, &after);
    assert_true(after.written > before.written + 3000000);
    assert_true(after.bytes < before.bytes + 100 * 80);
    assert_int_equal(look(&f).sessions, 1);
    follow_end(&f);
}

/* The server does not wait for its time limit when it shuts down: it gets its acknowledgement. */
static void
shutdown_is_not_held_up(void **state)
{
    (void)state;
    struct follow f = follow_start("shut");
    catch_up(&f);
    sql_exec(f.sql, "INSERT INTO app.unpublished VALUES ('u')");
    PQfinish(f.sql);
    uint64_t began = ph_clock_ns();
    pg_test_cluster_stop(source);
    assert_true(ph_clock_seconds_since(began) < 20.0);
    wait_state(&f, PH_RECEIVER_WAITING, 10000);
    assert_int_equal(look(&f).trouble.code, PH_E_CONNECT);
    pg_test_cluster_start(source);
    f.sql = sql_connect(source, "postgres");
    assert_same(&f);
    follow_end(&f);
}

static void
small_time_limit_is_kept(void **state)
{
    (void)state;
    struct follow f = follow_new("timed");
    f.params.sender_timeout_ms = 1000;
    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    assert_same(&f);
    (void)poll(NULL, 0, 4000);
    assert_same(&f);
    assert_int_equal(look(&f).sessions, 1);
    follow_end(&f);
}

/* ---- the spool is full ---- */

static void
limit_stops_reading_and_prune_resumes(void **state)
{
    struct ph_spool_positions positions;
    struct ph_error err = {0};

    (void)state;
    struct follow f = follow_new("limit");
    f.params.sender_timeout_ms = 1000;
    f.spool_params.limit_bytes = 400000;
    f.spool_params.packing = PH_PACK_NONE;
    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    catch_up(&f);
    for (int i = 0; i < 400; i++)
        many(f.sql, i * 100, i * 100 + 99, "f");
    wait_state(&f, PH_RECEIVER_PAUSED, 10000);
    assert_int_equal(look(&f).trouble.code, PH_E_SPOOL_LIMIT);
    (void)poll(NULL, 0, 4000); /* the server would have hung up by now */
    assert_int_equal(look(&f).state, PH_RECEIVER_PAUSED);
    assert_int_equal(look(&f).sessions, 1);
    ph_spool_get_positions(f.spool, &positions);
    assert_true(positions.bytes <= 400000);
    assert_true(confirmed(&f) <= positions.durable);

    sql_execf(f.sql, "INSERT INTO app.marker VALUES (%u, 'x')", ++f.markers);
    uint64_t began = ph_clock_ns();
    while (!stream_model_has(f.model, "marker", f.markers)) {
        (void)read_step(&f, 20);
        ph_receiver_set_applied(f.receiver, f.model->end_lsn, f.model->end_lsn);
        must(ph_spool_prune(f.spool, f.model->end_lsn, &err), &err);
        assert_true(ph_clock_seconds_since(began) < 60.0);
    }
    assert_same(&f);
    assert_int_equal(look(&f).sessions, 1);
    assert_int_equal(look(&f).state, PH_RECEIVER_STREAMING);
    assert_transactions(&f, 400);

    /* full again, and stopped in that state */
    for (int i = 400; i < 650; i++)
        many(f.sql, i * 100, i * 100 + 99, "g");
    wait_state(&f, PH_RECEIVER_PAUSED, 10000);
    began = ph_clock_ns();
    stop_receiver(&f);
    assert_true(ph_clock_seconds_since(began) < 6.0);
    follow_end(&f);
}

/* ---- stop and again ---- */

static void
stopped_and_started_again(void **state)
{
    struct writer writer;

    (void)state;
    struct follow f = follow_start("again");
    writer_begin(&writer, 5);
    for (int i = 0; i < 4; i++) {
        read_for(&f, 0.4);
        catch_up(&f);
        ph_lsn applied = f.model->end_lsn;
        uint64_t began = ph_clock_ns();
        stop_receiver(&f);
        assert_true(ph_clock_seconds_since(began) < 5.0);
        struct ph_spool_positions positions;
        ph_spool_get_positions(f.spool, &positions);
        assert_true(positions.durable == positions.written);
        assert_true(confirmed(&f) == positions.durable);
        if (i % 2 == 0) {
            /* all that came after the marker is read once more, from the files */
            while (read_step(&f, 0))
                continue;
            applied = f.model->end_lsn;
            ph_spool_reader_close(f.reader);
            ph_spool_close(f.spool);
            open_spool(&f);
            open_reader(&f, applied);
            drop_held(&f);
            stream_model_session(f.model);
        }
        f.params.applied = applied;
        start_receiver(&f);
    }
    writer_end(&writer);
    assert_same(&f);
    assert_transactions(&f, 0);
    follow_end(&f);
}

/* Under --ack applied the source keeps what the target has not flushed (trap 52). */
static void
trap_52_acknowledges_what_is_applied(void **state)
{
    struct ph_spool_positions positions;

    (void)state;
    struct follow f = follow_new("acks");
    f.params.ack = PH_ACK_APPLIED;
    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    assert_same(&f);
    ph_lsn first = f.model->end_lsn;
    (void)poll(NULL, 0, 2500);
    assert_true(confirmed(&f) == f.made);
    ph_spool_get_positions(f.spool, &positions);
    assert_true(positions.durable >= first);
    ph_receiver_set_applied(f.receiver, first, f.made);
    (void)poll(NULL, 0, 2500);
    assert_true(confirmed(&f) == f.made);
    ph_receiver_set_applied(f.receiver, first, first);
    wait_confirmed(&f, first, 10000);
    assert_true(confirmed(&f) == first);
    assert_same(&f);
    ph_receiver_set_applied(f.receiver, f.model->end_lsn, f.model->end_lsn);
    stop_receiver(&f);
    assert_true(confirmed(&f) == f.model->end_lsn);
    follow_end(&f);
}

/* ---- refused ---- */

/* The receiver gives up with that code, and the readers are woken. */
static void
expect_failure(struct follow *f, ph_code code, const char *part)
{
    wait_state(f, PH_RECEIVER_FAILED, 20000);
    struct ph_receiver_look seen = look(f);
    if (seen.trouble.code != code || strstr(seen.trouble.message, part) == NULL)
        fail_msg("%s: %s", ph_code_text(seen.trouble.code), seen.trouble.message);
    struct ph_spool_reader *reader = NULL;
    struct ph_spool_step step = {.what = PH_READ_CHANGES};
    struct ph_error err = {0};
    must(ph_spool_reader_open(f->spool, f->made, &reader, &err), &err);
    while (step.what != PH_READ_NOTHING)
        must(ph_spool_reader_next(reader, 600000, &step, &err), &err);
    ph_spool_reader_close(reader);
    stop_receiver(f);
    assert_int_equal(seen.sessions, 0);
}

/* A slot that is ahead of spool and target leaves out what lies between (traps 20 and 86). */
static void
trap_86_slot_ahead_is_refused(void **state)
{
    (void)state;
    struct follow f = follow_new("ahead");
    open_spool(&f);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'lost')");
    sql_exec(f.sql, "SELECT pg_replication_slot_advance('ahead', pg_current_wal_insert_lsn())");
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "the slot goes on from");
    follow_end(&f);
}

/* The ledger is ahead of a source that was put back. */
static void
source_behind_is_refused(void **state)
{
    (void)state;
    struct follow f = follow_new("behind");
    open_spool(&f);
    f.params.applied = f.made + 0x100000000;
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "the source ends at");
    follow_end(&f);
}

static void
what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct follow f = follow_new("odd");
    open_spool(&f);

    f.params.system_id = "7000000000000000001";
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "the source is system");
    f.params.system_id = sql_value(f.sql, "SELECT system_identifier FROM pg_control_system()");

    f.params.timeline = 2;
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "not synchronised");
    f.params.timeline = 1;

    f.params.slot = "none_of_that_name";
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "the slot is gone");

    sql_exec(f.sql, "SELECT pg_create_logical_replication_slot('other_kind', 'test_decoding')");
    f.params.slot = "other_kind";
    start_receiver(&f);
    expect_failure(&f, PH_E_NOT_READY, "another kind");
    sql_exec(f.sql, "SELECT pg_drop_replication_slot('other_kind')");

    sql_exec(f.sql, "SELECT pg_create_logical_replication_slot('two', 'pgoutput', false, true)");
    f.params.slot = "two";
    start_receiver(&f);
    expect_failure(&f, PH_E_NOT_READY, "another kind");
    sql_exec(f.sql, "SELECT pg_drop_replication_slot('two')");
    f.params.slot = "odd";

    f.params.applied = f.made - 1;
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "the spool begins at");
    follow_end(&f);
}

/* ---- a standby takes the source's place ---- */

/* A standby of `primary` that keeps its failover slots in step. */
static struct pg_test_cluster *
make_standby(struct pg_test_cluster *primary)
{
    struct pg_test_cluster *standby = pg_test_cluster_new(&(struct pg_test_params){
        .major = 17,
        .conf = scratch_printf("hot_standby_feedback = on\nsync_replication_slots = "
                               "on\nprimary_slot_name = 'physical'\n"
                               "primary_conninfo = 'host=%s port=%d user=postgres"
                               " dbname=postgres'\n",
                               primary->dir, primary->port)});
    const char *const argv[] = {"sh", "-c",
                                scratch_printf("rm -rf %s/* && cp -a %s/. %s && "
                                               "rm -rf %s/pg_replslot/*",
                                               standby->data, primary->data, standby->data,
                                               standby->data),
                                NULL};

    pg_test_cluster_stop(standby);
    const char *conf = scratch_read(scratch_printf("%s/postgresql.conf", standby->data));
    pg_test_cluster_stop(primary);
    run_expect(run_start_copy(NULL, argv), 0);
    scratch_write(scratch_printf("%s/postgresql.conf", standby->data), conf);
    scratch_write(scratch_printf("%s/standby.signal", standby->data), "");
    pg_test_cluster_start(primary);
    pg_test_cluster_start(standby);
    return standby;
}

static struct follow
follow_with_standby(const char *slot, struct pg_test_cluster **standby)
{
    use_source(pg_test_cluster_new(&(struct pg_test_params){.major = 17}));
    sql_once(source, "postgres", "SELECT pg_create_physical_replication_slot('physical', true)");
    struct follow f = follow_new(slot);
    sql_execf(f.sql,
              "SELECT pg_drop_replication_slot('%s');"
              "SELECT pg_create_logical_replication_slot('%s', 'pgoutput', false, false, true)",
              slot, slot);
    f.made = f.params.applied = f.spool_params.begin = confirmed(&f);
    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    PQfinish(f.sql);
    *standby = make_standby(source);
    f.sql = sql_connect(source, "postgres");
    assert_same(&f);
    /* a slot is in step once the standby has what it was made with */
    for (int i = 0; i < 300; i++) {
        sql_exec(f.sql, "SELECT pg_log_standby_snapshot()");
        catch_up(&f);
        if (strcmp(sql_once(*standby, "postgres",
                            "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT"
                            " temporary"),
                   "1\n") == 0)
            return f;
        (void)poll(NULL, 0, 100);
    }
    fail_msg("the standby does not synchronise the slot");
    return f;
}

static void
promote(struct follow *f, struct pg_test_cluster *standby)
{
    PQfinish(f->sql);
    pg_test_cluster_kill(source);
    sql_once(standby, "postgres", "SELECT pg_promote()");
    use_source(standby);
    f->sql = sql_connect(source, "postgres");
}

static void
trap_24_promoted_standby(void **state)
{
    struct pg_test_cluster *standby;

    (void)state;
    if (!pg_test_major_present(17)) {
        print_message("SKIPPED 17: not installed\n");
        return;
    }
    struct follow f = follow_with_standby("over", &standby);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'before')");
    assert_same(&f);
    sql_wait_true(standby, "postgres",
                  scratch_printf("SELECT pg_last_wal_replay_lsn() >= '%s'",
                                 sql_value(f.sql, "SELECT pg_current_wal_flush_lsn()")),
                  20000);
    stop_receiver(&f);
    promote(&f, standby);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'after')");
    for (int i = 0; i < 2; i++) {
        start_receiver(&f);
        assert_same(&f);
        assert_transactions(&f, 0);
        stop_receiver(&f);
        f.params.applied = f.model->end_lsn;
    }
    follow_end(&f);
    pg_test_cluster_stop(standby);
}

/* The spool has a transaction that the promoted standby never got. */
static void
trap_24_standby_that_was_behind(void **state)
{
    struct pg_test_cluster *standby;

    (void)state;
    if (!pg_test_major_present(17)) {
        print_message("SKIPPED 17: not installed\n");
        return;
    }
    struct follow f = follow_with_standby("over", &standby);
    sql_exec(f.sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication"
                    " WHERE application_name = 'walreceiver'");
    pg_test_cluster_stop(standby);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'never there')");
    assert_same(&f);
    stop_receiver(&f);
    pg_test_cluster_kill(source);
    pg_test_cluster_start(standby);
    promote(&f, standby);
    sql_exec(f.sql, "INSERT INTO app.unpublished SELECT repeat('u', 1000) FROM"
                    " generate_series(1, 2000)");
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "of which we have more than it has");
    follow_end(&f);
    pg_test_cluster_stop(standby);
}

/* A slot that disappears, or is invalidated, while its stream was interrupted. */
static void
slot_that_goes_away(void **state)
{
    (void)state;
    struct follow f = follow_start("gone");
    assert_same(&f);
    sql_exec(f.sql, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE"
                    " slot_name = 'gone'; SELECT pg_sleep(0.1);"
                    "SELECT pg_drop_replication_slot('gone')");
    wait_state(&f, PH_RECEIVER_FAILED, 20000);
    struct ph_receiver_look seen = look(&f);
    assert_int_equal(seen.trouble.code, PH_E_GAP);
    assert_string_equal(seen.trouble.object, "slot gone");
    follow_end(&f);
}

/* The server gives up the slot while nobody reads (trap 23). */
static void
trap_23_invalidated_slot(void **state)
{
    (void)state;
    struct follow f = follow_start("kept");
    assert_same(&f);
    stop_receiver(&f);
    sql_exec(f.sql, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    sql_exec(f.sql, "SELECT pg_reload_conf()");
    for (int i = 0; i < 4; i++) {
        sql_exec(f.sql, "INSERT INTO app.unpublished VALUES ('u'); SELECT pg_switch_wal()");
        sql_exec(f.sql, "CHECKPOINT");
    }
    sql_wait_true(source, "postgres",
                  "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = 'kept'",
                  20000);
    f.params.applied = f.model->end_lsn;
    start_receiver(&f);
    expect_failure(&f, PH_E_GAP, "invalidated");
    sql_exec(f.sql, "ALTER SYSTEM RESET max_slot_wal_keep_size");
    sql_exec(f.sql, "SELECT pg_reload_conf()");
    follow_end(&f);
}

static void
right_that_was_taken_away(void **state)
{
    struct ph_endpoint weak;
    struct ph_error err = {0};

    (void)state;
    struct follow f = follow_new("weak");
    sql_exec(f.sql, "CREATE ROLE weak LOGIN");
    must(ph_endpoint_init(&weak, PH_SOURCE,
                          scratch_printf("%s user=weak", pg_test_conninfo(source, "postgres")), "t",
                          &err),
         &err);
    open_spool(&f);
    f.params.source = &weak;
    start_receiver(&f);
    expect_failure(&f, PH_E_RIGHTS, "to start");
    sql_exec(f.sql, "DROP ROLE weak");
    follow_end(&f);
    ph_endpoint_reset(&weak);
}

/* A publication that is not there is told when it is first needed; it does not heal by itself. */
static void
publication_that_is_gone(void **state)
{
    (void)state;
    struct follow f = follow_start("nopub");
    assert_same(&f);
    sql_exec(f.sql, "DROP PUBLICATION p");
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'x')");
    wait_state(&f, PH_RECEIVER_FAILED, 20000);
    assert_int_equal(look(&f).trouble.code, PH_E_SQL);
    assert_non_null(strstr(look(&f).trouble.message, "publication \"p\" does not exist"));
    follow_end(&f);
}

static void
slot_in_use_is_waited_for(void **state)
{
    const struct ph_replication_params params = {"other", 0};
    struct ph_replication *other = NULL;
    struct ph_error err = {0};

    (void)state;
    struct follow f = follow_new("used");
    const struct ph_stream_params stream = {
        .slot = "used", .publications = publications, .n_publications = 1, .start_lsn = f.made};
    must(ph_replication_open(&endpoint, &params, &other, &err), &err);
    must(ph_replication_start(other, &stream, &err), &err);
    open_spool(&f);
    start_receiver(&f);
    wait_state(&f, PH_RECEIVER_WAITING, 10000);
    assert_int_equal(look(&f).trouble.code, PH_E_NOT_READY);
    ph_replication_free(other);
    open_reader(&f, f.made);
    assert_same(&f);
    follow_end(&f);
}

static void
cancel_ends_it_at_once(void **state)
{
    (void)state;
    struct follow f = follow_start("cancel");
    assert_same(&f);
    uint64_t began = ph_clock_ns();
    ph_endpoint_cancel_all(&endpoint);
    wait_state(&f, PH_RECEIVER_FAILED, 5000);
    assert_int_equal(look(&f).trouble.code, PH_E_STOPPED);
    stop_receiver(&f);
    assert_true(ph_clock_seconds_since(began) < 5.0);
    ph_endpoint_reopen(&endpoint);
    follow_end(&f);
}

/* Nothing comes and nothing goes, and nobody hangs up: a stop does not wait for that to end. */
static void
stop_on_a_stalled_network(void **state)
{
    struct ph_endpoint by_proxy;
    struct ph_error err = {0};

    (void)state;
    use_source(pg_test_cluster_new(&(struct pg_test_params){.listen = PG_TEST_SOCKET_AND_TCP}));
    struct proxy *proxy = proxy_new(source);
    must(ph_endpoint_init(&by_proxy, PH_SOURCE, proxy_conninfo(proxy, "postgres"), "t", &err),
         &err);
    struct follow f = follow_new("stall");
    f.params.source = &by_proxy;
    f.params.sender_timeout_ms = 1000;
    f.params.silence_ms = 3000;
    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    assert_same(&f);

    proxy_set(proxy, PROXY_CUT);
    wait_state(&f, PH_RECEIVER_WAITING, 10000);
    proxy_set(proxy, PROXY_FORWARD);
    assert_same(&f);
    /* the server has not noticed: its walsender is ended for us */
    proxy_orphan(proxy);
    assert_same(&f);
    assert_int_equal(look(&f).sessions, 3);

    /* nothing comes, and no end of the connection either */
    proxy_set(proxy, PROXY_STALL);
    wait_state(&f, PH_RECEIVER_WAITING, 10000);
    assert_non_null(strstr(look(&f).trouble.message, "has sent nothing"));
    proxy_set(proxy, PROXY_CUT);
    proxy_set(proxy, PROXY_FORWARD);
    wait_state(&f, PH_RECEIVER_STREAMING, 60000);

    proxy_set(proxy, PROXY_STALL);
    uint64_t began = ph_clock_ns();
    stop_receiver(&f);
    assert_true(ph_clock_seconds_since(began) < 8.0);
    proxy_set(proxy, PROXY_CUT);
    sql_wait_true(source, "postgres", "SELECT NOT bool_or(active) FROM pg_replication_slots",
                  60000);
    follow_end(&f);
    ph_endpoint_reset(&by_proxy);
    pg_test_cluster_stop(source);
}

/* ---- the disk ---- */

/* What a sync that failed says of the file is nothing: all of it ends. */
static void
sync_that_fails(void **state)
{
    (void)state;
    struct follow f = follow_new("nosync");
    open_spool(&f);
    setenv("PGHAUL_FAILPOINT", "spool_sync=error", 1);
    start_receiver(&f);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'x')");
    wait_state(&f, PH_RECEIVER_FAILED, 20000);
    assert_int_equal(look(&f).trouble.code, PH_E_DISK);
    stop_receiver(&f);
    unsetenv("PGHAUL_FAILPOINT");
    assert_true(confirmed(&f) == f.made);
    ph_spool_close(f.spool);
    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    assert_same(&f);
    assert_transactions(&f, 0);
    follow_end(&f);
}

static bool
mount_disk(const char *dir, unsigned long flags, const char *size)
{
    return mount("tmpfs", dir, "tmpfs", flags, scratch_printf("size=%s,mode=0700", size)) == 0;
}

/* As with the limit: it waits until there is room (trap 74). The last test: it leaves a mount. */
static void
trap_74_disk_full(void **state)
{
    (void)state;
    struct follow f = follow_new("full");
    /* mounts that nobody else sees, and that end with this program */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        !mount_disk(f.spool_params.dir, 0, "1m")) {
        print_message("SKIPPED: no right to mount\n");
        follow_end(&f);
        return;
    }
    f.params.sender_timeout_ms = 1000;
    f.spool_params.packing = PH_PACK_NONE;
    open_spool(&f);
    start_receiver(&f);
    open_reader(&f, f.made);
    catch_up(&f);
    for (int i = 0; i < 100; i++)
        many(f.sql, i * 100, i * 100 + 99, "f");
    wait_state(&f, PH_RECEIVER_PAUSED, 20000);
    assert_int_equal(look(&f).trouble.code, PH_E_DISK_FULL);
    (void)poll(NULL, 0, 3000);
    assert_true(mount_disk(f.spool_params.dir, MS_REMOUNT, "16m"));
    assert_same(&f);
    assert_transactions(&f, 100);
    assert_int_equal(look(&f).sessions, 1);
    follow_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_of_it_arrives_once, with_usual),
        cmocka_unit_test_setup(on_every_major, with_usual),
        cmocka_unit_test_setup(lost_connections_lose_nothing, with_usual),
        cmocka_unit_test_setup(large_transactions_come_again, with_usual),
        cmocka_unit_test_setup(trap_22_idle_tables, with_usual),
        cmocka_unit_test_setup(shutdown_is_not_held_up, with_usual),
        cmocka_unit_test_setup(small_time_limit_is_kept, with_usual),
        cmocka_unit_test_setup(limit_stops_reading_and_prune_resumes, with_usual),
        cmocka_unit_test_setup(stopped_and_started_again, with_usual),
        cmocka_unit_test_setup(trap_52_acknowledges_what_is_applied, with_usual),
        cmocka_unit_test_setup(trap_86_slot_ahead_is_refused, with_usual),
        cmocka_unit_test_setup(source_behind_is_refused, with_usual),
        cmocka_unit_test_setup(what_cannot_be_is_refused, with_usual),
        cmocka_unit_test_setup(trap_24_promoted_standby, with_usual),
        cmocka_unit_test_setup(trap_24_standby_that_was_behind, with_usual),
        cmocka_unit_test_setup(slot_that_goes_away, with_usual),
        cmocka_unit_test_setup(trap_23_invalidated_slot, with_usual),
        cmocka_unit_test_setup(right_that_was_taken_away, with_usual),
        cmocka_unit_test_setup(publication_that_is_gone, with_usual),
        cmocka_unit_test_setup(slot_in_use_is_waited_for, with_usual),
        cmocka_unit_test_setup(cancel_ends_it_at_once, with_usual),
        cmocka_unit_test_setup(stop_on_a_stalled_network, with_usual),
        cmocka_unit_test_setup(sync_that_fails, with_usual),
        cmocka_unit_test_setup(trap_74_disk_full, with_usual),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
