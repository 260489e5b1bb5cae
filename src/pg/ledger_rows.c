/*
 * The ledger's rows level: tables, chunks, claims and receipts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "pg/ledger.h"

#define ROWS_PER_INSERT 500
#define RECEIPTS_AT_ONCE 2
#define SQL_LIMIT ((size_t)256 << 20)

static const char *
format_name(enum ph_format format)
{
    return format == PH_FORMAT_BINARY ? "binary" : "text";
}

static const char *
kind_name(enum ph_chunk_kind kind)
{
    switch (kind) {
    case PH_CHUNK_WHOLE:
        return "whole";
    case PH_CHUNK_CTID:
        return "ctid";
    case PH_CHUNK_KEY:
        return "key";
    }
    return "whole";
}

static void
put_literal_or_null(struct ph_buf *sql, const char *text)
{
    if (text == NULL)
        ph_buf_puts(sql, "NULL");
    else
        ph_buf_put_literal(sql, text);
}

enum column_side { SOURCE_NAMES, TARGET_NAMES };

static void
put_columns(struct ph_buf *sql, const struct ph_table_plan *table, enum column_side side)
{
    ph_buf_puts(sql, "ARRAY[");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct ph_plan_column *column = &table->columns[i];
        if (i > 0)
            ph_buf_putc(sql, ',');
        ph_buf_put_literal(sql, side == SOURCE_NAMES ? column->source_name : column->target_name);
    }
    ph_buf_puts(sql, "]::text[],");
}

/* Names at the places of their numbers; NULL: none, or one that rows are not made of. */
static void
put_attributes(struct ph_buf *sql, const struct ph_table_plan *table)
{
    const struct ph_rel *source = table->source;
    int16_t place = 0;

    ph_buf_puts(sql, "ARRAY[");
    for (uint32_t i = 0; i < source->n_columns; i++) {
        const struct ph_column *column = &source->columns[i];
        if (!ph_plan_reads(table, column->name))
            continue;
        while (++place < column->attnum)
            ph_buf_puts(sql, place == 1 ? "NULL" : ",NULL");
        ph_buf_puts(sql, place == 1 ? "" : ",");
        ph_buf_put_literal(sql, column->name);
    }
    ph_buf_puts(sql, "]::text[]");
}

static void
put_table_row(struct ph_buf *sql, const struct ph_ledger_job *job,
              const struct ph_table_plan *table)
{
    ph_buf_putc(sql, '(');
    ph_buf_put_literal(sql, job->name);
    ph_buf_printf(sql, ",%u,%u,", table->index, table->source->oid);
    ph_buf_put_literal(sql, table->source->schema);
    ph_buf_putc(sql, ',');
    ph_buf_put_literal(sql, table->source->name);
    ph_buf_putc(sql, ',');
    ph_buf_put_literal(sql, table->target->schema);
    ph_buf_putc(sql, ',');
    ph_buf_put_literal(sql, table->target->name);
    ph_buf_putc(sql, ',');
    put_columns(sql, table, SOURCE_NAMES);
    put_columns(sql, table, TARGET_NAMES);
    put_attributes(sql, table);
    ph_buf_printf(sql, ",'%s',", format_name(table->format));
    ph_buf_put_literal(sql, table->format_reason != NULL ? table->format_reason : "");
    ph_buf_puts(sql, ",'{");
    for (uint32_t i = 0; i < table->n_key_fields; i++)
        ph_buf_printf(sql, "%s%u", i > 0 ? "," : "", (unsigned)table->key_fields[i]);
    ph_buf_printf(sql, "}',%u,%s,%s,%u,%u,", table->n_buckets, table->freeze ? "true" : "false",
                  table->ordered_by_fk ? "true" : "false", table->level, table->group);
    /* what a route says about rows is in the rules, not here */
    put_literal_or_null(sql, table->route == NULL ? table->where[PH_SOURCE] : NULL);
    ph_buf_putc(sql, ',');
    put_literal_or_null(sql, table->route == NULL ? NULL : table->route_name);
    ph_buf_printf(sql, ",%llu,%llu,%u,%u)", (unsigned long long)table->rows,
                  (unsigned long long)table->bytes, job->joins, table->source->filenode);
}

