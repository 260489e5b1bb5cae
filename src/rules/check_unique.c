/*
 * The target's unique keys: a rule that makes equal what was different would end in a violation,
 * rows or hours later. It is refused unless other columns of the key keep its rows apart by
 * themselves: those that are functions of a unique key of the source by which different values stay
 * different. Keys of columns that no rule changes are left to the data and the server.
 *
 * Indexes of some rows or of expressions and exclusion constraints are asked for less: no rule on
 * their columns may make values equal. Whether a predicate holds for more rows than before, an
 * expression gives the same for values that differ, or ranges overlap, is left to the rows.
 */
#include "rules/check_parts.h"

static const struct ph_route_output *
output_of(const struct ph_draft *draft, int16_t attnum, uint32_t *number)
{
    for (uint32_t i = 0; i < draft->route->n_outputs; i++) {
        if (draft->outputs[i].target->attnum == attnum) {
            *number = i;
            return &draft->outputs[i];
        }
    }
    return NULL;
}

struct kept {         /* what a key of the target is made of */
    bool *columns;    /* of the source, by position: their values stay apart */
    bool tells_rows;  /* has the name or position that rows of one row differ in */
    bool has_element; /* or the value, as different there as it is in the source */
    const struct ph_rule_number *number;    /* tells rows apart that are alike in its `within` */
    const struct ph_route_output *numbered; /* its column */
    bool has_default; /* a column that nobody fills: the server's to keep apart */
    bool is_null;     /* a column that always is, which is like no other value */
    const struct ph_route_output *blurred; /* a rule that may make values equal; NULL: none */
};

/* Whether rows that the number does not tell apart are apart in the key's other columns. */
static bool
is_numbered(const struct ph_draft *draft, const struct kept *kept)
{
    for (uint32_t i = 0; kept->number != NULL && i < kept->number->within.n; i++) {
        const struct ph_column *column =
            ph_rel_column_named(draft->source, kept->number->within.items[i].text);
        if (column == NULL || !kept->columns[column - draft->source->columns])
            return false;
    }
    return kept->number != NULL;
}

static bool
is_always_null(const struct ph_draft *draft, uint32_t output)
{
    const struct ph_make_plan *make = &draft->makes[output];

    return make->kind == PH_MAKE_CONSTANT && make->constant.len < 0;
}

static void
look_at_column(const struct ph_draft *draft, uint32_t n, struct kept *kept)
{
    const struct ph_route_output *output = &draft->outputs[n];
    const struct ph_rule_column *rule = draft->drafts[n].rule;

    if (ph_check_tells_rows(draft, n)) {
        kept->tells_rows = true;
    } else if (rule != NULL && rule->kind == PH_RULE_NUMBER) {
        kept->number = &rule->number;
        kept->numbered = output;
    } else if (output->is_injective && !output->is_keyed) {
        for (uint32_t i = 0; i < output->n_reads; i++) {
            const struct ph_column *column = draft->inputs[output->reads[i]].column;
            if (column != NULL)
                kept->columns[column - draft->source->columns] = true;
        }
    } else {
        kept->blurred = output;
        kept->has_element |= draft->drafts[n].is_element;
    }
}

static void
look_at(const struct ph_draft *draft, const struct ph_index *index, struct kept *kept)
{
    for (uint32_t k = 0; k < index->n_keys; k++) {
        uint32_t n;
        if (index->key_attnums[k] == 0)
            continue; /* an expression */
        if (output_of(draft, index->key_attnums[k], &n) == NULL)
            kept->has_default = true;
        else if (is_always_null(draft, n) && !index->nulls_are_equal)
            kept->is_null = true;
        else
            look_at_column(draft, n, kept);
    }
}

/* What is behind an expression keeps no rows apart, but may make them equal. */
static void
look_at_expressions(const struct ph_draft *draft, const struct ph_index *index, struct kept *kept)
{
    for (uint32_t k = 0; k < index->n_expression_attnums; k++) {
        uint32_t n;
        const struct ph_route_output *output = output_of(draft, index->expression_attnums[k], &n);
        if (output == NULL)
            continue;
        kept->is_null |= is_always_null(draft, n) && !index->nulls_are_equal;
        if (!output->is_injective || output->is_keyed)
            kept->blurred = output;
    }
}

bool
ph_check_tells_rows(const struct ph_draft *draft, uint32_t output)
{
    enum ph_make_kind kind = draft->makes[output].kind;

    return kind == PH_MAKE_NAME || kind == PH_MAKE_POSITION || draft->drafts[output].tells_rows;
}

