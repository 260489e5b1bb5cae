/*
 * Values of tables that are too large to be read whole: one thread's own memory of what it has
 * asked for so far. For a block of rows all keys that are not known are asked for with one
 * statement; when the memory is full it is emptied and filled anew, under the same snapshot.
 *
 * One thread; it has a connection of its own to each of the databases.
 */
#ifndef PH_FLOW_LOOKUP_CACHE_H
#define PH_FLOW_LOOKUP_CACHE_H

#include "pg/conn.h"
#include "rules/lookup.h"

struct ph_lookup_way { /* to the table of a lookup */
    const struct ph_endpoint *endpoint;
    const char *snapshot_id; /* exported there and kept; NULL: the table is constant */
};

/* Immutable, any thread. */
struct ph_lookup_access {
    size_t limit_bytes;               /* of each thread */
    const struct ph_lookup_way *ways; /* by lookup */
};

struct ph_lookup_cache;

/* NULL: no memory. */
struct ph_lookup_cache *ph_lookup_cache_new(const struct ph_rules_in_use *rules);
void ph_lookup_cache_free(struct ph_lookup_cache *cache); /* NULL is fine */

/* Whether a value of the row is not known yet. */
bool ph_lookup_cache_lacks(const struct ph_lookup_cache *cache, const struct ph_route *route,
                           const struct ph_value *in);
/*
 * Note what is to be asked for: first of the row at hand, then of those behind it. What was found
 * for rows before is gone afterwards. *is_full: no more rows.
 */
ph_code ph_lookup_cache_begin(struct ph_lookup_cache *cache, const struct ph_route *route,
                              const struct ph_value *in, struct ph_error *err) PH_MUST_CHECK;
ph_code ph_lookup_cache_also(struct ph_lookup_cache *cache, const struct ph_route *route,
                             const struct ph_value *in, bool *is_full,
                             struct ph_error *err) PH_MUST_CHECK;
/*
 * Ask. PH_E_LOOKUP: the values do not fit; with `in` of the row at hand alone they are asked for
 * once more before that is said. PH_E_SNAPSHOT_LOST; the errors of connections.
 */
ph_code ph_lookup_cache_ask(struct ph_lookup_cache *cache, const struct ph_route *route,
                            const struct ph_value *in, struct ph_error *err) PH_MUST_CHECK;
/* For ph_lookups_fill. */
const struct ph_lookups *ph_lookup_cache_own(const struct ph_lookup_cache *cache);

#endif