static void
put_chunk_row(struct ph_buf *sql, const char *job, const struct ph_chunk *chunk)
{
    ph_buf_putc(sql, '(');
    ph_buf_put_literal(sql, job);
    ph_buf_printf(sql, ",%u,%u,%u,'%s',", chunk->table, chunk->number, chunk->lot,
                  kind_name(chunk->kind));
    put_literal_or_null(sql, chunk->lo);
    ph_buf_putc(sql, ',');
    put_literal_or_null(sql, chunk->hi);
    ph_buf_printf(sql, ",%llu)", (unsigned long long)chunk->bytes);
}

static ph_code
run_sql(struct ph_conn *conn, struct ph_buf *sql, struct ph_error *err)
{
    ph_code rc = ph_buf_ok(sql) ? ph_conn_exec(conn, ph_buf_text(sql), err)
                                : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_clear(sql);
    return rc;
}

static ph_code
save_tables(struct ph_conn *conn, const struct ph_ledger_job *job, const struct ph_plan *plan,
            struct ph_buf *sql, struct ph_error *err)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        ph_buf_puts(
            sql,
            i % ROWS_PER_INSERT == 0
                ? "INSERT INTO pghaul.tbl (job, tbl, source_oid, source_schema,"
                  " source_name, target_schema, target_name, source_columns,"
                  " target_columns, attributes, format, format_reason, key_fields,"
                  " buckets, frozen, ordered, level, grp, condition, route, est_rows, est_bytes,"
                  " joined, filenode)"
                  " VALUES "
                : ",");
        put_table_row(sql, job, &plan->tables[i]);
        if ((i + 1) % ROWS_PER_INSERT == 0 || i + 1 == plan->n_tables)
            PH_TRY(run_sql(conn, sql, err));
    }
    return PH_OK;
}

static ph_code
save_chunks(struct ph_conn *conn, const char *job, const struct ph_plan *plan, struct ph_buf *sql,
            struct ph_error *err)
{
    for (uint32_t i = 0; i < plan->n_chunks; i++) {
        ph_buf_puts(sql, i % ROWS_PER_INSERT == 0
                             ? "INSERT INTO pghaul.chunk (job, tbl, chunk, lot, kind, lo, hi,"
                               " est_bytes) VALUES "
                             : ",");
        put_chunk_row(sql, job, &plan->chunks[i]);
        if ((i + 1) % ROWS_PER_INSERT == 0 || i + 1 == plan->n_chunks)
            PH_TRY(run_sql(conn, sql, err));
    }
    return PH_OK;
}

ph_code
ph_ledger_set_rules(struct ph_conn *conn, const struct ph_ledger_job *job, struct ph_error *err)
{
    const char *params[] = {job->name, job->rules, job->rule_marks};

    return ph_conn_expect(conn, "UPDATE pghaul.job SET rules = $2, rule_marks = $3 WHERE job = $1",
                          3, params, 1, err);
}

