#include "job/rule_checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "rules/hidden.h"

#define SQL_LIMIT ((size_t)1 << 20)
#define LISTED 20            /* values named one by one */
#define COMBINATIONS 1000    /* of a matrix */
#define ASKED_AT_ONCE "5000" /* values looked up with one statement in another database */
#define FIRST_USER_OID 16384u

struct checking {
    const struct ph_rule_checks_params *params;
    const struct ph_rule_check *check;
    struct ph_conn *conn; /* of the side that it is asked of */
    char label[200];
    uint32_t *n_failed;
    struct ph_error *err;
};

/* ---- telling ---- */

bool
ph_rule_check_is_of_end(const struct ph_rule_check *check)
{
    return !check->on_source && check->kind != PH_CHECK_SAME_COUNT;
}

/* A failure counts where it is final. */
static bool
is_failure(const struct checking *checking)
{
    return checking->check->is_failure && (checking->params->when != PH_CHECKS_BEFORE_STREAM ||
                                           !ph_rule_check_is_of_end(checking->check));
}

static void
tell(struct checking *checking, bool is_bad, const char *text)
{
    const struct ph_rule_checks_params *params = checking->params;
    enum ph_severity severity = !is_bad                ? PH_FINDING_NOTE
                                : is_failure(checking) ? PH_FINDING_ERROR
                                                       : PH_FINDING_WARNING;
    const struct ph_finding_params finding = {
        severity, is_bad ? PH_E_NOT_READY : PH_OK, "check", checking->label,
        is_bad ? "mend the source's rows, or take `fail: true` off the check" : ""};

    *checking->n_failed += severity == PH_FINDING_ERROR;
    if (params->report != NULL)
        ph_report_add_finding(params->report, severity, "check", checking->label, "%s", text);
    else
        ph_finding_add(params->findings, &finding, "%s", text);
}

/* What the source has may be what rules mask; what the target has is what they made of it. */
static bool
hides(const struct checking *checking, uint32_t column)
{
    const struct ph_rule_checks_params *params = checking->params;
    const struct ph_rule_check *check = checking->check;

    if (!check->on_source || params->rules == NULL || params->rules->set == NULL)
        return false;
    const struct ph_rel *rel =
        ph_catalog_rel_named(params->catalog, check->table.schema, check->table.name);
    return rel != NULL &&
           ph_ruleset_hides(params->rules->set, rel, check->columns.items[column].text);
}

static void
put_value(const struct checking *checking, uint32_t column, const char *value, struct ph_buf *out)
{
    char hidden[PH_HIDDEN_SIZE];

    if (hides(checking, column)) {
        ph_hidden_text(checking->params->rules,
                       (struct ph_span){(const uint8_t *)value, strlen(value)}, hidden);
        value = hidden;
    }
    ph_buf_puts(out, value);
}

/* "a=1, b=two" of a row whose first columns are the check's. */
static void
put_values(const struct checking *checking, const struct ph_result *r, int row, struct ph_buf *out)
{
    for (uint32_t i = 0; i < checking->check->columns.n; i++) {
        ph_buf_printf(out, "%s%s=", i == 0 ? "" : ", ", checking->check->columns.items[i].text);
        if (ph_result_is_null(r, row, (int)i))
            ph_buf_puts(out, "NULL");
        else
            put_value(checking, i, ph_result_text(r, row, (int)i), out);
    }
}

/* ---- SQL ---- */

static ph_code
fail_check(struct checking *checking, const char *what)
{
    PH_FAIL(checking->err, PH_E_RULES, "check %s: %s", checking->label, what);
    ph_error_object(checking->err, "%s:%u:%u", checking->params->options->rules->file,
                    checking->check->place.line, checking->check->place.column);
    return PH_E_RULES;
}

static void
put_name(struct ph_buf *sql, const struct ph_rule_name *name)
{
    ph_buf_put_qualified(sql, name->schema, name->name);
}

static void
put_list(struct ph_buf *sql, const struct ph_rule_words *columns, const char *before)
{
    for (uint32_t i = 0; i < columns->n; i++) {
        ph_buf_puts(sql, i == 0 ? "" : ", ");
        ph_buf_puts(sql, before);
        ph_buf_put_ident(sql, columns->items[i].text);
    }
}

