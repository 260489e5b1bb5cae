/*
 * Rules that were checked against both catalogs and compiled: the routes that rows of a source
 * table take, and a machine that takes rows along them.
 *
 * A route is one source table and one target table. A table without an entry in the job file has
 * none; one that is only renamed, filtered or narrowed has a route without a program, and its rows
 * pass through as if there were no rules. Immutable once made, any thread may read it.
 */
#ifndef PH_RULES_RULESET_H
#define PH_RULES_RULESET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/catalog.h"
#include "pghaul/rule.h"
#include "rules/job_rules.h"
#include "rules/lookup_key.h"

struct ph_route_input {             /* what the program reads of a row of the source */
    const struct ph_column *column; /* NULL: an expression that only the source can compute */
    const char *sql;                /* to be put into the SELECT, quoted */
    bool is_looked_up;              /* neither: it does not come with the row, whoever has read that
                                       looks it up (rules/lookup.h) */
};

/* An input that is looked up in a table of the set (ph_ruleset_lookup). */
struct ph_route_lookup {
    uint32_t lookup;
    uint32_t key;   /* input it is found by */
    uint32_t value; /* input that it fills */
    uint32_t found; /* where the SELECT brings `value`: an input that is NULL when no row was found;
                       else PH_LOOKUP_NONE */
    enum ph_lookup_key from; /* what kind of key the input is */
    uint32_t output;
};

#define PH_LOOKUP_NONE UINT32_MAX

struct ph_lookup {              /* a table that values are looked up in */
    const char *database;       /* conninfo as the job file has it, never shown; NULL: the source */
    const char *label;          /* "public.plans.id", for people */
    const struct ph_rel *table; /* its OID, kind, schema and name alone; NULL like `sql` */
    const char *sql;     /* SELECT key, value of all rows; NULL: rows bring the value themselves */
    const char *key_sql; /* of that SELECT: the key's column */
    enum ph_lookup_key key;
    bool is_constant; /* declared so */
};

struct ph_route_output { /* a column of the target that the route fills */
    const struct ph_column *target;
    const struct ph_column *source; /* passed through as it is; NULL: a rule makes it */
    uint32_t input;                 /* of `source`, when the route has a program */
    bool is_fitted;                 /* and then made to fit: cut, rounded */
    const uint32_t *reads;          /* inputs the rule reads */
    uint32_t n_reads;
    bool is_mixed;     /* several of them at once: one that did not come spoils the result */
    bool is_injective; /* a function of columns by which different values stay different */
    bool is_keyed;     /* depends on the row's key */
    const char *mask;  /* the first operator of the rule that is a mask; NULL: none is */
    uint32_t n_hidden; /* with a mask: what it hides are so many of `reads`, from the first on */
    const char *words; /* what happens, in plain words */
};

struct ph_hidden_column { /* of the source, whose values messages may not tell */
    bool is_hidden;
    bool is_padded;                   /* with blanks, which are not in its text */
    const struct ph_rule_op *to_text; /* makes text of a value; NULL: nothing does */
};

struct ph_route {
    uint32_t number;
    const char *name; /* "public.posts -> public.posts_core" */
    const struct ph_rel *source;
    const struct ph_rel *target;
    const struct ph_rule_route *rule;    /* what it is made by; partitions of one entry share it */
    const struct ph_route_input *inputs; /* empty without a program */
    uint32_t n_inputs;
    const struct ph_route_output *outputs; /* in target column order; none is generated there */
    uint32_t n_outputs;
    bool has_program;
    bool makes_rows;   /* unpivot or each: a row may give none or several */
    bool filters;      /* the program may leave a row out (in the stream; the snapshot's rows were
                          filtered by `where`) */
    const char *where; /* condition for the source's SELECT, without WHERE; NULL: all rows */
    /* A condition that every row meets that the route takes, as a publication (15 and later) may
     * have it: only what is built in, of columns of the replica identity; NULL: there is none */
    const char *row_filter;
    const char *join; /* for the source's SELECT, behind the table: row numbers; NULL: none. Rows
                         that are apart in two SELECTs would be numbered apart */
    const char *preserve; /* condition on the target's rows that stay; NULL: none */
    const uint32_t
        *preserved; /* outputs whose values stay where the target had the row, ascending */
    uint32_t n_preserved;
    const uint32_t *preserved_key; /* outputs by which its row is found; with preserved ones */
    uint32_t n_preserved_key;
    const char *backup;  /* schema where --truncate keeps the target's old rows; NULL: nowhere */
    bool quarantines;    /* a bad row goes to quarantine instead of stopping the job */
    bool may_quarantine; /* the same, or a rule sends there what it does not know */
    bool takes_all; /* every row of the source gives one: none is filtered, repeated, quarantined */
    const uint32_t *key_inputs; /* the source's key, for PH_RULE_KEYED and messages */
    uint32_t n_key_inputs;
    const struct ph_hidden_column *hidden; /* beside source->columns; NULL: all may be told */
    const struct ph_route_lookup *lookups;
    uint32_t n_lookups;
    const char *no_stream; /* why the stream cannot be exact on this route; NULL: it can */
    const char *no_stream_cure;
    bool needs_old_row; /* in the stream only exact under REPLICA IDENTITY FULL */
};

