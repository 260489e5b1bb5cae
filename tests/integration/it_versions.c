/* Whole databases from older majors to newer ones, and rows alone between the newest in every
 * direction. Majors that are not installed are skipped, loudly (scripts/install-majors). */
/* labels: majors */
/* timeout: 1500 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <string.h>

static struct pg_test_cluster *clusters[20];

static struct pg_test_cluster *
cluster_of(int major)
{
    if (clusters[major] == NULL)
        clusters[major] = pg_test_cluster_new(&(struct pg_test_params){.major = major});
    return clusters[major];
}

static bool
present(int from, int to)
{
    if (pg_test_major_present(from) && pg_test_major_present(to))
        return true;
    print_message("SKIPPED %d to %d: not installed\n", from, to);
    return false;
}

/* What a database has beside types; as the oldest major knows it. */
static const char APP[] =
    "CREATE SCHEMA app; CREATE SEQUENCE app.numbers INCREMENT BY -2 MINVALUE -100 MAXVALUE 100"
    " START 50 CACHE 5 CYCLE;"
    "CREATE TABLE app.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " name text NOT NULL CHECK (name <> ''), twice bigint GENERATED ALWAYS AS (length(name) * 2)"
    " STORED, gone int, note varchar(40) DEFAULT 'none');"
    "ALTER TABLE app.customers DROP COLUMN gone;"
    "CREATE TABLE app.orders (id serial, customer bigint REFERENCES app.customers DEFERRABLE,"
    " at timestamptz NOT NULL, total numeric(10,2)) PARTITION BY RANGE (at);"
    "CREATE TABLE app.orders_1 PARTITION OF app.orders FOR VALUES FROM ('2020-01-01') TO"
    " ('2021-01-01'); CREATE TABLE app.orders_rest PARTITION OF app.orders DEFAULT;"
    "ALTER TABLE app.orders ADD PRIMARY KEY (id, at); CREATE INDEX ON app.orders (total);"
    "CREATE STATISTICS app.st ON customer, total FROM app.orders;"
    "CREATE VIEW app.rich AS SELECT * FROM app.customers WHERE id > 3;"
    "CREATE MATERIALIZED VIEW app.totals AS SELECT customer, sum(total) AS s FROM app.orders"
    " GROUP BY 1; CREATE UNIQUE INDEX ON app.totals (customer);"
    "CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN NEW.note := ''touched''; RETURN NEW; END';"
    "CREATE TRIGGER touch BEFORE INSERT ON app.customers FOR EACH ROW EXECUTE FUNCTION app.touch();"
    "ALTER TABLE app.customers ENABLE ALWAYS TRIGGER touch;"
    "CREATE POLICY p ON app.customers FOR SELECT USING (id > 0);"
    "ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY;"
    "CREATE RULE r AS ON DELETE TO app.rich DO INSTEAD NOTHING;"
    "COMMENT ON COLUMN app.customers.name IS 'its name'";

static const char ROWS[] =
    "INSERT INTO app.customers (name) SELECT 'c' || i FROM generate_series(1, 500) i;"
    "INSERT INTO app.orders (customer, at, total) SELECT i % 500 + 1, '2020-06-01'::timestamptz +"
    " i * interval '5 hours', i / 7.0 FROM generate_series(1, 3000) i;"
    "REFRESH MATERIALIZED VIEW app.totals; SELECT nextval('app.numbers') FROM generate_series(1, "
    "9)";

static const char TABLES[] =
    "SELECT '\"' || nspname || '\".\"' || relname || '\"' FROM pg_class c JOIN pg_namespace n ON"
    " n.oid = relnamespace WHERE relkind = 'r' AND nspname IN ('types', 'kinds', 'app') ORDER BY 1";

static void
pin(PGconn *conn)
{
    sql_exec(conn, "SET search_path = ''; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD';"
                   "SET intervalstyle = 'postgres'; SET extra_float_digits = 3;"
                   "SET bytea_output = 'hex'");
}

static void
assert_same(struct pair_db *db)
{
    pin(db->source);
    pin(db->target);
    pair_same(db, TABLES);
    PGresult *tables = PQexec(db->source, TABLES);
    assert_true(PQntuples(tables) > 60);
    for (int i = 0; i < PQntuples(tables); i++)
        pair_same_table(db, PQgetvalue(tables, i, 0));
    PQclear(tables);
    pair_same(db, "SELECT * FROM app.totals ORDER BY 1");
    pair_same(db, "SELECT last_value, is_called FROM app.numbers");
    pair_same(db, "SELECT last_value, is_called FROM app.customers_id_seq");
}

static void
make_types(const struct pg_test_cluster *cluster, const char *name, int major)
{
    PGconn *admin = sql_connect((struct pg_test_cluster *)(uintptr_t)cluster, "postgres");

    sql_execf(admin, "ALTER DATABASE %s SET types.version = %d", name, major);
    PQfinish(admin);
    sql_file(cluster, name, PH_TEST_DIR "/data/types.sql");
}

