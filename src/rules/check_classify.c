/*
 * `policy: classify`: every column of every selected table has a rule, is kept by name or dropped,
 * so that a column that is added tomorrow stops the job instead of going along.
 */
#include "rules/check_parts.h"

#define LIST_LIMIT ((size_t)64 << 10)

void
ph_check_mark_classified(const struct ph_draft *draft)
{
    const struct ph_rel *source = draft->source;

    for (uint32_t i = 0; i < source->n_columns; i++) {
        const struct ph_column *column = &source->columns[i];
        for (uint32_t k = 0; k < draft->rule->drop.n; k++)
            draft->classified[i] |= strcmp(draft->rule->drop.items[k].text, column->name) == 0;
        draft->classified[i] |= draft->rule->keeps_all && draft->taken[i];
    }
    for (uint32_t n = 0; n < draft->route->n_outputs; n++) {
        if (draft->drafts[n].rule == NULL && !draft->drafts[n].is_value)
            continue;
        for (uint32_t i = 0; i < draft->outputs[n].n_reads; i++) {
            const struct ph_column *column = draft->inputs[draft->outputs[n].reads[i]].column;
            if (column != NULL)
                draft->classified[column - source->columns] = true;
        }
    }
}

void
ph_check_unclassified(struct ph_checker *checker, const struct ph_rel *source,
                      const bool *classified)
{
    for (uint32_t i = 0; i < source->n_columns; i++) {
        if ((classified != NULL && classified[i]) || source->columns[i].generated != '\0')
            continue;
        ph_buf_printf(&checker->unclassified, "%s%s.%s.%s",
                      checker->unclassified.len > 0 ? ", " : "", source->schema, source->name,
                      source->columns[i].name);
    }
}

/* A table of the selection without an entry; partitions by their root, once. */
static void
look_at_selected(struct ph_checker *checker, const struct ph_rel *const *selected, uint32_t i)
{
    const struct ph_rel *rel = selected[i];
    const struct ph_ruleset *set = checker->set;

    if (rel->kind != PH_REL_TABLE)
        return;
    for (uint32_t k = 0; k < set->n_by_source; k++) {
        if (set->by_source[k].oid == rel->oid)
            return;
    }
    for (uint32_t k = 0; k < i; k++) {
        if (selected[k]->kind == PH_REL_TABLE && selected[k]->root_oid == rel->root_oid)
            return;
    }
    const struct ph_rel *root = ph_catalog_rel(checker->params->source, rel->root_oid);
    ph_check_unclassified(checker, root != NULL ? root : rel, NULL);
}

void
ph_check_classify(struct ph_checker *checker)
{
    const struct ph_ruleset_params *params = checker->params;

    if (!params->rules->classify)
        return;
    for (uint32_t i = 0; params->selected != NULL && i < params->n_selected; i++)
        look_at_selected(checker, params->selected, i);
    if (checker->unclassified.len > 0)
        ph_check_problem(checker, NULL, (struct ph_rule_place){0, 0},
                         "`policy: classify`: these columns have no rule and are neither kept nor "
                         "dropped: %s",
                         ph_buf_text(&checker->unclassified));
}
