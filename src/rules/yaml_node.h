/*
 * A part of a YAML document as a tree, built from events and bounded: what the job file's reader
 * hands over to the rules' reader. Knows nothing of libyaml. One owner; nodes are immutable once
 * their tree is complete and live as long as its arena.
 */
#ifndef PH_RULES_YAML_NODE_H
#define PH_RULES_YAML_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "rules/job_rules.h"

#define PH_YAML_DEPTH_MAX 16
#define PH_YAML_NODES_MAX 1000000u

enum ph_yaml_kind { PH_YAML_SCALAR, PH_YAML_LIST, PH_YAML_MAPPING };

struct ph_yaml_node {
    enum ph_yaml_kind kind;
    bool is_quoted; /* scalar: 'so', "so", or a block */
    uint32_t n;     /* list: items; mapping: entries */
    struct ph_rule_place place;
    const char *text; /* scalar: terminated, without zero bytes; NULL: YAML's null */
    const struct ph_yaml_node *first; /* list: items; mapping: key, value, key, value … */
    const struct ph_yaml_node *next;  /* of the list or mapping it is in */
};

enum ph_yaml_result {
    PH_YAML_OK,
    PH_YAML_TOO_DEEP,
    PH_YAML_TOO_MANY, /* nodes in all */
    PH_YAML_ZERO_BYTE,
    PH_YAML_NO_MEMORY
};

struct ph_yaml_open { /* a list or mapping that is not complete */
    struct ph_yaml_node *node;
    struct ph_yaml_node *last;
    uint32_t n_children;
};

struct ph_yaml_tree { /* zeroed, then init */
    struct ph_arena arena;
    struct ph_yaml_open open[PH_YAML_DEPTH_MAX];
    uint32_t depth;
    uint32_t n_nodes;
    const struct ph_yaml_node *root; /* of the part at hand */
};

void ph_yaml_tree_init(struct ph_yaml_tree *tree);
void ph_yaml_tree_reset(struct ph_yaml_tree *tree); /* frees all nodes */

/*
 * The next event. After the end of a part (ph_yaml_is_complete) the next one begins another, whose
 * nodes are added to the same arena.
 */
enum ph_yaml_result ph_yaml_scalar(struct ph_yaml_tree *tree, const char *text, size_t len,
                                   bool is_quoted, struct ph_rule_place place);
enum ph_yaml_result ph_yaml_begin(struct ph_yaml_tree *tree, enum ph_yaml_kind kind,
                                  struct ph_rule_place place);
void ph_yaml_end(struct ph_yaml_tree *tree);
bool ph_yaml_is_complete(const struct ph_yaml_tree *tree);

/* Whether both are the same scalar; NULL is the same as NULL only. */
bool ph_yaml_same(const struct ph_yaml_node *a, const struct ph_yaml_node *b);
/*
 * The first scalar of `items` (of n) that was there before, and where; NULL: none. Needs memory of
 * the arena for a moment: PH_YAML_NO_MEMORY.
 */
enum ph_yaml_result ph_yaml_twice(struct ph_arena *arena, const struct ph_yaml_node **items,
                                  size_t n, const struct ph_yaml_node **twice,
                                  const struct ph_yaml_node **before);
/* "a list", for messages. */
const char *ph_yaml_kind_name(const struct ph_yaml_node *node);

#endif
