/* A rich schema moved from one server to another comes out as the same text of pg_dump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "pg/archive.h"
#include "pg/archive_select.h"
#include "pg/ddl.h"
#include "pg/ddl_step.h"
#include "pg/schema_compare.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

#define CHECK(expr) check((expr), &err, #expr)

static void
check(ph_code code, const struct ph_error *err, const char *what)
{
    char text[3000];

    if (code == PH_OK)
        return;
    ph_error_format(err, text, sizeof text);
    fail_msg("%s: %s", what, text);
}

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

struct move {
    struct ph_endpoint source;
    struct ph_endpoint target;
    struct ph_archive_params params;
    struct ph_archive archive;
    struct ph_conn *conn;
    uint32_t done;
    int warnings;
};

static ph_code
on_batch(void *arg, struct ph_conn *conn, uint32_t entries_done, struct ph_error *err)
{
    (void)conn;
    (void)err;
    ((struct move *)arg)->done = entries_done;
    return PH_OK;
}

static void
on_warning(void *arg, const struct ph_error *warning)
{
    (void)warning;
    ((struct move *)arg)->warnings++;
}

static void
move_begin(struct move *move, const char *from, const char *to)
{
    struct ph_error err = {0};

    *move = (struct move){.done = 0};
    CHECK(ph_endpoint_init(&move->source, PH_SOURCE, pg_test_conninfo(src, from), "t", &err));
    CHECK(ph_endpoint_init(&move->target, PH_TARGET, pg_test_conninfo(dst, to), "t", &err));
    move->params = (struct ph_archive_params){
        .source = &move->source,
        .source_version = 150000,
        .target_version = 150000,
        .path = scratch_printf("%s/%s.archive", scratch_dir(), to),
        .leave_out = "pghaul",
    };
    CHECK(ph_archive_dump(&move->params, &err));
    CHECK(ph_archive_open(&move->params, &move->archive, &err));
    CHECK(ph_conn_open(&move->target, "schema", &move->conn, &err));
}

static void
move_end(struct move *move)
{
    ph_conn_free(move->conn);
    ph_archive_reset(&move->archive);
    ph_endpoint_reset(&move->source);
    ph_endpoint_reset(&move->target);
}

static void
pre_data(struct move *move)
{
    struct ph_error err = {0};
    struct ph_ddl_hooks hooks = {move, on_batch, on_warning};

    CHECK(ph_ddl_pre_data(move->conn, &move->archive, 0, &hooks, &err));
    assert_int_equal(move->done, move->archive.n_entries);
    assert_int_equal(move->warnings, 0);
}

static const char *
dump_file(const struct pg_test_cluster *cluster, const char *dbname, const char *option)
{
    struct run *run = run_start_copy(
        NULL, (const char *const[]){"pg_dump", "--schema-only", "--no-publications",
                                    "--no-subscriptions", "--restrict-key=x", "-N", "pghaul",
                                    option, "-d", pg_test_conninfo(cluster, dbname), NULL});

    run_expect(run, 0);
    return run->out_path;
}

static void
assert_same_dump(const char *from, const char *to, const char *option)
{
    const char *a = dump_file(src, from, option);
    const char *b = dump_file(dst, to, option);

    run_expect(run_start_copy(NULL, (const char *const[]){"diff", "-u", a, b, NULL}), 0);
}

struct wanted {
    const char *schema;
    const char *oids; /* |oid| of selected relations */
    char left_out[2000];
};

static bool
wants_rel(void *arg, ph_oid oid)
{
    const struct wanted *wanted = arg;

    return strstr(wanted->oids, scratch_printf("|%u\n", oid)) != NULL;
}

struct ledger {
    const char *keys[500];
    int n;
    struct wanted *wanted; /* NULL: everything */
};

static bool
has_rows(void *arg, ph_oid oid)
{
    const struct ledger *ledger = arg;

    return ledger->wanted == NULL || wants_rel(ledger->wanted, oid);
}

