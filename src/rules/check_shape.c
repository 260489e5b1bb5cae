/* Unpivot and each: columns or elements that become rows, and what `from:` may say of them. */
#include <stdio.h>

#include "model/type_match.h"
#include "rules/check_parts.h"
#include "rules/inner_ops.h"

static bool
is_class(const char *class, const char *name)
{
    return strcmp(class, name) == 0;
}

static ph_code
add_columns(struct ph_checker *checker, struct ph_draft *draft, struct ph_rule_words columns)
{
    uint32_t *inputs = PH_ARENA_ARRAY(checker->arena, uint32_t, (size_t)columns.n + 1);

    if (inputs == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < columns.n; i++) {
        const struct ph_column *column = ph_check_source_column(checker, draft, columns.items[i]);
        if (column == NULL)
            return PH_OK;
        draft->taken[column - draft->source->columns] = true;
        PH_TRY(ph_check_input(checker, draft, column, &inputs[draft->plan->shape.n_inputs]));
        draft->plan->shape.n_inputs++;
    }
    draft->plan->shape.inputs = inputs;
    draft->route->makes_rows = true;
    draft->needs_program = true;
    return PH_OK;
}

/* The two columns that a shape fills; in one of them the other's values would be lost. */
static void
check_targets(struct ph_checker *checker, const struct ph_draft *draft,
              const struct ph_rule_word words[2], const char *parts)
{
    char nearest[100];

    if (words[0].text != NULL && words[1].text != NULL && strcmp(words[0].text, words[1].text) == 0)
        ph_check_problem(checker, draft, words[1].place,
                         "%s are both column %s, which holds only one of them; name a column for "
                         "each",
                         parts, words[1].text);
    for (uint32_t i = 0; i < 2; i++) {
        if (words[i].text != NULL && ph_rel_column_named(draft->target, words[i].text) == NULL)
            ph_check_problem(checker, draft, words[i].place, "the target has no column %s%s",
                             words[i].text,
                             ph_check_nearest_column(draft->target, words[i].text, nearest));
    }
}

/* The columns of an unpivot are of one type. */
static ph_code
check_types(struct ph_checker *checker, const struct ph_draft *draft)
{
    const struct ph_shape_plan *shape = &draft->plan->shape;
    char first[PH_CLASS_SIZE];
    char class[PH_CLASS_SIZE];

    for (uint32_t i = 0; i < shape->n_inputs; i++) {
        if (!ph_type_class(checker->params->source, draft->input_types[shape->inputs[i]], class))
            return PH_FAIL(checker->err, PH_E_INTERNAL, "the type of a column is not known");
        if (i == 0)
            memcpy(first, class, sizeof first);
        else if (!is_class(class, first))
            ph_check_problem(checker, draft, draft->rule->unpivot.place,
                             "the columns of `unpivot` must be of one type: %s is %s, %s is %s",
                             draft->inputs[shape->inputs[0]].column->name, first,
                             draft->inputs[shape->inputs[i]].column->name, class);
    }
    return PH_OK;
}

static ph_code
begin_unpivot(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_rule_unpivot *unpivot = &draft->rule->unpivot;
    const struct ph_rule_word words[] = {unpivot->name, unpivot->value};

    draft->plan->shape.keeps_null = unpivot->keeps_null;
    check_targets(checker, draft, words, "`name` and `value` of `unpivot`");
    PH_TRY(add_columns(checker, draft, unpivot->columns));
    return check_types(checker, draft);
}