/* The check's columns as put_values reads them: what is hidden stands for the column's text. */
static void
put_told(const struct checking *checking, const char *before, struct ph_buf *sql)
{
    const struct ph_rule_words *columns = &checking->check->columns;

    for (uint32_t i = 0; i < columns->n; i++) {
        ph_buf_printf(sql, "%s%s", i == 0 ? "" : ", ", before);
        ph_buf_put_ident(sql, columns->items[i].text);
        ph_buf_puts(sql, hides(checking, i) ? "::pg_catalog.text" : "");
    }
}

static ph_code
query(struct checking *checking, struct ph_conn *conn, struct ph_buf *sql, struct ph_result **out)
{
    ph_code rc = ph_buf_ok(sql) ? ph_conn_query(conn, ph_buf_text(sql), 0, NULL, out, checking->err)
                                : PH_FAIL(checking->err, PH_E_MEMORY, "out of memory");

    if (rc != PH_OK)
        ph_error_note(checking->err, "check %s of the job file, line %u", checking->label,
                      checking->check->place.line);
    return rc;
}

/* ---- matrix ---- */

static ph_code
run_matrix(struct checking *checking)
{
    struct ph_result *r;
    struct ph_buf sql;
    struct ph_buf text;
    int n = (int)checking->check->columns.n;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "SELECT ");
    put_told(checking, "", &sql);
    ph_buf_puts(&sql, ", pg_catalog.count(*) FROM ");
    put_name(&sql, &checking->check->table);
    ph_buf_puts(&sql, " GROUP BY ");
    put_list(&sql, &checking->check->columns, "");
    ph_buf_puts(&sql, " ORDER BY ");
    put_list(&sql, &checking->check->columns, "");
    ph_buf_printf(&sql, " LIMIT %d", COMBINATIONS + 1);
    ph_code rc = query(checking, checking->conn, &sql, &r);
    ph_buf_free(&sql);
    PH_TRY(rc);
    ph_buf_init(&text, SQL_LIMIT);
    for (int i = 0; i < ph_result_rows(r) && i < COMBINATIONS; i++) {
        ph_buf_clear(&text);
        put_values(checking, r, i, &text);
        ph_buf_printf(&text, ": %s rows", ph_result_text(r, i, n));
        tell(checking, false, ph_buf_text(&text));
    }
    if (ph_result_rows(r) > COMBINATIONS)
        tell(checking, false, "and further combinations");
    ph_buf_free(&text);
    ph_result_free(r);
    return PH_OK;
}

/* ---- unique ---- */

/* Rows of values with how often each is there, most often first. */
static void
tell_values(struct checking *checking, const struct ph_result *r, const char *what,
            const char *nothing)
{
    struct ph_buf text;
    int n = (int)checking->check->columns.n;

    if (ph_result_rows(r) == 0) {
        tell(checking, false, nothing);
        return;
    }
    ph_buf_init(&text, SQL_LIMIT);
    ph_buf_printf(&text, "%s values %s in %s rows: ", ph_result_text(r, 0, n + 1), what,
                  ph_result_text(r, 0, n + 2));
    for (int i = 0; i < ph_result_rows(r); i++) {
        ph_buf_puts(&text, i == 0 ? "(" : ", (");
        put_values(checking, r, i, &text);
        ph_buf_printf(&text, ") %s times", ph_result_text(r, i, n));
    }
    tell(checking, true, ph_buf_text(&text));
    ph_buf_free(&text);
}

/* Behind a query of values and counts `c`: the first of them, and totals over all. */
static void
put_totals(struct checking *checking, struct ph_buf *sql)
{
    ph_buf_puts(sql, "SELECT ");
    put_told(checking, "v.", sql);
    ph_buf_printf(sql,
                  ", v.pghaul_n, pg_catalog.count(*) OVER (), pg_catalog.sum(v.pghaul_n) OVER ()"
                  " FROM v ORDER BY v.pghaul_n DESC, ");
    put_list(sql, &checking->check->columns, "v.");
    ph_buf_printf(sql, " LIMIT %d", LISTED);
}

static ph_code
run_unique(struct checking *checking)
{
    struct ph_result *r;
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "WITH v AS (SELECT ");
    put_list(&sql, &checking->check->columns, "");
    ph_buf_puts(&sql, ", pg_catalog.count(*) AS pghaul_n FROM ");
    put_name(&sql, &checking->check->table);
    ph_buf_puts(&sql, " GROUP BY ");
    put_list(&sql, &checking->check->columns, "");
    ph_buf_puts(&sql, " HAVING pg_catalog.count(*) > 1) ");
    put_totals(checking, &sql);
    ph_code rc = query(checking, checking->conn, &sql, &r);
    ph_buf_free(&sql);
    PH_TRY(rc);
    tell_values(checking, r, "occur more than once", "no value occurs twice");
    ph_result_free(r);
    return PH_OK;
}