static bool
covers(const struct ph_rel *source, const struct ph_index *index, const bool *columns)
{
    if (!index->is_unique || !index->is_valid || index->is_partial || index->has_expressions)
        return false;
    for (uint32_t k = 0; k < index->n_keys; k++) {
        const struct ph_column *column = ph_check_attnum(source, index->key_attnums[k]);
        if (column == NULL || !columns[column - source->columns])
            return false;
    }
    return true;
}

bool
ph_check_covers_key(const struct ph_rel *source, const bool *columns)
{
    for (uint32_t i = 0; i < source->n_indexes; i++) {
        if (covers(source, &source->indexes[i], columns))
            return true;
    }
    return false;
}

static bool
is_plain(const struct ph_index *index)
{
    return !index->is_partial && !index->has_expressions && !index->is_exclusion;
}

static void
check_index(struct ph_checker *checker, const struct ph_draft *draft, const struct ph_index *index,
            bool *columns)
{
    struct kept kept = {.columns = columns};

    memset(columns, 0, draft->source->n_columns * sizeof *columns);
    look_at(draft, index, &kept);
    look_at_expressions(draft, index, &kept);
    if (kept.has_default || kept.is_null)
        return;
    bool is_several =
        is_plain(index) && draft->route->makes_rows && !kept.tells_rows && !kept.has_element;
    if (is_several && kept.blurred == NULL)
        ph_check_problem(checker, draft, draft->table->source.place,
                         "one row becomes several, and the target's unique key %s does not tell "
                         "them apart",
                         index->name);
    if (kept.blurred == NULL && is_plain(index))
        kept.blurred = kept.numbered;
    if (kept.blurred == NULL ||
        (!is_several && (ph_check_covers_key(draft->source, columns) || is_numbered(draft, &kept))))
        return;
    ph_check_problem(
        checker, draft, draft->table->source.place,
        "column %s is part of the target's %s %s, and its rule (%s) %s", kept.blurred->target->name,
        index->is_exclusion ? "exclusion constraint"
        : is_plain(index)   ? "unique key"
                            : "unique index",
        index->name, kept.blurred->words,
        kept.blurred->is_keyed ? "depends on the row it is in" : "may make different values equal");
}

#define NOT_THERE INT16_MAX /* tables have fewer columns */

/* The source's number of a column may not be the target's: dropped columns are not made there. */
static const int16_t *
attnums_there(struct ph_checker *checker, const struct ph_draft *draft,
              const struct ph_rel *made_as, const int16_t *attnums, uint32_t n)
{
    int16_t *out = PH_ARENA_ARRAY(checker->arena, int16_t, (size_t)n + 1);

    for (uint32_t k = 0; out != NULL && k < n; k++) {
        const struct ph_column *here = ph_check_attnum(made_as, attnums[k]);
        const struct ph_column *there =
            here != NULL ? ph_rel_column_named(draft->target, here->name) : NULL;
        if (there != NULL)
            out[k] = there->attnum;
        else if (attnums[k] != 0)
            out[k] = NOT_THERE;
    }
    return out;
}

ph_code
ph_check_target_keys(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_rel *target = draft->target;

    draft->keyed = *target;
    const struct ph_rel *made_as =
        ph_catalog_rel_named(checker->params->source, target->schema, target->name);
    if (!checker->params->keys_come_later || made_as == NULL)
        return PH_OK;
    struct ph_index *indexes =
        PH_ARENA_ARRAY(checker->arena, struct ph_index, (size_t)made_as->n_indexes + 1);
    if (indexes == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < made_as->n_indexes; i++) {
        const struct ph_index *index = &made_as->indexes[i];
        indexes[i] = *index;
        indexes[i].key_attnums =
            attnums_there(checker, draft, made_as, index->key_attnums, index->n_keys);
        indexes[i].expression_attnums = attnums_there(
            checker, draft, made_as, index->expression_attnums, index->n_expression_attnums);
        if (indexes[i].key_attnums == NULL || indexes[i].expression_attnums == NULL)
            return ph_check_no_memory(checker);
    }
    draft->keyed.indexes = indexes;
    draft->keyed.n_indexes = made_as->n_indexes;
    return PH_OK;
}

void
ph_check_unique(struct ph_checker *checker, const struct ph_draft *draft)
{
    bool *columns = PH_ARENA_ARRAY(checker->arena, bool, (size_t)draft->source->n_columns + 1);

    if (columns == NULL || !draft->route->has_program)
        return;
    for (uint32_t i = 0; i < draft->keyed.n_indexes; i++) {
        const struct ph_index *index = &draft->keyed.indexes[i];
        if ((index->is_unique || index->is_exclusion) && index->is_valid)
            check_index(checker, draft, index, columns);
    }
}
