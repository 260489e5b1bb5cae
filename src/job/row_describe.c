/*
 * Wording differences: the key's values are asked for as text, the columns that differ are found by
 * comparing the fields that the copy would carry.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/row_diff.h"

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

static const char *
column_name(const struct ph_table_plan *table, enum ph_side side, uint32_t column)
{
    return side == PH_SOURCE ? table->columns[column].source_name
                             : table->columns[column].target_name;
}

static void
put_key_query(const struct ph_table_plan *table, enum ph_side side, struct ph_row_place place,
              struct ph_buf *sql)
{
    char tid[PH_ROW_PLACE_SIZE];

    for (uint32_t i = 0; i < table->n_key_fields; i++) {
        ph_buf_puts(sql, i == 0 ? "SELECT pg_catalog.left(" : ", pg_catalog.left(");
        ph_buf_put_ident(sql, column_name(table, side, table->key_fields[i]));
        ph_buf_printf(sql, "::pg_catalog.text, %d)", KEY_VALUE_MAX);
    }
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

    ph_buf_init(&key, (size_t)1 << 20);
    ph_buf_init(&condition, (size_t)1 << 20);
    for (uint32_t i = 0; i < table->n_key_fields; i++) {
        const char *name = table->columns[table->key_fields[i]].target_name;
        const char *value = ph_result_rows(result) == 0 ? "?" : ph_result_text(result, 0, (int)i);
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

static ph_code
describe_key(const struct ph_row_diff_params *params, const struct ph_row_difference *difference,
             struct ph_row_words *out, struct ph_error *err)
{
    enum ph_side side = difference->kind == PH_DIFF_EXTRA ? PH_TARGET : PH_SOURCE;
    struct ph_row_place place = side == PH_SOURCE ? difference->source : difference->target;
    const struct ph_table_plan *table = ph_row_diff_table_of(params, place);
    struct ph_result *result = NULL;
    char tid[PH_ROW_PLACE_SIZE];
    struct ph_buf sql;

    ph_row_place_text(place, tid);
    if (table->n_key_fields == 0) {
        snprintf(out->key, sizeof out->key, "(row at ctid %s of the %s)", tid, ph_side_name(side));
        snprintf(out->condition, sizeof out->condition, "ctid = '%s'", tid);
        return PH_OK;
    }
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

/* ---- columns ---- */

struct field_hashes {
    uint32_t n;
    bool found;
    struct ph_hash128 *hashes; /* of each field; all bits set: NULL */
};

static ph_code
hash_fields(void *arg, const struct ph_scanned_row *row, struct ph_error *err)
{
    struct field_hashes *out = arg;

    (void)err;
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
    struct ph_row_scan_params scan = {
        .conn = side == PH_SOURCE ? params->source : params->target,
        .table = side == PH_SOURCE ? ph_row_diff_table_of(params, place) : params->tables[0],
        .side = side,
        .place = &place,
        .max_row_bytes = params->max_row_bytes,
    };

    out->n = scan.table->n_columns;
    out->hashes = calloc(out->n + 1, sizeof *out->hashes);
    if (out->hashes == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return ph_row_scan(&scan, hash_fields, out, err);
}

static void
word_columns(const struct ph_table_plan *table, const struct field_hashes *a,
             const struct field_hashes *b, char *out, size_t size)
{
    struct ph_buf text;

    ph_buf_init(&text, (size_t)1 << 20);
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->hashes[i].lo == b->hashes[i].lo && a->hashes[i].hi == b->hashes[i].hi)
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
    struct field_hashes source = {0};
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
