/*
 * Rows of the target that stay as they are, and rows of the source that come with one of their
 * keys: those would end the copy in the middle. Looked for by every unique key of the target whose
 * columns come from the source unchanged: keys of the rows that stay, a thousand at a time as text,
 * which both servers print and read alike, are asked for on the source.
 *
 * With preserved columns the source's rows of keys that stay are left out. A row that has another
 * of their unique values may be one of these: its key is asked for on the target. Where the target
 * keeps a value of the index itself, rows bring one only if it does not have them.
 */
#include <stdio.h>
#include <string.h>

#include "job/copy_parts.h"
#include "model/type_match.h"
#include "pg/ledger_preserved.h"
#include "rules/hidden.h"
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
    bool new_rows_only; /* others bring none of their values to the index */
    bool is_aside;      /* an earlier run has rows of the table aside: it had them, too */
    uint32_t n_out;     /* columns of the key by which rows are left out; 0: none are */
    const struct ph_column *our_out[KEYS_MAX]; /* likewise */
    const struct ph_column *their_out[KEYS_MAX];
    struct ph_buf question;  /* for the source */
    struct ph_buf who_comes; /* for the target, with n_out */
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

static bool
is_in_index(const struct ph_index *index, int16_t attnum)
{
    for (uint32_t k = 0; k < index->n_keys; k++) {
        if (index->key_attnums[k] == attnum)
            return true;
    }
    return false;
}

/* A value that the target keeps where it has the row: only new rows bring one to the index. */
static bool
has_kept_value(const struct collision *c)
{
    const struct ph_route *route = c->table->route;

    for (uint32_t i = 0; i < route->n_preserved; i++) {
        if (is_in_index(c->index, route->outputs[route->preserved[i]].target->attnum))
            return true;
    }
    return false;
}

/* Of a route that preserves columns. Who has the whole key in the index is left out by it. */
static enum can_look
find_left_out(struct collision *c)
{
    const struct ph_route *route = c->table->route;
    bool has_all = true;
    bool is_made = false;

    for (uint32_t k = 0; k < route->n_preserved_key && k < KEYS_MAX; k++) {
        const struct ph_route_output *output = &route->outputs[route->preserved_key[k]];
        has_all &= is_in_index(c->index, output->target->attnum);
        is_made |= output->source == NULL || output->is_fitted;
        c->our_out[k] = output->source;
        c->their_out[k] = output->target;
        c->n_out++;
    }
    return has_all ? NEVER_MEETS : is_made ? RULE_MAKES_IT : CAN_LOOK;
}

