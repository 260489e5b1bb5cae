/*
 * The outputs of a route, column after column of the target: by the rule for it, from the source's
 * column of the same name, by a shape, or left at its default.
 */
#include <assert.h>
#include <stdio.h>

#include "model/type_match.h"
#include "rules/check_parts.h"

static const struct ph_rule_column *
find_rule(const struct ph_rule_route *route, const char *target)
{
    for (uint32_t i = 0; i < route->n_columns; i++) {
        if (strcmp(route->columns[i].target.text, target) == 0)
            return &route->columns[i];
    }
    return NULL;
}

static const struct ph_followed_rule *
find_followed(const struct ph_checker *checker, const struct ph_draft *draft, const char *target)
{
    for (uint32_t i = 0; i < checker->n_followed; i++) {
        const struct ph_followed_rule *followed = &checker->followed[i];
        if (ph_check_is_for(checker, followed, draft->source, draft->target) &&
            strcmp(followed->rule.target.text, target) == 0)
            return followed;
    }
    return NULL;
}

static bool
is_dropped(const struct ph_draft *draft, const char *column)
{
    for (uint32_t i = 0; i < draft->rule->drop.n; i++) {
        if (strcmp(draft->rule->drop.items[i].text, column) == 0)
            return true;
    }
    return false;
}

static struct ph_rule_place
place_of(const struct ph_draft *draft, const struct ph_rule_column *rule)
{
    return rule != NULL && rule->target.place.line > 0 ? rule->target.place
                                                       : draft->table->source.place;
}

/* ---- one column as it is ---- */

static ph_code
pass_words(struct ph_checker *checker, struct ph_route_output *output, const struct ph_column *from)
{
    bool is_same = strcmp(from->name, output->target->name) == 0;

    output->words = is_same ? "as it is" : ph_arena_printf(checker->arena, "from %s", from->name);
    return output->words == NULL ? ph_check_no_memory(checker) : PH_OK;
}

/* Texts on their way into an enum, one by one or in an array: a program looks at each. */
static bool
may_be_labels(const struct ph_catalog *target, const struct ph_column *column, const char *class)
{
    if (strcmp(class, "text[]") != 0)
        return strcmp(class, "text") == 0;
    const struct ph_type *type = ph_type_base(target, column->type_oid);
    if (type != NULL)
        type = ph_type_base(target, type->elem_oid);
    return type != NULL && type->kind == 'e';
}

/* Types of one class: the bytes are the same, but for OIDs in them, which the lane rewrites. */
static ph_code
pass_same_class(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
                const struct ph_column *from, bool is_text, struct ph_rule_place place)
{
    const struct ph_ruleset_params *params = checker->params;
    const struct ph_column *target = draft->outputs[n].target;
    struct ph_type_match match = {0};

    ph_type_match(params->source, from->type_oid, params->target, target->type_oid, &match);
    draft->makes[n].kind = PH_MAKE_PASS;
    if (match.kind == PH_MATCH_PASS || match.kind == PH_MATCH_REMAP)
        return PH_OK;
    if (is_text) {
        draft->drafts[n].is_soft = true;
        draft->needs_program |= match.kind == PH_MATCH_NONE; /* an enum that lacks labels */
        return PH_OK;
    }
    if (match.kind == PH_MATCH_NONE) {
        ph_check_problem(checker, draft, place, "column %s: %s", target->name, match.reason);
        return PH_OK;
    }
    draft->drafts[n].text_only = true;
    snprintf(draft->drafts[n].reason, sizeof draft->drafts[n].reason, "%s", match.reason);
    return PH_OK;
}

/* Types of two classes: through a cast, or, on a route without a program, as text. */
static ph_code
pass_other_class(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
                 const struct ph_column *from, struct ph_rule_place place)
{
    const struct ph_ruleset_params *params = checker->params;
    struct ph_route_output *output = &draft->outputs[n];
    struct ph_type_match match = {0};
    const struct ph_chain_wanted wanted = {
        .args = draft->makes[n].args, .n_args = 1, .place = place, .is_lenient = true};

    PH_TRY(ph_check_chain(checker, draft, n, &wanted));
    if (!draft->drafts[n].text_only) {
        output->source = NULL;
        draft->needs_program = true;
        return PH_OK;
    }
    draft->makes[n].kind = PH_MAKE_PASS;
    ph_type_match(params->source, from->type_oid, params->target, output->target->type_oid, &match);
    if (match.kind == PH_MATCH_NONE)
        ph_check_problem(checker, draft, place, "column %s: %s; say how with `do:`",
                         output->target->name, match.reason);
    return PH_OK;
}

