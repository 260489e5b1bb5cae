/*
 * Tarjan's strongly connected components with a stack of its own instead of recursion: a chain of a
 * hundred thousand tables must not overflow the thread's stack. Tarjan finishes a group after all
 * groups it refers to, so the numbers come out parents first and levels need one more pass.
 */
#include "model/graph.h"

#include <string.h>

#define UNSEEN UINT32_MAX

struct walk {
    struct ph_graph *graph;
    struct ph_graph_node *nodes;
    uint32_t *index;     /* order of discovery, UNSEEN before */
    uint32_t *low;       /* lowest index reached from it */
    uint32_t *next_edge; /* where its scan of edges goes on */
    uint32_t *open;      /* Tarjan's stack: seen, group not known yet */
    bool *is_open;
    uint32_t *path; /* from the root of the search to the node at hand */
    uint32_t n_open;
    uint32_t n_path;
    uint32_t n_seen;
};

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the graph of foreign keys");
}

static ph_code
build_edges(struct ph_arena *arena, const struct ph_graph_edge *edges, uint32_t n_edges,
            struct ph_graph *graph, struct ph_error *err)
{
    uint32_t *first = PH_ARENA_ARRAY(arena, uint32_t, (size_t)graph->n_nodes + 2);
    uint32_t *targets = PH_ARENA_ARRAY(arena, uint32_t, (size_t)n_edges + 1);

    if (first == NULL || targets == NULL)
        return no_memory(err);
    /* Counting sort by `from`; first[] is off by one while filling and right afterwards. */
    for (uint32_t i = 0; i < n_edges; i++) {
        if (edges[i].from >= graph->n_nodes || edges[i].to >= graph->n_nodes)
            return PH_FAIL(err, PH_E_INTERNAL, "a foreign key leads to a table that is not there");
        first[edges[i].from + 2]++;
    }
    for (uint32_t i = 1; i <= graph->n_nodes; i++)
        first[i + 1] += first[i];
    for (uint32_t i = 0; i < n_edges; i++)
        targets[first[edges[i].from + 1]++] = edges[i].to;
    graph->first_edge = first;
    graph->targets = targets;
    return PH_OK;
}

static ph_code
begin_walk(struct ph_arena *arena, struct ph_graph *graph, struct walk *walk, struct ph_error *err)
{
    size_t n = (size_t)graph->n_nodes + 1;

    *walk = (struct walk){
        .graph = graph,
        .nodes = PH_ARENA_ARRAY(arena, struct ph_graph_node, n),
        .index = PH_ARENA_ARRAY(arena, uint32_t, n),
        .low = PH_ARENA_ARRAY(arena, uint32_t, n),
        .next_edge = PH_ARENA_ARRAY(arena, uint32_t, n),
        .open = PH_ARENA_ARRAY(arena, uint32_t, n),
        .is_open = PH_ARENA_ARRAY(arena, bool, n),
        .path = PH_ARENA_ARRAY(arena, uint32_t, n),
    };
    if (walk->nodes == NULL || walk->index == NULL || walk->low == NULL ||
        walk->next_edge == NULL || walk->open == NULL || walk->is_open == NULL ||
        walk->path == NULL)
        return no_memory(err);
    memset(walk->index, 0xff, n * sizeof *walk->index);
    graph->nodes = walk->nodes;
    return PH_OK;
}

static void
enter(struct walk *walk, uint32_t node)
{
    walk->index[node] = walk->low[node] = walk->n_seen++;
    walk->next_edge[node] = walk->graph->first_edge[node];
    walk->open[walk->n_open++] = node;
    walk->is_open[node] = true;
    walk->path[walk->n_path++] = node;
}

static void
leave(struct walk *walk, uint32_t node)
{
    walk->n_path--;
    if (walk->n_path > 0) {
        uint32_t parent = walk->path[walk->n_path - 1];
        if (walk->low[node] < walk->low[parent])
            walk->low[parent] = walk->low[node];
    }
    if (walk->low[node] != walk->index[node])
        return;
    uint32_t member;
    do {
        member = walk->open[--walk->n_open];
        walk->is_open[member] = false;
        walk->nodes[member].group = walk->graph->n_groups;
    } while (member != node);
    walk->graph->n_groups++;
}

static void
search_from(struct walk *walk, uint32_t root)
{
    const struct ph_graph *graph = walk->graph;

    enter(walk, root);
    while (walk->n_path > 0) {
        uint32_t node = walk->path[walk->n_path - 1];
        if (walk->next_edge[node] == graph->first_edge[node + 1]) {
            leave(walk, node);
            continue;
        }
        uint32_t target = graph->targets[walk->next_edge[node]++];
        if (target == node)
            walk->nodes[node].refers_to_itself = true;
        else if (walk->index[target] == UNSEEN)
            enter(walk, target);
        else if (walk->is_open[target] && walk->index[target] < walk->low[node])
            walk->low[node] = walk->index[target];
    }
}

