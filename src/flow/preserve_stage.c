#include "flow/preserve_stage.h"

#include <stdlib.h>

#include "pg/ledger_preserved.h"
#include "pg/snapshot.h"
#include "rules/ruleset.h"

#define ROWS_AT_ONCE 1000u
#define KEYS_LIMIT ((size_t)1 << 30) /* the protocol's */
#define SQL_LIMIT ((size_t)1 << 20)
#define FIELD_HEADER 4u
#define TUPLE_HEADER 2u
#define ARRAY_HEADER 20u /* dimensions, whether there are NULLs, type, length, lower bound */

void
ph_preserve_stage_init(struct ph_preserve_stage *stage, size_t batch_bytes, size_t max_row_bytes)
{
    *stage = (struct ph_preserve_stage){.max_row_bytes = max_row_bytes,
                                        .enough_bytes = batch_bytes / 4 * 3};
    ph_buf_init(&stage->sql, SQL_LIMIT);
}

static void
forget_table(struct ph_preserve_stage *stage)
{
    for (uint32_t k = 0; stage->keys != NULL && k < stage->n_keys; k++)
        ph_buf_free(&stage->keys[k]);
    free(stage->keys);
    free(stage->has_null);
    free(stage->types);
    free(stage->fields);
    stage->keys = NULL;
    stage->has_null = NULL;
    stage->types = NULL;
    stage->fields = NULL;
    stage->n_keys = 0;
    stage->table = NULL;
    stage->rest = (struct ph_span){0};
    stage->asked_until = NULL;
    ph_result_free(stage->kept);
    stage->kept = NULL;
}

void
ph_preserve_stage_free(struct ph_preserve_stage *stage)
{
    forget_table(stage);
    ph_conn_free(stage->conn);
    ph_buf_free(&stage->sql);
    free(stage->out);
    *stage = (struct ph_preserve_stage){0};
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for preserved values");
}

/* ---- the question ---- */

static const struct ph_column *
key_column(const struct ph_preserve_stage *stage, uint32_t k)
{
    return stage->table->columns[stage->table->preserved->key[k]].target;
}

/* The relation `k` of the question: what was set aside, or the same of the table itself. */
static void
put_relation(struct ph_preserve_stage *stage, const struct ph_preserving *preserving)
{
    struct ph_buf *sql = &stage->sql;

    if (preserving->job == NULL) {
        ph_buf_putc(sql, '(');
        ph_preserved_put_select(stage->table, sql);
        ph_buf_puts(sql, ") k");
        return;
    }
    char name[PH_PRESERVED_NAME];
    ph_preserved_name(preserving->job, stage->table->target, name);
    ph_buf_puts(sql, "pghaul.");
    ph_buf_put_ident(sql, name);
    ph_buf_puts(sql, " k");
}

/* SELECT number of the row, whether it stays whole, its values … in the order of the numbers */
static void
put_question(struct ph_preserve_stage *stage, const struct ph_preserving *preserving)
{
    struct ph_buf *sql = &stage->sql;

    ph_buf_clear(sql);
    ph_buf_puts(sql, "SELECT u.o::pg_catalog.int4, k.whole");
    for (uint32_t i = 0; i < stage->table->preserved->n_columns; i++)
        ph_buf_printf(sql, ", k.c%u", i);
    ph_buf_puts(sql, " FROM ROWS FROM (");
    for (uint32_t k = 0; k < stage->n_keys; k++)
        ph_buf_printf(sql, "%spg_catalog.unnest($%u)", k > 0 ? ", " : "", k + 1);
    ph_buf_puts(sql, ") WITH ORDINALITY AS u (");
    for (uint32_t k = 0; k < stage->n_keys; k++)
        ph_buf_printf(sql, "k%u, ", k);
    ph_buf_puts(sql, "o) JOIN ");
    put_relation(stage, preserving);
    for (uint32_t k = 0; k < stage->n_keys; k++) {
        ph_buf_printf(sql, " %s k.k%u ", k > 0 ? "AND" : "ON", k);
        ph_buf_puts(sql, stage->table->preserved->equals[k]);
        ph_buf_printf(sql, " u.k%u", k);
    }
    ph_buf_puts(sql, " ORDER BY 1");
}