/* ---- orphans ---- */

static const struct ph_rule_words *
referred(const struct ph_rule_check *check)
{
    return check->reference_columns.n > 0 ? &check->reference_columns : &check->columns;
}

/* Each value that is not NULL once, with the number of its rows. */
static void
put_values_with_counts(struct checking *checking, struct ph_buf *sql)
{
    const struct ph_rule_check *check = checking->check;

    ph_buf_puts(sql, "SELECT ");
    put_list(sql, &check->columns, "t.");
    ph_buf_puts(sql, ", pg_catalog.count(*) AS pghaul_n FROM ");
    put_name(sql, &check->table);
    ph_buf_puts(sql, " t WHERE ");
    for (uint32_t i = 0; i < check->columns.n; i++) {
        ph_buf_puts(sql, i == 0 ? "t." : " AND t.");
        ph_buf_put_ident(sql, check->columns.items[i].text);
        ph_buf_puts(sql, " IS NOT NULL");
    }
    ph_buf_puts(sql, " GROUP BY ");
    put_list(sql, &check->columns, "t.");
}

static ph_code
run_orphans_here(struct checking *checking)
{
    const struct ph_rule_check *check = checking->check;
    struct ph_result *r;
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "WITH all_values AS (");
    put_values_with_counts(checking, &sql);
    ph_buf_puts(&sql, "), v AS (SELECT * FROM all_values a WHERE NOT EXISTS (SELECT FROM ");
    put_name(&sql, &check->references);
    ph_buf_puts(&sql, " r WHERE ");
    for (uint32_t i = 0; i < check->columns.n; i++) {
        ph_buf_puts(&sql, i == 0 ? "r." : " AND r.");
        ph_buf_put_ident(&sql, referred(check)->items[i].text);
        ph_buf_puts(&sql, " = a.");
        ph_buf_put_ident(&sql, check->columns.items[i].text);
    }
    ph_buf_puts(&sql, ")) ");
    put_totals(checking, &sql);
    ph_code rc = query(checking, checking->conn, &sql, &r);
    ph_buf_free(&sql);
    PH_TRY(rc);
    tell_values(checking, r, "are orphans", "no orphans");
    ph_result_free(r);
    return PH_OK;
}

/* Looking values up in another database. */
struct lookup {
    struct checking *checking;
    struct ph_conn *there;
    struct ph_buf sql; /* $1: a JSON array of arrays of texts */
    uint64_t values;   /* that were asked for */
    uint64_t orphans;
    uint64_t rows;
    struct ph_buf listed;
};

/* The type as both servers know it; a user's own is compared by its text. */
static const char *
type_of(const struct checking *checking, uint32_t column)
{
    const struct ph_rule_check *check = checking->check;
    const struct ph_rel *rel =
        ph_catalog_rel_named(checking->params->catalog, check->table.schema, check->table.name);
    const struct ph_column *found =
        rel == NULL ? NULL : ph_rel_column_named(rel, check->columns.items[column].text);

    return found == NULL ? NULL : found->type_oid < FIRST_USER_OID ? found->type_text : "";
}

/* Rows of the batch that are not there, by their position from 1. */
static ph_code
put_lookup_sql(struct lookup *lookup)
{
    const struct ph_rule_check *check = lookup->checking->check;

    ph_buf_puts(&lookup->sql, "SELECT n FROM pg_catalog.json_array_elements($1::pg_catalog.json)"
                              " WITH ORDINALITY e (v, n) WHERE NOT EXISTS (SELECT FROM ");
    put_name(&lookup->sql, &check->references);
    ph_buf_puts(&lookup->sql, " r WHERE ");
    for (uint32_t i = 0; i < check->columns.n; i++) {
        const char *type = type_of(lookup->checking, i);
        if (type == NULL)
            return fail_check(lookup->checking, "the target has no such table or column");
        ph_buf_puts(&lookup->sql, i == 0 ? "r." : " AND r.");
        ph_buf_put_ident(&lookup->sql, referred(check)->items[i].text);
        ph_buf_printf(&lookup->sql, "%s = (e.v->>%u)%s%s", type[0] == '\0' ? "::text" : "", i,
                      type[0] == '\0' ? "" : "::", type);
    }
    ph_buf_puts(&lookup->sql, ") ORDER BY n");
    return PH_OK;
}

