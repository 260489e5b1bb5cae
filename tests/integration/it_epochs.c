/*
 * Epochs of a stream on a real server: the slot's snapshot is the first, later ones wait for what
 * the slot has seen committed, and the filter has them all.
 */
/* labels: short majors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "job/job.h"
#include "pg/holder.h"
#include "pg/ledger_follow.h"
#include "support/pgcluster.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct pg_test_cluster *cluster;
static struct ph_options options;
static struct ph_run run;
static struct ph_job job;
static PGconn *app;     /* the application on the source */
static PGconn *walsend; /* the replication session */
static struct ph_error err;
static bool in_doubt;

/* Commits that ask for it wait for a standby that is not there: written, flushed, not visible. */
static const struct pg_test_params waiting = {
    .conf = "synchronous_standby_names = 'nosuch'\nsynchronous_commit = local\n"
            "autovacuum = off\nmax_prepared_transactions = 5\n"};

#define OK(expr)                                                                                   \
    do {                                                                                           \
        ph_error_reset(&err);                                                                      \
        if ((expr) != PH_OK)                                                                       \
            fail_msg("%s: %s %s", #expr, err.message, err.notes);                                  \
    } while (0)

static int
start(void **state)
{
    (void)state;
    cluster = pg_test_cluster_new(&waiting);
    return 0;
}

static void
make_databases(void)
{
    PGconn *conn = sql_connect(cluster, "postgres");

    sql_exec(conn, "DROP DATABASE IF EXISTS src WITH (FORCE)");
    sql_exec(conn, "DROP DATABASE IF EXISTS dst WITH (FORCE)");
    sql_exec(conn, "CREATE DATABASE src");
    sql_exec(conn, "CREATE DATABASE dst");
    PQfinish(conn);
}

static int
begin(void **state)
{
    static struct ph_ledger_follow follow = {
        .slot = "s", .publication = "p", .system_id = "1", .timeline = 1, .plugin_options = ""};

    (void)state;
    make_databases();
    OK(ph_options_init(&options, &err));
    options.source = strdup(pg_test_conninfo(cluster, "src"));
    options.target = strdup(pg_test_conninfo(cluster, "dst"));
    options.name = strdup("j");
    options.dir = strdup(scratch_new_dir("job"));
    run = (struct ph_run){.options = &options};
    job = (struct ph_job){.lock_fd = -1};
    OK(ph_job_connect(&job, &run, &err));
    OK(ph_mover_lock(options.dir, &job.lock_fd, &err));
    OK(ph_ledger_create(job.target_control, &err));
    job.ledger = (struct ph_ledger_job){.name = "j", .signature = "s", .source_label = "l"};
    OK(ph_ledger_new_job(job.target_control, &job.ledger, "", &err));
    OK(ph_ledger_begin_follow(job.target_control, "j", &follow, &err));
    job.follows = true;
    app = sql_connect(cluster, "src");
    sql_exec(app, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    walsend =
        sql_connect_to(scratch_printf("%s replication=database", pg_test_conninfo(cluster, "src")));
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    ph_job_release_epoch(&job);
    ph_job_close(&job);
    ph_options_free(&options);
    PQfinish(walsend);
    PQfinish(app);
    sql_wait_true(cluster, "postgres", "SELECT NOT EXISTS (SELECT FROM pg_replication_slots)",
                  20000); /* a temporary one goes when the server notices */
    return 0;
}

static int
begin_18(void **state)
{
    struct pg_test_params params = waiting;

    params.major = 18;
    if (!pg_test_major_present(18)) {
        printf("  SKIPPED: there is no PostgreSQL 18 here (scripts/install-majors)\n");
        return 0;
    }
    cluster = pg_test_cluster_new(&params);
    return begin(state);
}

static int
finish_18(void **state)
{
    if (pg_test_major_present(18))
        finish(state);
    return 0;
}

static void
create_slot(void)
{
    assert_int_equal(PQsendQuery(walsend, "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput"
                                          " EXPORT_SNAPSHOT"),
                     1);
}

/* The name of the snapshot that the slot exported; *lsn its consistent point. */
static const char *
slot_is_made(ph_lsn *lsn)
{
    PGresult *r = PQgetResult(walsend);

    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(walsend));
    assert_true(ph_lsn_parse(PQgetvalue(r, 0, 1), lsn));
    const char *name = scratch_printf("%s", PQgetvalue(r, 0, 2));
    PQclear(r);
    assert_null(PQgetResult(walsend));
    return name;
}

static void
first_epoch(void)
{
    ph_lsn lsn;
    const char *name;

    create_slot();
    name = slot_is_made(&lsn);
    OK(ph_job_first_epoch(&job, name, lsn, &in_doubt, &err));
}

/* What a reader under the job's epoch sees. */
static const char *
under_epoch(const char *sql)
{
    PGconn *conn = sql_connect(cluster, "src");

    sql_execf(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '%s'",
              job.epoch.snapshot_id);
    const char *value = sql_value(conn, sql);
    PQfinish(conn);
    return value;
}

static void
kill_holder(void)
{
    sql_once(cluster, "src",
             "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE"
             " application_name LIKE '% holder'");
}

static void
first_and_later(void **state)
{
    struct ph_ledger_mark *marks;
    struct ph_ledger_follow follow;
    const char *s0;
    bool found;
    uint32_t n;

    (void)state;
    sql_exec(app, "INSERT INTO t VALUES (1)");
    assert_int_equal(ph_job_ensure_epoch(&job, &err), PH_E_INTERNAL); /* the slot's comes first */
    first_epoch();
    sql_exec(app, "INSERT INTO t VALUES (2)");
    assert_string_equal(under_epoch("SELECT count(*) FROM t"), "1");
    OK(ph_job_ensure_epoch(&job, &err));
    assert_int_equal(job.epoch.number, 1);
    OK(ph_ledger_load_follow(job.target_control, "j", &follow, &found, &err));
    assert_true(found && follow.made && follow.slot_lsn != 0);
    OK(ph_ledger_load_s0(job.target_control, "j", &job.arena, &s0, &err));
    kill_holder();
    OK(ph_job_ensure_epoch(&job, &err));
    assert_int_equal(job.epoch.number, 2);
    assert_string_equal(under_epoch("SELECT count(*) FROM t"), "2");
    OK(ph_ledger_load_marks(job.target_control, "j", &job.arena, &marks, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(marks[0].snapshot, s0);
    assert_true(marks[0].lsn >= follow.slot_lsn && marks[1].lsn > marks[0].lsn);
    assert_string_not_equal(marks[1].snapshot, s0);
}

/* A follow loads it whenever its appliers change, for weeks. */
static void
loaded_plans_do_not_add_up(void **state)
{
    size_t used = 0;

    (void)state;
    first_epoch();
    OK(ph_job_read_source_catalog(&job, &err));
    OK(ph_job_read_target_catalog(&job, &err));
    for (int i = 0; i < 3; i++) {
        OK(ph_job_load_plan(&job, &err));
        size_t now = job.arena.used_bytes + job.plan_arena.used_bytes;
        assert_true(used == 0 || now == used);
        used = now;
    }
}

static void
slot_waits_for(const char *xid)
{
    const char *sql = scratch_printf("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND"
                                     " locktype = 'transactionid' AND transactionid = '%s')",
                                     xid);

    sql_wait_true(cluster, "src", sql, 20000);
}

/* A session whose transaction has an id and stays open; its id as 32 bits. */
static PGconn *
open_transaction(const char **xid)
{
    PGconn *conn = sql_connect(cluster, "src");

    sql_exec(conn, "BEGIN");
    *xid = sql_value(conn, "SELECT pg_current_xact_id()::xid");
    return conn;
}

/* Its commit is written, and waits: nobody sees it. */
static PGconn *
commit_and_wait(void)
{
    PGconn *x = sql_connect(cluster, "src");

    sql_exec(x, "SET synchronous_commit = on");
    assert_int_equal(PQsendQuery(x, "INSERT INTO t VALUES (78)"), 1);
    sql_wait_true(cluster, "src",
                  "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')",
                  20000);
    return x;
}

/*
 * A commit whose record lies before the slot's consistent point, and which is not visible yet. The
 * slot waits for what ran when it began, then for what ran then; what begins and commits in between
 * is seen by its snapshot by the WAL alone, and never comes in the stream.
 */
static PGconn *
commit_behind_the_slot(void)
{
    const char *xid_a;
    const char *xid_b;
    PGconn *a = open_transaction(&xid_a);

    create_slot();
    slot_waits_for(xid_a);
    PGconn *b = open_transaction(&xid_b);
    sql_exec(a, "ROLLBACK");
    slot_waits_for(xid_b);
    PGconn *x = commit_and_wait();
    sql_exec(b, "ROLLBACK");
    PQfinish(a);
    PQfinish(b);
    return x;
}

/* Its commit ends after a while, as when the standby comes. */
static PGconn *
release_later(PGconn *x)
{
    PGconn *conn = sql_connect(cluster, "src");

    assert_int_equal(PQsendQuery(conn, scratch_printf("SELECT pg_sleep(2.5);"
                                                      " SELECT pg_cancel_backend(%d)",
                                                      PQbackendPID(x))),
                     1);
    return conn;
}

static bool
has_result(void *arg)
{
    PGconn *conn = arg;

    return PQconsumeInput(conn) == 1 && PQisBusy(conn) == 0;
}

/* TRAPS 78 on a server that lets the slot begin so; newer ones wait for such a commit themselves.
 */
static void
trap_78_of_a_slot(void **state)
{
    const char *name;
    ph_lsn lsn;
    PGconn *x = commit_behind_the_slot();
    PGconn *release = NULL;

    (void)state;
    bool has_race = scratch_wait(has_result, walsend, 2000);
    printf("  the server %s\n", has_race ? "begins the slot" : "waits itself");
    if (!has_race)
        release = release_later(x);
    name = slot_is_made(&lsn);
    OK(ph_job_first_epoch(&job, name, lsn, &in_doubt, &err));
    assert_string_equal(under_epoch("SELECT count(*) FROM t WHERE id = 78"), "1");
    if (has_race) {
        assert_int_equal(sql_int(app, "SELECT count(*) FROM t WHERE id = 78"), 0);
        release = release_later(x);
    }
    kill_holder();
    OK(ph_job_ensure_epoch(&job, &err));
    assert_string_equal(under_epoch("SELECT count(*) FROM t WHERE id = 78"), "1");
    PQfinish(x);
    PQfinish(release);
}

static void
trap_78_of_a_slot_of_18(void **state)
{
    if (pg_test_major_present(18))
        trap_78_of_a_slot(state);
}

/* TRAPS 78: S0 as such a slot has it. */
static void
trap_78_a_later_epoch_waits(void **state)
{
    PGconn *x = commit_and_wait();
    const char *s0 =
        scratch_printf("%s:%s:",
                       sql_value(app, "SELECT (pg_snapshot_xmax(pg_current_snapshot())"
                                      "::text::bigint + 1)"),
                       sql_value(app, "SELECT (pg_snapshot_xmax(pg_current_snapshot())::text"
                                      "::bigint + 1)"));
    struct ph_ledger_epoch lost = {.number = 1, .snapshot_id = "x", .lsn = 1, .snapshot = s0};

    (void)state;
    OK(ph_ledger_add_epoch(job.target_control, "j", &lost, &err));
    OK(ph_ledger_follow_is_made(job.target_control, "j", s0, 1, &err));
    assert_int_equal(sql_int(app, "SELECT count(*) FROM t WHERE id = 78"), 0);
    PGconn *release = release_later(x);
    uint64_t start_ns = ph_clock_ns();
    OK(ph_job_ensure_epoch(&job, &err));
    assert_true(ph_clock_seconds_since(start_ns) > 2);
    assert_int_equal(job.epoch.number, 2);
    assert_string_equal(under_epoch("SELECT count(*) FROM t WHERE id = 78"), "1");
    PQfinish(x);
    PQfinish(release);
}

static void
made_of(struct ph_epoch_filter *filter, const struct ph_table_plan *tables, uint32_t n)
{
    job.plan.tables = (struct ph_table_plan *)(uintptr_t)tables;
    job.plan.n_tables = n;
    ph_epoch_filter_reset(filter);
    OK(ph_job_fill_filter(&job, filter, &err));
    job.plan = (struct ph_plan){0};
}

static void
filter_of_the_ledger(void **state)
{
    struct ph_chunk_state states[4] = {{.done = true, .epoch = 1},
                                       {.done = true, .epoch = 1},
                                       {.done = true, .epoch = 2},
                                       {.done = false}};
    struct ph_epoch_filter filter;

    (void)state;
    sql_exec(app, "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                  "CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);"
                  "CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);"
                  "CREATE TABLE later (id int PRIMARY KEY)");
    sql_exec(app, "BEGIN; INSERT INTO t VALUES (1)");
    uint32_t xid = (uint32_t)sql_int(app, "SELECT pg_current_xact_id()::text::bigint");
    create_slot();
    slot_waits_for(scratch_printf("%u", xid));
    sql_exec(app, "COMMIT");
    ph_lsn lsn;
    const char *name = slot_is_made(&lsn);
    OK(ph_job_first_epoch(&job, name, lsn, &in_doubt, &err));
    sql_exec(app, "BEGIN; INSERT INTO t VALUES (2)");
    uint32_t xid_2 = (uint32_t)sql_int(app, "SELECT pg_current_xact_id()::text::bigint");
    sql_exec(app, "COMMIT");
    kill_holder();
    OK(ph_job_ensure_epoch(&job, &err));
    OK(ph_job_read_source_catalog(&job, &err));
    job.chunk_states = states;
    const struct ph_table_plan tables[] = {
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "t"), .n_chunks = 2},
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "parts"),
         .index = 1,
         .first_chunk = 2,
         .n_chunks = 1},
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "later"),
         .index = 2,
         .first_chunk = 3,
         .n_chunks = 1},
    };
    ph_oid part_2 = ph_catalog_rel_named(&job.source_catalog, "public", "part_2")->oid;
    ph_epoch_filter_init(&filter);
    made_of(&filter, tables, 3);
    struct ph_source_txn first = {xid, lsn - 8};
    struct ph_source_txn second = {xid_2, lsn + 8};
    assert_int_equal(
        ph_epoch_filter_decide(&filter, &first, tables[0].source->oid, tables[0].index),
        PH_EPOCH_SKIP);
    assert_int_equal(
        ph_epoch_filter_decide(&filter, &second, tables[0].source->oid, tables[0].index),
        PH_EPOCH_APPLY);
    assert_int_equal(ph_epoch_filter_decide(&filter, &second, part_2, 1), PH_EPOCH_SKIP);
    assert_int_equal(
        ph_epoch_filter_decide(&filter, &second, tables[1].source->oid, tables[1].index),
        PH_EPOCH_SKIP);
    assert_int_equal(
        ph_epoch_filter_decide(&filter, &second, tables[2].source->oid, tables[2].index),
        PH_EPOCH_UNKNOWN);
    struct ph_chunk by_place[2] = {{.kind = PH_CHUNK_CTID}, {.kind = PH_CHUNK_CTID}};
    states[1].epoch = 2; /* never so: cut by place it is of one snapshot */
    job.plan.chunks = by_place;
    job.plan.tables = (struct ph_table_plan *)(uintptr_t)tables;
    job.plan.n_tables = 1;
    ph_epoch_filter_reset(&filter);
    assert_int_equal(ph_job_fill_filter(&job, &filter, &err), PH_E_LEDGER);
    job.plan = (struct ph_plan){0};
    job.chunk_states = NULL;
    ph_epoch_filter_reset(&filter);
}

