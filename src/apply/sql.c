#include "apply/sql.h"

#include <assert.h>

/* unnest($n::"pg_catalog"."_int4")::… */
static void
put_values(const struct ph_apply_column *column, uint32_t param, struct ph_buf *out)
{
    ph_buf_printf(out, "%spg_catalog.unnest($%u::%s)%s", column->open_sql, param, column->param_sql,
                  column->cast_sql);
}

static void
put_names(const struct ph_apply_table *table, struct ph_buf *out)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        ph_buf_puts(out, i == 0 ? "" : ", ");
        ph_buf_put_ident(out, table->columns[i].name);
    }
}

/* FROM (SELECT … AS k0, … AS c1) AS u: the first `n` columns, as keys, from parameter 1 on. */
static void
put_keys(const struct ph_apply_table *table, uint32_t n, struct ph_buf *out)
{
    for (uint32_t i = 0; i < n; i++) {
        ph_buf_puts(out, i == 0 ? "" : ", ");
        put_values(&table->columns[i], i + 1, out);
        ph_buf_printf(out, " AS k%u", i);
    }
}

static void
put_equal(const struct ph_apply_column *column, const char *alias, uint32_t number,
          struct ph_buf *out)
{
    ph_buf_printf(out, "%s.", alias);
    ph_buf_put_ident(out, column->name);
    ph_buf_printf(out, " %s u.k%u", column->equals, number);
}

static void
put_key_match(const struct ph_apply_table *table, const char *alias, struct ph_buf *out)
{
    for (uint32_t i = 0; i < table->n_keys; i++) {
        ph_buf_puts(out, i == 0 ? "" : " AND ");
        put_equal(&table->columns[i], alias, i, out);
    }
}

/* ROW(alias.…)::text of the columns that = does not compare exactly; NULLs are told apart in it. */
static void
put_image(const struct ph_apply_table *table, const char *alias, bool of_params, struct ph_buf *out)
{
    const char *separator = "ROW(";

    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].compares_exactly)
            continue;
        ph_buf_printf(out, "%s%s.", separator, alias);
        if (of_params)
            ph_buf_printf(out, "k%u%s", i, table->columns[i].image_sql);
        else
            ph_buf_put_ident(out, table->columns[i].name);
        separator = ", ";
    }
    ph_buf_puts(out, ")::\"pg_catalog\".\"text\" COLLATE \"pg_catalog\".\"C\"");
}

/* The whole row, exactly: by = where that is exact, the rest by its text, hashable both. */
static void
put_row_match(const struct ph_apply_table *table, const char *alias, struct ph_buf *out)
{
    const char *separator = "";
    bool has_image = false;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (!table->columns[i].compares_exactly) {
            has_image = true;
            continue;
        }
        ph_buf_puts(out, separator);
        put_equal(&table->columns[i], alias, i, out);
        separator = " AND ";
    }
    if (!has_image)
        return;
    ph_buf_puts(out, separator);
    put_image(table, alias, false, out);
    ph_buf_puts(out, " = ");
    put_image(table, "u", true, out);
}

/* What no change brings: the columns of the target's own. */
static void
put_own(const struct ph_apply_table *table, const char *before, struct ph_buf *out)
{
    for (uint32_t i = 0; i < table->n_own; i++) {
        ph_buf_printf(out, ", %s", before);
        ph_buf_put_ident(out, table->own[i]);
    }
}

static void
put_into(const struct ph_apply_table *table, bool with_own, struct ph_buf *out)
{
    ph_buf_puts(out, "INSERT INTO ");
    ph_buf_put_qualified(out, table->target->schema, table->target->name);
    ph_buf_puts(out, " (");
    put_names(table, out);
    for (uint32_t i = 0; i < table->n_fills; i++) {
        ph_buf_puts(out, ", ");
        ph_buf_put_ident(out, table->fills[i].name);
    }
    if (with_own)
        put_own(table, "", out);
    ph_buf_puts(out, ") OVERRIDING SYSTEM VALUE SELECT ");
}

void
ph_sql_put_insert(const struct ph_apply_table *table, struct ph_buf *out)
{
    put_into(table, false, out);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        ph_buf_puts(out, i == 0 ? "" : ", ");
        put_values(&table->columns[i], i + 1, out);
    }
    for (uint32_t i = 0; i < table->n_fills; i++)
        ph_buf_printf(out, ", %s", table->fills[i].value_sql);
}

