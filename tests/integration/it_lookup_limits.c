/*
 * Lookups at their limits: what the stream does not find is counted once, whatever happens to the
 * run; a stop does not wait for a table that somebody locks; keys of every kind; memory.
 */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/hold.h"
#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\nlogical_decoding_work_mem = 64kB\n");
    return 0;
}

/* Users with a plan each; the plans are in the source too, n of them, 200 bytes each. */
static struct pair_db
begin(const char *name, int n_plans)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_execf(db.source,
              "CREATE TABLE plans (id bigint PRIMARY KEY, name text);"
              "INSERT INTO plans SELECT g, 'plan ' || g || repeat('.', 200) FROM"
              " generate_series(1, %d) g;"
              "CREATE TABLE users (id int PRIMARY KEY, plan_id int);"
              "INSERT INTO users SELECT g, g FROM generate_series(1, 1000) g; ANALYZE",
              n_plans);
    sql_exec(db.target, "CREATE TABLE users (id int PRIMARY KEY, plan text)");
    return db;
}

static const char *
job_of(const struct pair_db *db, const char *more)
{
    return pair_job_file(
        db, scratch_printf("tables:\n  users:\n    columns:\n      plan: {lookup: {table: plans,"
                           " key: id, value: name%s}, from: plan_id}\n",
                           more));
}

#define CONSTANT ", constant: true"
#define OPTIONS "--data-only", "--table", "users"
/* A quarter of this has no room for 40,000 plans: keys are asked for. */
#define ASKED "--memory", "32MB", "--jobs", "1"

static const char *const *
failpoint(const char *spec)
{
    static const char *env[2];

    env[0] = scratch_printf("PGHAUL_FAILPOINT=%s", spec);
    return env;
}

/* ---- what the stream does not find ---- */

static void
wait_applied(const struct pair_db *db, int id)
{
    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT count(*) = 1 FROM users WHERE id = %d", id), WAIT_MS);
}

static int64_t
changes_counted(struct pair_db *db)
{
    return sql_int(db->target, "SELECT coalesce(sum(rows), 0) FROM pghaul.orphan WHERE chunk < 0");
}

static void
stop_now(struct pair_db *db, struct run *run)
{
    pair_expect(pair_stop(db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
}

/* Rows of the copy are told apart from changes; one that goes counts no second time. */
static void
changes_that_find_nothing_are_counted(void **state)
{
    struct pair_db db = begin("counted", 500);
    struct run *run = pair_follow(&db, job_of(&db, CONSTANT), OPTIONS);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO users SELECT g, g FROM generate_series(2001, 2010) g;"
                        "UPDATE users SET plan_id = 777 WHERE id <= 40;"
                        "UPDATE users SET plan_id = 1 WHERE id = 501;"
                        "INSERT INTO users VALUES (3001, NULL), (3002, 2);"
                        "DELETE FROM users WHERE id > 900 AND id <= 2010");
    stop_now(&db, run);
    assert_int_equal(changes_counted(&db), 50);
    assert_non_null(strstr(run_out(run), "plan: 500 rows found nothing in public.plans.id"));
    assert_non_null(strstr(run_out(run), "plan: 50 changes found nothing in public.plans.id: "
                                         "(plan_id=777) 40 times, (plan_id=2001) 1 time"));
    pair_db_end(&db);
}

/* A group that is lost is counted when it comes again, and then only. */
static void
changes_are_counted_once_over_kills(void **state)
{
    struct pair_db db = begin("counted_once", 500);
    const char *job = job_of(&db, CONSTANT);

    (void)state;
    db.env = failpoint("before_apply_commit=kill@3");
    struct run *run = pair_follow(&db, job, OPTIONS);
    pair_wait_following(&db, run);
    for (int i = 0; run_alive(run); i++)
        sql_execf(db.source, "INSERT INTO users SELECT g, g FROM generate_series(%d, %d) g",
                  2001 + i * 10, 2010 + i * 10);
    pair_expect(run, -SIGKILL, NULL);
    db.env = NULL;
    run = pair_follow(&db, job, OPTIONS);
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO users VALUES (1500, 1500)");
    wait_applied(&db, 1500);
    run_kill(run);
    run = pair_follow(&db, job, OPTIONS);
    pair_wait_following(&db, run);
    stop_now(&db, run);
    assert_int_equal(changes_counted(&db),
                     sql_int(db.source, "SELECT count(*) FROM users WHERE id > 1000"));
    pair_db_end(&db);
}

/* Also by change, when the target refuses the group, and without what is left out of it. */
static void
changes_are_counted_once_when_applied_again(void **state)
{
    struct pair_db db = begin("counted_again", 500);
    struct run *run = pair_follow(&db, job_of(&db, CONSTANT), OPTIONS, "--on-conflict", "skip");

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.target, "INSERT INTO users VALUES (2005, 'in the way')");
    sql_exec(db.source, "INSERT INTO users SELECT g, g FROM generate_series(2001, 2010) g");
    sql_exec(db.source, "INSERT INTO users VALUES (1500, 1)");
    wait_applied(&db, 1500);
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 4, "1 change of the stream did not fit");
    assert_int_equal(changes_counted(&db), 10);
    pair_db_end(&db);
}