static ph_code
set_levels(struct ph_arena *arena, struct walk *walk, struct ph_error *err)
{
    struct ph_graph *graph = walk->graph;
    size_t n = (size_t)graph->n_groups + 1;
    uint32_t *sizes = PH_ARENA_ARRAY(arena, uint32_t, n);
    uint32_t *levels = PH_ARENA_ARRAY(arena, uint32_t, n);
    uint32_t *first = PH_ARENA_ARRAY(arena, uint32_t, n + 1);
    uint32_t *by_group = PH_ARENA_ARRAY(arena, uint32_t, (size_t)graph->n_nodes + 1);

    if (sizes == NULL || levels == NULL || first == NULL || by_group == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        sizes[walk->nodes[i].group]++;
    for (uint32_t g = 0; g < graph->n_groups; g++)
        first[g + 1] = first[g] + sizes[g];
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        by_group[first[walk->nodes[i].group]++] = i;
    /* Parents first: when a node is looked at, the levels of its parents' groups are final. */
    for (uint32_t at = 0; at < graph->n_nodes; at++) {
        uint32_t node = by_group[at];
        uint32_t group = walk->nodes[node].group;
        for (uint32_t e = graph->first_edge[node]; e < graph->first_edge[node + 1]; e++) {
            uint32_t parent = walk->nodes[graph->targets[e]].group;
            if (parent != group && levels[parent] + 1 > levels[group])
                levels[group] = levels[parent] + 1;
        }
        if (levels[group] + 1 > graph->n_levels)
            graph->n_levels = levels[group] + 1;
    }
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        walk->nodes[i].level = levels[walk->nodes[i].group];
    graph->group_sizes = sizes;
    return PH_OK;
}

ph_code
ph_graph_solve(struct ph_arena *arena, uint32_t n_nodes, const struct ph_graph_edge *edges,
               uint32_t n_edges, struct ph_graph *out, struct ph_error *err)
{
    struct walk walk;

    *out = (struct ph_graph){.n_nodes = n_nodes};
    PH_TRY(build_edges(arena, edges, n_edges, out, err));
    PH_TRY(begin_walk(arena, out, &walk, err));
    for (uint32_t node = 0; node < n_nodes; node++) {
        if (walk.index[node] == UNSEEN)
            search_from(&walk, node);
    }
    return set_levels(arena, &walk, err);
}

/* Breadth first from start; came_from of start is set when the search is back at it. */
static void
search_ring(const struct ph_graph *graph, uint32_t start, uint32_t *came_from, uint32_t *queue)
{
    uint32_t n_queue = 0;

    queue[n_queue++] = start;
    for (uint32_t head = 0; head < n_queue && came_from[start] == UNSEEN; head++) {
        uint32_t node = queue[head];
        for (uint32_t e = graph->first_edge[node]; e < graph->first_edge[node + 1]; e++) {
            uint32_t target = graph->targets[e];
            if (target == node || came_from[target] != UNSEEN ||
                graph->nodes[target].group != graph->nodes[start].group)
                continue;
            came_from[target] = node;
            if (target != start)
                queue[n_queue++] = target;
        }
    }
}

ph_code
ph_graph_ring(const struct ph_graph *graph, struct ph_arena *arena, uint32_t start,
              const uint32_t **ring, uint32_t *n_ring, struct ph_error *err)
{
    size_t n = (size_t)graph->n_nodes + 1;
    uint32_t *came_from = PH_ARENA_ARRAY(arena, uint32_t, n);
    uint32_t *queue = PH_ARENA_ARRAY(arena, uint32_t, n);
    uint32_t length = 1;

    if (came_from == NULL || queue == NULL)
        return no_memory(err);
    memset(came_from, 0xff, n * sizeof *came_from);
    search_ring(graph, start, came_from, queue);
    if (came_from[start] == UNSEEN)
        return PH_FAIL(err, PH_E_INTERNAL, "no ring of foreign keys goes through this table");
    for (uint32_t node = came_from[start]; node != start; node = came_from[node])
        length++;
    uint32_t at = length;
    for (uint32_t node = came_from[start]; node != start; node = came_from[node])
        queue[--at] = node;
    queue[0] = start;
    *ring = queue;
    *n_ring = length;
    return PH_OK;
}
