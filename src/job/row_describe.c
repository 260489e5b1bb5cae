/*
 * Wording differences: the key's values are asked for as text, those that rules make as the target
 * has them or is to have them. The columns that differ are found by comparing the fields that the
 * copy would carry.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/row_key.h"
#include "flow/row_shape.h"
#include "job/row_diff.h"
#include "rules/hidden.h"

#define KEY_VALUE_MAX 80 /* characters of one key column that are shown */

const struct ph_table_plan *
ph_row_diff_table_of(const struct ph_row_diff_params *params, struct ph_row_place place)
{
    for (uint32_t i = 0; i < params->n_tables; i++) {
        if (params->tables[i]->source->oid == place.relid)
            return params->tables[i];
    }
    return params->tables[0];
}

/* The rows that routes make of the source's row at that place. */
static ph_code
scan_source(const struct ph_row_diff_params *params, struct ph_row_place place, ph_row_visit *visit,
            void *arg, struct ph_error *err)
{
    for (uint32_t i = 0; i < params->n_tables; i++) {
        const struct ph_row_scan_params scan = {.conn = params->source,
                                                .table = params->tables[i],
                                                .side = PH_SOURCE,
                                                .place = &place,
                                                .max_row_bytes = params->max_row_bytes};
        if (params->n_tables == 1 || params->tables[i]->source->oid == place.relid)
            PH_TRY(ph_row_scan(&scan, visit, arg, err));
    }
    return PH_OK;
}

/* ---- keys ---- */

/* What is hidden is asked for whole: something that is made of all of it stands for it. */
static void
put_shown(const struct ph_table_plan *table, uint32_t column, const char *value, struct ph_buf *sql)
{
    if (ph_row_hides_result(table, column))
        ph_buf_printf(sql, "%s::pg_catalog.text", value);
    else
        ph_buf_printf(sql, "pg_catalog.left(%s::pg_catalog.text, %d)", value, KEY_VALUE_MAX);
}

static void
put_key_query(const struct ph_table_plan *table, enum ph_side side, struct ph_row_place place,
              struct ph_buf *sql)
{
    char tid[PH_ROW_PLACE_SIZE];
    struct ph_buf name;

    ph_buf_init(&name, 1024);
    for (uint32_t i = 0; i < table->n_key_fields; i++) {
        const struct ph_plan_column *column = &table->columns[table->key_fields[i]];
        ph_buf_clear(&name);
        ph_buf_put_ident(&name, side == PH_SOURCE ? column->source_name : column->target_name);
        ph_buf_puts(sql, i == 0 ? "SELECT " : ", ");
        put_shown(table, table->key_fields[i], ph_buf_text(&name), sql);
    }
    ph_buf_free(&name);
    ph_row_place_text(place, tid);
    ph_buf_puts(sql, " FROM ");
    ph_row_scan_put_from(table, side, sql);
    ph_buf_printf(sql, " WHERE tableoid = %u AND ctid = '%s'", place.relid, tid);
}

static void
word_key(const struct ph_table_plan *table, const struct ph_result *result,
         struct ph_row_words *out)
{
    struct ph_buf key;
    struct ph_buf condition;
    char hidden[PH_HIDDEN_SIZE];

    ph_buf_init(&key, (size_t)1 << 20);
    ph_buf_init(&condition, (size_t)1 << 20);
    for (uint32_t i = 0; i < table->n_key_fields; i++) {
        const char *name = table->columns[table->key_fields[i]].target_name;
        bool is_known = result != NULL && ph_result_rows(result) > 0;
        const char *value = is_known ? ph_result_text(result, 0, (int)i) : "?";
        if (is_known && ph_row_hides_result(table, table->key_fields[i])) {
            ph_hidden_text(table->rules, (struct ph_span){(const uint8_t *)value, strlen(value)},
                           hidden);
            value = hidden;
        }
        ph_buf_printf(&key, "%s%s=%s", i == 0 ? "(" : ", ", name, value);
        ph_buf_puts(&condition, i == 0 ? "" : " AND ");
        ph_buf_put_ident(&condition, name);
        ph_buf_puts(&condition, " = ");
        ph_buf_put_literal(&condition, value);
    }
    ph_buf_putc(&key, ')');
    snprintf(out->key, sizeof out->key, "%s", ph_buf_text(&key));
    snprintf(out->condition, sizeof out->condition, "%s", ph_buf_text(&condition));
    ph_buf_free(&key);
    ph_buf_free(&condition);
}

