/*
 * What the files of the compiler share: the plan of a route's program, between the check that makes
 * it and the generator that writes it down as C. Private to src/rules.
 */
#ifndef PH_RULES_RULESET_PARTS_H
#define PH_RULES_RULESET_PARTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/catalog.h"
#include "pghaul/rule.h"
#include "rules/job_rules.h"
#include "rules/ruleset.h"

#define PH_RULE_NONE UINT32_MAX /* no call, no input */

/* An operator with its constants: what the generated C calls by number. */
struct ph_call_plan {
    const struct ph_rule_op *op;
    const char *const *params;
    uint32_t n_params;
    uint32_t n_args;
    uint32_t route;
    struct ph_rule_place place;
};

enum ph_step_kind { PH_STEP_CALL, PH_STEP_MAP, PH_STEP_DEFAULT, PH_STEP_FOUND };

struct ph_map_entry {
    struct ph_value key;
    struct ph_value value; /* len PH_VALUE_NULL: NULL */
};

struct ph_step_plan {
    enum ph_step_kind kind;
    uint32_t call; /* CALL */
    const char *map_name;
    const struct ph_map_entry *entries; /* MAP, without the one for NULL */
    uint32_t n_entries;
    bool has_null; /* MAP: NULL becomes `null_value` */
    bool is_text;  /* MAP, FOUND: what is mapped, or looked up, is text */
    struct ph_value null_value;
    enum ph_rule_else otherwise;
    struct ph_value constant; /* DEFAULT; MAP and FOUND with PH_ELSE_VALUE */
    const char *lookup_name;  /* FOUND: where a key may not be */
    uint32_t key;             /* FOUND: input; told when it is text (is_text) */
};

/* What is checked of a result before it goes out. */
struct ph_fit {
    bool not_null;
    uint32_t max_bytes;        /* longer values go through `call`; 0: all values do */
    uint32_t call;             /* PH_RULE_NONE: no check of the length or form */
    const char *const *labels; /* enum of the target; NULL: any */
    uint32_t n_labels;
};

enum ph_make_kind {
    PH_MAKE_PASS,     /* input `input` */
    PH_MAKE_CONSTANT, /* `constant` */
    PH_MAKE_CHAIN,    /* `args` through steps */
    PH_MAKE_NAME,     /* unpivot: the name of the column at hand, as its target has it */
    PH_MAKE_POSITION  /* each: 1, 2, … in as many bytes as its target has */
};

enum ph_arg_kind {
    PH_ARG_INPUT,   /* input `input` of the route */
    PH_ARG_ELEMENT, /* unpivot, each: the value that the row is made of */
    PH_ARG_NAME,    /* unpivot: the name of its column, as text */
    PH_ARG_POSITION /* each: 1, 2, … as int4 */
};

enum ph_padding { /* of character(n): whether blanks at the end go before the first step */
                  PH_PADDED_NOT,
                  PH_PADDED_SOME, /* unpivot: as its column is */
                  PH_PADDED_ALL
};

struct ph_arg_plan { /* what the first step gets; `reads` are the inputs behind all of them */
    enum ph_arg_kind kind;
    uint32_t input;
    enum ph_padding padding;
};

struct ph_make_plan { /* how an output is made, beside struct ph_route_output */
    enum ph_make_kind kind;
    struct ph_value constant;
    uint32_t position_bytes;        /* POSITION: 2, 4 or 8 */
    const struct ph_arg_plan *args; /* PASS, CHAIN */
    uint32_t n_args;
    const struct ph_step_plan *steps;
    uint32_t n_steps;
    struct ph_fit fit;
};

struct ph_shape_plan { /* unpivot or each */
    const uint32_t *inputs;
    uint32_t n_inputs;            /* 0: one row for one row; `each`: 1 */
    const struct ph_value *names; /* unpivot: of the inputs, as the target has them */
    const struct ph_value *words; /* the same as text, for arguments; NULL: none asks */
    const bool *padded;           /* unpivot: of the inputs, for PH_PADDED_SOME; NULL: none asks */
    bool keeps_null;
    bool is_each;
    uint32_t call;             /* each: the operator that counts and takes elements */
    const char *element_class; /* each */
};

