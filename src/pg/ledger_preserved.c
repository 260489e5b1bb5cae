#include "pg/ledger_preserved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

#define SQL_LIMIT ((size_t)4 << 20)

void
ph_preserved_name(const char *job, const struct ph_rel *target, char out[PH_PRESERVED_NAME])
{
    struct ph_buf words;

    ph_buf_init(&words, 4096);
    ph_buf_append(&words, job, strlen(job) + 1);
    ph_buf_append(&words, target->schema, strlen(target->schema) + 1);
    ph_buf_append(&words, target->name, strlen(target->name) + 1);
    struct ph_hash128 hash = ph_digest_row((struct ph_span){words.data, words.len});
    ph_buf_free(&words);
    snprintf(out, PH_PRESERVED_NAME, "preserved_%016llx", (unsigned long long)hash.lo);
}

static void
put_from(const struct ph_rel *rel, struct ph_buf *sql)
{
    ph_buf_puts(sql, rel->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
    ph_buf_put_qualified(sql, rel->schema, rel->name);
}

static void
put_kept_in(const char *job, const struct ph_rel *target, struct ph_buf *sql)
{
    char name[PH_PRESERVED_NAME];

    ph_preserved_name(job, target, name);
    ph_buf_put_qualified(sql, "pghaul", name);
}

static void
put_columns(const struct ph_table_plan *table, const uint32_t *positions, uint32_t n, char letter,
            struct ph_buf *sql)
{
    for (uint32_t i = 0; i < n; i++) {
        ph_buf_put_ident(sql, table->columns[positions[i]].target->name);
        ph_buf_printf(sql, " AS %c%u, ", letter, i);
    }
}

void
ph_preserved_put_select(const struct ph_table_plan *table, struct ph_buf *sql)
{
    const struct ph_preserved *preserved = table->preserved;

    ph_buf_puts(sql, "SELECT ");
    put_columns(table, preserved->key, preserved->n_key, 'k', sql);
    put_columns(table, preserved->columns, preserved->n_columns, 'c', sql);
    if (preserved->rows != NULL)
        ph_buf_printf(sql, "((%s) IS TRUE) AS whole FROM ", preserved->rows);
    else
        ph_buf_puts(sql, "false AS whole FROM ");
    put_from(table->target, sql);
}

/* Rows that are aside and on the target: `kept a USING (the target) t WHERE the keys are equal`. */
static void
put_delete_of_those_there(const char *job, const struct ph_table_plan *table, struct ph_buf *sql)
{
    ph_buf_puts(sql, "DELETE FROM ");
    put_kept_in(job, table->target, sql);
    ph_buf_puts(sql, " a USING ");
    put_from(table->target, sql);
    for (uint32_t k = 0; k < table->preserved->n_key; k++) {
        ph_buf_printf(sql, " %s a.k%u ", k > 0 ? "AND" : "t WHERE", k);
        ph_buf_puts(sql, table->preserved->equals[k]);
        ph_buf_puts(sql, " t.");
        ph_buf_put_ident(sql, table->columns[table->preserved->key[k]].target->name);
    }
    ph_buf_puts(sql, "; ");
}

static void
put_new_table(const char *job, const struct ph_table_plan *table, struct ph_buf *sql)
{
    ph_buf_puts(sql, "CREATE TABLE ");
    put_kept_in(job, table->target, sql);
    ph_buf_puts(sql, " AS ");
    ph_preserved_put_select(table, sql);
    ph_buf_puts(sql, "; CREATE UNIQUE INDEX ON ");
    put_kept_in(job, table->target, sql);
    for (uint32_t k = 0; k < table->preserved->n_key; k++)
        ph_buf_printf(sql, "%s k%u", k > 0 ? "," : " (", k);
    ph_buf_puts(sql, "); ");
}

static void
put_more_rows(const char *job, const struct ph_table_plan *table, struct ph_buf *sql)
{
    put_delete_of_those_there(job, table, sql);
    ph_buf_puts(sql, "INSERT INTO ");
    put_kept_in(job, table->target, sql);
    ph_buf_putc(sql, ' ');
    ph_preserved_put_select(table, sql);
    ph_buf_puts(sql, "; ");
}

static void
put_record(const char *job, const struct ph_table_plan *table, struct ph_buf *sql)
{
    const struct ph_rel *target = table->target;
    char name[PH_PRESERVED_NAME];
    struct ph_buf made;

    ph_buf_init(&made, SQL_LIMIT);
    ph_preserved_put_select(table, &made);
    ph_preserved_name(job, target, name);
    ph_buf_puts(sql, "INSERT INTO pghaul.preserved (job, target_schema, target_name, kept_in, made)"
                     " VALUES (");
    const char *const texts[] = {job, target->schema, target->name, name, ph_buf_text(&made)};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ph_buf_puts(sql, i > 0 ? ", " : "");
        ph_buf_put_literal(sql, texts[i]);
    }
    ph_buf_puts(sql, ") ON CONFLICT (job, target_schema, target_name) DO UPDATE SET made ="
                     " excluded.made, is_rest = false; ");
    sql->failed |= !ph_buf_ok(&made);
    ph_buf_free(&made);
}

