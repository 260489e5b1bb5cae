/*
 * Plans between real servers, carried out by their own statements: what the planner says is what
 * both servers take, and every row arrives. Without pghaul's lanes: one chunk after the other.
 */
/* labels: short majors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/plan_print.h"
#include "job/planner.h"
#include "pg/catalog.h"
#include "support/pgcluster.h"
#include "support/scratch.h"
#include "support/sql.h"
#include "wire/oid_remap.h"

#include <stdlib.h>
#include <string.h>

#define MB ((uint64_t)1 << 20)
#define ROOM (64 * MB)
#define COPY_HEADER 19u

/* Both sides: types whose OIDs differ, since the target makes others first. */
static const char TYPES[] = "CREATE TYPE mood AS ENUM ('sad', 'ok');"
                            "CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
                            "CREATE TYPE pair AS (a positive, m mood);";

static const char SOURCE[] =
    "CREATE SCHEMA \"Mixed \"\"S\"\"\";"
    "CREATE TABLE \"Mixed \"\"S\"\"\".\"T.ü\" (\"Id\" int PRIMARY KEY, \"a\"\"b\" text);"
    "INSERT INTO \"Mixed \"\"S\"\"\".\"T.ü\" SELECT i, repeat('x', i % 50)"
    " FROM generate_series(1, 1000) i;"
    "CREATE TABLE typed (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), gone int, m mood,"
    " ms mood[], p pair, ps pair[], n numeric, twice numeric GENERATED ALWAYS AS (n * 2) STORED,"
    " i int GENERATED ALWAYS AS IDENTITY);"
    "ALTER TABLE typed DROP COLUMN gone;"
    "INSERT INTO typed (m, ms, p, ps, n) SELECT 'ok', '{sad,NULL,ok}', (i, 'sad')::pair,"
    " ARRAY[(i, 'ok')::pair, NULL], i FROM generate_series(1, 500) i;"
    "INSERT INTO typed (m) VALUES (NULL);"
    "CREATE TABLE big (id bigint PRIMARY KEY, pad text);"
    "ALTER TABLE big ALTER pad SET STORAGE PLAIN;"
    "INSERT INTO big SELECT i, repeat('y', 2000) FROM generate_series(1, 30000) i; ANALYZE big;"
    "CREATE TABLE same_root (k int, v text) PARTITION BY RANGE (k);"
    "CREATE TABLE same_1 PARTITION OF same_root FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE same_2 PARTITION OF same_root DEFAULT;"
    "INSERT INTO same_root SELECT i % 20, 'v' || i FROM generate_series(1, 100) i;"
    "CREATE TABLE other_root (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);"
    "CREATE TABLE other_1 PARTITION OF other_root FOR VALUES FROM (0) TO (50);"
    "CREATE TABLE other_2 PARTITION OF other_root DEFAULT;"
    "INSERT INTO other_root SELECT i, 'v' || i FROM generate_series(1, 100) i;"
    "CREATE TABLE enum_root (m mood, v int) PARTITION BY HASH (m);"
    "CREATE TABLE enum_1 PARTITION OF enum_root FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE enum_2 PARTITION OF enum_root FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
    "INSERT INTO enum_root VALUES ('sad', 1), ('ok', 2);"
    "CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);"
    "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);"
    "CREATE UNLOGGED TABLE fast (a int); INSERT INTO fast VALUES (1);"
    "CREATE TABLE named (a regclass, b int); INSERT INTO named VALUES ('pg_class', 1);"
    "CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES;"
    "CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a + 1) STORED);"
    "INSERT INTO made VALUES (1);"
    "CREATE TABLE emp (id int PRIMARY KEY, boss int REFERENCES emp, dept int);"
    "CREATE TABLE dept (id int PRIMARY KEY, head int REFERENCES emp);"
    "ALTER TABLE emp ADD FOREIGN KEY (dept) REFERENCES dept;"
    "CREATE TABLE badge (id int PRIMARY KEY, emp int REFERENCES emp);"
    "INSERT INTO emp VALUES (1, 1, NULL); INSERT INTO dept VALUES (1, 1);"
    "INSERT INTO badge VALUES (1, 1);"
    "CREATE TABLE config (a int); INSERT INTO config VALUES (1), (2);"
    "ALTER EXTENSION plpgsql ADD TABLE config;"
    "UPDATE pg_extension SET extconfig = ARRAY['config'::regclass::oid],"
    " extcondition = '{WHERE a > 1}';"
    "CREATE TABLE member (a int); ALTER EXTENSION plpgsql ADD TABLE member;"
    "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one";

