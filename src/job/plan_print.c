/* A plan as `pghaul plan` shows it. JSON is written straight to the buffer, one table at a time. */
#include "job/plan_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/json.h"

#define LABEL_SIZE 300
/* Names wider than this push their line's columns to the right instead of everybody's. */
#define WIDEST_LABEL 48

static const char *
chunk_kind_name(enum ph_chunk_kind kind)
{
    switch (kind) {
    case PH_CHUNK_WHOLE:
        return "whole";
    case PH_CHUNK_CTID:
        return "blocks";
    case PH_CHUNK_KEY:
        return "key";
    }
    return "";
}

static const char *
format_name(enum ph_format format)
{
    return format == PH_FORMAT_BINARY ? "binary" : "text";
}

static const char *
order_name(const struct ph_plan *plan)
{
    return plan->n_tables > 0 && plan->tables[0].ordered_by_fk ? "foreign keys" : "size";
}

static int
label_width(const struct ph_plan *plan)
{
    int width = 5;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_rel *rel = plan->tables[i].source;
        size_t len = strlen(rel->schema) + 1 + strlen(rel->name);
        if (len <= WIDEST_LABEL && (int)len > width)
            width = (int)len;
    }
    return width;
}

static bool
changes_name(const struct ph_table_plan *table)
{
    return strcmp(table->source->schema, table->target->schema) != 0 ||
           strcmp(table->source->name, table->target->name) != 0;
}

static void
put_note(struct ph_buf *out, const char **separator, const char *note)
{
    ph_buf_printf(out, "%s%s", *separator, note);
    *separator = "; ";
}

static void
put_notes(const struct ph_table_plan *table, struct ph_buf *out)
{
    const char *separator = "  ";

    if (table->format_reason != NULL &&
        strcmp(table->format_reason, format_name(table->format)) != 0)
        put_note(out, &separator, table->format_reason);
    if (changes_name(table)) {
        put_note(out, &separator, "into ");
        ph_buf_printf(out, "%s.%s", table->target->schema, table->target->name);
    }
    if (table->n_key_fields == 0)
        put_note(out, &separator, "no key");
    if (table->freeze)
        put_note(out, &separator, "frozen");
    if (table->refers_to_itself)
        put_note(out, &separator, "refers to itself");
    if (table->where[PH_SOURCE] != NULL)
        put_note(out, &separator, table->where[PH_SOURCE]);
}

static void
put_table_line(const struct ph_plan *plan, const struct ph_table_plan *table, int width,
               struct ph_buf *out)
{
    char label[LABEL_SIZE];
    char bytes[PH_HUMAN_SIZE];
    char rows[PH_HUMAN_SIZE];
    char chunks[32];
    enum ph_chunk_kind kind = plan->chunks[table->first_chunk].kind;

    ph_plan_table_label(table, label, sizeof label);
    if (table->n_chunks == 1)
        snprintf(chunks, sizeof chunks, "1");
    else
        snprintf(chunks, sizeof chunks, "%" PRIu32 " by %s", table->n_chunks,
                 chunk_kind_name(kind));
    ph_buf_printf(out, "%5" PRIu32 "  %5" PRIu32 "  %-*s  %9s  %8s  %-12s  %-6s", table->index + 1,
                  table->level, width, label, ph_human_bytes(table->bytes, bytes),
                  ph_human_short((double)table->rows, rows), chunks, format_name(table->format));
    put_notes(table, out);
    ph_buf_putc(out, '\n');
}

void
ph_plan_print_text(const struct ph_plan *plan, struct ph_buf *out)
{
    char bytes[PH_HUMAN_SIZE];
    char rows[PH_HUMAN_SIZE];
    int width = label_width(plan);

    ph_buf_printf(out,
                  "%" PRIu32 " tables, about %s rows, %s, in %" PRIu32 " chunks and %" PRIu32
                  " transactions; order: %s\n",
                  plan->n_tables, ph_human_count(plan->rows, rows),
                  ph_human_bytes(plan->bytes, bytes), plan->n_chunks, plan->n_lots,
                  strcmp(order_name(plan), "size") == 0 ? "largest first"
                                                        : "parents first, by foreign keys");
    if (plan->n_tables > 0)
        ph_buf_printf(out, "\n%5s  %5s  %-*s  %9s  %8s  %-12s  %s\n", "#", "level", width, "table",
                      "size", "rows", "chunks", "format");
    for (uint32_t i = 0; i < plan->n_tables; i++)
        put_table_line(plan, &plan->tables[i], width, out);
    if (plan->n_rings > 0)
        ph_buf_puts(out, "\nforeign keys in a ring:\n");
    for (uint32_t i = 0; i < plan->n_rings; i++)
        ph_buf_printf(out, "  %s\n", plan->rings[i]);
    if (plan->n_omitted > 0)
        ph_buf_puts(out, "\nrows not copied:\n");
    for (uint32_t i = 0; i < plan->n_omitted; i++)
        ph_buf_printf(out, "  %s: %s\n", plan->omitted[i].object, plan->omitted[i].reason);
}

