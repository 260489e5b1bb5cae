/*
 * Levels and groups of foreign keys, and with them the order of tables. Foreign keys of both sides
 * count: the target's are enforced while rows go in, and without a target yet the source's are what
 * it will have. A table of the target with all its partitions is one node; a table of the source
 * that goes into several of them stands for the first.
 */
#include <stdlib.h>

#include "job/planner_parts.h"
#include "model/graph.h"
#include "rules/ruleset.h"

struct node_of { /* a relation's root and its node */
    ph_oid root;
    uint32_t node;
};

struct families {
    struct node_of *of_source; /* ordered by root */
    struct node_of *of_target;
    uint32_t n; /* entries in either, one per table of the plan, duplicates included */
    uint32_t n_nodes;
    const struct ph_rel **names; /* by node: the target's root */
};

static int
compare_roots(const void *a, const void *b)
{
    const struct node_of *x = a;
    const struct node_of *y = b;

    return x->root < y->root ? -1 : x->root > y->root ? 1 : 0;
}

static const struct node_of *
find_node(const struct node_of *nodes, uint32_t n, ph_oid root)
{
    struct node_of key = {.root = root};

    return bsearch(&key, nodes, n, sizeof key, compare_roots);
}

static ph_code
find_families(struct ph_planner *planner, struct families *out)
{
    const struct ph_plan *plan = planner->plan;
    size_t room = (size_t)plan->n_tables + 1;

    *out = (struct families){
        .of_source = PH_ARENA_ARRAY(planner->arena, struct node_of, room),
        .of_target = PH_ARENA_ARRAY(planner->arena, struct node_of, room),
        .names = PH_ARENA_ARRAY(planner->arena, const struct ph_rel *, room),
        .n = plan->n_tables,
    };
    if (out->of_source == NULL || out->of_target == NULL || out->names == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 0; i < plan->n_tables; i++)
        out->of_target[i].root = plan->tables[i].target->root_oid;
    qsort(out->of_target, out->n, sizeof *out->of_target, compare_roots);
    for (uint32_t i = 0; i < out->n; i++) {
        if (i == 0 || out->of_target[i].root != out->of_target[i - 1].root)
            out->names[out->n_nodes++] = ph_catalog_rel(planner->target, out->of_target[i].root);
        out->of_target[i].node = out->n_nodes - 1;
    }
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct node_of *node =
            find_node(out->of_target, out->n, plan->tables[i].target->root_oid);
        out->of_source[i] = (struct node_of){
            .root = plan->tables[i].source->root_oid,
            .node = node == NULL ? 0 : node->node,
        };
    }
    qsort(out->of_source, out->n, sizeof *out->of_source, compare_roots);
    return PH_OK;
}

static const struct node_of *
node_of_rel(const struct ph_catalog *catalog, const struct node_of *nodes, uint32_t n, ph_oid oid)
{
    const struct ph_rel *rel = ph_catalog_rel(catalog, oid);

    return rel == NULL ? NULL : find_node(nodes, n, rel->root_oid);
}

/* Keys that lead out of the selection order nothing: what they refer to is there already. */
static uint32_t
add_edges(const struct ph_catalog *catalog, const struct node_of *nodes, uint32_t n,
          struct ph_graph_edge *edges)
{
    uint32_t n_edges = 0;

    for (uint32_t i = 0; i < catalog->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &catalog->foreign_keys[i];
        const struct node_of *from = node_of_rel(catalog, nodes, n, key->rel_oid);
        const struct node_of *to = node_of_rel(catalog, nodes, n, key->ref_oid);
        if (key->enforced && from != NULL && to != NULL)
            edges[n_edges++] = (struct ph_graph_edge){from->node, to->node};
    }
    return n_edges;
}

static ph_code
solve(struct ph_planner *planner, const struct families *families, struct ph_graph *graph)
{
    size_t room = (size_t)planner->source->n_foreign_keys + planner->target->n_foreign_keys + 1;
    struct ph_graph_edge *edges = PH_ARENA_ARRAY(planner->arena, struct ph_graph_edge, room);

    if (edges == NULL)
        return ph_planner_no_memory(planner);
    uint32_t n = add_edges(planner->source, families->of_source, families->n, edges);
    if (planner->params->target != NULL)
        n += add_edges(planner->target, families->of_target, families->n, edges + n);
    return ph_graph_solve(planner->arena, families->n_nodes, edges, n, graph, planner->err);
}