/*
 * Of m equal rows exactly n: they are numbered within their image, and taken by their place. Places
 * are unique within a partition only.
 */
static void
put_delete_rows(const struct ph_apply_table *table, struct ph_buf *out)
{
    bool has_partitions = table->target->kind == PH_REL_PARTITIONED;
    uint32_t n = table->n_columns;

    ph_buf_printf(out,
                  "DELETE FROM %s AS t USING (SELECT m.id%s FROM (SELECT x.ctid AS id%s,"
                  " pg_catalog.row_number() OVER (PARTITION BY u.i) AS r, u.n FROM %s AS x,"
                  " (SELECT ",
                  table->target_sql, has_partitions ? ", m.rel" : "",
                  has_partitions ? ", x.tableoid AS rel" : "", table->target_sql);
    put_keys(table, n, out);
    ph_buf_printf(out,
                  ", pg_catalog.unnest($%u::\"pg_catalog\".\"_int8\") AS n,"
                  " pg_catalog.unnest($%u::\"pg_catalog\".\"_int8\") AS i) AS u WHERE ",
                  n + 1, n + 2);
    put_row_match(table, "x", out);
    ph_buf_printf(out, ") AS m WHERE m.r <= m.n) AS d WHERE t.ctid = d.id%s",
                  has_partitions ? " AND t.tableoid = d.rel" : "");
}

void
ph_sql_put_delete(const struct ph_apply_table *table, struct ph_buf *out)
{
    const struct ph_apply_column *key = table->columns;

    if (table->n_keys == 0) {
        put_delete_rows(table, out);
        return;
    }
    ph_buf_printf(out, "DELETE FROM %s AS t", table->target_sql);
    if (table->n_keys == 1 && key->carry == PH_CARRY_BINARY) {
        ph_buf_puts(out, " WHERE t.");
        ph_buf_put_ident(out, key->name);
        ph_buf_printf(out, " %s ANY ($1::%s)", key->equals, key->param_sql);
        return;
    }
    ph_buf_puts(out, " USING (SELECT ");
    put_keys(table, table->n_keys, out);
    ph_buf_puts(out, ") AS u WHERE ");
    put_key_match(table, "t", out);
}

/* Columns that an UPDATE of this set assigns, beyond the key. */
static bool
is_set(const struct ph_apply_table *table, struct ph_column_set set, uint32_t column)
{
    return column >= table->n_keys && ph_column_set_has(set, column) &&
           !table->columns[column].is_identity_always;
}

/*
 * What cannot be assigned (GENERATED ALWAYS AS IDENTITY) must be as it was, or the row is not hit.
 */
static void
put_update_rest(const struct ph_apply_table *table, struct ph_column_set set, uint32_t param,
                struct ph_buf *out)
{
    ph_buf_puts(out, "(SELECT ");
    put_keys(table, table->n_keys, out);
    for (uint32_t i = table->n_keys; i < table->n_columns; i++) {
        if (!ph_column_set_has(set, i))
            continue;
        ph_buf_puts(out, ", ");
        put_values(&table->columns[i], param++, out);
        ph_buf_printf(out, " AS k%u", i);
    }
    ph_buf_puts(out, ") AS u WHERE ");
    put_key_match(table, "t", out);
    for (uint32_t i = table->n_keys; i < table->n_columns; i++) {
        if (!ph_column_set_has(set, i) || !table->columns[i].is_identity_always)
            continue;
        ph_buf_puts(out, " AND ");
        put_equal(&table->columns[i], "t", i, out);
    }
}

/* A column that may be assigned to itself, or NULL. */
static const struct ph_apply_column *
find_settable(const struct ph_apply_table *table)
{
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (!table->columns[i].is_identity_always)
            return &table->columns[i];
    return NULL;
}

/* Nothing to assign; the rows must be there all the same, and be counted. */
static void
put_update_nothing(const struct ph_apply_table *table, struct ph_buf *out)
{
    const struct ph_apply_column *column = find_settable(table);

    if (column == NULL) {
        ph_buf_printf(out, "SELECT FROM %s AS t, ", table->target_sql);
        return;
    }
    ph_buf_printf(out, "UPDATE %s AS t SET ", table->target_sql);
    ph_buf_put_ident(out, column->name);
    ph_buf_puts(out, " = t.");
    ph_buf_put_ident(out, column->name);
    ph_buf_puts(out, " FROM ");
}

