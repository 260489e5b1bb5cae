/*
 * Filling one statement: rows are walked once, every field goes behind the others of its column.
 *
 * Parameter arrays, as array_recv takes them: dimensions (1), whether there are NULLs, the
 * element's type, number of elements, lower bound (1), then the elements as tuples have them.
 */
#include "apply/statement.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "apply/statement_parts.h"
#include "wire/copy_binary.h"
#include "wire/copy_text.h"

#define ARRAY_HEADER 20u
#define INT8_OID 20u
#define DEFAULT_ROWS 1000u
#define DEFAULT_BYTES ((size_t)1 << 20)
#define PARAM_LIMIT ((size_t)2 << 30)
#define SQL_LIMIT ((size_t)4 << 20)
#define MORE_PARAMS 2u /* numbers of copies and of images, when rows are deleted by their image */

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the statements of a group");
}

struct ph_apply_statements *
ph_apply_statements_new(const struct ph_apply_limits *limits)
{
    struct ph_apply_statements *st = calloc(1, sizeof *st);

    if (st == NULL)
        return NULL;
    st->limits = *limits;
    if (st->limits.rows == 0)
        st->limits.rows = DEFAULT_ROWS;
    if (st->limits.bytes == 0)
        st->limits.bytes = DEFAULT_BYTES;
    ph_buf_init(&st->sql, SQL_LIMIT);
    ph_buf_init(&st->data, PARAM_LIMIT);
    return st;
}

void
ph_apply_statements_free(struct ph_apply_statements *st)
{
    if (st == NULL)
        return;
    for (uint32_t i = 0; i < st->column_room; i++)
        ph_buf_free(&st->columns[i]);
    ph_buf_free(&st->sql);
    ph_buf_free(&st->data);
    free(st->columns);
    free(st->params);
    free(st->targets);
    free(st->has_null);
    free(st->stages);
    free(st->order);
    free(st->patterns);
    free(st);
}

void
ph_apply_statements_copy_from(struct ph_apply_statements *st, uint32_t rows)
{
    st->limits.copy_rows = rows;
}

static void
enter_stage(struct ph_apply_statements *st, size_t stage)
{
    st->at = stage;
    st->copies = 0;
    st->rows_sent = 0;
    if (stage < st->n_stages)
        st->entry = st->stages[stage].first;
}

ph_code
ph_apply_statements_begin(struct ph_apply_statements *st, struct ph_fold *fold,
                          struct ph_error *err)
{
    st->fold = fold;
    st->sql_stage = 0;
    st->n_stages = 0;
    PH_TRY(ph_stages_make(st, err));
    enter_stage(st, 0);
    return PH_OK;
}

/* Room for the parameters of a table; a move has its keys twice. */
static ph_code
grow_columns(struct ph_apply_statements *st, uint32_t n, struct ph_error *err)
{
    if (n <= st->column_room)
        return PH_OK;
    struct ph_buf *columns = realloc(st->columns, n * sizeof *columns);
    if (columns == NULL)
        return no_memory(err);
    st->columns = columns;
    struct ph_span *params = realloc(st->params, n * sizeof *params);
    if (params == NULL)
        return no_memory(err);
    st->params = params;
    struct ph_buf **targets = realloc(st->targets, n * sizeof *targets);
    if (targets == NULL)
        return no_memory(err);
    st->targets = targets;
    bool *has_null = realloc(st->has_null, n * sizeof *has_null);
    if (has_null == NULL)
        return no_memory(err);
    st->has_null = has_null;
    for (uint32_t i = st->column_room; i < n; i++)
        ph_buf_init(&st->columns[i], PARAM_LIMIT);
    st->column_room = n;
    return PH_OK;
}

/* A statement while its rows are gathered. */
struct filling {
    struct ph_apply_statements *st;
    const struct ph_stage *stage;
    const struct ph_apply_table *table;
    struct ph_fold_table *state;
    uint32_t n_params;
    uint32_t n_old;    /* of a move: parameters of the old key, or row */
    uint32_t n_fields; /* of each tuple that are walked */
    uint32_t n_rows;
    uint64_t expected;
    size_t bytes;
};

