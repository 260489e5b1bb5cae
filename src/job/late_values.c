/*
 * What rows have in a column that was added later. The stream brings none of it: ADD COLUMN fills
 * them by a default, on each side by its own. What the source has filled in its catalogs say: a
 * constant, or nothing. A default that is another one for each row (clock_timestamp(), nextval)
 * rewrites the table and leaves no trace but that: rows of a table that was rewritten since it was
 * last seen without such a column can have been given anything.
 *
 * The target's rows are asked in any case, once. That its catalogs name the same constant says
 * nothing of rows that came later, by whatever default it had at that moment. From then on rows of
 * before come with what the source has filled in (apply/late.h).
 *
 * Rejected: comparing the source's rows as well. They have been written to since, and that the
 * stream does bring.
 */
#include <stdio.h>
#include <string.h>

#include "job/follow_parts.h"
#include "pg/slot.h"

#define SQL_LIMIT ((size_t)1 << 20)

/* As of the catalogs of now, of both sides. */
struct looked {
    const struct ph_table_plan *table;
    const char *name;
    enum ph_fill fill;
    struct ph_buf constant; /* with PH_FILL_CONSTANT */
    bool is_to_fill;        /* both sides have it, and the target does not compute it */
};

/*
 * Of the table, or where it is partitioned of all its leaves. The constant is an array of one
 * element, in which every type has a text.
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
static enum ph_fill
fill_of(const struct ph_table_plan *table, const struct ph_result *r)
{
    bool has_default = ph_result_bool(r, 0, 2);
    bool not_null = ph_result_bool(r, 0, 3);

    if (ph_result_bool(r, 0, 0))
        return PH_FILL_CONSTANT;
    if (ph_result_bool(r, 0, 4)) /* generated: it is in no stream */
        return PH_FILL_UNKNOWN;
    return (has_default || not_null) && ph_result_u32(r, 0, 5) != table->filenode ? PH_FILL_UNKNOWN
                                                                                  : PH_FILL_NONE;
}

static ph_code
look_at_source(struct ph_job *job, struct looked *looked, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(read_facts(job->source_control, looked->table->source, looked->name, &r, err));
    looked->is_to_fill = ph_result_rows(r) == 1; /* or it is gone again */
    if (looked->is_to_fill) {
        looked->fill = fill_of(looked->table, r);
        ph_buf_puts(&looked->constant, ph_result_text(r, 0, 1));
    }
    ph_result_free(r);
    return PH_OK;
}