static enum can_look
find_columns(struct collision *c)
{
    const struct ph_route *route = c->table->route;

    if (!c->index->is_unique || !c->index->is_valid || c->index->is_partial ||
        c->index->has_expressions || c->index->n_keys > KEYS_MAX)
        return NEVER_MEETS; /* or is left to the server */
    c->new_rows_only = has_kept_value(c);
    for (uint32_t k = 0; k < c->index->n_keys; k++) {
        const struct ph_route_output *output = output_of(route, c->index->key_attnums[k]);
        if (output == NULL)
            return NEVER_MEETS;
        if (output->source == NULL || output->is_fitted)
            return c->new_rows_only ? NEVER_MEETS : RULE_MAKES_IT; /* there is a warning */
        c->ours[k] = output->source;
        c->theirs[k] = output->target;
    }
    return route->n_preserved > 0 ? find_left_out(c) : CAN_LOOK;
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

static void
put_columns(const struct ph_column *const *columns, uint32_t n, char letter, struct ph_buf *sql)
{
    for (uint32_t k = 0; k < n; k++) {
        ph_buf_puts(sql, k > 0 ? ", " : "");
        ph_buf_put_ident(sql, columns[k]->name);
        ph_buf_printf(sql, " AS %c%u", letter, k);
    }
}

/* Parameters, arrays of text, as rows: ROWS FROM (…) AS u (k0, k1, …, o0, o1, …). */
static void
put_arrays(uint32_t n_keys, uint32_t n_out, struct ph_buf *sql)
{
    ph_buf_puts(sql, "ROWS FROM (");
    for (uint32_t k = 0; k < n_keys + n_out; k++)
        ph_buf_printf(sql, "%spg_catalog.unnest($%u::pg_catalog.text[])", k > 0 ? ", " : "", k + 1);
    ph_buf_puts(sql, ") AS u (");
    for (uint32_t k = 0; k < n_keys; k++)
        ph_buf_printf(sql, "%sk%u", k > 0 ? ", " : "", k);
    for (uint32_t k = 0; k < n_out; k++)
        ph_buf_printf(sql, ", o%u", k);
    ph_buf_putc(sql, ')');
}

/* Rows that would come and have one of the keys. */
static void
put_matches(const struct collision *c, struct ph_buf *sql)
{
    const struct ph_rel *source = c->table->source;

    ph_buf_puts(sql, " FROM (SELECT ");
    put_columns(c->ours, c->index->n_keys, 'k', sql);
    ph_buf_puts(sql, c->n_out > 0 ? ", " : "");
    put_columns(c->our_out, c->n_out, 'o', sql);
    ph_buf_puts(sql, " FROM ONLY ");
    ph_buf_put_qualified(sql, source->schema, source->name);
    if (c->table->route->where != NULL)
        ph_buf_printf(sql, " WHERE (%s)", c->table->route->where);
    ph_buf_puts(sql, ") s JOIN ");
    put_arrays(c->index->n_keys, 0, sql);
    ph_buf_puts(sql, " ON ");
    for (uint32_t k = 0; k < c->index->n_keys; k++) {
        ph_buf_printf(sql, "%ss.k%u ", k > 0 ? " AND " : "", k);
        ph_type_put_equals(ph_type_base(&c->job->source_catalog, c->ours[k]->type_oid), sql);
        ph_buf_printf(sql, " u.k%u::%s", k, c->ours[k]->type_text);
    }
}

/* How many they are, and the first of them as text. */
static void
put_question(const struct collision *c, struct ph_buf *sql)
{
    ph_buf_puts(sql, "SELECT pg_catalog.count(*) OVER ()");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, ", s.k%u::pg_catalog.text", k);
    put_matches(c, sql);
    ph_buf_printf(sql, " ORDER BY 2 LIMIT %u", SHOWN);
}

/* All of them where some are left out: a row for each thousand, arrays of texts. */
static void
put_question_for_all(const struct collision *c, struct ph_buf *sql)
{
    ph_buf_puts(sql, "SELECT ");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, "%spg_catalog.array_agg(k%u)", k > 0 ? ", " : "", k);
    for (uint32_t k = 0; k < c->n_out; k++)
        ph_buf_printf(sql, ", pg_catalog.array_agg(o%u)", k);
    ph_buf_puts(sql, " FROM (SELECT ");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, "s.k%u::pg_catalog.text AS k%u, ", k, k);
    for (uint32_t k = 0; k < c->n_out; k++)
        ph_buf_printf(sql, "s.o%u::pg_catalog.text AS o%u, ", k, k);
    ph_buf_printf(sql, "(pg_catalog.row_number() OVER () - 1) / %u AS part", KEYS_AT_ONCE);
    put_matches(c, sql);
    ph_buf_puts(sql, ") m GROUP BY part");
}

