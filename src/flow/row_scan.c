/*
 * The rows are asked for with two more fields at their end, tableoid and ctid, in a query instead
 * of COPY's table form. The end is cut off again before a row is hashed, so its image is the
 * copy's own.
 */
#include "flow/row_scan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "flow/copy_window.h"
#include "flow/row_shape.h"
#include "flow/rule_stage.h"
#include "wire/copy_binary.h"
#include "wire/copy_text.h"
#include "wire/oid_remap.h"

#define SQL_LIMIT ((size_t)4 << 20)
#define PLACE_FIELDS 2u
#define BINARY_PLACE_SIZE 18u /* length and 4 bytes of oid, length and 6 bytes of tid */

struct scan {
    const struct ph_row_scan_params *params;
    ph_row_visit *visit;
    void *arg;
    struct ph_copy_window window;
    struct ph_copy_binary_walk walk; /* its shape has the two fields of the place; text's too */
    struct ph_row_shape rows;        /* without: the copy's */
    struct ph_span *fields;          /* n_columns and the place's */
    bool has_rules;                  /* rows of the source go through them first */
    struct ph_rule_stage rules;
    struct ph_task task;   /* that the rules are run for */
    struct ph_batch batch; /* of one row */
};

void
ph_row_place_text(struct ph_row_place place, char out[PH_ROW_PLACE_SIZE])
{
    snprintf(out, PH_ROW_PLACE_SIZE, "(%u,%u)", place.block, place.offset);
}

void
ph_row_scan_put_from(const struct ph_table_plan *table, enum ph_side side, struct ph_buf *out)
{
    const struct ph_rel *rel = side == PH_SOURCE ? table->source : table->target;

    if (rel->kind != PH_REL_PARTITIONED)
        ph_buf_puts(out, "ONLY ");
    ph_buf_put_qualified(out, rel->schema, rel->name);
}

static bool
reads_inputs(const struct ph_row_scan_params *params)
{
    return params->side == PH_SOURCE && params->table->inputs != NULL;
}

static bool
has_join(const struct ph_row_scan_params *params)
{
    return reads_inputs(params) && params->table->join != NULL;
}

/* Beside a join a system column is found by its table's name only. */
static void
put_system_column(const struct ph_row_scan_params *params, const char *column, struct ph_buf *sql)
{
    if (has_join(params)) {
        ph_buf_put_qualified(sql, params->table->source->schema, params->table->source->name);
        ph_buf_putc(sql, '.');
    }
    ph_buf_puts(sql, column);
}

static void
put_condition(const struct ph_row_scan_params *params, struct ph_buf *sql)
{
    char tid[PH_ROW_PLACE_SIZE];

    if (params->place != NULL) {
        ph_row_place_text(*params->place, tid);
        if (params->table->route != NULL && params->table->where[params->side] != NULL)
            ph_buf_printf(sql, " %s AND ", params->table->where[params->side]);
        else
            ph_buf_puts(sql, " WHERE ");
        put_system_column(params, "tableoid", sql);
        ph_buf_printf(sql, " = %u AND ", params->place->relid);
        put_system_column(params, "ctid", sql);
        ph_buf_printf(sql, " = '%s'", tid);
    } else if (params->table->where[params->side] != NULL) {
        ph_buf_printf(sql, " %s", params->table->where[params->side]);
    } else if (params->range != NULL && (params->range->lo != NULL || params->range->hi != NULL)) {
        const struct ph_plan_column *column = &params->table->columns[params->table->key_fields[0]];
        ph_buf_puts(sql, " WHERE ");
        ph_plan_put_key_range(params->side == PH_SOURCE ? column->source_name : column->target_name,
                              params->range, sql);
    }
}

static void
put_query(const struct ph_row_scan_params *params, struct ph_buf *sql)
{
    const struct ph_table_plan *table = params->table;

    ph_buf_puts(sql, "COPY (SELECT ");
    for (uint32_t i = 0; reads_inputs(params) && i < table->n_inputs; i++)
        ph_buf_printf(sql, "%s, ", table->inputs[i]);
    for (uint32_t i = 0; !reads_inputs(params) && i < table->n_columns; i++) {
        ph_buf_put_ident(sql, params->side == PH_SOURCE ? table->columns[i].source_name
                                                        : table->columns[i].target_name);
        ph_buf_puts(sql, ", ");
    }
    put_system_column(params, "tableoid", sql);
    ph_buf_puts(sql, ", ");
    put_system_column(params, "ctid", sql);
    ph_buf_puts(sql, " FROM ");
    ph_row_scan_put_from(table, params->side, sql);
    if (has_join(params))
        ph_buf_puts(sql, table->join);
    put_condition(params, sql);
    ph_buf_puts(sql, ") TO STDOUT");
    if (table->format == PH_FORMAT_BINARY)
        ph_buf_puts(sql, " (FORMAT binary)");
}

