/*
 * The statements of a plan. Every name is quoted. A plain `COPY table` reads that table only, never
 * those that inherit from it, and is the cheapest way; everything else is a SELECT ... FROM ONLY.
 */
#include "model/plan.h"

#include <stdio.h>
#include <string.h>

static const char *
format_name(enum ph_format format)
{
    return format == PH_FORMAT_BINARY ? "binary" : "text";
}

static void
put_columns(const struct ph_table_plan *table, enum ph_side side, struct ph_buf *out)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct ph_plan_column *column = &table->columns[i];
        if (i > 0)
            ph_buf_puts(out, ", ");
        ph_buf_put_ident(out, side == PH_SOURCE ? column->source_name : column->target_name);
    }
}

static void
put_inputs(const struct ph_table_plan *table, struct ph_buf *out)
{
    for (uint32_t i = 0; i < table->n_inputs; i++)
        ph_buf_printf(out, "%s%s", i > 0 ? ", " : "", table->inputs[i]);
}

/* "s"."t" ("a", "b"); a table without columns has no list. */
static void
put_table(const struct ph_table_plan *table, const struct ph_rel *rel, enum ph_side side,
          struct ph_buf *out)
{
    ph_buf_put_qualified(out, rel->schema, rel->name);
    if (table->n_columns == 0)
        return;
    ph_buf_puts(out, " (");
    put_columns(table, side, out);
    ph_buf_putc(out, ')');
}

/* SELECT "a", "b" FROM ONLY "s"."t" WHERE ...; of a partitioned table without ONLY. */
static void
put_select(const struct ph_table_plan *table, const struct ph_rel *rel, enum ph_side side,
           struct ph_buf *out)
{
    ph_buf_puts(out, "SELECT ");
    if (side == PH_SOURCE && table->inputs != NULL)
        put_inputs(table, out);
    else
        put_columns(table, side, out);
    ph_buf_puts(out, rel->kind == PH_REL_PARTITIONED ? " FROM " : " FROM ONLY ");
    ph_buf_put_qualified(out, rel->schema, rel->name);
    if (side == PH_SOURCE && table->join != NULL)
        ph_buf_puts(out, table->join);
    if (table->where[side] != NULL)
        ph_buf_printf(out, " %s", table->where[side]);
}

/* COPY refuses to read generated columns by name, a SELECT does not. */
static bool
reads_generated(const struct ph_table_plan *table, enum ph_side side)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct ph_plan_column *column = &table->columns[i];
        if ((side == PH_SOURCE ? column->source : column->target)->generated != '\0')
            return true;
    }
    return false;
}

static void
put_blocks(const struct ph_chunk *chunk, struct ph_buf *out)
{
    if (chunk->lo != NULL)
        ph_buf_printf(out, "ctid >= '(%s,0)'::tid", chunk->lo);
    if (chunk->lo != NULL && chunk->hi != NULL)
        ph_buf_puts(out, " AND ");
    if (chunk->hi != NULL)
        ph_buf_printf(out, "ctid < '(%s,0)'::tid", chunk->hi);
}

void
ph_plan_put_key_range(const char *column, const struct ph_chunk *chunk, struct ph_buf *out)
{
    const char *const bounds[] = {chunk->lo, chunk->hi};
    const char *word = "";

    for (int i = 0; i < 2; i++) {
        if (bounds[i] == NULL)
            continue;
        ph_buf_puts(out, word);
        ph_buf_put_ident(out, column);
        ph_buf_puts(out, i == 0 ? " >= " : " < ");
        ph_buf_put_literal(out, bounds[i]);
        word = " AND ";
    }
}

/* Behind the table's own condition, if it has one. */
static void
put_range(const struct ph_table_plan *table, enum ph_side side, const struct ph_chunk *chunk,
          struct ph_buf *out)
{
    if (chunk->kind == PH_CHUNK_WHOLE || (chunk->lo == NULL && chunk->hi == NULL))
        return;
    ph_buf_puts(out, table->where[side] != NULL ? " AND " : " WHERE ");
    if (chunk->kind == PH_CHUNK_CTID)
        put_blocks(chunk, out);
    else
        ph_plan_put_key_range(table->columns[table->key_fields[0]].source_name, chunk, out);
}