static ph_code
connect(struct ph_preserve_stage *stage, const struct ph_preserving *preserving,
        struct ph_error *err)
{
    /* an answer of which nobody wants the rest is left with its session */
    if (stage->conn != NULL && !stage->is_answering && ph_conn_is_alive(stage->conn))
        return PH_OK;
    ph_conn_free(stage->conn);
    stage->conn = NULL;
    stage->is_answering = false;
    PH_TRY(ph_conn_open(preserving->target, "preserved", &stage->conn, err));
    return preserving->job == NULL ? ph_snapshot_import(stage->conn, preserving->snapshot_id, err)
                                   : PH_OK;
}

ph_code
ph_preserve_stage_open(struct ph_preserve_stage *stage, const struct ph_table_plan *table,
                       struct ph_error *err)
{
    const struct ph_preserving *preserving = table->rules->preserving;
    uint32_t n = table->preserved->n_key;

    if (preserving == NULL)
        return PH_FAIL(err, PH_E_INTERNAL, "nobody has said where preserved values are");
    forget_table(stage);
    stage->table = table;
    stage->keys = calloc((size_t)n + 1, sizeof *stage->keys);
    stage->has_null = calloc((size_t)n + 1, sizeof *stage->has_null);
    stage->types = calloc((size_t)n + 1, sizeof *stage->types);
    stage->fields = calloc((size_t)table->n_columns + 1, sizeof *stage->fields);
    if (stage->keys == NULL || stage->has_null == NULL || stage->types == NULL ||
        stage->fields == NULL)
        return no_memory(err);
    stage->n_keys = n;
    for (uint32_t k = 0; k < n; k++) {
        ph_buf_init(&stage->keys[k], KEYS_LIMIT);
        const struct ph_type *type =
            ph_catalog_type(preserving->catalog, key_column(stage, k)->type_oid);
        if (type == NULL || type->array_oid == 0)
            return PH_FAIL(err, PH_E_INTERNAL, "a key column has no type that can be looked for");
        stage->types[k] = type->array_oid;
    }
    put_question(stage, preserving);
    if (!ph_buf_ok(&stage->sql))
        return no_memory(err);
    return connect(stage, preserving, err);
}

/* ---- tuples ---- */

/* *is_row false: the trailer. */
static ph_code
take_tuple(struct ph_preserve_stage *stage, struct ph_cursor *cursor, bool *is_row,
           struct ph_error *err)
{
    uint32_t n = stage->table->n_columns;
    struct ph_span bytes;
    int16_t n_fields;
    int32_t len;
    bool ok = ph_take_i16(cursor, &n_fields);

    *is_row = ok && n_fields >= 0;
    ok &= !*is_row || (uint32_t)n_fields == n;
    for (uint32_t i = 0; ok && *is_row && i < n; i++) {
        stage->fields[i] = cursor->at;
        ok = ph_take_i32(cursor, &len) && (len < 0 || ph_take_span(cursor, (size_t)len, &bytes));
    }
    stage->fields[n] = cursor->at;
    return ok ? PH_OK
              : PH_FAIL(err, PH_E_PROTOCOL, "a tuple of COPY BINARY does not hold what it says");
}

static void
put_key(struct ph_preserve_stage *stage, uint32_t k)
{
    uint32_t column = stage->table->preserved->key[k];
    const uint8_t *begin = stage->fields[column];
    struct ph_buf *key = &stage->keys[k];

    ph_buf_append(key, begin, (size_t)(stage->fields[column + 1] - begin));
    stage->has_null[k] |= (int32_t)ph_load_u32(begin) < 0;
}

