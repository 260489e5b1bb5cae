/*
 * What could keep a result out of its column: NULL, length, precision, an enum's labels. It is
 * checked in the program where the source's column does not already promise it, so that a bad row
 * has a name and a reason, and so that what is proven is what the server will hold.
 */
#include <stdio.h>

#include "model/type_match.h"
#include "rules/check_parts.h"
#include "rules/inner_ops.h"

#define TYPMOD_HEADER 4

struct modifier { /* of a column's type */
    const struct ph_type *type;
    int32_t typmod;
};

static bool
is_named(const struct ph_type *type, const char *name)
{
    return strcmp(type->schema, "pg_catalog") == 0 && strcmp(type->name, name) == 0;
}

static ph_code
add_fit(struct ph_checker *checker, const struct ph_draft *draft, const char *name,
        struct ph_rule_words params, struct ph_fit *fit)
{
    const struct ph_call_wanted call = {.op = ph_inner_op(name),
                                        .params = params.items,
                                        .n_params = params.n,
                                        .n_args = 1,
                                        .place = draft->table->source.place};

    return ph_check_add_call(checker, draft, &call, &fit->call);
}

static ph_code
put_number(struct ph_checker *checker, int64_t number, struct ph_rule_word *word)
{
    word->text = ph_arena_printf(checker->arena, "%lld", (long long)number);
    return word->text == NULL ? ph_check_no_memory(checker) : PH_OK;
}

static ph_code
fit_length(struct ph_checker *checker, const struct ph_draft *draft, struct modifier to,
           struct ph_fit *fit)
{
    bool is_utf8 = strcmp(checker->params->target->encoding, "UTF8") == 0;
    struct ph_rule_word words[2] = {{.text = NULL}, {.text = is_utf8 ? "utf8" : "bytes"}};
    int32_t chars = to.typmod - TYPMOD_HEADER;
    bool is_padded = is_named(to.type, "bpchar");

    PH_TRY(put_number(checker, chars, &words[0]));
    fit->max_bytes = is_padded ? 0 : (uint32_t)chars;
    return add_fit(checker, draft, is_padded ? "fit_bpchar" : "fit_varchar",
                   (struct ph_rule_words){words, 2}, fit);
}

static ph_code
fit_numeric(struct ph_checker *checker, const struct ph_draft *draft, struct modifier to,
            struct ph_fit *fit)
{
    int32_t bits = to.typmod - TYPMOD_HEADER;
    int32_t scale = ((bits & 0x7ff) ^ 1024) - 1024; /* eleven bits with a sign */
    struct ph_rule_word words[2] = {{.text = NULL}};

    PH_TRY(put_number(checker, bits >> 16, &words[0]));
    PH_TRY(put_number(checker, scale, &words[1]));
    return add_fit(checker, draft, "fit_numeric", (struct ph_rule_words){words, 2}, fit);
}

static ph_code
fit_one_number(struct ph_checker *checker, const struct ph_draft *draft, const char *name,
               int64_t number, struct ph_fit *fit)
{
    struct ph_rule_word word = {.text = NULL};

    PH_TRY(put_number(checker, number, &word));
    return add_fit(checker, draft, name, (struct ph_rule_words){&word, 1}, fit);
}

static ph_code
fit_form(struct ph_checker *checker, const struct ph_draft *draft, struct modifier to,
         struct ph_fit *fit)
{
    if (ph_type_is_array(to.type))
        return fit_one_number(checker, draft, "fit_array", to.type->elem_oid, fit);
    if (to.typmod < 0)
        return PH_OK;
    if (is_named(to.type, "varchar") || is_named(to.type, "bpchar"))
        return fit_length(checker, draft, to, fit);
    if (is_named(to.type, "numeric"))
        return fit_numeric(checker, draft, to, fit);
    if (is_named(to.type, "timestamp") || is_named(to.type, "timestamptz") ||
        is_named(to.type, "time") || is_named(to.type, "timetz"))
        return fit_one_number(checker, draft, "fit_time", to.typmod, fit);
    return PH_OK;
}

/* Whether every value of the source's type is a label of the target's enum. */
static bool
has_all_labels(const struct ph_type *from, const struct ph_type *to)
{
    if (from == NULL || from->kind != 'e')
        return false;
    for (uint32_t i = 0; i < from->n_labels; i++) {
        bool found = false;
        for (uint32_t k = 0; k < to->n_labels && !found; k++)
            found = strcmp(from->labels[i], to->labels[k]) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* The source's column promises the form already: the same modifier, or a shorter one. */
static bool
promises(struct modifier from, struct modifier to)
{
    if (from.type == NULL || ph_type_is_array(to.type) || strcmp(from.type->name, to.type->name))
        return ph_type_is_array(to.type);
    return from.typmod == to.typmod ||
           (is_named(to.type, "varchar") && from.typmod > 0 && from.typmod < to.typmod);
}

ph_code
ph_check_fit(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
             const struct ph_column *from)
{
    struct ph_make_plan *make = &draft->makes[output];
    const struct ph_column *target = draft->outputs[output].target;
    struct modifier to = {ph_type_base(checker->params->target, target->type_oid), target->typmod};
    struct modifier had = {NULL, -1};

    make->fit = (struct ph_fit){.call = PH_RULE_NONE};
    if (to.type == NULL || make->kind == PH_MAKE_CONSTANT)
        return PH_OK;
    if (from != NULL)
        had =
            (struct modifier){ph_type_base(checker->params->source, from->type_oid), from->typmod};
    make->fit.not_null = target->not_null && (from == NULL || !from->not_null);
    if (to.type->kind == 'e' && !has_all_labels(had.type, to.type)) {
        make->fit.labels = to.type->labels;
        make->fit.n_labels = to.type->n_labels;
    }
    if (from == NULL || !promises(had, to))
        PH_TRY(fit_form(checker, draft, to, &make->fit));
    draft->drafts[output].narrows =
        from != NULL &&
        (make->fit.not_null || make->fit.labels != NULL || make->fit.call != PH_RULE_NONE);
    return PH_OK;
}
