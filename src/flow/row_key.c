#include "flow/row_key.h"

#include <stdio.h>
#include <string.h>

#include "rules/hidden.h"
#include "wire/copy_binary.h"
#include "wire/value_text.h"

static bool
is_type(const struct ph_column *column, const char *name)
{
    const char *type = column->type_text;

    return type != NULL && strncmp(type, name, strlen(name)) == 0;
}

static bool
is_text_like(const struct ph_column *column)
{
    return is_type(column, "text") || is_type(column, "character") || is_type(column, "name");
}

/* Of what is no text. */
static void
put_binary(const struct ph_column *column, struct ph_span value, struct ph_buf *out)
{
    bool is_integer =
        is_type(column, "smallint") || is_type(column, "integer") || is_type(column, "bigint");

    if (is_integer && value.len > 0 && value.len <= 8)
        ph_value_put_integer(value, out);
    else
        ph_value_put_hex(value, is_type(column, "uuid"), out);
}

static void
put_value(const struct ph_column *column, struct ph_span value, struct ph_buf *out)
{
    ph_buf_printf(out, "%s=", column->name);
    if (is_text_like(column))
        ph_value_put_text(value, out);
    else
        put_binary(column, value, out);
}

/* What stands for a value that rules mask. */
static void
put_hidden(const struct ph_route *route, const struct ph_rules_in_use *rules,
           const struct ph_column *column, struct ph_span value, struct ph_buf *out)
{
    char hidden[PH_HIDDEN_SIZE];

    ph_hidden_value(route, rules, column, value, hidden);
    ph_buf_printf(out, "%s=%s", column->name, hidden);
}

/* Its rows go as they are, and others of the table's may not: those of another partition. */
static bool
hides_without_route(const struct ph_table_plan *table, uint32_t n)
{
    const struct ph_rules_in_use *rules = table->rules;

    return rules != NULL && rules->set != NULL &&
           ph_ruleset_hides(rules->set, table->source, table->columns[n].source->name);
}

bool
ph_row_hides(const struct ph_table_plan *table, uint32_t column)
{
    return table->route != NULL ? ph_route_hides_column(table->route, table->columns[column].source)
                                : hides_without_route(table, column);
}

bool
ph_row_hides_result(const struct ph_table_plan *table, uint32_t column)
{
    return table->route != NULL ? ph_route_hides_result(table->route, column)
                                : hides_without_route(table, column);
}

/* As a line of COPY has it, which is not always what ::text makes of it. */
static void
put_hidden_line(const struct ph_table_plan *table, const struct ph_column *column,
                struct ph_span value, struct ph_buf *out)
{
    bool is_text = memchr(value.data, '\\', value.len) == NULL && !is_type(column, "boolean");
    char hidden[PH_HIDDEN_SIZE];

    while (is_type(column, "character(") && value.len > 0 && value.data[value.len - 1] == ' ')
        value.len--;
    ph_hidden_text(is_text ? table->rules : NULL, value, hidden);
    ph_buf_puts(out, hidden);
}

/* Without a route it is not known what is text of other types. */
static void
put_hidden_field(const struct ph_table_plan *table, const struct ph_column *column,
                 struct ph_span value, struct ph_buf *out)
{
    if (table->route != NULL) {
        put_hidden(table->route, table->rules, column, value, out);
        return;
    }
    ph_buf_printf(out, "%s=", column->name);
    if (is_text_like(column))
        put_hidden_line(table, column, value, out);
    else
        ph_buf_puts(out, "(hidden)");
}

static void
put_line_value(const struct ph_table_plan *table, uint32_t n, struct ph_span value,
               struct ph_buf *out)
{
    const struct ph_plan_column *column = &table->columns[n];

    ph_buf_printf(out, "%s=", column->source_name);
    if (ph_row_hides(table, n))
        put_hidden_line(table, column->source, value, out);
    else
        ph_value_put_text(value, out);
}

/* The next field of a binary row; false: it is not all there. */
static bool
take_binary(struct ph_span *left, struct ph_span *field)
{
    if (left->len < 4)
        return false;
    uint32_t len = ph_load_u32(left->data);
    *left = (struct ph_span){left->data + 4, left->len - 4};
    *field = (struct ph_span){left->data, 0};
    if (len == UINT32_MAX)
        return true;
    if (len > left->len)
        return false;
    field->len = len;
    *left = (struct ph_span){left->data + len, left->len - len};
    return true;
}