ph_code
ph_ledger_note_attribute(struct ph_conn *conn, const char *job, uint32_t table, uint32_t attnum,
                         const char *name, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_printf(&sql, "UPDATE pghaul.tbl SET attributes[%u] = ", attnum);
    put_literal_or_null(&sql, name);
    ph_buf_puts(&sql, " WHERE job = ");
    ph_buf_put_literal(&sql, job);
    ph_buf_printf(&sql, " AND tbl = %u AND attributes[%u] IS DISTINCT FROM ", table, attnum);
    put_literal_or_null(&sql, name);
    ph_code rc = run_sql(conn, &sql, err);
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_ledger_set_columns(struct ph_conn *conn, const char *job, const struct ph_table_plan *table,
                      struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "UPDATE pghaul.tbl SET (source_columns, target_columns, attributes, format,"
                      " format_reason) = (");
    put_columns(&sql, table, SOURCE_NAMES);
    put_columns(&sql, table, TARGET_NAMES);
    put_attributes(&sql, table);
    ph_buf_printf(&sql, ", '%s', ", format_name(table->format));
    ph_buf_put_literal(&sql, table->format_reason != NULL ? table->format_reason : "");
    ph_buf_puts(&sql, ") WHERE job = ");
    ph_buf_put_literal(&sql, job);
    ph_buf_printf(&sql, " AND tbl = %u", table->index);
    ph_code rc = run_sql(conn, &sql, err);
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_ledger_save_plan(struct ph_conn *conn, const struct ph_ledger_job *job,
                    const struct ph_plan *plan, struct ph_error *err)
{
    struct ph_buf sql;

    PH_TRY(ph_ledger_set_rules(conn, job, err));
    ph_buf_init(&sql, SQL_LIMIT);
    ph_code rc = save_tables(conn, job, plan, &sql, err);
    if (rc == PH_OK)
        rc = save_chunks(conn, job->name, plan, &sql, err);
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_ledger_query_tables(struct ph_conn *conn, const char *job, const char *sql, uint32_t first,
                       uint32_t n, struct ph_result **out, struct ph_error *err)
{
    char from[16];
    char to[16];
    const char *params[] = {job, from, to};

    snprintf(from, sizeof from, "%u", first);
    snprintf(to, sizeof to, "%u", first + n - 1);
    return ph_conn_query(conn, sql, 3, params, out, err);
}

static const struct ph_chunk *
chunk_at(const struct ph_plan *plan, uint32_t table, uint32_t number)
{
    if (table >= plan->n_tables || number >= plan->tables[table].n_chunks)
        return NULL;
    return &plan->chunks[plan->tables[table].first_chunk + number];
}

ph_code
ph_ledger_load_chunks(struct ph_conn *conn, const char *job, const struct ph_plan *plan,
                      struct ph_chunk_state *states, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job};
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(conn,
                         "SELECT tbl, chunk, state = 'done', epoch, rows, bytes, seconds,"
                         " quarantined, left_out FROM pghaul.chunk WHERE job = $1",
                         1, params, &r, err));
    for (int i = 0; rc == PH_OK && i < ph_result_rows(r); i++) {
        const struct ph_chunk *chunk =
            chunk_at(plan, ph_result_u32(r, i, 0), ph_result_u32(r, i, 1));
        if (chunk == NULL) {
            rc = PH_FAIL(err, PH_E_LEDGER, "the ledger holds a chunk that the plan does not have");
            break;
        }
        states[chunk - plan->chunks] = (struct ph_chunk_state){
            .done = ph_result_bool(r, i, 2),
            .epoch = ph_result_u32(r, i, 3),
            .rows = (uint64_t)ph_result_i64(r, i, 4),
            .bytes = (uint64_t)ph_result_i64(r, i, 5),
            .seconds = strtod(ph_result_text(r, i, 6), NULL),
            .quarantined = (uint64_t)ph_result_i64(r, i, 7),
            .left_out = (uint64_t)ph_result_i64(r, i, 8),
        };
    }
    ph_result_free(r);
    return rc;
}

/* "rows:hex", as ph_ledger_set_verified wrote it. */
static void
read_digest(const struct ph_result *r, int row, int column, struct ph_digest *out)
{
    unsigned long long rows = 0;
    unsigned long long hi = 0;
    unsigned long long lo = 0;

    if (sscanf(ph_result_text(r, row, column), "%llu:%16llx%16llx", &rows, &hi, &lo) == 3)
        *out = (struct ph_digest){.sum = {.lo = lo, .hi = hi}, .rows = rows};
}

static void
write_digest(const struct ph_digest *digest, char *out, size_t size)
{
    char hex[PH_DIGEST_TEXT_SIZE];

    ph_digest_text(digest, hex);
    snprintf(out, size, "%llu:%s", (unsigned long long)digest->rows, hex);
}

