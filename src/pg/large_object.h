/*
 * Large objects: copied under their own oids with owner, grants and comment, and compared.
 *
 * `source` is in the transaction whose snapshot counts; `target` is in none. One thread uses both.
 * Memory is bounded by a few MB whatever the size of an object.
 */
#ifndef PH_PG_LARGE_OBJECT_H
#define PH_PG_LARGE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/finding.h"
#include "pg/conn.h"

struct ph_large_objects {
    struct ph_conn *source;
    struct ph_conn *target;
    bool no_owner;
    bool no_acl;
    bool no_comments;
    const uint32_t *again; /* ascending oids: copied over what the target has of them */
    uint32_t n_again;
    uint32_t after;    /* for comparing: of those with a higher oid */
    uint32_t *reached; /* likewise: it ends where the list is full, and this is the last oid that
                          was compared, UINT32_MAX when all were; NULL: it goes on, and what has
                          no room is counted */
    void *arg;
    /* Totals so far, after every batch. May be NULL. */
    void (*on_progress)(void *arg, uint64_t objects, uint64_t bytes);
};

/*
 * Copies what the target does not have, and `again`, some hundred in one transaction: giving the
 * same call again goes on where it was stopped. So a target with large objects of its own must be
 * refused before the job's first write (ph_large_objects_count). *n and *bytes: what was copied
 * now.
 */
ph_code ph_large_objects_copy(const struct ph_large_objects *objects, uint64_t *n, uint64_t *bytes,
                              struct ph_error *err);
/*
 * Findings of kind "large object", by ascending oid, which is the object: missing, only on the
 * target (warning), different in what.
 */
ph_code ph_large_objects_compare(const struct ph_large_objects *objects,
                                 struct ph_findings *findings, struct ph_error *err);
/* Unlinks them on the target, some hundred in one transaction. */
ph_code ph_large_objects_remove(const struct ph_large_objects *objects, const uint32_t *oids,
                                uint32_t n, struct ph_error *err);
ph_code ph_large_objects_count(struct ph_conn *conn, uint64_t *n, struct ph_error *err);

#endif
