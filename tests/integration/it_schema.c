/* A rich schema moved from one server to another comes out as the same text of pg_dump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "pg/archive_select.h"
#include "support/schema_move.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

static int
setup(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    sql_once(src, "postgres", "CREATE DATABASE rich");
    sql_file(src, "rich", PH_TEST_DIR "/integration/data/rich_schema.sql");
    sql_once(dst, "postgres",
             "CREATE ROLE rich_owner; CREATE ROLE rich_reader; CREATE ROLE \"rich Üser\"");
    return 0;
}

static void
move_schema(const char *to, uint64_t split_bytes, int forget_after)
{
    struct move move;

    sql_once(dst, "postgres", scratch_printf("CREATE DATABASE %s", to));
    move_begin(&move, src, "rich", dst, to);
    move_pre_data(&move);
    move_post_data(&move, NULL, split_bytes, forget_after);
    move_assert_same_dump(&move, "--quote-all-identifiers");
    move_assert_no_difference(&move);
    assert_string_equal(
        sql_once(src, "rich",
                 "SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1"),
        sql_once(dst, to,
                 "SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1"));
    move_end(&move);
}

static void
test_schema_is_the_same(void **state)
{
    (void)state;
    move_schema("whole", UINT64_MAX, 1000);
}

static void
test_split_keys_are_the_same(void **state)
{
    (void)state;
    move_schema("split", 0, 1000);
}

static void
test_forgotten_steps_resume(void **state)
{
    (void)state;
    move_schema("resumed", 0, 1);
    move_schema("resumed2", 0, 3);
}

static bool
wants_schema(void *arg, const char *schema)
{
    const struct wanted *wanted = arg;

    return strcmp(schema, wanted->schema) == 0;
}

static void
left_out(void *arg, const struct ph_archive_entry *entry, const struct ph_archive_entry *because)
{
    struct wanted *wanted = arg;
    size_t len = strlen(wanted->left_out);

    (void)because;
    snprintf(wanted->left_out + len, sizeof wanted->left_out - len, "%s %s;", entry->desc,
             entry->tag);
}

/* Returns what the target then holds: relations of user schemas. */
static const char *
move_part(const char *to, struct wanted *wanted, const char *rels_sql)
{
    struct ph_error err = {0};
    struct move move;

    wanted->oids =
        sql_once(src, "rich", scratch_printf("SELECT '', oid FROM pg_class WHERE %s", rels_sql));
    sql_once(dst, "postgres", scratch_printf("CREATE DATABASE %s", to));
    move_begin(&move, src, "rich", dst, to);
    MOVE_CHECK(ph_archive_select(&move.archive,
                                 &(struct ph_archive_selection){.arg = wanted,
                                                                .has_rel = wanted_has_rel,
                                                                .has_schema = wants_schema,
                                                                .on_left_out = left_out},
                                 &err));
    move_pre_data(&move);
    move_post_data(&move, wanted, 0, 1000);
    move_end(&move);
    return sql_once(
        dst, to,
        "SELECT string_agg(relkind::text || ' ' || relname, ',' ORDER BY relname COLLATE \"C\")"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname IN ('app', 'Ünï \"code\"') AND relkind <> 'c'");
}

static void
test_one_table_brings_what_it_needs(void **state)
{
    struct wanted wanted = {.schema = ""};
    const char *made =
        move_part("one", &wanted, "relname = 'customers' OR relname = 'customers_id_seq'");

    (void)state;
    assert_string_equal(made,
                        "r customers,i customers_code_key,i customers_expr,S customers_id_seq,"
                        "i customers_pkey,i customers_replica,i customers_span_excl,"
                        "i customers_trgm,S numbers\n");
}

static void
test_schema_without_a_table(void **state)
{
    struct wanted wanted = {.schema = "app"};
    const char *made =
        move_part("part", &wanted, "relnamespace = 'app'::regnamespace AND relname <> 'customers'");

    (void)state;
    assert_null(strstr(made, "r customers"));
    assert_null(strstr(made, "v grouped"));
    assert_non_null(strstr(made, "i metrics_2024_pkey"));
    assert_non_null(strstr(made, "m mv_empty"));
    assert_string_equal(
        wanted.left_out,
        "SEQUENCE customers_id_seq;VIEW grouped;VIEW happy;MATERIALIZED VIEW mv1;"
        "MATERIALIZED VIEW mv2;MATERIALIZED VIEW mv_late;"
        "FK CONSTRAINT metrics metrics_customer_fkey;FK CONSTRAINT refs refs_late;");
}

static void
test_heir_without_its_parent(void **state)
{
    struct wanted wanted = {.schema = "nothing"};
    struct ph_error err = {0};
    struct move move;

    (void)state;
    wanted.oids = sql_once(src, "rich", "SELECT '', oid FROM pg_class WHERE relname = 'child'");
    move_begin(&move, src, "rich", dst, "postgres");
    assert_int_equal(ph_archive_select(&move.archive,
                                       &(struct ph_archive_selection){.arg = &wanted,
                                                                      .has_rel = wanted_has_rel,
                                                                      .has_schema = wants_schema},
                                       &err),
                     PH_E_SELECTION);
    assert_string_equal(err.object, "app.child");
    assert_non_null(strstr(err.message, "app.base"));
    move_end(&move);
}

/* A role that may not read a table cannot have pg_dump lock it: what refers to it stays behind. */
static void
test_hidden_tables_are_not_locked(void **state)
{
    static const struct ph_rel customers = {.schema = "app", .name = "customers"};
    static const struct ph_rel metrics = {.schema = "app", .name = "metrics"};
    const struct ph_rel *hidden[] = {&customers, &metrics};
    struct wanted wanted = {.schema = "nothing"};
    struct ph_error err = {0};
    struct move move;

    (void)state;
    wanted.oids = sql_once(
        src, "rich", "SELECT '', oid FROM pg_class WHERE relname IN ('refs', 'metrics_2024')");
    sql_once(dst, "postgres", "CREATE DATABASE hidden");
    move_begin(&move, src, "rich", dst, "hidden");
    ph_archive_reset(&move.archive);
    move.params.hidden = hidden;
    move.params.n_hidden = 2;
    MOVE_CHECK(ph_archive_dump(&move.params, &err));
    MOVE_CHECK(ph_archive_open(&move.params, &move.archive, &err));
    MOVE_CHECK(ph_archive_select(&move.archive,
                                 &(struct ph_archive_selection){.arg = &wanted,
                                                                .has_rel = wanted_has_rel,
                                                                .has_schema = wants_schema,
                                                                .on_left_out = left_out,
                                                                .hidden = hidden,
                                                                .n_hidden = 2},
                                 &err));
    move_pre_data(&move);
    move_post_data(&move, &wanted, 0, 1000);
    assert_string_equal(wanted.left_out,
                        "TABLE ATTACH metrics_2024;"
                        "INDEX ATTACH metrics_2024_pkey;"
                        "INDEX ATTACH metrics_2024_value_idx;FK CONSTRAINT refs refs_late;"
                        "FK CONSTRAINT refs refs_metrics;");
    assert_string_equal(sql_once(dst, "hidden",
                                 "SELECT count(*) FROM pg_class WHERE relnamespace ="
                                 " 'app'::regnamespace AND relkind = 'r'"),
                        "2\n");
    move_end(&move);
}

struct crew {
    struct move *move;
    struct ph_steps steps;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t at; /* entry whose table's rows come in next */
    int waits;   /* lock waits that the server saw */
    struct ph_error err;
    ph_code rc;
};

static void *
crew_worker(void *arg)
{
    struct crew *crew = arg;
    struct ph_conn *conn = NULL;
    struct ph_error err = {0};
    ph_code rc = ph_conn_open(&crew->move->target, "steps", &conn, &err);

    /* a step that had to wait for another's lock is one that should not have been handed out */
    if (rc == PH_OK)
        rc = ph_conn_exec(conn, "SET lock_timeout = '10ms'", &err);
    pthread_mutex_lock(&crew->lock);
    while (rc == PH_OK && crew->rc == PH_OK && !ph_steps_all_done(&crew->steps)) {
        struct ph_step *step = ph_steps_take(&crew->steps);

        if (step == NULL) {
            if (crew->at < crew->move->archive.n_entries)
                ph_steps_table_done(&crew->steps, crew->move->archive.entries[crew->at++].oid);
            else
                pthread_cond_wait(&crew->changed, &crew->lock);
            continue;
        }
        pthread_mutex_unlock(&crew->lock);
        rc = ph_ddl_run_step(conn, step, NULL, NULL, &err);
        pthread_mutex_lock(&crew->lock);
        if (rc == PH_E_SQL && strcmp(err.sqlstate, "55P03") == 0)
            crew->waits++;
        if (rc == PH_OK)
            ph_steps_finish(&crew->steps, step);
        pthread_cond_broadcast(&crew->changed);
    }
    if (rc != PH_OK && crew->rc == PH_OK) {
        crew->rc = rc;
        crew->err = err;
    }
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    ph_conn_free(conn);
    return NULL;
}

static const char crowd_sql[] =
    "DO $$ BEGIN FOR i IN 1..12 LOOP"
    " EXECUTE format('CREATE TABLE c%s (id int PRIMARY KEY, a int, b int, u int UNIQUE)', i);"
    " EXECUTE format('CREATE INDEX ON c%s (a)', i); EXECUTE format('CREATE INDEX ON c%s (b)', i);"
    " EXECUTE format('ALTER TABLE c%s CLUSTER ON c%s_a_idx', i, i);"
    " EXECUTE format('INSERT INTO c%s SELECT g, g, g, g FROM generate_series(1, 3000) g', i);"
    " END LOOP; FOR i IN 1..12 LOOP"
    " EXECUTE format('ALTER TABLE c%s ADD FOREIGN KEY (a) REFERENCES c%s', i, i % 12 + 1);"
    " EXECUTE format('ALTER TABLE c%s ADD FOREIGN KEY (b) REFERENCES c%s', i, (i + 6) % 12 + 1);"
    " EXECUTE format('ALTER TABLE c%s ADD FOREIGN KEY (u) REFERENCES c%s', i, i);"
    " END LOOP; END $$;"
    "CREATE TABLE p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);"
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY RANGE (id);"
    "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY RANGE (id);"
    "DO $$ BEGIN FOR k IN 1..2 LOOP FOR i IN 0..7 LOOP"
    " EXECUTE format('CREATE TABLE p%s_%s PARTITION OF p%s FOR VALUES FROM (%s) TO (%s)',"
    "  k, i, k, i * 100, i * 100 + 100); END LOOP; END LOOP; END $$;"
    "CREATE INDEX ON p (k); CREATE INDEX ON p (id);"
    "ALTER TABLE p ADD FOREIGN KEY (id) REFERENCES c1;"
    "CREATE TABLE q (id int, k int, FOREIGN KEY (id, k) REFERENCES p);"
    "INSERT INTO p SELECT g, 1 + g % 2 FROM generate_series(1, 799) g;";

static void
test_workers_do_not_wait_for_each_other(void **state)
{
    struct ph_error err = {0};
    struct ledger ledger = {.n = 0};
    struct move move;
    struct crew crew = {.move = &move};
    pthread_t threads[4];

    (void)state;
    sql_once(src, "postgres", "CREATE DATABASE crowd");
    PGconn *conn = sql_connect(src, "crowd");
    sql_exec(conn, crowd_sql);
    PQfinish(conn);
    sql_once(dst, "postgres", "CREATE DATABASE crowd");
    move_begin(&move, src, "crowd", dst, "crowd");
    move_pre_data(&move);
    move_build_steps(&move, &ledger, 0, &crew.steps);
    pthread_mutex_init(&crew.lock, NULL);
    pthread_cond_init(&crew.changed, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crew_worker, &crew), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    err = crew.err;
    MOVE_CHECK(crew.rc);
    assert_int_equal(crew.waits, 0);
    move_assert_same_dump(&move, "--quote-all-identifiers");
    ph_steps_reset(&crew.steps);
    move_end(&move);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_is_the_same),
        cmocka_unit_test(test_split_keys_are_the_same),
        cmocka_unit_test(test_forgotten_steps_resume),
        cmocka_unit_test(test_one_table_brings_what_it_needs),
        cmocka_unit_test(test_schema_without_a_table),
        cmocka_unit_test(test_heir_without_its_parent),
        cmocka_unit_test(test_hidden_tables_are_not_locked),
        cmocka_unit_test(test_workers_do_not_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
