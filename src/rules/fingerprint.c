/*
 * One number for what the rules came to: the C of the programs, and in words of its own what is not
 * in it (names, types, conditions, constants of operators); and of the header, whose inline
 * functions are compiled along. OIDs are left out where they are not in the C: a database that was
 * restored has others and is the same.
 */
#include <stdio.h>

#include "base/digest.h"
#include "rules/rule_header.h"
#include "rules/ruleset_parts.h"

#define LIMIT ((size_t)256 << 20)

static void
put_column(struct ph_buf *out, const struct ph_column *column)
{
    if (column == NULL)
        ph_buf_puts(out, "-");
    else
        ph_buf_printf(out, "%s %s %d %d", column->name,
                      column->type_text != NULL ? column->type_text : "", column->typmod,
                      column->not_null);
    ph_buf_putc(out, '\n');
}

static void
put_text(struct ph_buf *out, const char *text)
{
    ph_buf_printf(out, "%s\n", text != NULL ? text : "-");
}

static void
put_route(struct ph_buf *out, const struct ph_route *route)
{
    put_text(out, route->name);
    put_text(out, route->where);
    put_text(out, route->preserve);
    if (route->join != NULL)
        ph_buf_printf(out, "join %s\n", route->join);
    if (route->backup != NULL)
        ph_buf_printf(out, "backup %s\n", route->backup);
    ph_buf_printf(out, "%d %d %d %d\n", route->has_program, route->makes_rows, route->filters,
                  route->quarantines);
    for (uint32_t i = 0; i < route->n_preserved; i++)
        ph_buf_printf(out, "preserved %u\n", route->preserved[i]);
    for (uint32_t i = 0; i < route->n_preserved_key; i++)
        ph_buf_printf(out, "by %u\n", route->preserved_key[i]);
    for (uint32_t i = 0; i < route->n_inputs; i++) {
        put_text(out, route->inputs[i].sql);
        put_column(out, route->inputs[i].column);
    }
    for (uint32_t i = 0; i < route->n_key_inputs; i++)
        ph_buf_printf(out, "%u\n", route->key_inputs[i]);
    for (uint32_t i = 0; i < route->n_lookups; i++)
        ph_buf_printf(out, "lookup %u %u %u %u\n", route->lookups[i].lookup, route->lookups[i].key,
                      route->lookups[i].value, route->lookups[i].found);
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        put_column(out, route->outputs[i].target);
        put_column(out, route->outputs[i].source);
    }
}

static void
put_call(struct ph_buf *out, const struct ph_call_plan *call)
{
    ph_buf_printf(out, "%s %s %u", call->op->name, call->op->signature, call->op->flags);
    for (uint32_t i = 0; i < call->n_params; i++)
        ph_buf_printf(out, " [%s]", call->params[i]);
    ph_buf_putc(out, '\n');
}

/* Not by its connection string: another password there makes no other job. */
static void
put_lookup(struct ph_buf *out, const struct ph_lookup *lookup)
{
    put_text(out, lookup->label);
    put_text(out, lookup->sql);
    ph_buf_printf(out, "%d %d %d\n", lookup->database != NULL, (int)lookup->key,
                  lookup->is_constant);
}

ph_code
ph_rules_fingerprint(struct ph_ruleset *set, const struct ph_buf *code, struct ph_error *err)
{
    struct ph_buf out;

    ph_buf_init(&out, LIMIT);
    ph_buf_printf(&out, "pghaul rules %u\n", PH_RULE_ABI);
    for (uint32_t i = 0; i < set->n_routes; i++)
        put_route(&out, &set->routes[i]);
    for (uint32_t i = 0; i < set->n_calls; i++)
        put_call(&out, &set->calls[i]);
    for (uint32_t i = 0; i < set->n_lookups; i++)
        put_lookup(&out, &set->lookups[i]);
    ph_buf_append(&out, ph_rule_header, ph_rule_header_len);
    ph_buf_append(&out, code->data, code->len);
    if (!ph_buf_ok(&out)) {
        ph_buf_free(&out);
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules' fingerprint");
    }
    struct ph_hash128 hash = ph_digest_row((struct ph_span){out.data, out.len});
    snprintf(set->fingerprint, sizeof set->fingerprint, "%016llx%016llx",
             (unsigned long long)hash.hi, (unsigned long long)hash.lo);
    ph_buf_free(&out);
    return PH_OK;
}
