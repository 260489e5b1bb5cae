#include "pg/ledger_lookup.h"

#include <inttypes.h>
#include <stdio.h>

ph_code
ph_ledger_load_lookups(struct ph_conn *conn, const char *job, uint32_t epoch,
                       struct ph_arena *arena, const char **of_epoch, const char **last,
                       struct ph_error *err)
{
    struct ph_result *r;
    char number[16];

    snprintf(number, sizeof number, "%u", epoch);
    const char *params[] = {job, number};
    PH_TRY(ph_conn_query(conn,
                         "SELECT (SELECT lookups FROM pghaul.epoch WHERE job = $1 AND"
                         " epoch = $2::int), (SELECT lookups FROM pghaul.epoch WHERE job = $1 AND"
                         " lookups <> '' ORDER BY epoch DESC LIMIT 1)",
                         2, params, &r, err));
    *of_epoch = ph_arena_strdup(arena, ph_result_text(r, 0, 0));
    *last = ph_arena_strdup(arena, ph_result_text(r, 0, 1));
    ph_result_free(r);
    return *of_epoch != NULL && *last != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

ph_code
ph_ledger_save_lookups(struct ph_conn *conn, const char *job, uint32_t epoch, const char *digest,
                       struct ph_error *err)
{
    char number[16];

    snprintf(number, sizeof number, "%u", epoch);
    const char *params[] = {job, number, digest};
    return ph_conn_expect(conn,
                          "UPDATE pghaul.epoch SET lookups = $3 WHERE job = $1 AND epoch = $2::int",
                          3, params, 1, err);
}

void
ph_ledger_put_orphan(struct ph_buf *sql, const char *job, const struct ph_ledger_orphan *orphan)
{
    const char *const texts[] = {orphan->column, orphan->lookup, orphan->value};

    ph_buf_puts(sql, sql->len == 0 ? "INSERT INTO pghaul.orphan (job, tbl, chunk, column_name,"
                                     " lookup, value, rows) VALUES ("
                                   : ",(");
    ph_buf_put_literal(sql, job);
    ph_buf_printf(sql, ",%" PRIu32 ",%" PRId32, orphan->table, orphan->place);
    for (int i = 0; i < 3; i++) {
        ph_buf_putc(sql, ',');
        ph_buf_put_literal(sql, texts[i]);
    }
    ph_buf_printf(sql, ",%" PRIu64 ")", orphan->rows);
}

void
ph_ledger_put_orphans_add(struct ph_buf *sql)
{
    ph_buf_puts(sql, " ON CONFLICT ON CONSTRAINT orphan_pkey DO UPDATE"
                     " SET rows = orphan.rows + excluded.rows");
}

ph_code
ph_ledger_load_orphans(struct ph_conn *conn, const char *job, enum ph_orphans_told_of of,
                       struct ph_arena *arena, struct ph_ledger_orphans_told **out, uint32_t *n,
                       struct ph_error *err)
{
    const char *params[] = {job, of == PH_ORPHANS_OF_STREAM ? "t" : "f"};
    struct ph_result *r;
    bool complete = true;

    PH_TRY(ph_conn_query(
        conn,
        "SELECT o.tbl, o.column_name, o.lookup, sum(o.rows)::bigint, (SELECT string_agg(v.value ||"
        " ' ' || v.n || CASE v.n WHEN 1 THEN ' time' ELSE ' times' END, ', ' ORDER BY v.n DESC,"
        " v.value COLLATE \"C\") FROM (SELECT CASE i.value WHEN '' THEN 'others' ELSE i.value END"
        " AS value, sum(i.rows) AS n FROM pghaul.orphan i WHERE i.job = $1 AND i.tbl = o.tbl AND"
        " i.column_name = o.column_name AND (i.chunk < 0) = $2::bool GROUP BY 1 ORDER BY 2 DESC, 1"
        " LIMIT 20) v) FROM pghaul.orphan o WHERE o.job = $1 AND (o.chunk < 0) = $2::bool"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        2, params, &r, err));
    *n = (uint32_t)ph_result_rows(r);
    *out = PH_ARENA_ARRAY(arena, struct ph_ledger_orphans_told, (size_t)*n + 1);
    for (uint32_t i = 0; *out != NULL && i < *n; i++) {
        struct ph_ledger_orphans_told *told = &(*out)[i];
        told->table = ph_result_u32(r, (int)i, 0);
        told->column = ph_arena_strdup(arena, ph_result_text(r, (int)i, 1));
        told->lookup = ph_arena_strdup(arena, ph_result_text(r, (int)i, 2));
        told->rows = (uint64_t)ph_result_i64(r, (int)i, 3);
        told->values = ph_arena_strdup(arena, ph_result_text(r, (int)i, 4));
        complete &= told->column != NULL && told->lookup != NULL && told->values != NULL;
    }
    ph_result_free(r);
    return *out != NULL && complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}
