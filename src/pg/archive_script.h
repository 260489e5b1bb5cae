/*
 * Cuts the script that `pg_restore --verbose -f -` prints into the text of its entries. Pure bytes.
 */
#ifndef PH_PG_ARCHIVE_SCRIPT_H
#define PH_PG_ARCHIVE_SCRIPT_H

#include "pg/archive.h"
#include "pg/archive_toc.h"

/*
 * Fill archive->entries from `toc`, which may go afterwards, and archive->script, which is changed
 * (texts are terminated in place). Entries that the script leaves out (switched off, or data) are
 * left out. PH_E_PROTOCOL when the script has an entry that is not in the toc.
 */
ph_code ph_archive_split(struct ph_archive *archive, const struct ph_toc *toc,
                         struct ph_error *err);

#endif
