/*
 * Rows of a file in place of the source's, for `rules test`: COPY's text format with a line of
 * column names first, as `COPY t TO … (HEADER)` writes it. Nothing is made on the source for them:
 * they become values of the table's row type in a SELECT, so each text is read by its column's own
 * input function.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "job/rules_show_parts.h"
#include "wire/copy_text.h"

#define FILE_LIMIT ((size_t)16 << 20)
#define SQL_LIMIT ((size_t)64 << 20)
#define MOST_COLUMNS 1600u /* of a table */
#define MOST_ROWS 1000u

struct rows_file {
    const char *path;
    const struct ph_rel *rel;
    struct ph_buf text;
    struct ph_span rest;
    uint32_t line;
    uint32_t n_fields;
    uint16_t columns[MOST_COLUMNS]; /* by field: position in rel->columns */
    struct ph_span fields[MOST_COLUMNS];
    struct ph_buf value;
    struct ph_buf record;
    struct ph_error *err;
};

static ph_code
bad(struct rows_file *file, const char *what)
{
    PH_FAIL(file->err, PH_E_USAGE, "--rows-file: %s", what);
    ph_error_object(file->err, "%s:%u", file->path, file->line);
    ph_error_hint(file->err, "%s",
                  "what is read is COPY's text format with a first line of column names: tabs "
                  "between fields, \\N for NULL");
    return PH_E_USAGE;
}

/* ---- bytes ---- */

static ph_code
read_stream(struct rows_file *file, FILE *in)
{
    size_t len = 1;

    while (len > 0) {
        if (!ph_buf_reserve(&file->text, 65536))
            return bad(file, "the file is larger than 16 MB");
        len = fread(file->text.data + file->text.len, 1, 65536, in);
        file->text.len += len;
    }
    if (ferror(in))
        return bad(file, "the file cannot be read");
    if (memchr(file->text.data, '\0', file->text.len) != NULL)
        return bad(file, "it has a zero byte, which no text has");
    if (file->text.len > 0 && file->text.data[file->text.len - 1] != '\n')
        ph_buf_putc(&file->text, '\n');
    file->rest = (struct ph_span){file->text.data, file->text.len};
    return ph_buf_ok(&file->text) ? PH_OK : bad(file, "the file is larger than 16 MB");
}

static ph_code
read_file(struct rows_file *file)
{
    FILE *in = fopen(file->path, "rbe");

    if (in == NULL) {
        PH_FAIL(file->err, PH_E_USAGE, "--rows-file: %s", strerror(errno));
        ph_error_object(file->err, "%s", file->path);
        return PH_E_USAGE;
    }
    ph_code rc = read_stream(file, in);
    fclose(in);
    return rc;
}

/* ---- lines ---- */

/* Those by number are COPY's too, but no server writes them. */
static bool
has_numbered_escape(struct ph_span line)
{
    for (size_t i = 0; i + 1 < line.len; i++) {
        if (line.data[i] != '\\')
            continue;
        if (memchr("01234567x", line.data[++i], 9) != NULL)
            return true;
    }
    return false;
}

static ph_code
check_line(struct rows_file *file, struct ph_span line)
{
    if (memchr(line.data, '\r', line.len) != NULL)
        return bad(file, "it has a carriage return, which is \\r within a value; lines end with a "
                         "newline alone");
    if (has_numbered_escape(line))
        return bad(file,
                   "characters by number (\\011, \\x41) are not read: write them as they are");
    return PH_OK;
}

/* ---- the first line ---- */

static ph_code
no_such_column(struct rows_file *file, const char *name)
{
    struct ph_nearest nearest = {.word = name};
    char what[400];

    for (uint32_t i = 0; i < file->rel->n_columns; i++)
        ph_nearest_offer(&nearest, file->rel->columns[i].name);
    snprintf(what, sizeof what, "%.64s.%.64s has no column \"%.100s\"%s%.64s%s", file->rel->schema,
             file->rel->name, name, nearest.best != NULL ? "; did you mean \"" : "",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "\"?" : "");
    return bad(file, what);
}

static ph_code
set_column(struct rows_file *file, struct ph_span name)
{
    uint16_t found = 0;

    ph_buf_clear(&file->value);
    ph_copy_text_unescape(name, &file->value);
    while (found < file->rel->n_columns &&
           strcmp(file->rel->columns[found].name, ph_buf_text(&file->value)) != 0)
        found++;
    if (found == file->rel->n_columns)
        return no_such_column(file, ph_buf_text(&file->value));
    for (uint32_t i = 0; i < file->n_fields; i++) {
        if (file->columns[i] == found)
            return bad(file, "a column is named twice");
    }
    if (file->n_fields == MOST_COLUMNS)
        return bad(file, "too many columns");
    file->columns[file->n_fields++] = found;
    return PH_OK;
}

