/*
 * What the files of the check share. A checker goes through the job's rules once, collects what is
 * wrong with them, and leaves routes and their plans in the ruleset. Private to src/rules.
 *
 * Functions return PH_OK also when they found something wrong (ph_check_problem has it then);
 * other codes end the check.
 */
#ifndef PH_RULES_CHECK_PARTS_H
#define PH_RULES_CHECK_PARTS_H

#include "rules/ruleset_parts.h"
#include "rules/type_class.h"

/* A rule that a referencing column has because of the column it refers to. */
struct ph_followed_rule {
    const struct ph_rel *source;
    const struct ph_rel *target;
    bool has_entry;      /* of the job file, for the table */
    const char *because; /* "public.users.id" */
    struct ph_rule_column rule;
};

struct ph_checker {
    const struct ph_ruleset_params *params;
    struct ph_ruleset *set;
    struct ph_arena *arena; /* the set's */
    struct ph_buf problems;
    uint32_t n_problems;
    const struct ph_rel **entries; /* the source's tables of the job's entries; NULL: not there */
    struct ph_followed_rule *followed;
    uint32_t n_followed;
    uint32_t cap_followed;
    struct ph_buf unclassified; /* names of columns, for `policy: classify` */
    struct ph_error *err;
};

/* What is behind an output, while its route is being checked. */
struct ph_draft_output {
    const struct ph_rule_column *rule; /* NULL: the column of the same name, or of a shape */
    const char *because;               /* of a followed rule; else NULL */
    bool is_soft;    /* passes as it is without a program, and is made by an empty chain with one */
    bool text_only;  /* can only go as text: no program may be on the route */
    bool narrows;    /* a value may not fit the target */
    bool is_value;   /* the column that unpivot or each names for its value */
    bool tells_rows; /* different in all rows that one row becomes */
    bool is_element; /* the value that the row is made of: as different there as the data */
    char reason[160]; /* of text_only */
};

struct ph_classified {            /* what a job says of a source's column */
    bool is_decided;              /* a rule reads it, or it is kept or dropped */
    const struct ph_rel *unruled; /* all the same it goes there as it is; NULL: nowhere */
};

struct ph_draft { /* a route being checked */
    const struct ph_rule_table *table;
    const struct ph_rule_route *rule;
    const struct ph_rel *source;
    const struct ph_rel *target;
    struct ph_rel keyed; /* the target, with the indexes that it has when rows are in */
    struct ph_route *route;
    struct ph_route_plan *plan;
    struct ph_route_input *inputs;
    ph_oid *input_types;        /* of the source's catalog */
    const char **input_classes; /* beside them, where the type is of another database; else NULL */
    uint32_t cap_inputs;
    struct ph_route_lookup *lookups; /* one an output at most */
    struct ph_route_output *outputs;
    struct ph_make_plan *makes;
    struct ph_draft_output *drafts;   /* beside outputs */
    bool *taken;                      /* by position in source->columns: goes somewhere */
    struct ph_classified *classified; /* beside `taken`, for `policy: classify` */
    bool needs_program;
};

