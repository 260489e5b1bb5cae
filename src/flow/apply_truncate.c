/*
 * TRUNCATE of the stream: one statement on the target, of the tables that count. What the source's
 * table has on the target must be all that is there, but for rows that the job preserves.
 */
#include <stdlib.h>

#include "flow/applier_parts.h"
#include "pg/ledger_team.h"
#include "rules/ruleset.h"

struct truncated {
    const struct ph_source_txn *txn;
    const struct ph_apply_table **tables;
    const struct ph_epoch_ranges **ranges; /* of each, where not all of them lack it; or NULL */
    bool has_ranges;
    uint32_t n;
    uint32_t room;
    uint32_t n_rels; /* of the source, that have tables among these, or that other workers empty */
};

static ph_code
refuse_part(const struct ph_apply_table *table, struct ph_error *err)
{
    const struct ph_rel *source = table->plan->source;

    if (table->is_part && table->plan->route == NULL)
        ph_error_set(err, PH_E_UNSUPPORTED,
                     "TRUNCATE of a single partition whose rows are among others on the target");
    else
        ph_error_set(err, PH_E_UNSUPPORTED,
                     "TRUNCATE of a table whose rows are among those of others in %s",
                     table->label);
    ph_error_object(err, "%s.%s", source->schema, source->name);
    ph_error_hint(err, "%s",
                  "delete its rows on the target, then leave it out or begin anew "
                  "with --restart");
    return PH_E_UNSUPPORTED;
}

/*
 * One partition of the source, or a table that is a partition on the target only, is not to be told
 * from others in the target's root, nor one of several tables that the rules bring together:
 * TRUNCATE of that only when all that has its rows there is truncated. No target of the plan lies
 * within another one.
 */
static ph_code
check_parts(const struct ph_applier *applier, const struct truncated *all, struct ph_error *err)
{
    const struct ph_plan *plan = applier->params.tables.plan;

    for (uint32_t i = 0; i < all->n; i++) {
        const struct ph_apply_table *table = all->tables[i];
        uint32_t planned = 0;
        uint32_t named = 0;
        for (uint32_t j = 0; j < plan->n_tables; j++)
            planned += plan->tables[j].target == table->target;
        for (uint32_t j = 0; j < all->n; j++)
            named += all->tables[j]->target == table->target;
        if (planned != named)
            return refuse_part(table, err);
    }
    return PH_OK;
}

/* Those whose copy has rows that were truncated. There is no other condition on such a table. */
static void
put_ranges(const struct ph_applier *applier, const struct truncated *all, uint32_t at,
           struct ph_buf *sql)
{
    const struct ph_epoch_ranges *ranges = all->ranges[at];
    const struct ph_table_plan *table = all->tables[at]->plan;
    const struct ph_chunk *chunks = applier->params.tables.plan->chunks + table->first_chunk;
    const char *word = " WHERE (";

    for (uint32_t i = 0; i < ranges->n; i++) {
        if (ph_epoch_filter_decide_in(applier->params.filter, all->txn, ranges, i) !=
            PH_EPOCH_APPLY)
            continue;
        ph_buf_puts(sql, word);
        ph_plan_put_key_range(table->columns[table->key_fields[0]].target_name, &chunks[i], sql);
        word = ") OR (";
    }
    ph_buf_putc(sql, ')');
}

/*
 * Tables that foreign keys of others refer to can only be emptied row by row: a part of what the
 * source truncated at once, or where rules made other keys. One statement, for the pipeline.
 */
static void
put_deletes(const struct ph_applier *applier, const struct truncated *all, struct ph_buf *sql)
{
    for (uint32_t i = 0; i < all->n; i++) {
        const char *where = all->tables[i]->plan->where[PH_TARGET];
        ph_buf_printf(sql, "%s d%u AS (DELETE FROM %s%s%s", i == 0 ? "WITH" : ",", i,
                      all->tables[i]->target_sql, where != NULL ? " " : "",
                      where != NULL ? where : "");
        if (all->ranges[i] != NULL)
            put_ranges(applier, all, i, sql);
        ph_buf_putc(sql, ')');
    }
    ph_buf_puts(sql, " SELECT 1");
}

