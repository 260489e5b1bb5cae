/*
 * The function of one output: its arguments, its steps, and the checks of what comes out. The value
 * at hand is always `v`; a step leaves it untouched where it does not apply (NULL).
 */
#include <stdio.h>

#include "rules/generate_parts.h"

static bool
has_fit(const struct ph_fit *fit)
{
    return fit->not_null || fit->labels != NULL || fit->call != PH_RULE_NONE;
}

bool
ph_generate_has_function(const struct ph_make_plan *make)
{
    switch (make->kind) {
    case PH_MAKE_PASS:
        return has_fit(&make->fit);
    case PH_MAKE_CONSTANT:
        return false;
    case PH_MAKE_CHAIN:
        return make->n_steps > 0 || has_fit(&make->fit) || make->args[0].kind != PH_ARG_INPUT ||
               make->args[0].padding != PH_PADDED_NOT;
    case PH_MAKE_NAME:
    case PH_MAKE_POSITION:
        return true;
    }
    return true;
}

/* ---- steps ---- */

static bool
takes_null(const struct ph_generator *generator, uint32_t call)
{
    return (generator->set->calls[call].op->flags & PH_RULE_TAKES_NULL) != 0;
}

/* The first call of a chain may have several arguments, in `args`; later ones have `v`. */
static void
put_call(const struct ph_generator *generator, uint32_t n, const struct ph_step_plan *step,
         uint32_t n_args)
{
    struct ph_buf *out = generator->out;
    const struct ph_call_plan *call = &generator->set->calls[step->call];
    const char *args = n_args == 1 ? "&v" : "args";

    ph_buf_printf(out, "    /* %s */\n", call->op->name);
    if (takes_null(generator, step->call))
        ph_buf_puts(out, "    {\n");
    else if (n_args == 1)
        ph_buf_puts(out, "    if (v.len >= 0) {\n");
    else
        ph_buf_puts(out, "    if (!some_null) {\n");
    ph_buf_printf(out,
                  "        struct ph_value result = {NULL, PH_VALUE_NULL};\n"
                  "        enum ph_rule_result rc = run(frame, %u, %u, %s, &result);\n"
                  "        if (rc != PH_RULE_OK)\n            return rc;\n"
                  "        v = result;\n    }",
                  step->call, n, args);
    if (n_args > 1 && !takes_null(generator, step->call))
        ph_buf_puts(out, " else {\n        v = (struct ph_value){NULL, PH_VALUE_NULL};\n    }");
    ph_buf_putc(out, '\n');
}

static void
put_assign(const struct ph_generator *generator, struct ph_value value)
{
    ph_buf_puts(generator->out, "v = (struct ph_value)");
    ph_generate_value(value, generator->out);
    ph_buf_puts(generator->out, ";\n");
}

static void
put_escaped(struct ph_buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        ph_buf_printf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c",
                      (unsigned char)*text < 0x20 ? ' ' : *text);
}

static void
put_else(const struct ph_generator *generator, uint32_t n, const struct ph_step_plan *step,
         const char *map)
{
    struct ph_buf *out = generator->out;

    ph_buf_printf(out,
                  "        if (entry >= 0)\n"
                  "            v = %s_values[entry];\n",
                  map);
    switch (step->otherwise) {
    case PH_ELSE_ERROR:
    case PH_ELSE_QUARANTINE:
        ph_buf_puts(out, "        else {\n");
        if (step->otherwise == PH_ELSE_QUARANTINE)
            ph_buf_puts(out, "            frame->quarantine = true;\n");
        if (step->is_text)
            ph_buf_puts(out, "            frame->bad_value = v;\n");
        ph_buf_printf(out, "            return bad(frame, %u, \"the map ", n);
        put_escaped(out, step->map_name);
        ph_buf_puts(out, " does not have the value\");\n        }\n");
        break;
    case PH_ELSE_NULL:
        ph_buf_puts(out, "        else\n            ");
        put_assign(generator, (struct ph_value){NULL, PH_VALUE_NULL});
        break;
    case PH_ELSE_KEEP:
        break;
    case PH_ELSE_VALUE:
        ph_buf_puts(out, "        else\n            ");
        put_assign(generator, step->constant);
        break;
    }
}

/* What a lookup did not find. */
static void
put_found(const struct ph_generator *generator, uint32_t n, const struct ph_step_plan *step)
{
    struct ph_buf *out = generator->out;

    ph_buf_puts(out, "    /* lookup in ");
    ph_generate_comment(out, step->lookup_name);
    ph_buf_puts(out, " */\n    if (v.len == PH_VALUE_MISSING) {\n        ");
    switch (step->otherwise) {
    case PH_ELSE_ERROR:
    case PH_ELSE_QUARANTINE:
        if (step->otherwise == PH_ELSE_QUARANTINE)
            ph_buf_puts(out, "frame->quarantine = true;\n        ");
        if (step->is_text)
            ph_buf_printf(out, "frame->bad_value = in[%u];\n        ", step->key);
        ph_buf_printf(out, "return bad(frame, %u, \"", n);
        put_escaped(out, step->lookup_name);
        ph_buf_puts(out, " does not have the value\");\n");
        break;
    case PH_ELSE_NULL:
    case PH_ELSE_KEEP:
        put_assign(generator, (struct ph_value){NULL, PH_VALUE_NULL});
        break;
    case PH_ELSE_VALUE:
        put_assign(generator, step->constant);
        break;
    }
    ph_buf_puts(out, "    }\n");
}

