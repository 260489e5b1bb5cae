/*
 * The grammar of conditions, by recursive descent. The first thing that is not of the class ends
 * the parsing: what follows is the server's to judge.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/expr_tree.h"

#define DEPTH_MAX 64u

static ph_code parse_or(struct ph_expr_parser *parser, struct ph_expr_node **out);

static bool
is_word(const struct ph_token *token, const char *word)
{
    return token->kind == PH_TOKEN_WORD && strcmp(token->text, word) == 0;
}

static bool
take_word(struct ph_expr_parser *parser, const char *word)
{
    if (!is_word(parser->at, word))
        return false;
    parser->at++;
    return true;
}

/* Nothing more is to be done here: not of the class. */
static bool
is_over(const struct ph_expr_parser *parser)
{
    return parser->why_not != NULL;
}

static ph_code
new_node(struct ph_expr_parser *parser, enum ph_expr_kind kind, struct ph_expr_node **out)
{
    *out = PH_ARENA_ARRAY(parser->arena, struct ph_expr_node, 1);
    if (*out == NULL)
        return PH_FAIL(parser->err, PH_E_MEMORY, "out of memory");
    (*out)->kind = kind;
    return PH_OK;
}

static ph_code
not_expected(struct ph_expr_parser *parser)
{
    if (parser->at->kind == PH_TOKEN_END)
        return ph_expr_fail(parser->site, parser->err, "the condition ends too early");
    return ph_expr_not_of_class(parser, "\"%.64s\" is not among what it knows", parser->at->text);
}

/* ---- operands ---- */

/* Words that no column without quotes can be called. */
static bool
is_reserved(const char *word)
{
    static const char *const words[] = {"all",
                                        "analyze",
                                        "and",
                                        "any",
                                        "array",
                                        "as",
                                        "asc",
                                        "between",
                                        "both",
                                        "case",
                                        "cast",
                                        "check",
                                        "collate",
                                        "desc",
                                        "distinct",
                                        "else",
                                        "end",
                                        "exists",
                                        "fetch",
                                        "for",
                                        "from",
                                        "group",
                                        "having",
                                        "ilike",
                                        "in",
                                        "is",
                                        "isnull",
                                        "leading",
                                        "like",
                                        "limit",
                                        "not",
                                        "notnull",
                                        "or",
                                        "order",
                                        "overlaps",
                                        "row",
                                        "select",
                                        "similar",
                                        "some",
                                        "symmetric",
                                        "table",
                                        "then",
                                        "to",
                                        "trailing",
                                        "union",
                                        "user",
                                        "using",
                                        "when",
                                        "where",
                                        "window",
                                        "with",
                                        "current_user",
                                        "session_user",
                                        "current_role",
                                        "current_schema",
                                        "current_catalog",
                                        "interval",
                                        "default"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], word) == 0)
            return true;
    }
    return false;
}

static ph_code
take_number(struct ph_expr_parser *parser, struct ph_operand *out)
{
    bool is_negative = strcmp(parser->at->text, "-") == 0;

    if (parser->at->kind == PH_TOKEN_OPERATOR)
        parser->at++;
    if (parser->at->kind != PH_TOKEN_NUMBER)
        return not_expected(parser);
    out->kind = PH_OPERAND_NUMBER;
    out->text = parser->at->text;
    if (is_negative)
        out->text = ph_arena_printf(parser->arena, "-%s", out->text);
    parser->at++;
    return out->text != NULL ? PH_OK : PH_FAIL(parser->err, PH_E_MEMORY, "out of memory");
}

static bool
is_literal_word(const struct ph_token *token, enum ph_operand_kind *out)
{
    *out = is_word(token, "true")    ? PH_OPERAND_TRUE
           : is_word(token, "false") ? PH_OPERAND_FALSE
                                     : PH_OPERAND_NULL;
    return *out != PH_OPERAND_NULL || is_word(token, "null");
}

