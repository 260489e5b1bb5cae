/* The graph of foreign keys: groups, levels, rings, self references, depth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/graph.h"

#include <stdlib.h>

static struct ph_arena arena;
static struct ph_error err;

static void
solve(uint32_t n_nodes, const struct ph_graph_edge *edges, uint32_t n_edges, struct ph_graph *graph)
{
    ph_arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(ph_graph_solve(&arena, n_nodes, edges, n_edges, graph, &err), PH_OK);
}

static void
test_empty(void **state)
{
    struct ph_graph graph;

    (void)state;
    solve(0, NULL, 0, &graph);
    assert_int_equal(graph.n_groups, 0);
    assert_int_equal(graph.n_levels, 0);
    ph_arena_reset(&arena);
    solve(2, NULL, 0, &graph);
    assert_int_equal(graph.n_groups, 2);
    assert_int_equal(graph.n_levels, 1);
    assert_int_equal(graph.nodes[1].level, 0);
    ph_arena_reset(&arena);
}

static void
test_levels(void **state)
{
    /* 0 -> 1 -> 2, 0 -> 2, 3 -> 3, twice the same edge */
    static const struct ph_graph_edge edges[] = {{0, 1}, {1, 2}, {0, 2}, {3, 3}, {0, 1}};
    struct ph_graph graph;

    (void)state;
    solve(4, edges, 5, &graph);
    assert_int_equal(graph.n_groups, 4);
    assert_int_equal(graph.n_levels, 3);
    assert_int_equal(graph.nodes[0].level, 2);
    assert_int_equal(graph.nodes[1].level, 1);
    assert_int_equal(graph.nodes[2].level, 0);
    assert_int_equal(graph.nodes[3].level, 0);
    assert_true(graph.nodes[3].refers_to_itself);
    assert_false(graph.nodes[0].refers_to_itself);
    assert_true(graph.nodes[2].group < graph.nodes[1].group);
    assert_true(graph.nodes[1].group < graph.nodes[0].group);
    ph_arena_reset(&arena);
}

static void
test_ring(void **state)
{
    /* ring 0 -> 1 -> 2 -> 0 with a shortcut 1 -> 0; 3 refers to it; it refers to 4 */
    static const struct ph_graph_edge edges[] = {{0, 1}, {1, 2}, {2, 0}, {1, 0},
                                                 {3, 2}, {2, 4}, {0, 0}};
    struct ph_graph graph;
    const uint32_t *ring;
    uint32_t n;

    (void)state;
    solve(5, edges, 7, &graph);
    assert_int_equal(graph.n_groups, 3);
    assert_int_equal(graph.nodes[0].group, graph.nodes[2].group);
    assert_int_equal(graph.group_sizes[graph.nodes[1].group], 3);
    assert_int_equal(graph.nodes[4].level, 0);
    assert_int_equal(graph.nodes[0].level, 1);
    assert_int_equal(graph.nodes[1].level, 1);
    assert_int_equal(graph.nodes[3].level, 2);
    assert_int_equal(ph_graph_ring(&graph, &arena, 0, &ring, &n, &err), PH_OK);
    assert_int_equal(n, 2);
    assert_int_equal(ring[0], 0);
    assert_int_equal(ring[1], 1);
    assert_int_equal(ph_graph_ring(&graph, &arena, 2, &ring, &n, &err), PH_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ring[0], 2);
    assert_int_equal(ring[1], 0);
    assert_int_equal(ring[2], 1);
    assert_int_equal(ph_graph_ring(&graph, &arena, 3, &ring, &n, &err), PH_E_INTERNAL);
    ph_arena_reset(&arena);
}

/* A parent that is discovered after its child must not lower the child's level. */
static void
test_deep_chain(void **state)
{
    enum { N = 200000 };
    struct ph_graph_edge *edges = calloc(N, sizeof *edges);
    struct ph_graph graph;

    (void)state;
    assert_non_null(edges);
    for (uint32_t i = 0; i + 1 < N; i++)
        edges[i] = (struct ph_graph_edge){i, i + 1};
    solve(N, edges, N - 1, &graph);
    assert_int_equal(graph.n_levels, N);
    assert_int_equal(graph.nodes[0].level, N - 1);
    edges[N - 1] = (struct ph_graph_edge){N - 1, 0};
    ph_arena_reset(&arena);
    solve(N, edges, N, &graph);
    assert_int_equal(graph.n_groups, 1);
    assert_int_equal(graph.n_levels, 1);
    free(edges);
    ph_arena_reset(&arena);
}

static void
test_wrong_edge_and_no_memory(void **state)
{
    static const struct ph_graph_edge edges[] = {{0, 2}};
    struct ph_graph graph;

    (void)state;
    ph_arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(ph_graph_solve(&arena, 2, edges, 1, &graph, &err), PH_E_INTERNAL);
    ph_arena_reset(&arena);
    ph_arena_init(&arena, 16);
    assert_int_equal(ph_graph_solve(&arena, 3, edges, 1, &graph, &err), PH_E_MEMORY);
    ph_arena_reset(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_deep_chain),
        cmocka_unit_test(test_wrong_edge_and_no_memory),
    };

    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
