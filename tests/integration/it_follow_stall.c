/*
 * The source's stream stops in the middle of a transaction, which came whole and is half received:
 * nobody knows for how long. What the target has been told of it by then stays in its transaction,
 * and what was committed before it must not wait for it.
 *
 * The stream stops at a certain row: the proxy holds back what comes behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/proxy.h"
#include "support/scratch.h"

#include <stdlib.h>

#define WAIT_MS 60000
#define MARK "'" PROXY_THE_MARK "'"

static struct pair pair;
static struct proxy *proxy;

static int
start(void **state)
{
    static const struct pg_test_params source = {.listen = PG_TEST_SOCKET_AND_TCP,
                                                 .conf = "autovacuum = off\n"};

    (void)state;
    pg_test_pair_new(&source, NULL, &pair.src, &pair.dst);
    proxy = proxy_new(pair.src);
    return 0;
}

struct scene {
    struct pair_db db;
    struct run *run;
};

static struct scene
begin_with(const char *name, const char *decoding_memory)
{
    struct scene scene = {.db = pair_db_new(&pair, name)};
    struct pair_db *db = &scene.db;

    sql_exec(db->source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                         "CREATE TABLE u (id int PRIMARY KEY, v text);"
                         "CREATE TABLE small (id serial PRIMARY KEY, v text);"
                         "INSERT INTO u VALUES (1, 'u'), (2, 'u')");
    sql_execf(db->source, "ALTER DATABASE %s SET logical_decoding_work_mem = '%s'", name,
              decoding_memory);
    db->source_extra = proxy_conninfo(proxy, name);
    scene.run = pair_follow(db, "--memory", "32MB");
    pair_wait_following(db, scene.run);
    proxy_set(proxy, PROXY_MARK);
    return scene;
}

/* Of transactions that come whole. */
static struct scene
begin(const char *name)
{
    return begin_with(name, "64MB");
}

static void
has_small(const struct scene *scene, const char *v)
{
    sql_wait_true(pair.dst, scene->db.name,
                  scratch_printf("SELECT count(*) = 1 FROM small WHERE v = '%s'", v), WAIT_MS);
}

/* The second one comes too soon after the first to be committed synchronously. */
static void
apply_some(const struct scene *scene)
{
    sql_exec(scene->db.source, "INSERT INTO small (v) VALUES ('first')");
    has_small(scene, "first");
    sql_exec(scene->db.source, "INSERT INTO small (v) VALUES ('second')");
    has_small(scene, "second");
}

/* Longer than anything that is applied stays without being made durable. */
static void
wait_stalled(const struct scene *scene)
{
    sql_wait_true(pair.dst, scene->db.name,
                  "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()"
                  " AND application_name LIKE '%apply' AND state = 'idle in transaction'"
                  " AND clock_timestamp() - state_change > '2 s'",
                  WAIT_MS);
    sql_wait_true(pair.dst, scene->db.name,
                  "SELECT state #>> '{follow,applied_durable}' = state #>> '{follow,applied}' AND"
                  " at > clock_timestamp() - interval '2 s' FROM pghaul.progress",
                  WAIT_MS);
}

static void
end(struct scene *scene)
{
    pair_expect(pair_stop(&scene->db, "now"), 0, NULL);
    pair_expect(scene->run, 0, NULL);
    pair_same_table(&scene->db, "t");
    pair_same_table(&scene->db, "u");
    pair_same_table(&scene->db, "small");
    pair_db_end(&scene->db);
}

/* Nothing is made durable by what happens in its transaction, and its own COMMIT is synchronous. */
static void
test_a_group_that_is_open(void **state)
{
    struct scene scene = begin("open");

    (void)state;
    sql_exec(scene.db.target,
             "CREATE TABLE public.how (how text);"
             "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO"
             " public.how VALUES (pg_catalog.current_setting('synchronous_commit')); RETURN NULL;"
             " END$$; CREATE CONSTRAINT TRIGGER note AFTER INSERT ON t DEFERRABLE INITIALLY"
             " DEFERRED FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION note();"
             "ALTER TABLE t ENABLE ALWAYS TRIGGER note");
    apply_some(&scene);
    sql_exec(scene.db.source, "BEGIN; INSERT INTO t SELECT g, repeat('x', 500) FROM"
                              " generate_series(1000, 21000) g; INSERT INTO t VALUES (1, " MARK ");"
                              " INSERT INTO t VALUES (2, 'last'); COMMIT");
    wait_stalled(&scene);
    proxy_set(proxy, PROXY_FORWARD);
    sql_wait_true(pair.dst, scene.db.name, "SELECT count(*) = 1 FROM t WHERE id = 2", WAIT_MS);
    assert_string_equal(sql_value(scene.db.target, "SELECT how FROM how"), "on");
    sql_exec(scene.db.target, "DROP TRIGGER note ON t");
    end(&scene);
}

