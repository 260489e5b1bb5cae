/* A table of the target, row by row: which values of masked columns stand in which columns. */
#include "job/leak_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "flow/query_scan.h"
#include "job/leak_text.h"

#define SQL_LIMIT ((size_t)4 << 20)
#define EXAMPLES 2u
#define KEY_READ 300u   /* characters of a key's column: a leaked value in it is seen */
#define KEY_SHOWN 80u   /* bytes */
#define LEAKED_SHOWN 2u /* bytes, of a key that is a masked value or may be one */
#define SCRATCH_KEPT ((size_t)1 << 20)
#define QUOTINGS 3u /* one within the other that are taken off: JSON in a row in an array */

struct find { /* values of one masked column in one column of the target */
    uint64_t rows;
    uint64_t last_row;
    uint64_t values;
    uint64_t *seen; /* bits: by value */
    char *examples[EXAMPLES];
};

struct target_table { /* being searched */
    struct ph_leak_scan *scan;
    const struct ph_leak_table *table;
    struct find **finds; /* by masked column and field; NULL: nothing yet */
    uint64_t row;
    uint32_t field;               /* being searched */
    const struct ph_span *fields; /* of the row: the key's, then the table's */
    bool failed;                  /* no memory */
    struct ph_buf scratch[2];
};

/* ---- the row's name ---- */

static void
note_leaked(void *arg, const struct ph_leak_needle *needle)
{
    bool *leaked = arg;

    (void)needle;
    *leaked = true;
}

/* A key may be what has leaked: it is named by its beginning then. */
static void
put_key_value(const struct target_table *at, bool is_short, struct ph_span value,
              struct ph_buf *out)
{
    bool leaked = is_short;

    if (value.data == NULL) {
        ph_buf_puts(out, "NULL");
        return;
    }
    ph_leak_search_run(&at->scan->search, value, note_leaked, &leaked);
    size_t most = leaked ? LEAKED_SHOWN : KEY_SHOWN;
    size_t shown = value.len < most ? value.len : most;
    while (shown < value.len && shown > 0 && (value.data[shown] & 0xC0) == 0x80)
        shown--;
    ph_buf_append(out, value.data, shown);
    ph_buf_puts(out, shown < value.len ? "…" : "");
}

/* malloc'ed; NULL: no memory. */
static char *
name_row(const struct target_table *at)
{
    const struct ph_leak_table *table = at->table;
    uint32_t n = table->n_keys > 0 ? table->n_keys : 1;
    struct ph_buf name;

    ph_buf_init(&name, (size_t)64 << 10);
    for (uint32_t i = 0; i < n; i++) {
        ph_buf_printf(&name, "%s%s=", i == 0 ? "(" : ", ",
                      table->n_keys > 0 ? table->keys[i].name : "ctid");
        put_key_value(at, table->n_keys > 0 && table->keys[i].is_short, at->fields[i], &name);
    }
    ph_buf_putc(&name, ')');
    char *text = ph_buf_ok(&name) ? strdup(ph_buf_text(&name)) : NULL;
    ph_buf_free(&name);
    return text;
}

/* ---- finding ---- */

static struct find *
find_of(struct target_table *at, const struct ph_leak_needle *needle)
{
    struct find **slot = &at->finds[(size_t)needle->owner * at->table->n_fields + at->field];

    if (*slot == NULL) {
        uint32_t n = at->scan->columns[needle->owner].sample.n;
        *slot = calloc(1, sizeof **slot);
        if (*slot != NULL)
            (*slot)->seen = calloc((size_t)n / 64 + 1, sizeof *(*slot)->seen);
    }
    return *slot != NULL && (*slot)->seen != NULL ? *slot : NULL;
}

static void
found(void *arg, const struct ph_leak_needle *needle)
{
    struct target_table *at = arg;
    struct find *find = find_of(at, needle);

    if (find == NULL) {
        at->failed = true;
        return;
    }
    uint64_t *seen = &find->seen[needle->number / 64];
    uint64_t bit = UINT64_C(1) << needle->number % 64;
    find->values += (*seen & bit) == 0;
    *seen |= bit;
    if (find->last_row == at->row)
        return;
    find->last_row = at->row;
    if (find->rows < EXAMPLES) {
        find->examples[find->rows] = name_row(at);
        at->failed |= find->examples[find->rows] == NULL;
    }
    find->rows++;
}

static bool
has_parts(enum ph_leak_form form)
{
    return form == PH_LEAK_TEXT || form == PH_LEAK_JSON || form == PH_LEAK_PARTS;
}

/* As it is printed, and without its quoting. */
static void
search_field(struct target_table *at, struct ph_span value)
{
    const struct ph_leak_search *search = &at->scan->search;

    ph_leak_search_run(search, value, found, at);
    if (!has_parts(at->table->fields[at->field].form))
        return;
    for (uint32_t i = 0; i < QUOTINGS && ph_leak_is_escaped(value); i++) {
        struct ph_buf *plain = &at->scratch[i % 2];
        ph_buf_clear(plain);
        ph_leak_unescape(value, plain);
        at->failed |= !ph_buf_ok(plain);
        value = (struct ph_span){plain->data, plain->len};
        ph_leak_search_run(search, value, found, at);
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (at->scratch[i].cap > SCRATCH_KEPT)
            ph_buf_free(&at->scratch[i]);
    }
}

