/*
 * A chain: its arguments, step after step, to the type of its column on the target. The
 * class of the value is carried along; a cast is put in where the two ends do not meet.
 */
#include <stdio.h>

#include "rules/check_parts.h"

struct chain {
    struct ph_checker *checker;
    struct ph_draft *draft;
    const struct ph_column *target;
    const struct ph_chain_wanted *wanted;
    char class[PH_CLASS_SIZE];        /* of the value at hand */
    char target_class[PH_CLASS_SIZE]; /* where it must end */
    struct ph_step_plan *steps;
    uint32_t n_steps;
    bool is_injective;
    bool is_keyed;
    const char *mask;  /* the first operator that is one */
    uint32_t n_hidden; /* with it: of `reads`, from the first on */
    bool is_broken;    /* a problem was told */
    struct ph_buf words;
};

static struct ph_step_plan *
add_step(struct chain *chain, enum ph_step_kind kind)
{
    struct ph_step_plan *step = &chain->steps[chain->n_steps++];

    *step = (struct ph_step_plan){.kind = kind, .call = PH_RULE_NONE};
    return step;
}

/* Inputs behind the first arguments, as set_reads lists them. */
static uint32_t
count_reads(const struct chain *chain, uint32_t n_args)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < n_args; i++) {
        enum ph_arg_kind kind = chain->wanted->args[i].kind;
        n += kind == PH_ARG_INPUT     ? 1
             : kind == PH_ARG_ELEMENT ? chain->draft->plan->shape.n_inputs
                                      : 0;
    }
    return n;
}

/*
 * A second column only says how dates are shifted; others are all in what is hidden. bcrypt hides
 * as masks do, but for hashes, which it keeps.
 */
static void
note_mask(struct chain *chain, const struct ph_rule_op *op, uint32_t n_args)
{
    bool is_first = chain->n_steps == 1;
    bool is_shifted_by = is_first && n_args == 2 && strcmp(op->name, "mask_date") == 0;
    bool is_mask = (op->flags & PH_RULE_MASK) != 0 || strcmp(op->name, "bcrypt") == 0;

    if (!is_mask || chain->mask != NULL)
        return;
    chain->mask = op->name;
    chain->n_hidden = count_reads(chain, is_shifted_by ? 1 : chain->wanted->n_args);
}

static ph_code
add_call(struct chain *chain, const struct ph_rule_op *op, const struct ph_call_wanted *wanted)
{
    struct ph_step_plan *step = add_step(chain, PH_STEP_CALL);

    note_mask(chain, op, wanted->n_args);
    chain->is_injective &= (op->flags & PH_RULE_INJECTIVE) != 0;
    chain->is_keyed |= (op->flags & PH_RULE_KEYED) != 0;
    return ph_check_add_call(chain->checker, chain->draft, wanted, &step->call);
}

/* What a cast is called with when nobody wrote its constants. */
static ph_code
add_cast(struct chain *chain, bool is_silent, bool *found)
{
    const char *args[] = {chain->class};
    const struct ph_rule_op *op;
    char result[PH_CLASS_SIZE];
    const struct ph_op_wanted wanted = {.name = "cast",
                                        .args = args,
                                        .n_args = 1,
                                        .result = chain->target_class,
                                        .must_result = true,
                                        .is_silent = true,
                                        .place = chain->wanted->place};

    PH_TRY(ph_check_find_op(chain->checker, chain->draft, &wanted, &op, result));
    *found = op != NULL;
    if (op == NULL) {
        if (!is_silent) {
            ph_check_problem(chain->checker, chain->draft, chain->wanted->place,
                             "%s cannot become %s: there is no cast; say how with `do:`",
                             chain->class, chain->target_class);
            chain->is_broken = true;
        }
        return PH_OK;
    }
    uint32_t least;
    uint32_t most;
    ph_params_count(op->params, &least, &most);
    struct ph_rule_word type = {.text = ph_arena_strdup(chain->checker->arena, result)};
    if (type.text == NULL)
        return ph_check_no_memory(chain->checker);
    const struct ph_call_wanted call = {.op = op,
                                        .params = &type,
                                        .n_params = least > 0 ? 1 : 0,
                                        .n_args = 1,
                                        .place = chain->wanted->place};
    ph_buf_printf(&chain->words, ", as %s", result);
    memcpy(chain->class, result, sizeof result);
    return add_call(chain, op, &call);
}

