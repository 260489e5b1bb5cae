/* What plans say by themselves: of a table, and what a whole one asks of the stream and of the
 * target before the first table is described. */
#include "apply/carry.h"
#include "apply/table.h"

const char *const *
ph_apply_own_columns(const struct ph_table_plan *plan, struct ph_arena *arena, uint32_t *n)
{
    const struct ph_rel *target = plan->target;
    const char **own = PH_ARENA_ARRAY(arena, const char *, (size_t)target->n_columns + 1);

    *n = 0;
    for (uint32_t i = 0; own != NULL && i < target->n_columns; i++)
        if (ph_plan_is_own(plan, &target->columns[i]))
            own[(*n)++] = target->columns[i].name;
    return own;
}

/*
 * What comes out of rules is of the target's types, in the form in which the target sends them: to
 * it as if it were the source as well.
 */
static ph_code
choose(const struct ph_carry_params *params, const struct ph_table_plan *table, uint32_t column,
       const struct ph_type **type, struct ph_error *err)
{
    struct ph_plan_column made = table->columns[column];
    struct ph_carry_params carry = *params;
    enum ph_carry how;

    if (table->inputs != NULL) {
        carry = (struct ph_carry_params){params->target, params->target, PH_FORMAT_BINARY};
        made.source = made.target;
    }
    PH_TRY(ph_carry_choose(&carry, &made, &how, err));
    *type = ph_catalog_type(params->target, ph_carry_type(&made, how));
    return PH_OK;
}

enum ph_format
ph_apply_stream_format(const struct ph_plan *plan, const struct ph_catalog *source,
                       const struct ph_catalog *target, struct ph_error *why)
{
    const struct ph_carry_params params = {source, target, PH_FORMAT_BINARY};
    const struct ph_type *type;

    for (uint32_t t = 0; t < plan->n_tables; t++) {
        const struct ph_table_plan *table = &plan->tables[t];
        for (uint32_t i = 0; i < table->n_columns; i++) {
            if (choose(&params, table, i, &type, why) == PH_OK)
                continue;
            ph_error_object(why, "%s.%s", table->source->schema, table->source->name);
            return PH_FORMAT_TEXT;
        }
    }
    return PH_FORMAT_BINARY;
}

struct wanted {
    const struct ph_type *types[256]; /* that domains were asked for, to ask once */
    uint32_t n;
};

static bool
is_new(struct wanted *wanted, const struct ph_type *type)
{
    const uint32_t room = sizeof wanted->types / sizeof wanted->types[0];

    for (uint32_t i = 0; i < wanted->n; i++)
        if (wanted->types[i] == type)
            return false;
    if (wanted->n < room)
        wanted->types[wanted->n++] = type;
    return true;
}

ph_code
ph_apply_domains(const struct ph_plan *plan, const struct ph_catalog *source,
                 const struct ph_catalog *target, enum ph_format stream, struct ph_buf *out,
                 struct ph_error *err)
{
    const struct ph_carry_params params = {source, target, stream};
    struct wanted wanted = {.n = 0};

    for (uint32_t t = 0; t < plan->n_tables; t++) {
        const struct ph_table_plan *table = &plan->tables[t];
        for (uint32_t i = 0; i < table->n_columns; i++) {
            const struct ph_type *type;
            PH_TRY(choose(&params, table, i, &type, err));
            if (type == NULL || !ph_carry_needs_domain(type) ||
                ph_carry_domain(target, type) != NULL || !is_new(&wanted, type))
                continue;
            ph_carry_put_domain(type, out);
            ph_buf_puts(out, ";\n");
        }
    }
    return ph_buf_ok(out) ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for the domains");
}