static bool
take_text(struct ph_span *left, struct ph_span *field)
{
    const uint8_t *end = memchr(left->data, '\t', left->len);

    if (end == NULL)
        return false;
    *field = (struct ph_span){left->data, (size_t)(end - left->data)};
    *left = (struct ph_span){end + 1, left->len - field->len - 1};
    return true;
}

/* Behind the header, which comes with the first row, and the number of fields. */
static bool
skip_head(struct ph_span *left)
{
    size_t header = 0;

    if (left->len >= PH_COPY_BINARY_HEADER_SIZE && memcmp(left->data, "PGCOPY\n", 7) == 0)
        header = PH_COPY_BINARY_HEADER_SIZE;
    if (left->len < header + 2)
        return false;
    *left = (struct ph_span){left->data + header + 2, left->len - header - 2};
    return true;
}

static void
put_key(const struct ph_table_plan *table, struct ph_span left, struct ph_buf *out)
{
    bool is_binary = table->format == PH_FORMAT_BINARY;
    struct ph_span field;
    uint32_t n = 0;

    if (table->inputs != NULL || (is_binary && !skip_head(&left)))
        return;
    for (uint32_t i = 0; n < table->n_key_fields; i++) {
        if (is_binary ? !take_binary(&left, &field) : !take_text(&left, &field))
            break;
        if (table->key_fields[n] != i)
            continue;
        ph_buf_puts(out, n++ == 0 ? "(" : ", ");
        if (!is_binary)
            put_line_value(table, i, field, out);
        else if (ph_row_hides(table, i))
            put_hidden_field(table, table->columns[i].source, field, out);
        else
            put_value(table->columns[i].source, field, out);
    }
    if (n > 0)
        ph_buf_puts(out, n == table->n_key_fields ? ")" : ", …)");
}

void
ph_row_key_text(const struct ph_table_plan *table, struct ph_span shown, char *out, size_t size)
{
    struct ph_buf text;

    ph_buf_init(&text, (size_t)1 << 16);
    put_key(table, shown, &text);
    snprintf(out, size, "%s", ph_buf_text(&text));
    ph_buf_free(&text);
}

static void
put_input(const struct ph_route *route, const struct ph_rules_in_use *rules, uint32_t input,
          struct ph_value value, struct ph_buf *out)
{
    const struct ph_column *column = route->inputs[input].column;
    struct ph_span bytes = {value.data, value.len > 0 ? (size_t)value.len : 0};

    if (ph_route_hides(route, input))
        put_hidden(route, rules, column, bytes, out);
    else
        put_value(column, bytes, out);
}

void
ph_row_key_of_route(const struct ph_route *route, const struct ph_rules_in_use *rules,
                    const struct ph_value *in, char *out, size_t size)
{
    struct ph_buf text;
    uint32_t n = 0;

    ph_buf_init(&text, (size_t)1 << 16);
    for (uint32_t i = 0; i < route->n_key_inputs; i++) {
        uint32_t input = route->key_inputs[i];
        if (route->inputs[input].column == NULL)
            continue;
        ph_buf_puts(&text, n++ == 0 ? "(" : ", ");
        put_input(route, rules, input, in[input], &text);
    }
    ph_buf_puts(&text, n > 0 ? ")" : "");
    snprintf(out, size, "%s", ph_buf_text(&text));
    ph_buf_free(&text);
}

void
ph_row_key_of_input(const struct ph_route *route, const struct ph_rules_in_use *rules,
                    uint32_t input, struct ph_value value, char *out, size_t size)
{
    struct ph_buf text;

    ph_buf_init(&text, (size_t)1 << 16);
    ph_buf_putc(&text, '(');
    put_input(route, rules, input, value, &text);
    ph_buf_putc(&text, ')');
    snprintf(out, size, "%s", ph_buf_text(&text));
    ph_buf_free(&text);
}

bool
ph_row_stand_in(const struct ph_apply_table *table, const struct ph_apply_column *column,
                struct ph_span text, struct ph_buf *out)
{
    const struct ph_table_plan *plan = table->plan;
    char hidden[PH_HIDDEN_SIZE];
    uint32_t n = 0;

    while (n < plan->n_columns && strcmp(plan->columns[n].target_name, column->name) != 0)
        n++;
    if (n == plan->n_columns || !ph_row_hides_result(plan, n))
        return false;
    while (strcmp(column->type_name, "bpchar") == 0 && text.len > 0 &&
           text.data[text.len - 1] == ' ')
        text.len--;
    ph_hidden_text(text.data != NULL ? plan->rules : NULL, text, hidden);
    ph_buf_puts(out, hidden);
    return true;
}
