/*
 * Conditions on a row (`where:`, `preserve:`): parsed, bound to the columns of a relation, printed
 * as SQL and as C that gives the same answer.
 *
 * A condition is *of the class* when pghaul can compute it by itself: comparisons, IS NULL, IN and
 * BETWEEN over columns and literals, bound together by AND, OR and NOT, over int2, int4, int8,
 * numeric, text, varchar and enums (=, <>, IN only), bool, date, timestamp, timestamptz and uuid,
 * and domains over them. Any other text is a condition that only a server can compute: it is kept
 * as it was written.
 *
 * An expression is made in an arena and immutable; it refers to the relation and the catalog, which
 * must outlive it. Nothing here keeps state; any thread.
 */
#ifndef PH_RULES_EXPR_H
#define PH_RULES_EXPR_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/catalog.h"
#include "pghaul/rule.h"
#include "rules/job_rules.h"

struct ph_expr;

struct ph_expr_site { /* what is parsed, and where it stands */
    const char *text;
    const char *file;           /* of the job, for messages */
    struct ph_rule_place place; /* in it */
    const char *what;           /* "where": the key it stands under, for messages */
    const struct ph_rel *rel;
    const struct ph_catalog *catalog; /* that `rel` is of */
};

/*
 * PH_OK also for a condition that is not of the class. PH_E_RULES with file:line:column: it cannot
 * be put into parentheses (unbalanced, a comment, a semicolon), is not the same every time (now(),
 * 'today'), names a column that is not there, or compares what PostgreSQL would not. PH_E_MEMORY.
 */
ph_code ph_expr_parse(const struct ph_expr_site *site, struct ph_arena *arena,
                      const struct ph_expr **out, struct ph_error *err) PH_MUST_CHECK;

/* Why it is not of the class, as the end of "pghaul cannot compute it: …"; NULL: it is. */
const char *ph_expr_why_not(const struct ph_expr *expr);

/*
 * The columns of the relation it reads, each once, in the relation's order. None when it is not of
 * the class: then it may read any of them.
 */
const struct ph_column *const *ph_expr_reads(const struct ph_expr *expr, uint32_t *n);

/*
 * Append it in parentheses: of the class with every name quoted and every literal typed, otherwise
 * as it was written. For WHERE; no prefix before the columns.
 */
void ph_expr_sql(const struct ph_expr *expr, struct ph_buf *out);

struct ph_expr_code {
    const char *function;   /* the name of the C function to write; helpers get it as prefix */
    const uint32_t *inputs; /* position in the function's `in` of each column of ph_expr_reads */
    /* As ph_ruleset_params.constant. The column is one of the expression's own, of the literal's
     * type: never a domain, without a modifier. */
    ph_code (*constant)(void *arg, const struct ph_column *column, const char *text,
                        struct ph_arena *arena, struct ph_value *out, struct ph_error *err);
    void *constant_arg;
    struct ph_arena *arena; /* for the constants */
};

/*
 * Append `static enum ph_truth FUNCTION(const struct ph_value *in)` (and static helpers before it)
 * for a file that includes pghaul/rule.h. A row meets the condition when it gives PH_TRUE. None of
 * the values that it reads may be PH_VALUE_UNCHANGED. For expressions of the class only.
 * PH_E_RULES with file:line:column for a literal that is not a value of its type (`constant` says
 * PH_E_TYPES); what else `constant` gives; PH_E_MEMORY.
 *
 * Call it also when the C is not wanted: it is the check of the literals.
 */
ph_code ph_expr_generate(const struct ph_expr *expr, const struct ph_expr_code *code,
                         struct ph_buf *out, struct ph_error *err) PH_MUST_CHECK;

#endif