/* A column, unless what follows makes something else of the word. */
static ph_code
take_column(struct ph_expr_parser *parser, struct ph_operand *out)
{
    const struct ph_token *token = parser->at;
    const struct ph_token *next = token + 1;

    if (token->kind == PH_TOKEN_WORD && is_reserved(token->text))
        return not_expected(parser);
    if (next->kind == PH_TOKEN_OPEN)
        return ph_expr_not_of_class(parser, "%.64s() is a function", token->text);
    if (next->kind == PH_TOKEN_OTHER && strcmp(next->text, ".") == 0)
        return ph_expr_not_of_class(parser, "\"%.64s.\" stands before a name", token->text);
    if (next->kind == PH_TOKEN_STRING || next->kind == PH_TOKEN_OTHER ||
        next->kind == PH_TOKEN_NAME)
        return ph_expr_not_of_class(parser, "\"%.64s\" before %s is not among what it knows",
                                    token->text,
                                    next->kind == PH_TOKEN_STRING ? "a literal" : next->text);
    parser->at++;
    return ph_expr_bind_column(parser, token, out);
}

/* Whether the operand ends before that token: no operator makes more of it. */
static bool
ends_operand(const struct ph_token *token)
{
    static const char *const words[] = {"and", "or", "is", "not", "in", "between"};
    static const char *const operators[] = {"=", "<>", "!=", "<", "<=", ">", ">="};
    bool is_end = token->kind == PH_TOKEN_END || token->kind == PH_TOKEN_CLOSE ||
                  token->kind == PH_TOKEN_COMMA;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        is_end |= is_word(token, words[i]);
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        is_end |= token->kind == PH_TOKEN_OPERATOR && strcmp(token->text, operators[i]) == 0;
    return is_end;
}

static ph_code
take_single(struct ph_expr_parser *parser, struct ph_operand *out)
{
    const struct ph_token *token = parser->at;

    *out = (struct ph_operand){.kind = PH_OPERAND_STRING, .text = token->text};
    switch (token->kind) {
    case PH_TOKEN_NUMBER:
        return take_number(parser, out);
    case PH_TOKEN_OPERATOR:
        if (strcmp(token->text, "-") == 0 || strcmp(token->text, "+") == 0)
            return take_number(parser, out);
        break;
    case PH_TOKEN_STRING:
        parser->at++;
        return PH_OK;
    case PH_TOKEN_WORD:
        if (!is_literal_word(token, &out->kind))
            return take_column(parser, out);
        parser->at++;
        return PH_OK;
    case PH_TOKEN_NAME:
        return take_column(parser, out);
    case PH_TOKEN_END:
    case PH_TOKEN_OPEN:
    case PH_TOKEN_CLOSE:
    case PH_TOKEN_COMMA:
    case PH_TOKEN_OTHER:
        break;
    }
    return not_expected(parser);
}

/* A column or a literal. It is not looked at closer when it is only a part of something. */
static ph_code
take_operand(struct ph_expr_parser *parser, struct ph_operand *out)
{
    PH_TRY(take_single(parser, out));
    return is_over(parser) || ends_operand(parser->at) ? PH_OK : not_expected(parser);
}

/* ---- predicates ---- */

static ph_code
make_comparison(struct ph_expr_parser *parser, const struct ph_operand *left,
                enum ph_comparison comparison, const struct ph_operand *right,
                struct ph_expr_node **out)
{
    PH_TRY(new_node(parser, PH_EXPR_COMPARE, out));
    (*out)->comparison = comparison;
    (*out)->left = *left;
    (*out)->right = *right;
    return ph_expr_bind_pair(parser, &(*out)->left, &(*out)->right, &(*out)->comparison);
}