void
ph_plan_copy_out_sql(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                     struct ph_buf *out)
{
    ph_buf_puts(out, "COPY ");
    if (chunk->kind == PH_CHUNK_WHOLE && table->where[PH_SOURCE] == NULL && table->inputs == NULL &&
        !reads_generated(table, PH_SOURCE) && table->source->kind != PH_REL_PARTITIONED) {
        put_table(table, table->source, PH_SOURCE, out);
    } else {
        ph_buf_putc(out, '(');
        put_select(table, table->source, PH_SOURCE, out);
        put_range(table, PH_SOURCE, chunk, out);
        ph_buf_putc(out, ')');
    }
    ph_buf_printf(out, " TO STDOUT (FORMAT %s)", format_name(table->format));
}

void
ph_plan_copy_in_sql(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                    struct ph_buf *out)
{
    (void)chunk;
    ph_buf_puts(out, "COPY ");
    put_table(table, table->target, PH_TARGET, out);
    ph_buf_printf(out, " FROM STDIN (FORMAT %s%s)", format_name(table->format),
                  table->freeze ? ", FREEZE" : "");
}

void
ph_plan_read_back_sql(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                      struct ph_buf *out)
{
    ph_buf_puts(out, "COPY ");
    if (chunk->kind != PH_CHUNK_WHOLE || table->target->kind == PH_REL_PARTITIONED ||
        table->where[PH_TARGET] != NULL || reads_generated(table, PH_TARGET)) {
        ph_buf_putc(out, '(');
        put_select(table, table->target, PH_TARGET, out);
        put_range(table, PH_TARGET, chunk, out);
        ph_buf_putc(out, ')');
    } else {
        put_table(table, table->target, PH_TARGET, out);
    }
    ph_buf_printf(out, " TO STDOUT (FORMAT %s)", format_name(table->format));
}

void
ph_plan_count_sql(const struct ph_table_plan *table, struct ph_buf *out)
{
    ph_buf_printf(out, "SELECT count(*) FROM %s",
                  table->target->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
    ph_buf_put_qualified(out, table->target->schema, table->target->name);
    if (table->where[PH_TARGET] != NULL)
        ph_buf_printf(out, " %s", table->where[PH_TARGET]);
}

bool
ph_plan_is_first_of_source(const struct ph_plan *plan, uint32_t table)
{
    for (uint32_t i = 0; plan->tables[table].route != NULL && i < table; i++) {
        if (plan->tables[i].source == plan->tables[table].source)
            return false;
    }
    return true;
}

bool
ph_plan_reads(const struct ph_table_plan *table, const char *source_name)
{
    for (uint32_t i = 0; table->route == NULL && i < table->n_columns; i++) {
        if (strcmp(table->columns[i].source_name, source_name) == 0)
            return true;
    }
    return table->route != NULL;
}

bool
ph_plan_is_own(const struct ph_table_plan *table, const struct ph_column *column)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].target->attnum == column->attnum)
            return false;
    }
    return column->generated == '\0';
}

const struct ph_column *
ph_plan_first_own(const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < table->target->n_columns; i++) {
        if (ph_plan_is_own(table, &table->target->columns[i]))
            return &table->target->columns[i];
    }
    return NULL;
}

void
ph_plan_table_label(const struct ph_table_plan *table, char *out, size_t size)
{
    if (table->route_name != NULL && table->target != NULL &&
        (strcmp(table->source->name, table->target->name) != 0 ||
         strcmp(table->source->schema, table->target->schema) != 0))
        snprintf(out, size, "%s", table->route_name);
    else
        snprintf(out, size, "%s.%s", table->source->schema, table->source->name);
}