ph_code
ph_ledger_load_tables(struct ph_conn *conn, const char *job, const struct ph_plan *plan,
                      struct ph_table_state *states, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job};

    PH_TRY(ph_conn_query(conn,
                         "SELECT tbl, verified, digest, target_digest, verify_seconds, unlogged"
                         " FROM pghaul.tbl WHERE job = $1",
                         1, params, &r, err));
    for (int i = 0; i < ph_result_rows(r); i++) {
        uint32_t table = ph_result_u32(r, i, 0);
        if (table >= plan->n_tables)
            continue;
        states[table].verified = ph_result_bool(r, i, 1);
        states[table].read_back = ph_result_text(r, i, 2)[0] != '\0';
        read_digest(r, i, 2, &states[table].source_digest);
        read_digest(r, i, 3, &states[table].target_digest);
        states[table].verify_seconds = strtod(ph_result_text(r, i, 4), NULL);
        states[table].unlogged = ph_result_bool(r, i, 5);
    }
    ph_result_free(r);
    return PH_OK;
}

#define CLAIM                                                                                      \
    "SELECT tbl, chunk FROM pghaul.chunk WHERE job = $1 AND lot = $2::int AND state = 'todo'"      \
    " AND EXISTS (SELECT FROM pghaul.alive WHERE job = $1) ORDER BY tbl, chunk FOR UPDATE"

ph_code
ph_ledger_claim_lot(struct ph_conn *conn, const char *job, uint32_t lot, enum ph_claim wait,
                    uint32_t *n, struct ph_error *err)
{
    struct ph_result *r;
    char number[16];

    snprintf(number, sizeof number, "%u", lot);
    const char *params[] = {job, number};
    PH_TRY(ph_conn_query(conn, wait == PH_CLAIM_WAIT ? CLAIM : CLAIM " SKIP LOCKED", 2, params, &r,
                         err));
    *n = (uint32_t)ph_result_rows(r);
    ph_result_free(r);
    return PH_OK;
}