/* The keys of the next rows, up to a thousand; the cursor stands behind them. */
static ph_code
gather(struct ph_preserve_stage *stage, struct ph_cursor *cursor, uint32_t *n, struct ph_error *err)
{
    static const uint8_t header[ARRAY_HEADER];

    *n = 0;
    for (uint32_t k = 0; k < stage->n_keys; k++) {
        ph_buf_clear(&stage->keys[k]);
        ph_buf_append(&stage->keys[k], header, sizeof header);
        stage->has_null[k] = false;
    }
    while (*n < ROWS_AT_ONCE && ph_cursor_left(cursor) > 0) {
        struct ph_cursor before = *cursor;
        bool is_row;
        PH_TRY(take_tuple(stage, cursor, &is_row, err));
        if (!is_row) {
            *cursor = before;
            return PH_OK;
        }
        for (uint32_t k = 0; k < stage->n_keys; k++)
            put_key(stage, k);
        (*n)++;
    }
    return PH_OK;
}

static ph_code
ask(struct ph_preserve_stage *stage, uint32_t n, struct ph_error *err)
{
    struct ph_span params[PH_PRESERVED_KEYS];

    if (stage->n_keys > PH_PRESERVED_KEYS)
        return PH_FAIL(err, PH_E_INTERNAL, "a key of %u columns", stage->n_keys);
    for (uint32_t k = 0; k < stage->n_keys; k++) {
        struct ph_buf *key = &stage->keys[k];
        if (!ph_buf_ok(key))
            return no_memory(err);
        ph_store_u32(key->data, 1);
        ph_store_u32(key->data + 4, stage->has_null[k]);
        ph_store_u32(key->data + 8, key_column(stage, k)->type_oid);
        ph_store_u32(key->data + 12, n);
        ph_store_u32(key->data + 16, 1);
        params[k] = (struct ph_span){key->data, key->len};
    }
    PH_TRY(ph_conn_rows_begin(stage->conn, ph_buf_text(&stage->sql), stage->n_keys, stage->types,
                              params, err));
    stage->is_answering = true;
    stage->row = 1;
    return PH_OK;
}

/* Into stage->kept; NULL is the end. */
static ph_code
next_kept(struct ph_preserve_stage *stage, struct ph_error *err)
{
    ph_result_free(stage->kept);
    stage->kept = NULL;
    if (!stage->is_answering)
        return PH_OK;
    ph_code rc = ph_conn_rows_next(stage->conn, &stage->kept, err);
    stage->is_answering = stage->kept != NULL;
    return rc;
}

static ph_code
end_answer(struct ph_preserve_stage *stage, struct ph_error *err)
{
    return stage->kept == NULL
               ? PH_OK
               : PH_FAIL(err, PH_E_INTERNAL, "the target has kept two rows of one key");
}

/* ---- bytes out ---- */

static ph_code
reserve(struct ph_preserve_stage *stage, size_t more, struct ph_error *err)
{
    size_t need = stage->len + more;

    if (more > stage->max_row_bytes)
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE,
                       "preserved values make a row of %zu bytes, more than --max-row", more);
    if (need <= stage->capacity)
        return PH_OK;
    if (need < stage->capacity + stage->capacity / 2)
        need = stage->capacity + stage->capacity / 2;
    uint8_t *larger = realloc(stage->out, need);
    if (larger == NULL)
        return no_memory(err);
    stage->out = larger;
    stage->capacity = need;
    return PH_OK;
}

static void
put(struct ph_preserve_stage *stage, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(stage->out + stage->len, bytes, len);
    stage->len += len;
}

static ph_code
put_as_it_is(struct ph_preserve_stage *stage, const uint8_t *begin, const uint8_t *end,
             struct ph_error *err)
{
    PH_TRY(reserve(stage, (size_t)(end - begin), err));
    put(stage, begin, (size_t)(end - begin));
    return PH_OK;
}

