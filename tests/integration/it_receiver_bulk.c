/* labels: majors */
/* timeout: 600 */
/*
 * A backlog that is read in bulk before the stream begins: once, whatever happens to the
 * connection, the server or the receiver in between, and by the stream where bulk is not to be had.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/receiving.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <poll.h>
#include <string.h>

#define FROM ((uint64_t)64 << 10)

static struct receiving
begin(const char *slot)
{
    struct receiving f = receiving_new(slot);

    f.params.bulk_from_bytes = FROM;
    receiving_open_spool(&f);
    receiving_open_reader(&f, f.made);
    return f;
}

static int64_t
transactions(PGconn *conn)
{
    return sql_int(conn, "SELECT count(*) FROM app.log");
}

/* Small transactions from two sessions until there are so many rows more. */
static void
write_small(struct receiving *f, int64_t n)
{
    struct receiving_writer writers[2];
    int64_t wanted = transactions(f->sql) + n;

    receiving_writer_begin(&writers[0], 11);
    receiving_writer_begin(&writers[1], 12);
    while (transactions(f->sql) < wanted)
        (void)poll(NULL, 0, 20);
    receiving_writer_end(&writers[0]);
    receiving_writer_end(&writers[1]);
}

/* Some large ones, with parts rolled back, and one that is rolled back whole: two that commit. */
static void
write_large(PGconn *conn)
{
    PGconn *other = sql_connect(receiving_source, "postgres");

    sql_exec(conn, "BEGIN; SAVEPOINT a");
    receiving_write_many(conn, 1, 3000, "a");
    sql_exec(conn, "ROLLBACK TO a");
    receiving_write_many(conn, 2000, 4000, "b");
    sql_exec(other, "BEGIN");
    receiving_write_many(other, 5000, 7000, "o");
    sql_exec(conn, "COMMIT");
    sql_exec(other, "COMMIT; BEGIN");
    receiving_write_many(other, 10000, 12000, "gone");
    sql_exec(other, "ROLLBACK");
    sql_exec(other, "SELECT pg_logical_emit_message(false, 'p', 'aside')");
    PQfinish(other);
}

static void
all_of_it(const char *slot)
{
    struct receiving_writer writer;

    struct receiving f = begin(slot);
    write_small(&f, 600);
    write_large(f.sql);
    write_small(&f, 600);
    sql_exec(f.sql, "INSERT INTO app.big VALUES (20000, repeat('h', 3000000))");
    receiving_writer_begin(&writer, 13);
    receiving_start(&f);
    receiving_read_for(&f, 1.0);
    receiving_writer_end(&writer);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 3);

    struct ph_receiver_look seen = receiving_look(&f);
    /* a server that sends large transactions whole would keep them in a file, too */
    if (PQserverVersion(f.sql) < 140000)
        assert_int_equal(seen.pieces, 0);
    else
        assert_true(seen.pieces >= 3);
    assert_int_equal(seen.sessions, 1);
    /* the stream's own has not been seen yet when the last piece had it all */
    assert_true(f.sessions == seen.pieces + 1 || f.sessions == seen.pieces);
    assert_int_equal(seen.repeated, 0);
    assert_int_equal(seen.transactions, f.model->transactions);
    assert_int_equal(sql_int(f.sql, "SELECT count(*) FROM pg_replication_slots"), 1);
    receiving_wait_confirmed(&f, f.model->end_lsn, 10000);
    receiving_end(&f);
}

static void
a_backlog_arrives_once(void **state)
{
    (void)state;
    all_of_it("all");
    receiving_endpoint.only_libpq = true;
    all_of_it("libpq");
    receiving_endpoint.only_libpq = false;
}

static void
on_every_major(void **state)
{
    (void)state;
    receiving_on_every_major(all_of_it);
}

/* The large transaction that goes on behind the last piece is left to the stream. */
static void
open_transactions_are_left_to_the_stream(void **state)
{
    (void)state;
    struct receiving f = begin("open");
    PGconn *large = sql_connect(receiving_source, "postgres");
    write_small(&f, 300);
    sql_exec(large, "BEGIN");
    receiving_write_many(large, 1, 3000, "l");
    write_small(&f, 300);
    receiving_start(&f);
    receiving_catch_up(&f);
    assert_true(receiving_look(&f).pieces >= 1);
    assert_int_equal(receiving_look(&f).sessions, 1);
    receiving_write_many(large, 4000, 6000, "m");
    sql_exec(large, "COMMIT");
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 1);
    PQfinish(large);
    receiving_end(&f);
}

