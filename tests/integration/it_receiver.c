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
#include "support/receiving.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <poll.h>
#include <string.h>

static void
end_walsenders(PGconn *conn)
{
    sql_exec(conn,
             "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
}

/* ---- what arrives ---- */

/* Large ones among them, with parts rolled back, and one that is rolled back whole. */
static void
write_large(struct receiving *f)
{
    PGconn *other = sql_connect(receiving_source, "postgres");

    sql_exec(f->sql, "BEGIN; SAVEPOINT a");
    receiving_write_many(f->sql, 1, 3000, "a");
    sql_exec(f->sql, "ROLLBACK TO a");
    receiving_write_many(f->sql, 2000, 4000, "b");
    sql_exec(other, "BEGIN");
    receiving_write_many(other, 5000, 7000, "o");
    sql_exec(f->sql, "SAVEPOINT c");
    receiving_write_many(f->sql, 1000, 1500, "c");
    sql_exec(f->sql, "COMMIT");
    receiving_write_many(other, 7001, 9000, "p");
    sql_exec(other, "COMMIT; BEGIN");
    receiving_write_many(other, 10000, 12000, "gone");
    sql_exec(other, "ROLLBACK");
    sql_exec(other, "INSERT INTO app.big VALUES (20000, repeat('h', 3000000))");
    sql_exec(other, "SELECT pg_logical_emit_message(false, 'p', 'aside')");
    PQfinish(other);
}

static void
all_of_it(const char *slot)
{
    bool in_blocks = receiving_source->params.major == 0 || receiving_source->params.major >= 14;
    struct receiving_writer writers[2];

    struct receiving f = receiving_begin(slot);
    receiving_writer_begin(&writers[0], 1);
    receiving_writer_begin(&writers[1], 2);
    write_large(&f);
    receiving_read_for(&f, 1.0);
    receiving_writer_end(&writers[0]);
    receiving_writer_end(&writers[1]);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 3);
    assert_int_equal(f.model->streamed, in_blocks ? 2 : 0);
    /* 18 does not begin to send what it knows to be rolled back */
    assert_true(f.model->aborted >= 2 || !in_blocks || receiving_source->params.major >= 18);
    assert_int_equal(f.sessions, 1);

    receiving_wait_confirmed(&f, f.model->end_lsn, 10000);
    struct ph_receiver_look seen = receiving_look(&f);
    assert_int_equal(seen.state, PH_RECEIVER_STREAMING);
    assert_int_equal(seen.sessions, 1);
    assert_int_equal(seen.repeated, 0);
    assert_int_equal(seen.transactions, f.model->transactions);
    assert_true(seen.messages > seen.transactions && seen.bytes > 3000000);
    assert_true(seen.source_end >= f.model->end_lsn);
    assert_true(seen.last_sent_us > INT64_C(1700000000000000) && seen.last_input_ns > 0);
    assert_string_equal(seen.trouble.message, "");
    receiving_end(&f);
}

static void
all_of_it_arrives_once(void **state)
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

/* Walsenders ended again and again, then the whole server killed, all under load. */
static void
lost_connections_lose_nothing(void **state)
{
    struct receiving_writer writer;

    (void)state;
    struct receiving f = receiving_begin("lost");
    receiving_writer_begin(&writer, 3);
    for (int i = 0; i < 6; i++) {
        receiving_read_for(&f, 0.3);
        end_walsenders(f.sql);
    }
    receiving_read_for(&f, 0.5);
    PQfinish(f.sql);
    pg_test_cluster_kill(receiving_source);
    receiving_read_for(&f, 0.5);
    pg_test_cluster_start(receiving_source);
    f.sql = sql_connect(receiving_source, "postgres");
    receiving_read_for(&f, 1.0);
    receiving_writer_end(&writer);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    assert_true(f.sessions >= 3);
    assert_int_equal(receiving_look(&f).sessions, f.sessions);
    receiving_wait_confirmed(&f, f.model->end_lsn, 10000);
    receiving_end(&f);
}

/* TRAPS 17: large transactions under way when the connection is lost come again whole, and count
 * once. */
