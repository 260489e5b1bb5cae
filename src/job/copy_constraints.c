/*
 * Constants of rules against what the target allows: its CHECK constraints of one column, and the
 * domains that its columns are of. The server is asked, value by value, so that a copy does not end
 * in the middle for a word in the job file. Constraints of several columns are left to the rows.
 */
#include <stdio.h>

#include "job/copy_parts.h"
#include "rules/ruleset.h"

#define SQL_LIMIT ((size_t)16 << 20)
#define SHOWN 200

struct constraints { /* of one table of the target */
    struct ph_job *job;
    const struct ph_table_plan *table;
    struct ph_findings *findings;
    struct ph_result *checks; /* attribute number, name, expression */
};

static ph_code
read_checks(struct constraints *c, struct ph_error *err)
{
    /* before 18 all are enforced */
    static const char sql[] =
        "SELECT c.conkey[1], c.conname, pg_catalog.pg_get_expr(c.conbin, c.conrelid)"
        " FROM pg_catalog.pg_constraint c WHERE c.conrelid = $1::oid AND c.contype = 'c'"
        " AND pg_catalog.cardinality(c.conkey) = 1"
        " AND coalesce(pg_catalog.to_jsonb(c)->>'conenforced', 'true') = 'true' ORDER BY c.conname";
    char oid[16];

    snprintf(oid, sizeof oid, "%u", c->table->target->oid);
    const char *params[] = {oid};
    return ph_conn_query(c->job->target_control, sql, 1, params, &c->checks, err);
}

/* ---- a value ---- */

static void
tell(struct constraints *c, uint32_t output, const char *value, const char *why)
{
    const struct ph_route *route = c->table->route;
    bool is_certain =
        ph_ruleset_output_values(c->job->rules.set, route, output) == PH_VALUES_CERTAIN;
    struct ph_finding_params params = {is_certain ? PH_FINDING_ERROR : PH_FINDING_WARNING,
                                       PH_E_NOT_READY, "constraint", c->table->route_name,
                                       "give another value, or change the target's constraint"};

    ph_finding_add(c->findings, &params,
                   "the rule of %s gives %.*s, which %s.%s does not allow: "
                   "%s%s",
                   route->outputs[output].target->name, SHOWN, value, route->target->schema,
                   route->target->name, why,
                   is_certain ? "" : "; a row that becomes it ends the copy");
}

/* What the server says against a value is a finding, and its transaction is over. */
static ph_code
as_finding(struct constraints *c, uint32_t output, const char *value, ph_code rc,
           struct ph_error *err)
{
    if (rc != PH_E_SQL && rc != PH_E_DATA && rc != PH_E_CONSTRAINT && rc != PH_E_TYPES)
        return rc;
    tell(c, output, value, err->message);
    ph_error_reset(err);
    PH_TRY(ph_conn_leave_transaction(c->job->target_control, err));
    return ph_conn_exec(c->job->target_control, "BEGIN READ ONLY", err);
}

static ph_code
try_check(struct constraints *c, uint32_t output, const struct ph_value *value, int check,
          struct ph_error *err)
{
    char why[300];
    char text[SHOWN + 1];
    struct ph_result *r = NULL;
    struct ph_buf allowed;

    ph_buf_init(&allowed, SQL_LIMIT);
    ph_buf_printf(&allowed, "(%s) IS NOT FALSE",
                  check < 0 ? "true" : ph_result_text(c->checks, check, 2));
    ph_code rc = ph_buf_ok(&allowed) ? ph_copy_ask_value(c->job->target_control,
                                                         c->table->route->outputs[output].target,
                                                         value, ph_buf_text(&allowed), &r, err)
                                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&allowed);

    if (rc != PH_OK)
        return as_finding(c, output, value->len < 0 ? "NULL" : "a value", rc, err);
    struct ph_span shown = ph_result_span(r, 0, 1);
    snprintf(text, sizeof text, "%.*s", shown.len > SHOWN ? SHOWN : (int)shown.len,
             (const char *)shown.data);
    if (ph_result_span(r, 0, 0).data[0] == 0) {
        snprintf(why, sizeof why, "constraint %s", ph_result_text(c->checks, check, 1));
        tell(c, output, text, why);
    }
    ph_result_free(r);
    return PH_OK;
}

/* ---- a column ---- */

static bool
is_domain(const struct constraints *c, const struct ph_column *column)
{
    const struct ph_type *type = ph_catalog_type(&c->job->target_catalog, column->type_oid);

    return type != NULL && type->kind == 'd';
}

static ph_code
try_value(struct constraints *c, uint32_t output, const struct ph_value *value,
          struct ph_error *err)
{
    const struct ph_column *column = c->table->route->outputs[output].target;

    if (is_domain(c, column))
        PH_TRY(try_check(c, output, value, -1, err));
    for (int i = 0; i < ph_result_rows(c->checks); i++) {
        if (ph_result_i64(c->checks, i, 0) == column->attnum)
            PH_TRY(try_check(c, output, value, i, err));
    }
    return PH_OK;
}

static ph_code
try_all(struct constraints *c, struct ph_error *err)
{
    const struct ph_route *route = c->table->route;
    struct ph_value value;

    for (uint32_t output = 0; output < route->n_outputs; output++) {
        for (uint32_t i = 0; ph_ruleset_output_value(c->job->rules.set, route, output, i, &value);
             i++)
            PH_TRY(try_value(c, output, &value, err));
    }
    return PH_OK;
}

static ph_code
check_table(struct constraints *c, struct ph_error *err)
{
    PH_TRY(read_checks(c, err));
    ph_code rc = ph_conn_exec(c->job->target_control, "BEGIN READ ONLY", err);
    if (rc == PH_OK) {
        rc = try_all(c, err);
        (void)ph_conn_exec(c->job->target_control, "ROLLBACK", NULL);
    }
    ph_result_free(c->checks);
    return rc;
}

ph_code
ph_copy_check_constraints(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        struct constraints c = {.job = job, .table = &job->plan.tables[i], .findings = findings};
        if (c.table->route != NULL && c.table->route->has_program &&
            !ph_copy_is_said(&job->plan, i))
            PH_TRY(check_table(&c, err));
    }
    return PH_OK;
}
