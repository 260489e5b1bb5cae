/*
 * Folding and its statements between real servers: what a source's stream brings is applied to a
 * target, and afterwards both have the same rows, by their own text. Every scenario is run four
 * times: values in binary and as text, changes folded and one by one in the source's order.
 */
/* labels: majors */
/* timeout: 900 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply/statement.h"
#include "apply/table.h"
#include "job/planner.h"
#include "pg/catalog.h"
#include "pg/conn_pipeline.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"
#include "support/workload.h"
#include "wire/pgoutput.h"

#include <stdlib.h>
#include <string.h>

#define ROOM ((size_t)64 << 20)
#define MAX_TABLES 128
#define MAX_STEPS 12
#define MAX_PARAMS 64

/* Plans as they are pinned while applying. */
#define PINNED                                                                                     \
    "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off;"                         \
    " SET enable_mergejoin = off; SET enable_seqscan = off; SET enable_material = off;"            \
    " SET jit = off; SET max_parallel_workers_per_gather = 0;"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

struct scenario {
    const char *name;
    const char *both;   /* made on both sides */
    const char *source; /* only there */
    const char *target;
    const char *steps[MAX_STEPS]; /* on the source, each applied as one group */
    const char *extra_target;     /* before the steps, behind the scenes */
    bool enforces_keys;
    bool text_only; /* the stream must not be binary */
    uint32_t copy_rows;
    bool expects_replay; /* at least one folded group fails */
    bool is_workload;    /* of support/workload.h instead of all these */
};

struct combination {
    enum ph_format stream;
    enum ph_fold_mode mode;
};

struct trial {
    const struct scenario *scenario;
    struct combination how;
    const char *database;
    PGconn *source;
    PGconn *target;
    struct ph_endpoint endpoints[2];
    struct ph_conn *conn; /* to the target */
    struct ph_pipeline *pipeline;
    struct ph_catalog source_catalog;
    struct ph_catalog target_catalog;
    struct ph_arena arena;
    struct ph_selection selection;
    struct ph_plan plan;
    struct ph_pgoutput *decoder;
    const struct ph_apply_table *tables[MAX_TABLES]; /* by place in the plan */
    struct ph_fold *net;
    struct ph_fold *replay;
    struct ph_apply_statements *statements;
    bool is_open; /* a transaction on the target */
    int n_replays;
    int n_copies;
    uint64_t n_misses;
    char missing[400]; /* keys of rows that were missed */
    struct ph_error err;
};

static void
ok(struct trial *run, ph_code rc)
{
    if (rc != PH_OK)
        fail_msg("%s: %s %s %s (%s)", run->scenario->name, ph_code_text(rc), run->err.message,
                 run->err.object, run->err.notes);
}

/* ---- setting up ------------------------------------------------------------------------------ */

static void
read_catalog(struct trial *run, enum ph_side side, struct ph_catalog *catalog)
{
    struct ph_conn *conn = NULL;

    ok(run, ph_conn_open(&run->endpoints[side], "test", &conn, &run->err));
    ok(run, ph_conn_exec(conn, "BEGIN", &run->err));
    ok(run, ph_catalog_read(conn, catalog, &run->err));
    ph_conn_free(conn);
}

static void
plan(struct trial *run)
{
    const struct ph_options options = {.jobs = 1};
    struct ph_planner_params params = {
        .source = &run->source_catalog,
        .target = &run->target_catalog,
        .selection = &run->selection,
        .jobs = 1,
        .split_bytes = (uint64_t)1 << 40,
        .order = PH_ORDER_BY_FK,
    };

    ok(run, ph_select(&run->source_catalog, &options, &run->arena, &run->selection, &run->err));
    ok(run, ph_planner_make(&params, &run->arena, &run->plan, &run->err));
    assert_true(run->plan.n_tables <= MAX_TABLES);
}

/* Domains stand in for array types; the catalog is read again when they are there. */
static void
make_domains(struct trial *run)
{
    struct ph_buf sql;

    ph_buf_init(&sql, 1 << 20);
    ok(run, ph_apply_domains(&run->plan, &run->source_catalog, &run->target_catalog,
                             run->how.stream, &sql, &run->err));
    sql_exec(run->target, "CREATE SCHEMA pghaul");
    if (sql.len > 0)
        sql_exec(run->target, ph_buf_text(&sql));
    ph_catalog_reset(&run->target_catalog);
    read_catalog(run, PH_TARGET, &run->target_catalog);
    plan(run);
    ph_buf_clear(&sql);
    ok(run, ph_apply_domains(&run->plan, &run->source_catalog, &run->target_catalog,
                             run->how.stream, &sql, &run->err));
    assert_int_equal(sql.len, 0);
    ph_buf_free(&sql);
}

static void
open_servers(struct trial *run)
{
    sql_exec(run->source, "CREATE PUBLICATION p FOR ALL TABLES");
    sql_execf(run->source, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')",
              run->database);
    ok(run, ph_endpoint_init(&run->endpoints[PH_SOURCE], PH_SOURCE,
                             pg_test_conninfo(src, run->database), "it", &run->err));
    ok(run, ph_endpoint_init(&run->endpoints[PH_TARGET], PH_TARGET,
                             pg_test_conninfo(dst, run->database), "it", &run->err));
    ok(run, ph_conn_open(&run->endpoints[PH_TARGET], "test", &run->conn, &run->err));
    ok(run, ph_conn_exec(run->conn, PINNED, &run->err));
    if (!run->scenario->enforces_keys)
        ok(run, ph_conn_exec(run->conn, "SET session_replication_role = replica", &run->err));
    ok(run, ph_pipeline_new(run->conn, 50, &run->pipeline, &run->err));
}

static void
move_schema(const char *database)
{
    const char *path = scratch_printf("%s/%s.sql", scratch_dir(), database);
    const char *const argv[] = {"pg_dump", "-f", path, "-d", pg_test_conninfo(src, database), NULL};

    run_expect(run_start_copy(NULL, argv), 0);
    sql_file(dst, database, path);
}

static void
make_databases(struct trial *run)
{
    const struct scenario *scenario = run->scenario;

    for (int side = 0; side < 2; side++) {
        PGconn *conn = sql_connect(side == 0 ? src : dst, "postgres");
        sql_execf(conn, "CREATE DATABASE %s", run->database);
        PQfinish(conn);
    }
    run->source = sql_connect(src, run->database);
    run->target = sql_connect(dst, run->database);
    sql_exec(run->target, "CREATE TYPE before_all AS ENUM ('a'); CREATE TYPE more AS (a int);");
    if (scenario->is_workload) {
        workload_make(src, run->database);
        move_schema(run->database);
        return;
    }
    sql_exec(run->source, scenario->both);
    sql_exec(run->target, scenario->both);
    if (scenario->source != NULL)
        sql_exec(run->source, scenario->source);
    if (scenario->target != NULL)
        sql_exec(run->target, scenario->target);
}

static void
begin(struct trial *run, const struct scenario *scenario, struct combination how)
{
    const struct ph_apply_limits limits = {.rows = 7, .copy_rows = scenario->copy_rows};

    *run = (struct trial){.scenario = scenario, .how = how, .err = {.code = PH_OK}};
    run->database = scratch_printf("%s_%u%u", scenario->name, how.stream, how.mode);
    ph_arena_init(&run->arena, ROOM);
    make_databases(run);
    open_servers(run);
    read_catalog(run, PH_SOURCE, &run->source_catalog);
    read_catalog(run, PH_TARGET, &run->target_catalog);
    plan(run);
    make_domains(run);
    if (scenario->extra_target != NULL)
        sql_exec(run->target, scenario->extra_target);
    run->decoder = ph_pgoutput_new();
    run->net = ph_fold_new(PH_FOLD_NET, ROOM);
    run->replay = ph_fold_new(PH_FOLD_REPLAY, ROOM);
    run->statements = ph_apply_statements_new(&limits);
}

static void
end(struct trial *run)
{
    ph_pipeline_free(run->pipeline);
    ph_conn_free(run->conn);
    for (int side = 0; side < 2; side++)
        ph_endpoint_reset(&run->endpoints[side]);
    ph_catalog_reset(&run->source_catalog);
    ph_catalog_reset(&run->target_catalog);
    ph_arena_reset(&run->arena);
    ph_pgoutput_free(run->decoder);
    ph_fold_free(run->net);
    ph_fold_free(run->replay);
    ph_apply_statements_free(run->statements);
    sql_execf(run->source, "SELECT pg_drop_replication_slot('%s')", run->database);
    PQfinish(run->source);
    PQfinish(run->target);
}

/* ---- applying -------------------------------------------------------------------------------- */

static const struct ph_apply_table *
table_of(struct trial *run, const struct ph_stream_rel *rel, bool is_new)
{
    for (uint32_t i = 0; i < run->plan.n_tables; i++) {
        const struct ph_apply_table_params params = {
            .index = i,
            .plan = &run->plan.tables[i],
            .rel = rel,
            .source = &run->source_catalog,
            .target = &run->target_catalog,
            .stream = run->how.stream,
            .enforces_keys = run->scenario->enforces_keys,
        };
        if (strcmp(params.plan->source->name, rel->name) != 0 ||
            strcmp(params.plan->source->schema, rel->schema) != 0)
            continue;
        if (is_new)
            ok(run, ph_apply_table_build(&params, &run->arena, &run->tables[i], &run->err));
        return run->tables[i];
    }
    fail_msg("table %s is not planned", rel->name);
    return NULL;
}