/* `kind` is AND or OR. */
static ph_code
make_two(struct ph_expr_parser *parser, enum ph_expr_kind kind, struct ph_expr_node *first,
         struct ph_expr_node *second, struct ph_expr_node **out)
{
    assert(first != NULL);
    PH_TRY(new_node(parser, kind, out));
    (*out)->first = first;
    first->next = second;
    return PH_OK;
}

static ph_code
make_not(struct ph_expr_parser *parser, struct ph_expr_node *node, struct ph_expr_node **out)
{
    PH_TRY(new_node(parser, PH_EXPR_NOT, out));
    (*out)->first = node;
    return PH_OK;
}

/* Behind BETWEEN. */
static ph_code
parse_between(struct ph_expr_parser *parser, const struct ph_operand *left,
              struct ph_expr_node **out)
{
    struct ph_operand low;
    struct ph_operand high;
    struct ph_expr_node *least = NULL;
    struct ph_expr_node *most = NULL;

    PH_TRY(take_operand(parser, &low));
    if (!is_over(parser) && !take_word(parser, "and"))
        return not_expected(parser);
    if (!is_over(parser))
        PH_TRY(take_operand(parser, &high));
    if (!is_over(parser))
        PH_TRY(make_comparison(parser, left, PH_GE, &low, &least));
    if (!is_over(parser))
        PH_TRY(make_comparison(parser, left, PH_LE, &high, &most));
    return is_over(parser) ? PH_OK : make_two(parser, PH_EXPR_AND, least, most, out);
}

/* How many operands are up to the parenthesis that closes. */
static size_t
count_items(const struct ph_token *token)
{
    size_t n = 1;

    for (; token->kind != PH_TOKEN_CLOSE && token->kind != PH_TOKEN_END; token++)
        n += token->kind == PH_TOKEN_COMMA;
    return n;
}

/* Behind IN. */
static ph_code
parse_in(struct ph_expr_parser *parser, const struct ph_operand *left, struct ph_expr_node **out)
{
    enum ph_comparison equal = PH_EQ;
    struct ph_operand item;

    if (parser->at->kind != PH_TOKEN_OPEN)
        return not_expected(parser);
    parser->at++;
    PH_TRY(new_node(parser, PH_EXPR_IN, out));
    struct ph_expr_node *node = *out;
    node->left = *left;
    node->list = PH_ARENA_ARRAY(parser->arena, struct ph_operand, count_items(parser->at));
    if (node->list == NULL)
        return PH_FAIL(parser->err, PH_E_MEMORY, "out of memory");
    for (;;) {
        PH_TRY(take_operand(parser, &item));
        if (is_over(parser))
            return PH_OK;
        if (left->kind != PH_OPERAND_COLUMN || item.kind == PH_OPERAND_COLUMN)
            return ph_expr_not_of_class(parser, "IN with a column in its list, or none before it");
        PH_TRY(ph_expr_bind_pair(parser, &node->left, &item, &equal));
        if (is_over(parser))
            return PH_OK;
        node->list[node->n_list++] = item;
        enum ph_token_kind kind = parser->at->kind;
        if (kind != PH_TOKEN_COMMA && kind != PH_TOKEN_CLOSE)
            return not_expected(parser);
        parser->at++;
        if (kind == PH_TOKEN_CLOSE)
            return PH_OK;
    }
}

static ph_code
parse_is(struct ph_expr_parser *parser, const struct ph_operand *left, struct ph_expr_node **out)
{
    bool is_not = take_word(parser, "not");

    if (!take_word(parser, "null"))
        return not_expected(parser);
    if (left->kind != PH_OPERAND_COLUMN)
        return ph_expr_not_of_class(parser, "IS NULL of something that is not a column");
    if (left->type == NULL || left->type->kind == 'c') /* a row of NULLs is NULL there */
        return ph_expr_not_of_class(parser, "\"%.64s\" is %s", left->column->name,
                                    left->column->type_text);
    PH_TRY(new_node(parser, PH_EXPR_IS_NULL, out));
    (*out)->left = *left;
    return is_not ? make_not(parser, *out, out) : PH_OK;
}

