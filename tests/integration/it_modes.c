/* --data-only into schemas that are there already, by roles with all rights and with few. */
/* labels: majors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/hold.h"
#include "support/pair.h"
#include "support/scratch.h"

#include <string.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    PGconn *conn = sql_connect(pair.dst, "postgres");
    sql_exec(conn, "CREATE ROLE owner LOGIN; CREATE ROLE granted LOGIN;"
                   "GRANT SET ON PARAMETER session_replication_role TO granted");
    PQfinish(conn);
    return 0;
}

static const char TRIGGERS[] = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger"
                               " WHERE NOT tgisinternal ORDER BY 1, 2";
static const char CONSTRAINTS[] =
    "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), condeferrable, condeferred,"
    " convalidated FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2";

/* ---- columns ---- */

static void
test_other_columns(void **state)
{
    struct pair_db db = pair_db_new(&pair, "columns");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE t (gone int, id bigint PRIMARY KEY, name text, at timestamptz,"
             " twice bigint GENERATED ALWAYS AS (id * 2) STORED,"
             " n int GENERATED ALWAYS AS IDENTITY);"
             "ALTER TABLE t DROP COLUMN gone;"
             "INSERT INTO t (id, name, at) SELECT i, repeat('x', i % 7), now()"
             " FROM generate_series(1, 1000) i");
    sql_exec(db.target,
             "CREATE TABLE t (n int GENERATED ALWAYS AS IDENTITY, extra text DEFAULT 'here',"
             " at timestamptz, name text, dropped int,"
             " twice bigint GENERATED ALWAYS AS (id * 2) STORED, id bigint PRIMARY KEY, empty int);"
             "ALTER TABLE t DROP COLUMN dropped");
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    pair_same(&db, "SELECT id, name, at, twice, n FROM t ORDER BY id");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t WHERE extra = 'here'"), 1000);
    assert_int_equal(sql_int(db.target, "SELECT nextval('t_n_seq')"), 1001);
    pair_db_end(&db);
}

static void
test_missing_columns_are_listed(void **state)
{
    struct pair_db db = pair_db_new(&pair, "fewer");

    (void)state;
    sql_exec(db.source, "CREATE TABLE a (id int, x int, y int); CREATE TABLE b (id int, z int)");
    sql_exec(db.target, "CREATE TABLE a (id int); CREATE TABLE b (id int, w int NOT NULL)");
    struct run *run = pair_copy(&db, "--data-only");
    pair_expect(run, 3, "PH-TYPES");
    pair_expect(run, 3, "public.a: column x is missing on the target");
    pair_expect(run, 3, "public.a: column y is missing on the target");
    pair_expect(run, 3, "public.b: column z is missing on the target");
    pair_expect(run, 3, "public.b: column w is only on the target, NOT NULL");
    assert_string_equal(sql_value(db.target, "SELECT to_regnamespace('pghaul')"), "<null>");
    pair_db_end(&db);
}

/* ---- partitions ---- */

