/* Values of the source's masked columns: each table is read once, its masked columns alone. */
#include "job/leak_parts.h"

#include <string.h>

#include "base/human.h"
#include "base/stop.h"
#include "flow/query_scan.h"
#include "job/leak_text.h"
#include "job/memory.h"
#include "rules/mask_lists.h"

#define SQL_LIMIT ((size_t)1 << 20)
#define ADDRESS_SHORTEST 7u /* 8.8.8.8 */
#define UUID_TEXT 36u

struct source_table { /* being read */
    struct ph_leak_scan *scan;
    struct ph_leak_column **columns;
    uint32_t n;
    struct ph_buf scratch;
};

static bool
take(void *sample, struct ph_span value)
{
    return ph_leak_telling(&value) ? ph_leak_sample_add(sample, value) : true;
}

/* Points in time without a fraction of a second are shared by chance. */
static bool
take_time(struct ph_leak_sample *sample, struct ph_span value)
{
    const uint8_t *point = memchr(value.data, '.', value.len);

    return point != NULL ? take(sample, value) : true;
}

static bool
take_field(struct source_table *table, struct ph_leak_column *column, struct ph_span value)
{
    struct ph_leak_sample *sample = &column->sample;

    switch (column->form) {
    case PH_LEAK_TEXT:
    case PH_LEAK_BYTES:
    case PH_LEAK_NUMBER:
    case PH_LEAK_UUID:
        return take(sample, value);
    case PH_LEAK_TIME:
        return take_time(sample, value);
    case PH_LEAK_ADDRESS:
        return value.len < ADDRESS_SHORTEST || ph_leak_sample_add(sample, value);
    case PH_LEAK_JSON:
        return ph_leak_each_leaf(value, PH_LEAK_STRINGS, &table->scratch, take, sample);
    case PH_LEAK_PARTS:
        return ph_leak_each_leaf(value, PH_LEAK_STRINGS_AND_NUMBERS, &table->scratch, take, sample);
    case PH_LEAK_CHANCE:
        return true;
    }
    return true;
}

static ph_code
take_row(void *arg, const struct ph_span *fields, struct ph_error *err)
{
    struct source_table *table = arg;

    for (uint32_t i = 0; i < table->n; i++) {
        if (fields[i].data != NULL && !take_field(table, table->columns[i], fields[i]))
            return PH_FAIL(err, PH_E_MEMORY, "no memory for the leak scan's values");
    }
    return PH_OK;
}

static void
put_expression(const struct ph_leak_column *column, struct ph_buf *sql)
{
    const char *before = "";
    const char *behind = "::pg_catalog.text";

    if (column->form == PH_LEAK_ADDRESS)
        before = "pg_catalog.host("; /* the netmask says nothing */
    else if (column->form == PH_LEAK_PARTS)
        before = "pg_catalog.to_json(";
    if (column->form == PH_LEAK_BYTES)
        behind = "";
    ph_buf_puts(sql, before);
    ph_buf_put_ident(sql, column->column->name);
    ph_buf_puts(sql, before[0] != '\0' ? ")" : "");
    ph_buf_puts(sql, behind);
}

/* All rows, also those that `where` keeps back: nobody's name is to be on the target. */
static void
put_query(const struct source_table *table, struct ph_buf *sql)
{
    const struct ph_rel *rel = table->columns[0]->rel;

    for (uint32_t i = 0; i < table->n; i++) {
        ph_buf_puts(sql, i == 0 ? "SELECT " : ", ");
        put_expression(table->columns[i], sql);
    }
    ph_buf_puts(sql, rel->kind == PH_REL_PARTITIONED ? " FROM " : " FROM ONLY ");
    ph_buf_put_qualified(sql, rel->schema, rel->name);
}

static ph_code
read_table(struct source_table *table, struct ph_error *err)
{
    const struct ph_options *options = table->scan->verify->options;
    struct ph_buf sql;

    PH_TRY(ph_stop_check(err));
    ph_buf_init(&sql, SQL_LIMIT);
    put_query(table, &sql);
    const struct ph_query_scan_params params = {
        .conn = table->scan->conns[PH_SOURCE],
        .select = ph_buf_text(&sql),
        .n_fields = table->n,
        .max_row_bytes = options->max_row_bytes,
        .budget = &table->scan->budget,
        .bytes = &table->scan->bytes,
    };
    ph_buf_init(&table->scratch, options->max_row_bytes);
    ph_code rc = ph_buf_ok(&sql) ? ph_query_scan(&params, take_row, table, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc != PH_OK)
        ph_error_note(err, "taking values of %s.%s from the source", table->columns[0]->rel->schema,
                      table->columns[0]->rel->name);
    ph_buf_free(&table->scratch);
    ph_buf_free(&sql);
    return rc;
}

/* ---- what was taken, in words ---- */

static void
put_left_out(const struct ph_leak_sample *sample, struct ph_buf *out)
{
    if (sample->has_left_out)
        ph_buf_puts(out, "; names and places that masks give themselves are left out");
    if (sample->has_common)
        ph_buf_printf(out, "; values that one row in %u has are left out", PH_LEAK_COMMON_PART);
}

