#include "flow/rule_stage.h"

#include <stdlib.h>

#include "flow/orphans.h"
#include "flow/row_key.h"
#include "rules/lookup.h"
#include "wire/oid_remap.h"

#define QUARANTINE_LIMIT ((size_t)16 << 20) /* of a task: more of it is a rule to be mended */
#define FIELD_HEADER 4u
#define TUPLE_HEADER 2u

void
ph_rule_stage_init(struct ph_rule_stage *stage, size_t batch_bytes, size_t max_row_bytes)
{
    *stage = (struct ph_rule_stage){.batch_bytes = batch_bytes, .max_row_bytes = max_row_bytes};
    ph_preserve_stage_init(&stage->preserved, batch_bytes, max_row_bytes);
}

static void
forget_route(struct ph_rule_stage *stage)
{
    free(stage->in);
    free(stage->ahead);
    free(stage->fields);
    free(stage->ahead_fields);
    free(stage->out);
    free(stage->pieces);
    stage->in = stage->ahead = stage->out = NULL;
    stage->fields = stage->ahead_fields = NULL;
    stage->pieces = NULL;
}

void
ph_rule_stage_free(struct ph_rule_stage *stage)
{
    ph_rule_machine_free(stage->machine);
    ph_lookup_cache_free(stage->lookups);
    forget_route(stage);
    free(stage->spare);
    ph_preserve_stage_free(&stage->preserved);
    *stage = (struct ph_rule_stage){0};
}

bool
ph_rule_stage_is_for(const struct ph_task *task)
{
    return task->side == PH_SOURCE && task->table->inputs != NULL;
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the rows that rules make");
}

/* Columns that rules leave alone go in one piece as long as they lie as they will lie. */
static void
cut_tuple(struct ph_rule_stage *stage, const struct ph_task *task)
{
    const struct ph_route *route = task->table->route;
    struct ph_rule_piece *piece = NULL;

    stage->n_pieces = 0;
    for (uint32_t i = 0; i < task->table->n_columns; i++) {
        const struct ph_route_output *output = &route->outputs[i];
        bool is_made = output->source == NULL || output->is_fitted ||
                       ph_oid_remap_needs(task->table->remap, i);
        if (piece != NULL && !piece->is_made && !is_made &&
            output->input == piece->input + piece->n) {
            piece->n++;
            continue;
        }
        piece = &stage->pieces[stage->n_pieces++];
        *piece = (struct ph_rule_piece){i, 1, is_made ? 0 : output->input, is_made};
    }
}

ph_code
ph_rule_stage_open(struct ph_rule_stage *stage, const struct ph_task *task, struct ph_error *err)
{
    const struct ph_route *route = task->table->route;

    const struct ph_rules_in_use *rules = task->table->rules;

    if (stage->machine == NULL)
        PH_TRY(ph_rule_machine_new(rules->set, rules->secret, rules->secret_len, &stage->machine,
                                   err));
    if (stage->lookups == NULL && route->n_lookups > 0 && rules->access != NULL &&
        (stage->lookups = ph_lookup_cache_new(rules)) == NULL)
        return no_memory(err);
    forget_route(stage);
    stage->rest = (struct ph_span){0};
    stage->in = calloc((size_t)route->n_inputs + 1, sizeof *stage->in);
    stage->ahead = calloc((size_t)route->n_inputs + 1, sizeof *stage->ahead);
    stage->fields = calloc((size_t)route->n_inputs + 1, sizeof *stage->fields);
    stage->ahead_fields = calloc((size_t)route->n_inputs + 1, sizeof *stage->ahead_fields);
    stage->out = calloc((size_t)route->n_outputs + 1, sizeof *stage->out);
    stage->pieces = calloc((size_t)route->n_outputs + 1, sizeof *stage->pieces);
    if (stage->in == NULL || stage->ahead == NULL || stage->fields == NULL ||
        stage->ahead_fields == NULL || stage->out == NULL || stage->pieces == NULL)
        return no_memory(err);
    cut_tuple(stage, task);
    stage->has_preserved = task->table->preserved != NULL && !stage->all_are_new;
    return stage->has_preserved ? ph_preserve_stage_open(&stage->preserved, task->table, err)
                                : PH_OK;
}

/* ---- bytes in ---- */

static ph_code
bad_tuple(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_PROTOCOL, "a tuple of COPY BINARY does not hold what it says");
}

/*
 * One tuple; *n_fields is -1 at the trailer. What is looked up takes no room in it. `fields`: where
 * the inputs begin and the last one ends.
 */