static void
test_partitions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "partitions");

    (void)state;
    pair_both(&db, "CREATE TABLE same (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);"
                   "CREATE TABLE same_1 PARTITION OF same FOR VALUES FROM (0) TO (500);"
                   "CREATE TABLE same_2 PARTITION OF same FOR VALUES FROM (500) TO (2000);"
                   "CREATE TABLE other (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);"
                   "CREATE TABLE plain_here (id int, k text); CREATE UNLOGGED TABLE u (id int)");
    sql_exec(db.source, "CREATE TABLE other_a PARTITION OF other FOR VALUES FROM (0) TO (300);"
                        "CREATE TABLE other_b PARTITION OF other FOR VALUES FROM (300) TO (2000);"
                        "CREATE TABLE flat (id int, k text)");
    sql_exec(db.target, "CREATE TABLE other_x PARTITION OF other FOR VALUES FROM (0) TO (700);"
                        "CREATE TABLE other_b PARTITION OF other FOR VALUES FROM (700) TO (2000);"
                        "CREATE TABLE flat (id int, k text) PARTITION BY LIST (k);"
                        "CREATE TABLE flat_e PARTITION OF flat FOR VALUES IN ('e');"
                        "CREATE TABLE flat_rest PARTITION OF flat DEFAULT");
    sql_exec(db.source, "INSERT INTO same SELECT i, md5(i::text) FROM generate_series(1, 1000) i;"
                        "INSERT INTO other SELECT i, md5(i::text) FROM generate_series(1, 1000) i;"
                        "INSERT INTO flat SELECT i, chr(97 + i % 8) FROM generate_series(1, 90) i;"
                        "INSERT INTO u SELECT generate_series(1, 10);"
                        "INSERT INTO plain_here SELECT i, 'k' FROM generate_series(1, 10) i");
    pair_expect(pair_copy(&db, "--data-only", "--jobs", "3"), 0, "proven");
    pair_same_table(&db, "same_1");
    pair_same_table(&db, "same_2");
    pair_same(&db, "SELECT * FROM other ORDER BY id");
    assert_int_equal(sql_int(db.target, "SELECT max(id) FROM other_x"), 699);
    pair_same(&db, "SELECT * FROM flat ORDER BY id");
    pair_same_table(&db, "u");
    pair_same_table(&db, "plain_here");
    pair_db_end(&db);
}

/* ---- a target with rows ---- */

static void
test_target_not_empty(void **state)
{
    struct pair_db db = pair_db_new(&pair, "full");

    (void)state;
    pair_both(&db, "CREATE TABLE p (id int PRIMARY KEY);"
                   "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p)");
    sql_exec(db.source, "INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 1), (2, 2)");
    sql_exec(db.target, "INSERT INTO p VALUES (7); INSERT INTO c VALUES (7, 7)");
    pair_expect(pair_copy(&db, "--data-only"), 3, "PH-TARGET-NOT-EMPTY");
    assert_string_equal(sql_value(db.target, "SELECT to_regnamespace('pghaul')"), "<null>");
    pair_expect(pair_copy(&db, "--data-only", "--truncate"), 2, "--yes");
    /* c refers to p and is not selected */
    pair_expect(pair_copy(&db, "--data-only", "--truncate", "--yes", "--table", "p"), 3, "c");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM p"), 1);
    assert_string_equal(sql_value(db.target, "SELECT to_regnamespace('pghaul')"), "<null>");
    pair_expect(pair_copy(&db, "--data-only", "--truncate", "--yes"), 0, "proven");
    pair_same_table(&db, "p");
    pair_same_table(&db, "c");
    pair_db_end(&db);
}

static void
test_restart(void **state)
{
    struct pair_db db = pair_db_new(&pair, "restart");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY)");
    sql_exec(db.source, "INSERT INTO t VALUES (1), (2)");
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    pair_expect(pair_copy(&db, "--data-only"), 0, "an earlier run finished this job");
    pair_expect(pair_copy(&db, "--data-only", "--restart"), 2, "--yes");
    pair_expect(pair_copy(&db, "--data-only", "--restart", "--yes"), 3, "PH-TARGET-NOT-EMPTY");
    sql_exec(db.source, "INSERT INTO t VALUES (3)");
    pair_expect(pair_copy(&db, "--data-only", "--restart", "--truncate", "--yes"), 0, "proven");
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* ---- roles that cannot switch foreign keys off ---- */

/* Owner of everything on the target, and of nothing else. */
static void
hand_over(struct pair_db *db)
{
    sql_execf(db->target, "GRANT CREATE ON DATABASE \"%s\" TO owner", db->name);
    sql_exec(db->target,
             "DO $$ DECLARE r record; BEGIN FOR r IN SELECT oid::regclass AS t FROM pg_class WHERE"
             " relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') LOOP"
             " EXECUTE format('ALTER TABLE %s OWNER TO owner', r.t); END LOOP; END $$");
    db->target_user = "owner";
}

