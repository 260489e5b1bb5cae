/*
 * `rules test`: rows are read as the copy reads them, go through the rules as the copy's do, and
 * into a temporary table like the target's in a transaction that is rolled back, so that what is
 * printed is what the target makes of the bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/rule_stage.h"
#include "job/copy_parts.h"
#include "job/rules_show_parts.h"
#include "wire/copy_binary.h"

#define BYTES_LIMIT ((size_t)64 << 20)
#define SQL_LIMIT ((size_t)4 << 20)

struct trial {
    struct ph_job *job;
    const struct ph_table_plan *table;
    struct ph_buf from;       /* in FROM in place of the table; empty: the table */
    uint32_t n_from;          /* rows in it */
    struct ph_result *before; /* texts of the inputs */
    struct ph_buf rows;       /* the same rows, COPY BINARY */
    struct ph_rule_stage stage;
    struct ph_task task;
    struct ph_buf made; /* COPY BINARY for the target */
    uint32_t *counts;   /* by row of the source: rows made of it */
    struct ph_buf *out;
    struct ph_error *err;
};

/* ---- reading ---- */

/* Rows of a file have the table's name, and no schema. */
static void
put_sql(const struct trial *trial, const char *text, struct ph_buf *sql)
{
    const struct ph_rel *rel = trial->table->source;
    struct ph_buf qualified;
    const char *at = text;

    ph_buf_init(&qualified, 1024);
    ph_buf_put_qualified(&qualified, rel->schema, rel->name);
    ph_buf_putc(&qualified, '.');
    for (const char *found = text; trial->from.len > 0 && found != NULL; at = found) {
        found = strstr(at, ph_buf_text(&qualified));
        if (found == NULL)
            break;
        ph_buf_append(sql, at, (size_t)(found - at));
        ph_buf_put_ident(sql, rel->name);
        ph_buf_putc(sql, '.');
        found += qualified.len;
    }
    ph_buf_puts(sql, at);
    ph_buf_free(&qualified);
}

static void
put_source(const struct trial *trial, const char *cast, struct ph_buf *sql)
{
    const struct ph_table_plan *table = trial->table;
    bool is_file = trial->from.len > 0;

    ph_buf_puts(sql, "SELECT ");
    for (uint32_t i = 0; i < table->n_inputs; i++) {
        ph_buf_puts(sql, i == 0 ? "" : ", ");
        put_sql(trial, table->inputs[i], sql);
        ph_buf_puts(sql, cast);
    }
    ph_buf_puts(sql,
                is_file || table->source->kind == PH_REL_PARTITIONED ? " FROM " : " FROM ONLY ");
    if (is_file)
        ph_buf_append(sql, trial->from.data, trial->from.len);
    else
        ph_buf_put_qualified(sql, table->source->schema, table->source->name);
    put_sql(trial, table->join != NULL ? table->join : "", sql);
    ph_buf_putc(sql, ' ');
    put_sql(trial, table->where[PH_SOURCE] != NULL ? table->where[PH_SOURCE] : "", sql);
    if (!is_file)
        ph_buf_printf(sql, " LIMIT %u", trial->job->options->rows);
}

static ph_code
read_binary(struct trial *trial, const char *sql)
{
    struct ph_conn *conn = trial->job->source_control;
    size_t len = 1;

    PH_TRY(ph_conn_copy_out_begin(conn, sql, trial->err));
    while (len > 0) {
        if (!ph_buf_reserve(&trial->rows, BYTES_LIMIT / 64))
            return PH_FAIL(trial->err, PH_E_MEMORY, "the rows are too large to be shown");
        PH_TRY(ph_conn_copy_out_read(conn, trial->rows.data + trial->rows.len,
                                     trial->rows.cap - trial->rows.len, &len, trial->err));
        trial->rows.len += len;
    }
    return PH_OK;
}

/*
 * To the end of the transaction: a copy's sessions have the database's encoding, so that rules see
 * the bytes that it has; what is printed is UTF-8.
 */
static ph_code
use_encoding(struct trial *trial, struct ph_conn *conn, const char *encoding)
{
    char sql[100];

    snprintf(sql, sizeof sql, "SET LOCAL client_encoding = '%s'", encoding);
    return ph_conn_exec(conn, sql, trial->err);
}

