/*
 * Cutting a table into ranges of its key, so that each can be read at a point of its own while rows
 * are written (docs/decisions/0011). A range holds its rows by what they are, not by where they
 * lie: blocks would not do, since the two sides have their rows in different ones. The main thread.
 */
#ifndef PH_JOB_VERIFY_RANGE_H
#define PH_JOB_VERIFY_RANGE_H

#include <stdbool.h>

#include "job/verify_parts.h"

/*
 * Whether ranges of the group's key are cheap to read on both sides: one table, whose first key
 * column leads an index here and there, is of a type that both order alike, and lies in the heap
 * much as in the index. Asks `source`.
 */
ph_code ph_verify_has_ranges(struct ph_verify *verify, const struct ph_verify_group *group,
                             struct ph_conn *source, bool *has, struct ph_error *err);
/*
 * Where the range that begins at `lo` (NULL: the first) ends, so that it has some `rows` rows; a
 * literal in verify->arena, NULL: it is the last.
 */
ph_code ph_verify_next_bound(struct ph_verify *verify, const struct ph_verify_group *group,
                             struct ph_conn *source, const char *lo, uint64_t rows, const char **hi,
                             struct ph_error *err);

#endif
