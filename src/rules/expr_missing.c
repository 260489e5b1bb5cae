/* Until src/rules/expr.c is there: every condition is the server's. */
#include "rules/expr.h"

struct ph_expr {
    const char *text;
};

__attribute__((weak)) ph_code
ph_expr_parse(const struct ph_expr_site *site, struct ph_arena *arena, const struct ph_expr **out,
              struct ph_error *err)
{
    struct ph_expr *expr = ph_arena_alloc(arena, sizeof *expr);

    if (expr == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory");
    expr->text = site->text;
    *out = expr;
    return PH_OK;
}

__attribute__((weak)) const char *
ph_expr_why_not(const struct ph_expr *expr)
{
    (void)expr;
    return "not yet";
}

__attribute__((weak)) const struct ph_column *const *
ph_expr_reads(const struct ph_expr *expr, uint32_t *n)
{
    (void)expr;
    *n = 0;
    return NULL;
}

__attribute__((weak)) void
ph_expr_sql(const struct ph_expr *expr, struct ph_buf *out)
{
    ph_buf_printf(out, "(%s)", expr->text);
}

__attribute__((weak)) ph_code
ph_expr_generate(const struct ph_expr *expr, const struct ph_expr_code *code, struct ph_buf *out,
                 struct ph_error *err)
{
    (void)expr;
    (void)code;
    (void)out;
    return PH_FAIL(err, PH_E_INTERNAL, "not yet");
}