static ph_code
look_at_target(struct ph_job *job, struct looked *looked, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(read_facts(job->target_control, looked->table->target, looked->name, &r, err));
    looked->is_to_fill &= ph_result_rows(r) > 0 && !ph_result_bool(r, 0, 4);
    ph_result_free(r);
    return ph_buf_ok(&looked->constant) ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* ---- the target's rows ---- */

static void
put_query(const struct looked *looked, struct ph_buf *sql)
{
    const struct ph_rel *target = looked->table->target;

    /* of what inherits from it, each is a table of its own */
    ph_buf_printf(sql, "SELECT EXISTS (SELECT FROM %s",
                  target->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
    ph_buf_put_qualified(sql, target->schema, target->name);
    if (looked->fill != PH_FILL_UNKNOWN) {
        ph_buf_puts(sql, " WHERE ");
        ph_buf_put_ident(sql, looked->name);
        ph_buf_puts(sql, looked->fill == PH_FILL_NONE ? " IS DISTINCT FROM NULL"
                                                      : " IS NOT DISTINCT FROM NULL");
    }
    if (looked->fill == PH_FILL_CONSTANT) {
        /* by its type's own text: a cast would cut the blanks of character(n) */
        ph_buf_puts(sql, " OR pg_catalog.format('%s', ");
        ph_buf_put_ident(sql, looked->name);
        ph_buf_puts(sql, ") <> ");
        ph_buf_put_literal(sql, ph_buf_text(&looked->constant));
    }
    ph_buf_puts(sql, ")");
}

static ph_code
find_others(struct ph_job *job, const struct looked *looked, bool *found, struct ph_error *err)
{
    struct ph_buf sql;
    char answer[8];

    ph_buf_init(&sql, 2 * SQL_LIMIT);
    put_query(looked, &sql);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_value(job->target_control, ph_buf_text(&sql), answer,
                                                 sizeof answer, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    *found = rc == PH_OK && answer[0] == 't';
    return rc;
}

static void
hint_add_again(const struct looked *looked, struct ph_error *err)
{
    const char *constant = ph_buf_text(&looked->constant);

    if (looked->fill == PH_FILL_NONE || strlen(constant) > 100)
        ph_error_hint(err,
                      "on the target drop the column and add it again, %s; then give the same "
                      "command again, and set another default when the job is over",
                      looked->fill == PH_FILL_NONE ? "without a default"
                                                   : "with that value as its default");
    else
        ph_error_hint(err,
                      "on the target drop the column and add it again with DEFAULT '%s', then give "
                      "the same command again, and set another default when the job is over",
                      constant);
}

static ph_code
refuse(const struct ph_job *job, const struct looked *looked, struct ph_error *err)
{
    const struct ph_rel *source = looked->table->source;

    switch (looked->fill) {
    case PH_FILL_NONE:
        PH_FAIL(err, PH_E_TABLE_CHANGED,
                "column %s, which was added since the copy began, has values on the target in rows "
                "that have none on the source",
                looked->name);
        break;
    case PH_FILL_CONSTANT:
        PH_FAIL(err, PH_E_TABLE_CHANGED,
                "column %s was added since the copy began, and rows of before have '%.100s' in it "
                "on the source, but not on the target",
                looked->name, ph_buf_text(&looked->constant));
        break;
    case PH_FILL_UNKNOWN:
        PH_FAIL(err, PH_E_TABLE_CHANGED,
                "column %s was added since the copy began and the table was rewritten on the "
                "source: rows of before may have values of their own there, which no stream brings",
                looked->name);
        break;
    }
    ph_error_object(err, "%s.%s", source->schema, source->name);
    if (looked->fill != PH_FILL_UNKNOWN)
        hint_add_again(looked, err);
    else if (job->ledger.phase == PH_PHASE_FOLLOW)
        ph_job_hint_copy_anew(job, err);
    else
        ph_error_hint(err, "start over with --restart --yes");
    return PH_E_TABLE_CHANGED;
}

/* *differs: rows of the target have something else in it, or nobody can tell. */
static ph_code
look(struct ph_job *job, struct looked *looked, bool *differs, struct ph_error *err)
{
    *differs = false;
    PH_TRY(look_at_source(job, looked, err));
    PH_TRY(look_at_target(job, looked, err));
    return looked->is_to_fill ? find_others(job, looked, differs, err) : PH_OK;
}

static struct looked
looked_at(const struct ph_table_plan *table, const struct ph_column *column)
{
    struct looked looked = {.table = table, .name = column->name};

    ph_buf_init(&looked.constant, SQL_LIMIT);
    return looked;
}

/* A standby cannot tell: no transaction is from after the column. */
static ph_code
read_until(struct ph_job *job, ph_lsn *until, struct ph_error *err)
{
    PH_TRY(ph_slot_source_end(job->source_control, until, err));
    if (*until == 0)
        *until = UINT64_MAX;
    return PH_OK;
}

static ph_code
describe(struct ph_job *job, const struct looked *looked, struct ph_late *out, struct ph_error *err)
{
    out->is_taken = true;
    out->fill = looked->fill;
    out->constant = ph_arena_strdup(&job->plan_arena, ph_buf_text(&looked->constant));
    return out->constant != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

ph_code
ph_late_take(struct ph_job *job, const struct ph_table_plan *table, const struct ph_column *column,
             enum ph_late_when when, struct ph_late *out, struct ph_error *err)
{
    struct looked looked = looked_at(table, column);
    bool differs = false;

    *out = (struct ph_late){.is_taken = false};
    /* before the look: the column was there when the catalog was read, and still is then */
    ph_code rc = read_until(job, &out->until, err);
    if (rc == PH_OK)
        rc = look(job, &looked, &differs, err);
    if (rc == PH_OK && differs && when == PH_LATE_DUE)
        rc = refuse(job, &looked, err);
    else if (rc == PH_OK && !differs &&
             (when == PH_LATE_DUE || (looked.is_to_fill && looked.fill != PH_FILL_UNKNOWN)))
        rc = describe(job, &looked, out, err);
    ph_buf_free(&looked.constant);
    return rc;
}

ph_code
ph_late_check(struct ph_job *job, const struct ph_table_plan *table, const struct ph_column *column,
              struct ph_error *err)
{
    struct looked looked = looked_at(table, column);
    bool differs = false;
    ph_code rc = look(job, &looked, &differs, err);

    if (rc == PH_OK && differs)
        rc = refuse(job, &looked, err);
    ph_buf_free(&looked.constant);
    return rc;
}
