/*
 * The plan as an earlier run wrote it down, joined with the catalogs of now. A resumed run must not
 * plan anew: chunks that are done would not fit. What changed since is an error with its name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "job/job.h"
#include "job/plan_generated.h"
#include "job/plan_route.h"
#include "model/type_match.h"
#include "pg/ledger.h"
#include "wire/oid_remap.h"

#define TABLES_AT_ONCE 500u

static ph_code
changed(const char *schema, const char *name, const char *what, struct ph_error *err)
{
    PH_FAIL(err, PH_E_TABLE_CHANGED, "%s since the copy began", what);
    ph_error_object(err, "%s.%s", schema, name);
    ph_error_hint(err, "undo the change and give the same command again, or start over with "
                       "--restart --yes");
    return PH_E_TABLE_CHANGED;
}

/* While following, a table that is gone on one side leaves the job, or comes again. */
static ph_code
table_went(const struct ph_job *job, const char *schema, const char *name, struct ph_error *err)
{
    (void)changed(schema, name, "the table was dropped on the source", err);
    if (job->ledger.phase == PH_PHASE_FOLLOW)
        ph_error_hint(err,
                      "drop it on the target as well, then give the same command again, without "
                      "a pattern that named it: the job goes on without the table");
    return PH_E_TABLE_CHANGED;
}

static ph_code
column_went(const struct ph_job *job, const struct ph_rel *rel, const char *column,
            const char *side, struct ph_error *err)
{
    PH_FAIL(err, PH_E_TABLE_CHANGED, "column %s is gone on the %s since the copy began", column,
            side);
    ph_error_object(err, "%s.%s", rel->schema, rel->name);
    if (job->ledger.phase == PH_PHASE_FOLLOW)
        ph_job_hint_copy_anew(job, err);
    else
        ph_error_hint(err, "undo the change and give the same command again, or start over with "
                           "--restart --yes");
    return PH_E_TABLE_CHANGED;
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/*
 * Whether a column that neither side has any more leaves the plan: nothing was copied with it, and
 * the key is told by the places of those before it.
 */
static ph_code
may_leave(struct ph_job *job, const struct ph_table_plan *table, uint32_t place, bool *may,
          struct ph_error *err)
{
    char number[16];
    const char *params[] = {job->options->name, number};
    struct ph_result *r;

    *may = table->n_key_fields == 0 || table->key_fields[table->n_key_fields - 1] < place;
    if (!*may)
        return PH_OK;
    snprintf(number, sizeof number, "%u", table->index);
    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT FROM pghaul.chunk WHERE job = $1 AND tbl = $2::int AND state ="
                         " 'done' LIMIT 1",
                         2, params, &r, err));
    *may = ph_result_rows(r) == 0;
    ph_result_free(r);
    return PH_OK;
}

static ph_code
join_column(struct ph_job *job, const struct ph_table_plan *table, const char *source_name,
            const char *target_name, uint32_t place, struct ph_plan_column *out,
            struct ph_error *err)
{
    bool may = false;

    *out = (struct ph_plan_column){.source = ph_rel_column_named(table->source, source_name),
                                   .target = ph_rel_column_named(table->target, target_name)};
    if (out->source == NULL && out->target == NULL)
        PH_TRY(may_leave(job, table, place, &may, err));
    if (may)
        return PH_OK;
    if (out->source == NULL)
        return column_went(job, table->source, source_name, "source", err);
    if (out->target == NULL)
        return column_went(job, table->target, target_name, "target", err);
    out->source_name = out->source->name;
    out->target_name = out->target->name;
    return PH_OK;
}

/* The columns come as one row each: number, source name, target name. */
static ph_code
join_columns(struct ph_job *job, struct ph_table_plan *table, const struct ph_result *r, int first,
             uint32_t n, struct ph_error *err)
{
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(&job->plan_arena, struct ph_plan_column, n + 1u);

    if (columns == NULL)
        return no_memory(err);
    table->columns = columns;
    table->n_columns = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct ph_plan_column *column = &columns[table->n_columns];
        PH_TRY(join_column(job, table, ph_result_text(r, first + (int)i, 1),
                           ph_result_text(r, first + (int)i, 2), i, column, err));
        table->n_columns += column->source != NULL;
    }
    return table->n_columns == n
               ? PH_OK
               : ph_ledger_set_columns(job->target_control, job->options->name, table, err);
}