static bool
is_among(const struct truncated *all, ph_oid target)
{
    for (uint32_t i = 0; i < all->n; i++) {
        if (all->tables[i]->target->oid == target)
            return true;
    }
    return false;
}

/* Something stays, or the target's keys refer to it from tables that the source did not name. */
static bool
needs_deletes(const struct ph_applier *applier, const struct truncated *all)
{
    const struct ph_catalog *target = applier->params.tables.target;

    if (all->has_ranges)
        return true;
    for (uint32_t i = 0; i < all->n; i++) {
        const struct ph_apply_table *table = all->tables[i];
        if (table->plan->route == NULL)
            continue;
        if (table->plan->where[PH_TARGET] != NULL)
            return true;
        for (uint32_t j = 0; j < target->n_foreign_keys; j++) {
            if (target->foreign_keys[j].ref_oid == table->target->oid &&
                !is_among(all, target->foreign_keys[j].rel_oid))
                return true;
        }
    }
    return false;
}

/* Both arrays have the same room. */
static ph_code
make_room(struct truncated *all, struct ph_error *err)
{
    uint32_t room = all->room == 0 ? 16 : all->room * 2;

    if (all->n < all->room)
        return PH_OK;
    const struct ph_apply_table **tables = realloc(all->tables, room * sizeof *tables);
    if (tables != NULL)
        all->tables = tables;
    const struct ph_epoch_ranges **ranges = realloc(all->ranges, room * sizeof *ranges);
    if (ranges != NULL)
        all->ranges = ranges;
    if (tables == NULL || ranges == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    all->room = room;
    return PH_OK;
}

static ph_code
add_table(struct truncated *all, const struct ph_apply_table *table,
          const struct ph_epoch_ranges *ranges, struct ph_error *err)
{
    PH_TRY(make_room(all, err));
    all->tables[all->n] = table;
    all->ranges[all->n++] = ranges;
    all->has_ranges |= ranges != NULL;
    return PH_OK;
}

static ph_code
add_rel(struct ph_applier *applier, const struct ph_source_txn *filtered,
        const struct ph_stream_rel *rel, struct truncated *all, struct ph_error *err)
{
    struct ph_apply_place *place;
    uint32_t before = all->n;
    uint32_t others = 0; /* no foreign keys lead from or to these */
    uint32_t n;

    PH_TRY(ph_applier_places(applier, rel, &place, &n, err));
    for (uint32_t i = 0; i < n; i++, place = ph_apply_place_next(place)) {
        struct ph_routed_table to;
        enum ph_epoch_verdict verdict;
        PH_TRY(ph_applier_table(applier, filtered, rel, place, &verdict, &to, err));
        if (to.table != NULL)
            PH_TRY(add_table(all, to.table,
                             verdict == PH_EPOCH_BY_RANGE
                                 ? ph_epoch_filter_ranges(applier->params.filter, rel->oid,
                                                          ph_apply_place_plan(place)->index)
                                 : NULL,
                             err));
        uint32_t worker = ph_applier_worker_of(applier, place);
        others += worker != applier->params.worker && worker != PH_NO_WORKER;
    }
    all->n_rels += n > 0 && all->n - before + others == n;
    return PH_OK;
}

ph_code
ph_applier_put_truncate(struct ph_applier *applier, const struct ph_txn_reader *reader,
                        const struct ph_txn_event *event, bool is_filtered, struct ph_buf *sql,
                        struct ph_error *err)
{
    const struct ph_source_txn *filtered = is_filtered ? &event->txn : NULL;
    const struct ph_change *change = &event->event->change;
    struct truncated all = {.txn = &event->txn};
    ph_code rc = PH_OK;

    for (uint32_t i = 0; rc == PH_OK && i < change->n_truncated; i++)
        rc = add_rel(applier, filtered, ph_txn_reader_rel(reader, change->truncated[i]), &all, err);
    if (rc == PH_OK)
        rc = check_parts(applier, &all, err);
    if (rc == PH_OK && all.n > 0) {
        if (all.n_rels == change->n_truncated && !needs_deletes(applier, &all))
            ph_apply_put_truncate(all.tables, all.n, change->restart_identity, sql);
        else
            put_deletes(applier, &all, sql);
    }
    free(all.tables);
    free(all.ranges);
    if (rc == PH_OK && !ph_buf_ok(sql))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return rc;
}
