/* What can be said about single rows of a statement: for conflicts, and for people. */
#include <stdio.h>
#include <string.h>

#include "apply/sql.h"
#include "apply/statement.h"
#include "apply/tuple.h"
#include "wire/value_text.h"

#define ARRAY_HEADER 20u

void
ph_apply_put_find(const struct ph_apply_statement *statement, enum ph_apply_find find,
                  struct ph_buf *out, uint32_t *n_params)
{
    const struct ph_apply_table *table = statement->table;
    bool is_missing = find == PH_FIND_MISSING;

    *n_params = table->n_keys;
    if (table->n_keys == 0) {
        if (statement->kind != PH_APPLY_DELETE && statement->kind != PH_APPLY_UPDATE)
            return;
        *n_params = table->n_columns + 1;
    }
    ph_sql_put_find(table, is_missing ? PH_SQL_FIND_MISSING : PH_SQL_FIND_PRESENT,
                    statement->n_rows, out);
}

void
ph_apply_put_truncate(const struct ph_apply_table *const *tables, uint32_t n_tables,
                      const char *others, bool restart_identity, struct ph_buf *out)
{
    ph_sql_put_truncate(tables, n_tables, others, restart_identity, out);
}

const char *
ph_apply_verb(enum ph_apply_kind kind)
{
    switch (kind) {
    case PH_APPLY_DELETE:
        return "DELETE";
    case PH_APPLY_UPDATE:
        return "UPDATE";
    case PH_APPLY_INSERT:
    case PH_APPLY_COPY:
        return "INSERT";
    case PH_APPLY_NONE:
        break;
    }
    return "change";
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
put_value(const struct ph_apply_table *table, const struct ph_apply_column *column,
          const uint8_t *field, ph_apply_stand_in *stand_in, struct ph_buf *out)
{
    static const char *const integers[] = {"int2", "int4", "int8"};
    static const char *const texts[] = {"text", "varchar", "bpchar", "name", "citext"};
    uint32_t len = ph_load_u32(field);
    const struct ph_span value = {field + 4, len};
    bool is_text = column->carry == PH_CARRY_TEXT || is_one_of(column->type_name, texts, 5);

    ph_buf_printf(out, "%s=", column->name);
    if (len >= PH_TUPLE_UNCHANGED)
        ph_buf_puts(out, "NULL");
    else if (stand_in != NULL &&
             stand_in(table, column, is_text ? value : (struct ph_span){NULL, 0}, out))
        return;
    else if (is_text)
        ph_value_put_text(value, out);
    else if (is_one_of(column->type_name, integers, 3) && len > 0 && len <= 8)
        ph_value_put_integer(value, out);
    else
        ph_value_put_hex(value, strcmp(column->type_name, "uuid") == 0, out);
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
ph_apply_key_text(const struct ph_apply_statement *statement, uint32_t row,
                  ph_apply_stand_in *stand_in, char *out, size_t size)
{
    struct ph_buf text;

    if (size == 0)
        return;
    out[0] = '\0';
    if (statement->n_params < statement->table->n_keys || statement->table->n_keys == 0 ||
        row >= statement->n_rows)
        return;
    ph_buf_init(&text, (size_t)64 << 10);
    for (uint32_t i = 0; i < statement->table->n_keys; i++) {
        ph_buf_puts(&text, i == 0 ? "(" : ", ");
        put_value(statement->table, &statement->table->columns[i],
                  field_of(statement->params[i], row), stand_in, &text);
    }
    ph_buf_puts(&text, ")");
    snprintf(out, size, "%s", ph_buf_text(&text));
    ph_buf_free(&text);
}
