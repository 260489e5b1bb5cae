/*
 * The target's unique keys: a rule that makes equal what was different would end in a violation,
 * rows or hours later. It is refused unless other columns of the key keep its rows apart by
 * themselves: those that are functions of a unique key of the source by which different values stay
 * different. Keys of columns that no rule changes are left to the data and the server.
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
    bool has_default; /* a column that nobody fills: the server's to keep apart */
    bool is_null;     /* a column that always is, which is like no other value */
    const struct ph_route_output *blurred; /* a rule that may make values equal; NULL: none */
};

static void
look_at(const struct ph_draft *draft, const struct ph_index *index, struct kept *kept)
{
    for (uint32_t k = 0; k < index->n_keys; k++) {
        uint32_t n;
        const struct ph_route_output *output = output_of(draft, index->key_attnums[k], &n);
        if (output == NULL) {
            kept->has_default = true;
            continue;
        }
        enum ph_make_kind kind = draft->makes[n].kind;
        bool is_null = kind == PH_MAKE_CONSTANT && draft->makes[n].constant.len < 0;
        if (is_null && !index->nulls_are_equal) {
            kept->is_null = true;
            continue;
        }
        if (kind == PH_MAKE_NAME || kind == PH_MAKE_POSITION) {
            kept->tells_rows = true;
        } else if (output->is_injective && !output->is_keyed) {
            for (uint32_t i = 0; i < output->n_reads; i++) {
                const struct ph_column *column = draft->inputs[output->reads[i]].column;
                if (column != NULL)
                    kept->columns[column - draft->source->columns] = true;
            }
        } else {
            kept->blurred = output;
        }
    }
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

static void
check_index(struct ph_checker *checker, const struct ph_draft *draft, const struct ph_index *index,
            bool *columns)
{
    struct kept kept = {.columns = columns};

    memset(columns, 0, draft->source->n_columns * sizeof *columns);
    look_at(draft, index, &kept);
    if (kept.has_default || kept.is_null)
        return;
    if (draft->route->makes_rows && !kept.tells_rows && kept.blurred == NULL)
        ph_check_problem(checker, draft, draft->table->source.place,
                         "one row becomes several, and the target's unique key %s does not tell "
                         "them apart",
                         index->name);
    if (kept.blurred == NULL || ph_check_covers_key(draft->source, columns))
        return;
    ph_check_problem(checker, draft, draft->table->source.place,
                     "column %s is part of the target's unique key %s, and its rule (%s) %s",
                     kept.blurred->target->name, index->name, kept.blurred->words,
                     kept.blurred->is_keyed ? "depends on the row it is in"
                                            : "may make different values equal");
}

/* The source's number of a column may not be the target's: dropped columns are not made there. */
static int16_t
attnum_there(const struct ph_rel *made_as, const struct ph_rel *target, int16_t attnum)
{
    const struct ph_column *here = ph_check_attnum(made_as, attnum);
    const struct ph_column *there = here != NULL ? ph_rel_column_named(target, here->name) : NULL;

    return there != NULL ? there->attnum : 0;
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
        int16_t *attnums = PH_ARENA_ARRAY(checker->arena, int16_t, (size_t)index->n_keys + 1);
        if (attnums == NULL)
            return ph_check_no_memory(checker);
        for (uint32_t k = 0; k < index->n_keys; k++)
            attnums[k] = attnum_there(made_as, target, index->key_attnums[k]);
        indexes[i] = *index;
        indexes[i].key_attnums = attnums;
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
        if (index->is_unique && index->is_valid && !index->is_partial && !index->has_expressions)
            check_index(checker, draft, index, columns);
    }
}