/* A large transaction is applied as it arrives; what it takes back is not counted. */
static void
changes_of_large_transactions_are_counted(void **state)
{
    struct pair_db db = begin("counted_early", 500);
    struct run *run = pair_follow(&db, job_of(&db, CONSTANT), OPTIONS);
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(large, "BEGIN; INSERT INTO users SELECT g, g FROM generate_series(10001, 14000) g;"
                    "SAVEPOINT a; INSERT INTO users SELECT g, g FROM generate_series(20001, 24000)"
                    " g");
    sql_wait_true(pair.dst, db.name,
                  "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()"
                  " AND application_name LIKE '%apply early' AND backend_xid IS NOT NULL",
                  WAIT_MS);
    /* groups count beside it */
    sql_exec(db.source, "INSERT INTO users VALUES (1500, 1500)");
    wait_applied(&db, 1500);
    sql_exec(large, "ROLLBACK TO a; INSERT INTO users SELECT g, g FROM"
                    " generate_series(30001, 34000) g; COMMIT");
    wait_applied(&db, 34000);
    sql_wait_true(pair.dst, db.name,
                  "SELECT (state #>> '{follow,early}')::int = 1 FROM pghaul.progress", WAIT_MS);
    PQfinish(large);
    stop_now(&db, run);
    assert_int_equal(changes_counted(&db), 8001);
    pair_db_end(&db);
}

/* ---- tables that somebody locks ---- */

static PGconn *
lock_plans(const struct pair_db *db)
{
    PGconn *locker = sql_connect(pair.src, db->name);

    sql_exec(locker, "BEGIN; LOCK TABLE plans IN ACCESS EXCLUSIVE MODE");
    return locker;
}

static void
wait_blocked(const struct pair_db *db)
{
    sql_wait_true(pair.src, db->name,
                  scratch_printf("SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '%s'"
                                 " AND application_name LIKE '%%lookup' AND wait_event_type ="
                                 " 'Lock'",
                                 db->name),
                  WAIT_MS);
}

/* Ended resumable while it still waited, and left no session. */
static void
was_cut(const struct pair_db *db, struct run *run, PGconn *locker)
{
    run_expect(run, 5);
    sql_wait_true(pair.src, db->name,
                  scratch_printf("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '%s'"
                                 " AND application_name LIKE '%%lookup'",
                                 db->name),
                  WAIT_MS);
    sql_exec(locker, "ROLLBACK");
    PQfinish(locker);
}

static void
a_stop_cuts_the_reading_of_a_table(void **state)
{
    struct pair_db db = begin("cut_whole", 500);
    struct pair_db there = begin("cut_there", 500);
    const char *where =
        scratch_printf(", database: \"%s\"", pg_test_conninfo(pair.src, there.name));
    const char *args[] = {job_of(&db, where), OPTIONS, NULL};
    PGconn *locker = lock_plans(&there);
    struct run *run = pair_start_args(&db, "copy", args);

    (void)state;
    wait_blocked(&there);
    run_signal(run, SIGTERM);
    was_cut(&there, run, locker);
    pair_expect(pair_run_args(&db, "copy", args), 0, "proven");
    pair_db_end(&there);
    pair_db_end(&db);
}

/*
 * A TRUNCATE would show an empty table under the snapshot. Its lock is the run's as long as keys
 * may be asked for, and after that nobody's.
 */
