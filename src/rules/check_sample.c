/*
 * `sample` for rows of the stream: the same hash of the key as the source's SELECT has, of keys
 * whose text is the same here as there.
 */
#include <stdio.h>

#include "model/type_match.h"
#include "rules/check_parts.h"
#include "rules/inner_ops.h"

#define KEYS_MAX 32

/* character(n) has blanks in the one form and not in the other. */
static bool
has_text_form(const struct ph_type *type, const char *class)
{
    static const char *const known[] = {"int2", "int4", "int8", "text", "uuid"};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(class, known[i]) == 0 && strcmp(type->name, "bpchar") != 0)
            return true;
    }
    return false;
}

ph_code
ph_check_sample(struct ph_checker *checker, struct ph_draft *draft, const struct ph_index *key)
{
    struct ph_rule_word words[KEYS_MAX + 1];
    uint32_t *inputs = PH_ARENA_ARRAY(checker->arena, uint32_t, (size_t)key->n_keys + 1);
    char class[PH_CLASS_SIZE];

    if (inputs == NULL)
        return ph_check_no_memory(checker);
    words[0].text = ph_arena_printf(checker->arena, "%llu",
                                    (unsigned long long)(draft->rule->sample * 4294967296.0));
    for (uint32_t k = 0; k < key->n_keys; k++) {
        const struct ph_column *column = ph_check_attnum(draft->source, key->key_attnums[k]);
        if (column == NULL || k == KEYS_MAX ||
            !ph_type_class(checker->params->source, column->type_oid, class) ||
            !has_text_form(ph_type_base(checker->params->source, column->type_oid), class) ||
            strcmp(checker->params->source->encoding, "UTF8") != 0) {
            ph_check_no_stream(draft, "`sample` hashes keys of integers, text (UTF8) and uuid only",
                               "copy it without --follow, or choose rows by `where`");
            return PH_OK;
        }
        words[k + 1].text = ph_arena_strdup(checker->arena, class);
        if (words[k + 1].text == NULL)
            return ph_check_no_memory(checker);
        if (checker->params->follows)
            PH_TRY(ph_check_input(checker, draft, column, &inputs[k]));
    }
    if (!checker->params->follows)
        return PH_OK;
    const struct ph_call_wanted call = {.op = ph_inner_op("sample"),
                                        .params = words,
                                        .n_params = key->n_keys + 1,
                                        .n_args = key->n_keys,
                                        .place = draft->table->source.place};
    draft->plan->sample_inputs = inputs;
    draft->plan->n_sample_inputs = key->n_keys;
    draft->route->filters = true;
    draft->needs_program = true;
    return ph_check_add_call(checker, draft, &call, &draft->plan->sample_call);
}
