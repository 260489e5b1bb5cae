/* labels: majors */
/* timeout: 900 */
/*
 * What the receiver refuses, waits for, or gives up at: slots and servers that are not what they
 * were, networks and disks that fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pg/replication.h"
#include "support/proxy.h"
#include "support/receiving.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"
#include "support/standby.h"

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

/* A slot that is ahead of spool and target leaves out what lies between. */
static void
trap_20_86_slot_ahead_is_refused(void **state)
{
    (void)state;
    struct receiving f = receiving_new("ahead");
    receiving_open_spool(&f);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'lost')");
    sql_exec(f.sql, "SELECT pg_replication_slot_advance('ahead', pg_current_wal_insert_lsn())");
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "the slot goes on from");
    receiving_end(&f);
}

/* The ledger is ahead of a source that was put back. */
static void
source_behind_is_refused(void **state)
{
    (void)state;
    struct receiving f = receiving_new("behind");
    receiving_open_spool(&f);
    f.params.applied = f.made + 0x100000000;
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "the source ends at");
    receiving_end(&f);
}

static void
what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct receiving f = receiving_new("odd");
    receiving_open_spool(&f);

    f.params.system_id = "7000000000000000001";
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "the source is system");
    f.params.system_id = sql_value(f.sql, "SELECT system_identifier FROM pg_control_system()");

    f.params.timeline = 2;
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "not synchronised");
    f.params.timeline = 1;

    f.params.slot = "none_of_that_name";
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "the slot is gone");

    sql_exec(f.sql, "SELECT pg_create_logical_replication_slot('other_kind', 'test_decoding')");
    f.params.slot = "other_kind";
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_NOT_READY, "another kind");
    sql_exec(f.sql, "SELECT pg_drop_replication_slot('other_kind')");

    sql_exec(f.sql, "SELECT pg_create_logical_replication_slot('two', 'pgoutput', false, true)");
    f.params.slot = "two";
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_NOT_READY, "another kind");
    sql_exec(f.sql, "SELECT pg_drop_replication_slot('two')");
    f.params.slot = "odd";

    f.params.applied = f.made - 1;
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "the spool begins at");
    receiving_end(&f);
}

/* ---- a standby takes the source's place ---- */

static struct receiving
follow_with_standby(const char *slot, struct pg_test_cluster **standby)
{
    receiving_use(pg_test_cluster_new(&(struct pg_test_params){.major = 17}));
    struct receiving f = receiving_new(slot);
    sql_execf(f.sql,
              "SELECT pg_drop_replication_slot('%s');"
              "SELECT pg_create_logical_replication_slot('%s', 'pgoutput', false, false, true)",
              slot, slot);
    f.made = f.params.applied = f.spool_params.begin = receiving_confirmed(&f);
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    PQfinish(f.sql);
    *standby = standby_new(receiving_source);
    f.sql = sql_connect(receiving_source, "postgres");
    receiving_assert_same(&f);
    /* a slot is in step once the standby has what it was made with */
    for (int i = 0; i < 300; i++) {
        sql_exec(f.sql, "SELECT pg_log_standby_snapshot()");
        receiving_catch_up(&f);
        if (standby_has_slots(*standby, 1))
            return f;
        (void)poll(NULL, 0, 100);
    }
    fail_msg("the standby does not synchronise the slot");
    return f;
}

static void
promote(struct receiving *f, struct pg_test_cluster *standby)
{
    PQfinish(f->sql);
    standby_promote(receiving_source, standby);
    receiving_use(standby);
    f->sql = sql_connect(receiving_source, "postgres");
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
    struct receiving f = follow_with_standby("over", &standby);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'before')");
    receiving_assert_same(&f);
    sql_wait_true(standby, "postgres",
                  scratch_printf("SELECT pg_last_wal_replay_lsn() >= '%s'",
                                 sql_value(f.sql, "SELECT pg_current_wal_flush_lsn()")),
                  20000);
    receiving_stop(&f);
    promote(&f, standby);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'after')");
    for (int i = 0; i < 2; i++) {
        receiving_start(&f);
        receiving_assert_same(&f);
        receiving_assert_transactions(&f, 0);
        receiving_stop(&f);
        f.params.applied = f.model->end_lsn;
    }
    receiving_end(&f);
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
    struct receiving f = follow_with_standby("over", &standby);
    sql_exec(f.sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication"
                    " WHERE application_name = 'walreceiver'");
    pg_test_cluster_stop(standby);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'never there')");
    receiving_assert_same(&f);
    receiving_stop(&f);
    pg_test_cluster_kill(receiving_source);
    pg_test_cluster_start(standby);
    promote(&f, standby);
    sql_exec(f.sql, "INSERT INTO app.unpublished SELECT repeat('u', 1000) FROM"
                    " generate_series(1, 2000)");
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "of which we have more than it has");
    receiving_end(&f);
    pg_test_cluster_stop(standby);
}

