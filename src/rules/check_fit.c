/*
 * What could keep a result out of its column: NULL, length, precision, an enum's labels. It is
 * checked in the program where the source's column does not already promise it, so that a bad row
 * has a name and a reason, and so that what is proven is what the server will hold.
 */
#include <stdio.h>

#include "model/type_match.h"
#include "rules/check_parts.h"
#include "rules/inner_ops.h"
#include "rules/job_text.h"

#define TYPMOD_HEADER 4
#define WORDS 6 /* of a form, but for labels */

struct modifier { /* of a column's type */
    const struct ph_type *type;
    int32_t typmod;
    bool keeps_blanks;         /* of a text: see tells_apart_by_blanks */
    const char *const *labels; /* of an array's elements, that values must be; NULL: any */
    uint32_t n_labels;
};

static bool
is_named(const struct ph_type *type, const char *name)
{
    return strcmp(type->schema, "pg_catalog") == 0 && strcmp(type->name, name) == 0;
}

/* The inner operator that gives a value its form, with its constants; name NULL: none is needed. */
struct form {
    const char *name;
    struct ph_rule_word params[4];
    uint32_t n_params;
    uint32_t max_bytes; /* longer values need it; 0: all do */
};

static ph_code
add_number(struct ph_checker *checker, int64_t number, struct form *form)
{
    const char *text = ph_arena_printf(checker->arena, "%lld", (long long)number);

    form->params[form->n_params++].text = text;
    return text == NULL ? ph_check_no_memory(checker) : PH_OK;
}

static void
add_word(const char *word, struct form *form)
{
    form->params[form->n_params++].text = word;
}

static ph_code
form_of_length(struct ph_checker *checker, struct modifier to, struct form *form)
{
    int32_t chars = to.typmod - TYPMOD_HEADER;
    bool is_padded = is_named(to.type, "bpchar");

    form->name = is_padded ? "fit_bpchar" : "fit_varchar";
    form->max_bytes = is_padded ? 0 : (uint32_t)chars;
    PH_TRY(add_number(checker, chars, form));
    add_word(checker->params->target->encoding, form);
    if (to.keeps_blanks)
        add_word("key", form);
    return PH_OK;
}

static ph_code
form_of_numeric(struct ph_checker *checker, struct modifier to, struct form *form)
{
    int32_t bits = to.typmod - TYPMOD_HEADER;
    int32_t scale = ((bits & 0x7ff) ^ 1024) - 1024; /* eleven bits with a sign */

    form->name = "fit_numeric";
    PH_TRY(add_number(checker, bits >> 16, form));
    return add_number(checker, scale, form);
}

static ph_code
form_of_interval(struct ph_checker *checker, struct modifier to, struct form *form)
{
    form->name = "fit_interval";
    PH_TRY(add_number(checker, to.typmod & 0xffff, form));
    return add_number(checker, to.typmod >> 16 & 0x7fff, form);
}

static ph_code
form_of_bits(struct ph_checker *checker, struct modifier to, struct form *form)
{
    form->name = "fit_bits";
    PH_TRY(add_number(checker, to.typmod, form));
    add_word(is_named(to.type, "bit") ? "exactly" : "at most", form);
    return PH_OK;
}

/* Of a value that is no array. */
static ph_code
find_form(struct ph_checker *checker, struct modifier to, struct form *form)
{
    if (is_named(to.type, "name"))
        form->name = "fit_name";
    if (to.typmod < 0)
        return PH_OK;
    if (is_named(to.type, "varchar") || is_named(to.type, "bpchar"))
        return form_of_length(checker, to, form);
    if (is_named(to.type, "numeric"))
        return form_of_numeric(checker, to, form);
    if (is_named(to.type, "interval"))
        return form_of_interval(checker, to, form);
    if (is_named(to.type, "bit") || is_named(to.type, "varbit"))
        return form_of_bits(checker, to, form);
    if (is_named(to.type, "timestamp") || is_named(to.type, "timestamptz") ||
        is_named(to.type, "time") || is_named(to.type, "timetz")) {
        form->name = "fit_time";
        return add_number(checker, to.typmod, form);
    }
    return PH_OK;
}

static ph_code
fit_form(struct ph_checker *checker, const struct ph_draft *draft, struct modifier to,
         struct ph_fit *fit)
{
    struct ph_rule_word *words =
        PH_ARENA_ARRAY(checker->arena, struct ph_rule_word, (size_t)to.n_labels + WORDS);
    struct form form = {.name = NULL};
    struct form array = {.name = "fit_array"};
    struct ph_call_wanted call = {
        .params = words, .n_args = 1, .place = draft->table->source.place};

