/* Columns of a condition by their names, and literals by the column that they stand beside. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "rules/expr_tree.h"
#include "rules/job_text.h"

static const struct {
    ph_oid oid;
    enum ph_expr_class class;
} classes[] = {
    {21, PH_EXPR_INT2},          {23, PH_EXPR_INT4},   {20, PH_EXPR_INT8},
    {1700, PH_EXPR_NUMERIC},     {25, PH_EXPR_TEXT},   {1043, PH_EXPR_TEXT},
    {16, PH_EXPR_BOOL},          {1082, PH_EXPR_DATE}, {1114, PH_EXPR_TIMESTAMP},
    {1184, PH_EXPR_TIMESTAMPTZ}, {2950, PH_EXPR_UUID},
};

ph_code
ph_expr_not_of_class(struct ph_expr_parser *parser, const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (parser->why_not == NULL)
        parser->why_not = ph_arena_strdup(parser->arena, text);
    return parser->why_not != NULL ? PH_OK : PH_FAIL(parser->err, PH_E_MEMORY, "out of memory");
}

/* ---- columns ---- */

static bool
is_system_column(const char *name)
{
    static const char *const names[] = {"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* The type of the values: what domains are over. */
static const struct ph_type *
base_type(const struct ph_catalog *catalog, ph_oid oid)
{
    const struct ph_type *type = ph_catalog_type(catalog, oid);

    for (int i = 0; type != NULL && type->kind == 'd' && i < 64; i++)
        type = ph_catalog_type(catalog, type->base_oid);
    return type;
}

static enum ph_expr_class
class_of(const struct ph_type *type)
{
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (classes[i].oid == type->oid)
            return classes[i].class;
    }
    return type->kind == 'e' ? PH_EXPR_ENUM : PH_EXPR_NONE;
}

static ph_code
fail_column(struct ph_expr_parser *parser, const char *name)
{
    const struct ph_rel *rel = parser->site->rel;
    struct ph_nearest nearest = {.word = name};

    for (uint32_t i = 0; i < rel->n_columns; i++)
        ph_nearest_offer(&nearest, rel->columns[i].name);
    return ph_expr_fail(
        parser->site, parser->err, "\"%.64s\" is not a column of %.64s.%.64s%s%s%s", name,
        rel->schema, rel->name, nearest.best != NULL ? "; did you mean \"" : "",
        nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "\"?" : "");
}

ph_code
ph_expr_bind_column(struct ph_expr_parser *parser, const struct ph_token *token,
                    struct ph_operand *out)
{
    const struct ph_rel *rel = parser->site->rel;
    const struct ph_column *column = ph_rel_column_named(rel, token->text);

    if (column == NULL && is_system_column(token->text))
        return ph_expr_not_of_class(parser, "%s is a system column", token->text);
    if (column == NULL && strcmp(token->text, rel->name) == 0)
        return ph_expr_not_of_class(parser, "\"%.64s\" is a whole row", token->text);
    if (column == NULL)
        return fail_column(parser, token->text);
    const struct ph_type *type = base_type(parser->site->catalog, column->type_oid);
    *out = (struct ph_operand){.kind = PH_OPERAND_COLUMN, .column = column, .type = type};
    out->class = type != NULL ? class_of(type) : PH_EXPR_NONE;
    return PH_OK;
}

/* ---- literals ---- */

bool
ph_expr_is_whole(const char *number, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(number, &end, 10);
    return errno == 0 && *end == '\0' && end != number;
}

/* Whether a word of it stands for a moment that moves on. */
static bool
has_moving_word(const char *text)
{
    static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

    for (const char *at = text; *at != '\0';) {
        size_t len = 0;
        while (isalpha((unsigned char)at[len]))
            len++;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (strlen(words[i]) == len && strncasecmp(words[i], at, len) == 0)
                return true;
        }
        at += len > 0 ? len : 1;
    }
    return false;
}