/* Twice the same rows: one snapshot, and no scan that begins where another is. */
static ph_code
read_rows(struct trial *trial)
{
    struct ph_conn *conn = trial->job->source_control;
    struct ph_buf sql;

    PH_TRY(ph_conn_exec(conn,
                        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                        " SET LOCAL synchronize_seqscans = off",
                        trial->err));
    ph_buf_init(&sql, SQL_LIMIT);
    put_source(trial, "::text", &sql);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_query(conn, ph_buf_text(&sql), 0, NULL, &trial->before, trial->err)
                     : PH_FAIL(trial->err, PH_E_MEMORY, "out of memory");
    ph_buf_clear(&sql);
    ph_buf_puts(&sql, "COPY (");
    put_source(trial, "", &sql);
    ph_buf_puts(&sql, ") TO STDOUT (FORMAT binary)");
    if (rc == PH_OK)
        rc = use_encoding(trial, conn, trial->job->source_catalog.encoding);
    if (rc == PH_OK)
        rc = ph_buf_ok(&sql) ? read_binary(trial, ph_buf_text(&sql))
                             : PH_FAIL(trial->err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

/* ---- the rules ---- */

static ph_code
run_row(struct trial *trial, struct ph_span tuple, uint32_t row)
{
    struct ph_copy_shape shape = {.n_fields = trial->table->n_columns,
                                  .max_row_bytes = BYTES_LIMIT};
    struct ph_batch batch;
    ph_code rc;

    if (!ph_batch_init(&batch, tuple.len))
        return PH_FAIL(trial->err, PH_E_MEMORY, "out of memory");
    memcpy(batch.data, tuple.data, tuple.len);
    batch.len = tuple.len;
    struct ph_span made = {batch.data, batch.len};
    rc = ph_rule_stage_run(&trial->stage, &trial->task, &batch, &made, trial->err);
    if (rc == PH_OK)
        ph_buf_append(&trial->made, made.data, made.len);
    while (rc == PH_OK && made.len > 0) {
        struct ph_copy_row walked;
        rc = ph_copy_binary_next(&shape, made, NULL, &walked, trial->err);
        made = (struct ph_span){made.data + walked.raw.len, made.len - walked.raw.len};
        trial->counts[row]++;
    }
    ph_batch_free(&batch);
    return rc;
}

static ph_code
run_rows(struct trial *trial)
{
    struct ph_copy_shape shape = {.n_fields = trial->table->n_inputs, .max_row_bytes = BYTES_LIMIT};
    struct ph_span rest = {trial->rows.data, trial->rows.len};
    struct ph_copy_row row;
    size_t header;

    PH_TRY(ph_copy_binary_header(rest, &header, trial->err));
    rest = (struct ph_span){rest.data + header, rest.len - header};
    ph_copy_binary_put_header(&trial->made);
    for (uint32_t i = 0; i < (uint32_t)ph_result_rows(trial->before); i++) {
        PH_TRY(ph_copy_binary_next(&shape, rest, NULL, &row, trial->err));
        if (row.item != PH_COPY_ROW)
            return PH_FAIL(trial->err, PH_E_PROTOCOL, "fewer rows came than a moment before");
        PH_TRY(run_row(trial, row.raw, i));
        rest = (struct ph_span){rest.data + row.raw.len, rest.len - row.raw.len};
    }
    ph_copy_binary_put_trailer(&trial->made);
    return ph_buf_ok(&trial->made) ? PH_OK : PH_FAIL(trial->err, PH_E_MEMORY, "out of memory");
}

/* ---- what the target makes of it ---- */

static void
put_target_columns(const struct trial *trial, const char *cast, struct ph_buf *sql)
{
    for (uint32_t i = 0; i < trial->table->n_columns; i++) {
        ph_buf_puts(sql, i == 0 ? "" : ", ");
        ph_buf_put_ident(sql, trial->table->columns[i].target_name);
        ph_buf_puts(sql, cast);
    }
}

static ph_code
load(struct trial *trial, struct ph_buf *sql)
{
    struct ph_conn *conn = trial->job->target_control;
    uint64_t rows;

    ph_buf_puts(sql, "CREATE TEMP TABLE pghaul_rules_test (");
    for (uint32_t i = 0; i < trial->table->n_columns; i++) {
        ph_buf_puts(sql, i == 0 ? "" : ", ");
        ph_buf_put_ident(sql, trial->table->columns[i].target_name);
        ph_buf_printf(sql, " %s", trial->table->columns[i].target->type_text);
    }
    ph_buf_puts(sql, ") ON COMMIT DROP");
    PH_TRY(ph_conn_exec(conn, ph_buf_text(sql), trial->err));
    ph_buf_clear(sql);
    PH_TRY(use_encoding(trial, conn, trial->job->source_catalog.encoding));
    PH_TRY(ph_conn_copy_in_begin(conn, "COPY pg_temp.pghaul_rules_test FROM STDIN (FORMAT binary)",
                                 trial->err));
    ph_code rc = ph_conn_copy_in_write(conn, trial->made.data, trial->made.len, trial->err);
    if (rc != PH_OK) {
        ph_conn_copy_in_abort(conn, "pghaul gave up");
        return rc;
    }
    PH_TRY(ph_conn_copy_in_end(conn, &rows, trial->err));
    return use_encoding(trial, conn, "UTF8");
}

static ph_code
store(struct trial *trial, struct ph_result **after)
{
    struct ph_conn *conn = trial->job->target_control;
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    PH_TRY(ph_conn_exec(conn, "BEGIN", trial->err));
    ph_code rc = load(trial, &sql);
    ph_buf_clear(&sql);
    ph_buf_puts(&sql, "SELECT ");
    put_target_columns(trial, "::text", &sql);
    ph_buf_puts(&sql, " FROM pg_temp.pghaul_rules_test ORDER BY ctid");
    if (rc != PH_OK && !trial->job->options->data_only)
        ph_error_hint(trial->err,
                      "types that the target does not have yet are made by `pghaul copy "
                      "--schema-only`");
    if (rc == PH_OK)
        rc = ph_buf_ok(&sql) ? ph_conn_query(conn, ph_buf_text(&sql), 0, NULL, after, trial->err)
                             : PH_FAIL(trial->err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

/* ---- printing ---- */

static void
put_values(struct trial *trial, const struct ph_result *r, int row, const char *const *names,
           uint32_t n, const char *indent)
{
    for (uint32_t i = 0; i < n; i++) {
        bool is_null = ph_result_is_null(r, row, (int)i);
        ph_buf_printf(trial->out, "%s%-24s %.200s\n", indent, names[i],
                      is_null ? "NULL" : ph_result_text(r, row, (int)i));
    }
}

/* Rows of a file are all told of. */
static void
put_left_out(struct trial *trial)
{
    uint32_t n = (uint32_t)ph_result_rows(trial->before);

    if (n < trial->n_from)
        ph_buf_printf(trial->out, "  %u of them do not meet what the rules say of rows\n",
                      trial->n_from - n);
}

static ph_code
print(struct trial *trial, const struct ph_result *after)
{
    const struct ph_table_plan *table = trial->table;
    const char **names = calloc((size_t)table->n_columns + 1, sizeof *names);
    int made = 0;

    if (names == NULL)
        return PH_FAIL(trial->err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < table->n_columns; i++)
        names[i] = table->columns[i].target_name;
    put_left_out(trial);
    for (int row = 0; row < ph_result_rows(trial->before); row++) {
        ph_buf_puts(trial->out, "  before\n");
        put_values(trial, trial->before, row, table->inputs, table->n_inputs, "    ");
        if (trial->counts[row] == 0)
            ph_buf_puts(trial->out, "  after: no row\n");
        for (uint32_t i = 0; i < trial->counts[row]; i++) {
            ph_buf_puts(trial->out, "  after\n");
            put_values(trial, after, made++, names, table->n_columns, "    ");
        }
    }
    free(names);
    return PH_OK;
}

static ph_code
try_table(struct trial *trial)
{
    struct ph_result *after = NULL;

    PH_TRY(read_rows(trial));
    trial->counts = calloc((size_t)ph_result_rows(trial->before) + 1, sizeof *trial->counts);
    if (trial->counts == NULL)
        return PH_FAIL(trial->err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_rule_stage_open(&trial->stage, &trial->task, trial->err));
    PH_TRY(run_rows(trial));
    PH_TRY(store(trial, &after));
    ph_code rc = print(trial, after);
    ph_result_free(after);
    return rc;
}

/* ---- files ---- */

/* "TABLE=FILE": the file, when the table is that one. */
static const char *
file_of(const char *entry, const struct ph_rel *rel)
{
    size_t schema_len = strlen(rel->schema);
    size_t name_len = strlen(rel->name);

    if (strncmp(entry, rel->schema, schema_len) == 0 && entry[schema_len] == '.')
        entry += schema_len + 1;
    else if (strcmp(rel->schema, "public") != 0)
        return NULL;
    return strncmp(entry, rel->name, name_len) == 0 && entry[name_len] == '=' ? entry + name_len + 1
                                                                              : NULL;
}

static const char *
find_file(const struct ph_job *job, const struct ph_rel *rel)
{
    const struct ph_string_list *files = &job->options->rows_files;
    const char *found = NULL;

    for (uint32_t i = 0; found == NULL && i < files->n; i++)
        found = file_of(files->items[i], rel);
    return found;
}

static ph_code
check_files(const struct ph_job *job, struct ph_error *err)
{
    const struct ph_string_list *files = &job->options->rows_files;

    for (uint32_t i = 0; i < files->n; i++) {
        bool is_known = false;
        for (uint32_t t = 0; t < job->plan.n_tables; t++)
            is_known |= job->plan.tables[t].route != NULL &&
                        file_of(files->items[i], job->plan.tables[t].source) != NULL;
        if (!is_known) {
            PH_FAIL(err, PH_E_USAGE,
                    "--rows-file: expected TABLE=FILE with a source table that has rules");
            ph_error_object(err, "%s", files->items[i]);
            return PH_E_USAGE;
        }
    }
    return PH_OK;
}

static ph_code
take_file(struct trial *trial, const char *path)
{
    if (trial->table->join != NULL)
        return PH_FAIL(trial->err, PH_E_USAGE,
                       "--rows-file: rows are numbered among those of the source, which a file's "
                       "are not of");
    PH_TRY(ph_rules_put_file(path, trial->table->source, &trial->from, &trial->n_from, trial->err));
    ph_buf_printf(trial->out, "  %u rows of %s\n", trial->n_from, path);
    return PH_OK;
}

static ph_code
show_table(struct ph_job *job, const struct ph_table_plan *table, struct ph_buf *out,
           struct ph_error *err)
{
    struct trial trial = {.job = job, .table = table, .out = out, .err = err};
    const char *path = find_file(job, table->source);

    if (path == NULL && job->options->rows_files.n > 0)
        return PH_OK;
    ph_buf_printf(out, "%s%s\n", out->len > 0 ? "\n" : "", table->route_name);
    if (table->inputs == NULL) {
        ph_buf_puts(out, "  no values change: columns are only renamed, left out or filtered\n");
        return PH_OK;
    }
    trial.task = (struct ph_task){.table = table, .side = PH_SOURCE};
    ph_buf_init(&trial.from, BYTES_LIMIT);
    ph_buf_init(&trial.rows, BYTES_LIMIT);
    ph_buf_init(&trial.made, BYTES_LIMIT);
    ph_rule_stage_init(&trial.stage, BYTES_LIMIT / 64, BYTES_LIMIT);
    trial.stage.all_are_new = true;
    ph_code rc = path != NULL ? take_file(&trial, path) : PH_OK;
    if (rc == PH_OK)
        rc = try_table(&trial);
    if (rc != PH_OK && path != NULL)
        ph_error_note(err, "rows of %s", path);
    if (rc != PH_OK)
        ph_error_note(err, "%s", table->route_name);
    ph_rule_stage_free(&trial.stage);
    ph_task_end(&trial.task);
    ph_result_free(trial.before);
    ph_buf_free(&trial.from);
    ph_buf_free(&trial.rows);
    ph_buf_free(&trial.made);
    free(trial.counts);
    return rc;
}

/* Of sessions that are opened from now on, for what rules look up. */
static ph_code
take_encodings(struct ph_job *job, struct ph_error *err)
{
    struct ph_endpoint *const endpoints[] = {&job->source, &job->target};

    for (int i = 0; i < 2; i++) {
        free(endpoints[i]->encoding);
        endpoints[i]->encoding = strdup(job->source_catalog.encoding);
        if (endpoints[i]->encoding == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    return PH_OK;
}

ph_code
ph_rules_test(struct ph_job *job, struct ph_buf *out, struct ph_error *err)
{
    PH_TRY(take_encodings(job, err));
    PH_TRY(ph_copy_make_plan(job, err));
    PH_TRY(check_files(job, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].route != NULL)
            PH_TRY(show_table(job, &job->plan.tables[i], out, err));
    }
    return PH_OK;
}