static void
copy_with_schema(int from, int to)
{
    if (!present(from, to))
        return;
    struct pair pair = {cluster_of(from), cluster_of(to)};
    struct pair_db db =
        pair_db_new(&pair, scratch_printf("whole_%d_to_%d%s", from, to, from == to ? "_x" : ""));
    make_types(pair.src, db.name, from);
    sql_exec(db.source, APP);
    sql_exec(db.source, ROWS);
    struct run *run = pair_copy(&db, "--jobs", "2");
    pair_expect(run, 0, "proven");
    assert_same(&db);
    pair_same(&db, "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1");
    pair_same(&db, "SELECT conrelid::regclass::text COLLATE \"C\", conname, "
                   "pg_get_constraintdef(oid), convalidated FROM"
                   " pg_constraint WHERE connamespace = 'app'::regnamespace AND contype <> 'n'"
                   " ORDER BY 1, 2");
    pair_same(&db, "SELECT indexrelid::regclass::text COLLATE \"C\", pg_get_indexdef(indexrelid), "
                   "indisvalid FROM"
                   " pg_index WHERE indrelid::regclass::text LIKE 'app.%' ORDER BY 1");
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM app.customers"
                                             " WHERE note = 'touched'"),
                        "500");
    pair_db_end(&db);
}

static void
stop(int major)
{
    if (clusters[major] != NULL)
        pg_test_cluster_stop(clusters[major]);
    clusters[major] = NULL;
}

static void
test_to_15(void **state)
{
    (void)state;
    for (int from = 13; from <= 14; from++)
        copy_with_schema(from, 15);
}

static void
test_to_16(void **state)
{
    (void)state;
    for (int from = 13; from <= 15; from++)
        copy_with_schema(from, 16);
}

static void
test_to_17(void **state)
{
    (void)state;
    for (int from = 13; from <= 15; from++)
        copy_with_schema(from, 17);
}

static void
test_to_18(void **state)
{
    (void)state;
    for (int from = 13; from <= 15; from++)
        copy_with_schema(from, 18);
    stop(13);
    stop(14);
    stop(15);
}

static void
copy_rows(int from, int to)
{
    if (!present(from, to))
        return;
    struct pair pair = {cluster_of(from),
                        from == to ? pg_test_cluster_new(&(struct pg_test_params){.major = to})
                                   : cluster_of(to)};
    struct pair_db db = pair_db_new(&pair, scratch_printf("rows_%d_to_%d", from, to));
    make_types(pair.src, db.name, from < to ? from : to);
    make_types(pair.dst, db.name, from < to ? from : to);
    pair_both(&db, APP);
    sql_exec(db.source, ROWS);
    pair_expect(pair_copy(&db, "--data-only", "--truncate", "--yes"), 0, "proven");
    sql_exec(db.target, "REFRESH MATERIALIZED VIEW app.totals");
    assert_same(&db);
    pair_db_end(&db);
    if (from == to)
        pg_test_cluster_stop(pair.dst);
}

static void
test_rows_to_the_same_major(void **state)
{
    (void)state;
    copy_rows(16, 16);
    copy_rows(17, 17);
    copy_rows(18, 18);
}

static void
test_rows_to_newer_majors(void **state)
{
    (void)state;
    copy_rows(16, 17);
    copy_rows(16, 18);
    copy_rows(17, 18);
}

static void
test_rows_to_older_majors(void **state)
{
    (void)state;
    copy_rows(18, 17);
    copy_rows(17, 16);
    copy_rows(18, 16);
    copy_rows(16, 15);
}

/* Columns that are computed when read, keys that nobody enforces: new in 18. */
static void
test_what_18_brings(void **state)
{
    (void)state;
    if (!present(18, 18))
        skip();
    struct pair pair = {cluster_of(18), pg_test_cluster_new(&(struct pg_test_params){.major = 18})};
    struct pair_db db = pair_db_new(&pair, "news");
    pair_both(&db,
              "CREATE TABLE p (id int PRIMARY KEY);"
              "CREATE TABLE t (a int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL, s int GENERATED"
              " ALWAYS AS (a * 3) STORED, p int REFERENCES p NOT ENFORCED)");
    sql_exec(db.source, "INSERT INTO t (a, p) SELECT i, i FROM generate_series(1, 100) i");
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* Schemas of sources that no pg_dump here can read: said before anything is written. */
static void
test_source_newer_than_pg_dump(void **state)
{
    (void)state;
    if (!present(18, 18))
        skip();
    struct pair pair = {cluster_of(18), cluster_of(18)};
    struct pair_db db = {.pair = &pair,
                         .name = "postgres",
                         .dir = scratch_new_dir("newer"),
                         .target_extra = "dbname=template1"};
    struct run *run = pair_copy(&db, "--jobs", "2");
    if (run->code == 0)
        skip(); /* this machine has a newer pg_dump */
    pair_expect(run, 3, "PH-VERSION");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_15),
        cmocka_unit_test(test_to_16),
        cmocka_unit_test(test_to_17),
        cmocka_unit_test(test_to_18),
        cmocka_unit_test(test_rows_to_the_same_major),
        cmocka_unit_test(test_rows_to_newer_majors),
        cmocka_unit_test(test_rows_to_older_majors),
        cmocka_unit_test(test_what_18_brings),
        cmocka_unit_test(test_source_newer_than_pg_dump),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
