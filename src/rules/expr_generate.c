/*
 * C of a condition. Every comparison is a term of its own whose value is one of enum ph_truth;
 * terms are bound by & and |, so that long conditions do not nest. Lists of IN become a switch or a
 * sorted table in front of the function.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "rules/expr_tree.h"

struct generator {
    const struct ph_expr *expr;
    const struct ph_expr_code *code;
    struct ph_buf before; /* tables and switches */
    struct ph_buf body;
    uint32_t n_lists;
    struct ph_error *err;
};

static ph_code
no_memory(struct generator *generator)
{
    return PH_FAIL(generator->err, PH_E_MEMORY, "out of memory");
}

/* How long a value of the class is in binary form; 0: it varies. */
static int32_t width_of(enum ph_expr_class class)
{
    switch (class) {
    case PH_EXPR_INT2:
        return 2;
    case PH_EXPR_INT4:
    case PH_EXPR_DATE:
        return 4;
    case PH_EXPR_INT8:
    case PH_EXPR_TIMESTAMP:
    case PH_EXPR_TIMESTAMPTZ:
        return 8;
    case PH_EXPR_BOOL:
        return 1;
    case PH_EXPR_UUID:
        return 16;
    case PH_EXPR_NUMERIC:
    case PH_EXPR_TEXT:
    case PH_EXPR_ENUM:
    case PH_EXPR_NONE:
        break;
    }
    return 0;
}

/* Classes whose values are numbers of a machine word. */
static bool is_word_class(enum ph_expr_class class)
{
    int32_t width = width_of(class);
    return width > 0 && width <= 8;
}

/* ---- constants ---- */

/* An integer's in quotes is an int8 (see expr.c). */
static ph_code
ask_constant(struct generator *generator, const struct ph_operand *literal,
             const struct ph_column *beside, struct ph_value *out)
{
    const struct ph_expr_code *code = generator->code;
    bool is_integer = literal->class == PH_EXPR_INT2 || literal->class == PH_EXPR_INT4;
    struct ph_column *column = PH_ARENA_ARRAY(code->arena, struct ph_column, 1);
    struct ph_error why = {.code = PH_OK};

    if (column == NULL)
        return no_memory(generator);
    *column = (struct ph_column){.name = beside->name,
                                 .attnum = beside->attnum,
                                 .type_oid = is_integer ? 20 : literal->type->oid,
                                 .typmod = -1,
                                 .type_text = is_integer ? "bigint" : literal->type->name};
    ph_code rc = code->constant(code->constant_arg, column, literal->text, code->arena, out, &why);
    if (rc == PH_E_TYPES)
        return ph_expr_fail(&generator->expr->site, generator->err,
                            "'%.64s' beside \"%.64s\" is not a value of type %.64s", literal->text,
                            column->name, column->type_text);
    if (rc != PH_OK) {
        if (generator->err != NULL)
            *generator->err = why;
        return rc;
    }
    int32_t width = is_integer ? 8 : width_of(literal->class);
    if (width > 0 ? out->len != width : out->len < 8)
        return ph_expr_fail(&generator->expr->site, generator->err,
                            "'%.64s' as %.64s has another length than expected", literal->text,
                            column->type_text);
    return PH_OK;
}

/* Text as it stands, everything else as the server reads it. */
static ph_code
bytes_of(struct generator *generator, const struct ph_operand *literal,
         const struct ph_column *beside, struct ph_value *out)
{
    if (literal->class == PH_EXPR_TEXT || literal->class == PH_EXPR_ENUM) {
        *out = (struct ph_value){(const uint8_t *)literal->text, (int32_t)strlen(literal->text)};
        return PH_OK;
    }
    return ask_constant(generator, literal, beside, out);
}

static ph_code
word_of(struct generator *generator, const struct ph_operand *literal,
        const struct ph_column *beside, int64_t *out)
{
    struct ph_value value;

    *out = literal->kind == PH_OPERAND_TRUE;
    if (literal->kind == PH_OPERAND_TRUE || literal->kind == PH_OPERAND_FALSE)
        return PH_OK;
    if (literal->kind == PH_OPERAND_NUMBER) {
        (void)ph_expr_is_whole(literal->text, out);
        return PH_OK;
    }
    PH_TRY(ask_constant(generator, literal, beside, &value));
    *out = value.len == 8   ? ph_rule_get_i64(&value)
           : value.len == 4 ? ph_rule_get_i32(&value)
                            : value.data[0];
    return PH_OK;
}