/*
 * An old transaction holds restart_lsn back: every piece would be decoded from there again, more of
 * it each time.
 */
static void
a_long_way_to_every_piece_is_left_to_the_stream(void **state)
{
    (void)state;
    struct receiving f = begin("way");
    PGconn *old = sql_connect(receiving_source, "postgres");
    sql_exec(old, "BEGIN");
    sql_execf(old, "INSERT INTO app.marker VALUES (%u, 'old')", ++f.markers);
    write_small(&f, 100);
    for (int i = 0; i < 240; i++)
        receiving_write_many(f.sql, i * 200, i * 200 + 199, "w");
    write_small(&f, 300);
    receiving_start(&f);
    receiving_catch_up(&f);
    assert_true(receiving_look(&f).pieces >= 1);
    assert_true(receiving_look(&f).bytes > 0);
    assert_int_equal(receiving_look(&f).sessions, 1);
    sql_exec(old, "COMMIT");
    PQfinish(old);
    receiving_assert_same(&f);
    receiving_end(&f);
}

static void
end_pieces(PGconn *conn)
{
    sql_exec(conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE application_name LIKE '%backlog'");
}

/* Whoever cancels the query on the source wants it to end, not to begin again. */
static void
a_cancelled_query_is_not_asked_again(void **state)
{
    (void)state;
    struct receiving f = begin("cancel");
    write_small(&f, 3000);
    receiving_start(&f);
    uint64_t began = ph_clock_ns();
    while (receiving_look(&f).sessions == 0) {
        sql_exec(f.sql, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name LIKE '%backlog' AND query LIKE 'COPY%'");
        assert_true(ph_clock_seconds_since(began) < 30.0);
    }
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    receiving_end(&f);
}

static void
restart(struct receiving *f)
{
    PQfinish(f->sql);
    pg_test_cluster_kill(receiving_source);
    pg_test_cluster_start(receiving_source);
    f->sql = sql_connect(receiving_source, "postgres");
}

/*
 * A source that crashes may forget what was acknowledged since its last checkpoint: the copy of its
 * slot then begins before what is here, and would give definitions in transactions that are left
 * out.
 */
static void
a_slot_that_went_back_gives_nothing_twice(void **state)
{
    (void)state;
    struct receiving f = begin("back");
    receiving_start(&f);
    write_small(&f, 300);
    receiving_assert_same(&f);
    receiving_wait_confirmed(&f, f.model->end_lsn, 10000);
    ph_lsn told = receiving_confirmed(&f);
    sql_exec(f.sql, "ALTER SYSTEM SET max_wal_senders = 0");
    restart(&f);
    assert_true(receiving_confirmed(&f) < told);
    uint32_t before = receiving_look(&f).pieces;
    write_small(&f, 600);
    sql_exec(f.sql, "ALTER SYSTEM RESET max_wal_senders");
    restart(&f);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    assert_true(receiving_look(&f).pieces > before);
    receiving_end(&f);
}

/* Sessions ended, then the whole server killed, while pieces are read. */
static void
lost_connections_lose_nothing(void **state)
{
    (void)state;
    struct receiving f = begin("lost");
    for (int i = 0; i < 4; i++) {
        write_small(&f, 500);
        receiving_start(&f);
        uint64_t began = ph_clock_ns();
        while (receiving_look(&f).pieces == 0 && receiving_look(&f).sessions == 0)
            assert_true(ph_clock_seconds_since(began) < 30.0);
        if (i < 3) {
            end_pieces(f.sql);
        } else {
            restart(&f);
        }
        receiving_assert_same(&f);
        receiving_stop(&f);
        f.params.applied = f.model->end_lsn;
    }
    receiving_start(&f);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    receiving_end(&f);
}

/* At any moment, the server's decoding included; what is there is not taken twice. */
static void
stopped_at_any_moment(void **state)
{
    uint32_t pieces = 0;

    (void)state;
    struct receiving f = begin("moment");
    for (int i = 0; i < 25; i++) {
        write_small(&f, 150);
        receiving_start(&f);
        uint64_t began = ph_clock_ns();
        if (i % 2 == 0)
            (void)poll(NULL, 0, i * 4);
        while (i % 2 == 1 && receiving_look(&f).messages < (unsigned)i * 20 &&
               receiving_look(&f).sessions == 0)
            assert_true(ph_clock_seconds_since(began) < 30.0);
        pieces += receiving_look(&f).pieces;
        receiving_stop(&f);
    }
    assert_true(pieces > 0);
    receiving_start(&f);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    receiving_end(&f);
}

/* ---- where bulk is not to be had ---- */

static void
without_a_free_slot(void **state)
{
    (void)state;
    receiving_use(
        pg_test_cluster_new(&(struct pg_test_params){.conf = "logical_decoding_work_mem = 64kB\n"
                                                             "max_replication_slots = 1\n"}));
    struct receiving f = begin("only");
    write_small(&f, 400);
    receiving_start(&f);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    assert_int_equal(receiving_look(&f).pieces, 0);
    assert_int_equal(receiving_look(&f).sessions, 1);
    receiving_end(&f);
}

/* Standbys that hold back readers of a slot would not hold back those of its copy. */
static void
a_failover_slot_is_not_copied(void **state)
{
    (void)state;
    if (!pg_test_major_present(17)) {
        print_message("SKIPPED: PostgreSQL 17 is not installed\n");
        return;
    }
    receiving_use(pg_test_cluster_new(&(struct pg_test_params){.major = 17}));
    struct receiving f = receiving_new("other");
    sql_exec(f.sql, "SELECT pg_drop_replication_slot('other')");
    sql_exec(f.sql, "SELECT pg_create_logical_replication_slot('other', 'pgoutput', failover =>"
                    " true)");
    f.made = receiving_confirmed(&f);
    f.params.applied = f.spool_params.begin = f.made;
    f.params.bulk_from_bytes = FROM;
    receiving_open_spool(&f);
    receiving_open_reader(&f, f.made);
    write_small(&f, 300);
    receiving_start(&f);
    receiving_assert_same(&f);
    assert_int_equal(receiving_look(&f).pieces, 0);
    receiving_end(&f);
}

/* The stream waits for room, and a backend with a snapshot would keep vacuum waiting, too. */
static void
a_full_spool_is_left_to_the_stream(void **state)
{
    struct ph_spool_positions positions;
    struct ph_error err = {0};

    (void)state;
    struct receiving f = receiving_new("full");
    f.params.bulk_from_bytes = FROM;
    f.spool_params.limit_bytes = 400000;
    f.spool_params.packing = PH_PACK_NONE;
    receiving_open_spool(&f);
    receiving_open_reader(&f, f.made);
    for (int i = 0; i < 400; i++)
        receiving_write_many(f.sql, i * 100, i * 100 + 99, "f");
    receiving_start(&f);
    receiving_wait_state(&f, PH_RECEIVER_PAUSED, 10000);
    assert_int_equal(receiving_look(&f).sessions, 1);
    assert_true(receiving_look(&f).pieces >= 1);
    assert_int_equal(sql_int(f.sql, "SELECT count(*) FROM pg_stat_activity"
                                    " WHERE application_name LIKE '%backlog'"),
                     0);
    ph_spool_get_positions(f.spool, &positions);
    assert_true(positions.bytes <= 400000);
    sql_execf(f.sql, "INSERT INTO app.marker VALUES (%u, 'x')", ++f.markers);
    uint64_t began = ph_clock_ns();
    while (!stream_model_has(f.model, "marker", f.markers)) {
        (void)receiving_read_step(&f, 20);
        ph_receiver_set_applied(f.receiver, f.model->end_lsn, f.model->end_lsn);
        receiving_must(ph_spool_prune(f.spool, f.model->end_lsn, &err), &err);
        assert_true(ph_clock_seconds_since(began) < 60.0);
    }
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 400);
    receiving_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_backlog_arrives_once, receiving_with_usual),
        cmocka_unit_test_setup(on_every_major, receiving_with_usual),
        cmocka_unit_test_setup(open_transactions_are_left_to_the_stream, receiving_with_usual),
        cmocka_unit_test_setup(a_long_way_to_every_piece_is_left_to_the_stream,
                               receiving_with_usual),
        cmocka_unit_test_setup(a_cancelled_query_is_not_asked_again, receiving_with_usual),
        cmocka_unit_test_setup(a_slot_that_went_back_gives_nothing_twice, receiving_with_usual),
        cmocka_unit_test_setup(lost_connections_lose_nothing, receiving_with_usual),
        cmocka_unit_test_setup(stopped_at_any_moment, receiving_with_usual),
        cmocka_unit_test_setup(without_a_free_slot, receiving_with_usual),
        cmocka_unit_test_setup(a_failover_slot_is_not_copied, receiving_with_usual),
        cmocka_unit_test_setup(a_full_spool_is_left_to_the_stream, receiving_with_usual),
    };

    return cmocka_run_group_tests_name("it_receiver_bulk", tests, receiving_setup,
                                       receiving_teardown);
}
