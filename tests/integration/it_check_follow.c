/* What a follow needs of its source: each blocker and warning is found, with its cure. */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/check.h"
#include "job/job.h"
#include "job/preflight_follow.h"
#include "support/pgcluster.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <stdlib.h>
#include <string.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static struct ph_options options;
static PGconn *app;
static struct ph_error err;

static int
start(void **state)
{
    static const struct pg_test_params params = {.conf = "max_prepared_transactions = 5\n"};

    (void)state;
    pg_test_pair_new(&params, NULL, &src, &dst);
    sql_once(src, "postgres", "CREATE ROLE reader LOGIN");
    sql_once(dst, "postgres", "CREATE ROLE mover LOGIN");
    return 0;
}

static void
make_options(const struct pg_test_cluster *source, const char *user)
{
    ph_options_free(&options);
    ph_error_reset(&err);
    assert_int_equal(ph_options_init(&options, &err), PH_OK);
    options.source = strdup(scratch_printf("%s user=%s", pg_test_conninfo(source, "shop"), user));
    options.target = strdup(pg_test_conninfo(dst, "next"));
    options.name = strdup("j");
    options.dir = strdup(scratch_new_dir("job"));
    options.follow = true;
    options.no_owner = options.no_acl = true;
}

static void
make_source(struct pg_test_cluster *cluster)
{
    PGconn *conn = sql_connect(cluster, "postgres");

    sql_exec(conn, "DROP DATABASE IF EXISTS shop WITH (FORCE)");
    sql_exec(conn, "CREATE DATABASE shop");
    PQfinish(conn);
    app = sql_connect(cluster, "shop");
    sql_exec(app, "CREATE TABLE good (id int PRIMARY KEY, v text); GRANT SELECT ON good TO public");
}

static int
begin(void **state)
{
    PGconn *conn = sql_connect(dst, "postgres");

    (void)state;
    sql_exec(conn, "DROP DATABASE IF EXISTS next WITH (FORCE)");
    sql_exec(conn, "CREATE DATABASE next");
    PQfinish(conn);
    make_source(src);
    make_options(src, "postgres");
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    PQfinish(app);
    app = NULL;
    ph_options_free(&options);
    return 0;
}

/* The words of `pghaul check`; whether it was ready. */
static const char *
check(bool *ready)
{
    struct ph_run run = {.options = &options};
    struct ph_buf out;

    ph_error_reset(&err);
    ph_buf_init(&out, 1 << 20);
    ph_code rc = ph_job_check(&run, &out, &err);
    if (rc != PH_OK && rc != PH_E_NOT_READY)
        fail_msg("%s %s", err.object, err.message);
    const char *text = scratch_printf("%s", ph_buf_text(&out));
    ph_buf_free(&out);
    *ready = rc == PH_OK;
    return text;
}

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

static void
lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("has \"%s\":\n%s", part, text);
}

/* Refused, and says all of it. */
#define REFUSED(...)                                                                               \
    do {                                                                                           \
        static const char *const parts_[] = {__VA_ARGS__};                                         \
        bool ready_;                                                                               \
        const char *text_ = check(&ready_);                                                        \
        for (size_t i_ = 0; i_ < sizeof parts_ / sizeof *parts_; i_++)                             \
            has(text_, parts_[i_]);                                                                \
        assert_false(ready_);                                                                      \
    } while (0)

#define ADMITTED(...)                                                                              \
    do {                                                                                           \
        static const char *const parts_[] = {__VA_ARGS__};                                         \
        bool ready_;                                                                               \
        const char *text_ = check(&ready_);                                                        \
        for (size_t i_ = 0; i_ < sizeof parts_ / sizeof *parts_; i_++)                             \
            has(text_, parts_[i_]);                                                                \
        if (!ready_)                                                                               \
            fail_msg("not ready:\n%s", text_);                                                     \
    } while (0)

static void
ready(void **state)
{
    bool is_ready;

    (void)state;
    ADMITTED("ready: 1 tables", "fsync is off on the source");
    lacks(check(&is_ready), "replica identity");
    assert_string_equal(sql_value(app, "SELECT count(*) FROM pg_publication"), "0");
}

