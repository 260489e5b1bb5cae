/*
 * The steps as a whole: the archive's entries placed (ddl_step_place.c), ANALYZE, the rest in
 * batches, REFRESH, and who waits for whom.
 */
#include "pg/ddl_step_build.h"

#include <stdlib.h>
#include <string.h>

#include "pg/ddl.h"

#define ARENA_LIMIT_BYTES ((size_t)1 << 30)
#define REST_BATCH 200u

/* A key made from its index locks the table for a moment: when all its indexes are built. */
static void
keys_after_indexes(struct ph_step_builder *builder)
{
    const struct ph_steps *out = builder->out;

    for (uint32_t e = 0; e < builder->archive->n_entries; e++) {
        const struct ph_step_place *place = &builder->places[e];
        uint32_t key = place->last;

        if (place->first == place->last || out->steps[key].kind != PH_STEP_KEY)
            continue;
        for (uint32_t i = 0; i < out->n_steps; i++) {
            if (out->steps[i].kind == PH_STEP_INDEX && i != place->first &&
                out->steps[i].tables[0].oid == out->steps[key].tables[0].oid)
                ph_builder_add_edge(builder, i, key);
        }
    }
}

static const char *
statement_on(struct ph_step_builder *builder, const char *verb, const struct ph_rel_fact *rel)
{
    struct ph_buf sql;
    const char *text = NULL;

    ph_buf_init(&sql, 4096);
    ph_buf_puts(&sql, verb);
    ph_buf_put_qualified(&sql, rel->schema, rel->name);
    if (ph_buf_ok(&sql))
        text = ph_arena_strdup(builder->arena, ph_buf_text(&sql));
    ph_buf_free(&sql);
    return text;
}

static bool
tree_has_rows(const struct ph_step_builder *builder, const struct ph_rel_fact *rel)
{
    const struct ph_steps_params *params = builder->params;

    if (rel->kind == 'r')
        return params->has_rows(params->arg, rel->oid);
    for (uint32_t i = 0; rel->kind == 'p' && i < builder->facts.n_rels; i++) {
        const struct ph_rel_fact *leaf = &builder->facts.rels[i];

        if (leaf->root == rel->oid && leaf->kind == 'r' && params->has_rows(params->arg, leaf->oid))
            return true;
    }
    return false;
}

/* By relation: whether the copy makes it. NULL without memory. */
static const bool *
find_made(struct ph_step_builder *builder)
{
    const struct ph_archive *archive = builder->archive;
    bool *made = PH_ARENA_ARRAY(&builder->scratch, bool, (size_t)builder->facts.n_rels + 1);

    for (uint32_t i = 0; made != NULL && i < archive->n_entries; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];
        const struct ph_rel_fact *rel = entry->selected && strcmp(entry->desc, "TABLE") == 0
                                            ? ph_ddl_fact_rel(&builder->facts, entry->oid)
                                            : NULL;

        if (rel != NULL)
            made[rel - builder->facts.rels] = true;
    }
    return made;
}

/* ANALYZE of a partitioned table does its partitions as well: what stands for `oid`'s tree. */
static const struct ph_rel_fact *
analysed_with(const struct ph_step_builder *builder, const bool *made, ph_oid oid)
{
    const struct ph_rel_fact *rel = ph_ddl_fact_rel(&builder->facts, oid);
    const struct ph_rel_fact *root =
        rel != NULL ? ph_ddl_fact_rel(&builder->facts, rel->root) : NULL;

    if (root != NULL && made[root - builder->facts.rels])
        return root;
    return rel;
}

static uint32_t
analyze_step(struct ph_step_builder *builder, const struct ph_rel_fact *rel)
{
    uint32_t step = ph_builder_add_step(
        builder,
        (struct ph_step){
            .key = ph_arena_printf(builder->arena, "analyze %s.%s", rel->schema, rel->name),
            .kind = PH_STEP_ANALYZE,
            .optional = true,
            .bytes = rel->bytes / 1000,
            .tables = {ph_builder_table_lock(rel, PH_LOCK_SHARE_UPDATE)},
            .n_tables = 1,
            .sql = ph_builder_one_sql(builder, NULL, "", statement_on(builder, "ANALYZE ", rel)),
            .n_sql = 1,
        });

    ph_builder_wait_for_rows(builder, step, rel);
    return step;
}

/*
 * By relation: whether its ANALYZE has to wait for the rest, where its extended statistics are
 * made. NULL without memory.
 */
