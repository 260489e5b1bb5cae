/*
 * What a prepared statement's plan reads. The server's own account in JSON is walked; nothing is
 * run.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "pg/conn_internal.h"

#define SQL_BYTES ((size_t)1 << 20)

static const char *
text_of(json_t *node, const char *key)
{
    const char *text = json_string_value(json_object_get(node, key));

    return text != NULL ? text : "";
}

/* The first node that reads a table from end to end, from this one downwards; borrowed. */
static json_t *
find_scan(json_t *node)
{
    json_t *plan;
    size_t i;

    if (strcmp(text_of(node, "Node Type"), "Seq Scan") == 0)
        return node;
    json_array_foreach(json_object_get(node, "Plans"), i, plan)
    {
        json_t *found = find_scan(plan);
        if (found != NULL)
            return found;
    }
    return NULL;
}

static ph_code
read_plan(const char *text, bool *scans, char *table, size_t table_size, struct ph_error *err)
{
    json_t *root = json_loads(text, 0, NULL);
    json_t *plan = json_object_get(json_array_get(root, 0), "Plan");

    if (plan == NULL) {
        json_decref(root);
        return PH_FAIL(err, PH_E_PROTOCOL, "the plan of a statement cannot be read");
    }
    json_t *scan = find_scan(plan);
    *scans = scan != NULL;
    if (scan != NULL)
        snprintf(table, table_size, "%s.%s", text_of(scan, "Schema"),
                 text_of(scan, "Relation Name"));
    json_decref(root);
    return PH_OK;
}

ph_code
ph_pipeline_explain(struct ph_pipeline *pipeline, const struct ph_statement *statement, bool *scans,
                    char *table, size_t table_size, struct ph_error *err)
{
    struct ph_buf sql;
    struct ph_result *result = NULL;
    uint32_t number;

    *scans = false;
    table[0] = '\0';
    PH_TRY(ph_pipeline_prepare(pipeline, statement, &number, err));
    ph_buf_init(&sql, SQL_BYTES);
    ph_buf_printf(&sql, "EXPLAIN (FORMAT json, VERBOSE, COSTS off) EXECUTE ph_%u", number);
    for (uint32_t i = 0; i < statement->n_params; i++)
        ph_buf_puts(&sql, i == 0 ? "(NULL" : ", NULL");
    ph_buf_puts(&sql, statement->n_params > 0 ? ")" : "");
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_query(ph_pipeline_conn(pipeline), ph_buf_text(&sql), 0,
                                                 NULL, &result, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "statement too long");
    if (rc == PH_OK)
        rc = read_plan(ph_result_text(result, 0, 0), scans, table, table_size, err);
    ph_result_free(result);
    ph_buf_free(&sql);
    return rc;
}
