/*
 * One C file for all routes with a program. It depends on <pghaul/rule.h> alone and says in its
 * comments what it was made of, so that it can be read, and kept beside the job.
 *
 *     static enum ph_rule_result
 *     route_0_current_phase(struct ph_rule_frame *frame, const struct ph_value *in,
 *                           struct ph_value *out)          a function per rule that is a chain
 *     static enum ph_rule_result
 *     route_0_row(…)                                       one per route, which fills all outputs
 *
 * What must not happen twice is said once: the text depends on the routes alone, in their order, so
 * that unchanged rules give an unchanged file.
 */
#include <stdio.h>

#include "rules/generate_parts.h"

static const char prologue[] =
    "#include <pghaul/rule.h>\n"
    "\n"
    "/* The row cannot be handled: which output, and why. */\n"
    "static inline enum ph_rule_result\n"
    "bad(struct ph_rule_frame *frame, uint32_t output, const char *message)\n"
    "{\n"
    "    frame->bad_output = output;\n"
    "    frame->message = message;\n"
    "    return PH_RULE_BAD;\n"
    "}\n"
    "\n"
    "/* Operator number `call` of `args`. */\n"
    "static inline enum ph_rule_result\n"
    "run(struct ph_rule_frame *frame, uint32_t call, uint32_t output, const struct ph_value "
    "*args,\n"
    "    struct ph_value *out)\n"
    "{\n"
    "    enum ph_rule_result rc = frame->ops[call]->run(&frame->calls[call], args, out);\n"
    "\n"
    "    if (rc == PH_RULE_BAD)\n"
    "        return bad(frame, output, frame->calls[call].message);\n"
    "    return rc;\n"
    "}\n"
    "\n";

void
ph_generate_comment(struct ph_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (text[0] == '*' && text[1] == '/')
            ph_buf_puts(out, "* ");
        else
            ph_buf_putc(out, (unsigned char)*text < 0x20 ? ' ' : *text);
    }
}

void
ph_generate_value(struct ph_value value, struct ph_buf *out)
{
    if (value.len == PH_VALUE_NULL) {
        ph_buf_puts(out, "{NULL, PH_VALUE_NULL}");
        return;
    }
    ph_buf_puts(out, "{(const uint8_t *)");
    ph_rules_put_bytes(value, out);
    ph_buf_printf(out, ", %d}", value.len);
}

/* ---- rows ---- */

static void
put_output(const struct ph_generator *generator, uint32_t n)
{
    const struct ph_make_plan *make = &generator->plan->makes[n];
    const struct ph_route_output *output = &generator->route->outputs[n];
    struct ph_buf *out = generator->out;

    ph_buf_puts(out, "    /* ");
    ph_generate_comment(out, output->target->name);
    ph_buf_puts(out, ": ");
    ph_generate_comment(out, output->words != NULL ? output->words : "");
    ph_buf_puts(out, " */\n");
    if (ph_generate_has_function(make)) {
        ph_buf_printf(out, "    rc = route_%u_%u(frame, in, row, &out[%u]);\n",
                      generator->route->number, n, n);
        ph_buf_puts(out, "    if (rc != PH_RULE_OK)\n        return rc;\n");
    } else if (make->kind == PH_MAKE_CONSTANT) {
        ph_buf_printf(out, "    out[%u] = (struct ph_value)", n);
        ph_generate_value(make->constant, out);
        ph_buf_puts(out, ";\n");
    } else {
        ph_buf_printf(out, "    out[%u] = in[%u];\n", n, output->reads[0]);
    }
}

static void
put_route(const struct ph_generator *generator)
{
    const struct ph_route *route = generator->route;
    struct ph_buf *out = generator->out;

    ph_buf_puts(out, "/* ==== ");
    ph_generate_comment(out, route->name);
    ph_buf_puts(out, " ==== */\n\n");
    ph_generate_shape(generator);
    for (uint32_t n = 0; n < route->n_outputs; n++) {
        if (ph_generate_has_function(&generator->plan->makes[n]))
            ph_generate_output(generator, n);
    }
    ph_buf_printf(out,
                  "static enum ph_rule_result\n"
                  "route_%u_row(struct ph_rule_frame *frame, const struct ph_value *in, uint32_t "
                  "row,\n            struct ph_value *out)\n{\n"
                  "    enum ph_rule_result rc = PH_RULE_OK;\n\n"
                  "    (void)frame;\n    (void)in;\n    (void)row;\n",
                  route->number);
    for (uint32_t n = 0; n < route->n_outputs; n++)
        put_output(generator, n);
    ph_buf_puts(out, "    return rc;\n}\n\n");
}

ph_code
ph_rules_generate(const struct ph_ruleset *set, struct ph_buf *out, struct ph_error *err)
{
    ph_buf_puts(out,
                "/* Made by pghaul of a job file's rules; `pghaul rules explain` says the same "
                "in words. */\n");
    ph_buf_puts(out, prologue);
    for (uint32_t i = 0; i < set->n_routes; i++) {
        const struct ph_generator generator = {set, &set->routes[i], &set->plans[i], out};
        if (set->routes[i].has_program)
            put_route(&generator);
    }
    ph_buf_puts(out, "static const struct ph_route_code routes[] = {\n");
    for (uint32_t i = 0; i < set->n_routes; i++) {
        if (!set->routes[i].has_program)
            ph_buf_printf(out, "    {NULL, NULL},\n");
        else if (ph_generate_has_rows(&set->plans[i]))
            ph_buf_printf(out, "    {route_%u_rows, route_%u_row},\n", i, i);
        else
            ph_buf_printf(out, "    {NULL, route_%u_row},\n", i);
    }
    ph_buf_puts(out, "};\n\n");
    if (!ph_buf_ok(out))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules' C");
    return PH_OK;
}

void
ph_rules_generate_object(const struct ph_ruleset *set, struct ph_buf *out)
{
    ph_buf_puts(out, "extern const struct ph_rule_object ph_rule_object;\n");
    ph_buf_printf(out,
                  "const struct ph_rule_object ph_rule_object = {\n"
                  "    .abi = %u,\n"
                  "    .fingerprint = \"%s\",\n"
                  "    .routes = routes,\n"
                  "    .n_routes = %u,\n"
                  "    .n_calls = %u,\n"
                  "};\n",
                  PH_RULE_ABI, set->fingerprint, set->n_routes, set->n_calls);
}
