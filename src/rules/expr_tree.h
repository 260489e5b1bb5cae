/* Inside expr*.c only: tokens, the tree of a condition of the class, and who makes them. */
#ifndef PH_RULES_EXPR_TREE_H
#define PH_RULES_EXPR_TREE_H

#include <stdbool.h>

#include "rules/expr.h"

enum ph_token_kind {
    PH_TOKEN_END,
    PH_TOKEN_WORD,   /* in lower case, as PostgreSQL takes it */
    PH_TOKEN_NAME,   /* was in double quotes */
    PH_TOKEN_NUMBER, /* digits, at most one dot, exponent */
    PH_TOKEN_STRING, /* a plain '…', its text */
    PH_TOKEN_OPERATOR,
    PH_TOKEN_OPEN,
    PH_TOKEN_CLOSE,
    PH_TOKEN_COMMA,
    PH_TOKEN_OTHER /* what no condition of the class has */
};

struct ph_token {
    enum ph_token_kind kind;
    const char *text; /* terminated */
};

enum ph_operand_kind {
    PH_OPERAND_COLUMN,
    PH_OPERAND_NUMBER,
    PH_OPERAND_STRING,
    PH_OPERAND_TRUE,
    PH_OPERAND_FALSE,
    PH_OPERAND_NULL
};

/* How values of a column are compared. */
enum ph_expr_class {
    PH_EXPR_NONE,
    PH_EXPR_INT2,
    PH_EXPR_INT4,
    PH_EXPR_INT8,
    PH_EXPR_NUMERIC,
    PH_EXPR_TEXT,
    PH_EXPR_ENUM,
    PH_EXPR_BOOL,
    PH_EXPR_DATE,
    PH_EXPR_TIMESTAMP,
    PH_EXPR_TIMESTAMPTZ,
    PH_EXPR_UUID
};

struct ph_operand {
    enum ph_operand_kind kind;
    const char *text;               /* number, string */
    const struct ph_column *column; /* column */
    enum ph_expr_class class;       /* of the column; of a literal that of the column beside it */
    const struct ph_type *type;     /* the same: never a domain */
};

enum ph_comparison { PH_EQ, PH_NE, PH_LT, PH_LE, PH_GT, PH_GE };

enum ph_expr_kind {
    PH_EXPR_TRUTH,   /* left: true, false, null or a column of type boolean */
    PH_EXPR_COMPARE, /* left is a column */
    PH_EXPR_IS_NULL, /* left */
    PH_EXPR_IN,      /* left is a column, of the literals in `list` */
    PH_EXPR_AND,
    PH_EXPR_OR,
    PH_EXPR_NOT /* first */
};

struct ph_expr_node {
    enum ph_expr_kind kind;
    enum ph_comparison comparison;
    struct ph_operand left;
    struct ph_operand right;
    struct ph_operand *list;
    uint32_t n_list;
    struct ph_expr_node *first; /* and, or: at least two of them; not: one */
    struct ph_expr_node *next;  /* of the one it is in */
};

struct ph_expr {
    struct ph_expr_site site; /* its texts copied */
    const char *why_not;
    const struct ph_expr_node *root; /* NULL with why_not */
    const struct ph_column **reads;
    uint32_t n_reads;
};

/* While it is parsed. */
struct ph_expr_parser {
    const struct ph_expr_site *site;
    struct ph_arena *arena;
    struct ph_error *err;
    const struct ph_token *tokens; /* the last is END */
    const struct ph_token *at;
    const char *why_not; /* once set, nothing is parsed any further */
    uint32_t depth;
};

/* A mistake: PH_E_RULES at the site. */
ph_code ph_expr_fail(const struct ph_expr_site *site, struct ph_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* site->text as tokens; refuses what cannot be put into parentheses, or is not always the same. */
ph_code ph_expr_lex(struct ph_expr_parser *parser);

/*
 * The nodes' operands bound and typed. A literal has the class of `beside`; both sides of a
 * comparison may be columns. Sets why_not, or fails.
 */
ph_code ph_expr_bind_column(struct ph_expr_parser *parser, const struct ph_token *token,
                            struct ph_operand *out);
ph_code ph_expr_bind_pair(struct ph_expr_parser *parser, struct ph_operand *left,
                          struct ph_operand *right, enum ph_comparison *comparison);
ph_code ph_expr_bind_literal(struct ph_expr_parser *parser, const struct ph_operand *beside,
                             struct ph_operand *literal);
/* why_not, as printf has it. */
ph_code ph_expr_not_of_class(struct ph_expr_parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool ph_expr_is_whole(const char *number, int64_t *out);

#endif
