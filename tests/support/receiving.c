#include "support/receiving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "model/lsn.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pg_test_cluster *usual; /* runs all the time */
struct pg_test_cluster *receiving_source;
struct ph_endpoint receiving_endpoint;

void
receiving_must(ph_code rc, const struct ph_error *err)
{
    if (rc != PH_OK)
        fail_msg("%s %s: %s (%s)", ph_code_text(rc), err->sqlstate, err->message, err->notes);
}

void
receiving_use(struct pg_test_cluster *cluster)
{
    struct ph_error err = {0};

    receiving_source = cluster;
    ph_endpoint_reset(&receiving_endpoint);
    receiving_must(ph_endpoint_init(&receiving_endpoint, PH_SOURCE,
                                    pg_test_conninfo(receiving_source, "postgres"), "t", &err),
                   &err);
}

int
receiving_with_usual(void **state)
{
    (void)state;
    receiving_use(usual);
    return 0;
}

int
receiving_setup(void **state)
{
    (void)state;
    usual = pg_test_cluster_new(&(struct pg_test_params){
        .listen = PG_TEST_SOCKET,
        .conf = "logical_decoding_work_mem = 64kB\nmax_replication_slots = 20\n"
                "max_wal_senders = 20\n"});
    receiving_use(usual);
    return 0;
}