static void
copy_rows(struct trial *run, const struct ph_apply_statement *statement)
{
    struct ph_pipeline_outcome outcome;
    uint64_t rows;

    if (statement->begins) {
        ok(run, ph_pipeline_sync(run->pipeline, &run->err));
        ok(run, ph_pipeline_wait(run->pipeline, &outcome, &run->err));
        ok(run, ph_conn_copy_in_begin(run->conn, statement->sql, &run->err));
        run->n_copies++;
    }
    ok(run, ph_conn_copy_in_write(run->conn, statement->data.data, statement->data.len, &run->err));
    if (statement->ends)
        ok(run, ph_conn_copy_in_end(run->conn, &rows, &run->err));
}

static void
queue(struct trial *run, const struct ph_apply_statement *from, uint64_t tag)
{
    struct ph_param params[MAX_PARAMS];
    struct ph_statement statement = {
        .sql = from->sql,
        .params = params,
        .n_params = from->n_params,
        .use = PH_STATEMENT_PREPARED,
        .expected_rows = from->may_miss ? PH_ROWS_ANY : (int64_t)from->expected_rows,
        .tag = tag,
    };

    assert_true(from->n_params <= MAX_PARAMS);
    for (uint32_t i = 0; i < from->n_params; i++)
        params[i] = (struct ph_param){from->params[i], PH_PARAM_BINARY};
    if (from->wants_scan) {
        ok(run, ph_pipeline_queue_plain(run->pipeline, "SET LOCAL enable_hashjoin = on",
                                        PH_ROWS_ANY, tag, &run->err));
        ok(run, ph_pipeline_queue_plain(run->pipeline, "SET LOCAL enable_seqscan = on", PH_ROWS_ANY,
                                        tag, &run->err));
    }
    ok(run, ph_pipeline_queue(run->pipeline, &statement, &run->err));
    if (from->wants_scan) {
        ok(run, ph_pipeline_queue_plain(run->pipeline, "SET LOCAL enable_hashjoin = off",
                                        PH_ROWS_ANY, tag, &run->err));
        ok(run, ph_pipeline_queue_plain(run->pipeline, "SET LOCAL enable_seqscan = off",
                                        PH_ROWS_ANY, tag, &run->err));
    }
}

/* The keys that the n-th statement of the group did not find. */
static void
name_missing(struct trial *run, struct ph_fold *fold, uint64_t which)
{
    struct ph_apply_statement statement;
    struct ph_buf sql;
    uint32_t n_params;
    struct ph_pipeline_outcome outcome;
    struct ph_result *result = NULL;
    struct ph_param params[MAX_PARAMS];

    ok(run, ph_apply_statements_begin(run->statements, fold, &run->err));
    for (uint64_t i = 0; i <= which; i++)
        ok(run, ph_apply_statements_next(run->statements, &statement, &run->err));
    ph_buf_init(&sql, 1 << 20);
    ph_apply_put_find(&statement, PH_FIND_MISSING, &sql, &n_params);
    for (uint32_t i = 0; i < n_params; i++)
        params[i] = (struct ph_param){statement.params[i], PH_PARAM_BINARY};
    ok(run, ph_pipeline_queue(run->pipeline,
                              &(struct ph_statement){.sql = ph_buf_text(&sql),
                                                     .params = params,
                                                     .n_params = n_params,
                                                     .expected_rows = PH_ROWS_ANY,
                                                     .result = &result},
                              &run->err));
    ok(run, ph_pipeline_sync(run->pipeline, &run->err));
    ok(run, ph_pipeline_wait(run->pipeline, &outcome, &run->err));
    for (int row = 0; row < ph_result_rows(result); row++) {
        size_t len = strlen(run->missing);
        ph_apply_key_text(&statement, ph_result_u32(result, row, 0), NULL, run->missing + len,
                          sizeof run->missing - len);
    }
    ph_result_free(result);
    ph_buf_free(&sql);
}

/* false: the group cannot go folded. */
static bool
queue_all(struct trial *run, struct ph_fold *fold)
{
    struct ph_apply_statement statement;
    ph_code rc = ph_apply_statements_begin(run->statements, fold, &run->err);

    if (rc == PH_E_CONSTRAINT && fold == run->net)
        return false;
    ok(run, rc);
    for (uint64_t n = 0;; n++) {
        ok(run, ph_apply_statements_next(run->statements, &statement, &run->err));
        if (statement.kind == PH_APPLY_NONE)
            return true;
        if (statement.kind == PH_APPLY_COPY)
            copy_rows(run, &statement);
        else
            queue(run, &statement, n);
    }
}

/*
 * All statements of a group behind a savepoint; false: rolled back, since a constraint was violated
 * or rows were missed. Which ones is said of changes in their own order only.
 */
static bool
send(struct trial *run, struct ph_fold *fold)
{
    struct ph_pipeline_outcome outcome;

    ok(run, ph_conn_exec(run->conn, "SAVEPOINT s", &run->err));
    if (!queue_all(run, fold)) {
        ok(run, ph_conn_exec(run->conn, "ROLLBACK TO SAVEPOINT s", &run->err));
        return false;
    }
    ok(run, ph_pipeline_sync(run->pipeline, &run->err));
    ph_code rc = ph_pipeline_wait(run->pipeline, &outcome, &run->err);
    if (rc != PH_E_CONSTRAINT)
        ok(run, rc);
    if (rc == PH_OK && outcome.n_misses == 0)
        return true;
    ok(run, ph_conn_exec(run->conn, "ROLLBACK TO SAVEPOINT s", &run->err));
    if (rc != PH_OK || fold == run->net)
        return false;
    for (uint32_t i = 0; i < outcome.n_misses; i++)
        name_missing(run, fold, outcome.misses[i].tag);
    run->n_misses += outcome.n_misses;
    return true;
}

static void
open_group(struct trial *run)
{
    if (!run->is_open)
        ok(run, ph_conn_exec(run->conn, "BEGIN", &run->err));
    run->is_open = true;
}

/* What was folded so far; the target's transaction stays open. */
static void
flush(struct trial *run)
{
    struct ph_fold *first = run->how.mode == PH_FOLD_NET ? run->net : run->replay;

    if (ph_fold_is_empty(run->replay))
        return;
    open_group(run);
    if (!send(run, first)) {
        run->n_replays++;
        if (!send(run, run->replay))
            fail_msg("%s: replay: %s", run->scenario->name, run->err.message);
    }
    ph_fold_clear(run->net);
    ph_fold_clear(run->replay);
}

static void
commit_group(struct trial *run)
{
    flush(run);
    if (run->is_open)
        ok(run, ph_conn_exec(run->conn, "COMMIT", &run->err));
    run->is_open = false;
}

static void
truncate_tables(struct trial *run, const struct ph_change *change)
{
    const struct ph_apply_table *tables[MAX_TABLES];
    struct ph_buf sql;

    flush(run);
    open_group(run);
    for (uint32_t i = 0; i < change->n_truncated; i++)
        tables[i] = table_of(run, ph_pgoutput_rel(run->decoder, change->truncated[i]), false);
    ph_buf_init(&sql, 1 << 16);
    ph_apply_put_truncate(tables, change->n_truncated, "", change->restart_identity, &sql);
    ok(run, ph_conn_exec(run->conn, ph_buf_text(&sql), &run->err));
    ph_buf_free(&sql);
}

static void
take(struct trial *run, const struct ph_stream_event *event)
{
    if (event->head.kind == PH_STREAM_RELATION) {
        flush(run);
        table_of(run, event->rel, true);
    }
    if (event->head.kind != PH_STREAM_CHANGE)
        return;
    if (event->change.kind == PH_CHANGE_TRUNCATE) {
        truncate_tables(run, &event->change);
        return;
    }
    const struct ph_apply_table *table = table_of(run, event->rel, false);
    ok(run, ph_fold_add(run->net, table, &event->change, &run->err));
    ok(run, ph_fold_add(run->replay, table, &event->change, &run->err));
}

/* Whether the transaction that begins with that message truncates. */
static bool
truncates(const PGresult *messages, int row)
{
    for (; row < PQntuples(messages) && *PQgetvalue(messages, row, 0) != 'C'; row++) {
        if (*PQgetvalue(messages, row, 0) == 'T')
            return true;
    }
    return false;
}

/* Where keys are enforced, deferred ones are checked before what they are of is truncated. */
static void
end_before(struct trial *run, const PGresult *messages, int row)
{
    if (!run->scenario->enforces_keys || *PQgetvalue(messages, row, 0) != 'B' ||
        !truncates(messages, row))
        return;
    commit_group(run);
}

