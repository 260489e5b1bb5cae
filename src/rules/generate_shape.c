/*
 * How many rows a row gives: none when a condition or the sample leaves it out, several on routes
 * with unpivot or each. The count comes first; then every output of a row finds its value again.
 */
#include "rules/generate_parts.h"

bool
ph_generate_has_rows(const struct ph_route_plan *plan)
{
    return plan->shape.n_inputs > 0 || plan->filter_code != NULL ||
           plan->sample_call != PH_RULE_NONE;
}

/* What the columns are called, in one of its two forms; NULL: nobody asks. */
static void
put_names(const struct ph_generator *generator, const struct ph_value *names, const char *table)
{
    struct ph_buf *out = generator->out;

    if (names == NULL)
        return;
    ph_buf_printf(out, "static const struct ph_value route_%u_%s[] = {\n", generator->route->number,
                  table);
    for (uint32_t i = 0; i < generator->plan->shape.n_inputs; i++) {
        ph_buf_puts(out, "    ");
        ph_generate_value(names[i], out);
        ph_buf_puts(out, ",\n");
    }
    ph_buf_puts(out, "};\n");
}

static void
put_padded(const struct ph_generator *generator)
{
    const struct ph_shape_plan *shape = &generator->plan->shape;
    struct ph_buf *out = generator->out;

    if (shape->padded == NULL)
        return;
    ph_buf_printf(out, "static const int route_%u_padded[] = {", generator->route->number);
    for (uint32_t i = 0; i < shape->n_inputs; i++)
        ph_buf_printf(out, "%s%d", i > 0 ? ", " : "", shape->padded[i]);
    ph_buf_puts(out, "};\n");
}

static void
put_unpivot(const struct ph_generator *generator)
{
    const struct ph_shape_plan *shape = &generator->plan->shape;
    struct ph_buf *out = generator->out;
    uint32_t number = generator->route->number;

    ph_buf_printf(out, "static const uint32_t route_%u_inputs[] = {", number);
    for (uint32_t i = 0; i < shape->n_inputs; i++)
        ph_buf_printf(out, "%s%u", i > 0 ? ", " : "", shape->inputs[i]);
    ph_buf_puts(out, "};\n");
    put_names(generator, shape->names, "names");
    put_names(generator, shape->words, "words");
    put_padded(generator);
    ph_buf_printf(out,
                  "\n/* Which of them row number `row` is of. */\n"
                  "static uint32_t\nroute_%u_at(const struct ph_value *in, uint32_t row)\n{\n",
                  number);
    if (shape->keeps_null)
        ph_buf_puts(out, "    (void)in;\n    return row;\n}\n\n");
    else
        ph_buf_printf(out,
                      "    uint32_t at = 0;\n\n    for (;; at++) {\n"
                      "        if (in[route_%u_inputs[at]].len != PH_VALUE_NULL && row-- == 0)\n"
                      "            return at;\n    }\n}\n\n",
                      number);
}

/* What leaves the row out. */
static void
put_filters(const struct ph_generator *generator)
{
    const struct ph_route_plan *plan = generator->plan;
    struct ph_buf *out = generator->out;

    if (plan->filter_code != NULL)
        ph_buf_printf(out,
                      "    if (%s(in) != PH_TRUE) {\n        *rows = 0;\n"
                      "        return PH_RULE_OK;\n    }\n",
                      plan->filter_function);
    if (plan->sample_call == PH_RULE_NONE)
        return;
    ph_buf_puts(out, "    {\n        const struct ph_value key[] = {");
    for (uint32_t i = 0; i < plan->n_sample_inputs; i++)
        ph_buf_printf(out, "%sin[%u]", i > 0 ? ", " : "", plan->sample_inputs[i]);
    ph_buf_printf(out,
                  "};\n        struct ph_value is_in;\n"
                  "        enum ph_rule_result rc = run(frame, %u, 0, key, &is_in);\n"
                  "        if (rc != PH_RULE_OK)\n            return rc;\n"
                  "        if (is_in.data[0] == 0) {\n            *rows = 0;\n"
                  "            return PH_RULE_OK;\n        }\n    }\n",
                  plan->sample_call);
}

static void
put_count(const struct ph_generator *generator)
{
    const struct ph_shape_plan *shape = &generator->plan->shape;
    struct ph_buf *out = generator->out;

    if (shape->n_inputs == 0) {
        ph_buf_puts(out, "    *rows = 1;\n");
    } else if (shape->is_each) {
        ph_buf_printf(out,
                      "    static const uint8_t count[4] = {0xff, 0xff, 0xff, 0xff};\n"
                      "    const struct ph_value args[] = {in[%u], {count, 4}};\n"
                      "    struct ph_value n;\n"
                      "    enum ph_rule_result rc = run(frame, %u, 0, args, &n);\n"
                      "    if (rc != PH_RULE_OK)\n        return rc;\n"
                      "    *rows = (uint32_t)ph_rule_get_i32(&n);\n",
                      shape->inputs[0], shape->call);
    } else if (shape->keeps_null) {
        ph_buf_printf(out, "    *rows = %u;\n", shape->n_inputs);
    } else {
        ph_buf_printf(out,
                      "    *rows = 0;\n    for (uint32_t i = 0; i < %u; i++)\n"
                      "        *rows += in[route_%u_inputs[i]].len != PH_VALUE_NULL;\n",
                      shape->n_inputs, generator->route->number);
    }
}