static bool
is_move(const struct filling *f)
{
    return f->stage->is_single && f->stage->kind == PH_APPLY_UPDATE &&
           f->state->entries[f->stage->first].key != NULL;
}

/* A large row has its room only for itself. */
static void
drop_large(struct ph_apply_statements *st)
{
    size_t room = 0;

    for (uint32_t i = 0; i < st->column_room; i++)
        room += st->columns[i].cap;
    for (uint32_t i = 0; room > 4 * st->limits.bytes && i < st->column_room; i++)
        ph_buf_free(&st->columns[i]);
}

static void
start_param(struct filling *f)
{
    static const uint8_t blank[ARRAY_HEADER] = {0};
    uint32_t i = f->n_params++;

    ph_buf_clear(&f->st->columns[i]);
    ph_buf_append(&f->st->columns[i], blank, sizeof blank);
    f->st->has_null[i] = false;
}

/* Which column goes into which parameter. */
static void
start_params(struct filling *f)
{
    struct ph_column_set set = ph_stages_set(f->st, PH_PATTERN_ALL);

    drop_large(f->st);
    f->n_fields = f->table->n_columns;
    if (f->stage->kind == PH_APPLY_UPDATE)
        set = ph_stages_set(f->st, f->stage->pattern);
    if (f->stage->kind == PH_APPLY_DELETE && f->table->n_keys > 0)
        f->n_fields = f->table->n_keys;
    if (is_move(f))
        f->n_old = f->table->n_keys > 0 ? f->table->n_keys : f->table->n_columns;
    for (uint32_t i = 0; i < f->n_old; i++)
        start_param(f);
    if (is_move(f) && f->table->n_keys == 0)
        start_param(f); /* that it is one row */
    for (uint32_t i = 0; i < f->n_fields; i++) {
        f->st->targets[i] = NULL;
        if (!ph_column_set_has(set, i))
            continue;
        f->st->targets[i] = &f->st->columns[f->n_params];
        start_param(f);
    }
}

static void
put_field(struct ph_buf *to, const uint8_t *field, size_t size)
{
    if (!ph_buf_reserve(to, size))
        return;
    memcpy(to->data + to->len, field, size);
    to->len += size;
}

static void
put_i64(struct ph_buf *to, int64_t value)
{
    uint8_t raw[12];

    ph_store_u32(raw, 8);
    ph_store_u64(raw + 4, (uint64_t)value);
    ph_buf_append(to, raw, sizeof raw);
}

static void
put_old_key(struct filling *f, const uint8_t *key)
{
    for (uint32_t i = 0; i < f->n_old; i++) {
        size_t size = ph_tuple_field_size(key);
        f->st->has_null[i] |= ph_load_u32(key) == PH_TUPLE_NULL;
        put_field(&f->st->columns[i], key, size);
        key += size;
    }
    if (f->table->n_keys == 0)
        put_i64(&f->st->columns[f->n_old], 1);
}

static void
put_row(struct filling *f, const uint8_t *tuple)
{
    for (uint32_t i = 0; i < f->n_fields; i++) {
        struct ph_buf *to = f->st->targets[i];
        size_t size = ph_tuple_field_size(tuple);
        if (to != NULL) {
            assert(ph_load_u32(tuple) != PH_TUPLE_UNCHANGED);
            if (ph_load_u32(tuple) == PH_TUPLE_NULL)
                f->st->has_null[to - f->st->columns] = true;
            put_field(to, tuple, size);
        }
        tuple += size;
    }
    f->n_rows++;
}

/* The key of an entry's row; for a single DELETE it is apart. */
static const uint8_t *
tuple_of(const struct filling *f, const struct ph_fold_entry *entry)
{
    return f->stage->is_single && entry->kind == PH_CHANGE_DELETE ? entry->key : entry->tuple;
}