/* TRAPS 41 */
static void
test_foreign_keys_by_the_owner(void **state)
{
    struct pair_db db = pair_db_new(&pair, "levels");

    (void)state;
    /* the grandchild is the largest, so that order by size would break */
    pair_both(&db, "CREATE TABLE grandchild (id int PRIMARY KEY, c int);"
                   "CREATE TABLE child (id int PRIMARY KEY, p int);"
                   "CREATE TABLE parent (id int PRIMARY KEY);"
                   "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree);"
                   "CREATE TABLE parts (id int, p int) PARTITION BY RANGE (id);"
                   "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (500);"
                   "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (500) TO (9000);"
                   "ALTER TABLE child ADD FOREIGN KEY (p) REFERENCES parent;"
                   "ALTER TABLE parts ADD FOREIGN KEY (p) REFERENCES parent;"
                   "ALTER TABLE grandchild ADD FOREIGN KEY (c) REFERENCES child");
    sql_exec(db.source,
             "INSERT INTO parent SELECT generate_series(1, 100);"
             "INSERT INTO child SELECT i, i % 100 + 1 FROM generate_series(1, 3000) i;"
             "INSERT INTO grandchild SELECT i, i % 3000 + 1 FROM generate_series(1, 60000) i;"
             "INSERT INTO parts SELECT i, i % 100 + 1 FROM generate_series(1, 2000) i;"
             /* every row refers to one that comes later, the last to itself */
             "INSERT INTO tree SELECT i, least(i + 1, 5000) FROM generate_series(1, 5000) i");
    hand_over(&db);
    pair_expect(pair_copy(&db, "--data-only", "--jobs", "4"), 0, "proven");
    pair_same_table(&db, "grandchild");
    pair_same_table(&db, "tree");
    pair_same(&db, "SELECT * FROM parts ORDER BY 1");
    pair_db_end(&db);
}

static void
fill_ring(struct pair_db *db)
{
    sql_exec(db->source, "BEGIN; SET LOCAL session_replication_role = replica;"
                         "INSERT INTO a SELECT i, i FROM generate_series(1, 3000) i;"
                         "INSERT INTO b SELECT i, 3001 - i FROM generate_series(1, 3000) i;"
                         "COMMIT");
}

/* TRAPS 42 */
static void
test_ring_of_deferrable_keys(void **state)
{
    struct pair_db db = pair_db_new(&pair, "ring_deferred");

    (void)state;
    pair_both(&db, "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL);"
                   "CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a DEFERRABLE);"
                   "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE;"
                   "CREATE TABLE leaf (id int REFERENCES a)");
    fill_ring(&db);
    sql_exec(db.source, "INSERT INTO leaf SELECT generate_series(1, 2000)");
    hand_over(&db);
    const char *before = sql_rows(db.target, CONSTRAINTS);
    pair_expect(pair_copy(&db, "--data-only", "--jobs", "4"), 0, "proven");
    pair_same_table(&db, "a");
    pair_same_table(&db, "b");
    pair_same_table(&db, "leaf");
    assert_string_equal(sql_rows(db.target, CONSTRAINTS), before);
    pair_db_end(&db);
}

/* TRAPS 42 */
static void
test_ring_of_plain_keys(void **state)
{
    struct pair_db db = pair_db_new(&pair, "ring_plain");

    (void)state;
    pair_both(&db, "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL);"
                   "CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL"
                   " CONSTRAINT \"to A\" REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE);"
                   "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;"
                   "CREATE TABLE leaf (id int REFERENCES a)");
    sql_exec(db.target, "COMMENT ON CONSTRAINT \"to A\" ON b IS 'kept'");
    fill_ring(&db);
    sql_exec(db.source, "INSERT INTO leaf SELECT generate_series(1, 2000)");
    hand_over(&db);
    const char *before = sql_rows(db.target, CONSTRAINTS);
    pair_expect(pair_copy(&db, "--data-only", "--jobs", "4"), 0, "proven");
    pair_same_table(&db, "a");
    pair_same_table(&db, "b");
    pair_same_table(&db, "leaf");
    assert_string_equal(sql_rows(db.target, CONSTRAINTS), before);
    assert_string_equal(sql_value(db.target, "SELECT obj_description(oid) FROM pg_constraint"
                                             " WHERE conname = 'to A'"),
                        "kept");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.set_aside"), 0);
    pair_db_end(&db);
}