/* TRAPS 72: in progress until COMMIT PREPARED, also for the filter: the stream brings it then. */
static void
trap_72_prepared_is_in_progress(void **state)
{
    struct ph_chunk_state states[1] = {{.done = true, .epoch = 2}};
    struct ph_epoch_filter filter;

    (void)state;
    first_epoch();
    sql_exec(app, "BEGIN; INSERT INTO t VALUES (72)");
    uint32_t xid = (uint32_t)sql_int(app, "SELECT pg_current_xact_id()::text::bigint");
    sql_exec(app, "PREPARE TRANSACTION 'late'");
    kill_holder();
    OK(ph_job_ensure_epoch(&job, &err));
    assert_int_equal(job.epoch.number, 2);
    sql_exec(app, "COMMIT PREPARED 'late'");
    assert_string_equal(under_epoch("SELECT count(*) FROM t WHERE id = 72"), "0");
    OK(ph_job_read_source_catalog(&job, &err));
    job.chunk_states = states;
    const struct ph_table_plan tables[] = {
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "t"), .n_chunks = 1}};
    ph_epoch_filter_init(&filter);
    made_of(&filter, tables, 1);
    struct ph_source_txn txn = {xid, ph_epoch_filter_consistent_point(&filter) - 8};
    assert_int_equal(ph_epoch_filter_decide(&filter, &txn, tables[0].source->oid, tables[0].index),
                     PH_EPOCH_APPLY);
    job.chunk_states = NULL;
    ph_epoch_filter_reset(&filter);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_and_later, begin, finish),
        cmocka_unit_test_setup_teardown(loaded_plans_do_not_add_up, begin, finish),
        cmocka_unit_test_setup_teardown(trap_78_a_later_epoch_waits, begin, finish),
        cmocka_unit_test_setup_teardown(trap_78_of_a_slot, begin, finish),
        cmocka_unit_test_setup_teardown(filter_of_the_ledger, begin, finish),
        cmocka_unit_test_setup_teardown(trap_72_prepared_is_in_progress, begin, finish),
        cmocka_unit_test_setup_teardown(trap_78_of_a_slot_of_18, begin_18, finish_18),
    };

    if (argc == 2 && strcmp(argv[1], PH_HOLDER_ARGUMENT) == 0) /* started as one by the library */
        return ph_holder_main();
    return cmocka_run_group_tests(tests, start, NULL);
}