/*
 * The stream ends before the ways part, but the copy's snapshot saw a commit that the promoted
 * standby never got: its row is on the target, and its xid will be another transaction's.
 */
static void
trap_24_copy_that_saw_more(void **state)
{
    struct pg_test_cluster *standby;

    (void)state;
    if (!pg_test_major_present(17)) {
        print_message("SKIPPED 17: not installed\n");
        return;
    }
    struct receiving f = follow_with_standby("over", &standby);
    receiving_assert_same(&f);
    receiving_stop(&f);
    sql_wait_true(standby, "postgres",
                  scratch_printf("SELECT pg_last_wal_replay_lsn() >= '%s'",
                                 sql_value(f.sql, "SELECT pg_current_wal_flush_lsn()")),
                  20000);
    sql_exec(f.sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication"
                    " WHERE application_name = 'walreceiver'");
    pg_test_cluster_stop(standby);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'only the copy saw it')");
    f.params.seen = receiving_lsn(sql_value(f.sql, "SELECT pg_current_wal_insert_lsn()"));
    pg_test_cluster_kill(receiving_source);
    pg_test_cluster_start(standby);
    promote(&f, standby);
    sql_exec(f.sql, "INSERT INTO app.unpublished SELECT repeat('u', 1000) FROM"
                    " generate_series(1, 2000)");
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "of which the copy has seen more than it has");
    receiving_end(&f);
    pg_test_cluster_stop(standby);
}

/* A slot that disappears, or is invalidated, while its stream was interrupted. */
static void
slot_that_goes_away(void **state)
{
    (void)state;
    struct receiving f = receiving_begin("gone");
    receiving_assert_same(&f);
    sql_exec(f.sql, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE"
                    " slot_name = 'gone'; SELECT pg_sleep(0.1);"
                    "SELECT pg_drop_replication_slot('gone')");
    receiving_wait_state(&f, PH_RECEIVER_FAILED, 20000);
    struct ph_receiver_look seen = receiving_look(&f);
    assert_int_equal(seen.trouble.code, PH_E_GAP);
    assert_string_equal(seen.trouble.object, "slot gone");
    receiving_end(&f);
}

/* The server gives up the slot while nobody reads (trap 23). */
static void
trap_23_invalidated_slot(void **state)
{
    (void)state;
    struct receiving f = receiving_begin("kept");
    receiving_assert_same(&f);
    receiving_stop(&f);
    sql_exec(f.sql, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    sql_exec(f.sql, "SELECT pg_reload_conf()");
    for (int i = 0; i < 4; i++) {
        sql_exec(f.sql, "INSERT INTO app.unpublished VALUES ('u'); SELECT pg_switch_wal()");
        sql_exec(f.sql, "CHECKPOINT");
    }
    sql_wait_true(receiving_source, "postgres",
                  "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = 'kept'",
                  20000);
    f.params.applied = f.model->end_lsn;
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "invalidated");
    sql_exec(f.sql, "ALTER SYSTEM RESET max_slot_wal_keep_size");
    sql_exec(f.sql, "SELECT pg_reload_conf()");
    receiving_end(&f);
}

static void
right_that_was_taken_away(void **state)
{
    struct ph_endpoint weak;
    struct ph_error err = {0};

    (void)state;
    struct receiving f = receiving_new("weak");
    sql_exec(f.sql, "CREATE ROLE weak LOGIN");
    receiving_must(ph_endpoint_init(&weak, PH_SOURCE,
                                    scratch_printf("%s user=weak",
                                                   pg_test_conninfo(receiving_source, "postgres")),
                                    "t", &err),
                   &err);
    receiving_open_spool(&f);
    f.params.source = &weak;
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_RIGHTS, "to start");
    sql_exec(f.sql, "DROP ROLE weak");
    receiving_end(&f);
    ph_endpoint_reset(&weak);
}