static const char TARGET[] =
    "CREATE SCHEMA \"Mixed \"\"S\"\"\";"
    "CREATE TABLE \"Mixed \"\"S\"\"\".\"T.ü\" (more text DEFAULT 'm', \"a\"\"b\" text,"
    " \"Id\" int PRIMARY KEY);"
    "CREATE TABLE typed (i int GENERATED ALWAYS AS IDENTITY, n numeric, ps pair[], p pair,"
    " ms mood[], m mood, id uuid PRIMARY KEY,"
    " twice numeric GENERATED ALWAYS AS (n * 2) STORED);"
    "CREATE TABLE big (id bigint PRIMARY KEY, pad text);"
    "CREATE TABLE same_root (k int, v text) PARTITION BY RANGE (k);"
    "CREATE TABLE same_1 PARTITION OF same_root FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE same_2 PARTITION OF same_root DEFAULT;"
    "CREATE TABLE other_root (k int PRIMARY KEY, v text) PARTITION BY LIST (k);"
    "CREATE TABLE other_1 PARTITION OF other_root FOR VALUES IN (1);"
    "CREATE TABLE other_rest PARTITION OF other_root DEFAULT;"
    "CREATE TABLE enum_root (m mood, v int) PARTITION BY HASH (m);"
    "CREATE TABLE enum_1 PARTITION OF enum_root FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE enum_2 PARTITION OF enum_root FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
    "CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);"
    "CREATE TABLE fast (a int); CREATE TABLE named (a regclass, b int);"
    "CREATE TABLE bare (); CREATE TABLE made (a int, b int);"
    "CREATE TABLE emp (id int PRIMARY KEY, boss int, dept int);"
    "CREATE TABLE dept (id int PRIMARY KEY, head int);"
    "CREATE TABLE badge (id int PRIMARY KEY, emp int REFERENCES emp);"
    "CREATE TABLE config (a int); INSERT INTO config VALUES (1);"
    "CREATE VIEW mv AS SELECT 1 AS one";

struct side {
    struct ph_endpoint endpoint;
    struct ph_conn *conn;
    struct ph_catalog catalog;
};

struct fixture {
    struct side source;
    struct side target;
    struct ph_arena arena;
    struct ph_selection selection;
    struct ph_plan plan;
    struct ph_error err;
};

static void
ok(struct fixture *fixture, ph_code rc)
{
    if (rc != PH_OK)
        fail_msg("%s: %s", ph_code_text(rc), fixture->err.message);
}

static void
open_side(struct fixture *fixture, struct side *side, enum ph_side which,
          const struct pg_test_cluster *cluster)
{
    ok(fixture, ph_endpoint_init(&side->endpoint, which, pg_test_conninfo(cluster, "postgres"),
                                 "it", &fixture->err));
    ok(fixture, ph_conn_open(&side->endpoint, "test", &side->conn, &fixture->err));
    ok(fixture, ph_conn_exec(side->conn, "BEGIN", &fixture->err));
    ok(fixture, ph_catalog_read(side->conn, &side->catalog, &fixture->err));
}

static void
make_plan(struct fixture *fixture, uint64_t split_bytes, enum ph_split_by split_by,
          enum ph_plan_order order)
{
    const struct ph_options options = {.jobs = 1};
    const struct ph_planner_params params = {
        .source = &fixture->source.catalog,
        .target = &fixture->target.catalog,
        .selection = &fixture->selection,
        .source_conn = fixture->source.conn,
        .split_bytes = split_bytes,
        .split_by = split_by,
        .jobs = 1,
        .order = order,
    };

    ok(fixture, ph_select(&fixture->source.catalog, &options, &fixture->arena, &fixture->selection,
                          &fixture->err));
    ok(fixture, ph_planner_make(&params, &fixture->arena, &fixture->plan, &fixture->err));
}