static void
trap_17_large_transactions_come_again(void **state)
{
    struct ph_spool_positions positions;

    (void)state;
    struct receiving f = receiving_begin("large");
    PGconn *large = sql_connect(receiving_source, "postgres");
    PGconn *small = sql_connect(receiving_source, "postgres");
    for (int round = 0; round < 2; round++) {
        sql_exec(large, "BEGIN");
        for (int i = 0; i < 4; i++) {
            receiving_write_many(large, round * 10000 + i * 2000, round * 10000 + i * 2000 + 1999,
                                 "l");
            sql_execf(large, "SAVEPOINT s%d", i);
            sql_execf(small, "INSERT INTO app.log VALUES (nextval('app.ids'), 'between')");
            receiving_catch_up(&f);
            ph_spool_get_positions(f.spool, &positions);
            assert_int_equal(positions.open_streams, 1);
            /* when the last part was interrupted, too, it comes whole, for no more is written */
            if (i < 3 || round == 1)
                end_walsenders(f.sql);
        }
        sql_exec(large, "ROLLBACK TO s2; COMMIT");
        receiving_assert_same(&f);
        receiving_assert_transactions(&f, round + 1);
        assert_int_equal(f.model->streamed, 1);
        ph_spool_get_positions(f.spool, &positions);
        assert_int_equal(positions.open_streams, 0);
    }
    PQfinish(large);
    PQfinish(small);
    receiving_end(&f);
}

/* Nothing of ours is written, yet the slot moves, and the spool hardly grows (trap 22). */
static void
trap_22_idle_tables(void **state)
{
    struct ph_spool_positions before;
    struct ph_spool_positions after;

    (void)state;
    struct receiving f = receiving_begin("idle");
    receiving_catch_up(&f);
    ph_spool_get_positions(f.spool, &before);
    for (int i = 0; i < 3; i++) {
        sql_exec(f.sql, "INSERT INTO app.unpublished SELECT repeat('u', 1000) FROM"
                        " generate_series(1, 2000)");
        receiving_wait_confirmed(
            &f, receiving_lsn(sql_value(f.sql, "SELECT pg_current_wal_flush_lsn()")), 10000);
    }
    ph_spool_get_positions(f.spool, &after);
    assert_true(after.written > before.written + 3000000);
    assert_true(after.bytes < before.bytes + 100 * 80);
    assert_int_equal(receiving_look(&f).sessions, 1);
    receiving_end(&f);
}

/* The server does not wait for its time limit when it shuts down: it gets its acknowledgement. */
static void
shutdown_is_not_held_up(void **state)
{
    (void)state;
    struct receiving f = receiving_begin("shut");
    receiving_catch_up(&f);
    sql_exec(f.sql, "INSERT INTO app.unpublished VALUES ('u')");
    PQfinish(f.sql);
    uint64_t began = ph_clock_ns();
    pg_test_cluster_stop(receiving_source);
    assert_true(ph_clock_seconds_since(began) < 20.0);
    receiving_wait_state(&f, PH_RECEIVER_WAITING, 10000);
    assert_int_equal(receiving_look(&f).trouble.code, PH_E_CONNECT);
    pg_test_cluster_start(receiving_source);
    f.sql = sql_connect(receiving_source, "postgres");
    receiving_assert_same(&f);
    receiving_end(&f);
}

static void
small_time_limit_is_kept(void **state)
{
    (void)state;
    struct receiving f = receiving_new("timed");
    f.params.sender_timeout_ms = 1000;
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    receiving_assert_same(&f);
    (void)poll(NULL, 0, 4000);
    receiving_assert_same(&f);
    assert_int_equal(receiving_look(&f).sessions, 1);
    receiving_end(&f);
}

/* ---- the spool is full ---- */