/* Partitions of one table refer to each other; a table in several chunks refers to itself. */
static void
test_foreign_keys_within_a_table(void **state)
{
    struct pair_db db = pair_db_new(&pair, "within");

    (void)state;
    pair_both(&db, "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree, v text);"
                   "CREATE TABLE node (id int PRIMARY KEY, up int) PARTITION BY RANGE (id);"
                   "CREATE TABLE node_1 PARTITION OF node FOR VALUES FROM (0) TO (500);"
                   "CREATE TABLE node_2 PARTITION OF node FOR VALUES FROM (500) TO (9000);"
                   "ALTER TABLE node ADD FOREIGN KEY (up) REFERENCES node;"
                   "CREATE TABLE leafs (id int, n int REFERENCES node) PARTITION BY RANGE (id);"
                   "CREATE TABLE leafs_1 PARTITION OF leafs FOR VALUES FROM (0) TO (50);"
                   "CREATE TABLE leafs_2 PARTITION OF leafs FOR VALUES FROM (50) TO (9000)");
    sql_exec(db.source, "INSERT INTO tree SELECT i, 60001 - i, repeat('x', 600) FROM"
                        " generate_series(1, 60000) i;"
                        "INSERT INTO node SELECT i, 1001 - i FROM generate_series(1, 1000) i;"
                        "INSERT INTO leafs SELECT i, i FROM generate_series(1, 1000) i; ANALYZE");
    hand_over(&db);
    const char *before = sql_rows(db.target, CONSTRAINTS);
    pair_expect(pair_copy(&db, "--data-only", "--split", "1MB", "--jobs", "3"), 0, "proven");
    assert_true(sql_int(db.target, "SELECT max(chunk) FROM pghaul.chunk") > 0);
    assert_string_equal(sql_rows(db.target, CONSTRAINTS), before);
    pair_expect(pair_copy(&db, "--data-only", "--restart", "--truncate", "--yes", "--jobs", "3"), 0,
                "proven");
    pair_same(&db, "SELECT count(*), sum(id), sum(up) FROM tree");
    pair_same(&db, "SELECT * FROM node ORDER BY 1");
    pair_same(&db, "SELECT * FROM leafs ORDER BY 1");
    assert_string_equal(sql_rows(db.target, CONSTRAINTS), before);
    pair_db_end(&db);
}

/* Keys are dropped, then the run dies: the next one goes on, and so does one after a stop. */
static void
test_trap_81_killed_with_keys_set_aside(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_81");
    static const char *const kill[] = {"PGHAUL_FAILPOINT=before_commit=kill", NULL};

    (void)state;
    pair_both(&db, "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL);"
                   "CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a);"
                   "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b NOT VALID");
    fill_ring(&db);
    hand_over(&db);
    const char *before = sql_rows(db.target, CONSTRAINTS);
    db.env = kill;
    assert_int_equal(pair_copy(&db, "--data-only")->code, -9);
    assert_string_not_equal(sql_rows(db.target, CONSTRAINTS), before);
    db.env = hold_at("after_claim");
    struct run *run = pair_start_args(&db, "copy", (const char *const[]){"--data-only", NULL});
    hold_wait(run);
    run_signal(run, 15);
    hold_release();
    run_expect(run, 5);
    db.env = NULL;
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    pair_same_table(&db, "a");
    pair_same_table(&db, "b");
    assert_string_equal(sql_rows(db.target, CONSTRAINTS), before);
    pair_db_end(&db);
}

