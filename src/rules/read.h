/*
 * The rules of a job file: from its keys `secret`, `policy`, `maps`, `tables` and `checks`, as
 * trees, to struct ph_job_rules. docs/rules.md is the specification. Pure: nothing is looked up but
 * maps by their name.
 */
#ifndef PH_RULES_READ_H
#define PH_RULES_READ_H

#include "base/error.h"
#include "base/nearest.h"
#include "rules/job_rules.h"
#include "rules/yaml_node.h"

#define PH_RULES_KEYS 5

/* What a job file may have at its top about rules; NULL where it has not. */
struct ph_rules_trees {
    const struct ph_yaml_node *parts[PH_RULES_KEYS];
};

/* The position in `parts` of what stands under that key; -1: it is not one about rules. */
int ph_rules_key(const char *key);
/* Offers all of them, for a key that is mistyped. */
void ph_rules_offer_keys(struct ph_nearest *nearest);

/*
 * `file` is for messages. Copies what it needs of the trees. PH_E_JOBFILE with file:line:column for
 * the first mistake; PH_E_MEMORY. The caller frees `*out`.
 */
ph_code ph_job_rules_read(const char *file, const struct ph_rules_trees *trees,
                          struct ph_job_rules **out, struct ph_error *err) PH_MUST_CHECK;
void ph_job_rules_free(struct ph_job_rules *rules); /* NULL is fine */

/*
 * "posts", "public.posts", "\"a.b\".\"c\"\"d\"": at most two parts, of which a quoted one may hold
 * anything. False: not such a name, and `*why` says what is wrong. Names are in the arena; NULL
 * there with true: no memory.
 */
bool ph_rule_name_parse(const char *text, struct ph_arena *arena, struct ph_rule_name *out,
                        const char **why);

#endif