static bool
is_done(void *arg, const char *key)
{
    const struct ledger *ledger = arg;

    for (int i = 0; i < ledger->n; i++) {
        if (strcmp(ledger->keys[i], key) == 0)
            return true;
    }
    return false;
}

static void
build_steps(struct move *move, struct ledger *ledger, uint64_t split_bytes, struct ph_steps *steps)
{
    struct ph_error err = {0};
    struct ph_conn *source;

    CHECK(ph_conn_open(&move->source, "facts", &source, &err));
    CHECK(ph_steps_build(&(struct ph_steps_params){.archive = &move->archive,
                                                   .source = source,
                                                   .split_key_bytes = split_bytes,
                                                   .split_fk_bytes = split_bytes,
                                                   .analyze = true,
                                                   .refresh = true,
                                                   .arg = ledger,
                                                   .is_done = is_done,
                                                   .has_rows = has_rows},
                         steps, &err));
    ph_conn_free(source);
}

/*
 * Copies no row: the tables are said to be done one by one while steps already run. Every some
 * steps all is forgotten but the ledger, with other sizes: what was split stays split.
 */
static void
post_data(struct move *move, struct wanted *wanted, uint64_t split_bytes, int forget_after)
{
    struct ledger ledger = {.wanted = wanted};
    struct ph_error err = {0};
    struct ph_steps steps;
    uint32_t at = 0;

    build_steps(move, &ledger, split_bytes, &steps);
    while (!ph_steps_all_done(&steps)) {
        struct ph_step *step = ph_steps_take(&steps);

        if (step == NULL) {
            assert_true(at < move->archive.n_entries);
            ph_steps_table_done(&steps, move->archive.entries[at].oid);
            ph_steps_table_done(&steps, move->archive.entries[at++].oid);
            continue;
        }
        CHECK(ph_ddl_run_step(move->conn, step, NULL, NULL, &err));
        assert_false(is_done(&ledger, step->key));
        ledger.keys[ledger.n++] = scratch_printf("%s", step->key);
        ph_steps_finish(&steps, step);
        if (ledger.n % forget_after == 0) {
            ph_steps_reset(&steps);
            split_bytes = ~split_bytes;
            at = 0;
            build_steps(move, &ledger, split_bytes, &steps);
        }
    }
    ph_steps_reset(&steps);
}

static void
compare_schema(struct move *move, struct ph_findings *findings)
{
    struct ph_error err = {0};
    struct ph_conn *source;

    ph_findings_init(findings);
    CHECK(ph_conn_open(&move->source, "compare", &source, &err));
    CHECK(ph_conn_exec(source, "BEGIN", &err));
    CHECK(ph_conn_exec(move->conn, "BEGIN", &err)); /* a warning where one is open */
    CHECK(ph_schema_compare(&(struct ph_schema_compare){.source = source, .target = move->conn},
                            findings, &err));
    ph_conn_free(source);
}

static const char *
findings_text(const struct ph_findings *findings)
{
    const char *text = "";

    for (uint32_t i = 0; i < findings->n; i++) {
        const struct ph_finding *finding = &findings->items[i];

        text = scratch_printf("%s%s %s %s: %s\n", text, ph_severity_name(finding->severity),
                              finding->kind, finding->object, finding->cause);
    }
    return text;
}

static void
assert_no_difference(struct move *move)
{
    struct ph_error err = {0};
    struct ph_findings findings;

    compare_schema(move, &findings);
    CHECK(ph_conn_exec(move->conn, "COMMIT", &err));
    assert_string_equal(findings_text(&findings), "");
    ph_findings_reset(&findings);
}

