/*
 * Chunks: large tables are split so that workers finish together, by bytes with TOAST in them.
 * Lots: small tables are bundled, since a commit and a receipt each would cost more than their
 * rows.
 *
 * Heap blocks are preferred: they need no statistics and read sequentially, and no index has to be
 * right. Servers before 14 and other access methods cannot read them by range; there, and where it
 * is asked for (docs/decisions/0023), the planner's histogram of the key's first column is used.
 */
#include <string.h>

#include "job/planner_parts.h"
#include "model/type_match.h"
#include "pg/catalog.h"

/* Below it a range of keys has its rows all over the heap: it is not cut so without need. */
#define LEAST_CORRELATION 0.9
#define MIN_CHUNK_BYTES ((uint64_t)16 << 20)
#define MAX_CHUNKS_A_TABLE 10000u
#define CHUNKS_A_JOB 4u
#define LOT_BYTES ((uint64_t)8 << 20)
#define LOT_CHUNKS 100u
/* Below this FREEZE saves less than its TRUNCATE costs. */
#define MIN_FREEZE_BYTES ((uint64_t)1 << 20)

struct split {
    enum ph_chunk_kind kind;
    uint32_t n;
    const char **bounds; /* n - 1 of them, between the chunks */
};

/* A --split that was given small is meant so; what follows from the number of lanes has a floor. */
static uint64_t
chunk_bytes(const struct ph_planner *planner)
{
    uint64_t share = planner->plan->bytes / ((uint64_t)planner->params->jobs * CHUNKS_A_JOB);
    uint64_t bytes = share < MIN_CHUNK_BYTES ? MIN_CHUNK_BYTES : share;

    return bytes < planner->params->split_bytes ? bytes : planner->params->split_bytes;
}

