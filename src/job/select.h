/*
 * What a job is about: the options' patterns against the source's catalog, computed once, by OID.
 * Schema, copy, proof and (later) publication all go by the same selection.
 *
 * - Without --schema and --table everything is in; with both, what matches either.
 * - --exclude-schema and --exclude win over them.
 * - A table pattern without a schema means that name in any schema, and matches tables, partitions,
 *   views, materialized views, foreign tables and sequences.
 * - What is true of a partitioned table is true of its partitions; of a table, of the sequences
 * that its columns own.
 * - Members of extensions are left out, except configuration tables.
 */
#ifndef PH_JOB_SELECT_H
#define PH_JOB_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "job/options.h"
#include "model/catalog.h"

struct ph_selection {
    bool whole_database; /* no pattern was given */
    bool *schemas;       /* by index in catalog->schemas: in as a whole but for excluded tables */
    uint32_t n_schemas;
    bool *rels; /* by index in catalog->rels */
    uint32_t n_rels;
    uint32_t n_tables; /* of rels: those that hold rows (tables and leaf partitions) */
};

/*
 * PH_E_SELECTION, naming the pattern, when one matches nothing or patterns leave no table. The
 * arrays live in `arena`; `catalog` must outlive them.
 */
ph_code ph_select(const struct ph_catalog *catalog, const struct ph_options *options,
                  struct ph_arena *arena, struct ph_selection *out, struct ph_error *err);

/* The same with patterns that were good once: what they named may be gone or renamed by now. */
ph_code ph_select_again(const struct ph_catalog *catalog, const struct ph_options *options,
                        struct ph_arena *arena, struct ph_selection *out, struct ph_error *err);

/* `rel` is of the catalog that was selected from. */
bool ph_selection_has(const struct ph_selection *selection, const struct ph_catalog *catalog,
                      const struct ph_rel *rel);
bool ph_selection_has_oid(const struct ph_selection *selection, const struct ph_catalog *catalog,
                          ph_oid oid);
/* Whether a schema is in as a whole, but for excluded tables. */
bool ph_selection_has_schema(const struct ph_selection *selection, const struct ph_catalog *catalog,
                             const char *schema);

#endif