void
ph_generate_shape(const struct ph_generator *generator)
{
    const struct ph_route_plan *plan = generator->plan;
    struct ph_buf *out = generator->out;

    if (!ph_generate_has_rows(plan))
        return;
    if (plan->shape.n_inputs > 0 && !plan->shape.is_each)
        put_unpivot(generator);
    if (plan->filter_code != NULL)
        ph_buf_printf(out, "%s\n", plan->filter_code);
    ph_buf_printf(out,
                  "static enum ph_rule_result\n"
                  "route_%u_rows(struct ph_rule_frame *frame, const struct ph_value *in, uint32_t "
                  "*rows)\n{\n    (void)frame;\n    (void)in;\n",
                  generator->route->number);
    put_filters(generator);
    put_count(generator);
    ph_buf_puts(out, "    return PH_RULE_OK;\n}\n\n");
}

static void
put_element(const struct ph_generator *generator, uint32_t n, const char *name)
{
    const struct ph_shape_plan *shape = &generator->plan->shape;
    struct ph_buf *out = generator->out;

    if (!shape->is_each) {
        ph_buf_printf(out, "    struct ph_value %s = in[route_%u_inputs[route_%u_at(in, row)]];\n",
                      name, generator->route->number, generator->route->number);
        ph_buf_printf(out,
                      "    if (%s.len == PH_VALUE_UNCHANGED) {\n        *out = %s;\n"
                      "        return PH_RULE_OK;\n    }\n",
                      name, name);
        return;
    }
    ph_buf_printf(out,
                  "    struct ph_value %s;\n    {\n"
                  "        uint8_t which[4];\n"
                  "        const struct ph_value element[] = {in[%u], {which, 4}};\n"
                  "        ph_rule_put_i32(which, (int32_t)row);\n"
                  "        enum ph_rule_result rc = run(frame, %u, %u, element, &%s);\n"
                  "        if (rc != PH_RULE_OK)\n            return rc;\n    }\n",
                  name, shape->inputs[0], shape->call, n, name);
}

/* Memory of the row: what an operator gives may lie in what it was given. An int4 holds any row. */
static void
put_position(const struct ph_generator *generator, uint32_t n, uint32_t bytes, const char *name)
{
    if (bytes == 2)
        ph_buf_printf(
            generator->out,
            "    if (row >= %d)\n"
            "        return bad(frame, %u, \"is a position past what smallint holds\");\n",
            INT16_MAX, n);
    ph_buf_printf(generator->out,
                  "    uint8_t *%s_bytes = ph_rule_alloc(&frame->calls[%u], %u);\n"
                  "    if (%s_bytes == NULL)\n        return PH_RULE_NO_MEMORY;\n"
                  "    ph_rule_put_i%u(%s_bytes, (int%u_t)(row + 1));\n"
                  "    struct ph_value %s = {%s_bytes, %u};\n",
                  name, generator->plan->shape.call, bytes, name, bytes * 8, name, bytes * 8, name,
                  name, bytes);
}

void
ph_generate_stripped(const struct ph_generator *generator, enum ph_padding padding,
                     const char *name)
{
    uint32_t number = generator->route->number;

    if (padding == PH_PADDED_NOT)
        return;
    if (padding == PH_PADDED_SOME)
        ph_buf_printf(generator->out, "    if (route_%u_padded[route_%u_at(in, row)])\n    ",
                      number, number);
    ph_buf_printf(generator->out,
                  "    while (%s.len > 0 && %s.data[%s.len - 1] == ' ')\n        %s.len--;\n", name,
                  name, name, name);
}

void
ph_generate_part(const struct ph_generator *generator, uint32_t n, const struct ph_arg_plan *arg,
                 const char *name)
{
    uint32_t number = generator->route->number;

    switch (arg->kind) {
    case PH_ARG_INPUT:
        break;
    case PH_ARG_ELEMENT:
        put_element(generator, n, name);
        break;
    case PH_ARG_NAME:
        ph_buf_printf(generator->out,
                      "    struct ph_value %s = route_%u_words[route_%u_at(in, row)];\n", name,
                      number, number);
        break;
    case PH_ARG_POSITION:
        put_position(generator, n, 4, name);
        break;
    }
}

void
ph_generate_shaped(const struct ph_generator *generator, uint32_t n)
{
    const struct ph_make_plan *make = &generator->plan->makes[n];
    struct ph_buf *out = generator->out;
    uint32_t number = generator->route->number;

    if (make->kind == PH_MAKE_NAME)
        ph_buf_printf(out, "    struct ph_value v = route_%u_names[route_%u_at(in, row)];\n",
                      number, number);
    else
        put_position(generator, n, make->position_bytes, "v");
}