/* As bytea in hex, which every server reads whatever its settings; false: no memory. */
static bool
put_digest(struct ph_buf *out, const struct ph_digest_set *digest)
{
    static const char digits[] = "0123456789abcdef";
    struct ph_buf raw;

    ph_buf_init(&raw, (size_t)64 << 20);
    ph_digest_set_write(digest, &raw);
    ph_buf_puts(out, "\\x");
    bool ok = ph_buf_ok(&raw) && ph_buf_reserve(out, raw.len * 2);
    for (size_t i = 0; ok && i < raw.len; i++) {
        out->data[out->len++] = (uint8_t)digits[raw.data[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[raw.data[i] & 15];
    }
    ph_buf_free(&raw);
    if (ok)
        out->data[out->len] = 0;
    return ok;
}

static ph_code
write_receipt(struct ph_conn *conn, const char *params[8], struct ph_error *err)
{
    return ph_conn_expect(conn,
                          "UPDATE pghaul.chunk SET state = 'done', epoch = $4::int,"
                          " rows = $5::bigint, bytes = $6::bigint, seconds = $7::real,"
                          " digest = $8::bytea WHERE job = $1 AND tbl = $2::int AND"
                          " chunk = $3::int AND state = 'todo' AND EXISTS (SELECT FROM"
                          " pghaul.epoch WHERE job = $1 AND epoch = $4::int AND NOT lost)",
                          8, params, 1, err);
}

ph_code
ph_ledger_receipt(struct ph_conn *conn, const char *job, const struct ph_chunk *chunk,
                  uint32_t epoch, const struct ph_digest_set *digest, double seconds,
                  struct ph_error *err)
{
    struct ph_buf hex;
    char text[6][32];

    ph_buf_init(&hex, (size_t)128 << 20);
    bool ok = put_digest(&hex, digest);
    snprintf(text[0], sizeof text[0], "%u", chunk->table);
    snprintf(text[1], sizeof text[1], "%u", chunk->number);
    snprintf(text[2], sizeof text[2], "%u", epoch);
    snprintf(text[3], sizeof text[3], "%llu", (unsigned long long)digest->rows);
    snprintf(text[4], sizeof text[4], "%llu", (unsigned long long)digest->bytes);
    snprintf(text[5], sizeof text[5], "%.3f", seconds);
    const char *params[] = {job,     text[0], text[1], text[2],
                            text[3], text[4], text[5], ph_buf_text(&hex)};
    PH_FAILPOINT(before_receipt);
    ph_code rc = ok ? write_receipt(conn, params, err) : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&hex);
    return rc;
}

static ph_code
add_receipt(const struct ph_result *r, int row, struct ph_digest_set *set, struct ph_error *err)
{
    struct ph_digest_set one;
    uint8_t *raw;
    size_t len;

    if (!ph_result_bytea(r, row, 0, &raw, &len))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    bool is_set = ph_digest_set_read(&one, (struct ph_span){raw, len});
    free(raw);
    if (!is_set || one.n_buckets != set->n_buckets) {
        ph_digest_set_free(&one);
        return PH_FAIL(err, PH_E_LEDGER, "a receipt in the ledger is damaged");
    }
    ph_digest_set_add(set, &one);
    ph_digest_set_free(&one);
    return PH_OK;
}

/* Receipts of chunks from *next on, a few, since one may take a megabyte; *next: what follows. */
static ph_code
add_some_receipts(struct ph_conn *conn, const char *job, uint32_t table, uint32_t *next,
                  struct ph_digest_set *set, bool *more, struct ph_error *err)
{
    struct ph_result *r;
    char number[16];
    char from[16];
    char limit[16];
    ph_code rc = PH_OK;

    snprintf(number, sizeof number, "%u", table);
    snprintf(from, sizeof from, "%u", *next);
    snprintf(limit, sizeof limit, "%d", RECEIPTS_AT_ONCE);
    const char *params[] = {job, number, from, limit};
    PH_TRY(ph_conn_query(conn,
                         "SELECT digest, chunk FROM pghaul.chunk WHERE job = $1 AND tbl = $2::int"
                         " AND chunk >= $3::int AND state = 'done' ORDER BY chunk"
                         " LIMIT $4::int",
                         4, params, &r, err));
    *more = ph_result_rows(r) == RECEIPTS_AT_ONCE;
    for (int i = 0; rc == PH_OK && i < ph_result_rows(r); i++) {
        rc = add_receipt(r, i, set, err);
        *next = ph_result_u32(r, i, 1) + 1;
    }
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_add_digests(struct ph_conn *conn, const char *job, uint32_t table,
                      struct ph_digest_set *set, struct ph_error *err)
{
    uint32_t next = 0;

    for (bool more = true; more;)
        PH_TRY(add_some_receipts(conn, job, table, &next, set, &more, err));
    return PH_OK;
}

ph_code
ph_ledger_set_verified(struct ph_conn *conn, const char *job, uint32_t table,
                       const struct ph_digest *source, const struct ph_digest *target,
                       double seconds, struct ph_error *err)
{
    char number[16];
    char time[32];
    char source_text[64];
    char target_text[64];

    snprintf(number, sizeof number, "%u", table);
    snprintf(time, sizeof time, "%.3f", seconds);
    write_digest(source, source_text, sizeof source_text);
    write_digest(target, target_text, sizeof target_text);
    const char *params[] = {
        job,         number,      ph_digest_equal(source, target) ? "true" : "false",
        source_text, target_text, time};
    return ph_conn_expect(conn,
                          "UPDATE pghaul.tbl SET verified = $3::bool, digest = $4,"
                          " target_digest = $5, verify_seconds = $6::real"
                          " WHERE job = $1 AND tbl = $2::int",
                          6, params, 1, err);
}

ph_code
ph_ledger_lock_table(struct ph_conn *conn, const char *job, uint32_t table, struct ph_error *err)
{
    char number[16];

    snprintf(number, sizeof number, "%u", table);
    const char *params[] = {job, number};
    return ph_conn_run(conn, "SELECT FROM pghaul.chunk WHERE job = $1 AND tbl = $2::int FOR UPDATE",
                       2, params, err);
}

static const char *const reset_statements[] = {
    "UPDATE pghaul.chunk SET state = 'todo', epoch = NULL, rows = 0, bytes = 0, digest = NULL,"
    " quarantined = 0, left_out = 0 WHERE job = $1 AND tbl = $2::int",
    "UPDATE pghaul.tbl SET verified = false, digest = '', target_digest = '', frozen = false"
    " WHERE job = $1 AND tbl = $2::int",
    "DELETE FROM pghaul.quarantine WHERE job = $1 AND tbl = $2::int",
    "DELETE FROM pghaul.orphan WHERE job = $1 AND tbl = $2::int",
};

ph_code
ph_ledger_reset_table(struct ph_conn *conn, const char *job, uint32_t table, struct ph_error *err)
{
    char number[16];

    snprintf(number, sizeof number, "%u", table);
    const char *params[] = {job, number};
    for (size_t i = 0; i < sizeof reset_statements / sizeof *reset_statements; i++)
        PH_TRY(ph_conn_run(conn, reset_statements[i], 2, params, err));
    return PH_OK;
}

/* By way of negative numbers, since each is unique at any moment. */
static const char *const forget_statements[] = {
    "DELETE FROM pghaul.chunk WHERE job = $1 AND tbl = $2::int",
    "DELETE FROM pghaul.tbl WHERE job = $1 AND tbl = $2::int",
    "DELETE FROM pghaul.quarantine WHERE job = $1 AND tbl = $2::int",
    "UPDATE pghaul.quarantine SET tbl = tbl - 1 WHERE job = $1 AND tbl > $2::int",
    "DELETE FROM pghaul.orphan WHERE job = $1 AND tbl = $2::int",
    "UPDATE pghaul.orphan SET tbl = -tbl WHERE job = $1 AND tbl > $2::int",
    "UPDATE pghaul.orphan SET tbl = -tbl - 1 WHERE job = $1 AND tbl < 0 AND $2::int >= 0",
    "UPDATE pghaul.chunk SET tbl = -tbl WHERE job = $1 AND tbl > $2::int",
    "UPDATE pghaul.chunk SET tbl = -tbl - 1 WHERE job = $1 AND tbl < 0 AND $2::int >= 0",
    "UPDATE pghaul.tbl SET tbl = -tbl WHERE job = $1 AND tbl > $2::int",
    "UPDATE pghaul.tbl SET tbl = -tbl - 1 WHERE job = $1 AND tbl < 0 AND $2::int >= 0",
    "DELETE FROM pghaul.team WHERE job = $1 AND tbl = $2::int",
    "UPDATE pghaul.team SET tbl = -tbl WHERE job = $1 AND tbl > $2::int",
    "UPDATE pghaul.team SET tbl = -tbl - 1 WHERE job = $1 AND tbl < 0 AND $2::int >= 0",
    "UPDATE pghaul.job SET comes_again = comes_again OR $3::bool WHERE job = $1 AND $2::int >= 0",
};

static ph_code
forget_table(struct ph_conn *conn, const char *const params[3], struct ph_error *err)
{
    size_t n = sizeof forget_statements / sizeof *forget_statements;

    for (size_t i = 0; i < n; i++) {
        PH_TRY(ph_conn_run(conn, forget_statements[i], i + 1 < n ? 2 : 3, params, err));
    }
    return ph_conn_exec(conn, "COMMIT", err);
}

ph_code
ph_ledger_forget_table(struct ph_conn *conn, struct ph_ledger_job *job, uint32_t table,
                       enum ph_table_left left, struct ph_error *err)
{
    bool comes_again = left == PH_TABLE_COMES_AGAIN;
    char number[16];

    snprintf(number, sizeof number, "%u", table);
    const char *params[] = {job->name, number, comes_again ? "t" : "f"};
    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = forget_table(conn, params, err);
    if (rc != PH_OK)
        (void)ph_conn_leave_transaction(conn, NULL);
    job->comes_again |= comes_again;
    return rc;
}
