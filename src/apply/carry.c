/*
 * pgoutput in binary decides per value: the send function's bytes where the type has one, text
 * otherwise. So a table that is copied as text may well come in binary, and what matters here is
 * each column by itself.
 *
 * Domains are named by the array type where it is a built-in one (a_int4), by its OID on the target
 * otherwise: names of user types may be as long as a name can be.
 */
#include "apply/carry.h"

#include <stdio.h>
#include <string.h>

#include "model/type_match.h"

#define FIRST_USER_OID 16384u
#define TEXT_OID 25u
#define DOMAIN_SCHEMA "pghaul"

static bool
is_builtin(const struct ph_type *type)
{
    return type->extension == NULL && strcmp(type->schema, "pg_catalog") == 0;
}

/* The same type under the same OID on both servers, whose bytes both read alike. */
static bool
is_shared(const struct ph_carry_params *params, ph_oid oid)
{
    struct ph_type_match match = {0};

    if (oid >= FIRST_USER_OID)
        return false;
    ph_type_match(params->source, oid, params->target, oid, &match);
    return match.kind == PH_MATCH_PASS;
}

ph_code
ph_carry_choose(const struct ph_carry_params *params, const struct ph_plan_column *column,
                enum ph_carry *out, struct ph_error *err)
{
    const struct ph_type *type = ph_catalog_type(params->source, column->source->type_oid);
    struct ph_type_match match = {0};

    ph_type_match(params->source, column->source->type_oid, params->target,
                  column->target->type_oid, &match);
    if (match.kind == PH_MATCH_NONE || type == NULL)
        return PH_FAIL(err, PH_E_TYPES, "column %s: %s", column->source_name, match.reason);
    *out = PH_CARRY_TEXT;
    if (params->stream == PH_FORMAT_TEXT)
        return PH_OK;
    if (match.kind == PH_MATCH_PASS || match.kind == PH_MATCH_REMAP) {
        *out = PH_CARRY_BINARY;
        return PH_OK;
    }
    if (is_shared(params, column->source->type_oid)) {
        *out = PH_CARRY_VIA_TEXT;
        return PH_OK;
    }
    if (!type->has_binary)
        return PH_OK;
    return PH_FAIL(err, PH_E_UNSUPPORTED, "column %s cannot come in binary: %s",
                   column->source_name, match.reason);
}

ph_oid
ph_carry_type(const struct ph_plan_column *column, enum ph_carry carry)
{
    switch (carry) {
    case PH_CARRY_BINARY:
        return column->target->type_oid;
    case PH_CARRY_VIA_TEXT:
        return column->source->type_oid;
    case PH_CARRY_TEXT:
        break;
    }
    return TEXT_OID;
}

bool
ph_carry_needs_domain(const struct ph_type *type)
{
    return type->array_oid == 0;
}

static void
domain_name(const struct ph_type *type, char *out, size_t size)
{
    if (is_builtin(type) && type->name[0] == '_')
        snprintf(out, size, "a%s", type->name);
    else
        snprintf(out, size, "a_%u", type->oid);
}

const struct ph_type *
ph_carry_domain(const struct ph_catalog *target, const struct ph_type *type)
{
    char name[80];

    domain_name(type, name, sizeof name);
    for (uint32_t i = 0; i < target->n_types; i++) {
        const struct ph_type *found = &target->types[i];
        if (found->kind == 'd' && found->base_oid == type->oid && strcmp(found->name, name) == 0 &&
            strcmp(found->schema, DOMAIN_SCHEMA) == 0)
            return found;
    }
    return NULL;
}

void
ph_carry_put_domain(const struct ph_type *type, struct ph_buf *out)
{
    char name[80];

    domain_name(type, name, sizeof name);
    ph_buf_puts(out, "CREATE DOMAIN ");
    ph_buf_put_qualified(out, DOMAIN_SCHEMA, name);
    ph_buf_puts(out, " AS ");
    ph_buf_put_qualified(out, type->schema, type->name);
}

static const char *
qualified(struct ph_arena *arena, const char *prefix, const struct ph_type *type)
{
    struct ph_buf text;

    ph_buf_init(&text, 4096);
    ph_buf_puts(&text, prefix);
    ph_buf_put_qualified(&text, type->schema, type->name);
    const char *out = ph_buf_ok(&text) ? ph_arena_strdup(arena, ph_buf_text(&text)) : NULL;
    ph_buf_free(&text);
    return out;
}

/* The type that stands for `type` as an element: itself, or its domain. */
static const struct ph_type *
element_of(const struct ph_carry_params *params, ph_oid oid)
{
    const struct ph_type *type = ph_catalog_type(params->target, oid);

    if (type != NULL && ph_carry_needs_domain(type))
        return ph_carry_domain(params->target, type);
    return type;
}

/*
 * COPY gives what a type's output function gives. Of these the cast to text is another function,
 * which says true, 10.0.0.1/32, or leaves out spaces at the end.
 */
static const char *
output_of(const struct ph_type *type)
{
    static const char *const functions[][2] = {
        {"bool", "\"pg_catalog\".\"boolout\"("},
        {"inet", "\"pg_catalog\".\"inet_out\"("},
        {"bpchar", "\"pg_catalog\".\"bpcharout\"("},
    };

    for (size_t i = 0; is_builtin(type) && i < sizeof functions / sizeof functions[0]; i++)
        if (strcmp(type->name, functions[i][0]) == 0)
            return functions[i][1];
    return NULL;
}

static void
fill_cast(const struct ph_type *from, const struct ph_type *to, struct ph_arena *arena,
          struct ph_apply_column *column)
{
    const char *output = column->carry == PH_CARRY_VIA_TEXT ? output_of(from) : NULL;

    column->open_sql = output != NULL ? output : "";
    column->cast_sql = "";
    if (output != NULL)
        column->cast_sql = qualified(arena, ")::\"pg_catalog\".\"text\"::", to);
    else if (column->carry == PH_CARRY_VIA_TEXT)
        column->cast_sql = qualified(arena, "::\"pg_catalog\".\"text\"::", to);
    else if (column->carry == PH_CARRY_TEXT)
        column->cast_sql = qualified(arena, "::", to);
}

ph_code
ph_carry_fill(const struct ph_carry_params *params, const struct ph_plan_column *from,
              struct ph_arena *arena, struct ph_apply_column *column, struct ph_error *err)
{
    const struct ph_type *element = element_of(params, ph_carry_type(from, column->carry));
    const struct ph_type *type = ph_catalog_type(params->target, from->target->type_oid);
    const struct ph_type *array =
        element == NULL ? NULL : ph_catalog_type(params->target, element->array_oid);

    if (array == NULL || type == NULL)
        return PH_FAIL(err, PH_E_LEDGER, "column %s: schema %s lacks the domain for its type",
                       from->target_name, DOMAIN_SCHEMA);
    column->element_oid = element->oid;
    column->param_sql = qualified(arena, "", array);
    fill_cast(element, type, arena, column);
    if (column->param_sql == NULL || column->cast_sql == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a column's description");
    return PH_OK;
}