/* ---- steps ---- */

static bool
is_default(const struct ph_rule_step *step)
{
    return step->library == NULL && step->map == NULL && strcmp(step->op, "default") == 0;
}

/* Whether nothing but defaults follows: results are of the target's type then. */
static bool
is_last(const struct chain *chain, uint32_t i)
{
    for (i++; i < chain->wanted->n_steps; i++) {
        if (!is_default(&chain->wanted->steps[i]))
            return false;
    }
    return true;
}

/* The constant of a result: of the target's column at the end, of a class before it. */
static ph_code
constant(struct chain *chain, bool at_end, struct ph_rule_word word, struct ph_value *out)
{
    if (at_end)
        return ph_check_constant(chain->checker, chain->draft, chain->target, word, out);
    return ph_check_constant_of_class(chain->checker, chain->draft, chain->class, word, out);
}

static ph_code
step_default(struct chain *chain, const struct ph_rule_step *step, uint32_t i)
{
    bool at_end = is_last(chain, i);
    bool found = true;

    if (step->params.n != 1 || step->params.items[0].text == NULL) {
        ph_check_problem(chain->checker, chain->draft, step->place, "default needs one constant");
        chain->is_broken = true;
        return PH_OK;
    }
    if (at_end && strcmp(chain->class, chain->target_class) != 0)
        PH_TRY(add_cast(chain, false, &found));
    if (!found)
        return PH_OK;
    struct ph_step_plan *plan = add_step(chain, PH_STEP_DEFAULT);
    chain->is_injective = false;
    ph_buf_printf(&chain->words, ", %s where it is NULL", step->params.items[0].text);
    return constant(chain, at_end, step->params.items[0], &plan->constant);
}

static bool
can_be_mapped(const char *class)
{
    static const char *const exact[] = {"text", "int2", "int4", "int8", "bool", "uuid", "date"};

    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        if (strcmp(class, exact[i]) == 0)
            return true;
    }
    return false;
}

static bool
same_value(struct ph_value a, struct ph_value b)
{
    return a.len == b.len && (a.len <= 0 || memcmp(a.data, b.data, (size_t)a.len) == 0);
}

static bool
is_one_to_one(const struct ph_step_plan *plan)
{
    if (plan->otherwise != PH_ELSE_ERROR && plan->otherwise != PH_ELSE_QUARANTINE)
        return false;
    for (uint32_t i = 0; i < plan->n_entries; i++) {
        if (plan->has_null && same_value(plan->entries[i].value, plan->null_value))
            return false;
        for (uint32_t k = 0; k < i; k++) {
            if (same_value(plan->entries[i].value, plan->entries[k].value))
                return false;
        }
    }
    return true;
}

static void
put_map_words(struct chain *chain, const struct ph_rule_step *step)
{
    static const char *const otherwise[] = {
        [PH_ELSE_ERROR] = "is an error",       [PH_ELSE_QUARANTINE] = "goes to quarantine",
        [PH_ELSE_NULL] = "becomes NULL",       [PH_ELSE_KEEP] = "stays as it is",
        [PH_ELSE_VALUE] = "becomes one value",
    };

    ph_buf_printf(&chain->words, ", by the map %s of %u value%s; anything else %s", step->map->name,
                  step->map->n_pairs, step->map->n_pairs == 1 ? "" : "s",
                  step->otherwise == PH_ELSE_VALUE && step->else_value.text != NULL
                      ? "becomes "
                      : otherwise[step->otherwise]);
    if (step->otherwise == PH_ELSE_VALUE && step->else_value.text != NULL)
        ph_buf_puts(&chain->words, step->else_value.text);
}

/* Of what a map or null_if compares with, where blanks at the end of values do not come. */
static struct ph_rule_word
stripped(struct chain *chain, struct ph_rule_word word)
{
    size_t len = word.text == NULL ? 0 : strlen(word.text);

    while (len > 0 && word.text[len - 1] == ' ')
        len--;
    if (word.text != NULL && word.text[len] != '\0')
        word.text = ph_arena_printf(chain->checker->arena, "%.*s", (int)len, word.text);
    return word;
}