/* Of some tables: all columns of 5,000 tables are more than one list in memory should be. */
static ph_code
load_columns_of(struct ph_job *job, uint32_t first, uint32_t n, struct ph_error *err)
{
    struct ph_result *r;
    ph_code rc = PH_OK;

    PH_TRY(ph_ledger_query_tables(job->target_control, job->options->name,
                                  "SELECT t.tbl, s.name, d.name FROM pghaul.tbl t,"
                                  " unnest(t.source_columns) WITH ORDINALITY s (name, n),"
                                  " unnest(t.target_columns) WITH ORDINALITY d (name, n)"
                                  " WHERE t.job = $1 AND t.tbl BETWEEN $2::int AND $3::int"
                                  " AND s.n = d.n ORDER BY t.tbl, s.n",
                                  first, n, &r, err));
    for (int at = 0; rc == PH_OK && at < ph_result_rows(r);) {
        uint32_t table = ph_result_u32(r, at, 0);
        int end = at;
        while (end < ph_result_rows(r) && ph_result_u32(r, end, 0) == table)
            end++;
        if (table >= job->plan.n_tables)
            rc = PH_FAIL(err, PH_E_LEDGER, "the ledger's tables are not numbered through");
        else if (job->plan.tables[table].route == NULL)
            rc = join_columns(job, &job->plan.tables[table], r, at, (uint32_t)(end - at), err);
        at = end;
    }
    ph_result_free(r);
    return rc;
}

static ph_code
load_columns(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i += TABLES_AT_ONCE)
        PH_TRY(load_columns_of(job, i, TABLES_AT_ONCE, err));
    return PH_OK;
}

/* "{0,2}" */
static ph_code
parse_key_fields(struct ph_job *job, struct ph_table_plan *table, const char *text,
                 struct ph_error *err)
{
    uint16_t *fields = PH_ARENA_ARRAY(&job->plan_arena, uint16_t, strlen(text) + 1);

    if (fields == NULL)
        return no_memory(err);
    for (const char *at = text; *at != '\0';) {
        char *end;
        long field = strtol(at, &end, 10);
        if (end == at) {
            at++;
            continue;
        }
        fields[table->n_key_fields++] = (uint16_t)field;
        at = end;
    }
    table->key_fields = fields;
    return PH_OK;
}

/* The rules are those that the plan was made with, so the route is there and says the same. */
static ph_code
join_route(struct ph_job *job, struct ph_table_plan *table, const char *name, struct ph_error *err)
{
    uint32_t n = 0;
    const struct ph_route *routes =
        job->rules.set == NULL ? NULL : ph_ruleset_of(job->rules.set, table->source->oid, &n);

    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(routes[i].name, name) == 0)
            return ph_plan_set_route(table, &job->rules.in_use, &routes[i], &job->plan_arena, err);
    }
    return PH_FAIL(err, PH_E_LEDGER, "the ledger has a route that the rules do not have: %s", name);
}

static ph_code
load_table(struct ph_job *job, const struct ph_result *r, int row, struct ph_error *err)
{
    struct ph_table_plan *table = &job->plan.tables[row];
    const char *schema = ph_result_text(r, row, 2);
    const char *name = ph_result_text(r, row, 3);

    if (ph_result_u32(r, row, 0) != (uint32_t)row)
        return PH_FAIL(err, PH_E_LEDGER, "the ledger's tables are not numbered through");
    table->index = (uint32_t)row;
    table->source = ph_catalog_rel(&job->source_catalog, ph_result_u32(r, row, 1));
    if (table->source == NULL)
        return table_went(job, schema, name, err);
    table->target = ph_catalog_rel_named(&job->target_catalog, ph_result_text(r, row, 4),
                                         ph_result_text(r, row, 5));
    if (table->target == NULL)
        return changed(schema, name, "the table was dropped on the target", err);
    table->format =
        strcmp(ph_result_text(r, row, 6), "binary") == 0 ? PH_FORMAT_BINARY : PH_FORMAT_TEXT;
    table->format_reason = ph_arena_strdup(&job->plan_arena, ph_result_text(r, row, 7));
    table->n_buckets = ph_result_u32(r, row, 9);
    table->freeze = ph_result_bool(r, row, 10);
    table->ordered_by_fk = ph_result_bool(r, row, 11);
    table->level = ph_result_u32(r, row, 12);
    table->group = ph_result_u32(r, row, 13);
    if (!ph_result_is_null(r, row, 14))
        table->where[PH_SOURCE] = table->where[PH_TARGET] =
            ph_arena_strdup(&job->plan_arena, ph_result_text(r, row, 14));
    table->rows = (uint64_t)ph_result_i64(r, row, 15);
    table->bytes = (uint64_t)ph_result_i64(r, row, 16);
    table->filenode = (uint32_t)ph_result_i64(r, row, 18);
    table->rules = &job->rules.in_use;
    if (!ph_result_is_null(r, row, 17))
        PH_TRY(join_route(job, table, ph_result_text(r, row, 17), err));
    job->plan.rows += table->rows;
    job->plan.bytes += table->bytes;
    return parse_key_fields(job, table, ph_result_text(r, row, 8), err);
}