static void
report_taken(struct ph_leak_scan *scan, const struct ph_leak_column *column)
{
    const struct ph_leak_sample *sample = &column->sample;
    char n[PH_HUMAN_SIZE];
    char of[PH_HUMAN_SIZE];
    struct ph_buf text;

    ph_buf_init(&text, 1024);
    if (column->form == PH_LEAK_CHANCE)
        ph_buf_printf(&text,
                      "nothing of it is looked for: values of type %s are on the target by chance",
                      column->column->type_text);
    else if (sample->n == 0 && sample->rows == 0)
        ph_buf_printf(&text,
                      "nothing of it is looked for: no value has a letter and %u bytes, or %u "
                      "digits",
                      PH_LEAK_SHORTEST, PH_LEAK_DIGITS);
    else
        ph_buf_printf(&text, "%s of %s%s different values are looked for",
                      ph_human_count(sample->n, n), sample->is_part ? "some " : "",
                      ph_human_count(sample->distinct, of));
    put_left_out(sample, &text);
    ph_report_add_finding(scan->verify->report, PH_FINDING_NOTE, "leak scan", column->label, "%s",
                          ph_buf_text(&text));
    ph_buf_free(&text);
}

/* ---- all of them ---- */

static bool
looks_like_uuid(const struct ph_leak_value *value)
{
    return value->len == UUID_TEXT && value->bytes[8] == '-' && value->bytes[13] == '-';
}

static ph_code
make_search(struct ph_leak_scan *scan, struct ph_error *err)
{
    for (uint32_t i = 0; i < scan->n_columns; i++)
        scan->values += scan->columns[i].sample.n;
    if (!ph_leak_search_init(&scan->search, (uint32_t)scan->values))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the leak scan's values");
    for (uint32_t i = 0; i < scan->n_columns; i++) {
        const struct ph_leak_column *column = &scan->columns[i];
        for (uint32_t k = 0; k < column->sample.n; k++) {
            ph_leak_search_put(&scan->search, column->sample.items[k], i, k);
            scan->has_uuids |= looks_like_uuid(column->sample.items[k]);
            scan->has_numbers |= scan->search.needles[scan->search.n - 1].is_digit;
        }
        scan->has_times |= column->form == PH_LEAK_TIME && column->sample.n > 0;
    }
    ph_leak_search_finish(&scan->search);
    return PH_OK;
}

/* The number that was asked for, or what --memory has room for. */
static uint32_t
most_values(const struct ph_leak_scan *scan)
{
    const struct ph_options *options = scan->verify->options;
    uint64_t room = ph_memory_of_proof(options) / PH_LEAK_VALUE_COST / scan->n_columns * 4 / 5;

    return room < options->leak_values ? (uint32_t)room + 1 : options->leak_values;
}

static ph_code
take_table(struct source_table *table, const struct ph_rel *rel, uint32_t most,
           struct ph_error *err)
{
    struct ph_leak_scan *scan = table->scan;

    table->n = 0;
    for (uint32_t i = 0; i < scan->n_columns; i++) {
        struct ph_leak_column *column = &scan->columns[i];
        if (column->rel != rel || column->form == PH_LEAK_CHANCE)
            continue;
        if (!ph_leak_sample_init(&column->sample, most))
            return PH_FAIL(err, PH_E_MEMORY, "no memory for the leak scan's values");
        if (scan->omits_listed)
            column->sample.is_left_out = ph_mask_lists_give;
        table->columns[table->n++] = column;
    }
    if (table->n > 0)
        PH_TRY(read_table(table, err));
    for (uint32_t i = 0; i < table->n; i++)
        ph_leak_sample_finish(&table->columns[i]->sample);
    return PH_OK;
}

/* Columns of a table stand together or apart; the first of them reads all. */
static bool
is_first_of_table(const struct ph_leak_scan *scan, uint32_t column)
{
    for (uint32_t i = 0; i < column; i++) {
        if (scan->columns[i].rel == scan->columns[column].rel)
            return false;
    }
    return true;
}

ph_code
ph_leak_take_values(struct ph_leak_scan *scan, struct ph_error *err)
{
    struct source_table table = {.scan = scan};
    uint32_t most = most_values(scan);

    table.columns = PH_ARENA_ARRAY(scan->arena, struct ph_leak_column *, scan->n_columns);
    if (table.columns == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the leak scan");
    for (uint32_t i = 0; i < scan->n_columns; i++) {
        if (is_first_of_table(scan, i))
            PH_TRY(take_table(&table, scan->columns[i].rel, most, err));
    }
    for (uint32_t i = 0; i < scan->n_columns; i++)
        report_taken(scan, &scan->columns[i]);
    if (most < scan->verify->options->leak_values)
        ph_report_add_finding(scan->verify->report, PH_FINDING_NOTE, "leak scan", "",
                              "--memory has room for %u values of a column", most);
    return make_search(scan, err);
}