static ph_code
bind_label(struct ph_expr_parser *parser, const struct ph_operand *beside, const char *text)
{
    struct ph_nearest nearest = {.word = text};

    for (uint32_t i = 0; i < beside->type->n_labels; i++) {
        if (strcmp(beside->type->labels[i], text) == 0)
            return PH_OK;
        ph_nearest_offer(&nearest, beside->type->labels[i]);
    }
    return ph_expr_fail(parser->site, parser->err, "'%.64s' is not a value of \"%.64s\" (%s)%s%s%s",
                        text, beside->column->name, beside->column->type_text,
                        nearest.best != NULL ? "; did you mean '" : "",
                        nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
}

static ph_code
bind_string(struct ph_expr_parser *parser, const struct ph_operand *beside, const char *text)
{
    const struct ph_catalog *catalog = parser->site->catalog;
    bool is_moment = beside->class == PH_EXPR_DATE || beside->class == PH_EXPR_TIMESTAMP ||
                     beside->class == PH_EXPR_TIMESTAMPTZ;

    if (is_moment && has_moving_word(text))
        return ph_expr_fail(parser->site, parser->err,
                            "'%.64s' is not the same every time; write the value itself", text);
    if (!ph_job_text_is_readable(text, catalog))
        return ph_expr_not_of_class(parser, "a literal is not ASCII, and the database is in %s",
                                    catalog->encoding);
    return beside->class == PH_EXPR_ENUM ? bind_label(parser, beside, text) : PH_OK;
}

static ph_code
bind_number(struct ph_expr_parser *parser, const struct ph_operand *beside, const char *text)
{
    int64_t whole;

    switch (beside->class) {
    case PH_EXPR_NUMERIC:
        return PH_OK;
    case PH_EXPR_INT2:
    case PH_EXPR_INT4:
    case PH_EXPR_INT8:
        if (ph_expr_is_whole(text, &whole))
            return PH_OK;
        return ph_expr_not_of_class(parser, "%.64s beside \"%.64s\" (%s) is not a bigint", text,
                                    beside->column->name, beside->column->type_text);
    case PH_EXPR_TEXT:
    case PH_EXPR_ENUM:
    case PH_EXPR_BOOL:
    case PH_EXPR_DATE:
    case PH_EXPR_TIMESTAMP:
    case PH_EXPR_TIMESTAMPTZ:
    case PH_EXPR_UUID:
    case PH_EXPR_NONE:
        break;
    }
    return ph_expr_fail(parser->site, parser->err,
                        "\"%.64s\" is %s and %.64s a number; put quotes around it",
                        beside->column->name, beside->column->type_text, text);
}

ph_code
ph_expr_bind_literal(struct ph_expr_parser *parser, const struct ph_operand *beside,
                     struct ph_operand *literal)
{
    literal->class = beside->class;
    literal->type = beside->type;
    switch (literal->kind) {
    case PH_OPERAND_NUMBER:
        return bind_number(parser, beside, literal->text);
    case PH_OPERAND_STRING:
        return bind_string(parser, beside, literal->text);
    case PH_OPERAND_TRUE:
    case PH_OPERAND_FALSE:
        if (beside->class == PH_EXPR_BOOL)
            return PH_OK;
        return ph_expr_fail(parser->site, parser->err, "\"%.64s\" is %s, not boolean",
                            beside->column->name, beside->column->type_text);
    case PH_OPERAND_NULL:
    case PH_OPERAND_COLUMN:
        break;
    }
    return PH_OK;
}

/* ---- comparisons ---- */

static ph_code
check_comparable(struct ph_expr_parser *parser, const struct ph_operand *operand,
                 enum ph_comparison comparison)
{
    const struct ph_column *column = operand->column;
    bool is_order = comparison != PH_EQ && comparison != PH_NE;

    if (operand->class == PH_EXPR_NONE)
        return ph_expr_not_of_class(parser, "\"%.64s\" is %s", column->name, column->type_text);
    if (column->nondeterministic)
        return ph_expr_not_of_class(
            parser, "\"%.64s\" has a collation in which different texts are equal", column->name);
    if (is_order && operand->class == PH_EXPR_TEXT)
        return ph_expr_not_of_class(parser,
                                    "the order of texts (\"%.64s\") is a matter of "
                                    "collation",
                                    column->name);
    if (is_order && operand->class == PH_EXPR_ENUM)
        return ph_expr_not_of_class(parser,
                                    "\"%.64s\" is an enum, of which it compares with =, <> "
                                    "and IN only",
                                    column->name);
    return PH_OK;
}

static bool is_integer(enum ph_expr_class class)
{
    return class == PH_EXPR_INT2 || class == PH_EXPR_INT4 || class == PH_EXPR_INT8;
}

static enum ph_comparison
turned(enum ph_comparison comparison)
{
    switch (comparison) {
    case PH_LT:
        return PH_GT;
    case PH_LE:
        return PH_GE;
    case PH_GT:
        return PH_LT;
    case PH_GE:
        return PH_LE;
    case PH_EQ:
    case PH_NE:
        break;
    }
    return comparison;
}

ph_code
ph_expr_bind_pair(struct ph_expr_parser *parser, struct ph_operand *left, struct ph_operand *right,
                  enum ph_comparison *comparison)
{
    if (left->kind != PH_OPERAND_COLUMN) {
        struct ph_operand other = *left;
        *left = *right;
        *right = other;
        *comparison = turned(*comparison);
    }
    if (left->kind != PH_OPERAND_COLUMN)
        return ph_expr_not_of_class(parser, "a comparison without a column");
    PH_TRY(check_comparable(parser, left, *comparison));
    if (parser->why_not != NULL)
        return PH_OK;
    if (right->kind != PH_OPERAND_COLUMN)
        return ph_expr_bind_literal(parser, left, right);
    PH_TRY(check_comparable(parser, right, *comparison));
    bool is_same =
        left->class == right->class && (left->class != PH_EXPR_ENUM || left->type == right->type);
    if (!is_same && !(is_integer(left->class) && is_integer(right->class)))
        return ph_expr_not_of_class(parser, "\"%.64s\" is %s and \"%.64s\" %s", left->column->name,
                                    left->column->type_text, right->column->name,
                                    right->column->type_text);
    return PH_OK;
}
