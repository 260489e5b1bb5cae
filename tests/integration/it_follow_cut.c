/*
 * A connection is lost in the middle of a large transaction that is not streamed: half of it lies
 * in the spool, and it comes again whole. Neither may the half be applied, nor may the reader come
 * back to it for ever, whether the group goes through folded or has to be replayed. And a commit of
 * a connection that was lost counts although nobody heard of it: who finds the position moved
 * begins there.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HALF_BYTES ((off_t)1 << 20)

static struct pair pair;

/* Bytes of all files under it. */
static off_t
size_of(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    struct stat st;
    off_t size = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const char *name = scratch_printf("%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || stat(name, &st) != 0)
            continue;
        size += S_ISDIR(st.st_mode) ? size_of(name) : st.st_size;
    }
    if (dir != NULL)
        closedir(dir);
    return size;
}

struct growth {
    const char *dir;
    off_t limit;
};

static bool
has_grown(void *arg)
{
    const struct growth *growth = arg;

    return size_of(growth->dir) > growth->limit;
}

/*
 * Small transactions and then a large one, with the receiver's session ended while it comes. The
 * target is locked meanwhile, so that all of it is in the spool before it is read on, and goes into
 * one group.
 */
static void
cut(struct pair_db *db, const char *small, const char *large)
{
    static const char end[] = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_replication";
    struct growth growth = {db->dir, 0};

    sql_exec(db->target, "BEGIN; LOCK TABLE t, u IN ACCESS EXCLUSIVE MODE");
    sql_exec(db->source, "INSERT INTO t SELECT max(id) + 1, 'locked' FROM t");
    sql_wait_true(pair.dst, "cut", "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted",
                  RUN_DEADLINE_MS);
    for (int i = 0; i < 20; i++)
        sql_exec(db->source, small);
    growth.limit = size_of(db->dir) + HALF_BYTES;
    sql_exec(db->source, large);
    assert_true(scratch_wait(has_grown, &growth, RUN_DEADLINE_MS));
    assert_int_equal(sql_int(db->source, end), 1);
    sql_wait_true(pair.src, "cut", "SELECT count(*) = 1 FROM pg_stat_replication", RUN_DEADLINE_MS);
    sql_exec(db->target, "COMMIT");
    sql_wait_true(pair.dst, "cut",
                  scratch_printf("SELECT count(*) = %s FROM t",
                                 sql_value(db->source, "SELECT count(*) FROM t")),
                  RUN_DEADLINE_MS);
}

static void
half_a_transaction(void **state)
{
    static const char small[] = "INSERT INTO t SELECT max(id) + 1, 'small' FROM t";
    static const char large[] =
        "INSERT INTO t SELECT m + i, sha512(i::text::bytea)::text || sha512(i::text::bytea)::text"
        " FROM generate_series(1, 40000) i, (SELECT max(id) AS m FROM t) s";
    static const char swap[] = "UPDATE u SET v = NULL WHERE id = 1; UPDATE u SET v = 3 - v WHERE id"
                               " = 2; UPDATE u SET v = 3 - (SELECT v FROM u WHERE id = 2) WHERE id"
                               " = 1; INSERT INTO t SELECT max(id) + 1, 'swap' FROM t";
    struct pair_db db = pair_db_new(&pair, "cut");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                        "CREATE TABLE u (id int PRIMARY KEY, v int UNIQUE);"
                        "INSERT INTO t VALUES (0, ''); INSERT INTO u VALUES (1, 1), (2, 2)");
    struct run *run = pair_start_args(&db, "copy", (const char *const[]){"--follow", NULL});
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    cut(&db, small, large);
    /* folded, one swap alone fails: all is replayed, change by change */
    cut(&db, "SELECT", scratch_printf("%s; %s", swap, large));
    cut(&db, small, scratch_printf("%s; %s", large, swap));
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run_expect(pair_copy(&db, "--follow", "--until", "caught-up"), 0);
    pair_same(&db, "SELECT count(*), sum(id), md5(string_agg(v, '' ORDER BY id)) FROM t");
    pair_same_table(&db, "u");
    pair_db_end(&db);
}

/* Here it moves the position alone, to a place that the source has come past. */
static void
commit_late(struct pair_db *db)
{
    sql_exec(db->source, "CHECKPOINT");
    sql_wait_true(pair.dst, db->name,
                  "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
                  " query LIKE '%pghaul.position%'",
                  RUN_DEADLINE_MS);
    sql_exec(db->target, "COMMIT");
}

/* Before a group, and before the end, where there is none. */
static void
a_commit_comes_late(void **state)
{
    static const char move[] = "BEGIN; UPDATE pghaul.position SET lsn = lsn + 1";
    struct pair_db db = pair_db_new(&pair, "late");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.target, move);
    sql_exec(db.source, "INSERT INTO t VALUES (1, 'once')");
    commit_late(&db);
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM t", RUN_DEADLINE_MS);
    sql_exec(db.target, move);
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    commit_late(&db);
    run_expect(run, 0);
    assert_non_null(strstr(run_err(run), "a commit that was under way"));
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_transaction),
        cmocka_unit_test(a_commit_comes_late),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