/* What elements are for the operators, and which inner operator takes them out. */
static ph_code
begin_each(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_rule_each *each = &draft->rule->each;
    const struct ph_rule_word words[] = {each->value, each->position};
    struct ph_shape_plan *shape = &draft->plan->shape;
    const struct ph_column *value = ph_rel_column_named(draft->target, each->value.text);
    char class[PH_CLASS_SIZE];
    char wanted[PH_CLASS_SIZE];

    shape->is_each = true;
    check_targets(checker, draft, words, "`value` and `position` of `each`");
    PH_TRY(add_columns(checker, draft, (struct ph_rule_words){&each->column, 1}));
    if (shape->n_inputs == 0 || value == NULL)
        return PH_OK;
    if (!ph_type_class(checker->params->source, draft->input_types[shape->inputs[0]], class) ||
        !ph_type_class(checker->params->target, value->type_oid, wanted))
        return PH_FAIL(checker->err, PH_E_INTERNAL, "the type of a column is not known");
    size_t len = strlen(class);
    struct ph_rule_word form = {.text = "text"};
    bool is_json = is_class(class, "json") || is_class(class, "jsonb");
    if (is_json) {
        /* of json the text, which a cast then makes jsonb */
        bool is_kept = is_class(wanted, "json") || is_class(wanted, "jsonb");
        bool is_jsonb = is_class(wanted, "jsonb") && is_class(class, "jsonb");
        form.text = is_jsonb ? "jsonb" : is_kept ? "json" : "text";
        snprintf(class, sizeof class, "%s", form.text);
    } else if (len > 2 && is_class(class + len - 2, "[]")) {
        class[len - 2] = '\0';
    } else {
        ph_check_problem(checker, draft, each->place,
                         "column %s is neither an array nor JSON, but %s", each->column.text,
                         class);
        return PH_OK;
    }
    shape->element_class = ph_arena_strdup(checker->arena, class);
    if (shape->element_class == NULL)
        return ph_check_no_memory(checker);
    const struct ph_call_wanted call = {
        .op = ph_inner_op(is_json ? "json_elements" : "array_elements"),
        .params = &form,
        .n_params = is_json ? 1 : 0,
        .n_args = 2,
        .place = each->place};
    return ph_check_add_call(checker, draft, &call, &shape->call);
}

ph_code
ph_check_shape(struct ph_checker *checker, struct ph_draft *draft)
{
    bool unpivots = draft->rule->unpivot.is_there;
    bool each = draft->rule->each.is_there;

    if (unpivots && each)
        ph_check_problem(
            checker, draft, draft->rule->each.place,
            "`unpivot` and `each` cannot be on one table; make two entries of `into:`");
    else if (unpivots)
        return begin_unpivot(checker, draft);
    else if (each)
        return begin_each(checker, draft);
    return PH_OK;
}

/* ---- its columns ---- */

static bool
is_word(struct ph_rule_word word, const struct ph_column *column)
{
    return word.text != NULL && strcmp(word.text, column->name) == 0;
}

static ph_code
fill_name(struct ph_checker *checker, struct ph_draft *draft, uint32_t output)
{
    struct ph_shape_plan *shape = &draft->plan->shape;
    const struct ph_rule_words *columns = &draft->rule->unpivot.columns;
    struct ph_value *names =
        PH_ARENA_ARRAY(checker->arena, struct ph_value, (size_t)shape->n_inputs + 1);

    if (names == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < shape->n_inputs; i++)
        PH_TRY(ph_check_constant(checker, draft, draft->outputs[output].target, columns->items[i],
                                 &names[i]));
    shape->names = names;
    draft->makes[output].kind = PH_MAKE_NAME;
    draft->outputs[output].words = "the name of the column that the row is made of";
    return PH_OK;
}

static void
refuse_rule(struct ph_checker *checker, const struct ph_draft *draft, uint32_t output)
{
    const struct ph_rule_column *rule = draft->drafts[output].rule;

    if (rule != NULL)
        ph_check_problem(checker, draft, rule->target.place,
                         "column %s is filled by unpivot or each, it cannot have a rule too",
                         rule->target.text);
}

static ph_code
fill_position(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
              struct ph_rule_word word)
{
    char class[PH_CLASS_SIZE];
    struct ph_make_plan *make = &draft->makes[output];

    make->kind = PH_MAKE_POSITION;
    draft->outputs[output].words = "the position of the element, from 1";
    if (!ph_type_class(checker->params->target, draft->outputs[output].target->type_oid, class))
        return PH_FAIL(checker->err, PH_E_INTERNAL, "the type of a column is not known");
    make->position_bytes = is_class(class, "int2")   ? 2
                           : is_class(class, "int4") ? 4
                           : is_class(class, "int8") ? 8
                                                     : 0;
    if (make->position_bytes == 0)
        ph_check_problem(checker, draft, word.place,
                         "column %s for the position must be an integer", word.text);
    return PH_OK;
}