void
ph_sql_put_update(const struct ph_apply_table *table, struct ph_column_set set, struct ph_buf *out)
{
    bool is_first = true;

    assert(table->n_keys > 0);
    for (uint32_t i = table->n_keys; i < table->n_columns; i++) {
        if (!is_set(table, set, i))
            continue;
        if (is_first)
            ph_buf_printf(out, "UPDATE %s AS t SET ", table->target_sql);
        ph_buf_puts(out, is_first ? "" : ", ");
        ph_buf_put_ident(out, table->columns[i].name);
        ph_buf_printf(out, " = u.k%u", i);
        is_first = false;
    }
    if (is_first)
        put_update_nothing(table, out);
    else
        ph_buf_puts(out, " FROM ");
    put_update_rest(table, set, table->n_keys + 1, out);
}

/*
 * An identity that cannot be assigned: the row is taken out and put in again, and what did not come
 * with the change, or never does, is carried over.
 */
static void
put_move_identity(const struct ph_apply_table *table, struct ph_column_set set, struct ph_buf *out)
{
    uint32_t param = table->n_keys + 1;

    ph_buf_printf(out, "WITH old AS (DELETE FROM %s AS t USING (SELECT ", table->target_sql);
    put_keys(table, table->n_keys, out);
    ph_buf_puts(out, ") AS u WHERE ");
    put_key_match(table, "t", out);
    ph_buf_puts(out, " RETURNING t.*), new AS (SELECT ");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (!ph_column_set_has(set, i))
            continue;
        ph_buf_puts(out, param == table->n_keys + 1 ? "" : ", ");
        put_values(&table->columns[i], param++, out);
        ph_buf_printf(out, " AS k%u", i);
    }
    ph_buf_puts(out, ") ");
    put_into(table, true, out);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        ph_buf_puts(out, i == 0 ? "" : ", ");
        if (ph_column_set_has(set, i)) {
            ph_buf_printf(out, "new.k%u", i);
        } else {
            ph_buf_puts(out, "old.");
            ph_buf_put_ident(out, table->columns[i].name);
        }
    }
    for (uint32_t i = 0; i < table->n_fills; i++) {
        ph_buf_puts(out, ", old.");
        ph_buf_put_ident(out, table->fills[i].name);
    }
    put_own(table, "old.", out);
    ph_buf_puts(out, " FROM old, new");
}

/* UPDATE … AS t SET … = u.c0, … FROM: all of the set that can be assigned, which may be nothing. */
static void
put_assignments(const struct ph_apply_table *table, struct ph_column_set set, struct ph_buf *out)
{
    bool is_first = true;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (!ph_column_set_has(set, i) || table->columns[i].is_identity_always)
            continue;
        if (is_first)
            ph_buf_printf(out, "UPDATE %s AS t SET ", table->target_sql);
        ph_buf_puts(out, is_first ? "" : ", ");
        ph_buf_put_ident(out, table->columns[i].name);
        ph_buf_printf(out, " = u.c%u", i);
        is_first = false;
    }
    if (is_first)
        put_update_nothing(table, out);
    else
        ph_buf_puts(out, " FROM ");
}

/* , … AS c0, …: the new values, from that parameter on. */
static void
put_new_values(const struct ph_apply_table *table, struct ph_column_set set, uint32_t param,
               struct ph_buf *out)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (!ph_column_set_has(set, i))
            continue;
        ph_buf_puts(out, ", ");
        put_values(&table->columns[i], param++, out);
        ph_buf_printf(out, " AS c%u", i);
    }
}

/* What cannot be assigned must be as it was, as in put_update_rest. */
static void
put_kept_identity(const struct ph_apply_table *table, struct ph_column_set set, const char *alias,
                  struct ph_buf *out)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (!ph_column_set_has(set, i) || !table->columns[i].is_identity_always)
            continue;
        ph_buf_printf(out, " AND %s.", alias);
        ph_buf_put_ident(out, table->columns[i].name);
        ph_buf_printf(out, " %s u.c%u", table->columns[i].equals, i);
    }
}