static ph_code
bad_place(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_PROTOCOL, "a row came without its tableoid and ctid");
}

/* ---- binary ---- */

static ph_code
visit_rows(struct scan *scan, struct ph_span rows, struct ph_scanned_row *out, struct ph_error *err)
{
    struct ph_copy_row row;

    while (rows.len > 0) {
        PH_TRY(ph_copy_binary_next(&scan->rows.shape, rows, scan->fields, &row, err));
        if (row.item != PH_COPY_ROW)
            return bad_place(err);
        rows = (struct ph_span){rows.data + row.raw.len, rows.len - row.raw.len};
        out->key_hash = row.key_hash;
        out->hash = row.hash;
        PH_TRY(scan->visit(scan->arg, out, err));
    }
    return PH_OK;
}

/* All that a row of the source becomes, each with that row's place. */
static ph_code
visit_made(struct scan *scan, struct ph_span tuple, struct ph_scanned_row *out,
           struct ph_error *err)
{
    if (scan->batch.capacity < tuple.len && !ph_batch_grow(&scan->batch, tuple.len))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a row of %zu bytes", tuple.len);
    memcpy(scan->batch.data, tuple.data, tuple.len);
    scan->batch.len = tuple.len;
    do {
        struct ph_span rows = {scan->batch.data, scan->batch.len};
        PH_TRY(ph_rule_stage_run(&scan->rules, &scan->task, &scan->batch, &rows, err));
        PH_TRY(visit_rows(scan, rows, out, err));
        scan->batch.len = 0;
    } while (scan->batch.has_more);
    return PH_OK;
}

static ph_code
visit_binary(void *arg, const struct ph_copy_row *whole, struct ph_error *err)
{
    struct scan *scan = arg;
    const struct ph_table_plan *table = scan->params->table;
    uint32_t n = scan->has_rules ? table->n_inputs : table->n_columns;
    struct ph_span oid = scan->fields[n];
    struct ph_span tid = scan->fields[n + 1];
    struct ph_copy_row row;

    if (oid.data == NULL || oid.len != 4 || tid.data == NULL || tid.len != 6)
        return bad_place(err);
    struct ph_scanned_row out = {
        .place = {.relid = ph_load_u32(oid.data),
                  .block = ph_load_u32(tid.data),
                  .offset = ph_load_u16(tid.data + 4)},
        .fields = scan->fields,
    };
    uint8_t *tuple = scan->window.bytes + (whole->raw.data - scan->window.bytes);
    size_t len = whole->raw.len - BINARY_PLACE_SIZE;
    ph_store_u16(tuple, (uint16_t)n);
    if (scan->has_rules)
        return visit_made(scan, (struct ph_span){tuple, len}, &out, err);
    if (table->remap != NULL && scan->params->side == PH_SOURCE)
        PH_TRY(ph_oid_remap_apply(table->remap, tuple, len, err));
    PH_TRY(ph_copy_binary_next(&scan->rows.shape, (struct ph_span){tuple, len}, scan->fields, &row,
                               err));
    out.key_hash = row.key_hash;
    out.hash = row.hash;
    return scan->visit(scan->arg, &out, err);
}

/* ---- text ---- */

static bool
take_number(const uint8_t **at, const uint8_t *end, uint32_t *out)
{
    uint64_t value = 0;
    const uint8_t *start = *at;

    while (*at < end && **at >= '0' && **at <= '9' && value <= UINT32_MAX)
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    *out = (uint32_t)value;
    return *at > start && value <= UINT32_MAX;
}

static bool
take_byte(const uint8_t **at, const uint8_t *end, uint8_t byte)
{
    if (*at >= end || **at != byte)
        return false;
    (*at)++;
    return true;
}

/* `at`: "16384\t(12,3)\n" */
static bool
parse_text_place(const uint8_t *at, const uint8_t *end, struct ph_row_place *out)
{
    uint32_t offset;

    if (!take_number(&at, end, &out->relid) || !take_byte(&at, end, '\t') ||
        !take_byte(&at, end, '(') || !take_number(&at, end, &out->block) ||
        !take_byte(&at, end, ',') || !take_number(&at, end, &offset) || !take_byte(&at, end, ')') ||
        !take_byte(&at, end, '\n') || offset > UINT16_MAX)
        return false;
    out->offset = (uint16_t)offset;
    return at == end;
}

