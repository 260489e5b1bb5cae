/*
 * Rows of the target that stay as they are, and rows of the source that come with one of their
 * keys: those would end the copy in the middle. Looked for by every unique key of the target whose
 * columns come from the source unchanged: keys of the rows that stay, a thousand at a time as text,
 * which both servers print and read alike, are asked for on the source.
 */
#include <stdio.h>
#include <string.h>

#include "job/copy_parts.h"
#include "model/type_match.h"
#include "rules/ruleset.h"

#define KEYS_AT_ONCE 1000u
#define SHOWN 3u
#define KEYS_MAX 32u
#define SQL_LIMIT ((size_t)4 << 20)

struct collision {
    struct ph_job *job;
    const struct ph_table_plan *table;
    const struct ph_index *index;
    const struct ph_column *ours[KEYS_MAX]; /* the source's, by column of the index */
    const struct ph_column *theirs[KEYS_MAX];
    uint64_t n;
    struct ph_buf shown;
};

/* The source's column that a column of the target's key is, unchanged; NULL: a rule makes it. */
static const struct ph_route_output *
output_of(const struct ph_route *route, int16_t attnum)
{
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        if (route->outputs[i].target->attnum == attnum)
            return &route->outputs[i];
    }
    return NULL;
}

enum can_look { CAN_LOOK, RULE_MAKES_IT, NEVER_MEETS };

static enum can_look
find_columns(struct collision *c)
{
    const struct ph_route *route = c->table->route;

    if (!c->index->is_unique || !c->index->is_valid || c->index->is_partial ||
        c->index->has_expressions || c->index->n_keys > KEYS_MAX)
        return NEVER_MEETS; /* or is left to the server */
    for (uint32_t k = 0; k < c->index->n_keys; k++) {
        const struct ph_route_output *output = output_of(route, c->index->key_attnums[k]);
        if (output == NULL)
            return NEVER_MEETS;
        if (output->source == NULL || output->is_fitted)
            return RULE_MAKES_IT;
        c->ours[k] = output->source;
        c->theirs[k] = output->target;
    }
    return CAN_LOOK;
}

/* ---- the keys of the rows that stay ---- */

/* One row for each thousand: an array of texts per column. */
static void
put_cursor(const struct collision *c, struct ph_buf *sql)
{
    const struct ph_rel *target = c->table->target;

    ph_buf_puts(sql, "DECLARE pghaul_keys NO SCROLL CURSOR FOR SELECT ");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, "%spg_catalog.array_agg(k%u)::pg_catalog.text", k > 0 ? ", " : "", k);
    ph_buf_puts(sql, " FROM (SELECT ");
    for (uint32_t k = 0; k < c->index->n_keys; k++) {
        ph_buf_put_ident(sql, c->theirs[k]->name);
        ph_buf_printf(sql, "::pg_catalog.text AS k%u, ", k);
    }
    ph_buf_puts(sql, "(pg_catalog.row_number() OVER () - 1)");
    ph_buf_printf(sql, " / %u AS part FROM ", KEYS_AT_ONCE);
    ph_copy_put_target(sql, target);
    ph_buf_printf(sql, " WHERE (%s)", c->table->route->preserve);
    for (uint32_t k = 0; k < c->index->n_keys; k++) {
        ph_buf_puts(sql, " AND ");
        ph_buf_put_ident(sql, c->theirs[k]->name);
        ph_buf_puts(sql, " IS NOT NULL");
    }
    ph_buf_puts(sql, ") kept GROUP BY part");
}

/* ---- the source's rows ---- */

/* How many of the keys it has in rows that would come, and the first of them as text. */
static void
put_question(const struct collision *c, struct ph_buf *sql)
{
    const struct ph_rel *source = c->table->source;

    ph_buf_puts(sql, "SELECT pg_catalog.count(*) OVER ()");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, ", s.k%u::pg_catalog.text", k);
    ph_buf_puts(sql, " FROM (SELECT ");
    for (uint32_t k = 0; k < c->index->n_keys; k++) {
        ph_buf_puts(sql, k > 0 ? ", " : "");
        ph_buf_put_ident(sql, c->ours[k]->name);
        ph_buf_printf(sql, " AS k%u", k);
    }
    ph_buf_puts(sql, " FROM ONLY ");
    ph_buf_put_qualified(sql, source->schema, source->name);
    if (c->table->route->where != NULL)
        ph_buf_printf(sql, " WHERE (%s)", c->table->route->where);
    ph_buf_puts(sql, ") s JOIN ROWS FROM (");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, "%spg_catalog.unnest($%u::pg_catalog.text[])", k > 0 ? ", " : "", k + 1);
    ph_buf_puts(sql, ") AS u (");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, "%sk%u", k > 0 ? ", " : "", k);
    ph_buf_puts(sql, ") ON ");
    for (uint32_t k = 0; k < c->index->n_keys; k++) {
        ph_buf_printf(sql, "%ss.k%u ", k > 0 ? " AND " : "", k);
        ph_type_put_equals(ph_type_base(&c->job->source_catalog, c->ours[k]->type_oid), sql);
        ph_buf_printf(sql, " u.k%u::%s", k, c->ours[k]->type_text);
    }
    ph_buf_printf(sql, " ORDER BY 2 LIMIT %u", SHOWN);
}