struct ph_ruleset;
struct ph_lookups;       /* rules/lookup.h */
struct ph_lookup_access; /* flow/lookup_cache.h */
struct ph_preserving;    /* flow/preserve_stage.h */

/* A set and the secret that its masks need. Immutable, any thread; the route of a plan's table has
 * it. */
struct ph_rules_in_use {
    const struct ph_ruleset *set; /* NULL: there are no rules */
    const uint8_t *secret;        /* NULL: none */
    size_t secret_len;
    const struct ph_lookups *lookups; /* tables that were read whole; NULL: nothing is looked up */
    const struct ph_lookup_access *access;  /* to those that are too large; NULL: there are none */
    const struct ph_preserving *preserving; /* where preserved values are; NULL: no rows are made */
};

struct ph_rule_database { /* one that is neither source nor target, where something is looked up */
    const char *conninfo; /* as the job file has it */
    const struct ph_catalog *catalog;
};

struct ph_ruleset_params {
    const struct ph_job_rules *rules;
    const struct ph_catalog *source;
    const struct ph_catalog *target;
    const struct ph_rel *const *selected; /* tables of the source that the job takes: rules on
                                             others are refused; NULL: all of them */
    uint32_t n_selected;
    const struct ph_rule_database *databases; /* all that lookups name */
    uint32_t n_databases;
    const char *dir;      /* of the cache of compiled objects, 0700; NULL: nothing is kept, what is
                             compiled lies in a temporary folder until it is loaded */
    const char *keep_c;   /* file to write the generated C to as well; NULL: none */
    const char *object;   /* made by ph_ruleset_build: nothing is compiled; NULL: `dir` has it */
    bool follows;         /* refuse what the stream cannot do */
    bool sets_identity;   /* but not where REPLICA IDENTITY FULL is the cure: it will be given */
    bool keys_come_later; /* the target's tables get the keys of the source's tables of their names
                           */
    /* Constants become values of the target's types by asking it: `text` as `type_oid`, its binary
     * form into `out` (arena). PH_E_TYPES: not a value of the type. */
    ph_code (*constant)(void *arg, const struct ph_column *column, const char *text,
                        struct ph_arena *arena, struct ph_value *out, struct ph_error *err);
    /* The UTF-8 of a catalog in the target's encoding, in which rows travel (arena). NULL: names
     * that are not ASCII are refused where the encoding is another one. */
    ph_code (*in_database)(void *arg, const char *text, struct ph_arena *arena, const char **out,
                           struct ph_error *err);
    void *constant_arg; /* of both */
};

/*
 * Check, generate, compile or take from the cache, load. PH_E_RULES with file:line:column for what
 * is wrong with the rules, all of it as far as the message has room; PH_E_COMPILER when there is
 * none or it fails; PH_E_MEMORY. The catalogs and the job's rules must outlive it.
 */
ph_code ph_ruleset_make(const struct ph_ruleset_params *params, struct ph_ruleset **out,
                        struct ph_error *err) PH_MUST_CHECK;
void ph_ruleset_free(struct ph_ruleset *set); /* NULL is fine */
/* Everything that compiling has left in a folder goes; loaded objects stay. Not while a run is
 * at it. */
void ph_rules_clear_folder(const char *path);
/* Check, generate and compile into the file `output`, for params.object elsewhere. */
ph_code ph_ruleset_build(const struct ph_ruleset_params *params, const char *output,
                         struct ph_error *err) PH_MUST_CHECK;
/* The fingerprint that the ruleset would have: nothing is compiled. The errors of the check. */
#define PH_FINGERPRINT_SIZE 33
ph_code ph_ruleset_find_fingerprint(const struct ph_ruleset_params *params,
                                    char out[PH_FINGERPRINT_SIZE],
                                    struct ph_error *err) PH_MUST_CHECK;

