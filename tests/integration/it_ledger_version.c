/*
 * A ledger that another version of pghaul made: every command says so, with a way out, before it
 * asks for what that version may not have; and nothing of it is touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

static void
refused(struct run *run, int code, const char *version)
{
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, code,
                scratch_printf("the ledger has version %s, this pghaul writes", version));
    pair_expect(run, code, "PH-LEDGER");
    pair_expect(run, code, "DROP SCHEMA pghaul CASCADE");
}

/* `change` makes the ledger what a version may have been that is not this one. */
static void
every_command_refuses(struct pair_db *db, const char *version, const char *change)
{
    const char *target = pg_test_conninfo(pair.dst, db->name);
    const char *name = db->name;

    sql_execf(db->target, "UPDATE pghaul.version SET version = %s; %s", version, change);
    refused(start_pghaul(NULL, "status", "--target", target), 1, version);
    refused(start_pghaul(NULL, "status", "--json", "--name", name, "--target", target), 1, version);
    refused(
        start_pghaul(NULL, "clean", "--name", name, "--dir", db->dir, "--target", target, "--yes"),
        1, version);
    refused(start_pghaul(NULL, "stop", "--name", name, "--target", target), 1, version);
    refused(pair_run(db, "check", "--name", name), 3, version);
    refused(pair_copy(db, "--name", name), 1, version);
    refused(pair_copy(db, "--name", name, "--restart", "--yes"), 1, version);
    refused(pair_run(db, "verify", "--name", name), 1, version);
}

static void
test_other_versions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "versions");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    run_expect(pair_copy(&db, "--name", "versions"), 0);
    every_command_refuses(&db, "999", "ALTER TABLE pghaul.job ADD later int");
    every_command_refuses(&db, "1",
                          "DROP TABLE pghaul.position, pghaul.progress CASCADE;"
                          "ALTER TABLE pghaul.run DROP COLUMN host");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.job"), 1);
    sql_exec(db.target, "DROP SCHEMA pghaul CASCADE");
    struct run *run = run_pghaul("status", "--target", pg_test_conninfo(pair.dst, "versions"));
    run_expect(run, 0);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_versions),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