static void
settings(void **state)
{
    static const struct pg_test_params params = {
        .conf = "wal_level = replica\nmax_replication_slots = 0\nmax_wal_senders = 0\n"
                "max_slot_wal_keep_size = 1GB\n"};
    static struct pg_test_cluster *plain;

    (void)state;
    PQfinish(app);
    plain = pg_test_cluster_new(&params);
    make_source(plain);
    make_options(plain, "postgres");
    REFUSED("wal_level is replica", "ALTER SYSTEM SET wal_level = logical",
            "all replication slots are taken", "all WAL senders are taken",
            "max_slot_wal_keep_size is 1GB", "PH-NOT-READY");
    options.follow = false;
    ADMITTED("ready: 1 tables");
    PQfinish(app);
    pg_test_cluster_stop(plain);
    app = NULL;
}

/* TRAPS 84 */
static void
trap_84_a_standby(void **state)
{
    static struct pg_test_cluster *standby;

    (void)state;
    PQfinish(app);
    standby = pg_test_cluster_new(NULL);
    make_source(standby);
    PQfinish(app);
    app = NULL;
    pg_test_cluster_stop(standby);
    scratch_write(scratch_printf("%s/standby.signal", standby->data), "");
    pg_test_cluster_start(standby);
    make_options(standby, "postgres");
    REFUSED("the source is a standby", "name the primary with --source");
    options.follow = false;
    ADMITTED("ready: 1 tables");
    pg_test_cluster_stop(standby);
}

static void
rights(void **state)
{
    (void)state;
    make_options(src, "reader");
    REFUSED("the role may not start replication", "may not create a publication",
            "publication public.good: the role does not own the table", "PH-RIGHTS");
    sql_exec(app, "ALTER ROLE reader REPLICATION; GRANT CREATE ON DATABASE shop TO reader;"
                  "ALTER TABLE good OWNER TO reader");
    ADMITTED("ready: 1 tables");
    sql_exec(app, "ALTER ROLE reader NOREPLICATION");
}

/* TRAPS 4, 5, 61: each would make the application's own updates fail, or come without a key. */
static void
trap_4_5_61_replica_identity(void **state)
{
    (void)state;
    sql_exec(app, "CREATE TABLE none (a int);"
                  "CREATE TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY"
                  " NOTHING;"
                  "CREATE TABLE lost (a int NOT NULL); CREATE UNIQUE INDEX lost_a ON lost (a);"
                  "ALTER TABLE lost REPLICA IDENTITY USING INDEX lost_a; DROP INDEX lost_a;"
                  "CREATE TABLE late (a int PRIMARY KEY DEFERRABLE);"
                  "CREATE TABLE \"Other\" (a int NOT NULL, b int NOT NULL UNIQUE);"
                  "CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY);"
                  "CREATE TABLE \"full\" (a int); ALTER TABLE \"full\" REPLICA IDENTITY FULL");
    REFUSED("PH-IDENTITY replica identity public.none: it has no primary key",
            "cure: ALTER TABLE ONLY \"public\".\"none\" REPLICA IDENTITY FULL",
            "public.nothing: its replica identity is NOTHING",
            "cure: ALTER TABLE ONLY \"public\".\"nothing\" REPLICA IDENTITY DEFAULT",
            "public.lost: the index of its replica identity is gone",
            "public.late: its primary key is DEFERRABLE", "public.Other: it has no primary key",
            "cure: ALTER TABLE ONLY \"public\".\"Other\" REPLICA IDENTITY USING INDEX "
            "\"Other_b_key\"",
            "public.made: its replica identity holds a generated column", "--exclude");
    bool is_ready;
    lacks(check(&is_ready), "identity public.full");
    options.set_replica_identity = true;
    ADMITTED("the statement will be run on the source", "REPLICA IDENTITY USING INDEX");
    assert_string_equal(sql_value(app, "SELECT count(*) FROM pg_class WHERE relreplident = 'f' AND"
                                       " relnamespace = 'public'::regnamespace"),
                        "1");
}

