/*
 * Paths into JSON, as parameters have them: "address.city", "tags.0", "tags.-1"; or as PostgreSQL's
 * operators have them: "{address,city}", for keys with points in them.
 */
#ifndef PH_RULES_JSON_PATH_H
#define PH_RULES_JSON_PATH_H

#include "rules/json_tree.h"

struct ph_json_path {
    uint32_t n;
    struct ph_span *steps; /* in the same block of memory */
};

/* Freed with free(). NULL: it is none, or no memory; message says so. */
struct ph_json_path *ph_json_path_new(struct ph_rule_call *call, const char *text);

/* A whole number; false: it is none. */
bool ph_json_step_index(struct ph_span step, int64_t *out);
/* The member; of several with that key the last. NULL: none. */
struct ph_json *ph_json_member(struct ph_json *object, struct ph_span key);
/* Counted from 0, or from -1 at the end. NULL: none. */
struct ph_json *ph_json_element(struct ph_json *array, int64_t index);
/* What the whole path leads to. NULL: nothing. */
struct ph_json *ph_json_find(struct ph_json *root, const struct ph_json_path *path);

#endif