/* Types whose literals compare as their values do in every locale. */
static bool
has_plain_order(const struct ph_catalog *catalog, const struct ph_column *column)
{
    static const char *const names[] = {"int2", "int4",      "int8",        "oid",
                                        "uuid", "timestamp", "timestamptz", "date"};
    const struct ph_type *type = ph_type_base(catalog, column->type_oid);

    if (type == NULL || strcmp(type->schema, "pg_catalog") != 0)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(type->name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Without an index that begins with the column each chunk would read the whole table. */
bool
ph_planner_is_range_column(const struct ph_catalog *catalog, const struct ph_rel *rel,
                           const struct ph_column *column)
{
    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (index->is_unique && index->is_valid && !index->is_partial &&
            index->key_attnums[0] == column->attnum)
            return has_plain_order(catalog, column);
    }
    return false;
}

static ph_code
split_by_blocks(struct ph_planner *planner, const struct ph_table_plan *table, uint32_t n,
                struct split *out)
{
    uint64_t pages = table->source->pages;

    if (n > pages)
        n = (uint32_t)pages;
    *out = (struct split){
        .kind = PH_CHUNK_CTID, .n = n, .bounds = PH_ARENA_ARRAY(planner->arena, const char *, n)};
    if (out->bounds == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 1; i < n; i++) {
        out->bounds[i - 1] =
            ph_arena_printf(planner->arena, "%llu", (unsigned long long)(pages * i / n));
        if (out->bounds[i - 1] == NULL)
            return ph_planner_no_memory(planner);
    }
    return PH_OK;
}

/* Bounds of the histogram at even distances; equal neighbours (a value that fills several) once. */
static ph_code
split_by_key(struct ph_planner *planner, const struct ph_table_plan *table, uint32_t n,
             struct split *out)
{
    const struct ph_column *column = table->columns[table->key_fields[0]].source;
    const char *const *histogram;
    uint32_t n_histogram;

    PH_TRY(ph_catalog_read_histogram(planner->params->source_conn, table->source, column,
                                     planner->arena, &histogram, &n_histogram, planner->err));
    if (n_histogram < 3)
        return PH_OK;
    if (n > n_histogram - 1)
        n = n_histogram - 1;
    const char **bounds = PH_ARENA_ARRAY(planner->arena, const char *, n);
    if (bounds == NULL)
        return ph_planner_no_memory(planner);
    uint32_t n_bounds = 0;
    for (uint32_t i = 1; i < n; i++) {
        const char *bound = histogram[(uint64_t)(n_histogram - 1) * i / n];
        if (n_bounds == 0 || strcmp(bounds[n_bounds - 1], bound) != 0)
            bounds[n_bounds++] = bound;
    }
    if (n_bounds > 0)
        *out = (struct split){.kind = PH_CHUNK_KEY, .n = n_bounds + 1, .bounds = bounds};
    return PH_OK;
}

static bool
can_split_by_blocks(const struct ph_planner *planner, const struct ph_rel *source)
{
    return planner->source->version_num >= 140000 && source->pages > 1 &&
           source->access_method != NULL && strcmp(source->access_method, "heap") == 0;
}

static bool
can_split_by_key(const struct ph_planner *planner, const struct ph_table_plan *table)
{
    return planner->params->source_conn != NULL && table->n_key_fields > 0 &&
           table->inputs == NULL &&
           ph_planner_is_range_column(planner->source, table->source,
                                      table->columns[table->key_fields[0]].source);
}

/* Where there is the choice. */
static ph_code
prefers_key(struct ph_planner *planner, const struct ph_table_plan *table, bool *prefers)
{
    double correlation = 0;

    *prefers = false;
    if (planner->params->split_by != PH_SPLIT_BY_KEY || !can_split_by_key(planner, table))
        return PH_OK;
    PH_TRY(ph_catalog_read_correlation(planner->params->source_conn, table->source,
                                       table->columns[table->key_fields[0]].source, &correlation,
                                       planner->err));
    *prefers = correlation >= LEAST_CORRELATION;
    return PH_OK;
}

static ph_code
split_table(struct ph_planner *planner, const struct ph_table_plan *table, uint64_t aim_bytes,
            struct split *out)
{
    bool by_blocks = can_split_by_blocks(planner, table->source);
    bool by_key = !by_blocks && can_split_by_key(planner, table);
    uint64_t n = (table->bytes + aim_bytes / 2) / aim_bytes;

    *out = (struct split){.kind = PH_CHUNK_WHOLE, .n = 1};
    if (n < 2 || ph_plan_is_config(table) || table->in_one_lot || table->join != NULL)
        return PH_OK;
    if (n > MAX_CHUNKS_A_TABLE)
        n = MAX_CHUNKS_A_TABLE;
    if (by_blocks)
        PH_TRY(prefers_key(planner, table, &by_key));
    if (by_key)
        PH_TRY(split_by_key(planner, table, (uint32_t)n, out));
    return by_blocks && out->n == 1 ? split_by_blocks(planner, table, (uint32_t)n, out) : PH_OK;
}

static void
add_chunks(struct ph_plan *plan, struct ph_table_plan *table, const struct split *split)
{
    table->first_chunk = plan->n_chunks;
    table->n_chunks = split->n;
    for (uint32_t i = 0; i < split->n; i++) {
        plan->chunks[plan->n_chunks++] = (struct ph_chunk){
            .table = table->index,
            .number = i,
            .kind = split->kind,
            .lo = i == 0 ? NULL : split->bounds[i - 1],
            .hi = i + 1 == split->n ? NULL : split->bounds[i],
            .bytes = table->bytes / split->n,
        };
    }
}

/* The relation itself or a partitioned table above it is what a foreign key refers to. */
static bool
is_referenced(const struct ph_catalog *catalog, const struct ph_rel *rel)
{
    while (rel != NULL) {
        for (uint32_t i = 0; i < catalog->n_foreign_keys; i++) {
            if (catalog->foreign_keys[i].ref_oid == rel->oid)
                return true;
        }
        rel = rel->is_partition ? ph_catalog_rel(catalog, rel->parent_oid) : NULL;
    }
    return false;
}

/* Without a target yet there are no foreign keys on it when rows go in: they come last. */
static bool
may_freeze(const struct ph_planner *planner, const struct ph_table_plan *table)
{
    return planner->params->freeze == PH_FREEZE_WHERE_SAFE && table->n_chunks == 1 &&
           table->where[PH_TARGET] == NULL && table->bytes > MIN_FREEZE_BYTES &&
           table->target->kind == PH_REL_TABLE && !table->target->has_inheritance_children &&
           (planner->params->target == NULL || !is_referenced(planner->target, table->target));
}

/*
 * A lot never mixes levels, a table that is truncated with its rows goes alone, and tables whose
 * keys wait for the commit go together, whatever their size.
 */
static bool
joins_lot(const struct ph_table_plan *table, const struct ph_table_plan *last, uint64_t bytes,
          uint32_t chunks)
{
    if (last == NULL)
        return false;
    if (table->in_one_lot || last->in_one_lot)
        return table->in_one_lot && last->in_one_lot && table->group == last->group;
    return chunks < LOT_CHUNKS && bytes <= LOT_BYTES && !table->freeze && !last->freeze &&
           (!table->ordered_by_fk || table->level == last->level);
}

static void
set_lots(struct ph_plan *plan)
{
    const struct ph_table_plan *last = NULL;
    uint64_t bytes = 0;
    uint32_t chunks = 0;

    for (uint32_t i = 0; i < plan->n_chunks; i++) {
        struct ph_chunk *chunk = &plan->chunks[i];
        const struct ph_table_plan *table = &plan->tables[chunk->table];
        if (!joins_lot(table, last, bytes + chunk->bytes, chunks)) {
            plan->n_lots++;
            bytes = 0;
            chunks = 0;
        }
        chunk->lot = plan->n_lots - 1;
        bytes += chunk->bytes;
        chunks++;
        last = table;
    }
}

ph_code
ph_planner_chunks(struct ph_planner *planner)
{
    struct ph_plan *plan = planner->plan;
    struct split *splits = PH_ARENA_ARRAY(planner->arena, struct split, (size_t)plan->n_tables + 1);
    uint64_t aim_bytes = chunk_bytes(planner);
    size_t n_chunks = 0;

    if (splits == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        PH_TRY(split_table(planner, &plan->tables[i], aim_bytes, &splits[i]));
        n_chunks += splits[i].n;
    }
    plan->chunks = PH_ARENA_ARRAY(planner->arena, struct ph_chunk, n_chunks + 1);
    if (plan->chunks == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        add_chunks(plan, &plan->tables[i], &splits[i]);
        plan->tables[i].freeze = may_freeze(planner, &plan->tables[i]);
    }
    set_lots(plan);
    return PH_OK;
}
