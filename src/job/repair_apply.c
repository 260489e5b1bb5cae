/*
 * The statements of a repair. Rows are addressed by ctid under the table's lock, so exactly the
 * rows that were compared are touched, one of several equal ones too. Values go as text, which
 * comes back the same on both servers with pinned settings, types with differing OIDs included.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "job/repair_parts.h"

#define SQL_LIMIT ((size_t)8 << 20)
#define DELETED_AT_A_TIME 1000u
#define COLLECTED_AT_A_TIME 100000u

static const struct ph_table_plan *
target_of(const struct ph_repair *repair)
{
    return repair->params->tables[0];
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* Runs it and expects that it hits so many rows. */
static ph_code
run(struct ph_repair *repair, const struct ph_buf *sql, int n_params, const char *const *values,
    uint64_t rows, struct ph_error *err)
{
    struct ph_result *result = NULL;

    if (!ph_buf_ok(sql))
        return no_memory(err);
    PH_TRY(ph_conn_query(repair->params->target, ph_buf_text(sql), n_params, values, &result, err));
    uint64_t hit = (uint64_t)ph_result_affected(result);
    ph_result_free(result);
    if (hit != rows)
        return PH_FAIL(
            err, PH_E_DIFFERENT,
            "a statement hit %llu rows instead of %llu: a trigger, rule or policy of the "
            "target interferes",
            (unsigned long long)hit, (unsigned long long)rows);
    return PH_OK;
}

/* ---- deleting ---- */

static int
compare_places(const void *a, const void *b)
{
    const struct ph_row_place *place_a = a;
    const struct ph_row_place *place_b = b;

    if (place_a->relid != place_b->relid)
        return place_a->relid < place_b->relid ? -1 : 1;
    if (place_a->block != place_b->block)
        return place_a->block < place_b->block ? -1 : 1;
    return place_a->offset < place_b->offset ? -1 : place_a->offset > place_b->offset;
}

/* n places of one relation */
static ph_code
delete_some(struct ph_repair *repair, const struct ph_row_place *places, uint32_t n,
            struct ph_error *err)
{
    struct ph_buf sql;
    char tid[PH_ROW_PLACE_SIZE];

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "DELETE FROM ");
    ph_row_scan_put_from(target_of(repair), PH_TARGET, &sql);
    ph_buf_printf(&sql, " WHERE tableoid = %u AND ctid = ANY ('{", places[0].relid);
    for (uint32_t i = 0; i < n; i++) {
        ph_row_place_text(places[i], tid);
        ph_buf_printf(&sql, "%s\"%s\"", i == 0 ? "" : ",", tid);
    }
    ph_buf_puts(&sql, "}'::pg_catalog.tid[])");
    ph_code rc = run(repair, &sql, 0, NULL, n, err);
    repair->out->deleted += n;
    ph_buf_free(&sql);
    return rc;
}

static ph_code
delete_all(struct ph_repair *repair, struct ph_row_place *places, uint32_t n, struct ph_error *err)
{
    qsort(places, n, sizeof *places, compare_places);
    for (uint32_t i = 0, some; i < n; i += some) {
        some = 1;
        while (i + some < n && some < DELETED_AT_A_TIME &&
               places[i + some].relid == places[i].relid)
            some++;
        PH_TRY(ph_stop_check(err));
        PH_TRY(delete_some(repair, &places[i], some, err));
    }
    return PH_OK;
}

/* Of equal rows the comparison kept the place of one only; the others are looked for. */
struct collector {
    struct ph_diff_table wanted; /* balance: how many are still to be found */
    struct ph_row_place *places;
    uint32_t n;
};

static ph_code
collect(void *arg, const struct ph_scanned_row *row, struct ph_error *err)
{
    struct collector *collector = arg;
    struct ph_diff_entry *entry = ph_diff_table_find(&collector->wanted, row);

    (void)err;
    if (entry == NULL || entry->balance <= 0 || collector->n == COLLECTED_AT_A_TIME)
        return PH_OK;
    entry->balance--;
    collector->places[collector->n++] = row->place;
    return PH_OK;
}

