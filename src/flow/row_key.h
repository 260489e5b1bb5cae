/*
 * The key of a row in words, for a message about a row that does not go through: what can be told
 * from the beginning of the row's COPY bytes.
 */
#ifndef PH_FLOW_ROW_KEY_H
#define PH_FLOW_ROW_KEY_H

#include <stddef.h>

#include "base/bytes.h"
#include "model/plan.h"
#include "rules/ruleset.h"

/*
 * "(id=5, name=abc)" into `out`, always terminated; "" for a table without a key, for what rules
 * read, or when the key lies behind what `shown` has. Integers, uuids and texts are printed, other
 * binary values in hex.
 */
void ph_row_key_text(const struct ph_table_plan *table, struct ph_span shown, char *out,
                     size_t size);

#define PH_ROW_KEY_MAX 32u

/* The same of what a route's program reads. */
void ph_row_key_of_route(const struct ph_route *route, const struct ph_value *in, char *out,
                         size_t size);

/* The same of n columns' binary values that are at hand. */
void ph_row_key_put(const struct ph_column *const *columns, const struct ph_span *values,
                    uint32_t n, char *out, size_t size);

#endif
