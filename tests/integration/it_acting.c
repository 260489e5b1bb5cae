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

/* ---- rewrite rules ---- */

static const char RULES[] = "SELECT ev_class::regclass, rulename, ev_enabled FROM pg_rewrite"
                            " WHERE ev_type <> '1' AND ev_class >= 16384 ORDER BY 1, 2";

/* What a rule of the source has added to audit comes by itself: in the copy, and in the stream. */
static struct pair_db
new_ruled(const char *name, const char *rules_of_target)
{
    struct pair_db db = pair_db_new(&pair, name);

    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                   "CREATE TABLE audit (id int, what text);"
                   "ALTER TABLE audit REPLICA IDENTITY FULL;"
                   "CREATE RULE also AS ON INSERT TO t DO ALSO INSERT INTO audit VALUES (new.id,"
                   " 'inserted')");
    sql_exec(db.source, "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g");
    sql_exec(db.target, rules_of_target);
    return db;
}

/* Without the right to set the replica role. */
static void
hand_over(struct pair_db *db, const char *owner, const char *user)
{
    sql_execf(db->target,
              "GRANT CREATE ON DATABASE \"%s\" TO %s; GRANT ALL ON t, audit TO %s;"
              "ALTER TABLE t OWNER TO %s; ALTER TABLE audit OWNER TO %s",
              db->name, user, user, owner, owner);
    db->target_user = user;
}

static void
follows_past_rules(struct pair_db *db, int n_asleep)
{
    const char *before = sql_rows(db->target, RULES);

    struct run *run = pair_follow(db, "--data-only");
    pair_wait_following(db, run);
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM pg_rewrite WHERE ev_enabled = 'D'"),
                     n_asleep);
    sql_exec(db->source, "INSERT INTO t VALUES (11, 'new'), (12, 'newer');"
                         "UPDATE t SET v = 'other' WHERE id = 1; DELETE FROM t WHERE id = 2");
    pair_expect(pair_stop(db, "now"), 0, NULL);
    pair_expect(run, 0, "followed to");
    pair_same_table(db, "t");
    pair_same_table(db, "audit");
    assert_string_equal(sql_rows(db->target, RULES), before);
}

static void
rules_of_the_owner_rest(void **state)
{
    struct pair_db db =
        new_ruled("ruled", "CREATE RULE stays AS ON UPDATE TO t DO INSTEAD NOTHING;"
                           "CREATE RULE kept AS ON DELETE TO t DO INSTEAD NOTHING;"
                           "CREATE RULE off AS ON DELETE TO t DO ALSO INSERT INTO audit VALUES"
                           " (old.id, 'deleted'); ALTER TABLE t DISABLE RULE off");

    (void)state;
    hand_over(&db, "keeper", "keeper");
    follows_past_rules(&db, 4);
    pair_db_end(&db);
}

/* Under the replica role those act that are marked to, and only they are touched. */
static void
rules_that_always_act_rest(void **state)
{
    struct pair_db db = new_ruled(
        "always", "CREATE RULE stays AS ON UPDATE TO t DO INSTEAD NOTHING;"
                  "ALTER TABLE t ENABLE ALWAYS RULE stays;"
                  "CREATE RULE kept AS ON DELETE TO t DO ALSO INSERT INTO audit VALUES (old.id,"
                  " 'deleted'); ALTER TABLE t ENABLE REPLICA RULE kept");

    (void)state;
    follows_past_rules(&db, 2);
    pair_db_end(&db);
}

static void
rules_of_others_are_refused(void **state)
{
    struct pair_db db = new_ruled("of_others", "SELECT 1");

    (void)state;
    hand_over(&db, "keeper", "guest");
    pair_expect(pair_run(&db, "check", "--data-only", "--follow"), 3, "rule also of public.t");
    pair_db_end(&db);
}

static void
repair_leaves_rules_alone(void **state)
{
    struct pair_db db = new_ruled("mended", "INSERT INTO audit SELECT g, 'inserted'"
                                            " FROM generate_series(1, 10) g");
    const char *before = sql_rows(db.target, RULES);

    (void)state;
    hand_over(&db, "keeper", "keeper");
    pair_expect(pair_run(&db, "verify", "--data-only", "--repair", "--yes"), 0,
                "mended: 10 rows inserted");
    pair_same_table(&db, "t");
    pair_same_table(&db, "audit");
    assert_string_equal(sql_rows(db.target, RULES), before);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repair_leaves_triggers_of_partitions),
        cmocka_unit_test(rules_of_the_owner_rest),
        cmocka_unit_test(rules_that_always_act_rest),
        cmocka_unit_test(rules_of_others_are_refused),
        cmocka_unit_test(repair_leaves_rules_alone),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