static void
put_word(struct ph_buf *out, int64_t value)
{
    if (value == INT64_MIN)
        ph_buf_puts(out, "(-INT64_C(9223372036854775807) - 1)");
    else
        ph_buf_printf(out, "INT64_C(%" PRId64 ")", value);
}

/* {(const uint8_t *)"…", 5}; octal escapes end after three digits, whatever follows. */
static void
put_bytes(struct ph_buf *out, const struct ph_value *value)
{
    ph_buf_puts(out, "{(const uint8_t *)\"");
    for (int32_t i = 0; i < value->len; i++) {
        uint8_t byte = value->data[i];
        if (byte >= ' ' && byte < 0x7f && strchr("\"\\?", byte) == NULL)
            ph_buf_putc(out, (char)byte);
        else
            ph_buf_printf(out, "\\%03o", (unsigned)byte);
    }
    ph_buf_printf(out, "\", %d}", (int)value->len);
}

/* ---- columns ---- */

static uint32_t
input_of(const struct generator *generator, const struct ph_operand *operand)
{
    uint32_t i = 0;

    while (generator->expr->reads[i] != operand->column)
        i++;
    return generator->code->inputs[i];
}

/* Whether there is a value to compare. */
static void
put_present(struct generator *generator, const struct ph_operand *operand)
{
    int32_t width = width_of(operand->class);
    uint32_t input = input_of(generator, operand);

    if (width > 0)
        ph_buf_printf(&generator->body, "in[%u].len == %d", input, (int)width);
    else
        ph_buf_printf(&generator->body, "in[%u].len >= 0", input);
}

/* The column's value as an expression of an integer type. */
static void
put_column_word(struct generator *generator, const struct ph_operand *operand)
{
    uint32_t input = input_of(generator, operand);
    int32_t width = width_of(operand->class);

    if (width == 1)
        ph_buf_printf(&generator->body, "in[%u].data[0]", input);
    else
        ph_buf_printf(&generator->body, "ph_rule_get_i%d(&in[%u])", (int)width * 8, input);
}

/* ---- comparisons ---- */

static ph_code
put_sides(struct generator *generator, const struct ph_expr_node *node, const char *comparison)
{
    struct ph_buf *out = &generator->body;
    struct ph_value value;
    int64_t word = 0;

    if (is_word_class(node->left.class)) {
        put_column_word(generator, &node->left);
        ph_buf_printf(out, " %s ", comparison);
        if (node->right.kind == PH_OPERAND_COLUMN) {
            put_column_word(generator, &node->right);
            return PH_OK;
        }
        PH_TRY(word_of(generator, &node->right, node->left.column, &word));
        put_word(out, word);
        return PH_OK;
    }
    ph_buf_printf(out, "ph_rule_compare_%s(&in[%u], ",
                  node->left.class == PH_EXPR_NUMERIC ? "numeric" : "bytes",
                  input_of(generator, &node->left));
    if (node->right.kind == PH_OPERAND_COLUMN) {
        ph_buf_printf(out, "&in[%u]", input_of(generator, &node->right));
    } else {
        PH_TRY(bytes_of(generator, &node->right, node->left.column, &value));
        ph_buf_puts(out, "&(const struct ph_value)");
        put_bytes(out, &value);
    }
    ph_buf_printf(out, ") %s 0", comparison);
    return PH_OK;
}

static ph_code
put_compare(struct generator *generator, const struct ph_expr_node *node)
{
    static const char *const comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
    struct ph_buf *out = &generator->body;

    if (node->right.kind == PH_OPERAND_NULL) {
        ph_buf_puts(out, "PH_UNKNOWN");
        return PH_OK;
    }
    ph_buf_putc(out, '(');
    put_present(generator, &node->left);
    if (node->right.kind == PH_OPERAND_COLUMN) {
        ph_buf_puts(out, " && ");
        put_present(generator, &node->right);
    }
    ph_buf_puts(out, " ? ph_truth_of(");
    PH_TRY(put_sides(generator, node, comparisons[node->comparison]));
    ph_buf_puts(out, ") : PH_UNKNOWN)");
    return PH_OK;
}