/* Nothing is in yet: `clean` gives everything back. */
static void
test_trap_81_clean_gives_keys_back(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_81_clean");
    static const char *const kill[] = {"PGHAUL_FAILPOINT=before_commit=kill", NULL};

    (void)state;
    pair_both(&db, "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL);"
                   "CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a);"
                   "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE SET NULL");
    fill_ring(&db);
    hand_over(&db);
    const char *before = sql_rows(db.target, CONSTRAINTS);
    db.env = kill;
    assert_int_equal(pair_copy(&db, "--data-only", "--jobs", "1")->code, -9);
    assert_string_not_equal(sql_rows(db.target, CONSTRAINTS), before);
    db.env = NULL;
    run_expect(pair_run(&db, "clean", "--yes"), 0);
    assert_string_equal(sql_rows(db.target, CONSTRAINTS), before);
    assert_string_equal(sql_value(db.target, "SELECT to_regnamespace('pghaul')"), "<null>");
    pair_db_end(&db);
}

/* Half of a table is in, and refers to the other half: no key can come back before it is emptied.
 */
static void
test_restart_with_keys_set_aside(void **state)
{
    struct pair_db db = pair_db_new(&pair, "restart_aside");
    static const char *const kill[] = {"PGHAUL_FAILPOINT=before_commit=kill@3", NULL};

    (void)state;
    pair_both(&db, "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree, v text)");
    sql_exec(db.source, "INSERT INTO tree SELECT i, 60001 - i, repeat('x', 600) FROM"
                        " generate_series(1, 60000) i; ANALYZE");
    hand_over(&db);
    const char *before = sql_rows(db.target, CONSTRAINTS);
    db.env = kill;
    assert_int_equal(pair_copy(&db, "--data-only", "--split", "1MB", "--jobs", "1")->code, -9);
    assert_true(sql_int(db.target, "SELECT count(*) FROM tree") > 0);
    db.env = NULL;
    struct run *run = pair_copy(&db, "--data-only", "--restart", "--truncate", "--yes");
    pair_expect(run, 1, "PH-CONSTRAINT");
    pair_expect(run, 1, "TRUNCATE its tables on the target, then give the same command again");
    sql_exec(db.target, "TRUNCATE tree");
    pair_expect(pair_copy(&db, "--data-only", "--restart", "--truncate", "--yes"), 0, "proven");
    pair_same(&db, "SELECT count(*), sum(id), sum(up) FROM tree");
    assert_string_equal(sql_rows(db.target, CONSTRAINTS), before);
    pair_db_end(&db);
}

/* ---- triggers ---- */

static const char WITH_TRIGGERS[] =
    "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE log (what text);"
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO public.log VALUES (TG_NAME); NEW.v := 'touched'; RETURN NEW; END $$;"
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO public.log VALUES (TG_NAME); RETURN NULL; END $$;"
    "CREATE TRIGGER t_plain BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();"
    "CREATE TRIGGER \"T Always\" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();"
    "CREATE TRIGGER t_replica BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();"
    "CREATE TRIGGER t_off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();"
    "CREATE TRIGGER t_stmt AFTER INSERT ON t EXECUTE FUNCTION note();"
    "CREATE TRIGGER t_trunc AFTER TRUNCATE ON t EXECUTE FUNCTION note();"
    "ALTER TABLE t ENABLE ALWAYS TRIGGER \"T Always\";"
    "ALTER TABLE t ENABLE REPLICA TRIGGER t_replica; ALTER TABLE t DISABLE TRIGGER t_off;"
    "CREATE TABLE p (id int, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50);"
    "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (50) TO (500);"
    "CREATE TRIGGER p_always BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION touch();"
    "CREATE TRIGGER p_plain BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION touch();"
    "ALTER TABLE p ENABLE ALWAYS TRIGGER p_always; ALTER TABLE p2 DISABLE TRIGGER p_plain";

static void
make_triggers(struct pair_db *db)
{
    sql_exec(db->source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                         "CREATE TABLE p (id int, v text) PARTITION BY RANGE (id);"
                         "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (60);"
                         "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (60) TO (500);"
                         "INSERT INTO t SELECT i, 'as it was' FROM generate_series(1, 200) i;"
                         "INSERT INTO p SELECT i, 'as it was' FROM generate_series(1, 200) i");
    sql_exec(db->target, WITH_TRIGGERS);
    sql_exec(db->target, "INSERT INTO log VALUES ('before'); INSERT INTO t VALUES (1, 'old');"
                         "DELETE FROM log");
}