/* Dropped, or another server: a moment's patience, then it is the end. */
static void
database_that_is_gone(void **state)
{
    struct ph_endpoint gone;
    struct ph_error err = {0};

    (void)state;
    struct receiving f = receiving_new("nodb");
    receiving_must(
        ph_endpoint_init(&gone, PH_SOURCE, pg_test_conninfo(receiving_source, "gone"), "t", &err),
        &err);
    receiving_open_spool(&f);
    f.params.source = &gone;
    uint64_t begun = ph_clock_ns();
    receiving_start(&f);
    receiving_expect_failure(&f, PH_E_GAP, "database \"gone\" does not exist");
    assert_true(ph_clock_seconds_since(begun) > 9);
    receiving_end(&f);
    ph_endpoint_reset(&gone);
}

/* A publication that is not there is told when it is first needed; it does not heal by itself. */
static void
publication_that_is_gone(void **state)
{
    (void)state;
    struct receiving f = receiving_begin("nopub");
    receiving_assert_same(&f);
    sql_exec(f.sql, "DROP PUBLICATION p");
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'x')");
    receiving_wait_state(&f, PH_RECEIVER_FAILED, 20000);
    assert_int_equal(receiving_look(&f).trouble.code, PH_E_SQL);
    assert_non_null(strstr(receiving_look(&f).trouble.message, "publication \"p\" does not exist"));
    receiving_end(&f);
}

static void
slot_in_use_is_waited_for(void **state)
{
    const struct ph_replication_params params = {"other", 0};
    struct ph_replication *other = NULL;
    struct ph_error err = {0};

    (void)state;
    struct receiving f = receiving_new("used");
    const struct ph_stream_params stream = {.slot = "used",
                                            .publications = f.params.publications,
                                            .n_publications = 1,
                                            .start_lsn = f.made};
    receiving_must(ph_replication_open(&receiving_endpoint, &params, &other, &err), &err);
    receiving_must(ph_replication_start(other, &stream, &err), &err);
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_wait_state(&f, PH_RECEIVER_WAITING, 10000);
    assert_int_equal(receiving_look(&f).trouble.code, PH_E_NOT_READY);
    ph_replication_free(other);
    receiving_open_reader(&f, f.made);
    receiving_assert_same(&f);
    receiving_end(&f);
}

static void
cancel_ends_it_at_once(void **state)
{
    (void)state;
    struct receiving f = receiving_begin("cancel");
    receiving_assert_same(&f);
    ph_endpoint_cancel_all(&receiving_endpoint);
    receiving_wait_state(&f, PH_RECEIVER_FAILED, 5000);
    assert_int_equal(receiving_look(&f).trouble.code, PH_E_STOPPED);
    receiving_stop(&f);
    ph_endpoint_reopen(&receiving_endpoint);
    receiving_end(&f);
}

/* Nothing comes and nothing goes, and nobody hangs up: a stop does not wait for that to end. */
static void
stop_on_a_stalled_network(void **state)
{
    struct ph_endpoint by_proxy;
    struct ph_error err = {0};

    (void)state;
    receiving_use(pg_test_cluster_new(&(struct pg_test_params){.listen = PG_TEST_SOCKET_AND_TCP}));
    struct proxy *proxy = proxy_new(receiving_source);
    receiving_must(
        ph_endpoint_init(&by_proxy, PH_SOURCE, proxy_conninfo(proxy, "postgres"), "t", &err), &err);
    struct receiving f = receiving_new("stall");
    f.params.source = &by_proxy;
    f.params.sender_timeout_ms = 1000;
    f.params.silence_ms = 3000;
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    receiving_assert_same(&f);

    proxy_set(proxy, PROXY_CUT);
    receiving_wait_state(&f, PH_RECEIVER_WAITING, 10000);
    proxy_set(proxy, PROXY_FORWARD);
    receiving_assert_same(&f);
    /* the server has not noticed: its walsender is ended for us */
    proxy_orphan(proxy);
    receiving_assert_same(&f);
    assert_int_equal(receiving_look(&f).sessions, 3);

    /* nothing comes, and no end of the connection either */
    proxy_set(proxy, PROXY_STALL);
    receiving_wait_state(&f, PH_RECEIVER_WAITING, 10000);
    assert_non_null(strstr(receiving_look(&f).trouble.message, "has sent nothing"));
    proxy_set(proxy, PROXY_CUT);
    proxy_set(proxy, PROXY_FORWARD);
    receiving_wait_state(&f, PH_RECEIVER_STREAMING, 60000);

    proxy_set(proxy, PROXY_STALL);
    receiving_stop(&f);
    proxy_set(proxy, PROXY_CUT);
    sql_wait_true(receiving_source, "postgres",
                  "SELECT NOT bool_or(active) FROM pg_replication_slots", 60000);
    receiving_end(&f);
    ph_endpoint_reset(&by_proxy);
    pg_test_cluster_stop(receiving_source);
}

