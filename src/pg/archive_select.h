/*
 * A part of a database out of the archive of all of it: selected relations, and by the archive's
 * own dependencies what they need (schema, types, functions, extensions, sequences) and what
 * belongs to them (indexes, constraints, triggers, policies, grants, comments).
 */
#ifndef PH_PG_ARCHIVE_SELECT_H
#define PH_PG_ARCHIVE_SELECT_H

#include <stdbool.h>

#include "base/error.h"
#include "pg/archive.h"

struct ph_archive_selection {
    void *arg;
    /* Whether this relation (oid on the source) is selected. */
    bool (*has_rel)(void *arg, ph_oid oid);
    /* Whether everything in this schema is, but for relations that has_rel denies. */
    bool (*has_schema)(void *arg, const char *schema);
    /* Whether objects outside of schemas are too: extensions, languages, casts, event triggers, ...
     */
    bool globals;
    /*
     * Called for what is selected but cannot be made because it depends on a relation that is not
     * (a foreign key to it, a view of it). `because` NULL: it refers to a hidden one. May be NULL.
     */
    void (*on_left_out)(void *arg, const struct ph_archive_entry *entry,
                        const struct ph_archive_entry *because);
    /* As when the archive was made: what refers to these by name is out. */
    const struct ph_rel *const *hidden;
    uint32_t n_hidden;
};

/* Sets `selected` of all entries. PH_E_SELECTION for an heir without its parent; PH_E_MEMORY. */
ph_code ph_archive_select(struct ph_archive *archive, const struct ph_archive_selection *selection,
                          struct ph_error *err);

#endif
