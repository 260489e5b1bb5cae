/*
 * character(n): the blanks at its end mean nothing, and PostgreSQL takes them off where it makes
 * text of it, which is before any function of text sees it. So do chains: what stays is what a
 * column of character(n) at the end puts there again. Decided by the first step, for all of its
 * arguments; columns that pass by no step are bytes, and stay those.
 */
#include <string.h>

#include "model/type_match.h"
#include "rules/check_parts.h"

/* Functions that ask the type's output function, which has the blanks, and casts through it. */
static bool
keeps_blanks(const struct ph_rule_step *step, const char *target_class)
{
    char class[PH_CLASS_SIZE];

    if (step->library != NULL || step->map != NULL)
        return false;
    if (strcmp(step->op, "cast") != 0)
        return strcmp(step->op, "concat") == 0;
    if (step->params.n == 0 || step->params.items[0].text == NULL)
        return strcmp(target_class, "text") != 0;
    ph_type_class_named(step->params.items[0].text, class);
    return strcmp(class, "text") != 0;
}

static bool
is_padded(const struct ph_catalog *catalog, ph_oid oid)
{
    const struct ph_type *type = ph_type_base(catalog, oid);

    return type != NULL && strcmp(type->schema, "pg_catalog") == 0 &&
           strcmp(type->name, "bpchar") == 0;
}

bool
ph_check_strips(const struct ph_rule_step *steps, uint32_t n_steps, const char *target_class)
{
    return n_steps > 0 && !keeps_blanks(&steps[0], target_class);
}

/* unpivot: which of its columns are padded; some may be, beside text. */
static ph_code
look_at_columns(struct ph_checker *checker, struct ph_draft *draft, struct ph_arg_plan *arg)
{
    struct ph_shape_plan *shape = &draft->plan->shape;
    bool *padded = PH_ARENA_ARRAY(checker->arena, bool, (size_t)shape->n_inputs + 1);
    uint32_t n_padded = 0;

    if (padded == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < shape->n_inputs; i++) {
        padded[i] = is_padded(checker->params->source, draft->input_types[shape->inputs[i]]);
        n_padded += padded[i];
    }
    arg->padding = n_padded == 0                ? PH_PADDED_NOT
                   : n_padded < shape->n_inputs ? PH_PADDED_SOME
                                                : PH_PADDED_ALL;
    if (arg->padding == PH_PADDED_SOME)
        shape->padded = padded;
    return PH_OK;
}

/* Of an argument that comes from one column; 0: it is JSON's, or not of the data. */
static ph_oid
type_of(const struct ph_checker *checker, const struct ph_draft *draft,
        const struct ph_arg_plan *arg)
{
    if (arg->kind == PH_ARG_INPUT)
        return draft->input_types[arg->input];
    if (arg->kind != PH_ARG_ELEMENT)
        return 0;
    const struct ph_type *type =
        ph_type_base(checker->params->source, draft->input_types[draft->plan->shape.inputs[0]]);
    return type != NULL && ph_type_is_array(type) ? type->elem_oid : 0;
}

ph_code
ph_check_padding(struct ph_checker *checker, struct ph_draft *draft, struct ph_arg_plan *args,
                 uint32_t n_args)
{
    for (uint32_t i = 0; i < n_args; i++) {
        if (args[i].kind == PH_ARG_ELEMENT && !draft->plan->shape.is_each)
            PH_TRY(look_at_columns(checker, draft, &args[i]));
        else if (is_padded(checker->params->source, type_of(checker, draft, &args[i])))
            args[i].padding = PH_PADDED_ALL;
    }
    return PH_OK;
}
