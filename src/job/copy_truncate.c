/*
 * --truncate: one statement for all tables, since tables that refer to each other can only be
 * truncated together. Where the target's lock table is too small for that (it needs an entry for
 * every table, its indexes and its TOAST), the families that foreign keys make go one after the
 * other, a few tables at a time; a run that dies half way truncates again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "job/copy_parts.h"

#define LOCK_TABLE_FULL "53200"
#define TABLES_A_STATEMENT 20u

struct item {
    const struct ph_rel *rel;
    uint32_t family; /* number of an item that stands for all that foreign keys join */
};

struct list {
    struct item *items;
    uint32_t n;
    ph_oid *targets; /* the plan's, sorted: thousands of partitions are looked up in them */
    uint32_t n_targets;
};

/* ---- what ---- */

static int
compare_oids(const void *left, const void *right)
{
    ph_oid a = *(const ph_oid *)left;
    ph_oid b = *(const ph_oid *)right;

    return a < b ? -1 : a > b;
}

/* All of its partitions get rows: it can be truncated as one, which keys to or from it may need. */
static bool
is_whole_target(const struct ph_job *job, const struct list *list, ph_oid root)
{
    const struct ph_catalog *target = &job->target_catalog;

    for (uint32_t i = 0; i < target->n_rels; i++) {
        const struct ph_rel *rel = &target->rels[i];
        if (rel->root_oid == root && rel->kind == PH_REL_TABLE &&
            bsearch(&rel->oid, list->targets, list->n_targets, sizeof(ph_oid), compare_oids) ==
                NULL)
            return false;
    }
    return true;
}

static bool
is_listed(const struct list *list, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->items[i].rel == rel)
            return true;
    }
    return false;
}

static void
add_table(const struct ph_job *job, struct list *list, const struct ph_rel *target)
{
    const struct ph_rel *root = ph_catalog_rel(&job->target_catalog, target->root_oid);
    const struct ph_rel *rel = target;

    if (target->is_partition && root != NULL) {
        if (is_listed(list, root))
            return;
        if (is_whole_target(job, list, root->oid))
            rel = root;
    }
    if (!is_listed(list, rel)) {
        list->items[list->n] = (struct item){rel, list->n};
        list->n++;
    }
}

static ph_code
make_list(struct ph_job *job, struct list *list, struct ph_error *err)
{
    uint32_t n = job->plan.n_tables;

    list->items = PH_ARENA_ARRAY(&job->arena, struct item, n + 1u);
    list->targets = PH_ARENA_ARRAY(&job->arena, ph_oid, n + 1u);
    if (list->items == NULL || list->targets == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        if (!job->plan.tables[i].is_beside)
            list->targets[list->n_targets++] = job->plan.tables[i].target->oid;
    }
    qsort(list->targets, list->n_targets, sizeof(ph_oid), compare_oids);
    for (uint32_t i = 0; i < n; i++) {
        if (job->plan.tables[i].where[PH_TARGET] == NULL && !job->plan.tables[i].is_beside)
            add_table(job, list, job->plan.tables[i].target);
    }
    return PH_OK;
}

/* ---- families ---- */

static uint32_t
head_of(const struct list *list, uint32_t item)
{
    while (list->items[item].family != item)
        item = list->items[item].family;
    return item;
}

/* Everything whose tree is one of both belongs together. */
static void
join(struct list *list, ph_oid root, ph_oid other_root)
{
    uint32_t head = UINT32_MAX;

    for (uint32_t i = 0; i < list->n; i++) {
        ph_oid mine = list->items[i].rel->root_oid;
        if (mine != root && mine != other_root)
            continue;
        if (head == UINT32_MAX)
            head = head_of(list, i);
        else
            list->items[head_of(list, i)].family = head;
    }
}

static int
compare_families(const void *left, const void *right)
{
    const struct item *a = left;
    const struct item *b = right;

    return a->family < b->family ? -1 : a->family > b->family;
}