/* "a -> b -> a", and the members of the group that this shortest ring leaves out. */
static ph_code
name_ring(struct ph_planner *planner, const struct families *families, const struct ph_graph *graph,
          uint32_t start, const char **out)
{
    const uint32_t *ring;
    uint32_t n;
    struct ph_buf text;
    const char *separator = "; with ";

    PH_TRY(ph_graph_ring(graph, planner->arena, start, &ring, &n, planner->err));
    ph_buf_init(&text, (size_t)1 << 20);
    for (uint32_t i = 0; i <= n; i++) {
        const struct ph_rel *rel = families->names[ring[i % n]];
        ph_buf_printf(&text, "%s%s.%s", i == 0 ? "" : " -> ", rel->schema, rel->name);
    }
    for (uint32_t node = 0; node < graph->n_nodes; node++) {
        bool is_named = graph->nodes[node].group != graph->nodes[start].group;
        for (uint32_t i = 0; i < n && !is_named; i++)
            is_named = ring[i] == node;
        if (is_named)
            continue;
        ph_buf_printf(&text, "%s%s.%s", separator, families->names[node]->schema,
                      families->names[node]->name);
        separator = ", ";
    }
    *out = ph_arena_strdup(planner->arena, ph_buf_text(&text));
    bool ok = ph_buf_ok(&text) && *out != NULL;
    ph_buf_free(&text);
    return ok ? PH_OK : ph_planner_no_memory(planner);
}

static ph_code
name_rings(struct ph_planner *planner, const struct families *families,
           const struct ph_graph *graph)
{
    const char **rings = PH_ARENA_ARRAY(planner->arena, const char *, (size_t)graph->n_groups + 1);
    bool *is_named = PH_ARENA_ARRAY(planner->arena, bool, (size_t)graph->n_groups + 1);

    if (rings == NULL || is_named == NULL)
        return ph_planner_no_memory(planner);
    planner->plan->rings = rings;
    for (uint32_t node = 0; node < graph->n_nodes; node++) {
        uint32_t group = graph->nodes[node].group;
        if (graph->group_sizes[group] < 2 || is_named[group])
            continue;
        is_named[group] = true;
        PH_TRY(name_ring(planner, families, graph, node, &rings[planner->plan->n_rings]));
        planner->plan->n_rings++;
    }
    return PH_OK;
}

static int
compare_tables(const void *a, const void *b)
{
    const struct ph_table_plan *x = a;
    const struct ph_table_plan *y = b;

    if (x->ordered_by_fk && x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->in_one_lot != y->in_one_lot)
        return x->in_one_lot ? -1 : 1;
    if (x->in_one_lot && x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    if (x->source->oid != y->source->oid)
        return x->source->oid < y->source->oid ? -1 : 1;
    if (x->target->oid != y->target->oid || x->route == NULL || y->route == NULL)
        return x->target->oid < y->target->oid ? -1 : 1;
    return x->route->number < y->route->number ? -1 : 1;
}

/* By group: whether a key between two of its tables cannot wait for the end of a transaction. */
static ph_code
find_impatient(struct ph_planner *planner, const struct families *families,
               const struct ph_graph *graph, bool **out)
{
    const struct ph_catalog *target = planner->target;

    *out = PH_ARENA_ARRAY(planner->arena, bool, (size_t)graph->n_groups + 1);
    if (*out == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 0; planner->params->target != NULL && i < target->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &target->foreign_keys[i];
        const struct node_of *from =
            node_of_rel(target, families->of_target, families->n, key->rel_oid);
        const struct node_of *to =
            node_of_rel(target, families->of_target, families->n, key->ref_oid);
        if (key->enforced && !key->deferrable && from != NULL && to != NULL &&
            from->node != to->node &&
            graph->nodes[from->node].group == graph->nodes[to->node].group)
            (*out)[graph->nodes[from->node].group] = true;
    }
    return PH_OK;
}

ph_code
ph_planner_order(struct ph_planner *planner)
{
    struct ph_plan *plan = planner->plan;
    struct families families = {0};
    struct ph_graph graph = {0};
    bool *impatient = NULL;

    PH_TRY(find_families(planner, &families));
    PH_TRY(solve(planner, &families, &graph));
    PH_TRY(find_impatient(planner, &families, &graph, &impatient));
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        struct ph_table_plan *table = &plan->tables[i];
        const struct node_of *at =
            find_node(families.of_target, families.n, table->target->root_oid);
        if (at == NULL)
            continue;
        table->level = graph.nodes[at->node].level;
        table->group = graph.nodes[at->node].group;
        table->refers_to_itself = graph.nodes[at->node].refers_to_itself;
        table->ordered_by_fk = planner->params->order == PH_ORDER_BY_FK;
        table->in_one_lot =
            table->ordered_by_fk && graph.group_sizes[table->group] > 1 && !impatient[table->group];
    }
    qsort(plan->tables, plan->n_tables, sizeof *plan->tables, compare_tables);
    for (uint32_t i = 0; i < plan->n_tables; i++)
        plan->tables[i].index = i;
    return name_rings(planner, &families, &graph);
}
