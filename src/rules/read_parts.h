/* Inside read*.c only: what the readers of tables, columns and checks share. */
#ifndef PH_RULES_READ_PARTS_H
#define PH_RULES_READ_PARTS_H

#include "rules/read.h"

struct ph_rules_reader {
    struct ph_job_rules *rules;
    struct ph_arena *arena; /* the rules' own */
    struct ph_error *err;
};

/* A key of a mapping of known keys: `read` stores its value in what `into` is there. */
struct ph_read_key {
    const char *name;
    ph_code (*read)(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into);
    bool is_needed;
};

#define PH_READ_KEYS_MAX 24
#define PH_READ_COLUMNS_MAX 1600u /* of a table, PostgreSQL's own bound; keeps loops short */

/* ---- mistakes: all of them give the code back ---- */

ph_code ph_read_fail(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                     const char *format, ...) __attribute__((format(printf, 3, 4)));
ph_code ph_read_fail_type(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                          const char *what, const char *expected);
/* `kind` "\"word\"" `where`, and the nearest of what was offered. */
ph_code ph_read_fail_unknown(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                             const struct ph_nearest *nearest, const char *kind, const char *where);
ph_code ph_read_no_memory(struct ph_rules_reader *reader);

/* ---- pieces; `what` names them in messages ---- */

/* A mapping in which only `keys` (a last one without name) may stand, each once. */
ph_code ph_read_mapping(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                        const char *what, const struct ph_read_key *keys, void *into);
/* `n` scalars of which none may be there twice. */
ph_code ph_read_no_twice(struct ph_rules_reader *reader, const struct ph_yaml_node **items,
                         size_t n, const char *what);
/* The same for the keys of a mapping, which must be one with scalars for keys. */
ph_code ph_read_keys(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                     const char *what, const char *expected);

/* A constant: null is one too. */
ph_code ph_read_constant(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                         const char *what, struct ph_rule_word *out);
/* A name or a text: neither null nor empty. */
ph_code ph_read_word(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                     const char *what, struct ph_rule_word *out);
/* The same as a bare text. */
ph_code ph_read_text(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                     const char *what, const char **out);
/* A list of names, at least one, none of them twice. */
ph_code ph_read_names(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                      const char *what, struct ph_rule_words *out);
/* A word or a list of words; empty and twice are fine. */
ph_code ph_read_words(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                      const char *what, struct ph_rule_words *out);
ph_code ph_read_relation(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                         const char *what, struct ph_rule_name *out);
/* The position of the scalar in `words`, which NULL ends. */
ph_code ph_read_choice(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                       const char *what, const char *const *words, unsigned *out);
ph_code ph_read_flag(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                     const char *what, bool *out);

/* ---- the parts ---- */

ph_code ph_read_tables(struct ph_rules_reader *reader, const struct ph_yaml_node *node);
ph_code ph_read_column(struct ph_rules_reader *reader, const struct ph_yaml_node *target,
                       const struct ph_yaml_node *rule, struct ph_rule_column *out);
ph_code ph_read_step(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                     struct ph_rule_step *out);
ph_code ph_read_checks(struct ph_rules_reader *reader, const struct ph_yaml_node *node);

#endif