/* What was announced is done: updates of a published table go through. */
static void
identities_are_set(void **state)
{
    struct ph_run run = {.options = &options};
    struct ph_job job = {.lock_fd = -1};
    uint32_t n;

    (void)state;
    sql_exec(app, "CREATE TABLE none (a int); INSERT INTO none VALUES (1);"
                  "CREATE TABLE other (a int NOT NULL, b int NOT NULL UNIQUE);"
                  "CREATE TABLE parts (a int NOT NULL) PARTITION BY RANGE (a);"
                  "CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)");
    assert_int_equal(ph_job_connect(&job, &run, &err), PH_OK);
    assert_int_equal(ph_ledger_create(job.target_control, &err), PH_OK);
    assert_int_equal(ph_job_read_catalogs_now(&job, &err), PH_OK);
    const struct ph_table_plan tables[] = {
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "none")},
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "good")},
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "other")},
        {.source = ph_catalog_rel_named(&job.source_catalog, "public", "part_1")},
    };
    job.plan = (struct ph_plan){.tables = (struct ph_table_plan *)(uintptr_t)tables, .n_tables = 4};
    sql_exec(app, "BEGIN; SELECT * FROM none");
    assert_int_not_equal(ph_follow_set_identities(&job, 300, &n, &err), PH_OK);
    assert_string_equal(err.sqlstate, "55P03");
    assert_int_equal(n, 0);
    sql_exec(app, "COMMIT");
    assert_int_equal(ph_follow_set_identities(&job, 5000, &n, &err), PH_OK);
    assert_int_equal(n, 3);
    sql_exec(app, "CREATE PUBLICATION p FOR TABLE none, good, other, parts;"
                  "UPDATE none SET a = 2; INSERT INTO parts VALUES (1); UPDATE parts SET a = 2");
    assert_string_equal(sql_rows(app, "SELECT relname, relreplident FROM pg_class WHERE relname IN"
                                      " ('none', 'good', 'other', 'part_1') ORDER BY 1"),
                        "good|d\nnone|f\nother|i\npart_1|f\n");
    assert_string_equal(sql_once(dst, "next",
                                 "SELECT count(*) FROM pghaul.event WHERE message LIKE"
                                 " '%REPLICA IDENTITY%'"),
                        "3\n");
    job.plan = (struct ph_plan){0};
    ph_job_close(&job);
}

static void
not_in_the_stream(void **state)
{
    (void)state;
    sql_exec(app, "CREATE UNLOGGED TABLE fast (id int PRIMARY KEY);"
                  "SELECT lo_from_bytea(0, 'x')");
    ADMITTED("not in the stream public.fast: the table is unlogged", "SET LOGGED",
             "1 large objects");
}

/* TRAPS 54: what holds up the slot has a name. */
static void
trap_54_long_transactions(void **state)
{
    PGconn *other = sql_connect(src, "shop");
    struct ph_findings findings;
    struct ph_endpoint endpoint;
    struct ph_conn *conn;

    (void)state;
    sql_exec(other, "BEGIN; INSERT INTO good VALUES (1)");
    sql_exec(app, "BEGIN; INSERT INTO good VALUES (2); PREPARE TRANSACTION 'kept'");
    ADMITTED("transaction kept: a transaction of database shop, prepared", "COMMIT PREPARED");
    ph_findings_init(&findings);
    assert_int_equal(
        ph_endpoint_init(&endpoint, PH_SOURCE, pg_test_conninfo(src, "shop"), "j", &err), PH_OK);
    assert_int_equal(ph_conn_open(&endpoint, "test", &conn, &err), PH_OK);
    assert_int_equal(ph_follow_find_long_transactions(conn, 0, &findings, &err), PH_OK);
    assert_int_equal(findings.n, 2);
    has(findings.items[1].object, scratch_printf("process %d", PQbackendPID(other)));
    has(findings.items[1].cause, "idle in transaction");
    assert_int_equal(findings.n_errors, 0);
    ph_findings_reset(&findings);
    ph_conn_free(conn);
    ph_endpoint_reset(&endpoint);
    sql_exec(app, "ROLLBACK PREPARED 'kept'");
    PQfinish(other);
}

static void
slot_and_publication_are_taken(void **state)
{
    (void)state;
    sql_exec(app, "SELECT pg_create_logical_replication_slot('pghaul_j', 'pgoutput');"
                  "CREATE PUBLICATION pghaul_j");
    REFUSED("slot pghaul_j: the source already has this slot",
            "pg_drop_replication_slot('pghaul_j')",
            "publication pghaul_j: the source already has a publication of this name");
    sql_exec(app, "SELECT pg_drop_replication_slot('pghaul_j')");
}