/* Everything that the slot has. */
static void
fetch(struct trial *run, void (*take_one)(struct trial *, const struct ph_stream_event *))
{
    const char *sql = scratch_printf(
        "SELECT data FROM pg_logical_slot_get_binary_changes('%s', NULL, NULL, 'proto_version',"
        " '1', 'publication_names', 'p'%s)",
        run->database, run->how.stream == PH_FORMAT_BINARY ? ", 'binary', 'true'" : "");
    /* What was committed asynchronously is not decoded before it is flushed. */
    sql_exec(run->source, "SELECT pg_logical_emit_message(true, 'test', 'flush')");
    sql_exec(run->source, "SET search_path = ''");
    PGresult *result = PQexecParams(run->source, sql, 0, NULL, NULL, NULL, NULL, 1);
    struct ph_stream_event event;

    sql_exec(run->source, "RESET search_path");
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", run->scenario->name, PQresultErrorMessage(result));
    for (int row = 0; row < PQntuples(result); row++) {
        const struct ph_span message = {(const uint8_t *)PQgetvalue(result, row, 0),
                                        (size_t)PQgetlength(result, row, 0)};
        end_before(run, result, row);
        ok(run, ph_pgoutput_decode(run->decoder, message, (uint64_t)row, &event, &run->err));
        take_one(run, &event);
    }
    PQclear(result);
}

/* As one group. */
static void
drain(struct trial *run)
{
    fetch(run, take);
    commit_group(run);
}

/*
 * Columns of the source by name: the target may have them in another order, and other types. By
 * format() they are as the types' output functions give them, which a cast to text may not be.
 */
static const char *
rows_of(PGconn *conn, const struct ph_table_plan *table, bool of_source)
{
    const struct ph_rel *rel = of_source ? table->source : table->target;
    struct ph_buf sql;

    ph_buf_init(&sql, 1 << 16);
    ph_buf_puts(&sql, "SELECT ROW(");
    for (uint32_t i = 0; i < table->source->n_columns; i++) {
        ph_buf_puts(&sql, i == 0 ? "" : ", ");
        ph_buf_puts(&sql, "format('%L', ");
        ph_buf_put_ident(&sql, table->source->columns[i].name);
        ph_buf_puts(&sql, ")");
    }
    ph_buf_puts(&sql, ")::text FROM ");
    ph_buf_put_qualified(&sql, rel->schema, rel->name);
    ph_buf_puts(&sql, " ORDER BY 1");
    const char *rows = sql_rows(conn, ph_buf_text(&sql));
    ph_buf_free(&sql);
    return rows;
}

static void
compare(struct trial *run, int step)
{
    for (uint32_t i = 0; i < run->plan.n_tables; i++) {
        const struct ph_table_plan *table = &run->plan.tables[i];
        if (table->target->kind == PH_REL_PARTITIONED)
            continue;
        const char *source = rows_of(run->source, table, true);
        const char *target = rows_of(run->target, table, false);
        if (strcmp(source, target) != 0)
            fail_msg("%s, step %d, stream %u, mode %u, table %s\nsource\n%.2000s\ntarget\n%.2000s",
                     run->scenario->name, step, run->how.stream, run->how.mode, table->source->name,
                     source, target);
    }
}

static void
run_once(const struct scenario *scenario, struct combination how)
{
    struct trial run;

    begin(&run, scenario, how);
    for (int i = 0; i < MAX_STEPS && scenario->steps[i] != NULL; i++) {
        sql_exec(run.source, scenario->steps[i]);
        drain(&run);
        if (run.n_misses > 0)
            fail_msg("%s, step %d: missed %s", scenario->name, i, run.missing);
        compare(&run, i);
    }
    assert_int_equal(run.n_replays > 0, scenario->expects_replay && how.mode == PH_FOLD_NET);
    assert_int_equal(run.n_copies > 0, scenario->copy_rows > 0 && how.mode == PH_FOLD_NET);
    end(&run);
}

static void
run_scenario(const struct scenario *scenario)
{
    static int turn;
    bool is_short = !scratch_is_long() && !scenario->text_only;

    turn++;
    for (int i = 0; i < 4; i++) {
        const struct combination how = {i / 2 == 0 ? PH_FORMAT_BINARY : PH_FORMAT_TEXT,
                                        i % 2 == 0 ? PH_FOLD_NET : PH_FOLD_REPLAY};
        /* for every change binary one way and text the other, in turn */
        if (is_short && (i / 2 + i + turn) % 2 == 0)
            continue;
        if (how.stream == PH_FORMAT_TEXT || !scenario->text_only)
            run_once(scenario, how);
    }
}

/* ---- scenarios ------------------------------------------------------------------------------- */

/* TRAPS 31, 90, 91: types whose OIDs differ, arrays and composites as values, catalog names. */
static void
trap_31_90_91_every_kind_of_type(void **state)
{
    static const struct scenario scenario = {
        .name = "types",
        .both = "CREATE TYPE mood AS ENUM ('sad', 'ok');"
                "CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
                "CREATE DOMAIN moods AS mood[];"
                "CREATE TYPE pair AS (a positive, m mood, t text);"
                "CREATE TYPE moodrange AS RANGE (subtype = mood);"
                "CREATE TABLE t (id int PRIMARY KEY, i2 int2, i8 int8, n numeric, n2 numeric(8,2),"
                " f4 float4, f8 float8, b bool, tx text, vc varchar(9), ch char(5), c1 \"char\","
                " na name, by bytea, bi bit(3), vb varbit, u uuid, d date, ti time, tz timetz,"
                " ts timestamp, tsz timestamptz, iv interval, j json, jb jsonb, x xml, p point,"
                " bx box, ip inet, ci cidr, mac macaddr, mo money, lsn pg_lsn, tv tsvector);"
                "CREATE TABLE a (id int PRIMARY KEY, i int[], t text[], m mood[], dm moods,"
                " pr pair, prs pair[], r int4range, rs int4range[], mr int4multirange, mor"
                " moodrange, j jsonb[], pos positive[], e mood, ps positive, n numeric(6,2)[]);",
        .steps =
            {"INSERT INTO t VALUES (1, 2, 3, 1.50, 1.5, 1.1, 2.2, true, 'x''\"\\', 'vc', 'ch',"
             " 'c', 'na', '\\x00ff', '101', '10101', gen_random_uuid(), '2020-02-29', '12:00',"
             " '12:00+02', '2020-01-01 10:00', '2020-01-01 10:00+02', '1 mon 2 days', '{\"a\": 1}',"
             " '{\"a\": 1.0}', '<a/>', '(1,2)', '(1,2),(3,4)', '10.0.0.1/24', '10.0.0.0/24',"
             " '08:00:2b:01:02:03', 12.5, '0/1', 'a b');"
             "INSERT INTO t (id) VALUES (2);"
             "INSERT INTO t (id, n, f4, f8, d, ts, tx, by, vc) VALUES (3, 'NaN', 'NaN', '-0',"
             " 'infinity', '-infinity', '', '', '');"
             "INSERT INTO t (id, n, f8) VALUES (4, 123456789012345678901234567890.000100, 1e-300);"
             "INSERT INTO a VALUES (1, '{1,NULL,3}', '{a,\"b,c\",NULL}', '{ok,NULL}', '{sad,ok}',"
             " '(1,ok,x)', ARRAY[(1,'ok',NULL)::pair, NULL], '[1,5)', '{\"[1,2]\",empty}',"
             " '{[1,2],[5,9]}', '[sad,ok]', ARRAY['{\"k\": [1]}'::jsonb], '{1,2}', 'ok', 7,"
             " '{1.5,2.25}');"
             "INSERT INTO a (id, i, t, m) VALUES (2, '{}', '{}', NULL),"
             " (3, '{{1,2},{3,4}}', '[5:6]={x,y}', '{{ok},{sad}}'), (4, NULL, NULL, NULL);",
             "UPDATE t SET i2 = id, bi = '111', ch = 'z', c1 = '\\377', iv = '1 year';"
             "UPDATE t SET tx = NULL WHERE id = 1; DELETE FROM t WHERE id = 2;"
             "UPDATE a SET i = '{{{1}}}', prs = '{}', pr = NULL; DELETE FROM a WHERE id = 4;"
             "UPDATE a SET e = 'sad', m = ARRAY['ok'::mood], n = NULL WHERE id = 2",
             "DELETE FROM t; DELETE FROM a"},
    };

    (void)state;
    run_scenario(&scenario);
}

/* Types that differ: what comes in binary is cast by its text. */
static void
types_that_differ(void **state)
{
    static const struct scenario scenario = {
        .name = "differ",
        .both = "CREATE SCHEMA s;",
        .source = "CREATE TABLE s.t (id int PRIMARY KEY, a int2, b text, c timestamp, d varchar,"
                  " e json, f int[], g float4); CREATE TABLE s.o (k int, x int, PRIMARY KEY (k));"
                  "CREATE TABLE s.p (a numeric, ts timestamp NOT NULL, v text);"
                  "ALTER TABLE s.p REPLICA IDENTITY FULL;",
        .target = "CREATE TABLE s.t (g float4, more int DEFAULT 5, id int8 PRIMARY KEY, a numeric,"
                  " b varchar(20), c timestamptz, d text, e jsonb, f int[]);"
                  "CREATE TABLE s.o (x int, k numeric PRIMARY KEY);"
                  "CREATE TABLE s.p (a numeric(10,2), ts timestamp(0) NOT NULL, v varchar(30));",
        .steps =
            {"INSERT INTO s.t SELECT i, i, 'b' || i, NULL, 'd', '1', ARRAY[i, 2], i"
             " FROM generate_series(1, 20) i; INSERT INTO s.o SELECT i, i FROM"
             " generate_series(1, 9) i; INSERT INTO s.p SELECT i + 0.5, '2020-01-01 10:00:00.6',"
             " 'v' FROM generate_series(1, 5) i; UPDATE s.p SET a = 1.50, ts = '2020-01-01'"
             " WHERE a < 4; DELETE FROM s.p WHERE a > 4",
             "UPDATE s.t SET a = a + 1, id = id + 100 WHERE id % 2 = 0;"
             "UPDATE s.t SET f = '{}', e = '[]', b = NULL WHERE id % 3 = 0;"
             "DELETE FROM s.t WHERE id % 5 = 0; DELETE FROM s.o WHERE k < 3;"
             "UPDATE s.o SET k = k + 50, x = 0 WHERE k > 7"},
    };

    (void)state;
    run_scenario(&scenario);
}