static ph_code
take_tuple(const struct ph_table_plan *table, struct ph_cursor *cursor, struct ph_value *in,
           const uint8_t **fields, int16_t *n_fields, struct ph_error *err)
{
    const struct ph_route *route = table->route;
    uint32_t n = route->n_inputs;

    if (!ph_take_i16(cursor, n_fields) ||
        (*n_fields >= 0 && (uint32_t)*n_fields != table->n_inputs))
        return bad_tuple(err);
    for (uint32_t i = 0; *n_fields >= 0 && i < n; i++) {
        struct ph_span bytes = {0};
        fields[i] = cursor->at;
        if (route->inputs[i].is_looked_up)
            continue;
        if (!ph_take_i32(cursor, &in[i].len) || in[i].len < PH_VALUE_NULL ||
            (in[i].len >= 0 && !ph_take_span(cursor, (size_t)in[i].len, &bytes)))
            return bad_tuple(err);
        in[i].data = bytes.data;
    }
    fields[n] = cursor->at;
    return PH_OK;
}

/* ---- bytes out ---- */

static ph_code
reserve(struct ph_rule_stage *stage, size_t more, struct ph_error *err)
{
    size_t need = stage->len + more;

    if (more > stage->max_row_bytes)
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE,
                       "rules make a row of %zu bytes, more than --max-row", more);
    if (need <= stage->capacity)
        return PH_OK;
    if (need < stage->capacity + stage->capacity / 2)
        need = stage->capacity + stage->capacity / 2;
    uint8_t *larger = realloc(stage->spare, need);
    if (larger == NULL)
        return no_memory(err);
    stage->spare = larger;
    stage->capacity = need;
    return PH_OK;
}

static struct ph_span
passed_bytes(const struct ph_rule_stage *stage, const struct ph_rule_piece *piece)
{
    const uint8_t *begin = stage->fields[piece->input];

    return (struct ph_span){begin, (size_t)(stage->fields[piece->input + piece->n] - begin)};
}

static size_t
tuple_bytes(const struct ph_rule_stage *stage)
{
    size_t len = TUPLE_HEADER;

    for (uint32_t i = 0; i < stage->n_pieces; i++) {
        const struct ph_rule_piece *piece = &stage->pieces[i];
        int32_t made = stage->out[piece->first].len;
        len += piece->is_made ? FIELD_HEADER + (made > 0 ? (size_t)made : 0)
                              : passed_bytes(stage, piece).len;
    }
    return len;
}

/* One field; *at moves behind it. */
static ph_code
put_made(struct ph_rule_stage *stage, const struct ph_table_plan *table, uint32_t column,
         uint8_t **at, struct ph_error *err)
{
    const struct ph_value *value = &stage->out[column];

    ph_store_u32(*at, (uint32_t)value->len);
    *at += FIELD_HEADER;
    if (value->len <= 0)
        return PH_OK;
    memcpy(*at, value->data, (size_t)value->len);
    /* the value of a user's type goes out with the target's OIDs, whoever else reads it */
    if (ph_oid_remap_needs(table->remap, column))
        PH_TRY(ph_oid_remap_field(table->remap, column, *at, (size_t)value->len, err));
    *at += value->len;
    return PH_OK;
}

static ph_code
put_tuple(struct ph_rule_stage *stage, const struct ph_table_plan *table, struct ph_error *err)
{
    PH_TRY(reserve(stage, tuple_bytes(stage), err));
    uint8_t *at = stage->spare + stage->len;
    ph_store_u16(at, (uint16_t)table->n_columns);
    at += TUPLE_HEADER;
    for (uint32_t i = 0; i < stage->n_pieces; i++) {
        const struct ph_rule_piece *piece = &stage->pieces[i];
        if (piece->is_made) {
            PH_TRY(put_made(stage, table, piece->first, &at, err));
            continue;
        }
        struct ph_span bytes = passed_bytes(stage, piece);
        memcpy(at, bytes.data, bytes.len);
        at += bytes.len;
    }
    stage->len = (size_t)(at - stage->spare);
    return PH_OK;
}

/* ---- rows that cannot go ---- */

static ph_code
take_out(struct ph_rule_stage *stage, struct ph_task *task, const struct ph_rule_outcome *outcome,
         struct ph_error *err)
{
    const struct ph_table_plan *table = task->table;
    const char *column = outcome->output < table->n_columns
                             ? table->columns[outcome->output].target_name
                             : "(the row)";
    char key[200];