static void
move_schema(const char *to, uint64_t split_bytes, int forget_after)
{
    struct move move;

    sql_once(dst, "postgres", scratch_printf("CREATE DATABASE %s", to));
    move_begin(&move, "rich", to);
    pre_data(&move);
    post_data(&move, NULL, split_bytes, forget_after);
    assert_same_dump("rich", to, "--quote-all-identifiers");
    assert_no_difference(&move);
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
    move_begin(&move, "rich", to);
    CHECK(ph_archive_select(&move.archive,
                            &(struct ph_archive_selection){.arg = wanted,
                                                           .has_rel = wants_rel,
                                                           .has_schema = wants_schema,
                                                           .on_left_out = left_out},
                            &err));
    pre_data(&move);
    post_data(&move, wanted, 0, 1000);
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
    move_begin(&move, "crowd", "crowd");
    pre_data(&move);
    build_steps(&move, &ledger, 0, &crew.steps);
    pthread_mutex_init(&crew.lock, NULL);
    pthread_cond_init(&crew.changed, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crew_worker, &crew), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    err = crew.err;
    CHECK(crew.rc);
    assert_int_equal(crew.waits, 0);
    assert_same_dump("crowd", "crowd", "--quote-all-identifiers");
    ph_steps_reset(&crew.steps);
    move_end(&move);
}

/* What is changed on the target, and the finding that must come of it. */
static const struct {
    const char *sql;
    const char *finding;
} changes[] = {
    {"DROP INDEX app.customers_expr", "error index app.customers_expr: missing on the target"},
    {"CREATE INDEX more ON app.base (id)", "warning index app.more: only on the target"},
    {"ALTER TABLE app.refs DROP CONSTRAINT refs_metrics",
     "error constraint app.refs.refs_metrics: missing on the target"},
    {"ALTER TABLE app.customers DROP CONSTRAINT customers_note_check, ADD CONSTRAINT"
     " customers_note_check CHECK (note <> 'x')",
     "error constraint app.customers.customers_note_check: different: `''::text))` on the source,"
     " `'x'::text))` on the target"},
    {"ALTER TABLE app.customers DISABLE TRIGGER touch",
     "error trigger app.customers.touch: different: `O` on the source, `D` on the target"},
    {"ALTER TABLE app.customers ALTER note SET NOT NULL",
     "error column app.customers.note: different: `storage e` on the source, `not null`"
     " on the target"},
    {"ALTER TABLE app.base ALTER id SET DEFAULT 1", "error column app.base.id: different: "},
    {"DROP RULE no_delete ON app.customers",
     "error rule app.customers.no_delete: missing on the target"},
    {"ALTER POLICY own_rows ON app.customers TO rich_owner",
     "error policy app.customers.own_rows: different: "},
    {"CREATE OR REPLACE FUNCTION app.atomic(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE"
     " RETURN a",
     "error function app.atomic(a integer, b integer): different"},
    {"ALTER TYPE app.mood ADD VALUE 'new'",
     "error type app.mood: different: `'sad','o''k','happy'` on the source,"
     " `'sad','o''k','happy','new'` on the target"},
    {"ALTER SEQUENCE app.numbers INCREMENT BY -3", "error sequence app.numbers: different: "},
    {"DROP STATISTICS app.customers_stat", "error statistics app.customers_stat: missing"},
    {"ALTER EVENT TRIGGER watch ENABLE",
     "error event trigger watch: different: `D` on the source, `O` on the target"},
    {"ALTER TABLE app.fast OWNER TO rich_owner",
     "error owner table app.fast: different: `postgres` on the source, `rich_owner` on the target"},
    {"REVOKE SELECT ON app.happy FROM rich_reader", "error grant table app.happy: different: "},
    {"COMMENT ON COLUMN app.customers.note IS NULL",
     "error comment table column app.customers.note: missing on the target"},
    {"COMMENT ON TABLE app.customers IS 'x'", "error comment table app.customers: different: "},
    {"DROP EXTENSION pg_trgm CASCADE", "error extension pg_trgm: missing on the target"},
    {"ALTER TABLE app.fast SET LOGGED",
     "error table app.fast: different: `u` on the source, `p` on the target"},
    {"ALTER TABLE app.customers DISABLE ROW LEVEL SECURITY", "error table app.customers: "},
    {"CREATE OR REPLACE VIEW app.happy AS SELECT id, code FROM app.customers",
     "error table app.happy: different: "},
    {"DROP SERVER nowhere CASCADE", "error foreign server nowhere: missing on the target"},
    {"DROP CAST (app.mood AS app.pair)", "error cast (app.mood AS app.pair): missing"},
    {"DROP AGGREGATE app.total(int)", "error function app.total(integer): missing"},
    {"ALTER TEXT SEARCH CONFIGURATION app.simple_en DROP MAPPING FOR word",
     "error text search configuration app.simple_en: different: "},
};