/* Types whose cast to text is a function of its own: what arrives is their output, as COPY's. */
static void
types_whose_cast_is_not_their_output(void **state)
{
    static const struct scenario scenario = {
        .name = "outputs",
        .both = "CREATE EXTENSION citext;",
        .source = "CREATE TABLE t (id int PRIMARY KEY, b bool, c1 \"char\", ch char(6), ci cidr,"
                  " ip inet, na name, loose char(6), less bpchar, bs bool[], ips inet[], chs"
                  " char(6)[]);"
                  "CREATE TABLE k (ip inet, b bool, ch char(6), v int, PRIMARY KEY (ip, b, ch));"
                  "CREATE TABLE r (ip inet NOT NULL, b bool, ch char(6));"
                  "ALTER TABLE r REPLICA IDENTITY FULL;",
        .target = "CREATE TABLE t (id int PRIMARY KEY, b text, c1 text, ch text, ci text, ip text,"
                  " na text, loose citext, less citext, bs text[], ips text[], chs text[]);"
                  "CREATE TABLE k (ip text, b text, ch citext, v int, PRIMARY KEY (ip, b, ch));"
                  "CREATE TABLE r (ip text NOT NULL, b text, ch citext);",
        .steps = {"INSERT INTO t VALUES (1, true, 'c', 'ab', '10.0.0.0/8', '10.0.0.1', 'na', 'ab',"
                  " 'ab ', '{t,f}', '{10.0.0.1,::1}', '{ab,c}'), (2, false, '', '', '::/0',"
                  " '10.0.0.1/24', '', '', '', '{}', '{}', '{}'); INSERT INTO t VALUES (3);"
                  "INSERT INTO k VALUES ('10.0.0.1', true, 'ab', 1), ('::1', false, 'x', 2),"
                  " ('10.0.0.2', true, '', 3);"
                  "INSERT INTO r VALUES ('10.0.0.1', true, 'ab'), ('::1', NULL, NULL)",
                  "UPDATE t SET b = NOT b; UPDATE k SET v = 9 WHERE v = 1; UPDATE k SET b = true"
                  " WHERE v = 2; DELETE FROM k WHERE v = 3; UPDATE r SET b = false WHERE b;"
                  "DELETE FROM r WHERE b IS NULL",
                  "DELETE FROM k; DELETE FROM r"},
    };
    PGconn *conn = sql_connect(dst, "postgres");

    (void)state;
    assert_string_equal(sql_value(conn, "SELECT string_agg(typname, ' ' ORDER BY typname) FROM"
                                        " pg_cast JOIN pg_type t ON t.oid = castsource WHERE"
                                        " casttarget = 'text'::regtype AND castmethod = 'f' AND"
                                        " t.oid < 16384"),
                        "bool bpchar char cidr inet name");
    PQfinish(conn);
    run_scenario(&scenario);
}

static void
types_for_text_only(void **state)
{
    static const struct scenario scenario = {
        .name = "text_only",
        .both = "CREATE TABLE t (id int PRIMARY KEY, r regclass, v int2vector, q tsquery);",
        .steps = {"INSERT INTO t VALUES (1, 't', '1 2', 'a & b'), (2, 'pg_class', '', ''),"
                  " (3, NULL, NULL, NULL)",
                  "UPDATE t SET v = '3' WHERE id < 3; DELETE FROM t WHERE id = 2"},
        .text_only = true,
    };
    struct scenario again = scenario;
    struct trial run;

    (void)state;
    run_scenario(&scenario);
    again.name = "text_only_again";
    begin(&run, &again, (struct combination){PH_FORMAT_TEXT, PH_FOLD_NET});
    assert_int_equal(
        ph_apply_stream_format(&run.plan, &run.source_catalog, &run.target_catalog, &run.err),
        PH_FORMAT_TEXT);
    assert_non_null(strstr(run.err.message, "column"));
    end(&run);
}

/* TRAPS 2, 38: keys of all shapes, changed, swapped, deleted and made again. */
static void
trap_02_38_keys_of_all_shapes(void **state)
{
    static const struct scenario scenario = {
        .name = "keys",
        .both = "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('a', 'b', 'c');"
                "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2',"
                " deterministic = false);"
                "CREATE TABLE two (v text, a int, b text, PRIMARY KEY (b, a));"
                "CREATE TABLE num (k numeric PRIMARY KEY, v text);"
                "CREATE TABLE pad (k char(6) PRIMARY KEY, v text);"
                "CREATE TABLE flt (k float8 PRIMARY KEY, v text);"
                "CREATE TABLE en (k mood PRIMARY KEY, v text);"
                "CREATE TABLE ci (k citext PRIMARY KEY, v text);"
                "CREATE TABLE lo (k text COLLATE loose PRIMARY KEY, v text);"
                "CREATE TABLE arr (k int[] PRIMARY KEY, v text);"
                "CREATE TABLE rng (k int4range PRIMARY KEY, v text);"
                "CREATE TABLE byix (id int, k uuid NOT NULL, v text);"
                "CREATE UNIQUE INDEX byix_k ON byix (k);"
                "ALTER TABLE byix REPLICA IDENTITY USING INDEX byix_k;"
                "CREATE TABLE \"Od\"\"d\" (\"K\"\"\" int PRIMARY KEY, \"select\" text);"
                "CREATE TABLE only_key (k int PRIMARY KEY);",
        .steps =
            {"INSERT INTO two SELECT 'v', i, 'b' || i % 3 FROM generate_series(1, 20) i;"
             "INSERT INTO num VALUES (1.0, 'a'), (2.50, 'b'), ('NaN', 'n'), (0.00, 'z'), (1e30,"
             " 'l'); INSERT INTO pad VALUES ('a', 'a'), ('b  ', 'b');"
             "INSERT INTO flt VALUES ('-0', 'z'), ('NaN', 'n'), (1.5, 'o'), ('Infinity', 'i');"
             "INSERT INTO en VALUES ('a', 'a'), ('b', 'b');"
             "INSERT INTO ci VALUES ('Abc', 'a'), ('x', 'x'); INSERT INTO lo VALUES ('Abc', 'a'),"
             " ('x', 'x'); INSERT INTO arr VALUES ('{1,2}', 'a'), ('{}', 'e');"
             "INSERT INTO rng VALUES ('[1,3]', 'a'), ('empty', 'e');"
             "INSERT INTO byix SELECT i, gen_random_uuid(), 'v' FROM generate_series(1, 9) i;"
             "INSERT INTO \"Od\"\"d\" VALUES (1, 'a'), (2, 'b');"
             "INSERT INTO only_key SELECT generate_series(1, 9)",
             "UPDATE two SET v = 'w' WHERE a < 5; UPDATE two SET a = a + 100 WHERE b = 'b1';"
             "DELETE FROM two WHERE b = 'b2'; INSERT INTO two VALUES ('n', 2, 'b2');"
             "UPDATE num SET k = 1.000, v = 's' WHERE k = 1; UPDATE num SET v = 'n2' WHERE k ="
             " 'NaN'; DELETE FROM num WHERE k = 2.5; INSERT INTO num VALUES (2.5, 'again');"
             "UPDATE num SET k = -k WHERE k = 1e30; UPDATE num SET k = 0 WHERE k = 0;"
             "UPDATE pad SET v = 'c' WHERE k = 'a'; DELETE FROM pad WHERE k = 'b';"
             "INSERT INTO pad VALUES ('b', 'x');"
             "UPDATE flt SET k = 0, v = 'p' WHERE k = 0; UPDATE flt SET v = 'm' WHERE k = 'NaN';"
             "DELETE FROM flt WHERE k = 1.5; UPDATE en SET k = 'c' WHERE k = 'a';"
             "UPDATE en SET k = 'a', v = 'x' WHERE k = 'c';"
             "UPDATE ci SET k = 'ABC' WHERE k = 'abc'; UPDATE ci SET v = 'c' WHERE k = 'aBC';"
             "DELETE FROM ci WHERE k = 'X'; INSERT INTO ci VALUES ('X', 'y');"
             "UPDATE lo SET k = 'ABC' WHERE k = 'abc'; DELETE FROM lo WHERE k = 'X';"
             "INSERT INTO lo VALUES ('X', 'y'); UPDATE lo SET v = 'c' WHERE k = 'abc';"
             "UPDATE arr SET v = 'b' WHERE k = '{1,2}'; UPDATE arr SET k = '{3}' WHERE k = '{}';"
             "UPDATE rng SET v = 'b'; DELETE FROM rng WHERE k = 'empty';"
             "UPDATE byix SET v = 'w' WHERE id < 4; UPDATE byix SET k = gen_random_uuid() WHERE id"
             " > 6; DELETE FROM byix WHERE id = 5; UPDATE \"Od\"\"d\" SET \"select\" = 'c';"
             "UPDATE only_key SET k = k + 100 WHERE k > 5; DELETE FROM only_key WHERE k < 3;"
             "UPDATE only_key SET k = k WHERE k = 4",
             /* A swap by way of a third key. */
             "UPDATE two SET a = 999 WHERE a = 3; UPDATE two SET a = 3 WHERE a = 6;"
             "UPDATE two SET a = 6 WHERE a = 999; UPDATE en SET k = 'c' WHERE k = 'a';"
             "UPDATE en SET k = 'a' WHERE k = 'b'; UPDATE en SET k = 'b' WHERE k = 'c'",
             "DELETE FROM two; DELETE FROM num; DELETE FROM pad; DELETE FROM flt; DELETE FROM en;"
             "DELETE FROM ci; DELETE FROM lo; DELETE FROM arr; DELETE FROM rng; DELETE FROM byix;"
             "DELETE FROM \"Od\"\"d\"; DELETE FROM only_key"},
    };

    (void)state;
    run_scenario(&scenario);
}

