/*
 * Tables that values are looked up in, in memory: those that are read whole before the first row,
 * immutable afterwards, so that any thread may look; or one thread's own, of the keys that it has
 * asked for so far. The bytes of a value that was found live as long as its table is not cleared.
 *
 * Keys are equal when what lookup_key.h makes of them is.
 */
#ifndef PH_RULES_LOOKUP_H
#define PH_RULES_LOOKUP_H

#include "base/buf.h"
#include "rules/ruleset.h"

/* Empty tables for all lookups of the set, which must outlive them. NULL: no memory. */
struct ph_lookups *ph_lookups_new(const struct ph_ruleset *set, size_t limit_bytes);
void ph_lookups_free(struct ph_lookups *lookups); /* NULL is fine */

/*
 * A row of lookup `number`: copied. PH_E_LOOKUP: all tables together are larger than the limit;
 * PH_E_RULES: the key is there already, or is too long to be one; PH_E_MEMORY.
 */
ph_code ph_lookups_add(struct ph_lookups *lookups, uint32_t number, struct ph_value key,
                       struct ph_value value, struct ph_error *err) PH_MUST_CHECK;
uint64_t ph_lookups_rows(const struct ph_lookups *lookups, uint32_t number);
/* Bytes that all of them take, with what is taken for rows to come. */
size_t ph_lookups_bytes(const struct ph_lookups *lookups);
void ph_lookups_clear(struct ph_lookups *lookups, uint32_t number);

/*
 * It is too large to be whole: cleared, and from now on found in threads' own tables. `state` is
 * what ph_lookups_digest tells of it, for one that is not constant.
 */
void ph_lookups_ask(struct ph_lookups *lookups, uint32_t number, uint64_t state);
bool ph_lookups_is_asked(const struct ph_lookups *lookups, uint32_t number);

/*
 * In a thread's own tables: the key of a route's lookup, not known yet, is noted as MISSING until
 * ph_lookups_answer has its value. `*key` as it is compared; `wide` has room for it.
 */
bool ph_lookups_knows(const struct ph_lookups *lookups, const struct ph_route_lookup *by,
                      struct ph_value key);
ph_code ph_lookups_note(struct ph_lookups *lookups, const struct ph_route_lookup *by,
                        struct ph_value key, struct ph_error *err) PH_MUST_CHECK;
ph_code ph_lookups_answer(struct ph_lookups *lookups, uint32_t number, struct ph_value key,
                          struct ph_value value, struct ph_error *err) PH_MUST_CHECK;

/*
 * Fill the inputs of a row that are looked up. `in`: route->n_inputs values. Gives how many keys
 * have no row: their inputs are MISSING. `lookups` may be NULL when the SELECT brings all values;
 * `own` when none of the tables is asked.
 */
uint32_t ph_lookups_fill(const struct ph_lookups *lookups, const struct ph_lookups *own,
                         const struct ph_route *route, struct ph_value *in);

/*
 * Append what they hold: a line a table, with a digest that does not depend on the order in which
 * rows were added.
 */
void ph_lookups_digest(const struct ph_lookups *lookups, struct ph_buf *out);
/*
 * Whether the tables of which both of these speak hold the same, as far as that is known: what is
 * too large to be read whole is not compared. Either may be of another ruleset.
 */
enum ph_lookups_of { PH_LOOKUPS_CONSTANT, PH_LOOKUPS_ALL };
bool ph_lookups_same(const char *then, const char *now, enum ph_lookups_of which);

/* Tables of another ruleset of the same fingerprint: they are this one's from now on. */
void ph_lookups_adopt(struct ph_lookups *lookups, const struct ph_ruleset *set);

#endif
