/*
 * What rows have in a column that was added later. The stream brings none of it: ADD COLUMN fills
 * them by a default, on each side by its own. Where both have filled in the same constant, or
 * nothing, the catalogs say so; otherwise the target's rows are asked, once. A default that is
 * another one for each row (clock_timestamp(), nextval) rewrites the table and leaves no trace but
 * that: rows of a table that was rewritten since it was planned can have been given anything.
 *
 * Rejected: comparing the source's rows as well. They have been written to since, and that the
 * stream does bring.
 */
#include <stdio.h>
#include <string.h>

#include "job/follow_parts.h"

#define SQL_LIMIT ((size_t)1 << 20)

enum fill { FILL_NONE, FILL_CONSTANT, FILL_UNKNOWN };

/* As of the catalogs of now, of both sides. */
struct late {
    const struct ph_table_plan *table;
    const char *name;
    enum fill source;
    struct ph_buf constant; /* with FILL_CONSTANT */
    bool is_to_fill;        /* both sides have it, and the target does not compute it */
    bool is_same;           /* on both sides, by the catalogs alone */
};

/*
 * Of the table, or where it is partitioned of all its leaves, which may have been filled each in
 * another way. The constant is an array of one element, in which every type has a text.
 */
static const char facts_sql[] =
    "SELECT a.atthasmissing, (a.attmissingval::text::text[])[1],"
    " a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, a.attnotnull,"
    " a.attgenerated <> '', c.relfilenode FROM pg_catalog.pg_attribute a"
    " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
    " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " WHERE a.attrelid IN (SELECT $1::oid UNION SELECT relid FROM"
    " pg_catalog.pg_partition_tree($1::oid) WHERE isleaf) AND c.relkind <> 'p'"
    " AND a.attname = $2 AND NOT a.attisdropped";

static ph_code
read_facts(struct ph_conn *conn, const struct ph_rel *rel, const char *name, struct ph_result **out,
           struct ph_error *err)
{
    char oid[16];
    const char *params[] = {oid, name};

    snprintf(oid, sizeof oid, "%u", rel->oid);
    return ph_conn_query(conn, facts_sql, 2, params, out, err);
}

/* A default without a constant was set afterwards, unless the table was rewritten. */
static enum fill
fill_of(const struct ph_table_plan *table, const struct ph_result *r)
{
    bool has_default = ph_result_bool(r, 0, 2);
    bool not_null = ph_result_bool(r, 0, 3);

    if (ph_result_bool(r, 0, 0))
        return FILL_CONSTANT;
    if (ph_result_bool(r, 0, 4)) /* generated: it is in no stream */
        return FILL_UNKNOWN;
    return (has_default || not_null) && ph_result_u32(r, 0, 5) != table->filenode ? FILL_UNKNOWN
                                                                                  : FILL_NONE;
}

static ph_code
look_at_source(struct ph_job *job, struct late *late, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(read_facts(job->source_control, late->table->source, late->name, &r, err));
    late->is_to_fill = ph_result_rows(r) == 1; /* or it is gone again */
    if (late->is_to_fill) {
        late->source = fill_of(late->table, r);
        ph_buf_puts(&late->constant, ph_result_text(r, 0, 1));
    }
    ph_result_free(r);
    return PH_OK;
}

static bool
is_filled_alike(const struct late *late, const struct ph_result *r, int row)
{
    bool is_filled = ph_result_bool(r, row, 0);

    switch (late->source) {
    case FILL_NONE:
        return !is_filled && !ph_result_bool(r, row, 2);
    case FILL_CONSTANT:
        return is_filled && strcmp(ph_result_text(r, row, 1), ph_buf_text(&late->constant)) == 0;
    case FILL_UNKNOWN:
        return false;
    }
    return false;
}

static ph_code
look_at_target(struct ph_job *job, struct late *late, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(read_facts(job->target_control, late->table->target, late->name, &r, err));
    late->is_to_fill &= ph_result_rows(r) > 0 && !ph_result_bool(r, 0, 4);
    late->is_same = late->is_to_fill;
    for (int row = 0; row < ph_result_rows(r); row++)
        late->is_same &= is_filled_alike(late, r, row);
    ph_result_free(r);
    return ph_buf_ok(&late->constant) ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
look(struct ph_job *job, const struct ph_table_plan *table, const struct ph_column *column,
     struct late *late, struct ph_error *err)
{
    *late = (struct late){.table = table, .name = column->name};
    ph_buf_init(&late->constant, SQL_LIMIT);
    PH_TRY(look_at_source(job, late, err));
    return look_at_target(job, late, err);
}

/* ---- the target's rows ---- */

static void
put_query(const struct late *late, struct ph_buf *sql)
{
    const struct ph_rel *target = late->table->target;

    ph_buf_puts(sql, "SELECT EXISTS (SELECT FROM ");
    ph_buf_put_qualified(sql, target->schema, target->name);
    if (late->source != FILL_UNKNOWN) {
        ph_buf_puts(sql, " WHERE ");
        ph_buf_put_ident(sql, late->name);
        ph_buf_puts(sql, late->source == FILL_NONE ? " IS DISTINCT FROM NULL"
                                                   : " IS NOT DISTINCT FROM NULL");
    }
    if (late->source == FILL_CONSTANT) {
        /* by its type's own text: a cast would cut the blanks of character(n) */
        ph_buf_puts(sql, " OR pg_catalog.format('%s', ");
        ph_buf_put_ident(sql, late->name);
        ph_buf_puts(sql, ") <> ");
        ph_buf_put_literal(sql, ph_buf_text(&late->constant));
    }
    ph_buf_puts(sql, ")");
}

static ph_code
find_others(struct ph_job *job, const struct late *late, bool *found, struct ph_error *err)
{
    struct ph_buf sql;
    char answer[8];

    ph_buf_init(&sql, 2 * SQL_LIMIT);
    put_query(late, &sql);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_value(job->target_control, ph_buf_text(&sql), answer,
                                                 sizeof answer, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    *found = rc == PH_OK && answer[0] == 't';
    return rc;
}

static void
hint_add_again(const struct late *late, struct ph_error *err)
{
    const char *constant = ph_buf_text(&late->constant);

    if (late->source == FILL_NONE || strlen(constant) > 100)
        ph_error_hint(err,
                      "on the target drop the column and add it again, %s; then give the same "
                      "command again, and set another default when the job is over",
                      late->source == FILL_NONE ? "without a default"
                                                : "with that value as its default");
    else
        ph_error_hint(err,
                      "on the target drop the column and add it again with DEFAULT '%s', then give "
                      "the same command again, and set another default when the job is over",
                      constant);
}

static ph_code
refuse(const struct ph_job *job, const struct late *late, struct ph_error *err)
{
    const struct ph_rel *source = late->table->source;

    switch (late->source) {
    case FILL_NONE:
        PH_FAIL(err, PH_E_TABLE_CHANGED,
                "column %s, which was added since the copy began, has values on the target in rows "
                "that have none on the source",
                late->name);
        break;
    case FILL_CONSTANT:
        PH_FAIL(err, PH_E_TABLE_CHANGED,
                "column %s was added since the copy began, and rows of before have '%.100s' in it "
                "on the source, but not on the target",
                late->name, ph_buf_text(&late->constant));
        break;
    case FILL_UNKNOWN:
        PH_FAIL(err, PH_E_TABLE_CHANGED,
                "column %s was added since the copy began and the table was rewritten on the "
                "source: rows of before may have values of their own there, which no stream brings",
                late->name);
        break;
    }
    ph_error_object(err, "%s.%s", source->schema, source->name);
    if (late->source != FILL_UNKNOWN)
        hint_add_again(late, err);
    else if (job->ledger.phase == PH_PHASE_FOLLOW)
        ph_job_hint_copy_anew(job, err);
    else
        ph_error_hint(err, "start over with --restart --yes");
    return PH_E_TABLE_CHANGED;
}

ph_code
ph_late_is_plain(struct ph_job *job, const struct ph_table_plan *table,
                 const struct ph_column *column, bool *is_plain, struct ph_error *err)
{
    struct late late;
    ph_code rc = look(job, table, column, &late, err);

    *is_plain = rc == PH_OK && late.is_same;
    ph_buf_free(&late.constant);
    return rc;
}

ph_code
ph_late_check(struct ph_job *job, const struct ph_table_plan *table, const struct ph_column *column,
              struct ph_error *err)
{
    struct late late;
    bool differs = false;
    ph_code rc = look(job, table, column, &late, err);

    if (rc == PH_OK && late.is_to_fill && !late.is_same)
        rc = find_others(job, &late, &differs, err);
    if (rc == PH_OK && differs)
        rc = refuse(job, &late, err);
    ph_buf_free(&late.constant);
    return rc;
}