static void
put_string(struct ph_buf *out, const char *text)
{
    if (text == NULL)
        ph_buf_puts(out, "null");
    else
        ph_json_put_string(out, text, strlen(text));
}

static void
put_member(struct ph_buf *out, const char *key, const char *text)
{
    ph_buf_printf(out, ", \"%s\": ", key);
    put_string(out, text);
}

static void
put_rel(struct ph_buf *out, const char *key, const struct ph_rel *rel)
{
    char name[LABEL_SIZE];

    snprintf(name, sizeof name, "%s.%s", rel->schema, rel->name);
    put_member(out, key, name);
}

static const char *
boolean(bool value)
{
    return value ? "true" : "false";
}

static void
put_table_json(const struct ph_plan *plan, const struct ph_table_plan *table, struct ph_buf *out)
{
    ph_buf_printf(out, "%s\n  {\"number\": %" PRIu32, table->index == 0 ? "" : ",",
                  table->index + 1);
    put_rel(out, "table", table->source);
    put_rel(out, "target", table->target);
    ph_buf_printf(out,
                  ", \"level\": %" PRIu32 ", \"bytes\": %" PRIu64 ", \"rows\": %" PRIu64
                  ", \"columns\": %" PRIu32 ", \"key\": [",
                  table->level, table->bytes, table->rows, table->n_columns);
    for (uint32_t i = 0; i < table->n_key_fields; i++) {
        ph_buf_puts(out, i == 0 ? "" : ", ");
        put_string(out, table->columns[table->key_fields[i]].source_name);
    }
    ph_buf_printf(out, "], \"chunks\": %" PRIu32, table->n_chunks);
    put_member(out, "chunk_kind", chunk_kind_name(plan->chunks[table->first_chunk].kind));
    put_member(out, "format", format_name(table->format));
    put_member(out, "format_reason", table->format_reason);
    ph_buf_printf(out, ", \"rewrites_values\": %s, \"freeze\": %s, \"refers_to_itself\": %s",
                  boolean(table->remap != NULL), boolean(table->freeze),
                  boolean(table->refers_to_itself));
    put_member(out, "where", table->where[PH_SOURCE]);
    ph_buf_putc(out, '}');
}

void
ph_plan_print_json(const struct ph_plan *plan, struct ph_buf *out)
{
    ph_buf_printf(out,
                  "{\"order\": \"%s\", \"bytes\": %" PRIu64 ", \"rows\": %" PRIu64
                  ", \"chunks\": %" PRIu32 ", \"lots\": %" PRIu32 ",\n \"tables\": [",
                  order_name(plan), plan->bytes, plan->rows, plan->n_chunks, plan->n_lots);
    for (uint32_t i = 0; i < plan->n_tables; i++)
        put_table_json(plan, &plan->tables[i], out);
    ph_buf_puts(out, "],\n \"rings\": [");
    for (uint32_t i = 0; i < plan->n_rings; i++) {
        ph_buf_puts(out, i == 0 ? "" : ", ");
        put_string(out, plan->rings[i]);
    }
    ph_buf_puts(out, "],\n \"omitted\": [");
    for (uint32_t i = 0; i < plan->n_omitted; i++) {
        ph_buf_puts(out, i == 0 ? "{\"object\": " : ", {\"object\": ");
        put_string(out, plan->omitted[i].object);
        put_member(out, "reason", plan->omitted[i].reason);
        ph_buf_putc(out, '}');
    }
    ph_buf_puts(out, "]}\n");
}