/* One image to be deleted so many times. */
static void
put_counted(struct filling *f, const struct ph_fold_entry *entry)
{
    int64_t copies = ph_stages_copies(f->table, entry);

    put_i64(&f->st->columns[f->n_params - 2], copies);
    put_i64(&f->st->columns[f->n_params - 1], f->n_rows);
    put_row(f, tuple_of(f, entry));
    f->expected += (uint64_t)copies;
}

/* All that is left of an entry, or as much as has room. false: the statement is full. */
static bool
put_entry(struct filling *f, const struct ph_fold_entry *entry)
{
    struct ph_apply_statements *st = f->st;
    bool is_counted = f->table->n_keys == 0 && f->stage->kind == PH_APPLY_DELETE;
    int64_t copies = is_counted ? 1 : ph_stages_copies(f->table, entry);

    for (; st->copies < copies; st->copies++) {
        if (f->n_rows > 0 &&
            (f->n_rows >= st->limits.rows || f->bytes + entry->len > st->limits.bytes))
            return false;
        f->bytes += entry->len;
        if (is_counted) {
            put_counted(f, entry);
            continue;
        }
        if (f->n_old > 0)
            put_old_key(f, entry->key);
        put_row(f, tuple_of(f, entry));
        f->expected++;
    }
    st->copies = 0;
    return true;
}

static void
put_entries(struct filling *f, bool (*put)(struct filling *, const struct ph_fold_entry *))
{
    struct ph_apply_statements *st = f->st;

    for (; st->entry < f->stage->end; st->entry++) {
        const struct ph_fold_entry *entry = &f->state->entries[st->entry];
        if (ph_stages_takes(f->stage, f->table, entry) && !put(f, entry))
            return;
    }
}

static ph_oid
element_of(const struct filling *f, uint32_t param)
{
    if (param < f->n_old)
        return f->table->columns[param].element_oid;
    for (uint32_t i = 0; i < f->n_fields; i++)
        if (f->st->targets[i] == &f->st->columns[param])
            return f->table->columns[i].element_oid;
    return INT8_OID;
}

static bool
finish_params(struct filling *f)
{
    for (uint32_t i = 0; i < f->n_params; i++) {
        struct ph_buf *param = &f->st->columns[i];
        if (!ph_buf_ok(param))
            return false;
        ph_store_u32(param->data, 1);
        ph_store_u32(param->data + 4, f->st->has_null[i]);
        ph_store_u32(param->data + 8, element_of(f, i));
        ph_store_u32(param->data + 12, f->n_rows);
        ph_store_u32(param->data + 16, 1);
        f->st->params[i] = (struct ph_span){param->data, param->len};
    }
    return true;
}

static const char *
text_of(struct filling *f)
{
    struct ph_apply_statements *st = f->st;

    if (f->stage->kind == PH_APPLY_INSERT)
        return f->table->insert_sql;
    if (f->stage->kind == PH_APPLY_DELETE)
        return f->table->delete_sql;
    if (st->sql_stage == st->at + 1)
        return ph_buf_text(&st->sql);
    ph_buf_clear(&st->sql);
    if (is_move(f))
        ph_sql_put_move(f->table, ph_stages_set(st, f->stage->pattern), &st->sql);
    else
        ph_sql_put_update(f->table, ph_stages_set(st, f->stage->pattern), &st->sql);
    st->sql_stage = st->at + 1;
    return ph_buf_ok(&st->sql) ? ph_buf_text(&st->sql) : NULL;
}

static bool
may_miss(const struct filling *f)
{
    if (f->stage->is_single && f->state->entries[f->stage->first].may_miss)
        return true;
    return (f->stage->kind == PH_APPLY_DELETE && f->table->may_miss) ||
           (is_move(f) && f->table->may_miss_moves);
}