static ph_code
pass_column(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
            const struct ph_column *from, struct ph_rule_place place)
{
    struct ph_route_output *output = &draft->outputs[n];
    struct ph_arg_plan *arg = PH_ARENA_ARRAY(checker->arena, struct ph_arg_plan, 1);
    char source_class[PH_CLASS_SIZE];
    char target_class[PH_CLASS_SIZE];

    assert(from != NULL);
    if (arg == NULL)
        return ph_check_no_memory(checker);
    PH_TRY(ph_check_input(checker, draft, from, &arg->input));
    draft->taken[from - draft->source->columns] = true;
    draft->makes[n].args = arg;
    draft->makes[n].n_args = 1;
    output->source = from;
    output->input = arg->input;
    output->reads = &arg->input;
    output->n_reads = 1;
    output->is_injective = true;
    PH_TRY(pass_words(checker, output, from));
    if (!ph_type_class(checker->params->source, from->type_oid, source_class) ||
        !ph_type_class(checker->params->target, output->target->type_oid, target_class)) {
        ph_check_problem(checker, draft, place, "the type of column %s is not known", from->name);
        return PH_OK;
    }
    bool is_same = strcmp(source_class, target_class) == 0;
    PH_TRY(is_same
               ? pass_same_class(
                     checker, draft, n, from,
                     may_be_labels(checker->params->target, output->target, target_class), place)
               : pass_other_class(checker, draft, n, from, place));
    return ph_check_fit(checker, draft, n, is_same || draft->drafts[n].text_only ? from : NULL);
}

/* ---- by a rule ---- */

/* Whether NULL can come out only where it came in, and it does not come in. */
static ph_code
fit_of_chain(struct ph_checker *checker, struct ph_draft *draft, uint32_t n)
{
    PH_TRY(ph_check_fit(checker, draft, n, NULL));
    if (draft->makes[n].fit.call != PH_RULE_NONE) {
        const struct ph_call_plan *fit = &checker->set->calls[draft->makes[n].fit.call];
        bool keeps_elements = strcmp(fit->op->name, "fit_array") == 0 &&
                              (fit->n_params == 1 || strcmp(fit->params[1], "fit_label") == 0);
        if ((fit->op->flags & PH_RULE_INJECTIVE) == 0 && !keeps_elements)
            draft->outputs[n].is_injective = false;
    }
    return PH_OK;
}

/* Types that only the lane can carry over: it rewrites the OIDs in them, no operator does. */
static void
refuse_embedded(struct ph_checker *checker, const struct ph_draft *draft, uint32_t n,
                const struct ph_column *from, struct ph_rule_place place)
{
    const struct ph_column *target = draft->outputs[n].target;
    struct ph_type_match match;
    char class[PH_CLASS_SIZE];

    if (!ph_type_class(checker->params->target, target->type_oid, class) ||
        strchr(class, '.') == NULL)
        return;
    ph_type_match(checker->params->source, from->type_oid, checker->params->target,
                  target->type_oid, &match);
    if (match.kind != PH_MATCH_PASS)
        ph_check_problem(checker, draft, place,
                         "column %s is of type %s, on whose values no rule can be", target->name,
                         class);
}

struct args { /* of a chain */
    struct ph_arg_plan *items;
    uint32_t n;
    const struct ph_column *column; /* the last of the source's; NULL: none */
    bool has_parts;                 /* `$value` or the like is among them */
    bool is_told;                   /* one is not there */
};

static ph_code
read_args(struct ph_checker *checker, struct ph_draft *draft, struct ph_rule_words from,
          struct args *args)
{
    enum ph_shape_part part;

    args->items = PH_ARENA_ARRAY(checker->arena, struct ph_arg_plan, from.n);
    if (args->items == NULL)
        return ph_check_no_memory(checker);
    for (args->n = 0; args->n < from.n && !args->is_told; args->n++) {
        struct ph_arg_plan *arg = &args->items[args->n];
        PH_TRY(ph_check_shape_part(checker, draft, from.items[args->n], arg, &part));
        args->has_parts |= part == PH_PART_FOUND;
        args->is_told |= part == PH_PART_TOLD;
        if (part != PH_PART_NONE)
            continue;
        const struct ph_column *column =
            ph_check_source_column(checker, draft, from.items[args->n]);
        args->is_told |= column == NULL;
        if (column == NULL)
            continue;
        args->column = column;
        PH_TRY(ph_check_input(checker, draft, column, &arg->input));
        draft->taken[column - draft->source->columns] = true;
    }
    return PH_OK;
}

/* What parts of a shape are made to is no function of the source's columns alone; whether it tells
 * the rows apart that one row becomes, keys depend on. */