/* ---- the disk ---- */

/* What a sync that failed says of the file is nothing: all of it ends. */
static void
sync_that_fails(void **state)
{
    (void)state;
    struct receiving f = receiving_new("nosync");
    receiving_open_spool(&f);
    setenv("PGHAUL_FAILPOINT", "spool_sync=error", 1);
    receiving_start(&f);
    sql_exec(f.sql, "INSERT INTO app.log VALUES (nextval('app.ids'), 'x')");
    receiving_wait_state(&f, PH_RECEIVER_FAILED, 20000);
    assert_int_equal(receiving_look(&f).trouble.code, PH_E_DISK);
    receiving_stop(&f);
    unsetenv("PGHAUL_FAILPOINT");
    assert_true(receiving_confirmed(&f) == f.made);
    ph_spool_close(f.spool);
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 0);
    receiving_end(&f);
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
    struct receiving f = receiving_new("full");
    /* mounts that nobody else sees, and that end with this program */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        !mount_disk(f.spool_params.dir, 0, "1m")) {
        print_message("SKIPPED: no right to mount\n");
        receiving_end(&f);
        return;
    }
    f.params.sender_timeout_ms = 1000;
    f.spool_params.packing = PH_PACK_NONE;
    receiving_open_spool(&f);
    receiving_start(&f);
    receiving_open_reader(&f, f.made);
    receiving_catch_up(&f);
    for (int i = 0; i < 100; i++)
        receiving_write_many(f.sql, i * 100, i * 100 + 99, "f");
    receiving_wait_state(&f, PH_RECEIVER_PAUSED, 20000);
    assert_int_equal(receiving_look(&f).trouble.code, PH_E_DISK_FULL);
    (void)poll(NULL, 0, 3000);
    assert_true(mount_disk(f.spool_params.dir, MS_REMOUNT, "16m"));
    receiving_assert_same(&f);
    receiving_assert_transactions(&f, 100);
    assert_int_equal(receiving_look(&f).sessions, 1);
    receiving_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(trap_20_86_slot_ahead_is_refused, receiving_with_usual),
        cmocka_unit_test_setup(source_behind_is_refused, receiving_with_usual),
        cmocka_unit_test_setup(what_cannot_be_is_refused, receiving_with_usual),
        cmocka_unit_test_setup(trap_24_promoted_standby, receiving_with_usual),
        cmocka_unit_test_setup(trap_24_standby_that_was_behind, receiving_with_usual),
        cmocka_unit_test_setup(trap_24_copy_that_saw_more, receiving_with_usual),
        cmocka_unit_test_setup(slot_that_goes_away, receiving_with_usual),
        cmocka_unit_test_setup(trap_23_invalidated_slot, receiving_with_usual),
        cmocka_unit_test_setup(database_that_is_gone, receiving_with_usual),
        cmocka_unit_test_setup(right_that_was_taken_away, receiving_with_usual),
        cmocka_unit_test_setup(publication_that_is_gone, receiving_with_usual),
        cmocka_unit_test_setup(slot_in_use_is_waited_for, receiving_with_usual),
        cmocka_unit_test_setup(cancel_ends_it_at_once, receiving_with_usual),
        cmocka_unit_test_setup(stop_on_a_stalled_network, receiving_with_usual),
        cmocka_unit_test_setup(sync_that_fails, receiving_with_usual),
        cmocka_unit_test_setup(trap_74_disk_full, receiving_with_usual),
    };
    return cmocka_run_group_tests(tests, receiving_setup, receiving_teardown);
}
