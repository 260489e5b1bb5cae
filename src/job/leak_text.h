/* Texts with quoted parts: JSON, arrays and rows as PostgreSQL prints them. Pure, any thread. */
#ifndef PH_JOB_LEAK_TEXT_H
#define PH_JOB_LEAK_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"

/* Whether ph_leak_unescape would change it. */
bool ph_leak_is_escaped(struct ph_span text);
/* What stands for something else becomes that: \" \\ \n \u00e9 and "" ; appended to `out`. */
void ph_leak_unescape(struct ph_span text, struct ph_buf *out);

enum ph_leak_leaves { PH_LEAK_STRINGS, PH_LEAK_STRINGS_AND_NUMBERS };

/* false ends the walk. */
typedef bool ph_leak_leaf(void *arg, struct ph_span leaf);
/*
 * The strings of a JSON text (numbers too, if asked), without the keys of its objects. `scratch` is
 * for its use. false: the visitor ended it, or there was no memory. Text that is not JSON gives
 * what it gives.
 */
bool ph_leak_each_leaf(struct ph_span json, enum ph_leak_leaves which, struct ph_buf *scratch,
                       ph_leak_leaf *visit, void *arg);

#endif