static void
test_differences_are_named(void **state)
{
    struct ph_error err = {0};
    struct move move;

    (void)state;
    move_begin(&move, "rich", "split");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct ph_findings findings;

        CHECK(ph_conn_exec(move.conn, "BEGIN", &err));
        CHECK(ph_conn_exec(move.conn, changes[i].sql, &err));
        compare_schema(&move, &findings);
        if (strstr(findings_text(&findings), changes[i].finding) == NULL)
            fail_msg("%s: wanted `%s`, got:\n%s", changes[i].sql, changes[i].finding,
                     findings_text(&findings));
        assert_in_range(findings.n, 1, 12);
        ph_findings_reset(&findings);
        CHECK(ph_conn_exec(move.conn, "ROLLBACK", &err));
    }
    move_end(&move);
}

/* The rich schema without what needs contrib modules, which other majors have not here. */
static const char *
plain_schema(void)
{
    const char *text = scratch_read(PH_TEST_DIR "/integration/data/rich_schema.sql");
    const char *plain = "";

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        const char *line = scratch_printf("%.*s", (int)len, text);

        if (strstr(line, "ext.") == NULL && strstr(line, "EXTENSION") == NULL &&
            strstr(line, "_excl") == NULL)
            plain = scratch_printf("%s%s\n", plain, line);
        text += len + (text[len] == '\n');
    }
    return scratch_write("plain_schema.sql", plain);
}

static void
test_newer_majors(void **state)
{
    struct pg_test_cluster *dst_15 = dst;
    static const int majors[] = {16, 17, 18};

    (void)state;
    sql_once(src, "postgres", "CREATE DATABASE plain; ");
    sql_once(src, "postgres", "ALTER ROLE rich_owner RENAME TO away1");
    sql_once(src, "postgres", "ALTER ROLE rich_reader RENAME TO away2");
    sql_once(src, "postgres", "ALTER ROLE \"rich Üser\" RENAME TO away3");
    sql_file(src, "plain", plain_schema());
    for (size_t i = 0; i < sizeof majors / sizeof *majors; i++) {
        struct move move;

        if (!pg_test_major_present(majors[i])) {
            print_message("major %d is not installed: skipped\n", majors[i]);
            continue;
        }
        dst = pg_test_cluster_new(&(struct pg_test_params){.major = majors[i]});
        sql_once(dst, "postgres",
                 "CREATE ROLE rich_owner; CREATE ROLE rich_reader; CREATE ROLE \"rich Üser\"");
        sql_once(dst, "postgres", "CREATE DATABASE plain");
        move_begin(&move, "plain", "plain");
        pre_data(&move);
        post_data(&move, NULL, 0, 1000);
        assert_no_difference(&move);
        move_end(&move);
        pg_test_cluster_stop(dst);
    }
    dst = dst_15;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_is_the_same),
        cmocka_unit_test(test_split_keys_are_the_same),
        cmocka_unit_test(test_forgotten_steps_resume),
        cmocka_unit_test(test_workers_do_not_wait_for_each_other),
        cmocka_unit_test(test_differences_are_named),
        cmocka_unit_test(test_one_table_brings_what_it_needs),
        cmocka_unit_test(test_schema_without_a_table),
        cmocka_unit_test(test_newer_majors),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