static void
limit_stops_reading_and_prune_resumes(void **state)
{
    struct ph_spool_positions positions;
    struct ph_error err = {0};

    (void)state;
    struct receiving f = receiving_new("limit");
    f.params.sender_timeout_ms = 1000;
    f.spool_params.limit_bytes = 400000;
    f.spool_params.packing = PH_PACK_NONE;
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    receiving_catch_up(&f);
    for (int i = 0; i < 400; i++)
        receiving_write_many(f.sql, i * 100, i * 100 + 99, "f");
    receiving_wait_state(&f, PH_RECEIVER_PAUSED, 10000);
    assert_int_equal(receiving_look(&f).trouble.code, PH_E_SPOOL_LIMIT);
    (void)poll(NULL, 0, 4000); /* the server would have hung up by now */
    assert_int_equal(receiving_look(&f).state, PH_RECEIVER_PAUSED);
    assert_int_equal(receiving_look(&f).sessions, 1);
    ph_spool_get_positions(f.spool, &positions);
    assert_true(positions.bytes <= 400000);
    assert_true(receiving_confirmed(&f) <= positions.durable);

    sql_execf(f.sql, "INSERT INTO app.marker VALUES (%u, 'x')", ++f.markers);
    uint64_t began = ph_clock_ns();
    while (!stream_model_has(f.model, "marker", f.markers)) {
        (void)receiving_read_step(&f, 20);
        ph_receiver_set_applied(f.receiver, f.model->end_lsn, f.model->end_lsn);
        receiving_must(ph_spool_prune(f.spool, f.model->end_lsn, &err), &err);
        assert_true(ph_clock_seconds_since(began) < 60.0);
    }
    receiving_assert_same(&f);
    assert_int_equal(receiving_look(&f).sessions, 1);
    assert_int_equal(receiving_look(&f).state, PH_RECEIVER_STREAMING);
    receiving_assert_transactions(&f, 400);

    /* full again, and stopped in that state */
    for (int i = 400; i < 650; i++)
        receiving_write_many(f.sql, i * 100, i * 100 + 99, "g");
    receiving_wait_state(&f, PH_RECEIVER_PAUSED, 10000);
    receiving_stop(&f);
    receiving_end(&f);
}

/* ---- stop and again ---- */

static void
stopped_and_started_again(void **state)
{
    struct receiving_writer writer;

    (void)state;
    struct receiving f = receiving_begin("again");
    receiving_writer_begin(&writer, 5);
    for (int i = 0; i < 4; i++) {
        receiving_read_for(&f, 0.4);
        receiving_catch_up(&f);
        ph_lsn applied = f.model->end_lsn;
        receiving_stop(&f);
        struct ph_spool_positions positions;
        ph_spool_get_positions(f.spool, &positions);
        assert_true(positions.durable == positions.written);
        assert_true(receiving_confirmed(&f) == positions.durable);
        if (i % 2 == 0) {
            /* all that came after the marker is read once more, from the files */
            while (receiving_read_step(&f, 0))
                continue;
            applied = f.model->end_lsn;
            ph_spool_reader_close(f.reader);
            ph_spool_close(f.spool);
            receiving_open_spool(&f);
            receiving_open_reader(&f, applied);
            receiving_forget(&f);
        }
        f.params.applied = applied;
        receiving_start(&f);
    }
    receiving_writer_end(&writer);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    receiving_end(&f);
}

/* Under --ack applied the source keeps what the target has not flushed (trap 52). */
static void
trap_52_acknowledges_what_is_applied(void **state)
{
    struct ph_spool_positions positions;

    (void)state;
    struct receiving f = receiving_new("acks");
    f.params.ack = PH_ACK_APPLIED;
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    receiving_assert_same(&f);
    ph_lsn first = f.model->end_lsn;
    (void)poll(NULL, 0, 2500);
    assert_true(receiving_confirmed(&f) == f.made);
    ph_spool_get_positions(f.spool, &positions);
    assert_true(positions.durable >= first);
    ph_receiver_set_applied(f.receiver, first, f.made);
    (void)poll(NULL, 0, 2500);
    assert_true(receiving_confirmed(&f) == f.made);
    ph_receiver_set_applied(f.receiver, first, first);
    receiving_wait_confirmed(&f, first, 10000);
    assert_true(receiving_confirmed(&f) == first);
    receiving_assert_same(&f);
    ph_receiver_set_applied(f.receiver, f.model->end_lsn, f.model->end_lsn);
    receiving_stop(&f);
    assert_true(receiving_confirmed(&f) == f.model->end_lsn);
    receiving_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_of_it_arrives_once, receiving_with_usual),
        cmocka_unit_test_setup(on_every_major, receiving_with_usual),
        cmocka_unit_test_setup(lost_connections_lose_nothing, receiving_with_usual),
        cmocka_unit_test_setup(trap_17_large_transactions_come_again, receiving_with_usual),
        cmocka_unit_test_setup(trap_22_idle_tables, receiving_with_usual),
        cmocka_unit_test_setup(shutdown_is_not_held_up, receiving_with_usual),
        cmocka_unit_test_setup(small_time_limit_is_kept, receiving_with_usual),
        cmocka_unit_test_setup(limit_stops_reading_and_prune_resumes, receiving_with_usual),
        cmocka_unit_test_setup(stopped_and_started_again, receiving_with_usual),
        cmocka_unit_test_setup(trap_52_acknowledges_what_is_applied, receiving_with_usual),
    };
    return cmocka_run_group_tests(tests, receiving_setup, receiving_teardown);
}