static void
find_families(const struct ph_job *job, struct list *list)
{
    const struct ph_catalog *target = &job->target_catalog;

    for (uint32_t i = 0; i < target->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &target->foreign_keys[i];
        const struct ph_rel *from = ph_catalog_rel(target, key->rel_oid);
        const struct ph_rel *to = ph_catalog_rel(target, key->ref_oid);
        if (from != NULL && to != NULL)
            join(list, from->root_oid, to->root_oid);
    }
    for (uint32_t i = 0; i < list->n; i++)
        list->items[i].family = head_of(list, i);
    qsort(list->items, list->n, sizeof *list->items, compare_families);
}

/* ---- doing it ---- */

static ph_code
run_quietly(struct ph_job *job, const struct ph_buf *sql, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    if (!ph_buf_ok(sql))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_copy_begin_quiet(job, err));
    ph_code rc = ph_conn_exec(conn, ph_buf_text(sql), err);
    PH_FAILPOINT(before_truncate_commit);
    if (rc == PH_OK)
        rc = ph_conn_exec(conn, "COMMIT", err);
    else
        (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    PH_FAILPOINT(after_truncate_commit);
    return rc;
}

static ph_code
truncate_some(struct ph_job *job, const struct item *items, uint32_t n, struct ph_error *err)
{
    struct ph_buf sql;
    ph_code rc = PH_OK;

    if (n == 0)
        return PH_OK;
    ph_buf_init(&sql, (size_t)64 << 20);
    for (uint32_t i = 0; rc == PH_OK && i < n; i++) {
        rc = ph_copy_put_backups(job, items[i].rel, &sql, err);
        if (rc == PH_OK)
            rc = ph_copy_put_preserved(job, items[i].rel, &sql, err);
    }
    ph_buf_puts(&sql, "TRUNCATE ");
    for (uint32_t i = 0; i < n; i++) {
        ph_buf_puts(&sql, i > 0 ? ", " : "");
        ph_copy_put_target(&sql, items[i].rel);
    }
    if (rc == PH_OK)
        rc = run_quietly(job, &sql, err);
    ph_buf_free(&sql);
    return rc;
}

/* A family is never cut. */
static ph_code
truncate_by_families(struct ph_job *job, struct list *list, struct ph_error *err)
{
    uint32_t first = 0;

    find_families(job, list);
    for (uint32_t i = 1; i <= list->n; i++) {
        bool is_end = i == list->n || (i - first >= TABLES_A_STATEMENT &&
                                       list->items[i].family != list->items[i - 1].family);
        if (!is_end)
            continue;
        PH_TRY(truncate_some(job, list->items + first, i - first, err));
        first = i;
    }
    return PH_OK;
}

/* Rows that are none of the copy's stay: what an extension ships, what a rule preserves. */
static ph_code
delete_ours(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        struct ph_buf sql;
        if (table->where[PH_TARGET] == NULL || table->is_beside)
            continue;
        ph_buf_init(&sql, (size_t)1 << 20);
        ph_code rc = ph_copy_put_backups(job, table->target, &sql, err);
        if (rc == PH_OK)
            rc = ph_copy_put_preserved(job, table->target, &sql, err);
        ph_buf_puts(&sql, "DELETE FROM ");
        ph_copy_put_target(&sql, table->target);
        ph_buf_printf(&sql, " %s", table->where[PH_TARGET]);
        if (rc == PH_OK)
            rc = run_quietly(job, &sql, err);
        ph_buf_free(&sql);
        PH_TRY(rc);
    }
    return PH_OK;
}

ph_code
ph_copy_truncate(struct ph_job *job, struct ph_error *err)
{
    struct list list = {0};
    struct ph_error full = {.code = PH_OK};

    PH_TRY(make_list(job, &list, err));
    ph_code rc = truncate_some(job, list.items, list.n, &full);
    if (rc != PH_OK && strcmp(full.sqlstate, LOCK_TABLE_FULL) == 0)
        rc = truncate_by_families(job, &list, err);
    else if (rc != PH_OK && err != NULL)
        *err = full;
    PH_TRY(rc);
    return delete_ours(job, err);
}
