/*
 * `preserve: {columns: [...]}`: columns of the target whose values stay where it had the row. Rows
 * are found again by a unique key of the target that rows come with; what cannot be told apart or
 * put back by it is refused.
 */
#include "rules/check_parts.h"

#include "model/type_match.h"

#define NONE UINT32_MAX

static uint32_t
output_of(const struct ph_draft *draft, int16_t attnum)
{
    for (uint32_t i = 0; i < draft->route->n_outputs; i++) {
        if (draft->outputs[i].target->attnum == attnum)
            return i;
    }
    return NONE;
}

/* ---- the columns ---- */

static void
insert_ascending(uint32_t *outputs, uint32_t *n, uint32_t output)
{
    uint32_t at = 0;

    while (at < *n && outputs[at] < output)
        at++;
    if (at < *n && outputs[at] == output)
        return;
    for (uint32_t i = *n; i > at; i--)
        outputs[i] = outputs[i - 1];
    outputs[at] = output;
    (*n)++;
}

/* The output of the column; NONE: a problem was told. */
static uint32_t
find_column(struct ph_checker *checker, const struct ph_draft *draft, struct ph_rule_word word)
{
    const struct ph_column *column = ph_rel_column_named(draft->target, word.text);
    char nearest[100];

    if (column == NULL) {
        ph_check_problem(checker, draft, word.place, "%s.%s has no column %s%s",
                         draft->target->schema, draft->target->name, word.text,
                         ph_check_nearest_column(draft->target, word.text, nearest));
        return NONE;
    }
    uint32_t output = output_of(draft, column->attnum);
    if (column->generated != '\0')
        ph_check_problem(checker, draft, word.place,
                         "column %s is generated on the target: there is no value to preserve",
                         word.text);
    else if (output == NONE)
        ph_check_problem(checker, draft, word.place,
                         "nothing fills column %s where a row is new: give it a rule, {set: null} "
                         "at least",
                         word.text);
    return column->generated == '\0' ? output : NONE;
}

static ph_code
find_columns(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_rule_words *words = &draft->rule->preserve_columns;
    uint32_t *outputs = PH_ARENA_ARRAY(checker->arena, uint32_t, words->n);

    if (outputs == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < words->n; i++) {
        uint32_t output = find_column(checker, draft, words->items[i]);
        if (output != NONE)
            insert_ascending(outputs, &draft->route->n_preserved, output);
    }
    draft->route->preserved = outputs;
    return PH_OK;
}

/* ---- the key ---- */

/* Keys are looked for as arrays of their types. */
static bool
can_be_looked_for(const struct ph_checker *checker, const struct ph_column *column)
{
    const struct ph_type *type = ph_catalog_type(checker->params->target, column->type_oid);
    const struct ph_type *base = ph_type_base(checker->params->target, column->type_oid);

    return type != NULL && base != NULL && type->array_oid != 0 && base->kind != 'c' &&
           base->kind != 'p';
}

static const char *
why_not_by(const struct ph_checker *checker, const struct ph_draft *draft,
           const struct ph_index *index)
{
    for (uint32_t k = 0; k < index->n_keys; k++) {
        uint32_t output = output_of(draft, index->key_attnums[k]);
        if (output == NONE)
            return "a column of it is filled by a default";
        if (ph_route_preserves(draft->route, output))
            return "a column of it is to be preserved itself";
        if (!can_be_looked_for(checker, draft->outputs[output].target))
            return "values of its types cannot be looked for";
    }
    return NULL;
}

static const struct ph_index *
choose_key(const struct ph_checker *checker, const struct ph_draft *draft, const char **why)
{
    const struct ph_index *best = NULL;

    *why = "it has neither a primary key nor a unique one without NULLs";
    for (uint32_t i = 0; i < draft->target->n_indexes; i++) {
        const struct ph_index *index = &draft->target->indexes[i];
        if (!ph_check_is_key(draft->target, index))
            continue;
        const char *reason = why_not_by(checker, draft, index);
        if (reason != NULL)
            *why = reason;
        else if (best == NULL || index->is_primary ||
                 (!best->is_primary && index->n_keys < best->n_keys))
            best = index;
    }
    return best;
}

static ph_code
find_key(struct ph_checker *checker, struct ph_draft *draft, struct ph_rule_place place)
{
    struct ph_route *route = draft->route;
    const char *why;
    const struct ph_index *key = choose_key(checker, draft, &why);

    if (key == NULL) {
        ph_check_problem(checker, draft, place,
                         "`preserve` finds rows of %s.%s by a unique key that rows come with: %s",
                         draft->target->schema, draft->target->name, why);
        return PH_OK;
    }
    uint32_t *outputs = PH_ARENA_ARRAY(checker->arena, uint32_t, key->n_keys);
    if (outputs == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t k = 0; k < key->n_keys; k++)
        insert_ascending(outputs, &route->n_preserved_key, output_of(draft, key->key_attnums[k]));
    route->preserved_key = outputs;
    return PH_OK;
}

/* ---- all of it ---- */

ph_code
ph_check_preserve(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_rule_words *words = &draft->rule->preserve_columns;

    if (words->n == 0)
        return PH_OK;
    struct ph_rule_place place = words->items[0].place;
    PH_TRY(find_columns(checker, draft));
    if (checker->params->keys_come_later) {
        ph_check_problem(checker, draft, place,
                         "columns can only be preserved with --data-only: a table that the copy "
                         "makes has no values to keep");
        return PH_OK;
    }
    if (draft->target->is_partition)
        ph_check_problem(checker, draft, place,
                         "columns of a partition cannot be preserved: name the partitioned table "
                         "with `into:`");
    PH_TRY(find_key(checker, draft, place));
    draft->needs_program = true; /* values are put in between the program and the target */
    ph_check_no_stream(draft,
                       "columns are preserved, and of a row that is deleted and comes again the "
                       "stream does not tell what the target had in them",
                       "copy without --follow, or leave the columns to the source");
    return PH_OK;
}