ph_code
ph_check_shape_column(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                      bool *is_shaped)
{
    const struct ph_column *target = draft->outputs[output].target;
    const struct ph_rule_unpivot *unpivot = &draft->rule->unpivot;
    const struct ph_rule_each *each = &draft->rule->each;

    *is_shaped = true;
    if ((unpivot->is_there && is_word(unpivot->name, target)) ||
        (each->is_there && is_word(each->position, target)))
        refuse_rule(checker, draft, output);
    if (unpivot->is_there && is_word(unpivot->name, target))
        return fill_name(checker, draft, output);
    if (each->is_there && is_word(each->position, target))
        return fill_position(checker, draft, output, each->position);
    *is_shaped = false;
    return PH_OK;
}

/* ---- `$value`, `$name`, `$position` ---- */

const struct ph_rule_word *
ph_check_value_word(const struct ph_rule_route *rule)
{
    return rule->unpivot.is_there ? &rule->unpivot.value
           : rule->each.is_there  ? &rule->each.value
                                  : NULL;
}

static ph_code
add_words(struct ph_checker *checker, struct ph_draft *draft)
{
    struct ph_shape_plan *shape = &draft->plan->shape;

    if (shape->words != NULL)
        return PH_OK;
    struct ph_value *words =
        PH_ARENA_ARRAY(checker->arena, struct ph_value, (size_t)shape->n_inputs + 1);
    if (words == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < shape->n_inputs; i++) {
        const char *name = draft->inputs[shape->inputs[i]].column->name;
        words[i] = (struct ph_value){(const uint8_t *)name, (int32_t)strlen(name)};
    }
    shape->words = words;
    return PH_OK;
}

ph_code
ph_check_shape_part(struct ph_checker *checker, struct ph_draft *draft, struct ph_rule_word word,
                    struct ph_arg_plan *arg, enum ph_shape_part *part)
{
    static const struct {
        const char *word;
        enum ph_arg_kind kind;
        bool by_unpivot;
        bool by_each;
        const char *where;
    } parts[] = {
        {"$value", PH_ARG_ELEMENT, true, true, "`unpivot` or `each`"},
        {"$name", PH_ARG_NAME, true, false, "`unpivot`"},
        {"$position", PH_ARG_POSITION, false, true, "`each`"},
    };
    const struct ph_rule_route *rule = draft->rule;
    const struct ph_shape_plan *shape = &draft->plan->shape;
    size_t i = 0;

    *part = PH_PART_NONE;
    while (i < sizeof parts / sizeof parts[0] && strcmp(parts[i].word, word.text) != 0)
        i++;
    if (i == sizeof parts / sizeof parts[0] ||
        (ph_check_value_word(rule) == NULL &&
         ph_rel_column_named(draft->source, word.text) != NULL))
        return PH_OK; /* a column may be called so */
    *part = PH_PART_TOLD;
    if (!(rule->unpivot.is_there && parts[i].by_unpivot) &&
        !(rule->each.is_there && parts[i].by_each)) {
        ph_check_problem(checker, draft, word.place, "%s is there only with %s", word.text,
                         parts[i].where);
        return PH_OK;
    }
    if (shape->n_inputs == 0 || (shape->is_each && shape->element_class == NULL))
        return PH_OK; /* told */
    *part = PH_PART_FOUND;
    *arg = (struct ph_arg_plan){.kind = parts[i].kind};
    return arg->kind == PH_ARG_NAME ? add_words(checker, draft) : PH_OK;
}

ph_code
ph_check_part_class(struct ph_checker *checker, const struct ph_draft *draft, enum ph_arg_kind kind,
                    char class[PH_CLASS_SIZE], const char **words)
{
    const struct ph_shape_plan *shape = &draft->plan->shape;

    if (kind == PH_ARG_ELEMENT && !shape->is_each) {
        *words = "the value of the column that the row is made of";
        if (!ph_type_class(checker->params->source, draft->input_types[shape->inputs[0]], class))
            return PH_FAIL(checker->err, PH_E_INTERNAL, "the type of a column is not known");
        return PH_OK;
    }
    *words = kind == PH_ARG_ELEMENT ? "an element of the array"
             : kind == PH_ARG_NAME  ? "the name of the column that the row is made of"
                                    : "the position of the element";
    snprintf(class, PH_CLASS_SIZE, "%s",
             kind == PH_ARG_ELEMENT ? shape->element_class
             : kind == PH_ARG_NAME  ? "text"
                                    : "int4");
    return PH_OK;
}
