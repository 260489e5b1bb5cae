/*
 * The table of contents of a pg_dump archive in custom format: bytes in, entries out.
 *
 * Read directly and not from `pg_restore -l`, which separates names by blanks that names may
 * contain, and which tells neither sections nor dependencies nor where an entry's text ends.
 */
#ifndef PH_PG_ARCHIVE_TOC_H
#define PH_PG_ARCHIVE_TOC_H

#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

enum ph_toc_section { PH_TOC_NONE = 1, PH_TOC_PRE_DATA = 2, PH_TOC_DATA = 3, PH_TOC_POST_DATA = 4 };

struct ph_toc_entry {
    uint32_t dump_id;
    uint32_t class_oid;
    uint32_t oid;
    enum ph_toc_section section;
    const char *tag;
    const char *desc;
    const char *definition; /* exactly what the script prints for it; may be "" */
    const char *schema;
    const char *owner;
    const uint32_t *deps;
    uint32_t n_deps;
};

struct ph_toc {
    const char *database;
    struct ph_toc_entry *entries;
    uint32_t n_entries;
};

/*
 * Everything in `out` lives in the arena and does not point into `in`. PH_E_VERSION for an archive
 * version not known here, PH_E_PROTOCOL for bytes that are no archive.
 */
ph_code ph_toc_parse(struct ph_span in, struct ph_arena *arena, struct ph_toc *out,
                     struct ph_error *err);

#endif