/* ---- lists ---- */

static int
compare_words(const void *left, const void *right)
{
    const int64_t *a = left;
    const int64_t *b = right;

    return (*a > *b) - (*a < *b);
}

static int
compare_bytes(const void *left, const void *right)
{
    return ph_rule_compare_bytes(left, right);
}

static int
compare_numeric(const void *left, const void *right)
{
    return ph_rule_compare_numeric(left, right);
}

/* A function of the list's number that says whether a word is in it. */
static ph_code
write_switch(struct generator *generator, const struct ph_expr_node *node)
{
    struct ph_buf *out = &generator->before;
    int64_t *words = PH_ARENA_ARRAY(generator->code->arena, int64_t, node->n_list);
    uint32_t n = 0;

    if (words == NULL)
        return no_memory(generator);
    for (uint32_t i = 0; i < node->n_list; i++) {
        if (node->list[i].kind != PH_OPERAND_NULL)
            PH_TRY(word_of(generator, &node->list[i], node->left.column, &words[n++]));
    }
    qsort(words, n, sizeof *words, compare_words);
    ph_buf_printf(out,
                  "static bool\n%s_in_%u(int64_t value)\n{\n"
                  "    switch (value) {\n",
                  generator->code->function, generator->n_lists);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && words[i] == words[i - 1])
            continue;
        ph_buf_puts(out, "    case ");
        put_word(out, words[i]);
        ph_buf_puts(out, ":\n");
    }
    ph_buf_puts(out, n > 0 ? "        return true;\n" : "");
    ph_buf_puts(out, "    default:\n        return false;\n    }\n}\n\n");
    return PH_OK;
}

/* A sorted table of the list's number; one value at least. */
static ph_code
write_table(struct generator *generator, const struct ph_expr_node *node, uint32_t *n)
{
    struct ph_buf *out = &generator->before;
    struct ph_value *values = PH_ARENA_ARRAY(generator->code->arena, struct ph_value, node->n_list);

    if (values == NULL)
        return no_memory(generator);
    *n = 0;
    for (uint32_t i = 0; i < node->n_list; i++) {
        if (node->list[i].kind != PH_OPERAND_NULL)
            PH_TRY(bytes_of(generator, &node->list[i], node->left.column, &values[(*n)++]));
    }
    if (*n == 0)
        return PH_OK;
    qsort(values, *n, sizeof *values,
          node->left.class == PH_EXPR_NUMERIC ? compare_numeric : compare_bytes);
    ph_buf_printf(out, "static const struct ph_value %s_in_%u[] = {\n", generator->code->function,
                  generator->n_lists);
    for (uint32_t i = 0; i < *n; i++) {
        ph_buf_puts(out, "    ");
        put_bytes(out, &values[i]);
        ph_buf_puts(out, ",\n");
    }
    ph_buf_puts(out, "};\n\n");
    return PH_OK;
}

static ph_code
put_in(struct generator *generator, const struct ph_expr_node *node)
{
    struct ph_buf *out = &generator->body;
    const char *function = generator->code->function;
    bool has_null = false;
    uint32_t n = 0;

    for (uint32_t i = 0; i < node->n_list; i++)
        has_null |= node->list[i].kind == PH_OPERAND_NULL;
    ph_buf_putc(out, '(');
    put_present(generator, &node->left);
    ph_buf_puts(out, " ? (");
    if (is_word_class(node->left.class)) {
        PH_TRY(write_switch(generator, node));
        ph_buf_printf(out, "%s_in_%u(", function, generator->n_lists);
        put_column_word(generator, &node->left);
        ph_buf_putc(out, ')');
    } else {
        PH_TRY(write_table(generator, node, &n));
        if (n > 0)
            ph_buf_printf(out, "ph_rule_is_among(&in[%u], %s_in_%u, %u, ph_rule_compare_%s)",
                          input_of(generator, &node->left), function, generator->n_lists, n,
                          node->left.class == PH_EXPR_NUMERIC ? "numeric" : "bytes");
        else
            ph_buf_puts(out, "false");
    }
    ph_buf_printf(out, " ? PH_TRUE : %s) : PH_UNKNOWN)", has_null ? "PH_UNKNOWN" : "PH_FALSE");
    generator->n_lists++;
    return PH_OK;
}

