/*
 * The definitions (relations, types) that hold in the current session, so that they can be repeated
 * at the head of every segment: the server sends each only once. The writer's alone.
 *
 * A definition that comes inside a streamed transaction holds for that one; it holds for all once
 * the transaction has committed, unless a newer one of the same object does by then.
 */
#ifndef PH_SPOOL_SCHEMA_H
#define PH_SPOOL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

struct ph_definition;

struct ph_schema {
    struct ph_definition **buckets; /* NULL until there is one */
    uint64_t sequence;
    uint32_t n_global;
};

void ph_schema_clear(struct ph_schema *schema);
/* xid 0: for all. Copies the bytes. false: no memory. */
bool ph_schema_put(struct ph_schema *schema, uint64_t object, uint32_t xid, struct ph_span bytes);
/*
 * Append, as messages of a body, those of `xid` that will hold for all when it commits; xid 0:
 * those that do. Changes nothing.
 */
void ph_schema_write(const struct ph_schema *schema, uint32_t xid, struct ph_buf *out);
/* The transaction committed: those that ph_schema_write gave hold for all. */
void ph_schema_commit(struct ph_schema *schema, uint32_t xid);
/* It is gone. */
void ph_schema_forget(struct ph_schema *schema, uint32_t xid);

#endif