static const struct scenario keyless = {
    .name = "keyless",
    .both = "CREATE TABLE t (a int NOT NULL, j json, p point, n numeric, f float8, i int[]);"
            "ALTER TABLE t REPLICA IDENTITY FULL;"
            "CREATE TABLE plain (a int NOT NULL, b text NOT NULL);"
            "ALTER TABLE plain REPLICA IDENTITY FULL;"
            "CREATE TABLE wide (a text, b text); ALTER TABLE wide REPLICA IDENTITY FULL;"
            "ALTER TABLE wide ALTER b SET STORAGE EXTERNAL;"
            "CREATE TABLE loggy (a int, b text); ALTER TABLE loggy REPLICA IDENTITY NOTHING;",
    .steps = {"INSERT INTO t SELECT 1, '{\"a\":1}', '(1,2)', 1.0, '-0', '{1}' FROM"
              " generate_series(1, 5); INSERT INTO t SELECT 1, '{\"a\": 1}', NULL, 1.00, 0,"
              " NULL FROM generate_series(1, 3); INSERT INTO t VALUES (2);"
              "INSERT INTO plain SELECT i % 4, 'x' FROM generate_series(1, 40) i;"
              "INSERT INTO wide SELECT 'a', repeat('x', 9000) FROM generate_series(1, 3);"
              "INSERT INTO wide VALUES (NULL, ''), ('', NULL), (NULL, NULL);"
              "INSERT INTO loggy SELECT i, 'x' FROM generate_series(1, 10) i",
              "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE n::text = '1.0' LIMIT 2);"
              "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE n::text = '1.00' LIMIT"
              " 1); UPDATE t SET a = 7 WHERE a = 2;"
              "DELETE FROM plain WHERE ctid IN (SELECT ctid FROM plain WHERE a = 1 LIMIT 7);"
              "UPDATE plain SET b = 'y' WHERE ctid IN (SELECT ctid FROM plain LIMIT 9);"
              "UPDATE plain SET b = 'y' WHERE a = 3; UPDATE plain SET b = 'x' WHERE a = 3;"
              "UPDATE wide SET a = 'b' WHERE ctid = (SELECT min(ctid) FROM wide);"
              "DELETE FROM wide WHERE a IS NULL AND b = ''; INSERT INTO loggy VALUES (1, 'x')",
              "DELETE FROM t; DELETE FROM plain; DELETE FROM wide"},
};

/* TRAPS 3: no key at all: exactly n of m equal rows. */
static void
trap_03_rows_without_a_key(void **state)
{
    (void)state;
    run_scenario(&keyless);
}

static const struct scenario toast = {
    .name = "toast",
    .both = "CREATE TABLE t (id int PRIMARY KEY, v int, big text, big2 text);"
            "ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER big2 SET STORAGE EXTERNAL;"
            "CREATE TABLE f (id int PRIMARY KEY, v int, big text);"
            "ALTER TABLE f ALTER big SET STORAGE EXTERNAL; ALTER TABLE f REPLICA IDENTITY"
            " FULL;"
            "CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, big text,"
            " twice int GENERATED ALWAYS AS (v * 2) STORED);"
            "ALTER TABLE g ALTER big SET STORAGE EXTERNAL;"
            "CREATE TABLE kb (k text PRIMARY KEY, v int);"
            "ALTER TABLE kb ALTER k SET STORAGE EXTERNAL;",
    .steps = {"INSERT INTO t SELECT i, i, repeat('a', 5000) || i, repeat('b', 5000) || i FROM"
              " generate_series(1, 30) i; INSERT INTO f SELECT i, i, repeat('a', 5000) || i"
              " FROM generate_series(1, 10) i; INSERT INTO g (v, big) SELECT i, repeat('a',"
              " 5000) || i FROM generate_series(1, 10) i;"
              "INSERT INTO kb SELECT repeat(i::text, 2300), i FROM generate_series(1, 9) i",
              "UPDATE t SET v = v + 1; UPDATE t SET big = repeat('c', 4000) WHERE id % 3 = 0;"
              "UPDATE t SET big2 = NULL WHERE id % 5 = 0; UPDATE t SET v = 0 WHERE id % 2 = 0;"
              "UPDATE f SET v = v + 1; UPDATE f SET id = id + 100 WHERE v > 5;"
              "UPDATE g SET v = v + 1; UPDATE kb SET v = v + 1",
              "UPDATE t SET id = id + 1000, v = 5 WHERE id > 25;"
              "UPDATE t SET big = 'short' WHERE id > 1020; UPDATE t SET id = id + 1 WHERE id ="
              " 1030; INSERT INTO t VALUES (500, 1, repeat('z', 5000), NULL);"
              "UPDATE t SET id = 501, v = 2 WHERE id = 500; DELETE FROM t WHERE id = 1026;"
              "UPDATE g SET id = DEFAULT WHERE v < 5; UPDATE g SET v = 50 WHERE id > 10;"
              "UPDATE g SET id = DEFAULT, big = 'x' WHERE v = 7;"
              "UPDATE kb SET k = k || 'x' WHERE v = 3; UPDATE f SET big = 'y' WHERE id < 4"},
};

/* TRAPS 1: values that are not sent are kept, also when the key changes. */
static void
trap_01_unchanged_values(void **state)
{
    (void)state;
    run_scenario(&toast);
}

static const struct scenario identity = {
    .name = "identity",
    .both = "CREATE TABLE k (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);"
            "CREATE TABLE only_id (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"
            "CREATE TABLE o (k text PRIMARY KEY, seq int GENERATED ALWAYS AS IDENTITY, v int,"
            " w int GENERATED ALWAYS AS (v + 1) STORED);"
            "CREATE TABLE d (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);",
    .steps = {"INSERT INTO k (v) SELECT 'v' FROM generate_series(1, 9);"
              "INSERT INTO only_id SELECT FROM generate_series(1, 5);"
              "INSERT INTO o (k, v) SELECT 'k' || i, i FROM generate_series(1, 9) i;"
              "INSERT INTO d (v) SELECT 'v' FROM generate_series(1, 9)",
              "UPDATE k SET v = 'w' WHERE id < 5; UPDATE k SET id = DEFAULT WHERE id = 7;"
              "DELETE FROM k WHERE id = 1; INSERT INTO k OVERRIDING SYSTEM VALUE VALUES (1,"
              " 'again'); DELETE FROM only_id WHERE id = 2; UPDATE only_id SET id = DEFAULT"
              " WHERE id = 3; UPDATE o SET v = 0 WHERE v < 4; DELETE FROM o WHERE k = 'k8';"
              "INSERT INTO o (k, v) VALUES ('k8', 80); UPDATE o SET k = 'moved' WHERE k ="
              " 'k9'; UPDATE d SET id = id + 100"},
};

/* TRAPS 6, 7: identity and generated columns, in and outside of the key. */
static void
identity_and_generated(void **state)
{
    (void)state;
    run_scenario(&identity);
}

/* TRAPS 40, 73: unique values that change places; the group fails, the changes one by one do not.
 */
static void
trap_40_73_unique_values_that_swap(void **state)
{
    static const struct scenario scenario = {
        .name = "swap",
        .both = "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, x int4range,"
                " EXCLUDE USING gist (x WITH &&));",
        .steps = {"INSERT INTO t SELECT i, i, int4range(i, i + 1) FROM generate_series(1, 5) i",
                  "UPDATE t SET u = 99 WHERE id = 1; UPDATE t SET u = 1 WHERE id = 2;"
                  "UPDATE t SET u = 2 WHERE id = 1",
                  "UPDATE t SET x = '[90,91)' WHERE id = 1; UPDATE t SET x = '[1,2)' WHERE id = 2;"
                  "UPDATE t SET x = '[2,3)' WHERE id = 1; INSERT INTO t VALUES (6, 6, NULL)"},
        .expects_replay = true,
    };

    (void)state;
    run_scenario(&scenario);
}