static bool
take_comparison(struct ph_expr_parser *parser, enum ph_comparison *out)
{
    static const char *const texts[] = {"=", "<>", "<", "<=", ">", ">=", "!="};
    static const enum ph_comparison values[] = {PH_EQ, PH_NE, PH_LT, PH_LE, PH_GT, PH_GE, PH_NE};

    if (parser->at->kind != PH_TOKEN_OPERATOR)
        return false;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(parser->at->text, texts[i]) == 0) {
            *out = values[i];
            parser->at++;
            return true;
        }
    }
    return false;
}

/* An operand by itself: true, false, null or a column that is boolean. */
static ph_code
make_truth(struct ph_expr_parser *parser, const struct ph_operand *left, struct ph_expr_node **out)
{
    bool is_end = parser->at->kind == PH_TOKEN_END || parser->at->kind == PH_TOKEN_CLOSE ||
                  is_word(parser->at, "and") || is_word(parser->at, "or");

    if (!is_end || left->kind == PH_OPERAND_STRING)
        return not_expected(parser);
    if (left->kind == PH_OPERAND_COLUMN && left->class != PH_EXPR_BOOL) {
        if (parser->at->kind == PH_TOKEN_CLOSE)
            return ph_expr_not_of_class(parser, "parentheses around \"%.64s\"", left->column->name);
        return ph_expr_fail(parser->site, parser->err, "\"%.64s\" is %s, not boolean",
                            left->column->name, left->column->type_text);
    }
    if (left->kind == PH_OPERAND_NUMBER)
        return ph_expr_not_of_class(parser, "a number by itself");
    PH_TRY(new_node(parser, PH_EXPR_TRUTH, out));
    (*out)->left = *left;
    return PH_OK;
}

static ph_code
parse_predicate(struct ph_expr_parser *parser, struct ph_expr_node **out)
{
    struct ph_operand left;
    struct ph_operand right;
    enum ph_comparison comparison;

    PH_TRY(take_operand(parser, &left));
    if (is_over(parser))
        return PH_OK;
    if (take_word(parser, "is"))
        return parse_is(parser, &left, out);
    bool is_not = is_word(parser->at, "not") &&
                  (is_word(parser->at + 1, "in") || is_word(parser->at + 1, "between"));
    parser->at += is_not;
    if (is_word(parser->at, "in") || is_word(parser->at, "between")) {
        bool is_in = is_word(parser->at, "in");
        parser->at++;
        PH_TRY(is_in ? parse_in(parser, &left, out) : parse_between(parser, &left, out));
        return is_not && !is_over(parser) ? make_not(parser, *out, out) : PH_OK;
    }
    if (!take_comparison(parser, &comparison))
        return make_truth(parser, &left, out);
    PH_TRY(take_operand(parser, &right));
    return is_over(parser) ? PH_OK : make_comparison(parser, &left, comparison, &right, out);
}

/* ---- AND, OR, NOT ---- */

static ph_code
parse_not(struct ph_expr_parser *parser, struct ph_expr_node **out)
{
    if (parser->depth >= DEPTH_MAX)
        return ph_expr_not_of_class(parser, "it is nested deeper than %u", DEPTH_MAX);
    parser->depth++;
    ph_code rc = PH_OK;
    if (take_word(parser, "not")) {
        rc = parse_not(parser, out);
        if (rc == PH_OK && !is_over(parser))
            rc = make_not(parser, *out, out);
    } else if (parser->at->kind == PH_TOKEN_OPEN) {
        parser->at++;
        rc = parse_or(parser, out);
        if (rc == PH_OK && !is_over(parser)) {
            if (parser->at->kind == PH_TOKEN_CLOSE)
                parser->at++;
            else
                rc = not_expected(parser);
        }
    } else {
        rc = parse_predicate(parser, out);
    }
    parser->depth--;
    return rc;
}

