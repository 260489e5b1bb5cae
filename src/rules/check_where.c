/* Which rows the source gives: conditions for its SELECT, and values of other tables. */
#include "rules/check_parts.h"

ph_code
ph_check_where(struct ph_checker *checker, struct ph_draft *draft)
{
    if (draft->rule->where.text == NULL)
        return PH_OK;
    draft->route->where = ph_arena_printf(checker->arena, "(%s)", draft->rule->where.text);
    return draft->route->where == NULL ? ph_check_no_memory(checker) : PH_OK;
}

ph_code
ph_check_lookup(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                const struct ph_rule_column *rule)
{
    (void)output;
    ph_check_problem(checker, draft, rule->target.place, "not yet");
    return PH_OK;
}
