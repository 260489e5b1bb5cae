#include "pg/ledger_quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_PER_INSERT 500u
#define SQL_LIMIT ((size_t)64 << 20)

#define INSERT_SQL                                                                                 \
    "INSERT INTO pghaul.quarantine (job, tbl, chunk, route, row_key, column_name, reason) VALUES "

void
ph_ledger_put_quarantined(struct ph_buf *sql, const char *job, const struct ph_quarantined_row *row)
{
    const char *const texts[] = {row->table->route_name, row->key, row->column, row->reason};

    ph_buf_puts(sql, sql->len == 0 ? INSERT_SQL "(" : ",(");
    ph_buf_put_literal(sql, job);
    ph_buf_printf(sql, ",%u,NULL", row->table->index);
    for (int i = 0; i < 4; i++) {
        ph_buf_putc(sql, ',');
        ph_buf_put_literal(sql, texts[i]);
    }
    ph_buf_putc(sql, ')');
}

/* The next of the texts; the last byte of `rows` is a 0. */
static const char *
next_text(const struct ph_buf *rows, size_t *at)
{
    const char *text = (const char *)rows->data + *at;

    *at += strlen(text) + 1;
    return text;
}

static void
put_row(struct ph_buf *sql, const char *job, const struct ph_table_plan *table,
        const struct ph_chunk *chunk, const struct ph_buf *rows, size_t *at)
{
    ph_buf_putc(sql, '(');
    ph_buf_put_literal(sql, job);
    ph_buf_printf(sql, ",%u,%u,", table->index, chunk->number);
    ph_buf_put_literal(sql, table->route_name);
    for (int i = 0; i < 3; i++) {
        ph_buf_putc(sql, ',');
        ph_buf_put_literal(sql, next_text(rows, at));
    }
    ph_buf_putc(sql, ')');
}

static ph_code
insert(struct ph_conn *conn, struct ph_buf *sql, struct ph_error *err)
{
    ph_code rc = ph_buf_ok(sql) ? ph_conn_exec(conn, ph_buf_text(sql), err)
                                : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_clear(sql);
    return rc;
}

static ph_code
count_in_chunk(struct ph_conn *conn, const char *job, const struct ph_chunk *chunk, uint64_t n,
               struct ph_error *err)
{
    char table[16];
    char number[16];
    char rows[24];

    snprintf(table, sizeof table, "%u", chunk->table);
    snprintf(number, sizeof number, "%u", chunk->number);
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)n);
    const char *params[] = {job, table, number, rows};
    return ph_conn_expect(conn,
                          "UPDATE pghaul.chunk SET quarantined = $4::bigint WHERE job = $1 AND"
                          " tbl = $2::int AND chunk = $3::int",
                          4, params, 1, err);
}

ph_code
ph_ledger_quarantine(struct ph_conn *conn, const char *job, const struct ph_table_plan *table,
                     const struct ph_chunk *chunk, const struct ph_buf *rows, uint64_t n,
                     struct ph_error *err)
{
    struct ph_buf sql;
    ph_code rc = PH_OK;
    size_t at = 0;

    if (n == 0)
        return PH_OK;
    ph_buf_init(&sql, SQL_LIMIT);
    for (uint64_t i = 0; rc == PH_OK && i < n; i++) {
        ph_buf_puts(&sql, i % ROWS_PER_INSERT == 0 ? INSERT_SQL : ",");
        put_row(&sql, job, table, chunk, rows, &at);
        if ((i + 1) % ROWS_PER_INSERT == 0 || i + 1 == n)
            rc = insert(conn, &sql, err);
    }
    ph_buf_free(&sql);
    return rc == PH_OK ? count_in_chunk(conn, job, chunk, n, err) : rc;
}

ph_code
ph_ledger_quarantined(struct ph_conn *conn, const char *job, uint64_t *n, struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {job};

    PH_TRY(ph_conn_query(conn, "SELECT count(*) FROM pghaul.quarantine WHERE job = $1", 1, params,
                         &r, err));
    *n = (uint64_t)ph_result_i64(r, 0, 0);
    ph_result_free(r);
    return PH_OK;
}