static ph_code
collect_and_delete(struct ph_repair *repair, struct collector *collector, struct ph_error *err)
{
    struct ph_row_scan_params scan = {
        .conn = repair->params->target,
        .table = target_of(repair),
        .side = PH_TARGET,
        .max_row_bytes = repair->diff.max_row_bytes,
    };

    do {
        collector->n = 0;
        PH_TRY(ph_row_scan(&scan, collect, collector, err));
        PH_TRY(delete_all(repair, collector->places, collector->n, err));
    } while (collector->n == COLLECTED_AT_A_TIME);
    return PH_OK;
}

/* Whose place belongs to a changed row is left for the next round. */
static bool
is_deleted(const struct ph_row_difference *difference)
{
    return difference->kind == PH_DIFF_EXTRA && !difference->is_shared;
}

static bool
is_many(const struct ph_row_difference *difference)
{
    return is_deleted(difference) && difference->count > 1;
}

static ph_code
delete_equal_rows(struct ph_repair *repair, const struct ph_row_diff *diff, struct ph_error *err)
{
    struct collector collector = {.places = NULL};
    bool any = false;
    ph_code rc = PH_OK;

    for (uint32_t i = 0; i < diff->n_listed && !any; i++)
        any = is_many(&diff->list[i]);
    if (!any)
        return PH_OK;
    collector.places = malloc(COLLECTED_AT_A_TIME * sizeof *collector.places);
    if (collector.places == NULL ||
        !ph_diff_table_init(&collector.wanted, repair->diff.budget_bytes / 4))
        rc = no_memory(err);
    for (uint32_t i = 0; rc == PH_OK && i < diff->n_listed; i++) {
        struct ph_scanned_row row = {.key_hash = diff->list[i].key_hash,
                                     .hash = diff->list[i].hash};
        /* what does not fit is found again in the next round */
        if (is_many(&diff->list[i]) && ph_diff_table_add(&collector.wanted, PH_TARGET, &row))
            ph_diff_table_find(&collector.wanted, &row)->balance = (int64_t)diff->list[i].count;
    }
    if (rc == PH_OK)
        rc = collect_and_delete(repair, &collector, err);
    ph_diff_table_free(&collector.wanted);
    free(collector.places);
    return rc;
}

/* ---- rows of the source ---- */

static bool
is_written(const struct ph_plan_column *column)
{
    return column->target->generated == '\0';
}

static void
put_columns(const struct ph_table_plan *table, enum ph_side side, struct ph_buf *sql)
{
    const char *comma = "";

    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (!is_written(&table->columns[i]))
            continue;
        ph_buf_puts(sql, comma);
        ph_buf_put_ident(sql, side == PH_SOURCE ? table->columns[i].source_name
                                                : table->columns[i].target_name);
        comma = ", ";
    }
}

static int
count_written(const struct ph_table_plan *table)
{
    int n = 0;

    for (uint32_t i = 0; i < table->n_columns; i++)
        n += is_written(&table->columns[i]);
    return n;
}

/* The row's values as text; `values` point into *result. */
static ph_code
fetch(struct ph_repair *repair, struct ph_row_place place, struct ph_result **result,
      const char **values, struct ph_error *err)
{
    const struct ph_table_plan *table = ph_row_diff_table_of(&repair->diff, place);
    int n = count_written(table);
    struct ph_buf sql;
    char tid[PH_ROW_PLACE_SIZE];

    ph_row_place_text(place, tid);
    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "SELECT ");
    put_columns(table, PH_SOURCE, &sql);
    ph_buf_puts(&sql, " FROM ");
    ph_row_scan_put_from(table, PH_SOURCE, &sql);
    ph_buf_printf(&sql, " WHERE tableoid = %u AND ctid = '%s'", place.relid, tid);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_query(repair->params->source, ph_buf_text(&sql), 0, NULL,
                                                 result, err)
                                 : no_memory(err);
    ph_buf_free(&sql);
    PH_TRY(rc);
    if (ph_result_rows(*result) != 1)
        return PH_FAIL(err, PH_E_INTERNAL, "a row of the source is gone under its snapshot");
    for (int i = 0; i < n; i++)
        values[i] = ph_result_is_null(*result, 0, i) ? NULL : ph_result_text(*result, 0, i);
    return PH_OK;
}

