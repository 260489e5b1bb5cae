/*
 * What a job file says about rules, as it was written: names and texts with their places, nothing
 * looked up yet. Made by the reader, immutable afterwards, owned by one arena.
 */
#ifndef PH_RULES_JOB_RULES_H
#define PH_RULES_JOB_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

struct ph_rule_place { /* in the job file, from 1 */
    uint32_t line;
    uint32_t column;
};

struct ph_rule_name { /* of a relation: "public.posts"; a name without schema is of `public` */
    const char *schema;
    const char *name;
    struct ph_rule_place place;
};

struct ph_rule_word { /* a column, a parameter, a constant */
    const char *text; /* NULL: YAML's null */
    struct ph_rule_place place;
};

struct ph_rule_words {
    const struct ph_rule_word *items;
    uint32_t n;
};

struct ph_rule_pair {
    struct ph_rule_word from;
    struct ph_rule_word to;
};

struct ph_rule_map { /* of `maps:` */
    const char *name;
    struct ph_rule_place place;
    const struct ph_rule_pair *pairs; /* in the file's order; no `from` twice */
    uint32_t n_pairs;
};

enum ph_rule_else { /* for what a map does not have */
                    PH_ELSE_ERROR,
                    PH_ELSE_QUARANTINE,
                    PH_ELSE_NULL,
                    PH_ELSE_KEEP,
                    PH_ELSE_VALUE /* a constant */
};

struct ph_rule_step {    /* one operator in a column's chain */
    const char *op;      /* "trim"; "map" with `map` */
    const char *library; /* NULL: pghaul's own; else the file of the user's */
    struct ph_rule_words params;
    const struct ph_rule_map *map; /* of "map" */
    enum ph_rule_else otherwise;   /* of "map" */
    struct ph_rule_word else_value;
    struct ph_rule_place place;
};

enum ph_rule_kind {
    PH_RULE_KEEP,   /* the source's column of the same name, said so (for policy: classify) */
    PH_RULE_TAKE,   /* `from`, through `steps` (none: as it is) */
    PH_RULE_SET,    /* the constant */
    PH_RULE_LOOKUP, /* a value of another table */
    PH_RULE_NUMBER  /* 1, 2, … among the rows with the same values */
};

struct ph_rule_lookup {
    struct ph_rule_name table;
    struct ph_rule_word key;     /* column of that table, unique there */
    struct ph_rule_word value;   /* column of that table */
    const char *database;        /* conninfo of where it is; NULL: the source */
    bool is_constant;            /* nobody changes the table while the job is there */
    enum ph_rule_else otherwise; /* for a key that it does not have; never KEEP */
    struct ph_rule_word else_value;
};

struct ph_rule_number {
    struct ph_rule_words within; /* columns of the source; none: among all rows */
    struct ph_rule_words order;  /* "created_at desc", "id"; then by the key */
};

struct ph_rule_column {
    struct ph_rule_word target; /* column of the target */
    enum ph_rule_kind kind;
    struct ph_rule_words from; /* columns of the source; none: the one of the same name */
    const struct ph_rule_step *steps;
    uint32_t n_steps;
    struct ph_rule_word constant; /* of PH_RULE_SET */
    struct ph_rule_lookup lookup;
    struct ph_rule_number number;
};

enum ph_rule_on_bad { PH_BAD_DEFAULT /* error */, PH_BAD_ERROR, PH_BAD_QUARANTINE };

struct ph_rule_unpivot { /* columns become rows */
    bool is_there;
    struct ph_rule_words columns; /* of the source, of one type */
    struct ph_rule_word name;     /* column of the target for the source column's name */
    struct ph_rule_word value;    /* column of the target for its value */
    bool keeps_null;              /* NULLs make rows too */
    struct ph_rule_place place;
};

struct ph_rule_each { /* elements of an array, or of a JSON array, become rows */
    bool is_there;
    struct ph_rule_word column;   /* of the source */
    struct ph_rule_word value;    /* column of the target */
    struct ph_rule_word position; /* column of the target for 1, 2, …; text NULL: none */
    struct ph_rule_place place;
};

struct ph_rule_merge { /* rows whose key an earlier table has are left out */
    bool is_there;
    struct ph_rule_words key;         /* columns of this source table */
    const struct ph_rule_name *after; /* earlier tables: the first one wins */
    const struct ph_rule_words *keys; /* theirs; the same names when not said */
    uint32_t n_after;
    struct ph_rule_place place;
};

struct ph_rule_dedup { /* of the rows with one key the first in an order is taken */
    bool is_there;
    struct ph_rule_words key;
    struct ph_rule_words prefer; /* "created_at desc", "id" */
    struct ph_rule_place place;
};

struct ph_rule_route {
    struct ph_rule_name into;
    struct ph_rule_column *columns;
    uint32_t n_columns;
    bool keeps_all;            /* `keep: all`: what has no rule is kept as it is */
    struct ph_rule_words drop; /* columns of the source that go nowhere */
    struct ph_rule_word where; /* text NULL: none */
    double sample;             /* fraction of rows by hash of key; 0: all */
    struct ph_rule_unpivot unpivot;
    struct ph_rule_each each;
    struct ph_rule_merge merge;
    struct ph_rule_dedup dedup;
    struct ph_rule_word preserve; /* condition on rows of the target that stay; text NULL: none */
    struct ph_rule_words preserve_columns; /* of the target: existing rows keep their values */
    const char *backup; /* schema of the target that keeps the old rows; NULL: none */
    enum ph_rule_on_bad on_bad;
};

struct ph_rule_table {
    struct ph_rule_name source;
    struct ph_rule_route *routes; /* at least one */
    uint32_t n_routes;
};

enum ph_rule_check_kind {
    PH_CHECK_MATRIX,     /* counts per combination of values of some columns */
    PH_CHECK_ORPHANS,    /* values that a table, here or in another database, does not have */
    PH_CHECK_SAME_COUNT, /* tables that have as many rows */
    PH_CHECK_UNIQUE      /* columns without duplicates */
};

struct ph_rule_check {
    enum ph_rule_check_kind kind;
    bool on_source;   /* asked of the source before anything is written, by `check` too; else of the
                         target when the rows are in */
    const char *name; /* for the report */
    struct ph_rule_place place;
    struct ph_rule_name table;
    struct ph_rule_words columns;
    struct ph_rule_name references; /* orphans */
    struct ph_rule_words reference_columns;
    const char *database; /* conninfo of where `references` is; NULL: where `table` is */
    const struct ph_rule_name *others; /* same_count: tables to count beside `table`, which always
                                          is of the source */
    uint32_t n_others;
    bool is_failure; /* a finding of it is a difference (exit code 4), not only told */
};

struct ph_job_rules {
    struct ph_arena arena;
    const char *file;       /* for messages */
    bool classify;          /* policy: classify */
    const char *secret_env; /* where the secret is read from; both NULL: there is none */
    const char *secret_file;
    const struct ph_rule_map *maps;
    uint32_t n_maps;
    const struct ph_rule_table *tables;
    uint32_t n_tables;
    const struct ph_rule_check *checks;
    uint32_t n_checks;
};

#endif