/* The fields between two preserved columns in one piece. */
static ph_code
put_mixed(struct ph_preserve_stage *stage, const uint8_t *begin, struct ph_error *err)
{
    const struct ph_result *kept = stage->kept;
    const struct ph_preserved *preserved = stage->table->preserved;
    size_t need = (size_t)(stage->fields[stage->table->n_columns] - begin);

    for (uint32_t i = 0; i < preserved->n_columns; i++)
        need += FIELD_HEADER + ph_result_span(kept, 0, (int)i + 2).len;
    PH_TRY(reserve(stage, need, err));
    for (uint32_t i = 0; i < preserved->n_columns; i++) {
        const uint8_t *end = stage->fields[preserved->columns[i]];
        bool is_null = ph_result_is_null(kept, 0, (int)i + 2);
        struct ph_span value = ph_result_span(kept, 0, (int)i + 2);
        uint8_t len[FIELD_HEADER];
        put(stage, begin, (size_t)(end - begin));
        ph_store_u32(len, is_null ? (uint32_t)-1 : (uint32_t)value.len);
        put(stage, len, sizeof len);
        put(stage, value.data, is_null ? 0 : value.len);
        begin = stage->fields[preserved->columns[i] + 1];
    }
    put(stage, begin, (size_t)(stage->fields[stage->table->n_columns] - begin));
    return PH_OK;
}

/* One of the rows that were asked for, with what the target has kept of it. */
static ph_code
merge_row(struct ph_preserve_stage *stage, struct ph_cursor *cursor, struct ph_error *err)
{
    const uint8_t *begin = cursor->at;
    bool is_row;

    PH_TRY(take_tuple(stage, cursor, &is_row, err));
    uint32_t row = stage->row++;
    if (stage->kept == NULL || ph_load_u32(ph_result_span(stage->kept, 0, 0).data) != row)
        return put_as_it_is(stage, begin, cursor->at, err);
    if (ph_result_span(stage->kept, 0, 1).data[0] == 0)
        PH_TRY(put_mixed(stage, begin, err));
    else
        stage->left_out++;
    return next_kept(stage, err);
}

/* For the next rows, of which there are none before the trailer and at the end. */
static ph_code
ask_next(struct ph_preserve_stage *stage, struct ph_cursor cursor, uint32_t *n,
         struct ph_error *err)
{
    PH_TRY(end_answer(stage, err));
    PH_TRY(gather(stage, &cursor, n, err));
    stage->asked_until = cursor.at;
    if (*n == 0)
        return PH_OK;
    PH_TRY(ask(stage, *n, err));
    return next_kept(stage, err);
}

/* Until what is made is enough, or all of the rest. */
static ph_code
merge(struct ph_preserve_stage *stage, struct ph_error *err)
{
    struct ph_cursor cursor = {stage->rest.data, stage->rest.data + stage->rest.len};

    while (ph_cursor_left(&cursor) > 0 && stage->len < stage->enough_bytes) {
        uint32_t n = 1;
        if (cursor.at == stage->asked_until)
            PH_TRY(ask_next(stage, cursor, &n, err));
        if (n > 0) {
            PH_TRY(merge_row(stage, &cursor, err));
            continue;
        }
        PH_TRY(put_as_it_is(stage, cursor.at, cursor.end, err)); /* the trailer */
        cursor.at = cursor.end;
    }
    stage->rest = (struct ph_span){cursor.at, ph_cursor_left(&cursor)};
    return stage->rest.len > 0 ? PH_OK : end_answer(stage, err);
}

ph_code
ph_preserve_stage_go_on(struct ph_preserve_stage *stage, struct ph_error *err)
{
    stage->len = 0;
    stage->left_out = 0;
    return merge(stage, err);
}

ph_code
ph_preserve_stage_run(struct ph_preserve_stage *stage, struct ph_span bytes, size_t prefix,
                      struct ph_error *err)
{
    stage->len = 0;
    stage->left_out = 0;
    stage->rest = (struct ph_span){bytes.data + prefix, bytes.len - prefix};
    stage->asked_until = stage->rest.data;
    PH_TRY(put_as_it_is(stage, bytes.data, stage->rest.data, err));
    return merge(stage, err);
}