static const bool *
find_late(struct ph_step_builder *builder, const bool *made)
{
    const struct ph_archive *archive = builder->archive;
    bool *late = PH_ARENA_ARRAY(&builder->scratch, bool, (size_t)builder->facts.n_rels + 1);

    for (uint32_t i = 0; late != NULL && made != NULL && i < archive->n_entries; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];

        if (!entry->selected || strcmp(entry->desc, "STATISTICS") != 0)
            continue;
        for (uint32_t k = 0; k < entry->n_deps; k++) {
            const struct ph_archive_entry *dep = ph_archive_find(archive, entry->deps[k]);
            const struct ph_rel_fact *with =
                dep != NULL ? analysed_with(builder, made, dep->oid) : NULL;

            if (with != NULL)
                late[with - builder->facts.rels] = true;
        }
    }
    return late;
}

static bool
is_analysed(struct ph_step_builder *builder, const bool *made, uint32_t i)
{
    const struct ph_rel_fact *rel = &builder->facts.rels[i];

    return made[i] && analysed_with(builder, made, rel->oid) == rel && tree_has_rows(builder, rel);
}

static void
add_late_analyze(struct ph_step_builder *builder, uint32_t last_rest)
{
    const bool *made = find_made(builder);
    const bool *late = find_late(builder, made);

    if (made == NULL || late == NULL) {
        builder->failed = true;
        return;
    }
    for (uint32_t i = 0; i < builder->facts.n_rels && !builder->failed; i++) {
        if (late[i] && is_analysed(builder, made, i))
            ph_builder_add_edge(builder, last_rest, analyze_step(builder, &builder->facts.rels[i]));
    }
}

static void
add_analyze(struct ph_step_builder *builder)
{
    const struct ph_ddl_facts *facts = &builder->facts;
    const bool *made = find_made(builder);
    const bool *late = find_late(builder, made);
    uint32_t n_before = builder->out->n_steps;
    uint32_t *step_of = PH_ARENA_ARRAY(&builder->scratch, uint32_t, (size_t)facts->n_rels + 1);

    if (step_of == NULL || made == NULL || late == NULL) {
        builder->failed = true;
        return;
    }
    for (uint32_t i = 0; i < facts->n_rels; i++) {
        step_of[i] = PH_NO_STEP;
        if (!late[i] && is_analysed(builder, made, i))
            step_of[i] = analyze_step(builder, &facts->rels[i]);
    }
    for (uint32_t i = 0; i < n_before && !builder->failed; i++) {
        const struct ph_step *step = &builder->out->steps[i];
        const struct ph_rel_fact *with =
            step->kind == PH_STEP_INDEX || step->kind == PH_STEP_KEY || step->kind == PH_STEP_ATTACH
                ? analysed_with(builder, made, step->tables[0].oid)
                : NULL;

        if (with != NULL)
            ph_builder_add_edge(builder, i, step_of[with - facts->rels]);
    }
}

/* Returns the last step of the rest, PH_NO_STEP when there is nothing to wait for. */
static uint32_t
add_rest_steps(struct ph_step_builder *builder)
{
    uint32_t n_before = builder->out->n_steps;
    uint32_t last = PH_NO_STEP;

    for (uint32_t at = 0; at < builder->n_rest || last == PH_NO_STEP; at += REST_BATCH) {
        uint32_t n = builder->n_rest - at < REST_BATCH ? builder->n_rest - at : REST_BATCH;
        uint32_t step = ph_builder_add_step(
            builder, (struct ph_step){
                         .key = ph_arena_printf(builder->arena, "rest %u", at / REST_BATCH + 1),
                         .kind = PH_STEP_REST,
                         .sql = builder->rest + at,
                         .n_sql = n,
                     });

        if (step == PH_NO_STEP)
            return PH_NO_STEP;
        for (uint32_t i = 0; last == PH_NO_STEP && i < n_before; i++)
            ph_builder_add_edge(builder, i, step);
        for (uint32_t i = 0; last == PH_NO_STEP && i < builder->facts.n_rels; i++)
            ph_builder_add_wait(builder, step, builder->facts.rels[i].oid);
        ph_builder_add_edge(builder, last, step);
        last = step;
    }
    return last;
}

struct walk {
    uint32_t *stack;
    uint32_t *stamps; /* by entry: the walk that saw it last */
    uint32_t stamp;
};

/* Edges to `step` from the refreshes of all materialized views that `entry` reads, through views.
 */
