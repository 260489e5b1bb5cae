#include "job/plan_generated.h"

#include <string.h>

#include "model/type_match.h"
#include "wire/oid_remap.h"

static bool
is_wanted(const struct ph_table_plan *table, const struct ph_column *theirs)
{
    return theirs->generated != '\0' && ph_rel_column_named(table->source, theirs->name) != NULL;
}

static uint32_t
count_generated(const struct ph_table_plan *table)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < table->target->n_columns; i++)
        n += is_wanted(table, &table->target->columns[i]);
    return n;
}

static void
append(struct ph_table_plan *table, struct ph_plan_column *columns)
{
    if (table->n_columns > 0)
        memcpy(columns, table->columns, table->n_columns * sizeof *columns);
    table->columns = columns;
    for (uint32_t i = 0; i < table->target->n_columns; i++) {
        const struct ph_column *theirs = &table->target->columns[i];
        if (!is_wanted(table, theirs))
            continue;
        columns[table->n_columns++] = (struct ph_plan_column){
            .source_name = theirs->name,
            .target_name = theirs->name,
            .source = ph_rel_column_named(table->source, theirs->name),
            .target = theirs,
        };
    }
}

ph_code
ph_plan_add_generated(struct ph_table_plan *table, const struct ph_catalog *source,
                      const struct ph_catalog *target, struct ph_arena *arena, bool *extended,
                      struct ph_error *err)
{
    struct ph_table_plan longer = *table;
    struct ph_table_match match = {0};
    uint32_t n = count_generated(table);

    *extended = false;
    if (n == 0 || table->route != NULL) /* of other values than the source's own */
        return PH_OK;
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(arena, struct ph_plan_column, (size_t)table->n_columns + n);
    if (columns == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    append(&longer, columns);
    PH_TRY(ph_type_match_table(longer.columns, longer.n_columns, source, target, &match, err));
    if (match.format == PH_FORMAT_TEXT)
        longer.format = PH_FORMAT_TEXT;
    longer.remap = NULL;
    if (longer.format == PH_FORMAT_BINARY)
        PH_TRY(ph_oid_remap_compile(longer.columns, longer.n_columns, source, target, arena,
                                    &longer.remap, err));
    *table = longer;
    *extended = true;
    return PH_OK;
}