static void
a_table_that_is_asked_cannot_be_truncated_meanwhile(void **state)
{
    struct pair_db db = begin("truncated", 1);
    struct pair_db there = begin("truncated_there", 40000);
    const char *where =
        scratch_printf(", database: \"%s\"", pg_test_conninfo(pair.src, there.name));
    const char *args[] = {job_of(&db, where), OPTIONS, ASKED, NULL};

    (void)state;
    db.env = hold_at("before_lookup");
    struct run *run = pair_start_args(&db, "copy", args);
    hold_wait(run);
    sql_exec(there.source, "SET lock_timeout = '200ms'");
    sql_expect_error(there.source, "TRUNCATE plans", "55P03");
    sql_exec(there.source, "DELETE FROM plans");
    hold_release();
    pair_expect(run, 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(plan) FROM users"), 1000);
    sql_exec(there.source, "TRUNCATE plans");
    pair_db_end(&there);
    pair_db_end(&db);
}

static void
a_stop_cuts_a_question_of_the_copy(void **state)
{
    struct pair_db db = begin("cut_copy", 40000);
    const char *job = job_of(&db, CONSTANT);
    const char *args[] = {job, OPTIONS, ASKED, "--name", db.name, NULL};

    (void)state;
    db.env = hold_at("before_lookup");
    struct run *run = pair_start_args(&db, "copy", args);
    hold_wait(run);
    PGconn *locker = lock_plans(&db);
    hold_release();
    wait_blocked(&db);
    run_expect(pair_stop(&db, NULL), 0);
    was_cut(&db, run, locker);
    db.env = NULL;
    pair_expect(pair_run_args(&db, "copy", args), 0, "proven");
    pair_db_end(&db);
}

static void
a_stop_cuts_a_question_of_the_stream(void **state)
{
    struct pair_db db = begin("cut_stream", 40000);
    const char *job = job_of(&db, CONSTANT);

    (void)state;
    sql_exec(db.source, "DELETE FROM users WHERE id > 10");
    struct run *run = pair_follow(&db, job, OPTIONS, ASKED);
    pair_wait_following(&db, run);
    PGconn *locker = lock_plans(&db);
    sql_exec(db.source, "INSERT INTO users VALUES (1500, 1500)");
    wait_blocked(&db);
    run_signal(run, SIGTERM);
    was_cut(&db, run, locker);
    run = pair_follow(&db, job, OPTIONS, ASKED);
    pair_wait_following(&db, run);
    stop_now(&db, run);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM users WHERE id = 1500 AND plan LIKE"
                                        " 'plan 1500.%'"),
                     1);
    pair_db_end(&db);
}

/* ---- kinds of keys ---- */

/* Each with how it is made of a number, and what more there is of it at the edges. */
static const struct {
    const char *type;
    const char *other; /* of the column that looks it up */
    const char *of;
    const char *edges;
} kinds[] = {
    {"int8", "int2", "g", "-32768, 32767"},
    {"numeric", "numeric(20,6)", "(g - 500) / 8.0", "0.00, 1.10, -99999999999999.000001, 'NaN'"},
    {"numeric", "numeric", "(g - 500) * 1e30",
     "1e-50, 123456789e100, 12345.67800, 'Infinity', '-Infinity'"},
    {"text", "char(30)", "'it''s \\ ' || g", "'', 'äöü'"},
    {"char(30)", "text", "'c' || g", "'x  y'"},
    {"varchar", "text", "repeat('long', g)", "' '"},
    {"uuid", "uuid", "md5(g::text)::uuid", "'00000000-0000-0000-0000-000000000000'"},
    {"bytea", "bytea", "sha256(g::text::bytea)", "'', '\\x00275c'"},
    {"date", "date", "'1999-01-01'::date + g",
     "'infinity', '-infinity', '0044-03-15 BC', '5874897-12-31'"},
    {"time", "time", "'00:00'::time + g * interval '1.000001 s'", "'24:00', '23:59:59.999999'"},
    {"timestamp", "timestamp", "'1999-12-31'::timestamp + g * interval '1:00:00.000001'",
     "'infinity', '-infinity', '4713-01-01 BC', '294276-12-31 23:59:59.999999'"},
    {"timestamptz", "timestamptz", "'1999-12-31 +01'::timestamptz + g * interval '1 day 1 us'",
     "'infinity', '1900-01-01 00:00:00.5+00', '0001-01-01 BC'"},
};

#define N_KINDS (sizeof kinds / sizeof kinds[0])

/* The plans by that key, too many for memory; users who want 1,000 of them and some that are not.
 */
static void
make_kind(struct pair_db *db, size_t i)
{
    sql_execf(
        db->source,
        "DROP TABLE IF EXISTS plans, users; CREATE TABLE plans (id %s PRIMARY KEY, name text);"
        "CREATE TABLE users (id int PRIMARY KEY, plan_id %s)",
        kinds[i].type, kinds[i].other);
    sql_execf(db->source,
              "INSERT INTO plans SELECT %s, repeat(g || '.', 900) FROM generate_series(1, 1500) g",
              kinds[i].of);
    sql_execf(db->source,
              "INSERT INTO plans SELECT e, 'edge' FROM unnest(ARRAY[%s]::%s[]) e ON CONFLICT DO"
              " NOTHING",
              kinds[i].edges, kinds[i].other);
    sql_execf(db->source, "INSERT INTO users SELECT g, %s FROM generate_series(1, 1800) g",
              kinds[i].of);
    sql_execf(db->source,
              "INSERT INTO users SELECT 5000 + row_number() OVER (), e FROM unnest(ARRAY[%s]::%s[])"
              " e; ANALYZE",
              kinds[i].edges, kinds[i].other);
    sql_exec(db->target, "TRUNCATE users");
}