static ph_code
ask(struct lookup *lookup, const struct ph_result *batch)
{
    struct ph_error *err = lookup->checking->err;
    int n = (int)lookup->checking->check->columns.n;
    struct ph_buf json;
    struct ph_result *r;

    ph_buf_init(&json, (size_t)64 << 20);
    for (int row = 0; row < ph_result_rows(batch); row++)
        ph_buf_printf(&json, "%s%s", row == 0 ? "[" : ",", ph_result_text(batch, row, n + 1));
    ph_buf_putc(&json, ']');
    const char *params[] = {ph_buf_text(&json)};
    ph_code rc = ph_buf_ok(&json)
                     ? ph_conn_query(lookup->there, ph_buf_text(&lookup->sql), 1, params, &r, err)
                     : PH_FAIL(err, PH_E_MEMORY, "the values are too large");
    ph_buf_free(&json);
    PH_TRY(rc);
    for (int i = 0; i < ph_result_rows(r); i++) {
        int row = (int)ph_result_i64(r, i, 0) - 1;
        lookup->rows += (uint64_t)ph_result_i64(batch, row, n);
        if (lookup->orphans++ >= LISTED)
            continue;
        ph_buf_puts(&lookup->listed, lookup->listed.len == 0 ? "(" : ", (");
        put_values(lookup->checking, batch, row, &lookup->listed);
        ph_buf_printf(&lookup->listed, ") %s times", ph_result_text(batch, row, n));
    }
    lookup->values += (uint64_t)ph_result_rows(batch);
    ph_result_free(r);
    return PH_OK;
}

/* A cursor on the target: however many values there are, a batch of them is in memory. */
static ph_code
ask_all(struct lookup *lookup)
{
    struct checking *checking = lookup->checking;
    struct ph_conn *conn = checking->conn;
    struct ph_buf sql;
    int n = 1;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "DECLARE pghaul_values CURSOR FOR SELECT ");
    put_told(checking, "v.", &sql);
    ph_buf_puts(&sql, ", v.pghaul_n, pg_catalog.json_build_array(");
    for (uint32_t i = 0; i < checking->check->columns.n; i++) {
        ph_buf_puts(&sql, i == 0 ? "v." : ", v.");
        ph_buf_put_ident(&sql, checking->check->columns.items[i].text);
        ph_buf_puts(&sql, "::text");
    }
    ph_buf_puts(&sql, ") FROM (");
    put_values_with_counts(checking, &sql);
    ph_buf_puts(&sql, ") v");
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), checking->err)
                                 : PH_FAIL(checking->err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    while (rc == PH_OK && n > 0) {
        struct ph_result *batch;
        PH_TRY(ph_stop_check(checking->err));
        PH_TRY(ph_conn_query(conn, "FETCH " ASKED_AT_ONCE " FROM pghaul_values", 0, NULL, &batch,
                             checking->err));
        n = ph_result_rows(batch);
        if (n > 0)
            rc = ask(lookup, batch);
        ph_result_free(batch);
    }
    return rc == PH_OK ? ph_conn_exec(conn, "CLOSE pghaul_values", checking->err) : rc;
}

static void
tell_lookup(struct lookup *lookup)
{
    struct ph_buf text;

    ph_buf_init(&text, SQL_LIMIT);
    if (lookup->orphans == 0)
        ph_buf_printf(&text, "no orphans among %llu values", (unsigned long long)lookup->values);
    else
        ph_buf_printf(&text, "%llu of %llu values are orphans, in %llu rows: %s",
                      (unsigned long long)lookup->orphans, (unsigned long long)lookup->values,
                      (unsigned long long)lookup->rows, ph_buf_text(&lookup->listed));
    tell(lookup->checking, lookup->orphans > 0, ph_buf_text(&text));
    ph_buf_free(&text);
}

static ph_code
run_orphans_there(struct checking *checking)
{
    struct ph_endpoint endpoint;
    struct lookup lookup = {.checking = checking};

    PH_TRY(ph_endpoint_init(&endpoint, PH_SOURCE, checking->check->database,
                            checking->params->options->name, checking->err));
    ph_endpoint_cancel_with(&endpoint, ph_conn_endpoint(checking->conn));
    ph_buf_init(&lookup.sql, SQL_LIMIT);
    ph_buf_init(&lookup.listed, SQL_LIMIT);
    ph_code rc = ph_conn_open(&endpoint, "check", &lookup.there, checking->err);
    if (rc == PH_OK) /* one snapshot for all that is looked up */
        rc = ph_conn_exec(lookup.there, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                          checking->err);
    if (rc == PH_OK)
        rc = put_lookup_sql(&lookup);
    if (rc == PH_OK)
        rc = ask_all(&lookup);
    if (rc == PH_OK)
        tell_lookup(&lookup);
    else
        ph_error_note(checking->err, "check %s", checking->label);
    ph_conn_free(lookup.there);
    ph_buf_free(&lookup.sql);
    ph_buf_free(&lookup.listed);
    ph_endpoint_reset(&endpoint);
    return rc;
}