/* TRAPS 10: rows of partitions go into the root of a target that is partitioned in another way. */
static void
partitioned_roots(void **state)
{
    static const struct scenario scenario = {
        .name = "roots",
        .both = "CREATE TABLE r (k int, d int, v text, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);"
                "CREATE TABLE q (a int, v text) PARTITION BY LIST (a);",
        .source = "CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (10);"
                  "CREATE TABLE r2 PARTITION OF r DEFAULT;"
                  "CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1);"
                  "CREATE TABLE q2 PARTITION OF q DEFAULT;"
                  "ALTER TABLE q1 REPLICA IDENTITY FULL; ALTER TABLE q2 REPLICA IDENTITY FULL;",
        .target = "CREATE TABLE p1 PARTITION OF r FOR VALUES FROM (0) TO (5);"
                  "CREATE TABLE p2 PARTITION OF r DEFAULT;"
                  "CREATE TABLE s1 PARTITION OF q FOR VALUES IN (2, 3);"
                  "CREATE TABLE s2 PARTITION OF q DEFAULT;",
        .steps = {"INSERT INTO r SELECT i, i % 20, 'v' FROM generate_series(1, 60) i;"
                  "INSERT INTO q SELECT i % 4, 'v' FROM generate_series(1, 20) i",
                  "UPDATE r SET d = d + 5 WHERE k < 30; UPDATE r SET v = 'w' WHERE k > 50;"
                  "DELETE FROM r WHERE k = 40; UPDATE q SET a = a + 1; DELETE FROM q WHERE a = 2"},
    };
    static const char *const counts[] = {"SELECT k, d, v FROM r ORDER BY 1, 2, 3",
                                         "SELECT a, v FROM q ORDER BY 1, 2"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct combination how = {i / 2 == 0 ? PH_FORMAT_BINARY : PH_FORMAT_TEXT,
                                        i % 2 == 0 ? PH_FOLD_NET : PH_FOLD_REPLAY};
        struct trial run;
        begin(&run, &scenario, how);
        for (int step = 0; step < 2; step++) {
            sql_exec(run.source, scenario.steps[step]);
            drain(&run);
            for (int c = 0; c < 2; c++)
                assert_string_equal(sql_rows(run.source, counts[c]),
                                    sql_rows(run.target, counts[c]));
        }
        assert_int_equal(run.n_misses, 0);
        end(&run);
    }
}

/* TRAPS 41, 92: enforced keys. Children go first, and may be gone by the cascade. */
static void
enforced_foreign_keys(void **state)
{
    static const struct scenario scenario = {
        .name = "enforced",
        .both = "CREATE TABLE parent (id int PRIMARY KEY, v text);"
                "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE"
                " CASCADE ON UPDATE CASCADE); CREATE TABLE grand (id int PRIMARY KEY, child int"
                " REFERENCES child);"
                "CREATE TABLE land (k text PRIMARY KEY, v int);"
                "CREATE TABLE town (k text REFERENCES land ON UPDATE CASCADE, n int, v int,"
                " PRIMARY KEY (k, n)); CREATE TABLE street (k text, n int, s int, v int,"
                " PRIMARY KEY (k, n, s), FOREIGN KEY (k, n) REFERENCES town ON UPDATE CASCADE);",
        .steps =
            {"INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 9) i;"
             "INSERT INTO land VALUES ('a', 1), ('b', 2); INSERT INTO town SELECT 'a', i, i"
             " FROM generate_series(1, 3) i; INSERT INTO street SELECT 'a', i, i, i FROM"
             " generate_series(1, 3) i; INSERT INTO child SELECT i, i FROM generate_series(1, 9) i;"
             "INSERT INTO grand SELECT i, i FROM generate_series(1, 3) i",
             "DELETE FROM parent WHERE id = 9; DELETE FROM grand WHERE id = 1;"
             "DELETE FROM child WHERE id = 1; DELETE FROM parent WHERE id = 1;"
             "INSERT INTO parent VALUES (20, 'n'); INSERT INTO child VALUES (20, 20);"
             "UPDATE child SET parent = 20 WHERE id = 8; DELETE FROM parent WHERE id = 8",
             "UPDATE land SET k = 'z' WHERE k = 'a'; UPDATE street SET v = 0 WHERE s = 2;"
             "UPDATE town SET n = n + 10, v = 7 WHERE n = 3"},
        .enforces_keys = true,
        .expects_replay = true,
    };

    (void)state;
    run_scenario(&scenario);
}

/* Rows that others refer to change where they are: a DELETE would act upon these, or be refused. */
static void
enforced_keys_of_rows_without_a_key(void **state)
{
    static const struct scenario scenario = {
        .name = "kept",
        .both = "CREATE TABLE p (a int UNIQUE, v text); ALTER TABLE p REPLICA IDENTITY FULL;"
                "CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES p (a) ON DELETE CASCADE);"
                "CREATE TABLE q (a int UNIQUE, n int GENERATED ALWAYS AS IDENTITY, v text);"
                "ALTER TABLE q REPLICA IDENTITY FULL;"
                "CREATE TABLE d (id int PRIMARY KEY, a int REFERENCES q (a));",
        .steps = {"INSERT INTO p VALUES (1, 'x'), (2, 'y'), (NULL, 'n'), (NULL, 'n');"
                  "INSERT INTO c VALUES (1, 1), (2, 2); INSERT INTO q (a, v) VALUES (1, 'x'),"
                  " (NULL, 'n'); INSERT INTO d VALUES (1, 1)",
                  "UPDATE p SET v = 'z' WHERE a = 1; UPDATE q SET v = 'z' WHERE a = 1",
                  "UPDATE p SET a = 3 WHERE ctid = (SELECT min(ctid) FROM p WHERE a IS NULL);"
                  "UPDATE q SET v = NULL; UPDATE c SET a = 3 WHERE id = 2; DELETE FROM p WHERE"
                  " a = 2; UPDATE p SET v = 'z' WHERE a = 3; DELETE FROM p WHERE a IS NULL"},
        .enforces_keys = true,
        .expects_replay = true,
    };

    (void)state;
    run_scenario(&scenario);
}

/* A key that others refer to, beside an identity: it takes them along, and does not come anew. */
static void
enforced_keys_beside_an_identity(void **state)
{
    static const struct scenario scenario = {
        .name = "beside",
        .both = "CREATE TABLE p (k text PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text);"
                "CREATE TABLE c (id int PRIMARY KEY, k text REFERENCES p ON UPDATE CASCADE ON"
                " DELETE CASCADE);",
        .steps = {"INSERT INTO p (k, v) VALUES ('a', 'x'); INSERT INTO c VALUES (1, 'a')",
                  "UPDATE p SET k = 'b' WHERE k = 'a'; UPDATE p SET k = 'c', v = 'y'"},
        .enforces_keys = true,
        .expects_replay = true,
    };

    (void)state;
    run_scenario(&scenario);
}

/* The same with the identity in the key that they refer to: another column of it changes. */
static void
enforced_keys_with_an_identity(void **state)
{
    static const struct scenario scenario = {
        .name = "within",
        .both = "CREATE TABLE p (id int GENERATED ALWAYS AS IDENTITY, t int, v text,"
                " PRIMARY KEY (id, t)); CREATE TABLE c (id int, t int, n int, v text,"
                " PRIMARY KEY (id, t, n), FOREIGN KEY (id, t) REFERENCES p ON UPDATE CASCADE ON"
                " DELETE CASCADE); CREATE TABLE d (n int PRIMARY KEY, id int, t int,"
                " FOREIGN KEY (id, t) REFERENCES p ON UPDATE CASCADE);",
        .steps = {"INSERT INTO p (t, v) VALUES (1, 'x'), (1, 'y');"
                  "INSERT INTO c SELECT 1, 1, i, 'c' FROM generate_series(1, 3) i;"
                  "INSERT INTO d SELECT i, 2, 1 FROM generate_series(1, 3) i",
                  "UPDATE p SET t = 2; UPDATE p SET v = 'z' WHERE id = 1; UPDATE c SET v = 'd'"
                  " WHERE n = 2"},
        .enforces_keys = true,
        .expects_replay = true,
    };

    (void)state;
    run_scenario(&scenario);
}

/* What cannot be assigned has changed: the row is missed, and stays, for others refer to it. */
static void
enforced_keys_of_an_identity(void **state)
{
    static const struct scenario scenario = {
        .name = "assigned",
        .both = "CREATE TABLE p (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);"
                "CREATE TABLE q (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"
                "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON UPDATE CASCADE ON DELETE"
                " CASCADE, q int REFERENCES q ON UPDATE CASCADE ON DELETE CASCADE);",
        .enforces_keys = true,
    };
    struct trial run;

    (void)state;
    begin(&run, &scenario, (struct combination){PH_FORMAT_BINARY, PH_FOLD_REPLAY});
    sql_exec(run.source, "INSERT INTO p (v) VALUES ('x'); INSERT INTO q DEFAULT VALUES");
    drain(&run);
    sql_exec(run.target, "INSERT INTO c VALUES (1, 1, 1)");
    sql_exec(run.source, "UPDATE p SET id = DEFAULT; UPDATE q SET id = DEFAULT");
    drain(&run);
    assert_int_equal(run.n_misses, 2);
    assert_string_equal(sql_rows(run.target, "SELECT * FROM p, q, c"), "1|x|1|1|1|1\n");
    end(&run);
}

