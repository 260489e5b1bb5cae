/* The rules in words: for `rules explain`, from what was checked and will run. */
#include "rules/ruleset_parts.h"

static void
put_rows(const struct ph_route *route, struct ph_buf *out)
{
    if (route->where != NULL)
        ph_buf_printf(out, "  rows: those with %s\n", route->where);
    if (route->makes_rows)
        ph_buf_puts(out, "  rows: one may become several, or none\n");
    if (route->preserve != NULL)
        ph_buf_printf(out, "  the target keeps its rows with %s\n", route->preserve);
    if (route->preserve_columns != NULL) {
        ph_buf_puts(out, "  rows that the target has keep");
        for (uint32_t i = 0; i < route->preserve_columns->n; i++)
            ph_buf_printf(out, "%s %s", i > 0 ? "," : "", route->preserve_columns->items[i].text);
        ph_buf_putc(out, '\n');
    }
    ph_buf_printf(out, "  a row that a rule cannot handle %s\n",
                  route->quarantines ? "goes to quarantine" : "stops the job");
}

static bool
reads(const struct ph_ruleset *set, const struct ph_route *route, const struct ph_column *column)
{
    const struct ph_shape_plan *shape = &set->plans[route->number].shape;

    for (uint32_t i = 0; i < route->n_outputs; i++) {
        const struct ph_route_output *output = &route->outputs[i];
        if (output->source == column)
            return true;
        for (uint32_t k = 0; route->n_inputs > 0 && k < output->n_reads; k++) {
            if (route->inputs[output->reads[k]].column == column)
                return true;
        }
    }
    for (uint32_t i = 0; i < shape->n_inputs; i++) {
        if (route->inputs[shape->inputs[i]].column == column)
            return true;
    }
    return false;
}

static void
put_columns(const struct ph_ruleset *set, const struct ph_route *route, struct ph_buf *out)
{
    size_t width = 0;

    for (uint32_t i = 0; i < route->n_outputs; i++) {
        size_t len = strlen(route->outputs[i].target->name);
        width = len > width && len <= 40 ? len : width;
    }
    for (uint32_t i = 0; i < route->n_outputs; i++)
        ph_buf_printf(out, "  %-*s  %s\n", (int)width, route->outputs[i].target->name,
                      route->outputs[i].words != NULL ? route->outputs[i].words : "");
    bool has_some = false;
    for (uint32_t i = 0; i < route->source->n_columns; i++) {
        const struct ph_column *column = &route->source->columns[i];
        if (column->generated != '\0' || reads(set, route, column))
            continue;
        ph_buf_printf(out, "%s%s", has_some ? ", " : "  not taken here: ", column->name);
        has_some = true;
    }
    ph_buf_puts(out, has_some ? "\n" : "");
}

void
ph_ruleset_explain(const struct ph_ruleset *set, struct ph_buf *out)
{
    for (uint32_t i = 0; i < set->n_routes; i++) {
        const struct ph_route *route = &set->routes[i];
        ph_buf_printf(out, "%s%s\n", i > 0 ? "\n" : "", route->name);
        put_columns(set, route, out);
        put_rows(route, out);
        if (route->no_stream != NULL)
            ph_buf_printf(out, "  with --follow: refused, %s; %s\n", route->no_stream,
                          route->no_stream_cure);
        else if (route->needs_old_row)
            ph_buf_puts(out, "  with --follow: only with REPLICA IDENTITY FULL on the source\n");
    }
}