static ph_code
search_row(void *arg, const struct ph_span *fields, struct ph_error *err)
{
    struct target_table *at = arg;
    uint32_t n_keys = at->table->n_keys > 0 ? at->table->n_keys : 1;

    at->row++;
    at->fields = fields;
    for (uint32_t i = 0; i < at->table->n_fields; i++) {
        at->field = i;
        if (fields[n_keys + i].data != NULL)
            search_field(at, fields[n_keys + i]);
    }
    return at->failed ? PH_FAIL(err, PH_E_MEMORY, "no memory for what the leak scan found") : PH_OK;
}

/* ---- reading ---- */

static void
put_field(const struct ph_leak_field *field, struct ph_buf *sql)
{
    if (field->only != NULL)
        ph_buf_printf(sql, "CASE WHEN (%s) THEN ", field->only);
    ph_buf_put_ident(sql, field->name);
    ph_buf_puts(sql, field->form == PH_LEAK_BYTES ? "" : "::pg_catalog.text");
    ph_buf_puts(sql, field->only != NULL ? " END" : "");
}

static void
put_query(const struct ph_leak_table *table, struct ph_buf *sql)
{
    ph_buf_puts(sql, "SELECT ");
    for (uint32_t i = 0; i < table->n_keys; i++) {
        ph_buf_puts(sql, i == 0 ? "pg_catalog.left(" : ", pg_catalog.left(");
        ph_buf_put_ident(sql, table->keys[i].name);
        ph_buf_printf(sql, "::pg_catalog.text, %u)", KEY_READ);
    }
    if (table->n_keys == 0)
        ph_buf_puts(sql, "ctid::pg_catalog.text");
    for (uint32_t i = 0; i < table->n_fields; i++) {
        ph_buf_puts(sql, ", ");
        put_field(&table->fields[i], sql);
    }
    ph_buf_puts(sql, table->is_plain ? " FROM ONLY " : " FROM ");
    ph_buf_put_qualified(sql, table->schema, table->name);
}

static ph_code
read_table(struct target_table *at, struct ph_error *err)
{
    const struct ph_options *options = at->scan->verify->options;
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    put_query(at->table, &sql);
    const struct ph_query_scan_params params = {
        .conn = at->scan->conns[PH_TARGET],
        .select = ph_buf_text(&sql),
        .n_fields = at->table->n_fields + (at->table->n_keys > 0 ? at->table->n_keys : 1),
        .max_row_bytes = options->max_row_bytes,
        .bytes = &at->scan->bytes,
    };
    ph_code rc = ph_buf_ok(&sql) ? ph_query_scan(&params, search_row, at, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc != PH_OK)
        ph_error_note(err, "searching %s.%s on the target", at->table->schema, at->table->name);
    ph_buf_free(&sql);
    return rc;
}

/* ---- telling ---- */

static void
report_find(const struct target_table *at, const struct ph_leak_column *column,
            const struct ph_leak_field *field, const struct find *find)
{
    char target[220];
    const struct ph_report_leak leak = {
        .source = column->label,
        .target = target,
        .values = find->values,
        .looked_for = column->sample.n,
        .rows = find->rows,
        .rows_named = {find->examples[0], find->examples[1]},
        .how = field->how,
    };

    snprintf(target, sizeof target, "%s.%s.%s", at->table->schema, at->table->name, field->name);
    ph_report_add_leak(at->scan->verify->report, &leak);
}

static void
report_and_free(struct target_table *at, uint32_t *n)
{
    uint32_t n_fields = at->table->n_fields;

    for (size_t i = 0; i < (size_t)at->scan->n_columns * n_fields; i++) {
        struct find *find = at->finds[i];
        if (find == NULL)
            continue;
        if (find->rows > 0) {
            report_find(at, &at->scan->columns[i / n_fields], &at->table->fields[i % n_fields],
                        find);
            ++*n;
        }
        for (uint32_t k = 0; k < EXAMPLES; k++)
            free(find->examples[k]);
        free(find->seen);
        free(find);
    }
    free(at->finds);
}

ph_code
ph_leak_search_table(struct ph_leak_scan *scan, const struct ph_leak_table *table, uint32_t *n,
                     struct ph_error *err)
{
    struct target_table at = {.scan = scan, .table = table};

    PH_TRY(ph_stop_check(err));
    at.finds = calloc((size_t)scan->n_columns * table->n_fields + 1, sizeof(struct find *));
    if (at.finds == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < 2; i++)
        ph_buf_init(&at.scratch[i], scan->verify->options->max_row_bytes);
    ph_code rc = read_table(&at, err);
    for (uint32_t i = 0; i < 2; i++)
        ph_buf_free(&at.scratch[i]);
    report_and_free(&at, n);
    if (rc != PH_OK)
        return rc;
    scan->tables++;
    scan->fields += table->n_fields;
    return PH_OK;
}