/* One or several of what `parse` takes with `word` between them. */
static ph_code
parse_chain(struct ph_expr_parser *parser, const char *word, enum ph_expr_kind kind,
            ph_code (*parse)(struct ph_expr_parser *parser, struct ph_expr_node **out),
            struct ph_expr_node **out)
{
    struct ph_expr_node *chain = NULL;
    struct ph_expr_node *last = NULL;

    PH_TRY(parse(parser, &last));
    *out = last;
    while (!is_over(parser) && take_word(parser, word)) {
        struct ph_expr_node *next = NULL;
        PH_TRY(parse(parser, &next));
        if (is_over(parser))
            return PH_OK;
        if (chain == NULL) {
            PH_TRY(make_two(parser, kind, last, next, &chain));
            *out = chain;
        } else {
            assert(last != NULL);
            last->next = next;
        }
        last = next;
    }
    return PH_OK;
}

static ph_code
parse_and(struct ph_expr_parser *parser, struct ph_expr_node **out)
{
    return parse_chain(parser, "and", PH_EXPR_AND, parse_not, out);
}

static ph_code
parse_or(struct ph_expr_parser *parser, struct ph_expr_node **out)
{
    return parse_chain(parser, "or", PH_EXPR_OR, parse_and, out);
}

/* ---- the whole ---- */

static void
mark_reads(const struct ph_expr_node *node, const struct ph_rel *rel, bool *marks)
{
    const struct ph_operand *operands[] = {&node->left, &node->right};

    for (size_t i = 0; i < 2; i++) {
        if (operands[i]->kind == PH_OPERAND_COLUMN && operands[i]->column != NULL)
            marks[operands[i]->column - rel->columns] = true;
    }
    for (const struct ph_expr_node *child = node->first; child != NULL; child = child->next)
        mark_reads(child, rel, marks);
}

static ph_code
list_reads(struct ph_expr_parser *parser, struct ph_expr *expr)
{
    const struct ph_rel *rel = parser->site->rel;
    bool *marks = PH_ARENA_ARRAY(parser->arena, bool, rel->n_columns);

    expr->reads = PH_ARENA_ARRAY(parser->arena, const struct ph_column *, rel->n_columns);
    if (marks == NULL || expr->reads == NULL)
        return PH_FAIL(parser->err, PH_E_MEMORY, "out of memory");
    mark_reads(expr->root, rel, marks);
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (marks[i])
            expr->reads[expr->n_reads++] = &rel->columns[i];
    }
    return PH_OK;
}

static bool
copy_site(const struct ph_expr_site *site, struct ph_arena *arena, struct ph_expr_site *out)
{
    *out = *site;
    out->text = ph_arena_strdup(arena, site->text);
    out->file = ph_arena_strdup(arena, site->file);
    out->what = ph_arena_strdup(arena, site->what);
    return out->text != NULL && out->file != NULL && out->what != NULL;
}

ph_code
ph_expr_parse(const struct ph_expr_site *site, struct ph_arena *arena, const struct ph_expr **out,
              struct ph_error *err)
{
    struct ph_expr *expr = PH_ARENA_ARRAY(arena, struct ph_expr, 1);
    struct ph_expr_node *root = NULL;

    if (expr == NULL || !copy_site(site, arena, &expr->site))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    struct ph_expr_parser parser = {.site = &expr->site, .arena = arena, .err = err};
    PH_TRY(ph_expr_lex(&parser));
    PH_TRY(parse_or(&parser, &root));
    if (parser.why_not == NULL && parser.at->kind != PH_TOKEN_END)
        PH_TRY(not_expected(&parser));
    expr->why_not = parser.why_not;
    expr->root = parser.why_not == NULL ? root : NULL;
    if (expr->root != NULL)
        PH_TRY(list_reads(&parser, expr));
    *out = expr;
    return PH_OK;
}