/* ---- inserting and updating ---- */

static ph_code
insert(struct ph_repair *repair, const char *const *values, uint64_t times, struct ph_error *err)
{
    const struct ph_table_plan *table = target_of(repair);
    int n = count_written(table);
    struct ph_buf sql;
    ph_code rc = PH_OK;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "INSERT INTO ");
    ph_buf_put_qualified(&sql, table->target->schema, table->target->name);
    if (n > 0) {
        ph_buf_puts(&sql, " (");
        put_columns(table, PH_TARGET, &sql);
        ph_buf_puts(&sql, ") OVERRIDING SYSTEM VALUE VALUES (");
        for (int i = 0; i < n; i++)
            ph_buf_printf(&sql, "%s$%d", i == 0 ? "" : ", ", i + 1);
        ph_buf_putc(&sql, ')');
    } else {
        ph_buf_puts(&sql, " DEFAULT VALUES");
    }
    for (uint64_t i = 0; rc == PH_OK && i < times; i++)
        rc = run(repair, &sql, n, values, 1, err);
    ph_buf_free(&sql);
    return rc;
}

/* What cannot be assigned stays; the comparison that follows tells when it differs. */
static bool
is_assigned(const struct ph_plan_column *column)
{
    return is_written(column) && column->target->identity != 'a';
}

/* SET … of what is assigned, whose values are moved up in `values`; how many. */
static int
put_assignments(const struct ph_table_plan *table, const char **values, struct ph_buf *sql)
{
    int n = 0;

    for (uint32_t i = 0, written = 0; i < table->n_columns; i++) {
        if (!is_written(&table->columns[i]))
            continue;
        const char *value = values[written++];
        if (!is_assigned(&table->columns[i]))
            continue;
        ph_buf_puts(sql, n == 0 ? "" : ", ");
        ph_buf_put_ident(sql, table->columns[i].target_name);
        values[n] = value;
        ph_buf_printf(sql, " = $%d", ++n);
    }
    return n;
}

static ph_code
update(struct ph_repair *repair, struct ph_row_place place, const char **values,
       struct ph_error *err)
{
    const struct ph_table_plan *table = target_of(repair);
    struct ph_buf sql;
    char tid[PH_ROW_PLACE_SIZE];

    ph_row_place_text(place, tid);
    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "UPDATE ");
    ph_row_scan_put_from(table, PH_TARGET, &sql);
    ph_buf_puts(&sql, " SET ");
    int n = put_assignments(table, values, &sql);
    ph_buf_printf(&sql, " WHERE tableoid = %u AND ctid = '%s'", place.relid, tid);
    ph_code rc = n > 0 ? run(repair, &sql, n, values, 1, err) : PH_OK;
    ph_buf_free(&sql);
    return rc;
}

/*
 * Deleting and inserting works for swapped unique values and for identity columns too; but where
 * foreign keys act it would touch the rows that refer to it, and what the target has in columns of
 * its own would go with the row.
 */
static bool
is_replaced(const struct ph_repair *repair)
{
    return repair->params->mode == PH_REPAIR_REPLICA &&
           ph_plan_first_own(target_of(repair)) == NULL;
}

static ph_code
write_row(struct ph_repair *repair, const struct ph_row_difference *difference, bool replaced,
          struct ph_error *err)
{
    struct ph_result *result = NULL;
    const char **values = calloc((size_t)target_of(repair)->n_columns + 1, sizeof *values);
    ph_code rc = values == NULL ? no_memory(err) : PH_OK;

    if (rc == PH_OK)
        rc = fetch(repair, difference->source, &result, values, err);
    if (rc == PH_OK && difference->kind == PH_DIFF_CHANGED && !replaced)
        rc = update(repair, difference->target, values, err);
    else if (rc == PH_OK)
        rc = insert(repair, values, difference->count, err);
    ph_result_free(result);
    free(values);
    return rc;
}

