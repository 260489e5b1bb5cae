/*
 * What the ledger notes of a table after its plan: columns that came later, and its file.
 */
#include <stdio.h>
#include <string.h>

#include "pg/ledger.h"

#define SQL_LIMIT ((size_t)256 << 20)

/* late_fill: as it is named, a constant behind its '='. */
static const char *const fill_names[] = {"none", "=", "unknown"};

ph_code
ph_ledger_note_late(struct ph_conn *conn, const char *job, uint32_t table,
                    const struct ph_column *column, const struct ph_late *late,
                    struct ph_error *err)
{
    char until[PH_LSN_TEXT];
    struct ph_buf fill;
    struct ph_buf sql;

    ph_buf_init(&fill, SQL_LIMIT);
    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_printf(&fill, "%s%s", fill_names[late->fill],
                  late->fill == PH_FILL_CONSTANT ? late->constant : "");
    ph_buf_printf(&sql, "UPDATE pghaul.tbl SET attributes[%u] = ", (unsigned)column->attnum);
    ph_buf_put_literal(&sql, column->name);
    ph_buf_printf(&sql, ", late_fill[%u] = ", (unsigned)column->attnum);
    ph_buf_put_literal(&sql, ph_buf_text(&fill));
    ph_buf_printf(&sql, ", late_until[%u] = '%s' WHERE job = ", (unsigned)column->attnum,
                  ph_lsn_print(late->until, until));
    ph_buf_put_literal(&sql, job);
    ph_buf_printf(&sql, " AND tbl = %u", table);
    ph_code rc = ph_buf_ok(&fill) && ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), err)
                                                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&fill);
    ph_buf_free(&sql);
    return rc;
}

struct ph_late
ph_ledger_parse_late(const char *fill, const char *until)
{
    struct ph_late late = {.is_taken = true};

    if (fill[0] == '=')
        late = (struct ph_late){.is_taken = true, .fill = PH_FILL_CONSTANT, .constant = fill + 1};
    else if (strcmp(fill, fill_names[PH_FILL_UNKNOWN]) == 0)
        late.fill = PH_FILL_UNKNOWN;
    if (!ph_lsn_parse(until, &late.until))
        late.until = 0;
    return late;
}

ph_code
ph_ledger_note_filenode(struct ph_conn *conn, const char *job, uint32_t table, uint32_t filenode,
                        struct ph_error *err)
{
    char number[16];
    char file[16];
    const char *params[] = {job, number, file};

    snprintf(number, sizeof number, "%u", table);
    snprintf(file, sizeof file, "%u", filenode);
    return ph_conn_expect(
        conn, "UPDATE pghaul.tbl SET filenode = $3::bigint WHERE job = $1 AND tbl = $2::int", 3,
        params, 1, err);
}