static void
note_parts(struct ph_draft *draft, uint32_t n, const struct ph_rule_column *rule,
           const struct args *args)
{
    struct ph_draft_output *drafted = &draft->drafts[n];
    bool keeps_apart = draft->outputs[n].is_injective && args->n == 1;

    draft->outputs[n].is_injective = false;
    drafted->is_element = args->n == 1 && args->items[0].kind == PH_ARG_ELEMENT &&
                          (keeps_apart || rule->n_steps == 0);
    drafted->tells_rows = keeps_apart && args->items[0].kind != PH_ARG_ELEMENT;
}

static ph_code
strip_args(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
           const struct ph_rule_column *rule, struct args *args)
{
    char class[PH_CLASS_SIZE];

    (void)ph_type_class(checker->params->target, draft->outputs[n].target->type_oid, class);
    if (!ph_check_strips(rule->steps, rule->n_steps, class))
        return PH_OK;
    return ph_check_padding(checker, draft, args->items, args->n);
}

/* `own`: what a rule without `from:` is about. */
static ph_code
take_columns(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
             const struct ph_rule_column *rule, struct ph_rule_word own)
{
    struct ph_rule_words from = rule->from.n > 0 ? rule->from : (struct ph_rule_words){&own, 1};
    struct args args = {0};

    PH_TRY(read_args(checker, draft, from, &args));
    if (args.is_told)
        return PH_OK;
    if (rule->n_steps == 0 && args.n == 1 && !args.has_parts)
        return pass_column(checker, draft, n, args.column, place_of(draft, rule));
    const struct ph_chain_wanted wanted = {.args = args.items,
                                           .n_args = args.n,
                                           .steps = rule->steps,
                                           .n_steps = rule->n_steps,
                                           .place = place_of(draft, rule)};
    draft->needs_program = true;
    if (args.column != NULL)
        refuse_embedded(checker, draft, n, args.column, wanted.place);
    PH_TRY(strip_args(checker, draft, n, rule, &args));
    PH_TRY(ph_check_chain(checker, draft, n, &wanted));
    PH_TRY(fit_of_chain(checker, draft, n));
    if (args.has_parts)
        note_parts(draft, n, rule, &args);
    return PH_OK;
}

/* The column for `$value`, by the rule for it or as it is. */
static ph_code
take_value(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
           const struct ph_rule_column *rule)
{
    const struct ph_rule_column plain = {.target = *ph_check_value_word(draft->rule),
                                         .kind = PH_RULE_TAKE};
    const struct ph_rule_word value = {"$value",
                                       rule != NULL ? rule->target.place : plain.target.place};
    bool reads_value = rule == NULL || (rule->kind == PH_RULE_TAKE && rule->from.n == 0);

    for (uint32_t i = 0; rule != NULL && rule->kind == PH_RULE_TAKE && i < rule->from.n; i++)
        reads_value |= strcmp(rule->from.items[i].text, value.text) == 0;
    if (!reads_value) {
        ph_check_problem(checker, draft, value.place,
                         "column %s is filled by unpivot or each: its rule can only be a chain on "
                         "that value (`from: $value`)",
                         plain.target.text);
        return PH_OK;
    }
    return take_columns(checker, draft, n, rule != NULL ? rule : &plain, value);
}

/* What is not made of a column stands in the place of the source's of the same name. */
static void
replace(const struct ph_draft *draft, uint32_t n)
{
    const struct ph_column *replaced =
        ph_rel_column_named(draft->source, draft->outputs[n].target->name);

    if (replaced == NULL)
        return;
    draft->taken[replaced - draft->source->columns] = true;
    draft->classified[replaced - draft->source->columns].is_decided = true;
}

static ph_code
set_constant(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
             const struct ph_rule_column *rule)
{
    struct ph_route_output *output = &draft->outputs[n];

    draft->needs_program = true;
    draft->makes[n].kind = PH_MAKE_CONSTANT;
    if (rule->constant.text == NULL &&
        ph_type_column_not_null(checker->params->target, output->target))
        ph_check_problem(checker, draft, place_of(draft, rule),
                         "column %s is NOT NULL on the target and set to null",
                         output->target->name);
    output->words = rule->constant.text == NULL
                        ? "always NULL"
                        : ph_arena_printf(checker->arena, "always %s", rule->constant.text);
    if (output->words == NULL)
        return ph_check_no_memory(checker);
    PH_TRY(ph_check_fit(checker, draft, n, NULL));
    return ph_check_constant(checker, draft, output->target, rule->constant,
                             &draft->makes[n].constant);
}