/* TRAPS 10, 12: one that exists must say what the copy says. */
static void
trap_10_12_a_given_publication(void **state)
{
    (void)state;
    sql_exec(app, "CREATE TABLE filtered (id int PRIMARY KEY);"
                  "CREATE TABLE narrow (id int PRIMARY KEY, v text);"
                  "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                  "CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)");
    options.publication = strdup("given");
    REFUSED("publication given: the source has no such publication");
    sql_exec(app, "CREATE PUBLICATION given FOR TABLE filtered WHERE (id > 1), narrow (id), parts"
                  " WITH (publish = 'insert, update, delete')");
    REFUSED("publication given: it does not publish all kinds of changes",
            "public.good: publication given does not have the table",
            "ALTER PUBLICATION given ADD TABLE public.good",
            "public.filtered: publication given has a row filter",
            "public.narrow: publication given has a column list");
    sql_exec(app, "DROP PUBLICATION given; CREATE PUBLICATION given FOR ALL TABLES WITH"
                  " (publish_via_partition_root = true)");
    REFUSED("it publishes partitions as their root", "SET (publish_via_partition_root = false)");
    sql_exec(app, "ALTER PUBLICATION given SET (publish_via_partition_root = false)");
    ADMITTED("ready: 4 tables");
}

/* TRAPS 88 */
static void
trap_88_deferrable_keys(void **state)
{
    (void)state;
    sql_exec(app, "CREATE TABLE late (id int PRIMARY KEY, n int CONSTRAINT late_n UNIQUE"
                  " DEFERRABLE INITIALLY DEFERRED)");
    ADMITTED("deferrable key public.late: late_n is DEFERRABLE");
}

/* Without the replica role the target's keys act. */
static void
be_mover(void)
{
    free(options.target);
    options.target = strdup(scratch_printf("%s user=mover", pg_test_conninfo(dst, "next")));
    sql_once(dst, "next",
             "GRANT CREATE ON DATABASE next TO mover; GRANT ALL ON SCHEMA public TO mover");
}

/* Rows without a key that a foreign key has changed cannot be told apart. */
static void
keys_that_move_rows(void **state)
{
    bool is_ready;

    (void)state;
    sql_exec(app, "CREATE TABLE child (p int REFERENCES good ON UPDATE CASCADE, v text);"
                  "ALTER TABLE child REPLICA IDENTITY FULL;"
                  "CREATE TABLE still (p int REFERENCES good ON DELETE CASCADE, v text);"
                  "ALTER TABLE still REPLICA IDENTITY FULL;"
                  "CREATE TABLE other (k int PRIMARY KEY, p int REFERENCES good ON UPDATE CASCADE"
                  " ON DELETE SET NULL);"
                  "CREATE TABLE gone (p int REFERENCES good ON DELETE SET NULL, v text);"
                  "ALTER TABLE gone REPLICA IDENTITY FULL;"
                  "CREATE TABLE keyed (n int, p int REFERENCES good ON UPDATE CASCADE,"
                  " PRIMARY KEY (n, p))");
    ADMITTED("ready: 6 tables");
    be_mover();
    REFUSED("foreign key public.child: child_p_fkey changes rows on the target by itself, and with"
            " them what they are found by: they have no key",
            "foreign key public.gone: gone_p_fkey",
            "foreign key public.keyed: keyed_p_fkey changes rows on the target by itself, and with"
            " them the key that they are found by",
            "SET on session_replication_role");
    lacks(check(&is_ready), "public.still");
    lacks(check(&is_ready), "public.other");
    sql_exec(app, "ALTER TABLE child ADD COLUMN id int PRIMARY KEY;"
                  "ALTER TABLE gone ADD COLUMN id int PRIMARY KEY; DROP TABLE keyed");
    ADMITTED("ready: 5 tables");
}

/* It is the identity that counts which the option gives. */
static void
keys_that_move_rows_later(void **state)
{
    bool is_ready;

    (void)state;
    be_mover();
    sql_exec(app, "CREATE TABLE child (p int REFERENCES good ON UPDATE CASCADE, v text);"
                  "CREATE TABLE keyed (k int NOT NULL UNIQUE, p int REFERENCES good ON UPDATE"
                  " CASCADE)");
    REFUSED("replica identity public.child: it has no primary key",
            "foreign key public.child: child_p_fkey changes rows on the target by itself");
    options.set_replica_identity = true;
    REFUSED("foreign key public.child: child_p_fkey changes rows on the target by itself");
    lacks(check(&is_ready), "foreign key public.keyed");
}

static void
select_table(const char *name)
{
    char **items = realloc(options.tables.items, (options.tables.n + 1) * sizeof *items);

    assert_non_null(items);
    items[options.tables.n++] = strdup(name);
    options.tables.items = items;
}

