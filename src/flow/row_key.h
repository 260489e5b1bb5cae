/*
 * The key of a row in words, for a message about a row that does not go through: what can be told
 * from the beginning of the row's COPY bytes.
 */
#ifndef PH_FLOW_ROW_KEY_H
#define PH_FLOW_ROW_KEY_H

#include <stddef.h>

#include "apply/table.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "model/plan.h"
#include "rules/ruleset.h"

/*
 * Whether messages may not tell what a row has in that column of the plan: on the source, where any
 * rule of the table may mask it, whichever route or partition has the rule; and on the target.
 */
bool ph_row_hides(const struct ph_table_plan *table, uint32_t column);
bool ph_row_hides_result(const struct ph_table_plan *table, uint32_t column);

/*
 * "(id=5, name=abc)" into `out`, always terminated; "" for a table without a key, for what rules
 * read, or when the key lies behind what `shown` has. Integers, uuids and texts are printed, other
 * binary values in hex. What a rule of the table masks elsewhere is not told.
 */
void ph_row_key_text(const struct ph_table_plan *table, struct ph_span shown, char *out,
                     size_t size);

/*
 * The same of what a route's program reads. What its rules mask is not told: an hmac stands for it
 * (rules/hidden.h). `rules` may be NULL.
 */
void ph_row_key_of_route(const struct ph_route *route, const struct ph_rules_in_use *rules,
                         const struct ph_value *in, char *out, size_t size);

/* The same of one input, which is a column, with that value. */
void ph_row_key_of_input(const struct ph_route *route, const struct ph_rules_in_use *rules,
                         uint32_t input, struct ph_value value, char *out, size_t size);

/* ph_apply_stand_in: what a rule of the source's table masks, wherever, is not told as it is on the
 * target either. */
bool ph_row_stand_in(const struct ph_apply_table *table, const struct ph_apply_column *column,
                     struct ph_span text, struct ph_buf *out);

#endif