static void
put_shown(struct collision *c, const struct ph_result *r)
{
    for (int row = 0; row < ph_result_rows(r) && c->n < SHOWN; row++) {
        c->n++; /* counted in full below */
        ph_buf_puts(&c->shown, c->shown.len > 0 ? "; " : "");
        for (uint32_t k = 0; k < c->index->n_keys; k++)
            ph_buf_printf(&c->shown, "%s%s=%.60s", k > 0 ? ", " : "", c->theirs[k]->name,
                          ph_result_text(r, row, (int)k + 1));
    }
}

static ph_code
ask_source(struct collision *c, const struct ph_result *keys, const struct ph_buf *sql,
           struct ph_error *err)
{
    const char *params[KEYS_MAX];
    struct ph_result *r;

    for (uint32_t k = 0; k < c->index->n_keys; k++)
        params[k] = ph_result_text(keys, 0, (int)k);
    PH_TRY(ph_conn_query(c->job->source_control, ph_buf_text(sql), (int)c->index->n_keys, params,
                         &r, err));
    uint64_t before = c->n;
    put_shown(c, r);
    if (ph_result_rows(r) > 0)
        c->n = before + (uint64_t)ph_result_i64(r, 0, 0);
    ph_result_free(r);
    return PH_OK;
}

static ph_code
ask_all(struct collision *c, const struct ph_buf *sql, struct ph_error *err)
{
    for (;;) {
        struct ph_result *keys;
        PH_TRY(
            ph_conn_query(c->job->target_control, "FETCH 1 FROM pghaul_keys", 0, NULL, &keys, err));
        bool is_over = ph_result_rows(keys) == 0;
        ph_code rc = is_over ? PH_OK : ask_source(c, keys, sql, err);
        ph_result_free(keys);
        if (is_over || rc != PH_OK)
            return rc;
    }
}

static ph_code
look(struct collision *c, struct ph_error *err)
{
    struct ph_conn *target = c->job->target_control;
    struct ph_buf cursor;
    struct ph_buf question;

    ph_buf_init(&cursor, SQL_LIMIT);
    ph_buf_init(&question, SQL_LIMIT);
    put_cursor(c, &cursor);
    put_question(c, &question);
    ph_code rc = ph_buf_ok(&cursor) && ph_buf_ok(&question)
                     ? ph_conn_exec(target, "BEGIN READ ONLY", err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK)
        rc = ph_conn_exec(target, ph_buf_text(&cursor), err);
    if (rc == PH_OK)
        rc = ask_all(c, &question, err);
    (void)ph_conn_leave_transaction(target, NULL);
    ph_buf_free(&cursor);
    ph_buf_free(&question);
    return rc;
}

/* ---- all of it ---- */

static ph_code
check_index(struct collision *c, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_finding_params params = {
        PH_FINDING_ERROR, PH_E_NOT_READY, "preserve", c->table->route_name,
        "leave those rows out with `where:`, or let the target's win: with `preserve: {rows: …, "
        "columns: […]}` the source's rows of keys that stay are left out"};

    c->n = 0;
    ph_buf_init(&c->shown, (size_t)64 << 10);
    ph_code rc = look(c, err);
    if (rc == PH_OK && c->n > 0)
        ph_finding_add(
            findings, &params,
            "%llu rows of the source have keys of rows that stay on the target (%s): %s%s",
            (unsigned long long)c->n, c->index->name, ph_buf_text(&c->shown),
            c->n > SHOWN ? "; …" : "");
    ph_buf_free(&c->shown);
    return rc;
}

static ph_code
check_table(struct ph_job *job, const struct ph_table_plan *table, struct ph_findings *findings,
            struct ph_error *err)
{
    for (uint32_t i = 0; i < table->target->n_indexes; i++) {
        struct collision c = {.job = job, .table = table, .index = &table->target->indexes[i]};
        struct ph_finding_params params = {
            PH_FINDING_NOTE, PH_OK, "preserve", table->route_name,
            "see to it that the source brings no row with the key of a row that stays"};
        switch (find_columns(&c)) {
        case CAN_LOOK:
            PH_TRY(check_index(&c, findings, err));
            break;
        case RULE_MAKES_IT:
            ph_finding_add(findings, &params,
                           "not looked whether rows come with keys of rows that stay: a rule makes "
                           "values of %s",
                           c.index->name);
            break;
        case NEVER_MEETS:
            break;
        }
    }
    return PH_OK;
}

ph_code
ph_copy_check_collisions(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        /* with preserved columns such rows are left out */
        if (table->route != NULL && table->route->preserve != NULL && table->preserved == NULL)
            PH_TRY(check_table(job, table, findings, err));
    }
    return PH_OK;
}
