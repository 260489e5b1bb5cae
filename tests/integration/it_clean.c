/* What a job has on its source is removed from that source only, and forgotten only by consent. */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct pair pair;
static struct pg_test_cluster *elsewhere; /* of an initdb of its own: another system identifier */

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    elsewhere = pg_test_cluster_new(&(struct pg_test_params){.initdb = "--data-checksums"});
    return 0;
}

/* Followed and stopped: it has a slot. */
static struct pair_db
stopped(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY)");
    struct run *run = pair_follow(&db, "--data-only");
    pair_wait_following(&db, run);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    return db;
}

static const char *
on_source(struct pair_db *db)
{
    return sql_value(db->source, "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database"
                                 " = current_database()) || ' slots, ' || (SELECT count(*) FROM"
                                 " pg_publication) || ' publications'");
}

static struct run *
clean(const struct pair_db *db, const char *source)
{
    return run_pghaul("clean", "--target", pg_test_conninfo(pair.dst, db->name), "--name", db->name,
                      "--dir", db->dir, "--yes", source != NULL ? "--source" : "--source-gone",
                      source);
}

static struct run *
restart(const struct pair_db *db, const char *source)
{
    return run_pghaul("copy", "--target", pg_test_conninfo(pair.dst, db->name), "--name", db->name,
                      "--dir", db->dir, "--follow", "--data-only", "--restart", "--yes", "--source",
                      source);
}

/* Nothing is touched by who is refused. */
static void
is_whole(struct pair_db *db, struct run *run, const char *why)
{
    pair_expect(run, 3, why);
    assert_non_null(strstr(run_err(run), scratch_printf("its slot pghaul_%s", db->name)));
    assert_non_null(strstr(run_err(run), "--source-gone"));
    assert_string_equal(on_source(db), "1 slots, 1 publications");
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM pghaul.follow"), 1);
}

static void
another_source_is_refused(void **state)
{
    struct pair_db db = stopped("own");
    struct pair_db other = pair_db_new(&pair, "other");
    const char *server = pg_test_conninfo(elsewhere, "postgres");
    const char *database = pg_test_conninfo(pair.src, "other");

    (void)state;
    sql_exec(other.source, "CREATE TABLE t (id int PRIMARY KEY)");
    sql_once(elsewhere, "postgres", "CREATE TABLE t (id int PRIMARY KEY)");
    is_whole(&db, clean(&db, server), "another server");
    is_whole(&db, clean(&db, database), "another database");
    is_whole(&db, restart(&db, server), "another server");
    is_whole(&db, restart(&db, database), "another database");
    /* a name that has changed since is no other database */
    PQfinish(db.source);
    sql_once(pair.src, "postgres", "ALTER DATABASE own RENAME TO renamed");
    db.source = sql_connect(pair.src, "renamed");
    pair_expect(clean(&db, pg_test_conninfo(pair.src, "renamed")), 0, "removed: the replication");
    assert_string_equal(on_source(&db), "0 slots, 0 publications");
    pair_db_end(&other);
    pair_db_end(&db);
}

/* A clean that was cut short has dropped the slot; which database that was is known still. */
static void
without_its_slot(void **state)
{
    struct pair_db db = stopped("no_slot");

    (void)state;
    sql_exec(db.source, "SELECT pg_drop_replication_slot('pghaul_no_slot')");
    pair_expect(clean(&db, pg_test_conninfo(pair.src, "postgres")), 3, "another database");
    pair_expect(clean(&db, pg_test_conninfo(pair.src, "no_slot")), 0,
                "not there: replication slot pghaul_no_slot");
    assert_string_equal(on_source(&db), "0 slots, 0 publications");
    pair_db_end(&db);
}

static void
source_is_gone(void **state)
{
    struct pair_db db = stopped("gone");

    (void)state;
    pair_expect(clean(&db, NULL), 0, "forgotten: replication slot pghaul_gone");
    assert_string_equal(sql_value(db.target, "SELECT to_regnamespace('pghaul')"), "<null>");
    sql_exec(db.source, "SELECT pg_drop_replication_slot('pghaul_gone')");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_source_is_refused),
        cmocka_unit_test(without_its_slot),
        cmocka_unit_test(source_is_gone),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
