#include "rules/hidden.h"

#include <stdio.h>

#include "rules/mask_parts.h"
#include "rules/ruleset_parts.h"

#define HIDDEN_DIGITS 16
#define TEXT_LIMIT ((size_t)256 << 20) /* for the text of a value; keys are far smaller */

/* Of what is no column: a value that was looked up, a row's number. */
static bool
masks_input(const struct ph_route *route, uint32_t input)
{
    for (uint32_t n = 0; n < route->n_outputs; n++) {
        const struct ph_route_output *output = &route->outputs[n];
        for (uint32_t i = 0; output->mask != NULL && i < output->n_hidden; i++) {
            if (output->reads[i] == input)
                return true;
        }
    }
    return false;
}

/* NULL: it is no column of the source, or nothing of the table is hidden. */
static const struct ph_hidden_column *
hidden_column(const struct ph_route *route, const struct ph_column *column)
{
    const struct ph_rel *source = route->source;

    return route->hidden != NULL && column >= source->columns &&
                   column < source->columns + source->n_columns
               ? &route->hidden[column - source->columns]
               : NULL;
}

bool
ph_route_hides_column(const struct ph_route *route, const struct ph_column *column)
{
    const struct ph_hidden_column *hidden = hidden_column(route, column);

    return hidden != NULL && hidden->is_hidden;
}

bool
ph_route_hides(const struct ph_route *route, uint32_t input)
{
    const struct ph_column *column = route->inputs[input].column;

    return column != NULL ? ph_route_hides_column(route, column) : masks_input(route, input);
}

bool
ph_route_hides_of(const struct ph_route *route, uint32_t output)
{
    if (output >= route->n_outputs)
        return false;
    for (uint32_t i = 0; i < route->outputs[output].n_reads; i++) {
        if (ph_route_hides(route, route->outputs[output].reads[i]))
            return true;
    }
    /* what a lookup does not have is told by its key, which is none of the rule's reads */
    for (uint32_t i = 0; i < route->n_lookups; i++) {
        if (route->lookups[i].output == output && ph_route_hides(route, route->lookups[i].key))
            return true;
    }
    return false;
}

bool
ph_route_hides_result(const struct ph_route *route, uint32_t output)
{
    const struct ph_route_output *at = &route->outputs[output];

    if (!route->has_program)
        return at->source != NULL && ph_route_hides_column(route, at->source);
    for (uint32_t i = 0; at->mask == NULL && i < at->n_reads; i++) {
        if (ph_route_hides(route, at->reads[i]))
            return true;
    }
    return false;
}

static bool
is_of_tables(const struct ph_rel *rel)
{
    return rel->kind == PH_REL_VIEW || rel->kind == PH_REL_MATVIEW || rel->has_inheritance_children;
}

bool
ph_ruleset_hides(const struct ph_ruleset *set, const struct ph_rel *rel, const char *column)
{
    for (uint32_t i = 0; i < set->n_hidden; i++) {
        const struct ph_hidden_table *table = &set->hidden[i];
        const struct ph_column *found =
            rel->root_oid == table->rel->oid ? ph_rel_column_named(table->rel, column) : NULL;
        if (table->has_mask && is_of_tables(rel))
            return true;
        if (table->has_mask && found != NULL)
            return table->masked[found - table->rel->columns] ||
                   !table->shown[found - table->rel->columns];
    }
    return false;
}

void
ph_hidden_text(const struct ph_rules_in_use *rules, struct ph_span text, char out[PH_HIDDEN_SIZE])
{
    struct ph_prf prf;
    uint8_t hash[PH_PRF_SIZE];
    uint8_t digits[HIDDEN_DIGITS + 1] = {0};

    if (rules == NULL || rules->secret == NULL) {
        snprintf(out, PH_HIDDEN_SIZE, "(hidden)");
        return;
    }
    ph_prf_init(&prf, (struct ph_span){rules->secret, rules->secret_len});
    ph_prf(&prf, text, hash);
    ph_mask_hex(hash, HIDDEN_DIGITS, digits);
    snprintf(out, PH_HIDDEN_SIZE, "hmac:%s", (const char *)digits);
}

static void *
text_alloc(void *arena, size_t len)
{
    return ph_arena_alloc(arena, len);
}

/* false: the type has no text that is known here, or there is no memory. */
static bool
make_text(const struct ph_rule_op *op, struct ph_value value, struct ph_arena *arena,
          struct ph_value *out)
{
    struct ph_rule_call call = {.n_args = 1, .arena = arena, .alloc = text_alloc};

    if (op == NULL || (op->prepare != NULL && !op->prepare(&call)))
        return false;
    bool is_made = op->run(&call, &value, out) == PH_RULE_OK;
    if (op->release != NULL)
        op->release(&call);
    return is_made;
}

static bool
make_hex(struct ph_span value, struct ph_arena *arena, struct ph_value *out)
{
    uint8_t *digits = ph_arena_alloc(arena, 2 * value.len + 1);

    if (digits == NULL)
        return false;
    ph_mask_hex(value.data, 2 * value.len, digits);
    *out = (struct ph_value){digits, (int32_t)(2 * value.len)};
    return true;
}

void
ph_hidden_value(const struct ph_route *route, const struct ph_rules_in_use *rules,
                const struct ph_column *column, struct ph_span value, char out[PH_HIDDEN_SIZE])
{
    const struct ph_hidden_column *hidden = hidden_column(route, column);
    struct ph_arena arena;
    struct ph_value text;

    ph_arena_init(&arena, TEXT_LIMIT);
    bool is_made = value.len <= TEXT_LIMIT / 8 && hidden != NULL &&
                   (make_text(hidden->to_text, (struct ph_value){value.data, (int32_t)value.len},
                              &arena, &text) ||
                    make_hex(value, &arena, &text));
    struct ph_span span = is_made ? ph_mask_span(&text) : (struct ph_span){0};
    while (is_made && hidden->is_padded && span.len > 0 && span.data[span.len - 1] == ' ')
        span.len--;
    ph_hidden_text(is_made ? rules : NULL, span, out);
    ph_arena_reset(&arena);
}
