/* The report for people: one table, phases on one line, findings, one verdict. */
#include <inttypes.h>
#include <string.h>

#include "base/human.h"
#include "job/report.h"

#define TABLE_WIDTH 44
#define TABLES_SHOWN 60u /* the largest; all of them are in --report */

/* Columns a terminal needs for the text, taking every character as one wide. */
static size_t
text_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

/* Names and keys come from a server: what could steer a terminal is shown as '?'. */
static void
print_clean(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text, out);
}

static void
print_padded(FILE *out, const char *text, size_t width)
{
    size_t used = text_width(text);

    print_clean(out, text);
    for (; used < width; used++)
        fputc(' ', out);
}

static void
print_table(const struct ph_report_table *table, size_t width, FILE *out)
{
    char rows[PH_HUMAN_SIZE];
    char bytes[PH_HUMAN_SIZE];
    char seconds[PH_HUMAN_SIZE] = "-";
    char rate[PH_HUMAN_SIZE] = "-";
    char digest[PH_DIGEST_TEXT_SIZE] = "-";

    if (table->seconds > 0) {
        ph_human_seconds(table->seconds, seconds);
        ph_human_bytes((uint64_t)((double)table->bytes / table->seconds), rate);
    }
    if (table->has_target_digest)
        ph_digest_text(&table->target_digest, digest);
    else if (table->has_source_digest)
        ph_digest_text(&table->source_digest, digest);
    print_padded(out, table->table, width);
    fprintf(out, " %15s %9s %10s %9s%s  %-8.8s  %s", ph_human_count(table->rows_source, rows),
            ph_human_bytes(table->bytes, bytes), seconds, rate, table->seconds > 0 ? "/s" : "  ",
            digest, ph_table_verdict_name(table->verdict));
    if (table->verdict == PH_TABLE_DIFFERENT && table->rows_target != table->rows_source)
        fprintf(out, " (target: %s rows)", ph_human_count(table->rows_target, rows));
    if (table->rows_left_out > 0)
        fprintf(out, ", %s left out", ph_human_count(table->rows_left_out, rows));
    if (table->note != NULL && table->note[0] != '\0')
        fprintf(out, ", %s", table->note);
    fputc('\n', out);
}

/* Whatever is not well is always shown, besides the first ones. */
static bool
is_shown(const struct ph_report_table *table, uint32_t position)
{
    return position < TABLES_SHOWN || table->verdict == PH_TABLE_DIFFERENT ||
           table->verdict == PH_TABLE_UNFINISHED;
}

static void
print_tables(const struct ph_report *report, FILE *out)
{
    size_t width = strlen("table");
    uint32_t hidden = 0;

    for (uint32_t i = 0; i < report->n_tables; i++) {
        size_t need = text_width(report->tables[i].table);
        if (is_shown(&report->tables[i], i) && need > width)
            width = need < TABLE_WIDTH ? need : TABLE_WIDTH;
    }
    print_padded(out, "table", width);
    fprintf(out, " %15s %9s %10s %9s    %-8s  %s\n", "rows", "bytes", "time", "rate", "digest",
            "verdict");
    for (uint32_t i = 0; i < report->n_tables; i++) {
        if (is_shown(&report->tables[i], i))
            print_table(&report->tables[i], width, out);
        else
            hidden++;
    }
    if (hidden > 0)
        fprintf(out, "… and %u more, none of them different; --report lists all\n", hidden);
}

static void
print_totals(const struct ph_report *report, FILE *out)
{
    char rows_text[PH_HUMAN_SIZE];
    char bytes_text[PH_HUMAN_SIZE];
    uint64_t rows = 0;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < report->n_tables; i++) {
        rows += report->tables[i].rows_source;
        bytes += report->tables[i].bytes;
    }
    fprintf(out, "%u table%s, %s rows, %s\n", report->n_tables, report->n_tables == 1 ? "" : "s",
            ph_human_count(rows, rows_text), ph_human_bytes(bytes, bytes_text));
}

static void
print_phases(const struct ph_report *report, FILE *out)
{
    char seconds[PH_HUMAN_SIZE];

    for (uint32_t i = 0; i < report->n_phases; i++)
        fprintf(out, "%s%s %s", i == 0 ? "" : ", ", report->phases[i].name,
                ph_human_seconds(report->phases[i].seconds, seconds));
    fputc('\n', out);
}

static void
print_findings(const struct ph_report *report, FILE *out)
{
    static const char *const severities[] = {"error", "warning", "note"};

    for (uint32_t i = 0; i < report->n_findings; i++) {
        const struct ph_report_finding *finding = &report->findings[i];
        fprintf(out, "%s: %s%s", severities[finding->severity], finding->kind,
                finding->object[0] != '\0' ? " " : "");
        print_clean(out, finding->object);
        fputs(": ", out);
        print_clean(out, finding->text);
        fputc('\n', out);
    }
    if (report->findings_left_out > 0)
        fprintf(out, "… and %u more findings\n", report->findings_left_out);
}

void
ph_report_print(const struct ph_report *report, FILE *out)
{
    char seconds[PH_HUMAN_SIZE];

    if (report->n_tables > 0) {
        print_tables(report, out);
        print_totals(report, out);
    }
    if (report->n_phases > 0)
        print_phases(report, out);
    print_findings(report, out);
    if (report->incomplete)
        fprintf(out, "warning: memory ran out while this report was made; it is not complete\n");
    fprintf(out, "%s (%s)\n",
            report->verdict_line[0] != '\0' ? report->verdict_line
                                            : ph_verdict_name(report->verdict),
            ph_human_seconds(report->seconds, seconds));
    fflush(out);
}
