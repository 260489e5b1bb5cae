/*
 * Publications of a source: which tables its streams bring. Over an ordinary session that is in no
 * transaction; the connection's thread; errors as in conn.h (PH_E_RIGHTS: the role must own the
 * tables and may create in the database).
 *
 * Tables are published by themselves (ONLY), partitioned ones with all their partitions. Publish
 * only tables with a usable replica identity: others make the application's own UPDATEs fail.
 */
#ifndef PH_PG_PUBLICATION_H
#define PH_PG_PUBLICATION_H

#include "base/arena.h"
#include "model/catalog.h"
#include "pg/conn.h"

enum ph_publish_as { PH_PUBLISH_AS_LEAF, PH_PUBLISH_AS_ROOT }; /* publish_via_partition_root */

struct ph_publication_params {
    const char *name;
    enum ph_publish_as partitions; /* must never change while a slot uses the publication */
    const struct ph_rel *const *rels;
    uint32_t n_rels; /* 0: an empty publication */
    /* Beside `rels`, 15 on: conditions of row filters, in parentheses; an entry may be NULL, or all
     * of it. They are noted in the publication's comment, in the same transaction. */
    const char *const *filters;
    /* 18 on: stored generated columns too; needed where a replica identity holds one, see
     * ph_rel_identity_needs_generated */
    bool with_generated;
    int lock_wait_ms; /* on each table's lock (SHARE UPDATE EXCLUSIVE); 0: as long as it takes */
};
/* Inserts, updates, deletes and truncates of the tables. All or nothing. */
ph_code ph_publication_create(struct ph_conn *conn, const struct ph_publication_params *params,
                              struct ph_error *err);
/* Add or remove the tables; `partitions` is not looked at. All or nothing. */
ph_code ph_publication_add(struct ph_conn *conn, const struct ph_publication_params *params,
                           struct ph_error *err);
ph_code ph_publication_remove(struct ph_conn *conn, const struct ph_publication_params *params,
                              struct ph_error *err);
/* None of that name is fine. */
ph_code ph_publication_drop(struct ph_conn *conn, const char *name, struct ph_error *err);

struct ph_published_rel {
    ph_oid oid;
    bool has_row_filter;  /* 15 on */
    bool is_noted;        /* the filter is the one that it was added with here */
    bool has_column_list; /* 15 on: not all of its columns that can be published */
};
struct ph_publication {
    bool for_all_tables;
    bool for_schemas; /* 15 on: some tables by their schema */
    bool inserts;
    bool updates;
    bool deletes;
    bool truncates;
    enum ph_publish_as partitions;
    /* all that is published, by OID; roots or leaves of partitioned tables, as `partitions` says */
    const struct ph_published_rel *rels;
    uint32_t n_rels;
};
/*
 * By what rows of the catalogs the tables ("{1,2}") are published, as text of an array: "0 p16400"
 * for the publication, "16385 r16401" or "16385 n16402" for a table by itself, its partitioned
 * table or a schema. They are others when something was dropped and made again. '' when there is
 * none of that name. The caller frees `*out`, of one row.
 */
ph_code ph_publication_read_rows(struct ph_conn *conn, const char *name, const char *tables,
                                 struct ph_result **out, struct ph_error *err);
/* *found says whether there is one of that name. `rels` lives in the arena. */
ph_code ph_publication_read(struct ph_conn *conn, const char *name, struct ph_arena *arena,
                            struct ph_publication *out, bool *found, struct ph_error *err);

#endif