    ph_row_key_of_route(table->route, table->rules, stage->in, key, sizeof key);
    if (!outcome->quarantine) {
        char label[300];
        PH_FAIL(err, PH_E_RULE_VALUE, "row %s, column %s: %s", key, column, outcome->message);
        ph_plan_table_label(table, label, sizeof label);
        ph_error_object(err, "%s", label);
        return PH_E_RULE_VALUE;
    }
    task->quarantined++;
    if (task->quarantine.limit_bytes == 0)
        ph_buf_init(&task->quarantine, QUARANTINE_LIMIT);
    ph_buf_append(&task->quarantine, key, strlen(key) + 1);
    ph_buf_append(&task->quarantine, column, strlen(column) + 1);
    ph_buf_append(&task->quarantine, outcome->message, strlen(outcome->message) + 1);
    if (!ph_buf_ok(&task->quarantine))
        return PH_FAIL(
            err, PH_E_RULE_VALUE,
            "more than %zu MB of rows for the quarantine, row %s the last: column %s: %s",
            QUARANTINE_LIMIT >> 20, key, column, outcome->message);
    return PH_OK;
}

/* ---- a batch ---- */

/* Ask for what is not known of the row at hand, and for what rows behind it will want. */
static ph_code
ask(struct ph_rule_stage *stage, const struct ph_task *task, struct ph_cursor behind,
    struct ph_error *err)
{
    const struct ph_route *route = task->table->route;
    bool is_full = false;

    PH_TRY(ph_lookup_cache_begin(stage->lookups, route, stage->in, err));
    while (!is_full && ph_cursor_left(&behind) > 0) {
        int16_t n_fields;
        PH_TRY(take_tuple(task->table, &behind, stage->ahead, stage->ahead_fields, &n_fields, err));
        if (n_fields < 0)
            break;
        PH_TRY(ph_lookup_cache_also(stage->lookups, route, stage->ahead, &is_full, err));
    }
    return ph_lookup_cache_ask(stage->lookups, route, stage->in, err);
}

static ph_code
look_up(struct ph_rule_stage *stage, const struct ph_task *task, struct ph_cursor behind,
        uint32_t *n_missing, struct ph_error *err)
{
    const struct ph_route *route = task->table->route;
    const struct ph_lookups *own = NULL;

    *n_missing = 0;
    if (route->n_lookups == 0)
        return PH_OK;
    if (stage->lookups != NULL) {
        if (ph_lookup_cache_lacks(stage->lookups, route, stage->in))
            PH_TRY(ask(stage, task, behind, err));
        own = ph_lookup_cache_own(stage->lookups);
    }
    *n_missing = ph_lookups_fill(task->table->rules->lookups, own, route, stage->in);
    return PH_OK;
}

/* Rows that are only compared were counted when they came. */
static ph_code
count_orphans(const struct ph_rule_stage *stage, struct ph_task *task, uint32_t n_missing,
              const struct ph_rule_outcome *outcome, struct ph_error *err)
{
    if (n_missing == 0 || !task->is_load || !ph_rule_outcome_is_row(outcome) ||
        ph_orphans_note(&task->orphans, task->table, stage->in))
        return PH_OK;
    return PH_FAIL(err, PH_E_MEMORY, "no memory to count what was not found");
}

/* All rows that the source's row gives go, or none of them. */
static ph_code
run_row(struct ph_rule_stage *stage, struct ph_task *task, struct ph_cursor behind,
        struct ph_error *err)
{
    struct ph_rule_outcome outcome;
    size_t begin = stage->len;
    uint32_t n_missing;

    PH_TRY(look_up(stage, task, behind, &n_missing, err));
    PH_TRY(ph_rule_begin_row(stage->machine, task->table->route, stage->in, &outcome, err));
    PH_TRY(count_orphans(stage, task, n_missing, &outcome, err));
    uint32_t rows = outcome.verdict == PH_ROW_TAKEN ? outcome.rows : 0;
    for (uint32_t i = 0; i < rows && outcome.verdict == PH_ROW_TAKEN; i++) {
        PH_TRY(ph_rule_take_row(stage->machine, i, stage->out, &outcome, err));
        if (outcome.verdict == PH_ROW_TAKEN)
            PH_TRY(put_tuple(stage, task->table, err));
        ph_rule_drop_made(stage->machine); /* a message is good until the next row begins */
    }
    if (outcome.verdict == PH_ROW_TAKEN)
        return PH_OK;
    stage->len = begin;
    return take_out(stage, task, &outcome, err);
}

/*
 * What is given out at once: with the last row it is about a batch, unless that row is large.
 * What the target has kept comes to it.
 */
static size_t
enough(const struct ph_rule_stage *stage)
{
    return stage->has_preserved ? stage->batch_bytes / 2 : stage->batch_bytes / 4 * 3;
}

/* Until what is made is enough; the rows behind it are the rest. */
static ph_code
run_rows(struct ph_rule_stage *stage, struct ph_task *task, struct ph_span rows,
         struct ph_error *err)
{
    struct ph_cursor cursor = {rows.data, rows.data + rows.len};
    size_t end = stage->len + enough(stage);