/* PostgreSQL's own join says what is right. */
static void
keys_of_every_kind_are_asked_for(void **state)
{
    struct pair_db db = begin("kinds", 1);
    const char *job = job_of(&db, CONSTANT);

    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        print_message("  %s by %s\n", kinds[i].type, kinds[i].other);
        make_kind(&db, i);
        pair_expect(pair_copy(&db, job, OPTIONS, "--memory", "32MB", "--jobs", "1", "--restart",
                              "--truncate", "--yes"),
                    0, "proven");
        pair_same_as(&db,
                     "SELECT u.id, md5(p.name) FROM users u LEFT JOIN plans p ON p.id = u.plan_id"
                     " ORDER BY 1",
                     "SELECT id, md5(plan) FROM users ORDER BY 1");
    }
    pair_db_end(&db);
}

/* The SELECT can do what memory cannot. */
static void
other_kinds_are_refused_with_the_way_out(void **state)
{
    static const char *const types[] = {"float8", "interval", "text COLLATE loose"};
    struct pair_db db = begin("refused", 1);

    (void)state;
    pair_expect(pair_run(&db, "check", job_of(&db, ", database: target"), OPTIONS), 2,
                "values cannot be looked up in the target, which the job itself fills");
    sql_exec(db.source, "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2',"
                        " deterministic = false)");
    for (int i = 0; i < 3; i++) {
        sql_execf(db.source,
                  "DROP TABLE plans, users; CREATE TABLE plans (id %s PRIMARY KEY, name text);"
                  "CREATE TABLE users (id int PRIMARY KEY, plan_id %s)",
                  types[i], types[i]);
        struct run *run = pair_run(&db, "check", job_of(&db, CONSTANT), OPTIONS);
        pair_expect(run, 3, "cannot be looked up in another database or a constant table");
        assert_non_null(strstr(run_out(run), "take a key of another type, or leave out"));
        pair_expect(pair_run(&db, "check", job_of(&db, ""), OPTIONS), 0, NULL);
    }
    pair_db_end(&db);
}

/* ---- memory ---- */

/* 150 MB of other tables, of which every row wants three, and one that is read whole. */
static const char *
want_large_tables(struct pair_db *db)
{
    const char *text = "tables:\n  users:\n    columns:\n      plan: {lookup: {table: plans, key:"
                       " id, value: name" CONSTANT "}, from: plan_id}\n";

    for (int i = 1; i <= 3; i++) {
        sql_execf(db->source,
                  "CREATE TABLE plans%d (id bigint PRIMARY KEY, name text); INSERT INTO plans%d"
                  " SELECT g, repeat(g || '.', 60) FROM generate_series(1, 120000) g;"
                  "ALTER TABLE users ADD p%d int; UPDATE users SET p%d = 1",
                  i, i, i, i);
        sql_execf(db->target, "ALTER TABLE users ADD p%d text", i);
        text = scratch_printf("%s      p%d: {lookup: {table: plans%d, key: id, value: name%s}}\n",
                              text, i, i, CONSTANT);
    }
    return pair_job_file(db, text);
}

/* The first run has its rules compiled: what `cc` takes would be counted with it. */
static void
large_tables_stay_within_memory(void **state)
{
    static const int sizes_mb[] = {64, 32};
    struct pair_db db = begin("memory", 40000);
    const char *job = want_large_tables(&db);

    (void)state;
    pair_expect(pair_copy(&db, job, OPTIONS), 0, "proven");
    sql_exec(db.source, "INSERT INTO users SELECT g, g, g * 7 % 120000, g * 11 % 120000, g * 13 %"
                        " 120000 FROM generate_series(1001, 60000) g; ANALYZE");
    for (int i = 0; i < 2; i++) {
        struct run *run =
            pair_copy(&db, job, OPTIONS, "--memory", scratch_printf("%dMB", sizes_mb[i]), "--jobs",
                      "2", "--split", "1MB", "--restart", "--truncate", "--yes");
        pair_expect(run, 0, "proven");
        run_expect_memory(run, sizes_mb[i] * 1024L);
    }
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_that_find_nothing_are_counted),
        cmocka_unit_test(changes_are_counted_once_over_kills),
        cmocka_unit_test(changes_are_counted_once_when_applied_again),
        cmocka_unit_test(changes_of_large_transactions_are_counted),
        cmocka_unit_test(a_stop_cuts_the_reading_of_a_table),
        cmocka_unit_test(a_table_that_is_asked_cannot_be_truncated_meanwhile),
        cmocka_unit_test(a_stop_cuts_a_question_of_the_copy),
        cmocka_unit_test(a_stop_cuts_a_question_of_the_stream),
        cmocka_unit_test(keys_of_every_kind_are_asked_for),
        cmocka_unit_test(other_kinds_are_refused_with_the_way_out),
        cmocka_unit_test(large_tables_stay_within_memory),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