struct ph_route_plan { /* beside struct ph_route */
    const struct ph_make_plan *makes;
    struct ph_shape_plan shape;
    const uint32_t *keyed_calls;
    uint32_t n_keyed_calls;
    const char *filter_code; /* C of the condition, a function; NULL: none */
    const char *filter_function;
    uint32_t sample_call; /* of the key's inputs; PH_RULE_NONE: all rows */
    const uint32_t *sample_inputs;
    uint32_t n_sample_inputs;
};

struct ph_source_routes { /* by source OID */
    ph_oid oid;
    uint32_t first;
    uint32_t n;
};

struct ph_hidden_table {      /* what messages may not tell, whichever of its routes they are of */
    const struct ph_rel *rel; /* of the source; of partitions their root */
    bool *masked;             /* beside its columns: by a rule of one of the routes */
    bool *shown;              /* beside them: goes somewhere, and not through a mask */
    bool has_mask;
};

struct ph_rule_library_handle {
    const char *path;
    void *handle;
    const struct ph_rule_library *library;
};

struct ph_ruleset {
    struct ph_arena arena;
    struct ph_route *routes;
    struct ph_route_plan *plans;
    uint32_t n_routes;
    uint32_t cap_routes;
    struct ph_call_plan *calls;
    uint32_t n_calls;
    uint32_t cap_calls;
    struct ph_lookup *lookups;
    uint32_t n_lookups;
    uint32_t cap_lookups;
    struct ph_source_routes *by_source; /* ordered by OID */
    uint32_t n_by_source;
    struct ph_hidden_table *hidden; /* of the tables that have routes */
    uint32_t n_hidden;
    struct ph_rule_library_handle *libraries;
    uint32_t n_libraries;
    char fingerprint[PH_FINGERPRINT_SIZE];
    void *handle;                        /* of the object; NULL when no route has a program */
    const struct ph_rule_object *object; /* its */
    const struct ph_rule_op **ops;       /* by call */
    bool has_program;
};

/* generate.c: the C of all routes, without the fingerprint in `out`. */
ph_code ph_rules_generate(const struct ph_ruleset *set, struct ph_buf *out,
                          struct ph_error *err) PH_MUST_CHECK;
/* The definition of ph_rule_object, appended when the fingerprint is known. */
void ph_rules_generate_object(const struct ph_ruleset *set, struct ph_buf *out);

/* generate_map.c: a function that gives the number of the value's entry or -1. */
void ph_rules_generate_map(const struct ph_map_entry *entries, uint32_t n_entries,
                           const char *function, struct ph_buf *out);
/* The bytes as a C string literal. */
void ph_rules_put_bytes(struct ph_value value, struct ph_buf *out);

/* fingerprint.c: of the routes and the C that was generated for them. */
ph_code ph_rules_fingerprint(struct ph_ruleset *set, const struct ph_buf *code,
                             struct ph_error *err) PH_MUST_CHECK;

/* build.c */
struct ph_build_params {
    const char *dir;
    const char *fingerprint;
    const struct ph_buf *code;
    const char *output; /* NULL: into the cache */
};
/* Where the cache has the object, into `path`. PH_E_COMPILER: too long. */
ph_code ph_rules_cached(const char *dir, const char *fingerprint, char *path,
                        size_t size) PH_MUST_CHECK;
/* A folder that only this user can enter, under $TMPDIR or /tmp. */
ph_code ph_rules_temporary_folder(char *path, size_t size, struct ph_error *err) PH_MUST_CHECK;
ph_code ph_rules_write_code(const char *path, const struct ph_buf *code,
                            struct ph_error *err) PH_MUST_CHECK;
/* The object's file into `path`, unless it is `output`. */
ph_code ph_rules_build(const struct ph_build_params *params, char *path, size_t size,
                       struct ph_error *err) PH_MUST_CHECK;

/* load.c */
/* PH_E_COMPILER unless only root or this user could have written the file. `what`: for messages. */
ph_code ph_rules_check_file(const char *path, const char *what, struct ph_error *err) PH_MUST_CHECK;
ph_code ph_rules_load(struct ph_ruleset *set, const char *path, struct ph_error *err) PH_MUST_CHECK;
void ph_rules_unload(struct ph_ruleset *set);

/* check.c: fills routes, plans and calls. */
ph_code ph_rules_check(const struct ph_ruleset_params *params, struct ph_ruleset *set,
                       struct ph_error *err) PH_MUST_CHECK;

#endif