/* Whatever an enforced key has done to rows is not done to them a second time. */
static void
enforced_keys_that_act_on_rows_without_a_key(void **state)
{
    static const struct scenario scenario = {
        .name = "acting",
        .both = "CREATE TABLE p (id int PRIMARY KEY, v text);"
                "CREATE TABLE c (p int REFERENCES p ON UPDATE CASCADE ON DELETE CASCADE, v text);"
                "CREATE TABLE d (p int REFERENCES p ON UPDATE CASCADE, v text);"
                "CREATE TABLE e (p int REFERENCES p ON DELETE SET NULL, v text);"
                "CREATE TABLE f (p int DEFAULT 0 REFERENCES p ON DELETE SET DEFAULT, v text);"
                "CREATE TABLE g (p int REFERENCES p ON UPDATE SET NULL, v text);"
                "CREATE TABLE k (p int DEFAULT 0 REFERENCES p ON DELETE SET DEFAULT ON UPDATE SET"
                " DEFAULT, n int, PRIMARY KEY (p, n));"
                "ALTER TABLE c REPLICA IDENTITY FULL; ALTER TABLE d REPLICA IDENTITY FULL;"
                "ALTER TABLE e REPLICA IDENTITY FULL; ALTER TABLE f REPLICA IDENTITY FULL;"
                "ALTER TABLE g REPLICA IDENTITY FULL;",
        .steps = {"INSERT INTO p SELECT i, 'p' FROM generate_series(0, 9) i;"
                  "INSERT INTO c VALUES (1, 'a'), (1, 'a'), (1, 'b'), (2, 'a');"
                  "INSERT INTO d VALUES (1, 'a'), (1, 'a'); INSERT INTO e VALUES (3, 'a'), (3, "
                  "'a'); INSERT INTO f VALUES (4, 'a'), (4, 'a'); INSERT INTO g VALUES (5, 'a');"
                  "INSERT INTO k VALUES (6, 1), (7, 2)",
                  "UPDATE p SET id = 11 WHERE id = 1; DELETE FROM p WHERE id IN (2, 3, 4, 6);"
                  "UPDATE p SET id = id + 10 WHERE id IN (5, 7)",
                  "UPDATE c SET v = 'c' WHERE p = 11; DELETE FROM d WHERE p = 11;"
                  "UPDATE f SET p = 8; UPDATE e SET p = 9, v = 'n'; DELETE FROM p WHERE id = 11"},
        .enforces_keys = true,
        .expects_replay = true,
    };

    (void)state;
    run_scenario(&scenario);
}

/* TRAPS 9, and long runs of inserts. */
static void
truncate_and_copy(void **state)
{
    static const struct scenario scenario = {
        .name = "copies",
        .both = "CREATE TABLE a (id bigserial PRIMARY KEY, v text, n int[], t text);"
                "CREATE TABLE b (id int PRIMARY KEY, a bigint REFERENCES a);",
        .steps = {"INSERT INTO a (v, n, t) SELECT E'tab\\t back\\\\ line\\n' || i, ARRAY[i, NULL],"
                  " CASE WHEN i % 2 = 0 THEN '' END FROM generate_series(1, 300) i;"
                  "INSERT INTO b SELECT i, i FROM generate_series(1, 50) i",
                  "UPDATE a SET v = 'x' WHERE id < 5; TRUNCATE a, b RESTART IDENTITY;"
                  "INSERT INTO a (v) SELECT 'y' FROM generate_series(1, 200);"
                  "INSERT INTO b VALUES (1, 1)"},
        .copy_rows = 100,
    };

    (void)state;
    run_scenario(&scenario);
}

/* Slow, but right. */
static void
keys_without_an_index(void **state)
{
    static const struct scenario scenario = {
        .name = "unindexed",
        .both = "CREATE TABLE t (id int PRIMARY KEY, v text);"
                "CREATE TABLE two (a int, b int, v text, PRIMARY KEY (a, b));",
        .target = "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE two DROP CONSTRAINT two_pkey;",
        .steps = {"INSERT INTO t SELECT i, 'v' FROM generate_series(1, 30) i;"
                  "INSERT INTO two SELECT i, i, 'v' FROM generate_series(1, 30) i",
                  "UPDATE t SET v = 'w' WHERE id > 3; UPDATE t SET id = -id WHERE id > 20;"
                  "DELETE FROM t WHERE id BETWEEN 5 AND 9; DELETE FROM two WHERE a > 25;"
                  "UPDATE two SET v = 'w' WHERE a < 9; UPDATE two SET b = 0 WHERE a = 9"},
    };

    (void)state;
    run_scenario(&scenario);
}

/* A change that hits no row is named by its key. */
static void
missing_rows_are_named(void **state)
{
    static const struct scenario scenario = {
        .name = "missing",
        .both = "CREATE TABLE t (id int, name text, v int, PRIMARY KEY (id, name));"
                "CREATE TABLE u (id uuid PRIMARY KEY, v int);",
        .extra_target = "ALTER TABLE t REPLICA IDENTITY FULL",
    };
    struct trial run;

    (void)state;
    begin(&run, &scenario, (struct combination){PH_FORMAT_BINARY, PH_FOLD_NET});
    sql_exec(run.source, "INSERT INTO t SELECT i, 'n' || i, i FROM generate_series(-2, 9) i;"
                         "INSERT INTO u VALUES ('00000000-0000-0000-0000-0000000000ff', 1)");
    drain(&run);
    sql_exec(run.target, "DELETE FROM t WHERE id IN (-1, 4)");
    sql_exec(run.source, "UPDATE t SET v = v + 1");
    drain(&run);
    assert_true(run.n_misses > 0);
    assert_string_equal(run.missing, "(id=-1, name=n-1)(id=4, name=n4)");
    run.missing[0] = '\0';
    sql_exec(run.target, "DELETE FROM u");
    sql_exec(run.source, "DELETE FROM u");
    drain(&run);
    assert_string_equal(run.missing, "(id=00000000-0000-0000-0000-0000000000ff)");
    end(&run);
}

/* A row without a key that is changed where it is has no name, but is missed. */
static void
missing_row_without_a_key(void **state)
{
    static const struct scenario scenario = {
        .name = "nameless",
        .both = "CREATE TABLE p (a int UNIQUE, v text); ALTER TABLE p REPLICA IDENTITY FULL;"
                "CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES p (a));",
        .enforces_keys = true,
    };
    struct trial run;

    (void)state;
    begin(&run, &scenario, (struct combination){PH_FORMAT_BINARY, PH_FOLD_REPLAY});
    sql_exec(run.source, "INSERT INTO p VALUES (1, 'x'), (NULL, 'n')");
    drain(&run);
    sql_exec(run.target, "DELETE FROM p WHERE a = 1");
    sql_exec(run.source, "UPDATE p SET v = 'y'");
    drain(&run);
    assert_int_equal(run.n_misses, 1);
    assert_string_equal(run.missing, "");
    end(&run);
}

static void
only_fold(struct trial *run, const struct ph_stream_event *event)
{
    if (event->head.kind == PH_STREAM_RELATION)
        table_of(run, event->rel, true);
    if (event->head.kind == PH_STREAM_CHANGE)
        ok(run, ph_fold_add(run->net, table_of(run, event->rel, false), &event->change, &run->err));
}

static void
expect_no_scan(struct trial *run, const struct ph_apply_statement *statement)
{
    const struct ph_statement planned = {
        .sql = statement->sql,
        .n_params = statement->n_params,
        .use = PH_STATEMENT_PREPARED,
    };
    char table[200];
    bool scans;

    ok(run, ph_pipeline_explain(run->pipeline, &planned, &scans, table, sizeof table, &run->err));
    if (scans)
        fail_msg("%s reads %s whole", statement->sql, table);
}

/* TRAPS 89: no statement reads a table from end to end, whatever the planner knows about it. */
static void
trap_89_plans_use_the_key(void **state)
{
    static const struct scenario scenario = {
        .name = "plans",
        .both = "CREATE TABLE t (id int PRIMARY KEY, v text);"
                "CREATE TABLE two (a int, b text, v text, PRIMARY KEY (a, b));"
                "CREATE EXTENSION citext; CREATE TABLE ci (k citext PRIMARY KEY, v text);"
                "CREATE TABLE arr (k int[] PRIMARY KEY, v text);"
                "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20000) i;"
                "INSERT INTO two SELECT i, 'b', 'v' FROM generate_series(1, 20000) i;"
                "INSERT INTO ci SELECT i, 'v' FROM generate_series(1, 20000) i;"
                "INSERT INTO arr SELECT ARRAY[i], 'v' FROM generate_series(1, 20000) i; ANALYZE;",
    };

    (void)state;
    for (int format = 0; format < 2; format++) {
        struct ph_apply_statement statement;
        struct trial run;
        int n = 0;
        begin(&run, &scenario, (struct combination){(enum ph_format)format, PH_FOLD_NET});
        sql_exec(run.source,
                 "UPDATE t SET v = 'w' WHERE id < 1500; DELETE FROM t WHERE id > 18000;"
                 "UPDATE two SET v = 'w' WHERE a < 1500; DELETE FROM two WHERE a > 18000;"
                 "UPDATE two SET a = -a WHERE a BETWEEN 2000 AND 2100;"
                 "UPDATE ci SET v = 'w' WHERE k < '2'; DELETE FROM ci WHERE k = '3';"
                 "UPDATE arr SET v = 'w' WHERE k < '{100}'; DELETE FROM arr WHERE k > '{19000}'");
        fetch(&run, only_fold);
        ok(&run, ph_apply_statements_begin(run.statements, run.net, &run.err));
        for (;; n++) {
            ok(&run, ph_apply_statements_next(run.statements, &statement, &run.err));
            if (statement.kind == PH_APPLY_NONE)
                break;
            expect_no_scan(&run, &statement);
        }
        assert_true(n > 8);
        end(&run);
    }
}