/* `raw` ends "…\t16384\t(12,3)\n": the tab before the place becomes the row's newline. */
static ph_code
visit_text(struct scan *scan, struct ph_span raw, struct ph_error *err)
{
    uint8_t *line = scan->window.bytes + (raw.data - scan->window.bytes);
    size_t at = raw.len;
    uint32_t tabs = scan->params->table->n_columns > 0 ? PLACE_FIELDS : 1;
    struct ph_copy_row row;
    struct ph_scanned_row out = {.fields = scan->fields};

    while (at > 0 && tabs > 0)
        tabs -= line[--at] == '\t';
    if (scan->params->table->n_columns == 0)
        at = 0;
    else if (tabs > 0)
        return bad_place(err);
    if (!parse_text_place(line + at + (scan->params->table->n_columns > 0), line + raw.len,
                          &out.place))
        return bad_place(err);
    line[at] = '\n';
    PH_TRY(ph_copy_text_next(&scan->rows.shape, (struct ph_span){line, at + 1}, scan->fields, &row,
                             err));
    if (row.item != PH_COPY_ROW)
        return bad_place(err);
    out.key_hash = row.key_hash;
    out.hash = row.hash;
    return scan->visit(scan->arg, &out, err);
}

static ph_code
walk_text(struct scan *scan, struct ph_span bytes, size_t *consumed, struct ph_error *err)
{
    struct ph_copy_row row;

    for (*consumed = 0;;) {
        struct ph_span rest = {bytes.data + *consumed, bytes.len - *consumed};
        PH_TRY(ph_copy_text_next(&scan->walk.shape, rest, NULL, &row, err));
        if (row.item == PH_COPY_MORE)
            return PH_OK;
        *consumed += row.raw.len;
        PH_TRY(visit_text(scan, row.raw, err));
    }
}

/* ---- reading ---- */

static ph_code
scan_rows(struct scan *scan, struct ph_error *err)
{
    bool is_binary = scan->params->table->format == PH_FORMAT_BINARY;

    for (;;) {
        struct ph_span bytes;
        size_t len;
        size_t consumed;
        PH_TRY(ph_copy_window_read(&scan->window, &bytes, &len, err));
        if (len == 0)
            break;
        PH_TRY(is_binary ? ph_copy_binary_walk(&scan->walk, bytes, &consumed, err)
                         : walk_text(scan, bytes, &consumed, err));
        ph_copy_window_keep(&scan->window, bytes, consumed);
    }
    if (scan->window.kept > 0 || (is_binary && !scan->walk.has_ended))
        return PH_FAIL(err, PH_E_PROTOCOL, "the COPY stopped inside a row");
    return PH_OK;
}

static void
init_shapes(struct scan *scan)
{
    const struct ph_table_plan *table = scan->params->table;
    struct ph_copy_shape *whole = &scan->walk.shape;

    ph_row_shape_init(&scan->rows, table, scan->params->max_row_bytes);
    *whole = scan->rows.shape;
    whole->n_key_fields = 0; /* its hash is not looked at */
    if (scan->has_rules)
        whole->n_fields = table->n_inputs;
    whole->n_fields += PLACE_FIELDS;
    whole->max_row_bytes += 64;
}

ph_code
ph_row_scan(const struct ph_row_scan_params *params, ph_row_visit *visit, void *arg,
            struct ph_error *err)
{
    struct scan scan = {.params = params, .visit = visit, .arg = arg};
    struct ph_buf sql;
    ph_code rc;

    scan.task = (struct ph_task){.table = params->table, .side = params->side};
    scan.has_rules = reads_inputs(params);
    scan.walk.visit = visit_binary;
    scan.walk.arg = &scan;
    init_shapes(&scan);
    ph_buf_init(&sql, SQL_LIMIT);
    put_query(params, &sql);
    size_t n_fields = scan.rows.shape.n_fields + (size_t)scan.walk.shape.n_fields;
    scan.fields = calloc(n_fields, sizeof *scan.fields);
    if (!ph_buf_ok(&sql) || scan.fields == NULL)
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    else
        rc = ph_copy_window_open(&scan.window, params->conn, params->max_row_bytes, err);
    scan.walk.fields = scan.fields;
    ph_rule_stage_init(&scan.rules, PH_COPY_WINDOW_BYTES, params->max_row_bytes);
    if (rc == PH_OK && scan.has_rules)
        rc = ph_rule_stage_open(&scan.rules, &scan.task, err);
    if (rc == PH_OK)
        rc = ph_conn_copy_out_begin(params->conn, ph_buf_text(&sql), err);
    if (rc == PH_OK)
        rc = scan_rows(&scan, err);
    if (rc != PH_OK) {
        const struct ph_rel *rel =
            params->side == PH_SOURCE ? params->table->source : params->table->target;
        ph_error_note(err, "reading the rows of %s.%s on the %s", rel->schema, rel->name,
                      ph_side_name(params->side));
    }
    ph_rule_stage_free(&scan.rules);
    ph_task_end(&scan.task);
    ph_batch_free(&scan.batch);
    free(scan.fields);
    ph_copy_window_free(&scan.window);
    ph_buf_free(&sql);
    return rc;
}
