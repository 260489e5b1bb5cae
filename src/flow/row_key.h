/*
 * The key of a row in words, for a message about a row that does not go through: what can be told
 * from the beginning of the row's COPY bytes.
 */
#ifndef PH_FLOW_ROW_KEY_H
#define PH_FLOW_ROW_KEY_H

#include <stddef.h>

#include "base/bytes.h"
#include "model/plan.h"

/*
 * "(id=5, name=abc)" into `out`, always terminated; "" for a table without a key or when the key
 * lies behind what `shown` has. Integers, uuids and texts are printed, other binary values in hex.
 */
void ph_row_key_text(const struct ph_table_plan *table, struct ph_span shown, char *out,
                     size_t size);

#endif