static bool
is_same_value(struct ph_value a, struct ph_value b)
{
    return a.len == b.len && (a.len <= 0 || memcmp(a.data, b.data, (size_t)a.len) == 0);
}

static bool
is_same_map(const struct ph_step_plan *a, const struct ph_step_plan *b)
{
    if (b->kind != PH_STEP_MAP || a->n_entries != b->n_entries)
        return false;
    for (uint32_t i = 0; i < a->n_entries && a->entries != b->entries; i++) {
        if (!is_same_value(a->entries[i].key, b->entries[i].key) ||
            !is_same_value(a->entries[i].value, b->entries[i].value))
            return false;
    }
    return true;
}

/* Columns of any route that have one map share what the compiler makes of it. */
static const struct ph_step_plan *
name_map(const struct ph_generator *generator, const struct ph_step_plan *step, char *name,
         size_t size)
{
    const struct ph_ruleset *set = generator->set;

    for (uint32_t r = 0; r <= generator->route->number; r++) {
        for (uint32_t n = 0; n < set->routes[r].n_outputs; n++) {
            const struct ph_make_plan *make = &set->plans[r].makes[n];
            for (uint32_t i = 0; set->routes[r].has_program && i < make->n_steps; i++) {
                if (!is_same_map(step, &make->steps[i]))
                    continue;
                snprintf(name, size, "route_%u_%u_map_%u", r, n, i);
                return &make->steps[i];
            }
        }
    }
    return NULL;
}

static void
put_map_table(const struct ph_generator *generator, const struct ph_step_plan *step)
{
    struct ph_buf *out = generator->out;
    char name[64];

    if (name_map(generator, step, name, sizeof name) != step)
        return;
    ph_rules_generate_map(step->entries, step->n_entries, name, out);
    ph_buf_printf(out, "static const struct ph_value %s_values[] = {\n", name);
    for (uint32_t k = 0; k < step->n_entries; k++) {
        ph_buf_puts(out, "    ");
        ph_generate_value(step->entries[k].value, out);
        ph_buf_puts(out, ",\n");
    }
    ph_buf_puts(out, step->n_entries == 0 ? "    {0}};\n\n" : "};\n\n");
}

static void
put_map(const struct ph_generator *generator, const struct ph_step_plan *step, uint32_t n)
{
    char name[64] = "";

    struct ph_buf *out = generator->out;

    ph_buf_puts(out, "    /* map ");
    ph_generate_comment(out, step->map_name);
    ph_buf_puts(out, " */\n    if (v.len >= 0) {\n");
    (void)name_map(generator, step, name, sizeof name);
    ph_buf_printf(out, "        int entry = %s(&v);\n", name);
    put_else(generator, n, step, name);
    ph_buf_puts(out, "    }");
    if (step->has_null) {
        ph_buf_puts(out, " else {\n        ");
        put_assign(generator, step->null_value);
        ph_buf_puts(out, "    }");
    }
    ph_buf_putc(out, '\n');
}

static void
put_step(const struct ph_generator *generator, uint32_t n, uint32_t i, uint32_t n_args)
{
    const struct ph_step_plan *step = &generator->plan->makes[n].steps[i];

    switch (step->kind) {
    case PH_STEP_CALL:
        put_call(generator, n, step, n_args);
        break;
    case PH_STEP_MAP:
        put_map(generator, step, n);
        break;
    case PH_STEP_FOUND:
        put_found(generator, n, step);
        break;
    case PH_STEP_DEFAULT:
        ph_buf_puts(generator->out, "    if (v.len < 0)\n        ");
        put_assign(generator, step->constant);
        break;
    }
}

/* ---- what comes out ---- */

static void
put_fit(const struct ph_generator *generator, uint32_t n, const struct ph_fit *fit)
{
    struct ph_buf *out = generator->out;

    if (fit->not_null)
        ph_buf_printf(out,
                      "    if (v.len == PH_VALUE_NULL)\n"
                      "        return bad(frame, %u, \"is NULL, and the column is NOT NULL\");\n",
                      n);
    if (fit->labels != NULL)
        ph_buf_printf(out,
                      "    if (v.len >= 0 && route_%u_%u_labels(&v) < 0)\n"
                      "        return bad(frame, %u, \"is no value of the column's enum\");\n",
                      generator->route->number, n, n);
    if (fit->call == PH_RULE_NONE)
        return;
    if (fit->max_bytes > 0)
        ph_buf_printf(out, "    if (v.len > %u) {\n", fit->max_bytes);
    else
        ph_buf_puts(out, "    if (v.len >= 0) {\n");
    ph_buf_printf(out,
                  "        struct ph_value fitting;\n"
                  "        enum ph_rule_result rc = run(frame, %u, %u, &v, &fitting);\n"
                  "        if (rc != PH_RULE_OK)\n            return rc;\n"
                  "        v = fitting;\n    }\n",
                  fit->call, n);
}