static void
begin(struct fixture *fixture, const struct pg_test_cluster *src, const struct pg_test_cluster *dst)
{
    *fixture = (struct fixture){.err = {.code = PH_OK}};
    ph_arena_init(&fixture->arena, ROOM);
    open_side(fixture, &fixture->source, PH_SOURCE, src);
    open_side(fixture, &fixture->target, PH_TARGET, dst);
}

static void
end_side(struct side *side)
{
    ph_conn_free(side->conn);
    ph_catalog_reset(&side->catalog);
    ph_endpoint_reset(&side->endpoint);
}

static void
end(struct fixture *fixture)
{
    end_side(&fixture->source);
    end_side(&fixture->target);
    ph_arena_reset(&fixture->arena);
}

static const struct ph_table_plan *
table_of(const struct ph_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (strcmp(plan->tables[i].source->name, name) == 0)
            return &plan->tables[i];
    }
    fail_msg("no table %s in the plan", name);
    return NULL;
}

/* The whole chunk goes through one buffer. */
static void
move_chunk(struct fixture *fixture, const struct ph_chunk *chunk, uint8_t *buffer)
{
    const struct ph_table_plan *table = &fixture->plan.tables[chunk->table];
    struct ph_error *err = &fixture->err;
    struct ph_buf out;
    struct ph_buf in;
    size_t len = 1;
    size_t total = 0;
    uint64_t rows;

    ph_buf_init(&out, MB);
    ph_buf_init(&in, MB);
    ph_plan_copy_out_sql(table, chunk, &out);
    ph_plan_copy_in_sql(table, chunk, &in);
    ok(fixture, ph_conn_copy_out_begin(fixture->source.conn, ph_buf_text(&out), err));
    while (len > 0) {
        ok(fixture,
           ph_conn_copy_out_read(fixture->source.conn, buffer + total, ROOM - total, &len, err));
        total += len;
    }
    if (table->remap != NULL)
        ok(fixture, ph_oid_remap_apply_all(table->remap, buffer + COPY_HEADER, total - COPY_HEADER,
                                           &len, err));
    ok(fixture, ph_conn_copy_in_begin(fixture->target.conn, ph_buf_text(&in), err));
    ok(fixture, ph_conn_copy_in_write(fixture->target.conn, buffer, total, err));
    ok(fixture, ph_conn_copy_in_end(fixture->target.conn, &rows, err));
    ph_buf_free(&out);
    ph_buf_free(&in);
}

static void
carry_out(struct fixture *fixture)
{
    uint8_t *buffer = malloc(ROOM);

    assert_non_null(buffer);
    for (uint32_t i = 0; i < fixture->plan.n_chunks; i++)
        move_chunk(fixture, &fixture->plan.chunks[i], buffer);
    free(buffer);
    ok(fixture, ph_conn_exec(fixture->target.conn, "COMMIT", &fixture->err));
}

static void
same(PGconn *src, PGconn *dst, const char *sql)
{
    sql_same(src, sql, dst, sql);
}

static void
compare(const struct pg_test_cluster *src, const struct pg_test_cluster *dst)
{
    PGconn *a = sql_connect(src, "postgres");
    PGconn *b = sql_connect(dst, "postgres");

    same(a, b, "SELECT \"Id\", \"a\"\"b\" FROM \"Mixed \"\"S\"\"\".\"T.ü\" ORDER BY 1");
    same(a, b, "SELECT id, m, ms, p, ps, n, twice, i FROM typed ORDER BY 1");
    same(a, b, "SELECT count(*), sum(id), md5(string_agg(pad, '' ORDER BY id)) FROM big");
    same(a, b, "SELECT tableoid::regclass, * FROM same_root ORDER BY k, v");
    same(a, b, "SELECT * FROM other_root ORDER BY 1");
    same(a, b, "SELECT * FROM enum_root ORDER BY 1");
    same(a, b, "SELECT tableoid::regclass, * FROM parent ORDER BY 1");
    same(a, b, "SELECT * FROM child");
    same(a, b, "SELECT * FROM fast");
    same(a, b, "SELECT * FROM named");
    same(a, b, "SELECT count(*) FROM bare");
    same(a, b, "SELECT * FROM made");
    same(a, b, "SELECT * FROM badge");
    same(a, b, "SELECT * FROM config ORDER BY a");
    PQfinish(a);
    PQfinish(b);
}

