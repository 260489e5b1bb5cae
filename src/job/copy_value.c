/* What the checks of the values that rules make have in common. */
#include "job/copy_parts.h"

#define SQL_LIMIT ((size_t)16 << 20)

bool
ph_copy_is_said(const struct ph_plan *plan, uint32_t index)
{
    const struct ph_table_plan *table = &plan->tables[index];

    for (uint32_t i = 0; i < index; i++) {
        const struct ph_table_plan *other = &plan->tables[i];
        if (other->route != NULL && other->target == table->target &&
            other->route->rule == table->route->rule)
            return true;
    }
    return false;
}

ph_code
ph_copy_ask_value(struct ph_conn *target, const struct ph_column *column,
                  const struct ph_value *value, const char *condition, struct ph_result **out,
                  struct ph_error *err)
{
    struct ph_span param = {value->len < 0 ? NULL : value->data,
                            value->len < 0 ? 0 : (size_t)value->len};
    struct ph_buf sql;

    if (value->len == 0)
        param.data = (const uint8_t *)"";
    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_printf(&sql, "SELECT %s, COALESCE(", condition);
    ph_buf_put_ident(&sql, column->name);
    ph_buf_puts(&sql, "::pg_catalog.text, 'NULL') FROM (SELECT $1 AS ");
    ph_buf_put_ident(&sql, column->name);
    ph_buf_puts(&sql, ") v");
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_query_binary(target, ph_buf_text(&sql), 1,
                                                        &column->type_oid, &param, out, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}
