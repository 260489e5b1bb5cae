/* Traps that need servers of their own: a small lock table, a standby. See tests/TRAPS.md. */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <stdlib.h>
#include <string.h>

/* 10 x 20 locks in all, on both sides; every partition needs one in whoever reads or writes it. */
static void
test_trap_55_small_lock_table(void **state)
{
    static const struct pg_test_params small = {
        .conf = "max_connections = 20\nmax_locks_per_transaction = 10\nmax_wal_senders = 0\n"
                "wal_level = replica\nautovacuum = off\n"};
    struct pair pair;

    (void)state;
    pg_test_pair_new(&small, &small, &pair.src, &pair.dst);
    struct pair_db db = pair_db_new(&pair, "trap_55");
    for (int i = 0; i < 600; i++)
        sql_execf(db.source,
                  "CREATE TABLE t%d (id int PRIMARY KEY, v int);"
                  " INSERT INTO t%d SELECT g, %d FROM generate_series(1, 5) g",
                  i, i, i);
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same_table(&db, "t0");
    pair_same_table(&db, "t599");
    pair_same(&db, "SELECT count(*) FROM pg_index WHERE indrelid::regclass::text ~ '^t[0-9]'");
    /* one TRUNCATE of them all does not fit; tables that refer to each other still go together */
    for (int i = 0; i < 30; i++)
        sql_execf(db.target, "ALTER TABLE t%d ADD FOREIGN KEY (id) REFERENCES t%d", i * 20,
                  i * 20 + 1);
    db.dir = scratch_new_dir("again");
    pair_expect(
        pair_copy(&db, "--data-only", "--truncate", "--yes", "--jobs", "2", "--name", "again"), 0,
        "proven");
    pair_same_table(&db, "t0");
    pair_same_table(&db, "t599");
    pair_db_end(&db);
}

/* ---- a standby ---- */

static struct pg_test_cluster *
make_standby(struct pg_test_cluster *primary)
{
    static const struct pg_test_params params = {
        .conf = "hot_standby = on\nmax_standby_streaming_delay = 30s\n"};
    struct pg_test_cluster *standby = pg_test_cluster_new(&params);
    const char *const argv[] = {
        "sh", "-c",
        scratch_printf("rm -rf %s/pg_wal %s/base && cd / && rm -rf %s/* && "
                       "%s/pg_basebackup -D %s -h %s -p %d -U postgres -X stream -c fast -R && "
                       "chown -R --reference=%s %s",
                       standby->data, standby->data, standby->data, standby->bin, standby->data,
                       primary->dir, primary->port, standby->dir, standby->data),
        NULL};

    pg_test_cluster_stop(standby);
    const char *conf = scratch_read(scratch_printf("%s/postgresql.conf", standby->data));
    run_expect(run_start_copy(NULL, argv), 0);
    scratch_write(scratch_printf("%s/postgresql.conf", standby->data), conf);
    pg_test_cluster_start(standby);
    return standby;
}

static void
test_trap_56_standby_as_source(void **state)
{
    struct pair pair;

    (void)state;
    pair = pair_new(NULL);
    struct pair_db db = pair_db_new(&pair, "trap_56");
    sql_exec(db.source, "CREATE TABLE t (id serial PRIMARY KEY, v text);"
                        "INSERT INTO t (v) SELECT repeat('x', 300) FROM generate_series(1, 50000);"
                        "CREATE UNLOGGED TABLE u (id int); INSERT INTO u VALUES (1);"
                        "CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t");
    struct pair from_standby = {make_standby(pair.src), pair.dst};
    sql_wait_true(from_standby.src, "trap_56", "SELECT count(*) = 50000 FROM t", 20000);
    db.pair = &from_standby;
    struct run *run = pair_copy(&db, "--split", "1MB", "--jobs", "2");
    pair_expect(run, 0, "proven");
    pair_expect(run, 0, "unlogged: a standby does not have its rows");
    pair_same(&db, "SELECT count(*), sum(id) FROM t");
    pair_same(&db, "SELECT last_value, is_called FROM t_id_seq");
    pair_same(&db, "SELECT * FROM m");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM u"), 0);
    pair_db_end(&db);
    /* a standby as target is refused before anything is written */
    struct pair to_standby = {pair.dst, from_standby.src};
    struct pair_db back = {.pair = &to_standby, .name = "trap_56", .dir = scratch_new_dir("back")};
    pair_expect(pair_copy(&back, "--jobs", "2"), 3, "standby");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_55_small_lock_table),
        cmocka_unit_test(test_trap_56_standby_as_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