ph_code ph_check_no_memory(struct ph_checker *checker);
/* "file:line:column: table[.column]: …" */
void ph_check_problem(struct ph_checker *checker, const struct ph_draft *draft,
                      struct ph_rule_place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* One that has its place in it already. */
void ph_check_told(struct ph_checker *checker, const char *message);
/* Behind what the target does not have: why that may be; "" when there is no more to say. */
const char *ph_check_made_here(const struct ph_checker *checker);
/* "; did you mean …" for a name that a relation does not have, or "". In `out`. */
const char *ph_check_nearest_column(const struct ph_rel *rel, const char *name, char out[100]);

/* check.c: whether an entry that was looked at is about that table, or partition, of the source. */
bool ph_check_has_routes(const struct ph_checker *checker, const struct ph_rel *rel);

/* A column of the source by the word of a rule; NULL: a problem was told. */
const struct ph_column *ph_check_source_column(struct ph_checker *checker,
                                               const struct ph_draft *draft,
                                               struct ph_rule_word word);
/* The number of the input for a column; PH_E_MEMORY. */
ph_code ph_check_input(struct ph_checker *checker, struct ph_draft *draft,
                       const struct ph_column *column, uint32_t *number);
/* The same for an expression. */
ph_code ph_check_input_sql(struct ph_checker *checker, struct ph_draft *draft, const char *sql,
                           ph_oid type_oid, uint32_t *number);

/* One that does not come with the row. `class`: of its values. */
ph_code ph_check_input_looked_up(struct ph_checker *checker, struct ph_draft *draft,
                                 const char *class, uint32_t *number);

/* The source's key: the primary one, or a unique one without NULLs; NULL: none. */
const struct ph_index *ph_check_key_of(const struct ph_rel *rel);
/* Whether the index tells every row of the table. */
bool ph_check_is_key(const struct ph_rel *rel, const struct ph_index *index);
const struct ph_column *ph_check_attnum(const struct ph_rel *rel, int16_t attnum);

/* check_route.c: draft->route and all that is behind it. */
ph_code ph_check_route(struct ph_checker *checker, struct ph_draft *draft) PH_MUST_CHECK;

/* check_ops.c */
/* The operator's row for these arguments; NULL: a problem was told. */
struct ph_op_wanted {
    const char *name;
    const char *library; /* NULL: pghaul's own */
    const char *const *args;
    uint32_t n_args;
    const char *result; /* class that is preferred; NULL: none */
    bool must_result;   /* and is a must */
    bool is_silent;     /* tell no problem */
    struct ph_rule_place place;
};
ph_code ph_check_find_op(struct ph_checker *checker, const struct ph_draft *draft,
                         const struct ph_op_wanted *wanted, const struct ph_rule_op **op,
                         char result[PH_CLASS_SIZE]) PH_MUST_CHECK;
struct ph_call_wanted {
    const struct ph_rule_op *op;
    const struct ph_rule_word *params;
    uint32_t n_params;
    uint32_t n_args;
    struct ph_rule_place place;
};
/* A call of it on the route: its constants are checked. */
ph_code ph_check_add_call(struct ph_checker *checker, const struct ph_draft *draft,
                          const struct ph_call_wanted *wanted, uint32_t *number) PH_MUST_CHECK;

/* check_const.c: constants as values. */
ph_code ph_check_constant(struct ph_checker *checker, const struct ph_draft *draft,
                          const struct ph_column *column, struct ph_rule_word word,
                          struct ph_value *out) PH_MUST_CHECK;
/* Whether the target reads it as the job file means it; false: a problem was told. */
bool ph_check_is_readable(struct ph_checker *checker, const struct ph_draft *draft,
                          struct ph_rule_word word);
/* Of a class that no column has: keys of maps, values within a chain. */
ph_code ph_check_constant_of_class(struct ph_checker *checker, const struct ph_draft *draft,
                                   const char *class, struct ph_rule_word word,
                                   struct ph_value *out) PH_MUST_CHECK;

/* check_chain.c: arguments through steps to the type of the output's target column. */
struct ph_chain_wanted {
    const struct ph_arg_plan *args;
    uint32_t n_args;
    const struct ph_rule_step *steps;
    uint32_t n_steps;
    struct ph_rule_place place;
    bool is_lenient; /* without a cast the column may go as text */
};
ph_code ph_check_chain(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                       const struct ph_chain_wanted *wanted) PH_MUST_CHECK;

/* check_padding.c: character(n). */
/* Whether the first of the steps gets it without the blanks at its end. */
bool ph_check_strips(const struct ph_rule_step *steps, uint32_t n_steps, const char *target_class);
/* Marks the arguments that it is then taken off. */
ph_code ph_check_padding(struct ph_checker *checker, struct ph_draft *draft,
                         struct ph_arg_plan *args, uint32_t n_args) PH_MUST_CHECK;

/* check_fit.c: what is checked of an output's values. */
ph_code ph_check_fit(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                     const struct ph_column *from) PH_MUST_CHECK;

/* check_shape.c: unpivot and each. Prepared before the columns; `*is_shaped`: it fills this one. */
ph_code ph_check_shape(struct ph_checker *checker, struct ph_draft *draft) PH_MUST_CHECK;
ph_code ph_check_shape_column(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                              bool *is_shaped) PH_MUST_CHECK;
/* The column that `$value` goes into; NULL: the rule makes one row of one. */
const struct ph_rule_word *ph_check_value_word(const struct ph_rule_route *rule);
/* `$value`, `$name` and `$position` in `from:`. */
enum ph_shape_part { PH_PART_NONE /* a column's name */, PH_PART_FOUND, PH_PART_TOLD };
ph_code ph_check_shape_part(struct ph_checker *checker, struct ph_draft *draft,
                            struct ph_rule_word word, struct ph_arg_plan *arg,
                            enum ph_shape_part *part) PH_MUST_CHECK;
/* The class of one, and what it is in words. */
ph_code ph_check_part_class(struct ph_checker *checker, const struct ph_draft *draft,
                            enum ph_arg_kind kind, char class[PH_CLASS_SIZE],
                            const char **words) PH_MUST_CHECK;

/* check_where.c: conditions of the source's SELECT. */
ph_code ph_check_where(struct ph_checker *checker, struct ph_draft *draft) PH_MUST_CHECK;
struct ph_check_order { /* "created_at desc" */
    const char *column;
    bool is_desc;
};
/* false: a problem was told, or no memory. */
bool ph_check_sortable(struct ph_checker *checker, const struct ph_draft *draft,
                       struct ph_rule_word word);
bool ph_check_read_order(struct ph_checker *checker, const struct ph_draft *draft,
                         struct ph_rule_word word, struct ph_check_order *order);
/* " AND (" behind what is there already, else "(". */
void ph_check_begin_condition(struct ph_buf *sql);
/* The condition of `sample`, by the key, which the table has; it stands there without an alias. */
void ph_check_put_share(struct ph_buf *sql, const struct ph_rel *rel, double share);
bool ph_check_is_share(double share); /* else all rows are taken */
/* Names in it: a table with its alias (NULL: without), a column of the table selected from, one of
 * another. */
void ph_check_put_only(struct ph_buf *sql, const struct ph_rel *rel, const char *alias);
void ph_check_put_own(struct ph_buf *sql, const struct ph_draft *draft, const char *column);
void ph_check_put_others(struct ph_buf *sql, const char *alias, const char *column);
/* By the words of a rule; NULL: a problem was told. `catalog`: the source's or a lookup's. */
const struct ph_rel *ph_check_table_named(struct ph_checker *checker, const struct ph_draft *draft,
                                          const struct ph_catalog *catalog,
                                          struct ph_rule_name name);
const struct ph_column *ph_check_column_named(struct ph_checker *checker,
                                              const struct ph_draft *draft,
                                              const struct ph_rel *rel, struct ph_rule_word word);

/* check_merge.c: conditions behind those in `sql`. */
void ph_check_merge(struct ph_checker *checker, struct ph_draft *draft, struct ph_buf *sql);

/* check_lookup.c */
ph_code ph_check_lookup(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                        const struct ph_rule_column *rule) PH_MUST_CHECK;

/* check_number.c: the column's input; when the conditions are there, the join that brings it. */
ph_code ph_check_number(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                        const struct ph_rule_column *rule) PH_MUST_CHECK;
ph_code ph_check_numbers(struct ph_checker *checker, struct ph_draft *draft) PH_MUST_CHECK;

/* check_preserve.c: columns of the target that keep their values. */
ph_code ph_check_preserve(struct ph_checker *checker, struct ph_draft *draft) PH_MUST_CHECK;

/* check_sample.c: the share of rows as a call of the program, for the stream. */
ph_code ph_check_sample(struct ph_checker *checker, struct ph_draft *draft,
                        const struct ph_index *key) PH_MUST_CHECK;

/* check_stream.c: the first reason stays. */
void ph_check_no_stream(struct ph_draft *draft, const char *reason, const char *cure);
/* Whether an UPDATE or DELETE brings the old row's value. */
bool ph_check_is_of_identity(const struct ph_rel *source, const struct ph_column *column);
/* What the finished route needs in the stream, and whether that is there. */
ph_code ph_check_stream(struct ph_checker *checker, struct ph_draft *draft) PH_MUST_CHECK;

/* check_unique.c: the target's unique keys. */
/* draft->keyed: indexes are built after rows, and what rows must not break is known before. */
ph_code ph_check_target_keys(struct ph_checker *checker, struct ph_draft *draft);
void ph_check_unique(struct ph_checker *checker, const struct ph_draft *draft);
/* Whether the output is different in all rows that one row becomes. */
bool ph_check_tells_rows(const struct ph_draft *draft, uint32_t output);
/* Whether these columns of the source, by position, hold a unique key of it. */
bool ph_check_covers_key(const struct ph_rel *source, const bool *columns);

/* check_sites.c: whether that rule is for rows which go from there to there. */
bool ph_check_is_for(const struct ph_checker *checker, const struct ph_followed_rule *followed,
                     const struct ph_rel *source, const struct ph_rel *target);

/* check_references.c: rules that follow foreign keys, found before routes are made. */
ph_code ph_check_references(struct ph_checker *checker) PH_MUST_CHECK;
ph_code ph_check_followed_tables(struct ph_checker *checker, const struct ph_rule_table **out,
                                 uint32_t *n) PH_MUST_CHECK;

/* check_alike.c */
struct ph_check_ends { /* of a foreign key, on the source */
    const struct ph_column *key;
    const struct ph_column *reference;
};
/* Whether values that are equal on both ends are so behind the steps; else why not and the cure. */
bool ph_check_stays_alike(const struct ph_catalog *catalog, const struct ph_check_ends *ends,
                          const struct ph_rule_step *steps, uint32_t n_steps,
                          struct ph_buf *why_not);

/* check_classify.c */
void ph_check_mark_classified(const struct ph_draft *draft);
/* Columns that are not marked, or go somewhere without a rule; `classified` NULL: all. */
void ph_check_unclassified(struct ph_checker *checker, const struct ph_rel *source,
                           const struct ph_classified *classified);
/* Tables without an entry too; tells the problem. */
void ph_check_classify(struct ph_checker *checker);

/* check_hidden.c: what messages may not tell, once all routes are there. */
ph_code ph_check_hidden(struct ph_checker *checker) PH_MUST_CHECK;

/* check_columns.c: the outputs of a route. */
ph_code ph_check_columns(struct ph_checker *checker, struct ph_draft *draft) PH_MUST_CHECK;

#endif
