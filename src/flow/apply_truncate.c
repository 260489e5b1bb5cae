/*
 * TRUNCATE of the stream: one statement on the target, of the tables that count. What the source's
 * table has on the target must be all that is there, but for rows that the job preserves.
 */
#include <stdlib.h>

#include "flow/applier_parts.h"
#include "pg/ledger_team.h"
#include "rules/ruleset.h"

#define SQL_LIMIT ((size_t)1 << 20)

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

/* ---- foreign keys of the target ---- */

static bool
is_among(const struct ph_catalog *target, const struct truncated *all, ph_oid oid)
{
    for (uint32_t i = 0; i < all->n; i++) {
        if (ph_catalog_is_within(target, oid, all->tables[i]->target->oid))
            return true;
    }
    return false;
}

/* The key is one of the table, or of what it is a partition of, or of a partition of it. */
static bool
refers_to_any(const struct ph_catalog *target, const struct truncated *all, ph_oid referenced)
{
    for (uint32_t i = 0; i < all->n; i++) {
        if (ph_catalog_is_within(target, all->tables[i]->target->oid, referenced))
            return true;
    }
    return is_among(target, all, referenced);
}

static bool
has_all_parts(const struct ph_catalog *target, const struct truncated *all, ph_oid root)
{
    const struct ph_rel *rel = ph_catalog_rel(target, root);

    if (rel == NULL || rel->kind != PH_REL_PARTITIONED)
        return false;
    for (uint32_t i = 0; i < target->n_rels; i++) {
        rel = &target->rels[i];
        if (rel->kind != PH_REL_PARTITIONED && ph_catalog_is_within(target, rel->oid, root) &&
            !is_among(target, all, rel->oid))
            return false;
    }
    return true;
}

/*
 * The server wants to have named what refers to the tables, whether or not keys are enforced. That
 * is a partitioned table where the stream only has its partitions: *roots gets those of which it
 * has all. False: another table refers to them, of which the source has nothing or not all.
 */
static bool
name_referring(const struct ph_catalog *target, const struct truncated *all, struct ph_buf *roots)
{
    for (uint32_t i = 0; i < target->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &target->foreign_keys[i];
        if (!refers_to_any(target, all, key->ref_oid) || is_among(target, all, key->rel_oid))
            continue;
        if (!has_all_parts(target, all, key->rel_oid))
            return false;
        const struct ph_rel *root = ph_catalog_rel(target, key->rel_oid);
        ph_buf_puts(roots, ", ");
        ph_buf_put_qualified(roots, root->schema, root->name);
    }
    return true;
}

/* Something stays. */
static bool
keeps_rows(const struct truncated *all)
{
    for (uint32_t i = 0; i < all->n; i++) {
        const struct ph_table_plan *table = all->tables[i]->plan;
        if (table->route != NULL && table->where[PH_TARGET] != NULL)
            return true;
    }
    return all->has_ranges;
}

/* ---- checks that wait ---- */

static bool
has_deferrable_index(const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        if (!rel->indexes[i].is_immediate)
            return true;
    }
    return false;
}

/* Something that was done to the tables may still have to be checked. */
static bool
may_wait(const struct ph_applier *applier, const struct truncated *all)
{
    const struct ph_catalog *target = applier->params.tables.target;

    if (!applier->params.tables.enforces_keys)
        return false;
    for (uint32_t i = 0; i < target->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &target->foreign_keys[i];
        if (key->deferrable &&
            (refers_to_any(target, all, key->rel_oid) || refers_to_any(target, all, key->ref_oid)))
            return true;
    }
    for (uint32_t i = 0; i < target->n_rels; i++) {
        if (has_deferrable_index(&target->rels[i]) && is_among(target, all, target->rels[i].oid))
            return true;
    }
    return false;
}

/*
 * The server does not truncate a table while something is still to be checked of it. The source had
 * nothing left to check there, but here more waits than there; and to check it now would be too
 * early for what the source itself left for its COMMIT. Then the rows are deleted.
 */
static void
put_truncate_or_deletes(const struct ph_applier *applier, const struct truncated *all,
                        const char *roots, bool restart_identity, struct ph_buf *sql)
{
    struct ph_buf body;

    ph_buf_init(&body, SQL_LIMIT);
    ph_buf_puts(&body, "DECLARE pghaul_one pg_catalog.int4; BEGIN ");
    ph_apply_put_truncate(all->tables, all->n, roots, restart_identity, &body);
    ph_buf_puts(&body, "; EXCEPTION WHEN object_in_use THEN ");
    put_deletes(applier, all, &body);
    ph_buf_puts(&body, " INTO pghaul_one; END");
    ph_buf_puts(sql, "DO LANGUAGE plpgsql ");
    ph_buf_put_literal(sql, ph_buf_text(&body));
    sql->failed |= !ph_buf_ok(&body);
    ph_buf_free(&body);
}

/* `is_whole`: these are all that the source named. */
static ph_code
put_emptying(const struct ph_applier *applier, const struct truncated *all, bool is_whole,
             bool restart_identity, struct ph_buf *sql, struct ph_error *err)
{
    struct ph_buf roots;

    ph_buf_init(&roots, SQL_LIMIT);
    if (!is_whole || keeps_rows(all) || !name_referring(applier->params.tables.target, all, &roots))
        put_deletes(applier, all, sql);
    else if (may_wait(applier, all))
        put_truncate_or_deletes(applier, all, ph_buf_text(&roots), restart_identity, sql);
    else
        ph_apply_put_truncate(all->tables, all->n, ph_buf_text(&roots), restart_identity, sql);
    bool is_ok = ph_buf_ok(&roots) && ph_buf_ok(sql);
    ph_buf_free(&roots);
    return is_ok ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* ---- the tables ---- */

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
add_rel(struct ph_applier *applier, bool is_filtered, const struct ph_stream_rel *rel,
        struct truncated *all, struct ph_error *err)
{
    struct ph_apply_place *place;
    uint32_t before = all->n;
    uint32_t others = 0; /* no foreign keys lead from or to these */
    uint32_t n;

    PH_TRY(ph_applier_places(applier, rel, &place, &n, err));
    for (uint32_t i = 0; i < n; i++, place = ph_apply_place_next(place)) {
        struct ph_routed_table to;
        enum ph_epoch_verdict verdict;
        PH_TRY(ph_applier_table(applier, all->txn, is_filtered, rel, place, &verdict, &to, err));
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
    const struct ph_change *change = &event->event->change;
    struct truncated all = {.txn = &event->txn};
    ph_code rc = PH_OK;

    for (uint32_t i = 0; rc == PH_OK && i < change->n_truncated; i++)
        rc = add_rel(applier, is_filtered, ph_txn_reader_rel(reader, change->truncated[i]), &all,
                     err);
    if (rc == PH_OK)
        rc = check_parts(applier, &all, err);
    if (rc == PH_OK && all.n > 0)
        rc = put_emptying(applier, &all, all.n_rels == change->n_truncated,
                          change->restart_identity, sql, err);
    free(all.tables);
    free(all.ranges);
    return rc;
}