int
receiving_teardown(void **state)
{
    (void)state;
    ph_endpoint_reset(&receiving_endpoint);
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

void
receiving_on_every_major(void (*test)(const char *slot))
{
    static const int majors[] = {13, 14, 16, 17, 18};

    for (size_t i = 0; i < sizeof majors / sizeof *majors; i++) {
        if (!pg_test_major_present(majors[i])) {
            print_message("SKIPPED %d: not installed\n", majors[i]);
            continue;
        }
        receiving_use(pg_test_cluster_new(&(struct pg_test_params){
            .major = majors[i], .conf = "logical_decoding_work_mem = 64kB\n"}));
        test("all");
        pg_test_cluster_stop(receiving_source);
    }
}

/* A message of a transaction that has not committed yet: it may be annulled. */
struct held {
    struct held *next;
    size_t len;
    uint8_t bytes[];
};

void
receiving_start(struct receiving *f)
{
    struct ph_error err = {0};

    receiving_must(ph_receiver_start(&f->params, &f->receiver, &err), &err);
}

void
receiving_open_spool(struct receiving *f)
{
    struct ph_error err = {0};

    receiving_must(ph_spool_open(&f->spool_params, &f->spool, &err), &err);
    f->spool_params.mode = PH_SPOOL_OPEN;
    f->params.spool = f->spool;
}

struct receiving
receiving_new(const char *slot)
{
    struct receiving f = {.sql = sql_connect(receiving_source, "postgres"),
                          .model = stream_model_new()};

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
        .source = &receiving_endpoint,
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

void
receiving_open_reader(struct receiving *f, ph_lsn from)
{
    struct ph_error err = {0};

    receiving_must(ph_spool_reader_open(f->spool, from, &f->reader, &err), &err);
}

struct receiving
receiving_begin(const char *slot)
{
    struct receiving f = receiving_new(slot);

    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    return f;
}

static void
drop_held(struct receiving *f)
{
    while (f->first != NULL) {
        struct held *next = f->first->next;
        free(f->first);
        f->first = next;
    }
    f->last = &f->first;
}

void
receiving_stop(struct receiving *f)
{
    if (f->receiver == NULL)
        return;
    ph_receiver_stop(f->receiver);
    ph_receiver_free(f->receiver);
    f->receiver = NULL;
}

void
receiving_end(struct receiving *f)
{
    receiving_stop(f);
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

struct ph_receiver_look
receiving_look(struct receiving *f)
{
    struct ph_receiver_look seen;

    ph_receiver_look(f->receiver, &seen);
    return seen;
}

/* ---- reading the spool ---- */

void
receiving_forget(struct receiving *f)
{
    drop_held(f);
    stream_model_session(f->model);
}

static void
hold(struct receiving *f, struct ph_span message)
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
feed_held(struct receiving *f)
{
    for (const struct held *at = f->first; at != NULL; at = at->next)
        stream_model_feed(f->model, (struct ph_span){at->bytes, at->len});
    drop_held(f);
}

/* The spool keeps it without the xid that it has inside of blocks. */
static void
feed_definition(struct receiving *f, uint32_t xid, struct ph_span plain)
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
take_item(struct receiving *f, const struct ph_spool_step *step, const struct ph_spool_item *item)
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

bool
receiving_read_step(struct receiving *f, uint32_t wait_ms)
{
    struct ph_spool_step step;
    struct ph_spool_item item;
    struct ph_error err = {0};
    bool more = true;

    receiving_must(ph_spool_reader_next(f->reader, wait_ms, &step, &err), &err);
    if (step.what == PH_READ_NOTHING)
        return false;
    if (step.what == PH_READ_SESSION) {
        f->sessions++;
        receiving_forget(f);
    }
    for (;;) {
        receiving_must(ph_spool_reader_message(f->reader, &item, &more, &err), &err);
        if (!more)
            return true;
        take_item(f, &step, &item);
    }
}

void
receiving_catch_up(struct receiving *f)
{
    uint64_t began = ph_clock_ns();

    sql_execf(f->sql, "INSERT INTO app.marker VALUES (%u, 'x')", ++f->markers);
    while (!stream_model_has(f->model, "marker", f->markers)) {
        struct ph_receiver_look seen = receiving_look(f);
        if (seen.state == PH_RECEIVER_FAILED)
            fail_msg("given up: %s (%s)", seen.trouble.message, seen.trouble.notes);
        if (!receiving_read_step(f, 100) && ph_clock_seconds_since(began) > 120)
            fail_msg("not caught up: state %d, %s", (int)seen.state, seen.trouble.message);
    }
}

void
receiving_assert_same(struct receiving *f)
{
    static const char *const names[] = {"log", "acct", "big", "marker"};

    receiving_catch_up(f);
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
    struct receiving_writer *w = arg;
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

void
receiving_writer_begin(struct receiving_writer *w, unsigned seed)
{
    *w = (struct receiving_writer){.conninfo = pg_test_conninfo(receiving_source, "postgres"),
                                   .seed = seed};
    assert_int_equal(pthread_create(&w->thread, NULL, write_on, w), 0);
}

void
receiving_writer_end(struct receiving_writer *w)
{
    atomic_store(&w->over, true);
    pthread_join(w->thread, NULL);
}

void
receiving_assert_transactions(struct receiving *f, int64_t others)
{
    int64_t wanted = sql_int(f->sql, "SELECT count(*) FROM app.log") + (int64_t)f->markers + others;

    assert_int_equal(f->model->transactions, wanted);
}

void
receiving_read_for(struct receiving *f, double seconds)
{
    uint64_t began = ph_clock_ns();

    while (ph_clock_seconds_since(began) < seconds)
        (void)receiving_read_step(f, 20);
}

void
receiving_write_many(PGconn *conn, int from, int to, const char *text)
{
    sql_execf(conn,
              "INSERT INTO app.big SELECT i, '%s' || repeat('m', 100) FROM"
              " generate_series(%d, %d) i",
              text, from, to);
}

ph_lsn
receiving_lsn(const char *text)
{
    ph_lsn lsn = 0;

    assert_true(ph_lsn_parse(text, &lsn));
    return lsn;
}

ph_lsn
receiving_confirmed(struct receiving *f)
{
    return receiving_lsn(sql_valuef(f->sql,
                                    "SELECT confirmed_flush_lsn FROM pg_replication_slots"
                                    " WHERE slot_name = '%s'",
                                    f->params.slot));
}

struct wanted_lsn {
    struct receiving *follow;
    ph_lsn at_least;
};

static bool
is_confirmed(void *arg)
{
    struct wanted_lsn *wanted = arg;

    return receiving_confirmed(wanted->follow) >= wanted->at_least;
}

void
receiving_wait_confirmed(struct receiving *f, ph_lsn at_least, int deadline_ms)
{
    struct wanted_lsn wanted = {f, at_least};

    if (!scratch_wait(is_confirmed, &wanted, deadline_ms))
        fail_msg("confirmed_flush stays at %" PRIx64 ", wanted %" PRIx64, receiving_confirmed(f),
                 at_least);
}

struct wanted_state {
    struct receiving *follow;
    enum ph_receiver_state state;
};

static bool
is_in_state(void *arg)
{
    struct wanted_state *wanted = arg;

    return receiving_look(wanted->follow).state == wanted->state;
}

void
receiving_wait_state(struct receiving *f, enum ph_receiver_state state, int deadline_ms)
{
    struct wanted_state wanted = {f, state};

    if (!scratch_wait(is_in_state, &wanted, deadline_ms)) {
        struct ph_receiver_look seen = receiving_look(f);
        fail_msg("state is %d, not %d: %s", (int)seen.state, (int)state, seen.trouble.message);
    }
}

void
receiving_expect_failure(struct receiving *f, ph_code code, const char *part)
{
    receiving_wait_state(f, PH_RECEIVER_FAILED, 20000);
    struct ph_receiver_look seen = receiving_look(f);
    if (seen.trouble.code != code || strstr(seen.trouble.message, part) == NULL)
        fail_msg("%s: %s", ph_code_text(seen.trouble.code), seen.trouble.message);
    receiving_stop(f);
    assert_int_equal(seen.sessions, 0);
}
