/*
 * JSON as PostgreSQL reads it: checked, and as a tree of views into its text. Nodes live in the
 * call's row memory.
 */
#ifndef PH_RULES_JSON_TREE_H
#define PH_RULES_JSON_TREE_H

#include "rules/op_parts.h"

#define PH_JSON_DEPTH_MAX 1000

enum ph_json_kind {
    PH_JSON_NULL,
    PH_JSON_TRUE,
    PH_JSON_FALSE,
    PH_JSON_NUMBER,
    PH_JSON_STRING,
    PH_JSON_ARRAY,
    PH_JSON_OBJECT
};

struct ph_json {
    enum ph_json_kind kind;
    struct ph_span raw;     /* as it stands in the text */
    struct ph_span text;    /* of a string: decoded */
    struct ph_span key;     /* of an object's member: decoded */
    struct ph_span raw_key; /* with its quotes */
    struct ph_json *next;   /* in the array or object */
    struct ph_json *first;  /* of an array or object */
    struct ph_json *last;
    uint32_t n; /* elements or members */
};

/* What must be true of it: json takes escapes that stand for no character, jsonb does not. */
enum ph_json_rules { PH_JSON_AS_JSON, PH_JSON_AS_JSONB };

/* PH_RULE_BAD: it is not JSON. */
enum ph_rule_result ph_json_parse(struct ph_rule_call *call, struct ph_span text,
                                  enum ph_json_rules rules, struct ph_json **out);

/*
 * As jsonb_out prints it: members by length and bytes of their keys, the last of equal keys,
 * numbers as numeric. Sorts the tree. Only of a tree that was read by jsonb's rules.
 */
enum ph_rule_result ph_json_put_canonical(struct ph_rule_call *call, struct ph_json *node,
                                          struct ph_op_text *out);

/* A string with its quotes and escapes. */
void ph_json_put_quoted(struct ph_span text, struct ph_op_text *out);
/* A copy of `value` in place of `node`; it keeps its key and its neighbours. */
void ph_json_replace(struct ph_json *node, const struct ph_json *value);
void ph_json_append(struct ph_json *parent, struct ph_json *child);
void ph_json_prepend(struct ph_json *parent, struct ph_json *child);

/* A jsonb value's text; PH_RULE_BAD: its version is unknown. */
enum ph_rule_result ph_jsonb_text(struct ph_rule_call *call, const struct ph_value *value,
                                  struct ph_span *out);
/* The tree as a jsonb value. */
enum ph_rule_result ph_jsonb_give(struct ph_rule_call *call, struct ph_json *node,
                                  struct ph_value *out);

#endif