static void
copy_past_triggers(struct pair_db *db)
{
    const char *before = sql_rows(db->target, TRIGGERS);

    pair_expect(pair_copy(db, "--data-only", "--truncate", "--yes"), 0, "proven");
    pair_same_table(db, "t");
    pair_same(db, "SELECT * FROM p ORDER BY 1");
    assert_string_equal(sql_rows(db->target, TRIGGERS), before);
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM log"), 0);
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM pghaul.set_aside"), 0);
}

/* TRAPS 43 */
static void
test_triggers_of_the_superuser(void **state)
{
    struct pair_db db = pair_db_new(&pair, "triggers_super");

    (void)state;
    make_triggers(&db);
    copy_past_triggers(&db);
    pair_db_end(&db);
}

/* TRAPS 43 */
static void
test_triggers_of_the_owner(void **state)
{
    struct pair_db db = pair_db_new(&pair, "triggers_owner");

    (void)state;
    make_triggers(&db);
    hand_over(&db);
    copy_past_triggers(&db);
    pair_db_end(&db);
}

/* TRAPS 43 */
static void
test_triggers_with_the_grant(void **state)
{
    struct pair_db db = pair_db_new(&pair, "triggers_grant");

    (void)state;
    make_triggers(&db);
    hand_over(&db);
    sql_exec(db.target, "GRANT owner TO granted");
    db.target_user = "granted";
    copy_past_triggers(&db);
    pair_db_end(&db);
}

/* Before 15 what a partition has from its parent counts as internal. */
static void
test_triggers_before_15(void **state)
{
    static const char *const users[] = {NULL, "owner"};

    (void)state;
    for (int major = 13; major <= 14; major++) {
        if (!pg_test_major_present(major)) {
            print_message("SKIPPED: PostgreSQL %d is not installed\n", major);
            continue;
        }
        struct pair older = {pair.src,
                             pg_test_cluster_new(&(struct pg_test_params){.major = major})};
        sql_once(older.dst, "postgres", "CREATE ROLE owner LOGIN");
        for (int i = 0; i < 2; i++) {
            struct pair_db db = pair_db_new(&older, scratch_printf("triggers_%d_%d", major, i));
            make_triggers(&db);
            if (users[i] != NULL)
                hand_over(&db);
            copy_past_triggers(&db);
            pair_db_end(&db);
        }
        pg_test_cluster_stop(older.dst);
    }
}

static void
test_triggers_of_others(void **state)
{
    struct pair_db db = pair_db_new(&pair, "triggers_others");

    (void)state;
    make_triggers(&db);
    sql_execf(db.target,
              "TRUNCATE t; GRANT CREATE ON DATABASE \"%s\" TO owner; GRANT SELECT,"
              " INSERT ON ALL TABLES IN SCHEMA public TO owner",
              db.name);
    sql_exec(db.target, "DELETE FROM log");
    db.target_user = "owner";
    pair_expect(pair_copy(&db, "--data-only"), 3, "PH-RIGHTS");
    assert_string_equal(sql_value(db.target, "SELECT to_regnamespace('pghaul')"), "<null>");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_columns),
        cmocka_unit_test(test_missing_columns_are_listed),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_target_not_empty),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_foreign_keys_by_the_owner),
        cmocka_unit_test(test_ring_of_deferrable_keys),
        cmocka_unit_test(test_ring_of_plain_keys),
        cmocka_unit_test(test_foreign_keys_within_a_table),
        cmocka_unit_test(test_trap_81_killed_with_keys_set_aside),
        cmocka_unit_test(test_trap_81_clean_gives_keys_back),
        cmocka_unit_test(test_restart_with_keys_set_aside),
        cmocka_unit_test(test_triggers_of_the_superuser),
        cmocka_unit_test(test_triggers_of_the_owner),
        cmocka_unit_test(test_triggers_with_the_grant),
        cmocka_unit_test(test_triggers_before_15),
        cmocka_unit_test(test_triggers_of_others),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
