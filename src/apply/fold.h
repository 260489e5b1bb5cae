/*
 * A group of changes, folded to what is left of them: per table a map from key to net effect.
 *
 *   insert, update  = insert        delete, insert  = update of all columns
 *   insert, delete  = nothing       update, update  = update; what the later one did not send keeps
 *   update, delete  = delete                          the earlier one's value
 *   change of key   = delete of the old, insert of the new, when the row is known whole
 *
 * Whatever does not fit in (an UPDATE of a key with a value that was not sent, a row inserted that
 * is there already, one changed that is gone) is not judged here: it parts the table's changes into
 * what goes before, itself, and what goes after, and the server will say. Rows of a table without a
 * key are counted by their image. A table of PH_APPLY_IN_ORDER has nothing but such single changes.
 *
 * The order of adding is the source's, whole transactions or not: that is the caller's matter, as
 * are epochs. TRUNCATE is not taken: the caller ends the group, truncates, begins the next.
 *
 * Changes are copied: their bytes may go when the call is over. One owner, one thread at a time.
 */
#ifndef PH_APPLY_FOLD_H
#define PH_APPLY_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/table.h"
#include "base/error.h"
#include "model/change.h"

struct ph_fold;

enum ph_fold_mode {
    PH_FOLD_NET,   /* as above */
    PH_FOLD_REPLAY /* nothing is folded: the statements are the changes, in the order they came */
};

/* NULL without memory. `limit_bytes`: when it calls itself full. The caller's (ph_fold_free). */
struct ph_fold *ph_fold_new(enum ph_fold_mode mode, size_t limit_bytes);
void ph_fold_free(struct ph_fold *fold); /* NULL is fine */
/* For the next group: the memory is kept, no table is referred to any more. */
void ph_fold_clear(struct ph_fold *fold);

/*
 * Add one INSERT, UPDATE or DELETE of that table, which must live until the group is cleared.
 * PH_E_PROTOCOL: the change does not fit the table (number or form of fields, a key that is not
 * whole); PH_E_INTERNAL: ph_fold_takes had said no; PH_E_MEMORY. After a failure the group can only
 * be cleared.
 */
ph_code ph_fold_add(struct ph_fold *fold, const struct ph_apply_table *table,
                    const struct ph_change *change, struct ph_error *err) PH_MUST_CHECK;

/*
 * PH_FOLD_REPLAY only: the same, of a change whose statements are to be known as those of one that
 * was added before; `of` is its number (ph_fold_changes before it was added).
 */
ph_code ph_fold_add_as(struct ph_fold *fold, const struct ph_apply_table *table,
                       const struct ph_change *change, uint64_t of,
                       struct ph_error *err) PH_MUST_CHECK;

/*
 * PH_FOLD_REPLAY only: the change in a form that does not mind what is there, for a conflict that
 * is to be overwritten. A row that is known whole is deleted, if it is there, and inserted; of
 * another whatever came is updated; rows that are missing are none to worry about. Where enforced
 * keys refer to the table, or the target has columns of its own and the key stays, a whole row is
 * not deleted: it is updated, under its key or the old one, or inserted when it was missing; an
 * UPDATE that misses it then leaves it to the caller to insert it. A violation of another unique
 * key than the table's own stays one. The same errors.
 */
ph_code ph_fold_overwrite(struct ph_fold *fold, const struct ph_apply_table *table,
                          const struct ph_change *change, struct ph_error *err) PH_MUST_CHECK;

/* false: the group has changes of this table under an older description; send and clear it first.
 */
bool ph_fold_takes(const struct ph_fold *fold, const struct ph_apply_table *table);
/* The limit is reached: send the group before more is added. It still takes changes. */
bool ph_fold_is_full(const struct ph_fold *fold);
bool ph_fold_is_empty(const struct ph_fold *fold); /* no change was added */
uint64_t ph_fold_changes(const struct ph_fold *fold);
/* Values, and the room that is kept for entries from group to group (at most a quarter of the
 * limit). */
size_t ph_fold_bytes(const struct ph_fold *fold);

#endif