static void
refresh_after(struct ph_step_builder *builder, struct walk *walk, const uint32_t *refresh_of,
              uint32_t entry, uint32_t step)
{
    const struct ph_archive *archive = builder->archive;
    uint32_t depth = 0;

    walk->stamp++;
    walk->stamps[entry] = walk->stamp;
    walk->stack[depth++] = entry;
    while (depth > 0) {
        const struct ph_archive_entry *at = &archive->entries[walk->stack[--depth]];

        for (uint32_t i = 0; i < at->n_deps; i++) {
            const struct ph_archive_entry *dep = ph_archive_find(archive, at->deps[i]);
            uint32_t index = dep != NULL ? (uint32_t)(dep - archive->entries) : 0;

            if (dep == NULL || walk->stamps[index] == walk->stamp)
                continue;
            walk->stamps[index] = walk->stamp;
            ph_builder_add_edge(builder, refresh_of[index], step);
            walk->stack[depth++] = index;
        }
    }
}

static void
add_refresh(struct ph_step_builder *builder, uint32_t after)
{
    const struct ph_archive *archive = builder->archive;
    size_t n = (size_t)archive->n_entries + 1;
    struct walk walk = {.stack = PH_ARENA_ARRAY(&builder->scratch, uint32_t, n),
                        .stamps = PH_ARENA_ARRAY(&builder->scratch, uint32_t, n)};
    uint32_t *refresh_of = PH_ARENA_ARRAY(&builder->scratch, uint32_t, n);

    if (walk.stack == NULL || walk.stamps == NULL || refresh_of == NULL) {
        builder->failed = true;
        return;
    }
    memset(refresh_of, 0xff, n * sizeof *refresh_of);
    for (uint32_t i = 0; i < archive->n_entries; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];
        const struct ph_rel_fact *rel = ph_ddl_fact_rel(&builder->facts, entry->oid);

        if (!entry->selected || strcmp(entry->desc, "MATERIALIZED VIEW") != 0 || rel == NULL ||
            !rel->populated)
            continue;
        refresh_of[i] = ph_builder_add_step(
            builder,
            (struct ph_step){
                .key = ph_arena_printf(builder->arena, "refresh %s.%s", rel->schema, rel->name),
                .kind = PH_STEP_REFRESH,
                .bytes = rel->bytes,
                .sql = ph_builder_one_sql(builder, entry, PH_DDL_USER_SETTINGS,
                                          statement_on(builder, "REFRESH MATERIALIZED VIEW ", rel)),
                .n_sql = 1,
            });
        ph_builder_add_edge(builder, after, refresh_of[i]);
    }
    for (uint32_t i = 0; i < archive->n_entries && !builder->failed; i++) {
        if (refresh_of[i] != PH_NO_STEP)
            refresh_after(builder, &walk, refresh_of, i, refresh_of[i]);
    }
}

/* What follows the first step of the rest waits for it. */
static bool
needs_one_moment(const struct ph_step *step, bool *rest_seen)
{
    *rest_seen = *rest_seen || step->kind == PH_STEP_REST || step->kind == PH_STEP_REFRESH;
    return *rest_seen || step->kind == PH_STEP_FK || step->kind == PH_STEP_FK_VALIDATE;
}

static void
mark_done(struct ph_step_builder *builder)
{
    struct ph_steps *out = builder->out;
    bool rest_seen = false;

    for (uint32_t i = 0; i < out->n_steps; i++) {
        bool is_left_out =
            needs_one_moment(&out->steps[i], &rest_seen) && builder->params->rows_apart;
        if (is_left_out || ph_builder_is_done(builder, out->steps[i].key))
            out->steps[i].state = PH_STEP_DONE;
        out->n_done += out->steps[i].state == PH_STEP_DONE;
    }
}

static int
compare_waits(const void *a, const void *b)
{
    const struct ph_step_wait *x = a;
    const struct ph_step_wait *y = b;

    if (x->oid != y->oid)
        return x->oid > y->oid ? 1 : -1;
    return (x->step > y->step) - (x->step < y->step);
}

/* Waits of steps that are still to do, each once, in the steps' own arena. */
static void
settle_waits(struct ph_step_builder *builder)
{
    struct ph_steps *out = builder->out;
    struct ph_step_wait *waits =
        PH_ARENA_ARRAY(builder->arena, struct ph_step_wait, (size_t)out->n_waits + 1);
    uint32_t n = 0;

    if (waits == NULL) {
        builder->failed = true;
        return;
    }
    if (out->n_waits > 0)
        qsort(out->waits, out->n_waits, sizeof *out->waits, compare_waits);
    for (uint32_t i = 0; i < out->n_waits; i++) {
        struct ph_step *step = &out->steps[out->waits[i].step];

        if (step->state == PH_STEP_DONE ||
            (n > 0 && compare_waits(&waits[n - 1], &out->waits[i]) == 0))
            continue;
        waits[n++] = out->waits[i];
        step->n_blockers++;
    }
    out->waits = waits;
    out->n_waits = n;
}

