/* What can be asked of a condition, and its SQL. */
#include "rules/expr.h"

#include "rules/expr_tree.h"

const char *
ph_expr_why_not(const struct ph_expr *expr)
{
    return expr->why_not;
}

const struct ph_column *const *
ph_expr_reads(const struct ph_expr *expr, uint32_t *n)
{
    *n = expr->n_reads;
    return expr->reads;
}

/* An integer's literal in quotes is read as the widest, whatever stands beside it. */
static void
put_type(const struct ph_operand *operand, struct ph_buf *out)
{
    bool is_integer = operand->class == PH_EXPR_INT2 || operand->class == PH_EXPR_INT4;

    ph_buf_puts(out, "::");
    ph_buf_put_qualified(out, operand->type->schema,
                         is_integer                       ? "int8"
                         : operand->class == PH_EXPR_TEXT ? "text"
                                                          : operand->type->name);
}

static void
put_operand(const struct ph_operand *operand, struct ph_buf *out)
{
    switch (operand->kind) {
    case PH_OPERAND_COLUMN:
        ph_buf_put_ident(out, operand->column->name);
        return;
    case PH_OPERAND_NUMBER:
        ph_buf_printf(out, operand->text[0] == '-' ? "(%s)" : "%s", operand->text);
        return;
    case PH_OPERAND_STRING:
        ph_buf_put_literal(out, operand->text);
        put_type(operand, out);
        return;
    case PH_OPERAND_TRUE:
        ph_buf_puts(out, "true");
        return;
    case PH_OPERAND_FALSE:
        ph_buf_puts(out, "false");
        return;
    case PH_OPERAND_NULL:
        ph_buf_puts(out, "NULL");
        if (operand->type != NULL)
            put_type(operand, out);
        return;
    }
}

static void
put_node(const struct ph_expr_node *node, struct ph_buf *out)
{
    static const char *const comparisons[] = {" = ", " <> ", " < ", " <= ", " > ", " >= "};

    ph_buf_putc(out, '(');
    switch (node->kind) {
    case PH_EXPR_TRUTH:
        put_operand(&node->left, out);
        if (node->left.kind == PH_OPERAND_NULL)
            ph_buf_puts(out, "::pg_catalog.bool");
        break;
    case PH_EXPR_COMPARE:
        put_operand(&node->left, out);
        ph_buf_puts(out, comparisons[node->comparison]);
        put_operand(&node->right, out);
        break;
    case PH_EXPR_IS_NULL:
        put_operand(&node->left, out);
        ph_buf_puts(out, " IS NULL");
        break;
    case PH_EXPR_IN:
        put_operand(&node->left, out);
        ph_buf_puts(out, " IN (");
        for (uint32_t i = 0; i < node->n_list; i++) {
            ph_buf_puts(out, i > 0 ? ", " : "");
            put_operand(&node->list[i], out);
        }
        ph_buf_putc(out, ')');
        break;
    case PH_EXPR_NOT:
        ph_buf_puts(out, "NOT ");
        put_node(node->first, out);
        break;
    case PH_EXPR_AND:
    case PH_EXPR_OR:
        for (const struct ph_expr_node *child = node->first; child != NULL; child = child->next) {
            if (child != node->first)
                ph_buf_puts(out, node->kind == PH_EXPR_AND ? " AND " : " OR ");
            put_node(child, out);
        }
        break;
    }
    ph_buf_putc(out, ')');
}

void
ph_expr_sql(const struct ph_expr *expr, struct ph_buf *out)
{
    if (expr->root != NULL) {
        put_node(expr->root, out);
        return;
    }
    ph_buf_putc(out, '(');
    ph_buf_puts(out, expr->site.text);
    ph_buf_putc(out, ')');
}