static ph_code
next_arrays(struct filling *f, struct ph_apply_statement *out, struct ph_error *err)
{
    PH_TRY(grow_columns(f->st, 2 * f->table->n_columns + MORE_PARAMS, err));
    start_params(f);
    if (f->stage->kind == PH_APPLY_DELETE && f->table->n_keys == 0) {
        start_param(f);
        start_param(f);
    }
    put_entries(f, put_entry);
    *out = (struct ph_apply_statement){
        .kind = f->stage->kind,
        .table = f->table,
        .sql = text_of(f),
        .params = f->st->params,
        .n_params = f->n_params,
        .n_rows = f->n_rows,
        .expected_rows = f->expected,
        .may_miss = may_miss(f),
        .wants_scan = f->stage->kind != PH_APPLY_INSERT && !f->table->has_index,
        .is_single = f->stage->is_single,
        .change = f->stage->change,
    };
    if (!finish_params(f) || out->sql == NULL)
        return no_memory(err);
    return PH_OK;
}

static void
put_copy_line(struct ph_buf *out, const struct ph_apply_table *table, const uint8_t *tuple)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        uint32_t len = ph_load_u32(tuple);
        if (i > 0)
            ph_buf_putc(out, '\t');
        ph_copy_text_put_field(out, len == PH_TUPLE_NULL ? (struct ph_span){NULL, 0}
                                                         : (struct ph_span){tuple + 4, len});
        tuple += ph_tuple_field_size(tuple);
    }
    ph_buf_putc(out, '\n');
}

/* A row of COPY BINARY is the tuple as it is. */
static bool
put_copy_entry(struct filling *f, const struct ph_fold_entry *entry)
{
    struct ph_apply_statements *st = f->st;
    int64_t copies = ph_stages_copies(f->table, entry);

    for (; st->copies < copies; st->copies++) {
        if (st->data.len >= st->limits.bytes)
            return false;
        if (f->table->copies_text) {
            put_copy_line(&st->data, f->table, entry->tuple);
        } else {
            ph_copy_binary_put_count(&st->data, f->table->n_columns);
            ph_buf_append(&st->data, entry->tuple, entry->len);
        }
        f->n_rows++;
    }
    st->copies = 0;
    return true;
}

static ph_code
next_copy(struct filling *f, struct ph_apply_statement *out, struct ph_error *err)
{
    struct ph_apply_statements *st = f->st;
    bool begins = st->rows_sent == 0;

    if (st->data.cap > 2 * st->limits.bytes)
        ph_buf_free(&st->data);
    ph_buf_clear(&st->data);
    if (begins && !f->table->copies_text)
        ph_copy_binary_put_header(&st->data);
    put_entries(f, put_copy_entry);
    st->rows_sent += f->n_rows;
    bool ends = st->rows_sent == f->stage->n_rows;
    if (ends && !f->table->copies_text)
        ph_copy_binary_put_trailer(&st->data);
    *out = (struct ph_apply_statement){
        .kind = PH_APPLY_COPY,
        .table = f->table,
        .sql = f->table->copy_sql,
        .n_rows = f->n_rows,
        .expected_rows = f->n_rows,
        .data = {st->data.data, st->data.len},
        .begins = begins,
        .ends = ends,
    };
    return ph_buf_ok(&st->data) ? PH_OK : no_memory(err);
}

/* Stages have at least one row, so every call but the last brings a statement. */
ph_code
ph_apply_statements_next(struct ph_apply_statements *st, struct ph_apply_statement *out,
                         struct ph_error *err)
{
    *out = (struct ph_apply_statement){.kind = PH_APPLY_NONE};
    while (st->at < st->n_stages) {
        const struct ph_stage *stage = &st->stages[st->at];
        struct filling f = {
            .st = st,
            .stage = stage,
            .table = st->fold->tables[stage->table].table,
            .state = &st->fold->tables[stage->table],
        };
        PH_TRY(stage->kind == PH_APPLY_COPY ? next_copy(&f, out, err) : next_arrays(&f, out, err));
        if (st->entry >= stage->end)
            enter_stage(st, st->at + 1);
        if (f.n_rows > 0)
            return PH_OK;
        *out = (struct ph_apply_statement){.kind = PH_APPLY_NONE};
    }
    return PH_OK;
}