static ph_code
run_orphans(struct checking *checking)
{
    const struct ph_rule_check *check = checking->check;

    if (referred(check)->n != check->columns.n)
        return fail_check(checking, "`columns` and `key` are not equally many");
    return check->database == NULL ? run_orphans_here(checking) : run_orphans_there(checking);
}

/* ---- the same count ---- */

static ph_code
count(struct checking *checking, struct ph_conn *conn, const struct ph_rule_name *table, char *out,
      size_t size)
{
    struct ph_result *r;
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "SELECT pg_catalog.count(*) FROM ");
    put_name(&sql, table);
    ph_code rc = query(checking, conn, &sql, &r);
    ph_buf_free(&sql);
    PH_TRY(rc);
    snprintf(out, size, "%s", ph_result_text(r, 0, 0));
    ph_result_free(r);
    return PH_OK;
}

/* What the source has now is no measure for rows that are older. */
static bool
is_comparable(const struct checking *checking)
{
    const struct ph_rule_checks_params *params = checking->params;

    return params->is_of_one_snapshot == NULL ||
           params->is_of_one_snapshot(params->arg, checking->check);
}

static void
tell_incomparable(struct checking *checking)
{
    ph_report_add_finding(
        checking->params->report, PH_FINDING_WARNING, "check", checking->label,
        "not counted: rows are of several snapshots of the source; `pghaul verify` "
        "compares them");
}

static ph_code
run_same_count(struct checking *checking)
{
    const struct ph_rule_check *check = checking->check;
    bool is_early = checking->params->when == PH_CHECKS_BEFORE_STREAM;
    char here[24];
    char there[24];
    char text[360];

    if (!is_comparable(checking)) {
        tell_incomparable(checking);
        return PH_OK;
    }
    PH_TRY(count(checking, checking->params->source, &check->table, here, sizeof here));
    for (uint32_t i = 0; i < check->n_others; i++) {
        PH_TRY(count(checking, checking->conn, &check->others[i], there, sizeof there));
        snprintf(text, sizeof text, "%s rows on the source, %s in %.100s.%.100s%s", here, there,
                 check->others[i].schema, check->others[i].name,
                 is_early ? ", in the copy's snapshot, before the stream" : "");
        tell(checking, strcmp(here, there) != 0, text);
    }
    return PH_OK;
}

/* ---- all of them ---- */

static ph_code
run(struct checking *checking)
{
    const struct ph_rule_check *check = checking->check;

    if (check->name != NULL)
        snprintf(checking->label, sizeof checking->label, "%s", check->name);
    else
        snprintf(checking->label, sizeof checking->label, "%s.%s", check->table.schema,
                 check->table.name);
    switch (check->kind) {
    case PH_CHECK_MATRIX:
        return run_matrix(checking);
    case PH_CHECK_ORPHANS:
        return run_orphans(checking);
    case PH_CHECK_SAME_COUNT:
        return run_same_count(checking);
    case PH_CHECK_UNIQUE:
        return run_unique(checking);
    }
    return PH_OK;
}

ph_code
ph_rule_checks_run(const struct ph_rule_checks_params *params, uint32_t *n_failed,
                   struct ph_error *err)
{
    const struct ph_job_rules *rules = params->options->rules;

    *n_failed = 0;
    for (uint32_t i = 0; rules != NULL && i < rules->n_checks; i++) {
        struct checking checking = {.params = params,
                                    .check = &rules->checks[i],
                                    .conn =
                                        params->side == PH_SOURCE ? params->source : params->target,
                                    .n_failed = n_failed,
                                    .err = err};
        if (checking.check->on_source != (params->side == PH_SOURCE) ||
            (params->when == PH_CHECKS_AFTER_STREAM && !ph_rule_check_is_of_end(checking.check)))
            continue;
        PH_TRY(ph_stop_check(err));
        PH_TRY(run(&checking));
    }
    return PH_OK;
}