static ph_code
draft_rule(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
           const struct ph_rule_column *rule)
{
    switch (rule->kind) {
    case PH_RULE_KEEP:
    case PH_RULE_TAKE:
        return take_columns(checker, draft, n, rule, rule->target);
    case PH_RULE_SET:
        replace(draft, n);
        return set_constant(checker, draft, n, rule);
    case PH_RULE_LOOKUP:
        return ph_check_lookup(checker, draft, n, rule);
    case PH_RULE_NUMBER:
        replace(draft, n);
        return ph_check_number(checker, draft, n, rule);
    }
    return PH_OK;
}

/* ---- all of them ---- */

/* A rule that nobody wrote says why it is there. */
static ph_code
add_because(struct ph_checker *checker, struct ph_draft *draft, uint32_t n)
{
    struct ph_route_output *output = &draft->outputs[n];

    if (draft->drafts[n].because == NULL || output->words == NULL)
        return PH_OK;
    output->words = ph_arena_printf(checker->arena, "%s, because it refers to %s", output->words,
                                    draft->drafts[n].because);
    return output->words == NULL ? ph_check_no_memory(checker) : PH_OK;
}

static ph_code
draft_column(struct ph_checker *checker, struct ph_draft *draft, const struct ph_column *target)
{
    uint32_t n = draft->route->n_outputs;
    const struct ph_rule_column *rule = find_rule(draft->rule, target->name);
    const struct ph_followed_rule *followed =
        rule != NULL ? NULL : find_followed(checker, draft, target->name);
    const struct ph_column *from = ph_rel_column_named(draft->source, target->name);
    bool is_shaped = false;

    draft->outputs[n] = (struct ph_route_output){.target = target};
    draft->drafts[n] = (struct ph_draft_output){.rule = rule};
    draft->makes[n] = (struct ph_make_plan){.fit = {.call = PH_RULE_NONE}};
    if (followed != NULL) {
        rule = &followed->rule;
        draft->drafts[n].rule = rule;
        draft->drafts[n].because = followed->because;
    }
    PH_TRY(ph_check_shape_column(checker, draft, n, &is_shaped));
    if (is_shaped) {
        draft->route->n_outputs++;
        return PH_OK;
    }
    const struct ph_rule_word *value = ph_check_value_word(draft->rule);
    if (value != NULL && strcmp(value->text, target->name) == 0) {
        draft->drafts[n].is_value = true;
        PH_TRY(take_value(checker, draft, n, rule));
        PH_TRY(add_because(checker, draft, n));
    } else if (rule != NULL) {
        PH_TRY(draft_rule(checker, draft, n, rule));
        PH_TRY(add_because(checker, draft, n));
    } else if (from != NULL && !is_dropped(draft, from->name)) {
        PH_TRY(pass_column(checker, draft, n, from, draft->table->source.place));
    } else {
        if (target->not_null && !target->has_default && target->identity == '\0')
            ph_check_problem(checker, draft, draft->table->source.place,
                             "column %s of the target is NOT NULL without a default, and nothing "
                             "fills it",
                             target->name);
        return PH_OK;
    }
    draft->route->n_outputs++;
    return PH_OK;
}

/* Rules for columns that are not there, and drops of such. */
static void
check_names(struct ph_checker *checker, const struct ph_draft *draft)
{
    char nearest[100];

    for (uint32_t i = 0; i < draft->rule->n_columns; i++) {
        struct ph_rule_word word = draft->rule->columns[i].target;
        const struct ph_column *column = ph_rel_column_named(draft->target, word.text);
        if (column == NULL)
            ph_check_problem(checker, draft, word.place, "the target has no column %s%s%s",
                             word.text, ph_check_made_here(checker),
                             ph_check_nearest_column(draft->target, word.text, nearest));
        else if (column->generated != '\0')
            ph_check_problem(checker, draft, word.place,
                             "column %s is generated on the target, it cannot have a rule",
                             word.text);
    }
    for (uint32_t i = 0; i < draft->rule->drop.n; i++)
        (void)ph_check_source_column(checker, draft, draft->rule->drop.items[i]);
}

ph_code
ph_check_columns(struct ph_checker *checker, struct ph_draft *draft)
{
    check_names(checker, draft);
    for (uint32_t i = 0; i < draft->target->n_columns; i++) {
        if (draft->target->columns[i].generated == '\0')
            PH_TRY(draft_column(checker, draft, &draft->target->columns[i]));
    }
    if (draft->route->n_outputs == 0)
        ph_check_problem(checker, draft, draft->table->source.place,
                         "nothing goes from %s.%s to %s.%s", draft->source->schema,
                         draft->source->name, draft->target->schema, draft->target->name);
    for (uint32_t i = 0; i < draft->source->n_columns; i++)
        draft->taken[i] |= is_dropped(draft, draft->source->columns[i].name);
    return PH_OK;
}