/* Whether step `i` is about a character(n), in whose values blanks at the end mean nothing. */
static bool
is_of_padded(const struct chain *chain, uint32_t i)
{
    return i == 0 && chain->wanted->args[0].padding == PH_PADDED_ALL;
}

static void
refuse_twice(struct chain *chain, const struct ph_rule_step *step, const struct ph_step_plan *plan)
{
    for (uint32_t i = 1; i < plan->n_entries; i++) {
        struct ph_value key = plan->entries[i].key;
        for (uint32_t k = 0; k < i; k++) {
            if (same_value(plan->entries[k].key, key))
                ph_check_problem(chain->checker, chain->draft, step->place,
                                 "the map %s has '%.*s' twice: blanks at the end mean nothing in "
                                 "character(n)",
                                 step->map->name, (int)key.len, (const char *)key.data);
        }
    }
}

static ph_code
fill_map(struct chain *chain, const struct ph_rule_step *step, uint32_t at,
         struct ph_step_plan *plan)
{
    bool at_end = is_last(chain, at);
    const struct ph_rule_map *map = step->map;
    struct ph_map_entry *entries =
        PH_ARENA_ARRAY(chain->checker->arena, struct ph_map_entry, (size_t)map->n_pairs + 1);
    char key_class[PH_CLASS_SIZE];
    bool has_stripped = false;

    if (entries == NULL)
        return ph_check_no_memory(chain->checker);
    memcpy(key_class, chain->class, sizeof key_class);
    if (!at_end)
        memcpy(chain->class, "text", 5);
    for (uint32_t i = 0; i < map->n_pairs; i++) {
        struct ph_map_entry entry;
        struct ph_rule_word key = map->pairs[i].from;
        if (is_of_padded(chain, at))
            key = stripped(chain, key);
        has_stripped |= key.text != map->pairs[i].from.text;
        PH_TRY(constant(chain, at_end, map->pairs[i].to, &entry.value));
        PH_TRY(
            ph_check_constant_of_class(chain->checker, chain->draft, key_class, key, &entry.key));
        if (map->pairs[i].from.text == NULL) {
            plan->has_null = true;
            plan->null_value = entry.value;
        } else {
            entries[plan->n_entries++] = entry;
        }
    }
    plan->entries = entries;
    if (has_stripped)
        refuse_twice(chain, step, plan);
    if (step->otherwise == PH_ELSE_VALUE)
        PH_TRY(constant(chain, at_end, step->else_value, &plan->constant));
    return PH_OK;
}

static ph_code
step_map(struct chain *chain, const struct ph_rule_step *step, uint32_t i)
{
    bool at_end = is_last(chain, i);
    const char *result = at_end ? chain->target_class : "text";

    if (!can_be_mapped(chain->class)) {
        ph_check_problem(chain->checker, chain->draft, step->place,
                         "values of type %s cannot be mapped; cast them to text first",
                         chain->class);
        chain->is_broken = true;
        return PH_OK;
    }
    if (step->otherwise == PH_ELSE_KEEP && strcmp(chain->class, result) != 0) {
        ph_check_problem(chain->checker, chain->draft, step->place,
                         "`else: keep` would put a value of type %s into one of type %s",
                         chain->class, result);
        chain->is_broken = true;
        return PH_OK;
    }
    struct ph_step_plan *plan = add_step(chain, PH_STEP_MAP);
    plan->map_name = step->map->name;
    plan->is_text = strcmp(chain->class, "text") == 0;
    plan->otherwise = step->otherwise;
    put_map_words(chain, step);
    PH_TRY(fill_map(chain, step, i, plan));
    chain->is_injective &= is_one_to_one(plan);
    snprintf(chain->class, sizeof chain->class, "%s", result);
    return PH_OK;
}

