/* What of a target acts by itself on rows that are written rests meanwhile, and is as it was. */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <stdlib.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    sql_once(pair.dst, "postgres", "CREATE ROLE keeper LOGIN; CREATE ROLE guest LOGIN");
    return 0;
}

static const char TRIGGERS[] = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger"
                               " ORDER BY 1, 2";

/* ---- triggers ---- */

/* Every partition's own state comes back, and what only a partition has rests as well. */
static void
repair_leaves_triggers_of_partitions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "parts");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                        "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g");
    sql_exec(db.target,
             "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
             "CREATE TABLE p1 PARTITION OF t FOR VALUES FROM (0) TO (6);"
             "CREATE TABLE p2 PARTITION OF t FOR VALUES FROM (6) TO (100);"
             "CREATE TABLE seen (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
             " AS 'BEGIN INSERT INTO public.seen VALUES (new.id); RETURN NEW; END';"
             "CREATE TRIGGER of_all BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();"
             "ALTER TABLE t ENABLE ALWAYS TRIGGER of_all; ALTER TABLE p2 DISABLE TRIGGER of_all;"
             "CREATE TRIGGER own BEFORE INSERT ON p1 FOR EACH ROW EXECUTE FUNCTION note();"
             "ALTER TABLE p1 ENABLE ALWAYS TRIGGER own");
    const char *before = sql_rows(db.target, TRIGGERS);
    pair_expect(pair_run(&db, "verify", "--data-only", "--table", "public.t", "--repair", "--yes"),
                0, "mended: 10 rows inserted");
    pair_same(&db, "SELECT * FROM t ORDER BY 1");
    assert_string_equal(sql_rows(db.target, TRIGGERS), before);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM seen"), 0);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repair_leaves_triggers_of_partitions),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