void
ph_preserved_put_aside(const char *job, const struct ph_table_plan *table,
                       enum ph_preserved_found found, struct ph_buf *sql)
{
    ph_buf_puts(sql, "LOCK TABLE ");
    put_from(table->target, sql);
    ph_buf_puts(sql, " IN ACCESS EXCLUSIVE MODE; ");
    if (found == PH_PRESERVED_REST)
        put_more_rows(job, table, sql);
    else
        put_new_table(job, table, sql);
    ph_buf_puts(sql, "ANALYZE ");
    put_kept_in(job, table->target, sql);
    ph_buf_puts(sql, "; ");
    put_record(job, table, sql);
}

/* ---- looking ---- */

/* A ledger of an earlier version has not. */
static ph_code
has_list(struct ph_conn *conn, bool *has, struct ph_error *err)
{
    char found[8];

    PH_TRY(ph_conn_value(conn, "SELECT pg_catalog.to_regclass('pghaul.preserved') IS NOT NULL",
                         found, sizeof found, err));
    *has = found[0] == 't';
    return PH_OK;
}

#define IS_THERE "pg_catalog.to_regclass(pg_catalog.format('pghaul.%I', p.kept_in)) IS NOT NULL"

static ph_code
of_another_kind(const char *job, const struct ph_rel *target, struct ph_error *err)
{
    char name[PH_PRESERVED_NAME];

    ph_preserved_name(job, target, name);
    PH_FAIL(err, PH_E_JOB_OTHER,
            "an earlier run has set other columns of it aside than the rules preserve now");
    ph_error_object(err, "%s.%s", target->schema, target->name);
    ph_error_hint(err,
                  "give the job file the rule that it had; or take what you need out of table "
                  "pghaul.%s on the target and drop it",
                  name);
    return PH_E_JOB_OTHER;
}

ph_code
ph_preserved_find(struct ph_conn *conn, const char *job, const struct ph_table_plan *table,
                  enum ph_preserved_found *found, struct ph_error *err)
{
    const struct ph_rel *target = table->target;
    const char *params[] = {job, target->schema, target->name};
    struct ph_result *r;
    struct ph_buf made;
    bool has;

    *found = PH_PRESERVED_NONE;
    PH_TRY(has_list(conn, &has, err));
    if (!has)
        return PH_OK;
    PH_TRY(ph_conn_query(conn,
                         "SELECT p.made, p.is_rest FROM pghaul.preserved p WHERE p.job = $1 AND"
                         " p.target_schema = $2 AND p.target_name = $3 AND " IS_THERE,
                         3, params, &r, err));
    ph_buf_init(&made, SQL_LIMIT);
    ph_preserved_put_select(table, &made);
    bool is_same =
        ph_result_rows(r) > 0 && strcmp(ph_result_text(r, 0, 0), ph_buf_text(&made)) == 0;
    *found = ph_result_rows(r) == 0    ? PH_PRESERVED_NONE
             : ph_result_bool(r, 0, 1) ? PH_PRESERVED_REST
                                       : PH_PRESERVED_ASIDE;
    ph_code rc = !ph_buf_ok(&made) ? PH_FAIL(err, PH_E_MEMORY, "out of memory")
                 : *found != PH_PRESERVED_NONE && !is_same ? of_another_kind(job, target, err)
                                                           : PH_OK;
    ph_buf_free(&made);
    ph_result_free(r);
    return rc;
}