/* Random changes: keys that move and come again, TOASTed values, savepoints, rows without a key. */
#define RANDOM_TABLES                                                                              \
    "CREATE TABLE i (id int PRIMARY KEY, v int, big text, n int[]);"                               \
    "ALTER TABLE i ALTER big SET STORAGE EXTERNAL;"                                                \
    "CREATE TABLE f (id numeric PRIMARY KEY, v int, big text);"                                    \
    "ALTER TABLE f ALTER big SET STORAGE EXTERNAL; ALTER TABLE f REPLICA IDENTITY FULL;"           \
    "CREATE TABLE n (id numeric, k char(5), v int, big text, PRIMARY KEY (k, id));"                \
    "ALTER TABLE n ALTER big SET STORAGE EXTERNAL;"                                                \
    "CREATE TABLE r (id int, v numeric); ALTER TABLE r REPLICA IDENTITY FULL;"                     \
    "CREATE TABLE u (id int PRIMARY KEY, v int UNIQUE);"

#define RANDOM_WORK                                                                                \
    "CREATE FUNCTION big(x int) RETURNS text LANGUAGE sql AS $$ SELECT CASE x % 4 WHEN 0 THEN"     \
    " NULL WHEN 1 THEN 'small' ELSE repeat(x::text, 2500) END $$;"                                 \
    "CREATE FUNCTION pick(m int) RETURNS int LANGUAGE sql AS $$ SELECT (random() * m)::int $$;"    \
    "CREATE FUNCTION one(x int) RETURNS void LANGUAGE plpgsql AS $$ DECLARE a int := pick(12);"    \
    " b int := pick(12); s numeric := CASE pick(1) WHEN 0 THEN a ELSE a + 0.00 END; BEGIN CASE"    \
    " pick(16)"                                                                                    \
    " WHEN 0 THEN INSERT INTO i VALUES (a, x, big(x), ARRAY[x]) ON CONFLICT DO NOTHING;"           \
    " WHEN 1 THEN UPDATE i SET v = x WHERE id = a; WHEN 2 THEN UPDATE i SET big = big(x) WHERE"    \
    " id = a; WHEN 3 THEN DELETE FROM i WHERE id = a; WHEN 4 THEN UPDATE i SET id = b, v = x"      \
    " WHERE id = a; WHEN 5 THEN INSERT INTO f VALUES (s, x, big(x)) ON CONFLICT DO NOTHING;"       \
    " WHEN 6 THEN UPDATE f SET v = x, id = s WHERE id = a; WHEN 7 THEN UPDATE f SET id = b"        \
    " WHERE id = a; WHEN 8 THEN DELETE FROM f WHERE id = a; WHEN 9 THEN INSERT INTO n VALUES"      \
    " (s, 'k' || b % 3, x, big(x)) ON CONFLICT DO NOTHING; WHEN 10 THEN UPDATE n SET v = x, id ="  \
    " s WHERE id = a; WHEN 11 THEN UPDATE n SET k = 'k' || b % 3 WHERE id = a;"                    \
    " WHEN 12 THEN DELETE FROM n WHERE id = a; WHEN 13 THEN INSERT INTO r VALUES (a, s);"          \
    " WHEN 14 THEN UPDATE r SET v = s WHERE id = a; WHEN 15 THEN DELETE FROM r WHERE ctid ="       \
    " (SELECT min(ctid) FROM r WHERE id = a);"                                                     \
    " ELSE INSERT INTO u VALUES (a, b) ON CONFLICT DO NOTHING; UPDATE u SET v = pick(12) WHERE"    \
    " id = b; DELETE FROM u WHERE id = pick(12); END CASE;"                                        \
    " EXCEPTION WHEN unique_violation THEN NULL; END $$;"

static void
random_changes(void **state)
{
    static const struct scenario scenario = {
        .name = "random",
        .both = RANDOM_TABLES,
        .source = RANDOM_WORK,
    };

    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct combination how = {i / 2 == 0 ? PH_FORMAT_BINARY : PH_FORMAT_TEXT,
                                        i % 2 == 0 ? PH_FOLD_NET : PH_FOLD_REPLAY};
        struct trial run;
        begin(&run, &scenario, how);
        for (int step = 0; step < 20; step++) {
            sql_execf(run.source, "SELECT setseed(0.%d)", step + 100 * i + 1);
            sql_execf(run.source, "SELECT one(x) FROM generate_series(1, %d) x",
                      step % 4 == 0 ? 600 : 60);
            drain(&run);
            if (run.n_misses > 0)
                fail_msg("step %d of %d: missed %s", step, i, run.missing);
            compare(&run, step);
        }
        assert_true(sql_int(run.target, "SELECT least((SELECT count(*) FROM i), (SELECT count(*)"
                                        " FROM f), (SELECT count(*) FROM n), (SELECT count(*)"
                                        " FROM r), (SELECT count(*) FROM u))") > 0);
        end(&run);
    }
}

/* The same statements on other majors; 13 has no values in binary. */
static void
other_majors(void **state)
{
    static const int majors[] = {13, 14, 16, 17, 18};
    static const struct scenario *const scenarios[] = {&keyless, &toast, &identity};
    struct pg_test_cluster *const usual[] = {src, dst};
    int n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof majors / sizeof majors[0]; i++) {
        const struct pg_test_params params = {.major = majors[i]};
        if (!pg_test_major_present(majors[i]))
            continue;
        struct pg_test_cluster *other = pg_test_cluster_new(&params);
        for (int pass = 0; pass < 2; pass++) {
            src = pass == 0 ? other : usual[0];
            dst = pass == 0 ? usual[1] : other;
            for (size_t j = 0; j < sizeof scenarios / sizeof scenarios[0]; j++) {
                struct scenario scenario = *scenarios[j];
                scenario.text_only = majors[i] == 13 && pass == 0;
                scenario.name = scratch_printf("%s_%d_%d", scenario.name, majors[i], pass);
                run_scenario(&scenario);
            }
        }
        pg_test_cluster_stop(other);
        src = usual[0];
        dst = usual[1];
        n++;
    }
    if (n == 0)
        skip();
}

/* All kinds of statements, in transactions of several sessions. */
static void
random_workload(void **state)
{
    static const struct scenario scenarios[] = {
        {.name = "workload", .is_workload = true},
        {.name = "workload_enforced", .is_workload = true, .enforces_keys = true},
    };
    uint64_t seed = workload_seed();

    (void)state;
    for (int i = 0; i < 6; i++) {
        const struct combination how = {i / 2 % 2 == 0 ? PH_FORMAT_BINARY : PH_FORMAT_TEXT,
                                        i % 2 == 0 ? PH_FOLD_NET : PH_FOLD_REPLAY};
        struct trial run;
        begin(&run, &scenarios[i / 4], how);
        struct workload *workload = workload_begin(src, run.database, seed + (uint64_t)i);
        for (int group = 0; group < 12; group++) {
            workload_steps(workload, group % 3 == 0 ? 100 : 20);
            drain(&run);
        }
        workload_settle(workload);
        drain(&run);
        if (run.n_misses > 0)
            fail_msg("missed %s", run.missing);
        same_tables(src, run.database, dst, run.database, WORKLOAD_SCHEMAS);
        print_message("  %d groups replayed\n", run.n_replays);
        workload_end(workload);
        end(&run);
    }
}

static int
start_servers(void **state)
{
    const struct pg_test_params params = {.conf = WORKLOAD_CONF};

    (void)state;
    pg_test_pair_new(&params, &params, &src, &dst);
    return 0;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_31_90_91_every_kind_of_type),
        cmocka_unit_test(types_that_differ),
        cmocka_unit_test(types_whose_cast_is_not_their_output),
        cmocka_unit_test(types_for_text_only),
        cmocka_unit_test(trap_02_38_keys_of_all_shapes),
        cmocka_unit_test(trap_03_rows_without_a_key),
        cmocka_unit_test(trap_01_unchanged_values),
        cmocka_unit_test(identity_and_generated),
        cmocka_unit_test(trap_40_73_unique_values_that_swap),
        cmocka_unit_test(partitioned_roots),
        cmocka_unit_test(enforced_foreign_keys),
        cmocka_unit_test(enforced_keys_of_rows_without_a_key),
        cmocka_unit_test(enforced_keys_beside_an_identity),
        cmocka_unit_test(enforced_keys_with_an_identity),
        cmocka_unit_test(enforced_keys_of_an_identity),
        cmocka_unit_test(enforced_keys_that_act_on_rows_without_a_key),
        cmocka_unit_test(truncate_and_copy),
        cmocka_unit_test(missing_rows_are_named),
        cmocka_unit_test(missing_row_without_a_key),
        cmocka_unit_test(trap_89_plans_use_the_key),
        cmocka_unit_test(random_changes),
        cmocka_unit_test(random_workload),
        cmocka_unit_test(keys_without_an_index),
        cmocka_unit_test(other_majors),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