static bool
edge_holds(const struct ph_steps *out, const struct ph_step_edge *edge)
{
    return out->steps[edge->from].state != PH_STEP_DONE &&
           out->steps[edge->to].state != PH_STEP_DONE;
}

static void
settle_edges(struct ph_step_builder *builder)
{
    struct ph_steps *out = builder->out;
    uint32_t *pool = PH_ARENA_ARRAY(builder->arena, uint32_t, (size_t)builder->n_edges + 1);
    uint32_t **fill = PH_ARENA_ARRAY(&builder->scratch, uint32_t *, (size_t)out->n_steps + 1);

    if (pool == NULL || fill == NULL) {
        builder->failed = true;
        return;
    }
    for (uint32_t i = 0; i < builder->n_edges; i++)
        out->steps[builder->edges[i].from].n_dependents += edge_holds(out, &builder->edges[i]);
    for (uint32_t i = 0; i < out->n_steps; i++) {
        fill[i] = pool;
        out->steps[i].dependents = pool;
        pool += out->steps[i].n_dependents;
    }
    for (uint32_t i = 0; i < builder->n_edges; i++) {
        const struct ph_step_edge *edge = &builder->edges[i];

        if (!edge_holds(out, edge))
            continue;
        *fill[edge->from]++ = edge->to;
        out->steps[edge->to].n_blockers++;
    }
}

static void
settle(struct ph_step_builder *builder)
{
    struct ph_steps *out = builder->out;

    mark_done(builder);
    settle_waits(builder);
    if (!builder->failed)
        settle_edges(builder);
    out->ready = PH_ARENA_ARRAY(builder->arena, uint32_t, (size_t)out->n_steps + 1);
    out->running = PH_ARENA_ARRAY(builder->arena, uint32_t, (size_t)out->n_steps + 1);
    if (builder->failed || out->ready == NULL || out->running == NULL) {
        builder->failed = true;
        return;
    }
    for (uint32_t i = 0; i < out->n_steps; i++) {
        if (out->steps[i].state == PH_STEP_WAITING && out->steps[i].n_blockers == 0) {
            out->steps[i].state = PH_STEP_READY;
            out->ready[out->n_ready++] = i;
        }
    }
}

static ph_code
make_steps(struct ph_step_builder *builder, struct ph_error *err)
{
    const struct ph_steps_params *params = builder->params;
    const struct ph_archive *archive = builder->archive;
    size_t n = (size_t)archive->n_entries + 1;
    uint32_t last_rest;

    PH_TRY(ph_ddl_facts_read(params->source, params->split_key_bytes, &builder->scratch,
                             &builder->facts, err));
    builder->places = PH_ARENA_ARRAY(&builder->scratch, struct ph_step_place, n);
    builder->rest = PH_ARENA_ARRAY(builder->arena, struct ph_step_sql, 2 * n);
    builder->failed = builder->places == NULL || builder->rest == NULL;
    for (uint32_t i = 0; i < archive->n_entries && !builder->failed; i++)
        builder->places[i] = (struct ph_step_place){PH_NO_STEP, PH_NO_STEP, false};
    for (uint32_t i = 0; i < archive->n_entries && !builder->failed; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];

        if (entry->selected && entry->part == PH_PART_POST_DATA)
            ph_builder_place_entry(builder, entry);
    }
    if (!builder->failed)
        keys_after_indexes(builder);
    if (!builder->failed && params->analyze)
        add_analyze(builder);
    last_rest = builder->failed ? PH_NO_STEP : add_rest_steps(builder);
    if (!builder->failed && params->analyze)
        add_late_analyze(builder, last_rest);
    if (!builder->failed && params->refresh)
        add_refresh(builder, last_rest);
    if (!builder->failed)
        settle(builder);
    return builder->failed ? PH_FAIL(err, PH_E_MEMORY, "no memory for the steps of the schema")
                           : PH_OK;
}

ph_code
ph_steps_build(const struct ph_steps_params *params, struct ph_steps *out, struct ph_error *err)
{
    struct ph_step_builder builder = {
        .params = params, .archive = params->archive, .out = out, .arena = &out->arena};
    ph_code rc;

    *out = (struct ph_steps){0};
    ph_arena_init(&out->arena, ARENA_LIMIT_BYTES);
    ph_arena_init(&builder.scratch, ARENA_LIMIT_BYTES);
    rc = make_steps(&builder, err);
    ph_arena_reset(&builder.scratch);
    return rc;
}