ph_code
ph_preserved_list(struct ph_conn *conn, struct ph_arena *arena, struct ph_preserved_aside **out,
                  uint32_t *n, struct ph_error *err)
{
    struct ph_result *r;
    bool has;

    *n = 0;
    *out = NULL;
    PH_TRY(has_list(conn, &has, err));
    if (!has)
        return PH_OK;
    PH_TRY(ph_conn_query(conn,
                         "SELECT p.job, p.target_schema, p.target_name, p.kept_in FROM"
                         " pghaul.preserved p WHERE " IS_THERE " ORDER BY 1, 2, 3",
                         0, NULL, &r, err));
    uint32_t rows = (uint32_t)ph_result_rows(r);
    struct ph_preserved_aside *list =
        PH_ARENA_ARRAY(arena, struct ph_preserved_aside, (size_t)rows + 1);
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < rows; i++) {
        const char **texts[] = {&list[i].job, &list[i].schema, &list[i].name, &list[i].kept_in};
        for (int c = 0; c < 4; c++) {
            *texts[c] = ph_arena_strdup(arena, ph_result_text(r, (int)i, c));
            ok &= *texts[c] != NULL;
        }
    }
    ph_result_free(r);
    if (!ok)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    *out = list;
    *n = rows;
    return PH_OK;
}

ph_code
ph_preserved_count(struct ph_conn *conn, const char *job, const struct ph_rel *target,
                   struct ph_preserved_counts *out, struct ph_error *err)
{
    char name[PH_PRESERVED_NAME];
    char sql[200];
    struct ph_result *r;

    ph_preserved_name(job, target, name);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FILTER (WHERE NOT whole), count(*) FILTER (WHERE whole) FROM"
             " pghaul.%s",
             name);
    PH_TRY(ph_conn_query(conn, sql, 0, NULL, &r, err));
    out->rows = (uint64_t)ph_result_i64(r, 0, 0);
    out->whole = (uint64_t)ph_result_i64(r, 0, 1);
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_preserved_left_out(struct ph_conn *conn, const char *job, const struct ph_chunk *chunk,
                      uint64_t n, struct ph_error *err)
{
    char table[16];
    char number[16];
    char rows[24];

    if (n == 0)
        return PH_OK;
    snprintf(table, sizeof table, "%u", chunk->table);
    snprintf(number, sizeof number, "%u", chunk->number);
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)n);
    const char *params[] = {job, table, number, rows};
    return ph_conn_expect(conn,
                          "UPDATE pghaul.chunk SET left_out = $4::bigint WHERE job = $1 AND"
                          " tbl = $2::int AND chunk = $3::int",
                          4, params, 1, err);
}

ph_code
ph_preserved_leave_rest(struct ph_conn *conn, const char *job, const struct ph_table_plan *table,
                        struct ph_error *err)
{
    const char *params[] = {job, table->target->schema, table->target->name};
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    put_delete_of_those_there(job, table, &sql);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    PH_TRY(rc);
    return ph_conn_run(conn,
                       "UPDATE pghaul.preserved SET is_rest = true WHERE job = $1 AND"
                       " target_schema = $2 AND target_name = $3",
                       3, params, err);
}

ph_code
ph_preserved_drop(struct ph_conn *conn, const char *job, const struct ph_rel *target,
                  struct ph_error *err)
{
    const char *params[] = {job, target->schema, target->name};
    char name[PH_PRESERVED_NAME];

    ph_preserved_name(job, target, name);
    PH_TRY(ph_conn_execf(conn, err, "DROP TABLE IF EXISTS pghaul.%s", name));
    return ph_conn_run(conn,
                       "DELETE FROM pghaul.preserved WHERE job = $1 AND target_schema = $2 AND"
                       " target_name = $3",
                       3, params, err);
}

ph_code
ph_preserved_forget(struct ph_conn *conn, const char *job, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;
    ph_code rc = PH_OK;
    bool has;

    PH_TRY(has_list(conn, &has, err));
    if (!has)
        return PH_OK;
    PH_TRY(ph_conn_query(conn,
                         "SELECT p.target_schema || '.' || p.target_name, p.kept_in FROM"
                         " pghaul.preserved p WHERE p.job = $1 AND " IS_THERE " ORDER BY 1 LIMIT 1",
                         1, params, &r, err));
    if (ph_result_rows(r) > 0) {
        rc =
            PH_FAIL(err, PH_E_NOT_READY,
                    "the job has set values of it aside and has not brought all of them back: they "
                    "are in table pghaul.%s alone",
                    ph_result_text(r, 0, 1));
        ph_error_object(err, "%s", ph_result_text(r, 0, 0));
        ph_error_hint(err,
                      "let the copy end: give its command again; or take what you need out of that "
                      "table, drop it, and clean again");
    }
    ph_result_free(r);
    PH_TRY(rc);
    return ph_conn_run(conn, "DELETE FROM pghaul.preserved WHERE job = $1", 1, params, err);
}