uint32_t ph_ruleset_count(const struct ph_ruleset *set);
const struct ph_route *ph_ruleset_route(const struct ph_ruleset *set, uint32_t number);
/* Of the rules and all of both catalogs that they refer to; hex. A job that resumes compares it. */
const char *ph_ruleset_fingerprint(const struct ph_ruleset *set);
/*
 * Of what the values depend on beside the rules, one word each: the secret (NULL: none), keys in
 * variables and libraries of operators, as far as the rules use them. PH_E_RULES: a library cannot
 * be read.
 */
#define PH_RULE_MARKS_SIZE 51
ph_code ph_ruleset_marks(const struct ph_ruleset *set, struct ph_span secret,
                         char out[PH_RULE_MARKS_SIZE], struct ph_error *err) PH_MUST_CHECK;
/* Which of them both have and is not the same, in words; NULL: none. "" has none. */
const char *ph_ruleset_marks_differ(const char *then, const char *now);
/* The first route of a source table, the others follow it; NULL: none. */
const struct ph_route *ph_ruleset_of(const struct ph_ruleset *set, ph_oid source_oid,
                                     uint32_t *n_routes);
/* Whether that output keeps the target's value where the row was there. */
bool ph_route_preserves(const struct ph_route *route, uint32_t output);

/* The tables that values are looked up in. */
uint32_t ph_ruleset_count_lookups(const struct ph_ruleset *set);
const struct ph_lookup *ph_ruleset_lookup(const struct ph_ruleset *set, uint32_t number);
/* What values an output may have. */
enum ph_output_values {
    PH_VALUES_PASSED,  /* those of a column of the source, unchanged */
    PH_VALUES_CERTAIN, /* these, in every copy: a constant, names of columns that become rows */
    PH_VALUES_MAPPED,  /* these and NULL, as far as the source has what becomes them */
    PH_VALUES_MADE     /* whatever a rule makes */
};
enum ph_output_values ph_ruleset_output_values(const struct ph_ruleset *set,
                                               const struct ph_route *route, uint32_t output);
/* Value number `i` from 0, which may be NULL; false: there are no more. Of CERTAIN and MAPPED all
 * of them, of MADE those that the constants of its last steps give. */
bool ph_ruleset_output_value(const struct ph_ruleset *set, const struct ph_route *route,
                             uint32_t output, uint32_t i, struct ph_value *out);

/* ---- running ---- */

/* One thread's: memory of the row at hand, and what operators have prepared. */
struct ph_rule_machine;

/* `secret` may be NULL when no rule needs it. PH_E_RULES: an operator refuses its parameters. */
ph_code ph_rule_machine_new(const struct ph_ruleset *set, const uint8_t *secret, size_t secret_len,
                            struct ph_rule_machine **out, struct ph_error *err) PH_MUST_CHECK;
void ph_rule_machine_free(struct ph_rule_machine *machine); /* NULL is fine */

enum ph_rule_verdict {
    PH_ROW_TAKEN,
    PH_ROW_BAD /* nothing comes out; output and message say why */
};

struct ph_rule_outcome {
    enum ph_rule_verdict verdict;
    uint32_t rows;       /* TAKEN: how many; 0: filtered */
    uint32_t output;     /* BAD: which column */
    const char *message; /* BAD: why; good until the next row begins */
    bool quarantine;     /* BAD: the row goes to quarantine (the route's choice, or this rule's) */
};

/* Not filtered: something comes of it, or should. */
static inline bool
ph_rule_outcome_is_row(const struct ph_rule_outcome *outcome)
{
    return outcome->verdict == PH_ROW_BAD || outcome->rows > 0;
}

/*
 * Begin a row: `in` has route->n_inputs values, which must live until the next row begins. What the
 * row before gave is gone.
 */
ph_code ph_rule_begin_row(struct ph_rule_machine *machine, const struct ph_route *route,
                          const struct ph_value *in, struct ph_rule_outcome *outcome,
                          struct ph_error *err) PH_MUST_CHECK;
/*
 * Its output number `row`: route->n_outputs values into `out`, good until the next
 * ph_rule_begin_row. An output whose rule reads an input that is UNCHANGED is UNCHANGED itself.
 */
ph_code ph_rule_take_row(struct ph_rule_machine *machine, uint32_t row, struct ph_value *out,
                         struct ph_rule_outcome *outcome, struct ph_error *err) PH_MUST_CHECK;
/* All values that ph_rule_take_row has given are done with: their memory is there for the next. */
void ph_rule_drop_made(struct ph_rule_machine *machine);

#endif
