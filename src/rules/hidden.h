/*
 * What messages may tell of a row: not what a rule masks, and beside a mask not what is dropped.
 * Messages go to logs and to the target, where those who read the masked rows read them too.
 */
#ifndef PH_RULES_HIDDEN_H
#define PH_RULES_HIDDEN_H

#include "base/bytes.h"
#include "rules/ruleset.h"

/* Whether that column of the route's source may not be told, by this route or another of the table.
 */
bool ph_route_hides_column(const struct ph_route *route, const struct ph_column *column);
/* The same of an input. */
bool ph_route_hides(const struct ph_route *route, uint32_t input);
/* Whether an input that the output's rule reads, or looks something up by, may not. */
bool ph_route_hides_of(const struct ph_route *route, uint32_t output);

/* Whether what comes out in that column may not: no mask has made it of something hidden. */
bool ph_route_hides_result(const struct ph_route *route, uint32_t output);

/* Whether values of that column may not that are read from a relation of the source. Of a view, or
 * over tables that inherit from it, nothing is known: all is hidden beside any mask. */
bool ph_ruleset_hides(const struct ph_ruleset *set, const struct ph_rel *rel, const char *column);

#define PH_HIDDEN_SIZE 24u

/* What stands for a text that may not: "hmac:" and the first 16 digits that the operator `hmac`
 * makes of it, or, without a secret, that it is hidden. `rules` may be NULL. */
void ph_hidden_text(const struct ph_rules_in_use *rules, struct ph_span text,
                    char out[PH_HIDDEN_SIZE]);
/*
 * The same of a value in the send format of a column of the route's source: of what the server
 * makes of it with ::text, at UTC; of a type that no operator makes text of, of the bytes in hex.
 */
void ph_hidden_value(const struct ph_route *route, const struct ph_rules_in_use *rules,
                     const struct ph_column *column, struct ph_span value,
                     char out[PH_HIDDEN_SIZE]);

#endif