/* A parent that no stream changes moves nothing, unless what it refers to itself does. */
static void
keys_of_parents_that_stay(void **state)
{
    static const char tables[] =
        "CREATE TABLE mid (id int PRIMARY KEY REFERENCES good ON UPDATE CASCADE);"
        "CREATE TABLE child (p int REFERENCES mid ON UPDATE CASCADE, v text);"
        "ALTER TABLE child REPLICA IDENTITY FULL";

    (void)state;
    be_mover();
    sql_exec(app, tables);
    select_table("child");
    ADMITTED("ready: 1 tables");
    select_table("good"); /* without mid its keys are not made */
    ADMITTED("ready: 2 tables");
    select_table("mid");
    REFUSED("foreign key public.child: child_p_fkey");

    sql_once(dst, "next",
             scratch_printf("SET ROLE mover; CREATE TABLE good (id int PRIMARY KEY,"
                            " v text); %s",
                            tables));
    options.data_only = true;
    REFUSED("foreign key public.child: child_p_fkey");
    free(options.tables.items[--options.tables.n]);
    REFUSED("foreign key public.child: child_p_fkey");
    free(options.tables.items[--options.tables.n]);
    ADMITTED("ready: 1 tables");
}

/* Nor are they checked when the source checks them. */
static void
keys_within_a_table(void **state)
{
    bool is_ready;

    (void)state;
    sql_exec(app, "CREATE TABLE staff (id int PRIMARY KEY, boss int CONSTRAINT at_once REFERENCES"
                  " staff, mate int CONSTRAINT later REFERENCES staff DEFERRABLE, CONSTRAINT"
                  " other FOREIGN KEY (mate) REFERENCES good);"
                  "CREATE TABLE part (id int PRIMARY KEY, near int CONSTRAINT near REFERENCES part)"
                  " PARTITION BY RANGE (id); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM"
                  " (1) TO (2); CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (2) TO (3)");
    lacks(check(&is_ready), "at_once");
    be_mover();
    ADMITTED("foreign key public.staff: at_once refers to its own table",
             "foreign key public.part: near refers to its own table",
             "ALTER TABLE public.staff ALTER CONSTRAINT at_once DEFERRABLE");
    lacks(check(&is_ready), ": later");
    lacks(check(&is_ready), ": other");
}

/* What the target has beside the source stays with its row, as far as the stream tells whose it is.
 */
static void
columns_of_the_target(void **state)
{
    static const char tables[] =
        "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (9)";
    bool is_ready;

    (void)state;
    sql_exec(app, tables);
    sql_once(
        dst, "next",
        scratch_printf("CREATE TABLE good (id int PRIMARY KEY, v text, extra int); %s", tables));
    options.data_only = true;
    lacks(check(&is_ready), "is only on the target");
    sql_once(dst, "next", "ALTER TABLE parts ADD extra int");
    ADMITTED("column public.parts_1: extra is only on the target: a row that an UPDATE moves");
    lacks(check(&is_ready), "column public.good");
}

static void
no_failover_slots_before_17(void **state)
{
    (void)state;
    options.failover_slot = true;
    REFUSED("come with PostgreSQL 17");
}

static void
spool(void **state)
{
    (void)state;
    options.spool_limit_bytes = UINT64_C(1) << 60;
    ADMITTED("are free for the spool, --spool-limit is");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ready, begin, finish),
        cmocka_unit_test_setup_teardown(settings, begin, finish),
        cmocka_unit_test_setup_teardown(trap_84_a_standby, begin, finish),
        cmocka_unit_test_setup_teardown(rights, begin, finish),
        cmocka_unit_test_setup_teardown(trap_4_5_61_replica_identity, begin, finish),
        cmocka_unit_test_setup_teardown(identities_are_set, begin, finish),
        cmocka_unit_test_setup_teardown(not_in_the_stream, begin, finish),
        cmocka_unit_test_setup_teardown(trap_54_long_transactions, begin, finish),
        cmocka_unit_test_setup_teardown(slot_and_publication_are_taken, begin, finish),
        cmocka_unit_test_setup_teardown(trap_10_12_a_given_publication, begin, finish),
        cmocka_unit_test_setup_teardown(trap_88_deferrable_keys, begin, finish),
        cmocka_unit_test_setup_teardown(keys_that_move_rows, begin, finish),
        cmocka_unit_test_setup_teardown(keys_that_move_rows_later, begin, finish),
        cmocka_unit_test_setup_teardown(keys_of_parents_that_stay, begin, finish),
        cmocka_unit_test_setup_teardown(keys_within_a_table, begin, finish),
        cmocka_unit_test_setup_teardown(columns_of_the_target, begin, finish),
        cmocka_unit_test_setup_teardown(no_failover_slots_before_17, begin, finish),
        cmocka_unit_test_setup_teardown(spool, begin, finish),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