    if (words == NULL)
        return ph_check_no_memory(checker);
    if (ph_type_is_array(to.type)) {
        PH_TRY(add_number(checker, to.type->elem_oid, &array));
        words[call.n_params++] = array.params[0];
        to.type = ph_type_base(checker->params->target, to.type->elem_oid);
        if (to.type != NULL)
            PH_TRY(find_form(checker, to, &form));
        if (to.labels != NULL)
            form.name = "fit_label";
        if (form.name != NULL)
            words[call.n_params++].text = form.name;
        fit->max_bytes = 0;
        call.op = ph_inner_op(array.name);
    } else {
        PH_TRY(find_form(checker, to, &form));
        if (form.name == NULL)
            return PH_OK;
        fit->max_bytes = form.max_bytes;
        call.op = ph_inner_op(form.name);
    }
    for (uint32_t i = 0; i < form.n_params; i++)
        words[call.n_params++] = form.params[i];
    for (uint32_t i = 0; i < to.n_labels; i++)
        words[call.n_params++].text = to.labels[i];
    return ph_check_add_call(checker, draft, &call, &fit->call);
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
promises(const struct ph_checker *checker, struct modifier from, struct modifier to)
{
    if (from.type == NULL)
        return false;
    if (ph_type_is_array(to.type) && ph_type_is_array(from.type)) {
        from.type = ph_type_base(checker->params->source, from.type->elem_oid);
        to.type = ph_type_base(checker->params->target, to.type->elem_oid);
        if (from.type == NULL || to.type == NULL || (to.typmod < 0 && !is_named(to.type, "name")))
            return true; /* the lane puts in the OID that the target expects */
    }
    if (strcmp(from.type->name, to.type->name) != 0)
        return false;
    return from.typmod == to.typmod ||
           (is_named(to.type, "varchar") && from.typmod > 0 && from.typmod < to.typmod);
}

static bool
is_in_unique_key(const struct ph_draft *draft, const struct ph_column *column)
{
    for (uint32_t i = 0; i < draft->keyed.n_indexes; i++) {
        const struct ph_index *index = &draft->keyed.indexes[i];
        for (uint32_t k = 0; index->is_unique && k < index->n_keys; k++) {
            if (index->key_attnums[k] == column->attnum)
                return true;
        }
    }
    return false;
}

/*
 * Whether a rule's values are different from each other where only blanks at their ends are, and
 * have to be. Of character(n) that is not so: blanks mean nothing there from the beginning.
 */
static bool
tells_apart_by_blanks(const struct ph_checker *checker, const struct ph_draft *draft,
                      uint32_t output)
{
    const struct ph_route_output *out = &draft->outputs[output];

    for (uint32_t i = 0; i < out->n_reads; i++) {
        const struct ph_type *type =
            ph_type_base(checker->params->source, draft->input_types[out->reads[i]]);
        if (type != NULL && is_named(type, "bpchar"))
            return false;
    }
    return out->is_injective && is_in_unique_key(draft, out->target);
}

static const struct ph_type *
element_of(const struct ph_catalog *catalog, const struct ph_type *type)
{
    return type != NULL && ph_type_is_array(type) ? ph_type_base(catalog, type->elem_oid) : type;
}

/* Names come in UTF-8, whatever the database has rows in: what is not ASCII the server converts. */
static ph_code
convert_label(struct ph_checker *checker, const struct ph_draft *draft, const char *label,
              const char **out)
{
    const struct ph_ruleset_params *params = checker->params;

    *out = label;
    if (ph_job_text_is_readable(label, params->target))
        return PH_OK;
    if (params->in_database != NULL)
        return params->in_database(params->constant_arg, label, checker->arena, out, checker->err);
    ph_check_problem(checker, draft, draft->table->source.place,
                     "the label %s needs the target, which is in %s", label,
                     params->target->encoding);
    return PH_OK;
}

/* Those that values, or the elements of arrays, must be, where the source's are not all of them. */
static ph_code
find_labels(struct ph_checker *checker, const struct ph_draft *draft, const struct ph_type *from,
            struct modifier *to)
{
    const struct ph_type *type = element_of(checker->params->target, to->type);

    if (type == NULL || type->kind != 'e' ||
        has_all_labels(element_of(checker->params->source, from), type))
        return PH_OK;
    const char **labels = PH_ARENA_ARRAY(checker->arena, const char *, (size_t)type->n_labels + 1);
    if (labels == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < type->n_labels; i++)
        PH_TRY(convert_label(checker, draft, type->labels[i], &labels[i]));
    to->labels = labels;
    to->n_labels = type->n_labels;
    return PH_OK;
}

ph_code
ph_check_fit(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
             const struct ph_column *from)
{
    struct ph_make_plan *make = &draft->makes[output];
    const struct ph_column *target = draft->outputs[output].target;
    struct modifier to = {.type = ph_type_base(checker->params->target, target->type_oid),
                          .typmod = ph_type_column_typmod(checker->params->target, target),
                          .keeps_blanks =
                              from == NULL && tells_apart_by_blanks(checker, draft, output)};
    struct modifier had = {.typmod = -1};

    make->fit = (struct ph_fit){.call = PH_RULE_NONE};
    if (to.type == NULL || make->kind == PH_MAKE_CONSTANT)
        return PH_OK;
    if (from != NULL)
        had = (struct modifier){.type = ph_type_base(checker->params->source, from->type_oid),
                                .typmod = ph_type_column_typmod(checker->params->source, from)};
    make->fit.not_null = ph_type_column_not_null(checker->params->target, target) &&
                         (from == NULL || !ph_type_column_not_null(checker->params->source, from));
    PH_TRY(find_labels(checker, draft, had.type, &to));
    if (to.type->kind == 'e') {
        make->fit.labels = to.labels;
        make->fit.n_labels = to.n_labels;
    } else if (from == NULL || to.labels != NULL || !promises(checker, had, to))
        PH_TRY(fit_form(checker, draft, to, &make->fit));
    if (from != NULL && make->fit.call != PH_RULE_NONE && ph_type_is_array(to.type))
        draft->drafts[output].is_soft = true; /* its OID is put in here, not by the lane */
    draft->drafts[output].narrows =
        from != NULL &&
        (make->fit.not_null || make->fit.labels != NULL || make->fit.call != PH_RULE_NONE);
    return PH_OK;
}