/* One of the rows with that image, where it is: to what refers to it, it must not go. */
static void
put_update_row(const struct ph_apply_table *table, struct ph_column_set set, struct ph_buf *out)
{
    bool has_partitions = table->target->kind == PH_REL_PARTITIONED;
    uint32_t n = table->n_columns;

    put_assignments(table, set, out);
    ph_buf_printf(out, "(SELECT x.ctid AS id%s, u.* FROM %s AS x, (SELECT ",
                  has_partitions ? ", x.tableoid AS rel" : "", table->target_sql);
    put_keys(table, n, out);
    ph_buf_printf(out, ", pg_catalog.unnest($%u::\"pg_catalog\".\"_int8\") AS n", n + 1);
    put_new_values(table, set, n + 2, out);
    ph_buf_puts(out, ") AS u WHERE ");
    put_row_match(table, "x", out);
    put_kept_identity(table, set, "x", out);
    ph_buf_printf(out, " LIMIT 1) AS u WHERE t.ctid = u.id%s",
                  has_partitions ? " AND t.tableoid = u.rel" : "");
}

void
ph_sql_put_move(const struct ph_apply_table *table, struct ph_column_set set, struct ph_buf *out)
{
    if (table->n_keys == 0) {
        put_update_row(table, set, out);
        return;
    }
    if ((table->key_is_identity || table->keeps_identity) && table->may_reinsert) {
        put_move_identity(table, set, out);
        return;
    }
    put_assignments(table, set, out);
    ph_buf_puts(out, "(SELECT ");
    put_keys(table, table->n_keys, out);
    put_new_values(table, set, table->n_keys + 1, out);
    ph_buf_puts(out, ") AS u WHERE ");
    put_key_match(table, "t", out);
    put_kept_identity(table, set, "t", out);
}

void
ph_sql_put_copy(const struct ph_apply_table *table, struct ph_buf *out)
{
    ph_buf_puts(out, "COPY ");
    ph_buf_put_qualified(out, table->target->schema, table->target->name);
    ph_buf_puts(out, " (");
    put_names(table, out);
    ph_buf_puts(out, table->copies_text ? ") FROM STDIN" : ") FROM STDIN (FORMAT binary)");
}

void
ph_sql_put_find(const struct ph_apply_table *table, enum ph_sql_find find, uint32_t n_rows,
                struct ph_buf *out)
{
    uint32_t n = table->n_keys > 0 ? table->n_keys : table->n_columns;
    bool by_row = table->n_keys == 0;

    assert(n_rows > 0);
    ph_buf_puts(out, "SELECT u.i FROM (SELECT ");
    put_keys(table, n, out);
    if (by_row)
        ph_buf_printf(out, ", pg_catalog.unnest($%u::\"pg_catalog\".\"_int8\") AS n", n + 1);
    ph_buf_printf(out, ", pg_catalog.generate_series(0, %u) AS i) AS u WHERE ", n_rows - 1);
    if (by_row)
        ph_buf_puts(out, "(SELECT pg_catalog.count(*)");
    else
        ph_buf_puts(out, find == PH_SQL_FIND_MISSING ? "NOT EXISTS (SELECT" : "EXISTS (SELECT");
    ph_buf_printf(out, " FROM %s AS t WHERE ", table->target_sql);
    if (by_row)
        put_row_match(table, "t", out);
    else
        put_key_match(table, "t", out);
    ph_buf_puts(out, ")");
    if (by_row)
        ph_buf_puts(out, find == PH_SQL_FIND_MISSING ? " < u.n" : " >= u.n");
    ph_buf_puts(out, " ORDER BY 1");
}

void
ph_sql_put_truncate(const struct ph_apply_table *const *tables, uint32_t n_tables,
                    const char *others, bool restart_identity, struct ph_buf *out)
{
    ph_buf_puts(out, "TRUNCATE ");
    for (uint32_t i = 0; i < n_tables; i++)
        ph_buf_printf(out, "%s%s", i == 0 ? "" : ", ", tables[i]->target_sql);
    ph_buf_puts(out, others);
    if (restart_identity)
        ph_buf_puts(out, " RESTART IDENTITY");
}
