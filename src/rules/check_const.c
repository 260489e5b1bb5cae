/*
 * Constants as values. Text needs no server: its bytes are what the job file says, an enum's label
 * is looked up; whatever else is asked of the target, which knows its types, domains and lengths.
 */
#include "model/type_match.h"
#include "rules/check_parts.h"
#include "rules/job_text.h"

static bool
is_plain_text(const struct ph_checker *checker, const struct ph_column *column)
{
    const struct ph_type *type = ph_catalog_type(checker->params->target, column->type_oid);

    return type != NULL && strcmp(type->schema, "pg_catalog") == 0 && column->typmod == -1 &&
           (strcmp(type->name, "text") == 0 || strcmp(type->name, "varchar") == 0);
}

static bool
has_label(const struct ph_type *type, const char *label)
{
    for (uint32_t i = 0; i < type->n_labels; i++) {
        if (strcmp(type->labels[i], label) == 0)
            return true;
    }
    return false;
}

bool
ph_check_is_readable(struct ph_checker *checker, const struct ph_draft *draft,
                     struct ph_rule_word word)
{
    const struct ph_catalog *target = checker->params->target;

    if (word.text == NULL || ph_job_text_is_readable(word.text, target))
        return true;
    ph_check_problem(checker, draft, word.place,
                     "'%s' is not ASCII, so this file has it in UTF-8, and the database is in %s: "
                     "say it in ASCII, or by way of a table of the source",
                     word.text, target->encoding);
    return false;
}

ph_code
ph_check_constant(struct ph_checker *checker, const struct ph_draft *draft,
                  const struct ph_column *column, struct ph_rule_word word, struct ph_value *out)
{
    const struct ph_ruleset_params *params = checker->params;
    const struct ph_type *type = ph_catalog_type(params->target, column->type_oid);
    struct ph_error why = {.code = PH_OK};

    *out = (struct ph_value){NULL, PH_VALUE_NULL};
    if (word.text == NULL || !ph_check_is_readable(checker, draft, word))
        return PH_OK;
    *out = (struct ph_value){(const uint8_t *)word.text, (int32_t)strlen(word.text)};
    if (is_plain_text(checker, column))
        return PH_OK;
    if (type != NULL && type->kind == 'e') {
        if (!has_label(type, word.text))
            ph_check_problem(checker, draft, word.place, "%s is not a value of %s", word.text,
                             type->name);
        return PH_OK;
    }
    if (params->constant == NULL) {
        ph_check_problem(checker, draft, word.place, "constants of type %s need the target",
                         type == NULL ? "?" : type->name);
        return PH_OK;
    }
    ph_code rc =
        params->constant(params->constant_arg, column, word.text, checker->arena, out, &why);
    if (rc == PH_E_TYPES) {
        ph_check_problem(checker, draft, word.place, "%s", why.message);
        return PH_OK;
    }
    if (rc != PH_OK && checker->err != NULL)
        *checker->err = why;
    return rc;
}

ph_code
ph_check_constant_of_class(struct ph_checker *checker, const struct ph_draft *draft,
                           const char *class, struct ph_rule_word word, struct ph_value *out)
{
    const struct ph_type *type = ph_type_of_class(checker->params->target, class);
    struct ph_column column = {.name = class, .typmod = -1, .type_text = class};

    *out = (struct ph_value){NULL, PH_VALUE_NULL};
    if (word.text == NULL)
        return PH_OK;
    if (strcmp(class, "text") == 0) {
        if (!ph_check_is_readable(checker, draft, word))
            return PH_OK;
        *out = (struct ph_value){(const uint8_t *)word.text, (int32_t)strlen(word.text)};
        return PH_OK;
    }
    if (type == NULL) {
        ph_check_problem(checker, draft, word.place, "no constants of type %s can be written here",
                         class);
        return PH_OK;
    }
    column.type_oid = type->oid;
    return ph_check_constant(checker, draft, &column, word, out);
}