static ph_code
load_tables(struct ph_job *job, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job->options->name};
    ph_code rc = PH_OK;

    PH_TRY(
        ph_conn_query(job->target_control,
                      "SELECT tbl, source_oid, source_schema, source_name, target_schema,"
                      " target_name, format, format_reason, key_fields, buckets, frozen, ordered,"
                      " level, grp, condition, est_rows, est_bytes, route, filenode"
                      " FROM pghaul.tbl WHERE job = $1 ORDER BY tbl",
                      1, params, &r, err));
    uint32_t n = (uint32_t)ph_result_rows(r);
    job->plan = (struct ph_plan){.arena = &job->plan_arena, .n_tables = n};
    job->plan.tables = PH_ARENA_ARRAY(&job->plan_arena, struct ph_table_plan, n + 1u);
    if (job->plan.tables == NULL)
        rc = no_memory(err);
    for (uint32_t i = 0; rc == PH_OK && i < n; i++)
        rc = load_table(job, r, (int)i, err);
    ph_result_free(r);
    return rc;
}

static ph_code
load_chunk(struct ph_job *job, const struct ph_result *r, int row, struct ph_error *err)
{
    struct ph_chunk *chunk = &job->plan.chunks[row];
    const char *kind = ph_result_text(r, row, 3);

    *chunk = (struct ph_chunk){
        .table = ph_result_u32(r, row, 0),
        .number = ph_result_u32(r, row, 1),
        .lot = ph_result_u32(r, row, 2),
        .kind = strcmp(kind, "ctid") == 0  ? PH_CHUNK_CTID
                : strcmp(kind, "key") == 0 ? PH_CHUNK_KEY
                                           : PH_CHUNK_WHOLE,
        .bytes = (uint64_t)ph_result_i64(r, row, 6),
    };
    if (chunk->table >= job->plan.n_tables)
        return PH_FAIL(err, PH_E_LEDGER, "the ledger holds a chunk of no table");
    struct ph_table_plan *table = &job->plan.tables[chunk->table];
    if (table->n_chunks == 0)
        table->first_chunk = (uint32_t)row;
    if (chunk->number != table->n_chunks)
        return PH_FAIL(err, PH_E_LEDGER, "the ledger's chunks are not numbered through");
    table->n_chunks++;
    if (!ph_result_is_null(r, row, 4))
        chunk->lo = ph_arena_strdup(&job->plan_arena, ph_result_text(r, row, 4));
    if (!ph_result_is_null(r, row, 5))
        chunk->hi = ph_arena_strdup(&job->plan_arena, ph_result_text(r, row, 5));
    if (chunk->lot >= job->plan.n_lots)
        job->plan.n_lots = chunk->lot + 1;
    return PH_OK;
}

static ph_code
load_chunks(struct ph_job *job, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job->options->name};
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT tbl, chunk, lot, kind, lo, hi, est_bytes FROM pghaul.chunk"
                         " WHERE job = $1 ORDER BY tbl, chunk",
                         1, params, &r, err));
    job->plan.n_chunks = (uint32_t)ph_result_rows(r);
    job->plan.chunks = PH_ARENA_ARRAY(&job->plan_arena, struct ph_chunk, job->plan.n_chunks + 1u);
    if (job->plan.chunks == NULL)
        rc = no_memory(err);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_chunks; i++)
        rc = load_chunk(job, r, (int)i, err);
    ph_result_free(r);
    return rc;
}

/* Types may have changed under the plan: the format must still be the one that was chosen. */
static ph_code
join_types(struct ph_job *job, struct ph_table_plan *table, struct ph_error *err)
{
    struct ph_table_match match = {0};

    if (table->inputs != NULL)
        return ph_plan_set_program_format(table, &job->source_catalog, &job->target_catalog,
                                          &job->plan_arena, err);
    PH_TRY(ph_type_match_table(table->columns, table->n_columns, &job->source_catalog,
                               &job->target_catalog, &match, err));
    if (match.format == PH_FORMAT_TEXT && table->format == PH_FORMAT_BINARY)
        return changed(table->source->schema, table->source->name, "a column's type changed", err);
    if (table->format == PH_FORMAT_BINARY)
        PH_TRY(ph_oid_remap_compile(table->columns, table->n_columns, &job->source_catalog,
                                    &job->target_catalog, &job->plan_arena, &table->remap, err));
    return PH_OK;
}

static ph_code
load_states(struct ph_job *job, struct ph_error *err)
{
    const char *name = job->options->name;

    job->chunk_states = calloc(job->plan.n_chunks + 1u, sizeof *job->chunk_states);
    job->table_states = calloc(job->plan.n_tables + 1u, sizeof *job->table_states);
    if (job->chunk_states == NULL || job->table_states == NULL)
        return no_memory(err);
    PH_TRY(ph_ledger_load_chunks(job->target_control, name, &job->plan, job->chunk_states, err));
    PH_TRY(ph_ledger_load_tables(job->target_control, name, &job->plan, job->table_states, err));
    return ph_ledger_load_steps(job->target_control, name, &job->plan_arena, &job->steps_done,
                                &job->n_steps_done, err);
}

