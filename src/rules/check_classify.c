/*
 * `policy: classify`: every column of every selected table has a rule, is kept by name or dropped,
 * so that a column that is added tomorrow stops the job instead of going along. A rule that reads a
 * column says nothing of another column of the target that the same one fills as it is. A generated
 * column counts where it is copied: what it is made of may be masked, and it is not.
 */
#include "rules/check_parts.h"

static void
mark_decided(const struct ph_draft *draft, const char *name)
{
    for (uint32_t i = 0; i < draft->source->n_columns; i++)
        draft->classified[i].is_decided |= strcmp(draft->source->columns[i].name, name) == 0;
}

void
ph_check_mark_classified(const struct ph_draft *draft)
{
    for (uint32_t k = 0; k < draft->rule->drop.n; k++)
        mark_decided(draft, draft->rule->drop.items[k].text);
    for (uint32_t n = 0; n < draft->route->n_outputs; n++) {
        const struct ph_draft_output *drafted = &draft->drafts[n];
        bool is_ruled = drafted->rule != NULL || drafted->is_value || draft->rule->keeps_all;
        for (uint32_t i = 0; i < draft->outputs[n].n_reads; i++) {
            const struct ph_column *column = draft->inputs[draft->outputs[n].reads[i]].column;
            if (column == NULL)
                continue;
            struct ph_classified *classified = &draft->classified[column - draft->source->columns];
            classified->is_decided |= is_ruled;
            if (!is_ruled)
                classified->unruled = draft->target;
        }
    }
}

void
ph_check_unclassified(struct ph_checker *checker, const struct ph_rel *source,
                      const struct ph_classified *classified)
{
    struct ph_buf *out = &checker->unclassified;

    for (uint32_t i = 0; i < source->n_columns; i++) {
        const struct ph_classified column =
            classified != NULL ? classified[i] : (struct ph_classified){0};
        bool needs_none = column.is_decided || source->columns[i].generated != '\0';
        if (needs_none && column.unruled == NULL)
            continue;
        ph_buf_printf(out, "%s%s.%s.%s", out->len > 0 ? ", " : "", source->schema, source->name,
                      source->columns[i].name);
        if (needs_none)
            ph_buf_printf(out, " (as it is into %s.%s)", column.unruled->schema,
                          column.unruled->name);
    }
}

/* Whether other partitions of its table have an entry. */
static bool
is_of_split(const struct ph_checker *checker, const struct ph_rel *rel)
{
    const struct ph_ruleset *set = checker->set;

    for (uint32_t k = 0; k < set->n_by_source; k++) {
        const struct ph_rel *other = ph_catalog_rel(checker->params->source, set->by_source[k].oid);
        if (other != NULL && other->root_oid == rel->root_oid)
            return true;
    }
    return false;
}

/* A table of the selection without an entry. Partitions are told by their root, and once: an entry
 * for one of them says nothing of the others, of which the first is told by itself then. */
static void
look_at_selected(struct ph_checker *checker, const struct ph_rel *const *selected, uint32_t i)
{
    const struct ph_rel *rel = selected[i];

    if (rel->kind != PH_REL_TABLE || ph_check_has_routes(checker, rel))
        return;
    for (uint32_t k = 0; k < i; k++) {
        if (selected[k]->kind == PH_REL_TABLE && selected[k]->root_oid == rel->root_oid &&
            !ph_check_has_routes(checker, selected[k]))
            return;
    }
    const struct ph_rel *root =
        is_of_split(checker, rel) ? NULL : ph_catalog_rel(checker->params->source, rel->root_oid);
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