/* ---- the tree ---- */

static void
put_truth(struct generator *generator, const struct ph_operand *operand)
{
    switch (operand->kind) {
    case PH_OPERAND_TRUE:
        ph_buf_puts(&generator->body, "PH_TRUE");
        return;
    case PH_OPERAND_FALSE:
        ph_buf_puts(&generator->body, "PH_FALSE");
        return;
    case PH_OPERAND_COLUMN:
        ph_buf_putc(&generator->body, '(');
        put_present(generator, operand);
        ph_buf_puts(&generator->body, " ? ph_truth_of(");
        put_column_word(generator, operand);
        ph_buf_puts(&generator->body, " != 0) : PH_UNKNOWN)");
        return;
    case PH_OPERAND_NUMBER:
    case PH_OPERAND_STRING:
    case PH_OPERAND_NULL:
        break;
    }
    ph_buf_puts(&generator->body, "PH_UNKNOWN");
}

static ph_code
put_node(struct generator *generator, const struct ph_expr_node *node, int indent)
{
    struct ph_buf *out = &generator->body;

    switch (node->kind) {
    case PH_EXPR_TRUTH:
        put_truth(generator, &node->left);
        return PH_OK;
    case PH_EXPR_COMPARE:
        return put_compare(generator, node);
    case PH_EXPR_IS_NULL:
        ph_buf_printf(out, "ph_truth_of(in[%u].len == PH_VALUE_NULL)",
                      input_of(generator, &node->left));
        return PH_OK;
    case PH_EXPR_IN:
        return put_in(generator, node);
    case PH_EXPR_NOT:
        ph_buf_puts(out, "ph_truth_not(");
        PH_TRY(put_node(generator, node->first, indent + 4));
        ph_buf_putc(out, ')');
        return PH_OK;
    case PH_EXPR_AND:
    case PH_EXPR_OR:
        break;
    }
    ph_buf_putc(out, '(');
    for (const struct ph_expr_node *child = node->first; child != NULL; child = child->next) {
        if (child != node->first)
            ph_buf_printf(out, "\n%*s%s ", indent, "", node->kind == PH_EXPR_AND ? "&" : "|");
        PH_TRY(put_node(generator, child, indent + 4));
    }
    ph_buf_putc(out, ')');
    return PH_OK;
}

ph_code
ph_expr_generate(const struct ph_expr *expr, const struct ph_expr_code *code, struct ph_buf *out,
                 struct ph_error *err)
{
    struct generator generator = {.expr = expr, .code = code, .err = err};

    if (expr->root == NULL)
        return ph_expr_fail(&expr->site, err, "pghaul cannot compute it: %s", expr->why_not);
    ph_buf_init(&generator.before, out->limit_bytes);
    ph_buf_init(&generator.body, out->limit_bytes);
    ph_code rc = put_node(&generator, expr->root, 8);
    if (rc == PH_OK && (!ph_buf_ok(&generator.before) || !ph_buf_ok(&generator.body)))
        rc = no_memory(&generator);
    if (rc == PH_OK) {
        ph_buf_puts(out, ph_buf_text(&generator.before));
        ph_buf_printf(out,
                      "static enum ph_truth\n%s(const struct ph_value *in)\n{\n"
                      "    (void)in;\n    return (enum ph_truth)",
                      code->function);
        ph_buf_puts(out, ph_buf_text(&generator.body));
        ph_buf_puts(out, ";\n}\n");
        if (!ph_buf_ok(out))
            rc = no_memory(&generator);
    }
    ph_buf_free(&generator.before);
    ph_buf_free(&generator.body);
    return rc;
}