/* Where one side has the key as a message may tell it. */
static ph_code
ask_key(const struct ph_row_diff_params *params, const struct ph_table_plan *table,
        enum ph_side side, struct ph_row_place place, struct ph_row_words *out,
        struct ph_error *err)
{
    struct ph_result *result = NULL;
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)1 << 20);
    put_key_query(table, side, place, &sql);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_query(side == PH_SOURCE ? params->source : params->target,
                                     ph_buf_text(&sql), 0, NULL, &result, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK)
        word_key(table, result, out);
    ph_result_free(result);
    ph_buf_free(&sql);
    return rc;
}

struct made_key { /* of a row that a program makes */
    const struct ph_row_diff_params *params;
    const struct ph_table_plan *table; /* of its source */
    struct ph_hash128 hash;
    struct ph_row_words *out;
    bool found;
};

/* Values are of the target's types, so the target can say what they are as text. */
static ph_code
word_made_key(void *arg, const struct ph_scanned_row *row, struct ph_error *err)
{
    struct made_key *made = arg;
    const struct ph_table_plan *table = made->table;
    uint32_t types[PH_KEY_FIELDS_MAX];
    struct ph_span values[PH_KEY_FIELDS_MAX];
    struct ph_result *result = NULL;
    struct ph_buf sql;
    char value[16];

    if (made->found || !ph_hash128_equal(row->hash, made->hash))
        return PH_OK;
    made->found = true;
    ph_buf_init(&sql, (size_t)1 << 16);
    for (uint32_t i = 0; i < table->n_key_fields && i < PH_KEY_FIELDS_MAX; i++) {
        types[i] = table->columns[table->key_fields[i]].target->type_oid;
        values[i] = row->fields[table->key_fields[i]];
        snprintf(value, sizeof value, "$%u", i + 1);
        ph_buf_puts(&sql, i == 0 ? "SELECT " : ", ");
        put_shown(table, table->key_fields[i], value, &sql);
    }
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_query_binary(made->params->target, ph_buf_text(&sql),
                                            table->n_key_fields, types, values, &result, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK)
        word_key(table, result, made->out);
    ph_result_free(result);
    ph_buf_free(&sql);
    return rc;
}

/*
 * The key that the row is to have on the target, where nothing is yet. The source need not have its
 * columns, and what it has under their names may be what a rule masks or drops.
 */
static ph_code
make_key(const struct ph_row_diff_params *params, const struct ph_table_plan *table,
         const struct ph_row_difference *difference, struct ph_row_words *out, struct ph_error *err)
{
    struct made_key made = {.params = params, .table = table, .hash = difference->hash, .out = out};

    PH_TRY(scan_source(params, difference->source, word_made_key, &made, err));
    if (!made.found)
        word_key(table, NULL, out);
    return PH_OK;
}

static ph_code
describe_key(const struct ph_row_diff_params *params, const struct ph_row_difference *difference,
             struct ph_row_words *out, struct ph_error *err)
{
    const struct ph_table_plan *table = ph_row_diff_table_of(params, difference->source);
    bool is_made = table->inputs != NULL;
    bool is_there =
        difference->kind == PH_DIFF_EXTRA || (difference->kind == PH_DIFF_CHANGED && is_made);
    enum ph_side side = is_there ? PH_TARGET : PH_SOURCE;
    char tid[PH_ROW_PLACE_SIZE];