static ph_code
delete_rows(struct ph_repair *repair, const struct ph_row_diff *diff, bool replaced,
            struct ph_error *err)
{
    struct ph_row_place *places = malloc(((size_t)diff->n_listed + 1) * sizeof *places);
    uint64_t deleted = repair->out->deleted;
    uint64_t n_replaced = 0;
    uint32_t n = 0;

    if (places == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < diff->n_listed; i++) {
        const struct ph_row_difference *difference = &diff->list[i];
        bool is_changed = difference->kind == PH_DIFF_CHANGED;
        if ((is_deleted(difference) && difference->count == 1) || (is_changed && replaced)) {
            places[n++] = difference->target;
            n_replaced += is_changed;
        }
    }
    ph_code rc = delete_all(repair, places, n, err);
    repair->out->deleted = deleted + n - n_replaced;
    free(places);
    return rc == PH_OK ? delete_equal_rows(repair, diff, err) : rc;
}

static ph_code
write_kind(struct ph_repair *repair, const struct ph_row_diff *diff, enum ph_diff_kind kind,
           bool replaced, struct ph_error *err)
{
    for (uint32_t i = 0; i < diff->n_listed; i++) {
        if (diff->list[i].kind != kind)
            continue;
        PH_TRY(ph_stop_check(err));
        PH_TRY(write_row(repair, &diff->list[i], replaced, err));
        if (kind == PH_DIFF_CHANGED)
            repair->out->updated++;
        else
            repair->out->inserted += diff->list[i].count;
    }
    return PH_OK;
}

/* In this order values of unique columns are free before they are given to other rows. */
ph_code
ph_repair_apply(struct ph_repair *repair, const struct ph_row_diff *diff, struct ph_error *err)
{
    bool replaced = is_replaced(repair);

    PH_TRY(delete_rows(repair, diff, replaced, err));
    PH_TRY(write_kind(repair, diff, PH_DIFF_CHANGED, replaced, err));
    return write_kind(repair, diff, PH_DIFF_MISSING, replaced, err);
}

/* ---- what acts on rows by itself ---- */

/* `field`: the statement to run for each that is the role's to change. */
static ph_code
alter_acting(struct ph_repair *repair, const struct ph_result *acting, enum ph_acting_field field,
             struct ph_error *err)
{
    for (int i = 0; i < ph_result_rows(acting); i++) {
        if (ph_result_bool(acting, i, PH_ACTING_IS_OURS))
            PH_TRY(
                ph_conn_exec(repair->params->target, ph_result_text(acting, i, (int)field), err));
    }
    return PH_OK;
}

static bool
is_any(const struct ph_result *acting, bool is_ours)
{
    for (int i = 0; acting != NULL && i < ph_result_rows(acting); i++) {
        if (ph_result_bool(acting, i, PH_ACTING_IS_OURS) == is_ours)
            return true;
    }
    return false;
}

ph_code
ph_repair_set_aside(struct ph_repair *repair, struct ph_result **acting, struct ph_error *err)
{
    char tables[16];

    snprintf(tables, sizeof tables, "{%u}", target_of(repair)->target->oid);
    PH_TRY(ph_acting_list(repair->params->target, tables, repair->params->mode == PH_REPAIR_REPLICA,
                          acting, err));
    repair->out->triggers_fired = is_any(*acting, false);
    return alter_acting(repair, *acting, PH_ACTING_SUSPEND, err);
}

ph_code
ph_repair_put_back(struct ph_repair *repair, const struct ph_result *acting, struct ph_error *err)
{
    if (!is_any(acting, true))
        return PH_OK;
    /* with checks still waiting the server would refuse to alter the table */
    PH_TRY(ph_conn_exec(repair->params->target, "SET CONSTRAINTS ALL IMMEDIATE", err));
    return alter_acting(repair, acting, PH_ACTING_RESTORE, err);
}