    while (ph_cursor_left(&cursor) > 0) {
        if (stage->len >= end) {
            stage->rest = (struct ph_span){cursor.at, ph_cursor_left(&cursor)};
            return PH_OK;
        }
        int16_t n_fields;
        PH_TRY(take_tuple(task->table, &cursor, stage->in, stage->fields, &n_fields, err));
        if (n_fields < 0) {
            PH_TRY(reserve(stage, TUPLE_HEADER, err));
            ph_store_u16(stage->spare + stage->len, (uint16_t)n_fields);
            stage->len += TUPLE_HEADER;
            return ph_cursor_left(&cursor) == 0
                       ? PH_OK
                       : PH_FAIL(err, PH_E_PROTOCOL, "rows behind the end of the COPY");
        }
        PH_TRY(run_row(stage, task, cursor, err));
    }
    return PH_OK;
}

/* What was the batch's is the stage's. */
static void
swap(struct ph_rule_stage *stage, struct ph_batch *batch)
{
    uint8_t *data = batch->data;
    size_t capacity = batch->capacity;

    batch->data = stage->spare;
    batch->capacity = stage->capacity;
    batch->len = stage->len;
    stage->spare = data;
    stage->capacity = capacity;
}

/* A batch that was grown for a large row is so no longer than its rows. */
static void
drop_large(struct ph_rule_stage *stage)
{
    if (stage->capacity <= stage->batch_bytes || stage->rest.len > 0)
        return;
    free(stage->spare);
    stage->spare = NULL;
    stage->capacity = 0;
}

/* What goes out becomes what it is with the target's own values. */
static ph_code
put_preserved(struct ph_rule_stage *stage, struct ph_task *task, size_t prefix,
              struct ph_error *err)
{
    struct ph_preserve_stage *preserved = &stage->preserved;
    uint8_t *data = stage->spare;
    size_t capacity = stage->capacity;

    PH_TRY(ph_preserve_stage_run(preserved, (struct ph_span){data, stage->len}, prefix, err));
    task->left_out += preserved->left_out;
    stage->spare = preserved->out;
    stage->capacity = preserved->capacity;
    stage->len = preserved->len;
    preserved->out = data;
    preserved->capacity = capacity;
    return PH_OK;
}

/* More of the rows that lie there since the call before; the rest, if there is one, stays. */
static ph_code
go_on_preserved(struct ph_rule_stage *stage, struct ph_task *task, struct ph_batch *batch,
                struct ph_error *err)
{
    struct ph_preserve_stage *preserved = &stage->preserved;
    uint8_t *held = preserved->out;
    size_t capacity = preserved->capacity;

    preserved->out = batch->data;
    preserved->capacity = batch->capacity;
    ph_code rc = ph_preserve_stage_go_on(preserved, err);
    task->left_out += preserved->left_out;
    batch->data = preserved->out;
    batch->capacity = preserved->capacity;
    batch->len = preserved->len;
    preserved->out = held;
    preserved->capacity = capacity;
    return rc;
}

/* What was held for a large row is let go once no rows lie there. */
static bool
has_rest(struct ph_rule_stage *stage)
{
    struct ph_preserve_stage *preserved = &stage->preserved;

    if (stage->has_preserved && preserved->rest.len > 0)
        return true;
    if (preserved->capacity > stage->batch_bytes) {
        free(preserved->out);
        preserved->out = NULL;
        preserved->capacity = 0;
    }
    return stage->rest.len > 0;
}

ph_code
ph_rule_stage_run(struct ph_rule_stage *stage, struct ph_task *task, struct ph_batch *batch,
                  struct ph_span *rows, struct ph_error *err)
{
    if (stage->has_preserved && stage->preserved.rest.len > 0) {
        PH_TRY(go_on_preserved(stage, task, batch, err));
        batch->has_more = has_rest(stage);
        *rows = (struct ph_span){batch->data, batch->len};
        return PH_OK;
    }
    bool goes_on = stage->rest.len > 0;
    struct ph_span in = goes_on ? stage->rest : *rows;
    size_t prefix = goes_on ? 0 : (size_t)(rows->data - batch->data);

    if (goes_on) /* with rows of the batch before, whose memory is the spare one */
        swap(stage, batch);
    stage->rest.len = 0;
    stage->len = 0;
    PH_TRY(reserve(stage, prefix > stage->batch_bytes ? prefix : stage->batch_bytes, err));
    if (prefix > 0)
        memcpy(stage->spare, batch->data, prefix);
    stage->len = prefix;
    PH_TRY(run_rows(stage, task, in, err));
    if (stage->has_preserved)
        PH_TRY(put_preserved(stage, task, prefix, err));
    swap(stage, batch);
    drop_large(stage);
    batch->has_more = has_rest(stage);
    *rows = (struct ph_span){batch->data + prefix, batch->len - prefix};
    return PH_OK;
}