static ph_code
read_header(struct rows_file *file)
{
    const uint8_t *at = file->rest.data;
    const uint8_t *end = file->rest.len == 0 ? NULL : memchr(at, '\n', file->rest.len);

    file->line = 1;
    if (end == NULL)
        return bad(file, "it is empty");
    PH_TRY(check_line(file, (struct ph_span){at, (size_t)(end - at)}));
    for (const uint8_t *tab = at; tab != NULL; at = tab + 1) {
        tab = memchr(at, '\t', (size_t)(end - at));
        PH_TRY(set_column(file, (struct ph_span){at, (size_t)((tab == NULL ? end : tab) - at)}));
        if (tab == NULL)
            break;
    }
    file->rest.len -= (size_t)(end + 1 - file->rest.data);
    file->rest.data = end + 1;
    return PH_OK;
}

/* ---- rows ---- */

/* As record_in reads it: nothing is NULL, and in quotes those and backslashes are doubled. */
static void
put_field(struct rows_file *file, struct ph_span field)
{
    if (field.data == NULL)
        return;
    ph_buf_clear(&file->value);
    ph_copy_text_unescape(field, &file->value);
    ph_buf_putc(&file->record, '"');
    for (const char *at = ph_buf_text(&file->value); *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            ph_buf_putc(&file->record, *at);
        ph_buf_putc(&file->record, *at);
    }
    ph_buf_putc(&file->record, '"');
}

static void
put_row(struct rows_file *file, struct ph_buf *sql)
{
    ph_buf_clear(&file->record);
    for (uint16_t column = 0; column < file->rel->n_columns; column++) {
        ph_buf_putc(&file->record, column == 0 ? '(' : ',');
        for (uint32_t i = 0; i < file->n_fields; i++) {
            if (file->columns[i] == column)
                put_field(file, file->fields[i]);
        }
    }
    ph_buf_putc(&file->record, ')');
    ph_buf_putc(sql, '(');
    ph_buf_put_literal(sql, ph_buf_text(&file->record));
    ph_buf_puts(sql, "::");
    ph_buf_put_qualified(sql, file->rel->schema, file->rel->name);
    ph_buf_putc(sql, ')');
}

static ph_code
next_row(struct rows_file *file, bool *more)
{
    struct ph_copy_shape shape = {.n_fields = file->n_fields, .max_row_bytes = FILE_LIMIT};
    struct ph_copy_row row;
    char what[100];

    file->line++;
    *more = false;
    if (file->rest.len == 0)
        return PH_OK;
    if (ph_copy_text_next(&shape, file->rest, file->fields, &row, NULL) != PH_OK) {
        snprintf(what, sizeof what, "the line has not as many fields as the first one, %u",
                 file->n_fields);
        return bad(file, what);
    }
    if (row.item == PH_COPY_ROW)
        PH_TRY(check_line(file, row.image));
    file->rest.data += row.raw.len;
    file->rest.len -= row.raw.len;
    *more = row.item == PH_COPY_ROW;
    return PH_OK;
}

static ph_code
put_rows(struct rows_file *file, struct ph_buf *sql, uint32_t *n)
{
    bool more;

    ph_buf_puts(sql, "(SELECT (pghaul_row).* FROM (VALUES ");
    for (*n = 0;; ++*n) {
        PH_TRY(next_row(file, &more));
        if (!more)
            break;
        if (*n == MOST_ROWS)
            return bad(file, "it has more than 1000 rows");
        ph_buf_puts(sql, *n > 0 ? ", " : "");
        put_row(file, sql);
    }
    if (*n == 0)
        return bad(file, "it has no rows");
    ph_buf_puts(sql, ") pghaul_rows (pghaul_row)) AS ");
    ph_buf_put_ident(sql, file->rel->name);
    return ph_buf_ok(sql) && ph_buf_ok(&file->value) && ph_buf_ok(&file->record)
               ? PH_OK
               : PH_FAIL(file->err, PH_E_MEMORY, "out of memory");
}

ph_code
ph_rules_put_file(const char *path, const struct ph_rel *rel, struct ph_buf *sql, uint32_t *n,
                  struct ph_error *err)
{
    struct rows_file *file = calloc(1, sizeof *file);

    if (file == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    file->path = path;
    file->rel = rel;
    file->err = err;
    ph_buf_init(&file->text, FILE_LIMIT);
    ph_buf_init(&file->value, FILE_LIMIT);
    ph_buf_init(&file->record, SQL_LIMIT);
    ph_code rc = read_file(file);
    if (rc == PH_OK)
        rc = read_header(file);
    if (rc == PH_OK)
        rc = put_rows(file, sql, n);
    ph_buf_free(&file->text);
    ph_buf_free(&file->value);
    ph_buf_free(&file->record);
    free(file);
    return rc;
}