/* `i`: which step it is. */
static ph_code
step_op(struct chain *chain, const struct ph_rule_step *step, const char *const *args,
        uint32_t n_args, uint32_t i)
{
    bool is_cast = step->library == NULL && strcmp(step->op, "cast") == 0;
    char cast_to[PH_CLASS_SIZE];
    char result[PH_CLASS_SIZE];
    const struct ph_rule_op *op;
    struct ph_op_wanted wanted = {.name = step->op,
                                  .library = step->library,
                                  .args = args,
                                  .n_args = n_args,
                                  .result = is_last(chain, i) ? chain->target_class : NULL,
                                  .place = step->place};

    if (is_cast && step->params.n > 0 && step->params.items[0].text != NULL) {
        ph_type_class_named(step->params.items[0].text, cast_to);
        wanted.result = cast_to;
        wanted.must_result = true;
        if (n_args == 1 && strcmp(cast_to, args[0]) == 0)
            return PH_OK;
    }
    PH_TRY(ph_check_find_op(chain->checker, chain->draft, &wanted, &op, result));
    if (op == NULL) {
        chain->is_broken = true;
        return PH_OK;
    }
    uint32_t least;
    uint32_t most;
    ph_params_count(op->params, &least, &most);
    struct ph_rule_words params = step->params;
    struct ph_rule_word only;
    if (params.n == 1 && is_of_padded(chain, i) && strcmp(op->name, "null_if") == 0) {
        only = stripped(chain, params.items[0]);
        params.items = &only;
    }
    if (is_cast && most < params.n) { /* the type has chosen the row; the rest is its own */
        params.items++;
        params.n--;
    }
    const struct ph_call_wanted call = {.op = op,
                                        .params = params.items,
                                        .n_params = params.n,
                                        .n_args = n_args,
                                        .place = step->place};
    for (uint32_t k = 0; step->library == NULL && k < params.n; k++)
        (void)ph_check_is_readable(chain->checker, chain->draft, params.items[k]);
    ph_buf_printf(&chain->words, ", %s%s", is_cast ? "as " : "through ",
                  is_cast ? result : op->name);
    memcpy(chain->class, result, sizeof result);
    return add_call(chain, op, &call);
}

static ph_code
walk_steps(struct chain *chain, const char *const *args, uint32_t n_args)
{
    const struct ph_chain_wanted *wanted = chain->wanted;

    for (uint32_t i = 0; i < wanted->n_steps && !chain->is_broken; i++) {
        const struct ph_rule_step *step = &wanted->steps[i];
        const char *one[] = {chain->class};
        bool is_first = i == 0;
        if (is_first && n_args > 1 && (step->map != NULL || is_default(step))) {
            ph_check_problem(chain->checker, chain->draft, step->place,
                             "%s takes one column, not %u", step->op, n_args);
            chain->is_broken = true;
        } else if (step->map != NULL) {
            PH_TRY(step_map(chain, step, i));
        } else if (is_default(step)) {
            PH_TRY(step_default(chain, step, i));
        } else {
            PH_TRY(step_op(chain, step, is_first ? args : one, is_first ? n_args : 1, i));
        }
    }
    return PH_OK;
}

/* ---- the ends ---- */

/* The class of an argument into chain->class, and what it is in words. */
static ph_code
look_at_arg(struct chain *chain, const struct ph_arg_plan *arg, const char **words)
{
    const struct ph_route_input *input = &chain->draft->inputs[arg->input];

    if (arg->kind != PH_ARG_INPUT)
        return ph_check_part_class(chain->checker, chain->draft, arg->kind, chain->class, words);
    if (chain->draft->input_classes[arg->input] != NULL)
        snprintf(chain->class, sizeof chain->class, "%s", chain->draft->input_classes[arg->input]);
    else if (!ph_type_class(chain->checker->params->source, chain->draft->input_types[arg->input],
                            chain->class))
        return PH_FAIL(chain->checker->err, PH_E_INTERNAL, "the type of %s is not known",
                       input->sql);
    *words = input->column != NULL ? input->column->name : "a lookup";
    return PH_OK;
}

static ph_code
begin(struct chain *chain, const char **args)
{
    const struct ph_chain_wanted *wanted = chain->wanted;
    bool is_part = wanted->n_args == 1 && wanted->args[0].kind != PH_ARG_INPUT;
    const char *words;

    for (uint32_t i = 0; i < wanted->n_args; i++) {
        PH_TRY(look_at_arg(chain, &wanted->args[i], &words));
        args[i] = ph_arena_strdup(chain->checker->arena, chain->class);
        if (args[i] == NULL)
            return ph_check_no_memory(chain->checker);
        ph_buf_printf(&chain->words, "%s%s", i > 0 ? ", " : is_part ? "" : "from ", words);
    }
    return PH_OK;
}