/* Condition on a key: no row of the target stays whole with it, or there is none with it at all. */
static void
put_has_no_row(const struct collision *c, struct ph_buf *sql)
{
    ph_buf_puts(sql, "NOT EXISTS (SELECT FROM (SELECT ");
    put_columns(c->their_out, c->n_out, 'o', sql);
    ph_buf_puts(sql, " FROM ");
    ph_copy_put_target(sql, c->table->target);
    if (!c->new_rows_only)
        ph_buf_printf(sql, " WHERE (%s)", c->table->route->preserve);
    if (c->new_rows_only && c->is_aside) {
        char name[PH_PRESERVED_NAME];
        ph_preserved_name(c->job->options->name, c->table->target, name);
        ph_buf_puts(sql, " UNION ALL SELECT ");
        for (uint32_t k = 0; k < c->n_out; k++)
            ph_buf_printf(sql, "%sk%u", k > 0 ? ", " : "", k);
        ph_buf_printf(sql, " FROM pghaul.%s", name);
    }
    ph_buf_puts(sql, ") t WHERE ");
    for (uint32_t k = 0; k < c->n_out; k++)
        ph_buf_printf(sql, "%st.o%u %s u.o%u::%s", k > 0 ? " AND " : "", k,
                      c->table->preserved->equals[k], k, c->their_out[k]->type_text);
    ph_buf_putc(sql, ')');
}

/* Of those the ones that are not left out, asked of the target; answered like put_question. */
static void
put_question_who_comes(const struct collision *c, struct ph_buf *sql)
{
    ph_buf_puts(sql, "SELECT pg_catalog.count(*) OVER ()");
    for (uint32_t k = 0; k < c->index->n_keys; k++)
        ph_buf_printf(sql, ", u.k%u", k);
    ph_buf_puts(sql, " FROM ");
    put_arrays(c->index->n_keys, c->n_out, sql);
    ph_buf_puts(sql, " WHERE ");
    put_has_no_row(c, sql);
    ph_buf_printf(sql, " ORDER BY 2 LIMIT %u", SHOWN);
}

/* Another route of the table may mask it. */
static void
put_key_value(struct collision *c, uint32_t k, const char *value)
{
    char hidden[PH_HIDDEN_SIZE];

    if (ph_route_hides_column(c->table->route, c->ours[k])) {
        ph_hidden_text(c->table->rules, (struct ph_span){(const uint8_t *)value, strlen(value)},
                       hidden);
        value = hidden;
    }
    ph_buf_printf(&c->shown, "%s%s=%.60s", k > 0 ? ", " : "", c->theirs[k]->name, value);
}

static void
put_shown(struct collision *c, const struct ph_result *r)
{
    for (int row = 0; row < ph_result_rows(r) && c->n < SHOWN; row++) {
        c->n++; /* counted in full below */
        ph_buf_puts(&c->shown, c->shown.len > 0 ? "; " : "");
        for (uint32_t k = 0; k < c->index->n_keys; k++)
            put_key_value(c, k, ph_result_text(r, row, (int)k + 1));
    }
}

/* `params`: arrays of texts. The answer is counted. */
static ph_code
ask(struct collision *c, struct ph_conn *conn, const char *sql, const char *const *params,
    uint32_t n_params, struct ph_error *err)
{
    struct ph_result *r;
    uint64_t before = c->n;

    PH_TRY(ph_conn_query(conn, sql, (int)n_params, params, &r, err));
    put_shown(c, r);
    if (ph_result_rows(r) > 0)
        c->n = before + (uint64_t)ph_result_i64(r, 0, 0);
    ph_result_free(r);
    return PH_OK;
}

/* The source's rows with the keys `params`; those count that the target does not leave out. */
static ph_code
ask_both(struct collision *c, const char *const *params, struct ph_error *err)
{
    uint32_t n = c->index->n_keys + c->n_out;
    const char *theirs[2 * KEYS_MAX];
    struct ph_result *r;
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(c->job->source_control, ph_buf_text(&c->question), (int)c->index->n_keys,
                         params, &r, err));
    for (int row = 0; rc == PH_OK && row < ph_result_rows(r); row++) {
        for (uint32_t k = 0; k < n; k++)
            theirs[k] = ph_result_text(r, row, (int)k);
        rc = ask(c, c->job->target_control, ph_buf_text(&c->who_comes), theirs, n, err);
    }
    ph_result_free(r);
    return rc;
}