    if (table->n_key_fields == 0) {
        ph_row_place_text(is_there ? difference->target : difference->source, tid);
        snprintf(out->key, sizeof out->key, "(row at ctid %s of the %s)", tid, ph_side_name(side));
        snprintf(out->condition, sizeof out->condition, "ctid = '%s'", tid);
        return PH_OK;
    }
    if (is_there)
        return ask_key(params, table, side, difference->target, out, err);
    if (is_made)
        return make_key(params, table, difference, out, err);
    return ask_key(params, table, side, difference->source, out, err);
}

/* ---- columns ---- */

struct field_hashes {
    uint32_t n;
    const struct ph_hash128 *wanted; /* of the row, of several that one becomes; NULL: any */
    bool found;
    struct ph_hash128 *hashes; /* of each field; all bits set: NULL */
};

static ph_code
hash_fields(void *arg, const struct ph_scanned_row *row, struct ph_error *err)
{
    struct field_hashes *out = arg;

    (void)err;
    if (out->wanted != NULL && !ph_hash128_equal(*out->wanted, row->hash))
        return PH_OK;
    for (uint32_t i = 0; i < out->n; i++) {
        if (row->fields[i].data != NULL)
            out->hashes[i] = ph_digest_row(row->fields[i]);
        else
            out->hashes[i] = (struct ph_hash128){UINT64_MAX, UINT64_MAX};
    }
    out->found = true;
    return PH_OK;
}

static ph_code
fetch_fields(const struct ph_row_diff_params *params, enum ph_side side, struct ph_row_place place,
             struct field_hashes *out, struct ph_error *err)
{
    const struct ph_row_scan_params scan = {.conn = params->target,
                                            .table = params->tables[0],
                                            .side = PH_TARGET,
                                            .place = &place,
                                            .max_row_bytes = params->max_row_bytes};

    out->n = params->tables[0]->n_columns;
    out->hashes = calloc(out->n + 1, sizeof *out->hashes);
    if (out->hashes == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return side == PH_SOURCE ? scan_source(params, place, hash_fields, out, err)
                             : ph_row_scan(&scan, hash_fields, out, err);
}

static void
word_columns(const struct ph_table_plan *table, const struct field_hashes *a,
             const struct field_hashes *b, char *out, size_t size)
{
    struct ph_buf text;

    ph_buf_init(&text, (size_t)1 << 20);
    for (uint32_t i = 0; i < a->n; i++) {
        if (ph_hash128_equal(a->hashes[i], b->hashes[i]))
            continue;
        if (text.len > 0)
            ph_buf_puts(&text, ", ");
        ph_buf_puts(&text, table->columns[i].target_name);
    }
    snprintf(out, size, "%s", ph_buf_text(&text));
    ph_buf_free(&text);
}

static ph_code
describe_columns(const struct ph_row_diff_params *params,
                 const struct ph_row_difference *difference, struct ph_row_words *out,
                 struct ph_error *err)
{
    struct field_hashes source = {.wanted = &difference->hash};
    struct field_hashes target = {0};
    ph_code rc = fetch_fields(params, PH_SOURCE, difference->source, &source, err);

    if (rc == PH_OK)
        rc = fetch_fields(params, PH_TARGET, difference->target, &target, err);
    if (rc == PH_OK && source.found && target.found)
        word_columns(params->tables[0], &source, &target, out->columns, sizeof out->columns);
    free(source.hashes);
    free(target.hashes);
    return rc;
}

ph_code
ph_row_describe(const struct ph_row_diff_params *params, const struct ph_row_difference *difference,
                struct ph_row_words *out, struct ph_error *err)
{
    *out = (struct ph_row_words){.key = ""};
    PH_TRY(describe_key(params, difference, out, err));
    if (difference->kind == PH_DIFF_CHANGED)
        return describe_columns(params, difference, out, err);
    return PH_OK;
}