void
ph_job_hint_copy_anew(const struct ph_job *job, struct ph_error *err)
{
    if (job->options->data_only)
        ph_error_hint(err, "%s",
                      "undo the change, if no row of it was written since, and give the same "
                      "command again; or start over with --restart --yes");
    else
        ph_error_hint(err, "%s",
                      "DROP TABLE (with CASCADE for keys and views) on the target, then give the "
                      "same command again: the table is made and copied anew as it is on the "
                      "source, and follows");
}

void
ph_job_forget_receipts(struct ph_job *job)
{
    free(job->chunk_states);
    free(job->table_states);
    job->chunk_states = NULL;
    job->table_states = NULL;
}

/* From now on these are the rules: before a row goes through them. */
static ph_code
take_laxer_rules(struct ph_job *job, const char *now, struct ph_error *err)
{
    static const char text[] = "the job goes on with rules that say more of values which were "
                               "errors before (`else:`)";

    snprintf(job->ledger.rules, sizeof job->ledger.rules, "%s", now);
    PH_TRY(ph_ledger_set_rules(job->target_control, &job->ledger, err));
    ph_log(PH_LOG_INFO, "rules.laxer", "%s", text);
    return ph_ledger_event(job->target_control, job->options->name, "info", text, err);
}

/* What rows were copied by, and what is to come, must be one thing. */
static ph_code
make_same_rules(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_job_make_rules(job, err));
    const char *now = job->rules.set == NULL ? "" : ph_ruleset_fingerprint(job->rules.set);
    bool are_laxer;
    PH_TRY(ph_rules_check_marks(&job->rules, job->options->name, job->ledger.rule_marks, err));
    if (strcmp(now, job->ledger.rules) == 0)
        return PH_OK;
    PH_TRY(ph_job_rules_are_laxer(job, &are_laxer, err));
    if (are_laxer)
        return take_laxer_rules(job, now, err);
    PH_FAIL(
        err, PH_E_JOB_OTHER,
        "the rules, or tables that they speak of, are others than those the copy was begun with");
    ph_error_object(err, "job %s", job->options->name);
    ph_error_hint(err,
                  "give the job file the rules that it had: all that may change is one `else:` "
                  "that was an error, or all that were, to null, keep or {value: …}, and, "
                  "without --follow, quarantine; or start over with --restart --yes");
    return PH_E_JOB_OTHER;
}

/* As often as the appliers of a follow change: what it was in must not add up. */
static void
forget_plan(struct ph_job *job)
{
    job->plan = (struct ph_plan){0};
    job->proof_plans = NULL;
    job->steps_done = NULL;
    job->n_steps_done = 0;
    ph_arena_reset(&job->plan_arena);
}

ph_code
ph_job_load_plan(struct ph_job *job, struct ph_error *err)
{
    ph_job_forget_receipts(job);
    PH_TRY(make_same_rules(job, err));
    forget_plan(job);
    PH_TRY(load_tables(job, err));
    PH_TRY(load_columns(job, err));
    PH_TRY(ph_job_check_attributes(job, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        PH_TRY(join_types(job, &job->plan.tables[i], err));
    PH_TRY(load_chunks(job, err));
    return load_states(job, err);
}

static ph_code
plan_proof_of(struct ph_job *job, uint32_t index, struct ph_error *err)
{
    struct ph_table_plan longer = job->plan.tables[index];
    char label[160];
    bool extended;
    ph_code rc = ph_plan_add_generated(&longer, &job->source_catalog, &job->target_catalog,
                                       &job->arena, &extended, err);

    if (rc == PH_E_TYPES) {
        ph_plan_table_label(&longer, label, sizeof label);
        ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "column", label,
                              "generated columns are not compared: %s", err->message);
        ph_error_reset(err);
        return PH_OK;
    }
    PH_TRY(rc);
    if (!extended)
        return PH_OK;
    struct ph_table_plan *kept = PH_ARENA_ARRAY(&job->arena, struct ph_table_plan, 1);
    if (kept == NULL)
        return no_memory(err);
    *kept = longer;
    job->proof_plans[index] = kept;
    return PH_OK;
}

ph_code
ph_job_plan_proof(struct ph_job *job, struct ph_error *err)
{
    job->proof_plans =
        PH_ARENA_ARRAY(&job->arena, const struct ph_table_plan *, job->plan.n_tables + 1u);
    if (job->proof_plans == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        PH_TRY(plan_proof_of(job, i, err));
    return PH_OK;
}
