/* Unpivot and each: columns or elements that become rows. */
#include "rules/check_parts.h"

ph_code
ph_check_shape(struct ph_checker *checker, struct ph_draft *draft)
{
    if (draft->rule->unpivot.is_there)
        ph_check_problem(checker, draft, draft->rule->unpivot.place, "not yet");
    return PH_OK;
}

ph_code
ph_check_shape_column(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                      bool *is_shaped)
{
    (void)checker;
    (void)draft;
    (void)output;
    *is_shaped = false;
    return PH_OK;
}