static void
check_shape(const struct ph_plan *plan, int source_major)
{
    const struct ph_table_plan *typed = table_of(plan, "typed");
    const struct ph_table_plan *big = table_of(plan, "big");

    assert_int_equal(typed->format, PH_FORMAT_BINARY);
    assert_non_null(typed->remap);
    assert_int_equal(typed->n_columns, 7);
    assert_string_equal(typed->columns[typed->key_fields[0]].target_name, "id");
    assert_true(big->n_chunks > 2);
    assert_int_equal(plan->chunks[big->first_chunk].kind,
                     source_major >= 14 ? PH_CHUNK_CTID : PH_CHUNK_KEY);
    assert_string_equal(table_of(plan, "same_1")->target->name, "same_1");
    assert_string_equal(table_of(plan, "other_1")->target->name, "other_root");
    assert_int_equal(table_of(plan, "other_2")->n_key_fields, 1);
    assert_string_equal(table_of(plan, "enum_1")->target->name, "enum_root");
    assert_int_equal(table_of(plan, "named")->format, PH_FORMAT_TEXT);
    assert_int_equal(table_of(plan, "made")->n_columns, 2);
    assert_int_equal(plan->n_rings, 1);
    assert_string_equal(plan->rings[0], "public.emp -> public.dept -> public.emp");
    assert_true(table_of(plan, "badge")->level > table_of(plan, "emp")->level);
    assert_true(table_of(plan, "badge")->index > table_of(plan, "emp")->index);
    assert_true(table_of(plan, "emp")->refers_to_itself);
    assert_string_equal(table_of(plan, "config")->where[PH_TARGET], "WHERE a > 1");
    assert_int_equal(plan->n_omitted, 1);
    assert_string_equal(plan->omitted[0].object, "public.mv");
}

static void
check_printed(const struct ph_plan *plan)
{
    struct ph_buf out;

    ph_buf_init(&out, MB);
    ph_plan_print_text(plan, &out);
    assert_non_null(strstr(ph_buf_text(&out), "public.emp -> public.dept -> public.emp"));
    assert_non_null(strstr(ph_buf_text(&out), "Mixed \"S\".T.ü"));
    ph_buf_free(&out);
}

static void
check_pair(int source_major, int target_major)
{
    struct pg_test_cluster *src;
    struct pg_test_cluster *dst;
    struct fixture fixture;

    pg_test_pair_new(&(struct pg_test_params){.major = source_major},
                     &(struct pg_test_params){.major = target_major}, &src, &dst);
    sql_once(dst, "postgres", "CREATE TYPE shift AS ENUM ('x'); CREATE TABLE shift_2 (a shift)");
    PGconn *setup = sql_connect(src, "postgres");
    sql_exec(setup, TYPES);
    sql_exec(setup, SOURCE);
    PQfinish(setup);
    setup = sql_connect(dst, "postgres");
    sql_exec(setup, TYPES);
    sql_exec(setup, TARGET);
    PQfinish(setup);
    begin(&fixture, src, dst);
    make_plan(&fixture, 16 * MB, PH_SPLIT_BY_KEY, PH_ORDER_BY_FK);
    const struct ph_table_plan *big = table_of(&fixture.plan, "big");
    assert_true(big->n_chunks > 2);
    assert_int_equal(fixture.plan.chunks[big->first_chunk].kind, PH_CHUNK_KEY);
    make_plan(&fixture, 16 * MB, PH_SPLIT_BY_PLACE, PH_ORDER_BY_FK);
    check_shape(&fixture.plan, source_major);
    check_printed(&fixture.plan);
    carry_out(&fixture);
    compare(src, dst);
    end(&fixture);
    pg_test_cluster_stop(src);
    pg_test_cluster_stop(dst);
}

static void
test_15_to_15(void **state)
{
    (void)state;
    check_pair(15, 15);
}

static void
test_other_majors(void **state)
{
    static const int pairs[][2] = {{13, 18}, {18, 15}, {14, 17}};
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!pg_test_major_present(pairs[i][0]) || !pg_test_major_present(pairs[i][1]))
            continue;
        check_pair(pairs[i][0], pairs[i][1]);
        tried++;
    }
    if (tried == 0)
        skip();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_15_to_15),
        cmocka_unit_test(test_other_majors),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
