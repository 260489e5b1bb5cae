/*
 * What the steps need to know of the source beyond the archive: sizes, tables of indexes, sides of
 * foreign keys, partition trees, definitions of the indexes behind large keys. Read by three
 * queries.
 */
#ifndef PH_PG_DDL_FACTS_H
#define PH_PG_DDL_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/catalog.h"
#include "pg/conn.h"

struct ph_rel_fact {
    ph_oid oid;
    ph_oid root; /* topmost partitioned table, or itself */
    char kind;   /* r p m f */
    bool populated;
    uint64_t bytes; /* heap with TOAST; 0 for partitioned */
    const char *schema;
    const char *name;
};

struct ph_index_fact {
    ph_oid oid;
    ph_oid table;
    uint64_t bytes;
};

struct ph_constraint_fact {
    ph_oid oid;
    ph_oid table;
    ph_oid ref;   /* foreign keys: the referenced table */
    ph_oid index; /* keys: their index */
    char type;    /* p u x f */
    bool deferrable;
    bool deferred;
    bool validated;
    const char *name;
    const char
        *index_definition; /* of a b-tree key on a table from split_key_bytes on, else NULL */
};

/* All sorted by oid, all in the arena of the call. */
struct ph_ddl_facts {
    struct ph_rel_fact *rels;
    uint32_t n_rels;
    struct ph_index_fact *indexes;
    uint32_t n_indexes;
    struct ph_constraint_fact *constraints;
    uint32_t n_constraints;
};

ph_code ph_ddl_facts_read(struct ph_conn *source, uint64_t split_key_bytes, struct ph_arena *arena,
                          struct ph_ddl_facts *out, struct ph_error *err);
/* NULL when absent. */
const struct ph_rel_fact *ph_ddl_fact_rel(const struct ph_ddl_facts *facts, ph_oid oid);
const struct ph_index_fact *ph_ddl_fact_index(const struct ph_ddl_facts *facts, ph_oid oid);
const struct ph_constraint_fact *ph_ddl_fact_constraint(const struct ph_ddl_facts *facts,
                                                        ph_oid oid);

#endif
