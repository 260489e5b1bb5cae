#include "apply/late.h"

#include <string.h>

#define VALUE_LIMIT ((size_t)4 << 20)

uint32_t
ph_apply_find_field(const struct ph_stream_rel *rel, const char *name)
{
    for (uint32_t i = 0; i < rel->n_columns; i++)
        if (strcmp(rel->columns[i].name, name) == 0)
            return i;
    return PH_NO_FIELD;
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for a table's description");
}

static const char *
value_sql(const struct ph_late *late, struct ph_arena *arena)
{
    struct ph_buf sql;

    if (late->fill == PH_FILL_NONE)
        return "NULL";
    ph_buf_init(&sql, VALUE_LIMIT);
    ph_buf_put_literal(&sql, late->constant);
    const char *out = ph_buf_ok(&sql) ? ph_arena_strdup(arena, ph_buf_text(&sql)) : NULL;
    ph_buf_free(&sql);
    return out;
}

static ph_code
fill_in(const struct ph_apply_table_params *params, const struct ph_plan_column *column,
        struct ph_arena *arena, struct ph_apply_late *out, struct ph_error *err)
{
    struct ph_apply_fill *fill = &out->fills[out->n_fills];

    if (params->commit > column->late->until) /* the source has it no more */
        return PH_OK;
    if (column->late->fill == PH_FILL_UNKNOWN) {
        PH_FAIL(err, PH_E_TYPES,
                "a change is from before column %s was added with a value of its own for each "
                "row: which one the source gave this row, no stream brings",
                column->source_name);
        ph_error_object(err, "%s.%s", params->rel->schema, params->rel->name);
        return PH_E_TYPES;
    }
    fill->name = column->target_name;
    fill->value_sql = value_sql(column->late, arena);
    out->n_fills++;
    return fill->value_sql != NULL ? PH_OK : no_memory(err);
}

static bool
is_lacking(const struct ph_apply_table_params *params, uint32_t column)
{
    const struct ph_plan_column *of = &params->plan->columns[column];

    return of->late != NULL && ph_apply_find_field(params->rel, of->source_name) == PH_NO_FIELD;
}

static ph_code
split(const struct ph_apply_table_params *params, struct ph_arena *arena, struct ph_apply_late *out,
      struct ph_error *err)
{
    const struct ph_table_plan *all = params->plan;
    struct ph_table_plan *plan = PH_ARENA_ARRAY(arena, struct ph_table_plan, 1);
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(arena, struct ph_plan_column, (size_t)all->n_columns + 1);

    out->fills = PH_ARENA_ARRAY(arena, struct ph_apply_fill, (size_t)all->n_columns + 1);
    if (plan == NULL || columns == NULL || out->fills == NULL)
        return no_memory(err);
    *plan = *all;
    plan->columns = columns;
    plan->n_columns = 0;
    for (uint32_t i = 0; i < all->n_columns; i++) {
        if (is_lacking(params, i))
            PH_TRY(fill_in(params, &all->columns[i], arena, out, err));
        else
            columns[plan->n_columns++] = all->columns[i];
    }
    out->plan = plan;
    return PH_OK;
}

ph_code
ph_apply_late_split(const struct ph_apply_table_params *params, struct ph_arena *arena,
                    struct ph_apply_late *out, struct ph_error *err)
{
    *out = (struct ph_apply_late){.plan = params->plan};
    for (uint32_t i = 0; i < params->plan->n_columns; i++) {
        if (is_lacking(params, i))
            return split(params, arena, out, err);
    }
    return PH_OK;
}
