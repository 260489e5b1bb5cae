/* What can be said about single rows of a statement: for conflicts, and for people. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "apply/sql.h"
#include "apply/statement.h"
#include "apply/tuple.h"

#define ARRAY_HEADER 20u
#define VALUE_BYTES 64u /* of one column that are shown */

void
ph_apply_put_find(const struct ph_apply_statement *statement, enum ph_apply_find find,
                  struct ph_buf *out, uint32_t *n_params)
{
    const struct ph_apply_table *table = statement->table;
    bool is_missing = find == PH_FIND_MISSING;

    *n_params = table->n_keys;
    if (table->n_keys == 0) {
        if (statement->kind != PH_APPLY_DELETE)
            return;
        *n_params = table->n_columns + 1;
    }
    ph_sql_put_find(table, is_missing ? PH_SQL_FIND_MISSING : PH_SQL_FIND_PRESENT,
                    statement->n_rows, out);
}

void
ph_apply_put_truncate(const struct ph_apply_table *const *tables, uint32_t n_tables,
                      bool restart_identity, struct ph_buf *out)
{
    ph_sql_put_truncate(tables, n_tables, restart_identity, out);
}

static bool
is_one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static void
put_integer(struct ph_span value, struct ph_buf *out)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < value.len; i++)
        bits = bits << 8 | value.data[i];
    if (value.len < 8 && (value.data[0] & 0x80) != 0)
        bits |= ~UINT64_C(0) << (8 * value.len);
    ph_buf_printf(out, "%lld", (long long)(int64_t)bits);
}

static void
put_text(struct ph_span value, struct ph_buf *out)
{
    for (size_t i = 0; i < value.len && i < VALUE_BYTES; i++)
        ph_buf_putc(out, iscntrl(value.data[i]) ? '?' : (char)value.data[i]);
    if (value.len > VALUE_BYTES)
        ph_buf_puts(out, "…");
}

static void
put_hex(struct ph_span value, bool is_uuid, struct ph_buf *out)
{
    for (size_t i = 0; i < value.len && i < VALUE_BYTES; i++) {
        bool is_part = is_uuid && (i == 4 || i == 6 || i == 8 || i == 10);
        ph_buf_printf(out, "%s%02x", is_part ? "-" : "", (unsigned)value.data[i]);
    }
    if (value.len > VALUE_BYTES)
        ph_buf_puts(out, "…");
}

static void
put_value(const struct ph_apply_column *column, const uint8_t *field, struct ph_buf *out)
{
    static const char *const integers[] = {"int2", "int4", "int8"};
    static const char *const texts[] = {"text", "varchar", "bpchar", "name", "citext"};
    uint32_t len = ph_load_u32(field);
    const struct ph_span value = {field + 4, len};

    ph_buf_printf(out, "%s=", column->name);
    if (len >= PH_TUPLE_UNCHANGED)
        ph_buf_puts(out, "NULL");
    else if (column->carry == PH_CARRY_TEXT || is_one_of(column->type_name, texts, 5))
        put_text(value, out);
    else if (is_one_of(column->type_name, integers, 3) && len > 0 && len <= 8)
        put_integer(value, out);
    else
        put_hex(value, strcmp(column->type_name, "uuid") == 0, out);
}

static const uint8_t *
field_of(struct ph_span param, uint32_t row)
{
    const uint8_t *at = param.data + ARRAY_HEADER;

    for (; row > 0; row--)
        at += ph_tuple_field_size(at);
    return at;
}

void
ph_apply_key_text(const struct ph_apply_statement *statement, uint32_t row, char *out, size_t size)
{
    struct ph_buf text;

    if (size == 0)
        return;
    out[0] = '\0';
    if (statement->n_params < statement->table->n_keys || statement->table->n_keys == 0 ||
        row >= statement->n_rows)
        return;
    ph_buf_init(&text, 64 * 1024);
    for (uint32_t i = 0; i < statement->table->n_keys; i++) {
        ph_buf_puts(&text, i == 0 ? "(" : ", ");
        put_value(&statement->table->columns[i], field_of(statement->params[i], row), &text);
    }
    ph_buf_puts(&text, ")");
    snprintf(out, size, "%s", ph_buf_text(&text));
    ph_buf_free(&text);
}
