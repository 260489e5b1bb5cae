/*
 * The outputs of a route, column after column of the target: by the rule for it, from the source's
 * column of the same name, by a shape, or left at its default.
 */
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
        if ((followed->source == draft->source ||
             followed->source->oid == draft->source->root_oid) &&
            followed->target == draft->target && strcmp(followed->rule.target.text, target) == 0)
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
        .reads = output->reads, .n_reads = 1, .place = place, .is_lenient = true};

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
    uint32_t *reads = PH_ARENA_ARRAY(checker->arena, uint32_t, 1);
    char source_class[PH_CLASS_SIZE];
    char target_class[PH_CLASS_SIZE];

    if (reads == NULL)
        return ph_check_no_memory(checker);
    PH_TRY(ph_check_input(checker, draft, from, reads));
    draft->taken[from - draft->source->columns] = true;
    output->source = from;
    output->input = reads[0];
    output->reads = reads;
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
               ? pass_same_class(checker, draft, n, from, strcmp(source_class, "text") == 0, place)
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
        bool is_plain_array = strcmp(fit->op->name, "fit_array") == 0 && fit->n_params == 1;
        if ((fit->op->flags & PH_RULE_INJECTIVE) == 0 && !is_plain_array)
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

static ph_code
take_columns(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
             const struct ph_rule_column *rule)
{
    struct ph_rule_word same = {rule->target.text, rule->target.place};
    struct ph_rule_words from = rule->from.n > 0 ? rule->from : (struct ph_rule_words){&same, 1};
    uint32_t *reads = PH_ARENA_ARRAY(checker->arena, uint32_t, from.n);
    const struct ph_column *column = NULL;

    if (reads == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < from.n; i++) {
        column = ph_check_source_column(checker, draft, from.items[i]);
        if (column == NULL)
            return PH_OK;
        PH_TRY(ph_check_input(checker, draft, column, &reads[i]));
        draft->taken[column - draft->source->columns] = true;
    }
    if (rule->n_steps == 0 && from.n == 1)
        return pass_column(checker, draft, n, column, place_of(draft, rule));
    const struct ph_chain_wanted wanted = {.reads = reads,
                                           .n_reads = from.n,
                                           .steps = rule->steps,
                                           .n_steps = rule->n_steps,
                                           .place = place_of(draft, rule)};
    draft->needs_program = true;
    refuse_embedded(checker, draft, n, column, wanted.place);
    PH_TRY(ph_check_chain(checker, draft, n, &wanted));
    return fit_of_chain(checker, draft, n);
}

static ph_code
set_constant(struct ph_checker *checker, struct ph_draft *draft, uint32_t n,
             const struct ph_rule_column *rule)
{
    struct ph_route_output *output = &draft->outputs[n];

    const struct ph_column *replaced = ph_rel_column_named(draft->source, output->target->name);

    draft->needs_program = true;
    if (replaced != NULL) { /* the constant stands in its place */
        draft->taken[replaced - draft->source->columns] = true;
        draft->classified[replaced - draft->source->columns] = true;
    }
    draft->makes[n].kind = PH_MAKE_CONSTANT;
    if (rule->constant.text == NULL && output->target->not_null)
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
        return take_columns(checker, draft, n, rule);
    case PH_RULE_SET:
        return set_constant(checker, draft, n, rule);
    case PH_RULE_LOOKUP:
        return ph_check_lookup(checker, draft, n, rule);
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
        if (rule != NULL)
            ph_check_problem(checker, draft, rule->target.place,
                             "column %s is filled by unpivot or each, it cannot have a rule too",
                             target->name);
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
            ph_check_problem(checker, draft, word.place, "the target has no column %s%s", word.text,
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