static ph_code
ask_source(struct collision *c, const struct ph_result *keys, struct ph_error *err)
{
    const char *params[KEYS_MAX];

    for (uint32_t k = 0; k < c->index->n_keys; k++)
        params[k] = ph_result_text(keys, 0, (int)k);
    return c->n_out > 0 ? ask_both(c, params, err)
                        : ask(c, c->job->source_control, ph_buf_text(&c->question), params,
                              c->index->n_keys, err);
}

static ph_code
ask_all(struct collision *c, struct ph_error *err)
{
    for (;;) {
        struct ph_result *keys;
        PH_TRY(
            ph_conn_query(c->job->target_control, "FETCH 1 FROM pghaul_keys", 0, NULL, &keys, err));
        bool is_over = ph_result_rows(keys) == 0;
        ph_code rc = is_over ? PH_OK : ask_source(c, keys, err);
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

    ph_buf_init(&cursor, SQL_LIMIT);
    put_cursor(c, &cursor);
    if (c->n_out > 0) {
        put_question_for_all(c, &c->question);
        put_question_who_comes(c, &c->who_comes);
    } else {
        put_question(c, &c->question);
    }
    ph_code rc = ph_buf_ok(&cursor) && ph_buf_ok(&c->question) && ph_buf_ok(&c->who_comes)
                     ? ph_conn_exec(target, "BEGIN READ ONLY", err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK)
        rc = ph_conn_exec(target, ph_buf_text(&cursor), err);
    if (rc == PH_OK)
        rc = ask_all(c, err);
    (void)ph_conn_leave_transaction(target, NULL);
    ph_buf_free(&cursor);
    return rc;
}

/* ---- all of it ---- */

static ph_code
check_index(struct collision *c, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_finding_params params = {
        PH_FINDING_ERROR, PH_E_NOT_READY, "preserve", c->table->route_name,
        c->n_out > 0 ? "leave those rows out with `where:`, or mend one of the sides: they have "
                       "other keys than the rows that stay and are not left out for them"
                     : "leave those rows out with `where:`, or let the target's win: with "
                       "`preserve: {rows: …, columns: […]}` the source's rows of keys that stay "
                       "are left out"};

    ph_buf_init(&c->question, SQL_LIMIT);
    ph_buf_init(&c->who_comes, SQL_LIMIT);
    ph_buf_init(&c->shown, (size_t)64 << 10);
    ph_code rc = look(c, err);
    if (rc == PH_OK && c->n > 0)
        ph_finding_add(
            findings, &params,
            "%llu rows of the source have keys of rows that stay on the target (%s): %s%s",
            (unsigned long long)c->n, c->index->name, ph_buf_text(&c->shown),
            c->n > SHOWN ? "; …" : "");
    ph_buf_free(&c->question);
    ph_buf_free(&c->who_comes);
    ph_buf_free(&c->shown);
    return rc;
}

/* What other columns of it would be, was told before. */
static ph_code
find_aside(struct ph_job *job, const struct ph_table_plan *table, bool *is_aside,
           struct ph_error *err)
{
    enum ph_preserved_found found = PH_PRESERVED_NONE;
    ph_code rc = PH_OK;

    if (table->preserved != NULL)
        rc = ph_preserved_find(job->target_control, job->options->name, table, &found, err);
    *is_aside = rc == PH_OK && found != PH_PRESERVED_NONE;
    if (rc != PH_E_JOB_OTHER)
        return rc;
    ph_error_reset(err);
    return PH_OK;
}

static ph_code
check_table(struct ph_job *job, const struct ph_table_plan *table, struct ph_findings *findings,
            struct ph_error *err)
{
    bool is_aside;

    PH_TRY(find_aside(job, table, &is_aside, err));
    for (uint32_t i = 0; i < table->target->n_indexes; i++) {
        struct collision c = {
            .job = job, .table = table, .index = &table->target->indexes[i], .is_aside = is_aside};
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
        if (table->route != NULL && table->route->preserve != NULL)
            PH_TRY(check_table(job, table, findings, err));
    }
    return PH_OK;
}
