/*
 * Text where it is cheaper: a small integer takes 8 bytes in COPY BINARY and 2 or 3 in
 * COPY TEXT, and both servers pay by the byte. Large tables whose types convert cheaply are
 * sampled; text is taken when it needs less than half of the bytes. Measured by bench/format; see
 * docs/decisions/0003-text-where-cheaper.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/planner_parts.h"

#define WORTH_SAMPLING ((uint64_t)32 << 20)
#define SAMPLE_ROWS 2000
#define SAMPLE_PAGES 200.0
#define TEXT_BELOW 0.5 /* of the binary bytes */

enum {
    BOOL_OID = 16,
    INT8_OID = 20,
    INT2_OID = 21,
    INT4_OID = 23,
    TEXT_OID = 25,
    BPCHAR_OID = 1042,
    VARCHAR_OID = 1043
};

/* Bytes of the binary value; 0: as many as text has; -1: not cheap to convert. */
static int
binary_width(ph_oid type)
{
    switch (type) {
    case BOOL_OID:
        return 1;
    case INT2_OID:
        return 2;
    case INT4_OID:
        return 4;
    case INT8_OID:
        return 8;
    case TEXT_OID:
    case BPCHAR_OID:
    case VARCHAR_OID:
        return 0;
    default:
        return -1;
    }
}

static bool
may_be_cheaper(const struct ph_table_plan *table)
{
    uint32_t n_fixed = 0;

    if (table->format != PH_FORMAT_BINARY || table->remap != NULL || table->n_columns == 0 ||
        table->source->kind != PH_REL_TABLE || table->bytes < WORTH_SAMPLING ||
        table->source->toast_bytes > 0)
        return false;
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct ph_column *column = table->columns[i].source;
        int width = binary_width(column->type_oid);
        if (width < 0 || table->columns[i].target->type_oid != column->type_oid)
            return false;
        n_fixed += width > 0;
    }
    return n_fixed * 2 > table->n_columns;
}

/* A cast to text would cut the blanks of character(n), which both formats send. */
static void
put_octets(struct ph_buf *sql, const struct ph_table_plan *table, uint32_t column)
{
    const struct ph_plan_column *c = &table->columns[column];

    ph_buf_puts(sql, "octet_length(");
    ph_buf_put_ident(sql, c->source_name);
    ph_buf_puts(sql, binary_width(c->source->type_oid) > 0 ? "::text)" : ")");
}

/* Text: the value and a tab, \N for NULL. Binary: a length and the value, two bytes a row. */
static void
put_widths(struct ph_buf *sql, const struct ph_table_plan *table)
{
    ph_buf_puts(sql, "SELECT sum(0");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        ph_buf_puts(sql, "+1+coalesce(");
        put_octets(sql, table, i);
        ph_buf_puts(sql, ",2)");
    }
    ph_buf_puts(sql, "), sum(2");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        int width = binary_width(table->columns[i].source->type_oid);
        ph_buf_puts(sql, "+4+coalesce(");
        put_octets(sql, table, i);
        if (width > 0)
            ph_buf_printf(sql, "*0+%d", width);
        ph_buf_puts(sql, ",0)");
    }
    ph_buf_puts(sql, ") FROM (SELECT * FROM ONLY ");
}

static ph_code
sample(struct ph_planner *planner, const struct ph_table_plan *table, double *ratio)
{
    const struct ph_rel *rel = table->source;
    double percent = SAMPLE_PAGES * 100 / (double)(rel->pages > 0 ? rel->pages : 1);
    struct ph_result *r = NULL;
    struct ph_buf sql;

    *ratio = 1;
    ph_buf_init(&sql, (size_t)1 << 20);
    put_widths(&sql, table);
    ph_buf_put_qualified(&sql, rel->schema, rel->name);
    ph_buf_printf(&sql, " TABLESAMPLE SYSTEM (%.6f) LIMIT %d) s", percent < 100 ? percent : 100.0,
                  SAMPLE_ROWS);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_query(planner->params->source_conn, ph_buf_text(&sql), 0,
                                                 NULL, &r, planner->err)
                                 : ph_planner_no_memory(planner);
    ph_buf_free(&sql);
    PH_TRY(rc);
    double text = strtod(ph_result_text(r, 0, 0), NULL);
    double binary = strtod(ph_result_text(r, 0, 1), NULL);
    if (binary > 0)
        *ratio = text / binary;
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_planner_weigh_format(struct ph_planner *planner, struct ph_table_plan *table)
{
    double ratio;

    if (planner->params->source_conn == NULL || !may_be_cheaper(table))
        return PH_OK;
    PH_TRY(sample(planner, table, &ratio));
    if (ratio >= TEXT_BELOW)
        return PH_OK;
    table->format = PH_FORMAT_TEXT;
    table->format_reason =
        ph_arena_printf(planner->arena, "text has %.0f %% of the bytes of binary", ratio * 100);
    return table->format_reason != NULL ? PH_OK : ph_planner_no_memory(planner);
}
