/*
 * The graph of foreign keys: which tables must be there before which. An edge goes from the table
 * that refers to the one it refers to. Pure; any thread.
 *
 * Tables that refer to each other in a ring form a group (a strongly connected component); every
 * other table is a group of its own. Groups are numbered parents first.
 */
#ifndef PH_MODEL_GRAPH_H
#define PH_MODEL_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

struct ph_graph_edge {
    uint32_t from; /* refers */
    uint32_t to;   /* is referred to */
};

struct ph_graph_node {
    uint32_t group;
    uint32_t
        level; /* 0: refers to nothing outside its group; else one more than its highest parent */
    bool refers_to_itself;
};

struct ph_graph {
    uint32_t n_nodes;
    uint32_t n_groups;
    uint32_t n_levels;
    const struct ph_graph_node *nodes;
    const uint32_t *group_sizes; /* by group; above 1: a ring */
    const uint32_t *first_edge;  /* by node, n_nodes + 1 of them: its edges in `targets` */
    const uint32_t *targets;
};

/* Everything in `out` lives in `arena`. PH_E_MEMORY; PH_E_INTERNAL for an edge to nowhere. */
ph_code ph_graph_solve(struct ph_arena *arena, uint32_t n_nodes, const struct ph_graph_edge *edges,
                       uint32_t n_edges, struct ph_graph *out, struct ph_error *err);

/*
 * A shortest ring through `start`, whose group has more than one node: the nodes in the order of
 * their references, `start` first and not repeated. *ring is in `arena`. PH_E_MEMORY.
 */
ph_code ph_graph_ring(const struct ph_graph *graph, struct ph_arena *arena, uint32_t start,
                      const uint32_t **ring, uint32_t *n_ring, struct ph_error *err);

#endif