/* It was queued, and is not on its way. */
static void
test_behind_a_truncate(void **state)
{
    struct scene scene = begin("truncated");

    (void)state;
    apply_some(&scene);
    sql_exec(scene.db.source, "BEGIN; TRUNCATE u; INSERT INTO u VALUES (1, " MARK ");"
                              " INSERT INTO u VALUES (3, 'last'); INSERT INTO t VALUES (1, 't');"
                              " COMMIT");
    wait_stalled(&scene);
    proxy_set(proxy, PROXY_FORWARD);
    end(&scene);
}

/*
 * The applier waits for that lock: what the source commits from here on comes to it at once. What
 * follows is in the spool by then, so far as it comes.
 */
static PGconn *
hold(const struct scene *scene)
{
    PGconn *gate = sql_connect(pair.dst, scene->db.name);

    sql_exec(gate, "BEGIN; LOCK TABLE u IN SHARE MODE");
    sql_exec(scene->db.source, "INSERT INTO u VALUES (3, 'gate')");
    sql_wait_true(pair.dst, scene->db.name,
                  "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation ="
                  " 'u'::regclass",
                  WAIT_MS);
    sql_exec(scene->db.source, "INSERT INTO small (v) VALUES ('before')");
    return gate;
}

/* A progress that is told from here on. */
static void
wait_told(const struct scene *scene, const char *that)
{
    const char *now = sql_value(scene->db.target, "SELECT clock_timestamp() + interval '0.2 s'");

    sql_wait_true(pair.dst, scene->db.name,
                  scratch_printf("SELECT at > '%s' AND %s FROM pghaul.progress", now, that),
                  WAIT_MS);
}

static void
release(const struct scene *scene, PGconn *gate)
{
    proxy_wait_marked(proxy);
    wait_told(scene, "(state #>> '{follow,spool_bytes}')::bigint > 300000");
    PQfinish(gate);
}

#define INSERT_MANY                                                                                \
    "INSERT INTO t SELECT g, sha512(g::text::bytea)::text || sha512((-g)::text::bytea)::text ||"   \
    " sha512((g + 0.5)::text::bytea)::text FROM generate_series(1000, %d) g"

/* They are in one group with the half; parts of that are on the target, or not. */
static void
test_whole_ones_before(void **state)
{
    static const int last[] = {2500, 21000};

    (void)state;
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        struct scene scene = begin(scratch_printf("whole_%d", last[i]));
        PGconn *gate = hold(&scene);
        sql_execf(scene.db.source,
                  "BEGIN; " INSERT_MANY "; INSERT INTO t VALUES (1, " MARK ");"
                  " INSERT INTO t VALUES (2, 'last'); COMMIT",
                  last[i]);
        release(&scene, gate);
        has_small(&scene, "before");
        assert_string_equal(sql_value(scene.db.target, "SELECT count(*) FROM t"), "0");
        proxy_set(proxy, PROXY_FORWARD);
        end(&scene);
    }
}

/* So may the blocks of a large one, which change what only these have put there: they wait. */
static void
test_blocks_before(void **state)
{
    struct scene scene = begin_with("blocks", "64kB");
    PGconn *large = sql_connect(pair.src, scene.db.name);

    (void)state;
    apply_some(&scene);
    PGconn *gate = hold(&scene);
    sql_execf(large, "BEGIN; UPDATE small SET v = 'early' WHERE v = 'before'; " INSERT_MANY, 2500);
    sql_exec(scene.db.source, "BEGIN; INSERT INTO t VALUES (1, " MARK ");"
                              " INSERT INTO t VALUES (2, 'last'); COMMIT");
    release(&scene, gate);
    has_small(&scene, "before");
    proxy_set(proxy, PROXY_FORWARD);
    sql_exec(large, "COMMIT");
    PQfinish(large);
    has_small(&scene, "early");
    wait_told(&scene, "true");
    assert_string_equal(
        sql_value(scene.db.target, "SELECT state #>> '{follow,early_left}' FROM pghaul.progress"),
        "0");
    end(&scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_that_is_open),
        cmocka_unit_test(test_behind_a_truncate),
        cmocka_unit_test(test_whole_ones_before),
        cmocka_unit_test(test_blocks_before),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