static void
put_labels(const struct ph_generator *generator, uint32_t n, const struct ph_fit *fit)
{
    struct ph_arena arena;
    char function[64];

    ph_arena_init(&arena, (size_t)64 << 20);
    struct ph_map_entry *entries =
        PH_ARENA_ARRAY(&arena, struct ph_map_entry, (size_t)fit->n_labels + 1);
    if (entries == NULL) {
        generator->out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < fit->n_labels; i++)
        entries[i].key =
            (struct ph_value){(const uint8_t *)fit->labels[i], (int32_t)strlen(fit->labels[i])};
    snprintf(function, sizeof function, "route_%u_%u_labels", generator->route->number, n);
    ph_rules_generate_map(entries, fit->n_labels, function, generator->out);
    ph_arena_reset(&arena);
}

/* Whether an argument is made into a value of its own first. */
static bool
is_part(const struct ph_arg_plan *arg)
{
    return arg->kind != PH_ARG_INPUT || arg->padding != PH_PADDED_NOT;
}

static void
put_argument(const struct ph_generator *generator, uint32_t n, const struct ph_arg_plan *arg,
             const char *name)
{
    struct ph_buf *out = generator->out;

    if (arg->kind != PH_ARG_INPUT)
        ph_generate_part(generator, n, arg, name);
    else
        ph_buf_printf(out,
                      "    if (in[%u].len == PH_VALUE_UNCHANGED) {\n"
                      "        *out = in[%u];\n        return PH_RULE_OK;\n    }\n",
                      arg->input, arg->input);
    if (arg->kind == PH_ARG_INPUT && (generator->plan->makes[n].n_args == 1 || is_part(arg)))
        ph_buf_printf(out, "    struct ph_value %s = in[%u];\n", name, arg->input);
    ph_generate_stripped(generator, arg->padding, name);
}

/* What the function begins with: `v`, or `args` and whether one of them is NULL. */
static void
put_arguments(const struct ph_generator *generator, uint32_t n)
{
    const struct ph_make_plan *make = &generator->plan->makes[n];
    struct ph_buf *out = generator->out;
    char name[32] = "v";

    if (make->kind != PH_MAKE_PASS && make->kind != PH_MAKE_CHAIN) {
        ph_generate_shaped(generator, n);
        return;
    }
    for (uint32_t i = 0; i < make->n_args; i++) {
        if (make->n_args > 1)
            snprintf(name, sizeof name, "part_%u", i);
        put_argument(generator, n, &make->args[i], name);
    }
    if (make->n_args == 1)
        return;
    ph_buf_puts(out, "    const struct ph_value args[] = {");
    for (uint32_t i = 0; i < make->n_args; i++)
        ph_buf_printf(out, is_part(&make->args[i]) ? "%spart_%u" : "%sin[%u]", i > 0 ? ", " : "",
                      is_part(&make->args[i]) ? i : make->args[i].input);
    ph_buf_puts(out, "};\n    const int some_null = ");
    for (uint32_t i = 0; i < make->n_args; i++)
        ph_buf_printf(out, "%sargs[%u].len < 0", i > 0 ? " || " : "", i);
    ph_buf_puts(out, ";\n    (void)some_null;\n    struct ph_value v = args[0];\n");
}

void
ph_generate_output(const struct ph_generator *generator, uint32_t n)
{
    const struct ph_make_plan *make = &generator->plan->makes[n];
    const struct ph_route_output *output = &generator->route->outputs[n];
    struct ph_buf *out = generator->out;

    for (uint32_t i = 0; i < make->n_steps; i++) {
        if (make->steps[i].kind == PH_STEP_MAP)
            put_map_table(generator, &make->steps[i]);
    }
    if (make->fit.labels != NULL)
        put_labels(generator, n, &make->fit);
    ph_buf_puts(out, "/* ");
    ph_generate_comment(out, output->target->name);
    ph_buf_puts(out, ": ");
    ph_generate_comment(out, output->words);
    ph_buf_printf(out,
                  " */\nstatic enum ph_rule_result\n"
                  "route_%u_%u(struct ph_rule_frame *frame, const struct ph_value *in, uint32_t "
                  "row,\n          struct ph_value *out)\n{\n    (void)frame;\n    (void)row;\n",
                  generator->route->number, n);
    put_arguments(generator, n);
    for (uint32_t i = 0; i < make->n_steps; i++)
        put_step(generator, n, i, i == 0 && make->kind == PH_MAKE_CHAIN ? make->n_args : 1);
    put_fit(generator, n, &make->fit);
    ph_buf_puts(out, "    *out = v;\n    return PH_RULE_OK;\n}\n\n");
}
