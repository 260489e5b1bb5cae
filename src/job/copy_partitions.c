/*
 * Rules that feed the partition key of the target: a value without a partition would end the copy
 * in the middle. Constants and the values of maps are tried on the bounds of the partitions, by the
 * server; of what else rules make it is only said that nothing is known. Looked at is the topmost
 * level: below it, and of keys of several columns or of expressions, a value alone says nothing.
 */
#include <stdio.h>

#include "job/copy_parts.h"
#include "rules/ruleset.h"

#define SQL_LIMIT ((size_t)16 << 20)
#define SHOWN 200

struct partitions { /* of one table of the target */
    struct ph_job *job;
    const struct ph_table_plan *table;
    struct ph_findings *findings;
    struct ph_result *bounds; /* each partition's condition */
    bool is_of_one_column;
};

/* ---- the partition key ---- */

/* Rows: attribute number (0: an expression), whether there is a default partition. */
static ph_code
read_key(struct partitions *p, struct ph_result **out, struct ph_error *err)
{
    static const char sql[] =
        "SELECT a, t.partdefid <> 0 FROM pg_catalog.pg_partitioned_table t,"
        " pg_catalog.unnest(t.partattrs::pg_catalog.int2[]) a WHERE t.partrelid = $1::oid";
    char oid[16];

    snprintf(oid, sizeof oid, "%u", p->table->target->oid);
    const char *params[] = {oid};
    return ph_conn_query(p->job->target_control, sql, 1, params, out, err);
}

static ph_code
read_bounds(struct partitions *p, struct ph_error *err)
{
    static const char sql[] = "SELECT pg_catalog.pg_get_partition_constraintdef(inhrelid) FROM"
                              " pg_catalog.pg_inherits WHERE inhparent = $1::oid";
    char oid[16];

    snprintf(oid, sizeof oid, "%u", p->table->target->oid);
    const char *params[] = {oid};
    return ph_conn_query(p->job->target_control, sql, 1, params, &p->bounds, err);
}

/* ---- a value ---- */

/* Whether it has a partition, and its text. */
static ph_code
ask(struct partitions *p, const struct ph_column *column, const struct ph_value *value,
    struct ph_result **out, struct ph_error *err)
{
    struct ph_buf bounds;

    ph_buf_init(&bounds, SQL_LIMIT);
    ph_buf_puts(&bounds, "false");
    for (int i = 0; i < ph_result_rows(p->bounds); i++)
        ph_buf_printf(&bounds, " OR COALESCE(%s, false)", ph_result_text(p->bounds, i, 0));
    ph_code rc = ph_buf_ok(&bounds) ? ph_copy_ask_value(p->job->target_control, column, value,
                                                        ph_buf_text(&bounds), out, err)
                                    : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&bounds);
    return rc;
}

static ph_code
try_value(struct partitions *p, uint32_t output, const struct ph_value *value, struct ph_error *err)
{
    const struct ph_route *route = p->table->route;
    const struct ph_column *column = route->outputs[output].target;
    bool is_certain =
        ph_ruleset_output_values(p->job->rules.set, route, output) == PH_VALUES_CERTAIN;
    struct ph_finding_params params = {is_certain ? PH_FINDING_ERROR : PH_FINDING_WARNING,
                                       PH_E_NOT_READY, "partition", p->table->route_name,
                                       "make a partition for it, or a default one"};
    struct ph_result *r;

    PH_TRY(ask(p, column, value, &r, err));
    struct ph_span text = ph_result_span(r, 0, 1);
    if (ph_result_span(r, 0, 0).data[0] == 0)
        ph_finding_add(p->findings, &params,
                       "the rule of %s gives %.*s, for which %s.%s has no partition%s",
                       column->name, text.len > SHOWN ? SHOWN : (int)text.len,
                       (const char *)text.data, route->target->schema, route->target->name,
                       is_certain ? "" : ": a row that becomes it ends the copy");
    ph_result_free(r);
    return PH_OK;
}

/* ---- a column ---- */

static ph_code
try_all(struct partitions *p, uint32_t output, struct ph_error *err)
{
    struct ph_value value;

    for (uint32_t i = 0;
         ph_ruleset_output_value(p->job->rules.set, p->table->route, output, i, &value); i++)
        PH_TRY(try_value(p, output, &value, err));
    return PH_OK;
}

static ph_code
check_column(struct partitions *p, uint32_t output, struct ph_error *err)
{
    const struct ph_route *route = p->table->route;
    struct ph_finding_params params = {PH_FINDING_WARNING, PH_E_NOT_READY, "partition",
                                       p->table->route_name, "make a default partition"};

    switch (ph_ruleset_output_values(p->job->rules.set, route, output)) {
    case PH_VALUES_PASSED: /* as without rules: the source's values are not read for it */
        return PH_OK;
    case PH_VALUES_CERTAIN:
    case PH_VALUES_MAPPED:
        if (p->is_of_one_column)
            return try_all(p, output, err);
        break;
    case PH_VALUES_MADE:
        break;
    }
    ph_finding_add(
        p->findings, &params,
        "column %s is part of the partition key of %s.%s, and a rule makes it: a row for "
        "which there is no partition ends the copy",
        route->outputs[output].target->name, route->target->schema, route->target->name);
    return PH_OK;
}

static ph_code
check_key(struct partitions *p, const struct ph_result *key, struct ph_error *err)
{
    const struct ph_route *route = p->table->route;

    p->is_of_one_column = ph_result_rows(key) == 1;
    for (int k = 0; k < ph_result_rows(key); k++) {
        int64_t attnum = ph_result_i64(key, k, 0);
        for (uint32_t i = 0; i < route->n_outputs; i++) {
            if (route->outputs[i].target->attnum == attnum)
                PH_TRY(check_column(p, i, err));
        }
    }
    return PH_OK;
}

static ph_code
check_table(struct partitions *p, struct ph_error *err)
{
    struct ph_result *key;

    PH_TRY(read_key(p, &key, err));
    bool has_default = ph_result_rows(key) > 0 && ph_result_bool(key, 0, 1);
    ph_code rc = has_default ? PH_OK : read_bounds(p, err);
    if (rc == PH_OK && !has_default) {
        rc = check_key(p, key, err);
        ph_result_free(p->bounds);
    }
    ph_result_free(key);
    return rc;
}

ph_code
ph_copy_check_partitions(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        struct partitions p = {.job = job, .table = &job->plan.tables[i], .findings = findings};
        if (p.table->route != NULL && p.table->target->kind == PH_REL_PARTITIONED &&
            !ph_copy_is_said(&job->plan, i))
            PH_TRY(check_table(&p, err));
    }
    return PH_OK;
}
