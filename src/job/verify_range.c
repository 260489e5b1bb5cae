#include "job/verify_range.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/row_scan.h"
#include "job/planner.h"
#include "pg/catalog.h"

/* Below it a range of keys has its rows all over the heap: every range would read most of it. */
#define LEAST_CORRELATION 0.5

static const struct ph_plan_column *
key_column(const struct ph_verify_group *group)
{
    const struct ph_table_plan *table = group->tables[0];

    return &table->columns[table->key_fields[0]];
}

static bool
have_one_type(const struct ph_verify *verify, const struct ph_plan_column *column)
{
    const struct ph_type *a =
        ph_catalog_type(&verify->catalogs[PH_SOURCE], column->source->type_oid);
    const struct ph_type *b =
        ph_catalog_type(&verify->catalogs[PH_TARGET], column->target->type_oid);

    return a != NULL && b != NULL && strcmp(a->name, b->name) == 0 &&
           strcmp(a->schema, b->schema) == 0;
}

ph_code
ph_verify_has_ranges(struct ph_verify *verify, const struct ph_verify_group *group,
                     struct ph_conn *source, bool *has, struct ph_error *err)
{
    const struct ph_table_plan *table = group->tables[0];

    *has = false;
    if (group->n_tables != 1 || table->where[PH_SOURCE] != NULL ||
        table->where[PH_TARGET] != NULL || table->route != NULL || table->n_key_fields == 0)
        return PH_OK;
    const struct ph_plan_column *column = key_column(group);
    if (!have_one_type(verify, column) || !column->source->not_null || !column->target->not_null ||
        !ph_planner_is_range_column(&verify->catalogs[PH_SOURCE], table->source, column->source) ||
        !ph_planner_is_range_column(&verify->catalogs[PH_TARGET], table->target, column->target))
        return PH_OK;
    /* without statistics it is taken for ordered: most keys are given out in order */
    double correlation = 1;
    PH_TRY(ph_catalog_read_correlation(source, table->source, column->source, &correlation, err));
    *has = correlation >= LEAST_CORRELATION;
    return PH_OK;
}

ph_code
ph_verify_next_bound(struct ph_verify *verify, const struct ph_verify_group *group,
                     struct ph_conn *source, const char *lo, uint64_t rows, const char **hi,
                     struct ph_error *err)
{
    const char *name = key_column(group)->source_name;
    struct ph_result *r = NULL;
    struct ph_buf sql;

    *hi = NULL;
    ph_buf_init(&sql, (size_t)1 << 20);
    ph_buf_puts(&sql, "SELECT ");
    ph_buf_put_ident(&sql, name);
    ph_buf_puts(&sql, " FROM ");
    ph_row_scan_put_from(group->tables[0], PH_SOURCE, &sql);
    if (lo != NULL) {
        ph_buf_puts(&sql, " WHERE ");
        ph_buf_put_ident(&sql, name);
        ph_buf_puts(&sql, " > ");
        ph_buf_put_literal(&sql, lo);
    }
    ph_buf_puts(&sql, " ORDER BY ");
    ph_buf_put_ident(&sql, name);
    ph_buf_printf(&sql, " OFFSET %" PRIu64 " LIMIT 1", rows);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_query(source, ph_buf_text(&sql), 0, NULL, &r, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK && ph_result_rows(r) == 1) {
        *hi = ph_arena_strdup(&verify->arena, ph_result_text(r, 0, 0));
        rc = *hi != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    ph_result_free(r);
    ph_buf_free(&sql);
    return rc;
}
