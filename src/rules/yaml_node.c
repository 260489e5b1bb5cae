#include "rules/yaml_node.h"

#include <stdlib.h>
#include <string.h>

/* A million nodes with texts of four megabytes are far below. */
#define TREE_LIMIT_BYTES ((size_t)256 << 20)

void
ph_yaml_tree_init(struct ph_yaml_tree *tree)
{
    memset(tree, 0, sizeof *tree);
    ph_arena_init(&tree->arena, TREE_LIMIT_BYTES);
}

void
ph_yaml_tree_reset(struct ph_yaml_tree *tree)
{
    ph_arena_reset(&tree->arena);
}

bool
ph_yaml_is_complete(const struct ph_yaml_tree *tree)
{
    return tree->depth == 0 && tree->root != NULL;
}

/* A new node where the tree is at; in a mapping two children are an entry. */
static enum ph_yaml_result
add(struct ph_yaml_tree *tree, struct ph_rule_place place, struct ph_yaml_node **out)
{
    if (tree->n_nodes >= PH_YAML_NODES_MAX)
        return PH_YAML_TOO_MANY;
    struct ph_yaml_node *node = ph_arena_alloc(&tree->arena, sizeof *node);
    if (node == NULL)
        return PH_YAML_NO_MEMORY;
    tree->n_nodes++;
    node->place = place;
    if (tree->depth == 0) {
        tree->root = node;
    } else {
        struct ph_yaml_open *open = &tree->open[tree->depth - 1];
        if (open->last == NULL)
            open->node->first = node;
        else
            open->last->next = node;
        open->last = node;
        open->n_children++;
        open->node->n =
            open->node->kind == PH_YAML_MAPPING ? (open->n_children + 1) / 2 : open->n_children;
    }
    *out = node;
    return PH_YAML_OK;
}

static bool
is_null(const char *text, size_t len)
{
    return len == 0 || (len == 1 && text[0] == '~') ||
           (len == 4 && (memcmp(text, "null", 4) == 0 || memcmp(text, "Null", 4) == 0 ||
                         memcmp(text, "NULL", 4) == 0));
}

enum ph_yaml_result
ph_yaml_scalar(struct ph_yaml_tree *tree, const char *text, size_t len, bool is_quoted,
               struct ph_rule_place place)
{
    struct ph_yaml_node *node = NULL;

    if (memchr(text, '\0', len) != NULL)
        return PH_YAML_ZERO_BYTE;
    enum ph_yaml_result result = add(tree, place, &node);
    if (result != PH_YAML_OK)
        return result;
    node->kind = PH_YAML_SCALAR;
    node->is_quoted = is_quoted;
    if (!is_quoted && is_null(text, len))
        return PH_YAML_OK;
    node->text = ph_arena_strndup(&tree->arena, text, len);
    return node->text != NULL ? PH_YAML_OK : PH_YAML_NO_MEMORY;
}

enum ph_yaml_result
ph_yaml_begin(struct ph_yaml_tree *tree, enum ph_yaml_kind kind, struct ph_rule_place place)
{
    struct ph_yaml_node *node = NULL;

    if (tree->depth == PH_YAML_DEPTH_MAX)
        return PH_YAML_TOO_DEEP;
    enum ph_yaml_result result = add(tree, place, &node);
    if (result != PH_YAML_OK)
        return result;
    node->kind = kind;
    tree->open[tree->depth++] = (struct ph_yaml_open){.node = node};
    return PH_YAML_OK;
}

void
ph_yaml_end(struct ph_yaml_tree *tree)
{
    if (tree->depth > 0)
        tree->depth--;
}

bool
ph_yaml_same(const struct ph_yaml_node *a, const struct ph_yaml_node *b)
{
    if (a->text == NULL || b->text == NULL)
        return a->text == b->text;
    return strcmp(a->text, b->text) == 0;
}

/* By text, and where texts are the same by place in the file. */
static int
compare_nodes(const void *left, const void *right)
{
    const struct ph_yaml_node *a = *(const struct ph_yaml_node *const *)left;
    const struct ph_yaml_node *b = *(const struct ph_yaml_node *const *)right;
    int order = strcmp(a->text != NULL ? a->text : "", b->text != NULL ? b->text : "");

    if (order == 0)
        order = (a->text != NULL) - (b->text != NULL);
    if (order == 0)
        order = (a->place.line > b->place.line) - (a->place.line < b->place.line);
    if (order == 0)
        order = (a->place.column > b->place.column) - (a->place.column < b->place.column);
    return order;
}

static bool
is_before(const struct ph_yaml_node *a, const struct ph_yaml_node *b)
{
    return a->place.line < b->place.line ||
           (a->place.line == b->place.line && a->place.column < b->place.column);
}

enum ph_yaml_result
ph_yaml_twice(struct ph_arena *arena, const struct ph_yaml_node **items, size_t n,
              const struct ph_yaml_node **twice, const struct ph_yaml_node **before)
{
    *twice = NULL;
    *before = NULL;
    if (n < 2)
        return PH_YAML_OK;
    const struct ph_yaml_node **sorted = PH_ARENA_ARRAY(arena, const struct ph_yaml_node *, n);
    if (sorted == NULL)
        return PH_YAML_NO_MEMORY;
    memcpy(sorted, items, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_nodes);
    for (size_t i = 1; i < n; i++) {
        if (ph_yaml_same(sorted[i - 1], sorted[i]) &&
            (*twice == NULL || is_before(sorted[i], *twice))) {
            *twice = sorted[i];
            *before = sorted[i - 1];
        }
    }
    return PH_YAML_OK;
}

const char *
ph_yaml_kind_name(const struct ph_yaml_node *node)
{
    switch (node->kind) {
    case PH_YAML_LIST:
        return "a list";
    case PH_YAML_MAPPING:
        return "a mapping";
    case PH_YAML_SCALAR:
        break;
    }
    return node->text == NULL ? "nothing" : "a single value";
}