/* The inputs behind the arguments, and how many values of them come together. */
static ph_code
set_reads(struct chain *chain, struct ph_route_output *output)
{
    const struct ph_chain_wanted *wanted = chain->wanted;
    const struct ph_shape_plan *shape = &chain->draft->plan->shape;
    size_t most = (size_t)wanted->n_args * (1 + (size_t)shape->n_inputs);
    uint32_t *reads = PH_ARENA_ARRAY(chain->checker->arena, uint32_t, most + 1);
    uint32_t n_values = 0;

    if (reads == NULL)
        return ph_check_no_memory(chain->checker);
    output->reads = reads;
    output->n_reads = 0;
    for (uint32_t i = 0; i < wanted->n_args; i++) {
        const struct ph_arg_plan *arg = &wanted->args[i];
        n_values += arg->kind == PH_ARG_INPUT || arg->kind == PH_ARG_ELEMENT;
        if (arg->kind == PH_ARG_INPUT)
            reads[output->n_reads++] = arg->input;
        for (uint32_t k = 0; arg->kind == PH_ARG_ELEMENT && k < shape->n_inputs; k++)
            reads[output->n_reads++] = shape->inputs[k];
    }
    output->is_mixed = n_values > 1;
    return PH_OK;
}

static ph_code
finish(struct chain *chain, uint32_t output)
{
    struct ph_draft *draft = chain->draft;
    struct ph_draft_output *drafted = &draft->drafts[output];
    bool found = true;

    if (!chain->is_broken && strcmp(chain->class, chain->target_class) != 0) {
        bool is_lenient = chain->wanted->is_lenient && chain->n_steps == 0;
        PH_TRY(add_cast(chain, is_lenient, &found));
        if (!found && is_lenient) {
            drafted->text_only = true;
            snprintf(drafted->reason, sizeof drafted->reason,
                     "there is no cast from %.60s to %.60s", chain->class, chain->target_class);
        }
    }
    draft->makes[output].kind = PH_MAKE_CHAIN;
    draft->makes[output].args = chain->wanted->args;
    draft->makes[output].n_args = chain->wanted->n_args;
    draft->makes[output].steps = chain->steps;
    draft->makes[output].n_steps = chain->n_steps;
    PH_TRY(set_reads(chain, &draft->outputs[output]));
    draft->outputs[output].is_injective = chain->is_injective;
    draft->outputs[output].is_keyed = chain->is_keyed;
    draft->outputs[output].mask = chain->mask;
    draft->outputs[output].n_hidden = chain->n_hidden;
    draft->outputs[output].words =
        ph_arena_strdup(chain->checker->arena, ph_buf_text(&chain->words));
    return draft->outputs[output].words == NULL ? ph_check_no_memory(chain->checker) : PH_OK;
}

ph_code
ph_check_chain(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
               const struct ph_chain_wanted *wanted)
{
    struct chain chain = {.checker = checker,
                          .draft = draft,
                          .target = draft->outputs[output].target,
                          .wanted = wanted,
                          .is_injective = true};
    const char **args = PH_ARENA_ARRAY(checker->arena, const char *, (size_t)wanted->n_args + 1);

    /* a cast may be put in before every default, and at the end */
    chain.steps =
        PH_ARENA_ARRAY(checker->arena, struct ph_step_plan, 2 * (size_t)wanted->n_steps + 2);
    if (args == NULL || chain.steps == NULL)
        return ph_check_no_memory(checker);
    if (!ph_type_class(checker->params->target, chain.target->type_oid, chain.target_class))
        return PH_FAIL(checker->err, PH_E_INTERNAL, "the type of %s is not known",
                       chain.target->name);
    ph_buf_init(&chain.words, (size_t)64 << 10);
    ph_code rc = begin(&chain, args);
    if (rc == PH_OK && wanted->n_args > 1 && wanted->n_steps == 0) {
        ph_check_problem(checker, draft, wanted->place,
                         "%u columns make one only through an operator (`do:`)", wanted->n_args);
        chain.is_broken = true;
    }
    if (rc == PH_OK)
        rc = walk_steps(&chain, args, wanted->n_args);
    if (rc == PH_OK)
        rc = finish(&chain, output);
    ph_buf_free(&chain.words);
    return rc;
}
